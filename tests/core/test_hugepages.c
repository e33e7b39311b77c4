/* test_hugepages.c - that hugepages are really used, read back from /proc/self/smaps.
 *
 * Needs root, to reserve a few 2 MB pages for the time of the test. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mdfh/error.h"
#include "mdfh/memory.h"

#define POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define MB   ((size_t)1 << 20)

static long read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	long value = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%ld", &value) != 1)
		value = -1;
	fclose(file);
	return value;
}

static int write_number(const char *path, long value)
{
	FILE *file = fopen(path, "we");

	if (!file)
		return -1;
	fprintf(file, "%ld\n", value);
	return fclose(file);
}

/* kB of one field, summed over the mappings that hold some of the region. */
static long smaps_kb(const struct mdfh_region *region, const char *field)
{
	uintptr_t low = (uintptr_t)region->base, high = low + region->bytes;
	char line[512], format[64];
	FILE *file = fopen("/proc/self/smaps", "re");
	long sum = 0;
	int inside = 0;

	assert_non_null(file);
	snprintf(format, sizeof(format), "%s: %%ld kB", field);
	while (fgets(line, sizeof(line), file)) {
		unsigned long from, to;
		long kb;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = from < high && to > low;
		else if (inside && sscanf(line, format, &kb) == 1)
			sum += kb;
	}
	fclose(file);
	return sum;
}

static struct mdfh_region_config config_of(size_t bytes, enum mdfh_switch hugepages)
{
	return (struct mdfh_region_config){
	    .size = sizeof(struct mdfh_region_config), .bytes = bytes, .hugepages = hugepages};
}

static void test_reserved(void **state)
{
	struct mdfh_region_config config = config_of(7 * MB + 1, MDFH_DEFAULT);
	struct mdfh_region region;
	long free_before = read_number(POOL "free_hugepages");

	(void)state;
	if (free_before < 4) {
		print_message("the kernel could reserve only %ld hugepages\n", free_before);
		skip();
	}
	assert_int_equal(mdfh_region_map(&config, &region), 0);
	assert_int_equal(region.reserved_hugepages, 1);
	assert_int_equal(region.page_bytes, 2 * MB);
	assert_int_equal(region.bytes, 8 * MB);
	assert_int_equal(smaps_kb(&region, "KernelPageSize"), 2048);
	assert_int_equal(smaps_kb(&region, "Private_Hugetlb"), 8192);
	assert_int_equal(read_number(POOL "free_hugepages"), free_before - 4);
	memset(region.base, 1, region.bytes);
	mdfh_region_unmap(&region);
	assert_int_equal(read_number(POOL "free_hugepages"), free_before);

	/* Asked for by name, also where a region is small; and refused by name. */
	config = config_of(4096, MDFH_ON);
	assert_int_equal(mdfh_region_map(&config, &region), 0);
	assert_int_equal(region.reserved_hugepages, 1);
	mdfh_region_unmap(&region);
	config = config_of(8 * MB, MDFH_OFF);
	assert_int_equal(mdfh_region_map(&config, &region), 0);
	assert_int_equal(region.reserved_hugepages, 0);
	assert_int_equal(smaps_kb(&region, "Private_Hugetlb"), 0);
	assert_int_equal(smaps_kb(&region, "AnonHugePages"), 0);
	mdfh_region_unmap(&region);
}

/* More than are reserved: on fails and says what to do, default takes transparent ones. */
static void test_too_few(void **state)
{
	size_t more = (size_t)(read_number(POOL "free_hugepages") + 4) * 2 * MB;
	struct mdfh_region_config config = config_of(more, MDFH_ON);
	struct mdfh_region region;
	char mode[64] = "";
	FILE *file;

	(void)state;
	assert_int_equal(mdfh_region_map(&config, &region), -ENOMEM);
	assert_non_null(strstr(mdfh_error_text(), "vm.nr_hugepages"));
	assert_null(region.base);

	config.hugepages = MDFH_DEFAULT;
	assert_int_equal(mdfh_region_map(&config, &region), 0);
	assert_int_equal(region.reserved_hugepages, 0);
	file = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
	if (!file || !fgets(mode, sizeof(mode), file) || strstr(mode, "[never]"))
		print_message("transparent hugepages are off: not checked\n");
	else
		/* Memory may be too fragmented for all of them, not for any. */
		assert_true(smaps_kb(&region, "AnonHugePages") >= 2048);
	if (file)
		fclose(file);
	mdfh_region_unmap(&region);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reserved),
	    cmocka_unit_test(test_too_few),
	};
	long before = read_number("/proc/sys/vm/nr_hugepages");
	int failed;

	if (before < 0 || write_number("/proc/sys/vm/nr_hugepages", before + 6)) {
		printf("needs root, to reserve hugepages through /proc/sys/vm/nr_hugepages\n");
		return 77;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	write_number("/proc/sys/vm/nr_hugepages", before);
	return failed;
}
