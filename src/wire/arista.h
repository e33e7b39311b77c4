/* arista.h - the header that Arista's switches (7280R, 7500R and later) put a frame's time into.
 *
 * It stands where the frame's type was: EtherType 0xd28b, subtype 1 (2 bytes), version (2: 0x0010 and 0x0110 =
 * 64 bits of TAI and UTC, 0x0020 and 0x0120 = 48 bits of TAI and UTC), time (32 or the lowest 16 bits of the
 * seconds, then 32 bits of ns), and then the frame's own type. All in network order. */
#ifndef MDFH_WIRE_ARISTA_H
#define MDFH_WIRE_ARISTA_H

#include <stdint.h>

#include "core/bytes.h"

enum {
	MDFH_ARISTA_TYPE = 0xd28b,
	MDFH_ARISTA_FIXED = 4,   /* subtype and version */
	MDFH_ARISTA_UTC = 0x100, /* of the version; clear = TAI */
};

/* Bytes of the time behind subtype and version; 0 = this is not such a header. */
static inline uint32_t mdfh_arista_time_bytes(const uint8_t *subtype)
{
	uint32_t word = mdfh_load_be32(subtype);

	switch (word & ~(uint32_t)MDFH_ARISTA_UTC) {
	case 0x00010010:
		return 8;
	case 0x00010020:
		return 6;
	default:
		return 0;
	}
}

#endif
