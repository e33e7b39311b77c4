/* mdfh/capture.h - capture files: frame by frame in, frame by frame out.
 *
 * Reads pcap (microsecond and nanosecond) and pcapng with libpcap, plain or compressed with gzip
 * or zstd, told apart by content and never by name. Writes pcapng, or classic pcap if the name
 * ends in ".pcap", both in nanoseconds.
 *
 * Threads: one thread per reader or writer at a time.
 * Errors:  a negative errno value and a sentence; see mdfh/error.h.
 * Cost:    a reader allocates at open. mdfh_capture_next makes a read(2) per 256 KiB of file. */
#ifndef MDFH_CAPTURE_H
#define MDFH_CAPTURE_H

#include "mdfh/base.h"
#include "mdfh/frame.h"

MDFH_BEGIN_DECLS

/* A frame of a capture. */
struct mdfh_capture_frame {
	const uint8_t *data;  /* valid until the next call on the same reader */
	uint64_t time_ns;     /* ns since the Unix epoch, as recorded */
	uint64_t number;      /* 1, 2, 3 ... as other tools number frames */
	uint32_t captured;    /* bytes in data */
	uint32_t wire_length; /* bytes on the wire; at least captured */
	uint32_t link_type;   /* enum mdfh_link_type, or another number of the pcap formats */
};

struct mdfh_capture;

/* Open a capture for reading; "-" = standard input. -EINVAL: the content is no capture, or it is
 * compressed in a way that this build cannot read; or what the operating system said. */
MDFH_API int mdfh_capture_open(const char *path, struct mdfh_capture **capture);

/* The same from bytes in memory, which must stay until mdfh_capture_close. */
MDFH_API int mdfh_capture_open_memory(
    const void *bytes, size_t length, struct mdfh_capture **capture);

/* 1 = *frame is the next frame; 0 = the file has ended; -EBADMSG = it cannot be read further (cut
 * in the middle of a record, damaged): every frame before that point has been handed out. The
 * end, once reported, stays. */
MDFH_API int mdfh_capture_next(struct mdfh_capture *capture, struct mdfh_capture_frame *frame);

MDFH_API void mdfh_capture_close(struct mdfh_capture *capture); /* NULL is allowed */

/* Writing --------------------------------------------------------------- */

struct mdfh_capture_writer;

/* Create path (an existing file is replaced; "-" = standard output) for frames of one link
 * type. */
MDFH_API int mdfh_capture_writer_open(
    const char *path, uint32_t link_type, struct mdfh_capture_writer **writer);

/* Append a frame of which `captured` bytes are kept; wire_length 0 = captured. Buffered. */
MDFH_API int mdfh_capture_write(struct mdfh_capture_writer *writer, uint64_t time_ns,
    const void *frame, uint32_t captured, uint32_t wire_length);

/* Write what is buffered and close. Reports what could not be written, now or before. NULL is
 * allowed. */
MDFH_API int mdfh_capture_writer_close(struct mdfh_capture_writer *writer);

MDFH_END_DECLS
#endif
