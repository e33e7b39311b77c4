/* test_ef_vi_faults.c - make the calls of opening a port of backend ef_vi fail in turn, those of Onload's
 * library included: nothing stays, neither here nor in the device. */
#include <dlfcn.h>
#include <errno.h>
#include <ifaddrs.h>

#include <etherfabric/ef_vi.h>

#include "ef_vi_device.h"
#include "fault/faults.h"
#include "net/module_test.h"

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names */
void *__real_dlsym(void *handle, const char *name);
void *__wrap_dlsym(void *handle, const char *name);
void *__wrap_dlsym(void *handle, const char *name)
{
	/* The one function that the library may lack. */
	int optional = !strcmp(name, "efct_vi_rxpkt_get_timestamp");

	return faults_strike(optional ? "optional" : "dlsym") ? NULL : __real_dlsym(handle, name);
}

int __real_getifaddrs(struct ifaddrs **list);
int __wrap_getifaddrs(struct ifaddrs **list);
int __wrap_getifaddrs(struct ifaddrs **list)
{
	if (!faults_strike("getifaddrs"))
		return __real_getifaddrs(list);
	errno = ENOMEM;
	return -1;
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* The device's, which is not linked: the linker would have its calls be the wrapped ones, too. */
static struct {
	__typeof__(efdev_configure) *configure;
	__typeof__(efdev_set_strike) *set_strike;
	__typeof__(efdev_state) *state;
} device;

static void load_device(const char *path)
{
	void *handle = dlopen(path, RTLD_NOW); /* until the end, so that it stays the same one */
	const struct {
		void *to;
		const char *name;
	} functions[] = {
	    {&device.configure, "efdev_configure"},
	    {&device.set_strike, "efdev_set_strike"},
	    {&device.state, "efdev_state"},
	};

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *found = handle ? dlsym(handle, functions[i].name) : NULL;

		assert_non_null(found);
		memcpy(functions[i].to, &found, sizeof(found));
	}
}

static int open_it(void *context, void **opened)
{
	struct mdfh_bypass *port;
	struct efdev_state state;
	int rc = module_open(context, &port);

	*opened = port;
	state = device.state();
	assert_string_equal(state.last_fault, "");
	if (rc)
		assert_int_equal(
		    state.drivers + state.domains + state.queues + state.regions + state.filters,
		    0);
	return rc;
}

static void close_it(void *opened)
{
	mdfh_bypass_close(opened);
}

static void fails_at_every_call(void **state)
{
	static char path[4200], options[4300];
	static const struct mdfh_flow flows[] = {
	    {.group = "239.1.1.1", .source = "10.77.0.1", .port = 26477},
	    {.group = "ff15::1", .port = 26478},
	    {.group = "127.0.0.1", .port = 26479},
	    {.port = 26480},
	};
	const struct mdfh_bypass_config config = {.size = sizeof(config),
	    .interface = "lo",
	    .rx_ring_size = 64,
	    .flows = flows,
	    .flow_count = 4,
	    .backend_options = options};

	(void)state;
	snprintf(
	    path, sizeof(path), "%s/tests/net/ef_vi_device/libciul.so.1", getenv("MDFH_BUILD"));
	load_device(path);
	snprintf(options, sizeof(options), "library=%s,block_kernel=multicast", path);
	device.set_strike(faults_strike);
	for (int efct = 0; efct < 2; efct++) {
		int calls;

		device.configure(&(struct efdev_config){.is_efct = efct});
		calls = faults_each(&(const struct faults_case){.name = "ef_vi",
		    .open = open_it,
		    .close = close_it,
		    .context = (void *)(uintptr_t)&config,
		    /* Hugepages, the node, counters that are asked for again. */
		    .spared = " mmap64 madvise fopen64 optional ef_vi_stats_query ",
		    .least = 60});
		print_message("%d calls failed in turn\n", calls);
	}
	device.set_strike(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(fails_at_every_call)};

	if (!getenv("MDFH_BUILD") || test_enter_namespace()) {
		printf("skipped: no network namespace is to be had, or MDFH_BUILD is not set\n");
		return TEST_SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
