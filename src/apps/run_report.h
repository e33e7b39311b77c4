/* run_report.h - what `mdfh run` shows: a status line while it runs, a summary at the end. */
#ifndef MDFH_APPS_RUN_REPORT_H
#define MDFH_APPS_RUN_REPORT_H

#include "mdfh/handler.h"

/* Counted by the consumer thread; read when it has ended. */
struct run_consumed {
	uint64_t events;
	uint64_t by_kind[MDFH_EVENT_KINDS];
	uint64_t *by_instrument; /* shard * instrument_count + row */
	uint32_t instrument_count;
};

struct run_report {
	struct mdfh_handler *handler;
	const struct mdfh_handler_config *config;
	const struct run_consumed *consumed;
	uint64_t start_ns; /* CLOCK_MONOTONIC */
	uint64_t last_ns;
	uint64_t last_messages;
};

/* Of all channels, ports and consumers. */
struct run_total {
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

void run_report_begin(struct run_report *report, struct mdfh_handler *handler,
    const struct mdfh_handler_config *config, const struct run_consumed *consumed);
double run_report_elapsed(const struct run_report *report);

/* One line on standard error; in_place: over the last one. */
void run_report_status(struct run_report *report, int in_place);

/* What each line of an opened handler got, on standard output. */
void run_report_check(struct mdfh_handler *handler, const struct mdfh_handler_config *config);

/* The summary on standard output. Returns 1 if nothing was lost or dropped and books had room. */
int run_report_end(struct run_report *report, int json, int quiet);

/* For the summary in either form. */
struct run_total run_report_add_up(const struct run_report *report);
double run_report_rate(const struct run_total *total); /* messages a second */
/* A stage of all shards; the caller destroys it. NULL: no memory. */
struct mdfh_histogram *run_report_latency(const struct run_report *report, unsigned stage);
/* Of all shards. 0 where there are no books. */
int run_report_books(const struct run_report *report, struct mdfh_books_stats *sum);
/* Messages of instruments that the table had no row for, of all shards. */
uint64_t run_report_instruments_refused(const struct run_report *report);
/* Share of work in a thread's busiest tenth of a second; the whole's, if that is more. */
double run_report_peak(const struct mdfh_thread_report *thread);
void run_report_print_json(
    const struct run_report *report, const struct run_total *total, double seconds);

#endif
