/* test_memory.c - regions: contents, errors, sharing by name, names that a dead process left. */
#include <errno.h>
#include <fcntl.h>
#include <numa.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mdfh/error.h"
#include "mdfh/memory.h"

static char name[64]; /* of this process, so that parallel runs do not meet */

static struct mdfh_region_config config_of(size_t bytes)
{
	return (struct mdfh_region_config){
	    .size = sizeof(struct mdfh_region_config), .bytes = bytes};
}

static int is_zeroed(const struct mdfh_region *region)
{
	const uint8_t *bytes = region->base;

	for (size_t i = 0; i < region->bytes; i++) {
		if (bytes[i])
			return 0;
	}
	return 1;
}

static void test_private(void **state)
{
	static const size_t sizes[] = {1, 4096, 4097, 1 << 20, (2 << 20) + 1, 5 << 20};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (unsigned huge = 0; huge <= 2; huge += 2) {
			struct mdfh_region_config config = config_of(sizes[i]);
			struct mdfh_region region;

			config.hugepages = (enum mdfh_switch)huge;
			assert_int_equal(mdfh_region_map(&config, &region), 0);
			assert_true(region.bytes >= sizes[i]);
			assert_int_equal(region.bytes % region.page_bytes, 0);
			assert_int_equal((uintptr_t)region.base % region.page_bytes, 0);
			assert_int_equal(region.shared, 0);
			assert_true(is_zeroed(&region));
			memset(region.base, 0xff, region.bytes);
			if (numa_available() >= 0)
				assert_in_range(region.node, 0, numa_max_node());
			mdfh_region_unmap(&region);
			assert_null(region.base);
			mdfh_region_unmap(&region); /* twice does no harm */
		}
	}
	mdfh_region_unmap(NULL);
}

/* Every page is resident before the first access, or, untouched, none. */
static void test_touched(void **state)
{
	struct mdfh_region_config config = config_of((size_t)256 * 4096);
	struct mdfh_region region;
	unsigned char resident[1024];
	size_t pages;

	(void)state;
	config.hugepages = MDFH_OFF;
	assert_int_equal(mdfh_region_map(&config, &region), 0);
	pages = region.bytes / region.page_bytes;
	assert_int_equal(mincore(region.base, region.bytes, resident), 0);
	for (size_t i = 0; i < pages; i++)
		assert_int_equal(resident[i] & 1, 1);
	mdfh_region_unmap(&region);

	config.touch = MDFH_OFF;
	assert_int_equal(mdfh_region_map(&config, &region), 0);
	assert_int_equal(region.node, -1);
	assert_int_equal(mincore(region.base, region.bytes, resident), 0);
	for (size_t i = 0; i < pages; i++)
		assert_int_equal(resident[i] & 1, 0);
	mdfh_region_unmap(&region);
}

static void test_node(void **state)
{
	struct mdfh_region_config config = config_of(1 << 20);
	struct mdfh_region region;

	(void)state;
	if (numa_available() < 0) {
		print_message("no NUMA support in this kernel\n");
		skip();
	}
	for (int node = 0; node <= numa_max_node(); node++) {
		if (!numa_bitmask_isbitset(numa_all_nodes_ptr, (unsigned)node))
			continue;
		config.numa_node = node + 1;
		assert_int_equal(mdfh_region_map(&config, &region), 0);
		assert_int_equal(region.node, node);
		mdfh_region_unmap(&region);
	}
	config.numa_node = numa_max_node() + 2;
	assert_int_equal(mdfh_region_map(&config, &region), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "numa_node"));
	config.numa_node = -1;
	assert_int_equal(mdfh_region_map(&config, &region), -EINVAL);
}

static void test_errors(void **state)
{
	static const char *const names[] = {"", "/", "noslash", "/a/b", "/..//x",
	    "/a-name-of-more-than-sixty-two-characters-is-refused-by-its-length-alone"};
	struct mdfh_region_config config = config_of(0);
	struct mdfh_region region;

	(void)state;
	assert_int_equal(mdfh_region_map(&config, &region), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "bytes is 0"));
	assert_null(region.base);
	config.bytes = SIZE_MAX;
	assert_int_equal(mdfh_region_map(&config, &region), -ENOMEM);
	config.bytes = (size_t)1 << 46;
	assert_int_equal(mdfh_region_map(&config, &region), -ENOMEM);
	assert_non_null(strstr(mdfh_error_text(), "70368744177664"));
	assert_null(region.base);

	config = config_of(4096);
	config.size = 8;
	assert_int_equal(mdfh_region_map(&config, &region), -EINVAL);
	assert_int_equal(mdfh_region_map(NULL, &region), -EINVAL);
	config = config_of(4096);
	config.hugepages = (enum mdfh_switch)3;
	assert_int_equal(mdfh_region_map(&config, &region), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "hugepages is 3"));
	config = config_of(4096);
	config.touch = (enum mdfh_switch)3;
	assert_int_equal(mdfh_region_map(&config, &region), -EINVAL);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		config = config_of(4096);
		config.shared_name = names[i];
		assert_int_equal(mdfh_region_map(&config, &region), -EINVAL);
		assert_non_null(strstr(mdfh_error_text(), "shared_name"));
		assert_int_equal(mdfh_region_attach(names[i], &region), -EINVAL);
	}
	config = config_of(4096);
	config.shared_name = name;
	config.hugepages = MDFH_ON;
	assert_int_equal(mdfh_region_map(&config, &region), -ENOTSUP);

	assert_int_equal(mdfh_region_attach("/mdfh-no-such-name", &region), -ENOENT);
	assert_non_null(strstr(mdfh_error_text(), "/mdfh-no-such-name"));
	assert_int_equal(mdfh_region_attach(NULL, &region), -EINVAL);
	assert_null(region.base);
}

static void test_attach_to_nothing(void **state)
{
	struct mdfh_region region;
	int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(mdfh_region_attach(name, &region), -EPROTO);
	assert_non_null(strstr(mdfh_error_text(), "0 bytes"));
	assert_null(region.base);
	close(fd);
	shm_unlink(name);
}

static void test_shared(void **state)
{
	struct mdfh_region_config config = config_of(100000);
	struct mdfh_region made, seen, second;
	pid_t child;
	int status;

	(void)state;
	config.shared_name = name;
	assert_int_equal(mdfh_region_map(&config, &made), 0);
	assert_true(made.shared && is_zeroed(&made));
	assert_string_equal(made.shared_name, name);

	child = fork();
	assert_true(child >= 0);
	if (!child) {
		if (mdfh_region_attach(name, &seen) || seen.bytes != made.bytes)
			_exit(1);
		((volatile uint8_t *)seen.base)[seen.bytes - 1] = 42;
		mdfh_region_unmap(&seen);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(((uint8_t *)made.base)[made.bytes - 1], 42);

	/* In use: refused, and the first one is left alone. */
	assert_int_equal(mdfh_region_map(&config, &second), -EEXIST);
	assert_non_null(strstr(mdfh_error_text(), name));

	/* Whoever attached does not take the name away, whoever made it does. */
	assert_int_equal(mdfh_region_attach(name, &seen), 0);
	mdfh_region_unmap(&seen);
	assert_int_equal(mdfh_region_attach(name, &seen), 0);
	mdfh_region_unmap(&made);
	assert_int_equal(((uint8_t *)seen.base)[seen.bytes - 1], 42);
	assert_int_equal(mdfh_region_attach(name, &second), -ENOENT);
	mdfh_region_unmap(&seen);
}

static void test_left_by_the_dead(void **state)
{
	struct mdfh_region_config config = config_of(8192);
	struct mdfh_region region;
	pid_t child;
	int status, ready[2];
	char byte;

	(void)state;
	config.shared_name = name;
	assert_int_equal(pipe(ready), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		if (mdfh_region_map(&config, &region))
			_exit(1);
		*(uint8_t *)region.base = 99;
		if (write(ready[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(mdfh_region_map(&config, &region), -EEXIST);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(mdfh_region_map(&config, &region), 0);
	assert_true(is_zeroed(&region)); /* a new one, not the old contents */
	mdfh_region_unmap(&region);
	close(ready[0]);
	close(ready[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_private),
	    cmocka_unit_test(test_touched),
	    cmocka_unit_test(test_node),
	    cmocka_unit_test(test_errors),
	    cmocka_unit_test(test_attach_to_nothing),
	    cmocka_unit_test(test_shared),
	    cmocka_unit_test(test_left_by_the_dead),
	};

	snprintf(name, sizeof(name), "/mdfh-test-memory-%d", (int)getpid());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
