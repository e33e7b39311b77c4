/* mdfh/instrument.h - the table of instruments: rows that never move and are never reused.
 *
 * Fixed capacity, append only, no pointers inside: another process may map and read it. Row 0
 * is "no instrument". Threads: one writer; any number of readers, which read count with acquire
 * and then only rows below it. */
#ifndef MDFH_INSTRUMENT_H
#define MDFH_INSTRUMENT_H

#include "mdfh/base.h"

MDFH_BEGIN_DECLS

/* Bytes of a symbol, its NUL included. */
#define MDFH_SYMBOL_SIZE 24

/* A row. */
struct mdfh_instrument {
	char symbol[MDFH_SYMBOL_SIZE]; /* NUL-terminated, padding removed; "" = not yet known */
	uint64_t venue_id;             /* the venue's own number (ITCH stock locate, SecurityID) */
	int64_t price_scale; /* venue integer * price_scale = price in 1e-9; 0 = unknown */
	int64_t tick;        /* 1e-9; 0 = unknown */
	uint32_t lot;        /* round lot; 0 = unknown */
	uint16_t channel;
	uint16_t flags;
};

struct mdfh_instruments; /* opaque */

/* Memory for capacity rows (1..16,777,216) is taken here. */
MDFH_API int mdfh_instruments_create(uint32_t capacity, struct mdfh_instruments **table);
/* The same under a POSIX shared memory name, for readers in other processes; NULL = private. */
MDFH_API int mdfh_instruments_create_shared(
    uint32_t capacity, const char *shared_name, struct mdfh_instruments **table);

/* Attach to the table that another process made under this name, for reading. -ENOENT: there is
 * none; -EPROTO: it is no instrument table of this version, or smaller than it says. */
MDFH_API int mdfh_instruments_attach(const char *shared_name, struct mdfh_instruments **table);
MDFH_API void mdfh_instruments_destroy(struct mdfh_instruments *table); /* NULL is allowed */

/* The row of (channel, venue_id): appended if it is new. Returns the row, or 0 when the table
 * is full (counted). One hash probe; call it from the control path or on a definition. */
MDFH_API uint32_t mdfh_instruments_row(
    struct mdfh_instruments *table, uint16_t channel, uint64_t venue_id);

/* The row, or 0 if there is none. */
MDFH_API uint32_t mdfh_instruments_find(
    const struct mdfh_instruments *table, uint16_t channel, uint64_t venue_id);
MDFH_API uint32_t mdfh_instruments_find_symbol(
    const struct mdfh_instruments *table, const char *symbol);

/* Row for reading and, by the one writer, for filling in; row < count. */
MDFH_API struct mdfh_instrument *mdfh_instruments_at(struct mdfh_instruments *table, uint32_t row);
MDFH_API const struct mdfh_instrument *mdfh_instruments_get(
    const struct mdfh_instruments *table, uint32_t row);

/* Set the symbol of a row; text need not end in NUL, trailing spaces and NULs are cut. */
MDFH_API void mdfh_instruments_set_symbol(
    struct mdfh_instruments *table, uint32_t row, const char *text, size_t length);

MDFH_API uint32_t mdfh_instruments_count(const struct mdfh_instruments *table); /* rows + 1 */
/* As created; and instruments that found the table full. */
MDFH_API uint32_t mdfh_instruments_capacity(const struct mdfh_instruments *table);
MDFH_API uint64_t mdfh_instruments_refused(const struct mdfh_instruments *table);

MDFH_END_DECLS
#endif
