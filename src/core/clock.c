/* clock.c - the TSC as a clock: one line per calibration, wall time = base + ticks * slope.
 *
 * A reading of CLOCK_REALTIME is placed on the counter by bracketing it between two counter
 * reads; of several tries the tightest bracket wins, and half its width is the error of that
 * pair. Two pairs give the slope. The slope is kept as ns per tick in 16.48 fixed point, so that
 * a conversion is one 64x64 multiply and a shift. */
#include "mdfh/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/clock_shared.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

enum {
	BRACKET_TRIES = 32,
	START_NS = 10 * 1000 * 1000,
	/* A rate is measured over at least this long, or the brackets' width would dominate. */
	RATE_BASE_NS = 5 * 1000 * 1000,
};

#define NS_PER_S 1000000000u

struct pair {
	uint64_t ticks;
	uint64_t ns;
	uint64_t error_ticks;
};

static struct {
	struct mdfh_clock_shared line;
	_Atomic int tsc;
} shared;

/* Of the one thread that calibrates. */
static struct {
	pthread_mutex_t lock;
	int started;
	struct pair last; /* of CLOCK_MONOTONIC: it runs as CLOCK_REALTIME does, but is never set */
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

static inline int running(void)
{
	/* Pairs with the release store of mdfh_clock_start. */
	return atomic_load_explicit(&shared.tsc, memory_order_acquire);
}

static inline struct mdfh_clock_line read_line(void)
{
	return mdfh_clock_shared_read(&shared.line);
}

uint64_t mdfh_clock_now_ns(void)
{
	struct mdfh_clock_line line;

	if (!running())
		return system_ns(CLOCK_REALTIME);
	line = read_line();
	return mdfh_clock_line_ns(&line, counter());
}

uint64_t mdfh_clock_ticks(void)
{
	return running() ? counter() : system_ns(CLOCK_MONOTONIC);
}

uint64_t mdfh_clock_ticks_to_ns(uint64_t ticks)
{
	return running() ? mdfh_clock_scaled(ticks, read_line().rate) : ticks;
}

uint32_t mdfh_clock_error_ns(void)
{
	struct mdfh_clock_line line;
	uint64_t error;

	if (!running())
		return 1;
	line = read_line();
	error = mdfh_clock_line_error(&line, counter());
	return error < UINT32_MAX ? (uint32_t)error : UINT32_MAX;
}

int mdfh_clock_is_tsc(void)
{
	return running();
}

/* Calibration --------------------------------------------------------- */

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

static void publish(struct mdfh_clock_line line)
{
	mdfh_clock_shared_publish(&shared.line, &line);
}

/* Rate between two readings of CLOCK_MONOTONIC, and how fast the error grows with it. */
static uint64_t rate_between(struct pair a, struct pair b, uint64_t *drift_rate)
{
	uint64_t ticks = b.ticks - a.ticks;
	uint64_t rate = mdfh_clock_rate(b.ns - a.ns, ticks);

	*drift_rate = mdfh_clock_drift_rate(rate, a.error_ticks + b.error_ticks, ticks);
	return rate;
}

int mdfh_clock_start(void)
{
	struct timespec wait = {.tv_nsec = START_NS};

	pthread_mutex_lock(&writer.lock);
	if (!writer.started && counter_is_invariant() && !kernel_distrusts_counter()) {
		struct pair first = measure(CLOCK_MONOTONIC);
		struct pair wall;
		uint64_t rate, drift;

		while (nanosleep(&wait, &wait))
			;
		writer.last = measure(CLOCK_MONOTONIC);
		rate = rate_between(first, writer.last, &drift);
		wall = measure(CLOCK_REALTIME);
		publish((struct mdfh_clock_line){
		    .ticks = wall.ticks,
		    .ns = wall.ns,
		    .error_ns = mdfh_clock_scaled(wall.error_ticks, rate) + 1,
		    .slope = rate,
		    .rate = rate,
		    .drift_rate = drift,
		});
		/* Pairs with the acquire load of running. */
		atomic_store_explicit(&shared.tsc, 1, memory_order_release);
	}
	writer.started = 1;
	pthread_mutex_unlock(&writer.lock);
	return 0;
}

void mdfh_clock_recalibrate(void)
{
	struct pair steady, wall;
	struct mdfh_clock_line old;
	uint64_t rate, drift, error_ns, now;

	if (!running())
		return;
	pthread_mutex_lock(&writer.lock);
	steady = measure(CLOCK_MONOTONIC);
	if (steady.ns - writer.last.ns >= RATE_BASE_NS) {
		rate = rate_between(writer.last, steady, &drift);
		writer.last = steady;
		wall = measure(CLOCK_REALTIME);
		error_ns = mdfh_clock_scaled(wall.error_ticks, rate) + 1;
		old = read_line();
		/* The new line begins now, not when the bracket was taken: a thread that has
		 * gone on with the old line meanwhile must not see time step back. */
		now = counter();
		wall.ns += mdfh_clock_scaled(now - wall.ticks, rate);
		publish(mdfh_clock_correct(&old, now, wall.ns, error_ns, rate, drift));
	}
	pthread_mutex_unlock(&writer.lock);
}
