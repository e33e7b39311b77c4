/* test_tcp.c - the socket backend's TCP connection, against a server in the same thread: its bytes come once,
 * whole and in order, and are sent whole. Connections are in test_tcp_connections.c. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "net/tcp_test.h"

/* Bytes ---------------------------------------------------------------------- */

static void receives_bytes(const char *host, const char *interface)
{
	int listener, peer;
	struct mdfh_bypass *port = open_connected(
	    (struct mdfh_bypass_config){.host = host, .interface = interface}, &listener, &peer);
	const struct mdfh_bypass_capabilities *can = mdfh_bypass_capabilities(port);
	struct mdfh_packet packet;
	struct mdfh_bypass_stats stats;
	unsigned time_source;
	uint64_t hellos = 0;

	assert_int_equal(can->is_stream, 1);
	assert_int_equal(can->is_finite, 0);
	assert_int_equal(can->zero_copy, 0);
	assert_int_equal(can->can_send, 1);
	assert_int_equal(can->timestamps, MDFH_PLACE_KERNEL);
	assert_true(mdfh_bypass_local_port(port, 0) != 0);
	assert_string_equal(mdfh_bypass_name(port), "socket");
	/* The kernel begins to stamp a moment after it was asked for the first time. */
	do {
		server_write(peer, "hello", 5);
		hellos++;
		packet = server_next(port);
		assert_int_equal(packet.length, 5);
		assert_memory_equal(packet.data, "hello", 5);
		assert_true(packet.receive_ns != 0);
		time_source = packet.flags & MDFH_PACKET_TIME_MASK;
		mdfh_bypass_release(port, &packet, 1);
	} while (time_source == MDFH_PACKET_TIME_APP && hellos < 100000);
	assert_int_equal(time_source, MDFH_PACKET_TIME_KERNEL);
	/* The last bytes come before the mark of the end. */
	server_write(peer, "goodbye", 7);
	close(peer);
	server_expect_bytes(port, "goodbye", 7);
	server_expect_mark(port, MDFH_PACKET_DISCONNECTED);
	stats = stats_of(port);
	assert_int_equal(stats.rx_packets, hellos + 3);
	assert_int_equal(stats.rx_bytes, hellos * 5 + 7);
	assert_int_equal(stats.connects, 1);
	assert_int_equal(stats.disconnects, 1);
	assert_int_equal(stats.connect_failures, 0);
	assert_int_equal(stats.last_error, 0);
	assert_int_equal(mdfh_bypass_local_port(port, 0), 0);
	mdfh_bypass_close(port);
	close(listener);
}

static void receives_ipv4_and_ipv6(void **state)
{
	(void)state;
	receives_bytes("127.0.0.1", NULL);
	receives_bytes("::1", NULL);
	receives_bytes("127.0.0.1", "lo");
}

static void receives_whatever_the_borders(void **state)
{
	static uint8_t data[1 << 20];
	int listener, peer;
	struct mdfh_bypass *port = open_connected(
	    (struct mdfh_bypass_config){.frame_size = 256, .rx_ring_size = 64, .batch_size = 16},
	    &listener, &peer);
	size_t sent = 0, got = 0;
	int packets_max = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	for (size_t i = 0; i < 300; i++)
		server_write(peer, &data[i], 1);
	server_expect_bytes(port, data, 300);
	/* More than the receive buffer holds, so writing and reading take turns. */
	fcntl(peer, F_SETFL, O_NONBLOCK);
	while (got < sizeof(data)) {
		struct mdfh_packet packets[16];
		ssize_t n = send(peer, data + sent, sizeof(data) - sent, MSG_NOSIGNAL);
		int count;

		sent += n > 0 ? (size_t)n : 0;
		count = mdfh_bypass_recv_wait(port, packets, 16);
		assert_ok(count);
		packets_max = count > packets_max ? count : packets_max;
		for (int i = 0; i < count; i++) {
			assert_in_range(packets[i].length, 1, 256);
			/* Only the last of a batch is not full. */
			assert_true(i == count - 1 || packets[i].length == 256);
			assert_memory_equal(packets[i].data, data + got, packets[i].length);
			got += packets[i].length;
		}
		mdfh_bypass_release(port, packets, count);
	}
	assert_int_equal(packets_max, 16);
	assert_int_equal(stats_of(port).rx_bytes, sizeof(data) + 300);
	mdfh_bypass_close(port);
	close(peer);
	close(listener);
}

static void sets_the_options_of_the_connection(void **state)
{
	static const struct {
		int level, name, want;
	} cases[] = {
	    {IPPROTO_TCP, TCP_NODELAY, 1},
	    {SOL_SOCKET, SO_KEEPALIVE, 1},
	    {IPPROTO_TCP, TCP_KEEPIDLE, 6},
	    {IPPROTO_TCP, TCP_KEEPINTVL, 2},
	    {IPPROTO_TCP, TCP_KEEPCNT, 3},
	    {IPPROTO_TCP, TCP_USER_TIMEOUT, 12000},
	    {SOL_SOCKET, SO_RCVBUF, 131072},
	};
	int listener, peer;
	struct mdfh_bypass *port =
	    open_connected((struct mdfh_bypass_config){.receive_buffer_bytes = 65536,
			       .backend_options = "keepalive_s=6"},
		&listener, &peer);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int value = 0;
		socklen_t size = sizeof(value);

		assert_int_equal(
		    getsockopt(descriptor_of(port), cases[i].level, cases[i].name, &value, &size),
		    0);
		if (value != cases[i].want)
			fail_msg("option %zu is %d", i, value);
	}
	assert_int_equal(mdfh_bypass_capabilities(port)->receive_buffer_bytes, 65536);
	mdfh_bypass_close(port);
	close(peer);
	close(listener);
}

static void obeys_the_time_option(void **state)
{
	int listener, peer;
	struct mdfh_bypass *port = open_connected(
	    (struct mdfh_bypass_config){.timestamps = MDFH_TIMESTAMPS_OFF}, &listener, &peer);
	struct mdfh_packet packet;

	(void)state;
	server_write(peer, "x", 1);
	packet = server_next(port);
	assert_int_equal(packet.receive_ns, 0);
	assert_int_equal(packet.flags, MDFH_PACKET_STREAM);
	assert_int_equal(packet.time_error_ns, UINT32_MAX);
	close(peer);
	packet = server_next(port);
	assert_int_equal(packet.receive_ns, 0);
	assert_int_equal(packet.flags, MDFH_PACKET_STREAM | MDFH_PACKET_DISCONNECTED);
	mdfh_bypass_close(port);
	close(listener);
}

/* Sending --------------------------------------------------------------------------- */

static void sends_packets_whole(void **state)
{
	int listener, peer;
	struct mdfh_bypass *port = open_connected((struct mdfh_bypass_config){0}, &listener, &peer);
	struct mdfh_packet out[100];
	uint8_t data[100], got[5050];
	size_t bytes = 0;

	(void)state;
	memset(data, 'a', sizeof(data));
	for (uint32_t i = 0; i < 100; i++)
		out[i] = (struct mdfh_packet){
		    .data = data, .length = i, .flow = i % 2 ? 0 : MDFH_FLOW_NONE};
	assert_int_equal(mdfh_bypass_send(port, out, 100), 100);
	while (bytes < 4950) {
		ssize_t n = recv(peer, got, sizeof(got), 0);

		assert_true(n > 0);
		bytes += (size_t)n;
	}
	assert_int_equal(bytes, 4950);
	assert_int_equal(stats_of(port).tx_packets, 100);
	assert_int_equal(stats_of(port).tx_bytes, 4950);
	out[0].flow = 1;
	assert_int_equal(mdfh_bypass_send(port, out, 2), -EDESTADDRREQ);
	assert_error("socket: packet 0 is for flow 1; a connection has only flow 0");
	out[0].flow = 0;
	out[1].length = 65536;
	assert_int_equal(mdfh_bypass_send(port, out, 2), 1);
	assert_int_equal(mdfh_bypass_send(port, out + 1, 1), -EMSGSIZE);
	assert_int_equal(stats_of(port).tx_failed, 4);
	mdfh_bypass_close(port);
	close(peer);
	close(listener);
}

/* Fill the way to the peer. Returns how many packets of data were taken; the last may stand half
 * in the kernel and half in the port. */
static size_t fill_the_way(
    struct mdfh_bypass *port, const uint8_t *data, uint32_t length, size_t max)
{
	int bytes = 4096;
	size_t taken = 0;

	assert_int_equal(
	    setsockopt(descriptor_of(port), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
	for (int empty = 0; empty < 2 && taken < max;) {
		const struct mdfh_packet packet = {.data = data + taken * length, .length = length};
		int n = mdfh_bypass_send(port, &packet, 1);

		assert_ok(n);
		taken += (size_t)n;
		empty = n ? 0 : empty + 1;
	}
	assert_in_range(taken, 1, max - 1);
	return taken;
}

enum { LONG = 60000, LONGS = 100 };
static uint8_t long_data[(size_t)LONG * LONGS];

static void finishes_what_it_took_in_part(void **state)
{
	int listener, peer;
	struct mdfh_bypass *port = open_connected((struct mdfh_bypass_config){0}, &listener, &peer);
	const struct mdfh_packet last = {.data = (const uint8_t *)"end", .length = 3};
	uint64_t failed;
	size_t taken, got = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(long_data); i++)
		long_data[i] = (uint8_t)(i * 13 + i / 60000);
	taken = fill_the_way(port, long_data, LONG, LONGS);
	failed = stats_of(port).tx_failed;
	assert_true(failed >= 2);
	assert_int_equal(stats_of(port).tx_packets, taken);
	assert_int_equal(stats_of(port).tx_bytes, taken * LONG);
	/* What was taken arrives to its last byte, by nothing but recv. */
	fcntl(peer, F_SETFL, O_NONBLOCK);
	for (int looks = 0; got < taken * LONG; looks++) {
		uint8_t data[4096];
		struct mdfh_packet packet;
		ssize_t n = recv(peer, data, sizeof(data), 0);

		assert_in_range(looks, 0, 100000);
		if (n <= 0) {
			/* It wakes for room to send on. */
			assert_int_equal(mdfh_bypass_recv_wait(port, &packet, 1), 0);
			continue;
		}
		assert_memory_equal(data, long_data + got, (size_t)n);
		got += (size_t)n;
	}
	assert_int_equal(is_ready(port, 0), 0);
	assert_int_equal(mdfh_bypass_send(port, &last, 1), 1);
	fcntl(peer, F_SETFL, 0);
	{
		char text[8];

		assert_int_equal(recv(peer, text, sizeof(text), 0), 3);
		assert_memory_equal(text, "end", 3);
	}
	mdfh_bypass_close(port);
	close(peer);
	close(listener);
}

/* The rest of a packet belongs to its connection, and is gone with it. */
static void keeps_no_rest_for_the_next_connection(void **state)
{
	int listener, peer;
	struct mdfh_bypass *port =
	    open_connected((struct mdfh_bypass_config){.backend_options = QUICK}, &listener, &peer);
	const struct mdfh_packet first = {.data = (const uint8_t *)"fresh", .length = 5};
	char text[16];

	(void)state;
	for (int round = 0; round < 2; round++) {
		fill_the_way(port, long_data, LONG, LONGS);
		if (round)
			server_reset(peer);
		else
			close(peer);
		server_expect_mark(port, MDFH_PACKET_DISCONNECTED);
		assert_int_equal(mdfh_bypass_send(port, &first, 1), 0);
		server_expect_mark(port, MDFH_PACKET_CONNECTED);
		peer = server_accept(listener);
		assert_int_equal(mdfh_bypass_send(port, &first, 1), 1);
		assert_int_equal(recv(peer, text, sizeof(text), 0), 5);
		assert_memory_equal(text, "fresh", 5);
	}
	mdfh_bypass_close(port);
	close(peer);
	close(listener);
}

/* A send that fails does not take away what the server had sent before. */
static void reads_on_after_a_send_failed(void **state)
{
	int listener, peer;
	struct mdfh_bypass *port =
	    open_connected((struct mdfh_bypass_config){.backend_options = QUICK}, &listener, &peer);
	const struct mdfh_packet packet = {.data = (const uint8_t *)"x", .length = 1};

	(void)state;
	server_write(peer, "last words", 10);
	close(peer);
	/* The first meets a peer that has gone, and is answered by a reset; the second fails. */
	assert_int_equal(mdfh_bypass_send(port, &packet, 1), 1);
	for (int i = 0; i < 3; i++)
		(void)mdfh_bypass_send(port, &packet, 1);
	assert_true(stats_of(port).tx_failed > 0);
	server_expect_bytes(port, "last words", 10);
	server_expect_mark(port, MDFH_PACKET_DISCONNECTED);
	assert_true(stats_of(port).last_error == EPIPE || stats_of(port).last_error == ECONNRESET);
	server_expect_mark(port, MDFH_PACKET_CONNECTED);
	mdfh_bypass_close(port);
	close(listener);
}

static void sends_nothing_without_a_connection(void **state)
{
	struct mdfh_bypass *port = open_port(
	    (struct mdfh_bypass_config){.port = server_unused_port(), .backend_options = QUICK});
	const struct mdfh_packet packet = {.data = (const uint8_t *)"x", .length = 1};

	(void)state;
	assert_int_equal(mdfh_bypass_send(port, &packet, 1), 0);
	wait_for_failures(port, 2);
	assert_int_equal(mdfh_bypass_send(port, &packet, 1), 0);
	assert_int_equal(stats_of(port).tx_failed, 2);
	assert_int_equal(stats_of(port).tx_packets, 0);
	mdfh_bypass_close(port);
}

/* The hot path --------------------------------------------------------------------------- */

/* From now on this process may receive and end, and dies of any other system call. */
static int allow_only_receiving(void)
{
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_recvmsg, 1, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	const struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* Not _exit: the compiler knows that it does not return, and there AddressSanitizer makes a system
 * call of its own. */
static void end_process(int status)
{
	syscall(SYS_exit_group, status);
}

/* A child receives bytes with nothing but recvmsg; wrong = it makes one call more. Returns how it
 * ended. */
static int receive_under_a_filter(int wrong)
{
	enum { BYTES = 8 << 20, PIECE = 65536 };
	static uint8_t data[PIECE];
	const struct rlimit no_core = {0, 0};
	int listener, peer, status = 0;
	struct mdfh_bypass *port = open_connected((struct mdfh_bypass_config){0}, &listener, &peer);
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child) {
		struct mdfh_packet packets[64];

		setrlimit(RLIMIT_CORE, &no_core);
		if (allow_only_receiving())
			_exit(2);
		if (wrong)
			getppid();
		for (size_t got = 0; got < BYTES;) {
			int n = mdfh_bypass_recv(port, packets, 64);

			if (n < 0)
				end_process(3);
			for (int i = 0; i < n; i++)
				got += packets[i].length;
			mdfh_bypass_release(port, packets, n);
		}
		end_process(0);
	}
	/* The child has the only port, so that the peer learns of its end. */
	mdfh_bypass_close(port);
	for (size_t sent = 0; sent < BYTES;) {
		ssize_t n = send(peer, data, PIECE, MSG_NOSIGNAL);

		if (n < 0)
			break;
		sent += (size_t)n;
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	close(peer);
	close(listener);
	return status;
}

static void receives_with_one_system_call(void **state)
{
	int status = receive_under_a_filter(0);

	(void)state;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("status 0x%x", status);
	/* And the filter would have found another. */
	status = receive_under_a_filter(1);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

/* Refusals ----------------------------------------------------------------------------- */

static void refuses_what_it_cannot(void **state)
{
	static const struct mdfh_flow with_source = {
	    .group = "127.0.0.1", .source = "127.0.0.2", .port = 5};
	static const struct mdfh_flow two[] = {
	    {.group = "127.0.0.1", .port = 5}, {.group = "127.0.0.1", .port = 6}};
	static const struct {
		struct mdfh_bypass_config config;
		int error;
		const char *want;
	} cases[] = {
	    {{0}, -EINVAL, "socket: there is no flow; set host and port"},
	    {{.host = "127.0.0.1"}, -EINVAL, "config: port is 0 and transport is TCP"},
	    {{.port = 5}, -EINVAL, "config: host is not set and transport is TCP"},
	    {{.host = "239.1.1.1", .port = 5}, -EINVAL,
		"config: host is 239.1.1.1, a multicast group, and transport is TCP"},
	    {{.flows = two, .flow_count = 2}, -EINVAL,
		"config: flow_count is 2 and transport is TCP"},
	    {{.flows = &with_source, .flow_count = 1}, -EINVAL,
		"config: flows[0].source is 127.0.0.2 and transport is TCP"},
	    {{.host = "127.0.0.1", .port = 5, .direction = MDFH_DIRECTION_SEND}, -ENOTSUP,
		"socket: direction is send and transport is TCP"},
	    {{.host = "127.0.0.1", .port = 5, .require_zero_copy = MDFH_ON}, -ENOTSUP,
		"socket: require_zero_copy is on"},
	    {{.host = "127.0.0.1", .port = 5, .queue = 1}, -ENOTSUP, "socket: queue is 1"},
	    {{.host = "127.0.0.1", .port = 5, .interface = "nosuch0"}, -ENODEV,
		"socket: interface 'nosuch0'"},
	    {{.host = "fe80::1", .port = 5}, -EINVAL,
		"connect to fe80::1 port 5 (a link-local address needs interface)"},
	    {{.host = "127.0.0.1", .port = 5, .backend_options = "reconnect=1"}, -EINVAL,
		"has the key 'reconnect', which the backend socket does not know"},
	    {{.host = "127.0.0.1", .port = 5, .backend_options = "reconnect_min_ms=0"}, -EINVAL,
		"reconnect_min_ms=0; it must be from 1 to 600000"},
	    {{.host = "127.0.0.1", .port = 5, .backend_options = "connect_timeout_ms=x"}, -EINVAL,
		"connect_timeout_ms=x; it must be from 1 to 600000"},
	    {{.host = "127.0.0.1", .port = 5, .backend_options = "reconnect_min_ms=6000"}, -EINVAL,
		"reconnect_min_ms=6000 and reconnect_max_ms is 5000; the first pause must not"},
	    {{.host = "127.0.0.1", .port = 5, .backend_options = "keepalive_s=7201"}, -EINVAL,
		"keepalive_s=7201; it must be from 1 to 7200"},
	};
	int before = count_descriptors();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mdfh_bypass_config config = cases[i].config;
		struct mdfh_bypass *port;
		int rc;

		config.size = sizeof(config);
		config.transport = MDFH_TRANSPORT_TCP;
		rc = mdfh_bypass_open(&config, &port);
		if (rc != cases[i].error)
			fail_msg("case %zu: %d, %s", i, rc, mdfh_error_text());
		assert_error(cases[i].want);
		assert_null(port);
	}
	assert_int_equal(count_descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(receives_ipv4_and_ipv6),
	    cmocka_unit_test(receives_whatever_the_borders),
	    cmocka_unit_test(sets_the_options_of_the_connection),
	    cmocka_unit_test(obeys_the_time_option),
	    cmocka_unit_test(sends_packets_whole),
	    cmocka_unit_test(finishes_what_it_took_in_part),
	    cmocka_unit_test(keeps_no_rest_for_the_next_connection),
	    cmocka_unit_test(reads_on_after_a_send_failed),
	    cmocka_unit_test(sends_nothing_without_a_connection),
	    cmocka_unit_test(receives_with_one_system_call),
	    cmocka_unit_test(refuses_what_it_cannot),
	};

	if (test_enter_namespace()) {
		fprintf(stderr, "skipped: no network namespace without privilege here\n");
		return TEST_SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
