/* test_verbs_raw.c - backend verbs over its device of software (verbs_device/): raw queue pairs with their rules,
 * and what is refused, by the device or by the backend.
 *
 * Usage: test_verbs_raw MODULE */
#include <arpa/inet.h>

#include "net/verbs_test.h"

/* Raw ------------------------------------------------------------------------------------------ */

static uint32_t frame_to(const char *group, uint16_t port, uint16_t vlan, uint8_t *bytes)
{
	struct mdfh_frame_header header = {
	    .source_port = 1, .destination_port = port, .vlan = {vlan}, .vlan_count = vlan != 0};

	assert_ok(mdfh_frame_address(group, header.destination));
	assert_ok(mdfh_frame_address(strchr(group, ':') ? "fd77::1" : "10.0.0.1", header.source));
	return (uint32_t)mdfh_frame_build(&header, "payload", 7, bytes, 256);
}

static void steers_frames_by_whole_rules(void **state)
{
	static const uint8_t mac[] = {0x01, 0x00, 0x5e, 0x01, 0x01, 0x01};
	static const uint8_t mac6[] = {0x33, 0x33, 0x00, 0x00, 0x00, 0x01};
	static const struct mdfh_flow three[] = {
	    {.group = "239.1.1.1", .source = "10.0.0.1", .port = PORT, .vlan = 5},
	    {.group = "239.1.1.1", .port = PORT},
	    {.group = "ff15::1", .source = "fd77::1", .port = PORT},
	};
	struct mdfh_bypass *port =
	    OPEN(.flows = three, .flow_count = 3, .direction = MDFH_DIRECTION_RECEIVE);
	const struct vdev_rule *rule = vdev.rules;
	struct mdfh_packet packet;
	uint8_t bytes[256];
	uint32_t length;

	(void)state;
	assert_string_equal(mdfh_bypass_capabilities(port)->mode,
	    "raw Ethernet, soft0 port 1, rules by address and port");
	assert_int_equal(mdfh_bypass_capabilities(port)->filters, MDFH_PLACE_HARDWARE);
	assert_int_equal(vdev.rules_count, 3);
	assert_int_equal(rule[0].attributes.type, IBV_FLOW_ATTR_NORMAL);
	assert_int_equal(rule[0].attributes.port, 1);
	assert_memory_equal(rule[0].eth.val.dst_mac, mac, 6);
	assert_int_equal(rule[0].eth.mask.vlan_tag, 0); /* either tag: software's */
	assert_int_equal(rule[0].ipv4.val.dst_ip, inet_addr("239.1.1.1"));
	assert_int_equal(rule[0].ipv4.val.src_ip, inet_addr("10.0.0.1"));
	assert_int_equal(rule[0].ipv4.mask.src_ip, UINT32_MAX);
	assert_int_equal(rule[0].udp.val.dst_port, htons(PORT));
	assert_int_equal(rule[1].ipv4.mask.src_ip, 0);
	assert_true(rule[2].has_ipv6 && !rule[2].has_ipv4);
	assert_memory_equal(rule[2].eth.val.dst_mac, mac6, 6);
	assert_int_equal(rule[2].ipv6.val.dst_ip[0], 0xff);
	assert_int_equal(rule[2].ipv6.mask.src_ip[15], 0xff);

	length = frame_to("239.1.1.1", PORT, 5, bytes);
	assert_int_equal(vdev_arrive(bytes, length, 0, 0), 1);
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
	assert_int_equal(packet.flow, 0);
	assert_int_equal(packet.header_length, 14 + 4 + 20 + 8);
	assert_memory_equal(packet.data, "payload", 7);
	assert_int_equal(vdev_arrive(bytes, frame_to("239.1.1.1", PORT, 6, bytes), 0, 0), 1);
	assert_int_equal(flow_of(port), 1);
	assert_int_equal(vdev_arrive(bytes, frame_to("ff15::1", PORT, 0, bytes), 0, 0), 1);
	assert_int_equal(flow_of(port), 2);
	assert_int_equal(vdev_arrive(bytes, frame_to("239.1.1.1", PORT + 1, 0, bytes), 0, 0), 1);
	assert_int_equal(vdev_arrive(bytes, 30, 0, 0), 1);
	assert_int_equal(flow_of(port), -1);
	assert_int_equal(stats_of(port).rx_filtered, 1);
	assert_int_equal(stats_of(port).rx_malformed, 1);
	closes(port);
	port = OPEN(.flows = three, .flow_count = 3, .backend_options = "filters=hardware");
	assert_int_equal(vdev.rules[0].eth.val.vlan_tag, htons(5));
	assert_int_equal(vdev.rules[0].eth.mask.vlan_tag, htons(0x0fff));
	closes(port);
}

/* That datagrams carry no ports says nothing of frames. */
static void tells_ports_of_frames_apart_whatever_datagrams_carry(void **state)
{
	struct mdfh_bypass *port = OPEN(.backend_options = "mode=raw,port=none");
	uint8_t bytes[256];

	(void)state;
	for (uint16_t vlan = 0; vlan < 2; vlan++) {
		assert_int_equal(
		    vdev_arrive(bytes, frame_to("239.1.1.2", PORT, vlan, bytes), 0, 0), 1);
		assert_int_equal(flow_of(port), 2);
		assert_int_equal(
		    vdev_arrive(bytes, frame_to("239.1.1.2", PORT + 5, vlan, bytes), 0, 0), 1);
		assert_int_equal(flow_of(port), -1);
	}
	assert_int_equal(stats_of(port).rx_filtered, 2);
	closes(port);
}

/* Whatever the device says, a packet ends where its buffer does. */
static void believes_no_length_past_the_buffer(void **state)
{
	static uint8_t bytes[70000], payload[9000]; /* lo has packets of 65536 */
	struct mdfh_frame_header header = {.source_port = 1, .destination_port = PORT};
	struct mdfh_bypass *port = OPEN(.frame_size = 1024);
	int length;

	(void)state;
	assert_ok(mdfh_frame_address("239.1.1.2", header.destination));
	assert_ok(mdfh_frame_address("10.0.0.1", header.source));
	length = mdfh_frame_build(&header, payload, sizeof(payload), bytes, sizeof(bytes));
	assert_ok(length);
	vdev.is_boasting = 1;
	assert_int_equal(vdev_arrive(bytes, sizeof(bytes), 0, 0), 1);
	assert_int_equal(flow_of(port), -1);
	assert_int_equal(stats_of(port).rx_dropped_nic, 1);
	assert_int_equal(counter_of(port, "completion: local length error"), 1);
	assert_int_equal(vdev_arrive(bytes, frame_to("239.1.1.2", PORT, 0, bytes), 0, 0), 1);
	assert_int_equal(flow_of(port), 2);
	closes(port);
}

/* A rule says nothing of VLANs, and equal ones would bring every frame twice. */
static void makes_no_rule_twice(void **state)
{
	static const struct mdfh_flow tagged[] = {
	    {.group = "239.1.1.1", .source = "10.0.0.1", .port = PORT, .vlan = 5},
	    {.group = "239.1.1.1", .port = PORT, .vlan = 5},
	    {.group = "239.1.1.1", .port = PORT, .vlan = 6},
	    {.group = "239.1.1.1", .port = PORT + 1, .vlan = 6},
	    {.group = "ff15::1", .port = PORT, .vlan = 5},
	    {.group = "ff15::1", .port = PORT, .vlan = 6},
	};
	struct mdfh_bypass *port = OPEN(.flows = tagged, .flow_count = 6);

	(void)state;
	assert_int_equal(vdev.rules_count, 4);
	closes(port);
	port = OPEN(.flows = tagged, .flow_count = 6, .backend_options = "filters=hardware");
	assert_int_equal(vdev.rules_count, 6);
	closes(port);
}

static void steers_by_hardware_address_where_the_device_has_no_more(void **state)
{
	static const struct mdfh_flow unicast = {.group = "127.0.0.1", .port = PORT};
	struct mdfh_bypass *port;
	uint8_t bytes[256];

	(void)state;
	vdev.whole_rule_error = EOPNOTSUPP;
	port = OPEN(.direction = MDFH_DIRECTION_RECEIVE);
	assert_string_equal(mdfh_bypass_capabilities(port)->mode,
	    "raw Ethernet, soft0 port 1, rules by hardware address");
	assert_int_equal(mdfh_bypass_capabilities(port)->filters, MDFH_PLACE_SOFTWARE);
	/* Two flows have a group in common. */
	assert_int_equal(vdev.rules_count, 2);
	assert_int_equal(vdev.rules[0].attributes.num_of_specs, 1);
	assert_int_equal(vdev_arrive(bytes, frame_to("239.1.1.2", PORT, 0, bytes), 0, 0), 1);
	assert_int_equal(flow_of(port), 2);
	closes(port);
	assert_int_equal(
	    try_open((struct mdfh_bypass_config){.backend_options = "filters=hardware"}, &port),
	    -EOPNOTSUPP);
	assert_error("a rule for 239.1.1.1 in the NIC of lo");
	/* All that is for this host would come. */
	assert_int_equal(
	    try_open((struct mdfh_bypass_config){.flows = &unicast, .flow_count = 1}, &port),
	    -EOPNOTSUPP);
	assert_int_equal(try_open((struct mdfh_bypass_config){.flows = &unicast,
				      .flow_count = 1,
				      .backend_options = "filters=software"},
			     &port),
	    -ENOTSUP);
	assert_error("the kernel would receive nothing any more");
	vdev.rule_error = EPERM;
	assert_int_equal(try_open((struct mdfh_bypass_config){0}, &port), -EPERM);
	assert_error("it needs CAP_NET_RAW");
	assert_int_equal(vdev.live, 0);
}

static void sends_frames(void **state)
{
	struct mdfh_bypass *port = OPEN(.multicast_ttl = 3, .direction = MDFH_DIRECTION_SEND);
	const struct mdfh_packet packets[] = {
	    {.data = (const uint8_t *)"abc", .length = 3, .flow = 1},
	    {.data = (const uint8_t *)"defg", .length = 4, .flow = 2}};
	struct mdfh_frame frame;

	(void)state;
	assert_int_equal(mdfh_bypass_send(port, packets, 2), 2);
	for (int i = 0; i < 2; i++) {
		const struct vdev_send *send = &vdev.sends[i];
		uint8_t group[16], source[16];

		assert_int_equal(send->opcode, IBV_WR_SEND);
		assert_int_equal(mdfh_frame_parse(MDFH_LINK_ETHERNET, send->bytes, send->length,
				     send->length, &frame),
		    MDFH_FRAME_OK);
		assert_int_equal(mdfh_frame_checksums(send->bytes, &frame), MDFH_FRAME_OK);
		assert_ok(mdfh_frame_address(flows[packets[i].flow].group, group));
		assert_ok(mdfh_frame_address("127.0.0.1", source));
		assert_memory_equal(frame.destination, group, 16);
		assert_memory_equal(frame.source, source, 16);
		assert_int_equal(frame.destination_port, flows[packets[i].flow].port);
		assert_int_equal(send->bytes[frame.ip_offset + 8], 3);
		assert_memory_equal(
		    send->bytes + frame.payload_offset, packets[i].data, packets[i].length);
	}
	closes(port);
}

/* Refusals -------------------------------------------------------------------------------------- */

static void refuses(struct mdfh_bypass_config config, int error, const char *text)
{
	struct mdfh_bypass *port;
	int rc = try_open(config, &port);

	if (rc != error || port)
		fail_msg("%s: %d (%s)", text, rc, mdfh_error_text());
	assert_error(text);
	assert_int_equal(vdev.live, 0);
}

#define REFUSES(error, text, ...) refuses((struct mdfh_bypass_config){__VA_ARGS__}, error, text)
#define AS_DATAGRAM               .backend_options = "mode=datagram"
#define AS_RAW                    .backend_options = "mode=raw"

static void says_what_is_missing(void **state)
{
	(void)state;
	vdev.devices = -1;
	REFUSES(-ENODEV, "load the module ib_uverbs", AS_DATAGRAM);
	vdev.devices = 0;
	/* Which of the two depends on the machine. */
	REFUSES(-ENODEV,
	    access("/sys/class/infiniband_verbs/abi_version", R_OK)
		? "load the module ib_uverbs"
		: "rdma link add rxe0 type rxe netdev eth1",
	    AS_RAW);
	fresh(NULL);
	vdev.open_error = EACCES;
	REFUSES(-EACCES, "the user needs /dev/infiniband/uverbs*", AS_RAW);
	REFUSES(-EACCES, "127.0.0.1 of interface lo: Permission denied", AS_DATAGRAM);
	vdev.open_error = ENODEV;
	REFUSES(-ENODEV, "no RDMA device has this address", AS_DATAGRAM);
	fresh(NULL);
	vdev.interface = "nowhere";
	REFUSES(-ENODEV, "interface is lo, which is of no RDMA device", AS_RAW);
	fresh(NULL);
	vdev.raw_error = EPERM;
	REFUSES(-EPERM, "it needs CAP_NET_RAW", AS_RAW);
	vdev.raw_error = EOPNOTSUPP;
	REFUSES(-ENOTSUP, "its device has none: use mode=datagram", AS_RAW);
	fresh(NULL);
	vdev.link_layer = IBV_LINK_LAYER_INFINIBAND;
	REFUSES(-ENOTSUP, "soft0 is no Ethernet device", .backend_options = "mode=raw");
	fresh(NULL);
	vdev.join_error = ENETDOWN;
	REFUSES(-ENETDOWN, "verbs: group 239.1.1.1 on lo", AS_DATAGRAM);
	fresh(NULL);
	vdev.is_join_silent = 1;
	REFUSES(-ETIMEDOUT, "0 of 2 groups were joined on lo in 10 ms",
	    .backend_options = "mode=datagram,join_timeout_ms=10");
	fresh(NULL);
	vdev.max_wr = 256;
	REFUSES(-EINVAL, "rx_ring_size is 512; soft0 has room for 256", AS_RAW);
	fresh(NULL);
	vdev.loop_error = EINVAL;
	REFUSES(-ENOTSUP, "multicast_loop is off, and soft0 always hears itself",
	    .multicast_loop = MDFH_OFF);
}

static void refuses_a_configuration_that_means_nothing(void **state)
{
	static const struct mdfh_flow vlan = {.group = "239.1.1.1", .port = PORT, .vlan = 7};
	static const struct mdfh_flow any = {.port = PORT};
	static const struct mdfh_flow server = {.group = "127.0.0.1", .port = PORT};

	(void)state;
	REFUSES(-ENODEV, "interface is 'mlx5_0', and there is no such network device",
	    .interface = "mlx5_0");
	REFUSES(-EINVAL, "queue is 1", .queue = 1);
	REFUSES(-ENOTSUP, "busy_poll_us is 5", .busy_poll_us = 5);
	REFUSES(-EINVAL, "mode is 'fast'; it must be auto, datagram or raw",
	    .backend_options = "mode=fast");
	REFUSES(-EINVAL, "port is '1'; it must be none, immediate", .backend_options = "port=1");
	REFUSES(-EINVAL, "filters is 'none'; it must be auto, software or hardware",
	    .backend_options = "filters=none");
	REFUSES(-EINVAL, "address is '239.1.1.1'", .backend_options = "address=239.1.1.1");
	REFUSES(-EINVAL, "join_timeout_ms", .backend_options = "join_timeout_ms=0");
	REFUSES(-EINVAL, "speed", .backend_options = "speed=9");
	REFUSES(-ENOTSUP, "transport is TCP", .transport = MDFH_TRANSPORT_TCP, .flows = &server,
	    .flow_count = 1);
	REFUSES(-ENOTSUP, "name that (lo.7)", AS_DATAGRAM, .flows = &vlan, .flow_count = 1);
	REFUSES(-ENOTSUP, "trailer is set", AS_DATAGRAM, .trailer = MDFH_TRAILER_METAMAKO);
	REFUSES(-ENOTSUP, "flows[0] has 127.0.0.1; a datagram queue pair receives groups only",
	    AS_DATAGRAM, .flows = &server, .flow_count = 1);
	REFUSES(
	    -ENOTSUP, "flows[0] has no group; a rule in the NIC", .flows = &any, .flow_count = 1);
	vdev.is_of_software = 1;
	REFUSES(-ENOTSUP, "require_zero_copy is on, and packets are copied (device of software)",
	    .require_zero_copy = MDFH_ON);
}

static void chooses_by_the_device(void **state)
{
	struct mdfh_bypass *port = OPEN(.direction = MDFH_DIRECTION_RECEIVE);

	(void)state;
	assert_non_null(strstr(mdfh_bypass_capabilities(port)->mode, "raw Ethernet"));
	closes(port);
	vdev.steers = 0;
	port = OPEN(.direction = MDFH_DIRECTION_RECEIVE);
	assert_string_equal(mdfh_bypass_capabilities(port)->mode, "datagram, soft0 port 1");
	closes(port);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    TEST(steers_frames_by_whole_rules),
	    TEST(tells_ports_of_frames_apart_whatever_datagrams_carry),
	    TEST(believes_no_length_past_the_buffer),
	    TEST(makes_no_rule_twice),
	    TEST(steers_by_hardware_address_where_the_device_has_no_more),
	    TEST(sends_frames),
	    TEST(says_what_is_missing),
	    TEST(refuses_a_configuration_that_means_nothing),
	    TEST(chooses_by_the_device),
	};
	int status = test_begin(argc, argv);

	return status ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
