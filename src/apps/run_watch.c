/* run_watch.c - silent lines, by the handler's counters; interfaces, by asking the kernel. */
#include "apps/run_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/net.h"

enum { PROBLEM_SIZE = 200 };

struct watched_line {
	const char *interface; /* NULL = none was named */
	uint64_t downs;
	uint64_t packets; /* when it fell silent */
	int is_down;
	char problem[PROBLEM_SIZE]; /* of the interface; "" = none */
};

struct run_watch {
	const struct mdfh_handler *handler;
	unsigned channels;
	struct watched_line (*lines)[MDFH_LINES_MAX];
};

struct run_watch *run_watch_create(
    const struct mdfh_handler *handler, const struct mdfh_handler_config *config)
{
	struct run_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	watch->handler = handler;
	watch->channels = config->channels_count;
	watch->lines = calloc(watch->channels, sizeof(*watch->lines));
	if (!watch->lines) {
		free(watch);
		return NULL;
	}
	for (unsigned c = 0; c < watch->channels; c++)
		for (unsigned l = 0; l < config->channels[c].lines_count; l++)
			watch->lines[c][l].interface = config->channels[c].lines[l].interface;
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

static void look_at_interface(struct watched_line *line, const char *before)
{
	char problem[PROBLEM_SIZE] = "";

	(void)mdfh_interface_problem(line->interface, problem, sizeof(problem));
	if (!strcmp(problem, line->problem))
		return;
	memcpy(line->problem, problem, sizeof(problem));
	if (problem[0])
		fprintf(stderr, "%smdfh run: %s\n", before, problem);
	else
		fprintf(stderr, "%smdfh run: interface %s is up again\n", before, line->interface);
}

/* Lines mostly have one interface in common: it is spoken of once. */
static int is_first(const struct run_watch *watch, unsigned channel, unsigned line)
{
	const char *interface = watch->lines[channel][line].interface;

	for (unsigned c = 0; c <= channel; c++)
		for (unsigned l = 0; l < (c == channel ? line : MDFH_LINES_MAX); l++)
			if (watch->lines[c][l].interface &&
			    !strcmp(watch->lines[c][l].interface, interface))
				return 0;
	return 1;
}

void run_watch_look(struct run_watch *watch, const char *before)
{
	for (unsigned c = 0; c < watch->channels; c++) {
		struct mdfh_channel_report channel;

		if (mdfh_handler_channel_report(watch->handler, c, &channel))
			continue;
		for (unsigned l = 0; l < channel.lines; l++) {
			struct watched_line *line = &watch->lines[c][l];

			look_at_line(line, &channel.session.lines[l], channel.name, l, before);
			if (line->interface && is_first(watch, c, l))
				look_at_interface(line, before);
		}
	}
}
