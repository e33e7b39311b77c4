/* fuzz_capture.c - any bytes as a capture file, plain or compressed: frames that lie in memory and
 * in the rules of the header, and an end that stays. */
#include "fuzz.h"

#include <errno.h>
#include <sanitizer/asan_interface.h>

#include "mdfh/capture.h"

enum { FRAMES_MAX = 512 }; /* of a small file of compressed zeros there are many */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mdfh_capture *capture;
	struct mdfh_capture_frame got;
	struct mdfh_frame frame;
	uint64_t frames = 0;
	int status = mdfh_capture_open_memory(data, size, &capture);

	if (status) {
		REQUIRE(status == -EINVAL && !capture);
		return 0;
	}
	while (frames < FRAMES_MAX && (status = mdfh_capture_next(capture, &got)) == 1) {
		REQUIRE(got.number == ++frames);
		REQUIRE(got.captured <= got.wire_length);
		/* Each byte is there. */
		REQUIRE(!got.captured ||
			!__asan_region_is_poisoned((void *)(uintptr_t)got.data, got.captured));
		mdfh_frame_parse(got.link_type, got.data, got.captured, got.wire_length, &frame);
	}
	if (frames < FRAMES_MAX) {
		REQUIRE(status == 0 || status == -EBADMSG);
		REQUIRE(mdfh_capture_next(capture, &got) == status);
	}
	mdfh_capture_close(capture);
	return 0;
}
