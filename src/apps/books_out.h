/* books_out.h - every live order of a set of books as text, to be compared (mdfh compare). */
#ifndef MDFH_APPS_BOOKS_OUT_H
#define MDFH_APPS_BOOKS_OUT_H

#include <stddef.h>

#include "mdfh/book.h"

/* The symbol of a row, or "#" and the venue's number where none was named. */
const char *books_out_symbol(
    const struct mdfh_instruments *instruments, uint32_t row, char *buffer, size_t size);

/* Rows sorted by that name, to be freed; *count of them. NULL: no memory. */
uint32_t *books_out_rows(const struct mdfh_instruments *instruments, uint32_t *count);

/* One line for each live order of all parts: symbol, B or S, venue price, position, order id, shares,
 * separated by tabs; by symbol, B before S, best price first, then position. Written under a
 * temporary name beside path, then renamed, so that it appears when it is whole; to what is there and
 * no file, such as a pipe or /dev/null, as it comes; "-" = standard output. 0 or a negative errno value. */
struct books_out_part {
	const struct mdfh_books *books;
	const struct mdfh_instruments *instruments;
};
int books_out_write(const struct books_out_part *parts, unsigned count, const char *path);

#endif
