/* soup.c - SoupBinTCP 3.00: packets, text fields, names, and the entry in the table of session
 * protocols. Integers are big-endian; text is ASCII, padded with spaces on either side. */
#include "session/soup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/bytes.h"
#include "core/lines.h"
#include "mdfh/error.h"
#include "session/protocols.h"

/* Names --------------------------------------------------------------------- */

const char *mdfh_soup_reason_text(unsigned reason)
{
	static const char *const texts[] = {
	    [MDFH_SOUP_NONE] = "no reason",
	    [MDFH_SOUP_LENGTH] = "protocol error: a packet's length is 0, or not that of its type",
	    [MDFH_SOUP_TYPE] = "protocol error: unknown packet type",
	    [MDFH_SOUP_STATE] = "protocol error: a packet type that may not come there",
	    [MDFH_SOUP_NUMBER] = "protocol error: a sequence number that is none",
	    [MDFH_SOUP_SESSION_OTHER] = "logged in to a session not asked for, or that has ended",
	    [MDFH_SOUP_NOT_AUTHORIZED] = "login refused: not authorized (A)",
	    [MDFH_SOUP_NO_SESSION] = "login refused: session not available (S)",
	    [MDFH_SOUP_REFUSED] = "login refused for a reason that SoupBinTCP 3.00 does not know",
	    [MDFH_SOUP_LOGIN_TIMEOUT] = "the login took too long",
	    [MDFH_SOUP_SILENT] = "the peer fell silent",
	    [MDFH_SOUP_SLOW] = "the client took nothing for too long",
	    [MDFH_SOUP_ENDED] = "end of session",
	    [MDFH_SOUP_LOGOUT] = "logged out",
	    [MDFH_SOUP_LOST] = "the connection was lost",
	};

	return reason < MDFH_SOUP_REASONS ? texts[reason] : "?";
}

const char *mdfh_soup_reason_name(unsigned reason)
{
	static const char *const names[] = {
	    [MDFH_SOUP_NONE] = "none",
	    [MDFH_SOUP_LENGTH] = "length",
	    [MDFH_SOUP_TYPE] = "type",
	    [MDFH_SOUP_STATE] = "state",
	    [MDFH_SOUP_NUMBER] = "number",
	    [MDFH_SOUP_SESSION_OTHER] = "other-session",
	    [MDFH_SOUP_NOT_AUTHORIZED] = "not-authorized",
	    [MDFH_SOUP_NO_SESSION] = "no-session",
	    [MDFH_SOUP_REFUSED] = "refused",
	    [MDFH_SOUP_LOGIN_TIMEOUT] = "login-timeout",
	    [MDFH_SOUP_SILENT] = "silent",
	    [MDFH_SOUP_SLOW] = "slow",
	    [MDFH_SOUP_ENDED] = "ended",
	    [MDFH_SOUP_LOGOUT] = "logout",
	    [MDFH_SOUP_LOST] = "lost",
	};

	return reason < MDFH_SOUP_REASONS ? names[reason] : "?";
}

const char *mdfh_soup_state_name(unsigned state)
{
	static const char *const names[] = {
	    [MDFH_SOUP_DOWN] = "not connected",
	    [MDFH_SOUP_LOGIN] = "logging in",
	    [MDFH_SOUP_IN] = "logged in",
	    [MDFH_SOUP_OVER] = "session ended",
	    [MDFH_SOUP_CLOSING] = "closing",
	};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

/* Reading ------------------------------------------------------------------- */

/* Move bytes into the buffer until it holds want of them. 1 if it does. */
static int fill(struct soup_input *in, uint32_t want)
{
	uint32_t left = (uint32_t)(in->end - in->at);
	uint32_t more = in->held < want ? want - in->held : 0;

	if (more > left)
		more = left;
	if (more) {
		memcpy(in->buffer + in->held, in->at, more);
		in->held += more;
		in->at += more;
	}
	return in->held >= want;
}

int mdfh_soup_input_next(
    struct soup_input *in, const uint8_t **packet, uint32_t *size, int *straddled)
{
	uint32_t left = (uint32_t)(in->end - in->at);

	*straddled = in->held > 0;
	if (!in->held) {
		*packet = in->at;
		if (left >= 2 && mdfh_load_be16(in->at) + 2u <= left) {
			*size = mdfh_load_be16(in->at) + 2u;
			in->at += *size;
			return 1;
		}
		if (!left) {
			*size = 0;
			return 0;
		}
		fill(in, left);
	}
	*packet = in->buffer;
	if (fill(in, 2) && fill(in, mdfh_load_be16(in->buffer) + 2u)) {
		*size = in->held;
		in->held = 0;
		return 1;
	}
	*size = in->held;
	return 0;
}

uint32_t mdfh_soup_input_run(struct soup_input *in, uint32_t *size, uint32_t max)
{
	uint32_t count = 1;

	while (in->end - in->at >= SOUP_HEADER) {
		uint32_t next = mdfh_load_be16(in->at) + 2u;

		if (next < SOUP_HEADER || in->at[2] != SOUP_SEQUENCED ||
		    (ptrdiff_t)next > in->end - in->at || *size + next > max)
			break;
		in->at += next;
		*size += next;
		count++;
	}
	return count;
}

enum mdfh_soup_reason mdfh_soup_check(const uint8_t *packet, uint32_t have)
{
	uint32_t size;

	if (have < 2)
		return MDFH_SOUP_NONE;
	size = mdfh_load_be16(packet) + 2u;
	if (size < SOUP_HEADER)
		return MDFH_SOUP_LENGTH;
	if (have < SOUP_HEADER)
		return MDFH_SOUP_NONE;
	switch (packet[2]) {
	case SOUP_DEBUG:
	case SOUP_SEQUENCED:
	case SOUP_UNSEQUENCED:
		return MDFH_SOUP_NONE;
	case SOUP_ACCEPTED:
		return size == SOUP_ACCEPTED_SIZE ? MDFH_SOUP_NONE : MDFH_SOUP_LENGTH;
	case SOUP_REJECTED:
		return size == SOUP_REJECTED_SIZE ? MDFH_SOUP_NONE : MDFH_SOUP_LENGTH;
	case SOUP_LOGIN:
		return size == SOUP_LOGIN_SIZE ? MDFH_SOUP_NONE : MDFH_SOUP_LENGTH;
	case SOUP_SERVER_HEARTBEAT:
	case SOUP_CLIENT_HEARTBEAT:
	case SOUP_END:
	case SOUP_LOGOUT:
		return size == SOUP_HEADER ? MDFH_SOUP_NONE : MDFH_SOUP_LENGTH;
	default:
		return MDFH_SOUP_TYPE;
	}
}

/* The bytes of a field between its spaces. */
static uint32_t trimmed(const uint8_t **field, uint32_t size)
{
	while (size > 0 && (*field)[size - 1] == ' ')
		size--;
	while (size > 0 && (*field)[0] == ' ') {
		++*field;
		size--;
	}
	return size;
}

int mdfh_soup_number(const uint8_t *text, uint64_t *number)
{
	uint32_t size = trimmed(&text, SOUP_NUMBER_TEXT);

	*number = 0;
	for (uint32_t i = 0; i < size; i++) {
		uint64_t digit = (uint64_t)text[i] - '0';

		if (digit > 9 || *number > (UINT64_MAX - digit) / 10)
			return -1;
		*number = *number * 10 + digit;
	}
	return size ? 0 : -1;
}

void mdfh_soup_text(const uint8_t *field, uint32_t size, char *out)
{
	uint32_t length = trimmed(&field, size);

	memset(out, 0, size + 1);
	memcpy(out, field, length);
}

/* Writing -------------------------------------------------------------------- */

int mdfh_soup_output_create(struct soup_output *out, uint32_t size)
{
	*out = (struct soup_output){.bytes = mdfh_lines_alloc(1, size), .size = size};
	if (!out->bytes)
		return mdfh_error(-ENOMEM, "SoupBinTCP: %u bytes of output", size);
	return 0;
}

void mdfh_soup_output_destroy(struct soup_output *out)
{
	if (out->bytes)
		explicit_bzero(out->bytes, out->size);
	free(out->bytes);
	out->bytes = NULL;
}

void mdfh_soup_output_put(
    struct soup_output *out, uint8_t type, const uint8_t *payload, uint32_t length)
{
	uint8_t *at;

	if (out->size - out->to < SOUP_HEADER + length) {
		memmove(out->bytes, out->bytes + out->from, out->to - out->from);
		out->to -= out->from;
		out->from = 0;
	}
	at = out->bytes + out->to;
	mdfh_store_be16(at, (uint16_t)(length + 1));
	at[2] = type;
	if (length)
		memcpy(at + SOUP_HEADER, payload, length);
	out->to += SOUP_HEADER + length;
}

void mdfh_soup_output_sent(struct soup_output *out, uint32_t bytes)
{
	out->from += bytes < out->to - out->from ? bytes : out->to - out->from;
	if (out->from == out->to)
		out->from = out->to = 0;
}

void mdfh_soup_pad_left(uint8_t *field, uint32_t size, const char *text)
{
	uint32_t length = (uint32_t)strlen(text);

	for (uint32_t i = 0; i < size; i++)
		field[i] = i < size - length ? ' ' : (uint8_t)text[i - (size - length)];
}

void mdfh_soup_pad_right(uint8_t *field, uint32_t size, const char *text)
{
	uint32_t length = (uint32_t)strlen(text);

	for (uint32_t i = 0; i < size; i++)
		field[i] = i < length ? (uint8_t)text[i] : ' ';
}

/* Table entry ------------------------------------------------------------------ */

/* Bytes that begin with a packet, as a segment of a capture does: the run of sequenced messages at
 * the front. Their numbers are known only to who has seen the login, so they belong to no stream. */
static int soup_parse(const uint8_t *data, uint32_t length, struct mdfh_unit *unit)
{
	struct soup_input in;
	uint32_t size = 0;

	*unit = (struct mdfh_unit){0};
	if (length < SOUP_HEADER) {
		unit->error = MDFH_SESSION_SHORT;
		return -EBADMSG;
	}
	if (mdfh_soup_check(data, length)) {
		unit->error = MDFH_SESSION_VERSION;
		return -EBADMSG;
	}
	in.at = data;
	in.end = data + length;
	unit->body = data;
	if (data[2] == SOUP_SEQUENCED) {
		unit->messages = mdfh_soup_input_run(&in, &size, UINT32_MAX) - 1;
		unit->body_length = size;
		unit->claimed = unit->messages;
	} else {
		unit->kind = data[2] == SOUP_END ? MDFH_UNIT_END : MDFH_UNIT_HEARTBEAT;
	}
	unit->error = MDFH_SESSION_SEQUENCE;
	return 0;
}

static void soup_session_text(const struct mdfh_unit *unit, char text[MDFH_SESSION_TEXT])
{
	memset(text, 0, MDFH_SESSION_TEXT);
	memcpy(text, unit->session, sizeof(unit->session));
}

const struct mdfh_session_ops mdfh_session_soupbintcp = {
    .name = "soupbintcp",
    .framing = MDFH_FRAMING_SOUPBIN,
    .is_stream = 1,
    .parse = soup_parse,
    .session_text = soup_session_text,
    .header_size = 0,
};
