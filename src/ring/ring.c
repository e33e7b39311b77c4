/* ring.c - making, attaching and waiting; the data path is inline in mdfh/ring.h. */
#include "mdfh/ring.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "mdfh/error.h"

#define RING_MAGIC 0x676e697268666d00u /* "\0mfhring" in memory, little-endian */

enum {
	RING_VERSION = 1,
	SLOTS_DEFAULT = 65536,
	SLOTS_MAX = 1 << 26,
	SLOT_SIZE_DEFAULT = 64,
	SLOT_SIZE_MAX = 65536,
	/* Waiting: how often before the next, costlier way. */
	SPINS = 2000,
	YIELDS = 100,
	SLEEP_NS = 50 * 1000,
};

/* Setup --------------------------------------------------------------- */

static int is_slots(uint32_t slots)
{
	return slots >= 2 && slots <= SLOTS_MAX && !(slots & (slots - 1));
}

static int is_slot_size(uint32_t size)
{
	return size >= 8 && size <= SLOT_SIZE_MAX && size % 8 == 0;
}

static size_t ring_bytes(uint32_t slots, uint32_t slot_size)
{
	return sizeof(struct mdfh_ring_shared) + (size_t)slots * slot_size;
}

static void fill_handle(struct mdfh_ring *ring, uint32_t slots, uint32_t slot_size)
{
	struct mdfh_ring_shared *shared = ring->region.base;

	ring->producer = &shared->producer;
	ring->consumer = &shared->consumer;
	ring->slots = (uint8_t *)(shared + 1);
	ring->mask = slots - 1;
	ring->slot_size = slot_size;
}

int mdfh_ring_create(const struct mdfh_ring_config *config, struct mdfh_ring **ring)
{
	struct mdfh_region_config memory = {.size = sizeof(memory)};
	struct mdfh_ring_shared *shared;
	struct mdfh_ring *made;
	uint32_t slots, slot_size;
	int err;

	*ring = NULL;
	if (!config || config->size != sizeof(*config))
		return mdfh_error(-EINVAL, "ring: size is %zu; it must be %zu",
		    config ? config->size : 0, sizeof(*config));
	slots = config->slots ? config->slots : SLOTS_DEFAULT;
	slot_size = config->slot_size ? config->slot_size : SLOT_SIZE_DEFAULT;
	if (!is_slots(slots))
		return mdfh_error(-EINVAL,
		    "ring: slots is %u; it must be a power of two from 2 to %d", slots, SLOTS_MAX);
	if (!is_slot_size(slot_size))
		return mdfh_error(-EINVAL,
		    "ring: slot_size is %u; it must be a multiple of 8 from 8 to %d", slot_size,
		    SLOT_SIZE_MAX);

	made = calloc(1, sizeof(*made));
	if (!made)
		return mdfh_error(-ENOMEM, "ring: no memory for %zu bytes", sizeof(*made));
	memory.bytes = ring_bytes(slots, slot_size);
	memory.hugepages = config->hugepages;
	memory.numa_node = config->numa_node;
	memory.shared_name = config->shared_name;
	err = mdfh_region_map(&memory, &made->region);
	if (err)
		goto fail_free;

	shared = made->region.base;
	shared->version = RING_VERSION;
	shared->slots = slots;
	shared->slot_size = slot_size;
	shared->slots_offset = sizeof(*shared);
	shared->bytes = memory.bytes;
	/* Pairs with the acquire load of mdfh_ring_attach: what stands above is complete. */
	__atomic_store_n(&shared->magic, RING_MAGIC, __ATOMIC_RELEASE);
	fill_handle(made, slots, slot_size);
	*ring = made;
	return 0;

fail_free:
	free(made);
	return err;
}

/* Everything that a later access relies on; the shared words are read once. */
static int check_shared(const char *name, struct mdfh_ring *ring)
{
	const struct mdfh_ring_shared *shared = ring->region.base;
	uint32_t slots, slot_size, version;

	if (ring->region.bytes < sizeof(*shared))
		return mdfh_error(-EPROTO, "ring: %s has %zu bytes, fewer than a ring's header",
		    name, ring->region.bytes);
	/* Pairs with the release store of mdfh_ring_create. */
	if (__atomic_load_n(&shared->magic, __ATOMIC_ACQUIRE) != RING_MAGIC)
		return mdfh_error(-EPROTO, "ring: %s is not a ring, or not complete yet", name);
	version = __atomic_load_n(&shared->version, __ATOMIC_RELAXED);
	slots = __atomic_load_n(&shared->slots, __ATOMIC_RELAXED);
	slot_size = __atomic_load_n(&shared->slot_size, __ATOMIC_RELAXED);
	if (version != RING_VERSION)
		return mdfh_error(-EPROTO,
		    "ring: %s is of version %u, this library knows %d; use the same mdfh on both "
		    "sides",
		    name, version, RING_VERSION);
	if (!is_slots(slots) || !is_slot_size(slot_size) ||
	    __atomic_load_n(&shared->slots_offset, __ATOMIC_RELAXED) != sizeof(*shared) ||
	    __atomic_load_n(&shared->bytes, __ATOMIC_RELAXED) != ring_bytes(slots, slot_size))
		return mdfh_error(-EPROTO,
		    "ring: %s is damaged: %u slots of %u bytes in %zu bytes of memory", name, slots,
		    slot_size, ring->region.bytes);
	if (ring_bytes(slots, slot_size) > ring->region.bytes)
		return mdfh_error(-EPROTO, "ring: %s is cut: %zu bytes of %zu", name,
		    ring->region.bytes, ring_bytes(slots, slot_size));
	fill_handle(ring, slots, slot_size);
	return 0;
}

int mdfh_ring_attach(const char *shared_name, struct mdfh_ring **ring)
{
	struct mdfh_ring *made;
	int err;

	*ring = NULL;
	made = calloc(1, sizeof(*made));
	if (!made)
		return mdfh_error(-ENOMEM, "ring: no memory for %zu bytes", sizeof(*made));
	err = mdfh_region_attach(shared_name, &made->region);
	if (err)
		goto fail_free;
	err = check_shared(shared_name, made);
	if (err)
		goto fail_unmap;
	*ring = made;
	return 0;

fail_unmap:
	mdfh_region_unmap(&made->region);
fail_free:
	free(made);
	return err;
}

void mdfh_ring_destroy(struct mdfh_ring *ring)
{
	if (!ring)
		return;
	mdfh_region_unmap(&ring->region);
	free(ring);
}

/* Waiting ------------------------------------------------------------- */

static uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* One step of waiting. Returns 0 when the time is up. */
static int wait_step(uint32_t *step, uint64_t start_ns, uint64_t timeout_ns)
{
	uint64_t waited_ns;
	struct timespec sleep = {.tv_nsec = SLEEP_NS};

	/* The clock is not read while spinning. */
	if (++*step < SPINS) {
		relax();
		return 1;
	}
	waited_ns = monotonic_ns() - start_ns;
	if (waited_ns >= timeout_ns)
		return 0;
	if (*step < SPINS + YIELDS) {
		sched_yield();
		return 1;
	}
	if (timeout_ns - waited_ns < SLEEP_NS)
		sleep.tv_nsec = (long)(timeout_ns - waited_ns);
	nanosleep(&sleep, NULL);
	*step = SPINS + YIELDS; /* no further count, no overflow */
	return 1;
}

int mdfh_ring_push_wait(struct mdfh_ring *ring, const void *slot, uint64_t timeout_ns)
{
	uint64_t start_ns;
	uint32_t step = 0;

	if (mdfh_ring_push(ring, slot))
		return 1;
	start_ns = monotonic_ns();
	while (wait_step(&step, start_ns, timeout_ns)) {
		if (mdfh_ring_push(ring, slot))
			return 1;
	}
	return 0;
}

int mdfh_ring_pop_wait(struct mdfh_ring *ring, void *slot, uint64_t timeout_ns)
{
	uint64_t start_ns;
	uint32_t step = 0;

	if (mdfh_ring_pop(ring, slot))
		return 1;
	start_ns = monotonic_ns();
	while (wait_step(&step, start_ns, timeout_ns)) {
		if (mdfh_ring_pop(ring, slot))
			return 1;
	}
	return 0;
}

/* Figures ------------------------------------------------------------- */

uint32_t mdfh_ring_capacity(const struct mdfh_ring *ring)
{
	return ring->mask + 1;
}

uint32_t mdfh_ring_used(const struct mdfh_ring *ring)
{
	/* The consumer's index first: the difference is then never below zero, and at most too
	 * large by what the consumer took in between. */
	uint64_t tail = __atomic_load_n(&ring->consumer->index, __ATOMIC_ACQUIRE);
	uint64_t used = __atomic_load_n(&ring->producer->index, __ATOMIC_ACQUIRE) - tail;
	uint64_t slots = (uint64_t)ring->mask + 1;

	return (uint32_t)(used < slots ? used : slots);
}

uint32_t mdfh_ring_high_water(const struct mdfh_ring *ring)
{
	uint64_t most = mdfh_ring_used(ring);
	uint64_t slots = (uint64_t)ring->mask + 1;
	uint64_t seen;

	seen = __atomic_load_n(&ring->producer->high_water, __ATOMIC_RELAXED);
	most = seen > most ? seen : most;
	seen = __atomic_load_n(&ring->consumer->high_water, __ATOMIC_RELAXED);
	most = seen > most ? seen : most;
	return (uint32_t)(most < slots ? most : slots);
}
