/* itch50_trades.c - ITCH 5.0: prints, auctions, and the interest that stands in no book. */
#include "mdfh/event.h"
#include "proto/itch50_state.h"

int mdfh_itch50_cross(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
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

int mdfh_itch50_broken_trade(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
{
	begin_op(d, m, op, MDFH_OP_BREAK)->match_id = itch50_broken_trade_match_number(m);
	return 1;
}

int mdfh_itch50_imbalance(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
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

int mdfh_itch50_direct_listing(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
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

int mdfh_itch50_retail_interest(struct itch50 *d, const uint8_t *m, struct mdfh_op *op)
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
