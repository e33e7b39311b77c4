/* depth.c - top levels of each instrument under a sequence lock.
 *
 * An entry is an array of 64-bit words, all atomic: the lock, then the copy. The writer makes the
 * lock odd, stores the words, makes it even. A reader takes the words between two loads of the
 * lock and keeps them if it was even and the same. Words are stored with release and loaded with
 * acquire, so that a reader that saw a new word also sees the odd lock before it: no fence is
 * needed, and on x86-64 these are plain moves. */
#include "mdfh/depth.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "mdfh/error.h"
#include "mdfh/memory.h"

enum {
	LEVELS_DEFAULT = 10,
	INSTRUMENTS_LIMIT = 16777217,
	TRIES = 1000,

	/* Words of an entry. */
	WORD_LOCK = 0,
	WORD_SEQUENCE,
	WORD_RECEIVE,
	WORD_UPDATES,
	WORD_STATE, /* is_sound | bids << 16 | asks << 32 */
	WORD_VOLUME,
	WORD_TRADES,
	WORD_BROKEN,
	WORD_LAST_PRICE,
	WORD_LAST_QUANTITY,
	WORD_LEVELS, /* bids, then asks, LEVEL_WORDS each */
	LEVEL_WORDS = 3,
};

#define MAGIC UINT64_C(0x3148545045444d01) /* changes with the layout */

struct header {
	uint64_t magic;
	uint32_t instruments;
	uint32_t levels;
	uint32_t entry_words; /* a multiple of a cache line */
	uint32_t reserved[11];
};

struct mdfh_depth {
	_Atomic uint64_t *words;
	uint32_t instruments;
	uint32_t levels;
	uint32_t entry_words;
	uint32_t reserved;
	struct mdfh_region region;
};

static_assert(sizeof(struct header) == MDFH_CACHE_LINE, "entries start on a line");

/* Setup --------------------------------------------------------------------------------------- */

static uint32_t entry_words(uint32_t levels)
{
	return (WORD_LEVELS + 2 * levels * LEVEL_WORDS + 7) & ~7u;
}

/* The sizes are kept here, where no other process can change them. */
static void take_over(struct mdfh_depth *depth, uint32_t instruments, uint32_t levels)
{
	depth->words =
	    (_Atomic uint64_t *)(void *)((uint8_t *)depth->region.base + sizeof(struct header));
	depth->instruments = instruments;
	depth->levels = levels;
	depth->entry_words = entry_words(levels);
}

int mdfh_depth_create(const struct mdfh_depth_config *config, struct mdfh_depth **result)
{
	struct mdfh_region_config region = {.size = sizeof(region)};
	struct mdfh_depth *depth;
	struct header *header;
	uint32_t levels;
	int err;

	*result = NULL;
	if (config->size != sizeof(*config))
		return mdfh_error(-EINVAL,
		    "depth: config.size is %zu; it must be sizeof(struct mdfh_depth_config) = %zu",
		    config->size, sizeof(*config));
	levels = config->levels ? config->levels : LEVELS_DEFAULT;
	if (levels > MDFH_DEPTH_LEVELS_MAX)
		return mdfh_error(-EINVAL, "depth: levels is %u; it must be from 1 to %d", levels,
		    MDFH_DEPTH_LEVELS_MAX);
	if (config->instruments < 1 || config->instruments > INSTRUMENTS_LIMIT)
		return mdfh_error(-EINVAL, "depth: instruments is %u; it must be from 1 to %d",
		    config->instruments, INSTRUMENTS_LIMIT);
	depth = calloc(1, sizeof(*depth));
	if (!depth)
		return mdfh_error(-ENOMEM, "depth: %zu bytes", sizeof(*depth));
	region.bytes =
	    sizeof(*header) + (size_t)config->instruments * entry_words(levels) * sizeof(uint64_t);
	region.hugepages = config->hugepages;
	region.numa_node = config->numa_node;
	region.shared_name = config->shared_name;
	err = mdfh_region_map(&region, &depth->region);
	if (err) {
		free(depth);
		return err;
	}
	header = depth->region.base;
	header->instruments = config->instruments;
	header->levels = levels;
	header->entry_words = entry_words(levels);
	/* Last, with release: who attaches and sees the magic sees the rest. */
	atomic_store_explicit(
	    (_Atomic uint64_t *)(void *)&header->magic, MAGIC, memory_order_release);
	take_over(depth, config->instruments, levels);
	*result = depth;
	return 0;
}

int mdfh_depth_attach(const char *shared_name, struct mdfh_depth **result)
{
	struct mdfh_depth *depth = calloc(1, sizeof(*depth));
	struct header *header, copy;
	int err;

	*result = NULL;
	if (!depth)
		return mdfh_error(-ENOMEM, "depth: %zu bytes", sizeof(*depth));
	err = mdfh_region_attach(shared_name, &depth->region);
	if (err)
		goto fail;
	header = depth->region.base;
	err = -EPROTO;
	if (depth->region.bytes < sizeof(*header) ||
	    atomic_load_explicit(
		(_Atomic uint64_t *)(void *)&header->magic, memory_order_acquire) != MAGIC) {
		mdfh_error(err, "depth: %s is no depth array of this version", shared_name);
		goto fail_unmap;
	}
	copy = *header;
	if (copy.levels < 1 || copy.levels > MDFH_DEPTH_LEVELS_MAX ||
	    copy.entry_words != entry_words(copy.levels) ||
	    (depth->region.bytes - sizeof(copy)) / (copy.entry_words * sizeof(uint64_t)) <
		copy.instruments) {
		mdfh_error(err, "depth: %s says %u instruments of %u levels and has %zu bytes",
		    shared_name, copy.instruments, copy.levels, depth->region.bytes);
		goto fail_unmap;
	}
	take_over(depth, copy.instruments, copy.levels);
	*result = depth;
	return 0;

fail_unmap:
	mdfh_region_unmap(&depth->region);
fail:
	free(depth);
	return err;
}

void mdfh_depth_destroy(struct mdfh_depth *depth)
{
	if (!depth)
		return;
	mdfh_region_unmap(&depth->region);
	free(depth);
}

uint32_t mdfh_depth_instruments(const struct mdfh_depth *depth)
{
	return depth->instruments;
}

uint32_t mdfh_depth_levels(const struct mdfh_depth *depth)
{
	return depth->levels;
}

/* Data path ----------------------------------------------------------------------------------- */

static void put(_Atomic uint64_t *entry, uint32_t word, uint64_t value)
{
	/* Pairs with the acquire load in get. */
	atomic_store_explicit(&entry[word], value, memory_order_release);
}

static uint64_t get(const _Atomic uint64_t *entry, uint32_t word)
{
	return atomic_load_explicit(&entry[word], memory_order_acquire);
}

static void put_levels(
    _Atomic uint64_t *entry, uint32_t word, const struct mdfh_level *levels, int count)
{
	for (int i = 0; i < count; i++, word += LEVEL_WORDS) {
		put(entry, word, (uint64_t)levels[i].price);
		put(entry, word + 1, levels[i].quantity);
		put(entry, word + 2, levels[i].orders);
	}
}

int mdfh_depth_publish(struct mdfh_depth *depth, const struct mdfh_books *books,
    uint32_t instrument, uint64_t sequence, int64_t receive_ns)
{
	struct mdfh_level bids[MDFH_DEPTH_LEVELS_MAX], asks[MDFH_DEPTH_LEVELS_MAX];
	struct mdfh_totals totals = {0};
	_Atomic uint64_t *entry;
	uint64_t lock;
	int bid_count, ask_count;

	if (instrument >= depth->instruments)
		return -ERANGE;
	/* Everything is looked up before readers are kept out. */
	bid_count = mdfh_book_levels(books, instrument, MDFH_SIDE_BUY, bids, (int)depth->levels);
	ask_count = mdfh_book_levels(books, instrument, MDFH_SIDE_SELL, asks, (int)depth->levels);
	mdfh_book_totals(books, instrument, &totals);

	entry = &depth->words[(size_t)instrument * depth->entry_words];
	lock = atomic_load_explicit(&entry[WORD_LOCK], memory_order_relaxed);
	atomic_store_explicit(&entry[WORD_LOCK], lock + 1, memory_order_relaxed);
	put(entry, WORD_SEQUENCE, sequence);
	put(entry, WORD_RECEIVE, (uint64_t)receive_ns);
	put(entry, WORD_UPDATES, lock / 2 + 1);
	put(entry, WORD_STATE,
	    (uint64_t)mdfh_book_is_sound(books, instrument) | (uint64_t)bid_count << 16 |
		(uint64_t)ask_count << 32);
	put(entry, WORD_VOLUME, totals.volume);
	put(entry, WORD_TRADES, totals.trades);
	put(entry, WORD_BROKEN, totals.broken);
	put(entry, WORD_LAST_PRICE, (uint64_t)totals.last_price);
	put(entry, WORD_LAST_QUANTITY, totals.last_quantity);
	put_levels(entry, WORD_LEVELS, bids, bid_count);
	put_levels(entry, WORD_LEVELS + depth->levels * LEVEL_WORDS, asks, ask_count);
	/* Release: pairs with the first load of the lock in mdfh_depth_read. */
	atomic_store_explicit(&entry[WORD_LOCK], lock + 2, memory_order_release);
	return 0;
}

static void get_levels(
    const _Atomic uint64_t *entry, uint32_t word, struct mdfh_depth_level *levels, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++, word += LEVEL_WORDS) {
		levels[i].price = (int64_t)get(entry, word);
		levels[i].quantity = get(entry, word + 1);
		levels[i].orders = get(entry, word + 2);
	}
}

int mdfh_depth_read(
    const struct mdfh_depth *depth, uint32_t instrument, struct mdfh_depth_view *view)
{
	const _Atomic uint64_t *entry;

	if (instrument >= depth->instruments)
		return -ERANGE;
	entry = &depth->words[(size_t)instrument * depth->entry_words];
	for (int i = 0; i < TRIES; i++) {
		uint64_t lock = get(entry, WORD_LOCK), state;

		if (lock & 1)
			continue;
		view->sequence = get(entry, WORD_SEQUENCE);
		view->receive_ns = (int64_t)get(entry, WORD_RECEIVE);
		view->updates = get(entry, WORD_UPDATES);
		state = get(entry, WORD_STATE);
		view->is_sound = state & 1;
		view->bids = (uint16_t)(state >> 16);
		view->asks = (uint16_t)(state >> 32);
		/* Whoever else may write into shared memory. */
		if (view->bids > depth->levels || view->asks > depth->levels)
			continue;
		view->totals.volume = get(entry, WORD_VOLUME);
		view->totals.trades = get(entry, WORD_TRADES);
		view->totals.broken = get(entry, WORD_BROKEN);
		view->totals.last_price = (int64_t)get(entry, WORD_LAST_PRICE);
		view->totals.last_quantity = get(entry, WORD_LAST_QUANTITY);
		get_levels(entry, WORD_LEVELS, view->bid, view->bids);
		get_levels(entry, WORD_LEVELS + depth->levels * LEVEL_WORDS, view->ask, view->asks);
		/* The words above were loaded with acquire: this load is after them. */
		if (atomic_load_explicit(&entry[WORD_LOCK], memory_order_relaxed) == lock)
			return lock != 0;
	}
	return -EAGAIN;
}
