/* itch50_reference.c - ITCH 5.0: the day, the market, and what is said of an instrument. */
#include "mdfh/event.h"
#include "proto/itch50_state.h"

/* The day and the market ------------------------------------------------------------- */

int mdfh_itch50_system_event(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
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

int mdfh_itch50_decline_level(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
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
int mdfh_itch50_decline_status(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
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

/* Instruments ------------------------------------------------------------------------ */

int mdfh_itch50_directory(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
{
	struct mdfh_op *first = begin_op(d, m, op, MDFH_OP_INSTRUMENT);

	if (first->instrument)
		mdfh_instruments_at(d->instruments, first->instrument)->lot =
		    itch50_stock_directory_round_lot_size(m);
	return 1;
}

int mdfh_itch50_trading_action(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
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
int mdfh_itch50_operational_halt(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
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

int mdfh_itch50_reg_sho(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
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
int mdfh_itch50_participant(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
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

int mdfh_itch50_ipo(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
{
	struct mdfh_op *first = begin_op(d, m, op, MDFH_OP_STATISTIC);
	uint64_t seconds = itch50_ipo_quoting_period_quotation_release_time(m);
	struct mdfh_op *release;

	/* The specification documents locate 0 here. */
	if (!itch50_locate(m))
		first->instrument = mdfh_itch50_row_of_stock(
		    d, (const uint8_t *)itch50_ipo_quoting_period_stock(m));
	set_price(first, MDFH_STATISTIC_IPO_PRICE, itch50_ipo_quoting_period_ipo_price(m));
	release = another_op(first, MDFH_OP_STATISTIC);
	release->code = MDFH_STATISTIC_IPO_RELEASE_TIME;
	/* Seconds, unlike every other time; 0 = the release was cancelled. */
	if (itch50_ipo_quoting_period_release_qualifier(m) != 'C')
		release->price = exchange_time(d, seconds * 1000000000);
	return 2;
}

int mdfh_itch50_luld_collar(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
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
