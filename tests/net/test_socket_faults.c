/* test_socket_faults.c - make the 1st, 2nd, 3rd ... system call or allocation of open fail, until
 * none is left to fail: each time open reports it and leaves nothing behind. And the same for what
 * a TCP port does when its connection is gone: each time it mends it.
 */
#include <errno.h>

#include "fault/faults.h"
#include "net/tcp_server.h"

static int open_port(void *context, void **opened)
{
	return mdfh_bypass_open(context, (struct mdfh_bypass **)opened);
}

static void close_port(void *opened)
{
	mdfh_bypass_close(opened);
}

/* Returns how many calls could be made to fail. spared: calls that open can do without. */
static int fail_each(const struct mdfh_bypass_config *config, const char *spared)
{
	const struct faults_case c = {.name = config->host ? config->host : "flows",
	    .open = open_port,
	    .close = close_port,
	    .context = (void *)(uintptr_t)config,
	    .spared = spared,
	    .least = 9};

	return faults_each(&c);
}

/* The receive buffer's size by privilege and busy polling, hugepages, the interface's node, whether
 * it is up, for a warning; IPv6 of a socket for any address. */
#define FALLBACKS " setsockopt mmap64 madvise fopen64 socket "

static void fails_with_one_flow(void **state)
{
	(void)state;
	fail_each(&(const struct mdfh_bypass_config){.size = sizeof(struct mdfh_bypass_config),
		      .host = "127.0.0.1"},
	    FALLBACKS);
}

static void fails_with_trains(void **state)
{
	(void)state;
	fail_each(&(const struct mdfh_bypass_config){.size = sizeof(struct mdfh_bypass_config),
		      .host = "127.0.0.1",
		      .backend_options = "gro=on"},
	    FALLBACKS);
}

static void fails_with_groups_and_sources(void **state)
{
	static const struct mdfh_flow flows[] = {
	    {.group = "239.1.1.1", .source = "127.0.0.2", .port = 5000},
	    {.group = "239.1.1.1", .port = 5000},
	    {.group = "127.0.0.1", .source = "127.0.0.2", .port = 5001},
	    {.group = "::1", .source = "::1", .port = 5002},
	    {.group = "::1", .port = 5002},
	    {.port = 5003},
	};

	(void)state;
	/* Six flows, about ten calls each. */
	assert_true(
	    fail_each(&(const struct mdfh_bypass_config){.size = sizeof(struct mdfh_bypass_config),
			  .interface = "lo",
			  .flows = flows,
			  .flow_count = 6},
		FALLBACKS) > 60);
}

static void fails_with_tcp(void **state)
{
	uint16_t number = 0;
	int listener = server_listen("127.0.0.1", &number, 1000);

	(void)state;
	/* Whatever ends the first attempt is no failure of open: connect, its epoll, its
	 * timer; nor that the interface cannot be looked at. */
	fail_each(&(const struct mdfh_bypass_config){.size = sizeof(struct mdfh_bypass_config),
		      .transport = MDFH_TRANSPORT_TCP,
		      .interface = "lo",
		      .host = "127.0.0.1",
		      .port = number,
		      .busy_poll_us = 20},
	    FALLBACKS " connect epoll_ctl timerfd_settime getsockopt ");
	close(listener);
}

/* Look until the mark has come; returns 0 when it does not. */
static int see_mark(struct mdfh_bypass *port, unsigned mark)
{
	struct mdfh_packet packet;

	for (int i = 0; i < SERVER_LOOKS; i++) {
		int n = mdfh_bypass_recv_wait(port, &packet, 1);

		if (n < 0)
			return 0;
		if (n && packet.flags & mark)
			return 1;
	}
	return 0;
}

/* Where the connection is gone, every call on the way to the next made to fail in turn: that costs
 * an attempt at most, and nothing is left behind. */
static void mends_tcp_whatever_fails(void **state)
{
	struct mdfh_bypass_config config = {.size = sizeof(config),
	    .transport = MDFH_TRANSPORT_TCP,
	    .interface = "lo",
	    .host = "127.0.0.1",
	    .busy_poll_us = 20,
	    .poll_timeout_us = 2000,
	    .backend_options = "reconnect_min_ms=1,reconnect_max_ms=2"};
	int listener = server_listen("127.0.0.1", &config.port, 8), nth, failed = 0;

	(void)state;
	for (nth = 1; nth < 1000; nth++) {
		struct mdfh_bypass_stats stats;
		struct mdfh_bypass *port;
		const char *left;
		int peer, fired;
		char byte;

		faults_mark();
		assert_ok(mdfh_bypass_open(&config, &port));
		peer = server_accept(listener);
		server_expect_mark(port, MDFH_PACKET_CONNECTED);
		close(peer);

		faults_arm(nth);
		if (!see_mark(port, MDFH_PACKET_DISCONNECTED) ||
		    !see_mark(port, MDFH_PACKET_CONNECTED)) {
			faults_arm(0);
			fail_msg("call %d failed, and no connection came again", nth);
		}
		faults_arm(0);
		fired = faults_fired() != NULL;
		/* Which is done once, at open, to see whether the kernel stamps. */
		if (fired)
			assert_string_not_equal(faults_fired(), "bind");

		do /* attempts that failed may have left connections behind that are closed */
			peer = server_accept(listener);
		while (recv(peer, &byte, 1, MSG_DONTWAIT) == 0 && !close(peer));
		server_write(peer, "mended", 6);
		server_expect_bytes(port, "mended", 6);
		assert_ok(mdfh_bypass_stats(port, &stats));
		assert_int_equal(stats.connects, 2);
		assert_int_equal(stats.disconnects, 1);
		assert_in_range(stats.connect_failures, 0, 1);
		failed += (int)stats.connect_failures;
		close(peer);
		mdfh_bypass_close(port);
		left = faults_left();
		if (left)
			fail_msg("call %d: left behind: %s", nth, left);
		if (!fired)
			break;
	}
	/* A socket, its options, connecting, and what says that it is connected. */
	assert_in_range(nth, 15, 999);
	assert_in_range(failed, 12, nth);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fails_with_one_flow),
	    cmocka_unit_test(fails_with_trains),
	    cmocka_unit_test(fails_with_groups_and_sources),
	    cmocka_unit_test(fails_with_tcp),
	    cmocka_unit_test(mends_tcp_whatever_fails),
	};

	if (test_enter_namespace()) {
		fprintf(stderr, "skipped: no network namespace without privilege here\n");
		return TEST_SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
