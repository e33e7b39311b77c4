/* plan.h - which thread polls a channel's lines, and which worker keeps its books.
 *
 * A channel's thread stands in the configuration, or is found by weight: channels that cannot be
 * separated, because lines of theirs share a port, are one unit; the heaviest unit first, each goes to
 * the thread with the least weight for its workers (longest processing time first, which is at most a
 * third worse than the best there is). So do the channels of a thread that shards by channel to its
 * workers. Equal configurations have equal plans. */
#ifndef MDFH_HANDLER_PLAN_H
#define MDFH_HANDLER_PLAN_H

#include "mdfh/handler.h"

struct mdfh_plan_channel {
	unsigned thread;
	int worker; /* -1 = none, or all of them by instrument */
	uint64_t weight;
	int is_auto;
};

struct mdfh_plan_thread {
	unsigned channels;
	uint64_t weight;
	enum mdfh_shard shard; /* DEFAULT = it has no workers */
	unsigned workers;
	unsigned worker_channels[MDFH_HANDLER_WORKERS_MAX];
	uint64_t worker_weight[MDFH_HANDLER_WORKERS_MAX];
};

struct mdfh_plan {
	unsigned channels_count;
	unsigned threads_count;
	struct mdfh_plan_channel channels[MDFH_HANDLER_CHANNELS_MAX];
	struct mdfh_plan_thread threads[MDFH_HANDLER_THREADS_MAX];
};

/* 0, or -EINVAL with a sentence: what a configuration says that cannot be, as far as can be seen without
 * opening anything. */
int mdfh_plan_make(const struct mdfh_handler_config *config, struct mdfh_plan *plan);

#endif
