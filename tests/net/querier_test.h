/* querier_test.h - a multicast router's part, written by hand: a query, and what hosts report (RFC 3376,
 * RFC 3810). */
#ifndef MDFH_TESTS_QUERIER_TEST_H
#define MDFH_TESTS_QUERIER_TEST_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { IS_INCLUDE = 1, IS_EXCLUDE = 2, TO_INCLUDE = 3, TO_EXCLUDE = 4, ALLOW = 5, BLOCK = 6 };

enum { QUERY_BYTES = 60, IGMP_REPORT = 0x22, MLD_REPORT = 143 };

static inline uint16_t querier_sum(const uint8_t *bytes, size_t length)
{
	uint32_t total = 0;

	for (size_t i = 0; i + 1 < length; i += 2)
		total += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint16_t)~total;
}

/* A general query, version 3: answer within 0.1 s. */
static inline void querier_query(uint8_t frame[QUERY_BYTES])
{
	static const uint8_t start[QUERY_BYTES] = {0x01, 0x00, 0x5e, 0x00, 0x00, 0x01, 0x02, 0, 0,
	    0, 0, 9, 0x08, 0x00, 0x46, 0xc0, 0, 36, 0, 0, 0, 0, 1, 2, 0, 0, 10, 0, 0, 1, 224, 0, 0,
	    1, 0x94, 4, 0, 0, 0x11, 1, 0, 0, 0, 0, 0, 0, 2 /* robustness */, 125};
	uint16_t sum;

	memcpy(frame, start, QUERY_BYTES);
	sum = querier_sum(frame + 14, 24);
	frame[24] = (uint8_t)(sum >> 8);
	frame[25] = (uint8_t)sum;
	sum = querier_sum(frame + 38, 12);
	frame[40] = (uint8_t)(sum >> 8);
	frame[41] = (uint8_t)sum;
}

/* 1 if a report of version 3 (MLD: 2), from its first byte on, has a record of this type for the group;
 * source: NULL = whatever its sources, else this one is among them. */
static inline int querier_has_record(const uint8_t *report, const uint8_t *end, int type,
    const uint8_t *group, const uint8_t *source)
{
	size_t address = report < end && report[0] == MLD_REPORT ? 16 : 4;
	unsigned records;

	if (end - report < 8 || (report[0] != IGMP_REPORT && report[0] != MLD_REPORT))
		return 0;
	records = (unsigned)(report[6] << 8 | report[7]);
	report += 8;
	while (records-- && (size_t)(end - report) >= 4 + address) {
		unsigned sources = (unsigned)(report[2] << 8 | report[3]);
		int found = report[0] == type && !memcmp(report + 4, group, address);

		report += 4 + address;
		if ((size_t)(end - report) < sources * address)
			return 0;
		if (found && !source)
			return 1;
		for (; sources; sources--, report += address)
			if (found && source && !memcmp(report, source, address))
				return 1;
	}
	return 0;
}

#endif
