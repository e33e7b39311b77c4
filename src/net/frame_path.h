/* frame_path.h - what every backend does with a frame, wherever it got it: find its UDP payload and
 * its flow, or count why nobody gets it. So a frame has the same fate on each of them. */
#ifndef MDFH_NET_FRAME_PATH_H
#define MDFH_NET_FRAME_PATH_H

#include "mdfh/backend.h"
#include "mdfh/frame.h"
#include "wire/flow.h"
#include "wire/trailer.h"

/* 1 and the flow, MDFH_FLOW_NONE of a port without flows; 0 if the frame is no sound UDP packet or
 * of no flow, which is then counted. */
static inline int mdfh_frame_path(struct mdfh_bypass_stats *stats,
    const struct mdfh_flow_table *flows, uint32_t link_type, const uint8_t *bytes,
    uint32_t captured, uint32_t wire_length, struct mdfh_frame *frame, uint16_t *flow)
{
	enum mdfh_frame_error error =
	    mdfh_frame_parse(link_type, bytes, captured, wire_length, frame);

	if (!error && frame->protocol != MDFH_PROTOCOL_UDP)
		error = MDFH_FRAME_NOT_UDP;
	if (error) {
		stats->rx_malformed++;
		stats->malformed[error]++;
		return 0;
	}
	*flow = mdfh_flow_find(flows, frame);
	if (*flow == MDFH_FLOW_NONE && flows->count) {
		stats->rx_filtered++;
		return 0;
	}
	return 1;
}

/* Let a trailer, where one is configured, say when the packet arrived; its fields hold what the
 * backend knows of that. */
static inline void mdfh_frame_trailer(struct mdfh_bypass_stats *stats,
    struct mdfh_trailer_reader *reader, const uint8_t *bytes, uint32_t captured,
    uint32_t wire_length, const struct mdfh_frame *frame, struct mdfh_packet *packet)
{
	struct mdfh_trailer_stamp stamp;

	if (reader->kind == MDFH_TRAILER_NONE)
		return;
	switch (mdfh_trailer_read(
	    reader, bytes, captured, wire_length, frame, packet->receive_ns, &stamp)) {
	case MDFH_TRAILER_ABSENT:
		stats->rx_trailers_absent++;
		return;
	case MDFH_TRAILER_IMPLAUSIBLE:
		stats->rx_trailers_implausible++;
		return;
	case MDFH_TRAILER_SOUND:
		break;
	}
	stats->rx_trailers++;
	packet->receive_ns = stamp.time_ns;
	packet->time_error_ns = UINT32_MAX; /* a trailer does not say */
	packet->flags &= (uint16_t) ~(MDFH_PACKET_TIME_MASK | MDFH_PACKET_CLOCK_SYNC);
	packet->flags |=
	    (uint16_t)(MDFH_PACKET_TIME_TAP | (stamp.is_synced ? MDFH_PACKET_CLOCK_SYNC : 0));
}

#endif
