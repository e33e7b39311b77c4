/* day_auctions.c - imbalances and crosses. */
#include "sim/day_state.h"

#include <errno.h>
#include <string.h>

#include "itch50.h"

int write_imbalance_of(
    struct mdfh_day *day, uint16_t locate, const struct imbalance *imbalance, uint8_t *out)
{
	static const char variations[] = "L123";
	const struct symbol *symbol = &day->symbols[locate];
	uint32_t price = imbalance->price;
	struct itch50_noii message = {
	    .locate = locate,
	    .tracking = tracking(day),
	    .timestamp = day->time_ns,
	    .paired_shares = imbalance->paired,
	    .imbalance_shares = imbalance->shares,
	    .imbalance_direction = imbalance->direction,
	    .far_price = price > symbol->tick ? price - symbol->tick : price,
	    .near_price = price,
	    .reference_price = price + symbol->tick,
	    .cross_type = imbalance->cross,
	    .price_variation = variations[below(day, 4)],
	};

	memcpy(message.stock, symbol->name, sizeof(message.stock));
	return (int)itch50_encode_noii(out, &message);
}

int write_imbalance(struct mdfh_day *day, uint16_t locate, char cross, uint8_t *out)
{
	static const char directions[] = "BSNO";
	const struct symbol *symbol = &day->symbols[locate];
	struct imbalance imbalance = {
	    .paired = below(day, 500000),
	    .shares = below(day, 60000),
	    .price = (uint32_t)symbol->fair * symbol->tick,
	    .direction = directions[below(day, 4)],
	    .cross = cross,
	};

	if (imbalance.direction == 'N')
		imbalance.shares = 0;
	return write_imbalance_of(day, locate, &imbalance, out);
}

int write_cross(struct mdfh_day *day, uint16_t locate, char cross, uint64_t shares, uint8_t *out)
{
	const struct symbol *symbol = &day->symbols[locate];
	struct itch50_cross_trade message = {
	    .locate = locate,
	    .tracking = tracking(day),
	    .timestamp = day->time_ns,
	    .shares = shares,
	    .cross_price = shares ? (uint32_t)symbol->fair * symbol->tick : 0,
	    .match_number = match_number(day),
	    .cross_type = cross,
	};

	if (mdfh_refbook_trade(day->book, locate, shares, message.match_number) < 0)
		return -ENOMEM;
	memcpy(message.stock, symbol->name, sizeof(message.stock));
	return (int)itch50_encode_cross_trade(out, &message);
}

/* A symbol's cross: for half of the best orders on each side an execution that is not printed,
 * then the bulk print, which holds their shares and those of orders that were never displayed. Of
 * a halted symbol the print says that nothing was crossed. */
int crosses(struct mdfh_day *day, char cross, uint8_t *out)
{
	while (day->step || day->cursor < day->config.symbols) {
		uint16_t locate;
		uint32_t done = 0;
		int length = 0;

		if (!day->step) {
			day->cursor++;
			day->cross_shares = 0;
		}
		locate = (uint16_t)day->cursor;
		if (day->step < 2) {
			unsigned side = day->step++ ? SELL : BUY;
			const struct symbol *symbol = &day->symbols[locate];

			if (!is_halted(symbol) && one_in(day, 2))
				length = execute_head(day, locate, side, draw_shares(day),
				    (uint32_t)symbol->fair * symbol->tick, 'N', &done, out);
			day->cross_shares += done;
		} else {
			uint64_t hidden = one_in(day, 4) ? 0 : 100ull * below(day, 1000);

			if (is_halted(&day->symbols[locate]))
				hidden = 0;

			day->step = 0;
			length = write_cross(day, locate, cross, day->cross_shares + hidden, out);
		}
		if (length)
			return length;
	}
	return 0;
}
