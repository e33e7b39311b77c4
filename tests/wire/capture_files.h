/* capture_files.h - captures that tests make: written byte by byte in memory, or as files in a
 * folder that goes away with the test. */
#ifndef TESTS_WIRE_CAPTURE_FILES_H
#define TESTS_WIRE_CAPTURE_FILES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mdfh/frame.h"

struct bytes {
	uint8_t at[1 << 16];
	size_t length;
};

static inline void add(struct bytes *bytes, const void *more, size_t length)
{
	if (bytes->length + length > sizeof(bytes->at))
		abort();
	memcpy(bytes->at + bytes->length, more, length);
	bytes->length += length;
}

static inline void add32(struct bytes *bytes, uint32_t value)
{
	add(bytes, &value, sizeof(value));
}

static inline void add16(struct bytes *bytes, uint16_t value)
{
	add(bytes, &value, sizeof(value));
}

/* A UDP frame 10.0.0.1:1000 > 239.1.1.GROUP:PORT whose payload is `length` bytes of `fill`. */
static inline uint32_t test_frame(uint8_t group, uint16_t port, uint16_t vlan, uint8_t fill,
    uint32_t length, uint8_t *out, uint32_t size)
{
	struct mdfh_frame_header header = {
	    .source_port = 1000,
	    .destination_port = port,
	    .vlan = {vlan},
	    .vlan_count = vlan != 0,
	};
	uint8_t payload[9000];

	memset(payload, fill, sizeof(payload));
	mdfh_frame_address("10.0.0.1", header.source);
	mdfh_frame_address("239.1.1.0", header.destination);
	header.destination[15] = group;
	return (uint32_t)mdfh_frame_build(&header, payload, length, out, size);
}

static inline void classic_header(struct bytes *file, uint32_t magic, uint32_t link_type)
{
	add32(file, magic);
	add16(file, 2);
	add16(file, 4);
	add32(file, 0);
	add32(file, 0);
	add32(file, 65535);
	add32(file, link_type);
}

static inline void classic_record(struct bytes *file, uint32_t seconds, uint32_t fraction,
    const uint8_t *frame, uint32_t captured, uint32_t wire_length)
{
	add32(file, seconds);
	add32(file, fraction);
	add32(file, captured);
	add32(file, wire_length);
	add(file, frame, captured);
}

/* The name of a file in this test's own folder, which test_folder_remove empties. */
static char test_folder[64];

static inline const char *test_path(const char *name, char path[128])
{
	if (!test_folder[0]) {
		strcpy(test_folder, "/tmp/mdfh-test-XXXXXX");
		if (!mkdtemp(test_folder))
			abort();
	}
	snprintf(path, 128, "%s/%s", test_folder, name);
	return path;
}

static inline void test_write(const char *path, const void *bytes, size_t length)
{
	FILE *file = fopen(path, "wb");

	if (!file || (length && fwrite(bytes, length, 1, file) != 1) || fclose(file))
		abort();
}

#endif
