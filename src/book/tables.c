/* tables.c - the paths of the order and level tables that are not taken often, and queues longer
 * than what a level holds itself.
 *
 * Both tables are open addressing without moves: what does not fit its home goes to a second
 * place by a strong hash and from there to the next. A place counts what went past it, so that
 * a search stops where nothing did, and no tombstones are needed. A counter that reached its
 * limit stays there: searches then go one step further than they must. */
#include "book/books.h"

/* Kept out of the functions that messages call, which would save registers for it. */
#define SELDOM __attribute__((noinline, cold))

/* Orders -------------------------------------------------------------------------------------- */

enum { ORDER_STICKY = 255 };

static uint32_t order_search_bucket(const struct mdfh_books *books, uint64_t bucket, uint64_t key)
{
	for (uint32_t i = 0; i < ORDERS_PER_BUCKET; i++) {
		uint32_t order = (uint32_t)(bucket * ORDERS_PER_BUCKET) + i;

		if (books->orders[order].where && books->orders[order].key == key)
			return order;
	}
	return 0;
}

uint32_t mdfh_book_order_find_slow(const struct mdfh_books *books, uint64_t key)
{
	uint64_t bucket = order_bucket(books, key);

	/* The table is never more than two thirds full, so a bucket that nothing passed comes. */
	for (unsigned step = 0;; step = 1) {
		uint32_t order = order_search_bucket(books, bucket, key);

		if (order || !books->order_overflow[bucket])
			return order;
		bucket = order_bucket_next(books, key, bucket, step);
	}
}

uint32_t mdfh_book_order_insert_slow(struct mdfh_books *books, uint64_t key)
{
	uint64_t bucket = order_bucket(books, key);

	for (unsigned step = 0;; step = 1) {
		struct order *o = &books->orders[bucket * ORDERS_PER_BUCKET];

		for (uint32_t i = 0; i < ORDERS_PER_BUCKET; i++) {
			if (!o[i].where) {
				o[i].key = key;
				return (uint32_t)(bucket * ORDERS_PER_BUCKET) + i;
			}
		}
		if (books->order_overflow[bucket] < ORDER_STICKY)
			books->order_overflow[bucket]++;
		bucket = order_bucket_next(books, key, bucket, step);
	}
}

void mdfh_book_order_remove_overflown(struct mdfh_books *books, uint32_t order)
{
	uint64_t key = books->orders[order].key;
	uint64_t bucket = order_bucket(books, key);

	for (unsigned step = 0; bucket != order / ORDERS_PER_BUCKET; step = 1) {
		if (books->order_overflow[bucket] < ORDER_STICKY)
			books->order_overflow[bucket]--;
		bucket = order_bucket_next(books, key, bucket, step);
	}
}

/* Levels -------------------------------------------------------------------------------------- */

static uint32_t level_second(const struct mdfh_books *books, uint32_t id, int64_t price)
{
	uint64_t h = ((uint64_t)price ^ (uint64_t)id << 40) * 0x9E3779B97F4A7C15u;

	h = (h ^ h >> 29) * 0xBF58476D1CE4E5B9u;
	return ((uint32_t)(h >> 32) & books->level_mask) + 1;
}

static uint32_t level_next(
    const struct mdfh_books *books, uint32_t id, int64_t price, uint32_t slot, unsigned step)
{
	return step == 0 ? level_second(books, id, price) : (slot & books->level_mask) + 1;
}

uint32_t mdfh_book_level_find_slow(const struct mdfh_books *books, uint32_t id, int64_t price)
{
	uint32_t slot = level_home(books, &books->books[id >> 1], price);

	for (unsigned step = 0;; step = 1) {
		const struct level *level = &books->levels[slot];

		if (level->price == price && (level->book & BOOK_MASK) == id)
			return slot;
		if (!(level->book >> OVERFLOW_SHIFT))
			return 0;
		slot = level_next(books, id, price, slot, step);
	}
}

static SELDOM uint32_t level_insert_slow(
    struct mdfh_books *books, uint32_t id, int64_t price, uint32_t slot)
{
	for (unsigned step = 0;; step = 1) {
		struct level *level = &books->levels[slot];

		if (!(level->book & BOOK_MASK))
			return slot;
		if (level->book >> OVERFLOW_SHIFT < OVERFLOW_STICKY)
			level->book += 1u << OVERFLOW_SHIFT;
		slot = level_next(books, id, price, slot, step);
	}
}

static inline uint32_t level_insert(
    struct mdfh_books *books, const struct book *book, uint32_t id, int64_t price)
{
	uint32_t slot = level_home(books, book, price);

	if (__builtin_expect(books->levels[slot].book & BOOK_MASK, 0))
		slot = level_insert_slow(books, id, price, slot);
	books->levels[slot].book |= id;
	books->levels[slot].price = price;
	return slot;
}

static SELDOM void level_remove_overflown(
    struct mdfh_books *books, uint32_t id, uint32_t slot, uint32_t found)
{
	int64_t price = books->levels[found].price;

	for (unsigned step = 0; slot != found; step = 1) {
		struct level *level = &books->levels[slot];

		if (level->book >> OVERFLOW_SHIFT < OVERFLOW_STICKY)
			level->book -= 1u << OVERFLOW_SHIFT;
		slot = level_next(books, id, price, slot, step);
	}
}

static inline void level_remove(
    struct mdfh_books *books, const struct book *book, uint32_t id, uint32_t found)
{
	uint32_t slot = level_home(books, book, books->levels[found].price);

	if (__builtin_expect(slot != found, 0))
		level_remove_overflown(books, id, slot, found);
	books->levels[found].book &= ~BOOK_MASK;
}

/* Far levels: a treap by key, its priorities a hash of the slot -------------------------------- */

static int64_t slot_key(const struct mdfh_books *books, uint32_t slot)
{
	const struct level *level = &books->levels[slot];

	return price_key(level->price, level->book & 1);
}

static uint32_t far_priority(uint32_t slot)
{
	return slot * 0x9E3779B1u;
}

static SELDOM void far_insert(struct mdfh_books *books, struct ladder *ladder, uint32_t slot)
{
	struct far_node *nodes = books->far_nodes;
	int64_t key = slot_key(books, slot);
	uint32_t *link = &ladder->far_root;
	uint32_t *worse = &nodes[slot].worse;
	uint32_t *better = &nodes[slot].better;
	uint32_t rest;

	while (*link && far_priority(*link) >= far_priority(slot))
		link = slot_key(books, *link) < key ? &nodes[*link].better : &nodes[*link].worse;
	/* Split what is below by key: the two halves become the children. */
	rest = *link;
	*link = slot;
	while (rest) {
		if (slot_key(books, rest) < key) {
			*worse = rest;
			worse = &nodes[rest].better;
			rest = *worse;
		} else {
			*better = rest;
			better = &nodes[rest].worse;
			rest = *better;
		}
	}
	*worse = 0;
	*better = 0;
}

static SELDOM void far_remove(struct mdfh_books *books, struct ladder *ladder, uint32_t slot)
{
	struct far_node *nodes = books->far_nodes;
	int64_t key = slot_key(books, slot);
	uint32_t *link = &ladder->far_root;
	uint32_t worse = nodes[slot].worse, better = nodes[slot].better;

	while (*link != slot)
		link = slot_key(books, *link) < key ? &nodes[*link].better : &nodes[*link].worse;
	while (worse && better) {
		if (far_priority(worse) > far_priority(better)) {
			*link = worse;
			link = &nodes[worse].better;
			worse = *link;
		} else {
			*link = better;
			link = &nodes[better].worse;
			better = *link;
		}
	}
	*link = worse ? worse : better;
}

/* The best far level worse than key, or 0. */
static uint32_t far_worse(const struct mdfh_books *books, const struct ladder *ladder, int64_t key)
{
	uint32_t slot = ladder->far_root, found = 0;

	while (slot) {
		if (slot_key(books, slot) < key) {
			found = slot;
			slot = books->far_nodes[slot].better;
		} else {
			slot = books->far_nodes[slot].worse;
		}
	}
	return found;
}

/* The ring ------------------------------------------------------------------------------------ */

static int is_near(const struct ladder *ladder, int64_t tick)
{
	return (uint64_t)tick - (uint64_t)ladder->low < LADDER_TICKS;
}

static void ring_set(struct ladder *ladder, struct ring *ring, int64_t tick)
{
	unsigned word = (unsigned)((uint64_t)tick >> 6) % LADDER_WORDS;

	ring->bits[word] |= UINT64_C(1) << ((uint64_t)tick & 63);
	ladder->words |= 1u << word;
}

static void ring_clear(struct ladder *ladder, struct ring *ring, int64_t tick)
{
	unsigned word = (unsigned)((uint64_t)tick >> 6) % LADDER_WORDS;
	uint64_t rest = ring->bits[word] & ~(UINT64_C(1) << ((uint64_t)tick & 63));

	ring->bits[word] = rest;
	ladder->words &= ~((uint32_t)!rest << word);
}

/* Words of the ring that are not zero, the worst one's bit the lowest. */
static uint32_t ring_words(const struct ladder *ladder)
{
	unsigned first = (unsigned)((uint64_t)ladder->low >> 6) % LADDER_WORDS;

	return (ladder->words | ladder->words << LADDER_WORDS) >> first & 0xffff;
}

/* The best tick in those of its words, which are not none. */
static int64_t ring_best(const struct ladder *ladder, const struct ring *ring, uint32_t words)
{
	unsigned word = 31 - (unsigned)__builtin_clz(words);
	int64_t tick = ladder->low + (int64_t)(word * 64u);
	uint64_t bits = ring->bits[((uint64_t)tick >> 6) % LADDER_WORDS];

	return tick + 63 - __builtin_clzll(bits);
}

/* The best tick in the ring worse than tick: 1, or 0. */
static int ring_worse(
    const struct ladder *ladder, const struct ring *ring, int64_t tick, int64_t *found)
{
	uint32_t words = ring_words(ladder);

	if (tick <= ladder->low)
		return 0;
	if (is_near(ladder, tick)) {
		unsigned last = (unsigned)(((uint64_t)tick - (uint64_t)ladder->low) >> 6);
		uint64_t bits = ring->bits[((uint64_t)tick >> 6) % LADDER_WORDS] &
				((UINT64_C(1) << ((uint64_t)tick & 63)) - 1);

		if (bits) {
			*found = (tick & ~INT64_C(63)) + 63 - __builtin_clzll(bits);
			return 1;
		}
		words &= (1u << last) - 1;
	}
	if (!words)
		return 0;
	*found = ring_best(ladder, ring, words);
	return 1;
}

/* Ladders ------------------------------------------------------------------------------------- */

static int64_t tick_price(const struct book *book, int64_t tick, unsigned sell)
{
	return price_key(tick, sell) * (int64_t)book->tick;
}

static int64_t price_tick_key(const struct book *book, int64_t price, unsigned sell)
{
	return price_key(price_tick(book, price), sell);
}

uint32_t mdfh_book_level_worse(const struct mdfh_books *books, uint32_t id, int64_t key)
{
	const struct book *book = &books->books[id >> 1];
	unsigned sell = id & 1;
	const struct ladder *ladder = &book->ladders[sell];
	uint32_t slot = 0;
	int64_t tick = INT64_MAX, found;

	if (!ladder->levels)
		return 0;
	if (ladder->far_root)
		slot = far_worse(books, ladder, key);
	if (key != INT64_MAX)
		tick = price_tick_key(book, price_key(key, sell), sell);
	if (ring_worse(ladder, &book->rings[sell], tick, &found)) {
		int64_t price = tick_price(book, found, sell);

		if (!slot || price_key(price, sell) > slot_key(books, slot))
			slot = level_find(books, book, id, price);
	}
	return slot;
}

/* Key of the best level. Looks at no level unless one is far. */
static int64_t best_key(const struct mdfh_books *books, uint32_t id)
{
	const struct book *book = &books->books[id >> 1];
	unsigned sell = id & 1;
	const struct ladder *ladder = &book->ladders[sell];
	uint32_t words = ring_words(ladder);
	int64_t key = KEY_NONE;

	if (words)
		key = price_key(
		    tick_price(book, ring_best(ladder, &book->rings[sell], words), sell), sell);
	if (ladder->far_root) {
		int64_t far = slot_key(books, far_worse(books, ladder, INT64_MAX));

		key = far > key ? far : key;
	}
	return key;
}

static inline void ladder_insert(
    struct mdfh_books *books, struct book *book, unsigned sell, uint32_t slot, int64_t tick)
{
	struct ladder *ladder = &book->ladders[sell];

	if (!ladder->levels++) {
		ladder->low = (int64_t)(((uint64_t)tick - LADDER_TICKS * 3 / 4) & ~UINT64_C(63));
		ladder->misses = 0;
	}
	if (__builtin_expect(is_near(ladder, tick), 1)) {
		ring_set(ladder, &book->rings[sell], tick);
		return;
	}
	far_insert(books, ladder, slot);
	ladder->misses++;
}

static inline void ladder_remove(
    struct mdfh_books *books, struct book *book, unsigned sell, uint32_t slot, int64_t tick)
{
	struct ladder *ladder = &book->ladders[sell];

	ladder->levels--;
	if (__builtin_expect(is_near(ladder, tick), 1)) {
		ring_clear(ladder, &book->rings[sell], tick);
		return;
	}
	far_remove(books, ladder, slot);
	ladder->misses++;
}

/* First tick of a ring that has the touch a quarter from its better end. */
static int64_t ring_around(const struct book *book, unsigned sell)
{
	uint64_t tick = (uint64_t)price_tick_key(book, price_key(book->best[sell], sell), sell);

	return (int64_t)((tick - LADDER_TICKS * 3 / 4) & ~UINT64_C(63));
}

static void set_tick(struct book *book, uint32_t tick)
{
	book->tick = tick;
	book->tick_magic = ((UINT64_C(1) << 32) + tick - 1) / tick;
}

/* Change the tick and put every level of a side back into its ladder, around the touch. The far
 * nodes, of which none is in use meanwhile, hold the list. */
static SELDOM void ladder_rebuild(struct mdfh_books *books, uint32_t id, uint32_t tick)
{
	struct book *book = &books->books[id >> 1];
	unsigned sell = id & 1;
	struct ladder *ladder = &book->ladders[sell];
	uint32_t list = 0, slot;

	while ((slot = mdfh_book_level_worse(books, id, INT64_MAX)) != 0) {
		ladder_remove(
		    books, book, sell, slot, price_tick_key(book, books->levels[slot].price, sell));
		books->far_nodes[slot].worse = list;
		list = slot;
	}
	set_tick(book, tick);
	ladder->low = ring_around(book, sell);
	ladder->misses = 0;
	for (slot = list; slot; slot = list) {
		int64_t key = price_tick_key(book, books->levels[slot].price, sell);

		list = books->far_nodes[slot].worse;
		ladder->levels++;
		if (is_near(ladder, key))
			ring_set(ladder, &book->rings[sell], key);
		else
			far_insert(books, ladder, slot);
	}
}

/* Ticks --------------------------------------------------------------------------------------- */

static uint32_t tick_common(uint32_t tick, int64_t price)
{
	uint64_t a = price < 0 ? 0 - (uint64_t)price : (uint64_t)price;
	uint64_t b = tick;

	while (a) {
		uint64_t rest = b % a;

		b = a;
		a = rest;
	}
	return (uint32_t)b;
}

/* The tick of a book is what every price so far is a multiple of: the table's tick or a hundredth
 * of the currency at first, smaller as soon as a price asks for it (at most 32 times). */
static SELDOM void learn_tick(struct mdfh_books *books, uint32_t instrument, int64_t price)
{
	struct book *book = &books->books[instrument];
	uint32_t tick = book->tick;

	if (!book->tick) {
		const struct mdfh_instrument *row =
		    mdfh_instruments_get(books->instruments, instrument);
		int64_t first = 100;

		if (row->price_scale > 0) {
			first = row->tick > 0 ? row->tick : 10000000;
			first = first % row->price_scale ? 1 : first / row->price_scale;
		}
		if (first < 1 || first > 100000000)
			first = 1;
		set_tick(book, tick_common((uint32_t)first, price));
		book->home_magic = book->tick_magic;
		/* Multiples of the golden ratio spread any number of books evenly; the first
		 * price of a book stands in the middle of its share. */
		book->base = (instrument * 0x9E3779B1u >> books->level_shift) -
			     (uint32_t)tick_guess(book->home_magic, price);
		return;
	}
	for (unsigned sell = 0; sell < 2; sell++) {
		/* Each side is rebuilt from the old tick to the new one. */
		set_tick(book, tick);
		if (book->ladders[sell].levels)
			ladder_rebuild(books, instrument * 2 + sell, tick_common(tick, price));
	}
	set_tick(book, tick_common(tick, price));
}

uint32_t mdfh_book_level_create(struct mdfh_books *books, uint32_t id, int64_t price)
{
	struct book *book = &books->books[id >> 1];
	unsigned sell = id & 1;
	struct ladder *ladder = &book->ladders[sell];
	int64_t key = price_key(price, sell);
	struct level *level;
	int64_t tick;
	uint32_t slot;

	if (__builtin_expect(books->stats.levels == books->levels_max, 0))
		return 0;
	tick = book->tick ? price_tick(book, price) : 0;
	if (__builtin_expect(!book->tick || tick * (int64_t)book->tick != price, 0)) {
		learn_tick(books, id >> 1, price);
		tick = price_tick(book, price);
	}
	slot = level_insert(books, book, id, price);
	level = &books->levels[slot];
	level->quantity = 0;
	level->orders = 0;
	ladder_insert(books, book, sell, slot, price_key(tick, sell));
	book->best[sell] = key > book->best[sell] ? key : book->best[sell];
	if (++books->stats.levels > books->stats.levels_peak)
		books->stats.levels_peak = books->stats.levels;
	/* Centring costs as much as the side has levels; it is paid for by as many misses. */
	if (__builtin_expect(ladder->misses > 64 && ladder->misses > ladder->levels, 0)) {
		ladder->misses = 0;
		if (ring_around(book, sell) != ladder->low)
			ladder_rebuild(books, id, book->tick);
	}
	return slot;
}

void mdfh_book_level_destroy(struct mdfh_books *books, uint32_t slot)
{
	struct level *level = &books->levels[slot];
	uint32_t id = level->book & BOOK_MASK;
	unsigned sell = id & 1;
	struct book *book = &books->books[id >> 1];
	int64_t price = level->price;

	ladder_remove(books, book, sell, slot, price_tick_key(book, price, sell));
	level_remove(books, book, id, slot);
	books->stats.levels--;
	if (price_key(price, sell) == book->best[sell])
		book->best[sell] = best_key(books, id);
}

/* Long queues --------------------------------------------------------------------------------- */

static void chunk_free(struct mdfh_books *books, uint32_t chunk)
{
	struct chunk *c = &books->chunks[chunk];
	struct level *level = &books->levels[c->level];

	if (c->previous)
		books->chunks[c->previous].next = c->next;
	else
		level->first = c->next;
	if (c->next)
		books->chunks[c->next].previous = c->previous;
	else
		level->last = c->previous;
	c->next = books->chunk_free;
	c->orders = 0;
	books->chunk_free = chunk;
}

void mdfh_book_queue_append_chunk(struct mdfh_books *books, uint32_t slot, uint32_t order)
{
	struct level *level = &books->levels[slot];
	uint32_t chunk = level->last;
	struct chunk *c = &books->chunks[chunk];

	if (!chunk || c->orders == CHUNK_QUEUE) {
		/* There is one: see CHUNK_MERGE. */
		chunk = books->chunk_free;
		c = &books->chunks[chunk];
		books->chunk_free = c->next;
		*c = (struct chunk){.level = slot, .previous = level->last};
		if (level->last)
			books->chunks[level->last].next = chunk;
		else
			level->first = chunk;
		level->last = chunk;
	}
	c->queue[c->orders++] = order;
	books->orders[order].where = WHERE_CHUNK | chunk;
}

/* Move every order of chunk from behind those of chunk into, its predecessor. */
static void chunk_merge(struct mdfh_books *books, uint32_t into, uint32_t from)
{
	struct chunk *a = &books->chunks[into];
	struct chunk *b = &books->chunks[from];

	for (uint32_t i = 0; i < b->orders; i++) {
		a->queue[a->orders++] = b->queue[i];
		books->orders[b->queue[i]].where = WHERE_CHUNK | into;
	}
	chunk_free(books, from);
}

/* An order was erased from a level with a chunk and few orders: see CHUNK_HOME. */
void mdfh_book_queue_settle(struct mdfh_books *books, uint32_t slot)
{
	struct level *level = &books->levels[slot];
	uint32_t chunk = level->first;
	struct chunk *c = &books->chunks[chunk];
	uint32_t own = 0;

	if (chunk != level->last)
		return;
	while (own < LEVEL_QUEUE && level->queue[own])
		own++;
	if (own + c->orders > CHUNK_HOME)
		return;
	for (uint32_t i = 0; i < c->orders; i++) {
		level->queue[own++] = c->queue[i];
		books->orders[c->queue[i]].where = slot;
	}
	chunk_free(books, chunk);
}

void mdfh_book_queue_erase_chunk(struct mdfh_books *books, uint32_t order)
{
	uint32_t chunk = books->orders[order].where & ~WHERE_CHUNK;
	struct chunk *c = &books->chunks[chunk];
	uint32_t slot = c->level;

	queue_erase(c->queue, CHUNK_QUEUE / 4, order);
	c->orders--;
	if (!c->orders)
		chunk_free(books, chunk);
	else if (c->orders >= CHUNK_MERGE)
		return;
	else if (c->previous && books->chunks[c->previous].orders + c->orders <= CHUNK_MERGE)
		chunk_merge(books, c->previous, chunk);
	else if (c->next && books->chunks[c->next].orders + c->orders <= CHUNK_MERGE)
		chunk_merge(books, chunk, c->next);
	if (books->levels[slot].first && books->levels[slot].orders <= CHUNK_HOME + 1)
		mdfh_book_queue_settle(books, slot);
}
