/* test_verbs_roce.c - datagram queue pairs of backend verbs over an RDMA device: the conformance suite,
 * and what is its own. Run in a virtual machine over soft-RoCE (tests/vm/test_verbs.py), where eth0 has
 * 10.0.0.1 and .9, fd77::1 and ::9 and carries rxe0; needs root. */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "mdfh/clock.h"
#include "net/conform.h"
#include "net/udp_test.h"

#define INTERFACE "eth0"

enum { PORT = 26477, STRAY_FLOW = MDFH_CONFORMANCE_FLOWS, STRAY_PORT_FLOW, SENDER_FLOWS };

static struct mdfh_bypass *open_sender_port(
    const char *options, const struct mdfh_flow *flows, uint32_t count)
{
	return open_port((struct mdfh_bypass_config){.interface = INTERFACE,
	    .direction = MDFH_DIRECTION_SEND,
	    .backend_options = options,
	    .flows = flows,
	    .flow_count = count});
}

static void send_all(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	for (int tries = 100000; n && tries; tries--) {
		int sent = mdfh_bypass_send(port, packets, n);

		assert_ok(sent);
		packets += sent;
		n -= sent;
	}
	assert_int_equal(n, 0);
}

/* The suite ----------------------------------------------------------------------------------- */

struct roce_feed {
	const char *name, *group, *second, *stray, *own, *foreign;
	struct mdfh_bypass *senders[2]; /* from the flows' source and from another */
};

static void feed_flows(const struct roce_feed *feed, int with, struct mdfh_flow *flows)
{
	for (int i = 0; i < MDFH_CONFORMANCE_FLOWS; i++)
		flows[i] = (struct mdfh_flow){.group = i == 2 ? feed->second : feed->group,
		    .source = with & MDFH_CONFORMANCE_WITH_SOURCES ? feed->own : NULL,
		    .port = (uint16_t)(PORT + (i == 1))};
}

static int feed_open(void *context, const struct mdfh_bypass_config *wanted, int with,
    const struct mdfh_conformance_datagram *datagrams, int n, struct mdfh_bypass **port)
{
	struct roce_feed *feed = context;
	struct mdfh_bypass_config config = *wanted;
	struct mdfh_flow flows[MDFH_CONFORMANCE_FLOWS];
	int rc;

	feed_flows(feed, with, flows);
	config.backend = "verbs";
	config.interface = INTERFACE;
	config.flows = flows;
	config.flow_count = MDFH_CONFORMANCE_FLOWS;
	rc = mdfh_bypass_open(&config, port);
	for (int i = 0; i < n && !rc; i++) {
		const struct mdfh_conformance_datagram *d = &datagrams[i];
		int stray = d->flags & MDFH_CONFORMANCE_STRAY;
		const struct mdfh_packet packet = {.data = d->data,
		    .length = d->length,
		    /* To a group that nobody joined, or to a port that no flow of the group has. */
		    .flow = !stray       ? d->flow
			    : i % 4 == 1 ? STRAY_FLOW
					 : STRAY_PORT_FLOW};

		send_all(feed->senders[(d->flags & MDFH_CONFORMANCE_FOREIGN) != 0], &packet, 1);
	}
	return rc;
}

static void conforms(struct roce_feed *feed)
{
	const struct mdfh_conformance_feed base = {.size = sizeof(base),
	    .name = feed->name,
	    .context = feed,
	    .feeds = 1,
	    .sources = 1,
	    .loops = 1,
	    .open = feed_open};
	struct mdfh_conformance_result results[MDFH_CONFORMANCE_CHECKS];
	struct mdfh_flow flows[SENDER_FLOWS];
	char options[64];
	int n, passed = 0, failed = 0;

	feed_flows(feed, 0, flows);
	flows[STRAY_FLOW] = (struct mdfh_flow){.group = feed->stray, .port = PORT};
	flows[STRAY_PORT_FLOW] = (struct mdfh_flow){.group = feed->group, .port = PORT + 2};
	for (int i = 0; i < 2; i++) {
		snprintf(options, sizeof(options), "address=%s", i ? feed->foreign : feed->own);
		feed->senders[i] = open_sender_port(options, flows, SENDER_FLOWS);
	}
	n = mdfh_conformance_run(&base, results, MDFH_CONFORMANCE_CHECKS);
	assert_in_range(n, 1, MDFH_CONFORMANCE_CHECKS);
	for (int i = 0; i < n; i++) {
		passed += results[i].verdict == MDFH_CONFORMANCE_PASSED;
		failed += results[i].verdict == MDFH_CONFORMANCE_FAILED;
		if (results[i].verdict)
			print_message("%s %s: %s\n",
			    results[i].verdict == MDFH_CONFORMANCE_FAILED ? "FAILED" : "n/a",
			    results[i].name, results[i].detail);
	}
	for (int i = 0; i < 2; i++)
		mdfh_bypass_close(feed->senders[i]);
	assert_int_equal(failed, 0);
	/* Not: packets of its own, those about frames, an end. */
	assert_in_range(passed, 22, MDFH_CONFORMANCE_CHECKS);
}

static void conforms_over_ipv4(void **state)
{
	(void)state;
	conforms(&(struct roce_feed){.name = "datagrams4",
	    .group = "239.255.77.1",
	    .second = "239.255.77.2",
	    .stray = "239.255.77.77",
	    .own = "10.0.0.1",
	    .foreign = "10.0.0.9"});
}

static void conforms_over_ipv6(void **state)
{
	(void)state;
	conforms(&(struct roce_feed){.name = "datagrams6",
	    .group = "ff15::77:1",
	    .second = "ff15::77:2",
	    .stray = "ff15::77:77",
	    .own = "fd77::1",
	    .foreign = "fd77::9"});
}

/* Ports, immediate data ------------------------------------------------------------------------ */

static const struct mdfh_flow two_flows[] = {
    {.group = "239.1.1.1", .port = PORT}, {.group = "239.1.1.1", .port = PORT + 1}};

static struct mdfh_bypass *open_receiver(const char *options, uint32_t ring)
{
	return open_port((struct mdfh_bypass_config){.interface = INTERFACE,
	    .direction = MDFH_DIRECTION_RECEIVE,
	    .backend_options = options,
	    .rx_ring_size = ring,
	    .flows = two_flows,
	    .flow_count = 2});
}

/* The flow that a datagram to flow 1 comes as. */
static uint16_t flow_of(const char *sender_options, const char *receiver_options)
{
	struct mdfh_bypass *receiver = open_receiver(receiver_options, 0);
	struct mdfh_bypass *sender = open_sender_port(sender_options, two_flows, 2);
	struct mdfh_packet out = {.data = (const uint8_t *)"hello", .length = 5, .flow = 1}, in;

	send_all(sender, &out, 1);
	assert_int_equal(mdfh_bypass_recv_wait(receiver, &in, 1), 1);
	assert_int_equal(in.length, 5);
	assert_memory_equal(in.data, "hello", 5);
	mdfh_bypass_close(sender);
	mdfh_bypass_close(receiver);
	return in.flow;
}

static void ports_travel_as_immediate_data(void **state)
{
	(void)state;
	assert_int_equal(flow_of(NULL, NULL), 1);
	/* Nothing says the port, or nobody looks: the first flow of the group. */
	assert_int_equal(flow_of("port=none", NULL), 0);
	assert_int_equal(flow_of(NULL, "port=none"), 0);
}

static void tells_its_local_ports(void **state)
{
	struct mdfh_bypass *port = open_receiver(NULL, 0);

	(void)state;
	assert_int_equal(mdfh_bypass_local_port(port, 0), PORT);
	assert_int_equal(mdfh_bypass_local_port(port, 1), PORT + 1);
	assert_int_equal(mdfh_bypass_local_port(port, 2), 0);
	assert_string_equal(mdfh_bypass_capabilities(port)->mode, "datagram, rxe0 port 1");
	assert_string_equal(mdfh_bypass_capabilities(port)->copy_reason, "device of software");
	mdfh_bypass_close(port);
}

static void refuses_a_datagram_that_is_too_long(void **state)
{
	static const uint8_t data[8192];
	struct mdfh_bypass *sender = open_sender_port(NULL, two_flows, 2);
	struct mdfh_packet out = {.data = data, .length = 4097};
	struct mdfh_bypass_stats stats;

	(void)state;
	assert_int_equal(mdfh_bypass_send(sender, &out, 1), -EINVAL);
	assert_error("4096 bytes are the most");
	out.length = 10;
	out.flow = 2;
	assert_int_equal(mdfh_bypass_send(sender, &out, 1), -EINVAL);
	assert_ok(mdfh_bypass_stats(sender, &stats));
	assert_int_equal(stats.tx_failed, 2);
	mdfh_bypass_close(sender);
}

/* Losses, waiting, leaving ------------------------------------------------------------------------ */

static void loses_what_finds_no_buffer(void **state)
{
	enum { SENT = 2000, RING = 512 };
	struct mdfh_bypass *receiver = open_receiver(NULL, RING);
	struct mdfh_bypass *sender = open_sender_port(NULL, two_flows, 2);
	uint64_t before = counter_of(receiver, "device: rcvd_pkts");
	struct mdfh_packet packets[64];
	struct mdfh_bypass_stats stats;
	uint32_t number, first = 0, came = 0;

	(void)state;
	assert_int_equal(counter_of(receiver, "buffers with the device"), RING);
	for (number = 0; number < SENT; number++)
		send_all(sender,
		    &(struct mdfh_packet){.data = (const uint8_t *)&number, .length = 4}, 1);
	/* All have arrived at the device, of which some found a buffer. */
	for (int tries = 200; counter_of(receiver, "device: rcvd_pkts") - before < SENT; tries--) {
		assert_int_not_equal(tries, 0);
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	}
	for (int got = 1; got; came += (uint32_t)got) {
		got = mdfh_bypass_recv(receiver, packets, 64);
		assert_ok(got);
		for (int i = 0; i < got; i++) {
			memcpy(&number, packets[i].data, 4);
			assert_int_equal(number, first++);
		}
		mdfh_bypass_release(receiver, packets, got);
	}
	assert_int_equal(came, RING);
	/* This device does not count them, so no place is blamed. */
	assert_ok(mdfh_bypass_stats(receiver, &stats));
	assert_int_equal(stats.known_drops, 0);
	/* It goes on. */
	number = SENT;
	send_all(sender, &(struct mdfh_packet){.data = (const uint8_t *)&number, .length = 4}, 1);
	assert_int_equal(mdfh_bypass_recv_wait(receiver, packets, 1), 1);
	assert_memory_equal(packets[0].data, &number, 4);
	mdfh_bypass_close(sender);
	mdfh_bypass_close(receiver);
}

static void *send_later(void *sender)
{
	nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
	send_all(sender, &(struct mdfh_packet){.data = (const uint8_t *)"late", .length = 4}, 1);
	return NULL;
}

static void an_arrival_ends_the_wait(void **state)
{
	struct mdfh_bypass *receiver = open_port((struct mdfh_bypass_config){.interface = INTERFACE,
	    .flows = two_flows,
	    .flow_count = 2,
	    .poll_timeout_us = 20000000});
	struct mdfh_bypass *sender = open_sender_port(NULL, two_flows, 2);
	struct mdfh_packet packet;
	struct timespec start, end;
	pthread_t thread;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &start);
	assert_int_equal(pthread_create(&thread, NULL, send_later, sender), 0);
	assert_int_equal(mdfh_bypass_recv_wait(receiver, &packet, 1), 1);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_true(end.tv_sec - start.tv_sec < 15);
	pthread_join(thread, NULL);
	mdfh_bypass_close(sender);
	mdfh_bypass_close(receiver);
}

/* 239.1.1.1 as the kernel lists its memberships. */
static int is_member(void)
{
	return !system("grep -q 010101EF /proc/net/igmp");
}

static void leaves_its_groups(void **state)
{
	struct mdfh_bypass *receiver;

	(void)state;
	assert_false(is_member());
	receiver = open_receiver(NULL, 0);
	assert_true(is_member());
	mdfh_bypass_close(receiver);
	assert_false(is_member());
	/* Who only sends is no member. */
	receiver = open_sender_port(NULL, two_flows, 2);
	assert_false(is_member());
	mdfh_bypass_close(receiver);
}

static void says_that_the_port_is_down(void **state)
{
	struct mdfh_bypass *receiver = open_receiver(NULL, 0);
	struct mdfh_bypass_stats stats;

	(void)state;
	assert_ok(mdfh_bypass_stats(receiver, &stats));
	assert_string_equal(mdfh_bypass_capabilities(receiver)->warning, "");
	assert_int_equal(system("ip link set " INTERFACE " down"), 0);
	assert_ok(mdfh_bypass_stats(receiver, &stats));
	assert_non_null(strstr(mdfh_bypass_capabilities(receiver)->warning, "port 1 of rxe0 is "));
	assert_int_equal(system("ip link set " INTERFACE " up"), 0);
	assert_ok(mdfh_bypass_stats(receiver, &stats));
	assert_string_equal(mdfh_bypass_capabilities(receiver)->warning, "");
	mdfh_bypass_close(receiver);
}

/* Refusals ---------------------------------------------------------------------------------------- */

static void refuses(struct mdfh_bypass_config config, int error, const char *text)
{
	static const struct mdfh_flow flow = {.group = "239.1.1.1", .port = PORT};
	struct mdfh_bypass *port;
	int rc;

	config.size = sizeof(config);
	config.backend = "verbs";
	config.interface = config.interface ? config.interface : INTERFACE;
	if (!config.flows) {
		config.flows = &flow;
		config.flow_count = 1;
	}
	rc = mdfh_bypass_open(&config, &port);
	if (rc != error || port)
		fail_msg("%s: %d (%s)", text, rc, mdfh_error_text());
	assert_error(text);
}

#define REFUSES(error, text, ...) refuses((struct mdfh_bypass_config){__VA_ARGS__}, error, text)

static void refuses_what_it_cannot(void **state)
{
	static const struct mdfh_flow unicast = {.group = "10.0.0.1", .port = PORT};
	static const struct mdfh_flow any = {.port = PORT};
	static const struct mdfh_flow vlan = {.group = "239.1.1.1", .port = PORT, .vlan = 7};

	(void)state;
	REFUSES(-ENOTSUP, "flows[0] has 10.0.0.1; a datagram queue pair receives groups only",
	    .flows = &unicast, .flow_count = 1);
	REFUSES(-ENOTSUP, "flows[0] has no group", .flows = &any, .flow_count = 1);
	REFUSES(-ENOTSUP, "name that (eth0.7)", .flows = &vlan, .flow_count = 1);
	REFUSES(-ENOTSUP, "trailer is set", .trailer = MDFH_TRAILER_METAMAKO);
	REFUSES(-ENOTSUP, "multicast_loop is off", .multicast_loop = MDFH_OFF);
	REFUSES(-ENOTSUP, "rxe0 gives none; use software", .timestamps = MDFH_TIMESTAMPS_HARDWARE);
	REFUSES(-ENOTSUP, "packets are copied (device of software)", .require_zero_copy = MDFH_ON);
	REFUSES(-ENOTSUP, "a raw Ethernet queue pair on rxe0", .backend_options = "mode=raw");
	REFUSES(-ENODEV, "interface is lo, which is of no RDMA device", .interface = "lo");
	REFUSES(-ENODEV, "127.0.0.1 of interface lo", .interface = "lo",
	    .backend_options = "mode=datagram");
	/* Some other host's. */
	REFUSES(-EADDRNOTAVAIL, "verbs: 10.0.0.77 of interface eth0",
	    .backend_options = "address=10.0.0.77");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(conforms_over_ipv4),
	    cmocka_unit_test(conforms_over_ipv6),
	    cmocka_unit_test(ports_travel_as_immediate_data),
	    cmocka_unit_test(tells_its_local_ports),
	    cmocka_unit_test(refuses_a_datagram_that_is_too_long),
	    cmocka_unit_test(loses_what_finds_no_buffer),
	    cmocka_unit_test(an_arrival_ends_the_wait),
	    cmocka_unit_test(leaves_its_groups),
	    cmocka_unit_test(refuses_what_it_cannot),
	    cmocka_unit_test(says_that_the_port_is_down),
	};
	char *arguments[] = {"test_verbs_roce", "verbs", NULL};
	int status = test_take_backend(2, arguments);

	if (!status && !if_nametoindex(INTERFACE)) {
		printf("skipped: it is for a machine with an RDMA device on " INTERFACE "\n");
		status = TEST_SKIPPED;
	}
	return status ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
