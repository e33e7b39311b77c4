/* test_frames.c - the conformance suite over a veth pair in a network namespace of the test's own: frames
 * are written to one end and come to a port on the other, the same for every backend.
 *
 * Usage: test_frames BACKEND OPTIONS [INTERFACE], the last as the backend names the device mdfh0. As root. */
#include <errno.h>

#include "net/conform.h"
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ipv4),
	    cmocka_unit_test(ipv6),
	    cmocka_unit_test(refuses_devices_that_lead_out),
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
