/* test_instrument.c - the instrument table: rows, symbols, the full table; and event names. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mdfh/error.h"
#include "mdfh/event.h"
#include "mdfh/memory.h"
#include "proto/instrument.h"

static void rows_are_kept(void **state)
{
	struct mdfh_instruments *table;

	(void)state;
	assert_int_equal(mdfh_instruments_create(1000, &table), 0);
	assert_int_equal(mdfh_instruments_count(table), 1);
	assert_int_equal(mdfh_instruments_capacity(table), 1000);
	for (uint32_t i = 1; i <= 1000; i++)
		assert_int_equal(mdfh_instruments_row(table, (uint16_t)(i % 3), i * 977u), i);
	for (uint32_t i = 1; i <= 1000; i++) {
		assert_int_equal(mdfh_instruments_row(table, (uint16_t)(i % 3), i * 977u), i);
		assert_int_equal(mdfh_instruments_find(table, (uint16_t)(i % 3), i * 977u), i);
		assert_int_equal(mdfh_instruments_find(table, (uint16_t)(i % 3 + 3), i * 977u), 0);
		assert_int_equal(mdfh_instruments_get(table, i)->venue_id, i * 977u);
	}
	assert_int_equal(mdfh_instruments_count(table), 1001);
	assert_int_equal(mdfh_instruments_refused(table), 0);
	assert_int_equal(mdfh_instruments_row(table, 9, 1), 0);
	assert_int_equal(mdfh_instruments_row(table, 9, 1), 0);
	assert_int_equal(mdfh_instruments_refused(table), 2);
	mdfh_instruments_destroy(table);
}

static void symbols_are_cut_and_found(void **state)
{
	struct mdfh_instruments *table;
	uint32_t a, b;

	(void)state;
	assert_int_equal(mdfh_instruments_create(4, &table), 0);
	a = mdfh_instruments_row(table, 0, 1);
	b = mdfh_instruments_row(table, 1, 1);
	assert_int_equal(mdfh_instruments_find_symbol(table, "SPY"), 0);
	assert_int_equal(mdfh_instruments_find_symbol(table, ""), 0);
	mdfh_instruments_set_symbol(table, a, "SPY     ", 8);
	mdfh_instruments_set_symbol(table, b, "SPY\0junk", 8);
	assert_string_equal(mdfh_instruments_get(table, a)->symbol, "SPY");
	assert_string_equal(mdfh_instruments_get(table, b)->symbol, "SPY");
	assert_int_equal(mdfh_instruments_find_symbol(table, "SPY"), a);
	assert_int_equal(mdfh_instruments_find_symbol_on(table, 0, "SPY"), a);
	assert_int_equal(mdfh_instruments_find_symbol_on(table, 1, "SPY"), b);
	assert_int_equal(mdfh_instruments_find_symbol_on(table, 2, "SPY"), 0);

	/* A changed symbol leaves nothing behind, however often it changes. */
	for (int i = 0; i < 1000; i++) {
		mdfh_instruments_set_symbol(table, a, i & 1 ? "QQQ" : "IWM", 3);
		assert_int_equal(mdfh_instruments_find_symbol(table, i & 1 ? "QQQ" : "IWM"), a);
		assert_int_equal(mdfh_instruments_find_symbol(table, i & 1 ? "IWM" : "QQQ"), 0);
	}
	assert_int_equal(mdfh_instruments_find_symbol(table, "SPY"), b);
	mdfh_instruments_set_symbol(table, b, "   ", 3);
	assert_int_equal(mdfh_instruments_find_symbol(table, "SPY"), 0);

	mdfh_instruments_set_symbol(table, a, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", 26);
	assert_string_equal(mdfh_instruments_get(table, a)->symbol, "ABCDEFGHIJKLMNOPQRSTUVW");
	mdfh_instruments_destroy(table);
}

static void capacity_is_checked(void **state)
{
	struct mdfh_instruments *table = (void *)state;

	assert_true(mdfh_instruments_create(0, &table) < 0);
	assert_null(table);
	assert_non_null(strstr(mdfh_error_text(), "capacity is 0; it must be from 1 to 16777216"));
	assert_true(mdfh_instruments_create(16777217, &table) < 0);
	mdfh_instruments_destroy(NULL);
}

static void everything_has_a_name(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MDFH_EVENT_KINDS; i++)
		assert_string_not_equal(mdfh_event_kind_name(i), "?");
	assert_string_equal(mdfh_event_kind_name(MDFH_EVENT_KINDS), "?");
	assert_string_equal(mdfh_event_kind_name(MDFH_EVENT_GAP), "gap");
	assert_string_equal(mdfh_side_name(MDFH_SIDE_SELL), "sell");
	assert_string_equal(mdfh_side_name(3), "?");
	assert_string_equal(mdfh_cause_name(MDFH_CAUSE_LATE_JOIN), "late-join");
	assert_string_equal(mdfh_cause_name(12), "?");
	assert_string_equal(mdfh_cause_name(MDFH_CAUSE_INSTRUMENTS_FULL), "instruments-full");
	assert_string_equal(mdfh_status_name(MDFH_STATUS_CIRCUIT_BREAKER), "circuit-breaker");
	assert_string_equal(mdfh_status_name(20), "?");
	for (unsigned i = 0; i <= MDFH_STATISTIC_MARKET_MAKER; i++)
		assert_string_not_equal(mdfh_statistic_name(i), "?");
	assert_string_equal(mdfh_statistic_name(UINT32_MAX), "?");
}

/* What another process could have made of the shared object: refused, or read within bounds. */
static void shared_table(void **state)
{
	struct mdfh_instruments *maker, *reader;
	struct mdfh_region region;
	char name[64];
	uint32_t row;

	(void)state;
	snprintf(name, sizeof(name), "/mdfh-test-instruments-%d", getpid());
	assert_int_equal(mdfh_instruments_attach(name, &reader), -ENOENT);
	assert_int_equal(mdfh_instruments_create_shared(100, name, &maker), 0);
	row = mdfh_instruments_row(maker, 2, 77);
	mdfh_instruments_set_symbol(maker, row, "AAPL    ", 8);
	assert_int_equal(mdfh_instruments_attach(name, &reader), 0);
	assert_int_equal(mdfh_instruments_count(reader), 2);
	assert_int_equal(mdfh_instruments_capacity(reader), 100);
	assert_int_equal(mdfh_instruments_find(reader, 2, 77), row);
	assert_int_equal(mdfh_instruments_find_symbol(reader, "AAPL"), row);
	assert_string_equal(mdfh_instruments_get(reader, row)->symbol, "AAPL");
	/* A row that comes later is seen too. */
	assert_int_equal(mdfh_instruments_row(maker, 2, 78), 2);
	assert_int_equal(mdfh_instruments_find(reader, 2, 78), 2);

	/* Every word behind the sizes spoiled: searches end, and stay inside. */
	assert_int_equal(mdfh_region_attach(name, &region), 0);
	memset((uint8_t *)region.base + 16, 0xff, region.bytes - 16);
	assert_true(mdfh_instruments_count(reader) <= 101);
	assert_int_equal(mdfh_instruments_find(reader, 2, 77), 0);
	assert_int_equal(mdfh_instruments_find_symbol(reader, "AAPL"), 0);
	mdfh_instruments_destroy(reader);
	/* Sizes that lie, and no table at all. */
	memset((uint8_t *)region.base + 8, 0x7f, 4);
	assert_int_equal(mdfh_instruments_attach(name, &reader), -EPROTO);
	memset(region.base, 0, 8);
	assert_int_equal(mdfh_instruments_attach(name, &reader), -EPROTO);
	assert_null(reader);
	mdfh_region_unmap(&region);
	mdfh_instruments_destroy(maker);
	assert_int_equal(mdfh_instruments_attach(name, &reader), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(shared_table),
	    cmocka_unit_test(rows_are_kept),
	    cmocka_unit_test(symbols_are_cut_and_found),
	    cmocka_unit_test(capacity_is_checked),
	    cmocka_unit_test(everything_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
