/* test_frames.c - the conformance suite over a veth pair in a network namespace of the test's own: frames
 * are written to one end and come to a port on the other, the same for every backend.
 *
 * Usage: test_frames BACKEND OPTIONS [INTERFACE], the last as the backend names the device mdfh0. As root. */
#include <errno.h>

#include "mdfh/frame.h"
#include "net/conform.h"
#include "net/conformance_frames.h"
#include "net/udp_test.h"
#include "net/veth_test.h"

static const char *interface = VETH_INTERFACE;

static int conform_frames(enum mdfh_conformance_medium medium)
{
	return conform(&(struct mdfh_conformance_config){
	    .size = sizeof(struct mdfh_conformance_config),
	    .backend = test_backend,
	    .interface = interface,
	    .peer = VETH_PEER,
	    .backend_options = test_options && *test_options ? test_options : NULL,
	    .medium = medium,
	});
}

static void ipv4(void **state)
{
	(void)state;
	assert_in_range(conform_frames(MDFH_CONFORMANCE_FRAMES4), 22, MDFH_CONFORMANCE_CHECKS);
}

static void ipv6(void **state)
{
	(void)state;
	assert_in_range(conform_frames(MDFH_CONFORMANCE_FRAMES6), 22, MDFH_CONFORMANCE_CHECKS);
}

static void refuses_devices_that_lead_out(void **state)
{
	const struct mdfh_conformance_config config = {.size = sizeof(config),
	    .backend = "socket",
	    .interface = "lo",
	    .peer = VETH_PEER,
	    .medium = MDFH_CONFORMANCE_FRAMES4};
	struct mdfh_conformance_config without = config;
	struct mdfh_conformance_feed *feed;

	(void)state;
	assert_int_equal(mdfh_conformance_feed_open(&config, &feed), -EINVAL);
	assert_error("interface is lo and peer mdfh1; they must be veth, tap or dummy devices");
	without.interface = "net_af_packet0,iface=lo";
	assert_int_equal(mdfh_conformance_feed_open(&without, &feed), -EINVAL);
	assert_error("interface is net_af_packet0,iface=lo and peer mdfh1; they must be");
	without.interface = "net_af_packet0,iface=mdfh0,iface=lo";
	assert_int_equal(mdfh_conformance_feed_open(&without, &feed), -EINVAL);
	without.interface = "net_pcap0,iface=mdfh0";
	assert_int_equal(mdfh_conformance_feed_open(&without, &feed), -EINVAL);
	without = config;
	without.peer = NULL;
	assert_int_equal(mdfh_conformance_feed_open(&without, &feed), -EINVAL);
	assert_error("frames need two devices");
}

/* What the XDP program says became of each frame, exactly: nothing else is on this wire. */
static void counts_every_frame(void **state)
{
	static const struct mdfh_flow flows[] = {
	    {.group = "239.1.1.1", .port = 26477, .source = "10.77.0.1"},
	    {.group = "ff15::1", .port = 26478},
	};
	static const uint8_t payload[24];
	static const struct {
		const char *source, *destination;
		uint16_t port;
		enum conformance_oddity oddity;
		const char *counter;
	} frames[] = {
	    {"10.77.0.1", "239.1.1.1", 26477, ODD_NOTHING, "taken"},
	    {"10.77.0.1", "239.1.1.1", 26477, ODD_OPTIONS, "taken"},
	    {"10.77.0.1", "239.1.1.1", 26477, ODD_PADDED, "taken"},
	    {"10.77.0.1", "239.1.1.1", 26477, ODD_UDP_LENGTH, "taken"},
	    {"10.77.0.9", "239.1.1.1", 26477, ODD_NOTHING, "passed: of no flow"},
	    {"10.77.0.1", "239.1.1.1", 26478, ODD_NOTHING, "passed: of no flow"},
	    {"10.77.0.1", "239.129.1.1", 26477, ODD_NOTHING, "passed: of no flow"},
	    {"10.77.0.1", "10.77.0.2", 26477, ODD_NOTHING, "passed: of no flow"},
	    {"10.77.0.1", "239.1.1.1", 26477, ODD_TCP, "passed: not UDP"},
	    {"10.77.0.1", "239.1.1.1", 26477, ODD_IGMP, "passed: not UDP"},
	    {"10.77.0.1", "239.1.1.1", 26477, ODD_ARP, "passed: not UDP"},
	    {"10.77.0.1", "239.1.1.1", 26477, ODD_FRAGMENT, "passed: fragment"},
	    {"10.77.0.1", "239.1.1.1", 26477, ODD_IP_HEADER, "passed: broken header"},
	    {"10.77.0.1", "239.1.1.1", 26477, ODD_SHORT, "passed: broken header"},
	    {"fd77::1", "ff15::1", 26478, ODD_FRAGMENT, "passed: fragment"},
	    /* Two tags, the outer one 0x9100; a fragment that is all there is. */
	    {"10.77.0.1", "239.1.1.1", 26477, ODD_NOTHING, "taken"},
	    {"fd77::1", "ff15::1", 26478, ODD_FRAGMENT, "taken"},
	};
	enum { FRAMES = sizeof(frames) / sizeof(frames[0]), TIMES = 10, SOUND = 5 };
	enum { TAGGED = FRAMES - 2, WHOLE = FRAMES - 1 };
	struct mdfh_packet packets[SOUND * TIMES];
	uint64_t before[FRAMES];
	struct mdfh_bypass *port;
	int wire;

	(void)state;
	if (strcmp(test_backend, "xdp") != 0)
		return; /* it alone has such counters */
	port = open_port(
	    (struct mdfh_bypass_config){.interface = interface, .flows = flows, .flow_count = 2});
	wire = mdfh_conformance_frames_open(VETH_PEER);
	assert_true(wire >= 0);
	for (int i = 0; i < FRAMES; i++)
		before[i] = counter_of(port, frames[i].counter);
	for (int i = 0; i < FRAMES * TIMES; i++) {
		uint8_t bytes[CONFORMANCE_HEADERS_MAX + 64];
		uint32_t length = mdfh_conformance_frame_put(
		    bytes, &(struct conformance_frame){.source = frames[i % FRAMES].source,
			       .destination = frames[i % FRAMES].destination,
			       .port = frames[i % FRAMES].port,
			       .oddity = frames[i % FRAMES].oddity,
			       .vlan = {i % FRAMES == TAGGED ? 7 : 0, i % FRAMES == TAGGED ? 8 : 0},
			       .payload = payload,
			       .length = sizeof(payload)});

		if (i % FRAMES == TAGGED)
			memcpy(bytes + 12, (const uint8_t[]){0x91, 0x00}, 2);
		if (i % FRAMES == WHOLE) /* from 0 on, and none follows */
			memcpy(bytes + 14 + 40 + 2, (const uint8_t[]){0, 0}, 2);
		assert_int_equal(send(wire, bytes, length, 0), length);
	}
	receive(port, packets, SOUND * TIMES);
	mdfh_bypass_release(port, packets, SOUND * TIMES);
	assert_int_equal(mdfh_bypass_recv(port, packets, 1), 0);
	assert_int_equal(stats_of(port).malformed[MDFH_FRAME_UDP_LENGTH], TIMES);
	assert_int_equal(stats_of(port).rx_malformed, TIMES);
	assert_int_equal(stats_of(port).rx_filtered, 0);
	for (int i = 0; i < FRAMES; i++) {
		uint64_t want = 0;

		for (int k = 0; k < FRAMES; k++)
			want += !strcmp(frames[k].counter, frames[i].counter) ? TIMES : 0;
		assert_int_equal(counter_of(port, frames[i].counter) - before[i], want);
	}
	close(wire);
	mdfh_bypass_close(port);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ipv4),
	    cmocka_unit_test(ipv6),
	    cmocka_unit_test(refuses_devices_that_lead_out),
	    cmocka_unit_test(counts_every_frame),
	};
	int status = test_take_backend(argc, argv);

	if (!status)
		status = veth_enter();
	if (status)
		return status;
	if (argc > 3)
		interface = argv[3];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
