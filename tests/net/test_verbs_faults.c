/* test_verbs_faults.c - make the calls of opening a port of backend verbs fail in turn, those of libibverbs and
 * librdmacm included: nothing stays, neither here nor in the device of software (verbs_device/). */
#include <errno.h>
#include <ifaddrs.h>

#include "fault/faults.h"
#include "mdfh/clock.h"
#include "net/module_test.h"
#include "verbs_device.h"

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names */
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

static int open_it(void *context, void **opened)
{
	struct mdfh_bypass *port;
	int rc = module_open(context, &port);

	if (!port)
		assert_int_equal(vdev.live, 0);
	*opened = port;
	return rc;
}

static void close_it(void *opened)
{
	mdfh_bypass_close(opened);
	assert_int_equal(vdev.live, 0);
	assert_int_equal(vdev.attached, vdev.detached);
	assert_int_equal(vdev.joins, vdev.leaves);
}

static const struct mdfh_flow flows[] = {
    {.group = "239.1.1.1", .source = "10.77.0.1", .port = 26477},
    {.group = "ff15::1", .port = 26478},
    {.group = "239.1.1.2", .port = 26479},
};

static void fails(const char *name, const char *options, const char *spared, int least)
{
	const struct mdfh_bypass_config config = {.size = sizeof(config),
	    .interface = "lo",
	    .rx_ring_size = 64,
	    .backend_options = options,
	    .flows = flows,
	    .flow_count = 3};

	vdev_reset();
	vdev.stamps = VDEV_TICKS;
	vdev.strikes = faults_strike;
	faults_each(&(const struct faults_case){.name = name,
	    .open = open_it,
	    .close = close_it,
	    .context = (void *)(uintptr_t)&config,
	    .spared = spared,
	    .least = least});
}

/* What all can do without: hugepages; counters of the device; the state of the clocks. */
#define SPARED " mmap64 madvise fopen64 open64 "

static void a_raw_port_fails_at_every_call(void **state)
{
	(void)state;
	/* The first rule that is refused makes rules by hardware address alone. */
	fails("raw", "mode=raw", SPARED "ibv_create_flow ", 20);
	fails("raw, rules whole", "mode=raw,filters=hardware", SPARED, 20);
}

static void a_datagram_port_fails_at_every_call(void **state)
{
	(void)state;
	fails("datagram", "mode=datagram", SPARED, 25);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_raw_port_fails_at_every_call),
	    cmocka_unit_test(a_datagram_port_fails_at_every_call),
	};

	if (test_enter_namespace()) {
		printf("skipped: no network namespace may be made\n");
		return TEST_SKIPPED;
	}
	return mdfh_clock_start() ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
