/* checksum.h - the sum of the Internet protocols (RFC 1071): of the bytes with their checksum it
 * folds to 0xffff, and the complement of the folded sum without it is the checksum. */
#ifndef MDFH_WIRE_CHECKSUM_H
#define MDFH_WIRE_CHECKSUM_H

#include "core/bytes.h"

static inline uint32_t mdfh_sum_bytes(uint32_t sum, const uint8_t *bytes, uint32_t length)
{
	/* 32 bits hold the words of 64 KB without a carry out. */
	for (; length > 1; bytes += 2, length -= 2)
		sum += mdfh_load_be16(bytes);
	if (length)
		sum += (uint32_t)bytes[0] << 8;
	return sum;
}

static inline uint16_t mdfh_sum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

#endif
