/* day_symbols.c - the symbols of a day: names, prices, who is how active, and whose turn it is. */
#include "sim/day_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mdfh/error.h"

enum {
	RUN_MAX = 40,     /* messages in a row about one symbol */
	VOLATILITY = 256, /* of 2,048: an eighth of the messages move the fair price */
};

/* One letter for the first 26, two for the next 676, then four (26^4 = 456976) in scrambled order, some of them
 * with a suffix: every length that padding has to cope with, and not in the order of locates. */
static void name_symbol(struct symbol *symbol, uint32_t n)
{
	uint32_t scrambled = (uint32_t)(n * 104729ull % 456976ull);
	char *name = symbol->name;
	static const char preferred[4] = {'.', 'P', 'R', 'A'};

	memset(name, ' ', sizeof(symbol->name));
	if (n < 26) {
		name[0] = (char)('A' + n);
	} else if (n < 26 + 676) {
		name[0] = (char)('A' + (n - 26) / 26);
		name[1] = (char)('A' + (n - 26) % 26);
	} else {
		for (int i = 0; i < 4; i++) {
			name[i] = (char)('A' + scrambled % 26);
			scrambled /= 26;
		}
		if (n % 9 == 4)
			name[4] = 'W';
		else if (n % 31 == 7)
			memcpy(name + 4, preferred, sizeof(preferred));
	}
}

/* The scenario's names come first; a made-up one that is taken gets a letter that none ends in. */
void name_symbols(struct mdfh_day *day)
{
	const struct mdfh_scenario *scenario = day->scenario;

	for (uint32_t i = 0; i < day->config.symbols; i++) {
		struct symbol *symbol = &day->symbols[i + 1];

		if (i < scenario->instruments_count) {
			const char *name = scenario->instruments[i].name;

			memset(symbol->name, ' ', sizeof(symbol->name));
			memcpy(symbol->name, name, strlen(name));
			continue;
		}
		name_symbol(symbol, i);
		for (uint32_t j = 1; j <= scenario->instruments_count; j++) {
			if (!memcmp(day->symbols[j].name, symbol->name, sizeof(symbol->name)))
				symbol->name[7] = 'X';
		}
	}
}

/* The fair price, in ticks, and how far chance may carry it. */
void move_fair(struct symbol *symbol, int32_t fair)
{
	int64_t highest = PRICE_MAX / symbol->tick - 2 * PRICE_DEPTH;
	int64_t high = (int64_t)fair + fair / 2;

	if (fair < 2)
		fair = 2;
	if (fair > highest)
		fair = (int32_t)highest;
	symbol->fair = fair;
	symbol->fair_low = fair / 2 ? fair / 2 : 1;
	symbol->fair_high = (int32_t)(high < highest ? high : highest);
}

void price_at(struct symbol *symbol, double dollars)
{
	move_fair(symbol, (int32_t)(dollars * 10000 / symbol->tick + 0.5));
}

static void price_symbol(struct mdfh_day *day, struct symbol *symbol, uint32_t rank)
{
	/* As many symbols between 5 and 10 dollars as between 160 and 320. */
	uint32_t octave = mdfh_random_below(&day->random, 6);
	int32_t fair =
	    (int32_t)(500u << octave) + (int32_t)mdfh_random_below(&day->random, 500u << octave);

	symbol->tick = 100;
	if (rank % 97 == 5) { /* below a dollar: in hundredths of a cent */
		symbol->tick = 1;
		fair = 1000 + (int32_t)mdfh_random_below(&day->random, 8000);
	} else if (rank == 40) { /* near the highest price there is */
		fair = 19500000;
	}
	symbol->volatility = VOLATILITY;
	move_fair(symbol, fair);
}

/* What the scenario says of a symbol. */
static void describe_symbol(
    struct symbol *symbol, const struct mdfh_scenario_instrument *instrument)
{
	if (instrument->price > 0)
		symbol->tick = instrument->price < 1 ? 1 : 100;
	if (instrument->tick > 0)
		symbol->tick = (uint32_t)(instrument->tick * 10000 + 0.5);
	if (!symbol->tick)
		symbol->tick = 1;
	if (instrument->price > 0)
		price_at(symbol, instrument->price);
	else
		move_fair(symbol, symbol->fair);
	if (instrument->volatility)
		symbol->volatility = (uint16_t)(*instrument->volatility * VOLATILITY);
	if (instrument->orders)
		symbol->target = instrument->orders;
}

struct ranked {
	double share;
	uint32_t symbol; /* from 0 */
};

static int by_share(const void *a, const void *b)
{
	const struct ranked *left = a;
	const struct ranked *right = b;

	if (left->share > right->share || left->share < right->share)
		return left->share > right->share ? -1 : 1;
	return left->symbol < right->symbol ? -1 : 1;
}

/* Activity falls with the rank as 1 / (rank + 8); which symbol has which rank is drawn. Those to
 * whom the scenario gives a share have it, the others divide what is left. */
static void share_out(struct mdfh_day *day, struct ranked *ranks)
{
	const struct mdfh_scenario *scenario = day->scenario;
	uint32_t n = day->config.symbols;
	double given = 0;
	double sum = 0;

	for (uint32_t i = n - 1; i > 0; i--) {
		uint32_t j = mdfh_random_below(&day->random, i + 1);
		struct ranked moved = ranks[i];

		ranks[i] = ranks[j];
		ranks[j] = moved;
	}
	for (uint32_t rank = 0; rank < n; rank++) {
		uint32_t symbol = ranks[rank].symbol;

		price_symbol(day, &day->symbols[symbol + 1], rank);
		if (symbol < scenario->instruments_count &&
		    scenario->instruments[symbol].share > 0) {
			given += scenario->instruments[symbol].share / 100;
		} else {
			ranks[rank].share = 1.0 / (rank + 8);
			sum += ranks[rank].share;
		}
	}
	for (uint32_t rank = 0; rank < n; rank++) {
		uint32_t symbol = ranks[rank].symbol;

		if (ranks[rank].share > 0)
			ranks[rank].share *= (1 - given) / sum;
		else if (sum > 0)
			ranks[rank].share = scenario->instruments[symbol].share / 100;
		else /* every symbol has its share; together they have everything */
			ranks[rank].share = scenario->instruments[symbol].share / 100 / given;
	}
	qsort(ranks, n, sizeof(*ranks), by_share);
}

/* The table makes a draw two reads: each entry is a symbol and the one that fills up its share. */
static void fill_alias(struct mdfh_day *day, const struct ranked *ranks, double *share,
    uint32_t *small, uint32_t *large)
{
	uint32_t n = day->config.symbols;
	uint32_t smalls = 0;
	uint32_t larges = 0;

	for (uint32_t rank = 0; rank < n; rank++)
		share[ranks[rank].symbol] = ranks[rank].share * n;
	for (uint32_t i = 0; i < n; i++) {
		if (share[i] < 1)
			small[smalls++] = i;
		else
			large[larges++] = i;
		day->alias[i] = (struct alias){.threshold = UINT32_MAX, .other = (uint16_t)i};
	}
	while (smalls && larges) {
		uint32_t less = small[--smalls];
		uint32_t more = large[larges - 1];

		day->alias[less].threshold = (uint32_t)(share[less] * 4294967295.0);
		day->alias[less].other = (uint16_t)more;
		share[more] -= 1 - share[less];
		if (share[more] < 1) {
			larges--;
			small[smalls++] = more;
		}
	}
}

int share_activity(struct mdfh_day *day)
{
	uint32_t n = day->config.symbols;
	struct ranked *ranks = calloc(n, sizeof(*ranks));
	double *share = calloc(n, sizeof(*share));
	uint32_t *small = calloc(n, sizeof(*small));
	uint32_t *large = calloc(n, sizeof(*large));
	double orders = day->config.live_orders * 0.85;
	int err = 0;

	if (!ranks || !share || !small || !large) {
		err = mdfh_error(-ENOMEM, "day: activity of %u symbols", n);
		goto out;
	}
	for (uint32_t i = 0; i < n; i++)
		ranks[i].symbol = i;
	share_out(day, ranks);
	for (uint32_t rank = 0; rank < n; rank++) {
		uint32_t number = ranks[rank].symbol;
		struct symbol *symbol = &day->symbols[number + 1];

		day->by_rank[rank] = (uint16_t)(number + 1);
		symbol->target = (uint32_t)(orders * (ranks[rank].share / 2 + 0.5 / n));
		if (number < day->scenario->instruments_count)
			describe_symbol(symbol, &day->scenario->instruments[number]);
	}
	fill_alias(day, ranks, share, small, large);
out:
	free(ranks);
	free(share);
	free(small);
	free(large);
	return err;
}

static uint16_t draw_ahead(struct mdfh_day *day)
{
	uint64_t bits = mdfh_random_next(&day->random);
	uint32_t place;

	if (day->run_left && bits & 1) {
		day->run_left--;
		return day->run_locate;
	}
	place = (uint32_t)((bits >> 32) * day->config.symbols >> 32);
	if ((uint32_t)mdfh_random_next(&day->random) > day->alias[place].threshold)
		place = day->alias[place].other;
	day->run_locate = (uint16_t)(place + 1);
	day->run_left = RUN_MAX;
	return day->run_locate;
}

void fill_ahead(struct mdfh_day *day)
{
	for (int i = 0; i < AHEAD; i++)
		day->ahead[i] = draw_ahead(day);
}

/* The next symbol. Most of a message's time would go into waiting for memory, so a symbol is
 * asked for when it is drawn and its newest orders and best levels half way to its turn. */
uint16_t draw_symbol(struct mdfh_day *day)
{
	uint16_t locate = day->ahead[day->ahead_at];
	uint16_t last = draw_ahead(day);
	uint16_t middle = day->ahead[(day->ahead_at + AHEAD / 2) % AHEAD];
	const struct symbol *symbol = &day->symbols[middle];

	day->ahead[day->ahead_at] = last;
	day->ahead_at = (uint8_t)((day->ahead_at + 1) % AHEAD);
	__builtin_prefetch(&day->symbols[last]);
	mdfh_refbook_prefetch_symbol(day->book, last);
	if (symbol->count)
		__builtin_prefetch(&symbol->orders[symbol->count - 1]);
	mdfh_refbook_prefetch_best(day->book, middle);
	return locate;
}
