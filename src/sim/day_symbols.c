/* day_symbols.c - the symbols of a day: names, prices, who is how active, and whose turn it is. */
#include "sim/day_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mdfh/error.h"

enum {
	RUN_MAX = 40, /* messages in a row about one symbol */
};

/* One letter for the first 26, two for the next 676, then four (26^4 = 456976) in scrambled order, some of them
 * with a suffix: every length that padding has to cope with, and not in the order of locates. */
void name_symbol(struct symbol *symbol, uint32_t n)
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
	symbol->fair = fair;
	symbol->fair_low = fair / 2;
	symbol->fair_high = fair + fair / 2;
	if (symbol->fair_high > PRICE_MAX / 100 - 2 * PRICE_DEPTH)
		symbol->fair_high = PRICE_MAX / 100 - 2 * PRICE_DEPTH;
}

/* Activity falls with the rank as 1 / (rank + 8); which symbol has which rank is drawn. The table
 * makes a draw two reads: each entry is a symbol and the one that fills up its share. */
int share_activity(struct mdfh_day *day)
{
	uint32_t n = day->config.symbols;
	uint32_t *by_rank = calloc(n, sizeof(*by_rank));
	double *share = calloc(n, sizeof(*share));
	uint32_t *small = calloc(n, sizeof(*small));
	uint32_t *large = calloc(n, sizeof(*large));
	uint32_t smalls = 0;
	uint32_t larges = 0;
	double sum = 0;
	double orders = day->config.live_orders * 0.85;
	int err = 0;

	if (!by_rank || !share || !small || !large) {
		err = mdfh_error(-ENOMEM, "day: activity of %u symbols", n);
		goto out;
	}
	for (uint32_t i = 0; i < n; i++)
		by_rank[i] = i;
	for (uint32_t i = n - 1; i > 0; i--) {
		uint32_t j = mdfh_random_below(&day->random, i + 1);
		uint32_t moved = by_rank[i];

		by_rank[i] = by_rank[j];
		by_rank[j] = moved;
	}
	for (uint32_t rank = 0; rank < n; rank++)
		sum += 1.0 / (rank + 8);
	for (uint32_t rank = 0; rank < n; rank++) {
		struct symbol *symbol = &day->symbols[by_rank[rank] + 1];
		double part = 1.0 / (rank + 8) / sum;

		price_symbol(day, symbol, rank);
		symbol->target = (uint32_t)(orders * (part / 2 + 0.5 / n));
		share[by_rank[rank]] = part * n;
	}
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
out:
	free(by_rank);
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
