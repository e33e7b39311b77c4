/* day_events.c - the steps of the scenario's events, each when its time has come. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "itch50.h"
#include "mdfh/error.h"
#include "sim/day_state.h"

/* Messages --------------------------------------------------------------------------- */

static int write_breach(struct mdfh_day *day, char level, uint8_t *out)
{
	return (int)itch50_encode_mwcb_status(out,
	    &(struct itch50_mwcb_status){
		.tracking = tracking(day), .timestamp = day->time_ns, .breached_level = level});
}

static int write_short_sale(struct mdfh_day *day, uint16_t locate, uint8_t *out)
{
	struct itch50_reg_sho_restriction message = {
	    .locate = locate,
	    .tracking = tracking(day),
	    .timestamp = day->time_ns,
	    .reg_sho_action = '1',
	};

	memcpy(message.stock, day->symbols[locate].name, sizeof(message.stock));
	return (int)itch50_encode_reg_sho_restriction(out, &message);
}

/* At a price off the order's own by so many percent, a tick at least, better for the aggressor. */
static int write_off_price(struct mdfh_day *day, uint16_t locate, double percent, uint8_t *out)
{
	const struct symbol *symbol = &day->symbols[locate];
	struct mdfh_refbook_order head;
	unsigned side = one_in(day, 2) ? BUY : SELL;
	int64_t away;
	int64_t price;
	uint32_t done;

	if (!mdfh_refbook_head(day->book, locate, side, &head)) {
		side = BUY + SELL - side;
		if (!mdfh_refbook_head(day->book, locate, side, &head))
			return 0;
	}
	if (is_halted(symbol))
		return 0;
	away = (int64_t)((double)head.price * (percent > 0 ? percent : 1) / 100);
	if (away < symbol->tick)
		away = symbol->tick;
	price = side == BUY ? head.price + away : head.price - away;
	if (price < 1 || price > PRICE_MAX)
		price = side == BUY ? head.price - away : head.price + away;
	if (price < 1 || price > PRICE_MAX)
		return 0;
	return execute_head(day, locate, side, draw_shares(day), (uint32_t)price, 'Y', &done, out);
}

static int write_scripted_imbalance(struct mdfh_day *day, const struct action *action, uint8_t *out)
{
	static const char directions[] = {'N', 'B', 'S', 'N'};
	const struct mdfh_scenario_event *event = &day->scenario->events[action->event];
	const struct symbol *symbol = &day->symbols[action->locate];
	struct imbalance imbalance = {
	    .price = event->price > 0 ? (uint32_t)(event->price * 10000 + 0.5)
				      : (uint32_t)symbol->fair * symbol->tick,
	    .cross = action->code,
	};

	if (event->kind != MDFH_SCENARIO_IMBALANCE)
		return write_imbalance(day, action->locate, action->code, out);
	imbalance.paired = event->paired ? event->paired : 100ull * below(day, 5000);
	imbalance.shares = event->shares ? event->shares : 100ull * (1 + below(day, 600));
	imbalance.direction = directions[event->side];
	if (event->side == MDFH_SCENARIO_SIDE_DEFAULT)
		imbalance.direction = one_in(day, 2) ? 'B' : 'S';
	if (imbalance.direction == 'N')
		imbalance.shares = 0;
	return write_imbalance_of(day, action->locate, &imbalance, out);
}

/* A halt ends for a symbol when it was the last that held; quoting and the cross wait for that. */
static int write_state(struct mdfh_day *day, const struct action *action, uint8_t *out)
{
	struct symbol *symbol = &day->symbols[action->locate];

	if (action->code == 'Q') {
		symbol->is_closed = 0;
		if (symbol->halts > 1)
			return 0;
	} else if (action->code != 'T') {
		symbol->halts++;
	} else if (--symbol->halts) {
		return 0;
	}
	return write_trading_action(day, action->locate, action->code, action->reason, out);
}

static int write_operational(struct mdfh_day *day, const struct action *action, uint8_t *out)
{
	struct symbol *symbol = &day->symbols[action->locate];

	if (action->code == 'H')
		symbol->operational++;
	else if (--symbol->operational)
		return 0;
	return write_operational_halt(day, action->locate, action->code, out);
}

/* News ------------------------------------------------------------------------------- */

static int begin_news(struct mdfh_day *day, unsigned number)
{
	struct news *news = &day->news[number];

	news->event = &day->scenario->events[number];
	news->locates = event_locates(day, number);
	news->fair_from = calloc(news->event->symbols_count, sizeof(*news->fair_from));
	if (!news->locates || !news->fair_from)
		return mdfh_error(-ENOMEM, "day: news of %u symbols", news->event->symbols_count);
	news->percent = (uint32_t)(news->event->percent * 100);
	news->is_open = 1;
	day->news_open++;
	for (unsigned i = 0; i < news->event->symbols_count; i++) {
		struct symbol *symbol = &day->symbols[news->locates[i]];

		news->fair_from[i] = symbol->fair;
		if (news->event->move < 0 || news->event->move > 0)
			symbol->news = (uint16_t)(number + 1);
	}
	return 0;
}

static void end_news(struct mdfh_day *day, unsigned number)
{
	struct news *news = &day->news[number];

	news->is_open = 0;
	day->news_open--;
	for (unsigned i = 0; i < news->event->symbols_count; i++) {
		struct symbol *symbol = &day->symbols[news->locates[i]];

		if (symbol->news == number + 1) {
			symbol->news = 0;
			move_fair(symbol, news_fair(day, news, i));
		}
	}
}

/* Where the fair price of the news' symbol number i is by now. */
int32_t news_fair(const struct mdfh_day *day, const struct news *news, unsigned i)
{
	const struct mdfh_scenario_event *event = news->event;
	double part =
	    day->time_ns >= event->until_ns
		? 1
		: (double)(day->time_ns - event->at_ns) / (double)(event->until_ns - event->at_ns);

	return (int32_t)((double)news->fair_from[i] * (1 + part * event->move / 100));
}

/* Bursts ------------------------------------------------------------------------------- */

static int begin_burst(struct mdfh_day *day, unsigned number)
{
	const struct mdfh_scenario_event *event = &day->scenario->events[number];

	free(day->burst_locates);
	day->burst_locates = event_locates(day, number);
	if (!day->burst_locates)
		return -ENOMEM;
	day->burst = event;
	day->burst_left = (uint64_t)(day->config.rate * event->factor * event->ms / 1000);
	return 0;
}

/* Steps -------------------------------------------------------------------------------- */

static int run_action(struct mdfh_day *day, const struct action *action, uint8_t *out)
{
	const struct mdfh_scenario_event *event = &day->scenario->events[action->event];
	uint16_t locate = action->locate;

	switch (action->act) {
	case ACT_TRADING_STATE:
		return write_state(day, action, out);
	case ACT_COLLAR:
		return write_collar(day, locate, event->percent > 0 ? event->percent : 5, out);
	case ACT_OPERATIONAL_HALT:
		return write_operational(day, action, out);
	case ACT_IMBALANCE:
		if (event->kind != MDFH_SCENARIO_IMBALANCE && day->symbols[locate].halts > 1)
			return 0;
		return write_scripted_imbalance(day, action, out);
	case ACT_CROSS:
		if (day->symbols[locate].halts > 1)
			return 0;
		return write_cross(day, locate, 'H', 100ull * (1 + below(day, 200)), out);
	case ACT_BREACH:
		return write_breach(day, action->code, out);
	case ACT_IPO:
		return write_ipo(day, locate, action->code, event->until_ns, out);
	case ACT_LISTING:
		return write_listing(day, locate, event->price, out);
	case ACT_SHORT_SALE:
		return write_short_sale(day, locate, out);
	case ACT_BREAK:
		return write_newest_broken(day, locate, out);
	case ACT_OFF_PRICE:
		return write_off_price(day, locate, event->percent, out);
	case ACT_NEWS_BEGINS:
		return begin_news(day, action->event);
	case ACT_NEWS_ENDS:
		end_news(day, action->event);
		return 0;
	default:
		return begin_burst(day, action->event);
	}
}

/* What is due by now; at the end of a phase, all that belongs into it. */
int write_due_action(struct mdfh_day *day, int is_end, uint8_t *out)
{
	struct plan *plan = &day->plan;

	while (plan->next < plan->count) {
		const struct action *action = &plan->actions[plan->next];
		int length;

		if (action->time_ns >= day->time_end_ns ||
		    (!is_end && action->time_ns > day->time_ns))
			return 0;
		if (action->time_ns > day->time_ns)
			day->time_ns = action->time_ns;
		plan->next++;
		plan->messages_left -= action->act <= ACT_LAST_MESSAGE;
		length = run_action(day, action, out);
		if (length)
			return length;
	}
	return 0;
}
