/* run_report.c - status line and summary of `mdfh run`. */
#include "apps/run_report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "apps/text_out.h"

enum { BUSIEST = 3 };

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

struct run_total run_report_add_up(const struct run_report *report)
{
	struct run_total total = {0};
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

double run_report_rate(const struct run_total *total)
{
	return total->active_seconds > 0 ? (double)total->messages / total->active_seconds : 0;
}

struct mdfh_histogram *run_report_latency(const struct run_report *report, unsigned stage)
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

int run_report_books(const struct run_report *report, struct mdfh_books_stats *sum)
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

uint64_t run_report_instruments_refused(const struct run_report *report)
{
	uint64_t refused = 0;

	for (unsigned i = 0; i < mdfh_handler_shards(report->handler); i++)
		refused += mdfh_instruments_refused(mdfh_handler_instruments(report->handler, i));
	return refused;
}

/* Messages that came, and of which the books kept nothing for want of room. */
static uint64_t without_room(const struct run_report *report)
{
	struct mdfh_books_stats books;

	if (!run_report_books(report, &books))
		return 0;
	return run_report_instruments_refused(report) + books.errors[MDFH_BOOK_ORDERS_FULL] +
	       books.errors[MDFH_BOOK_LEVELS_FULL];
}

double run_report_peak(const struct mdfh_thread_report *thread)
{
	double whole = thread->run_ns ? (double)thread->busy_ns / (double)thread->run_ns : 0;
	double peak = (double)thread->peak_ppm / 1e6;

	return peak > whole ? peak : whole;
}

void run_report_status(struct run_report *report, int in_place)
{
	struct run_total total = run_report_add_up(report);
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

/* Places in by_instrument of those with most events, busiest first. */
static unsigned busiest(const struct run_report *report, size_t places[BUSIEST])
{
	const struct run_consumed *consumed = report->consumed;
	size_t count = (size_t)consumed->instrument_count * mdfh_handler_shards(report->handler);
	unsigned n = 0;

	for (size_t place = 0; place < count; place++) {
		unsigned at;

		if (!consumed->by_instrument[place] || place % consumed->instrument_count == 0)
			continue;
		for (at = n; at > 0 && consumed->by_instrument[place] >
					   consumed->by_instrument[places[at - 1]];
		     at--)
			if (at < BUSIEST)
				places[at] = places[at - 1];
		if (at < BUSIEST)
			places[at] = place;
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
		struct mdfh_histogram *h = run_report_latency(report, s);

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

static void print_threads(const struct run_report *report)
{
	for (unsigned i = 0; i < mdfh_handler_threads(report->handler); i++) {
		struct mdfh_thread_report t;
		double load;

		mdfh_handler_thread_report(report->handler, i, &t);
		load = t.run_ns ? (double)t.busy_ns / (double)t.run_ns : 0;
		printf("thread   %-15s", t.name);
		if (t.cpu_core)
			printf(" core %u", t.cpu_core - 1);
		printf(" %5.1f %% busy (at most %.1f %%), ", 100 * load, 100 * run_report_peak(&t));
		if (t.worker >= 0)
			printf("%s messages, ring %.0f %% full at most, %s dropped, %s waits\n",
			    text_grouped(t.messages),
			    100 * (double)t.ring_high_water_bytes / (double)t.ring_bytes,
			    text_grouped(t.dropped), text_grouped(t.waits));
		else if (t.workers)
			printf("receives %u channel%s for %u worker%s by %s\n", t.channels,
			    t.channels == 1 ? "" : "s", t.workers, t.workers == 1 ? "" : "s",
			    t.sharded == MDFH_SHARD_CHANNEL ? "channel" : "instrument");
		else
			printf("%u channel%s\n", t.channels, t.channels == 1 ? "" : "s");
	}
}

static void print_instrument(const struct run_report *report, size_t place)
{
	unsigned shard = (unsigned)(place / report->consumed->instrument_count);
	uint32_t row = (uint32_t)(place % report->consumed->instrument_count);
	const struct mdfh_books *books = mdfh_handler_books(report->handler, shard);
	struct mdfh_level bid = {0};
	struct mdfh_level ask = {0};

	mdfh_book_best(books, row, MDFH_SIDE_BUY, &bid);
	mdfh_book_best(books, row, MDFH_SIDE_SELL, &ask);
	printf("%-8s %10s x %-10.4f  %10.4f x %-10s  %s events\n",
	    mdfh_instruments_get(mdfh_handler_instruments(report->handler, shard), row)->symbol,
	    text_grouped(bid.quantity), (double)bid.price / 1e9, (double)ask.price / 1e9,
	    text_grouped(ask.quantity), text_grouped(report->consumed->by_instrument[place]));
}

static void print_books(const struct run_report *report)
{
	struct mdfh_books_stats stats;
	size_t places[BUSIEST];
	unsigned n = busiest(report, places);
	uint64_t refused = run_report_instruments_refused(report);

	if (!run_report_books(report, &stats))
		return;
	printf("books    %s live orders (peak %s), %s executions, %s MB\n",
	    text_grouped(stats.orders), text_grouped(stats.orders_peak),
	    text_grouped(stats.executions), text_grouped(stats.memory_bytes >> 20));
	if (refused)
		printf(
		    "books    %s: %s messages of instruments that the table has no row for; raise "
		    "instruments_max\n",
		    mdfh_cause_name(MDFH_CAUSE_INSTRUMENTS_FULL), text_grouped(refused));
	for (unsigned e = 0; e < MDFH_BOOK_ERRORS; e++)
		if (stats.errors[e])
			printf("books    %s: %s%s\n", mdfh_book_error_name(e),
			    text_grouped(stats.errors[e]),
			    e == MDFH_BOOK_ORDERS_FULL   ? "; raise orders_max (--orders-max)"
			    : e == MDFH_BOOK_LEVELS_FULL ? "; raise levels_max (--levels-max)"
							 : "");
	for (unsigned i = 0; i < n; i++)
		print_instrument(report, places[i]);
}

/* Symbols that were asked for in vain: misspelt, perhaps. consumer: NULL = the whole handler's. */
static void print_unmet(
    const struct run_report *report, const char *consumer, char *const *symbols, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		uint32_t row = 0;

		for (unsigned s = 0; !row && s < mdfh_handler_shards(report->handler); s++)
			row = mdfh_instruments_find_symbol(
			    mdfh_handler_instruments(report->handler, s), symbols[i]);
		if (!row)
			printf("warning  %s%ssymbol '%s': no instrument of that name was met\n",
			    consumer ? consumer : "", consumer ? ": " : "", symbols[i]);
	}
}

static void print_symbols(const struct run_report *report)
{
	const struct mdfh_handler_config *config = report->config;

	print_unmet(report, NULL, config->symbols, config->symbols_count);
	for (unsigned i = 0; i < config->consumers_count; i++)
		print_unmet(report, config->consumers[i].name, config->consumers[i].symbols,
		    config->consumers[i].symbols_count);
}

/* A capture that could not be read to its end is no error of the port, which has all that came before.
 * Said here where the summary does not. */
static int captures_are_whole(const struct run_report *report, int say)
{
	int whole = 1;

	for (unsigned i = 0; i < mdfh_handler_ports(report->handler); i++) {
		struct mdfh_port_report port;

		mdfh_handler_port_report(report->handler, i, &port);
		if (!port.capabilities->is_finite || !port.capabilities->warning[0])
			continue;
		whole = 0;
		if (say)
			fprintf(stderr, "mdfh run: %s\n", port.capabilities->warning);
	}
	return whole;
}

int run_report_end(struct run_report *report, int json, int quiet)
{
	struct run_total total = run_report_add_up(report);
	double seconds = run_report_elapsed(report);
	int lossless = captures_are_whole(report, json || quiet) && total.lost == 0 &&
		       total.refused == 0 && total.truncated == 0 && total.consumer_dropped == 0 &&
		       without_room(report) == 0;

	if (json) {
		run_report_print_json(report, &total, seconds);
		return lossless;
	}
	if (quiet)
		return lossless;
	printf(
	    "received %s packets, %s messages, %s events in %.1f s: %s messages/s from the first "
	    "packet to the last\n",
	    text_grouped(total.packets), text_grouped(total.messages),
	    text_grouped(report->consumed->events), seconds,
	    text_grouped((uint64_t)run_report_rate(&total)));
	print_channels(report);
	printf("gaps     %s, %s messages lost; %s refused, %s of unknown type; consumer: %s events "
	       "dropped\n",
	    text_grouped(total.gaps), text_grouped(total.lost), text_grouped(total.refused),
	    text_grouped(total.unknown), text_grouped(total.consumer_dropped));
	print_latency(report);
	print_threads(report);
	print_books(report);
	print_symbols(report);
	fflush(stdout);
	return lossless;
}
