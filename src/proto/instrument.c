/* instrument.c - the table of instruments: rows and two chained hash indices in one block.
 *
 * Rows never move and links are row numbers, so the block means the same at any address. A row
 * is filled in before the store that publishes it; a reader that sees the number sees the row.
 * Chains instead of open addressing, because a row's symbol may become known later or change,
 * and leaving a chain needs no tombstone. */
#include "proto/instrument.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "mdfh/error.h"
#include "mdfh/memory.h"

enum { CAPACITY_MAX = 16777216 };

#define MAGIC UINT64_C(0x54534e494844464d) /* changes with the layout */

/* The block: this, the rows (capacity + 1), next row with the same id hash, next row with the same
 * symbol hash (capacity + 1 each), then the heads of both kinds of chain (buckets each). 0 ends a
 * chain. */
struct block {
	_Atomic uint64_t magic; /* stored last, with release: who sees it sees the rest */
	uint32_t capacity;      /* rows that can be appended; row 0 comes on top */
	uint32_t buckets;       /* power of two */
	_Atomic uint64_t refused;
	_Atomic uint32_t count;
	uint32_t reserved[9];
};

static_assert(sizeof(struct block) == MDFH_CACHE_LINE, "rows start on a line");

/* This process's view. The sizes are kept here, where no other process can change them. */
struct mdfh_instruments {
	struct block *block;
	struct mdfh_instrument *rows;
	uint32_t capacity;
	uint32_t buckets;
	struct mdfh_region region;
};

struct indices {
	_Atomic uint32_t *id_next;
	_Atomic uint32_t *symbol_next;
	_Atomic uint32_t *id_heads;
	_Atomic uint32_t *symbol_heads;
};

static struct indices indices_of(const struct mdfh_instruments *table)
{
	size_t rows = (size_t)table->capacity + 1;
	_Atomic uint32_t *first = (_Atomic uint32_t *)(void *)(table->rows + rows);

	return (struct indices){
	    .id_next = first,
	    .symbol_next = first + rows,
	    .id_heads = first + 2 * rows,
	    .symbol_heads = first + 2 * rows + table->buckets,
	};
}

static size_t block_bytes(uint32_t capacity, uint32_t buckets)
{
	return sizeof(struct block) +
	       ((size_t)capacity + 1) * (sizeof(struct mdfh_instrument) + 2 * sizeof(uint32_t)) +
	       2 * (size_t)buckets * sizeof(uint32_t);
}

static uint32_t buckets_for(uint32_t capacity)
{
	uint32_t buckets = 16;

	while (buckets < capacity)
		buckets *= 2;
	return buckets;
}

static uint32_t id_bucket(const struct mdfh_instruments *table, uint16_t channel, uint64_t venue_id)
{
	uint64_t h = (venue_id ^ (uint64_t)channel << 48) * 0x9E3779B97F4A7C15u;

	return (uint32_t)(h >> 32) & (table->buckets - 1);
}

static uint32_t symbol_bucket(const struct mdfh_instruments *table, const char *symbol)
{
	uint64_t h = 14695981039346656037u;

	for (; *symbol; symbol++)
		h = (h ^ (uint8_t)*symbol) * 1099511628211u;
	return (uint32_t)(h ^ h >> 32) & (table->buckets - 1);
}

/* Setup --------------------------------------------------------------------------------------- */

static void take_over(struct mdfh_instruments *table, uint32_t capacity)
{
	table->block = table->region.base;
	table->rows = (struct mdfh_instrument *)(void *)(table->block + 1);
	table->capacity = capacity;
	table->buckets = buckets_for(capacity);
}

int mdfh_instruments_create_shared(
    uint32_t capacity, const char *shared_name, struct mdfh_instruments **table)
{
	struct mdfh_region_config region = {.size = sizeof(region), .shared_name = shared_name};
	struct mdfh_instruments *t;
	int err;

	*table = NULL;
	if (capacity < 1 || capacity > CAPACITY_MAX)
		return mdfh_error(-EINVAL, "instruments: capacity is %u; it must be from 1 to %d",
		    capacity, CAPACITY_MAX);
	t = calloc(1, sizeof(*t));
	if (!t)
		return mdfh_error(-ENOMEM, "instruments: %zu bytes", sizeof(*t));
	region.bytes = block_bytes(capacity, buckets_for(capacity));
	err = mdfh_region_map(&region, &t->region);
	if (err) {
		free(t);
		return err;
	}
	take_over(t, capacity);
	t->block->capacity = capacity;
	t->block->buckets = t->buckets;
	atomic_store_explicit(&t->block->count, 1, memory_order_relaxed);
	atomic_store_explicit(&t->block->magic, MAGIC, memory_order_release);
	*table = t;
	return 0;
}

int mdfh_instruments_create(uint32_t capacity, struct mdfh_instruments **table)
{
	return mdfh_instruments_create_shared(capacity, NULL, table);
}

int mdfh_instruments_attach(const char *shared_name, struct mdfh_instruments **table)
{
	struct mdfh_instruments *t = calloc(1, sizeof(*t));
	const struct block *block;
	uint32_t capacity;
	int err;

	*table = NULL;
	if (!t)
		return mdfh_error(-ENOMEM, "instruments: %zu bytes", sizeof(*t));
	err = mdfh_region_attach(shared_name, &t->region);
	if (err)
		goto fail;
	block = t->region.base;
	err = -EPROTO;
	if (t->region.bytes < sizeof(*block) ||
	    atomic_load_explicit(&block->magic, memory_order_acquire) != MAGIC) {
		mdfh_error(
		    err, "instruments: %s is no instrument table of this version", shared_name);
		goto fail_unmap;
	}
	capacity = block->capacity;
	if (capacity < 1 || capacity > CAPACITY_MAX || block->buckets != buckets_for(capacity) ||
	    t->region.bytes < block_bytes(capacity, buckets_for(capacity))) {
		mdfh_error(err, "instruments: %s says %u rows and has %zu bytes", shared_name,
		    capacity, t->region.bytes);
		goto fail_unmap;
	}
	take_over(t, capacity);
	*table = t;
	return 0;

fail_unmap:
	mdfh_region_unmap(&t->region);
fail:
	free(t);
	return err;
}

void mdfh_instruments_destroy(struct mdfh_instruments *table)
{
	if (!table)
		return;
	mdfh_region_unmap(&table->region);
	free(table);
}

/* Rows ---------------------------------------------------------------------------------------- */

uint32_t mdfh_instruments_find(
    const struct mdfh_instruments *table, uint16_t channel, uint64_t venue_id)
{
	struct indices index = indices_of(table);
	uint32_t bucket = id_bucket(table, channel, venue_id);
	/* Acquire: pairs with the release store of the head in mdfh_instruments_row. */
	uint32_t row = atomic_load_explicit(&index.id_heads[bucket], memory_order_acquire);

	/* Bounded, because in another process the links are not ours to believe. */
	for (uint32_t steps = 0; row && row <= table->capacity && steps <= table->capacity;
	     steps++) {
		const struct mdfh_instrument *i = &table->rows[row];

		if (i->venue_id == venue_id && i->channel == channel)
			return row;
		row = atomic_load_explicit(&index.id_next[row], memory_order_relaxed);
	}
	return 0;
}

uint32_t mdfh_instruments_row(struct mdfh_instruments *table, uint16_t channel, uint64_t venue_id)
{
	struct indices index = indices_of(table);
	uint32_t row = mdfh_instruments_find(table, channel, venue_id);
	uint32_t bucket = id_bucket(table, channel, venue_id);

	if (row)
		return row;
	row = atomic_load_explicit(&table->block->count, memory_order_relaxed);
	if (row > table->capacity) {
		atomic_fetch_add_explicit(&table->block->refused, 1, memory_order_relaxed);
		return 0;
	}
	table->rows[row].venue_id = venue_id;
	table->rows[row].channel = channel;
	atomic_store_explicit(&index.id_next[row],
	    atomic_load_explicit(&index.id_heads[bucket], memory_order_relaxed),
	    memory_order_relaxed);
	/* Release: the row is whole before any reader can reach it by chain or by count. */
	atomic_store_explicit(&index.id_heads[bucket], row, memory_order_release);
	atomic_store_explicit(&table->block->count, row + 1, memory_order_release);
	return row;
}

struct mdfh_instrument *mdfh_instruments_at(struct mdfh_instruments *table, uint32_t row)
{
	return &table->rows[row];
}

const struct mdfh_instrument *mdfh_instruments_get(
    const struct mdfh_instruments *table, uint32_t row)
{
	return &table->rows[row];
}

uint32_t mdfh_instruments_count(const struct mdfh_instruments *table)
{
	uint32_t count = atomic_load_explicit(&table->block->count, memory_order_acquire);

	return count <= table->capacity ? count : table->capacity + 1;
}

uint32_t mdfh_instruments_capacity(const struct mdfh_instruments *table)
{
	return table->capacity;
}

uint64_t mdfh_instruments_refused(const struct mdfh_instruments *table)
{
	return atomic_load_explicit(&table->block->refused, memory_order_relaxed);
}

/* Symbols ------------------------------------------------------------------------------------- */

/* The lowest row of that symbol on a channel, -1 = on any. A walk never takes more steps than there are
 * rows, even while the writer moves a row to another chain. */
static uint32_t find_symbol(const struct mdfh_instruments *table, int channel, const char *symbol)
{
	struct indices index = indices_of(table);
	uint32_t bucket = symbol_bucket(table, symbol);
	uint32_t row = atomic_load_explicit(&index.symbol_heads[bucket], memory_order_acquire);
	uint32_t found = 0;

	if (!*symbol)
		return 0;
	for (uint32_t steps = 0; row && row <= table->capacity && steps <= table->capacity;
	     steps++) {
		if (!strncmp(table->rows[row].symbol, symbol, MDFH_SYMBOL_SIZE) &&
		    (channel < 0 || table->rows[row].channel == channel) && (!found || row < found))
			found = row;
		row = atomic_load_explicit(&index.symbol_next[row], memory_order_acquire);
	}
	return found;
}

uint32_t mdfh_instruments_find_symbol(const struct mdfh_instruments *table, const char *symbol)
{
	return find_symbol(table, -1, symbol);
}

uint32_t mdfh_instruments_find_symbol_on(
    const struct mdfh_instruments *table, uint16_t channel, const char *symbol)
{
	return find_symbol(table, channel, symbol);
}

static void unlink_symbol(struct mdfh_instruments *table, uint32_t row)
{
	struct indices index = indices_of(table);
	_Atomic uint32_t *link = &index.symbol_heads[symbol_bucket(table, table->rows[row].symbol)];
	uint32_t next;

	while ((next = atomic_load_explicit(link, memory_order_relaxed)) != row) {
		if (!next)
			return;
		link = &index.symbol_next[next];
	}
	atomic_store_explicit(link,
	    atomic_load_explicit(&index.symbol_next[row], memory_order_relaxed),
	    memory_order_release);
}

void mdfh_instruments_set_symbol(
    struct mdfh_instruments *table, uint32_t row, const char *text, size_t length)
{
	struct indices index = indices_of(table);
	struct mdfh_instrument *instrument = &table->rows[row];
	char symbol[MDFH_SYMBOL_SIZE] = "";
	const char *end = memchr(text, '\0', length);
	_Atomic uint32_t *head;

	if (end)
		length = (size_t)(end - text);
	while (length && text[length - 1] == ' ')
		length--;
	if (length > sizeof(symbol) - 1)
		length = sizeof(symbol) - 1;
	memcpy(symbol, text, length);
	if (!row || !strcmp(symbol, instrument->symbol))
		return;
	if (instrument->symbol[0])
		unlink_symbol(table, row);
	memcpy(instrument->symbol, symbol, sizeof(symbol));
	if (!symbol[0])
		return;
	head = &index.symbol_heads[symbol_bucket(table, symbol)];
	atomic_store_explicit(&index.symbol_next[row],
	    atomic_load_explicit(head, memory_order_relaxed), memory_order_relaxed);
	/* Release: pairs with the acquire load in mdfh_instruments_find_symbol. */
	atomic_store_explicit(head, row, memory_order_release);
}
