/* run_watch.c - silent lines, and streams without a login, by the handler's counters. */
#include "apps/run_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct watched_line {
	uint64_t downs;
	uint64_t packets; /* when it fell silent */
	int is_down;
	/* Of a stream. */
	uint64_t ends;     /* connections that ended before their session did */
	uint64_t failures; /* connections that could not be made */
	int is_out;        /* it was said why it is not logged in */
};

struct run_watch {
	struct mdfh_handler *handler;
	const struct mdfh_handler_config *config;
	unsigned channels;
	struct watched_line (*lines)[MDFH_LINES_MAX];
};

struct run_watch *run_watch_create(
    struct mdfh_handler *handler, const struct mdfh_handler_config *config)
{
	struct run_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	watch->handler = handler;
	watch->config = config;
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

/* Once until it is logged in again, however many attempts fail meanwhile. */
static void look_at_login(struct watched_line *line, const struct mdfh_port_report *port,
    const char *name, const char *server, const char *before)
{
	const struct mdfh_soup_client_stats *login = &port->login;
	const char *reason = mdfh_soup_reason_text((unsigned)login->last_reason);
	int is_in = login->state == MDFH_SOUP_IN;
	uint64_t ends = 0;
	int has_ended;
	int has_failed = port->stats.connect_failures != line->failures;

	for (unsigned r = 1; r < MDFH_SOUP_REASONS; r++)
		if (r != MDFH_SOUP_ENDED)
			ends += login->reasons[r];
	has_ended = ends != line->ends;
	line->ends = ends;
	line->failures = port->stats.connect_failures;
	if (is_in && line->is_out) {
		line->is_out = 0;
		fprintf(stderr, "%smdfh run: %s, server %s: logged in; the next message is %llu\n",
		    before, name, server, (unsigned long long)login->next_sequence);
	} else if (is_in && has_ended) {
		fprintf(stderr,
		    "%smdfh run: %s, server %s: %s; logged in again, the next message is %llu\n",
		    before, name, server, reason, (unsigned long long)login->next_sequence);
	} else if (!is_in && !line->is_out && has_ended) {
		line->is_out = 1;
		fprintf(stderr, "%smdfh run: %s, server %s: %s; %s\n", before, name, server, reason,
		    login->given_up ? "no other login is tried" : "it is tried again");
	} else if (!is_in && !line->is_out && has_failed) {
		line->is_out = 1;
		fprintf(stderr, "%smdfh run: %s, server %s: no connection, %s; it is tried again\n",
		    before, name, server, strerror(port->stats.last_error));
	}
}

static void look_at_line(struct watched_line *line, const struct mdfh_line_stats *stats,
    const char *name, const char *before)
{
	if (stats->downs != line->downs) {
		line->downs = stats->downs;
		line->packets = stats->packets;
		if (line->is_out) /* it was said why */
			return;
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
		for (unsigned l = 0; l < channel.lines; l++) {
			struct watched_line *line = &watch->lines[c][l];
			struct mdfh_port_report port;
			char name[128];

			snprintf(name, sizeof(name), "%s line %c", channel.name, 'A' + (int)l);
			if (!mdfh_handler_port_report(watch->handler, channel.ports[l], &port) &&
			    port.has_login)
				look_at_login(line, &port, name,
				    watch->config->channels[c].lines[l].server, before);
			look_at_line(line, &channel.session.lines[l], name, before);
		}
	}
}
