/* test_pcap.c - captures as packets: what is delivered, what is counted, and when.
 *
 * The pace is tested with a clock that the test sets, so that no case waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <time.h>

#include "mdfh/bypass.h"
#include "mdfh/capture.h"
#include "mdfh/error.h"
#include "net/pcap.h"
#include "wire/capture_files.h"

static uint8_t frame[9100];
static char path[128];
static struct bytes file;
static uint64_t clock_ns;

static uint64_t test_clock(void *context)
{
	return *(uint64_t *)context;
}

static void start_file(void)
{
	file.length = 0;
	classic_header(&file, 0xa1b23c4dU, 1);
}

/* A packet to 239.1.1.GROUP:5000, `ns` after the first second. */
static void packet(uint8_t group, uint32_t ns, uint8_t fill, uint32_t payload)
{
	uint32_t length = test_frame(group, 5000, 0, fill, payload, frame, sizeof(frame));

	classic_record(&file, 1700000000 + ns / 1000000000, ns % 1000000000, frame, length, length);
}

static struct mdfh_bypass *open_with(struct mdfh_bypass_config config)
{
	struct mdfh_bypass *port;

	test_write(test_path("t.pcap", path), file.at, file.length);
	config.size = sizeof(config);
	config.backend = "pcap";
	config.file = path;
	assert_int_equal(mdfh_bypass_open(&config, &port), 0);
	unlink(path);
	return port;
}

static struct mdfh_bypass_stats stats_of(struct mdfh_bypass *port)
{
	struct mdfh_bypass_stats stats;

	assert_int_equal(mdfh_bypass_stats(port, &stats), 0);
	return stats;
}

/* Content --------------------------------------------------------------- */

static void test_packets(void **state)
{
	struct mdfh_packet packets[8];
	struct mdfh_bypass *port;

	(void)state;
	start_file();
	packet(1, 123456789, 'a', 10);
	packet(2, 123456790, 'b', 0);
	packet(3, 123456791, 'c', 1000);
	port = open_with((struct mdfh_bypass_config){0});
	assert_int_equal(mdfh_bypass_capabilities(port)->is_finite, 1);
	assert_int_equal(mdfh_bypass_capabilities(port)->zero_copy, 0);
	assert_int_equal(mdfh_bypass_capabilities(port)->hold_max, 4096);
	assert_int_equal(mdfh_bypass_recv(port, packets, 8), 3);
	for (int i = 0; i < 3; i++) {
		assert_true(packets[i].receive_ns == 1700000000123456789U + (unsigned)i);
		assert_int_equal(packets[i].flags, MDFH_PACKET_TIME_CAPTURE | MDFH_PACKET_RECORDED);
		assert_int_equal(packets[i].flow, MDFH_FLOW_NONE);
		/* The frame stands before the payload, whole. */
		assert_int_equal(packets[i].header_length, 42);
		test_frame((uint8_t)(i + 1), 5000, 0, (uint8_t)('a' + i), packets[i].length, frame,
		    sizeof(frame));
		assert_memory_equal(packets[i].data - 42, frame, 42 + packets[i].length);
	}
	assert_int_equal(packets[0].length, 10);
	assert_int_equal(packets[1].length, 0);
	assert_int_equal(packets[2].length, 1000);
	mdfh_bypass_release(port, packets, 3);
	assert_int_equal(mdfh_bypass_recv(port, packets, 8), -ENODATA);
	assert_int_equal(mdfh_bypass_recv_wait(port, packets, 8), -ENODATA);
	assert_int_equal(stats_of(port).rx_packets, 3);
	assert_int_equal(stats_of(port).rx_bytes, 1010);
	assert_int_equal(stats_of(port).rx_batches, 1);
	assert_int_equal(stats_of(port).rx_empty, 2);
	assert_string_equal(mdfh_bypass_capabilities(port)->warning, "");
	mdfh_bypass_close(port);
}

static void test_flows(void **state)
{
	static const struct mdfh_flow flows[] = {
	    {.group = "239.1.1.2", .port = 5000}, {.group = "239.1.1.1", .port = 5000}};
	struct mdfh_packet packets[8];
	struct mdfh_bypass *port;

	(void)state;
	start_file();
	for (uint8_t group = 1; group <= 4; group++)
		packet(group, group, group, 4);
	port = open_with((struct mdfh_bypass_config){.flows = flows, .flow_count = 2});
	assert_int_equal(mdfh_bypass_recv(port, packets, 8), 2);
	assert_int_equal(packets[0].flow, 1);
	assert_int_equal(packets[0].data[0], 1);
	assert_int_equal(packets[1].flow, 0);
	assert_int_equal(packets[1].data[0], 2);
	assert_int_equal(mdfh_bypass_recv(port, packets, 8), -ENODATA);
	assert_int_equal(stats_of(port).rx_filtered, 2);
	mdfh_bypass_close(port);

	port = open_with((struct mdfh_bypass_config){.host = "239.1.1.3", .port = 5000});
	assert_int_equal(mdfh_bypass_recv(port, packets, 8), 1);
	assert_int_equal(packets[0].flow, 0);
	assert_int_equal(packets[0].data[0], 3);
	mdfh_bypass_close(port);
}

/* Each frame spoilt in one way, between two sound ones. */
static void test_malformed_is_counted_by_reason(void **state)
{
	struct mdfh_packet packets[8];
	struct mdfh_bypass_stats stats;
	struct mdfh_bypass *port;
	uint32_t length;

	(void)state;
	start_file();
	packet(1, 1, 'a', 8);
	length = test_frame(1, 5000, 0, 'b', 8, frame, sizeof(frame));
	frame[20] = 0x20; /* more fragments */
	classic_record(&file, 1, 0, frame, length, length);
	frame[20] = 0x40;
	frame[39] = 99; /* UDP length */
	classic_record(&file, 1, 0, frame, length, length);
	frame[39] = 16;
	frame[23] = 6; /* TCP: its ports are not UDP's */
	frame[46] = 0x50;
	length = test_frame(1, 5000, 0, 0x50, 20, frame, sizeof(frame));
	frame[23] = 6;
	classic_record(&file, 1, 0, frame, length, length);
	frame[12] = 0x88;
	frame[13] = 0xcc; /* LLDP */
	classic_record(&file, 1, 0, frame, length, length);
	classic_record(&file, 1, 0, frame, 9, 9);
	classic_record(&file, 1, 0, frame, 9, 60);
	packet(1, 2, 'c', 8);
	port = open_with((struct mdfh_bypass_config){0});
	assert_int_equal(mdfh_bypass_recv(port, packets, 8), 2);
	assert_int_equal(packets[0].data[0], 'a');
	assert_int_equal(packets[1].data[0], 'c');
	assert_int_equal(mdfh_bypass_recv(port, packets, 8), -ENODATA);
	stats = stats_of(port);
	assert_int_equal(stats.rx_malformed, 6);
	assert_int_equal(stats.malformed[MDFH_FRAME_FRAGMENT], 1);
	assert_int_equal(stats.malformed[MDFH_FRAME_UDP_LENGTH], 1);
	assert_int_equal(stats.malformed[MDFH_FRAME_NOT_UDP], 1);
	assert_int_equal(stats.malformed[MDFH_FRAME_NOT_IP], 1);
	assert_int_equal(stats.malformed[MDFH_FRAME_SHORT], 1);
	assert_int_equal(stats.malformed[MDFH_FRAME_CUT], 1);
	mdfh_bypass_close(port);
}

static void test_truncation(void **state)
{
	struct mdfh_packet packets[8];
	struct mdfh_bypass *port;
	uint32_t length;

	(void)state;
	start_file();
	length = test_frame(1, 5000, 0, 'a', 100, frame, sizeof(frame));
	classic_record(&file, 1, 0, frame, length - 1, length);
	packet(1, 0, 'b', 256);
	packet(1, 0, 'c', 257);
	port = open_with((struct mdfh_bypass_config){.frame_size = 256});
	assert_int_equal(mdfh_bypass_recv(port, packets, 8), 3);
	assert_int_equal(packets[0].length, 99);
	assert_int_equal(packets[0].flags,
	    MDFH_PACKET_TRUNCATED | MDFH_PACKET_TIME_CAPTURE | MDFH_PACKET_RECORDED);
	assert_int_equal(packets[1].length, 256);
	assert_int_equal(packets[1].flags, MDFH_PACKET_TIME_CAPTURE | MDFH_PACKET_RECORDED);
	assert_int_equal(packets[2].length, 256);
	assert_int_equal(packets[2].flags,
	    MDFH_PACKET_TRUNCATED | MDFH_PACKET_TIME_CAPTURE | MDFH_PACKET_RECORDED);
	assert_int_equal(stats_of(port).rx_truncated, 2);
	mdfh_bypass_close(port);
}

static void test_cut_file(void **state)
{
	struct mdfh_packet packets[8];
	struct mdfh_bypass *port;

	(void)state;
	start_file();
	packet(1, 0, 'a', 10);
	packet(1, 0, 'b', 10);
	file.length -= 3;
	port = open_with((struct mdfh_bypass_config){0});
	assert_int_equal(mdfh_bypass_recv(port, packets, 8), 1);
	assert_int_equal(mdfh_bypass_recv(port, packets, 8), -ENODATA);
	assert_non_null(strstr(mdfh_bypass_capabilities(port)->warning, "past frame 1"));
	assert_int_equal(stats_of(port).rx_malformed, 1);
	assert_int_equal(stats_of(port).malformed[MDFH_FRAME_CUT], 1);
	assert_int_equal(mdfh_bypass_recv(port, packets, 8), -ENODATA);
	assert_int_equal(stats_of(port).rx_malformed, 1);
	mdfh_bypass_close(port);
}

/* Holding --------------------------------------------------------------- */

/* Held packets keep their bytes while others come and go, whatever the order of release. */
static void test_hold(void **state)
{
	struct mdfh_packet held[64 + 32], one[1];
	struct mdfh_bypass *port;
	int got = 0;

	(void)state;
	start_file();
	for (uint32_t i = 0; i < 120; i++)
		packet(1, i, (uint8_t)i, 50);
	port = open_with((struct mdfh_bypass_config){.hold_max = 64, .batch_size = 32});
	assert_int_equal(mdfh_bypass_capabilities(port)->hold_max, 64);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(mdfh_bypass_recv(port, held + got, 100), 32);
		got += 32;
	}
	/* Past hold_max there is one more batch; then the file waits and nothing is lost. */
	assert_int_equal(stats_of(port).rx_copied, 32);
	assert_true(held[64].flags & MDFH_PACKET_COPIED);
	assert_false(held[63].flags & MDFH_PACKET_COPIED);
	assert_int_equal(mdfh_bypass_recv(port, one, 1), 0);
	for (int i = 0; i < 96; i++)
		for (uint32_t at = 0; at < 50; at++)
			assert_int_equal(held[i].data[at], i);

	mdfh_bypass_release(port, &held[17], 1);
	assert_int_equal(mdfh_bypass_recv(port, &held[17], 1), 1);
	assert_int_equal(held[17].data[0], 96);
	mdfh_bypass_release(port, &held[95], 1);
	mdfh_bypass_release(port, &held[3], 1);
	assert_int_equal(mdfh_bypass_recv(port, one, 1), 1);
	assert_int_equal(one[0].data[0], 97);
	for (int i = 4; i < 95; i++)
		assert_int_equal(held[i].data[49], i == 17 ? 96 : i);
	mdfh_bypass_close(port);
}

/* Pace ------------------------------------------------------------------ */

static void test_recorded_timing(void **state)
{
	struct mdfh_packet packets[8];
	struct mdfh_bypass *port;

	(void)state;
	start_file();
	packet(1, 1000, 'a', 1);
	packet(1, 2000, 'b', 1);
	packet(1, 2000, 'c', 1);
	packet(1, 500, 'd', 1); /* the recorder's clock went back */
	packet(1, 1000001000, 'e', 1);
	port = open_with((struct mdfh_bypass_config){.speed = 1});
	clock_ns = 5000000;
	mdfh_pcap_set_clock(port, test_clock, &clock_ns);
	assert_int_equal(mdfh_bypass_recv(port, packets, 8), 1);
	assert_int_equal(packets[0].data[0], 'a');
	clock_ns = 5000999;
	assert_int_equal(mdfh_bypass_recv(port, packets, 8), 0);
	assert_int_equal(mdfh_bypass_recv_wait(port, packets, 8), 0);
	clock_ns = 5001000;
	assert_int_equal(mdfh_bypass_recv(port, packets, 8), 3);
	assert_int_equal(packets[2].data[0], 'd');
	/* Asked late: what comes later is due when it would have been. */
	clock_ns = 5000000 + 999999999;
	assert_int_equal(mdfh_bypass_recv(port, packets, 8), 0);
	clock_ns++;
	assert_int_equal(mdfh_bypass_recv(port, packets, 8), 1);
	assert_int_equal(packets[0].data[0], 'e');
	assert_true(packets[0].receive_ns == 1700000001000001000U);
	assert_int_equal(mdfh_bypass_recv(port, packets, 8), -ENODATA);
	mdfh_bypass_close(port);
}

/* A day of packets at a speed whose inverse no double holds: the last is due to the nanosecond. */
static void test_speed_does_not_drift(void **state)
{
	struct mdfh_packet packets[1];
	struct mdfh_bypass *port;
	uint32_t length;

	(void)state;
	start_file();
	length = test_frame(1, 5000, 0, 'a', 1, frame, sizeof(frame));
	for (uint32_t i = 0; i <= 240; i++)
		classic_record(&file, 1700000000 + i * 360, 0, frame, length, length);
	port = open_with((struct mdfh_bypass_config){.speed = 10});
	clock_ns = 77;
	mdfh_pcap_set_clock(port, test_clock, &clock_ns);
	for (uint64_t i = 0; i <= 240; i++) {
		uint64_t due = 77 + i * UINT64_C(36000000000);

		clock_ns = due - (i > 0);
		assert_int_equal(mdfh_bypass_recv(port, packets, 1), i == 0);
		if (i > 0) {
			clock_ns = due;
			assert_int_equal(mdfh_bypass_recv(port, packets, 1), 1);
		}
		mdfh_bypass_release(port, packets, 1);
	}
	mdfh_bypass_close(port);
}

/* With the real clock only that waiting ends with the packet, and that none comes early. */
static void test_wait(void **state)
{
	struct mdfh_packet packets[8];
	struct timespec start, now;
	struct mdfh_bypass *port;
	int64_t elapsed;
	int calls = 0;

	(void)state;
	start_file();
	packet(1, 0, 'a', 1);
	packet(1, 5000000, 'b', 1);
	port = open_with((struct mdfh_bypass_config){.speed = 1, .poll_timeout_us = 1000});
	clock_gettime(CLOCK_MONOTONIC, &start);
	assert_int_equal(mdfh_bypass_recv_wait(port, packets, 8), 1);
	while (mdfh_bypass_recv_wait(port, packets, 8) == 0)
		assert_true(calls++ < 100);
	clock_gettime(CLOCK_MONOTONIC, &now);
	elapsed = (now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec;
	assert_true(elapsed >= 5000000);
	assert_int_equal(packets[0].data[0], 'b');
	mdfh_bypass_close(port);
}

/* Setup ----------------------------------------------------------------- */

static void refused(struct mdfh_bypass_config config, int error, const char *text)
{
	struct mdfh_bypass *port;

	config.size = sizeof(config);
	config.backend = "pcap";
	assert_int_equal(mdfh_bypass_open(&config, &port), error);
	assert_null(port);
	if (!strstr(mdfh_error_text(), text))
		fail_msg("'%s' lacks '%s'", mdfh_error_text(), text);
}

static void test_refuses(void **state)
{
	(void)state;
	refused((struct mdfh_bypass_config){0}, -EINVAL, "file is not set");
	refused((struct mdfh_bypass_config){.file = "/nonexistent"}, -ENOENT, "/nonexistent");
	test_write(test_path("t.pcap", path), "this is no capture at all", 25);
	refused((struct mdfh_bypass_config){.file = path}, -EINVAL, "no pcap or pcapng file");
	unlink(path);
	refused((struct mdfh_bypass_config){.file = "x", .transport = MDFH_TRANSPORT_TCP}, -ENOTSUP,
	    "UDP only");
	refused((struct mdfh_bypass_config){.file = "x", .require_zero_copy = MDFH_ON}, -ENOTSUP,
	    "always copied");
	refused((struct mdfh_bypass_config){.file = "x", .timestamps = MDFH_TIMESTAMPS_HARDWARE},
	    -ENOTSUP, "timestamps");
	refused(
	    (struct mdfh_bypass_config){
		.file = "x", .host = "239.1.1.1", .port = 5000, .direction = MDFH_DIRECTION_SEND},
	    -ENOTSUP, "only be read");
}

static void test_timestamps_off(void **state)
{
	struct mdfh_packet packets[1];
	struct mdfh_bypass *port;

	(void)state;
	start_file();
	packet(1, 0, 'a', 1);
	port = open_with((struct mdfh_bypass_config){.timestamps = MDFH_TIMESTAMPS_OFF});
	assert_int_equal(mdfh_bypass_recv(port, packets, 1), 1);
	assert_int_equal(packets[0].receive_ns, 0);
	assert_int_equal(packets[0].flags, 0);
	mdfh_bypass_close(port);
}

static int remove_folder(void **state)
{
	(void)state;
	return test_folder[0] ? rmdir(test_folder) : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_packets),
	    cmocka_unit_test(test_flows),
	    cmocka_unit_test(test_malformed_is_counted_by_reason),
	    cmocka_unit_test(test_truncation),
	    cmocka_unit_test(test_cut_file),
	    cmocka_unit_test(test_hold),
	    cmocka_unit_test(test_recorded_timing),
	    cmocka_unit_test(test_speed_does_not_drift),
	    cmocka_unit_test(test_wait),
	    cmocka_unit_test(test_refuses),
	    cmocka_unit_test(test_timestamps_off),
	};

	return cmocka_run_group_tests(tests, NULL, remove_folder);
}
