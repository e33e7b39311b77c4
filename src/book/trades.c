/* trades.c - the newest trades, so that a break can take its volume back. */
#include "book/books.h"

static uint32_t trade_bucket(const struct mdfh_books *books, uint16_t channel, uint64_t match_id)
{
	uint64_t h = (match_id ^ (uint64_t)channel << 48) * 0x9E3779B97F4A7C15u;

	return (uint32_t)(h >> 32) & books->trade_mask;
}

static void unlink_trade(struct mdfh_books *books, uint32_t index)
{
	struct trade *trade = &books->trades[index];
	uint32_t *link = &books->trade_heads[trade_bucket(books, trade->channel, trade->match_id)];

	while (*link != index + 1)
		link = &books->trades[*link - 1].next;
	*link = trade->next;
	trade->instrument = 0;
}

void mdfh_book_trade_keep(struct mdfh_books *books, uint16_t channel, uint64_t match_id,
    uint32_t instrument, uint64_t quantity)
{
	uint32_t index = books->trade_next;
	struct trade *trade = &books->trades[index];
	uint32_t *head = &books->trade_heads[trade_bucket(books, channel, match_id)];

	books->trade_next = index + 1 == books->trades_max ? 0 : index + 1;
	if (trade->instrument)
		unlink_trade(books, index);
	*trade = (struct trade){
	    .match_id = match_id,
	    .quantity = quantity,
	    .instrument = instrument,
	    .next = *head,
	    .channel = channel,
	    .generation = books->channels[channel].generation,
	};
	*head = index + 1;
}

int mdfh_book_trade_take(struct mdfh_books *books, uint16_t channel, uint64_t match_id,
    uint32_t *instrument, uint64_t *quantity)
{
	uint32_t next;

	if (!books->trades_max)
		return 0;
	next = books->trade_heads[trade_bucket(books, channel, match_id)];
	while (next) {
		struct trade *trade = &books->trades[next - 1];

		if (trade->match_id == match_id && trade->channel == channel &&
		    trade->generation == books->channels[channel].generation) {
			*instrument = trade->instrument;
			*quantity = trade->quantity;
			unlink_trade(books, next - 1);
			return 1;
		}
		next = trade->next;
	}
	return 0;
}
