/* consumer.c - events to a ring: in place where possible, dropped with a trace where not.
 *
 * After a drop the consumer first learns what it missed: one gap event per channel with the range
 * of sequence numbers, then a stale event per instrument. Nothing is written until there is room
 * for all of that and an eighth of the ring, so that a slow consumer sees a few long holes and
 * not thousands of short ones. */
#include "handler/consumer.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	c->wanted = calloc(mdfh_instruments_capacity(c->instruments) + 1, 1);
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
	int err = -ENOMEM;

	*consumer = NULL;
	if (config->kind == MDFH_CONSUMER_RAW) {
		ring.slot_size = config->slot_size ? config->slot_size : 128;
		if (ring.slot_size < 64 || ring.slot_size > 65536 || ring.slot_size % 8)
			return mdfh_error(-EINVAL,
			    "consumer %s: slot_size is %u; it must be a multiple of 8 from 64 to "
			    "65536",
			    config->name ? config->name : "?", ring.slot_size);
	}
	c = aligned_alloc(MDFH_CACHE_LINE,
	    (sizeof(*c) + MDFH_CACHE_LINE - 1) / MDFH_CACHE_LINE * MDFH_CACHE_LINE);
	if (!c)
		return mdfh_error(-ENOMEM, "consumer: %zu bytes", sizeof(*c));
	memset(c, 0, sizeof(*c));
	snprintf(c->name, sizeof(c->name), "%s", config->name ? config->name : "events");
	c->kind = config->kind;
	c->full = config->full;
	c->slot_size = ring.slot_size;
	c->instruments = instruments;
	c->stop = stop;
	c->losses_max = channels;
	c->losses = calloc(channels, sizeof(*c->losses));
	if (!c->losses || copy_symbols(c, config)) {
		err = mdfh_error(-ENOMEM, "consumer %s: out of memory", c->name);
		goto fail;
	}
	/* An hour is more than any event can sit in a ring and less than clocks that disagree. */
	err = mdfh_histogram_create(3600000000000, &c->ring_latency);
	if (!err)
		err = mdfh_histogram_create(3600000000000, &c->whole_latency);
	if (!err)
		err = mdfh_ring_create(&ring, &c->ring);
	if (err)
		goto fail;
	c->capacity = mdfh_ring_capacity(c->ring);
	*consumer = c;
	return 0;

fail:
	mdfh_consumer_destroy(c);
	return err;
}

void mdfh_consumer_destroy(struct mdfh_consumer *c)
{
	if (!c)
		return;
	mdfh_ring_destroy(c->ring);
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

static void remember_loss(struct mdfh_consumer *c, const struct mdfh_event *event)
{
	struct consumer_loss *loss = NULL;
	unsigned i;

	c->dropping = 1;
	c->lost_ns = event->receive_ns;
	count(&c->dropped, 1);
	for (i = 0; i < c->losses_count; i++)
		if (c->losses[i].channel == event->channel)
			loss = &c->losses[i];
	if (!loss && c->losses_count < c->losses_max) {
		loss = &c->losses[c->losses_count++];
		*loss = (struct consumer_loss){.channel = event->channel};
	}
	if (loss) {
		/* A dropped gap marker stands for all of its numbers. */
		uint64_t last = event->sequence;

		if (event->kind == MDFH_EVENT_GAP && event->gap.count)
			last = event->gap.first + event->gap.count - 1;
		if (!loss->open || loss->epoch != event->epoch)
			loss->first = event->sequence;
		loss->last = last;
		loss->epoch = event->epoch;
		loss->open = 1;
	}
	if (!event->instrument || c->touched_count > CONSUMER_TOUCHED_MAX)
		return;
	for (i = 0; i < c->touched_count; i++)
		if (c->touched[i] == event->instrument)
			return;
	if (c->touched_count < CONSUMER_TOUCHED_MAX)
		c->touched[c->touched_count] = event->instrument;
	c->touched_count++;
}

static uint32_t free_slots(const struct mdfh_consumer *c)
{
	return c->capacity - mdfh_ring_used(c->ring);
}

static void put(struct mdfh_consumer *c, const struct mdfh_event *event)
{
	(void)mdfh_ring_push(c->ring, event); /* the caller has made sure of the room */
	c->written++;
	count(&c->delivered, 1);
}

/* Once there is room again, tell what was missed. Returns 1 when events may flow. */
static int resume(struct mdfh_consumer *c)
{
	uint32_t need = c->losses_count + CONSUMER_TOUCHED_MAX + 1;
	uint32_t eighth = c->capacity / 8;

	if (!c->dropping)
		return 1;
	if (need < eighth)
		need = eighth;
	if (need > c->capacity)
		need = c->capacity;
	if (free_slots(c) < need)
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

		event.gap.first = loss->first;
		event.gap.count = loss->last - loss->first + 1;
		event.gap.cause = MDFH_CAUSE_CONSUMER;
		put(c, &event);
		count(&c->gaps, 1);
	}
	for (unsigned i = 0; i < c->touched_count; i++) {
		struct mdfh_event event = {
		    .receive_ns = c->lost_ns,
		    .kind = MDFH_EVENT_STALE,
		    .flags = MDFH_EVENT_LAST_PART | MDFH_EVENT_LAST,
		};

		if (c->touched_count <= CONSUMER_TOUCHED_MAX) {
			event.instrument = c->touched[i];
			event.channel =
			    mdfh_instruments_get(c->instruments, event.instrument)->channel;
		} else {
			event.channel = c->losses[0].channel;
			i = c->touched_count; /* one for all */
		}
		event.gap.cause = MDFH_CAUSE_CONSUMER;
		put(c, &event);
	}
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

/* For files and tests only: gives the processor away until the consumer has made room. */
static int wait_for_room(struct mdfh_consumer *c, const struct mdfh_event *event)
{
	while (!mdfh_ring_push(c->ring, event)) {
		if (atomic_load_explicit(c->stop, memory_order_relaxed))
			return 0;
		sched_yield();
	}
	c->written++;
	count(&c->delivered, 1);
	return 1;
}

void mdfh_consumer_write(struct mdfh_consumer *c, const struct mdfh_event *events, int n)
{
	int i = 0;

	if (c->full == MDFH_FULL_WAIT) {
		for (; i < n; i++)
			if (is_wanted(c, events[i].instrument) && !wait_for_room(c, &events[i]))
				break;
		return;
	}
	if (!c->symbols && resume(c)) {
		while (i < n) {
			uint32_t put_now =
			    mdfh_ring_push_batch(c->ring, &events[i], (uint32_t)(n - i));

			if (!put_now)
				break;
			c->written += put_now;
			count(&c->delivered, put_now);
			i += (int)put_now;
		}
	}
	for (; i < n; i++) {
		if (!is_wanted(c, events[i].instrument))
			continue;
		if (!resume(c) || !mdfh_ring_push(c->ring, &events[i])) {
			remember_loss(c, &events[i]);
			continue;
		}
		c->written++;
		count(&c->delivered, 1);
	}
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

/* The raw tap's way to say what was dropped: a gap record per channel, before the next message. */
static int resume_raw(struct mdfh_consumer *c)
{
	while (c->losses_count) {
		const struct consumer_loss *loss = &c->losses[c->losses_count - 1];
		uint64_t missing = loss->last - loss->first + 1;
		struct mdfh_raw head = {
		    .sequence = loss->first,
		    .receive_ns = c->lost_ns,
		    .channel = loss->channel,
		    .length = sizeof(missing),
		    .epoch = loss->epoch,
		    .kind = MDFH_SPAN_GAP,
		};

		if (!put_raw(c, &head, (const uint8_t *)&missing, sizeof(missing)))
			return 0;
		count(&c->gaps, 1);
		c->losses_count--;
	}
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

	for (;;) {
		if ((!c->dropping || resume_raw(c)) && put_raw(c, head, data, length))
			return;
		if (c->full == MDFH_FULL_DROP ||
		    atomic_load_explicit(c->stop, memory_order_relaxed))
			break;
		sched_yield();
	}
	remember_loss(c, &lost);
}

void mdfh_consumer_sample(struct mdfh_consumer *c, uint64_t ticks)
{
	if (!c->written)
		return;
	atomic_store_explicit(&c->sample_ticks, ticks, memory_order_relaxed);
	atomic_store_explicit(&c->sample_position, c->written, memory_order_release);
}

/* Data path: the consumer's side ------------------------------------------------------------ */

/* Latency is looked at once per peek at most, so that reading stays cheap. */
static void measure(struct mdfh_consumer *c, uint32_t n, int64_t receive_ns)
{
	uint64_t position = atomic_load_explicit(&c->sample_position, memory_order_acquire);

	if (position != c->sample_seen && c->read + n >= position) {
		uint64_t ticks = atomic_load_explicit(&c->sample_ticks, memory_order_relaxed);
		uint64_t now = mdfh_clock_ticks();

		c->sample_seen = position;
		if (now > ticks)
			mdfh_histogram_record(c->ring_latency, mdfh_clock_ticks_to_ns(now - ticks));
	}
	if (receive_ns > 0) {
		int64_t now = (int64_t)mdfh_clock_now_ns();

		if (now > receive_ns)
			mdfh_histogram_record(c->whole_latency, (uint64_t)(now - receive_ns));
	}
}

uint32_t mdfh_consumer_peek(struct mdfh_consumer *c, uint32_t max, const struct mdfh_event **events)
{
	const void *first;
	uint32_t n;

	if (c->kind != MDFH_CONSUMER_EVENTS)
		return 0;
	n = mdfh_ring_peek(c->ring, max, &first);
	if (!n)
		return 0;
	*events = first;
	measure(c, n, (*events)[n - 1].receive_ns);
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
	mdfh_ring_release(c->ring, n);
	c->read += n;
}

void mdfh_consumer_stats(const struct mdfh_consumer *c, struct mdfh_consumer_stats *stats)
{
	*stats = (struct mdfh_consumer_stats){
	    .delivered = atomic_load_explicit(&c->delivered, memory_order_relaxed),
	    .dropped = atomic_load_explicit(&c->dropped, memory_order_relaxed),
	    .gaps = atomic_load_explicit(&c->gaps, memory_order_relaxed),
	    .capacity = c->capacity,
	    .used = mdfh_ring_used(c->ring),
	    .high_water = mdfh_ring_high_water(c->ring),
	};
}
