/* fuzz_walk.c - any bytes as a message of any schema.
 *
 * First byte: schema id, the rest the message. The walk must stay inside the message, go forward,
 * and visit if and only if the check finds the message sound; what a generated decoder reads, its
 * encoder must write back. Seeds: BUILD/protocols/seeds, one a message. */
#include "fuzz.h"

#include "proto/codec.h"
#include "proto/walk.h"

struct seen {
	const uint8_t *message;
	uint32_t length;
	uint32_t values;
	uint32_t end;
};

static int look(void *context, const struct mdfh_value *value)
{
	struct seen *seen = context;

	seen->values++;
	if (!value->bytes) {
		REQUIRE(value->field->size == 0);
		return 0;
	}
	REQUIRE(value->bytes == seen->message + value->offset);
	REQUIRE(value->offset >= seen->end || value->group);
	seen->end = value->offset + value->field->size;
	REQUIRE(seen->end <= seen->length);
	if (value->group && value->index != MDFH_WALK_DIMENSION)
		REQUIRE(value->index < UINT16_MAX);
	return 0;
}

/* A decoder reads codec->length bytes and nothing else; what it read, the encoder writes. */
static void round_trip(const struct mdfh_codec *codec, const uint8_t *bytes)
{
	static _Alignas(16) uint8_t first[1024], second[1024];
	uint8_t wire[1024], again[1024];

	REQUIRE(codec->struct_size <= sizeof(first) && codec->length <= sizeof(wire));
	memset(first, 0, codec->struct_size);
	memset(second, 0, codec->struct_size);
	codec->decode(bytes, first);
	REQUIRE(codec->encode(wire, first) == codec->length);
	codec->decode(wire, second);
	REQUIRE(codec->encode(again, second) == codec->length);
	REQUIRE(!memcmp(wire, again, codec->length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct mdfh_schema *schema;
	const struct mdfh_codecs *codecs;
	const struct mdfh_message *message;
	enum mdfh_walk_error error;
	struct seen seen = {0};

	if (size < 1 || size > 65536)
		return 0;
	schema = mdfh_schema_by_id(data[0]);
	if (!schema)
		return 0;
	seen.message = data + 1;
	seen.length = (uint32_t)size - 1;
	error = mdfh_walk_check(schema, seen.message, seen.length, &message);
	REQUIRE(error < MDFH_WALK_ERRORS);
	REQUIRE(error != MDFH_WALK_OK || message);
	REQUIRE(mdfh_walk(schema, seen.message, seen.length, look, &seen) == error);
	if (error)
		REQUIRE(seen.values == 0);
	else
		REQUIRE(seen.values > 0 || message->field_count == 0);
	codecs = mdfh_codecs_find(schema);
	for (size_t c = 0; c < codecs->count; c++) {
		const struct mdfh_codec *codec = &codecs->entries[c];

		/* Entries of its groups are blocks like any other: any bytes will do. */
		if (codec->message == message && codec->length <= seen.length)
			round_trip(codec, seen.message);
	}
	return 0;
}
