/* test_frame_path.c - the short way of plain frames and the way of all frames give each the same fate. */
#include "core/random.h"
#include "mdfh/frame.h"
#include "net/frame_path.h"
#include "net/net_test.h"

enum { FRAMES = 200000, FRAME_MAX = 256 };

static const char *const groups[] = {
    "239.1.1.1", "239.1.1.2", "239.129.1.1", "198.18.0.1", "ff05::1", NULL};
static const char *const sources[] = {"198.18.0.2", "198.18.0.3", "fd00::2"};

static void make_flows(uint64_t *random, struct mdfh_flow_table *table)
{
	struct mdfh_flow flows[8] = {0};
	uint32_t count = mdfh_random_below(random, 9);

	for (uint32_t i = 0; i < count; i++) {
		flows[i].group = groups[mdfh_random_below(random, 6)];
		flows[i].source =
		    mdfh_random_below(random, 3) ? NULL : sources[mdfh_random_below(random, 3)];
		flows[i].port =
		    (uint16_t)(mdfh_random_below(random, 4) ? 5000 + mdfh_random_below(random, 3)
							    : 0);
		flows[i].vlan = (uint16_t)(mdfh_random_below(random, 4) ? 0 : 7);
	}
	assert_ok(mdfh_flow_table_compile(table, flows, count));
}

/* A frame that is sound, or one with a byte changed, a bit set among the fragment's or a length of its own. */
static uint32_t make_frame(uint64_t *random, uint8_t *bytes)
{
	struct mdfh_frame_header header = {.source_port = 4000,
	    .destination_port = (uint16_t)(5000 + mdfh_random_below(random, 3)),
	    .vlan = {7},
	    .vlan_count = (uint8_t)(mdfh_random_below(random, 8) == 0)};
	uint32_t to = mdfh_random_below(random, 5);
	static const uint8_t payload[FRAME_MAX];
	int length;

	assert_ok(mdfh_frame_address(groups[to], header.destination));
	assert_ok(
	    mdfh_frame_address(sources[to == 4 ? 2 : mdfh_random_below(random, 2)], header.source));
	length =
	    mdfh_frame_build(&header, payload, mdfh_random_below(random, 100), bytes, FRAME_MAX);
	assert_ok(length);
	switch (mdfh_random_below(random, 4)) {
	case 0:
		bytes[mdfh_random_below(random, (uint32_t)length)] =
		    (uint8_t)mdfh_random_next(random);
		break;
	case 1: /* where the lengths and the fragment's bits are */
		bytes[14 + mdfh_random_below(random, 28)] ^=
		    (uint8_t)(1U << mdfh_random_below(random, 8));
		break;
	case 2: /* cut short, or padded */
		return mdfh_random_below(random, (uint32_t)length + 20);
	default:
		break;
	}
	return (uint32_t)length;
}

/* What mdfh_frame_path would do without the short way. */
static int path_in_full(struct mdfh_bypass_stats *stats, const struct mdfh_flow_table *flows,
    const uint8_t *bytes, uint32_t length, struct mdfh_frame *frame, uint16_t *flow)
{
	enum mdfh_frame_error error =
	    mdfh_frame_parse(MDFH_LINK_ETHERNET, bytes, length, length, frame);

	if (!error && frame->protocol != MDFH_PROTOCOL_UDP)
		error = MDFH_FRAME_NOT_UDP;
	if (error) {
		stats->rx_malformed++;
		stats->malformed[error]++;
		return 0;
	}
	*flow = mdfh_flow_find(flows, frame);
	if (*flow != MDFH_FLOW_NONE || !flows->count)
		return 1;
	stats->rx_filtered++;
	return 0;
}

static void both_ways_agree(void **state)
{
	uint64_t random = 20261129;
	struct mdfh_flow_table flows;
	struct mdfh_bypass_stats stats[2] = {{0}, {0}};
	uint32_t plain = 0, accepted = 0;

	(void)state;
	for (uint32_t i = 0; i < FRAMES; i++) {
		uint8_t bytes[FRAME_MAX] = {0};
		struct mdfh_frame frames[2];
		uint16_t found[2] = {0, 0}, flow;
		uint32_t length;
		int rc[2];

		if (i % 100 == 0)
			make_flows(&random, &flows);
		length = make_frame(&random, bytes);
		plain += mdfh_frame_path_plain(&flows, bytes, length, &flow) >= 0;
		rc[0] = mdfh_frame_path(&stats[0], &flows, MDFH_LINK_ETHERNET, bytes, length,
		    length, &frames[0], &found[0]);
		rc[1] = path_in_full(&stats[1], &flows, bytes, length, &frames[1], &found[1]);
		assert_int_equal(rc[0], rc[1]);
		assert_memory_equal(&stats[0], &stats[1], sizeof(stats[0]));
		if (!rc[0])
			continue;
		accepted++;
		assert_int_equal(found[0], found[1]);
		assert_int_equal(frames[0].protocol, frames[1].protocol);
		assert_int_equal(frames[0].ip_version, frames[1].ip_version);
		assert_int_equal(frames[0].ip_offset, frames[1].ip_offset);
		assert_int_equal(frames[0].payload_offset, frames[1].payload_offset);
		assert_int_equal(frames[0].payload_length, frames[1].payload_length);
		assert_int_equal(frames[0].truncated, frames[1].truncated);
	}
	/* Neither way is idle. */
	assert_in_range(plain, FRAMES / 4, FRAMES * 3 / 4);
	assert_in_range(accepted, FRAMES / 10, FRAMES);
	assert_true(stats[0].rx_filtered > FRAMES / 20 && stats[0].rx_malformed > FRAMES / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(both_ways_agree)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
