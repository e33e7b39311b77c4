/* soup.h - what both ends of SoupBinTCP share: packets out of a byte stream, bytes into an output
 * buffer, the text fields of logins. */
#ifndef MDFH_SESSION_SOUP_H
#define MDFH_SESSION_SOUP_H

#include <stddef.h>

#include "mdfh/soupbintcp.h"

enum {
	SOUP_DEBUG = '+',
	SOUP_ACCEPTED = 'A',
	SOUP_REJECTED = 'J',
	SOUP_SEQUENCED = 'S',
	SOUP_UNSEQUENCED = 'U',
	SOUP_SERVER_HEARTBEAT = 'H',
	SOUP_END = 'Z',
	SOUP_LOGIN = 'L',
	SOUP_CLIENT_HEARTBEAT = 'R',
	SOUP_LOGOUT = 'O',

	SOUP_HEADER = 3, /* length and type */
	SOUP_NUMBER_TEXT = 20,
	SOUP_LOGIN_SIZE = 49,
	SOUP_ACCEPTED_SIZE = 33,
	SOUP_REJECTED_SIZE = 4,
};

/* The clock may have been set back: what would lie ahead is now, so that no timer waits for it. */
static inline void soup_not_ahead(int64_t *at_ns, int64_t now_ns)
{
	if (*at_ns > now_ns)
		*at_ns = now_ns;
}

/* Reading ------------------------------------------------------------------- */

/* The bytes of one connection: those that were fed last, and what was cut before them. */
struct soup_input {
	const uint8_t *at;
	const uint8_t *end;
	uint32_t held; /* bytes of a cut packet in buffer */
	uint8_t buffer[MDFH_SOUP_PACKET_MAX];
};

static inline void soup_input_clear(struct soup_input *in)
{
	in->at = in->end = NULL;
	in->held = 0;
}

static inline void soup_input_feed(struct soup_input *in, const uint8_t *data, uint32_t length)
{
	in->at = data;
	in->end = data + length;
}

/* The next whole packet: 1, and *size bytes of it at *packet; 0 when there is none, and *size of
 * the begun one are at *packet, which is enough to refuse it early. *straddled: it was put
 * together. The packet of one call stays where it is until the next. */
int mdfh_soup_input_next(
    struct soup_input *in, const uint8_t **packet, uint32_t *size, int *straddled);

/* Sequenced packets right behind the one that was handed out last, itself of *size bytes and not
 * put together: grows *size up to max bytes and returns how many packets there are with it. */
uint32_t mdfh_soup_input_run(struct soup_input *in, uint32_t *size, uint32_t max);

/* What is wrong with a packet of which have bytes are known, as far as its type says. */
enum mdfh_soup_reason mdfh_soup_check(const uint8_t *packet, uint32_t have);

/* Decimal with spaces on either side. 0, or -1 where it is none, or too large. */
int mdfh_soup_number(const uint8_t *text, uint64_t *number);

/* A text field without its spaces into out, zero-padded to size + 1 bytes at least. */
void mdfh_soup_text(const uint8_t *field, uint32_t size, char *out);

/* Writing -------------------------------------------------------------------- */

struct soup_output {
	uint8_t *bytes;
	uint32_t size;
	uint32_t from; /* sent up to here */
	uint32_t to;
};

int mdfh_soup_output_create(struct soup_output *out, uint32_t size);
/* Nothing of it is left behind in free memory: a password went through it. */
void mdfh_soup_output_destroy(struct soup_output *out);

static inline uint32_t soup_output_room(const struct soup_output *out)
{
	return out->size - (out->to - out->from);
}

/* A packet; the caller has asked for room. */
void mdfh_soup_output_put(
    struct soup_output *out, uint8_t type, const uint8_t *payload, uint32_t length);
void mdfh_soup_output_sent(struct soup_output *out, uint32_t bytes);

/* A text field, padded with spaces on the left or on the right. */
void mdfh_soup_pad_left(uint8_t *field, uint32_t size, const char *text);
void mdfh_soup_pad_right(uint8_t *field, uint32_t size, const char *text);

#endif
