/* histogram.c - log-linear buckets: 1024 steps to each power of two.
 *
 * Totals are summed when asked for: recording writes one counter and, rarely, a bound. Each begins
 * on a cache line of its own: its writer shares none with another thread's. */
#include "mdfh/histogram.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "core/histogram_buckets.h"
#include "core/lines.h"
#include "mdfh/error.h"

/* Setup --------------------------------------------------------------- */

int mdfh_histogram_create(uint64_t max_value, struct mdfh_histogram **histogram)
{
	struct mdfh_histogram *h;
	size_t bytes;

	*histogram = NULL;
	if (!max_value)
		return mdfh_error(-EINVAL, "histogram: max_value is 0; it must be 1 or more");
	bytes = sizeof(*h) + (histogram_bucket(max_value) + (size_t)1) * sizeof(h->counts[0]);
	h = mdfh_lines_alloc(1, bytes);
	if (!h)
		return mdfh_error(-ENOMEM, "histogram: no memory for %zu bytes", bytes);
	h->last = histogram_bucket(max_value);
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
	histogram_set(&histogram->min, UINT64_MAX);
	histogram_set(&histogram->max, 0);
	for (uint32_t i = 0; i <= histogram->last; i++)
		histogram_set(&histogram->counts[i], 0);
}

/* Data path ----------------------------------------------------------- */

void mdfh_histogram_record_n(struct mdfh_histogram *histogram, uint64_t value, uint64_t count)
{
	uint32_t bucket = histogram_bucket(value);

	if (!count)
		return;
	if (bucket > histogram->last)
		bucket = histogram->last;
	histogram_set(
	    &histogram->counts[bucket], histogram_get(&histogram->counts[bucket]) + count);
	if (value > histogram_get(&histogram->max))
		histogram_set(&histogram->max, value);
	if (value < histogram_get(&histogram->min))
		histogram_set(&histogram->min, value);
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
		count += histogram_get(&histogram->counts[i]);
	return count;
}

uint64_t mdfh_histogram_percentile(const struct mdfh_histogram *histogram, double percentile)
{
	uint64_t count = mdfh_histogram_count(histogram);
	uint64_t max = histogram_get(&histogram->max);
	uint64_t rank, seen = 0;

	if (!count)
		return 0;
	/* Written so that NaN is the lowest. */
	if (!(percentile > 0))
		return mdfh_histogram_min(histogram);
	if (percentile >= 100)
		return max;
	/* One step down, as HdrHistogram does: 99.9 % of 1000 is the 999th, not, by rounding, the
	 * 1000th. */
	rank = (uint64_t)ceil(nextafter(percentile, 0) * (double)count / 100);
	rank = rank < 1 ? 1 : rank > count ? count : rank;
	for (uint32_t i = 0; i < histogram->last; i++) {
		uint64_t high;

		seen += histogram_get(&histogram->counts[i]);
		if (seen < rank)
			continue;
		high = histogram_high(i);
		return high < max ? high : max;
	}
	/* The last bucket also holds what was too large for it. */
	return max;
}

uint64_t mdfh_histogram_max(const struct mdfh_histogram *histogram)
{
	return histogram_get(&histogram->max);
}

uint64_t mdfh_histogram_min(const struct mdfh_histogram *histogram)
{
	uint64_t min = histogram_get(&histogram->min);

	return min == UINT64_MAX && !mdfh_histogram_count(histogram) ? 0 : min;
}

double mdfh_histogram_mean(const struct mdfh_histogram *histogram)
{
	double sum = 0;
	uint64_t count = 0;

	for (uint32_t i = 0; i <= histogram->last; i++) {
		uint64_t n = histogram_get(&histogram->counts[i]);
		uint64_t width;
		double low = (double)histogram_low(i, &width);

		sum += (double)n * (low + (double)(width - 1) / 2);
		count += n;
	}
	return count ? sum / (double)count : 0;
}

void mdfh_histogram_add(struct mdfh_histogram *histogram, const struct mdfh_histogram *other)
{
	for (uint32_t i = 0; i <= other->last; i++) {
		uint32_t to = i < histogram->last ? i : histogram->last;

		histogram_set(&histogram->counts[to],
		    histogram_get(&histogram->counts[to]) + histogram_get(&other->counts[i]));
	}
	if (histogram_get(&other->max) > histogram_get(&histogram->max))
		histogram_set(&histogram->max, histogram_get(&other->max));
	if (histogram_get(&other->min) < histogram_get(&histogram->min))
		histogram_set(&histogram->min, histogram_get(&other->min));
}

void mdfh_histogram_subtract(struct mdfh_histogram *histogram, const struct mdfh_histogram *earlier)
{
	uint64_t min = UINT64_MAX;
	uint64_t max = 0;

	for (uint32_t i = 0; i <= histogram->last; i++) {
		uint64_t count = histogram_get(&histogram->counts[i]);
		uint64_t gone = i <= earlier->last ? histogram_get(&earlier->counts[i]) : 0;
		uint64_t width;

		count = count > gone ? count - gone : 0;
		histogram_set(&histogram->counts[i], count);
		if (!count)
			continue;
		if (min == UINT64_MAX)
			min = histogram_low(i, &width);
		max = histogram_high(i);
	}
	/* The last bucket also holds what was too large for it. */
	if (histogram_get(&histogram->counts[histogram->last]) ||
	    max > histogram_get(&histogram->max))
		max = histogram_get(&histogram->max);
	if (min != UINT64_MAX && min < histogram_get(&histogram->min))
		min = histogram_get(&histogram->min);
	histogram_set(&histogram->min, min);
	histogram_set(&histogram->max, max);
}
