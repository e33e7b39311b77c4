/* frames.h - the packet memory of a backend that lets the kernel copy into it: frames of one
 * region, a stack of the free ones, and places where a receive call finds frames to fill.
 *
 * A frame is given to the kernel only while it is free, so packets may be held for as long as
 * frames last. The frame released last is the one still in cache, so it is the next to be used. */
#ifndef MDFH_NET_FRAMES_H
#define MDFH_NET_FRAMES_H

#include <sys/uio.h>

#include "mdfh/memory.h"
#include "net/net.h"

enum { MDFH_FRAME_NONE = -1 };

struct mdfh_frames {
	uint32_t free_count;
	uint32_t *free;    /* stack of free frames */
	uint8_t *held;     /* by frame: handed out and not yet released */
	struct iovec *iov; /* batch_size places, each with its frame ... */
	int32_t *placed;   /* ... by number, MDFH_FRAME_NONE = to be given one */
	uint8_t *base;
	uint32_t size, stride, count;
	struct mdfh_region region;
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
		if (!frames->free_count)
			break;
		frame = frames->free[--frames->free_count];
		frames->placed[i] = (int32_t)frame;
		frames->iov[i].iov_base = frames->base + (size_t)frame * frames->stride;
	}
	return i;
}

/* Hand the frame at a place out; its number becomes the packet's cookie. */
static inline uint64_t mdfh_frames_take(struct mdfh_frames *frames, unsigned place)
{
	uint32_t frame = (uint32_t)frames->placed[place];

	frames->held[frame] = 1;
	frames->placed[place] = MDFH_FRAME_NONE;
	return frame;
}

static inline void mdfh_frames_release(
    struct mdfh_frames *frames, const struct mdfh_packet *packets, int n)
{
	for (int i = 0; i < n; i++) {
		uint64_t frame = packets[i].cookie;

		if (frame >= frames->count || !frames->held[frame])
			continue;
		frames->held[frame] = 0;
		frames->free[frames->free_count++] = (uint32_t)frame;
	}
}

#endif
