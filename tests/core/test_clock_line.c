/* test_clock_line.c - corrections of the clock, on a simulated counter and system clock: time
 * does not fall, an offset goes away, the stated error holds, a clock that was set is followed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/clock_line.h"

#define HZ 2445000000ull /* ticks a second */
#define S  1000000000ull
#define T0 1700000000000000000ull

/* A system clock that runs off by ppm of the counter's nominal rate. */
struct simulation {
	int64_t ppm;
	uint64_t wall_ns; /* at ticks */
	uint64_t ticks;
	struct mdfh_clock_line line;
};

static uint64_t wall_after(const struct simulation *sim, uint64_t ticks)
{
	uint64_t nominal = (uint64_t)((mdfh_wide)ticks * S / HZ);

	return sim->wall_ns + nominal + (uint64_t)((int64_t)nominal / MDFH_CLOCK_PPM * sim->ppm);
}

static void advance(struct simulation *sim, uint64_t ticks)
{
	sim->wall_ns = wall_after(sim, ticks);
	sim->ticks += ticks;
}

static int64_t offset_of(const struct simulation *sim)
{
	return (int64_t)(mdfh_clock_line_ns(&sim->line, sim->ticks) - sim->wall_ns);
}

static void assert_bound(const struct simulation *sim)
{
	int64_t offset = offset_of(sim);
	uint64_t error = mdfh_clock_line_error(&sim->line, sim->ticks);

	if ((uint64_t)(offset < 0 ? -offset : offset) > error)
		fail_msg("%lld ns off, but said to be within %llu", (long long)offset,
		    (unsigned long long)error);
}

static struct simulation start(int64_t ppm)
{
	struct simulation sim = {.ppm = ppm, .wall_ns = T0, .ticks = 123456789};
	uint64_t rate = mdfh_clock_rate(wall_after(&sim, HZ) - T0, HZ);

	sim.line = (struct mdfh_clock_line){
	    sim.ticks, T0, 20, rate, rate, mdfh_clock_drift_rate(rate, 100, HZ)};
	return sim;
}

/* One second passes, read a hundred times; then a correction. */
static void second(struct simulation *sim)
{
	uint64_t from = sim->wall_ns, last = 0, before, rate;

	for (int i = 0; i < 100; i++) {
		uint64_t now;

		advance(sim, HZ / 100);
		now = mdfh_clock_line_ns(&sim->line, sim->ticks);
		assert_true(now > last);
		last = now;
	}
	rate = mdfh_clock_rate(sim->wall_ns - from, HZ / 100 * 100);
	before = mdfh_clock_line_ns(&sim->line, sim->ticks);
	sim->line = mdfh_clock_correct(
	    &sim->line, sim->ticks, sim->wall_ns, 20, rate, mdfh_clock_drift_rate(rate, 100, HZ));
	if (mdfh_clock_line_ns(&sim->line, sim->ticks) != before)
		assert_true(offset_of(sim) == 0);
	assert_bound(sim);
}

static void test_conversion(void **state)
{
	uint64_t rate = mdfh_clock_rate(S, HZ);

	(void)state;
	assert_int_equal(mdfh_clock_scaled(0, rate), 0);
	/* Exact to a nanosecond after an hour, to 2^-48 of a tick's length a tick. */
	for (uint64_t s = 1; s <= 3600; s++) {
		uint64_t ns = mdfh_clock_scaled(s * HZ, rate);

		assert_in_range(ns, s * S - 1 - s * HZ / ((uint64_t)1 << 48), s * S);
	}
	/* A year of ticks does not overflow. */
	assert_in_range(mdfh_clock_scaled((uint64_t)86400 * 365 * HZ, rate),
	    (uint64_t)86400 * 365 * S - 1000, (uint64_t)86400 * 365 * S);
}

static void test_line_runs_both_ways(void **state)
{
	struct simulation sim = start(0);

	(void)state;
	assert_int_equal(mdfh_clock_line_ns(&sim.line, sim.ticks), T0);
	assert_in_range(mdfh_clock_line_ns(&sim.line, sim.ticks + HZ), T0 + S - 1, T0 + S);
	assert_in_range(
	    mdfh_clock_line_ns(&sim.line, sim.ticks - HZ / 1000), T0 - S / 1000, T0 - S / 1000 + 1);
	/* Before its start the error does not grow below what it began with. */
	assert_int_equal(mdfh_clock_line_error(&sim.line, sim.ticks - 1000), 21);
}

/* The system clock's rate changes by less than what the bound allows for. */
static void test_drift(void **state)
{
	(void)state;
	for (int64_t change = -18; change <= 18; change += 9) {
		struct simulation sim = start(-30);

		sim.ppm += change;
		for (int i = 0; i < 30; i++) {
			advance(&sim, HZ);
			assert_bound(&sim);
			second(&sim);
		}
		/* 36 us after the first two seconds at worst, absorbed since. */
		assert_in_range(offset_of(&sim) + 1000, 0, 2000);
	}
}

/* An offset below a step is slewed away without time falling, and not faster than it may. */
static void test_slew(void **state)
{
	static const int64_t offsets[] = {-9000000, -400000, -1000, 1000, 400000, 9000000};

	(void)state;
	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		struct simulation sim = start(12);
		int64_t last;

		sim.wall_ns += (uint64_t)offsets[i];
		second(&sim);
		for (int s = 0; s < 45; s++) {
			int64_t moved;

			last = offset_of(&sim);
			second(&sim);
			moved = offset_of(&sim) - last;
			assert_in_range(moved + 501000, 0, 1002000);
		}
		assert_in_range(offset_of(&sim) + 1000, 0, 2000);
		/* The bound is tight again too. */
		assert_true(mdfh_clock_line_error(&sim.line, sim.ticks) < 2100);
	}
}

/* Corrected rarely, the clock does not swing: each correction leaves half of the offset. */
static void test_rare_corrections(void **state)
{
	(void)state;
	for (uint64_t seconds = 1; seconds <= 1000; seconds *= 10) {
		struct simulation sim = start(0);
		uint64_t rate = sim.line.rate;

		sim.wall_ns += 300000;
		for (int i = 0; i < 12; i++) {
			advance(&sim, seconds * HZ);
			/* Of the clock that was set it cannot know before the first one. */
			if (i)
				assert_bound(&sim);
			sim.line = mdfh_clock_correct(&sim.line, sim.ticks, sim.wall_ns, 20, rate,
			    mdfh_clock_drift_rate(rate, 100, HZ));
		}
		assert_in_range(offset_of(&sim) + (int64_t)(seconds * 1000), 0, seconds * 2000);
	}
}

/* Differences in ticks do not feel the slew. */
static void test_rate_is_not_slewed(void **state)
{
	struct simulation sim = start(0);

	(void)state;
	sim.wall_ns += 5000000;
	second(&sim);
	assert_true(sim.line.slope > sim.line.rate);
	assert_in_range(mdfh_clock_scaled(HZ, sim.line.rate), S - 10, S + 10);
}

static void test_step(void **state)
{
	static const int64_t steps[] = {
	    -3600000000000, -11000000, 11000000, 3600000000000, 1000000000000000000};

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct simulation sim = start(-5);

		second(&sim);
		sim.wall_ns += (uint64_t)steps[i];
		second(&sim);
		assert_int_equal(offset_of(&sim), 0);
		assert_int_equal(sim.line.slope, sim.line.rate);
		second(&sim);
		assert_in_range(offset_of(&sim) + 100, 0, 200);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_conversion),
	    cmocka_unit_test(test_line_runs_both_ways),
	    cmocka_unit_test(test_drift),
	    cmocka_unit_test(test_slew),
	    cmocka_unit_test(test_rare_corrections),
	    cmocka_unit_test(test_rate_is_not_slewed),
	    cmocka_unit_test(test_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
