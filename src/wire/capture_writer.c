/* capture_writer.c - pcapng and nanosecond pcap files, written in the host's byte order, which
 * both formats mark in their first bytes. libpcap writes no pcapng.
 *
 * pcapng: draft-ietf-opsawg-pcapng, one section, one interface, enhanced packet blocks. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mdfh/capture.h"
#include "mdfh/error.h"

enum {
	SNAP_LENGTH = 262144, /* the most that libpcap reads back */
	BLOCK_INTERFACE = 1,
	BLOCK_ENHANCED_PACKET = 6,
	OPTION_END = 0,
	OPTION_TIME_RESOLUTION = 9,
};

struct mdfh_capture_writer {
	FILE *file;
	char *name;
	int classic;
};

static int put(struct mdfh_capture_writer *writer, const void *bytes, size_t length)
{
	if (length && fwrite(bytes, length, 1, writer->file) != 1)
		return mdfh_error_errno(errno ? -errno : -EIO, "capture %s: write", writer->name);
	return 0;
}

/* Setup ----------------------------------------------------------------- */

static int put_classic_header(struct mdfh_capture_writer *writer, uint32_t link_type)
{
	struct {
		uint32_t magic; /* nanoseconds */
		uint16_t major, minor;
		uint32_t reserved[2], snap_length, link_type;
	} header = {0xa1b23c4dU, 2, 4, {0, 0}, SNAP_LENGTH, link_type};

	return put(writer, &header, sizeof(header));
}

static int put_section(struct mdfh_capture_writer *writer, uint32_t link_type)
{
	struct {
		uint32_t type, length, byte_order;
		uint16_t major, minor;
		uint32_t section_length[2]; /* all ones: not known */
		uint32_t length_again;
	} section = {0x0a0d0d0aU, sizeof(section), 0x1a2b3c4dU, 1, 0, {UINT32_MAX, UINT32_MAX},
	    sizeof(section)};
	struct {
		uint32_t type, length;
		uint16_t link_type, reserved;
		uint32_t snap_length;
		uint16_t option, option_length;
		uint8_t resolution, padding[3]; /* 10^-resolution seconds */
		uint16_t end_option, end_length;
		uint32_t length_again;
	} interface = {BLOCK_INTERFACE, sizeof(interface), (uint16_t)link_type, 0, SNAP_LENGTH,
	    OPTION_TIME_RESOLUTION, 1, 9, {0, 0, 0}, OPTION_END, 0, sizeof(interface)};
	int error = put(writer, &section, sizeof(section));

	return error ? error : put(writer, &interface, sizeof(interface));
}

static int ends_with(const char *text, const char *suffix)
{
	size_t length = strlen(text);

	return length >= strlen(suffix) && strcmp(text + length - strlen(suffix), suffix) == 0;
}

int mdfh_capture_writer_open(
    const char *path, uint32_t link_type, struct mdfh_capture_writer **opened)
{
	struct mdfh_capture_writer *writer = calloc(1, sizeof(*writer));
	int error;

	*opened = NULL;
	if (link_type > UINT16_MAX) {
		error =
		    mdfh_error(-EINVAL, "capture %s: link type %u; at most 65535", path, link_type);
		goto fail;
	}
	if (writer)
		writer->name = strdup(path);
	if (!writer || !writer->name) {
		error = mdfh_error(-ENOMEM, "capture: no memory for a writer");
		goto fail;
	}
	writer->classic = ends_with(path, ".pcap");
	writer->file = strcmp(path, "-") == 0 ? stdout : fopen(path, "wbe");
	if (!writer->file) {
		error = mdfh_error_errno(-errno, "capture %s", path);
		goto fail;
	}
	error = writer->classic ? put_classic_header(writer, link_type)
				: put_section(writer, link_type);
	if (error)
		goto fail;
	*opened = writer;
	return 0;

fail:
	if (writer && writer->file && writer->file != stdout)
		fclose(writer->file);
	if (writer)
		free(writer->name);
	free(writer);
	return error;
}

/* Writing --------------------------------------------------------------- */

static int put_classic(struct mdfh_capture_writer *writer, uint64_t time_ns, const void *frame,
    uint32_t captured, uint32_t wire_length)
{
	uint32_t record[4] = {(uint32_t)(time_ns / 1000000000U), (uint32_t)(time_ns % 1000000000U),
	    captured, wire_length};
	int error;

	if (time_ns / 1000000000U > UINT32_MAX)
		return mdfh_error(-EINVAL,
		    "capture %s: time %llu ns is past 2106, which pcap cannot hold; write pcapng",
		    writer->name, (unsigned long long)time_ns);
	error = put(writer, record, sizeof(record));
	return error ? error : put(writer, frame, captured);
}

static int put_enhanced(struct mdfh_capture_writer *writer, uint64_t time_ns, const void *frame,
    uint32_t captured, uint32_t wire_length)
{
	static const uint8_t zeros[4];
	uint32_t padding = -captured & 3U;
	uint32_t head[7] = {BLOCK_ENHANCED_PACKET, 0, 0, (uint32_t)(time_ns >> 32),
	    (uint32_t)time_ns, captured, wire_length};
	int error;

	head[1] = (uint32_t)sizeof(head) + captured + padding + 4;
	error = put(writer, head, sizeof(head));
	if (!error)
		error = put(writer, frame, captured);
	if (!error)
		error = put(writer, zeros, padding);
	return error ? error : put(writer, &head[1], 4);
}

int mdfh_capture_write(struct mdfh_capture_writer *writer, uint64_t time_ns, const void *frame,
    uint32_t captured, uint32_t wire_length)
{
	if (!wire_length)
		wire_length = captured;
	if (captured > SNAP_LENGTH || wire_length < captured)
		return mdfh_error(-EINVAL,
		    "capture %s: %u bytes of a frame of %u; at most all of it, and %d",
		    writer->name, captured, wire_length, SNAP_LENGTH);
	return writer->classic ? put_classic(writer, time_ns, frame, captured, wire_length)
			       : put_enhanced(writer, time_ns, frame, captured, wire_length);
}

int mdfh_capture_writer_close(struct mdfh_capture_writer *writer)
{
	int failed;
	int error = 0;

	if (!writer)
		return 0;
	failed = ferror(writer->file);
	if (writer->file == stdout)
		failed |= fflush(stdout);
	else
		failed |= fclose(writer->file);
	if (failed)
		error = mdfh_error_errno(
		    errno ? -errno : -EIO, "capture %s: not all could be written", writer->name);
	free(writer->name);
	free(writer);
	return error;
}
