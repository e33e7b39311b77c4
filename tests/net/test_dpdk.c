/* test_dpdk.c - backend dpdk over devices of software that need no privilege: net_ring, where what is
 * sent comes back, and net_pcap, where the frames of a file come. EAL is started once, so what has to
 * be seen of its start is seen in processes of their own. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>

#include "mdfh/capture.h"
#include "net/dpdk_test.h"

#define RING "net_ring0"

static const struct mdfh_flow three_flows[] = {
    {.group = "239.1.1.1", .port = 26477},
    {.group = "ff15::1", .port = 26478},
    {.group = "239.1.1.2", .port = 26479, .vlan = 100},
};

static struct mdfh_bypass *open_ring(struct mdfh_bypass_config config)
{
	config.interface = RING;
	if (!config.flows) {
		config.flows = three_flows;
		config.flow_count = 3;
	}
	return open_port(config);
}

/* Packets that hold their number, to a flow. All are taken. */
static void send_numbers(
    struct mdfh_bypass *port, uint16_t flow, uint32_t from, uint32_t n, uint32_t length)
{
	uint8_t data[2048] = {0};

	for (uint32_t i = 0; i < n; i++) {
		uint32_t number = from + i;
		struct mdfh_packet packet = {.data = data, .length = length, .flow = flow};

		number_write(data, length, number);
		assert_int_equal(mdfh_bypass_send(port, &packet, 1), 1);
	}
}

/* What comes back ------------------------------------------------------------------------------ */

static void receives_what_is_sent(void **state)
{
	struct mdfh_bypass *port = open_ring((struct mdfh_bypass_config){0});
	const struct mdfh_bypass_capabilities *can = mdfh_bypass_capabilities(port);
	struct mdfh_packet packets[3];

	(void)state;
	assert_true(can->zero_copy);
	assert_true(can->can_send);
	assert_int_equal(can->queues, 1);
	assert_int_equal(can->filters, MDFH_PLACE_SOFTWARE);
	assert_int_equal(can->timestamps, MDFH_PLACE_SOFTWARE);
	assert_non_null(strstr(can->mode, "net_ring, "));
	assert_string_equal(can->warning, "");
	for (uint16_t flow = 0; flow < 3; flow++)
		send_numbers(port, flow, flow * 10, 1, 100u + flow);
	receive(port, packets, 3);
	for (uint16_t flow = 0; flow < 3; flow++) {
		static const uint16_t headers[] = {42, 62, 46};

		assert_int_equal(packets[flow].flow, flow);
		assert_int_equal(packets[flow].length, 100 + flow);
		assert_int_equal(packets[flow].header_length, headers[flow]);
		assert_int_equal(number_of(&packets[flow]), flow * 10);
		assert_int_equal(
		    packets[flow].flags & ~MDFH_PACKET_CLOCK_SYNC, MDFH_PACKET_TIME_APP);
		assert_true(packets[flow].receive_ns > 1600000000000000000u);
		assert_int_equal(mdfh_bypass_local_port(port, flow), three_flows[flow].port);
	}
	mdfh_bypass_release(port, packets, 3);
	assert_int_equal(stats_of(port).rx_packets, 3);
	assert_int_equal(stats_of(port).rx_bytes, 303);
	assert_int_equal(stats_of(port).tx_packets, 3);
	assert_int_equal(stats_of(port).tx_bytes, 303);
	mdfh_bypass_close(port);
}

static void discards_what_no_flow_wants(void **state)
{
	const struct mdfh_flow sends[] = {three_flows[0], {.group = "239.9.9.9", .port = 26477},
	    {.group = "239.1.1.1", .port = 1}};
	struct mdfh_bypass *port;
	struct mdfh_packet packets[4];

	(void)state;
	/* The third flow is one of VLAN 100, so the same group without it is not wanted. */
	port = open_ring((struct mdfh_bypass_config){.flows = sends, .flow_count = 3});
	for (uint16_t flow = 0; flow < 3; flow++)
		send_numbers(port, flow, flow, 1, 64);
	receive(port, packets, 3);
	assert_int_equal(stats_of(port).rx_filtered, 0);
	mdfh_bypass_release(port, packets, 3);
	mdfh_bypass_close(port);
}

/* A caller that asks for one packet at a time gets every one. */
static void hands_out_one_by_one(void **state)
{
	struct mdfh_bypass *port = open_ring((struct mdfh_bypass_config){.rx_ring_size = 256});
	struct mdfh_packet packet;

	(void)state;
	send_numbers(port, 0, 0, 200, 64);
	for (uint32_t i = 0; i < 200; i++) {
		assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
		assert_int_equal(number_of(&packet), i);
		mdfh_bypass_release(port, &packet, 1);
	}
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 0);
	assert_int_equal(stats_of(port).rx_packets, 200);
	assert_int_equal(stats_of(port).rx_empty, 1);
	mdfh_bypass_close(port);
}

/* Holding -------------------------------------------------------------------------------------- */

static void copies_past_hold_max(void **state)
{
	struct mdfh_bypass *port = open_ring(
	    (struct mdfh_bypass_config){.rx_ring_size = 256, .batch_size = 16, .hold_max = 64});
	struct mdfh_packet held[80], packet;

	(void)state;
	assert_int_equal(mdfh_bypass_capabilities(port)->hold_max, 64);
	send_numbers(port, 0, 0, 100, 64);
	receive(port, held, 80);
	for (uint32_t i = 0; i < 80; i++) {
		assert_int_equal(number_of(&held[i]), i);
		assert_int_equal(!!(held[i].flags & MDFH_PACKET_COPIED), i >= 64);
	}
	assert_int_equal(stats_of(port).rx_copied, 16);
	/* Nothing is free: packets wait, and none is lost. */
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 0);
	assert_int_equal(stats_of(port).rx_starved, 1);
	mdfh_bypass_release(port, &held[40], 1);
	receive(port, &held[40], 1);
	assert_int_equal(number_of(&held[40]), 80);
	mdfh_bypass_release(port, held, 80);
	mdfh_bypass_release(port, held, 80); /* twice: nothing is held, nothing happens */
	receive(port, held, 19);
	for (uint32_t i = 0; i < 19; i++) {
		assert_int_equal(number_of(&held[i]), 81 + i);
		assert_false(held[i].flags & MDFH_PACKET_COPIED);
	}
	packet = (struct mdfh_packet){.cookie = UINT64_MAX};
	mdfh_bypass_release(port, &packet, 1);
	mdfh_bypass_close(port); /* with packets held */
}

static uint64_t draw(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Held packets are given back in an order drawn by lot while others come, small ones are copied; each
 * is what it was until it is given back. */
static void releases_in_any_order(void **state)
{
	struct mdfh_bypass *port = open_ring((struct mdfh_bypass_config){
	    .rx_ring_size = 256, .batch_size = 32, .hold_max = 200, .zero_copy_threshold = 100});
	struct mdfh_packet held[256];
	uint32_t numbers[256], held_count = 0, sent = 0, next = 0;
	uint64_t seed = 12345, small = 0;

	(void)state;
	while (next < 40000) {
		uint32_t burst = (uint32_t)(draw(&seed) % 100);
		uint32_t room = 200 - held_count;
		int n;

		for (; burst && sent < 40000 && sent - next < 200; burst--, sent++) {
			uint32_t length = 60 + (uint32_t)(draw(&seed) % 80);

			small += length < 100;
			send_numbers(port, 0, sent, 1, length);
		}
		n = mdfh_bypass_recv(port, held + held_count, (int)(room < 32 ? room : 32));
		assert_true(n >= 0);
		for (int i = 0; i < n; i++) {
			numbers[held_count] = next++;
			assert_int_equal(number_of(&held[held_count]), numbers[held_count]);
			assert_int_equal(!!(held[held_count].flags & MDFH_PACKET_COPIED),
			    held[held_count].length < 100);
			held_count++;
		}
		for (uint32_t k = (uint32_t)(draw(&seed) % 64); k && held_count; k--) {
			uint32_t at = (uint32_t)(draw(&seed) % held_count);

			assert_int_equal(number_of(&held[at]), numbers[at]);
			mdfh_bypass_release(port, &held[at], 1);
			held[at] = held[--held_count];
			numbers[at] = numbers[held_count];
		}
	}
	assert_int_equal(stats_of(port).rx_copied, small);
	assert_int_equal(stats_of(port).rx_starved, 0);
	mdfh_bypass_close(port);
}

static void copies_where_it_is_told_to(void **state)
{
	struct mdfh_bypass *port =
	    open_ring((struct mdfh_bypass_config){.enable_zero_copy = MDFH_OFF});
	struct mdfh_packet packet;

	(void)state;
	assert_false(mdfh_bypass_capabilities(port)->zero_copy);
	assert_string_equal(mdfh_bypass_capabilities(port)->copy_reason, "enable_zero_copy is off");
	send_numbers(port, 0, 7, 1, 1400);
	receive(port, &packet, 1);
	assert_int_equal(number_of(&packet), 7);
	assert_true(packet.flags & MDFH_PACKET_COPIED);
	mdfh_bypass_release(port, &packet, 1);
	mdfh_bypass_close(port);
}

static void cuts_at_frame_size(void **state)
{
	struct mdfh_flow flow = three_flows[0];
	struct mdfh_bypass *port = open_ring(
	    (struct mdfh_bypass_config){.frame_size = 1024, .flows = &flow, .flow_count = 1});
	uint8_t data[1200] = {1};
	struct mdfh_packet packet = {.data = data, .length = 1025};

	(void)state;
	assert_int_equal(mdfh_bypass_send(port, &packet, 1), -EINVAL);
	assert_error("1024 bytes are the most");
	packet.length = 1024;
	assert_int_equal(mdfh_bypass_send(port, &packet, 1), 1);
	receive(port, &packet, 1);
	assert_int_equal(packet.length, 1024);
	assert_false(packet.flags & MDFH_PACKET_TRUNCATED);
	mdfh_bypass_close(port);
}

/* Threads -------------------------------------------------------------------------------------- */

static void *receive_ten(void *context)
{
	struct mdfh_bypass *port = context;
	struct mdfh_packet packets[10];

	receive(port, packets, 10);
	mdfh_bypass_release(port, packets, 10);
	return NULL;
}

/* DPDK numbers its threads and has 128 numbers: each that ends has to give its own back. */
static void outlives_many_threads(void **state)
{
	(void)state;
	for (int i = 0; i < 150; i++) {
		struct mdfh_bypass *port =
		    open_ring((struct mdfh_bypass_config){.rx_ring_size = 64, .batch_size = 16});
		pthread_t thread;

		send_numbers(port, 0, 0, 10, 64);
		assert_int_equal(pthread_create(&thread, NULL, receive_ten, port), 0);
		pthread_join(thread, NULL);
		assert_int_equal(stats_of(port).rx_packets, 10);
		mdfh_bypass_close(port);
	}
}

/* Refusals ------------------------------------------------------------------------------------- */

static void refuse(struct mdfh_bypass_config config, int rc, const char *text)
{
	struct mdfh_bypass *port;
	int got;

	config.size = sizeof(config);
	config.backend = "dpdk";
	if (!config.flows) {
		config.flows = three_flows;
		config.flow_count = 1;
	}
	got = mdfh_bypass_open(&config, &port);
	if (got != rc)
		fail_msg("%d instead of %d: %s", got, rc, mdfh_error_text());
	assert_null(port);
	assert_error(text);
}

static void refuses_what_it_cannot_do(void **state)
{
	const struct mdfh_flow no_port = {.group = "239.1.1.1"};

	(void)state;
	refuse((struct mdfh_bypass_config){0}, -EINVAL, "dpdk: interface is not set");
	refuse((struct mdfh_bypass_config){.interface = RING, .busy_poll_us = 5}, -ENOTSUP,
	    "dpdk: busy_poll_us is 5");
	refuse((struct mdfh_bypass_config){.interface = RING, .queue = 16}, -EINVAL,
	    "dpdk: queue is 16; it must be from 0 to 15");
	refuse((struct mdfh_bypass_config){.interface = RING, .frame_size = 65400}, -EINVAL,
	    "dpdk: frame_size is 65400");
	refuse((struct mdfh_bypass_config){.interface = RING, .flows = &no_port, .flow_count = 1},
	    -EINVAL, "flows[0].port is 0");
	refuse(
	    (struct mdfh_bypass_config){.interface = RING, .timestamps = MDFH_TIMESTAMPS_HARDWARE},
	    -ENOTSUP, "net_ring0 gives none");
	refuse((struct mdfh_bypass_config){.interface = RING, .backend_options = "filters=mine"},
	    -EINVAL, "dpdk: filters is 'mine'; it must be one of auto, software, hardware");
	refuse(
	    (struct mdfh_bypass_config){.interface = RING, .backend_options = "filters=hardware"},
	    -ENOTSUP, "filters is hardware, and net_ring0 cannot keep other packets away");
	refuse((struct mdfh_bypass_config){.interface = RING, .backend_options = "queues=17"},
	    -EINVAL, "queues=17; it must be from 1 to 16");
	refuse((struct mdfh_bypass_config){.interface = RING, .backend_options = "colour=red"},
	    -EINVAL, "the key 'colour'");
	refuse((struct mdfh_bypass_config){.interface = RING, .backend_options = "address=::1"},
	    -EINVAL, "address is '::1'; it must be a numeric IPv4 address");
	refuse((struct mdfh_bypass_config){.interface = RING, .backend_options = "next_hop_mac=x"},
	    -EINVAL, "next_hop_mac is 'x'");
	refuse((struct mdfh_bypass_config){.interface = RING, .rx_ring_size = 1 << 20}, -ENOMEM,
	    "make rx_ring_size, hold_max or frame_size smaller");
}

static void refuses_what_is_no_device(void **state)
{
	(void)state;
	refuse((struct mdfh_bypass_config){.interface = "net_nosuch0"}, -ENODEV,
	    "interface 'net_nosuch0' is no device that DPDK can take");
	refuse((struct mdfh_bypass_config){.interface = "0000:7f:1f.7"}, -ENODEV,
	    "interface '0000:7f:1f.7' is no device");
	refuse((struct mdfh_bypass_config){.interface = "eth-nothing"}, -ENODEV,
	    "interface 'eth-nothing' is no device");
	refuse((struct mdfh_bypass_config){.interface = "net_pcap0,rx_pcap=/nowhere.pcap"}, -ENODEV,
	    "/nowhere.pcap");
}

static void shares_a_device_by_queue(void **state)
{
	struct mdfh_bypass_config second = {
	    .interface = RING, .queue = 1, .backend_options = "queues=2"};
	struct mdfh_bypass *first =
	    open_ring((struct mdfh_bypass_config){.backend_options = "queues=2"});
	struct mdfh_bypass *port;
	struct mdfh_packet packets[2];

	(void)state;
	refuse((struct mdfh_bypass_config){.interface = RING}, -EBUSY,
	    "queue 0 of 'net_ring0' has a port already");
	refuse((struct mdfh_bypass_config){.interface = RING, .queue = 2}, -EINVAL,
	    "queue is 2, and 'net_ring0' was opened with 2");
	refuse((struct mdfh_bypass_config){.interface = RING, .queue = 1, .hold_max = 100}, -EBUSY,
	    "is open with rx_ring_size 4096");
	refuse((struct mdfh_bypass_config){.interface = RING ",x=1", .queue = 1}, -EBUSY,
	    "is open in this process as 'net_ring0'");
	assert_non_null(strstr(mdfh_bypass_capabilities(first)->warning, "refuses rules"));
	second.flows = three_flows;
	second.flow_count = 3;
	port = open_port(second);
	/* A queue of net_ring gives back what was sent through it. */
	send_numbers(port, 1, 5, 1, 64);
	send_numbers(first, 0, 6, 1, 64);
	receive(port, &packets[0], 1);
	receive(first, &packets[1], 1);
	assert_int_equal(number_of(&packets[0]), 5);
	assert_int_equal(number_of(&packets[1]), 6);
	mdfh_bypass_close(first);
	mdfh_bypass_release(port, &packets[0], 1);
	send_numbers(port, 1, 7, 1, 64);
	receive(port, &packets[0], 1);
	mdfh_bypass_close(port);
	/* All of it is free again, and may be had in another shape. */
	mdfh_bypass_close(
	    open_ring((struct mdfh_bypass_config){.rx_ring_size = 64, .batch_size = 8}));
}

static void names_its_counters(void **state)
{
	struct mdfh_bypass *port =
	    open_ring((struct mdfh_bypass_config){.backend_options = "membership=off"});
	struct mdfh_bypass_counter counters[64];
	struct mdfh_packet packet;
	uint64_t good = 0;
	int n;

	(void)state;
	send_numbers(port, 0, 0, 1, 64);
	receive(port, &packet, 1);
	n = mdfh_bypass_counters(port, counters, 64);
	assert_in_range(n, 5, 64);
	for (int i = 0; i < n; i++)
		if (!strcmp(counters[i].name, "rx_good_packets"))
			good = counters[i].value;
	assert_int_equal(good, 1);
	assert_int_equal(mdfh_bypass_counters(port, counters, 1), n);
	mdfh_bypass_close(port);
}

/* Files ---------------------------------------------------------------------------------------- */

enum { RECORDED = 600 };

/* Frames of every kind that the library makes, and some that are none. */
static void record(const char *path)
{
	struct mdfh_capture_writer *writer;

	assert_ok(mdfh_capture_writer_open(path, MDFH_LINK_ETHERNET, &writer));
	for (uint32_t i = 0; i < RECORDED; i++) {
		const struct mdfh_flow *flow = &three_flows[i % 3];
		struct mdfh_frame_header header = {
		    .source_port = 7, .destination_port = (uint16_t)(flow->port + (i % 5 == 4))};
		uint8_t payload[100] = {0}, frame[256];
		int length;

		assert_ok(mdfh_frame_address(i % 3 == 1 ? "fd00::1" : "10.0.0.1", header.source));
		assert_ok(mdfh_frame_address(flow->group, header.destination));
		header.vlan[0] = flow->vlan;
		header.vlan_count = (uint8_t)(flow->vlan && i % 7);
		number_write(payload, sizeof(payload), i);
		length = mdfh_frame_build(&header, payload, sizeof(payload), frame, sizeof(frame));
		assert_ok(length);
		if (i % 11 == 10)
			frame[12 + i % 30] ^= (uint8_t)(1 << i % 8);
		assert_ok(mdfh_capture_write(
		    writer, 1000000000u * (uint64_t)i, frame, (uint32_t)length, 0));
	}
	assert_ok(mdfh_capture_writer_close(writer));
}

/* What a port hands out, as a checksum and its counters. */
struct outcome {
	uint64_t packets, sum;
	struct mdfh_bypass_stats stats;
};

static struct outcome read_all(struct mdfh_bypass *port)
{
	struct outcome outcome = {0};
	struct mdfh_packet packets[64];
	int n;

	/* The file has been read to its end when nothing comes: it is there from the start. */
	while ((n = mdfh_bypass_recv(port, packets, 64)) > 0) {
		for (int i = 0; i < n; i++) {
			outcome.sum = outcome.sum * 31 + packets[i].flow;
			for (uint32_t k = 0; k < packets[i].length; k++)
				outcome.sum = outcome.sum * 31 + packets[i].data[k];
		}
		outcome.packets += (uint64_t)n;
		mdfh_bypass_release(port, packets, n);
	}
	outcome.stats = stats_of(port);
	mdfh_bypass_close(port);
	return outcome;
}

/* The frames of one file through DPDK's driver and through the backend that is for files. */
static void agrees_with_backend_pcap(void **state)
{
	char path[] = "/tmp/mdfh-dpdk-XXXXXX.pcap";
	char interface[64];
	struct outcome dpdk, pcap;
	int fd = mkstemps(path, 5);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	record(path);
	snprintf(interface, sizeof(interface), "net_pcap0,rx_pcap=%s", path);
	dpdk = read_all(open_port((struct mdfh_bypass_config){
	    .interface = interface, .flows = three_flows, .flow_count = 3}));
	pcap = read_all(open_port((struct mdfh_bypass_config){
	    .backend = "pcap", .file = path, .flows = three_flows, .flow_count = 3}));
	unlink(path);
	assert_in_range(dpdk.packets, RECORDED / 2, RECORDED - 1);
	assert_int_equal(dpdk.packets, pcap.packets);
	assert_int_equal(dpdk.sum, pcap.sum);
	assert_int_equal(dpdk.stats.rx_bytes, pcap.stats.rx_bytes);
	assert_int_equal(dpdk.stats.rx_filtered, pcap.stats.rx_filtered);
	assert_true(dpdk.stats.rx_malformed > 0);
	assert_memory_equal(
	    dpdk.stats.malformed, pcap.stats.malformed, sizeof(pcap.stats.malformed));
	assert_int_equal(
	    dpdk.stats.rx_packets + dpdk.stats.rx_filtered + dpdk.stats.rx_malformed, RECORDED);
}

/* EAL ------------------------------------------------------------------------------------------ */

/* What a process of its own prints while it runs body: nothing, whatever goes wrong. */
static void prints_nothing(void (*body)(void))
{
	char text[512] = "";
	int pipes[2], status;
	ssize_t length;
	pid_t child;

	assert_int_equal(pipe(pipes), 0);
	fflush(stdout);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		int out = dup(STDERR_FILENO);

		dup2(pipes[1], STDOUT_FILENO);
		dup2(pipes[1], STDERR_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		body();
		fflush(stdout);
		(void)out;
		_exit(0);
	}
	close(pipes[1]);
	length = read(pipes[0], text, sizeof(text) - 1);
	close(pipes[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (length != 0)
		fail_msg("it printed '%s'", text);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* 0 if opening fails with rc and a sentence that has text; else the process ends. */
static void must_refuse(const char *interface, const char *options, int rc, const char *text)
{
	struct mdfh_bypass_config config = {.size = sizeof(config),
	    .backend = "dpdk",
	    .interface = interface,
	    .backend_options = options,
	    .flows = three_flows,
	    .flow_count = 1};
	struct mdfh_bypass *port;
	int got = mdfh_bypass_open(&config, &port);

	if (got == rc && (!rc || strstr(mdfh_error_text(), text))) {
		mdfh_bypass_close(port);
		return;
	}
	printf("%s: %d instead of %d: %s\n", options ? options : "", got, rc,
	    got ? mdfh_error_text() : "");
	fflush(stdout);
	_exit(1);
}

static void wrong_arguments(void)
{
	must_refuse(RING, "eal=--no-such-argument", -EINVAL,
	    "EAL does not start with the arguments '--no-such-argument'");
	/* Not even that is forgotten. */
	must_refuse(RING, NULL, -EALREADY, "and that has failed: dpdk: EAL does not start");
}

static void wrong_value(void)
{
	must_refuse(RING, "eal=--iova-mode=xy", -EINVAL, "EAL does not start");
}

static void other_arguments(void)
{
	must_refuse(RING, "eal=--log-level=lib.eal:debug", 0, "");
	must_refuse(RING, "eal=--log-level=lib.eal:info", -EBUSY,
	    "EAL runs in this process with '--log-level=lib.eal:debug'");
	must_refuse(RING, NULL, 0, "");
	must_refuse("net_nosuch0", NULL, -ENODEV, "net_nosuch0");
}

/* A device that is there already stays there. */
static void device_of_another(void)
{
	must_refuse("net_ring5", "eal=--vdev=net_ring5", 0, "");
	must_refuse("net_ring5", NULL, 0, "");
	must_refuse("net_ring5", "queues=200", -EINVAL, "queues=200");
	must_refuse("net_ring5", NULL, 0, "");
}

static void says_what_is_wrong_and_prints_nothing(void **state)
{
	(void)state;
	prints_nothing(wrong_arguments);
	prints_nothing(wrong_value);
	prints_nothing(other_arguments);
	prints_nothing(device_of_another);
}

static void without_hugepages(void)
{
	must_refuse(RING, "memory_mb=16", -ENOMEM, "give more with backend_options memory_mb");
	must_refuse(RING, "memory_mb=512", -EBUSY,
	    "memory_mb is 512, and EAL runs in this process with 16");
}

/* MiB that a port of this queue lacks, by the sentence. */
static unsigned long missing_for(uint16_t queue)
{
	struct mdfh_bypass_config config = {.size = sizeof(config),
	    .backend = "dpdk",
	    .interface = RING,
	    .queue = queue,
	    /* More than any host has free. */
	    .rx_ring_size = 1 << 20,
	    .frame_size = 32768,
	    .hugepages = MDFH_ON,
	    .flows = three_flows,
	    .flow_count = 1};
	struct mdfh_bypass *port;
	int rc = mdfh_bypass_open(&config, &port);
	const char *needs = rc ? strstr(mdfh_error_text(), "the port needs ") : NULL;

	if (!needs)
		_exit(1);
	return strtoul(needs + strlen("the port needs "), NULL, 10);
}

/* A device has queues up to the port's. */
static void with_hugepages(void)
{
	unsigned long one = missing_for(0), four = missing_for(3);

	if (four < 4 * one || four > 4 * (one + 1))
		_exit(1);
}

static void says_what_memory_is_missing(void **state)
{
	(void)state;
	prints_nothing(without_hugepages);
	prints_nothing(with_hugepages);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
	    /* First, as they need a process without EAL. */
	    cmocka_unit_test(says_what_is_wrong_and_prints_nothing),
	    cmocka_unit_test(says_what_memory_is_missing),
	    cmocka_unit_test(receives_what_is_sent),
	    cmocka_unit_test(discards_what_no_flow_wants),
	    cmocka_unit_test(hands_out_one_by_one),
	    cmocka_unit_test(copies_past_hold_max),
	    cmocka_unit_test(releases_in_any_order),
	    cmocka_unit_test(copies_where_it_is_told_to),
	    cmocka_unit_test(cuts_at_frame_size),
	    cmocka_unit_test(outlives_many_threads),
	    cmocka_unit_test(refuses_what_it_cannot_do),
	    cmocka_unit_test(refuses_what_is_no_device),
	    cmocka_unit_test(shares_a_device_by_queue),
	    cmocka_unit_test(names_its_counters),
	    cmocka_unit_test(agrees_with_backend_pcap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return test_run_dpdk(NULL, run);
}
