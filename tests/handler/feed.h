/* feed.h - ITCH 5.0 messages and MoldUDP64 packets written by hand, byte by byte, so that tests of
 * the handler rest on no encoder of the product. */
#ifndef MDFH_TESTS_HANDLER_FEED_H
#define MDFH_TESTS_HANDLER_FEED_H

#include <stdint.h>
#include <string.h>

struct feed {
	uint8_t data[8972];
	uint32_t length;
	uint16_t count;
};

static inline uint8_t *feed_put(uint8_t *at, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
	return at + bytes;
}

/* Begin a packet of session "TESTSESS01" whose first message has this number. */
static inline void feed_begin(struct feed *feed, uint64_t sequence)
{
	memcpy(feed->data, "TESTSESS01", 10);
	feed_put(feed->data + 10, sequence, 8);
	feed_put(feed->data + 18, 0, 2);
	feed->length = 20;
	feed->count = 0;
}

static inline void feed_end_of_session(struct feed *feed, uint64_t sequence)
{
	feed_begin(feed, sequence);
	feed_put(feed->data + 18, 0xffff, 2);
}

static inline uint8_t *feed_message(
    struct feed *feed, uint16_t length, char type, uint16_t locate, uint64_t time_ns)
{
	uint8_t *at = feed_put(feed->data + feed->length, length, 2);

	memset(at, ' ', length);
	feed->length += 2u + length;
	feed->count++;
	feed_put(feed->data + 18, feed->count, 2);
	*at++ = (uint8_t)type;
	at = feed_put(at, locate, 2);
	at = feed_put(at, 0, 2);
	return feed_put(at, time_ns, 6);
}

static inline void feed_system(struct feed *feed, char code)
{
	*feed_message(feed, 12, 'S', 0, 1000) = (uint8_t)code;
}

static inline void feed_directory(struct feed *feed, uint16_t locate, const char symbol[8])
{
	uint8_t *at = feed_message(feed, 39, 'R', locate, 2000);

	memcpy(at, symbol, 8);
	feed_put(at + 10, 100, 4);
}

static inline void feed_add(struct feed *feed, uint16_t locate, const char symbol[8], uint64_t ref,
    char side, uint32_t shares, uint32_t price)
{
	uint8_t *at = feed_put(feed_message(feed, 36, 'A', locate, 3000), ref, 8);

	*at++ = (uint8_t)side;
	at = feed_put(at, shares, 4);
	memcpy(at, symbol, 8);
	feed_put(at + 8, price, 4);
}

static inline void feed_execute(
    struct feed *feed, uint16_t locate, uint64_t ref, uint32_t shares, uint64_t match)
{
	uint8_t *at = feed_put(feed_message(feed, 31, 'E', locate, 4000), ref, 8);

	feed_put(feed_put(at, shares, 4), match, 8);
}

static inline void feed_delete(struct feed *feed, uint16_t locate, uint64_t ref)
{
	feed_put(feed_message(feed, 19, 'D', locate, 5000), ref, 8);
}

#endif
