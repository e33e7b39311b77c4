/* other_process.c - a consumer in a process of its own: attaches to what a handler shares by name,
 * counts its events, and shows the book of the instrument that traded last.
 *
 *     other_process RING DEPTH INSTRUMENTS      the shared names in the handler's configuration */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include <mdfh/depth.h>
#include <mdfh/error.h>
#include <mdfh/event.h>
#include <mdfh/instrument.h>
#include <mdfh/ring.h>

static void show(
    const struct mdfh_instruments *instruments, const struct mdfh_depth *depth, uint32_t instrument)
{
	struct mdfh_depth_view view;

	if (mdfh_depth_read(depth, instrument, &view) != 1)
		return;
	printf("%s after %" PRIu64 ", volume %" PRIu64 "%s\n",
	    mdfh_instruments_get(instruments, instrument)->symbol, view.sequence,
	    view.totals.volume, view.is_sound ? "" : ", unsound");
	for (unsigned i = 0; i < view.bids || i < view.asks; i++)
		printf("%10" PRIu64 " %10.4f   %10.4f %10" PRIu64 "\n",
		    i < view.bids ? view.bid[i].quantity : 0,
		    i < view.bids ? (double)view.bid[i].price / 1e9 : 0,
		    i < view.asks ? (double)view.ask[i].price / 1e9 : 0,
		    i < view.asks ? view.ask[i].quantity : 0);
}

/* The handler may be about to start: wait for its names for ten seconds. */
static int attach(char **names, struct mdfh_ring **ring, struct mdfh_depth **depth,
    struct mdfh_instruments **instruments)
{
	const struct timespec nap = {.tv_nsec = 10000000};
	int err = 0;

	for (int tries = 0; tries < 1000; tries++) {
		if (!*instruments)
			err = mdfh_instruments_attach(names[2], instruments);
		if (!err && !*depth)
			err = mdfh_depth_attach(names[1], depth);
		if (!err && !*ring)
			err = mdfh_ring_attach(names[0], ring);
		if (err != -ENOENT && err != -EPROTO) /* not there, or not complete */
			return err;
		nanosleep(&nap, NULL);
		err = 0;
	}
	return -ETIMEDOUT;
}

int main(int argc, char **argv)
{
	const uint64_t patience_ns = 5000000000;
	struct mdfh_instruments *instruments = NULL;
	struct mdfh_depth *depth = NULL;
	struct mdfh_ring *ring = NULL;
	struct mdfh_event event;
	uint64_t events = 0;
	uint64_t lost = 0;
	uint32_t traded = 0;

	if (argc != 4)
		errx(2, "usage: other_process RING DEPTH INSTRUMENTS");
	if (attach(argv + 1, &ring, &depth, &instruments))
		errx(2, "%s", mdfh_error_text());
	/* The ring does not say when its writer ends: silence does. */
	while (mdfh_ring_pop_wait(ring, &event, patience_ns)) {
		events++;
		if (event.kind == MDFH_EVENT_GAP)
			lost += event.gap.count;
		if (event.kind == MDFH_EVENT_TRADE)
			traded = event.instrument;
		if (event.kind == MDFH_EVENT_STATUS && event.code == MDFH_STATUS_END_OF_SYSTEM)
			break;
	}
	if (traded)
		show(instruments, depth, traded);
	printf("%" PRIu64 " events, %" PRIu64 " messages lost\n", events, lost);
	mdfh_instruments_destroy(instruments);
	mdfh_depth_destroy(depth);
	mdfh_ring_destroy(ring);
	return lost ? 1 : 0;
}
