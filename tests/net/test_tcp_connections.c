/* test_tcp_connections.c - the socket backend's TCP connections, against a server in the same thread: they begin
 * and end with marks; what goes wrong is counted, and mended after a pause. */
#include <fcntl.h>

#include "net/tcp_test.h"

/* Connections ------------------------------------------------------------------ */

static void finds_a_server_that_comes_later(void **state)
{
	uint16_t number = server_unused_port();
	struct mdfh_bypass *port =
	    open_port((struct mdfh_bypass_config){.port = number, .backend_options = QUICK});
	int listener, peer;

	(void)state;
	wait_for_failures(port, 3);
	assert_int_equal(stats_of(port).last_error, ECONNREFUSED);
	assert_int_equal(stats_of(port).connects, 0);
	assert_non_null(
	    strstr(mdfh_bypass_capabilities(port)->warning, "no connection to 127.0.0.1 port "));
	assert_non_null(strstr(mdfh_bypass_capabilities(port)->warning, "Connection refused"));
	listener = server_listen("127.0.0.1", &number, 8);
	server_expect_mark(port, MDFH_PACKET_CONNECTED);
	assert_int_equal(stats_of(port).connects, 1);
	assert_null(strstr(mdfh_bypass_capabilities(port)->warning, "no connection"));
	peer = server_accept(listener);
	server_write(peer, "here", 4);
	server_expect_bytes(port, "here", 4);
	mdfh_bypass_close(port);
	close(peer);
	close(listener);
}

static void connects_again(void **state)
{
	int listener, peer;
	struct mdfh_bypass *port =
	    open_connected((struct mdfh_bypass_config){.backend_options = QUICK}, &listener, &peer);
	struct mdfh_bypass_stats stats;

	(void)state;
	for (int round = 0; round < 20; round++) {
		uint8_t data[2] = {(uint8_t)round, 1};

		server_write(peer, data, 2);
		server_expect_bytes(port, data, 2);
		/* In order and by a reset, in turn. */
		if (round % 2)
			server_reset(peer);
		else
			close(peer);
		server_expect_mark(port, MDFH_PACKET_DISCONNECTED);
		assert_int_equal(stats_of(port).last_error, round % 2 ? ECONNRESET : 0);
		server_expect_mark(port, MDFH_PACKET_CONNECTED);
		peer = server_accept(listener);
	}
	stats = stats_of(port);
	assert_int_equal(stats.connects, 21);
	assert_int_equal(stats.disconnects, 20);
	assert_int_equal(stats.connect_failures, 0);
	assert_int_equal(stats.rx_bytes, 40);
	mdfh_bypass_close(port);
	close(peer);
	close(listener);
}

static void gives_up_a_connect_that_hangs(void **state)
{
	struct sockaddr_storage address;
	uint16_t number = 0;
	/* A queue of one that is full: the kernel lets further requests go unanswered. */
	int listener = server_listen("127.0.0.1", &number, 0), others[4], waiting;
	socklen_t size = server_address("127.0.0.1", number, &address);
	struct mdfh_bypass *port;

	(void)state;
	for (waiting = 0; waiting < 4; waiting++) {
		others[waiting] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(others[waiting], (struct sockaddr *)&address, size);
	}
	port = open_port((struct mdfh_bypass_config){
	    .port = number, .backend_options = QUICK ",connect_timeout_ms=30"});
	wait_for_failures(port, 2);
	assert_int_equal(stats_of(port).last_error, ETIMEDOUT);
	assert_int_equal(stats_of(port).connects, 0);
	mdfh_bypass_close(port);
	while (waiting)
		close(others[--waiting]);
	close(listener);
}

static void counts_hosts_that_cannot_be_reached(void **state)
{
	struct mdfh_bypass *port;

	(void)state;
	/* NOLINTNEXTLINE(cert-env33-c): a fixed command of the test */
	assert_int_equal(system("ip route add unreachable 198.51.100.0/24"), 0);
	port = open_port((struct mdfh_bypass_config){
	    .host = "198.51.100.1", .port = 5, .backend_options = QUICK});
	wait_for_failures(port, 3);
	assert_int_equal(stats_of(port).last_error, EHOSTUNREACH);
	assert_non_null(strstr(mdfh_bypass_capabilities(port)->warning, "No route to host"));
	mdfh_bypass_close(port);
	port = open_port((struct mdfh_bypass_config){
	    .host = "203.0.113.1", .port = 5, .backend_options = QUICK});
	wait_for_failures(port, 3);
	assert_int_equal(stats_of(port).last_error, ENETUNREACH);
	mdfh_bypass_close(port);
}

/* Where nobody listens, a client's own port may be chosen to be the one that it connects to, and
 * TCP then connects it to itself. */
static void is_not_its_own_server(void **state)
{
	static const char path[] = "/proc/sys/net/ipv4/ip_local_port_range";
	struct sockaddr_storage address;
	socklen_t size = server_address("127.0.0.1", 45000, &address);
	struct mdfh_bypass *port;
	char before[64] = "";
	int fd = open(path, O_RDWR | O_CLOEXEC), one;

	(void)state;
	if (fd < 0) {
		print_message("not run: %s cannot be written here\n", path);
		skip();
	}
	assert_true(read(fd, before, sizeof(before) - 1) > 0);
	assert_true(pwrite(fd, "45000 45000", 11, 0) > 0);
	one = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(one, (struct sockaddr *)&address, size))
		fail_msg("this kernel does not connect a socket to itself: %s", strerror(errno));
	server_reset(one);
	port = open_port((struct mdfh_bypass_config){.port = 45000, .backend_options = QUICK});
	wait_for_failures(port, 5);
	assert_int_equal(stats_of(port).connects, 0);
	assert_int_equal(stats_of(port).last_error, ECONNREFUSED);
	mdfh_bypass_close(port);
	assert_true(pwrite(fd, before, strlen(before), 0) > 0);
	close(fd);
}

static void connects_anew_when_told(void **state)
{
	int listener, peer;
	struct mdfh_bypass *port =
	    open_connected((struct mdfh_bypass_config){.backend_options = QUICK}, &listener, &peer);
	uint64_t before;
	char byte;

	(void)state;
	before = server_now_ns();
	assert_ok(mdfh_bypass_reconnect(port, 50000000));
	assert_int_equal(recv(peer, &byte, 1, 0), 0);
	close(peer);
	assert_int_equal(is_ready(port, 0), 1);
	server_expect_mark(port, MDFH_PACKET_DISCONNECTED);
	/* Until the pause is over, which on a busy machine it may be by now. */
	assert_true(!is_ready(port, 0) || server_now_ns() - before >= 50000000);
	assert_int_equal(stats_of(port).last_error, ECONNABORTED);
	server_expect_mark(port, MDFH_PACKET_CONNECTED);
	assert_true(server_now_ns() - before >= 50000000);
	peer = server_accept(listener);
	server_write(peer, "x", 1);
	server_expect_bytes(port, "x", 1);
	assert_int_equal(stats_of(port).disconnects, 1);

	/* While waiting: only later, and never sooner. */
	close(peer);
	server_expect_mark(port, MDFH_PACKET_DISCONNECTED);
	before = server_now_ns();
	assert_ok(mdfh_bypass_reconnect(port, 50000000));
	assert_ok(mdfh_bypass_reconnect(port, 0));
	server_expect_mark(port, MDFH_PACKET_CONNECTED);
	assert_true(server_now_ns() - before >= 50000000);
	mdfh_bypass_close(port);
	close(listener);
}

/* Pauses ------------------------------------------------------------------------- */

/* The shortest that may follow so many failures in a row: half of 16 ms, doubled up to 80. */
static uint64_t least_pause_ns(uint64_t failures)
{
	uint64_t ms = UINT64_C(16) << (failures < 4 ? failures - 1 : 3);

	return (ms < 80 ? ms : 80) * 500000;
}

static void pauses_longer_each_time(void **state)
{
	struct mdfh_bypass *port =
	    open_port((struct mdfh_bypass_config){.port = server_unused_port(),
		.backend_options = "reconnect_min_ms=16,reconnect_max_ms=80,reconnect_seed=7"});
	struct pollfd ready = {.fd = mdfh_bypass_capabilities(port)->poll_fd, .events = POLLIN};
	struct mdfh_packet packet;
	uint64_t last = 0, failures = 0;

	(void)state;
	/* Only what the descriptor wakes for, so that a wait without an end would be found, and one
	 * that goes on doubling: it would come to a minute. */
	for (int wakes = 0; failures < 14; wakes++) {
		/* A pause begins after this, however late it is looked at. */
		uint64_t before = server_now_ns();

		assert_in_range(wakes, 0, 60);
		assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 0);
		if (stats_of(port).connect_failures > failures) {
			if (failures)
				assert_true(server_now_ns() - last >= least_pause_ns(failures));
			last = before;
			failures++;
			/* Nothing to do before the pause is over. */
			assert_true(!poll(&ready, 1, 0) ||
				    server_now_ns() - last >= least_pause_ns(failures));
		}
		assert_int_equal(poll(&ready, 1, 20000), 1);
	}
	mdfh_bypass_close(port);
}

/* A server that takes connections only to drop them is not hammered; one that was of use is come
 * back to at once. */
static void pauses_until_a_connection_was_of_use(void **state)
{
	int listener, peer;
	struct mdfh_bypass *port = open_connected(
	    (struct mdfh_bypass_config){.backend_options = "reconnect_min_ms=1,reconnect_max_ms="
							   "600000,reconnect_seed=3"},
	    &listener, &peer);
	uint64_t before, took = UINT64_MAX;

	(void)state;
	for (uint64_t pause_ms = 1; pause_ms <= 512; pause_ms *= 2) {
		before = server_now_ns();
		close(peer);
		server_expect_mark(port, MDFH_PACKET_DISCONNECTED);
		server_expect_mark(port, MDFH_PACKET_CONNECTED);
		assert_true(server_now_ns() - before >= pause_ms * 500000);
		peer = server_accept(listener);
	}
	/* The next pause would be of 512 ms at least. Where the machine stands still for as long, it is
	 * tried again. */
	for (int tries = 0; tries < 20 && took >= 500000000; tries++) {
		server_write(peer, "x", 1);
		server_expect_bytes(port, "x", 1);
		before = server_now_ns();
		close(peer);
		server_expect_mark(port, MDFH_PACKET_DISCONNECTED);
		server_expect_mark(port, MDFH_PACKET_CONNECTED);
		took = server_now_ns() - before;
		peer = server_accept(listener);
	}
	assert_true(took < 500000000);
	mdfh_bypass_close(port);
	close(peer);
	close(listener);
}

/* Waiting -------------------------------------------------------------------------- */

static void wakes_for_what_there_is_to_do(void **state)
{
	uint16_t number = 0;
	int listener = server_listen("127.0.0.1", &number, 8), peer;
	struct mdfh_bypass *port =
	    open_port((struct mdfh_bypass_config){.port = number, .backend_options = QUICK});
	struct mdfh_packet packet;

	(void)state;
	for (int round = 0; round < 3; round++) {
		/* Connecting, it has no port that is known. */
		assert_int_equal(mdfh_bypass_local_port(port, 0), 0);
		/* The connection is complete. */
		assert_int_equal(is_ready(port, 10000), 1);
		assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
		assert_true(packet.flags & MDFH_PACKET_CONNECTED);
		assert_true(mdfh_bypass_local_port(port, 0) != 0 &&
			    mdfh_bypass_local_port(port, 0) != number);
		/* Nothing comes, and nothing wakes. */
		assert_int_equal(is_ready(port, 20), 0);
		peer = server_accept(listener);
		server_write(peer, "x", 1);
		assert_int_equal(is_ready(port, 10000), 1);
		server_expect_bytes(port, "x", 1);
		assert_int_equal(is_ready(port, 0), 0);
		/* The end, then the time of the next attempt. */
		close(peer);
		assert_int_equal(is_ready(port, 10000), 1);
		assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
		assert_true(packet.flags & MDFH_PACKET_DISCONNECTED);
		assert_int_equal(is_ready(port, 10000), 1);
		assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 0);
	}
	mdfh_bypass_close(port);
	close(listener);
}

static void leaves_no_descriptor_open(void **state)
{
	uint16_t number = 0, nobody = server_unused_port();
	int listener = server_listen("127.0.0.1", &number, 64), peer, before = count_descriptors();

	(void)state;
	/* Connecting, connected, waiting, and with packets held. */
	for (int i = 0; i < 20; i++) {
		struct mdfh_bypass *port = open_port((struct mdfh_bypass_config){
		    .port = i % 4 == 3 ? nobody : number, .backend_options = QUICK});

		if (i % 4 == 3) {
			wait_for_failures(port, 2);
		} else {
			peer = server_accept(listener);
			if (i % 4) {
				server_expect_mark(port, MDFH_PACKET_CONNECTED);
				server_write(peer, "x", 1);
				server_next(port);
			}
			close(peer);
		}
		mdfh_bypass_close(port);
	}
	assert_int_equal(count_descriptors(), before);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(finds_a_server_that_comes_later),
	    cmocka_unit_test(connects_again),
	    cmocka_unit_test(gives_up_a_connect_that_hangs),
	    cmocka_unit_test(counts_hosts_that_cannot_be_reached),
	    cmocka_unit_test(is_not_its_own_server),
	    cmocka_unit_test(connects_anew_when_told),
	    cmocka_unit_test(pauses_longer_each_time),
	    cmocka_unit_test(pauses_until_a_connection_was_of_use),
	    cmocka_unit_test(wakes_for_what_there_is_to_do),
	    cmocka_unit_test(leaves_no_descriptor_open),
	};

	if (test_enter_namespace()) {
		fprintf(stderr, "skipped: no network namespace without privilege here\n");
		return TEST_SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
