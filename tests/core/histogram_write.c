/* histogram_write.c - seeded histograms to a log, and what they hold to standard output:
 * histogram_write LOG SEED. For test_histogram_java.py.
 *
 * A line of the log is a line here: tag, count, least, largest, the percentiles asked for. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "mdfh/error.h"
#include "mdfh/histogram_log.h"

static uint64_t random_state;

/* xorshift64*: equal seeds, equal tests. */
static uint64_t next_random(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1du;
}

static const double asked[] = {0, 1, 25, 50, 75, 90, 99, 99.9, 99.99, 99.999, 100};

static const struct {
	const char *tag;
	uint64_t max_value;
	unsigned samples;
	uint64_t below; /* values are drawn below it; 0 = of every magnitude, below 2^63 */
	uint64_t always;
} cases[] = {
    {"empty", 3600000000000, 0, 0, 0},
    {"smallest", 1, 10, 2, 0},
    {"zero", 3600000000000, 0, 0, 0},
    {"single", 3600000000000, 0, 0, 123456},
    {"edge", 3600000000000, 0, 0, 2047},
    {"edge+1", 3600000000000, 0, 0, 2048},
    {"short", 3600000000000, 1000, 2000, 0},
    {"durations", 3600000000000, 200000, 10000000, 0},
    {"wide", INT64_MAX, 100000, 0, 0},
    {"hour", 3600000000000, 1000, 3600000000000, 0},
    {"largest", UINT64_MAX, 0, 0, INT64_MAX},
};

static void fill(struct mdfh_histogram *h, size_t i)
{
	for (unsigned n = 0; n < cases[i].samples; n++) {
		uint64_t value = next_random();

		value = cases[i].below ? value % cases[i].below : value >> (1 + next_random() % 62);
		mdfh_histogram_record_n(h, value, 1 + next_random() % 3);
	}
	/* Zero has its own line; so has a count of many LEB128 bytes. */
	if (cases[i].always)
		mdfh_histogram_record_n(h, cases[i].always, (uint64_t)1 << 40);
	else if (!cases[i].samples && i != 0)
		mdfh_histogram_record(h, 0);
}

static int fail(void)
{
	fprintf(stderr, "%s\n", mdfh_error_text());
	return 1;
}

int main(int argc, char **argv)
{
	/* In milliseconds, as the log has it: 2026-11-25 03:00:00.250. */
	const uint64_t start_ns = 1795575600250000000u;
	struct mdfh_histogram_log *log;

	if (argc != 3)
		return 2;
	random_state = strtoull(argv[2], NULL, 0) * 2 + 1;
	if (mdfh_histogram_log_open(argv[1], start_ns, &log))
		return fail();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t from_ns = start_ns + i * 1000000000;
		struct mdfh_histogram *h;

		if (mdfh_histogram_create(cases[i].max_value, &h))
			return fail();
		fill(h, i);
		if (mdfh_histogram_log_write(log, cases[i].tag, from_ns, from_ns + 750000000, h))
			return fail();
		printf("%s %" PRIu64 " %" PRIu64 " %" PRIu64, cases[i].tag, mdfh_histogram_count(h),
		    mdfh_histogram_min(h), mdfh_histogram_max(h));
		for (size_t p = 0; p < sizeof(asked) / sizeof(asked[0]); p++)
			printf(" %" PRIu64, mdfh_histogram_percentile(h, asked[p]));
		putchar('\n');
		mdfh_histogram_destroy(h);
	}
	return mdfh_histogram_log_close(log) ? fail() : 0;
}
