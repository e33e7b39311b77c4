/* dump_print.c - messages and packets as lines. */
#include "apps/dump_print.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "apps/json_out.h"

enum { NUMBER_TEXT = 64, TIME_TEXT = 48 };

#define NS_PER_S 1000000000

/* Values as text --------------------------------------------------------- */

int64_t dump_time_ns(const struct mdfh_value *value, int64_t midnight_ns)
{
	int64_t raw = (int64_t)value->raw, ns;

	if (value->is_null)
		return INT64_MIN;
	switch (value->field->kind) {
	case MDFH_FIELD_NS_EPOCH:
		return raw;
	case MDFH_FIELD_S_EPOCH:
		return __builtin_mul_overflow(raw, NS_PER_S, &ns) ? INT64_MIN : ns;
	case MDFH_FIELD_S_MIDNIGHT:
		if (__builtin_mul_overflow(raw, NS_PER_S, &raw))
			return INT64_MIN;
		/* fall through */
	case MDFH_FIELD_NS_MIDNIGHT:
		if (midnight_ns == INT64_MIN || __builtin_add_overflow(midnight_ns, raw, &ns))
			return INT64_MIN;
		return ns;
	default:
		return INT64_MIN;
	}
}

/* 2023-08-22T13:30:00.000059094Z */
static void time_text(int64_t ns, char text[TIME_TEXT])
{
	int64_t seconds = ns / NS_PER_S;
	int64_t rest = ns % NS_PER_S;
	time_t when;
	struct tm tm;
	size_t at;

	if (rest < 0) {
		rest += NS_PER_S;
		seconds--;
	}
	when = seconds;
	gmtime_r(&when, &tm);
	at = strftime(text, TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + at, TIME_TEXT - at, ".%09dZ", (int)rest);
}

static void date_text(uint64_t days, char text[TIME_TEXT])
{
	time_t when = (time_t)days * 86400;
	struct tm tm;

	gmtime_r(&when, &tm);
	strftime(text, TIME_TEXT, "%Y-%m-%d", &tm);
}

/* raw * 10^exponent, exactly, without zeros at the end. */
static void decimal_text(const struct mdfh_value *value, char text[NUMBER_TEXT])
{
	int is_negative = value->field->flags & MDFH_FIELD_SIGNED && (int64_t)value->raw < 0;
	uint64_t magnitude = is_negative ? 0 - value->raw : value->raw;
	int decimals = -value->exponent;
	char digits[40];
	int length;

	/* An exponent that the sender chose may be anything of 8 bits. */
	if (decimals < 0 || decimals > 30) {
		snprintf(text, NUMBER_TEXT, "%s%" PRIu64 "e%d", is_negative ? "-" : "", magnitude,
		    value->exponent);
		return;
	}
	length = snprintf(digits, sizeof(digits), "%0*" PRIu64, decimals + 1, magnitude);
	if (decimals == 0) {
		snprintf(text, NUMBER_TEXT, "%s%s", is_negative ? "-" : "", digits);
		return;
	}
	snprintf(text, NUMBER_TEXT, "%s%.*s.%s", is_negative ? "-" : "", length - decimals, digits,
	    digits + length - decimals);
	for (size_t end = strlen(text); text[end - 1] == '0' || text[end - 1] == '.'; end--) {
		int is_point = text[end - 1] == '.';

		text[end - 1] = '\0';
		if (is_point)
			break;
	}
}

/* A value of any kind but ASCII, BYTES and FLAGS. Returns 1 if the text is a number (or null) as
 * JSON has it. */
static int scalar_text(const struct mdfh_value *value, int64_t midnight_ns, char text[NUMBER_TEXT])
{
	const struct mdfh_field *field = value->field;
	const char *name;
	int64_t ns;

	switch (field->kind) {
	case MDFH_FIELD_DECIMAL:
		decimal_text(value, text);
		return 1;
	case MDFH_FIELD_DAYS_EPOCH:
		date_text(value->raw, text);
		return 0;
	case MDFH_FIELD_NS_EPOCH:
	case MDFH_FIELD_S_EPOCH:
	case MDFH_FIELD_NS_MIDNIGHT:
	case MDFH_FIELD_S_MIDNIGHT:
		ns = dump_time_ns(value, midnight_ns);
		if (ns != INT64_MIN) {
			time_text(ns, text);
			return 0;
		}
		break;
	default:
		name = mdfh_names_find(field->names, (int64_t)value->raw);
		if (name) {
			snprintf(text, NUMBER_TEXT, "%s", name);
			return 0;
		}
		if (field->kind != MDFH_FIELD_CHAR)
			break;
		if (value->raw == ' ' || value->raw == 0)
			text[0] = '\0';
		else if (value->raw < ' ' || value->raw > '~')
			snprintf(text, NUMBER_TEXT, "0x%02x", (unsigned)value->raw);
		else
			snprintf(text, NUMBER_TEXT, "%c", (int)value->raw);
		return 0;
	}
	if (field->flags & MDFH_FIELD_SIGNED)
		snprintf(text, NUMBER_TEXT, "%" PRId64, (int64_t)value->raw);
	else
		snprintf(text, NUMBER_TEXT, "%" PRIu64, value->raw);
	return 1;
}

/* Calls put for each bit that is set; n counts them from 0. */
static void each_flag(
    const struct mdfh_value *value, void (*put)(void *, unsigned n, const char *), void *at)
{
	unsigned n = 0;

	for (unsigned bit = 0; bit < 8u * value->field->size; bit++) {
		const char *name = mdfh_names_find(value->field->names, bit);
		char text[NUMBER_TEXT];

		if (!(value->raw >> bit & 1))
			continue;
		snprintf(text, sizeof(text), "bit_%u", bit);
		put(at, n++, name ? name : text);
	}
}

static size_t trimmed(const struct mdfh_value *value)
{
	size_t length = value->field->size;

	while (length > 0 && (value->bytes[length - 1] == ' ' || value->bytes[length - 1] == '\0'))
		length--;
	return length;
}

static void hex_text(const uint8_t *bytes, size_t length, FILE *stream)
{
	for (size_t i = 0; i < length; i++)
		fprintf(stream, "%02x", bytes[i]);
}

/* Wire records ------------------------------------------------------------ */

struct wire_context {
	struct json_out *json;
	uint32_t offset;
};

/* The integer as transmitted, the text with its padding, or hex. */
static void wire_value(struct json_out *json, const struct mdfh_value *value)
{
	const struct mdfh_field *field = value->field;

	switch (field->kind) {
	case MDFH_FIELD_CHAR:
	case MDFH_FIELD_ASCII:
		json_text(json, value->bytes, field->size);
		break;
	case MDFH_FIELD_BYTES:
		json_raw(json, "\"0x");
		hex_text(value->bytes, field->size, json->stream);
		putc('"', json->stream);
		break;
	default:
		if (field->flags & MDFH_FIELD_SIGNED)
			json_int(json, (int64_t)value->raw);
		else
			json_uint(json, value->raw);
	}
}

static int wire_field(void *context, const struct mdfh_value *value)
{
	struct wire_context *wire = context;
	struct json_out *json = wire->json;
	char name[128];

	if (!value->bytes)
		return 0;
	if (!value->group)
		snprintf(name, sizeof(name), "%s", value->field->name);
	else if (value->index == MDFH_WALK_DIMENSION)
		snprintf(
		    name, sizeof(name), "%s.groupsize.%s", value->group->name, value->field->name);
	else
		snprintf(name, sizeof(name), "%s[%" PRIu32 "].%s", value->group->name,
		    value->index + 1, value->field->name);
	json_open(json, '[');
	json_quoted(json, name);
	json_uint(json, wire->offset + value->offset);
	json_uint(json, value->field->size);
	wire_value(json, value);
	json_close(json, ']');
	return 0;
}

static void wire_packet(FILE *stream, const struct dump_packet *packet)
{
	struct json_out json = {.stream = stream};
	struct wire_context wire = {.json = &json};
	const struct mdfh_frame *frame = packet->frame;
	char text[MDFH_ENDPOINT_TEXT_MAX];

	json_open(&json, '{');
	json_key(&json, "k");
	json_quoted(&json, "p");
	json_key(&json, "p");
	json_uint(&json, packet->number);
	json_key(&json, "t");
	snprintf(text, sizeof(text), "%" PRIu64 ".%09" PRIu64, packet->time_ns / NS_PER_S,
	    packet->time_ns % NS_PER_S);
	json_quoted(&json, text);
	json_key(&json, "cap");
	json_uint(&json, packet->captured);
	json_key(&json, "len");
	json_uint(&json, packet->wire_length);
	if (frame->vlan_count) {
		json_key(&json, "vlan");
		json_open(&json, '[');
		for (unsigned i = 0; i < frame->vlan_count; i++)
			json_uint(&json, frame->vlan[i]);
		json_close(&json, ']');
	}
	json_key(&json, "l4");
	json_quoted(&json, "udp");
	json_key(&json, "src");
	json_quoted(&json, mdfh_endpoint_text(frame->source, frame->source_port, text));
	json_key(&json, "dst");
	json_quoted(&json, mdfh_endpoint_text(frame->destination, frame->destination_port, text));
	json_key(&json, "poff");
	json_uint(&json, frame->payload_offset);
	json_key(&json, "plen");
	json_uint(&json, frame->payload_wire_length);
	json_key(&json, "n");
	json_uint(&json, packet->unit->messages);
	if (packet->unit->error) {
		json_key(&json, "error");
		json_quoted(&json, mdfh_session_error_name(packet->unit->error));
	}
	json_key(&json, "h");
	json_open(&json, '[');
	mdfh_walk(packet->header, packet->payload, frame->payload_length, wire_field, &wire);
	json_close(&json, ']');
	json_close(&json, '}');
	json_line(&json);
}

static void message_type(struct json_out *json, const struct dump_message *message)
{
	const struct mdfh_field *field = message->schema->type_field;
	uint64_t type;

	if ((uint32_t)field->offset + field->size > message->length) {
		json_raw(json, "null");
		return;
	}
	type = mdfh_field_load(message->schema, field, message->bytes + field->offset);
	if (message->schema->type_is_text)
		json_text(json, message->bytes + field->offset, 1);
	else
		json_uint(json, type);
}

static const struct mdfh_message *descriptor(const struct dump_message *message)
{
	const struct mdfh_message *found;

	mdfh_walk_check(message->schema, message->bytes, message->length, &found);
	return found;
}

static void wire_message(
    FILE *stream, const struct dump_message *message, enum mdfh_walk_error error)
{
	struct json_out json = {.stream = stream};
	struct wire_context wire = {.json = &json, .offset = message->offset};
	const struct mdfh_message *known = descriptor(message);

	json_open(&json, '{');
	json_key(&json, "k");
	json_quoted(&json, "m");
	if (message->packet) {
		json_key(&json, "p");
		json_uint(&json, message->packet->number);
		json_key(&json, "i");
		json_uint(&json, message->index);
	}
	json_key(&json, "seq");
	json_uint(&json, message->sequence);
	/* A length prefix belongs to the message in a packet, and not in a file. */
	json_key(&json, message->packet ? "off" : "fo");
	json_uint(
	    &json, message->packet ? message->offset - message->prefix : message->file_offset);
	json_key(&json, "len");
	json_uint(&json, message->length + (message->packet ? message->prefix : 0));
	json_key(&json, "type");
	message_type(&json, message);
	json_key(&json, "name");
	json_quoted(&json, known ? known->title : "unknown");
	if (error) {
		json_key(&json, "error");
		json_quoted(&json, mdfh_walk_error_name(error));
	}
	json_key(&json, "f");
	json_open(&json, '[');
	if (message->packet && message->prefix) {
		json_open(&json, '[');
		json_quoted(&json, "message_length");
		json_uint(&json, message->offset - message->prefix);
		json_uint(&json, message->prefix);
		json_uint(&json, message->length);
		json_close(&json, ']');
	}
	mdfh_walk(message->schema, message->bytes, message->length, wire_field, &wire);
	json_close(&json, ']');
	json_close(&json, '}');
	json_line(&json);
}

/* Whether a value is about the encoding alone: not for people. */
static int is_encoding(const struct mdfh_value *value)
{
	const struct mdfh_field *field = value->field;

	return field->role == MDFH_ROLE_TYPE || field->role == MDFH_ROLE_SIZE ||
	       field->role == MDFH_ROLE_BLOCK_LENGTH || field->role == MDFH_ROLE_VERSION ||
	       (field->flags & MDFH_FIELD_CONSTANT && field->size > 0) ||
	       (value->group && value->index == MDFH_WALK_DIMENSION);
}

/* JSON -------------------------------------------------------------------- */

struct json_context {
	struct json_out *json;
	const struct dump_message *message;
	const struct mdfh_group *group; /* whose array is open */
	uint32_t index;                 /* of the open entry; MDFH_WALK_DIMENSION = none */
};

static void json_flag(void *json, unsigned n, const char *name)
{
	(void)n;
	json_quoted(json, name);
}

static void json_value(const struct json_context *context, const struct mdfh_value *value)
{
	struct json_out *json = context->json;
	char text[NUMBER_TEXT];

	if (value->is_null) {
		json_raw(json, "null");
		return;
	}
	switch (value->field->kind) {
	case MDFH_FIELD_ASCII:
		json_text(json, value->bytes, trimmed(value));
		break;
	case MDFH_FIELD_BYTES:
		json_raw(json, "\"");
		hex_text(value->bytes, value->field->size, json->stream);
		putc('"', json->stream);
		break;
	case MDFH_FIELD_FLAGS:
		json_open(json, '[');
		each_flag(value, json_flag, json);
		json_close(json, ']');
		break;
	default:
		if (scalar_text(value, context->message->midnight_ns, text))
			json_raw(json, text);
		else
			json_quoted(json, text);
	}
}

/* Close what a value of that group and entry ends. */
static void json_step(struct json_context *context, const struct mdfh_group *group, uint32_t index)
{
	if (context->group && (context->group != group || index != context->index) &&
	    context->index != MDFH_WALK_DIMENSION) {
		json_close(context->json, '}');
		context->index = MDFH_WALK_DIMENSION;
	}
	if (context->group && context->group != group)
		json_close(context->json, ']');
	if (group && context->group != group) {
		json_key(context->json, group->name);
		json_open(context->json, '[');
		context->index = MDFH_WALK_DIMENSION;
	}
	context->group = group;
	if (group && index != context->index) {
		json_open(context->json, '{');
		context->index = index;
	}
}

static int json_field(void *at, const struct mdfh_value *value)
{
	struct json_context *context = at;

	json_step(context, value->group, value->group ? value->index : MDFH_WALK_DIMENSION);
	if (is_encoding(value))
		return 0;
	json_key(context->json, value->field->name);
	json_value(context, value);
	return 0;
}

static void json_message(
    FILE *stream, const struct dump_message *message, enum mdfh_walk_error error)
{
	struct json_out json = {.stream = stream};
	struct json_context context = {
	    .json = &json, .message = message, .index = MDFH_WALK_DIMENSION};
	const struct mdfh_message *known = descriptor(message);
	char text[MDFH_ENDPOINT_TEXT_MAX];

	json_open(&json, '{');
	if (message->packet) {
		const struct mdfh_frame *frame = message->packet->frame;

		json_key(&json, "frame");
		json_uint(&json, message->packet->number);
		json_key(&json, "index");
		json_uint(&json, message->index);
		json_key(&json, "captured");
		time_text((int64_t)message->packet->time_ns, text);
		json_quoted(&json, text);
		json_key(&json, "source");
		json_quoted(&json, mdfh_endpoint_text(frame->source, frame->source_port, text));
		json_key(&json, "destination");
		json_quoted(
		    &json, mdfh_endpoint_text(frame->destination, frame->destination_port, text));
	} else {
		json_key(&json, "offset");
		json_uint(&json, message->file_offset);
	}
	json_key(&json, "protocol");
	json_quoted(&json, message->schema->name);
	json_key(&json, "sequence");
	json_uint(&json, message->sequence);
	if (message->time_ns != INT64_MIN) {
		json_key(&json, "time");
		time_text(message->time_ns, text);
		json_quoted(&json, text);
	}
	json_key(&json, "type");
	message_type(&json, message);
	json_key(&json, "message");
	json_quoted(&json, known ? known->name : "unknown");
	if (message->symbol[0]) {
		json_key(&json, "symbol");
		json_quoted(&json, message->symbol);
	}
	if (error) {
		json_key(&json, "error");
		json_quoted(&json, mdfh_walk_error_name(error));
		json_key(&json, "bytes");
		json_raw(&json, "\"");
		hex_text(message->bytes, message->length, stream);
		putc('"', stream);
	} else {
		json_key(&json, "fields");
		json_open(&json, '{');
		mdfh_walk(message->schema, message->bytes, message->length, json_field, &context);
		json_step(&context, NULL, MDFH_WALK_DIMENSION);
		json_close(&json, '}');
	}
	json_close(&json, '}');
	json_line(&json);
}

/* Text -------------------------------------------------------------------- */

struct text_context {
	FILE *stream;
	const struct dump_message *message;
	const struct mdfh_group *group;
	uint32_t index;
};

static void text_flag(void *stream, unsigned n, const char *name)
{
	fprintf(stream, n ? "|%s" : "%s", name);
}

/* Bytes of the wire do not go to a terminal as they are. */
static void put_safely(FILE *stream, const void *bytes, size_t length)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < length; i++)
		putc(at[i] < ' ' || at[i] > '~' ? '?' : at[i], stream);
}

static void text_value(const struct text_context *context, const struct mdfh_value *value)
{
	FILE *stream = context->stream;
	char text[NUMBER_TEXT];

	if (value->is_null) {
		putc('-', stream);
		return;
	}
	switch (value->field->kind) {
	case MDFH_FIELD_ASCII:
		put_safely(stream, value->bytes, trimmed(value));
		break;
	case MDFH_FIELD_BYTES:
		hex_text(value->bytes, value->field->size, stream);
		break;
	case MDFH_FIELD_FLAGS:
		each_flag(value, text_flag, stream);
		break;
	default:
		scalar_text(value, context->message->midnight_ns, text);
		fputs(text, stream);
	}
}

static int text_field(void *at, const struct mdfh_value *value)
{
	struct text_context *context = at;
	unsigned role = value->field->role;

	if (is_encoding(value))
		return 0;
	/* Already at the start of the line. */
	if (!value->group && (role == MDFH_ROLE_SYMBOL || role == MDFH_ROLE_TIME))
		return 0;
	if (value->group && (value->group != context->group || value->index != context->index)) {
		fprintf(context->stream, " %s[%" PRIu32 "]:", value->group->name, value->index + 1);
		context->group = value->group;
		context->index = value->index;
	}
	fprintf(context->stream, " %s=", value->field->name);
	text_value(context, value);
	return 0;
}

static void text_message(
    FILE *stream, const struct dump_message *message, enum mdfh_walk_error error)
{
	struct text_context context = {.stream = stream, .message = message};
	const struct mdfh_message *known = descriptor(message);
	char text[TIME_TEXT] = "-";

	/* The venue's time; without a date, as it stands; without any, the capture's. */
	if (message->time_ns != INT64_MIN)
		time_text(message->time_ns, text);
	else if (message->has_time)
		snprintf(text, sizeof(text), "%" PRIu64, message->time_raw);
	else if (message->packet)
		time_text((int64_t)message->packet->time_ns, text);
	fprintf(
	    stream, "%s %" PRIu64 " %s", text, message->sequence, known ? known->name : "unknown");
	if (message->symbol[0]) {
		putc(' ', stream);
		put_safely(stream, message->symbol, strlen(message->symbol));
	}
	if (error) {
		fprintf(stream, " REFUSED (%s) ", mdfh_walk_error_name(error));
		hex_text(message->bytes, message->length, stream);
	} else {
		mdfh_walk(message->schema, message->bytes, message->length, text_field, &context);
	}
	putc('\n', stream);
}

/* Any format -------------------------------------------------------------- */

void dump_print_packet(FILE *stream, enum dump_format format, const struct dump_packet *packet)
{
	if (format == DUMP_WIRE)
		wire_packet(stream, packet);
}

void dump_print_message(FILE *stream, enum dump_format format, const struct dump_message *message,
    enum mdfh_walk_error error)
{
	switch (format) {
	case DUMP_TEXT:
		text_message(stream, message, error);
		break;
	case DUMP_JSON:
		json_message(stream, message, error);
		break;
	case DUMP_WIRE:
		wire_message(stream, message, error);
		break;
	}
}
