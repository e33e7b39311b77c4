/* test_channel_random.c - two lossy lines against what was sent, for thousands of seeds.
 *
 * Each run sends N messages on two lines, cut into packets at different places, with loss,
 * repeats and reordering drawn from a seeded generator. Whatever happens, every number must
 * come out exactly once, as its own bytes or inside a gap, in rising order; a number that any
 * line brought within the window must not be lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mdfh/event.h"
#include "mdfh/session.h"
#include "session/mold.h"

enum {
	MESSAGES = 400,
	PACKETS_MAX = 2 * MESSAGES + 64,
	SEEDS = 4000,
	PACKET_NS = 100000, /* between packets of a line */
};

struct sent {
	int64_t at_ns;
	uint64_t first;
	uint16_t count;
	uint8_t line;
};

struct run {
	struct mdfh_channel *channel;
	uint64_t random;
	struct sent sent[2 * PACKETS_MAX];
	int packets;
	uint8_t brought[2][MESSAGES + 1];
	uint64_t next, delivered, lost, gaps;
	int ended;
};

static uint32_t draw(struct run *run, uint32_t below)
{
	run->random ^= run->random << 13;
	run->random ^= run->random >> 7;
	run->random ^= run->random << 17;
	return (uint32_t)((run->random >> 20) % below);
}

static int by_time(const void *a, const void *b)
{
	const struct sent *x = a, *y = b;

	return x->at_ns < y->at_ns ? -1 : x->at_ns > y->at_ns;
}

static void send_packet(
    struct run *run, unsigned line, int64_t at_ns, uint64_t first, unsigned count)
{
	assert_true(run->packets < 2 * PACKETS_MAX);
	run->sent[run->packets++] = (struct sent){
	    .at_ns = at_ns,
	    .first = first,
	    .count = (uint16_t)count,
	    .line = (uint8_t)line,
	};
	for (unsigned i = 0; i < count; i++)
		run->brought[line][first + i] = 1;
}

/* loss, repeats and reordering in percent. */
static void send_line(struct run *run, unsigned line, uint32_t loss, uint32_t repeat, uint32_t late)
{
	int64_t at_ns = 1 + draw(run, PACKET_NS);
	uint64_t first = 1;

	while (first <= MESSAGES) {
		unsigned count = 1 + draw(run, 6);

		if (first + count > MESSAGES + 1)
			count = (unsigned)(MESSAGES + 1 - first);
		if (draw(run, 100) >= loss) {
			int64_t delay = 0;

			if (draw(run, 100) < late)
				delay = draw(run, 8 * PACKET_NS);
			send_packet(run, line, at_ns + delay, first, count);
			if (draw(run, 100) < repeat)
				send_packet(
				    run, line, at_ns + draw(run, 20 * PACKET_NS), first, count);
		}
		first += count;
		at_ns += PACKET_NS;
	}
}

static void take(struct run *run, const struct mdfh_span *spans, int n)
{
	for (int i = 0; i < n; i++) {
		const struct mdfh_span *span = &spans[i];
		const uint8_t *at = span->data;

		if (span->kind == MDFH_SPAN_SESSION_BEGIN)
			continue;
		assert_false(run->ended);
		assert_int_equal(span->first, run->next);
		if (span->kind == MDFH_SPAN_SESSION_END) {
			run->ended = 1;
			continue;
		}
		assert_true(span->messages > 0);
		run->next += span->messages;
		if (span->kind == MDFH_SPAN_GAP) {
			run->lost += span->messages;
			run->gaps++;
			/* Every packet came within 2 ms of its place, far inside the window. */
			for (uint64_t k = 0; k < span->messages; k++) {
				assert_false(run->brought[0][span->first + k]);
				assert_false(run->brought[1][span->first + k]);
			}
			continue;
		}
		run->delivered += span->messages;
		for (uint64_t k = 0; k < span->messages; k++) {
			uint8_t want[32];
			uint32_t size = mold_message(want, span->first + k);

			assert_true(run->brought[span->line][span->first + k]);
			assert_memory_equal(at, want, size);
			at += size;
		}
		assert_ptr_equal(at, span->data + span->length);
	}
}

static void simulate(uint64_t seed)
{
	static struct run run;
	struct mdfh_channel_config config = {
	    .size = sizeof(config),
	    .session = mdfh_session_find("moldudp64"),
	    .lines = 2,
	    .first_sequence = 1,
	    .window_packets = 1024,
	};
	struct mdfh_span spans[MDFH_SPANS_MAX];
	const struct mdfh_channel_stats *stats;
	uint8_t data[512];
	int n;

	memset(&run, 0, sizeof(run));
	run.random = seed * 0x9e3779b97f4a7c15u + 1;
	run.next = 1;
	send_line(&run, 0, draw(&run, 30), draw(&run, 20), draw(&run, 40));
	send_line(&run, 1, draw(&run, 30), draw(&run, 20), draw(&run, 40));
	qsort(run.sent, (size_t)run.packets, sizeof(run.sent[0]), by_time);

	assert_int_equal(mdfh_channel_create(&config, &run.channel), 0);
	for (int i = 0; i <= run.packets; i++) {
		struct mdfh_packet packet = {.data = data};
		int64_t now = 1000 * (int64_t)PACKET_NS;
		unsigned line = 0;

		if (i < run.packets) {
			now = run.sent[i].at_ns;
			line = run.sent[i].line;
			packet.length =
			    mold_packet(data, "S", run.sent[i].first, run.sent[i].count);
		} else {
			mold_header(data, "S", MESSAGES + 1, 0xffff);
			packet.length = 20;
		}
		n = mdfh_channel_push(run.channel, &packet, line, now, spans, MDFH_SPANS_MAX);
		take(&run, spans, n);
		/* The packet's bytes are gone once poll has returned less than all. */
		while (n == MDFH_SPANS_MAX) {
			n = mdfh_channel_poll(run.channel, now, spans, MDFH_SPANS_MAX);
			take(&run, spans, n);
		}
		memset(data, 0xff, sizeof(data));
	}
	do {
		n = mdfh_channel_poll(
		    run.channel, 2000 * (int64_t)PACKET_NS, spans, MDFH_SPANS_MAX);
		take(&run, spans, n);
	} while (n);

	stats = mdfh_channel_stats(run.channel);
	assert_int_equal(run.ended, 1);
	assert_int_equal(run.next, MESSAGES + 1);
	assert_int_equal(run.delivered + run.lost, MESSAGES);
	assert_int_equal(stats->delivered, run.delivered);
	assert_int_equal(stats->lost, run.lost);
	assert_int_equal(stats->gaps, run.gaps);
	assert_int_equal(stats->next_sequence, MESSAGES + 1);
	assert_int_equal(stats->lines[0].delivered + stats->lines[1].delivered, run.delivered);
	for (unsigned line = 0; line < 2; line++) {
		const struct mdfh_line_stats *l = &stats->lines[line];
		uint64_t skipped = 0;

		for (uint64_t k = 1; k < l->last_sequence; k++)
			skipped += !run.brought[line][k];
		assert_int_equal(l->messages, l->delivered + l->duplicates);
		assert_int_equal(l->missing, skipped);
	}
	mdfh_channel_destroy(run.channel);
}

static void every_number_once(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		simulate(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_number_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
