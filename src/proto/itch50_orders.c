/* itch50_orders.c - the order messages of ITCH 5.0 and the hidden trade: the hot path. */
#include <string.h>

#include "proto/itch50_state.h"

#define LIKELY(x) __builtin_expect((x), 1)

static const struct {
	uint8_t type;
	struct order_layout layout;
} layouts[] = {
    {ITCH50_ADD_ORDER, {.length = ITCH50_ADD_ORDER_LENGTH,
			   .at[AT_QUANTITY] = 20,
			   .quantity_mask = UINT32_MAX,
			   .quantity_min = 1,
			   .at[AT_PRICE] = 32,
			   .price_mask = UINT32_MAX,
			   .at[AT_CHOICE] = 19,
			   .tail = {{.kind = MDFH_OP_ADD, .side = MDFH_SIDE_BUY},
			       {.kind = MDFH_OP_ADD, .side = MDFH_SIDE_SELL}},
			   .byte = {'B', 'S'}}},
    {ITCH50_ADD_ORDER_MPID, {.length = ITCH50_ADD_ORDER_MPID_LENGTH,
				.at[AT_QUANTITY] = 20,
				.quantity_mask = UINT32_MAX,
				.quantity_min = 1,
				.at[AT_PRICE] = 32,
				.price_mask = UINT32_MAX,
				.at[AT_CHOICE] = 19,
				.tail = {{.kind = MDFH_OP_ADD, .side = MDFH_SIDE_BUY},
				    {.kind = MDFH_OP_ADD, .side = MDFH_SIDE_SELL}},
				.byte = {'B', 'S'}}},
    {ITCH50_ORDER_EXECUTED, {.length = ITCH50_ORDER_EXECUTED_LENGTH,
				.at[AT_QUANTITY] = 19,
				.quantity_mask = UINT32_MAX,
				.at[AT_ID2] = 23,
				.id2_mask = UINT64_MAX,
				.tail = {{.kind = MDFH_OP_EXECUTE}, {.kind = MDFH_OP_EXECUTE}},
				.byte = {'E', 'E'}}},
    {ITCH50_ORDER_EXECUTED_PRICE,
	{.length = ITCH50_ORDER_EXECUTED_PRICE_LENGTH,
	    .at[AT_QUANTITY] = 19,
	    .quantity_mask = UINT32_MAX,
	    .at[AT_ID2] = 23,
	    .id2_mask = UINT64_MAX,
	    .at[AT_PRICE] = 32,
	    .price_mask = UINT32_MAX,
	    .at[AT_CHOICE] = 31,
	    .tail = {{.kind = MDFH_OP_EXECUTE, .flags = MDFH_OP_PRICED | MDFH_OP_NOT_PRINTED},
		{.kind = MDFH_OP_EXECUTE, .flags = MDFH_OP_PRICED}},
	    .byte = {'N', 'Y'}}},
    {ITCH50_ORDER_CANCEL, {.length = ITCH50_ORDER_CANCEL_LENGTH,
			      .at[AT_QUANTITY] = 19,
			      .quantity_mask = UINT32_MAX,
			      .tail = {{.kind = MDFH_OP_REDUCE}, {.kind = MDFH_OP_REDUCE}},
			      .byte = {'X', 'X'}}},
    {ITCH50_ORDER_DELETE, {.length = ITCH50_ORDER_DELETE_LENGTH,
			      .tail = {{.kind = MDFH_OP_DELETE}, {.kind = MDFH_OP_DELETE}},
			      .byte = {'D', 'D'}}},
    {ITCH50_ORDER_REPLACE, {.length = ITCH50_ORDER_REPLACE_LENGTH,
			       .at[AT_QUANTITY] = 27,
			       .quantity_mask = UINT32_MAX,
			       .quantity_min = 1,
			       .at[AT_ID2] = 19,
			       .id2_mask = UINT64_MAX,
			       .at[AT_PRICE] = 31,
			       .price_mask = UINT32_MAX,
			       .tail = {{.kind = MDFH_OP_REPLACE}, {.kind = MDFH_OP_REPLACE}},
			       .byte = {'U', 'U'}}},
    /* The side of P is always B since 2014: it says nothing, so it is not looked at. */
    {ITCH50_TRADE, {.length = ITCH50_TRADE_LENGTH,
		       .at[AT_QUANTITY] = 20,
		       .quantity_mask = UINT32_MAX,
		       .at[AT_ID2] = 36,
		       .id2_mask = UINT64_MAX,
		       .at[AT_PRICE] = 32,
		       .price_mask = UINT32_MAX,
		       .tail = {{.kind = MDFH_OP_TRADE, .flags = MDFH_OP_HIDDEN},
			   {.kind = MDFH_OP_TRADE, .flags = MDFH_OP_HIDDEN}},
		       .byte = {'P', 'P'}}},
};

void mdfh_itch50_orders_init(struct itch50 *d)
{
	for (size_t i = 0; i < 256; i++)
		d->orders[i].length = UINT32_MAX;
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++)
		d->orders[layouts[i].type] = layouts[i].layout;
}

/* One message ----------------------------------------------------------------------- */

/* What all ops of a span have in common. */
struct order_constants {
	int64_t midnight_ns;
	uint64_t time_mask;
	uint64_t tail; /* struct op_tail with the origin only */
};

static inline struct order_constants order_constants(const struct itch50 *d)
{
	const struct op_tail tail = {.origin = d->base.origin};
	struct order_constants c = {.midnight_ns = d->midnight_ns, .time_mask = d->time_mask};

	memcpy(&c.tail, &tail, sizeof(c.tail));
	return c;
}

/* Read an order message into op, o being its type's layout. READ_MAX bytes can be read at m.
 * Returns 1 if the message is plain; else it has another length than its type, is no order or has
 * an impossible field: then op is not to be used.
 *
 * Loads and stores are what limits this, so the four places are one load. */
static inline int read_order(const struct order_layout *o, const uint8_t *m, uint32_t length,
    uint32_t row, uint64_t sequence, const struct order_constants *c, struct mdfh_op *op)
{
	const uint32_t places = mdfh_load_le32(o->at);
	const uint64_t byte = m[places >> 24];
	uint32_t price = mdfh_load_be32(m + (uint8_t)(places >> 8)) & o->price_mask;
	uint32_t quantity = mdfh_load_be32(m + (uint8_t)(places >> 16)) & o->quantity_mask;
	const uint32_t rows[2] = {row, 0};
	uint64_t tail;

	op->order_id = mdfh_load_be64(m + 11);
	op->new_order_id = mdfh_load_be64(m + (uint8_t)places) & o->id2_mask;
	op->price = price;
	op->quantity64 = quantity;
	op->sequence = sequence;
	/* With the tracking number before it the timestamp is one load. */
	op->exchange_ns = c->midnight_ns + (int64_t)(mdfh_load_be64(m + 3) & c->time_mask);
	/* The rest of the line as two stores of eight bytes. */
	memcpy((uint8_t *)op + offsetof(struct mdfh_op, instrument), rows, sizeof(rows));
	memcpy(&tail, &o->tail[byte & 1], sizeof(tail));
	tail |= c->tail;
	memcpy((uint8_t *)op + offsetof(struct mdfh_op, kind), &tail, sizeof(tail));
	/* Branches that go one way are less work than one sum of all. */
	return LIKELY(length == o->length) && LIKELY(byte == o->byte[byte & 1]) &&
	       LIKELY(price <= PRICE_MAX) && LIKELY(quantity >= o->quantity_min);
}

static void skip_message(struct mdfh_op *op, uint64_t sequence, uint16_t origin)
{
	*op = (struct mdfh_op){.sequence = sequence, .origin = origin};
}

int mdfh_itch50_order(struct itch50 *d, const uint8_t *m, uint32_t length, struct mdfh_op *op)
{
	const struct order_layout *o = &d->orders[m[0]];
	const struct order_constants c = order_constants(d);
	uint32_t row = d->locate[itch50_locate(m)] & LOCATE_ROW;
	uint8_t copy[READ_MAX] = {0};

	memcpy(copy, m, length < READ_MAX ? length : READ_MAX);
	if (!read_order(o, copy, o->length, row, d->base.sequence, &c, op) || !itch50_locate(m))
		return -MDFH_DECODE_FIELD;
	/* Not subscribed, or no room for another row: no fault of the message. */
	if (!row)
		skip_message(op, d->base.sequence, d->base.origin);
	return 1;
}

/* Runs of messages ------------------------------------------------------------------- */

/* Order messages from *at on, until one is not plain, or comes too near to the end of the span
 * for its loads, or count are done. Moves *at and returns how many: one op each. before is what
 * stands between the length and the message and is counted by it: a constant, so that there is a
 * loop of its own for each framing. */
static inline __attribute__((always_inline)) uint32_t read_orders(struct itch50 *d,
    const uint8_t **at, const uint8_t *end, uint32_t count, struct mdfh_op *ops, uint32_t before)
{
	const struct order_constants c = order_constants(d);
	const struct mdfh_op *stop = ops + count;
	const uint8_t *last = end - READ_MAX;
	const uint8_t *m = *at + 2 + before;
	uint64_t sequence = d->base.sequence;
	uint64_t begun = sequence;

	/* Whoever has READ_MAX bytes behind m has the whole of an order message. */
	for (; ops < stop && m <= last; ops++, sequence++) {
		/* Length, what stands before, type, locate and some bytes more. */
		uint64_t head = mdfh_load_be64(m - 2 - before);
		uint32_t length = (uint32_t)(head >> 48) - before;
		uint32_t row = d->locate[(uint16_t)(head >> (24 - 8 * before))];
		size_t type = (uint8_t)(head >> (40 - 8 * before));
		const struct order_layout *o = &d->orders[type];

		if (before && length == UINT32_MAX) /* a length of 0 */
			break;
		if (LIKELY(row <= LOCATE_ROW)) {
			if (!LIKELY(read_order(o, m, length, row, sequence, &c, ops)))
				break;
		} else {
			if (!(row & LOCATE_SKIPPED) || length != o->length)
				break;
			skip_message(ops, sequence, d->base.origin);
		}
		d->base.stats.by_type[type]++;
		m += length + 2 + before;
	}
	*at = m - 2 - before;
	return (uint32_t)(sequence - begun);
}

/* A function for each framing, in which everything stays in registers. */
uint32_t mdfh_itch50_plain_orders(
    struct itch50 *d, const uint8_t **at, const uint8_t *end, uint32_t count, struct mdfh_op *ops)
{
	return read_orders(d, at, end, count, ops, 0);
}

uint32_t mdfh_itch50_soup_orders(
    struct itch50 *d, const uint8_t **at, const uint8_t *end, uint32_t count, struct mdfh_op *ops)
{
	return read_orders(d, at, end, count, ops, 1);
}
