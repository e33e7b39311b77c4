/* test_device_clock.c - a device's clock beside the host's, both simulated: whatever they drift, jitter,
 * wrap or are set, a stamp is within the bound that is given with it, or is not called in sync. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/device_clock.h"
#include "core/random.h"
#include "mdfh/error.h"

#define S  1000000000LL
#define US 1000LL
#define T0 1700000000000000000LL

/* Both clocks as functions of true time, which begins at 0. */
struct world {
	uint64_t random;
	int64_t now_ns;    /* true */
	int64_t host_ns;   /* host minus true: changes when it is set */
	long double ticks; /* of the device, not wrapped, at now_ns */
	long double hz;
	long double rate;   /* device's, over its nominal one */
	long double wander; /* most that rate changes at each sample */
	uint32_t bits;
	int64_t read_ns;   /* shortest bracket of a sample */
	int64_t jitter_ns; /* longest that it is longer */
	struct mdfh_device_clock clock;
};

static uint64_t draw(struct world *world, uint64_t n)
{
	return n ? mdfh_random_next(&world->random) % n : 0;
}

static void pass(struct world *world, int64_t ns)
{
	world->now_ns += ns;
	world->ticks += (long double)ns * world->hz / S * world->rate;
}

static uint64_t counter(const struct world *world)
{
	uint64_t ticks = (uint64_t)world->ticks;

	return world->bits < 64 ? ticks & ((1ULL << world->bits) - 1) : ticks;
}

static uint64_t host(const struct world *world)
{
	return (uint64_t)(T0 + world->now_ns + world->host_ns);
}

/* Read the device between two readings of the host, each part as long as chance wants. */
static int sample(struct world *world)
{
	uint64_t before = host(world), ticks, after;
	int64_t change = (int64_t)draw(world, 2001) - 1000;

	pass(world, world->read_ns / 2 + (int64_t)draw(world, (uint64_t)world->jitter_ns + 1));
	ticks = counter(world);
	pass(world, world->read_ns / 2 + (int64_t)draw(world, (uint64_t)world->jitter_ns + 1));
	after = host(world);
	world->rate += world->wander * change / 1000;
	return mdfh_device_clock_sample(&world->clock, ticks, before, after, 1);
}

static struct world begin(uint64_t seed, double hz, double ppm, uint32_t bits, int known)
{
	struct world world = {.random = seed,
	    .hz = hz,
	    .rate = 1 + ppm * 1e-6L,
	    .bits = bits,
	    .read_ns = 800,
	    .jitter_ns = 400,
	    .ticks = 12345};
	struct mdfh_device_clock_config config = {
	    .frequency_hz = known ? (uint64_t)hz : 0, .counter_bits = bits};

	assert_int_equal(mdfh_device_clock_init(&world.clock, &config), 0);
	return world;
}

/* A stamp made now is placed where the host's clock is, within its bound; returns the bound. */
static uint32_t check_stamp(const struct world *world)
{
	struct mdfh_device_line line = mdfh_device_clock_line(&world->clock);
	uint64_t ticks = counter(world);
	int64_t off = (int64_t)(mdfh_device_line_ns(&line, ticks) - host(world));
	uint32_t error = mdfh_device_line_error(&line, ticks);

	assert_int_not_equal(line.state, MDFH_DEVICE_CLOCK_UNKNOWN);
	/* The counter itself is cut to whole ticks. */
	if ((off < 0 ? -off : off) > error + S / (int64_t)world->hz + 1)
		fail_msg("%lld ns off, but said to be within %u (at %lld)", (long long)off, error,
		    (long long)world->now_ns);
	return error;
}

static enum mdfh_device_clock_state state_of(const struct world *world)
{
	return mdfh_device_clock_line(&world->clock).state;
}

/* Samples every interval, stamps in between; the largest bound of the last half. */
static uint32_t run(struct world *world, int samples, int64_t interval)
{
	uint32_t worst = 0;

	for (int i = 0; i < samples; i++) {
		assert_int_equal(sample(world), 1);
		for (int stamp = 0; stamp < 8; stamp++) {
			pass(world, (int64_t)draw(world, (uint64_t)interval / 4));
			if (state_of(world) != MDFH_DEVICE_CLOCK_UNKNOWN) {
				uint32_t error = check_stamp(world);

				if (i > samples / 2 && error > worst)
					worst = error;
			}
		}
		mdfh_device_clock_check(&world->clock, host(world));
		if (i >= 2)
			assert_int_equal(state_of(world), MDFH_DEVICE_CLOCK_SYNC);
	}
	return worst;
}

/* Every kind of counter, drifts within the tolerance, rates that wander as far as is believed. */
static void test_bound(void **state)
{
	static const struct {
		double hz;
		uint32_t bits;
		int64_t interval;
	} kinds[] = {
	    {1e9, 64, S}, /* PTP clock in ns */
	    {156.25e6, 64, S},
	    {350e6, 32, S},   /* wraps every 12.3 s */
	    {1e6, 24, 2 * S}, /* every 16.8 s */
	    {644.53125e6, 48, S},
	    {10e9, 64, S / 10},
	};

	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
			double ppm = (double)(seed % 9) * 20 - 80;
			struct world world =
			    begin(seed, kinds[i].hz, ppm, kinds[i].bits, (int)(seed & 1));

			world.wander = 1e-6L * (seed % 3);
			world.ticks += (long double)draw(&world, 1ULL << 40);
			run(&world, 60, kinds[i].interval);
			assert_int_equal(world.clock.stats.samples, 60);
			assert_int_equal(world.clock.stats.rejected, 0);
			assert_int_equal(world.clock.stats.steps, 0);
		}
	}
}

/* With steady rates the bound is not much above half a bracket and the believed wander. */
static void test_bound_is_tight(void **state)
{
	struct world world = begin(3, 1e9, 37, 64, 1);
	uint32_t worst = run(&world, 60, S);
	int64_t drift = world.clock.stats.drift_ppb;

	(void)state;
	/* 1.6 us of bracket at most, 2 s between samples at 2 ppm and a little for the slope. */
	assert_true(worst < 12000);
	assert_true(world.clock.stats.error_ns < 1600);
	assert_true(world.clock.stats.bracket_ns >= 800 && world.clock.stats.bracket_ns <= 1602);
	assert_true(drift > 36500 && drift < 37500);
	assert_int_equal(world.clock.stats.state, MDFH_DEVICE_CLOCK_SYNC);
	assert_true(host(&world) - world.clock.stats.last_sample_ns < 3ULL * S);
}

static void test_learned_frequency(void **state)
{
	struct world world = begin(5, 312.5e6, 0, 64, 0);

	(void)state;
	assert_int_equal(sample(&world), 1);
	assert_int_equal(state_of(&world), MDFH_DEVICE_CLOCK_UNKNOWN);
	run(&world, 20, S);
	assert_true(world.clock.config.frequency_hz > 312499000);
	assert_true(world.clock.config.frequency_hz < 312501000);
}

/* A wild sample now and then changes nothing but the count. */
static void test_outliers(void **state)
{
	struct world world = begin(9, 1e9, -12, 64, 1);

	(void)state;
	run(&world, 10, S);
	for (int i = 0; i < 100; i++) {
		int64_t wrong = (int64_t)draw(&world, 10 * S) + 100 * US;

		pass(&world, S / 2);
		assert_int_equal(mdfh_device_clock_sample(&world.clock,
				     counter(&world) + (uint64_t)(i & 1 ? wrong : -wrong),
				     host(&world), host(&world) + 800, 1),
		    0);
		pass(&world, S / 4);
		check_stamp(&world);
		assert_int_equal(state_of(&world), MDFH_DEVICE_CLOCK_SYNC);
		assert_int_equal(sample(&world), 1);
		check_stamp(&world);
	}
	assert_int_equal(world.clock.stats.rejected, 100);
	assert_int_equal(world.clock.stats.steps, 0);
	/* A bracket that ends before it begins is none. */
	assert_int_equal(mdfh_device_clock_sample(
			     &world.clock, counter(&world), host(&world), host(&world) - 1, 1),
	    0);
	assert_int_equal(world.clock.stats.rejected, 101);
	/* One that is wide is believed, and does not spoil the line. */
	{
		uint64_t before = host(&world), ticks = counter(&world);

		pass(&world, 5000 * US);
		assert_int_equal(
		    mdfh_device_clock_sample(&world.clock, ticks, before, host(&world), 1), 1);
		assert_true(check_stamp(&world) < 100 * US);
	}
}

/* Either clock is set: doubt at the second contradiction, a new line at the third. */
static void test_steps(void **state)
{
	static const int64_t steps_ns[] = {3600 * S, -3600 * S, 50000 * US, -50000 * US, 100 * US};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(steps_ns) / sizeof(steps_ns[0]); i++) {
		int of_device = i & 1;
		uint32_t bits = i % 3 == 1 ? 36 : 64;
		struct world world = begin(i + 1, 1e9, 20, bits, 1);

		world.ticks = 4e12L;
		run(&world, 20, S);
		if (of_device)
			world.ticks += (long double)steps_ns[i / 2];
		else
			world.host_ns += steps_ns[i / 2];
		pass(&world, S);
		assert_int_equal(sample(&world), 0);
		pass(&world, S);
		assert_int_equal(sample(&world), 0);
		assert_int_equal(state_of(&world), MDFH_DEVICE_CLOCK_FREE);
		pass(&world, S);
		assert_int_equal(sample(&world), 1);
		check_stamp(&world);
		assert_int_equal(world.clock.stats.steps, 1);
		run(&world, 20, S);
		assert_int_equal(world.clock.stats.steps, 1);
	}
}

/* The host is slewed harder than is believed: it takes a new line, and never a false bound in sync
 * once that is found out. */
static void test_slew(void **state)
{
	struct world world = begin(2, 1e9, 0, 64, 1);

	(void)state;
	run(&world, 20, S);
	world.rate *= 1 + 300e-6L;
	for (int i = 0; i < 3; i++) {
		pass(&world, S);
		sample(&world);
	}
	assert_true(world.clock.stats.steps == 1);
	run(&world, 20, S);
}

static void test_stale(void **state)
{
	struct world world = begin(4, 1e9, 5, 64, 1);
	struct world narrow = begin(4, 350e6, 5, 32, 1);

	(void)state;
	run(&world, 10, S);
	pass(&world, 7 * S);
	mdfh_device_clock_check(&world.clock, host(&world));
	assert_int_equal(state_of(&world), MDFH_DEVICE_CLOCK_SYNC);
	pass(&world, 4 * S);
	mdfh_device_clock_check(&world.clock, host(&world));
	assert_int_equal(state_of(&world), MDFH_DEVICE_CLOCK_FREE);
	check_stamp(&world);
	assert_int_equal(sample(&world), 1);
	assert_int_equal(state_of(&world), MDFH_DEVICE_CLOCK_SYNC);
	/* 32 bits at 350 MHz: after three seconds it is not known which wrap a stamp is of. */
	run(&narrow, 10, S);
	pass(&narrow, 4 * S);
	mdfh_device_clock_check(&narrow.clock, host(&narrow));
	assert_int_equal(state_of(&narrow), MDFH_DEVICE_CLOCK_UNKNOWN);
	pass(&narrow, 100 * S);
	run(&narrow, 10, S);
	assert_int_equal(narrow.clock.stats.steps, 0);
}

/* In step with a host that is not in step with UTC is not in sync. */
static void test_host_out_of_sync(void **state)
{
	struct world world = begin(6, 1e9, 5, 64, 1);
	uint64_t now;

	(void)state;
	run(&world, 10, S);
	now = host(&world);
	assert_int_equal(
	    mdfh_device_clock_sample(&world.clock, counter(&world), now - 400, now + 400, 0), 1);
	assert_int_equal(state_of(&world), MDFH_DEVICE_CLOCK_FREE);
	check_stamp(&world);
}

/* A counter that stands still is no clock. */
static void test_dead_counter(void **state)
{
	struct mdfh_device_clock clock;
	struct mdfh_device_clock_config config = {0};

	(void)state;
	assert_int_equal(mdfh_device_clock_init(&clock, &config), 0);
	for (int64_t i = 0; i < 50; i++) {
		uint64_t now = (uint64_t)(T0 + i * S);

		mdfh_device_clock_sample(&clock, 77, now, now + 1000, 1);
		mdfh_device_clock_check(&clock, now + 1000);
		assert_int_equal(mdfh_device_clock_line(&clock).state, MDFH_DEVICE_CLOCK_UNKNOWN);
	}
}

static void test_config(void **state)
{
	static const struct mdfh_device_clock_config bad[] = {{.counter_bits = 7},
	    {.counter_bits = 65}, {.frequency_hz = 99999}, {.frequency_hz = 100000000001}};
	struct mdfh_device_clock clock;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(mdfh_device_clock_init(&clock, &bad[i]), -EINVAL);
		assert_non_null(strstr(mdfh_error_text(), "device clock: "));
	}
}

/* A reader beside the control thread: every line that it sees is whole. */
struct shared {
	struct mdfh_device_clock clock;
	_Atomic int over;
	uint64_t reads;
	int broken;
};

static void *read_lines(void *context)
{
	struct shared *shared = context;

	while (!atomic_load(&shared->over)) {
		struct mdfh_device_line line = mdfh_device_clock_line(&shared->clock);

		/* The device counts ns since the epoch exactly, and lines begin a second
		 * apart: parts of two are off by that. */
		if (line.state != MDFH_DEVICE_CLOCK_UNKNOWN) {
			uint64_t ns = mdfh_device_line_ns(&line, (uint64_t)(T0 + 5 * S));
			int64_t off = (int64_t)(ns - (uint64_t)(T0 + 5 * S));

			shared->broken |= off > 500 * 1000 * US || off < -500 * 1000 * US;
			shared->reads++;
		}
	}
	return NULL;
}

static void test_reader(void **state)
{
	static struct shared shared;
	struct mdfh_device_clock_config config = {.frequency_hz = S};
	uint64_t random = 1;
	pthread_t thread;

	(void)state;
	assert_int_equal(mdfh_device_clock_init(&shared.clock, &config), 0);
	for (int64_t i = 0; i < 3; i++)
		mdfh_device_clock_sample(&shared.clock, (uint64_t)(T0 + i * S),
		    (uint64_t)(T0 + i * S - 10), (uint64_t)(T0 + i * S + 10), 1);
	assert_int_equal(pthread_create(&thread, NULL, read_lines, &shared), 0);
	for (int64_t i = 3; i < 20000; i++) {
		int64_t at = T0 + i * S;
		int64_t skew = (int64_t)(mdfh_random_next(&random) % 19) - 9;

		assert_int_equal(mdfh_device_clock_sample(&shared.clock, (uint64_t)at,
				     (uint64_t)(at - 10 + skew), (uint64_t)(at + 10 + skew), 1),
		    1);
	}
	atomic_store(&shared.over, 1);
	pthread_join(thread, NULL);
	assert_false(shared.broken);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bound),
	    cmocka_unit_test(test_bound_is_tight),
	    cmocka_unit_test(test_learned_frequency),
	    cmocka_unit_test(test_outliers),
	    cmocka_unit_test(test_steps),
	    cmocka_unit_test(test_slew),
	    cmocka_unit_test(test_stale),
	    cmocka_unit_test(test_host_out_of_sync),
	    cmocka_unit_test(test_dead_counter),
	    cmocka_unit_test(test_config),
	    cmocka_unit_test(test_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
