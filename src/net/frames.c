/* frames.c - setup of the packet memory of backends that the kernel copies for. */
#include "net/frames.h"

#include <errno.h>
#include <stdlib.h>

#include "core/lines.h"
#include "mdfh/cpu.h"
#include "mdfh/error.h"

int mdfh_frames_map(struct mdfh_frames *frames, const char *name,
    const struct mdfh_bypass_config *config, struct mdfh_bypass_capabilities *can)
{
	struct mdfh_region_config region = {
	    .size = sizeof(region), .hugepages = config->hugepages, .touch = MDFH_ON};
	int rc;

	frames->size = config->frame_size;
	frames->stride =
	    (config->frame_size + MDFH_CACHE_LINE - 1) & ~(uint32_t)(MDFH_CACHE_LINE - 1);
	frames->count = config->rx_ring_size;
	region.bytes = (size_t)frames->stride * frames->count;
	if (config->enable_numa_awareness == MDFH_ON && config->interface)
		region.numa_node = mdfh_interface_node(config->interface) + 1;
	rc = mdfh_region_map(&region, &frames->region);
	if (rc)
		return rc;
	frames->base = frames->region.base;
	frames->free = mdfh_lines_alloc(frames->count, sizeof(*frames->free));
	frames->held = mdfh_lines_alloc(frames->count, sizeof(*frames->held));
	frames->iov = mdfh_lines_alloc(config->batch_size, sizeof(*frames->iov));
	frames->placed = mdfh_lines_alloc(config->batch_size, sizeof(*frames->placed));
	if (!frames->free || !frames->held || !frames->iov || !frames->placed)
		return mdfh_error(
		    -ENOMEM, "%s: bookkeeping of %u packets", name, config->rx_ring_size);
	for (uint32_t i = 0; i < frames->count; i++)
		frames->free[i] = frames->count - 1 - i;
	frames->free_count = frames->count;
	for (uint32_t i = 0; i < config->batch_size; i++) {
		frames->placed[i] = MDFH_FRAME_NONE;
		frames->iov[i].iov_len = frames->size;
	}
	can->numa_node = frames->region.node;
	can->hugepages = frames->region.page_bytes >= 2u << 20;
	can->hold_max = config->rx_ring_size - config->batch_size;
	return 0;
}

void mdfh_frames_unmap(struct mdfh_frames *frames)
{
	free(frames->free);
	free(frames->held);
	free(frames->iov);
	free(frames->placed);
	if (frames->region.base)
		mdfh_region_unmap(&frames->region);
}
