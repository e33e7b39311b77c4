/* count.c - how many packets a second a port hands out when all that is done with them is to count and
 * release them. Who sends is somebody else's business (memif.py).
 *
 * usage: bench_count BACKEND INTERFACE GROUP PORT SECONDS [OPTIONS]
 *
 * Prints one line of JSON. The first half second after the first packet is not counted. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "mdfh/bypass.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"

enum { BATCH = 64 };
#define WARM_UP_NS  500000000u
#define PATIENCE_NS 20000000000u

/* Packets until a time, or until the first one where want is 1. Negative: an error. */
static int64_t receive(struct mdfh_bypass *port, uint64_t until_ns, int is_first)
{
	struct mdfh_packet packets[BATCH];
	int64_t total = 0;

	while (mdfh_clock_now_ns() < until_ns && !(is_first && total)) {
		for (int i = 0; i < 64; i++) {
			int n = mdfh_bypass_recv(port, packets, BATCH);

			if (n < 0)
				return n;
			mdfh_bypass_release(port, packets, n);
			total += n;
		}
	}
	return total;
}

static int fail(void)
{
	fprintf(stderr, "bench_count: %s\n", mdfh_error_text());
	return 2;
}

int main(int argc, char **argv)
{
	struct mdfh_bypass_config config = {
	    .size = sizeof(config), .rx_ring_size = 1024, .direction = MDFH_DIRECTION_RECEIVE};
	struct mdfh_bypass_stats stats;
	struct mdfh_bypass *port;
	uint64_t start_ns, end_ns;
	int64_t total;

	if (argc < 6 || argc > 7) {
		fprintf(
		    stderr, "usage: bench_count BACKEND INTERFACE GROUP PORT SECONDS [OPTIONS]\n");
		return 2;
	}
	config.backend = argv[1];
	config.interface = argv[2];
	config.host = argv[3];
	config.port = (uint16_t)strtoul(argv[4], NULL, 10);
	config.backend_options = argc > 6 ? argv[6] : NULL;
	if (mdfh_bypass_set_modules_folder(MDFH_MODULES) || mdfh_bypass_open(&config, &port))
		return fail();
	total = receive(port, mdfh_clock_now_ns() + PATIENCE_NS, 1);
	if (!total)
		total = mdfh_error(-5, "nothing came");
	if (total > 0)
		total = receive(port, mdfh_clock_now_ns() + WARM_UP_NS, 0);
	start_ns = mdfh_clock_now_ns();
	if (total >= 0)
		total = receive(port, start_ns + strtoull(argv[5], NULL, 10) * 1000000000u, 0);
	end_ns = mdfh_clock_now_ns();
	if (total < 0 || mdfh_bypass_stats(port, &stats))
		return fail();
	printf("{\"mode\": \"%s\", \"packets\": %lld, \"packets_per_s\": %.0f, \"batch\": %.1f, "
	       "\"filtered\": %llu}\n",
	    mdfh_bypass_capabilities(port)->mode, (long long)total,
	    (double)total * 1e9 / (double)(end_ns - start_ns),
	    (double)stats.rx_packets / (double)stats.rx_batches,
	    (unsigned long long)stats.rx_filtered);
	mdfh_bypass_close(port);
	return 0;
}
