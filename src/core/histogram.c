/* histogram.c - log-linear buckets: 1024 steps to each power of two.
 *
 * Values below 2048 have a bucket each. From there on every power of two is divided into 1024
 * equal buckets, so a bucket is at most 1/1024 of the values in it: three significant digits.
 * With shift = how far the value must be shifted to fit in 11 bits, the bucket is
 *
 *     shift * 1024 + (value >> shift)
 *
 * and since the top bit of what is left after a shift is always set, the ranges join without
 * holes. Totals are summed when asked for: recording writes one counter and, rarely, a bound. */
#include "mdfh/histogram.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "mdfh/error.h"

enum {
	HALF_BITS = 10,
	EXACT = 2 << HALF_BITS, /* values below it have a bucket each */
};

struct mdfh_histogram {
	_Atomic uint64_t min; /* UINT64_MAX while empty */
	_Atomic uint64_t max;
	uint32_t last; /* highest bucket */
	_Atomic uint64_t counts[];
};

/* One writer: a load and a store where several would need a locked add. Relaxed, because a
 * reader orders nothing by these numbers. */
static inline uint64_t get(const _Atomic uint64_t *at)
{
	return atomic_load_explicit(at, memory_order_relaxed);
}

static inline void set(_Atomic uint64_t *at, uint64_t value)
{
	atomic_store_explicit(at, value, memory_order_relaxed);
}

static inline uint32_t bucket_of(uint64_t value)
{
	uint32_t shift = 63u - HALF_BITS - (uint32_t)__builtin_clzll(value | (EXACT - 1));

	return (shift << HALF_BITS) + (uint32_t)(value >> shift);
}

/* Lowest value of a bucket, and how many share it. */
static uint64_t bucket_low(uint32_t bucket, uint64_t *width)
{
	uint32_t shift = bucket < EXACT ? 0 : (bucket >> HALF_BITS) - 1;

	*width = (uint64_t)1 << shift;
	return (uint64_t)(bucket - (shift << HALF_BITS)) << shift;
}

/* Setup --------------------------------------------------------------- */

int mdfh_histogram_create(uint64_t max_value, struct mdfh_histogram **histogram)
{
	struct mdfh_histogram *h;
	size_t bytes;

	*histogram = NULL;
	if (!max_value)
		return mdfh_error(-EINVAL, "histogram: max_value is 0; it must be 1 or more");
	bytes = sizeof(*h) + (bucket_of(max_value) + (size_t)1) * sizeof(h->counts[0]);
	h = malloc(bytes);
	if (!h)
		return mdfh_error(-ENOMEM, "histogram: no memory for %zu bytes", bytes);
	h->last = bucket_of(max_value);
	/* Also touches every page, so that recording never faults. */
	mdfh_histogram_reset(h);
	*histogram = h;
	return 0;
}

void mdfh_histogram_destroy(struct mdfh_histogram *histogram)
{
	free(histogram);
}

void mdfh_histogram_reset(struct mdfh_histogram *histogram)
{
	set(&histogram->min, UINT64_MAX);
	set(&histogram->max, 0);
	for (uint32_t i = 0; i <= histogram->last; i++)
		set(&histogram->counts[i], 0);
}

/* Data path ----------------------------------------------------------- */

void mdfh_histogram_record_n(struct mdfh_histogram *histogram, uint64_t value, uint64_t count)
{
	uint32_t bucket = bucket_of(value);

	if (!count)
		return;
	if (bucket > histogram->last)
		bucket = histogram->last;
	set(&histogram->counts[bucket], get(&histogram->counts[bucket]) + count);
	if (value > get(&histogram->max))
		set(&histogram->max, value);
	if (value < get(&histogram->min))
		set(&histogram->min, value);
}

void mdfh_histogram_record(struct mdfh_histogram *histogram, uint64_t value)
{
	mdfh_histogram_record_n(histogram, value, 1);
}

/* Reading ------------------------------------------------------------- */

uint64_t mdfh_histogram_count(const struct mdfh_histogram *histogram)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i <= histogram->last; i++)
		count += get(&histogram->counts[i]);
	return count;
}

uint64_t mdfh_histogram_percentile(const struct mdfh_histogram *histogram, double percentile)
{
	uint64_t count = mdfh_histogram_count(histogram);
	uint64_t max = get(&histogram->max);
	uint64_t rank, seen = 0;

	if (!count)
		return 0;
	/* Written so that NaN is the lowest. */
	if (!(percentile > 0))
		rank = 1;
	else if (percentile >= 100)
		return max;
	else
		rank = (uint64_t)ceil(percentile / 100 * (double)count);
	rank = rank < 1 ? 1 : rank > count ? count : rank;
	for (uint32_t i = 0; i < histogram->last; i++) {
		uint64_t width, high;

		seen += get(&histogram->counts[i]);
		if (seen < rank)
			continue;
		high = bucket_low(i, &width);
		high += width - 1;
		return high < max ? high : max;
	}
	/* The last bucket also holds what was too large for it. */
	return max;
}

uint64_t mdfh_histogram_max(const struct mdfh_histogram *histogram)
{
	return get(&histogram->max);
}

uint64_t mdfh_histogram_min(const struct mdfh_histogram *histogram)
{
	uint64_t min = get(&histogram->min);

	return min == UINT64_MAX && !mdfh_histogram_count(histogram) ? 0 : min;
}

double mdfh_histogram_mean(const struct mdfh_histogram *histogram)
{
	double sum = 0;
	uint64_t count = 0;

	for (uint32_t i = 0; i <= histogram->last; i++) {
		uint64_t n = get(&histogram->counts[i]);
		uint64_t width;
		double low = (double)bucket_low(i, &width);

		sum += (double)n * (low + (double)(width - 1) / 2);
		count += n;
	}
	return count ? sum / (double)count : 0;
}

void mdfh_histogram_add(struct mdfh_histogram *histogram, const struct mdfh_histogram *other)
{
	for (uint32_t i = 0; i <= other->last; i++) {
		uint32_t to = i < histogram->last ? i : histogram->last;

		set(&histogram->counts[to], get(&histogram->counts[to]) + get(&other->counts[i]));
	}
	if (get(&other->max) > get(&histogram->max))
		set(&histogram->max, get(&other->max));
	if (get(&other->min) < get(&histogram->min))
		set(&histogram->min, get(&other->min));
}
