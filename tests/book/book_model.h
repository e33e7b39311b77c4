/* book_model.h - a book so plain that it cannot be wrong: one array of orders in time order and
 * one of price levels, everything found by looking at all of them. It can be fed with ops, as the
 * books are, or with the events that the books make; both must give what the books say.
 *
 * Where an op brings what cannot be, the model follows include/mdfh/book.h. */
#ifndef TESTS_BOOK_MODEL_H
#define TESTS_BOOK_MODEL_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mdfh/book.h"
#include "proto/op.h"

struct model_order {
	uint64_t id;
	int64_t price;
	uint32_t quantity;
	uint32_t instrument;
	uint16_t channel;
	uint8_t side;
};

struct model_level { /* of a venue that sends levels */
	int64_t price;
	uint64_t quantity;
	uint32_t orders;
	uint32_t instrument;
	uint8_t side;
};

struct model {
	struct model_order *orders;
	int count, capacity;
	struct model_level *levels;
	int level_count, level_capacity;
	int orders_max, levels_max;
	uint64_t errors[MDFH_BOOK_ERRORS];
	uint64_t executions;
	uint64_t volume[64]; /* by instrument */
	uint64_t trades[64];
	uint16_t channel_of[64];
	int day_over[2]; /* by channel */
	int price_scale;
};

static inline void model_free(struct model *m)
{
	free(m->orders);
	free(m->levels);
}

static inline int model_find(const struct model *m, uint16_t channel, uint64_t id)
{
	for (int i = 0; i < m->count; i++)
		if (m->orders[i].id == id && m->orders[i].channel == channel)
			return i;
	return -1;
}

static inline int model_find_level(
    const struct model *m, uint32_t instrument, unsigned side, int64_t price)
{
	for (int i = 0; i < m->level_count; i++)
		if (m->levels[i].instrument == instrument && m->levels[i].side == side &&
		    m->levels[i].price == price)
			return i;
	return -1;
}

static inline int model_has_orders_at(
    const struct model *m, uint32_t instrument, unsigned side, int64_t price)
{
	for (int i = 0; i < m->count; i++)
		if (m->orders[i].instrument == instrument && m->orders[i].side == side &&
		    m->orders[i].price == price)
			return 1;
	return 0;
}

static inline void model_drop(struct model *m, int i)
{
	memmove(
	    &m->orders[i], &m->orders[i + 1], (size_t)(m->count - i - 1) * sizeof(m->orders[0]));
	m->count--;
}

static inline void model_drop_level(struct model *m, int i)
{
	m->levels[i] = m->levels[--m->level_count];
}

static inline void model_append(struct model *m, struct model_order order)
{
	if (m->count == m->capacity) {
		m->capacity = m->capacity ? m->capacity * 2 : 64;
		m->orders = realloc(m->orders, (size_t)m->capacity * sizeof(m->orders[0]));
		if (!m->orders)
			abort();
	}
	m->orders[m->count++] = order;
}

static inline void model_set_level(struct model *m, struct model_level level)
{
	int i = model_find_level(m, level.instrument, level.side, level.price);

	if (i >= 0)
		model_drop_level(m, i);
	if (!level.quantity)
		return;
	if (m->level_count == m->level_capacity) {
		m->level_capacity = m->level_capacity ? m->level_capacity * 2 : 64;
		m->levels = realloc(m->levels, (size_t)m->level_capacity * sizeof(m->levels[0]));
		if (!m->levels)
			abort();
	}
	m->levels[m->level_count++] = level;
}

/* Levels of a side, best first. */
static inline int model_side(
    const struct model *m, uint32_t instrument, unsigned side, struct mdfh_level *out, int max)
{
	int n = 0;

	for (int i = 0; i < m->count; i++) {
		const struct model_order *o = &m->orders[i];
		int k = 0;

		if (o->instrument != instrument || o->side != side)
			continue;
		while (k < n && out[k].venue_price != o->price)
			k++;
		if (k == n) {
			if (n == max)
				abort();
			out[n++] = (struct mdfh_level){.venue_price = o->price};
		}
		out[k].quantity += o->quantity;
		out[k].orders++;
	}
	for (int i = 0; i < m->level_count; i++) {
		const struct model_level *l = &m->levels[i];

		if (l->instrument != instrument || l->side != side)
			continue;
		if (n == max)
			abort();
		out[n++] = (struct mdfh_level){
		    .venue_price = l->price, .quantity = l->quantity, .orders = l->orders};
	}
	for (int i = 1; i < n; i++) {
		struct mdfh_level level = out[i];
		int k = i;

		while (k && (side == MDFH_SIDE_BUY ? out[k - 1].venue_price < level.venue_price
						   : out[k - 1].venue_price > level.venue_price)) {
			out[k] = out[k - 1];
			k--;
		}
		out[k] = level;
	}
	return n;
}

/* Price levels, exact from levels_max on. */
static inline int model_levels_in_use(const struct model *m)
{
	int n = m->level_count;

	if (n + m->count < m->levels_max)
		return 0; /* not full, which is all that is asked */

	for (int i = 0; i < m->count; i++) {
		int k = 0;

		while (k < i && (m->orders[k].instrument != m->orders[i].instrument ||
				    m->orders[k].side != m->orders[i].side ||
				    m->orders[k].price != m->orders[i].price))
			k++;
		n += k == i;
	}
	return n;
}

static inline int model_best(
    const struct model *m, uint32_t instrument, unsigned side, int64_t *price)
{
	int found = 0;

	for (int i = 0; i < m->count; i++) {
		const struct model_order *o = &m->orders[i];

		if (o->instrument != instrument || o->side != side)
			continue;
		if (!found || (side == MDFH_SIDE_BUY ? o->price > *price : o->price < *price))
			*price = o->price;
		found = 1;
	}
	for (int i = 0; i < m->level_count; i++) {
		const struct model_level *l = &m->levels[i];

		if (l->instrument != instrument || l->side != side)
			continue;
		if (!found || (side == MDFH_SIDE_BUY ? l->price > *price : l->price < *price))
			*price = l->price;
		found = 1;
	}
	return found;
}

static inline void model_check_crossed(struct model *m, uint32_t instrument)
{
	int64_t bid = 0, ask = 0;

	if (model_best(m, instrument, MDFH_SIDE_BUY, &bid) &&
	    model_best(m, instrument, MDFH_SIDE_SELL, &ask) && bid >= ask)
		m->errors[MDFH_BOOK_CROSSED]++;
}

static inline void model_clear(struct model *m, uint32_t instrument, int channel)
{
	for (int i = m->count - 1; i >= 0; i--)
		if (instrument ? m->orders[i].instrument == instrument
			       : m->orders[i].channel == channel)
			model_drop(m, i);
	for (int i = m->level_count - 1; i >= 0; i--)
		if (instrument ? m->levels[i].instrument == instrument
			       : m->channel_of[m->levels[i].instrument] == channel)
			model_drop_level(m, i);
	for (uint32_t i = 0; i < 64; i++)
		if (!instrument && m->channel_of[i] == channel)
			m->volume[i] = m->trades[i] = 0;
}

/* Ops ----------------------------------------------------------------------------------------- */

static inline void model_add(struct model *m, const struct mdfh_op *op, uint16_t channel,
    uint64_t id, unsigned side, uint32_t instrument)
{
	struct model_order order = {.id = id,
	    .price = op->price,
	    .quantity = (uint32_t)op->quantity64,
	    .instrument = instrument,
	    .channel = channel,
	    .side = (uint8_t)side};
	int64_t limit = INT64_C(1) << 62, scaled;

	if (!order.quantity) {
		m->errors[MDFH_BOOK_ZERO_QUANTITY]++;
		return;
	}
	if (order.price > limit || order.price < -limit) {
		m->errors[MDFH_BOOK_NO_PRICE]++;
		return;
	}
	if (model_find(m, channel, id) >= 0) {
		m->errors[MDFH_BOOK_DUPLICATE_ORDER]++;
		return;
	}
	if (m->count == m->orders_max) {
		m->errors[MDFH_BOOK_ORDERS_FULL]++;
		return;
	}
	if (!m->price_scale ||
	    __builtin_mul_overflow(order.price, (int64_t)m->price_scale, &scaled))
		m->errors[MDFH_BOOK_NO_PRICE]++;
	if (!model_has_orders_at(m, instrument, side, order.price)) {
		int i = model_find_level(m, instrument, side, order.price);

		if (i < 0 && model_levels_in_use(m) == m->levels_max) {
			m->errors[MDFH_BOOK_LEVELS_FULL]++;
			return;
		}
		if (i >= 0)
			model_drop_level(m, i);
	}
	model_append(m, order);
	model_check_crossed(m, instrument);
}

static inline int model_known(struct model *m, const struct mdfh_op *op, uint16_t channel)
{
	int i = model_find(m, channel, op->order_id);

	if (i < 0) {
		m->errors[MDFH_BOOK_UNKNOWN_ORDER]++;
	} else if (op->instrument && m->orders[i].instrument != op->instrument) {
		m->errors[MDFH_BOOK_WRONG_INSTRUMENT]++;
		return -1;
	}
	return i;
}

static inline void model_take(
    struct model *m, const struct mdfh_op *op, uint16_t channel, int execute)
{
	int i = model_known(m, op, channel);
	uint32_t quantity = (uint32_t)op->quantity64, instrument;
	struct model_order *o;

	if (i < 0)
		return;
	o = &m->orders[i];
	instrument = o->instrument;
	if (execute) {
		int64_t traded = op->flags & MDFH_OP_PRICED ? op->price : o->price, best = 0,
			scaled;
		int first = 0;

		m->executions++;
		model_best(m, instrument, o->side, &best);
		while (m->orders[first].instrument != instrument ||
		       m->orders[first].side != o->side || m->orders[first].price != o->price)
			first++;
		if (traded != o->price) {
			if (!m->price_scale ||
			    __builtin_mul_overflow(traded, (int64_t)m->price_scale, &scaled))
				m->errors[MDFH_BOOK_NO_PRICE]++;
		} else if (!(op->flags & MDFH_OP_NOT_PRINTED) && (best != o->price || first != i)) {
			m->errors[MDFH_BOOK_NOT_AT_HEAD]++;
		}
		if (!(op->flags & MDFH_OP_NOT_PRINTED)) {
			m->volume[instrument] += quantity;
			m->trades[instrument] += quantity != 0;
		}
	}
	if (quantity > o->quantity)
		m->errors[execute ? MDFH_BOOK_OVER_EXECUTION : MDFH_BOOK_OVER_REDUCTION]++;
	if (quantity >= o->quantity)
		model_drop(m, i);
	else
		o->quantity -= quantity;
	model_check_crossed(m, instrument);
}

static inline void model_level(struct model *m, const struct mdfh_op *op, unsigned side,
    int64_t price, uint64_t quantity, uint32_t orders)
{
	for (int i = m->count - 1; i >= 0; i--)
		if (m->orders[i].instrument == op->instrument && m->orders[i].side == side &&
		    m->orders[i].price == price)
			model_drop(m, i);
	if (quantity && model_find_level(m, op->instrument, side, price) < 0 &&
	    model_levels_in_use(m) == m->levels_max) {
		m->errors[MDFH_BOOK_LEVELS_FULL]++;
		return;
	}
	model_set_level(m, (struct model_level){.price = price,
			       .quantity = quantity,
			       .orders = orders,
			       .instrument = op->instrument,
			       .side = (uint8_t)side});
	model_check_crossed(m, op->instrument);
}

static inline void model_op(struct model *m, const struct mdfh_op *op, uint16_t channel)
{
	int i;

	switch (op->kind) {
	case MDFH_OP_ADD:
		if (!op->instrument) {
			m->errors[MDFH_BOOK_WRONG_INSTRUMENT]++;
			break;
		}
		if (op->side != MDFH_SIDE_BUY && op->side != MDFH_SIDE_SELL) {
			m->errors[MDFH_BOOK_BAD_SIDE]++;
			break;
		}
		model_add(m, op, channel, op->order_id, op->side, op->instrument);
		break;
	case MDFH_OP_EXECUTE:
		model_take(m, op, channel, 1);
		break;
	case MDFH_OP_REDUCE:
		model_take(m, op, channel, 0);
		break;
	case MDFH_OP_DELETE:
		i = model_known(m, op, channel);
		if (i >= 0) {
			uint32_t instrument = m->orders[i].instrument;

			model_drop(m, i);
			model_check_crossed(m, instrument);
		}
		break;
	case MDFH_OP_REPLACE:
		i = model_known(m, op, channel);
		if (i >= 0) {
			struct model_order old = m->orders[i];

			model_drop(m, i);
			model_add(m, op, channel, op->new_order_id, old.side, old.instrument);
		}
		break;
	case MDFH_OP_LEVEL:
		model_level(m, op, op->side, op->price, op->quantity64, op->quantity2);
		break;
	case MDFH_OP_TRADE:
	case MDFH_OP_CROSS:
		if (op->quantity64) {
			m->volume[op->instrument] += op->quantity64;
			m->trades[op->instrument]++;
		}
		break;
	case MDFH_OP_END_OF_DAY:
		m->day_over[channel] = 1;
		break;
	case MDFH_OP_DAY_BEGIN:
		if (m->day_over[channel])
			model_clear(m, 0, channel);
		m->day_over[channel] = 0;
		break;
	case MDFH_OP_SESSION_BEGIN:
		m->day_over[channel] = 0;
		model_clear(m, 0, channel);
		break;
	case MDFH_OP_CLEAR:
		model_clear(m, op->instrument, channel);
		break;
	default:
		break;
	}
}

/* Events -------------------------------------------------------------------------------------- */

/* The same book from events alone. Prices come back by the scale, so it is not zero here. */
static inline void model_event(struct model *m, const struct mdfh_event *e)
{
	int64_t price = e->order.price / m->price_scale;
	int i;

	switch (e->kind) {
	case MDFH_EVENT_ORDER_ADD:
		if ((i = model_find_level(m, e->instrument, e->side, price)) >= 0)
			model_drop_level(m, i);
		model_append(m, (struct model_order){.id = e->order.order_id,
				    .price = price,
				    .quantity = e->order.quantity,
				    .instrument = e->instrument,
				    .channel = e->channel,
				    .side = e->side});
		break;
	case MDFH_EVENT_ORDER_EXECUTE:
	case MDFH_EVENT_ORDER_REDUCE:
	case MDFH_EVENT_ORDER_DELETE:
		i = model_find(m, e->channel, e->order.order_id);
		if (i < 0 || m->orders[i].price != price || m->orders[i].side != e->side)
			abort();
		m->orders[i].quantity -= e->order.quantity;
		if (m->orders[i].quantity != e->order.remaining)
			abort();
		if (!e->order.remaining)
			model_drop(m, i);
		break;
	case MDFH_EVENT_ORDER_MODIFY:
		i = model_find(m, e->channel, e->order.order_id);
		if (i < 0)
			abort();
		m->orders[i].price = price;
		m->orders[i].quantity = e->order.quantity;
		if (e->flags & MDFH_EVENT_PRIORITY_LOST) {
			struct model_order moved = m->orders[i];

			model_drop(m, i);
			model_append(m, moved);
		}
		break;
	case MDFH_EVENT_LEVEL:
		for (i = m->count - 1; i >= 0; i--)
			if (m->orders[i].instrument == e->instrument &&
			    m->orders[i].side == e->side && m->orders[i].price == price)
				model_drop(m, i);
		model_set_level(m, (struct model_level){.price = price,
				       .quantity = e->level_update.quantity,
				       .orders = e->level_update.orders,
				       .instrument = e->instrument,
				       .side = e->side});
		break;
	case MDFH_EVENT_CLEAR:
	case MDFH_EVENT_SESSION_BEGIN:
		model_clear(m, e->kind == MDFH_EVENT_CLEAR ? e->instrument : 0, e->channel);
		break;
	default:
		break;
	}
}

/* Comparison ---------------------------------------------------------------------------------- */

#define MODEL_REQUIRE(condition)                                                                   \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

enum { MODEL_LEVELS_MAX = 8192 };

/* Everything that the reading calls say of the books must be what the model says. */
static inline void model_compare(
    const struct model *m, const struct mdfh_books *books, uint32_t instruments)
{
	static struct mdfh_level want[MODEL_LEVELS_MAX], have[MODEL_LEVELS_MAX];
	static struct mdfh_order queue[MODEL_LEVELS_MAX];
	uint64_t orders = 0, levels = 0;

	for (uint32_t i = 1; i < instruments; i++) {
		for (unsigned side = 1; side <= 2; side++) {
			int n = model_side(m, i, side, want, MODEL_LEVELS_MAX);

			levels += (uint64_t)n;
			MODEL_REQUIRE(mdfh_book_level_count(books, i, side) == n);
			MODEL_REQUIRE(
			    mdfh_book_levels(books, i, side, have, MODEL_LEVELS_MAX) == n);
			MODEL_REQUIRE(mdfh_book_best(books, i, side, &have[n]) == (n > 0));
			for (int k = 0; k < n; k++) {
				int count, q = 0;

				MODEL_REQUIRE(have[k].venue_price == want[k].venue_price);
				MODEL_REQUIRE(have[k].quantity == want[k].quantity);
				MODEL_REQUIRE(have[k].orders == want[k].orders);
				count = mdfh_book_orders(
				    books, i, side, want[k].venue_price, queue, MODEL_LEVELS_MAX);
				for (int o = 0; o < m->count; o++) {
					const struct model_order *order = &m->orders[o];

					if (order->instrument != i || order->side != side ||
					    order->price != want[k].venue_price)
						continue;
					MODEL_REQUIRE(q < count);
					MODEL_REQUIRE(queue[q].order_id == order->id);
					MODEL_REQUIRE(queue[q].quantity == order->quantity);
					MODEL_REQUIRE(queue[q].position == (uint32_t)q);
					q++;
				}
				MODEL_REQUIRE(q == count);
				orders += (uint64_t)q;
			}
		}
	}
	MODEL_REQUIRE(mdfh_books_stats(books)->orders == orders);
	MODEL_REQUIRE(mdfh_books_stats(books)->orders == (uint64_t)m->count);
	MODEL_REQUIRE(mdfh_books_stats(books)->levels == levels);
}

#endif
