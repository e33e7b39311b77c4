/* trailer.h - the time that a switch or a tap wrote behind a frame, or into it.
 *
 * Two kinds stand after the IP packet (and its padding) and before the frame's own FCS, which a
 * capture may hold or not:
 *
 *   Metamako MetaWatch, Arista 7130: FCS of the original frame (4 bytes), extensions (their last
 *   word says how long they are and whether there are more before them), seconds (4), nanoseconds
 *   (4), flags (1), device (2), port (1).
 *
 *   Exablaze ExaLINK Fusion HPT, Cisco Nexus 3550: FCS of the original frame (4), device (1), port
 *   (1), seconds (4), fraction of a second (5: 2^-40 s), reserved (1).
 *
 * The third, of Arista's 7280R and 7500R, is a header (wire/arista.h).
 *
 * All in network order; times count from the Unix epoch. There is no mark to know a trailer by, so a
 * time is believed only if it is near the one that the frame has from elsewhere.
 *
 * Threads: one per reader. Nothing is allocated. Cost: a few loads from the frame's last bytes. */
#ifndef MDFH_WIRE_TRAILER_H
#define MDFH_WIRE_TRAILER_H

#include "mdfh/bypass.h"
#include "mdfh/frame.h"

/* Furthest from the frame's other time; less than TAI is from UTC, so that the one is not taken for
 * the other. */
#define MDFH_TRAILER_WINDOW_NS 30000000000ULL

enum mdfh_trailer_verdict {
	MDFH_TRAILER_ABSENT = 0,  /* no room for one behind the IP packet, or cut off */
	MDFH_TRAILER_IMPLAUSIBLE, /* what is there gives no time that is near */
	MDFH_TRAILER_SOUND,
};

struct mdfh_trailer_reader {
	enum mdfh_trailer kind;
	uint32_t fcs; /* bytes that followed the last sound trailer: where to look first */
};

struct mdfh_trailer_stamp {
	uint64_t time_ns;
	uint16_t device;
	uint8_t port;
	uint8_t is_synced;    /* the device says that its clock is good; Exablaze says nothing: 0 */
	uint8_t is_duplicate; /* marked so by the device */
};

/* The trailer of a frame that mdfh_frame_parse found sound. near_ns: its other time, 0 = none. */
enum mdfh_trailer_verdict mdfh_trailer_read(struct mdfh_trailer_reader *reader,
    const uint8_t *bytes, uint32_t captured, uint32_t wire_length, const struct mdfh_frame *frame,
    uint64_t near_ns, struct mdfh_trailer_stamp *stamp);

#endif
