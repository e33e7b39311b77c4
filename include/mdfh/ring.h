/* mdfh/ring.h - single-producer single-consumer ring of fixed-size slots.
 *
 * The indices count slots since the start and never wrap; slot number = index & mask. Each
 * side's index stands in two cache lines of its own (the neighbour too, because prefetchers
 * fetch lines in pairs), beside that side's copy of the other's index: while the copy says that
 * there is room, or something to read, the other side's line is not touched, so that a batch
 * costs at most one miss.
 *
 * What both sides share holds no pointers, so it works between processes over shared memory
 * (mdfh_ring_attach). A process keeps what it needs to stay within its mapping (slots, slot
 * size, addresses) in a handle of its own, taken once after checking: the other process can
 * spoil the contents of the slots and the counts, never make this one reach outside the ring.
 * (It could shrink the shared memory object; then the kernel ends this process with SIGBUS.)
 *
 * Threads: one producer (reserve, commit, push*), one consumer (peek, release, pop*); used and
 *          high_water may be read by anyone.
 * Speed:   reserve/commit and peek/release beat push and pop, which copy through the caller's
 *          object: what bounds single items is the number of stores that wait while a line
 *          changes cores. Batches beat singles five times and more.
 * Cost:    no allocation, lock or system call outside create, attach, destroy and *_wait. The
 *          calls of the data path are inline: a ring of constant slot size in a loop costs a
 *          few instructions a slot. Their structures are visible for that reason only. */
#ifndef MDFH_RING_H
#define MDFH_RING_H

#include <assert.h>
#include <string.h>

#include "mdfh/base.h"
#include "mdfh/memory.h"

MDFH_BEGIN_DECLS

/* Two cache lines: what prefetchers fetch together. */
#define MDFH_RING_PAIR ((size_t)2 * MDFH_CACHE_LINE)
/* Slots; of 0, 8, 16, 32 and 64 the fastest for 32 and 64 bytes. */
#define MDFH_RING_AHEAD 16

/* Zero means "default" everywhere but in size. */
struct mdfh_ring_config {
	size_t size;
	uint32_t slots;     /* power of two, 2..2^26; default 65536 */
	uint32_t slot_size; /* bytes, multiple of 8, 8..65536; default 64 */
	enum mdfh_switch hugepages;
	int numa_node;           /* node + 1; 0 = no preference */
	const char *shared_name; /* POSIX shared memory name; NULL = private */
};

/* One side's line: written by that side only. */
struct mdfh_ring_side {
	uint64_t index;      /* producer: slots published; consumer: slots given back */
	uint64_t peer;       /* the other side's index when it was last looked at */
	uint64_t high_water; /* most slots in use when it was looked at */
	uint8_t pad[MDFH_RING_PAIR - 24];
};

/* At the start of the shared memory; the slots follow. */
struct mdfh_ring_shared {
	uint64_t magic; /* stored last by the maker */
	uint32_t version;
	uint32_t slots;
	uint32_t slot_size;
	uint32_t slots_offset;
	uint64_t bytes;
	uint8_t pad[MDFH_RING_PAIR - 32];
	struct mdfh_ring_side producer;
	struct mdfh_ring_side consumer;
};

static_assert(sizeof(struct mdfh_ring_shared) == 3 * MDFH_RING_PAIR, "layout is ABI");

/* A process's handle: not written after create or attach. */
struct mdfh_ring {
	struct mdfh_ring_side *producer;
	struct mdfh_ring_side *consumer;
	uint8_t *slots;
	uint32_t mask;
	uint32_t slot_size;
	struct mdfh_region region;
};

/* -EINVAL names the value that is wrong; -EEXIST: another process has a ring of that name. */
MDFH_API int mdfh_ring_create(const struct mdfh_ring_config *config, struct mdfh_ring **ring);
/* Errors: -ENOENT no such name, -EPROTO not a ring, of another version, or damaged. */
MDFH_API int mdfh_ring_attach(const char *shared_name, struct mdfh_ring **ring);
MDFH_API void mdfh_ring_destroy(struct mdfh_ring *ring); /* NULL is allowed */

/* Producer. reserve: up to want free slots that lie together (fewer at the end of the array or
 * when nearly full); returns how many, 0 = full. commit: the first n of them are published. */
static inline uint32_t mdfh_ring_reserve(struct mdfh_ring *ring, uint32_t want, void **slots);
static inline void mdfh_ring_commit(struct mdfh_ring *ring, uint32_t n);
static inline int mdfh_ring_push(struct mdfh_ring *ring, const void *slot); /* 1, 0 = full */
/* As many of n as there is room for; they become visible at once. */
static inline uint32_t mdfh_ring_push_batch(struct mdfh_ring *ring, const void *slots, uint32_t n);

/* Consumer. peek: up to want filled slots that lie together; release: done with the first n. */
static inline uint32_t mdfh_ring_peek(struct mdfh_ring *ring, uint32_t want, const void **slots);
static inline void mdfh_ring_release(struct mdfh_ring *ring, uint32_t n);
static inline int mdfh_ring_pop(struct mdfh_ring *ring, void *slot); /* 1, 0 = empty */
static inline uint32_t mdfh_ring_pop_batch(struct mdfh_ring *ring, void *slots, uint32_t n);

/* These wait: spin, then yield, then sleep; return 1, or 0 after timeout_ns. */
MDFH_API int mdfh_ring_push_wait(struct mdfh_ring *ring, const void *slot, uint64_t timeout_ns);
MDFH_API int mdfh_ring_pop_wait(struct mdfh_ring *ring, void *slot, uint64_t timeout_ns);

/* Slots; and those in use now. */
MDFH_API uint32_t mdfh_ring_capacity(const struct mdfh_ring *ring);
MDFH_API uint32_t mdfh_ring_used(const struct mdfh_ring *ring);

/* Most slots in use whenever a side looked at the other's index, which it does when its own
 * copy is used up: the consumer each time it has drained what it knew of, the producer each
 * time it knows of no room. So it costs nothing, it is exact once the ring was full, and
 * otherwise the real peak lies between the figure and twice the figure. */
MDFH_API uint32_t mdfh_ring_high_water(const struct mdfh_ring *ring);

/* Data path -------------------------------------------------------------
 *
 * __atomic rather than <stdatomic.h>, so that the header is C++ as well; the memory model is
 * that of C11. An index is stored by its own side with release and loaded by the other with
 * acquire: the producer's pair hands over the contents of slots, the consumer's hands the slots
 * back. Each side reads its own index relaxed. */

/* A side's own index. */
static inline uint64_t mdfh_ring_own(const uint64_t *index)
{
	return __atomic_load_n(index, __ATOMIC_RELAXED);
}

/* Look at the other side's index. Returns how many slots are in use, never more than there
 * are whatever the other process has stored. */
static inline uint64_t mdfh_ring_look(
    struct mdfh_ring_side *own, const struct mdfh_ring_side *other, int producer, uint64_t slots)
{
	/* Pairs with the release store of the other side's commit or release. */
	uint64_t peer = __atomic_load_n(&other->index, __ATOMIC_ACQUIRE);
	uint64_t index = mdfh_ring_own(&own->index);
	uint64_t used = producer ? index - peer : peer - index;

	if (__builtin_expect(used > slots, 0))
		used = producer ? slots : 0;
	/* Nothing is written while one side polls in vain. */
	peer = producer ? index - used : index + used;
	if (peer != own->peer) {
		own->peer = peer;
		if (used > __atomic_load_n(&own->high_water, __ATOMIC_RELAXED))
			__atomic_store_n(&own->high_water, used, __ATOMIC_RELAXED);
	}
	return used;
}

/* Free slots, want or more of them if there are so many; never more than there are, for our own
 * line too is memory that the other process can write. */
static inline uint64_t mdfh_ring_free(struct mdfh_ring *ring, uint64_t want)
{
	uint64_t slots = (uint64_t)ring->mask + 1;
	uint64_t used = mdfh_ring_own(&ring->producer->index) - ring->producer->peer;

	if (want > slots || used > slots - want)
		used = mdfh_ring_look(ring->producer, ring->consumer, 1, slots);
	return slots - used;
}

/* Filled slots, want or more of them if there are so many; never more than there are. */
static inline uint64_t mdfh_ring_filled(struct mdfh_ring *ring, uint64_t want)
{
	uint64_t slots = (uint64_t)ring->mask + 1;
	uint64_t filled = ring->consumer->peer - mdfh_ring_own(&ring->consumer->index);

	/* filled from want to slots, in one comparison where want is 1. */
	if (want > slots || filled - want > slots - want)
		filled = mdfh_ring_look(ring->consumer, ring->producer, 0, slots);
	return filled;
}

/* The slot of an index. */
static inline uint8_t *mdfh_ring_at(const struct mdfh_ring *ring, uint64_t index)
{
	return ring->slots + (index & ring->mask) * ring->slot_size;
}

/* The sizes that most rings have are copied by a few instructions instead of a call. Where the
 * compiler knows that the caller's object is smaller, that branch cannot be meant, and is left
 * out before it can be warned of. */
static inline void mdfh_ring_copy(void *to, const void *from, size_t bytes)
{
	size_t to_bytes = __builtin_object_size(to, 0);
	size_t from_bytes = __builtin_object_size(from, 0);

	if (to_bytes >= 64 && from_bytes >= 64 && bytes == 64)
		memcpy(to, from, 64);
	else if (to_bytes >= 32 && from_bytes >= 32 && bytes == 32)
		memcpy(to, from, 32);
	else
		memcpy(to, from, bytes);
}

/* A slot's cache line was last read by the consumer, so the first store to it waits until the
 * consumer's core has given it up, and the stores that follow wait behind it. A producer of
 * single slots asks for the line some slots ahead (a batch has its lines under way at once
 * anyway), unless these are not free: then it would take them from the consumer. Plain prefetch
 * on x86-64 would ask for a copy to read; older processors take prefetchw for a no-op. */
static inline void mdfh_ring_own_ahead(const struct mdfh_ring *ring, uint64_t index, uint64_t room)
{
	if (room > MDFH_RING_AHEAD) {
		const uint8_t *at = mdfh_ring_at(ring, index + MDFH_RING_AHEAD);

#if defined(__x86_64__)
		__asm__ volatile("prefetchw %0" : : "m"(*at));
#else
		__builtin_prefetch(at, 1);
#endif
	}
}

static inline void mdfh_ring_commit(struct mdfh_ring *ring, uint32_t n)
{
	struct mdfh_ring_side *own = ring->producer;

	/* Pairs with the acquire load of the consumer's mdfh_ring_look. */
	__atomic_store_n(&own->index, mdfh_ring_own(&own->index) + n, __ATOMIC_RELEASE);
}

static inline void mdfh_ring_release(struct mdfh_ring *ring, uint32_t n)
{
	struct mdfh_ring_side *own = ring->consumer;

	/* Pairs with the acquire load of the producer's mdfh_ring_look. */
	__atomic_store_n(&own->index, mdfh_ring_own(&own->index) + n, __ATOMIC_RELEASE);
}

/* Of count slots from index on, those up to want that lie before the end of the array. */
static inline uint32_t mdfh_ring_together(
    const struct mdfh_ring *ring, uint64_t index, uint64_t count, uint32_t want)
{
	uint64_t end = (uint64_t)ring->mask + 1 - (index & ring->mask);

	if (count > want)
		count = want;
	return (uint32_t)(count < end ? count : end);
}

static inline uint32_t mdfh_ring_reserve(struct mdfh_ring *ring, uint32_t want, void **slots)
{
	uint64_t room = mdfh_ring_free(ring, want);
	uint64_t index = mdfh_ring_own(&ring->producer->index);

	*slots = mdfh_ring_at(ring, index);
	if (want == 1)
		mdfh_ring_own_ahead(ring, index, room);
	return mdfh_ring_together(ring, index, room, want);
}

static inline uint32_t mdfh_ring_peek(struct mdfh_ring *ring, uint32_t want, const void **slots)
{
	uint64_t filled = mdfh_ring_filled(ring, want);
	uint64_t index = mdfh_ring_own(&ring->consumer->index);

	*slots = mdfh_ring_at(ring, index);
	return mdfh_ring_together(ring, index, filled, want);
}

static inline int mdfh_ring_push(struct mdfh_ring *ring, const void *slot)
{
	uint64_t room = mdfh_ring_free(ring, 1);
	uint64_t index = mdfh_ring_own(&ring->producer->index);

	if (!room)
		return 0;
	mdfh_ring_own_ahead(ring, index, room);
	mdfh_ring_copy(mdfh_ring_at(ring, index), slot, ring->slot_size);
	mdfh_ring_commit(ring, 1);
	return 1;
}

static inline int mdfh_ring_pop(struct mdfh_ring *ring, void *slot)
{
	if (!mdfh_ring_filled(ring, 1))
		return 0;
	mdfh_ring_copy(
	    slot, mdfh_ring_at(ring, mdfh_ring_own(&ring->consumer->index)), ring->slot_size);
	mdfh_ring_release(ring, 1);
	return 1;
}

static inline uint32_t mdfh_ring_push_batch(struct mdfh_ring *ring, const void *slots, uint32_t n)
{
	uint64_t room = mdfh_ring_free(ring, n);
	uint64_t index = mdfh_ring_own(&ring->producer->index);
	uint32_t first;

	if (n > room)
		n = (uint32_t)room;
	first = mdfh_ring_together(ring, index, n, n);
	memcpy(mdfh_ring_at(ring, index), slots, (size_t)first * ring->slot_size);
	memcpy(ring->slots, (const uint8_t *)slots + (size_t)first * ring->slot_size,
	    (size_t)(n - first) * ring->slot_size);
	mdfh_ring_commit(ring, n);
	return n;
}

static inline uint32_t mdfh_ring_pop_batch(struct mdfh_ring *ring, void *slots, uint32_t n)
{
	uint64_t filled = mdfh_ring_filled(ring, n);
	uint64_t index = mdfh_ring_own(&ring->consumer->index);
	uint32_t first;

	if (n > filled)
		n = (uint32_t)filled;
	first = mdfh_ring_together(ring, index, n, n);
	memcpy(slots, mdfh_ring_at(ring, index), (size_t)first * ring->slot_size);
	memcpy((uint8_t *)slots + (size_t)first * ring->slot_size, ring->slots,
	    (size_t)(n - first) * ring->slot_size);
	mdfh_ring_release(ring, n);
	return n;
}

MDFH_END_DECLS
#endif
