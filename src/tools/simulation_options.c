/* simulation_options.c - the command line of kernel_bypass_simulation_test. */
#include "tools/simulation_options.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "apps/option_values.h"
#include "mdfh/version.h"
#include "tools/probe_message.h"

enum {
	KEY_TRANSPORT = 256,
	KEY_HOST,
	KEY_GROUP,
	KEY_INTERFACE,
	KEY_TRANSMIT,
	KEY_SERVER_ONLY,
	KEY_CLIENT_ONLY,
	KEY_BURST,
	KEY_MAX_MESSAGES,
	KEY_BATCH_SIZE,
	KEY_MESSAGE_SIZE,
	KEY_START_DELAY,
	KEY_WAIT,
	KEY_WARMUP,
	KEY_SEED,
	KEY_SERVER_CPU,
	KEY_MODULES,
	KEY_BACKEND_OPTIONS,
	KEY_CPU,
	KEY_RX_RING_SIZE,
	KEY_CLIENT_BATCH,
	KEY_RECEIVE_BUFFER,
	KEY_POLL_TIMEOUT,
	KEY_RING_SLOTS,
	KEY_ZERO_COPY,
	KEY_SPIN,
	KEY_INJECT_LOSS,
	KEY_INJECT_DUPLICATE,
	KEY_INJECT_REORDER,
	KEY_INJECT_DAMAGE,
	KEY_JSON,
};

static const struct argp_option argp_options[] = {
    {0, 0, 0, 0, "Which part to be:", 1},
    {"server-only", KEY_SERVER_ONLY, 0, 0, "Only send", 1},
    {"client-only", KEY_CLIENT_ONLY, 0, 0, "Only receive", 1},
    {0, 0, 0, 0, "Where:", 2},
    {"transport", KEY_TRANSPORT, "tcp|udp|multicast", 0, "How messages travel (tcp)", 2},
    {"host", KEY_HOST, "ADDRESS", 0,
	"TCP: where the server listens; UDP: where it sends to (127.0.0.1)", 2},
    {"port", 'p', "N", 0, "Port number; 0 = any free one, unless server or client is alone (9001)",
	2},
    {"group", KEY_GROUP, "ADDRESS", 0, "Group of multicast (239.255.1.1)", 2},
    {"interface", KEY_INTERFACE, "NAME", 0,
	"Network interface (lo for multicast, else the kernel's choice)", 2},
    {"transmit", KEY_TRANSMIT, 0, 0,
	"Send multicast to any interface and group: others may take it for real", 2},
    {0, 0, 0, 0, "What the server sends, on an absolute schedule:", 3},
    {"rate", 'r', "MSGS/S", 0, "Messages a second, 1 to 10000000 (50000)", 3},
    {"duration", 'd', "S", 0, "For so long; a client alone also ends after it (10)", 3},
    {"max-messages", KEY_MAX_MESSAGES, "N", 0, "So many messages, instead of --duration", 3},
    {"message-size", KEY_MESSAGE_SIZE, "BYTES", 0, "Length of a message, 48 to 8972 (64)", 3},
    {"payload", 0, 0, OPTION_ALIAS, 0, 3},
    {"batch-size", KEY_BATCH_SIZE, "N", 0,
	"Messages due together: in one packet, as far as they fit (10)", 3},
    {"batch", 0, 0, OPTION_ALIAS, 0, 3},
    {"burst", KEY_BURST, "FACTOR", 0,
	"Rate of a burst of 1 ms in every 100 ms, as a multiple of the mean (1: even)", 3},
    {"seed", KEY_SEED, "N", 0, "Of the injected faults and the messages' filling (1)", 3},
    {"start-delay", KEY_START_DELAY, "S", 0,
	"Silence before the first message (2 for a UDP server alone, else 0)", 3},
    {"wait", KEY_WAIT, "S", 0,
	"How long the server waits for its client, and a client alone for the first message (30)",
	3},
    {"server-cpu", KEY_SERVER_CPU, "N", 0, "Pin the sending thread to core N", 3},
    {0, 0, 0, 0, "How the client receives:", 4},
    {"backend", 'b', "NAME", 0,
	"Backend, or the absolute path of its module; asio is another name of socket (asio)", 4},
    {"backend-options", KEY_BACKEND_OPTIONS, "KEY=VALUE,...", 0, "Options of a module", 4},
    {"modules", KEY_MODULES, "FOLDER", 0,
	"Where modules are (modules/ beside the program, else the install folder)", 4},
    {"cpu-core", KEY_CPU, "N", 0, "Pin the receive thread to core N", 4},
    {"cpu", 0, 0, OPTION_ALIAS, 0, 4},
    {"rx-ring-size", KEY_RX_RING_SIZE, "N", 0, "Packets of the receive ring (4096)", 4},
    {"client-batch", KEY_CLIENT_BATCH, "N", 0, "Most packets of one receive call (64)", 4},
    {"receive-buffer", KEY_RECEIVE_BUFFER, "BYTES", 0, "Socket buffer to ask for (16 MiB)", 4},
    {"poll-timeout", KEY_POLL_TIMEOUT, "US", 0, "Longest wait of one receive call (1000)", 4},
    {"ring-slots", KEY_RING_SLOTS, "N", 0, "Slots between receive thread and consumer (65536)", 4},
    {"zero-copy", KEY_ZERO_COPY, 0, 0,
	"Take packets where they lie, if the backend can; the summary says whether it did", 4},
    {"spin", KEY_SPIN, 0, 0, "Poll without sleeping: lower latency, a whole core for each thread",
	4},
    {"warmup", KEY_WARMUP, "S", 0, "Leave the first messages out of the latencies (0)", 4},
    {0, 0, 0, 0, "Faults between the port and the client (not TCP), per million packets:", 5},
    {"inject-loss-ppm", KEY_INJECT_LOSS, "N", 0, "Leave packets out", 5},
    {"inject-duplicate-ppm", KEY_INJECT_DUPLICATE, "N", 0, "Double them", 5},
    {"inject-reorder-ppm", KEY_INJECT_REORDER, "N", 0, "Hold them back behind three others", 5},
    {"inject-damage-ppm", KEY_INJECT_DAMAGE, "N", 0, "Flip one bit", 5},
    {0, 0, 0, 0, "What is shown:", 6},
    {"json", KEY_JSON, 0, 0, "The summary as one JSON object", 6},
    {"quiet", 'q', 0, 0, "No line a second on standard error", 6},
    {"verbose", 'v', 0, 0, "Also the port's capabilities and counters", 6},
    {0},
};

static uint32_t read_u32(
    const struct argp_state *state, const char *name, const char *text, uint32_t min, uint32_t max)
{
	return (uint32_t)option_whole(state, name, text, min, max);
}

static enum probe_transport read_transport(const struct argp_state *state, const char *text)
{
	if (!strcasecmp(text, "tcp"))
		return PROBE_TCP;
	if (!strcasecmp(text, "udp"))
		return PROBE_UDP;
	if (!strcasecmp(text, "multicast") || !strcasecmp(text, "udp_multicast"))
		return PROBE_MULTICAST;
	argp_error(state, "transport is '%s'; it must be tcp, udp or multicast", text);
	return PROBE_TCP;
}

/* Names of the backends that people know from elsewhere. */
static const char *read_backend(const char *text)
{
	if (!strcmp(text, "boost"))
		return "socket";
	if (!strcmp(text, "solarflare"))
		return "ef_vi";
	return text;
}

static void check_whole(const struct argp_state *state, const struct simulation_options *o)
{
	if (o->mode != SIMULATION_BOTH && !o->port)
		argp_error(state, "port is 0; a server or client alone cannot know the other's");
	if (o->transport == PROBE_MULTICAST && !o->port)
		argp_error(state, "port is 0; a multicast group needs one from 1 to 65535");
	if (o->transport != PROBE_MULTICAST && o->group)
		argp_error(state, "group is for --transport multicast");
	if (o->transport == PROBE_MULTICAST && o->host)
		argp_error(state, "host is for udp and tcp; multicast has --group");
}

static error_t parse_place(int key, char *arg, struct argp_state *state)
{
	struct simulation_options *o = state->input;

	switch (key) {
	case KEY_SERVER_ONLY:
	case KEY_CLIENT_ONLY:
		if (o->mode != SIMULATION_BOTH)
			argp_error(state, "server-only and client-only exclude each other; without "
					  "either, this process is both");
		o->mode = key == KEY_SERVER_ONLY ? SIMULATION_SERVER : SIMULATION_CLIENT;
		return 0;
	case KEY_TRANSPORT:
		o->transport = read_transport(state, arg);
		return 0;
	case KEY_HOST:
		o->host = arg;
		return 0;
	case 'p':
		o->port = (uint16_t)option_whole(state, "port", arg, 0, 65535);
		return 0;
	case KEY_GROUP:
		o->group = arg;
		return 0;
	case KEY_INTERFACE:
		o->interface = arg;
		return 0;
	case KEY_TRANSMIT:
		o->may_transmit = 1;
		return 0;
	case KEY_JSON:
		o->json = 1;
		return 0;
	case 'q':
		o->quiet = 1;
		return 0;
	case 'v':
		o->verbose = 1;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is no option; there are options only", arg);
		return 0;
	case ARGP_KEY_END:
		check_whole(state, o);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_server(int key, char *arg, struct argp_state *state)
{
	struct simulation_options *o = state->input;

	switch (key) {
	case 'r':
		o->rate = option_number(state, "rate", arg, 1, 10000000);
		return 0;
	case 'd':
		o->duration_s = option_number(state, "duration", arg, 0.001, 86400);
		return 0;
	case KEY_MAX_MESSAGES:
		o->messages = option_whole(state, "max-messages", arg, 1, 1000000000000ull);
		return 0;
	case KEY_MESSAGE_SIZE:
		o->message_size =
		    read_u32(state, "message-size", arg, PROBE_HEADER, PROBE_MESSAGE_MAX);
		return 0;
	case KEY_BATCH_SIZE:
		o->batch_size = read_u32(state, "batch-size", arg, 1, 1000000);
		return 0;
	case KEY_BURST:
		o->burst = option_number(state, "burst", arg, 1, 50);
		return 0;
	case KEY_SEED:
		o->seed = option_whole(state, "seed", arg, 0, UINT64_MAX);
		return 0;
	case KEY_START_DELAY:
		o->start_delay_s = option_number(state, "start-delay", arg, 0, 3600);
		return 0;
	case KEY_WAIT:
		o->wait_s = read_u32(state, "wait", arg, 1, 86400);
		return 0;
	case KEY_SERVER_CPU:
		o->server_core = (int)option_whole(state, "server-cpu", arg, 0, 1023);
		return 0;
	default:
		return parse_place(key, arg, state);
	}
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct simulation_options *o = state->input;
	const uint32_t ppm_max = 1000000;

	switch (key) {
	case 'b':
		o->backend = read_backend(arg);
		return 0;
	case KEY_BACKEND_OPTIONS:
		o->backend_options = arg;
		return 0;
	case KEY_MODULES:
		o->modules = arg;
		return 0;
	case KEY_CPU:
		o->cpu_core = MDFH_CORE(option_whole(state, "cpu-core", arg, 0, 1023));
		return 0;
	case KEY_RX_RING_SIZE:
		o->rx_ring_size = read_u32(state, "rx-ring-size", arg, 1, UINT32_MAX);
		return 0;
	case KEY_CLIENT_BATCH:
		o->client_batch = read_u32(state, "client-batch", arg, 1, UINT32_MAX);
		return 0;
	case KEY_RECEIVE_BUFFER:
		o->receive_buffer_bytes = option_whole(state, "receive-buffer", arg, 1, UINT64_MAX);
		return 0;
	case KEY_POLL_TIMEOUT:
		o->poll_timeout_us = read_u32(state, "poll-timeout", arg, 1, 1000000);
		return 0;
	case KEY_RING_SLOTS:
		o->ring_slots = read_u32(state, "ring-slots", arg, 2, UINT32_MAX);
		return 0;
	case KEY_ZERO_COPY:
		o->zero_copy = MDFH_ON;
		return 0;
	case KEY_SPIN:
		o->spin = 1;
		return 0;
	case KEY_WARMUP:
		o->warmup_s = option_number(state, "warmup", arg, 0, 3600);
		return 0;
	case KEY_INJECT_LOSS:
		o->fault.loss_ppm = read_u32(state, "inject-loss-ppm", arg, 0, ppm_max);
		return 0;
	case KEY_INJECT_DUPLICATE:
		o->fault.duplicate_ppm = read_u32(state, "inject-duplicate-ppm", arg, 0, ppm_max);
		return 0;
	case KEY_INJECT_REORDER:
		o->fault.reorder_ppm = read_u32(state, "inject-reorder-ppm", arg, 0, ppm_max);
		return 0;
	case KEY_INJECT_DAMAGE:
		o->fault.damage_ppm = read_u32(state, "inject-damage-ppm", arg, 0, ppm_max);
		return 0;
	default:
		return parse_server(key, arg, state);
	}
}

void simulation_options_parse(int argc, char **argv, struct simulation_options *options)
{
	static const struct argp argp = {
	    .options = argp_options,
	    .parser = parse_option,
	    .doc =
		"Send numbered messages through a backend at a rate and account for every one "
		"of them.\v"
		"The server sends at the times of a schedule that waits for nobody; each message "
		"says when it was due, and latency is counted from there. What was sent late is "
		"reported. SIGINT ends the run early, with its summary.\n\n"
		"Exit status: 0 nothing was lost, 1 something was, 2 could not run.",
	};

	*options = (struct simulation_options){
	    .transport = PROBE_TCP,
	    .backend = "asio",
	    .port = 9001,
	    .rate = 50000,
	    .burst = 1,
	    .duration_s = 10,
	    .start_delay_s = -1,
	    .wait_s = 30,
	    .batch_size = 10,
	    .message_size = 64,
	    .seed = 1,
	    .server_core = -1,
	    .ring_slots = 65536,
	};
	argp_err_exit_status = 2;
	argp_program_version = "kernel_bypass_simulation_test " MDFH_VERSION;
	argp_parse(&argp, argc, argv, 0, NULL, options);
	options->fault.seed = options->seed;
	if (options->start_delay_s < 0)
		options->start_delay_s =
		    options->mode == SIMULATION_SERVER && options->transport == PROBE_UDP ? 2 : 0;
	if (!options->interface && options->transport == PROBE_MULTICAST)
		options->interface = "lo";
	if (!options->host)
		options->host = "127.0.0.1";
	if (!options->group)
		options->group = "239.255.1.1";
}

const char *simulation_address(const struct simulation_options *options)
{
	return options->transport == PROBE_MULTICAST ? options->group : options->host;
}

uint64_t simulation_messages(const struct simulation_options *options)
{
	double messages = options->rate * options->duration_s;

	if (options->messages)
		return options->messages;
	return messages < 1 ? 1 : (uint64_t)(messages + 0.5);
}
