/* references.c - a NIC with memory of its own (EFCT): frames are put one after the other into large
 * buffers, and a large buffer is used again when no packet in it is held any more. */
#include "device.h"

#include <stdlib.h>
#include <string.h>

enum { NOT_A_PACKET = 0x5a };

int efdev_references_open(struct efdev_queue *q)
{
	q->superbuffer_count = efdev_settings.superbuffers ? efdev_settings.superbuffers : 64;
	if (efdev_strike("superbuffers"))
		return -ENOMEM;
	q->superbuffers = calloc(q->superbuffer_count, sizeof(*q->superbuffers));
	return q->superbuffers ? 0 : -ENOMEM;
}

void efdev_references_close(struct efdev_queue *q)
{
	free(q->superbuffers);
}

/* One that has room, which may be another than the current one. */
static struct efdev_superbuffer *with_room(struct efdev_queue *q)
{
	for (uint32_t i = 0; i < q->superbuffer_count; i++) {
		uint32_t at = (q->current + i) % q->superbuffer_count;
		struct efdev_superbuffer *s = &q->superbuffers[at];

		if (s->used == EFDEV_PER_SUPERBUFFER && !s->references)
			s->used = 0;
		if (s->used < EFDEV_PER_SUPERBUFFER) {
			q->current = at;
			return s;
		}
	}
	return NULL;
}

int efdev_references_take(struct efdev_queue *q, const struct efdev_frame *frame)
{
	struct efdev_superbuffer *s = with_room(q);
	uint32_t packet, at;
	ef_event *event;

	if (!s || frame->length > EFDEV_SLOT_BYTES) {
		q->no_buffers++;
		return 0;
	}
	event = efdev_queue_event(q);
	if (!event)
		return 0;
	at = s->used++;
	memset(s->bytes[at], NOT_A_PACKET, EFDEV_SLOT_BYTES);
	memcpy(s->bytes[at], frame->bytes, frame->length);
	s->time_ns[at] = frame->time_ns;
	s->held[at] = 1;
	s->references++;
	packet = q->current << 16 | at;
	if (frame->discard_flags)
		*event = (ef_event){.rx_ref_discard = {.type = EF_EVENT_TYPE_RX_REF_DISCARD,
					.pkt_id = packet,
					.len = (uint16_t)frame->length,
					.flags = (uint16_t)frame->discard_flags}};
	else
		*event = (ef_event){.rx_ref = {.type = EF_EVENT_TYPE_RX_REF,
					.pkt_id = packet,
					.len = (uint16_t)frame->length}};
	return 1;
}

/* Of a packet that is held; NULL and a fault of any other. */
static struct efdev_superbuffer *holder(struct ef_vi *vi, uint32_t packet, uint32_t *at)
{
	struct efdev_queue *q = vi->queue;
	uint32_t buffer = packet >> 16;

	*at = packet & 0xffff;
	if (buffer < q->superbuffer_count && *at < EFDEV_PER_SUPERBUFFER &&
	    q->superbuffers[buffer].held[*at])
		return &q->superbuffers[buffer];
	efdev_fault("a reference that is not held");
	return NULL;
}

const void *efct_vi_rxpkt_get(struct ef_vi *vi, uint32_t packet)
{
	uint32_t at;
	struct efdev_superbuffer *s = holder(vi, packet, &at);

	return s ? s->bytes[at] : NULL;
}

int efct_vi_rxpkt_get_timestamp(
    struct ef_vi *vi, uint32_t packet, ef_timespec *time, unsigned *flags)
{
	uint32_t at;
	struct efdev_superbuffer *s = holder(vi, packet, &at);

	return efdev_time(s ? s->time_ns[at] : 0, time, flags);
}

void efct_vi_rxpkt_release(struct ef_vi *vi, uint32_t packet)
{
	uint32_t at;
	struct efdev_superbuffer *s = holder(vi, packet, &at);

	if (!s)
		return;
	s->held[at] = 0;
	s->references--;
	memset(s->bytes[at], NOT_A_PACKET, EFDEV_SLOT_BYTES); /* whoever still looks sees it */
}
