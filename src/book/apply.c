/* apply.c - ops to books and events: the hot path.
 *
 * Three stages of prefetch run ahead of the op that is applied. They only guess: they read what
 * is there now, and an op in between may change it, so the op itself looks again, by then in the
 * cache. They have no branch on the kind of op, which would be mispredicted once more each: what
 * an op does not have is row, level, chunk or order 0, which nobody uses. */
#include "book/apply_state.h"

enum {
	AHEAD_FIRST = 24,  /* ops: buckets of the orders, book */
	AHEAD_SECOND = 16, /* level or chunk that the order names, level that the price has */
	AHEAD_THIRD = 8,   /* what those name: ring of the level, ends of its queue */
	AHEAD_MASK = 31,
};

/* What the stages found out about an op. */
struct ahead {
	const struct book *book; /* that the op names */
	uint64_t key;            /* of the order */
	uint32_t order;          /* first of its bucket, then where it was found; 0 = nowhere */
	uint32_t home;           /* of the level that an add or a replacement comes to; 0 = none */
};

static const struct mdfh_origin no_origin;

/* Orders -------------------------------------------------------------------------------------- */

/* Rest an order, whose instrument is good. Says what is wrong and does nothing then. */
static ALWAYS_INLINE void add_order(
    struct run *run, const struct mdfh_op *op, uint32_t id, uint64_t order_id, unsigned flags)
{
	struct mdfh_books *books = run->books;
	struct book *book = &books->books[id >> 1];
	uint64_t key = order_key(order_id, run->origin->channel);
	uint32_t quantity = (uint32_t)op->quantity64;
	uint32_t slot;

	if (UNLIKELY(!quantity)) {
		mdfh_book_broke(run, op, id >> 1, MDFH_BOOK_ZERO_QUANTITY, 0);
		return;
	}
	if (UNLIKELY(bad_price(op->price))) {
		mdfh_book_broke(run, op, id >> 1, MDFH_BOOK_NO_PRICE, 0);
		return;
	}
	if (UNLIKELY(order_find(books, key))) {
		mdfh_book_broke(run, op, id >> 1, MDFH_BOOK_DUPLICATE_ORDER, 0);
		return;
	}
	if (UNLIKELY(books->stats.orders == books->orders_max)) {
		mdfh_book_broke(run, op, id >> 1, MDFH_BOOK_ORDERS_FULL, MDFH_CAUSE_ORDERS_FULL);
		return;
	}
	check_price(books, id >> 1, op->price);
	slot = level_find(books, book, id, op->price);
	if (!slot) {
		slot = mdfh_book_level_create(books, id, op->price);
		if (UNLIKELY(!slot)) {
			mdfh_book_broke(
			    run, op, id >> 1, MDFH_BOOK_LEVELS_FULL, MDFH_CAUSE_LEVELS_FULL);
			return;
		}
	}
	order_join(books, slot, key, quantity);
	book->channel = run->origin->channel;
	if (++books->stats.orders > books->stats.orders_peak)
		books->stats.orders_peak = books->stats.orders;
	flags |= crossed(books, book);
	if (run->events)
		emit_order(run, op, MDFH_EVENT_ORDER_ADD, id, order_id, op->price, quantity,
		    quantity, flags, price_key(op->price, id & 1) == book->best[id & 1]);
}

static ALWAYS_INLINE void op_add(struct run *run, const struct mdfh_op *op)
{
	uint32_t row = row_of(run->books, op);

	if (UNLIKELY(!row)) {
		mdfh_book_broke(run, op, 0, MDFH_BOOK_WRONG_INSTRUMENT, 0);
		return;
	}
	if (UNLIKELY(op->side - 1u > 1)) {
		mdfh_book_broke(run, op, row, MDFH_BOOK_BAD_SIDE, 0);
		return;
	}
	add_order(run, op, row * 2 + op->side - 1, op->order_id, 0);
}

static ALWAYS_INLINE void op_delete(struct run *run, const struct mdfh_op *op, uint32_t guess)
{
	struct mdfh_books *books = run->books;
	uint32_t slot, id, quantity, order = known_order(run, op, guess, &slot);
	struct book *book;
	unsigned flags;
	int64_t price;
	int top;

	if (UNLIKELY(!order))
		return;
	id = books->levels[slot].book & BOOK_MASK;
	price = books->levels[slot].price;
	quantity = books->orders[order].quantity;
	book = &books->books[id >> 1];
	top = price_key(price, id & 1) == book->best[id & 1];
	remove_order(books, slot, order);
	flags = crossed(books, book);
	if (run->events)
		emit_order(run, op, MDFH_EVENT_ORDER_DELETE, id, op->order_id, price, quantity, 0,
		    flags, top);
}

/* Execute and reduce: shares leave an order, which keeps its place. */
static ALWAYS_INLINE void op_take(
    struct run *run, const struct mdfh_op *op, uint32_t guess, int execute)
{
	struct mdfh_books *books = run->books;
	uint32_t slot, id, left, taken, order = known_order(run, op, guess, &slot);
	uint32_t quantity = (uint32_t)op->quantity64;
	struct level *level;
	struct book *book;
	unsigned flags = 0;
	int64_t price, traded;
	int top;

	if (UNLIKELY(!order))
		return;
	level = &books->levels[slot];
	id = level->book & BOOK_MASK;
	price = level->price;
	traded = op->flags & MDFH_OP_PRICED ? op->price : price;
	left = books->orders[order].quantity;
	taken = quantity < left ? quantity : left;
	book = &books->books[id >> 1];
	top = price_key(price, id & 1) == book->best[id & 1];
	if (execute) {
		struct totals *totals = &book->totals;

		books->stats.executions++;
		if (traded != price) {
			flags |= MDFH_EVENT_OTHER_PRICE;
			check_price(books, id >> 1, traded);
		} else if (!(op->flags & MDFH_OP_NOT_PRINTED) &&
			   (!top || queue_head(books, level) != order)) {
			books->stats.errors[MDFH_BOOK_NOT_AT_HEAD]++;
		}
		if (!(op->flags & MDFH_OP_NOT_PRINTED)) {
			totals->volume += quantity;
			totals->trades += quantity != 0;
			totals->last_price = traded;
			totals->last_quantity = quantity;
			totals->has_last = 1;
			if (books->trades_max)
				mdfh_book_trade_keep(
				    books, run->origin->channel, op->match_id, id >> 1, quantity);
		}
		if (op->flags & MDFH_OP_NOT_PRINTED)
			flags |= MDFH_EVENT_NOT_PRINTED;
	}
	left -= taken;
	if (!left) {
		remove_order(books, slot, order);
	} else {
		level->quantity -= taken;
		books->orders[order].quantity = left;
	}
	flags |= crossed(books, book);
	if (run->events) {
		emit_order(run, op, execute ? MDFH_EVENT_ORDER_EXECUTE : MDFH_EVENT_ORDER_REDUCE,
		    id, op->order_id, price, taken, left, flags, top);
		if (execute)
			emit_trade(run, op, MDFH_EVENT_TRADE, id >> 1,
			    id & 1 ? MDFH_SIDE_BUY : MDFH_SIDE_SELL, traded, quantity,
			    flags & ~(unsigned)MDFH_EVENT_CROSSED);
	}
	if (UNLIKELY(taken != quantity))
		mdfh_book_broke(run, op, id >> 1,
		    execute ? MDFH_BOOK_OVER_EXECUTION : MDFH_BOOK_OVER_REDUCTION, 0);
}

static ALWAYS_INLINE void op_replace(struct run *run, const struct mdfh_op *op, uint32_t guess)
{
	struct mdfh_books *books = run->books;
	uint32_t slot, id, quantity, order = known_order(run, op, guess, &slot);
	int64_t price;
	int top;

	if (UNLIKELY(!order))
		return;
	id = books->levels[slot].book & BOOK_MASK;
	price = books->levels[slot].price;
	quantity = books->orders[order].quantity;
	top = price_key(price, id & 1) == books->books[id >> 1].best[id & 1];
	remove_order(books, slot, order);
	if (run->events)
		emit_order(run, op, MDFH_EVENT_ORDER_DELETE, id, op->order_id, price, quantity, 0,
		    MDFH_EVENT_REPLACE, top);
	/* The old order is gone at the venue whatever is wrong with the new one. */
	add_order(run, op, id, op->new_order_id, MDFH_EVENT_REPLACE);
}

/* Batches ------------------------------------------------------------------------------------- */

/* All ones: ops of this kind have it. */
static const uint32_t has_price[256] = {
    [MDFH_OP_ADD] = UINT32_MAX,
    [MDFH_OP_REPLACE] = UINT32_MAX,
    [MDFH_OP_LEVEL] = UINT32_MAX,
};

static ALWAYS_INLINE void stage_first(
    const struct mdfh_books *books, const struct mdfh_op *op, struct ahead *ahead)
{
	uint64_t mix = order_key(0, books->origins[op->origin].channel);

	ahead->book = &books->books[row_of(books, op)];
	ahead->key = op->order_id ^ mix;
	ahead->order = (uint32_t)order_bucket(books, ahead->key) * ORDERS_PER_BUCKET;
	__builtin_prefetch(&books->orders[ahead->order], 1);
	__builtin_prefetch(ahead->book, 1);
	__builtin_prefetch(ahead->book->ladders, 1);
	if (UNLIKELY(op->kind == MDFH_OP_REPLACE))
		__builtin_prefetch(
		    &books->orders[order_bucket(books, op->new_order_id ^ mix) * ORDERS_PER_BUCKET],
		    1);
	if (UNLIKELY(op->kind == MDFH_OP_EXECUTE))
		__builtin_prefetch(&ahead->book->totals, 1);
}

static ALWAYS_INLINE void stage_second(
    const struct mdfh_books *books, const struct mdfh_op *op, struct ahead *ahead)
{
	uint32_t order = order_in_bucket(books, ahead->order, ahead->key);
	uint32_t where = books->orders[order].where;
	const void *line = where & WHERE_CHUNK ? (const void *)&books->chunks[where & ~WHERE_CHUNK]
					       : (const void *)&books->levels[where];

	ahead->order = order;
	ahead->home = level_home(books, ahead->book, op->price) & has_price[op->kind];
	__builtin_prefetch(line, 1);
	__builtin_prefetch(&books->levels[ahead->home], 1);
}

static ALWAYS_INLINE void stage_third(
    const struct mdfh_books *books, const struct mdfh_op *op, const struct ahead *ahead)
{
	uint32_t where = books->orders[ahead->order].where;
	uint32_t slot = where & WHERE_CHUNK ? 0 : where;
	const struct chunk *chunk = &books->chunks[where & WHERE_CHUNK ? where & ~WHERE_CHUNK : 0];
	unsigned sell = (books->levels[slot].book | op->side >> 1) & 1;
	const uint64_t *bits = ahead->book->rings[sell].bits;

	__builtin_prefetch(bits, 1);
	__builtin_prefetch(bits + LADDER_WORDS / 2, 1);
	__builtin_prefetch(&books->chunks[books->levels[ahead->home].last], 1);
	__builtin_prefetch(&books->chunks[chunk->previous], 1);
	__builtin_prefetch(&books->levels[chunk->level], 1);
}

static ALWAYS_INLINE int apply(struct mdfh_books *books, const struct mdfh_op *ops, int n,
    struct mdfh_event *out, int max, int *done, int events)
{
	struct ahead ahead[AHEAD_MASK + 1];
	struct run run = {.books = books, .out = out, .events = events};
	int i;

	for (i = 0; i < AHEAD_FIRST && i < n; i++)
		stage_first(books, &ops[i], &ahead[i]);
	for (i = 0; i < AHEAD_SECOND && i < n; i++)
		stage_second(books, &ops[i], &ahead[i]);
	for (i = 0; i < AHEAD_THIRD && i < n; i++)
		stage_third(books, &ops[i], &ahead[i]);
	for (i = 0; i < n; i++) {
		const struct mdfh_op *op = &ops[i];
		uint32_t guess = ahead[i & AHEAD_MASK].order;

		if (events && run.out - out > max - MDFH_BOOK_EVENTS_PER_OP)
			break;
		if (i + AHEAD_FIRST < n)
			stage_first(
			    books, &op[AHEAD_FIRST], &ahead[(i + AHEAD_FIRST) & AHEAD_MASK]);
		if (i + AHEAD_SECOND < n)
			stage_second(
			    books, &op[AHEAD_SECOND], &ahead[(i + AHEAD_SECOND) & AHEAD_MASK]);
		if (i + AHEAD_THIRD < n)
			stage_third(
			    books, &op[AHEAD_THIRD], &ahead[(i + AHEAD_THIRD) & AHEAD_MASK]);

		run.origin = &books->origins[op->origin];
		run.key = ahead[i & AHEAD_MASK].key;
		switch (op->kind) {
		case MDFH_OP_NONE:
			break;
		case MDFH_OP_ADD:
			op_add(&run, op);
			break;
		case MDFH_OP_EXECUTE:
			op_take(&run, op, guess, 1);
			break;
		case MDFH_OP_REDUCE:
			op_take(&run, op, guess, 0);
			break;
		case MDFH_OP_DELETE:
			op_delete(&run, op, guess);
			break;
		case MDFH_OP_REPLACE:
			op_replace(&run, op, guess);
			break;
		case MDFH_OP_MODIFY:
			mdfh_book_op_modify(&run, op);
			break;
		case MDFH_OP_TRADE:
		case MDFH_OP_CROSS:
			mdfh_book_op_print(&run, op);
			break;
		case MDFH_OP_BREAK:
			mdfh_book_op_break(&run, op);
			break;
		case MDFH_OP_LEVEL:
			mdfh_book_op_level(&run, op);
			break;
		case MDFH_OP_QUOTE:
			mdfh_book_op_quote(&run, op);
			break;
		default:
			mdfh_book_op_other(&run, op);
			break;
		}
		if (events && !(op->flags & MDFH_OP_MORE)) {
			if (run.last)
				run.last->flags |= op->flags & MDFH_OP_EVENT_OPEN
						       ? MDFH_EVENT_LAST_PART
						       : MDFH_EVENT_LAST_PART | MDFH_EVENT_LAST;
			run.last = NULL;
			books->part = 0;
		}
	}
	*done = i;
	books->stats.ops += (uint64_t)i;
	if (!events)
		return 0;
	books->stats.events += (uint64_t)(run.out - out);
	return (int)(run.out - out);
}

static __attribute__((noinline)) int apply_quietly(
    struct mdfh_books *books, const struct mdfh_op *ops, int n, int *done)
{
	return apply(books, ops, n, NULL, 0, done, 0);
}

int mdfh_book_apply(struct mdfh_books *books, const struct mdfh_op *ops, int n,
    struct mdfh_event *out, int max, int *done)
{
	if (!out)
		return apply_quietly(books, ops, n, done);
	return apply(books, ops, n, out, max, done, 1);
}

void mdfh_books_origins(struct mdfh_books *books, const struct mdfh_origin *origins)
{
	books->origins = origins ? origins : &no_origin;
}
