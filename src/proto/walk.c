/* walk.c - one walk over the fields of any message. */
#include "proto/walk.h"

static int is_integer(const struct mdfh_field *field)
{
	return field->kind != MDFH_FIELD_ASCII && field->kind != MDFH_FIELD_BYTES;
}

uint64_t mdfh_field_load(
    const struct mdfh_schema *schema, const struct mdfh_field *field, const uint8_t *at)
{
	unsigned size = field->size;
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value = value << 8 | at[schema->big_endian ? i : size - 1 - i];
	if (field->flags & MDFH_FIELD_SIGNED && size > 0 && size < 8 && value >> (8 * size - 1) & 1)
		value |= UINT64_MAX << (8 * size);
	return value;
}

const char *mdfh_names_find(const struct mdfh_names *names, int64_t value)
{
	if (!names)
		return NULL;
	for (uint32_t i = 0; i < names->count; i++) {
		if (names->entries[i].value == value)
			return names->entries[i].name;
	}
	return NULL;
}

/* Check ----------------------------------------------------------------- */

/* What a message says of itself. */
struct shape {
	const struct mdfh_message *message;
	uint32_t version;
	uint32_t root_end; /* where the first group starts */
};

struct extent { /* of one group on the wire */
	uint64_t entries_at;
	uint32_t block_length;
	uint32_t count;
};

static uint32_t header_value(const struct mdfh_schema *schema, const struct mdfh_field *field,
    const uint8_t *message, uint32_t otherwise)
{
	return field ? (uint32_t)mdfh_field_load(schema, field, message + field->offset)
		     : otherwise;
}

/* Whether every field of that version lies inside a block of that length. */
static int fields_fit(
    const struct mdfh_field *fields, uint32_t count, uint32_t length, uint32_t version)
{
	for (uint32_t i = 0; i < count; i++) {
		if (fields[i].since <= version &&
		    (uint32_t)fields[i].offset + fields[i].size > length)
			return 0;
	}
	return 1;
}

/* Constants of the header tell schemas apart that share type numbers. */
static int header_matches(
    const struct mdfh_schema *schema, const struct mdfh_message *message, const uint8_t *bytes)
{
	for (uint32_t i = 0; i < message->field_count; i++) {
		const struct mdfh_field *field = &message->fields[i];

		if (field->offset >= schema->header_length)
			break;
		if (field->flags & MDFH_FIELD_CONSTANT && field->size &&
		    mdfh_field_load(schema, field, bytes + field->offset) != field->constant)
			return 0;
	}
	return 1;
}

static enum mdfh_walk_error group_extent(const struct mdfh_schema *schema, const uint8_t *message,
    uint32_t length, uint64_t at, const struct mdfh_group *group, struct extent *extent)
{
	const struct mdfh_dimension *dimension = group->dimension;
	const struct mdfh_field *block = &dimension->fields[dimension->block_index];
	const struct mdfh_field *count = &dimension->fields[dimension->count_index];

	if (at + dimension->size > length)
		return MDFH_WALK_GROUP;
	extent->entries_at = at + dimension->size;
	extent->block_length =
	    (uint32_t)mdfh_field_load(schema, block, message + at + block->offset);
	extent->count = (uint32_t)mdfh_field_load(schema, count, message + at + count->offset);
	if ((uint64_t)extent->block_length * extent->count > length - extent->entries_at)
		return MDFH_WALK_GROUP;
	return MDFH_WALK_OK;
}

static enum mdfh_walk_error check(
    const struct mdfh_schema *schema, const uint8_t *bytes, uint32_t length, struct shape *shape)
{
	const struct mdfh_message *message;
	uint64_t at;

	shape->message = NULL;
	if (length < schema->header_length)
		return MDFH_WALK_SHORT;
	message = mdfh_schema_message(schema, header_value(schema, schema->type_field, bytes, 0));
	if (!message || !header_matches(schema, message, bytes))
		return MDFH_WALK_UNKNOWN;
	shape->message = message;
	if (length < message->min_length)
		return MDFH_WALK_SHORT;
	shape->version = header_value(schema, schema->version_field, bytes, UINT16_MAX);
	at = schema->header_length;
	/* Without a block length, the root block is as long as the schema says if groups follow,
	 * else all there is. */
	if (schema->block_length_field)
		at += header_value(schema, schema->block_length_field, bytes, 0);
	else
		at = message->group_count ? message->length : length;
	if (at > length)
		return MDFH_WALK_BLOCK;
	if (!fields_fit(message->fields, message->field_count, (uint32_t)at, shape->version))
		return MDFH_WALK_BLOCK;
	shape->root_end = (uint32_t)at;
	for (uint32_t g = 0; g < message->group_count; g++) {
		const struct mdfh_group *group = &message->groups[g];
		enum mdfh_walk_error error;
		struct extent extent;

		if (group->since > shape->version)
			continue;
		error = group_extent(schema, bytes, length, at, group, &extent);
		if (error)
			return error;
		if (extent.count && !fields_fit(group->fields, group->field_count,
					extent.block_length, shape->version))
			return MDFH_WALK_BLOCK;
		at = extent.entries_at + (uint64_t)extent.block_length * extent.count;
	}
	return MDFH_WALK_OK;
}

enum mdfh_walk_error mdfh_walk_check(const struct mdfh_schema *schema, const uint8_t *message,
    uint32_t length, const struct mdfh_message **found)
{
	struct shape shape;
	enum mdfh_walk_error error = check(schema, message, length, &shape);

	*found = shape.message;
	return error;
}

/* Walk ------------------------------------------------------------------ */

struct walk {
	const struct mdfh_schema *schema;
	const uint8_t *message;
	uint32_t version;
	mdfh_visit visit;
	void *context;
};

/* The fields of one block that starts at that offset. */
static int visit_fields(const struct walk *walk, const struct mdfh_field *fields, uint32_t count,
    const struct mdfh_group *group, uint32_t index, uint32_t start)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct mdfh_field *field = &fields[i];
		struct mdfh_value value = {.field = field,
		    .group = group,
		    .index = index,
		    .offset = start + field->offset,
		    .exponent = field->exponent};
		int stop;

		if (field->since > walk->version)
			continue;
		if (field->size)
			value.bytes = walk->message + value.offset;
		if (!field->size)
			value.raw = field->constant;
		else if (is_integer(field))
			value.raw = mdfh_field_load(walk->schema, field, value.bytes);
		/* The exponent is a field of the same block: checked like the others. */
		if (field->exponent_offset && value.bytes) {
			int exponent = value.bytes[field->exponent_offset];

			value.exponent = exponent > INT8_MAX ? exponent - 256 : exponent;
		}
		value.is_null = field->flags & MDFH_FIELD_NULLABLE && value.raw == field->null;
		stop = walk->visit(walk->context, &value);
		if (stop)
			return stop;
	}
	return 0;
}

enum mdfh_walk_error mdfh_walk(const struct mdfh_schema *schema, const uint8_t *message,
    uint32_t length, mdfh_visit visit, void *context)
{
	struct walk walk = {
	    .schema = schema, .message = message, .visit = visit, .context = context};
	struct shape shape;
	enum mdfh_walk_error error = check(schema, message, length, &shape);
	uint64_t at;

	if (error)
		return error;
	walk.version = shape.version;
	if (visit_fields(&walk, shape.message->fields, shape.message->field_count, NULL, 0, 0))
		return MDFH_WALK_OK;
	at = shape.root_end;
	for (uint32_t g = 0; g < shape.message->group_count; g++) {
		const struct mdfh_group *group = &shape.message->groups[g];
		struct extent extent;

		if (group->since > walk.version)
			continue;
		/* Checked above, and nothing has changed since. */
		if (group_extent(schema, message, length, at, group, &extent))
			return MDFH_WALK_GROUP;
		if (visit_fields(&walk, group->dimension->fields, group->dimension->field_count,
			group, MDFH_WALK_DIMENSION, (uint32_t)at))
			return MDFH_WALK_OK;
		for (uint32_t i = 0; i < extent.count; i++) {
			uint64_t start = extent.entries_at + (uint64_t)extent.block_length * i;

			if (visit_fields(&walk, group->fields, group->field_count, group, i,
				(uint32_t)start))
				return MDFH_WALK_OK;
		}
		at = extent.entries_at + (uint64_t)extent.block_length * extent.count;
	}
	return MDFH_WALK_OK;
}

const char *mdfh_walk_error_name(unsigned error)
{
	static const char *const names[MDFH_WALK_ERRORS] = {
	    [MDFH_WALK_OK] = "ok",
	    [MDFH_WALK_SHORT] = "message too short",
	    [MDFH_WALK_UNKNOWN] = "unknown message type",
	    [MDFH_WALK_BLOCK] = "block length does not fit",
	    [MDFH_WALK_GROUP] = "group runs past the message",
	};

	return error < MDFH_WALK_ERRORS ? names[error] : "unknown error";
}
