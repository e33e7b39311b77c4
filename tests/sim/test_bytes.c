/* test_bytes.c - every type of message and every field against a packer written by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/random.h"
#include "mdfh/error.h"
#include "raw_itch.h"
#include "raw_pack.h"
#include "sim/day.h"

#define TIME_MASK 0xffffffffffffull

/* The types of the specification. X(letter, name) */
#define TYPES(X)                                                                                   \
	X('S', system_event)                                                                       \
	X('R', stock_directory)                                                                    \
	X('H', stock_trading_action)                                                               \
	X('Y', reg_sho_restriction)                                                                \
	X('L', market_participant_position)                                                        \
	X('V', mwcb_decline_level)                                                                 \
	X('W', mwcb_status)                                                                        \
	X('K', ipo_quoting_period)                                                                 \
	X('J', luld_auction_collar)                                                                \
	X('h', operational_halt)                                                                   \
	X('A', add_order)                                                                          \
	X('F', add_order_mpid)                                                                     \
	X('E', order_executed)                                                                     \
	X('C', order_executed_price)                                                               \
	X('X', order_cancel)                                                                       \
	X('D', order_delete)                                                                       \
	X('U', order_replace)                                                                      \
	X('P', trade)                                                                              \
	X('Q', cross_trade)                                                                        \
	X('B', broken_trade)                                                                       \
	X('I', noii)                                                                               \
	X('N', rpii)                                                                               \
	X('O', direct_listing)

/* Random fields: the encoder's bytes are the packer's. */
static void test_encoders(void **state)
{
	uint64_t random = 99;

	(void)state;
#define CHECK_ENCODER(letter, name)                                                                \
	for (int i = 0; i < 2000; i++) {                                                           \
		struct itch50_##name message;                                                      \
		struct raw_pack packed;                                                            \
		uint8_t out[64] = {0};                                                             \
		uint8_t *bytes = (uint8_t *)&message;                                              \
                                                                                                   \
		for (size_t j = 0; j < sizeof(message); j++)                                       \
			bytes[j] = (uint8_t)mdfh_random_next(&random);                             \
		message.timestamp &= TIME_MASK;                                                    \
		pack_##name(&packed, &message);                                                    \
		assert_int_equal(packed.length, raw_length(letter));                               \
		assert_int_equal(itch50_encode_##name(out, &message), packed.length);              \
		assert_memory_equal(out, packed.bytes, packed.length);                             \
	}
	TYPES(CHECK_ENCODER)
}

/* What a day is made of, decoded and packed again. Returns letters that no table has. */
static uint32_t check_message(const uint8_t *bytes, uint32_t length)
{
	struct raw_pack packed = {.length = 0};

	switch (bytes[0]) {
#define CHECK_MESSAGE(letter, name)                                                                \
	case letter: {                                                                             \
		struct itch50_##name message;                                                      \
                                                                                                   \
		itch50_decode_##name(bytes, &message);                                             \
		pack_##name(&packed, &message);                                                    \
		break;                                                                             \
	}
		TYPES(CHECK_MESSAGE)
	default:
		fail_msg("type %c", bytes[0]);
	}
	assert_int_equal(packed.length, length);
	assert_memory_equal(packed.bytes, bytes, length);
	return packed.odd;
}

static void check_day(const char *text, uint64_t messages, uint32_t symbols, const char *missing)
{
	struct mdfh_day_config config = {.seed = 17, .messages = messages, .symbols = symbols};
	struct mdfh_scenario *scenario = NULL;
	struct mdfh_day *day;
	uint8_t bytes[MDFH_DAY_MESSAGE_MAX];
	int length;

	if (text && mdfh_scenario_parse(text, strlen(text), "test", &scenario))
		fail_msg("%s", mdfh_error_text());
	config.scenario = scenario;
	if (mdfh_day_create(&config, &day))
		fail_msg("%s", mdfh_error_text());
	while ((length = mdfh_day_next(day, bytes)) > 0) {
		if (check_message(bytes, (uint32_t)length))
			fail_msg("a %c has a letter that its table has not", bytes[0]);
	}
	assert_int_equal(length, 0);
#define CHECK_COUNT(letter, name)                                                                  \
	if (!mdfh_day_count(day, letter) != !!strchr(missing, letter))                             \
		fail_msg("type %c: %llu messages", letter,                                         \
		    (unsigned long long)mdfh_day_count(day, letter));
	TYPES(CHECK_COUNT)
	mdfh_day_destroy(day);
	mdfh_scenario_free(scenario);
}

/* A usual day has every type but W: no level of the market-wide breaker is breached on it. */
static void test_usual_day(void **state)
{
	(void)state;
	check_day(NULL, 400000, 300, "W");
}

static void test_every_type(void **state)
{
	(void)state;
	check_day("events:\n"
		  "- {at: 09:40, kind: ipo, symbols: ['#50'], until: 10:15}\n"
		  "- {at: 09:40, kind: direct-listing, symbols: ['#51']}\n"
		  "- {at: 10:00, kind: circuit-breaker, level: 1, until: 10:15}\n"
		  "- {at: 11:00, kind: pause, symbols: ['#1'], until: 11:10}\n"
		  "- {at: 11:00, kind: operational-halt, symbols: ['#2']}\n"
		  "- {at: 12:00, kind: broken-trade, count: 3}\n",
	    400000, 300, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_encoders),
	    cmocka_unit_test(test_usual_day),
	    cmocka_unit_test(test_every_type),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
