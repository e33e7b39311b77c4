/* test_socket_faults.c - make the 1st, 2nd, 3rd ... system call or allocation of open fail, until
 * none is left to fail: each time open reports it and leaves nothing behind. And the same for what
 * a TCP port does when its connection is gone: each time it mends it.
 *
 * The calls are interposed at link time (--wrap), so the code under test is the code that ships. */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/timerfd.h>

#include "net/tcp_server.h"

static struct {
	int nth; /* the call that fails, from 1; 0 = none */
	int calls;
	int memory; /* allocations that live */
} faults;

/* 1 if this call is to fail. */
static int strike(void)
{
	return faults.nth && ++faults.calls == faults.nth;
}

/* clang-format off */
#define WRAP(type, name, failure, parameters, arguments)                                           \
	extern type __real_##name parameters;                                                      \
	extern type __wrap_##name parameters;                                                      \
	type __wrap_##name parameters                                                              \
	{                                                                                          \
		if (strike()) {                                                                    \
			errno = ENOMEM;                                                            \
			return failure;                                                            \
		}                                                                                  \
		return __real_##name arguments;                                                    \
	}

/* NOLINTBEGIN(bugprone-reserved-identifier,bugprone-macro-parentheses): the linker's names */
WRAP(int, socket, -1, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, bind, -1, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(int, getsockname, -1, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
WRAP(int, setsockopt, -1, (int fd, int level, int name, const void *v, socklen_t n),
    (fd, level, name, v, n))
WRAP(int, getsockopt, -1, (int fd, int level, int name, void *v, socklen_t *n),
    (fd, level, name, v, n))
WRAP(int, epoll_create1, -1, (int flags), (flags))
WRAP(int, epoll_ctl, -1, (int fd, int op, int of, struct epoll_event *e), (fd, op, of, e))
WRAP(int, connect, -1, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(int, poll, -1, (struct pollfd *fds, nfds_t n, int timeout), (fds, n, timeout))
WRAP(int, timerfd_create, -1, (int clock, int flags), (clock, flags))
WRAP(int, timerfd_settime, -1,
    (int fd, int flags, const struct itimerspec *at, struct itimerspec *before),
    (fd, flags, at, before))
WRAP(ssize_t, recvmsg, -1, (int fd, struct msghdr *header, int flags), (fd, header, flags))
/* clang-format on */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	void *memory;

	if (strike())
		return NULL;
	memory = __real_malloc(size);
	faults.memory += memory != NULL;
	return memory;
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	void *memory;

	if (strike())
		return NULL;
	memory = __real_calloc(n, size);
	faults.memory += memory != NULL;
	return memory;
}

void __real_free(void *memory);
void __wrap_free(void *memory);
void __wrap_free(void *memory)
{
	faults.memory -= memory != NULL;
	__real_free(memory);
}

/* Mappings by bytes, because a region gives the ends of its mapping back. */
static int64_t mapped;

void *__real_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	void *memory;

	if (strike()) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	memory = __real_mmap64(at, size, protection, flags, fd, offset);
	mapped += memory != MAP_FAILED ? (int64_t)size : 0;
	return memory;
}

int __real_munmap(void *memory, size_t size);
int __wrap_munmap(void *memory, size_t size);
int __wrap_munmap(void *memory, size_t size)
{
	mapped -= (int64_t)size;
	return __real_munmap(memory, size);
}
/* NOLINTEND(bugprone-reserved-identifier,bugprone-macro-parentheses) */

static int count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int n = 0;

	while (folder && readdir(folder))
		n++;
	if (folder)
		closedir(folder);
	return n;
}

/* Returns how many calls could be made to fail. fallbacks: calls that open can do without. */
static int fail_each(const struct mdfh_bypass_config *config, int fallbacks)
{
	struct mdfh_bypass *port;
	int before, nth, reported = 0;

	/* Once without faults, for what is set up for good. */
	assert_ok(mdfh_bypass_open(config, &port));
	mdfh_bypass_close(port);
	before = count_descriptors();
	for (nth = 1; nth < 1000; nth++) {
		int rc, fired;

		faults.memory = 0;
		mapped = 0;
		faults.calls = 0;
		faults.nth = nth;
		mdfh_error(0, "%s", "");
		rc = mdfh_bypass_open(config, &port);
		fired = faults.calls >= nth;
		faults.nth = 0;
		if (rc) {
			reported++;
			assert_null(port);
			assert_true(rc < 0 && mdfh_error_text()[0]);
		} else {
			/* Or it was a call that has a fallback. */
			mdfh_bypass_close(port);
		}
		if (faults.memory || mapped || count_descriptors() != before)
			fail_msg("call %d: %d allocations, %lld bytes, %d descriptors stay", nth,
			    faults.memory, (long long)mapped, count_descriptors() - before);
		if (!fired)
			break;
	}
	assert_in_range(nth, 10, 999);
	assert_in_range(reported, nth - 1 - fallbacks, nth - 1);
	return nth - 1;
}

/* The receive buffer's size by privilege, hugepages, busy polling. */
enum { FALLBACKS = 3 };

static void fails_with_one_flow(void **state)
{
	(void)state;
	fail_each(&(const struct mdfh_bypass_config){.size = sizeof(struct mdfh_bypass_config),
		      .host = "127.0.0.1"},
	    FALLBACKS);
}

static void fails_with_groups_and_sources(void **state)
{
	static const struct mdfh_flow flows[] = {
	    {.group = "239.1.1.1", .source = "127.0.0.2", .port = 5000},
	    {.group = "239.1.1.1", .port = 5000},
	    {.group = "127.0.0.1", .source = "127.0.0.2", .port = 5001},
	    {.group = "::1", .source = "::1", .port = 5002},
	    {.group = "::1", .port = 5002},
	    {.port = 5003},
	};

	(void)state;
	/* Six flows, about ten calls each. */
	assert_true(
	    fail_each(&(const struct mdfh_bypass_config){.size = sizeof(struct mdfh_bypass_config),
			  .interface = "lo",
			  .flows = flows,
			  .flow_count = 6},
		6 * FALLBACKS) > 60);
}

static void fails_with_tcp(void **state)
{
	uint16_t number = 0;
	int listener = server_listen("127.0.0.1", &number, 1000);

	(void)state;
	/* Whatever ends the first attempt is no failure of open: connect, its epoll, its
	 * timer; nor that the interface cannot be looked at. */
	fail_each(&(const struct mdfh_bypass_config){.size = sizeof(struct mdfh_bypass_config),
		      .transport = MDFH_TRANSPORT_TCP,
		      .interface = "lo",
		      .host = "127.0.0.1",
		      .port = number,
		      .busy_poll_us = 20},
	    FALLBACKS + 5);
	close(listener);
}

/* Look until the mark has come; returns 0 when it does not. */
static int see_mark(struct mdfh_bypass *port, unsigned mark)
{
	struct mdfh_packet packet;

	for (int i = 0; i < SERVER_LOOKS; i++) {
		int n = mdfh_bypass_recv_wait(port, &packet, 1);

		if (n < 0)
			return 0;
		if (n && packet.flags & mark)
			return 1;
	}
	return 0;
}

/* Where the connection is gone, every call on the way to the next made to fail in turn: that costs
 * an attempt at most, and nothing is left behind. */
static void mends_tcp_whatever_fails(void **state)
{
	struct mdfh_bypass_config config = {.size = sizeof(config),
	    .transport = MDFH_TRANSPORT_TCP,
	    .interface = "lo",
	    .host = "127.0.0.1",
	    .busy_poll_us = 20,
	    .poll_timeout_us = 2000,
	    .backend_options = "reconnect_min_ms=1,reconnect_max_ms=2"};
	int listener = server_listen("127.0.0.1", &config.port, 8), nth, failed = 0;

	(void)state;
	for (nth = 1; nth < 1000; nth++) {
		struct mdfh_bypass_stats stats;
		struct mdfh_bypass *port;
		int before = count_descriptors(), peer, fired;
		char byte;

		faults.memory = 0;
		mapped = 0;
		assert_ok(mdfh_bypass_open(&config, &port));
		peer = server_accept(listener);
		server_expect_mark(port, MDFH_PACKET_CONNECTED);
		close(peer);

		faults.calls = 0;
		faults.nth = nth;
		if (!see_mark(port, MDFH_PACKET_DISCONNECTED) ||
		    !see_mark(port, MDFH_PACKET_CONNECTED)) {
			faults.nth = 0;
			fail_msg("call %d failed, and no connection came again", nth);
		}
		fired = faults.calls >= nth;
		faults.nth = 0;

		do /* attempts that failed may have left connections behind that are closed */
			peer = server_accept(listener);
		while (recv(peer, &byte, 1, MSG_DONTWAIT) == 0 && !close(peer));
		server_write(peer, "mended", 6);
		server_expect_bytes(port, "mended", 6);
		assert_ok(mdfh_bypass_stats(port, &stats));
		assert_int_equal(stats.connects, 2);
		assert_int_equal(stats.disconnects, 1);
		assert_in_range(stats.connect_failures, 0, 1);
		failed += (int)stats.connect_failures;
		close(peer);
		mdfh_bypass_close(port);
		if (faults.memory || mapped || count_descriptors() != before)
			fail_msg("call %d: %d allocations, %lld bytes, %d descriptors stay", nth,
			    faults.memory, (long long)mapped, count_descriptors() - before);
		if (!fired)
			break;
	}
	/* A socket, its options, connecting, and what says that it is connected. */
	assert_in_range(nth, 15, 999);
	assert_in_range(failed, 12, nth);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fails_with_one_flow),
	    cmocka_unit_test(fails_with_groups_and_sources),
	    cmocka_unit_test(fails_with_tcp),
	    cmocka_unit_test(mends_tcp_whatever_fails),
	};

	if (test_enter_namespace()) {
		fprintf(stderr, "skipped: no network namespace without privilege here\n");
		return TEST_SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
