/* inflate.h - a file or memory as a FILE of plain bytes, whatever it is compressed with.
 *
 * libpcap reads from a FILE only, so decompression stands below one (fopencookie). gzip and zstd
 * are recognised by their first bytes; anything else passes through. */
#ifndef MDFH_WIRE_INFLATE_H
#define MDFH_WIRE_INFLATE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct mdfh_inflate;

/* Takes fd over (-1: read `bytes` instead). On failure fd is closed, -ENOMEM or -EINVAL. */
int mdfh_inflate_open(
    int fd, const void *bytes, size_t length, const char *name, struct mdfh_inflate **inflate);

/* May be closed by its reader; else mdfh_inflate_close does it. */
FILE *mdfh_inflate_file(struct mdfh_inflate *inflate);

/* NULL while all is well, else what was wrong with the compressed bytes or the read. */
const char *mdfh_inflate_problem(const struct mdfh_inflate *inflate);

void mdfh_inflate_close(struct mdfh_inflate *inflate);

#endif
