/* plan.c - channels to threads and workers, before anything is opened. */
#include "handler/plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "handler/dispatch.h"
#include "handler/ports.h"
#include "mdfh/depth.h"
#include "mdfh/error.h"

#define WEIGHT_MOST UINT64_C(1000000000000)

/* Assignment -------------------------------------------------------------------------------- */

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
	if ((unsigned)t->shard > MDFH_SHARD_INSTRUMENT)
		return mdfh_error(-EINVAL, "thread %u: shard is %u; it must be 0 to %d", thread,
		    (unsigned)t->shard, MDFH_SHARD_INSTRUMENT);
	if ((unsigned)t->worker_full > MDFH_WORKER_FULL_WAIT)
		return mdfh_error(-EINVAL, "thread %u: worker_full is %u; it must be 0 to %d",
		    thread, (unsigned)t->worker_full, MDFH_WORKER_FULL_WAIT);
	if (t->worker_ring_bytes && (t->worker_ring_bytes < MDFH_DISPATCH_RING_LEAST ||
					t->worker_ring_bytes & (t->worker_ring_bytes - 1)))
		return mdfh_error(-EINVAL,
		    "thread %u: worker_ring is %u; it must be a power of two of at least %d bytes",
		    thread, t->worker_ring_bytes, MDFH_DISPATCH_RING_LEAST);
	if (t->workers && config->books == MDFH_OFF)
		return mdfh_error(-EINVAL,
		    "thread %u: workers keep books, and books is off; leave workers out", thread);
	if (t->worker_cores_count && t->worker_cores_count != t->workers)
		return mdfh_error(-EINVAL,
		    "thread %u: there are %u worker_cores for %u workers; name one for each",
		    thread, t->worker_cores_count, t->workers);
	return 0;
}

/* A thread, or a worker of one, that is pinned and spins there. */
struct spinner {
	uint32_t core;
	unsigned thread;
	int worker; /* -1 = the receive thread itself */
};

static const char *name_of(const struct spinner *spinner, char text[48])
{
	if (spinner->worker < 0)
		snprintf(text, 48, "thread %u", spinner->thread);
	else
		snprintf(text, 48, "worker %d of thread %u", spinner->worker, spinner->thread);
	return text;
}

static int add_spinner(struct spinner *all, unsigned *count, struct spinner spinner)
{
	char first[48], second[48];

	for (unsigned i = 0; i < *count; i++)
		if (all[i].core == spinner.core)
			return mdfh_error(-EINVAL,
			    "%s and %s both spin on core %u, which they would take from each "
			    "other; give each a core of its own, or `idle: wait`",
			    name_of(&all[i], first), name_of(&spinner, second), spinner.core);
	all[(*count)++] = spinner;
	return 0;
}

static int check_cores(const struct mdfh_handler_config *config)
{
	struct spinner all[MDFH_HANDLER_THREADS_MAX * (1 + MDFH_HANDLER_WORKERS_MAX)];
	unsigned count = 0;
	int err = 0;

	for (unsigned t = 0; !err && t < config->threads_count; t++) {
		const struct mdfh_handler_thread_config *thread = &config->threads[t];

		if (thread->idle == MDFH_IDLE_WAIT)
			continue;
		if (thread->core)
			err = add_spinner(all, &count, (struct spinner){*thread->core, t, -1});
		for (unsigned w = 0; !err && w < thread->worker_cores_count; w++)
			err = add_spinner(
			    all, &count, (struct spinner){thread->worker_cores[w], t, (int)w});
	}
	return err;
}

/* What cannot be ------------------------------------------------------------------------------ */

static int check_line(unsigned channel, unsigned l, const struct mdfh_line_config *line)
{
	if (!line->group && !line->file && !line->server && !line->backend)
		return mdfh_error(-EINVAL,
		    "channel %u, line %u: it needs a group (ADDRESS:PORT), a server or a file",
		    channel, l);
	if (line->speed != 0 && !line->file)
		return mdfh_error(-EINVAL,
		    "channel %u, line %u: speed is %g, which is of captures; give a file or leave "
		    "it out",
		    channel, l, line->speed);
	return 0;
}

static int is_same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static const char *backend_of(const struct mdfh_line_config *line)
{
	return line->backend ? line->backend : "socket";
}

/* 1 if two lines get the same packets, and lack the same of them. Backends lose each its own; so do
 * faults, but one generator draws for all lines of a port. */
static int are_twins(const struct mdfh_line_config *a, const struct mdfh_line_config *b)
{
	if (!b->group || b->file || a->file || !is_same(a->group, b->group) ||
	    !is_same(a->interface, b->interface) || !is_same(a->source, b->source) ||
	    a->vlan != b->vlan || strcmp(backend_of(a), backend_of(b)) != 0)
		return 0;
	return mdfh_lines_share(a, b) || !memcmp(&a->fault, &b->fault, sizeof(a->fault)) ||
	       (!mdfh_line_has_faults(a) && !mdfh_line_has_faults(b));
}

/* A line that is the same as one before it is of no use. */
static int check_twins(
    unsigned number, unsigned l, const struct mdfh_handler_channel_config *channel)
{
	const struct mdfh_line_config *b = &channel->lines[l];

	for (unsigned k = 0; k < l; k++) {
		if (!are_twins(&channel->lines[k], b))
			continue;
		return mdfh_error(-EINVAL,
		    "channel %u: lines %c and %c are both %s%s%s; give each the group, interface "
		    "or source of its own feed",
		    number, (char)('A' + k), (char)('A' + l), b->group, b->interface ? " on " : "",
		    b->interface ? b->interface : "");
	}
	return 0;
}

static int check_depth(const struct mdfh_handler_config *config)
{
	if (config->depth_levels > MDFH_DEPTH_LEVELS_MAX)
		return mdfh_error(-EINVAL, "depth_levels is %u; it must be 0 to %d",
		    config->depth_levels, MDFH_DEPTH_LEVELS_MAX);
	if (config->depth_levels && config->books == MDFH_OFF)
		return mdfh_error(-EINVAL,
		    "depth_levels is %u: snapshots are of books, and books is off; turn books on "
		    "or leave depth_levels out",
		    config->depth_levels);
	if (config->depth_shared_name && !config->depth_levels)
		return mdfh_error(-EINVAL,
		    "depth_shared_name is '%s' and depth_levels is 0, so there are no snapshots to "
		    "share; give depth_levels, 1 to %d, or leave the name out",
		    config->depth_shared_name, MDFH_DEPTH_LEVELS_MAX);
	return 0;
}

static int check_config(const struct mdfh_handler_config *config)
{
	unsigned threads = config->threads_count ? config->threads_count : 1;

	if (config->size != sizeof(*config))
		return mdfh_error(-EINVAL,
		    "handler configuration: size is %zu; it must be %zu (set it with sizeof)",
		    config->size, sizeof(*config));
	if (config->channels_count < 1 || config->channels_count > MDFH_HANDLER_CHANNELS_MAX)
		return mdfh_error(-EINVAL, "channels: there are %u; there must be 1 to %d",
		    config->channels_count, MDFH_HANDLER_CHANNELS_MAX);
	if (threads > MDFH_HANDLER_THREADS_MAX)
		return mdfh_error(-EINVAL, "threads: there are %u; at most %d", threads,
		    MDFH_HANDLER_THREADS_MAX);
	if (config->consumers_count > MDFH_HANDLER_CONSUMERS_MAX)
		return mdfh_error(-EINVAL, "consumers: there are %u; at most %d",
		    config->consumers_count, MDFH_HANDLER_CONSUMERS_MAX);
	for (unsigned i = 0; i < config->channels_count; i++) {
		const struct mdfh_handler_channel_config *channel = &config->channels[i];

		if (channel->thread >= threads && channel->thread != MDFH_THREAD_AUTO)
			return mdfh_error(-EINVAL, "channel %u: thread is %u; there are 0 to %u", i,
			    channel->thread, threads - 1);
		if (channel->weight > WEIGHT_MOST)
			return mdfh_error(-EINVAL,
			    "channel %u: weight is %llu; it is messages a second, at most %llu", i,
			    (unsigned long long)channel->weight, (unsigned long long)WEIGHT_MOST);
		if (!channel->protocol)
			return mdfh_error(
			    -EINVAL, "channel %u: it needs a protocol, such as itch50", i);
		if (channel->lines_count < 1 || channel->lines_count > MDFH_LINES_MAX)
			return mdfh_error(-EINVAL, "channel %u: there are %u lines; 1 to %d", i,
			    channel->lines_count, MDFH_LINES_MAX);
		if (channel->first_sequence > INT64_MAX)
			return mdfh_error(-EINVAL,
			    "channel %u: first_sequence is %llu; it must be from 1 to %llu (0 = "
			    "default)",
			    i, (unsigned long long)channel->first_sequence,
			    (unsigned long long)INT64_MAX);
		for (unsigned l = 0; l < channel->lines_count; l++)
			if (check_line(i, l, &channel->lines[l]) || check_twins(i, l, channel))
				return -EINVAL;
	}
	for (unsigned i = 0; i < config->consumers_count; i++) {
		if (config->consumers[i].thread >= threads)
			return mdfh_error(-EINVAL, "consumer %u: thread is %u; there are 0 to %u",
			    i, config->consumers[i].thread, threads - 1);
		if (!config->consumers[i].name)
			return mdfh_error(
			    -EINVAL, "consumer %u: it needs a name, to be asked for by it", i);
		if ((unsigned)config->consumers[i].kind > MDFH_CONSUMER_RAW)
			return mdfh_error(-EINVAL, "consumer %u: kind is %u; it must be 0 to %d", i,
			    (unsigned)config->consumers[i].kind, MDFH_CONSUMER_RAW);
		if (config->consumers[i].slot_size &&
		    config->consumers[i].kind == MDFH_CONSUMER_EVENTS)
			return mdfh_error(-EINVAL,
			    "consumer %u: slot_size is %u; an event has %zu bytes, and only raw "
			    "taps have other slots: leave it out or make it `kind: raw`",
			    i, config->consumers[i].slot_size, sizeof(struct mdfh_event));
		if (config->consumers[i].worker && config->consumers[i].kind == MDFH_CONSUMER_RAW)
			return mdfh_error(-EINVAL,
			    "consumer %u: a raw tap is filled by the receive thread, which has "
			    "every "
			    "message; leave worker out",
			    i);
		if (config->consumers[i].worker &&
		    (!config->threads_count ||
			*config->consumers[i].worker >=
			    config->threads[config->consumers[i].thread].workers))
			return mdfh_error(-EINVAL,
			    "consumer %u: worker is %u; its thread %u has %u", i,
			    *config->consumers[i].worker, config->consumers[i].thread,
			    config->threads_count
				? config->threads[config->consumers[i].thread].workers
				: 0);
		for (unsigned k = 0; k < i; k++) {
			if (!strcmp(config->consumers[i].name, config->consumers[k].name))
				return mdfh_error(-EINVAL, "consumers: two are named '%s'",
				    config->consumers[i].name);
			if (config->consumers[i].shared_name &&
			    is_same(
				config->consumers[i].shared_name, config->consumers[k].shared_name))
				return mdfh_error(-EINVAL,
				    "consumers '%s' and '%s' have the shared_name %s; give each a "
				    "name of its own",
				    config->consumers[k].name, config->consumers[i].name,
				    config->consumers[i].shared_name);
		}
		if (config->books == MDFH_OFF && config->consumers[i].kind == MDFH_CONSUMER_EVENTS)
			return mdfh_error(-EINVAL,
			    "consumer %u: events come out of books, and books is off; make it "
			    "`kind: raw` or turn books on",
			    i);
	}
	return check_depth(config);
}

/* A queue with room for one port cannot be had by two. */
static int check_queues(const struct mdfh_handler_config *config, const struct mdfh_plan *plan)
{
	for (unsigned i = 0; i < config->channels_count; i++) {
		const struct mdfh_handler_channel_config *a = &config->channels[i];

		for (unsigned k = i; k < config->channels_count; k++) {
			const struct mdfh_handler_channel_config *b = &config->channels[k];

			for (unsigned l = 0; l < a->lines_count; l++)
				for (unsigned m = k == i ? l + 1 : 0; m < b->lines_count; m++) {
					const struct mdfh_line_config *x = &a->lines[l];
					const struct mdfh_line_config *y = &b->lines[m];

					if (!mdfh_lines_meet(x, y) ||
					    (plan->channels[i].thread == plan->channels[k].thread &&
						mdfh_lines_share(x, y)))
						continue;
					return mdfh_error(-EINVAL,
					    "channel %u line %c and channel %u line %c want queue "
					    "%u "
					    "of %s through %s, which one port can have: give them "
					    "one "
					    "thread and equal settings, or another queue",
					    i, (char)('A' + l), k, (char)('A' + m), x->queue,
					    x->interface ? x->interface : "?", x->backend);
				}
		}
	}
	return 0;
}

int mdfh_plan_make(const struct mdfh_handler_config *config, struct mdfh_plan *plan)
{
	struct units units = {.weight = {0}};
	unsigned units_count = 0;
	int err = check_config(config);

	if (err)
		return err;
	memset(plan, 0, sizeof(*plan));
	plan->channels_count = config->channels_count;
	plan->threads_count = config->threads_count ? config->threads_count : 1;
	for (unsigned t = 0; t < config->threads_count; t++) {
		err = check_workers(config, t);
		if (err)
			return err;
		plan->threads[t].workers = config->threads[t].workers;
	}
	err = check_cores(config);
	if (err)
		return err;
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
	return check_queues(config, plan);
}
