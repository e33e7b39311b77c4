/* pipeline_report.c - what other threads may read of a pipeline.
 *
 * The receive thread copies its counters into words under a sequence lock about ten times a second;
 * reports are made of these. */
#include <string.h>

#include "handler/pipeline_state.h"

static size_t channel_offset(unsigned channel)
{
	return sizeof(struct mdfh_load_words) + channel * sizeof(struct channel_words);
}

static size_t port_offset(const struct mdfh_pipeline *p, unsigned port)
{
	return channel_offset(p->channel_count) + port * sizeof(struct port_words);
}

static size_t lane_offset(const struct mdfh_pipeline *p, unsigned lane)
{
	return port_offset(p, p->ports_max) + lane * sizeof(struct mdfh_dispatch_counts);
}

size_t mdfh_pipeline_bytes(const struct mdfh_pipeline *p)
{
	return lane_offset(p, p->dispatch ? mdfh_dispatch_workers(p->dispatch) : 0);
}

/* Publication ------------------------------------------------------------------------------- */

void mdfh_pipeline_publish(struct mdfh_pipeline *p)
{
	uint8_t *at = (uint8_t *)p->published.scratch;
	struct mdfh_load_words load = mdfh_load_publish(&p->load);

	memcpy(at, &load, sizeof(load));
	for (unsigned i = 0; i < p->channel_count; i++) {
		struct channel_words words = {
		    .session = *mdfh_channel_stats(p->channels[i].session),
		    .first_ns = p->channels[i].first_ns,
		    .last_ns = p->channels[i].last_ns,
		};

		if (p->dispatch)
			mdfh_dispatch_lost(p->dispatch, i, &words.dispatch);
		memcpy(words.truncated, p->channels[i].truncated, sizeof(words.truncated));
		memcpy(words.times, p->channels[i].times, sizeof(words.times));
		memcpy(at + channel_offset(i), &words, sizeof(words));
	}
	for (unsigned i = 0; i < p->port_count; i++) {
		struct port_words words = {.port = *p->ports[i].stats};

		if (p->ports[i].config.soup)
			words.login = *mdfh_soup_line_stats(p->ports[i].config.soup);
		memcpy(at + port_offset(p, i), &words, sizeof(words));
	}
	for (unsigned i = 0; p->dispatch && i < mdfh_dispatch_workers(p->dispatch); i++)
		memcpy(at + lane_offset(p, i), mdfh_dispatch_counts(p->dispatch, i),
		    sizeof(struct mdfh_dispatch_counts));
	mdfh_published_write(&p->published);
	if (p->engine)
		mdfh_engine_publish(p->engine);
}

/* Reports ----------------------------------------------------------------------------------- */

int mdfh_pipeline_session_ended(const struct mdfh_pipeline *p)
{
	for (unsigned i = 0; i < p->channel_count; i++)
		if (!atomic_load_explicit(&p->channels[i].ended, memory_order_acquire))
			return 0;
	/* A consumer may still wait for what is on its way through a worker. */
	for (unsigned i = 0; p->dispatch && i < mdfh_dispatch_workers(p->dispatch); i++)
		if (mdfh_ring_used(mdfh_dispatch_ring(p->dispatch, i)))
			return 0;
	return 1;
}

void mdfh_pipeline_port_report(
    struct mdfh_pipeline *p, unsigned port, struct mdfh_port_report *report)
{
	struct port_words words;

	report->backend = mdfh_bypass_name(p->ports[port].config.port);
	report->capabilities = mdfh_bypass_capabilities(p->ports[port].config.port);
	report->error = atomic_load_explicit(&p->ports[port].error, memory_order_relaxed);
	mdfh_published_read(&p->published, port_offset(p, port), &words, sizeof(words));
	report->stats = words.port;
	report->login = words.login;
	report->has_login = p->ports[port].config.soup != NULL;
}

void mdfh_pipeline_channel_report(
    const struct mdfh_pipeline *p, unsigned channel, struct mdfh_channel_report *report)
{
	struct channel_words words;

	mdfh_published_read(&p->published, channel_offset(channel), &words, sizeof(words));
	report->lines = p->channels[channel].lines;
	report->session = words.session;
	/* What found a worker's ring full was received and yet lost: the ledger says so. */
	report->session.delivered -= words.dispatch.messages;
	report->session.lost += words.dispatch.messages;
	report->session.gaps += words.dispatch.gaps;
	report->session.lost_by_cause[MDFH_CAUSE_WORKER] += words.dispatch.messages;
	report->first_ns = words.first_ns;
	report->last_ns = words.last_ns;
	memcpy(report->truncated, words.truncated, sizeof(report->truncated));
	memcpy(report->times, words.times, sizeof(report->times));
	for (unsigned i = 0; i < MDFH_LINES_MAX; i++)
		report->ports[i] = p->channels[channel].ports[i];
}

void mdfh_pipeline_lane_report(
    const struct mdfh_pipeline *p, unsigned lane, struct mdfh_dispatch_counts *counts)
{
	mdfh_published_read(&p->published, lane_offset(p, lane), counts, sizeof(*counts));
}

void mdfh_pipeline_load(const struct mdfh_pipeline *p, struct mdfh_load_words *load)
{
	mdfh_published_read(&p->published, 0, load, sizeof(*load));
}

const struct mdfh_histogram *mdfh_pipeline_latency(
    const struct mdfh_pipeline *p, enum mdfh_stage stage)
{
	return stage == MDFH_STAGE_RECEIVE   ? p->receive_latency
	       : stage == MDFH_STAGE_SESSION ? p->session_latency
					     : NULL;
}

unsigned mdfh_pipeline_port_count(const struct mdfh_pipeline *p)
{
	return p->port_count;
}

struct mdfh_engine *mdfh_pipeline_engine(struct mdfh_pipeline *p)
{
	return p->engine;
}

struct mdfh_dispatch *mdfh_pipeline_dispatch(struct mdfh_pipeline *p)
{
	return p->dispatch;
}

struct mdfh_consumer *mdfh_pipeline_tap(struct mdfh_pipeline *p, unsigned index)
{
	return index < p->tap_count ? p->taps[index] : NULL;
}
