/* mdp3.c - CME MDP 3.0 binary packets.
 *
 * Header of 12 bytes, little-endian: packet sequence number (u32, +1 a packet), sending time
 * (u64); then messages back to back, each beginning with its own u16 size, to the end of the
 * payload. The header tells neither a count nor a session. */
#include <errno.h>

#include "core/bytes.h"
#include "session/protocols.h"

enum {
	MDP_SEQUENCE = 0,
	MDP_HEADER = 12,
};

static int mdp_parse(const uint8_t *data, uint32_t length, struct mdfh_unit *unit)
{
	*unit = (struct mdfh_unit){0};
	if (length < MDP_HEADER) {
		unit->error = MDFH_SESSION_SHORT;
		return -EBADMSG;
	}
	unit->first = mdfh_load_le32(data + MDP_SEQUENCE);
	unit->claimed = UINT32_MAX; /* as many as there are */
	mdfh_unit_walk(unit, MDFH_FRAMING_SIZE_LE16, data + MDP_HEADER, length - MDP_HEADER);
	unit->claimed = unit->messages + (unit->error == MDFH_SESSION_OVERRUN);
	if (unit->error == MDFH_SESSION_COUNT)
		unit->error = MDFH_SESSION_OK;
	if (unit->first == 0)
		unit->error = MDFH_SESSION_SEQUENCE;
	return 0;
}

static void mdp_session_text(const struct mdfh_unit *unit, char text[MDFH_SESSION_TEXT])
{
	(void)unit;
	text[0] = '\0';
}

const struct mdfh_session_ops mdfh_session_mdp3 = {
    .name = "mdp3",
    .framing = MDFH_FRAMING_SIZE_LE16,
    .counts_packets = 1,
    .parse = mdp_parse,
    .session_text = mdp_session_text,
    .header_size = MDP_HEADER,
};
