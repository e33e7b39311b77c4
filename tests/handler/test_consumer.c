/* test_consumer.c - what a consumer is told when its ring was full. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "handler/consumer.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"

static atomic_bool stop;
static struct mdfh_instruments *instruments;

static int set_up(void **state)
{
	(void)state;
	assert_int_equal(mdfh_clock_start(), 0);
	assert_int_equal(mdfh_instruments_create(1000, &instruments), 0);
	for (uint64_t id = 1; id <= 200; id++) {
		char symbol[8];
		uint32_t row = mdfh_instruments_row(instruments, 3, id);

		snprintf(symbol, sizeof(symbol), "S%03u", (unsigned)id);
		mdfh_instruments_set_symbol(instruments, row, symbol, strlen(symbol));
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	mdfh_instruments_destroy(instruments);
	return 0;
}

static struct mdfh_consumer *make(struct mdfh_consumer_config config)
{
	struct mdfh_consumer *consumer;

	assert_int_equal(mdfh_consumer_create(&config, instruments, 2, &stop, &consumer), 0);
	return consumer;
}

static struct mdfh_event event(uint64_t sequence, uint32_t instrument)
{
	return (struct mdfh_event){
	    .sequence = sequence,
	    .instrument = instrument,
	    .channel = 3,
	    .kind = MDFH_EVENT_ORDER_ADD,
	    .receive_ns = 1000,
	};
}

static void write_range(struct mdfh_consumer *c, uint64_t first, uint64_t last, uint32_t row)
{
	for (uint64_t s = first; s <= last; s++) {
		struct mdfh_event e = event(s, row);

		mdfh_consumer_write(c, &e, 1);
	}
}

/* Read one event; its number, kind and the rest are checked by the caller. */
static struct mdfh_event take(struct mdfh_consumer *c)
{
	const struct mdfh_event *events;
	struct mdfh_event e;

	assert_int_equal(mdfh_consumer_peek(c, 1, &events), 1);
	e = *events;
	mdfh_consumer_done(c, 1);
	return e;
}

static void test_drop_tells_range_and_instruments(void **state)
{
	struct mdfh_consumer *c = make((struct mdfh_consumer_config){.name = "a", .slots = 128});
	struct mdfh_consumer_stats stats;
	struct mdfh_event e;

	(void)state;
	write_range(c, 1, 128, 1);
	write_range(c, 129, 140, 7); /* full: these twelve are lost */
	mdfh_consumer_stats(c, &stats);
	assert_int_equal(stats.delivered, 128);
	assert_int_equal(stats.dropped, 12);
	assert_int_equal(stats.gaps, 0);
	assert_int_equal(stats.high_water, 128);

	/* A little room is not enough: it stays silent until there is room for the whole story. */
	for (uint64_t s = 1; s <= 10; s++)
		assert_int_equal(take(c).sequence, s);
	write_range(c, 141, 141, 9);
	for (uint64_t s = 11; s <= 128; s++)
		assert_int_equal(take(c).sequence, s);
	write_range(c, 142, 143, 7);

	e = take(c);
	assert_int_equal(e.kind, MDFH_EVENT_GAP);
	assert_int_equal(e.channel, 3);
	assert_int_equal(e.gap.first, 129);
	assert_int_equal(e.gap.count, 13);
	assert_int_equal(e.gap.cause, MDFH_CAUSE_CONSUMER);
	e = take(c);
	assert_int_equal(e.kind, MDFH_EVENT_STALE);
	assert_int_equal(e.instrument, 7);
	e = take(c);
	assert_int_equal(e.kind, MDFH_EVENT_STALE);
	assert_int_equal(e.instrument, 9);
	assert_int_equal(take(c).sequence, 142);
	assert_int_equal(take(c).sequence, 143);
	mdfh_consumer_stats(c, &stats);
	assert_int_equal(stats.dropped, 13);
	assert_int_equal(stats.gaps, 1);
	mdfh_consumer_destroy(c);
}

static void test_too_many_instruments_to_name(void **state)
{
	struct mdfh_consumer *c = make((struct mdfh_consumer_config){.name = "a", .slots = 128});
	struct mdfh_event e;

	(void)state;
	write_range(c, 1, 128, 1);
	for (uint32_t row = 1; row <= 100; row++)
		write_range(c, 128 + row, 128 + row, row);
	for (uint64_t s = 1; s <= 128; s++)
		take(c);
	write_range(c, 300, 300, 1);
	assert_int_equal(take(c).kind, MDFH_EVENT_GAP);
	e = take(c);
	assert_int_equal(e.kind, MDFH_EVENT_STALE);
	assert_int_equal(e.instrument, 0);
	assert_int_equal(e.channel, 3);
	assert_int_equal(take(c).sequence, 300);
	mdfh_consumer_destroy(c);
}

static void test_in_place(void **state)
{
	struct mdfh_consumer *c = make((struct mdfh_consumer_config){.name = "a", .slots = 128});
	struct mdfh_event *slots;
	uint32_t room = mdfh_consumer_reserve(c, 64, &slots);

	(void)state;
	assert_int_equal(room, 64);
	for (uint32_t i = 0; i < 10; i++)
		slots[i] = event(i + 1, 1);
	mdfh_consumer_commit(c, 10);
	for (uint64_t s = 1; s <= 10; s++)
		assert_int_equal(take(c).sequence, s);
	/* While something is owed, nothing is written past it. */
	write_range(c, 11, 138, 1);
	write_range(c, 139, 139, 1);
	take(c);
	assert_int_equal(mdfh_consumer_reserve(c, 64, &slots), 0);
	mdfh_consumer_destroy(c);
}

static void test_symbols(void **state)
{
	char wanted[] = "S007";
	char *symbols[] = {wanted};
	struct mdfh_consumer *c = make((struct mdfh_consumer_config){
	    .name = "a", .slots = 128, .symbols = symbols, .symbols_count = 1});
	const struct mdfh_event *events;
	struct mdfh_event gap = {.kind = MDFH_EVENT_GAP, .sequence = 50, .channel = 3};
	uint32_t row = mdfh_instruments_find_symbol(instruments, "S007");

	(void)state;
	for (uint32_t r = 1; r <= 40; r++)
		write_range(c, r, r, r);
	mdfh_consumer_write(c, &gap, 1);
	assert_int_equal(take(c).instrument, row);
	assert_int_equal(take(c).kind, MDFH_EVENT_GAP); /* markers reach everyone */
	assert_int_equal(mdfh_consumer_peek(c, 1, &events), 0);
	mdfh_consumer_destroy(c);
}

static void *slow_reader(void *argument)
{
	struct mdfh_consumer *c = argument;

	for (uint64_t s = 1; s <= 100000;) {
		const struct mdfh_event *events;
		uint32_t n = mdfh_consumer_peek(c, 64, &events);

		for (uint32_t i = 0; i < n; i++)
			if (events[i].sequence != s++)
				return (void *)1;
		mdfh_consumer_done(c, n);
	}
	return NULL;
}

static void test_wait_loses_nothing(void **state)
{
	struct mdfh_consumer *c =
	    make((struct mdfh_consumer_config){.name = "a", .slots = 128, .full = MDFH_FULL_WAIT});
	struct mdfh_consumer_stats stats;
	pthread_t thread;
	void *wrong;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, slow_reader, c), 0);
	write_range(c, 1, 100000, 1);
	pthread_join(thread, &wrong);
	assert_null(wrong);
	mdfh_consumer_stats(c, &stats);
	assert_int_equal(stats.delivered, 100000);
	assert_int_equal(stats.dropped, 0);
	mdfh_consumer_destroy(c);
}

static void test_raw_tap(void **state)
{
	struct mdfh_consumer *c = make((struct mdfh_consumer_config){
	    .name = "tap", .kind = MDFH_CONSUMER_RAW, .slots = 8, .slot_size = 64});
	const struct mdfh_raw *raw;
	uint8_t message[100];
	uint64_t missing;

	(void)state;
	for (unsigned i = 0; i < sizeof(message); i++)
		message[i] = (uint8_t)i;
	for (uint64_t s = 1; s <= 11; s++) {
		struct mdfh_raw head = {.sequence = s, .channel = 3, .length = 100, .schema = 5};

		mdfh_consumer_write_raw(c, &head, message, sizeof(message));
	}
	for (uint64_t s = 1; s <= 8; s++) {
		assert_int_equal(mdfh_consumer_peek_raw(c, &raw), 1);
		assert_int_equal(raw->sequence, s);
		assert_int_equal(raw->length, 100);
		assert_int_equal(raw->stored, 64 - sizeof(*raw));
		assert_int_equal(raw->schema, 5);
		assert_memory_equal(raw->data, message, raw->stored);
		mdfh_consumer_done(c, 1);
	}
	mdfh_consumer_write_raw(
	    c, &(struct mdfh_raw){.sequence = 12, .channel = 3, .length = 1}, message, 1);
	assert_int_equal(mdfh_consumer_peek_raw(c, &raw), 1);
	assert_int_equal(raw->kind, MDFH_SPAN_GAP);
	assert_int_equal(raw->sequence, 9);
	memcpy(&missing, raw->data, sizeof(missing));
	assert_int_equal(missing, 3);
	mdfh_consumer_done(c, 1);
	assert_int_equal(mdfh_consumer_peek_raw(c, &raw), 1);
	assert_int_equal(raw->sequence, 12);
	mdfh_consumer_destroy(c);
}

/* A dropped gap record stands for all of its numbers. */
static void test_raw_gap_dropped(void **state)
{
	struct mdfh_consumer *c = make(
	    (struct mdfh_consumer_config){.name = "tap", .kind = MDFH_CONSUMER_RAW, .slots = 8});
	const struct mdfh_raw *raw;
	uint64_t count = 50;

	(void)state;
	for (uint64_t s = 1; s <= 8; s++)
		mdfh_consumer_write_raw(
		    c, &(struct mdfh_raw){.sequence = s}, (const uint8_t *)"x", 1);
	mdfh_consumer_write_raw(c,
	    &(struct mdfh_raw){.sequence = 9, .length = 8, .kind = MDFH_SPAN_GAP},
	    (const uint8_t *)&count, sizeof(count));
	for (uint64_t s = 1; s <= 8; s++)
		mdfh_consumer_done(c, mdfh_consumer_peek_raw(c, &raw));
	mdfh_consumer_write_raw(c, &(struct mdfh_raw){.sequence = 59}, (const uint8_t *)"x", 1);
	assert_int_equal(mdfh_consumer_peek_raw(c, &raw), 1);
	assert_int_equal(raw->kind, MDFH_SPAN_GAP);
	assert_int_equal(raw->sequence, 9);
	memcpy(&count, raw->data, sizeof(count));
	assert_int_equal(count, 50);
	mdfh_consumer_destroy(c);
}

/* Rings too small to name every instrument name none; what is told is never more than fits. */
static void test_small_rings(void **state)
{
	(void)state;
	for (uint32_t slots = 16; slots <= 64; slots *= 2) {
		struct mdfh_consumer *c =
		    make((struct mdfh_consumer_config){.name = "a", .slots = slots});
		struct mdfh_consumer_stats stats;
		struct mdfh_event e;

		write_range(c, 1, slots, 1);
		for (uint32_t row = 1; row <= 64; row++)
			write_range(c, slots + row, slots + row, row);
		for (uint64_t s = 1; s <= slots; s++)
			assert_int_equal(take(c).sequence, s);
		write_range(c, 1000, 1000, 5);
		e = take(c);
		assert_int_equal(e.kind, MDFH_EVENT_GAP);
		assert_int_equal(e.gap.first, slots + 1);
		assert_int_equal(e.gap.count, 64);
		e = take(c);
		assert_int_equal(e.kind, MDFH_EVENT_STALE);
		assert_int_equal(e.instrument, 0);
		assert_int_equal(take(c).sequence, 1000);
		mdfh_consumer_stats(c, &stats);
		assert_int_equal(stats.delivered, slots + 3);
		assert_int_equal(stats.dropped, 64);
		assert_int_equal(stats.used, 0);
		mdfh_consumer_destroy(c);
	}
}

static void test_refused(void **state)
{
	char symbol[] = "S001";
	char *symbols[] = {symbol};
	struct mdfh_consumer_config config = {.name = "tiny", .slots = 2};
	struct mdfh_consumer *c;

	(void)state;
	assert_int_equal(mdfh_consumer_create(&config, instruments, 2, &stop, &c), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "slots is 2"));
	assert_null(c);
	config = (struct mdfh_consumer_config){
	    .name = "tap", .kind = MDFH_CONSUMER_RAW, .symbols = symbols, .symbols_count = 1};
	assert_int_equal(mdfh_consumer_create(&config, instruments, 2, &stop, &c), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "symbols"));
}

/* Two sessions within one loss are two gaps; a marker that was dropped makes all books stale. */
static void test_session_ends_in_a_loss(void **state)
{
	struct mdfh_consumer *c = make((struct mdfh_consumer_config){.name = "a", .slots = 16});
	struct mdfh_event marker = {
	    .kind = MDFH_EVENT_SESSION_BEGIN, .sequence = 1, .channel = 3, .epoch = 1};
	struct mdfh_event gap = {.kind = MDFH_EVENT_GAP,
	    .sequence = 2,
	    .channel = 3,
	    .epoch = 1,
	    .gap = {.first = 2, .count = 9}};
	struct mdfh_event e;

	(void)state;
	write_range(c, 1, 16, 1);
	write_range(c, 17, 20, 1);
	mdfh_consumer_write(c, &marker, 1);
	mdfh_consumer_write(c, &gap, 1);
	for (uint64_t s = 1; s <= 16; s++)
		take(c);
	write_range(c, 30, 30, 1);
	e = take(c);
	assert_int_equal(e.kind, MDFH_EVENT_GAP);
	assert_int_equal(e.epoch, 0);
	assert_int_equal(e.gap.first, 17);
	assert_int_equal(e.gap.count, 4);
	e = take(c);
	assert_int_equal(e.kind, MDFH_EVENT_GAP);
	assert_int_equal(e.epoch, 1);
	assert_int_equal(e.gap.first, 2);
	assert_int_equal(e.gap.count, 9);
	e = take(c);
	assert_int_equal(e.kind, MDFH_EVENT_STALE);
	assert_int_equal(e.instrument, 0);
	mdfh_consumer_destroy(c);
}

/* Begin and end of a session are no messages: who missed only these lost no number, and what stood
 * before the first packet of a session stands before its begin's. */
static void test_markers_have_no_number(void **state)
{
	struct mdfh_consumer *c = make((struct mdfh_consumer_config){.name = "a", .slots = 16});
	struct mdfh_event end = {.kind = MDFH_EVENT_END_OF_DAY, .sequence = 17, .channel = 3};
	struct mdfh_event begin = {
	    .kind = MDFH_EVENT_SESSION_BEGIN, .sequence = 100, .channel = 3, .epoch = 1};
	struct mdfh_event late_join = {.kind = MDFH_EVENT_GAP,
	    .sequence = 1,
	    .channel = 3,
	    .epoch = 1,
	    .gap = {.first = 1, .count = 99}};
	struct mdfh_event e;

	(void)state;
	write_range(c, 1, 16, 1);
	mdfh_consumer_write(c, &end, 1);
	for (uint64_t s = 1; s <= 16; s++)
		take(c);
	write_range(c, 17, 32, 1);
	e = take(c);
	assert_int_equal(e.kind, MDFH_EVENT_STALE);
	assert_int_equal(e.instrument, 0);
	assert_int_equal(e.channel, 3);
	for (uint64_t s = 17; s < 32; s++)
		assert_int_equal(take(c).sequence, s);
	mdfh_consumer_tell(c); /* 32 found no room behind the stale event */
	e = take(c);
	assert_int_equal(e.kind, MDFH_EVENT_GAP);
	assert_int_equal(e.gap.first, 32);
	mdfh_consumer_destroy(c);

	c = make((struct mdfh_consumer_config){.name = "a", .slots = 16});
	write_range(c, 1, 16, 1);
	mdfh_consumer_write(c, &begin, 1);
	mdfh_consumer_write(c, &late_join, 1);
	for (uint64_t s = 1; s <= 16; s++)
		take(c);
	write_range(c, 100, 100, 1);
	e = take(c);
	assert_int_equal(e.kind, MDFH_EVENT_GAP);
	assert_int_equal(e.epoch, 1);
	assert_int_equal(e.gap.first, 1);
	assert_int_equal(e.gap.count, 99);
	mdfh_consumer_destroy(c);
}

static void test_raw_markers_have_no_number(void **state)
{
	struct mdfh_consumer *c = make(
	    (struct mdfh_consumer_config){.name = "tap", .kind = MDFH_CONSUMER_RAW, .slots = 8});
	const struct mdfh_raw end = {.sequence = 9, .length = 8, .kind = MDFH_SPAN_SESSION_END};
	const struct mdfh_raw begin = {
	    .sequence = 100, .length = 8, .kind = MDFH_SPAN_SESSION_BEGIN, .epoch = 1};
	const struct mdfh_raw late_join = {
	    .sequence = 1, .length = 8, .kind = MDFH_SPAN_GAP, .epoch = 1};
	const struct mdfh_raw *raw;
	uint64_t none = 0, before = 99, count;

	(void)state;
	for (uint64_t s = 1; s <= 8; s++)
		mdfh_consumer_write_raw(
		    c, &(struct mdfh_raw){.sequence = s}, (const uint8_t *)"x", 1);
	mdfh_consumer_write_raw(c, &end, (const uint8_t *)&none, sizeof(none));
	mdfh_consumer_write_raw(c, &begin, (const uint8_t *)&none, sizeof(none));
	mdfh_consumer_write_raw(c, &late_join, (const uint8_t *)&before, sizeof(before));
	for (uint64_t s = 1; s <= 8; s++)
		mdfh_consumer_done(c, mdfh_consumer_peek_raw(c, &raw));
	mdfh_consumer_write_raw(c, &(struct mdfh_raw){.sequence = 100}, (const uint8_t *)"x", 1);
	assert_int_equal(mdfh_consumer_peek_raw(c, &raw), 1);
	assert_int_equal(raw->kind, MDFH_SPAN_GAP);
	assert_int_equal(raw->epoch, 0);
	memcpy(&count, raw->data, sizeof(count));
	assert_int_equal(count, 0);
	mdfh_consumer_done(c, 1);
	assert_int_equal(mdfh_consumer_peek_raw(c, &raw), 1);
	assert_int_equal(raw->kind, MDFH_SPAN_GAP);
	assert_int_equal(raw->epoch, 1);
	assert_int_equal(raw->sequence, 1);
	memcpy(&count, raw->data, sizeof(count));
	assert_int_equal(count, 99);
	mdfh_consumer_destroy(c);
}

/* Told to stop while it waits, the writer loses what it has in hand, and says so. */
static void test_stopped_while_waiting(void **state)
{
	struct mdfh_consumer *c =
	    make((struct mdfh_consumer_config){.name = "a", .slots = 16, .full = MDFH_FULL_WAIT});
	struct mdfh_consumer_stats stats;
	struct mdfh_event e;

	(void)state;
	write_range(c, 1, 16, 1);
	atomic_store(&stop, true);
	write_range(c, 17, 19, 1);
	atomic_store(&stop, false);
	mdfh_consumer_stats(c, &stats);
	assert_int_equal(stats.delivered, 16);
	assert_int_equal(stats.dropped, 3);
	for (uint64_t s = 1; s <= 16; s++)
		take(c);
	write_range(c, 20, 20, 1);
	e = take(c);
	assert_int_equal(e.kind, MDFH_EVENT_GAP);
	assert_int_equal(e.gap.first, 17);
	assert_int_equal(e.gap.count, 3);
	assert_int_equal(take(c).kind, MDFH_EVENT_STALE);
	assert_int_equal(take(c).sequence, 20);
	mdfh_consumer_destroy(c);
}

/* Every event counts once from its intended time, however the consumer peeks; those without a time, of
 * the future or of a recording do not. */
static void test_intended(void **state)
{
	const int64_t now = (int64_t)mdfh_clock_now_ns();
	const int64_t late[] = {500000000, 500000000, 1000000, 0, 200000000, -900000000};
	struct mdfh_consumer *c = make((struct mdfh_consumer_config){.name = "a", .slots = 16});
	const struct mdfh_event *events;

	(void)state;
	for (size_t i = 0; i < sizeof(late) / sizeof(late[0]); i++) {
		struct mdfh_event e = event(i + 1, 1);

		e.receive_ns = now;
		e.exchange_ns = late[i] ? now - late[i] : 0;
		mdfh_consumer_write(c, &e, 1);
	}
	assert_int_equal(mdfh_consumer_peek(c, 2, &events), 2);
	assert_int_equal(mdfh_histogram_count(c->intended_latency), 2);
	assert_int_equal(mdfh_consumer_peek(c, 3, &events), 3); /* two of them again */
	assert_int_equal(mdfh_histogram_count(c->intended_latency), 3);
	mdfh_consumer_done(c, 1);
	assert_int_equal(mdfh_consumer_peek(c, 2, &events), 2);
	assert_int_equal(mdfh_histogram_count(c->intended_latency), 3);
	mdfh_consumer_done(c, 2);
	assert_int_equal(mdfh_consumer_peek(c, 16, &events), 3);
	assert_int_equal(mdfh_histogram_count(c->intended_latency), 4);
	assert_true(mdfh_histogram_max(c->intended_latency) >= 500000000);
	assert_true(mdfh_histogram_min(c->intended_latency) >= 1000000);
	/* By events: half of them are those that were held up the longest. */
	assert_true(mdfh_histogram_percentile(c->intended_latency, 51) >= 500000000);
	mdfh_consumer_done(c, 3);

	c->is_recorded = 1;
	write_range(c, 7, 7, 1);
	assert_int_equal(mdfh_consumer_peek(c, 1, &events), 1);
	assert_int_equal(mdfh_histogram_count(c->intended_latency), 4);
	mdfh_consumer_destroy(c);
}

/* Rings of several workers, read as one: in turn, but never away from events that are not given back. */
static void test_rings_in_turn(void **state)
{
	struct mdfh_consumer *rings[3];
	const struct mdfh_event *events;
	struct mdfh_consumer_stats stats;
	struct mdfh_consumer *c;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		rings[i] = make((struct mdfh_consumer_config){.name = "a", .slots = 16});
		rings[i]->shard = 4 + i;
	}
	c = rings[0];
	mdfh_consumer_join(c, rings[1]);
	mdfh_consumer_join(c, rings[2]);
	assert_int_equal(mdfh_consumer_peek(c, 8, &events), 0);
	for (unsigned i = 0; i < 3; i++)
		write_range(rings[i], 100 * i + 1, 100 * i + 6, 1);
	mdfh_consumer_stats(c, &stats);
	assert_int_equal(stats.capacity, 48);
	assert_int_equal(stats.delivered, 18);
	assert_int_equal(stats.used, 18);
	/* Three rounds of two events of each, first those of the ring behind the first. */
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 1; i <= 3; i++) {
			uint64_t first = 100 * (i % 3) + 2 * round + 1;

			assert_int_equal(mdfh_consumer_peek(c, 2, &events), 2);
			assert_int_equal(mdfh_consumer_shard(c), 4 + i % 3);
			assert_int_equal(events[0].sequence, first);
			/* One given back: the other is still there, and so is the ring. */
			mdfh_consumer_done(c, 1);
			assert_int_equal(mdfh_consumer_peek(c, 1, &events), 1);
			assert_int_equal(events[0].sequence, first + 1);
			mdfh_consumer_done(c, 1);
		}
	}
	assert_int_equal(mdfh_consumer_peek(c, 8, &events), 0);
	/* One that alone has something is found. */
	write_range(rings[0], 7, 9, 1);
	assert_int_equal(mdfh_consumer_peek(c, 8, &events), 3);
	assert_int_equal(mdfh_consumer_shard(c), 4);
	mdfh_consumer_done(c, 3);
	write_range(rings[0], 10, 10, 1);
	assert_int_equal(mdfh_consumer_peek(c, 8, &events), 1);
	assert_int_equal(events[0].sequence, 10);
	mdfh_consumer_done(c, 1);
	for (unsigned i = 0; i < 3; i++)
		mdfh_consumer_destroy(rings[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_drop_tells_range_and_instruments),
	    cmocka_unit_test(test_too_many_instruments_to_name),
	    cmocka_unit_test(test_in_place),
	    cmocka_unit_test(test_symbols),
	    cmocka_unit_test(test_wait_loses_nothing),
	    cmocka_unit_test(test_raw_tap),
	    cmocka_unit_test(test_raw_gap_dropped),
	    cmocka_unit_test(test_small_rings),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_session_ends_in_a_loss),
	    cmocka_unit_test(test_markers_have_no_number),
	    cmocka_unit_test(test_raw_markers_have_no_number),
	    cmocka_unit_test(test_stopped_while_waiting),
	    cmocka_unit_test(test_intended),
	    cmocka_unit_test(test_rings_in_turn),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
