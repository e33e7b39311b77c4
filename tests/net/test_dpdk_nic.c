/* test_dpdk_nic.c - backend dpdk on a NIC of software (fake_nic.h): rules taken, refused in part and refused,
 * RSS, checksums, stamps, tags and groups. */
#include <errno.h>
#include <rte_dev.h>
#include <rte_ethdev.h>

#include "mdfh/clock.h"
#include "net/dpdk_test.h"
#include "net/fake_nic.h"
#include "net/module_test.h"
#include "net/querier_test.h"

#define OPS (mdfh_backend_module.ops)

static const struct mdfh_flow flows[] = {
    {.group = "239.1.1.1", .port = 26477, .source = "10.0.0.1"},
    {.group = "ff15::1", .port = 26478},
    {.group = "239.1.1.2", .port = 26479, .vlan = 100},
};

static int try_to_open(struct mdfh_bypass_config config, struct mdfh_bypass **port)
{
	config.size = sizeof(config);
	config.interface = FAKE_NIC;
	config.hugepages = MDFH_OFF;
	config.rx_ring_size = 256;
	if (!config.flows) {
		config.flows = flows;
		config.flow_count = 3;
	}
	return module_open(&config, port);
}

static struct mdfh_bypass *open_nic(struct mdfh_bypass_config config)
{
	struct mdfh_bypass *port;

	assert_ok(try_to_open(config, &port));
	return port;
}

/* Frames ------------------------------------------------------------------------------------------- */

struct sent {
	const char *group, *source;
	uint16_t port, outer, inner;
};

static const struct sent of_flow[] = {
    {"239.1.1.1", "10.0.0.1", 26477, 0, 0},
    {"ff15::1", "fd00::1", 26478, 0, 0},
    {"239.1.1.2", "10.0.0.1", 26479, 100, 0},
};

static uint32_t make(const struct sent *sent, uint8_t *frame)
{
	struct mdfh_frame_header header = {
	    .source_port = 4000,
	    .destination_port = sent->port,
	    .vlan = {sent->outer, sent->inner},
	    .vlan_count = (uint8_t)((sent->outer != 0) + (sent->inner != 0)),
	};
	int length;

	mdfh_frame_address(sent->group, header.destination);
	mdfh_frame_address(sent->source, header.source);
	length = mdfh_frame_build(&header, "twelve bytes", 12, frame, 256);
	assert_true(length > 0);
	return (uint32_t)length;
}

static int arrive(const struct sent *sent)
{
	uint8_t frame[256];

	return fake_nic_receive(frame, make(sent, frame));
}

/* A general query of IGMPv3 (RFC 3376, 4.1), with the option that every router sees to. */
static uint32_t make_query(uint8_t *frame)
{
	static const uint8_t bytes[] = {0x01, 0x00, 0x5e, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x08, 0x00,
	    0x46, 0, 0, 36, 0, 1, 0, 0, 1, 2, 0x3a, 0xc9, 10, 0, 0, 9, 224, 0, 0, 1, 0x94, 4, 0, 0,
	    0x11, 1, 0xec, 0xfe, 0, 0, 0, 0, 2, 0, 0, 0};

	memset(frame, 0, 64);
	memcpy(frame, bytes, sizeof(bytes));
	return sizeof(bytes);
}

/* One of IGMPv2 (RFC 2236, 2): answer within 0.5 s. */
static uint32_t make_query_v2(uint8_t *frame)
{
	static const uint8_t head[] = {0x01, 0x00, 0x5e, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x08, 0x00,
	    0x45, 0, 0, 28, 0, 1, 0, 0, 1, 2, 0, 0, 10, 0, 0, 9, 224, 0, 0, 1};
	uint16_t sum;

	memset(frame, 0, 64);
	memcpy(frame, head, sizeof(head));
	sum = querier_sum(frame + 14, 20);
	frame[24] = (uint8_t)(sum >> 8);
	frame[25] = (uint8_t)sum;
	frame[34] = 0x11;
	frame[35] = 5;
	sum = querier_sum(frame + 34, 8);
	frame[36] = (uint8_t)(sum >> 8);
	frame[37] = (uint8_t)sum;
	return 60;
}

/* One of MLDv2 (RFC 3810, 5.1), for the NIC's rules: without a checksum. */
static uint32_t make_query_mld(uint8_t *frame)
{
	static const uint8_t bytes[90] = {0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x86,
	    0xdd, [14] = 0x60, [19] = 36, 0, 1, 0xfe, 0x80, [37] = 9, 0xff, 2, [53] = 1, 58, 0, 5,
	    2, 0, 0, [62] = 130, [67] = 100, [86] = 2, 125};

	memcpy(frame, bytes, sizeof(bytes));
	return sizeof(bytes);
}

/* What has come: so many packets, the flow of each. */
static int take(struct mdfh_bypass *port, struct mdfh_packet *packets)
{
	int got = OPS->recv(port, packets, 64);

	assert_true(got >= 0);
	OPS->release(port, packets, got);
	return got;
}

static struct mdfh_packet take_one(struct mdfh_bypass *port)
{
	struct mdfh_packet packets[64];

	assert_int_equal(take(port, packets), 1);
	return packets[0];
}

static const struct sent strays[] = {
    {"239.1.1.1", "10.0.0.2", 26477, 0, 0},   /* another source */
    {"239.1.1.1", "10.0.0.1", 26478, 0, 0},   /* port */
    {"239.129.1.1", "10.0.0.1", 26477, 0, 0}, /* group of the same hardware address */
    {"239.1.1.2", "10.0.0.1", 26479, 0, 0},   /* no VLAN */
    {"239.1.1.2", "10.0.0.1", 26479, 101, 0}, /* another one */
    {"ff15::1", "fd00::1", 26477, 0, 0},
};

enum { STRAYS = sizeof(strays) / sizeof(strays[0]) };

/* The same for each way of filtering: packets of the flows come, the others do not. */
static void expect_flows(struct mdfh_bypass *port)
{
	static const struct sent inner = {"239.1.1.2", "10.0.0.1", 26479, 7, 100};
	static const struct sent tagged = {"239.1.1.1", "10.0.0.1", 26477, 9, 8};

	for (uint16_t flow = 0; flow < 3; flow++) {
		assert_true(arrive(&of_flow[flow]) >= 0);
		assert_int_equal(take_one(port).flow, flow);
	}
	arrive(&inner);
	assert_int_equal(take_one(port).flow, 2);
	arrive(&tagged);
	assert_int_equal(take_one(port).flow, 0);
	for (int i = 0; i < STRAYS; i++) {
		struct mdfh_packet packets[64];

		arrive(&strays[i]);
		assert_int_equal(take(port, packets), 0);
	}
}

/* Other packets than the port's own, which are larger, with more before the payload than ours have room for. A
 * copy has the payload alone, and what is held beside it stays as it was. */
static void copies_a_payload_behind_long_headers(void **state)
{
	enum { OPTIONS = 2048, PAYLOAD = 1500, LENGTH = 14 + 40 + OPTIONS + 8 + PAYLOAD };
	struct mdfh_bypass *port;
	struct rte_mempool *pool;
	struct mdfh_packet held[61];
	uint8_t bytes[LENGTH], payload[PAYLOAD] = {0};
	unsigned left;

	(void)state;
	fake_nic_reset();
	port = open_nic((struct mdfh_bypass_config){.batch_size = 16,
	    .hold_max = 64,
	    .enable_zero_copy = MDFH_OFF,
	    .backend_options = "filters=software"});
	pool = rte_pktmbuf_pool_create("larger", 7, 0, 0, 8192, SOCKET_ID_ANY);
	assert_non_null(pool);
	for (int i = 0; i < 60; i++) {
		arrive(&of_flow[0]);
		assert_int_equal(OPS->recv(port, &held[i], 1), 1);
		assert_int_equal(held[i].header_length, 42); /* a copy of all */
	}
	fake_nic.pool = pool;
	for (uint32_t round = 0; round < 4; round++) {
		struct mdfh_frame_header header = {.source_port = 1, .destination_port = 26478};
		struct mdfh_packet packet;

		assert_ok(mdfh_frame_address("ff15::1", header.destination));
		assert_ok(mdfh_frame_address("fd00::1", header.source));
		number_write(payload, PAYLOAD, 4711 + round);
		assert_int_equal(
		    mdfh_frame_build(&header, payload, PAYLOAD, bytes, LENGTH), LENGTH - OPTIONS);
		/* The ports and the payload move to behind the options. */
		memmove(bytes + 54 + OPTIONS, bytes + 54, 8 + PAYLOAD);
		memset(bytes + 54, 0, OPTIONS);
		bytes[54] = 17; /* UDP */
		bytes[55] = OPTIONS / 8 - 1;
		bytes[18] = (OPTIONS + 8 + PAYLOAD) >> 8;
		bytes[19] = (OPTIONS + 8 + PAYLOAD) & 0xff;
		bytes[20] = 60; /* destination options */
		assert_true(fake_nic_receive(bytes, LENGTH) >= 0);
		assert_int_equal(OPS->recv(port, &packet, 1), 1);
		assert_int_equal(packet.flow, 1);
		assert_int_equal(packet.length, PAYLOAD);
		assert_int_equal(number_of(&packet), 4711 + round);
		assert_true(packet.flags & MDFH_PACKET_COPIED);
		assert_int_equal(packet.header_length, 0);
		OPS->release(port, &packet, 1);
	}
	for (int i = 0; i < 60; i++)
		assert_memory_equal(held[i].data, "twelve bytes", 12);
	OPS->release(port, held, 60);
	left = rte_mempool_in_use_count(pool);
	fake_nic.pool = NULL;
	OPS->close(port);
	rte_mempool_free(pool);
	assert_int_equal(left, 0);
}

/* Rules --------------------------------------------------------------------------------------------- */

static void has_the_nic_filter(void **state)
{
	static const char *const options[] = {"filters=auto", "filters=hardware"};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct mdfh_bypass *port;
		const struct mdfh_bypass_capabilities *can;

		fake_nic_reset();
		port = open_nic((struct mdfh_bypass_config){.backend_options = options[i]});
		can = &port->capabilities;
		assert_true(can->zero_copy);
		assert_int_equal(can->filters, MDFH_PLACE_HARDWARE);
		assert_non_null(strstr(can->mode, "net_fake_nic, no hugepages, queue 0 of 1"));
		assert_non_null(strstr(can->mode, "multicast list, rte_flow rules"));
		assert_string_equal(can->warning, "");
		assert_true(fake_nic.is_isolated);
		/* The flows, a second tag, and routers' questions by IGMP and by MLD. */
		assert_int_equal(fake_nic.rules, 3 + 1 + 2);
		expect_flows(port);
		assert_int_equal(fake_nic.kept_away, STRAYS);
		assert_int_equal(port->stats.rx_filtered, 0);
		OPS->close(port);
		assert_int_equal(fake_nic.rules, 0);
	}
}

/* One rule that it does not take, and the port does all of it. */
static void filters_itself_where_a_rule_is_refused(void **state)
{
	static const struct fake_nic nics[] = {{.rules_max = -1}, {.rules_max = 2},
	    {.refuses_sources = 1}, {.refuses_inner = 1}, {.refuses_isolation = 1},
	    {.rules_max = -1, .strips_tags = 1}};

	(void)state;
	for (size_t i = 0; i < sizeof(nics) / sizeof(nics[0]); i++) {
		struct mdfh_bypass *port;

		fake_nic_reset();
		fake_nic = nics[i];
		port = open_nic((struct mdfh_bypass_config){0});
		assert_int_equal(port->capabilities.filters, MDFH_PLACE_SOFTWARE);
		assert_null(strstr(port->capabilities.mode, "rte_flow"));
		assert_false(fake_nic.is_isolated);
		assert_int_equal(fake_nic.rules, 0);
		expect_flows(port);
		assert_int_equal(port->stats.rx_filtered, STRAYS);
		assert_int_equal(fake_nic.kept_away, 0);
		OPS->close(port);
	}
}

/* An IPv4 address may be written as IPv6 has it: the questions are those of IGMP. */
static void knows_an_ipv4_group_written_as_ipv6(void **state)
{
	static const struct mdfh_flow mapped = {.group = "::ffff:239.1.1.1", .port = 26477};
	struct mdfh_bypass *port;
	uint8_t query[96];

	(void)state;
	fake_nic_reset();
	port = open_nic((struct mdfh_bypass_config){.flows = &mapped, .flow_count = 1});
	assert_int_equal(port->capabilities.filters, MDFH_PLACE_HARDWARE);
	assert_int_equal(fake_nic.rules, 2);
	assert_int_equal(fake_nic_receive(query, make_query(query)), 0);
	assert_int_equal(fake_nic_receive(query, make_query_mld(query)), -1);
	OPS->close(port);
}

/* Whichever queue's port has flows of the family, and another's when that one is closed. */
static void lets_questions_in_to_any_queue(void **state)
{
	static const struct {
		uint16_t first, count; /* of flows */
		int igmp, mld;         /* the queue of questions when the port is open */
	} cases[] = {{1, 1, -1, 1}, {0, 1, 2, 1}, {0, 2, 2, 1}};
	struct mdfh_bypass *ports[4];
	uint8_t query[96];

	(void)state;
	fake_nic_reset();
	for (uint16_t i = 0; i < 3; i++) {
		ports[i + 1] = open_nic((struct mdfh_bypass_config){.flows = &flows[cases[i].first],
		    .flow_count = cases[i].count,
		    .queue = i + 1,
		    .backend_options = "queues=4"});
		assert_true(fake_nic.is_isolated);
		assert_int_equal(fake_nic_receive(query, make_query(query)), cases[i].igmp);
		assert_int_equal(fake_nic_receive(query, make_query_mld(query)), cases[i].mld);
	}
	OPS->close(ports[2]);
	assert_int_equal(fake_nic_receive(query, make_query(query)), 3);
	assert_int_equal(fake_nic_receive(query, make_query_mld(query)), 1);
	OPS->close(ports[1]);
	assert_int_equal(fake_nic_receive(query, make_query_mld(query)), 3);
	OPS->close(ports[3]);
	assert_int_equal(fake_nic.rules, 0);
}

/* A NIC that was there before and stays: it is not left in a mode in which nothing comes. */
static void filters_itself_on_a_nic_of_another(void **state)
{
	struct mdfh_bypass *port;

	(void)state;
	fake_nic_reset();
	assert_ok(rte_dev_probe(FAKE_NIC));
	fake_nic.rules_max = -1;
	port = open_nic((struct mdfh_bypass_config){0});
	assert_false(fake_nic.is_isolated);
	expect_flows(port);
	OPS->close(port);
	fake_nic_reset();
	port = open_nic((struct mdfh_bypass_config){0});
	assert_true(fake_nic.is_isolated);
	OPS->close(port);
	assert_false(fake_nic.is_isolated);
	assert_ok(rte_eal_hotplug_remove("vdev", FAKE_NIC));
}

/* Its queues keep packets of the port's until they are set up anew, in memory that has no room for two
 * of them. */
static void opens_a_nic_of_another_again(void **state)
{
	(void)state;
	fake_nic_reset();
	assert_ok(rte_dev_probe(FAKE_NIC));
	for (int i = 0; i < 3; i++) {
		struct mdfh_bypass *port =
		    open_nic((struct mdfh_bypass_config){.hold_max = 115000});

		expect_flows(port);
		OPS->close(port);
	}
	assert_ok(rte_eal_hotplug_remove("vdev", FAKE_NIC));
}

static void fails_where_the_nic_has_to_filter(void **state)
{
	static const struct {
		struct fake_nic nic;
		const char *sentence;
	} cases[] = {
	    {{.rules_max = -1}, "refuses a rule (the table is full)"},
	    {{.rules_max = 3}, "refuses a rule (the table is full)"},
	    {{.refuses_sources = 1}, "refuses a rule (no source addresses)"},
	    {{.refuses_isolation = 1}, "cannot keep other packets away (no isolated mode)"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mdfh_bypass *port;

		fake_nic_reset();
		fake_nic = cases[i].nic;
		assert_int_equal(
		    try_to_open(
			(struct mdfh_bypass_config){.backend_options = "filters=hardware"}, &port),
		    -ENOTSUP);
		assert_error(cases[i].sentence);
		assert_int_equal(fake_nic.rules, 0);
	}
}

static void says_that_a_second_tag_is_not_looked_at(void **state)
{
	static const struct sent inner = {"239.1.1.2", "10.0.0.1", 26479, 7, 100};
	struct mdfh_bypass *port;

	(void)state;
	fake_nic_reset();
	fake_nic.refuses_inner = 1;
	port = open_nic((struct mdfh_bypass_config){.backend_options = "filters=hardware"});
	assert_non_null(strstr(port->capabilities.warning,
	    "net_fake_nic takes no rule for a second tag: VLAN 100 is not received inside"));
	assert_int_equal(arrive(&of_flow[2]), 0);
	assert_int_equal(take_one(port).flow, 2);
	assert_int_equal(arrive(&inner), -1);
	OPS->close(port);
}

/* Every UDP packet that comes to the host, and no rule says that. */
static void receives_all_without_flows(void **state)
{
	static const struct sent unicast = {"10.0.0.5", "10.0.0.1", 5000, 0, 0};
	struct mdfh_bypass_config config = {
	    .size = sizeof(config), .interface = FAKE_NIC, .hugepages = MDFH_OFF};
	struct mdfh_bypass *port, *beside;

	(void)state;
	fake_nic_reset();
	assert_ok(module_open(&config, &port));
	assert_int_equal(arrive(&unicast), 0);
	assert_int_equal(take_one(port).flow, MDFH_FLOW_NONE);
	OPS->close(port);
	config.backend_options = "filters=hardware";
	assert_int_equal(module_open(&config, &port), -EINVAL);
	assert_error("filters is hardware, and there are no flows");
	/* Nor where the NIC keeps away what the port beside it does not want. */
	port = open_nic((struct mdfh_bypass_config){.backend_options = "queues=2"});
	assert_true(fake_nic.is_isolated);
	config.queue = 1;
	config.rx_ring_size = 256;
	config.backend_options = "queues=2";
	assert_int_equal(module_open(&config, &beside), -ENOTSUP);
	assert_error("net_ring0 keeps away what no flow");
	OPS->close(port);
}

/* The longest payload comes behind the headers of either family. */
static void lets_long_packets_in(void **state)
{
	struct mdfh_bypass *port;

	(void)state;
	fake_nic_reset();
	port = open_nic((struct mdfh_bypass_config){0});
	assert_int_equal(fake_nic.mtu, 0);
	OPS->close(port);
	port = open_nic((struct mdfh_bypass_config){.frame_size = 8192});
	assert_int_equal(fake_nic.mtu, 8192 + 40 + 8);
	OPS->close(port);
}

/* Queues --------------------------------------------------------------------------------------------- */

/* A feed of 64 senders, to each of two groups. */
static void arrive_from_many(void)
{
	for (int i = 0; i < 128; i++) {
		char source[32];
		const struct sent sent = {i % 2 ? "239.1.1.1" : "239.1.1.2", source, 26477, 0, 0};

		snprintf(source, sizeof(source), "10.0.1.%d", i / 2 + 1);
		assert_true(arrive(&sent) >= 0);
	}
}

static const struct mdfh_flow two_groups[] = {
    {.group = "239.1.1.1", .port = 26477}, {.group = "239.1.1.2", .port = 26477}};

static void steers_flows_to_their_queues(void **state)
{
	struct mdfh_packet packets[64];
	struct mdfh_bypass *ports[2];

	(void)state;
	fake_nic_reset();
	fake_nic.refuses_isolation = 1;
	for (uint16_t i = 0; i < 2; i++)
		ports[i] = open_nic((struct mdfh_bypass_config){.flows = &two_groups[i],
		    .flow_count = 1,
		    .queue = i,
		    .backend_options = "queues=2"});
	assert_int_equal(fake_nic.rules, 2);
	arrive_from_many();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fake_nic.received[i], 64);
		assert_int_equal(take(ports[i], packets), 64);
		assert_int_equal(ports[i]->stats.rx_filtered, 0);
		assert_string_equal(ports[i]->capabilities.warning, "");
	}
	OPS->close(ports[0]);
	assert_int_equal(fake_nic.rules, 1);
	OPS->close(ports[1]);
}

static void spreads_by_hash_without_rules(void **state)
{
	struct mdfh_packet packets[64];
	struct mdfh_bypass *ports[2];
	int got = 0;

	(void)state;
	fake_nic_reset();
	fake_nic.refuses_isolation = 1;
	fake_nic.rules_max = -1;
	for (uint16_t i = 0; i < 2; i++)
		ports[i] = open_nic((struct mdfh_bypass_config){.flows = two_groups,
		    .flow_count = 2,
		    .queue = i,
		    .backend_options = "queues=2"});
	/* What the device can of what was wanted. */
	assert_int_equal(fake_nic.rss & ~(uint64_t)((1u << 2) | (1u << 5)), 0);
	assert_true(fake_nic.rss != 0);
	assert_non_null(strstr(ports[1]->capabilities.warning,
	    "net_fake_nic refuses rules, so its packets are spread over 2 queues"));
	arrive_from_many();
	for (int i = 0; i < 2; i++) {
		int n;

		assert_true(fake_nic.received[i] > 20);
		while ((n = take(ports[i], packets)))
			got += n;
	}
	assert_int_equal(got, 128);
	OPS->close(ports[0]);
	OPS->close(ports[1]);
	fake_nic_reset();
	fake_nic.has_no_rss = 1;
	ports[0] = open_nic((struct mdfh_bypass_config){.backend_options = "queues=2"});
	assert_int_equal(fake_nic.rss, 0);
	OPS->close(ports[0]);
}

/* Checksums ------------------------------------------------------------------------------------------ */

enum { IP_SUM = 14 + 10, UDP_SUM = 14 + 20 + 6 };

static void arrive_with(const struct sent *sent, uint32_t at, uint8_t with, int clears)
{
	uint8_t frame[256];
	uint32_t length = make(sent, frame);

	if (clears)
		frame[at] = frame[at + 1] = 0;
	frame[at] ^= with;
	assert_true(fake_nic_receive(frame, length) >= 0);
}

static void discards_wrong_sums(void **state)
{
	struct mdfh_packet packets[64];
	struct mdfh_bypass *port;

	(void)state;
	fake_nic_reset();
	fake_nic.flags_missing_sum = 1;
	port = open_nic((struct mdfh_bypass_config){0});
	arrive_with(&of_flow[0], UDP_SUM, 0x10, 0);
	assert_int_equal(take(port, packets), 0);
	assert_int_equal(port->stats.malformed[MDFH_FRAME_CHECKSUM], 1);
	arrive_with(&of_flow[0], IP_SUM, 0x10, 0);
	assert_int_equal(take(port, packets), 0);
	arrive_with(&of_flow[1], 14 + 40 + 6, 1, 0); /* UDP over IPv6 */
	assert_int_equal(take(port, packets), 0);
	assert_int_equal(port->stats.malformed[MDFH_FRAME_CHECKSUM], 3);
	assert_int_equal(port->stats.rx_malformed, 3);
	assert_int_equal(port->stats.rx_filtered, 0);
	/* The device calls a sum wrong that is not there. */
	arrive_with(&of_flow[0], UDP_SUM, 0, 1);
	assert_int_equal(take_one(port).flow, 0);
	/* The next one is sound. */
	arrive(&of_flow[0]);
	assert_int_equal(take_one(port).flow, 0);
	assert_int_equal(port->stats.rx_malformed, 3);
	OPS->close(port);

	/* A device that does not look hands out what came, as every backend does. */
	fake_nic_reset();
	fake_nic.has_no_checksums = 1;
	port = open_nic((struct mdfh_bypass_config){.timestamps = MDFH_TIMESTAMPS_OFF});
	assert_int_equal(fake_nic.offloads, 0);
	arrive_with(&of_flow[0], UDP_SUM, 0x10, 0);
	assert_int_equal(take(port, packets), 1);
	OPS->close(port);
}

/* Times --------------------------------------------------------------------------------------------- */

/* Of one packet, which arrives now; how far its time is off. */
static uint64_t arrive_timed(struct mdfh_bypass *port, struct mdfh_packet *packet)
{
	uint64_t before_ns = mdfh_clock_now_ns(), after_ns;

	arrive(&of_flow[0]);
	after_ns = mdfh_clock_now_ns();
	*packet = take_one(port);
	if (packet->receive_ns < before_ns)
		return before_ns - packet->receive_ns;
	return packet->receive_ns > after_ns ? packet->receive_ns - after_ns : 0;
}

static void tells_the_nics_time(void **state)
{
	struct mdfh_bypass *port;
	struct mdfh_packet packet;
	uint32_t least_error_ns = UINT32_MAX;

	(void)state;
	/* Looks at the NIC's clock take long where the machine stands still, and the bound says so: then
	 * once more. */
	for (int tries = 0; tries < 20 && least_error_ns >= 10000000; tries++) {
		fake_nic_reset();
		fake_nic.stamps_every = 2;
		port =
		    open_nic((struct mdfh_bypass_config){.timestamps = MDFH_TIMESTAMPS_HARDWARE});
		assert_int_equal(port->capabilities.timestamps, MDFH_PLACE_HARDWARE);
		for (int i = 0; i < 20; i++) {
			uint64_t off_ns = arrive_timed(port, &packet);

			assert_int_equal(packet.flags & MDFH_PACKET_TIME_MASK,
			    i % 2 ? MDFH_PACKET_TIME_APP : MDFH_PACKET_TIME_NIC);
			if (i % 2)
				continue;
			assert_true(off_ns <= packet.time_error_ns);
			if (packet.time_error_ns < least_error_ns)
				least_error_ns = packet.time_error_ns;
		}
		OPS->close(port);
	}
	assert_true(least_error_ns < 10000000);

	fake_nic_reset();
	port = open_nic((struct mdfh_bypass_config){.timestamps = MDFH_TIMESTAMPS_SOFTWARE});
	assert_false(fake_nic.offloads & RTE_ETH_RX_OFFLOAD_TIMESTAMP);
	(void)arrive_timed(port, &packet);
	assert_int_equal(packet.flags & MDFH_PACKET_TIME_MASK, MDFH_PACKET_TIME_APP);
	OPS->close(port);

	fake_nic_reset();
	fake_nic.has_no_stamps = 1;
	assert_int_equal(
	    try_to_open((struct mdfh_bypass_config){.timestamps = MDFH_TIMESTAMPS_HARDWARE}, &port),
	    -ENOTSUP);
	assert_error("timestamps are asked of the hardware, and net_ring0 gives none");
}

/* A switch's header hides packets from the NIC's rules: the port looks for itself. */
static void reads_a_switchs_header(void **state)
{
	uint8_t plain[256], frame[256];
	uint64_t at_ns = mdfh_clock_now_ns() - 5000000;
	uint32_t seconds = (uint32_t)(at_ns / 1000000000), ns = (uint32_t)(at_ns % 1000000000);
	const uint8_t header[14] = {0xd2, 0x8b, 0, 1, 1, 0x10, (uint8_t)(seconds >> 24),
	    (uint8_t)(seconds >> 16), (uint8_t)(seconds >> 8), (uint8_t)seconds,
	    (uint8_t)(ns >> 24), (uint8_t)(ns >> 16), (uint8_t)(ns >> 8), (uint8_t)ns};
	uint32_t length = make(&of_flow[0], plain);
	struct mdfh_packet packet;
	struct mdfh_bypass *port;

	(void)state;
	memcpy(frame, plain, 12);
	memcpy(frame + 12, header, 14);
	memcpy(frame + 26, plain + 12, length - 12);
	fake_nic_reset();
	port = open_nic((struct mdfh_bypass_config){.trailer = MDFH_TRAILER_ARISTA_7280});
	assert_int_equal(port->capabilities.filters, MDFH_PLACE_SOFTWARE);
	assert_int_equal(fake_nic_receive(frame, length + 14), 0);
	packet = take_one(port);
	assert_true(packet.receive_ns == at_ns);
	assert_int_equal(packet.flags & MDFH_PACKET_TIME_MASK, MDFH_PACKET_TIME_TAP);
	assert_int_equal(packet.length, 12);
	OPS->close(port);
	assert_int_equal(
	    try_to_open((struct mdfh_bypass_config){.trailer = MDFH_TRAILER_ARISTA_7280,
			    .backend_options = "filters=hardware"},
		&port),
	    -ENOTSUP);
	assert_error("behind which a device's rules find no packets");
}

/* Groups -------------------------------------------------------------------------------------------- */

static void lets_groups_in(void **state)
{
	static const struct sent other = {"239.7.7.7", "10.0.0.1", 26477, 0, 0};
	struct mdfh_bypass *port;

	(void)state;
	fake_nic_reset();
	port = open_nic((struct mdfh_bypass_config){.backend_options = "filters=software"});
	assert_int_equal(
	    fake_nic.groups, 3 + 1); /* 224.0.0.1; ff15::1 has the address of ff02::1 */
	assert_int_equal(arrive(&other), -1);
	expect_flows(port);
	OPS->close(port);
	fake_nic_reset();
	fake_nic.has_no_list = 1;
	port = open_nic((struct mdfh_bypass_config){.backend_options = "filters=software"});
	assert_non_null(strstr(port->capabilities.mode, "all multicast"));
	assert_int_equal(arrive(&other), 0);
	OPS->close(port);
}

static void answers_routers_through_its_rules(void **state)
{
	struct mdfh_packet packets[64];
	struct mdfh_bypass *port;
	uint8_t query[64];
	uint64_t joined, until_ns;

	(void)state;
	fake_nic_reset();
	port = open_nic((struct mdfh_bypass_config){0});
	assert_int_equal(port->capabilities.filters, MDFH_PLACE_HARDWARE);
	until_ns = mdfh_clock_now_ns() + 5000000000;
	/* It says what it wants, more than once (RFC 3376, 8.1), then is silent. */
	for (joined = 0; mdfh_clock_now_ns() < until_ns && joined < 2; joined = fake_nic.sent)
		(void)take(port, packets);
	assert_true(joined >= 2);
	until_ns = mdfh_clock_now_ns() + 1500000000;
	while (mdfh_clock_now_ns() < until_ns)
		(void)take(port, packets);
	joined = fake_nic.sent;
	assert_int_equal(fake_nic_receive(query, make_query(query)), 0);
	until_ns = mdfh_clock_now_ns() + 5000000000;
	while (mdfh_clock_now_ns() < until_ns && fake_nic.sent == joined)
		(void)take(port, packets);
	assert_true(fake_nic.sent > joined);
	OPS->close(port);
}

/* What the port of a queue reported last: version 2 of a group of its own, or version 3 of any. */
static struct {
	int is_v2, is_v3;
} reported[2];

static void look_at_report(int queue, const uint8_t *bytes, uint32_t length)
{
	static const uint8_t second[4] = {239, 1, 1, 2};
	const uint8_t *igmp = bytes + 14 + 24;

	assert_true(length >= 60 && queue < 2 && bytes[23] == IPPROTO_IGMP);
	if (igmp[0] == IGMP_REPORT)
		reported[queue].is_v3++;
	if (igmp[0] == 0x16 && !memcmp(igmp + 4, second, 4))
		reported[queue].is_v2++;
}

/* Until it is so, or 5 s have passed. */
static int becomes(struct mdfh_bypass *const *ports, int count, const int *is)
{
	uint64_t until_ns = mdfh_clock_now_ns() + 5000000000;
	struct mdfh_packet packets[64];

	while (!*is && mdfh_clock_now_ns() < until_ns)
		for (int i = 0; i < count; i++)
			(void)take(ports[i], packets);
	return *is;
}

static void open_two(struct mdfh_bypass **ports, int from, int to)
{
	for (int i = from; i < to; i++)
		ports[i] = open_nic((struct mdfh_bypass_config){.flows = &two_groups[1],
		    .flow_count = 1,
		    .queue = (uint16_t)i,
		    .backend_options = "queues=2"});
}

static void watch_reports(void)
{
	fake_nic_reset();
	fake_nic.refuses_isolation = 1;
	fake_nic.on_send = look_at_report;
	memset(reported, 0, sizeof(reported));
}

/* A router's question comes to one queue, and the ports of all have to answer, in its version (RFC 2236);
 * who is left behind when another leaves says that he is still there. */
static void answers_routers_on_every_queue(void **state)
{
	struct mdfh_bypass *ports[2];
	uint8_t query[64];

	(void)state;
	watch_reports();
	open_two(ports, 0, 2);
	assert_true(becomes(ports, 2, &reported[0].is_v3));
	assert_true(becomes(ports, 2, &reported[1].is_v3));
	assert_int_equal(fake_nic_receive(query, make_query_v2(query)), 0);
	assert_true(becomes(ports, 2, &reported[0].is_v2));
	assert_true(becomes(ports, 2, &reported[1].is_v2));
	reported[1].is_v2 = 0;
	OPS->close(ports[0]);
	assert_true(becomes(&ports[1], 1, &reported[1].is_v2));
	OPS->close(ports[1]);
}

/* What routers asked before a queue had a port is no question to it: it says first what it wants. */
static void joins_whatever_was_asked_before(void **state)
{
	struct mdfh_bypass *ports[2];
	uint8_t query[64];

	(void)state;
	watch_reports();
	open_two(ports, 0, 1);
	assert_true(becomes(ports, 1, &reported[0].is_v3));
	assert_int_equal(fake_nic_receive(query, make_query_v2(query)), 0);
	assert_true(becomes(ports, 1, &reported[0].is_v2));
	open_two(ports, 1, 2);
	assert_true(becomes(&ports[1], 1, &reported[1].is_v3));
	OPS->close(ports[0]);
	OPS->close(ports[1]);
}

/* Its thread frees what another's has made: that one never runs out of packets. */
static void keeps_the_oldest_questions_for_a_queue(void **state)
{
	enum { HEARD = 8 };
	struct mdfh_bypass *ports[2];
	struct mdfh_packet packets[64];
	struct rte_mempool *copies;
	char name[32];
	uint8_t query[64];
	uint16_t id;
	uint64_t until_ns;

	(void)state;
	fake_nic_reset();
	fake_nic.refuses_isolation = 1;
	open_two(ports, 0, 2);
	assert_ok(rte_eth_dev_get_port_by_name(FAKE_NIC, &id));
	snprintf(name, sizeof(name), "mdfh_heard_%u", id);
	copies = rte_mempool_lookup(name);
	assert_non_null(copies);
	(void)take(ports[1], packets); /* it has joined */
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < HEARD + 2; i++) {
			assert_int_equal(fake_nic_receive(query, make_query(query)), 0);
			(void)take(ports[0], packets);
		}
		assert_int_equal(rte_mempool_in_use_count(copies), HEARD);
		until_ns = mdfh_clock_now_ns() + 5000000000;
		while (rte_mempool_in_use_count(copies) && mdfh_clock_now_ns() < until_ns)
			(void)take(ports[1], packets);
		assert_int_equal(rte_mempool_in_use_count(copies), 0);
	}
	OPS->close(ports[0]);
	OPS->close(ports[1]);
}

static struct {
	struct mdfh_bypass *beside;
	int depth, deepest;
} asking;

static void ask_beside(void)
{
	if (++asking.depth > asking.deepest)
		asking.deepest = asking.depth;
	if (asking.depth == 1)
		assert_ok(OPS->stats(asking.beside));
	asking.depth--;
}

/* Drivers do not expect two threads: the second keeps what it had. */
static void reads_counters_one_at_a_time(void **state)
{
	struct mdfh_bypass *ports[2];

	(void)state;
	fake_nic_reset();
	fake_nic.refuses_isolation = 1;
	open_two(ports, 0, 2);
	fake_nic.missed = 3;
	assert_ok(OPS->stats(ports[1]));
	assert_int_equal(ports[1]->stats.rx_dropped_nic, 3);
	fake_nic.missed = 5;
	fake_nic.on_stats = ask_beside;
	asking.beside = ports[1];
	assert_ok(OPS->stats(ports[0]));
	assert_int_equal(asking.deepest, 1);
	assert_int_equal(ports[0]->stats.rx_dropped_nic, 5);
	assert_int_equal(ports[1]->stats.rx_dropped_nic, 3);
	fake_nic.on_stats = NULL;
	assert_ok(OPS->stats(ports[1]));
	assert_int_equal(ports[1]->stats.rx_dropped_nic, 5);
	OPS->close(ports[0]);
	OPS->close(ports[1]);
}

static uint8_t mld_source[16];

static void look_at_source(int queue, const uint8_t *bytes, uint32_t length)
{
	(void)queue;
	if (length >= 60 && bytes[12] == 0x86 && bytes[13] == 0xdd)
		memcpy(mld_source, bytes + 14 + 8, 16);
}

/* Whatever address packets are sent from: of another, routers drop the reports (RFC 3810, 5.2.13). */
static void reports_from_an_address_of_the_link(void **state)
{
	static const struct {
		const char *options;
		uint8_t last;
	} cases[] = {{"address6=2001:db8::77", 0}, {"address6=fe80::77", 0x77}};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct mdfh_bypass *port;
		struct mdfh_packet packets[64];

		fake_nic_reset();
		memset(mld_source, 0, sizeof(mld_source));
		fake_nic.on_send = look_at_source;
		port = open_nic((struct mdfh_bypass_config){.backend_options = cases[i].options});
		for (int polls = 0; polls < 1000000 && !mld_source[0]; polls++)
			(void)take(port, packets);
		assert_int_equal(mld_source[0], 0xfe);
		assert_int_equal(mld_source[1], 0x80);
		if (cases[i].last)
			assert_int_equal(mld_source[15], cases[i].last);
		OPS->close(port);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(copies_a_payload_behind_long_headers),
	    cmocka_unit_test(has_the_nic_filter),
	    cmocka_unit_test(filters_itself_where_a_rule_is_refused),
	    cmocka_unit_test(knows_an_ipv4_group_written_as_ipv6),
	    cmocka_unit_test(lets_questions_in_to_any_queue),
	    cmocka_unit_test(filters_itself_on_a_nic_of_another),
	    cmocka_unit_test(opens_a_nic_of_another_again),
	    cmocka_unit_test(fails_where_the_nic_has_to_filter),
	    cmocka_unit_test(says_that_a_second_tag_is_not_looked_at),
	    cmocka_unit_test(receives_all_without_flows),
	    cmocka_unit_test(lets_long_packets_in),
	    cmocka_unit_test(steers_flows_to_their_queues),
	    cmocka_unit_test(spreads_by_hash_without_rules),
	    cmocka_unit_test(discards_wrong_sums),
	    cmocka_unit_test(tells_the_nics_time),
	    cmocka_unit_test(reads_a_switchs_header),
	    cmocka_unit_test(lets_groups_in),
	    cmocka_unit_test(answers_routers_through_its_rules),
	    cmocka_unit_test(answers_routers_on_every_queue),
	    cmocka_unit_test(joins_whatever_was_asked_before),
	    cmocka_unit_test(keeps_the_oldest_questions_for_a_queue),
	    cmocka_unit_test(reads_counters_one_at_a_time),
	    cmocka_unit_test(reports_from_an_address_of_the_link),
	};

	return mdfh_clock_start() ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
