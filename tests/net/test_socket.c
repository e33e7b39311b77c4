/* test_socket.c - backends over kernel sockets, over unicast loopback: what is sent arrives, on the
 * right flow, once; what cannot is counted, and the counts balance. */
#include <errno.h>
#include <netinet/in.h>
#include <time.h>

#include "mdfh/backend.h"
#include "mdfh/clock.h"
#include "net/udp_test.h"

/* Receiving ---------------------------------------------------------------- */

static void receives_what_was_sent(const char *address)
{
	struct mdfh_bypass *port = open_port((struct mdfh_bypass_config){.host = address});
	int fd = open_sender(address);
	uint16_t number = mdfh_bypass_local_port(port, 0);
	struct mdfh_packet packets[100];
	struct mdfh_bypass_stats stats;
	uint64_t before = mdfh_clock_now_ns(), bytes = 0;

	assert_int_not_equal(number, 0);
	assert_int_equal(mdfh_bypass_local_port(port, 1), 0);
	for (uint32_t i = 0; i < 100; i++) {
		uint8_t data[200];

		memset(data, (int)i, sizeof(data));
		send_to(fd, address, number, data, i + 1);
		bytes += i + 1;
	}
	receive(port, packets, 100);
	for (uint32_t i = 0; i < 100; i++) {
		const struct mdfh_packet *p = &packets[i];

		assert_int_equal(p->length, i + 1);
		for (uint32_t k = 0; k < p->length; k++)
			assert_int_equal(p->data[k], i);
		assert_int_equal(p->flow, 0);
		assert_int_equal(p->flags & ~MDFH_PACKET_CLOCK_SYNC, MDFH_PACKET_TIME_KERNEL);
		/* The kernel's clock and ours, which may be off by its error bound and more. */
		assert_true(p->receive_ns + 10000000 > before);
		assert_true(p->receive_ns < mdfh_clock_now_ns() + 10000000);
		assert_true(!i || p->receive_ns >= packets[i - 1].receive_ns);
	}
	mdfh_bypass_release(port, packets, 100);
	stats = stats_of(port);
	assert_int_equal(stats.rx_packets, 100);
	assert_int_equal(stats.rx_bytes, bytes);
	assert_in_range(stats.rx_batches, 2, 100); /* batches of 64 */
	assert_int_equal(stats.rx_dropped_socket, 0);
	assert_int_equal(stats.rx_truncated, 0);
	assert_int_equal(stats.known_drops, 4);
	close(fd);
	mdfh_bypass_close(port);
}

/* The kernel stamps from the first packet on, as it comes in and not as it is read. */
static void stamps_the_first_packet(void **state)
{
	struct mdfh_bypass *port = open_port((struct mdfh_bypass_config){.host = "127.0.0.1"});
	int fd = open_sender("127.0.0.1");
	struct mdfh_packet packet;
	struct timespec after;

	(void)state;
	send_to(fd, "127.0.0.1", mdfh_bypass_local_port(port, 0), "x", 1);
	clock_gettime(CLOCK_REALTIME, &after);
	receive(port, &packet, 1);
	assert_true(
	    packet.receive_ns <= (uint64_t)after.tv_sec * 1000000000 + (uint64_t)after.tv_nsec);
	mdfh_bypass_release(port, &packet, 1);
	close(fd);
	mdfh_bypass_close(port);
}

static void receives_ipv4(void **state)
{
	(void)state;
	receives_what_was_sent("127.0.0.1");
}

static void receives_ipv6(void **state)
{
	(void)state;
	receives_what_was_sent("::1");
}

static void receives_any_address(void **state)
{
	struct mdfh_bypass *port = open_port(
	    (struct mdfh_bypass_config){.flows = &(struct mdfh_flow){0}, .flow_count = 1});
	int v4 = open_sender("127.0.0.1"), v6 = open_sender("::1");
	uint16_t number = mdfh_bypass_local_port(port, 0);
	struct mdfh_packet packets[3];

	(void)state;
	send_to(v4, "127.0.0.1", number, "a", 1);
	send_to(v4, "127.9.9.9", number, "bb", 2);
	send_to(v6, "::1", number, "ccc", 3);
	receive(port, packets, 3);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(packets[i].length, i + 1);
	/* Such a flow has no address to send to. */
	assert_int_equal(mdfh_bypass_send(port, packets, 1), -EDESTADDRREQ);
	close(v4);
	close(v6);
	mdfh_bypass_close(port);
}

static void numbers_flows(void **state)
{
	uint16_t a = free_port(), b = (uint16_t)(a + 1);
	const struct mdfh_flow flows[] = {{.group = "127.0.0.1", .port = a},
	    {.group = "127.0.0.1", .port = b}, {.group = "127.0.0.2", .port = a},
	    {.group = "::1", .port = b}};
	struct mdfh_bypass *port;
	struct mdfh_packet out[4], in[4];
	int seen[4] = {0};

	(void)state;
	port = open_port((struct mdfh_bypass_config){.flows = flows, .flow_count = 4});
	for (uint16_t i = 0; i < 4; i++)
		out[i] = (struct mdfh_packet){
		    .data = (const uint8_t *)"0123", .length = i + 1u, .flow = i};
	assert_int_equal(mdfh_bypass_send(port, out, 4), 4);
	receive(port, in, 4);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(in[i].length, in[i].flow + 1);
		seen[in[i].flow]++;
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(seen[i], 1);
	assert_int_equal(mdfh_bypass_local_port(port, 3), b);
	mdfh_bypass_close(port);
}

/* A flow that always has packets must not keep another from its turn. io_uring takes up to 32 of a
 * flow at a time, which are four of these batches. */
static void starves_no_flow(void **state)
{
	uint16_t number = free_port();
	const struct mdfh_flow flows[] = {
	    {.group = "127.0.0.1", .port = number}, {.group = "127.0.0.2", .port = number}};
	struct mdfh_bypass *port;
	struct mdfh_packet packets[8];
	int fd = open_sender("127.0.0.1"), quiet = 0;

	(void)state;
	port = open_port(
	    (struct mdfh_bypass_config){.flows = flows, .flow_count = 2, .batch_size = 8});
	for (int i = 0; i < 100; i++)
		send_to(fd, "127.0.0.1", number, "x", 1);
	send_to(fd, "127.0.0.2", number, "y", 1);
	for (int i = 0; i < (test_is_socket() ? 3 : 5) && !quiet; i++) {
		int n = mdfh_bypass_recv_wait(port, packets, 8);

		assert_in_range(n, 1, 8);
		for (int k = 0; k < n; k++)
			quiet += packets[k].flow == 1;
		mdfh_bypass_release(port, packets, n);
	}
	assert_int_equal(quiet, 1);
	close(fd);
	mdfh_bypass_close(port);
}

/* Sources ------------------------------------------------------------------ */

static void tells_sources_apart(void **state)
{
	uint16_t number = free_port();
	const struct mdfh_flow flows[] = {
	    {.group = "127.0.0.1", .source = "127.0.0.2", .port = number},
	    {.group = "127.0.0.1", .source = "127.0.0.3", .port = number},
	    {.group = "127.0.0.1", .port = number},
	};
	const char *const senders[] = {"127.0.0.2", "127.0.0.3", "127.0.0.4"};
	struct mdfh_bypass *port;
	struct mdfh_packet packets[32];
	int fd[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		fd[i] = open_sender(senders[i]);

	/* All three: every source has its flow. */
	port = open_port((struct mdfh_bypass_config){.flows = flows, .flow_count = 3});
	for (size_t i = 0; i < 30; i++)
		send_to(fd[i % 3], "127.0.0.1", number, "abc", i % 3 + 1);
	receive(port, packets, 30);
	for (int i = 0; i < 30; i++)
		assert_int_equal(packets[i].length, packets[i].flow + 1);
	assert_int_equal(stats_of(port).rx_filtered, 0);
	mdfh_bypass_close(port);

	/* Two: the third source is filtered, and that is no drop. */
	port = open_port((struct mdfh_bypass_config){.flows = flows, .flow_count = 2});
	assert_int_equal(mdfh_bypass_capabilities(port)->filters, MDFH_PLACE_KERNEL);
	for (size_t i = 0; i < 30; i++)
		send_to(fd[i % 3], "127.0.0.1", number, "abc", i % 3 + 1);
	receive(port, packets, 20);
	for (int i = 0; i < 20; i++)
		assert_int_equal(packets[i].length, packets[i].flow + 1);
	assert_int_equal(mdfh_bypass_recv(port, packets, 1), 0);
	assert_int_equal(stats_of(port).rx_filtered, 10);
	assert_int_equal(stats_of(port).rx_dropped_socket, 0);
	mdfh_bypass_close(port);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
}

static void tells_ipv6_sources_apart(void **state)
{
	struct mdfh_flow flow = {.group = "::1", .source = "2001:db8::1"};
	struct mdfh_bypass *port =
	    open_port((struct mdfh_bypass_config){.flows = &flow, .flow_count = 1});
	struct mdfh_packet packet;
	int fd = open_sender("::1");

	(void)state;
	send_to(fd, "::1", mdfh_bypass_local_port(port, 0), "no", 2);
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 0);
	assert_int_equal(stats_of(port).rx_filtered, 1);
	mdfh_bypass_close(port);

	flow.source = "::1";
	port = open_port((struct mdfh_bypass_config){.flows = &flow, .flow_count = 1});
	send_to(fd, "::1", mdfh_bypass_local_port(port, 0), "yes", 3);
	receive(port, &packet, 1);
	assert_int_equal(packet.length, 3);
	close(fd);
	mdfh_bypass_close(port);
}

/* Loss and damage ------------------------------------------------------------ */

static void counts_what_the_buffer_refused(void **state)
{
	struct mdfh_bypass *port = open_port(
	    (struct mdfh_bypass_config){.host = "127.0.0.1", .receive_buffer_bytes = 4096});
	struct mdfh_packet packets[64];
	int fd = open_sender("127.0.0.1"), n;
	uint64_t received = 0;
	struct mdfh_bypass_stats stats;
	uint8_t data[1000] = {0};

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 500; i++)
			send_to(
			    fd, "127.0.0.1", mdfh_bypass_local_port(port, 0), data, sizeof(data));
		while ((n = mdfh_bypass_recv(port, packets, 64)) > 0) {
			received += (uint64_t)n;
			mdfh_bypass_release(port, packets, n);
		}
	}
	stats = stats_of(port);
	assert_int_equal(stats.rx_packets, received);
	assert_true(stats.rx_dropped_socket > 0);
	assert_int_equal(stats.rx_dropped_socket + received, 1500);
	/* Asking again adds nothing. */
	assert_int_equal(stats_of(port).rx_dropped_socket, stats.rx_dropped_socket);
	close(fd);
	mdfh_bypass_close(port);
}

/* The count comes with the packets, so that the loss is known where it lies. */
static void counts_drops_while_receiving(void **state)
{
	struct mdfh_bypass *port = open_port(
	    (struct mdfh_bypass_config){.host = "127.0.0.1", .receive_buffer_bytes = 4096});
	uint16_t number = mdfh_bypass_local_port(port, 0);
	int fd = open_sender("127.0.0.1"), n;
	struct mdfh_packet packets[64];
	uint8_t data[1000] = {0};
	uint64_t received = 0;

	(void)state;
	for (int i = 0; i < 500; i++)
		send_to(fd, "127.0.0.1", number, data, sizeof(data));
	while ((n = mdfh_bypass_recv(port, packets, 64)) > 0) {
		received += (uint64_t)n;
		mdfh_bypass_release(port, packets, n);
	}
	send_to(fd, "127.0.0.1", number, data, sizeof(data));
	receive(port, packets, 1);
	/* Read where recv left it, without mdfh_bypass_stats. */
	assert_int_equal(port->stats.rx_dropped_socket, 500 - received);
	close(fd);
	mdfh_bypass_close(port);
}

static void flags_truncation(void **state)
{
	struct mdfh_bypass *port =
	    open_port((struct mdfh_bypass_config){.host = "127.0.0.1", .frame_size = 300});
	uint16_t number = mdfh_bypass_local_port(port, 0);
	int fd = open_sender("127.0.0.1");
	struct mdfh_packet packets[3];
	uint8_t data[400];

	(void)state;
	memset(data, 7, sizeof(data));
	send_to(fd, "127.0.0.1", number, data, 300);
	send_to(fd, "127.0.0.1", number, data, 301);
	send_to(fd, "127.0.0.1", number, data, 0);
	receive(port, packets, 3);
	assert_int_equal(packets[0].length, 300);
	assert_false(packets[0].flags & MDFH_PACKET_TRUNCATED);
	assert_int_equal(packets[1].length, 300);
	assert_true(packets[1].flags & MDFH_PACKET_TRUNCATED);
	assert_int_equal(packets[2].length, 0);
	assert_int_equal(stats_of(port).rx_truncated, 1);
	assert_int_equal(mdfh_bypass_capabilities(port)->frame_size, 300);
	close(fd);
	mdfh_bypass_close(port);
}

/* Holding --------------------------------------------------------------------- */

static void holds_packets(void **state)
{
	struct mdfh_bypass *port = open_port((struct mdfh_bypass_config){
	    .host = "127.0.0.1", .rx_ring_size = 64, .batch_size = 16, .hold_max = 48});
	struct mdfh_packet held[64], more[16];
	int fd = open_sender("127.0.0.1");

	(void)state;
	assert_int_equal(mdfh_bypass_capabilities(port)->hold_max, 48);
	for (uint8_t i = 0; i < 100; i++)
		send_to(fd, "127.0.0.1", mdfh_bypass_local_port(port, 0), &i, 1);
	/* Past hold_max a batch still fits, then nothing is left. */
	receive(port, held, 64);
	assert_int_equal(mdfh_bypass_recv(port, more, 16), 0);
	for (int i = 0; i < 64; i++)
		assert_int_equal(held[i].data[0], i);

	/* Out of order, once more than once, and one that never was. */
	mdfh_bypass_release(port, &held[40], 1);
	mdfh_bypass_release(port, &held[3], 1);
	mdfh_bypass_release(port, &held[3], 1);
	more[0] = (struct mdfh_packet){.cookie = UINT64_MAX};
	mdfh_bypass_release(port, more, 1);
	assert_int_equal(mdfh_bypass_recv(port, more, 16), 2);
	assert_int_equal(more[0].data[0], 64);
	assert_int_equal(more[1].data[0], 65);
	/* What is still held is as it was. */
	for (int i = 0; i < 64; i++)
		if (i != 3 && i != 40)
			assert_int_equal(held[i].data[0], i);
	mdfh_bypass_release(port, more, 2);
	for (int i = 63; i >= 0; i--)
		if (i != 3 && i != 40)
			mdfh_bypass_release(port, &held[i], 1);
	receive(port, held, 34);
	for (int i = 0; i < 34; i++)
		assert_int_equal(held[i].data[0], 66 + i);
	close(fd);
	mdfh_bypass_close(port); /* with packets held */
}

static void leaves_no_descriptor_open(void **state)
{
	uint16_t number = free_port();
	int before = count_descriptors();

	(void)state;
	for (int i = 0; i < 20; i++) {
		const struct mdfh_flow flows[] = {
		    {.group = "127.0.0.1", .source = "127.0.0.2", .port = number},
		    {.group = "::1", .port = number}};

		mdfh_bypass_close(
		    open_port((struct mdfh_bypass_config){.flows = flows, .flow_count = 2}));
	}
	assert_int_equal(count_descriptors(), before);
}

/* Options ----------------------------------------------------------------------- */

static void obeys_the_time_option(void **state)
{
	struct mdfh_bypass *port = open_port(
	    (struct mdfh_bypass_config){.host = "127.0.0.1", .timestamps = MDFH_TIMESTAMPS_OFF});
	struct mdfh_packet packet = {.data = (const uint8_t *)"x", .length = 1};

	(void)state;
	assert_int_equal(mdfh_bypass_capabilities(port)->timestamps, MDFH_PLACE_NONE);
	assert_int_equal(mdfh_bypass_send(port, &packet, 1), 1);
	receive(port, &packet, 1);
	assert_int_equal(packet.receive_ns, 0);
	assert_int_equal(packet.flags, 0);
	assert_int_equal(packet.time_error_ns, UINT32_MAX);
	mdfh_bypass_close(port);
}

static void refuses_what_it_cannot(void **state)
{
	static const struct mdfh_flow tagged = {.group = "127.0.0.1", .vlan = 5};
	static const struct mdfh_flow rest[] = {
	    {.group = "127.0.0.1", .source = "127.0.0.2", .port = 5}, {.port = 5}};
	static const struct {
		struct mdfh_bypass_config config;
		int error;
		const char *want;
	} cases[] = {
	    {{0}, -EINVAL, ": there is no flow"},
	    {{.host = "127.0.0.1", .require_zero_copy = MDFH_ON}, -ENOTSUP,
		": require_zero_copy is on, and the kernel copies"},
	    {{.host = "127.0.0.1", .queue = 1}, -ENOTSUP, ": queue is 1"},
	    {{.host = "127.0.0.1", .backend_options = "a=1"}, -EINVAL, "backend_options"},
	    {{.flows = &tagged, .flow_count = 1}, -EINVAL,
		": flows[0].vlan is 5 and interface is not set"},
	    {{.flows = rest, .flow_count = 2}, -ENOTSUP,
		": flows[0] takes one source of 127.0.0.1 and flows[1] any address of port "
		"5"},
	    {{.host = "127.0.0.1", .rx_ring_size = 64, .hold_max = 1}, -EINVAL,
		": hold_max is 1; with rx_ring_size 64 and batch_size 64 at most 0"},
	    {{.host = "127.0.0.1", .interface = "nosuch0"}, -ENODEV, ": interface 'nosuch0'"},
	    {{.host = "127.0.0.1", .timestamps = MDFH_TIMESTAMPS_HARDWARE}, -EINVAL,
		"timestamps is hardware and interface is not set"},
	    {{.host = "127.0.0.1", .interface = "lo", .timestamps = MDFH_TIMESTAMPS_HARDWARE},
		-ENOTSUP, "lo has no hardware receive stamps"},
	    {{.host = "203.0.113.1", .port = 5}, -EADDRNOTAVAIL,
		"socket: bind to 203.0.113.1 port 5"},
	};
	int before = count_descriptors();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mdfh_bypass_config config = cases[i].config;
		struct mdfh_bypass *port;
		int rc;

		config.size = sizeof(config);
		config.backend = test_backend;
		rc = mdfh_bypass_open(&config, &port);
		if (rc != cases[i].error)
			fail_msg("case %zu: %d, %s", i, rc, mdfh_error_text());
		assert_error(cases[i].want);
		assert_null(port);
	}
	assert_int_equal(count_descriptors(), before);
}

/* A unicast packet goes to one socket: a second one must not take it away unseen. */
static void shares_no_unicast_address(void **state)
{
	struct mdfh_bypass *first = open_port((struct mdfh_bypass_config){.host = "127.0.0.1"});
	struct mdfh_bypass_config config = {.size = sizeof(config),
	    .backend = test_backend,
	    .host = "127.0.0.1",
	    .port = mdfh_bypass_local_port(first, 0)};
	struct mdfh_bypass *second;

	(void)state;
	assert_int_equal(mdfh_bypass_open(&config, &second), -EADDRINUSE);
	mdfh_bypass_close(first);
}

static void says_when_the_buffer_is_small(void **state)
{
	struct mdfh_bypass *port = open_port(
	    (struct mdfh_bypass_config){.host = "127.0.0.1", .receive_buffer_bytes = 8 << 20});
	const struct mdfh_bypass_capabilities *can = mdfh_bypass_capabilities(port);

	(void)state;
	/* Granted in full to root, or the sentence with the command. */
	if (can->receive_buffer_bytes >= 8 << 20)
		assert_string_equal(can->warning, "");
	else
		assert_non_null(strstr(can->warning, "sysctl -w net.core.rmem_max=8388608"));
	mdfh_bypass_close(port);
}

static void busy_polls(void **state)
{
	uint16_t number = free_port();
	const struct mdfh_flow flows[] = {
	    {.group = "127.0.0.1", .port = number}, {.group = "127.0.0.2", .port = number}};
	const struct mdfh_bypass_config config = {.size = sizeof(config),
	    .backend = test_backend,
	    .flows = flows,
	    .flow_count = 2,
	    .busy_poll_us = 50,
	    .poll_timeout_us = WAIT_US};
	struct mdfh_packet packet = {.data = (const uint8_t *)"x", .length = 1};
	struct mdfh_bypass *port;
	int rc = mdfh_bypass_open(&config, &port);

	(void)state;
	if (!test_is_socket()) {
		assert_int_equal(rc, -ENOTSUP);
		assert_error("busy_poll_us is 50");
		return;
	}
	if (rc == -EPERM) {
		assert_error("give the process CAP_NET_ADMIN");
		return;
	}
	assert_ok(rc);
	for (uint16_t i = 0; i < 4; i++) {
		packet.flow = i % 2;
		assert_int_equal(mdfh_bypass_send(port, &packet, 1), 1);
		receive(port, &packet, 1);
		assert_int_equal(packet.flow, i % 2);
	}
	mdfh_bypass_close(port);
}

/* Directions -------------------------------------------------------------------- */

static void sends_only(void **state)
{
	struct mdfh_bypass *to = open_port(
	    (struct mdfh_bypass_config){.host = "127.0.0.1", .direction = MDFH_DIRECTION_RECEIVE});
	struct mdfh_bypass *from = open_port((struct mdfh_bypass_config){.host = "127.0.0.1",
	    .port = mdfh_bypass_local_port(to, 0),
	    .direction = MDFH_DIRECTION_SEND});
	struct mdfh_packet out[200], in[200];

	(void)state;
	for (uint32_t i = 0; i < 200; i++)
		out[i] = (struct mdfh_packet){.data = (const uint8_t *)"0123456789",
		    .length = i % 10,
		    .flow = MDFH_FLOW_NONE};
	assert_int_equal(mdfh_bypass_send(from, out, 200), 200);
	receive(to, in, 200);
	for (uint32_t i = 0; i < 200; i++)
		assert_int_equal(in[i].length, i % 10);
	assert_int_equal(stats_of(from).tx_packets, 200);
	assert_int_equal(stats_of(from).tx_bytes, 900);
	assert_int_equal(mdfh_bypass_recv(from, in, 1), 0);
	assert_int_equal(mdfh_bypass_capabilities(to)->can_send, 0);
	assert_int_equal(mdfh_bypass_send(to, out, 1), -ENOTSUP);
	out[0].flow = 1;
	assert_int_equal(mdfh_bypass_send(from, out, 1), -EDESTADDRREQ);
	out[0].flow = 0;
	out[0].length = 70000;
	assert_int_equal(mdfh_bypass_send(from, out, 1), -EMSGSIZE);
	assert_int_equal(stats_of(from).tx_failed, 2);
	mdfh_bypass_close(from);
	mdfh_bypass_close(to);
}

static void waits_and_times_out(void **state)
{
	struct mdfh_bypass *port =
	    open_port((struct mdfh_bypass_config){.host = "127.0.0.1", .poll_timeout_us = 20000});
	struct timespec a, b;
	struct mdfh_packet packet;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(mdfh_bypass_recv_wait(port, &packet, 1), 0);
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_true((b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec >= 20000000);
	/* Nothing is asked for, so nothing is waited for. */
	assert_int_equal(mdfh_bypass_recv_wait(port, &packet, 0), 0);
	assert_int_equal(mdfh_bypass_recv(port, &packet, -1), 0);
	mdfh_bypass_close(port);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stamps_the_first_packet),
	    cmocka_unit_test(receives_ipv4),
	    cmocka_unit_test(receives_ipv6),
	    cmocka_unit_test(receives_any_address),
	    cmocka_unit_test(numbers_flows),
	    cmocka_unit_test(starves_no_flow),
	    cmocka_unit_test(tells_sources_apart),
	    cmocka_unit_test(tells_ipv6_sources_apart),
	    cmocka_unit_test(counts_what_the_buffer_refused),
	    cmocka_unit_test(counts_drops_while_receiving),
	    cmocka_unit_test(flags_truncation),
	    cmocka_unit_test(holds_packets),
	    cmocka_unit_test(leaves_no_descriptor_open),
	    cmocka_unit_test(obeys_the_time_option),
	    cmocka_unit_test(refuses_what_it_cannot),
	    cmocka_unit_test(shares_no_unicast_address),
	    cmocka_unit_test(says_when_the_buffer_is_small),
	    cmocka_unit_test(busy_polls),
	    cmocka_unit_test(sends_only),
	    cmocka_unit_test(waits_and_times_out),
	};

	int rc = test_take_backend(argc, argv);

	/* Where that is allowed: then no other test takes a number that was free. */
	(void)test_enter_namespace();
	return rc ? rc : cmocka_run_group_tests(tests, NULL, NULL);
}
