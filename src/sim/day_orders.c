/* day_orders.c - the messages of orders and trades: each is drawn, applied to the reference book and
 * written in one place, so that the book and the bytes cannot part. */
#include "sim/day_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "itch50.h"
#include "mdfh/error.h"

enum {
	SWEEP_MAX = 8, /* executions of one aggressor */
};

/* Mostly round lots, some odd ones, a few large. */
uint32_t draw_shares(struct mdfh_day *day)
{
	uint32_t kind = below(day, 16);

	if (kind < 9)
		return 100;
	if (kind < 12)
		return 100 * (2 + below(day, 4));
	if (kind < 15)
		return 1 + below(day, 99);
	return 100 * (1 + below(day, 50));
}

/* A whole number whose chance falls with its square, up to PRICE_DEPTH. */
static int32_t draw_distance(struct mdfh_day *day)
{
	uint64_t bits = mdfh_random_next(&day->random);
	int octave = __builtin_ctzll(bits | 1ull << 11);

	return (int32_t)(bits >> 32 & ((1u << octave) - 1));
}

/* How many places from the newest: as likely 1 as 2 to 3, 4 to 7 ... */
static uint32_t draw_age(struct mdfh_day *day, uint32_t count)
{
	uint64_t bits = mdfh_random_next(&day->random);
	uint32_t octaves = 33 - (uint32_t)__builtin_clz(count);
	uint32_t octave = (uint32_t)((bits & UINT32_MAX) * octaves >> 32);
	uint32_t age = (uint32_t)(bits >> 32) & ((1u << octave) - 1);

	return age < count ? age : age - count;
}

/* Make room in the list of a symbol: drop ids that executions took away, else grow. */
static int orders_make_room(struct mdfh_day *day, struct symbol *symbol)
{
	struct mdfh_refbook_order order;
	uint32_t kept = 0;

	if (symbol->count < symbol->capacity)
		return 0;
	for (uint32_t i = 0; i < symbol->count; i++) {
		if (mdfh_refbook_find(day->book, symbol->orders[i], &order))
			symbol->orders[kept++] = symbol->orders[i];
	}
	symbol->count = kept;
	if (kept > symbol->capacity / 2 || !kept) {
		uint32_t capacity = symbol->capacity ? symbol->capacity * 2 : 32;
		uint64_t *orders = realloc(symbol->orders, capacity * sizeof(*orders));

		if (!orders)
			return mdfh_error(-ENOMEM, "day: %u orders of a symbol", capacity);
		symbol->orders = orders;
		symbol->capacity = capacity;
	}
	return 0;
}

/* A live order of the symbol, likely a young one. index is its place in the list. */
static int order_pick(
    struct mdfh_day *day, struct symbol *symbol, uint32_t *index, struct mdfh_refbook_order *order)
{
	while (symbol->count) {
		*index = symbol->count - 1 - draw_age(day, symbol->count);
		if (mdfh_refbook_find(day->book, symbol->orders[*index], order))
			return 1;
		symbol->orders[*index] = symbol->orders[--symbol->count];
	}
	return 0;
}

static void order_forget(struct symbol *symbol, uint32_t index)
{
	symbol->orders[index] = symbol->orders[--symbol->count];
	symbol->live--;
}

/* Ids rise and leave out some, as on a venue whose other orders are not displayed. */
static uint64_t order_id(struct mdfh_day *day)
{
	day->last_order += 1 + (one_in(day, 2) ? below(day, 4) : 0);
	return day->last_order;
}

uint64_t match_number(struct mdfh_day *day)
{
	return ++day->last_match;
}

static void remember_print(struct mdfh_day *day, uint16_t locate, uint64_t match)
{
	day->breakable[day->breakable_next++ % BREAKABLE] =
	    (struct print){.match = match, .locate = locate};
}

/* The price of a new order, on its own side of the other side's best; 0 = there is no room. */
static uint32_t order_price(struct mdfh_day *day, uint16_t locate, unsigned side)
{
	const struct symbol *symbol = &day->symbols[locate];
	int32_t distance = draw_distance(day);
	int32_t limit = (int32_t)(PRICE_MAX / symbol->tick);
	struct mdfh_refbook_level best;
	int32_t price;

	if (distance > symbol->fair / 4)
		distance = symbol->fair / 4;
	if (side == BUY) {
		price = symbol->fair - distance;
		if (mdfh_refbook_level(day->book, locate, SELL, 0, &best)) {
			int32_t ask = (int32_t)(best.price / symbol->tick);

			if (price >= ask)
				price = ask - 1 - distance % 4;
		}
		if (price < 1)
			return 0;
	} else {
		price = symbol->fair + 1 + distance;
		if (mdfh_refbook_level(day->book, locate, BUY, 0, &best)) {
			int32_t bid = (int32_t)(best.price / symbol->tick);

			if (price <= bid)
				price = bid + 1 + distance % 4;
		}
		if (price > limit)
			return 0;
	}
	return (uint32_t)price * symbol->tick;
}

/* Messages of the market. Each writes one message and returns its length, 0 if it cannot be now,
 * or -ENOMEM. */

int write_add(struct mdfh_day *day, uint16_t locate, uint8_t *out)
{
	static const char participants[4][4] = {
	    {'M', 'M', 'K', 'A'}, {'D', 'E', 'S', 'K'}, {'N', 'O', 'R', 'D'}, {'Q', 'T', ' ', ' '}};
	struct symbol *symbol = &day->symbols[locate];
	unsigned side = one_in(day, 2) ? BUY : SELL;
	uint32_t price = order_price(day, locate, side);
	uint32_t shares = draw_shares(day);
	uint64_t id;

	if (!price) {
		side = BUY + SELL - side;
		price = order_price(day, locate, side);
	}
	if (!price || symbol->is_closed)
		return 0;
	if (orders_make_room(day, symbol))
		return -ENOMEM;
	id = order_id(day);
	if (mdfh_refbook_add(day->book, locate, id, side, shares, price) < 0)
		return -ENOMEM;
	symbol->orders[symbol->count++] = id;
	symbol->live++;
	if (one_in(day, 90)) {
		struct itch50_add_order_mpid message = {
		    .locate = locate,
		    .tracking = tracking(day),
		    .timestamp = day->time_ns,
		    .order_ref = id,
		    .side = side == BUY ? 'B' : 'S',
		    .shares = shares,
		    .price = price,
		};

		memcpy(message.stock, symbol->name, sizeof(message.stock));
		memcpy(
		    message.attribution, participants[below(day, 4)], sizeof(message.attribution));
		return (int)itch50_encode_add_order_mpid(out, &message);
	}
	{
		struct itch50_add_order message = {
		    .locate = locate,
		    .tracking = tracking(day),
		    .timestamp = day->time_ns,
		    .order_ref = id,
		    .side = side == BUY ? 'B' : 'S',
		    .shares = shares,
		    .price = price,
		};

		memcpy(message.stock, symbol->name, sizeof(message.stock));
		return (int)itch50_encode_add_order(out, &message);
	}
}

int write_delete(struct mdfh_day *day, uint16_t locate, uint8_t *out)
{
	struct mdfh_refbook_order order;
	uint32_t index;

	if (!order_pick(day, &day->symbols[locate], &index, &order))
		return 0;
	mdfh_refbook_delete(day->book, order.order_id);
	order_forget(&day->symbols[locate], index);
	return (int)itch50_encode_order_delete(out, &(struct itch50_order_delete){
							.locate = locate,
							.tracking = tracking(day),
							.timestamp = day->time_ns,
							.order_ref = order.order_id,
						    });
}

static int write_replace(struct mdfh_day *day, uint16_t locate, uint8_t *out)
{
	struct symbol *symbol = &day->symbols[locate];
	struct mdfh_refbook_order order;
	uint32_t index;
	uint32_t price;
	uint32_t shares;
	uint64_t id;

	if (!order_pick(day, symbol, &index, &order))
		return 0;
	price = order_price(day, locate, order.side);
	if (!price)
		return 0;
	if (one_in(day, 8)) /* only the size changes: the place in the queue is lost all the same */
		price = (uint32_t)order.price;
	shares = one_in(day, 3) ? draw_shares(day) : order.shares;
	id = order_id(day);
	if (mdfh_refbook_replace(day->book, order.order_id, id, shares, price) < 0)
		return -ENOMEM;
	/* The list has room: the old id's place is taken, and it becomes the newest. */
	symbol->orders[index] = symbol->orders[symbol->count - 1];
	symbol->orders[symbol->count - 1] = id;
	return (int)itch50_encode_order_replace(out, &(struct itch50_order_replace){
							 .locate = locate,
							 .tracking = tracking(day),
							 .timestamp = day->time_ns,
							 .original_order_ref = order.order_id,
							 .new_order_ref = id,
							 .shares = shares,
							 .price = price,
						     });
}

static int write_cancel(struct mdfh_day *day, uint16_t locate, uint8_t *out)
{
	struct symbol *symbol = &day->symbols[locate];
	struct mdfh_refbook_order order;
	uint32_t index;
	uint32_t shares;

	if (!order_pick(day, symbol, &index, &order))
		return 0;
	shares = 1 + below(day, order.shares);
	if (shares == order.shares && shares > 1 && !one_in(day, 16))
		shares--;
	mdfh_refbook_reduce(day->book, order.order_id, shares);
	if (shares == order.shares)
		order_forget(symbol, index);
	return (int)itch50_encode_order_cancel(out, &(struct itch50_order_cancel){
							.locate = locate,
							.tracking = tracking(day),
							.timestamp = day->time_ns,
							.order_ref = order.order_id,
							.canceled_shares = shares,
						    });
}

/* Execute at the head of the best level; price 0 = at the order's own price. Returns the length,
 * and the shares that were executed in *done. */
int execute_head(struct mdfh_day *day, uint16_t locate, unsigned side, uint32_t shares,
    uint32_t price, char printable, uint32_t *done, uint8_t *out)
{
	struct mdfh_refbook_order head;
	uint64_t match;

	if (!mdfh_refbook_head(day->book, locate, side, &head))
		return 0;
	if (shares > head.shares)
		shares = head.shares;
	match = match_number(day);
	if (mdfh_refbook_execute(day->book, head.order_id, shares, match, printable == 'Y') < 0)
		return -ENOMEM;
	if (shares == head.shares)
		day->symbols[locate].live--; /* its id is dropped from the list when met */
	if (printable == 'Y')
		remember_print(day, locate, match);
	*done = shares;
	if (!price)
		return (int)itch50_encode_order_executed(out, &(struct itch50_order_executed){
								  .locate = locate,
								  .tracking = tracking(day),
								  .timestamp = day->time_ns,
								  .order_ref = head.order_id,
								  .executed_shares = shares,
								  .match_number = match,
							      });
	return (int)itch50_encode_order_executed_price(out, &(struct itch50_order_executed_price){
								.locate = locate,
								.tracking = tracking(day),
								.timestamp = day->time_ns,
								.order_ref = head.order_id,
								.executed_shares = shares,
								.match_number = match,
								.printable = printable,
								.execution_price = price,
							    });
}

/* The side that an aggressor hits: the one that stands on the wrong side of the fair price. */
static unsigned stale_side(struct mdfh_day *day, uint16_t locate)
{
	const struct symbol *symbol = &day->symbols[locate];
	struct mdfh_refbook_level bid;
	struct mdfh_refbook_level ask;
	int64_t fair = (int64_t)symbol->fair * symbol->tick;

	if (!mdfh_refbook_level(day->book, locate, BUY, 0, &bid))
		return SELL;
	if (!mdfh_refbook_level(day->book, locate, SELL, 0, &ask))
		return BUY;
	if (bid.price > fair)
		return BUY;
	if (ask.price <= fair)
		return SELL;
	return one_in(day, 2) ? BUY : SELL;
}

/* The next execution of an aggressor, who may go through several orders and levels. */
static int write_sweep(struct mdfh_day *day, uint8_t *out)
{
	uint32_t done = 0;
	int length = execute_head(
	    day, day->sweep_locate, day->sweep_side, day->sweep_shares, 0, 'Y', &done, out);

	day->sweep_shares -= done;
	day->sweep_left--;
	if (length <= 0 || !day->sweep_left)
		day->sweep_shares = 0;
	return length;
}

static int write_execution(struct mdfh_day *day, uint16_t locate, uint8_t *out)
{
	if (is_halted(&day->symbols[locate]))
		return 0;
	day->sweep_locate = locate;
	day->sweep_side = (uint8_t)stale_side(day, locate);
	day->sweep_shares = draw_shares(day);
	day->sweep_left = SWEEP_MAX;
	return write_sweep(day, out);
}

/* Price improvement: a tick better for the aggressor than the order's own price. */
static int write_execution_at_price(struct mdfh_day *day, uint16_t locate, uint8_t *out)
{
	unsigned side = stale_side(day, locate);
	struct mdfh_refbook_order head;
	int64_t price;
	uint32_t done;

	if (is_halted(&day->symbols[locate]) || !mdfh_refbook_head(day->book, locate, side, &head))
		return 0;
	price = head.price + (side == BUY ? 1 : -1) * (int64_t)day->symbols[locate].tick;
	if (price < 1 || price > PRICE_MAX)
		return 0;
	return execute_head(day, locate, side, draw_shares(day), (uint32_t)price, 'Y', &done, out);
}

static int write_hidden_trade(struct mdfh_day *day, uint16_t locate, uint8_t *out)
{
	const struct symbol *symbol = &day->symbols[locate];
	struct itch50_trade message = {
	    .locate = locate,
	    .tracking = tracking(day),
	    .timestamp = day->time_ns,
	    .side = 'B',
	    .shares = draw_shares(day),
	    .price = (uint32_t)symbol->fair * symbol->tick,
	};

	if (is_halted(symbol))
		return 0;
	message.match_number = match_number(day);
	if (mdfh_refbook_trade(day->book, locate, message.shares, message.match_number) < 0)
		return -ENOMEM;
	remember_print(day, locate, message.match_number);
	memcpy(message.stock, symbol->name, sizeof(message.stock));
	return (int)itch50_encode_trade(out, &message);
}

static int write_break(struct mdfh_day *day, struct print *print, uint8_t *out)
{
	struct itch50_broken_trade message = {
	    .locate = print->locate,
	    .tracking = tracking(day),
	    .timestamp = day->time_ns,
	    .match_number = print->match,
	};

	mdfh_refbook_break(day->book, print->match);
	print->match = 0;
	return (int)itch50_encode_broken_trade(out, &message);
}

int write_broken_trade(struct mdfh_day *day, uint8_t *out)
{
	struct print *print = &day->breakable[below(day, BREAKABLE)];

	return print->match ? write_break(day, print, out) : 0;
}

/* The newest print of this symbol, of any for locate 0, that is not broken yet. */
int write_newest_broken(struct mdfh_day *day, uint16_t locate, uint8_t *out)
{
	for (uint32_t i = 1; i <= BREAKABLE; i++) {
		struct print *print = &day->breakable[(day->breakable_next - i) % BREAKABLE];

		if (print->match && (!locate || print->locate == locate))
			return write_break(day, print, out);
	}
	return 0;
}

/* Where the fair price of a symbol that has news is by now. */
static void follow_news(struct mdfh_day *day, uint16_t locate)
{
	struct symbol *symbol = &day->symbols[locate];
	const struct news *news = &day->news[symbol->news - 1];

	for (unsigned i = 0; i < news->event->symbols_count; i++) {
		if (news->locates[i] == locate)
			move_fair(symbol, news_fair(day, news, i));
	}
}

static void drift(struct mdfh_day *day, uint16_t locate)
{
	struct symbol *symbol = &day->symbols[locate];
	uint64_t bits = mdfh_random_next(&day->random);

	if (symbol->news) {
		follow_news(day, locate);
		return;
	}
	if ((bits & 2047) >= symbol->volatility || symbol->is_closed)
		return;
	if (bits & 2048 && symbol->fair < symbol->fair_high)
		symbol->fair++;
	else if (!(bits & 2048) && symbol->fair > symbol->fair_low)
		symbol->fair--;
}

/* The symbol of the next message: one of a burst's or of the news, or by its activity. */
static uint16_t pick_symbol(struct mdfh_day *day)
{
	if (day->burst_left && day->burst->symbols_count)
		return day->burst_locates[below(day, day->burst->symbols_count)];
	for (unsigned i = 0; day->news_open && i < day->scenario->events_count; i++) {
		const struct news *news = &day->news[i];

		if (news->is_open && below(day, 10000) < news->percent)
			return news->locates[below(day, news->event->symbols_count)];
	}
	return draw_symbol(day);
}

/* Whether news have left orders behind on the wrong side of the price. */
static int is_stale(const struct mdfh_day *day, uint16_t locate)
{
	const struct symbol *symbol = &day->symbols[locate];
	struct mdfh_refbook_level best;
	int64_t fair = (int64_t)symbol->fair * symbol->tick;

	if (mdfh_refbook_level(day->book, locate, BUY, 0, &best) && best.price > fair)
		return 1;
	return mdfh_refbook_level(day->book, locate, SELL, 0, &best) && best.price <= fair;
}

/* Add or delete, whichever brings the symbol nearer to its number of live orders. */
static int write_add_or_delete(struct mdfh_day *day, uint16_t locate, uint8_t *out)
{
	const struct symbol *symbol = &day->symbols[locate];
	int64_t excess = (int64_t)symbol->live - symbol->target;
	int64_t chance = 493 + excess * 256 / ((int64_t)symbol->target + 4);
	int is_full = mdfh_refbook_orders(day->book) >= day->config.live_orders;
	int length = 0;

	if (chance < 320)
		chance = 320;
	if (chance > 680)
		chance = 680;
	if (is_full || below(day, 1024) < (uint32_t)chance)
		length = write_delete(day, locate, out);
	if (!length && !is_full)
		length = write_add(day, locate, out);
	return length;
}

/* One message of the continuous market. imbalances: percent of messages that are one of that cross.
 * 0 only when nothing can be done with the drawn symbol. An aggressor who takes several orders
 * uses up later turns, so that executions keep their part of the mix. */
int write_trading(struct mdfh_day *day, double imbalances, char cross, uint8_t *out)
{
	const struct mix *mix = &day->mix;
	uint32_t draw = below(day, 1000000);
	uint16_t locate;
	int is_pressed;
	int length = 0;

	if (day->sweep_shares) {
		length = write_sweep(day, out);
		if (length) {
			day->sweep_debt++;
			return length;
		}
	}
	locate = pick_symbol(day);
	drift(day, locate);
	if (imbalances > 0 && below(day, 1000000) < (uint32_t)(imbalances * 10000))
		return write_imbalance(day, locate, cross, out);
	is_pressed = day->symbols[locate].news && is_stale(day, locate) && one_in(day, 2);
	if (!is_pressed && draw < mix->executions && day->sweep_debt)
		day->sweep_debt--;
	else if (is_pressed || draw < mix->executions)
		length = write_execution(day, locate, out);
	else if (draw < mix->off_price)
		length = write_execution_at_price(day, locate, out);
	else if (draw < mix->replaces)
		length = write_replace(day, locate, out);
	else if (draw < mix->cancels)
		length = write_cancel(day, locate, out);
	else if (draw < mix->hidden_trades)
		length = write_hidden_trade(day, locate, out);
	else if (draw < mix->broken_trades)
		length = write_broken_trade(day, out);
	return length ? length : write_add_or_delete(day, locate, out);
}
