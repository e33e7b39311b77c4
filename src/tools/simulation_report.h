/* simulation_report.h - what kernel_bypass_simulation_test shows. */
#ifndef MDFH_TOOLS_SIMULATION_REPORT_H
#define MDFH_TOOLS_SIMULATION_REPORT_H

#include "tools/probe_client.h"
#include "tools/probe_server.h"
#include "tools/simulation_options.h"

struct simulation_report {
	const struct simulation_options *options;
	const struct probe_server_stats *sent;      /* NULL: the client alone */
	const struct probe_client_result *received; /* NULL: the server alone */
	const struct mdfh_bypass_capabilities *capabilities;
	const char *backend; /* as the port calls itself */
	uint16_t port;
	int is_interrupted;
};

/* Messages that the server has sent, as far as the report can know. */
uint64_t simulation_expected(const struct simulation_report *report);
uint64_t simulation_lost(const struct simulation_report *report);
/* 1 if the end of the run is not known, so that more may have been lost at it. */
int simulation_is_open_ended(const struct simulation_report *report);

/* 1 if nothing was lost, and nothing can have been: what a user interrupted has no end mark, and that
 * is no loss; what the rate was too high for is one. */
int simulation_is_ok(const struct simulation_report *report);

/* One line on standard error; in_place: over the last one. */
void simulation_print_live(const struct probe_server *server,
    const struct probe_client_result *received, double seconds, uint64_t new_messages,
    int in_place);

/* The summary on standard output; 0, or -EIO. */
int simulation_print_text(const struct simulation_report *report);
int simulation_print_json(const struct simulation_report *report);

#endif
