/* test_book.c - the rules of books one by one, and the flags and values of the events. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mdfh/book.h"
#include "mdfh/error.h"
#include "proto/op.h"

enum { BUY = MDFH_SIDE_BUY, SELL = MDFH_SIDE_SELL, SCALE = 100000 };
enum { WHOLE = MDFH_EVENT_LAST_PART | MDFH_EVENT_LAST };

struct fixture {
	struct mdfh_instruments *table;
	struct mdfh_books *books;
	struct mdfh_event events[16];
	int made;
};

static int set_up(void **state)
{
	static struct fixture f;
	static const struct mdfh_origin origin = {.receive_ns = 5, .channel = 7, .epoch = 2};
	struct mdfh_books_config config = {
	    .size = sizeof(config), .orders_max = 100, .levels_max = 50, .trades_max = 2};

	memset(&f, 0, sizeof(f));
	assert_int_equal(mdfh_instruments_create(3, &f.table), 0);
	for (uint32_t i = 1; i <= 2; i++)
		mdfh_instruments_at(f.table, mdfh_instruments_row(f.table, 7, i))->price_scale =
		    SCALE;
	mdfh_instruments_row(f.table, 7, 3); /* never gets a scale */
	config.instruments = f.table;
	assert_int_equal(mdfh_books_create(&config, &f.books), 0);
	mdfh_books_origins(f.books, &origin);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	mdfh_books_destroy(f->books);
	mdfh_instruments_destroy(f->table);
	return 0;
}

static void apply(struct fixture *f, struct mdfh_op op)
{
	int done;

	op.sequence = 9;
	op.exchange_ns = 11;
	f->made = mdfh_book_apply(f->books, &op, 1, f->events, 16, &done);
	assert_int_equal(done, 1);
}

static void add(struct fixture *f, uint64_t id, unsigned side, int64_t price, uint32_t quantity)
{
	apply(f, (struct mdfh_op){.kind = MDFH_OP_ADD,
		     .instrument = 1,
		     .order_id = id,
		     .side = (uint8_t)side,
		     .price = price,
		     .quantity64 = quantity});
}

static void start_day(struct fixture *f)
{
	apply(f, (struct mdfh_op){.kind = MDFH_OP_DAY_BEGIN});
	assert_int_equal(f->made, 0);
}

static uint64_t errors(const struct fixture *f, enum mdfh_book_error kind)
{
	return mdfh_books_stats(f->books)->errors[kind];
}

static uint64_t volume(const struct fixture *f)
{
	struct mdfh_totals totals;

	assert_int_equal(mdfh_book_totals(f->books, 1, &totals), 1);
	return totals.volume;
}

static void an_add_says_what_it_did(void **state)
{
	struct fixture *f = *state;
	const struct mdfh_event *e = f->events;
	struct mdfh_order order;

	start_day(f);
	add(f, 1, BUY, 10000, 100);
	assert_int_equal(f->made, 1);
	assert_int_equal(e->kind, MDFH_EVENT_ORDER_ADD);
	assert_int_equal(e->flags, WHOLE | MDFH_EVENT_TOP);
	assert_int_equal(e->level, 1);
	assert_int_equal(e->side, BUY);
	assert_int_equal(e->sequence, 9);
	assert_int_equal(e->exchange_ns, 11);
	assert_int_equal(e->receive_ns, 5);
	assert_int_equal(e->channel, 7);
	assert_int_equal(e->epoch, 2);
	assert_int_equal(e->instrument, 1);
	assert_int_equal(e->part, 0);
	assert_int_equal(e->order.price, 1000000000);
	assert_int_equal(e->order.order_id, 1);
	assert_int_equal(e->order.quantity, 100);
	assert_int_equal(e->order.remaining, 100);
	add(f, 2, BUY, 9900, 100);
	assert_int_equal(e->flags, WHOLE);
	assert_int_equal(e->level, 0);
	add(f, 3, SELL, 10000, 1);
	assert_int_equal(e->flags, WHOLE | MDFH_EVENT_TOP | MDFH_EVENT_CROSSED);
	assert_int_equal(errors(f, MDFH_BOOK_CROSSED), 1);
	add(f, 4, BUY, 10000, 7);
	assert_int_equal(mdfh_book_order(f->books, 7, 4, &order), 1);
	assert_int_equal(order.position, 1);
	assert_int_equal(order.price, 1000000000);
	assert_int_equal(mdfh_book_order(f->books, 6, 4, &order), 0);
}

static void executions_make_two_events(void **state)
{
	struct fixture *f = *state;
	struct mdfh_op op = {.kind = MDFH_OP_EXECUTE, .instrument = 1, .order_id = 1};

	start_day(f);
	add(f, 1, BUY, 10000, 100);
	add(f, 2, BUY, 10000, 100);
	op.quantity64 = 40;
	op.match_id = 77;
	apply(f, op);
	assert_int_equal(f->made, 2);
	assert_int_equal(f->events[0].kind, MDFH_EVENT_ORDER_EXECUTE);
	assert_int_equal(f->events[0].flags, MDFH_EVENT_TOP);
	assert_int_equal(f->events[0].order.quantity, 40);
	assert_int_equal(f->events[0].order.remaining, 60);
	assert_int_equal(f->events[1].kind, MDFH_EVENT_TRADE);
	assert_int_equal(f->events[1].part, 1);
	assert_int_equal(f->events[1].flags, WHOLE);
	assert_int_equal(f->events[1].side, SELL);
	assert_int_equal(f->events[1].trade.price, 1000000000);
	assert_int_equal(f->events[1].trade.match_id, 77);
	assert_int_equal(f->events[1].trade.quantity, 40);
	assert_int_equal(volume(f), 40);
	assert_int_equal(errors(f, MDFH_BOOK_NOT_AT_HEAD), 0);

	/* Behind another order: counted; off its price or not printed: not. */
	op.order_id = 2;
	op.quantity64 = 10;
	apply(f, op);
	assert_int_equal(errors(f, MDFH_BOOK_NOT_AT_HEAD), 1);
	op.flags = MDFH_OP_PRICED | MDFH_OP_NOT_PRINTED;
	op.price = 10050;
	apply(f, op);
	assert_int_equal(errors(f, MDFH_BOOK_NOT_AT_HEAD), 1);
	assert_int_equal(f->events[0].order.price, 1000000000);
	assert_true(f->events[0].flags & MDFH_EVENT_OTHER_PRICE);
	assert_int_equal(f->events[1].trade.price, 1005000000);
	assert_true(f->events[1].flags & MDFH_EVENT_NOT_PRINTED);
	assert_int_equal(volume(f), 50);

	/* More than there is: the order goes, the print stands as the venue made it. */
	op.flags = 0;
	op.order_id = 1;
	op.quantity64 = 500;
	apply(f, op);
	assert_int_equal(errors(f, MDFH_BOOK_OVER_EXECUTION), 1);
	assert_int_equal(f->made, 3);
	assert_int_equal(f->events[0].order.quantity, 60);
	assert_int_equal(f->events[1].trade.quantity, 500);
	assert_int_equal(f->events[2].kind, MDFH_EVENT_STALE);
	assert_true(f->events[2].flags & MDFH_EVENT_LAST);
	assert_int_equal(volume(f), 550);
	assert_int_equal(mdfh_books_stats(f->books)->orders, 1);
}

static void a_replace_is_delete_and_add(void **state)
{
	struct fixture *f = *state;
	struct mdfh_op op = {.kind = MDFH_OP_REPLACE,
	    .instrument = 1,
	    .order_id = 1,
	    .new_order_id = 2,
	    .price = 10100,
	    .quantity64 = 5};

	start_day(f);
	add(f, 1, SELL, 10000, 100);
	add(f, 9, SELL, 10000, 100);
	apply(f, op);
	assert_int_equal(f->made, 2);
	assert_int_equal(f->events[0].kind, MDFH_EVENT_ORDER_DELETE);
	assert_int_equal(f->events[0].flags, MDFH_EVENT_REPLACE | MDFH_EVENT_TOP);
	assert_int_equal(f->events[0].order.quantity, 100);
	assert_int_equal(f->events[1].kind, MDFH_EVENT_ORDER_ADD);
	assert_int_equal(f->events[1].flags, MDFH_EVENT_REPLACE | WHOLE);
	assert_int_equal(f->events[1].order.order_id, 2);
	/* The first id means nothing any more. */
	op.new_order_id = 3;
	apply(f, op);
	assert_int_equal(errors(f, MDFH_BOOK_UNKNOWN_ORDER), 1);
	/* Onto an order that lives: the old one goes all the same. */
	op.order_id = 2;
	op.new_order_id = 9;
	apply(f, op);
	assert_int_equal(errors(f, MDFH_BOOK_DUPLICATE_ORDER), 1);
	assert_int_equal(mdfh_books_stats(f->books)->orders, 1);
}

static void breaks_take_volume_back(void **state)
{
	struct fixture *f = *state;
	struct mdfh_op op = {.kind = MDFH_OP_TRADE, .instrument = 1, .price = 10000};

	start_day(f);
	for (uint64_t i = 1; i <= 3; i++) {
		op.match_id = i;
		op.quantity64 = 10 * i;
		apply(f, op);
	}
	assert_int_equal(volume(f), 60);
	op.kind = MDFH_OP_BREAK;
	apply(f, op);
	assert_int_equal(volume(f), 30);
	assert_int_equal(f->events[0].kind, MDFH_EVENT_TRADE_BREAK);
	assert_int_equal(f->events[0].trade.quantity, 30);
	apply(f, op); /* once only */
	op.match_id = 1;
	apply(f, op); /* two are kept: the first is forgotten */
	assert_int_equal(errors(f, MDFH_BOOK_UNKNOWN_TRADE), 2);
	op.match_id = 2;
	apply(f, op);
	assert_int_equal(volume(f), 10);
	/* No cross happened: nothing to count. */
	op.kind = MDFH_OP_CROSS;
	op.quantity64 = 0;
	apply(f, op);
	assert_int_equal(f->events[0].kind, MDFH_EVENT_CROSS);
	assert_int_equal(volume(f), 10);
}

static void gaps_make_books_unsound(void **state)
{
	struct fixture *f = *state;
	struct mdfh_op gap = {
	    .kind = MDFH_OP_GAP, .order_id = 20, .quantity64 = 3, .code = MDFH_CAUSE_SOCKET};

	assert_int_equal(mdfh_book_is_sound(f->books, 1), 0);
	add(f, 1, BUY, 10000, 100);
	assert_true(f->events[0].flags & MDFH_EVENT_UNSOUND);
	start_day(f);
	assert_int_equal(mdfh_book_is_sound(f->books, 1), 1);
	apply(f, gap);
	assert_int_equal(f->events[0].kind, MDFH_EVENT_GAP);
	assert_int_equal(f->events[0].gap.first, 20);
	assert_int_equal(f->events[0].gap.count, 3);
	assert_int_equal(f->events[0].gap.cause, MDFH_CAUSE_SOCKET);
	assert_int_equal(mdfh_book_is_sound(f->books, 1), 0);
	add(f, 2, BUY, 10000, 100);
	assert_true(f->events[0].flags & MDFH_EVENT_UNSOUND);
	gap.kind = MDFH_OP_RECOVERED;
	apply(f, gap);
	assert_int_equal(f->events[0].kind, MDFH_EVENT_RECOVERED);
	assert_int_equal(mdfh_book_is_sound(f->books, 1), 1);

	/* What was refused leaves its own book unsound, and says so once. */
	apply(f, (struct mdfh_op){.kind = MDFH_OP_DELETE, .instrument = 1, .order_id = 99});
	assert_int_equal(f->made, 1);
	assert_int_equal(f->events[0].kind, MDFH_EVENT_STALE);
	apply(f, (struct mdfh_op){.kind = MDFH_OP_DELETE, .instrument = 1, .order_id = 99});
	assert_int_equal(f->made, 0);
	assert_int_equal(mdfh_book_is_sound(f->books, 1), 0);
	assert_int_equal(mdfh_book_is_sound(f->books, 2), 1);

	/* The end of the day leaves the books; the next day's begin takes them. */
	apply(f, (struct mdfh_op){.kind = MDFH_OP_END_OF_DAY});
	assert_int_equal(mdfh_books_stats(f->books)->orders, 2);
	apply(f, (struct mdfh_op){.kind = MDFH_OP_DAY_BEGIN});
	assert_int_equal(f->events[0].kind, MDFH_EVENT_CLEAR);
	assert_int_equal(mdfh_books_stats(f->books)->orders, 0);
	assert_int_equal(mdfh_books_stats(f->books)->levels, 0);
	assert_int_equal(mdfh_book_is_sound(f->books, 1), 1);
	apply(f, (struct mdfh_op){.kind = MDFH_OP_SESSION_BEGIN});
	assert_int_equal(f->events[0].kind, MDFH_EVENT_SESSION_BEGIN);
	assert_int_equal(mdfh_book_is_sound(f->books, 1), 0);
}

static void quotes_replace_the_top(void **state)
{
	struct fixture *f = *state;
	struct mdfh_level level;
	struct mdfh_op op = {.kind = MDFH_OP_QUOTE,
	    .instrument = 2,
	    .price = 100,
	    .quantity64 = 5,
	    .price2 = 102,
	    .quantity2 = 6};

	apply(f, op);
	op.price = 99;
	op.price2 = 102;
	op.quantity2 = 8;
	apply(f, op);
	assert_int_equal(f->events[0].kind, MDFH_EVENT_QUOTE);
	assert_int_equal(f->events[0].quote.bid, 99 * SCALE);
	assert_int_equal(f->events[0].quote.ask_quantity, 8);
	assert_int_equal(mdfh_book_level_count(f->books, 2, BUY), 1);
	assert_int_equal(mdfh_book_best(f->books, 2, BUY, &level), 1);
	assert_int_equal(level.venue_price, 99);
	assert_int_equal(mdfh_book_best(f->books, 2, SELL, &level), 1);
	assert_int_equal(level.quantity, 8);
	op.quantity64 = 0;
	apply(f, op);
	assert_int_equal(mdfh_book_best(f->books, 2, BUY, &level), 0);
}

static void modify_keeps_or_loses_its_place(void **state)
{
	struct fixture *f = *state;
	struct mdfh_order orders[3];
	struct mdfh_op op = {.kind = MDFH_OP_MODIFY,
	    .instrument = 1,
	    .order_id = 1,
	    .price = 10000,
	    .quantity64 = 30,
	    .flags = MDFH_OP_KEEP_PRIORITY};

	add(f, 1, BUY, 10000, 100);
	add(f, 2, BUY, 10000, 100);
	apply(f, op);
	assert_int_equal(f->events[0].kind, MDFH_EVENT_ORDER_MODIFY);
	assert_false(f->events[0].flags & MDFH_EVENT_PRIORITY_LOST);
	assert_int_equal(mdfh_book_orders(f->books, 1, BUY, 10000, orders, 3), 2);
	assert_int_equal(orders[0].order_id, 1);
	assert_int_equal(orders[0].quantity, 30);
	op.flags = 0;
	apply(f, op);
	assert_true(f->events[0].flags & MDFH_EVENT_PRIORITY_LOST);
	assert_int_equal(mdfh_book_orders(f->books, 1, BUY, 10000, orders, 3), 2);
	assert_int_equal(orders[0].order_id, 2);
	op.price = 9900;
	apply(f, op);
	assert_int_equal(mdfh_book_orders(f->books, 1, BUY, 9900, orders, 3), 1);
	assert_int_equal(mdfh_book_level_count(f->books, 1, BUY), 2);
}

/* Also of instruments that had no order. */
static void a_session_begins_without_volume(void **state)
{
	struct fixture *f = *state;

	start_day(f);
	apply(f, (struct mdfh_op){.kind = MDFH_OP_TRADE,
		     .instrument = 1,
		     .price = 10000,
		     .quantity64 = 30,
		     .match_id = 5});
	assert_int_equal(volume(f), 30);
	apply(f, (struct mdfh_op){.kind = MDFH_OP_SESSION_BEGIN});
	assert_int_equal(volume(f), 0);
}

/* Match numbers are given anew: a break is of no trade of the last session. */
static void a_break_is_of_its_session(void **state)
{
	struct fixture *f = *state;
	struct mdfh_op op = {.kind = MDFH_OP_TRADE,
	    .instrument = 1,
	    .price = 10000,
	    .quantity64 = 30,
	    .match_id = 5};

	start_day(f);
	add(f, 1, BUY, 10000, 100);
	apply(f, op);
	apply(f, (struct mdfh_op){.kind = MDFH_OP_SESSION_BEGIN});
	op.kind = MDFH_OP_BREAK;
	apply(f, op);
	assert_int_equal(volume(f), 0);
	assert_int_equal(errors(f, MDFH_BOOK_UNKNOWN_TRADE), 1);
}

static void prices_without_scale_are_flagged(void **state)
{
	struct fixture *f = *state;

	apply(f, (struct mdfh_op){.kind = MDFH_OP_ADD,
		     .instrument = 3,
		     .order_id = 1,
		     .side = BUY,
		     .price = 5,
		     .quantity64 = 1});
	assert_true(f->events[0].flags & MDFH_EVENT_NO_PRICE);
	assert_int_equal(f->events[0].order.price, 0);
	assert_int_equal(errors(f, MDFH_BOOK_NO_PRICE), 1);
	add(f, 2, SELL, INT64_C(1) << 60, 1);
	assert_true(f->events[0].flags & MDFH_EVENT_NO_PRICE);
	assert_int_equal(mdfh_books_stats(f->books)->orders, 2);
}

static void a_full_table_is_an_error_event(void **state)
{
	struct fixture *f = *state;

	start_day(f);
	for (uint64_t i = 0; i < 100; i++)
		add(f, i, BUY, 10000, 1);
	add(f, 100, BUY, 10000, 1);
	assert_int_equal(f->made, 2);
	assert_int_equal(f->events[0].kind, MDFH_EVENT_ERROR);
	assert_int_equal(f->events[0].gap.cause, MDFH_CAUSE_ORDERS_FULL);
	assert_int_equal(f->events[1].kind, MDFH_EVENT_STALE);
	assert_int_equal(mdfh_books_stats(f->books)->orders, 100);
}

static void configurations_are_checked(void **state)
{
	struct fixture *f = *state;
	struct mdfh_books_config config = {.size = sizeof(config)};
	struct mdfh_books *books;

	assert_int_equal(mdfh_books_create(&config, &books), -EINVAL);
	config.instruments = f->table;
	config.orders_max = 268435457;
	assert_int_equal(mdfh_books_create(&config, &books), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "orders_max is 268435457"));
	assert_null(books);
	config.size = 3;
	assert_int_equal(mdfh_books_create(&config, &books), -EINVAL);
	assert_string_equal(mdfh_book_error_name(MDFH_BOOK_NOT_AT_HEAD), "not-at-head");
	for (unsigned i = 0; i < MDFH_BOOK_ERRORS; i++)
		assert_non_null(mdfh_book_error_name(i));
	assert_string_equal(mdfh_book_error_name(MDFH_BOOK_ERRORS), "?");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(an_add_says_what_it_did),
	    TEST(executions_make_two_events),
	    TEST(a_replace_is_delete_and_add),
	    TEST(breaks_take_volume_back),
	    TEST(a_session_begins_without_volume),
	    TEST(a_break_is_of_its_session),
	    TEST(gaps_make_books_unsound),
	    TEST(quotes_replace_the_top),
	    TEST(modify_keeps_or_loses_its_place),
	    TEST(prices_without_scale_are_flagged),
	    TEST(a_full_table_is_an_error_event),
	    TEST(configurations_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
