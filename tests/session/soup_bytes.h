/* soup_bytes.h - SoupBinTCP packets written by hand, byte by byte, so that tests of it rest on no
 * packer of the product. */
#ifndef MDFH_TESTS_SESSION_SOUP_BYTES_H
#define MDFH_TESTS_SESSION_SOUP_BYTES_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct soup_bytes {
	uint8_t data[1 << 18];
	uint32_t length;
};

static inline void soup_packet(
    struct soup_bytes *b, char type, const void *payload, uint32_t length)
{
	b->data[b->length++] = (uint8_t)((length + 1) >> 8);
	b->data[b->length++] = (uint8_t)(length + 1);
	b->data[b->length++] = (uint8_t)type;
	memcpy(b->data + b->length, payload, length);
	b->length += length;
}

static inline void soup_text_packet(struct soup_bytes *b, char type, const char *payload)
{
	soup_packet(b, type, payload, (uint32_t)strlen(payload));
}

static inline void soup_accept(struct soup_bytes *b, const char *session, unsigned long long number)
{
	char text[64];

	snprintf(text, sizeof(text), "%10s%20llu", session, number);
	soup_packet(b, 'A', text, 30);
}

static inline void soup_login(struct soup_bytes *b, const char *username, const char *password,
    const char *session, unsigned long long number)
{
	char text[64];

	snprintf(text, sizeof(text), "%-6s%-10s%10s%20llu", username, password, session, number);
	soup_packet(b, 'L', text, 46);
}

/* A message that says its own number, 1 to 40 bytes longer than that. */
static inline uint32_t soup_numbered(uint8_t *message, uint64_t number)
{
	uint32_t length = 9 + (uint32_t)(number * 7 % 40);

	memset(message, (int)(number & 0xff), length);
	for (unsigned i = 0; i < 8; i++)
		message[i] = (uint8_t)(number >> (8 * i));
	return length;
}

static inline void soup_message(struct soup_bytes *b, uint64_t number)
{
	uint8_t message[64];

	soup_packet(b, 'S', message, soup_numbered(message, number));
}

#endif
