/* test_soup_line.c - a line over SoupBinTCP on a port made here: when it logs in, what it asks for,
 * when it has the port connect anew, when it gives up; and what becomes of passwords. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "handler/soup_line.h"
#include "mdfh/backend.h"
#include "mdfh/error.h"

#define SECOND 1000000000ll

static struct {
	struct mdfh_bypass base;
	uint8_t sent[1000];
	uint32_t sent_length;
	int takes; /* whether send takes anything */
	int reconnects;
	uint64_t pause_ns;
} port;

static int fake_send(struct mdfh_bypass *base, const struct mdfh_packet *packets, int n)
{
	(void)base;
	if (!port.takes)
		return 0;
	for (int i = 0; i < n; i++) {
		memcpy(port.sent + port.sent_length, packets[i].data, packets[i].length);
		port.sent_length += packets[i].length;
	}
	return n;
}

static int fake_reconnect(struct mdfh_bypass *base, uint64_t pause_ns)
{
	(void)base;
	port.reconnects++;
	port.pause_ns = pause_ns;
	return 0;
}

static const struct mdfh_bypass_ops fake_ops = {
    .size = sizeof(fake_ops),
    .name = "fake",
    .reconnect = fake_reconnect,
};

static struct mdfh_soup_line *line;

static int make(struct mdfh_line_config *config, struct mdfh_handler_channel_config *channel)
{
	static char server[] = "127.0.0.1:9000";

	memset(&port, 0, sizeof(port));
	port.base.ops = &fake_ops;
	port.base.send = fake_send;
	port.takes = 1;
	config->server = server;
	return mdfh_soup_line_create(config, channel, "feed line A", 2048, &line);
}

static void mark(unsigned flag, uint64_t channel_next, int64_t now)
{
	struct mdfh_packet packet = {.flags = (uint16_t)(MDFH_PACKET_STREAM | flag)};

	mdfh_soup_line_packet(line, &packet, channel_next, now);
}

static unsigned bytes(const char *data, uint32_t length, int64_t now)
{
	struct mdfh_packet packet = {
	    .data = (const uint8_t *)data, .length = length, .flags = MDFH_PACKET_STREAM};
	struct mdfh_unit unit;
	unsigned units = 0;

	mdfh_soup_line_packet(line, &packet, 0, now);
	while (mdfh_soup_line_next(line, &unit))
		units++;
	return units;
}

static void expect_sent(const char *text, uint32_t length)
{
	assert_int_equal(port.sent_length, length);
	assert_memory_equal(port.sent, text, length);
	port.sent_length = 0;
}

#define ACCEPT(number) "\0\37A      DAY1                 " number

static void test_login_and_resumption(void **state)
{
	char username[] = "bob", password[] = "secret";
	struct mdfh_line_config config = {.username = username, .password = password};
	struct mdfh_handler_channel_config channel = {.lines_count = 1};

	(void)state;
	assert_int_equal(make(&config, &channel), 0);
	assert_int_equal(mdfh_soup_line_poll(line, &port.base, 0), 0);
	assert_int_equal(port.sent_length, 0);
	mark(MDFH_PACKET_CONNECTED, 0, 0);
	port.takes = 0; /* nothing is taken now: it is offered again */
	assert_int_equal(mdfh_soup_line_poll(line, &port.base, 0), 0);
	port.takes = 1;
	assert_int_equal(mdfh_soup_line_poll(line, &port.base, 0), 0);
	expect_sent("\0\57L"
		    "bob   "
		    "secret    "
		    "          "
		    "                   1",
	    49);
	assert_int_equal(bytes(ACCEPT("  1"), 33, 0), 1);
	assert_int_equal(bytes("\0\2S1\0\2S2", 8, 0), 1);
	assert_int_equal(mdfh_soup_line_poll(line, &port.base, SECOND), 0);
	expect_sent("\0\1R", 3);
	/* The connection goes; the channel has got further by another line. */
	mark(MDFH_PACKET_DISCONNECTED, 3, SECOND);
	assert_int_equal(mdfh_soup_line_poll(line, &port.base, SECOND), 0);
	assert_int_equal(port.reconnects, 0); /* the port does that by itself */
	mark(MDFH_PACKET_CONNECTED, 40, SECOND);
	assert_int_equal(mdfh_soup_line_poll(line, &port.base, SECOND), 0);
	expect_sent("\0\57L"
		    "bob   "
		    "secret    "
		    "      DAY1"
		    "                  40",
	    49);
	mdfh_soup_line_logout(line, &port.base);
	assert_int_equal(port.sent_length, 0); /* it is not in */
	assert_int_equal(bytes(ACCEPT(" 40"), 33, SECOND), 1);
	mdfh_soup_line_logout(line, &port.base);
	expect_sent("\0\1O", 3);
	mdfh_soup_line_destroy(line);
}

static void test_silence(void **state)
{
	struct mdfh_line_config config = {0};
	struct mdfh_handler_channel_config channel = {.first_sequence = 7};

	(void)state;
	assert_int_equal(make(&config, &channel), 0);
	mark(MDFH_PACKET_CONNECTED, 0, 0);
	assert_int_equal(mdfh_soup_line_poll(line, &port.base, 0), 0);
	expect_sent("\0\57L"
		    "      "
		    "          "
		    "          "
		    "                   7",
	    49);
	assert_int_equal(bytes(ACCEPT("  7"), 33, 0), 1);
	assert_int_equal(mdfh_soup_line_poll(line, &port.base, 15 * SECOND), 0);
	assert_int_equal(port.reconnects, 1);
	assert_int_equal(port.pause_ns, 0);
	/* Once, and what still comes of the old connection counts for nothing. */
	assert_int_equal(mdfh_soup_line_poll(line, &port.base, 16 * SECOND), 0);
	assert_int_equal(port.reconnects, 1);
	assert_int_equal(bytes("\0\2S1", 4, 16 * SECOND), 0);
	mark(MDFH_PACKET_DISCONNECTED, 7, 16 * SECOND);
	mark(MDFH_PACKET_CONNECTED, 7, 17 * SECOND);
	assert_int_equal(mdfh_soup_line_poll(line, &port.base, 17 * SECOND), 0);
	assert_int_equal(mdfh_soup_line_stats(line)->logins, 2);
	/* It takes the login and says nothing: now there is a pause. */
	assert_int_equal(mdfh_soup_line_poll(line, &port.base, 32 * SECOND), 0);
	assert_int_equal(port.reconnects, 2);
	assert_int_equal(port.pause_ns, 2 * SECOND);
	mdfh_soup_line_destroy(line);
}

static void test_refusals(void **state)
{
	char username[] = "bob", session[] = "DAY9";
	struct mdfh_line_config config = {.username = username};
	struct mdfh_handler_channel_config channel = {
	    .session_id = session, .join_newest = MDFH_ON};

	(void)state;
	assert_int_equal(make(&config, &channel), 0);
	mark(MDFH_PACKET_CONNECTED, 0, 0);
	assert_int_equal(mdfh_soup_line_poll(line, &port.base, 0), 0);
	expect_sent("\0\57L"
		    "bob   "
		    "          "
		    "      DAY9"
		    "                   0",
	    49);
	assert_int_equal(bytes("\0\2JS", 4, 0), 0);
	assert_int_equal(mdfh_soup_line_poll(line, &port.base, 0), 0);
	assert_int_equal(port.reconnects, 1);
	assert_int_equal(port.pause_ns, SECOND);
	mark(MDFH_PACKET_DISCONNECTED, 0, 0);
	mark(MDFH_PACKET_CONNECTED, 0, SECOND);
	assert_int_equal(bytes("\0\2JA", 4, SECOND), 0);
	assert_int_equal(mdfh_soup_line_poll(line, &port.base, SECOND), -EACCES);
	assert_non_null(
	    strstr(mdfh_error_text(), "feed line A: login refused: not authorized (A)"));
	assert_non_null(strstr(mdfh_error_text(), "'bob'"));
	assert_true(port.pause_ns == UINT64_MAX);
	mdfh_soup_line_destroy(line);

	/* The end of a session that was asked for by name is the end of the line, and no failure. */
	assert_int_equal(make(&config, &channel), 0);
	mark(MDFH_PACKET_CONNECTED, 0, 0);
	assert_int_equal(bytes("\0\37A      DAY9                   1\0\1Z", 36, 0), 2);
	assert_int_equal(mdfh_soup_line_poll(line, &port.base, 0), 0);
	mark(MDFH_PACKET_DISCONNECTED, 1, 0);
	assert_int_equal(mdfh_soup_line_poll(line, &port.base, 0), -ENODATA);
	mdfh_soup_line_destroy(line);
}

static int with_file(const char *content, size_t length)
{
	char path[] = "/tmp/mdfh-password-XXXXXX", username[] = "bob";
	struct mdfh_line_config config = {.username = username, .password_file = path};
	struct mdfh_handler_channel_config channel = {0};
	int fd = mkstemp(path);
	int err;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, length), (ssize_t)length);
	close(fd);
	err = make(&config, &channel);
	unlink(path);
	return err;
}

static void test_password_files(void **state)
{
	char password[] = "secret", none[] = "/nonexistent/password";
	struct mdfh_line_config config = {.password = password, .password_file = none};
	struct mdfh_handler_channel_config channel = {0};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		static const char *const contents[] = {"secret", "secret\n", "secret\r\nmore\n"};

		assert_int_equal(with_file(contents[i], strlen(contents[i])), 0);
		mark(MDFH_PACKET_CONNECTED, 0, 0);
		assert_int_equal(mdfh_soup_line_poll(line, &port.base, 0), 0);
		expect_sent("\0\57L"
			    "bob   "
			    "secret    "
			    "          "
			    "                   1",
		    49);
		mdfh_soup_line_destroy(line);
	}
	assert_int_equal(with_file("", 0), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "is empty"));
	assert_int_equal(with_file("much too long a secret\n", 23), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "at most 10"));
	assert_null(strstr(mdfh_error_text(), "much"));
	assert_int_equal(make(&config, &channel), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "password_file are both given"));
	config.password = NULL;
	assert_int_equal(make(&config, &channel), -ENOENT);
	assert_non_null(strstr(mdfh_error_text(), none));
	assert_null(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_login_and_resumption),
	    cmocka_unit_test(test_silence),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_password_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
