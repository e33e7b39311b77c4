/* day_halts.c - trading stops for a symbol, and comes back. */
#include "sim/day_state.h"

#include <string.h>

#include "itch50.h"

int write_trading_action(
    struct mdfh_day *day, uint16_t locate, char state, const char *reason, uint8_t *out)
{
	struct itch50_stock_trading_action message = {
	    .locate = locate,
	    .tracking = tracking(day),
	    .timestamp = day->time_ns,
	    .trading_state = state,
	    .reserved = ' ',
	};

	memcpy(message.stock, day->symbols[locate].name, sizeof(message.stock));
	memcpy(message.reason, reason, sizeof(message.reason));
	return (int)itch50_encode_stock_trading_action(out, &message);
}

int write_collar(struct mdfh_day *day, uint16_t locate, double percent, uint8_t *out)
{
	const struct symbol *symbol = &day->symbols[locate];
	uint32_t price = (uint32_t)symbol->fair * symbol->tick;
	uint32_t width = (uint32_t)((double)price * percent / 100);
	struct itch50_luld_auction_collar message = {
	    .locate = locate,
	    .tracking = tracking(day),
	    .timestamp = day->time_ns,
	    .collar_reference_price = price,
	    .upper_collar_price = price + width,
	    .lower_collar_price = price - width,
	    .collar_extension = below(day, 3),
	};

	memcpy(message.stock, symbol->name, sizeof(message.stock));
	return (int)itch50_encode_luld_auction_collar(out, &message);
}

int write_operational_halt(struct mdfh_day *day, uint16_t locate, char action, uint8_t *out)
{
	struct itch50_operational_halt message = {
	    .locate = locate,
	    .tracking = tracking(day),
	    .timestamp = day->time_ns,
	    .market_code = 'Q',
	    .halt_action = action,
	};

	memcpy(message.stock, day->symbols[locate].name, sizeof(message.stock));
	return (int)itch50_encode_operational_halt(out, &message);
}

/* The next message of a symbol that was halted by chance; after its last one the halt is taken off
 * the list. */
int write_halt_step(struct mdfh_day *day, uint32_t which, uint8_t *out)
{
	struct halt *halt = &day->halts[which];
	uint16_t locate = halt->locate;
	struct symbol *symbol = &day->symbols[locate];
	const char *reason = halt->kind == HALT_NEWS ? "T1  " : "LUDP";
	unsigned step = halt->step++;

	halt->due = day->sent + 20 + below(day, 200);
	if (halt->kind == HALT_OPERATIONAL) {
		if (step == 0) {
			symbol->operational++;
			return write_operational_halt(day, locate, 'H', out);
		}
		*halt = day->halts[--day->halts_open];
		if (--symbol->operational) /* one of the scenario's holds still */
			return 0;
		return write_operational_halt(day, locate, 'T', out);
	}
	if (step && step < 4 && symbol->halts > 1) /* one of the scenario's holds too */
		return 0;
	switch (step) {
	case 0:
		symbol->halts++;
		return write_trading_action(
		    day, locate, halt->kind == HALT_NEWS ? 'H' : 'P', reason, out);
	case 1:
		if (halt->kind == HALT_VOLATILITY)
			return write_collar(day, locate, 5, out);
		return write_trading_action(day, locate, 'Q', "T3  ", out);
	case 2:
		return write_imbalance(day, locate, 'H', out);
	case 3:
		return write_cross(day, locate, 'H', 100ull * below(day, 200), out);
	default:
		*halt = day->halts[--day->halts_open];
		if (--symbol->halts) /* one of the scenario's holds still */
			return 0;
		return write_trading_action(day, locate, 'T', reason, out);
	}
}

/* A step of a halt that is due, or a new halt; 0 = neither. */
int write_due_halt(struct mdfh_day *day, uint8_t *out)
{
	if (day->sweep_shares) /* the aggressor trades first, then the halt */
		return 0;
	for (uint32_t i = 0; i < day->halts_open; i++) {
		if (day->halts[i].due <= day->sent)
			return write_halt_step(day, i, out);
	}
	if (!day->halts_left || day->sent < day->halt_next || day->halts_open == HALTS_MAX)
		return 0;
	day->halts_left--;
	day->halt_next += day->halt_every;
	{
		uint16_t locate = draw_symbol(day);

		if (is_halted(&day->symbols[locate]))
			return 0;
		day->halts[day->halts_open] = (struct halt){
		    .locate = locate, .kind = (uint8_t)(day->halts_begun++ % HALT_KINDS)};
		return write_halt_step(day, day->halts_open++, out);
	}
}
