/* pipeline_state.h - what a pipeline consists of: shared by the files that implement it. */
#ifndef MDFH_HANDLER_PIPELINE_STATE_H
#define MDFH_HANDLER_PIPELINE_STATE_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>

#include "core/lines.h"
#include "handler/pipeline.h"

enum {
	OPS_MAX = 512,
	OPS_LEAST = 16, /* room that a decoder needs to go on */
	EVENTS_MAX = 512,
	ORIGINS_MAX = 256,
	BATCH = MDFH_BYPASS_BATCH_MAX,
	PUBLISH_NS = 100000000,
	REFRESH_NS = 1000000000, /* how often an idle thread asks its ports how they are */
	HOUSE_NS = 1000000,      /* how often time is let pass in channels with a hole */
	EMPTY_POLLS = 64,        /* empty turns between two looks at the clock */
	TRADES_KEPT = 1 << 20,   /* a break can be of any trade of the day */
};

struct port_state {
	struct mdfh_pipeline_port config;
	struct mdfh_bypass_stats *stats; /* the port's own, written by this thread */
	int is_fault;
	int is_kernel;     /* its packets come through the kernel's queues */
	_Atomic int error; /* 0, -ENODATA or what it died of; read by reports: relaxed */
	struct mdfh_packet packets[BATCH];
};

struct channel_state {
	struct mdfh_channel *session;
	struct mdfh_decoder *decoder;
	enum mdfh_framing framing;
	uint16_t schema;
	uint16_t lines;
	uint16_t number;
	const char *name;
	uint16_t ports[MDFH_LINES_MAX];
	uint64_t truncated[MDFH_LINES_MAX]; /* packets longer than a frame */
	struct mdfh_line_times times[MDFH_LINES_MAX];
	unsigned lines_open; /* whose ports have neither ended nor died */
	int is_capture;      /* its newest packet came from one: time is what packets say */
	int64_t now_ns;      /* time at its newest packet */
	int64_t first_ns;    /* this host's clock at the first batch, at the newest */
	int64_t last_ns;
	_Atomic int ended;
};

/* What other threads may read of a pipeline: struct mdfh_books_stats, then one of the first of
 * these per channel, then one of the second per port; all of whole 64-bit words. */
struct channel_words {
	struct mdfh_channel_stats session;
	uint64_t messages;
	uint64_t refused;
	uint64_t unknown;
	int64_t first_ns;
	int64_t last_ns;
	uint64_t truncated[MDFH_LINES_MAX];
	struct mdfh_line_times times[MDFH_LINES_MAX];
};

struct port_words {
	struct mdfh_bypass_stats port;
	struct mdfh_soup_client_stats login;
};

/* An instrument of the events that are handed out, and its last event among them. */
struct touched {
	uint32_t row;
	int event;
};

struct mdfh_pipeline {
	struct port_state *ports;
	unsigned port_count;
	struct channel_state *channels;
	unsigned channel_count;
	struct mdfh_instruments *instruments;
	struct mdfh_books *books;
	struct mdfh_depth *depth;
	struct mdfh_consumer **consumers;
	unsigned consumer_count;
	struct mdfh_consumer *direct; /* the one consumer whose ring events are made in */
	unsigned event_consumers;
	unsigned raw_consumers;
	const char **symbols;
	mdfh_events_handler on_events;
	void *context;

	/* Work in progress. */
	int op_count;
	unsigned origin_count;
	uint16_t *touched_at; /* by instrument row: 1 + its place in touched, 0 = not in it */
	unsigned empty_polls;
	int64_t kept_house_ns;
	int64_t refreshed_ns;         /* when an idle thread last asked its ports how they are */
	uint64_t instruments_refused; /* of which consumers know */
	int64_t published_ns;
	int error; /* of the first port that died; valid for others once the thread has ended */
	char error_text[512];

	/* Latency. */
	uint32_t sample_mask;
	uint32_t batches;
	int sampling;
	uint64_t session_ticks;
	uint64_t decode_ticks;
	uint64_t book_ticks;
	struct mdfh_histogram *latency[MDFH_STAGES];

	/* The control thread's. All else is written by the receive thread alone. */
	_Alignas(MDFH_CACHE_LINE) _Atomic uint64_t kernel_drops;
	atomic_bool kernel_drops_known;

	/* Publication: an odd count means that words are being written. The release store after
	 * the words pairs with the acquire load in read_words. */
	_Alignas(MDFH_CACHE_LINE) _Atomic uint32_t publish_count;
	size_t word_count;
	_Atomic uint64_t *words;
	uint64_t *scratch_words;

	struct mdfh_origin origins[ORIGINS_MAX];
	struct mdfh_op ops[OPS_MAX];
	struct mdfh_event events[EVENTS_MAX];
	struct touched touched[EVENTS_MAX];
};

static_assert(offsetof(struct mdfh_pipeline, kernel_drops) % MDFH_CACHE_LINE == 0 &&
		  offsetof(struct mdfh_pipeline, publish_count) >=
		      offsetof(struct mdfh_pipeline, kernel_drops) + MDFH_CACHE_LINE,
    "what the control thread writes has a line of its own");

/* How many 64-bit words others may read of a pipeline with so many ports. */
size_t mdfh_pipeline_words(const struct mdfh_pipeline *pipeline, unsigned ports);

/* Receive thread: let others see the counters as they are now. */
void mdfh_pipeline_publish(struct mdfh_pipeline *pipeline);

#endif
