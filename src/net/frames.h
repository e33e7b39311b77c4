/* frames.h - the packet memory of a backend that lets the kernel copy into it: a pool of frames, and
 * places where a receive call finds frames to fill.
 *
 * A frame is given to the kernel only while it is free, so packets may be held for as long as
 * frames last. */
#ifndef MDFH_NET_FRAMES_H
#define MDFH_NET_FRAMES_H

#include <sys/uio.h>

#include "net/net.h"
#include "net/pool.h"

enum { MDFH_FRAME_NONE = -1 };

struct mdfh_frames {
	struct mdfh_pool pool;
	uint32_t size;     /* of a frame, as configured */
	struct iovec *iov; /* batch_size places, each with its frame ... */
	int32_t *placed;   /* ... by number, MDFH_FRAME_NONE = to be given one */
};

/* rx_ring_size frames of frame_size and batch_size places; what that makes a port capable of goes
 * to can. On failure what was made so far stays for mdfh_frames_unmap. name is the backend's. */
int mdfh_frames_map(struct mdfh_frames *frames, const char *name,
    const struct mdfh_bypass_config *config, struct mdfh_bypass_capabilities *can);
void mdfh_frames_unmap(struct mdfh_frames *frames); /* in any state; zeroed, too */

/* Give the first n places frames. Returns how many have one. */
static inline unsigned mdfh_frames_arm(struct mdfh_frames *frames, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		uint32_t frame;

		if (frames->placed[i] != MDFH_FRAME_NONE)
			continue;
		if (!frames->pool.free_count)
			break;
		frame = mdfh_pool_take(&frames->pool);
		frames->placed[i] = (int32_t)frame;
		frames->iov[i].iov_base = mdfh_pool_at(&frames->pool, frame);
	}
	return i;
}

/* Hand the frame at a place out; its number becomes the packet's cookie. */
static inline uint64_t mdfh_frames_take(struct mdfh_frames *frames, unsigned place)
{
	uint32_t frame = (uint32_t)frames->placed[place];

	frames->pool.held[frame] = 1;
	frames->placed[place] = MDFH_FRAME_NONE;
	return frame;
}

static inline void mdfh_frames_release(
    struct mdfh_frames *frames, const struct mdfh_packet *packets, int n)
{
	for (int i = 0; i < n; i++)
		mdfh_pool_release(&frames->pool, packets[i].cookie);
}

#endif
