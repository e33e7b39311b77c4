/* top_of_book.c - a consumer on the receive thread: the best prices of one instrument as they change.
 *
 *     top_of_book CONFIG.yaml SYMBOL
 *
 * The callback may read the books, and holds the feed up for as long as it takes. */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <mdfh/error.h>
#include <mdfh/handler.h>

struct watch {
	const struct mdfh_instruments *instruments;
	const char *symbol;
	uint32_t row; /* 0 until the instrument has been defined */
};

static void on_events(
    void *context, const struct mdfh_event *events, int n, const struct mdfh_books *books)
{
	struct watch *watch = context;
	const struct mdfh_event *last = NULL;
	struct mdfh_level bid = {0};
	struct mdfh_level ask = {0};

	for (int i = 0; i < n; i++) {
		if (!watch->row && events[i].kind == MDFH_EVENT_INSTRUMENT)
			watch->row =
			    mdfh_instruments_find_symbol(watch->instruments, watch->symbol);
		if (watch->row && events[i].instrument == watch->row &&
		    events[i].flags & MDFH_EVENT_TOP)
			last = &events[i];
	}
	if (!last)
		return;
	/* The books are as they stand after the whole batch. */
	mdfh_book_best(books, watch->row, MDFH_SIDE_BUY, &bid);
	mdfh_book_best(books, watch->row, MDFH_SIDE_SELL, &ask);
	printf("%" PRIu64 " %s %" PRIu64 " x %.4f  %.4f x %" PRIu64 "%s\n", last->sequence,
	    watch->symbol, bid.quantity, (double)bid.price / 1e9, (double)ask.price / 1e9,
	    ask.quantity, mdfh_book_is_sound(books, watch->row) ? "" : "  unsound");
}

int main(int argc, char **argv)
{
	const struct timespec tick = {.tv_nsec = 10000000};
	struct mdfh_handler_config *config;
	struct mdfh_handler *handler;
	struct watch watch = {0};

	if (argc != 3)
		errx(2, "usage: top_of_book CONFIG.yaml SYMBOL");
	if (mdfh_handler_config_load(argv[1], &config) || mdfh_handler_create(config, &handler))
		errx(2, "%s", mdfh_error_text());
	mdfh_handler_config_free(config);
	watch.instruments = mdfh_handler_instruments(handler, 0);
	watch.symbol = argv[2];
	if (mdfh_handler_on_events(handler, 0, on_events, &watch) || mdfh_handler_start(handler))
		errx(2, "%s", mdfh_error_text());
	while (mdfh_handler_running(handler) && !mdfh_handler_session_ended(handler))
		nanosleep(&tick, NULL);
	if (mdfh_handler_stop(handler))
		errx(1, "%s", mdfh_error_text());
	mdfh_handler_destroy(handler);
	return 0;
}
