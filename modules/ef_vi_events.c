/* ef_vi_events.c - what the events of a queue say: which buffers are filled, which of them make a frame,
 * and what became of the others.
 *
 * The NIC may begin to write a frame before it has seen the frame's end, and so before it knows whether
 * its checksum is right. Nobody looks at a buffer before the event that completes it; that event says
 * whether the frame is good. */
#include <errno.h>
#include <string.h>

#include "mdfh/frame.h"
#include "modules/ef_vi.h"

/* Buffers ------------------------------------------------------------------------------------- */

int mdfh_efvi_refill(struct efvi_port *p)
{
	uint32_t room = p->posted_max - p->posted_count;
	uint32_t n = room < p->buffers.free_count ? room : p->buffers.free_count;
	int rc = 0;

	/* Eight descriptors fill a cache line, and some NICs take only whole ones. */
	n -= n % EFVI_REFILL;
	if (!n)
		return 0;
	for (; n && !rc; n--) {
		uint32_t buffer = mdfh_pool_take(&p->buffers);
		ef_addr address =
		    ef_memreg_dma_addr(&p->memreg, (size_t)buffer * p->buffers.stride);

		rc = ef_vi_receive_init(&p->vi, address, (ef_request_id)buffer);
		if (rc) {
			mdfh_pool_put(&p->buffers, buffer);
			break;
		}
		p->posted[buffer] = 1;
		p->posted_count++;
	}
	ef_vi_receive_push(&p->vi);
	return rc;
}

/* The NIC has given a buffer back: its number, or UINT32_MAX if the NIC did not have it. */
static uint32_t take_back(struct efvi_port *p, ef_request_id id)
{
	uint32_t buffer = (uint32_t)id;

	if (buffer >= p->buffers.count || !p->posted[buffer]) {
		p->discards[EFVI_NOT_OURS]++;
		return UINT32_MAX;
	}
	p->posted[buffer] = 0;
	p->posted_count--;
	return buffer;
}

/* What is counted here never reaches the caller. A group that only hashes like one of ours was never
 * meant for it. */
static void discard(struct efvi_port *p, enum efvi_reason reason)
{
	p->discards[reason]++;
	if (reason == EFVI_MULTICAST_MISMATCH)
		p->base.stats.rx_filtered++;
	else
		p->base.stats.rx_dropped_nic++;
}

static enum efvi_reason reason_of(unsigned subtype)
{
	switch (subtype) {
	case EF_EVENT_RX_DISCARD_CSUM_BAD:
		return EFVI_CHECKSUM;
	case EF_EVENT_RX_DISCARD_MCAST_MISMATCH:
		return EFVI_MULTICAST_MISMATCH;
	case EF_EVENT_RX_DISCARD_CRC_BAD:
		return EFVI_CRC;
	case EF_EVENT_RX_DISCARD_TRUNC:
		return EFVI_CUT;
	case EF_EVENT_RX_DISCARD_RIGHTS:
		return EFVI_RIGHTS;
	case EF_EVENT_RX_DISCARD_EV_ERROR:
		return EFVI_EVENT_LOST;
	case EF_EVENT_RX_DISCARD_INNER_CSUM_BAD:
		return EFVI_INNER_CHECKSUM;
	default:
		return EFVI_OTHER;
	}
}

static enum efvi_reason reason_of_flags(unsigned flags)
{
	if (flags & EF_VI_DISCARD_RX_ETH_FCS_ERR)
		return EFVI_CRC;
	if (flags & EF_VI_DISCARD_RX_ETH_LEN_ERR)
		return EFVI_CUT;
	if (flags & (EF_VI_DISCARD_RX_L3_CSUM_ERR | EF_VI_DISCARD_RX_L4_CSUM_ERR))
		return EFVI_CHECKSUM;
	if (flags & (EF_VI_DISCARD_RX_INNER_L3_CSUM_ERR | EF_VI_DISCARD_RX_INNER_L4_CSUM_ERR))
		return EFVI_INNER_CHECKSUM;
	return flags ? EFVI_OTHER : EFVI_SOUND;
}

/* A NIC may call a sum wrong that is not there, or that it could not check: such a frame is looked at. */
static enum efvi_reason looked_at(struct efvi_port *p, const struct efvi_frame *frame)
{
	struct mdfh_frame parsed;

	if (frame->captured < frame->wire_length ||
	    mdfh_frame_parse(MDFH_LINK_ETHERNET, frame->bytes, frame->captured, frame->captured,
		&parsed) != MDFH_FRAME_OK ||
	    mdfh_frame_checksums(frame->bytes, &parsed) != MDFH_FRAME_OK)
		return EFVI_CHECKSUM;
	p->incidents[EFVI_SUMS_RIGHT]++;
	return EFVI_SOUND;
}

/* Whether a whole frame is good; if not, it is counted. */
static int is_good(struct efvi_port *p, const struct efvi_frame *frame, enum efvi_reason reason)
{
	if (reason == EFVI_CHECKSUM)
		reason = looked_at(p, frame);
	if (reason)
		discard(p, reason);
	return !reason;
}

/* Frames of several buffers ------------------------------------------------------------------- */

/* Its end never came. */
static void abandon_assembly(struct efvi_port *p)
{
	if (p->assembly.is_open)
		discard(p, EFVI_INCOMPLETE);
	p->assembly.is_open = 0;
}

static void begin_assembly(struct efvi_port *p, uint32_t total)
{
	abandon_assembly(p);
	p->assembly.is_open = 1;
	p->assembly.length = 0;
	p->assembly.total = total;
	p->assembly.reason = EFVI_SOUND;
}

/* What does not fit into the memory is cut off. */
static void append(struct efvi_port *p, uint32_t buffer, uint32_t filled)
{
	uint32_t at = p->assembly.length;
	uint32_t room = at < p->assembly.size ? p->assembly.size - at : 0;

	if (room)
		memcpy(p->assembly.bytes + at, mdfh_pool_at(&p->buffers, buffer),
		    filled < room ? filled : room);
	p->assembly.length += filled;
}

static int end_assembly(struct efvi_port *p, struct efvi_frame *frame)
{
	uint32_t length = p->assembly.length, captured = length;

	p->assembly.is_open = 0;
	if (captured > p->assembly.size)
		captured = p->assembly.size;
	*frame = (struct efvi_frame){
	    .bytes = p->assembly.bytes + p->prefix,
	    .stamped = p->assembly.bytes,
	    .captured = captured - p->prefix,
	    .wire_length = length - p->prefix,
	    .kind = EFVI_ASSEMBLED,
	};
	return is_good(p, frame, p->assembly.reason);
}

/* A buffer of the frame is not to be had, so there is a hole in it. */
static void miss(struct efvi_port *p, uint32_t filled, int is_last)
{
	p->assembly.reason = EFVI_INCOMPLETE;
	p->assembly.length += filled;
	if (is_last)
		abandon_assembly(p);
}

/* A buffer has been filled, which may be the first and the last one of its frame. 1 if that is whole
 * and sound. */
static int filled_one(struct efvi_port *p, ef_request_id id, uint32_t filled, int is_first,
    int is_last, enum efvi_reason reason, struct efvi_frame *frame)
{
	uint32_t buffer = take_back(p, id);
	uint8_t *bytes;

	if (buffer == UINT32_MAX) {
		if (!is_first || !is_last)
			miss(p, filled, is_last);
		return 0;
	}
	if (filled > p->buffer_size || (is_first && filled < p->prefix)) {
		reason = reason ? reason : EFVI_OTHER;
		filled = p->prefix;
	}
	if (is_first && is_last) {
		bytes = mdfh_pool_at(&p->buffers, buffer);
		*frame = (struct efvi_frame){
		    .bytes = bytes + p->prefix,
		    .stamped = bytes,
		    .captured = filled - p->prefix,
		    .wire_length = filled - p->prefix,
		    .kind = EFVI_IN_BUFFER,
		    .buffer = buffer,
		};
		if (is_good(p, frame, reason))
			return 1;
		mdfh_pool_put(&p->buffers, buffer);
		return 0;
	}
	if (p->assembly.is_open) {
		append(p, buffer, filled);
		if (reason && p->assembly.reason != EFVI_INCOMPLETE)
			p->assembly.reason = reason;
	} else if (is_last) { /* of one whose beginning never came */
		discard(p, EFVI_INCOMPLETE);
	}
	mdfh_pool_put(&p->buffers, buffer);
	return is_last && p->assembly.is_open ? end_assembly(p, frame) : 0;
}

/* An event for each buffer. Its length is that of the frame so far. */
static int single(struct efvi_port *p, ef_request_id id, uint32_t length, unsigned flags,
    enum efvi_reason reason, struct efvi_frame *frame)
{
	int is_first = (flags & EF_EVENT_FLAG_SOP) != 0;
	int is_last = !(flags & EF_EVENT_FLAG_CONT);
	uint32_t before = 0;

	if (is_first && is_last)
		abandon_assembly(p);
	else if (is_first)
		begin_assembly(p, 0);
	else if (p->assembly.is_open)
		before = p->assembly.length;
	return filled_one(
	    p, id, length >= before ? length - before : 0, is_first, is_last, reason, frame);
}

/* An event for many buffers; only the first of a frame says how long it is. */
static int merged(
    struct efvi_port *p, ef_request_id id, enum efvi_reason reason, struct efvi_frame *frame)
{
	int is_first = !p->assembly.is_open;
	uint32_t buffer = (uint32_t)id, left;
	uint16_t bytes = 0;

	if (is_first) {
		if (buffer < p->buffers.count && p->posted[buffer])
			(void)p->api.get_bytes(&p->vi, mdfh_pool_at(&p->buffers, buffer), &bytes);
		left = bytes + p->prefix;
		if (left > p->buffer_size)
			begin_assembly(p, left);
	} else {
		left = p->assembly.total - p->assembly.length;
	}
	return left > p->buffer_size ? filled_one(p, id, p->buffer_size, is_first, 0, reason, frame)
				     : filled_one(p, id, left, is_first, 1, reason, frame);
}

/* Packets of an EFCT NIC's lie in memory that is the NIC's. */
static int reference(struct efvi_port *p, uint32_t packet, uint32_t length, enum efvi_reason reason,
    struct efvi_frame *frame)
{
	const void *bytes = p->api.reference_get(&p->vi, packet);

	*frame = (struct efvi_frame){
	    .bytes = bytes,
	    .stamped = bytes,
	    .captured = length,
	    .wire_length = length,
	    .kind = EFVI_BY_REFERENCE,
	    .reference = packet,
	};
	if (is_good(p, frame, reason))
		return 1;
	p->api.reference_release(&p->vi, packet);
	return 0;
}

void mdfh_efvi_give_back(struct efvi_port *p, const struct efvi_frame *frame)
{
	if (frame->kind == EFVI_IN_BUFFER)
		mdfh_pool_put(&p->buffers, frame->buffer);
	else if (frame->kind == EFVI_BY_REFERENCE)
		p->api.reference_release(&p->vi, frame->reference);
}

/* Events -------------------------------------------------------------------------------------- */

/* The buffers of the merged event at hand. */
static int next_of_merged(struct efvi_port *p, enum efvi_reason reason, struct efvi_frame *frame)
{
	const ef_event *event = &p->events[p->event_at];

	if (!p->has_ids) {
		p->id_at = 0;
		p->id_count = p->api.unbundle(&p->vi, event, p->ids);
		p->has_ids = 1;
	}
	while (p->id_at < p->id_count)
		if (merged(p, p->ids[p->id_at++], reason, frame))
			return 1;
	p->has_ids = 0;
	p->event_at++;
	return 0;
}

/* The same where the NIC only counts packets, whatever they have of buffers, and says in the
 * first one of each what is wrong with it. */
static int next_of_counted(struct efvi_port *p, struct efvi_frame *frame)
{
	const ef_event *event = &p->events[p->event_at];

	if (!p->has_ids) {
		p->id_at = 0;
		p->id_count = event->rx_multi_pkts.n_pkts;
		p->has_ids = 1;
	}
	while (p->id_at < p->id_count) {
		ef_request_id id = p->api.next_id(&p->vi);
		enum efvi_reason reason = EFVI_SOUND;
		uint32_t buffer = (uint32_t)id;
		unsigned flags = 0;
		int is_whole;

		if (!p->assembly.is_open && buffer < p->buffers.count && p->posted[buffer] &&
		    !p->api.get_discard_flags(&p->vi, mdfh_pool_at(&p->buffers, buffer), &flags))
			reason = reason_of_flags(flags);
		is_whole = merged(p, id, reason, frame);
		p->id_at += !p->assembly.is_open;
		if (is_whole)
			return 1;
	}
	p->has_ids = 0;
	p->event_at++;
	return 0;
}

static void die(struct efvi_port *p, enum efvi_incident why)
{
	p->incidents[why]++;
	p->dead = (int)why;
	p->event_at = p->event_count; /* the queue says nothing more that is true */
}

/* One event that completes at most one frame. */
static int next_of_single(struct efvi_port *p, struct efvi_frame *frame)
{
	const ef_event *event = &p->events[p->event_at++];
	enum efvi_reason reason;

	switch (EF_EVENT_TYPE(*event)) {
	case EF_EVENT_TYPE_RX:
		return single(p, (ef_request_id)EF_EVENT_RX_RQ_ID(*event),
		    EF_EVENT_RX_BYTES(*event), event->rx.flags, EFVI_SOUND, frame);
	case EF_EVENT_TYPE_RX_DISCARD:
		return single(p, (ef_request_id)EF_EVENT_RX_DISCARD_RQ_ID(*event),
		    EF_EVENT_RX_DISCARD_BYTES(*event), event->rx_discard.flags,
		    reason_of(EF_EVENT_RX_DISCARD_TYPE(*event)), frame);
	case EF_EVENT_TYPE_RX_REF:
		return reference(p, event->rx_ref.pkt_id, event->rx_ref.len, EFVI_SOUND, frame);
	case EF_EVENT_TYPE_RX_REF_DISCARD:
		reason = reason_of_flags(event->rx_ref_discard.flags);
		return reference(p, event->rx_ref_discard.pkt_id, event->rx_ref_discard.len,
		    reason ? reason : EFVI_OTHER, frame);
	case EF_EVENT_TYPE_RX_NO_DESC_TRUNC:
		p->assembly.is_open = 0;
		discard(p, EFVI_NO_BUFFERS);
		return 0;
	case EF_EVENT_TYPE_OFLOW:
		die(p, EFVI_OVERFLOWS);
		return 0;
	case EF_EVENT_TYPE_RESET:
		die(p, EFVI_RESETS);
		return 0;
	default:
		p->incidents[EFVI_UNEXPECTED]++;
		return 0;
	}
}

int mdfh_efvi_next(struct efvi_port *p, struct efvi_frame *frame)
{
	while (p->event_at < p->event_count) {
		const ef_event *event = &p->events[p->event_at];
		int is_whole;

		switch (EF_EVENT_TYPE(*event)) {
		case EF_EVENT_TYPE_RX_MULTI:
			is_whole = next_of_merged(p, EFVI_SOUND, frame);
			break;
		case EF_EVENT_TYPE_RX_MULTI_DISCARD:
			is_whole = next_of_merged(
			    p, reason_of(EF_EVENT_RX_MULTI_DISCARD_TYPE(*event)), frame);
			break;
		case EF_EVENT_TYPE_RX_MULTI_PKTS:
			is_whole = next_of_counted(p, frame);
			break;
		default:
			is_whole = next_of_single(p, frame);
		}
		if (is_whole)
			return 1;
	}
	return 0;
}

/* Time ---------------------------------------------------------------------------------------- */

enum { NOT_YET_S = 1000000000 }; /* 2001: a clock that says less counts from when the NIC came up */

int mdfh_efvi_time(struct efvi_port *p, const struct efvi_frame *frame, struct mdfh_packet *packet)
{
	/* Where the NIC's firmware does not say how good its clock is, the library calls it set
	 * and in sync. With references, the NIC says it of each packet. */
	int is_told = p->by_reference || (p->vi.vi_out_flags & EF_VI_OUT_CLOCK_SYNC_STATUS);
	ef_timespec time = {0};
	unsigned flags = 0;
	int rc;

	rc = frame->kind == EFVI_BY_REFERENCE && p->api.reference_get_time
		 ? p->api.reference_get_time(&p->vi, frame->reference, &time, &flags)
		 : p->api.get_time(&p->vi, frame->stamped, &time, &flags);
	if (rc) {
		p->incidents[rc == -ENODATA    ? EFVI_NOT_STAMPED
			     : rc == -ENOMSG   ? EFVI_NOT_YET_SYNCED
			     : rc == -EL2NSYNC ? EFVI_NOT_SYNCED
					       : EFVI_STAMP_FAILED]++;
		return 0;
	}
	if (!(flags & EF_VI_SYNC_FLAG_CLOCK_SET) || time.tv_sec < (is_told ? 0 : NOT_YET_S)) {
		p->incidents[EFVI_CLOCK_NOT_SET]++;
		return 0;
	}
	packet->receive_ns = (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
	packet->flags |= MDFH_PACKET_TIME_NIC;
	if (is_told && flags & EF_VI_SYNC_FLAG_CLOCK_IN_SYNC)
		packet->flags |= MDFH_PACKET_CLOCK_SYNC;
	return 1;
}
