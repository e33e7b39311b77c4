/* day_plan.c - the scenario's events as single steps in the order of time, and its paces. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mdfh/error.h"
#include "sim/day_state.h"

enum { IMBALANCES_BEFORE_CROSS = 5 };

#define QUOTING_NS (300 * SECOND_NS) /* before trading resumes, at most half of the halt */

/* Symbols -------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
	const struct named *left = a;
	const struct named *right = b;

	return memcmp(left->name, right->name, sizeof(left->name));
}

static int find_symbol(const struct mdfh_day *day, const char *text, uint16_t *locate)
{
	const struct named *found;
	struct named wanted;
	size_t length = strlen(text);

	if (text[0] == '#') {
		char *end;
		unsigned long rank = strtoul(text + 1, &end, 10);

		if (text[1] && !*end && rank >= 1 && rank <= day->config.symbols) {
			*locate = day->by_rank[rank - 1];
			return 1;
		}
		return 0;
	}
	memset(wanted.name, ' ', sizeof(wanted.name));
	memcpy(wanted.name, text, length < sizeof(wanted.name) ? length : sizeof(wanted.name));
	found = bsearch(&wanted, day->by_name, day->config.symbols, sizeof(wanted), compare_names);
	if (found)
		*locate = found->locate;
	return found != NULL;
}

static int index_names(struct mdfh_day *day)
{
	day->by_name = calloc(day->config.symbols, sizeof(*day->by_name));
	if (!day->by_name)
		return mdfh_error(-ENOMEM, "day: names of %u symbols", day->config.symbols);
	for (uint32_t i = 0; i < day->config.symbols; i++) {
		memcpy(day->by_name[i].name, day->symbols[i + 1].name, sizeof(day->by_name->name));
		day->by_name[i].locate = (uint16_t)(i + 1);
	}
	qsort(day->by_name, day->config.symbols, sizeof(*day->by_name), compare_names);
	return 0;
}

uint16_t *event_locates(const struct mdfh_day *day, unsigned number)
{
	const struct mdfh_scenario_event *event = &day->scenario->events[number];
	uint16_t *locates = calloc(event->symbols_count + 1, sizeof(*locates));

	if (!locates) {
		mdfh_error(-ENOMEM, "day: %u symbols of an event", event->symbols_count);
		return NULL;
	}
	for (unsigned i = 0; i < event->symbols_count; i++) {
		if (!find_symbol(day, event->symbols[i], &locates[i])) {
			mdfh_error(-EINVAL,
			    "scenario: event %u (%s): symbol '%s' is none of the day's %u; list it "
			    "under 'instruments', or name it by its rank, like '#1'",
			    number + 1, mdfh_scenario_kind_name(event->kind), event->symbols[i],
			    day->config.symbols);
			free(locates);
			return NULL;
		}
	}
	return locates;
}

/* Actions --------------------------------------------------------------------------- */

static int add(struct plan *plan, struct action action, const char *reason)
{
	if (plan->messages_left >= plan->messages_max)
		return mdfh_error(-EINVAL,
		    "scenario: its events make more messages than the day has (%llu); ask for more "
		    "messages, or for fewer events, symbols of events, or counts",
		    (unsigned long long)plan->messages_max);
	if (plan->count == plan->capacity) {
		uint32_t capacity = plan->capacity ? plan->capacity * 2 : 64;
		struct action *actions = realloc(plan->actions, capacity * sizeof(*actions));

		if (!actions)
			return mdfh_error(-ENOMEM, "day: %u steps of events", capacity);
		plan->actions = actions;
		plan->capacity = capacity;
	}
	for (size_t i = 0; i < sizeof(action.reason); i++)
		action.reason[i] = reason && i < strlen(reason) ? reason[i] : ' ';
	action.order = plan->count;
	plan->actions[plan->count++] = action;
	plan->messages_left += action.act <= ACT_LAST_MESSAGE;
	return 0;
}

/* From quotation to trading: the state, imbalances, the cross, and trading at until. */
static int add_resumption(
    struct plan *plan, struct action at, uint64_t until_ns, const char *quoting, const char *reason)
{
	uint64_t span = until_ns - at.time_ns;
	uint64_t quoting_ns = span / 2 < QUOTING_NS ? span / 2 : QUOTING_NS;
	int err;

	at.time_ns = until_ns - quoting_ns;
	at.act = ACT_TRADING_STATE;
	at.code = 'Q';
	err = add(plan, at, quoting);
	at.act = ACT_IMBALANCE;
	at.code = 'H';
	for (unsigned i = 0; !err && i < IMBALANCES_BEFORE_CROSS; i++) {
		at.time_ns += quoting_ns / (IMBALANCES_BEFORE_CROSS + 1);
		err = add(plan, at, NULL);
	}
	at.time_ns = until_ns;
	at.act = ACT_CROSS;
	if (!err)
		err = add(plan, at, NULL);
	at.act = ACT_TRADING_STATE;
	at.code = 'T';
	return err ? err : add(plan, at, reason);
}

static int add_halt(struct plan *plan, struct action at, const struct mdfh_scenario_event *event)
{
	int is_pause = event->kind == MDFH_SCENARIO_PAUSE;
	const char *reason = is_pause ? "LUDP" : event->reason ? event->reason : "T1";
	int err;

	at.act = ACT_TRADING_STATE;
	at.code = is_pause ? 'P' : 'H';
	err = add(plan, at, reason);
	if (!err && is_pause) {
		at.act = ACT_COLLAR;
		err = add(plan, at, NULL);
	}
	if (err || !event->until)
		return err;
	return add_resumption(
	    plan, at, event->until_ns, is_pause ? "T7" : "T3", is_pause ? "T7" : reason);
}

static int add_operational_halt(
    struct plan *plan, struct action at, const struct mdfh_scenario_event *event)
{
	int err;

	at.act = ACT_OPERATIONAL_HALT;
	at.code = 'H';
	err = add(plan, at, NULL);
	at.time_ns = event->until_ns;
	at.code = 'T';
	return err || !event->until ? err : add(plan, at, NULL);
}

static int add_circuit_breaker(
    struct mdfh_day *day, struct action at, const struct mdfh_scenario_event *event)
{
	char reason[8];
	int err;

	snprintf(reason, sizeof(reason), "MWC%u", event->level % 10);
	at.act = ACT_BREACH;
	at.code = (char)('0' + event->level);
	err = add(&day->plan, at, NULL);
	for (uint32_t i = 1; !err && i <= day->config.symbols; i++) {
		at.act = ACT_TRADING_STATE;
		at.code = 'H';
		at.locate = (uint16_t)i;
		err = add(&day->plan, at, reason);
		if (!err && event->until)
			err = add_resumption(&day->plan, at, event->until_ns, "MWCQ", "MWCQ");
	}
	return err;
}

/* The symbol opens by its own cross, or, when the offering is called off, not at all. */
static int add_ipo(struct mdfh_day *day, struct action at, const struct mdfh_scenario_event *event)
{
	struct symbol *symbol = &day->symbols[at.locate];
	int err;

	symbol->is_closed = 1;
	symbol->halts = 1;
	if (event->price > 0)
		price_at(symbol, event->price);
	at.act = ACT_IPO;
	at.code = 'A';
	err = add(&day->plan, at, NULL);
	if (event->is_cancelled) {
		at.time_ns = event->until_ns;
		at.code = 'C';
		return err ? err : add(&day->plan, at, NULL);
	}
	return err ? err : add_resumption(&day->plan, at, event->until_ns, "IPOQ", NULL);
}

/* count times, a second apart. */
static int add_repeated(
    struct plan *plan, struct action at, const struct mdfh_scenario_event *event, uint64_t every_ns)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < (event->count ? event->count : 1); i++) {
		err = add(plan, at, NULL);
		at.time_ns += every_ns;
	}
	return err;
}

static int add_symbol_event(
    struct mdfh_day *day, struct action at, const struct mdfh_scenario_event *event)
{
	static const char crosses[] = {'O', 'O', 'C', 'H'};

	switch (event->kind) {
	case MDFH_SCENARIO_HALT:
	case MDFH_SCENARIO_PAUSE:
		return add_halt(&day->plan, at, event);
	case MDFH_SCENARIO_OPERATIONAL_HALT:
		return add_operational_halt(&day->plan, at, event);
	case MDFH_SCENARIO_IPO:
		return add_ipo(day, at, event);
	case MDFH_SCENARIO_DIRECT_LISTING:
		at.act = ACT_LISTING;
		return add_repeated(&day->plan, at, event, SECOND_NS);
	case MDFH_SCENARIO_SHORT_SALE_RESTRICTION:
		at.act = ACT_SHORT_SALE;
		return add(&day->plan, at, NULL);
	case MDFH_SCENARIO_IMBALANCE:
		at.act = ACT_IMBALANCE;
		at.code = crosses[event->cross];
		return add_repeated(&day->plan, at, event, SECOND_NS);
	case MDFH_SCENARIO_BROKEN_TRADE:
		at.act = ACT_BREAK;
		return add_repeated(&day->plan, at, event, 0);
	case MDFH_SCENARIO_OFF_PRICE:
		at.act = ACT_OFF_PRICE;
		return add_repeated(&day->plan, at, event, 0);
	default:
		return 0;
	}
}

static int add_event(struct mdfh_day *day, unsigned number)
{
	const struct mdfh_scenario_event *event = &day->scenario->events[number];
	struct action at = {.time_ns = event->at_ns, .event = (uint16_t)number};
	uint16_t *locates = event_locates(day, number);
	int err = locates ? 0 : -EINVAL;

	for (unsigned i = 0; !err && i < event->symbols_count; i++) {
		at.locate = locates[i];
		err = add_symbol_event(day, at, event);
	}
	if (!err && event->kind == MDFH_SCENARIO_CIRCUIT_BREAKER)
		err = add_circuit_breaker(day, at, event);
	if (!err && event->kind == MDFH_SCENARIO_BROKEN_TRADE && !event->symbols_count) {
		at.act = ACT_BREAK;
		err = add_repeated(&day->plan, at, event, 0);
	}
	if (!err && event->kind == MDFH_SCENARIO_BURST) {
		at.act = ACT_BURST;
		err = add(&day->plan, at, NULL);
	}
	if (!err && event->kind == MDFH_SCENARIO_NEWS) {
		at.act = ACT_NEWS_BEGINS;
		err = add(&day->plan, at, NULL);
		at.act = ACT_NEWS_ENDS;
		at.time_ns = event->until_ns;
		if (!err)
			err = add(&day->plan, at, NULL);
	}
	free(locates);
	return err;
}

static int by_time(const void *a, const void *b)
{
	const struct action *left = a;
	const struct action *right = b;

	if (left->time_ns != right->time_ns)
		return left->time_ns < right->time_ns ? -1 : 1;
	return left->order < right->order ? -1 : 1;
}

int plan_events(struct mdfh_day *day)
{
	const struct mdfh_scenario *scenario = day->scenario;
	int err = index_names(day);

	if (err)
		return err;
	day->plan.messages_max = day->config.messages;
	day->news = calloc(scenario->events_count + 1, sizeof(*day->news));
	if (!day->news)
		return mdfh_error(-ENOMEM, "day: %u events", scenario->events_count);
	for (unsigned i = 0; !err && i < scenario->events_count; i++)
		err = add_event(day, i);
	if (!err && day->plan.count)
		qsort(day->plan.actions, day->plan.count, sizeof(*day->plan.actions), by_time);
	return err;
}

/* Paces ------------------------------------------------------------------------------ */

/* Of a phase, relative to the others. follow_clock: its messages in its part of the hours. */
static double relative_pace(const struct mdfh_day *day, const struct mdfh_scenario_phase *phase)
{
	double span_total = 0;

	if (!day->scenario->follow_clock)
		return phase->pace > 0 ? phase->pace : 1;
	for (uint32_t i = 0; i < day->phases_count; i++)
		span_total += (double)(day->phases[i].until_ns - day->phases[i].from_ns);
	return phase->share / day->shares_total /
	       ((double)(phase->until_ns - phase->from_ns) / span_total);
}

/* The scale at which all phases together take as long as the day's messages do at the mean rate:
 * what bursts send in no time and slow phases in a long one, the others make up for. */
int plan_paces(struct mdfh_day *day, uint64_t trading)
{
	double messages = (double)day->config.messages;
	double at_pace_1 = messages - (double)trading;
	double burst_messages = 0;
	double burst_span = 0; /* in messages at the mean rate */
	int is_plain = 1;

	for (unsigned i = 0; i < day->scenario->events_count; i++) {
		const struct mdfh_scenario_event *event = &day->scenario->events[i];

		if (event->kind != MDFH_SCENARIO_BURST)
			continue;
		is_plain = 0;
		burst_span += day->config.rate * event->ms / 1000;
		burst_messages += day->config.rate * event->ms / 1000 * event->factor;
	}
	if (burst_messages >= (double)trading / 2)
		return mdfh_error(-EINVAL,
		    "scenario: the bursts take %.0f messages at this rate, more than half of the "
		    "day's %.0f; ask for more messages or fewer or shorter bursts",
		    burst_messages, messages);
	if (burst_span >= messages / 2)
		return mdfh_error(-EINVAL,
		    "scenario: the bursts last %.3f s, more than half of the day's %.3f s on the "
		    "wire; ask for more messages, a lower rate, or fewer or shorter bursts",
		    burst_span / day->config.rate, messages / day->config.rate);
	for (uint32_t i = 0; i < day->phases_count; i++) {
		const struct mdfh_scenario_phase *phase = &day->phases[i];
		double pace = relative_pace(day, phase);

		is_plain &= pace >= 1 && pace <= 1;
		if (pace > 0)
			at_pace_1 += ((double)trading - burst_messages) * phase->share /
				     day->shares_total / pace;
	}
	day->pace_scale = is_plain ? 1 : at_pace_1 / (messages - burst_span);
	return 0;
}

double plan_pace(const struct mdfh_day *day, uint32_t phase)
{
	double pace = relative_pace(day, &day->phases[phase]) * day->pace_scale;

	return pace > 0 ? pace : day->pace_scale;
}

double mdfh_day_pace_max(const struct mdfh_day *day)
{
	double max = day->pace_scale;

	for (uint32_t i = 0; i < day->phases_count; i++)
		max = fmax(max, plan_pace(day, i));
	return max;
}

/* Faults of the lines ------------------------------------------------------------------ */

void plan_faults(struct mdfh_day *day)
{
	const struct mdfh_scenario *scenario = day->scenario;

	if (day->time_ns < day->fault_change_ns)
		return;
	day->fault_change_ns = UINT64_MAX;
	day->mark.faults = 0;
	for (unsigned i = 0; i < scenario->lines_count; i++) {
		const struct mdfh_scenario_fault *fault = &scenario->lines[i];
		uint64_t change = UINT64_MAX;

		if (day->time_ns < fault->from_ns)
			change = fault->from_ns;
		else if (day->time_ns < fault->until_ns)
			change = fault->until_ns;
		if (change == fault->until_ns)
			day->mark.faults |= 1u << i;
		if (change < day->fault_change_ns)
			day->fault_change_ns = change;
	}
}
