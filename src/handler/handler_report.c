/* handler_report.c - what a handler tells of its shards, consumers, ports, channels and threads. */
#include <errno.h>
#include <string.h>

#include "handler/handler_state.h"
#include "mdfh/error.h"

/* Shards ------------------------------------------------------------------------------------ */

unsigned mdfh_handler_shards(const struct mdfh_handler *h)
{
	return h->shard_count;
}

static int no_shard(const struct mdfh_handler *h, unsigned shard)
{
	return mdfh_error(-EINVAL,
	    "handler: shard is %u; there are %u (one for each thread that "
	    "keeps books)",
	    shard, h->shard_count);
}

int mdfh_handler_on_events(
    struct mdfh_handler *h, unsigned shard, mdfh_events_handler function, void *context)
{
	if (shard >= h->shard_count)
		return no_shard(h, shard);
	mdfh_engine_on_events(h->shards[shard].engine, function, context);
	return 0;
}

const struct mdfh_books *mdfh_handler_books(const struct mdfh_handler *h, unsigned shard)
{
	return shard < h->shard_count ? mdfh_engine_books(h->shards[shard].engine) : NULL;
}

const struct mdfh_instruments *mdfh_handler_instruments(
    const struct mdfh_handler *h, unsigned shard)
{
	return shard < h->shard_count ? mdfh_engine_instruments(h->shards[shard].engine) : NULL;
}

const struct mdfh_depth *mdfh_handler_depth(const struct mdfh_handler *h, unsigned shard)
{
	return shard < h->shard_count ? mdfh_engine_depth(h->shards[shard].engine) : NULL;
}

int mdfh_handler_books_stats(
    const struct mdfh_handler *h, unsigned shard, struct mdfh_books_stats *stats)
{
	if (shard >= h->shard_count)
		return no_shard(h, shard);
	mdfh_engine_books_stats(h->shards[shard].engine, stats);
	return 0;
}

/* Its receive thread's stages are the first shard's: of others they are empty. */
static const struct mdfh_histogram *receive_stage(
    const struct mdfh_handler *h, unsigned shard, enum mdfh_stage stage)
{
	if (shard && h->shards[shard - 1].thread == h->shards[shard].thread) {
		mdfh_histogram_reset(h->merged[stage]);
		return h->merged[stage];
	}
	return mdfh_pipeline_latency(h->receivers[h->shards[shard].thread].pipeline, stage);
}

const struct mdfh_histogram *mdfh_handler_latency(
    const struct mdfh_handler *h, unsigned shard, enum mdfh_stage stage)
{
	const struct mdfh_worker *worker;
	struct mdfh_histogram *merged;

	if (shard >= h->shard_count || (unsigned)stage >= MDFH_STAGES)
		return NULL;
	if (stage == MDFH_STAGE_RECEIVE || stage == MDFH_STAGE_SESSION)
		return receive_stage(h, shard, stage);
	if (stage < MDFH_STAGE_RING)
		return mdfh_engine_latency(h->shards[shard].engine, stage);
	worker = h->shards[shard].worker;
	if (stage == MDFH_STAGE_HANDOVER && worker)
		return worker->handover_latency;
	merged = h->merged[stage];
	mdfh_histogram_reset(merged);
	for (unsigned i = 0; stage != MDFH_STAGE_HANDOVER; i++) {
		const struct mdfh_consumer *c = mdfh_engine_consumer(h->shards[shard].engine, i);

		if (!c)
			break;
		mdfh_histogram_add(merged, stage == MDFH_STAGE_RING       ? c->ring_latency
					   : stage == MDFH_STAGE_CONSUMER ? c->whole_latency
									  : c->intended_latency);
	}
	return merged;
}

const char *mdfh_stage_name(unsigned stage)
{
	static const char *const names[MDFH_STAGES] = {
	    [MDFH_STAGE_WIRE] = "wire",
	    [MDFH_STAGE_RECEIVE] = "receive",
	    [MDFH_STAGE_SESSION] = "session",
	    [MDFH_STAGE_DECODE] = "decode",
	    [MDFH_STAGE_BOOK] = "book",
	    [MDFH_STAGE_RING] = "ring",
	    [MDFH_STAGE_CONSUMER] = "consumer",
	    [MDFH_STAGE_INTENDED] = "intended",
	    [MDFH_STAGE_HANDOVER] = "handover",
	};

	return stage < MDFH_STAGES ? names[stage] : "?";
}

/* Consumers, ports, channels ---------------------------------------------------------------- */

struct mdfh_consumer *mdfh_handler_consumer(struct mdfh_handler *h, const char *name)
{
	for (unsigned i = 0; i < h->consumer_count; i++)
		if (!strcmp(h->consumer_names[i], name))
			return h->consumers[i];
	return NULL;
}

unsigned mdfh_handler_ports(const struct mdfh_handler *h)
{
	return h->port_count;
}

int mdfh_handler_port_report(struct mdfh_handler *h, unsigned port, struct mdfh_port_report *report)
{
	if (port >= h->port_count)
		return mdfh_error(
		    -EINVAL, "handler: port is %u; there are %u", port, h->port_count);
	mdfh_pipeline_port_report(
	    h->receivers[h->ports[port].thread].pipeline, h->ports[port].index, report);
	return 0;
}

unsigned mdfh_handler_channels(const struct mdfh_handler *h)
{
	return h->channel_count;
}

/* The engines that have a channel, by its number there. */
static void add_counts(
    const struct mdfh_handler *h, unsigned channel, struct mdfh_channel_report *report)
{
	const struct mdfh_plan_channel *plan = &h->plan.channels[channel];
	unsigned index = h->channels[channel].index;
	unsigned first = 0;

	while (first < h->shard_count && h->shards[first].thread != plan->thread)
		first++;
	report->shard = plan->worker >= 0                       ? (int)first + plan->worker
			: h->plan.threads[plan->thread].workers ? -1
								: (int)first;
	if (plan->worker >= 0) {
		index = 0;
		for (unsigned c = 0; c < channel; c++)
			index += h->plan.channels[c].thread == plan->thread &&
				 h->plan.channels[c].worker == plan->worker;
	}
	for (unsigned s = first; s < h->shard_count && h->shards[s].thread == plan->thread; s++) {
		struct mdfh_engine_counts counts;

		if (report->shard >= 0 && (unsigned)report->shard != s)
			continue;
		mdfh_engine_counts(h->shards[s].engine, index, &counts);
		report->messages += counts.messages;
		report->messages_refused += counts.refused;
		report->messages_unknown += counts.unknown;
	}
}

int mdfh_handler_channel_report(
    const struct mdfh_handler *h, unsigned channel, struct mdfh_channel_report *report)
{
	unsigned first_port = 0;
	unsigned thread;

	if (channel >= h->channel_count)
		return mdfh_error(
		    -EINVAL, "handler: channel is %u; there are %u", channel, h->channel_count);
	thread = h->channels[channel].thread;
	*report = (struct mdfh_channel_report){
	    .name = h->channel_names[channel],
	    .thread = thread,
	    .weight = h->plan.channels[channel].weight,
	};
	mdfh_pipeline_channel_report(
	    h->receivers[thread].pipeline, h->channels[channel].index, report);
	add_counts(h, channel, report);
	/* The pipeline numbers its own ports: those of its thread stand together here. */
	while (first_port < h->port_count && h->ports[first_port].thread != thread)
		first_port++;
	for (unsigned i = 0; i < report->lines; i++)
		report->ports[i] += first_port;
	return 0;
}

/* Threads ----------------------------------------------------------------------------------- */

unsigned mdfh_handler_threads(const struct mdfh_handler *h)
{
	return h->receiver_count + h->worker_count;
}

static void report_load(const struct mdfh_load_words *load, struct mdfh_thread_report *report)
{
	report->run_ns = load->run_ns;
	report->busy_ns = load->busy_ns;
	report->peak_ppm = load->peak_ppm;
}

static void report_worker(const struct mdfh_handler *h, unsigned thread, unsigned index,
    unsigned shard, struct mdfh_thread_report *report)
{
	const struct mdfh_worker *worker = h->shards[shard].worker;
	const struct mdfh_plan_thread *plan = &h->plan.threads[thread];
	struct mdfh_dispatch_counts counts;
	struct mdfh_load_words load;

	mdfh_pipeline_lane_report(h->receivers[thread].pipeline, index, &counts);
	mdfh_worker_load(worker, &load);
	*report = (struct mdfh_thread_report){
	    .name = worker->thread.name,
	    .cpu_core = worker->thread.cpu_core,
	    .thread = thread,
	    .worker = (int)index,
	    .shard = (int)shard,
	    .channels = plan->worker_channels[index],
	    .weight = plan->worker_weight[index],
	    .messages = counts.messages,
	    .dropped = counts.dropped,
	    .gaps = counts.gaps,
	    .waits = counts.waits,
	    .ring_bytes = (uint64_t)mdfh_ring_capacity(worker->ring) * MDFH_RECORD_SLOT,
	    .ring_high_water_bytes =
		(uint64_t)mdfh_ring_high_water(worker->ring) * MDFH_RECORD_SLOT,
	};
	report_load(&load, report);
}

int mdfh_handler_thread_report(
    const struct mdfh_handler *h, unsigned index, struct mdfh_thread_report *report)
{
	unsigned at = index;
	unsigned shard = 0;

	for (unsigned t = 0; t < h->receiver_count; t++) {
		const struct mdfh_plan_thread *plan = &h->plan.threads[t];
		struct mdfh_load_words load;

		if (at > plan->workers) {
			at -= plan->workers + 1;
			shard += plan->workers ? plan->workers : 1;
			continue;
		}
		if (at > 0) {
			report_worker(h, t, at - 1, shard + at - 1, report);
			return 0;
		}
		mdfh_pipeline_load(h->receivers[t].pipeline, &load);
		*report = (struct mdfh_thread_report){
		    .name = h->receivers[t].thread.name,
		    .cpu_core = h->receivers[t].thread.cpu_core,
		    .thread = t,
		    .worker = -1,
		    .shard = plan->workers ? -1 : (int)shard,
		    .workers = plan->workers,
		    .sharded = plan->shard,
		    .channels = plan->channels,
		    .weight = plan->weight,
		};
		report_load(&load, report);
		return 0;
	}
	return mdfh_error(
	    -EINVAL, "handler: thread is %u; there are %u", index, mdfh_handler_threads(h));
}
