/* test_walk.c - the walk over messages of every schema: bounds, versions, groups; and the
 * generated encoders and decoders of every schema against each other.
 *
 * Messages are made from the descriptors with random bytes, so a new schema is tested without a
 * line here. Buffers are malloc'ed to the exact length: under AddressSanitizer a read past the
 * end of a message ends the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/bytes.h"
#include "proto/codec.h"
#include "proto/walk.h"

static uint64_t state_of_random = 88172645463325252ull;

static uint64_t next_random(void)
{
	state_of_random ^= state_of_random << 13;
	state_of_random ^= state_of_random >> 7;
	state_of_random ^= state_of_random << 17;
	return state_of_random;
}

static void fill_random(void *at, size_t size)
{
	uint8_t *bytes = at;

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)next_random();
}

static void store(
    const struct mdfh_schema *schema, const struct mdfh_field *field, uint8_t *at, uint64_t value)
{
	for (unsigned i = 0; i < field->size; i++)
		at[schema->big_endian ? field->size - 1u - i : i] = (uint8_t)(value >> 8 * i);
}

/* A message with that many entries in each group: sound, the rest of its bytes random. */
static uint32_t make_message(const struct mdfh_schema *schema, const struct mdfh_message *message,
    uint32_t entries, uint8_t *out, uint32_t size)
{
	const struct mdfh_codecs *codecs = mdfh_codecs_find(schema);
	uint32_t length = 0;

	assert_non_null(codecs);
	for (size_t c = 0; c < codecs->count; c++) {
		const struct mdfh_codec *codec = &codecs->entries[c];
		uint8_t block[1024];

		if (codec->message != message)
			continue;
		assert_true(codec->struct_size <= sizeof(block));
		if (codec->group) {
			const struct mdfh_dimension *d = codec->group->dimension;

			assert_true(length + d->size <= size);
			memset(out + length, 0, d->size);
			store(schema, &d->fields[d->block_index],
			    out + length + d->fields[d->block_index].offset, codec->length);
			store(schema, &d->fields[d->count_index],
			    out + length + d->fields[d->count_index].offset, entries);
			length += d->size;
		}
		for (uint32_t i = 0; i < (codec->group ? entries : 1); i++) {
			assert_true(length + codec->length <= size);
			fill_random(block, sizeof(block));
			assert_int_equal(codec->encode(out + length, block), codec->length);
			length += codec->length;
		}
	}
	return length;
}

struct seen {
	const uint8_t *message;
	uint32_t length;
	uint32_t values;
	uint32_t on_wire;
	uint32_t entries;
	uint32_t last;
};

static int look(void *context, const struct mdfh_value *value)
{
	struct seen *seen = context;

	seen->values++;
	if (!value->bytes) {
		assert_int_equal(value->field->size, 0);
		return 0;
	}
	assert_ptr_equal(value->bytes, seen->message + value->offset);
	assert_true(value->offset + value->field->size <= seen->length);
	assert_true(value->offset >= seen->last); /* wire order */
	seen->last = value->offset;
	seen->on_wire++;
	if (value->group && value->index != MDFH_WALK_DIMENSION)
		seen->entries = value->index + 1;
	return 0;
}

/* On a copy of exactly that length. */
static enum mdfh_walk_error walk_copy(
    const struct mdfh_schema *schema, const uint8_t *bytes, uint32_t length, struct seen *seen)
{
	uint8_t *copy = malloc(length ? length : 1);
	enum mdfh_walk_error error;

	assert_non_null(copy);
	memcpy(copy, bytes, length);
	*seen = (struct seen){.message = copy, .length = length};
	error = mdfh_walk(schema, copy, length, look, seen);
	free(copy);
	return error;
}

static void every_length_of_every_message(void **state)
{
	uint8_t bytes[4096];
	struct seen seen;
	unsigned messages = 0;

	(void)state;
	for (unsigned s = 0; mdfh_schema_at(s); s++) {
		const struct mdfh_schema *schema = mdfh_schema_at(s);

		for (uint32_t m = 0; m < schema->message_count; m++) {
			const struct mdfh_message *message = &schema->messages[m];
			uint32_t length = make_message(schema, message, 2, bytes, 2048);

			messages++;
			assert_int_equal(walk_copy(schema, bytes, length, &seen), MDFH_WALK_OK);
			assert_true(seen.values >= message->field_count);
			assert_int_equal(seen.entries, message->group_count ? 2 : 0);
			for (uint32_t cut = 0; cut < length; cut++) {
				assert_int_not_equal(
				    walk_copy(schema, bytes, cut, &seen), MDFH_WALK_OK);
				assert_int_equal(seen.values, 0);
			}
			memset(bytes + length, 0xff, 40);
			assert_int_equal(
			    walk_copy(schema, bytes, length + 40, &seen), MDFH_WALK_OK);
		}
	}
	assert_true(messages > 60);
}

static void encode_and_decode_agree(void **state)
{
	(void)state;
	for (unsigned s = 0; mdfh_schema_at(s); s++) {
		const struct mdfh_codecs *codecs = mdfh_codecs_find(mdfh_schema_at(s));

		for (size_t c = 0; c < codecs->count; c++) {
			const struct mdfh_codec *codec = &codecs->entries[c];
			uint8_t from[1024], wire[512], wire2[512], to[1024];

			assert_true(codec->struct_size <= sizeof(from));
			assert_true(codec->length < sizeof(wire));
			for (int round = 0; round < 200; round++) {
				fill_random(from, sizeof(from));
				memset(wire, 0x5a, sizeof(wire));
				assert_int_equal(codec->encode(wire, from), codec->length);
				assert_int_equal(wire[codec->length], 0x5a);
				fill_random(to, sizeof(to));
				codec->decode(wire, to);
				codec->encode(wire2, to);
				assert_memory_equal(wire, wire2, codec->length);
			}
		}
	}
}

/* The descriptors and the encoders are two outputs of the generator: a value put in by one
 * must come out of the other. */
static int add_up(void *context, const struct mdfh_value *value)
{
	uint64_t *sum = context;

	if (!value->bytes || (value->group && value->index == MDFH_WALK_DIMENSION))
		return 0;
	for (unsigned i = 0; i < value->field->size; i++)
		*sum += value->bytes[i];
	return 0;
}

static void every_encoded_byte_is_a_field(void **state)
{
	uint8_t bytes[4096];

	(void)state;
	for (unsigned s = 0; mdfh_schema_at(s); s++) {
		const struct mdfh_schema *schema = mdfh_schema_at(s);

		for (uint32_t m = 0; m < schema->message_count; m++) {
			uint32_t length =
			    make_message(schema, &schema->messages[m], 0, bytes, sizeof(bytes));
			uint64_t by_walk = 0, by_bytes = 0;

			/* Encoders zero what no field covers, so the sums are equal. */
			for (uint32_t i = 0; i < schema->messages[m].length; i++)
				by_bytes += bytes[i];
			assert_int_equal(
			    mdfh_walk(schema, bytes, length, add_up, &by_walk), MDFH_WALK_OK);
			assert_int_equal(by_walk, by_bytes);
		}
	}
}

/* Pick one field of one message. */
struct want {
	const char *name;
	uint32_t index;
	int found;
	struct mdfh_value value;
};

static int pick(void *context, const struct mdfh_value *value)
{
	struct want *want = context;

	if (strcmp(value->field->name, want->name) != 0 ||
	    (value->group && value->index != want->index))
		return 0;
	want->value = *value;
	want->found = 1;
	return 1;
}

static struct want field_of(const struct mdfh_schema *schema, const uint8_t *message,
    uint32_t length, const char *name, uint32_t index)
{
	struct want want = {.name = name, .index = index};

	mdfh_walk(schema, message, length, pick, &want);
	return want;
}

/* A CME book update of two entries, by hand: template 46, one entry with TradeableSize. */
static uint32_t book46(uint8_t *m, uint16_t version)
{
	uint8_t *e = m + 10 + 11 + 3;

	memset(m, 0, 10 + 11 + 3 + 64 + 8);
	mdfh_store_le16(m, 10 + 11 + 3 + 64 + 8);
	mdfh_store_le16(m + 2, 11);
	mdfh_store_le16(m + 4, 46);
	mdfh_store_le16(m + 6, 1);
	mdfh_store_le16(m + 8, version);
	mdfh_store_le64(m + 10, 1536760535644820404);
	m[18] = 0x84;
	mdfh_store_le16(m + 21, 32);
	m[23] = 2;
	mdfh_store_le64(e, (uint64_t)-15230000000000);
	mdfh_store_le32(e + 8, 0x7fffffff);
	mdfh_store_le32(e + 12, 157660);
	e[26] = '1';
	mdfh_store_le32(e + 27, 7);
	mdfh_store_le64(e + 32, 0x7fffffffffffffff);
	mdfh_store_le16(e + 64, 24);
	return 10 + 11 + 3 + 64 + 8;
}

static void values_nulls_and_versions(void **state)
{
	const struct mdfh_schema *cme = mdfh_schema_find("cme-mdp3");
	uint8_t m[256];
	uint32_t length = book46(m, 10);
	struct want w;

	(void)state;
	w = field_of(cme, m, length, "md_entry_px", 0);
	assert_true(w.found);
	assert_int_equal((int64_t)w.value.raw, -15230000000000);
	assert_int_equal(w.value.exponent, -9);
	assert_false(w.value.is_null);
	assert_int_equal(w.value.offset, 24);
	assert_true(field_of(cme, m, length, "md_entry_px", 1).value.is_null);
	assert_true(field_of(cme, m, length, "md_entry_size", 0).value.is_null);
	assert_int_equal(field_of(cme, m, length, "security_id", 0).value.raw, 157660);
	assert_int_equal(field_of(cme, m, length, "tradeable_size", 0).value.raw, 7);
	assert_int_equal(
	    field_of(cme, m, length, "num_in_group", MDFH_WALK_DIMENSION).value.raw, 2);
	w = field_of(cme, m, length, "match_event_indicator", 0);
	assert_string_equal(mdfh_names_find(w.value.field->names, 7), "end_of_event");

	/* Version 9 has padding where version 10 has TradeableSize. */
	length = book46(m, 9);
	assert_false(field_of(cme, m, length, "tradeable_size", 0).found);
	assert_true(field_of(cme, m, length, "md_entry_type", 0).found);
}

static void lying_lengths_are_refused(void **state)
{
	const struct mdfh_schema *cme = mdfh_schema_find("cme-mdp3");
	const struct mdfh_message *message;
	uint8_t m[256];
	uint32_t length = book46(m, 10);
	struct seen seen;

	(void)state;
	m[23] = 3; /* one entry more than there is */
	assert_int_equal(walk_copy(cme, m, length, &seen), MDFH_WALK_GROUP);
	assert_int_equal(seen.values, 0);
	book46(m, 10);
	mdfh_store_le16(m + 21, 30); /* entries too short for TradeableSize */
	assert_int_equal(walk_copy(cme, m, length, &seen), MDFH_WALK_BLOCK);
	book46(m, 10);
	mdfh_store_le16(m + 2, 8); /* root block too short for the event indicator */
	assert_int_equal(walk_copy(cme, m, length, &seen), MDFH_WALK_BLOCK);
	mdfh_store_le16(m + 2, 65535);
	assert_int_equal(walk_copy(cme, m, length, &seen), MDFH_WALK_BLOCK);
	book46(m, 10);
	mdfh_store_le16(m + 4, 45);
	assert_int_equal(mdfh_walk_check(cme, m, length, &message), MDFH_WALK_UNKNOWN);
	assert_null(message);
	book46(m, 10);
	mdfh_store_le16(m + 6, 2); /* another schema id */
	assert_int_equal(mdfh_walk_check(cme, m, length, &message), MDFH_WALK_UNKNOWN);
}

/* Entries and root blocks longer than the schema knows are stepped over. */
static void longer_blocks_are_stepped_over(void **state)
{
	const struct mdfh_schema *cme = mdfh_schema_find("cme-mdp3");
	uint8_t m[64] = {0};
	uint32_t length = 10 + 12 + 3 + 2 * 18;

	(void)state;
	mdfh_store_le16(m, (uint16_t)length);
	mdfh_store_le16(m + 2, 12);
	mdfh_store_le16(m + 4, 37);
	mdfh_store_le16(m + 6, 1);
	mdfh_store_le16(m + 8, 99);
	mdfh_store_le16(m + 22, 18);
	m[24] = 2;
	mdfh_store_le32(m + 25, 100);
	mdfh_store_le32(m + 43, 200);
	assert_int_equal(field_of(cme, m, length, "md_entry_size", 0).value.raw, 100);
	assert_int_equal(field_of(cme, m, length, "md_entry_size", 1).value.raw, 200);
	assert_int_equal(field_of(cme, m, length, "md_entry_size", 1).value.offset, 43);
	/* A constant that is not on the wire is there all the same. */
	assert_int_equal(field_of(cme, m, length, "md_entry_type", 1).value.raw, 'e');
	assert_null(field_of(cme, m, length, "md_entry_type", 1).value.bytes);
}

static void schemas_are_found(void **state)
{
	(void)state;
	for (unsigned s = 0; mdfh_schema_at(s); s++) {
		assert_ptr_equal(mdfh_schema_find(mdfh_schema_at(s)->name), mdfh_schema_at(s));
		assert_ptr_equal(mdfh_schema_by_id(mdfh_schema_at(s)->id), mdfh_schema_at(s));
	}
	assert_null(mdfh_schema_find("no such"));
	assert_null(mdfh_schema_by_id(65535));
	assert_string_equal(mdfh_walk_error_name(MDFH_WALK_GROUP), "group runs past the message");
	assert_string_equal(mdfh_walk_error_name(99), "unknown error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_length_of_every_message),
	    cmocka_unit_test(encode_and_decode_agree),
	    cmocka_unit_test(every_encoded_byte_is_a_field),
	    cmocka_unit_test(values_nulls_and_versions),
	    cmocka_unit_test(lying_lengths_are_refused),
	    cmocka_unit_test(longer_blocks_are_stepped_over),
	    cmocka_unit_test(schemas_are_found),
	};

	return cmocka_run_group_tests_name("walk", tests, NULL, NULL);
}
