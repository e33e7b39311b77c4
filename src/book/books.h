/* books.h - how books lie in memory. Internal to src/book.
 *
 * Every message touches lines that are not in the cache; what costs is how many, and whether
 * their addresses are known early enough to prefetch. So:
 *
 *   order     16 bytes in a hash bucket of one line. It never moves: its index is its name.
 *             Consecutive order ids share buckets, because venues count up and new orders are
 *             the ones that are touched again. An order names its level or its chunk.
 *   level     one line, in a hash table keyed by (instrument, side, price) whose home slots lay
 *             neighbouring ticks of a book side by side. It holds the first 8 orders of its
 *             queue itself, dense and in order: an add or delete there touches no other order.
 *   chunk     one line, the rest of a longer queue, 12 orders each, a list per level.
 *   book      seven lines per instrument, side by side because each page that is touched costs
 *             as much as a line: both best prices and what finds a level; the ladders; the
 *             day's totals; the rings.
 *   ladder    per side of a book: which prices have a level. A ring of 1024 bits around the
 *             touch; the few levels outside it are in a treap, so that a stub quote costs
 *             neither memory nor a walk.
 *
 * Prices of sells are complemented ("key"), so that a greater key is better on both sides and
 * no branch asks for the side. */
#ifndef MDFH_BOOK_BOOKS_H
#define MDFH_BOOK_BOOKS_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "mdfh/book.h"
#include "mdfh/memory.h"
#include "proto/op.h"

/* Shapes -------------------------------------------------------------------------------------- */

enum {
	PRICE_BITS = 62, /* prices beyond 2^62 venue units are refused */
	ORDERS_PER_BUCKET = 4,
	LEVEL_QUEUE = 8,
	CHUNK_QUEUE = 12,
	/* Neighbouring chunks that hold no more than this together become one, and a level with
	 * one chunk and no more than CHUNK_HOME orders takes them back: at least 10 orders stand
	 * behind 3 chunks, which bounds how many chunks there can be. */
	CHUNK_MERGE = 8,
	CHUNK_HOME = 5,
	LADDER_TICKS = 1024,
	LADDER_WORDS = LADDER_TICKS / 64,
	OVERFLOW_STICKY = 63, /* of a level slot; a counter that got here stays */
};

#define WHERE_CHUNK 0x80000000u /* order.where: a chunk, else a level */

struct order {
	uint64_t key; /* order id, mixed with the channel; 0 in a free slot */
	uint32_t quantity;
	uint32_t where; /* level, or WHERE_CHUNK | chunk; 0 = slot is free */
};

struct level {
	int64_t price; /* the venue's */
	uint64_t quantity;
	uint32_t book; /* BOOK_MASK: instrument * 2 + (sell), 0 = free; above: overflow */
	uint32_t orders;
	uint32_t first; /* chunk, 0 = none */
	uint32_t last;
	uint32_t queue[LEVEL_QUEUE]; /* orders, head first, then zeros */
};

#define BOOK_MASK      0x03ffffffu
#define OVERFLOW_SHIFT 26

struct chunk {
	uint32_t level;
	uint32_t orders;
	uint32_t previous;
	uint32_t next; /* also links the free chunks */
	uint32_t queue[CHUNK_QUEUE];
};

#define KEY_NONE INT64_MIN /* best key of an empty side */

struct ladder {
	int64_t low;       /* first tick key of the ring, a multiple of 64 */
	uint32_t levels;   /* near and far */
	uint32_t far_root; /* level, 0 = none is far */
	uint32_t misses;   /* far inserts and removes since the ring was last centred */
	uint32_t words;    /* bit per word of the ring that is not zero */
};

struct ring {
	uint64_t bits[LADDER_WORDS]; /* tick key modulo LADDER_TICKS */
};

struct totals {
	uint64_t volume;
	uint64_t trades;
	uint64_t broken;
	int64_t last_price; /* the venue's */
	uint64_t last_quantity;
	uint64_t has_last;
	uint64_t reserved[2];
};

struct book {
	int64_t best[2];     /* keys */
	int64_t scale;       /* of the instrument; 0 = not yet known */
	uint64_t home_magic; /* 2^32 / tick at the first level, rounded up: lays out home slots */
	uint64_t tick_magic; /* the same of tick */
	uint32_t tick;       /* venue units; every price so far is a multiple. 0 = no price yet */
	uint32_t base;       /* home slot of tick 0 */
	uint32_t unsound;    /* generation of the channel in which this book broke; 0 = none */
	uint16_t channel;    /* that its orders come on */
	uint16_t reserved[5];
	struct ladder ladders[2];
	uint64_t reserved2[2];
	struct totals totals;
	struct ring rings[2];
};

struct far_node { /* stands beside the level of the same slot */
	uint32_t worse;
	uint32_t better;
};

struct channel {
	uint64_t missing;    /* messages lost and not recovered */
	uint32_t generation; /* rises when books start anew; never 0 */
	uint16_t day_seen;
	uint16_t day_over; /* books are those of a day that has ended */
};

struct trade {
	uint64_t match_id;
	uint64_t quantity;
	uint32_t instrument; /* 0 = free */
	uint32_t next;       /* trade + 1 of the same hash */
	uint16_t channel;
	uint16_t reserved;
	uint32_t generation; /* of the channel: venues give match numbers anew each day */
};

static_assert(sizeof(struct order) == 16, "four orders, one line");
static_assert(sizeof(struct level) == 64, "one level, one line");
static_assert(sizeof(struct chunk) == 64, "one chunk, one line");
static_assert(offsetof(struct book, ladders) == 64, "a line without its ladders");
static_assert(offsetof(struct book, totals) == 128, "a line of ladders");
static_assert(sizeof(struct totals) == 64, "one line");
static_assert(sizeof(struct ring) == 128, "two lines");
static_assert(sizeof(struct book) == 448, "an odd number of lines: books share no cache sets");

struct mdfh_books {
	struct order *orders;
	uint8_t *order_overflow; /* per bucket: orders that went past it; 255 stays */
	struct level *levels;
	struct far_node *far_nodes;
	struct chunk *chunks;
	struct book *books;
	struct channel *channels;
	struct trade *trades;
	uint32_t *trade_heads;
	const struct mdfh_origin *origins;
	uint64_t order_mask; /* buckets - 1 */
	uint32_t level_mask; /* slots - 1 */
	uint32_t level_shift;
	uint32_t orders_max;
	uint32_t levels_max;
	uint32_t chunk_free;
	uint32_t instruments_max; /* rows below this have a book */
	uint32_t trades_max;
	uint32_t trade_next;
	uint32_t trade_mask;
	uint32_t part; /* events already made of the message that goes on */
	uint32_t sound_at_start;
	struct mdfh_instruments *instruments;
	struct mdfh_books_stats stats;
	struct mdfh_region region;
};

/* Keys and ticks ------------------------------------------------------------------------------ */

static inline int64_t price_key(int64_t price, unsigned sell)
{
	return price ^ -(int64_t)sell;
}

/* Exact for every multiple of the tick from 0 to 2^32 - 1, which is where prices are; anything
 * for other prices. */
static inline int64_t tick_guess(uint64_t magic, int64_t price)
{
	return (int64_t)(((uint64_t)(uint32_t)price * magic) >> 32);
}

static inline int64_t price_tick(const struct book *book, int64_t price)
{
	if (__builtin_expect((uint64_t)price <= UINT32_MAX, 1))
		return tick_guess(book->tick_magic, price);
	return price / (int64_t)book->tick;
}

/* Order table --------------------------------------------------------------------------------- */

static inline uint64_t order_key(uint64_t order_id, uint16_t channel)
{
	return order_id ^ channel * 0x9E3779B97F4A7C15u;
}

/* Buckets start at 1, so that index 0 means "no order". High bits are folded in for venues that
 * put a session or unit number there. */
static inline uint64_t order_bucket(const struct mdfh_books *books, uint64_t key)
{
	return (((key >> 2) ^ (key >> 40)) & books->order_mask) + 1;
}

static inline uint64_t order_bucket_next(
    const struct mdfh_books *books, uint64_t key, uint64_t bucket, unsigned step)
{
	if (step == 0)
		return ((key * 0x9E3779B97F4A7C15u >> 24) & books->order_mask) + 1;
	return (bucket & books->order_mask) + 1;
}

/* Index of the order in the bucket of which first is the first, or 0. A free slot has key 0, so
 * order key 0 needs a look at where; index 0 then says so. */
static inline uint32_t order_in_bucket(const struct mdfh_books *books, uint32_t first, uint64_t key)
{
	const struct order *o = &books->orders[first];
	uint32_t index = 0;

	index = o[3].key == key ? 3 : index;
	index = o[2].key == key ? 2 : index;
	index = o[1].key == key ? 1 : index;
	index = o[0].key == key ? 0 : index;
	return o[index].key == key && o[index].where ? first + index : 0;
}

uint32_t mdfh_book_order_find_slow(const struct mdfh_books *books, uint64_t key);

static inline uint32_t order_find(const struct mdfh_books *books, uint64_t key)
{
	uint64_t bucket = order_bucket(books, key);
	uint32_t order = order_in_bucket(books, (uint32_t)bucket * ORDERS_PER_BUCKET, key);

	if (__builtin_expect(order != 0, 1))
		return order;
	if (__builtin_expect(!books->order_overflow[bucket] && key, 1))
		return 0;
	return mdfh_book_order_find_slow(books, key);
}

uint32_t mdfh_book_order_insert_slow(struct mdfh_books *books, uint64_t key);

/* A slot for an order that is not there; its where is the caller's to set. */
static inline uint32_t order_insert(struct mdfh_books *books, uint64_t key)
{
	uint32_t order = (uint32_t)order_bucket(books, key) * ORDERS_PER_BUCKET;
	struct order *o = &books->orders[order];
	uint32_t index = 3;

	index = o[2].where ? index : 2;
	index = o[1].where ? index : 1;
	index = o[0].where ? index : 0;
	if (__builtin_expect(o[index].where != 0, 0))
		return mdfh_book_order_insert_slow(books, key);
	o[index].key = key;
	return order + index;
}

void mdfh_book_order_remove_overflown(struct mdfh_books *books, uint32_t order);

static inline void order_remove(struct mdfh_books *books, uint32_t order)
{
	struct order *o = &books->orders[order];

	if (__builtin_expect(order_bucket(books, o->key) != order / ORDERS_PER_BUCKET, 0))
		mdfh_book_order_remove_overflown(books, order);
	o->key = 0;
	o->where = 0;
	books->stats.orders--;
}

/* Level table --------------------------------------------------------------------------------- */

static inline uint32_t level_home(
    const struct mdfh_books *books, const struct book *book, int64_t price)
{
	return ((book->base + (uint32_t)tick_guess(book->home_magic, price)) & books->level_mask) +
	       1;
}

uint32_t mdfh_book_level_find_slow(const struct mdfh_books *books, uint32_t id, int64_t price);

/* id = instrument * 2 + sell. Slot of the level, or 0. */
static inline uint32_t level_find(
    const struct mdfh_books *books, const struct book *book, uint32_t id, int64_t price)
{
	uint32_t slot = level_home(books, book, price);
	const struct level *level = &books->levels[slot];

	if (__builtin_expect(level->price == price && (level->book & BOOK_MASK) == id, 1))
		return slot;
	if (__builtin_expect(!(level->book >> OVERFLOW_SHIFT), 1))
		return 0;
	return mdfh_book_level_find_slow(books, id, price);
}

/* A new level, empty, in its ladder. 0 = the table is full. */
uint32_t mdfh_book_level_create(struct mdfh_books *books, uint32_t id, int64_t price);
/* The level is empty: take it out of its ladder and free its slot. */
void mdfh_book_level_destroy(struct mdfh_books *books, uint32_t slot);
/* Slot of the level next worse than key, which is a multiple of the tick; INT64_MAX gives the
 * best. 0 = none. */
uint32_t mdfh_book_level_worse(const struct mdfh_books *books, uint32_t id, int64_t key);

/* Queues -------------------------------------------------------------------------------------- */

/* Append an order to its level and set order.where; the level's sums are the caller's. */
void mdfh_book_queue_append_chunk(struct mdfh_books *books, uint32_t slot, uint32_t order);
void mdfh_book_queue_erase_chunk(struct mdfh_books *books, uint32_t order);
void mdfh_book_queue_settle(struct mdfh_books *books, uint32_t slot);

static inline uint32_t queue_level(const struct mdfh_books *books, uint32_t where)
{
	return where & WHERE_CHUNK ? books->chunks[where & ~WHERE_CHUNK].level : where;
}

static inline uint32_t queue_head(const struct mdfh_books *books, const struct level *level)
{
	if (level->queue[0] || !level->first)
		return level->queue[0];
	return books->chunks[level->first].queue[0];
}

typedef uint32_t queue_vector __attribute__((vector_size(16)));

/* Erase one entry of a dense array and close the hole, without a branch: everything from the
 * entry on takes its right neighbour's place. */
static inline __attribute__((always_inline)) void queue_erase(
    uint32_t *queue, unsigned vectors, uint32_t entry)
{
	queue_vector *v = (queue_vector *)(void *)queue;
	queue_vector wanted = {entry, entry, entry, entry};
	queue_vector zero = {0};
	queue_vector passed = zero;
	queue_vector current = v[0];

	for (unsigned i = 0; i < vectors; i++) {
		queue_vector next = i + 1 < vectors ? v[i + 1] : zero;
		queue_vector from = (queue_vector)(current == wanted);

		from |= __builtin_shufflevector(zero, from, 0, 4, 5, 6);
		from |= __builtin_shufflevector(zero, from, 0, 0, 4, 5);
		from |= passed;
		passed = __builtin_shufflevector(from, from, 3, 3, 3, 3);
		v[i] =
		    (__builtin_shufflevector(current, next, 1, 2, 3, 4) & from) | (current & ~from);
		current = next;
	}
}

static inline void queue_append(struct mdfh_books *books, uint32_t slot, uint32_t order)
{
	struct level *level = &books->levels[slot];

	if (__builtin_expect(level->orders < LEVEL_QUEUE && !level->last, 1)) {
		level->queue[level->orders] = order;
		books->orders[order].where = slot;
		return;
	}
	mdfh_book_queue_append_chunk(books, slot, order);
}

/* Take an order out of its queue; the level's sums are the caller's, after this. */
static inline void queue_remove(struct mdfh_books *books, uint32_t slot, uint32_t order)
{
	struct level *level = &books->levels[slot];

	if (__builtin_expect(books->orders[order].where & WHERE_CHUNK, 0)) {
		mdfh_book_queue_erase_chunk(books, order);
		return;
	}
	queue_erase(level->queue, LEVEL_QUEUE / 4, order);
	if (__builtin_expect(level->first && level->orders <= CHUNK_HOME + 1, 0))
		mdfh_book_queue_settle(books, slot);
}

/* Trades -------------------------------------------------------------------------------------- */

void mdfh_book_trade_keep(struct mdfh_books *books, uint16_t channel, uint64_t match_id,
    uint32_t instrument, uint64_t quantity);
/* Removes the trade from its store: 1, or 0 when it is not kept. */
int mdfh_book_trade_take(struct mdfh_books *books, uint16_t channel, uint64_t match_id,
    uint32_t *instrument, uint64_t *quantity);

/* Whole books --------------------------------------------------------------------------------- */

/* Empty one side, or both, of a book. Cost: its orders. */
void mdfh_book_clear_level(struct mdfh_books *books, uint32_t slot);
void mdfh_book_clear_side(struct mdfh_books *books, uint32_t id);
void mdfh_book_clear_channel(struct mdfh_books *books, uint16_t channel);

static inline int book_is_sound(const struct channel *channel, const struct book *book)
{
	return channel->day_seen && !channel->missing && book->unsound != channel->generation;
}

#endif
