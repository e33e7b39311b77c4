/* test_workers.c - a receive thread with workers makes of a feed what one without makes.
 *
 * Seeded random feeds of two channels and two lines, with system events, sessions that begin anew and
 * packets lost on one line or both, go through a pipeline with an engine of its own and through one
 * with workers in other threads. Of every instrument the events must be the same in the same order, of
 * what names no instrument each must come once without the flag COPY, and the books must be equal.
 *
 * What happens when a ring is full is tested without threads: a worker works when the test says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "feed.h"
#include "handler/pipeline.h"
#include "handler/worker.h"
#include "mdfh/backend.h"
#include "mdfh/book.h"
#include "mdfh/error.h"

#define MIDNIGHT_NS 1763614800000000000

enum {
	CHANNELS = 2,
	LINES = 2,
	INSTRUMENTS = 40, /* of a channel */
	ORDERS = 512,
	WORKERS_MAX = 7,
	EVENTS_MAX = 400000,
	RING_BYTES = 256 << 10, /* the smallest: records meet its end often */
};

/* A generator of its own, so that a seed means the same everywhere. */
static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)((random_state >> 32) * below >> 32);
}

/* The feed ---------------------------------------------------------------------------------- */

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

static void replace_order(struct feed *feed, struct order *order, uint64_t ref, uint32_t shares)
{
	uint8_t *at = feed_put(feed_message(feed, 35, 'U', order->locate, 6000), order->ref, 8);

	at = feed_put(at, ref, 8);
	at = feed_put(at, shares, 4);
	feed_put(at, 10000 + draw(50) * 100, 4);
	order->ref = ref;
	order->shares = shares;
}

static void cancel_order(struct feed *feed, struct order *order, uint32_t shares)
{
	feed_put(
	    feed_put(feed_message(feed, 23, 'X', order->locate, 7000), order->ref, 8), shares, 4);
	order->shares -= shares;
}

static void halt(struct feed *feed, uint16_t locate, const char symbol[8])
{
	uint8_t *at = feed_message(feed, 25, 'H', locate, 8000);

	memcpy(at, symbol, 8);
	at[8] = (uint8_t) "HPQT"[draw(4)];
}

/* Which names its instrument by symbol only: its locate is 0. */
static void ipo(struct feed *feed, const char symbol[8])
{
	uint8_t *at = feed_message(feed, 28, 'K', 0, 9000);

	memcpy(at, symbol, 8);
	at = feed_put(at + 8, 34200, 4);
	*at = 'A';
	feed_put(at + 1, 100000, 4);
}

static void name_of(uint16_t locate, char symbol[9])
{
	snprintf(symbol, 9, "S%-7u", locate);
}

/* One message that makes sense. malformed: now and then one that does not. */
static void one_message(struct feed *feed, struct venue *venue, int malformed)
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

static void begin_packet(struct feed *feed, const struct venue *venue)
{
	feed_begin(feed, venue->sequence);
	feed->data[9] = (uint8_t)('0' + venue->session);
}

static void send(struct stream *stream, const struct feed *feed, unsigned channel, uint32_t loss)
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
static void start(struct stream *stream, struct venue *venue, unsigned channel)
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

static void make_stream(
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

static void free_stream(struct stream *stream)
{
	for (unsigned i = 0; i < stream->count; i++)
		free(stream->packets[i].data);
	free(stream->packets);
}

/* What comes of it -------------------------------------------------------------------------- */

struct seen {
	struct mdfh_event *events;
	unsigned count;
	unsigned instruments[EVENTS_MAX]; /* by event: channel and locate, which rows are not */
	const struct mdfh_instruments *table;
};

static void on_events(
    void *context, const struct mdfh_event *events, int n, const struct mdfh_books *books)
{
	struct seen *seen = context;

	(void)books;
	for (int i = 0; i < n && seen->count < EVENTS_MAX; i++) {
		const struct mdfh_instrument *row =
		    mdfh_instruments_get(seen->table, events[i].instrument);

		seen->instruments[seen->count] =
		    events[i].instrument ? (unsigned)row->channel << 16 | (uint16_t)row->venue_id
					 : 0;
		seen->events[seen->count] = events[i];
		seen->events[seen->count++].instrument = 0;
	}
}

static struct seen *new_seen(struct mdfh_engine *engine)
{
	struct seen *seen = calloc(1, sizeof(*seen));

	assert_non_null(seen);
	seen->events = calloc(EVENTS_MAX, sizeof(*seen->events));
	assert_non_null(seen->events);
	seen->table = mdfh_engine_instruments(engine);
	mdfh_engine_on_events(engine, on_events, seen);
	return seen;
}

static void free_seen(struct seen *seen)
{
	free(seen->events);
	free(seen);
}

/* A pipeline of two channels, which take their flows from one port that is none. */
struct world {
	struct mdfh_pipeline_channel channels[CHANNELS];
	struct mdfh_pipeline *pipeline;
	struct mdfh_dispatch *dispatch;
	struct mdfh_thread receiver; /* whose life the workers go by: the test itself */
	struct mdfh_worker *workers;
	unsigned worker_count;
	struct seen *seen[WORKERS_MAX];
	unsigned seen_count;
};

static atomic_bool never;

/* Of no backend: packets are given by the test. */
static void close_port(struct mdfh_bypass *port)
{
	(void)port;
}

static const struct mdfh_bypass_ops port_ops = {
    .size = sizeof(port_ops), .name = "given", .close = close_port};

static struct mdfh_bypass port = {
    .ops = &port_ops,
    .batch_size = 64,
    .capabilities = {.size = sizeof(port.capabilities),
	.is_finite = 1,
	.copy_reason = "",
	.poll_fd = -1,
	.warning = "",
	.frame_size = 65535},
};

static void make_channels(struct world *w)
{
	for (uint16_t c = 0; c < CHANNELS; c++)
		w->channels[c] = (struct mdfh_pipeline_channel){
		    .protocol = "itch50",
		    .session = {.size = sizeof(struct mdfh_channel_config),
			.session = mdfh_session_find("moldudp64"),
			.channel = c,
			.lines = LINES,
			.window_ns = 200000},
		    .midnight_ns = MIDNIGHT_NS,
		};
}

static void engine_config(struct mdfh_engine_config *engine)
{
	*engine = (struct mdfh_engine_config){
	    .instruments_max = 1000,
	    .books = {.orders_max = 8192, .levels_max = 8192},
	    .keep_books = 1,
	    .stop = &never,
	};
}

static void make_workers(struct world *w, unsigned workers, enum mdfh_shard shard)
{
	struct mdfh_dispatch_channel to[CHANNELS];
	struct mdfh_engine_channel engines[CHANNELS];
	struct mdfh_dispatch_config config = {
	    .channels = to,
	    .channel_count = CHANNELS,
	    .workers = workers,
	    .shard = shard,
	    .ring_bytes = RING_BYTES,
	    .stop = &never,
	};

	for (unsigned c = 0; c < CHANNELS; c++) {
		engines[c] = mdfh_pipeline_engine_channel(&w->channels[c]);
		to[c] = (struct mdfh_dispatch_channel){
		    .protocol = "itch50",
		    .framing = engines[c].framing,
		    .number = (uint16_t)c,
		    .worker = c % workers,
		    .index = shard == MDFH_SHARD_CHANNEL ? c / workers : c,
		};
	}
	assert_int_equal(mdfh_dispatch_create(&config, &w->dispatch), 0);
	w->workers = aligned_alloc(MDFH_CACHE_LINE, workers * sizeof(*w->workers));
	assert_non_null(w->workers);
	memset(w->workers, 0, workers * sizeof(*w->workers));
	w->worker_count = workers;
	for (unsigned k = 0; k < workers; k++) {
		struct mdfh_engine_channel mine[CHANNELS];
		struct mdfh_engine_config config_of_one;
		struct mdfh_engine *engine;

		engine_config(&config_of_one);
		for (unsigned c = 0; c < CHANNELS; c++)
			if (shard == MDFH_SHARD_INSTRUMENT || c % workers == k)
				mine[config_of_one.channel_count++] = engines[c];
		config_of_one.channels = mine;
		assert_int_equal(mdfh_engine_create(&config_of_one, &engine), 0);
		assert_int_equal(
		    mdfh_worker_create(&w->workers[k], engine, w->dispatch, k, &w->receiver, 1), 0);
		w->seen[w->seen_count++] = new_seen(engine);
	}
}

/* workers = 0: one thread does it all. */
static void make_world(struct world *w, unsigned workers, enum mdfh_shard shard)
{
	struct mdfh_pipeline_config config = {
	    .ports_max = 1, .channels = w->channels, .channel_count = CHANNELS};
	struct mdfh_pipeline_port given = {.port = &port, .flow_count = CHANNELS * LINES};

	memset(w, 0, sizeof(*w));
	make_channels(w);
	engine_config(&config.engine);
	if (workers)
		make_workers(w, workers, shard);
	config.dispatch = w->dispatch;
	assert_int_equal(mdfh_pipeline_create(&config, &w->pipeline), 0);
	for (uint16_t f = 0; f < CHANNELS * LINES; f++) {
		given.flows[f].channel = f / LINES;
		given.flows[f].line = f % LINES;
	}
	mdfh_pipeline_add_port(w->pipeline, &given);
	if (!workers)
		w->seen[w->seen_count++] = new_seen(mdfh_pipeline_engine(w->pipeline));
}

static void give(struct world *w, const struct stream *stream, unsigned first, unsigned count)
{
	static struct mdfh_packet packets[64];

	for (unsigned i = first; i < first + count;) {
		unsigned n = 0;

		for (; n < 64 && i < first + count; n++, i++)
			packets[n] = (struct mdfh_packet){.data = stream->packets[i].data,
			    .length = stream->packets[i].length,
			    .flow = stream->packets[i].flow,
			    .flags = MDFH_PACKET_RECORDED | MDFH_PACKET_TIME_CAPTURE,
			    .receive_ns = stream->packets[i].receive_ns};
		mdfh_pipeline_packets(w->pipeline, 0, packets, (int)n, 1);
	}
}

static void start_workers(struct world *w)
{
	atomic_store(&w->receiver.running, true);
	for (unsigned k = 0; k < w->worker_count; k++)
		assert_int_equal(mdfh_worker_start(&w->workers[k]), 0);
}

/* The feed is over: workers end by themselves. */
static void finish(struct world *w)
{
	mdfh_pipeline_finish(w->pipeline);
	atomic_store_explicit(&w->receiver.running, false, memory_order_release);
	for (unsigned k = 0; k < w->worker_count; k++) {
		if (w->workers[k].thread.started)
			assert_int_equal(mdfh_worker_stop(&w->workers[k]), 1);
		else
			mdfh_worker_finish(&w->workers[k]);
	}
}

static void destroy_world(struct world *w)
{
	for (unsigned i = 0; i < w->seen_count; i++)
		free_seen(w->seen[i]);
	for (unsigned k = 0; k < w->worker_count; k++)
		mdfh_worker_destroy(&w->workers[k]);
	free(w->workers);
	mdfh_pipeline_destroy(w->pipeline);
}

static const struct mdfh_engine *engine_of(const struct world *w, unsigned index)
{
	return w->worker_count ? w->workers[index].engine : mdfh_pipeline_engine(w->pipeline);
}

static uint64_t checksum(const struct world *w)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < w->seen_count; i++)
		sum += mdfh_books_checksum(mdfh_engine_books(engine_of(w, i)));
	return sum;
}

/* What all decoders have counted; sharded by instrument all of them have all channels. */
static struct mdfh_engine_counts total(const struct world *w)
{
	struct mdfh_engine_counts sum = {0};

	for (unsigned i = 0; i < w->seen_count; i++) {
		for (unsigned c = 0; c < CHANNELS; c++) {
			struct mdfh_engine_counts counts;

			mdfh_engine_counts(engine_of(w, i), c, &counts);
			sum.messages += counts.messages;
			sum.refused += counts.refused;
			sum.unknown += counts.unknown;
		}
	}
	return sum;
}

/* Comparison -------------------------------------------------------------------------------- */

struct indexed {
	unsigned key;
	unsigned at;
};

static int compare_indexed(const void *a, const void *b)
{
	const struct indexed *x = a;
	const struct indexed *y = b;

	return x->key != y->key ? (x->key > y->key) - (x->key < y->key)
				: (x->at > y->at) - (x->at < y->at);
}

/* Events by instrument, in their order; those of none by channel behind 0. Copies are left out. */
static struct indexed *sorted(const struct seen *seen, unsigned *count)
{
	struct indexed *list = calloc(seen->count + 1, sizeof(*list));

	assert_non_null(list);
	*count = 0;
	for (unsigned i = 0; i < seen->count; i++)
		if (!(seen->events[i].flags & MDFH_EVENT_COPY))
			list[(*count)++] = (struct indexed){
			    .key = seen->instruments[i] ? seen->instruments[i] | 1u << 31
							: seen->events[i].channel,
			    .at = i};
	qsort(list, *count, sizeof(*list), compare_indexed);
	return list;
}

static void expect_equal_event(const struct mdfh_event *is, const struct mdfh_event *wanted)
{
	if (memcmp(is, wanted, sizeof(*is)) != 0)
		fail_msg("event %llu.%u %s flags %x is not %llu.%u %s flags %x",
		    (unsigned long long)is->sequence, is->part, mdfh_event_kind_name(is->kind),
		    is->flags, (unsigned long long)wanted->sequence, wanted->part,
		    mdfh_event_kind_name(wanted->kind), wanted->flags);
}

/* Whole: the events of every instrument, and each other event once. */
static void expect_equal_events(const struct world *w, const struct world *one)
{
	struct indexed *lists[WORKERS_MAX];
	unsigned counts[WORKERS_MAX];
	unsigned at[WORKERS_MAX] = {0};
	unsigned count;
	struct indexed *wanted = sorted(one->seen[0], &count);
	unsigned all = 0;

	assert_true(one->seen[0]->count < EVENTS_MAX);
	for (unsigned k = 0; k < w->seen_count; k++) {
		lists[k] = sorted(w->seen[k], &counts[k]);
		all += counts[k];
	}
	for (unsigned i = 0; i < count;) {
		unsigned key = wanted[i].key;
		unsigned owners = 0;

		for (unsigned k = 0; k < w->seen_count; k++) {
			if (at[k] == counts[k] || lists[k][at[k]].key != key)
				continue;
			owners++;
			for (; i < count && wanted[i].key == key; i++, at[k]++) {
				if (at[k] == counts[k] || lists[k][at[k]].key != key)
					fail_msg("worker %u has too few events of %x", k, key);
				expect_equal_event(&w->seen[k]->events[lists[k][at[k]].at],
				    &one->seen[0]->events[wanted[i].at]);
			}
		}
		if (owners != 1)
			fail_msg("%u workers have events of %x", owners, key);
	}
	assert_int_equal(all, count);
	for (unsigned k = 0; k < w->seen_count; k++)
		free(lists[k]);
	free(wanted);
}

/* Inside a worker the numbers of a channel never go back, and every marker stands there in its place. */
static void expect_order(const struct world *w, const struct world *one)
{
	for (unsigned k = 0; k < w->seen_count; k++) {
		uint64_t newest[CHANNELS] = {0};
		unsigned markers[CHANNELS] = {0};

		for (unsigned i = 0; i < w->seen[k]->count; i++) {
			const struct mdfh_event *e = &w->seen[k]->events[i];
			uint64_t now = (uint64_t)e->epoch << 56 | e->sequence;

			if (now < newest[e->channel])
				fail_msg("worker %u: %llu behind %llu", k,
				    (unsigned long long)e->sequence,
				    (unsigned long long)newest[e->channel]);
			newest[e->channel] = now;
			markers[e->channel] += !w->seen[k]->instruments[i];
		}
		for (unsigned i = 0; i < one->seen[0]->count; i++)
			markers[one->seen[0]->events[i].channel] -= !one->seen[0]->instruments[i];
		for (unsigned c = 0; c < CHANNELS; c++)
			assert_int_equal(markers[c], 0);
	}
}

/* Tests ------------------------------------------------------------------------------------- */

static void compare(uint64_t seed, unsigned workers, enum mdfh_shard shard, uint32_t loss)
{
	static struct world one;
	static struct world many;
	struct stream stream;

	make_stream(&stream, seed, 3000, loss, 0);
	make_world(&one, 0, MDFH_SHARD_DEFAULT);
	give(&one, &stream, 0, stream.count);
	finish(&one);
	make_world(&many, workers, shard);
	start_workers(&many);
	give(&many, &stream, 0, stream.count);
	finish(&many);
	expect_equal_events(&many, &one);
	if (shard == MDFH_SHARD_INSTRUMENT)
		expect_order(&many, &one);
	assert_int_equal(checksum(&many), checksum(&one));
	assert_true(mdfh_books_stats(mdfh_engine_books(engine_of(&one, 0)))->orders > 100);
	for (unsigned c = 0; c < CHANNELS; c++) {
		struct mdfh_channel_report a, b;

		memset(&a, 0, sizeof(a));
		memset(&b, 0, sizeof(b));
		mdfh_pipeline_channel_report(one.pipeline, c, &a);
		mdfh_pipeline_channel_report(many.pipeline, c, &b);
		assert_memory_equal(&a, &b, sizeof(a));
		assert_true(loss == 0 ? !a.session.lost : a.session.gaps > 10);
	}
	if (shard == MDFH_SHARD_INSTRUMENT)
		assert_int_equal(total(&many).messages, total(&one).messages);
	destroy_world(&many);
	destroy_world(&one);
	free_stream(&stream);
}

static void test_by_instrument(void **state)
{
	static const unsigned workers[] = {1, 2, 3, WORKERS_MAX};

	(void)state;
	for (unsigned i = 0; i < sizeof(workers) / sizeof(workers[0]); i++) {
		compare(1 + i, workers[i], MDFH_SHARD_INSTRUMENT, 0);
		compare(11 + i, workers[i], MDFH_SHARD_INSTRUMENT, 150);
	}
}

static void test_by_channel(void **state)
{
	(void)state;
	for (unsigned workers = 1; workers <= CHANNELS; workers++) {
		compare(21 + workers, workers, MDFH_SHARD_CHANNEL, 0);
		compare(31 + workers, workers, MDFH_SHARD_CHANNEL, 150);
	}
}

/* What a decoder refuses is a gap of its shard, and of no other: so the books of one thread are
 * unsound, which is all that differs. Everything is counted once. */
static void test_refused_messages(void **state)
{
	static struct world one;
	static struct world many;
	struct mdfh_engine_counts wanted;
	struct mdfh_engine_counts is;
	struct stream stream;

	(void)state;
	make_stream(&stream, 41, 1000, 0, 1);
	make_world(&one, 0, MDFH_SHARD_DEFAULT);
	give(&one, &stream, 0, stream.count);
	finish(&one);
	make_world(&many, 3, MDFH_SHARD_INSTRUMENT);
	start_workers(&many);
	give(&many, &stream, 0, stream.count);
	finish(&many);
	wanted = total(&one);
	is = total(&many);
	assert_true(wanted.refused > 10 && wanted.unknown > 10);
	assert_memory_equal(&is, &wanted, sizeof(is));
	assert_int_equal(checksum(&many), checksum(&one));
	destroy_world(&many);
	destroy_world(&one);
	free_stream(&stream);
}

/* Give up waiting for workers that do not work: their rings fill, they lose, and are told. */
static void full_ring(enum mdfh_shard shard)
{
	static struct world w;
	struct mdfh_dispatch_counts counts = {0};
	struct mdfh_channel_report report;
	struct stream stream;
	uint64_t dropped = 0, handed = 0, given = 0, lost = 0, gaps = 0;

	make_stream(&stream, 51, 3000, 0, 0);
	make_world(&w, 2, shard);
	mdfh_dispatch_set_full(w.dispatch, MDFH_FULL_DROP);
	for (unsigned i = 0; i < stream.count; i += 64) {
		give(&w, &stream, i, stream.count - i < 64 ? stream.count - i : 64);
		/* A burst of work, now and then: rings run empty, and full again. The second worker
		 * sleeps longer. */
		if (i / 64 % 30 == 29)
			while (mdfh_worker_poll(&w.workers[0]))
				;
		if (i / 64 % 50 == 49)
			while (mdfh_worker_poll(&w.workers[1]))
				;
	}
	finish(&w);
	for (unsigned k = 0; k < 2; k++) {
		uint64_t told = 0;
		uint64_t newest[CHANNELS] = {0};

		mdfh_pipeline_lane_report(w.pipeline, k, &counts);
		/* Told at the end counts when it is told, which is after the thread's last report. */
		counts = *mdfh_dispatch_counts(w.dispatch, k);
		assert_true(counts.dropped > 100);
		assert_true(counts.gaps > 0);
		handed += counts.messages;
		dropped += counts.dropped;
		gaps += counts.gaps;
		for (unsigned i = 0; i < w.seen[k]->count; i++) {
			const struct mdfh_event *e = &w.seen[k]->events[i];
			uint64_t now = (uint64_t)e->epoch << 56 | e->sequence;

			assert_true(now >= newest[e->channel]);
			newest[e->channel] = now;
			if (e->kind != MDFH_EVENT_GAP || e->gap.cause != MDFH_CAUSE_WORKER)
				continue;
			told++;
			assert_false(e->flags & MDFH_EVENT_COPY);
			/* Nothing of the range came: the next event is behind it. */
			newest[e->channel] =
			    (uint64_t)e->epoch << 56 | (e->gap.first + e->gap.count);
		}
		assert_int_equal(told, counts.gaps);
	}
	for (unsigned c = 0; c < CHANNELS; c++) {
		memset(&report, 0, sizeof(report));
		mdfh_pipeline_channel_report(w.pipeline, c, &report);
		lost += report.session.lost_by_cause[MDFH_CAUSE_WORKER];
		given += report.session.delivered + report.session.lost;
		assert_int_equal(
		    report.session.lost, report.session.lost_by_cause[MDFH_CAUSE_WORKER]);
	}
	/* The ledger balances: every number was delivered or lost, and lost once. */
	assert_int_equal(given, stream.messages);
	assert_true(lost > 0 && lost <= dropped);
	if (shard == MDFH_SHARD_CHANNEL) {
		assert_int_equal(lost, dropped);
		assert_int_equal(handed + dropped, stream.messages);
	}
	assert_true(gaps > 1);
	destroy_world(&w);
	free_stream(&stream);
}

static void test_full_by_instrument(void **state)
{
	(void)state;
	full_ring(MDFH_SHARD_INSTRUMENT);
}

static void test_full_by_channel(void **state)
{
	(void)state;
	full_ring(MDFH_SHARD_CHANNEL);
}

/* The day is over for users when the workers have come to its end, not when the receive thread has. */
static void test_session_end(void **state)
{
	static struct world w;
	struct stream stream = {.max = CHANNELS * LINES};

	(void)state;
	stream.packets = calloc(stream.max, sizeof(*stream.packets));
	assert_non_null(stream.packets);
	for (unsigned c = 0; c < CHANNELS; c++) {
		const struct venue venue = {.sequence = 1};
		struct feed feed;

		begin_packet(&feed, &venue);
		feed_end_of_session(&feed, venue.sequence);
		feed.data[9] = (uint8_t)('0' + venue.session);
		send(&stream, &feed, c, 0);
	}
	make_world(&w, 2, MDFH_SHARD_INSTRUMENT);
	assert_false(mdfh_pipeline_session_ended(w.pipeline));
	give(&w, &stream, 0, stream.count);
	assert_false(mdfh_pipeline_session_ended(w.pipeline));
	while (mdfh_worker_poll(&w.workers[0]))
		;
	assert_false(mdfh_pipeline_session_ended(w.pipeline));
	while (mdfh_worker_poll(&w.workers[1]))
		;
	assert_true(mdfh_pipeline_session_ended(w.pipeline));
	finish(&w);
	destroy_world(&w);
	free_stream(&stream);
}

/* A waiting receive thread is stopped: what it has in hand is lost, and told. */
static void test_stop_while_waiting(void **state)
{
	static struct world w;
	struct stream stream;

	(void)state;
	make_stream(&stream, 61, 3000, 0, 0);
	make_world(&w, 2, MDFH_SHARD_INSTRUMENT);
	atomic_store(&never, true);
	give(&w, &stream, 0, stream.count); /* returns, for all that nobody works */
	atomic_store(&never, false);
	/* The workers come when all is over, and are told at their end, both at once. */
	mdfh_pipeline_finish(w.pipeline);
	start_workers(&w);
	finish(&w);
	for (unsigned k = 0; k < 2; k++) {
		unsigned told = 0;

		assert_true(mdfh_dispatch_counts(w.dispatch, k)->dropped > 1000);
		for (unsigned i = 0; i < w.seen[k]->count; i++)
			told += w.seen[k]->events[i].kind == MDFH_EVENT_GAP;
		assert_true(told >= 1);
	}
	destroy_world(&w);
	free_stream(&stream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_by_instrument),
	    cmocka_unit_test(test_by_channel),
	    cmocka_unit_test(test_refused_messages),
	    cmocka_unit_test(test_full_by_instrument),
	    cmocka_unit_test(test_full_by_channel),
	    cmocka_unit_test(test_session_end),
	    cmocka_unit_test(test_stop_while_waiting),
	};

	return cmocka_run_group_tests_name("workers", tests, NULL, NULL);
}
