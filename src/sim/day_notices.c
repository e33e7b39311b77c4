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
	    .ipo_flag = day->symbols[locate].is_closed ? 'Y' : 'N',
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

	if (!spin(day, 1, &locate))
		return 0;
	if (day->symbols[locate].is_closed)
		return write_trading_action(day, locate, 'H', "IPO1", out);
	return write_trading_action(day, locate, 'T', "    ", out);
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

/* A quoting period: its release at a time, or its cancellation. */
int write_ipo(
    struct mdfh_day *day, uint16_t locate, char qualifier, uint64_t release_ns, uint8_t *out)
{
	const struct symbol *symbol = &day->symbols[locate];
	struct itch50_ipo_quoting_period message = {
	    .tracking = tracking(day),
	    .timestamp = day->time_ns,
	    .quotation_release_time = qualifier == 'C' ? 0 : (uint32_t)(release_ns / SECOND_NS),
	    .release_qualifier = qualifier,
	    .ipo_price = (uint32_t)symbol->fair * symbol->tick,
	};

	memcpy(message.stock, symbol->name, sizeof(message.stock));
	return (int)itch50_encode_ipo_quoting_period(out, &message);
}

/* price in dollars, 0 = the fair one. */
int write_listing(struct mdfh_day *day, uint16_t locate, double price, uint8_t *out)
{
	const struct symbol *symbol = &day->symbols[locate];
	uint32_t near =
	    price > 0 ? (uint32_t)(price * 10000 + 0.5) : (uint32_t)symbol->fair * symbol->tick;
	struct itch50_direct_listing message = {
	    .locate = locate,
	    .tracking = tracking(day),
	    .timestamp = day->time_ns,
	    .open_eligibility = 'N',
	    .minimum_price = near - near / 5,
	    .maximum_price = near + near / 5,
	    .near_execution_price = near,
	    .near_execution_time = day->time_ns,
	    .lower_collar = near - near / 10,
	    .upper_collar = near + near / 10,
	};

	memcpy(message.stock, symbol->name, sizeof(message.stock));
	return (int)itch50_encode_direct_listing(out, &message);
}

/* The market-wide circuit breaker levels, and a new listing by offering and one by itself where
 * the scenario has none of its own. */
int notices(struct mdfh_day *day, uint8_t *out)
{
	uint16_t locate = (uint16_t)(1 + day->config.symbols / 2);
	int is_own = 0;

	for (unsigned i = 0; i < day->scenario->events_count; i++)
		is_own |= day->scenario->events[i].kind == MDFH_SCENARIO_IPO ||
			  day->scenario->events[i].kind == MDFH_SCENARIO_DIRECT_LISTING;
	switch (day->step++) {
	case 0:
		return (int)itch50_encode_mwcb_decline_level(
		    out, &(struct itch50_mwcb_decline_level){
			     .timestamp = day->time_ns,
			     .level_1 = 418500000000u,
			     .level_2 = 391500000000u,
			     .level_3 = 360000000000u,
			 });
	case 1:
		return is_own ? 0 : write_ipo(day, locate, 'A', 10 * HOUR_NS, out);
	case 2:
		return is_own ? 0 : write_listing(day, locate, 0, out);
	default:
		return 0;
	}
}
