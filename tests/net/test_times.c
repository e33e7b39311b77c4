/* test_times.c - every packet of every built-in backend and of io_uring says when it came, by exactly one
 * clock, and that the clock was in sync only where that is known.
 *
 * What the kernel says of its clock is this program's: adjtimex is defined here, also for the module. */
#include <arpa/inet.h>
#include <errno.h>
#include <sys/timex.h>

#include "net/socket.h"
#include "net/udp_test.h"
#include "wire/capture_files.h"

static int clock_status;
static long clock_maxerror_us;

__attribute__((visibility("default"))) int adjtimex(struct timex *t)
{
	t->status = clock_status;
	t->maxerror = clock_maxerror_us;
	return clock_status & STA_UNSYNC ? TIME_ERROR : TIME_OK;
}

static void set_clock(int is_synced)
{
	clock_status = is_synced ? STA_PLL : STA_UNSYNC;
	clock_maxerror_us = is_synced ? 250 : 16000000;
}

/* n packets of a port have times of this source. Closes it. */
static void check_times(struct mdfh_bypass *port, int n, unsigned source, int is_synced)
{
	struct mdfh_packet packets[64];
	int seen = 0;

	while (seen < n) {
		int got = mdfh_bypass_recv_wait(port, packets, n - seen);

		assert_true(got > 0);
		for (int i = 0; i < got; i++) {
			unsigned flags = packets[i].flags;

			assert_true(packets[i].receive_ns > 1000000000000000000U);
			assert_int_equal(flags & MDFH_PACKET_TIME_MASK, source);
			assert_int_equal((flags & MDFH_PACKET_CLOCK_SYNC) != 0, is_synced);
			/* How late a program reads its clock is never known. */
			assert_int_equal(packets[i].time_error_ns,
			    is_synced && source == MDFH_PACKET_TIME_KERNEL ? 250000 : UINT32_MAX);
		}
		mdfh_bypass_release(port, packets, got);
		seen += got;
	}
	mdfh_bypass_close(port);
}

static void send_times(uint16_t port, int n)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < n; i++)
		assert_int_equal(sendto(fd, "time", 4, 0, (struct sockaddr *)&to, sizeof(to)), 4);
	close(fd);
}

static void check_udp(const char *backend)
{
	for (int is_synced = 0; is_synced < 2; is_synced++) {
		struct mdfh_bypass *port;

		set_clock(is_synced);
		port = open_port((struct mdfh_bypass_config){
		    .backend = backend, .host = "127.0.0.1", .interface = "lo"});
		send_times(mdfh_bypass_local_port(port, 0), 20);
		check_times(port, 20, MDFH_PACKET_TIME_KERNEL, is_synced);
	}
}

static void socket_has_the_kernels(void **state)
{
	(void)state;
	check_udp("socket");
}

static void io_uring_has_the_kernels(void **state)
{
	struct mdfh_bypass_backend list[16];
	int n = mdfh_bypass_backends(list, 16);

	(void)state;
	for (int i = 0; i < n && i < 16; i++)
		if (!strcmp(list[i].name, "io_uring") && list[i].available) {
			check_udp("io_uring");
			return;
		}
	print_message("io_uring is not available here: not tried\n");
	skip();
}

/* What was in sync when the port was opened may not be later: statistics ask again. */
static void statistics_ask_again(void **state)
{
	struct mdfh_bypass_stats stats;
	struct mdfh_bypass *port;

	(void)state;
	set_clock(1);
	port = open_port((struct mdfh_bypass_config){.backend = "socket", .host = "127.0.0.1"});
	set_clock(0);
	assert_ok(mdfh_bypass_stats(port, &stats));
	send_times(mdfh_bypass_local_port(port, 0), 1);
	check_times(port, 1, MDFH_PACKET_TIME_KERNEL, 0);
}

/* Bytes have the kernel's time, marks the program's. */
static void tcp_has_both(void **state)
{
	(void)state;
	for (int is_synced = 0; is_synced < 2; is_synced++) {
		int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
		struct sockaddr_in at = {.sin_family = AF_INET};
		socklen_t length = sizeof(at);
		struct mdfh_packet packet;
		struct mdfh_bypass *port;
		int bytes = 0, marks = 0;

		at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
		assert_int_equal(listen(listener, 1), 0);
		assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &length), 0);
		set_clock(is_synced);
		port = open_port((struct mdfh_bypass_config){.backend = "socket",
		    .transport = MDFH_TRANSPORT_TCP,
		    .host = "127.0.0.1",
		    .port = ntohs(at.sin_port)});
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, "time", 4), 4);
		close(fd);
		while (!(bytes && marks == 2)) {
			struct mdfh_bypass_stats stats;
			int is_mark;

			/* A connection that is new is looked at with the next statistics. */
			assert_ok(mdfh_bypass_stats(port, &stats));
			assert_int_equal(mdfh_bypass_recv_wait(port, &packet, 1), 1);
			is_mark = (packet.flags &
				      (MDFH_PACKET_CONNECTED | MDFH_PACKET_DISCONNECTED)) != 0;
			marks += is_mark;
			bytes += !is_mark;
			assert_true(packet.receive_ns > 1000000000000000000U);
			assert_int_equal(packet.flags & MDFH_PACKET_TIME_MASK,
			    is_mark ? MDFH_PACKET_TIME_APP : MDFH_PACKET_TIME_KERNEL);
			assert_int_equal((packet.flags & MDFH_PACKET_CLOCK_SYNC) != 0, is_synced);
			mdfh_bypass_release(port, &packet, 1);
		}
		mdfh_bypass_close(port);
		close(listener);
	}
}

static void null_and_fault_have_the_programs(void **state)
{
	static const struct mdfh_bypass_config lower = {
	    .size = sizeof(lower), .backend = "null", .backend_options = "count=50"};

	(void)state;
	for (int is_synced = 0; is_synced < 2; is_synced++) {
		set_clock(is_synced);
		check_times(open_port(lower), 50, MDFH_PACKET_TIME_APP, is_synced);
		/* What a fault makes of a packet keeps its time. */
		check_times(open_port((struct mdfh_bypass_config){.backend = "fault",
				.lower = &lower,
				.fault = {.seed = 3,
				    .duplicate_ppm = 300000,
				    .reorder_ppm = 300000,
				    .damage_ppm = 300000,
				    .truncate_ppm = 300000}}),
		    50, MDFH_PACKET_TIME_APP, is_synced);
	}
}

/* A host in sync says nothing of the clock that a capture was made with. */
static void pcap_has_the_captures(void **state)
{
	static uint8_t frame[200];
	struct bytes file = {.length = 0};
	char path[128];

	(void)state;
	set_clock(1);
	classic_header(&file, 0xa1b23c4dU, 1);
	for (uint32_t i = 0; i < 10; i++) {
		uint32_t length = test_frame(1, 5000, 0, 'x', 20, frame, sizeof(frame));

		classic_record(&file, 1700000000 + i, 5, frame, length, length);
	}
	test_write(test_path("times.pcap", path), file.at, file.length);
	check_times(open_port((struct mdfh_bypass_config){.backend = "pcap", .file = path}), 10,
	    MDFH_PACKET_TIME_CAPTURE, 0);
	unlink(path);
}

/* A NIC stamps what it can. Three times come with a packet, the hardware's last; where that is 0, or none
 * came at all, the packet has the time at which it was read. */
static void a_packet_without_the_nics_stamp(void **state)
{
	union {
		struct cmsghdr align;
		uint8_t room[CMSG_SPACE(3 * sizeof(struct timespec))];
	} control = {.room = {0}};
	struct msghdr header = {.msg_control = &control, .msg_controllen = sizeof(control)};
	struct timespec times[3] = {{0}, {0}, {1700000000, 5}};
	static struct mdfh_sockets sockets;
	static struct flow flow;
	struct cmsghdr *c = CMSG_FIRSTHDR(&header);

	(void)state;
	set_clock(1);
	sockets.has_times = 1;
	sockets.cmsg_type = SCM_TIMESTAMPING;
	sockets.time_flags = MDFH_PACKET_TIME_NIC;
	sockets.app_flags = mdfh_app_time_flags();
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_TIMESTAMPING;
	c->cmsg_len = CMSG_LEN(sizeof(times));
	for (int stamped = 1; stamped >= -1; stamped--) {
		struct mdfh_packet packet = {.time_error_ns = 7};

		times[2].tv_sec = stamped > 0 ? 1700000000 : 0;
		times[2].tv_nsec = stamped > 0 ? 5 : 0;
		memcpy(CMSG_DATA(c), times, sizeof(times));
		if (stamped < 0)
			header.msg_controllen = 0;
		mdfh_sockets_read_control(&sockets, &flow, &header, &packet);
		if (stamped > 0) {
			assert_true(packet.receive_ns == 1700000000000000005U);
			assert_int_equal(packet.flags, MDFH_PACKET_TIME_NIC);
			assert_int_equal(packet.time_error_ns, 7);
			continue;
		}
		assert_true(packet.receive_ns > 1700000001000000000U);
		assert_int_equal(packet.flags, MDFH_PACKET_TIME_APP | MDFH_PACKET_CLOCK_SYNC);
		assert_int_equal(packet.time_error_ns, UINT32_MAX);
	}
}

static void off_is_off(void **state)
{
	struct mdfh_packet packets[4];
	struct mdfh_bypass *port;
	int got = 0;

	(void)state;
	set_clock(1);
	port = open_port((struct mdfh_bypass_config){
	    .backend = "socket", .host = "127.0.0.1", .timestamps = MDFH_TIMESTAMPS_OFF});
	send_times(mdfh_bypass_local_port(port, 0), 4);
	while (got < 4) {
		int n = mdfh_bypass_recv_wait(port, packets + got, 4 - got);

		assert_true(n > 0);
		got += n;
	}
	for (int i = 0; i < 4; i++) {
		assert_int_equal(packets[i].receive_ns, 0);
		assert_int_equal(packets[i].flags, 0);
	}
	mdfh_bypass_close(port);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(socket_has_the_kernels),
	    cmocka_unit_test(io_uring_has_the_kernels),
	    cmocka_unit_test(statistics_ask_again),
	    cmocka_unit_test(tcp_has_both),
	    cmocka_unit_test(null_and_fault_have_the_programs),
	    cmocka_unit_test(pcap_has_the_captures),
	    cmocka_unit_test(a_packet_without_the_nics_stamp),
	    cmocka_unit_test(off_is_off),
	};
	int rc = test_take_backend(argc, argv);

	return rc ? rc : cmocka_run_group_tests(tests, NULL, NULL);
}
