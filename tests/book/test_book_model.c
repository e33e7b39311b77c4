/* test_book_model.c - random ops, most of them possible and many not, through the books and
 * through a plain model; levels, queues, counters, totals and the book that a consumer builds from
 * the events must be the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "book_model.h"
#include "mdfh/error.h"

enum { BATCH = 64, EVENTS = 48, INSTRUMENTS = 6 };

static uint64_t random_state;

static uint64_t rnd(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * 0x2545F4914F6CDD1Du >> 8;
}

struct scenario {
	const char *name;
	uint32_t orders_max, levels_max;
	int prices;    /* around the middle */
	int extremes;  /* per mille of prices that are */
	int off_ticks; /* per mille */
	int adds;      /* per cent of ops */
	uint64_t id_stride;
	int ops;
};

static int64_t pick_price(const struct scenario *s)
{
	static const int64_t extremes[] = {1, 100, 1999999900, 2000000000, 4294967295, 4294967296,
	    -500, -1, 0, INT64_C(1) << 61, -(INT64_C(1) << 62), (INT64_C(1) << 62) + 1, INT64_MAX,
	    INT64_MIN, 1999999800};
	int64_t price = 1000000 + (int64_t)(rnd() % (uint64_t)s->prices) * 100;

	if ((int)(rnd() % 1000) < s->extremes)
		return extremes[rnd() % (sizeof(extremes) / sizeof(extremes[0]))];
	if ((int)(rnd() % 1000) < s->off_ticks)
		price += (int64_t)(rnd() % 100);
	return price;
}

static void pick_op(const struct scenario *s, const struct model *m, struct mdfh_op *op)
{
	int live = m->count ? (int)(rnd() % (uint64_t)m->count) : -1;
	uint64_t fresh = rnd() % 5000 * s->id_stride;
	uint64_t known = live >= 0 && rnd() % 100 < 95 ? m->orders[live].id : fresh;
	uint64_t dice = rnd() % 1000;

	memset(op, 0, sizeof(*op));
	op->origin = live >= 0 ? m->orders[live].channel : (uint16_t)(rnd() % 2);
	op->instrument = live >= 0 && rnd() % 100 ? m->orders[live].instrument
						  : (uint32_t)(rnd() % 2 ? 0 : 1 + rnd() % 4);
	op->order_id = known;
	op->quantity64 = 1 + rnd() % 300;
	op->price = pick_price(s);
	if (dice < (uint64_t)s->adds * 10) {
		op->kind = MDFH_OP_ADD;
		/* Odd instruments trade on channel 1. */
		op->instrument = (uint32_t)(1 + rnd() % 4);
		op->origin = (uint16_t)(op->instrument % 2);
		op->order_id = rnd() % 100 ? fresh : known;
		op->side = (uint8_t)(rnd() % 500 ? 1 + rnd() % 2 : rnd() % 5);
		if (rnd() % 500 == 0)
			op->quantity64 = 0;
	} else if (dice < 900) {
		static const uint8_t kinds[] = {MDFH_OP_EXECUTE, MDFH_OP_REDUCE, MDFH_OP_DELETE,
		    MDFH_OP_DELETE, MDFH_OP_REPLACE};

		op->kind = kinds[rnd() % 5];
		if (op->kind == MDFH_OP_EXECUTE && rnd() % 4 == 0)
			op->flags |= MDFH_OP_PRICED;
		if (op->kind == MDFH_OP_EXECUTE && rnd() % 8 == 0)
			op->flags |= MDFH_OP_NOT_PRINTED;
		if (op->kind == MDFH_OP_REPLACE) {
			op->new_order_id = rnd() % 20 == 0 ? op->order_id : fresh;
			if (rnd() % 300 == 0)
				op->quantity64 = 0;
		}
	} else if (dice < 960) {
		/* Instrument 5 is of a venue that sends levels. */
		op->kind = MDFH_OP_LEVEL;
		op->instrument = 5;
		op->origin = 1;
		op->side = (uint8_t)(1 + rnd() % 2);
		op->quantity64 = rnd() % 3 ? rnd() % 2 << 33 | 7 : 0;
		op->quantity2 = 3;
		op->price = 500 + (int64_t)(rnd() % 64) * 100;
	} else if (dice < 999) {
		op->kind = rnd() % 2 ? MDFH_OP_TRADE : MDFH_OP_CROSS;
		op->instrument = (uint32_t)(1 + rnd() % 4);
		op->price = 1000000;
		op->quantity64 = rnd() % 4 << 32;
	} else if (rnd() % 20 == 0) {
		static const uint8_t kinds[] = {
		    MDFH_OP_CLEAR, MDFH_OP_END_OF_DAY, MDFH_OP_DAY_BEGIN, MDFH_OP_SESSION_BEGIN};

		op->kind = kinds[rnd() % 4];
		if (op->kind != MDFH_OP_CLEAR)
			op->instrument = 0;
	}
}

static void run(const struct scenario *s, int want_events)
{
	struct mdfh_origin origins[2] = {{.channel = 0}, {.channel = 1, .epoch = 3}};
	struct mdfh_instruments *table;
	struct mdfh_books *books;
	struct mdfh_books_config config = {.size = sizeof(config),
	    .orders_max = s->orders_max,
	    .levels_max = s->levels_max,
	    .sound_at_start = MDFH_ON};
	struct model m = {
	    .orders_max = (int)s->orders_max, .levels_max = (int)s->levels_max, .price_scale = 1};
	struct model seen = {.price_scale = 1};
	struct mdfh_op ops[BATCH];
	struct mdfh_event events[EVENTS];
	uint64_t sequence = 0;

	assert_int_equal(mdfh_instruments_create(INSTRUMENTS - 1, &table), 0);
	for (uint32_t i = 1; i < INSTRUMENTS; i++) {
		char symbol[8];
		uint32_t row = mdfh_instruments_row(table, (uint16_t)(i % 2), i);

		snprintf(symbol, sizeof(symbol), "S%u", i);
		mdfh_instruments_set_symbol(table, row, symbol, strlen(symbol));
		mdfh_instruments_at(table, row)->price_scale = 1;
		m.channel_of[i] = seen.channel_of[i] = (uint16_t)(i % 2);
	}
	config.instruments = table;
	assert_int_equal(mdfh_books_create(&config, &books), 0);
	mdfh_books_origins(books, origins);
	random_state = 88172645463325252u + s->orders_max;

	for (int done = 0, round = 0; done < s->ops; round++) {
		int n = 1 + (int)(rnd() % BATCH), at = 0;

		for (int i = 0; i < n; i++) {
			pick_op(s, &m, &ops[i]);
			ops[i].sequence = ++sequence;
			model_op(&m, &ops[i], origins[ops[i].origin].channel);
		}
		while (at < n) {
			int applied;
			int made = mdfh_book_apply(
			    books, ops + at, n - at, want_events ? events : NULL, EVENTS, &applied);

			MODEL_REQUIRE(applied > 0);
			MODEL_REQUIRE(made <= applied * MDFH_BOOK_EVENTS_PER_OP);
			for (int i = 0; i < made; i++) {
				MODEL_REQUIRE(events[i].sequence >= ops[at].sequence);
				MODEL_REQUIRE(events[i].sequence <= ops[at + applied - 1].sequence);
				model_event(&seen, &events[i]);
			}
			at += applied;
		}
		done += n;
		if (round % 100 == 0 || done >= s->ops) {
			model_compare(&m, books, INSTRUMENTS);
			if (want_events)
				model_compare(&seen, books, INSTRUMENTS);
		}
	}
	for (unsigned i = 0; i < MDFH_BOOK_ERRORS; i++) {
		if (mdfh_books_stats(books)->errors[i] != m.errors[i])
			print_error("%s: %s: %lu, the model has %lu\n", s->name,
			    mdfh_book_error_name(i), mdfh_books_stats(books)->errors[i],
			    m.errors[i]);
		assert_int_equal(mdfh_books_stats(books)->errors[i], m.errors[i]);
	}
	assert_int_equal(mdfh_books_stats(books)->executions, m.executions);
	for (uint32_t i = 1; i < INSTRUMENTS; i++) {
		struct mdfh_totals totals;

		assert_int_equal(mdfh_book_totals(books, i, &totals), 1);
		assert_int_equal(totals.volume, m.volume[i]);
		assert_int_equal(totals.trades, m.trades[i]);
	}
	model_free(&m);
	model_free(&seen);
	mdfh_books_destroy(books);
	mdfh_instruments_destroy(table);
}

static const struct scenario scenarios[] = {
    {.name = "ordinary",
	.orders_max = 300,
	.levels_max = 20000,
	.prices = 40,
	.adds = 45,
	.id_stride = 1,
	.ops = 200000},
    {.name = "off ticks",
	.orders_max = 200,
	.levels_max = 20000,
	.prices = 300,
	.off_ticks = 200,
	.adds = 45,
	.id_stride = 3,
	.ops = 100000},
    {.name = "extremes",
	.orders_max = 200,
	.levels_max = 20000,
	.prices = 30,
	.extremes = 200,
	.adds = 45,
	.id_stride = UINT64_C(1) << 40,
	.ops = 100000},
    {.name = "wide",
	.orders_max = 400,
	.levels_max = 20000,
	.prices = 20000,
	.extremes = 5,
	.adds = 45,
	.id_stride = 1000003,
	.ops = 100000},
    {.name = "long queues",
	.orders_max = 600,
	.levels_max = 100,
	.prices = 2,
	.adds = 45,
	.id_stride = UINT64_C(1) << 61,
	.ops = 100000},
    {.name = "orders full",
	.orders_max = 20,
	.levels_max = 100,
	.prices = 10,
	.adds = 60,
	.id_stride = 1,
	.ops = 100000},
    {.name = "levels full",
	.orders_max = 100,
	.levels_max = 8,
	.prices = 20,
	.adds = 45,
	.id_stride = 1,
	.ops = 100000},
};

static void books_are_what_the_model_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		run(&scenarios[i], 1);
		run(&scenarios[i], 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(books_are_what_the_model_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
