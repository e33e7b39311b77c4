/* raw_itch.h - ITCH 5.0 messages taken apart by hand, byte by byte, from the tables of the
 * specification. Deliberately not the product's decoder: it judges what the encoders wrote. */
#ifndef MDFH_TESTS_SIM_RAW_ITCH_H
#define MDFH_TESTS_SIM_RAW_ITCH_H

#include <stdint.h>

#include "sim/reference_book.h"

static inline uint64_t raw_number(const uint8_t *message, unsigned offset, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value = value << 8 | message[offset + i];
	return value;
}

static inline uint16_t raw_locate(const uint8_t *message)
{
	return (uint16_t)raw_number(message, 1, 2);
}

static inline uint64_t raw_time(const uint8_t *message)
{
	return raw_number(message, 5, 6);
}

/* Length of a message of this type, 0 = there is no such type. */
static inline uint32_t raw_length(uint8_t type)
{
	switch (type) {
	case 'S':
	case 'W':
		return 12;
	case 'R':
		return 39;
	case 'H':
		return 25;
	case 'Y':
	case 'N':
		return 20;
	case 'L':
		return 26;
	case 'V':
	case 'J':
	case 'U':
		return 35;
	case 'K':
		return 28;
	case 'h':
		return 21;
	case 'A':
	case 'C':
		return 36;
	case 'F':
	case 'Q':
		return 40;
	case 'E':
		return 31;
	case 'X':
		return 23;
	case 'D':
	case 'B':
		return 19;
	case 'P':
		return 44;
	case 'I':
		return 50;
	case 'O':
		return 48;
	default:
		return 0;
	}
}

/* What the message does to the book, by the book rules of the specification. */
static inline int raw_apply(struct mdfh_refbook *book, const uint8_t *m)
{
	switch (m[0]) {
	case 'R':
		mdfh_refbook_symbol(book, raw_locate(m), (const char *)m + 11, 8);
		return 0;
	case 'A':
	case 'F':
		return mdfh_refbook_add(book, raw_locate(m), raw_number(m, 11, 8),
		    m[19] == 'B'   ? MDFH_REFBOOK_BUY
		    : m[19] == 'S' ? MDFH_REFBOOK_SELL
				   : 0,
		    (uint32_t)raw_number(m, 20, 4), (int64_t)raw_number(m, 32, 4));
	case 'E':
		return mdfh_refbook_execute(book, raw_number(m, 11, 8),
		    (uint32_t)raw_number(m, 19, 4), raw_number(m, 23, 8), 1);
	case 'C':
		return mdfh_refbook_execute(book, raw_number(m, 11, 8),
		    (uint32_t)raw_number(m, 19, 4), raw_number(m, 23, 8), m[31] == 'Y');
	case 'X':
		return mdfh_refbook_reduce(
		    book, raw_number(m, 11, 8), (uint32_t)raw_number(m, 19, 4));
	case 'D':
		return mdfh_refbook_delete(book, raw_number(m, 11, 8));
	case 'U':
		return mdfh_refbook_replace(book, raw_number(m, 11, 8), raw_number(m, 19, 8),
		    (uint32_t)raw_number(m, 27, 4), (int64_t)raw_number(m, 31, 4));
	case 'P':
		return mdfh_refbook_trade(
		    book, raw_locate(m), raw_number(m, 20, 4), raw_number(m, 36, 8));
	case 'Q':
		return mdfh_refbook_trade(
		    book, raw_locate(m), raw_number(m, 11, 8), raw_number(m, 31, 8));
	case 'B':
		return mdfh_refbook_break(book, raw_number(m, 11, 8));
	default:
		return 0;
	}
}

#endif
