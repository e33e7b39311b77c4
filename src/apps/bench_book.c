/* bench_book.c - mdfh bench book: decoding and every symbol's book with its queues, no events. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "apps/bench.h"
#include "mdfh/book.h"
#include "mdfh/clock.h"
#include "mdfh/session.h"
#include "proto/decoder.h"

int bench_book(const char *path)
{
	enum { BATCH = 256 };
	static struct mdfh_op ops[BATCH];
	struct mdfh_decoder_config config = {.size = sizeof(config), .midnight_ns = 1};
	struct mdfh_books_config books_config = {
	    .size = sizeof(books_config), .sound_at_start = MDFH_ON};
	struct mdfh_instruments *instruments = NULL;
	struct mdfh_decoder *decoder = NULL;
	struct mdfh_books *books = NULL;
	struct mdfh_binaryfile reader;
	struct bench_timer timer;
	struct bench_file file;
	struct mdfh_span span;
	uint64_t wrong = 0;
	char extra[256];
	int status = 2;

	if (mdfh_clock_start() || bench_file_open(&file, path))
		return 2;
	if (mdfh_instruments_create(65535, &instruments))
		goto out;
	config.instruments = instruments;
	books_config.instruments = instruments;
	if (mdfh_decoder_create("itch50", &config, &decoder) ||
	    mdfh_books_create(&books_config, &books))
		goto out;
	/* The batch array is static: touch it, as a handler's would be. */
	memset(ops, 0xff, sizeof(ops));
	mdfh_binaryfile_open(&reader, 0);
	mdfh_binaryfile_feed(&reader, file.data, file.size);

	bench_start(&timer);
	while (mdfh_binaryfile_rest(&reader, &span)) {
		uint64_t messages, bytes;
		int n, done;

		mdfh_decoder_begin(decoder, &span, MDFH_FRAMING_LENGTH_BE16, 0);
		while ((n = mdfh_decoder_next(decoder, ops, BATCH)) > 0)
			mdfh_book_apply(books, ops, n, NULL, 0, &done);
		messages = mdfh_decoder_took(decoder, &bytes);
		mdfh_binaryfile_took(&reader, messages, bytes);
	}
	bench_stop(&timer);
	for (unsigned i = 0; i < MDFH_BOOK_ERRORS; i++)
		wrong += mdfh_books_stats(books)->errors[i];
	snprintf(extra, sizeof(extra),
	    ",\"orders\":%" PRIu64 ",\"orders_peak\":%" PRIu64 ",\"errors\":%" PRIu64
	    ",\"checksum\":\"%016" PRIx64 "\"",
	    mdfh_books_stats(books)->orders, mdfh_books_stats(books)->orders_peak, wrong,
	    mdfh_books_checksum(books));
	bench_print("book", &timer, reader.sequence - 1, extra);
	status = 0;
out:
	mdfh_books_destroy(books);
	mdfh_decoder_destroy(decoder);
	mdfh_instruments_destroy(instruments);
	bench_file_close(&file);
	return status;
}
