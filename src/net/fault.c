/* fault.c - seeded faults on top of another port.
 *
 * Packets come from the lower port in batches, but are judged one at a time, in order: each goes
 * to the queue of packets to hand out, to one of two queues of packets held back, or nowhere. Each
 * kind of fault draws from hash(seed, packet number, kind), so that more of one kind does not move
 * the others, and equal packets meet equal faults whatever the caller's batches are.
 *
 * A packet stands in a slot from judgement to release. What passes unchanged stays where the lower
 * port has it; what is held back, changed or added is copied to the slot's own bytes, so that the
 * lower port's buffers are held by nobody but the caller. A caller that holds too many gets no more
 * until it releases some: no fault is left out for lack of room. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/lines.h"
#include "mdfh/error.h"
#include "mdfh/fault.h"
#include "mdfh/memory.h"
#include "net/net.h"

enum {
	HEADER_ROOM = 128,    /* frame bytes copied along; a longer header is left out */
	SLOTS_PER_PACKET = 2, /* itself and its duplicate */
};

enum kind {
	LOSS,
	DUPLICATE,
	REORDER,
	DAMAGE,
	DAMAGE_WHERE,
	TRUNCATE,
	TRUNCATE_WHERE,
	DELAY,
	KINDS
};

struct slot {
	struct mdfh_packet packet; /* as handed out; its cookie is this slot */
	struct mdfh_packet lower;  /* as received */
	int is_held;               /* by the caller: a second release does no harm */
	int own;                   /* 1 = data is the slot's own, lower has been given back */
};

/* First in, first out; entries are slots. Never fuller than there are slots. */
struct queue {
	uint32_t *slots;
	uint64_t *until; /* of held-back packets: the packet number or time that sets them free */
	uint32_t head, count;
};

struct fault_port {
	struct mdfh_bypass base; /* first, so a port pointer is a fault_port pointer */
	struct mdfh_bypass *lower;
	struct mdfh_fault_config config;
	struct mdfh_fault_counts counts;
	uint64_t survivors;  /* packets not lost; the clock of reordering */
	uint32_t burst_left; /* packets that the running burst still takes */
	int ended;
	uint32_t input_count, input_at;
	struct queue output, reordered, delayed;
	uint32_t delayed_max;
	uint32_t handed_out, handed_out_max; /* packets that the caller has, and may have */
	struct slot *slots;
	uint32_t *free; /* stack of slot numbers */
	uint32_t free_count, slot_count, slot_bytes, frame_size;
	struct mdfh_region memory;
	uint8_t *bytes;
	struct mdfh_packet input[MDFH_BYPASS_BATCH_MAX];
};

/* Setup ----------------------------------------------------------------- */

static int check(const struct mdfh_bypass_config *config)
{
	struct mdfh_bypass_config lower;
	int error;

	if (!config->lower)
		return mdfh_error(
		    -EINVAL, "fault: lower is not set; give the configuration of the port below");
	if (config->flow_count)
		return mdfh_error(-EINVAL,
		    "fault: flows (or host and port) are set; they belong to the lower port");
	error = mdfh_bypass_config_defaults(config->lower, &lower);
	if (error)
		return error;
	/* Before it connects. */
	if (lower.transport == MDFH_TRANSPORT_TCP)
		return mdfh_error(-ENOTSUP,
		    "fault: transport of the lower port is TCP; a stream loses, repeats and "
		    "reorders nothing: break its connection instead");
	if (config->require_zero_copy == MDFH_ON)
		return mdfh_error(
		    -ENOTSUP, "fault: require_zero_copy is on; packets that faults hit are copied");
	return 0;
}

static int take_queue(struct queue *queue, uint32_t slots)
{
	queue->slots = mdfh_lines_alloc(slots, sizeof(*queue->slots));
	queue->until = mdfh_lines_alloc(slots, sizeof(*queue->until));
	return queue->slots && queue->until ? 0 : -ENOMEM;
}

/* Slots: what may be held back, twice, because each may have a duplicate; what the caller may
 * hold; and what one batch and the packet in judgement add. */
static int take_memory(struct fault_port *fault, const struct mdfh_bypass_config *config)
{
	const struct mdfh_bypass_capabilities *lower = mdfh_bypass_capabilities(fault->lower);
	struct mdfh_bypass_capabilities *own = &fault->base.capabilities;
	struct mdfh_region_config region = {
	    .size = sizeof(region),
	    .hugepages = config->hugepages,
	};
	uint32_t held_back = config->fault.reorder_ppm ? config->fault.reorder_distance + 1 : 0;
	int error;

	fault->delayed_max = config->fault.delay_ppm ? config->rx_ring_size : 0;
	held_back += fault->delayed_max;
	own->hold_max = config->hold_max ? config->hold_max : config->rx_ring_size;
	if (own->hold_max > lower->hold_max)
		own->hold_max = lower->hold_max;
	fault->handed_out_max = own->hold_max + config->batch_size;
	fault->slot_count = SLOTS_PER_PACKET * (held_back + 1) + fault->handed_out_max;
	fault->frame_size = lower->frame_size;
	fault->slot_bytes = (HEADER_ROOM + fault->frame_size + MDFH_CACHE_LINE - 1) /
			    MDFH_CACHE_LINE * MDFH_CACHE_LINE;

	fault->slots = mdfh_lines_alloc(fault->slot_count, sizeof(*fault->slots));
	fault->free = mdfh_lines_alloc(fault->slot_count, sizeof(*fault->free));
	if (!fault->slots || !fault->free || take_queue(&fault->output, fault->slot_count) ||
	    take_queue(&fault->reordered, fault->slot_count) ||
	    take_queue(&fault->delayed, fault->slot_count))
		return mdfh_error(-ENOMEM, "fault: %u slots", fault->slot_count);
	for (uint32_t i = 0; i < fault->slot_count; i++)
		fault->free[fault->free_count++] = fault->slot_count - 1 - i;
	region.bytes = (size_t)fault->slot_count * fault->slot_bytes;
	error = mdfh_region_map(&region, &fault->memory);
	if (error)
		return error;
	fault->bytes = fault->memory.base;
	return 0;
}

static void fault_close(struct mdfh_bypass *port)
{
	struct fault_port *fault = (struct fault_port *)port;
	struct queue *queues[] = {&fault->output, &fault->reordered, &fault->delayed};

	mdfh_bypass_close(fault->lower);
	for (int i = 0; i < 3; i++) {
		free(queues[i]->slots);
		free(queues[i]->until);
	}
	if (fault->bytes)
		mdfh_region_unmap(&fault->memory);
	free(fault->slots);
	free(fault->free);
	free(fault);
}

static int fault_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port)
{
	const struct mdfh_bypass_capabilities *lower;
	struct fault_port *fault;
	int error = check(config);

	*port = NULL;
	if (error)
		return error;
	fault = mdfh_lines_alloc(1, sizeof(*fault));
	if (!fault)
		return mdfh_error(-ENOMEM, "fault: %zu bytes", sizeof(*fault));
	fault->config = config->fault;
	error = mdfh_bypass_open(config->lower, &fault->lower);
	if (error)
		goto fail;
	lower = mdfh_bypass_capabilities(fault->lower);
	if (lower->is_stream) {
		error = mdfh_error(-ENOTSUP,
		    "fault: the lower port, %s, is a stream, which loses, repeats and reorders "
		    "nothing: break its connection instead",
		    mdfh_bypass_name(fault->lower));
		goto fail;
	}
	fault->base.capabilities = *lower;
	/* Packets may wait here that a descriptor knows nothing of. */
	fault->base.capabilities.poll_fd = -1;
	fault->base.capabilities.drops_in_recv = 0; /* the lower port's are fetched by stats */
	error = take_memory(fault, config);
	if (error)
		goto fail;
	*port = &fault->base;
	return 0;

fail:
	fault_close(&fault->base);
	return error;
}

/* Draws ----------------------------------------------------------------- */

/* The output function of SplitMix64 over a counter. */
static uint64_t draw(const struct fault_port *fault, enum kind kind)
{
	uint64_t x = fault->config.seed + (fault->counts.received * KINDS + (uint64_t)kind) *
					      UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* 0 <= result < range, without a division. */
static uint32_t draw_below(const struct fault_port *fault, enum kind kind, uint32_t range)
{
	return (uint32_t)((draw(fault, kind) >> 32) * range >> 32);
}

static int strikes(const struct fault_port *fault, enum kind kind, uint32_t ppm)
{
	return ppm && draw_below(fault, kind, 1000000) < ppm;
}

/* Data path: no allocation, no system call but the lower port's --------- */

static void push(struct fault_port *fault, struct queue *queue, uint32_t slot, uint64_t until)
{
	uint32_t at = queue->head + queue->count++;

	if (at >= fault->slot_count)
		at -= fault->slot_count;
	queue->slots[at] = slot;
	queue->until[at] = until;
}

static uint32_t pop(struct fault_port *fault, struct queue *queue)
{
	uint32_t slot = queue->slots[queue->head++];

	if (queue->head == fault->slot_count)
		queue->head = 0;
	queue->count--;
	return slot;
}

/* Release from `queue` what `now` (a packet number or a time) sets free. */
static void set_free(struct fault_port *fault, struct queue *queue, uint64_t now)
{
	while (queue->count && queue->until[queue->head] <= now)
		push(fault, &fault->output, pop(fault, queue), 0);
}

/* A packet from below in a slot of its own, its bytes where they are. */
static uint32_t take_slot(struct fault_port *fault, const struct mdfh_packet *packet)
{
	uint32_t number = fault->free[--fault->free_count];
	struct slot *slot = &fault->slots[number];

	slot->packet = slot->lower = *packet;
	slot->packet.cookie = number;
	slot->is_held = 0;
	slot->own = 0;
	return number;
}

/* Bring the bytes of `from` into the slot's own memory. */
static void copy_bytes(struct fault_port *fault, uint32_t number, const struct mdfh_packet *from)
{
	struct slot *slot = &fault->slots[number];
	uint8_t *data = fault->bytes + (size_t)number * fault->slot_bytes + HEADER_ROOM;
	uint16_t header = from->header_length <= HEADER_ROOM ? from->header_length : 0;
	uint32_t length = from->length <= fault->frame_size ? from->length : fault->frame_size;

	memcpy(data - header, from->data - header, header + length);
	slot->packet.data = data;
	slot->packet.length = length;
	slot->packet.header_length = header;
	slot->packet.flags |= MDFH_PACKET_COPIED;
	slot->own = 1;
}

/* The same for a slot that still refers to the lower port's bytes, which are given back. */
static void make_own(struct fault_port *fault, uint32_t number)
{
	struct slot *slot = &fault->slots[number];

	if (slot->own)
		return;
	copy_bytes(fault, number, &slot->lower);
	mdfh_bypass_release(fault->lower, &slot->lower, 1);
}

static int is_lost(struct fault_port *fault, const struct mdfh_packet *packet)
{
	if (!fault->burst_left) {
		if (!strikes(fault, LOSS, fault->config.loss_ppm))
			return 0;
		fault->burst_left = fault->config.burst_length;
	}
	fault->burst_left--;
	fault->counts.lost++;
	if (packet->flow < MDFH_BYPASS_FLOWS_MAX)
		fault->counts.flow_lost[packet->flow]++;
	return 1;
}

/* Faults to the bytes. An empty packet has none to spoil. */
static void alter(struct fault_port *fault, uint32_t number)
{
	struct slot *slot = &fault->slots[number];
	uint32_t length = slot->packet.length;

	if (length && strikes(fault, DAMAGE, fault->config.damage_ppm)) {
		uint32_t bit = draw_below(fault, DAMAGE_WHERE, length * 8);
		uint8_t *data;

		make_own(fault, number);
		data = fault->bytes + (size_t)number * fault->slot_bytes + HEADER_ROOM;
		data[bit >> 3] ^= (uint8_t)(1U << (bit & 7));
		fault->counts.damaged++;
	}
	if (length && strikes(fault, TRUNCATE, fault->config.truncate_ppm)) {
		make_own(fault, number);
		slot->packet.length = draw_below(fault, TRUNCATE_WHERE, length);
		slot->packet.flags |= MDFH_PACKET_TRUNCATED;
		fault->counts.truncated++;
	}
}

/* Where a packet goes on: out, or to those held back. Its duplicate goes behind it. */
static void place(struct fault_port *fault, struct queue *queue, uint32_t number, uint64_t until)
{
	uint32_t twin = UINT32_MAX;

	if (queue != &fault->output)
		make_own(fault, number);
	if (strikes(fault, DUPLICATE, fault->config.duplicate_ppm)) {
		twin = take_slot(fault, &fault->slots[number].packet);
		copy_bytes(fault, twin, &fault->slots[number].packet);
		fault->counts.duplicated++;
	}
	push(fault, queue, number, until);
	if (twin != UINT32_MAX)
		push(fault, queue, twin, until);
}

/* Judge one packet; takes at most SLOTS_PER_PACKET slots. */
static void judge(struct fault_port *fault, const struct mdfh_packet *packet)
{
	const struct mdfh_fault_config *config = &fault->config;
	int hit = !config->flow_mask ||
		  (packet->flow < MDFH_BYPASS_FLOWS_MAX && config->flow_mask >> packet->flow & 1);
	uint32_t number;

	set_free(fault, &fault->delayed, packet->receive_ns);
	if (hit && is_lost(fault, packet)) {
		mdfh_bypass_release(fault->lower, packet, 1);
	} else {
		number = take_slot(fault, packet);
		fault->survivors++;
		if (!hit) {
			push(fault, &fault->output, number, 0);
		} else {
			struct queue *queue = &fault->output;
			uint64_t until = 0;

			alter(fault, number);
			if (strikes(fault, REORDER, config->reorder_ppm)) {
				queue = &fault->reordered;
				until = fault->survivors + config->reorder_distance;
				fault->counts.reordered++;
			} else if (fault->delayed.count < fault->delayed_max &&
				   strikes(fault, DELAY, config->delay_ppm)) {
				queue = &fault->delayed;
				until = packet->receive_ns + config->delay_ns;
				fault->counts.delayed++;
			}
			place(fault, queue, number, until);
		}
		set_free(fault, &fault->reordered, fault->survivors);
	}
	fault->counts.received++;
}

/* The source has ended: nothing will set the rest free. By number, then by time. */
static void flush(struct fault_port *fault)
{
	set_free(fault, &fault->reordered, UINT64_MAX);
	set_free(fault, &fault->delayed, UINT64_MAX);
}

static void hand_out(struct fault_port *fault, struct mdfh_packet *packet)
{
	struct mdfh_bypass_stats *stats = &fault->base.stats;
	struct slot *slot = &fault->slots[pop(fault, &fault->output)];

	slot->is_held = 1;
	fault->handed_out++;
	*packet = slot->packet;
	fault->counts.lost_before = fault->counts.lost;
	if (packet->flow < MDFH_BYPASS_FLOWS_MAX)
		fault->counts.flow_lost_before[packet->flow] =
		    fault->counts.flow_lost[packet->flow];
	stats->rx_bytes += packet->length;
	stats->rx_truncated += (packet->flags & MDFH_PACKET_TRUNCATED) != 0;
	stats->rx_copied += (packet->flags & MDFH_PACKET_COPIED) != 0;
}

/* Take a batch from below if none is left. 0, or a negative errno that is no end. */
static int refill(struct fault_port *fault, int wait)
{
	int got;

	if (fault->input_at < fault->input_count || fault->ended)
		return 0;
	got = wait ? mdfh_bypass_recv_wait(fault->lower, fault->input, MDFH_BYPASS_BATCH_MAX)
		   : mdfh_bypass_recv(fault->lower, fault->input, MDFH_BYPASS_BATCH_MAX);
	fault->input_at = 0;
	fault->input_count = got > 0 ? (uint32_t)got : 0;
	if (got == -ENODATA) {
		fault->ended = 1;
		flush(fault);
		return 0;
	}
	return got < 0 ? got : 0;
}

static int fault_recv(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	struct fault_port *fault = (struct fault_port *)port;
	int error = 0;
	int asked = 0;
	int got = 0;
	int over;

	while (got < n && fault->handed_out < fault->handed_out_max) {
		if (fault->output.count) {
			hand_out(fault, &packets[got++]);
		} else if (fault->input_at < fault->input_count) {
			judge(fault, &fault->input[fault->input_at++]);
		} else if (asked++ == 0) {
			error = refill(fault, 0);
		} else {
			break;
		}
	}
	if (got) {
		port->stats.rx_packets += (uint64_t)got;
		port->stats.rx_batches++;
		return got;
	}
	if (error)
		return error;
	over = fault->ended && !fault->output.count && fault->input_at == fault->input_count;
	port->stats.rx_empty++;
	port->stats.rx_starved += fault->handed_out == fault->handed_out_max && !over;
	return over ? -ENODATA : 0;
}

static int fault_wait(struct mdfh_bypass *port, uint32_t timeout_us)
{
	struct fault_port *fault = (struct fault_port *)port;
	int error;

	if (fault->output.count || fault->ended)
		return 1;
	fault->lower->poll_timeout_us = timeout_us;
	error = refill(fault, 1);
	if (error)
		return error;
	return fault->ended || fault->input_at < fault->input_count;
}

static void fault_release(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	struct fault_port *fault = (struct fault_port *)port;
	struct mdfh_packet lower[MDFH_BYPASS_BATCH_MAX];
	int count = 0;

	for (int i = 0; i < n; i++) {
		uint64_t number = packets[i].cookie;
		struct slot *slot;

		if (number >= fault->slot_count || !fault->slots[number].is_held)
			continue;
		slot = &fault->slots[number];
		slot->is_held = 0;
		fault->handed_out--;
		fault->free[fault->free_count++] = (uint32_t)number;
		if (slot->own)
			continue;
		lower[count++] = slot->lower;
		if (count == MDFH_BYPASS_BATCH_MAX) {
			mdfh_bypass_release(fault->lower, lower, count);
			count = 0;
		}
	}
	mdfh_bypass_release(fault->lower, lower, count);
}

/* What is sent meets no faults. */
static int fault_send(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	struct fault_port *fault = (struct fault_port *)port;

	return mdfh_bypass_send(fault->lower, packets, n);
}

/* Control path ---------------------------------------------------------- */

/* What never came this far is the lower port's to count. */
static int fault_stats(struct mdfh_bypass *port)
{
	struct fault_port *fault = (struct fault_port *)port;
	struct mdfh_bypass_stats *own = &port->stats;
	struct mdfh_bypass_stats lower;
	int error = mdfh_bypass_stats(fault->lower, &lower);

	own->rx_filtered = lower.rx_filtered;
	own->rx_trailers = lower.rx_trailers;
	own->rx_trailers_absent = lower.rx_trailers_absent;
	own->rx_trailers_implausible = lower.rx_trailers_implausible;
	own->rx_malformed = lower.rx_malformed;
	memcpy(own->malformed, lower.malformed, sizeof(own->malformed));
	own->rx_dropped_nic = lower.rx_dropped_nic;
	own->rx_dropped_kernel = lower.rx_dropped_kernel;
	own->rx_dropped_socket = lower.rx_dropped_socket;
	own->known_drops = lower.known_drops;
	own->tx_packets = lower.tx_packets;
	own->tx_bytes = lower.tx_bytes;
	own->tx_failed = lower.tx_failed;
	port->capabilities.warning = mdfh_bypass_capabilities(fault->lower)->warning;
	return error;
}

static int fault_counters(struct mdfh_bypass *port, struct mdfh_bypass_counter *counters, int max)
{
	return mdfh_bypass_counters(((struct fault_port *)port)->lower, counters, max);
}

static uint16_t fault_local_port(const struct mdfh_bypass *port, uint16_t flow)
{
	return mdfh_bypass_local_port(((const struct fault_port *)port)->lower, flow);
}

int mdfh_fault_counts(const struct mdfh_bypass *port, struct mdfh_fault_counts *counts)
{
	const struct fault_port *fault = (const struct fault_port *)port;

	if (port->ops != &mdfh_fault_ops)
		return mdfh_error(-EINVAL, "fault: a port of backend %s counts no faults",
		    mdfh_bypass_name(port));
	*counts = fault->counts;
	counts->held_back = fault->reordered.count + fault->delayed.count + fault->output.count;
	return 0;
}

const struct mdfh_bypass_ops mdfh_fault_ops = {
    .size = sizeof(mdfh_fault_ops),
    .name = "fault",
    .description = "seeded loss, duplication, reordering, delay and damage on another port",
    .open = fault_open,
    .recv = fault_recv,
    .wait = fault_wait,
    .release = fault_release,
    .send = fault_send,
    .close = fault_close,
    .stats = fault_stats,
    .local_port = fault_local_port,
    .counters = fault_counters,
};
