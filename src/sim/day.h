/* day.h - a made-up trading day in ITCH 5.0, message by message, with its books kept on the side.
 *
 * The day runs as the specification says: start of messages, the spins (directory, trading state,
 * Reg SHO, participants), pre-market, opening crosses, the market with halts and auctions,
 * closing crosses, late trading, end of messages. Its hours, what happens when, and the mix of
 * messages are the scenario's. Few symbols take most messages. Every execution hits the head of
 * the best level, no book is ever crossed, order ids and match numbers are unique, locate codes
 * run from 1.
 *
 * Equal configurations give equal bytes on every machine: integers and divisions only, no clock.
 *
 * Threads: one. Cost: about 0.3 us a message, the reference book included. */
#ifndef MDFH_SIM_DAY_H
#define MDFH_SIM_DAY_H

#include "sim/reference_book.h"
#include "sim/scenario.h"

enum {
	MDFH_DAY_MESSAGE_MAX = 50,
	MDFH_DAY_SYMBOLS_MAX = 60000,
	MDFH_DAY_SYMBOLS_DEFAULT = 8000,
	MDFH_DAY_LIVE_ORDERS_DEFAULT = 500000,
};

/* Zero means "default". */
struct mdfh_day_config {
	uint64_t seed;
	uint64_t messages;    /* exactly so many come; at least mdfh_day_messages_min(symbols) */
	uint32_t symbols;     /* default 8,000, or one for 40 messages if that is less */
	uint32_t live_orders; /* never more at once; default 500,000, or a 16th of the messages */
	const struct mdfh_scenario *scenario; /* borrowed for the day's life; NULL = the usual */
	double rate; /* messages/s on the wire, for the length of bursts; default 100,000 */
};

/* What holds on the wire from a message on. */
struct mdfh_day_mark {
	double pace;      /* of the mean rate */
	uint32_t faults;  /* bit per entry of the scenario's lines */
	uint8_t is_burst; /* even, whatever the schedule does otherwise */
};

struct mdfh_day;

/* What a usual day of so many symbols needs for its spins and crosses. */
uint64_t mdfh_day_messages_min(uint32_t symbols);

/* -EINVAL names the field that is out of range. */
int mdfh_day_create(const struct mdfh_day_config *config, struct mdfh_day **day);
void mdfh_day_destroy(struct mdfh_day *day);

/* Write the next message to out (MDFH_DAY_MESSAGE_MAX bytes) and apply it to the book. Returns its
 * length, 0 when the day is over, -ENOMEM. The message carries the simulated time of day, in
 * the usual day from 03:00 to 20:05, never going back. */
int mdfh_day_next(struct mdfh_day *day, uint8_t *out);

/* What holds for the last message returned. */
const struct mdfh_day_mark *mdfh_day_mark(const struct mdfh_day *day);

/* The highest pace outside bursts; known from the beginning. */
double mdfh_day_pace_max(const struct mdfh_day *day);

/* After the last message returned. */
const struct mdfh_refbook *mdfh_day_book(const struct mdfh_day *day);
uint64_t mdfh_day_count(const struct mdfh_day *day, uint8_t type);

uint32_t mdfh_day_symbols(const struct mdfh_day *day);

#endif
