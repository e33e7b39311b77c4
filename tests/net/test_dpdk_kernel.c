/* test_dpdk_kernel.c - backend dpdk over devices of the kernel's: frames of every kind come and are
 * told apart, frames go, and a querier at the other end of the line gets its answers. Runs as root, in
 * a network namespace of its own.
 *
 * usage: test_dpdk_kernel af_packet|af_xdp|tap [TEST]: net_af_xdp does not let its queue go before the
 * process ends, so it has a process for each test */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <poll.h>
#include <time.h>

#include "net/dpdk_test.h"
#include "net/querier_test.h"

static const char *driver;
static char device[64];   /* as the port names it */
static const char *other; /* the interface where the test sends and listens */

static const struct mdfh_flow flows[] = {
    {.group = "239.1.1.1", .port = 26477},
    {.group = "239.1.1.2", .port = 26478, .source = "10.0.0.7"},
    {.group = "239.1.1.3", .port = 26479, .vlan = 100},
    {.group = "ff15::1", .port = 26480},
};

enum { FLOWS = sizeof(flows) / sizeof(flows[0]) };

static int line = -1; /* raw socket on the other interface */

/* The other end --------------------------------------------------------------------------------- */

static int open_line(void)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET,
	    .sll_protocol = htons(ETH_P_ALL),
	    .sll_ifindex = (int)if_nametoindex(other)};
	int one = 1;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));

	if (fd < 0)
		return -1;
	/* What this socket sends does not come back to it. */
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	if (!address.sll_ifindex || bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void put(const void *frame, size_t length)
{
	assert_int_equal(send(line, frame, length, 0), (ssize_t)length);
}

static uint32_t build(uint8_t *frame, const char *source, const char *group, uint16_t port,
    uint16_t vlan, uint32_t number)
{
	struct mdfh_frame_header header = {.destination_port = port, .source_port = 7};
	uint8_t payload[64] = {0};
	int length;

	assert_ok(mdfh_frame_address(source, header.source));
	assert_ok(mdfh_frame_address(group, header.destination));
	header.vlan[0] = vlan;
	header.vlan_count = vlan != 0;
	number_write(payload, sizeof(payload), number);
	length = mdfh_frame_build(&header, payload, sizeof(payload), frame, 1500);
	assert_ok(length);
	return (uint32_t)length;
}

static void put_udp(
    const char *source, const char *group, uint16_t port, uint16_t vlan, uint32_t number)
{
	uint8_t frame[1500];

	put(frame, build(frame, source, group, port, vlan, number));
}

/* The next frame of an IP protocol from the port, within a while. Its length, 0 = none came. */
static uint32_t next_of(uint8_t protocol, uint8_t *frame, struct mdfh_frame *parsed,
    struct mdfh_bypass *port, int limit_ms)
{
	for (int i = 0; i < limit_ms; i++) {
		struct pollfd ready = {.fd = line, .events = POLLIN};
		struct mdfh_packet packet;
		ssize_t n;

		if (port && mdfh_bypass_recv(port, &packet, 1) == 1)
			mdfh_bypass_release(port, &packet, 1);
		if (poll(&ready, 1, 1) != 1)
			continue;
		n = recv(line, frame, 2048, 0);
		if (n <= 0)
			continue;
		(void)mdfh_frame_parse(MDFH_LINK_ETHERNET, frame, (uint32_t)n, (uint32_t)n, parsed);
		if (parsed->protocol == protocol)
			return (uint32_t)n;
	}
	return 0;
}

/* Tests ---------------------------------------------------------------------------------------- */

/* The line is opened anew for each port: a tap is there as long as its port is. */
static struct mdfh_bypass *open_device(struct mdfh_bypass_config config)
{
	struct mdfh_bypass *port;

	config.interface = device;
	config.rx_ring_size = config.rx_ring_size ? config.rx_ring_size : 512;
	config.hold_max = 256;
	config.hugepages = MDFH_OFF;
	config.flows = flows;
	config.flow_count = FLOWS;
	port = open_port(config);
	if (line >= 0)
		close(line);
	line = open_line();
	if (line < 0)
		fail_msg("no AF_PACKET socket on %s: %s", other, strerror(errno));
	return port;
}

/* Twice over, so that the order is seen, too. */
static void put_mixed_stream(uint32_t from)
{
	uint8_t frame[1500] = {0};
	uint32_t length;

	put_udp("10.0.0.1", "239.1.1.1", 26477, 0, from);
	put_udp("10.0.0.1", "239.1.1.1", 26478, 0, 0); /* other port */
	put_udp("10.0.0.1", "239.1.1.9", 26477, 0, 0); /* other group */
	put_udp("10.0.0.7", "239.1.1.2", 26478, 0, from + 1);
	put_udp("10.0.0.8", "239.1.1.2", 26478, 0, 0); /* other source */
	put_udp("10.0.0.1", "239.1.1.3", 26479, 100, from + 2);
	put_udp("10.0.0.1", "239.1.1.3", 26479, 101, 0); /* other VLAN */
	put_udp("10.0.0.1", "239.1.1.3", 26479, 0, 0);   /* none */
	put_udp("fd00::1", "ff15::1", 26480, 0, from + 3);
	put_udp("fd00::1", "ff15::2", 26480, 0, 0);
	length = build(frame, "10.0.0.1", "239.1.1.1", 26477, 0, 0);
	frame[20] = 0x20; /* a fragment: more of them follow */
	put(frame, length);
	length = build(frame, "10.0.0.1", "239.1.1.1", 26477, 0, 0);
	frame[23] = 6; /* TCP; what follows is no header of it */
	put(frame, length);
	frame[12] = 0x08;
	frame[13] = 0x06; /* ARP */
	put(frame, 60);
}

static void tells_frames_apart(void **state)
{
	struct mdfh_bypass *port = open_device((struct mdfh_bypass_config){0});
	struct mdfh_packet packets[4];
	struct mdfh_bypass_stats stats = {0};
	uint64_t fragments;

	(void)state;
	assert_int_equal(mdfh_bypass_capabilities(port)->filters, MDFH_PLACE_SOFTWARE);
	for (uint32_t round = 0; round < 50; round++) {
		put_mixed_stream(round * 10);
		receive(port, packets, FLOWS);
		for (uint16_t i = 0; i < FLOWS; i++) {
			assert_int_equal(packets[i].flow, i);
			assert_int_equal(packets[i].length, 64);
			assert_int_equal(number_of(&packets[i]), round * 10 + i);
			assert_true(packets[i].receive_ns > 1600000000000000000u);
		}
		mdfh_bypass_release(port, packets, FLOWS);
	}
	/* What came behind the last packet. */
	for (int i = 0; i < 5000; i++) {
		struct timespec nap = {.tv_nsec = 1000000};

		assert_int_equal(mdfh_bypass_recv(port, packets, 4), 0);
		stats = stats_of(port);
		if (stats.malformed[MDFH_FRAME_NOT_IP] == 50)
			break;
		nanosleep(&nap, NULL);
	}
	assert_int_equal(stats.rx_packets, 50 * FLOWS);
	assert_int_equal(stats.rx_filtered, 50 * 6);
	/* net_af_packet has the kernel put fragments together: these never become whole. */
	fragments = strcmp(driver, "af_packet") ? 50 : 0;
	assert_int_equal(stats.malformed[MDFH_FRAME_FRAGMENT], fragments);
	assert_int_equal(stats.malformed[MDFH_FRAME_NOT_IP], 50);
	assert_int_equal(
	    stats.malformed[MDFH_FRAME_TCP_HEADER] + stats.malformed[MDFH_FRAME_NOT_UDP], 50);
	assert_int_equal(stats.rx_malformed, 100 + fragments);
	assert_int_equal(stats.rx_dropped_nic, 0);
	mdfh_bypass_close(port);
}

static void sends_frames(void **state)
{
	struct mdfh_bypass *port = open_device((struct mdfh_bypass_config){
	    .backend_options = "address=10.0.0.5,address6=fd00::5,membership=off"});
	uint8_t payload[100] = {0}, frame[2048];
	struct mdfh_packet packet = {.data = payload, .length = sizeof(payload)};
	struct mdfh_frame parsed;
	uint8_t address[16];

	(void)state;
	for (uint16_t flow = 0; flow < FLOWS; flow++) {
		number_write(payload, sizeof(payload), flow + 1000u);
		packet.flow = flow;
		assert_int_equal(mdfh_bypass_send(port, &packet, 1), 1);
		assert_true(next_of(MDFH_PROTOCOL_UDP, frame, &parsed, NULL, 5000));
		assert_int_equal(parsed.destination_port, flows[flow].port);
		assert_ok(mdfh_frame_address(flows[flow].group, address));
		assert_memory_equal(parsed.destination, address, 16);
		assert_ok(mdfh_frame_address(flow == 3 ? "fd00::5" : "10.0.0.5", address));
		assert_memory_equal(parsed.source, address, 16);
		assert_int_equal(parsed.payload_length, sizeof(payload));
		assert_memory_equal(frame + parsed.payload_offset, payload, sizeof(payload));
		assert_int_equal(mdfh_frame_checksums(frame, &parsed), MDFH_FRAME_OK);
		/* Multicast addresses of the link, from the hardware's own. */
		assert_int_equal(frame[0], flow == 3 ? 0x33 : 0x01);
	}
	mdfh_bypass_close(port);
}

/* RFC 3376 --------------------------------------------------------------------------------------- */

static void put_query(void)
{
	uint8_t frame[QUERY_BYTES];

	querier_query(frame);
	put(frame, sizeof(frame));
}

static int has_record(const uint8_t *frame, uint32_t length, const struct mdfh_frame *parsed,
    int type, const uint8_t group[4])
{
	const uint8_t *igmp = frame + parsed->transport_offset;

	if (!parsed->transport_offset)
		igmp = frame + parsed->ip_offset + (frame[parsed->ip_offset] & 15) * 4;
	return querier_has_record(igmp, frame + length, type, group, NULL);
}

/* Wait for a report that has the record. */
static int expect_record(struct mdfh_bypass *port, int type, const uint8_t group[4])
{
	uint8_t frame[2048];
	struct mdfh_frame parsed;

	for (int i = 0; i < 20; i++) {
		uint32_t length = next_of(IPPROTO_IGMP, frame, &parsed, port, 5000);

		if (!length)
			return 0;
		if (has_record(frame, length, &parsed, type, group))
			return 1;
	}
	return 0;
}

static void drop_what_waits(void)
{
	uint8_t frame[2048];

	while (recv(line, frame, sizeof(frame), MSG_DONTWAIT) > 0)
		;
}

static void answers_the_querier(void **state)
{
	static const uint8_t any[4] = {239, 1, 1, 1}, with_source[4] = {239, 1, 1, 2};
	struct mdfh_bypass *port;
	uint8_t frame[2048];
	struct mdfh_frame parsed;

	(void)state;
	port = open_device((struct mdfh_bypass_config){.backend_options = "address=10.0.0.5"});
	/* It joins by itself. */
	assert_true(expect_record(port, TO_EXCLUDE, any));
	/* MLDv2: the same for the group of IPv6. */
	assert_true(next_of(IPPROTO_ICMPV6, frame, &parsed, port, 5000));
	/* Let the repeated reports pass: only an answer has records of the current state. */
	put_query();
	assert_true(expect_record(port, IS_EXCLUDE, any));
	put_query();
	assert_true(expect_record(port, IS_INCLUDE, with_source));
	drop_what_waits();
	mdfh_bypass_close(port);
	assert_true(expect_record(NULL, TO_INCLUDE, any));
}

/* One that was there before, and stays when the port is closed, with packets of the port's in its queues: the
 * next port gets none of them. What it holds stays as it is while more come than it has packets for. */
static void borrows_a_device(void **state)
{
	enum { HELD = 200, MORE = 8000 };
	static char own[sizeof(device)];
	const char *own_other = other;

	(void)state;
	memcpy(own, device, sizeof(own));
	snprintf(device, sizeof(device), "net_tap7");
	other = "dtap0";
	for (int round = 0; round < 3; round++) {
		struct mdfh_bypass *port = open_device(
		    (struct mdfh_bypass_config){.backend_options = "eal=--vdev=net_tap7"});
		struct mdfh_packet held[HELD], packet;

		for (uint32_t i = 0; i < HELD + MORE; i++) {
			struct mdfh_packet *to = i < HELD ? &held[i] : &packet;

			put_udp("10.0.0.1", "239.1.1.1", 26477, 0, i);
			receive(port, to, 1);
			assert_int_equal(number_of(to), i);
			if (i >= HELD)
				mdfh_bypass_release(port, to, 1);
		}
		for (uint32_t i = 0; i < HELD; i++)
			assert_int_equal(number_of(&held[i]), i);
		mdfh_bypass_release(port, held, HELD);
		mdfh_bypass_close(port);
	}
	memcpy(device, own, sizeof(device));
	other = own_other;
}

static int run(void)
{
	/* The first, as it needs a process without EAL. */
	const struct CMUnitTest of_tap[] = {cmocka_unit_test(borrows_a_device)};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tells_frames_apart),
	    cmocka_unit_test(sends_frames),
	    cmocka_unit_test(answers_the_querier),
	};

	return (strcmp(driver, "tap") ? 0 : cmocka_run_group_tests(of_tap, NULL, NULL)) +
	       cmocka_run_group_tests(tests, NULL, NULL);
}

/* What the driver net_af_xdp of DPDK 22.11 forgets to give back, for LeakSanitizer, which looks for
 * this name. */
MDFH_API const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:xsk_umem__create\n";
}

/* The kernel speaks IPv6 on every device, which the counters would show. */
static int silence_kernel(void)
{
	static const char *const names[] = {"all", "default"};

	for (size_t i = 0; i < 2; i++) {
		char path[96];
		int fd;

		snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", names[i]);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			return errno == ENOENT ? 0 : -1;
		if (write(fd, "1", 1) != 1) {
			close(fd);
			return -1;
		}
		close(fd);
	}
	return 0;
}

static int make_devices(void)
{
	if (!strcmp(driver, "tap")) {
		snprintf(device, sizeof(device), "net_tap0,iface=mdfhtap");
		other = "mdfhtap";
		return access("/dev/net/tun", R_OK | W_OK);
	}
	snprintf(device, sizeof(device), "net_%s0,iface=mdfha", driver);
	other = "mdfhb";
	return system("ip link add mdfha type veth peer name mdfhb && ip link set mdfha up && "
		      "ip link set mdfhb up");
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	driver = argv[1];
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	if (geteuid() != 0 || unshare(CLONE_NEWNET)) {
		fprintf(stderr, "skipped: only root may make network devices\n");
		return TEST_SKIPPED;
	}
	if (silence_kernel() || make_devices()) {
		fprintf(stderr, "skipped: no network devices can be made here\n");
		return TEST_SKIPPED;
	}
	return test_run_dpdk(NULL, run);
}
