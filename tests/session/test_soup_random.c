/* test_soup_random.c - server, clients and a channel over in-memory connections, for many seeds.
 *
 * One or two lines, each a connection whose bytes are cut anywhere, delivered late and broken off
 * at random, also in the middle of a packet and with bytes on their way. Whatever happens, the
 * channel must give out every number exactly once with its own bytes, and the end of session. The
 * control loses one message inside a server and must be noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mdfh/event.h"
#include "mdfh/soupbintcp.h"
#include "session/soup_bytes.h"

enum {
	MESSAGES = 300,
	SEEDS = 2000,
	STEPS_MAX = 100000,
	STEP_NS = 10000000,
};

struct pipe { /* bytes on their way, one direction */
	uint8_t data[1 << 16];
	uint32_t length;
};

struct line {
	struct mdfh_soup_server *server;
	struct mdfh_soup_client *client;
	int number; /* the client's at the server, -1 = no connection */
	struct pipe down, up;
};

struct run {
	uint64_t random;
	int64_t now;
	struct line lines[2];
	struct mdfh_channel *channel;
	uint64_t next, lost;
	int begun, ended;
	uint64_t skipped; /* a message that no server sends, 0 = none */
	uint64_t cuts;
	uint64_t wrong; /* messages that are not the ones of their numbers */
};

static uint32_t draw(struct run *run, uint32_t below)
{
	run->random ^= run->random << 13;
	run->random ^= run->random >> 7;
	run->random ^= run->random << 17;
	return (uint32_t)((run->random >> 20) % below);
}

static void take_spans(struct run *run, struct mdfh_span *spans, int n)
{
	assert_true(n >= 0);
	for (;;) {
		for (int i = 0; i < n; i++) {
			const struct mdfh_span *span = &spans[i];
			const uint8_t *at = span->data;
			uint32_t left = span->length;

			if (span->kind == MDFH_SPAN_SESSION_BEGIN) {
				assert_false(run->begun);
				run->begun = 1;
				run->next = span->first;
				continue;
			}
			assert_int_equal(span->first, run->next);
			if (span->kind == MDFH_SPAN_SESSION_END) {
				run->ended = 1;
				continue;
			}
			run->next += span->messages;
			if (span->kind == MDFH_SPAN_GAP) {
				run->lost += span->messages;
				continue;
			}
			for (uint64_t k = 0; k < span->messages; k++) {
				uint8_t want[64];
				uint32_t size = soup_numbered(want, span->first + k), got = 0;
				const uint8_t *message = NULL;
				uint32_t step = mdfh_framing_next(
				    MDFH_FRAMING_SOUPBIN, at, left, &message, &got);

				assert_int_not_equal(step, 0);
				run->wrong += got != size || memcmp(message, want, size) != 0;
				at += step;
				left -= step;
			}
			assert_int_equal(left, 0);
		}
		if (n < MDFH_SPANS_MAX)
			return;
		n = mdfh_channel_poll(run->channel, run->now, spans, MDFH_SPANS_MAX);
	}
}

static void client_reads(struct run *run, unsigned index, const uint8_t *data, uint32_t length)
{
	struct line *line = &run->lines[index];
	struct mdfh_packet packet = {.receive_ns = (uint64_t)run->now};
	struct mdfh_span spans[MDFH_SPANS_MAX];
	struct mdfh_soup_item item;
	struct mdfh_unit unit;

	mdfh_soup_client_feed(line->client, data, length, run->now);
	while (mdfh_soup_client_next(line->client, &item))
		if (mdfh_soup_client_unit(line->client, &item, &unit))
			take_spans(run, spans,
			    mdfh_channel_push_unit(run->channel, &unit, &packet, index, run->now,
				spans, MDFH_SPANS_MAX));
}

static void connect_line(struct run *run, struct line *line)
{
	line->number = mdfh_soup_server_connected(line->server, run->now);
	assert_true(line->number >= 0);
	line->down.length = line->up.length = 0;
	mdfh_soup_client_resume(
	    line->client, run->begun ? mdfh_channel_stats(run->channel)->next_sequence : 0);
	mdfh_soup_client_connected(line->client, run->now);
}

static void cut_line(struct run *run, struct line *line)
{
	mdfh_soup_server_disconnected(line->server, (unsigned)line->number);
	mdfh_soup_client_disconnected(line->client, run->now);
	line->number = -1;
	run->cuts++;
}

/* Some bytes from the front of a pipe, in a block of their own size. */
static uint8_t *take_bytes(struct run *run, struct pipe *pipe, uint32_t *length)
{
	uint8_t *bytes;

	*length = draw(run, 4) ? draw(run, pipe->length + 1) : pipe->length;
	bytes = malloc(*length ? *length : 1);
	memcpy(bytes, pipe->data, *length);
	memmove(pipe->data, pipe->data + *length, pipe->length - *length);
	pipe->length -= *length;
	return bytes;
}

static void put_bytes(struct pipe *pipe, const uint8_t *data, uint32_t length)
{
	memcpy(pipe->data + pipe->length, data, length);
	pipe->length += length;
}

static void server_side(struct run *run, struct line *line)
{
	unsigned c = (unsigned)line->number;
	struct mdfh_soup_item item;
	uint32_t length;
	uint8_t *bytes = take_bytes(run, &line->up, &length);
	const uint8_t *data;
	uint64_t number;

	mdfh_soup_server_feed(line->server, c, bytes, length, run->now);
	while (mdfh_soup_server_next(line->server, c, &item))
		;
	free(bytes);
	while ((number = mdfh_soup_server_wanted(line->server, c))) {
		uint8_t message[64];

		/* The control: this number goes out with the bytes of the one behind it. */
		if (run->skipped && number >= run->skipped)
			number++;
		if (mdfh_soup_server_write(
			line->server, c, message, soup_numbered(message, number)))
			break;
	}
	mdfh_soup_server_poll(line->server, c, run->now);
	length = mdfh_soup_server_output(line->server, c, &data);
	if (length) {
		uint32_t room = sizeof(line->down.data) - line->down.length;

		length = draw(run, length + 1);
		length = length < room ? length : room;
		put_bytes(&line->down, data, length);
		mdfh_soup_server_sent(line->server, c, length, run->now);
	}
}

static void client_side(struct run *run, unsigned index)
{
	struct line *line = &run->lines[index];
	uint32_t length;
	uint8_t *bytes = take_bytes(run, &line->down, &length);
	const uint8_t *data;

	client_reads(run, index, bytes, length);
	free(bytes);
	mdfh_soup_client_poll(line->client, run->now);
	length = mdfh_soup_client_output(line->client, &data);
	if (length) {
		put_bytes(&line->up, data, length);
		mdfh_soup_client_sent(line->client, length, run->now);
	}
	/* A client that was told too late that it was gone, and one that was refused, are none of
	 * this test's outcomes. */
	assert_true(mdfh_soup_client_reason(line->client) == MDFH_SOUP_NONE ||
		    mdfh_soup_client_reason(line->client) == MDFH_SOUP_ENDED);
}

static void begin(struct run *run, uint64_t seed, unsigned lines)
{
	struct mdfh_channel_config channel = {
	    .size = sizeof(channel),
	    .session = mdfh_session_find("soupbintcp"),
	    .lines = (uint16_t)lines,
	    .first_sequence = 1,
	    .window_packets = 64,
	};

	memset(run, 0, sizeof(*run));
	run->random = seed * 0x9e3779b97f4a7c15ull + 1;
	assert_int_equal(mdfh_channel_create(&channel, &run->channel), 0);
	for (unsigned i = 0; i < lines; i++) {
		struct mdfh_soup_server_config server = {
		    .size = sizeof(server),
		    .session = "RANDOM",
		    .clients_max = 1,
		    .output_bytes = 256 + draw(run, 2000),
		};
		struct mdfh_soup_client_config client = {
		    .size = sizeof(client), .sequence = 1, .run_max = 64 + draw(run, 1900)};

		assert_int_equal(mdfh_soup_server_create(&server, &run->lines[i].server), 0);
		assert_int_equal(mdfh_soup_client_create(&client, &run->lines[i].client), 0);
		run->lines[i].number = -1;
	}
}

static void finish(struct run *run, unsigned lines)
{
	for (unsigned i = 0; i < lines; i++) {
		mdfh_soup_server_destroy(run->lines[i].server);
		mdfh_soup_client_destroy(run->lines[i].client);
	}
	mdfh_channel_destroy(run->channel);
}

static void play(struct run *run, unsigned lines)
{
	uint64_t published = 1;

	for (int step = 0; step < STEPS_MAX && !run->ended; step++) {
		run->now += STEP_NS;
		published += draw(run, 4);
		for (unsigned i = 0; i < lines; i++) {
			struct line *line = &run->lines[i];

			/* One server may be behind the other. */
			if (i == 0 || draw(run, 3) || published >= MESSAGES + 1)
				mdfh_soup_server_publish(line->server,
				    published < MESSAGES + 1 ? published : MESSAGES + 1);
			if (published >= MESSAGES + 1)
				mdfh_soup_server_end(line->server);
			if (line->number < 0 && draw(run, 2))
				connect_line(run, line);
			if (line->number >= 0)
				server_side(run, line);
			if (line->number >= 0)
				client_side(run, i);
			if (line->number >= 0 && draw(run, 30) == 0)
				cut_line(run, line);
		}
	}
}

static void test_every_number_once(void **state)
{
	uint64_t cuts = 0, straddled = 0, both = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		static struct run run;
		unsigned lines = 1 + (unsigned)(seed % 2);

		begin(&run, seed, lines);
		play(&run, lines);
		if (!run.ended || run.next != MESSAGES + 1 || run.lost || run.wrong)
			fail_msg("seed %llu: ended %d, next %llu, lost %llu, wrong %llu",
			    (unsigned long long)seed, run.ended, (unsigned long long)run.next,
			    (unsigned long long)run.lost, (unsigned long long)run.wrong);
		cuts += run.cuts;
		straddled += mdfh_soup_client_stats(run.lines[0].client)->straddled;
		if (lines == 2)
			both += mdfh_channel_stats(run.channel)->lines[1].delivered > 0;
		finish(&run, lines);
	}
	/* The runs were what they are meant to be. */
	assert_true(cuts > SEEDS && straddled > 10 * SEEDS && both > SEEDS / 4);
}

/* One message that the server leaves out shifts all others: what the test above looks at shows. */
static void test_a_lost_message_is_noticed(void **state)
{
	static struct run run;

	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		begin(&run, 2 * seed, 1);
		run.skipped = 200;
		play(&run, 1);
		assert_true(run.ended);
		assert_int_equal(run.wrong, MESSAGES - 199);
		finish(&run, 1);
	}
}

/* A server that does not have the numbers any more: a gap with its range, not silence. */
static void test_a_higher_answer_is_a_gap(void **state)
{
	static struct run run;
	struct soup_bytes *in = calloc(1, sizeof(*in));
	struct mdfh_span spans[MDFH_SPANS_MAX];
	struct mdfh_line_drops drops = {.known = 4};

	(void)state;
	assert_non_null(in);
	begin(&run, 1, 1);
	mdfh_channel_drops(run.channel, 0, &drops);
	mdfh_soup_client_connected(run.lines[0].client, 0);
	soup_accept(in, "RANDOM", 1);
	soup_message(in, 1);
	client_reads(&run, 0, in->data, in->length);
	mdfh_soup_client_disconnected(run.lines[0].client, 0);
	mdfh_soup_client_connected(run.lines[0].client, 0);
	in->length = 0;
	soup_accept(in, "RANDOM", 5);
	soup_message(in, 5);
	client_reads(&run, 0, in->data, in->length);
	assert_int_equal(run.next, 2);
	run.now = 1000000000;
	take_spans(&run, spans, mdfh_channel_poll(run.channel, run.now, spans, MDFH_SPANS_MAX));
	assert_int_equal(run.lost, 3);
	assert_int_equal(run.next, 6);
	assert_int_equal(mdfh_channel_stats(run.channel)->lost_by_cause[MDFH_CAUSE_UPSTREAM], 3);
	/* A lower one: repeats, dropped. */
	mdfh_soup_client_disconnected(run.lines[0].client, 0);
	mdfh_soup_client_connected(run.lines[0].client, 0);
	in->length = 0;
	soup_accept(in, "RANDOM", 4);
	soup_message(in, 4);
	soup_message(in, 5);
	soup_message(in, 6);
	client_reads(&run, 0, in->data, in->length);
	assert_int_equal(run.next, 7);
	assert_int_equal(mdfh_channel_stats(run.channel)->lines[0].duplicates, 2);
	finish(&run, 1);
	free(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_number_once),
	    cmocka_unit_test(test_a_lost_message_is_noticed),
	    cmocka_unit_test(test_a_higher_answer_is_a_gap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
