/* dump_recognise.c - see dump_recognise.h. */
#include "apps/dump_recognise.h"

#include <string.h>

#include "mdfh/session.h"
#include "proto/walk.h"

enum { PROBE_RECORDS = 8 }; /* of a file, looked at */

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

const struct mdfh_schema *dump_recognise(const uint8_t *payload, uint32_t length)
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

const struct mdfh_schema *dump_recognise_file(const uint8_t *data, size_t size)
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
