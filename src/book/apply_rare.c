/* apply_rare.c - the ops that are few: modified orders, prints, levels, quotes, states. */
#include "book/apply_state.h"

/* What cannot be ------------------------------------------------------------------------------- */

void mdfh_book_broke(
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

void mdfh_book_learn_scale(struct mdfh_books *books, uint32_t instrument)
{
	books->books[instrument].scale =
	    mdfh_instruments_get(books->instruments, instrument)->price_scale;
}

/* Modified orders ------------------------------------------------------------------------------ */

void mdfh_book_op_modify(struct run *run, const struct mdfh_op *op)
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
		mdfh_book_broke(
		    run, op, id >> 1, quantity ? MDFH_BOOK_NO_PRICE : MDFH_BOOK_ZERO_QUANTITY, 0);
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
			mdfh_book_broke(
			    run, op, id >> 1, MDFH_BOOK_LEVELS_FULL, MDFH_CAUSE_LEVELS_FULL);
			return;
		}
		order_join(books, slot, key, quantity);
		books->stats.orders++;
		top |= price_key(op->price, id & 1) == book->best[id & 1];
	}
	flags = crossed(books, book);
	if (run->events)
		emit_order(run, op, MDFH_EVENT_ORDER_MODIFY, id, order_id, op->price, quantity,
		    quantity, flags | (keeps ? 0u : MDFH_EVENT_PRIORITY_LOST), top);
}

/* Prints --------------------------------------------------------------------------------------- */

void mdfh_book_op_print(struct run *run, const struct mdfh_op *op)
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

void mdfh_book_op_break(struct run *run, const struct mdfh_op *op)
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

/* Levels and quotes ---------------------------------------------------------------------------- */

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

void mdfh_book_op_level(struct run *run, const struct mdfh_op *op)
{
	struct mdfh_books *books = run->books;
	uint32_t row = row_of(books, op), id;
	struct book *book = &books->books[row];
	struct mdfh_event *event;
	unsigned flags;
	int64_t key;
	int top;

	if (!row || op->side - 1u > 1 || bad_price(op->price)) {
		mdfh_book_broke(run, op, row,
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
		mdfh_book_broke(run, op, row, MDFH_BOOK_LEVELS_FULL, MDFH_CAUSE_LEVELS_FULL);
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

void mdfh_book_op_quote(struct run *run, const struct mdfh_op *op)
{
	struct mdfh_books *books = run->books;
	uint32_t row = row_of(books, op);
	struct book *book = &books->books[row];
	const int64_t prices[2] = {op->price, op->price2};
	const uint64_t quantities[2] = {(uint32_t)op->quantity64, op->quantity2};
	struct mdfh_event *event;
	unsigned flags;

	if (!row || bad_price(op->price) || bad_price(op->price2)) {
		mdfh_book_broke(
		    run, op, row, row ? MDFH_BOOK_NO_PRICE : MDFH_BOOK_WRONG_INSTRUMENT, 0);
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
			mdfh_book_broke(
			    run, op, row, MDFH_BOOK_LEVELS_FULL, MDFH_CAUSE_LEVELS_FULL);
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

/* The rest ------------------------------------------------------------------------------------- */

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

void mdfh_book_op_other(struct run *run, const struct mdfh_op *op)
{
	struct mdfh_books *books = run->books;
	struct channel *channel = channel_of(run);
	uint32_t row = row_of(books, op);
	unsigned kind = MDFH_EVENT_NONE;

	switch (op->kind) {
	case MDFH_OP_INSTRUMENT:
		if (row)
			mdfh_book_learn_scale(books, row);
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
