/* clock.c - the TSC as a clock: one line per calibration, wall time = base + ticks * slope.
 *
 * A reading of CLOCK_REALTIME is placed on the counter by bracketing it between two counter
 * reads; of several tries the tightest bracket wins, and half its width is the error of that
 * pair. Two pairs give the slope. The slope is kept as ns per tick in 16.48 fixed point, so that
 * a conversion is one 64x64 multiply and a shift.
 *
 * The line is published as two copies and a version: readers use copy[version & 1] while the
 * writer fills the other one, so a reader repeats only when a whole recalibration fell inside
 * its read, and never waits for a writer that was preempted. */
#include "mdfh/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

enum {
	SLOPE_SHIFT = 48,
	BRACKET_TRIES = 32,
	START_NS = 10 * 1000 * 1000,
	/* Offsets up to this are slewed away, larger ones are steps of the system clock. */
	STEP_NS = 10 * 1000 * 1000,
	/* An offset is absorbed over this time, but never faster than by SLEW_PPM_MAX. */
	SLEW_NS = 1000 * 1000 * 1000,
	SLEW_PPM_MAX = 500,
	PPM = 1000000,
	/* What CLOCK_REALTIME may drift from its own measured rate; see mdfh_clock_error_ns. */
	DRIFT_PPM = 20,
	/* A slope is measured over at least this long, or the brackets' width would dominate. */
	SLOPE_BASE_NS = 5 * 1000 * 1000,
};

#define NS_PER_S 1000000000u

__extension__ typedef unsigned __int128 wide;

/* ns = base ns + (ticks - base ticks) * slope.
 *
 * Stored with release and loaded with acquire, so that the check of the version that follows a
 * torn read always sees the version that caused it. */
struct line {
	_Atomic uint64_t ticks;
	_Atomic uint64_t ns;
	_Atomic uint64_t slope;      /* ns per tick << SLOPE_SHIFT */
	_Atomic uint64_t error_ns;   /* at ticks */
	_Atomic uint64_t drift_rate; /* growth of the error, ns per tick << SLOPE_SHIFT */
};

struct pair {
	uint64_t ticks;
	uint64_t ns;
	uint64_t error_ticks;
};

/* Readers touch these two lines only; the version stands beside the copies. */
static struct {
	_Alignas(MDFH_CACHE_LINE) _Atomic uint32_t version;
	_Atomic int tsc;
	struct line copy[2];
} shared;

/* Of the one thread that calibrates. */
static struct {
	pthread_mutex_t lock;
	int started;
	struct pair last; /* of CLOCK_MONOTONIC: it runs as CLOCK_REALTIME does, but is never set */
	uint64_t slope;   /* measured, without slewing */
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Counter ------------------------------------------------------------- */

static uint64_t system_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

#if defined(__x86_64__)

static inline uint64_t counter(void)
{
	return __builtin_ia32_rdtsc();
}

static int counter_is_invariant(void)
{
	unsigned a, b, c, d;

	/* AMD APM 3 and Intel SDM 2A, CPUID Fn8000_0007: EDX bit 8 is the invariant TSC. */
	return __get_cpuid(0x80000007u, &a, &b, &c, &d) && (d & (1u << 8));
}

#elif defined(__aarch64__)

static inline uint64_t counter(void)
{
	uint64_t ticks;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
	return ticks;
}

/* The generic timer counts at a fixed rate on every core (Arm ARM D11.1.2). */
static int counter_is_invariant(void)
{
	return 1;
}

#else

static inline uint64_t counter(void)
{
	return system_ns(CLOCK_MONOTONIC);
}

static int counter_is_invariant(void)
{
	return 0;
}

#endif

/* The kernel compares the cores' counters while it boots and runs, and leaves the TSC for one
 * of these when they disagree. */
static int kernel_distrusts_counter(void)
{
	static const char *const others[] = {"hpet", "acpi_pm", "jiffies", "refined-jiffies"};
	char name[32] = "";
	FILE *file =
	    fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");

	if (!file)
		return 0;
	if (fgets(name, sizeof(name), file))
		name[strcspn(name, "\n")] = '\0';
	fclose(file);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (!strcmp(name, others[i]))
			return 1;
	}
	return 0;
}

/* Reading ------------------------------------------------------------- */

struct reading {
	uint64_t ticks, ns, slope, error_ns, drift_rate;
};

static inline int running(void)
{
	/* Pairs with the release store of mdfh_clock_start. */
	return atomic_load_explicit(&shared.tsc, memory_order_acquire);
}

/* The line now in force, whole. */
static inline struct reading read_line(void)
{
	struct reading r;
	uint32_t version;

	do {
		/* Pairs with the last store of publish; the loads below with its other ones. */
		version = atomic_load_explicit(&shared.version, memory_order_acquire);
		const struct line *line = &shared.copy[version & 1];

		r.ticks = atomic_load_explicit(&line->ticks, memory_order_acquire);
		r.ns = atomic_load_explicit(&line->ns, memory_order_acquire);
		r.slope = atomic_load_explicit(&line->slope, memory_order_acquire);
		r.error_ns = atomic_load_explicit(&line->error_ns, memory_order_acquire);
		r.drift_rate = atomic_load_explicit(&line->drift_rate, memory_order_acquire);
	} while (atomic_load_explicit(&shared.version, memory_order_relaxed) != version);
	return r;
}

static inline uint64_t scaled(uint64_t ticks, uint64_t slope)
{
	return (uint64_t)(((wide)ticks * slope) >> SLOPE_SHIFT);
}

/* A counter read just before the line was published stands before its base: on another core,
 * or preempted. */
static inline uint64_t line_at(const struct reading *r, uint64_t ticks)
{
	if (ticks >= r->ticks)
		return r->ns + scaled(ticks - r->ticks, r->slope);
	return r->ns - scaled(r->ticks - ticks, r->slope);
}

uint64_t mdfh_clock_now_ns(void)
{
	struct reading r;

	if (!running())
		return system_ns(CLOCK_REALTIME);
	r = read_line();
	return line_at(&r, counter());
}

uint64_t mdfh_clock_ticks(void)
{
	return running() ? counter() : system_ns(CLOCK_MONOTONIC);
}

uint64_t mdfh_clock_ticks_to_ns(uint64_t ticks)
{
	return running() ? scaled(ticks, read_line().slope) : ticks;
}

uint32_t mdfh_clock_error_ns(void)
{
	struct reading r;
	uint64_t now, error;

	if (!running())
		return 1;
	r = read_line();
	now = counter();
	error = r.error_ns + 1;
	if (now > r.ticks)
		error += scaled(now - r.ticks, r.drift_rate);
	return error < UINT32_MAX ? (uint32_t)error : UINT32_MAX;
}

int mdfh_clock_is_tsc(void)
{
	return running();
}

/* Calibration --------------------------------------------------------- */

static uint64_t ratio(uint64_t ns, uint64_t ticks)
{
	return (uint64_t)(((wide)ns << SLOPE_SHIFT) / ticks);
}

static struct pair measure(clockid_t id)
{
	struct pair best = {.error_ticks = UINT64_MAX};

	for (int i = 0; i < BRACKET_TRIES; i++) {
		uint64_t before = counter();
		uint64_t ns = system_ns(id);
		uint64_t half = (counter() - before) / 2 + 1;

		if (half < best.error_ticks)
			best = (struct pair){before + half, ns, half};
	}
	return best;
}

static void publish(uint64_t ticks, uint64_t ns, uint64_t slope, uint64_t error_ns, uint64_t drift)
{
	uint32_t version = atomic_load_explicit(&shared.version, memory_order_relaxed);
	struct line *line = &shared.copy[(version + 1) & 1];

	/* Pair with the acquire loads of read_line. */
	atomic_store_explicit(&line->ticks, ticks, memory_order_release);
	atomic_store_explicit(&line->ns, ns, memory_order_release);
	atomic_store_explicit(&line->slope, slope, memory_order_release);
	atomic_store_explicit(&line->error_ns, error_ns, memory_order_release);
	atomic_store_explicit(&line->drift_rate, drift, memory_order_release);
	atomic_store_explicit(&shared.version, version + 1, memory_order_release);
}

/* How fast the error grows: both brackets may have been wrong in opposite directions, and the
 * system clock may be steered. */
static uint64_t drift_rate(struct pair a, struct pair b, uint64_t slope)
{
	uint64_t width = scaled(a.error_ticks + b.error_ticks, slope) + 2;

	return ratio(width, b.ticks - a.ticks) + slope / PPM * DRIFT_PPM;
}

int mdfh_clock_start(void)
{
	struct timespec wait = {.tv_nsec = START_NS};

	pthread_mutex_lock(&writer.lock);
	if (!writer.started && counter_is_invariant() && !kernel_distrusts_counter()) {
		struct pair first = measure(CLOCK_MONOTONIC);
		struct pair wall;

		while (nanosleep(&wait, &wait))
			;
		writer.last = measure(CLOCK_MONOTONIC);
		wall = measure(CLOCK_REALTIME);
		writer.slope = ratio(writer.last.ns - first.ns, writer.last.ticks - first.ticks);
		publish(wall.ticks, wall.ns, writer.slope,
		    scaled(wall.error_ticks, writer.slope) + 1,
		    drift_rate(first, writer.last, writer.slope));
		/* Pairs with the acquire loads of running(). */
		atomic_store_explicit(&shared.tsc, 1, memory_order_release);
	}
	writer.started = 1;
	pthread_mutex_unlock(&writer.lock);
	return 0;
}

/* The new line begins where the old one is now. What the old one was wrong by is then absorbed
 * by a slope a little too steep or too flat, until the next call; only a system clock that was
 * set is followed at once. */
void mdfh_clock_recalibrate(void)
{
	struct pair steady, wall;
	struct reading old;
	uint64_t measured, slope, now, was, drift, error;
	int64_t offset, ppm;

	if (!mdfh_clock_is_tsc())
		return;
	pthread_mutex_lock(&writer.lock);
	steady = measure(CLOCK_MONOTONIC);
	measured = steady.ns - writer.last.ns;
	if (measured < SLOPE_BASE_NS)
		goto out;
	writer.slope = ratio(measured, steady.ticks - writer.last.ticks);
	drift = drift_rate(writer.last, steady, writer.slope);
	writer.last = steady;

	wall = measure(CLOCK_REALTIME);
	error = scaled(wall.error_ticks, writer.slope) + 1;
	now = counter();
	old = read_line();
	was = line_at(&old, now);
	wall.ns += scaled(now - wall.ticks, writer.slope);
	offset = (int64_t)(wall.ns - was);
	if (offset > STEP_NS || offset < -STEP_NS) {
		publish(now, wall.ns, writer.slope, error, drift);
		goto out;
	}
	ppm = offset * PPM / SLEW_NS;
	ppm = ppm > SLEW_PPM_MAX ? SLEW_PPM_MAX : ppm < -SLEW_PPM_MAX ? -SLEW_PPM_MAX : ppm;
	slope = (uint64_t)((int64_t)writer.slope + (int64_t)writer.slope / PPM * ppm);
	/* The offset shrinks while the error bound stands still, until the slew would overshoot:
	 * one SLEW_NS later. The bound keeps the offset in full and adds the slew as drift. */
	error += (uint64_t)(offset < 0 ? -offset : offset);
	drift += writer.slope / PPM * (uint64_t)(ppm < 0 ? -ppm : ppm);
	publish(now, was, slope, error, drift);
out:
	pthread_mutex_unlock(&writer.lock);
}
