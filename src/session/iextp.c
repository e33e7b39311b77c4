/* iextp.c - IEX-TP 1.x outbound segments, as far as a unit needs them.
 *
 * Header of 40 bytes, little-endian: version, message protocol id, channel id, session id,
 * payload length, message count, stream offset, first sequence number, send time; then the
 * messages, each behind its u16 length. Protocol, channel and session together name a stream,
 * so these 10 bytes are the unit's session. There is no end of session on the wire. */
#include <errno.h>
#include <stdio.h>

#include "core/bytes.h"
#include "session/protocols.h"

enum {
	IEX_VERSION = 0,
	IEX_PROTOCOL = 2,
	IEX_SESSION = 8,
	IEX_STREAM_SIZE = 10, /* protocol, channel and session stand side by side */
	IEX_PAYLOAD_LENGTH = 12,
	IEX_COUNT = 14,
	IEX_SEQUENCE = 24,
	IEX_HEADER = 40,
	IEX_PROTOCOL_FIRST = 0x8002, /* TOPS 1.5, 1.6, DEEP 1.0 ... */
	IEX_PROTOCOL_LAST = 0x8005,  /* ... DEEP+ 1.0 */
};

static int iex_parse(const uint8_t *data, uint32_t length, struct mdfh_unit *unit)
{
	uint32_t payload, present;
	uint16_t protocol;

	*unit = (struct mdfh_unit){0};
	if (length < IEX_HEADER) {
		unit->error = MDFH_SESSION_SHORT;
		return -EBADMSG;
	}
	protocol = mdfh_load_le16(data + IEX_PROTOCOL);
	if (data[IEX_VERSION] != 1 || protocol < IEX_PROTOCOL_FIRST ||
	    protocol > IEX_PROTOCOL_LAST) {
		unit->error = MDFH_SESSION_VERSION;
		return -EBADMSG;
	}
	memcpy(unit->session, data + IEX_PROTOCOL, IEX_STREAM_SIZE);
	unit->first = mdfh_load_le64(data + IEX_SEQUENCE);
	unit->claimed = mdfh_load_le16(data + IEX_COUNT);
	unit->kind = unit->claimed == 0 ? MDFH_UNIT_HEARTBEAT : MDFH_UNIT_DATA;

	payload = mdfh_load_le16(data + IEX_PAYLOAD_LENGTH);
	present = length - IEX_HEADER;
	mdfh_unit_walk(unit, MDFH_FRAMING_LENGTH_LE16, data + IEX_HEADER,
	    payload < present ? payload : present);
	if (payload > present)
		unit->error = MDFH_SESSION_OVERRUN;
	else if (unit->error == MDFH_SESSION_OK && payload < present)
		unit->error = MDFH_SESSION_TRAILING;
	mdfh_unit_check_sequence(unit);
	/* Signed on the wire. */
	if (unit->first > INT64_MAX)
		unit->error = MDFH_SESSION_SEQUENCE;
	return 0;
}

static void iex_session_text(const struct mdfh_unit *unit, char text[MDFH_SESSION_TEXT])
{
	const uint8_t *id = (const uint8_t *)unit->session;

	snprintf(text, MDFH_SESSION_TEXT, "%u",
	    (unsigned)mdfh_load_le32(id + IEX_SESSION - IEX_PROTOCOL));
}

const struct mdfh_session_ops mdfh_session_iextp = {
    .name = "iex-tp",
    .framing = MDFH_FRAMING_LENGTH_LE16,
    .parse = iex_parse,
    .session_text = iex_session_text,
    .header_size = IEX_HEADER,
};
