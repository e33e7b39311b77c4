/* cmd_sim.c - mdfh sim: a made-up exchange on one or two multicast lines, or into a file.
 *
 * The day is generated before it is sent and its books are kept by the reference book, so at the
 * end there is something to hold a receiver's books against. */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "apps/commands.h"
#include "apps/sim_output.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "proto/decoder.h"

#define VENUE_TIMEZONE "America/New_York"
#define DAY_NS         86400000000000ll
/* When a capture begins: the opening of the market. */
#define CAPTURE_START_NS (34200ll * 1000000000)

enum clock { CLOCK_DEFAULT, CLOCK_LIVE, CLOCK_DAY };

struct options {
	struct sim_endpoint endpoints[MDFH_SENDER_LINES_MAX];
	uint32_t lines;
	const char *interface;
	const char *out;
	const char *books_out;
	const char *date;
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
	unsigned wait_s;
	enum clock clock;
	int transmit;
	int json;
};

struct run { /* what a summary needs */
	const struct options *options;
	const struct mdfh_refbook *book;
	const struct mdfh_sender_stats *sent; /* NULL: a file of messages was written */
	uint64_t messages;
	uint64_t bytes;
};

/* The sender that a signal stops, NULL while there is none; read by the signal handler, which
 * runs in whichever thread the signal hits. */
static _Atomic(struct mdfh_sender *) interrupted_sender;
static volatile sig_atomic_t interrupted;

static int fail(void)
{
	fprintf(stderr, "mdfh sim: %s\n", mdfh_error_text());
	return 2;
}

/* Options ------------------------------------------------------------------------- */

enum {
	KEY_GROUP_B = 256,
	KEY_MESSAGES,
	KEY_SEED,
	KEY_SYMBOLS,
	KEY_LIVE_ORDERS,
	KEY_DATE,
	KEY_SESSION,
	KEY_SKEW,
	KEY_PAYLOAD,
	KEY_FLUSH,
	KEY_BURST,
	KEY_DROP_A,
	KEY_DROP_B,
	KEY_HEARTBEAT,
	KEY_BOOKS_OUT,
	KEY_LINGER,
	KEY_START_DELAY,
	KEY_WAIT,
	KEY_JSON,
	KEY_CLOCK,
	KEY_TRANSMIT,
	KEY_TTL,
};

static const struct argp_option argp_options[] = {
    {0, 0, 0, 0, "Where to:", 1},
    {"group", 'g', "GROUP:PORT", 0, "Line A (239.1.1.1:26477)", 1},
    {"group-b", KEY_GROUP_B, "GROUP:PORT", 0, "Line B: the same packets again (none)", 1},
    {"interface", 'i', "NAME", 0, "Network interface (lo)", 1},
    {"out", 'o', "FILE", 0,
	"Write the day to a file instead of sending it: .itch (BinaryFILE), .pcap or .pcapng", 1},
    {"transmit", KEY_TRANSMIT, 0, 0,
	"Send to any interface, group and ttl: others may take the data for real", 1},
    {"ttl", KEY_TTL, "N", 0, "Time to live of the packets (1)", 1},
    {0, 0, 0, 0, "How much and how fast:", 2},
    {"rate", 'r', "MSGS/S", 0, "Messages a second, 100 to 5000000 (100000)", 2},
    {"seconds", 's', "S", 0, "For so long (10)", 2},
    {"messages", KEY_MESSAGES, "N", 0, "So many messages, instead of --seconds", 2},
    {"burst", KEY_BURST, "FACTOR", 0,
	"Rate of a burst of 1 ms in every 100 ms, as a multiple of the mean; 1 = even (10)", 2},
    {"flush-us", KEY_FLUSH, "US", 0, "Longest wait of a message for its packet to fill (50)", 2},
    {"mtu-payload", KEY_PAYLOAD, "BYTES", 0, "Largest UDP payload, 72 to 8972 (1400)", 2},
    {"skew-us", KEY_SKEW, "US", 0, "Line B behind line A (0)", 2},
    {"start-delay", KEY_START_DELAY, "S", 0, "Only heartbeats for so long at the start (0)", 2},
    {"wait-for-listener", KEY_WAIT, "S", 0,
	"Start when the groups have been joined in this network namespace, or give up after S", 2},
    {"heartbeat", KEY_HEARTBEAT, "MS", 0, "Silence before a heartbeat (1000)", 2},
    {"linger", KEY_LINGER, "S", 0, "Repeat the end of session for so long (1)", 2},
    {0, 0, 0, 0, "What:", 3},
    {"seed", KEY_SEED, "N", 0, "Equal seeds give equal days (1)", 3},
    {"symbols", KEY_SYMBOLS, "N", 0, "Symbols (8000, fewer on a short day)", 3},
    {"live-orders", KEY_LIVE_ORDERS, "N", 0,
	"Most orders in the books at once (500000, fewer on a short day)", 3},
    {"session", KEY_SESSION, "NAME", 0, "MoldUDP64 session, up to 10 characters (MDFHSIM)", 3},
    {"date", KEY_DATE, "YYYY-MM-DD", 0, "Session date of a capture file (today)", 3},
    {"clock", KEY_CLOCK, "live|day", 0,
	"What messages carry as their time: live = when their packet is due, day = a simulated "
	"03:00 to 20:00 (live; day in .itch files)",
	3},
    {"drop-a", KEY_DROP_A, "SPEC", 0,
	"Leave packets out of line A: 1000ppm, or sequence numbers: 5000-5010,7000", 3},
    {"drop-b", KEY_DROP_B, "SPEC", 0, "The same on line B", 3},
    {0, 0, 0, 0, "What comes of it:", 4},
    {"books-out", KEY_BOOKS_OUT, "FILE", 0,
	"Write the books at the end, for `mdfh compare`; the file appears when it is complete", 4},
    {"json", KEY_JSON, 0, 0, "Summary as JSON", 4},
    {0},
};

static double read_number(
    const struct argp_state *state, const char *name, const char *text, double min, double max)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= min && value <= max))
		argp_error(state, "%s is '%s'; it must be a number from %.15g to %.15g", name, text,
		    min, max);
	return value;
}

static uint64_t read_whole(
    const struct argp_state *state, const char *name, const char *text, uint64_t min, uint64_t max)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || value < min || value > max)
		argp_error(state, "%s is '%s'; it must be a whole number from %llu to %llu", name,
		    text, (unsigned long long)min, (unsigned long long)max);
	return value;
}

static int ends_with(const char *text, const char *end)
{
	size_t text_length = strlen(text);
	size_t end_length = strlen(end);

	return text_length > end_length && !strcmp(text + text_length - end_length, end);
}

static void read_session(
    const struct argp_state *state, char session[MDFH_PUBLISHER_SESSION_SIZE + 1], const char *text)
{
	size_t length = strlen(text);

	if (!length || length > MDFH_PUBLISHER_SESSION_SIZE)
		argp_error(state, "session is '%s'; it must be 1 to 10 characters", text);
	snprintf(
	    session, MDFH_PUBLISHER_SESSION_SIZE + 1, "%-*s", MDFH_PUBLISHER_SESSION_SIZE, text);
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'g':
		if (sim_endpoint_parse(arg, &o->endpoints[0]))
			argp_error(state, "%s", mdfh_error_text());
		return 0;
	case KEY_GROUP_B:
		if (sim_endpoint_parse(arg, &o->endpoints[1]))
			argp_error(state, "%s", mdfh_error_text());
		o->lines = 2;
		return 0;
	case 'i':
		o->interface = arg;
		return 0;
	case 'o':
		if (!ends_with(arg, ".itch") && !ends_with(arg, ".pcap") &&
		    !ends_with(arg, ".pcapng"))
			argp_error(
			    state, "out is '%s'; it must end in .itch, .pcap or .pcapng", arg);
		o->out = arg;
		return 0;
	case KEY_TRANSMIT:
		o->transmit = 1;
		return 0;
	case KEY_TTL:
		o->ttl = (uint32_t)read_whole(state, "ttl", arg, 1, 255);
		return 0;
	case 'r':
		o->rate = read_number(state, "rate", arg, 100, 5000000);
		return 0;
	case 's':
		o->seconds = read_number(state, "seconds", arg, 0.001, 86400);
		return 0;
	case KEY_MESSAGES:
		o->day.messages = read_whole(state, "messages", arg, 1, 100000000000ull);
		return 0;
	case KEY_BURST:
		o->burst = read_number(state, "burst", arg, 1, 50);
		return 0;
	case KEY_FLUSH:
		o->flush_us = read_whole(state, "flush-us", arg, 0, 1000000);
		return 0;
	case KEY_PAYLOAD:
		o->payload = (uint32_t)read_whole(state, "mtu-payload", arg,
		    MDFH_PUBLISHER_PAYLOAD_MIN, MDFH_PUBLISHER_PAYLOAD_MAX);
		return 0;
	case KEY_SKEW:
		o->skew_us = read_whole(state, "skew-us", arg, 0, 1000000);
		return 0;
	case KEY_START_DELAY:
		o->start_delay_s = read_number(state, "start-delay", arg, 0, 3600);
		return 0;
	case KEY_WAIT:
		o->wait_s = (unsigned)read_whole(state, "wait-for-listener", arg, 1, 3600);
		return 0;
	case KEY_HEARTBEAT:
		o->heartbeat_ms = read_whole(state, "heartbeat", arg, 1, 60000);
		return 0;
	case KEY_LINGER:
		o->linger_s = read_number(state, "linger", arg, 0, 3600);
		return 0;
	case KEY_SEED:
		o->day.seed = read_whole(state, "seed", arg, 0, UINT64_MAX);
		return 0;
	case KEY_SYMBOLS:
		o->day.symbols =
		    (uint32_t)read_whole(state, "symbols", arg, 1, MDFH_DAY_SYMBOLS_MAX);
		return 0;
	case KEY_LIVE_ORDERS:
		o->day.live_orders = (uint32_t)read_whole(state, "live-orders", arg, 1, 100000000);
		return 0;
	case KEY_SESSION:
		read_session(state, o->session, arg);
		return 0;
	case KEY_DATE:
		o->date = arg;
		return 0;
	case KEY_CLOCK:
		if (strcmp(arg, "live") != 0 && strcmp(arg, "day") != 0)
			argp_error(state, "clock is '%s'; it must be live or day", arg);
		o->clock = *arg == 'l' ? CLOCK_LIVE : CLOCK_DAY;
		return 0;
	case KEY_DROP_A:
	case KEY_DROP_B:
		if (mdfh_drop_parse(arg, &o->drop[key == KEY_DROP_B]))
			argp_error(state, "%s", mdfh_error_text());
		return 0;
	case KEY_BOOKS_OUT:
		o->books_out = arg;
		return 0;
	case KEY_JSON:
		o->json = 1;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is no option; mdfh sim takes options only", arg);
		return 0;
	case ARGP_KEY_END:
		if (o->date && (!o->out || ends_with(o->out, ".itch")))
			argp_error(state, "date is for capture files: what is sent is sent today, "
					  "and .itch files hold no date");
		if (o->clock == CLOCK_LIVE && o->out && ends_with(o->out, ".itch"))
			argp_error(state, "clock is live; .itch files have no packets that could "
					  "be due");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Times of day ---------------------------------------------------------------------- */

/* Midnight of the venue's day: of a date, or of today. */
static int venue_midnight(const char *date, int64_t *midnight_ns)
{
	if (date)
		return mdfh_midnight_of_date(VENUE_TIMEZONE, date, midnight_ns);
	return mdfh_midnight_before(VENUE_TIMEZONE, (int64_t)mdfh_clock_now_ns(), midnight_ns);
}

/* Summary ----------------------------------------------------------------------------- */

static double microseconds(uint64_t ns)
{
	return (double)ns / 1000;
}

static json_t *line_json(const struct mdfh_sender_line *line)
{
	const struct mdfh_histogram *lateness = line->lateness_ns;

	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:{s:f,s:f,s:f,s:f}}", "packets",
	    (json_int_t)line->packets, "messages", (json_int_t)line->messages, "bytes",
	    (json_int_t)line->bytes, "heartbeats", (json_int_t)line->heartbeats, "ends_of_session",
	    (json_int_t)line->ends, "dropped_packets", (json_int_t)line->dropped_packets,
	    "dropped_messages", (json_int_t)line->dropped_messages, "late_messages",
	    (json_int_t)line->late_messages, "lateness_us", "p50",
	    microseconds(mdfh_histogram_percentile(lateness, 50)), "p99",
	    microseconds(mdfh_histogram_percentile(lateness, 99)), "p999",
	    microseconds(mdfh_histogram_percentile(lateness, 99.9)), "max",
	    microseconds(mdfh_histogram_max(lateness)));
}

static double sent_seconds(const struct mdfh_sender_stats *sent)
{
	return sent->last_ns > sent->first_ns ? (double)(sent->last_ns - sent->first_ns) / 1e9 : 0;
}

static int print_json(const struct run *run)
{
	char checksum[20];
	json_t *root;
	int rc;

	snprintf(checksum, sizeof(checksum), "%016llx",
	    (unsigned long long)mdfh_refbook_checksum(run->book));
	root = json_pack("{s:I,s:I,s:I,s:s,s:I}", "messages", (json_int_t)run->messages, "orders",
	    (json_int_t)mdfh_refbook_orders(run->book), "symbols",
	    (json_int_t)mdfh_refbook_symbols(run->book), "checksum", checksum, "seed",
	    (json_int_t)run->options->day.seed);
	if (run->sent) {
		json_t *lines = json_array();
		double seconds = sent_seconds(run->sent);

		for (uint32_t i = 0; i < run->options->lines; i++)
			json_array_append_new(lines, line_json(&run->sent->lines[i]));
		json_object_set_new(root, "seconds", json_real(seconds));
		json_object_set_new(
		    root, "rate", json_real(seconds > 0 ? (double)run->messages / seconds : 0));
		json_object_set_new(
		    root, "lost_on_both", json_integer((json_int_t)run->sent->lost_on_both));
		json_object_set_new(root, "interrupted", json_boolean(run->sent->is_interrupted));
		json_object_set_new(root, "lines", lines);
	}
	rc = json_dumpf(root, stdout, JSON_COMPACT);
	json_decref(root);
	puts("");
	return rc;
}

static void print_text(const struct run *run)
{
	if (run->sent) {
		double seconds = sent_seconds(run->sent);

		printf("%llu messages in %llu packets, %.3f s, %.0f messages/s%s\n",
		    (unsigned long long)run->messages, (unsigned long long)run->sent->packets,
		    seconds, seconds > 0 ? (double)run->messages / seconds : 0,
		    run->sent->is_interrupted ? " (interrupted)" : "");
		for (uint32_t i = 0; i < run->options->lines; i++) {
			const struct mdfh_sender_line *line = &run->sent->lines[i];

			printf("line %c: %llu packets, %llu left out with %llu messages; lateness "
			       "p50 %.1f us, p99 %.1f us, max %.1f us; %llu messages late by more "
			       "than %d us\n",
			    'A' + (int)i, (unsigned long long)line->packets,
			    (unsigned long long)line->dropped_packets,
			    (unsigned long long)line->dropped_messages,
			    microseconds(mdfh_histogram_percentile(line->lateness_ns, 50)),
			    microseconds(mdfh_histogram_percentile(line->lateness_ns, 99)),
			    microseconds(mdfh_histogram_max(line->lateness_ns)),
			    (unsigned long long)line->late_messages, MDFH_SENDER_LATE_NS / 1000);
		}
		if (run->sent->lost_on_both)
			printf("left out of every line: %llu messages\n",
			    (unsigned long long)run->sent->lost_on_both);
	} else {
		printf("%llu messages, %llu bytes\n", (unsigned long long)run->messages,
		    (unsigned long long)run->bytes);
	}
	printf("books: %llu orders in %llu symbols, checksum %016llx\n",
	    (unsigned long long)mdfh_refbook_orders(run->book),
	    (unsigned long long)mdfh_refbook_symbols(run->book),
	    (unsigned long long)mdfh_refbook_checksum(run->book));
}

/* The books first, so that whoever waits for the file does not wait for a terminal. */
static int finish(const struct run *run)
{
	if (run->options->books_out && mdfh_refbook_write_file(run->book, run->options->books_out))
		return fail();
	if (!run->options->json)
		print_text(run);
	else if (print_json(run))
		return 2;
	return fflush(stdout) ? 2 : 0;
}

/* Progress ------------------------------------------------------------------------------ */

static void show_progress(void *context, uint64_t messages)
{
	const struct options *options = context;

	fprintf(stderr, "\rmdfh sim: %3.0f %% sent ",
	    100 * (double)messages / (double)options->day.messages);
}

static int wait_for_listeners(const struct options *options)
{
	int err = 0;

	for (uint32_t i = 0; !err && options->wait_s && !options->out && i < options->lines; i++)
		err = sim_output_wait_for_listener(&options->endpoints[i], options->wait_s);
	return err;
}

/* Wait until the day lies ready. 0, or 1 when the user had enough. */
static int wait_for_day(struct mdfh_stream *stream, const struct options *options)
{
	while (!interrupted && !mdfh_stream_wait_ready(stream, 500)) {
		if (isatty(STDERR_FILENO))
			fprintf(stderr, "\rmdfh sim: %3.0f %% generated ",
			    100 * (double)mdfh_stream_made(stream) / (double)options->day.messages);
	}
	return interrupted != 0;
}

/* A file of messages ---------------------------------------------------------------------- */

static int write_binaryfile(const struct options *options)
{
	FILE *stream = fopen(options->out, "we");
	struct run run = {.options = options};
	struct mdfh_day *day = NULL;
	uint8_t record[MDFH_DAY_MESSAGE_MAX + 2] = {0};
	int length = 0;
	int status;

	if (!stream) {
		mdfh_error_errno(-errno, "%s", options->out);
		return fail();
	}
	if (mdfh_day_create(&options->day, &day)) {
		fclose(stream);
		return fail();
	}
	while (!interrupted && (length = mdfh_day_next(day, record + 2)) > 0) {
		record[1] = (uint8_t)length;
		fwrite(record, 1, (size_t)length + 2, stream);
		run.messages++;
		run.bytes += (uint64_t)length + 2;
	}
	/* A record of no bytes ends the session. */
	fwrite((const uint8_t[2]){0, 0}, 1, 2, stream);
	run.bytes += 2;
	run.book = mdfh_day_book(day);
	if (length < 0 || ferror(stream)) {
		fclose(stream);
		if (length >= 0)
			mdfh_error(-EIO, "%s: could not be written", options->out);
		status = fail();
	} else if (fclose(stream)) {
		mdfh_error_errno(-errno, "%s", options->out);
		status = fail();
	} else {
		status = finish(&run);
	}
	mdfh_day_destroy(day);
	return status;
}

/* Packets ---------------------------------------------------------------------------------- */

/* The first signal ends the day early, with its books; a second one ends the program. */
static void on_signal(int number)
{
	struct mdfh_sender *sender = atomic_load(&interrupted_sender);

	(void)number;
	interrupted = 1;
	if (sender)
		mdfh_sender_stop(sender);
}

static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* What was sent of an interrupted day: the same day again, up to there. */
static int repeat_day(const struct options *options, uint64_t messages, struct mdfh_day **day)
{
	uint8_t message[MDFH_DAY_MESSAGE_MAX];
	int err = mdfh_day_create(&options->day, day);

	for (uint64_t i = 0; !err && i < messages; i++) {
		int length = mdfh_day_next(*day, message);

		if (length < 0)
			err = length;
	}
	return err;
}

static int open_output(const struct options *options, struct sim_output **output, int64_t *midnight)
{
	if (venue_midnight(options->date, midnight))
		return -1;
	if (options->out)
		return sim_output_open_capture(options->out, options->endpoints, options->lines,
		    (uint64_t)(*midnight + CAPTURE_START_NS), output);
	for (uint32_t i = 0; !options->transmit && i < options->lines; i++) {
		if (sim_output_check(options->interface, &options->endpoints[i], options->ttl))
			return -1;
	}
	return sim_output_open_sockets(
	    options->interface, options->endpoints, options->lines, options->ttl, output);
}

static int create_publisher(
    const struct options *options, struct mdfh_stream *stream, struct mdfh_publisher **publisher)
{
	struct mdfh_publisher_config config = {
	    .stream = stream,
	    .rate = options->rate,
	    .burst = options->burst,
	    .flush_ns = options->flush_us * 1000,
	    .payload_max = options->payload,
	    .clock_start_ns = -1,
	};

	memcpy(config.session, options->session, sizeof(config.session));
	return mdfh_publisher_create(&config, publisher);
}

static int send_day(const struct options *options, struct mdfh_stream *stream,
    struct sim_output *output, int64_t midnight_ns)
{
	struct run run = {.options = options};
	struct mdfh_publisher *publisher = NULL;
	struct mdfh_sender *sender = NULL;
	struct mdfh_day *repeated = NULL;
	struct mdfh_sender_config config = {
	    .transport = *sim_output_transport(output),
	    .payload_max = options->payload,
	    /* One for each message, or full ones and those that --flush-us closes. */
	    .packets_per_s_max = fmin(
		options->rate, options->rate * MDFH_DAY_MESSAGE_MAX / (options->payload - 72 + 1) +
				   1e6 / fmax((double)options->flush_us, 1)),
	    .lines = options->lines,
	    .seed = options->day.seed,
	    .skew_ns = options->skew_us * 1000,
	    .heartbeat_ns = options->heartbeat_ms * 1000000,
	    .linger_ns = (uint64_t)(options->linger_s * 1e9),
	    .drop = {options->drop[0], options->drop[1]},
	    .progress = isatty(STDERR_FILENO) ? show_progress : NULL,
	    .progress_context = (void *)options,
	};
	int status = 2;

	if (create_publisher(options, stream, &publisher))
		goto out_error;
	config.publisher = publisher;
	config.start_ns = config.transport.now_ns(config.transport.context) +
			  (uint64_t)(options->start_delay_s * 1e9);
	if (options->clock != CLOCK_DAY)
		mdfh_publisher_set_clock(publisher, (int64_t)config.start_ns - midnight_ns);
	if (mdfh_sender_create(&config, &sender))
		goto out_error;
	atomic_store(&interrupted_sender, sender);
	if (interrupted) /* between the last look and the line before */
		mdfh_sender_stop(sender);
	if (mdfh_sender_run(sender))
		goto out_error;
	if (config.progress)
		fputc('\n', stderr);

	run.sent = mdfh_sender_stats(sender);
	run.messages = run.sent->messages;
	run.book = mdfh_day_book(mdfh_stream_day(stream));
	if (run.sent->is_interrupted) {
		if (repeat_day(options, run.messages, &repeated))
			goto out_error;
		run.book = mdfh_day_book(repeated);
	}
	status = finish(&run);
	goto out;

out_error:
	status = fail();
out:
	atomic_store(&interrupted_sender, NULL);
	mdfh_sender_destroy(sender);
	mdfh_publisher_destroy(publisher);
	mdfh_day_destroy(repeated);
	return status;
}

int mdfh_command_sim(int argc, char **argv)
{
	static const struct argp argp = {
	    .options = argp_options,
	    .parser = parse_option,
	    .doc =
		"Be an exchange: ITCH 5.0 over MoldUDP64 on one or two multicast lines.\v"
		"Messages go out at the times of a schedule that waits for nobody; what went "
		"out late is in the summary. Sending is refused on any interface but loopback "
		"or a veth pair in a network namespace without a default route, to groups outside "
		"239.0.0.0/8 and with a ttl above 1, unless --transmit says that it is "
		"meant.\n\nExit status: 0 done, 2 could not be done.",
	};
	struct options options = {
	    .endpoints = {{.group = "239.1.1.1", .port = 26477}},
	    .lines = 1,
	    .interface = "lo",
	    .session = "MDFHSIM   ",
	    .rate = 100000,
	    .seconds = 10,
	    .burst = 10,
	    .linger_s = 1,
	    .heartbeat_ms = 1000,
	    .flush_us = 50,
	    .payload = 1400,
	    .ttl = 1,
	    .day = {.seed = 1},
	};
	struct mdfh_stream *stream = NULL;
	struct sim_output *output = NULL;
	int64_t midnight_ns = 0;
	int status = 2;

	if (argp_parse(&argp, argc, argv, 0, NULL, &options))
		return 2;
	if (!options.day.messages)
		options.day.messages = (uint64_t)(options.rate * options.seconds);
	catch_signals();
	if (options.out && ends_with(options.out, ".itch"))
		return write_binaryfile(&options);

	if (open_output(&options, &output, &midnight_ns) ||
	    mdfh_stream_start(&options.day, 0, &stream) || wait_for_listeners(&options))
		status = fail();
	else if (wait_for_day(stream, &options))
		fprintf(stderr, "mdfh sim: interrupted before the first message\n");
	else
		status = send_day(&options, stream, output, midnight_ns);
	if (sim_output_close(output))
		status = fail();
	mdfh_stream_stop(stream);
	return status;
}
