/* xdp.c - AF_XDP: packets of the configured flows, taken off the interface's queue by an XDP program
 * before the kernel's network stack sees them, into memory that this process shares with the kernel.
 *
 * A chunk of that memory is in one place at a time: in the fill ring (or with the NIC), in the receive
 * ring, held by the caller, or on the stack of free ones, from which every recv tops the fill ring up.
 * The stack gives back first the chunk released last, which is still in cache.
 *
 * recv makes no system call while packets come. Where none has come it enters the kernel only if the
 * driver asked for it (need_wakeup), or if preferred busy polling is on, where the driver runs in that
 * call and never by interrupt. */
#include "modules/xdp.h"

#include <errno.h>
#include <string.h>

#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "modules/module.h"
#include "net/frame_path.h"

enum { COPY_COOKIE = 1 << 30 }; /* a cookie is a chunk's number, or this and a copy's */

/* Let the driver run. What it may answer says nothing: it may be busy, or the interface down, which
 * stats finds out. */
static void wake(struct xdp_port *x)
{
	(void)recvfrom(x->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

/* A copy of the payload, so that the chunk can go back at once. NULL = there is no room. */
static const uint8_t *copy_out(
    struct xdp_port *x, const uint8_t *payload, uint32_t length, uint64_t *cookie)
{
	uint32_t copy;
	uint8_t *to;

	if (!x->copies.free_count)
		return NULL;
	copy = mdfh_pool_take(&x->copies);
	to = mdfh_pool_at(&x->copies, copy);
	memcpy(to, payload, length);
	x->copies.held[copy] = 1;
	*cookie = COPY_COOKIE | copy;
	return to;
}

/* One descriptor. 1 if a packet was made of it; else its chunk is free again. */
static int take(
    struct xdp_port *x, const struct xdp_desc *desc, uint64_t now_ns, struct mdfh_packet *packet)
{
	struct mdfh_bypass_stats *stats = &x->base.stats;
	uint32_t chunk = (uint32_t)(desc->addr / XDP_CHUNK);
	const uint8_t *bytes = x->chunks.base + desc->addr;
	struct mdfh_frame frame;
	const uint8_t *data;
	uint64_t cookie = chunk;
	uint32_t length;
	uint16_t flow, flags = x->time_flags, header;

	if (!mdfh_frame_path(
		stats, &x->flows, MDFH_LINK_ETHERNET, bytes, desc->len, desc->len, &frame, &flow)) {
		mdfh_pool_put(&x->chunks, chunk);
		return 0;
	}
	length = frame.payload_length;
	data = bytes + frame.payload_offset;
	header = (uint16_t)frame.payload_offset;
	if (length > x->frame_size) {
		length = x->frame_size;
		flags |= MDFH_PACKET_TRUNCATED;
		stats->rx_truncated++;
	}
	if (x->zero_copy && (length < x->threshold || x->held_count >= x->hold_max)) {
		const uint8_t *copy = copy_out(x, data, length, &cookie);

		if (copy) {
			data = copy;
			header = 0;
			flags |= MDFH_PACKET_COPIED;
			stats->rx_copied++;
			mdfh_pool_put(&x->chunks, chunk);
		}
	}
	if (cookie == chunk) {
		x->chunks.held[chunk] = 1;
		x->held_count++;
	}
	*packet = (struct mdfh_packet){
	    .data = data,
	    .receive_ns = now_ns,
	    .cookie = cookie,
	    .length = length,
	    .time_error_ns = UINT32_MAX,
	    .flow = flow,
	    .flags = flags,
	    .header_length = header,
	};
	/* A chunk that was copied out of is still whole: the device gets it with the next call. */
	mdfh_frame_trailer(stats, &x->trailer, bytes, desc->len, desc->len, &frame, packet);
	stats->rx_bytes += length;
	return 1;
}

static int receive(struct xdp_port *x, struct mdfh_packet *packets, int n)
{
	uint32_t at, ready = xsk_ring_cons__peek(&x->rx, (uint32_t)n, &at);
	uint64_t now_ns = ready && x->time_flags ? mdfh_clock_now_ns() : 0;
	int got = 0;

	for (uint32_t i = 0; i < ready; i++) {
		if (i + 1 < ready)
			__builtin_prefetch(
			    x->chunks.base + xsk_ring_cons__rx_desc(&x->rx, at + i + 1)->addr);
		got += take(x, xsk_ring_cons__rx_desc(&x->rx, at + i), now_ns, &packets[got]);
	}
	if (ready)
		xsk_ring_cons__release(&x->rx, ready);
	return got;
}

static int xdp_recv(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	struct xdp_port *x = (struct xdp_port *)port;
	int got = 0;

	mdfh_xdp_top_up(x);
	if (x->held_count < x->hold_max + x->batch_size || x->zero_copy)
		got = receive(x, packets, n);
	else /* what comes waits in the ring */
		port->stats.rx_starved++;
	if (!got) {
		port->stats.rx_empty++;
		if (x->is_polled || xsk_ring_prod__needs_wakeup(&x->fill))
			wake(x);
		return 0;
	}
	port->stats.rx_packets += (uint64_t)got;
	port->stats.rx_batches++;
	return got;
}

static void xdp_release(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	struct xdp_port *x = (struct xdp_port *)port;

	for (int i = 0; i < n; i++) {
		uint64_t cookie = packets[i].cookie;

		if (cookie & COPY_COOKIE)
			mdfh_pool_release(&x->copies, cookie & ~(uint64_t)COPY_COOKIE);
		else
			x->held_count -= (uint32_t)mdfh_pool_release(&x->chunks, cookie);
	}
}

/* --------------------------------------------------------------------------------------------- */

static const struct mdfh_bypass_ops ops = {
    .size = sizeof(ops),
    .name = "xdp",
    .description = "AF_XDP sockets: UDP past the kernel's network stack",
    .probe = mdfh_xdp_probe,
    .open = mdfh_xdp_open,
    .recv = xdp_recv,
    .release = xdp_release,
    .close = mdfh_xdp_close,
    .stats = mdfh_xdp_stats,
    .counters = mdfh_xdp_counters,
    .is_exclusive = 1,
};

extern const struct mdfh_backend_module mdfh_backend_module;
MDFH_API const struct mdfh_backend_module mdfh_backend_module = {
    .abi = MDFH_BACKEND_ABI,
    .size = sizeof(mdfh_backend_module),
    .ops = &ops,
    .load = mdfh_module_load,
};
