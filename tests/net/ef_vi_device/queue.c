/* queue.c - the ring of buffers that a program gives the NIC, and the queue of events that says what
 * became of them. */
#include "device.h"

#include <stdlib.h>
#include <string.h>

enum { AT_A_TIME = 8, COUNTED_MAX = 60 };

/* Buffers ------------------------------------------------------------------------------------- */

static int receive_init(ef_vi *vi, ef_addr address, ef_request_id id)
{
	struct efdev_queue *q = vi->queue;
	uint32_t at = q->added % q->slot_count;

	if (q->is_by_reference)
		return -ENOSYS;
	if (efdev_strike("ef_vi_receive_init"))
		return -EINVAL;
	if (q->added - q->used >= q->slot_count - 1) {
		efdev_fault("a buffer for a ring that is full");
		return -EAGAIN;
	}
	q->slots[at].address = address;
	q->slots[at].id = id;
	q->added++;
	return 0;
}

/* Whole cache lines of descriptors only; the rest waits for the next push. */
static void receive_push(ef_vi *vi)
{
	struct efdev_queue *q = vi->queue;

	q->pushed += (q->added - q->pushed) / AT_A_TIME * AT_A_TIME;
}

/* The slot that the frame's n-th buffer comes from: in order, or pairs of them exchanged. */
static uint32_t slot_of(const struct efdev_queue *q, uint32_t n)
{
	uint32_t at = q->used + n;

	if (efdev_settings.is_out_of_order && (at | 1) < q->pushed)
		at ^= 1;
	return at % q->slot_count;
}

/* Events -------------------------------------------------------------------------------------- */

ef_event *efdev_queue_event(struct efdev_queue *q)
{
	if (q->is_primed)
		efdev_wake(q);
	q->is_primed = 0;
	if (q->event_head - q->event_tail == q->events_max) {
		q->has_overflowed = 1;
		return NULL;
	}
	return &q->events[q->event_head++ % (2 * EFDEV_SLOTS_MAX)];
}

static ef_event *newest(struct efdev_queue *q)
{
	return q->event_head == q->event_tail
		   ? NULL
		   : &q->events[(q->event_head - 1) % (2 * EFDEV_SLOTS_MAX)];
}

static void note_done(struct efdev_queue *q, ef_request_id id)
{
	q->done[q->done_head++ % EFDEV_SLOTS_MAX] = id;
}

/* One buffer more of the newest event, if that is one that this may join. */
static void complete_merged(
    struct efdev_queue *q, ef_request_id id, uint16_t flags, const struct efdev_frame *frame)
{
	ef_event *event = newest(q);
	unsigned type = frame->discard ? EF_EVENT_TYPE_RX_MULTI_DISCARD : EF_EVENT_TYPE_RX_MULTI;

	/* Packets are counted, whatever they have of buffers. */
	if (efdev_settings.is_counted && flags & EF_EVENT_FLAG_SOP) {
		if (!event || EF_EVENT_TYPE(*event) != EF_EVENT_TYPE_RX_MULTI_PKTS ||
		    event->rx_multi_pkts.n_pkts == COUNTED_MAX) {
			event = efdev_queue_event(q);
			if (!event)
				return;
			*event = (ef_event){.rx_multi_pkts.type = EF_EVENT_TYPE_RX_MULTI_PKTS};
		}
		event->rx_multi_pkts.n_pkts++;
	} else if (!efdev_settings.is_counted) {
		if (!event || EF_EVENT_TYPE(*event) != type || flags != EF_EVENT_FLAG_SOP ||
		    event->rx_multi.flags != flags ||
		    event->rx_multi.n_descs == EF_VI_RECEIVE_BATCH ||
		    (frame->discard && event->rx_multi.subtype != frame->discard)) {
			event = efdev_queue_event(q);
			if (!event)
				return;
			*event = (ef_event){
			    .rx_multi = {
				.type = type, .flags = flags, .subtype = (uint16_t)frame->discard}};
		}
		event->rx_multi.n_descs++;
	}
	note_done(q, id);
}

static void complete_single(struct efdev_queue *q, ef_request_id id, uint32_t length,
    uint16_t flags, const struct efdev_frame *frame)
{
	ef_event *event = efdev_queue_event(q);

	if (!event)
		return;
	*event = (ef_event){
	    .rx_discard = {.type = frame->discard ? EF_EVENT_TYPE_RX_DISCARD : EF_EVENT_TYPE_RX,
		.rq_id = (uint32_t)id,
		.len = (uint16_t)length,
		.flags = flags,
		.subtype = (uint16_t)frame->discard}};
}

static int poll(ef_vi *vi, ef_event *events, int max)
{
	struct efdev_queue *q = vi->queue;
	int n = 0;

	if (max < EF_VI_EVENT_POLL_MIN_EVS)
		efdev_fault("a poll for too few events");
	if (q->wire.fd >= 0)
		efdev_wire_poll(q);
	if (q->has_overflowed) {
		events[0] = (ef_event){.generic.type = EF_EVENT_TYPE_OFLOW};
		return 1;
	}
	while (n < max && q->event_tail != q->event_head)
		events[n++] = q->events[q->event_tail++ % (2 * EFDEV_SLOTS_MAX)];
	return n;
}

static unsigned current(const ef_vi *vi)
{
	return vi->queue->event_tail;
}

void efdev_queue_calls(ef_vi *vi)
{
	vi->calls.eventq_current = current;
	vi->calls.receive_init = receive_init;
	vi->calls.receive_push = receive_push;
	vi->calls.eventq_poll = poll;
}

/* Frames -------------------------------------------------------------------------------------- */

static uint32_t buffers_for(const ef_vi *vi, uint32_t length)
{
	return (vi->prefix + length + vi->buffer - 1) / vi->buffer;
}

/* The frame's bytes, prefix first, into the next buffers; no event yet. 0 = they are too few. */
static int write_out(struct efdev_queue *q, const struct efdev_frame *frame)
{
	const ef_vi *vi = q->vi;
	static uint8_t whole[sizeof(struct efdev_prefix) + EFDEV_FRAME_MAX];
	const struct efdev_prefix prefix = {.time_ns = frame->time_ns,
	    .discard_flags = frame->discard_flags,
	    .length = (uint16_t)frame->length};
	uint32_t length = vi->prefix + frame->length, count = buffers_for(vi, frame->length);

	if (length > sizeof(whole) || q->pushed - q->used < count)
		return 0;
	memcpy(whole, &prefix, sizeof(prefix));
	memcpy(whole + vi->prefix, frame->bytes, frame->length);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = i * vi->buffer;
		uint32_t bytes = length - at < vi->buffer ? length - at : vi->buffer;
		uint8_t *to = efdev_memory(q->slots[slot_of(q, i)].address, bytes);

		if (to)
			memcpy(to, whole + at, bytes);
	}
	return 1;
}

static void complete(struct efdev_queue *q, const struct efdev_frame *frame)
{
	const ef_vi *vi = q->vi;
	uint32_t length = vi->prefix + frame->length, count = buffers_for(vi, frame->length);

	for (uint32_t i = 0; i < count; i++) {
		int is_last = i == count - 1;
		uint32_t so_far = is_last ? length : (i + 1) * vi->buffer;
		uint16_t flags =
		    (uint16_t)((i ? 0 : EF_EVENT_FLAG_SOP) | (is_last ? 0 : EF_EVENT_FLAG_CONT));
		ef_request_id id = q->slots[slot_of(q, i)].id;

		if (q->flags & EF_VI_RX_EVENT_MERGE)
			complete_merged(q, id, flags, frame);
		else
			complete_single(q, id, so_far, flags, frame);
	}
	q->used += count;
}

int efdev_queue_take(struct efdev_queue *q, const struct efdev_frame *frame)
{
	if (q->superbuffers)
		return efdev_references_take(q, frame);
	if (!write_out(q, frame)) {
		q->no_buffers++;
		return 0;
	}
	complete(q, frame);
	return 1;
}

/* The frame that efdev_begin() was given. */
static struct efdev_frame begun;

void efdev_begin(const struct efdev_frame *frame)
{
	begun = *frame;
	if (efdev_queues)
		(void)write_out(efdev_queues, frame);
}

void efdev_end(int discard)
{
	begun.discard = discard;
	if (efdev_queues)
		complete(efdev_queues, &begun);
}

void efdev_event_plain(unsigned type)
{
	ef_event *event = efdev_queues ? efdev_queue_event(efdev_queues) : NULL;

	if (event)
		*event = (ef_event){.generic.type = type};
}

void efdev_event_rx(uint32_t id, uint16_t length, uint16_t flags)
{
	ef_event *event = efdev_queues ? efdev_queue_event(efdev_queues) : NULL;

	if (event)
		*event = (ef_event){
		    .rx = {.type = EF_EVENT_TYPE_RX, .rq_id = id, .len = length, .flags = flags}};
}

/* What a program asks of an event or a packet ------------------------------------------------- */

ef_request_id ef_vi_rxq_next_desc_id(ef_vi *vi)
{
	struct efdev_queue *q = vi->queue;

	if (q->done_tail == q->done_head) {
		efdev_fault("more buffers asked for than have been completed");
		return (ef_request_id)EF_REQUEST_ID_MASK;
	}
	return q->done[q->done_tail++ % EFDEV_SLOTS_MAX];
}

int ef_vi_receive_unbundle(ef_vi *vi, const ef_event *event, ef_request_id *ids)
{
	for (int i = 0; i < event->rx_multi.n_descs; i++)
		ids[i] = ef_vi_rxq_next_desc_id(vi);
	return event->rx_multi.n_descs;
}

static struct efdev_prefix prefix_of(const ef_vi *vi, const void *packet)
{
	struct efdev_prefix prefix = {0};

	if (vi->prefix)
		memcpy(&prefix, packet, sizeof(prefix));
	else
		efdev_fault("a prefix of a queue that has none");
	return prefix;
}

int ef_vi_receive_get_bytes(ef_vi *vi, const void *packet, uint16_t *bytes)
{
	*bytes = prefix_of(vi, packet).length;
	return 0;
}

int ef_vi_receive_get_discard_flags(ef_vi *vi, const void *packet, unsigned *flags)
{
	*flags = prefix_of(vi, packet).discard_flags;
	return 0;
}

int efdev_time(uint64_t time_ns, ef_timespec *time, unsigned *flags)
{
	unsigned sync = efdev_settings.sync_flags;

	*time = (ef_timespec){0};
	*flags = 0;
	if (efdev_settings.time_result)
		return efdev_settings.time_result;
	if (!time_ns)
		return -ENODATA;
	time->tv_sec = (time_t)(time_ns / 1000000000);
	time->tv_nsec = (long)(time_ns % 1000000000);
	*flags = sync && !efdev_settings.tells_no_sync
		     ? sync & ~EFDEV_NO_FLAGS
		     : EF_VI_SYNC_FLAG_CLOCK_SET | EF_VI_SYNC_FLAG_CLOCK_IN_SYNC;
	return 0;
}

int ef_vi_receive_get_timestamp_with_sync_flags(
    ef_vi *vi, const void *packet, ef_timespec *time, unsigned *flags)
{
	if (!(vi->queue->flags & EF_VI_RX_TIMESTAMPS))
		efdev_fault("a time of a queue without stamps");
	return efdev_time(prefix_of(vi, packet).time_ns, time, flags);
}
