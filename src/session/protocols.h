/* protocols.h - the session protocols, and the walk over framed messages that they share. */
#ifndef MDFH_SESSION_PROTOCOLS_H
#define MDFH_SESSION_PROTOCOLS_H

#include "mdfh/session.h"

extern const struct mdfh_session_ops mdfh_session_moldudp64;
extern const struct mdfh_session_ops mdfh_session_binaryfile;
extern const struct mdfh_session_ops mdfh_session_iextp;
extern const struct mdfh_session_ops mdfh_session_mdp3;
extern const struct mdfh_session_ops mdfh_session_soupbintcp;

/* Fill body, body_length, messages and error of a unit from length bytes at data that should
 * hold unit->claimed messages. At most length / 2 steps. */
static inline void mdfh_unit_walk(
    struct mdfh_unit *unit, enum mdfh_framing framing, const uint8_t *data, uint32_t length)
{
	const uint8_t *message;
	uint32_t size, step, at = 0, n = 0;

	while (n < unit->claimed &&
	       (step = mdfh_framing_next(framing, data + at, length - at, &message, &size)) > 0) {
		at += step;
		n++;
	}
	unit->body = data;
	unit->body_length = at;
	unit->messages = n;
	if (n < unit->claimed)
		unit->error = at < length ? MDFH_SESSION_OVERRUN : MDFH_SESSION_COUNT;
	else if (at < length)
		unit->error = MDFH_SESSION_TRAILING;
}

/* Numbers first .. first + claimed must exist: 0 does not, and neither does 2^64. */
static inline void mdfh_unit_check_sequence(struct mdfh_unit *unit)
{
	if (unit->first == 0 || unit->first > UINT64_MAX - unit->claimed)
		unit->error = MDFH_SESSION_SEQUENCE;
}

#endif
