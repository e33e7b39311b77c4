/* test_null.c - packets from nowhere: as many, as long and on the flows that were asked for. */
#include <errno.h>
#include <time.h>

#include "net/net_test.h"

static int open_null(
    const char *options, struct mdfh_bypass_config config, struct mdfh_bypass **port)
{
	config.size = sizeof(config);
	config.backend = "null";
	config.backend_options = options;
	return mdfh_bypass_open(&config, port);
}

static void ends_after_its_count(void **state)
{
	struct mdfh_bypass *port;
	struct mdfh_packet packets[16];
	struct mdfh_bypass_stats stats;

	(void)state;
	assert_ok(
	    open_null("length=100,count=20", (struct mdfh_bypass_config){.batch_size = 16}, &port));
	assert_int_equal(mdfh_bypass_recv(port, packets, 100), 16);
	assert_int_equal(packets[15].length, 100);
	assert_int_equal(packets[15].flow, MDFH_FLOW_NONE);
	mdfh_bypass_release(port, packets, 16);
	assert_int_equal(mdfh_bypass_recv_wait(port, packets, 16), 4);
	assert_int_equal(mdfh_bypass_recv(port, packets, 16), -ENODATA);
	assert_int_equal(mdfh_bypass_recv_wait(port, packets, 16), -ENODATA);
	assert_int_equal(mdfh_bypass_send(port, packets, 4), 4);
	assert_ok(mdfh_bypass_stats(port, &stats));
	assert_int_equal(stats.rx_packets, 20);
	assert_int_equal(stats.rx_bytes, 2000);
	assert_int_equal(stats.tx_bytes, 400);
	mdfh_bypass_close(port);
}

static void takes_turns_with_flows(void **state)
{
	static const struct mdfh_flow flows[] = {
	    {.group = "239.1.1.1", .port = 1}, {.group = "239.1.1.2", .port = 1}};
	struct mdfh_bypass *port;
	struct mdfh_packet packets[5];

	(void)state;
	assert_ok(
	    open_null(NULL, (struct mdfh_bypass_config){.flows = flows, .flow_count = 2}, &port));
	assert_int_equal(mdfh_bypass_recv(port, packets, 5), 5);
	for (int i = 0; i < 5; i++)
		assert_int_equal(packets[i].flow, i % 2);
	mdfh_bypass_close(port);
}

static void refuses_bad_options(void **state)
{
	static const struct {
		const char *options, *want;
	} cases[] = {
	    {"lenght=1", "config: backend_options has the key 'lenght', which the backend null"},
	    {"length=1,count=x", "config: backend_options has count=x; it must be from 0 to"},
	    {"length=2049", "config: backend_options has length=2049; it must be from 0 to 2048"},
	    {"length=", "config: backend_options has length=; it must be from"},
	    {"count=-1", "config: backend_options has count=-1; it must be from"},
	    {"count=99999999999999999999", "config: backend_options has count="},
	};
	struct mdfh_bypass *port;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(
		    open_null(cases[i].options, (struct mdfh_bypass_config){0}, &port), -EINVAL);
		assert_error(cases[i].want);
	}
	assert_int_equal(
	    open_null(
		NULL, (struct mdfh_bypass_config){.timestamps = MDFH_TIMESTAMPS_SOFTWARE}, &port),
	    -ENOTSUP);
	assert_int_equal(
	    open_null(NULL, (struct mdfh_bypass_config){.transport = MDFH_TRANSPORT_TCP}, &port),
	    -ENOTSUP);
	assert_error("null: transport is TCP");
}

/* A backend that can neither wait nor be polled is looked at again and again, to the end of the
 * time and not beyond a little more. */
static void waits_without_a_descriptor(void **state)
{
	struct mdfh_bypass *port;
	struct mdfh_packet packet;
	struct timespec a, b;

	(void)state;
	assert_ok(open_null(NULL,
	    (struct mdfh_bypass_config){.host = "127.0.0.1",
		.port = 1,
		.direction = MDFH_DIRECTION_SEND,
		.poll_timeout_us = 5000},
	    &port));
	assert_int_equal(mdfh_bypass_capabilities(port)->poll_fd, -1);
	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(mdfh_bypass_recv_wait(port, &packet, 1), 0);
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_true((b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec >= 5000000);
	mdfh_bypass_close(port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ends_after_its_count),
	    cmocka_unit_test(takes_turns_with_flows),
	    cmocka_unit_test(refuses_bad_options),
	    cmocka_unit_test(waits_without_a_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
