/* plan.c - channels to threads and workers, before anything is opened. */
#include "handler/plan.h"

#include <errno.h>
#include <string.h>

#include "handler/ports.h"
#include "mdfh/error.h"

/* Channels whose lines share a port, named by the first of them. */
struct units {
	unsigned of[MDFH_HANDLER_CHANNELS_MAX];
	uint64_t weight[MDFH_HANDLER_CHANNELS_MAX];
	int thread[MDFH_HANDLER_CHANNELS_MAX]; /* -1 = to be found */
};

static int lines_meet(
    const struct mdfh_handler_channel_config *a, const struct mdfh_handler_channel_config *b)
{
	for (unsigned l = 0; l < a->lines_count; l++)
		for (unsigned m = 0; m < b->lines_count; m++)
			if (mdfh_lines_meet(&a->lines[l], &b->lines[m]))
				return 1;
	return 0;
}

static void find_units(const struct mdfh_handler_config *config, struct units *units)
{
	unsigned n = config->channels_count;

	for (unsigned i = 0; i < n; i++) {
		units->of[i] = i;
		for (unsigned k = 0; k < i; k++) {
			unsigned into = units->of[i] < units->of[k] ? units->of[i] : units->of[k];
			unsigned from = units->of[i] < units->of[k] ? units->of[k] : units->of[i];

			if (from == into || !lines_meet(&config->channels[i], &config->channels[k]))
				continue;
			for (unsigned j = 0; j <= i; j++)
				if (units->of[j] == from)
					units->of[j] = into;
		}
	}
}

static unsigned workers_of(const struct mdfh_plan *plan, unsigned thread)
{
	unsigned workers = plan->threads[thread].workers;

	return workers ? workers : 1;
}

/* Less weight for each of its workers. */
static int is_lighter(const struct mdfh_plan *plan, unsigned a, unsigned b)
{
	return (double)plan->threads[a].weight / workers_of(plan, a) <
	       (double)plan->threads[b].weight / workers_of(plan, b);
}

/* The heaviest unit without a thread, or n. */
static unsigned heaviest(const struct units *units, unsigned n)
{
	unsigned found = n;

	for (unsigned u = 0; u < n; u++)
		if (units->of[u] == u && units->thread[u] < 0 &&
		    (found == n || units->weight[u] > units->weight[found]))
			found = u;
	return found;
}

static void assign_threads(
    const struct mdfh_handler_config *config, struct mdfh_plan *plan, struct units *units)
{
	unsigned n = config->channels_count;
	unsigned u;

	find_units(config, units);
	for (unsigned i = 0; i < n; i++)
		units->thread[i] = -1;
	for (unsigned i = 0; i < n; i++) {
		u = units->of[i];
		units->weight[u] += plan->channels[i].weight;
		/* Who has a thread takes the others of its unit there. Two that have different ones
		 * are refused where ports are looked at. */
		if (!plan->channels[i].is_auto && units->thread[u] < 0)
			units->thread[u] = (int)config->channels[i].thread;
	}
	for (unsigned i = 0; i < n; i++) {
		int thread = plan->channels[i].is_auto ? units->thread[units->of[i]]
						       : (int)config->channels[i].thread;

		if (thread >= 0)
			plan->threads[thread].weight += plan->channels[i].weight;
	}
	while ((u = heaviest(units, n)) < n) {
		unsigned best = 0;

		for (unsigned t = 1; t < plan->threads_count; t++)
			if (is_lighter(plan, t, best))
				best = t;
		units->thread[u] = (int)best;
		plan->threads[best].weight += units->weight[u];
	}
	for (unsigned i = 0; i < n; i++) {
		plan->channels[i].thread = plan->channels[i].is_auto
					       ? (unsigned)units->thread[units->of[i]]
					       : config->channels[i].thread;
		plan->threads[plan->channels[i].thread].channels++;
	}
}

/* The same for the channels of a thread that divides them among its workers. */
static void assign_workers(struct mdfh_plan *plan, unsigned thread)
{
	struct mdfh_plan_thread *t = &plan->threads[thread];

	for (unsigned left = t->channels; left > 0; left--) {
		struct mdfh_plan_channel *channel = NULL;
		unsigned best = 0;

		for (unsigned i = 0; i < plan->channels_count; i++) {
			struct mdfh_plan_channel *c = &plan->channels[i];

			if (c->thread == thread && c->worker < 0 &&
			    (!channel || c->weight > channel->weight))
				channel = c;
		}
		for (unsigned w = 1; w < t->workers; w++)
			if (t->worker_weight[w] < t->worker_weight[best])
				best = w;
		if (!channel)
			return;
		channel->worker = (int)best;
		t->worker_weight[best] += channel->weight;
		t->worker_channels[best]++;
	}
}

static int plan_workers(
    const struct mdfh_handler_config *config, struct mdfh_plan *plan, unsigned thread)
{
	const struct mdfh_handler_thread_config *from = &config->threads[thread];
	struct mdfh_plan_thread *t = &plan->threads[thread];

	if (!t->workers)
		return 0;
	t->shard = from->shard;
	if (t->shard == MDFH_SHARD_DEFAULT)
		t->shard = t->channels >= t->workers ? MDFH_SHARD_CHANNEL : MDFH_SHARD_INSTRUMENT;
	if (t->shard == MDFH_SHARD_INSTRUMENT) {
		for (unsigned w = 0; w < t->workers; w++) {
			t->worker_channels[w] = t->channels;
			t->worker_weight[w] = t->weight / t->workers;
		}
		return 0;
	}
	if (t->channels < t->workers)
		return mdfh_error(-EINVAL,
		    "thread %u: there are %u workers for %u channels; with `shard: channel` a "
		    "worker more than channels has nothing to do: make it `workers: %u`, or "
		    "`shard: "
		    "instrument`",
		    thread, t->workers, t->channels, t->channels);
	assign_workers(plan, thread);
	return 0;
}

static int check_workers(const struct mdfh_handler_config *config, unsigned thread)
{
	const struct mdfh_handler_thread_config *t = &config->threads[thread];

	if (t->workers > MDFH_HANDLER_WORKERS_MAX)
		return mdfh_error(-EINVAL, "thread %u: workers is %u; at most %d", thread,
		    t->workers, MDFH_HANDLER_WORKERS_MAX);
	if (!t->workers &&
	    (t->shard || t->worker_cores_count || t->worker_ring_bytes || t->worker_full))
		return mdfh_error(-EINVAL,
		    "thread %u: shard, worker_cores, worker_ring and worker_full are of its "
		    "workers, "
		    "and it has none; give `workers: N` or leave them out",
		    thread);
	if (t->workers && config->books == MDFH_OFF)
		return mdfh_error(-EINVAL,
		    "thread %u: workers keep books, and books is off; leave workers out", thread);
	if (t->worker_cores_count && t->worker_cores_count != t->workers)
		return mdfh_error(-EINVAL,
		    "thread %u: there are %u worker_cores for %u workers; name one for each",
		    thread, t->worker_cores_count, t->workers);
	return 0;
}

int mdfh_plan_make(const struct mdfh_handler_config *config, struct mdfh_plan *plan)
{
	struct units units = {.weight = {0}};
	unsigned units_count = 0;
	int err;

	memset(plan, 0, sizeof(*plan));
	plan->channels_count = config->channels_count;
	plan->threads_count = config->threads_count ? config->threads_count : 1;
	for (unsigned t = 0; t < config->threads_count; t++) {
		err = check_workers(config, t);
		if (err)
			return err;
		plan->threads[t].workers = config->threads[t].workers;
	}
	for (unsigned i = 0; i < config->channels_count; i++) {
		const struct mdfh_handler_channel_config *channel = &config->channels[i];

		plan->channels[i] = (struct mdfh_plan_channel){
		    .worker = -1,
		    .weight = channel->weight ? channel->weight : 1,
		    .is_auto = channel->thread == MDFH_THREAD_AUTO,
		};
	}
	assign_threads(config, plan, &units);
	for (unsigned i = 0; i < config->channels_count; i++)
		units_count += units.of[i] == i;
	for (unsigned t = 0; t < plan->threads_count; t++) {
		if (!plan->threads[t].channels)
			return mdfh_error(-EINVAL,
			    "thread %u has no channel (%u threads, and %u channels or groups of "
			    "them that "
			    "share a port); give one `thread: %u` or leave the thread out",
			    t, plan->threads_count, units_count, t);
		if (config->threads_count) {
			err = plan_workers(config, plan, t);
			if (err)
				return err;
		}
	}
	return 0;
}
