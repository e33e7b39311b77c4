/* run_report_json.c - the summary of `mdfh run` as JSON. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "apps/latency_log.h"
#include "apps/run_report.h"

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
		    json_pack("{s:s%, s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
			      "s:o, s:o, s:o, s:i}",
			"line", &"ABCD"[l], (size_t)1, "backend", port.backend, "mode",
			port.capabilities->mode, "zero_copy", port.capabilities->zero_copy,
			"packets", integer(line->packets), "delivered", integer(line->delivered),
			"duplicates", integer(line->duplicates), "missing", integer(line->missing),
			"heartbeats", integer(line->heartbeats), "dropped_by_nic",
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
		    json_pack("{s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
			channel.name, "thread", channel.thread, "shard",
			channel.shard < 0 ? json_null() : json_integer(channel.shard), "messages",
			integer(channel.messages), "messages_refused",
			integer(channel.messages_refused), "messages_unknown",
			integer(channel.messages_unknown), "delivered",
			integer(channel.session.delivered), "gaps", integer(channel.session.gaps),
			"lost", integer(channel.session.lost), "lost_by_cause", causes, "lines",
			lines_json(report, &channel)));
	}
	return channels;
}

static json_t *threads_json(const struct run_report *report)
{
	json_t *threads = json_array();

	for (unsigned i = 0; i < mdfh_handler_threads(report->handler); i++) {
		struct mdfh_thread_report t;
		json_t *thread;

		mdfh_handler_thread_report(report->handler, i, &t);
		thread = json_pack("{s:s, s:i, s:o, s:o, s:o, s:i, s:o, s:f, s:f, s:f}", "name",
		    t.name, "thread", t.thread, "worker",
		    t.worker < 0 ? json_null() : json_integer(t.worker), "shard",
		    t.shard < 0 ? json_null() : json_integer(t.shard), "core",
		    t.cpu_core ? json_integer(t.cpu_core - 1) : json_null(), "channels", t.channels,
		    "weight", integer(t.weight), "seconds", (double)t.run_ns / 1e9, "busy",
		    t.run_ns ? (double)t.busy_ns / (double)t.run_ns : 0.0, "busy_peak",
		    run_report_peak(&t));
		if (t.workers)
			json_object_update_new(thread,
			    json_pack("{s:i, s:s}", "workers", t.workers, "sharded",
				t.sharded == MDFH_SHARD_CHANNEL ? "channel" : "instrument"));
		if (t.worker >= 0)
			json_object_update_new(
			    thread, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "messages",
					integer(t.messages), "dropped", integer(t.dropped), "gaps",
					integer(t.gaps), "waits", integer(t.waits), "ring_bytes",
					integer(t.ring_bytes), "ring_high_water_bytes",
					integer(t.ring_high_water_bytes)));
		json_array_append_new(threads, thread);
	}
	return threads;
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
		struct mdfh_histogram *h;

		if (s == MDFH_STAGE_HANDOVER && !latency_log_has_handover(report->handler))
			continue;
		h = run_report_latency(report, s);
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

	if (!run_report_books(report, &stats))
		return json_null();
	errors = json_object();
	for (unsigned e = 0; e < MDFH_BOOK_ERRORS; e++)
		json_object_set_new(errors, mdfh_book_error_name(e), integer(stats.errors[e]));
	json_object_set_new(errors, mdfh_cause_name(MDFH_CAUSE_INSTRUMENTS_FULL),
	    integer(run_report_instruments_refused(report)));
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "orders", integer(stats.orders),
	    "orders_peak", integer(stats.orders_peak), "executions", integer(stats.executions),
	    "memory_bytes", integer(stats.memory_bytes), "errors", errors);
}

void run_report_print_json(
    const struct run_report *report, const struct run_total *total, double seconds)
{
	json_t *kinds = json_object();
	json_t *root;

	for (unsigned k = 1; k < MDFH_EVENT_KINDS; k++)
		if (report->consumed->by_kind[k])
			json_object_set_new(
			    kinds, mdfh_event_kind_name(k), integer(report->consumed->by_kind[k]));
	root = json_pack("{s:f, s:f, s:o, s:o, s:o, s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
			 "s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
	    "seconds", seconds, "active_seconds", total->active_seconds, "packets",
	    integer(total->packets), "bytes", integer(total->bytes), "messages",
	    integer(total->messages), "messages_per_second", run_report_rate(total), "duplicates",
	    integer(total->duplicates), "gaps", integer(total->gaps), "lost", integer(total->lost),
	    "refused", integer(total->refused), "unknown", integer(total->unknown), "host_drops",
	    integer(total->host_drops), "truncated", integer(total->truncated), "events",
	    integer(report->consumed->events), "events_dropped", integer(total->consumer_dropped),
	    "events_by_kind", kinds, "channels", channels_json(report), "threads",
	    threads_json(report), "consumers", consumers_json(report), "books", books_json(report),
	    "latency", latency_json(report));
	json_dumpf(root, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(root);
}
