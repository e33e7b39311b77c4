/* book.c - books made, read and emptied; apply.c and apply_rare.c change them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "book/books.h"
#include "core/lines.h"
#include "mdfh/error.h"

enum {
	ORDERS_DEFAULT = 4194304,
	ORDERS_LIMIT = 268435456,
	LEVELS_DEFAULT = 1048576,
	LEVELS_LIMIT = 67108864,
	TRADES_LIMIT = 268435456,
	CHANNELS = 65536,
};

static const char *const error_names[MDFH_BOOK_ERRORS] = {
    [MDFH_BOOK_UNKNOWN_ORDER] = "unknown-order",
    [MDFH_BOOK_DUPLICATE_ORDER] = "duplicate-order",
    [MDFH_BOOK_OVER_EXECUTION] = "over-execution",
    [MDFH_BOOK_OVER_REDUCTION] = "over-reduction",
    [MDFH_BOOK_CROSSED] = "crossed",
    [MDFH_BOOK_NOT_AT_HEAD] = "not-at-head",
    [MDFH_BOOK_WRONG_INSTRUMENT] = "wrong-instrument",
    [MDFH_BOOK_UNKNOWN_TRADE] = "unknown-trade",
    [MDFH_BOOK_ORDERS_FULL] = "orders-full",
    [MDFH_BOOK_LEVELS_FULL] = "levels-full",
    [MDFH_BOOK_NO_PRICE] = "no-price",
    [MDFH_BOOK_BAD_SIDE] = "bad-side",
    [MDFH_BOOK_ZERO_QUANTITY] = "zero-quantity",
};

const char *mdfh_book_error_name(unsigned error)
{
	return error < MDFH_BOOK_ERRORS ? error_names[error] : "?";
}

/* Setup --------------------------------------------------------------------------------------- */

static uint64_t power_of_two(uint64_t least)
{
	uint64_t n = 16;

	while (n < least)
		n *= 2;
	return n;
}

/* Hand out the next part of the region; with base NULL only measure. */
static void *carve(uint8_t *base, size_t *used, size_t count, size_t size)
{
	void *part = base ? base + *used : NULL;

	*used += (count * size + 63) & ~(size_t)63;
	return part;
}

static size_t lay_out(struct mdfh_books *books, uint8_t *base)
{
	size_t buckets = (size_t)books->order_mask + 2;
	size_t slots = (size_t)books->level_mask + 2;
	size_t rows = books->instruments_max;
	size_t used = 0;

	books->orders = carve(base, &used, buckets * ORDERS_PER_BUCKET, sizeof(struct order));
	books->order_overflow = carve(base, &used, buckets, 1);
	books->levels = carve(base, &used, slots, sizeof(struct level));
	books->far_nodes = carve(base, &used, slots, sizeof(struct far_node));
	books->chunks =
	    carve(base, &used, (size_t)books->orders_max * 3 / 10 + 3, sizeof(struct chunk));
	books->books = carve(base, &used, rows, sizeof(struct book));
	books->channels = carve(base, &used, CHANNELS, sizeof(struct channel));
	books->trades = carve(base, &used, books->trades_max, sizeof(struct trade));
	books->trade_heads =
	    carve(base, &used, books->trades_max ? books->trade_mask + 1 : 0, sizeof(uint32_t));
	return used;
}

static int check(const struct mdfh_books_config *config, uint32_t orders, uint32_t levels)
{
	if (config->size != sizeof(*config))
		return mdfh_error(-EINVAL,
		    "books: config.size is %zu; it must be sizeof(struct mdfh_books_config) = %zu",
		    config->size, sizeof(*config));
	if (!config->instruments)
		return mdfh_error(-EINVAL, "books: config.instruments is NULL; give a table");
	if (orders > ORDERS_LIMIT)
		return mdfh_error(-EINVAL, "books: orders_max is %u; it must be from 1 to %d",
		    orders, ORDERS_LIMIT);
	if (levels > LEVELS_LIMIT)
		return mdfh_error(-EINVAL, "books: levels_max is %u; it must be from 1 to %d",
		    levels, LEVELS_LIMIT);
	if (config->trades_max > TRADES_LIMIT)
		return mdfh_error(-EINVAL, "books: trades_max is %u; it must be from 0 to %d",
		    config->trades_max, TRADES_LIMIT);
	return 0;
}

int mdfh_books_create(const struct mdfh_books_config *config, struct mdfh_books **result)
{
	struct mdfh_region_config region = {.size = sizeof(region)};
	struct mdfh_books *books;
	uint32_t chunks;
	int err;

	*result = NULL;
	err = check(config, config->orders_max, config->levels_max);
	if (err)
		return err;
	books = mdfh_lines_alloc(1, sizeof(*books));
	if (!books)
		return mdfh_error(-ENOMEM, "books: %zu bytes", sizeof(*books));
	books->instruments = config->instruments;
	books->instruments_max = mdfh_instruments_capacity(config->instruments) + 1;
	books->orders_max = config->orders_max ? config->orders_max : ORDERS_DEFAULT;
	books->levels_max = config->levels_max ? config->levels_max : LEVELS_DEFAULT;
	books->trades_max = config->trades_max;
	books->sound_at_start = config->sound_at_start == MDFH_ON;
	books->order_mask =
	    power_of_two((uint64_t)books->orders_max * 3 / 2) / ORDERS_PER_BUCKET - 1;
	books->level_mask = (uint32_t)power_of_two((uint64_t)books->levels_max * 2) - 1;
	books->level_shift = (uint32_t)__builtin_clz(books->level_mask);
	if (books->trades_max)
		books->trade_mask = (uint32_t)power_of_two(books->trades_max) - 1;

	region.bytes = lay_out(books, NULL);
	region.hugepages = config->hugepages;
	region.numa_node = config->numa_node;
	err = mdfh_region_map(&region, &books->region);
	if (err) {
		mdfh_error(err, "books of %u orders, %u levels, %u trades and %u instruments: %s",
		    books->orders_max, books->levels_max, books->trades_max,
		    books->instruments_max - 1, mdfh_error_text());
		free(books);
		return err;
	}
	lay_out(books, books->region.base);
	books->stats.memory_bytes = books->region.bytes;
	chunks = (uint32_t)((uint64_t)books->orders_max * 3 / 10) + 3;
	for (uint32_t i = 1; i + 1 < chunks; i++)
		books->chunks[i].next = i + 1;
	books->chunk_free = 1;
	for (uint32_t i = 0; i < books->instruments_max; i++) {
		books->books[i].best[0] = KEY_NONE;
		books->books[i].best[1] = KEY_NONE;
	}
	for (uint32_t i = 0; i < CHANNELS; i++) {
		books->channels[i].generation = 1;
		books->channels[i].day_seen = books->sound_at_start != 0;
	}
	mdfh_books_origins(books, NULL);
	*result = books;
	return 0;
}

void mdfh_books_destroy(struct mdfh_books *books)
{
	if (!books)
		return;
	mdfh_region_unmap(&books->region);
	free(books);
}

/* Emptying ------------------------------------------------------------------------------------ */

void mdfh_book_clear_level(struct mdfh_books *books, uint32_t slot)
{
	struct level *level = &books->levels[slot];

	for (int i = 0; i < LEVEL_QUEUE; i++) {
		if (level->queue[i])
			order_remove(books, level->queue[i]);
		level->queue[i] = 0;
	}
	while (level->first) {
		uint32_t chunk = level->first;
		struct chunk *c = &books->chunks[chunk];

		for (uint32_t i = 0; i < c->orders; i++)
			order_remove(books, c->queue[i]);
		level->first = c->next;
		c->next = books->chunk_free;
		books->chunk_free = chunk;
	}
	level->last = 0;
	mdfh_book_level_destroy(books, slot);
}

void mdfh_book_clear_side(struct mdfh_books *books, uint32_t id)
{
	uint32_t slot;

	while ((slot = mdfh_book_level_worse(books, id, INT64_MAX)) != 0)
		mdfh_book_clear_level(books, slot);
}

/* A book without orders so far does not know its channel. */
static uint16_t channel_of_book(const struct mdfh_books *books, uint32_t instrument)
{
	const struct book *book = &books->books[instrument];

	return book->tick ? book->channel
			  : mdfh_instruments_get(books->instruments, instrument)->channel;
}

void mdfh_book_clear_channel(struct mdfh_books *books, uint16_t channel)
{
	uint32_t count = mdfh_instruments_count(books->instruments);

	for (uint32_t i = 1; i < count; i++) {
		if (channel_of_book(books, i) != channel)
			continue;
		mdfh_book_clear_side(books, i * 2);
		mdfh_book_clear_side(books, i * 2 + 1);
		memset(&books->books[i].totals, 0, sizeof(books->books[i].totals));
	}
}

/* Reading ------------------------------------------------------------------------------------- */

static int bad_book(const struct mdfh_books *books, uint32_t instrument, unsigned side)
{
	return !instrument || instrument >= books->instruments_max || side - 1u > 1;
}

static int64_t price_of(const struct mdfh_books *books, uint32_t instrument, int64_t price)
{
	int64_t result;

	if (__builtin_mul_overflow(price, books->books[instrument].scale, &result))
		return 0;
	return result;
}

static void read_level(const struct mdfh_books *books, uint32_t slot, struct mdfh_level *out)
{
	const struct level *level = &books->levels[slot];
	uint32_t instrument = (level->book & BOOK_MASK) >> 1;

	*out = (struct mdfh_level){
	    .price = price_of(books, instrument, level->price),
	    .quantity = level->quantity,
	    .orders = level->orders,
	    .venue_price = level->price,
	};
}

int mdfh_book_levels(const struct mdfh_books *books, uint32_t instrument, unsigned side,
    struct mdfh_level *levels, int max)
{
	uint32_t id = instrument * 2 + side - 1;
	int64_t key = INT64_MAX;
	int n = 0;

	if (bad_book(books, instrument, side))
		return 0;
	while (n < max) {
		uint32_t slot = mdfh_book_level_worse(books, id, key);

		if (!slot)
			break;
		read_level(books, slot, &levels[n++]);
		key = price_key(books->levels[slot].price, id & 1);
	}
	return n;
}

int mdfh_book_best(
    const struct mdfh_books *books, uint32_t instrument, unsigned side, struct mdfh_level *level)
{
	return mdfh_book_levels(books, instrument, side, level, 1);
}

int mdfh_book_level_count(const struct mdfh_books *books, uint32_t instrument, unsigned side)
{
	if (bad_book(books, instrument, side))
		return 0;
	return (int)books->books[instrument].ladders[side - 1].levels;
}

/* Walk of a queue: start with {0}, ends with 0. */
struct walk {
	uint32_t chunk;
	uint32_t index;
	int in_chunks;
};

static uint32_t walk_next(
    const struct mdfh_books *books, const struct level *level, struct walk *walk)
{
	if (!walk->in_chunks) {
		if (walk->index < LEVEL_QUEUE && level->queue[walk->index])
			return level->queue[walk->index++];
		*walk = (struct walk){.chunk = level->first, .in_chunks = 1};
	}
	if (walk->chunk && walk->index == books->chunks[walk->chunk].orders)
		*walk = (struct walk){.chunk = books->chunks[walk->chunk].next, .in_chunks = 1};
	return walk->chunk ? books->chunks[walk->chunk].queue[walk->index++] : 0;
}

static void read_order(const struct mdfh_books *books, uint32_t slot, uint32_t order,
    uint32_t position, struct mdfh_order *out)
{
	const struct level *level = &books->levels[slot];
	uint32_t instrument = (level->book & BOOK_MASK) >> 1;

	*out = (struct mdfh_order){
	    .price = price_of(books, instrument, level->price),
	    .order_id = order_key(books->orders[order].key, books->books[instrument].channel),
	    .quantity = books->orders[order].quantity,
	    .instrument = instrument,
	    .position = position,
	    .side = (uint8_t)((level->book & 1) + 1),
	    .venue_price = level->price,
	};
}

int mdfh_book_orders(const struct mdfh_books *books, uint32_t instrument, unsigned side,
    int64_t venue_price, struct mdfh_order *orders, int max)
{
	uint32_t id = instrument * 2 + side - 1, slot, order;
	struct walk walk = {0};
	int n = 0;

	if (bad_book(books, instrument, side))
		return 0;
	slot = level_find(books, &books->books[instrument], id, venue_price);
	while (slot && n < max && (order = walk_next(books, &books->levels[slot], &walk)) != 0) {
		read_order(books, slot, order, (uint32_t)n, &orders[n]);
		n++;
	}
	return n;
}

int mdfh_book_order(
    const struct mdfh_books *books, uint16_t channel, uint64_t order_id, struct mdfh_order *result)
{
	uint32_t found = order_find(books, order_key(order_id, channel));
	struct walk walk = {0};
	uint32_t slot, order, position = 0;

	if (!found)
		return 0;
	slot = queue_level(books, books->orders[found].where);
	while ((order = walk_next(books, &books->levels[slot], &walk)) != 0 && order != found)
		position++;
	read_order(books, slot, found, position, result);
	return 1;
}

int mdfh_book_totals(
    const struct mdfh_books *books, uint32_t instrument, struct mdfh_totals *totals)
{
	const struct totals *t;

	if (!instrument || instrument >= books->instruments_max)
		return 0;
	t = &books->books[instrument].totals;
	*totals = (struct mdfh_totals){
	    .volume = t->volume,
	    .trades = t->trades,
	    .broken = t->broken,
	    .last_price = price_of(books, instrument, t->last_price),
	    .last_quantity = t->last_quantity,
	};
	return 1;
}

int mdfh_book_is_sound(const struct mdfh_books *books, uint32_t instrument)
{
	if (!instrument || instrument >= mdfh_instruments_count(books->instruments))
		return 0;
	return book_is_sound(
	    &books->channels[channel_of_book(books, instrument)], &books->books[instrument]);
}

const struct mdfh_books_stats *mdfh_books_stats(const struct mdfh_books *books)
{
	return &books->stats;
}

/* Checksum ------------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t h, uint64_t value)
{
	h = (h ^ value) * 0x9E3779B97F4A7C15u;
	return h ^ h >> 32;
}

uint64_t mdfh_books_checksum(const struct mdfh_books *books)
{
	uint64_t sum = 0;

	/* By slot: the sum does not ask for an order. */
	for (uint32_t slot = 1; slot <= books->level_mask + 1; slot++) {
		const struct level *level = &books->levels[slot];
		uint32_t instrument = (level->book & BOOK_MASK) >> 1, order, position = 0;
		const char *symbol;
		struct walk walk = {0};
		uint64_t seed = 14695981039346656037u;

		if (!instrument)
			continue;
		symbol = mdfh_instruments_get(books->instruments, instrument)->symbol;
		for (; *symbol; symbol++)
			seed = (seed ^ (uint8_t)*symbol) * 1099511628211u;
		seed = mix(seed, (level->book & 1) + 1);
		seed = mix(seed, (uint64_t)level->price);
		while ((order = walk_next(books, level, &walk)) != 0) {
			const struct order *o = &books->orders[order];
			uint64_t h = mix(seed, position++);

			h = mix(h, order_key(o->key, books->books[instrument].channel));
			sum += mix(h, o->quantity);
		}
	}
	return sum;
}
