/* test_scenario.c - scenario files: what they may say, and that each key does to the day's bytes
 * what it says. The bytes are taken apart by raw_itch.h and go through a book of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "mdfh/error.h"
#include "raw_itch.h"
#include "sim/day.h"

#define SECOND         1000000000ull
#define CLOCK(h, m, s) (((h)*3600ull + (m)*60ull + (s)) * SECOND)

/* A day made from a text ------------------------------------------------------------- */

struct message {
	const uint8_t *bytes;
	uint64_t time;
	struct mdfh_day_mark mark;
};

struct made {
	struct mdfh_scenario *scenario;
	uint8_t *bytes;
	struct message *messages;
	size_t count;
	double pace_max;
	uint16_t locate_of_first; /* instrument of the file */
};

/* No trade of a symbol that is halted or paused, by either kind of halt. */
static void expect_no_trade_in_halt(const struct made *made)
{
	uint8_t halted[2][64] = {{0}};

	for (size_t i = 0; i < made->count; i++) {
		const uint8_t *m = made->messages[i].bytes;
		uint16_t locate = raw_locate(m);

		assert_true(locate < 64);
		if (m[0] == 'H')
			halted[0][locate] = m[19] != 'T';
		else if (m[0] == 'h')
			halted[1][locate] = m[20] != 'T';
		else if (m[0] == 'E' || m[0] == 'C' || m[0] == 'P')
			assert_int_equal(halted[0][locate] | halted[1][locate], 0);
	}
}

static void make(struct made *made, uint64_t messages, const char *text)
{
	struct mdfh_day_config config = {.seed = 3, .messages = messages, .symbols = 60};
	struct mdfh_refbook *book;
	struct mdfh_day *day;
	uint8_t *at;
	int length;

	memset(made, 0, sizeof(*made));
	if (mdfh_scenario_parse(text, strlen(text), "test", &made->scenario))
		fail_msg("%s", mdfh_error_text());
	config.scenario = made->scenario;
	made->bytes = malloc(messages * MDFH_DAY_MESSAGE_MAX);
	made->messages = calloc(messages, sizeof(*made->messages));
	if (mdfh_day_create(&config, &day))
		fail_msg("%s", mdfh_error_text());
	assert_int_equal(mdfh_refbook_create(&book), 0);
	made->pace_max = mdfh_day_pace_max(day);
	at = made->bytes;
	while ((length = mdfh_day_next(day, at)) > 0) {
		struct message *message = &made->messages[made->count++];

		*message = (struct message){
		    .bytes = at, .time = raw_time(at), .mark = *mdfh_day_mark(day)};
		assert_int_equal((uint32_t)length, raw_length(at[0]));
		assert_int_equal(raw_apply(book, at), 0);
		if (made->count > 1)
			assert_true(message->time >= message[-1].time);
		at += length;
	}
	assert_int_equal(length, 0);
	assert_int_equal(made->count, messages);
	assert_true(mdfh_refbook_checksum(book) == mdfh_refbook_checksum(mdfh_day_book(day)));
	mdfh_refbook_destroy(book);
	mdfh_day_destroy(day);
	expect_no_trade_in_halt(made);
}

static void drop(struct made *made)
{
	mdfh_scenario_free(made->scenario);
	free(made->bytes);
	free(made->messages);
}

/* Messages of a type and, unless 0, a symbol in [from, to]. */
static size_t count(const struct made *made, char type, uint16_t locate, uint64_t from, uint64_t to)
{
	size_t n = 0;

	for (size_t i = 0; i < made->count; i++) {
		const struct message *m = &made->messages[i];

		n += m->time >= from && m->time <= to && (type == '*' || m->bytes[0] == type) &&
		     (!locate || raw_locate(m->bytes) == locate);
	}
	return n;
}

/* The nth message (from 0) of a type and a symbol, which must be there. */
static const struct message *find(const struct made *made, char type, uint16_t locate, size_t nth)
{
	for (size_t i = 0; i < made->count; i++) {
		const struct message *m = &made->messages[i];

		if (m->bytes[0] == type && raw_locate(m->bytes) == locate && !nth--)
			return m;
	}
	fail_msg("no such %c of symbol %u", type, locate);
	return NULL;
}

/* Files that are wrong ------------------------------------------------------------------ */

static void refused(const char *text, const char *what, const char *where)
{
	struct mdfh_scenario *scenario;

	assert_int_equal(mdfh_scenario_parse(text, strlen(text), "day.yaml", &scenario), -EINVAL);
	assert_null(scenario);
	if (!strstr(mdfh_error_text(), what) || !strstr(mdfh_error_text(), where))
		fail_msg("'%s' has no '%s' at %s", mdfh_error_text(), what, where);
}

static void test_refusals(void **state)
{
	(void)state;
	refused("", "empty", "day.yaml:0");
	refused("seed: 1\nsymbol: 3\n", "symbol", "day.yaml:2:");
	refused("seed: many\n", "many", "day.yaml:1:");
	refused("rate: 1\n", "100", "day.yaml:1:");
	refused("seed: 1\nburst: .nan\n", "burst", "day.yaml:2:");
	refused("messages: 5\nrate: 200\nseconds: 3\n", "two of", "day.yaml:3:");
	refused("messages: 100\nseconds: 50\n", "100 to 5000000", "day.yaml:1:");
	refused("mix: {executions: 50, replaces: 50}\n", "at most 90", "day.yaml:1:");
	refused("phases:\n  - {kind: lunch, until: 10:00, share: 1}\n", "kind", "day.yaml:2:");
	refused(
	    "phases:\n  - {kind: market, until: 9, share: 1}\n", "'until' is '9'", "day.yaml:2:");
	refused("phases:\n  - {kind: market, until: 24:01, share: 1}\n", "24:01", "day.yaml:2:");
	refused(
	    "phases:\n  - {kind: market, until: 10:00, share: 0}\n", "every share", "day.yaml:1:");
	refused("phases:\n  - {kind: market, until: 10:00, share: 1}\n\n"
		"  - {kind: pre-market, until: 11:00, share: 1}\n",
	    "pre-market to market", "day.yaml:4:");
	refused("phases:\n  - {kind: market, until: 10:00, share: 1}\n"
		"  - {kind: market, from: 09:59, until: 11:00, share: 1}\n",
	    "before the end", "day.yaml:3:");
	refused(
	    "phases:\n  - {kind: market, until: 03:00, share: 1}\n", "not after", "day.yaml:2:");
	refused("instruments:\n- name: A\n- name: A\n", "like that of instrument 1", "day.yaml:3:");
	refused(
	    "instruments:\n- {name: A, share: 60}\n- {name: B, share: 60}\n", "120", "day.yaml:3:");
	refused("instruments:\n- name: 'A B'\n", "character", "day.yaml:2:");
	refused("instruments:\n- name: '#1'\n", "by rank", "day.yaml:2:");
	refused("symbols: 1\ninstruments: [{name: A}, {name: B}]\n", "2 of 1", "day.yaml:2:");
	refused("events:\n- {at: 10:00, kind: halt}\n", "a halt needs 'symbols'", "day.yaml:2:");
	refused("events:\n- {at: 10:00, kind: burst, ms: 3, factor: 2}\n"
		"- {at: 10:00, kind: burst, ms: 3, factor: 2, level: 1}\n",
	    "a burst has no 'level'", "day.yaml:3:");
	refused("events:\n- {at: 21:00, kind: broken-trade}\n", "outside", "day.yaml:2:");
	refused("events:\n- {at: 10:00, until: 10:00, kind: operational-halt, symbols: [A]}\n",
	    "not after 'at'", "day.yaml:2:");
	refused("events:\n- {at: 10:00, kind: news, until: 11:00, symbols: [A], move: 41}\n",
	    "'move' is 41", "day.yaml:2:");
	refused(
	    "lines:\n- {line: a, from: 10:00, until: 11:00}\n", "needs 'silent'", "day.yaml:2:");
	refused("lines:\n- {line: a, from: 10:00, until: 11:00, skew_us: 5}\n", "line b",
	    "day.yaml:2:");
	refused(
	    "lines:\n- {line: c, from: 10:00, until: 11:00, silent: yes}\n", "line", "day.yaml:2:");
	refused("\"lines\":\n- {line: a, from: 21:00, until: 22:00, silent: true}\n", "no message",
	    "day.yaml:2:");
	refused("lines:\n- {line: a, from: 01:00, until: 03:00, silent: true}\n", "no message",
	    "day.yaml:2:");
	refused("events:\n- {at: 19:59:58, kind: direct-listing, symbols: [A], count: 3}\n",
	    "'count' is 3", "day.yaml:2:");
	refused("start: 05:00\n", "after the first phase", "day.yaml:1:");
}

static void test_unknown_symbol(void **state)
{
	static const char text[] =
	    "events:\n- {at: 10:00, kind: operational-halt, symbols: [NOSUCH]}\n";
	struct mdfh_scenario *scenario;
	struct mdfh_day *day;

	(void)state;
	assert_int_equal(mdfh_scenario_parse(text, strlen(text), "test", &scenario), 0);
	assert_int_equal(
	    mdfh_day_create(
		&(struct mdfh_day_config){.messages = 20000, .symbols = 5, .scenario = scenario},
		&day),
	    -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "'NOSUCH' is none of the day's 5"));
	mdfh_scenario_free(scenario);
}

static void test_too_many_events(void **state)
{
	static const char text[] = "events:\n"
				   "- {at: 10:00, kind: imbalance, symbols: ['#1', '#2', '#3', "
				   "'#4', '#5'], count: 10000}\n"
				   "- {at: 11:00, kind: circuit-breaker, level: 1, until: 12:00}\n";
	struct mdfh_scenario *scenario;
	struct mdfh_day *day;

	(void)state;
	assert_int_equal(mdfh_scenario_parse(text, strlen(text), "test", &scenario), 0);
	assert_int_equal(
	    mdfh_day_create(
		&(struct mdfh_day_config){.messages = 20000, .symbols = 5, .scenario = scenario},
		&day),
	    -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "more messages than the day has (20000)"));
	mdfh_scenario_free(scenario);
}

/* Phases ---------------------------------------------------------------------------------- */

static void refused_day(const char *text, const char *what)
{
	struct mdfh_scenario *scenario;
	struct mdfh_day *day;

	assert_int_equal(mdfh_scenario_parse(text, strlen(text), "test", &scenario), 0);
	assert_int_equal(
	    mdfh_day_create(
		&(struct mdfh_day_config){.messages = 100000, .symbols = 50, .scenario = scenario},
		&day),
	    -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), what));
	mdfh_scenario_free(scenario);
}

/* 100,000 messages at 100,000 a second are a second: bursts leave the rest of the day its part,
 * of the messages and, where they are slow, of the time. */
static void test_too_long_bursts(void **state)
{
	(void)state;
	refused_day("events:\n- {at: 10:00, kind: burst, factor: 10, ms: 60}\n",
	    "the bursts take 60000 messages");
	refused_day("events:\n- {at: 10:00, kind: burst, factor: 0.01, ms: 20000}\n",
	    "the bursts last 20.000 s, more than half of the day's 1.000 s");
}

static void test_phases(void **state)
{
	struct made made;
	char events[8] = "";
	size_t opening = 0;

	(void)state;
	make(&made, 100000,
	    "start: 08:00\n"
	    "phases:\n"
	    "- {kind: pre-market, from: 09:00, until: 09:30, share: 10, imbalances: 50}\n"
	    "- {kind: market, until: 10:00, share: 30, pace: 2}\n"
	    "- {kind: market, from: 11:00, until: 12:00, share: 60}\n"
	    "random_halts: 0\n");
	assert_true(made.messages[0].time == CLOCK(8, 0, 0));
	for (size_t i = 0; i < made.count; i++) {
		const uint8_t *m = made.messages[i].bytes;

		if (m[0] == 'S')
			strncat(events, (const char[]){(char)m[11], 0}, 2);
		opening += m[0] == 'Q' && m[39] == 'O';
		assert_true(m[0] != 'Q' || m[39] == 'O'); /* no closing cross, no halts */
	}
	assert_string_equal(events, "OSQMEC");
	assert_int_equal(opening, 60);
	assert_true(find(&made, 'S', 0, 1)->time == CLOCK(9, 0, 0));
	assert_true(find(&made, 'S', 0, 2)->time == CLOCK(9, 30, 0));
	assert_true(find(&made, 'S', 0, 3)->time == CLOCK(12, 0, 0));
	assert_in_range(count(&made, '*', 0, CLOCK(9, 0, 0), CLOCK(9, 30, 0) - 1), 9500, 10500);
	assert_in_range(count(&made, '*', 0, CLOCK(9, 30, 0), CLOCK(10, 0, 0)), 29500, 31000);
	assert_int_equal(count(&made, '*', 0, CLOCK(10, 0, 0) + 1, CLOCK(11, 0, 0) - 1), 0);
	assert_in_range(count(&made, '*', 0, CLOCK(11, 0, 0), CLOCK(12, 0, 0)), 58500, 60500);
	assert_in_range(count(&made, 'I', 0, CLOCK(9, 0, 0), CLOCK(9, 30, 0) - 1), 4500, 5500);
	assert_int_equal(count(&made, 'I', 0, CLOCK(9, 30, 1), CLOCK(24, 0, 0)), 0);
	assert_int_equal(count(&made, 'h', 0, 0, CLOCK(24, 0, 0)), 0);
	/* The second market phase goes at half the pace of the first; the mean is that of the day. */
	{
		double slow = find(&made, 'S', 0, 3)[-1].mark.pace;
		double fast = find(&made, 'S', 0, 2)[5000].mark.pace;
		double span = 0;

		assert_true(fast / slow > 1.999 && fast / slow < 2.001);
		for (size_t i = 0; i < made.count; i++)
			span += 1 / made.messages[i].mark.pace;
		assert_in_range((uint64_t)span, 99000, 101000);
	}
	drop(&made);
}

static void test_follow_clock(void **state)
{
	struct made made;
	double first = 0;
	double second = 0;

	(void)state;
	make(&made, 200000,
	    "follow_clock: true\n"
	    "phases:\n"
	    "- {kind: market, from: 09:30, until: 09:31, share: 50}\n"
	    "- {kind: market, until: 09:35, share: 50}\n");
	for (size_t i = 0; i < made.count; i++) {
		if (made.messages[i].time < CLOCK(9, 30, 0))
			continue;
		*(made.messages[i].time < CLOCK(9, 31, 0) ? &first : &second) +=
		    1 / made.messages[i].mark.pace;
		assert_true(made.messages[i].mark.pace <= made.pace_max);
	}
	assert_true(made.pace_max >= made.messages[made.count / 4].mark.pace);
	/* A fifth of the time for half of the messages. */
	assert_true(second / first > 3.9 && second / first < 4.1);
	drop(&made);
}

/* Symbols ----------------------------------------------------------------------------------- */

static void test_instruments(void **state)
{
	struct made made;
	uint64_t low = UINT64_MAX;
	uint64_t high = 0;
	size_t adds = 0;
	size_t total = 0;

	(void)state;
	make(&made, 100000,
	    "instruments:\n"
	    "- {name: MEGA, price: 187.5, tick: 0.05, share: 30, volatility: 0, orders: 50}\n"
	    "- {name: PNNY, price: 0.42, share: 5}\n"
	    "- {name: A, share: 1}\n");
	assert_memory_equal(find(&made, 'R', 1, 0)->bytes + 11, "MEGA    ", 8);
	assert_memory_equal(find(&made, 'R', 2, 0)->bytes + 11, "PNNY    ", 8);
	assert_memory_equal(find(&made, 'R', 3, 0)->bytes + 11, "A       ", 8);
	for (size_t i = 0; i < made.count; i++) {
		const uint8_t *m = made.messages[i].bytes;

		total += strchr("AFDUXEPC", m[0]) != NULL;
		if (m[0] == 'R' && raw_locate(m) > 3) /* no name twice */
			assert_memory_not_equal(m + 11, "A       ", 8);
		if (m[0] == 'A' && raw_locate(m) == 1) {
			uint64_t price = raw_number(m, 32, 4);

			assert_int_equal(price % 500, 0);
			low = price < low ? price : low;
			high = price > high ? price : high;
			adds++;
		}
	}
	/* Orders stand on both sides of a price that does not move. */
	assert_true(low < 1875000 && high > 1875000 && adds > 5000);
	assert_in_range(count(&made, 'D', 1, 0, UINT64_MAX) + count(&made, 'A', 1, 0, UINT64_MAX),
	    total * 20 / 100, total * 32 / 100);
	for (size_t i = 0; i < made.count; i++) {
		const uint8_t *m = made.messages[i].bytes;

		if (m[0] == 'P' && raw_locate(m) == 1)
			assert_int_equal(raw_number(m, 32, 4), 1875000);
		if (m[0] == 'P' && raw_locate(m) == 2)
			assert_in_range(raw_number(m, 32, 4), 2000, 6500);
	}
	drop(&made);
}

/* Live orders of a symbol after the first n messages. */
static uint32_t live_orders(const struct made *made, uint16_t locate, size_t n)
{
	static const unsigned sides[] = {MDFH_REFBOOK_BUY, MDFH_REFBOOK_SELL};
	struct mdfh_refbook *book;
	struct mdfh_refbook_level level;
	uint32_t orders = 0;

	assert_int_equal(mdfh_refbook_create(&book), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(raw_apply(book, made->messages[i].bytes), 0);
	for (size_t i = 0; i < 2; i++) {
		for (uint32_t j = 0; mdfh_refbook_level(book, locate, sides[i], j, &level); j++)
			orders += level.orders;
	}
	mdfh_refbook_destroy(book);
	return orders;
}

static void test_live_orders(void **state)
{
	struct made made;

	(void)state;
	make(&made, 200000,
	    "instruments: [{name: THIN, share: 10, orders: 20}, {name: DEEP, share: 10, orders: "
	    "1500},"
	    " {name: USUAL, share: 10}]\n");
	assert_in_range(live_orders(&made, 1, made.count / 2), 10, 40);
	assert_in_range(live_orders(&made, 2, made.count * 9 / 10), 900, 2000);
	drop(&made);
}

static void test_mix(void **state)
{
	struct made made;
	size_t trading;

	(void)state;
	make(&made, 200000,
	    "mix: {executions: 10, off_price: 2, replaces: 20, cancels: 5, hidden_trades: 3,"
	    " broken_trades: 1}\n"
	    "random_halts: 0\n");
	trading = made.count;
	assert_in_range(count(&made, 'E', 0, 0, UINT64_MAX), trading * 8 / 100, trading * 11 / 100);
	assert_in_range(
	    count(&made, 'U', 0, 0, UINT64_MAX), trading * 17 / 100, trading * 21 / 100);
	assert_in_range(count(&made, 'X', 0, 0, UINT64_MAX), trading * 4 / 100, trading * 6 / 100);
	assert_in_range(count(&made, 'P', 0, 0, UINT64_MAX), trading * 2 / 100, trading * 4 / 100);
	assert_in_range(count(&made, 'C', 0, 0, UINT64_MAX), trading * 1 / 100, trading * 3 / 100);
	assert_in_range(count(&made, 'B', 0, 0, UINT64_MAX), trading / 200, trading * 2 / 100);
	drop(&made);
	make(&made, 50000,
	    "mix: {executions: 0, off_price: 0, replaces: 0, cancels: 0, hidden_trades: 0,"
	    " broken_trades: 0}\n");
	assert_int_equal(count(&made, 'E', 0, 0, UINT64_MAX), 0);
	assert_int_equal(count(&made, 'U', 0, 0, UINT64_MAX), 0);
	assert_int_equal(count(&made, 'X', 0, 0, UINT64_MAX), 0);
	assert_int_equal(count(&made, 'P', 0, 0, UINT64_MAX), 0);
	drop(&made);
}

/* Events ------------------------------------------------------------------------------------- */

static void expect_state(const struct made *made, uint16_t locate, size_t nth, uint64_t time,
    char state, const char *reason)
{
	const struct message *m = find(made, 'H', locate, nth);

	assert_true(m->time == time);
	assert_int_equal(m->bytes[19], state);
	assert_memory_equal(m->bytes + 21, reason, 4);
}

static void test_halts(void **state)
{
	struct made made;

	(void)state;
	make(&made, 100000,
	    "random_halts: 0\n"
	    "instruments: [{name: HALT, share: 5}, {name: PAUS, share: 5}, {name: OPER, share: 5},"
	    " {name: LAST, share: 5}]\n"
	    "events:\n"
	    "- {at: 10:00, kind: halt, symbols: [HALT], until: 10:20, reason: T12}\n"
	    "- {at: 11:00, kind: pause, symbols: [PAUS], until: 11:04, percent: 10}\n"
	    "- {at: 12:00:00.5, kind: operational-halt, symbols: [OPER], until: 12:30}\n"
	    "- {at: 13:00, kind: halt, symbols: [LAST]}\n");
	expect_state(&made, 1, 0, find(&made, 'H', 1, 0)->time, 'T', "    "); /* the spin */
	expect_state(&made, 1, 1, CLOCK(10, 0, 0), 'H', "T12 ");
	expect_state(&made, 1, 2, CLOCK(10, 15, 0), 'Q', "T3  ");
	expect_state(&made, 1, 3, CLOCK(10, 20, 0), 'T', "T12 ");
	assert_int_equal(count(&made, 'I', 1, CLOCK(10, 15, 0), CLOCK(10, 20, 0)), 5);
	assert_int_equal(count(&made, 'Q', 1, CLOCK(10, 20, 0), CLOCK(10, 20, 0)), 1);
	for (const char *type = "EPC"; *type; type++)
		assert_int_equal(count(&made, *type, 1, CLOCK(10, 0, 0), CLOCK(10, 20, 0) - 1), 0);
	assert_true(count(&made, 'E', 1, CLOCK(9, 30, 0), CLOCK(16, 0, 0)) > 20);

	expect_state(&made, 2, 1, CLOCK(11, 0, 0), 'P', "LUDP");
	expect_state(&made, 2, 2, CLOCK(11, 2, 0), 'Q', "T7  ");
	expect_state(&made, 2, 3, CLOCK(11, 4, 0), 'T', "T7  ");
	{
		const struct message *m = find(&made, 'J', 2, 0);
		uint64_t reference = raw_number(m->bytes, 19, 4);

		assert_true(m->time == CLOCK(11, 0, 0));
		assert_true(raw_number(m->bytes, 23, 4) == reference + reference / 10);
		assert_true(raw_number(m->bytes, 27, 4) == reference - reference / 10);
	}
	assert_true(find(&made, 'h', 3, 0)->time == CLOCK(12, 0, 0) + SECOND / 2);
	assert_int_equal(find(&made, 'h', 3, 0)->bytes[20], 'H');
	assert_true(find(&made, 'h', 3, 1)->time == CLOCK(12, 30, 0));
	assert_int_equal(find(&made, 'h', 3, 1)->bytes[20], 'T');
	assert_int_equal(count(&made, 'E', 3, CLOCK(12, 0, 1), CLOCK(12, 30, 0) - 1), 0);
	assert_int_equal(count(&made, 'h', 0, 0, UINT64_MAX), 2);
	/* Without until: for the rest of the day, and no closing cross. */
	expect_state(&made, 4, 1, CLOCK(13, 0, 0), 'H', "T1  ");
	assert_int_equal(count(&made, 'H', 4, 0, UINT64_MAX), 2);
	assert_int_equal(count(&made, 'E', 4, CLOCK(13, 0, 1), UINT64_MAX), 0);
	assert_int_equal(raw_number(find(&made, 'Q', 4, 1)->bytes, 11, 8), 0);
	drop(&made);
}

/* Halts by chance and by plan, one upon the other: nothing trades in any, books hold. */
static void test_many_halts(void **state)
{
	struct made made;

	(void)state;
	make(&made, 100000,
	    "random_halts: 300\n"
	    "phases: [{kind: market, from: 09:30, until: 24:00, share: 1}]\n"
	    "events:\n"
	    "- {at: 10:00, kind: halt, symbols: ['#1', '#2', '#3', '#4', '#5'], until: 14:00}\n"
	    "- {at: 11:00, kind: pause, symbols: ['#4', '#5', '#6'], until: 12:00}\n"
	    "- {at: 11:30, kind: operational-halt, symbols: ['#1', '#6', '#7'], until: 15:00}\n"
	    "- {at: 11:45, kind: circuit-breaker, level: 1, until: 12:45}\n"
	    "- {at: 16:00, kind: circuit-breaker, level: 2, until: 17:00}\n"
	    "- {at: 23:59:59, kind: halt, symbols: ['#1']}\n");
	assert_int_equal(count(&made, 'W', 0, 0, UINT64_MAX), 2);
	assert_true(count(&made, 'h', 0, 0, UINT64_MAX) > 100);
	assert_true(made.messages[made.count - 1].time <= CLOCK(24, 0, 0));
	drop(&made);
}

/* A halt within a halt: trading resumes with the last. */
static void test_nested_halts(void **state)
{
	struct made made;

	(void)state;
	make(&made, 100000,
	    "random_halts: 0\n"
	    "instruments: [{name: HALT, share: 5}]\n"
	    "events:\n"
	    "- {at: 10:00, kind: halt, symbols: [HALT], until: 12:00}\n"
	    "- {at: 11:00, kind: circuit-breaker, level: 2, until: 11:15}\n");
	assert_int_equal(find(&made, 'W', 0, 0)->bytes[11], '2');
	assert_true(find(&made, 'W', 0, 0)->time == CLOCK(11, 0, 0));
	expect_state(&made, 1, 1, CLOCK(10, 0, 0), 'H', "T1  ");
	expect_state(&made, 1, 2, CLOCK(11, 0, 0), 'H', "MWC2");
	expect_state(&made, 1, 3, CLOCK(11, 55, 0), 'Q', "T3  ");
	expect_state(&made, 1, 4, CLOCK(12, 0, 0), 'T', "T1  ");
	for (uint16_t locate = 2; locate <= 60; locate++) {
		expect_state(&made, locate, 1, CLOCK(11, 0, 0), 'H', "MWC2");
		expect_state(&made, locate, 2, CLOCK(11, 10, 0), 'Q', "MWCQ");
		expect_state(&made, locate, 3, CLOCK(11, 15, 0), 'T', "MWCQ");
	}
	assert_int_equal(count(&made, 'E', 0, CLOCK(11, 0, 0) + 1, CLOCK(11, 15, 0) - 1), 0);
	assert_true(count(&made, 'D', 0, CLOCK(11, 0, 0) + 1, CLOCK(11, 15, 0) - 1) > 100);
	drop(&made);
	/* The highest level ends the day's trading. */
	make(&made, 60000,
	    "random_halts: 0\nevents: [{at: 11:00, kind: circuit-breaker, level: 3}]\n");
	assert_int_equal(count(&made, 'E', 0, CLOCK(11, 0, 0) + 1, UINT64_MAX), 0);
	assert_int_equal(count(&made, 'H', 0, CLOCK(11, 0, 0), UINT64_MAX), 60);
	drop(&made);
}

static void test_offerings(void **state)
{
	struct made made;
	const struct message *m;

	(void)state;
	make(&made, 60000,
	    "random_halts: 0\n"
	    "instruments: [{name: NEWCO, share: 5}, {name: NOCO, share: 5}, {name: DLCR}]\n"
	    "events:\n"
	    "- {at: 09:40, kind: ipo, symbols: [NEWCO], until: 10:15, price: 21}\n"
	    "- {at: 09:45, kind: ipo, symbols: [NOCO], until: 11:00, cancelled: true}\n"
	    "- {at: 09:50, kind: direct-listing, symbols: [DLCR], price: 40, count: 3}\n");
	assert_int_equal(find(&made, 'R', 1, 0)->bytes[31], 'Y');
	expect_state(&made, 1, 0, find(&made, 'H', 1, 0)->time, 'H', "IPO1");
	m = find(&made, 'K', 0, 0);
	assert_true(m->time == CLOCK(9, 40, 0));
	assert_memory_equal(m->bytes + 11, "NEWCO   ", 8);
	assert_int_equal(raw_number(m->bytes, 19, 4), 10 * 3600 + 15 * 60);
	assert_int_equal(m->bytes[23], 'A');
	assert_int_equal(raw_number(m->bytes, 24, 4), 210000);
	expect_state(&made, 1, 1, CLOCK(10, 10, 0), 'Q', "IPOQ");
	expect_state(&made, 1, 2, CLOCK(10, 15, 0), 'T', "    ");
	assert_int_equal(count(&made, 'A', 1, 0, CLOCK(10, 10, 0) - 1), 0);
	assert_true(count(&made, 'A', 1, CLOCK(10, 10, 0), CLOCK(16, 0, 0)) > 100);
	assert_int_equal(count(&made, 'E', 1, 0, CLOCK(10, 15, 0) - 1), 0);
	assert_true(count(&made, 'E', 1, CLOCK(10, 15, 0), CLOCK(16, 0, 0)) > 5);
	/* Called off. */
	m = find(&made, 'K', 0, 2);
	assert_true(m->time == CLOCK(11, 0, 0));
	assert_int_equal(m->bytes[23], 'C');
	assert_int_equal(raw_number(m->bytes, 19, 4), 0);
	assert_int_equal(count(&made, 'A', 2, 0, UINT64_MAX), 0);
	assert_int_equal(count(&made, 'O', 3, CLOCK(9, 50, 0), CLOCK(9, 50, 2)), 3);
	assert_int_equal(count(&made, 'O', 0, 0, UINT64_MAX), 3);
	assert_int_equal(raw_number(find(&made, 'O', 3, 0)->bytes, 28, 4), 400000);
	drop(&made);
}

static void test_single_messages(void **state)
{
	struct made made;
	const struct message *m;
	uint64_t broken[5] = {0};
	size_t n = 0;

	(void)state;
	make(&made, 60000,
	    "random_halts: 0\n"
	    "mix: {off_price: 0, broken_trades: 0}\n"
	    "instruments: [{name: MEGA, price: 100, share: 20}]\n"
	    "events:\n"
	    "- {at: 10:00, kind: short-sale-restriction, symbols: [MEGA, '#2']}\n"
	    "- {at: 15:55, kind: imbalance, symbols: [MEGA], cross: closing, side: sell,"
	    " shares: 12300, paired: 45600, price: 99.5, count: 4}\n"
	    "- {at: 12:00, kind: broken-trade, symbols: [MEGA], count: 5}\n"
	    "- {at: 13:00, kind: off-price, symbols: [MEGA], count: 7, percent: 2}\n");
	m = find(&made, 'Y', 1, 1);
	assert_true(m->time == CLOCK(10, 0, 0));
	assert_int_equal(m->bytes[19], '1');
	assert_int_equal(count(&made, 'Y', 0, CLOCK(10, 0, 0), CLOCK(10, 0, 0)), 2);
	for (size_t i = 0; i < made.count; i++) {
		m = &made.messages[i];
		if (m->bytes[0] != 'I' || raw_locate(m->bytes) != 1 || m->bytes[27] != 'S' ||
		    raw_number(m->bytes, 19, 8) != 12300)
			continue;
		assert_true(m->time == CLOCK(15, 55, n));
		assert_int_equal(raw_number(m->bytes, 11, 8), 45600);
		assert_int_equal(raw_number(m->bytes, 40, 4), 995000);
		assert_int_equal(m->bytes[48], 'C');
		n++;
	}
	assert_int_equal(n, 4);
	/* The five newest prints of the symbol, each once, and none of another. */
	assert_int_equal(count(&made, 'B', 1, CLOCK(12, 0, 0), CLOCK(12, 0, 0)), 5);
	for (size_t i = 0; i < 5; i++) {
		broken[i] = raw_number(find(&made, 'B', 1, i)->bytes, 11, 8);
		assert_true(!i || broken[i] < broken[i - 1]);
	}
	assert_int_equal(count(&made, 'C', 1, CLOCK(13, 0, 0), CLOCK(13, 0, 0)), 7);
	for (size_t i = 0; i < made.count; i++) {
		m = &made.messages[i];
		if (m->bytes[0] == 'C' && m->time == CLOCK(13, 0, 0)) {
			uint64_t price = raw_number(m->bytes, 32, 4);

			assert_int_equal(m->bytes[31], 'Y');
			assert_true(price > 400000 && price < 1600000);
		}
	}
	drop(&made);
}

static uint64_t mean_price(const struct made *made, uint16_t locate, uint64_t from, uint64_t to)
{
	uint64_t sum = 0;
	uint64_t n = 0;

	for (size_t i = 0; i < made->count; i++) {
		const struct message *m = &made->messages[i];

		if (m->bytes[0] == 'P' && raw_locate(m->bytes) == locate && m->time >= from &&
		    m->time < to) {
			sum += raw_number(m->bytes, 32, 4);
			n++;
		}
	}
	assert_true(n > 0);
	return sum / n;
}

static void test_news(void **state)
{
	struct made made;
	uint64_t before;
	uint64_t after;
	size_t all;
	size_t own;

	(void)state;
	make(&made, 200000,
	    "random_halts: 0\n"
	    "mix: {hidden_trades: 3}\n"
	    "instruments: [{name: TECH, price: 100, share: 5, volatility: 0}]\n"
	    "events:\n"
	    "- {at: 10:00, kind: news, symbols: [TECH], until: 11:00, percent: 40, move: -20}\n");
	before = mean_price(&made, 1, CLOCK(9, 30, 0), CLOCK(10, 0, 0));
	after = mean_price(&made, 1, CLOCK(11, 0, 0), CLOCK(16, 0, 0));
	assert_int_equal(before, 1000000);
	assert_in_range(after, 795000, 805000);
	all = count(&made, '*', 0, CLOCK(10, 0, 0), CLOCK(11, 0, 0));
	own = count(&made, '*', 1, CLOCK(10, 0, 0), CLOCK(11, 0, 0));
	assert_in_range(own * 100 / all, 38, 48); /* 40 of the news, 5 of the rest */
	/* The trades follow: the last execution of the symbol hits a book near the new price. */
	own = count(&made, 'E', 1, CLOCK(10, 0, 0), CLOCK(11, 0, 0));
	assert_true(own > 100);
	drop(&made);
}

static void test_bursts(void **state)
{
	struct made made;
	size_t in_burst = 0;
	size_t of_symbol = 0;
	uint64_t first = 0;
	uint64_t last = 0;

	(void)state;
	make(&made, 60000,
	    "random_halts: 0\n"
	    "instruments: [{name: MEGA, share: 1}]\n"
	    "events:\n"
	    "- {at: 10:00, kind: burst, factor: 10, ms: 5, symbols: [MEGA]}\n"
	    "- {at: 11:00, kind: burst, factor: 3, ms: 5}\n");
	for (size_t i = 0; i < made.count; i++) {
		const struct message *m = &made.messages[i];

		if (!m->mark.is_burst)
			continue;
		if (m->mark.pace < 5) { /* the second */
			assert_true(m->time >= CLOCK(11, 0, 0));
			continue;
		}
		assert_true(m->mark.pace > 9.99 && m->mark.pace < 10.01);
		first = first ? first : m->time;
		last = m->time;
		of_symbol += raw_locate(m->bytes) == 1;
		in_burst++;
	}
	/* 100,000 messages a second when nothing is said: ten times that for 5 ms. */
	assert_int_equal(in_burst, 5000);
	assert_int_equal(of_symbol, 5000);
	assert_true(first == CLOCK(10, 0, 0));
	assert_true(last < CLOCK(10, 0, 1));
	drop(&made);
}

static void test_faults(void **state)
{
	struct made made;

	(void)state;
	make(&made, 30000,
	    "lines:\n"
	    "- {line: b, from: 10:00, until: 11:00, silent: true}\n"
	    "- {line: a, from: 10:30, until: 12:00, drop_ppm: 5}\n");
	for (size_t i = 0; i < made.count; i++) {
		uint64_t time = made.messages[i].time;
		uint32_t faults = (time >= CLOCK(10, 0, 0) && time < CLOCK(11, 0, 0) ? 1 : 0) |
				  (time >= CLOCK(10, 30, 0) && time < CLOCK(12, 0, 0) ? 2 : 0);

		assert_int_equal(made.messages[i].mark.faults, faults);
	}
	drop(&made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_unknown_symbol),
	    cmocka_unit_test(test_too_many_events),
	    cmocka_unit_test(test_too_long_bursts),
	    cmocka_unit_test(test_phases),
	    cmocka_unit_test(test_follow_clock),
	    cmocka_unit_test(test_instruments),
	    cmocka_unit_test(test_live_orders),
	    cmocka_unit_test(test_mix),
	    cmocka_unit_test(test_halts),
	    cmocka_unit_test(test_many_halts),
	    cmocka_unit_test(test_nested_halts),
	    cmocka_unit_test(test_offerings),
	    cmocka_unit_test(test_single_messages),
	    cmocka_unit_test(test_news),
	    cmocka_unit_test(test_bursts),
	    cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
