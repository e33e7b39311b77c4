/* test_socket_faults.c - make the 1st, 2nd, 3rd ... system call or allocation of open fail, until
 * none is left to fail: each time open reports it and leaves nothing behind.
 *
 * The calls are interposed at link time (--wrap), so the code under test is the code that ships. */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "net/net_test.h"

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
/* clang-format on */

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

/* Returns how many calls could be made to fail. */
static int fail_each(const struct mdfh_bypass_config *config)
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
	/* Fallbacks: the receive buffer's size by privilege, hugepages, busy polling. */
	assert_true(reported >= nth - 1 - 3 * (int)(config->flow_count ? config->flow_count : 1));
	return nth - 1;
}

static void fails_with_one_flow(void **state)
{
	(void)state;
	fail_each(&(const struct mdfh_bypass_config){
	    .size = sizeof(struct mdfh_bypass_config), .host = "127.0.0.1"});
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
		.flow_count = 6}) > 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fails_with_one_flow),
	    cmocka_unit_test(fails_with_groups_and_sources),
	};

	if (test_enter_namespace()) {
		fprintf(stderr, "skipped: no network namespace without privilege here\n");
		return TEST_SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
