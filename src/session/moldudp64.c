/* moldudp64.c - MoldUDP64 1.00 downstream packets.
 *
 * Header of 20 bytes, big-endian: session (10 bytes of ASCII), sequence number of the first
 * message (u64), message count (u16; 0 = heartbeat, 0xFFFF = end of session); then the messages,
 * each behind its u16 length. Which side a short session name is padded on is not stated, so all
 * 10 bytes are compared. */
#include <errno.h>

#include "core/bytes.h"
#include "session/protocols.h"

enum {
	MOLD_SESSION = 0,
	MOLD_SESSION_SIZE = 10,
	MOLD_SEQUENCE = 10,
	MOLD_COUNT = 18,
	MOLD_HEADER = 20,
	MOLD_COUNT_END = 0xffff,
};

static int mold_parse(const uint8_t *data, uint32_t length, struct mdfh_unit *unit)
{
	uint16_t count;

	*unit = (struct mdfh_unit){0};
	if (length < MOLD_HEADER) {
		unit->error = MDFH_SESSION_SHORT;
		return -EBADMSG;
	}
	memcpy(unit->session, data + MOLD_SESSION, MOLD_SESSION_SIZE);
	unit->first = mdfh_load_be64(data + MOLD_SEQUENCE);
	count = mdfh_load_be16(data + MOLD_COUNT);
	if (count == 0)
		unit->kind = MDFH_UNIT_HEARTBEAT;
	else if (count == MOLD_COUNT_END)
		unit->kind = MDFH_UNIT_END;
	else
		unit->claimed = count;
	mdfh_unit_walk(unit, MDFH_FRAMING_LENGTH_BE16, data + MOLD_HEADER, length - MOLD_HEADER);
	mdfh_unit_check_sequence(unit);
	return 0;
}

static void mold_write_header(uint8_t *out, const struct mdfh_unit *unit)
{
	uint16_t count = (uint16_t)unit->messages;

	if (unit->kind == MDFH_UNIT_HEARTBEAT)
		count = 0;
	else if (unit->kind == MDFH_UNIT_END)
		count = MOLD_COUNT_END;
	memcpy(out + MOLD_SESSION, unit->session, MOLD_SESSION_SIZE);
	mdfh_store_be64(out + MOLD_SEQUENCE, unit->first);
	mdfh_store_be16(out + MOLD_COUNT, count);
}

/* The 10 bytes without the padding on either side. */
static void mold_session_text(const struct mdfh_unit *unit, char text[MDFH_SESSION_TEXT])
{
	char id[MOLD_SESSION_SIZE];
	size_t from = 0, to = MOLD_SESSION_SIZE;

	memcpy(id, unit->session, sizeof(id));
	while (to > 0 && (id[to - 1] == ' ' || id[to - 1] == '\0'))
		to--;
	while (from < to && (id[from] == ' ' || id[from] == '\0'))
		from++;
	memcpy(text, id + from, to - from);
	text[to - from] = '\0';
}

const struct mdfh_session_ops mdfh_session_moldudp64 = {
    .name = "moldudp64",
    .framing = MDFH_FRAMING_LENGTH_BE16,
    .parse = mold_parse,
    .session_text = mold_session_text,
    .header_size = MOLD_HEADER,
    .write_header = mold_write_header,
};
