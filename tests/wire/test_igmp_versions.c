/* test_igmp_versions.c - the host's side of IGMP where an older version is spoken. */
#include "wire/igmp_test.h"

static const struct mdfh_flow two_flows[] = {
    {.group = "239.1.2.3", .port = 5000},
    {.group = "232.1.1.1", .source = "10.9.8.7", .port = 5000},
};

/* Older versions --------------------------------------------------------- */

static void test_version_2(void **state)
{
	const struct query general = {.version = 2, .code = 100};
	const struct query group = {.version = 2, .code = 10, .group = "239.1.2.3"};
	const struct query report = {.version = 2, .type = 0x16, .group = "239.1.2.3"};
	struct station *to = settled(two_flows, 1, 0);
	uint64_t asked_ns = to->now_ns;

	(void)state;
	ask(to, &general, 0);
	assert_int_equal(to->igmp.links[0].version, 2);
	run_until(to, asked_ns + 11 * S);
	assert_int_equal(to->count, 1);
	expect_bytes(to, 0,
	    "01005e010203 02aabbccddee 0800 46c0 0020 0000 4000 0102 e90a"
	    "0a000009 ef010203 94040000 1600 f8fa ef010203");
	assert_true(to->sent[0].time_ns <= asked_ns + 10 * S);
	/* Another host's report makes ours superfluous. */
	to->count = 0;
	ask(to, &group, 0);
	ask(to, &report, 0);
	run_until(to, to->now_ns + 11 * S);
	assert_int_equal(to->count, 0);
	assert_int_equal(to->igmp.stats.suppressed, 1);
	/* Then it is the other one who says so when the last has left. */
	mdfh_igmp_leave(&to->igmp, to->now_ns);
	run_until(to, to->now_ns + 11 * S);
	assert_int_equal(to->count, 0);
}

static void test_leave_v2(void **state)
{
	const struct query group = {.version = 2, .code = 10, .group = "239.1.2.3"};
	struct station *to = settled(two_flows, 1, 2);

	(void)state;
	ask(to, &group, 0);
	run_until(to, to->now_ns + S);
	assert_int_equal(to->count, 1);
	mdfh_igmp_leave(&to->igmp, to->now_ns);
	run_until(to, to->now_ns + S);
	assert_int_equal(to->count, 2);
	expect_bytes(to, 1,
	    "01005e000002 02aabbccddee 0800 46c0 0020 0000 4000 0102 fa0c"
	    "0a000009 e0000002 94040000 1700 f7fa ef010203");
	assert_int_equal(to->igmp.stats.leaves_sent, 1);
	assert_true(mdfh_igmp_next_ns(&to->igmp) == UINT64_MAX);
}

static void test_join_v2(void **state)
{
	const struct query report = {.version = 2, .type = 0x16, .group = "239.1.2.3"};
	struct station *to = open_version(two_flows, 2, 2);

	(void)state;
	run_until(to, START + 11 * S);
	assert_int_equal(to->count, 4); /* two groups, twice each */
	assert_true(to->sent[0].time_ns == START && to->sent[1].time_ns == START);
	assert_true(to->sent[3].time_ns <= START + 10 * S);
	to = open_version(two_flows, 1, 2);
	run_until(to, START);
	ask(to, &report, 0);
	run_until(to, START + 11 * S);
	assert_int_equal(to->count, 1);
}

/* Said anew it is in the version that is spoken. */
static void test_renew_v2(void **state)
{
	const struct query general = {.version = 2, .code = 10};
	struct station *to = settled(two_flows, 2, 0);

	(void)state;
	mdfh_igmp_renew(&to->igmp, to->now_ns);
	run_until(to, to->now_ns + 2 * S);
	assert_int_equal(to->count, 2);
	assert_int_equal(to->sent[0].bytes[38], 0x22);
	ask(to, &general, 0);
	run_until(to, to->now_ns + 2 * S);
	to->count = 0;
	mdfh_igmp_renew(&to->igmp, to->now_ns);
	run_until(to, to->now_ns + 11 * S);
	assert_int_equal(to->count, 4); /* two groups, twice each */
	for (int i = 0; i < 4; i++)
		assert_int_equal(to->sent[i].bytes[38], 0x16);
}

/* A timer that runs is only brought forward, RFC 2236 section 6. */
static void test_timer_v2(void **state)
{
	const struct query late = {.version = 2, .code = 255, .group = "239.1.2.3"};
	const struct query soon = {.version = 2, .code = 1, .group = "239.1.2.3"};
	struct station *to = settled(two_flows, 1, 2);
	uint64_t due;

	(void)state;
	ask(to, &late, 0);
	due = mdfh_igmp_next_ns(&to->igmp);
	ask(to, &late, 0);
	assert_true(mdfh_igmp_next_ns(&to->igmp) == due);
	ask(to, &soon, 0);
	assert_true(mdfh_igmp_next_ns(&to->igmp) <= to->now_ns + 100 * MS);
	run_until(to, to->now_ns + 30 * S);
	assert_int_equal(to->count, 1);
}

static void test_version_1(void **state)
{
	const struct query general = {.version = 1};
	struct station *to = settled(two_flows, 1, 0);
	uint64_t asked_ns = to->now_ns;

	(void)state;
	ask(to, &general, 0);
	assert_int_equal(to->igmp.links[0].version, 1);
	run_until(to, asked_ns + 10 * S);
	assert_int_equal(to->count, 1);
	expect_bytes(to, 0,
	    "01005e010203 02aabbccddee 0800 46c0 0020 0000 4000 0102 e90a"
	    "0a000009 ef010203 94040000 1200 fcfa ef010203");
	mdfh_igmp_leave(&to->igmp, to->now_ns);
	run_until(to, to->now_ns + S);
	assert_int_equal(to->count, 1); /* version 1 has no leave */
}

/* Section 7.2.1: back after robustness * interval + response time, as the last querier of version 3
 * had set them; a version 1 querier wins over version 2 while it is present. */
static void test_falls_back(void **state)
{
	const struct query v3 = {.version = 3, .code = 100, .robustness = 3, .interval_code = 60};
	const struct query v2 = {.version = 2, .code = 50};
	const struct query v1 = {.version = 1};
	const struct query group2 = {.version = 2, .code = 50, .group = "239.1.2.3"};
	struct station *to = settled(two_flows, 1, 0);
	const struct mdfh_igmp_link *link = &to->igmp.links[0];
	uint64_t heard_ns;

	(void)state;
	ask(to, &group2, 0); /* only general queries tell the version */
	assert_int_equal(link->version, 3);
	ask(to, &v3, 0);
	assert_int_equal(link->robustness, 3);
	heard_ns = to->now_ns;
	ask(to, &v2, 0);
	assert_int_equal(link->version, 2);
	run_until(to, heard_ns + 20 * S);
	assert_int_equal(to->count, 1); /* the answer of version 3 was dropped with the version */
	ask(to, &v1, 0);
	assert_int_equal(link->version, 1);
	run_until(to, heard_ns + 185 * S);
	assert_int_equal(link->version, 1);
	run_until(to, heard_ns + 210 * S - 1);
	assert_int_equal(link->version, 1);
	run_until(to, heard_ns + 210 * S);
	assert_int_equal(link->version, 3);
	assert_int_equal(to->igmp.stats.version_changes, 3);
	to->count = 0;
	ask(to, &v3, 0);
	run_until(to, to->now_ns + 11 * S);
	assert_int_equal(to->count, 1);
	assert_int_equal(to->sent[0].bytes[38], 0x22);
}

/* The clock is set back while an answer, a repeated join and an older querier's time are due: all come
 * as soon after as they would have. */
static void test_clock_is_set_back(void **state)
{
	const struct query v3 = {.version = 3, .code = 10};
	const struct query v2 = {.version = 2, .code = 10};
	struct station *to = open_version(two_flows, 1, 0);
	uint64_t heard_ns;

	(void)state;
	run_until(to, START);
	ask(to, &v3, 0);
	to->now_ns -= 3600 * S;
	assert_int_equal(mdfh_igmp_poll(&to->igmp, to->now_ns, record, to), 0);
	run_until(to, START - 3600 * S + S);
	assert_int_equal(to->count, 3); /* join, its repetition, the answer */
	ask(to, &v2, 0);
	heard_ns = to->now_ns -= 7200 * S;
	assert_int_equal(mdfh_igmp_poll(&to->igmp, to->now_ns, record, to), 0);
	run_until(to, heard_ns + S);
	assert_int_equal(to->count, 4);
	run_until(to, heard_ns + 251 * S - 1);
	assert_int_equal(to->igmp.links[0].version, 2);
	run_until(to, heard_ns + 251 * S);
	assert_int_equal(to->igmp.links[0].version, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_version_2),
	    cmocka_unit_test(test_leave_v2),
	    cmocka_unit_test(test_join_v2),
	    cmocka_unit_test(test_renew_v2),
	    cmocka_unit_test(test_timer_v2),
	    cmocka_unit_test(test_version_1),
	    cmocka_unit_test(test_falls_back),
	    cmocka_unit_test(test_clock_is_set_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
