/* mdfh/packet.h - one received packet, as every backend hands it out.
 *
 * Ownership: data belongs to the backend from mdfh_bypass_recv() to mdfh_bypass_release().
 * Packets may be held across recv calls and released in any order, up to hold_max of the port's
 * capabilities; mdfh_bypass_recv() says what happens past it.
 *
 * Streams: a packet is the next bytes of the connection, cut anywhere. Between the bytes stand
 * marks, packets of length 0, where a connection begins or has ended; a mark's receive_ns is when
 * recv learned of it, so bytes that follow may have arrived before. Packets of one read have one
 * receive_ns, that of the newest bytes among them. */
#ifndef MDFH_PACKET_H
#define MDFH_PACKET_H

#include <assert.h>

#include "mdfh/base.h"

MDFH_BEGIN_DECLS

/* What is known of a packet. */
enum mdfh_packet_flag {
	MDFH_PACKET_TRUNCATED = 1 << 0, /* longer on the wire than length says */
	MDFH_PACKET_STREAM = 1 << 1,    /* bytes of a stream (TCP): borders mean nothing */
	MDFH_PACKET_COPIED = 1 << 2,    /* the backend copied it (threshold, or hold_max) */
	/* Source of receive_ns; none set = unknown. */
	MDFH_PACKET_TIME_NIC = 1 << 4,     /* NIC clock */
	MDFH_PACKET_TIME_KERNEL = 1 << 5,  /* kernel's software stamp */
	MDFH_PACKET_TIME_APP = 1 << 6,     /* read in recv, after the batch arrived */
	MDFH_PACKET_TIME_CAPTURE = 1 << 7, /* read from a capture file */
	MDFH_PACKET_CLOCK_SYNC = 1 << 8,   /* that clock said that it was in sync */
	/* Marks of a stream, of length 0, in the order of its bytes; both come with STREAM. */
	MDFH_PACKET_CONNECTED = 1 << 9,     /* a new connection: the bytes that follow are of it */
	MDFH_PACKET_DISCONNECTED = 1 << 10, /* it is gone: what was incomplete stays incomplete */
	/* One more source: a switch or tap wrote it behind the frame (config.trailer). */
	MDFH_PACKET_TIME_TAP = 1 << 11,
	MDFH_PACKET_TIME_MASK = 0x08f0, /* at most one of the sources is set */
	MDFH_PACKET_RECORDED = 1 << 12, /* from a capture: receive_ns is long ago, not now */
};

#define MDFH_FLOW_NONE UINT16_MAX /* matches no configured flow (capture read without flows) */

/* Layout is ABI: extended only in the reserved field. */
struct mdfh_packet {
	const uint8_t *data;    /* UDP payload, or bytes of the stream */
	uint64_t receive_ns;    /* arrival; 0 = unknown */
	uint64_t cookie;        /* belongs to the backend; not to be changed */
	uint32_t length;        /* bytes in data */
	uint32_t time_error_ns; /* receive_ns is right to within this; UINT32_MAX = unknown */
	uint16_t flow;          /* index into the configured flows, MDFH_FLOW_NONE */
	uint16_t flags;         /* enum mdfh_packet_flag */
	uint16_t header_length; /* frame bytes that stand before data; 0 = payload only */
	uint16_t reserved;
};

static_assert(sizeof(struct mdfh_packet) == 40, "struct mdfh_packet is ABI");

MDFH_END_DECLS
#endif
