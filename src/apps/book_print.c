/* book_print.c - books as `mdfh book` prints them: text, JSON, or tab-separated. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "apps/book_run.h"
#include "apps/books_out.h"
#include "mdfh/error.h"

static const char *price_text(int64_t price, char *buffer, size_t size)
{
	uint64_t value = price < 0 ? 0 - (uint64_t)price : (uint64_t)price;
	int length = snprintf(buffer, size, "%s%" PRIu64 ".%09" PRIu64, price < 0 ? "-" : "",
	    value / 1000000000, value % 1000000000);

	/* Two decimals at least. */
	for (int keep = length - 7; length > keep && buffer[length - 1] == '0'; length--)
		buffer[length - 1] = '\0';
	return buffer;
}

static void print_symbol_json(const char *symbol)
{
	putchar('"');
	for (; *symbol; symbol++) {
		unsigned char c = (unsigned char)*symbol;

		if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

/* Levels of one side, best first; to be freed. */
static struct mdfh_level *levels_of(
    const struct book_run *run, uint32_t row, unsigned side, int max, int *count)
{
	int n = mdfh_book_level_count(run->books, row, side);
	struct mdfh_level *levels;

	if (n > max)
		n = max;
	levels = malloc(((size_t)n + 1) * sizeof(*levels));
	*count = levels ? mdfh_book_levels(run->books, row, side, levels, n) : 0;
	return levels;
}

static void print_tsv(const struct book_run *run, uint32_t row)
{
	const struct mdfh_instrument *i = mdfh_instruments_get(run->instruments, row);
	uint64_t total[2] = {0}, live = 0;
	int counts[2] = {0};

	printf("%" PRIu64 "\t%-8s", i->venue_id & 0xffff, i->symbol);
	for (unsigned side = 1; side <= 2; side++) {
		struct mdfh_level *levels = levels_of(run, row, side, INT32_MAX, &counts[side - 1]);
		struct mdfh_level none = {0};
		const struct mdfh_level *best = counts[side - 1] ? levels : &none;

		for (int k = 0; k < counts[side - 1]; k++) {
			total[side - 1] += levels[k].quantity;
			live += levels[k].orders;
		}
		printf("\t%" PRId64 "\t%" PRIu64 "\t%" PRIu32, best->venue_price, best->quantity,
		    best->orders);
		free(levels);
	}
	printf("\t%d\t%d\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n", counts[0], counts[1], total[0],
	    total[1], live);
}

static void print_queue(
    const struct book_run *run, uint32_t row, unsigned side, const struct mdfh_level *level)
{
	struct mdfh_order *orders = malloc(((size_t)level->orders + 1) * sizeof(*orders));
	int n = orders ? mdfh_book_orders(
			     run->books, row, side, level->venue_price, orders, (int)level->orders)
		       : 0;

	for (int i = 0; i < n; i++) {
		if (run->options->json)
			printf("%s[%" PRIu64 ",%" PRIu32 "]", i ? "," : "", orders[i].order_id,
			    orders[i].quantity);
		else
			printf("      %4d  order %-14" PRIu64 " %10" PRIu32 "\n", i,
			    orders[i].order_id, orders[i].quantity);
	}
	free(orders);
}

static void print_side_json(const struct book_run *run, uint32_t row, unsigned side, int depth)
{
	int count;
	struct mdfh_level *levels = levels_of(run, row, side, depth, &count);

	for (int k = 0; k < count; k++) {
		char price[32];

		printf("%s{\"price\":%s,\"quantity\":%" PRIu64 ",\"orders\":%" PRIu32, k ? "," : "",
		    price_text(levels[k].price, price, sizeof(price)), levels[k].quantity,
		    levels[k].orders);
		if (run->options->orders) {
			printf(",\"queue\":[");
			print_queue(run, row, side, &levels[k]);
			putchar(']');
		}
		putchar('}');
	}
	free(levels);
}

static void print_json(const struct book_run *run, uint32_t row, int depth)
{
	const struct mdfh_instrument *i = mdfh_instruments_get(run->instruments, row);
	struct mdfh_totals totals = {0};
	char symbol[32], price[32];

	mdfh_book_totals(run->books, row, &totals);
	printf("{\"symbol\":");
	print_symbol_json(books_out_symbol(run->instruments, row, symbol, sizeof(symbol)));
	printf(",\"locate\":%" PRIu64 ",\"sound\":%s,\"volume\":%" PRIu64 ",\"trades\":%" PRIu64
	       ",\"broken\":%" PRIu64 ",\"last\":%s,\"bid_levels\":%d,\"ask_levels\":%d,\"bids\":[",
	    i->venue_id & 0xffff, mdfh_book_is_sound(run->books, row) ? "true" : "false",
	    totals.volume, totals.trades, totals.broken,
	    price_text(totals.last_price, price, sizeof(price)),
	    mdfh_book_level_count(run->books, row, MDFH_SIDE_BUY),
	    mdfh_book_level_count(run->books, row, MDFH_SIDE_SELL));
	print_side_json(run, row, MDFH_SIDE_BUY, depth);
	printf("],\"asks\":[");
	print_side_json(run, row, MDFH_SIDE_SELL, depth);
	printf("]}\n");
}

static void print_text(const struct book_run *run, uint32_t row, int depth)
{
	struct mdfh_totals totals = {0};
	char symbol[32], price[32];

	mdfh_book_totals(run->books, row, &totals);
	printf("%s  volume %" PRIu64 "  trades %" PRIu64 "  last %s%s\n",
	    books_out_symbol(run->instruments, row, symbol, sizeof(symbol)), totals.volume,
	    totals.trades, price_text(totals.last_price, price, sizeof(price)),
	    mdfh_book_is_sound(run->books, row) ? "" : "  UNSOUND");
	for (unsigned side = 2; side >= 1; side--) {
		int count;
		struct mdfh_level *levels = levels_of(run, row, side, depth, &count);

		/* As on a ladder: the best ask stands just above the best bid. */
		for (int k = 0; k < count; k++) {
			const struct mdfh_level *l =
			    &levels[side == MDFH_SIDE_SELL ? count - 1 - k : k];

			printf("  %-4s %16s %10" PRIu64 "  %" PRIu32 " order%s\n",
			    side == MDFH_SIDE_BUY ? "bid" : "ask",
			    price_text(l->price, price, sizeof(price)), l->quantity, l->orders,
			    l->orders == 1 ? "" : "s");
			if (run->options->orders)
				print_queue(run, row, side, l);
		}
		free(levels);
	}
}

static int compare_venue_ids(const void *a, const void *b, void *instruments)
{
	uint64_t x = mdfh_instruments_get(instruments, *(const uint32_t *)a)->venue_id;
	uint64_t y = mdfh_instruments_get(instruments, *(const uint32_t *)b)->venue_id;

	return (x > y) - (x < y);
}

int book_print(const struct book_run *run)
{
	const struct book_options *options = run->options;
	uint32_t count, *rows = books_out_rows(run->instruments, &count);
	int depth = options->depth ? options->depth : options->symbol_count ? 5 : 1;

	if (!rows)
		return mdfh_error(-ENOMEM, "book: no memory for %u instruments", count);
	if (options->tsv) {
		qsort_r(rows, count, sizeof(*rows), compare_venue_ids, run->instruments);
		puts("locate\tsymbol\tbid_px\tbid_qty\tbid_n\task_px\task_qty\task_n\tbid_levels\t"
		     "ask_levels\tbid_total\task_total\tlive");
	}
	for (uint32_t i = 0; i < count; i++) {
		int empty = !mdfh_book_level_count(run->books, rows[i], MDFH_SIDE_BUY) &&
			    !mdfh_book_level_count(run->books, rows[i], MDFH_SIDE_SELL);

		if (options->tsv)
			print_tsv(run, rows[i]);
		else if (empty && !options->all && !options->symbol_count)
			continue;
		else if (options->json)
			print_json(run, rows[i], depth);
		else
			print_text(run, rows[i], depth);
	}
	free(rows);
	return 0;
}

unsigned book_print_unknown_symbols(const struct book_run *run)
{
	unsigned unknown = 0;

	for (uint32_t i = 0; i < run->options->symbol_count; i++) {
		if (mdfh_instruments_find_symbol(run->instruments, run->options->symbols[i]))
			continue;
		fprintf(stderr, "mdfh book: %s: no instrument '%s' up to there\n",
		    run->options->path, run->options->symbols[i]);
		unknown++;
	}
	return unknown;
}

void book_print_errors(const struct book_run *run)
{
	const struct mdfh_books_stats *stats = mdfh_books_stats(run->books);

	for (unsigned i = 0; i < MDFH_BOOK_ERRORS; i++)
		if (stats->errors[i])
			fprintf(stderr, "mdfh book: %s: %" PRIu64 "\n", mdfh_book_error_name(i),
			    stats->errors[i]);
}
