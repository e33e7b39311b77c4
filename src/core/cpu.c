/* cpu.c - cores by sched_setaffinity(2), nodes by libnuma and sysfs.
 *
 * The cores that the process may use are those of its affinity mask when this file was first
 * asked (taskset, container): a later pin narrows the mask of one thread, not of the process. */
#include "mdfh/cpu.h"

#include <errno.h>
#include <net/if.h>
#include <numa.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mdfh/error.h"

/* Four times the most that Linux is built for on x86-64. */
enum { CORES_MAX = 32768 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static cpu_set_t *allowed; /* NULL: unknown */

static void read_allowed(void)
{
	cpu_set_t *set = CPU_ALLOC(CORES_MAX);

	if (set && sched_getaffinity(0, CPU_ALLOC_SIZE(CORES_MAX), set)) {
		CPU_FREE(set);
		set = NULL;
	}
	allowed = set;
}

static int is_allowed(unsigned core)
{
	return core < CORES_MAX && allowed && CPU_ISSET_S(core, CPU_ALLOC_SIZE(CORES_MAX), allowed);
}

/* "0-3,8", cut where it does not fit. */
static void list_allowed(char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (unsigned core = 0; core < CORES_MAX && used + 16 < size; core++) {
		unsigned last = core;
		int n;

		if (!is_allowed(core))
			continue;
		while (is_allowed(last + 1))
			last++;
		n = snprintf(text + used, size - used, last > core ? "%s%u-%u" : "%s%u",
		    used ? "," : "", core, last);
		used += (size_t)n;
		core = last;
	}
}

int mdfh_cpu_pin(unsigned core)
{
	cpu_set_t *set;
	char list[256];
	int err = 0;

	pthread_once(&once, read_allowed);
	if (!is_allowed(core)) {
		list_allowed(list, sizeof(list));
		return mdfh_error(-EINVAL,
		    "cpu: core %u is not one that this process may use; these are: %s", core, list);
	}
	set = CPU_ALLOC(CORES_MAX);
	if (!set)
		return mdfh_error(-ENOMEM, "cpu: no memory for a set of %d cores", CORES_MAX);
	CPU_ZERO_S(CPU_ALLOC_SIZE(CORES_MAX), set);
	CPU_SET_S(core, CPU_ALLOC_SIZE(CORES_MAX), set);
	if (sched_setaffinity(0, CPU_ALLOC_SIZE(CORES_MAX), set))
		err = mdfh_error_errno(-errno, "cpu: pin the thread to core %u", core);
	CPU_FREE(set);
	return err;
}

int mdfh_cpu_count(void)
{
	pthread_once(&once, read_allowed);
	return allowed ? CPU_COUNT_S(CPU_ALLOC_SIZE(CORES_MAX), allowed) : 1;
}

int mdfh_cpu_current(void)
{
	return sched_getcpu();
}

int mdfh_cpu_node(unsigned core)
{
	if (core >= CORES_MAX || numa_available() < 0)
		return -1;
	return numa_node_of_cpu((int)core);
}

int mdfh_interface_node(const char *interface)
{
	char path[64];
	FILE *file;
	int node = -1;

	/* A name with a slash would leave /sys/class/net. */
	if (!interface || !*interface || strlen(interface) >= IFNAMSIZ || strchr(interface, '/'))
		return -1;
	snprintf(path, sizeof(path), "/sys/class/net/%s/device/numa_node", interface);
	file = fopen(path, "re");
	if (!file)
		return -1;
	if (fscanf(file, "%d", &node) != 1) // NOLINT: the kernel wrote this number
		node = -1;
	fclose(file);
	return node;
}
