/* books_out.c - every live order of a set of books as text. */
#include "apps/books_out.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "mdfh/error.h"

const char *books_out_symbol(
    const struct mdfh_instruments *instruments, uint32_t row, char *buffer, size_t size)
{
	const struct mdfh_instrument *i = mdfh_instruments_get(instruments, row);

	if (i->symbol[0])
		return i->symbol;
	snprintf(buffer, size, "#%" PRIu64, i->venue_id);
	return buffer;
}

static int compare_rows(const void *a, const void *b, void *instruments)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	char first[32], second[32];
	int order = strcmp(books_out_symbol(instruments, x, first, sizeof(first)),
	    books_out_symbol(instruments, y, second, sizeof(second)));

	return order ? order : (x > y) - (x < y);
}

uint32_t *books_out_rows(const struct mdfh_instruments *instruments, uint32_t *count)
{
	uint32_t n = mdfh_instruments_count(instruments) - 1;
	uint32_t *rows = malloc(((size_t)n + 1) * sizeof(*rows));

	*count = n;
	if (!rows)
		return NULL;
	for (uint32_t i = 0; i < n; i++)
		rows[i] = i + 1;
	qsort_r(rows, n, sizeof(*rows), compare_rows, (void *)(uintptr_t)instruments);
	return rows;
}

static int write_side(
    const struct mdfh_books *books, const char *symbol, uint32_t row, unsigned side, FILE *stream)
{
	int count = mdfh_book_level_count(books, row, side);
	struct mdfh_level *levels;
	struct mdfh_order *orders = NULL;
	int err = 0;

	if (!count)
		return 0;
	levels = malloc((size_t)count * sizeof(*levels));
	if (!levels)
		return mdfh_error(-ENOMEM, "book: no memory for %d price levels", count);
	count = mdfh_book_levels(books, row, side, levels, count);
	for (int k = 0; k < count; k++) {
		size_t bytes = (size_t)levels[k].orders * sizeof(*orders);
		struct mdfh_order *more = realloc(orders, bytes ? bytes : 1);
		int n;

		if (!more) {
			err =
			    mdfh_error(-ENOMEM, "book: no memory for %u orders", levels[k].orders);
			break;
		}
		orders = more;
		n = mdfh_book_orders(
		    books, row, side, levels[k].venue_price, orders, (int)levels[k].orders);
		for (int i = 0; i < n; i++)
			if (fprintf(stream, "%s\t%c\t%" PRId64 "\t%d\t%" PRIu64 "\t%" PRIu32 "\n",
				symbol, side == MDFH_SIDE_BUY ? 'B' : 'S', levels[k].venue_price, i,
				orders[i].order_id, orders[i].quantity) < 0) {
				err = mdfh_error_errno(errno ? -errno : -EIO, "book: writing");
				goto out;
			}
	}
out:
	free(orders);
	free(levels);
	return err;
}

struct row {
	unsigned part;
	uint32_t row;
};

static int compare_parts(const void *a, const void *b, void *context)
{
	const struct books_out_part *parts = context;
	const struct row *x = a, *y = b;
	char first[32], second[32];
	int order =
	    strcmp(books_out_symbol(parts[x->part].instruments, x->row, first, sizeof(first)),
		books_out_symbol(parts[y->part].instruments, y->row, second, sizeof(second)));

	if (!order)
		order = (x->part > y->part) - (x->part < y->part);
	return order ? order : (x->row > y->row) - (x->row < y->row);
}

static int write_all(const struct books_out_part *parts, unsigned part_count, FILE *stream)
{
	size_t count = 0;
	struct row *rows;
	int err = 0;

	for (unsigned p = 0; p < part_count; p++)
		count += mdfh_instruments_count(parts[p].instruments) - 1;
	rows = malloc((count + 1) * sizeof(*rows));
	if (!rows)
		return mdfh_error(-ENOMEM, "book: no memory for %zu instruments", count);
	count = 0;
	for (unsigned p = 0; p < part_count; p++)
		for (uint32_t r = 1; r < mdfh_instruments_count(parts[p].instruments); r++)
			rows[count++] = (struct row){.part = p, .row = r};
	qsort_r(rows, count, sizeof(*rows), compare_parts, (void *)(uintptr_t)parts);
	for (size_t i = 0; i < count && !err; i++) {
		const struct books_out_part *part = &parts[rows[i].part];
		char buffer[32];
		const char *symbol =
		    books_out_symbol(part->instruments, rows[i].row, buffer, sizeof(buffer));

		err = write_side(part->books, symbol, rows[i].row, MDFH_SIDE_BUY, stream);
		if (!err)
			err = write_side(part->books, symbol, rows[i].row, MDFH_SIDE_SELL, stream);
	}
	free(rows);
	return err;
}

int books_out_write(const struct books_out_part *parts, unsigned count, const char *path)
{
	int to_stdout = !strcmp(path, "-"), err;
	FILE *stream = stdout;
	const char *name = path; /* what is opened */
	char *temporary = NULL;
	struct stat info;

	if (!to_stdout) {
		/* A device must not become a file. */
		if (stat(path, &info) || S_ISREG(info.st_mode)) {
			if (asprintf(&temporary, "%s.tmp", path) < 0)
				return mdfh_error(-ENOMEM, "book: no memory");
			name = temporary;
		}
		stream = fopen(name, "we");
		if (!stream) {
			err = mdfh_error_errno(-errno, "book: %s", name);
			goto out;
		}
	}
	err = write_all(parts, count, stream);
	if (!err && fflush(stream))
		err = mdfh_error_errno(errno ? -errno : -EIO, "book: writing");
	if (err)
		mdfh_error(err, "%s: %s", path, mdfh_error_text());
	if (!to_stdout) {
		if (fclose(stream) && !err)
			err = mdfh_error_errno(-errno, "book: writing %s", name);
		if (!err && temporary && rename(temporary, path))
			err = mdfh_error_errno(-errno, "book: renaming %s to %s", temporary, path);
		if (err && temporary)
			remove(temporary);
	}
out:
	free(temporary);
	return err;
}
