/* itch50_state.h - what the files of the ITCH 5.0 decoder share: its state, and who maps what. */
#ifndef MDFH_PROTO_ITCH50_STATE_H
#define MDFH_PROTO_ITCH50_STATE_H

#include <assert.h>
#include <stddef.h>

#include "mdfh/event.h"
#include "proto/instrument.h"
#include "proto/protocols.h"
#include "protocols/itch50.h"

#define PRICE_MAX 0x77359400u /* 200000.0000 */

enum {
	STOCK_SIZE = 8,
	OPS_MAX = 8,   /* most ops of one message */
	READ_MAX = 44, /* bytes from a message's start that the order table may read */

	/* State of a stock locate, beside its row. */
	LOCATE_ROW = (1 << 30) - 1,
	LOCATE_STRANGE = 1 << 30, /* not met, or met and not yet named: to be looked at */
};

#define LOCATE_SKIPPED (1u << 31) /* not subscribed */

/* The end of an op, as an order message of one kind always has it. */
struct op_tail {
	uint8_t kind;
	uint8_t side;
	uint16_t code;
	uint16_t flags;
	uint16_t origin;
};

static_assert(offsetof(struct mdfh_op, kind) + sizeof(struct op_tail) == sizeof(struct mdfh_op) &&
		  offsetof(struct mdfh_op, origin) - offsetof(struct mdfh_op, kind) ==
		      offsetof(struct op_tail, origin),
    "struct op_tail is the end of struct mdfh_op");

enum order_place {
	AT_ID2, /* new order id, or match number */
	AT_PRICE,
	AT_QUANTITY,
	AT_CHOICE,
};

/* Where an order message has its fields, and what a byte of it (side, or printed or not) makes of
 * the op. Offsets of absent fields point inside the message and have an empty mask. One cache
 * line. */
struct order_layout {
	struct op_tail tail[2]; /* by the lowest bit of the byte at choice_at */
	uint64_t byte[2];       /* what that byte must be */
	uint64_t id2_mask;
	uint32_t price_mask;
	uint32_t quantity_mask;
	uint32_t quantity_min;
	uint32_t length; /* exact; UINT32_MAX = not an order message */
	uint8_t at[4];   /* by enum order_place */
	uint8_t reserved[4];
};

static_assert(sizeof(struct order_layout) == 64, "found by a shift");

struct itch50 {
	struct mdfh_decoder_base base; /* first: a decoder pointer is this pointer */
	int64_t midnight_ns;
	uint64_t time_mask; /* of the 48-bit timestamp; 0 = exchange times are unknown */
	struct mdfh_instruments *instruments;
	uint64_t decline_level[3]; /* of the last V, 1e-9 */
	uint64_t generation; /* sessions since the first: its locates have rows of their own */
	uint32_t named;      /* locates met in this session */
	uint32_t symbol_count;
	uint64_t *symbols; /* subscription: 8 bytes as on the wire, sorted */
	struct order_layout orders[256];
	uint32_t locate[65536];
};

typedef int map_function(struct itch50 *d, const uint8_t *m, struct mdfh_op *op);

/* Ops of a message ------------------------------------------------------------------ */

static inline int64_t exchange_time(const struct itch50 *d, uint64_t ns)
{
	return d->midnight_ns + (int64_t)(ns & d->time_mask);
}

/* The first op of a message, with what all types have in common. */
static inline struct mdfh_op *begin_op(
    struct itch50 *d, const uint8_t *m, struct mdfh_op *op, unsigned kind)
{
	*op = (struct mdfh_op){
	    .kind = (uint8_t)kind,
	    .sequence = d->base.sequence,
	    .origin = d->base.origin,
	    .exchange_ns = exchange_time(d, itch50_timestamp(m)),
	    .instrument = d->locate[itch50_locate(m)] & LOCATE_ROW,
	};
	return op;
}

/* Another op of the same message behind the last one; returns it. */
static inline struct mdfh_op *another_op(struct mdfh_op *last, unsigned kind)
{
	struct mdfh_op *op = last + 1;

	*op = (struct mdfh_op){
	    .kind = (uint8_t)kind,
	    .sequence = last->sequence,
	    .origin = last->origin,
	    .exchange_ns = last->exchange_ns,
	    .instrument = last->instrument,
	};
	last->flags |= MDFH_OP_MORE;
	return op;
}

/* A statistic that is a price; another_op unless it is the first. */
static inline void set_price(struct mdfh_op *op, enum mdfh_statistic code, uint32_t price)
{
	op->code = (uint16_t)code;
	op->price = price;
	op->flags |= MDFH_OP_IS_PRICE;
}

/* A price statistic of its own behind the last op; returns it. */
static inline struct mdfh_op *another_price(
    struct mdfh_op *last, enum mdfh_statistic code, uint32_t price)
{
	struct mdfh_op *op = another_op(last, MDFH_OP_STATISTIC);

	set_price(op, code, price);
	return op;
}

static inline void strange(struct itch50 *d)
{
	d->base.stats.errors[MDFH_DECODE_FIELD]++;
}

/* itch50_stocks.c: stock locate to row --------------------------------------------- */

/* Symbols of the configuration: no others are decoded, unless there are none. */
int mdfh_itch50_subscribe(struct itch50 *d, const struct mdfh_decoder_config *config);
/* The row that this channel's stock already has, or 0. */
uint32_t mdfh_itch50_row_of_stock(const struct itch50 *d, const uint8_t *stock);
/* Give a locate its state. stock is NULL where the message does not name it. */
void mdfh_itch50_meet(struct itch50 *d, uint16_t locate, const uint8_t *stock);

/* itch50_orders.c: orders and the hidden trade -------------------------------------- */

void mdfh_itch50_orders_init(struct itch50 *d);
/* Order messages from *at on, until one is not plain, or comes too near to the end of the span
 * for its loads, or count are done. Moves *at and returns how many: one op each. */
uint32_t mdfh_itch50_plain_orders(
    struct itch50 *d, const uint8_t **at, const uint8_t *end, uint32_t count, struct mdfh_op *ops);
/* The same for messages that each have a packet type of SoupBinTCP before them. */
uint32_t mdfh_itch50_soup_orders(
    struct itch50 *d, const uint8_t **at, const uint8_t *end, uint32_t count, struct mdfh_op *ops);
/* One order message that is long enough, the careful way: 1 op, or -MDFH_DECODE_FIELD. */
int mdfh_itch50_order(struct itch50 *d, const uint8_t *m, uint32_t length, struct mdfh_op *op);

/* Every other type: how many ops, or a negative enum mdfh_decode_error --------------- */

/* itch50_reference.c */
map_function mdfh_itch50_system_event, mdfh_itch50_decline_level, mdfh_itch50_decline_status,
    mdfh_itch50_directory, mdfh_itch50_trading_action, mdfh_itch50_operational_halt,
    mdfh_itch50_reg_sho, mdfh_itch50_participant, mdfh_itch50_ipo, mdfh_itch50_luld_collar;
/* itch50_trades.c */
map_function mdfh_itch50_cross, mdfh_itch50_broken_trade, mdfh_itch50_imbalance,
    mdfh_itch50_retail_interest, mdfh_itch50_direct_listing;

#endif
