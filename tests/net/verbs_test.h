/* verbs_test.h - what the tests of backend verbs over its device of software share: ports of the module that
 * the program's argument names, on "lo" in a network namespace of the test's own. */
#ifndef MDFH_TESTS_VERBS_TEST_H
#define MDFH_TESTS_VERBS_TEST_H

#include <errno.h>

#include "mdfh/clock.h"
#include "mdfh/frame.h"
#include "net/net_test.h"
#include "verbs_device.h"

enum { PORT = 26477, RING = 512 };

static const char *module;

static const struct mdfh_flow flows[] = {
    {.group = "239.1.1.1", .source = "10.0.0.1", .port = PORT},
    {.group = "239.1.1.1", .port = PORT + 1},
    {.group = "239.1.1.2", .port = PORT},
};

static inline int fresh(void **state)
{
	(void)state;
	vdev_reset();
	return 0;
}

static inline int try_open(struct mdfh_bypass_config config, struct mdfh_bypass **port)
{
	config.size = sizeof(config);
	config.backend = module;
	if (!config.interface)
		config.interface = "lo";
	if (!config.flows) {
		config.flows = flows;
		config.flow_count = 3;
	}
	if (!config.rx_ring_size)
		config.rx_ring_size = RING;
	return mdfh_bypass_open(&config, port);
}

static inline struct mdfh_bypass *opened(struct mdfh_bypass_config config)
{
	struct mdfh_bypass *port;

	assert_ok(try_open(config, &port));
	return port;
}

#define OPEN(...)     opened((struct mdfh_bypass_config){__VA_ARGS__})
#define DATAGRAM(...) OPEN(.backend_options = "mode=datagram", __VA_ARGS__)

static inline void closes(struct mdfh_bypass *port)
{
	mdfh_bypass_close(port);
	assert_int_equal(vdev.live, 0);
	assert_int_equal(vdev.rules_count, 0);
	assert_int_equal(vdev.attached, vdev.detached);
	assert_int_equal(vdev.joins, vdev.leaves);
}

static inline struct mdfh_bypass_stats stats_of(struct mdfh_bypass *port)
{
	struct mdfh_bypass_stats stats;

	assert_ok(mdfh_bypass_stats(port, &stats));
	return stats;
}

static inline const char *warning_of(struct mdfh_bypass *port)
{
	(void)stats_of(port);
	return mdfh_bypass_capabilities(port)->warning;
}

/* The flow that one datagram comes as, -1 = it does not. */
static inline int flow_of(struct mdfh_bypass *port)
{
	struct mdfh_packet packet;
	int got = mdfh_bypass_recv(port, &packet, 1);

	assert_ok(got);
	mdfh_bypass_release(port, &packet, got);
	return got ? packet.flow : -1;
}

#define FROM(source, to, flags, port)                                                              \
	assert_int_equal(vdev_datagram(source, to, "payload", 7, flags, port), 1)

#define TEST(name) cmocka_unit_test_setup(name, fresh)

/* 0, or the exit status. */
static inline int test_begin(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: %s MODULE\n", argv[0]);
		return 2;
	}
	module = argv[1];
	if (test_enter_namespace()) {
		printf("skipped: no network namespace may be made\n");
		return TEST_SKIPPED;
	}
	return mdfh_clock_start() ? 1 : 0;
}

#endif
