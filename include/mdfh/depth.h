/* mdfh/depth.h - snapshots of the top of many books for other threads and processes.
 *
 * A fixed array, one entry per row of the instrument table, optionally in shared memory. The
 * writer, the thread that owns the books, publishes an instrument after it has changed; a reader
 * gets whole entries: each stands under a sequence lock, so a torn read is noticed and repeated.
 *
 * Threads: one writer; any number of readers, which never hold it up.
 * Memory:  taken by create. Nothing here depends on where the array is mapped.
 * Cost:    publish copies 64 bytes + 48 a level; read the same, again while the writer is in the
 *          entry. No allocation, lock or system call in either. */
#ifndef MDFH_DEPTH_H
#define MDFH_DEPTH_H

#include "mdfh/book.h"

MDFH_BEGIN_DECLS

enum { MDFH_DEPTH_LEVELS_MAX = 32 };

/* Zero means "default" everywhere but in size and instruments. */
struct mdfh_depth_config {
	size_t size;
	uint32_t instruments;    /* rows, the row 0 included: table capacity + 1 */
	uint32_t levels;         /* per side, 1..MDFH_DEPTH_LEVELS_MAX; default 10 */
	const char *shared_name; /* POSIX shared memory name; NULL = this process only */
	enum mdfh_switch hugepages;
	int numa_node; /* node + 1; 0 = no preference */
};

/* A price level. */
struct mdfh_depth_level {
	int64_t price; /* 1e-9 */
	uint64_t quantity;
	uint64_t orders;
};

/* A whole entry. */
struct mdfh_depth_view {
	uint64_t sequence;  /* of the last message that touched the instrument; where a session's
	                     * begin emptied it, the number before that session's first */
	int64_t receive_ns; /* of that message */
	uint64_t updates;   /* times that it was published; 0 = never, all else is 0 */
	uint32_t is_sound;
	uint16_t bids; /* levels that follow */
	uint16_t asks;
	struct mdfh_totals totals;
	struct mdfh_depth_level bid[MDFH_DEPTH_LEVELS_MAX];
	struct mdfh_depth_level ask[MDFH_DEPTH_LEVELS_MAX];
};

struct mdfh_depth;

/* Takes all memory. */
MDFH_API int mdfh_depth_create(const struct mdfh_depth_config *config, struct mdfh_depth **depth);

/* Attach to the array that another process made under this name. -ENOENT: there is none; -EPROTO:
 * it is no depth array, of another version, or smaller than it says. */
MDFH_API int mdfh_depth_attach(const char *shared_name, struct mdfh_depth **depth);
MDFH_API void mdfh_depth_destroy(struct mdfh_depth *depth); /* NULL is allowed */

/* Publish an instrument as its books stand. 0, or -ERANGE: the array has no such row. */
MDFH_API int mdfh_depth_publish(struct mdfh_depth *depth, const struct mdfh_books *books,
    uint32_t instrument, uint64_t sequence, int64_t receive_ns);

/* Read an instrument. 1; 0 when it was never published; -ERANGE: no such row; -EAGAIN: the writer
 * was in it at every one of a thousand tries (it has died there, or is starved). */
MDFH_API int mdfh_depth_read(
    const struct mdfh_depth *depth, uint32_t instrument, struct mdfh_depth_view *view);

/* Rows and levels a side, as created. */
MDFH_API uint32_t mdfh_depth_instruments(const struct mdfh_depth *depth);
MDFH_API uint32_t mdfh_depth_levels(const struct mdfh_depth *depth);

MDFH_END_DECLS
#endif
