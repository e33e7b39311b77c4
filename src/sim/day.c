/* day.c - the generator of a trading day: its phases in their order.
 *
 * A day is a fixed sequence of phases, each a function that writes one message a call. The
 * phases that spin over all symbols are loops turned inside out (day->cursor); the trading phases
 * draw a symbol and an action. Whatever a phase writes is applied to the reference book in the
 * same place, so the two cannot part. */
#include "sim/day.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "itch50.h"
#include "mdfh/error.h"
#include "sim/day_state.h"

enum {
	LATE_MESSAGES = 16, /* deletes and breaks after the end of system hours */
};

/* Setup ------------------------------------------------------------------ */

uint64_t mdfh_day_messages_min(uint32_t symbols)
{
	/* Directory, state, Reg SHO, a third and a 16th, two crosses; halts and single notices. */
	return symbols * (3 + 2 * (uint64_t)CROSS_STEPS) + symbols / 3 + symbols / 16 +
	       LATE_MESSAGES + 64;
}

static int config_complete(struct mdfh_day_config *config)
{
	if (!config->symbols) {
		config->symbols = MDFH_DAY_SYMBOLS_DEFAULT;
		if (config->messages / 40 < config->symbols)
			config->symbols = (uint32_t)(config->messages / 40);
		if (!config->symbols)
			config->symbols = 1;
	}
	if (config->symbols > MDFH_DAY_SYMBOLS_MAX)
		return mdfh_error(-EINVAL, "day: symbols is %u; it must be 1 to %d",
		    config->symbols, MDFH_DAY_SYMBOLS_MAX);
	if (config->messages < mdfh_day_messages_min(config->symbols))
		return mdfh_error(-EINVAL,
		    "day: messages is %llu; a day of %u symbols needs at least %llu: ask for more "
		    "messages or fewer symbols",
		    (unsigned long long)config->messages, config->symbols,
		    (unsigned long long)mdfh_day_messages_min(config->symbols));
	if (!config->live_orders) {
		config->live_orders = MDFH_DAY_LIVE_ORDERS_DEFAULT;
		if (config->messages / 16 < config->live_orders)
			config->live_orders = (uint32_t)(config->messages / 16);
	}
	return 0;
}

int mdfh_day_create(const struct mdfh_day_config *config, struct mdfh_day **out)
{
	struct mdfh_day *day = calloc(1, sizeof(*day));
	int err;

	*out = NULL;
	if (!day)
		return mdfh_error(-ENOMEM, "day: %zu bytes", sizeof(*day));
	day->config = *config;
	err = config_complete(&day->config);
	if (err)
		goto fail;
	err = mdfh_refbook_create(&day->book);
	if (err)
		goto fail;
	day->symbols = calloc(day->config.symbols + 1, sizeof(*day->symbols));
	day->alias = calloc(day->config.symbols, sizeof(*day->alias));
	if (!day->symbols || !day->alias) {
		err = mdfh_error(-ENOMEM, "day: %u symbols", day->config.symbols);
		goto fail;
	}
	day->random = config->seed;
	day->time_ns = 3 * HOUR_NS;
	day->time_end_ns = 4 * HOUR_NS;
	for (uint32_t i = 0; i < day->config.symbols; i++)
		name_symbol(&day->symbols[i + 1], i);
	err = share_activity(day);
	if (err)
		goto fail;
	fill_ahead(day);
	*out = day;
	return 0;

fail:
	mdfh_day_destroy(day);
	return err;
}

void mdfh_day_destroy(struct mdfh_day *day)
{
	if (!day)
		return;
	for (uint32_t i = 0; day->symbols && i <= day->config.symbols; i++)
		free(day->symbols[i].orders);
	free(day->symbols);
	free(day->alias);
	mdfh_refbook_destroy(day->book);
	free(day);
}

const struct mdfh_refbook *mdfh_day_book(const struct mdfh_day *day)
{
	return day->book;
}

uint64_t mdfh_day_count(const struct mdfh_day *day, uint8_t type)
{
	return day->counts[type];
}

uint32_t mdfh_day_symbols(const struct mdfh_day *day)
{
	return day->config.symbols;
}

/* Time advances so that the phase fills its hours: half of the messages follow their
 * predecessor within microseconds, the others take what is left in equal parts on average. */
static void pass_time(struct mdfh_day *day)
{
	uint64_t left = day->phase_ends > day->sent ? day->phase_ends - day->sent : 1;
	uint64_t mean = (day->time_end_ns - day->time_ns) / left;
	uint64_t bits = mdfh_random_next(&day->random);
	uint64_t gap = mean * 2;

	if (bits & 1 && mean > 4096)
		gap = 200 + (bits >> 52);
	else
		gap = (gap >> 16) * (bits >> 48) + (gap & 0xffff);
	day->time_ns += gap < day->time_end_ns - day->time_ns ? gap : 0;
}

/* Phases ---------------------------------------------------------------------
 *
 * Each returns the length of one message, 0 when the phase is over (or, while it is not over,
 * when this draw led to nothing), -ENOMEM. */

int write_system_event(struct mdfh_day *day, char code, uint8_t *out)
{
	return (int)itch50_encode_system_event(
	    out, &(struct itch50_system_event){
		     .tracking = tracking(day), .timestamp = day->time_ns, .event_code = code});
}

static int resume_all(struct mdfh_day *day, uint8_t *out)
{
	return day->halts_open ? write_halt_step(day, 0, out) : 0;
}

/* After the end of system hours: orders go and trades are broken, nothing else. */
static int late(struct mdfh_day *day, uint8_t *out)
{
	int length = one_in(day, 4) ? write_broken_trade(day, out) : 0;

	if (!length)
		length = write_delete(day, draw_symbol(day), out);
	/* A day so thin that nothing is left to delete ends with an order instead. */
	if (!length && !mdfh_refbook_orders(day->book))
		length = write_add(day, draw_symbol(day), out);
	return length;
}

/* Trading phases end by count, the others when they have nothing left to say. */
static int is_trading(enum phase phase)
{
	return phase == PHASE_PRE_MARKET || phase == PHASE_MARKET || phase == PHASE_AFTER_MARKET ||
	       phase == PHASE_LATE;
}

static int write_phase(struct mdfh_day *day, uint8_t *out)
{
	static const char system_events[PHASE_OVER] = {
	    [PHASE_START] = 'O',
	    [PHASE_SYSTEM_HOURS] = 'S',
	    [PHASE_MARKET_OPENS] = 'Q',
	    [PHASE_MARKET_CLOSES] = 'M',
	    [PHASE_SYSTEM_ENDS] = 'E',
	    [PHASE_END] = 'C',
	};
	int length;

	switch (day->phase) {
	case PHASE_DIRECTORY:
		return directory(day, out);
	case PHASE_TRADING_STATES:
		return trading_states(day, out);
	case PHASE_REG_SHO:
		return reg_sho(day, out);
	case PHASE_PARTICIPANTS:
		return participants(day, out);
	case PHASE_RETAIL:
		return retail(day, out);
	case PHASE_NOTICES:
		return notices(day, out);
	case PHASE_PRE_MARKET:
		return write_trading(day, 100, 'O', out);
	case PHASE_OPENING_CROSS:
		return crosses(day, 'O', out);
	case PHASE_MARKET:
		length = write_due_halt(day, out);
		return length ? length : write_trading(day, 5, 'C', out);
	case PHASE_RESUME_ALL:
		return resume_all(day, out);
	case PHASE_CLOSING_CROSS:
		return crosses(day, 'C', out);
	case PHASE_AFTER_MARKET:
		return write_trading(day, 0, 'C', out);
	case PHASE_LATE:
		return late(day, out);
	default:
		return day->step++ ? 0 : write_system_event(day, system_events[day->phase], out);
	}
}

/* Enter the next phase: where it ends, by count and by the clock. */
static void next_phase(struct mdfh_day *day)
{
	uint64_t n = day->config.messages;
	/* What trading may use: all but the crosses, the late messages and three events. */
	uint64_t reserved = (uint64_t)day->config.symbols * CROSS_STEPS;
	uint64_t tail = LATE_MESSAGES + 2;
	uint64_t left = n - day->sent;

	day->phase++;
	day->cursor = 0;
	day->step = 0;
	day->phase_ends = n;
	switch (day->phase) {
	case PHASE_SYSTEM_HOURS:
		day->time_ns = 4 * HOUR_NS;
		break;
	case PHASE_PRE_MARKET:
		/* 8 % before the opening, 3 % after the close. */
		left -= 2 * reserved + tail;
		day->phase_ends = day->sent + left * 8 / 100;
		day->time_end_ns = 9 * HOUR_NS + HOUR_NS / 2;
		break;
	case PHASE_MARKET_OPENS:
		day->time_ns = 9 * HOUR_NS + HOUR_NS / 2;
		day->time_end_ns = 16 * HOUR_NS;
		break;
	case PHASE_MARKET:
		/* Open halts take up to four messages each before the market closes. */
		left -= reserved + tail + 1 + HALTS_MAX * 5ull;
		day->phase_ends = day->sent + left - left * 3 / 100;
		day->halt_every = 1 + left / (6 + left / 20000);
		day->halt_next = day->sent + day->halt_every / 2;
		break;
	case PHASE_RESUME_ALL:
		day->sweep_shares = 0;
		break;
	case PHASE_MARKET_CLOSES:
		day->time_ns = 16 * HOUR_NS;
		day->time_end_ns = 20 * HOUR_NS;
		break;
	case PHASE_AFTER_MARKET:
		day->phase_ends = n - tail;
		break;
	case PHASE_SYSTEM_ENDS:
		day->sweep_shares = 0;
		day->time_ns = 20 * HOUR_NS;
		day->time_end_ns = 20 * HOUR_NS + HOUR_NS / 12;
		break;
	case PHASE_LATE:
		day->phase_ends = n - 1;
		break;
	default:
		break;
	}
}

int mdfh_day_next(struct mdfh_day *day, uint8_t *out)
{
	while (day->phase != PHASE_OVER) {
		int length = 0;

		if (!is_trading(day->phase) || day->sent < day->phase_ends) {
			length = write_phase(day, out);
			if (length < 0)
				return length;
		}
		if (length) {
			day->sent++;
			day->counts[out[0]]++;
			pass_time(day);
			return length;
		}
		if (!is_trading(day->phase) || day->sent >= day->phase_ends)
			next_phase(day);
	}
	return 0;
}
