/* test_kernel_drops.c - the kernel's drop counter is read as the kernel writes it, and counters of
 * devices are counted on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/net.h"

static void test_parse(void **state)
{
	(void)state;
	/* Hexadecimal columns: processed, dropped, squeezed, ... one line per core. */
	assert_int_equal(mdfh_kernel_drops_parse("003c4773 00000000 00000001\n"), 0);
	assert_int_equal(mdfh_kernel_drops_parse("003c4773 00000010 00000001 00000000\n"
						 "00000001 0000000a 00000000 00000000\n"),
	    26);
	assert_int_equal(mdfh_kernel_drops_parse(""), 0);
	assert_int_equal(mdfh_kernel_drops_parse("\n\n"), 0);
	assert_int_equal(mdfh_kernel_drops_parse("not hexadecimal\n00000001 00000002"), 2);
}

static void test_read(void **state)
{
	int fd = mdfh_kernel_drops_open();
	uint64_t first, second;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(mdfh_kernel_drops_read(fd, &first), 1);
	assert_int_equal(mdfh_kernel_drops_read(fd, &second), 1);
	assert_true(second >= first);
	close(fd);
	assert_int_equal(mdfh_kernel_drops_read(-1, &first), 0);
}

static void test_growth(void **state)
{
	(void)state;
	assert_int_equal(mdfh_counter_growth(5, 5), 0);
	assert_int_equal(mdfh_counter_growth(5, 1ull << 40), (1ull << 40) - 5);
	/* Over the end of 32 bits. */
	assert_int_equal(mdfh_counter_growth(UINT32_MAX, 0), 1);
	assert_int_equal(mdfh_counter_growth(UINT32_MAX - 99, 149000000), 149000100);
	/* From 0 again. */
	assert_int_equal(mdfh_counter_growth(4000000000, 5), 5);
	assert_int_equal(mdfh_counter_growth(3000000000, 5), 5);
	assert_int_equal(mdfh_counter_growth(100, 7), 7);
	assert_int_equal(mdfh_counter_growth(1ull << 32, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parse),
	    cmocka_unit_test(test_read),
	    cmocka_unit_test(test_growth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
