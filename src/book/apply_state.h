/* apply_state.h - what the files that apply ops share: the op in hand, its events and checks.
 *
 * What is inlined from here is part of the hot path (apply.c). */
#ifndef MDFH_BOOK_APPLY_STATE_H
#define MDFH_BOOK_APPLY_STATE_H

#include "book/books.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define UNLIKELY(x)   __builtin_expect(!!(x), 0)

/* What the op that is being applied knows and makes. */
struct run {
	struct mdfh_books *books;
	const struct mdfh_origin *origin;
	uint64_t key;            /* of op.order_id */
	struct mdfh_event *out;  /* next free event */
	struct mdfh_event *last; /* of the current message, NULL = none yet */
	int events;              /* constant: events are wanted */
};

static ALWAYS_INLINE struct channel *channel_of(const struct run *run)
{
	return &run->books->channels[run->origin->channel];
}

/* apply_rare.c --------------------------------------------------------------------------------- */

/* Count it; a book that was sound until now says that it is not. */
void mdfh_book_broke(
    struct run *run, const struct mdfh_op *op, uint32_t instrument, unsigned error, unsigned cause);
void mdfh_book_learn_scale(struct mdfh_books *books, uint32_t instrument);

void mdfh_book_op_modify(struct run *run, const struct mdfh_op *op);
void mdfh_book_op_print(struct run *run, const struct mdfh_op *op);
void mdfh_book_op_break(struct run *run, const struct mdfh_op *op);
void mdfh_book_op_level(struct run *run, const struct mdfh_op *op);
void mdfh_book_op_quote(struct run *run, const struct mdfh_op *op);
void mdfh_book_op_other(struct run *run, const struct mdfh_op *op);

/* An order that is new at its price comes last there. */
static ALWAYS_INLINE void order_join(
    struct mdfh_books *books, uint32_t slot, uint64_t key, uint32_t quantity)
{
	struct level *level = &books->levels[slot];
	uint32_t order;

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
}

/* Events --------------------------------------------------------------------------------------- */

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

/* Checks --------------------------------------------------------------------------------------- */

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
		mdfh_book_learn_scale(books, instrument);
	if (UNLIKELY(!book->scale || __builtin_mul_overflow(price, book->scale, &result)))
		books->stats.errors[MDFH_BOOK_NO_PRICE]++;
}

/* Row of the op's instrument, 0 when there is no book for it. */
static ALWAYS_INLINE uint32_t row_of(const struct mdfh_books *books, const struct mdfh_op *op)
{
	return op->instrument < books->instruments_max ? op->instrument : 0;
}

static ALWAYS_INLINE unsigned crossed(struct mdfh_books *books, const struct book *book)
{
	/* An empty side has the least key, so it crosses nothing. */
	if (UNLIKELY(book->best[0] >= ~book->best[1])) {
		books->stats.errors[MDFH_BOOK_CROSSED]++;
		return MDFH_EVENT_CROSSED;
	}
	return 0;
}

/* Orders that are there ------------------------------------------------------------------------ */

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
			mdfh_book_broke(run, op, row_of(books, op), MDFH_BOOK_UNKNOWN_ORDER, 0);
			return 0;
		}
	}
	*slot = queue_level(books, books->orders[order].where);
	if (UNLIKELY(
		op->instrument && (books->levels[*slot].book & BOOK_MASK) >> 1 != op->instrument)) {
		mdfh_book_broke(run, op, row_of(books, op), MDFH_BOOK_WRONG_INSTRUMENT, 0);
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

#endif
