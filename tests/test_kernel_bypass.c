/* test_kernel_bypass.c - the library from end to end, through the public calls alone: configuration
 * validation, packet descriptor, lifecycle, statistics, ring integration, error handling.
 *
 * It links the shared library that is installed. Every group but the first runs for each
 * backend that receives from a socket (socket, and the module io_uring where it was built) over
 * UDP, and over TCP where it has that; the other end is a plain kernel socket of the test's own. */
#include "test_kernel_bypass.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "handler/feed.h"
#include "mdfh/clock.h"
#include "mdfh/ingest.h"
#include "mdfh/ring.h"
#include "own_namespace.h"

/* Configuration validation --------------------------------------------------------------- */

static void a_configuration_of_zeros_is_valid(void **state)
{
	struct mdfh_bypass_config config = {.size = sizeof(config)};
	struct mdfh_bypass_config filled;

	(void)state;
	assert_ok(mdfh_bypass_config_check(&config));
	assert_ok(mdfh_bypass_config_defaults(&config, &filled));
	assert_string_equal(filled.backend, "socket");
	assert_int_equal(filled.rx_ring_size, 4096);
	assert_int_equal(filled.batch_size, 64);
	assert_int_equal(filled.poll_timeout_us, 1000);
	assert_int_equal(filled.enable_numa_awareness, MDFH_ON);
	assert_int_equal(filled.enable_zero_copy, MDFH_ON);
	assert_int_equal(filled.cpu_core, 0);
}

static void a_full_configuration_is_kept(void **state)
{
	const struct mdfh_bypass_config config = {
	    .size = sizeof(config),
	    .backend = "socket",
	    .interface = "lo",
	    .host = "127.0.0.1",
	    .port = 9001,
	    .rx_ring_size = 2048,
	    .batch_size = 32,
	    .cpu_core = MDFH_CORE(0),
	    .enable_numa_awareness = MDFH_OFF,
	    .enable_zero_copy = MDFH_OFF,
	    .zero_copy_threshold = 128,
	    .poll_timeout_us = 100,
	};
	struct mdfh_bypass_config filled;

	(void)state;
	assert_ok(mdfh_bypass_config_defaults(&config, &filled));
	assert_string_equal(filled.interface, "lo");
	assert_string_equal(filled.host, "127.0.0.1");
	assert_int_equal(filled.port, 9001);
	assert_int_equal(filled.rx_ring_size, 2048);
	assert_int_equal(filled.batch_size, 32);
	assert_int_equal(filled.cpu_core, 1);
	assert_int_equal(filled.enable_numa_awareness, MDFH_OFF);
	assert_int_equal(filled.enable_zero_copy, MDFH_OFF);
	assert_int_equal(filled.zero_copy_threshold, 128);
	assert_int_equal(filled.poll_timeout_us, 100);
}

/* Each wrong field is refused by its name, with its value, by check and by open alike. */
static void wrong_fields_are_named(void **state)
{
	const struct mdfh_bypass_config good = {.size = sizeof(good), .host = "127.0.0.1"};
	const struct mdfh_flow twice[] = {
	    {.group = "127.0.0.1", .port = 5}, {.group = "127.0.0.1", .port = 5}};
	struct wrong {
		const char *field;
		const char *value;
		struct mdfh_bypass_config config;
	} wrong[] = {
	    {"size", "7", good},
	    {"rx_ring_size", "1000", good},
	    {"rx_ring_size", "32", good},
	    {"batch_size", "257", good},
	    {"batch_size", "128", good},
	    {"frame_size", "70000", good},
	    {"cpu_core", "99999", good},
	    {"poll_timeout_us", "60000001", good},
	    {"zero_copy_threshold", "65536", good},
	    {"receive_buffer_bytes", "100", good},
	    {"host", "localhost", good},
	    {"host", "0.0.0.0", good},
	    {"interface", "0 characters", good},
	    {"enable_zero_copy", "3", good},
	    {"transport", "9", good},
	    {"port", "0", good},
	    {"flows[1]", "127.0.0.1", good},
	    {"require_zero_copy", "on", good},
	};

	(void)state;
	wrong[0].config.size = 7;
	wrong[1].config.rx_ring_size = 1000;
	wrong[2].config.rx_ring_size = 32;
	wrong[3].config.batch_size = 257;
	wrong[4].config.batch_size = 128;
	wrong[4].config.rx_ring_size = 64;
	wrong[5].config.frame_size = 70000;
	wrong[6].config.cpu_core = MDFH_CORE(99999);
	wrong[7].config.poll_timeout_us = 60000001;
	wrong[8].config.zero_copy_threshold = 65536;
	wrong[9].config.receive_buffer_bytes = 100;
	wrong[10].config.host = "localhost";
	wrong[11].config.host = "0.0.0.0";
	wrong[12].config.interface = "";
	wrong[13].config.enable_zero_copy = (enum mdfh_switch)3;
	wrong[14].config.transport = (enum mdfh_transport)9;
	wrong[15].config.host = "239.1.1.1";
	wrong[16].config.host = NULL;
	wrong[16].config.flows = twice;
	wrong[16].config.flow_count = 2;
	wrong[17].config.require_zero_copy = MDFH_ON;
	wrong[17].config.enable_zero_copy = MDFH_OFF;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct mdfh_bypass *port = (struct mdfh_bypass *)&wrong;

		assert_int_equal(mdfh_bypass_config_check(&wrong[i].config), -EINVAL);
		assert_says(wrong[i].field);
		assert_says(wrong[i].value);
		assert_int_equal(mdfh_bypass_open(&wrong[i].config, &port), -EINVAL);
		assert_says(wrong[i].field);
		assert_null(port);
	}
}

static void backends_are_listed_with_their_reasons(void **state)
{
	struct mdfh_bypass_backend backends[32];
	int n = mdfh_bypass_backends(backends, 32);
	int found = 0;

	(void)state;
	assert_in_range(n, 4, 32);
	for (int i = 0; i < n; i++) {
		found += !strcmp(backends[i].name, "socket") && backends[i].available;
		assert_true(backends[i].description[0] || backends[i].reason[0]);
		/* Missing ones say why, and only they. */
		assert_int_equal(backends[i].available, !backends[i].reason[0]);
	}
	assert_int_equal(found, 1);
}

/* Packet descriptor -------------------------------------------------------------------------- */

static void a_packet_says_what_it_is(void **state)
{
	const struct target *target = *state;
	const char text[] = "what was sent";
	struct mdfh_packet packet;
	struct mdfh_bypass *port;
	struct peer peer;
	uint64_t before_ns, after_ns, slack_ns;
	unsigned sources;

	port = open_pair(target, &peer);
	before_ns = mdfh_clock_now_ns();
	send_bytes(&peer, text, sizeof(text));
	assert_int_equal(recv_some(port, &packet, 1), 1);
	after_ns = mdfh_clock_now_ns();
	slack_ns = 1000 + 2 * (uint64_t)mdfh_clock_error_ns();
	assert_int_equal(packet.length, sizeof(text));
	assert_memory_equal(packet.data, text, sizeof(text));
	assert_int_equal(packet.flow, 0);
	assert_int_equal(packet.flags & MDFH_PACKET_TRUNCATED, 0);
	assert_int_equal(
	    !!(packet.flags & MDFH_PACKET_STREAM), target->transport == MDFH_TRANSPORT_TCP);
	/* One clock says when it came, and that it came during this. */
	sources = packet.flags & MDFH_PACKET_TIME_MASK;
	assert_true(sources && !(sources & (sources - 1)));
	assert_true(packet.receive_ns + slack_ns >= before_ns);
	assert_true(packet.receive_ns <= after_ns + slack_ns);
	mdfh_bypass_release(port, &packet, 1);
	mdfh_bypass_close(port);
	close_peer(&peer);
}

/* Packets stay what they are while others come and go, and go back in any order. */
static void packets_may_be_held(void **state)
{
	const struct target *target = *state;
	struct mdfh_packet held[8];
	struct mdfh_bypass *port;
	struct peer peer;
	char text[32];

	port = open_pair(target, &peer);
	assert_true(mdfh_bypass_capabilities(port)->hold_max >= 8);
	for (int i = 0; i < 8; i++) {
		snprintf(text, sizeof(text), "packet %d", i);
		send_bytes(&peer, text, sizeof(text));
		assert_int_equal(recv_some(port, &held[i], 1), 1);
	}
	for (int i = 0; i < 500; i++) {
		struct mdfh_packet packet;

		memset(text, 'x', sizeof(text));
		send_bytes(&peer, text, sizeof(text));
		assert_int_equal(recv_some(port, &packet, 1), 1);
		mdfh_bypass_release(port, &packet, 1);
	}
	for (int i = 7; i >= 0; i--) {
		snprintf(text, sizeof(text), "packet %d", i);
		assert_int_equal(held[i].length, sizeof(text));
		assert_string_equal((const char *)held[i].data, text);
		mdfh_bypass_release(port, &held[i], 1);
		mdfh_bypass_release(port, &held[i], 1); /* a second time is ignored */
	}
	mdfh_bypass_close(port);
	close_peer(&peer);
}

static void what_does_not_fit_is_marked(void **state)
{
	const struct target *target = *state;
	struct mdfh_bypass_config config = config_of(target, 0);
	struct mdfh_packet packet;
	struct mdfh_bypass *port;
	struct peer peer;
	uint8_t data[1000];
	uint32_t got = 0;

	memset(data, 0x5a, sizeof(data));
	config.frame_size = 256;
	port = open_with(target, &config, &peer);
	send_bytes(&peer, data, sizeof(data));
	if (target->transport == MDFH_TRANSPORT_TCP) { /* a stream loses nothing by it */
		while (got < sizeof(data)) {
			assert_int_equal(recv_some(port, &packet, 1), 1);
			assert_in_range(
			    packet.length, 1, mdfh_bypass_capabilities(port)->frame_size);
			assert_memory_equal(packet.data, data, packet.length);
			got += packet.length;
			mdfh_bypass_release(port, &packet, 1);
		}
		assert_int_equal(got, sizeof(data));
	} else {
		assert_int_equal(recv_some(port, &packet, 1), 1);
		assert_true(packet.flags & MDFH_PACKET_TRUNCATED);
		assert_in_range(packet.length, 256, sizeof(data) - 1);
		assert_memory_equal(packet.data, data, packet.length);
		mdfh_bypass_release(port, &packet, 1);
	}
	mdfh_bypass_close(port);
	close_peer(&peer);
}

/* Lifecycle ----------------------------------------------------------------------------------- */

static int count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(folder);
	while (readdir(folder))
		n++;
	closedir(folder);
	return n;
}

static void ports_leave_nothing_behind(void **state)
{
	const struct target *target = *state;
	struct mdfh_packet packet;
	struct mdfh_bypass *port;
	struct peer peer;
	int before = 0;

	for (int i = 0; i < 20; i++) {
		port = open_pair(target, &peer);
		if (i % 2) { /* closed while a packet is held */
			send_bytes(&peer, "x", 1);
			assert_int_equal(recv_some(port, &packet, 1), 1);
		}
		mdfh_bypass_close(port);
		close_peer(&peer);
		if (i == 1) /* what is opened once for the process is open by now */
			before = count_descriptors();
	}
	assert_int_equal(count_descriptors(), before);
	mdfh_bypass_close(NULL);
}

static void a_port_number_can_be_had_again(void **state)
{
	const struct target *target = *state;
	struct mdfh_bypass_config config = config_of(target, 0);
	struct mdfh_packet packet;
	struct mdfh_bypass *port;
	struct peer peer;

	port = open_pair(target, &peer);
	config.port = peer.port;
	mdfh_bypass_close(port);
	if (target->transport == MDFH_TRANSPORT_TCP)
		close(peer.fd);
	assert_ok(mdfh_bypass_open(&config, &port));
	if (target->transport == MDFH_TRANSPORT_TCP)
		accept_client(port, &peer);
	send_bytes(&peer, "again", 5);
	assert_int_equal(recv_some(port, &packet, 1), 1);
	assert_memory_equal(packet.data, "again", 5);
	mdfh_bypass_release(port, &packet, 1);
	mdfh_bypass_close(port);
	close_peer(&peer);
}

static void ports_are_independent(void **state)
{
	const struct target *target = *state;
	struct mdfh_bypass *ports[2];
	struct mdfh_packet packet;
	struct peer peers[2];

	for (int i = 0; i < 2; i++)
		ports[i] = open_pair(target, &peers[i]);
	for (int i = 1; i >= 0; i--) {
		send_bytes(&peers[i], i ? "one" : "nil", 3);
		assert_int_equal(recv_some(ports[i], &packet, 1), 1);
		assert_memory_equal(packet.data, i ? "one" : "nil", 3);
		mdfh_bypass_release(ports[i], &packet, 1);
		assert_int_equal(mdfh_bypass_recv(ports[!i], &packet, 1), 0);
	}
	for (int i = 0; i < 2; i++) {
		mdfh_bypass_close(ports[i]);
		close_peer(&peers[i]);
	}
}

static void count_packets(void *context, const struct mdfh_packet *packets, int n)
{
	for (int i = 0; i < n; i++)
		atomic_fetch_add((atomic_uint_fast64_t *)context, packets[i].length);
}

static void a_push_thread_starts_and_stops(void **state)
{
	const struct target *target = *state;
	atomic_uint_fast64_t bytes = 0;
	uint64_t end_ms = now_ms() + PATIENCE_MS;
	struct mdfh_push *push;
	struct mdfh_bypass *port;
	struct peer peer;

	port = open_pair(target, &peer);
	assert_ok(mdfh_push_start(port, count_packets, &bytes, &push));
	assert_int_equal(mdfh_push_running(push), 1);
	for (int i = 0; i < 100; i++)
		send_bytes(&peer, "ten bytes.", 10);
	while (atomic_load(&bytes) < 1000 && now_ms() < end_ms)
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	assert_int_equal(atomic_load(&bytes), 1000);
	assert_int_equal(mdfh_push_running(push), 1);
	assert_int_equal(mdfh_push_stop(push), 0);
	close_peer(&peer);
}

/* Statistics ------------------------------------------------------------------------------------- */

static void counters_add_up(void **state)
{
	const struct target *target = *state;
	struct mdfh_packet packets[BATCH];
	struct mdfh_bypass_stats stats;
	struct mdfh_bypass *port;
	struct peer peer;
	uint8_t data[1400];
	uint64_t sent = 0, bytes = 0, count = 0, calls = 0;

	memset(data, 7, sizeof(data));
	port = open_pair(target, &peer);
	for (unsigned i = 0; i < 200; i++) {
		size_t size = 1 + i * 7 % sizeof(data);

		send_bytes(&peer, data, size);
		sent += size;
	}
	while (bytes < sent) {
		int n = recv_some(port, packets, BATCH);

		calls++;
		count += (uint64_t)n;
		for (int i = 0; i < n; i++)
			bytes += packets[i].length;
		mdfh_bypass_release(port, packets, n);
	}
	assert_int_equal(mdfh_bypass_recv(port, packets, BATCH), 0);
	assert_ok(mdfh_bypass_stats(port, &stats));
	assert_int_equal(bytes, sent);
	assert_int_equal(stats.rx_bytes, sent);
	assert_int_equal(stats.rx_truncated + stats.rx_malformed + stats.rx_filtered, 0);
	assert_int_equal(
	    stats.rx_dropped_nic + stats.rx_dropped_kernel + stats.rx_dropped_socket, 0);
	assert_true(stats.rx_empty >= 1);
	if (target->transport == MDFH_TRANSPORT_TCP) {
		assert_int_equal(stats.connects, 1);
		assert_int_equal(stats.connect_failures + stats.disconnects, 0);
	} else {
		assert_int_equal(count, 200);
		assert_int_equal(stats.rx_packets, 200);
		assert_int_equal(stats.rx_batches, calls);
	}
	mdfh_bypass_close(port);
	close_peer(&peer);
}

/* What is lost for want of room is counted to the last packet; a stream waits instead. */
static void a_full_buffer_is_counted(void **state)
{
	const struct target *target = *state;
	struct mdfh_bypass_config config = config_of(target, 0);
	struct mdfh_packet packets[BATCH];
	struct mdfh_bypass_stats stats;
	struct mdfh_bypass *port;
	struct peer peer;
	uint8_t data[1000] = {0};
	uint64_t end_ms = now_ms() + PATIENCE_MS;
	uint64_t packets_sent = 0, bytes_sent = 0;
	const int tries = target->transport == MDFH_TRANSPORT_TCP ? 1000000 : 5000;
	int is_full = 0;

	config.receive_buffer_bytes = 4096;
	config.rx_ring_size = 64;
	config.batch_size = 16;
	port = open_with(target, &config, &peer);
	for (int i = 0; i < tries && !is_full; i++) {
		ssize_t n = send(peer.fd, data, sizeof(data), MSG_DONTWAIT | MSG_NOSIGNAL);

		packets_sent += n > 0;
		bytes_sent += n > 0 ? (uint64_t)n : 0;
		is_full = n < 0 && target->transport == MDFH_TRANSPORT_TCP;
	}
	do {
		int n = mdfh_bypass_recv_wait(port, packets, BATCH);

		assert_ok(n);
		mdfh_bypass_release(port, packets, n);
		/* The kernel tells of drops with the packet that comes after them. */
		if (!n && target->transport != MDFH_TRANSPORT_TCP)
			packets_sent += send(peer.fd, data, 1, MSG_DONTWAIT) == 1;
		assert_ok(mdfh_bypass_stats(port, &stats));
	} while ((target->transport == MDFH_TRANSPORT_TCP
			 ? stats.rx_bytes < bytes_sent
			 : stats.rx_packets + stats.rx_dropped_socket < packets_sent ||
			       !stats.rx_dropped_socket) &&
		 now_ms() < end_ms);
	if (target->transport == MDFH_TRANSPORT_TCP) {
		assert_int_equal(stats.rx_bytes, bytes_sent);
		assert_true(is_full);
	} else {
		assert_true(stats.known_drops & 4);
		assert_true(stats.rx_dropped_socket > 0);
		assert_int_equal(stats.rx_packets + stats.rx_dropped_socket, packets_sent);
	}
	mdfh_bypass_close(port);
	close_peer(&peer);
}

/* Ring integration ---------------------------------------------------------------------------------- */

enum { NUMBERS = 20000, NUMBERS_AHEAD = 500 };

/* The push thread is the ring's producer, the test its consumer. */
struct numbers {
	struct mdfh_ring *ring;
	uint8_t partial[8];
	unsigned partial_length;
};

static void put_numbers(void *context, const struct mdfh_packet *packets, int n)
{
	struct numbers *numbers = context;

	for (int i = 0; i < n; i++)
		for (uint32_t b = 0; b < packets[i].length; b++) {
			uint64_t value;

			numbers->partial[numbers->partial_length++] = packets[i].data[b];
			if (numbers->partial_length < 8)
				continue;
			numbers->partial_length = 0;
			memcpy(&value, numbers->partial, 8);
			while (!mdfh_ring_push_wait(numbers->ring, &value, 1000000))
				;
		}
}

static void packets_go_through_a_ring(void **state)
{
	const struct target *target = *state;
	const struct mdfh_ring_config config = {
	    .size = sizeof(config), .slots = 64, .slot_size = 8};
	struct numbers numbers = {0};
	struct mdfh_bypass *port;
	struct mdfh_push *push;
	struct peer peer;
	uint64_t sent = 0;

	assert_ok(mdfh_ring_create(&config, &numbers.ring));
	port = open_pair(target, &peer);
	assert_ok(mdfh_push_start(port, put_numbers, &numbers, &push));
	for (uint64_t want = 0; want < NUMBERS; want++) {
		uint64_t have = 0;

		/* So far ahead that the ring is full, not so far that a socket buffer is. */
		for (; sent < NUMBERS && sent < want + NUMBERS_AHEAD; sent++)
			send_bytes(&peer, &sent, 8);
		assert_int_equal(
		    mdfh_ring_pop_wait(numbers.ring, &have, PATIENCE_MS * UINT64_C(1000000)), 1);
		assert_int_equal(have, want);
	}
	assert_int_equal(mdfh_ring_used(numbers.ring), 0);
	assert_int_equal(mdfh_ring_high_water(numbers.ring), 64);
	assert_int_equal(mdfh_push_stop(push), 0);
	mdfh_ring_destroy(numbers.ring);
	close_peer(&peer);
}

/* Events until one of that kind has come. */
static struct mdfh_event next_event(struct mdfh_ingest *ingest, unsigned kind)
{
	uint64_t end_ms = now_ms() + PATIENCE_MS;
	struct mdfh_event event;

	while (now_ms() < end_ms) {
		int n = mdfh_ingest_next(ingest, &event, 1);

		assert_ok(n);
		if (n && event.kind == kind)
			return event;
		if (!n)
			nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	}
	fail_msg("no event of kind %s within %d ms", mdfh_event_kind_name(kind), PATIENCE_MS);
	return event;
}

/* An exchange's packets become events, and the statistics say so. */
static void packets_become_events(void **state)
{
	const struct target *target = *state;
	struct mdfh_ingest_config config = {
	    .size = sizeof(config),
	    .session_date = "2026-11-20",
	    .ring_slots = 1024,
	    .orders_max = 1024,
	    .instruments_max = 64,
	    .window_us = 10000,
	};
	struct mdfh_ingest_stats stats;
	struct mdfh_ingest *ingest;
	struct mdfh_event event;
	struct sockaddr_in to;
	struct feed feed;
	struct peer peer = {.listener = -1};
	uint16_t own = 0;

	if (target->transport == MDFH_TRANSPORT_TCP)
		return; /* MoldUDP64 is for datagrams */
	/* A port number that is free. */
	close(bound_socket(SOCK_DGRAM, &peer.port));
	config.bypass = config_of(target, peer.port);
	assert_ok(mdfh_ingest_open(&config, &ingest));
	assert_ok(mdfh_ingest_start(ingest));
	to = loopback(peer.port);
	peer.fd = bound_socket(SOCK_DGRAM, &own);
	assert_int_equal(connect(peer.fd, (struct sockaddr *)&to, sizeof(to)), 0);

	feed_begin(&feed, 1);
	feed_system(&feed, 'O');
	feed_directory(&feed, 9, "MDFH    ");
	feed_add(&feed, 9, "MDFH    ", 77, 'B', 300, 1234500);
	feed_execute(&feed, 9, 77, 100, 1);
	send_bytes(&peer, feed.data, feed.length);
	event = next_event(ingest, MDFH_EVENT_ORDER_ADD);
	assert_int_equal(event.order.price, 123450000000);
	assert_int_equal(event.order.quantity, 300);
	assert_int_equal(event.side, MDFH_SIDE_BUY);
	assert_string_equal(
	    mdfh_instruments_get(mdfh_ingest_instruments(ingest), event.instrument)->symbol,
	    "MDFH");
	event = next_event(ingest, MDFH_EVENT_ORDER_EXECUTE);
	assert_int_equal(event.order.remaining, 200);
	/* Number 5 is missing, and that is an event too. */
	feed_begin(&feed, 6);
	feed_delete(&feed, 9, 77);
	send_bytes(&peer, feed.data, feed.length);
	event = next_event(ingest, MDFH_EVENT_GAP);
	assert_int_equal(event.gap.first, 5);
	assert_int_equal(event.gap.count, 1);
	next_event(ingest, MDFH_EVENT_ORDER_DELETE);
	assert_ok(mdfh_ingest_stop(ingest));
	assert_ok(mdfh_ingest_stats(ingest, &stats));
	assert_int_equal(stats.packets, 2);
	assert_int_equal(stats.messages, 5);
	assert_int_equal(stats.gaps, 1);
	assert_int_equal(stats.messages_lost, 1);
	assert_int_equal(stats.packets_dropped + stats.events_dropped + stats.packets_malformed, 0);
	mdfh_ingest_close(ingest);
	close_peer(&peer);
}

/* Error handling --------------------------------------------------------------------------------------- */

static void refuse(const struct mdfh_bypass_config *config, int error, const char *says)
{
	struct mdfh_bypass *port = (struct mdfh_bypass *)&port;
	int rc = mdfh_bypass_open(config, &port);

	if (rc != error)
		fail_msg("open: %d, not %d: %s", rc, error, rc < 0 ? mdfh_error_text() : "");
	assert_says(says);
	assert_null(port);
}

static void what_cannot_be_opened_says_why(void **state)
{
	const struct target *target = *state;
	struct mdfh_bypass_config config = config_of(target, 1);

	config.backend = "nonesuch";
	refuse(&config, -ENOENT, "nonesuch");
	config.backend = "/nonesuch/mdfh_x.so";
	refuse(&config, -ENOENT, "/nonesuch/mdfh_x.so");
	config = config_of(target, 1);
	config.interface = "nonesuch0";
	refuse(&config, -ENODEV, "nonesuch0");
	config = config_of(target, 1);
	config.backend_options = "nonesuch=1";
	refuse(&config, -EINVAL, "nonesuch");
	if (!strcmp(target->backend, "socket")) {
		config = config_of(target, 1);
		config.require_zero_copy = MDFH_ON;
		refuse(&config, -ENOTSUP, "require_zero_copy");
	}
}

/* UDP: the number is taken. TCP: nobody is there yet, which is no failure to open. */
static void the_other_end_may_be_missing(void **state)
{
	const struct target *target = *state;
	struct mdfh_bypass_stats stats = {0};
	struct mdfh_bypass_config config;
	struct mdfh_bypass *port;
	struct mdfh_packet packet;
	struct peer peer = {.listener = -1, .fd = -1};
	uint64_t end_ms = now_ms() + PATIENCE_MS;

	if (target->transport != MDFH_TRANSPORT_TCP) {
		peer.fd = bound_socket(SOCK_DGRAM, &peer.port);
		config = config_of(target, peer.port);
		refuse(&config, -EADDRINUSE, "in use");
		close_peer(&peer);
		return;
	}
	peer.listener = bound_socket(SOCK_STREAM, &peer.port);
	config = config_of(target, peer.port);
	assert_ok(mdfh_bypass_open(&config, &port));
	while (!stats.connect_failures && now_ms() < end_ms) {
		assert_int_equal(mdfh_bypass_recv_wait(port, &packet, 1), 0);
		assert_ok(mdfh_bypass_stats(port, &stats));
	}
	assert_int_equal(stats.last_error, ECONNREFUSED);
	assert_int_equal(stats.connects, 0);
	/* It comes, goes, and comes again. */
	assert_int_equal(listen(peer.listener, 1), 0);
	for (uint64_t round = 1; round <= 2; round++) {
		accept_client(port, &peer);
		send_bytes(&peer, "here", 4);
		assert_int_equal(recv_some(port, &packet, 1), 1);
		assert_memory_equal(packet.data, "here", 4);
		mdfh_bypass_release(port, &packet, 1);
		close(peer.fd);
		recv_mark(port, MDFH_PACKET_DISCONNECTED);
		assert_ok(mdfh_bypass_stats(port, &stats));
		assert_int_equal(stats.connects, round);
		assert_int_equal(stats.disconnects, round);
	}
	mdfh_bypass_close(port);
	close(peer.listener);
}

static void a_port_that_receives_does_not_send(void **state)
{
	const struct target *target = *state;
	struct mdfh_bypass_config config = config_of(target, 0);
	const struct mdfh_packet packet = {.data = (const uint8_t *)"x", .length = 1};
	struct mdfh_bypass *port;
	struct peer peer;

	config.direction = MDFH_DIRECTION_RECEIVE;
	port = open_with(target, &config, &peer);
	assert_int_equal(mdfh_bypass_capabilities(port)->can_send, 0);
	assert_int_equal(mdfh_bypass_send(port, &packet, 1), -ENOTSUP);
	assert_says("cannot send");
	mdfh_bypass_close(port);
	close_peer(&peer);
}

static void *fail_elsewhere(void *argument)
{
	const struct mdfh_bypass_config config = {.size = 3};

	(void)argument;
	mdfh_bypass_config_check(&config);
	return strstr(mdfh_error_text(), "size is 3") ? NULL : "no sentence";
}

static void sentences_belong_to_their_thread(void **state)
{
	const struct target *target = *state;
	struct mdfh_bypass_config config = config_of(target, 1);
	pthread_t thread;
	void *result;

	config.rx_ring_size = 999;
	assert_int_equal(mdfh_bypass_config_check(&config), -EINVAL);
	assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, NULL), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_null(result);
	assert_says("rx_ring_size is 999");
}

/* The whole ---------------------------------------------------------------------------------------------- */

struct group {
	const char *name;
	struct {
		const char *name;
		CMUnitTestFunction run;
	} tests[8];
};

#define TEST(name)                                                                                 \
	{                                                                                          \
#name, name                                                                        \
	}

static const struct group validation = {"configuration validation",
    {TEST(a_configuration_of_zeros_is_valid), TEST(a_full_configuration_is_kept),
	TEST(wrong_fields_are_named), TEST(backends_are_listed_with_their_reasons)}};

static const struct group groups[] = {
    {"packet descriptor", {TEST(a_packet_says_what_it_is), TEST(packets_may_be_held),
			      TEST(what_does_not_fit_is_marked)}},
    {"lifecycle", {TEST(ports_leave_nothing_behind), TEST(a_port_number_can_be_had_again),
		      TEST(ports_are_independent), TEST(a_push_thread_starts_and_stops)}},
    {"statistics", {TEST(counters_add_up), TEST(a_full_buffer_is_counted)}},
    {"ring integration", {TEST(packets_go_through_a_ring), TEST(packets_become_events)}},
    {"error handling",
	{TEST(what_cannot_be_opened_says_why), TEST(the_other_end_may_be_missing),
	    TEST(a_port_that_receives_does_not_send), TEST(sentences_belong_to_their_thread)}},
};

static int run_group(const struct group *group, const struct target *target)
{
	struct CMUnitTest tests[8] = {0};
	char name[128];
	size_t n = 0;

	for (; n < 8 && group->tests[n].run; n++)
		tests[n] = (struct CMUnitTest){.name = group->tests[n].name,
		    .test_func = group->tests[n].run,
		    .initial_state = (void *)target};
	if (target)
		snprintf(name, sizeof(name), "%s, %s over %s", group->name, target->backend,
		    target->transport == MDFH_TRANSPORT_TCP ? "TCP" : "UDP");
	else
		snprintf(name, sizeof(name), "%s", group->name);
	fprintf(stderr, "--- %s\n", name);
	return _cmocka_run_group_tests(name, tests, n, NULL, NULL);
}

/* 1 if there is such a backend; where modules are follows from where this program is. */
static int has_backend(const char *name)
{
	struct mdfh_bypass_backend backends[32];
	char path[PATH_MAX] = "";
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 20);
	int n;

	assert_true(length > 0);
	path[length] = '\0';
	for (int up = 0; up < 2; up++)
		*strrchr(path, '/') = '\0';
	strcat(path, "/modules");
	assert_ok(mdfh_bypass_set_modules_folder(path));
	n = mdfh_bypass_backends(backends, 32);
	for (int i = 0; i < n && i < 32; i++)
		if (!strcmp(backends[i].name, name) && backends[i].available)
			return 1;
	return 0;
}

/* Not every backend has streams; one that has none says so at open. */
static int has_transport(const struct target *target)
{
	const struct mdfh_bypass_config config = config_of(target, 1);
	struct mdfh_bypass *port;
	int rc;

	if (target->transport != MDFH_TRANSPORT_TCP)
		return 1;
	rc = mdfh_bypass_open(&config, &port);
	mdfh_bypass_close(port);
	return rc != -ENOTSUP;
}

int main(void)
{
	const struct target targets[] = {
	    {"socket", MDFH_TRANSPORT_UDP},
	    {"socket", MDFH_TRANSPORT_TCP},
	    {"io_uring", MDFH_TRANSPORT_UDP},
	    {"io_uring", MDFH_TRANSPORT_TCP},
	};
	size_t target_count;
	int failed;

	/* Where that is allowed: then no other test takes a number that was free. */
	(void)test_enter_namespace();
	target_count = has_backend("io_uring") ? 4 : 2;
	failed = run_group(&validation, NULL);
	for (size_t t = 0; t < target_count; t++)
		for (size_t g = 0;
		     has_transport(&targets[t]) && g < sizeof(groups) / sizeof(groups[0]); g++)
			failed += run_group(&groups[g], &targets[t]);
	return failed ? 1 : 0;
}
