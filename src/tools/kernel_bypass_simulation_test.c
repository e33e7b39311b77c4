/* kernel_bypass_simulation_test.c - a server and a client of numbered messages, at a rate, through
 * any backend and transport, in one process or in two.
 *
 * The server is a thread; the main thread is the client's consumer. SIGINT and SIGTERM stop the
 * server, which then sends its end mark, so that even an interrupted run is accounted for to the
 * last message. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/std_streams.h"
#include "mdfh/clock.h"
#include "mdfh/cpu.h"
#include "mdfh/error.h"
#include "tools/build_modules.h"
#include "tools/probe_message.h"
#include "tools/simulation_report.h"

#define FOREVER_NS (UINT64_C(1) << 62)

enum {
	EXIT_LOST = 1,
	EXIT_NOT_RUN = 2,
	SILENCE_S = 5, /* after which a server is taken for dead */
};

struct simulation {
	struct simulation_options options;
	struct probe_server *server;
	struct probe_client *client;
	uint64_t start_ns;
	uint64_t live_messages;
};

/* Read by the signal handler, which runs in whichever thread the signal hits. */
static _Atomic(struct probe_server *) interrupted_server;
static atomic_int interrupted;
static atomic_int stop_client;

static void on_signal(int number)
{
	struct probe_server *server = atomic_load(&interrupted_server);

	(void)number;
	atomic_store(&interrupted, 1);
	if (server)
		probe_server_stop(server);
	else
		atomic_store(&stop_client, 1);
}

/* The first signal ends the run with its summary; a second one ends the program. */
static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static int complain(const char *text)
{
	fprintf(stderr, "kernel_bypass_simulation_test: %s\n", text);
	return EXIT_NOT_RUN;
}

/* Server ---------------------------------------------------------------------------- */

/* A number that tells this run from others, and depends on the seed. */
static uint64_t make_run(uint64_t seed)
{
	uint64_t run = (seed + 1) * 0x9E3779B97F4A7C15u ^ mdfh_clock_now_ns();

	return run ? run : 1;
}

static int open_server(struct simulation *s, uint16_t port, uint64_t run)
{
	const struct simulation_options *o = &s->options;
	uint64_t give_up_ns = (uint64_t)(o->duration_s * 1e9);
	const struct probe_server_config config = {
	    .transport = o->transport,
	    .host = simulation_address(o),
	    .interface = o->interface,
	    .port = port,
	    .may_transmit = o->may_transmit,
	    .rate = o->rate,
	    .burst = o->burst,
	    .messages = simulation_messages(o),
	    .batch_size = o->batch_size,
	    .message_size = o->message_size,
	    .run = run,
	    .give_up_ns = give_up_ns < 5000000000 ? 5000000000 : give_up_ns,
	};
	int err = probe_server_open(&config, &s->server);

	if (!err)
		atomic_store(&interrupted_server, s->server);
	if (!err && atomic_load(&interrupted))
		probe_server_stop(s->server);
	return err;
}

static struct probe_server_start server_start(const struct simulation_options *o)
{
	return (struct probe_server_start){.core = o->server_core,
	    .wait_s = o->wait_s,
	    .delay_ns = (uint64_t)(o->start_delay_s * 1e9)};
}

/* Client ----------------------------------------------------------------------------- */

static int open_client(struct simulation *s, uint16_t port, uint64_t run)
{
	const struct simulation_options *o = &s->options;
	uint32_t payload = o->message_size > PROBE_PAYLOAD ? o->message_size : PROBE_PAYLOAD;
	const struct mdfh_flow flow = {.group = simulation_address(o), .port = port};
	const struct mdfh_bypass_config port_config = {
	    .size = sizeof(port_config),
	    .backend = o->backend,
	    .interface = o->interface,
	    .flows = &flow,
	    .flow_count = 1,
	    .direction = MDFH_DIRECTION_RECEIVE,
	    .transport = o->transport == PROBE_TCP ? MDFH_TRANSPORT_TCP : MDFH_TRANSPORT_UDP,
	    .rx_ring_size = o->rx_ring_size,
	    .batch_size = o->client_batch,
	    .frame_size = payload > 2048 ? payload : 0,
	    .receive_buffer_bytes = o->receive_buffer_bytes,
	    .poll_timeout_us = o->poll_timeout_us,
	    .cpu_core = o->cpu_core,
	    .enable_zero_copy = o->zero_copy,
	    .backend_options = o->backend_options,
	};
	const struct mdfh_fault_config *f = &o->fault;
	struct probe_client_config config = {
	    .bypass = port_config,
	    .run = run,
	    .ring_slots = o->ring_slots,
	    .spin = o->spin,
	    .warmup_ns = (uint64_t)(o->warmup_s * 1e9),
	};

	if (f->loss_ppm || f->duplicate_ppm || f->reorder_ppm || f->damage_ppm)
		config.bypass = (struct mdfh_bypass_config){
		    .size = sizeof(config.bypass),
		    .backend = "fault",
		    .lower = &port_config,
		    .fault = *f,
		    .cpu_core = o->cpu_core,
		    .poll_timeout_us = o->poll_timeout_us,
		};
	return probe_client_open(&config, &s->client);
}

static void show_live(void *context)
{
	struct simulation *s = context;
	const struct probe_client_result *result = probe_client_result(s->client);
	double seconds = (double)(mdfh_clock_now_ns() - s->start_ns) / 1e9;

	simulation_print_live(s->server, result, seconds, result->tally.unique - s->live_messages,
	    isatty(STDERR_FILENO));
	s->live_messages = result->tally.unique;
}

static int consume(struct simulation *s)
{
	const struct simulation_options *o = &s->options;
	const int is_alone = o->mode == SIMULATION_CLIENT;
	/* A server in this process says itself when it has ended. */
	const struct probe_client_limits limits = {
	    .first_wait_ns = is_alone ? o->wait_s * UINT64_C(1000000000) : FOREVER_NS,
	    .silence_ns =
		is_alone ? (uint64_t)((SILENCE_S + 2 * o->batch_size / o->rate) * 1e9) : FOREVER_NS,
	    .duration_ns =
		is_alone && !o->messages ? (uint64_t)((o->duration_s + SILENCE_S) * 1e9) : 0,
	    .sender_done = is_alone ? NULL : probe_server_done(s->server),
	    .stop = is_alone ? &stop_client : NULL,
	    .live = o->quiet ? NULL : show_live,
	    .live_context = s,
	};
	int err;

	s->start_ns = mdfh_clock_now_ns();
	err = probe_client_run(s->client, &limits);
	if (!o->quiet && isatty(STDERR_FILENO))
		fputc('\n', stderr);
	return err;
}

/* The whole -------------------------------------------------------------------------------- */

static int report(const struct simulation *s, uint16_t port)
{
	struct simulation_report report = {
	    .options = &s->options,
	    .sent = s->server ? probe_server_stats(s->server) : NULL,
	    .received = s->client ? probe_client_result(s->client) : NULL,
	    .capabilities = s->client ? probe_client_capabilities(s->client) : NULL,
	    .backend = s->client ? probe_client_backend(s->client) : NULL,
	    .port = port,
	    .is_interrupted = atomic_load(&interrupted),
	};
	int err = s->options.json ? simulation_print_json(&report) : simulation_print_text(&report);

	/* What standard output could not take is told at the end of the program. */
	if (err && !std_streams_closed())
		return complain("no memory for the report");
	return simulation_is_ok(&report) ? 0 : EXIT_LOST;
}

static int run_both(struct simulation *s)
{
	const struct simulation_options *o = &s->options;
	uint64_t run = make_run(o->seed);
	const struct probe_server_start start = server_start(o);
	uint16_t port = o->port;
	int server_error;
	int status;
	int err;

	/* Each needs the other's port number if it was left to the kernel. */
	if (o->transport == PROBE_TCP) {
		err = open_server(s, port, run);
		if (!err)
			port = probe_server_port(s->server);
		if (!err)
			err = open_client(s, port, run);
	} else {
		err = open_client(s, port, run);
		if (!err)
			port = probe_client_port(s->client);
		if (!err)
			err = open_server(s, port, run);
	}
	if (err)
		return complain(mdfh_error_text());
	err = probe_server_serve_on_thread(s->server, &start);
	if (err)
		return complain(mdfh_error_text());
	err = consume(s);
	if (err)
		complain(mdfh_error_text());
	probe_server_stop(s->server);
	server_error = probe_server_join(s->server);
	if (server_error)
		complain(mdfh_error_text());
	if (server_error && !probe_server_sent(s->server))
		return EXIT_NOT_RUN;
	status = report(s, port);
	return err || server_error ? EXIT_NOT_RUN : status;
}

static int run_server_alone(struct simulation *s)
{
	const struct simulation_options *o = &s->options;
	const struct probe_server_start start = server_start(o);
	int err = open_server(s, o->port, make_run(o->seed));

	if (err)
		return complain(mdfh_error_text());
	if (!o->quiet)
		fprintf(stderr, "serving %s on %s port %u\n", probe_transport_name(o->transport),
		    simulation_address(o), probe_server_port(s->server));
	err = probe_server_serve(s->server, &start);
	if (err && !probe_server_sent(s->server))
		return complain(mdfh_error_text());
	if (err == -EPIPE) { /* and whether it has lost something, only the client can say */
		fprintf(stderr, "kernel_bypass_simulation_test: %s after %llu messages\n",
		    mdfh_error_text(), (unsigned long long)probe_server_sent(s->server));
		report(s, probe_server_port(s->server));
		return EXIT_LOST;
	}
	if (err)
		complain(mdfh_error_text());
	return err ? EXIT_NOT_RUN : report(s, probe_server_port(s->server));
}

static int run_client_alone(struct simulation *s)
{
	const struct simulation_options *o = &s->options;
	int err = open_client(s, o->port, 0);

	if (err)
		return complain(mdfh_error_text());
	if (!o->quiet)
		fprintf(stderr, "waiting for %s on %s port %u\n",
		    probe_transport_name(o->transport), simulation_address(o), o->port);
	err = consume(s);
	if (err == -ETIMEDOUT) {
		const struct probe_client_result *r = probe_client_result(s->client);

		fprintf(stderr,
		    "kernel_bypass_simulation_test: no message came over %s from %s port %u within "
		    "%u s%s%s; start the server, or allow more time with --wait\n",
		    probe_transport_name(o->transport), simulation_address(o), o->port, o->wait_s,
		    r->port.last_error ? ": " : "",
		    r->port.last_error ? strerror(r->port.last_error) : "");
		return EXIT_NOT_RUN;
	}
	if (err && err != -EINTR) {
		complain(mdfh_error_text());
		report(s, o->port);
		return EXIT_NOT_RUN;
	}
	return report(s, o->port);
}

int main(int argc, char **argv)
{
	static struct simulation simulation;
	struct simulation *s = &simulation;
	int status;

	std_streams_guard("kernel_bypass_simulation_test");
	simulation_options_parse(argc, argv, &s->options);
	catch_signals();
	if (mdfh_clock_start() || build_modules_use(s->options.modules))
		return complain(mdfh_error_text());
	if (s->options.mode == SIMULATION_SERVER)
		status = run_server_alone(s);
	else if (s->options.mode == SIMULATION_CLIENT)
		status = run_client_alone(s);
	else
		status = run_both(s);
	atomic_store(&interrupted_server, NULL);
	probe_client_close(s->client);
	probe_server_close(s->server);
	return status;
}
