/* test_realism.c - a usual day looks like one of the exchange: how activity, prices, sizes, the lives
 * of orders and the hours are distributed, each within bounds. What is known of real days stands
 * beside the bounds. The bytes are taken apart by raw_itch.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "raw_itch.h"
#include "sim/day.h"
#include "sim/publisher.h"

#define SECOND 1000000000ull
#define MINUTE (60 * SECOND)

enum { MESSAGES = 1500000, SYMBOLS = 8000, ORDERS = 8000000, BUCKETS = 24 * 60 };

/* By order id, which are small and rise. */
struct life {
	uint64_t born;
	uint32_t born_at; /* messages of its symbol before it */
	uint8_t is_alive;
};

struct seen {
	uint64_t by_symbol[SYMBOLS + 1];
	uint64_t by_minute[BUCKETS];
	uint64_t counts[256];
	uint64_t lives[64]; /* by the binary logarithm of ns */
	uint64_t lives_count;
	uint64_t died_executed;
	uint64_t died_deleted;
	uint64_t depth
	    [8]; /* new orders by distance from their side's best, in ticks; last = 7 and more */
	uint64_t depth_count;
	uint64_t deleted_at[4]; /* position in the queue: head, 2nd, 3rd, further */
	uint64_t round_lots;
	uint64_t odd_lots;
	uint64_t adds;
	uint64_t under_dollar; /* symbols */
	uint64_t over_hundred;
	uint64_t same_symbol; /* messages about the symbol of the message before */
};

static struct seen seen;
static struct life *lives;

static void die(uint64_t id, uint64_t time, int is_executed)
{
	struct life *life = &lives[id];
	uint64_t age = time - life->born + 1;

	seen.lives[63 - __builtin_clzll(age)]++;
	seen.lives_count++;
	life->is_alive = 0;
	*(is_executed ? &seen.died_executed : &seen.died_deleted) += 1;
}

static void be_born(uint64_t id, uint64_t time)
{
	assert_true(id < ORDERS);
	lives[id] = (struct life){.born = time, .is_alive = 1};
}

static void look_at_add(const struct mdfh_refbook *book, const uint8_t *m)
{
	unsigned side = m[19] == 'B' ? MDFH_REFBOOK_BUY : MDFH_REFBOOK_SELL;
	uint32_t shares = (uint32_t)raw_number(m, 20, 4);
	int64_t price = (int64_t)raw_number(m, 32, 4);
	struct mdfh_refbook_level best;

	seen.adds++;
	seen.round_lots += shares == 100;
	seen.odd_lots += shares % 100 != 0;
	be_born(raw_number(m, 11, 8), raw_time(m));
	if (price >= 10000 && mdfh_refbook_level(book, raw_locate(m), side, 0, &best)) {
		int64_t away =
		    (side == MDFH_REFBOOK_BUY ? best.price - price : price - best.price) / 100;

		seen.depth[away < 0 ? 0 : away > 7 ? 7 : away]++;
		seen.depth_count++;
	}
}

static void look_at(struct mdfh_refbook *book, const uint8_t *m)
{
	struct mdfh_refbook_order order;
	uint64_t id = raw_number(m, 11, 8);

	switch (m[0]) {
	case 'A':
	case 'F':
		look_at_add(book, m);
		return;
	case 'D':
		assert_int_equal(mdfh_refbook_order(book, id, &order), 1);
		seen.deleted_at[order.position < 3 ? order.position : 3]++;
		die(id, raw_time(m), 0);
		return;
	case 'U':
		die(id, raw_time(m), 0);
		be_born(raw_number(m, 19, 8), raw_time(m));
		return;
	case 'E':
	case 'C':
		assert_int_equal(mdfh_refbook_find(book, id, &order), 1);
		if (order.shares == raw_number(m, 19, 4))
			die(id, raw_time(m), 1);
		return;
	default:
		return;
	}
}

static int make_seen(void **state)
{
	const struct mdfh_day_config config = {.seed = 1, .messages = MESSAGES, .symbols = SYMBOLS};
	struct mdfh_refbook *book;
	struct mdfh_day *day;
	uint8_t bytes[MDFH_DAY_MESSAGE_MAX];
	uint16_t before = 0;

	(void)state;
	lives = calloc(ORDERS, sizeof(*lives));
	assert_non_null(lives);
	assert_int_equal(mdfh_refbook_create(&book), 0);
	assert_int_equal(mdfh_day_create(&config, &day), 0);
	while (mdfh_day_next(day, bytes) > 0) {
		uint64_t time = raw_time(bytes);

		seen.counts[bytes[0]]++;
		seen.by_symbol[raw_locate(bytes)]++;
		seen.by_minute[time / MINUTE]++;
		if (time > 9 * 60 * MINUTE + 31 * MINUTE)
			seen.same_symbol += raw_locate(bytes) == before;
		before = raw_locate(bytes);
		look_at(book, bytes);
		assert_int_equal(raw_apply(book, bytes), 0);
		if (bytes[0] == 'Q' && bytes[39] == 'O') {
			uint64_t price = raw_number(bytes, 27, 4);

			seen.under_dollar += price > 0 && price < 10000;
			seen.over_hundred += price > 1000000;
		}
	}
	mdfh_day_destroy(day);
	mdfh_refbook_destroy(book);
	free(lives);
	return 0;
}

static int falling(const void *a, const void *b)
{
	const uint64_t *left = a;
	const uint64_t *right = b;

	return (*left < *right) - (*left > *right);
}

/* part of whole in 1/1000, said when it is out of bounds. */
static void expect_permille(
    const char *what, uint64_t part, uint64_t whole, uint64_t least, uint64_t most)
{
	uint64_t permille = whole ? part * 1000 / whole : 0;

	printf("%s: %llu in 1000\n", what, (unsigned long long)permille);
	if (permille < least || permille > most)
		fail_msg("%s is %llu in 1000, not %llu to %llu", what, (unsigned long long)permille,
		    (unsigned long long)least, (unsigned long long)most);
}

/* Few symbols take most messages. */
static void test_concentration(void **state)
{
	uint64_t sorted[SYMBOLS];
	uint64_t total = 0;
	uint64_t top_1 = 0;
	uint64_t top_10 = 0;

	(void)state;
	memcpy(sorted, seen.by_symbol + 1, sizeof(sorted));
	qsort(sorted, SYMBOLS, sizeof(*sorted), falling);
	for (int i = 0; i < SYMBOLS; i++) {
		total += sorted[i];
		top_1 += i < SYMBOLS / 100 ? sorted[i] : 0;
		top_10 += i < SYMBOLS / 10 ? sorted[i] : 0;
	}
	expect_permille("messages of the first symbol", sorted[0], total, 12, 25);
	expect_permille("messages of the first percent of symbols", top_1, total, 300, 400);
	expect_permille("messages of the first tenth of symbols", top_10, total, 600, 720);
	assert_true(sorted[SYMBOLS - 1] > 5); /* and nobody is left out */
}

/* On the real day of 30 October 2019: E 25, D 419, U 87, X 12 in 1,000; 4 executions for 100 adds. */
static void test_ratios(void **state)
{
	uint64_t adds = seen.counts['A'] + seen.counts['F'];

	(void)state;
	expect_permille("executions for adds", seen.counts['E'], adds, 45, 65);
	expect_permille("deletes for adds", seen.counts['D'], adds, 800, 980);
	expect_permille("replaces for adds", seen.counts['U'], adds, 160, 220);
	expect_permille("orders that end by execution", seen.died_executed,
	    seen.died_executed + seen.died_deleted, 20, 70);
	expect_permille("attributed adds", seen.counts['F'], adds, 8, 15);
}

/* Most orders are young when they go, some stay for hours. */
static void test_lives(void **state)
{
	uint64_t under_second = 0;
	uint64_t over_minutes = 0;

	(void)state;
	for (int i = 0; i < 64; i++) {
		under_second += i < 30 ? seen.lives[i] : 0;
		over_minutes += i >= 40 ? seen.lives[i] : 0; /* 18 minutes */
	}
	expect_permille("lives below a second", under_second, seen.lives_count, 60, 250);
	expect_permille("lives above 18 minutes", over_minutes, seen.lives_count, 200, 450);
}

/* New orders crowd around the touch; orders are deleted from every place in the queue. */
static void test_places(void **state)
{
	(void)state;
	expect_permille(
	    "adds at the best price or better", seen.depth[0], seen.depth_count, 340, 480);
	expect_permille("adds within three ticks",
	    seen.depth[0] + seen.depth[1] + seen.depth[2] + seen.depth[3], seen.depth_count, 600,
	    780);
	expect_permille(
	    "adds seven ticks away and more", seen.depth[7], seen.depth_count, 150, 300);
	expect_permille(
	    "deletes at the head of the queue", seen.deleted_at[0], seen.counts['D'], 150, 380);
	expect_permille("deletes from further back", seen.deleted_at[2] + seen.deleted_at[3],
	    seen.counts['D'], 450, 720);
}

static void test_sizes_and_prices(void **state)
{
	(void)state;
	expect_permille("orders of 100 shares", seen.round_lots, seen.adds, 500, 650);
	expect_permille("odd lots", seen.odd_lots, seen.adds, 120, 250);
	expect_permille("symbols below a dollar", seen.under_dollar, SYMBOLS, 5, 20);
	expect_permille("symbols above 100 dollars", seen.over_hundred, SYMBOLS, 100, 350);
}

/* Busy at both ends, quiet at noon; symbols come in runs. */
static void test_hours(void **state)
{
	uint64_t opening = 0;
	uint64_t noon = 0;
	uint64_t closing = 0;

	(void)state;
	for (int i = 0; i < 10; i++) {
		opening += seen.by_minute[9 * 60 + 31 + i];
		noon += seen.by_minute[12 * 60 + i];
		closing += seen.by_minute[15 * 60 + 50 + i];
	}
	expect_permille("noon for the opening", noon, opening, 120, 320);
	expect_permille("noon for the closing", noon, closing, 100, 280);
	expect_permille(
	    "messages about the symbol of the one before", seen.same_symbol, MESSAGES, 380, 540);
}

/* On the wire: ten times the mean for a millisecond in every hundred. Real days have single
 * milliseconds of several hundred messages at means of some thousands a second. */
static void test_bursts(void **state)
{
	enum { RATE = 1000000, MS = 1000 };
	uint32_t by_ms[MS] = {0};
	uint32_t highest = 0;
	uint32_t highs = 0;

	(void)state;
	for (uint64_t i = 0;; i++) {
		uint64_t due = mdfh_publisher_due_ns(RATE, 10, i);

		if (due >= MS * 1000000ull)
			break;
		by_ms[due / 1000000]++;
	}
	for (int i = 0; i < MS; i++) {
		highest = by_ms[i] > highest ? by_ms[i] : highest;
		highs += by_ms[i] > 2 * RATE / 1000;
	}
	/* The burst begins in the middle of a millisecond or at its edge. */
	assert_in_range(highest, 5 * RATE / 1000, 10 * RATE / 1000 + 1);
	assert_in_range(highs, 10, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_concentration),
	    cmocka_unit_test(test_ratios),
	    cmocka_unit_test(test_lives),
	    cmocka_unit_test(test_places),
	    cmocka_unit_test(test_sizes_and_prices),
	    cmocka_unit_test(test_hours),
	    cmocka_unit_test(test_bursts),
	};

	return cmocka_run_group_tests(tests, make_seen, NULL);
}
