/* test_ef_vi_events.c - backend ef_vi on the software device: every kind of event, the odd
 * ones and the ones that mean trouble. */
#include "net/ef_vi_test.h"

static const struct {
	int discard;
	unsigned flags;
	const char *counter;
} discards[] = {
    {EF_EVENT_RX_DISCARD_CSUM_BAD, EF_VI_DISCARD_RX_L4_CSUM_ERR, "discarded: checksum"},
    {EF_EVENT_RX_DISCARD_CSUM_BAD, EF_VI_DISCARD_RX_L3_CSUM_ERR, "discarded: checksum"},
    {EF_EVENT_RX_DISCARD_INNER_CSUM_BAD, EF_VI_DISCARD_RX_INNER_L4_CSUM_ERR,
	"discarded: inner checksum"},
    {EF_EVENT_RX_DISCARD_MCAST_MISMATCH, 0, "discarded: multicast mismatch"},
    {EF_EVENT_RX_DISCARD_CRC_BAD, EF_VI_DISCARD_RX_ETH_FCS_ERR, "discarded: CRC"},
    {EF_EVENT_RX_DISCARD_TRUNC, EF_VI_DISCARD_RX_ETH_LEN_ERR, "discarded: truncated"},
    {EF_EVENT_RX_DISCARD_RIGHTS, 0, "discarded: no rights"},
    {EF_EVENT_RX_DISCARD_EV_ERROR, 0, "discarded: event overrun"},
    {EF_EVENT_RX_DISCARD_OTHER, EF_VI_DISCARD_RX_L4_CLASS_OTHER, "discarded: other"},
    {12345, 0, "discarded: other"}, /* one that nobody has heard of */
};

/* Every reason, between good frames; with single, merged and counted events, and by reference. */
static void discard_each(const char *more, int by_flags)
{
	struct mdfh_bypass *port = open_ef_vi((struct mdfh_bypass_config){0}, more);
	uint64_t dropped = 0, filtered = 0;

	for (size_t i = 0; i < sizeof(discards) / sizeof(discards[0]); i++) {
		uint64_t before = counter_of(port, discards[i].counter);

		if (by_flags && !discards[i].flags)
			continue;
		arrive(1, (struct sending){0});
		arrive(99, (struct sending){.discard = by_flags ? 0 : discards[i].discard,
			       .discard_flags = by_flags ? discards[i].flags : 0,
			       .is_damaged = 1});
		arrive(2, (struct sending){0});
		expect(port, 1, 2);
		assert_int_equal(counter_of(port, discards[i].counter), before + 1);
		filtered += discards[i].discard == EF_EVENT_RX_DISCARD_MCAST_MISMATCH;
		dropped += discards[i].discard != EF_EVENT_RX_DISCARD_MCAST_MISMATCH;
	}
	assert_int_equal(stats_of(port).rx_dropped_nic, dropped);
	assert_int_equal(stats_of(port).rx_filtered, filtered);
	close_ef_vi(port);
}

static void discards_for_every_reason(void **state)
{
	(void)state;
	discard_each(NULL, 0);
	discard_each(",event_merge=on", 0);
	efdev_config()->is_counted = 1;
	discard_each(",event_merge=on", 1);
	efdev_config()->is_counted = 0;
	efdev_config()->is_efct = 1;
	discard_each(NULL, 1);
}

/* The NIC is believed only after a look: of what it calls wrong, what is not there, or right, is
 * good. */
static void looks_at_sums_called_wrong(void **state)
{
	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		int by_flags = kind > 1;
		const struct sending good = {.discard = by_flags ? 0 : EF_EVENT_RX_DISCARD_CSUM_BAD,
		    .discard_flags = by_flags ? EF_VI_DISCARD_RX_L4_CSUM_ERR : 0};
		struct sending no_sum = good, damaged = good;
		struct mdfh_bypass *port;

		efdev_config()->is_counted = kind == 2;
		efdev_config()->is_efct = kind == 3;
		port = open_ef_vi((struct mdfh_bypass_config){0},
		    kind == 1 || kind == 2 ? ",event_merge=on" : NULL);
		no_sum.has_no_sum = 1;
		damaged.is_damaged = 1;
		arrive(0, good);
		arrive(1, no_sum);
		arrive(9, damaged);
		arrive(2, good);
		expect(port, 0, 3);
		assert_int_equal(counter_of(port, "checksums right after all"), 3);
		assert_int_equal(counter_of(port, "discarded: checksum"), 1);
		assert_int_equal(stats_of(port).rx_dropped_nic, 1);
		if (kind < 2) { /* of several buffers, of which not all are kept */
			damaged.length = 6000;
			no_sum.length = 6000;
			arrive(9, damaged);
			arrive(9, no_sum);
			expect(port, 0, 0);
			assert_int_equal(counter_of(port, "discarded: checksum"), 3);
		}
		close_ef_vi(port);
	}
}

/* A recv may want fewer packets than an event has. */
static void unbundles_merged_events(void **state)
{
	(void)state;
	for (int counted = 0; counted < 2; counted++) {
		struct mdfh_bypass *port;
		struct mdfh_packet packets[64];

		efdev_config()->is_counted = counted;
		port = open_ef_vi((struct mdfh_bypass_config){0}, ",event_merge=on");
		assert_non_null(strstr(mdfh_bypass_capabilities(port)->mode, "merged events"));
		for (uint32_t i = 0; i < 100; i++)
			arrive(i, (struct sending){.length = CUT + i, .time_ns = 1000 + i});
		for (uint32_t i = 0; i < 100;) {
			int want = 1 + (int)(i % 7), n = mdfh_bypass_recv(port, packets, want);

			assert_in_range(n, 1, want);
			for (int k = 0; k < n; k++, i++) {
				assert_int_equal(number_of(&packets[k]), i);
				assert_int_equal(packets[k].length, CUT + i);
				assert_int_equal(packets[k].receive_ns, 1000 + i);
			}
			mdfh_bypass_release(port, packets, n);
		}
		assert_int_equal(mdfh_bypass_recv(port, packets, 64), 0);
		close_ef_vi(port);
	}
}

static void takes_completions_in_any_order(void **state)
{
	(void)state;
	efdev_config()->is_out_of_order = 1;
	for (int merged = 0; merged < 2; merged++) {
		struct mdfh_bypass *port =
		    open_ef_vi((struct mdfh_bypass_config){0}, merged ? ",event_merge=on" : NULL);

		for (uint32_t round = 0; round < 30; round++) {
			for (uint32_t i = 0; i < 77; i++)
				arrive(round * 77 + i, (struct sending){0});
			expect(port, round * 77, 77);
		}
		close_ef_vi(port);
	}
}

/* The NIC writes as bytes come in, and knows only at the end whether they were right. */
static void waits_for_the_event(void **state)
{
	struct mdfh_bypass *port = open_ef_vi((struct mdfh_bypass_config){0}, NULL);
	struct mdfh_packet packet;
	struct efdev_frame frame = make(7, (struct sending){0});

	(void)state;
	efdev_begin(&frame);
	for (int i = 0; i < 10; i++)
		assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 0);
	efdev_end(EF_EVENT_RX_DISCARD_CRC_BAD);
	for (int i = 0; i < 10; i++)
		assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 0);
	assert_int_equal(counter_of(port, "discarded: CRC"), 1);
	frame = make(8, (struct sending){0});
	efdev_begin(&frame);
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 0);
	efdev_end(0);
	expect(port, 8, 1);
	close_ef_vi(port);
}

/* Frames longer than a buffer, and longer than the caller wants. */
static void puts_long_frames_together(void **state)
{
	(void)state;
	for (int kind = 0; kind < 3; kind++) {
		struct mdfh_bypass *port;
		struct mdfh_packet packets[16];

		efdev_config()->is_counted = kind == 2;
		port = open_ef_vi((struct mdfh_bypass_config){.frame_size = 9000},
		    kind ? ",event_merge=on" : NULL);

		for (uint32_t i = 0; i < 12; i++)
			arrive(i, (struct sending){.length = 500 + 900 * i, .time_ns = 5000 + i});
		assert_int_equal(take_all(port, packets, 16), 12);
		for (uint32_t i = 0; i < 12; i++) {
			uint32_t length = 500 + 900 * i;

			assert_int_equal(number_of(&packets[i]), i);
			assert_int_equal(packets[i].receive_ns, 5000 + i);
			assert_int_equal(packets[i].length, length < 9000 ? length : 9000);
			assert_int_equal(packets[i].flags & MDFH_PACKET_TRUNCATED,
			    length > 9000 ? MDFH_PACKET_TRUNCATED : 0);
			assert_int_equal(packets[i].flags & MDFH_PACKET_COPIED,
			    length > 4096 - 42 - 16 ? MDFH_PACKET_COPIED : 0);
			for (uint32_t at = 4; at < packets[i].length - 4; at++)
				assert_int_equal(packets[i].data[at], i);
		}
		mdfh_bypass_release(port, packets, 12);

		/* One in the middle is damaged, and one ends for want of buffers. */
		arrive(1, (struct sending){.length = 6000});
		arrive(9, (struct sending){.length = 6000,
			      .discard = EF_EVENT_RX_DISCARD_CRC_BAD,
			      .discard_flags = EF_VI_DISCARD_RX_ETH_FCS_ERR});
		arrive(2, (struct sending){.length = 6000});
		arrive(3, (struct sending){0});
		expect(port, 1, 3);
		assert_int_equal(counter_of(port, "discarded: CRC"), 1);
		efdev_event_plain(EF_EVENT_TYPE_RX_NO_DESC_TRUNC);
		arrive(4, (struct sending){.length = 6000});
		expect(port, 4, 1);
		assert_int_equal(counter_of(port, "discarded: no buffers for its end"), 1);
		assert_int_equal(stats_of(port).rx_dropped_nic, 2);
		/* Every buffer comes round. */
		for (uint32_t i = 0; i < 1000; i++) {
			assert_int_equal(arrive(i, (struct sending){.length = 6000}), 1);
			expect(port, i, 1);
		}
		close_ef_vi(port);
	}
}

/* The queue has lost events, or the NIC: nothing is true any more, so the port is dead. */
static void dies_of_overflow_and_reset(void **state)
{
	struct mdfh_packet packets[64];
	struct mdfh_bypass *port;
	int got = 0, n;

	(void)state;
	efdev_config()->events_max = 100;
	port = open_ef_vi((struct mdfh_bypass_config){0}, NULL);
	for (uint32_t i = 0; i < 100; i++)
		arrive(i, (struct sending){0});
	expect(port, 0, 100);
	for (uint32_t i = 0; i < 101; i++)
		arrive(i, (struct sending){0});
	while ((n = mdfh_bypass_recv(port, packets, 64)) > 0)
		got += n;
	assert_int_equal(got, 0);
	assert_int_equal(n, -EIO);
	assert_error("event queue of lo overflowed");
	assert_int_equal(mdfh_bypass_recv(port, packets, 64), -EIO);
	assert_int_equal(counter_of(port, "event queue overflows"), 1);
	close_ef_vi(port);

	efdev_config()->events_max = 0;
	port = open_ef_vi((struct mdfh_bypass_config){0}, NULL);
	arrive(1, (struct sending){0});
	efdev_event_plain(EF_EVENT_TYPE_RESET);
	arrive(2, (struct sending){0});
	assert_int_equal(mdfh_bypass_recv(port, packets, 64), 1); /* what came before is good */
	assert_int_equal(number_of(&packets[0]), 1);
	assert_int_equal(mdfh_bypass_recv(port, packets, 64), -EIO);
	assert_error("lo was reset");
	mdfh_bypass_release(port, packets, 1);
	close_ef_vi(port);
}

/* What a library in order never says. */
static void survives_senseless_events(void **state)
{
	struct mdfh_bypass *port = open_ef_vi((struct mdfh_bypass_config){0}, NULL);
	struct mdfh_packet packet;

	(void)state;
	efdev_event_plain(EF_EVENT_TYPE_SW);
	efdev_event_plain(EF_EVENT_TYPE_TX);
	efdev_event_plain(4711);
	efdev_event_rx(UINT32_MAX, 100, EF_EVENT_FLAG_SOP);
	efdev_event_rx(1000000, 100, EF_EVENT_FLAG_SOP);
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 0);
	assert_int_equal(counter_of(port, "unexpected events"), 3);
	assert_int_equal(counter_of(port, "completions of unknown buffers"), 2);
	/* A buffer that the NIC has given back already. */
	arrive(1, (struct sending){0});
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
	efdev_event_rx((uint32_t)packet.cookie, 100, EF_EVENT_FLAG_SOP);
	arrive(2, (struct sending){0});
	expect(port, 2, 1);
	assert_int_equal(number_of(&packet), 1); /* is still the caller's */
	assert_int_equal(counter_of(port, "completions of unknown buffers"), 3);
	mdfh_bypass_release(port, &packet, 1);
	/* The middle of a frame without its beginning; lengths that cannot be. */
	arrive(3, (struct sending){0});
	expect(port, 3, 1);
	assert_int_equal(counter_of(port, "discarded: incomplete"), 0);
	close_ef_vi(port);
}

/* Of a frame of several buffers one is unknown, the first or the last: what is left is no frame,
 * though that memory still has the one before. */
static void hands_out_no_frame_with_a_hole(void **state)
{
	struct mdfh_bypass *port =
	    open_ef_vi((struct mdfh_bypass_config){.frame_size = 9000}, NULL);
	struct mdfh_packet packet;

	(void)state;
	arrive(1, (struct sending){.length = 6000});
	expect(port, 1, 1);
	efdev_event_rx(1000000, 4096, EF_EVENT_FLAG_SOP | EF_EVENT_FLAG_CONT);
	efdev_event_rx(500, 5, 0);
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 0);
	assert_int_equal(counter_of(port, "discarded: incomplete"), 1);
	efdev_event_rx(501, 4096, EF_EVENT_FLAG_SOP | EF_EVENT_FLAG_CONT);
	efdev_event_rx(1000000, 5000, 0);
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 0);
	assert_int_equal(counter_of(port, "discarded: incomplete"), 2);
	/* The next frame comes before the end of this one, which comes too late. */
	efdev_event_rx(502, 4096, EF_EVENT_FLAG_SOP | EF_EVENT_FLAG_CONT);
	arrive(2, (struct sending){0});
	efdev_event_rx(503, 4196, 0);
	expect(port, 2, 1);
	assert_int_equal(counter_of(port, "completions of unknown buffers"), 2);
	assert_int_equal(counter_of(port, "discarded: incomplete"), 4);
	assert_int_equal(stats_of(port).rx_dropped_nic, 4);
	assert_int_equal(stats_of(port).rx_malformed, 0);
	arrive(3, (struct sending){.length = 6000});
	expect(port, 3, 1);
	close_ef_vi(port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(discards_for_every_reason),
	    TEST(looks_at_sums_called_wrong),
	    TEST(unbundles_merged_events),
	    TEST(takes_completions_in_any_order),
	    TEST(waits_for_the_event),
	    TEST(puts_long_frames_together),
	    TEST(dies_of_overflow_and_reset),
	    TEST(survives_senseless_events),
	    TEST(hands_out_no_frame_with_a_hole),
	};
	int rc = enter();

	return rc ? rc : cmocka_run_group_tests(tests, NULL, NULL);
}
