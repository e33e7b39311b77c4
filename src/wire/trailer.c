/* trailer.c - looked for from the frame's end, without an FCS behind it and with one; a header, from its
 * beginning. */
#include "wire/trailer.h"

#include <string.h>

#include "core/bytes.h"
#include "core/clock_line.h"
#include "wire/arista.h"

enum {
	FCS = 4,
	METAMAKO_FIXED = 12, /* seconds to port */
	METAMAKO_HAS_EXTENSIONS = 0x02,
	METAMAKO_DUPLICATE = 0x04,
	METAMAKO_DEGRADED = 0x10, /* the device's clock is not in step with its reference */
	EXTENSION_TAG = 0x1f,     /* all ones: the word holds a longer length */
	EXTENSION_LAST = 0x20,
	EXABLAZE_BYTES = 16,
	FRACTION_BITS = 40,
};

#define NS_PER_S 1000000000ULL

/* 0 means unknown, on either side. */
static int is_near(uint64_t time_ns, uint64_t near_ns)
{
	uint64_t off = time_ns > near_ns ? time_ns - near_ns : near_ns - time_ns;

	return near_ns && time_ns && off <= MDFH_TRAILER_WINDOW_NS;
}

/* 1 if extensions that end at `end` leave room for the original FCS. Each is some words of data and
 * then one that describes them. */
static int are_extensions_whole(const uint8_t *bytes, uint32_t begin, uint32_t end)
{
	uint32_t word, words;

	do {
		if (end - begin < FCS + 4)
			return 0;
		end -= 4;
		word = mdfh_load_be32(bytes + end);
		words = word >> 6 & 3;
		if ((word & EXTENSION_TAG) == EXTENSION_TAG)
			words = (word >> 6 & 0x3ff) + 1;
		if (words > (end - begin - FCS) / 4)
			return 0;
		end -= 4 * words;
	} while (!(word & EXTENSION_LAST));
	return 1;
}

/* A trailer that ends at `end`, at least FCS + METAMAKO_FIXED after `begin`. */
static int read_metamako(const uint8_t *bytes, uint32_t begin, uint32_t end, uint64_t near_ns,
    struct mdfh_trailer_stamp *stamp)
{
	const uint8_t *at = bytes + end - METAMAKO_FIXED;
	uint32_t ns = mdfh_load_be32(at + 4);
	uint8_t flags = at[8];

	stamp->time_ns = mdfh_load_be32(at) * NS_PER_S + ns;
	if (ns >= NS_PER_S || !is_near(stamp->time_ns, near_ns))
		return 0;
	if (flags & METAMAKO_HAS_EXTENSIONS &&
	    !are_extensions_whole(bytes, begin, end - METAMAKO_FIXED))
		return 0;
	stamp->is_synced = !(flags & METAMAKO_DEGRADED);
	stamp->is_duplicate = (flags & METAMAKO_DUPLICATE) != 0;
	stamp->device = mdfh_load_be16(at + 9);
	stamp->port = at[11];
	return 1;
}

static int read_exablaze(
    const uint8_t *bytes, uint32_t end, uint64_t near_ns, struct mdfh_trailer_stamp *stamp)
{
	const uint8_t *at = bytes + end - EXABLAZE_BYTES + FCS;
	uint64_t fraction = (uint64_t)mdfh_load_be32(at + 6) << 8 | at[10];

	stamp->time_ns = mdfh_load_be32(at + 2) * NS_PER_S +
			 (uint64_t)((mdfh_wide)fraction * NS_PER_S >> FRACTION_BITS);
	stamp->device = at[0];
	stamp->port = at[1];
	stamp->is_synced = stamp->is_duplicate = 0;
	return is_near(stamp->time_ns, near_ns);
}

/* TAI - UTC, since the leap seconds of 2012-07-01, 2015-07-01 and 2017-01-01 (IERS Bulletin C). */
static uint64_t tai_ahead_s(uint64_t utc_s)
{
	return utc_s >= 1483228800 ? 37 : utc_s >= 1435708800 ? 36 : utc_s >= 1341100800 ? 35 : 34;
}

/* Of a time whose seconds are cut to 16 bits, the one that is nearest. */
static uint64_t complete(uint64_t low_s, uint64_t near_s)
{
	uint64_t whole_s = (near_s & ~UINT64_C(0xffff)) | low_s;

	if (whole_s + 0x8000 < near_s)
		return whole_s + 0x10000;
	return whole_s > near_s + 0x8000 && whole_s >= 0x10000 ? whole_s - 0x10000 : whole_s;
}

/* The header is before the IP packet; mdfh_frame_parse has stepped over it. It may follow nothing but the
 * addresses. */
static enum mdfh_trailer_verdict read_arista(const uint8_t *bytes, const struct mdfh_frame *frame,
    uint64_t near_ns, struct mdfh_trailer_stamp *stamp)
{
	const uint8_t *at = bytes + 14; /* behind the type */
	uint64_t near_s = near_ns / NS_PER_S, ahead_s, seconds;
	uint32_t length, ns;

	if (frame->ip_offset < 14 + MDFH_ARISTA_FIXED + 6 + 2 ||
	    mdfh_load_be16(bytes + 12) != MDFH_ARISTA_TYPE)
		return MDFH_TRAILER_ABSENT;
	length = mdfh_arista_time_bytes(at);
	if (!length || frame->ip_offset < 14 + MDFH_ARISTA_FIXED + length + 2)
		return MDFH_TRAILER_ABSENT;
	ahead_s = at[2] & MDFH_ARISTA_UTC >> 8 ? 0 : tai_ahead_s(near_s);
	at += MDFH_ARISTA_FIXED;
	seconds = length == 8 ? mdfh_load_be32(at) : complete(mdfh_load_be16(at), near_s + ahead_s);
	ns = mdfh_load_be32(at + length - 4);
	if (seconds < ahead_s || ns >= NS_PER_S)
		return MDFH_TRAILER_IMPLAUSIBLE;
	stamp->time_ns = (seconds - ahead_s) * NS_PER_S + ns;
	if (is_near(stamp->time_ns, near_ns))
		return MDFH_TRAILER_SOUND;
	memset(stamp, 0, sizeof(*stamp));
	return MDFH_TRAILER_IMPLAUSIBLE;
}

static int read_before(const struct mdfh_trailer_reader *reader, const uint8_t *bytes,
    uint32_t begin, uint32_t end, uint64_t near_ns, struct mdfh_trailer_stamp *stamp)
{
	if (reader->kind == MDFH_TRAILER_METAMAKO)
		return read_metamako(bytes, begin, end, near_ns, stamp);
	return read_exablaze(bytes, end, near_ns, stamp);
}

/* Where the IP packet ends; mdfh_frame_parse has compared its length with the frame's. */
static uint32_t ip_end(const uint8_t *bytes, const struct mdfh_frame *frame)
{
	const uint8_t *ip = bytes + frame->ip_offset;

	if (frame->ip_version == 4)
		return frame->ip_offset + mdfh_load_be16(ip + 2);
	return frame->ip_offset + 40 + mdfh_load_be16(ip + 4);
}

enum mdfh_trailer_verdict mdfh_trailer_read(struct mdfh_trailer_reader *reader,
    const uint8_t *bytes, uint32_t captured, uint32_t wire_length, const struct mdfh_frame *frame,
    uint64_t near_ns, struct mdfh_trailer_stamp *stamp)
{
	uint32_t begin = ip_end(bytes, frame);

	memset(stamp, 0, sizeof(*stamp));
	if (reader->kind == MDFH_TRAILER_ARISTA_7280)
		return read_arista(bytes, frame, near_ns, stamp);
	/* Both kinds have 16 bytes at least. */
	if (captured < wire_length || begin > captured || captured - begin < EXABLAZE_BYTES)
		return MDFH_TRAILER_ABSENT;
	for (int try = 0; try < 2; try++) {
		uint32_t fcs = try ? FCS - reader->fcs : reader->fcs;

		if (captured - begin < EXABLAZE_BYTES + fcs ||
		    !read_before(reader, bytes, begin, captured - fcs, near_ns, stamp))
			continue;
		reader->fcs = fcs;
		return MDFH_TRAILER_SOUND;
	}
	memset(stamp, 0, sizeof(*stamp));
	return MDFH_TRAILER_IMPLAUSIBLE;
}
