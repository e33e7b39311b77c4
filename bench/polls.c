/* polls.c - what the polls that bring packets cost, per packet: a backend of mdfh, or DPDK's own
 * net_af_xdp driver with nothing on top, at the same offered load over a veth pair (wire.h).
 *
 * Packets are counted and released. Polls that bring nothing are not counted: at a given load the
 * faster way has more of them. One way a process, so that instructions can be counted, too (polls.py
 * does both): for that, a pause before every poll leaves hardly one that brings nothing.
 *
 * Usage: bench_polls RATE DATAGRAMS WAY [PAUSE_US], as root. WAY is BACKEND[/OPTIONS[/INTERFACE]], INTERFACE as
 * the backend wants it named (default: rx0, the device), or "bare-af_xdp", DPDK's driver, or
 * "bare-af_xdp-read", the same where each packet's UDP header is looked at. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bare_dpdk.h"
#include "mdfh/bypass.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "wire.h"

enum { BATCH = 32 };

#define START_NS    UINT64_C(20000000)
#define PATIENCE_NS UINT64_C(1000000000)

static struct mdfh_bypass *port; /* NULL = bare */
static int is_read;              /* bare: headers are looked at */

/* By this name valgrind finds what to count. */
__attribute__((noinline)) static int receive_batch(void);
static int receive_batch(void)
{
	struct mdfh_packet packets[BATCH];
	int got;

	if (!port)
		return bare_dpdk_receive(BATCH, is_read);
	got = mdfh_bypass_recv(port, packets, BATCH);
	if (got > 0)
		mdfh_bypass_release(port, packets, got);
	return got;
}

static int open_way(char *text)
{
	struct wire_way way;

	is_read = !strcmp(text, "bare-af_xdp-read");
	if (is_read || !strcmp(text, "bare-af_xdp"))
		return bare_dpdk_open("net_af_xdp0,iface=" WIRE_INTERFACE);
	way = wire_parse_way(text);
	return wire_open_port(&way, BATCH, &port);
}

int main(int argc, char **argv)
{
	uint64_t rate, datagrams, end_ns, start, ticks = 0, packets = 0, polls = 0, empty = 0;
	useconds_t pause_us = argc > 4 ? (useconds_t)strtoul(argv[4], NULL, 10) : 0;
	char way[600];
	int rc;

	if (argc < 4 || argc > 5 || strlen(argv[3]) >= sizeof(way)) {
		fprintf(stderr, "usage: bench_polls RATE DATAGRAMS "
				"BACKEND[/OPTIONS[/INTERFACE]]|bare-af_xdp[-read] [PAUSE_US]\n");
		return 2;
	}
	rate = strtoul(argv[1], NULL, 10);
	datagrams = strtoul(argv[2], NULL, 10);
	if (rate < 1 || rate > 10000000 || datagrams < 1 || datagrams > 1000000000) {
		fprintf(stderr, "bench_polls: RATE is from 1 to 10000000, DATAGRAMS to 1e9\n");
		return 2;
	}
	snprintf(way, sizeof(way), "%s", argv[3]);
	rc = mdfh_bypass_set_modules_folder(MDFH_MODULES);
	if (!rc)
		rc = wire_open();
	if (rc)
		goto out;
	rc = open_way(way);
	if (!rc) {
		uint64_t first_ns = mdfh_clock_now_ns() + START_NS;

		end_ns = first_ns + datagrams * 1000000000u / rate + PATIENCE_NS;
		wire_start(1, first_ns, rate, datagrams);
		while (packets < datagrams && mdfh_clock_now_ns() < end_ns) {
			if (pause_us)
				usleep(pause_us);
			start = mdfh_clock_ticks();
			rc = receive_batch();
			if (rc < 0)
				break;
			if (!rc) {
				empty++;
				continue;
			}
			ticks += mdfh_clock_ticks() - start;
			packets += (uint64_t)rc;
			polls++;
		}
		wire_wait();
	}
	wire_close_port(port);
	if (!port)
		bare_dpdk_close();
	wire_close();
	if (rc >= 0 && packets)
		printf("{\"bench\":\"polls\",\"way\":\"%s\",\"rate\":%llu,\"datagrams\":%llu,"
		       "\"packets\":%llu,\"polls\":%llu,\"empty\":%llu,\"ns\":%.1f}\n",
		    argv[3], (unsigned long long)rate, (unsigned long long)datagrams,
		    (unsigned long long)packets, (unsigned long long)polls,
		    (unsigned long long)empty,
		    (double)mdfh_clock_ticks_to_ns(ticks) / (double)packets);
	else if (rc >= 0)
		rc = mdfh_error(-EIO, "%s: nothing came", argv[3]);
out:
	if (rc < 0)
		fprintf(stderr, "bench_polls: %s\n", mdfh_error_text());
	return rc < 0 ? 2 : 0;
}
