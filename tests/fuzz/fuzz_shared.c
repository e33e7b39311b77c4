/* fuzz_shared.c - any bytes as the shared memory that another process calls a ring, a depth array or
 * an instrument table: attach refuses it or everything that is then done stays inside it.
 *
 * The region is plain memory of its exact size here. First byte: which of them, and whether it
 * begins as create leaves it; second: the shape of that; third and fourth: size. The rest is
 * stores: a position (16 bits) in words of four bytes, and the word. */
#include "fuzz.h"

#include <errno.h>

#include "core/bytes.h"
#include "mdfh/depth.h"
#include "mdfh/instrument.h"
#include "mdfh/memory.h"
#include "mdfh/ring.h"

enum { BYTES_MAX = 8192 };

static uint8_t memory[BYTES_MAX];
static size_t memory_bytes;
static const void *last_map;
static size_t last_bytes;

/* In place of memory.c. --------------------------------------------------------- */

int mdfh_region_map(const struct mdfh_region_config *config, struct mdfh_region *region)
{
	memset(region, 0, sizeof(*region));
	region->bytes = config->bytes;
	region->base = malloc(config->bytes + !config->bytes);
	REQUIRE(region->base);
	memset(region->base, 0, config->bytes);
	last_map = region->base;
	last_bytes = config->bytes;
	return 0;
}

int mdfh_region_attach(const char *name, struct mdfh_region *region)
{
	struct mdfh_region_config config = {.bytes = memory_bytes};

	(void)name;
	mdfh_region_map(&config, region);
	memcpy(region->base, memory, memory_bytes);
	return 0;
}

void mdfh_region_unmap(struct mdfh_region *region)
{
	free(region->base);
}

/* --------------------------------------------------------------------------------- */

static void use_ring(uint32_t fill)
{
	static uint8_t slots[4 * 65536];
	struct mdfh_ring *ring;
	const void *seen;
	void *free_slots;
	uint32_t n, capacity;
	int err = mdfh_ring_attach("/fuzz", &ring);

	if (err) {
		REQUIRE(err == -EPROTO && !ring);
		return;
	}
	capacity = mdfh_ring_capacity(ring);
	REQUIRE(
	    sizeof(struct mdfh_ring_shared) + (size_t)capacity * ring->slot_size <= memory_bytes);
	REQUIRE(mdfh_ring_used(ring) <= capacity && mdfh_ring_high_water(ring) <= capacity);
	for (uint32_t i = 0; i < 6; i++) {
		uint32_t want = 1 + (fill >> 2 * i & 3);

		n = mdfh_ring_peek(ring, want, &seen);
		REQUIRE(n <= want && n <= capacity);
		memcpy(slots, seen, (size_t)n * ring->slot_size);
		mdfh_ring_release(ring, n);
		REQUIRE(mdfh_ring_pop_batch(ring, slots, want) <= want);
		mdfh_ring_pop(ring, slots);
		n = mdfh_ring_reserve(ring, want, &free_slots);
		REQUIRE(n <= want && n <= capacity);
		memset(free_slots, 1, (size_t)n * ring->slot_size);
		mdfh_ring_commit(ring, n);
		REQUIRE(mdfh_ring_push_batch(ring, slots, want) <= want);
		mdfh_ring_push(ring, slots);
		REQUIRE(mdfh_ring_used(ring) <= capacity);
	}
	mdfh_ring_destroy(ring);
}

static void use_depth(uint32_t instrument)
{
	struct mdfh_depth_view view;
	struct mdfh_depth *depth;
	uint32_t rows;
	int err = mdfh_depth_attach("/fuzz", &depth);

	if (err) {
		REQUIRE(err == -EPROTO && !depth);
		return;
	}
	rows = mdfh_depth_instruments(depth);
	REQUIRE(mdfh_depth_levels(depth) >= 1);
	REQUIRE(mdfh_depth_levels(depth) <= MDFH_DEPTH_LEVELS_MAX);
	REQUIRE(mdfh_depth_read(depth, rows, &view) == -ERANGE);
	for (uint32_t i = 0; i < 4 && i < rows; i++) {
		err = mdfh_depth_read(depth, i < 3 ? i : instrument % rows, &view);
		REQUIRE(err == 0 || err == 1 || err == -EAGAIN);
		if (err == 1)
			REQUIRE(view.bids <= mdfh_depth_levels(depth) &&
				view.asks <= mdfh_depth_levels(depth));
	}
	if (rows)
		REQUIRE(mdfh_depth_read(depth, rows - 1, &view) != -ERANGE);
	mdfh_depth_destroy(depth);
}

static void use_instruments(uint32_t id)
{
	struct mdfh_instruments *table;
	uint32_t capacity, count, row;
	int err = mdfh_instruments_attach("/fuzz", &table);

	if (err) {
		REQUIRE(err == -EPROTO && !table);
		return;
	}
	capacity = mdfh_instruments_capacity(table);
	count = mdfh_instruments_count(table);
	REQUIRE(capacity * sizeof(struct mdfh_instrument) < memory_bytes && count <= capacity + 1);
	row = mdfh_instruments_find(table, 0, id & 3);
	REQUIRE(row <= capacity);
	row = mdfh_instruments_find_symbol(table, "AAPL");
	REQUIRE(row <= capacity);
	if (row)
		REQUIRE(!memcmp(mdfh_instruments_get(table, row)->symbol, "AAPL", 5));
	mdfh_instruments_destroy(table);
}

static size_t make_instruments(uint8_t shape)
{
	struct mdfh_instruments *table;

	REQUIRE(!mdfh_instruments_create_shared(1 + (shape & 15), "/fuzz", &table));
	for (uint32_t id = 0; id < (shape >> 4 & 3u); id++)
		mdfh_instruments_set_symbol(
		    table, mdfh_instruments_row(table, 0, id), id & 1 ? "AAPL" : "MSFT", 4);
	REQUIRE(last_bytes <= BYTES_MAX);
	memcpy(memory, last_map, last_bytes);
	mdfh_instruments_destroy(table);
	return last_bytes;
}

/* What create leaves in memory; returns its bytes. */
static size_t make_sound(int is_depth, uint8_t shape)
{
	struct mdfh_depth_config array = {
	    .size = sizeof(array), .instruments = 1 + (shape & 3), .levels = 1 + (shape >> 4 & 3)};
	struct mdfh_ring_config config = {
	    .size = sizeof(config), .slots = 2u << (shape & 3), .slot_size = 8 + (shape & 0x38u)};
	struct mdfh_depth *depth = NULL;
	struct mdfh_ring *ring = NULL;
	size_t bytes;

	if (is_depth)
		REQUIRE(!mdfh_depth_create(&array, &depth));
	else
		REQUIRE(!mdfh_ring_create(&config, &ring));
	bytes = last_bytes;
	REQUIRE(bytes <= BYTES_MAX);
	memcpy(memory, last_map, bytes);
	mdfh_depth_destroy(depth);
	mdfh_ring_destroy(ring);
	return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t choice;

	if (size < 4)
		return 0;
	choice = mdfh_load_be32(data);
	memset(memory, 0, sizeof(memory));
	memory_bytes = mdfh_load_be16(data + 2) % (BYTES_MAX + 1);
	if (data[0] & 2) {
		size_t bytes =
		    data[0] & 8 ? make_instruments(data[1]) : make_sound(data[0] & 1, data[1]);

		/* Of its own size, or cut or longer. */
		if (data[0] & 4)
			memory_bytes = bytes;
	}
	for (data += 4, size -= 4; size >= 6; data += 6, size -= 6) {
		size_t at = 4 * (size_t)(mdfh_load_le16(data) % (BYTES_MAX / 4));

		memcpy(memory + at, data + 2, 4);
	}
	if (choice >> 24 & 8)
		use_instruments(choice);
	else if (choice >> 24 & 1)
		use_depth(choice);
	else
		use_ring(choice);
	return 0;
}
