/* socket.c - what mdfh adds to a datagram: a full socket drained through a port, and by a bare
 * recvmmsg(2) loop. Only the draining is timed, in CPU time of the thread; rounds alternate, so that
 * both see the same machine.
 *
 * Usage: bench_socket [ROUNDS [DATAGRAMS]]; prints one line of JSON per kind of loop. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "mdfh/bypass.h"
#include "mdfh/error.h"

enum { BATCH = 64, BYTES = 200, ROUNDS_MAX = 1000, BUFFER = 256 << 20 };

static const uint8_t payload[BYTES];

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int fill(int fd, uint16_t port, int datagrams)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	for (int i = 0; i < datagrams; i++)
		if (sendto(fd, payload, sizeof(payload), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			return -1;
	return 0;
}

/* Kinds of loop: each drains datagrams and returns how many there were. ------------------- */

static int bare_fd[2]; /* without and with stamps and drop counts */
static struct mdfh_bypass *ports[2];

static int drain_bare(int with_control)
{
	static uint8_t buffers[BATCH][2048];
	static char control[BATCH][128];
	static struct mmsghdr messages[BATCH];
	static struct iovec vectors[BATCH];
	int total = 0;

	for (;;) {
		int got;

		for (int i = 0; i < BATCH; i++) {
			vectors[i] = (struct iovec){buffers[i], sizeof(buffers[i])};
			messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i],
			    .msg_iovlen = 1,
			    .msg_control = with_control ? control[i] : NULL,
			    .msg_controllen = with_control ? sizeof(control[i]) : 0};
		}
		got = recvmmsg(bare_fd[with_control], messages, BATCH, MSG_DONTWAIT, NULL);
		if (got <= 0)
			return total;
		total += got;
	}
}

static int drain_port(int with_stamps)
{
	struct mdfh_packet packets[BATCH];
	int total = 0, got;

	while ((got = mdfh_bypass_recv(ports[with_stamps], packets, BATCH)) > 0) {
		mdfh_bypass_release(ports[with_stamps], packets, got);
		total += got;
	}
	return total;
}

static struct {
	const char *name;
	int (*drain)(int argument);
	int argument;
	uint16_t port;
	double ns[ROUNDS_MAX]; /* per packet */
} loops[] = {
    {"recvmmsg", drain_bare, 0, 0, {0}},
    {"recvmmsg with stamps", drain_bare, 1, 0, {0}},
    {"mdfh without stamps", drain_port, 0, 0, {0}},
    {"mdfh", drain_port, 1, 0, {0}},
};

enum { LOOPS = sizeof(loops) / sizeof(loops[0]) };

/* Setup ------------------------------------------------------------------------------------ */

static int open_bare(int with_control, uint16_t *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(at);
	int one = 1, size = BUFFER;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
	    getsockname(fd, (struct sockaddr *)&at, &length))
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (with_control && (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)) ||
				setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof(one))))
		return -1;
	bare_fd[with_control] = fd;
	*port = ntohs(at.sin_port);
	return 0;
}

static int open_port(int with_stamps, uint16_t *number)
{
	const struct mdfh_bypass_config config = {.size = sizeof(config),
	    .host = "127.0.0.1",
	    .batch_size = BATCH,
	    .receive_buffer_bytes = BUFFER,
	    .timestamps = with_stamps ? MDFH_TIMESTAMPS_SOFTWARE : MDFH_TIMESTAMPS_OFF};

	if (mdfh_bypass_open(&config, &ports[with_stamps]))
		return -1;
	*number = mdfh_bypass_local_port(ports[with_stamps], 0);
	return 0;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 20;
	int datagrams = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 20000;
	int sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (rounds < 1 || rounds > ROUNDS_MAX || datagrams < 1 || sender < 0) {
		fprintf(stderr, "usage: bench_socket [ROUNDS (1 to %d) [DATAGRAMS]]\n", ROUNDS_MAX);
		return 2;
	}
	for (int i = 0; i < 2; i++)
		if (open_bare(i, &loops[i].port) || open_port(i, &loops[2 + i].port)) {
			fprintf(stderr, "bench_socket: cannot open: %s %s\n", strerror(errno),
			    mdfh_error_text());
			return 2;
		}
	for (int round = 0; round < rounds; round++)
		for (int i = 0; i < LOOPS; i++) {
			uint64_t start;
			int got;

			if (fill(sender, loops[i].port, datagrams)) {
				fprintf(stderr, "bench_socket: send: %s\n", strerror(errno));
				return 2;
			}
			start = cpu_ns();
			got = loops[i].drain(loops[i].argument);
			loops[i].ns[round] = (double)(cpu_ns() - start) / (got ? got : 1);
			if (got != datagrams) {
				fprintf(stderr,
				    "bench_socket: %s: %d of %d; raise net.core.rmem_max\n",
				    loops[i].name, got, datagrams);
				return 2;
			}
		}
	for (int i = 0; i < LOOPS; i++) {
		qsort(loops[i].ns, (size_t)rounds, sizeof(double), compare);
		printf("{\"bench\":\"socket\",\"loop\":\"%s\",\"rounds\":%d,\"datagrams\":%d,"
		       "\"bytes\":%d,\"ns_per_packet_min\":%.1f,\"ns_per_packet_median\":%.1f}\n",
		    loops[i].name, rounds, datagrams, BYTES, loops[i].ns[0],
		    loops[i].ns[rounds / 2]);
	}
	for (int i = 0; i < 2; i++) {
		mdfh_bypass_close(ports[i]);
		close(bare_fd[i]);
	}
	close(sender);
	return 0;
}
