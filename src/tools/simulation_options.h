/* simulation_options.h - the command line of kernel_bypass_simulation_test. */
#ifndef MDFH_TOOLS_SIMULATION_OPTIONS_H
#define MDFH_TOOLS_SIMULATION_OPTIONS_H

#include "mdfh/bypass.h"
#include "tools/probe_server.h"

enum simulation_mode { SIMULATION_BOTH, SIMULATION_SERVER, SIMULATION_CLIENT };

struct simulation_options {
	enum simulation_mode mode;
	enum probe_transport transport;
	const char *backend;
	const char *modules; /* folder; NULL = beside the program, or the install folder */
	const char *host;
	const char *group;
	const char *interface;
	uint16_t port;
	double rate;
	double burst;
	double duration_s;
	double warmup_s;
	double start_delay_s; /* negative: what the mode and the transport need */
	unsigned wait_s;
	uint64_t messages; /* 0 = rate times duration */
	uint32_t batch_size;
	uint32_t message_size;
	uint64_t seed;
	int server_core; /* -1 = not pinned */
	int may_transmit;
	/* Of the client's port. */
	uint32_t cpu_core; /* as in struct mdfh_bypass_config */
	uint32_t rx_ring_size;
	uint32_t client_batch;
	uint64_t receive_buffer_bytes;
	uint32_t poll_timeout_us;
	uint32_t ring_slots;
	enum mdfh_switch zero_copy;
	const char *backend_options;
	struct mdfh_fault_config fault;
	int spin;
	/* Of the output. */
	int json;
	int quiet;
	int verbose;
};

/* Complains and exits with 2, or fills in what was asked for and the defaults of the rest. */
void simulation_options_parse(int argc, char **argv, struct simulation_options *options);

/* Where messages go to: the group of multicast, else the host. */
const char *simulation_address(const struct simulation_options *options);

/* Messages of the whole run. */
uint64_t simulation_messages(const struct simulation_options *options);

#endif
