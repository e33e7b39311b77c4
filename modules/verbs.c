/* verbs.c - packets by RDMA verbs: completions taken in batches, packets handed out where the device
 * wrote them, buffers given back to it in chains.
 *
 * A buffer ("piece") is in one place at a time: with the device, among the arrivals, held by the caller,
 * or on the stack of free ones. The stack gives back first the one released last, which is still in cache.
 *
 * recv makes no system call: a completion queue is memory, and so is the doorbell of a NIC. */
#include "modules/verbs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "modules/module.h"
#include "net/frame_path.h"

enum {
	COPY_COOKIE = 1 << 30, /* a cookie is a piece's number, or this and a copy's */
	ROUNDS_MAX = 4,      /* looks at the queue in one recv: it ends even if no packet is ours */
	POLLS_PER_LOOK = 64, /* at the device's clock, while nothing comes */
};

/* Buffers ------------------------------------------------------------------------------------- */

int verbs_refill(struct verbs_port *v)
{
	uint32_t room = v->ring_size - v->posted;
	uint32_t n = v->pieces.free_count < room ? v->pieces.free_count : room;
	struct ibv_recv_wr *first, *last, *refused = NULL;
	uint32_t i;

	/* A doorbell costs as much as some buffers do. */
	if (n < VERBS_CHAIN && (n == 0 || v->posted > v->ring_size / 2))
		return 0;
	first = last = &v->orders[mdfh_pool_take(&v->pieces)];
	for (i = 1; i < n; i++) {
		last->next = &v->orders[mdfh_pool_take(&v->pieces)];
		last = last->next;
	}
	last->next = NULL;
	v->posted += n;
	if (ibv_post_recv(v->qp, first, &refused) == 0)
		return 0;
	v->post_failures++;
	for (struct ibv_recv_wr *order = refused; order; order = order->next) {
		mdfh_pool_put(&v->pieces, (uint32_t)order->wr_id);
		v->posted--;
	}
	return v->posted ? 0 : -EIO;
}

/* Arrivals ------------------------------------------------------------------------------------ */

/* A completion: 1 if it is a packet. A failed one is counted, and its buffer is free again. */
static int arrive(struct verbs_port *v, enum ibv_wc_status status, uint64_t piece)
{
	v->posted--;
	if (status == IBV_WC_SUCCESS)
		return 1;
	mdfh_pool_put(&v->pieces, (uint32_t)piece);
	v->failures[verbs_status(status)]++;
	/* Buffers come back so when the queue pair is in its error state, which it does not leave. */
	if (status == IBV_WC_WR_FLUSH_ERR || status == IBV_WC_FATAL_ERR)
		v->is_dead = 1;
	return 0;
}

static void pull_array(struct verbs_port *v)
{
	int n = ibv_poll_cq(v->cq, (int)v->arrivals_max, v->completions);

	if (n < 0) {
		v->is_dead = 1;
		return;
	}
	for (int i = 0; i < n; i++) {
		const struct ibv_wc *wc = &v->completions[i];

		if (arrive(v, wc->status, wc->wr_id))
			v->arrivals[v->arrival_count++] = (struct verbs_arrival){
			    .piece = (uint32_t)wc->wr_id,
			    .length = wc->byte_len,
			    .immediate = wc->imm_data,
			    .flags = wc->wc_flags,
			};
	}
}

static void pull_extended(struct verbs_port *v)
{
	struct ibv_poll_cq_attr attributes = {0};
	struct ibv_cq_ex *cq = v->cq_ex;
	uint32_t seen = 0;
	int rc = ibv_start_poll(cq, &attributes);

	if (rc) {
		v->is_dead |= rc != ENOENT;
		return;
	}
	do {
		if (arrive(v, cq->status, cq->wr_id)) {
			struct verbs_arrival *arrival = &v->arrivals[v->arrival_count++];

			*arrival = (struct verbs_arrival){
			    .piece = (uint32_t)cq->wr_id,
			    .length = ibv_wc_read_byte_len(cq),
			    .flags = ibv_wc_read_wc_flags(cq),
			    .stamp = v->stamps == VERBS_STAMPS_TICKS
					 ? ibv_wc_read_completion_ts(cq)
					 : ibv_wc_read_completion_wallclock_ns(cq),
			};
			if (arrival->flags & IBV_WC_WITH_IMM)
				arrival->immediate = ibv_wc_read_imm_data(cq);
		}
	} while (++seen < v->arrivals_max && !ibv_next_poll(cq));
	ibv_end_poll(cq);
}

/* Take what has come off the completion queue: 1 if there is something to hand out. */
static int pull(struct verbs_port *v)
{
	v->arrival_at = v->arrival_count = 0;
	if (v->cq_ex)
		pull_extended(v);
	else
		pull_array(v);
	if (!v->arrival_count)
		return 0;
	if (v->time_flags)
		v->now_ns = mdfh_clock_now_ns();
	if (v->stamps == VERBS_STAMPS_TICKS)
		v->clock_line = mdfh_device_clock_line(&v->clock);
	return 1;
}

/* Packets ------------------------------------------------------------------------------------- */

/* Of an IPv4 header without options: the sum over all of it, with the checksum in it, is all ones. */
static int is_sum_right(const uint8_t *header)
{
	uint32_t sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)header[i] << 8 | header[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16) == 0xffff;
}

static void map_ipv4(const uint8_t *address, uint8_t mapped[16])
{
	memset(mapped, 0, 10);
	mapped[10] = mapped[11] = 0xff;
	memcpy(mapped + 12, address, 4);
}

/* From where to where a datagram was sent. The 40 bytes before it are a global routing header, which is
 * laid out as an IPv6 header is, or that (RoCE v2 over IPv6); or 20 bytes that mean nothing, and an IPv4
 * header (RoCE v2 over IPv4). No flag says which. An IPv4 header sums up and carries UDP; what stands
 * there otherwise, the end of a source and a group, does not look so but by a rare chance. */
static void read_addresses(const uint8_t *grh, struct mdfh_frame *frame)
{
	const uint8_t *ipv4 = grh + 20;

	if (ipv4[0] == 0x45 && ipv4[9] == MDFH_PROTOCOL_UDP && is_sum_right(ipv4)) {
		map_ipv4(ipv4 + 12, frame->source);
		map_ipv4(ipv4 + 16, frame->destination);
	} else {
		memcpy(frame->source, grh + 8, 16);
		memcpy(frame->destination, grh + 24, 16);
	}
}

/* 1 and the flow, or the datagram is counted as why nobody gets it. */
static int classify_datagram(struct verbs_port *v, const uint8_t *bytes,
    const struct verbs_arrival *arrival, struct mdfh_frame *frame, uint16_t *flow)
{
	struct mdfh_bypass_stats *stats = &v->base.stats;
	uint32_t number = ntohl(arrival->immediate);
	int has_port = v->is_port_carried && arrival->flags & IBV_WC_WITH_IMM;

	*frame = (struct mdfh_frame){.payload_offset = VERBS_GRH, .protocol = MDFH_PROTOCOL_UDP};
	if (arrival->length < VERBS_GRH) {
		stats->rx_malformed++;
		stats->malformed[MDFH_FRAME_SHORT]++;
		return 0;
	}
	frame->payload_length = frame->payload_wire_length = arrival->length - VERBS_GRH;
	*flow = MDFH_FLOW_NONE;
	/* Without a header it was sent to this queue pair alone, not to a group. */
	if (arrival->flags & IBV_WC_GRH && (!has_port || number <= UINT16_MAX)) {
		read_addresses(bytes, frame);
		frame->destination_port = has_port ? (uint16_t)number : 0;
		*flow = mdfh_flow_find(has_port ? &v->flows : &v->portless, frame);
	}
	if (*flow == MDFH_FLOW_NONE) {
		stats->rx_filtered++;
		return 0;
	}
	return 1;
}

static int classify(struct verbs_port *v, const uint8_t *bytes, const struct verbs_arrival *arrival,
    struct mdfh_frame *frame, uint16_t *flow)
{
	if (v->is_raw)
		return mdfh_frame_path(&v->base.stats, &v->flows, MDFH_LINK_ETHERNET, bytes,
		    arrival->length, arrival->length, frame, flow);
	return classify_datagram(v, bytes, arrival, frame, flow);
}

/* When it came: by the device's clock, or by ours when the batch was there. */
static void set_time(
    const struct verbs_port *v, const struct verbs_arrival *arrival, struct mdfh_packet *packet)
{
	packet->time_error_ns = UINT32_MAX;
	if (v->stamps == VERBS_STAMPS_TICKS && v->clock_line.state != MDFH_DEVICE_CLOCK_UNKNOWN) {
		packet->receive_ns = mdfh_device_line_ns(&v->clock_line, arrival->stamp);
		packet->time_error_ns = mdfh_device_line_error(&v->clock_line, arrival->stamp);
		packet->flags |= MDFH_PACKET_TIME_NIC;
		if (v->clock_line.state == MDFH_DEVICE_CLOCK_SYNC)
			packet->flags |= MDFH_PACKET_CLOCK_SYNC;
	} else if (v->stamps == VERBS_STAMPS_WALLCLOCK && arrival->stamp) {
		packet->receive_ns = arrival->stamp;
		packet->flags |= MDFH_PACKET_TIME_NIC;
	} else if (v->time_flags) {
		packet->receive_ns = v->now_ns;
		packet->flags |= v->time_flags;
	}
}

/* One arrival. 1 if a packet was made of it; else its piece is free again. */
static int take(
    struct verbs_port *v, const struct verbs_arrival *arrival, struct mdfh_packet *packet)
{
	struct mdfh_bypass_stats *stats = &v->base.stats;
	const uint8_t *bytes = mdfh_pool_at(&v->pieces, arrival->piece);
	const uint8_t *copy = NULL;
	uint32_t piece = 0;
	struct mdfh_frame frame;
	uint32_t length;
	uint16_t flow;

	if (arrival->length > v->piece_bytes) { /* than which it cannot have written more */
		mdfh_pool_put(&v->pieces, arrival->piece);
		v->failures[IBV_WC_LOC_LEN_ERR]++;
		return 0;
	}
	if (!classify(v, bytes, arrival, &frame, &flow)) {
		mdfh_pool_put(&v->pieces, arrival->piece);
		return 0;
	}
	length = frame.payload_length;
	if (length > v->frame_size)
		length = v->frame_size;
	*packet = (struct mdfh_packet){
	    .data = bytes + frame.payload_offset,
	    .cookie = arrival->piece,
	    .length = length,
	    .flow = flow,
	    .header_length = (uint16_t)frame.payload_offset,
	};
	if (length < frame.payload_length) {
		packet->flags |= MDFH_PACKET_TRUNCATED;
		stats->rx_truncated++;
	}
	set_time(v, arrival, packet);
	mdfh_frame_trailer(
	    stats, &v->trailer, bytes, arrival->length, arrival->length, &frame, packet);
	if (v->is_in_place && (length < v->threshold || v->held_count >= v->hold_max))
		copy = mdfh_pool_copy(&v->copies, packet->data, length, &piece);
	if (copy) {
		packet->data = copy;
		packet->cookie = COPY_COOKIE | piece;
		packet->header_length = 0;
		packet->flags |= MDFH_PACKET_COPIED;
		stats->rx_copied++;
		mdfh_pool_put(&v->pieces, arrival->piece);
	} else {
		v->pieces.held[arrival->piece] = 1;
		v->held_count++;
	}
	stats->rx_bytes += length;
	return 1;
}

static int take_all(struct verbs_port *v, struct mdfh_packet *packets, int n)
{
	int got = 0;

	while (v->arrival_at < v->arrival_count && got < n) {
		const struct verbs_arrival *arrival = &v->arrivals[v->arrival_at++];

		if (v->arrival_at < v->arrival_count)
			__builtin_prefetch(
			    mdfh_pool_at(&v->pieces, v->arrivals[v->arrival_at].piece));
		got += take(v, arrival, &packets[got]);
	}
	return got;
}

/* Where packets are not copied past hold_max, there is an end to what is handed out. */
static int is_starved(const struct verbs_port *v)
{
	return !v->is_in_place && v->held_count >= v->hold_max + v->batch_size;
}

static int verbs_recv(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	struct verbs_port *v = (struct verbs_port *)port;
	int got = 0;

	if (!v->receives) {
		port->stats.rx_empty++;
		return 0;
	}
	if (verbs_refill(v))
		v->is_dead = 1;
	if (is_starved(v)) {
		/* What comes waits in the queue. */
		port->stats.rx_starved++;
		port->stats.rx_empty++;
		return 0;
	}
	for (int round = 0; round < ROUNDS_MAX && got < n; round++) {
		if (v->arrival_at == v->arrival_count && !pull(v))
			break;
		got += take_all(v, packets + got, n - got);
	}
	if (!got) {
		port->stats.rx_starved += !v->posted && !v->pieces.free_count;
		port->stats.rx_empty++;
		if (v->stamps == VERBS_STAMPS_TICKS && v->polls++ % POLLS_PER_LOOK == 0)
			verbs_clock_look(v, mdfh_clock_now_ns());
		return v->is_dead ? mdfh_error(-EIO,
					"verbs: the queue pair on %s has failed (its counters say "
					"why); open the port anew",
					v->device)
				  : 0;
	}
	port->stats.rx_packets += (uint64_t)got;
	port->stats.rx_batches++;
	return got;
}

static void verbs_release(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	struct verbs_port *v = (struct verbs_port *)port;

	for (int i = 0; i < n; i++) {
		uint64_t cookie = packets[i].cookie;

		if (cookie & COPY_COOKIE)
			mdfh_pool_release(&v->copies, cookie & ~(uint64_t)COPY_COOKIE);
		else
			v->held_count -= (uint32_t)mdfh_pool_release(&v->pieces, cookie);
	}
}

/* Waiting ------------------------------------------------------------------------------------- */

/* Events of the completion queue, of which one comes for each time that it was armed. */
static void take_events(struct verbs_port *v)
{
	struct pollfd poll_now = {.fd = v->channel->fd, .events = POLLIN};
	struct ibv_cq *cq;
	void *context;

	while (poll(&poll_now, 1, 0) == 1 && !ibv_get_cq_event(v->channel, &cq, &context))
		ibv_ack_cq_events(cq, 1);
}

/* What came between the last look and the arming makes no event, so there is one more look. */
static int verbs_wait(struct mdfh_bypass *port, uint32_t timeout_us)
{
	struct verbs_port *v = (struct verbs_port *)port;
	struct timespec time = {
	    .tv_sec = timeout_us / 1000000, .tv_nsec = (long)(timeout_us % 1000000) * 1000};
	struct pollfd channel = {.fd = v->channel ? v->channel->fd : -1, .events = POLLIN};
	int rc;

	if (v->is_dead)
		return 1; /* recv says so */
	/* At the limit there is nothing to wait for but the caller. */
	if (v->channel && !is_starved(v)) {
		take_events(v);
		if (ibv_req_notify_cq(v->cq, 0))
			return mdfh_error(
			    -EIO, "verbs: the completion queue on %s cannot be armed", v->device);
		if (v->arrival_at < v->arrival_count || pull(v))
			return 1;
	}
	rc = ppoll(&channel, 1, &time, NULL);
	if (rc < 0 && errno != EINTR)
		return mdfh_error_errno(-EIO, "verbs: poll");
	return rc > 0;
}

/* --------------------------------------------------------------------------------------------- */

static uint16_t verbs_local_port(const struct mdfh_bypass *port, uint16_t flow)
{
	const struct verbs_port *v = (const struct verbs_port *)port;

	return flow < v->flow_count ? v->ports[flow] : 0;
}

static const struct mdfh_bypass_ops ops = {
    .size = sizeof(ops),
    .name = "verbs",
    .description = "RDMA verbs: datagrams of InfiniBand and RoCE groups, raw Ethernet",
    .probe = verbs_probe,
    .open = verbs_open,
    .recv = verbs_recv,
    .wait = verbs_wait,
    .release = verbs_release,
    .send = verbs_send,
    .close = verbs_close,
    .stats = verbs_stats,
    .local_port = verbs_local_port,
    .counters = verbs_counters,
};

extern const struct mdfh_backend_module mdfh_backend_module;
MDFH_API const struct mdfh_backend_module mdfh_backend_module = {
    .abi = MDFH_BACKEND_ABI,
    .size = sizeof(mdfh_backend_module),
    .ops = &ops,
    .load = mdfh_module_load,
};
