/* basic.c - open a port with a configuration, receive packets, print what came.
 *
 *     basic INTERFACE ADDRESS PORT [SECONDS]       e.g. basic lo 239.1.1.1 26477 10 */
#include <err.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <mdfh/bypass.h>
#include <mdfh/error.h>

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	(void)signal;
	stop = 1;
}

/* A packet's data is the payload, where the backend has it, until the packet is released. */
static void on_packet(const struct mdfh_packet *packet)
{
	static uint64_t number;

	if (++number <= 3)
		printf("packet %" PRIu64 ": %u bytes, arrived at %" PRIu64 " ns\n", number,
		    packet->length, packet->receive_ns);
}

int main(int argc, char **argv)
{
	struct mdfh_packet packets[32];
	struct mdfh_bypass_stats stats;
	struct mdfh_bypass *port;
	time_t end = 0;
	int n = 0;

	if (argc < 4 || argc > 5)
		errx(2, "usage: basic INTERFACE ADDRESS PORT [SECONDS]");
	if (argc > 4)
		end = time(NULL) + atoi(argv[4]);
	signal(SIGINT, on_signal);

	struct mdfh_bypass_config config = {
	    .size = sizeof(config),
	    .backend = "socket",
	    .interface = argv[1],
	    .host = argv[2], /* a group, or an address of this host */
	    .port = (uint16_t)atoi(argv[3]),
	    .rx_ring_size = 2048,
	    .batch_size = 32,
	    .poll_timeout_us = 1000,
	};

	if (mdfh_bypass_open(&config, &port))
		errx(1, "%s", mdfh_error_text());
	while (!stop && (!end || time(NULL) < end) && n >= 0) {
		n = mdfh_bypass_recv_wait(port, packets, 32);
		for (int i = 0; i < n; i++)
			on_packet(&packets[i]);
		mdfh_bypass_release(port, packets, n);
	}
	if (n < 0)
		warnx("%s", mdfh_error_text());
	mdfh_bypass_stats(port, &stats);
	printf("%" PRIu64 " packets, %" PRIu64 " bytes, %" PRIu64 " batches, %" PRIu64 " dropped\n",
	    stats.rx_packets, stats.rx_bytes, stats.rx_batches,
	    stats.rx_dropped_nic + stats.rx_dropped_kernel + stats.rx_dropped_socket);
	mdfh_bypass_close(port);
	return n < 0;
}
