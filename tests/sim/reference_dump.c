/* reference_dump.c - a BinaryFILE of ITCH 5.0 through the reference book: a line for each symbol.
 *
 * usage: reference_dump FILE.itch
 *
 * Columns: locate, symbol, best bid price, shares and orders, best ask price, shares and orders,
 * levels of each side, shares of each side, live orders, volume, trades; then what was refused. */
#include <stdio.h>
#include <stdlib.h>

#include "raw_itch.h"

static uint64_t print_side(const struct mdfh_refbook *book, uint16_t locate, unsigned side)
{
	struct mdfh_refbook_level level = {0};
	uint64_t shares = 0;

	mdfh_refbook_level(book, locate, side, 0, &level);
	printf("\t%lld\t%llu\t%u", (long long)level.price, (unsigned long long)level.shares,
	    level.orders);
	for (uint32_t i = 0; mdfh_refbook_level(book, locate, side, i, &level); i++)
		shares += level.shares;
	return shares;
}

static uint32_t live_orders(const struct mdfh_refbook *book, uint16_t locate)
{
	struct mdfh_refbook_level level;
	uint32_t orders = 0;

	for (unsigned side = MDFH_REFBOOK_BUY; side <= MDFH_REFBOOK_SELL; side++) {
		for (uint32_t i = 0; mdfh_refbook_level(book, locate, side, i, &level); i++)
			orders += level.orders;
	}
	return orders;
}

static void print_symbol(const struct mdfh_refbook *book, uint16_t locate)
{
	struct mdfh_refbook_totals totals;
	uint64_t bid;
	uint64_t ask;

	mdfh_refbook_totals(book, locate, &totals);
	printf("%u\t%s", locate, mdfh_refbook_symbol_name(book, locate));
	bid = print_side(book, locate, MDFH_REFBOOK_BUY);
	ask = print_side(book, locate, MDFH_REFBOOK_SELL);
	printf("\t%u\t%u\t%llu\t%llu\t%u\t%llu\t%llu\n",
	    mdfh_refbook_levels(book, locate, MDFH_REFBOOK_BUY),
	    mdfh_refbook_levels(book, locate, MDFH_REFBOOK_SELL), (unsigned long long)bid,
	    (unsigned long long)ask, live_orders(book, locate), (unsigned long long)totals.volume,
	    (unsigned long long)totals.trades);
}

int main(int argc, char **argv)
{
	FILE *stream = argc == 2 ? fopen(argv[1], "re") : NULL;
	struct mdfh_refbook *book;
	uint8_t message[65536];
	uint8_t size[2];

	if (!stream || mdfh_refbook_create(&book)) {
		fprintf(stderr, "reference_dump: no file, or no memory\n");
		return 2;
	}
	while (fread(size, 1, 2, stream) == 2) {
		size_t length = (size_t)raw_number(size, 0, 2);

		if (fread(message, 1, length, stream) != length || length < raw_length(message[0]))
			break;
		if (raw_apply(book, message) < 0)
			return 2;
	}
	fclose(stream);
	for (unsigned locate = 1; locate < 65536; locate++) {
		if (mdfh_refbook_symbol_name(book, (uint16_t)locate)[0])
			print_symbol(book, (uint16_t)locate);
	}
	printf("error\tunknown\t%llu\n",
	    (unsigned long long)mdfh_refbook_errors(book, MDFH_REFBOOK_UNKNOWN_ORDER));
	mdfh_refbook_destroy(book);
	return 0;
}
