/* workers_test.h - a random feed through a pipeline, with and without workers, and the events that
 * come of it: shared by the tests of workers. */
#ifndef MDFH_TESTS_HANDLER_WORKERS_TEST_H
#define MDFH_TESTS_HANDLER_WORKERS_TEST_H

#include "handler/pipeline.h"
#include "handler/worker.h"
#include "mdfh/backend.h"
#include "mdfh/book.h"
#include "random_feed.h"

#define MIDNIGHT_NS 1763614800000000000

enum {
	WORKERS_MAX = 7,
	EVENTS_MAX = 400000,
	RING_BYTES = 256 << 10, /* the smallest: records meet its end often */
};

struct seen {
	struct mdfh_event *events;
	unsigned count;
	unsigned instruments[EVENTS_MAX]; /* by event: channel and locate, which rows are not */
	const struct mdfh_instruments *table;
};

static inline void on_events(
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

static inline struct seen *new_seen(struct mdfh_engine *engine)
{
	struct seen *seen = calloc(1, sizeof(*seen));

	assert_non_null(seen);
	seen->events = calloc(EVENTS_MAX, sizeof(*seen->events));
	assert_non_null(seen->events);
	seen->table = mdfh_engine_instruments(engine);
	mdfh_engine_on_events(engine, on_events, seen);
	return seen;
}

static inline void free_seen(struct seen *seen)
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
static inline void close_port(struct mdfh_bypass *port)
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

static inline void make_channels(struct world *w)
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

static inline void engine_config(struct mdfh_engine_config *engine)
{
	*engine = (struct mdfh_engine_config){
	    .instruments_max = 1000,
	    .books = {.orders_max = 8192, .levels_max = 8192},
	    .keep_books = 1,
	    .stop = &never,
	};
}

static inline void make_workers(struct world *w, unsigned workers, enum mdfh_shard shard)
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
static inline void make_world(struct world *w, unsigned workers, enum mdfh_shard shard)
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

static inline void give(
    struct world *w, const struct stream *stream, unsigned first, unsigned count)
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

static inline void start_workers(struct world *w)
{
	atomic_store(&w->receiver.running, true);
	for (unsigned k = 0; k < w->worker_count; k++)
		assert_int_equal(mdfh_worker_start(&w->workers[k]), 0);
}

/* The feed is over: workers end by themselves. */
static inline void finish(struct world *w)
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

static inline void destroy_world(struct world *w)
{
	for (unsigned i = 0; i < w->seen_count; i++)
		free_seen(w->seen[i]);
	for (unsigned k = 0; k < w->worker_count; k++)
		mdfh_worker_destroy(&w->workers[k]);
	free(w->workers);
	mdfh_pipeline_destroy(w->pipeline);
}

#endif
