/* pipeline.c - packets to spans, on the thread that calls.
 *
 * One turn: a batch of packets from a port; each packet through its channel, which gives spans; each
 * span to the engine, which makes events of it, or through the dispatch to a worker that has one.
 * Nothing here allocates, locks or logs after create.
 *
 * Budget per batch besides its packets: one clock read, and one of the cycle counter. Every
 * latency_sample'th batch reads the latter at the borders of the stages too. */
#include "handler/pipeline_state.h"
#include "handler/tap.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mdfh/backend.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "mdfh/fault.h"
#include "mdfh/schema.h"

/* Setup ----------------------------------------------------------------------------------- */

static int create_channel(
    struct mdfh_pipeline *p, const struct mdfh_pipeline_config *config, unsigned index)
{
	const struct mdfh_pipeline_channel *from = &config->channels[index];
	struct channel_state *channel = &p->channels[index];
	const struct mdfh_schema *schema = mdfh_schema_find(from->protocol);

	channel->framing = from->session.session->framing;
	channel->schema = schema ? schema->id : 0;
	channel->lines = from->session.lines;
	return mdfh_channel_create(&from->session, &channel->session);
}

/* Its own engine, on the same thread. */
static int create_engine(struct mdfh_pipeline *p, const struct mdfh_pipeline_config *config)
{
	struct mdfh_engine_config engine = config->engine;
	struct mdfh_engine_channel *channels = calloc(config->channel_count + 1, sizeof(*channels));
	int err;

	if (!channels)
		return mdfh_error(-ENOMEM, "pipeline: out of memory");
	for (unsigned i = 0; i < config->channel_count; i++)
		channels[i] = mdfh_pipeline_engine_channel(&config->channels[i]);
	engine.channels = channels;
	engine.channel_count = config->channel_count;
	err = mdfh_engine_create(&engine, &p->engine);
	free(channels);
	return err;
}

/* Raw taps of a thread with workers: here every message passes in order. */
static int create_taps(struct mdfh_pipeline *p, const struct mdfh_pipeline_config *config)
{
	const struct mdfh_engine_config *engine = &config->engine;

	p->taps = calloc(engine->consumer_count + 1, sizeof(struct mdfh_consumer *));
	if (!p->taps)
		return mdfh_error(-ENOMEM, "pipeline: out of memory");
	for (unsigned i = 0; i < engine->consumer_count; i++) {
		int err = mdfh_consumer_create(
		    engine->consumers[i], NULL, config->channel_count, engine->stop, &p->taps[i]);

		if (err)
			return err;
		p->tap_count++;
	}
	return 0;
}

struct mdfh_engine_channel mdfh_pipeline_engine_channel(const struct mdfh_pipeline_channel *channel)
{
	return (struct mdfh_engine_channel){
	    .protocol = channel->protocol,
	    .framing = channel->session.session->framing,
	    .number = channel->session.channel,
	    .midnight_ns = channel->midnight_ns,
	};
}

int mdfh_pipeline_create(const struct mdfh_pipeline_config *config, struct mdfh_pipeline **pipeline)
{
	struct mdfh_pipeline *p;
	uint32_t sample = config->latency_sample ? config->latency_sample : 64;
	int err;

	*pipeline = NULL;
	p = mdfh_lines_alloc(1, sizeof(*p));
	if (!p) {
		mdfh_dispatch_destroy(config->dispatch);
		return mdfh_error(-ENOMEM, "pipeline: %zu bytes", sizeof(*p));
	}
	p->dispatch = config->dispatch;
	p->ports = mdfh_lines_alloc(config->ports_max + 1, sizeof(*p->ports));
	p->channels = mdfh_lines_alloc(config->channel_count, sizeof(*p->channels));
	p->ports_max = config->ports_max;
	p->channel_count = config->channel_count;
	if (!p->ports || !p->channels ||
	    mdfh_published_create(&p->published, mdfh_pipeline_bytes(p))) {
		err = mdfh_error(-ENOMEM, "pipeline: out of memory");
		goto fail;
	}
	if (!config->ports_max) {
		p->ports[0].config.flow_count = config->channels[0].session.lines;
		for (uint16_t f = 0; f < config->channels[0].session.lines; f++)
			p->ports[0].config.flows[f].line = f;
	}
	if (sample & (sample - 1)) {
		err = mdfh_error(-EINVAL,
		    "latency_sample is %u; it must be a power of two (1 = every batch)", sample);
		goto fail;
	}
	p->sample_mask = sample - 1;
	err = mdfh_clock_start();
	for (unsigned i = 0; !err && i < config->channel_count; i++)
		err = create_channel(p, config, i);
	if (!err)
		err = p->dispatch ? create_taps(p, config) : create_engine(p, config);
	if (!err)
		err = mdfh_histogram_create(MDFH_STAGE_MAX_NS, &p->receive_latency);
	if (!err)
		err = mdfh_histogram_create(MDFH_STAGE_MAX_NS, &p->session_latency);
	if (err)
		goto fail;
	*pipeline = p;
	return 0;

fail:
	mdfh_pipeline_destroy(p);
	return err;
}

void mdfh_pipeline_add_port(struct mdfh_pipeline *p, const struct mdfh_pipeline_port *from)
{
	struct port_state *port = &p->ports[p->port_count];

	port->config = *from;
	port->stats = &from->port->stats;
	port->is_fault = !strcmp(mdfh_bypass_name(from->port), "fault");
	/* The kernel drops packets of a stream, too, and asks for them again. */
	port->is_kernel =
	    !from->soup && !strcmp(mdfh_bypass_capabilities(from->port)->copy_reason, "kernel");
	port->is_late = !from->soup && !mdfh_bypass_capabilities(from->port)->drops_in_recv;
	for (uint32_t f = 0; f < from->flow_count; f++) {
		struct channel_state *channel = &p->channels[from->flows[f].channel];

		channel->ports[from->flows[f].line] = (uint16_t)p->port_count;
		channel->lines_open++;
	}
	p->port_count++;
	if (!mdfh_bypass_capabilities(from->port)->is_finite) {
		for (uint32_t f = 0; f < from->flow_count; f++)
			mdfh_channel_read_to(p->channels[from->flows[f].channel].session, 0);
		return;
	}
	if (p->engine)
		mdfh_engine_set_recorded(p->engine);
	for (unsigned i = 0; i < p->tap_count; i++)
		p->taps[i]->is_recorded = 1;
}

void mdfh_pipeline_destroy(struct mdfh_pipeline *p)
{
	if (!p)
		return;
	for (unsigned i = 0; p->ports && i < p->port_count; i++) {
		if (p->ports[i].config.soup)
			mdfh_soup_line_logout(p->ports[i].config.soup, p->ports[i].config.port);
		mdfh_bypass_close(p->ports[i].config.port);
		mdfh_soup_line_destroy(p->ports[i].config.soup);
	}
	for (unsigned i = 0; i < p->tap_count; i++)
		mdfh_consumer_destroy(p->taps[i]);
	mdfh_engine_destroy(p->engine);
	mdfh_dispatch_destroy(p->dispatch);
	mdfh_histogram_destroy(p->session_latency);
	mdfh_histogram_destroy(p->receive_latency);
	for (unsigned i = 0; p->channels && i < p->channel_count; i++)
		mdfh_channel_destroy(p->channels[i].session);
	mdfh_published_destroy(&p->published);
	free(p->taps);
	free(p->channels);
	free(p->ports);
	free(p);
}

/* Data path --------------------------------------------------------------------------------- */

static void take_span(
    struct mdfh_pipeline *p, struct channel_state *channel, const struct mdfh_span *span)
{
	unsigned index = (unsigned)(channel - p->channels);

	if (p->engine) {
		mdfh_engine_span(p->engine, index, span);
	} else {
		if (p->tap_count)
			mdfh_tap_span(
			    p->taps, p->tap_count, span, channel->framing, channel->schema);
		mdfh_dispatch_span(p->dispatch, index, span);
		/* Who sees that it has ended sees what the workers have yet to do for it. */
		if (span->kind == MDFH_SPAN_SESSION_END)
			mdfh_dispatch_commit(p->dispatch, 0);
	}
	/* Pairs with the acquire load in mdfh_pipeline_session_ended. */
	if (span->kind == MDFH_SPAN_SESSION_END)
		atomic_store_explicit(&channel->ended, 1, memory_order_release);
	else if (span->kind == MDFH_SPAN_SESSION_BEGIN)
		atomic_store_explicit(&channel->ended, 0, memory_order_relaxed);
}

static void take_spans(struct mdfh_pipeline *p, struct channel_state *channel,
    struct mdfh_span *spans, int n, int64_t now_ns)
{
	while (n > 0) {
		uint64_t start = p->sampling && p->dispatch ? mdfh_clock_ticks() : 0;

		for (int i = 0; i < n; i++)
			take_span(p, channel, &spans[i]);
		if (start)
			p->session_ticks += mdfh_clock_ticks() - start;
		if (n < MDFH_SPANS_MAX)
			return;
		n = mdfh_channel_poll(channel->session, now_ns, spans, MDFH_SPANS_MAX);
	}
}

/* The flows that packets of a batch belong to, bit by bit. */
static uint64_t flows_of(const struct port_state *port, int n)
{
	uint64_t flows = 0;

	if (port->config.flow_count == 1)
		return 1;
	for (int i = 0; i < n; i++)
		flows |= UINT64_C(1) << (port->packets[i].flow % MDFH_BYPASS_FLOWS_MAX);
	return flows;
}

static void tell_drops(struct mdfh_pipeline *p, struct port_state *port, uint64_t flows)
{
	const struct mdfh_bypass_stats *stats = port->stats;
	struct mdfh_fault_counts faults;
	struct mdfh_line_drops drops = {
	    .nic = stats->rx_dropped_nic,
	    .kernel = stats->rx_dropped_kernel,
	    .socket = stats->rx_dropped_socket,
	    .known = stats->known_drops,
	    .readings = port->readings,
	    .shared = port->config.flow_count > 1 ? (uint32_t)(port - p->ports) + 1 : 0,
	};

	if (port->is_fault) {
		(void)mdfh_fault_counts(port->config.port, &faults);
		drops.known |= 8;
	}
	if (port->is_kernel) {
		drops.kernel += atomic_load_explicit(&p->kernel_drops, memory_order_relaxed);
		if (atomic_load_explicit(&p->kernel_drops_known, memory_order_relaxed))
			drops.known |= 2;
	}
	static_assert(MDFH_BYPASS_FLOWS_MAX <= 64, "a bit for each flow");
	for (uint32_t f = 0; f < port->config.flow_count; f++) {
		if (!(flows >> f & 1))
			continue;
		/* Exact: the count rises with the first packet behind the hole. A capture read
		 * whole has no flows to tell apart. */
		if (port->is_fault)
			drops.injected = port->config.flow_count == 1 ? faults.lost_before
								      : faults.flow_lost_before[f];
		mdfh_channel_drops(p->channels[port->config.flows[f].channel].session,
		    port->config.flows[f].line, &drops);
	}
}

/* The drop counters of a port's path, before its packets are looked at. Told to the lines of these
 * packets only: a hole shows at a line's next packet, which may be in a later batch than that in which
 * the counter rose, and a reading in between would hide it. */
static void note_drops(struct mdfh_pipeline *p, struct port_state *port, int n)
{
	tell_drops(p, port, flows_of(port, n));
}

/* Counters of NICs and rings, which no packet brings. */
static void read_drops(struct mdfh_pipeline *p, struct port_state *port, int64_t now_ns)
{
	struct mdfh_bypass_stats stats;

	port->asked_ns = now_ns;
	(void)mdfh_bypass_stats(port->config.port, &stats);
	port->readings++;
	tell_drops(p, port, UINT64_MAX);
}

/* The same of the ports of one channel, which are asked now and then at most. */
static void ask_for_drops(
    struct mdfh_pipeline *p, const struct channel_state *channel, int64_t now_ns)
{
	for (unsigned line = 0; p->port_count && line < channel->lines; line++) {
		struct port_state *port = &p->ports[channel->ports[line]];

		if (port->is_late && (uint64_t)(now_ns - port->asked_ns) >= DROPS_NS &&
		    !atomic_load_explicit(&port->error, memory_order_relaxed))
			read_drops(p, port, now_ns);
	}
}

static void ask_all_for_drops(struct mdfh_pipeline *p, int64_t now_ns)
{
	for (unsigned i = 0; i < p->port_count; i++)
		if (p->ports[i].is_late &&
		    !atomic_load_explicit(&p->ports[i].error, memory_order_relaxed))
			read_drops(p, &p->ports[i], now_ns);
}

/* A hole for which half the window is used up is likely to be given up, and then for a cause. Most
 * are filled at once, and cost nothing. */
static void ask_before_giving_up(struct mdfh_pipeline *p, int64_t now_ns)
{
	for (unsigned i = 0; i < p->channel_count; i++)
		if (mdfh_channel_window_used(p->channels[i].session, now_ns) >= 50)
			ask_for_drops(p, &p->channels[i], now_ns);
}

static void begin_batch(struct mdfh_pipeline *p, const struct mdfh_packet *first, int64_t now_ns)
{
	p->sampling = (p->batches++ & p->sample_mask) == 0;
	if (p->engine)
		mdfh_engine_begin(p->engine, p->sampling);
	if (!p->sampling)
		return;
	p->session_ticks = 0;
	if (!(first->flags & MDFH_PACKET_RECORDED) && first->receive_ns &&
	    now_ns > (int64_t)first->receive_ns)
		mdfh_histogram_record(p->receive_latency, (uint64_t)now_ns - first->receive_ns);
}

/* What was taken becomes events, here or at the workers. */
static void end_batch(struct mdfh_pipeline *p)
{
	if (p->sampling)
		mdfh_histogram_record(p->session_latency, mdfh_clock_ticks_to_ns(p->session_ticks));
	if (p->engine)
		mdfh_engine_end(p->engine);
	else
		mdfh_dispatch_commit(p->dispatch, p->sampling);
	p->sampling = 0;
}

/* A packet of a stream: its bytes become any number of units. */
static void take_stream(struct mdfh_pipeline *p, const struct port_state *port,
    struct channel_state *channel, const struct mdfh_packet *packet)
{
	const struct mdfh_channel_stats *stats = mdfh_channel_stats(channel->session);
	uint64_t start = p->sampling ? mdfh_clock_ticks() : 0;
	struct mdfh_span spans[MDFH_SPANS_MAX];
	struct mdfh_unit unit;

	mdfh_soup_line_packet(
	    port->config.soup, packet, stats->sessions ? stats->next_sequence : 0, channel->now_ns);
	while (mdfh_soup_line_next(port->config.soup, &unit)) {
		int found = mdfh_channel_push_unit(channel->session, &unit, packet,
		    port->config.flows[0].line, channel->now_ns, spans, MDFH_SPANS_MAX);

		if (p->sampling)
			p->session_ticks += mdfh_clock_ticks() - start;
		if (found > 0)
			take_spans(p, channel, spans, found, channel->now_ns);
		start = p->sampling ? mdfh_clock_ticks() : 0;
	}
}

/* A packet that fills its frame was too long for it; a shorter one was cut by a capture, or by a
 * fault on purpose. */
static void note_truncated(const struct port_state *port, struct channel_state *channel,
    const struct mdfh_packet *packet, unsigned line)
{
	channel->truncated[line] +=
	    packet->length >= mdfh_bypass_capabilities(port->config.port)->frame_size;
}

static void note_time(struct mdfh_line_times *times, uint16_t flags)
{
	switch (flags & MDFH_PACKET_TIME_MASK) {
	case MDFH_PACKET_TIME_NIC:
		times->nic++;
		break;
	case MDFH_PACKET_TIME_KERNEL:
		times->kernel++;
		break;
	case MDFH_PACKET_TIME_APP:
		times->app++;
		break;
	case MDFH_PACKET_TIME_CAPTURE:
		times->capture++;
		break;
	case MDFH_PACKET_TIME_TAP:
		times->tap++;
		break;
	default:
		times->none++;
	}
	times->synced += (flags & MDFH_PACKET_CLOCK_SYNC) != 0;
}

void mdfh_pipeline_packets(struct mdfh_pipeline *p, unsigned port_index,
    const struct mdfh_packet *packets, int n, int64_t now_ns)
{
	struct port_state *port = &p->ports[port_index];
	struct mdfh_span spans[MDFH_SPANS_MAX];
	struct channel_state *channel;

	begin_batch(p, packets, now_ns);
	for (int i = 0; i < n; i++) {
		const struct mdfh_packet *packet = &packets[i];
		unsigned flow = packet->flow < port->config.flow_count ? packet->flow : 0;
		uint64_t start = p->sampling ? mdfh_clock_ticks() : 0;
		int found;

		channel = &p->channels[port->config.flows[flow].channel];
		/* A capture is its own clock: what it recorded late was late. */
		channel->is_capture = (packet->flags & MDFH_PACKET_RECORDED) != 0;
		channel->now_ns = channel->is_capture ? (int64_t)packet->receive_ns : now_ns;
		if (!channel->first_ns)
			channel->first_ns = now_ns;
		channel->last_ns = now_ns;
		note_time(&channel->times[port->config.flows[flow].line], packet->flags);
		if (port->config.soup) {
			take_stream(p, port, channel, packet);
			continue;
		}
		if (packet->flags & MDFH_PACKET_TRUNCATED)
			note_truncated(port, channel, packet, port->config.flows[flow].line);
		found = mdfh_channel_push(channel->session, packet, port->config.flows[flow].line,
		    channel->now_ns, spans, MDFH_SPANS_MAX);
		if (p->sampling)
			p->session_ticks += mdfh_clock_ticks() - start;
		if (found > 0)
			take_spans(p, channel, spans, found, channel->now_ns);
	}
	end_batch(p);
}

/* Nothing more will come: give up the channel's holes, drain its window. */
static void flush_channel(struct mdfh_pipeline *p, struct channel_state *channel)
{
	struct mdfh_span spans[MDFH_SPANS_MAX];
	int n;

	while (
	    (n = mdfh_channel_flush(channel->session, channel->now_ns, spans, MDFH_SPANS_MAX)) > 0)
		for (int i = 0; i < n; i++)
			take_span(p, channel, &spans[i]);
	end_batch(p);
}

/* What others missed, and is owed to them where nothing comes that would bring it to light. */
static void tell(struct mdfh_pipeline *p)
{
	if (p->engine)
		mdfh_engine_tell(p->engine);
	else
		mdfh_dispatch_tell(p->dispatch);
	for (unsigned i = 0; i < p->tap_count; i++)
		mdfh_consumer_tell(p->taps[i]);
}

/* Up to when all ports of a channel have been read: behind the clock where this thread did not run, or
 * has yet to come to the end of what waits. */
static int64_t read_to(const struct mdfh_pipeline *p, const struct channel_state *channel)
{
	int64_t read_ns = INT64_MAX;

	for (unsigned line = 0; p->port_count && line < channel->lines; line++) {
		const struct port_state *port = &p->ports[channel->ports[line]];

		if (!atomic_load_explicit(&port->error, memory_order_relaxed) &&
		    port->read_ns < read_ns)
			read_ns = port->read_ns;
	}
	return read_ns;
}

/* Let time pass: open holes, silent lines, what workers and consumers missed. */
static void poll_channels(struct mdfh_pipeline *p, int64_t now_ns)
{
	struct mdfh_span spans[MDFH_SPANS_MAX];

	for (unsigned i = 0; i < p->channel_count; i++) {
		struct channel_state *channel = &p->channels[i];
		int64_t at_ns = channel->is_capture ? channel->now_ns : now_ns;
		int n;

		mdfh_channel_read_to(
		    channel->session, channel->is_capture ? INT64_MAX : read_to(p, channel));
		n = mdfh_channel_poll(channel->session, at_ns, spans, MDFH_SPANS_MAX);
		if (n > 0)
			take_spans(p, channel, spans, n, at_ns);
	}
	tell(p);
	end_batch(p);
}

void mdfh_pipeline_kernel_drops(struct mdfh_pipeline *p, uint64_t total)
{
	atomic_store_explicit(&p->kernel_drops, total, memory_order_relaxed);
	atomic_store_explicit(&p->kernel_drops_known, true, memory_order_relaxed);
}

/* The source has ended, or the port has died. The others go on: that is what lines are for. */
static __attribute__((noinline)) void port_over(
    struct mdfh_pipeline *p, struct port_state *port, int error)
{
	if (port->is_late)
		read_drops(p, port, p->now_ns); /* for the last time */
	atomic_store_explicit(&port->error, error, memory_order_relaxed);
	if (error != -ENODATA && !p->error) {
		p->error = error;
		snprintf(p->error_text, sizeof(p->error_text), "%s", mdfh_error_text());
	}
	for (uint32_t f = 0; f < port->config.flow_count; f++) {
		struct channel_state *channel = &p->channels[port->config.flows[f].channel];

		if (--channel->lines_open == 0)
			flush_channel(p, channel);
	}
}

/* Logins and heartbeats of a stream, and its end. */
static void tend_stream(struct mdfh_pipeline *p, struct port_state *port, int64_t now_ns)
{
	int error;

	if (!port->config.soup || atomic_load_explicit(&port->error, memory_order_relaxed))
		return;
	error = mdfh_soup_line_poll(port->config.soup, port->config.port, now_ns);
	if (error)
		port_over(p, port, error);
}

static void keep_house(struct mdfh_pipeline *p, int64_t now_ns)
{
	p->empty_polls = 0;
	p->now_ns = now_ns;
	p->kept_house_ns = now_ns;
	ask_before_giving_up(p, now_ns);
	poll_channels(p, now_ns);
	for (unsigned i = 0; i < p->port_count; i++)
		tend_stream(p, &p->ports[i], now_ns);
	if ((uint64_t)(now_ns - p->published_ns) < PUBLISH_NS)
		return;
	p->published_ns = now_ns;
	mdfh_pipeline_publish(p);
}

/* Where nothing comes, it may be the interface, or the group: a port looks after them here. */
static void look_after_ports(struct mdfh_pipeline *p, int64_t now_ns)
{
	if ((uint64_t)(now_ns - p->refreshed_ns) < REFRESH_NS)
		return;
	p->refreshed_ns = now_ns;
	mdfh_pipeline_refresh(p);
}

int mdfh_pipeline_poll(struct mdfh_pipeline *p)
{
	int total = 0;
	int open = 0;

	for (unsigned i = 0; i < p->port_count; i++) {
		struct port_state *port = &p->ports[i];
		int n;

		if (atomic_load_explicit(&port->error, memory_order_relaxed))
			continue;
		n = mdfh_bypass_recv(port->config.port, port->packets, BATCH);
		if (n < 0) {
			port_over(p, port, n);
			continue;
		}
		open = 1;
		if (n == 0) {
			port->read_ns = p->now_ns; /* a reading from before it was found empty */
			continue;
		}
		mdfh_load_work(&p->load);
		p->now_ns = (int64_t)mdfh_clock_now_ns();
		note_drops(p, port, n);
		mdfh_pipeline_packets(p, i, port->packets, n, p->now_ns);
		mdfh_bypass_release(port->config.port, port->packets, n);
		tend_stream(p, port, p->now_ns);
		total += n;
	}
	if (total) {
		p->came_ns = p->now_ns;
		/* Unsigned: a clock that was set back is no reason to wait for. */
		if ((uint64_t)(p->now_ns - p->kept_house_ns) >= HOUSE_NS)
			keep_house(p, p->now_ns);
		mdfh_load_worked(&p->load);
		return total;
	}
	mdfh_load_idle(&p->load);
	if (!open)
		return -ENODATA;
	if (++p->empty_polls >= EMPTY_POLLS) {
		keep_house(p, (int64_t)mdfh_clock_now_ns());
		if ((uint64_t)(p->now_ns - p->came_ns) >= REFRESH_NS)
			look_after_ports(p, p->now_ns);
	}
	return 0;
}

void mdfh_pipeline_begin(struct mdfh_pipeline *p)
{
	p->now_ns = p->came_ns = (int64_t)mdfh_clock_now_ns();
	ask_all_for_drops(p, p->now_ns); /* what was dropped before is of nobody's account */
	mdfh_load_start(&p->load);
}

void mdfh_pipeline_finish(struct mdfh_pipeline *p)
{
	ask_all_for_drops(p, (int64_t)mdfh_clock_now_ns());
	for (unsigned i = 0; i < p->channel_count; i++)
		flush_channel(p, &p->channels[i]);
	tell(p);
	end_batch(p);
	mdfh_load_stop(&p->load);
	mdfh_pipeline_publish(p);
}

void mdfh_pipeline_refresh(struct mdfh_pipeline *p)
{
	struct mdfh_bypass_stats stats;

	for (unsigned i = 0; i < p->port_count; i++)
		(void)mdfh_bypass_stats(p->ports[i].config.port, &stats);
	mdfh_pipeline_publish(p);
}

int mdfh_pipeline_error(const struct mdfh_pipeline *p, const char **text)
{
	*text = p->error_text;
	return p->error;
}

/* Waiting: not the hot path ------------------------------------------------------------------ */

static void shorten(struct timespec *timeout, long most_ns)
{
	if (timeout->tv_sec || timeout->tv_nsec > most_ns)
		*timeout = (struct timespec){.tv_nsec = most_ns};
}

void mdfh_pipeline_wait(struct mdfh_pipeline *p, uint32_t timeout_us)
{
	enum { FDS_MAX = 256 };
	struct pollfd fds[FDS_MAX];
	struct timespec timeout = {
	    .tv_sec = timeout_us / 1000000, .tv_nsec = (long)(timeout_us % 1000000) * 1000};
	nfds_t count = 0;

	/* However long it may wait, it is stopped soon, and its counters are published in time. */
	shorten(&timeout, PUBLISH_NS);
	/* Holes are given up in time, however long a user lets the thread wait. */
	for (unsigned i = 0; i < p->channel_count; i++)
		if (mdfh_channel_window_used(p->channels[i].session, p->now_ns))
			shorten(&timeout, HOUSE_NS);
	for (unsigned i = 0; i < p->port_count; i++) {
		int fd = mdfh_bypass_capabilities(p->ports[i].config.port)->poll_fd;

		if (atomic_load_explicit(&p->ports[i].error, memory_order_relaxed))
			continue;
		if (p->ports[i].config.soup) /* heartbeats */
			shorten(&timeout, 100000000);
		if (fd < 0 || count == FDS_MAX) /* cannot be waited for: looked at soon */
			shorten(&timeout, 50000);
		else
			fds[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
	if (ppoll(fds, count, &timeout, NULL) <= 0) {
		int64_t now_ns = (int64_t)mdfh_clock_now_ns();

		keep_house(p, now_ns);
		look_after_ports(p, now_ns);
		return;
	}
	mdfh_load_work(&p->load); /* what was waited for is there: asking for it is work */
}
