/* test_schema_format.c - what the schema format can say, on sample.schema: bytes by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/codec.h"
#include "proto/walk.h"
#include "protocols/sample.h"

static const uint8_t version3[] = {
    0, 40, 0, 20, 7, 3, 0xab, 0xcd,     /* size, block length, template, version, magic */
    0xff, 0, 0xff, 0xfe,                /* a = -1, pad, b = -2 */
    0xff, 0xff, 0xcf, 0xc7, 0xfe, 0,    /* -12345 * 10^-2, gap */
    0x80, 0x01,                         /* flags */
    1, 2, 3, 4, 5, 6, 7, 8,             /* late */
    0, 2, 0, 4,                         /* legs: count, length */
    0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, /* 5, null */
};

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

static struct want get(const uint8_t *message, uint32_t length, const char *name, uint32_t index)
{
	struct want want = {.name = name, .index = index};

	mdfh_walk(&mdfh_schema_sample, message, length, pick, &want);
	return want;
}

static void walk_reads_every_kind(void **state)
{
	const uint32_t size = sizeof(version3);
	struct want w;

	(void)state;
	assert_int_equal((int64_t)get(version3, size, "a", 0).value.raw, -1);
	assert_int_equal((int64_t)get(version3, size, "b", 0).value.raw, -2);
	w = get(version3, size, "price_mantissa", 0);
	assert_int_equal((int64_t)w.value.raw, -12345);
	assert_int_equal(w.value.exponent, -2);
	w = get(version3, size, "flags", 0);
	assert_int_equal(w.value.raw, 0x8001);
	assert_int_equal(w.value.offset, 18);
	assert_string_equal(mdfh_names_find(w.value.field->names, 15), "high");
	assert_int_equal(get(version3, size, "late", 0).value.raw, 0x0102030405060708);
	assert_int_equal(get(version3, size, "id", 0).value.raw, 5);
	assert_false(get(version3, size, "id", 0).value.is_null);
	assert_true(get(version3, size, "id", 1).value.is_null);
	assert_false(get(version3, size, "id", 2).found);
}

static void version_governs_fields_and_length(void **state)
{
	const struct mdfh_message *message;
	uint8_t old[sizeof(version3)];

	(void)state;
	/* Version 2: the same bytes, but late is not there, whatever the block length. */
	memcpy(old, version3, sizeof(old));
	old[5] = 2;
	assert_false(get(old, sizeof(old), "late", 0).found);
	assert_true(get(old, sizeof(old), "id", 1).found);
	/* A block of 12 bytes is enough for version 2 and too short for version 3. */
	memcpy(old + 20, version3 + 28, 12);
	old[3] = 12;
	assert_int_equal(mdfh_walk_check(&mdfh_schema_sample, old, 32, &message), MDFH_WALK_OK);
	old[5] = 3;
	assert_int_equal(mdfh_walk_check(&mdfh_schema_sample, old, 32, &message), MDFH_WALK_BLOCK);
	old[5] = 2;
	old[7] = 0; /* another magic number */
	assert_int_equal(
	    mdfh_walk_check(&mdfh_schema_sample, old, 32, &message), MDFH_WALK_UNKNOWN);
	assert_int_equal(mdfh_schema_sample.messages[0].min_length, 20);
	assert_int_equal(mdfh_schema_sample.messages[0].length, 28);
}

static void encoders_write_the_same_bytes(void **state)
{
	const struct sample_quote quote = {.a = -1,
	    .b = -2,
	    .price_mantissa = -12345,
	    .price_exponent = -2,
	    .flags = 1 << 15 | 1,
	    .late = 0x0102030405060708};
	const struct sample_quote_legs legs[] = {{.id = 5}, {.id = -1}};
	uint8_t out[sizeof(version3)];
	uint32_t at;

	(void)state;
	memset(out, 0xee, sizeof(out));
	at = sample_encode_quote(out, &quote);
	assert_int_equal(at, SAMPLE_QUOTE_LENGTH);
	at += sample_encode_wide(out + at, SAMPLE_QUOTE_LEGS_LENGTH, 2);
	at += sample_encode_quote_legs(out + at, &legs[0]);
	at += sample_encode_quote_legs(out + at, &legs[1]);
	sample_set_length(out, (uint16_t)at);
	assert_int_equal(at, sizeof(version3));
	assert_memory_equal(out, version3, sizeof(version3));
	assert_int_equal(sample_wide_count(out + 28), 2);
	assert_int_equal(sample_quote_price_mantissa(out), -12345);
	assert_int_equal(sample_quote_legs_id(out + 36), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(walk_reads_every_kind),
	    cmocka_unit_test(version_governs_fields_and_length),
	    cmocka_unit_test(encoders_write_the_same_bytes),
	};

	return cmocka_run_group_tests_name("schema format", tests, NULL, NULL);
}
