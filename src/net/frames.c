/* frames.c - setup of the packet memory of backends that the kernel copies for. */
#include "net/frames.h"

#include <errno.h>
#include <stdlib.h>

#include "core/lines.h"
#include "mdfh/error.h"

int mdfh_frames_map(struct mdfh_frames *frames, const char *name,
    const struct mdfh_bypass_config *config, struct mdfh_bypass_capabilities *can)
{
	int rc =
	    mdfh_pool_map(&frames->pool, name, config->rx_ring_size, config->frame_size, config);

	if (rc)
		return rc;
	frames->size = config->frame_size;
	frames->iov = mdfh_lines_alloc(config->batch_size, sizeof(*frames->iov));
	frames->placed = mdfh_lines_alloc(config->batch_size, sizeof(*frames->placed));
	if (!frames->iov || !frames->placed)
		return mdfh_error(-ENOMEM, "%s: places of %u packets", name, config->batch_size);
	for (uint32_t i = 0; i < config->batch_size; i++) {
		frames->placed[i] = MDFH_FRAME_NONE;
		frames->iov[i].iov_len = frames->size;
	}
	can->numa_node = frames->pool.region.node;
	can->hugepages = frames->pool.region.page_bytes >= 2u << 20;
	can->hold_max = config->rx_ring_size - config->batch_size;
	return 0;
}

void mdfh_frames_unmap(struct mdfh_frames *frames)
{
	free(frames->iov);
	free(frames->placed);
	mdfh_pool_unmap(&frames->pool);
}
