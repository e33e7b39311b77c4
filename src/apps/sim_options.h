/* sim_options.h - the command line of mdfh sim. */
#ifndef MDFH_APPS_SIM_OPTIONS_H
#define MDFH_APPS_SIM_OPTIONS_H

#include "apps/sim_output.h"
#include "sim/sender.h"

enum sim_clock { SIM_CLOCK_DEFAULT, SIM_CLOCK_LIVE, SIM_CLOCK_DAY };

struct sim_options {
	struct sim_endpoint endpoints[MDFH_SENDER_LINES_MAX];
	uint32_t lines;
	const char *interface;
	const char *backend;
	const char *backend_options;
	const char *out;
	const char *books_out;
	const char *date;
	const char *scenario_path;
	struct mdfh_scenario *scenario; /* NULL = the usual day */
	char session[MDFH_PUBLISHER_SESSION_SIZE + 1];
	struct mdfh_drop drop[MDFH_SENDER_LINES_MAX];
	struct mdfh_day_config day;
	double rate;
	double seconds;
	double burst;
	double start_delay_s;
	double linger_s;
	uint64_t heartbeat_ms;
	uint64_t skew_us;
	uint64_t flush_us;
	uint32_t payload;
	uint32_t ttl;
	uint64_t ahead_mib;
	struct sim_endpoint soup; /* port 0: no SoupBinTCP */
	const char *soup_user;
	const char *soup_password;
	uint64_t disconnect_every;
	int is_multicast;     /* a group was named, or there is nothing else to send to */
	uint64_t max_late_us; /* UINT64_MAX = none */
	unsigned wait_s;
	enum sim_clock clock;
	int transmit;
	int json;
	int status;
};

/* 0, or 2 after a complaint. What was left out is the scenario's, else it has its default. */
int sim_options_parse(int argc, char **argv, struct sim_options *options);
void sim_options_free(struct sim_options *options);

/* Whether the day goes into a file of messages, not of packets. */
int sim_options_is_binaryfile(const struct sim_options *options);

#endif
