/* test_binaryfile.c - walking day files: spans, numbers, how a file ends, chunks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mdfh/session.h"
#include "session/mold.h"

/* n records with numbers 1 .. n, and whether a zero-length record ends them. */
static uint32_t records(uint8_t *out, unsigned n, int marker)
{
	uint32_t at = 0;

	for (unsigned i = 1; i <= n; i++)
		at += mold_message(out + at, i);
	if (marker) {
		memset(out + at, 0, 2);
		at += 2;
	}
	return at;
}

static void whole_file_in_spans_of_three(void **state)
{
	struct mdfh_binaryfile file;
	struct mdfh_span span;
	uint8_t data[1024];
	uint32_t size = records(data, 8, 1), at = 0;

	(void)state;
	mdfh_binaryfile_open(&file, 7);
	mdfh_binaryfile_feed(&file, data, size);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(mdfh_binaryfile_next(&file, 3, &span), 1);
		assert_int_equal(span.kind, MDFH_SPAN_DATA);
		assert_int_equal(span.channel, 7);
		assert_int_equal(span.first, 1 + 3 * i);
		assert_int_equal(span.messages, i < 2 ? 3 : 2);
		assert_ptr_equal(span.data, data + at);
		at += span.length;
	}
	assert_int_equal(at, size - 2);
	assert_int_equal(mdfh_binaryfile_next(&file, 3, &span), 0);
	assert_int_equal(mdfh_binaryfile_end(&file), MDFH_BINARYFILE_MARKED);
	assert_int_equal(file.offset, size);
}

/* All that is left at once, taken in two goes, then the end marker or what there is instead. */
static void rest_of_a_chunk(void **state)
{
	struct mdfh_binaryfile file;
	struct mdfh_span span;
	uint8_t data[1024];

	(void)state;
	for (int marker = 0; marker < 2; marker++) {
		uint32_t size = records(data, 8, marker);
		uint32_t first = 2 + ((uint32_t)data[0] << 8 | data[1]);
		uint32_t end = size - (marker ? 2 : 0);

		mdfh_binaryfile_open(&file, 7);
		mdfh_binaryfile_feed(&file, data, size);
		assert_int_equal(mdfh_binaryfile_rest(&file, &span), 1);
		assert_int_equal(span.kind, MDFH_SPAN_DATA);
		assert_int_equal(span.channel, 7);
		assert_int_equal(span.first, 1);
		assert_true(span.messages == MDFH_SPAN_UNCOUNTED);
		assert_ptr_equal(span.data, data);
		assert_int_equal(span.length, size);
		mdfh_binaryfile_took(&file, 1, first);
		assert_int_equal(mdfh_binaryfile_rest(&file, &span), 1);
		assert_int_equal(span.first, 2);
		assert_ptr_equal(span.data, data + first);
		assert_int_equal(span.length, size - first);
		mdfh_binaryfile_took(&file, 7, end - first);
		assert_int_equal(mdfh_binaryfile_rest(&file, &span), 0);
		assert_int_equal(mdfh_binaryfile_rest(&file, &span), 0);
		assert_int_equal(mdfh_binaryfile_end(&file),
		    marker ? MDFH_BINARYFILE_MARKED : MDFH_BINARYFILE_UNMARKED);
		assert_int_equal(file.offset, size);
		assert_int_equal(file.sequence, 9);
	}
	/* Not even one whole record. */
	mdfh_binaryfile_open(&file, 0);
	for (uint32_t size = 0; size < 2 + ((uint32_t)data[0] << 8 | data[1]); size++) {
		mdfh_binaryfile_feed(&file, data, size);
		assert_int_equal(mdfh_binaryfile_rest(&file, &span), 0);
		assert_int_equal(mdfh_binaryfile_left(&file), size);
	}
}

static void endings(void **state)
{
	static const struct {
		int marker, more;
		enum mdfh_binaryfile_end want;
	} cases[] = {
	    {1, 0, MDFH_BINARYFILE_MARKED},
	    {1, 1, MDFH_BINARYFILE_TRAILING},
	    {0, 0, MDFH_BINARYFILE_UNMARKED},
	    {0, -1, MDFH_BINARYFILE_CUT},
	};
	struct mdfh_binaryfile file;
	struct mdfh_span span;
	uint8_t data[1024] = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t size = records(data, 5, cases[i].marker);
		unsigned n = 0;

		mdfh_binaryfile_open(&file, 0);
		mdfh_binaryfile_feed(&file, data, (uint64_t)((int64_t)size + cases[i].more));
		while (mdfh_binaryfile_next(&file, 2, &span))
			n += (unsigned)span.messages;
		assert_int_equal(mdfh_binaryfile_end(&file), cases[i].want);
		assert_int_equal(n, cases[i].want == MDFH_BINARYFILE_CUT ? 4 : 5);
	}
}

/* Fed in chunks of every size, the same records come out. */
static void chunks(void **state)
{
	uint8_t data[1024], chunk[1024];
	uint32_t size = records(data, 20, 1);

	(void)state;
	for (uint32_t step = 20; step < 200; step++) {
		struct mdfh_binaryfile file;
		struct mdfh_span span;
		uint32_t at = 0, held = 0;
		uint64_t next = 1;

		mdfh_binaryfile_open(&file, 0);
		while (at < size) {
			uint32_t take = size - at < step - held ? size - at : step - held;

			memcpy(chunk + held, data + at, take);
			at += take;
			mdfh_binaryfile_feed(&file, chunk, held + take);
			while (mdfh_binaryfile_next(&file, 4, &span)) {
				assert_int_equal(span.first, next);
				assert_int_equal(span.data[9], next);
				next += span.messages;
			}
			held = (uint32_t)mdfh_binaryfile_left(&file);
			memmove(chunk, chunk + file.at, held);
		}
		assert_int_equal(next, 21);
		assert_int_equal(file.offset, size);
		assert_int_equal(mdfh_binaryfile_end(&file), MDFH_BINARYFILE_MARKED);
	}
}

static void as_one_packet(void **state)
{
	const struct mdfh_session_ops *ops = mdfh_session_find("binaryfile");
	struct mdfh_unit unit;
	uint8_t data[1024];
	uint32_t size = records(data, 6, 0);

	(void)state;
	assert_int_equal(ops->parse(data, size, &unit), 0);
	assert_int_equal(unit.messages, 6);
	assert_int_equal(unit.first, 1);
	assert_int_equal(unit.error, MDFH_SESSION_OK);
	assert_int_equal(ops->parse(data, size - 1, &unit), 0);
	assert_int_equal(unit.messages, 5);
	assert_int_equal(unit.claimed, 6);
	assert_int_equal(unit.error, MDFH_SESSION_OVERRUN);
}

/* The head of a real day file: a cut slice, so without the end marker. */
static void real_day_head(void **state)
{
	const char *folder = getenv("MDFH_DATA");
	struct mdfh_binaryfile file;
	struct mdfh_span span;
	char path[512];
	uint8_t *data;
	uint64_t n = 0;
	size_t size;
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/itch50-binaryfile/nasdaq-day-head-real-0001-0600.itch",
	    folder ? folder : "");
	f = fopen(path, "rb");
	if (!f) {
		print_message("skipped: %s is not there\n", path);
		skip();
	}
	data = malloc(1 << 20);
	assert_non_null(data);
	size = fread(data, 1, 1 << 20, f);
	fclose(f);
	mdfh_binaryfile_open(&file, 0);
	mdfh_binaryfile_feed(&file, data, size);
	while (mdfh_binaryfile_next(&file, 64, &span))
		n += span.messages;
	assert_int_equal(n, 600);
	assert_int_equal(mdfh_binaryfile_end(&file), MDFH_BINARYFILE_UNMARKED);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(whole_file_in_spans_of_three),
	    cmocka_unit_test(rest_of_a_chunk),
	    cmocka_unit_test(endings),
	    cmocka_unit_test(chunks),
	    cmocka_unit_test(as_one_packet),
	    cmocka_unit_test(real_day_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
