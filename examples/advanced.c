/* advanced.c - a feed into events with a pinned receive thread, a consumer on a thread of its own, and
 * a line of statistics a second; io_uring where there is it, else sockets, with the reason.
 *
 *     advanced INTERFACE CORE GROUP_A:PORT [GROUP_B:PORT [WINDOW_US]]
 *                                   e.g. advanced lo 1 239.1.1.1:26477 239.1.1.2:26478
 *
 * Ends with the exchange's day, or on SIGINT. */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mdfh/cpu.h>
#include <mdfh/error.h>
#include <mdfh/ingest.h>

struct consumer {
	struct mdfh_ingest *feed;
	uint64_t events; /* the thread's own until it is joined, like the next two */
	uint64_t trades;
	uint64_t lost;
	atomic_int stop; /* the main thread stores */
	atomic_int done; /* the consumer stores: the day is over */
};

static atomic_int interrupted;

static void on_signal(int signal)
{
	(void)signal;
	atomic_store(&interrupted, 1);
}

/* io_uring spares a thread that spins its system calls; not every kernel and host allows it. */
static struct mdfh_ingest *open_feed(struct mdfh_ingest_config *config)
{
	const char *backends[] = {"io_uring", "socket"};
	struct mdfh_ingest *feed;

	for (int i = 0; i < 2; i++) {
		config->bypass.backend = backends[i];
		if (!mdfh_ingest_open(config, &feed)) {
			printf("receiving with %s\n", backends[i]);
			return feed;
		}
		printf("not with %s: %s\n", backends[i], mdfh_error_text());
	}
	exit(1);
}

static void on_event(struct consumer *consumer, const struct mdfh_event *event)
{
	consumer->events++;
	if (event->kind == MDFH_EVENT_TRADE)
		consumer->trades++;
	else if (event->kind == MDFH_EVENT_GAP) /* the books are stale from here on */
		consumer->lost += event->gap.count;
	else if (event->kind == MDFH_EVENT_END_OF_DAY)
		atomic_store(&consumer->done, 1);
}

static void *consume(void *argument)
{
	struct consumer *consumer = argument;
	struct mdfh_event events[256];
	int n;

	while ((n = mdfh_ingest_next(consumer->feed, events, 256)) >= 0) {
		for (int i = 0; i < n; i++)
			on_event(consumer, &events[i]);
		if (n == 0 && atomic_load(&consumer->stop))
			break;
		if (n == 0)
			nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
	}
	atomic_store(&consumer->done, 1);
	return NULL;
}

static void print_statistics(struct mdfh_ingest *feed)
{
	struct mdfh_ingest_stats stats;

	mdfh_ingest_stats(feed, &stats);
	printf("%" PRIu64 " packets, %" PRIu64 " messages, %" PRIu64 " events; lost %" PRIu64
	       ", dropped %" PRIu64 " packets and %" PRIu64 " events; latency p50 %" PRIu64
	       " ns, p99 %" PRIu64 " ns\n",
	    stats.packets, stats.messages, stats.events, stats.messages_lost, stats.packets_dropped,
	    stats.events_dropped, stats.latency_p50_ns, stats.latency_p99_ns);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct mdfh_flow lines[2] = {{0}};
	struct consumer consumer = {0};
	pthread_t thread;
	int status;

	if (argc < 4 || argc > 6)
		errx(2, "usage: advanced INTERFACE CORE GROUP_A:PORT [GROUP_B:PORT [WINDOW_US]]");
	for (int i = 3; i < argc && i < 5; i++) {
		char *colon = strrchr(argv[i], ':');

		if (!colon)
			errx(2, "'%s' is not GROUP:PORT", argv[i]);
		*colon = '\0';
		lines[i - 3].group = argv[i];
		lines[i - 3].port = (uint16_t)atoi(colon + 1);
	}

	struct mdfh_ingest_config config = {
	    .size = sizeof(config),
	    .bypass =
		{
		    .size = sizeof(config.bypass),
		    .interface = argv[1],
		    .flows = lines, /* line A, line B: what one loses, the other may have */
		    .flow_count = argc > 4 ? 2 : 1,
		    .rx_ring_size = 4096,
		    .batch_size = 64,
		    .cpu_core = MDFH_CORE(atoi(argv[2])), /* the receive thread's, alone */
		    .enable_numa_awareness = MDFH_ON,     /* packet memory on the NIC's node */
		    .hugepages = MDFH_DEFAULT,            /* where there are any */
		    .enable_zero_copy = MDFH_ON,
		    .zero_copy_threshold = 128,
		    .receive_buffer_bytes = 16 << 20,
		},
	    .protocol = "itch50",
	    .window_us = argc > 5 ? (uint32_t)atoi(argv[5]) : 0, /* 0: the default */
	    .ring_slots = 1 << 18,
	};

	printf("core %s is on NUMA node %d, %s on node %d (-1: none)\n", argv[2],
	    mdfh_cpu_node((unsigned)atoi(argv[2])), argv[1], mdfh_interface_node(argv[1]));
	consumer.feed = open_feed(&config);
	signal(SIGINT, on_signal);
	if (mdfh_ingest_start(consumer.feed))
		errx(1, "%s", mdfh_error_text());
	if (pthread_create(&thread, NULL, consume, &consumer))
		errx(1, "no consumer thread");

	while (!atomic_load(&interrupted) && !atomic_load(&consumer.done)) {
		for (int i = 0; i < 100 && !atomic_load(&consumer.done); i++)
			nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
		print_statistics(consumer.feed);
	}

	atomic_store(&consumer.stop, 1);
	pthread_join(thread, NULL);
	status = mdfh_ingest_stop(consumer.feed);
	printf("%" PRIu64 " events, %" PRIu64 " trades, %" PRIu64 " messages lost\n",
	    consumer.events, consumer.trades, consumer.lost);
	mdfh_ingest_close(consumer.feed);
	return status || consumer.lost;
}
