/* test_igmp.c - the host's side of IGMP and MLD, against a querier that packs its frames by hand and
 * holds every answer to the bytes, the time and the addresses that the specifications give. */
#include "wire/igmp_test.h"

/* IGMPv3 ----------------------------------------------------------------- */

static const struct mdfh_flow two_flows[] = {
    {.group = "239.1.2.3", .port = 5000},
    {.group = "232.1.1.1", .source = "10.9.8.7", .port = 5000},
};

static void test_join_v3(void **state)
{
	struct station *to = open_version(two_flows, 2, 0);

	(void)state;
	run_until(to, START);
	assert_int_equal(to->count, 1);
	expect_bytes(to, 0,
	    "01005e000016 02aabbccddee 0800 46c0 0034 0000 4000 0102 f9e4"
	    "0a000009 e0000016 94040000"
	    "2200 e8e4 0000 0002 04000000 ef010203 05000001 e8010101 0a090807");
	run_until(to, START + 10 * S);
	assert_int_equal(to->count, 2);
	assert_true(to->sent[1].time_ns > START && to->sent[1].time_ns <= START + S);
	assert_memory_equal(to->sent[0].bytes, to->sent[1].bytes, to->sent[0].length);
	assert_int_equal(to->igmp.stats.reports_sent, 2);
	assert_true(mdfh_igmp_next_ns(&to->igmp) == UINT64_MAX);
}

static void test_leave_v3(void **state)
{
	struct station *to = settled(two_flows, 2, 0);
	const struct query query = {.version = 3, .code = 100};

	(void)state;
	mdfh_igmp_leave(&to->igmp, to->now_ns);
	run_until(to, to->now_ns);
	assert_int_equal(to->count, 1);
	expect_bytes(to, 0,
	    "01005e000016 02aabbccddee 0800 46c0 0034 0000 4000 0102 f9e4"
	    "0a000009 e0000016 94040000"
	    "2200 e8e4 0000 0002 03000000 ef010203 06000001 e8010101 0a090807");
	ask(to, &query, 0); /* whoever has left has nothing to say */
	run_until(to, to->now_ns + 20 * S);
	assert_int_equal(to->count, 2);
	assert_true(mdfh_igmp_next_ns(&to->igmp) == UINT64_MAX);
}

static void test_general_query_v3(void **state)
{
	const struct query query = {
	    .version = 3, .code = 100, .robustness = 2, .interval_code = 125};
	uint64_t earliest = UINT64_MAX, latest = 0;
	struct station *to = settled(two_flows, 2, 0);

	(void)state;
	for (int i = 0; i < 200; i++) {
		uint64_t asked_ns = to->now_ns, waited_ns;

		to->count = 0;
		ask(to, &query, 0);
		run_until(to, asked_ns + 11 * S);
		assert_int_equal(to->count, 1);
		waited_ns = to->sent[0].time_ns - asked_ns;
		assert_true(waited_ns > 0 && waited_ns <= 10 * S);
		earliest = waited_ns < earliest ? waited_ns : earliest;
		latest = waited_ns > latest ? waited_ns : latest;
		expect_bytes(to, 0,
		    "01005e000016 02aabbccddee 0800 46c0 0034 0000 4000 0102 f9e4"
		    "0a000009 e0000016 94040000"
		    "2200 eee4 0000 0002 02000000 ef010203 01000001 e8010101 0a090807");
	}
	assert_true(earliest < S && latest > 9 * S);
	assert_int_equal(to->igmp.stats.queries, 200);
}

static void test_group_query_v3(void **state)
{
	const struct query any = {.version = 3, .code = 10, .group = "239.1.2.3"};
	const struct query other = {.version = 3, .code = 10, .group = "239.1.2.4"};
	const struct query some = {
	    .version = 3, .code = 10, .group = "232.1.1.1", .sources = {"10.9.8.6", "10.9.8.7"}};
	const struct query none = {
	    .version = 3, .code = 10, .group = "232.1.1.1", .sources = {"10.9.8.6"}};
	const struct query of_any = {
	    .version = 3, .code = 10, .group = "239.1.2.3", .sources = {"10.1.1.1", "10.1.1.2"}};
	struct station *to = settled(two_flows, 2, 0);
	const uint8_t *body;
	uint32_t length;

	(void)state;
	ask(to, &other, 0);
	ask(to, &none, 0);
	run_until(to, to->now_ns + 2 * S);
	assert_int_equal(to->count, 0);
	ask(to, &any, 0);
	run_until(to, to->now_ns + 2 * S);
	assert_int_equal(to->count, 1);
	body = body_of(to, 0, &length);
	assert_int_equal(length, 16);
	assert_memory_equal(body + 4, "\0\0\0\1\2\0\0\0\xef\1\2\3", 12);
	ask(to, &some, 0);
	run_until(to, to->now_ns + 2 * S);
	assert_int_equal(to->count, 2);
	body = body_of(to, 1, &length);
	assert_int_equal(length, 20);
	assert_memory_equal(body + 4, "\0\0\0\1\1\0\0\1\xe8\1\1\1\x0a\x09\x08\x07", 16);
	ask(to, &of_any, 0);
	run_until(to, to->now_ns + 2 * S);
	assert_int_equal(to->count, 3);
	body = body_of(to, 2, &length);
	assert_int_equal(length, 24);
	assert_memory_equal(body + 4, "\0\0\0\1\1\0\0\2\xef\1\2\3\x0a\1\1\1\x0a\1\1\2", 20);
}

/* Section 5.2: pending answers are merged, and a general one that comes first says it all. */
static void test_merged_queries_v3(void **state)
{
	const struct query first = {
	    .version = 3, .code = 100, .group = "239.1.2.3", .sources = {"10.1.1.1"}};
	const struct query second = {
	    .version = 3, .code = 100, .group = "239.1.2.3", .sources = {"10.1.1.1", "10.1.1.2"}};
	const struct query whole = {.version = 3, .code = 100, .group = "239.1.2.3"};
	const struct query general = {.version = 3, .code = 1};
	struct query many = {.version = 3, .code = 10, .group = "239.1.2.3"};
	char texts[40][16];
	struct station *to = settled(two_flows, 1, 0);
	const uint8_t *body;
	uint32_t length;

	(void)state;
	ask(to, &first, 0);
	ask(to, &second, 0);
	run_until(to, to->now_ns + 11 * S);
	assert_int_equal(to->count, 1);
	body = body_of(to, 0, &length);
	assert_memory_equal(body + 6, "\0\1\1\0\0\2\xef\1\2\3\x0a\1\1\1\x0a\1\1\2", 18);
	to->count = 0;
	ask(to, &whole, 0);
	ask(to, &second, 0); /* the whole group is to be reported already */
	run_until(to, to->now_ns + 11 * S);
	assert_int_equal(to->count, 1);
	body = body_of(to, 0, &length);
	assert_memory_equal(body + 6, "\0\1\2\0\0\0\xef\1\2\3", 10);
	to->count = 0;
	ask(to, &general, 0); /* within 100 ms */
	ask(to, &whole, 0);   /* within 10 s: later, with this seed */
	run_until(to, to->now_ns + 11 * S);
	assert_int_equal(to->count, 1);
	to->count = 0;
	for (int i = 0; i < 40; i++) {
		snprintf(texts[i], sizeof(texts[i]), "10.2.0.%d", i);
		many.sources[i] = texts[i];
	}
	ask(to, &many, 0); /* more than are kept: the whole state */
	run_until(to, to->now_ns + 11 * S);
	assert_int_equal(to->count, 1);
	body = body_of(to, 0, &length);
	assert_memory_equal(body + 6, "\0\1\2\0\0\0\xef\1\2\3", 10);
}

/* Codes from 128 on are floating point: 0xff is 31 << 10 tenths, 3174.4 s. */
static void test_codes(void **state)
{
	const struct query query = {.version = 3, .code = 0xff};
	struct station *to = settled(two_flows, 1, 0);
	uint64_t latest = 0;

	(void)state;
	for (int i = 0; i < 64; i++) {
		uint64_t asked_ns = to->now_ns;

		to->count = 0;
		ask(to, &query, 0);
		run_until(to, asked_ns + 3175 * S);
		assert_int_equal(to->count, 1);
		if (to->sent[0].time_ns - asked_ns > latest)
			latest = to->sent[0].time_ns - asked_ns;
	}
	assert_true(latest > 2900 * S && latest <= 31744 * 100 * MS);
}

static void test_many_groups(void **state)
{
	static struct mdfh_flow flows[MDFH_BYPASS_FLOWS_MAX];
	static char text[2][MDFH_BYPASS_FLOWS_MAX][32];
	struct station *to;
	uint32_t seen = 0;

	(void)state;
	for (int i = 0; i < MDFH_BYPASS_FLOWS_MAX; i++) {
		snprintf(text[0][i], 32, "ff3e::%x", i + 1);
		snprintf(text[1][i], 32, "2001:db8::%x", i + 1);
		flows[i] = (struct mdfh_flow){.group = text[0][i], .source = text[1][i]};
	}
	to = open_version(flows, MDFH_BYPASS_FLOWS_MAX, 0);
	run_until(to, START);
	assert_int_equal(to->count, 2); /* 36 bytes a record: 40 in the first, 24 in the second */
	for (uint32_t i = 0; i < to->count; i++) {
		uint32_t length;
		const uint8_t *body = body_of(to, i, &length);
		uint32_t records = mdfh_load_be16(body + 6);

		assert_int_equal(length, 8 + records * 36);
		assert_true(to->sent[i].length <= 14 + MDFH_IGMP_MTU);
		for (uint32_t r = 0; r < records; r++)
			assert_int_equal(body[8 + r * 36 + 19], ++seen);
	}
	assert_int_equal(seen, MDFH_BYPASS_FLOWS_MAX);
}

/* Sources of one group stand in one record; any source swallows them. */
static void test_union(void **state)
{
	static const struct mdfh_flow flows[] = {
	    {.group = "239.1.1.1", .source = "10.0.0.1", .port = 1},
	    {.group = "239.1.1.1", .source = "10.0.0.2", .port = 1},
	    {.group = "239.1.1.1", .source = "10.0.0.1", .port = 2},
	    {.group = "239.1.1.2", .source = "10.0.0.1", .port = 1},
	    {.group = "239.1.1.2", .port = 2},
	    {.group = "10.0.0.9", .port = 2},
	    {.port = 3},
	    {.group = "224.0.0.1", .port = 4},
	};
	struct station *to = open_version(flows, 8, 0);
	const uint8_t *body;
	uint32_t length;

	(void)state;
	run_until(to, START);
	assert_int_equal(to->count, 1);
	body = body_of(to, 0, &length);
	assert_int_equal(length, 8 + 16 + 8);
	assert_memory_equal(
	    body + 6, "\0\2\5\0\0\2\xef\1\1\1\x0a\0\0\1\x0a\0\0\2\4\0\0\0\xef\1\1\2", 26);
}

/* Links ------------------------------------------------------------------ */

static void test_vlans(void **state)
{
	static const struct mdfh_flow flows[] = {
	    {.group = "239.1.2.3", .vlan = 142},
	    {.group = "239.1.2.3", .vlan = 143},
	    {.group = "239.9.9.9"},
	};
	const struct query old = {.version = 2, .code = 10, .vlan = 143};
	const struct query plain = {.version = 3, .code = 10};
	const struct query foreign = {.version = 3, .code = 10, .vlan = 7};
	struct station *to = open_version(flows, 3, 0);
	uint32_t length;

	(void)state;
	run_until(to, START);
	assert_int_equal(to->count, 3);
	expect_bytes(to, 0,
	    "01005e000016 02aabbccddee 8100008e 0800 46c0 0028 0000 4000 0102 f9f0"
	    "0a000009 e0000016 94040000 2200 e8f9 0000 0001 04000000 ef010203");
	run_until(to, START + 10 * S);
	to->count = 0;
	ask(to, &old, 0);
	run_until(to, to->now_ns + 2 * S);
	assert_int_equal(to->count, 1);
	assert_memory_equal(to->sent[0].bytes + 12, "\x81\x00\x00\x8f", 4);
	assert_int_equal(body_of(to, 0, &length)[0], 0x16);
	assert_int_equal(to->igmp.links[0].version, 3);
	assert_int_equal(to->igmp.links[1].version, 2);
	ask(to, &plain, 0);
	ask(to, &foreign, 0);
	run_until(to, to->now_ns + 2 * S);
	assert_int_equal(to->count, 2);
	assert_memory_equal(to->sent[1].bytes + 12, "\x08\x00", 2);
	assert_int_equal(to->igmp.stats.ignored, 1);
}

static void test_mld(void **state)
{
	static const struct mdfh_flow flows[] = {
	    {.group = "ff15::1:2", .port = 5000},
	    {.group = "ff3e::8", .source = "2001:db8::1", .port = 5000},
	    {.group = "ff02::1"},
	    {.group = "ff01::5"},
	};
	const struct query general = {.version = 3, .code6 = 1000};
	const struct query some = {.version = 3,
	    .code6 = 1000,
	    .group = "ff3e::8",
	    .sources = {"2001:db8::1", "2001:db8::2"}};
	const struct query old = {.version = 2, .code6 = 1000};
	const struct query report = {.version = 2, .type = 131, .group = "ff15::1:2"};
	struct station *to = open_version(flows, 4, 0);
	uint64_t asked_ns;
	const uint8_t *body;
	uint32_t length;

	(void)state;
	run_until(to, START);
	assert_int_equal(to->count, 1);
	expect_bytes(to, 0,
	    "333300000016 02aabbccddee 86dd 60000000 0048 0001"
	    "fe800000000000000000000000000009 ff020000000000000000000000000016 3a00050200000100"
	    "8f00 3dc5 0000 0002 04000000 ff150000000000000000000000010002"
	    "05000001 ff3e0000000000000000000000000008 20010db8000000000000000000000001");
	run_until(to, START + 10 * S);
	to->count = 0;
	asked_ns = to->now_ns;
	ask(to, &general, 1);
	run_until(to, asked_ns + S);
	assert_int_equal(to->count, 1);
	body = body_of(to, 0, &length);
	assert_int_equal(body[0], 143);
	assert_int_equal(body[8], 2);
	assert_int_equal(body[28], 1);
	ask(to, &some, 1);
	run_until(to, to->now_ns + S);
	assert_int_equal(to->count, 2);
	body = body_of(to, 1, &length);
	assert_int_equal(length, 8 + 20 + 16);
	assert_int_equal(body[43], 1);
	/* MLDv1: reports to the group, suppression, done to all routers. */
	to->count = 0;
	ask(to, &old, 1);
	ask(to, &report, 1);
	run_until(to, to->now_ns + S);
	assert_int_equal(to->count, 1);
	body = body_of(to, 0, &length);
	assert_int_equal(length, 24);
	assert_int_equal(body[0], 131);
	assert_memory_equal(body + 8, to->sent[0].bytes + 14 + 24, 16);
	mdfh_igmp_leave(&to->igmp, to->now_ns);
	run_until(to, to->now_ns + S);
	assert_int_equal(to->count, 2);
	body = body_of(to, 1, &length);
	assert_int_equal(body[0], 132);
	assert_memory_equal(to->sent[1].bytes, "\x33\x33\0\0\0\2", 6);
}

/* Unsound and foreign frames --------------------------------------------- */

static void test_ignored(void **state)
{
	static const struct mdfh_flow both[] = {{.group = "239.1.2.3"}, {.group = "ff15::1"}};
	static const struct {
		int is_ipv6;
		struct query query;
	} cases[] = {
	    {0, {.version = 3, .code = 10, .damage = 1}},
	    {0, {.version = 3, .code = 10, .source_count = 9, .group = "239.1.2.3"}},
	    {0, {.version = 3,
		    .code = 10,
		    .sources = {"10.0.0.1"}}}, /* general, yet with sources */
	    {0, {.version = 2, .code = 10, .group = "10.1.1.1"}},
	    {0, {.version = 2, .code = 10, .group = "239.1.2.3", .to = "239.1.2.4"}},
	    {0, {.version = 2, .type = 0x16, .group = "239.1.2.3", .to = "239.1.2.4"}},
	    {0, {.version = 2, .type = 0x17, .group = "239.1.2.3", .to = "224.0.0.2"}},
	    {0, {.version = 2, .type = 0x13}}, /* DVMRP */
	    {1, {.version = 3, .code6 = 10, .damage = 1}},
	    {1, {.version = 3, .code6 = 10, .no_alert = 1}},
	    {1, {.version = 3, .code6 = 10, .hops = 2}},
	    {1, {.version = 3, .code6 = 10, .source_count = 1, .group = "ff15::1"}},
	    {1, {.version = 2, .type = 132, .group = "ff15::1", .to = "ff02::2"}},
	};
	const struct query echo = {.version = 2, .type = 128};
	const struct query good = {.version = 3, .code = 10};
	static uint8_t frame[MDFH_IGMP_FRAME_MAX];
	struct station *to = settled(both, 2, 0);
	uint32_t length;

	(void)state;
	for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ask(to, &cases[i].query, cases[i].is_ipv6);
		assert_int_equal(to->igmp.stats.ignored, i + 1);
	}
	run_until(to, to->now_ns + 20 * S);
	assert_int_equal(to->count, 0);
	assert_int_equal(to->igmp.stats.queries, 0);
	assert_int_equal(input(to, frame, pack_query(frame, &echo, 1)), 0); /* not MLD at all */
	/* Our own, brought back. */
	length = pack_query(frame, &good, 0);
	memcpy(frame + 6, our_mac, 6);
	assert_int_equal(input(to, frame, length), 1);
	assert_int_equal(to->igmp.stats.queries, 0);
	/* Cut anywhere, it is no query. */
	pack_query(frame, &good, 0);
	for (uint32_t cut = 38; cut < length; cut++) {
		struct mdfh_frame parsed;

		mdfh_frame_parse(MDFH_LINK_ETHERNET, frame, cut, length, &parsed);
		mdfh_igmp_input(&to->igmp, frame, cut, &parsed, to->now_ns);
	}
	assert_int_equal(to->igmp.stats.queries, 0);
}

static void test_refused(void **state)
{
	static const struct mdfh_flow bad_group[] = {{.group = "239.1.1"}};
	static const struct mdfh_flow bad_source[] = {{.group = "239.1.1.1", .source = "::1"}};
	struct mdfh_igmp_config with = config;
	struct station *to = open_version(two_flows, 2, 0);

	(void)state;
	to->refuse = 1;
	run_until(to, START + 5 * S);
	assert_int_equal(to->igmp.stats.not_sent, 2);
	assert_int_equal(to->igmp.stats.reports_sent, 0);
	assert_int_equal(mdfh_igmp_init(&to->igmp, &config, bad_group, 1, 0), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "239.1.1"));
	assert_int_equal(mdfh_igmp_init(&to->igmp, &config, bad_source, 1, 0), -EINVAL);
	assert_int_equal(mdfh_igmp_init(&to->igmp, &config, two_flows, 65, 0), -EINVAL);
	with.version = 4;
	assert_int_equal(mdfh_igmp_init(&to->igmp, &with, two_flows, 2, 0), -EINVAL);
	with.version = 3;
	with.robustness = 8;
	assert_int_equal(mdfh_igmp_init(&to->igmp, &with, two_flows, 2, 0), -EINVAL);
	assert_int_equal(mdfh_igmp_init(&to->igmp, &config, NULL, 0, 0), 0);
	assert_true(mdfh_igmp_next_ns(&to->igmp) == UINT64_MAX);
}

/* A second opinion -------------------------------------------------------- */

static void add_to(struct mdfh_capture_writer *writer, const struct station *from)
{
	for (uint32_t i = 0; i < from->count; i++)
		assert_int_equal(
		    mdfh_capture_write(writer, from->sent[i].time_ns, from->sent[i].bytes,
			from->sent[i].length, from->sent[i].length),
		    0);
}

/* Everything that is sent, shown to Wireshark's dissectors: no complaint, every checksum good. */
static void test_dissector(void **state)
{
	static const struct mdfh_flow flows[] = {{.group = "239.1.2.3"},
	    {.group = "232.1.1.1", .source = "10.9.8.7"}, {.group = "ff15::1"},
	    {.group = "ff3e::8", .source = "2001:db8::1"}, {.group = "239.1.2.3", .vlan = 5}};
	char path[] = "/tmp/test_igmp_XXXXXX";
	struct mdfh_capture_writer *writer;
	char command[256], line[256];
	int fd, lines = 0;
	uint32_t sent = 0;
	FILE *tshark;

	(void)state;
	if (system("command -v tshark > /dev/null") != 0) {
		print_message("no tshark: its opinion is not asked\n");
		skip();
	}
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(mdfh_capture_writer_open(path, MDFH_LINK_ETHERNET, &writer), 0);
	for (uint8_t version = 1; version <= 3; version++) {
		struct station *to = open_version(flows, 5, version);

		run_until(to, START + 20 * S);
		mdfh_igmp_leave(&to->igmp, to->now_ns);
		run_until(to, START + 40 * S);
		add_to(writer, to);
		sent += to->count;
	}
	assert_int_equal(mdfh_capture_writer_close(writer), 0);
	snprintf(command, sizeof(command),
	    "tshark -n -o ip.check_checksum:TRUE -r %s -T fields -e igmp.checksum.status "
	    "-e icmpv6.checksum.status -e ip.checksum.status -e ipv6.hopopts.nxt "
	    "-e _ws.expert 2>/dev/null",
	    path);
	tshark = popen(command, "r");
	assert_non_null(tshark);
	while (fgets(line, sizeof(line), tshark)) {
		lines++;
		if (strcmp(line, "1\t\t1\t\t\n") != 0 && strcmp(line, "\t1\t\t58\t\n") != 0)
			fail_msg("frame %d: %s", lines, line);
	}
	assert_int_equal(pclose(tshark), 0);
	assert_int_equal(lines, sent);
	assert_true(sent > 20);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_join_v3),
	    cmocka_unit_test(test_leave_v3),
	    cmocka_unit_test(test_general_query_v3),
	    cmocka_unit_test(test_group_query_v3),
	    cmocka_unit_test(test_merged_queries_v3),
	    cmocka_unit_test(test_codes),
	    cmocka_unit_test(test_many_groups),
	    cmocka_unit_test(test_union),
	    cmocka_unit_test(test_vlans),
	    cmocka_unit_test(test_mld),
	    cmocka_unit_test(test_ignored),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_dissector),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
