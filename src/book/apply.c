/* apply.c - ops to books and events: the hot path.
 *
 * Three stages of prefetch run ahead of the op that is applied. They only guess: they read what
 * is there now, and an op in between may change it, so the op itself looks again, by then in the
 * cache. They have no branch on the kind of op, which would be mispredicted once more each: what
 * an op does not have is row, level, chunk or order 0, which nobody uses. */
#include "book/books.h"

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

/* What the op that is being applied knows and makes. */
struct run {
	struct mdfh_books *books;
	const struct mdfh_origin *origin;
	uint64_t key;            /* of op.order_id */
	struct mdfh_event *out;  /* next free event */
	struct mdfh_event *last; /* of the current message, NULL = none yet */
	int events;              /* constant: events are wanted */
};

static const struct mdfh_origin no_origin;

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define UNLIKELY(x)   __builtin_expect(!!(x), 0)

static ALWAYS_INLINE struct channel *channel_of(const struct run *run)
{
	return &run->books->channels[run->origin->channel];
}

/* Events -------------------------------------------------------------------------------------- */

static ALWAYS_INLINE struct mdfh_event *emit(
    struct run *run, const struct mdfh_op *op, unsigned kind, uint32_t instrument, unsigned side)
{
	struct mdfh_event *event = run->out++;

	event->sequence = op->sequence;
	event->exchange_ns = op->exchange_ns;
	event->receive_ns = run->origin->receive_ns;
	event->instrument = instrument;
	event->channel = run->origin->channel;
	event->flags =
	    book_is_sound(channel_of(run), &run->books->books[instrument]) ? 0 : MDFH_EVENT_UNSOUND;
	event->kind = (uint8_t)kind;
	event->side = (uint8_t)side;
	event->part = (uint16_t)run->books->part++;
	event->epoch = run->origin->epoch;
	event->level = 0;
	event->code = op->code;
	event->trade.price = 0;
	event->trade.match_id = 0;
	event->trade.quantity = 0;
	run->last = event;
	return event;
}

/* Price in 1e-9 units. */
static ALWAYS_INLINE int64_t scaled(const struct book *book, int64_t price, uint16_t *flags)
{
	int64_t result;

	if (UNLIKELY(!book->scale || __builtin_mul_overflow(price, book->scale, &result))) {
		*flags |= MDFH_EVENT_NO_PRICE;
		return 0;
	}
	return result;
}

static ALWAYS_INLINE void emit_order(struct run *run, const struct mdfh_op *op, unsigned kind,
    uint32_t id, uint64_t order_id, int64_t price, uint32_t quantity, uint32_t remaining,
    unsigned flags, int top)
{
	struct mdfh_event *event = emit(run, op, kind, id >> 1, (id & 1) + 1);

	event->flags = (uint16_t)(event->flags | flags | (top ? MDFH_EVENT_TOP : 0));
	event->level = top != 0;
	event->order.price = scaled(&run->books->books[id >> 1], price, &event->flags);
	event->order.order_id = order_id;
	event->order.quantity = quantity;
	event->order.remaining = remaining;
}

static ALWAYS_INLINE void emit_trade(struct run *run, const struct mdfh_op *op, unsigned kind,
    uint32_t instrument, unsigned side, int64_t price, uint64_t quantity, unsigned flags)
{
	struct mdfh_event *event = emit(run, op, kind, instrument, side);

	if (op->flags & MDFH_OP_HIDDEN)
		flags |= MDFH_EVENT_HIDDEN;
	if (op->flags & MDFH_OP_NOT_PRINTED)
		flags |= MDFH_EVENT_NOT_PRINTED;
	event->flags = (uint16_t)(event->flags | flags);
	event->trade.price = scaled(&run->books->books[instrument], price, &event->flags);
	event->trade.match_id = op->match_id;
	event->trade.quantity = quantity;
}

/* What cannot be ------------------------------------------------------------------------------ */

/* Count it; a book that was sound until now says that it is not. */
static __attribute__((noinline)) void broke(
    struct run *run, const struct mdfh_op *op, uint32_t instrument, unsigned error, unsigned cause)
{
	struct mdfh_books *books = run->books;
	struct book *book = &books->books[instrument];
	int was_sound = book_is_sound(channel_of(run), book);

	books->stats.errors[error]++;
	if (cause && run->events)
		emit(run, op, MDFH_EVENT_ERROR, instrument, 0)->gap.cause = cause;
	/* An op that names an instrument of another channel says nothing about its book. */
	if (!instrument || (book->tick && book->channel != run->origin->channel))
		return;
	book->unsound = channel_of(run)->generation;
	if (was_sound && run->events)
		emit(run, op, MDFH_EVENT_STALE, instrument, 0);
}

static __attribute__((noinline)) void learn_scale(struct mdfh_books *books, uint32_t instrument)
{
	books->books[instrument].scale =
	    mdfh_instruments_get(books->instruments, instrument)->price_scale;
}

static ALWAYS_INLINE int bad_price(int64_t price)
{
	return price > (INT64_C(1) << PRICE_BITS) || price < -(INT64_C(1) << PRICE_BITS);
}

/* A price that a message brought: learn its scale if need be, count it if it has none. */
static ALWAYS_INLINE void check_price(struct mdfh_books *books, uint32_t instrument, int64_t price)
{
	struct book *book = &books->books[instrument];
	int64_t result;

	if (UNLIKELY(!book->scale))
		learn_scale(books, instrument);
	if (UNLIKELY(!book->scale || __builtin_mul_overflow(price, book->scale, &result)))
		books->stats.errors[MDFH_BOOK_NO_PRICE]++;
}

/* Row of the op's instrument, 0 when there is no book for it. */
static ALWAYS_INLINE uint32_t row_of(const struct mdfh_books *books, const struct mdfh_op *op)
{
	return op->instrument < books->instruments_max ? op->instrument : 0;
}

/* Orders -------------------------------------------------------------------------------------- */

static ALWAYS_INLINE unsigned crossed(struct mdfh_books *books, const struct book *book)
{
	/* An empty side has the least key, so it crosses nothing. */
	if (UNLIKELY(book->best[0] >= ~book->best[1])) {
		books->stats.errors[MDFH_BOOK_CROSSED]++;
		return MDFH_EVENT_CROSSED;
	}
	return 0;
}

/* Rest an order, whose instrument is good. Says what is wrong and does nothing then. */
static ALWAYS_INLINE void add_order(
    struct run *run, const struct mdfh_op *op, uint32_t id, uint64_t order_id, unsigned flags)
{
	struct mdfh_books *books = run->books;
	struct book *book = &books->books[id >> 1];
	uint64_t key = order_key(order_id, run->origin->channel);
	uint32_t quantity = (uint32_t)op->quantity64;
	struct level *level;
	uint32_t slot, order;

	if (UNLIKELY(!quantity)) {
		broke(run, op, id >> 1, MDFH_BOOK_ZERO_QUANTITY, 0);
		return;
	}
	if (UNLIKELY(bad_price(op->price))) {
		broke(run, op, id >> 1, MDFH_BOOK_NO_PRICE, 0);
		return;
	}
	if (UNLIKELY(order_find(books, key))) {
		broke(run, op, id >> 1, MDFH_BOOK_DUPLICATE_ORDER, 0);
		return;
	}
	if (UNLIKELY(books->stats.orders == books->orders_max)) {
		broke(run, op, id >> 1, MDFH_BOOK_ORDERS_FULL, MDFH_CAUSE_ORDERS_FULL);
		return;
	}
	check_price(books, id >> 1, op->price);
	slot = level_find(books, book, id, op->price);
	if (!slot) {
		slot = mdfh_book_level_create(books, id, op->price);
		if (UNLIKELY(!slot)) {
			broke(run, op, id >> 1, MDFH_BOOK_LEVELS_FULL, MDFH_CAUSE_LEVELS_FULL);
			return;
		}
	}
	level = &books->levels[slot];
	if (UNLIKELY(!queue_head(books, level))) {
		/* New, or made by a level op: orders replace what that said. */
		level->quantity = 0;
		level->orders = 0;
	}
	order = order_insert(books, key);
	books->orders[order].quantity = quantity;
	queue_append(books, slot, order);
	level->quantity += quantity;
	level->orders++;
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
		broke(run, op, 0, MDFH_BOOK_WRONG_INSTRUMENT, 0);
		return;
	}
	if (UNLIKELY(op->side - 1u > 1)) {
		broke(run, op, row, MDFH_BOOK_BAD_SIDE, 0);
		return;
	}
	add_order(run, op, row * 2 + op->side - 1, op->order_id, 0);
}

/* The order that an op names, or 0 with the error counted. */
static ALWAYS_INLINE uint32_t known_order(
    struct run *run, const struct mdfh_op *op, uint32_t guess, uint32_t *slot)
{
	struct mdfh_books *books = run->books;
	uint64_t key = run->key;
	uint32_t order = guess;

	if (UNLIKELY(books->orders[order].key != key || !books->orders[order].where)) {
		order = order_find(books, key);
		if (UNLIKELY(!order)) {
			broke(run, op, row_of(books, op), MDFH_BOOK_UNKNOWN_ORDER, 0);
			return 0;
		}
	}
	*slot = queue_level(books, books->orders[order].where);
	if (UNLIKELY(
		op->instrument && (books->levels[*slot].book & BOOK_MASK) >> 1 != op->instrument)) {
		broke(run, op, row_of(books, op), MDFH_BOOK_WRONG_INSTRUMENT, 0);
		return 0;
	}
	return order;
}

/* Take the whole order off the book. */
static ALWAYS_INLINE void remove_order(struct mdfh_books *books, uint32_t slot, uint32_t order)
{
	struct level *level = &books->levels[slot];

	level->quantity -= books->orders[order].quantity;
	queue_remove(books, slot, order);
	order_remove(books, order);
	if (!--level->orders)
		mdfh_book_level_destroy(books, slot);
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
		broke(run, op, id >> 1,
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

static __attribute__((noinline)) void op_modify(struct run *run, const struct mdfh_op *op)
{
	struct mdfh_books *books = run->books;
	uint32_t quantity = (uint32_t)op->quantity64;
	uint32_t slot, id, order = known_order(run, op, 0, &slot);
	uint64_t order_id = op->order_id;
	struct level *level;
	struct book *book;
	unsigned flags;
	int top, keeps;

	if (!order)
		return;
	level = &books->levels[slot];
	id = level->book & BOOK_MASK;
	book = &books->books[id >> 1];
	if (!quantity || bad_price(op->price)) {
		broke(run, op, id >> 1, quantity ? MDFH_BOOK_NO_PRICE : MDFH_BOOK_ZERO_QUANTITY, 0);
		return;
	}
	check_price(books, id >> 1, op->price);
	top = price_key(level->price, id & 1) == book->best[id & 1];
	keeps = op->price == level->price && op->flags & MDFH_OP_KEEP_PRIORITY;
	if (keeps) {
		level->quantity += quantity;
		level->quantity -= books->orders[order].quantity;
		books->orders[order].quantity = quantity;
	} else {
		uint64_t key = books->orders[order].key;
		uint32_t left = books->orders[order].quantity;
		int64_t price = level->price;

		remove_order(books, slot, order);
		slot = level_find(books, book, id, op->price);
		if (!slot)
			slot = mdfh_book_level_create(books, id, op->price);
		if (!slot) {
			if (run->events)
				emit_order(run, op, MDFH_EVENT_ORDER_DELETE, id, order_id, price,
				    left, 0, 0, top);
			broke(run, op, id >> 1, MDFH_BOOK_LEVELS_FULL, MDFH_CAUSE_LEVELS_FULL);
			return;
		}
		level = &books->levels[slot];
		if (!queue_head(books, level)) {
			level->quantity = 0;
			level->orders = 0;
		}
		order = order_insert(books, key);
		books->orders[order].quantity = quantity;
		queue_append(books, slot, order);
		level->quantity += quantity;
		level->orders++;
		books->stats.orders++;
		top |= price_key(op->price, id & 1) == book->best[id & 1];
	}
	flags = crossed(books, book);
	if (run->events)
		emit_order(run, op, MDFH_EVENT_ORDER_MODIFY, id, order_id, op->price, quantity,
		    quantity, flags | (keeps ? 0u : MDFH_EVENT_PRIORITY_LOST), top);
}

/* Prints, levels, quotes ---------------------------------------------------------------------- */

static __attribute__((noinline)) void op_print(struct run *run, const struct mdfh_op *op)
{
	struct mdfh_books *books = run->books;
	uint32_t row = row_of(books, op);
	struct totals *totals = &books->books[row].totals;

	if (row)
		check_price(books, row, op->price);
	if (row && !(op->flags & MDFH_OP_NOT_PRINTED) && op->quantity64) {
		totals->volume += op->quantity64;
		totals->trades++;
		totals->last_price = op->price;
		totals->last_quantity = op->quantity64;
		totals->has_last = 1;
		if (books->trades_max)
			mdfh_book_trade_keep(
			    books, run->origin->channel, op->match_id, row, op->quantity64);
	}
	if (run->events)
		emit_trade(run, op, op->kind == MDFH_OP_CROSS ? MDFH_EVENT_CROSS : MDFH_EVENT_TRADE,
		    row, op->side, op->price, op->quantity64, 0);
}

static __attribute__((noinline)) void op_break(struct run *run, const struct mdfh_op *op)
{
	struct mdfh_books *books = run->books;
	uint32_t row = row_of(books, op);
	uint64_t quantity = 0;
	int kept = mdfh_book_trade_take(books, run->origin->channel, op->match_id, &row, &quantity);
	struct totals *totals = &books->books[row].totals;

	if (kept) {
		totals->volume -= quantity;
		totals->trades--;
	} else {
		books->stats.errors[MDFH_BOOK_UNKNOWN_TRADE]++;
	}
	totals->broken++;
	if (run->events) {
		struct mdfh_event *event = emit(run, op, MDFH_EVENT_TRADE_BREAK, row, op->side);

		event->trade.match_id = op->match_id;
		event->trade.quantity = quantity;
	}
}

/* This price now has this quantity, 0 = gone. 1 = done, 0 = no room. */
static int set_level(
    struct mdfh_books *books, uint32_t id, int64_t price, uint64_t quantity, uint32_t orders)
{
	uint32_t slot = level_find(books, &books->books[id >> 1], id, price);
	struct level *level;

	if (slot && queue_head(books, &books->levels[slot])) {
		/* Orders stood here: what the venue says of the whole level replaces them. */
		mdfh_book_clear_level(books, slot);
		slot = 0;
	}
	if (!quantity) {
		if (slot)
			mdfh_book_level_destroy(books, slot);
		return 1;
	}
	if (!slot)
		slot = mdfh_book_level_create(books, id, price);
	if (!slot)
		return 0;
	level = &books->levels[slot];
	level->quantity = quantity;
	level->orders = orders;
	return 1;
}

static __attribute__((noinline)) void op_level(struct run *run, const struct mdfh_op *op)
{
	struct mdfh_books *books = run->books;
	uint32_t row = row_of(books, op), id;
	struct book *book = &books->books[row];
	struct mdfh_event *event;
	unsigned flags;
	int64_t key;
	int top;

	if (!row || op->side - 1u > 1 || bad_price(op->price)) {
		broke(run, op, row,
		    !row                ? MDFH_BOOK_WRONG_INSTRUMENT
		    : op->side - 1u > 1 ? MDFH_BOOK_BAD_SIDE
					: MDFH_BOOK_NO_PRICE,
		    0);
		return;
	}
	id = row * 2 + op->side - 1;
	key = price_key(op->price, id & 1);
	check_price(books, row, op->price);
	top = key == book->best[id & 1];
	if (!set_level(books, id, op->price, op->quantity64, op->quantity2)) {
		broke(run, op, row, MDFH_BOOK_LEVELS_FULL, MDFH_CAUSE_LEVELS_FULL);
		return;
	}
	book->channel = run->origin->channel;
	top |= key == book->best[id & 1];
	flags = crossed(books, book);
	if (!run->events)
		return;
	event = emit(run, op, MDFH_EVENT_LEVEL, row, op->side);
	event->flags = (uint16_t)(event->flags | flags | (top ? MDFH_EVENT_TOP : 0));
	event->level = (uint8_t)top;
	event->level_update.price = scaled(book, op->price, &event->flags);
	event->level_update.quantity = op->quantity64;
	event->level_update.orders = op->quantity2;
}

static __attribute__((noinline)) void op_quote(struct run *run, const struct mdfh_op *op)
{
	struct mdfh_books *books = run->books;
	uint32_t row = row_of(books, op);
	struct book *book = &books->books[row];
	const int64_t prices[2] = {op->price, op->price2};
	const uint64_t quantities[2] = {(uint32_t)op->quantity64, op->quantity2};
	struct mdfh_event *event;
	unsigned flags;

	if (!row || bad_price(op->price) || bad_price(op->price2)) {
		broke(run, op, row, row ? MDFH_BOOK_NO_PRICE : MDFH_BOOK_WRONG_INSTRUMENT, 0);
		return;
	}
	book->channel = run->origin->channel;
	for (unsigned sell = 0; sell < 2; sell++) {
		uint32_t id = row * 2 + sell;

		if (quantities[sell])
			check_price(books, row, prices[sell]);
		if (book->best[sell] != price_key(prices[sell], sell) ||
		    book->ladders[sell].levels != 1)
			mdfh_book_clear_side(books, id);
		if (!set_level(books, id, prices[sell], quantities[sell], 0)) {
			broke(run, op, row, MDFH_BOOK_LEVELS_FULL, MDFH_CAUSE_LEVELS_FULL);
			return;
		}
	}
	flags = crossed(books, book) | MDFH_EVENT_TOP;
	if (!run->events)
		return;
	event = emit(run, op, MDFH_EVENT_QUOTE, row, 0);
	event->flags = (uint16_t)(event->flags | flags);
	event->level = 1;
	event->quote.bid = quantities[0] ? scaled(book, prices[0], &event->flags) : 0;
	event->quote.ask = quantities[1] ? scaled(book, prices[1], &event->flags) : 0;
	event->quote.bid_quantity = (uint32_t)quantities[0];
	event->quote.ask_quantity = (uint32_t)quantities[1];
}

/* The rest ------------------------------------------------------------------------------------ */

static void new_generation(struct channel *channel, uint32_t day_seen)
{
	channel->missing = 0;
	channel->day_seen = day_seen != 0;
	channel->day_over = 0;
	if (!++channel->generation)
		channel->generation = 1;
}

static void op_statistic(struct run *run, const struct mdfh_op *op, uint32_t row)
{
	struct mdfh_books *books = run->books;
	struct mdfh_event *event;

	if (op->flags & MDFH_OP_IS_PRICE && row)
		check_price(books, row, op->price);
	if (!run->events)
		return;
	event = emit(run, op, MDFH_EVENT_STATISTIC, row, op->side);
	event->statistic.value = op->flags & MDFH_OP_IS_PRICE
				     ? scaled(&books->books[row], op->price, &event->flags)
				     : op->price;
	event->statistic.quantity = op->quantity64;
}

static __attribute__((noinline)) void op_other(struct run *run, const struct mdfh_op *op)
{
	struct mdfh_books *books = run->books;
	struct channel *channel = channel_of(run);
	uint32_t row = row_of(books, op);
	unsigned kind = MDFH_EVENT_NONE;

	switch (op->kind) {
	case MDFH_OP_INSTRUMENT:
		if (row)
			learn_scale(books, row);
		kind = MDFH_EVENT_INSTRUMENT;
		break;
	case MDFH_OP_STATUS:
		kind = MDFH_EVENT_STATUS;
		break;
	case MDFH_OP_STATISTIC:
		op_statistic(run, op, row);
		return;
	case MDFH_OP_CLEAR:
		if (row) {
			mdfh_book_clear_side(books, row * 2);
			mdfh_book_clear_side(books, row * 2 + 1);
			books->books[row].unsound = 0;
		} else {
			mdfh_book_clear_channel(books, run->origin->channel);
		}
		kind = MDFH_EVENT_CLEAR;
		break;
	case MDFH_OP_DAY_BEGIN:
		/* No event of its own, the decoder brings the status; but what stood until now,
		 * the last day's books, goes. */
		if (channel->day_over) {
			mdfh_book_clear_channel(books, run->origin->channel);
			kind = MDFH_EVENT_CLEAR;
		}
		new_generation(channel, 1);
		break;
	case MDFH_OP_END_OF_DAY:
		channel->day_over = 1;
		kind = MDFH_EVENT_END_OF_DAY;
		break;
	case MDFH_OP_SESSION_BEGIN:
		mdfh_book_clear_channel(books, run->origin->channel);
		new_generation(channel, books->sound_at_start);
		kind = MDFH_EVENT_SESSION_BEGIN;
		break;
	case MDFH_OP_GAP:
		channel->missing += op->quantity64;
		kind = MDFH_EVENT_GAP;
		break;
	case MDFH_OP_RECOVERED:
		channel->missing -=
		    op->quantity64 < channel->missing ? op->quantity64 : channel->missing;
		kind = MDFH_EVENT_RECOVERED;
		break;
	default:
		break;
	}
	if (!kind || !run->events)
		return;
	if (kind == MDFH_EVENT_GAP || kind == MDFH_EVENT_RECOVERED) {
		struct mdfh_event *event = emit(run, op, kind, row, 0);

		event->gap.first = op->order_id;
		event->gap.count = op->quantity64;
		event->gap.cause = op->code;
	} else {
		emit(run, op, kind, row, op->side);
	}
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
			op_modify(&run, op);
			break;
		case MDFH_OP_TRADE:
		case MDFH_OP_CROSS:
			op_print(&run, op);
			break;
		case MDFH_OP_BREAK:
			op_break(&run, op);
			break;
		case MDFH_OP_LEVEL:
			op_level(&run, op);
			break;
		case MDFH_OP_QUOTE:
			op_quote(&run, op);
			break;
		default:
			op_other(&run, op);
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
