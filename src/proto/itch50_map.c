/* itch50_map.c - Nasdaq TotalView-ITCH 5.0 messages to ops.
 *
 * Two ways through. The seven order messages and the hidden trade (A F E C X D U P, called orders
 * below; 98 of 100 in a day) differ only in where their fields stand, so a table says that and one
 * straight piece of code reads them all: a switch on the type would be mispredicted on every third
 * message. Whatever is not plain about a message leads to the second way, a mapping function a
 * type.
 *
 * Impossible fields: an order's side that is not B or S, a printable that is not Y or N, an order
 * or a replacement of 0 shares, a price above 200000.0000 (the specification's maximum), stock
 * locate 0 on an order or trade. Such a message cannot be applied and becomes a gap of one number.
 * Codes that are only reported (states, flags) are counted and passed on as unknown. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/lines.h"
#include "mdfh/error.h"
#include "mdfh/event.h"
#include "proto/instrument.h"
#include "proto/protocols.h"
#include "protocols/itch50.h"

#define PRICE_SCALE 100000      /* price4 to 1e-9 */
#define PRICE_MAX   0x77359400u /* 200000.0000 */
#define LIKELY(x)   __builtin_expect((x), 1)
#define NS_MASK     0x0000ffffffffffffu

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

/* Layouts and helpers ------------------------------------------------------ */

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

static int64_t exchange_time(const struct itch50 *d, uint64_t ns)
{
	return d->midnight_ns + (int64_t)(ns & d->time_mask);
}

/* The first op of a message, with what all types have in common. */
static struct mdfh_op *begin_op(
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
static struct mdfh_op *another_op(struct mdfh_op *last, unsigned kind)
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
static void set_price(struct mdfh_op *op, enum mdfh_statistic code, uint32_t price)
{
	op->code = (uint16_t)code;
	op->price = price;
	op->flags |= MDFH_OP_IS_PRICE;
}

/* A price statistic of its own behind the last op; returns it. */
static struct mdfh_op *another_price(struct mdfh_op *last, enum mdfh_statistic code, uint32_t price)
{
	struct mdfh_op *op = another_op(last, MDFH_OP_STATISTIC);

	set_price(op, code, price);
	return op;
}

static void strange(struct itch50 *d)
{
	d->base.stats.errors[MDFH_DECODE_FIELD]++;
}

/* Stock locate to row ------------------------------------------------------ */

static int subscribed(const struct itch50 *d, const uint8_t *stock)
{
	uint64_t key = mdfh_load_be64(stock);
	uint32_t low = 0, high = d->symbol_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (d->symbols[middle] == key)
			return 1;
		if (d->symbols[middle] < key)
			low = middle + 1;
		else
			high = middle;
	}
	return 0;
}

/* The row that this channel's stock already has, or 0. */
static uint32_t row_of_stock(const struct itch50 *d, const uint8_t *stock)
{
	char name[STOCK_SIZE + 1] = {0};

	memcpy(name, stock, STOCK_SIZE);
	for (int at = STOCK_SIZE; at > 0 && name[at - 1] == ' '; at--)
		name[at - 1] = '\0';
	return mdfh_instruments_find_symbol_on(d->instruments, d->base.channel, name);
}

/* Give a locate its state. stock is NULL where the message does not name it. After the first
 * session a stock keeps its row by name, because locates are dealt out anew each day. */
static void meet(struct itch50 *d, uint16_t locate, const uint8_t *stock)
{
	uint64_t venue_id = d->generation << 16 | locate;
	struct mdfh_instrument *i;
	uint32_t row = 0;

	if (d->symbol_count) {
		if (!stock)
			return;
		if (!subscribed(d, stock)) {
			d->locate[locate] = LOCATE_SKIPPED;
			d->named++;
			return;
		}
	}
	if (stock && d->generation)
		row = row_of_stock(d, stock);
	if (!row)
		row = mdfh_instruments_row(d->instruments, d->base.channel, venue_id);
	if (!row)
		return;
	i = mdfh_instruments_at(d->instruments, row);
	i->price_scale = PRICE_SCALE;
	if (stock)
		mdfh_instruments_set_symbol(d->instruments, row, (const char *)stock, STOCK_SIZE);
	d->locate[locate] = row | (stock ? 0 : (uint32_t)LOCATE_STRANGE);
	d->named++;
}

/* The day and the market --------------------------------------------------- */

static int map_system_event(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
{
	struct mdfh_op *first = begin_op(d, m, op, MDFH_OP_STATUS);

	first->instrument = 0;
	switch (itch50_system_event_event_code(m)) {
	case ITCH50_EVENT_CODE_START_OF_MESSAGES:
		first->kind = MDFH_OP_DAY_BEGIN;
		another_op(first, MDFH_OP_STATUS)->code = MDFH_STATUS_START_OF_MESSAGES;
		return 2;
	case ITCH50_EVENT_CODE_START_OF_SYSTEM_HOURS:
		first->code = MDFH_STATUS_START_OF_SYSTEM;
		return 1;
	case ITCH50_EVENT_CODE_START_OF_MARKET_HOURS:
		first->code = MDFH_STATUS_START_OF_MARKET;
		return 1;
	case ITCH50_EVENT_CODE_END_OF_MARKET_HOURS:
		first->code = MDFH_STATUS_END_OF_MARKET;
		return 1;
	case ITCH50_EVENT_CODE_END_OF_SYSTEM_HOURS:
		first->code = MDFH_STATUS_END_OF_SYSTEM;
		return 1;
	case ITCH50_EVENT_CODE_END_OF_MESSAGES:
		first->kind = MDFH_OP_END_OF_DAY;
		return 1;
	default:
		strange(d);
		return 1;
	}
}

static int map_decline_level(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
{
	static const enum mdfh_statistic codes[3] = {MDFH_STATISTIC_CIRCUIT_BREAKER_1,
	    MDFH_STATISTIC_CIRCUIT_BREAKER_2, MDFH_STATISTIC_CIRCUIT_BREAKER_3};
	const uint64_t levels[3] = {itch50_mwcb_decline_level_level_1(m),
	    itch50_mwcb_decline_level_level_2(m), itch50_mwcb_decline_level_level_3(m)};

	for (int i = 0; i < 3; i++) {
		/* Eight decimals to nine. */
		if (levels[i] > INT64_MAX / 10)
			return -MDFH_DECODE_FIELD;
	}
	begin_op(d, m, op, MDFH_OP_STATISTIC)->instrument = 0;
	another_op(op, MDFH_OP_STATISTIC);
	another_op(op + 1, MDFH_OP_STATISTIC);
	for (int i = 0; i < 3; i++) {
		d->decline_level[i] = levels[i] * 10;
		op[i].code = (uint16_t)codes[i];
		op[i].price = (int64_t)levels[i] * 10;
	}
	return 3;
}

/* The level that was breached, as far as a V has told it, then the halt. */
static int map_decline_status(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
{
	unsigned level = (uint8_t)itch50_mwcb_status_breached_level(m) - (unsigned)'1';
	struct mdfh_op *first = begin_op(d, m, op, MDFH_OP_STATISTIC);

	first->instrument = 0;
	if (level > 2) {
		strange(d);
		first->kind = MDFH_OP_STATUS;
		first->code = MDFH_STATUS_CIRCUIT_BREAKER;
		return 1;
	}
	first->code = (uint16_t)(MDFH_STATISTIC_CIRCUIT_BREAKER_1 + level);
	first->price = (int64_t)d->decline_level[level];
	first->quantity64 = 1;
	another_op(first, MDFH_OP_STATUS)->code = MDFH_STATUS_CIRCUIT_BREAKER;
	return 2;
}

/* Instruments -------------------------------------------------------------- */

static int map_directory(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
{
	struct mdfh_op *first = begin_op(d, m, op, MDFH_OP_INSTRUMENT);

	if (first->instrument)
		mdfh_instruments_at(d->instruments, first->instrument)->lot =
		    itch50_stock_directory_round_lot_size(m);
	return 1;
}

static int map_trading_action(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
{
	struct mdfh_op *first = begin_op(d, m, op, MDFH_OP_STATUS);

	switch (itch50_stock_trading_action_trading_state(m)) {
	case ITCH50_TRADING_STATE_HALTED:
		first->code = MDFH_STATUS_HALTED;
		break;
	case ITCH50_TRADING_STATE_PAUSED:
		first->code = MDFH_STATUS_PAUSED;
		break;
	case ITCH50_TRADING_STATE_QUOTATION_ONLY:
		first->code = MDFH_STATUS_QUOTATION;
		break;
	case ITCH50_TRADING_STATE_TRADING:
		first->code = MDFH_STATUS_TRADING;
		break;
	default:
		strange(d);
		break;
	}
	return 1;
}

/* Operational halts name a market; quantity64 holds its letter. */
static int map_operational_halt(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
{
	struct mdfh_op *first = begin_op(d, m, op, MDFH_OP_STATUS);
	char action = itch50_operational_halt_halt_action(m);

	first->quantity64 = (uint8_t)itch50_operational_halt_market_code(m);
	if (action == 'H')
		first->code = MDFH_STATUS_NOT_TRADING;
	else if (action == 'T')
		first->code = MDFH_STATUS_TRADING;
	else
		strange(d);
	return 1;
}

static int map_reg_sho(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
{
	struct mdfh_op *first = begin_op(d, m, op, MDFH_OP_STATUS);

	switch (itch50_reg_sho_restriction_reg_sho_action(m)) {
	case ITCH50_REG_SHO_ACTION_NONE:
		first->code = MDFH_STATUS_SHORT_SALE_FREE;
		break;
	case ITCH50_REG_SHO_ACTION_IN_EFFECT:
	case ITCH50_REG_SHO_ACTION_REMAINS_IN_EFFECT:
		first->code = MDFH_STATUS_SHORT_SALE_RESTRICTED;
		break;
	default:
		strange(d);
		break;
	}
	return 1;
}

/* Value: the four letters; quantity: primary, mode and state, a byte each. */
static int map_participant(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
{
	struct mdfh_op *first = begin_op(d, m, op, MDFH_OP_STATISTIC);

	first->code = MDFH_STATISTIC_MARKET_MAKER;
	first->price = mdfh_load_be32(itch50_market_participant_position_mpid(m));
	first->quantity64 =
	    (uint64_t)(uint8_t)itch50_market_participant_position_primary_market_maker(m) << 16 |
	    (uint64_t)(uint8_t)itch50_market_participant_position_market_maker_mode(m) << 8 |
	    (uint8_t)itch50_market_participant_position_participant_state(m);
	return 1;
}

static int map_ipo(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
{
	struct mdfh_op *first = begin_op(d, m, op, MDFH_OP_STATISTIC);
	uint64_t seconds = itch50_ipo_quoting_period_quotation_release_time(m);
	struct mdfh_op *release;

	/* The specification documents locate 0 here. */
	if (!itch50_locate(m))
		first->instrument =
		    row_of_stock(d, (const uint8_t *)itch50_ipo_quoting_period_stock(m));
	set_price(first, MDFH_STATISTIC_IPO_PRICE, itch50_ipo_quoting_period_ipo_price(m));
	release = another_op(first, MDFH_OP_STATISTIC);
	release->code = MDFH_STATISTIC_IPO_RELEASE_TIME;
	/* Seconds, unlike every other time; 0 = the release was cancelled. */
	if (itch50_ipo_quoting_period_release_qualifier(m) != 'C')
		release->price = exchange_time(d, seconds * 1000000000);
	return 2;
}

static int map_luld_collar(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
{
	struct mdfh_op *at = begin_op(d, m, op, MDFH_OP_STATISTIC);

	set_price(at, MDFH_STATISTIC_REFERENCE_PRICE,
	    itch50_luld_auction_collar_collar_reference_price(m));
	at = another_price(
	    at, MDFH_STATISTIC_UPPER_LIMIT, itch50_luld_auction_collar_upper_collar_price(m));
	at = another_price(
	    at, MDFH_STATISTIC_LOWER_LIMIT, itch50_luld_auction_collar_lower_collar_price(m));
	at = another_op(at, MDFH_OP_STATISTIC);
	at->code = MDFH_STATISTIC_EXTENSIONS;
	at->price = itch50_luld_auction_collar_collar_extension(m);
	return 4;
}

static int map_direct_listing(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
{
	struct mdfh_op *at = begin_op(d, m, op, MDFH_OP_STATISTIC);

	set_price(at, MDFH_STATISTIC_MINIMUM_PRICE, itch50_direct_listing_minimum_price(m));
	at =
	    another_price(at, MDFH_STATISTIC_MAXIMUM_PRICE, itch50_direct_listing_maximum_price(m));
	at = another_price(
	    at, MDFH_STATISTIC_NEAR_PRICE, itch50_direct_listing_near_execution_price(m));
	at = another_price(at, MDFH_STATISTIC_LOWER_LIMIT, itch50_direct_listing_lower_collar(m));
	another_price(at, MDFH_STATISTIC_UPPER_LIMIT, itch50_direct_listing_upper_collar(m));
	return 5;
}

static int map_retail_interest(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
{
	struct mdfh_op *first = begin_op(d, m, op, MDFH_OP_STATISTIC);

	first->code = MDFH_STATISTIC_RETAIL_INTEREST;
	switch (itch50_rpii_interest_flag(m)) {
	case 'B':
		first->side = MDFH_SIDE_BUY;
		first->quantity64 = 1;
		break;
	case 'S':
		first->side = MDFH_SIDE_SELL;
		first->quantity64 = 1;
		break;
	case 'A':
		first->quantity64 = 1;
		break;
	case 'N':
		break;
	default:
		strange(d);
		break;
	}
	return 1;
}

/* Prints and auctions ------------------------------------------------------ */

static int map_cross(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
{
	struct mdfh_op *first = begin_op(d, m, op, MDFH_OP_CROSS);

	if (itch50_cross_trade_cross_price(m) > PRICE_MAX)
		return -MDFH_DECODE_FIELD;
	first->price = itch50_cross_trade_cross_price(m);
	first->quantity64 = itch50_cross_trade_shares(m);
	first->match_id = itch50_cross_trade_match_number(m);
	first->code = (uint8_t)itch50_cross_trade_cross_type(m);
	return 1;
}

static int map_broken_trade(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
{
	begin_op(d, m, op, MDFH_OP_BREAK)->match_id = itch50_broken_trade_match_number(m);
	return 1;
}

static int map_imbalance(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
{
	struct mdfh_op *at = begin_op(d, m, op, MDFH_OP_STATISTIC);
	char direction = itch50_noii_imbalance_direction(m);

	at->code = MDFH_STATISTIC_PAIRED_QUANTITY;
	at->quantity64 = itch50_noii_paired_shares(m);
	at = another_op(at, MDFH_OP_STATISTIC);
	at->code = MDFH_STATISTIC_IMBALANCE_QUANTITY;
	at->quantity64 = itch50_noii_imbalance_shares(m);
	if (direction == 'B')
		at->side = MDFH_SIDE_BUY;
	else if (direction == 'S')
		at->side = MDFH_SIDE_SELL;
	else if (direction != 'N' && direction != 'O' && direction != 'P')
		strange(d);
	at = another_price(at, MDFH_STATISTIC_FAR_PRICE, itch50_noii_far_price(m));
	at = another_price(at, MDFH_STATISTIC_NEAR_PRICE, itch50_noii_near_price(m));
	another_price(at, MDFH_STATISTIC_REFERENCE_PRICE, itch50_noii_reference_price(m));
	return 5;
}

/* Every type but the orders: where its stock stands, and who maps it. */
static const struct mapping {
	map_function *map; /* NULL = not in the specification, or an order message */
	uint8_t length;    /* shortest */
	uint8_t stock_at;  /* 0 = carries no stock */
} mappings[256] = {
    [ITCH50_SYSTEM_EVENT] = {map_system_event, ITCH50_SYSTEM_EVENT_LENGTH, 0},
    [ITCH50_STOCK_DIRECTORY] = {map_directory, ITCH50_STOCK_DIRECTORY_LENGTH, 11},
    [ITCH50_STOCK_TRADING_ACTION] = {map_trading_action, ITCH50_STOCK_TRADING_ACTION_LENGTH, 11},
    [ITCH50_REG_SHO_RESTRICTION] = {map_reg_sho, ITCH50_REG_SHO_RESTRICTION_LENGTH, 11},
    [ITCH50_MARKET_PARTICIPANT_POSITION] = {map_participant,
	ITCH50_MARKET_PARTICIPANT_POSITION_LENGTH, 15},
    [ITCH50_MWCB_DECLINE_LEVEL] = {map_decline_level, ITCH50_MWCB_DECLINE_LEVEL_LENGTH, 0},
    [ITCH50_MWCB_STATUS] = {map_decline_status, ITCH50_MWCB_STATUS_LENGTH, 0},
    [ITCH50_IPO_QUOTING_PERIOD] = {map_ipo, ITCH50_IPO_QUOTING_PERIOD_LENGTH, 11},
    [ITCH50_LULD_AUCTION_COLLAR] = {map_luld_collar, ITCH50_LULD_AUCTION_COLLAR_LENGTH, 11},
    [ITCH50_OPERATIONAL_HALT] = {map_operational_halt, ITCH50_OPERATIONAL_HALT_LENGTH, 11},
    [ITCH50_CROSS_TRADE] = {map_cross, ITCH50_CROSS_TRADE_LENGTH, 19},
    [ITCH50_BROKEN_TRADE] = {map_broken_trade, ITCH50_BROKEN_TRADE_LENGTH, 0},
    [ITCH50_NOII] = {map_imbalance, ITCH50_NOII_LENGTH, 28},
    [ITCH50_RPII] = {map_retail_interest, ITCH50_RPII_LENGTH, 11},
    [ITCH50_DIRECT_LISTING] = {map_direct_listing, ITCH50_DIRECT_LISTING_LENGTH, 11},
    /* Orders: only the stock is asked for here. */
    [ITCH50_ADD_ORDER] = {NULL, ITCH50_ADD_ORDER_LENGTH, 24},
    [ITCH50_ADD_ORDER_MPID] = {NULL, ITCH50_ADD_ORDER_MPID_LENGTH, 24},
    [ITCH50_TRADE] = {NULL, ITCH50_TRADE_LENGTH, 24},
};

/* Orders ------------------------------------------------------------------- */

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

/* One message the careful way; up to OPS_MAX ops. Returns how many. */
static __attribute__((noinline)) int map_message(
    struct itch50 *d, const uint8_t *m, uint32_t length, struct mdfh_op *op)
{
	const struct mapping *mapping;
	const struct order_layout *o;
	uint8_t copy[READ_MAX] = {0};
	unsigned error;
	int n;

	if (length == 0) {
		error = MDFH_DECODE_UNKNOWN;
		goto none;
	}
	mapping = &mappings[m[0]];
	o = &d->orders[m[0]];
	d->base.stats.by_type[m[0]]++;
	if (o->length == UINT32_MAX && !mapping->map) {
		error = MDFH_DECODE_UNKNOWN;
		goto none;
	}
	if (length < (mapping->map ? mapping->length : o->length)) {
		error = MDFH_DECODE_SHORT;
		goto refuse;
	}
	if (itch50_locate(m)) {
		const uint8_t *stock = mapping->stock_at ? m + mapping->stock_at : NULL;
		uint32_t state = d->locate[itch50_locate(m)];

		if (state == LOCATE_STRANGE || (state & LOCATE_STRANGE && stock) ||
		    m[0] == ITCH50_STOCK_DIRECTORY)
			meet(d, itch50_locate(m), stock);
	}
	if (!mapping->map) {
		const struct order_constants c = order_constants(d);
		uint32_t row = d->locate[itch50_locate(m)] & LOCATE_ROW;

		memcpy(copy, m, length < READ_MAX ? length : READ_MAX);
		if (!read_order(o, copy, o->length, row, d->base.sequence, &c, op) ||
		    !itch50_locate(m)) {
			error = MDFH_DECODE_FIELD;
			goto refuse;
		}
		/* Not subscribed, or no room for another row: no fault of the message. */
		if (!row)
			skip_message(op, d->base.sequence, d->base.origin);
		return 1;
	}
	n = mapping->map(d, m, op);
	if (n < 0) {
		error = (unsigned)-n;
		goto refuse;
	}
	/* Everything about a stock that is not subscribed or has no row. */
	if (op->instrument == 0 && (mapping->stock_at || itch50_locate(m))) {
		op->flags = 0;
		op->kind = MDFH_OP_NONE;
		return 1;
	}
	return n;

none:
	d->base.stats.errors[error]++;
	*op = (struct mdfh_op){.sequence = d->base.sequence, .origin = d->base.origin};
	return 1;
refuse:
	d->base.stats.errors[error]++;
	*op = (struct mdfh_op){
	    .kind = MDFH_OP_GAP,
	    .order_id = d->base.sequence,
	    .quantity64 = 1,
	    .code = MDFH_CAUSE_MALFORMED,
	    .sequence = d->base.sequence,
	    .origin = d->base.origin,
	};
	return 1;
}

/* Data path ---------------------------------------------------------------- */

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

/* Kept out of line so that everything stays in registers. */
static __attribute__((noinline)) uint32_t read_plain_orders(
    struct itch50 *d, const uint8_t **at, const uint8_t *end, uint32_t count, struct mdfh_op *ops)
{
	return read_orders(d, at, end, count, ops, 0);
}

static __attribute__((noinline)) uint32_t read_soup_orders(
    struct itch50 *d, const uint8_t **at, const uint8_t *end, uint32_t count, struct mdfh_op *ops)
{
	return read_orders(d, at, end, count, ops, 1);
}

/* Budget: 5 ns an order message. */
static int itch50_next(struct mdfh_decoder *decoder, struct mdfh_op *ops, int max)
{
	struct itch50 *d = (struct itch50 *)decoder;
	struct mdfh_decoder_base *base = &d->base;
	const uint8_t *at = base->span.data;
	const uint8_t *end = at + base->span.length;
	uint64_t begun = base->sequence;
	uint64_t left = base->span.messages - (begun - base->span.first);
	uint32_t n = 0, most = (uint32_t)(max - OPS_MAX) + 1;
	uint32_t before = base->framing == MDFH_FRAMING_SOUPBIN; /* a packet type */

	while (left > 0 && n < most) {
		uint32_t count = left < most - n ? (uint32_t)left : most - n;
		uint32_t length;

		if (end - at < 3 + READ_MAX)
			count = 0;
		else if (before)
			count = read_soup_orders(d, &at, end, count, ops + n);
		else
			count = read_plain_orders(d, &at, end, count, ops + n);
		base->sequence += count;
		left -= count;
		n += count;
		if (left == 0 || n >= most)
			break;

		length = end - at < 2 ? UINT32_MAX : mdfh_load_be16(at);
		if (base->span.messages == MDFH_SPAN_UNCOUNTED &&
		    (length == 0 || length > end - at - 2)) {
			base->span.messages = base->sequence - base->span.first;
			break;
		}
		if (length > end - at - 2 || length < before) {
			/* The rest of what was promised is not there. */
			base->stats.errors[MDFH_DECODE_FRAMING]++;
			ops[n++] = (struct mdfh_op){
			    .kind = MDFH_OP_GAP,
			    .order_id = base->sequence,
			    .quantity64 = left,
			    .code = MDFH_CAUSE_MALFORMED,
			    .sequence = base->sequence,
			    .origin = base->origin,
			};
			base->sequence += left;
			at = end;
			break;
		}
		n += (uint32_t)map_message(d, at + 2 + before, length - before, &ops[n]);
		at += length + 2;
		base->sequence++;
		left--;
	}
	base->span.length = (uint32_t)(end - at);
	base->span.data = at;
	base->stats.messages += base->sequence - begun;
	base->stats.ops += n;
	return (int)n;
}

static void forget_locates(struct itch50 *d)
{
	for (size_t i = 0; i < sizeof(d->locate) / sizeof(d->locate[0]); i++)
		d->locate[i] = LOCATE_STRANGE;
}

static void itch50_session_begin(struct mdfh_decoder *decoder)
{
	struct itch50 *d = (struct itch50 *)decoder;

	if (!d->named)
		return;
	forget_locates(d);
	memset(d->decline_level, 0, sizeof(d->decline_level));
	d->generation++;
	d->named = 0;
}

/* Setup -------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Symbols as the wire has them: padded with spaces, as one number. */
static int subscribe(struct itch50 *d, const struct mdfh_decoder_config *config)
{
	if (!config->symbol_count)
		return 0;
	d->symbols = calloc(config->symbol_count, sizeof(*d->symbols));
	if (!d->symbols)
		return mdfh_error(-ENOMEM, "itch50: %u symbols", config->symbol_count);
	for (uint32_t i = 0; i < config->symbol_count; i++) {
		const char *symbol = config->symbols[i];
		size_t length = strlen(symbol);
		char padded[STOCK_SIZE];

		if (length == 0 || length > STOCK_SIZE)
			return mdfh_error(-EINVAL,
			    "itch50: symbol '%s' has %zu characters; it must have 1 to %d", symbol,
			    length, STOCK_SIZE);
		memset(padded, ' ', sizeof(padded));
		for (size_t k = 0; k < length; k++)
			padded[k] = symbol[k];
		d->symbols[i] = mdfh_load_be64(padded);
	}
	qsort(d->symbols, config->symbol_count, sizeof(*d->symbols), compare_keys);
	d->symbol_count = config->symbol_count;
	return 0;
}

static void itch50_destroy(struct mdfh_decoder *decoder)
{
	struct itch50 *d = (struct itch50 *)decoder;

	free(d->symbols);
	free(d);
}

static int itch50_create(const struct mdfh_decoder_config *config, struct mdfh_decoder **decoder)
{
	struct itch50 *d = mdfh_lines_alloc(1, sizeof(*d));
	int err;

	if (!d)
		return mdfh_error(-ENOMEM, "itch50: %zu bytes", sizeof(*d));
	d->instruments = config->instruments;
	d->midnight_ns = config->midnight_ns;
	d->time_mask = config->midnight_ns ? NS_MASK : 0;
	forget_locates(d);
	for (size_t i = 0; i < 256; i++)
		d->orders[i].length = UINT32_MAX;
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++)
		d->orders[layouts[i].type] = layouts[i].layout;
	err = subscribe(d, config);
	if (err) {
		itch50_destroy((struct mdfh_decoder *)d);
		return err;
	}
	*decoder = (struct mdfh_decoder *)d;
	return 0;
}

const struct mdfh_protocol mdfh_protocol_itch50 = {
    .name = "itch50",
    .session = "moldudp64",
    .venue_timezone = "America/New_York",
    .create = itch50_create,
    .destroy = itch50_destroy,
    .next = itch50_next,
    .session_begin = itch50_session_begin,
};
