/* run_watch.c - silent lines, by the handler's counters. */
#include "apps/run_watch.h"

#include <stdio.h>
#include <stdlib.h>

struct watched_line {
	uint64_t downs;
	uint64_t packets; /* when it fell silent */
	int is_down;
};

struct run_watch {
	const struct mdfh_handler *handler;
	unsigned channels;
	struct watched_line (*lines)[MDFH_LINES_MAX];
};

struct run_watch *run_watch_create(const struct mdfh_handler *handler)
{
	struct run_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	watch->handler = handler;
	watch->channels = mdfh_handler_channels(handler);
	watch->lines = calloc(watch->channels, sizeof(*watch->lines));
	if (!watch->lines) {
		free(watch);
		return NULL;
	}
	return watch;
}

void run_watch_destroy(struct run_watch *watch)
{
	if (!watch)
		return;
	free(watch->lines);
	free(watch);
}

static void look_at_line(struct watched_line *line, const struct mdfh_line_stats *stats,
    const char *channel, unsigned index, const char *before)
{
	char name[128];

	snprintf(name, sizeof(name), "%s line %c", channel, 'A' + (int)index);
	if (stats->downs != line->downs) {
		line->downs = stats->downs;
		line->packets = stats->packets;
		line->is_down = 1;
		fprintf(stderr,
		    "%smdfh run: %s is down: no packet came for 3 s; see to its sender, its "
		    "network and its interface\n",
		    before, name);
	} else if (line->is_down && stats->packets != line->packets) {
		line->is_down = 0;
		fprintf(stderr, "%smdfh run: %s is up again\n", before, name);
	}
}

void run_watch_look(struct run_watch *watch, const char *before)
{
	for (unsigned c = 0; c < watch->channels; c++) {
		struct mdfh_channel_report channel;

		if (mdfh_handler_channel_report(watch->handler, c, &channel))
			continue;
		for (unsigned l = 0; l < channel.lines; l++)
			look_at_line(&watch->lines[c][l], &channel.session.lines[l], channel.name,
			    l, before);
	}
}
