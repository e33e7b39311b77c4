/* trades.c - a consumer on its own thread: every trade and every gap, and how full its ring was.
 *
 *     trades CONFIG.yaml      the configuration has a consumer named "trades" */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include <mdfh/error.h>
#include <mdfh/handler.h>

static void on_event(const struct mdfh_instruments *instruments, const struct mdfh_event *event)
{
	if (event->kind == MDFH_EVENT_TRADE)
		printf("%s %s %" PRIu64 " @ %.4f\n",
		    mdfh_instruments_get(instruments, event->instrument)->symbol,
		    mdfh_side_name(event->side), event->trade.quantity,
		    (double)event->trade.price / 1e9);
	else if (event->kind == MDFH_EVENT_GAP)
		printf("lost %" PRIu64 " messages from %" PRIu64 ": %s\n", event->gap.count,
		    event->gap.first, mdfh_cause_name(event->gap.cause));
}

int main(int argc, char **argv)
{
	const struct timespec nap = {.tv_nsec = 50000};
	const struct mdfh_instruments *instruments;
	struct mdfh_handler_config *config;
	struct mdfh_consumer_stats stats;
	struct mdfh_consumer *consumer;
	struct mdfh_handler *handler;
	int running = 1;

	if (argc != 2)
		errx(2, "usage: trades CONFIG.yaml");
	if (mdfh_handler_config_load(argv[1], &config) || mdfh_handler_create(config, &handler))
		errx(2, "%s", mdfh_error_text());
	mdfh_handler_config_free(config);
	consumer = mdfh_handler_consumer(handler, "trades");
	if (!consumer)
		errx(2, "%s has no consumer named trades", argv[1]);
	instruments = mdfh_handler_instruments(handler, 0);
	if (mdfh_handler_start(handler))
		errx(2, "%s", mdfh_error_text());
	for (;;) {
		const struct mdfh_event *events;
		uint32_t n = mdfh_consumer_peek(consumer, 256, &events);

		for (uint32_t i = 0; i < n; i++)
			on_event(instruments, &events[i]);
		mdfh_consumer_done(consumer, n);
		if (n)
			continue;
		if (!running)
			break;
		nanosleep(&nap, NULL);
		/* Stopped before the last look: what was written until then is still read. */
		if (!mdfh_handler_running(handler) || mdfh_handler_session_ended(handler)) {
			if (mdfh_handler_stop(handler))
				warnx("%s", mdfh_error_text());
			running = 0;
		}
	}
	mdfh_consumer_stats(consumer, &stats);
	fprintf(stderr, "%" PRIu64 " events, %" PRIu64 " dropped, ring at most %u of %u full\n",
	    stats.delivered, stats.dropped, stats.high_water, stats.capacity);
	mdfh_handler_destroy(handler);
	return stats.dropped ? 1 : 0;
}
