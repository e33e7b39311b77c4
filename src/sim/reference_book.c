/* reference_book.c - sorted arrays of levels, linked queues of orders, one hash map by order id.
 *
 * A side keeps its levels sorted with the best one last, because that is where most changes
 * happen and the end of an array is cheap to change. An order names its level by its price: the
 * level is found again by a binary search, so no pointer has to be kept right. */
#include "sim/reference_book.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mdfh/error.h"

enum { LOCATES = 65536, SYMBOL_BYTES = 8, NONE = 0 };

struct order { /* number 0 is nobody: 0 ends a queue */
	uint64_t id;
	int64_t price;
	uint32_t shares;
	uint32_t next; /* towards the tail; in the free list: the next free one */
	uint32_t previous;
	uint16_t locate;
	uint8_t side;
};

struct level {
	int64_t price;
	uint64_t shares;
	uint32_t head;
	uint32_t tail;
	uint32_t orders;
};

struct side {
	struct level *levels; /* best last */
	uint32_t count;
	uint32_t capacity;
};

struct symbol {
	char name[SYMBOL_BYTES + 1];
	struct side sides[2]; /* buy, sell */
	uint32_t orders;
	struct mdfh_refbook_totals totals;
};

struct trade {
	uint64_t shares;
	uint16_t locate;
	uint8_t broken;
};

/* Open addressing, linear probing; a number of 0 marks a free slot. */
struct slot {
	uint64_t key;
	uint32_t number;
};

struct map {
	struct slot *slots;
	uint64_t mask;
	uint64_t used;
};

struct mdfh_refbook {
	struct symbol *symbols; /* by locate code */
	struct order *orders;
	uint32_t orders_capacity;
	uint32_t orders_used; /* numbers handed out so far, 0 included */
	uint32_t free_order;
	struct map by_id;
	struct trade *trades;
	uint32_t trades_capacity;
	uint32_t trades_used;
	struct map by_match;
	uint64_t live;
	uint64_t errors[MDFH_REFBOOK_ERRORS];
};

/* Hash map ------------------------------------------------------------- */

static uint64_t map_home(const struct map *map, uint64_t key)
{
	key *= 0x9E3779B97F4A7C15u;
	return (key ^ key >> 32) & map->mask;
}

static struct slot *map_slot(const struct map *map, uint64_t key)
{
	uint64_t i = map_home(map, key);

	while (map->slots[i].number && map->slots[i].key != key)
		i = (i + 1) & map->mask;
	return &map->slots[i];
}

static uint32_t map_get(const struct map *map, uint64_t key)
{
	return map_slot(map, key)->number;
}

static int map_create(struct map *map, uint64_t capacity)
{
	map->slots = calloc(capacity, sizeof(*map->slots));
	if (!map->slots)
		return mdfh_error(
		    -ENOMEM, "reference book: a map of %llu slots", (unsigned long long)capacity);
	map->mask = capacity - 1;
	map->used = 0;
	return 0;
}

/* Keep the map at most half full, so that probes stay short. */
static int map_make_room(struct map *map)
{
	struct map larger;
	int err;

	if (map->used * 2 <= map->mask)
		return 0;
	err = map_create(&larger, (map->mask + 1) * 2);
	if (err)
		return err;
	for (uint64_t i = 0; i <= map->mask; i++) {
		if (map->slots[i].number)
			*map_slot(&larger, map->slots[i].key) = map->slots[i];
	}
	larger.used = map->used;
	free(map->slots);
	*map = larger;
	return 0;
}

/* Room was made, and the key is not in the map. */
static void map_put(struct map *map, uint64_t key, uint32_t number)
{
	*map_slot(map, key) = (struct slot){.key = key, .number = number};
	map->used++;
}

/* Take a key out and close the hole: whatever follows moves up as far as its home allows. */
static void map_remove(struct map *map, uint64_t key)
{
	uint64_t hole = (uint64_t)(map_slot(map, key) - map->slots);

	for (uint64_t i = (hole + 1) & map->mask; map->slots[i].number; i = (i + 1) & map->mask) {
		uint64_t home = map_home(map, map->slots[i].key);

		if (((i - home) & map->mask) >= ((i - hole) & map->mask)) {
			map->slots[hole] = map->slots[i];
			hole = i;
		}
	}
	map->slots[hole].number = 0;
	map->used--;
}

/* Levels and queues ---------------------------------------------------- */

static struct side *side_of(const struct mdfh_refbook *book, uint16_t locate, unsigned side)
{
	return &book->symbols[locate].sides[side - MDFH_REFBOOK_BUY];
}

/* The place of a price: its level, or where that level belongs. */
static uint32_t level_index(const struct side *levels, unsigned side, int64_t price)
{
	uint32_t low = 0;
	uint32_t high = levels->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int64_t there = levels->levels[middle].price;
		int is_worse = side == MDFH_REFBOOK_BUY ? there < price : there > price;

		if (is_worse)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct level *level_of(const struct mdfh_refbook *book, const struct order *order)
{
	struct side *side = side_of(book, order->locate, order->side);

	return &side->levels[level_index(side, order->side, order->price)];
}

static struct level *level_at(struct side *side, unsigned which, int64_t price)
{
	uint32_t i = level_index(side, which, price);

	if (i < side->count && side->levels[i].price == price)
		return &side->levels[i];
	if (side->count == side->capacity) {
		uint32_t capacity = side->capacity ? side->capacity * 2 : 16;
		struct level *levels = realloc(side->levels, capacity * sizeof(*levels));

		if (!levels)
			return NULL;
		side->levels = levels;
		side->capacity = capacity;
	}
	memmove(&side->levels[i + 1], &side->levels[i], (side->count - i) * sizeof(*side->levels));
	side->count++;
	side->levels[i] = (struct level){.price = price};
	return &side->levels[i];
}

/* A number for a new order: the last one given back, or the next new one. */
static uint32_t order_take(struct mdfh_refbook *book)
{
	uint32_t number = book->free_order;

	if (number) {
		book->free_order = book->orders[number].next;
		return number;
	}
	if (book->orders_used == book->orders_capacity) {
		uint32_t capacity = book->orders_capacity ? book->orders_capacity * 2 : 4096;
		struct order *orders = NULL;

		if (capacity > book->orders_capacity)
			orders = realloc(book->orders, capacity * sizeof(*orders));
		if (!orders)
			return NONE;
		book->orders = orders;
		book->orders_capacity = capacity;
		if (!book->orders_used)
			book->orders_used = 1;
	}
	return book->orders_used++;
}

static void order_give_back(struct mdfh_refbook *book, uint32_t number)
{
	book->orders[number].next = book->free_order;
	book->free_order = number;
}

/* Put a new order at the tail of its level. */
static int order_insert(struct mdfh_refbook *book, struct order order)
{
	uint32_t number = order_take(book);
	struct level *level;

	if (!number || map_make_room(&book->by_id))
		goto no_memory;
	level = level_at(side_of(book, order.locate, order.side), order.side, order.price);
	if (!level)
		goto no_memory;

	order.next = NONE;
	order.previous = level->tail;
	if (level->tail)
		book->orders[level->tail].next = number;
	else
		level->head = number;
	level->tail = number;
	level->orders++;
	level->shares += order.shares;
	book->orders[number] = order;
	map_put(&book->by_id, order.id, number);
	book->symbols[order.locate].orders++;
	book->live++;
	return 0;

no_memory:
	if (number)
		order_give_back(book, number);
	return mdfh_error(
	    -ENOMEM, "reference book: an order more than %llu", (unsigned long long)book->live);
}

static void order_remove(struct mdfh_refbook *book, uint32_t number)
{
	struct order *order = &book->orders[number];
	struct side *side = side_of(book, order->locate, order->side);
	struct level *level = level_of(book, order);

	if (order->previous)
		book->orders[order->previous].next = order->next;
	else
		level->head = order->next;
	if (order->next)
		book->orders[order->next].previous = order->previous;
	else
		level->tail = order->previous;
	level->orders--;
	level->shares -= order->shares;
	if (!level->orders) {
		struct level *end = &side->levels[side->count];

		memmove(level, level + 1, (size_t)(end - level - 1) * sizeof(*level));
		side->count--;
	}
	book->symbols[order->locate].orders--;
	book->live--;
	map_remove(&book->by_id, order->id);
	order_give_back(book, number);
}

/* Take shares off an order that keeps its place; nothing left: it goes. */
static void order_take_shares(struct mdfh_refbook *book, uint32_t number, uint32_t shares)
{
	struct order *order = &book->orders[number];

	if (shares >= order->shares) {
		order_remove(book, number);
		return;
	}
	level_of(book, order)->shares -= shares;
	order->shares -= shares;
}

static int refused(struct mdfh_refbook *book, enum mdfh_refbook_error kind)
{
	book->errors[kind]++;
	return 1;
}

/* Setup ----------------------------------------------------------------- */

int mdfh_refbook_create(struct mdfh_refbook **out)
{
	struct mdfh_refbook *book = calloc(1, sizeof(*book));
	int err;

	*out = NULL;
	if (!book)
		return mdfh_error(-ENOMEM, "reference book: %zu bytes", sizeof(*book));
	book->symbols = calloc(LOCATES, sizeof(*book->symbols));
	if (!book->symbols) {
		err = mdfh_error(-ENOMEM, "reference book: %d symbols", LOCATES);
		goto fail_book;
	}
	err = map_create(&book->by_id, 8192);
	if (err)
		goto fail_symbols;
	err = map_create(&book->by_match, 8192);
	if (err)
		goto fail_map;
	*out = book;
	return 0;

fail_map:
	free(book->by_id.slots);
fail_symbols:
	free(book->symbols);
fail_book:
	free(book);
	return err;
}

void mdfh_refbook_destroy(struct mdfh_refbook *book)
{
	if (!book)
		return;
	for (unsigned i = 0; i < LOCATES; i++) {
		free(book->symbols[i].sides[0].levels);
		free(book->symbols[i].sides[1].levels);
	}
	free(book->symbols);
	free(book->orders);
	free(book->trades);
	free(book->by_id.slots);
	free(book->by_match.slots);
	free(book);
}

/* Messages --------------------------------------------------------------- */

void mdfh_refbook_symbol(
    struct mdfh_refbook *book, uint16_t locate, const char *name, size_t length)
{
	char *symbol = book->symbols[locate].name;

	if (length > SYMBOL_BYTES)
		length = SYMBOL_BYTES;
	while (length && name[length - 1] == ' ')
		length--;
	memcpy(symbol, name, length);
	symbol[length] = 0;
}

int mdfh_refbook_add(struct mdfh_refbook *book, uint16_t locate, uint64_t order_id, unsigned side,
    uint32_t shares, int64_t price)
{
	if (side != MDFH_REFBOOK_BUY && side != MDFH_REFBOOK_SELL)
		return refused(book, MDFH_REFBOOK_BAD_SIDE);
	if (!shares)
		return refused(book, MDFH_REFBOOK_ZERO_SHARES);
	if (map_get(&book->by_id, order_id))
		return refused(book, MDFH_REFBOOK_DUPLICATE_ORDER);
	return order_insert(book, (struct order){
				      .id = order_id,
				      .price = price,
				      .shares = shares,
				      .locate = locate,
				      .side = (uint8_t)side,
				  });
}

/* A print: into the volume of its symbol, and kept for a break. */
static int print(struct mdfh_refbook *book, uint16_t locate, uint64_t shares, uint64_t match)
{
	struct mdfh_refbook_totals *totals = &book->symbols[locate].totals;

	if (!shares)
		return 0;
	if (book->trades_used == book->trades_capacity) {
		uint32_t capacity = book->trades_capacity ? book->trades_capacity * 2 : 4096;
		struct trade *trades = NULL;

		if (capacity > book->trades_capacity)
			trades = realloc(book->trades, capacity * sizeof(*trades));
		if (!trades)
			return mdfh_error(
			    -ENOMEM, "reference book: more than %u trades", book->trades_used);
		book->trades = trades;
		book->trades_capacity = capacity;
	}
	if (map_make_room(&book->by_match))
		return -ENOMEM;
	/* Match numbers are unique in a day; of two equal ones only the first can be broken. */
	if (!map_get(&book->by_match, match)) {
		book->trades[book->trades_used] =
		    (struct trade){.shares = shares, .locate = locate};
		map_put(&book->by_match, match, ++book->trades_used);
	}
	totals->volume += shares;
	totals->trades++;
	return 0;
}

int mdfh_refbook_execute(struct mdfh_refbook *book, uint64_t order_id, uint32_t shares,
    uint64_t match_number, int printed)
{
	uint32_t number = map_get(&book->by_id, order_id);
	uint16_t locate;
	int is_over;

	if (!number)
		return refused(book, MDFH_REFBOOK_UNKNOWN_ORDER);
	locate = book->orders[number].locate;
	is_over = shares > book->orders[number].shares;
	order_take_shares(book, number, shares);
	if (printed && print(book, locate, shares, match_number))
		return -ENOMEM;
	return is_over ? refused(book, MDFH_REFBOOK_OVER_EXECUTION) : 0;
}

int mdfh_refbook_reduce(struct mdfh_refbook *book, uint64_t order_id, uint32_t shares)
{
	uint32_t number = map_get(&book->by_id, order_id);
	int is_over;

	if (!number)
		return refused(book, MDFH_REFBOOK_UNKNOWN_ORDER);
	is_over = shares > book->orders[number].shares;
	order_take_shares(book, number, shares);
	return is_over ? refused(book, MDFH_REFBOOK_OVER_REDUCTION) : 0;
}

int mdfh_refbook_delete(struct mdfh_refbook *book, uint64_t order_id)
{
	uint32_t number = map_get(&book->by_id, order_id);

	if (!number)
		return refused(book, MDFH_REFBOOK_UNKNOWN_ORDER);
	order_remove(book, number);
	return 0;
}

int mdfh_refbook_replace(struct mdfh_refbook *book, uint64_t order_id, uint64_t new_order_id,
    uint32_t shares, int64_t price)
{
	uint32_t number = map_get(&book->by_id, order_id);
	struct order old;

	if (!number)
		return refused(book, MDFH_REFBOOK_UNKNOWN_ORDER);
	old = book->orders[number];
	order_remove(book, number);
	return mdfh_refbook_add(book, old.locate, new_order_id, old.side, shares, price);
}

int mdfh_refbook_trade(
    struct mdfh_refbook *book, uint16_t locate, uint64_t shares, uint64_t match_number)
{
	return print(book, locate, shares, match_number);
}

int mdfh_refbook_break(struct mdfh_refbook *book, uint64_t match_number)
{
	uint32_t number = map_get(&book->by_match, match_number);
	struct mdfh_refbook_totals *totals;
	struct trade *trade;

	if (!number || book->trades[number - 1].broken)
		return refused(book, MDFH_REFBOOK_UNKNOWN_TRADE);
	trade = &book->trades[number - 1];
	trade->broken = 1;
	totals = &book->symbols[trade->locate].totals;
	totals->volume -= trade->shares;
	totals->trades--;
	totals->broken++;
	return 0;
}

/* Reading ---------------------------------------------------------------- */

static const struct level *best_level(
    const struct mdfh_refbook *book, uint16_t locate, unsigned side, uint32_t index)
{
	const struct side *levels = side_of(book, locate, side);

	return index < levels->count ? &levels->levels[levels->count - 1 - index] : NULL;
}

int mdfh_refbook_level(const struct mdfh_refbook *book, uint16_t locate, unsigned side,
    uint32_t index, struct mdfh_refbook_level *level)
{
	const struct level *found = best_level(book, locate, side, index);

	if (!found)
		return 0;
	*level = (struct mdfh_refbook_level){
	    .price = found->price, .shares = found->shares, .orders = found->orders};
	return 1;
}

uint32_t mdfh_refbook_levels(const struct mdfh_refbook *book, uint16_t locate, unsigned side)
{
	return side_of(book, locate, side)->count;
}

static void order_read(
    const struct mdfh_refbook *book, uint32_t number, struct mdfh_refbook_order *out)
{
	const struct order *order = &book->orders[number];

	*out = (struct mdfh_refbook_order){
	    .order_id = order->id,
	    .price = order->price,
	    .shares = order->shares,
	    .locate = order->locate,
	    .side = order->side,
	};
}

int mdfh_refbook_head(const struct mdfh_refbook *book, uint16_t locate, unsigned side,
    struct mdfh_refbook_order *order)
{
	const struct level *best = best_level(book, locate, side, 0);

	if (!best)
		return 0;
	order_read(book, best->head, order);
	return 1;
}

int mdfh_refbook_find(
    const struct mdfh_refbook *book, uint64_t order_id, struct mdfh_refbook_order *order)
{
	uint32_t number = map_get(&book->by_id, order_id);

	if (!number)
		return 0;
	order_read(book, number, order);
	return 1;
}

int mdfh_refbook_order(
    const struct mdfh_refbook *book, uint64_t order_id, struct mdfh_refbook_order *order)
{
	uint32_t number = map_get(&book->by_id, order_id);

	if (!number)
		return 0;
	order_read(book, number, order);
	for (uint32_t n = book->orders[number].previous; n; n = book->orders[n].previous)
		order->position++;
	return 1;
}

void mdfh_refbook_totals(
    const struct mdfh_refbook *book, uint16_t locate, struct mdfh_refbook_totals *totals)
{
	*totals = book->symbols[locate].totals;
}

const char *mdfh_refbook_symbol_name(const struct mdfh_refbook *book, uint16_t locate)
{
	return book->symbols[locate].name;
}

uint64_t mdfh_refbook_orders(const struct mdfh_refbook *book)
{
	return book->live;
}

uint64_t mdfh_refbook_symbols(const struct mdfh_refbook *book)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < LOCATES; i++)
		n += book->symbols[i].orders > 0;
	return n;
}

uint64_t mdfh_refbook_errors(const struct mdfh_refbook *book, enum mdfh_refbook_error kind)
{
	return book->errors[kind];
}

void mdfh_refbook_prefetch_symbol(const struct mdfh_refbook *book, uint16_t locate)
{
	const char *symbol = (const char *)&book->symbols[locate];

	__builtin_prefetch(symbol);
	__builtin_prefetch(symbol + sizeof(struct symbol) - 1);
}

void mdfh_refbook_prefetch_best(const struct mdfh_refbook *book, uint16_t locate)
{
	for (unsigned side = MDFH_REFBOOK_BUY; side <= MDFH_REFBOOK_SELL; side++) {
		const struct level *best = best_level(book, locate, side, 0);

		if (best)
			__builtin_prefetch(best);
	}
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
	return hash ^ hash >> 32;
}

uint64_t mdfh_refbook_checksum(const struct mdfh_refbook *book)
{
	uint64_t sum = 0;

	for (unsigned number = 0; number < LOCATES; number++) {
		uint16_t locate = (uint16_t)number;
		uint64_t name = 14695981039346656037u;
		const struct level *level;

		for (const char *c = book->symbols[locate].name; *c; c++)
			name = (name ^ (uint8_t)*c) * 1099511628211u;
		for (unsigned side = MDFH_REFBOOK_BUY; side <= MDFH_REFBOOK_SELL; side++) {
			for (uint32_t i = 0; (level = best_level(book, locate, side, i)); i++) {
				uint64_t position = 0;

				for (uint32_t n = level->head; n; n = book->orders[n].next) {
					uint64_t hash = name;

					hash = mix(hash, side);
					hash = mix(hash, (uint64_t)level->price);
					hash = mix(hash, position++);
					hash = mix(hash, book->orders[n].id);
					hash = mix(hash, book->orders[n].shares);
					sum += hash;
				}
			}
		}
	}
	return sum;
}

/* Dump -------------------------------------------------------------------- */

struct row { /* a symbol with orders, as the dump names it */
	char name[SYMBOL_BYTES + 1];
	uint16_t locate;
};

static int compare_rows(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->name, ((const struct row *)b)->name);
}

static void write_side(
    const struct mdfh_refbook *book, const struct row *row, unsigned side, FILE *stream)
{
	const struct level *level;

	for (uint32_t i = 0; (level = best_level(book, row->locate, side, i)); i++) {
		uint32_t position = 0;

		for (uint32_t n = level->head; n; n = book->orders[n].next)
			fprintf(stream, "%s\t%c\t%lld\t%u\t%llu\t%u\n", row->name,
			    side == MDFH_REFBOOK_BUY ? 'B' : 'S', (long long)level->price,
			    position++, (unsigned long long)book->orders[n].id,
			    book->orders[n].shares);
	}
}

int mdfh_refbook_write(const struct mdfh_refbook *book, FILE *stream)
{
	size_t rows_count = mdfh_refbook_symbols(book);
	struct row *rows = calloc(rows_count + 1, sizeof(*rows));
	size_t n = 0;
	int err = 0;

	if (!rows)
		return mdfh_error(-ENOMEM, "reference book: %zu rows of a dump", rows_count);
	for (unsigned locate = 0; locate < LOCATES; locate++) {
		const struct symbol *symbol = &book->symbols[locate];

		if (!symbol->orders)
			continue;
		rows[n].locate = (uint16_t)locate;
		if (symbol->name[0])
			memcpy(rows[n].name, symbol->name, sizeof(rows[n].name));
		else
			snprintf(rows[n].name, sizeof(rows[n].name), "#%u", locate);
		n++;
	}
	qsort(rows, n, sizeof(*rows), compare_rows);
	for (size_t i = 0; i < n && !err; i++) {
		write_side(book, &rows[i], MDFH_REFBOOK_BUY, stream);
		write_side(book, &rows[i], MDFH_REFBOOK_SELL, stream);
		if (ferror(stream))
			err = errno ? -errno : -EIO;
	}
	free(rows);
	if (!err && fflush(stream))
		err = errno ? -errno : -EIO;
	return err ? mdfh_error_errno(err, "reference book: writing the dump") : 0;
}

int mdfh_refbook_write_file(const struct mdfh_refbook *book, const char *path)
{
	const char *name = path; /* what is opened */
	char *temporary = NULL;
	struct stat info;
	FILE *stream;
	int err;

	/* A device must not become a file. */
	if (stat(path, &info) || S_ISREG(info.st_mode)) {
		if (asprintf(&temporary, "%s.part", path) < 0)
			return mdfh_error(-ENOMEM, "reference book: a name for %s", path);
		name = temporary;
	}
	stream = fopen(name, "we");
	if (!stream) {
		err = mdfh_error_errno(-errno, "reference book: %s", name);
		goto out_free;
	}
	err = mdfh_refbook_write(book, stream);
	if (err)
		mdfh_error(err, "%s: %s", path, mdfh_error_text());
	if (fclose(stream) && !err)
		err = mdfh_error_errno(-errno, "reference book: %s", name);
	if (!err && temporary && rename(temporary, path))
		err = mdfh_error_errno(-errno, "reference book: rename %s", temporary);
	if (err && temporary)
		unlink(temporary);
out_free:
	free(temporary);
	return err;
}
