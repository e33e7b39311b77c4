/* test_reference_book.c - the reference book against scripts whose outcome was worked out by hand.
 *
 * It is the oracle of the other tests, so nothing here is compared with code: every expected
 * value is written down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sim/reference_book.h"

enum { BUY = MDFH_REFBOOK_BUY, SELL = MDFH_REFBOOK_SELL };

static int setup(void **state)
{
	struct mdfh_refbook *book;

	if (mdfh_refbook_create(&book))
		return -1;
	mdfh_refbook_symbol(book, 1, "ALC     ", 8);
	mdfh_refbook_symbol(book, 2, "BOBBYS.W", 8);
	*state = book;
	return 0;
}

static int teardown(void **state)
{
	mdfh_refbook_destroy(*state);
	return 0;
}

static void expect_dump(const struct mdfh_refbook *book, const char *want)
{
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);

	assert_non_null(stream);
	assert_int_equal(mdfh_refbook_write(book, stream), 0);
	assert_int_equal(fclose(stream), 0);
	assert_string_equal(text, want);
	free(text);
}

static void expect_order(
    const struct mdfh_refbook *book, uint64_t id, int64_t price, uint32_t shares, uint32_t position)
{
	struct mdfh_refbook_order order;

	assert_int_equal(mdfh_refbook_order(book, id, &order), 1);
	assert_int_equal(order.price, price);
	assert_int_equal(order.shares, shares);
	assert_int_equal(order.position, position);
}

static void expect_totals(const struct mdfh_refbook *book, uint16_t locate, uint64_t volume,
    uint64_t trades, uint64_t broken)
{
	struct mdfh_refbook_totals totals;

	mdfh_refbook_totals(book, locate, &totals);
	assert_int_equal(totals.volume, volume);
	assert_int_equal(totals.trades, trades);
	assert_int_equal(totals.broken, broken);
}

static void test_queue_and_levels(void **state)
{
	struct mdfh_refbook *book = *state;
	struct mdfh_refbook_level level;
	struct mdfh_refbook_order head;

	assert_int_equal(mdfh_refbook_add(book, 1, 11, BUY, 100, 5000), 0);
	assert_int_equal(mdfh_refbook_add(book, 1, 12, BUY, 200, 5100), 0);
	assert_int_equal(mdfh_refbook_add(book, 1, 13, BUY, 300, 5000), 0);
	assert_int_equal(mdfh_refbook_add(book, 1, 14, BUY, 400, 5000), 0);
	assert_int_equal(mdfh_refbook_add(book, 1, 15, SELL, 10, 5300), 0);
	assert_int_equal(mdfh_refbook_add(book, 1, 16, SELL, 20, 5200), 0);
	assert_int_equal(mdfh_refbook_add(book, 2, 17, SELL, 30, 1), 0);

	assert_int_equal(mdfh_refbook_orders(book), 7);
	assert_int_equal(mdfh_refbook_symbols(book), 2);
	assert_int_equal(mdfh_refbook_levels(book, 1, BUY), 2);
	assert_int_equal(mdfh_refbook_level(book, 1, BUY, 0, &level), 1);
	assert_int_equal(level.price, 5100);
	assert_int_equal(level.shares, 200);
	assert_int_equal(mdfh_refbook_level(book, 1, BUY, 1, &level), 1);
	assert_int_equal(level.price, 5000);
	assert_int_equal(level.shares, 800);
	assert_int_equal(level.orders, 3);
	assert_int_equal(mdfh_refbook_level(book, 1, BUY, 2, &level), 0);
	assert_int_equal(mdfh_refbook_level(book, 1, SELL, 0, &level), 1);
	assert_int_equal(level.price, 5200);
	assert_int_equal(mdfh_refbook_head(book, 1, BUY, &head), 1);
	assert_int_equal(head.order_id, 12);
	assert_int_equal(mdfh_refbook_head(book, 2, BUY, &head), 0);
	expect_order(book, 14, 5000, 400, 2);

	/* From the middle of a queue: those behind move up. */
	assert_int_equal(mdfh_refbook_delete(book, 13), 0);
	expect_order(book, 14, 5000, 400, 1);
	/* The last order of a level takes the level with it. */
	assert_int_equal(mdfh_refbook_delete(book, 12), 0);
	assert_int_equal(mdfh_refbook_levels(book, 1, BUY), 1);
	assert_int_equal(mdfh_refbook_head(book, 1, BUY, &head), 1);
	assert_int_equal(head.order_id, 11);
	expect_dump(book, "ALC\tB\t5000\t0\t11\t100\n"
			  "ALC\tB\t5000\t1\t14\t400\n"
			  "ALC\tS\t5200\t0\t16\t20\n"
			  "ALC\tS\t5300\t0\t15\t10\n"
			  "BOBBYS.W\tS\t1\t0\t17\t30\n");
}

static void test_executions_and_volume(void **state)
{
	struct mdfh_refbook *book = *state;

	assert_int_equal(mdfh_refbook_add(book, 1, 11, BUY, 100, 5000), 0);
	assert_int_equal(mdfh_refbook_add(book, 1, 12, BUY, 200, 5000), 0);
	assert_int_equal(mdfh_refbook_execute(book, 11, 40, 901, 1), 0);
	expect_order(book, 11, 5000, 60, 0); /* priority kept */
	expect_totals(book, 1, 40, 1, 0);
	assert_int_equal(mdfh_refbook_execute(book, 11, 50, 902, 0), 0); /* not printable */
	expect_order(book, 11, 5000, 10, 0);
	expect_totals(book, 1, 40, 1, 0);
	assert_int_equal(mdfh_refbook_execute(book, 11, 10, 903, 1), 0); /* to zero: gone */
	expect_order(book, 12, 5000, 200, 0);
	expect_totals(book, 1, 50, 2, 0);
	assert_int_equal(mdfh_refbook_trade(book, 1, 500, 904), 0);
	assert_int_equal(mdfh_refbook_trade(book, 2, 7, 905), 0);
	assert_int_equal(mdfh_refbook_trade(book, 2, 0, 906), 0); /* a cross with no shares */
	expect_totals(book, 1, 550, 3, 0);
	expect_totals(book, 2, 7, 1, 0);

	/* A break takes its shares back, once; the book does not change. */
	assert_int_equal(mdfh_refbook_break(book, 901), 0);
	expect_totals(book, 1, 510, 2, 1);
	assert_int_equal(mdfh_refbook_break(book, 901), 1);
	assert_int_equal(mdfh_refbook_break(book, 902), 1); /* was no print */
	assert_int_equal(mdfh_refbook_break(book, 999), 1);
	assert_int_equal(mdfh_refbook_errors(book, MDFH_REFBOOK_UNKNOWN_TRADE), 3);
	expect_totals(book, 1, 510, 2, 1);
	assert_int_equal(mdfh_refbook_orders(book), 1);
}

static void test_cancels_and_replaces(void **state)
{
	struct mdfh_refbook *book = *state;
	struct mdfh_refbook_order order;

	assert_int_equal(mdfh_refbook_add(book, 1, 21, SELL, 100, 7000), 0);
	assert_int_equal(mdfh_refbook_add(book, 1, 22, SELL, 100, 7000), 0);
	assert_int_equal(mdfh_refbook_reduce(book, 21, 30), 0);
	expect_order(book, 21, 7000, 70, 0); /* priority kept */
	assert_int_equal(mdfh_refbook_replace(book, 21, 23, 500, 7000), 0);
	assert_int_equal(mdfh_refbook_order(book, 21, &order), 0);
	expect_order(book, 22, 7000, 100, 0);
	expect_order(book, 23, 7000, 500, 1); /* priority lost, side inherited */
	assert_int_equal(mdfh_refbook_replace(book, 23, 24, 50, 6900), 0); /* replaced again */
	expect_order(book, 24, 6900, 50, 0);
	assert_int_equal(mdfh_refbook_order(book, 24, &order), 1);
	assert_int_equal(order.side, SELL);
	assert_int_equal(order.locate, 1);
	assert_int_equal(mdfh_refbook_reduce(book, 24, 50), 0); /* to zero: gone */
	assert_int_equal(mdfh_refbook_order(book, 24, &order), 0);
	assert_int_equal(mdfh_refbook_levels(book, 1, SELL), 1);
}

static void test_what_cannot_be(void **state)
{
	struct mdfh_refbook *book = *state;
	struct mdfh_refbook_order order;

	assert_int_equal(mdfh_refbook_add(book, 1, 31, BUY, 100, 100), 0);
	assert_int_equal(mdfh_refbook_add(book, 2, 31, SELL, 5, 200), 1);
	assert_int_equal(mdfh_refbook_errors(book, MDFH_REFBOOK_DUPLICATE_ORDER), 1);
	expect_order(book, 31, 100, 100, 0);
	assert_int_equal(mdfh_refbook_add(book, 1, 32, BUY, 0, 100), 1);
	assert_int_equal(mdfh_refbook_errors(book, MDFH_REFBOOK_ZERO_SHARES), 1);
	assert_int_equal(mdfh_refbook_add(book, 1, 32, 0, 1, 100), 1);
	assert_int_equal(mdfh_refbook_errors(book, MDFH_REFBOOK_BAD_SIDE), 1);

	assert_int_equal(mdfh_refbook_execute(book, 99, 1, 1, 1), 1);
	assert_int_equal(mdfh_refbook_reduce(book, 99, 1), 1);
	assert_int_equal(mdfh_refbook_delete(book, 99), 1);
	assert_int_equal(mdfh_refbook_replace(book, 99, 100, 1, 1), 1);
	assert_int_equal(mdfh_refbook_errors(book, MDFH_REFBOOK_UNKNOWN_ORDER), 4);
	assert_int_equal(mdfh_refbook_order(book, 100, &order), 0);
	expect_totals(book, 1, 0, 0, 0);

	assert_int_equal(mdfh_refbook_execute(book, 31, 101, 2, 1), 1);
	assert_int_equal(mdfh_refbook_errors(book, MDFH_REFBOOK_OVER_EXECUTION), 1);
	assert_int_equal(mdfh_refbook_orders(book), 0);
	expect_totals(book, 1, 101, 1, 0);

	assert_int_equal(mdfh_refbook_add(book, 1, 33, BUY, 10, 100), 0);
	assert_int_equal(mdfh_refbook_reduce(book, 33, 11), 1);
	assert_int_equal(mdfh_refbook_errors(book, MDFH_REFBOOK_OVER_REDUCTION), 1);
	assert_int_equal(mdfh_refbook_orders(book), 0);

	/* A replace onto an order that lives, and one to no shares: the old order is gone. */
	assert_int_equal(mdfh_refbook_add(book, 1, 34, BUY, 10, 100), 0);
	assert_int_equal(mdfh_refbook_add(book, 1, 35, BUY, 20, 100), 0);
	assert_int_equal(mdfh_refbook_replace(book, 34, 35, 30, 100), 1);
	assert_int_equal(mdfh_refbook_errors(book, MDFH_REFBOOK_DUPLICATE_ORDER), 2);
	assert_int_equal(mdfh_refbook_replace(book, 35, 36, 0, 100), 1);
	assert_int_equal(mdfh_refbook_orders(book), 0);
	expect_dump(book, "");
}

static void test_checksum(void **state)
{
	struct mdfh_refbook *book = *state;
	struct mdfh_refbook *other;
	uint64_t sum;

	assert_int_equal(mdfh_refbook_checksum(book), 0);
	/* One order: symbol "A", buy, price 10000, position 0, id 1, 100 shares; the number was
	 * worked out apart from this code. */
	mdfh_refbook_symbol(book, 3, "A       ", 8);
	assert_int_equal(mdfh_refbook_add(book, 3, 1, BUY, 100, 10000), 0);
	assert_true(mdfh_refbook_checksum(book) == 0xe70aacef5873eb4bu);
	assert_int_equal(mdfh_refbook_delete(book, 1), 0);

	/* The same orders under other locate codes and in another order between symbols. */
	assert_int_equal(mdfh_refbook_add(book, 1, 41, BUY, 1, 10), 0);
	assert_int_equal(mdfh_refbook_add(book, 1, 42, BUY, 2, 10), 0);
	assert_int_equal(mdfh_refbook_add(book, 2, 43, SELL, 3, 10), 0);
	sum = mdfh_refbook_checksum(book);
	assert_int_equal(mdfh_refbook_create(&other), 0);
	mdfh_refbook_symbol(other, 900, "ALC", 3);
	mdfh_refbook_symbol(other, 7, "BOBBYS.W", 8);
	assert_int_equal(mdfh_refbook_add(other, 7, 43, SELL, 3, 10), 0);
	assert_int_equal(mdfh_refbook_add(other, 900, 41, BUY, 1, 10), 0);
	assert_int_equal(mdfh_refbook_add(other, 900, 42, BUY, 2, 10), 0);
	assert_true(mdfh_refbook_checksum(other) == sum);

	/* Two orders of one queue change places. */
	assert_int_equal(mdfh_refbook_delete(other, 41), 0);
	assert_int_equal(mdfh_refbook_add(other, 900, 41, BUY, 1, 10), 0);
	assert_true(mdfh_refbook_checksum(other) != sum);
	mdfh_refbook_destroy(other);
}

/* Many orders, so that arrays and maps grow and holes in the map close: half of them go again,
 * and what is left is counted and found. */
static void test_growth(void **state)
{
	struct mdfh_refbook *book = *state;
	struct mdfh_refbook_order order;
	enum { N = 50000 };

	for (uint64_t i = 1; i <= N; i++)
		assert_int_equal(
		    mdfh_refbook_add(book, 1, i * 4096, BUY, (uint32_t)i, (int64_t)(i % 700)), 0);
	for (uint64_t i = 1; i <= N; i += 2)
		assert_int_equal(mdfh_refbook_delete(book, i * 4096), 0);
	assert_int_equal(mdfh_refbook_orders(book), N / 2);
	for (uint64_t i = 1; i <= N; i++) {
		assert_int_equal(mdfh_refbook_find(book, i * 4096, &order), i % 2 == 0);
		if (i % 2 == 0)
			assert_int_equal(order.shares, i);
	}
	/* 700 prices, the odd ones empty; the last order of price 698 is the 72nd left there. */
	assert_int_equal(mdfh_refbook_levels(book, 1, BUY), 350);
	expect_order(book, 698 * 4096ULL, 698, 698, 0);
	expect_order(book, (698 + 700 * 70) * 4096ULL, 698, 698 + 700 * 70, 70);
}

static void test_file(void **state)
{
	struct mdfh_refbook *book = *state;
	char directory[] = "/tmp/mdfh-refbook-XXXXXX";
	char path[64];
	char part[80];
	char text[64] = "";
	FILE *stream;

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/books.tsv", directory);
	snprintf(part, sizeof(part), "%s.part", path);
	assert_int_equal(mdfh_refbook_add(book, 9, 1, SELL, 2, 3), 0); /* never named */
	assert_int_equal(mdfh_refbook_write_file(book, path), 0);
	assert_int_equal(access(part, F_OK), -1);
	stream = fopen(path, "r");
	assert_non_null(stream);
	assert_non_null(fgets(text, sizeof(text), stream));
	assert_string_equal(text, "#9\tS\t3\t0\t1\t2\n");
	fclose(stream);
	unlink(path);
	rmdir(directory);
	assert_true(mdfh_refbook_write_file(book, path) < 0); /* its folder is gone */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_queue_and_levels, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_executions_and_volume, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_cancels_and_replaces, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_what_cannot_be, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_checksum, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_growth, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_file, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
