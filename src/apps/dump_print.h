/* dump_print.h - one message, or one packet, as a line: text, JSON, or wire records.
 *
 * All three are callbacks of mdfh_walk, so they know no protocol. */
#ifndef MDFH_APPS_DUMP_PRINT_H
#define MDFH_APPS_DUMP_PRINT_H

#include <stdio.h>

#include "mdfh/frame.h"
#include "mdfh/session.h"
#include "proto/walk.h"

enum dump_format { DUMP_TEXT, DUMP_JSON, DUMP_WIRE };

struct dump_packet {
	uint64_t number; /* frame number in the capture */
	uint64_t time_ns;
	uint32_t captured;
	uint32_t wire_length;
	const struct mdfh_frame *frame;
	const uint8_t *payload;
	const struct mdfh_unit *unit;
	const struct mdfh_schema *header; /* of the packet header */
};

struct dump_message {
	const struct mdfh_schema *schema;
	const struct dump_packet *packet; /* NULL: a record of a BinaryFILE */
	const uint8_t *bytes;
	uint32_t length;
	uint32_t offset; /* of the message in the payload; BinaryFILE: 0 */
	uint32_t prefix; /* length bytes of the framing before it */
	uint32_t index;  /* in its packet */
	uint64_t sequence;
	uint64_t file_offset; /* BinaryFILE: of the record */
	const char *symbol;   /* "" = none known */
	int64_t midnight_ns;  /* of the session date; INT64_MIN = no date known */
	int64_t time_ns;      /* exchange time since the epoch; INT64_MIN = unknown */
	uint64_t time_raw;    /* the same as transmitted */
	int has_time;
};

/* The packet record of DUMP_WIRE; the others have none. */
void dump_print_packet(FILE *stream, enum dump_format format, const struct dump_packet *packet);

/* error: what mdfh_walk_check said of it. */
void dump_print_message(FILE *stream, enum dump_format format, const struct dump_message *message,
    enum mdfh_walk_error error);

/* Exchange time of a TIME field's value in ns since the epoch, or INT64_MIN. */
int64_t dump_time_ns(const struct mdfh_value *value, int64_t midnight_ns);

#endif
