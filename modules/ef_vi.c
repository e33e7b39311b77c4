/* ef_vi.c - packets from a Solarflare or AMD NIC by ef_vi: from a queue of the port's own, to which
 * filters of the NIC steer its flows, without the kernel and without a system call.
 *
 * NICs of the X2 family and before write frames into buffers that the port has given them; a buffer is in
 * one place at a time: with the NIC, held by the caller, or on the stack of free ones, from which every
 * recv tops the ring up. X3 and later (EFCT) write into memory of the driver's, and hand out references
 * to packets there: one that is held keeps a megabyte from being used again, so only few may be. */
#include "modules/ef_vi.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "modules/module.h"
#include "net/frame_path.h"

/* A cookie is a buffer's number, or one of these and a number of its kind. */
#define COPY_COOKIE      (UINT64_C(1) << 40)
#define REFERENCE_COOKIE (UINT64_C(1) << 41)
#define NUMBER_MASK      UINT64_C(0xffffffff)

/* By the NIC's clock, or by ours when the batch had come. */
static void set_time(
    struct efvi_port *p, const struct efvi_frame *frame, struct mdfh_packet *packet)
{
	if (!p->time_flags || (p->has_stamps && mdfh_efvi_time(p, frame, packet)))
		return;
	if (!p->now_ns)
		p->now_ns = mdfh_clock_now_ns();
	packet->receive_ns = p->now_ns;
	packet->flags |= p->time_flags;
}

/* Hold the frame where it lies; its cookie. */
static uint64_t hold(struct efvi_port *p, const struct efvi_frame *frame)
{
	uint32_t slot;

	p->held_count++;
	if (frame->kind == EFVI_IN_BUFFER) {
		p->buffers.held[frame->buffer] = 1;
		return frame->buffer;
	}
	slot = p->references.free[--p->references.free_count];
	p->references.packets[slot] = frame->reference;
	p->references.held[slot] = 1;
	return REFERENCE_COOKIE | slot;
}

/* Whether the next frame can be handed out, whatever it is. If not, it waits in the event queue. */
static int has_room(const struct efvi_port *p)
{
	return p->copies.free_count || p->held_count < p->hold_max;
}

/* 1 if a packet was made of the frame, else it has gone back. */
static int hand_out(struct efvi_port *p, const struct efvi_frame *from, struct mdfh_packet *packet)
{
	struct mdfh_bypass_stats *stats = &p->base.stats;
	struct mdfh_frame frame;
	const uint8_t *copy = NULL;
	uint32_t piece = 0;
	uint32_t length;
	uint16_t flow;

	if (!mdfh_frame_path(stats, &p->flows, MDFH_LINK_ETHERNET, from->bytes, from->captured,
		from->wire_length, &frame, &flow)) {
		mdfh_efvi_give_back(p, from);
		return 0;
	}
	length = frame.payload_length < p->frame_size ? frame.payload_length : p->frame_size;
	*packet = (struct mdfh_packet){
	    .length = length,
	    .time_error_ns = UINT32_MAX,
	    .flow = flow,
	};
	set_time(p, from, packet);
	mdfh_frame_trailer(
	    stats, &p->trailer, from->bytes, from->captured, from->wire_length, &frame, packet);
	if (from->kind == EFVI_ASSEMBLED || length < p->threshold || p->held_count >= p->hold_max)
		copy =
		    mdfh_pool_copy(&p->copies, from->bytes + frame.payload_offset, length, &piece);
	if (copy) {
		packet->data = copy;
		packet->cookie = COPY_COOKIE | piece;
		packet->flags |= MDFH_PACKET_COPIED;
		stats->rx_copied++;
		mdfh_efvi_give_back(p, from);
	} else if (from->kind == EFVI_ASSEMBLED) {
		stats->rx_dropped_socket++;
		return 0;
	} else {
		packet->data = from->bytes + frame.payload_offset;
		packet->header_length = (uint16_t)frame.payload_offset;
		packet->cookie = hold(p, from);
	}
	if (frame.truncated || length < frame.payload_length) {
		packet->flags |= MDFH_PACKET_TRUNCATED;
		stats->rx_truncated++;
	}
	stats->rx_bytes += length;
	return 1;
}

static int say_dead(const struct efvi_port *p)
{
	return mdfh_error(-EIO,
	    p->dead == EFVI_OVERFLOWS
		? "ef_vi: the event queue of %s overflowed, so what came is no longer known; open "
		  "the port anew, with a larger rx_ring_size"
		: "ef_vi: %s was reset and took the queue away; open the port anew",
	    p->device);
}

static int ef_vi_recv(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	struct efvi_port *p = (struct efvi_port *)port;
	struct mdfh_bypass_stats *stats = &port->stats;
	struct efvi_frame frame;
	int got = 0, has_polled = 0, is_full = 0;

	if (!p->by_reference)
		(void)mdfh_efvi_refill(p); /* a ring that is full is no matter */
	p->now_ns = 0;
	while (got < n) {
		if (!has_room(p)) {
			is_full = 1;
			break;
		}
		if (mdfh_efvi_next(p, &frame)) {
			got += hand_out(p, &frame, &packets[got]);
			continue;
		}
		/* All events are looked at before the queue is asked again: times are found by the
		 * newest sync event. */
		if (has_polled || p->dead)
			break;
		p->event_at = 0;
		p->event_count = ef_eventq_poll(&p->vi, p->events, EFVI_EVENTS);
		has_polled = 1;
	}
	if (got) {
		stats->rx_packets += (uint64_t)got;
		stats->rx_batches++;
		return got;
	}
	if (p->dead)
		return say_dead(p);
	stats->rx_starved += (uint64_t)is_full;
	stats->rx_empty++;
	return 0;
}

static void release_reference(struct efvi_port *p, uint32_t slot)
{
	if (slot >= p->references.count || !p->references.held[slot])
		return;
	p->references.held[slot] = 0;
	p->api.reference_release(&p->vi, p->references.packets[slot]);
	p->references.free[p->references.free_count++] = slot;
	p->held_count--;
}

static void ef_vi_release(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	struct efvi_port *p = (struct efvi_port *)port;

	for (int i = 0; i < n; i++) {
		uint64_t cookie = packets[i].cookie;

		if (cookie & COPY_COOKIE)
			mdfh_pool_release(&p->copies, cookie & NUMBER_MASK);
		else if (cookie & REFERENCE_COOKIE)
			release_reference(p, (uint32_t)(cookie & NUMBER_MASK));
		else
			p->held_count -= (uint32_t)mdfh_pool_release(&p->buffers, cookie);
	}
}

/* Waiting ------------------------------------------------------------------------------------- */

/* The driver's descriptor becomes readable with the next event that the queue has not told of. */
static int ef_vi_wait(struct mdfh_bypass *port, uint32_t timeout_us)
{
	struct efvi_port *p = (struct efvi_port *)port;
	const struct timespec time = {
	    .tv_sec = timeout_us / 1000000, .tv_nsec = (long)(timeout_us % 1000000) * 1000};
	struct pollfd driver = {.fd = has_room(p) ? p->driver : -1, .events = POLLIN};
	int rc;

	/* At the limit there is nothing to wait for but the caller. */
	if (driver.fd >= 0) {
		if (p->event_at < p->event_count || p->dead)
			return 1; /* recv has something to say */
		rc = p->api.prime(&p->vi, p->driver, ef_eventq_current(&p->vi));
		if (rc < 0) {
			mdfh_error_errno(rc, "ef_vi: interrupts of %s", p->device);
			return -EIO;
		}
	}
	rc = ppoll(&driver, 1, &time, NULL);
	if (rc < 0 && errno != EINTR)
		return mdfh_error_errno(-EIO, "ef_vi: poll");
	return rc > 0;
}

/* --------------------------------------------------------------------------------------------- */

static const struct mdfh_bypass_ops ops = {
    .size = sizeof(ops),
    .name = "ef_vi",
    .description = "Solarflare and AMD NICs by ef_vi: UDP past the kernel",
    .probe = mdfh_efvi_probe,
    .open = mdfh_efvi_open,
    .recv = ef_vi_recv,
    .release = ef_vi_release,
    .close = mdfh_efvi_close,
    .stats = mdfh_efvi_stats,
    .counters = mdfh_efvi_counters,
};

/* The same where there are interrupts: of references there are none unless the queue was made so. */
const struct mdfh_bypass_ops mdfh_efvi_waking_ops = {
    .size = sizeof(mdfh_efvi_waking_ops),
    .name = "ef_vi",
    .description = "Solarflare and AMD NICs by ef_vi: UDP past the kernel",
    .probe = mdfh_efvi_probe,
    .open = mdfh_efvi_open,
    .recv = ef_vi_recv,
    .wait = ef_vi_wait,
    .release = ef_vi_release,
    .close = mdfh_efvi_close,
    .stats = mdfh_efvi_stats,
    .counters = mdfh_efvi_counters,
};

extern const struct mdfh_backend_module mdfh_backend_module;
MDFH_API const struct mdfh_backend_module mdfh_backend_module = {
    .abi = MDFH_BACKEND_ABI,
    .size = sizeof(mdfh_backend_module),
    .ops = &ops,
    .load = mdfh_module_load,
};
