/* test_probe.c - the accounting under the tools: no byte of a message may change unseen, a stream is
 * read wherever it is cut, and the tally knows what came, in whatever order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tools/probe_message.h"
#include "tools/probe_tally.h"

static struct probe_message make(uint64_t sequence, uint16_t length)
{
	return (struct probe_message){.run = 77,
	    .sequence = sequence,
	    .due_ns = 1000 * sequence,
	    .sent_ns = 1000 * sequence + 5,
	    .length = length};
}

static void every_bit_counts(void **state)
{
	const uint16_t lengths[] = {PROBE_HEADER, 49, 64, 101};
	uint8_t bytes[128];

	(void)state;
	for (unsigned l = 0; l < 4; l++) {
		const struct probe_message want = make(12, lengths[l]);
		struct probe_message have;

		probe_message_write(&want, bytes);
		assert_int_equal(probe_message_read(bytes, lengths[l], &have), PROBE_SOUND);
		assert_memory_equal(&have, &want, sizeof(want));
		for (uint32_t bit = 0; bit < lengths[l] * 8u; bit++) {
			bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
			if (probe_message_read(bytes, sizeof(bytes), &have) == PROBE_SOUND)
				fail_msg("length %u: bit %u changed unseen", lengths[l], bit);
			bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		for (uint32_t size = 0; size < lengths[l]; size++)
			assert_int_equal(probe_message_read(bytes, size, &have), PROBE_SHORT);
	}
}

/* Three messages of different lengths, handed over in pieces of every size. */
static void streams_are_read_across_cuts(void **state)
{
	const uint16_t lengths[] = {48, 200, 64};
	uint8_t bytes[312];
	struct probe_stream stream;
	uint32_t size = 0;

	(void)state;
	for (unsigned m = 0; m < 3; m++) {
		const struct probe_message message = make(m + 1, lengths[m]);

		probe_message_write(&message, bytes + size);
		size += lengths[m];
	}
	for (uint32_t piece = 1; piece <= size; piece++) {
		uint64_t next = 1;

		memset(&stream, 0, sizeof(stream));
		for (uint32_t from = 0; from < size; from += piece) {
			const uint8_t *at = bytes + from;
			uint32_t left = size - from < piece ? size - from : piece;
			struct probe_message message;
			enum probe_verdict verdict;

			while (probe_stream_next(&stream, &at, &left, &message, &verdict)) {
				assert_int_equal(verdict, PROBE_SOUND);
				assert_int_equal(message.sequence, next);
				next++;
			}
			assert_int_equal(left, 0);
		}
		assert_int_equal(next, 4);
		assert_int_equal(stream.partial_length, 0);
	}
}

/* Out of step is out of step: said once, and nothing is found in what follows. */
static void streams_stop_at_nonsense(void **state)
{
	uint8_t bytes[64 + 64 + 64];
	const struct probe_message first = make(1, 64);
	const struct probe_message last = make(3, 64);
	struct probe_stream stream = {0};
	const uint8_t *at = bytes;
	uint32_t left = sizeof(bytes);
	struct probe_message message;
	enum probe_verdict verdict;

	(void)state;
	memset(bytes, 0xa5, sizeof(bytes));
	probe_message_write(&first, bytes);
	probe_message_write(&last, bytes + 128);
	assert_int_equal(probe_stream_next(&stream, &at, &left, &message, &verdict), 1);
	assert_int_equal(verdict, PROBE_SOUND);
	assert_int_equal(probe_stream_next(&stream, &at, &left, &message, &verdict), 1);
	assert_int_equal(verdict, PROBE_FOREIGN);
	assert_int_equal(probe_stream_next(&stream, &at, &left, &message, &verdict), 0);
}

static void the_tally_knows_what_came(void **state)
{
	const uint64_t arrivals[] = {3, 1, 3, 2, 7, 6, 7, 0, 1};
	struct probe_tally tally;

	(void)state;
	assert_int_equal(probe_tally_create(&tally), 0);
	for (unsigned i = 0; i < sizeof(arrivals) / sizeof(arrivals[0]); i++)
		probe_tally_add(&tally, arrivals[i]);
	assert_int_equal(tally.unique, 5);     /* 1 2 3 6 7 */
	assert_int_equal(tally.duplicates, 4); /* 3 7 0 1 */
	assert_int_equal(tally.reordered, 3);  /* 1 2 6 */
	assert_int_equal(tally.first, 1);
	assert_int_equal(tally.highest, 7);
	assert_int_equal(probe_tally_missing(&tally, 7), 2);
	assert_int_equal(probe_tally_missing(&tally, 9), 4);
	assert_int_equal(probe_tally_missing(&tally, 3), 0);
	probe_tally_destroy(&tally);
}

/* Past the window a number is never counted as new, so that nothing counts twice. */
static void the_window_moves_on(void **state)
{
	struct probe_tally tally;
	uint64_t jump = (uint64_t)PROBE_WINDOW + 100;

	(void)state;
	assert_int_equal(probe_tally_create(&tally), 0);
	for (uint64_t s = 1; s <= 200; s++)
		assert_int_equal(probe_tally_add(&tally, s), 1);
	assert_int_equal(probe_tally_add(&tally, jump), 1);
	assert_int_equal(probe_tally_add(&tally, 100), 0); /* just out of it */
	assert_int_equal(probe_tally_add(&tally, 101), 0); /* just in it, and there */
	assert_int_equal(probe_tally_add(&tally, 201), 1);
	assert_int_equal(probe_tally_add(&tally, jump * 5), 1);
	assert_int_equal(probe_tally_add(&tally, jump), 0);
	assert_int_equal(probe_tally_add(&tally, jump * 5 - 1), 1);
	assert_int_equal(tally.unique, 204);
	assert_int_equal(probe_tally_missing(&tally, jump * 5), jump * 5 - 204);
	probe_tally_destroy(&tally);
}

/* A sender may call a message what it likes: the largest numbers, jumps as long as the window. */
static void the_tally_ends_where_numbers_do(void **state)
{
	struct probe_tally tally;

	(void)state;
	assert_int_equal(probe_tally_create(&tally), 0);
	assert_int_equal(probe_tally_add(&tally, UINT64_MAX - 70), 1);
	assert_int_equal(probe_tally_add(&tally, UINT64_MAX), 1);
	assert_int_equal(probe_tally_add(&tally, UINT64_MAX - 70), 0);
	assert_int_equal(probe_tally_add(&tally, UINT64_MAX - 1), 1);
	assert_int_equal(tally.unique, 3);
	probe_tally_destroy(&tally);

	assert_int_equal(probe_tally_create(&tally), 0);
	for (uint64_t s = 1; s < 1000; s++) {
		uint64_t first = s * (PROBE_WINDOW - 1);

		assert_int_equal(probe_tally_add(&tally, first), 1);
		assert_int_equal(probe_tally_add(&tally, first - (PROBE_WINDOW - 1)), 0);
		assert_int_equal(probe_tally_add(&tally, first - (PROBE_WINDOW - 2)), 1);
	}
	probe_tally_destroy(&tally);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_bit_counts),
	    cmocka_unit_test(streams_are_read_across_cuts),
	    cmocka_unit_test(streams_stop_at_nonsense),
	    cmocka_unit_test(the_tally_knows_what_came),
	    cmocka_unit_test(the_window_moves_on),
	    cmocka_unit_test(the_tally_ends_where_numbers_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
