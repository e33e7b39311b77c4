/* test_ef_vi_times.c - backend ef_vi on the software device: times of the NIC and of a tap. */
#include "net/ef_vi_test.h"

static void says_how_good_its_times_are(void **state)
{
	static const struct {
		int result;
		const char *counter;
	} refusals[] = {
	    {-ENODATA, "no NIC time: not stamped"},
	    {-ENOMSG, "no NIC time: not yet synchronised"},
	    {-EL2NSYNC, "no NIC time: not synchronised"},
	    {-EINVAL, "no NIC time: refused"},
	};
	struct mdfh_packet packet;
	struct mdfh_bypass *port;

	(void)state;
	for (int efct = 0; efct < 2; efct++) {
		efdev_config()->is_efct = efct;
		port = open_ef_vi((struct mdfh_bypass_config){0}, NULL);
		for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
			efdev_config()->time_result = refusals[i].result;
			arrive(1, (struct sending){.time_ns = 5});
			assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
			assert_true(packet.flags & MDFH_PACKET_TIME_APP);
			assert_true(packet.receive_ns > UINT64_C(1000000000000000000));
			mdfh_bypass_release(port, &packet, 1);
			assert_int_equal(counter_of(port, refusals[i].counter), 1);
		}
		efdev_config()->time_result = 0;
		efdev_config()->sync_flags = EF_VI_SYNC_FLAG_CLOCK_SET;
		arrive(1, (struct sending){.time_ns = 5});
		assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
		assert_int_equal(packet.flags, MDFH_PACKET_TIME_NIC);
		assert_int_equal(packet.receive_ns, 5);
		mdfh_bypass_release(port, &packet, 1);
		/* Never set, it counts from when the NIC came up. */
		efdev_config()->sync_flags = EFDEV_NO_FLAGS;
		arrive(1, (struct sending){.time_ns = 5});
		assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
		assert_true(packet.flags & MDFH_PACKET_TIME_APP);
		mdfh_bypass_release(port, &packet, 1);
		assert_int_equal(counter_of(port, "no NIC time: clock never set"), 1);
		efdev_config()->sync_flags = 0;
		close_ef_vi(port);
	}
	efdev_config()->is_efct = 0;

	port =
	    open_ef_vi((struct mdfh_bypass_config){.timestamps = MDFH_TIMESTAMPS_SOFTWARE}, NULL);
	assert_int_equal(mdfh_bypass_capabilities(port)->timestamps, MDFH_PLACE_SOFTWARE);
	arrive(1, (struct sending){.time_ns = 5});
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
	assert_true(packet.flags & MDFH_PACKET_TIME_APP);
	mdfh_bypass_release(port, &packet, 1);
	close_ef_vi(port);

	port = open_ef_vi((struct mdfh_bypass_config){.timestamps = MDFH_TIMESTAMPS_OFF}, NULL);
	arrive(1, (struct sending){.time_ns = 5});
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
	assert_int_equal(packet.receive_ns, 0);
	mdfh_bypass_release(port, &packet, 1);
	close_ef_vi(port);

	efdev_config()->has_no_stamps = 1;
	assert_int_equal(
	    try_ef_vi((struct mdfh_bypass_config){.timestamps = MDFH_TIMESTAMPS_HARDWARE}, NULL),
	    -ENOTSUP);
	assert_error("use timestamps software or default");
	port = open_ef_vi((struct mdfh_bypass_config){0}, NULL);
	assert_int_equal(mdfh_bypass_capabilities(port)->timestamps, MDFH_PLACE_SOFTWARE);
	close_ef_vi(port);
}

/* Old firmware does not say how good its clock is, and the library then calls it set and in sync. */
static void believes_no_state_that_nobody_told(void **state)
{
	struct mdfh_bypass *port;
	struct mdfh_packet packet;

	(void)state;
	efdev_config()->tells_no_sync = 1;
	port = open_ef_vi((struct mdfh_bypass_config){0}, NULL);
	arrive(1, (struct sending){.time_ns = 1700000000123456789});
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
	assert_int_equal(packet.receive_ns, 1700000000123456789);
	assert_int_equal(packet.flags, MDFH_PACKET_TIME_NIC);
	mdfh_bypass_release(port, &packet, 1);
	/* A day after the NIC came up. */
	arrive(1, (struct sending){.time_ns = UINT64_C(86400000000000)});
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
	assert_true(packet.flags & MDFH_PACKET_TIME_APP);
	mdfh_bypass_release(port, &packet, 1);
	assert_int_equal(counter_of(port, "no NIC time: clock never set"), 1);
	close_ef_vi(port);
}

/* A Metamako's trailer, behind the FCS of the original frame. */
static void takes_the_time_of_a_tap(void **state)
{
	enum { FCS = 4, TRAILER = 12 };
	const uint64_t nic_ns = UINT64_C(1700000000000000000), tap_ns = nic_ns - 1000000;
	uint8_t trailer[FCS + TRAILER] = {0};
	uint32_t seconds = htobe32((uint32_t)(tap_ns / 1000000000));
	uint32_t ns = htobe32((uint32_t)(tap_ns % 1000000000));
	struct mdfh_packet packet;

	(void)state;
	memcpy(trailer + FCS, &seconds, 4);
	memcpy(trailer + FCS + 4, &ns, 4);
	trailer[FCS + 8] = 1;
	for (int efct = 0; efct < 2; efct++) {
		struct mdfh_bypass *port;
		struct efdev_frame frame;

		efdev_config()->is_efct = efct;
		port =
		    open_ef_vi((struct mdfh_bypass_config){.trailer = MDFH_TRAILER_METAMAKO}, NULL);
		frame = make(1, (struct sending){.time_ns = nic_ns});
		memcpy(frame_bytes + frame.length, trailer, sizeof(trailer));
		frame.length += sizeof(trailer);
		assert_int_equal(efdev_arrive(&frame), 1);
		arrive(2, (struct sending){.time_ns = nic_ns});
		assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
		assert_int_equal(number_of(&packet), 1);
		assert_int_equal(packet.receive_ns, tap_ns);
		assert_int_equal(packet.flags & MDFH_PACKET_TIME_MASK, MDFH_PACKET_TIME_TAP);
		mdfh_bypass_release(port, &packet, 1);
		assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
		assert_int_equal(packet.receive_ns, nic_ns);
		assert_int_equal(packet.flags & MDFH_PACKET_TIME_MASK, MDFH_PACKET_TIME_NIC);
		mdfh_bypass_release(port, &packet, 1);
		assert_int_equal(stats_of(port).rx_trailers, 1);
		assert_int_equal(stats_of(port).rx_trailers_absent, 1);
		close_ef_vi(port);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(says_how_good_its_times_are),
	    TEST(believes_no_state_that_nobody_told),
	    TEST(takes_the_time_of_a_tap),
	};
	int rc = enter();

	return rc ? rc : cmocka_run_group_tests(tests, NULL, NULL);
}
