/* fuzz_trailer.c - any bytes behind any frame: what is believed is near, and nothing is read that is not
 * there.
 *
 * The first byte chooses the kind and whether an FCS was seen before; the next four are the seconds of
 * the frame's other time. */
#include "fuzz.h"

#include "wire/trailer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mdfh_trailer_reader reader;
	struct mdfh_trailer_stamp stamp;
	enum mdfh_trailer_verdict verdict;
	struct mdfh_frame frame;
	uint64_t near_ns;
	uint32_t length;
	uint8_t *copy;

	if (size < 5 || size > 65536)
		return 0;
	reader.kind = data[0] & 4   ? MDFH_TRAILER_ARISTA_7280
		      : data[0] & 1 ? MDFH_TRAILER_METAMAKO
				    : MDFH_TRAILER_EXABLAZE;
	reader.fcs = data[0] & 2 ? 4 : 0;
	near_ns = 1000000000ULL * ((uint32_t)data[1] << 24 | (uint32_t)data[2] << 16 |
				      (uint32_t)data[3] << 8 | data[4]);
	length = (uint32_t)size - 5;
	copy = exact_copy(data + 5, length);
	if (mdfh_frame_parse(MDFH_LINK_ETHERNET, copy, length, length, &frame) == MDFH_FRAME_OK) {
		verdict = mdfh_trailer_read(&reader, copy, length, length, &frame, near_ns, &stamp);
		REQUIRE(reader.fcs == 0 || reader.fcs == 4);
		REQUIRE((verdict == MDFH_TRAILER_SOUND) == (stamp.time_ns != 0));
		if (verdict == MDFH_TRAILER_SOUND)
			REQUIRE(stamp.time_ns - (near_ns - MDFH_TRAILER_WINDOW_NS) <=
				2 * MDFH_TRAILER_WINDOW_NS);
		if (verdict == MDFH_TRAILER_SOUND && reader.kind != MDFH_TRAILER_ARISTA_7280)
			REQUIRE(frame.payload_offset + frame.payload_wire_length + 16 <= length);
	}
	free(copy);
	return 0;
}
