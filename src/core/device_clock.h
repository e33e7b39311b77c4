/* device_clock.h - stamps of a device's own clock as host time: ns since the epoch, with a bound.
 *
 * A NIC counts ticks of its own oscillator. The control path asks it for its counter now and then,
 * between two readings of the host's clock: the counter stood there at some time between them.
 * From the last samples comes a line, as the host's own counter has one (clock_line.h); stamps are
 * placed on it.
 *
 * What is believed: a good sample's bracket, and that the two rates move by no more than wander_ppb
 * between samples. A sample that contradicts both is left out; several in a row that agree with one
 * another are a clock that was set, and the line starts anew from them.
 *
 * Threads: sample and check from one thread (the control path); line from any, and what is derived
 *          from the line it gives.
 * Cost:    a line is six loads; a stamp on it one multiplication and a shift. */
#ifndef MDFH_CORE_DEVICE_CLOCK_H
#define MDFH_CORE_DEVICE_CLOCK_H

#include "core/clock_shared.h"

enum {
	MDFH_DEVICE_CLOCK_WINDOW = 16, /* samples that the line is fitted to */
	MDFH_DEVICE_CLOCK_STRAYS = 3,  /* samples in a row that show a clock that was set */
	MDFH_DEVICE_CLOCK_HZ_MIN = 100000,
};
#define MDFH_DEVICE_CLOCK_HZ_MAX 100000000000ULL

/* Zero means what the comment says. */
struct mdfh_device_clock_config {
	uint64_t frequency_hz;  /* nominal; 0 = learned from the first two samples, which then
				 * may be no further apart than the counter takes to wrap */
	uint32_t counter_bits;  /* 8 to 64; 0 = 64. A narrower counter wraps */
	uint32_t tolerance_ppm; /* of the nominal frequency; 0 = 200 */
	uint32_t wander_ppb;    /* how far the rates may move between samples; 0 = 2000 */
	uint64_t stale_ns;      /* without a sample for so long, nothing is in sync; 0 = 10 s. Cut
				 * to a quarter of the time that the counter takes to wrap */
};

enum mdfh_device_clock_state {
	MDFH_DEVICE_CLOCK_UNKNOWN = 0, /* stamps cannot be placed */
	MDFH_DEVICE_CLOCK_FREE = 1,    /* placed, but not to be relied on: too few samples, too old,
					* or in contradiction; or the host's clock is not in sync */
	MDFH_DEVICE_CLOCK_SYNC = 2,
};

struct mdfh_device_clock_stats {
	uint64_t samples;        /* taken into the line */
	uint64_t rejected;       /* contradicted it, or their bracket was no bracket */
	uint64_t steps;          /* times that a clock was found to have been set */
	uint64_t last_sample_ns; /* host time of the newest one taken; 0 = none */
	uint64_t error_ns;       /* of a stamp made at the newest sample */
	uint64_t bracket_ns;     /* tightest of the window */
	int64_t offset_ns;       /* newest sample: host minus what the line had said */
	int64_t drift_ppb;       /* device's rate over its nominal one, as the host sees it */
	enum mdfh_device_clock_state state;
};

struct mdfh_device_point {
	uint64_t ticks; /* counted on past every wrap */
	uint64_t ns;    /* middle of the bracket */
	uint64_t half_ns;
};

struct mdfh_device_clock {
	struct mdfh_clock_shared shared;
	_Atomic uint32_t state; /* enum mdfh_device_clock_state */
	uint32_t shift;         /* 64 - counter_bits */
	struct mdfh_device_clock_config config;
	struct mdfh_device_clock_stats stats;
	uint32_t count; /* of the window, oldest first */
	uint32_t stray_count;
	struct mdfh_device_point window[MDFH_DEVICE_CLOCK_WINDOW];
	struct mdfh_device_point strays[MDFH_DEVICE_CLOCK_STRAYS];
};

/* What the receiving thread needs for a batch of stamps. */
struct mdfh_device_line {
	struct mdfh_clock_line line;
	uint32_t shift;
	enum mdfh_device_clock_state state;
};

/* 0, or -EINVAL with a sentence. */
int mdfh_device_clock_init(
    struct mdfh_device_clock *clock, const struct mdfh_device_clock_config *config);

/* The counter read `ticks` at some time from before_ns to after_ns of CLOCK_REALTIME;
 * host_is_synced is what mdfh_host_clock_sync says of that. 1 = taken, 0 = not believed. About once
 * a second; a counter that wraps needs at least four a wrap. */
int mdfh_device_clock_sample(struct mdfh_device_clock *clock, uint64_t ticks, uint64_t before_ns,
    uint64_t after_ns, int host_is_synced);

/* From the control path, also while the device gives no samples: old ones are no longer trusted. */
void mdfh_device_clock_check(struct mdfh_device_clock *clock, uint64_t now_ns);

/* The line now in force: once per batch. */
static inline struct mdfh_device_line mdfh_device_clock_line(const struct mdfh_device_clock *clock)
{
	struct mdfh_device_line line;

	/* Pairs with the release stores of state, which come before a line that is worse and after
	 * one that is better. */
	line.state =
	    (enum mdfh_device_clock_state)atomic_load_explicit(&clock->state, memory_order_acquire);
	line.line = mdfh_clock_shared_read(&clock->shared);
	line.shift = clock->shift;
	return line;
}

/* Ticks from the line's start to the stamp, which stands within half a wrap of it. */
static inline int64_t mdfh_device_line_delta(const struct mdfh_device_line *line, uint64_t ticks)
{
	return (int64_t)((ticks - line->line.ticks) << line->shift) >> line->shift;
}

/* A stamp in ns since the epoch; only with a state that is not unknown. */
static inline uint64_t mdfh_device_line_ns(const struct mdfh_device_line *line, uint64_t ticks)
{
	int64_t delta = mdfh_device_line_delta(line, ticks);
	uint64_t ns =
	    mdfh_clock_scaled(delta < 0 ? 0 - (uint64_t)delta : (uint64_t)delta, line->line.slope);

	return delta < 0 ? line->line.ns - ns : line->line.ns + ns;
}

/* How far that may be from the host's clock. */
static inline uint32_t mdfh_device_line_error(const struct mdfh_device_line *line, uint64_t ticks)
{
	int64_t delta = mdfh_device_line_delta(line, ticks);
	uint64_t error = line->line.error_ns + 1 +
			 mdfh_clock_scaled(delta < 0 ? 0 - (uint64_t)delta : (uint64_t)delta,
			     line->line.drift_rate);

	return error < UINT32_MAX ? (uint32_t)error : UINT32_MAX;
}

#endif
