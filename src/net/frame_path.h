/* frame_path.h - what every backend does with a frame, wherever it got it: find its UDP payload and
 * its flow, or count why nobody gets it. So a frame has the same fate on each of them. */
#ifndef MDFH_NET_FRAME_PATH_H
#define MDFH_NET_FRAME_PATH_H

#include "core/bytes.h"
#include "mdfh/backend.h"
#include "mdfh/frame.h"
#include "wire/flow.h"
#include "wire/trailer.h"

enum {
	MDFH_PLAIN_IP = 14,      /* where the IPv4 header of a plain frame is */
	MDFH_PLAIN_PAYLOAD = 42, /* and its payload */
};

/* A plain frame is what a feed consists of: whole, untagged, IPv4 without options, no fragment, UDP.
 * The payload's length and the flow as mdfh_frame_path has it; negative = it is another, or unsound: look
 * again in full. */
static inline int32_t mdfh_frame_path_plain(
    const struct mdfh_flow_table *flows, const uint8_t *bytes, uint32_t length, uint16_t *flow)
{
	enum { IPV4 = 20, UDP = 8 };
	/* Type, version and length of the header, with what else is in these eight bytes left out;
	 * fragment, protocol. */
	const uint64_t first_mask = htobe64(UINT64_C(0xffffff0000000000));
	const uint64_t first_want = htobe64(UINT64_C(0x0800450000000000));
	const uint64_t second_mask = htobe64(UINT64_C(0x3fff00ff00000000));
	const uint64_t second_want = htobe64((uint64_t)MDFH_PROTOCOL_UDP << 32);
	const uint8_t *ip = bytes + MDFH_PLAIN_IP;
	uint32_t packet, datagram;
	uint64_t first, second;

	if (length < MDFH_PLAIN_PAYLOAD)
		return -1;
	memcpy(&first, bytes + 12, sizeof(first));
	memcpy(&second, ip + 6, sizeof(second));
	packet = mdfh_load_be16(ip + 2);
	datagram = mdfh_load_be16(ip + IPV4 + 4);
	if (((first & first_mask) ^ first_want) | ((second & second_mask) ^ second_want))
		return -1;
	if (packet > length - MDFH_PLAIN_IP || datagram + IPV4 > packet)
		return -1;
	*flow = mdfh_flow_find_ipv4(flows, ip);
	return (int32_t)datagram - UDP;
}

/* 1 and the flow, MDFH_FLOW_NONE of a port without flows; 0 if the frame is no sound UDP packet or
 * of no flow, which is then counted. Of a sound frame, protocol, ip_version and ip_offset, payload_offset
 * and _length, and truncated are filled in; of another all that was found. */
static inline int mdfh_frame_path(struct mdfh_bypass_stats *stats,
    const struct mdfh_flow_table *flows, uint32_t link_type, const uint8_t *bytes,
    uint32_t captured, uint32_t wire_length, struct mdfh_frame *frame, uint16_t *flow)
{
	int32_t length = link_type == MDFH_LINK_ETHERNET && captured == wire_length
			     ? mdfh_frame_path_plain(flows, bytes, captured, flow)
			     : -1;

	if (length >= 0) {
		frame->protocol = MDFH_PROTOCOL_UDP;
		frame->ip_version = 4;
		frame->ip_offset = MDFH_PLAIN_IP;
		frame->payload_offset = MDFH_PLAIN_PAYLOAD;
		frame->payload_length = (uint32_t)length;
		frame->truncated = 0;
	} else {
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
	}
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
