/* inflate.h - a file or memory as a FILE of plain bytes, whatever it is compressed with.
 *
 * libpcap reads from a FILE only, so decompression stands below one (fopencookie). gzip and zstd
 * are recognised by their first bytes; anything else passes through. */
#ifndef MDFH_WIRE_INFLATE_H
#define MDFH_WIRE_INFLATE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct mdfh_capture;
struct mdfh_inflate;

/* Takes fd over (-1: read `bytes` instead). On failure fd is closed, -ENOMEM or -EINVAL. */
int mdfh_inflate_open(
    int fd, const void *bytes, size_t length, const char *name, struct mdfh_inflate **inflate);

/* The same from a path; "-" = standard input. */
int mdfh_inflate_open_path(const char *path, struct mdfh_inflate **inflate);

/* 1 if the plain bytes begin like a pcap or pcapng file. They stay to be read. */
int mdfh_inflate_is_capture(struct mdfh_inflate *inflate);

/* May be closed by its reader; else mdfh_inflate_close does it. */
FILE *mdfh_inflate_file(struct mdfh_inflate *inflate);

/* NULL while all is well, else what was wrong with the compressed bytes or the read. */
const char *mdfh_inflate_problem(const struct mdfh_inflate *inflate);

void mdfh_inflate_close(struct mdfh_inflate *inflate);

/* Read the plain bytes as a capture (mdfh/capture.h), for those who looked at them first. Takes
 * inflate over; on failure it is closed. */
int mdfh_capture_open_inflate(
    struct mdfh_inflate *inflate, const char *name, struct mdfh_capture **capture);

#endif
