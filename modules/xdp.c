/* xdp.c - AF_XDP: packets of the configured flows, taken off the interface's queue by an XDP program
 * before the kernel's network stack sees them, into memory that this process shares with the kernel.
 *
 * A chunk of that memory is in one place at a time: in the fill ring (or with the NIC), in the receive
 * ring, held by the caller, or in reserve. What is released goes straight back to the fill ring; for
 * what is held a chunk of the reserve takes its place there, so that it stays full, and no more memory
 * is in use, and in cache, than that.
 *
 * recv makes no system call while packets come. Where none has come it enters the kernel only if the
 * driver asked for it (need_wakeup), or if preferred busy polling is on, where the driver runs in that
 * call and never by interrupt. */
#include "modules/xdp.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "modules/module.h"
#include "net/frame_path.h"

enum {
	COPY_COOKIE = 1 << 30, /* a cookie is a chunk's number, or this and a copy's */
	AHEAD = 4,             /* packets whose headers are fetched into the cache early */
};

/* Let the driver run. What it may answer says nothing: it may be busy, or the interface down, which
 * stats finds out. */
static void wake(struct xdp_port *x)
{
	struct pollfd ready = {.fd = x->fd, .events = POLLIN};

	/* Before Linux 5.11 an AF_XDP socket has no such call, and it is poll that wakes the
	 * driver. */
	if (recvfrom(x->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL) < 0 && errno == EOPNOTSUPP)
		(void)poll(&ready, 1, 0);
}

/* How many packets can be handed out where they lie. */
static uint32_t room_in_place(const struct xdp_port *x)
{
	uint32_t most = x->zero_copy ? x->hold_max : x->hold_max + x->batch_size;

	return x->held_count < most ? most - x->held_count : 0;
}

/* Zero-copy: a packet must not stay in the NIC's buffer if it is short, or if so many are held that
 * the NIC would run out of them. Where copies run out there is room in place. */
static void copy_where_needed(struct xdp_port *x, struct mdfh_packet *packet)
{
	uint64_t chunk = packet->cookie;
	const uint8_t *copy = NULL;
	uint32_t piece = 0;

	if (packet->length < x->threshold || x->held_count >= x->hold_max)
		copy = mdfh_pool_copy(&x->copies, packet->data, packet->length, &piece);
	if (!copy) {
		x->chunks.held[chunk] = 1;
		x->held_count++;
		return;
	}
	mdfh_xdp_give(x, chunk);
	packet->data = copy;
	packet->header_length = 0;
	packet->cookie = COPY_COOKIE | piece;
	packet->flags |= MDFH_PACKET_COPIED;
	x->base.stats.rx_copied++;
}

static inline void make_packet(uint64_t chunk, const uint8_t *bytes, uint32_t offset,
    uint32_t length, uint16_t flow, uint16_t flags, uint64_t now_ns, struct mdfh_packet *packet)
{
	packet->data = bytes + offset;
	packet->receive_ns = now_ns;
	packet->cookie = chunk;
	packet->length = length;
	packet->time_error_ns = UINT32_MAX;
	packet->flow = flow;
	packet->flags = flags;
	packet->header_length = (uint16_t)offset;
	packet->reserved = 0;
}

/* The NIC's time in front of a frame, if there is one. It is taken away, lest it be the next packet's. */
static void read_stamp(struct xdp_port *x, struct mdfh_packet *packet)
{
	struct xdp_stamp stamp;
	uint8_t *bytes;
	uint64_t offset;

	if (packet->cookie >= x->chunks.count) /* a copy, and read before */
		return;
	offset = (uint64_t)(packet->data - x->chunks.base) - packet->header_length;
	if (offset % XDP_CHUNK < sizeof(stamp))
		return;
	bytes = x->chunks.base + offset - sizeof(stamp);
	memcpy(&stamp, bytes, sizeof(stamp));
	if (stamp.marker != XDP_STAMP_MARKER)
		return;
	memset(bytes, 0, sizeof(stamp));
	if (!stamp.ns)
		return;
	packet->receive_ns = stamp.ns;
	packet->flags &= (uint16_t) ~(MDFH_PACKET_TIME_MASK | MDFH_PACKET_CLOCK_SYNC);
	packet->flags |= MDFH_PACKET_TIME_NIC;
}

/* A descriptor as it may be: a frame that is not plain or of no flow, too long, or with a trailer, a
 * packet to be copied. 1 if a packet was made of it; else its chunk goes back. */
static __attribute__((noinline)) int take_any(
    struct xdp_port *x, const struct xdp_desc *desc, uint64_t now_ns, struct mdfh_packet *packet)
{
	struct mdfh_bypass_stats *stats = &x->base.stats;
	uint64_t chunk = desc->addr / XDP_CHUNK;
	const uint8_t *bytes;
	struct mdfh_frame frame;
	uint16_t flow;

	/* Outside of the memory that the kernel was given: no chunk, so nothing to give back. */
	if (chunk >= x->chunks.count || desc->len > XDP_CHUNK - desc->addr % XDP_CHUNK) {
		x->bad_descriptors++;
		return 0;
	}
	bytes = x->chunks.base + desc->addr;
	if (!mdfh_frame_path(
		stats, &x->flows, MDFH_LINK_ETHERNET, bytes, desc->len, desc->len, &frame, &flow)) {
		mdfh_xdp_give(x, chunk);
		return 0;
	}
	make_packet(chunk, bytes, frame.payload_offset, frame.payload_length, flow, x->time_flags,
	    now_ns, packet);
	if (packet->length > x->frame_size) {
		packet->length = x->frame_size;
		packet->flags |= MDFH_PACKET_TRUNCATED;
		stats->rx_truncated++;
	}
	if (x->stamps)
		read_stamp(x, packet);
	/* Before the frame may be given back. */
	mdfh_frame_trailer(stats, &x->trailer, bytes, desc->len, desc->len, &frame, packet);
	stats->rx_bytes += packet->length;
	if (x->zero_copy) {
		copy_where_needed(x, packet);
	} else {
		x->chunks.held[chunk] = 1;
		x->held_count++;
	}
	return 1;
}

/* Whatever comes next is described by the ring's next descriptor and lies, as a rule, in the chunk
 * at the same place of the fill ring: the kernel takes chunks in their order. Both are fetched while
 * the ring is asked whether there is something, rather than one after the other when there is. */
static inline void fetch_next(const struct xdp_port *x)
{
	const struct xdp_desc *ring = x->rx.ring;
	const uint64_t *fill = x->fill.ring;
	uint32_t at = x->rx.cached_cons;

	__builtin_prefetch(&ring[at & x->rx.mask]);
	__builtin_prefetch(x->chunks.base + fill[at & x->fill.mask] + XDP_KERNEL_HEADROOM);
}

static int receive(struct xdp_port *x, struct mdfh_packet *packets, uint32_t n)
{
	uint32_t at, ready, end;
	uint32_t in_place = room_in_place(x);
	uint64_t now_ns;
	/* None of these is written while packets are, which the compiler cannot know. */
	const struct xdp_desc *ring = x->rx.ring, *desc;
	const uint32_t mask = x->rx.mask, longest = x->frame_size;
	const uint16_t flags = x->time_flags;
	uint8_t *base = x->chunks.base, *held = x->chunks.held;
	/* 0 = no packet is simply handed out where it lies. */
	const uint64_t memory_bytes =
	    x->trailer.kind != MDFH_TRAILER_NONE || (x->zero_copy && x->threshold)
		? 0
		: (uint64_t)x->chunks.count * XDP_CHUNK;
	struct mdfh_packet *packet = packets, *counted = packets;
	uint64_t total_bytes = 0;

	fetch_next(x);
	ready = xsk_ring_cons__peek(&x->rx, n, &at);
	if (!ready)
		return 0;
	end = at + ready;
	now_ns = x->time_flags ? mdfh_clock_now_ns() : 0;
	for (uint32_t stop = ready < in_place ? end : at + in_place; at != stop;) {
		uint16_t flow = MDFH_FLOW_NONE;
		int32_t payload = -1;
		uint64_t addr;
		uint32_t length;

		/* Past the end there is an earlier packet's descriptor: harmless, and asking where
		 * the end is costs more. */
		__builtin_prefetch(base + ring[(at + AHEAD) & mask].addr);
		desc = &ring[at++ & mask];
		addr = desc->addr;
		length = desc->len;
		if (addr < memory_bytes && addr % XDP_CHUNK + length <= XDP_CHUNK)
			payload = mdfh_frame_path_plain(&x->flows, base + addr, length, &flow);
		if ((uint32_t)payload > longest || flow == MDFH_FLOW_NONE) {
			x->held_count += (uint32_t)(packet - counted);
			packet += take_any(x, desc, now_ns, packet);
			counted = packet;
			continue;
		}
		make_packet(addr / XDP_CHUNK, base + addr, MDFH_PLAIN_PAYLOAD, (uint32_t)payload,
		    flow, flags, now_ns, packet);
		packet++;
		held[addr / XDP_CHUNK] = 1;
		total_bytes += (uint32_t)payload;
	}
	x->base.stats.rx_bytes += total_bytes;
	x->held_count += (uint32_t)(packet - counted);
	for (; at != end; at++)
		packet += take_any(x, &ring[at & mask], now_ns, packet);
	xsk_ring_cons__release(&x->rx, ready);
	if (x->stamps)
		for (counted = packets; counted < packet; counted++)
			read_stamp(x, counted);
	return (int)(packet - packets);
}

/* Keep the fill ring full: a chunk of the reserve for every one that is held. */
static void top_up(struct xdp_port *x)
{
	while (x->chunks.free_count && x->held_count + x->chunks.free_count > x->reserve)
		mdfh_xdp_give(x, mdfh_pool_take(&x->chunks));
	mdfh_xdp_publish(x);
}

static int xdp_recv(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	struct xdp_port *x = (struct xdp_port *)port;
	uint32_t room = room_in_place(x) + x->copies.free_count;
	int got = 0;

	if (room)
		got = receive(x, packets, room < (uint32_t)n ? room : (uint32_t)n);
	else /* what comes waits in the ring */
		port->stats.rx_starved++;
	top_up(x);
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
	uint8_t *held = x->chunks.held;
	uint64_t *ring = x->fill.ring;
	uint32_t at = x->fill.cached_prod;
	const uint32_t mask = x->fill.mask, count = x->chunks.count;

	for (int i = 0; i < n; i++) {
		uint64_t cookie = packets[i].cookie;

		if (cookie < count) {
			ring[at & mask] = cookie * XDP_CHUNK; /* there is room for one more */
			at += held[cookie];                   /* 0: was released before */
			held[cookie] = 0;
		} else if (cookie & COPY_COOKIE) {
			mdfh_pool_release(&x->copies, cookie & ~(uint64_t)COPY_COOKIE);
		}
	}
	x->held_count -= at - x->fill.cached_prod;
	x->fill.cached_prod = at;
	mdfh_xdp_publish(x);
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
