/* test_itch50.c - ITCH 5.0 messages against bytes written by hand from the specification.
 *
 * Each case is the message as text in hexadecimal, one token a field; it must encode to that
 * from a plain structure, and decode from it to the same structure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocols/itch50.h"

/* Spaces are for the reader. */
static uint32_t from_hex(const char *text, uint8_t *out, uint32_t size)
{
	uint32_t length = 0;

	while (*text) {
		char digits[3] = {text[0], text[1], 0};

		if (*text == ' ') {
			text++;
			continue;
		}
		assert_true(length < size);
		out[length++] = (uint8_t)strtoul(digits, NULL, 16);
		text += 2;
	}
	return length;
}

/* Locate 0x1598 = 5528, tracking 2, 34199999894278 ns = 0x1f1aced85306 after midnight. */
#define HEAD        " 1598 0002 1f1aced85306 "
#define HEAD_FIELDS .locate = 5528, .tracking = 2, .timestamp = 34199999894278

#define CHECK(NAME, HEX, ...)                                                                      \
	do {                                                                                       \
		struct itch50_##NAME in = {HEAD_FIELDS, __VA_ARGS__};                              \
		struct itch50_##NAME back = {0};                                                   \
		uint8_t want[64], have[64];                                                        \
		uint32_t length = from_hex(HEX, want, sizeof(want));                               \
                                                                                                   \
		memset(have, 0xee, sizeof(have));                                                  \
		assert_int_equal(itch50_encode_##NAME(have, &in), length);                         \
		assert_memory_equal(have, want, length);                                           \
		assert_int_equal(have[length], 0xee);                                              \
		itch50_decode_##NAME(want, &back);                                                 \
		memset(have, 0, sizeof(have));                                                     \
		itch50_encode_##NAME(have, &back);                                                 \
		assert_memory_equal(have, want, length);                                           \
		assert_int_equal(back.timestamp, in.timestamp);                                    \
	} while (0)

static void golden_messages(void **state)
{
	(void)state;
	CHECK(system_event, "53" HEAD "4f", .event_code = 'O');
	CHECK(stock_directory,
	    "52" HEAD "4956 4f4f 2020 2020 50 20 00000064 4e 51 4920 50 4e 20 32 59 00000003 59",
	    .stock = "IVOO    ", .market_category = 'P', .financial_status = ' ',
	    .round_lot_size = 100, .round_lots_only = 'N', .issue_classification = 'Q',
	    .issue_sub_type = "I ", .authenticity = 'P', .short_sale_threshold = 'N',
	    .ipo_flag = ' ', .luld_tier = '2', .etp_flag = 'Y', .etp_leverage_factor = 3,
	    .inverse_indicator = 'Y');
	CHECK(stock_trading_action, "48" HEAD "4956 4f4f 2020 2020 48 20 54312020",
	    .stock = "IVOO    ", .trading_state = 'H', .reserved = ' ', .reason = "T1  ");
	CHECK(reg_sho_restriction, "59" HEAD "4956 4f4f 2020 2020 31", .stock = "IVOO    ",
	    .reg_sho_action = '1');
	CHECK(market_participant_position, "4c" HEAD "56495254 4956 4f4f 2020 2020 59 4e 41",
	    .mpid = "VIRT", .stock = "IVOO    ", .primary_market_maker = 'Y',
	    .market_maker_mode = 'N', .participant_state = 'A');
	CHECK(mwcb_decline_level, "56" HEAD "0000006518af0a00 0000005e0c2f8d10 0000000000000001",
	    .level_1 = 0x6518af0a00, .level_2 = 0x5e0c2f8d10, .level_3 = 1);
	CHECK(mwcb_status, "57" HEAD "33", .breached_level = '3');
	CHECK(ipo_quoting_period, "4b" HEAD "4956 4f4f 2020 2020 00008ca0 41 00030d40",
	    .stock = "IVOO    ", .quotation_release_time = 36000, .release_qualifier = 'A',
	    .ipo_price = 200000);
	CHECK(luld_auction_collar,
	    "4a" HEAD "4956 4f4f 2020 2020 000186a0 0001adb0 00015f90 00000002",
	    .stock = "IVOO    ", .collar_reference_price = 100000, .upper_collar_price = 110000,
	    .lower_collar_price = 90000, .collar_extension = 2);
	CHECK(operational_halt, "68" HEAD "4956 4f4f 2020 2020 51 54", .stock = "IVOO    ",
	    .market_code = 'Q', .halt_action = 'T');
	CHECK(add_order, "41" HEAD "000000000166b53e 42 00000640 4956 4f4f 2020 2020 000d559c",
	    .order_ref = 23508286, .side = 'B', .shares = 1600, .stock = "IVOO    ",
	    .price = 873884);
	CHECK(add_order_mpid,
	    "46" HEAD "000000000166b53e 53 00000064 4956 4f4f 2020 2020 000d559c 56495254",
	    .order_ref = 23508286, .side = 'S', .shares = 100, .stock = "IVOO    ", .price = 873884,
	    .attribution = "VIRT");
	CHECK(order_executed, "45" HEAD "000000000166b53e 00000019 000000000003e63b",
	    .order_ref = 23508286, .executed_shares = 25, .match_number = 255547);
	CHECK(order_executed_price,
	    "43" HEAD "000000000166b53e 00000019 000000000003e63b 4e 0000cea4",
	    .order_ref = 23508286, .executed_shares = 25, .match_number = 255547, .printable = 'N',
	    .execution_price = 52900);
	CHECK(order_cancel, "58" HEAD "000000000166b53e 000003e8", .order_ref = 23508286,
	    .canceled_shares = 1000);
	CHECK(order_delete, "44" HEAD "8000000000000001", .order_ref = 0x8000000000000001);
	CHECK(order_replace, "55" HEAD "000000000166b53e 000000000166b53f ffffffff 77359400",
	    .original_order_ref = 23508286, .new_order_ref = 23508287, .shares = UINT32_MAX,
	    .price = 2000000000);
	CHECK(trade,
	    "50" HEAD "0000000000000000 42 00000001 4956 4f4f 2020 2020 00149ee8 0000000000006bf8",
	    .order_ref = 0, .side = 'B', .shares = 1, .stock = "IVOO    ", .price = 1351400,
	    .match_number = 27640);
	CHECK(cross_trade,
	    "51" HEAD "0000000100000000 4956 4f4f 2020 2020 00149ee8 0000000000006bf8 4f",
	    .shares = 1ull << 32, .stock = "IVOO    ", .cross_price = 1351400,
	    .match_number = 27640, .cross_type = 'O');
	CHECK(broken_trade, "42" HEAD "0000000000006bf8", .match_number = 27640);
	CHECK(noii,
	    "49" HEAD "0000000000000064 00000000000000c8 42 4956 4f4f 2020 2020 00000001 "
	    "00000002 00000003 43 4c",
	    .paired_shares = 100, .imbalance_shares = 200, .imbalance_direction = 'B',
	    .stock = "IVOO    ", .far_price = 1, .near_price = 2, .reference_price = 3,
	    .cross_type = 'C', .price_variation = 'L');
	CHECK(rpii, "4e" HEAD "4956 4f4f 2020 2020 41", .stock = "IVOO    ", .interest_flag = 'A');
	CHECK(direct_listing,
	    "4f" HEAD "4956 4f4f 2020 2020 59 00000001 00000002 00000003 00001f1aced85306 "
	    "00000004 00000005",
	    .stock = "IVOO    ", .open_eligibility = 'Y', .minimum_price = 1, .maximum_price = 2,
	    .near_execution_price = 3, .near_execution_time = 34199999894278, .lower_collar = 4,
	    .upper_collar = 5);
}

/* The accessors read the same bytes without a structure. */
static void accessors_read_wire_bytes(void **state)
{
	uint8_t m[ITCH50_ADD_ORDER_MPID_LENGTH];

	(void)state;
	assert_int_equal(from_hex("46" HEAD "000000000166b53e 53 00000064 4956 4f4f 2020 2020 "
				  "000d559c 56495254",
			     m, sizeof(m)),
	    sizeof(m));
	assert_int_equal(itch50_type(m), ITCH50_ADD_ORDER_MPID);
	assert_int_equal(itch50_locate(m), 5528);
	assert_int_equal(itch50_tracking(m), 2);
	assert_int_equal(itch50_timestamp(m), 34199999894278);
	assert_int_equal(itch50_add_order_mpid_order_ref(m), 23508286);
	assert_int_equal(itch50_add_order_mpid_side(m), ITCH50_SIDE_SELL);
	assert_int_equal(itch50_add_order_mpid_shares(m), 100);
	assert_memory_equal(itch50_add_order_mpid_stock(m), "IVOO    ", 8);
	assert_int_equal(itch50_add_order_mpid_price(m), 873884);
	assert_memory_equal(itch50_add_order_mpid_attribution(m), "VIRT", 4);
}

/* The table of lengths in the specification, typed in again. */
static void lengths(void **state)
{
	static const struct {
		char type;
		uint16_t length;
	} table[] = {
	    {'S', 12},
	    {'R', 39},
	    {'H', 25},
	    {'Y', 20},
	    {'L', 26},
	    {'V', 35},
	    {'W', 12},
	    {'K', 28},
	    {'J', 35},
	    {'h', 21},
	    {'A', 36},
	    {'F', 40},
	    {'E', 31},
	    {'C', 36},
	    {'X', 23},
	    {'D', 19},
	    {'U', 35},
	    {'P', 44},
	    {'Q', 40},
	    {'B', 19},
	    {'I', 50},
	    {'N', 20},
	    {'O', 48},
	};
	const struct mdfh_schema *schema = mdfh_schema_find("itch50");

	(void)state;
	assert_ptr_equal(schema, &mdfh_schema_itch50);
	assert_int_equal(schema->message_count, sizeof(table) / sizeof(table[0]));
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const struct mdfh_message *message =
		    mdfh_schema_message(schema, (uint8_t)table[i].type);

		assert_non_null(message);
		assert_int_equal(message->type, table[i].type);
		assert_int_equal(message->length, table[i].length);
		assert_int_equal(message->min_length, table[i].length);
	}
	assert_null(mdfh_schema_message(schema, 'Z'));
	assert_null(mdfh_schema_message(schema, 0));
	assert_null(mdfh_schema_message(schema, 255));
	assert_null(mdfh_schema_message(schema, UINT32_MAX));
}

/* The lines that docs/schemas.md shows. */
static void documented(void **state)
{
	const uint64_t ns = 34200000000000;

	(void)state;
	/* clang-format off */
	struct itch50_add_order add = {.locate = 7, .timestamp = ns, .order_ref = 1,
	    .side = ITCH50_SIDE_BUY, .shares = 100, .stock = "IVOO    ", .price = 873900};
	uint8_t message[ITCH50_ADD_ORDER_LENGTH];

	itch50_encode_add_order(message, &add);
	assert_int_equal(itch50_add_order_price(message), 873900);
	/* clang-format on */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(golden_messages),
	    cmocka_unit_test(accessors_read_wire_bytes),
	    cmocka_unit_test(lengths),
	    cmocka_unit_test(documented),
	};

	return cmocka_run_group_tests_name("itch50", tests, NULL, NULL);
}
