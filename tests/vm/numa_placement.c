/* numa_placement.c - on a machine with two NUMA nodes: memory is where it was asked for, page by
 * page, as move_pages(2) tells it; a network device's packets are on the node of the device.
 *
 * usage: numa_placement MODULES INTERFACE NODE   (a network device that is on that node) */
#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mdfh/bypass.h"
#include "mdfh/cpu.h"
#include "mdfh/memory.h"

enum { PAGES_MAX = 4096 };

static const char *interface;
static int interface_node;

/* Every page of it. */
static void assert_on_node(const struct mdfh_region *region, int node)
{
	static void *pages[PAGES_MAX];
	static int status[PAGES_MAX];
	size_t n = region->bytes / region->page_bytes;

	assert_in_range(n, 1, PAGES_MAX);
	for (size_t i = 0; i < n; i++)
		pages[i] = (uint8_t *)region->base + i * region->page_bytes;
	assert_int_equal(move_pages(0, n, pages, NULL, status, 0), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(status[i], node);
}

/* From a core of either node, and from the hugepages that either has. */
static void test_region(void **state)
{
	static const enum mdfh_switch kinds[] = {MDFH_OFF, MDFH_DEFAULT, MDFH_ON};

	(void)state;
	for (unsigned core = 0; core < 2; core++) {
		assert_int_equal(mdfh_cpu_pin(core), 0);
		for (int node = 0; node < 2; node++) {
			for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
				struct mdfh_region_config config = {.size = sizeof(config),
				    .bytes = (size_t)4 << 20,
				    .hugepages = kinds[i],
				    .numa_node = node + 1};
				struct mdfh_region region;

				assert_int_equal(mdfh_region_map(&config, &region), 0);
				assert_int_equal(region.reserved_hugepages, kinds[i] != MDFH_OFF);
				assert_int_equal(region.node, node);
				assert_on_node(&region, node);
				mdfh_region_unmap(&region);
			}
		}
	}
}

/* Shared memory, and memory that is touched only later, by a thread of the other node. */
static void test_shared_and_late(void **state)
{
	struct mdfh_region_config config = {.size = sizeof(config), .bytes = (size_t)1 << 20};
	struct mdfh_region region;

	(void)state;
	for (int node = 0; node < 2; node++) {
		config.numa_node = node + 1;
		config.hugepages = MDFH_OFF;
		config.shared_name = "/numa-placement";
		config.touch = MDFH_ON;
		assert_int_equal(mdfh_cpu_pin(node ? 0 : 1), 0);
		assert_int_equal(mdfh_region_map(&config, &region), 0);
		assert_on_node(&region, node);
		mdfh_region_unmap(&region);

		config.shared_name = NULL;
		config.touch = MDFH_OFF;
		assert_int_equal(mdfh_region_map(&config, &region), 0);
		memset(region.base, 1, region.bytes);
		assert_on_node(&region, node);
		mdfh_region_unmap(&region);
	}
}

/* Without a node asked for, memory is on that of the core that takes it. */
static void test_local(void **state)
{
	struct mdfh_region_config config = {.size = sizeof(config), .bytes = (size_t)1 << 20};
	struct mdfh_region region;

	(void)state;
	for (unsigned core = 0; core < 2; core++) {
		assert_int_equal(mdfh_cpu_node(core), (int)core);
		assert_int_equal(mdfh_cpu_pin(core), 0);
		assert_int_equal(mdfh_region_map(&config, &region), 0);
		assert_int_equal(region.node, (int)core);
		assert_on_node(&region, (int)core);
		mdfh_region_unmap(&region);
	}
}

/* A device behind a PCI bridge of that node: its packets too, from a core of the other. */
static void test_interface(void **state)
{
	static const char *const backends[] = {"socket", "io_uring", "xdp"};

	(void)state;
	assert_int_equal(mdfh_interface_node(interface), interface_node);
	assert_int_equal(mdfh_interface_node("lo"), -1);
	assert_int_equal(mdfh_cpu_pin(interface_node ? 0 : 1), 0);
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
		struct mdfh_bypass_config config = {.size = sizeof(config),
		    .backend = backends[i],
		    .interface = interface,
		    .host = "239.1.1.1",
		    .port = 26477};
		struct mdfh_bypass *port = NULL;
		int rc = mdfh_bypass_open(&config, &port);

		if (rc == -ENOENT && i) {
			print_message("%s is not built\n", backends[i]);
			continue;
		}
		assert_int_equal(rc, 0);
		assert_int_equal(mdfh_bypass_capabilities(port)->numa_node, interface_node);
		mdfh_bypass_close(port);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_region),
	    cmocka_unit_test(test_shared_and_late),
	    cmocka_unit_test(test_local),
	    cmocka_unit_test(test_interface),
	};

	if (argc != 4 || numa_available() < 0 || numa_num_configured_nodes() != 2) {
		printf("usage: numa_placement MODULES INTERFACE NODE, on a machine with two NUMA "
		       "nodes\n");
		return 1;
	}
	assert_int_equal(mdfh_bypass_set_modules_folder(argv[1]), 0);
	interface = argv[2];
	interface_node = atoi(argv[3]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
