/* test_clock.c - the clock beside clock_gettime: within its stated bound, never backwards.
 *
 * Each reading is bracketed by two others, so that being preempted in between widens the
 * bracket instead of failing the test. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "mdfh/clock.h"

#define MS 1000000L

static uint64_t system_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void pass_ns(long ns)
{
	nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

/* now_ns between two readings of the system clock must lie between them, but for the bound. */
static void check_within_bound(int readings)
{
	for (int i = 0; i < readings; i++) {
		uint64_t before = system_ns(CLOCK_REALTIME);
		uint64_t now = mdfh_clock_now_ns();
		uint64_t after = system_ns(CLOCK_REALTIME);
		uint64_t bound = mdfh_clock_error_ns();

		if (now + bound < before || now > after + bound)
			fail_msg("reading %d: %llu is not within %llu..%llu by %llu ns", i,
			    (unsigned long long)now, (unsigned long long)before,
			    (unsigned long long)after, (unsigned long long)bound);
	}
}

static void test_before_start(void **state)
{
	(void)state;
	check_within_bound(100);
	assert_int_equal(mdfh_clock_is_tsc(), 0);
	assert_int_equal(mdfh_clock_ticks_to_ns(12345), 12345);
	mdfh_clock_recalibrate(); /* nothing to do, and no crash */
}

static void test_bound_is_kept(void **state)
{
	(void)state;
	assert_int_equal(mdfh_clock_start(), 0);
	assert_int_equal(mdfh_clock_start(), 0);
	/* A clock that says "within a millisecond" would pass every test of the bound. */
	assert_true(mdfh_clock_error_ns() < 1000 * 1000);
	check_within_bound(20000);
	for (int i = 0; i < 5; i++) {
		pass_ns(50 * MS);
		check_within_bound(5000);
		mdfh_clock_recalibrate();
		check_within_bound(5000);
	}
	assert_true(mdfh_clock_error_ns() < 1000 * 1000);
}

static void test_bound_grows(void **state)
{
	uint32_t first, later;

	(void)state;
	if (!mdfh_clock_is_tsc())
		skip();
	mdfh_clock_recalibrate();
	first = mdfh_clock_error_ns();
	pass_ns(200 * MS);
	later = mdfh_clock_error_ns();
	/* 20 ppm of 0.2 s. */
	assert_true(later >= first + 3900);
}

static void test_ticks(void **state)
{
	uint64_t monotonic, outer, inner, ticks;

	(void)state;
	monotonic = system_ns(CLOCK_MONOTONIC);
	ticks = mdfh_clock_ticks();
	inner = system_ns(CLOCK_MONOTONIC);
	pass_ns(100 * MS);
	inner = system_ns(CLOCK_MONOTONIC) - inner;
	ticks = mdfh_clock_ticks_to_ns(mdfh_clock_ticks() - ticks);
	outer = system_ns(CLOCK_MONOTONIC) - monotonic;
	/* Within 0.1 % on both sides: the counter is not read at the same moment. */
	assert_true(ticks + ticks / 1000 >= inner);
	assert_true(ticks <= outer + outer / 1000);
	assert_int_equal(mdfh_clock_ticks_to_ns(0), 0);
	/* A day's worth of ticks does not overflow: 86,400 times a second's. */
	ticks = 10000000000u;
	assert_true(mdfh_clock_ticks_to_ns(ticks * 86400) >= mdfh_clock_ticks_to_ns(ticks) * 86400);
}

static void *recalibrate_often(void *context)
{
	_Atomic int *stop = context;

	for (int i = 0; i < 100 && !atomic_load(stop); i++) {
		mdfh_clock_recalibrate();
		pass_ns(6 * MS);
	}
	return NULL;
}

/* While another thread recalibrates as fast as it may. A thread that is preempted between
 * taking the time and publishing the line may set the clock back by the slew of that time:
 * at most 500 ppm of a few ms. */
static void test_monotone(void **state)
{
	_Atomic int stop = 0;
	pthread_t thread;
	uint64_t last = mdfh_clock_now_ns();
	uint64_t largest_back = 0;

	(void)state;
	for (int i = 0; i < 1000000; i++) {
		uint64_t now = mdfh_clock_now_ns();

		assert_true(now >= last);
		last = now;
	}
	assert_int_equal(pthread_create(&thread, NULL, recalibrate_often, &stop), 0);
	for (int i = 0; i < 5000000; i++) {
		uint64_t now = mdfh_clock_now_ns();

		if (now < last && last - now > largest_back)
			largest_back = last - now;
		last = now;
	}
	atomic_store(&stop, 1);
	pthread_join(thread, NULL);
	assert_true(largest_back <= 5000);
	check_within_bound(1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_before_start),
	    cmocka_unit_test(test_bound_is_kept),
	    cmocka_unit_test(test_bound_grows),
	    cmocka_unit_test(test_ticks),
	    cmocka_unit_test(test_monotone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
