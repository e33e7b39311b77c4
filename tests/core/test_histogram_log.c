/* test_histogram_log.c - encoded and decoded again, what must be refused, logs that cannot be
 * written. test_histogram_java.py has another reader. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mdfh/error.h"
#include "mdfh/histogram_log.h"
#include "mdfh_build.h"

#ifdef MDFH_HAVE_ZLIB

static struct mdfh_histogram *create(uint64_t max_value)
{
	struct mdfh_histogram *h = NULL;

	assert_int_equal(mdfh_histogram_create(max_value, &h), 0);
	return h;
}

static void assert_same(const struct mdfh_histogram *a, const struct mdfh_histogram *b)
{
	assert_int_equal(mdfh_histogram_count(a), mdfh_histogram_count(b));
	for (double p = 0.25; p < 100; p += 0.25)
		assert_int_equal(mdfh_histogram_percentile(a, p), mdfh_histogram_percentile(b, p));
}

static void test_there_and_back(void **state)
{
	static const uint64_t limits[] = {1, 2, 2047, 2048, 3600000000000, INT64_MAX, UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct mdfh_histogram *h = create(limits[i]);
		struct mdfh_histogram *back;
		char *text;

		for (int round = 0; round < 3; round++) {
			assert_int_equal(mdfh_histogram_encode(h, &text), 0);
			assert_int_equal(mdfh_histogram_decode(text, strlen(text), &back), 0);
			free(text);
			assert_same(h, back);
			mdfh_histogram_destroy(back);
			/* Exact values only: the format knows no others. */
			mdfh_histogram_record_n(h, (uint64_t)round, 1u << (round * 10));
			mdfh_histogram_record_n(h, limits[i] > 2000 ? 2000 : limits[i], 1ull << 60);
		}
		mdfh_histogram_destroy(h);
	}
}

/* Beyond 2^63 a value is counted in the format's last bucket: none is lost. */
static void test_beyond_the_format(void **state)
{
	struct mdfh_histogram *h = create(UINT64_MAX);
	struct mdfh_histogram *back;
	char *text;

	(void)state;
	mdfh_histogram_record(h, UINT64_MAX);
	mdfh_histogram_record(h, (uint64_t)1 << 63);
	mdfh_histogram_record(h, 5);
	assert_int_equal(mdfh_histogram_encode(h, &text), 0);
	assert_int_equal(mdfh_histogram_decode(text, strlen(text), &back), 0);
	assert_int_equal(mdfh_histogram_count(back), 3);
	assert_int_equal(mdfh_histogram_max(back), INT64_MAX);
	assert_int_equal(mdfh_histogram_percentile(back, 10), 5);
	free(text);
	mdfh_histogram_destroy(back);
	mdfh_histogram_destroy(h);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
	    "",
	    "HIST",
	    "HISTFA==",
	    "HISTFAAAAAA=",             /* nothing compressed */
	    "HISTFAAA////AAAA",         /* says more than there is */
	    "HISTFAAAAAN4AQ==",         /* cut off */
	    "HISTFAAAAAN4nAMAAAAAAQ==", /* inflates to nothing */
	    "not base64!!",
	    "=ISTFAAA",
	    "HISTFAAAA",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct mdfh_histogram *h = (void *)&state;

		assert_int_equal(mdfh_histogram_decode(bad[i], strlen(bad[i]), &h), -EINVAL);
		assert_null(h);
		assert_non_null(strstr(mdfh_error_text(), "histogram: "));
	}
}

static void test_log_errors(void **state)
{
	static const char *const tags[] = {"", "a,b", "a b", "a\n", "\xc3\xa9"};
	struct mdfh_histogram *h = create(1000);
	struct mdfh_histogram_log *log = (void *)&state;
	char path[] = "/tmp/mdfh-histogram-XXXXXX";
	int fd;

	(void)state;
	assert_int_equal(mdfh_histogram_log_open("/no/such/folder/x", 1, &log), -ENOENT);
	assert_null(log);
	assert_non_null(strstr(mdfh_error_text(), "/no/such/folder/x"));
	assert_int_equal(mdfh_histogram_log_open("/dev/full", 1, &log), -ENOSPC);
	assert_null(log);
	assert_non_null(strstr(mdfh_error_text(), "log /dev/full: No space left on device; make"));

	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(mdfh_histogram_log_open(path, 1, &log), 0);
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		assert_int_equal(mdfh_histogram_log_write(log, tags[i], 1, 2, h), -EINVAL);
	assert_int_equal(mdfh_histogram_log_write(log, "fine", 1, 2, h), 0);
	assert_int_equal(mdfh_histogram_log_close(log), 0);
	assert_int_equal(mdfh_histogram_log_close(NULL), 0);
	unlink(path);
	mdfh_histogram_destroy(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_there_and_back),
	    cmocka_unit_test(test_beyond_the_format),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_log_errors),
	};

	return cmocka_run_group_tests_name("histogram_log", tests, NULL, NULL);
}

#else

static void test_says_what_is_missing(void **state)
{
	struct mdfh_histogram_log *log = (void *)&state;
	struct mdfh_histogram *h = (void *)&state;

	(void)state;
	assert_int_equal(mdfh_histogram_log_open("/tmp/x", 1, &log), -ENOTSUP);
	assert_null(log);
	assert_non_null(strstr(mdfh_error_text(), "zlib"));
	assert_int_equal(mdfh_histogram_decode("", 0, &h), -ENOTSUP);
	assert_null(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_says_what_is_missing)};

	return cmocka_run_group_tests_name("histogram_log", tests, NULL, NULL);
}

#endif
