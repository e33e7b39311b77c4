/* cmd_run.c - mdfh run: the feed handler as a command.
 *
 * A configuration file, or one channel described by options. A consumer thread reads the first
 * event consumer, as a strategy would; the main thread shows a status line and waits for the end:
 * a signal, --seconds, the end of the session or of the capture. */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "apps/books_out.h"
#include "apps/commands.h"
#include "apps/latency_log.h"
#include "apps/option_values.h"
#include "apps/run_plan.h"
#include "apps/run_reader.h"
#include "apps/run_report.h"
#include "apps/run_watch.h"
#include "apps/std_streams.h"
#include "mdfh/clock.h"
#include "mdfh/depth.h"
#include "mdfh/error.h"
#include "mdfh/handler.h"
#include "mdfh/log.h"

enum option_key {
	KEY_PROTOCOL = 0x100,
	KEY_SESSION,
	KEY_GROUP,
	KEY_SERVER,
	KEY_USERNAME,
	KEY_PASSWORD_FILE,
	KEY_SESSION_ID,
	KEY_FIRST_SEQUENCE,
	KEY_JOIN_NEWEST,
	KEY_SOURCE,
	KEY_VLAN,
	KEY_TRAILER,
	KEY_INTERFACE,
	KEY_QUEUE,
	KEY_ZERO_COPY,
	KEY_BACKEND,
	KEY_BACKEND_OPTIONS,
	KEY_FILE,
	KEY_SPEED,
	KEY_CORE,
	KEY_WORKERS,
	KEY_SHARD,
	KEY_WORKER_CORE,
	KEY_IDLE,
	KEY_DATE,
	KEY_SECONDS,
	KEY_STAY,
	KEY_SYMBOL,
	KEY_WINDOW,
	KEY_SLOTS,
	KEY_WAIT,
	KEY_ORDERS,
	KEY_LEVELS,
	KEY_BUFFER,
	KEY_BATCH,
	KEY_FRAME,
	KEY_BUSY_POLL,
	KEY_DEPTH,
	KEY_LATENCY_SAMPLE,
	KEY_LATENCY_LOG,
	KEY_LATENCY_INTERVAL,
	KEY_CHECK,
	KEY_PLAN,
	KEY_BOOKS_OUT,
	KEY_PRINT,
	KEY_JSON,
	KEY_STATUS,
	KEY_SOUND,
	KEY_LOSS,
};

enum { TRADES_KEPT = 1 << 20 }; /* for breaks: far more than a day has between trade and break */

static const struct argp_option options[] = {
    {0, 0, 0, 0, "What to receive (instead of CONFIG.yaml):", 1},
    {"protocol", KEY_PROTOCOL, "NAME", 0, "Messages: itch50 (default)", 0},
    {"session", KEY_SESSION, "NAME", 0, "Packets: the protocol's usual one by default", 0},
    {"group", KEY_GROUP, "ADDRESS:PORT", 0,
	"Line: multicast group or unicast address; the first is A, a second one is B", 0},
    {"server", KEY_SERVER, "ADDRESS:PORT", 0,
	"Line of a stream, instead of --group: connect there and log in (implies --session "
	"soupbintcp); a second one is B",
	0},
    {"username", KEY_USERNAME, "NAME", 0, "Log in as this user, on all servers", 0},
    {"password-file", KEY_PASSWORD_FILE, "FILE", 0, "Its first line is the password", 0},
    {"session-id", KEY_SESSION_ID, "NAME", 0,
	"Only this session; a stream's login asks for it instead of the current one", 0},
    {"first-sequence", KEY_FIRST_SEQUENCE, "N", 0,
	"Number of the first message; a stream's login asks for it (1 there)", 0},
    {"join-newest", KEY_JOIN_NEWEST, 0, 0,
	"Streams: begin with the newest message instead of the day's first", 0},
    {"source", KEY_SOURCE, "ADDRESS", 0, "Only packets from this sender", 0},
    {"vlan", KEY_VLAN, "ID", 0, "Only packets of this VLAN", 0},
    {"trailer", KEY_TRAILER, "KIND", 0,
	"Take times from the trailers of a tap or switch: metamako, exablaze, arista7280", 0},
    {"interface", KEY_INTERFACE, "DEVICE", 0, "Network device, as the backend names it", 0},
    {"queue", KEY_QUEUE, "N", 0, "Receive queue of the device (bypass backends); default 0", 0},
    {"require-zero-copy", KEY_ZERO_COPY, 0, 0,
	"Fail rather than copy packets out of the NIC's buffers", 0},
    {"backend", KEY_BACKEND, "NAME", 0, "socket (default), pcap, ... (`mdfh backends` lists them)",
	0},
    {"backend-options", KEY_BACKEND_OPTIONS, "TEXT", 0, "key=value,... for the backend", 0},
    {"file", KEY_FILE, "FILE", 0, "Capture to read (implies --backend pcap)", 0},
    {"speed", KEY_SPEED, "N", 0, "Capture: N times as fast as recorded; 0 = flat out", 0},
    {"date", KEY_DATE, "YYYY-MM-DD", 0, "Session date in the venue's time zone", 0},
    {"symbol", KEY_SYMBOL, "SYMBOL", 0, "Only this instrument; may be given again", 0},
    {0, 0, 0, 0, "How:", 2},
    {"core", KEY_CORE, "N", 0, "Pin the receive thread to a core (it then spins)", 0},
    {"idle", KEY_IDLE, "spin|wait", 0, "What the receive thread does without packets", 0},
    {"workers", KEY_WORKERS, "N", 0,
	"Let N other threads decode and keep books; the receive thread hands messages to them", 0},
    {"shard", KEY_SHARD, "channel|instrument", 0,
	"How these divide the messages; one channel is divided by instrument", 0},
    {"worker-core", KEY_WORKER_CORE, "N", 0,
	"Pin a worker to a core; given once for each of them, in their order", 0},
    {"window", KEY_WINDOW, "US", 0, "How long a hole may stay open; default 50000", 0},
    {"receive-buffer", KEY_BUFFER, "BYTES", 0, "Socket buffer; default 16 MiB", 0},
    {"batch", KEY_BATCH, "N", 0, "Packets per receive call, 1 to 256; default 64", 0},
    {"frame-size", KEY_FRAME, "BYTES", 0,
	"Longest payload of a packet, 256 to 65535: longer ones are cut; default 2048", 0},
    {"busy-poll", KEY_BUSY_POLL, "US", 0, "SO_BUSY_POLL", 0},
    {"slots", KEY_SLOTS, "N", 0, "Ring to the consumer; default 65536", 0},
    {"wait", KEY_WAIT, 0, 0, "Wait when that ring is full, instead of dropping", 0},
    {"orders-max", KEY_ORDERS, "N", 0, "Live orders at once; default 4194304", 0},
    {"levels-max", KEY_LEVELS, "N", 0, "Price levels at once; default 1048576", 0},
    {"depth", KEY_DEPTH, "N", 0, "Keep snapshots of the best N levels", 0},
    {"sound", KEY_SOUND, 0, 0, "Take books as sound without having seen the day's start", 0},
    {"latency-sample", KEY_LATENCY_SAMPLE, "N", 0, "Time the stages in every Nth batch; default 64",
	0},
    {"inject-loss", KEY_LOSS, "PPM", 0, "Lose packets on each line on purpose (the fault backend)",
	0},
    {0, 0, 0, 0, "When to end, what to show:", 3},
    {"check", KEY_CHECK, 0, 0,
	"Open everything, say what each line got, and end: no packet is read", 0},
    {"plan", KEY_PLAN, 0, 0,
	"Say which thread and worker each channel gets, and end: nothing is opened", 0},
    {"seconds", KEY_SECONDS, "N", 0, "End after N seconds", 0},
    {"stay", KEY_STAY, 0, 0, "Go on after the end of the session", 0},
    {"latency-log", KEY_LATENCY_LOG, "FILE", 0,
	"Write how long each stage took, a line per stage and interval, in HdrHistogram's format",
	0},
    {"latency-interval", KEY_LATENCY_INTERVAL, "MS", 0, "Length of its intervals; default 1000", 0},
    {"books-out", KEY_BOOKS_OUT, "FILE", 0, "Write every live order at the end", 0},
    {"print", KEY_PRINT, 0, 0, "Print every event", 0},
    {"json", KEY_JSON, 0, 0, "Summary as JSON", 0},
    {"status", KEY_STATUS, 0, 0, "Status lines also when standard error is no terminal", 0},
    {"quiet", 'q', 0, 0, "No status line, no summary", 0},
    {0, 0, 0, 0, 0, 0},
};

struct run {
	const char *config_path;
	int describes; /* an option was given that a configuration file says itself */
	struct mdfh_handler_config config;
	struct mdfh_handler_channel_config channel;
	struct mdfh_handler_thread_config thread;
	struct mdfh_consumer_config consumer;
	struct mdfh_line_config line; /* what all lines share */
	struct mdfh_line_config lines[MDFH_LINES_MAX];
	uint32_t core;
	uint32_t worker_cores[MDFH_HANDLER_WORKERS_MAX];
	char *symbols[1024];
	unsigned symbols_count;
	int check;
	int plan;
	double seconds;
	int stay;
	const char *books_out;
	const char *latency_log;
	uint32_t latency_interval_ms; /* 0 = not given */
	int print;
	int json;
	int status;
	int quiet;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
	(void)signal;
	interrupted = 1;
}

/* Options ----------------------------------------------------------------------------------- */

/* Whether an option says what a configuration file says, and not when to end or what to show. */
static int describes(int key)
{
	switch (key) {
	case KEY_CHECK:
	case KEY_PLAN:
	case KEY_SECONDS:
	case KEY_STAY:
	case KEY_LATENCY_LOG:
	case KEY_LATENCY_INTERVAL:
	case KEY_BOOKS_OUT:
	case KEY_PRINT:
	case KEY_JSON:
	case KEY_STATUS:
		return 0;
	default:
		return key >= KEY_PROTOCOL && key <= KEY_LOSS;
	}
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct run *run = state->input;

	run->describes |= describes(key);
	switch (key) {
	case KEY_PROTOCOL:
		run->channel.protocol = argument;
		return 0;
	case KEY_SESSION:
		run->channel.session = argument;
		return 0;
	case KEY_GROUP:
		if (run->channel.lines_count == MDFH_LINES_MAX)
			argp_error(state, "--group: there are at most %d lines", MDFH_LINES_MAX);
		run->lines[run->channel.lines_count++].group = argument;
		return 0;
	case KEY_SERVER:
		if (run->channel.lines_count == MDFH_LINES_MAX)
			argp_error(state, "--server: there are at most %d lines", MDFH_LINES_MAX);
		run->lines[run->channel.lines_count++].server = argument;
		return 0;
	case KEY_USERNAME:
		run->line.username = argument;
		return 0;
	case KEY_PASSWORD_FILE:
		run->line.password_file = argument;
		return 0;
	case KEY_SESSION_ID:
		run->channel.session_id = argument;
		return 0;
	case KEY_FIRST_SEQUENCE:
		run->channel.first_sequence =
		    option_whole(state, "first-sequence", argument, 1, UINT64_MAX);
		return 0;
	case KEY_JOIN_NEWEST:
		run->channel.join_newest = MDFH_ON;
		return 0;
	case KEY_SOURCE:
		run->line.source = argument;
		return 0;
	case KEY_VLAN:
		run->line.vlan = (uint16_t)option_whole(state, "vlan", argument, 1, 4094);
		return 0;
	case KEY_TRAILER:
		run->line.trailer = option_trailer(state, argument);
		return 0;
	case KEY_QUEUE:
		run->line.queue = (uint16_t)option_whole(state, "queue", argument, 0, 65535);
		return 0;
	case KEY_ZERO_COPY:
		run->line.require_zero_copy = MDFH_ON;
		return 0;
	case KEY_INTERFACE:
		run->line.interface = argument;
		return 0;
	case KEY_BACKEND:
		run->line.backend = argument;
		return 0;
	case KEY_BACKEND_OPTIONS:
		run->line.backend_options = argument;
		return 0;
	case KEY_FILE:
		run->line.file = argument;
		return 0;
	case KEY_SPEED:
		run->line.speed = option_number(state, "speed", argument, 0, 1e9);
		return 0;
	case KEY_CORE:
		run->core = (uint32_t)option_whole(state, "core", argument, 0, 4095);
		run->thread.core = &run->core;
		return 0;
	case KEY_IDLE:
		if (!strcmp(argument, "spin"))
			run->thread.idle = MDFH_IDLE_SPIN;
		else if (!strcmp(argument, "wait"))
			run->thread.idle = MDFH_IDLE_WAIT;
		else
			argp_error(state, "--idle is '%s'; it must be spin or wait", argument);
		return 0;
	case KEY_WORKERS:
		run->thread.workers =
		    (uint32_t)option_whole(state, "workers", argument, 1, MDFH_HANDLER_WORKERS_MAX);
		return 0;
	case KEY_SHARD:
		if (!strcmp(argument, "channel"))
			run->thread.shard = MDFH_SHARD_CHANNEL;
		else if (!strcmp(argument, "instrument"))
			run->thread.shard = MDFH_SHARD_INSTRUMENT;
		else
			argp_error(
			    state, "--shard is '%s'; it must be channel or instrument", argument);
		return 0;
	case KEY_WORKER_CORE:
		if (run->thread.worker_cores_count == MDFH_HANDLER_WORKERS_MAX)
			argp_error(state, "--worker-core: there are at most %d workers",
			    MDFH_HANDLER_WORKERS_MAX);
		run->worker_cores[run->thread.worker_cores_count++] =
		    (uint32_t)option_whole(state, "worker-core", argument, 0, 4095);
		run->thread.worker_cores = run->worker_cores;
		return 0;
	case KEY_DATE:
		run->config.session_date = argument;
		return 0;
	case KEY_CHECK:
		run->check = 1;
		return 0;
	case KEY_PLAN:
		run->plan = 1;
		return 0;
	case KEY_SECONDS:
		run->seconds = option_number(state, "seconds", argument, 0, 1e9);
		if (!(run->seconds > 0))
			argp_error(state, "--seconds is '%s'; it must be more than 0", argument);
		return 0;
	case KEY_STAY:
		run->stay = 1;
		return 0;
	case KEY_SYMBOL:
		if (run->symbols_count == 1024)
			argp_error(state, "--symbol: at most 1024; use a configuration file");
		run->symbols[run->symbols_count++] = argument;
		return 0;
	case KEY_WINDOW:
		run->channel.window_us =
		    (uint32_t)option_whole(state, "window", argument, 1, 60000000);
		return 0;
	case KEY_SLOTS:
		run->consumer.slots = (uint32_t)option_whole(state, "slots", argument, 2, 1 << 26);
		return 0;
	case KEY_WAIT:
		run->consumer.full = MDFH_FULL_WAIT;
		return 0;
	case KEY_ORDERS:
		run->config.orders_max =
		    (uint32_t)option_whole(state, "orders-max", argument, 1, 1u << 30);
		return 0;
	case KEY_LEVELS:
		run->config.levels_max =
		    (uint32_t)option_whole(state, "levels-max", argument, 1, 1u << 30);
		return 0;
	case KEY_BUFFER:
		run->line.receive_buffer_bytes =
		    option_whole(state, "receive-buffer", argument, 4096, 1u << 30);
		return 0;
	case KEY_BATCH:
		run->line.batch_size =
		    (uint32_t)option_whole(state, "batch", argument, 1, MDFH_BYPASS_BATCH_MAX);
		return 0;
	case KEY_FRAME:
		run->line.frame_size =
		    (uint32_t)option_whole(state, "frame-size", argument, 256, 65535);
		return 0;
	case KEY_BUSY_POLL:
		run->line.busy_poll_us =
		    (uint32_t)option_whole(state, "busy-poll", argument, 0, 100000);
		return 0;
	case KEY_DEPTH:
		run->config.depth_levels =
		    (uint32_t)option_whole(state, "depth", argument, 1, MDFH_DEPTH_LEVELS_MAX);
		return 0;
	case KEY_SOUND:
		run->config.sound_at_start = MDFH_ON;
		return 0;
	case KEY_LATENCY_SAMPLE:
		run->config.latency_sample =
		    (uint32_t)option_whole(state, "latency-sample", argument, 1, 1u << 30);
		return 0;
	case KEY_LOSS:
		run->line.fault.loss_ppm =
		    (uint32_t)option_whole(state, "inject-loss", argument, 1, 1000000);
		return 0;
	case KEY_LATENCY_LOG:
		run->latency_log = argument;
		return 0;
	case KEY_LATENCY_INTERVAL:
		run->latency_interval_ms =
		    (uint32_t)option_whole(state, "latency-interval", argument, 100, 3600000);
		return 0;
	case KEY_BOOKS_OUT:
		run->books_out = argument;
		return 0;
	case KEY_PRINT:
		run->print = 1;
		return 0;
	case KEY_JSON:
		run->json = 1;
		return 0;
	case KEY_STATUS:
		run->status = 1;
		return 0;
	case 'q':
		run->quiet = 1;
		return 0;
	case ARGP_KEY_ARG:
		if (run->config_path)
			argp_error(state, "one configuration file, not two");
		run->config_path = argument;
		return 0;
	case ARGP_KEY_END:
		if (!run->config_path && !run->channel.lines_count && !run->line.file)
			argp_error(state,
			    "what to receive? Give CONFIG.yaml, --group, --server or --file");
		if (run->latency_interval_ms && !run->latency_log)
			argp_error(state, "--latency-interval is that of --latency-log FILE, which "
					  "is not there");
		if (run->config_path && run->describes)
			argp_error(state,
			    "beside CONFIG.yaml only the options of when to end and what to show "
			    "count; write the others into it");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "[CONFIG.yaml]",
    .doc = "Receive a feed, keep its books, hand events to a consumer; a summary at the end.\v"
	   "Exit status: 0 = nothing was lost; 1 = messages were lost or refused, packets or a "
	   "capture cut, events dropped, or books had no room; 2 = it could not run, or a port "
	   "died.\n\n"
	   "Example: mdfh run --protocol itch50 --group 239.1.1.1:26477 --interface lo",
};

/* The configuration that the options describe. */
static struct mdfh_handler_config *options_config(struct run *run)
{
	static char itch50[] = "itch50";

	if (!run->channel.protocol)
		run->channel.protocol = itch50;
	if (!run->channel.lines_count)
		run->channel.lines_count = 1; /* a capture read whole */
	for (unsigned i = 0; i < run->channel.lines_count; i++) {
		char *group = run->lines[i].group;
		char *server = run->lines[i].server;

		run->lines[i] = run->line;
		run->lines[i].group = group;
		run->lines[i].server = server;
		run->lines[i].fault.seed = i + 1;
	}
	run->channel.lines = run->lines;
	run->config.size = sizeof(run->config);
	run->config.trades_max = TRADES_KEPT;
	run->config.channels = &run->channel;
	run->config.channels_count = 1;
	run->config.threads = &run->thread;
	run->config.threads_count = 1;
	run->config.symbols = run->symbols;
	run->config.symbols_count = run->symbols_count;
	return &run->config;
}

/* Main ---------------------------------------------------------------------------------------- */

/* A shared one is another process's to read. */
static const struct mdfh_consumer_config *first_events_consumer(
    const struct mdfh_handler_config *config)
{
	for (unsigned i = 0; i < config->consumers_count; i++)
		if (config->consumers[i].kind == MDFH_CONSUMER_EVENTS &&
		    !config->consumers[i].shared_name)
			return &config->consumers[i];
	return NULL;
}

/* A consumer that nobody can read, for which the receive thread would wait for ever; or NULL. */
static const struct mdfh_consumer_config *waits_for_nobody(const struct mdfh_handler_config *config)
{
	const struct mdfh_consumer_config *own = first_events_consumer(config);

	for (unsigned i = 0; i < config->consumers_count; i++)
		if (config->consumers[i].full == MDFH_FULL_WAIT &&
		    !config->consumers[i].shared_name && &config->consumers[i] != own)
			return &config->consumers[i];
	return NULL;
}

/* 0, or 2 when the latency log could not be written: that is no reason to stop receiving. */
static int wait_for_end(struct run *run, struct mdfh_handler *handler, struct run_report *report,
    struct latency_log *latency, struct run_watch *watch)
{
	const struct timespec tick = {.tv_nsec = 100000000};
	int show = !run->quiet && (run->status || isatty(STDERR_FILENO));
	int ended_ticks = 0;
	int status = 0;

	for (unsigned ticks = 1; !interrupted; ticks++) {
		if (!mdfh_handler_running(handler))
			break;
		if (run->print && std_streams_closed())
			break;
		if (run->seconds > 0 && run_report_elapsed(report) >= run->seconds)
			break;
		/* The other line's last packets may still be on their way. */
		if (!run->stay && mdfh_handler_session_ended(handler) && ++ended_ticks > 3)
			break;
		nanosleep(&tick, NULL);
		if (latency && !status && latency_log_tick(latency)) {
			fprintf(stderr, "mdfh run: %s\n", mdfh_error_text());
			status = 2;
		}
		if (ticks % 10 != 0)
			continue;
		if (!run->quiet)
			run_watch_look(watch, show && isatty(STDERR_FILENO) ? "\n" : "");
		if (show)
			run_report_status(report, isatty(STDERR_FILENO));
	}
	if (show && isatty(STDERR_FILENO))
		fputc('\n', stderr);
	return status;
}

/* The books of all shards into one file. */
static int write_books(struct mdfh_handler *handler, const char *path)
{
	unsigned count = mdfh_handler_shards(handler);
	struct books_out_part *parts = calloc(count, sizeof(*parts));
	int err;

	if (!parts)
		return mdfh_error(-ENOMEM, "--books-out: out of memory");
	for (unsigned i = 0; i < count; i++)
		parts[i] = (struct books_out_part){.books = mdfh_handler_books(handler, i),
		    .instruments = mdfh_handler_instruments(handler, i)};
	err = books_out_write(parts, count, path);
	free(parts);
	return err;
}

static int run_handler(
    struct run *run, const struct mdfh_handler_config *config, struct mdfh_handler *handler)
{
	struct run_consumed consumed = {.events = 0};
	struct run_report report;
	const struct mdfh_consumer_config *consumer = first_events_consumer(config);
	struct run_watch *watch = run_watch_create(handler, config);
	struct run_reader *reader = NULL;
	struct latency_log *latency = NULL;
	int started = 0;
	int status = 2;
	int err;

	run_report_begin(&report, handler, config, &consumed);
	consumed.instrument_count =
	    mdfh_instruments_capacity(mdfh_handler_instruments(handler, 0)) + 1;
	consumed.by_instrument = calloc(
	    (size_t)consumed.instrument_count * mdfh_handler_shards(handler), sizeof(uint64_t));
	if (!consumed.by_instrument || !watch) {
		fprintf(stderr, "mdfh run: out of memory\n");
		goto out;
	}
	err = consumer ? run_reader_begin(handler, mdfh_handler_consumer(handler, consumer->name),
			     &consumed, run->print, &reader)
		       : 0;
	if (!err && run->latency_log)
		err =
		    latency_log_open(run->latency_log, run->latency_interval_ms, handler, &latency);
	if (!err && !run->quiet)
		run_plan_say(config);
	if (!err)
		err = mdfh_handler_start(handler);
	if (err) {
		fprintf(stderr, "mdfh run: %s\n", mdfh_error_text());
		goto out;
	}
	started = 1;
	status = wait_for_end(run, handler, &report, latency, watch);
	err = mdfh_handler_stop(handler);
	if (err) {
		fprintf(stderr, "mdfh run: %s\n", mdfh_error_text());
		status = 2;
	}
out:
	run_reader_end(reader);
	/* The last lines, when the consumer has read all; an error has been said already. */
	if (latency_log_close(latency) && status != 2) {
		fprintf(stderr, "mdfh run: %s\n", mdfh_error_text());
		status = 2;
	}
	if (started) {
		int lossless = run_report_end(&report, run->json, run->quiet);

		if (status == 0 && !lossless)
			status = 1;
		if (run->books_out && write_books(handler, run->books_out)) {
			fprintf(stderr, "mdfh run: %s\n", mdfh_error_text());
			status = 2;
		}
	}
	run_watch_destroy(watch);
	free(consumed.by_instrument);
	return status;
}

static void print_log(void *context, enum mdfh_log_level level, const char *text)
{
	(void)context;
	(void)level;
	fprintf(stderr, "mdfh run: %s\n", text);
}

int mdfh_command_run(int argc, char **argv)
{
	static char consumer_name[] = "strategy";
	struct run *run = calloc(1, sizeof(*run));
	struct mdfh_handler_config *loaded = NULL;
	struct mdfh_handler_config *config;
	const struct mdfh_consumer_config *unread;
	struct mdfh_handler *handler;
	struct sigaction action = {.sa_handler = on_signal};
	int status = 2;
	int err;

	if (!run) {
		fprintf(stderr, "mdfh run: out of memory\n");
		return 2;
	}
	argp_parse(&argp, argc, argv, 0, NULL, run);
	if (run->config_path) {
		err = mdfh_handler_config_load(run->config_path, &loaded);
		if (err) {
			fprintf(stderr, "mdfh run: %s\n", mdfh_error_text());
			free(run);
			return 2;
		}
		config = loaded;
	} else {
		config = options_config(run);
		run->consumer.name = consumer_name;
		config->consumers = &run->consumer;
		config->consumers_count = 1;
	}
	unread = waits_for_nobody(config);
	mdfh_log_set(print_log, NULL, MDFH_LOG_WARNING);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (run->plan) {
		status = run_plan_print(config, run->json) ? 2 : 0;
		if (status)
			fprintf(stderr, "mdfh run: %s\n", mdfh_error_text());
	} else if (run->books_out && config->books == MDFH_OFF) {
		fprintf(stderr, "mdfh run: --books-out writes books; the configuration has `books: "
				"off`\n");
	} else if (unread && !run->check) {
		fprintf(stderr,
		    "mdfh run: consumer '%s' is to be waited for when its ring is full, and nobody "
		    "reads it here; give it a shared_name, for a process that does, or `full: "
		    "drop`\n",
		    unread->name);
	} else if (mdfh_handler_create(config, &handler)) {
		fprintf(stderr, "mdfh run: %s\n", mdfh_error_text());
	} else {
		if (run->check) {
			run_report_check(handler, config);
			status = 0;
		} else {
			status = run_handler(run, config, handler);
		}
		mdfh_handler_destroy(handler);
	}
	mdfh_handler_config_free(loaded);
	free(run);
	return status;
}
