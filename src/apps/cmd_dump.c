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
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "apps/commands.h"
#include "apps/dump_options.h"
#include "apps/dump_print.h"
#include "apps/dump_soup.h"
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
	SYMBOL_SIZE = 32,      /* longest symbol kept, with its terminator */
	PROBE_RECORDS = 8,     /* of a file, looked at to recognise its protocol */
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
	uint64_t first, last; /* --seq */
	uint64_t limit;       /* 0 = none */
	int year, month, day; /* --date; 0 = not given */
	enum mdfh_trailer trailer;
};

struct flow {
	uint8_t address[16];
	uint16_t port;
	const struct mdfh_schema *schema; /* NULL: not recognised yet */
};

struct symbol {
	uint64_t key; /* flow and the venue's number + 1; 0 = free */
	char text[SYMBOL_SIZE];
};

struct counts {
	uint64_t packets; /* UDP, of a protocol */
	uint64_t messages;
	uint64_t printed;
	uint64_t soup;         /* SoupBinTCP packets */
	uint64_t other;        /* frames of other traffic: ARP, TCP ... */
	uint64_t unrecognised; /* UDP packets of no protocol */
	uint64_t trailers[MDFH_TRAILER_SOUND + 1];
	uint64_t frames[MDFH_FRAME_ERRORS];
	uint64_t sessions[MDFH_SESSION_ERRORS];
	uint64_t walks[MDFH_WALK_ERRORS];
};

struct dump {
	struct options options;
	FILE *out;
	struct counts counts;
	struct flow flows[FLOWS_MAX];
	unsigned flow_count;
	struct symbol *symbols; /* open addressing, a power of two */
	size_t symbol_size;
	size_t symbol_count;
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
	"Take times from the trailers of a tap or switch: metamako, exablaze", 4},
    {0},
};

static int parse_date(const char *text, struct options *options)
{
	int used = 0;

	return sscanf(text, "%4d-%2d-%2d%n", &options->year, &options->month, &options->day,
		   &used) == 3 &&
	       text[used] == '\0' && options->year > 1970 && options->month >= 1 &&
	       options->month <= 12 && options->day >= 1 && options->day <= 31;
}

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
		if (!parse_date(argument, options))
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

/* Recognising -------------------------------------------------------------- */

static int names_protocol(const struct mdfh_schema *schema, const uint8_t *payload)
{
	const struct mdfh_schema *header = mdfh_schema_find(schema->session);
	const struct mdfh_message *message = header->messages;

	for (uint32_t i = 0; i < message->field_count; i++) {
		const struct mdfh_field *field = &message->fields[i];
		uint64_t value;

		if (strcmp(field->name, schema->session_field) != 0)
			continue;
		value = mdfh_field_load(header, field, payload + field->offset);
		for (uint32_t v = 0; v < schema->session_value_count; v++) {
			if (schema->session_values[v] == value)
				return 1;
		}
	}
	return 0;
}

/* A message that is exactly as the schema says: no other protocol's by chance. */
static int is_exact(const struct mdfh_schema *schema, const uint8_t *bytes, uint32_t length)
{
	const struct mdfh_message *message;

	if (mdfh_walk_check(schema, bytes, length, &message) != MDFH_WALK_OK)
		return 0;
	return schema->block_length_field || length == message->length;
}

static int all_exact(const struct mdfh_schema *schema, enum mdfh_framing framing,
    const uint8_t *body, uint32_t length)
{
	const uint8_t *message;
	uint32_t size, step;

	while (length > 0) {
		step = mdfh_framing_next(framing, body, length, &message, &size);
		if (!step || !is_exact(schema, message, size))
			return 0;
		body += step;
		length -= step;
	}
	return 1;
}

/* A heartbeat or an end of session that can hardly be anything else: a bare header whose session
 * has a name. */
static int is_bare_header(
    const struct mdfh_session_ops *session, const struct mdfh_unit *unit, uint32_t length)
{
	char name[MDFH_SESSION_TEXT];

	if (unit->kind == MDFH_UNIT_DATA || unit->error || !unit->first ||
	    length != session->header_size)
		return 0;
	session->session_text(unit, name);
	for (const char *at = name; *at; at++)
		if (*at < ' ' || *at > '~')
			return 0;
	return name[0] != '\0';
}

static int fits(const struct mdfh_schema *schema, const uint8_t *payload, uint32_t length)
{
	const struct mdfh_session_ops *session = mdfh_session_find(schema->session);
	struct mdfh_unit unit;

	if (session->parse(payload, length, &unit) < 0)
		return 0;
	if (schema->session_field)
		return names_protocol(schema, payload);
	if (unit.error != MDFH_SESSION_OK && unit.error != MDFH_SESSION_SEQUENCE)
		return 0;
	if (!unit.messages)
		return is_bare_header(session, &unit, length);
	return all_exact(schema, session->framing, unit.body, unit.body_length);
}

static const struct mdfh_schema *recognise(const uint8_t *payload, uint32_t length)
{
	const struct mdfh_schema *found = NULL;

	for (unsigned i = 0; mdfh_schema_at(i); i++) {
		const struct mdfh_schema *schema = mdfh_schema_at(i);

		if (!schema->session || !fits(schema, payload, length))
			continue;
		if (found)
			return NULL;
		found = schema;
	}
	return found;
}

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
					    : recognise(payload, frame->payload_length);
	if (!flow->schema)
		flow->schema = recognise(payload, frame->payload_length);
	return flow->schema;
}

/* Session date ------------------------------------------------------------- */

/* MMDDYYYY, as Nasdaq names day files, or YYYYMMDD: the first run of 8 digits that is one. */
static int date_of_name(const char *path, struct options *options)
{
	const char *name = strrchr(path, '/');

	for (const char *at = name ? name + 1 : path; *at; at++) {
		int a, b, c, d;

		if (strspn(at, "0123456789") != 8 ||
		    sscanf(at, "%2d%2d%2d%2d", &a, &b, &c, &d) != 4) {
			at += strspn(at, "0123456789");
			if (!*at)
				break;
			continue;
		}
		if (a * 100 + b >= 1990 && a * 100 + b < 2100 && c >= 1 && c <= 12) {
			options->year = a * 100 + b;
			options->month = c;
			options->day = d;
			return d >= 1 && d <= 31;
		}
		options->month = a;
		options->day = b;
		options->year = c * 100 + d;
		return a >= 1 && a <= 12 && b >= 1 && b <= 31 && options->year >= 1990;
	}
	return 0;
}

/* Once, at the first message of a protocol that counts from midnight. */
static void find_date(struct dump *dump, const struct mdfh_schema *schema, uint64_t capture_ns)
{
	struct options *options = &dump->options;
	int has_date = options->year != 0;

	dump->date_tried = 1;
	if (!has_date && capture_ns &&
	    mdfh_midnight_before(schema->timezone, (int64_t)capture_ns, &dump->midnight_ns) == 0)
		return;
	if ((has_date || date_of_name(options->path, options)) &&
	    mdfh_midnight_ns(schema->timezone, options->year, options->month, options->day,
		&dump->midnight_ns) == 0)
		return;
	dump->midnight_ns = INT64_MIN;
	fprintf(stderr,
	    "mdfh dump: %s: no session date in the capture or the file's name, so times are "
	    "shown as they are, since midnight; --date YYYY-MM-DD names it\n",
	    options->path);
}

/* Symbols ------------------------------------------------------------------ */

static struct symbol *symbol_slot(struct symbol *symbols, size_t size, uint64_t key)
{
	size_t at = (size_t)(key * 0x9e3779b97f4a7c15ull >> 20) & (size - 1);

	while (symbols[at].key && symbols[at].key != key)
		at = (at + 1) & (size - 1);
	return &symbols[at];
}

static const char *symbol_find(const struct dump *dump, uint64_t key)
{
	return dump->symbol_size ? symbol_slot(dump->symbols, dump->symbol_size, key)->text : "";
}

/* Out of memory: symbols learned from here on are not shown, which costs no truth. */
static void symbol_learn(struct dump *dump, uint64_t key, const char *text)
{
	struct symbol *slot;

	if (dump->symbol_count * 2 >= dump->symbol_size) {
		size_t size = dump->symbol_size ? dump->symbol_size * 2 : 4096;
		struct symbol *symbols = calloc(size, sizeof(*symbols));

		if (!symbols)
			return;
		for (size_t i = 0; i < dump->symbol_size; i++) {
			if (dump->symbols[i].key)
				*symbol_slot(symbols, size, dump->symbols[i].key) =
				    dump->symbols[i];
		}
		free(dump->symbols);
		dump->symbols = symbols;
		dump->symbol_size = size;
	}
	slot = symbol_slot(dump->symbols, dump->symbol_size, key);
	dump->symbol_count += slot->key == 0;
	slot->key = key;
	memcpy(slot->text, text, SYMBOL_SIZE);
}

/* Messages ----------------------------------------------------------------- */

/* First pass over a message: whom it is about and when it was made. */
struct look {
	struct dump *dump;
	uint64_t flow;
	const struct mdfh_group *group; /* block that the next three belong to */
	uint32_t index;
	uint64_t key;            /* instrument of the block, 0 = none yet */
	char text[SYMBOL_SIZE];  /* symbol of the block, "" = none yet */
	char first[SYMBOL_SIZE]; /* first symbol of the message */
	int64_t time_ns;
	uint64_t time_raw;
	int has_time;
	int wanted; /* --symbol was met */
};

static void look_block(struct look *look)
{
	const char *text = look->text;

	if (look->key && *text)
		symbol_learn(look->dump, look->key, text);
	else if (look->key)
		text = symbol_find(look->dump, look->key);
	if (*text && !look->first[0])
		memcpy(look->first, text, SYMBOL_SIZE);
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
		if (length >= SYMBOL_SIZE)
			length = SYMBOL_SIZE - 1;
		while (length > 0 &&
		       (value->bytes[length - 1] == ' ' || value->bytes[length - 1] == '\0'))
			length--;
		memset(look->text, 0, SYMBOL_SIZE);
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

/* The schema that the first records fit, if it is one. Only protocols with messages behind a
 * big-endian length, as in MoldUDP64, are stored in such files. */
static const struct mdfh_schema *recognise_file(const uint8_t *data, size_t size)
{
	const struct mdfh_schema *found = NULL;

	for (unsigned i = 0; mdfh_schema_at(i); i++) {
		const struct mdfh_schema *schema = mdfh_schema_at(i);
		size_t at = 0;
		int records = 0;

		if (!schema->session ||
		    mdfh_session_find(schema->session)->framing != MDFH_FRAMING_LENGTH_BE16)
			continue;
		while (records < PROBE_RECORDS) {
			const uint8_t *message;
			uint32_t length;
			uint32_t left = (uint32_t)(size - at);
			uint32_t step = mdfh_framing_next(
			    MDFH_FRAMING_LENGTH_BE16, data + at, left, &message, &length);

			if (!step || !length)
				break;
			if (!is_exact(schema, message, length)) {
				records = 0;
				break;
			}
			records++;
			at += step;
		}
		if (records == 0)
			continue;
		if (found)
			return NULL;
		found = schema;
	}
	return found;
}

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
			schema = recognise_file(buffer, left + got);
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

/* Summary ------------------------------------------------------------------ */

static uint64_t report(const char *what, uint64_t count, const char *reason)
{
	if (count)
		fprintf(stderr, "mdfh dump: %" PRIu64 " %s: %s\n", count, what, reason);
	return count;
}

/* Returns the exit status. */
static int summary(const struct dump *dump)
{
	const struct counts *c = &dump->counts;
	uint64_t refused = 0;

	fprintf(stderr,
	    "mdfh dump: %s%" PRIu64 " packets, %" PRIu64 " messages, %" PRIu64 " shown\n",
	    interrupted ? "interrupted: " : "", c->packets, c->messages, c->printed);
	for (unsigned e = 1; e < MDFH_FRAME_ERRORS; e++)
		refused += report("frames refused", c->frames[e],
		    mdfh_frame_error_name((enum mdfh_frame_error)e));
	report("packets with the capture's time", c->trailers[MDFH_TRAILER_ABSENT],
	    "no trailer behind them");
	report("packets with the capture's time", c->trailers[MDFH_TRAILER_IMPLAUSIBLE],
	    "what stands behind them gives no time within 30 s of it");
	for (unsigned e = 1; e < MDFH_SESSION_ERRORS; e++) {
		/* Of these two every message is there and was shown. */
		if (e == MDFH_SESSION_TRAILING)
			report("packets", c->sessions[e], "bytes after the last message");
		else if (e == MDFH_SESSION_SEQUENCE)
			report("packets", c->sessions[e], "impossible sequence number");
		else
			refused += report("packets refused in whole or part", c->sessions[e],
			    mdfh_session_error_name(e));
	}
	for (unsigned e = 1; e < MDFH_WALK_ERRORS; e++)
		refused += report("messages refused", c->walks[e], mdfh_walk_error_name(e));
	report("SoupBinTCP packets", c->soup, "logins, heartbeats and messages on TCP");
	report("frames of other traffic", c->other, "neither UDP nor whole SoupBinTCP packets");
	report("packets of no recognised protocol", c->unrecognised, "--protocol NAME names it");
	if (!c->packets && c->unrecognised)
		return 2;
	return refused || dump->failed ? 1 : 0;
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
	return status ? status : summary(dump);
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
	free(dump->symbols);
	free(dump);
	return status;
}
