/* test_venue_time.c - midnight of a session date against dates worked out by hand. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mdfh/error.h"
#include "proto/decoder.h"

static int64_t utc(int year, int month, int day, int hour)
{
	struct tm tm = {
	    .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour};

	return (int64_t)timegm(&tm) * 1000000000;
}

static void dates(void **state)
{
	static const struct {
		const char *zone;
		int year, month, day;
		int hour; /* of UTC on that day */
	} cases[] = {
	    {"America/New_York", 2026, 1, 15, 5},
	    {"America/New_York", 2026, 7, 15, 4},
	    {"America/New_York", 2026, 3, 6, 5},
	    {"America/New_York", 2026, 3, 9, 4},
	    /* Clocks change at 02:00: noon minus 12 hours. */
	    {"America/New_York", 2026, 3, 8, 4},
	    {"America/New_York", 2026, 10, 31, 4},
	    {"America/New_York", 2026, 11, 1, 5},
	    {"America/New_York", 2026, 11, 2, 5},
	    {"America/New_York", 2010, 12, 24, 5},
	    /* The rules of before 2007: April to October. */
	    {"America/New_York", 2006, 3, 20, 5},
	    {"America/New_York", 2006, 4, 3, 4},
	    /* Past the transitions of any file: the rule in its footer. */
	    {"America/New_York", 2100, 7, 1, 4},
	    {"America/New_York", 2100, 12, 1, 5},
	    {"America/Chicago", 2026, 7, 1, 5},
	    {"UTC", 2026, 7, 1, 0},
	};
	int64_t midnight;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int err = mdfh_midnight_ns(
		    cases[i].zone, cases[i].year, cases[i].month, cases[i].day, &midnight);

		if (err == -ENOENT) {
			print_message("skipped: %s\n", mdfh_error_text());
			skip();
		}
		assert_int_equal(err, 0);
		assert_int_equal(
		    midnight, utc(cases[i].year, cases[i].month, cases[i].day, cases[i].hour));
	}
	/* East of Greenwich midnight is on the day before. */
	assert_int_equal(mdfh_midnight_ns("Europe/Berlin", 2026, 1, 15, &midnight), 0);
	assert_int_equal(midnight, utc(2026, 1, 14, 23));
}

static void what_does_not_exist(void **state)
{
	int64_t midnight;

	(void)state;
	assert_int_equal(mdfh_midnight_ns("America/New_York", 2026, 2, 29, &midnight), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "2026-02-29"));
	assert_int_equal(mdfh_midnight_ns("America/New_York", 2026, 13, 1, &midnight), -EINVAL);
	assert_int_equal(mdfh_midnight_ns("America/Gotham", 2026, 1, 1, &midnight), -ENOENT);
	assert_non_null(strstr(mdfh_error_text(), "America/Gotham"));
	assert_int_equal(mdfh_midnight_ns("../../etc/passwd", 2026, 1, 1, &midnight), -ENOENT);
	assert_int_equal(mdfh_midnight_ns("/etc/passwd", 2026, 1, 1, &midnight), -ENOENT);
}

/* A file of the kind that holds no transitions at all, and damaged ones. */
static void files_of_our_own(void **state)
{
	static const char rule[] = "\nEST5EDT,M3.2.0,M11.1.0\n";
	char folder[] = "/tmp/mdfh-zone-XXXXXX", path[64];
	uint8_t file[2 * 44 + 2 * 6 + sizeof(rule)] = {0};
	int64_t midnight;
	size_t size = 0;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/Slim", folder);
	setenv("TZDIR", folder, 1);
	assert_int_equal(mdfh_midnight_ns("America/New_York", 2026, 1, 1, &midnight), -ENOENT);
	assert_non_null(strstr(mdfh_error_text(), "tzdata"));

	/* Two blocks of one type (UTC-5) each, then the rule. */
	for (int i = 0; i < 2; i++) {
		memcpy(file + size, "TZif2", 5);
		file[size + 39] = 1;
		size += 44;
		memcpy(file + size, "\xff\xff\xb9\xb0\0\0", 6);
		size += 6;
	}
	memcpy(file + size, rule, sizeof(rule) - 1);
	size += sizeof(rule) - 1;
	for (size_t cut = 0; cut <= size; cut++) {
		FILE *f = fopen(path, "wb");
		int err;

		assert_non_null(f);
		assert_int_equal(fwrite(file, 1, cut, f), cut);
		fclose(f);
		err = mdfh_midnight_ns("Slim", 2026, 7, 1, &midnight);
		if (cut == size) {
			assert_int_equal(err, 0);
			assert_int_equal(midnight, utc(2026, 7, 1, 4));
		} else if (cut < size - sizeof(rule) + 1) {
			assert_int_equal(err, -EINVAL);
		}
	}

	/* 2^31 seconds west of UTC: no zone, and with 2200 more than 64 bits of nanoseconds. */
	memcpy(file + 2 * 44 + 6, "\x80\0\0\0", 4);
	{
		FILE *f = fopen(path, "wb");

		assert_non_null(f);
		assert_int_equal(fwrite(file, 1, 2 * 44 + 2 * 6, f), 2 * 44 + 2 * 6);
		fclose(f);
	}
	assert_int_equal(mdfh_midnight_ns("Slim", 2200, 7, 1, &midnight), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "-2147483648 seconds"));
	unlink(path);
	rmdir(folder);
	unsetenv("TZDIR");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(dates),
	    cmocka_unit_test(what_does_not_exist),
	    cmocka_unit_test(files_of_our_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
