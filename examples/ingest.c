/* ingest.c - one feed into one program: print trades as they come.
 *
 *     ingest INTERFACE GROUP_A:PORT [GROUP_B:PORT]      e.g. ingest lo 239.1.1.1:26477 */
#include <err.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mdfh/error.h>
#include <mdfh/ingest.h>

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	(void)signal;
	stop = 1;
}

static void on_event(const struct mdfh_ingest *feed, const struct mdfh_event *event)
{
	const struct mdfh_instruments *instruments = mdfh_ingest_instruments(feed);

	switch (event->kind) {
	case MDFH_EVENT_TRADE:
		printf("%s %" PRIu64 " @ %.4f\n",
		    mdfh_instruments_get(instruments, event->instrument)->symbol,
		    event->trade.quantity, (double)event->trade.price / 1e9);
		break;
	case MDFH_EVENT_GAP: /* until they are sound again, do not trust the books */
		printf("lost %" PRIu64 " messages: %s\n", event->gap.count,
		    mdfh_cause_name(event->gap.cause));
		break;
	default:
		break;
	}
}

int main(int argc, char **argv)
{
	const struct timespec nap = {.tv_nsec = 50000};
	struct mdfh_flow lines[2] = {{0}};
	struct mdfh_ingest_config config = {
	    .size = sizeof(config),
	    .bypass = {.size = sizeof(config.bypass), .flows = lines},
	};
	struct mdfh_event events[64];
	struct mdfh_ingest *feed;
	int n;

	if (argc < 3 || argc > 4)
		errx(2, "usage: ingest INTERFACE GROUP_A:PORT [GROUP_B:PORT]");
	config.bypass.interface = argv[1];
	for (int i = 2; i < argc; i++) {
		char *colon = strrchr(argv[i], ':');

		if (!colon)
			errx(2, "'%s' is not GROUP:PORT", argv[i]);
		*colon = '\0';
		lines[i - 2].group = argv[i];
		lines[i - 2].port = (uint16_t)strtoul(colon + 1, NULL, 10);
		config.bypass.flow_count++;
	}
	signal(SIGINT, on_signal);
	if (mdfh_ingest_open(&config, &feed) || mdfh_ingest_start(feed))
		errx(1, "%s", mdfh_error_text());
	while (!stop && (n = mdfh_ingest_next(feed, events, 64)) >= 0) {
		for (int i = 0; i < n; i++)
			on_event(feed, &events[i]);
		if (n == 0)
			nanosleep(&nap, NULL);
	}
	mdfh_ingest_close(feed);
	return 0;
}
