/* run_report.h - what `mdfh run` shows: a status line while it runs, a summary at the end. */
#ifndef MDFH_APPS_RUN_REPORT_H
#define MDFH_APPS_RUN_REPORT_H

#include "mdfh/handler.h"

/* Counted by the consumer thread; read when it has ended. */
struct run_consumed {
	uint64_t events;
	uint64_t by_kind[MDFH_EVENT_KINDS];
	uint64_t *by_instrument;
	uint32_t instrument_count;
	unsigned thread; /* receive thread whose rows they are */
};

struct run_report {
	struct mdfh_handler *handler;
	const struct mdfh_handler_config *config;
	const struct run_consumed *consumed;
	uint64_t start_ns; /* CLOCK_MONOTONIC */
	uint64_t last_ns;
	uint64_t last_messages;
};

void run_report_begin(struct run_report *report, struct mdfh_handler *handler,
    const struct mdfh_handler_config *config, const struct run_consumed *consumed);
double run_report_elapsed(const struct run_report *report);

/* One line on standard error; in_place: over the last one. */
void run_report_status(struct run_report *report, int in_place);

/* What each line of an opened handler got, on standard output. */
void run_report_check(struct mdfh_handler *handler, const struct mdfh_handler_config *config);

/* The summary on standard output. Returns 1 if nothing was lost or dropped. */
int run_report_end(struct run_report *report, int json, int quiet);

#endif
