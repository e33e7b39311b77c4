/* test_xdp_stamps.c - the XDP program that asks the driver for each packet's time, over a veth pair. Its
 * driver answers, but has never a time, and says so when asked for its abilities: here it is made to say
 * that it has. What becomes of a time that is there is in test_xdp_rings.c. As root. */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "modules/xdp.h"
#include "net/module_test.h"
#include "net/xdp_test.h"

static int told_to_stamp;
/* What the device does already, if anything is said of that, and what it was told. */
static struct hwtstamp_config running, told;
static int is_running;

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names */
int __real_ioctl(int fd, unsigned long what, ...);
int __wrap_ioctl(int fd, unsigned long what, ...);
int __wrap_ioctl(int fd, unsigned long what, ...)
{
	struct ifreq *request;
	va_list arguments;

	va_start(arguments, what);
	request = va_arg(arguments, struct ifreq *);
	va_end(arguments);
	if (what == SIOCETHTOOL) {
		struct ethtool_ts_info *info = (void *)request->ifr_data;

		if (info->cmd == ETHTOOL_GET_TS_INFO) {
			info->so_timestamping =
			    SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE;
			return 0;
		}
	}
	if (what == SIOCGHWTSTAMP && is_running) {
		memcpy(request->ifr_data, &running, sizeof(running));
		return 0;
	}
	if (what == SIOCSHWTSTAMP) {
		struct hwtstamp_config *stamps = (void *)request->ifr_data;

		told = *stamps;
		told_to_stamp = stamps->rx_filter == HWTSTAMP_FILTER_ALL;
		return 0;
	}
	return __real_ioctl(fd, what, request);
}
/* NOLINTEND(bugprone-reserved-identifier) */

static int open_stamped(const char *options, struct mdfh_bypass **port)
{
	const struct mdfh_bypass_config config = {.size = sizeof(config),
	    .interface = VETH_INTERFACE,
	    .timestamps = MDFH_TIMESTAMPS_HARDWARE,
	    .backend_options = options,
	    .flows = &group,
	    .flow_count = 1};

	return module_open(&config, port);
}

static void the_driver_is_asked_for_each_packets_time(void **state)
{
	struct mdfh_bypass *port = NULL;
	struct mdfh_packet packet;
	const struct xdp_port *x;
	const struct xdp_desc *desc;
	struct xdp_stamp stamp;
	uint32_t at;
	int rc = open_stamped(NULL, &port);

	(void)state;
	if (rc == -ENOTSUP) {
		assert_error("has no XDP metadata to read them from");
		print_message("skipped: this kernel has no XDP metadata: %s\n", mdfh_error_text());
		skip();
	}
	assert_ok(rc);
	assert_true(told_to_stamp);
	assert_int_equal(mdfh_bypass_capabilities(port)->timestamps, MDFH_PLACE_HARDWARE);
	send_frames("239.1.1.1", 26477, 1, 100);
	x = (const struct xdp_port *)port;
	for (int i = 0; i < 5000 && *x->rx.producer == *x->rx.consumer; i++)
		usleep(1000);
	at = *x->rx.consumer;
	assert_int_equal(*x->rx.producer, at + 1);
	desc = xsk_ring_cons__rx_desc(&x->rx, at);
	memcpy(&stamp, x->chunks.base + desc->addr - sizeof(stamp), sizeof(stamp));
	assert_true(stamp.marker == XDP_STAMP_MARKER);
	assert_int_equal(stamp.ns, 0); /* the pair has none */
	assert_int_equal(mdfh_backend_module.ops->recv(port, &packet, 1), 1);
	assert_int_equal(packet.length, 100);
	assert_int_equal(packet.flags & MDFH_PACKET_TIME_MASK, MDFH_PACKET_TIME_APP);
	assert_int_not_equal(packet.receive_ns, 0);
	mdfh_backend_module.ops->release(port, &packet, 1);
	mdfh_bypass_close(port);
}

/* Whoever keeps the NIC's clock by PTP has it stamp what is sent. */
static void stamps_of_what_is_sent_stay_as_they_are(void **state)
{
	(void)state;
	is_running = 1;
	running = (struct hwtstamp_config){
	    .tx_type = HWTSTAMP_TX_ON, .rx_filter = HWTSTAMP_FILTER_PTP_V2_EVENT};
	assert_ok(mdfh_hardware_stamps_start(-1, "xdp", VETH_INTERFACE));
	assert_int_equal(told.rx_filter, HWTSTAMP_FILTER_ALL);
	assert_int_equal(told.tx_type, HWTSTAMP_TX_ON);
	/* Nothing has to be changed. */
	running.rx_filter = HWTSTAMP_FILTER_ALL;
	told_to_stamp = 0;
	assert_ok(mdfh_hardware_stamps_start(-1, "xdp", VETH_INTERFACE));
	assert_false(told_to_stamp);
	is_running = 0;
	assert_ok(mdfh_hardware_stamps_start(-1, "xdp", VETH_INTERFACE));
	assert_int_equal(told.rx_filter, HWTSTAMP_FILTER_ALL);
	assert_int_equal(told.tx_type, HWTSTAMP_TX_OFF);
}

static void only_a_program_of_ones_own_asks(void **state)
{
	static const char *const options[] = {
	    "mode=generic", "attach=dispatcher", "pinned=/sys/fs/bpf/mdfh"};
	struct mdfh_bypass *port = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		assert_int_equal(open_stamped(options[i], &port), -EINVAL);
		assert_error("leave pinned, attach=dispatcher and mode=generic out");
		assert_null(port);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_driver_is_asked_for_each_packets_time),
	    cmocka_unit_test(stamps_of_what_is_sent_stay_as_they_are),
	    cmocka_unit_test(only_a_program_of_ones_own_asks),
	};
	int status = veth_enter();

	if (status)
		return status;
	wire = mdfh_conformance_frames_open(VETH_PEER);
	if (wire < 0) {
		fprintf(stderr, "%s\n", mdfh_error_text());
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
