/* test_xdp_queues.c - several receive queues of an interface through backend xdp, each with memory of its
 * own or in shared memory; and groups as a router on the line hears of them. As root. */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>

#include "net/querier_test.h"
#include "net/xdp_test.h"

enum { SOURCES = 64 };

/* One frame from each of so many hosts: which queue it comes to is decided by a hash of the addresses. */
static void send_from_many(void)
{
	uint8_t payload[100], bytes[CONFORMANCE_HEADERS_MAX + sizeof(payload)];
	char source[32];

	for (int i = 0; i < SOURCES; i++) {
		const struct conformance_frame frame = {.source = source,
		    .destination = "239.1.1.1",
		    .port = 26477,
		    .payload = payload,
		    .length = sizeof(payload)};

		memset(payload, i, sizeof(payload));
		snprintf(source, sizeof(source), "10.77.0.%d", 100 + i);
		assert_true(send(wire, bytes, mdfh_conformance_frame_put(bytes, &frame), 0) > 0);
	}
}

/* What waits on the port, each frame whole; seen: how often, by the frame's number. */
static uint32_t receive_some(struct mdfh_bypass *port, uint8_t seen[SOURCES])
{
	struct mdfh_packet packets[64];
	int got = mdfh_bypass_recv(port, packets, 64);

	assert_ok(got);
	for (int i = 0; i < got; i++) {
		assert_int_equal(packets[i].length, 100);
		assert_in_range(packets[i].data[0], 0, SOURCES - 1);
		for (int k = 1; k < 100; k++)
			assert_int_equal(packets[i].data[k], packets[i].data[0]);
		seen[packets[i].data[0]]++;
	}
	mdfh_bypass_release(port, packets, got);
	return (uint32_t)got;
}

/* Of one frame from each host some come to either port, and each once. second: NULL = there is none, and
 * the first is read until no more come. Returns how many came to the first. */
static uint32_t spread(struct mdfh_bypass *first, struct mdfh_bypass *second)
{
	uint8_t seen[SOURCES] = {0};
	uint32_t here = 0, there = 0;

	send_from_many();
	for (int i = 0; i < 2000 && here + there < SOURCES; i++) {
		here += receive_some(first, seen);
		if (second)
			there += receive_some(second, seen);
		usleep(100);
	}
	assert_in_range(here, 1, SOURCES - 1);
	for (int i = 0; i < SOURCES; i++)
		assert_int_equal(seen[i], second ? 1 : seen[i] != 0);
	return here;
}

/* Both through one program. */
static void queues_have_a_port_each(void **state)
{
	struct mdfh_bypass *first, *second;
	uint32_t got;

	(void)state;
	first = open_xdp((struct mdfh_bypass_config){0});
	second = open_xdp((struct mdfh_bypass_config){.queue = 1});
	assert_string_equal(mdfh_bypass_capabilities(second)->mode, "native, copy, queue 1");
	assert_int_equal(
	    try_xdp((struct mdfh_bypass_config){.queue = 1, .backend_options = "mode=generic"}),
	    -EBUSY);
	assert_error("another way (native)");
	spread(first, second);
	/* What comes to the queue that is left without a port is the kernel's. */
	mdfh_bypass_close(second);
	got = spread(first, NULL);
	assert_int_equal(counter_of(first, "passed: no port on the queue"), SOURCES - got);
	mdfh_bypass_close(first);
}

/* A flow is a queue's own: that of the other is none here. */
static void flows_are_their_queues(void **state)
{
	const struct mdfh_flow other = {.group = "239.1.1.2", .port = 26477};
	struct mdfh_bypass *first = open_xdp((struct mdfh_bypass_config){0});
	struct mdfh_bypass *second =
	    open_xdp((struct mdfh_bypass_config){.queue = 1, .flows = &other, .flow_count = 1});
	uint8_t seen[SOURCES] = {0};
	uint32_t got;

	(void)state;
	got = spread(first, NULL);
	assert_int_equal(receive_some(second, seen), 0);
	assert_int_equal(counter_of(first, "passed: of no flow"), SOURCES - got);
	mdfh_bypass_close(second);
	mdfh_bypass_close(first);
}

static void queues_share_memory(void **state)
{
	static const struct mdfh_bypass_config here = {.rx_ring_size = 64,
						   .backend_options = "shared_umem=2"},
					       there = {.queue = 1,
						   .rx_ring_size = 64,
						   .backend_options = "shared_umem=2"};
	struct mdfh_bypass *first = open_xdp(here), *second;

	(void)state;
	assert_int_equal(try_xdp((struct mdfh_bypass_config){
			     .queue = 1, .rx_ring_size = 64, .backend_options = "shared_umem=3"}),
	    -EINVAL);
	assert_error("shared by 2 ports of ");
	assert_int_equal(try_xdp((struct mdfh_bypass_config){
			     .queue = 1, .hold_max = 8, .backend_options = "shared_umem=2"}),
	    -EINVAL);
	second = open_xdp(there);
	assert_string_equal(
	    mdfh_bypass_capabilities(second)->mode, "native, copy, queue 1, shared memory");
	for (int i = 0; i < 100; i++) /* every buffer is in use more than once */
		spread(first, second);
	assert_int_equal(try_xdp(here), -EBUSY);
	assert_error("all 2 parts of the memory of mdfh0 are taken");
	/* The one that gave the memory to the kernel goes, and comes back to it. */
	mdfh_bypass_close(first);
	first = open_xdp(here);
	spread(first, second);
	mdfh_bypass_close(second);
	second = open_xdp(there);
	spread(first, second);
	assert_int_equal(counter_of(first, "rx_invalid_descs"), 0);
	assert_int_equal(counter_of(second, "bad descriptors"), 0);
	mdfh_bypass_close(second);
	mdfh_bypass_close(first);
	first = open_xdp((struct mdfh_bypass_config){.backend_options = "shared_umem=3"});
	mdfh_bypass_close(first);
}

/* Groups ---------------------------------------------------------------------------------------- */

static int listen_on_the_line(void)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET,
	    .sll_protocol = htons(ETH_P_ALL),
	    .sll_ifindex = (int)if_nametoindex(VETH_PEER)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	int one = 1;

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)), 0);
	return fd;
}

/* Wait, 5 s at most, for a report that has the record. group: text of either family. */
static int hears(int fd, int type, const char *group_text, const char *source_text)
{
	int is_ipv6 = strchr(group_text, ':') != NULL;
	uint8_t address[16], source[16], frame[2048];
	struct pollfd wait = {.fd = fd, .events = POLLIN};

	assert_ok(mdfh_frame_address(group_text, address));
	if (source_text)
		assert_ok(mdfh_frame_address(source_text, source));
	while (poll(&wait, 1, 5000) == 1) {
		ssize_t length = recv(fd, frame, sizeof(frame), 0);
		const uint8_t *end = frame + length, *report;

		if (length < 62 || (frame[12] == 0x86) != is_ipv6)
			continue;
		if (is_ipv6 && (frame[20] != 0 || frame[54] != 58)) /* hop-by-hop options, ICMPv6 */
			continue;
		if (!is_ipv6 && frame[23] != 2)
			continue;
		report = is_ipv6 ? frame + 54 + (size_t)8 * (1U + frame[55])
				 : frame + 14 + (size_t)4 * (frame[14] & 15U);
		if (querier_has_record(report, end, type, address + (is_ipv6 ? 0 : 12),
			source_text ? source + (is_ipv6 ? 0 : 12) : NULL))
			return 1;
	}
	return 0;
}

static void a_router_hears_of_the_groups(void **state)
{
	static const struct mdfh_flow flows[] = {
	    {.group = "239.1.1.1", .port = 26477},
	    {.group = "239.1.1.2", .port = 26477, .source = "10.77.0.1"},
	    {.group = "ff15::1", .port = 26477},
	    {.group = "ff15::2", .port = 26477, .source = "fd77::1"},
	};
	struct mdfh_bypass *port;
	uint8_t query[QUERY_BYTES];
	int fd = listen_on_the_line();

	(void)state;
	port = open_xdp((struct mdfh_bypass_config){.flows = flows, .flow_count = 4});
	assert_true(hears(fd, TO_EXCLUDE, "239.1.1.1", NULL));
	/* Asked, the kernel answers: what the program is not told to take goes there. */
	querier_query(query);
	assert_int_equal(send(wire, query, sizeof(query), 0), sizeof(query));
	assert_true(hears(fd, IS_EXCLUDE, "239.1.1.1", NULL));
	assert_int_equal(send(wire, query, sizeof(query), 0), sizeof(query));
	assert_true(hears(fd, IS_INCLUDE, "239.1.1.2", "10.77.0.1"));
	mdfh_bypass_close(port);
	assert_true(hears(fd, TO_INCLUDE, "239.1.1.1", NULL));
	assert_true(hears(fd, BLOCK, "239.1.1.2", "10.77.0.1"));

	port = open_xdp((struct mdfh_bypass_config){.flows = flows, .flow_count = 4});
	assert_true(hears(fd, TO_EXCLUDE, "ff15::1", NULL));
	mdfh_bypass_close(port);
	close(fd);
	fd = listen_on_the_line();
	port = open_xdp((struct mdfh_bypass_config){.flows = flows, .flow_count = 4});
	assert_true(hears(fd, ALLOW, "ff15::2", "fd77::1"));
	mdfh_bypass_close(port);
	assert_true(hears(fd, TO_INCLUDE, "ff15::1", NULL));
	close(fd);
}

static int two_queues(void **state)
{
	(void)state;
	return veth_set_queues(2);
}

static int one_queue(void **state)
{
	(void)state;
	return veth_set_queues(1);
}

int main(void)
{
	static char *arguments[] = {"test_xdp_queues", "xdp", NULL};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(queues_have_a_port_each, two_queues, one_queue),
	    cmocka_unit_test_setup_teardown(flows_are_their_queues, two_queues, one_queue),
	    cmocka_unit_test_setup_teardown(queues_share_memory, two_queues, one_queue),
	    cmocka_unit_test(a_router_hears_of_the_groups),
	};
	int status = test_take_backend(2, arguments);

	if (!status)
		status = veth_enter();
	if (status)
		return status;
	wire = mdfh_conformance_frames_open(VETH_PEER);
	if (wire < 0) {
		fprintf(stderr, "%s\n", mdfh_error_text());
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
