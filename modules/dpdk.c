/* dpdk.c - packets by DPDK's poll-mode drivers: bursts from a queue of a device, handed out where
 * they lie, and bursts to it.
 *
 * A packet that is handed out stands in a slot, whose number is its cookie: so it can be given
 * back in any order, and twice without harm. Slots are as many as may be held, and a batch more
 * for copies. */
#include "modules/dpdk.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <rte_lcore.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "modules/module.h"
#include "net/frame_path.h"

enum {
	ROUNDS_MAX = 4,      /* bursts in one recv: it ends even if no packet is ours */
	POLLS_PER_LOOK = 64, /* at the clock, while nothing comes */
	AHEAD = 4,           /* packets that are fetched into the cache early */
	ALONE = 0x00010001,  /* refcnt and nb_segs of an mbuf in one piece that nobody else has */
};

/* The thread ----------------------------------------------------------------------------------- */

static pthread_key_t thread_key;
static pthread_once_t thread_once = PTHREAD_ONCE_INIT;

static void thread_ends(void *value)
{
	(void)value;
	rte_thread_unregister();
}

static void make_key(void)
{
	(void)pthread_key_create(&thread_key, thread_ends);
}

/* DPDK keeps a stack of free packets for each thread that it knows by number. One that it cannot
 * know works, too, at the price of a common queue. */
static void register_thread(struct dpdk_port *p)
{
	p->is_registered = 1;
	if (rte_lcore_id() != LCORE_ID_ANY || rte_thread_register())
		return;
	(void)pthread_once(&thread_once, make_key);
	(void)pthread_setspecific(thread_key, p);
}

/* Data path: no system call but the driver's, no lock, no allocation --------------------------- */

/* Sums that the device found wrong are looked at here, too: it calls a sum wrong that is not
 * there. */
static int has_wrong_sums(struct dpdk_port *p, const struct rte_mbuf *mbuf)
{
	const uint8_t *bytes = rte_pktmbuf_mtod(mbuf, const uint8_t *);
	struct mdfh_frame frame;
	uint64_t ip = mbuf->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
	uint64_t udp = mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;

	if (ip != RTE_MBUF_F_RX_IP_CKSUM_BAD && udp != RTE_MBUF_F_RX_L4_CKSUM_BAD)
		return 0;
	if (mdfh_frame_parse(MDFH_LINK_ETHERNET, bytes, mbuf->data_len, mbuf->pkt_len, &frame) ==
		MDFH_FRAME_OK &&
	    mdfh_frame_checksums(bytes, &frame) == MDFH_FRAME_OK)
		return 0;
	p->base.stats.rx_malformed++;
	p->base.stats.malformed[MDFH_FRAME_CHECKSUM]++;
	return 1;
}

/* 1 if it is a packet of a flow, else it is counted. */
static int classify(
    struct dpdk_port *p, struct rte_mbuf **mbuf, struct mdfh_frame *frame, uint16_t *flow)
{
	/* A tag that the device took off goes back on: flows are told apart by it. */
	if (unlikely((*mbuf)->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED))
		(void)rte_vlan_insert(mbuf);
	if (mdfh_frame_path(&p->base.stats, &p->flows, MDFH_LINK_ETHERNET,
		rte_pktmbuf_mtod(*mbuf, const uint8_t *), (*mbuf)->data_len, (*mbuf)->pkt_len,
		frame, flow))
		return !has_wrong_sums(p, *mbuf);
	if (frame->protocol == IPPROTO_IGMP || frame->protocol == IPPROTO_ICMPV6)
		dpdk_membership_hear(p, *mbuf, frame);
	return 0;
}

/* Its own copy of the payload, which then begins at *offset, as it does in the packet: with what
 * stands before it, if there is room for that. NULL: no packet is free. */
static struct rte_mbuf *copy_of(
    struct dpdk_port *p, const struct rte_mbuf *mbuf, uint32_t *offset, uint32_t length)
{
	struct rte_mbuf *copy = rte_pktmbuf_alloc(p->rx_pool);
	const uint8_t *from = rte_pktmbuf_mtod_offset(mbuf, const uint8_t *, *offset);

	if (!copy)
		return NULL;
	/* The packet may be of a pool of larger ones. */
	if (*offset + length > rte_pktmbuf_tailroom(copy))
		*offset = 0;
	memcpy(rte_pktmbuf_mtod(copy, uint8_t *), from - *offset, *offset + length);
	return copy;
}

/* When it came: by the device's clock, or by ours when the burst had come. */
static void set_time(
    const struct dpdk_port *p, const struct rte_mbuf *mbuf, struct mdfh_packet *packet)
{
	packet->time_error_ns = UINT32_MAX;
	if (p->has_device_stamps && mbuf->ol_flags & p->stamp_flag &&
	    p->clock_line.state != MDFH_DEVICE_CLOCK_UNKNOWN) {
		uint64_t ticks =
		    *RTE_MBUF_DYNFIELD(mbuf, p->stamp_offset, const rte_mbuf_timestamp_t *);

		packet->receive_ns = mdfh_device_line_ns(&p->clock_line, ticks);
		packet->time_error_ns = mdfh_device_line_error(&p->clock_line, ticks);
		packet->flags |= MDFH_PACKET_TIME_NIC;
		if (p->clock_line.state == MDFH_DEVICE_CLOCK_SYNC)
			packet->flags |= MDFH_PACKET_CLOCK_SYNC;
	} else if (p->time_flags) {
		packet->receive_ns = p->now_ns;
		packet->flags |= p->time_flags;
	}
}

/* Hand a packet out. 1, or 0 if it has to be copied and cannot be. */
static int hand_out(struct dpdk_port *p, struct rte_mbuf *mbuf, const struct mdfh_frame *frame,
    uint16_t flow, struct mdfh_packet *packet)
{
	struct mdfh_bypass_stats *stats = &p->base.stats;
	uint32_t length = frame->payload_length;
	uint32_t offset = frame->payload_offset;
	uint32_t held = p->slot_count - p->free_count;
	int is_over = p->is_in_place && held >= p->hold_max;
	struct rte_mbuf *copy = NULL;
	uint32_t slot;

	if (length > p->frame_size)
		length = p->frame_size;
	if (is_over || length < p->threshold) {
		copy = copy_of(p, mbuf, &offset, length);
		if (!copy)
			return 0;
	}
	*packet = (struct mdfh_packet){
	    .length = length,
	    .flow = flow,
	    .header_length = (uint16_t)offset,
	};
	set_time(p, mbuf, packet);
	mdfh_frame_trailer(stats, &p->trailer, rte_pktmbuf_mtod(mbuf, const uint8_t *),
	    mbuf->data_len, mbuf->pkt_len, frame, packet);
	if (copy) {
		rte_pktmbuf_free(mbuf);
		mbuf = copy;
		packet->flags |= MDFH_PACKET_COPIED;
		stats->rx_copied++;
	}
	if (frame->truncated || length < frame->payload_length) {
		packet->flags |= MDFH_PACKET_TRUNCATED;
		stats->rx_truncated++;
	}
	slot = p->free[--p->free_count];
	p->slots[slot] = (char *)mbuf;
	packet->data = rte_pktmbuf_mtod_offset(mbuf, const uint8_t *, offset);
	packet->cookie = slot;
	stats->rx_bytes += length;
	return 1;
}

static_assert(offsetof(struct rte_mbuf, nb_segs) == offsetof(struct rte_mbuf, refcnt) + 2,
    "both are read as one");

/* Hand out of the pending ones up to n, as long as they are what a feed consists of: plain frames
 * of a flow, each in a packet of the port's own pool, with nothing to be done to it. The others
 * go the long way. */
static __attribute__((noinline)) int take_plain(
    struct dpdk_port *p, struct mdfh_packet *packets, int n)
{
	static const uint64_t unusual = RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_RX_IP_CKSUM_BAD |
					RTE_MBUF_F_RX_L4_CKSUM_BAD | RTE_MBUF_F_INDIRECT |
					RTE_MBUF_F_EXTERNAL;
	/* None of these is written while packets are, which the compiler cannot know. */
	const uint32_t *free = p->free + p->free_count;
	const uint32_t frame_size = p->frame_size;
	const uint16_t flags = p->time_flags;
	const uint64_t now_ns = flags ? p->now_ns : 0;
	const struct rte_mempool *pool = p->rx_pool;
	char **slots = p->slots;
	struct rte_mbuf *const *mbufs = p->pending + p->pending_at;
	struct mdfh_packet *packet = packets;
	uint32_t most = (uint32_t)(p->pending_count - p->pending_at);
	/* What a device of software hands out, this core has just written. */
	uint32_t fetched = p->device->is_virtual || most < AHEAD ? 0 : most - AHEAD;
	uint32_t kept = p->is_in_place ? p->slot_count - p->hold_max : 0; /* for copies */
	uint32_t room = p->free_count > kept ? p->free_count - kept : 0;
	uint64_t bytes = 0;
	uint32_t i;

	if (p->threshold || p->trailer.kind != MDFH_TRAILER_NONE)
		return 0;
	if (most > (uint32_t)n)
		most = (uint32_t)n;
	if (most > room)
		most = room;
	for (i = 0; i < most; i++, packet++) {
		struct rte_mbuf *mbuf = mbufs[i];
		const uint8_t *data = rte_pktmbuf_mtod(mbuf, const uint8_t *);
		uint32_t alone;
		int32_t length;
		uint16_t flow;

		if (i < fetched)
			rte_prefetch0(rte_pktmbuf_mtod(mbufs[i + AHEAD], const void *));
		memcpy(&alone, &mbuf->refcnt, sizeof(alone));
		if (unlikely(mbuf->ol_flags & unusual || alone != ALONE || mbuf->pool != pool))
			break;
		length = mdfh_frame_path_plain(&p->flows, data, mbuf->data_len, &flow);
		if (unlikely(length < 0 || flow == MDFH_FLOW_NONE || (uint32_t)length > frame_size))
			break;
		free--;
		slots[*free] = (char *)mbuf + DPDK_SLOT_PLAIN;
		packet->data = data + MDFH_PLAIN_PAYLOAD;
		packet->receive_ns = now_ns;
		packet->cookie = *free;
		packet->length = (uint32_t)length;
		packet->time_error_ns = UINT32_MAX;
		packet->flow = flow;
		packet->flags = flags;
		packet->header_length = MDFH_PLAIN_PAYLOAD;
		packet->reserved = 0;
		bytes += (uint32_t)length;
	}
	for (uint32_t k = 0; p->has_device_stamps && k < i; k++) {
		packets[k].receive_ns = 0;
		packets[k].flags = 0;
		set_time(p, mbufs[k], &packets[k]);
	}
	p->free_count -= i;
	p->pending_at += (uint16_t)i;
	p->base.stats.rx_bytes += bytes;
	return (int)i;
}

/* Hand out of the pending ones up to n. */
static int take(struct dpdk_port *p, struct mdfh_packet *packets, int n)
{
	struct rte_mbuf *unwanted[DPDK_BURST_MAX];
	unsigned unwanted_count = 0;
	int got = 0;

	for (;;) {
		struct mdfh_frame frame;
		struct rte_mbuf *mbuf;
		uint16_t flow;

		got += take_plain(p, packets + got, n - got);
		if (p->pending_at == p->pending_count || got == n || !p->free_count)
			break;
		mbuf = p->pending[p->pending_at];
		if (!classify(p, &mbuf, &frame, &flow))
			unwanted[unwanted_count++] = mbuf;
		else if (hand_out(p, mbuf, &frame, flow, &packets[got]))
			got++;
		else
			break;
		p->pending_at++;
	}
	if (unwanted_count)
		rte_pktmbuf_free_bulk(unwanted, unwanted_count);
	return got;
}

/* Nothing has come, so there is time for what else there is to do. */
static int idle(struct dpdk_port *p)
{
	p->base.stats.rx_empty++;
	p->base.stats.rx_starved += p->pending_at < p->pending_count;
	if (p->looks && p->polls++ % POLLS_PER_LOOK == 0) {
		uint64_t now_ns = mdfh_clock_now_ns();

		if (p->has_device_stamps)
			dpdk_clock_look(p, now_ns);
		if (now_ns - p->looked_ns >= p->look_every_ns)
			dpdk_membership_poll(p, now_ns);
	}
	return 0;
}

/* Once for a burst. */
static void look_at_clocks(struct dpdk_port *p)
{
	p->now_ns = mdfh_clock_now_ns();
	if (p->has_device_stamps)
		p->clock_line = mdfh_device_clock_line(&p->clock);
}

static int dpdk_recv(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	struct dpdk_port *p = (struct dpdk_port *)port;
	int got = 0;

	if (!p->is_registered)
		register_thread(p);
	for (int round = 0; p->receives && round < ROUNDS_MAX && got < n; round++) {
		if (p->pending_at == p->pending_count) {
			p->pending_at = p->pending_count = 0;
			if (!p->device->is_started)
				break;
			p->pending_count =
			    rte_eth_rx_burst(p->device_id, p->queue, p->pending, p->burst);
			if (!p->pending_count)
				break;
			look_at_clocks(p);
		}
		got += take(p, packets + got, n - got);
		if (p->pending_at < p->pending_count)
			break; /* n are there, or no slot is free */
	}
	if (!got)
		return idle(p);
	if (p->speaks && p->now_ns - p->looked_ns >= p->look_every_ns)
		dpdk_membership_poll(p, p->now_ns);
	port->stats.rx_packets += (uint64_t)got;
	port->stats.rx_batches++;
	return got;
}

static void dpdk_release(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	struct dpdk_port *p = (struct dpdk_port *)port;
	char **slots = p->slots;
	uint32_t *free = p->free + p->free_count;
	const uint32_t slot_count = p->slot_count;

	while (n > 0) {
		void *plain[DPDK_BURST_MAX];
		int most = n < DPDK_BURST_MAX ? n : DPDK_BURST_MAX;
		unsigned count = 0;

		for (int i = 0; i < most; i++) {
			uint64_t slot = packets[i].cookie;
			char *mbuf = slot < slot_count ? slots[slot] : NULL;

			if (unlikely(!mbuf)) /* it is not held: ignored */
				continue;
			slots[slot] = NULL;
			*free++ = (uint32_t)slot;
			/* Of a plain one there is nothing to be looked at. */
			if (likely((uintptr_t)mbuf & DPDK_SLOT_PLAIN))
				plain[count++] = mbuf - DPDK_SLOT_PLAIN;
			else
				rte_pktmbuf_free((struct rte_mbuf *)(void *)mbuf);
		}
		if (count)
			rte_mempool_put_bulk(p->rx_pool, plain, count);
		packets += most;
		n -= most;
	}
	p->free_count = (uint32_t)(free - p->free);
}

/* Sending -------------------------------------------------------------------------------------- */

/* A frame around the payload; 0 if it cannot be one. */
static int build(struct dpdk_port *p, const struct mdfh_packet *packet, struct rte_mbuf *mbuf)
{
	struct mdfh_frame_header *header;
	int length;

	if (packet->flow >= p->headers_count || packet->length > p->payload_max)
		return 0;
	header = &p->headers[packet->flow];
	length = mdfh_frame_build(header, packet->data, packet->length,
	    rte_pktmbuf_mtod(mbuf, uint8_t *), rte_pktmbuf_tailroom(mbuf));
	if (length < 0)
		return 0;
	header->identification++;
	mbuf->data_len = (uint16_t)length;
	mbuf->pkt_len = (uint32_t)length;
	return 1;
}

static int dpdk_send(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	struct dpdk_port *p = (struct dpdk_port *)port;
	struct rte_mbuf *mbufs[DPDK_BURST_MAX];
	uint64_t bytes = 0;
	int built = 0, sent = 0;

	if (!p->is_registered)
		register_thread(p);
	if (!p->device->is_started) {
		port->stats.tx_failed += (uint64_t)n;
		return 0;
	}
	if (rte_pktmbuf_alloc_bulk(p->tx_pool, mbufs, (unsigned)n)) {
		/* All of them are on their way: what has left is taken back here. */
		(void)rte_eth_tx_done_cleanup(p->device_id, p->queue, 0);
		port->stats.tx_failed += (uint64_t)n;
		return 0;
	}
	while (built < n && build(p, &packets[built], mbufs[built]))
		built++;
	if (built)
		sent = rte_eth_tx_burst(p->device_id, p->queue, mbufs, (uint16_t)built);
	if (sent < n)
		rte_pktmbuf_free_bulk(mbufs + sent, (unsigned)(n - sent));
	for (int i = 0; i < sent; i++)
		bytes += packets[i].length;
	port->stats.tx_packets += (uint64_t)sent;
	port->stats.tx_bytes += bytes;
	port->stats.tx_failed += (uint64_t)(n - sent);
	if (!built)
		return mdfh_error(-EINVAL,
		    "dpdk: a packet of %u bytes to flow %u cannot be sent; the flow needs a group, "
		    "and %u bytes are the most",
		    packets[0].length, packets[0].flow, p->payload_max);
	return sent;
}

/* The control path ----------------------------------------------------------------------------- */

static void warn(struct dpdk_port *p)
{
	char text[sizeof(p->warning)];

	snprintf(text, sizeof(text), "%s", p->setup_warning);
	if (!dpdk_is_link_up(p))
		snprintf(text, sizeof(text),
		    "the link of %.160s is down: nothing arrives; look at the cable, or at the "
		    "other end",
		    p->device->text);
	/* Written only where it changes, for whoever reads it just then. */
	if (strcmp(text, p->warning) != 0)
		memcpy(p->warning, text, sizeof(text));
}

/* Drivers add up what the device has counted since, and do not expect two threads at it. */
static int ask(struct dpdk_device *device)
{
	return !__atomic_exchange_n(&device->is_asked, 1, __ATOMIC_ACQUIRE);
}

static void end_asking(struct dpdk_device *device)
{
	__atomic_store_n(&device->is_asked, 0, __ATOMIC_RELEASE);
}

/* Receive threads of several queues may be here at once: one asks, the others keep what they had. */
static int dpdk_stats(struct mdfh_bypass *port)
{
	struct dpdk_port *p = (struct dpdk_port *)port;
	struct rte_eth_stats device;

	dpdk_membership_look(p);
	dpdk_clock_look(p, mdfh_clock_now_ns());
	warn(p);
	if (!ask(p->device))
		return 0;
	if (!rte_eth_stats_get(p->device_id, &device))
		port->stats.rx_dropped_nic = device.imissed + device.ierrors;
	end_asking(p->device);
	return 0;
}

static int read_counters(const struct dpdk_port *p, struct mdfh_bypass_counter *counters, int max)
{
	int count = rte_eth_xstats_get(p->device_id, NULL, 0);
	struct rte_eth_xstat_name *names;
	struct rte_eth_xstat *values;

	if (count <= 0)
		return 0;
	names = calloc((size_t)count, sizeof(*names));
	values = calloc((size_t)count, sizeof(*values));
	if (!names || !values ||
	    rte_eth_xstats_get_names(p->device_id, names, (unsigned)count) != count ||
	    rte_eth_xstats_get(p->device_id, values, (unsigned)count) != count)
		count = 0;
	for (int i = 0; i < count && i < max; i++) {
		snprintf(
		    counters[i].name, sizeof(counters[i].name), "%s", names[values[i].id].name);
		counters[i].value = values[i].value;
	}
	free(names);
	free(values);
	return count;
}

static int dpdk_counters(struct mdfh_bypass *port, struct mdfh_bypass_counter *counters, int max)
{
	struct dpdk_port *p = (struct dpdk_port *)port;
	int count;

	while (!ask(p->device))
		(void)sched_yield();
	count = read_counters(p, counters, max);
	end_asking(p->device);
	return count;
}

static uint16_t dpdk_local_port(const struct mdfh_bypass *port, uint16_t flow)
{
	const struct dpdk_port *p = (const struct dpdk_port *)port;

	return flow < p->flows.count ? p->flows.entries[flow].port : 0;
}

static const struct mdfh_bypass_ops ops = {
    .size = sizeof(ops),
    .name = "dpdk",
    .description = "UDP by DPDK's poll-mode drivers, from PCI devices and devices of software",
    .open = dpdk_open,
    .recv = dpdk_recv,
    .release = dpdk_release,
    .send = dpdk_send,
    .close = dpdk_close,
    .stats = dpdk_stats,
    .local_port = dpdk_local_port,
    .counters = dpdk_counters,
    .is_exclusive = 1,
};

extern const struct mdfh_backend_module mdfh_backend_module;
MDFH_API const struct mdfh_backend_module mdfh_backend_module = {
    .abi = MDFH_BACKEND_ABI,
    .size = sizeof(mdfh_backend_module),
    .ops = &ops,
    .load = mdfh_module_load,
};
