/* receive.c - what a datagram costs to receive, by the way it is received: a bare recvmmsg(2) loop, a bare
 * io_uring loop, backend socket, backend io_uring; each with and without the kernel's time stamps.
 *
 * Loads: "full" drains a socket that is full; "burst N" drains N datagrams again and again, which is
 * what a receiver that keeps up sees; "train 64" the same of 64 that were sent as one (UDP_SEGMENT), which
 * only a way "gro" takes as one; "empty" asks where nothing has arrived. Only the receiving is
 * timed, and of the bursts of a round the median counts, so that a preempted one does not. "paced": a
 * thread sends 100 datagrams each ms to a receiver that sleeps in between, and the receiver's CPU time
 * is counted. That is all there is to say of mode=sqpoll, where a thread of the kernel does the work
 * on another core. "sender" is what the sending of "full" takes: it wakes the receiver's side. A way
 * "of 8 flows" receives from eight addresses, to which a load's datagrams go in turn.
 *
 * In a round every way has every load, so ways are compared within a round: a ratio is the median of
 * the rounds' ratios.
 *
 * Usage: bench_receive [ROUNDS [DATAGRAMS]]; prints a line of JSON per way and load (receive.py makes a
 * table of them). bench_receive WAY LOAD SECONDS does that one thing only, for a profiler. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bare_uring.h"
#include "mdfh/bypass.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"

enum { BATCH = 64, BYTES = 200, ROUNDS_MAX = 1000, DATAGRAMS_MAX = 100000, BUFFER = 256 << 20 };
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { PACED_MS = 500, PACED_BURST = 100, FLOWS_MAX = 8 };

static const uint8_t payload[BYTES];

/* Ways ------------------------------------------------------------------------------------- */

struct way {
	const char *name;
	const char *backend; /* NULL = a bare loop */
	const char *options;
	int bare; /* the bare loop and, behind it, the socket backend that it is compared with */
	int stamps;
	int flows;
	int is_uring; /* bare, by io_uring */
	struct bare_uring *uring;
	int fd[FLOWS_MAX]; /* bare */
	int epoll_fd;      /* bare, of several flows: which of them are ready */
	struct mdfh_bypass *port;
	uint16_t number;
};

enum { FIRST_PLAIN = 8, FIRST_OF_8 = 12 }; /* ways, the bare loop of each kind */

static struct way ways[] = {
    {.name = "recvmmsg", .bare = 0, .stamps = 1, .flows = 1},
    {.name = "socket", .backend = "socket", .bare = 0, .stamps = 1, .flows = 1},
    {.name = "socket gro", .backend = "socket", .options = "gro=on", .stamps = 1, .flows = 1},
    {.name = "io_uring", .backend = "io_uring", .stamps = 1, .flows = 1},
    {.name = "io_uring gro", .backend = "io_uring", .options = "gro=on", .stamps = 1, .flows = 1},
    {.name = "bare io_uring", .is_uring = 1, .stamps = 1, .flows = 1},
    {.name = "io_uring defer",
	.backend = "io_uring",
	.options = "mode=defer",
	.stamps = 1,
	.flows = 1},
    {.name = "io_uring sqpoll",
	.backend = "io_uring",
	.options = "mode=sqpoll",
	.stamps = 1,
	.flows = 1},
    {.name = "recvmmsg, no stamps", .bare = FIRST_PLAIN, .flows = 1},
    {.name = "socket, no stamps", .backend = "socket", .bare = FIRST_PLAIN, .flows = 1},
    {.name = "io_uring, no stamps", .backend = "io_uring", .bare = FIRST_PLAIN, .flows = 1},
    {.name = "bare io_uring, no stamps", .is_uring = 1, .bare = FIRST_PLAIN, .flows = 1},
    {.name = "recvmmsg, 8 flows", .bare = FIRST_OF_8, .stamps = 1, .flows = 8},
    {.name = "socket, 8 flows", .backend = "socket", .bare = FIRST_OF_8, .stamps = 1, .flows = 8},
    {.name = "io_uring, 8 flows",
	.backend = "io_uring",
	.bare = FIRST_OF_8,
	.stamps = 1,
	.flows = 8},
    {.name = "io_uring defer, 8 flows",
	.backend = "io_uring",
	.options = "mode=defer",
	.bare = FIRST_OF_8,
	.stamps = 1,
	.flows = 8},
};

enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static int receive_socket(const struct way *way, int fd, int n)
{
	static uint8_t buffers[BATCH][2048];
	static char control[BATCH][128];
	static struct mmsghdr messages[BATCH];
	static struct iovec vectors[BATCH];
	int got;

	for (int i = 0; i < n; i++) {
		vectors[i] = (struct iovec){buffers[i], sizeof(buffers[i])};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i],
		    .msg_iovlen = 1,
		    .msg_control = way->stamps ? control[i] : NULL,
		    .msg_controllen = way->stamps ? sizeof(control[i]) : 0};
	}
	got = recvmmsg(fd, messages, (unsigned)n, MSG_DONTWAIT, NULL);
	return got < 0 && errno == EAGAIN ? 0 : got;
}

static int receive_bare(const struct way *way)
{
	struct epoll_event events[FLOWS_MAX];
	int ready, total = 0;

	if (way->uring)
		return bare_uring_receive(way->uring);
	if (way->flows == 1)
		return receive_socket(way, way->fd[0], BATCH);
	ready = epoll_wait(way->epoll_fd, events, FLOWS_MAX, 0);
	for (int i = 0; i < ready && total < BATCH; i++) {
		int got = receive_socket(way, events[i].data.fd, BATCH - total);

		if (got < 0)
			return got;
		total += got;
	}
	return total;
}

/* A thread of the kernel receives: there is nothing to say of each datagram. */
static int is_elsewhere(const struct way *way)
{
	return way->options && !strcmp(way->options, "mode=sqpoll");
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
	struct pollfd poll_fd = {
	    .fd = way->flows > 1 ? way->epoll_fd : way->fd[0], .events = POLLIN};
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

/* The address of a flow: 127.0.0.1 and on, all with one port number. */
static struct sockaddr_in address_of(const struct way *way, int flow)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
	    .sin_port = htons(way->number),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)flow)};
}

/* Every way has a port number of its own, which the first socket bound gets from the kernel. */
static int open_bare(struct way *way, int flow)
{
	struct sockaddr_in at = address_of(way, flow);
	struct epoll_event event = {.events = EPOLLIN};
	socklen_t length = sizeof(at);
	int one = 1, size = BUFFER;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	way->fd[flow] = event.data.fd = fd;
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
	    getsockname(fd, (struct sockaddr *)&at, &length))
		return mdfh_error_errno(-errno, "socket");
	way->number = ntohs(at.sin_port);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (way->stamps && (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)) ||
			       setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof(one))))
		return mdfh_error_errno(-errno, "setsockopt");
	if (epoll_ctl(way->epoll_fd, EPOLL_CTL_ADD, fd, &event))
		return mdfh_error_errno(-errno, "epoll_ctl");
	return 0;
}

static void close_way(struct way *way)
{
	mdfh_bypass_close(way->port);
	bare_uring_close(way->uring);
	for (int i = 0; i < way->flows; i++)
		if (way->fd[i] >= 0)
			close(way->fd[i]);
	if (way->epoll_fd >= 0)
		close(way->epoll_fd);
}

static int open_way(struct way *way)
{
	static const char *const groups[FLOWS_MAX] = {"127.0.0.1", "127.0.0.2", "127.0.0.3",
	    "127.0.0.4", "127.0.0.5", "127.0.0.6", "127.0.0.7", "127.0.0.8"};
	struct mdfh_flow flows[FLOWS_MAX];
	const struct mdfh_bypass_config config = {.size = sizeof(config),
	    .backend = way->backend,
	    .flows = flows,
	    .flow_count = (uint32_t)way->flows,
	    .batch_size = BATCH,
	    .poll_timeout_us = 10000,
	    .receive_buffer_bytes = BUFFER,
	    .backend_options = way->options,
	    .timestamps = way->stamps ? MDFH_TIMESTAMPS_SOFTWARE : MDFH_TIMESTAMPS_OFF};
	int rc = 0;

	way->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < FLOWS_MAX; i++)
		way->fd[i] = -1;
	if (way->epoll_fd < 0)
		return mdfh_error_errno(-errno, "epoll_create1");
	if (!way->backend || way->flows > 1) /* several flows need a port number that is free */
		for (int i = 0; i < way->flows && !rc; i++)
			rc = open_bare(way, i);
	if (!rc && way->is_uring)
		rc = bare_uring_open(way->fd[0], way->stamps, &way->uring);
	if (rc || !way->backend)
		return rc;
	for (int i = 0; i < way->flows; i++) {
		flows[i] = (struct mdfh_flow){.group = groups[i], .port = way->number};
		if (way->fd[i] >= 0)
			close(way->fd[i]);
		way->fd[i] = -1;
	}
	rc = mdfh_bypass_open(&config, &way->port);
	if (!rc)
		way->number = mdfh_bypass_local_port(way->port, 0);
	return rc;
}

/* Loads ------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	int burst; /* -1 = all at once, 0 = nothing */
	int is_train;
} loads[] = {{"full", -1, 0}, {"burst 64", 64, 0}, {"train 64", 64, 1}, {"burst 8", 8, 0},
    {"burst 1", 1, 0}, {"empty", 0, 0}};

enum { LOADS = sizeof(loads) / sizeof(loads[0]) };

static double cost_ns[WAYS][LOADS][ROUNDS_MAX]; /* of a datagram, or of a call where none comes */
static double send_ns[WAYS][ROUNDS_MAX];        /* of sending one, receiver's side of it included */
static int sender;

static int send_to(const struct way *way, int datagrams)
{
	for (int i = 0; i < datagrams; i++) {
		struct sockaddr_in to = address_of(way, i % way->flows);

		if (sendto(sender, payload, sizeof(payload), 0, (struct sockaddr *)&to,
			sizeof(to)) < 0)
			return mdfh_error_errno(-errno, "send");
	}
	return 0;
}

/* A burst in one call, which the kernel passes on in one piece as far as it can. */
static int send_train(const struct way *way, int datagrams)
{
	static const uint8_t train[64 * BYTES];
	struct sockaddr_in to = address_of(way, 0);
	int size = BYTES, off = 0, rc = 0;

	if (setsockopt(sender, SOL_UDP, UDP_SEGMENT, &size, sizeof(size)) ||
	    sendto(sender, train, (size_t)datagrams * BYTES, 0, (struct sockaddr *)&to,
		sizeof(to)) < 0)
		rc = mdfh_error_errno(-errno, "UDP_SEGMENT");
	(void)setsockopt(sender, SOL_UDP, UDP_SEGMENT, &off, sizeof(off));
	return rc;
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
		int rc = loads[l].is_train ? send_train(way, burst) : send_to(way, burst);

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

static int has_load(const struct way *way, int l)
{
	return !is_elsewhere(way) && !(loads[l].is_train && way->flows > 1);
}

static int try_each(int w, int l, int round, int datagrams)
{
	return has_load(&ways[w], l) ? try_load(w, l, round, datagrams) : 0;
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
		send_to(way, PACED_BURST);
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

/* One way and load, for a while. */
static int run_one(const char *way, const char *load, uint64_t seconds)
{
	uint64_t end_ns = mdfh_clock_now_ns() + seconds * 1000000000u;
	int w = 0, l = 0, rc;

	while (w < WAYS && strcmp(ways[w].name, way) != 0)
		w++;
	while (l < LOADS && strcmp(loads[l].name, load) != 0)
		l++;
	if (w == WAYS || l == LOADS || !has_load(&ways[w], l))
		return mdfh_error(-EINVAL, "there is no way '%s' with a load '%s'", way, load);
	rc = open_way(&ways[w]);
	while (!rc && mdfh_clock_now_ns() < end_ns)
		rc = try_load(w, l, 0, 20000);
	if (!rc)
		report(w, load, cost_ns[w][l][0], 0, 0, 1);
	close_way(&ways[w]);
	return rc;
}

int main(int argc, char **argv)
{
	static double paced[WAYS][ROUNDS_MAX];
	int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 5;
	int datagrams = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 20000;
	int rc = 0;

	if (argc == 4)
		rounds = 1, datagrams = 64;
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
	if (!rc && argc == 4) {
		rc = run_one(argv[1], argv[2], strtoul(argv[3], NULL, 10));
		goto out;
	}
	for (int w = 0; w < WAYS && !rc; w++)
		rc = open_way(&ways[w]);
	for (int w = 0; w < WAYS && !rc; w++) /* warm */
		for (int l = 0; l < LOADS && !rc; l++)
			rc = try_each(w, l, 0, datagrams);
	for (int round = 0; round < rounds; round++) {
		for (int l = 0; l < LOADS; l++)
			for (int w = 0; w < WAYS && !rc; w++)
				rc = try_each(w, l, round, datagrams);
		for (int w = 0; w < WAYS && !rc; w++)
			if (!ways[w].is_uring)
				rc = try_paced(&ways[w], &paced[w][round]);
	}
	for (int w = 0; w < WAYS && !rc; w++) {
		int bare = ways[w].bare;

		for (int l = 0; l < LOADS; l++)
			if (has_load(&ways[w], l))
				report(w, loads[l].name, median(cost_ns[w][l], rounds),
				    ratio(cost_ns[w][l], cost_ns[bare][l], rounds),
				    ratio(cost_ns[w][l], cost_ns[bare + 1][l], rounds), rounds);
		if (!ways[w].is_uring)
			report(w, "paced", median(paced[w], rounds),
			    ratio(paced[w], paced[bare], rounds),
			    ratio(paced[w], paced[bare + 1], rounds), rounds);
		if (!is_elsewhere(&ways[w]))
			report(w, "sender", median(send_ns[w], rounds),
			    ratio(send_ns[w], send_ns[bare], rounds),
			    ratio(send_ns[w], send_ns[bare + 1], rounds), rounds);
	}
	for (int w = 0; w < WAYS; w++)
		close_way(&ways[w]);
out:
	if (sender >= 0)
		close(sender);
	if (rc)
		fprintf(stderr, "bench_receive: %s\n", mdfh_error_text());
	return rc ? 2 : 0;
}
