/* test_ring.c - the ring as one thread sees it, between two processes, and attached to objects
 * that are not rings. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mdfh/error.h"
#include "mdfh/ring.h"

#define MS 1000000ull

static char name[64]; /* of this process, so that parallel runs do not meet */

static struct mdfh_ring *create(uint32_t slots, uint32_t slot_size, const char *shared_name)
{
	struct mdfh_ring_config config = {.size = sizeof(config),
	    .slots = slots,
	    .slot_size = slot_size,
	    .shared_name = shared_name};
	struct mdfh_ring *ring = NULL;

	if (mdfh_ring_create(&config, &ring))
		fail_msg("%s", mdfh_error_text());
	return ring;
}

/* A slot that holds number everywhere. */
static void fill(uint8_t *slot, uint32_t slot_size, uint64_t number)
{
	for (uint32_t at = 0; at < slot_size; at += 8)
		memcpy(slot + at, &number, 8);
}

static void assert_slot(const uint8_t *slot, uint32_t slot_size, uint64_t number)
{
	for (uint32_t at = 0; at < slot_size; at += 8)
		assert_memory_equal(slot + at, &number, 8);
}

/* Setup --------------------------------------------------------------- */

static void test_config(void **state)
{
	static const uint32_t bad_slots[] = {1, 3, 100, (1u << 26) + 1, 1u << 27, UINT32_MAX};
	static const uint32_t bad_sizes[] = {1, 4, 12, 65537, 65544, UINT32_MAX};
	struct mdfh_ring_config config = {.size = sizeof(config)};
	struct mdfh_ring *ring;

	(void)state;
	assert_int_equal(mdfh_ring_create(&config, &ring), 0);
	assert_int_equal(mdfh_ring_capacity(ring), 65536);
	assert_int_equal(ring->slot_size, 64);
	mdfh_ring_destroy(ring);
	mdfh_ring_destroy(NULL);

	for (size_t i = 0; i < sizeof(bad_slots) / sizeof(bad_slots[0]); i++) {
		config.slots = bad_slots[i];
		assert_int_equal(mdfh_ring_create(&config, &ring), -EINVAL);
		assert_non_null(strstr(mdfh_error_text(), "slots is"));
		assert_null(ring);
	}
	config.slots = 2;
	for (size_t i = 0; i < sizeof(bad_sizes) / sizeof(bad_sizes[0]); i++) {
		config.slot_size = bad_sizes[i];
		assert_int_equal(mdfh_ring_create(&config, &ring), -EINVAL);
		assert_non_null(strstr(mdfh_error_text(), "slot_size is"));
		assert_null(ring);
	}
	config.slots = 1u << 26;
	config.slot_size = 65536;
	assert_int_equal(mdfh_ring_create(&config, &ring), -ENOMEM);
	config.size = 1;
	assert_int_equal(mdfh_ring_create(&config, &ring), -EINVAL);
	assert_int_equal(mdfh_ring_create(NULL, &ring), -EINVAL);
}

/* Slots start on a cache line, or a slot of 64 bytes would lie on two. */
static void test_layout(void **state)
{
	struct mdfh_ring *ring = create(2, 8, NULL);

	(void)state;
	assert_int_equal((uintptr_t)ring->slots % MDFH_RING_PAIR, 0);
	assert_int_equal((uintptr_t)ring->producer % MDFH_RING_PAIR, 0);
	assert_int_equal((uintptr_t)ring->consumer % MDFH_RING_PAIR, 0);
	mdfh_ring_destroy(ring);
}

/* One thread ---------------------------------------------------------- */

/* Full, empty and wrapped at every offset, in every slot size class. */
static void test_single(void **state)
{
	static const uint32_t sizes[] = {8, 24, 32, 64, 128, 1000};

	(void)state;
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct mdfh_ring *ring = create(8, sizes[s], NULL);
		uint8_t slot[1000];
		uint64_t in = 0, out = 0;

		for (uint64_t round = 0; round < 50; round++) {
			assert_int_equal(mdfh_ring_pop(ring, slot), 0);
			for (int i = 0; i < 8; i++) {
				assert_int_equal(mdfh_ring_used(ring), i);
				fill(slot, sizes[s], in++);
				assert_int_equal(mdfh_ring_push(ring, slot), 1);
			}
			assert_int_equal(mdfh_ring_push(ring, slot), 0);
			assert_int_equal(mdfh_ring_used(ring), 8);
			/* Leave the ring at another offset each round. */
			for (uint64_t i = 0; i < 8; i++) {
				assert_int_equal(mdfh_ring_pop(ring, slot), 1);
				assert_slot(slot, sizes[s], out++);
			}
			fill(slot, sizes[s], in++);
			assert_int_equal(mdfh_ring_push(ring, slot), 1);
			assert_int_equal(mdfh_ring_pop(ring, slot), 1);
			assert_slot(slot, sizes[s], out++);
		}
		mdfh_ring_destroy(ring);
	}
}

/* Batches of every size from every offset, larger than the ring too. */
static void test_batches(void **state)
{
	enum { SLOTS = 16, SIZE = 32 };
	struct mdfh_ring *ring = create(SLOTS, SIZE, NULL);
	uint8_t batch[2 * SLOTS * SIZE];
	uint64_t in = 0, out = 0;

	(void)state;
	for (uint32_t offset = 0; offset < SLOTS; offset++) {
		for (uint32_t n = 0; n <= 2 * SLOTS; n++) {
			uint32_t want = n < SLOTS ? n : SLOTS;

			for (uint32_t i = 0; i < n; i++)
				fill(batch + (size_t)i * SIZE, SIZE, in + i);
			assert_int_equal(mdfh_ring_push_batch(ring, batch, n), want);
			in += want;
			assert_int_equal(mdfh_ring_used(ring), want);
			memset(batch, 0xee, sizeof(batch));
			assert_int_equal(mdfh_ring_pop_batch(ring, batch, n), want);
			for (uint32_t i = 0; i < want; i++)
				assert_slot(batch + (size_t)i * SIZE, SIZE, out++);
			if (want < 2 * SLOTS)
				assert_int_equal(batch[(size_t)want * SIZE], 0xee);
		}
		fill(batch, SIZE, in++);
		assert_int_equal(mdfh_ring_push(ring, batch), 1);
		assert_int_equal(mdfh_ring_pop(ring, batch), 1);
		assert_slot(batch, SIZE, out++);
	}
	/* Room for a part only. */
	assert_int_equal(mdfh_ring_push_batch(ring, batch, 10), 10);
	assert_int_equal(mdfh_ring_push_batch(ring, batch, 10), 6);
	assert_int_equal(mdfh_ring_pop_batch(ring, batch, 10), 10);
	assert_int_equal(mdfh_ring_pop_batch(ring, batch, 10), 6);
	mdfh_ring_destroy(ring);
}

static void test_reserve_and_peek(void **state)
{
	enum { SLOTS = 8, SIZE = 64 };
	struct mdfh_ring *ring = create(SLOTS, SIZE, NULL);
	const void *filled;
	void *slots;

	(void)state;
	assert_int_equal(mdfh_ring_peek(ring, 4, &filled), 0);
	assert_int_equal(mdfh_ring_reserve(ring, 100, &slots), SLOTS);
	for (uint64_t i = 0; i < 6; i++)
		fill((uint8_t *)slots + i * SIZE, SIZE, i);
	/* Reserved is not published, and may be reserved anew. */
	assert_int_equal(mdfh_ring_used(ring), 0);
	assert_int_equal(mdfh_ring_peek(ring, 4, &filled), 0);
	assert_int_equal(mdfh_ring_reserve(ring, 6, &slots), 6);
	mdfh_ring_commit(ring, 0);
	assert_int_equal(mdfh_ring_used(ring), 0);
	mdfh_ring_commit(ring, 6);
	assert_int_equal(mdfh_ring_used(ring), 6);

	assert_int_equal(mdfh_ring_peek(ring, 4, &filled), 4);
	assert_slot(filled, SIZE, 0);
	mdfh_ring_release(ring, 1);
	assert_int_equal(mdfh_ring_peek(ring, 100, &filled), 5);
	assert_slot(filled, SIZE, 1);
	mdfh_ring_release(ring, 3);

	/* Index 6: two up to the end of the array, then four at its start. */
	assert_int_equal(mdfh_ring_reserve(ring, 8, &slots), 2);
	fill(slots, SIZE, 6);
	fill((uint8_t *)slots + SIZE, SIZE, 7);
	mdfh_ring_commit(ring, 2);
	assert_int_equal(mdfh_ring_reserve(ring, 8, &slots), 4);
	assert_ptr_equal(slots, ring->slots);
	fill(slots, SIZE, 8);
	mdfh_ring_commit(ring, 1);
	assert_int_equal(mdfh_ring_peek(ring, 8, &filled), 4);
	for (uint64_t i = 0; i < 4; i++)
		assert_slot((const uint8_t *)filled + i * SIZE, SIZE, 4 + i);
	mdfh_ring_release(ring, 4);
	assert_int_equal(mdfh_ring_peek(ring, 8, &filled), 1);
	assert_slot(filled, SIZE, 8);
	mdfh_ring_release(ring, 1);
	assert_int_equal(mdfh_ring_peek(ring, 8, &filled), 0);
	mdfh_ring_destroy(ring);
}

static void test_high_water(void **state)
{
	struct mdfh_ring *ring = create(64, 8, NULL);
	uint64_t slot = 0, out[64];

	(void)state;
	assert_int_equal(mdfh_ring_high_water(ring), 0);
	for (int i = 0; i < 10; i++)
		mdfh_ring_push(ring, &slot);
	assert_int_equal(mdfh_ring_high_water(ring), 10);
	while (mdfh_ring_pop(ring, &slot))
		;
	/* The consumer saw these ten at its first look, and keeps the figure. */
	assert_int_equal(mdfh_ring_used(ring), 0);
	assert_int_equal(mdfh_ring_high_water(ring), 10);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(mdfh_ring_push(ring, &slot), 1);
		assert_int_equal(mdfh_ring_pop(ring, &slot), 1);
	}
	assert_int_equal(mdfh_ring_high_water(ring), 10);
	while (mdfh_ring_push(ring, &slot))
		;
	mdfh_ring_pop_batch(ring, out, 64);
	assert_int_equal(mdfh_ring_high_water(ring), 64);
	mdfh_ring_destroy(ring);
}

/* The bound in the header: what is reported, and at most twice that. */
static void test_high_water_bound(void **state)
{
	struct mdfh_ring *ring = create(1024, 8, NULL);
	uint64_t random = 12345, slot, peak = 0;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		for (uint64_t i = 0; i < (random >> 33) % 40; i++)
			mdfh_ring_push(ring, &random);
		if (mdfh_ring_used(ring) > peak)
			peak = mdfh_ring_used(ring);
		for (uint64_t i = 0; i < (random >> 40) % 41; i++)
			mdfh_ring_pop(ring, &slot);
		assert_true(mdfh_ring_high_water(ring) <= peak);
		assert_true(2 * (uint64_t)mdfh_ring_high_water(ring) >= peak);
	}
	assert_true(peak > 40);
	mdfh_ring_destroy(ring);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void test_wait_times_out(void **state)
{
	struct mdfh_ring *ring = create(2, 8, NULL);
	uint64_t slot = 5, start;

	(void)state;
	assert_int_equal(mdfh_ring_pop_wait(ring, &slot, 0), 0);
	start = now_ns();
	assert_int_equal(mdfh_ring_pop_wait(ring, &slot, 3 * MS), 0);
	assert_true(now_ns() - start >= 3 * MS);
	assert_int_equal(slot, 5);
	assert_int_equal(mdfh_ring_push_wait(ring, &slot, 0), 1);
	assert_int_equal(mdfh_ring_push_wait(ring, &slot, UINT64_MAX), 1);
	assert_int_equal(mdfh_ring_push_wait(ring, &slot, 0), 0);
	start = now_ns();
	assert_int_equal(mdfh_ring_push_wait(ring, &slot, 3 * MS), 0);
	assert_true(now_ns() - start >= 3 * MS);
	assert_int_equal(mdfh_ring_pop_wait(ring, &slot, UINT64_MAX), 1);
	mdfh_ring_destroy(ring);
}

/* Two processes ------------------------------------------------------- */

enum { PROCESS_ITEMS = 300000, WAIT_S = 60 };

static int produce(const char *shared_name)
{
	struct mdfh_ring *ring;
	uint64_t slot[8];

	if (mdfh_ring_attach(shared_name, &ring))
		return 1;
	for (uint64_t i = 0; i < PROCESS_ITEMS; i++) {
		fill((uint8_t *)slot, sizeof(slot), i);
		if (!mdfh_ring_push_wait(ring, slot, WAIT_S * 1000000000ull))
			return 2;
	}
	mdfh_ring_destroy(ring);
	return 0;
}

static void test_two_processes(void **state)
{
	struct mdfh_ring *ring = create(256, 64, name);
	uint64_t slot[8];
	pid_t child = fork();
	int status;

	(void)state;
	assert_true(child >= 0);
	if (!child)
		_exit(produce(name));
	for (uint64_t i = 0; i < PROCESS_ITEMS; i++) {
		if (!mdfh_ring_pop_wait(ring, slot, WAIT_S * 1000000000ull))
			fail_msg("item %llu has not come", (unsigned long long)i);
		if (slot[0] != i || slot[7] != i)
			fail_msg("item %llu is %llu", (unsigned long long)i,
			    (unsigned long long)slot[0]);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(mdfh_ring_used(ring), 0);
	mdfh_ring_destroy(ring);
	assert_int_equal(mdfh_ring_attach(name, &ring), -ENOENT);
}

/* What is in the ring outlives the one who attached; the next one goes on where it ended. */
static void test_reattach(void **state)
{
	struct mdfh_ring *ring = create(8, 8, name), *other;
	uint64_t slot;

	(void)state;
	for (slot = 0; slot < 5; slot++)
		assert_int_equal(mdfh_ring_push(ring, &slot), 1);
	for (uint64_t i = 0; i < 5; i++) {
		assert_int_equal(mdfh_ring_attach(name, &other), 0);
		assert_int_equal(mdfh_ring_capacity(other), 8);
		assert_int_equal(mdfh_ring_pop(other, &slot), 1);
		assert_int_equal(slot, i);
		mdfh_ring_destroy(other);
	}
	mdfh_ring_destroy(ring);
}

/* Hostile objects ----------------------------------------------------- */

static void assert_refused(const char *word)
{
	struct mdfh_ring *ring;

	assert_int_equal(mdfh_ring_attach(name, &ring), -EPROTO);
	assert_null(ring);
	if (!strstr(mdfh_error_text(), word))
		fail_msg("'%s' says nothing of '%s'", mdfh_error_text(), word);
}

static void test_attach_refuses(void **state)
{
	static const uint32_t bad_slots[] = {0, 1, 3, 16, 1u << 25, 1u << 31, UINT32_MAX};
	static const uint32_t bad_sizes[] = {0, 4, 65, 128, 65536, UINT32_MAX};
	struct mdfh_ring *ring = create(8, 64, name), *other;
	struct mdfh_ring_shared *shared = ring->region.base;
	struct mdfh_ring_shared good;
	uint8_t *bytes = ring->region.base;

	(void)state;
	memcpy(&good, shared, sizeof(good));
	shared->magic ^= 1;
	assert_refused("not a ring");
	memcpy(shared, &good, sizeof(good));
	shared->version++;
	assert_refused("version 2");
	memcpy(shared, &good, sizeof(good));
	for (size_t i = 0; i < sizeof(bad_slots) / sizeof(bad_slots[0]); i++) {
		shared->slots = bad_slots[i];
		assert_refused("damaged");
		/* With a size that fits the lie, the object is too small for it. */
		shared->bytes = sizeof(good) + (uint64_t)bad_slots[i] * 64;
		if (bad_slots[i] == 1u << 25)
			assert_refused("cut");
		memcpy(shared, &good, sizeof(good));
	}
	for (size_t i = 0; i < sizeof(bad_sizes) / sizeof(bad_sizes[0]); i++) {
		shared->slot_size = bad_sizes[i];
		assert_refused("damaged");
		memcpy(shared, &good, sizeof(good));
	}
	shared->slots_offset = UINT32_MAX;
	assert_refused("damaged");
	memcpy(shared, &good, sizeof(good));

	/* Each bit of the header's first line flipped: refused, or the same ring. */
	for (size_t bit = 0; bit < 512; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (!mdfh_ring_attach(name, &other)) {
			assert_int_equal(mdfh_ring_capacity(other), 8);
			assert_int_equal(other->slot_size, 64);
			mdfh_ring_destroy(other);
		}
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	mdfh_ring_destroy(ring);
}

static void test_attach_to_a_cut_one(void **state)
{
	struct mdfh_ring *ring = create(1024, 64, name);
	struct mdfh_ring_shared good;
	int fd = shm_open(name, O_RDWR, 0);

	(void)state;
	memcpy(&good, ring->region.base, sizeof(good));
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_refused("cut");
	assert_int_equal(ftruncate(fd, 100), 0);
	assert_refused("fewer than");
	close(fd);
	mdfh_ring_destroy(ring);
}

/* A peer that writes nonsense into its index: counts stay within the ring, and so do the slots
 * that are handed out. */
static void test_hostile_indices(void **state)
{
	static const uint64_t nonsense[] = {9, 1000, UINT64_MAX, 1ull << 63, UINT64_MAX - 8};
	struct mdfh_ring *ring = create(8, 64, name), *other;
	uint8_t slots[32 * 64]; /* four times what the ring has */
	const void *filled;
	void *room;

	(void)state;
	assert_int_equal(mdfh_ring_attach(name, &other), 0);
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		uint32_t n;

		ring->producer->index = ring->consumer->index + nonsense[i];
		assert_true(mdfh_ring_used(other) <= 8);
		n = mdfh_ring_peek(other, 32, &filled);
		assert_true(n <= 8);
		assert_true((const uint8_t *)filled >= other->slots);
		assert_true(
		    (const uint8_t *)filled + (size_t)n * 64 <= other->slots + sizeof(slots) / 4);
		assert_true(mdfh_ring_pop_batch(other, slots, 32) <= 8);
		assert_in_range(mdfh_ring_pop(other, slots), 0, 1);

		ring->consumer->index = ring->producer->index + nonsense[i];
		n = mdfh_ring_reserve(other, 32, &room);
		assert_true(n <= 8);
		assert_true((uint8_t *)room >= other->slots);
		assert_true((uint8_t *)room + (size_t)n * 64 <= other->slots + sizeof(slots) / 4);
		assert_true(mdfh_ring_push_batch(other, slots, 32) <= 8);
		assert_in_range(mdfh_ring_push(other, slots), 0, 1);
		assert_true(mdfh_ring_high_water(other) <= 8);

		/* The copies and the counts too belong to what the peer can write. */
		ring->producer->peer = nonsense[i];
		ring->consumer->peer = nonsense[i];
		ring->producer->high_water = nonsense[i];
		assert_true(mdfh_ring_reserve(other, 32, &room) <= 8);
		assert_true(mdfh_ring_peek(other, 32, &filled) <= 8);
		assert_true(mdfh_ring_push_batch(other, slots, 32) <= 8);
		assert_true(mdfh_ring_pop_batch(other, slots, 32) <= 8);
		assert_true(mdfh_ring_high_water(other) <= 8);
	}
	mdfh_ring_destroy(other);
	mdfh_ring_destroy(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_config),
	    cmocka_unit_test(test_layout),
	    cmocka_unit_test(test_single),
	    cmocka_unit_test(test_batches),
	    cmocka_unit_test(test_reserve_and_peek),
	    cmocka_unit_test(test_high_water),
	    cmocka_unit_test(test_high_water_bound),
	    cmocka_unit_test(test_wait_times_out),
	    cmocka_unit_test(test_two_processes),
	    cmocka_unit_test(test_reattach),
	    cmocka_unit_test(test_attach_refuses),
	    cmocka_unit_test(test_attach_to_a_cut_one),
	    cmocka_unit_test(test_hostile_indices),
	};

	snprintf(name, sizeof(name), "/mdfh-test-ring-%d", (int)getpid());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
