/* pool.h - packet memory in equal pieces: a region, a stack of the free ones, and which of them the
 * caller holds. The piece given back last is the one still in cache, so it is the next to be used. */
#ifndef MDFH_NET_POOL_H
#define MDFH_NET_POOL_H

#include <string.h>

#include "mdfh/bypass.h"
#include "mdfh/memory.h"

struct mdfh_pool {
	uint32_t free_count;
	uint32_t *free; /* stack */
	uint8_t *held;  /* by piece: handed out and not yet released */
	uint8_t *base;
	uint32_t stride, count;
	struct mdfh_region region;
};

/* count pieces of at least `bytes` bytes and whole cache lines, all free, as config wants them
 * (hugepages, the interface's node). On failure what was made so far stays for mdfh_pool_unmap. name
 * is the backend's. */
int mdfh_pool_map(struct mdfh_pool *pool, const char *name, uint32_t count, uint32_t bytes,
    const struct mdfh_bypass_config *config);
void mdfh_pool_unmap(struct mdfh_pool *pool); /* in any state; zeroed, too */

static inline uint8_t *mdfh_pool_at(const struct mdfh_pool *pool, uint32_t piece)
{
	return pool->base + (size_t)piece * pool->stride;
}

/* Where free_count is not 0. */
static inline uint32_t mdfh_pool_take(struct mdfh_pool *pool)
{
	return pool->free[--pool->free_count];
}

/* One that was taken and not handed out. */
static inline void mdfh_pool_put(struct mdfh_pool *pool, uint32_t piece)
{
	pool->free[pool->free_count++] = piece;
}

/* A copy of bytes in a piece that counts as handed out, whose number goes to *piece. NULL: none is free. */
static inline const uint8_t *mdfh_pool_copy(
    struct mdfh_pool *pool, const uint8_t *bytes, uint32_t length, uint32_t *piece)
{
	if (!pool->free_count)
		return NULL;
	*piece = mdfh_pool_take(pool);
	memcpy(mdfh_pool_at(pool, *piece), bytes, length);
	pool->held[*piece] = 1;
	return mdfh_pool_at(pool, *piece);
}

/* One that was handed out. 0 if it is not held: a packet that is released twice is ignored. */
static inline int mdfh_pool_release(struct mdfh_pool *pool, uint64_t piece)
{
	if (piece >= pool->count || !pool->held[piece])
		return 0;
	pool->held[piece] = 0;
	mdfh_pool_put(pool, (uint32_t)piece);
	return 1;
}

#endif
