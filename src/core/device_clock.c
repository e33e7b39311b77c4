/* device_clock.c - samples to a line, by weighted least squares over the last of them.
 *
 * Differences within the window are small, so the fit is done in double around the newest sample;
 * times themselves stay whole numbers. The bound comes from the brackets, not from the fit: whatever
 * line was drawn, at each sample it is off by no more than its distance from the middle and half the
 * bracket. */
#include "core/device_clock.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "mdfh/error.h"

enum {
	TOLERANCE_PPM = 200,
	WANDER_PPB = 2000,
	SYNC_SAMPLES = 3, /* the third confirms what two make */
	SLEW_PPM = 1000,  /* between samples that show a step: the host may be slewed, too */
	STEP_SLACK_NS = 1000,
};

#define STALE_NS 10000000000ULL
#define NS_PER_S 1e9
#define SCALE    0x1p48 /* MDFH_CLOCK_SHIFT */

int mdfh_device_clock_init(
    struct mdfh_device_clock *clock, const struct mdfh_device_clock_config *config)
{
	double wrap_ns;

	memset(clock, 0, sizeof(*clock));
	clock->config = *config;
	if (!config->counter_bits)
		clock->config.counter_bits = 64;
	if (!config->tolerance_ppm)
		clock->config.tolerance_ppm = TOLERANCE_PPM;
	if (!config->wander_ppb)
		clock->config.wander_ppb = WANDER_PPB;
	if (!config->stale_ns)
		clock->config.stale_ns = STALE_NS;
	if (clock->config.counter_bits < 8 || clock->config.counter_bits > 64)
		return mdfh_error(-EINVAL,
		    "device clock: counter_bits is %u; it must be from 8 to 64",
		    config->counter_bits);
	if (config->frequency_hz && (config->frequency_hz < MDFH_DEVICE_CLOCK_HZ_MIN ||
					config->frequency_hz > MDFH_DEVICE_CLOCK_HZ_MAX))
		return mdfh_error(-EINVAL,
		    "device clock: frequency_hz is %llu; it must be from %d to %llu, or 0 to "
		    "learn it",
		    (unsigned long long)config->frequency_hz, MDFH_DEVICE_CLOCK_HZ_MIN,
		    MDFH_DEVICE_CLOCK_HZ_MAX);
	clock->shift = 64 - clock->config.counter_bits;
	if (clock->shift && config->frequency_hz) {
		wrap_ns =
		    ldexp(NS_PER_S, (int)clock->config.counter_bits) / (double)config->frequency_hz;
		if (wrap_ns / 4 < (double)clock->config.stale_ns)
			clock->config.stale_ns = (uint64_t)(wrap_ns / 4);
	}
	return 0;
}

/* Unwrapping ------------------------------------------------------------- */

/* ns per tick before there is a line; 0 = not known. */
static double nominal(const struct mdfh_device_clock *clock)
{
	return clock->config.frequency_hz ? NS_PER_S / (double)clock->config.frequency_hz : 0;
}

static int is_known(const struct mdfh_device_clock *clock)
{
	return atomic_load_explicit(&clock->state, memory_order_relaxed) !=
	       MDFH_DEVICE_CLOCK_UNKNOWN;
}

/* The counter's full value: the one nearest to where the line expects it. */
static uint64_t unwrap(const struct mdfh_device_clock *clock, const struct mdfh_clock_line *line,
    uint64_t ticks, uint64_t ns)
{
	const struct mdfh_device_point *last = &clock->window[clock->count ? clock->count - 1 : 0];
	uint64_t expected = line->ticks;
	double elapsed = (double)(int64_t)(ns - line->ns) * SCALE;

	if (!clock->count || !clock->shift)
		return ticks;
	if (!line->slope) /* a second sample of an unknown frequency: less than a wrap later */
		return last->ticks + ((ticks - last->ticks) << clock->shift >> clock->shift);
	elapsed /= (double)line->slope;
	if (fabs(elapsed) < 0x1p62)
		expected += (uint64_t)(int64_t)elapsed;
	return expected + (uint64_t)((int64_t)((ticks - expected) << clock->shift) >> clock->shift);
}

/* Fitting ---------------------------------------------------------------- */

/* Offset at the newest sample and slope, ns per tick, of the line through the window. */
static double fit(const struct mdfh_device_clock *clock, double *slope)
{
	const struct mdfh_device_point *newest = &clock->window[clock->count - 1];
	double weights = 0, x_sum = 0, y_sum = 0, xx = 0, xy = 0;

	for (uint32_t i = 0; i < clock->count; i++) {
		const struct mdfh_device_point *point = &clock->window[i];
		double half = (double)point->half_ns + 1;

		weights += 1 / (half * half);
		x_sum += (double)(int64_t)(point->ticks - newest->ticks) / (half * half);
		y_sum += (double)(int64_t)(point->ns - newest->ns) / (half * half);
	}
	for (uint32_t i = 0; i < clock->count; i++) {
		const struct mdfh_device_point *point = &clock->window[i];
		double half = (double)point->half_ns + 1;
		double x = (double)(int64_t)(point->ticks - newest->ticks) - x_sum / weights;
		double y = (double)(int64_t)(point->ns - newest->ns) - y_sum / weights;

		xx += x * x / (half * half);
		xy += x * y / (half * half);
	}
	if (clock->count > 1 && xx > 0)
		*slope = xy / xx;
	return y_sum / weights - *slope * (x_sum / weights);
}

/* How far the line may be off at point i. */
static double error_at(
    const struct mdfh_device_clock *clock, uint32_t i, double offset, double slope)
{
	const struct mdfh_device_point *newest = &clock->window[clock->count - 1];
	const struct mdfh_device_point *point = &clock->window[i];
	double line_ns = offset + slope * (double)(int64_t)(point->ticks - newest->ticks);

	return fabs((double)(int64_t)(point->ns - newest->ns) - line_ns) + (double)point->half_ns;
}

/* How far the line may be off at the newest sample, and as a fraction by how much its slope. The
 * average rate since point i lies within what the brackets allow; the rate of now is off that by what
 * it may have wandered since. */
static double bounds(
    const struct mdfh_device_clock *clock, double offset, double slope, double *error_ns)
{
	const struct mdfh_device_point *newest = &clock->window[clock->count - 1];
	double newest_error = error_at(clock, clock->count - 1, offset, slope);
	double wander = clock->config.wander_ppb * 1e-9;
	double drift = clock->config.frequency_hz ? clock->config.tolerance_ppm * 1e-6 : 1;

	for (uint32_t i = 0; i + 1 < clock->count; i++) {
		double span = (double)(int64_t)(newest->ns - clock->window[i].ns);
		double error = error_at(clock, i, offset, slope) + newest_error;

		if (span > 0)
			drift = fmin(drift, error / span + wander * (clock->count - 1 - i));
	}
	*error_ns = newest_error;
	for (uint32_t i = 0; i + 1 < clock->count; i++) {
		double span = (double)(int64_t)(newest->ns - clock->window[i].ns);
		double error = error_at(clock, i, offset, slope);

		*error_ns =
		    fmin(*error_ns, error + (drift + wander * (clock->count - 1 - i)) * span);
	}
	return drift + wander;
}

static void set_state(struct mdfh_device_clock *clock, enum mdfh_device_clock_state state)
{
	atomic_store_explicit(&clock->state, (uint32_t)state, memory_order_release);
	clock->stats.state = state;
}

/* Draw the line through the window and publish it. */
static void draw(struct mdfh_device_clock *clock, int host_is_synced)
{
	const struct mdfh_device_point *newest = &clock->window[clock->count - 1];
	enum mdfh_device_clock_state state = MDFH_DEVICE_CLOCK_FREE;
	double slope = nominal(clock);
	double offset = fit(clock, &slope);
	struct mdfh_clock_line line = {.ticks = newest->ticks};
	double error_ns, drift;

	clock->stats.last_sample_ns = newest->ns;
	/* Ticks that stand still or run back, or too slow for the fixed point, make no line. */
	if (!(slope > 0) || slope > NS_PER_S / MDFH_DEVICE_CLOCK_HZ_MIN) {
		set_state(clock, MDFH_DEVICE_CLOCK_UNKNOWN);
		return;
	}
	drift = bounds(clock, offset, slope, &error_ns);
	line.ns = newest->ns + (uint64_t)(int64_t)llrint(offset);
	line.slope = line.rate = (uint64_t)(slope * SCALE);
	line.drift_rate = (uint64_t)(slope * drift * SCALE) + 1;
	line.error_ns = (uint64_t)(error_ns + 2); /* rounding, here and there */
	mdfh_clock_shared_publish(&clock->shared, &line);
	if (clock->count >= SYNC_SAMPLES && host_is_synced)
		state = MDFH_DEVICE_CLOCK_SYNC;
	set_state(clock, state);
	clock->stats.error_ns = line.error_ns;
	if (!clock->config.frequency_hz && clock->count == SYNC_SAMPLES) {
		/* What it is compared with from now on. */
		clock->config.frequency_hz = (uint64_t)llrint(NS_PER_S / slope);
	}
	if (clock->config.frequency_hz)
		clock->stats.drift_ppb = llrint((nominal(clock) / slope - 1) * 1e9);
	clock->stats.bracket_ns = UINT64_MAX;
	for (uint32_t i = 0; i < clock->count; i++)
		if (2 * clock->window[i].half_ns < clock->stats.bracket_ns)
			clock->stats.bracket_ns = 2 * clock->window[i].half_ns;
}

/* Samples ---------------------------------------------------------------- */

static void keep(struct mdfh_device_clock *clock, const struct mdfh_device_point *point)
{
	if (clock->count == MDFH_DEVICE_CLOCK_WINDOW) {
		memmove(clock->window, clock->window + 1,
		    (MDFH_DEVICE_CLOCK_WINDOW - 1) * sizeof(clock->window[0]));
		clock->count--;
	}
	clock->window[clock->count++] = *point;
	clock->stats.samples++;
}

/* Two samples of one clock that has not been set in between. */
static int agree(const struct mdfh_device_point *a, const struct mdfh_device_point *b, double slope)
{
	double host = (double)(int64_t)(b->ns - a->ns);
	double device = (double)(int64_t)(b->ticks - a->ticks) * slope;

	return host > 0 && fabs(host - device) <= (double)(a->half_ns + b->half_ns) +
						      STEP_SLACK_NS + host * SLEW_PPM * 1e-6;
}

/* A sample that contradicts the line. Once enough of them tell the same story, it is the line that
 * is wrong. */
static int stray(struct mdfh_device_clock *clock, const struct mdfh_device_point *point,
    double slope, int host_is_synced)
{
	if (clock->stray_count && !agree(&clock->strays[clock->stray_count - 1], point, slope))
		clock->stray_count = 0;
	clock->strays[clock->stray_count++] = *point;
	if (clock->stray_count < MDFH_DEVICE_CLOCK_STRAYS) {
		clock->stats.rejected++;
		/* One may be a mishap. Two are doubt enough. */
		if (clock->stray_count > 1)
			set_state(clock, MDFH_DEVICE_CLOCK_FREE);
		return 0;
	}
	set_state(clock, MDFH_DEVICE_CLOCK_FREE);
	clock->stats.steps++;
	clock->count = 0;
	for (uint32_t i = 0; i < clock->stray_count; i++)
		keep(clock, &clock->strays[i]);
	clock->stray_count = 0;
	draw(clock, host_is_synced);
	return 1;
}

int mdfh_device_clock_sample(struct mdfh_device_clock *clock, uint64_t ticks, uint64_t before_ns,
    uint64_t after_ns, int host_is_synced)
{
	struct mdfh_device_line line = mdfh_device_clock_line(clock);
	struct mdfh_device_point point = {.ns = before_ns + (after_ns - before_ns) / 2};
	int64_t off;

	if (after_ns < before_ns) { /* the host's clock was set between the two */
		clock->stats.rejected++;
		return 0;
	}
	point.half_ns = (after_ns - before_ns + 1) / 2;
	if (!is_known(clock))
		line.line = (struct mdfh_clock_line){0};
	point.ticks = unwrap(clock, &line.line, ticks, point.ns);
	if (is_known(clock)) {
		/* Full values on both sides: a 64-bit counter that was reset is far off, too. */
		line.shift = 0;
		off = (int64_t)(point.ns - mdfh_device_line_ns(&line, point.ticks));
		clock->stats.offset_ns = off;
		if (fabs((double)off) >
		    (double)point.half_ns + (double)line.line.error_ns + 1 +
			fabs((double)mdfh_device_line_delta(&line, point.ticks)) *
			    (double)line.line.drift_rate / SCALE)
			return stray(
			    clock, &point, (double)line.line.slope / SCALE, host_is_synced);
	} else if (clock->count && (int64_t)(point.ns - clock->window[clock->count - 1].ns) <= 0) {
		clock->count = 0;
	}
	clock->stray_count = 0;
	keep(clock, &point);
	draw(clock, host_is_synced);
	return 1;
}

void mdfh_device_clock_check(struct mdfh_device_clock *clock, uint64_t now_ns)
{
	uint64_t age_ns = now_ns - clock->stats.last_sample_ns;

	/* A host clock that was set back makes the age negative: as bad as old. */
	if (!is_known(clock) || age_ns <= clock->config.stale_ns)
		return;
	/* Past half a wrap a stamp would land in the wrong one. */
	set_state(clock, clock->shift ? MDFH_DEVICE_CLOCK_UNKNOWN : MDFH_DEVICE_CLOCK_FREE);
	if (clock->shift)
		clock->count = clock->stray_count = 0;
}
