/* net_test.h - what the tests of this layer share: cmocka with its includes, the error sentence, a
 * counter by its name. */
#ifndef MDFH_TESTS_NET_TEST_H
#define MDFH_TESTS_NET_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mdfh/bypass.h"
#include "mdfh/error.h"
#include "own_namespace.h"

#define TEST_SKIPPED 77

/* The last sentence contains text. */
#define assert_error(text)                                                                         \
	do {                                                                                       \
		if (!strstr(mdfh_error_text(), (text)))                                            \
			fail_msg("want '%s' in '%s'", (text), mdfh_error_text());                  \
	} while (0)

/* 0 or more, else the sentence. */
#define assert_ok(expression)                                                                      \
	do {                                                                                       \
		int assert_rc_ = (expression);                                                     \
		if (assert_rc_ < 0)                                                                \
			fail_msg("%s: %d, %s", #expression, assert_rc_, mdfh_error_text());        \
	} while (0)

static inline uint64_t counter_of(struct mdfh_bypass *port, const char *name)
{
	struct mdfh_bypass_counter counters[64];
	int n = mdfh_bypass_counters(port, counters, 64);

	assert_in_range(n, 1, 64);
	for (int i = 0; i < n; i++)
		if (!strcmp(counters[i].name, name))
			return counters[i].value;
	fail_msg("there is no counter '%s'", name);
	return 0;
}

#endif
