/* receive.c - what a datagram costs to receive, by the way it is received: a bare recvmmsg(2) loop,
 * backend socket, backend io_uring; each with and without the kernel's time stamps.
 *
 * Loads: "full" drains a socket that is full; "burst N" drains N datagrams again and again, which is
 * what a receiver that keeps up sees; "empty" asks where nothing has arrived. Only the receiving is
 * timed, and of the bursts of a round the median counts, so that a preempted one does not. "paced": a
 * thread sends 100 datagrams each ms to a receiver that sleeps in between, and the receiver's CPU time
 * is counted. That is all there is to say of mode=sqpoll, where a thread of the kernel does the work
 * on another core. "sender" is what the sending of "full" takes: it wakes the receiver's side.
 *
 * In a round every way has every load, so ways are compared within a round: a ratio is the median of
 * the rounds' ratios.
 *
 * Usage: bench_receive [ROUNDS [DATAGRAMS]]; prints a line of JSON per way and load. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "mdfh/bypass.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"

enum { BATCH = 64, BYTES = 200, ROUNDS_MAX = 1000, DATAGRAMS_MAX = 100000, BUFFER = 256 << 20 };
enum { PACED_MS = 500, PACED_BURST = 100 };

static const uint8_t payload[BYTES];

/* Ways ------------------------------------------------------------------------------------- */

struct way {
	const char *name;
	const char *backend; /* NULL = a bare loop */
	const char *options;
	int bare; /* the bare loop and, behind it, the socket backend that it is compared with */
	int stamps;
	int fd;
	struct mdfh_bypass *port;
	uint16_t number;
};

static struct way ways[] = {
    {"recvmmsg", NULL, NULL, 0, 1, -1, NULL, 0},
    {"socket", "socket", NULL, 0, 1, -1, NULL, 0},
    {"io_uring", "io_uring", NULL, 0, 1, -1, NULL, 0},
    {"io_uring mode=sqpoll", "io_uring", "mode=sqpoll", 0, 1, -1, NULL, 0},
    {"recvmmsg without stamps", NULL, NULL, 4, 0, -1, NULL, 0},
    {"socket without stamps", "socket", NULL, 4, 0, -1, NULL, 0},
    {"io_uring without stamps", "io_uring", NULL, 4, 0, -1, NULL, 0},
};

enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static int receive_bare(const struct way *way)
{
	static uint8_t buffers[BATCH][2048];
	static char control[BATCH][128];
	static struct mmsghdr messages[BATCH];
	static struct iovec vectors[BATCH];
	int got;

	for (int i = 0; i < BATCH; i++) {
		vectors[i] = (struct iovec){buffers[i], sizeof(buffers[i])};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i],
		    .msg_iovlen = 1,
		    .msg_control = way->stamps ? control[i] : NULL,
		    .msg_controllen = way->stamps ? sizeof(control[i]) : 0};
	}
	got = recvmmsg(way->fd, messages, BATCH, MSG_DONTWAIT, NULL);
	return got < 0 && errno == EAGAIN ? 0 : got;
}

/* One receive call. */
static int receive(const struct way *way)
{
	struct mdfh_packet packets[BATCH];
	int got;

	if (!way->backend)
		return receive_bare(way);
	got = mdfh_bypass_recv(way->port, packets, BATCH);
	if (got > 0)
		mdfh_bypass_release(way->port, packets, got);
	return got;
}

static int receive_waiting(const struct way *way)
{
	struct mdfh_packet packets[BATCH];
	struct pollfd poll_fd = {.fd = way->fd, .events = POLLIN};
	int got;

	if (!way->backend) {
		got = receive_bare(way);
		return got > 0 || poll(&poll_fd, 1, 10) <= 0 ? got : receive_bare(way);
	}
	got = mdfh_bypass_recv_wait(way->port, packets, BATCH);
	if (got > 0)
		mdfh_bypass_release(way->port, packets, got);
	return got;
}

static int open_way(struct way *way)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct mdfh_bypass_config config = {.size = sizeof(config),
	    .backend = way->backend,
	    .host = "127.0.0.1",
	    .batch_size = BATCH,
	    .poll_timeout_us = 10000,
	    .receive_buffer_bytes = BUFFER,
	    .backend_options = way->options,
	    .timestamps = way->stamps ? MDFH_TIMESTAMPS_SOFTWARE : MDFH_TIMESTAMPS_OFF};
	socklen_t length = sizeof(at);
	int one = 1, size = BUFFER;

	if (way->backend) {
		int rc = mdfh_bypass_open(&config, &way->port);

		if (!rc)
			way->number = mdfh_bypass_local_port(way->port, 0);
		return rc;
	}
	way->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (way->fd < 0 || bind(way->fd, (struct sockaddr *)&at, sizeof(at)) ||
	    getsockname(way->fd, (struct sockaddr *)&at, &length))
		return mdfh_error_errno(-errno, "socket");
	if (setsockopt(way->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		(void)setsockopt(way->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (way->stamps && (setsockopt(way->fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)) ||
			       setsockopt(way->fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof(one))))
		return mdfh_error_errno(-errno, "setsockopt");
	way->number = ntohs(at.sin_port);
	return 0;
}

static void close_way(struct way *way)
{
	mdfh_bypass_close(way->port);
	if (way->fd >= 0)
		close(way->fd);
}

/* Loads ------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	int burst; /* -1 = all at once, 0 = nothing */
} loads[] = {{"full", -1}, {"burst 64", 64}, {"burst 8", 8}, {"burst 1", 1}, {"empty", 0}};

enum { LOADS = sizeof(loads) / sizeof(loads[0]) };

static double cost_ns[WAYS][LOADS][ROUNDS_MAX]; /* of a datagram, or of a call where none comes */
static double send_ns[WAYS][ROUNDS_MAX];        /* of sending one, receiver's side of it included */
static int sender;

static int send_to(uint16_t port, int datagrams)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	for (int i = 0; i < datagrams; i++)
		if (sendto(sender, payload, sizeof(payload), 0, (struct sockaddr *)&to,
			sizeof(to)) < 0)
			return mdfh_error_errno(-errno, "send");
	return 0;
}

/* Ticks that draining took; an error if not all came. */
static int drain(const struct way *way, int datagrams, double *ticks)
{
	uint64_t start = mdfh_clock_ticks();
	int total = 0;

	while (total < datagrams) {
		int got = receive(way);

		if (got <= 0)
			return mdfh_error(
			    -EIO, "%d of %d came; raise net.core.rmem_max", total, datagrams);
		total += got;
	}
	*ticks = (double)(mdfh_clock_ticks() - start);
	return 0;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(const double *values, int n)
{
	static double sorted[DATAGRAMS_MAX];

	memcpy(sorted, values, (size_t)n * sizeof(*values));
	qsort(sorted, (size_t)n, sizeof(*sorted), compare);
	return sorted[n / 2];
}

static int try_load(int w, int l, int round, int datagrams)
{
	static double ticks[DATAGRAMS_MAX];
	const struct way *way = &ways[w];
	int burst = loads[l].burst < 0 ? datagrams : loads[l].burst;
	int bursts = burst ? datagrams / burst : datagrams;
	uint64_t sending = 0;

	for (int i = 0; i < bursts; i++) {
		uint64_t start = mdfh_clock_ticks();
		int rc = send_to(way->number, burst);

		sending += mdfh_clock_ticks() - start;
		if (!rc && burst)
			rc = drain(way, burst, &ticks[i]);
		if (!rc && !burst) {
			start = mdfh_clock_ticks();
			if (receive(way) > 0)
				rc = mdfh_error(-EIO, "something came");
			ticks[i] = (double)(mdfh_clock_ticks() - start);
		}
		if (rc)
			return rc;
	}
	cost_ns[w][l][round] =
	    (double)mdfh_clock_ticks_to_ns((uint64_t)median(ticks, bursts)) / (burst ? burst : 1);
	if (burst == datagrams)
		send_ns[w][round] = (double)mdfh_clock_ticks_to_ns(sending) / datagrams;
	return 0;
}

/* Paced ------------------------------------------------------------------------------------ */

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *send_paced(void *argument)
{
	const struct way *way = argument;
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	for (int i = 0; i < PACED_MS; i++) {
		at.tv_nsec += 1000000;
		if (at.tv_nsec >= 1000000000) {
			at.tv_nsec -= 1000000000;
			at.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
		send_to(way->number, PACED_BURST);
	}
	return NULL;
}

static int try_paced(struct way *way, double *ns)
{
	uint64_t start = cpu_ns();
	pthread_t thread;
	int total = 0;

	if (pthread_create(&thread, NULL, send_paced, way))
		return mdfh_error(-EAGAIN, "no thread");
	for (int empty = 0; total < PACED_MS * PACED_BURST && empty < 200;) {
		int got = receive_waiting(way);

		total += got > 0 ? got : 0;
		empty = got > 0 ? 0 : empty + 1;
	}
	*ns = (double)(cpu_ns() - start) / total;
	pthread_join(thread, NULL);
	return total == PACED_MS * PACED_BURST
		   ? 0
		   : mdfh_error(-EIO, "paced: %d of %d came", total, PACED_MS * PACED_BURST);
}

/* Report ----------------------------------------------------------------------------------- */

static double ratio(const double *a, const double *b, int n)
{
	static double ratios[ROUNDS_MAX];

	for (int i = 0; i < n; i++)
		ratios[i] = a[i] / b[i];
	return median(ratios, n);
}

static void report(int w, const char *load, double ns, double to_bare, double to_socket, int rounds)
{
	printf("{\"bench\":\"receive\",\"way\":\"%s\",\"load\":\"%s\",\"rounds\":%d,\"bytes\":%d,"
	       "\"ns\":%.1f,\"to_recvmmsg\":%.3f,\"to_socket\":%.3f}\n",
	    ways[w].name, load, rounds, BYTES, ns, to_bare, to_socket);
}

int main(int argc, char **argv)
{
	static double paced[WAYS][ROUNDS_MAX];
	int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 5;
	int datagrams = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 20000;
	int rc = 0;

	if (rounds < 1 || rounds > ROUNDS_MAX || datagrams < 64 || datagrams > DATAGRAMS_MAX) {
		fprintf(stderr, "usage: bench_receive [ROUNDS (1 to %d) [DATAGRAMS (64 to %d)]]\n",
		    ROUNDS_MAX, DATAGRAMS_MAX);
		return 2;
	}
	sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sender < 0)
		rc = mdfh_error_errno(-errno, "socket");
	if (!rc)
		rc = mdfh_bypass_set_modules_folder(MDFH_MODULES);
	for (int w = 0; w < WAYS && !rc; w++)
		rc = open_way(&ways[w]);
	for (int w = 0; w < WAYS && !rc; w++) /* warm */
		for (int l = 0; l < LOADS && !rc && !ways[w].options; l++)
			rc = try_load(w, l, 0, datagrams);
	for (int round = 0; round < rounds; round++) {
		for (int l = 0; l < LOADS; l++)
			for (int w = 0; w < WAYS && !rc; w++)
				rc = ways[w].options ? 0 : try_load(w, l, round, datagrams);
		for (int w = 0; w < WAYS && !rc; w++)
			rc = try_paced(&ways[w], &paced[w][round]);
	}
	for (int w = 0; w < WAYS && !rc; w++) {
		int bare = ways[w].bare;

		for (int l = 0; l < LOADS && !ways[w].options; l++)
			report(w, loads[l].name, median(cost_ns[w][l], rounds),
			    ratio(cost_ns[w][l], cost_ns[bare][l], rounds),
			    ratio(cost_ns[w][l], cost_ns[bare + 1][l], rounds), rounds);
		report(w, "paced", median(paced[w], rounds), ratio(paced[w], paced[bare], rounds),
		    ratio(paced[w], paced[bare + 1], rounds), rounds);
		if (!ways[w].options)
			report(w, "sender", median(send_ns[w], rounds),
			    ratio(send_ns[w], send_ns[bare], rounds),
			    ratio(send_ns[w], send_ns[bare + 1], rounds), rounds);
	}
	for (int w = 0; w < WAYS; w++)
		close_way(&ways[w]);
	if (sender >= 0)
		close(sender);
	if (rc)
		fprintf(stderr, "bench_receive: %s\n", mdfh_error_text());
	return rc ? 2 : 0;
}
