/* test_verbs.c - backend verbs over its device of software (verbs_device/): datagrams, buffers, what may happen
 * to a port, times.
 *
 * Usage: test_verbs MODULE */
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "net/verbs_test.h"

static char folder[64]; /* in place of /sys/class/infiniband/DEVICE */

/* Datagrams ----------------------------------------------------------------------------------- */

static void finds_a_datagrams_flow(void **state)
{
	static const struct mdfh_flow both[] = {
	    {.group = "239.1.1.1", .source = "10.0.0.1", .port = PORT},
	    {.group = "239.1.1.1", .port = PORT + 1},
	    {.group = "ff15::1", .source = "fd77::1", .port = PORT},
	};
	static const uint8_t nothing[60];
	struct mdfh_bypass *port =
	    DATAGRAM(.flows = both, .flow_count = 3, .direction = MDFH_DIRECTION_RECEIVE);

	(void)state;
	FROM("10.0.0.1", "239.1.1.1", IBV_WC_WITH_IMM, PORT);
	assert_int_equal(flow_of(port), 0);
	FROM("10.0.0.9", "239.1.1.1", IBV_WC_WITH_IMM, PORT + 1);
	assert_int_equal(flow_of(port), 1);
	FROM("fd77::1", "ff15::1", IBV_WC_WITH_IMM, PORT);
	assert_int_equal(flow_of(port), 2);
	assert_int_equal(stats_of(port).rx_filtered, 0);
	/* Another source, group, port; a number that is no port. */
	FROM("10.0.0.9", "239.1.1.1", IBV_WC_WITH_IMM, PORT);
	FROM("fd77::9", "ff15::1", IBV_WC_WITH_IMM, PORT);
	FROM("10.0.0.1", "239.1.1.3", IBV_WC_WITH_IMM, PORT);
	FROM("10.0.0.1", "239.1.1.1", IBV_WC_WITH_IMM, PORT + 2);
	FROM("10.0.0.1", "239.1.1.1", IBV_WC_WITH_IMM, 0x10000 + PORT);
	assert_int_equal(flow_of(port), -1);
	assert_int_equal(stats_of(port).rx_filtered, 5);
	/* Nobody says the port: the first flow of group and source. */
	FROM("10.0.0.1", "239.1.1.1", 0, PORT + 1);
	assert_int_equal(flow_of(port), 0);
	FROM("10.0.0.9", "239.1.1.1", 0, 0);
	assert_int_equal(flow_of(port), 1);
	/* No header; one that is cut. */
	assert_int_equal(vdev_arrive(nothing, 60, 0, 0), 1);
	assert_int_equal(vdev_arrive(nothing, 39, IBV_WC_GRH, 0), 1);
	assert_int_equal(flow_of(port), -1);
	assert_int_equal(stats_of(port).rx_filtered, 6);
	assert_int_equal(stats_of(port).malformed[MDFH_FRAME_SHORT], 1);
	assert_int_equal(vdev.with_device, RING - 12);
	closes(port);
}

static void ignores_immediate_data_where_told(void **state)
{
	struct mdfh_bypass *port = OPEN(.backend_options = "mode=datagram,port=none");

	(void)state;
	FROM("10.0.0.9", "239.1.1.1", IBV_WC_WITH_IMM, PORT + 7);
	assert_int_equal(flow_of(port), 1);
	assert_ok(mdfh_bypass_send(
	    port, &(struct mdfh_packet){.data = (const uint8_t *)"x", .length = 1}, 1));
	assert_int_equal(vdev.sends[0].opcode, IBV_WR_SEND);
	closes(port);
}

static void believes_no_header_whose_sum_is_wrong(void **state)
{
	struct mdfh_bypass *port = DATAGRAM(.direction = MDFH_DIRECTION_RECEIVE);
	uint8_t bytes[48] = {0};

	(void)state;
	/* Version, protocol and addresses of an IPv4 header, and no sum. */
	bytes[20] = 0x45;
	bytes[29] = 17;
	inet_pton(AF_INET, "10.0.0.1", bytes + 32);
	inet_pton(AF_INET, "239.1.1.1", bytes + 36);
	assert_int_equal(vdev_arrive(bytes, sizeof(bytes), IBV_WC_GRH, 0), 1);
	assert_int_equal(flow_of(port), -1);
	assert_int_equal(stats_of(port).rx_filtered, 1);
	closes(port);
}

static void joins_each_group_once(void **state)
{
	struct mdfh_bypass *port = DATAGRAM(.direction = MDFH_DIRECTION_RECEIVE);

	(void)state;
	assert_int_equal(vdev.joins, 2);
	assert_int_equal(vdev.attached, 2);
	assert_int_equal(vdev.join_flags, RDMA_MC_JOIN_FLAG_FULLMEMBER);
	closes(port);
	port = DATAGRAM(.direction = MDFH_DIRECTION_SEND);
	assert_int_equal(vdev.joins, 4);
	assert_int_equal(vdev.attached, 2);
	assert_int_equal(vdev.join_flags, RDMA_MC_JOIN_FLAG_SENDONLY_FULLMEMBER);
	assert_int_equal(flow_of(port), -1);
	closes(port);
}

static void sends_datagrams(void **state)
{
	struct mdfh_bypass *port = DATAGRAM(.multicast_loop = MDFH_OFF);
	struct mdfh_packet packets[100];

	(void)state;
	assert_int_equal(vdev.create_flags, IBV_QP_CREATE_BLOCK_SELF_MCAST_LB);
	for (uint16_t i = 0; i < 100; i++)
		packets[i] = (struct mdfh_packet){
		    .data = (const uint8_t *)"abcdefghij", .length = i % 10u, .flow = i % 3};
	/* More than there are slots, as those of each call come back with the next. */
	for (int i = 0; i < 20; i++)
		assert_int_equal(mdfh_bypass_send(port, packets, 100), 100);
	assert_int_equal(vdev.sends_count, 2000);
	assert_int_equal(vdev.send_chains, 20);
	for (uint32_t i = 0; i < 2000; i++) {
		const struct vdev_send *send = &vdev.sends[i];

		assert_int_equal(send->opcode, IBV_WR_SEND_WITH_IMM);
		assert_int_equal(send->length, i % 100 % 10);
		assert_int_equal(ntohl(send->immediate), flows[i % 100 % 3].port);
		assert_int_equal(send->remote_qpn, 0xffffff);
		assert_int_equal(send->qkey, RDMA_UDP_QKEY);
		assert_memory_equal(send->bytes, "abcdefghij", send->length);
	}
	assert_int_equal(stats_of(port).tx_packets, 2000);
	closes(port);
}

static void takes_back_what_was_not_sent(void **state)
{
	static const uint8_t long_one[2048];
	struct mdfh_bypass *port = DATAGRAM(.direction = MDFH_DIRECTION_SEND);
	struct mdfh_packet packets[40];

	(void)state;
	for (int i = 0; i < 40; i++)
		packets[i] = (struct mdfh_packet){.data = (const uint8_t *)"abc", .length = 3};
	vdev.sends_at_most = 7;
	for (int i = 0; i < 73; i++)
		assert_int_equal(mdfh_bypass_send(port, packets, 40), 7);
	/* None of those reports: the last slot's packet does, for all of them. */
	assert_int_equal(mdfh_bypass_send(port, packets, 40), 1);
	assert_int_equal(mdfh_bypass_send(port, packets, 40), 7);
	closes(port);
	fresh(NULL);
	port = DATAGRAM(.direction = MDFH_DIRECTION_SEND);
	vdev.sends_at_most = 7;
	assert_int_equal(mdfh_bypass_send(port, packets, 40), 7);
	vdev.sends_at_most = 0;
	for (int i = 0; i < 100; i++)
		assert_int_equal(mdfh_bypass_send(port, packets, 40), 40);
	assert_int_equal(stats_of(port).tx_failed, 33);
	assert_int_equal(counter_of(port, "chains refused"), 1);
	/* The device has an MTU of 1024. */
	packets[1] = (struct mdfh_packet){.data = long_one, .length = 1025};
	assert_int_equal(mdfh_bypass_send(port, packets, 2), 1);
	assert_int_equal(mdfh_bypass_send(port, packets + 1, 1), -EINVAL);
	assert_error("a packet of 1025 bytes to flow 0 cannot be sent");
	packets[1] = (struct mdfh_packet){.data = long_one, .length = 1, .flow = 3};
	assert_int_equal(mdfh_bypass_send(port, packets + 1, 1), -EINVAL);
	vdev.send_status = IBV_WC_RETRY_EXC_ERR;
	assert_int_equal(mdfh_bypass_send(port, packets, 1), 1);
	assert_int_equal(mdfh_bypass_send(port, packets, 1), -EIO);
	assert_error("open the port anew");
	assert_int_equal(counter_of(port, "sending: another error"), 1);
	assert_int_equal(stats_of(port).rx_dropped_nic, 0);
	closes(port);
}

/* Buffers ------------------------------------------------------------------------------------- */

static void gives_buffers_in_chains(void **state)
{
	struct mdfh_bypass *port = DATAGRAM(.direction = MDFH_DIRECTION_RECEIVE, .hold_max = 64);
	struct mdfh_packet packets[64];
	uint32_t came = 0;

	(void)state;
	assert_int_equal(vdev.chains, 1);
	assert_int_equal(vdev.longest_chain, RING);
	for (int i = 0; i < 1000; i++) {
		int got;

		for (int k = 0; k < 8; k++)
			FROM("10.0.0.1", "239.1.1.1", 0, 0);
		got = mdfh_bypass_recv(port, packets, 64);
		assert_int_equal(got, 8);
		came += (uint32_t)got;
		mdfh_bypass_release(port, packets, got);
	}
	/* 8 at a time make a chain of no fewer than 32 in every fourth call. */
	assert_in_range(vdev.chains, 200, 1 + came / 32);
	assert_in_range(vdev.with_device, RING - 32, RING);
	closes(port);
}

static void goes_on_where_buffers_are_refused(void **state)
{
	struct mdfh_bypass *port = DATAGRAM(.direction = MDFH_DIRECTION_RECEIVE);
	struct mdfh_packet packet;

	(void)state;
	vdev.takes_at_most = 5;
	for (int i = 0; i < 5000; i++) {
		FROM("10.0.0.1", "239.1.1.1", 0, 0);
		assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
		mdfh_bypass_release(port, &packet, 1);
	}
	assert_in_range(counter_of(port, "chains refused"), 1, 5000);
	vdev.takes_at_most = 0;
	assert_int_equal(flow_of(port), -1);
	assert_in_range(vdev.with_device, RING - 32, RING);
	closes(port);
}

static const uint8_t *arrived(struct mdfh_bypass *port, struct mdfh_packet *packet)
{
	FROM("10.0.0.1", "239.1.1.1", 0, 0);
	assert_int_equal(mdfh_bypass_recv(port, packet, 1), 1);
	assert_int_equal(packet->length, 7);
	assert_memory_equal(packet->data, "payload", 7);
	return packet->data;
}

static void hands_out_in_place_up_to_hold_max(void **state)
{
	enum { HOLD = 64 };
	struct mdfh_bypass *port =
	    DATAGRAM(.direction = MDFH_DIRECTION_RECEIVE, .hold_max = HOLD, .batch_size = 16);
	struct mdfh_packet packets[HOLD * 3];

	(void)state;
	assert_true(mdfh_bypass_capabilities(port)->zero_copy);
	for (int i = 0; i < HOLD; i++) {
		/* Right behind the header that the device wrote. */
		assert_int_equal(arrived(port, &packets[i])[-40 + 20], 0x45);
		assert_int_equal(packets[i].header_length, 40);
		assert_false(packets[i].flags & MDFH_PACKET_COPIED);
	}
	for (int i = HOLD; i < HOLD * 2; i++) {
		(void)arrived(port, &packets[i]);
		assert_true(packets[i].flags & MDFH_PACKET_COPIED);
		assert_int_equal(packets[i].header_length, 0);
	}
	assert_int_equal(stats_of(port).rx_copied, HOLD);
	for (int i = 0; i < HOLD * 2; i++)
		assert_memory_equal(packets[i].data, "payload", 7);
	mdfh_bypass_release(port, packets, HOLD * 2);
	mdfh_bypass_release(port, packets, HOLD * 2);
	(void)arrived(port, &packets[0]);
	assert_false(packets[0].flags & MDFH_PACKET_COPIED);
	closes(port);
}

static void copies_where_told(void **state)
{
	struct mdfh_bypass *port = DATAGRAM(.zero_copy_threshold = 8);
	struct mdfh_packet packet;

	(void)state;
	(void)arrived(port, &packet);
	assert_true(packet.flags & MDFH_PACKET_COPIED);
	mdfh_bypass_release(port, &packet, 1);
	closes(port);
	port = DATAGRAM(.enable_zero_copy = MDFH_OFF);
	assert_string_equal(mdfh_bypass_capabilities(port)->copy_reason, "enable_zero_copy is off");
	(void)arrived(port, &packet);
	assert_true(packet.flags & MDFH_PACKET_COPIED);
	closes(port);
}

static void starves_where_all_is_held(void **state)
{
	struct mdfh_bypass *port = DATAGRAM(.hold_max = 64, .batch_size = 16);
	struct mdfh_packet packet;
	uint64_t came = 0;

	(void)state;
	/* 64 in place, 80 copies, and then in place again until the device has no buffer. */
	while (vdev_datagram("10.0.0.1", "239.1.1.1", "payload", 7, 0, 0)) {
		assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
		assert_in_range(++came, 1, 1000);
	}
	assert_int_equal(came, RING + 64 + 16 + 80);
	assert_int_equal(vdev.dropped, 1);
	assert_int_equal(flow_of(port), -1);
	assert_int_equal(stats_of(port).rx_starved, 1);
	mdfh_bypass_release(port, &packet, 1);
	assert_int_equal(flow_of(port), -1);
	assert_int_equal(vdev.with_device, 1);
	closes(port);
}

static void a_device_of_software_waits_at_the_limit(void **state)
{
	struct mdfh_bypass *port;
	struct mdfh_packet packets[200];

	(void)state;
	vdev.is_of_software = 1;
	port = DATAGRAM(.hold_max = 64, .batch_size = 16, .poll_timeout_us = 1000);
	assert_false(mdfh_bypass_capabilities(port)->zero_copy);
	assert_string_equal(mdfh_bypass_capabilities(port)->copy_reason, "device of software");
	for (int i = 0; i < 80; i++)
		(void)arrived(port, &packets[i]);
	FROM("10.0.0.1", "239.1.1.1", 0, 0);
	assert_int_equal(mdfh_bypass_recv_wait(port, &packets[80], 1), 0);
	assert_int_equal(stats_of(port).rx_starved, 1);
	mdfh_bypass_release(port, packets, 80);
	assert_int_equal(mdfh_bypass_recv(port, packets, 16), 1);
	closes(port);
}

static void an_arrival_ends_the_wait(void **state)
{
	struct mdfh_bypass *port = DATAGRAM(.poll_timeout_us = 60000000);
	struct mdfh_packet packet;

	(void)state;
	/* It is there before the queue is armed. */
	FROM("10.0.0.1", "239.1.1.1", 0, 0);
	assert_int_equal(mdfh_bypass_recv_wait(port, &packet, 1), 1);
	closes(port);
	port = DATAGRAM(.poll_timeout_us = 1000);
	for (int i = 0; i < 3; i++)
		assert_int_equal(mdfh_bypass_recv_wait(port, &packet, 1), 0);
	closes(port);
}

/* Losses and failures ---------------------------------------------------------------------------- */

static void set_counter(const char *name, const char *text)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/ports/1/hw_counters/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void counts_what_the_device_drops(void **state)
{
	struct mdfh_bypass *port;

	(void)state;
	set_counter("out_of_buffer", "1000\n");
	set_counter("rcvd_pkts", "77\n");
	vdev.folder = folder;
	port = DATAGRAM(.direction = MDFH_DIRECTION_RECEIVE);
	assert_int_equal(stats_of(port).known_drops, 1);
	assert_int_equal(stats_of(port).rx_dropped_nic, 0);
	set_counter("out_of_buffer", "1042\n");
	assert_int_equal(stats_of(port).rx_dropped_nic, 42);
	/* A datagram that the device could not write is lost, too, and its buffer serves again. */
	vdev_fail(IBV_WC_LOC_LEN_ERR);
	vdev_fail(IBV_WC_LOC_LEN_ERR);
	FROM("10.0.0.1", "239.1.1.1", 0, 0);
	assert_int_equal(flow_of(port), 0);
	assert_int_equal(stats_of(port).rx_dropped_nic, 44);
	assert_int_equal(counter_of(port, "completion: local length error"), 2);
	assert_int_equal(counter_of(port, "device: out_of_buffer"), 1042);
	assert_int_equal(counter_of(port, "device: rcvd_pkts"), 77);
	assert_int_equal(counter_of(port, "buffers with the device"), RING - 3);
	/* The device has begun anew. */
	set_counter("out_of_buffer", "5\n");
	assert_int_equal(stats_of(port).rx_dropped_nic, 49);
	set_counter("out_of_buffer", "6\n");
	assert_int_equal(stats_of(port).rx_dropped_nic, 50);
	closes(port);
	/* Of a NIC it has 32 bits. */
	set_counter("out_of_buffer", "4294967290\n");
	port = DATAGRAM(.direction = MDFH_DIRECTION_RECEIVE);
	set_counter("out_of_buffer", "4\n");
	assert_int_equal(stats_of(port).rx_dropped_nic, 10);
	closes(port);
}

static void a_failed_queue_pair_is_the_end(void **state)
{
	struct mdfh_bypass *port = DATAGRAM(.poll_timeout_us = 60000000);
	struct mdfh_packet packet;

	(void)state;
	FROM("10.0.0.1", "239.1.1.1", 0, 0);
	for (int i = 0; i < 10; i++)
		vdev_fail(IBV_WC_WR_FLUSH_ERR);
	/* What came before still comes. */
	assert_int_equal(flow_of(port), 0);
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), -EIO);
	assert_error("verbs: the queue pair on lo has failed");
	assert_int_equal(mdfh_bypass_recv_wait(port, &packet, 1), -EIO);
	assert_int_equal(stats_of(port).rx_dropped_nic, 0);
	assert_int_equal(counter_of(port, "completion: Work Request Flushed Error"), 10);
	closes(port);
}

static void a_removed_device_is_the_end(void **state)
{
	struct mdfh_bypass *port = DATAGRAM(.direction = MDFH_DIRECTION_RECEIVE);
	struct mdfh_packet packet;

	(void)state;
	vdev_happens(RDMA_CM_EVENT_DEVICE_REMOVAL, 0);
	(void)stats_of(port);
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), -EIO);
	closes(port);
	port = OPEN(.direction = MDFH_DIRECTION_RECEIVE);
	vdev_async(IBV_EVENT_PORT_ERR);
	(void)stats_of(port);
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 0);
	vdev_async(IBV_EVENT_DEVICE_FATAL);
	(void)stats_of(port);
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), -EIO);
	closes(port);
}

static void joins_lost_groups_again(void **state)
{
	struct mdfh_bypass *port = DATAGRAM(.direction = MDFH_DIRECTION_RECEIVE);

	(void)state;
	vdev.is_join_silent = 1;
	vdev_happens(RDMA_CM_EVENT_MULTICAST_ERROR, -ENETRESET);
	assert_string_equal(
	    warning_of(port), "group 239.1.1.2 was lost, and is being joined again");
	assert_int_equal(vdev.detached, 2);
	assert_int_equal(vdev.joins, 4);
	assert_int_equal(vdev.leaves, 2);
	/* However slowly it is answered, it is asked once. */
	assert_string_not_equal(warning_of(port), "");
	assert_int_equal(vdev.joins, 4);
	vdev_happens(RDMA_CM_EVENT_MULTICAST_JOIN, 0);
	assert_string_equal(warning_of(port), "");
	assert_int_equal(vdev.attached, 4);
	assert_int_equal(vdev.joins, 4);
	closes(port);
}

/* A subnet's manager that has begun anew may have given the group another address. */
static void sends_to_where_a_lost_group_is_now(void **state)
{
	const struct mdfh_packet packet = {.data = (const uint8_t *)"abc", .length = 3, .flow = 2};
	struct mdfh_bypass *port;

	(void)state;
	vdev.group_lid = 0xc001;
	port = DATAGRAM(.direction = MDFH_DIRECTION_SEND, .multicast_ttl = 3);
	assert_int_equal(mdfh_bypass_send(port, &packet, 1), 1);
	assert_int_equal(vdev.sends[0].lid, 0xc001);
	assert_int_equal(vdev.sends[0].hop_limit, 3);
	vdev.group_lid = 0xc002;
	vdev.is_sending_slow = 1;
	assert_int_equal(mdfh_bypass_send(port, &packet, 1), 1);
	vdev_happens(RDMA_CM_EVENT_MULTICAST_ERROR, -ENETRESET);
	assert_string_not_equal(warning_of(port), "");
	assert_string_equal(warning_of(port), "");
	assert_int_equal(mdfh_bypass_send(port, &packet, 1), 1);
	assert_int_equal(vdev.sends[2].lid, 0xc002);
	assert_int_equal(vdev.sends[2].hop_limit, 3);
	/* What was on its way when the group was lost had the old one. */
	assert_int_equal(vdev.ways_missed, 0);
	vdev_leave();
	vdev.is_sending_slow = 0;
	/* The new way cannot be had: the group stays lost until it can. */
	vdev_happens(RDMA_CM_EVENT_MULTICAST_ERROR, -ENETRESET);
	vdev.ah_error = ENOMEM;
	assert_string_not_equal(warning_of(port), "");
	assert_string_not_equal(warning_of(port), "");
	assert_int_equal(mdfh_bypass_send(port, &packet, 1), 1);
	vdev.ah_error = 0;
	(void)stats_of(port);
	assert_string_equal(warning_of(port), "");
	closes(port);
}

static void warns_of_a_port_that_is_down(void **state)
{
	struct mdfh_bypass *port = DATAGRAM(.direction = MDFH_DIRECTION_RECEIVE);

	(void)state;
	assert_string_equal(warning_of(port), "");
	vdev.state = IBV_PORT_DOWN;
	assert_string_equal(warning_of(port), "port 1 of soft0 is PORT_DOWN: nothing arrives; look "
					      "at the cable and at interface lo");
	closes(port);
	port = DATAGRAM(.direction = MDFH_DIRECTION_RECEIVE);
	assert_non_null(strstr(mdfh_bypass_capabilities(port)->warning, "PORT_DOWN"));
	closes(port);
}

/* Times --------------------------------------------------------------------------------------- */

static void check_time(struct mdfh_bypass *port, uint16_t source)
{
	struct mdfh_packet packet;
	uint64_t before_ns = mdfh_clock_now_ns(), after_ns, bound_ns;

	(void)arrived(port, &packet);
	after_ns = mdfh_clock_now_ns();
	assert_int_equal(packet.flags & MDFH_PACKET_TIME_MASK, source);
	/* The device's wall clock is the kernel's, which is not quite the program's. */
	bound_ns = mdfh_clock_error_ns();
	if (source == MDFH_PACKET_TIME_NIC && vdev.stamps == VDEV_TICKS) {
		assert_int_not_equal(packet.time_error_ns, UINT32_MAX);
		bound_ns += packet.time_error_ns;
	}
	assert_in_range(packet.receive_ns, before_ns - bound_ns, after_ns + bound_ns);
}

static void has_the_times_of_the_device(void **state)
{
	struct mdfh_bypass *port;

	(void)state;
	vdev.stamps = VDEV_TICKS;
	port = DATAGRAM(.timestamps = MDFH_TIMESTAMPS_DEFAULT);
	assert_int_equal(mdfh_bypass_capabilities(port)->timestamps, MDFH_PLACE_HARDWARE);
	assert_string_equal(
	    mdfh_bypass_capabilities(port)->mode, "datagram, soft0 port 1, its clock");
	check_time(port, MDFH_PACKET_TIME_NIC);
	assert_int_equal(counter_of(port, "clock samples"), 2);
	/* Of failed completions among others, and immediate data, in this way, too. */
	vdev_fail(IBV_WC_LOC_LEN_ERR);
	FROM("10.0.0.9", "239.1.1.1", IBV_WC_WITH_IMM, PORT + 1);
	assert_int_equal(flow_of(port), 1);
	for (int i = 0; i < 200; i++)
		FROM("10.0.0.1", "239.1.1.1", IBV_WC_WITH_IMM, PORT);
	for (int i = 0; i < 200; i++)
		assert_int_equal(flow_of(port), 0);
	assert_int_equal(flow_of(port), -1);
	closes(port);
	port = DATAGRAM(.timestamps = MDFH_TIMESTAMPS_SOFTWARE);
	check_time(port, MDFH_PACKET_TIME_APP);
	closes(port);
	vdev.stamps = VDEV_WALLCLOCK;
	port = DATAGRAM(.timestamps = MDFH_TIMESTAMPS_HARDWARE);
	assert_string_equal(
	    mdfh_bypass_capabilities(port)->mode, "datagram, soft0 port 1, its wall clock");
	check_time(port, MDFH_PACKET_TIME_NIC);
	closes(port);
}

static void has_no_times_where_there_are_none(void **state)
{
	struct mdfh_bypass *port = DATAGRAM(.timestamps = MDFH_TIMESTAMPS_OFF);
	struct mdfh_packet packet;

	(void)state;
	(void)arrived(port, &packet);
	assert_int_equal(packet.receive_ns, 0);
	closes(port);
	assert_int_equal(
	    try_open((struct mdfh_bypass_config){.timestamps = MDFH_TIMESTAMPS_HARDWARE}, &port),
	    -ENOTSUP);
	assert_error("soft0 gives none; use software");
	assert_int_equal(vdev.live, 0);
}

/* --------------------------------------------------------------------------------------------- */

static int make_folder(void **state)
{
	char path[128];

	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/mdfh-verbs-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	for (const char *const *under =
		 (const char *const[]){"ports", "ports/1", "ports/1/hw_counters", NULL};
	     *under; under++) {
		snprintf(path, sizeof(path), "%s/%s", folder, *under);
		if (mkdir(path, 0700))
			return -1;
	}
	return 0;
}

static int remove_folder(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    TEST(finds_a_datagrams_flow),
	    TEST(ignores_immediate_data_where_told),
	    TEST(believes_no_header_whose_sum_is_wrong),
	    TEST(joins_each_group_once),
	    TEST(sends_datagrams),
	    TEST(takes_back_what_was_not_sent),
	    TEST(gives_buffers_in_chains),
	    TEST(goes_on_where_buffers_are_refused),
	    TEST(hands_out_in_place_up_to_hold_max),
	    TEST(copies_where_told),
	    TEST(starves_where_all_is_held),
	    TEST(a_device_of_software_waits_at_the_limit),
	    TEST(an_arrival_ends_the_wait),
	    TEST(counts_what_the_device_drops),
	    TEST(a_failed_queue_pair_is_the_end),
	    TEST(a_removed_device_is_the_end),
	    TEST(joins_lost_groups_again),
	    TEST(sends_to_where_a_lost_group_is_now),
	    TEST(warns_of_a_port_that_is_down),
	    TEST(has_the_times_of_the_device),
	    TEST(has_no_times_where_there_are_none),
	};
	int status = test_begin(argc, argv);

	return status ? status : cmocka_run_group_tests(tests, make_folder, remove_folder);
}
