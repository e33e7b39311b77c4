/* test_host_clock.c - what the kernel says of its clock: in step or not, and how far off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/timex.h>

#include "core/host_clock.h"

static void test_judge(void **state)
{
	uint32_t error_ns = 0;

	(void)state;
	assert_int_equal(mdfh_host_clock_judge(TIME_OK, STA_PLL, 1500, &error_ns), 1);
	assert_int_equal(error_ns, 1500000);
	assert_int_equal(mdfh_host_clock_judge(TIME_OK, STA_PLL, 4294966, &error_ns), 1);
	assert_int_equal(error_ns, 4294966000U);
	assert_int_equal(mdfh_host_clock_judge(TIME_OK, STA_PLL, 4294967, &error_ns), 0);
	assert_int_equal(error_ns, UINT32_MAX);
	assert_int_equal(mdfh_host_clock_judge(TIME_ERROR, STA_UNSYNC, 16000000, &error_ns), 0);
	assert_int_equal(mdfh_host_clock_judge(TIME_OK, STA_UNSYNC, 10, &error_ns), 0);
	assert_int_equal(mdfh_host_clock_judge(-1, 0, 0, &error_ns), 0);
	assert_int_equal(error_ns, UINT32_MAX);
}

/* The kernel asked here and there a moment later agree, whatever the machine's state is. */
static void test_kernel(void **state)
{
	struct timex t = {0};
	uint32_t error_ns = 7;
	int result = adjtimex(&t);
	int synced = mdfh_host_clock_sync(&error_ns);

	(void)state;
	assert_int_equal(synced,
	    result >= 0 && !(t.status & STA_UNSYNC) && t.maxerror >= 0 && t.maxerror < 4294967);
	assert_int_equal(error_ns == UINT32_MAX, !synced);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_judge), cmocka_unit_test(test_kernel)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
