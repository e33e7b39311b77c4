/* latency.c - how long a packet takes from the wire to the caller's code, by backend.
 *
 * A thread sends datagrams of 128 bytes to a multicast group at a fixed rate through one end of a
 * veth pair; the receiver spins on a port of the backend at the other end. Each end has a core and a
 * network namespace of its own, and both vanish with the process. Open loop: a datagram has a time at
 * which it is due whatever became of those before it, and "due" counts from then, so that a sender
 * that was late counts as latency; "sent" counts from just before the send call, which on a veth pair
 * includes the kernel's whole way to the receiver.
 *
 * In a round every way has its turn. Of the rounds' percentiles the median is told, of the largest
 * latency the largest.
 *
 * Usage: bench_latency RATE SECONDS ROUNDS WAY..., as root. RATE in datagrams per second; WAY is
 * BACKEND[/OPTIONS[/INTERFACE]], INTERFACE as the backend wants it named (default: rx0, the device), or of
 * dpdk "net_memif": shared memory in place of the veth pair.
 * Prints a line of JSON per way. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mdfh/bypass.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "mdfh/histogram.h"
#include "wire.h"

enum { BATCH = 64, WAYS_MAX = 16, ROUNDS_MAX = 100 };

#define LATENCY_MAX UINT64_C(10000000000)
#define START_NS    UINT64_C(2000000)   /* from a round's begin to its first datagram */
#define PATIENCE_NS UINT64_C(500000000) /* after the last was due */

static const double percentiles[] = {50, 99, 99.9, 99.99, 100};
enum { PERCENTILES = sizeof(percentiles) / sizeof(percentiles[0]) };

struct way {
	struct wire_way way;
	struct mdfh_histogram *due, *sent; /* of one round */
	uint64_t due_ns[PERCENTILES][ROUNDS_MAX], sent_ns[PERCENTILES][ROUNDS_MAX];
	uint64_t lost;
};

static struct way ways[WAYS_MAX];
static int way_count;
static uint64_t rate, seconds, rounds, run_number;

/* Ways ------------------------------------------------------------------------------------- */

static int parse_way(char *text, struct way *way)
{
	int rc = mdfh_histogram_create(LATENCY_MAX, &way->due);

	way->way = wire_parse_way(text);
	return rc ? rc : mdfh_histogram_create(LATENCY_MAX, &way->sent);
}

/* Rounds ----------------------------------------------------------------------------------- */

static uint64_t since(uint64_t from_ns, uint64_t now_ns)
{
	return now_ns > from_ns ? now_ns - from_ns : 0;
}

/* The callback: as an application would see it, a time per packet. */
static uint64_t take(struct way *way, const struct mdfh_packet *packets, int n)
{
	uint64_t taken = 0;

	for (int i = 0; i < n; i++) {
		struct wire_stamps stamps;
		uint64_t now_ns = mdfh_clock_now_ns();

		if (packets[i].length != WIRE_BYTES)
			continue;
		memcpy(&stamps, packets[i].data, sizeof(stamps));
		if (stamps.run != run_number)
			continue;
		mdfh_histogram_record(way->due, since(stamps.due_ns, now_ns));
		mdfh_histogram_record(way->sent, since(stamps.sent_ns, now_ns));
		taken++;
	}
	return taken;
}

static int receive_run(struct way *way, struct mdfh_bypass *port)
{
	struct mdfh_packet packets[BATCH];
	uint64_t left = rate * seconds;
	uint64_t first_ns = mdfh_clock_now_ns() + START_NS;
	uint64_t end_ns = first_ns + seconds * 1000000000u + PATIENCE_NS;

	wire_start(++run_number, first_ns, rate, left);
	while (left && mdfh_clock_now_ns() < end_ns) {
		int got = mdfh_bypass_recv(port, packets, BATCH);

		if (got < 0)
			return got;
		left -= take(way, packets, got);
		mdfh_bypass_release(port, packets, got);
	}
	wire_wait();
	way->lost += left;
	return 0;
}

static int run(struct way *way, uint64_t round)
{
	struct mdfh_bypass *port;
	int rc = wire_open_port(&way->way, BATCH, &port);

	if (rc)
		return rc;
	mdfh_histogram_reset(way->due);
	mdfh_histogram_reset(way->sent);
	rc = receive_run(way, port);
	wire_close_port(port);
	for (int p = 0; p < PERCENTILES; p++) {
		way->due_ns[p][round] = mdfh_histogram_percentile(way->due, percentiles[p]);
		way->sent_ns[p][round] = mdfh_histogram_percentile(way->sent, percentiles[p]);
	}
	return rc;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void report_from(const char *from, uint64_t ns[PERCENTILES][ROUNDS_MAX])
{
	printf(",\"%s_ns\":{", from);
	for (int p = 0; p < PERCENTILES; p++) {
		qsort(ns[p], rounds, sizeof(ns[p][0]), compare);
		if (percentiles[p] < 100)
			printf(
			    "\"p%g\":%llu,", percentiles[p], (unsigned long long)ns[p][rounds / 2]);
		else
			printf("\"max\":%llu}", (unsigned long long)ns[p][rounds - 1]);
	}
}

static void report(struct way *way)
{
	printf("{\"bench\":\"latency\",\"backend\":\"%s\",\"options\":\"%s\",\"interface\":\"%s\","
	       "\"rate\":%llu,\"datagrams\":%llu,\"lost\":%llu",
	    way->way.backend, way->way.options ? way->way.options : "", way->way.interface,
	    (unsigned long long)rate, (unsigned long long)rate * seconds * rounds,
	    (unsigned long long)way->lost);
	report_from("due", way->due_ns);
	report_from("sent", way->sent_ns);
	puts("}");
}

static int parse(int argc, char **argv)
{
	rate = strtoul(argv[1], NULL, 10);
	seconds = strtoul(argv[2], NULL, 10);
	rounds = strtoul(argv[3], NULL, 10);
	if (rate < 1 || rate > 10000000 || seconds < 1 || seconds > 3600 || rounds < 1 ||
	    rounds > ROUNDS_MAX)
		return mdfh_error(-EINVAL,
		    "RATE is from 1 to 10000000, SECONDS from 1 to 3600, ROUNDS from 1 to %d",
		    ROUNDS_MAX);
	for (int i = 4; i < argc; i++) {
		int rc = parse_way(argv[i], &ways[way_count++]);

		if (rc)
			return rc;
	}
	return 0;
}

int main(int argc, char **argv)
{
	int rc;

	if (argc < 5 || argc > 4 + WAYS_MAX) {
		fprintf(stderr,
		    "usage: bench_latency RATE SECONDS ROUNDS BACKEND[/OPTIONS[/INTERFACE]]...\n");
		return 2;
	}
	rc = parse(argc, argv);
	if (!rc)
		rc = mdfh_bypass_set_modules_folder(MDFH_MODULES);
	if (!rc)
		rc = wire_open();
	if (rc)
		goto out;
	for (uint64_t round = 0; round < rounds; round++)
		for (int w = 0; w < way_count && !rc; w++)
			rc = run(&ways[w], round);
	wire_close();
	for (int w = 0; w < way_count && !rc; w++)
		report(&ways[w]);
out:
	if (rc)
		fprintf(stderr, "bench_latency: %s\n", mdfh_error_text());
	for (int w = 0; w < way_count; w++) {
		mdfh_histogram_destroy(ways[w].due);
		mdfh_histogram_destroy(ways[w].sent);
	}
	return rc ? 2 : 0;
}
