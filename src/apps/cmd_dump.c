/* cmd_dump.c - mdfh dump: what a capture or day file says, message by message.
 *
 * Frames go through wire, packets through the session parser, messages through the walk over
 * their schema. Nothing is arbitrated or put in order: a dump shows what is there, duplicates
 * and all. The protocol of each destination (address and port) is recognised from the first
 * packet that fits one schema and no other. */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/commands.h"
#include "apps/dump_options.h"
#include "apps/dump_print.h"
#include "apps/dump_recognise.h"
#include "apps/dump_soup.h"
#include "apps/dump_summary.h"
#include "apps/dump_symbols.h"
#include "apps/option_values.h"
#include "apps/std_streams.h"
#include "mdfh/capture.h"
#include "mdfh/error.h"
#include "proto/decoder.h"
#include "wire/inflate.h"
#include "wire/trailer.h"

enum {
	FLOWS_MAX = 256,       /* destinations whose protocol is remembered */
	TYPES_MAX = 32,        /* --type */
	CHUNK_BYTES = 1 << 20, /* of a BinaryFILE read at a time; a record has at most 65537 */
	PROGRESS_EVERY = 1 << 18,
};

struct options {
	const char *path;
	const struct mdfh_schema *schema; /* NULL: recognise */
	enum dump_format format;
	const char *types[TYPES_MAX];
	int type_count;
	const char *symbol;
	uint64_t first, last;  /* --seq */
	uint64_t limit;        /* 0 = none */
	struct dump_date date; /* --date; year 0 = not given */
	enum mdfh_trailer trailer;
};

struct flow {
	uint8_t address[16];
	uint16_t port;
	const struct mdfh_schema *schema; /* NULL: not recognised yet */
};

struct dump {
	struct options options;
	FILE *out;
	struct dump_counts counts;
	struct flow flows[FLOWS_MAX];
	unsigned flow_count;
	struct dump_symbols symbols; /* by flow and the venue's number + 1 */
	struct mdfh_trailer_reader trailer;
	int64_t midnight_ns; /* INT64_MIN = not known */
	int date_tried;
	int done;   /* --limit reached, or nobody reads */
	int failed; /* the input could not be read to its end */
};

static volatile sig_atomic_t interrupted; /* written by the handler, read by the loops */

/* Options ----------------------------------------------------------------- */

enum { KEY_JSON = 1000, KEY_WIRE, KEY_TYPE, KEY_SYMBOL, KEY_SEQ, KEY_LIMIT, KEY_DATE, KEY_TRAILER };

static const struct argp_option argp_options[] = {
    {"protocol", 'p', "NAME", 0, "Take every packet or record as this protocol", 1},
    {"json", KEY_JSON, NULL, 0, "One JSON object a message: names, scaled prices, times", 2},
    {"wire", KEY_WIRE, NULL, 0, "JSON records of every field's offset, size and wire value", 2},
    {"type", KEY_TYPE, "TYPE", 0, "Only this message type or name (may be repeated)", 3},
    {"symbol", KEY_SYMBOL, "SYMBOL", 0, "Only messages about this instrument", 3},
    {"seq", KEY_SEQ, "A-B", 0, "Only these sequence numbers (A, A-, -B or A-B)", 3},
    {"limit", KEY_LIMIT, "N", 0, "Stop after N messages", 3},
    {"date", KEY_DATE, "YYYY-MM-DD", 0,
	"Session date, for protocols whose times count from midnight", 4},
    {"trailer", KEY_TRAILER, "KIND", 0,
	"Take times from the trailers of a tap or switch: metamako, exablaze, arista7280", 4},
    {0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'p':
		options->schema = mdfh_schema_find(argument);
		if (!options->schema || !options->schema->session)
			argp_error(
			    state, "no protocol is called '%s'; --help lists them", argument);
		break;
	case KEY_JSON:
		options->format = DUMP_JSON;
		break;
	case KEY_WIRE:
		options->format = DUMP_WIRE;
		break;
	case KEY_TYPE:
		if (options->type_count == TYPES_MAX)
			argp_error(state, "more than %d --type options", TYPES_MAX);
		else
			options->types[options->type_count++] = argument;
		break;
	case KEY_SYMBOL:
		options->symbol = argument;
		break;
	case KEY_SEQ:
		if (!dump_parse_range(argument, &options->first, &options->last))
			argp_error(state, "--seq is '%s'; it must be A, A-, -B or A-B", argument);
		break;
	case KEY_TRAILER:
		options->trailer = option_trailer(state, argument);
		return 0;
	case KEY_LIMIT:
		options->limit = option_whole(state, "limit", argument, 1, UINT64_MAX);
		break;
	case KEY_DATE:
		if (!dump_parse_date(argument, &options->date))
			argp_error(state, "--date is '%s'; it must be YYYY-MM-DD", argument);
		break;
	case ARGP_KEY_ARG:
		if (options->path)
			argp_error(state, "one file only; '%s' is a second", argument);
		options->path = argument;
		break;
	case ARGP_KEY_END:
		if (!options->path)
			argp_error(state, "which file? - is standard input");
		dump_check_types(options->types, options->type_count, options->schema, state);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* --help ends with the protocols that this build knows. */
static char *help_filter(int key, const char *text, void *input)
{
	char *list = NULL;
	size_t size;
	FILE *stream;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)(uintptr_t)text;
	stream = open_memstream(&list, &size);
	if (!stream)
		return NULL;
	fputs("Protocols:\n", stream);
	for (unsigned i = 0; mdfh_schema_at(i); i++) {
		const struct mdfh_schema *schema = mdfh_schema_at(i);

		if (schema->session)
			fprintf(stream, "  %-10s %s, over %s\n", schema->name, schema->title,
			    schema->session);
	}
	fputs("\nExit status: 0, 1 if anything was refused, 2 if the file could not be read.\n",
	    stream);
	fclose(stream);
	return list;
}

/* Destinations ------------------------------------------------------------- */

/* NULL: not recognised. *index numbers the destination. */
static const struct mdfh_schema *flow_schema(
    struct dump *dump, const struct mdfh_frame *frame, const uint8_t *payload, unsigned *index)
{
	struct flow *flow = NULL;

	for (unsigned i = 0; i < dump->flow_count && !flow; i++) {
		if (dump->flows[i].port == frame->destination_port &&
		    !memcmp(dump->flows[i].address, frame->destination, 16))
			flow = &dump->flows[i];
	}
	if (!flow && dump->flow_count < FLOWS_MAX) {
		flow = &dump->flows[dump->flow_count++];
		memcpy(flow->address, frame->destination, 16);
		flow->port = frame->destination_port;
		flow->schema = dump->options.schema;
	}
	*index = flow ? (unsigned)(flow - dump->flows) : FLOWS_MAX;
	if (!flow)
		return dump->options.schema ? dump->options.schema
					    : dump_recognise(payload, frame->payload_length);
	if (!flow->schema)
		flow->schema = dump_recognise(payload, frame->payload_length);
	return flow->schema;
}

/* Session date ------------------------------------------------------------- */

/* Once, at the first message of a protocol that counts from midnight. */
static void find_date(struct dump *dump, const struct mdfh_schema *schema, uint64_t capture_ns)
{
	struct options *options = &dump->options;
	struct dump_date *date = &options->date;
	int has_date = date->year != 0;

	dump->date_tried = 1;
	if (!has_date && capture_ns &&
	    mdfh_midnight_before(schema->timezone, (int64_t)capture_ns, &dump->midnight_ns) == 0)
		return;
	if ((has_date || dump_date_of_name(options->path, date)) &&
	    mdfh_midnight_ns(
		schema->timezone, date->year, date->month, date->day, &dump->midnight_ns) == 0)
		return;
	dump->midnight_ns = INT64_MIN;
	fprintf(stderr,
	    "mdfh dump: %s: no session date in the capture or the file's name, so times are "
	    "shown as they are, since midnight; --date YYYY-MM-DD names it\n",
	    options->path);
}

/* Messages ----------------------------------------------------------------- */

/* First pass over a message: whom it is about and when it was made. */
struct look {
	struct dump *dump;
	uint64_t flow;
	const struct mdfh_group *group; /* block that the next three belong to */
	uint32_t index;
	uint64_t key;                 /* instrument of the block, 0 = none yet */
	char text[DUMP_SYMBOL_SIZE];  /* symbol of the block, "" = none yet */
	char first[DUMP_SYMBOL_SIZE]; /* first symbol of the message */
	int64_t time_ns;
	uint64_t time_raw;
	int has_time;
	int wanted; /* --symbol was met */
};

static void look_block(struct look *look)
{
	const char *text = look->text;

	if (look->key && *text)
		dump_symbol_learn(&look->dump->symbols, look->key, text);
	else if (look->key)
		text = dump_symbol_find(&look->dump->symbols, look->key);
	if (*text && !look->first[0])
		memcpy(look->first, text, DUMP_SYMBOL_SIZE);
	if (look->dump->options.symbol && !strcmp(text, look->dump->options.symbol))
		look->wanted = 1;
	look->key = 0;
	look->text[0] = '\0';
}

static int look_field(void *context, const struct mdfh_value *value)
{
	struct look *look = context;
	size_t length = value->field->size;

	if (value->group != look->group || value->index != look->index) {
		look_block(look);
		look->group = value->group;
		look->index = value->index;
	}
	switch (value->field->role) {
	case MDFH_ROLE_INSTRUMENT:
		if (!value->is_null && value->raw)
			look->key = look->flow << 48 ^ (value->raw + 1);
		break;
	case MDFH_ROLE_SYMBOL:
		if (length >= DUMP_SYMBOL_SIZE)
			length = DUMP_SYMBOL_SIZE - 1;
		while (length > 0 &&
		       (value->bytes[length - 1] == ' ' || value->bytes[length - 1] == '\0'))
			length--;
		memset(look->text, 0, DUMP_SYMBOL_SIZE);
		memcpy(look->text, value->bytes, length);
		break;
	case MDFH_ROLE_TIME:
		look->time_ns = dump_time_ns(value, look->dump->midnight_ns);
		look->time_raw = value->raw;
		look->has_time = !value->is_null;
		break;
	default:
		break;
	}
	return 0;
}

static int type_wanted(const struct options *options, const struct mdfh_schema *schema,
    const struct mdfh_message *message)
{
	if (!options->type_count)
		return 1;
	for (int i = 0; message && i < options->type_count; i++) {
		if (dump_is_type(schema, message, options->types[i]))
			return 1;
	}
	return 0;
}

/* Decode one message and print it if it is wanted. *packet_printed: its packet record is out. */
static void dump_message(
    struct dump *dump, const struct dump_message *framed, unsigned flow, int *packet_printed)
{
	struct dump_message copy = *framed;
	struct dump_message *message = &copy;
	const struct options *options = &dump->options;
	const struct mdfh_message *found;
	enum mdfh_walk_error error =
	    mdfh_walk_check(message->schema, message->bytes, message->length, &found);
	struct look look = {.dump = dump, .flow = flow, .time_ns = INT64_MIN};

	dump->counts.messages++;
	dump->counts.walks[error]++;
	if (!dump->date_tried && message->schema->timezone)
		find_date(dump, message->schema, message->packet ? message->packet->time_ns : 0);
	if (!error) {
		mdfh_walk(message->schema, message->bytes, message->length, look_field, &look);
		look_block(&look);
	}
	if (message->sequence < options->first || message->sequence > options->last ||
	    !type_wanted(options, message->schema, found) || (options->symbol && !look.wanted))
		return;
	if (!*packet_printed && message->packet) {
		dump_print_packet(dump->out, options->format, message->packet);
		*packet_printed = 1;
	}
	message->symbol = look.first;
	message->midnight_ns = dump->midnight_ns;
	message->time_ns = look.time_ns;
	message->time_raw = look.time_raw;
	message->has_time = look.has_time;
	dump_print_message(dump->out, options->format, message, error);
	dump->counts.printed++;
	if (options->limit && dump->counts.printed >= options->limit)
		dump->done = 1;
}

/* Captures ----------------------------------------------------------------- */

static void dump_packet(struct dump *dump, const struct mdfh_schema *schema, unsigned flow,
    const struct dump_packet *framed)
{
	const struct mdfh_session_ops *session = mdfh_session_find(schema->session);
	const struct options *options = &dump->options;
	int filtered =
	    options->type_count || options->symbol || options->first || options->last != UINT64_MAX;
	struct mdfh_unit unit;
	struct dump_packet packet = *framed;
	struct dump_message message = {.schema = schema, .packet = &packet};
	uint32_t at = 0;
	int printed = 0;

	packet.unit = &unit;
	packet.header = mdfh_schema_find(schema->session);
	dump->counts.packets++;
	session->parse(packet.payload, packet.frame->payload_length, &unit);
	dump->counts.sessions[unit.error]++;
	if (!filtered) {
		dump_print_packet(dump->out, options->format, &packet);
		printed = 1;
	}
	for (uint32_t i = 0; i < unit.messages && !dump->done; i++) {
		uint32_t step = mdfh_framing_next(session->framing, unit.body + at,
		    unit.body_length - at, &message.bytes, &message.length);

		if (!step)
			break;
		message.prefix = step - message.length;
		message.offset = (uint32_t)(message.bytes - packet.payload);
		message.index = i;
		message.sequence = session->counts_packets ? unit.first : unit.first + i;
		dump_message(dump, &message, flow, &printed);
		at += step;
	}
}

static int is_other_traffic(enum mdfh_frame_error error)
{
	return error == MDFH_FRAME_NOT_IP || error == MDFH_FRAME_NOT_UDP;
}

/* A TCP segment: SoupBinTCP, where it is nothing but whole packets of that. They have no numbers and
 * symbols, and message types of their own: filters leave them out. */
static void dump_stream(struct dump *dump, const struct dump_packet *packet)
{
	const struct options *options = &dump->options;
	uint32_t count = dump_soup_count(packet->payload, packet->frame->payload_length);

	if (!count) {
		dump->counts.other++;
		return;
	}
	dump->counts.soup += count;
	if (options->type_count || options->symbol || options->first || options->last != UINT64_MAX)
		return;
	dump->counts.printed += dump_soup_print(dump->out, options->format, packet,
	    options->limit ? options->limit - dump->counts.printed : UINT64_MAX);
	if (options->limit && dump->counts.printed >= options->limit)
		dump->done = 1;
}

/* The packet's time is the tap's from here on, if that can be believed. */
static void take_trailer(
    struct dump *dump, const struct mdfh_capture_frame *captured, struct dump_packet *packet)
{
	struct mdfh_trailer_stamp stamp;
	enum mdfh_trailer_verdict verdict;

	dump->trailer.kind = dump->options.trailer;
	if (!dump->trailer.kind)
		return;
	verdict = mdfh_trailer_read(&dump->trailer, captured->data, captured->captured,
	    captured->wire_length, packet->frame, captured->time_ns, &stamp);
	dump->counts.trailers[verdict]++;
	if (verdict == MDFH_TRAILER_SOUND)
		packet->time_ns = stamp.time_ns;
}

static void dump_frame(struct dump *dump, const struct mdfh_capture_frame *captured)
{
	struct mdfh_frame frame;
	struct dump_packet packet = {.number = captured->number,
	    .time_ns = captured->time_ns,
	    .captured = captured->captured,
	    .wire_length = captured->wire_length,
	    .frame = &frame};
	enum mdfh_frame_error error = mdfh_frame_parse(
	    captured->link_type, captured->data, captured->captured, captured->wire_length, &frame);
	const struct mdfh_schema *schema;
	unsigned flow;

	if (!error && frame.protocol == MDFH_PROTOCOL_TCP && frame.payload_length) {
		packet.payload = captured->data + frame.payload_offset;
		dump_stream(dump, &packet);
		return;
	}
	if (is_other_traffic(error) || (!error && frame.protocol != MDFH_PROTOCOL_UDP)) {
		dump->counts.other++;
		return;
	}
	dump->counts.frames[error]++;
	if (error)
		return;
	take_trailer(dump, captured, &packet);
	packet.payload = captured->data + frame.payload_offset;
	schema = flow_schema(dump, &frame, packet.payload, &flow);
	if (schema)
		dump_packet(dump, schema, flow, &packet);
	else
		dump->counts.unrecognised++;
}

static int wanted_on(struct dump *dump)
{
	if (interrupted || ferror(dump->out))
		dump->done = 1;
	return !dump->done;
}

static void show_progress(const struct dump *dump)
{
	fprintf(stderr, "\rmdfh dump: %" PRIu64 " messages", dump->counts.messages);
}

static void dump_capture(struct dump *dump, struct mdfh_capture *capture, int progress)
{
	struct mdfh_capture_frame frame;
	int more = 1;

	while (wanted_on(dump) && (more = mdfh_capture_next(capture, &frame)) > 0) {
		dump_frame(dump, &frame);
		if (progress && frame.number % (PROGRESS_EVERY / 16) == 0)
			show_progress(dump);
	}
	if (more < 0) {
		fprintf(stderr, "mdfh dump: %s\n", mdfh_error_text());
		dump->failed = 1;
	}
}

/* BinaryFILE --------------------------------------------------------------- */

static void dump_records(
    struct dump *dump, const struct mdfh_schema *schema, const struct mdfh_span *span, uint64_t at)
{
	struct dump_message message = {.schema = schema};
	uint32_t used = 0;
	int printed = 1; /* a file has no packet records */

	for (uint64_t i = 0; i < span->messages && wanted_on(dump); i++) {
		uint32_t step = mdfh_framing_next(MDFH_FRAMING_LENGTH_BE16, span->data + used,
		    span->length - used, &message.bytes, &message.length);

		message.sequence = span->first + i;
		message.file_offset = at + used;
		dump_message(dump, &message, 0, &printed);
		used += step;
	}
}

/* Reads through a buffer, so that a pipe and a file of any size will do. */
static int dump_file(struct dump *dump, struct mdfh_inflate *inflate, int progress)
{
	const struct mdfh_schema *schema = dump->options.schema;
	FILE *stream = mdfh_inflate_file(inflate);
	uint8_t *buffer = malloc(CHUNK_BYTES);
	struct mdfh_binaryfile file;
	size_t left = 0;
	int status = 0;

	if (!buffer) {
		fprintf(stderr, "mdfh dump: no memory for %d bytes\n", (int)CHUNK_BYTES);
		return 2;
	}
	mdfh_binaryfile_open(&file, 0);
	while (wanted_on(dump)) {
		size_t got = fread(buffer + left, 1, CHUNK_BYTES - left, stream);
		struct mdfh_span span;

		if (!got)
			break;
		if (!schema)
			schema = dump_recognise_file(buffer, left + got);
		if (!schema) {
			status = 2;
			break;
		}
		mdfh_binaryfile_feed(&file, buffer, left + got);
		while (!dump->done && mdfh_binaryfile_next(&file, 4096, &span))
			dump_records(
			    dump, schema, &span, file.offset - span.length - (file.marked ? 2 : 0));
		left = (size_t)mdfh_binaryfile_left(&file);
		memmove(buffer, buffer + (file.size - left), left);
		if (progress)
			show_progress(dump);
		if (file.marked)
			break;
	}
	if (mdfh_inflate_problem(inflate)) {
		fprintf(stderr, "mdfh dump: %s: %s\n", dump->options.path,
		    mdfh_inflate_problem(inflate));
		dump->failed = 1;
	}
	if (!schema) {
		fprintf(stderr,
		    "mdfh dump: %s: is no capture, and its first records are of no known protocol; "
		    "--protocol NAME names it\n",
		    dump->options.path);
		status = 2;
	} else if (!dump->done && !dump->failed) {
		enum mdfh_binaryfile_end end = mdfh_binaryfile_end(&file);

		if (end != MDFH_BINARYFILE_MARKED)
			fprintf(stderr, "mdfh dump: %s: %s\n", dump->options.path,
			    mdfh_binaryfile_end_text(end));
		dump->failed = end == MDFH_BINARYFILE_CUT;
	}
	free(buffer);
	return status;
}

/* Command ------------------------------------------------------------------ */

static void on_interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

static int run(struct dump *dump)
{
	int progress = isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO);
	struct mdfh_capture *capture = NULL;
	struct mdfh_inflate *inflate;
	int status = 0;

	if (mdfh_inflate_open_path(dump->options.path, &inflate) < 0) {
		fprintf(stderr, "mdfh dump: %s\n", mdfh_error_text());
		return 2;
	}
	if (mdfh_inflate_is_capture(inflate)) {
		if (mdfh_capture_open_inflate(inflate, dump->options.path, &capture) < 0) {
			fprintf(stderr, "mdfh dump: %s\n", mdfh_error_text());
			return 2;
		}
		dump_capture(dump, capture, progress);
		mdfh_capture_close(capture);
	} else {
		status = dump_file(dump, inflate, progress);
		mdfh_inflate_close(inflate);
	}
	if (progress)
		fprintf(stderr, "\r");
	/* Why not all was printed is said at the end of the program. */
	if (fflush(dump->out) || std_streams_closed())
		return 0;
	return status ? status : dump_summary(&dump->counts, interrupted, dump->failed);
}

int mdfh_command_dump(int argc, char **argv)
{
	static const struct argp argp = {
	    .options = argp_options,
	    .parser = parse_option,
	    .args_doc = "FILE|-",
	    .doc = "Show the messages of a capture (pcap, pcapng) or a BinaryFILE, plain or "
		   "compressed with gzip or zstd; - is standard input.\v",
	    .help_filter = help_filter,
	};
	struct sigaction action = {.sa_handler = on_interrupt};
	struct dump *dump = calloc(1, sizeof(*dump));
	int status = 2;

	if (!dump) {
		fprintf(stderr, "mdfh dump: no memory\n");
		return 2;
	}
	dump->out = stdout;
	dump->midnight_ns = INT64_MIN;
	dump->options.last = UINT64_MAX;
	if (argp_parse(&argp, argc, argv, 0, NULL, &dump->options) == 0) {
		sigaction(SIGINT, &action, NULL);
		status = run(dump);
	}
	free(dump->symbols.slots);
	free(dump);
	return status;
}
