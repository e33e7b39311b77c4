/* test_multicast.c - groups on backends over kernel sockets, in a network namespace of the test's own:
 * any-source and source-specific, IPv4 and IPv6, several groups on one port, and what somebody
 * else joined. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include "net/socket.h"
#include "net/udp_test.h"

enum { PORT = 26477 }; /* the namespace is ours, so a number may be fixed */

static struct mdfh_bypass *open_flows(const struct mdfh_flow *flows, uint32_t n)
{
	const struct mdfh_bypass_config config = {.size = sizeof(config),
	    .backend = test_backend,
	    .backend_options = test_options,
	    .interface = "lo",
	    .flows = flows,
	    .flow_count = n,
	    .direction = MDFH_DIRECTION_RECEIVE,
	    .poll_timeout_us = WAIT_US};
	struct mdfh_bypass *port;

	assert_ok(mdfh_bypass_open(&config, &port));
	return port;
}

static struct mdfh_bypass *open_sending(const struct mdfh_flow *flows, uint32_t n)
{
	const struct mdfh_bypass_config config = {.size = sizeof(config),
	    .backend = test_backend,
	    .backend_options = test_options,
	    .interface = "lo",
	    .flows = flows,
	    .flow_count = n,
	    .direction = MDFH_DIRECTION_SEND};
	struct mdfh_bypass *port;

	assert_ok(mdfh_bypass_open(&config, &port));
	return port;
}

static void send_on(struct mdfh_bypass *port, uint16_t flow, const char *text)
{
	const struct mdfh_packet packet = {
	    .data = (const uint8_t *)text, .length = (uint32_t)strlen(text), .flow = flow};

	assert_ok(mdfh_bypass_send(port, &packet, 1));
}

/* Next packet is this one. */
static void expect(struct mdfh_bypass *port, uint16_t flow, const char *text)
{
	struct mdfh_packet packet;

	if (mdfh_bypass_recv_wait(port, &packet, 1) != 1)
		fail_msg("'%s' did not come", text);
	assert_int_equal(packet.length, strlen(text));
	assert_memory_equal(packet.data, text, packet.length);
	assert_int_equal(packet.flow, flow);
	mdfh_bypass_release(port, &packet, 1);
}

/* Loopback delivers within the send call, so what has not come will not. */
static void expect_nothing(struct mdfh_bypass *port)
{
	struct mdfh_packet packet;

	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 0);
}

/* A sender with an address of its own: mdfh's sends from the interface's. */
static void send_from(const char *source, const char *group, const char *text)
{
	struct sockaddr_in from = {.sin_family = AF_INET};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	struct ip_mreqn interface = {.imr_ifindex = (int)if_nametoindex("lo")};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	inet_pton(AF_INET, source, &from.sin_addr);
	inet_pton(AF_INET, group, &to.sin_addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(
	    setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &interface, sizeof(interface)), 0);
	assert_int_equal(
	    sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, sizeof(to)), strlen(text));
	close(fd);
}

/* Any source ------------------------------------------------------------------ */

static void receives_groups(void **state)
{
	static const struct mdfh_flow flows[] = {
	    {.group = "239.1.1.1", .port = PORT},
	    {.group = "239.1.1.1", .port = PORT + 1},
	    {.group = "239.1.1.2", .port = PORT},
	    {.group = "ff15::1:1", .port = PORT},
	    {.group = "ff15::1:1", .port = PORT + 1},
	};
	static const char *const texts[] = {"a", "bb", "ccc", "dddd", "eeeee"};
	struct mdfh_bypass *port = open_flows(flows, 5), *sender = open_sending(flows, 5);
	struct mdfh_bypass_stats stats;

	(void)state;
	for (int round = 0; round < 3; round++)
		for (uint16_t i = 0; i < 5; i++) {
			uint16_t flow = (uint16_t)((i * 2 + round) % 5);

			send_on(sender, flow, texts[flow]);
			expect(port, flow, texts[flow]);
		}
	assert_ok(mdfh_bypass_stats(port, &stats));
	assert_int_equal(stats.rx_packets, 15);
	assert_int_equal(stats.rx_dropped_socket, 0);
	mdfh_bypass_close(sender);
	mdfh_bypass_close(port);
}

/* The kernel would give a socket what any socket of the host has joined. */
static void receives_no_foreign_group(void **state)
{
	static const struct mdfh_flow mine[] = {{.group = "239.1.1.1", .port = PORT}};
	static const struct mdfh_flow other[] = {{.group = "239.1.1.2", .port = PORT}};
	static const struct mdfh_flow mine6[] = {{.group = "ff15::1", .port = PORT}};
	static const struct mdfh_flow any[] = {{.port = PORT}};
	struct mdfh_bypass *ports[] = {
	    open_flows(mine, 1), open_flows(other, 1), open_flows(mine6, 1)};
	struct mdfh_bypass *senders[] = {open_sending(mine, 1), open_sending(other, 1)};
	struct mdfh_bypass *everything;

	(void)state;
	send_on(senders[1], 0, "other");
	expect(ports[1], 0, "other");
	expect_nothing(ports[0]);
	expect_nothing(ports[2]);
	send_on(senders[0], 0, "mine");
	expect(ports[0], 0, "mine");
	expect_nothing(ports[1]);
	for (int i = 0; i < 3; i++)
		mdfh_bypass_close(ports[i]);

	/* "Any unicast address" takes no multicast either. */
	everything = open_flows(any, 1);
	ports[0] =
	    open_flows((const struct mdfh_flow[]){{.group = "239.1.1.1", .port = PORT + 1}}, 1);
	send_on(senders[0], 0, "mine");
	expect_nothing(everything);
	mdfh_bypass_close(everything);
	mdfh_bypass_close(ports[0]);
	mdfh_bypass_close(senders[0]);
	mdfh_bypass_close(senders[1]);
}

static void shares_a_group_between_ports(void **state)
{
	static const struct mdfh_flow flow[] = {{.group = "239.1.1.1", .port = PORT}};
	struct mdfh_bypass *a = open_flows(flow, 1), *b = open_flows(flow, 1);
	struct mdfh_bypass *sender = open_sending(flow, 1);

	(void)state;
	send_on(sender, 0, "both");
	expect(a, 0, "both");
	expect(b, 0, "both");
	mdfh_bypass_close(a);
	send_on(sender, 0, "one");
	expect(b, 0, "one");
	mdfh_bypass_close(b);
	mdfh_bypass_close(sender);
}

static void sends_to_its_own_group(void **state)
{
	static const char *const groups[] = {"239.1.1.1", "ff15::1"};
	struct mdfh_bypass_config config = {.size = sizeof(config),
	    .backend = test_backend,
	    .backend_options = test_options,
	    .interface = "lo",
	    .port = PORT,
	    .multicast_ttl = 1,
	    .poll_timeout_us = WAIT_US};
	struct mdfh_bypass *port;

	(void)state;
	for (int i = 0; i < 2; i++) {
		config.host = groups[i];
		config.multicast_loop = MDFH_DEFAULT;
		assert_ok(mdfh_bypass_open(&config, &port));
		send_on(port, MDFH_FLOW_NONE, "hello");
		expect(port, 0, "hello");
		mdfh_bypass_close(port);
	}
}

static int option_of(int fd, int level, int option)
{
	socklen_t size = sizeof(int);
	int value = -1;

	assert_int_equal(getsockopt(fd, level, option, &value, &size), 0);
	return value;
}

/* lo gives back what it sends whatever the loop option says, so the options are read instead. */
static void sends_as_configured(void **state)
{
	static const struct mdfh_flow flows[] = {
	    {.group = "239.1.1.1", .port = PORT}, {.group = "ff15::1", .port = PORT}};
	struct mdfh_bypass_config config = {.size = sizeof(config),
	    .backend = test_backend,
	    .backend_options = test_options,
	    .interface = "lo",
	    .flows = flows,
	    .flow_count = 2,
	    .direction = MDFH_DIRECTION_SEND};
	struct mdfh_bypass *port;

	(void)state;
	for (int i = 0; i < 2; i++) {
		const struct mdfh_sockets *s;
		int lo = (int)if_nametoindex("lo");

		config.multicast_loop = i ? MDFH_OFF : MDFH_DEFAULT;
		config.multicast_ttl = i ? 7 : 0;
		assert_ok(mdfh_bypass_open(&config, &port));
		s = (const struct mdfh_sockets *)port;
		assert_int_equal(option_of(s->tx_fd[0], IPPROTO_IP, IP_MULTICAST_LOOP), !i);
		assert_int_equal(option_of(s->tx_fd[1], IPPROTO_IPV6, IPV6_MULTICAST_LOOP), !i);
		assert_int_equal(option_of(s->tx_fd[0], IPPROTO_IP, IP_MULTICAST_TTL), i ? 7 : 1);
		assert_int_equal(
		    option_of(s->tx_fd[1], IPPROTO_IPV6, IPV6_MULTICAST_HOPS), i ? 7 : 1);
		assert_int_equal(option_of(s->tx_fd[1], IPPROTO_IPV6, IPV6_MULTICAST_IF), lo);
		mdfh_bypass_close(port);
	}
}

/* Sources ----------------------------------------------------------------------- */

static void joins_a_source(void **state)
{
	static const struct mdfh_flow flows[] = {
	    {.group = "232.1.1.1", .source = "127.0.0.2", .port = PORT},
	    {.group = "232.1.1.1", .source = "127.0.0.3", .port = PORT},
	};
	struct mdfh_bypass *port = open_flows(flows, 2);

	(void)state;
	send_from("127.0.0.3", "232.1.1.1", "three");
	expect(port, 1, "three");
	send_from("127.0.0.4", "232.1.1.1", "four");
	expect_nothing(port);
	send_from("127.0.0.2", "232.1.1.1", "two");
	expect(port, 0, "two");
	expect_nothing(port);
	mdfh_bypass_close(port);
}

/* The first flow that matches has the packet, and no other. */
static void gives_the_rest_to_the_any_source_flow(void **state)
{
	static const struct mdfh_flow flows[] = {
	    {.group = "239.1.1.1", .source = "127.0.0.2", .port = PORT},
	    {.group = "239.1.1.1", .port = PORT},
	};
	struct mdfh_bypass *port = open_flows(flows, 2);

	(void)state;
	send_from("127.0.0.2", "239.1.1.1", "two");
	expect(port, 0, "two");
	expect_nothing(port);
	send_from("127.0.0.3", "239.1.1.1", "three");
	expect(port, 1, "three");
	expect_nothing(port);
	mdfh_bypass_close(port);
}

static void joins_an_ipv6_source(void **state)
{
	struct mdfh_flow flow = {.group = "ff35::1", .source = "::1", .port = PORT};
	struct mdfh_bypass *sender = open_sending(&flow, 1), *port = open_flows(&flow, 1);

	(void)state;
	send_on(sender, 0, "here");
	expect(port, 0, "here");
	mdfh_bypass_close(port);

	flow.source = "2001:db8::1";
	port = open_flows(&flow, 1);
	send_on(sender, 0, "not here");
	expect_nothing(port);
	mdfh_bypass_close(port);
	mdfh_bypass_close(sender);
}

/* The most flows that there may be, which is more than one socket's memberships by default. */
static void receives_64_groups(void **state)
{
	struct mdfh_flow flows[MDFH_BYPASS_FLOWS_MAX];
	char names[MDFH_BYPASS_FLOWS_MAX][16];
	struct mdfh_bypass *port, *sender;

	(void)state;
	for (int i = 0; i < MDFH_BYPASS_FLOWS_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "239.2.1.%d", i);
		flows[i] = (struct mdfh_flow){.group = names[i], .port = (uint16_t)(PORT + i % 3)};
	}
	port = open_flows(flows, MDFH_BYPASS_FLOWS_MAX);
	sender = open_sending(flows, MDFH_BYPASS_FLOWS_MAX);
	for (int i = 0; i < MDFH_BYPASS_FLOWS_MAX; i++)
		send_on(sender, (uint16_t)(MDFH_BYPASS_FLOWS_MAX - 1 - i), names[i]);
	for (int i = 0; i < MDFH_BYPASS_FLOWS_MAX; i++) {
		struct mdfh_packet packet;

		assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
		assert_memory_equal(
		    packet.data, names[MDFH_BYPASS_FLOWS_MAX - 1 - packet.flow], packet.length);
		mdfh_bypass_release(port, &packet, 1);
	}
	expect_nothing(port);
	mdfh_bypass_close(sender);
	mdfh_bypass_close(port);
}

/* What receives in a VLAN is in a test of filters, on a kernel that has devices for them. */
static void refuses_a_vlan_without_a_device(void **state)
{
	struct mdfh_flow flows[] = {
	    {.group = "239.1.1.1", .port = PORT, .vlan = 100},
	    {.group = "239.1.1.2", .port = PORT, .vlan = 100},
	};
	struct mdfh_bypass_config config = {.size = sizeof(config),
	    .backend = test_backend,
	    .backend_options = test_options,
	    .interface = "lo",
	    .flows = flows,
	    .flow_count = 2};
	struct mdfh_bypass *port;

	(void)state;
	assert_int_equal(mdfh_bypass_open(&config, &port), -ENODEV);
	assert_error(
	    "flows[0].vlan is 100 and lo has no device for that VLAN, which a socket needs: "
	    "run `ip link add link lo name lo.100 type vlan id 100 && ip link set lo.100 up`");
	config.interface = NULL;
	assert_int_equal(mdfh_bypass_open(&config, &port), -EINVAL);
	assert_error("flows[0].vlan is 100 and interface is not set");
	config.interface = "lo";
	flows[1].vlan = 0;
	assert_int_equal(mdfh_bypass_open(&config, &port), -ENOTSUP);
	assert_error("flows[0].vlan is 100 and flows[1].vlan is 0; the sockets of a port");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(receives_groups),
	    cmocka_unit_test(receives_no_foreign_group),
	    cmocka_unit_test(shares_a_group_between_ports),
	    cmocka_unit_test(sends_to_its_own_group),
	    cmocka_unit_test(sends_as_configured),
	    cmocka_unit_test(joins_a_source),
	    cmocka_unit_test(gives_the_rest_to_the_any_source_flow),
	    cmocka_unit_test(joins_an_ipv6_source),
	    cmocka_unit_test(receives_64_groups),
	    cmocka_unit_test(refuses_a_vlan_without_a_device),
	};
	int rc;

	if (test_enter_namespace()) {
		fprintf(stderr, "skipped: no network namespace without privilege here\n");
		return TEST_SKIPPED;
	}
	rc = test_take_backend(argc, argv);
	return rc ? rc : cmocka_run_group_tests(tests, NULL, NULL);
}
