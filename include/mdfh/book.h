/* mdfh/book.h - order books: by order with queue position (L3), by price (L2), top (L1).
 *
 * struct mdfh_books holds the books of many instruments. All memory is taken by create and
 * bounded by its configuration; running out is an ERROR event and a counter, never a crash.
 * What cannot be (an unknown order, an over-execution, a duplicate add, a crossed book) is
 * counted by kind; what is refused leaves its book unsound until its day, session or snapshot
 * begins, and a STALE event says so once. The delete half of a replace is always done. Clearing
 * (session begin, the next day's begin) costs as much as there are orders; all else is bounded.
 * event.level is 1 for the best level, else 0 = not known.
 *
 * Threads: one writer thread; the reading calls below are for that same thread (a callback
 *          consumer). Other threads read events and struct mdfh_depth snapshots.
 * Prices:  books key on the venue's integer price; reading calls return 1e-9 units. */
#ifndef MDFH_BOOK_H
#define MDFH_BOOK_H

#include "mdfh/event.h"
#include "mdfh/instrument.h"

MDFH_BEGIN_DECLS

struct mdfh_op;
struct mdfh_origin;
struct mdfh_books;

/* Zero means "default" everywhere but in size and instruments. */
struct mdfh_books_config {
	size_t size;
	struct mdfh_instruments *instruments; /* borrowed; must outlive the books */
	uint32_t orders_max;                  /* live orders at once; default 4,194,304 */
	uint32_t levels_max;                  /* price levels at once; default 1,048,576 */
	uint32_t trades_max; /* trades kept for breaks, the newest; default 0 = none kept */
	enum mdfh_switch hugepages;
	int numa_node;                   /* node + 1; 0 = no preference */
	enum mdfh_switch sound_at_start; /* on: books are sound without having seen a day's start
	                                  * (a file from its beginning); default off */
};

/* What cannot be, by kind. */
enum mdfh_book_error {
	MDFH_BOOK_UNKNOWN_ORDER,    /* execute, reduce, delete or replace of an order not there */
	MDFH_BOOK_DUPLICATE_ORDER,  /* add of an order that lives: refused */
	MDFH_BOOK_OVER_EXECUTION,   /* more executed than remained: order removed */
	MDFH_BOOK_OVER_REDUCTION,   /* more cancelled than remained: order removed */
	MDFH_BOOK_CROSSED,          /* events after which a book was crossed or locked */
	MDFH_BOOK_NOT_AT_HEAD,      /* printed executions at their order's own price that were not
	                             * at the head of the best level */
	MDFH_BOOK_WRONG_INSTRUMENT, /* message and order name different instruments, or an add
	                             * names none: refused */
	MDFH_BOOK_UNKNOWN_TRADE,    /* break of a trade not kept */
	MDFH_BOOK_ORDERS_FULL,
	MDFH_BOOK_LEVELS_FULL,
	MDFH_BOOK_NO_PRICE, /* messages whose price has no scale or does not fit in 1e-9 units;
	                     * beyond 2^62 venue units the order is refused as well */
	MDFH_BOOK_BAD_SIDE,
	MDFH_BOOK_ZERO_QUANTITY, /* add, replace or modify to no shares: nothing is added */
	MDFH_BOOK_ERRORS,
};

/* Since create, or as it is now. */
struct mdfh_books_stats {
	uint64_t ops;
	uint64_t events;
	uint64_t executions; /* of resting orders */
	uint64_t orders;     /* live now */
	uint64_t orders_peak;
	uint64_t levels; /* in use now */
	uint64_t levels_peak;
	uint64_t memory_bytes; /* taken at create */
	uint64_t errors[MDFH_BOOK_ERRORS];
};

/* A price of one side, and all that rests there. */
struct mdfh_level {
	int64_t price; /* 1e-9 */
	uint64_t quantity;
	uint32_t orders;
	uint32_t flags;
	int64_t venue_price;
};

/* A live order. */
struct mdfh_order {
	int64_t price; /* 1e-9 */
	uint64_t order_id;
	uint32_t quantity; /* remaining */
	uint32_t instrument;
	uint32_t position; /* 0 = head of its level; UINT32_MAX where it was not asked for */
	uint8_t side;
	uint8_t reserved[3];
	int64_t venue_price;
};

/* Trades and volume of one instrument since the start of the day, by the venue's rules. */
struct mdfh_totals {
	uint64_t volume; /* printable executions, trades, crosses, less broken ones */
	uint64_t trades; /* prints counted in volume */
	uint64_t broken;
	int64_t last_price; /* 1e-9; 0 = no trade yet */
	uint64_t last_quantity;
};

/* Takes all memory. destroy: NULL is allowed. */
MDFH_API int mdfh_books_create(const struct mdfh_books_config *config, struct mdfh_books **books);
MDFH_API void mdfh_books_destroy(struct mdfh_books *books);

/* Apply ops in order and write the events they make, at most max, into out (out == NULL: no
 * events are wanted and max is ignored). *done is the number of ops wholly applied: fewer than n
 * when out is full; call again with the rest. Returns the number of events. An op makes at most
 * MDFH_BOOK_EVENTS_PER_OP events, so max must be at least that. Prefetches ahead over the whole
 * batch: the more ops a call brings, the less each costs. origins: see mdfh_books_origins. */
enum { MDFH_BOOK_EVENTS_PER_OP = 4 };
MDFH_API int mdfh_book_apply(struct mdfh_books *books, const struct mdfh_op *ops, int n,
    struct mdfh_event *out, int max, int *done);

/* The array that op.origin indexes, borrowed until the next call. NULL (the state after create):
 * every op has origin 0 and it is all zero. */
MDFH_API void mdfh_books_origins(struct mdfh_books *books, const struct mdfh_origin *origins);

/* Reading. side is MDFH_SIDE_BUY or _SELL; index 0 is the best level. */
MDFH_API int mdfh_book_best(const struct mdfh_books *books, uint32_t instrument, unsigned side,
    struct mdfh_level *level); /* 1, or 0 when that side is empty */
MDFH_API int mdfh_book_levels(const struct mdfh_books *books, uint32_t instrument, unsigned side,
    struct mdfh_level *levels, int max); /* best first; returns how many */
MDFH_API int mdfh_book_level_count(
    const struct mdfh_books *books, uint32_t instrument, unsigned side);
MDFH_API int mdfh_book_orders(const struct mdfh_books *books, uint32_t instrument, unsigned side,
    int64_t venue_price, struct mdfh_order *orders, int max); /* queue order */
MDFH_API int mdfh_book_order(const struct mdfh_books *books, uint16_t channel, uint64_t order_id,
    struct mdfh_order *order); /* 1 with its position (a walk of its level), or 0 */
MDFH_API int mdfh_book_totals(
    const struct mdfh_books *books, uint32_t instrument, struct mdfh_totals *totals);
MDFH_API int mdfh_book_is_sound(const struct mdfh_books *books, uint32_t instrument);
MDFH_API const struct mdfh_books_stats *mdfh_books_stats(const struct mdfh_books *books);
MDFH_API const char *mdfh_book_error_name(unsigned error);

/* 64-bit sum over (symbol, side, price, position, order id, shares) of every live order; does not
 * depend on the order of instruments or sides. See docs/ARCHITECTURE.md, "Book checksum". */
MDFH_API uint64_t mdfh_books_checksum(const struct mdfh_books *books);

MDFH_END_DECLS
#endif
