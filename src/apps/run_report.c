/* run_report.c - status line and summary of `mdfh run`. */
#include "apps/run_report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "apps/text_out.h"

enum { BUSIEST = 3 };

struct total {
	uint64_t packets;
	uint64_t bytes;
	uint64_t messages;
	uint64_t refused;
	uint64_t unknown;
	uint64_t delivered;
	uint64_t duplicates;
	uint64_t gaps;
	uint64_t lost;
	uint64_t host_drops;
	uint64_t truncated; /* packets longer than a frame */
	uint64_t consumer_dropped;
	/* From the first packet to the newest, by this host's clock; 0 = they came at once. What
	 * was waited before and after is no part of a rate. */
	double active_seconds;
};

/* How long it runs is not what a clock says that may be set. */
static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void run_report_begin(struct run_report *report, struct mdfh_handler *handler,
    const struct mdfh_handler_config *config, const struct run_consumed *consumed)
{
	*report = (struct run_report){
	    .handler = handler,
	    .config = config,
	    .consumed = consumed,
	    .start_ns = monotonic_ns(),
	};
	report->last_ns = report->start_ns;
}

double run_report_elapsed(const struct run_report *report)
{
	return (double)(monotonic_ns() - report->start_ns) / 1e9;
}

static struct total add_up(const struct run_report *report)
{
	struct total total = {0};
	int64_t first_ns = INT64_MAX;
	int64_t last_ns = 0;

	for (unsigned i = 0; i < mdfh_handler_ports(report->handler); i++) {
		struct mdfh_port_report port;

		mdfh_handler_port_report(report->handler, i, &port);
		total.packets += port.stats.rx_packets;
		total.bytes += port.stats.rx_bytes;
		total.host_drops += port.stats.rx_dropped_nic + port.stats.rx_dropped_kernel +
				    port.stats.rx_dropped_socket;
	}
	for (unsigned i = 0; i < mdfh_handler_channels(report->handler); i++) {
		struct mdfh_channel_report channel;

		mdfh_handler_channel_report(report->handler, i, &channel);
		total.messages += channel.messages;
		total.refused += channel.messages_refused;
		total.unknown += channel.messages_unknown;
		total.delivered += channel.session.delivered;
		/* What was sent before this handler joined was not lost on the way. */
		total.gaps += channel.session.gaps;
		total.lost +=
		    channel.session.lost - channel.session.lost_by_cause[MDFH_CAUSE_LATE_JOIN];
		for (unsigned l = 0; l < channel.lines; l++) {
			total.duplicates += channel.session.lines[l].duplicates;
			total.truncated += channel.truncated[l];
		}
		if (channel.first_ns && channel.first_ns < first_ns)
			first_ns = channel.first_ns;
		if (channel.last_ns > last_ns)
			last_ns = channel.last_ns;
	}
	if (last_ns > first_ns)
		total.active_seconds = (double)(last_ns - first_ns) / 1e9;
	for (unsigned i = 0; i < report->config->consumers_count; i++) {
		struct mdfh_consumer_stats stats;
		const char *name = report->config->consumers[i].name;

		mdfh_consumer_stats(mdfh_handler_consumer(report->handler, name), &stats);
		total.consumer_dropped += stats.dropped;
	}
	return total;
}

static double message_rate(const struct total *total)
{
	return total->active_seconds > 0 ? (double)total->messages / total->active_seconds : 0;
}

/* Of all receive threads; the caller destroys it. NULL: no memory. */
static struct mdfh_histogram *stage_latency(const struct run_report *report, unsigned stage)
{
	const struct mdfh_histogram *part;
	struct mdfh_histogram *sum;

	/* As large as the handler's own, so that no value is put into another bucket. */
	if (mdfh_histogram_create(MDFH_STAGE_MAX_NS, &sum))
		return NULL;
	for (unsigned t = 0; (part = mdfh_handler_latency(report->handler, t, stage)); t++)
		mdfh_histogram_add(sum, part);
	return sum;
}

/* Of all receive threads. 0 where there are no books. */
static int sum_books(const struct run_report *report, struct mdfh_books_stats *sum)
{
	const struct mdfh_books *books;

	*sum = (struct mdfh_books_stats){0};
	for (unsigned t = 0; (books = mdfh_handler_books(report->handler, t)); t++) {
		const struct mdfh_books_stats *stats = mdfh_books_stats(books);

		sum->orders += stats->orders;
		sum->orders_peak += stats->orders_peak;
		sum->executions += stats->executions;
		sum->memory_bytes += stats->memory_bytes;
		for (unsigned e = 0; e < MDFH_BOOK_ERRORS; e++)
			sum->errors[e] += stats->errors[e];
	}
	return mdfh_handler_books(report->handler, 0) != NULL;
}

void run_report_status(struct run_report *report, int in_place)
{
	struct total total = add_up(report);
	uint64_t now = monotonic_ns();
	double seconds = (double)(now - report->last_ns) / 1e9;
	double rate = seconds > 0 ? (double)(total.messages - report->last_messages) / seconds : 0;

	fprintf(stderr,
	    "%s%5.0f s  %s packets  %s messages  %s messages/s  %s duplicates  %s gaps  %s "
	    "lost%s",
	    in_place ? "\r\033[K" : "", run_report_elapsed(report), text_grouped(total.packets),
	    text_grouped(total.messages), text_grouped((uint64_t)rate),
	    text_grouped(total.duplicates), text_grouped(total.gaps), text_grouped(total.lost),
	    in_place ? "" : "\n");
	fflush(stderr);
	report->last_ns = now;
	report->last_messages = total.messages;
}

/* Rows of the instruments with most events, busiest first. */
static unsigned busiest(const struct run_consumed *consumed, uint32_t rows[BUSIEST])
{
	unsigned n = 0;

	for (uint32_t row = 1; row < consumed->instrument_count; row++) {
		unsigned at;

		if (!consumed->by_instrument[row])
			continue;
		for (at = n;
		     at > 0 && consumed->by_instrument[row] > consumed->by_instrument[rows[at - 1]];
		     at--)
			if (at < BUSIEST)
				rows[at] = rows[at - 1];
		if (at < BUSIEST)
			rows[at] = row;
		if (n < BUSIEST)
			n++;
	}
	return n;
}

void run_report_check(struct mdfh_handler *handler, const struct mdfh_handler_config *config)
{
	for (unsigned i = 0; i < mdfh_handler_channels(handler); i++) {
		struct mdfh_channel_report channel;

		mdfh_handler_channel_report(handler, i, &channel);
		for (unsigned l = 0; l < channel.lines; l++) {
			const struct mdfh_line_config *line = &config->channels[i].lines[l];
			const struct mdfh_bypass_capabilities *can;
			struct mdfh_port_report port;

			mdfh_handler_port_report(handler, channel.ports[l], &port);
			can = port.capabilities;
			printf("%s line %c  %s", channel.name, (char)('A' + l), port.backend);
			if (line->group)
				printf(", %s", line->group);
			if (line->server)
				printf(", server %s", line->server);
			if (line->interface)
				printf(" on %s", line->interface);
			if (line->file)
				printf(", %s", line->file);
			printf(", %s%s", can->zero_copy ? "zero-copy" : "copy: ", can->copy_reason);
			if (can->mode[0])
				printf(", %s", can->mode);
			if (can->receive_buffer_bytes)
				printf(", socket buffer %s bytes",
				    text_grouped(can->receive_buffer_bytes));
			printf("%s\n", can->hugepages ? ", hugepages" : "");
			if (can->warning[0])
				printf("    %s\n", can->warning);
		}
	}
	for (unsigned i = 0; i < config->consumers_count; i++) {
		struct mdfh_consumer_stats stats;

		mdfh_consumer_stats(
		    mdfh_handler_consumer(handler, config->consumers[i].name), &stats);
		printf("consumer %s  %s slots%s%s\n", config->consumers[i].name,
		    text_grouped(stats.capacity),
		    config->consumers[i].shared_name ? ", shared as " : "",
		    config->consumers[i].shared_name ? config->consumers[i].shared_name : "");
	}
}

/* Text ---------------------------------------------------------------------------------------- */

/* What became of a stream's connections and logins. */
static void print_login(const char *channel, unsigned line, const struct mdfh_port_report *port)
{
	const struct mdfh_soup_client_stats *login = &port->login;

	printf("%s line %c  %s", channel, (char)('A' + line),
	    login->given_up ? "given up" : mdfh_soup_state_name((unsigned)login->state));
	if (login->last_reason && login->state != MDFH_SOUP_IN)
		printf(" (%s)", mdfh_soup_reason_text((unsigned)login->last_reason));
	printf(", session '%.16s', %s connections, %s failed, %s logins, %s refused; heartbeats "
	       "%s received, %s sent; %s reads cut a message\n",
	    (const char *)login->session, text_grouped(port->stats.connects),
	    text_grouped(port->stats.connect_failures), text_grouped(login->accepted),
	    text_grouped(login->refused), text_grouped(login->heartbeats_received),
	    text_grouped(login->heartbeats_sent), text_grouped(login->straddled));
	for (unsigned r = 1; r < MDFH_SOUP_REASONS; r++)
		if (login->reasons[r])
			printf("%s line %c  %s times: %s\n", channel, (char)('A' + line),
			    text_grouped(login->reasons[r]), mdfh_soup_reason_text(r));
}

static void print_truncated(
    const struct mdfh_channel_report *channel, unsigned line, uint32_t frame_size)
{
	if (channel->truncated[line])
		printf("%s line %c  %s packets were longer than %u bytes and cut: set frame_size "
		       "(--frame-size) to what the longest of the feed has\n",
		    channel->name, (char)('A' + line), text_grouped(channel->truncated[line]),
		    frame_size);
}

static void print_source(const char *name, uint64_t packets, const char **comma)
{
	if (!packets)
		return;
	printf("%s%s %s", *comma, text_grouped(packets), name);
	*comma = ", ";
}

/* Whose clock stamped the packets, and what it says of itself. */
static void print_times(
    const struct mdfh_channel_report *channel, unsigned line, const struct mdfh_bypass_stats *port)
{
	const struct mdfh_line_times *times = &channel->times[line];
	uint64_t all =
	    times->nic + times->kernel + times->app + times->capture + times->tap + times->none;
	const char *comma = "";

	if (!all)
		return;
	printf("%s line %c  times: ", channel->name, (char)('A' + line));
	print_source("by the NIC", times->nic, &comma);
	print_source("by a tap", times->tap, &comma);
	print_source("by the kernel", times->kernel, &comma);
	print_source("by this program", times->app, &comma);
	print_source("from the capture", times->capture, &comma);
	print_source("without", times->none, &comma);
	printf("; clock in sync: %s\n", times->synced == all ? "all"
					: times->synced      ? text_grouped(times->synced)
							     : "not known of any");
	if (port->rx_trailers_absent || port->rx_trailers_implausible)
		printf("%s line %c  trailers: %s sound, %s packets without, %s implausible\n",
		    channel->name, (char)('A' + line), text_grouped(port->rx_trailers),
		    text_grouped(port->rx_trailers_absent),
		    text_grouped(port->rx_trailers_implausible));
}

static void print_channels(const struct run_report *report)
{
	for (unsigned i = 0; i < mdfh_handler_channels(report->handler); i++) {
		struct mdfh_channel_report channel;

		mdfh_handler_channel_report(report->handler, i, &channel);
		for (unsigned l = 0; l < channel.lines; l++) {
			const struct mdfh_line_stats *line = &channel.session.lines[l];
			struct mdfh_port_report port;
			uint64_t refused = 0;

			mdfh_handler_port_report(report->handler, channel.ports[l], &port);
			for (unsigned e = 1; e < MDFH_SESSION_ERRORS; e++)
				refused += line->errors[e];
			printf("%s line %c  %s packets, %s messages first here, %s duplicates, "
			       "%s missing, %s refused, %s dropped by this host\n",
			    channel.name, (char)('A' + l), text_grouped(line->packets),
			    text_grouped(line->delivered), text_grouped(line->duplicates),
			    text_grouped(line->missing), text_grouped(refused),
			    text_grouped(port.stats.rx_dropped_nic + port.stats.rx_dropped_kernel +
					 port.stats.rx_dropped_socket));
			print_truncated(&channel, l, port.capabilities->frame_size);
			print_times(&channel, l, &port.stats);
			if (port.has_login)
				print_login(channel.name, l, &port);
		}
		for (unsigned cause = 1; cause < MDFH_CAUSES; cause++)
			if (channel.session.lost_by_cause[cause])
				printf("%s missing %s messages, cause: %s\n", channel.name,
				    text_grouped(channel.session.lost_by_cause[cause]),
				    mdfh_cause_name(cause));
	}
	for (unsigned i = 0; i < mdfh_handler_ports(report->handler); i++) {
		struct mdfh_port_report port;

		mdfh_handler_port_report(report->handler, i, &port);
		if (port.capabilities->warning[0])
			printf("warning  %s: %s\n", port.backend, port.capabilities->warning);
		if (port.error && port.error != -ENODATA)
			printf("warning  %s: port %u died: %s\n", port.backend, i,
			    strerror(-port.error));
	}
}

static void print_latency(const struct run_report *report)
{
	printf(
	    "%-10s %10s %10s %10s %10s %10s\n", "latency", "samples", "p50", "p99", "p99.9", "max");
	for (unsigned s = 0; s < MDFH_STAGES; s++) {
		struct mdfh_histogram *h = stage_latency(report, s);

		if (h && mdfh_histogram_count(h))
			printf("%-10s %10s %10s %10s %10s %10s\n", mdfh_stage_name(s),
			    text_grouped(mdfh_histogram_count(h)),
			    text_duration(mdfh_histogram_percentile(h, 50)),
			    text_duration(mdfh_histogram_percentile(h, 99)),
			    text_duration(mdfh_histogram_percentile(h, 99.9)),
			    text_duration(mdfh_histogram_max(h)));
		mdfh_histogram_destroy(h);
	}
}

static void print_books(const struct run_report *report)
{
	unsigned thread = report->consumed->thread;
	const struct mdfh_books *books = mdfh_handler_books(report->handler, thread);
	const struct mdfh_instruments *instruments =
	    mdfh_handler_instruments(report->handler, thread);
	struct mdfh_books_stats stats;
	uint32_t rows[BUSIEST];
	unsigned n = busiest(report->consumed, rows);
	uint64_t refused = 0;

	if (!sum_books(report, &stats))
		return;
	printf("books    %s live orders (peak %s), %s executions, %s MB\n",
	    text_grouped(stats.orders), text_grouped(stats.orders_peak),
	    text_grouped(stats.executions), text_grouped(stats.memory_bytes >> 20));
	for (unsigned t = 0; mdfh_handler_instruments(report->handler, t); t++)
		refused += mdfh_instruments_refused(mdfh_handler_instruments(report->handler, t));
	if (refused)
		printf("books    %s: %s messages of instruments that the table has no row for\n",
		    mdfh_cause_name(MDFH_CAUSE_INSTRUMENTS_FULL), text_grouped(refused));
	for (unsigned e = 0; e < MDFH_BOOK_ERRORS; e++)
		if (stats.errors[e])
			printf("books    %s: %s\n", mdfh_book_error_name(e),
			    text_grouped(stats.errors[e]));
	for (unsigned i = 0; i < n; i++) {
		struct mdfh_level bid = {0};
		struct mdfh_level ask = {0};

		mdfh_book_best(books, rows[i], MDFH_SIDE_BUY, &bid);
		mdfh_book_best(books, rows[i], MDFH_SIDE_SELL, &ask);
		printf("%-8s %10s x %-10.4f  %10.4f x %-10s  %s events\n",
		    mdfh_instruments_get(instruments, rows[i])->symbol, text_grouped(bid.quantity),
		    (double)bid.price / 1e9, (double)ask.price / 1e9, text_grouped(ask.quantity),
		    text_grouped(report->consumed->by_instrument[rows[i]]));
	}
}

/* JSON ---------------------------------------------------------------------------------------- */

static json_t *integer(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static json_t *login_json(const struct mdfh_port_report *port)
{
	const struct mdfh_soup_client_stats *login = &port->login;
	json_t *reasons = json_object();

	for (unsigned r = 1; r < MDFH_SOUP_REASONS; r++)
		json_object_set_new(reasons, mdfh_soup_reason_name(r), integer(login->reasons[r]));
	return json_pack(
	    "{s:s, s:s, s:s#, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "state",
	    mdfh_soup_state_name((unsigned)login->state), "last_reason",
	    mdfh_soup_reason_text((unsigned)login->last_reason), "session",
	    (const char *)login->session, (int)strnlen((const char *)login->session, 16),
	    "connects", integer(port->stats.connects), "connect_failures",
	    integer(port->stats.connect_failures), "disconnects", integer(port->stats.disconnects),
	    "logins", integer(login->logins), "accepted", integer(login->accepted), "refused",
	    integer(login->refused), "heartbeats_received", integer(login->heartbeats_received),
	    "heartbeats_sent", integer(login->heartbeats_sent), "straddled",
	    integer(login->straddled), "ahead", integer(login->ahead), "behind",
	    integer(login->behind), "reasons", reasons);
}

static json_t *times_json(const struct mdfh_line_times *times, const struct mdfh_bypass_stats *port)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "nic",
	    integer(times->nic), "tap", integer(times->tap), "kernel", integer(times->kernel),
	    "app", integer(times->app), "capture", integer(times->capture), "none",
	    integer(times->none), "synced", integer(times->synced), "trailers",
	    integer(port->rx_trailers), "trailers_absent", integer(port->rx_trailers_absent),
	    "trailers_implausible", integer(port->rx_trailers_implausible));
}

static json_t *lines_json(
    const struct run_report *report, const struct mdfh_channel_report *channel)
{
	json_t *lines = json_array();

	for (unsigned l = 0; l < channel->lines; l++) {
		const struct mdfh_line_stats *line = &channel->session.lines[l];
		struct mdfh_port_report port;
		json_t *errors = json_object();

		mdfh_handler_port_report(report->handler, channel->ports[l], &port);
		for (unsigned e = 1; e < MDFH_SESSION_ERRORS; e++)
			json_object_set_new(
			    errors, mdfh_session_error_name(e), integer(line->errors[e]));
		json_array_append_new(lines,
		    json_pack("{s:s%, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
			      "s:o, s:i}",
			"line", &"ABCD"[l], (size_t)1, "backend", port.backend, "packets",
			integer(line->packets), "delivered", integer(line->delivered), "duplicates",
			integer(line->duplicates), "missing", integer(line->missing), "heartbeats",
			integer(line->heartbeats), "dropped_by_nic",
			integer(port.stats.rx_dropped_nic), "dropped_by_kernel",
			integer(port.stats.rx_dropped_kernel), "dropped_by_socket",
			integer(port.stats.rx_dropped_socket), "truncated",
			integer(channel->truncated[l]), "downs", integer(line->downs), "refused",
			errors, "times", times_json(&channel->times[l], &port.stats), "port_error",
			port.error == -ENODATA ? 0 : -port.error));
		if (port.has_login)
			json_object_set_new(json_array_get(lines, l), "login", login_json(&port));
	}
	return lines;
}

static json_t *channels_json(const struct run_report *report)
{
	json_t *channels = json_array();

	for (unsigned i = 0; i < mdfh_handler_channels(report->handler); i++) {
		struct mdfh_channel_report channel;
		json_t *causes = json_object();

		mdfh_handler_channel_report(report->handler, i, &channel);
		for (unsigned cause = 1; cause < MDFH_CAUSES; cause++)
			if (channel.session.lost_by_cause[cause])
				json_object_set_new(causes, mdfh_cause_name(cause),
				    integer(channel.session.lost_by_cause[cause]));
		json_array_append_new(channels,
		    json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name", channel.name,
			"messages", integer(channel.messages), "messages_refused",
			integer(channel.messages_refused), "messages_unknown",
			integer(channel.messages_unknown), "delivered",
			integer(channel.session.delivered), "gaps", integer(channel.session.gaps),
			"lost", integer(channel.session.lost), "lost_by_cause", causes, "lines",
			lines_json(report, &channel)));
	}
	return channels;
}

static json_t *consumers_json(const struct run_report *report)
{
	json_t *consumers = json_array();

	for (unsigned i = 0; i < report->config->consumers_count; i++) {
		const char *name = report->config->consumers[i].name;
		struct mdfh_consumer_stats stats;

		mdfh_consumer_stats(mdfh_handler_consumer(report->handler, name), &stats);
		json_array_append_new(consumers,
		    json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "name", name, "delivered",
			integer(stats.delivered), "dropped", integer(stats.dropped), "gaps",
			integer(stats.gaps), "slots", integer(stats.capacity), "high_water",
			integer(stats.high_water)));
	}
	return consumers;
}

static json_t *latency_json(const struct run_report *report)
{
	json_t *stages = json_object();

	for (unsigned s = 0; s < MDFH_STAGES; s++) {
		struct mdfh_histogram *h = stage_latency(report, s);

		if (!h)
			continue;
		json_object_set_new(stages, mdfh_stage_name(s),
		    json_pack("{s:o, s:o, s:o, s:o, s:o}", "samples",
			integer(mdfh_histogram_count(h)), "p50_ns",
			integer(mdfh_histogram_percentile(h, 50)), "p99_ns",
			integer(mdfh_histogram_percentile(h, 99)), "p999_ns",
			integer(mdfh_histogram_percentile(h, 99.9)), "max_ns",
			integer(mdfh_histogram_max(h))));
		mdfh_histogram_destroy(h);
	}
	return stages;
}

static json_t *books_json(const struct run_report *report)
{
	struct mdfh_books_stats stats;
	json_t *errors;

	if (!sum_books(report, &stats))
		return json_null();
	errors = json_object();
	for (unsigned e = 0; e < MDFH_BOOK_ERRORS; e++)
		json_object_set_new(errors, mdfh_book_error_name(e), integer(stats.errors[e]));
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "orders", integer(stats.orders),
	    "orders_peak", integer(stats.orders_peak), "executions", integer(stats.executions),
	    "memory_bytes", integer(stats.memory_bytes), "errors", errors);
}

static void print_json(const struct run_report *report, const struct total *total, double seconds)
{
	json_t *kinds = json_object();
	json_t *root;

	for (unsigned k = 1; k < MDFH_EVENT_KINDS; k++)
		if (report->consumed->by_kind[k])
			json_object_set_new(
			    kinds, mdfh_event_kind_name(k), integer(report->consumed->by_kind[k]));
	root = json_pack("{s:f, s:f, s:o, s:o, s:o, s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
			 "s:o, s:o, s:o, s:o, s:o, s:o}",
	    "seconds", seconds, "active_seconds", total->active_seconds, "packets",
	    integer(total->packets), "bytes", integer(total->bytes), "messages",
	    integer(total->messages), "messages_per_second", message_rate(total), "duplicates",
	    integer(total->duplicates), "gaps", integer(total->gaps), "lost", integer(total->lost),
	    "refused", integer(total->refused), "unknown", integer(total->unknown), "host_drops",
	    integer(total->host_drops), "truncated", integer(total->truncated), "events",
	    integer(report->consumed->events), "events_dropped", integer(total->consumer_dropped),
	    "events_by_kind", kinds, "channels", channels_json(report), "consumers",
	    consumers_json(report), "books", books_json(report), "latency", latency_json(report));
	json_dumpf(root, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(root);
}

int run_report_end(struct run_report *report, int json, int quiet)
{
	struct total total = add_up(report);
	double seconds = run_report_elapsed(report);
	int lossless = total.lost == 0 && total.refused == 0 && total.truncated == 0 &&
		       total.consumer_dropped == 0;

	if (json) {
		print_json(report, &total, seconds);
		return lossless;
	}
	if (quiet)
		return lossless;
	printf(
	    "received %s packets, %s messages, %s events in %.1f s: %s messages/s from the first "
	    "packet to the last\n",
	    text_grouped(total.packets), text_grouped(total.messages),
	    text_grouped(report->consumed->events), seconds,
	    text_grouped((uint64_t)message_rate(&total)));
	print_channels(report);
	printf("gaps     %s, %s messages lost; %s refused, %s of unknown type; consumer: %s events "
	       "dropped\n",
	    text_grouped(total.gaps), text_grouped(total.lost), text_grouped(total.refused),
	    text_grouped(total.unknown), text_grouped(total.consumer_dropped));
	print_latency(report);
	print_books(report);
	fflush(stdout);
	return lossless;
}
