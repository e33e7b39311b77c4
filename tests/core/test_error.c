/* test_error.c - the error sentence: bounded, kept per thread, extended by its own text. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "mdfh/error.h"

static void test_sentence(void **state)
{
	(void)state;
	assert_int_equal(mdfh_error(-EINVAL, "thing %d is %s", 3, "bad"), -EINVAL);
	assert_string_equal(mdfh_error_text(), "thing 3 is bad");
	assert_int_equal(mdfh_error_errno(-ENOENT, "open %s", "x"), -ENOENT);
	assert_string_equal(mdfh_error_text(), "open x: No such file or directory");
}

static void test_adds_to_itself(void **state)
{
	(void)state;
	mdfh_error(-EINVAL, "inner");
	mdfh_error(-EINVAL, "outer: %s", mdfh_error_text());
	assert_string_equal(mdfh_error_text(), "outer: inner");
	mdfh_error_errno(-EPERM, "%s", mdfh_error_text());
	assert_string_equal(mdfh_error_text(), "outer: inner: Operation not permitted");
}

static void test_bounded(void **state)
{
	char big[2000];

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	mdfh_error(-EINVAL, "%s", big);
	assert_int_equal(strlen(mdfh_error_text()), 511);
	/* The reason survives a long sentence. */
	mdfh_error_errno(-ENOENT, "%s", big);
	assert_true(strlen(mdfh_error_text()) < 512);
	assert_non_null(strstr(mdfh_error_text(), "xx: No such file or directory"));
}

static void *other_thread(void *empty)
{
	*(int *)empty = mdfh_error_text()[0] == '\0';
	mdfh_error(-EIO, "other");
	return NULL;
}

static void test_per_thread(void **state)
{
	pthread_t thread;
	int empty = 0;

	(void)state;
	mdfh_error(-EINVAL, "mine");
	assert_int_equal(pthread_create(&thread, NULL, other_thread, &empty), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(empty);
	assert_string_equal(mdfh_error_text(), "mine");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sentence),
	    cmocka_unit_test(test_adds_to_itself),
	    cmocka_unit_test(test_bounded),
	    cmocka_unit_test(test_per_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
