/* dump_soup.c - logins, heartbeats and messages of SoupBinTCP in a capture.
 *
 * Only segments that begin and end where a packet does are known for what they are: a capture of one
 * segment says nothing about the bytes before it. */
#include "apps/dump_soup.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "apps/json_out.h"
#include "core/bytes.h"
#include "session/soup.h"

#define NS_PER_S 1000000000u

struct field {
	const char *name;
	uint8_t offset; /* in the packet */
	uint8_t size;   /* 0 = the rest, shown in hexadecimal */
	uint8_t is_hidden;
};

struct type {
	char code;
	const char *name;
	struct field fields[5];
};

static const struct type types[] = {
    {'+', "debug", {{"text", 3, 0, 0}}},
    {'A', "login_accepted", {{"session", 3, 10, 0}, {"sequence_number", 13, 20, 0}}},
    {'J', "login_rejected", {{"reason", 3, 1, 0}}},
    {'S', "sequenced_data", {{"message", 3, 0, 0}}},
    {'U', "unsequenced_data", {{"message", 3, 0, 0}}},
    {'H', "server_heartbeat", {{0}}},
    {'Z', "end_of_session", {{0}}},
    {'L', "login_request",
	{{"username", 3, 6, 0}, {"password", 9, 10, 1}, {"requested_session", 19, 10, 0},
	    {"requested_sequence_number", 29, 20, 0}}},
    {'R', "client_heartbeat", {{0}}},
    {'O', "logout_request", {{0}}},
};

static const struct type *find_type(uint8_t code)
{
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].code == (char)code)
			return &types[i];
	return NULL;
}

uint32_t dump_soup_count(const uint8_t *payload, uint32_t length)
{
	uint32_t count = 0;

	while (length) {
		uint32_t size;

		if (length < SOUP_HEADER || mdfh_soup_check(payload, length))
			return 0;
		size = mdfh_load_be16(payload) + 2u;
		if (size > length)
			return 0;
		payload += size;
		length -= size;
		count++;
	}
	return count;
}

static uint32_t field_size(const struct field *field, uint32_t size)
{
	return field->size ? field->size : size - field->offset;
}

/* Text --------------------------------------------------------------------- */

static void text_value(FILE *stream, const struct field *field, const uint8_t *bytes, uint32_t size)
{
	char text[32];

	if (!field->size) {
		for (uint32_t i = 0; i < size; i++)
			fprintf(stream, "%02x", bytes[i]);
		return;
	}
	mdfh_soup_text(bytes, field->size, text);
	for (const char *at = text; *at; at++)
		putc(*at >= ' ' && *at <= '~' ? *at : '.', stream);
}

static void text_packet(FILE *stream, const struct dump_packet *packet, const uint8_t *bytes,
    uint32_t size, const struct type *type)
{
	char source[MDFH_ENDPOINT_TEXT_MAX];
	char destination[MDFH_ENDPOINT_TEXT_MAX];
	time_t seconds = (time_t)(packet->time_ns / NS_PER_S);
	struct tm utc;
	char when[32];

	gmtime_r(&seconds, &utc);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &utc);
	fprintf(stream, "%s.%09" PRIu64 "Z %s > %s soupbintcp %s", when, packet->time_ns % NS_PER_S,
	    mdfh_endpoint_text(packet->frame->source, packet->frame->source_port, source),
	    mdfh_endpoint_text(
		packet->frame->destination, packet->frame->destination_port, destination),
	    type->name);
	for (const struct field *f = type->fields; f->name; f++) {
		fprintf(stream, " %s=", f->name);
		if (f->is_hidden)
			fputs("(hidden)", stream);
		else
			text_value(stream, f, bytes + f->offset, field_size(f, size));
	}
	putc('\n', stream);
}

/* JSON ----------------------------------------------------------------------- */

static void json_hex(struct json_out *json, const uint8_t *bytes, uint32_t size)
{
	json_raw(json, "\"0x");
	for (uint32_t i = 0; i < size; i++)
		fprintf(json->stream, "%02x", bytes[i]);
	putc('"', json->stream);
}

static void json_packet(struct json_out *json, const struct dump_packet *packet,
    const uint8_t *bytes, uint32_t size, const struct type *type)
{
	char text[MDFH_ENDPOINT_TEXT_MAX];

	json_open(json, '{');
	json_key(json, "frame");
	json_uint(json, packet->number);
	json_key(json, "capture_ns");
	json_uint(json, packet->time_ns);
	json_key(json, "source");
	json_quoted(
	    json, mdfh_endpoint_text(packet->frame->source, packet->frame->source_port, text));
	json_key(json, "destination");
	json_quoted(json,
	    mdfh_endpoint_text(packet->frame->destination, packet->frame->destination_port, text));
	json_key(json, "session_protocol");
	json_quoted(json, "soupbintcp");
	json_key(json, "name");
	json_quoted(json, type->name);
	for (const struct field *f = type->fields; f->name; f++) {
		json_key(json, f->name);
		if (f->is_hidden) {
			json_raw(json, "null");
		} else if (f->size) {
			mdfh_soup_text(bytes + f->offset, f->size, text);
			json_quoted(json, text);
		} else {
			json_hex(json, bytes + f->offset, field_size(f, size));
		}
	}
	json_close(json, '}');
	json_line(json);
}

/* Wire ------------------------------------------------------------------------- */

static void wire_field(struct json_out *json, const char *name, uint32_t offset, uint32_t size)
{
	json_open(json, '[');
	json_quoted(json, name);
	json_uint(json, offset);
	json_uint(json, size);
}

static void wire_packet(struct json_out *json, const uint8_t *bytes, uint32_t size, uint32_t at,
    const struct type *type)
{
	wire_field(json, "packet_length", at, 2);
	json_uint(json, mdfh_load_be16(bytes));
	json_close(json, ']');
	wire_field(json, "packet_type", at + 2, 1);
	json_text(json, bytes + 2, 1);
	json_close(json, ']');
	for (const struct field *f = type->fields; f->name; f++) {
		uint32_t length = field_size(f, size);

		if (!length)
			continue;
		wire_field(json, f->name, at + f->offset, length);
		if (f->size)
			json_text(json, bytes + f->offset, length);
		else
			json_hex(json, bytes + f->offset, length);
		json_close(json, ']');
	}
}

static void wire_segment_begin(struct json_out *json, const struct dump_packet *packet)
{
	char text[MDFH_ENDPOINT_TEXT_MAX];

	json_open(json, '{');
	json_key(json, "k");
	json_quoted(json, "p");
	json_key(json, "p");
	json_uint(json, packet->number);
	json_key(json, "t");
	snprintf(text, sizeof(text), "%" PRIu64 ".%09" PRIu64, packet->time_ns / NS_PER_S,
	    packet->time_ns % NS_PER_S);
	json_quoted(json, text);
	json_key(json, "cap");
	json_uint(json, packet->captured);
	json_key(json, "len");
	json_uint(json, packet->wire_length);
	json_key(json, "l4");
	json_quoted(json, "tcp");
	json_key(json, "src");
	json_quoted(
	    json, mdfh_endpoint_text(packet->frame->source, packet->frame->source_port, text));
	json_key(json, "dst");
	json_quoted(json,
	    mdfh_endpoint_text(packet->frame->destination, packet->frame->destination_port, text));
	json_key(json, "poff");
	json_uint(json, packet->frame->payload_offset);
	json_key(json, "plen");
	json_uint(json, packet->frame->payload_wire_length);
	json_key(json, "n");
	json_uint(json, 0);
	json_key(json, "h");
	json_open(json, '[');
}

uint32_t dump_soup_print(
    FILE *stream, enum dump_format format, const struct dump_packet *packet, uint64_t max)
{
	struct json_out json = {.stream = stream};
	uint32_t length = packet->frame->payload_length;
	uint32_t count = 0;

	if (format == DUMP_WIRE)
		wire_segment_begin(&json, packet);
	for (uint32_t at = 0; at + SOUP_HEADER <= length;) {
		const uint8_t *bytes = packet->payload + at;
		uint32_t size = mdfh_load_be16(bytes) + 2u;
		const struct type *type = find_type(bytes[2]);

		if (!type || size > length - at || (count >= max && format != DUMP_WIRE))
			break;
		if (format == DUMP_WIRE)
			wire_packet(&json, bytes, size, at, type);
		else if (format == DUMP_JSON)
			json_packet(&json, packet, bytes, size, type);
		else
			text_packet(stream, packet, bytes, size, type);
		at += size;
		count++;
	}
	if (format == DUMP_WIRE) {
		json_close(&json, ']');
		json_close(&json, '}');
		json_line(&json);
	}
	return count;
}
