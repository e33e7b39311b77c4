/* test_ingest.c - the simple case over real sockets: unicast on loopback, two lines. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "feed.h"
#include "mdfh/capture.h"
#include "mdfh/error.h"
#include "mdfh/ingest.h"
#include "own_namespace.h"

static uint16_t free_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static void send_to(int fd, uint16_t port, const struct feed *feed)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(
	    sendto(fd, feed->data, feed->length, 0, (struct sockaddr *)&to, sizeof(to)),
	    feed->length);
}

/* Collect events until one of kind has come, for 10 s at most. */
static int collect(struct mdfh_ingest *in, struct mdfh_event *events, int max, unsigned kind)
{
	const struct timespec nap = {.tv_nsec = 200000};
	int total = 0;

	for (int tries = 0; tries < 50000 && total < max; tries++) {
		int n = mdfh_ingest_next(in, events + total, max - total);

		assert_true(n >= 0);
		for (int i = total; i < total + n; i++)
			if (events[i].kind == kind)
				return total + n;
		total += n;
		if (!n)
			nanosleep(&nap, NULL);
	}
	fail_msg("no event of kind %u within 10 s; %d others", kind, total);
	return total;
}

static void test_loopback(void **state)
{
	uint16_t port_a = free_port();
	uint16_t port_b = (uint16_t)(port_a + 1);
	const struct mdfh_flow flows[] = {
	    {.group = "127.0.0.1", .port = port_a},
	    {.group = "127.0.0.1", .port = port_b},
	};
	struct mdfh_ingest_config config = {
	    .size = sizeof(config),
	    .bypass = {.size = sizeof(config.bypass), .flows = flows, .flow_count = 2},
	    .session_date = "2026-11-20",
	    .ring_slots = 1024,
	    .orders_max = 4096,
	    .instruments_max = 100,
	    .window_us = 20000,
	};
	struct mdfh_ingest_stats stats;
	struct mdfh_ingest *in;
	struct mdfh_event events[512];
	struct feed feed;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int n;

	(void)state;
	if (mdfh_ingest_open(&config, &in))
		fail_msg("%s", mdfh_error_text());
	assert_int_equal(mdfh_ingest_start(in), 0);
	feed_begin(&feed, 1);
	feed_system(&feed, 'O');
	feed_directory(&feed, 1, "AAPL    ");
	feed_add(&feed, 1, "AAPL    ", 1, 'B', 100, 1500000);
	send_to(fd, port_a, &feed);
	send_to(fd, port_b, &feed);
	n = collect(in, events, 512, MDFH_EVENT_ORDER_ADD);
	assert_int_equal(events[n - 1].sequence, 3);
	assert_string_equal(
	    mdfh_instruments_get(mdfh_ingest_instruments(in), events[n - 1].instrument)->symbol,
	    "AAPL");
	/* A hole that nobody fills is an event, by itself, when its time is up. */
	feed_begin(&feed, 6);
	feed_delete(&feed, 1, 1);
	send_to(fd, port_b, &feed);
	n = collect(in, events, 512, MDFH_EVENT_GAP);
	for (int i = 0; i < n; i++)
		if (events[i].kind == MDFH_EVENT_GAP) {
			assert_int_equal(events[i].gap.first, 4);
			assert_int_equal(events[i].gap.count, 2);
		}
	assert_int_equal(mdfh_ingest_stop(in), 0);
	assert_int_equal(mdfh_ingest_stats(in, &stats), 0);
	assert_int_equal(stats.packets, 3);
	assert_int_equal(stats.messages, 4);
	assert_int_equal(stats.duplicates, 3);
	assert_int_equal(stats.gaps, 1);
	assert_int_equal(stats.messages_lost, 2);
	assert_int_equal(stats.events_dropped, 0);
	while (mdfh_ingest_next(in, events, 512) > 0)
		;
	assert_int_equal(mdfh_ingest_next(in, events, 512), -ENODATA);
	mdfh_ingest_close(in);
	close(fd);
}

/* A packet of a jumbo frame that comes ahead of its turn waits for it whole. */
static void test_long_packets(void **state)
{
	enum { ADDS = 200 };
	uint16_t port = free_port();
	const struct mdfh_flow flows[] = {
	    {.group = "127.0.0.1", .port = port},
	    {.group = "127.0.0.1", .port = (uint16_t)(port + 1)},
	};
	struct mdfh_ingest_config config = {
	    .size = sizeof(config),
	    .bypass =
		{
		    .size = sizeof(config.bypass),
		    .flows = flows,
		    .flow_count = 2,
		    .frame_size = 8972,
		},
	    .session_date = "2026-11-20",
	    .orders_max = 4096,
	    .instruments_max = 100,
	    .window_us = 10000000,
	};
	const struct timespec nap = {.tv_nsec = 200000};
	struct mdfh_ingest_stats stats = {0};
	struct mdfh_ingest *in;
	struct mdfh_event events[512];
	struct feed feed;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int n;

	(void)state;
	if (mdfh_ingest_open(&config, &in))
		fail_msg("%s", mdfh_error_text());
	assert_int_equal(mdfh_ingest_start(in), 0);
	feed_begin(&feed, 1);
	feed_directory(&feed, 1, "AAPL    ");
	send_to(fd, flows[0].port, &feed);
	feed_begin(&feed, 3);
	for (uint64_t ref = 2; ref < 2 + ADDS; ref++)
		feed_add(&feed, 1, "AAPL    ", ref, 'B', 100, 1500000);
	assert_true(feed.length > 7000);
	send_to(fd, flows[0].port, &feed);
	for (int tries = 0; tries < 50000 && stats.packets < 2; tries++) {
		nanosleep(&nap, NULL);
		assert_int_equal(mdfh_ingest_stats(in, &stats), 0);
	}
	assert_int_equal(stats.packets, 2);
	feed_begin(&feed, 2);
	feed_add(&feed, 1, "AAPL    ", 1, 'B', 100, 1500000);
	send_to(fd, flows[1].port, &feed);
	for (uint64_t last = 0; last < 2 + ADDS; last = events[n - 1].sequence)
		n = collect(in, events, 512, MDFH_EVENT_ORDER_ADD);
	assert_int_equal(mdfh_ingest_stop(in), 0);
	assert_int_equal(mdfh_ingest_stats(in, &stats), 0);
	assert_int_equal(stats.messages, 2 + ADDS);
	assert_int_equal(stats.gaps, 0);
	mdfh_ingest_close(in);
	close(fd);
}

/* What stands below the fault backend has the flows and the capture, whose day it is. */
static void test_faults_over_a_capture(void **state)
{
	const int64_t midnight = 1795150800000000000; /* 2026-11-20 in New York */
	const struct mdfh_flow flows[] = {
	    {.group = "239.1.1.1", .port = 5000},
	    {.group = "239.1.1.2", .port = 5000},
	};
	struct mdfh_bypass_config capture = {
	    .size = sizeof(capture), .backend = "pcap", .flows = flows, .flow_count = 2};
	struct mdfh_ingest_config config = {
	    .size = sizeof(config),
	    .bypass = {.size = sizeof(config.bypass), .backend = "fault", .lower = &capture},
	    .orders_max = 4096,
	    .instruments_max = 100,
	};
	struct mdfh_frame_header header = {.source_port = 1, .destination_port = 5000};
	struct mdfh_capture_writer *writer;
	struct mdfh_ingest *in;
	struct mdfh_event events[64];
	char path[] = "/tmp/mdfh-test-ingest-XXXXXX";
	int fd = mkstemp(path);
	uint8_t frame[512];
	struct feed feed;
	int n;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	capture.file = path;
	assert_int_equal(mdfh_capture_writer_open(path, MDFH_LINK_ETHERNET, &writer), 0);
	feed_begin(&feed, 1);
	feed_add(&feed, 1, "AAPL    ", 1, 'B', 100, 1500000);
	assert_int_equal(mdfh_frame_address("10.0.0.1", header.source), 0);
	for (unsigned line = 0; line < 2; line++) {
		assert_int_equal(mdfh_frame_address(flows[line].group, header.destination), 0);
		n = mdfh_frame_build(&header, feed.data, feed.length, frame, sizeof(frame));
		assert_true(n > 0);
		assert_int_equal(
		    mdfh_capture_write(
			writer, (uint64_t)midnight + 36000000000000 + line, frame, (uint32_t)n, 0),
		    0);
	}
	assert_int_equal(mdfh_capture_writer_close(writer), 0);
	if (mdfh_ingest_open(&config, &in))
		fail_msg("%s", mdfh_error_text());
	unlink(path);
	assert_int_equal(mdfh_ingest_start(in), 0);
	n = collect(in, events, 64, MDFH_EVENT_ORDER_ADD);
	assert_int_equal(events[n - 1].exchange_ns, midnight + 3000);
	mdfh_ingest_close(in);
}

static void test_mistakes(void **state)
{
	struct mdfh_ingest_config config = {.size = 1};
	struct mdfh_ingest *in;

	(void)state;
	assert_int_equal(mdfh_ingest_open(&config, &in), -EINVAL);
	config.size = sizeof(config);
	config.protocol = "nothing";
	assert_int_equal(mdfh_ingest_open(&config, &in), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "nothing"));
	config.protocol = NULL;
	config.bypass.size = sizeof(config.bypass);
	config.bypass.backend = "telepathy";
	assert_true(mdfh_ingest_open(&config, &in) < 0);
	assert_non_null(strstr(mdfh_error_text(), "telepathy"));
	assert_null(in);
	mdfh_ingest_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_loopback),
	    cmocka_unit_test(test_long_packets),
	    cmocka_unit_test(test_faults_over_a_capture),
	    cmocka_unit_test(test_mistakes),
	};

	/* Where that is allowed: then no other test takes a number that was free. */
	(void)test_enter_namespace();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
