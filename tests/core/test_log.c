/* test_log.c - what reaches the callback: levels, the bound of the text, logging from inside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mdfh/log.h"

struct seen {
	int calls;
	enum mdfh_log_level level;
	char text[MDFH_LOG_TEXT_MAX + 16];
	int again; /* log this often from inside */
};

static void keep(void *context, enum mdfh_log_level level, const char *text)
{
	struct seen *seen = context;

	seen->calls++;
	seen->level = level;
	snprintf(seen->text, sizeof(seen->text), "%s", text);
	if (seen->again-- > 0)
		mdfh_log(MDFH_LOG_ERROR, "inside %d", seen->again);
}

static void test_levels(void **state)
{
	struct seen seen = {0};

	(void)state;
	mdfh_log(MDFH_LOG_ERROR, "nobody listens");
	mdfh_log_set(keep, &seen, MDFH_LOG_WARNING);
	mdfh_log(MDFH_LOG_INFO, "too fine");
	assert_int_equal(seen.calls, 0);
	mdfh_log(MDFH_LOG_WARNING, "port %d", 7);
	assert_int_equal(seen.calls, 1);
	assert_int_equal(seen.level, MDFH_LOG_WARNING);
	assert_string_equal(seen.text, "port 7");
	mdfh_log(MDFH_LOG_ERROR, "worse");
	assert_int_equal(seen.calls, 2);
	mdfh_log_set(NULL, NULL, MDFH_LOG_DEBUG);
	mdfh_log(MDFH_LOG_ERROR, "nobody again");
	assert_int_equal(seen.calls, 2);
}

static void test_bounded(void **state)
{
	struct seen seen = {0};
	char big[MDFH_LOG_TEXT_MAX + 100];

	(void)state;
	memset(big, 'y', sizeof(big));
	mdfh_log_set(keep, &seen, MDFH_LOG_DEBUG);
	/* The longest text that fits stays whole, one more is cut and shows it. */
	mdfh_log(MDFH_LOG_DEBUG, "%.*s", MDFH_LOG_TEXT_MAX - 1, big);
	assert_int_equal(strlen(seen.text), MDFH_LOG_TEXT_MAX - 1);
	assert_string_equal(seen.text + MDFH_LOG_TEXT_MAX - 4, "yyy");
	mdfh_log(MDFH_LOG_DEBUG, "%.*s", MDFH_LOG_TEXT_MAX, big);
	assert_int_equal(strlen(seen.text), MDFH_LOG_TEXT_MAX - 1);
	assert_string_equal(seen.text + MDFH_LOG_TEXT_MAX - 5, "y...");
	mdfh_log_set(NULL, NULL, MDFH_LOG_ERROR);
}

static void test_from_inside(void **state)
{
	struct seen seen = {.again = 2};

	(void)state;
	mdfh_log_set(keep, &seen, MDFH_LOG_DEBUG);
	mdfh_log(MDFH_LOG_INFO, "outside");
	assert_int_equal(seen.calls, 3);
	mdfh_log_set(NULL, NULL, MDFH_LOG_ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_levels),
	    cmocka_unit_test(test_bounded),
	    cmocka_unit_test(test_from_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
