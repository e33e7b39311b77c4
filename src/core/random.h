/* random.h - seeded random numbers: a 64-bit counter through a mixing function, so that
 * a seed is a whole number of the user's choice and equal seeds repeat everywhere. */
#ifndef MDFH_CORE_RANDOM_H
#define MDFH_CORE_RANDOM_H

#include <stdint.h>

static inline uint64_t mdfh_random_next(uint64_t *state)
{
	uint64_t x = *state += 0x9E3779B97F4A7C15u;

	x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
	x = (x ^ x >> 27) * 0x94D049BB133111EBu;
	return x ^ x >> 31;
}

/* 0 .. n - 1, n > 0; the bias is below n / 2^32. */
static inline uint32_t mdfh_random_below(uint64_t *state, uint32_t n)
{
	return (uint32_t)((mdfh_random_next(state) >> 32) * n >> 32);
}

#endif
