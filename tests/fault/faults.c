/* faults.c - the calls that can be made to fail, and the account of what lives. */
#include "fault/faults.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mdfh/error.h"

enum { LIVE_MAX = 1 << 16 };

static struct {
	pthread_mutex_t lock;
	int nth;
	int calls;
	const char *fired;
	/* Allocations since the mark, by address: what others freed or allocated is not in it. */
	void *live[LIVE_MAX];
	int live_count;
	int64_t mapped; /* bytes, because a region gives the ends of its mapping back */
	int descriptors;
	int threads;
	int names;
} faults = {.lock = PTHREAD_MUTEX_INITIALIZER};

int faults_strike(const char *name)
{
	int hit;

	pthread_mutex_lock(&faults.lock);
	hit = faults.nth && ++faults.calls == faults.nth;
	if (hit)
		faults.fired = name;
	pthread_mutex_unlock(&faults.lock);
	return hit;
}

static void *born(void *memory)
{
	pthread_mutex_lock(&faults.lock);
	if (memory && faults.live_count < LIVE_MAX)
		faults.live[faults.live_count++] = memory;
	pthread_mutex_unlock(&faults.lock);
	return memory;
}

static void dead(void *memory)
{
	pthread_mutex_lock(&faults.lock);
	for (int i = faults.live_count - 1; memory && i >= 0; i--) {
		if (faults.live[i] != memory)
			continue;
		faults.live[i] = faults.live[--faults.live_count];
		break;
	}
	pthread_mutex_unlock(&faults.lock);
}

/* clang-format off */
#define WRAP(type, name, code, failure, parameters, arguments)                                     \
	extern type __real_##name parameters;                                                      \
	extern type __wrap_##name parameters;                                                      \
	type __wrap_##name parameters                                                              \
	{                                                                                          \
		if (faults_strike(#name)) {                                                               \
			errno = code;                                                              \
			return failure;                                                            \
		}                                                                                  \
		return __real_##name arguments;                                                    \
	}
#define WRAP_MEMORY(name, parameters, arguments)                                                   \
	extern void *__real_##name parameters;                                                     \
	extern void *__wrap_##name parameters;                                                     \
	void *__wrap_##name parameters                                                             \
	{                                                                                          \
		if (faults_strike(#name)) {                                                               \
			errno = ENOMEM;                                                            \
			return NULL;                                                               \
		}                                                                                  \
		return born(__real_##name arguments);                                              \
	}

/* NOLINTBEGIN(bugprone-reserved-identifier,bugprone-macro-parentheses): the linker's names */
WRAP_MEMORY(malloc, (size_t size), (size))
WRAP_MEMORY(calloc, (size_t n, size_t size), (n, size))
WRAP_MEMORY(aligned_alloc, (size_t line, size_t size), (line, size))
WRAP(int, socket, EMFILE, -1, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, bind, EADDRINUSE, -1, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(int, listen, EADDRINUSE, -1, (int fd, int n), (fd, n))
WRAP(int, getsockname, ENOBUFS, -1, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
WRAP(int, setsockopt, ENOMEM, -1, (int fd, int level, int name, const void *v, socklen_t n),
    (fd, level, name, v, n))
WRAP(int, getsockopt, ENOMEM, -1, (int fd, int level, int name, void *v, socklen_t *n),
    (fd, level, name, v, n))
WRAP(int, connect, ENETUNREACH, -1, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(ssize_t, recvmsg, ENOMEM, -1, (int fd, struct msghdr *header, int flags), (fd, header, flags))
WRAP(int, poll, ENOMEM, -1, (struct pollfd *fds, nfds_t n, int timeout), (fds, n, timeout))
WRAP(int, epoll_create1, EMFILE, -1, (int flags), (flags))
WRAP(int, epoll_ctl, ENOMEM, -1, (int fd, int op, int of, struct epoll_event *e), (fd, op, of, e))
WRAP(int, eventfd, EMFILE, -1, (unsigned count, int flags), (count, flags))
WRAP(int, timerfd_create, EMFILE, -1, (int clock, int flags), (clock, flags))
WRAP(int, timerfd_settime, EINVAL, -1,
    (int fd, int flags, const struct itimerspec *at, struct itimerspec *before),
    (fd, flags, at, before))
WRAP(int, memfd_create, EMFILE, -1, (const char *name, unsigned flags), (name, flags))
WRAP(int, shm_open, EMFILE, -1, (const char *name, int flags, mode_t mode), (name, flags, mode))
WRAP(int, ftruncate64, ENOSPC, -1, (int fd, off_t length), (fd, length))
WRAP(int, fstat64, EIO, -1, (int fd, struct stat *info), (fd, info))
WRAP(int, flock, ENOLCK, -1, (int fd, int how), (fd, how))
WRAP(int, madvise, ENOMEM, -1, (void *at, size_t size, int advice), (at, size, advice))
WRAP(ssize_t, read, EIO, -1, (int fd, void *to, size_t size), (fd, to, size))
/* A FILE is seen by its descriptor; one on top of functions, by the sanitizer that finds leaks. */
WRAP(FILE *, fopen64, EMFILE, NULL, (const char *path, const char *mode), (path, mode))
WRAP(FILE *, fopencookie, ENOMEM, NULL,
    (void *cookie, const char *mode, cookie_io_functions_t functions), (cookie, mode, functions))
/* clang-format on */

/* As posix_fallocate does: the error is what it returns. */
int __real_posix_fallocate64(int fd, off_t offset, off_t length);
int __wrap_posix_fallocate64(int fd, off_t offset, off_t length);
int __wrap_posix_fallocate64(int fd, off_t offset, off_t length)
{
	return faults_strike("posix_fallocate64") ? ENOSPC
						  : __real_posix_fallocate64(fd, offset, length);
}

int __real_pthread_create(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
int __wrap_pthread_create(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
int __wrap_pthread_create(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
	if (faults_strike("pthread_create"))
		return EAGAIN;
	return __real_pthread_create(thread, attributes, run, argument);
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
	unsigned mode = 0;
	va_list args;

	if (flags & O_CREAT) {
		va_start(args, flags);
		mode = va_arg(args, unsigned);
		va_end(args);
	}
	if (faults_strike("open64")) {
		errno = EMFILE;
		return -1;
	}
	return __real_open64(path, flags, mode);
}

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
	return faults_strike("strdup") ? NULL : born(__real_strdup(text));
}

void __real_free(void *memory);
void __wrap_free(void *memory);
void __wrap_free(void *memory)
{
	dead(memory);
	__real_free(memory);
}

void *__real_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	void *memory;

	if (faults_strike("mmap64")) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	memory = __real_mmap64(at, size, protection, flags, fd, offset);
	faults.mapped += memory != MAP_FAILED ? (int64_t)size : 0;
	return memory;
}

int __real_munmap(void *memory, size_t size);
int __wrap_munmap(void *memory, size_t size);
int __wrap_munmap(void *memory, size_t size)
{
	faults.mapped -= (int64_t)size;
	return __real_munmap(memory, size);
}

static int dlopen_failed;

void *__real_dlopen(const char *path, int flags);
void *__wrap_dlopen(const char *path, int flags);
void *__wrap_dlopen(const char *path, int flags)
{
	if (faults_strike("dlopen")) {
		dlopen_failed = 1;
		return NULL;
	}
	return __real_dlopen(path, flags);
}

char *__real_dlerror(void);
char *__wrap_dlerror(void);
char *__wrap_dlerror(void)
{
	static char text[] = "made to fail";
	int failed = dlopen_failed;

	dlopen_failed = 0;
	return failed ? text : __real_dlerror();
}
/* NOLINTEND(bugprone-reserved-identifier,bugprone-macro-parentheses) */

/* Use ------------------------------------------------------------------------------------- */

void faults_arm(int nth)
{
	pthread_mutex_lock(&faults.lock);
	faults.nth = nth;
	faults.calls = 0;
	if (nth)
		faults.fired = NULL;
	pthread_mutex_unlock(&faults.lock);
}

const char *faults_fired(void)
{
	return faults.fired;
}

static int count_entries(const char *path)
{
	DIR *folder = opendir(path);
	int n = 0;

	while (folder && readdir(folder))
		n++;
	if (folder)
		closedir(folder);
	return n;
}

const char *faults_shared(const char *name)
{
	static char text[64];

	snprintf(text, sizeof(text), "/mdfh-faults-%d-%s", (int)getpid(), name);
	return text;
}

/* Those of this process: others may make some meanwhile. */
static int count_names(void)
{
	const char *mine = faults_shared("") + 1;
	DIR *folder = opendir("/dev/shm");
	const struct dirent *entry;
	int n = 0;

	while (folder && (entry = readdir(folder)))
		n += !strncmp(entry->d_name, mine, strlen(mine));
	if (folder)
		closedir(folder);
	return n;
}

void faults_mark(void)
{
	faults.descriptors = count_entries("/proc/self/fd");
	faults.threads = count_entries("/proc/self/task");
	faults.names = count_names();
	faults.live_count = 0;
	faults.mapped = 0;
}

const char *faults_left(void)
{
	static char text[256];
	int descriptors = count_entries("/proc/self/fd") - faults.descriptors;
	int names = count_names() - faults.names;
	int threads;

	/* A thread that was joined is gone for its process before the kernel has let go of it. */
	for (int tries = 0; tries < 1000; tries++) {
		threads = count_entries("/proc/self/task") - faults.threads;
		if (threads <= 0)
			break;
		usleep(1000);
	}
	if (!faults.live_count && !faults.mapped && !descriptors && !names && threads <= 0)
		return NULL;
	snprintf(text, sizeof(text),
	    "%d allocations, %lld bytes mapped, %d descriptors, %d threads, %d names",
	    faults.live_count, (long long)faults.mapped, descriptors, threads, names);
	return text;
}

int faults_each(const struct faults_case *c)
{
	void *opened = NULL;
	int nth;

	/* Once without faults, for what is set up for good. */
	if (c->open(c->context, &opened))
		fail_msg("%s: %s", c->name, mdfh_error_text());
	c->close(opened);
	for (nth = 1; nth < 10000; nth++) {
		const char *left;
		char call[64];
		char name[66];
		int rc;

		opened = (void *)&nth;
		mdfh_error(0, "%s", "");
		faults_mark();
		faults_arm(nth);
		rc = c->open(c->context, &opened);
		faults_arm(0);
		snprintf(call, sizeof(call), "%s", faults_fired() ? faults_fired() : "");
		snprintf(name, sizeof(name), " %s ", call);
		if (rc > 0)
			fail_msg("%s: call %d, %s, failed: %d is no error", c->name, nth, call, rc);
		if (rc && opened)
			fail_msg("%s: call %d, %s, failed, and something was handed out", c->name,
			    nth, call);
		if (rc && !mdfh_error_text()[0])
			fail_msg("%s: call %d, %s, failed without a sentence", c->name, nth, call);
		if (rc && !call[0])
			fail_msg("%s: %s, though no call failed", c->name, mdfh_error_text());
		if (!rc)
			c->close(opened);
		if (!rc && call[0] && !(c->spared && strstr(c->spared, name)))
			fail_msg("%s: call %d, %s, failed, and nobody said so", c->name, nth, call);
		left = faults_left();
		if (left)
			fail_msg("%s: call %d, %s, failed; left behind: %s", c->name, nth,
			    call[0] ? call : "none", left);
		if (!call[0])
			break;
	}
	if (nth - 1 < c->least || nth == 10000)
		fail_msg("%s: %d calls could fail; %d at least", c->name, nth - 1, c->least);
	return nth - 1;
}
