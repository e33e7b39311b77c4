/* pool.c - see pool.h. */
#include "net/pool.h"

#include <errno.h>
#include <stdlib.h>

#include "core/lines.h"
#include "mdfh/cpu.h"
#include "mdfh/error.h"

int mdfh_pool_map(struct mdfh_pool *pool, const char *name, uint32_t count, uint32_t bytes,
    const struct mdfh_bypass_config *config)
{
	uint32_t stride = (bytes + MDFH_CACHE_LINE - 1) & ~(uint32_t)(MDFH_CACHE_LINE - 1);
	struct mdfh_region_config region = {.size = sizeof(region),
	    .bytes = (size_t)count * stride,
	    .hugepages = config->hugepages,
	    .touch = MDFH_ON};
	int rc;

	pool->count = count;
	pool->stride = stride;
	if (config->enable_numa_awareness == MDFH_ON && config->interface)
		region.numa_node = mdfh_interface_node(config->interface) + 1;
	rc = mdfh_region_map(&region, &pool->region);
	if (rc)
		return rc;
	pool->base = pool->region.base;
	pool->free = mdfh_lines_alloc(count, sizeof(*pool->free));
	pool->held = mdfh_lines_alloc(count, sizeof(*pool->held));
	if (!pool->free || !pool->held)
		return mdfh_error(-ENOMEM, "%s: bookkeeping of %u packets", name, count);
	while (pool->free_count < count) {
		pool->free[pool->free_count] = count - 1 - pool->free_count;
		pool->free_count++;
	}
	return 0;
}

void mdfh_pool_unmap(struct mdfh_pool *pool)
{
	free(pool->free);
	free(pool->held);
	if (pool->region.base)
		mdfh_region_unmap(&pool->region);
}
