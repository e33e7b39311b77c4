/* fuzz_capture.c - any bytes as a capture file, plain or compressed: frames that lie in memory and
 * in the rules of the header, and an end that stays. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mdfh/capture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FRAMES_MAX = 4096 }; /* of a small file of compressed zeros there are many */

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mdfh_capture *capture;
	struct mdfh_capture_frame got;
	struct mdfh_frame frame;
	uint64_t frames = 0;
	uint64_t sum = 0;
	int status = mdfh_capture_open_memory(data, size, &capture);

	if (status) {
		CHECK(status == -EINVAL && !capture);
		return 0;
	}
	while (frames < FRAMES_MAX && (status = mdfh_capture_next(capture, &got)) == 1) {
		CHECK(got.number == ++frames);
		CHECK(got.captured <= got.wire_length);
		for (uint32_t i = 0; i < got.captured; i++)
			sum += got.data[i]; /* each byte is there */
		mdfh_frame_parse(got.link_type, got.data, got.captured, got.wire_length, &frame);
	}
	if (frames < FRAMES_MAX) {
		CHECK(status == 0 || status == -EBADMSG);
		CHECK(mdfh_capture_next(capture, &got) == status);
	}
	mdfh_capture_close(capture);
	return sum == UINT64_MAX;
}
