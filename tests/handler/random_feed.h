/* random_feed.h - seeded random feeds of two channels and two lines: with system events,
 * sessions that begin anew, and packets lost on one line or both. */
#ifndef MDFH_TESTS_HANDLER_RANDOM_FEED_H
#define MDFH_TESTS_HANDLER_RANDOM_FEED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "feed.h"

enum {
	CHANNELS = 2,
	LINES = 2,
	INSTRUMENTS = 40, /* of a channel */
	ORDERS = 512,
};

struct order {
	uint64_t ref;
	uint16_t locate;
	uint32_t shares;
};

struct venue {
	uint64_t sequence;
	uint64_t next_ref;
	struct order orders[ORDERS];
	unsigned order_count;
	unsigned session; /* its name's last digit */
};

struct packet {
	uint8_t *data;
	uint32_t length;
	uint16_t flow; /* channel * LINES + line */
	uint64_t receive_ns;
};

struct stream {
	struct packet *packets;
	unsigned count;
	unsigned max;
	uint64_t messages; /* made */
};

/* A generator of its own, so that a seed means the same everywhere. */
static uint64_t random_state;

static inline uint32_t draw(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)((random_state >> 32) * below >> 32);
}

static inline void replace_order(
    struct feed *feed, struct order *order, uint64_t ref, uint32_t shares)
{
	uint8_t *at = feed_put(feed_message(feed, 35, 'U', order->locate, 6000), order->ref, 8);

	at = feed_put(at, ref, 8);
	at = feed_put(at, shares, 4);
	feed_put(at, 10000 + draw(50) * 100, 4);
	order->ref = ref;
	order->shares = shares;
}

static inline void cancel_order(struct feed *feed, struct order *order, uint32_t shares)
{
	feed_put(
	    feed_put(feed_message(feed, 23, 'X', order->locate, 7000), order->ref, 8), shares, 4);
	order->shares -= shares;
}

static inline void halt(struct feed *feed, uint16_t locate, const char symbol[8])
{
	uint8_t *at = feed_message(feed, 25, 'H', locate, 8000);

	memcpy(at, symbol, 8);
	at[8] = (uint8_t) "HPQT"[draw(4)];
}

/* Which names its instrument by symbol only: its locate is 0. */
static inline void ipo(struct feed *feed, const char symbol[8])
{
	uint8_t *at = feed_message(feed, 28, 'K', 0, 9000);

	memcpy(at, symbol, 8);
	at = feed_put(at + 8, 34200, 4);
	*at = 'A';
	feed_put(at + 1, 100000, 4);
}

static inline void name_of(uint16_t locate, char symbol[9])
{
	snprintf(symbol, 9, "S%-7u", locate);
}

/* One message that makes sense. malformed: now and then one that does not. */
static inline void one_message(struct feed *feed, struct venue *venue, int malformed)
{
	uint32_t what = draw(1000);
	uint16_t locate = (uint16_t)(1 + draw(INSTRUMENTS));
	char symbol[9];

	name_of(locate, symbol);
	if (malformed && what < 5) {
		feed_add(feed, locate, symbol, venue->next_ref++, 'Q', 100, 10000);
	} else if (malformed && what < 8) {
		feed_message(feed, 12, '?', locate, 1);
	} else if (what < 12) {
		feed_system(feed, "QMSE"[draw(4)]);
	} else if (what < 15) {
		ipo(feed, symbol);
	} else if (what < 30) {
		halt(feed, locate, symbol);
	} else if (what < 500 || !venue->order_count) {
		if (venue->order_count == ORDERS) {
			feed_delete(feed, venue->orders[0].locate, venue->orders[0].ref);
			venue->orders[0] = venue->orders[--venue->order_count];
			return;
		}
		venue->orders[venue->order_count] = (struct order){
		    .ref = venue->next_ref++, .locate = locate, .shares = 100 + draw(400)};
		feed_add(feed, locate, symbol, venue->orders[venue->order_count].ref,
		    draw(2) ? 'B' : 'S', venue->orders[venue->order_count].shares,
		    10000 + draw(50) * 100);
		venue->order_count++;
	} else {
		unsigned index = draw(venue->order_count);
		struct order *order = &venue->orders[index];

		if (what < 600) {
			replace_order(feed, order, venue->next_ref++, 100 + draw(400));
			return;
		}
		if (what < 700 && order->shares > 50) {
			cancel_order(feed, order, 1 + draw(49));
			return;
		}
		if (what < 800)
			feed_execute(feed, order->locate, order->ref, order->shares, what);
		else
			feed_delete(feed, order->locate, order->ref);
		*order = venue->orders[--venue->order_count];
	}
}

static inline void begin_packet(struct feed *feed, const struct venue *venue)
{
	feed_begin(feed, venue->sequence);
	feed->data[9] = (uint8_t)('0' + venue->session);
}

static inline void send(
    struct stream *stream, const struct feed *feed, unsigned channel, uint32_t loss)
{
	for (unsigned line = 0; line < LINES; line++) {
		struct packet *p = &stream->packets[stream->count];

		if (draw(1000) < loss)
			continue;
		assert_true(stream->count < stream->max);
		p->data = malloc(feed->length);
		assert_non_null(p->data);
		memcpy(p->data, feed->data, feed->length);
		p->length = feed->length;
		p->flow = (uint16_t)(channel * LINES + line);
		p->receive_ns = 1000000 + stream->count * UINT64_C(20000);
		stream->count++;
	}
}

/* Start of a day: instruments, then the event that makes books sound. */
static inline void start(struct stream *stream, struct venue *venue, unsigned channel)
{
	struct feed feed;

	venue->sequence = 1;
	venue->order_count = 0;
	begin_packet(&feed, venue);
	feed_system(&feed, 'O');
	for (uint16_t locate = 1; locate <= INSTRUMENTS; locate++) {
		char symbol[9];

		name_of(locate, symbol);
		feed_directory(&feed, locate, symbol);
	}
	send(stream, &feed, channel, 0);
	venue->sequence += feed.count;
	stream->messages += feed.count;
}

static inline void make_stream(
    struct stream *stream, uint64_t seed, unsigned packets, uint32_t loss, int malformed)
{
	static struct venue venues[CHANNELS];

	random_state = seed * 0x9E3779B97F4A7C15u + 1;
	memset(venues, 0, sizeof(venues));
	*stream = (struct stream){.max = (packets + 16) * LINES};
	stream->packets = calloc(stream->max, sizeof(*stream->packets));
	assert_non_null(stream->packets);
	for (unsigned c = 0; c < CHANNELS; c++)
		start(stream, &venues[c], c);
	for (unsigned i = 0; i < packets; i++) {
		unsigned channel = draw(4) ? 0 : 1; /* one is busier */
		struct venue *venue = &venues[channel];
		unsigned most = draw(8) ? 30 : 120;
		struct feed feed;

		begin_packet(&feed, venue);
		if (i == packets / 2) { /* a session ends, the next one begins */
			feed_end_of_session(&feed, venue->sequence);
			feed.data[9] = (uint8_t)('0' + venue->session);
			send(stream, &feed, channel, 0);
			venue->session++;
			start(stream, venue, channel);
			continue;
		}
		for (unsigned n = 1 + draw(most); n > 0; n--)
			one_message(&feed, venue, malformed);
		venue->sequence += feed.count;
		stream->messages += feed.count;
		send(stream, &feed, channel, loss);
	}
}

static inline void free_stream(struct stream *stream)
{
	for (unsigned i = 0; i < stream->count; i++)
		free(stream->packets[i].data);
	free(stream->packets);
}

#endif
