/* reference_book.h - the plain order book that the simulator keeps and the tests believe.
 *
 * It exists to be compared with: it shares no code with src/book, keeps one sorted array of
 * levels per side and one linked queue per level, and follows the book rules of the ITCH 5.0
 * specification word for word. Clear first, fast second (well under a microsecond a message).
 *
 * What cannot be is refused or cut down, and counted by kind; nothing is ever negative:
 *   unknown order     execute, reduce, delete or replace is refused
 *   duplicate order   an add is refused; a replace onto an order that lives removes the old
 *                     order and adds nothing
 *   over-execution    the order is removed; the volume counts what the message says
 *   over-reduction    the order is removed
 *   zero shares       an add is refused; a replace removes the old order and adds nothing
 *
 * Threads: one. Memory: grows with what it is given, -ENOMEM when there is none. */
#ifndef MDFH_SIM_REFERENCE_BOOK_H
#define MDFH_SIM_REFERENCE_BOOK_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum mdfh_refbook_error {
	MDFH_REFBOOK_UNKNOWN_ORDER,
	MDFH_REFBOOK_DUPLICATE_ORDER,
	MDFH_REFBOOK_OVER_EXECUTION,
	MDFH_REFBOOK_OVER_REDUCTION,
	MDFH_REFBOOK_ZERO_SHARES,
	MDFH_REFBOOK_BAD_SIDE,
	MDFH_REFBOOK_UNKNOWN_TRADE,
	MDFH_REFBOOK_ERRORS,
};

/* Sides and their numbers in the checksum. */
enum { MDFH_REFBOOK_BUY = 1, MDFH_REFBOOK_SELL = 2 };

struct mdfh_refbook;

struct mdfh_refbook_order {
	uint64_t order_id;
	int64_t price; /* the venue's integer */
	uint32_t shares;
	uint32_t position; /* 0 = head of its level; filled in by mdfh_refbook_order */
	uint16_t locate;
	uint8_t side;
	uint8_t reserved;
};

struct mdfh_refbook_level {
	int64_t price;
	uint64_t shares;
	uint32_t orders;
	uint32_t reserved;
};

struct mdfh_refbook_totals {
	uint64_t volume; /* printed executions, trades and crosses, less broken ones */
	uint64_t trades; /* prints with shares that are counted in volume */
	uint64_t broken;
};

int mdfh_refbook_create(struct mdfh_refbook **book);
void mdfh_refbook_destroy(struct mdfh_refbook *book);

/* Messages. 0 = applied, 1 = refused or cut down and counted, -ENOMEM. */

/* Trailing spaces of the name are cut; at most 8 bytes are kept. */
void mdfh_refbook_symbol(
    struct mdfh_refbook *book, uint16_t locate, const char *name, size_t length);
int mdfh_refbook_add(struct mdfh_refbook *book, uint16_t locate, uint64_t order_id, unsigned side,
    uint32_t shares, int64_t price);
int mdfh_refbook_execute(struct mdfh_refbook *book, uint64_t order_id, uint32_t shares,
    uint64_t match_number, int printed);
int mdfh_refbook_reduce(struct mdfh_refbook *book, uint64_t order_id, uint32_t shares);
int mdfh_refbook_delete(struct mdfh_refbook *book, uint64_t order_id);
int mdfh_refbook_replace(struct mdfh_refbook *book, uint64_t order_id, uint64_t new_order_id,
    uint32_t shares, int64_t price);
/* A trade of hidden orders or a cross: volume only. */
int mdfh_refbook_trade(
    struct mdfh_refbook *book, uint16_t locate, uint64_t shares, uint64_t match_number);
int mdfh_refbook_break(struct mdfh_refbook *book, uint64_t match_number);

/* Reading. index 0 is the best level; calls that find nothing return 0, else 1. */
int mdfh_refbook_level(const struct mdfh_refbook *book, uint16_t locate, unsigned side,
    uint32_t index, struct mdfh_refbook_level *level);
uint32_t mdfh_refbook_levels(const struct mdfh_refbook *book, uint16_t locate, unsigned side);
/* The order that the next execution on this side must hit. */
int mdfh_refbook_head(const struct mdfh_refbook *book, uint16_t locate, unsigned side,
    struct mdfh_refbook_order *order);
/* Without its position: cheap. */
int mdfh_refbook_find(
    const struct mdfh_refbook *book, uint64_t order_id, struct mdfh_refbook_order *order);
/* With its position: a walk of its queue. */
int mdfh_refbook_order(
    const struct mdfh_refbook *book, uint64_t order_id, struct mdfh_refbook_order *order);
void mdfh_refbook_totals(
    const struct mdfh_refbook *book, uint16_t locate, struct mdfh_refbook_totals *totals);
const char *mdfh_refbook_symbol_name(const struct mdfh_refbook *book, uint16_t locate);
uint64_t mdfh_refbook_orders(const struct mdfh_refbook *book);  /* live now */
uint64_t mdfh_refbook_symbols(const struct mdfh_refbook *book); /* with a live order */
uint64_t mdfh_refbook_errors(const struct mdfh_refbook *book, enum mdfh_refbook_error kind);

/* Ask the memory for what the next message about this symbol will need; best after symbol. */
void mdfh_refbook_prefetch_symbol(const struct mdfh_refbook *book, uint16_t locate);
void mdfh_refbook_prefetch_best(const struct mdfh_refbook *book, uint16_t locate);

/* 64-bit sum over every live order of a hash of (symbol, side, price, position, order id,
 * shares); does not depend on the order of symbols or sides. */
uint64_t mdfh_refbook_checksum(const struct mdfh_refbook *book);

/* One line for each live order: symbol, B or S, venue price, position, order id, shares,
 * separated by tabs; by symbol, B before S, best price first, then position. A symbol that was
 * never named is written as # and its locate code. 0, or -EIO when the stream failed. */
int mdfh_refbook_write(const struct mdfh_refbook *book, FILE *stream);

/* The same into a file: written under a temporary name beside it, then renamed. */
int mdfh_refbook_write_file(const struct mdfh_refbook *book, const char *path);

#endif
