/* pipeline_state.h - what a pipeline consists of: shared by the files that implement it. */
#ifndef MDFH_HANDLER_PIPELINE_STATE_H
#define MDFH_HANDLER_PIPELINE_STATE_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>

#include "core/lines.h"
#include "handler/pipeline.h"
#include "handler/published.h"

enum {
	BATCH = MDFH_BYPASS_BATCH_MAX,
	PUBLISH_NS = 100000000,
	REFRESH_NS = 1000000000, /* how often an idle thread asks its ports how they are */
	HOUSE_NS = 1000000,      /* how often time is let pass in channels with a hole */
	DROPS_NS = 10000000, /* how often ports are asked for their drops while a hole grows old */
	EMPTY_POLLS = 64,    /* empty turns between two looks at the clock */
};

struct port_state {
	struct mdfh_pipeline_port config;
	struct mdfh_bypass_stats *stats; /* the port's own, written by this thread */
	int is_fault;
	int is_kernel;     /* its packets come through the kernel's queues */
	int is_late;       /* no packet brings its counters of drops */
	uint32_t readings; /* of these */
	int64_t asked_ns;  /* the newest of them */
	int64_t read_ns;   /* what had arrived by then has been taken: it was empty after that */
	_Atomic int error; /* 0, -ENODATA or what it died of; read by reports: relaxed */
	struct mdfh_packet packets[BATCH];
};

struct channel_state {
	struct mdfh_channel *session;
	enum mdfh_framing framing;
	uint16_t schema;
	uint16_t lines;
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

/* What other threads may read of a pipeline: struct mdfh_load_words, then one of the first of these
 * per channel, one of the second per port, and struct mdfh_dispatch_counts per worker; all of whole
 * 64-bit words. */
struct channel_words {
	struct mdfh_channel_stats session;
	struct mdfh_dispatch_lost dispatch;
	int64_t first_ns;
	int64_t last_ns;
	uint64_t truncated[MDFH_LINES_MAX];
	struct mdfh_line_times times[MDFH_LINES_MAX];
};

struct port_words {
	struct mdfh_bypass_stats port;
	struct mdfh_soup_client_stats login;
};

struct mdfh_pipeline {
	struct port_state *ports;
	unsigned port_count;
	unsigned ports_max;
	struct channel_state *channels;
	unsigned channel_count;
	struct mdfh_engine *engine; /* one of these two is there */
	struct mdfh_dispatch *dispatch;
	struct mdfh_consumer **taps; /* with workers: raw consumers */
	unsigned tap_count;

	/* Work in progress. */
	unsigned empty_polls;
	int64_t now_ns; /* newest reading of the clock */
	int64_t kept_house_ns;
	int64_t came_ns;      /* when packets came last */
	int64_t refreshed_ns; /* when an idle thread last asked its ports how they are */
	int64_t published_ns;
	int error; /* of the first port that died; valid for others once the thread has ended */
	char error_text[512];

	/* Latency. */
	uint32_t sample_mask;
	uint32_t batches;
	int sampling;
	uint64_t session_ticks;
	struct mdfh_histogram *receive_latency;
	struct mdfh_histogram *session_latency;
	struct mdfh_load load;

	/* The control thread's. All else is written by the receive thread alone. */
	_Alignas(MDFH_CACHE_LINE) _Atomic uint64_t kernel_drops;
	atomic_bool kernel_drops_known;

	struct mdfh_published published;
};

static_assert(offsetof(struct mdfh_pipeline, kernel_drops) % MDFH_CACHE_LINE == 0 &&
		  offsetof(struct mdfh_pipeline, published) >=
		      offsetof(struct mdfh_pipeline, kernel_drops) + MDFH_CACHE_LINE,
    "what the control thread writes has a line of its own");

/* Bytes that others may read of a pipeline. */
size_t mdfh_pipeline_bytes(const struct mdfh_pipeline *pipeline);

/* Receive thread: let others see the counters as they are now. */
void mdfh_pipeline_publish(struct mdfh_pipeline *pipeline);

#endif
