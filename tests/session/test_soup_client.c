/* test_soup_client.c - the client's end of SoupBinTCP against bytes written by hand: what it sends,
 * what it makes of every packet cut at every border, what it refuses and why, its timers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mdfh/error.h"
#include "session/soup_bytes.h"

#include "mdfh/soupbintcp.h"

#define SECOND 1000000000ll

static struct mdfh_soup_client *client;
static struct soup_bytes in;

static void make(const char *session, uint64_t sequence)
{
	struct mdfh_soup_client_config config = {
	    .size = sizeof(config),
	    .username = "user",
	    .password = "secret",
	    .session = session,
	    .sequence = sequence,
	};

	assert_int_equal(mdfh_soup_client_create(&config, &client), 0);
	in.length = 0;
}

static const struct mdfh_soup_client_stats *stats(void)
{
	return mdfh_soup_client_stats(client);
}

static void expect_output(const void *bytes, uint32_t length, int64_t now)
{
	const uint8_t *data;

	assert_int_equal(mdfh_soup_client_output(client, &data), length);
	assert_memory_equal(data, bytes, length);
	mdfh_soup_client_sent(client, length, now);
	assert_int_equal(mdfh_soup_client_output(client, &data), 0);
}

static int next(struct mdfh_soup_item *item)
{
	return mdfh_soup_client_next(client, item);
}

static void expect_login(const char *session, unsigned long long number, int64_t now)
{
	static struct soup_bytes want;

	want.length = 0;
	soup_login(&want, "user", "secret", session, number);
	expect_output(want.data, want.length, now);
}

/* What was written by hand arrives, and makes one item of this kind. */
static struct mdfh_soup_item arrive(unsigned kind, int64_t now)
{
	struct mdfh_soup_item item = {0}, more;

	mdfh_soup_client_feed(client, in.data, in.length, now);
	assert_int_equal(next(&item), 1);
	assert_int_equal(item.kind, kind);
	assert_int_equal(next(&more), 0);
	in.length = 0;
	return item;
}

static void log_in(const char *session, uint64_t number, int64_t now)
{
	const uint8_t *data;
	uint32_t length;

	mdfh_soup_client_connected(client, now);
	length = mdfh_soup_client_output(client, &data);
	assert_int_equal(length, 49);
	mdfh_soup_client_sent(client, length, now);
	soup_accept(&in, session, number);
	assert_int_equal(arrive(MDFH_SOUP_ITEM_LOGIN, now).sequence, number);
	assert_int_equal(stats()->state, MDFH_SOUP_IN);
}

/* The connection ends for this reason while these bytes are read. */
static void expect_end(enum mdfh_soup_reason reason)
{
	struct mdfh_soup_item item;
	uint64_t before = stats()->reasons[reason];

	mdfh_soup_client_feed(client, in.data, in.length, 0);
	in.length = 0;
	while (next(&item))
		;
	assert_int_equal(mdfh_soup_client_reason(client), reason);
	assert_int_equal(stats()->reasons[reason], before + 1);
	assert_int_equal(stats()->state, MDFH_SOUP_CLOSING);
	mdfh_soup_client_disconnected(client, 0);
	assert_int_equal(mdfh_soup_client_reason(client), MDFH_SOUP_NONE);
	assert_int_equal(stats()->last_reason, reason);
}

/* Login -------------------------------------------------------------------------- */

static void test_login_bytes(void **state)
{
	(void)state;
	make(NULL, 0);
	mdfh_soup_client_connected(client, 5);
	expect_output("\0\57Luser  "
		      "secret    "
		      "          "
		      "                   0",
	    49, 5);
	mdfh_soup_client_destroy(client);

	make("SESS01", 18446744073709551615ull);
	mdfh_soup_client_connected(client, 5);
	expect_output("\0\57Luser  "
		      "secret    "
		      "    SESS01"
		      "18446744073709551615",
	    49, 5);
	mdfh_soup_client_destroy(client);
}

/* The login of a real client (JNX OUCH, 2023), byte for byte. */
static void test_real_login(void **state)
{
	struct mdfh_soup_client_config config = {
	    .size = sizeof(config), .username = "user", .password = "password"};
	static const char real[] = "\0\x2f\x4c\x75\x73\x65\x72\x20\x20\x70\x61\x73\x73\x77\x6f"
				   "\x72\x64\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20"
				   "\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20"
				   "\x20\x20\x20\x30";

	(void)state;
	assert_int_equal(mdfh_soup_client_create(&config, &client), 0);
	mdfh_soup_client_connected(client, 0);
	expect_output(real, 49, 0);
	mdfh_soup_client_destroy(client);
}

static void test_accepted_and_padding(void **state)
{
	static const char *const answers[] = {
	    "    SESS01                   7",
	    "SESS01    7                   ",
	    "  SESS01           7          ",
	    "SESS01    00000000000000000007",
	};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		make("SESS01", 7);
		mdfh_soup_client_connected(client, 0);
		soup_packet(&in, '+', "hello", 5);
		soup_packet(&in, 'A', answers[i], 30);
		mdfh_soup_client_feed(client, in.data, in.length, 0);
		struct mdfh_soup_item item;

		assert_int_equal(next(&item), 1);
		assert_int_equal(item.kind, MDFH_SOUP_ITEM_DEBUG);
		assert_memory_equal(item.data, "hello", item.length);
		assert_int_equal(next(&item), 1);
		assert_int_equal(item.kind, MDFH_SOUP_ITEM_LOGIN);
		assert_int_equal(item.sequence, 7);
		assert_string_equal((const char *)stats()->session, "SESS01");
		assert_int_equal(stats()->ahead + stats()->behind, 0);
		mdfh_soup_client_destroy(client);
	}
}

/* What a terminal or JSON would choke on is not shown, but asked for as it is. */
static void test_session_of_odd_bytes(void **state)
{
	(void)state;
	make(NULL, 1);
	log_in("\033[2J\377", 5, 0);
	assert_string_equal((const char *)stats()->session, "?[2J?");
	mdfh_soup_client_disconnected(client, 0);
	mdfh_soup_client_connected(client, 0);
	expect_login("\033[2J\377", 5, 0);
	mdfh_soup_client_destroy(client);
}

static void test_answer_that_does_not_fit(void **state)
{
	(void)state;
	make("SESS01", 7);
	log_in("SESS01", 9, 0); /* two are missing: the channel will say so */
	assert_int_equal(stats()->ahead, 1);
	mdfh_soup_client_disconnected(client, 0);
	log_in("SESS01", 3, 0); /* repeats */
	assert_int_equal(stats()->behind, 1);
	mdfh_soup_client_disconnected(client, 0);

	mdfh_soup_client_connected(client, 0);
	soup_accept(&in, "SESS02", 9);
	expect_end(MDFH_SOUP_SESSION_OTHER);
	static const char *const bad[] = {"                    ", "                   0",
	    "                  -1", "                 1 2", "18446744073709551616",
	    "                 0x1"};

	for (unsigned i = 0; i < 6; i++) {
		char answer[32];

		mdfh_soup_client_connected(client, 0);
		snprintf(answer, sizeof(answer), "    SESS01%20s", bad[i]);
		soup_packet(&in, 'A', answer, 30);
		expect_end(MDFH_SOUP_NUMBER);
	}
	mdfh_soup_client_destroy(client);
}

static void test_refused(void **state)
{
	(void)state;
	make("SESS01", 1);
	mdfh_soup_client_connected(client, 0);
	soup_packet(&in, 'J', "A", 1);
	expect_end(MDFH_SOUP_NOT_AUTHORIZED);
	assert_int_equal(stats()->refused, 1);
	assert_int_equal(stats()->given_up, 1);
	assert_true(mdfh_soup_client_pause(client) == UINT64_MAX);
	/* Whoever connects again all the same sends no login. */
	mdfh_soup_client_connected(client, 0);
	const uint8_t *data;

	assert_int_equal(mdfh_soup_client_output(client, &data), 0);
	mdfh_soup_client_destroy(client);

	/* A session that is not there yet: again and again, ever more slowly. */
	make("SESS01", 1);
	for (uint64_t i = 0; i < 10; i++) {
		uint64_t pause = i < 6 ? (uint64_t)SECOND << i : 60 * (uint64_t)SECOND;

		mdfh_soup_client_connected(client, 0);
		soup_packet(&in, 'J', "S", 1);
		expect_end(MDFH_SOUP_NO_SESSION);
		assert_int_equal(mdfh_soup_client_pause(client), pause);
	}
	log_in("SESS01", 1, 0);
	soup_message(&in, 1);
	arrive(MDFH_SOUP_ITEM_DATA, 0);
	mdfh_soup_client_disconnected(client, 0);
	assert_int_equal(mdfh_soup_client_pause(client), 0);
	mdfh_soup_client_destroy(client);

	make(NULL, 1);
	mdfh_soup_client_connected(client, 0);
	soup_packet(&in, 'J', "X", 1);
	expect_end(MDFH_SOUP_REFUSED);
	assert_int_equal(stats()->given_up, 1);
	mdfh_soup_client_destroy(client);
}

/* A server that takes the login and closes, over and over, is not hammered either. */
static void test_pause_after_useless_connections(void **state)
{
	(void)state;
	make(NULL, 1);
	log_in("S", 1, 0);
	mdfh_soup_client_disconnected(client, 0);
	assert_int_equal(mdfh_soup_client_pause(client), 0);
	log_in("S", 1, 0);
	mdfh_soup_client_disconnected(client, 0);
	assert_int_equal(mdfh_soup_client_pause(client), 2 * SECOND);
	log_in("S", 1, 0);
	soup_packet(&in, 'H', "", 0);
	arrive(MDFH_SOUP_ITEM_HEARTBEAT, 0);
	mdfh_soup_client_disconnected(client, 0);
	assert_int_equal(mdfh_soup_client_pause(client), 0);
	mdfh_soup_client_destroy(client);
}

/* Data ------------------------------------------------------------------------------ */

/* Every cut of a stream with one of each packet gives the same items; what was not cut lies where
 * it came. */
static void test_every_cut(void **state)
{
	static struct soup_bytes stream;

	(void)state;
	stream.length = 0;
	soup_accept(&stream, "DAY", 100);
	soup_message(&stream, 100);
	soup_message(&stream, 101);
	soup_packet(&stream, 'U', "unsequenced", 11);
	soup_message(&stream, 102);
	soup_packet(&stream, 'H', "", 0);
	soup_message(&stream, 103);
	soup_packet(&stream, 'S', "", 0); /* 104: empty, and yet a message */
	soup_message(&stream, 105);
	soup_packet(&stream, 'Z', "", 0);
	for (uint32_t cut = 0; cut <= stream.length; cut++) {
		for (uint32_t second = cut; second <= stream.length; second += 3) {
			const uint32_t ends[3] = {cut, second, stream.length};
			uint64_t number = 100;
			int others = 0;

			make(NULL, 100);
			mdfh_soup_client_connected(client, 0);
			for (unsigned part = 0, from = 0; part < 3; from = ends[part++]) {
				uint32_t length = ends[part] - from;
				uint8_t *exact = malloc(length ? length : 1);
				struct mdfh_soup_item item;

				memcpy(exact, stream.data + from, length);
				mdfh_soup_client_feed(client, exact, length, 0);
				while (next(&item)) {
					const uint8_t *at = item.data;
					uint32_t left = item.length;

					if (item.kind == MDFH_SOUP_ITEM_UNSEQUENCED)
						assert_memory_equal(item.data, "unsequenced", 11);
					if (item.kind != MDFH_SOUP_ITEM_DATA) {
						others++;
						continue;
					}
					assert_int_equal(item.sequence, number);
					for (uint32_t i = 0; i < item.messages; i++, number++) {
						uint8_t want[64];
						uint32_t size = soup_numbered(want, number), step,
							 got;
						const uint8_t *message;

						if (number == 104)
							size = 0;
						step = mdfh_framing_next(
						    MDFH_FRAMING_SOUPBIN, at, left, &message, &got);
						assert_int_equal(step, size + 3);
						assert_int_equal(got, size);
						assert_memory_equal(message, want, size);
						at += step;
						left -= step;
					}
					assert_int_equal(left, 0);
				}
				free(exact);
			}
			assert_int_equal(number, 106);
			assert_int_equal(others, 4); /* A U H Z */
			assert_int_equal(stats()->state, MDFH_SOUP_OVER);
			assert_int_equal(stats()->sequenced, 6);
			assert_true(stats()->straddled <= 2);
			mdfh_soup_client_destroy(client);
		}
	}
}

static void test_runs_are_not_copied(void **state)
{
	struct mdfh_soup_item item;
	struct mdfh_unit unit;

	(void)state;
	make(NULL, 1);
	log_in("DAY", 1, 0);
	for (uint64_t i = 1; i <= 1000; i++)
		soup_message(&in, i);
	mdfh_soup_client_feed(client, in.data, in.length, 0);
	assert_int_equal(next(&item), 1);
	assert_ptr_equal(item.data, in.data);
	assert_int_equal(item.length, in.length);
	assert_int_equal(item.messages, 1000);
	assert_int_equal(mdfh_soup_client_unit(client, &item, &unit), 1);
	assert_int_equal(unit.kind, MDFH_UNIT_DATA);
	assert_int_equal(unit.first, 1);
	assert_int_equal(unit.messages, 1000);
	assert_int_equal(unit.claimed, 1000);
	assert_memory_equal(unit.session, "DAY\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_int_equal(stats()->straddled, 0);
	mdfh_soup_client_destroy(client);

	/* run_max bounds an item, but never cuts a packet. */
	struct mdfh_soup_client_config config = {.size = sizeof(config), .run_max = 64};

	assert_int_equal(mdfh_soup_client_create(&config, &client), 0);
	in.length = 0;
	log_in("DAY", 1, 0);
	uint8_t large[200] = {0};

	soup_packet(&in, 'S', large, 20);
	soup_packet(&in, 'S', large, 20);
	soup_packet(&in, 'S', large, 20);
	soup_packet(&in, 'S', large, 200);
	mdfh_soup_client_feed(client, in.data, in.length, 0);
	const uint32_t want[3] = {2, 1, 1};

	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(next(&item), 1);
		assert_int_equal(item.messages, want[i]);
	}
	assert_int_equal(next(&item), 0);
	mdfh_soup_client_destroy(client);
}

static void test_longest_packet(void **state)
{
	static uint8_t message[MDFH_SOUP_MESSAGE_MAX];
	struct mdfh_soup_item item;

	(void)state;
	memset(message, 0xa5, sizeof(message));
	make(NULL, 1);
	log_in("DAY", 1, 0);
	soup_packet(&in, 'S', message, sizeof(message));
	soup_message(&in, 2);
	/* Byte by byte: the buffer holds it, and nothing beyond. */
	for (uint32_t i = 0; i + 1 < MDFH_SOUP_PACKET_MAX; i++) {
		mdfh_soup_client_feed(client, in.data + i, 1, 0);
		assert_int_equal(next(&item), 0);
	}
	mdfh_soup_client_feed(
	    client, in.data + MDFH_SOUP_PACKET_MAX - 1, in.length - MDFH_SOUP_PACKET_MAX + 1, 0);
	assert_int_equal(next(&item), 1);
	assert_int_equal(item.length, MDFH_SOUP_PACKET_MAX);
	assert_memory_equal(item.data + 3, message, sizeof(message));
	assert_int_equal(next(&item), 1);
	assert_int_equal(item.sequence, 2);
	assert_int_equal(next(&item), 0);
	mdfh_soup_client_destroy(client);
}

/* Errors ------------------------------------------------------------------------------ */

static void test_protocol_errors(void **state)
{
	static const char both_ways[] = "LROX";

	(void)state;
	make(NULL, 1);
	/* Before the answer to the login. */
	for (const char *type = "SUHZ"; *type; type++) {
		mdfh_soup_client_connected(client, 0);
		soup_packet(&in, *type, "", 0);
		expect_end(MDFH_SOUP_STATE);
	}
	/* After it. */
	log_in("DAY", 1, 0);
	soup_accept(&in, "DAY", 1);
	expect_end(MDFH_SOUP_STATE);
	log_in("DAY", 1, 0);
	soup_packet(&in, 'J', "A", 1);
	expect_end(MDFH_SOUP_STATE);
	assert_int_equal(stats()->given_up, 0);
	/* What only a client says, and what nobody does. */
	for (unsigned i = 0; i < 4; i++) {
		log_in("DAY", 1, 0);
		soup_packet(&in, both_ways[i], in.data + 1000, both_ways[i] == 'L' ? 46 : 0);
		expect_end(both_ways[i] == 'X' ? MDFH_SOUP_TYPE : MDFH_SOUP_STATE);
	}
	/* Lengths. */
	log_in("DAY", 1, 0);
	memcpy(in.data, "\0\0", 2);
	in.length = 2;
	expect_end(MDFH_SOUP_LENGTH);
	log_in("DAY", 1, 0);
	soup_packet(&in, 'H', "x", 1);
	expect_end(MDFH_SOUP_LENGTH);
	mdfh_soup_client_connected(client, 0);
	soup_packet(&in, 'A', "DAY                          1", 29);
	expect_end(MDFH_SOUP_LENGTH);
	/* Something else entirely is refused by its third byte. */
	mdfh_soup_client_connected(client, 0);
	memcpy(in.data, "HTT", 3);
	in.length = 3;
	expect_end(MDFH_SOUP_TYPE);
	/* What stands before the error counts, what stands behind it does not. */
	log_in("DAY", 1, 0);
	soup_message(&in, 1);
	soup_packet(&in, 'X', "", 0);
	soup_message(&in, 2);
	expect_end(MDFH_SOUP_TYPE);
	assert_int_equal(stats()->sequenced, 1);
	assert_int_equal(stats()->next_sequence, 2);
	mdfh_soup_client_destroy(client);
}

static void test_end_of_numbers(void **state)
{
	(void)state;
	make(NULL, 1);
	log_in("DAY", UINT64_MAX - 1, 0);
	soup_message(&in, 1);
	arrive(MDFH_SOUP_ITEM_DATA, 0);
	soup_message(&in, 2);
	expect_end(MDFH_SOUP_NUMBER);
	mdfh_soup_client_destroy(client);
}

/* Time ---------------------------------------------------------------------------------- */

static void test_heartbeats(void **state)
{
	const uint8_t *data;

	(void)state;
	make(NULL, 1);
	log_in("DAY", 1, 0);
	mdfh_soup_client_poll(client, SECOND - 1);
	assert_int_equal(mdfh_soup_client_output(client, &data), 0);
	mdfh_soup_client_poll(client, SECOND);
	expect_output("\0\1R", 3, SECOND);
	mdfh_soup_client_poll(client, 2 * SECOND - 1);
	assert_int_equal(mdfh_soup_client_output(client, &data), 0);
	/* Anything sent puts it off. */
	assert_int_equal(mdfh_soup_client_send(client, (const uint8_t *)"hi", 2), 0);
	expect_output("\0\3Uhi", 5, 2 * SECOND - 1);
	mdfh_soup_client_poll(client, 3 * SECOND - 2);
	assert_int_equal(mdfh_soup_client_output(client, &data), 0);
	mdfh_soup_client_poll(client, 3 * SECOND - 1);
	expect_output("\0\1R", 3, 3 * SECOND);
	assert_int_equal(stats()->heartbeats_sent, 2);
	mdfh_soup_client_destroy(client);
}

static void test_timeouts(void **state)
{
	const uint8_t *data;

	(void)state;
	make(NULL, 1);
	mdfh_soup_client_connected(client, 100);
	mdfh_soup_client_poll(client, 100 + 15 * SECOND - 1);
	assert_int_equal(mdfh_soup_client_reason(client), MDFH_SOUP_NONE);
	mdfh_soup_client_poll(client, 100 + 15 * SECOND);
	assert_int_equal(mdfh_soup_client_reason(client), MDFH_SOUP_LOGIN_TIMEOUT);
	mdfh_soup_client_disconnected(client, 0);

	log_in("DAY", 1, 0);
	soup_packet(&in, 'H', "", 0);
	arrive(MDFH_SOUP_ITEM_HEARTBEAT, 10 * SECOND);
	mdfh_soup_client_poll(client, 25 * SECOND - 1);
	assert_int_equal(mdfh_soup_client_reason(client), MDFH_SOUP_NONE);
	mdfh_soup_client_poll(client, 25 * SECOND);
	assert_int_equal(mdfh_soup_client_reason(client), MDFH_SOUP_SILENT);
	mdfh_soup_client_disconnected(client, 0);
	assert_int_equal(stats()->reasons[MDFH_SOUP_SILENT], 1);
	assert_int_equal(stats()->reasons[MDFH_SOUP_LOST], 0);

	/* A clock that is set back by an hour: all is counted from there. */
	log_in("DAY", 1, 3600 * SECOND);
	mdfh_soup_client_poll(client, 5 * SECOND);
	assert_int_equal(mdfh_soup_client_output(client, &data), 0);
	mdfh_soup_client_poll(client, 6 * SECOND);
	expect_output("\0\1R", 3, 6 * SECOND);
	mdfh_soup_client_poll(client, 20 * SECOND - 1);
	assert_int_equal(mdfh_soup_client_reason(client), MDFH_SOUP_NONE);
	mdfh_soup_client_poll(client, 20 * SECOND);
	assert_int_equal(mdfh_soup_client_reason(client), MDFH_SOUP_SILENT);
	mdfh_soup_client_destroy(client);
}

/* Ends and resumption --------------------------------------------------------------------- */

static void test_resume(void **state)
{
	(void)state;
	make(NULL, 0);
	mdfh_soup_client_connected(client, 0);
	expect_login("", 0, 0);
	soup_accept(&in, "DAY7", 41);
	soup_message(&in, 41);
	soup_message(&in, 42);
	mdfh_soup_client_feed(client, in.data, in.length - 1, 0); /* 42 stays incomplete */
	struct mdfh_soup_item item;

	assert_int_equal(next(&item), 1);
	assert_int_equal(next(&item), 1);
	assert_int_equal(item.messages, 1);
	assert_int_equal(next(&item), 0);
	in.length = 0;
	mdfh_soup_client_disconnected(client, 0);
	assert_int_equal(stats()->last_reason, MDFH_SOUP_LOST);
	mdfh_soup_client_connected(client, 0);
	expect_login("DAY7", 42, 0);
	soup_accept(&in, "DAY7", 42);
	soup_message(&in, 42); /* whole this time */
	mdfh_soup_client_feed(client, in.data, in.length, 0);
	assert_int_equal(next(&item), 1);
	assert_int_equal(next(&item), 1);
	assert_int_equal(item.sequence, 42);
	assert_int_equal(next(&item), 0);
	in.length = 0;
	/* The other line was ahead. */
	mdfh_soup_client_disconnected(client, 0);
	mdfh_soup_client_resume(client, 50);
	mdfh_soup_client_connected(client, 0);
	expect_login("DAY7", 50, 0);
	mdfh_soup_client_destroy(client);
}

static void test_end_of_session(void **state)
{
	struct mdfh_soup_item item;
	struct mdfh_unit unit;

	(void)state;
	make(NULL, 1);
	log_in("MON", 1, 0);
	soup_message(&in, 1);
	arrive(MDFH_SOUP_ITEM_DATA, 0);
	soup_packet(&in, 'Z', "", 0);
	item = arrive(MDFH_SOUP_ITEM_END, 100);
	assert_int_equal(mdfh_soup_client_unit(client, &item, &unit), 1);
	assert_int_equal(unit.kind, MDFH_UNIT_END);
	assert_int_equal(unit.first, 2);
	/* The server closes soon; if it does not, we do. */
	mdfh_soup_client_poll(client, 99 + SECOND);
	assert_int_equal(mdfh_soup_client_reason(client), MDFH_SOUP_NONE);
	mdfh_soup_client_poll(client, 100 + SECOND);
	assert_int_equal(mdfh_soup_client_reason(client), MDFH_SOUP_ENDED);
	mdfh_soup_client_disconnected(client, 0);
	assert_int_equal(stats()->reasons[MDFH_SOUP_ENDED], 1);
	/* The next session from 1, whatever the channel of this one had reached. */
	assert_int_equal(mdfh_soup_client_pause(client), SECOND);
	mdfh_soup_client_resume(client, 2);
	mdfh_soup_client_connected(client, 0);
	expect_login("", 1, 0);
	soup_accept(&in, "MON", 1); /* that one is over */
	expect_end(MDFH_SOUP_SESSION_OTHER);
	log_in("TUE", 1, 0);
	/* A server that closes right behind the end. */
	soup_packet(&in, 'Z', "", 0);
	arrive(MDFH_SOUP_ITEM_END, 0);
	mdfh_soup_client_disconnected(client, 0);
	assert_int_equal(stats()->reasons[MDFH_SOUP_ENDED], 2);
	assert_int_equal(stats()->reasons[MDFH_SOUP_LOST], 0);
	mdfh_soup_client_destroy(client);

	/* A session that was asked for by its name has no next one. */
	make("MON", 1);
	log_in("MON", 1, 0);
	soup_packet(&in, 'Z', "", 0);
	arrive(MDFH_SOUP_ITEM_END, 0);
	mdfh_soup_client_disconnected(client, 0);
	assert_true(mdfh_soup_client_pause(client) == UINT64_MAX);
	mdfh_soup_client_destroy(client);
}

/* A session that ended while we were away: the current one, from its beginning. */
static void test_session_gone_meanwhile(void **state)
{
	(void)state;
	make(NULL, 1);
	log_in("MON", 1, 0);
	soup_message(&in, 1);
	arrive(MDFH_SOUP_ITEM_DATA, 0);
	mdfh_soup_client_disconnected(client, 0);
	mdfh_soup_client_connected(client, 0);
	expect_login("MON", 2, 0);
	soup_packet(&in, 'J', "S", 1);
	expect_end(MDFH_SOUP_NO_SESSION);
	mdfh_soup_client_resume(client, 2);
	mdfh_soup_client_connected(client, 0);
	expect_login("", 1, 0);
	mdfh_soup_client_destroy(client);
}

static void test_sending(void **state)
{
	static uint8_t message[MDFH_SOUP_MESSAGE_MAX + 1];
	const uint8_t *data;

	(void)state;
	make(NULL, 1);
	assert_int_equal(mdfh_soup_client_send(client, message, 1), -ENOTCONN);
	assert_int_equal(mdfh_soup_client_logout(client), -ENOTCONN);
	log_in("DAY", 1, 0);
	assert_int_equal(mdfh_soup_client_send(client, message, sizeof(message)), -EMSGSIZE);
	assert_int_equal(mdfh_soup_client_send(client, message, MDFH_SOUP_MESSAGE_MAX), 0);
	assert_int_equal(mdfh_soup_client_send(client, message, 0), -EAGAIN);
	assert_int_equal(mdfh_soup_client_output(client, &data), MDFH_SOUP_PACKET_MAX);
	mdfh_soup_client_sent(client, 1000, 0);
	assert_int_equal(mdfh_soup_client_send(client, message, 997), 0);
	assert_int_equal(mdfh_soup_client_output(client, &data), MDFH_SOUP_PACKET_MAX);
	mdfh_soup_client_sent(client, MDFH_SOUP_PACKET_MAX, 0);
	assert_int_equal(mdfh_soup_client_logout(client), 0);
	expect_output("\0\1O", 3, 0);
	mdfh_soup_client_destroy(client);
}

static void test_configuration(void **state)
{
	struct mdfh_soup_client_config config = {.size = sizeof(config), .password = "12345678901"};
	static const char too_long[] = "the password has 11 characters; at most 10";

	(void)state;
	assert_int_equal(mdfh_soup_client_create(&config, &client), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), too_long));
	assert_null(strstr(mdfh_error_text(), "12345678901"));
	config.password = NULL;
	config.username = "1234567";
	assert_int_equal(mdfh_soup_client_create(&config, &client), -EINVAL);
	config.username = NULL;
	config.session = "12345678901";
	assert_int_equal(mdfh_soup_client_create(&config, &client), -EINVAL);
	config.session = NULL;
	config.run_max = 63;
	assert_int_equal(mdfh_soup_client_create(&config, &client), -EINVAL);
	config.run_max = 0;
	config.output_bytes = 255;
	assert_int_equal(mdfh_soup_client_create(&config, &client), -EINVAL);
	config.size = 0;
	assert_int_equal(mdfh_soup_client_create(&config, &client), -EINVAL);
	assert_null(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_login_bytes),
	    cmocka_unit_test(test_real_login),
	    cmocka_unit_test(test_accepted_and_padding),
	    cmocka_unit_test(test_session_of_odd_bytes),
	    cmocka_unit_test(test_answer_that_does_not_fit),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_pause_after_useless_connections),
	    cmocka_unit_test(test_every_cut),
	    cmocka_unit_test(test_runs_are_not_copied),
	    cmocka_unit_test(test_longest_packet),
	    cmocka_unit_test(test_protocol_errors),
	    cmocka_unit_test(test_end_of_numbers),
	    cmocka_unit_test(test_heartbeats),
	    cmocka_unit_test(test_timeouts),
	    cmocka_unit_test(test_resume),
	    cmocka_unit_test(test_end_of_session),
	    cmocka_unit_test(test_session_gone_meanwhile),
	    cmocka_unit_test(test_sending),
	    cmocka_unit_test(test_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
