/* test_push.c - the receiving thread: on the core that was asked for, fed, stopped at once, ended by
 * the end of its source; and the packet memory in hugepages where the machine has them. */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "mdfh/backend.h"
#include "net/net_test.h"

struct seen {
	atomic_uint_fast64_t packets; /* the thread adds with release, the test loads */
	atomic_long thread;
	char allowed[64]; /* Cpus_allowed_list of the thread, by itself, before the first add */
	int core;
};

/* A line of /proc/thread-self/status. */
static void read_status(const char *key, char *text, size_t size)
{
	FILE *file = fopen("/proc/thread-self/status", "re");
	char line[256];

	text[0] = '\0';
	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key))) {
			snprintf(text, size, "%.*s", (int)size - 1, line + strlen(key));
			text[strcspn(text, "\n")] = '\0';
		}
	if (file)
		fclose(file);
}

static void look(void *context, const struct mdfh_packet *packets, int n)
{
	struct seen *seen = context;

	(void)packets;
	if (!seen->allowed[0]) {
		read_status("Cpus_allowed_list:\t", seen->allowed, sizeof(seen->allowed));
		seen->core = sched_getcpu();
		atomic_store_explicit(&seen->thread, (long)gettid(), memory_order_relaxed);
	}
	atomic_fetch_add_explicit(&seen->packets, (uint64_t)n, memory_order_release);
}

static struct mdfh_bypass *open_null(const char *options, uint32_t core)
{
	const struct mdfh_bypass_config config = {.size = sizeof(config),
	    .backend = "null",
	    .backend_options = options,
	    .cpu_core = core};
	struct mdfh_bypass *port;

	assert_ok(mdfh_bypass_open(&config, &port));
	return port;
}

/* The last core that this process may use. */
static unsigned last_core(void)
{
	unsigned core = 0;
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	for (unsigned i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set))
			core = i;
	return core;
}

static void runs_on_its_core(void **state)
{
	unsigned core = last_core();
	struct seen seen = {0};
	struct mdfh_push *push;
	char mine[64], before[64], want[16];

	(void)state;
	read_status("Cpus_allowed_list:\t", before, sizeof(before));
	assert_ok(mdfh_push_start(open_null("count=1000", MDFH_CORE(core)), look, &seen, &push));
	while (mdfh_push_running(push))
		sched_yield();
	assert_int_equal(mdfh_push_stop(push), 0);
	assert_int_equal(atomic_load(&seen.packets), 1000);
	snprintf(want, sizeof(want), "%u", core);
	assert_string_equal(seen.allowed, want);
	assert_int_equal(seen.core, core);
	/* And nobody else was moved. */
	assert_true(atomic_load(&seen.thread) != (long)gettid());
	read_status("Cpus_allowed_list:\t", mine, sizeof(mine));
	assert_string_equal(mine, before);
}

static void says_when_it_cannot_be_pinned(void **state)
{
	struct mdfh_bypass *port = open_null("count=1", MDFH_CORE(0));
	struct mdfh_push *push;
	struct seen seen = {0};

	(void)state;
	/* Past what open accepts: as if the core were taken from the process meanwhile. */
	port->cpu_core = MDFH_CORE(1023);
	assert_int_equal(mdfh_push_start(port, look, &seen, &push), -EINVAL);
	assert_error("1023");
	assert_null(push);
	mdfh_bypass_close(port); /* still the caller's */
	assert_int_equal(atomic_load(&seen.packets), 0);
}

static void stops_at_once(void **state)
{
	const struct mdfh_bypass_config config = {
	    .size = sizeof(config), .host = "127.0.0.1", .poll_timeout_us = 60000000};
	struct mdfh_packet packet = {.data = (const uint8_t *)"x", .length = 1};
	struct mdfh_bypass *port;
	struct seen seen = {0};
	struct mdfh_push *push;
	time_t start = time(NULL);

	(void)state;
	assert_ok(mdfh_bypass_open(&config, &port));
	assert_int_equal(mdfh_bypass_send(port, &packet, 1), 1);
	assert_ok(mdfh_push_start(port, look, &seen, &push));
	while (!atomic_load_explicit(&seen.packets, memory_order_acquire))
		sched_yield();
	assert_int_equal(mdfh_push_running(push), 1);
	assert_int_equal(mdfh_push_stop(push), 0);
	/* A minute's wait is not waited out. */
	assert_true(time(NULL) - start < 30);
	assert_int_equal(mdfh_push_stop(NULL), 0);
}

static int fail_recv(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	(void)port;
	(void)packets;
	(void)n;
	return mdfh_error(-EIO, "test: the port is dead");
}

static void keeps_the_error(void **state)
{
	struct mdfh_bypass *port = open_null(NULL, 0);
	struct mdfh_push *push;
	struct seen seen = {0};

	(void)state;
	port->recv = fail_recv;
	assert_ok(mdfh_push_start(port, look, &seen, &push));
	while (mdfh_push_running(push))
		sched_yield();
	mdfh_error(-EINVAL, "another sentence");
	assert_int_equal(mdfh_push_stop(push), -EIO);
	assert_string_equal(mdfh_error_text(), "test: the port is dead");
}

/* Hugepages ----------------------------------------------------------------------- */

static long read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	long number = -1;

	if (file && fscanf(file, "%ld", &number) != 1)
		number = -1;
	if (file)
		fclose(file);
	return number;
}

static int write_number(const char *path, long number)
{
	FILE *file = fopen(path, "we");
	int rc;

	if (!file)
		return -1;
	rc = fprintf(file, "%ld", number) < 0 ? -1 : 0;
	return fclose(file) ? -1 : rc;
}

/* Kernel page size, in kB, of the mapping that holds address. */
static long page_size_of(const void *address)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long from, to;
	long size = -1;
	int inside = 0;
	char line[512];

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = (uintptr_t)address >= from && (uintptr_t)address < to;
		else if (inside && sscanf(line, "KernelPageSize: %ld kB", &size) == 1)
			break;
	}
	fclose(file);
	return size;
}

static void receives_into_hugepages(void **state)
{
	static const char reserve[] = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
	struct mdfh_bypass_config config = {.size = sizeof(config),
	    .host = "127.0.0.1",
	    .hugepages = MDFH_ON,
	    .poll_timeout_us = 2000000};
	struct mdfh_packet packet = {.data = (const uint8_t *)"x", .length = 1};
	struct mdfh_bypass *port;
	long had = read_number(reserve);

	(void)state;
	if (had < 0 || write_number(reserve, had + 8) || read_number(reserve) < had + 8) {
		if (had >= 0)
			(void)write_number(reserve, had);
		print_message("skipped: 2 MB pages cannot be reserved here\n");
		skip();
	}
	assert_ok(mdfh_bypass_open(&config, &port));
	assert_int_equal(mdfh_bypass_capabilities(port)->hugepages, 1);
	assert_int_equal(mdfh_bypass_send(port, &packet, 1), 1);
	assert_int_equal(mdfh_bypass_recv_wait(port, &packet, 1), 1);
	assert_int_equal(page_size_of(packet.data), 2048);
	mdfh_bypass_close(port);
	assert_int_equal(write_number(reserve, had), 0);

	config.hugepages = MDFH_OFF;
	assert_ok(mdfh_bypass_open(&config, &port));
	assert_int_equal(mdfh_bypass_capabilities(port)->hugepages, 0);
	mdfh_bypass_close(port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(runs_on_its_core),
	    cmocka_unit_test(says_when_it_cannot_be_pinned),
	    cmocka_unit_test(stops_at_once),
	    cmocka_unit_test(keeps_the_error),
	    cmocka_unit_test(receives_into_hugepages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
