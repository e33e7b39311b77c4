/* test_histogram.c - percentiles beside a sorted array, bounds of buckets, overflow, sums. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mdfh/error.h"
#include "mdfh/histogram.h"

enum { VALUES = 200000 };

static uint64_t random_state;

/* xorshift64*: equal seeds, equal tests. */
static uint64_t next_random(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1du;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static struct mdfh_histogram *create(uint64_t max_value)
{
	struct mdfh_histogram *h = NULL;

	assert_int_equal(mdfh_histogram_create(max_value, &h), 0);
	assert_non_null(h);
	return h;
}

/* uniform, or as durations are: most short, a long tail. */
static uint64_t draw(int kind)
{
	switch (kind) {
	case 0:
		return next_random() % 1000;
	case 1:
		return next_random() % 10000000000u;
	default:
		return next_random() >> (next_random() % 63);
	}
}

static void test_percentiles(void **state)
{
	static const double asked[] = {0, 0.001, 1, 25, 50, 75, 90, 99, 99.9, 99.99, 99.999, 100};
	uint64_t *values = malloc(VALUES * sizeof(*values));

	(void)state;
	assert_non_null(values);
	for (int kind = 0; kind < 3; kind++) {
		struct mdfh_histogram *h = create(UINT64_MAX);
		double sum = 0;

		random_state = 88172645463325252u + (uint64_t)kind;
		for (int i = 0; i < VALUES; i++) {
			values[i] = draw(kind);
			sum += (double)values[i];
			mdfh_histogram_record(h, values[i]);
		}
		qsort(values, VALUES, sizeof(*values), compare);
		for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
			/* One step down: 99.9 % of 1000 is the 999th. */
			size_t rank = (size_t)ceil(nextafter(asked[i], 0) * VALUES / 100);
			uint64_t want = values[rank ? rank - 1 : 0];
			uint64_t got = mdfh_histogram_percentile(h, asked[i]);

			/* The highest value of the bucket: never below, 0.1 % above at most. */
			if (got < want || (double)(got - want) > (double)want / 1000)
				fail_msg("kind %d: p%g is %llu, should be %llu", kind, asked[i],
				    (unsigned long long)got, (unsigned long long)want);
		}
		assert_int_equal(mdfh_histogram_count(h), VALUES);
		assert_int_equal(mdfh_histogram_min(h), values[0]);
		assert_int_equal(mdfh_histogram_max(h), values[VALUES - 1]);
		assert_true(fabs(mdfh_histogram_mean(h) - sum / VALUES) <= sum / VALUES / 1000);
		mdfh_histogram_destroy(h);
	}
	free(values);
}

/* Alone in a histogram a value's median is itself, since max is exact; beside a larger one it
 * is the top of its bucket: the value below 2048, and from there on within 1/1024. */
static void test_every_edge(void **state)
{
	(void)state;
	for (int bit = 0; bit < 64; bit++) {
		for (int64_t delta = -2; delta <= 2; delta++) {
			uint64_t value = ((uint64_t)1 << bit) + (uint64_t)delta;
			struct mdfh_histogram *h = create(UINT64_MAX);
			uint64_t got;

			mdfh_histogram_record(h, value);
			assert_int_equal(mdfh_histogram_percentile(h, 50), value);
			assert_int_equal(mdfh_histogram_min(h), value);
			mdfh_histogram_record(h, UINT64_MAX);
			got = mdfh_histogram_percentile(h, 50);
			assert_true(got >= value);
			if (value < 2048)
				assert_int_equal(got, value);
			else
				assert_true(got - value <= value / 1024);
			mdfh_histogram_destroy(h);
		}
	}
}

static void test_empty(void **state)
{
	struct mdfh_histogram *h = create(1);

	(void)state;
	assert_int_equal(mdfh_histogram_count(h), 0);
	assert_int_equal(mdfh_histogram_percentile(h, 50), 0);
	assert_int_equal(mdfh_histogram_max(h), 0);
	assert_int_equal(mdfh_histogram_min(h), 0);
	assert_true(mdfh_histogram_mean(h) == 0);
	mdfh_histogram_record_n(h, 7, 0);
	assert_int_equal(mdfh_histogram_count(h), 0);
	assert_int_equal(mdfh_histogram_max(h), 0);
	mdfh_histogram_destroy(h);
	mdfh_histogram_destroy(NULL);
}

static void test_overflow(void **state)
{
	struct mdfh_histogram *h = create(1000);

	(void)state;
	mdfh_histogram_record_n(h, 10, 98);
	mdfh_histogram_record(h, 1001);
	mdfh_histogram_record(h, UINT64_MAX);
	assert_int_equal(mdfh_histogram_count(h), 100);
	assert_int_equal(mdfh_histogram_percentile(h, 98), 10);
	/* Too large for the buckets: what is known of them is the largest. */
	assert_int_equal(mdfh_histogram_percentile(h, 99), UINT64_MAX);
	assert_int_equal(mdfh_histogram_percentile(h, 100), UINT64_MAX);
	assert_int_equal(mdfh_histogram_max(h), UINT64_MAX);
	assert_int_equal(mdfh_histogram_min(h), 10);
	mdfh_histogram_destroy(h);
}

static void test_odd_percentiles(void **state)
{
	struct mdfh_histogram *h = create(1000);

	(void)state;
	mdfh_histogram_record(h, 1);
	mdfh_histogram_record(h, 2);
	assert_int_equal(mdfh_histogram_percentile(h, -5), 1);
	assert_int_equal(mdfh_histogram_percentile(h, NAN), 1);
	assert_int_equal(mdfh_histogram_percentile(h, 50), 1);
	assert_int_equal(mdfh_histogram_percentile(h, 50.1), 2);
	assert_int_equal(mdfh_histogram_percentile(h, 1e300), 2);
	mdfh_histogram_destroy(h);
}

static void test_add(void **state)
{
	struct mdfh_histogram *all = create(UINT64_MAX), *one = create(UINT64_MAX);
	struct mdfh_histogram *two = create(UINT64_MAX), *narrow = create(1000);

	(void)state;
	random_state = 1;
	for (int i = 0; i < 10000; i++) {
		uint64_t value = draw(2);

		mdfh_histogram_record(i & 1 ? one : two, value);
		mdfh_histogram_record(all, value);
	}
	mdfh_histogram_add(one, two);
	assert_int_equal(mdfh_histogram_count(one), 10000);
	assert_int_equal(mdfh_histogram_max(one), mdfh_histogram_max(all));
	assert_int_equal(mdfh_histogram_min(one), mdfh_histogram_min(all));
	for (int half = 0; half <= 200; half++)
		assert_int_equal(mdfh_histogram_percentile(one, half / 2.0),
		    mdfh_histogram_percentile(all, half / 2.0));

	/* Into one with fewer buckets: nothing is lost, large values are in its last one. */
	mdfh_histogram_add(narrow, all);
	assert_int_equal(mdfh_histogram_count(narrow), 10000);
	assert_int_equal(mdfh_histogram_max(narrow), mdfh_histogram_max(all));
	/* An empty one changes nothing, not even the least. */
	mdfh_histogram_reset(two);
	mdfh_histogram_add(narrow, two);
	assert_int_equal(mdfh_histogram_count(narrow), 10000);
	assert_int_equal(mdfh_histogram_min(narrow), mdfh_histogram_min(all));
	mdfh_histogram_reset(narrow);
	assert_int_equal(mdfh_histogram_count(narrow), 0);
	assert_int_equal(mdfh_histogram_max(narrow), 0);

	mdfh_histogram_destroy(all);
	mdfh_histogram_destroy(one);
	mdfh_histogram_destroy(two);
	mdfh_histogram_destroy(narrow);
}

/* What was recorded since an earlier state, bucket by bucket. */
static void test_subtract(void **state)
{
	struct mdfh_histogram *now = create(1000000);
	struct mdfh_histogram *earlier = create(1000000);
	struct mdfh_histogram *since = create(1000000);

	(void)state;
	random_state = 4711;
	for (int i = 0; i < 1000; i++)
		mdfh_histogram_record(now, next_random() % 1000);
	mdfh_histogram_add(earlier, now);
	mdfh_histogram_add(since, now);
	mdfh_histogram_subtract(since, earlier);
	assert_int_equal(mdfh_histogram_count(since), 0);
	assert_int_equal(mdfh_histogram_max(since), 0);
	assert_int_equal(mdfh_histogram_min(since), 0);
	mdfh_histogram_record_n(now, 5000, 3);
	mdfh_histogram_record(now, 700);
	mdfh_histogram_reset(since);
	mdfh_histogram_add(since, now);
	mdfh_histogram_subtract(since, earlier);
	assert_int_equal(mdfh_histogram_count(since), 4);
	assert_int_equal(mdfh_histogram_min(since), 700);
	assert_int_equal(mdfh_histogram_percentile(since, 25), 700);
	assert_int_equal(mdfh_histogram_percentile(since, 50), 5000);
	assert_int_equal(mdfh_histogram_max(since), 5000);
	/* Larger than the last bucket: the largest is known. */
	mdfh_histogram_reset(earlier);
	mdfh_histogram_add(earlier, now);
	mdfh_histogram_record(now, 123456789);
	mdfh_histogram_reset(since);
	mdfh_histogram_add(since, now);
	mdfh_histogram_subtract(since, earlier);
	assert_int_equal(mdfh_histogram_count(since), 1);
	assert_int_equal(mdfh_histogram_max(since), 123456789);
	mdfh_histogram_destroy(since);
	mdfh_histogram_destroy(earlier);
	mdfh_histogram_destroy(now);
}

static void test_create_errors(void **state)
{
	struct mdfh_histogram *h = (struct mdfh_histogram *)&random_state;

	(void)state;
	assert_int_equal(mdfh_histogram_create(0, &h), -EINVAL);
	assert_null(h);
	assert_non_null(strstr(mdfh_error_text(), "max_value is 0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_percentiles),
	    cmocka_unit_test(test_every_edge),
	    cmocka_unit_test(test_empty),
	    cmocka_unit_test(test_overflow),
	    cmocka_unit_test(test_odd_percentiles),
	    cmocka_unit_test(test_add),
	    cmocka_unit_test(test_subtract),
	    cmocka_unit_test(test_create_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
