/* test_sender.c - the schedule, the packing and the open loop, in a time of their own.
 *
 * Packets go into memory and the clock goes where the sender waits for, so every packet can be
 * held against the time at which it was due. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "raw_itch.h"
#include "sim/sender.h"

enum { PAYLOAD = 1400, SENT_MAX = 200000 };
#define START_NS 1000000000000u

struct sent {
	uint64_t time_ns;
	uint64_t first;
	uint32_t length;
	uint16_t count;
	uint8_t line;
	uint8_t *data;
};

struct memory { /* where packets go */
	uint64_t now_ns;
	struct sent *sent;
	uint32_t count;
	int refuse;       /* take nothing or one packet only, in turns */
	uint64_t stall;   /* ns that a send takes */
	uint32_t dies_at; /* packet at which the line fails */
	struct mdfh_sender *stop;
	uint32_t stops_at;
};

static uint64_t memory_now(void *context)
{
	const struct memory *memory = context;

	return memory->now_ns;
}

static void memory_wait_until(void *context, uint64_t time_ns)
{
	struct memory *memory = context;

	if (time_ns > memory->now_ns) /* the sends took until then already */
		memory->now_ns = time_ns;
}

static int memory_send(void *context, unsigned line, const struct mdfh_packet *packets, int n)
{
	struct memory *memory = context;

	if (memory->dies_at && memory->count >= memory->dies_at)
		return -EIO;
	if (memory->refuse) {
		if (n > memory->refuse % 2)
			n = memory->refuse % 2;
		memory->refuse++;
	}
	for (int i = 0; i < n; i++) {
		struct sent *sent = &memory->sent[memory->count++];

		assert_true(memory->count < SENT_MAX);
		sent->time_ns = memory->now_ns;
		sent->length = packets[i].length;
		sent->line = (uint8_t)line;
		sent->data = malloc(packets[i].length);
		assert_non_null(sent->data);
		memcpy(sent->data, packets[i].data, packets[i].length);
		sent->first = raw_number(sent->data, 10, 8);
		sent->count = (uint16_t)raw_number(sent->data, 18, 2);
	}
	if (memory->stop && memory->count >= memory->stops_at)
		mdfh_sender_stop(memory->stop);
	memory->now_ns += memory->stall;
	return n;
}

struct setting {
	struct mdfh_publisher_config publisher;
	struct mdfh_sender_config sender;
	struct mdfh_stream *stream;
	struct memory memory;
	struct mdfh_sender *made;
};

static void setting_create(struct setting *s, uint64_t messages, double rate)
{
	*s = (struct setting){.memory = {.now_ns = START_NS}};
	s->memory.sent = calloc(SENT_MAX, sizeof(*s->memory.sent));
	assert_non_null(s->memory.sent);
	/* Little may lie ready, so that the generator has to be waited for as well. */
	assert_int_equal(
	    mdfh_stream_start(
		&(struct mdfh_day_config){.seed = 5, .messages = messages, .symbols = 20}, 1,
		&s->stream),
	    0);
	s->publisher = (struct mdfh_publisher_config){
	    .stream = s->stream,
	    .rate = rate,
	    .burst = 1,
	    .flush_ns = 50000,
	    .payload_max = PAYLOAD,
	    .session = "TESTING   ",
	    .clock_start_ns = -1,
	};
	s->sender = (struct mdfh_sender_config){
	    .payload_max = PAYLOAD,
	    .packets_per_s_max = rate,
	    .lines = 1,
	    .start_ns = START_NS,
	    .heartbeat_ns = 1000000000,
	};
}

static int setting_run(struct setting *s)
{
	assert_int_equal(mdfh_publisher_create(&s->publisher, &s->sender.publisher), 0);
	s->sender.transport = (struct mdfh_sender_output){
	    .context = &s->memory,
	    .now_ns = memory_now,
	    .wait_until = memory_wait_until,
	    .send = memory_send,
	};
	assert_int_equal(mdfh_sender_create(&s->sender, &s->made), 0);
	if (s->memory.stops_at)
		s->memory.stop = s->made;
	return mdfh_sender_run(s->made);
}

static void setting_destroy(struct setting *s)
{
	for (uint32_t i = 0; i < s->memory.count; i++)
		free(s->memory.sent[i].data);
	free(s->memory.sent);
	mdfh_sender_destroy(s->made);
	mdfh_publisher_destroy(s->sender.publisher);
	mdfh_stream_stop(s->stream);
}

/* All messages of a line, complete and in order; returns how many. */
static uint64_t expect_sequence(const struct setting *s, unsigned line)
{
	uint64_t next = 1;

	for (uint32_t i = 0; i < s->memory.count; i++) {
		const struct sent *sent = &s->memory.sent[i];
		uint32_t at = 20;

		if (sent->line != line)
			continue;
		assert_memory_equal(sent->data, "TESTING   ", 10);
		assert_true(sent->first == next);
		assert_true(sent->length <= PAYLOAD);
		if (sent->count == 0 || sent->count == 0xffff)
			continue;
		for (unsigned m = 0; m < sent->count; m++) {
			uint32_t length = (uint32_t)raw_number(sent->data, at, 2);

			assert_int_equal(length, raw_length(sent->data[at + 2]));
			at += 2 + length;
		}
		assert_int_equal(at, sent->length);
		next += sent->count;
	}
	return next - 1;
}

static void test_schedule(void **state)
{
	static const double rates[] = {100, 12345, 500000, 5000000};

	(void)state;
	for (size_t r = 0; r < sizeof(rates) / sizeof(*rates); r++) {
		uint64_t n = (uint64_t)(rates[r] / 10) * 3;
		uint64_t in_first = 0;
		uint64_t in_burst = 0;
		uint64_t last = 0;

		for (uint64_t i = 0; i < n; i++) {
			uint64_t due = mdfh_publisher_due_ns(rates[r], 10, i);

			assert_true(due >= last);
			last = due;
			in_first += due < 100000000;
			in_burst += due >= 49500000 && due < 50500000;
		}
		/* A tenth of a second holds a tenth of the rate, its middle 1 ms a tenth of that. */
		assert_in_range(in_first, (uint64_t)(rates[r] / 10), (uint64_t)(rates[r] / 10) + 1);
		assert_in_range(
		    in_burst, (uint64_t)(rates[r] / 100) - 1, (uint64_t)(rates[r] / 100) + 2);
		/* Without bursts it is even. */
		for (uint64_t i = 0; i < 1000; i++) {
			double even = (double)i / rates[r] * 1e9;

			assert_in_range(mdfh_publisher_due_ns(rates[r], 1, i),
			    (uint64_t)(even < 3 ? 0 : even - 3), (uint64_t)even + 3);
		}
	}
}

static void test_one_message_a_packet(void **state)
{
	struct setting s;

	(void)state;
	setting_create(&s, 2000, 1000);
	assert_int_equal(setting_run(&s), 0);
	assert_int_equal(expect_sequence(&s, 0), 2000);
	assert_int_equal(s.memory.sent[0].count, 0); /* a heartbeat breaks the silence */
	assert_int_equal(s.memory.count, 2002);
	for (uint32_t i = 1; i <= 2000; i++) {
		assert_int_equal(s.memory.sent[i].count, 1);
		assert_true(s.memory.sent[i].time_ns ==
			    START_NS + mdfh_publisher_due_ns(1000, 1, i - 1) + 50000);
	}
	assert_int_equal(s.memory.sent[2001].count, 0xffff);
	assert_int_equal(mdfh_histogram_max(mdfh_sender_stats(s.made)->lines[0].lateness_ns), 0);
	assert_int_equal(mdfh_sender_stats(s.made)->messages, 2000);
	assert_int_equal(mdfh_sender_stats(s.made)->is_interrupted, 0);
	setting_destroy(&s);
}

static void test_full_packets(void **state)
{
	struct setting s;
	uint32_t full = 0;

	(void)state;
	setting_create(&s, 100000, 5000000);
	s.publisher.clock_start_ns = 34200ll * 1000000000;
	assert_int_equal(setting_run(&s), 0);
	assert_int_equal(expect_sequence(&s, 0), 100000);
	for (uint32_t i = 0; i < s.memory.count; i++) {
		const struct sent *sent = &s.memory.sent[i];

		full += sent->length > PAYLOAD - 52;
		/* Every message of a packet carries the time at which the packet is due. */
		if (sent->count && sent->count != 0xffff)
			assert_true(raw_time(sent->data + 22) - 34200ull * 1000000000 ==
				    sent->time_ns - START_NS);
	}
	assert_true(full > s.memory.count * 9 / 10);
	setting_destroy(&s);
}

static void test_two_lines(void **state)
{
	struct setting s;
	uint32_t a = 0;
	uint32_t b = 0;

	(void)state;
	setting_create(&s, 20000, 50000);
	s.publisher.burst = 10;
	s.sender.lines = 2;
	s.sender.skew_ns = 2500000;
	assert_int_equal(setting_run(&s), 0);
	assert_int_equal(expect_sequence(&s, 0), 20000);
	assert_int_equal(expect_sequence(&s, 1), 20000);
	for (;;) {
		const struct sent *sent = s.memory.sent;

		while (a < s.memory.count &&
		       (sent[a].line != 0 || !(uint16_t)(sent[a].count + 1) || !sent[a].count))
			a++;
		while (b < s.memory.count &&
		       (sent[b].line != 1 || !(uint16_t)(sent[b].count + 1) || !sent[b].count))
			b++;
		if (a == s.memory.count)
			break;
		assert_true(b < s.memory.count);
		assert_int_equal(sent[a].length, sent[b].length);
		assert_memory_equal(sent[a].data, sent[b].data, sent[a].length);
		assert_true(sent[b].time_ns - sent[a].time_ns == 2500000);
		a++;
		b++;
	}
	assert_int_equal(b, s.memory.count);
	setting_destroy(&s);
}

/* A line that takes little at a time loses nothing and reorders nothing. */
static void test_refusing_line(void **state)
{
	struct setting s;

	(void)state;
	setting_create(&s, 20000, 5000000);
	s.memory.refuse = 1;
	assert_int_equal(setting_run(&s), 0);
	assert_int_equal(expect_sequence(&s, 0), 20000);
	setting_destroy(&s);
}

/* A line that is too slow: everything is sent, and all of it is counted as late. */
static void test_slow_line(void **state)
{
	const struct mdfh_sender_line *line;
	struct setting s;

	(void)state;
	setting_create(&s, 20000, 100000);
	s.memory.stall = 10000000; /* 16 packets in 10 ms */
	assert_int_equal(setting_run(&s), 0);
	assert_int_equal(expect_sequence(&s, 0), 20000);
	line = &mdfh_sender_stats(s.made)->lines[0];
	assert_int_equal(line->late_messages, 20000);
	assert_int_equal(mdfh_histogram_count(line->lateness_ns), 20000);
	assert_true(mdfh_histogram_max(line->lateness_ns) > 1000000000);
	setting_destroy(&s);
}

static void test_heartbeats_and_ends(void **state)
{
	struct setting s;
	uint32_t heartbeats = 0;

	(void)state;
	setting_create(&s, 300, 100);
	s.sender.start_ns = START_NS + 2000000000;
	s.sender.heartbeat_ns = 3000000;
	s.sender.linger_ns = 1000000000;
	assert_int_equal(setting_run(&s), 0);
	assert_int_equal(expect_sequence(&s, 0), 300);
	for (uint32_t i = 0; i < s.memory.count; i++)
		heartbeats += s.memory.sent[i].count == 0;
	/* 667 in the 2 s before, then 3 in each of the 299 silences of 10 ms. */
	assert_in_range(heartbeats, 667 + 897 - 2, 667 + 897 + 2);
	assert_int_equal(mdfh_sender_stats(s.made)->lines[0].heartbeats, heartbeats);
	assert_int_equal(mdfh_sender_stats(s.made)->lines[0].ends, 11);
	assert_int_equal(s.memory.count, 300 + heartbeats + 11);
	setting_destroy(&s);
}

static void test_loss(void **state)
{
	const struct mdfh_sender_stats *stats;
	uint8_t *carried = calloc(20001, 1);
	uint64_t missing = 0;
	struct setting s;

	(void)state;
	assert_non_null(carried);
	setting_create(&s, 20000, 50000);
	s.sender.lines = 2;
	assert_int_equal(mdfh_drop_parse("100000ppm,7-8", &s.sender.drop[0]), 0);
	assert_int_equal(mdfh_drop_parse("8,100000ppm", &s.sender.drop[1]), 0);
	assert_int_equal(setting_run(&s), 0);
	for (uint32_t i = 0; i < s.memory.count; i++) {
		const struct sent *sent = &s.memory.sent[i];

		for (unsigned m = 0; sent->count != 0xffff && m < sent->count; m++)
			carried[sent->first + m] |= (uint8_t)(1u << sent->line);
	}
	stats = mdfh_sender_stats(s.made);
	assert_int_equal(carried[7] & 1, 0);
	assert_int_equal(carried[8], 0);
	for (unsigned line = 0; line < 2; line++) {
		uint64_t there = 0;

		for (unsigned i = 1; i <= 20000; i++)
			there += (carried[i] >> line & 1) != 0;
		assert_int_equal(there, stats->lines[line].messages);
		assert_int_equal(20000 - there, stats->lines[line].dropped_messages);
		assert_in_range(20000 - there, 1600, 2400);
	}
	for (unsigned i = 1; i <= 20000; i++)
		missing += !carried[i];
	assert_int_equal(missing, stats->lost_on_both);
	assert_in_range(missing, 100, 300);
	free(carried);
	setting_destroy(&s);
}

static void test_stop(void **state)
{
	const struct mdfh_sender_stats *stats;
	struct setting s;
	uint64_t messages;

	(void)state;
	setting_create(&s, 20000, 50000);
	s.sender.lines = 2;
	s.sender.skew_ns = 5000000;
	s.memory.stops_at = 1000;
	assert_int_equal(setting_run(&s), 0);
	stats = mdfh_sender_stats(s.made);
	messages = expect_sequence(&s, 0);
	assert_int_equal(stats->is_interrupted, 1);
	assert_in_range(messages, 500, 19999);
	assert_int_equal(stats->messages, messages);
	assert_int_equal(expect_sequence(&s, 1), messages); /* B catches up */
	assert_int_equal(stats->lines[0].ends, 1);
	assert_int_equal(stats->lines[1].ends, 1);
	setting_destroy(&s);
}

static void test_dead_line(void **state)
{
	struct setting s;

	(void)state;
	setting_create(&s, 20000, 50000);
	s.memory.dies_at = 100;
	assert_int_equal(setting_run(&s), -EIO);
	setting_destroy(&s);
}

static void test_bad_configurations(void **state)
{
	struct mdfh_drop drop;
	struct mdfh_sender *sender;
	struct mdfh_publisher *publisher;
	static const char *const bad[] = {
	    "", "x", "5-", "5-4", "1000001ppm", "5,", ",5", "5 6", "-1", "99999999999999999999"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(mdfh_drop_parse(bad[i], &drop), -EINVAL);
	assert_int_equal(
	    mdfh_sender_create(&(struct mdfh_sender_config){.lines = 3}, &sender), -EINVAL);
	assert_int_equal(mdfh_sender_create(&(struct mdfh_sender_config){.lines = 2,
						.payload_max = PAYLOAD,
						.packets_per_s_max = 5e6,
						.skew_ns = 1000000000},
			     &sender),
	    -EINVAL);
	assert_null(sender);
	assert_int_equal(
	    mdfh_publisher_create(
		&(struct mdfh_publisher_config){.rate = 0, .burst = 1, .payload_max = PAYLOAD},
		&publisher),
	    -EINVAL);
	assert_int_equal(
	    mdfh_publisher_create(
		&(struct mdfh_publisher_config){.rate = 1, .burst = 51, .payload_max = PAYLOAD},
		&publisher),
	    -EINVAL);
	assert_int_equal(
	    mdfh_publisher_create(
		&(struct mdfh_publisher_config){.rate = 1, .burst = 1, .payload_max = 71},
		&publisher),
	    -EINVAL);
	assert_null(publisher);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_schedule),
	    cmocka_unit_test(test_one_message_a_packet),
	    cmocka_unit_test(test_full_packets),
	    cmocka_unit_test(test_two_lines),
	    cmocka_unit_test(test_refusing_line),
	    cmocka_unit_test(test_slow_line),
	    cmocka_unit_test(test_heartbeats_and_ends),
	    cmocka_unit_test(test_loss),
	    cmocka_unit_test(test_stop),
	    cmocka_unit_test(test_dead_line),
	    cmocka_unit_test(test_bad_configurations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
