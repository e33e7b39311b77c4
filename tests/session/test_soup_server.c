/* test_soup_server.c - the server's end of SoupBinTCP against clients written by hand. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "mdfh/error.h"
#include "mdfh/soupbintcp.h"
#include "session/soup_bytes.h"

#define SECOND 1000000000ll

static struct mdfh_soup_server *server;
static struct soup_bytes in;

static void make(uint32_t clients_max, uint32_t output_bytes)
{
	struct mdfh_soup_server_config config = {
	    .size = sizeof(config),
	    .session = "DAY1",
	    .username = "User",
	    .password = "Secret",
	    .clients_max = clients_max,
	    .output_bytes = output_bytes,
	};

	assert_int_equal(mdfh_soup_server_create(&config, &server), 0);
	in.length = 0;
}

static const struct mdfh_soup_server_stats *stats(void)
{
	return mdfh_soup_server_stats(server);
}

static void expect_output(unsigned c, const void *bytes, uint32_t length, int64_t now)
{
	const uint8_t *data;

	assert_int_equal(mdfh_soup_server_output(server, c, &data), length);
	assert_memory_equal(data, bytes, length);
	mdfh_soup_server_sent(server, c, length, now);
}

/* The bytes written by hand, and the one item they make, or none (kind 0). */
static struct mdfh_soup_item arrive(unsigned c, unsigned kind, int64_t now)
{
	struct mdfh_soup_item item = {0}, more;

	mdfh_soup_server_feed(server, c, in.data, in.length, now);
	if (kind)
		assert_int_equal(mdfh_soup_server_next(server, c, &item), 1);
	assert_int_equal(item.kind, kind);
	assert_int_equal(mdfh_soup_server_next(server, c, &more), 0);
	in.length = 0;
	return item;
}

static unsigned log_in(unsigned long long number, int64_t now)
{
	const uint8_t *data;
	int c = mdfh_soup_server_connected(server, now);

	assert_true(c >= 0);
	soup_login(&in, "user", "SECRET", "", number);
	arrive((unsigned)c, MDFH_SOUP_ITEM_LOGIN, now);
	assert_int_equal(mdfh_soup_server_output(server, (unsigned)c, &data), 33);
	mdfh_soup_server_sent(server, (unsigned)c, 33, now);
	assert_int_equal(mdfh_soup_server_state(server, (unsigned)c), MDFH_SOUP_IN);
	return (unsigned)c;
}

static void test_logins(void **state)
{
	static const struct {
		const char *username, *password, *session;
		unsigned long long number;
		const char *answer;
		uint32_t length;
		enum mdfh_soup_reason reason;
	} cases[] = {
	    {"user", "secret", "DAY1", 5, "\0\37A      DAY1                   5", 33, 0},
	    {"USER", "SECRET", "", 1, "\0\37A      DAY1                   1", 33, 0},
	    {" user", " secret", "DAY1", 10, "\0\37A      DAY1                  10", 33, 0},
	    /* 0: the newest; too high: the next to come. */
	    {"user", "secret", "", 0, "\0\37A      DAY1                  10", 33, 0},
	    {"user", "secret", "", 11, "\0\37A      DAY1                  11", 33, 0},
	    {"user", "secret", "", 99, "\0\37A      DAY1                  11", 33, 0},
	    {"user", "secret", "", 18446744073709551615ull, "\0\37A      DAY1                  11",
		33, 0},
	    {"user", "wrong", "", 1, "\0\2JA", 4, MDFH_SOUP_NOT_AUTHORIZED},
	    {"other", "secret", "", 1, "\0\2JA", 4, MDFH_SOUP_NOT_AUTHORIZED},
	    {"", "", "", 1, "\0\2JA", 4, MDFH_SOUP_NOT_AUTHORIZED},
	    {"user", "secret", "DAY2", 1, "\0\2JS", 4, MDFH_SOUP_NO_SESSION},
	    {"user", "wrong", "DAY2", 1, "\0\2JA", 4, MDFH_SOUP_NOT_AUTHORIZED},
	};

	(void)state;
	make(1, 0);
	mdfh_soup_server_publish(server, 11);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(mdfh_soup_server_connected(server, 0), 0);
		soup_packet(&in, '+', "may come", 8);
		arrive(0, MDFH_SOUP_ITEM_DEBUG, 0);
		soup_login(
		    &in, cases[i].username, cases[i].password, cases[i].session, cases[i].number);
		arrive(0, cases[i].reason ? 0 : MDFH_SOUP_ITEM_LOGIN, 0);
		assert_int_equal(mdfh_soup_server_reason(server, 0), cases[i].reason);
		expect_output(0, cases[i].answer, cases[i].length, 0);
		mdfh_soup_server_disconnected(server, 0);
	}
	assert_int_equal(stats()->accepted, 7);
	assert_int_equal(stats()->refused, 5);
	assert_int_equal(stats()->reasons[MDFH_SOUP_NOT_AUTHORIZED], 4);
	assert_int_equal(stats()->reasons[MDFH_SOUP_NO_SESSION], 1);
	assert_int_equal(stats()->reasons[MDFH_SOUP_LOST], 7);
	mdfh_soup_server_destroy(server);

	/* Nothing published yet: 0 begins at 1. */
	make(1, 0);
	assert_int_equal(mdfh_soup_server_connected(server, 0), 0);
	soup_login(&in, "user", "secret", "", 0);
	arrive(0, MDFH_SOUP_ITEM_LOGIN, 0);
	expect_output(0, "\0\37A      DAY1                   1", 33, 0);
	mdfh_soup_server_destroy(server);
}

static void expect_error(enum mdfh_soup_reason reason)
{
	const uint8_t *data;

	arrive(0, 0, 0);
	assert_int_equal(mdfh_soup_server_reason(server, 0), reason);
	assert_int_equal(mdfh_soup_server_output(server, 0, &data), 0);
	mdfh_soup_server_disconnected(server, 0);
}

static void test_protocol_errors(void **state)
{
	(void)state;
	make(1, 0);
	for (const char *type = "URO"; *type; type++) { /* before the login */
		assert_int_equal(mdfh_soup_server_connected(server, 0), 0);
		soup_packet(&in, *type, "", 0);
		expect_error(MDFH_SOUP_STATE);
	}
	for (const char *type = "SHZ"; *type; type++) { /* a server's */
		log_in(1, 0);
		soup_packet(&in, *type, "", 0);
		expect_error(MDFH_SOUP_STATE);
	}
	log_in(1, 0); /* twice */
	soup_login(&in, "user", "secret", "", 1);
	expect_error(MDFH_SOUP_STATE);
	log_in(1, 0);
	soup_packet(&in, '?', "", 0);
	expect_error(MDFH_SOUP_TYPE);
	log_in(1, 0);
	memset(in.data, 0, 2);
	in.length = 2;
	expect_error(MDFH_SOUP_LENGTH);
	assert_int_equal(mdfh_soup_server_connected(server, 0), 0);
	soup_packet(&in, 'L', in.data + 100, 45);
	expect_error(MDFH_SOUP_LENGTH);
	assert_int_equal(mdfh_soup_server_connected(server, 0), 0);
	soup_packet(&in, 'L', "user  secret                                 x", 46);
	expect_error(MDFH_SOUP_NUMBER);
	mdfh_soup_server_destroy(server);
}

static void test_many_clients(void **state)
{
	(void)state;
	make(3, 0);
	mdfh_soup_server_publish(server, 3);
	assert_int_equal(log_in(1, 0), 0);
	assert_int_equal(log_in(2, 0), 1);
	assert_int_equal(log_in(3, 0), 2);
	assert_int_equal(mdfh_soup_server_connected(server, 0), -EBUSY);
	assert_int_equal(stats()->rejected, 1);
	assert_int_equal(mdfh_soup_server_wanted(server, 0), 1);
	assert_int_equal(mdfh_soup_server_wanted(server, 1), 2);
	assert_int_equal(mdfh_soup_server_wanted(server, 2), 0);
	assert_int_equal(mdfh_soup_server_write(server, 2, (const uint8_t *)"x", 1), -EAGAIN);
	assert_int_equal(mdfh_soup_server_write(server, 0, (const uint8_t *)"one", 3), 0);
	assert_int_equal(mdfh_soup_server_write(server, 0, (const uint8_t *)"two", 3), 0);
	assert_int_equal(mdfh_soup_server_write(server, 0, (const uint8_t *)"three", 5), -EAGAIN);
	assert_int_equal(mdfh_soup_server_write(server, 1, (const uint8_t *)"two", 3), 0);
	expect_output(0, "\0\4Sone\0\4Stwo", 12, 0);
	expect_output(1, "\0\4Stwo", 6, 0);
	/* To the client, in between: not counted. */
	assert_int_equal(mdfh_soup_server_send(server, 1, (const uint8_t *)"reply", 5), 0);
	mdfh_soup_server_publish(server, 4);
	assert_int_equal(mdfh_soup_server_wanted(server, 1), 3);
	assert_int_equal(mdfh_soup_server_write(server, 1, (const uint8_t *)"", 0), 0);
	expect_output(1, "\0\6Ureply\0\1S", 11, 0);
	/* From the client. */
	soup_packet(&in, 'U', "order", 5);
	assert_memory_equal(arrive(2, MDFH_SOUP_ITEM_UNSEQUENCED, 0).data, "order", 5);
	mdfh_soup_server_disconnected(server, 1);
	assert_int_equal(mdfh_soup_server_wanted(server, 1), 0);
	assert_int_equal(mdfh_soup_server_send(server, 1, (const uint8_t *)"x", 1), -ENOTCONN);
	assert_int_equal(log_in(1, 0), 1);
	assert_int_equal(mdfh_soup_server_wanted(server, 1), 1);
	mdfh_soup_server_destroy(server);
}

static void test_slow_reader(void **state)
{
	uint8_t message[40] = {0};
	const uint8_t *data;
	unsigned c;
	int written = 0;

	(void)state;
	make(1, 1000);
	mdfh_soup_server_publish(server, 1000);
	c = log_in(1, 0);
	while (mdfh_soup_server_room(server, c) >= sizeof(message)) {
		assert_int_equal(mdfh_soup_server_write(server, c, message, sizeof(message)), 0);
		written++;
	}
	assert_int_equal(written, (1000 - 9) / 43);
	assert_int_equal(mdfh_soup_server_write(server, c, message, sizeof(message)), -EAGAIN);
	assert_int_equal(mdfh_soup_server_wanted(server, c), written + 1);
	/* It takes half a packet: room for more, and the rest comes first. */
	mdfh_soup_server_sent(server, c, 43 + 20, SECOND);
	assert_true(mdfh_soup_server_room(server, c) >= sizeof(message));
	assert_int_equal(mdfh_soup_server_write(server, c, message, sizeof(message)), 0);
	assert_int_equal(mdfh_soup_server_output(server, c, &data), 43 * written - 20);
	assert_int_equal(data[23], 0); /* the next packet's length */
	assert_int_equal(data[24], 41);
	/* A heartbeat has no business behind unsent bytes. */
	soup_packet(&in, 'R', "", 0);
	arrive(c, MDFH_SOUP_ITEM_HEARTBEAT, 10 * SECOND);
	mdfh_soup_server_poll(server, c, 15 * SECOND);
	assert_int_equal(mdfh_soup_server_reason(server, c), MDFH_SOUP_NONE);
	assert_int_equal(stats()->heartbeats_sent, 0);
	mdfh_soup_server_poll(server, c, 16 * SECOND);
	assert_int_equal(mdfh_soup_server_reason(server, c), MDFH_SOUP_SLOW);
	assert_int_equal(mdfh_soup_server_output(server, c, &data), 0);
	assert_int_equal(
	    mdfh_soup_server_write(server, c, message, MDFH_SOUP_MESSAGE_MAX + 1), -EAGAIN);
	mdfh_soup_server_disconnected(server, c);
	c = log_in(1, 0);
	assert_int_equal(mdfh_soup_server_write(server, c, message, 990), -EMSGSIZE);
	mdfh_soup_server_destroy(server);
}

static void test_timers(void **state)
{
	unsigned c;

	(void)state;
	make(1, 0);
	assert_int_equal(mdfh_soup_server_connected(server, 0), 0);
	mdfh_soup_server_poll(server, 0, 30 * SECOND - 1);
	assert_int_equal(mdfh_soup_server_reason(server, 0), MDFH_SOUP_NONE);
	mdfh_soup_server_poll(server, 0, 30 * SECOND);
	assert_int_equal(mdfh_soup_server_reason(server, 0), MDFH_SOUP_LOGIN_TIMEOUT);
	mdfh_soup_server_disconnected(server, 0);

	c = log_in(1, 0);
	for (int second = 1; second <= 14; second++) {
		mdfh_soup_server_poll(server, c, second * SECOND);
		expect_output(c, "\0\1H", 3, second * SECOND);
		mdfh_soup_server_poll(server, c, second * SECOND + SECOND / 2);
		expect_output(c, "", 0, 0);
	}
	mdfh_soup_server_poll(server, c, 15 * SECOND);
	assert_int_equal(mdfh_soup_server_reason(server, c), MDFH_SOUP_SILENT);
	mdfh_soup_server_disconnected(server, c);

	/* Messages stand for heartbeats, on both sides. */
	mdfh_soup_server_publish(server, 2);
	c = log_in(1, 0);
	soup_packet(&in, 'R', "", 0);
	arrive(c, MDFH_SOUP_ITEM_HEARTBEAT, SECOND / 2);
	mdfh_soup_server_poll(server, c, SECOND / 2);
	assert_int_equal(mdfh_soup_server_write(server, c, (const uint8_t *)"m", 1), 0);
	expect_output(c, "\0\2Sm", 4, SECOND / 2);
	mdfh_soup_server_poll(server, c, SECOND + SECOND / 2 - 1);
	expect_output(c, "", 0, 0);
	mdfh_soup_server_poll(server, c, 15 * SECOND);
	assert_int_equal(mdfh_soup_server_reason(server, c), MDFH_SOUP_NONE);
	mdfh_soup_server_disconnected(server, c);

	/* A clock that is set back by an hour: all is counted from there. */
	c = log_in(1, 3600 * SECOND);
	expect_output(c, "", 0, 0);
	mdfh_soup_server_poll(server, c, 5 * SECOND);
	expect_output(c, "", 0, 0);
	mdfh_soup_server_poll(server, c, 6 * SECOND);
	expect_output(c, "\0\1H", 3, 6 * SECOND);
	mdfh_soup_server_poll(server, c, 20 * SECOND);
	assert_int_equal(mdfh_soup_server_reason(server, c), MDFH_SOUP_SILENT);
	mdfh_soup_server_destroy(server);
}

static void test_end_and_logout(void **state)
{
	unsigned c;

	(void)state;
	make(2, 0);
	mdfh_soup_server_publish(server, 3);
	c = log_in(2, 0);
	mdfh_soup_server_end(server);
	mdfh_soup_server_publish(server, 9); /* too late */
	mdfh_soup_server_poll(server, c, 1);
	assert_int_equal(mdfh_soup_server_reason(server, c), MDFH_SOUP_NONE); /* 2 is missing */
	assert_int_equal(mdfh_soup_server_write(server, c, (const uint8_t *)"2", 1), 0);
	assert_int_equal(mdfh_soup_server_wanted(server, c), 0);
	mdfh_soup_server_poll(server, c, 2);
	assert_int_equal(mdfh_soup_server_reason(server, c), MDFH_SOUP_ENDED);
	expect_output(c, "\0\2S2\0\1Z", 7, 2);
	assert_int_equal(stats()->ends, 1);
	mdfh_soup_server_disconnected(server, c);
	assert_int_equal(stats()->reasons[MDFH_SOUP_LOST], 0);
	/* One that was away gets the rest. */
	c = log_in(3, 5);
	mdfh_soup_server_poll(server, c, 5);
	expect_output(c, "\0\1Z", 3, 5);
	mdfh_soup_server_disconnected(server, c);
	mdfh_soup_server_destroy(server);

	make(1, 0);
	mdfh_soup_server_publish(server, 3);
	c = log_in(1, 0);
	assert_int_equal(mdfh_soup_server_write(server, c, (const uint8_t *)"1", 1), 0);
	soup_packet(&in, 'O', "", 0);
	soup_packet(&in, 'U', "late", 4);
	arrive(c, MDFH_SOUP_ITEM_LOGOUT, 0);
	assert_int_equal(mdfh_soup_server_reason(server, c), MDFH_SOUP_LOGOUT);
	expect_output(c, "", 0, 0);
	assert_int_equal(stats()->unsequenced_received, 0);
	mdfh_soup_server_destroy(server);
}

static void test_every_cut(void **state)
{
	static struct soup_bytes stream;

	(void)state;
	stream.length = 0;
	soup_packet(&stream, '+', "text", 4);
	soup_login(&stream, "user", "secret", "DAY1", 1);
	soup_packet(&stream, 'R', "", 0);
	soup_packet(&stream, 'U', "one", 3);
	soup_packet(&stream, 'U', "", 0);
	soup_packet(&stream, 'O', "", 0);
	for (uint32_t cut = 0; cut <= stream.length; cut++) {
		char seen[16] = "";
		int n = 0;

		make(1, 0);
		assert_int_equal(mdfh_soup_server_connected(server, 0), 0);
		for (int part = 0; part < 2; part++) {
			struct mdfh_soup_item item;

			mdfh_soup_server_feed(server, 0, stream.data + (part ? cut : 0),
			    part ? stream.length - cut : cut, 0);
			while (mdfh_soup_server_next(server, 0, &item))
				seen[n++] = (char)('0' + item.kind);
		}
		assert_string_equal(seen, "734226");
		mdfh_soup_server_destroy(server);
	}
}

static void test_configuration(void **state)
{
	static const char *const sessions[] = {NULL, "", " A", "A ", "12345678901"};
	struct mdfh_soup_server_config config = {.size = sizeof(config)};

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		config.session = sessions[i];
		assert_int_equal(mdfh_soup_server_create(&config, &server), -EINVAL);
		assert_non_null(strstr(mdfh_error_text(), "session"));
	}
	config.session = "1234567890";
	config.password = "a long password";
	assert_int_equal(mdfh_soup_server_create(&config, &server), -EINVAL);
	assert_null(strstr(mdfh_error_text(), "a long password"));
	config.password = NULL;
	config.clients_max = 1025;
	assert_int_equal(mdfh_soup_server_create(&config, &server), -EINVAL);
	config.clients_max = 0;
	config.output_bytes = 100;
	assert_int_equal(mdfh_soup_server_create(&config, &server), -EINVAL);
	assert_null(server);
	config.output_bytes = 0;
	assert_int_equal(mdfh_soup_server_create(&config, &server), 0);
	/* Nobody is asked for a name here. */
	assert_int_equal(mdfh_soup_server_connected(server, 0), 0);
	soup_login(&in, "", "", "", 1);
	arrive(0, MDFH_SOUP_ITEM_LOGIN, 0);
	mdfh_soup_server_destroy(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_logins),
	    cmocka_unit_test(test_protocol_errors),
	    cmocka_unit_test(test_many_clients),
	    cmocka_unit_test(test_slow_reader),
	    cmocka_unit_test(test_timers),
	    cmocka_unit_test(test_end_and_logout),
	    cmocka_unit_test(test_every_cut),
	    cmocka_unit_test(test_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
