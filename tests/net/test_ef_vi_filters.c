/* test_ef_vi_filters.c - backend ef_vi on the software device: flows and the filters that
 * bring them. */
#include "net/ef_vi_test.h"

static void steers_flows_by_filters(void **state)
{
	static const struct mdfh_flow flows[] = {
	    {.group = "239.1.1.1", .port = PORT, .vlan = 7},
	    {.group = "239.1.1.1", .port = PORT, .source = "10.0.0.9"},
	    {.group = "239.1.1.2", .port = PORT}, {.group = "ff15::1", .port = PORT},
	    {.group = "127.0.0.1", .port = PORT},
	    {.port = PORT + 9}, /* any address of the interface */
	};
	const struct mdfh_bypass_config config = {.flows = flows, .flow_count = 6};
	struct mdfh_bypass *port = open_ef_vi(config, NULL);
	struct mdfh_packet packets[16];

	(void)state;
	/* The first two share one; of lo there are 127.0.0.1 and perhaps ::1. */
	assert_in_range(efdev_state().filters, 5, 6);
	assert_int_equal(efdev_state().vlan_filters, 0);
	arrive(0, (struct sending){.vlan = 7});
	arrive(99, (struct sending){0});
	arrive(1, (struct sending){.source = "10.0.0.9"});
	arrive(2, (struct sending){.group = "239.1.1.2", .vlan = 5});
	arrive(3, (struct sending){.group = "ff15::1"});
	arrive(4, (struct sending){.group = "127.0.0.1"});
	arrive(5, (struct sending){.group = "127.0.0.1", .port = PORT + 9});
	assert_int_equal(arrive(99, (struct sending){.group = "10.9.9.9", .port = PORT + 9}), 0);
	assert_int_equal(take_all(port, packets, 16), 6);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(number_of(&packets[i]), i);
		assert_int_equal(packets[i].flow, i);
	}
	assert_int_equal(stats_of(port).rx_filtered, 1);
	mdfh_bypass_release(port, packets, 6);
	close_ef_vi(port);

	/* The NIC tells VLANs apart, too; full filters; a queue of its own; nothing for the kernel. */
	port = open_ef_vi(config, ",vlan_filters=on,exclusive_queue=on,block_kernel=all");
	assert_int_equal(efdev_state().vlan_filters, 1);
	assert_int_equal(efdev_state().block_filters, 1);
	assert_int_equal(efdev_state().exclusive_filters, efdev_state().filters - 1);
	close_ef_vi(port);
	port = open_ef_vi(
	    (struct mdfh_bypass_config){.flows = &flows[1], .flow_count = 1}, ",source_port=4000");
	assert_int_equal(efdev_state().full_filters, 1);
	assert_int_equal(arrive(1, (struct sending){0}), 0);
	assert_int_equal(arrive(1, (struct sending){.source = "10.0.0.9"}), 1);
	expect(port, 1, 1);
	close_ef_vi(port);
	for (int i = 0; i < 2; i++) {
		port = open_ef_vi((struct mdfh_bypass_config){0},
		    i ? ",block_kernel=unicast" : ",block_kernel=multicast");
		assert_int_equal(efdev_state().block_filters, 1);
		close_ef_vi(port);
	}
}

static void falls_back_to_coarser_filters(void **state)
{
	static const struct mdfh_flow flows[] = {
	    {.group = "239.1.1.1", .port = PORT, .vlan = 7},
	    {.group = "239.1.1.1", .port = PORT + 1, .vlan = 7},
	};
	const struct mdfh_bypass_config config = {.flows = flows, .flow_count = 2};
	struct mdfh_bypass *port;

	(void)state;
	efdev_config()->lacks = EFDEV_VLAN;
	port = open_ef_vi(config, ",vlan_filters=on");
	assert_non_null(strstr(mdfh_bypass_capabilities(port)->mode, "2 of them coarse"));
	assert_int_equal(mdfh_bypass_capabilities(port)->filters, MDFH_PLACE_SOFTWARE);
	arrive(1, (struct sending){.vlan = 7});
	arrive(9, (struct sending){.vlan = 8});
	expect(port, 1, 1);
	assert_int_equal(stats_of(port).rx_filtered, 1);
	close_ef_vi(port);

	efdev_config()->lacks = EFDEV_LOCAL;
	port = open_ef_vi(config, NULL);
	assert_int_equal(efdev_state().mac_filters, 1); /* one address for both */
	arrive(1, (struct sending){.vlan = 7});
	arrive(9, (struct sending){.port = PORT + 2, .vlan = 7});
	arrive(2, (struct sending){.port = PORT + 1, .vlan = 7});
	expect(port, 1, 2);
	close_ef_vi(port);
}

static void says_why_a_filter_is_refused(void **state)
{
	static const struct mdfh_flow unicast = {.group = "127.0.0.1", .port = PORT};
	static const struct mdfh_flow two[] = {
	    {.group = "239.1.1.1", .port = PORT}, {.group = "239.1.1.2", .port = PORT}};
	static const struct mdfh_flow sourced = {
	    .group = "239.1.1.1", .source = "10.0.0.9", .port = PORT};
	const struct mdfh_bypass_config config = {.flows = &unicast, .flow_count = 1};
	struct mdfh_bypass *port = open_ef_vi(config, NULL);

	(void)state;
	assert_int_equal(try_ef_vi(config, NULL), -EEXIST);
	assert_error("another program, or another port of this one, receives it");
	close_ef_vi(port);
	assert_ok(try_ef_vi(config, NULL)); /* all is as it was */

	efdev_config()->lacks = EFDEV_LOCAL;
	assert_int_equal(try_ef_vi(config, NULL), -ENOTSUP);
	assert_error("a filter for 127.0.0.1:26477 on lo");
	efdev_config()->lacks = EFDEV_REMOTE;
	assert_int_equal(try_ef_vi((struct mdfh_bypass_config){.flows = &sourced, .flow_count = 1},
			     ",source_port=4000"),
	    -ENOTSUP);
	assert_error("has no such filter");
	efdev_config()->lacks = EFDEV_BLOCK_MULTICAST;
	assert_int_equal(
	    try_ef_vi((struct mdfh_bypass_config){0}, ",block_kernel=multicast"), -EPERM);
	assert_error("CAP_NET_ADMIN");
	efdev_config()->lacks = 0;
	efdev_config()->filters_max = 1;
	assert_int_equal(
	    try_ef_vi((struct mdfh_bypass_config){.flows = two, .flow_count = 2}, NULL), -ENOSPC);
	assert_error("table of filters is full");
	assert_nothing_open();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(steers_flows_by_filters),
	    TEST(falls_back_to_coarser_filters),
	    TEST(says_why_a_filter_is_refused),
	};
	int rc = enter();

	return rc ? rc : cmocka_run_group_tests(tests, NULL, NULL);
}
