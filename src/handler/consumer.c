/* consumer.c - events to a ring: in place where possible, dropped with a trace where not.
 *
 * After a drop the consumer first learns what it missed: one gap event per channel and epoch with
 * the range of sequence numbers, then a stale event per instrument. Nothing is written until there
 * is room for all of that and the next event, and at least an eighth of the ring, so that a slow
 * consumer sees a few long holes and not thousands of short ones. */
#include "handler/consumer.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lines.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"

/* Setup ----------------------------------------------------------------------------------- */

static int compare_symbols(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int copy_symbols(struct mdfh_consumer *c, const struct mdfh_consumer_config *config)
{
	if (!config->symbols_count)
		return 0;
	c->symbols = calloc(config->symbols_count, sizeof(*c->symbols));
	c->wanted = mdfh_lines_alloc(mdfh_instruments_capacity(c->instruments) + 1, 1);
	if (!c->symbols || !c->wanted)
		return -ENOMEM;
	for (unsigned i = 0; i < config->symbols_count; i++) {
		c->symbols[i] = strdup(config->symbols[i]);
		if (!c->symbols[i])
			return -ENOMEM;
		c->symbols_count++;
	}
	qsort(c->symbols, c->symbols_count, sizeof(*c->symbols), compare_symbols);
	return 0;
}

int mdfh_consumer_create(const struct mdfh_consumer_config *config,
    const struct mdfh_instruments *instruments, unsigned channels, const atomic_bool *stop,
    struct mdfh_consumer **consumer)
{
	struct mdfh_consumer *c;
	struct mdfh_ring_config ring = {
	    .size = sizeof(ring),
	    .slots = config->slots,
	    .slot_size = sizeof(struct mdfh_event),
	    .shared_name = config->shared_name,
	};
	uint32_t least;
	int err = -ENOMEM;

	*consumer = NULL;
	if (config->kind == MDFH_CONSUMER_RAW) {
		if (config->symbols_count)
			return mdfh_error(-EINVAL,
			    "consumer %s: a raw tap gets every message; leave symbols out",
			    config->name ? config->name : "?");
		ring.slot_size = config->slot_size ? config->slot_size : 128;
		if (ring.slot_size < 64 || ring.slot_size > 65536 || ring.slot_size % 8)
			return mdfh_error(-EINVAL,
			    "consumer %s: slot_size is %u; it must be a multiple of 8 from 64 to "
			    "65536",
			    config->name ? config->name : "?", ring.slot_size);
	}
	c = mdfh_lines_alloc(1, sizeof(*c));
	if (!c)
		return mdfh_error(-ENOMEM, "consumer: %zu bytes", sizeof(*c));
	snprintf(c->name, sizeof(c->name), "%s", config->name ? config->name : "events");
	c->kind = config->kind;
	c->full = config->full;
	c->slot_size = ring.slot_size;
	c->instruments = instruments;
	c->stop = stop;
	c->sibling = c;
	c->reading = c;
	c->losses_max = channels * CONSUMER_EPOCHS_MAX;
	c->losses = mdfh_lines_alloc(c->losses_max, sizeof(*c->losses));
	if (!c->losses || copy_symbols(c, config)) {
		err = mdfh_error(-ENOMEM, "consumer %s: out of memory", c->name);
		goto fail;
	}
	err = mdfh_histogram_create(MDFH_STAGE_MAX_NS, &c->ring_latency);
	if (!err)
		err = mdfh_histogram_create(MDFH_STAGE_MAX_NS, &c->whole_latency);
	if (!err)
		err = mdfh_histogram_create(MDFH_STAGE_MAX_NS, &c->intended_latency);
	if (err)
		goto fail;
	err = mdfh_ring_create(&ring, &c->ring);
	if (err) {
		mdfh_error(err, "consumer %s: %s", c->name, mdfh_error_text());
		goto fail;
	}
	c->capacity = mdfh_ring_capacity(c->ring);
	/* The longest story that names no instruments, and an event: else it could never end. */
	least = c->losses_max * (c->kind == MDFH_CONSUMER_RAW ? 1 : 2) + 1;
	if (c->capacity < least) {
		err = mdfh_error(-EINVAL,
		    "consumer %s: slots is %u; with %u channels on its thread it must be at least "
		    "%u",
		    c->name, c->capacity, channels, least);
		goto fail;
	}
	*consumer = c;
	return 0;

fail:
	mdfh_consumer_destroy(c);
	return err;
}

void mdfh_consumer_join(struct mdfh_consumer *first, struct mdfh_consumer *next)
{
	struct mdfh_consumer *last = first;

	while (last->sibling != first)
		last = last->sibling;
	last->sibling = next;
	next->sibling = first;
}

void mdfh_consumer_destroy(struct mdfh_consumer *c)
{
	if (!c)
		return;
	mdfh_ring_destroy(c->ring);
	mdfh_histogram_destroy(c->intended_latency);
	mdfh_histogram_destroy(c->whole_latency);
	mdfh_histogram_destroy(c->ring_latency);
	for (unsigned i = 0; i < c->symbols_count; i++)
		free(c->symbols[i]);
	free(c->symbols);
	free(c->wanted);
	free(c->losses);
	free(c);
}

/* Data path: the receive thread's side ------------------------------------------------------ */

/* One thread writes these counters, so that load and store need not be one operation. */
static void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(
	    counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

static int is_wanted(struct mdfh_consumer *c, uint32_t row)
{
	const struct mdfh_instrument *instrument;
	const char *symbol;

	if (!c->symbols || row == 0)
		return 1;
	if (c->wanted[row])
		return c->wanted[row] == 1;
	instrument = mdfh_instruments_get(c->instruments, row);
	if (!instrument || !instrument->symbol[0])
		return 0; /* its symbol is not known yet: ask again next time */
	symbol = instrument->symbol;
	c->wanted[row] =
	    bsearch(&symbol, c->symbols, c->symbols_count, sizeof(*c->symbols), compare_symbols)
		? 1
		: 2;
	return c->wanted[row] == 1;
}

/* Whether an event that names no instrument says something of all of its channel's books. */
static int concerns_all(const struct mdfh_event *event)
{
	return !event->instrument &&
	       (event->kind == MDFH_EVENT_GAP || event->kind == MDFH_EVENT_STALE ||
		   event->kind == MDFH_EVENT_CLEAR || event->kind == MDFH_EVENT_SESSION_BEGIN ||
		   event->kind == MDFH_EVENT_END_OF_DAY);
}

/* Not begin and end of a session, whose sequence is that of the message behind them. An end of day
 * that the venue sent as a message has that message's time. */
static int has_number(const struct mdfh_event *event)
{
	return event->kind != MDFH_EVENT_SESSION_BEGIN &&
	       (event->kind != MDFH_EVENT_END_OF_DAY || event->exchange_ns);
}

/* The entry of an event's channel and epoch. Of more epochs than a channel has entries for, the
 * newest is kept in the last. */
static struct consumer_loss *find_loss(struct mdfh_consumer *c, const struct mdfh_event *event)
{
	struct consumer_loss *loss = NULL;
	unsigned of_channel = 0;

	for (unsigned i = 0; i < c->losses_count; i++) {
		if (c->losses[i].channel != event->channel)
			continue;
		loss = &c->losses[i];
		of_channel++;
	}
	if (loss && loss->epoch == event->epoch)
		return loss;
	if (of_channel < CONSUMER_EPOCHS_MAX)
		loss = &c->losses[c->losses_count++];
	*loss =
	    (struct consumer_loss){.channel = event->channel, .epoch = event->epoch, .first = 1};
	return loss;
}

static void remember_loss(struct mdfh_consumer *c, const struct mdfh_event *event)
{
	struct consumer_loss *loss = find_loss(c, event);

	c->dropping = 1;
	c->lost_ns = event->receive_ns;
	count(&c->dropped, 1);
	if (has_number(event)) {
		if (loss->last < loss->first)
			loss->first = event->sequence;
		/* A dropped gap stands for all of its numbers. */
		loss->last = event->kind == MDFH_EVENT_GAP && event->gap.count
				 ? event->gap.first + event->gap.count - 1
				 : event->sequence;
	}
	if (concerns_all(event))
		c->touched_count = CONSUMER_TOUCHED_MAX + 1;
	if (!event->instrument || c->touched_count > CONSUMER_TOUCHED_MAX)
		return;
	for (unsigned i = 0; i < c->touched_count; i++)
		if (c->touched[i] == event->instrument)
			return;
	if (c->touched_count < CONSUMER_TOUCHED_MAX)
		c->touched[c->touched_count] = event->instrument;
	c->touched_count++;
}

/* Room for what must be told, the next message, and enough more to be worth going on. */
static int may_resume(const struct mdfh_consumer *c, uint32_t told)
{
	uint32_t need = told + 1 > c->capacity / 8 ? told + 1 : c->capacity / 8;

	return c->capacity - mdfh_ring_used(c->ring) >= need;
}

static int push(struct mdfh_consumer *c, const struct mdfh_event *event)
{
	if (!mdfh_ring_push(c->ring, event))
		return 0;
	c->written++;
	count(&c->delivered, 1);
	return 1;
}

static void tell_stale(struct mdfh_consumer *c, uint32_t instrument, uint16_t channel)
{
	struct mdfh_event event = {
	    .receive_ns = c->lost_ns,
	    .instrument = instrument,
	    .channel = channel,
	    .kind = MDFH_EVENT_STALE,
	    .flags = MDFH_EVENT_LAST_PART | MDFH_EVENT_LAST,
	};

	event.gap.cause = MDFH_CAUSE_CONSUMER;
	(void)push(c, &event);
}

/* Once there is room again, tell what was missed. Returns 1 when events may flow. */
static int resume(struct mdfh_consumer *c)
{
	int by_name = c->touched_count <= CONSUMER_TOUCHED_MAX &&
		      c->losses_count + c->touched_count < c->capacity;

	if (!c->dropping)
		return 1;
	if (!may_resume(c, c->losses_count + (by_name ? c->touched_count : c->losses_count)))
		return 0;
	for (unsigned i = 0; i < c->losses_count; i++) {
		const struct consumer_loss *loss = &c->losses[i];
		struct mdfh_event event = {
		    .sequence = loss->first,
		    .receive_ns = c->lost_ns,
		    .channel = loss->channel,
		    .epoch = loss->epoch,
		    .kind = MDFH_EVENT_GAP,
		    .flags = MDFH_EVENT_LAST_PART | MDFH_EVENT_LAST,
		};

		if (loss->last < loss->first)
			continue;
		event.gap.first = loss->first;
		event.gap.count = loss->last - loss->first + 1;
		event.gap.cause = MDFH_CAUSE_CONSUMER;
		(void)push(c, &event);
		count(&c->gaps, 1);
	}
	for (unsigned i = 0; by_name && i < c->touched_count; i++)
		tell_stale(
		    c, c->touched[i], mdfh_instruments_get(c->instruments, c->touched[i])->channel);
	for (unsigned i = 0; !by_name && i < c->losses_count; i++)
		tell_stale(c, 0, c->losses[i].channel);
	c->losses_count = 0;
	c->touched_count = 0;
	c->dropping = 0;
	return 1;
}

uint32_t mdfh_consumer_reserve(struct mdfh_consumer *c, uint32_t want, struct mdfh_event **slots)
{
	void *first;
	uint32_t n;

	if (c->dropping || c->symbols || c->full == MDFH_FULL_WAIT)
		return 0;
	n = mdfh_ring_reserve(c->ring, want, &first);
	*slots = first;
	return n;
}

void mdfh_consumer_commit(struct mdfh_consumer *c, uint32_t n)
{
	mdfh_ring_commit(c->ring, n);
	c->written += n;
	count(&c->delivered, n);
}

/* When a full ring is to be waited for (files and tests only), the processor is given away until the
 * consumer has made room or the thread is to stop: then it is a loss as any other. */
static void write_one(struct mdfh_consumer *c, const struct mdfh_event *event)
{
	while (!resume(c) || !push(c, event)) {
		if (c->full == MDFH_FULL_DROP ||
		    atomic_load_explicit(c->stop, memory_order_relaxed)) {
			remember_loss(c, event);
			return;
		}
		sched_yield();
	}
}

void mdfh_consumer_write(struct mdfh_consumer *c, const struct mdfh_event *events, int n)
{
	int i = 0;

	/* Of these it may want none. */
	if (c->dropping && c->symbols)
		(void)resume(c);
	while (!c->symbols && i < n && resume(c)) {
		uint32_t pushed = mdfh_ring_push_batch(c->ring, &events[i], (uint32_t)(n - i));

		if (!pushed)
			break;
		c->written += pushed;
		count(&c->delivered, pushed);
		i += (int)pushed;
	}
	for (; i < n; i++)
		if (is_wanted(c, events[i].instrument))
			write_one(c, &events[i]);
}

/* One record into a free slot; 0 = full. */
static int put_raw(
    struct mdfh_consumer *c, const struct mdfh_raw *head, const uint8_t *data, uint32_t length)
{
	uint32_t room = c->slot_size - (uint32_t)sizeof(*head);
	struct mdfh_raw *raw;
	void *slot;

	if (!mdfh_ring_reserve(c->ring, 1, &slot))
		return 0;
	raw = slot;
	*raw = *head;
	raw->stored = (uint16_t)(length < room ? length : room);
	memcpy(raw->data, data, raw->stored);
	mdfh_ring_commit(c->ring, 1);
	c->written++;
	count(&c->delivered, 1);
	return 1;
}

/* The raw tap's way to say what was dropped: gap records before the next message. */
static int resume_raw(struct mdfh_consumer *c)
{
	if (!c->dropping)
		return 1;
	if (!may_resume(c, c->losses_count))
		return 0;
	for (unsigned i = 0; i < c->losses_count; i++) {
		const struct consumer_loss *loss = &c->losses[i];
		uint64_t missing = loss->last - loss->first + 1;
		struct mdfh_raw head = {
		    .sequence = loss->first,
		    .receive_ns = c->lost_ns,
		    .channel = loss->channel,
		    .length = sizeof(missing),
		    .epoch = loss->epoch,
		    .kind = MDFH_SPAN_GAP,
		};

		/* Of markers alone the count is 0: the next record's epoch says the rest. */
		(void)put_raw(c, &head, (const uint8_t *)&missing, sizeof(missing));
		count(&c->gaps, 1);
	}
	c->losses_count = 0;
	c->dropping = 0;
	return 1;
}

void mdfh_consumer_write_raw(
    struct mdfh_consumer *c, const struct mdfh_raw *head, const uint8_t *data, uint32_t length)
{
	struct mdfh_event lost = {
	    .sequence = head->sequence,
	    .receive_ns = head->receive_ns,
	    .channel = head->channel,
	    .epoch = head->epoch,
	};

	switch (head->kind) {
	case MDFH_SPAN_GAP:
		lost.kind = MDFH_EVENT_GAP;
		lost.gap.first = head->sequence;
		memcpy(&lost.gap.count, data, sizeof(lost.gap.count));
		break;
	case MDFH_SPAN_SESSION_BEGIN:
		lost.kind = MDFH_EVENT_SESSION_BEGIN;
		break;
	case MDFH_SPAN_SESSION_END:
		lost.kind = MDFH_EVENT_END_OF_DAY;
		break;
	default:
		break;
	}
	while (!resume_raw(c) || !put_raw(c, head, data, length)) {
		if (c->full == MDFH_FULL_DROP ||
		    atomic_load_explicit(c->stop, memory_order_relaxed)) {
			remember_loss(c, &lost);
			return;
		}
		sched_yield();
	}
}

void mdfh_consumer_tell(struct mdfh_consumer *c)
{
	(void)(c->kind == MDFH_CONSUMER_RAW ? resume_raw(c) : resume(c));
}

void mdfh_consumer_sample(struct mdfh_consumer *c, uint64_t ticks)
{
	if (!c->written)
		return;
	atomic_store_explicit(&c->sample_position, 0, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&c->sample_ticks, ticks, memory_order_relaxed);
	atomic_store_explicit(&c->sample_position, c->written, memory_order_release);
}

/* Data path: the consumer's side ------------------------------------------------------------ */

/* Every event once, however often it is peeked at: when much comes at once because something
 * stalled, much was late. Events of one packet mostly have one time. */
static void measure_intended(
    struct mdfh_consumer *c, const struct mdfh_event *events, uint32_t n, int64_t now)
{
	uint32_t i = c->measured > c->read ? (uint32_t)(c->measured - c->read) : 0;

	while (i < n) {
		int64_t from = events[i].exchange_ns;
		uint32_t first = i;

		while (++i < n && events[i].exchange_ns == from)
			;
		if (from > 0 && now > from && now - from < MDFH_STAGE_MAX_NS)
			mdfh_histogram_record_n(
			    c->intended_latency, (uint64_t)(now - from), i - first);
		c->measured = c->read + i;
	}
}

/* The clock is looked at once per peek at most, so that reading stays cheap. */
static void measure(struct mdfh_consumer *c, const struct mdfh_event *events, uint32_t n)
{
	int64_t receive_ns = events[n - 1].receive_ns;
	uint64_t position = atomic_load_explicit(&c->sample_position, memory_order_acquire);

	if (position && position != c->sample_seen && c->read + n >= position) {
		uint64_t ticks = atomic_load_explicit(&c->sample_ticks, memory_order_relaxed);
		uint64_t now = mdfh_clock_ticks();

		/* Were they overwritten meanwhile, they belong to another position. */
		atomic_thread_fence(memory_order_acquire);
		if (position != atomic_load_explicit(&c->sample_position, memory_order_relaxed))
			position = 0;
		c->sample_seen = position;
		if (position && now > ticks)
			mdfh_histogram_record(c->ring_latency, mdfh_clock_ticks_to_ns(now - ticks));
	}
	if (receive_ns > 0 && !c->is_recorded) {
		int64_t now = (int64_t)mdfh_clock_now_ns();

		if (now > receive_ns && now - receive_ns < MDFH_STAGE_MAX_NS)
			mdfh_histogram_record(c->whole_latency, (uint64_t)(now - receive_ns));
		measure_intended(c, events, n, now);
	}
}

uint32_t mdfh_consumer_peek(struct mdfh_consumer *c, uint32_t max, const struct mdfh_event **events)
{
	struct mdfh_consumer *ring = c->reading;
	const void *first;
	uint32_t n;

	if (c->kind != MDFH_CONSUMER_EVENTS)
		return 0;
	/* One after the other, so that a busy worker does not keep the others' events waiting. */
	if (!c->held)
		ring = ring->sibling;
	n = mdfh_ring_peek(ring->ring, max, &first);
	for (struct mdfh_consumer *at = ring; !n && !c->held && at->sibling != ring;) {
		at = at->sibling;
		n = mdfh_ring_peek(at->ring, max, &first);
		if (n)
			ring = at;
	}
	if (!n)
		return 0;
	c->reading = ring;
	c->held = n > c->held ? n : c->held;
	*events = first;
	measure(ring, *events, n);
	return n;
}

uint32_t mdfh_consumer_peek_raw(struct mdfh_consumer *c, const struct mdfh_raw **raw)
{
	const void *first;

	if (c->kind != MDFH_CONSUMER_RAW || !mdfh_ring_peek(c->ring, 1, &first))
		return 0;
	*raw = first;
	return 1;
}

void mdfh_consumer_done(struct mdfh_consumer *c, uint32_t n)
{
	mdfh_ring_release(c->reading->ring, n);
	c->reading->read += n;
	c->held = n < c->held ? c->held - n : 0;
}

unsigned mdfh_consumer_shard(const struct mdfh_consumer *c)
{
	return c->reading->shard;
}

void mdfh_consumer_stats(const struct mdfh_consumer *c, struct mdfh_consumer_stats *stats)
{
	const struct mdfh_consumer *ring = c;

	*stats = (struct mdfh_consumer_stats){.delivered = 0};
	do {
		stats->delivered += atomic_load_explicit(&ring->delivered, memory_order_relaxed);
		stats->dropped += atomic_load_explicit(&ring->dropped, memory_order_relaxed);
		stats->gaps += atomic_load_explicit(&ring->gaps, memory_order_relaxed);
		stats->capacity += ring->capacity;
		stats->used += mdfh_ring_used(ring->ring);
		stats->high_water += mdfh_ring_high_water(ring->ring);
		ring = ring->sibling;
	} while (ring != c);
}
