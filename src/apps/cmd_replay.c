/* cmd_replay.c - mdfh replay: a capture's UDP payloads as real packets again.
 *
 * Every packet is due at one start + its offset in the capture / speed, so what is sent late makes
 * nothing after it late. A port is opened for each destination when it first appears. */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "apps/commands.h"
#include "apps/option_values.h"
#include "apps/sim_output.h"
#include "mdfh/bypass.h"
#include "mdfh/capture.h"
#include "mdfh/error.h"
#include "wire/trailer.h"

enum {
	DESTINATIONS_MAX = 256,
	LATE_NS = 1000000,        /* what counts as late */
	RETRY_NS = 50000,         /* when the socket takes nothing now */
	RETRIES_MAX = 200000,     /* in a row: 10 s */
	PROGRESS_NS = 1000000000, /* between lines of progress */
};

struct options {
	const char *file;
	const char *backend;
	const char *interface;
	struct sim_endpoint group; /* port 0 = as recorded */
	double speed;
	uint64_t loops;
	uint64_t limit; /* 0 = none */
	uint32_t ttl;
	int transmit;
	int json;
	enum mdfh_trailer trailer;
};

struct destination {
	uint8_t address[16];
	uint16_t port;
	struct mdfh_bypass *out;
	uint64_t packets;
	uint64_t bytes;
};

struct replay {
	const struct options *options;
	struct destination destinations[DESTINATIONS_MAX];
	uint32_t count;
	uint64_t start_ns; /* CLOCK_MONOTONIC, when this pass over the file began */
	uint64_t first_ns; /* capture time of its first packet */
	uint64_t last_due_ns;
	uint64_t packets;
	uint64_t bytes;
	uint64_t late;
	uint64_t late_max_ns;
	struct mdfh_trailer_reader trailer;
	uint64_t trailers[MDFH_TRAILER_SOUND + 1];
	uint64_t truncated; /* not sent: their end is not in the file */
	uint64_t skipped[MDFH_FRAME_ERRORS];
	uint64_t progress_ns;
	int is_terminal;
	int is_cut; /* the file ended in the middle of a record */
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	const struct timespec time = {
	    .tv_sec = (time_t)(ns / 1000000000U), .tv_nsec = (long)(ns % 1000000000U)};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
}

/* Options ---------------------------------------------------------------- */

enum {
	KEY_SPEED = 256,
	KEY_LOOP,
	KEY_LIMIT,
	KEY_BACKEND,
	KEY_TTL,
	KEY_TRANSMIT,
	KEY_TRAILER,
	KEY_JSON
};

static const struct argp_option argp_options[] = {
    {"group", 'g', "GROUP:PORT", 0, "Send everything there, not where it was recorded", 0},
    {"interface", 'i', "NAME", 0, "Network interface (lo)", 0},
    {"backend", KEY_BACKEND, "NAME", 0, "How to send (socket)", 0},
    {"speed", KEY_SPEED, "N", 0, "N times as fast as recorded; 0 = flat out (1)", 0},
    {"loop", KEY_LOOP, "N", 0, "Send the file N times over (1)", 0},
    {"limit", KEY_LIMIT, "N", 0, "Stop after N packets", 0},
    {"ttl", KEY_TTL, "N", 0, "Time to live of the packets (1)", 0},
    {"transmit", KEY_TRANSMIT, 0, 0,
	"Send to any interface, group and ttl: others may take the data for real", 0},
    {"trailer", KEY_TRAILER, "KIND", 0,
	"Time packets by the trailers of a tap or switch: metamako, exablaze, arista7280", 0},
    {"json", KEY_JSON, 0, 0, "Summary as JSON", 0},
    {0},
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'g':
		if (sim_endpoint_parse(arg, &o->group))
			argp_error(state, "%s", mdfh_error_text());
		return 0;
	case 'i':
		o->interface = arg;
		return 0;
	case KEY_BACKEND:
		o->backend = arg;
		return 0;
	case KEY_SPEED:
		o->speed = option_number(state, "speed", arg, 0, 1e6);
		return 0;
	case KEY_LOOP:
		o->loops = option_whole(state, "loop", arg, 1, UINT32_MAX);
		return 0;
	case KEY_LIMIT:
		o->limit = option_whole(state, "limit", arg, 1, UINT64_MAX);
		return 0;
	case KEY_TTL:
		o->ttl = (uint32_t)option_whole(state, "ttl", arg, 1, 255);
		return 0;
	case KEY_TRANSMIT:
		o->transmit = 1;
		return 0;
	case KEY_TRAILER:
		o->trailer = option_trailer(state, arg);
		return 0;
	case KEY_JSON:
		o->json = 1;
		return 0;
	case ARGP_KEY_ARG:
		if (o->file)
			argp_error(state, "'%s' is a second file; replay takes one", arg);
		o->file = arg;
		return 0;
	case ARGP_KEY_END:
		if (!o->file)
			argp_error(state, "which capture? Give a file, or - for standard input");
		else if (o->loops > 1 && !strcmp(o->file, "-"))
			argp_error(state, "loop is %llu; standard input can be read only once",
			    (unsigned long long)o->loops);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Destinations ------------------------------------------------------------ */

/* A capture of a real feed replayed onto a firm's network is an accident: what could leave this
 * machine is refused until the user says that it is meant. */
static int check_safe(const struct options *o, const struct sim_endpoint *endpoint)
{
	char reason[384];
	int rc;

	if (o->transmit)
		return 0;
	rc = sim_output_check("socket", o->interface, endpoint, o->ttl);
	if (!rc)
		return 0;
	snprintf(reason, sizeof(reason), "%s", mdfh_error_text());
	return mdfh_error(rc,
	    "%s:%u: %s; --group 239.1.1.1:26477 sends everything to a group of your own",
	    endpoint->group, endpoint->port, reason);
}

static int open_destination(struct replay *replay, struct destination *destination)
{
	const struct options *o = replay->options;
	struct sim_endpoint endpoint = o->group;
	struct mdfh_bypass_config config = {
	    .size = sizeof(config),
	    .backend = o->backend,
	    .interface = o->interface,
	    .host = endpoint.group,
	    .direction = MDFH_DIRECTION_SEND,
	    .multicast_ttl = o->ttl,
	    .frame_size = UINT16_MAX,
	};
	int rc;

	if (!endpoint.port) {
		char text[MDFH_ENDPOINT_TEXT_MAX];
		const char *address =
		    mdfh_endpoint_text(destination->address, destination->port, text);

		/* "1.2.3.4:5" or "[::1]:5" without brackets and port. */
		address += *address == '[';
		snprintf(endpoint.group, sizeof(endpoint.group), "%.*s",
		    (int)(*text == '[' ? strcspn(address, "]") : strcspn(address, ":")), address);
		endpoint.port = destination->port;
	}
	config.port = endpoint.port;
	rc = check_safe(o, &endpoint);
	if (!rc)
		rc = sim_output_check_route(o->interface, &endpoint);
	return rc ? rc : mdfh_bypass_open(&config, &destination->out);
}

/* The port for this frame's destination; opened when it is new. */
static int find_destination(
    struct replay *replay, const struct mdfh_frame *frame, struct destination **found)
{
	struct destination *destination;
	int rc;

	for (uint32_t i = 0; i < replay->count; i++) {
		destination = &replay->destinations[i];
		if (replay->options->group.port ||
		    (destination->port == frame->destination_port &&
			!memcmp(destination->address, frame->destination, 16))) {
			*found = destination;
			return 0;
		}
	}
	if (replay->count == DESTINATIONS_MAX)
		return mdfh_error(-ENOSPC,
		    "the capture has more than %d destinations; --group sends all to one",
		    DESTINATIONS_MAX);
	destination = &replay->destinations[replay->count];
	memcpy(destination->address, frame->destination, 16);
	destination->port = frame->destination_port;
	rc = open_destination(replay, destination);
	if (rc)
		return rc;
	replay->count++;
	*found = destination;
	return 0;
}

/* Sending ------------------------------------------------------------------ */

static void progress(struct replay *replay, uint64_t now)
{
	if (!replay->is_terminal || now < replay->progress_ns)
		return;
	replay->progress_ns = now + PROGRESS_NS;
	fprintf(stderr, "\rmdfh replay: %llu packets, %llu late",
	    (unsigned long long)replay->packets, (unsigned long long)replay->late);
	fflush(stderr);
}

/* Wait until the packet of this capture time is due, and account for coming too late. */
static void pace(struct replay *replay, uint64_t time_ns)
{
	double speed = replay->options->speed;
	uint64_t now = now_ns();
	uint64_t due = now;

	if (!replay->start_ns) {
		replay->start_ns = replay->last_due_ns ? replay->last_due_ns : now;
		replay->first_ns = time_ns;
	}
	if (speed > 0) {
		/* Times that go back are due at once. */
		uint64_t offset = time_ns > replay->first_ns ? time_ns - replay->first_ns : 0;

		due = replay->start_ns + (uint64_t)((double)offset / speed);
		while (now < due && !interrupted) {
			uint64_t wake = due < now + PROGRESS_NS ? due : now + PROGRESS_NS;

			sleep_until(wake);
			now = now_ns();
			progress(replay, now);
		}
	}
	replay->last_due_ns = due;
	if (now > due + LATE_NS)
		replay->late++;
	if (now > due && now - due > replay->late_max_ns)
		replay->late_max_ns = now - due;
	if (!(replay->packets & 0xfff))
		progress(replay, now);
}

/* When the packet came: to the tap, where its trailer says so. */
static uint64_t time_of(struct replay *replay, const struct mdfh_capture_frame *captured,
    const struct mdfh_frame *frame)
{
	struct mdfh_trailer_stamp stamp;
	enum mdfh_trailer_verdict verdict;

	replay->trailer.kind = replay->options->trailer;
	if (!replay->trailer.kind)
		return captured->time_ns;
	verdict = mdfh_trailer_read(&replay->trailer, captured->data, captured->captured,
	    captured->wire_length, frame, captured->time_ns, &stamp);
	replay->trailers[verdict]++;
	return verdict == MDFH_TRAILER_SOUND ? stamp.time_ns : captured->time_ns;
}

static int send_one(struct replay *replay, const struct mdfh_capture_frame *captured,
    const struct mdfh_frame *frame)
{
	struct mdfh_packet packet = {
	    .data = captured->data + frame->payload_offset,
	    .length = frame->payload_length,
	};
	struct destination *destination = NULL;
	int rc = find_destination(replay, frame, &destination);

	if (rc)
		return rc;
	pace(replay, time_of(replay, captured, frame));
	for (int i = 0; i < RETRIES_MAX && !interrupted; i++) {
		rc = mdfh_bypass_send(destination->out, &packet, 1);
		if (rc < 0)
			return rc;
		if (rc == 1) {
			destination->packets++;
			destination->bytes += packet.length;
			replay->packets++;
			replay->bytes += packet.length;
			return 0;
		}
		sleep_until(now_ns() + RETRY_NS);
	}
	return interrupted ? 0
			   : mdfh_error(-ETIMEDOUT, "the socket has taken no packet for 10 s; is "
						    "the interface up?");
}

static int is_done(const struct replay *replay)
{
	return interrupted || (replay->options->limit && replay->packets >= replay->options->limit);
}

/* Once through the file. */
static int send_file(struct replay *replay)
{
	struct mdfh_capture_frame captured;
	struct mdfh_capture *capture;
	struct mdfh_frame frame;
	int rc = mdfh_capture_open(replay->options->file, &capture);

	if (rc)
		return rc;
	replay->start_ns = 0;
	while (!is_done(replay) && (rc = mdfh_capture_next(capture, &captured)) == 1) {
		enum mdfh_frame_error error = mdfh_frame_parse(captured.link_type, captured.data,
		    captured.captured, captured.wire_length, &frame);

		if (!error && frame.protocol != MDFH_PROTOCOL_UDP)
			error = MDFH_FRAME_NOT_UDP;
		if (error) {
			replay->skipped[error]++;
			continue;
		}
		if (frame.truncated) {
			replay->truncated++;
			continue;
		}
		rc = send_one(replay, &captured, &frame);
		if (rc)
			break;
	}
	mdfh_capture_close(capture);
	if (rc != -EBADMSG)
		return rc < 0 ? rc : 0;
	replay->is_cut = 1;
	fprintf(stderr, "mdfh replay: %s\n", mdfh_error_text());
	return 0;
}

/* Summary ------------------------------------------------------------------ */

static int print_json(const struct replay *replay, double seconds)
{
	char text[MDFH_ENDPOINT_TEXT_MAX];
	json_t *destinations = json_array();
	json_t *skipped = json_object();
	json_t *root;
	int rc;

	for (uint32_t i = 0; i < replay->count; i++) {
		const struct destination *d = &replay->destinations[i];
		const struct sim_endpoint *group = &replay->options->group;

		if (group->port)
			snprintf(text, sizeof(text), "%s:%u", group->group, group->port);
		else
			mdfh_endpoint_text(d->address, d->port, text);
		json_array_append_new(
		    destinations, json_pack("{s:s,s:I,s:I}", "to", text, "packets",
				      (json_int_t)d->packets, "bytes", (json_int_t)d->bytes));
	}
	for (int i = 0; i < MDFH_FRAME_ERRORS; i++)
		if (replay->skipped[i])
			json_object_set_new(skipped,
			    mdfh_frame_error_name((enum mdfh_frame_error)i),
			    json_integer((json_int_t)replay->skipped[i]));
	root = json_pack("{s:I,s:I,s:f,s:I,s:f,s:I,s:I,s:I,s:I,s:o,s:b,s:b,s:o}", "packets",
	    (json_int_t)replay->packets, "bytes", (json_int_t)replay->bytes, "seconds", seconds,
	    "late", (json_int_t)replay->late, "late_max_us", (double)replay->late_max_ns / 1000,
	    "trailers", (json_int_t)replay->trailers[MDFH_TRAILER_SOUND], "trailers_absent",
	    (json_int_t)replay->trailers[MDFH_TRAILER_ABSENT], "trailers_implausible",
	    (json_int_t)replay->trailers[MDFH_TRAILER_IMPLAUSIBLE], "truncated",
	    (json_int_t)replay->truncated, "skipped", skipped, "cut", replay->is_cut, "interrupted",
	    (int)interrupted, "destinations", destinations);
	rc = json_dumpf(root, stdout, JSON_COMPACT);
	json_decref(root);
	puts("");
	return rc;
}

static void print_text(const struct replay *replay, double seconds)
{
	printf("%llu packets (%llu bytes) to %u destinations in %.3f s%s\n",
	    (unsigned long long)replay->packets, (unsigned long long)replay->bytes, replay->count,
	    seconds, interrupted ? ", interrupted" : "");
	if (replay->options->speed > 0)
		printf("%llu late by more than 1 ms, at most %.3f ms\n",
		    (unsigned long long)replay->late, (double)replay->late_max_ns / 1e6);
	if (replay->trailers[MDFH_TRAILER_ABSENT] || replay->trailers[MDFH_TRAILER_IMPLAUSIBLE])
		printf("%llu timed by their trailers, %llu without one, %llu implausible\n",
		    (unsigned long long)replay->trailers[MDFH_TRAILER_SOUND],
		    (unsigned long long)replay->trailers[MDFH_TRAILER_ABSENT],
		    (unsigned long long)replay->trailers[MDFH_TRAILER_IMPLAUSIBLE]);
	if (replay->truncated)
		printf("%llu not sent: the capture holds only their beginning\n",
		    (unsigned long long)replay->truncated);
	for (int i = 0; i < MDFH_FRAME_ERRORS; i++)
		if (replay->skipped[i])
			printf("%llu not sent: %s\n", (unsigned long long)replay->skipped[i],
			    mdfh_frame_error_name((enum mdfh_frame_error)i));
}

int mdfh_command_replay(int argc, char **argv)
{
	static const struct argp argp = {argp_options, parse_option, "FILE",
	    "Send the UDP payloads of a capture (pcap, pcapng, also .gz and .zst; - = standard "
	    "input) as real packets, to where and when they were recorded. Refuses to send "
	    "anywhere but to 239.0.0.0/8 on loopback or a veth of a closed namespace, unless "
	    "--transmit is given.",
	    NULL, NULL, NULL};
	struct options options = {.interface = "lo", .speed = 1, .loops = 1, .ttl = 1};
	const struct sigaction action = {.sa_handler = on_interrupt};
	static struct replay replay;
	uint64_t begin;
	double seconds;
	int rc = 0;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	replay = (struct replay){.options = &options, .is_terminal = isatty(STDERR_FILENO)};
	begin = now_ns();
	for (uint64_t i = 0; i < options.loops && !rc && !is_done(&replay); i++)
		rc = send_file(&replay);
	seconds = (double)(now_ns() - begin) / 1e9;
	for (uint32_t i = 0; i < replay.count; i++)
		mdfh_bypass_close(replay.destinations[i].out);
	if (replay.is_terminal && replay.progress_ns)
		fputc('\n', stderr);
	if (rc) {
		fprintf(stderr, "mdfh replay: %s\n", mdfh_error_text());
		return 2;
	}
	if (options.json)
		print_json(&replay, seconds);
	else
		print_text(&replay, seconds);
	return replay.is_cut || replay.truncated ? 1 : 0;
}
