/* itch50_stocks.c - ITCH 5.0: the row of a stock locate, and which stocks are subscribed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mdfh/error.h"
#include "proto/itch50_state.h"

#define PRICE_SCALE 100000 /* price4 to 1e-9 */

static int subscribed(const struct itch50 *d, const uint8_t *stock)
{
	uint64_t key = mdfh_load_be64(stock);
	uint32_t low = 0, high = d->symbol_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (d->symbols[middle] == key)
			return 1;
		if (d->symbols[middle] < key)
			low = middle + 1;
		else
			high = middle;
	}
	return 0;
}

/* The row that this channel's stock already has, or 0. */
uint32_t mdfh_itch50_row_of_stock(const struct itch50 *d, const uint8_t *stock)
{
	char name[STOCK_SIZE + 1] = {0};

	memcpy(name, stock, STOCK_SIZE);
	for (int at = STOCK_SIZE; at > 0 && name[at - 1] == ' '; at--)
		name[at - 1] = '\0';
	return mdfh_instruments_find_symbol_on(d->instruments, d->base.channel, name);
}

/* Give a locate its state. stock is NULL where the message does not name it. After the first
 * session a stock keeps its row by name, because locates are dealt out anew each day. */
void mdfh_itch50_meet(struct itch50 *d, uint16_t locate, const uint8_t *stock)
{
	uint64_t venue_id = d->generation << 16 | locate;
	struct mdfh_instrument *i;
	uint32_t row = 0;

	if (d->symbol_count) {
		if (!stock)
			return;
		if (!subscribed(d, stock)) {
			d->locate[locate] = LOCATE_SKIPPED;
			d->named++;
			return;
		}
	}
	if (stock && d->generation)
		row = mdfh_itch50_row_of_stock(d, stock);
	if (!row)
		row = mdfh_instruments_row(d->instruments, d->base.channel, venue_id);
	if (!row)
		return;
	i = mdfh_instruments_at(d->instruments, row);
	i->price_scale = PRICE_SCALE;
	if (stock)
		mdfh_instruments_set_symbol(d->instruments, row, (const char *)stock, STOCK_SIZE);
	d->locate[locate] = row | (stock ? 0 : (uint32_t)LOCATE_STRANGE);
	d->named++;
}

/* Subscription ---------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Symbols as the wire has them: padded with spaces, as one number. */
int mdfh_itch50_subscribe(struct itch50 *d, const struct mdfh_decoder_config *config)
{
	if (!config->symbol_count)
		return 0;
	d->symbols = calloc(config->symbol_count, sizeof(*d->symbols));
	if (!d->symbols)
		return mdfh_error(-ENOMEM, "itch50: %u symbols", config->symbol_count);
	for (uint32_t i = 0; i < config->symbol_count; i++) {
		const char *symbol = config->symbols[i];
		size_t length = strlen(symbol);
		char padded[STOCK_SIZE];

		if (length == 0 || length > STOCK_SIZE)
			return mdfh_error(-EINVAL,
			    "itch50: symbol '%s' has %zu characters; it must have 1 to %d", symbol,
			    length, STOCK_SIZE);
		memset(padded, ' ', sizeof(padded));
		for (size_t k = 0; k < length; k++)
			padded[k] = symbol[k];
		d->symbols[i] = mdfh_load_be64(padded);
	}
	qsort(d->symbols, config->symbol_count, sizeof(*d->symbols), compare_keys);
	d->symbol_count = config->symbol_count;
	return 0;
}
