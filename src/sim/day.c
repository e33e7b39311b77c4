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
	CROSS_SECONDS = 1,  /* that a cross of all symbols takes */
	RATE_DEFAULT = 100000,
};

/* Setup ------------------------------------------------------------------ */

uint64_t mdfh_day_messages_min(uint32_t symbols)
{
	/* Directory, state, Reg SHO, a third and a 16th, two crosses; halts and single notices. */
	return symbols * (3 + 2 * (uint64_t)CROSS_STEPS) + symbols / 3 + symbols / 16 +
	       LATE_MESSAGES + 64;
}

static int config_complete(struct mdfh_day *day)
{
	struct mdfh_day_config *config = &day->config;

	if (!config->symbols) {
		config->symbols = MDFH_DAY_SYMBOLS_DEFAULT;
		if (config->messages / 40 < config->symbols)
			config->symbols = (uint32_t)(config->messages / 40);
		if (config->symbols < day->scenario->instruments_count)
			config->symbols = day->scenario->instruments_count;
		if (!config->symbols)
			config->symbols = 1;
	}
	if (config->symbols > MDFH_DAY_SYMBOLS_MAX)
		return mdfh_error(-EINVAL, "day: symbols is %u; it must be 1 to %d",
		    config->symbols, MDFH_DAY_SYMBOLS_MAX);
	if (config->symbols < day->scenario->instruments_count)
		return mdfh_error(-EINVAL,
		    "day: symbols is %u, but the scenario lists %u instruments; ask for as many",
		    config->symbols, day->scenario->instruments_count);
	if (!config->live_orders) {
		config->live_orders = MDFH_DAY_LIVE_ORDERS_DEFAULT;
		if (config->messages / 16 < config->live_orders)
			config->live_orders = (uint32_t)(config->messages / 16);
	}
	if (!(config->rate > 0))
		config->rate = RATE_DEFAULT;
	return 0;
}

/* Once the events are planned: enough for what has to come, and somebody who trades. */
static int check_messages(const struct mdfh_day *day)
{
	const struct mdfh_day_config *config = &day->config;
	uint64_t least = mdfh_day_messages_min(config->symbols) + day->plan.messages_left;
	uint32_t closed = 0;

	if (config->messages < least)
		return mdfh_error(-EINVAL,
		    "day: messages is %llu; a day of %u symbols needs at least %llu: ask for more "
		    "messages or fewer symbols",
		    (unsigned long long)config->messages, config->symbols,
		    (unsigned long long)least);
	for (uint32_t i = 1; i <= config->symbols; i++)
		closed += day->symbols[i].is_closed;
	if (closed == config->symbols)
		return mdfh_error(-EINVAL,
		    "scenario: each of the day's %u symbols is an IPO; at least one must trade",
		    closed);
	return 0;
}

static uint32_t part_of(const double *percent, double usual)
{
	return (uint32_t)((percent ? *percent : usual) * 10000);
}

/* The usual parts are those of a day of the real exchange, and enough broken trades to be seen. */
static void set_mix(struct mdfh_day *day)
{
	const struct mdfh_scenario_mix *wanted = &day->scenario->mix;
	struct mix *mix = &day->mix;

	mix->executions = part_of(wanted->executions, 2.5);
	mix->off_price = mix->executions + part_of(wanted->off_price, 0.1);
	mix->replaces = mix->off_price + part_of(wanted->replaces, 8.7);
	mix->cancels = mix->replaces + part_of(wanted->cancels, 1.2);
	mix->hidden_trades = mix->cancels + part_of(wanted->hidden_trades, 0.55);
	mix->broken_trades = mix->hidden_trades + part_of(wanted->broken_trades, 0.005);
}

static void set_phases(struct mdfh_day *day)
{
	const struct mdfh_scenario *from =
	    day->scenario->phases_count ? day->scenario : mdfh_scenario_usual();

	day->phases = from->phases;
	day->phases_count = from->phases_count;
	for (uint32_t i = 0; i < day->phases_count; i++)
		day->shares_total += day->phases[i].share;
	day->time_ns = day->scenario->start_ns;
	day->time_end_ns = day->phases[0].from_ns;
	day->time_left = mdfh_day_messages_min(day->config.symbols);
}

/* Messages that are drawn, in all trading phases together: what the spins, the crosses, the events
 * and the end do not take. */
static uint64_t trading_messages(const struct mdfh_day *day, uint64_t sent)
{
	uint64_t cross = (uint64_t)day->config.symbols * CROSS_STEPS;
	uint64_t taken = sent + day->plan.messages_left + LATE_MESSAGES + 2;
	uint32_t last = day->phases_count - 1;

	/* Open halts take up to four messages each before the market closes. */
	for (uint32_t i = 0; i <= last; i++) {
		enum mdfh_scenario_phase_kind kind = day->phases[i].kind;

		if (kind != MDFH_SCENARIO_MARKET)
			continue;
		if (!i || day->phases[i - 1].kind != kind)
			taken += 1 + (i ? cross : 0);
		if (i == last || day->phases[i + 1].kind != kind)
			taken += 1 + (i < last ? cross : 0) + HALTS_MAX * 5ull;
	}
	return day->config.messages > taken ? day->config.messages - taken : 0;
}

static int create_parts(struct mdfh_day *day)
{
	int err = config_complete(day);

	if (!err)
		err = mdfh_refbook_create(&day->book);
	if (err)
		return err;
	day->symbols = calloc(day->config.symbols + 1, sizeof(*day->symbols));
	day->alias = calloc(day->config.symbols, sizeof(*day->alias));
	day->by_rank = calloc(day->config.symbols, sizeof(*day->by_rank));
	if (!day->symbols || !day->alias || !day->by_rank)
		return mdfh_error(-ENOMEM, "day: %u symbols", day->config.symbols);
	set_mix(day);
	set_phases(day);
	name_symbols(day);
	err = share_activity(day);
	if (!err)
		err = plan_events(day);
	if (!err)
		err = check_messages(day);
	if (!err) /* the spins are a little below the least day */
		err = plan_paces(day, trading_messages(day, day->config.symbols * 3ull));
	return err;
}

int mdfh_day_create(const struct mdfh_day_config *config, struct mdfh_day **out)
{
	struct mdfh_day *day = calloc(1, sizeof(*day));
	int err;

	*out = NULL;
	if (!day)
		return mdfh_error(-ENOMEM, "day: %zu bytes", sizeof(*day));
	day->config = *config;
	day->scenario = config->scenario ? config->scenario : mdfh_scenario_usual();
	day->random = config->seed;
	err = create_parts(day);
	if (err) {
		mdfh_day_destroy(day);
		return err;
	}
	fill_ahead(day);
	*out = day;
	return 0;
}

void mdfh_day_destroy(struct mdfh_day *day)
{
	if (!day)
		return;
	for (uint32_t i = 0; day->symbols && i <= day->config.symbols; i++)
		free(day->symbols[i].orders);
	for (uint32_t i = 0; day->news && i < day->scenario->events_count; i++) {
		free(day->news[i].locates);
		free(day->news[i].fair_from);
	}
	free(day->news);
	free(day->burst_locates);
	free(day->plan.actions);
	free(day->symbols);
	free(day->alias);
	free(day->by_rank);
	free(day->by_name);
	mdfh_refbook_destroy(day->book);
	free(day);
}

const struct mdfh_day_mark *mdfh_day_mark(const struct mdfh_day *day)
{
	return &day->mark;
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
 * predecessor within microseconds, as all of a burst do, the others take what is left in equal
 * parts on average. It halts where the next event's time is, and waits there for the event. */
static void pass_time(struct mdfh_day *day)
{
	const struct plan *plan = &day->plan;
	uint64_t left = day->time_left ? day->time_left : 1;
	uint64_t mean = (day->time_end_ns - day->time_ns) / left;
	uint64_t bits = mdfh_random_next(&day->random);
	uint64_t gap = mean * 2;
	uint64_t next_ns;

	if ((bits & 1 || day->burst_left) && mean > 4096) {
		gap = 200 + (bits >> 52);
	} else {
		gap *= mean > 4096 ? 2 : 1;
		gap = (gap >> 16) * (bits >> 48) + (gap & 0xffff);
	}
	next_ns = day->time_ns + (gap < day->time_end_ns - day->time_ns ? gap : 0);
	if (plan->next < plan->count && next_ns > plan->actions[plan->next].time_ns &&
	    day->time_ns <= plan->actions[plan->next].time_ns)
		next_ns = plan->actions[plan->next].time_ns;
	day->time_ns = next_ns;
	if (day->time_left)
		day->time_left--;
}

/* Phases ---------------------------------------------------------------------
 *
 * Each returns the length of one message, 0 when the phase is over (or, while it is not over,
 * when this draw led to nothing), -ENOMEM. */

static int write_system_event(struct mdfh_day *day, char code, uint8_t *out)
{
	return (int)itch50_encode_system_event(
	    out, &(struct itch50_system_event){
		     .tracking = tracking(day), .timestamp = day->time_ns, .event_code = code});
}

static int resume_all(struct mdfh_day *day, uint8_t *out)
{
	int length = 0;

	while (!length && day->halts_open)
		length = write_halt_step(day, 0, out);
	return length;
}

/* One message of a trading phase: a planned one whose time has come, or a drawn one. */
static int trading(struct mdfh_day *day, uint8_t *out)
{
	static const char crosses[] = {[MDFH_SCENARIO_PRE_MARKET] = 'O',
	    [MDFH_SCENARIO_MARKET] = 'C',
	    [MDFH_SCENARIO_AFTER_MARKET] = 'C'};
	const struct mdfh_scenario_phase *phase = &day->phases[day->trading];
	int length = 0;

	if (!day->phase_left)
		day->sweep_shares = 0;
	if (!day->sweep_shares) /* the aggressor trades first, then the halt */
		length = write_due_action(day, !day->phase_left, out);
	if (length || !day->phase_left)
		return length;
	if (phase->kind == MDFH_SCENARIO_MARKET)
		length = write_due_halt(day, out);
	if (!length)
		length = write_trading(day, phase->imbalances, crosses[phase->kind], out);
	if (length <= 0)
		return length;
	if (day->burst_left) {
		day->mark.pace = day->burst->factor;
		day->mark.is_burst = 1;
		day->burst_left--;
	}
	day->phase_left--;
	return length;
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

/* Whether the phase goes on when a call has written nothing. */
static int goes_on(const struct mdfh_day *day)
{
	if (day->phase == PHASE_TRADING)
		return day->phase_left > 0;
	return day->phase == PHASE_LATE && day->sent + 1 < day->config.messages;
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
	case PHASE_OPENING_CROSS:
		return crosses(day, 'O', out);
	case PHASE_TRADING:
		return trading(day, out);
	case PHASE_RESUME_ALL:
		return resume_all(day, out);
	case PHASE_CLOSING_CROSS:
		return crosses(day, 'C', out);
	case PHASE_LATE:
		return goes_on(day) ? late(day, out) : 0;
	default:
		return day->step++ ? 0 : write_system_event(day, system_events[day->phase], out);
	}
}

/* Timetable ------------------------------------------------------------------- */

static void plan_random_halts(struct mdfh_day *day)
{
	uint64_t messages = 0;

	for (uint32_t i = 0; i < day->phases_count; i++) {
		if (day->phases[i].kind == MDFH_SCENARIO_MARKET)
			messages += (uint64_t)((double)day->trading_total * day->phases[i].share /
					       day->shares_total);
	}
	day->halts_left = 6 + messages / 20000;
	if (day->scenario->random_halts)
		day->halts_left = *day->scenario->random_halts;
	day->halt_every = 1 + messages / (day->halts_left + 1);
	day->halt_next = day->sent + day->halt_every / 2;
}

/* The share of a trading phase; the last one takes what is left. */
static void enter_trading(struct mdfh_day *day, uint32_t number)
{
	const struct mdfh_scenario_phase *phase = &day->phases[number];
	uint64_t given;

	if (!number)
		day->trading_total = trading_messages(day, day->sent);
	day->trading = number;
	day->shares_given += phase->share;
	given = (uint64_t)((double)day->trading_total * (day->shares_given / day->shares_total));
	day->phase_left = given - day->trading_given;
	day->trading_given = given;
	if (number + 1 == day->phases_count) {
		uint64_t taken = day->sent + day->plan.messages_left + LATE_MESSAGES + 2;

		if (phase->kind == MDFH_SCENARIO_MARKET)
			taken += 1 + HALTS_MAX * 5ull;
		day->phase_left = day->config.messages > taken ? day->config.messages - taken : 0;
	}
	if (phase->kind == MDFH_SCENARIO_MARKET &&
	    (!number || day->phases[number - 1].kind != MDFH_SCENARIO_MARKET))
		plan_random_halts(day);
	if (day->time_ns < phase->from_ns)
		day->time_ns = phase->from_ns;
	day->time_end_ns = phase->until_ns;
	day->time_left = day->phase_left;
	day->trading_pace = plan_pace(day, number);
}

static void enter_cross(struct mdfh_day *day, uint64_t end_ns)
{
	day->time_end_ns = day->time_ns + CROSS_SECONDS * SECOND_NS;
	if (day->time_end_ns > end_ns)
		day->time_end_ns = end_ns;
	day->time_left = (uint64_t)day->config.symbols * CROSS_STEPS;
}

/* What follows trading phase number; -1 = the first one comes. */
static enum phase after_trading(const struct mdfh_day *day, int number)
{
	int is_market = number >= 0 && day->phases[number].kind == MDFH_SCENARIO_MARKET;
	int is_last = number + 1 == (int)day->phases_count;

	if (is_market && (is_last || day->phases[number + 1].kind != MDFH_SCENARIO_MARKET))
		return PHASE_RESUME_ALL;
	if (is_last)
		return PHASE_SYSTEM_ENDS;
	if (!is_market && day->phases[number + 1].kind == MDFH_SCENARIO_MARKET)
		return PHASE_MARKET_OPENS;
	return PHASE_TRADING;
}

static enum phase following(const struct mdfh_day *day)
{
	switch (day->phase) {
	case PHASE_SYSTEM_HOURS:
		return after_trading(day, -1);
	case PHASE_MARKET_OPENS:
		return day->is_entered ? PHASE_OPENING_CROSS : PHASE_TRADING;
	case PHASE_OPENING_CROSS:
		return PHASE_TRADING;
	case PHASE_TRADING:
		return after_trading(day, (int)day->trading);
	case PHASE_MARKET_CLOSES:
		return day->trading + 1 < day->phases_count ? PHASE_CLOSING_CROSS
							    : PHASE_SYSTEM_ENDS;
	case PHASE_CLOSING_CROSS:
		return PHASE_TRADING;
	default:
		return day->phase + 1;
	}
}

static void next_phase(struct mdfh_day *day)
{
	uint32_t number = day->is_entered ? day->trading + 1 : 0; /* the next trading phase */
	const struct mdfh_scenario_phase *last = &day->phases[day->phases_count - 1];

	day->phase = following(day);
	day->cursor = 0;
	day->step = 0;
	switch (day->phase) {
	case PHASE_SYSTEM_HOURS:
		day->time_ns = day->phases[0].from_ns;
		day->time_end_ns = day->time_ns;
		break;
	case PHASE_MARKET_OPENS:
		day->time_ns = day->phases[number].from_ns;
		day->time_end_ns = day->time_ns;
		break;
	case PHASE_OPENING_CROSS:
	case PHASE_CLOSING_CROSS:
		enter_cross(day, day->phases[number].until_ns);
		break;
	case PHASE_TRADING:
		enter_trading(day, number);
		day->is_entered = 1;
		break;
	case PHASE_RESUME_ALL:
		day->sweep_shares = 0;
		break;
	case PHASE_MARKET_CLOSES:
		day->time_ns = day->phases[day->trading].until_ns;
		day->time_end_ns = day->time_ns;
		break;
	case PHASE_SYSTEM_ENDS:
		day->sweep_shares = 0;
		day->burst_left = 0;
		day->time_ns = last->until_ns;
		day->time_end_ns = day->time_ns + HOUR_NS / 12;
		if (day->time_end_ns > 24 * HOUR_NS)
			day->time_end_ns = 24 * HOUR_NS;
		day->time_left = day->config.messages - day->sent;
		break;
	default:
		break;
	}
}

int mdfh_day_next(struct mdfh_day *day, uint8_t *out)
{
	while (day->phase != PHASE_OVER) {
		int length;

		plan_faults(day);
		day->mark.is_burst = 0;
		day->mark.pace = day->phase == PHASE_TRADING ? day->trading_pace : day->pace_scale;
		length = write_phase(day, out);
		if (length < 0)
			return length;
		if (length) {
			day->sent++;
			day->counts[out[0]]++;
			pass_time(day);
			return length;
		}
		if (!goes_on(day))
			next_phase(day);
	}
	return 0;
}
