/* count.c - how many packets a second a port hands out when all that is done with them is to count and
 * release them. Who sends is somebody else's business (memif.py).
 *
 * usage: bench_count BACKEND INTERFACE GROUP PORT SECONDS [OPTIONS]
 *
 * BACKEND "bare-dpdk" is a loop over DPDK's receive call with nothing on top: INTERFACE is its device of
 * software, GROUP and PORT mean nothing. Prints one line of JSON; "ns" is what a packet takes to receive and
 * release, the median of calls that brought a full batch, which does not depend on how fast the sender is.
 * The first half second after the first packet is not counted. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bare_dpdk.h"
#include "mdfh/bypass.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "mdfh/histogram.h"

enum { BATCH = 64 };
#define CALL_MAX_NS 100000000u
#define WARM_UP_NS  500000000u
#define PATIENCE_NS 20000000000u

static struct mdfh_bypass *port; /* NULL = bare */

/* By this name valgrind finds what to count. */
__attribute__((noinline)) static int receive_batch(void);
static int receive_batch(void)
{
	struct mdfh_packet packets[BATCH];
	int n;

	if (!port)
		return bare_dpdk_receive(BATCH, 0);
	n = mdfh_bypass_recv(port, packets, BATCH);
	mdfh_bypass_release(port, packets, n);
	return n;
}

struct count {
	int64_t packets, batches;
};

static struct mdfh_histogram *calls; /* ns, of those that brought a full batch */

/* Packets until a time, or until the first one where is_first is 1. Negative: an error. */
static int receive(uint64_t until_ns, int is_first, struct count *count)
{
	*count = (struct count){0};
	mdfh_histogram_reset(calls);
	while (mdfh_clock_now_ns() < until_ns && !(is_first && count->packets)) {
		for (int i = 0; i < 64; i++) {
			uint64_t start = mdfh_clock_ticks();
			int n = receive_batch();

			if (n < 0)
				return n;
			if (n == BATCH)
				mdfh_histogram_record(
				    calls, mdfh_clock_ticks_to_ns(mdfh_clock_ticks() - start));
			count->packets += n;
			count->batches += n > 0;
		}
	}
	return 0;
}

static int open_way(char **argv, int argc)
{
	const struct mdfh_bypass_config config = {.size = sizeof(config),
	    .backend = argv[1],
	    .interface = argv[2],
	    .host = argv[3],
	    .port = (uint16_t)strtoul(argv[4], NULL, 10),
	    .backend_options = argc > 6 ? argv[6] : NULL,
	    .rx_ring_size = 1024,
	    .direction = MDFH_DIRECTION_RECEIVE};
	int rc = mdfh_clock_start();

	if (!rc)
		rc = mdfh_histogram_create(CALL_MAX_NS, &calls);
	if (rc)
		return rc;
	if (!strcmp(argv[1], "bare-dpdk"))
		return bare_dpdk_open(argv[2]);
	rc = mdfh_bypass_set_modules_folder(MDFH_MODULES);
	return rc ? rc : mdfh_bypass_open(&config, &port);
}

static int measure(uint64_t seconds)
{
	struct mdfh_bypass_stats stats = {0};
	struct count count;
	uint64_t start_ns, end_ns;
	int rc = receive(mdfh_clock_now_ns() + PATIENCE_NS, 1, &count);

	if (!rc && !count.packets)
		rc = mdfh_error(-EIO, "nothing came");
	if (!rc)
		rc = receive(mdfh_clock_now_ns() + WARM_UP_NS, 0, &count);
	if (rc)
		return rc;
	start_ns = mdfh_clock_now_ns();
	rc = receive(start_ns + seconds * 1000000000u, 0, &count);
	end_ns = mdfh_clock_now_ns();
	if (!rc && port)
		rc = mdfh_bypass_stats(port, &stats);
	if (rc)
		return rc;
	printf("{\"mode\": \"%s\", \"packets\": %lld, \"packets_per_s\": %.0f, \"batch\": %.1f, "
	       "\"ns\": %.2f, \"filtered\": %llu}\n",
	    port ? mdfh_bypass_capabilities(port)->mode : "bare", (long long)count.packets,
	    (double)count.packets * 1e9 / (double)(end_ns - start_ns),
	    count.batches ? (double)count.packets / (double)count.batches : 0.0,
	    (double)mdfh_histogram_percentile(calls, 50) / BATCH,
	    (unsigned long long)stats.rx_filtered);
	return 0;
}

int main(int argc, char **argv)
{
	int rc;

	if (argc < 6 || argc > 7) {
		fprintf(stderr, "usage: bench_count BACKEND|bare-dpdk INTERFACE GROUP PORT SECONDS "
				"[OPTIONS]\n");
		return 2;
	}
	rc = open_way(argv, argc);
	if (!rc)
		rc = measure(strtoull(argv[5], NULL, 10));
	if (rc)
		fprintf(stderr, "bench_count: %s\n", mdfh_error_text());
	if (port)
		mdfh_bypass_close(port);
	else
		bare_dpdk_close();
	mdfh_histogram_destroy(calls);
	return rc ? 2 : 0;
}
