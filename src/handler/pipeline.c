/* pipeline.c - packets to events, on the thread that calls.
 *
 * One turn: a batch of packets from a port; each packet through its channel, which gives spans;
 * each span through the decoder, which gives ops; when the batch is over, or the op buffer full,
 * all ops go through the books at once, so that their misses overlap, and the events come out in
 * the consumer's ring. Nothing here allocates, locks or logs after create.
 *
 * Budget per batch besides its packets: one clock read. Every latency_sample'th batch reads it at
 * the borders of the stages too. */
#include "handler/pipeline_state.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mdfh/backend.h"
#include "mdfh/clock.h"
#include "mdfh/depth.h"
#include "mdfh/error.h"
#include "mdfh/fault.h"
#include "mdfh/schema.h"

/* Setup ----------------------------------------------------------------------------------- */

static int create_channel(
    struct mdfh_pipeline *p, const struct mdfh_pipeline_config *config, unsigned index)
{
	const struct mdfh_pipeline_channel *from = &config->channels[index];
	struct channel_state *channel = &p->channels[index];
	struct mdfh_decoder_config decoder = {
	    .size = sizeof(decoder),
	    .instruments = p->instruments,
	    .channel = from->session.channel,
	    .midnight_ns = from->midnight_ns,
	    .symbols = p->symbols,
	    .symbol_count = config->symbols_count,
	};
	const struct mdfh_schema *schema = mdfh_schema_find(from->protocol);
	int err;

	channel->framing = from->session.session->framing;
	channel->lines = from->session.lines;
	channel->number = from->session.channel;
	channel->schema = schema ? schema->id : 0;
	err = mdfh_channel_create(&from->session, &channel->session);
	if (!err)
		err = mdfh_decoder_create(from->protocol, &decoder, &channel->decoder);
	return err;
}

static int create_consumers(struct mdfh_pipeline *p, const struct mdfh_pipeline_config *config)
{
	int err;

	for (unsigned i = 0; i < config->consumer_count; i++) {
		err = mdfh_consumer_create(config->consumers[i], p->instruments,
		    config->channel_count, config->stop, &p->consumers[i]);
		if (err)
			return err;
		p->consumer_count++;
		if (p->consumers[i]->kind == MDFH_CONSUMER_RAW) {
			p->raw_consumers++;
			continue;
		}
		p->event_consumers++;
		p->direct = p->consumers[i];
	}
	if (p->event_consumers != 1)
		p->direct = NULL;
	return 0;
}

int mdfh_pipeline_create(const struct mdfh_pipeline_config *config, struct mdfh_pipeline **pipeline)
{
	struct mdfh_pipeline *p;
	struct mdfh_books_config books = config->books;
	uint32_t rows = config->instruments_max ? config->instruments_max : 65536;
	uint32_t sample = config->latency_sample ? config->latency_sample : 64;
	int err;

	*pipeline = NULL;
	p = mdfh_lines_alloc(1, sizeof(*p));
	if (!p)
		return mdfh_error(-ENOMEM, "pipeline: %zu bytes", sizeof(*p));
	p->ports = mdfh_lines_alloc(config->ports_max + 1, sizeof(*p->ports));
	p->channels = mdfh_lines_alloc(config->channel_count, sizeof(*p->channels));
	p->consumers = calloc(config->consumer_count + 1, sizeof(struct mdfh_consumer *));
	p->symbols = calloc(config->symbols_count + 1, sizeof(*p->symbols));
	p->touched_at = mdfh_lines_alloc((size_t)rows + 1, sizeof(*p->touched_at));
	p->channel_count = config->channel_count;
	p->word_count = mdfh_pipeline_words(p, config->ports_max);
	p->words = mdfh_lines_alloc(p->word_count, sizeof(*p->words));
	p->scratch_words = mdfh_lines_alloc(p->word_count, sizeof(*p->scratch_words));
	if (!p->ports || !p->channels || !p->consumers || !p->symbols || !p->touched_at ||
	    !p->words || !p->scratch_words) {
		err = mdfh_error(-ENOMEM, "pipeline: out of memory");
		goto fail;
	}
	if (!config->ports_max) {
		p->ports[0].config.flow_count = config->channels[0].session.lines;
		for (uint16_t f = 0; f < config->channels[0].session.lines; f++)
			p->ports[0].config.flows[f].line = f;
	}
	for (unsigned i = 0; i < config->symbols_count; i++)
		p->symbols[i] = config->symbols[i];
	if (sample & (sample - 1)) {
		err = mdfh_error(-EINVAL,
		    "latency_sample is %u; it must be a power of two (1 = every batch)", sample);
		goto fail;
	}
	p->sample_mask = sample - 1;
	p->on_events = config->on_events;
	p->context = config->context;
	err = mdfh_clock_start();
	if (err)
		goto fail;
	err =
	    mdfh_instruments_create_shared(rows, config->instruments_shared_name, &p->instruments);
	if (err)
		goto fail;
	for (unsigned i = 0; i < config->channel_count; i++) {
		err = create_channel(p, config, i);
		if (err)
			goto fail;
	}
	if (config->keep_books) {
		books.size = sizeof(books);
		books.instruments = p->instruments;
		if (!books.trades_max)
			books.trades_max = TRADES_KEPT;
		err = mdfh_books_create(&books, &p->books);
		if (err)
			goto fail;
	}
	if (config->depth_levels && p->books) {
		struct mdfh_depth_config depth = {
		    .size = sizeof(depth),
		    .instruments = rows + 1,
		    .levels = config->depth_levels,
		    .shared_name = config->depth_shared_name,
		};

		err = mdfh_depth_create(&depth, &p->depth);
		if (err)
			goto fail;
	}
	err = create_consumers(p, config);
	if (err)
		goto fail;
	for (int i = 0; i < MDFH_STAGE_RING; i++) {
		err = mdfh_histogram_create(MDFH_STAGE_MAX_NS, &p->latency[i]);
		if (err)
			goto fail;
	}
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
	for (uint32_t f = 0; f < from->flow_count; f++) {
		struct channel_state *channel = &p->channels[from->flows[f].channel];

		channel->ports[from->flows[f].line] = (uint16_t)p->port_count;
		channel->lines_open++;
	}
	for (unsigned i = 0; i < p->consumer_count; i++)
		p->consumers[i]->is_recorded |= mdfh_bypass_capabilities(from->port)->is_finite;
	p->port_count++;
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
	for (unsigned i = 0; p->consumers && i < p->consumer_count; i++)
		mdfh_consumer_destroy(p->consumers[i]);
	for (int i = 0; i < MDFH_STAGE_RING; i++)
		mdfh_histogram_destroy(p->latency[i]);
	mdfh_depth_destroy(p->depth);
	mdfh_books_destroy(p->books);
	for (unsigned i = 0; p->channels && i < p->channel_count; i++) {
		mdfh_decoder_destroy(p->channels[i].decoder);
		mdfh_channel_destroy(p->channels[i].session);
	}
	mdfh_instruments_destroy(p->instruments);
	free(p->scratch_words);
	free((void *)p->words);
	free(p->touched_at);
	free(p->symbols);
	free(p->consumers);
	free(p->channels);
	free(p->ports);
	free(p);
}

void mdfh_pipeline_on_events(struct mdfh_pipeline *p, mdfh_events_handler function, void *context)
{
	p->on_events = function;
	p->context = context;
}

/* Data path: ops to events ------------------------------------------------------------------ */

/* Publish each instrument once, with its last event of these. n is at most EVENTS_MAX. */
static void publish_depth(struct mdfh_pipeline *p, const struct mdfh_event *events, int n)
{
	unsigned count = 0;

	for (int i = 0; i < n; i++) {
		uint32_t row = events[i].instrument;

		if (!row)
			continue;
		if (!p->touched_at[row]) {
			p->touched[count++].row = row;
			p->touched_at[row] = (uint16_t)count;
		}
		p->touched[p->touched_at[row] - 1].event = i;
	}
	for (unsigned i = 0; i < count; i++) {
		const struct mdfh_event *last = &events[p->touched[i].event];

		(void)mdfh_depth_publish(
		    p->depth, p->books, p->touched[i].row, last->sequence, last->receive_ns);
		p->touched_at[p->touched[i].row] = 0;
	}
}

/* Events made by one apply: to the callback, the depth snapshots and the rings. in_place: they
 * already stand in the direct consumer's ring. */
static void hand_out(struct mdfh_pipeline *p, const struct mdfh_event *events, int n, int in_place)
{
	if (p->on_events)
		p->on_events(p->context, events, n, p->books);
	if (p->depth)
		publish_depth(p, events, n);
	if (in_place) {
		mdfh_consumer_commit(p->direct, (uint32_t)n);
		return;
	}
	for (unsigned i = 0; i < p->consumer_count; i++)
		if (p->consumers[i]->kind == MDFH_CONSUMER_EVENTS)
			mdfh_consumer_write(p->consumers[i], events, n);
}

/* Work off the collected ops. The span whose ops came last may go on: its origin becomes the
 * first of the next batch. */
static void apply(struct mdfh_pipeline *p)
{
	const struct mdfh_op *ops = p->ops;
	int left = p->op_count;
	int wanted = p->on_events || p->depth || p->event_consumers;
	uint64_t start = p->sampling ? mdfh_clock_ticks() : 0;

	if (p->books)
		mdfh_books_origins(p->books, p->origins);
	while (p->books && left > 0) {
		struct mdfh_event *out = p->events;
		int max = EVENTS_MAX;
		int in_place = 0;
		int done;
		int n;

		if (p->direct) {
			struct mdfh_event *slots;
			uint32_t room = mdfh_consumer_reserve(p->direct, EVENTS_MAX, &slots);

			if (room >= MDFH_BOOK_EVENTS_PER_OP) {
				out = slots;
				max = (int)room;
				in_place = 1;
			}
		}
		n = mdfh_book_apply(p->books, ops, left, wanted ? out : NULL, max, &done);
		if (n > 0)
			hand_out(p, out, n, in_place);
		ops += done;
		left -= done;
	}
	if (p->sampling)
		p->book_ticks += mdfh_clock_ticks() - start;
	p->op_count = 0;
	if (p->origin_count) {
		p->origins[0] = p->origins[p->origin_count - 1];
		p->origin_count = 0;
	}
}

/* Data path: packets to ops ----------------------------------------------------------------- */

static void tap(
    struct mdfh_pipeline *p, const struct channel_state *channel, const struct mdfh_span *span)
{
	struct mdfh_raw head = {
	    .sequence = span->first,
	    .receive_ns = span->receive_ns,
	    .channel = span->channel,
	    .schema = channel->schema,
	    .epoch = span->epoch,
	    .kind = span->kind,
	    .line = span->line,
	};
	const uint8_t *data = span->data;
	uint32_t left = span->length;

	if (span->kind != MDFH_SPAN_DATA) {
		head.length = sizeof(span->messages);
		for (unsigned i = 0; i < p->consumer_count; i++)
			if (p->consumers[i]->kind == MDFH_CONSUMER_RAW)
				mdfh_consumer_write_raw(p->consumers[i], &head,
				    (const uint8_t *)&span->messages, sizeof(span->messages));
		return;
	}
	while (left) {
		const uint8_t *message;
		uint32_t length;
		uint32_t used = mdfh_framing_next(channel->framing, data, left, &message, &length);

		if (!used)
			return;
		head.length = (uint16_t)length;
		for (unsigned i = 0; i < p->consumer_count; i++)
			if (p->consumers[i]->kind == MDFH_CONSUMER_RAW)
				mdfh_consumer_write_raw(p->consumers[i], &head, message, length);
		data += used;
		left -= used;
		head.sequence++;
	}
}

static void take_span(
    struct mdfh_pipeline *p, struct channel_state *channel, const struct mdfh_span *span)
{
	struct mdfh_decoder_base *base = (struct mdfh_decoder_base *)channel->decoder;
	int n;

	if (span->kind == MDFH_SPAN_SESSION_END)
		atomic_store_explicit(&channel->ended, 1, memory_order_relaxed);
	else if (span->kind == MDFH_SPAN_SESSION_BEGIN)
		atomic_store_explicit(&channel->ended, 0, memory_order_relaxed);
	if (p->raw_consumers)
		tap(p, channel, span);
	if (p->origin_count == ORIGINS_MAX)
		apply(p);
	p->origins[p->origin_count] = (struct mdfh_origin){
	    .receive_ns = span->receive_ns,
	    .channel = span->channel,
	    .epoch = span->epoch,
	    .line = span->line,
	};
	mdfh_decoder_begin(channel->decoder, span, channel->framing, (uint16_t)p->origin_count++);
	for (;;) {
		if (OPS_MAX - p->op_count < OPS_LEAST) {
			apply(p);
			base->origin = 0;
			p->origin_count = 1;
		}
		n = mdfh_decoder_next(
		    channel->decoder, p->ops + p->op_count, OPS_MAX - p->op_count);
		if (n <= 0)
			return;
		p->op_count += n;
	}
}

static void take_spans(struct mdfh_pipeline *p, struct channel_state *channel,
    struct mdfh_span *spans, int n, int64_t now_ns)
{
	while (n > 0) {
		uint64_t start = p->sampling ? mdfh_clock_ticks() : 0;
		uint64_t book_ticks = p->book_ticks;

		for (int i = 0; i < n; i++)
			take_span(p, channel, &spans[i]);
		/* Where the op buffer became full on the way, books were at work meanwhile. */
		if (p->sampling)
			p->decode_ticks +=
			    mdfh_clock_ticks() - start - (p->book_ticks - book_ticks);
		if (n < MDFH_SPANS_MAX)
			return;
		n = mdfh_channel_poll(channel->session, now_ns, spans, MDFH_SPANS_MAX);
	}
}

/* The drop counters of a port's path, before its packets are looked at. */
static void note_drops(struct mdfh_pipeline *p, struct port_state *port)
{
	const struct mdfh_bypass_stats *stats = port->stats;
	struct mdfh_fault_counts faults;
	struct mdfh_line_drops drops = {
	    .nic = stats->rx_dropped_nic,
	    .kernel = stats->rx_dropped_kernel,
	    .socket = stats->rx_dropped_socket,
	    .known = stats->known_drops,
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
	for (uint32_t f = 0; f < port->config.flow_count; f++) {
		/* Exact: the count rises with the first packet behind the hole. A capture read
		 * whole has no flows to tell apart. */
		if (port->is_fault)
			drops.injected = port->config.flow_count == 1 ? faults.lost_before
								      : faults.flow_lost_before[f];
		mdfh_channel_drops(p->channels[port->config.flows[f].channel].session,
		    port->config.flows[f].line, &drops);
	}
}

static void begin_batch(struct mdfh_pipeline *p, const struct mdfh_packet *first, int64_t now_ns)
{
	p->sampling = (p->batches++ & p->sample_mask) == 0;
	if (!p->sampling)
		return;
	p->session_ticks = 0;
	p->decode_ticks = 0;
	p->book_ticks = 0;
	if (!(first->flags & MDFH_PACKET_RECORDED) && first->receive_ns &&
	    now_ns > (int64_t)first->receive_ns)
		mdfh_histogram_record(
		    p->latency[MDFH_STAGE_RECEIVE], (uint64_t)now_ns - first->receive_ns);
}

static void end_batch(struct mdfh_pipeline *p)
{
	int64_t exchange_ns = 0;
	int64_t receive_ns = 0;

	if (p->sampling && p->op_count) {
		const struct mdfh_op *last = &p->ops[p->op_count - 1];

		exchange_ns = last->exchange_ns;
		receive_ns = p->origins[last->origin].receive_ns;
	}
	if (p->op_count)
		apply(p);
	p->origin_count = 0;
	if (!p->sampling)
		return;
	p->sampling = 0;
	mdfh_histogram_record(
	    p->latency[MDFH_STAGE_SESSION], mdfh_clock_ticks_to_ns(p->session_ticks));
	mdfh_histogram_record(
	    p->latency[MDFH_STAGE_DECODE], mdfh_clock_ticks_to_ns(p->decode_ticks));
	mdfh_histogram_record(p->latency[MDFH_STAGE_BOOK], mdfh_clock_ticks_to_ns(p->book_ticks));
	if (exchange_ns && receive_ns > exchange_ns)
		mdfh_histogram_record(
		    p->latency[MDFH_STAGE_WIRE], (uint64_t)(receive_ns - exchange_ns));
	for (unsigned i = 0; i < p->consumer_count; i++)
		mdfh_consumer_sample(p->consumers[i], mdfh_clock_ticks());
}

/* The table of instruments was full for some message of the batch: one event, however many. */
static void tell_refused(struct mdfh_pipeline *p, const struct channel_state *channel)
{
	uint64_t refused = mdfh_instruments_refused(p->instruments);
	const struct mdfh_channel_stats *session = mdfh_channel_stats(channel->session);
	struct mdfh_event event = {
	    .sequence = session->next_sequence - 1,
	    .receive_ns = channel->now_ns,
	    .channel = channel->number,
	    .flags = MDFH_EVENT_LAST_PART | MDFH_EVENT_LAST,
	    .kind = MDFH_EVENT_ERROR,
	    .epoch = (uint8_t)session->sessions,
	};

	event.gap.first = event.sequence;
	event.gap.count = refused - p->instruments_refused;
	event.gap.cause = MDFH_CAUSE_INSTRUMENTS_FULL;
	p->instruments_refused = refused;
	hand_out(p, &event, 1, 0);
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
	struct channel_state *channel = NULL;

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
	if (channel && mdfh_instruments_refused(p->instruments) != p->instruments_refused)
		tell_refused(p, channel);
}

/* Ops that were made outside of a batch of packets. */
static void apply_rest(struct mdfh_pipeline *p)
{
	if (p->op_count)
		apply(p);
	p->origin_count = 0;
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
	apply_rest(p);
}

/* Let time pass: open holes, silent lines. */
static void poll_channels(struct mdfh_pipeline *p, int64_t now_ns)
{
	struct mdfh_span spans[MDFH_SPANS_MAX];

	for (unsigned i = 0; i < p->channel_count; i++) {
		struct channel_state *channel = &p->channels[i];
		int64_t at_ns = channel->is_capture ? channel->now_ns : now_ns;
		int n = mdfh_channel_poll(channel->session, at_ns, spans, MDFH_SPANS_MAX);

		if (n > 0)
			take_spans(p, channel, spans, n, at_ns);
	}
	apply_rest(p);
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
	p->kept_house_ns = now_ns;
	poll_channels(p, now_ns);
	for (unsigned i = 0; i < p->port_count; i++)
		tend_stream(p, &p->ports[i], now_ns);
	if ((uint64_t)(now_ns - p->published_ns) < PUBLISH_NS)
		return;
	p->published_ns = now_ns;
	mdfh_pipeline_publish(p);
}

int mdfh_pipeline_poll(struct mdfh_pipeline *p)
{
	int64_t now_ns = 0;
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
		if (n == 0)
			continue;
		now_ns = (int64_t)mdfh_clock_now_ns();
		note_drops(p, port);
		mdfh_pipeline_packets(p, i, port->packets, n, now_ns);
		mdfh_bypass_release(port->config.port, port->packets, n);
		tend_stream(p, port, now_ns);
		total += n;
	}
	if (total) {
		/* Unsigned: a clock that was set back is no reason to wait for. */
		if ((uint64_t)(now_ns - p->kept_house_ns) >= HOUSE_NS)
			keep_house(p, now_ns);
		return total;
	}
	if (!open)
		return -ENODATA;
	if (++p->empty_polls >= EMPTY_POLLS)
		keep_house(p, (int64_t)mdfh_clock_now_ns());
	return 0;
}

void mdfh_pipeline_finish(struct mdfh_pipeline *p)
{
	for (unsigned i = 0; i < p->channel_count; i++)
		flush_channel(p, &p->channels[i]);
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

	/* Holes are given up in time, however long a user lets the thread wait. */
	for (unsigned i = 0; i < p->channel_count; i++)
		if (mdfh_channel_waiting(p->channels[i].session))
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
		/* Where nothing comes, it may be the interface: a port looks after it here. */
		if ((uint64_t)(now_ns - p->refreshed_ns) >= REFRESH_NS) {
			p->refreshed_ns = now_ns;
			mdfh_pipeline_refresh(p);
		}
	}
}
