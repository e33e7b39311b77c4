/* test_config.c - every field of the configuration: what is refused says the field, the value and
 * the range; what is left at zero gets the default that the header names. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "net/net_test.h"

/* Values ---------------------------------------------------------------- */

static const struct mdfh_flow two_flows[] = {
    {.group = "239.1.1.1", .port = 5000}, {.group = "239.1.1.2", .port = 5000}};

#define FLOWS(...)                                                                                 \
	.flows = (const struct mdfh_flow[]){__VA_ARGS__},                                          \
	.flow_count = sizeof((const struct mdfh_flow[]){__VA_ARGS__}) / sizeof(struct mdfh_flow)

/* want NULL: accepted; else the start of the sentence. */
static const struct {
	struct mdfh_bypass_config config;
	const char *want;
} cases[] = {
    {{0}, NULL},

    {{.rx_ring_size = 64}, NULL},
    {{.rx_ring_size = 1048576}, NULL},
    {{.rx_ring_size = 32}, "config: rx_ring_size is 32; it must be from 64 to 1048576"},
    {{.rx_ring_size = 2097152}, "config: rx_ring_size is 2097152; it must be from 64 to 1048576"},
    {{.rx_ring_size = 100}, "config: rx_ring_size is 100; it must be a power of two from 64"},
    {{.batch_size = 256}, NULL},
    {{.batch_size = 257}, "config: batch_size is 257; it must be from 1 to 256"},
    {{.rx_ring_size = 64, .batch_size = 65},
	"config: batch_size is 65; it must be from 1 to rx_ring_size, 64"},
    {{.frame_size = 256}, NULL},
    {{.frame_size = 65535}, NULL},
    {{.frame_size = 255}, "config: frame_size is 255; it must be from 256 to 65535"},
    {{.frame_size = 65536}, "config: frame_size is 65536; it must be from 256 to 65535"},
    {{.hold_max = 1048577}, "config: hold_max is 1048577; it must be from 1 to 1048576"},
    {{.zero_copy_threshold = 65536}, "config: zero_copy_threshold is 65536; it must be from 1 to"},
    {{.cpu_core = MDFH_CORE(0)}, NULL},
    {{.cpu_core = MDFH_CORE(100000)},
	"config: cpu_core is MDFH_CORE(100000); this machine has the cores 0 to "},

    {{.enable_numa_awareness = 3}, "config: enable_numa_awareness is 3; it must be from 0 to 2"},
    {{.enable_zero_copy = 3}, "config: enable_zero_copy is 3; it must be from 0 to 2"},
    {{.require_zero_copy = 3}, "config: require_zero_copy is 3; it must be from 0 to 2"},
    {{.hugepages = 3}, "config: hugepages is 3; it must be from 0 to 2"},
    {{.multicast_loop = 3}, "config: multicast_loop is 3; it must be from 0 to 2"},
    {{.require_zero_copy = MDFH_ON, .enable_zero_copy = MDFH_OFF},
	"config: require_zero_copy is on and enable_zero_copy is off"},
    {{.require_zero_copy = MDFH_ON}, NULL},
    {{.direction = 3}, "config: direction is 3; it must be from 0 to 2"},
    {{.transport = 3}, "config: transport is 3; it must be from 0 to 2"},
    {{.timestamps = 4}, "config: timestamps is 4; it must be from 0 to 3"},
    {{.trailer = 4}, "config: trailer is 4; it must be from 0 to 3"},
    {{.trailer = MDFH_TRAILER_METAMAKO, .timestamps = MDFH_TIMESTAMPS_OFF},
	"config: trailer is set and timestamps are off"},

    {{.busy_poll_us = 100000}, NULL},
    {{.busy_poll_us = 100001}, "config: busy_poll_us is 100001; it must be from 1 to 100000"},
    {{.poll_timeout_us = 60000000}, NULL},
    {{.poll_timeout_us = 60000001}, "config: poll_timeout_us is 60000001; it must be from 1 to "},
    {{.receive_buffer_bytes = 4096}, NULL},
    {{.receive_buffer_bytes = 1 << 30}, NULL},
    {{.receive_buffer_bytes = 4095}, "config: receive_buffer_bytes is 4095; it must be from 4096"},
    {{.receive_buffer_bytes = (1 << 30) + 1},
	"config: receive_buffer_bytes is 1073741825; it must be from 4096 to 1073741824"},
    {{.multicast_ttl = 255}, NULL},
    {{.multicast_ttl = 256}, "config: multicast_ttl is 256; it must be from 1 to 255"},

    {{.backend = ""}, "config: backend has 0 characters; it must have from 1 to"},
    {{.interface = ""}, "config: interface has 0 characters; it must have from 1 to 255"},
    {{.interface = "a-name-of-16-cha"}, NULL}, /* to DPDK a device is a text with its options */
    {{.file = ""}, "config: file has 0 characters"},
    {{.speed = 1e6}, NULL},
    {{.speed = -1}, "config: speed is -1; it must be from 0 (flat out) to 1000000"},
    {{.speed = 1e7}, "config: speed is 1e+07; it must be from 0"},
    {{.speed = NAN}, "config: speed is nan; it must be from 0"},
    {{.speed = INFINITY}, "config: speed is inf; it must be from 0"},

    {{.backend_options = ""}, NULL},
    {{.backend_options = "a=1"}, NULL},
    {{.backend_options = "a=1,b_2=x=y"}, NULL},
    {{.backend_options = "a"}, "config: backend_options is 'a'; it must be key=value"},
    {{.backend_options = "a=1,"}, "config: backend_options is 'a=1,'; it must be key=value"},
    {{.backend_options = ",a=1"}, "config: backend_options is ',a=1'; it must be key=value"},
    {{.backend_options = "a=1,,b=2"}, "config: backend_options is 'a=1,,b=2'; it must be"},
    {{.backend_options = "=1"}, "config: backend_options is '=1'; it must be key=value"},

    /* one flow */
    {{.host = "127.0.0.1"}, NULL},
    {{.host = "::1", .port = 65535}, NULL},
    {{.port = 5000}, NULL},
    {{.host = "localhost", .port = 1},
	"config: host is 'localhost'; it must be a numeric IPv4 or IPv6 address"},
    {{.host = "", .port = 1}, "config: host is ''; it must be a numeric"},
    {{.host = "0.0.0.0", .port = 1}, "config: host is 0.0.0.0; give a group or an address"},
    {{.host = "::", .port = 1}, "config: host is ::; give a group or an address"},
    {{.host = "239.1.1.1"}, "config: port is 0; it must be from 1 to 65535"},
    {{.host = "ff15::1"}, "config: port is 0; it must be from 1 to 65535"},
    {{.host = "127.0.0.1", .direction = MDFH_DIRECTION_SEND}, "config: port is 0; it must be"},
    {{.port = 5, .direction = MDFH_DIRECTION_SEND},
	"config: host is not set; a port that only sends needs a destination"},

    /* one connection */
    {{.transport = MDFH_TRANSPORT_TCP}, NULL},
    {{.transport = MDFH_TRANSPORT_TCP, .host = "::1", .port = 1}, NULL},
    {{.transport = MDFH_TRANSPORT_TCP, .host = "::1"},
	"config: port is 0 and transport is TCP; give the server's port, from 1 to 65535"},
    {{.transport = MDFH_TRANSPORT_TCP, .port = 1},
	"config: host is not set and transport is TCP; give the server's address"},
    {{.transport = MDFH_TRANSPORT_TCP, .host = "ff15::1", .port = 1},
	"config: host is ff15::1, a multicast group, and transport is TCP"},
    {{.transport = MDFH_TRANSPORT_TCP, .flows = two_flows, .flow_count = 2},
	"config: flow_count is 2 and transport is TCP; a connection is one flow: open a port for"},

    /* flows */
    {{.flows = two_flows, .flow_count = 2}, NULL},
    {{.flows = two_flows}, "config: flows is set and flow_count is 0; it must be from 1 to 64"},
    {{.flow_count = 2}, "config: flow_count is 2 and flows is not set"},
    {{.flows = two_flows, .flow_count = 65}, "config: flow_count is 65; it must be from 0 to 64"},
    {{.flows = two_flows, .flow_count = 2, .host = "127.0.0.1"},
	"config: host is set beside flows"},
    {{.flows = two_flows, .flow_count = 2, .port = 5}, "config: port is set beside flows"},
    {{FLOWS({"239.1.1.1", NULL, 1, 0}, {"group", NULL, 1, 0})},
	"config: flows[1].group is 'group'; it must be a numeric IPv4 or IPv6 address"},
    {{FLOWS({"239.1.1.1", NULL, 0, 0})}, "config: flows[0].port is 0; it must be from 1 to 65535"},
    {{FLOWS({"127.0.0.1", NULL, 1, 0}, {"127.0.0.1", NULL, 0, 0})},
	"config: flows[1].port is 0; it must be from 1 to 65535"},
    {{FLOWS({"127.0.0.1", NULL, 0, 0})}, NULL},
    {{FLOWS({"232.1.1.1", "10.0.0.1", 1, 0})}, NULL},
    {{FLOWS({"127.0.0.1", "10.0.0.1", 1, 0})}, NULL},
    {{FLOWS({"232.1.1.1", "ten", 1, 0})}, "config: flows[0].source is 'ten'; it must be a numeric"},
    {{FLOWS({NULL, "10.0.0.1", 1, 0})}, "config: flows[0].source is 10.0.0.1 and group is not set"},
    {{FLOWS({"232.1.1.1", "::1", 1, 0})},
	"config: flows[0].source is ::1 and group is 232.1.1.1; both must be IPv4 or both IPv6"},
    {{FLOWS({"232.1.1.1", "239.0.0.1", 1, 0})},
	"config: flows[0].source is 239.0.0.1; it must be a unicast address"},
    {{FLOWS({"232.1.1.1", "0.0.0.0", 1, 0})},
	"config: flows[0].source is 0.0.0.0; it must be a unicast address"},
    {{FLOWS({"239.1.1.1", NULL, 1, 4094})}, NULL},
    {{FLOWS({"239.1.1.1", NULL, 1, 4095})},
	"config: flows[0].vlan is 4095; it must be from 1 to 4094"},

    /* which flow is the first to match */
    {{FLOWS({"239.1.1.1", NULL, 1, 0}, {"239.1.1.1", NULL, 2, 0}, {"239.1.1.2", NULL, 1, 0})},
	NULL},
    {{FLOWS({"239.1.1.1", NULL, 1, 0}, {"239.1.1.1", NULL, 1, 0})},
	"config: flows[1] (239.1.1.1 port 1) can never match: flows[0] takes all of its packets"},
    {{FLOWS({"239.1.1.1", NULL, 1, 0}, {"239.1.1.1", "10.0.0.1", 1, 0})},
	"config: flows[1] (239.1.1.1 port 1) can never match: flows[0]"},
    {{FLOWS({"239.1.1.1", "10.0.0.1", 1, 0}, {"239.1.1.1", NULL, 1, 0})}, NULL},
    {{FLOWS({"ff15::1", "::1", 1, 0}, {"ff15::01", "0::1", 1, 0})},
	"config: flows[1] (ff15::01 port 1) can never match: flows[0]"},
    {{FLOWS({"::ffff:239.1.1.1", NULL, 1, 0}, {"239.1.1.1", "10.0.0.1", 1, 0})},
	"config: flows[1] (239.1.1.1 port 1) can never match: flows[0]"},
    {{FLOWS({"239.1.1.1", "::ffff:10.0.0.1", 1, 0})}, NULL},
    {{.host = "::ffff:239.1.1.1"}, "config: port is 0"},
    {{FLOWS({"239.1.1.1", NULL, 1, 0}, {"239.1.1.1", NULL, 1, 7})},
	"config: flows[1] (239.1.1.1 port 1) can never match: flows[0]"},
    {{FLOWS({"239.1.1.1", NULL, 1, 7}, {"239.1.1.1", NULL, 1, 8}, {"239.1.1.1", NULL, 1, 0})},
	NULL},
    {{FLOWS({NULL, NULL, 1, 0}, {"10.0.0.1", NULL, 1, 0})},
	"config: flows[1] (10.0.0.1 port 1) can never match: flows[0]"},
    {{FLOWS({NULL, NULL, 1, 0}, {"239.1.1.1", NULL, 1, 0})}, NULL},
    {{FLOWS({"10.0.0.1", NULL, 1, 0}, {NULL, NULL, 1, 0})}, NULL},
    {{.direction = MDFH_DIRECTION_SEND,
	 FLOWS({"239.1.1.1", NULL, 1, 0}, {"239.1.1.1", NULL, 1, 0})},
	NULL},

    /* faults */
    {{.fault.loss_ppm = 1000000}, NULL},
    {{.fault.loss_ppm = 1000001},
	"config: fault.loss_ppm is 1000001; it must be from 1 to 1000000"},
    {{.fault.duplicate_ppm = 1000001}, "config: fault.duplicate_ppm is 1000001"},
    {{.fault.reorder_ppm = 1000001}, "config: fault.reorder_ppm is 1000001"},
    {{.fault.damage_ppm = 1000001}, "config: fault.damage_ppm is 1000001"},
    {{.fault.truncate_ppm = 1000001}, "config: fault.truncate_ppm is 1000001"},
    {{.fault.delay_ppm = 1000001}, "config: fault.delay_ppm is 1000001"},
    {{.fault.burst_length = 1000001},
	"config: fault.burst_length is 1000001; it must be from 1 to"},
    {{.fault.reorder_distance = 4097}, "config: fault.reorder_distance is 4097; it must be from 1"},
    {{.fault.delay_ns = 60000000001},
	"config: fault.delay_ns is 60000000001; it must be from 1 to"},
};

static void checks_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mdfh_bypass_config config = cases[i].config;
		const char *want = cases[i].want;
		int rc;

		config.size = sizeof(config);
		rc = mdfh_bypass_config_check(&config);
		if (rc != (want ? -EINVAL : 0))
			fail_msg("case %zu (%s): %d, %s", i, want ? want : "accepted", rc,
			    mdfh_error_text());
		if (want && strncmp(mdfh_error_text(), want, strlen(want)) != 0)
			fail_msg("case %zu: want '%s', got '%s'", i, want, mdfh_error_text());
	}
}

/* Size ------------------------------------------------------------------ */

static void reads_an_older_callers_size(void **state)
{
	struct mdfh_bypass_config config = {.rx_ring_size = 128, .multicast_ttl = 1000}, filled;

	(void)state;
	config.size = offsetof(struct mdfh_bypass_config, multicast_ttl);
	assert_int_equal(mdfh_bypass_config_defaults(&config, &filled), 0);
	assert_int_equal(filled.size, sizeof(filled));
	assert_int_equal(filled.rx_ring_size, 128);
	assert_int_equal(filled.multicast_ttl, 1);
	config.size = 16; /* size and backend */
	assert_int_equal(mdfh_bypass_config_defaults(&config, &filled), 0);
	assert_int_equal(filled.rx_ring_size, 4096);
}

static void reads_a_newer_callers_size(void **state)
{
	struct {
		struct mdfh_bypass_config config;
		uint64_t further[2];
	} newer = {.config = {.size = sizeof(newer), .batch_size = 7}};
	struct mdfh_bypass_config filled;

	(void)state;
	assert_int_equal(mdfh_bypass_config_defaults(&newer.config, &filled), 0);
	assert_int_equal(filled.size, sizeof(filled));
	assert_int_equal(filled.batch_size, 7);
	newer.further[1] = 1;
	assert_int_equal(mdfh_bypass_config_check(&newer.config), -ENOTSUP);
	assert_error("so a newer mdfh is needed for that field");
}

static void refuses_absurd_sizes(void **state)
{
	static const size_t sizes[] = {0, 1, 15, 4097, 1 << 20, SIZE_MAX};
	struct mdfh_bypass_config config = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		config.size = sizes[i];
		assert_int_equal(mdfh_bypass_config_check(&config), -EINVAL);
		assert_error("config: size is ");
		assert_error("it must be sizeof(struct mdfh_bypass_config)");
	}
	assert_int_equal(mdfh_bypass_config_check(NULL), -EINVAL);
}

/* Stacked ports ---------------------------------------------------------- */

static void checks_the_lower_port(void **state)
{
	struct mdfh_bypass_config lower = {.size = sizeof(lower), .frame_size = 1};
	struct mdfh_bypass_config config = {.size = sizeof(config), .lower = &lower};

	(void)state;
	assert_int_equal(mdfh_bypass_config_check(&config), -EINVAL);
	assert_error("config: frame_size is 1;");
	lower.frame_size = 0;
	assert_int_equal(mdfh_bypass_config_check(&config), 0);

	lower.flows = two_flows;
	lower.flow_count = 2;
	config.fault.flow_mask = 3;
	assert_int_equal(mdfh_bypass_config_check(&config), 0);
	config.fault.flow_mask = 4;
	assert_int_equal(mdfh_bypass_config_check(&config), -EINVAL);
	assert_error("config: fault.flow_mask is 0x4; the lower port has the flows 0 to 1");

	config.lower = &config;
	assert_int_equal(mdfh_bypass_config_check(&config), -EINVAL);
	assert_error("config: lower is nested more than 4 deep");
}

/* Defaults --------------------------------------------------------------- */

static void fills_defaults(void **state)
{
	struct mdfh_bypass_config config = {.size = sizeof(config)}, f;

	(void)state;
	assert_int_equal(mdfh_bypass_config_defaults(&config, &f), 0);
	assert_string_equal(f.backend, "socket");
	assert_null(f.interface);
	assert_int_equal(f.rx_ring_size, 4096);
	assert_int_equal(f.batch_size, 64);
	assert_int_equal(f.frame_size, 2048);
	assert_int_equal(f.hold_max, 0);
	assert_int_equal(f.cpu_core, 0);
	assert_int_equal(f.enable_numa_awareness, MDFH_ON);
	assert_int_equal(f.enable_zero_copy, MDFH_ON);
	assert_int_equal(f.require_zero_copy, MDFH_OFF);
	assert_int_equal(f.zero_copy_threshold, 0);
	assert_int_equal(f.hugepages, MDFH_DEFAULT);
	assert_int_equal(f.transport, MDFH_TRANSPORT_UDP);
	assert_int_equal(f.timestamps, MDFH_TIMESTAMPS_DEFAULT);
	assert_int_equal(f.busy_poll_us, 0);
	assert_int_equal(f.poll_timeout_us, 1000);
	assert_int_equal(f.receive_buffer_bytes, 16 << 20);
	assert_int_equal(f.multicast_loop, MDFH_ON);
	assert_int_equal(f.multicast_ttl, 1);
	assert_true(f.speed == 0);
	assert_int_equal(f.fault.burst_length, 1);
	assert_int_equal(f.fault.reorder_distance, 3);
	assert_int_equal(f.fault.delay_ns, 1000000);
}

static void keeps_what_is_set(void **state)
{
	struct mdfh_bypass_config config = {
	    .size = sizeof(config),
	    .backend = "null",
	    .interface = "lo",
	    .queue = 3,
	    .rx_ring_size = 256,
	    .batch_size = 16,
	    .frame_size = 1500,
	    .hold_max = 9,
	    .cpu_core = MDFH_CORE(0),
	    .enable_numa_awareness = MDFH_OFF,
	    .enable_zero_copy = MDFH_OFF,
	    .zero_copy_threshold = 200,
	    .hugepages = MDFH_OFF,
	    .direction = MDFH_DIRECTION_RECEIVE,
	    .transport = MDFH_TRANSPORT_UDP,
	    .timestamps = MDFH_TIMESTAMPS_OFF,
	    .busy_poll_us = 50,
	    .poll_timeout_us = 2,
	    .receive_buffer_bytes = 8192,
	    .flows = two_flows,
	    .flow_count = 2,
	    .multicast_loop = MDFH_OFF,
	    .multicast_ttl = 2,
	    .file = "x.pcap",
	    .speed = 2,
	    .fault = {.seed = 1,
		.loss_ppm = 2,
		.duplicate_ppm = 3,
		.reorder_ppm = 4,
		.damage_ppm = 5,
		.truncate_ppm = 6,
		.delay_ppm = 7,
		.burst_length = 8,
		.reorder_distance = 9,
		.delay_ns = 10,
		.flow_mask = 11},
	    .backend_options = "a=b",
	};
	struct mdfh_bypass_config want, filled;

	(void)state;
	/* Every field but the one that cannot go with the rest is set. */
	config.require_zero_copy = MDFH_OFF;
	memcpy(&want, &config, sizeof(want));
	assert_int_equal(mdfh_bypass_config_defaults(&config, &filled), 0);
	assert_memory_equal(&filled, &want, sizeof(want));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(checks_values),
	    cmocka_unit_test(reads_an_older_callers_size),
	    cmocka_unit_test(reads_a_newer_callers_size),
	    cmocka_unit_test(refuses_absurd_sizes),
	    cmocka_unit_test(checks_the_lower_port),
	    cmocka_unit_test(fills_defaults),
	    cmocka_unit_test(keeps_what_is_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
