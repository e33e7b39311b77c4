/* test_xdp_faults.c - make the calls of opening an AF_XDP port fail in turn: nothing stays, neither memory
 * nor descriptors nor the program on the interface. What libbpf calls itself is not within reach. As root. */
#include <errno.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "fault/faults.h"
#include "net/module_test.h"
#include "net/veth_test.h"

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names */
int __real_bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags);
int __wrap_bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags);
int __wrap_bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	if (!faults_strike("bpf_map_update_elem"))
		return __real_bpf_map_update_elem(fd, key, value, flags);
	errno = ENOMEM;
	return -ENOMEM;
}

int __real_bpf_object__load(struct bpf_object *object);
int __wrap_bpf_object__load(struct bpf_object *object);
int __wrap_bpf_object__load(struct bpf_object *object)
{
	return faults_strike("bpf_object__load") ? -EPERM : __real_bpf_object__load(object);
}

int __real_bpf_link_create(
    int program, int target, enum bpf_attach_type type, const struct bpf_link_create_opts *options);
int __wrap_bpf_link_create(
    int program, int target, enum bpf_attach_type type, const struct bpf_link_create_opts *options);
int __wrap_bpf_link_create(
    int program, int target, enum bpf_attach_type type, const struct bpf_link_create_opts *options)
{
	if (!faults_strike("bpf_link_create"))
		return __real_bpf_link_create(program, target, type, options);
	errno = EPERM;
	return -EPERM;
}
/* NOLINTEND(bugprone-reserved-identifier) */

static int open_it(void *context, void **opened)
{
	struct mdfh_bypass *port;
	int rc = module_open(context, &port);

	*opened = port;
	return rc;
}

static void close_it(void *opened)
{
	mdfh_bypass_close(opened);
}

static void fails_at_every_call(void **state)
{
	static const struct mdfh_flow flows[] = {
	    {.group = "239.1.1.1", .source = "10.77.0.1", .port = 26477},
	    {.group = "ff15::1", .port = 26478},
	    {.group = "10.77.0.2", .port = 26479},
	};
	static const struct mdfh_bypass_config config = {.size = sizeof(config),
	    .interface = VETH_INTERFACE,
	    .rx_ring_size = 64,
	    .flows = flows,
	    .flow_count = 3};

	(void)state;
	faults_each(&(const struct faults_case){.name = "xdp",
	    .open = open_it,
	    .close = close_it,
	    .context = (void *)(uintptr_t)&config,
	    /* Hugepages, the node, how many queues there are, whether zero-copy was granted; a link in
	     * the driver is tried in the kernel, too. */
	    .spared = " mmap64 madvise socket fopen64 getsockopt bpf_link_create ",
	    .least = 20});
	assert_int_not_equal(system("/bin/ip link show mdfh0 | grep -q xdp"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(fails_at_every_call)};
	int status = veth_enter();

	if (status)
		return status;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
