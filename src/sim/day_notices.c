/* day_notices.c - what a day opens with: every symbol, its state and its participants. */
#include "sim/day_state.h"

#include <string.h>

#include "itch50.h"

/* Over all symbols, every stride-th: is there one more? */
static int spin(struct mdfh_day *day, uint32_t stride, uint16_t *locate)
{
	if (!day->cursor)
		day->cursor = 1;
	if (day->cursor > day->config.symbols)
		return 0;
	*locate = (uint16_t)day->cursor;
	day->cursor += stride;
	return 1;
}

int directory(struct mdfh_day *day, uint8_t *out)
{
	static const char categories[] = "QGSNAPZV";
	uint16_t locate;
	struct itch50_stock_directory message;

	if (!spin(day, 1, &locate))
		return 0;
	message = (struct itch50_stock_directory){
	    .locate = locate,
	    .timestamp = day->time_ns,
	    .market_category = categories[below(day, 8)],
	    .financial_status = 'N',
	    .round_lot_size = 100,
	    .round_lots_only = 'N',
	    .issue_classification = 'C',
	    .issue_sub_type = {'Z', ' '},
	    .authenticity = locate % 1000 == 999 ? 'T' : 'P',
	    .short_sale_threshold = 'N',
	    .ipo_flag = 'N',
	    .luld_tier = locate % 8 ? '2' : '1',
	    .etp_flag = 'N',
	    .inverse_indicator = 'N',
	};
	memcpy(message.stock, day->symbols[locate].name, sizeof(message.stock));
	mdfh_refbook_symbol(
	    day->book, locate, day->symbols[locate].name, sizeof(day->symbols[locate].name));
	return (int)itch50_encode_stock_directory(out, &message);
}

int trading_states(struct mdfh_day *day, uint8_t *out)
{
	uint16_t locate;

	return spin(day, 1, &locate) ? write_trading_action(day, locate, 'T', "    ", out) : 0;
}

int reg_sho(struct mdfh_day *day, uint8_t *out)
{
	uint16_t locate;
	struct itch50_reg_sho_restriction message;

	if (!spin(day, 1, &locate))
		return 0;
	message = (struct itch50_reg_sho_restriction){
	    .locate = locate,
	    .timestamp = day->time_ns,
	    .reg_sho_action = one_in(day, 50) ? '2' : '0',
	};
	memcpy(message.stock, day->symbols[locate].name, sizeof(message.stock));
	return (int)itch50_encode_reg_sho_restriction(out, &message);
}

int participants(struct mdfh_day *day, uint8_t *out)
{
	uint16_t locate;
	struct itch50_market_participant_position message;

	if (!spin(day, 3, &locate))
		return 0;
	message = (struct itch50_market_participant_position){
	    .locate = locate,
	    .timestamp = day->time_ns,
	    .mpid = {'M', 'M', 'K', 'A'},
	    .primary_market_maker = 'Y',
	    .market_maker_mode = 'N',
	    .participant_state = 'A',
	};
	memcpy(message.stock, day->symbols[locate].name, sizeof(message.stock));
	return (int)itch50_encode_market_participant_position(out, &message);
}

int retail(struct mdfh_day *day, uint8_t *out)
{
	static const char flags[] = "BSAN";
	uint16_t locate;
	struct itch50_rpii message;

	if (!spin(day, 16, &locate))
		return 0;
	message = (struct itch50_rpii){
	    .locate = locate,
	    .timestamp = day->time_ns,
	    .interest_flag = flags[below(day, 4)],
	};
	memcpy(message.stock, day->symbols[locate].name, sizeof(message.stock));
	return (int)itch50_encode_rpii(out, &message);
}

/* The market-wide circuit breaker levels, and a new listing by offering and one by itself. */
int notices(struct mdfh_day *day, uint8_t *out)
{
	uint16_t locate = (uint16_t)(1 + day->config.symbols / 2);
	const struct symbol *symbol = &day->symbols[locate];
	uint32_t price = (uint32_t)symbol->fair * symbol->tick;

	switch (day->step++) {
	case 0:
		return (int)itch50_encode_mwcb_decline_level(
		    out, &(struct itch50_mwcb_decline_level){
			     .timestamp = day->time_ns,
			     .level_1 = 418500000000u,
			     .level_2 = 391500000000u,
			     .level_3 = 360000000000u,
			 });
	case 1: {
		struct itch50_ipo_quoting_period message = {
		    .timestamp = day->time_ns,
		    .quotation_release_time = 10 * 3600,
		    .release_qualifier = 'A',
		    .ipo_price = price,
		};

		memcpy(message.stock, symbol->name, sizeof(message.stock));
		return (int)itch50_encode_ipo_quoting_period(out, &message);
	}
	case 2: {
		struct itch50_direct_listing message = {
		    .locate = locate,
		    .timestamp = day->time_ns,
		    .open_eligibility = 'N',
		    .minimum_price = price - price / 5,
		    .maximum_price = price + price / 5,
		    .near_execution_price = price,
		    .near_execution_time = 9 * HOUR_NS + HOUR_NS / 2,
		    .lower_collar = price - price / 10,
		    .upper_collar = price + price / 10,
		};

		memcpy(message.stock, symbol->name, sizeof(message.stock));
		return (int)itch50_encode_direct_listing(out, &message);
	}
	default:
		return 0;
	}
}
