/* clock_line.h - the arithmetic of the clock, apart from counters and system calls.
 *
 * A line says which time a counter value stands for, and how wrong that may be. A correction
 * makes the next line from the one in force and one comparison with the system clock. */
#ifndef MDFH_CORE_CLOCK_LINE_H
#define MDFH_CORE_CLOCK_LINE_H

#include <stdint.h>

enum {
	MDFH_CLOCK_SHIFT = 48,
	MDFH_CLOCK_PPM = 1000000,
	/* Offsets up to this are slewed away, larger ones are steps of the system clock. */
	MDFH_CLOCK_STEP_NS = 10 * 1000 * 1000,
	/* An offset is absorbed over this time or longer, and never faster than by SLEW_PPM_MAX. */
	MDFH_CLOCK_SLEW_NS = 1000 * 1000 * 1000,
	MDFH_CLOCK_SLEW_PPM_MAX = 500,
	/* How far the system clock's rate may move between two corrections. */
	MDFH_CLOCK_DRIFT_PPM = 20,
};

__extension__ typedef unsigned __int128 mdfh_wide;

/* Rates are ns per tick << MDFH_CLOCK_SHIFT. */
struct mdfh_clock_line {
	uint64_t ticks; /* at these ticks ... */
	uint64_t ns;    /* ... it was this time ... */
	uint64_t error_ns;
	uint64_t slope;      /* ... and runs like this, slewing included */
	uint64_t rate;       /* as measured: for differences */
	uint64_t drift_rate; /* growth of the error */
};

static inline uint64_t mdfh_clock_scaled(uint64_t ticks, uint64_t rate)
{
	return (uint64_t)(((mdfh_wide)ticks * rate) >> MDFH_CLOCK_SHIFT);
}

static inline uint64_t mdfh_clock_rate(uint64_t ns, uint64_t ticks)
{
	return (uint64_t)(((mdfh_wide)ns << MDFH_CLOCK_SHIFT) / ticks);
}

/* ticks may stand a little before the line's: read by a thread before the line was published. */
static inline uint64_t mdfh_clock_line_ns(const struct mdfh_clock_line *line, uint64_t ticks)
{
	if (ticks >= line->ticks)
		return line->ns + mdfh_clock_scaled(ticks - line->ticks, line->slope);
	return line->ns - mdfh_clock_scaled(line->ticks - ticks, line->slope);
}

static inline uint64_t mdfh_clock_line_error(const struct mdfh_clock_line *line, uint64_t ticks)
{
	uint64_t error = line->error_ns + 1; /* rounding */

	if (ticks > line->ticks)
		error += mdfh_clock_scaled(ticks - line->ticks, line->drift_rate);
	return error;
}

/* Growth of the error of a rate that was measured over so many ticks: both ends may have been
 * wrong in opposite directions, and the system clock may be steered. */
static inline uint64_t mdfh_clock_drift_rate(uint64_t rate, uint64_t error_ticks, uint64_t ticks)
{
	return mdfh_clock_rate(mdfh_clock_scaled(error_ticks, rate) + 2, ticks) +
	       rate / MDFH_CLOCK_PPM * MDFH_CLOCK_DRIFT_PPM;
}

/* The system clock says wall_ns, to within error_ns, at ticks. The new line begins where the old
 * one is; what that is wrong by is absorbed by a slope a little too steep or too flat. Only a
 * system clock that was set is followed at once, in whichever direction. */
static inline struct mdfh_clock_line mdfh_clock_correct(const struct mdfh_clock_line *old,
    uint64_t ticks, uint64_t wall_ns, uint64_t error_ns, uint64_t rate, uint64_t drift_rate)
{
	struct mdfh_clock_line line = {ticks, wall_ns, error_ns, rate, rate, drift_rate};
	uint64_t was_ns = mdfh_clock_line_ns(old, ticks);
	uint64_t passed_ns = mdfh_clock_scaled(ticks - old->ticks, rate);
	uint64_t most = rate / MDFH_CLOCK_PPM * MDFH_CLOCK_SLEW_PPM_MAX;
	int behind = wall_ns > was_ns;
	uint64_t offset = behind ? wall_ns - was_ns : was_ns - wall_ns;
	uint64_t slew_ns = MDFH_CLOCK_SLEW_NS;
	mdfh_wide slew;

	if (offset > MDFH_CLOCK_STEP_NS)
		return line;
	/* Twice the time since the last correction: whoever corrects rarely would overshoot, and
	 * further each time, with a slope that absorbs everything sooner. */
	if (passed_ns > MDFH_CLOCK_SLEW_NS / 2)
		slew_ns = 2 * passed_ns;
	slew = (mdfh_wide)rate * offset / slew_ns;
	if (slew > most)
		slew = most;
	line.ns = was_ns;
	line.slope = behind ? rate + (uint64_t)slew : rate - (uint64_t)slew;
	/* The slew takes the offset away, and brings it on again, in the other direction, if no
	 * correction follows. The bound keeps the offset whole and counts the slew as drift. */
	line.error_ns += offset;
	line.drift_rate += (uint64_t)slew;
	return line;
}

#endif
