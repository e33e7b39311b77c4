/* test_hot_path.c - the hot path contract: after warm-up, the receive thread makes no allocation
 * and no system call but its backend's: recvmmsg, io_uring_enter, recvfrom of an AF_XDP socket; over
 * TCP recvmsg, and sendmsg for heartbeats.
 *
 * A child process runs the handler over real sockets. Its consumer callback, which runs on the
 * receive thread, puts a seccomp filter on that thread once it is warm: any other system call
 * kills the process. malloc and its relatives are replaced here, and counted on that thread. The
 * controls do one thing wrong on purpose, and must be caught.
 *
 * With workers a signal sets the filter on the receive thread, which must return from it; the workers,
 * which may do nothing at all, set theirs in the callback as a receive thread without workers does.
 *
 * Backends xdp, ef_vi and verbs, these two by their software devices, receive over a veth pair, as root.
 *
 *     test_hot_path [BACKEND]   the contract holds, and both controls are caught
 *     test_hot_path soupbintcp  the same of a line over SoupBinTCP
 *     test_hot_path workers     the same of a receive thread and its two workers */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "feed.h"
#include "mdfh/backend.h"
#include "mdfh/bypass.h"
#include "mdfh/error.h"
#include "mdfh/handler.h"
#include "net/conformance_frames.h"
#include "net/veth_test.h"
#include "own_namespace.h"

enum wrong {
	NOTHING_WRONG,
	ONE_ALLOCATION,
	ONE_SYSTEM_CALL,
	/* On the receive thread of workers. */
	ONE_ALLOCATION_BEFORE,
	ONE_SYSTEM_CALL_BEFORE,
};

enum {
	WARM_EVENTS = 5000,
	WATCHED_EVENTS = 200000,
	TRY_S = 60, /* never reached on success */
	DONE = 1,
	REFUSED = 2, /* the filter could not be set */
};

/* Shared between the test and its child. */
struct shared {
	_Atomic int ready;
	_Atomic int state;
	_Atomic uint64_t events;
	_Atomic uint64_t allocations;
	_Atomic int watched; /* threads */
	_Atomic int callers; /* of these, those of the callback */
};

static struct shared *shared;
static const char *backend = "socket";
static int is_stream;
static int has_workers;
static enum wrong wrong_before;
static int wire = -1; /* what frames are written to, for backends xdp, dpdk, ef_vi and verbs */
static _Thread_local int watched;

/* Allocation -------------------------------------------------------------------------------- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t align, size_t size);
void __libc_free(void *old);
void *malloc(size_t size);
void *calloc(size_t n, size_t size);
void *realloc(void *old, size_t size);
void *aligned_alloc(size_t align, size_t size);
void free(void *old);

static void note(void)
{
	if (watched)
		atomic_fetch_add(&shared->allocations, 1);
}

void *malloc(size_t size)
{
	note();
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	note();
	return __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
	note();
	return __libc_realloc(old, size);
}

void *aligned_alloc(size_t align, size_t size)
{
	note();
	return __libc_memalign(align, size);
}

void free(void *old)
{
	if (old)
		note();
	__libc_free(old);
}

/* Asking ports ------------------------------------------------------------------------------ */

int __real_mdfh_bypass_stats(struct mdfh_bypass *port, struct mdfh_bypass_stats *stats);
int __wrap_mdfh_bypass_stats(struct mdfh_bypass *port, struct mdfh_bypass_stats *stats);

/* Before a hole that nothing fills is given up, and after a second of silence, ports are asked what they
 * have dropped, by any system calls: the exception from the contract. All else is held to it. */
int __wrap_mdfh_bypass_stats(struct mdfh_bypass *port, struct mdfh_bypass_stats *stats)
{
	if (!watched)
		return __real_mdfh_bypass_stats(port, stats);
	*stats = port->stats;
	return 0;
}

/* The receive thread -------------------------------------------------------------------------- */

static int allow_only_receiving(int is_worker)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err;

	if (!filter)
		return -ENOMEM;
	if (is_worker || !strcmp(backend, "ef_vi") || !strcmp(backend, "dpdk")) {
		err = 0;
	} else if (is_stream) {
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(recvmsg), 0);
		if (!err)
			err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sendmsg), 0);
	} else {
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW,
		    wire >= 0 && strcmp(backend, "verbs") != 0 ? SCMP_SYS(recvfrom)
							       : SCMP_SYS(recvmmsg),
		    0);
		if (!err && !strcmp(backend, "io_uring"))
			err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(io_uring_enter), 0);
	}
	if (!err && has_workers && !is_worker) /* the signal that this is done in */
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(rt_sigreturn), 0);
	if (!err)
		err = seccomp_load(filter);
	/* The filter's own memory stays: freeing it may be a system call. */
	return err;
}

static void on_events(
    void *context, const struct mdfh_event *events, int n, const struct mdfh_books *books)
{
	const enum wrong *wrong = context;
	uint64_t total = atomic_fetch_add(&shared->events, (uint64_t)n) + (uint64_t)n;
	void *volatile memory;

	(void)events;
	(void)books;
	if (!watched && total >= WARM_EVENTS) {
		if (allow_only_receiving(has_workers)) {
			atomic_store(&shared->state, REFUSED);
			return;
		}
		watched = 1;
		/* With workers the first of them does what is wrong. */
		atomic_fetch_add(&shared->watched, 1);
		if (atomic_fetch_add(&shared->callers, 1))
			return;
		if (*wrong == ONE_ALLOCATION) {
			memory = malloc(16);
			free(memory);
		}
		if (*wrong == ONE_SYSTEM_CALL)
			getppid();
	}
	if (watched && total >= WARM_EVENTS + WATCHED_EVENTS &&
	    atomic_load(&shared->watched) == (has_workers ? 3 : 1))
		atomic_store(&shared->state, DONE);
}

/* On the receive thread of workers. */
static void on_signal(int number)
{
	void *volatile memory;

	(void)number;
	if (allow_only_receiving(0)) {
		atomic_store(&shared->state, REFUSED);
		return;
	}
	watched = 1;
	if (wrong_before == ONE_ALLOCATION_BEFORE) {
		memory = malloc(16);
		free(memory);
	}
	if (wrong_before == ONE_SYSTEM_CALL_BEFORE)
		getppid();
	atomic_fetch_add(&shared->watched, 1);
}

/* Signal the receive thread, which is known by its name. */
static void signal_receiver(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;

	while (tasks && (task = readdir(tasks))) {
		char path[300];
		char name[16] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", task->d_name);
		file = fopen(path, "re");
		if (file && fgets(name, sizeof(name), file) && !strcmp(name, "rx\n"))
			syscall(SYS_tgkill, getpid(), atoi(task->d_name), SIGUSR1);
		if (file)
			fclose(file);
	}
	if (tasks)
		closedir(tasks);
}

static void run_child(enum wrong wrong, uint16_t port_a, uint16_t port_b)
{
	/* Without reports of membership, which recv sends, and net_af_packet by a system call. */
	static const char dpdk[] = "'net_af_packet0,iface=" VETH_INTERFACE
				   "', backend_options: 'memory_mb=128,membership=off'";
	static const char packets[] = "      - {group: '%s:%u', backend: %s, interface: %s}\n"
				      "      - {group: '%s:%u', backend: %s, interface: %s}\n";
	const char *group = wire < 0 ? "127.0.0.1" : "239.1.1.1";
	const char *interface = wire < 0                       ? "lo"
				: strcmp(backend, "dpdk") != 0 ? VETH_INTERFACE
							       : dpdk;
	char text[1024];
	char lines[512];
	struct mdfh_handler_config *config;
	struct mdfh_handler *handler;
	struct mdfh_consumer *consumer;

	if (is_stream)
		snprintf(lines, sizeof(lines), "      - server: '127.0.0.1:%u'\n", port_a);
	else
		snprintf(lines, sizeof(lines), packets, group, port_a, backend, interface, group,
		    port_b, backend, interface);
	snprintf(text, sizeof(text),
	    "session_date: 2026-11-20\norders_max: 65536\nlevels_max: 65536\n"
	    "sound_at_start: on\ndepth_levels: 5\nlatency_sample: 4\n"
	    "threads:\n  - {name: rx, idle: spin, workers: %d}\n"
	    "consumers:\n  - name: a\n  - {name: tap, kind: raw, slots: 1024}\n"
	    "channels:\n  - protocol: itch50\n    lines:\n%s",
	    has_workers ? 2 : 0, lines);
	signal(SIGUSR1, on_signal);
	wrong_before = wrong;
	if (mdfh_handler_config_parse(text, strlen(text), "test", &config) ||
	    mdfh_handler_create(config, &handler) ||
	    mdfh_handler_on_events(handler, 0, on_events, &wrong) ||
	    (has_workers && mdfh_handler_on_events(handler, 1, on_events, &wrong)) ||
	    mdfh_handler_start(handler)) {
		fprintf(stderr, "child: %s\n", mdfh_error_text());
		_exit(3);
	}
	atomic_store(&shared->ready, 1);
	consumer = mdfh_handler_consumer(handler, "a");
	for (int signalled = !has_workers;;) { /* until the test kills it */
		const struct mdfh_event *events;
		const struct timespec nap = {.tv_nsec = 100000};
		uint32_t n = mdfh_consumer_peek(consumer, 4096, &events);

		if (!signalled && atomic_load(&shared->events) >= WARM_EVENTS) {
			signalled = 1;
			signal_receiver();
		}
		if (n)
			mdfh_consumer_done(consumer, n);
		else
			nanosleep(&nap, NULL);
	}
}

/* The test ---------------------------------------------------------------------------------- */

/* A socket of a port of its own. */
static int bound_socket(int type, uint16_t *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, type, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    getsockname(fd, (struct sockaddr *)&address, &length))
		exit(3);
	*port = ntohs(address.sin_port);
	return fd;
}

static uint16_t free_port(void)
{
	uint16_t port;

	close(bound_socket(SOCK_DGRAM, &port));
	return port;
}

/* A packet of 30 messages: 15 orders come and go; now and then one is executed. */
static void fill(struct feed *feed, uint64_t sequence)
{
	feed_begin(feed, sequence);
	for (uint64_t i = 0; i < 10; i++) {
		uint16_t locate = (uint16_t)(1 + (sequence + i) % 50);
		uint64_t ref = sequence + i;

		feed_add(feed, locate, "HOTPATH ", ref, 'B', 100, (uint32_t)(10000 + 100 * i));
		feed_execute(feed, locate, ref, 10, ref);
		feed_delete(feed, locate, ref);
	}
}

/* Wait for the child's connection and take its login. */
static int log_in(int listener)
{
	static const char answer[] = "\0\37A      DAY1                   1";
	const struct timeval most = {.tv_sec = 1};
	char login[49];
	int fd;

	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	fd = accept(listener, NULL, NULL);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most));
	if (recv(fd, login, sizeof(login), MSG_WAITALL) != sizeof(login) || login[2] != 'L' ||
	    send(fd, answer, 33, MSG_NOSIGNAL) != 33) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The messages of a packet as sequenced packets. */
static void send_stream(int fd, const struct feed *feed)
{
	uint8_t out[2 * sizeof(feed->data)];
	uint32_t length = 0;

	for (uint32_t at = 20; at < feed->length;) {
		uint32_t size = (uint32_t)(feed->data[at] << 8 | feed->data[at + 1]);

		feed_put(out + length, size + 1, 2);
		out[length + 2] = 'S';
		memcpy(out + length + 3, feed->data + at + 2, size);
		length += size + 3;
		at += size + 2;
	}
	for (uint32_t sent = 0, waits = 0; sent < length;) {
		ssize_t n = send(fd, out + sent, length - sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN && ++waits < TRY_S)
			continue; /* the rest of a packet cannot be left out */
		if (n <= 0)
			return; /* the child is gone, or stands still: the loop around sees it */
		sent += (uint32_t)n;
	}
}

static void send_packet(int fd, uint16_t port, const struct feed *feed)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	const struct conformance_frame frame = {.source = "10.77.0.1",
	    .destination = "239.1.1.1",
	    .port = port,
	    .payload = feed->data,
	    .length = feed->length};
	uint8_t bytes[CONFORMANCE_HEADERS_MAX + sizeof(feed->data)];

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (wire < 0)
		sendto(fd, feed->data, feed->length, 0, (struct sockaddr *)&to, sizeof(to));
	else
		(void)!write(wire, bytes, mdfh_conformance_frame_put(bytes, &frame));
}

/* Returns the child's wait status once it is done, dead, or its time has passed. */
static int try(enum wrong wrong, int *state)
{
	uint16_t port_a = free_port();
	uint16_t port_b = (uint16_t)(port_a + 1);
	struct feed feed;
	uint64_t sequence = 1;
	time_t end = time(NULL) + TRY_S;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int listener = is_stream ? bound_socket(SOCK_STREAM, &port_a) : -1;
	int stream = -1;
	int status = 0;
	pid_t child;

	if (is_stream)
		listen(listener, 1);
	memset(shared, 0, sizeof(*shared));
	child = fork();
	if (child == 0) {
		const struct rlimit no_core = {0, 0};

		setrlimit(RLIMIT_CORE, &no_core);
		run_child(wrong, port_a, port_b);
	}
	while (time(NULL) < end && atomic_load(&shared->state) == 0 &&
	       waitpid(child, &status, WNOHANG) == 0) {
		if (!atomic_load(&shared->ready))
			continue;
		if (is_stream && stream < 0 && (stream = log_in(listener)) < 0)
			continue;
		fill(&feed, sequence);
		if (is_stream) {
			send_stream(stream, &feed);
			sequence += 30;
			continue;
		}
		/* Line B lacks every 16th packet and line A every 17th: holes open and close. */
		if (sequence / 30 % 17)
			send_packet(fd, port_a, &feed);
		if (sequence / 30 % 16)
			send_packet(fd, port_b, &feed);
		sequence += 30;
	}
	*state = atomic_load(&shared->state);
	if (kill(child, SIGKILL) == 0)
		while (waitpid(child, &status, 0) < 0 && errno == EINTR)
			;
	close(fd);
	if (listener >= 0)
		close(listener);
	if (stream >= 0)
		close(stream);
	return status;
}

static int check(const char *what, int ok)
{
	printf("%s: %s\n", ok ? "ok" : "FAILED", what);
	return ok ? 0 : 1;
}

/* 0 if the backend can work here, else the exit status. */
static int look_for_backend(void)
{
	struct mdfh_bypass_backend list[32];
	char folder[PATH_MAX];
	int n;

	snprintf(folder, sizeof(folder), "%s/%s", getenv("MDFH_BUILD"),
	    !strcmp(backend, "ef_vi")   ? "tests/net/ef_vi_device"
	    : !strcmp(backend, "verbs") ? "tests/net/verbs_device"
					: "modules");
	if (mdfh_bypass_set_modules_folder(folder))
		return 1;
	n = mdfh_bypass_backends(list, 32);
	for (int i = 0; i < n; i++) {
		if (strcmp(list[i].name, backend) != 0)
			continue;
		if (list[i].available)
			return 0;
		printf("%s\n", list[i].reason);
		return 77;
	}
	return 1;
}

/* 0, or the exit status. */
static int make_wire(void)
{
	int status = veth_enter();

	if (!status)
		wire = mdfh_conformance_frames_open(VETH_PEER);
	return wire < 0 && !status ? 1 : status;
}

int main(int argc, char **argv)
{
	int failures = 0;
	int state;
	int status;

	if (argc > 1 && !strcmp(argv[1], "soupbintcp")) {
		is_stream = 1;
	} else if (argc > 1 && !strcmp(argv[1], "workers")) {
		has_workers = 1;
	} else if (argc > 1) {
		backend = argv[1];
		status = look_for_backend();
		if (!status && strcmp(backend, "io_uring") != 0)
			status = make_wire();
		if (status)
			return status;
	}
	if (wire < 0)
		(void)test_enter_namespace(); /* where that is allowed */

	shared =
	    mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 3;
	status = try(NOTHING_WRONG, &state);
	if (state == REFUSED) {
		printf("seccomp filters cannot be set here\n");
		return 77;
	}
	failures += check("the receive thread did its work under the filter", state == DONE);
	printf("%llu events\n", (unsigned long long)atomic_load(&shared->events));
	failures += check("and was not killed for a system call",
	    !(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS));
	failures += check("and allocated nothing", atomic_load(&shared->allocations) == 0);

	try(ONE_ALLOCATION, &state);
	failures += check("control: one malloc and one free are counted",
	    state == DONE && atomic_load(&shared->allocations) == 2);

	status = try(ONE_SYSTEM_CALL, &state);
	failures += check("control: one system call is caught",
	    state != DONE && WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	if (!has_workers)
		return failures != 0;
	try(ONE_ALLOCATION_BEFORE, &state);
	failures += check("control: one malloc and one free of the receive thread are counted",
	    state == DONE && atomic_load(&shared->allocations) == 2);
	status = try(ONE_SYSTEM_CALL_BEFORE, &state);
	failures += check("control: one system call of the receive thread is caught",
	    state != DONE && WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	return failures != 0;
}
