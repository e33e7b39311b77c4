/* run_watch.c - silent lines, streams without a login, and losses, by the handler's counters. */
#include "apps/run_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/text_out.h"

struct watched_line {
	/* As of the last look. */
	uint64_t missing;
	uint64_t downs;
	uint64_t packets; /* when it fell silent */
	int is_down;
	/* Of a stream. */
	uint64_t ends;     /* connections that ended before their session did */
	uint64_t failures; /* connections that could not be made */
	int is_out;        /* it was said why it is not logged in */
};

struct watched_channel {
	uint64_t lost_by_cause[MDFH_CAUSES]; /* as of the last look */
	struct watched_line lines[MDFH_LINES_MAX];
};

/* Of one line, or of several that share it. */
struct watched_port {
	/* As of the last look. */
	uint64_t nic, kernel, socket; /* packets that its path dropped */
	int has_dropped;              /* since the look before */
	char drops[128];              /* how many */
	unsigned lines;
	char first[128]; /* of its lines */
};

struct run_watch {
	struct mdfh_handler *handler;
	const struct mdfh_handler_config *config;
	unsigned count;
	struct watched_channel *channels;
	struct watched_port *ports;
};

static void name_line(char name[128], const struct mdfh_channel_report *channel, unsigned line)
{
	snprintf(name, 128, "%s line %c", channel->name, 'A' + (int)line);
}

static void find_lines_of_ports(struct run_watch *watch)
{
	for (unsigned c = 0; c < watch->count; c++) {
		struct mdfh_channel_report channel;

		if (mdfh_handler_channel_report(watch->handler, c, &channel))
			continue;
		for (unsigned l = 0; l < channel.lines; l++) {
			struct watched_port *port = &watch->ports[channel.ports[l]];

			if (!port->lines++)
				name_line(port->first, &channel, l);
		}
	}
}

struct run_watch *run_watch_create(
    struct mdfh_handler *handler, const struct mdfh_handler_config *config)
{
	struct run_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	watch->handler = handler;
	watch->config = config;
	watch->count = mdfh_handler_channels(handler);
	watch->channels = calloc(watch->count, sizeof(*watch->channels));
	watch->ports = calloc(mdfh_handler_ports(handler), sizeof(*watch->ports));
	if (!watch->channels || !watch->ports) {
		run_watch_destroy(watch);
		return NULL;
	}
	find_lines_of_ports(watch);
	return watch;
}

void run_watch_destroy(struct run_watch *watch)
{
	if (!watch)
		return;
	free(watch->ports);
	free(watch->channels);
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

/* What a counter rose by. One that fell, as missing does when a late packet comes, rose by nothing. */
static uint64_t rise(uint64_t *last, uint64_t now)
{
	uint64_t by = now > *last ? now - *last : 0;

	*last = now;
	return by;
}

/* What this host dropped of what a port should have brought. Of a port of several lines that is said
 * once, before what they lack. */
static void look_at_port(
    struct watched_port *port, const struct mdfh_bypass_stats *stats, const char *before)
{
	uint64_t nic = rise(&port->nic, stats->rx_dropped_nic);
	uint64_t kernel = rise(&port->kernel, stats->rx_dropped_kernel);
	uint64_t socket = rise(&port->socket, stats->rx_dropped_socket);

	port->has_dropped = nic || kernel || socket;
	snprintf(port->drops, sizeof(port->drops),
	    "packets dropped by this host: NIC %s, kernel %s, socket %s", text_grouped(nic),
	    text_grouped(kernel), text_grouped(socket));
	if (port->has_dropped && port->lines > 1)
		fprintf(stderr, "%smdfh run: the port of %s and %u more: %s\n", before, port->first,
		    port->lines - 1, port->drops);
}

/* What this line did not bring, and whether this host is to blame. Another line may have brought it. */
static void look_at_missing(struct watched_line *line, const struct mdfh_line_stats *stats,
    const struct watched_port *port, const struct mdfh_port_report *report, const char *name,
    const char *before)
{
	uint64_t missing = rise(&line->missing, stats->missing);
	const char *blame = "no counter of this host rose";

	if (port->has_dropped)
		blame = port->lines > 1 ? "its port dropped packets" : port->drops;
	else if (!report->stats.known_drops)
		blame = "its port cannot tell what this host drops";
	else if (!report->capabilities->drops_in_recv)
		blame = "whether this host dropped packets is not known yet: the counters of its "
			"port are read now and then";
	if (missing || (port->has_dropped && port->lines == 1))
		fprintf(stderr, "%smdfh run: %s: %s messages missing; %s\n", before, name,
		    text_grouped(missing), blame);
}

/* What no line brought. What was sent before this handler joined was not lost. */
static void look_at_losses(
    struct watched_channel *watched, const struct mdfh_channel_report *channel, const char *before)
{
	for (unsigned cause = 1; cause < MDFH_CAUSES; cause++) {
		uint64_t lost =
		    rise(&watched->lost_by_cause[cause], channel->session.lost_by_cause[cause]);

		if (lost && cause != MDFH_CAUSE_LATE_JOIN)
			fprintf(stderr, "%smdfh run: %s: %s messages lost, cause: %s\n", before,
			    channel->name, text_grouped(lost), mdfh_cause_name(cause));
	}
}

void run_watch_look(struct run_watch *watch, const char *before)
{
	for (unsigned p = 0; p < mdfh_handler_ports(watch->handler); p++) {
		struct mdfh_port_report port;

		if (!mdfh_handler_port_report(watch->handler, p, &port))
			look_at_port(&watch->ports[p], &port.stats, before);
	}
	for (unsigned c = 0; c < watch->count; c++) {
		struct watched_channel *watched = &watch->channels[c];
		struct mdfh_channel_report channel;

		if (mdfh_handler_channel_report(watch->handler, c, &channel))
			continue;
		for (unsigned l = 0; l < channel.lines; l++) {
			const struct mdfh_line_stats *stats = &channel.session.lines[l];
			struct watched_line *line = &watched->lines[l];
			struct mdfh_port_report port;
			char name[128];

			name_line(name, &channel, l);
			mdfh_handler_port_report(watch->handler, channel.ports[l], &port);
			if (port.has_login)
				look_at_login(line, &port, name,
				    watch->config->channels[c].lines[l].server, before);
			look_at_line(line, stats, name, before);
			look_at_missing(
			    line, stats, &watch->ports[channel.ports[l]], &port, name, before);
		}
		look_at_losses(watched, &channel, before);
	}
}
