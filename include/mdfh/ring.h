/* mdfh/ring.h - single-producer single-consumer ring of fixed-size slots.
 *
 * Capacity is a power of two. Each side's index stands on a cache line of its own, beside that
 * side's copy of the other's, so that a batch costs at most one miss. Contains no pointers: it
 * works between processes over shared memory (mdfh_ring_attach).
 *
 * Threads: one producer (reserve, commit, push*), one consumer (peek, release, pop*); used and
 *          high_water may be read by anyone.
 * Cost:    no allocation, lock or system call outside create, attach, destroy and *_wait. */
#ifndef MDFH_RING_H
#define MDFH_RING_H

#include "mdfh/base.h"

MDFH_BEGIN_DECLS

struct mdfh_ring;

struct mdfh_ring_config {
	size_t size;
	uint32_t slots;     /* power of two, 2..2^26; default 65536 */
	uint32_t slot_size; /* bytes, multiple of 8; default 64 */
	enum mdfh_switch hugepages;
	int numa_node;           /* node + 1; 0 = no preference */
	const char *shared_name; /* POSIX shared memory name; NULL = private */
};

MDFH_API int mdfh_ring_create(const struct mdfh_ring_config *config, struct mdfh_ring **ring);
MDFH_API int mdfh_ring_attach(const char *shared_name, struct mdfh_ring **ring);
MDFH_API void mdfh_ring_destroy(struct mdfh_ring *ring);

/* Producer. reserve: up to want free slots that lie together (fewer at the end of the array or
 * when nearly full); returns how many, 0 = full. commit: the first n of them are published. */
MDFH_API uint32_t mdfh_ring_reserve(struct mdfh_ring *ring, uint32_t want, void **slots);
MDFH_API void mdfh_ring_commit(struct mdfh_ring *ring, uint32_t n);
MDFH_API int mdfh_ring_push(struct mdfh_ring *ring, const void *slot); /* 1, 0 = full */
MDFH_API uint32_t mdfh_ring_push_batch(struct mdfh_ring *ring, const void *slots, uint32_t n);

/* Consumer. peek: up to want filled slots that lie together; release: done with the first n. */
MDFH_API uint32_t mdfh_ring_peek(struct mdfh_ring *ring, uint32_t want, const void **slots);
MDFH_API void mdfh_ring_release(struct mdfh_ring *ring, uint32_t n);
MDFH_API int mdfh_ring_pop(struct mdfh_ring *ring, void *slot); /* 1, 0 = empty */
MDFH_API uint32_t mdfh_ring_pop_batch(struct mdfh_ring *ring, void *slots, uint32_t n);

/* These wait: spin, then yield, then sleep; return 1, or 0 after timeout_ns. */
MDFH_API int mdfh_ring_push_wait(struct mdfh_ring *ring, const void *slot, uint64_t timeout_ns);
MDFH_API int mdfh_ring_pop_wait(struct mdfh_ring *ring, void *slot, uint64_t timeout_ns);

MDFH_API uint32_t mdfh_ring_capacity(const struct mdfh_ring *ring);
MDFH_API uint32_t mdfh_ring_used(const struct mdfh_ring *ring);
MDFH_API uint32_t mdfh_ring_high_water(const struct mdfh_ring *ring); /* most ever used */

MDFH_END_DECLS
#endif
