/* mold.h - MoldUDP64 packets for tests, packed by hand: no code of src/session is used.
 *
 * Each message carries its own sequence number (8 bytes) and sequence % 7 bytes of filler, so
 * that a test can see that the right bytes came under the right number. */
#ifndef TESTS_SESSION_MOLD_H
#define TESTS_SESSION_MOLD_H

#include <stdint.h>
#include <string.h>

static inline uint32_t mold_message(uint8_t *out, uint64_t sequence)
{
	uint32_t filler = (uint32_t)(sequence % 7);

	out[0] = 0;
	out[1] = (uint8_t)(8 + filler);
	for (int i = 0; i < 8; i++)
		out[2 + i] = (uint8_t)(sequence >> (56 - 8 * i));
	memset(out + 10, 0xab, filler);
	return 10 + filler;
}

static inline void mold_header(uint8_t *out, const char *session, uint64_t first, unsigned count)
{
	memset(out, ' ', 10);
	memcpy(out, session, strlen(session) < 10 ? strlen(session) : 10);
	for (int i = 0; i < 8; i++)
		out[10 + i] = (uint8_t)(first >> (56 - 8 * i));
	out[18] = (uint8_t)(count >> 8);
	out[19] = (uint8_t)count;
}

/* A packet of count messages; returns its length. */
static inline uint32_t mold_packet(
    uint8_t *out, const char *session, uint64_t first, unsigned count)
{
	uint32_t at = 20;

	mold_header(out, session, first, count);
	for (unsigned i = 0; i < count; i++)
		at += mold_message(out + at, first + i);
	return at;
}

#endif
