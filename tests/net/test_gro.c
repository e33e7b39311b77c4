/* test_gro.c - trains: datagrams that the kernel delivers together (gro=on) become packets as if each had
 * come alone, for each backend that takes them. A sender with UDP_SEGMENT makes them, over loopback; what
 * the kernel never says is put into its mouth. */
#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>

#include "net/udp_test.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum { TRAIN_MAX = 64 }; /* packets that Linux sends together, of any version */

static int
    lie; /* how long the packets of a train are, in place of what the kernel says; 0 = the truth */

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names */
int __real_recvmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *t);
int __wrap_recvmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *t);
int __wrap_recvmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *t)
{
	int got = __real_recvmmsg(fd, messages, n, flags, t);

	for (int i = 0; i < got; i++)
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&messages[i].msg_hdr); lie && c;
		     c = CMSG_NXTHDR(&messages[i].msg_hdr, c))
			if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO)
				memcpy(CMSG_DATA(c), &lie, sizeof(lie));
	return got;
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* Bytes that tell where they stand in what was sent. */
static uint8_t byte_of(uint64_t seed, size_t at)
{
	uint64_t x = (seed + at) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint8_t)(x >> 56);
}

/* One send of length bytes, in packets of size bytes. */
static void send_train(
    int fd, const char *address, uint16_t port, uint64_t seed, size_t length, uint16_t size)
{
	static uint8_t data[65536];
	int segment = size;

	for (size_t i = 0; i < length; i++)
		data[i] = byte_of(seed, i);
	assert_int_equal(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
	send_to(fd, address, port, data, length);
	segment = 0;
	assert_int_equal(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
}

static void expect_bytes(const struct mdfh_packet *packet, uint64_t seed, size_t at, size_t length)
{
	assert_int_equal(packet->length, length);
	for (size_t i = 0; i < length; i++)
		assert_int_equal(packet->data[i], byte_of(seed, at + i));
}

static struct mdfh_bypass *open_gro(struct mdfh_bypass_config config)
{
	config.backend_options = "gro=on";
	if (!config.host && !config.flow_count)
		config.host = "127.0.0.1";
	return open_port(config);
}

/* ------------------------------------------------------------------------------------------------- */

static void cuts_trains(const char *address)
{
	struct mdfh_bypass *port = open_gro((struct mdfh_bypass_config){.host = address});
	uint16_t number = mdfh_bypass_local_port(port, 0);
	struct mdfh_packet packets[64];
	struct mdfh_bypass_stats stats;
	int fd = open_sender(address);

	/* Ten of 200 bytes and one of 57; one alone; a train of one size; an empty one. */
	send_train(fd, address, number, 1, 2057, 200);
	send_to(fd, address, number, "alone", 5);
	send_train(fd, address, number, 2, 30 * 64, 64);
	send_to(fd, address, number, "", 0);
	receive(port, packets, 43);
	for (uint32_t i = 0; i < 11; i++) {
		expect_bytes(&packets[i], 1, (size_t)i * 200, i < 10 ? 200 : 57);
		assert_int_equal(packets[i].receive_ns, packets[0].receive_ns);
	}
	expect_bytes(&packets[10], 1, 2000, 57);
	assert_memory_equal(packets[11].data, "alone", 5);
	for (uint32_t i = 0; i < 30; i++)
		expect_bytes(&packets[12 + i], 2, (size_t)i * 64, 64);
	assert_int_equal(packets[42].length, 0);
	for (int i = 0; i < 43; i++) {
		assert_int_equal(packets[i].flow, 0);
		assert_true(packets[i].receive_ns > 0);
		assert_int_equal(
		    packets[i].flags & ~MDFH_PACKET_CLOCK_SYNC, MDFH_PACKET_TIME_KERNEL);
	}
	assert_int_equal(mdfh_bypass_recv(port, packets, 64), 0);
	stats = stats_of(port);
	assert_int_equal(stats.rx_packets, 43);
	assert_int_equal(stats.rx_bytes, 2057 + 5 + 30 * 64);
	assert_int_equal(stats.rx_truncated, 0);
	assert_int_equal(stats.rx_dropped_socket, 0);
	close(fd);
	mdfh_bypass_close(port);
}

static void cuts_ipv4(void **state)
{
	(void)state;
	cuts_trains("127.0.0.1");
}

static void cuts_ipv6(void **state)
{
	(void)state;
	cuts_trains("::1");
}

/* Without gro the kernel takes them apart, and the packets are the same. */
static void leaves_it_to_the_kernel(void **state)
{
	struct mdfh_bypass *port = open_port(
	    (struct mdfh_bypass_config){.host = "127.0.0.1", .backend_options = "gro=off"});
	struct mdfh_packet packets[11];
	int fd = open_sender("127.0.0.1");

	(void)state;
	send_train(fd, "127.0.0.1", mdfh_bypass_local_port(port, 0), 1, 2057, 200);
	receive(port, packets, 11);
	for (uint32_t i = 0; i < 11; i++)
		expect_bytes(&packets[i], 1, (size_t)i * 200, i < 10 ? 200 : 57);
	close(fd);
	mdfh_bypass_close(port);
}

static int is_readable(const struct mdfh_bypass *port)
{
	struct pollfd p = {.fd = mdfh_bypass_capabilities(port)->poll_fd, .events = POLLIN};

	return poll(&p, 1, 0);
}

/* More packets than a recv may return: the rest comes next, a poller is told of it, and another flow
 * waits for it. */
static void keeps_what_is_left(void **state)
{
	uint16_t number = free_port();
	const struct mdfh_flow flows[] = {
	    {.group = "127.0.0.1", .port = number}, {.group = "127.0.0.2", .port = number}};
	struct mdfh_bypass *port =
	    open_gro((struct mdfh_bypass_config){.flows = flows, .flow_count = 2, .batch_size = 8});
	struct mdfh_packet packets[8];
	int fd = open_sender("127.0.0.1"), quiet = 0;

	(void)state;
	for (int round = 0; round < 3; round++) {
		send_train(fd, "127.0.0.1", number, 3, 45 * 100, 100);
		for (uint32_t i = 0; i < 45;) {
			int n;

			assert_int_equal(is_readable(port), 1);
			n = mdfh_bypass_recv(port, packets, 8);
			assert_int_equal(n, i < 40 ? 8 : 5);
			for (int k = 0; k < n; k++)
				expect_bytes(&packets[k], 3, (size_t)(i++) * 100, 100);
			mdfh_bypass_release(port, packets, n);
		}
		assert_int_equal(mdfh_bypass_recv(port, packets, 8), 0);
		assert_int_equal(is_readable(port), 0);
	}
	/* Both: the busy one does not keep the other from its turn. */
	for (int i = 0; i < 20; i++)
		send_train(fd, "127.0.0.1", number, 3, 45 * 100, 100);
	send_to(fd, "127.0.0.2", number, "y", 1);
	for (int i = 0; i < 8 && !quiet; i++) {
		int n = mdfh_bypass_recv_wait(port, packets, 8);

		assert_in_range(n, 1, 8);
		for (int k = 0; k < n; k++)
			quiet += packets[k].flow == 1;
		mdfh_bypass_release(port, packets, n);
	}
	assert_int_equal(quiet, 1);
	close(fd);
	mdfh_bypass_close(port);
}

static void tells_sources_apart(void **state)
{
	uint16_t number = free_port();
	const struct mdfh_flow flows[] = {
	    {.group = "127.0.0.1", .source = "127.0.0.2", .port = number},
	    {.group = "127.0.0.1", .source = "127.0.0.3", .port = number},
	};
	const char *const senders[] = {"127.0.0.2", "127.0.0.3", "127.0.0.4"};
	struct mdfh_bypass *port =
	    open_gro((struct mdfh_bypass_config){.flows = flows, .flow_count = 2});
	struct mdfh_packet packets[40];
	uint32_t next[2] = {0};

	(void)state;
	for (uint64_t i = 0; i < 3; i++) {
		int fd = open_sender(senders[i]);

		send_train(fd, "127.0.0.1", number, i, (size_t)20 * 50, 50);
		close(fd);
	}
	receive(port, packets, 40);
	for (int i = 0; i < 40; i++) {
		uint32_t flow = packets[i].flow;

		assert_in_range(flow, 0, 1);
		expect_bytes(&packets[i], flow, (size_t)next[flow]++ * 50, 50);
	}
	assert_int_equal(mdfh_bypass_recv(port, packets, 1), 0);
	/* The socket that keeps nothing takes no trains, so each packet counts. */
	assert_int_equal(stats_of(port).rx_filtered, 20);
	mdfh_bypass_close(port);
}

/* Each packet of a train is cut where it would be if it had come alone. */
static void flags_truncation(void **state)
{
	struct mdfh_bypass *port = open_gro((struct mdfh_bypass_config){.frame_size = 300});
	uint16_t number = mdfh_bypass_local_port(port, 0);
	struct mdfh_packet packets[8];
	int fd = open_sender("127.0.0.1");

	(void)state;
	assert_int_equal(mdfh_bypass_capabilities(port)->frame_size, 300);
	send_train(fd, "127.0.0.1", number, 4, 5 * 400 + 20, 400);
	send_train(fd, "127.0.0.1", number, 5, 301, 400);
	receive(port, packets, 7);
	for (uint32_t i = 0; i < 6; i++) {
		expect_bytes(&packets[i], 4, (size_t)i * 400, i < 5 ? 300 : 20);
		assert_int_equal(!!(packets[i].flags & MDFH_PACKET_TRUNCATED), i < 5);
	}
	expect_bytes(&packets[6], 5, 0, 300);
	assert_true(packets[6].flags & MDFH_PACKET_TRUNCATED);
	assert_int_equal(stats_of(port).rx_truncated, 6);
	assert_int_equal(stats_of(port).rx_bytes, 5 * 300 + 20 + 300);
	close(fd);
	mdfh_bypass_close(port);
}

static void obeys_the_time_option(void **state)
{
	struct mdfh_bypass *port =
	    open_gro((struct mdfh_bypass_config){.timestamps = MDFH_TIMESTAMPS_OFF});
	struct mdfh_packet packets[10];
	int fd = open_sender("127.0.0.1");

	(void)state;
	send_train(fd, "127.0.0.1", mdfh_bypass_local_port(port, 0), 4, 1000, 100);
	receive(port, packets, 10);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(packets[i].receive_ns, 0);
		assert_int_equal(packets[i].flags, 0);
	}
	close(fd);
	mdfh_bypass_close(port);
}

/* Held packets ---------------------------------------------------------------------------------------- */

/* A packet keeps all of its train: as many trains may be held as packets were asked for, whatever
 * came with them. */
static void holds_packets(void **state)
{
	struct mdfh_bypass *port = open_gro(
	    (struct mdfh_bypass_config){.rx_ring_size = 64, .batch_size = 16, .hold_max = 40});
	uint16_t number = mdfh_bypass_local_port(port, 0);
	struct mdfh_packet held[56], packets[4];
	int fd = open_sender("127.0.0.1");
	uint64_t starved;

	(void)state;
	assert_int_equal(mdfh_bypass_capabilities(port)->hold_max, 40);
	for (uint64_t i = 0; i < 100; i++)
		send_train(fd, "127.0.0.1", number, i, 4 * 30, 30);
	/* Of each train keep one packet, another every time. */
	for (uint32_t i = 0; i < 56; i++) {
		receive(port, packets, 4);
		held[i] = packets[i % 4];
		packets[i % 4].cookie = UINT64_MAX; /* none that there is */
		mdfh_bypass_release(port, packets, 4);
	}
	starved = stats_of(port).rx_starved;
	assert_int_equal(mdfh_bypass_recv(port, packets, 4), 0);
	assert_true(stats_of(port).rx_starved > starved);
	for (uint32_t i = 0; i < 56; i++)
		expect_bytes(&held[i], i, (size_t)(i % 4) * 30, 30);
	/* One train, given back twice, makes room for one. */
	mdfh_bypass_release(port, &held[7], 1);
	mdfh_bypass_release(port, &held[7], 1);
	receive(port, packets, 4);
	assert_int_equal(mdfh_bypass_recv(port, &held[7], 1), 0);
	for (uint32_t i = 0; i < 4; i++)
		expect_bytes(&packets[i], 56, (size_t)i * 30, 30);
	mdfh_bypass_release(port, packets, 4);
	for (uint32_t i = 0; i < 56; i++)
		if (i != 7)
			mdfh_bypass_release(port, &held[i], 1);
	for (uint32_t i = 57; i < 100; i++) {
		receive(port, packets, 4);
		for (uint32_t k = 0; k < 4; k++)
			expect_bytes(&packets[k], i, (size_t)k * 30, 30);
		mdfh_bypass_release(port, packets, 4);
	}
	close(fd);
	mdfh_bypass_close(port);
}

static uint64_t draw(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

struct sent { /* a packet that is to come */
	uint64_t seed;
	size_t at, length;
};

/* Trains of any length and single packets, received a few at a time, held and released in an order
 * drawn by lot: all come, in order, and each is what it was until it is given back. */
static void releases_in_any_order(void **state)
{
	enum { PACKETS = 20000, HELD = 100 };
	static struct sent sent[PACKETS + TRAIN_MAX];
	struct mdfh_bypass *port =
	    open_gro((struct mdfh_bypass_config){.batch_size = 32, .hold_max = HELD});
	uint16_t number = mdfh_bypass_local_port(port, 0);
	struct mdfh_packet held[HELD + 32];
	uint32_t numbers[HELD + 32], held_count = 0, next = 0, total = 0;
	uint64_t seed = 4711;
	int fd = open_sender("127.0.0.1");

	(void)state;
	while (next < total || total < PACKETS) {
		int room = (int)(HELD - held_count), n;

		for (uint64_t k = draw(&seed) % 4; k && total < PACKETS && total - next < 500;
		     k--) {
			uint16_t size = (uint16_t)(1 + draw(&seed) % 900);
			size_t length = 1 + draw(&seed) % ((size_t)size * TRAIN_MAX);

			send_train(fd, "127.0.0.1", number, seed, length, size);
			for (size_t at = 0; at < length; at += size)
				sent[total++] = (struct sent){
				    seed, at, length - at < size ? length - at : size};
		}
		n = mdfh_bypass_recv(
		    port, held + held_count, room < 32 ? room : 1 + (int)(draw(&seed) % 32));
		assert_true(n >= 0);
		for (int i = 0; i < n; i++)
			numbers[held_count++] = next++;
		assert_true(next <= total);
		for (uint64_t k = draw(&seed) % 64; k && held_count; k--) {
			uint32_t at = (uint32_t)(draw(&seed) % held_count);
			const struct sent *is = &sent[numbers[at]];

			expect_bytes(&held[at], is->seed, is->at, is->length);
			mdfh_bypass_release(port, &held[at], 1);
			held[at] = held[--held_count];
			numbers[at] = numbers[held_count];
		}
	}
	assert_int_equal(stats_of(port).rx_packets, total);
	assert_int_equal(stats_of(port).rx_dropped_socket, 0);
	close(fd);
	mdfh_bypass_close(port);
}

/* What no kernel should say ---------------------------------------------------------------------------- */

static void doubts_the_kernel(void **state)
{
	static const int lies[] = {-1, INT32_MIN, 2000, 65536, INT32_MAX};
	struct mdfh_bypass *port = open_gro((struct mdfh_bypass_config){.batch_size = 16});
	uint16_t number = mdfh_bypass_local_port(port, 0);
	struct mdfh_packet packets[16];
	int fd = open_sender("127.0.0.1");

	(void)state;
	/* No size, or one that is too long: it is one packet. */
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		send_train(fd, "127.0.0.1", number, i, 1000, 100);
		lie = lies[i];
		receive(port, packets, 1);
		lie = 0;
		expect_bytes(&packets[0], i, 0, 1000);
		mdfh_bypass_release(port, packets, 1);
		assert_int_equal(mdfh_bypass_recv(port, packets, 16), 0);
	}
	close(fd);
	mdfh_bypass_close(port);
}

/* Longer than any that Linux makes: it is handed out as far as earlier packets of it are released. */
static void takes_endless_trains(void **state)
{
	enum { LENGTH = 64000 };
	static struct mdfh_packet held[128], packets[32];
	struct mdfh_bypass *port = open_gro((struct mdfh_bypass_config){.batch_size = 128});
	uint16_t number = mdfh_bypass_local_port(port, 0);
	int fd = open_sender("127.0.0.1");
	uint64_t starved;

	(void)state;
	send_train(fd, "127.0.0.1", number, 9, LENGTH, 1400);
	lie = 1;
	receive(port, held, 128);
	lie = 0;
	starved = stats_of(port).rx_starved;
	assert_int_equal(mdfh_bypass_recv(port, packets, 32), 0);
	assert_int_equal(stats_of(port).rx_starved, starved + 1);
	/* In the order of packets: the second cannot come before the first. */
	mdfh_bypass_release(port, &held[1], 1);
	assert_int_equal(mdfh_bypass_recv(port, packets, 32), 0);
	mdfh_bypass_release(port, &held[0], 1);
	receive(port, packets, 2);
	assert_int_equal(mdfh_bypass_recv(port, held, 1), 0);
	expect_bytes(&packets[0], 9, 128, 1);
	expect_bytes(&packets[1], 9, 129, 1);
	mdfh_bypass_release(port, packets, 2);
	mdfh_bypass_release(port, held + 2, 126);
	for (size_t at = 130; at < LENGTH;) {
		int n = mdfh_bypass_recv(port, packets, 32);

		assert_in_range(n, 1, 32);
		for (int i = 0; i < n; i++)
			expect_bytes(&packets[i], 9, at++, 1);
		mdfh_bypass_release(port, packets, n);
	}
	assert_int_equal(mdfh_bypass_recv(port, packets, 32), 0);
	/* The frame is free again: all of them are. */
	for (uint64_t i = 0; i < 1000; i++) {
		send_train(fd, "127.0.0.1", number, i, 200, 100);
		receive(port, packets, 2);
		expect_bytes(&packets[1], i, 100, 100);
		mdfh_bypass_release(port, packets, 2);
	}
	close(fd);
	mdfh_bypass_close(port);
}

/* 0 if the kernel has what is needed, else the exit status. */
static int look_for_gro(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), one = 1, size = 100;
	int rc = setsockopt(fd, SOL_UDP, UDP_GRO, &one, sizeof(one)) ||
		 setsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, sizeof(size));

	close(fd);
	if (rc)
		fprintf(stderr, "skipped: this kernel has no UDP_GRO or no UDP_SEGMENT\n");
	return rc ? TEST_SKIPPED : 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(cuts_ipv4),
	    cmocka_unit_test(cuts_ipv6),
	    cmocka_unit_test(leaves_it_to_the_kernel),
	    cmocka_unit_test(keeps_what_is_left),
	    cmocka_unit_test(tells_sources_apart),
	    cmocka_unit_test(flags_truncation),
	    cmocka_unit_test(obeys_the_time_option),
	    cmocka_unit_test(holds_packets),
	    cmocka_unit_test(releases_in_any_order),
	};
	/* A module's calls cannot be wrapped. */
	const struct CMUnitTest socket_tests[] = {
	    cmocka_unit_test(doubts_the_kernel),
	    cmocka_unit_test(takes_endless_trains),
	};
	int rc = test_take_backend(argc, argv);

	if (!rc)
		rc = look_for_gro();
	if (rc)
		return rc;
	if (test_enter_namespace()) {
		fprintf(stderr, "skipped: no network namespace without privilege here\n");
		return TEST_SKIPPED;
	}
	rc = test_is_socket() ? cmocka_run_group_tests(socket_tests, NULL, NULL) : 0;
	return rc ? rc : cmocka_run_group_tests(tests, NULL, NULL);
}
