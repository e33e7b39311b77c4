/* histogram_buckets.h - what a histogram is made of, for histogram.c and its log.
 *
 * Values below 2048 have a bucket each. From there on every power of two is divided into 1024
 * equal buckets, so a bucket is at most 1/1024 of the values in it: three significant digits.
 * With shift = how far the value must be shifted to fit in 11 bits, the bucket is
 *
 *     shift * 1024 + (value >> shift)
 *
 * and since the top bit of what is left after a shift is always set, the ranges join without
 * holes. These are the buckets of an HdrHistogram of lowest discernible value 1 and 3 significant
 * digits, in the same order. */
#ifndef MDFH_CORE_HISTOGRAM_BUCKETS_H
#define MDFH_CORE_HISTOGRAM_BUCKETS_H

#include <stdatomic.h>

#include "mdfh/histogram.h"

enum {
	HISTOGRAM_HALF_BITS = 10,
	HISTOGRAM_EXACT = 2 << HISTOGRAM_HALF_BITS, /* values below it have a bucket each */
};

struct mdfh_histogram {
	_Atomic uint64_t min; /* UINT64_MAX while empty */
	_Atomic uint64_t max;
	uint32_t last; /* highest bucket */
	_Atomic uint64_t counts[];
};

/* One writer: a load and a store where several would need a locked add. Relaxed, because a
 * reader orders nothing by these numbers. */
static inline uint64_t histogram_get(const _Atomic uint64_t *at)
{
	return atomic_load_explicit(at, memory_order_relaxed);
}

static inline void histogram_set(_Atomic uint64_t *at, uint64_t value)
{
	atomic_store_explicit(at, value, memory_order_relaxed);
}

static inline uint32_t histogram_bucket(uint64_t value)
{
	uint32_t shift =
	    63u - HISTOGRAM_HALF_BITS - (uint32_t)__builtin_clzll(value | (HISTOGRAM_EXACT - 1));

	return (shift << HISTOGRAM_HALF_BITS) + (uint32_t)(value >> shift);
}

/* Lowest value of a bucket, and how many share it. */
static inline uint64_t histogram_low(uint32_t bucket, uint64_t *width)
{
	uint32_t shift = bucket < HISTOGRAM_EXACT ? 0 : (bucket >> HISTOGRAM_HALF_BITS) - 1;

	*width = (uint64_t)1 << shift;
	return (uint64_t)(bucket - (shift << HISTOGRAM_HALF_BITS)) << shift;
}

static inline uint64_t histogram_high(uint32_t bucket)
{
	uint64_t width;
	uint64_t low = histogram_low(bucket, &width);

	return low + (width - 1);
}

#endif
