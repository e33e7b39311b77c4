/* test_cpu.c - pinning, read back from /proc: it acts on the calling thread and on no other. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mdfh/cpu.h"
#include "mdfh/error.h"

/* "Cpus_allowed_list" of the calling thread, or of the main thread. */
static void allowed_list(const char *path, char *list, size_t size)
{
	char line[256];
	FILE *file = fopen(path, "re");

	assert_non_null(file);
	list[0] = '\0';
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, "Cpus_allowed_list:\t", 19) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(list, size, "%s", line + 19);
	}
	fclose(file);
	assert_true(list[0] != '\0');
}

static void *pin_and_read_back(void *state)
{
	cpu_set_t *cores = state;
	char list[256], want[16];

	for (unsigned core = 0; core < CPU_SETSIZE; core++) {
		if (!CPU_ISSET(core, cores))
			continue;
		/* Moves on from the core pinned before, too. */
		if (mdfh_cpu_pin(core))
			return "refused";
		allowed_list("/proc/thread-self/status", list, sizeof(list));
		snprintf(want, sizeof(want), "%u", core);
		if (strcmp(list, want) != 0 || mdfh_cpu_current() != (int)core)
			return "not on the core that it was pinned to";
	}
	return NULL;
}

static void test_pin(void **state)
{
	char before[256], after[256];
	cpu_set_t cores;
	pthread_t thread;
	void *failure;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(cores), &cores), 0);
	assert_int_equal(mdfh_cpu_count(), CPU_COUNT(&cores));
	allowed_list("/proc/self/status", before, sizeof(before));
	assert_int_equal(pthread_create(&thread, NULL, pin_and_read_back, &cores), 0);
	assert_int_equal(pthread_join(thread, &failure), 0);
	if (failure)
		fail_msg("%s", (const char *)failure);
	allowed_list("/proc/self/status", after, sizeof(after));
	assert_string_equal(before, after);
	assert_int_equal(mdfh_cpu_count(), CPU_COUNT(&cores));
}

static void test_refused(void **state)
{
	char before[256], list[256];

	(void)state;
	allowed_list("/proc/self/status", before, sizeof(before));
	assert_int_equal(mdfh_cpu_pin(9999), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "9999"));
	assert_non_null(strstr(mdfh_error_text(), before));
	assert_int_equal(mdfh_cpu_pin(UINT32_MAX), -EINVAL);
	allowed_list("/proc/self/status", list, sizeof(list));
	assert_string_equal(before, list);
}

static void test_node(void **state)
{
	char path[64];
	int core = mdfh_cpu_current();
	int node = mdfh_cpu_node((unsigned)core);

	(void)state;
	assert_true(core >= 0);
	if (node >= 0) {
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/node%d", core, node);
		assert_int_equal(access(path, F_OK), 0);
	}
	assert_int_equal(mdfh_cpu_node(1000000), -1);
	assert_int_equal(mdfh_cpu_node(30000), -1);
}

static void test_interface_node(void **state)
{
	(void)state;
	assert_int_equal(mdfh_interface_node("lo"), -1);
	assert_int_equal(mdfh_interface_node("no-such-if"), -1);
	assert_int_equal(mdfh_interface_node(""), -1);
	assert_int_equal(mdfh_interface_node(NULL), -1);
	assert_int_equal(mdfh_interface_node("../lo"), -1);
	assert_int_equal(mdfh_interface_node("a-name-that-is-longer-than-any-interface's"), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pin),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_node),
	    cmocka_unit_test(test_interface_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
