/* igmp_message.h - the bytes of IGMP and MLD: queries in, reports and leaves out.
 *
 * Both protocols say the same in the same order; addresses are 4 or 16 bytes long, and MLD has a
 * longer field for the time. */
#ifndef MDFH_WIRE_IGMP_MESSAGE_H
#define MDFH_WIRE_IGMP_MESSAGE_H

#include "wire/igmp.h"

enum mdfh_igmp_record { /* RFC 3376 section 4.2.12, RFC 3810 section 5.2.12 */
	MDFH_IGMP_IS_INCLUDE = 1,
	MDFH_IGMP_IS_EXCLUDE = 2,
	MDFH_IGMP_TO_INCLUDE = 3,
	MDFH_IGMP_TO_EXCLUDE = 4,
	MDFH_IGMP_ALLOW = 5,
	MDFH_IGMP_BLOCK = 6,
};

enum mdfh_igmp_kind {
	MDFH_IGMP_NOTHING = 0, /* another protocol */
	MDFH_IGMP_UNSOUND,     /* or nothing for a host */
	MDFH_IGMP_QUERY,
	MDFH_IGMP_REPORT, /* of version 1 or 2 */
};

struct mdfh_igmp_message {
	enum mdfh_igmp_kind kind;
	uint8_t version; /* of the query */
	uint8_t is_ipv6;
	uint8_t is_general;     /* asks for all groups */
	uint8_t robustness;     /* version 3; 0 = not said */
	uint8_t group[16];      /* unless is_general */
	uint64_t answer_ns;     /* to be answered within this */
	uint32_t interval_s;    /* version 3; 0 = not said */
	uint32_t source_count;  /* version 3 */
	const uint8_t *sources; /* of 4 or 16 bytes each */
};

/* Every field of *message is set; whatever it refers to lies inside the frame. */
void mdfh_igmp_message_read(const uint8_t *bytes, uint32_t captured, const struct mdfh_frame *frame,
    struct mdfh_igmp_message *message);

/* A frame is built in igmp->frame: begin, then fields or records, then end, which fills in the
 * headers and checksums and returns the frame's length. */
struct mdfh_igmp_writer {
	struct mdfh_igmp *igmp;
	const struct mdfh_igmp_link *link;
	uint8_t *body;
	uint32_t length; /* of the body */
	uint32_t records;
};

/* A report of version 3, without records. */
void mdfh_igmp_report_begin(
    struct mdfh_igmp_writer *writer, struct mdfh_igmp *igmp, const struct mdfh_igmp_link *link);
/* 1, or 0 if the record does not fit any more. */
int mdfh_igmp_report_add(struct mdfh_igmp_writer *writer, enum mdfh_igmp_record type,
    const uint8_t group[16], const uint8_t *const *sources, uint32_t count);
uint32_t mdfh_igmp_report_end(struct mdfh_igmp_writer *writer);

/* A report or a leave of version 1 or 2: the frame's length. */
uint32_t mdfh_igmp_report_old(
    struct mdfh_igmp *igmp, const struct mdfh_igmp_link *link, const uint8_t group[16]);
uint32_t mdfh_igmp_leave_old(
    struct mdfh_igmp *igmp, const struct mdfh_igmp_link *link, const uint8_t group[16]);

#endif
