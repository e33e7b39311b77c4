/* test_day.c - what holds on every made-up day, judged from its bytes alone.
 *
 * The bytes go through a hand-written reader into a second reference book, which must never
 * refuse anything, must never be crossed after a message, and must end up equal to the one that
 * the generator kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "raw_itch.h"
#include "sim/day.h"

struct day_text { /* a whole day */
	uint8_t *bytes;
	size_t length;
	size_t messages;
	uint64_t counts[256];
	uint64_t checksum;
	uint64_t live;
};

static void make_day(const struct mdfh_day_config *config, struct day_text *text)
{
	struct mdfh_day *day;
	int length;

	memset(text, 0, sizeof(*text));
	text->bytes = malloc(config->messages * MDFH_DAY_MESSAGE_MAX);
	assert_non_null(text->bytes);
	assert_int_equal(mdfh_day_create(config, &day), 0);
	while ((length = mdfh_day_next(day, text->bytes + text->length)) > 0) {
		text->length += (size_t)length;
		text->messages++;
	}
	assert_int_equal(length, 0);
	assert_int_equal(mdfh_day_next(day, text->bytes), 0); /* over stays over */
	for (unsigned type = 0; type < 256; type++)
		text->counts[type] = mdfh_day_count(day, (uint8_t)type);
	text->checksum = mdfh_refbook_checksum(mdfh_day_book(day));
	text->live = mdfh_refbook_orders(mdfh_day_book(day));
	mdfh_day_destroy(day);
}

static void expect_not_crossed(const struct mdfh_refbook *book, uint16_t locate)
{
	struct mdfh_refbook_level bid;
	struct mdfh_refbook_level ask;

	if (mdfh_refbook_level(book, locate, MDFH_REFBOOK_BUY, 0, &bid) &&
	    mdfh_refbook_level(book, locate, MDFH_REFBOOK_SELL, 0, &ask))
		assert_true(bid.price < ask.price);
}

/* An order that is executed is the head of the best level, and rests at this symbol. */
static void expect_head(const struct mdfh_refbook *book, const uint8_t *m)
{
	struct mdfh_refbook_order order;
	struct mdfh_refbook_order head;

	assert_int_equal(mdfh_refbook_find(book, raw_number(m, 11, 8), &order), 1);
	assert_int_equal(order.locate, raw_locate(m));
	assert_int_equal(mdfh_refbook_head(book, order.locate, order.side, &head), 1);
	assert_true(head.order_id == order.order_id);
	assert_in_range(raw_number(m, 19, 4), 1, order.shares);
	if (m[0] == 'C' && m[31] == 'Y')
		assert_true((int64_t)raw_number(m, 32, 4) != order.price);
}

/* What a symbol's state must allow, and the day's one-time facts. */
struct rules {
	uint8_t is_known[65536];
	uint8_t is_halted[65536];
	uint64_t last_order;
	uint64_t last_match;
	uint64_t live_max;
};

static void expect_rules(struct rules *rules, const uint8_t *m, uint32_t symbols)
{
	uint16_t locate = raw_locate(m);
	uint64_t id = 0;
	uint64_t match = 0;

	switch (m[0]) {
	case 'S':
	case 'V':
	case 'K':
		assert_int_equal(locate, 0);
		return;
	case 'R':
		assert_in_range(locate, 1, symbols);
		assert_int_equal(rules->is_known[locate], 0);
		rules->is_known[locate] = 1;
		return;
	case 'H':
		rules->is_halted[locate] = m[19] != 'T';
		break;
	case 'h':
		rules->is_halted[locate] = m[20] != 'T';
		break;
	case 'A':
	case 'F':
		id = raw_number(m, 11, 8);
		break;
	case 'U':
		id = raw_number(m, 19, 8);
		break;
	case 'E':
	case 'C':
		match = raw_number(m, 23, 8);
		assert_int_equal(rules->is_halted[locate], 0);
		break;
	case 'P':
		match = raw_number(m, 36, 8);
		assert_int_equal(rules->is_halted[locate], 0);
		break;
	case 'Q':
		match = raw_number(m, 31, 8);
		break;
	default:
		break;
	}
	assert_int_equal(rules->is_known[locate], 1);
	if (id) { /* rising, so unique */
		assert_true(id > rules->last_order);
		rules->last_order = id;
	}
	if (match) {
		assert_true(match > rules->last_match);
		rules->last_match = match;
	}
}

static void check_day(const struct mdfh_day_config *config, uint32_t symbols)
{
	struct rules *rules = calloc(1, sizeof(*rules));
	struct day_text text;
	struct mdfh_refbook *book;
	char events[16] = "";
	uint64_t counts[256] = {0};
	uint64_t time = 0;
	size_t at = 0;

	assert_non_null(rules);
	make_day(config, &text);
	assert_int_equal(text.messages, config->messages);
	assert_int_equal(mdfh_refbook_create(&book), 0);
	while (at < text.length) {
		const uint8_t *m = text.bytes + at;
		uint32_t length = raw_length(m[0]);

		assert_int_not_equal(length, 0);
		counts[m[0]]++;
		assert_true(raw_time(m) >= time);
		time = raw_time(m);
		expect_rules(rules, m, symbols);
		if (m[0] == 'S')
			strncat(events, (const char[]){(char)m[11], 0}, 2);
		if (m[0] == 'E' || m[0] == 'C')
			expect_head(book, m);
		assert_int_equal(raw_apply(book, m), 0); /* nothing unknown, nothing refused */
		expect_not_crossed(book, raw_locate(m));
		if (mdfh_refbook_orders(book) > rules->live_max)
			rules->live_max = mdfh_refbook_orders(book);
		at += length;
	}
	assert_int_equal(at, text.length);
	assert_string_equal(events, "OSQMEC");
	assert_true(time >= 20 * 3600 * 1000000000ull && time < 21 * 3600 * 1000000000ull);
	assert_memory_equal(counts, text.counts, sizeof(counts));
	assert_int_equal(counts['R'], symbols);
	assert_int_equal(counts['Q'] >= 2 * symbols, 1);
	assert_true(mdfh_refbook_checksum(book) == text.checksum);
	assert_int_equal(mdfh_refbook_orders(book), text.live);
	if (config->live_orders)
		assert_in_range(rules->live_max, 1, config->live_orders);
	for (uint32_t locate = 1; locate <= symbols; locate++)
		assert_int_equal(rules->is_halted[locate], 0);
	mdfh_refbook_destroy(book);
	free(text.bytes);
	free(rules);
}

static void test_several_days(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 4; seed++)
		check_day(&(struct mdfh_day_config){.seed = seed, .messages = 100000}, 2500);
	check_day(
	    &(struct mdfh_day_config){.seed = 5, .messages = 400000, .live_orders = 3000}, 8000);
	check_day(&(struct mdfh_day_config){.seed = 6, .messages = 60000, .symbols = 1}, 1);
	check_day(&(struct mdfh_day_config){.seed = 7, .messages = 20000, .live_orders = 1}, 500);
}

static void test_smallest_days(void **state)
{
	static const uint32_t symbols[] = {1, 2, 3, 16, 17, 100};

	(void)state;
	for (size_t i = 0; i < sizeof(symbols) / sizeof(*symbols); i++) {
		for (uint64_t seed = 0; seed < 20; seed++) {
			check_day(
			    &(struct mdfh_day_config){
				.seed = seed,
				.symbols = symbols[i],
				.messages = mdfh_day_messages_min(symbols[i]) + seed,
			    },
			    symbols[i]);
		}
	}
}

/* Every kind of message but the circuit breaker's status comes, and the mix is that of a venue. */
static void test_mix(void **state)
{
	static const char types[] = "SRHYLVKJhAFECXDUPQBINO";
	struct day_text text;
	size_t unprinted = 0;
	size_t emptied = 0;

	(void)state;
	make_day(
	    &(struct mdfh_day_config){.seed = 11, .messages = 1000000, .symbols = 1000}, &text);
	for (const char *type = types; *type; type++) {
		if (!text.counts[(uint8_t)*type])
			fail_msg("no message of type %c", *type);
	}
	for (size_t at = 0; at < text.length; at += raw_length(text.bytes[at])) {
		unprinted += text.bytes[at] == 'C' && text.bytes[at + 31] == 'N';
		emptied += text.bytes[at] == 'X';
	}
	assert_true(unprinted > 500);
	assert_true(emptied > 5000);
	/* Per million, around what a day of the real exchange has (294 million messages of 30 October
	 * 2019): adds 438,000, deletes 419,000, replaces 87,000, executions 25,000, imbalances 13,000,
	 * cancels 12,000, hidden trades 5,000. A short day has more crosses for its length. */
	assert_in_range(text.counts['A'] + text.counts['F'], 420000, 480000);
	assert_in_range(text.counts['D'], 380000, 440000);
	assert_in_range(text.counts['U'], 78000, 92000);
	assert_in_range(text.counts['E'], 22000, 28000);
	assert_in_range(text.counts['I'], 11000, 15000);
	assert_in_range(text.counts['X'], 10000, 14000);
	assert_in_range(text.counts['P'], 4500, 6500);
	assert_in_range(text.counts['F'], 4000, 6500);
	assert_true(text.counts['J'] > 3 && text.counts['B'] > 10);
	free(text.bytes);
}

static void test_repeats(void **state)
{
	struct mdfh_day_config config = {.seed = 21, .messages = 50000};
	struct day_text first;
	struct day_text second;

	(void)state;
	make_day(&config, &first);
	make_day(&config, &second);
	assert_int_equal(first.length, second.length);
	assert_memory_equal(first.bytes, second.bytes, first.length);
	assert_true(first.checksum == second.checksum);
	free(second.bytes);
	config.seed = 22;
	make_day(&config, &second);
	assert_true(first.checksum != second.checksum);
	assert_true(
	    first.length != second.length || memcmp(first.bytes, second.bytes, first.length) != 0);
	free(first.bytes);
	free(second.bytes);
}

static void test_bad_configurations(void **state)
{
	struct mdfh_day *day;

	(void)state;
	assert_int_equal(mdfh_day_create(&(struct mdfh_day_config){.messages = 10}, &day), -EINVAL);
	assert_null(day);
	assert_int_equal(
	    mdfh_day_create(&(struct mdfh_day_config){.messages = 10000, .symbols = 8000}, &day),
	    -EINVAL);
	assert_int_equal(
	    mdfh_day_create(&(struct mdfh_day_config){.messages = 9999999, .symbols = 65536}, &day),
	    -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_several_days),
	    cmocka_unit_test(test_smallest_days),
	    cmocka_unit_test(test_mix),
	    cmocka_unit_test(test_repeats),
	    cmocka_unit_test(test_bad_configurations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
