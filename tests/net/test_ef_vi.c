/* test_ef_vi.c - backend ef_vi on the software device, without a wire: every kind of event, the odd ones
 * and the ones that mean trouble; buffers and references that are held; times; filters; versions. */
#include <errno.h>

#include <etherfabric/ef_vi.h>

#include "ef_vi_device.h"
#include "mdfh/frame.h"
#include "net/udp_test.h"

enum { PORT = 26477, CUT = 64 };

static const struct mdfh_flow group = {.group = "239.1.1.1", .port = PORT};
static char library[PATH_MAX + 32];
static char options[PATH_MAX + 128];
static struct mdfh_bypass *left_open; /* by a test that failed */

/* A port ---------------------------------------------------------------------------------------- */

static struct mdfh_bypass_config filled(struct mdfh_bypass_config config, const char *more)
{
	snprintf(options, sizeof(options), "library=%s%s", library, more ? more : "");
	config.size = sizeof(config);
	config.backend = "ef_vi";
	config.backend_options = options;
	if (!config.interface)
		config.interface = "lo";
	if (!config.flows) {
		config.flows = &group;
		config.flow_count = 1;
	}
	if (!config.rx_ring_size)
		config.rx_ring_size = 512;
	return config;
}

static struct mdfh_bypass *open_ef_vi(struct mdfh_bypass_config config, const char *more)
{
	struct mdfh_bypass *port;

	config = filled(config, more);
	assert_ok(mdfh_bypass_open(&config, &port));
	left_open = port;
	return port;
}

static int try_ef_vi(struct mdfh_bypass_config config, const char *more)
{
	struct mdfh_bypass *port = NULL;
	int rc;

	config = filled(config, more);
	rc = mdfh_bypass_open(&config, &port);
	mdfh_bypass_close(port);
	return rc;
}

static void assert_nothing_open(void)
{
	struct efdev_state state = efdev_state();

	assert_string_equal(state.last_fault, "");
	assert_int_equal(state.drivers + state.domains + state.queues + state.regions +
			     state.filters + state.references,
	    0);
}

static void close_ef_vi(struct mdfh_bypass *port)
{
	left_open = NULL;
	mdfh_bypass_close(port);
	assert_nothing_open();
}

static uint64_t counter(struct mdfh_bypass *port, const char *name)
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

/* Frames ---------------------------------------------------------------------------------------- */

struct sending {
	const char *group, *source;
	uint16_t port, vlan;
	uint32_t length;
	int discard;
	unsigned discard_flags;
	uint64_t time_ns;
	int is_damaged; /* its UDP checksum is wrong */
	int has_no_sum;
};

static uint8_t frame_bytes[20000];

/* The number stands in the payload's first and last four bytes. */
static struct efdev_frame make(uint32_t number, struct sending s)
{
	static uint8_t payload[16384];
	struct mdfh_frame_header header = {
	    .source_port = 4000, .destination_port = s.port ? s.port : PORT};
	uint32_t length = s.length ? s.length : CUT;
	int bytes;

	assert_ok(mdfh_frame_address(s.group ? s.group : "239.1.1.1", header.destination));
	assert_ok(mdfh_frame_address(
	    s.source ? s.source : (mdfh_frame_is_ipv4(header.destination) ? "10.0.0.1" : "fd00::1"),
	    header.source));
	header.vlan[0] = s.vlan;
	header.vlan_count = s.vlan != 0;
	memset(payload, (int)number, length);
	memcpy(payload, &number, 4);
	memcpy(payload + length - 4, &number, 4);
	bytes = mdfh_frame_build(&header, payload, length, frame_bytes, sizeof(frame_bytes));
	assert_true(bytes > 0);
	if (s.is_damaged)
		frame_bytes[bytes - 10] ^= 0x10;
	if (s.has_no_sum)
		memset(frame_bytes + bytes - length - 2, 0, 2);
	return (struct efdev_frame){.bytes = frame_bytes,
	    .length = (uint32_t)bytes,
	    .discard = s.discard,
	    .discard_flags = s.discard_flags,
	    .time_ns = s.time_ns};
}

static int arrive(uint32_t number, struct sending s)
{
	struct efdev_frame frame = make(number, s);

	return efdev_arrive(&frame);
}

static uint32_t number_of(const struct mdfh_packet *packet)
{
	uint32_t number, again;

	assert_true(packet->length >= 4);
	memcpy(&number, packet->data, 4);
	memcpy(&again, packet->data + packet->length - 4, 4);
	if (!(packet->flags & MDFH_PACKET_TRUNCATED))
		assert_int_equal(number, again);
	return number;
}

/* All that is there; they are held. */
static int take_all(struct mdfh_bypass *port, struct mdfh_packet *packets, int max)
{
	int got = 0, n;

	while (got < max && (n = mdfh_bypass_recv(port, packets + got, max - got)) != 0) {
		assert_ok(n);
		got += n;
	}
	return got;
}

/* Numbers first to first + n - 1 are there, in order, and nothing else; they are released. */
static void expect(struct mdfh_bypass *port, uint32_t first, int n)
{
	struct mdfh_packet packets[64];
	int total = 0, got;

	while ((got = mdfh_bypass_recv(port, packets, 64)) != 0) {
		assert_ok(got);
		for (int i = 0; i < got; i++)
			assert_int_equal(number_of(&packets[i]), first + (uint32_t)total++);
		mdfh_bypass_release(port, packets, got);
	}
	assert_int_equal(total, n);
}

/* Tests ----------------------------------------------------------------------------------------- */

static void hands_out_what_came(void **state)
{
	struct mdfh_bypass *port = open_ef_vi((struct mdfh_bypass_config){0}, NULL);
	const struct mdfh_bypass_capabilities *can = mdfh_bypass_capabilities(port);
	struct mdfh_packet packet;
	struct mdfh_bypass_stats stats;

	(void)state;
	assert_string_equal(can->mode, "own buffers, ring 512, single events, 1 filters");
	assert_int_equal(can->zero_copy, 1);
	assert_int_equal(can->filters, MDFH_PLACE_HARDWARE);
	assert_int_equal(can->timestamps, MDFH_PLACE_HARDWARE);
	assert_int_equal(efdev_state().posted, 504);
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 0); /* nothing has come */

	assert_int_equal(arrive(1, (struct sending){.time_ns = 1700000000123456789}), 1);
	assert_int_equal(arrive(2, (struct sending){.port = PORT + 1}), 0);
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
	assert_int_equal(number_of(&packet), 1);
	assert_int_equal(packet.length, CUT);
	assert_int_equal(packet.flow, 0);
	assert_int_equal(packet.header_length, 42);
	assert_int_equal(packet.receive_ns, 1700000000123456789);
	assert_int_equal(packet.flags, MDFH_PACKET_TIME_NIC | MDFH_PACKET_CLOCK_SYNC);
	mdfh_bypass_release(port, &packet, 1);
	mdfh_bypass_release(port, &packet, 1); /* twice does no harm */

	/* Many times the ring: every buffer comes round. */
	for (uint32_t round = 0; round < 50; round++) {
		for (uint32_t i = 0; i < 100; i++)
			assert_int_equal(arrive(round * 100 + i, (struct sending){0}), 1);
		expect(port, round * 100, 100);
	}
	stats = stats_of(port);
	assert_int_equal(stats.rx_packets, 5001);
	assert_int_equal(stats.rx_bytes, 5001 * CUT);
	assert_int_equal(stats.rx_dropped_nic, 0);
	assert_int_equal(stats.known_drops, 5);
	close_ef_vi(port);
}

static void counts_what_finds_no_buffer(void **state)
{
	struct mdfh_bypass *port =
	    open_ef_vi((struct mdfh_bypass_config){.hold_max = 64, .batch_size = 16}, NULL);
	int taken = 0;

	(void)state;
	for (uint32_t i = 0; i < 600; i++)
		taken += arrive(i, (struct sending){0});
	assert_int_equal(taken, 504);
	assert_int_equal(efdev_state().posted, 0);
	expect(port, 0, 504);
	assert_int_equal(stats_of(port).rx_dropped_nic, 96);
	assert_int_equal(counter(port, "RX no descriptor errors"), 96);
	/* It goes on from there. */
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(arrive(i, (struct sending){0}), 1);
	expect(port, 0, 100);
	close_ef_vi(port);
}

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
		uint64_t before = counter(port, discards[i].counter);

		if (by_flags && !discards[i].flags)
			continue;
		arrive(1, (struct sending){0});
		arrive(99, (struct sending){.discard = by_flags ? 0 : discards[i].discard,
			       .discard_flags = by_flags ? discards[i].flags : 0,
			       .is_damaged = 1});
		arrive(2, (struct sending){0});
		expect(port, 1, 2);
		assert_int_equal(counter(port, discards[i].counter), before + 1);
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

/* The NIC is believed only after a look: of what it calls wrong, what is not there, or right, is good. */
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
		assert_int_equal(counter(port, "checksums right after all"), 3);
		assert_int_equal(counter(port, "discarded: checksum"), 1);
		assert_int_equal(stats_of(port).rx_dropped_nic, 1);
		if (kind < 2) { /* of several buffers, of which not all are kept */
			damaged.length = 6000;
			no_sum.length = 6000;
			arrive(9, damaged);
			arrive(9, no_sum);
			expect(port, 0, 0);
			assert_int_equal(counter(port, "discarded: checksum"), 3);
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
	assert_int_equal(counter(port, "discarded: CRC"), 1);
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
	for (int merged = 0; merged < 2; merged++) {
		struct mdfh_bypass *port =
		    open_ef_vi((struct mdfh_bypass_config){.frame_size = 9000},
			merged ? ",event_merge=on" : NULL);
		struct mdfh_packet packets[16];

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
		arrive(9, (struct sending){.length = 6000, .discard = EF_EVENT_RX_DISCARD_CRC_BAD});
		arrive(2, (struct sending){.length = 6000});
		arrive(3, (struct sending){0});
		expect(port, 1, 3);
		assert_int_equal(counter(port, "discarded: CRC"), 1);
		efdev_event_plain(EF_EVENT_TYPE_RX_NO_DESC_TRUNC);
		arrive(4, (struct sending){.length = 6000});
		expect(port, 4, 1);
		assert_int_equal(counter(port, "discarded: no buffers for its end"), 1);
		assert_int_equal(stats_of(port).rx_dropped_nic, 2);
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
	assert_int_equal(counter(port, "event queue overflows"), 1);
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
	assert_int_equal(counter(port, "unexpected events"), 3);
	assert_int_equal(counter(port, "completions of unknown buffers"), 2);
	/* A buffer that the NIC has given back already. */
	arrive(1, (struct sending){0});
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
	efdev_event_rx((uint32_t)packet.cookie, 100, EF_EVENT_FLAG_SOP);
	arrive(2, (struct sending){0});
	expect(port, 2, 1);
	assert_int_equal(number_of(&packet), 1); /* is still the caller's */
	assert_int_equal(counter(port, "completions of unknown buffers"), 3);
	mdfh_bypass_release(port, &packet, 1);
	/* The middle of a frame without its beginning; lengths that cannot be. */
	arrive(3, (struct sending){0});
	expect(port, 3, 1);
	assert_int_equal(counter(port, "discarded: incomplete"), 0);
	close_ef_vi(port);
}

/* Of a frame of several buffers one is unknown, the first or the last: what is left is no frame, though
 * that memory still has the one before. */
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
	assert_int_equal(counter(port, "discarded: incomplete"), 1);
	efdev_event_rx(501, 4096, EF_EVENT_FLAG_SOP | EF_EVENT_FLAG_CONT);
	efdev_event_rx(1000000, 5000, 0);
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 0);
	assert_int_equal(counter(port, "discarded: incomplete"), 2);
	/* The next frame comes before the end of this one, which comes too late. */
	efdev_event_rx(502, 4096, EF_EVENT_FLAG_SOP | EF_EVENT_FLAG_CONT);
	arrive(2, (struct sending){0});
	efdev_event_rx(503, 4196, 0);
	expect(port, 2, 1);
	assert_int_equal(counter(port, "completions of unknown buffers"), 2);
	assert_int_equal(counter(port, "discarded: incomplete"), 4);
	assert_int_equal(stats_of(port).rx_dropped_nic, 4);
	assert_int_equal(stats_of(port).rx_malformed, 0);
	arrive(3, (struct sending){.length = 6000});
	expect(port, 3, 1);
	close_ef_vi(port);
}

static void holds_and_copies_past_the_limit(void **state)
{
	struct mdfh_bypass *port =
	    open_ef_vi((struct mdfh_bypass_config){.hold_max = 20, .batch_size = 10}, NULL);
	struct mdfh_packet packets[64];
	int got;

	(void)state;
	for (uint32_t i = 0; i < 60; i++)
		arrive(i, (struct sending){0});
	got = take_all(port, packets, 64);
	assert_int_equal(got, 50); /* 20 in place, 30 copied; the others wait */
	for (int i = 0; i < got; i++) {
		assert_int_equal(number_of(&packets[i]), i);
		assert_int_equal(
		    packets[i].flags & MDFH_PACKET_COPIED, i < 20 ? 0 : MDFH_PACKET_COPIED);
	}
	assert_true(stats_of(port).rx_starved > 0);
	for (int i = got - 1; i >= 0; i -= 2) /* in another order than they came in */
		mdfh_bypass_release(port, &packets[i], 1);
	expect(port, 50, 10);
	for (int i = 0; i < got; i += 2)
		assert_int_equal(number_of(&packets[i]), i);
	for (int i = 0; i < got; i += 2)
		mdfh_bypass_release(port, &packets[i], 1);
	assert_int_equal(stats_of(port).rx_dropped_nic, 0);
	close_ef_vi(port);

	port = open_ef_vi((struct mdfh_bypass_config){.enable_zero_copy = MDFH_OFF}, NULL);
	assert_string_equal(mdfh_bypass_capabilities(port)->copy_reason, "enable_zero_copy is off");
	arrive(1, (struct sending){0});
	assert_int_equal(mdfh_bypass_recv(port, packets, 1), 1);
	assert_true(packets[0].flags & MDFH_PACKET_COPIED);
	mdfh_bypass_release(port, packets, 1);
	close_ef_vi(port);
}

static void holds_and_releases_references(void **state)
{
	struct mdfh_packet packets[512], first;
	struct mdfh_bypass *port;
	int got;

	(void)state;
	efdev_config()->is_efct = 1;
	efdev_config()->superbuffers = 4; /* of 16 packets each */
	port = open_ef_vi((struct mdfh_bypass_config){.batch_size = 8, .rx_ring_size = 64}, NULL);
	assert_string_equal(mdfh_bypass_capabilities(port)->mode,
	    "by reference, ring 512, single events, 1 filters");
	assert_int_equal(mdfh_bypass_capabilities(port)->hold_max, 8);
	assert_int_equal(efdev_state().regions, 0); /* the memory is the NIC's */

	for (uint32_t i = 0; i < 1000; i++) { /* many times round */
		assert_int_equal(arrive(i, (struct sending){.time_ns = 77 + i}), 1);
		assert_int_equal(mdfh_bypass_recv(port, packets, 1), 1);
		assert_int_equal(number_of(&packets[0]), i);
		assert_int_equal(packets[0].receive_ns, 77 + i);
		assert_int_equal(packets[0].flags & MDFH_PACKET_COPIED, 0);
		assert_int_equal(efdev_state().references, 1);
		mdfh_bypass_release(port, packets, 1);
		mdfh_bypass_release(port, packets, 1);
		assert_int_equal(efdev_state().references, 0);
	}
	/* Past the limit they are copied, and go back at once. */
	for (uint32_t i = 0; i < 40; i++)
		arrive(i, (struct sending){0});
	got = take_all(port, packets, 512);
	assert_int_equal(got, 40);
	assert_int_equal(efdev_state().references, 8);
	assert_int_equal(stats_of(port).rx_copied, 32);
	first = packets[0];
	mdfh_bypass_release(port, packets + 1, got - 1);
	/* One that is held keeps its large buffer busy and harms nothing else. */
	for (uint32_t round = 0; round < 20; round++) {
		for (uint32_t i = 0; i < 16; i++)
			assert_int_equal(arrive(i, (struct sending){0}), 1);
		expect(port, 0, 16);
	}
	assert_int_equal(number_of(&first), 0);
	mdfh_bypass_release(port, &first, 1);
	assert_int_equal(efdev_state().references, 0);
	/* Too many for the NIC's memory: counted by it, and it goes on. */
	for (uint32_t i = 0; i < 70; i++)
		arrive(i, (struct sending){0});
	expect(port, 0, 64);
	assert_int_equal(stats_of(port).rx_dropped_nic, 6);
	/* What is still held goes back with the port. */
	arrive(1, (struct sending){0});
	assert_int_equal(mdfh_bypass_recv(port, packets, 1), 1);
	close_ef_vi(port);
}

static void takes_the_datapath_that_is_named(void **state)
{
	static const struct {
		const char *option, *mode;
	} paths[] = {{",datapath=express", "by reference"}, {",datapath=default", "own buffers"}};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct mdfh_bypass *port =
		    open_ef_vi((struct mdfh_bypass_config){0}, paths[i].option);

		assert_non_null(strstr(mdfh_bypass_capabilities(port)->mode, paths[i].mode));
		arrive(1, (struct sending){0});
		expect(port, 1, 1);
		close_ef_vi(port);
	}
}

static void says_how_good_its_times_are(void **state)
{
	static const struct {
		int result;
		const char *counter;
	} refusals[] = {
	    {-ENODATA, "no NIC time: not stamped"},
	    {-ENOMSG, "no NIC time: not yet synchronised"},
	    {-EL2NSYNC, "no NIC time: not synchronised"},
	    {-EINVAL, "no NIC time: refused"},
	};
	struct mdfh_packet packet;
	struct mdfh_bypass *port;

	(void)state;
	for (int efct = 0; efct < 2; efct++) {
		efdev_config()->is_efct = efct;
		port = open_ef_vi((struct mdfh_bypass_config){0}, NULL);
		for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
			efdev_config()->time_result = refusals[i].result;
			arrive(1, (struct sending){.time_ns = 5});
			assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
			assert_true(packet.flags & MDFH_PACKET_TIME_APP);
			assert_true(packet.receive_ns > UINT64_C(1000000000000000000));
			mdfh_bypass_release(port, &packet, 1);
			assert_int_equal(counter(port, refusals[i].counter), 1);
		}
		efdev_config()->time_result = 0;
		efdev_config()->sync_flags = EF_VI_SYNC_FLAG_CLOCK_SET;
		arrive(1, (struct sending){.time_ns = 5});
		assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
		assert_int_equal(packet.flags, MDFH_PACKET_TIME_NIC);
		assert_int_equal(packet.receive_ns, 5);
		mdfh_bypass_release(port, &packet, 1);
		/* Never set, it counts from when the NIC came up. */
		efdev_config()->sync_flags = EFDEV_NO_FLAGS;
		arrive(1, (struct sending){.time_ns = 5});
		assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
		assert_true(packet.flags & MDFH_PACKET_TIME_APP);
		mdfh_bypass_release(port, &packet, 1);
		assert_int_equal(counter(port, "no NIC time: clock never set"), 1);
		efdev_config()->sync_flags = 0;
		close_ef_vi(port);
	}
	efdev_config()->is_efct = 0;

	port =
	    open_ef_vi((struct mdfh_bypass_config){.timestamps = MDFH_TIMESTAMPS_SOFTWARE}, NULL);
	assert_int_equal(mdfh_bypass_capabilities(port)->timestamps, MDFH_PLACE_SOFTWARE);
	arrive(1, (struct sending){.time_ns = 5});
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
	assert_true(packet.flags & MDFH_PACKET_TIME_APP);
	mdfh_bypass_release(port, &packet, 1);
	close_ef_vi(port);

	port = open_ef_vi((struct mdfh_bypass_config){.timestamps = MDFH_TIMESTAMPS_OFF}, NULL);
	arrive(1, (struct sending){.time_ns = 5});
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
	assert_int_equal(packet.receive_ns, 0);
	mdfh_bypass_release(port, &packet, 1);
	close_ef_vi(port);

	efdev_config()->has_no_stamps = 1;
	assert_int_equal(
	    try_ef_vi((struct mdfh_bypass_config){.timestamps = MDFH_TIMESTAMPS_HARDWARE}, NULL),
	    -ENOTSUP);
	assert_error("use timestamps software or default");
	port = open_ef_vi((struct mdfh_bypass_config){0}, NULL);
	assert_int_equal(mdfh_bypass_capabilities(port)->timestamps, MDFH_PLACE_SOFTWARE);
	close_ef_vi(port);
}

/* A Metamako's trailer, behind the FCS of the original frame. */
static void takes_the_time_of_a_tap(void **state)
{
	enum { FCS = 4, TRAILER = 12 };
	const uint64_t nic_ns = UINT64_C(1700000000000000000), tap_ns = nic_ns - 1000000;
	uint8_t trailer[FCS + TRAILER] = {0};
	uint32_t seconds = htobe32((uint32_t)(tap_ns / 1000000000));
	uint32_t ns = htobe32((uint32_t)(tap_ns % 1000000000));
	struct mdfh_packet packet;

	(void)state;
	memcpy(trailer + FCS, &seconds, 4);
	memcpy(trailer + FCS + 4, &ns, 4);
	trailer[FCS + 8] = 1;
	for (int efct = 0; efct < 2; efct++) {
		struct mdfh_bypass *port;
		struct efdev_frame frame;

		efdev_config()->is_efct = efct;
		port =
		    open_ef_vi((struct mdfh_bypass_config){.trailer = MDFH_TRAILER_METAMAKO}, NULL);
		frame = make(1, (struct sending){.time_ns = nic_ns});
		memcpy(frame_bytes + frame.length, trailer, sizeof(trailer));
		frame.length += sizeof(trailer);
		assert_int_equal(efdev_arrive(&frame), 1);
		arrive(2, (struct sending){.time_ns = nic_ns});
		assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
		assert_int_equal(number_of(&packet), 1);
		assert_int_equal(packet.receive_ns, tap_ns);
		assert_int_equal(packet.flags & MDFH_PACKET_TIME_MASK, MDFH_PACKET_TIME_TAP);
		mdfh_bypass_release(port, &packet, 1);
		assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
		assert_int_equal(packet.receive_ns, nic_ns);
		assert_int_equal(packet.flags & MDFH_PACKET_TIME_MASK, MDFH_PACKET_TIME_NIC);
		mdfh_bypass_release(port, &packet, 1);
		assert_int_equal(stats_of(port).rx_trailers, 1);
		assert_int_equal(stats_of(port).rx_trailers_absent, 1);
		close_ef_vi(port);
	}
}

static void steers_flows_by_filters(void **state)
{
	static const struct mdfh_flow flows[] = {
	    {.group = "239.1.1.1", .port = PORT, .vlan = 7},
	    {.group = "239.1.1.1", .port = PORT, .source = "10.0.0.9"},
	    {.group = "239.1.1.2", .port = PORT}, {.group = "ff15::1", .port = PORT},
	    {.group = "127.0.0.1", .port = PORT},
	    {.port = PORT + 9}, /* any address of the interface */
	};
	const struct mdfh_bypass_config config = {.flows = flows, .flow_count = 6};
	struct mdfh_bypass *port = open_ef_vi(config, NULL);
	struct mdfh_packet packets[16];

	(void)state;
	/* The first two share one; of lo there are 127.0.0.1 and perhaps ::1. */
	assert_in_range(efdev_state().filters, 5, 6);
	assert_int_equal(efdev_state().vlan_filters, 0);
	arrive(0, (struct sending){.vlan = 7});
	arrive(99, (struct sending){0});
	arrive(1, (struct sending){.source = "10.0.0.9"});
	arrive(2, (struct sending){.group = "239.1.1.2", .vlan = 5});
	arrive(3, (struct sending){.group = "ff15::1"});
	arrive(4, (struct sending){.group = "127.0.0.1"});
	arrive(5, (struct sending){.group = "127.0.0.1", .port = PORT + 9});
	assert_int_equal(arrive(99, (struct sending){.group = "10.9.9.9", .port = PORT + 9}), 0);
	assert_int_equal(take_all(port, packets, 16), 6);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(number_of(&packets[i]), i);
		assert_int_equal(packets[i].flow, i);
	}
	assert_int_equal(stats_of(port).rx_filtered, 1);
	mdfh_bypass_release(port, packets, 6);
	close_ef_vi(port);

	/* The NIC tells VLANs apart, too; full filters; a queue of its own; nothing for the kernel. */
	port = open_ef_vi(config, ",vlan_filters=on,exclusive_queue=on,block_kernel=all");
	assert_int_equal(efdev_state().vlan_filters, 1);
	assert_int_equal(efdev_state().block_filters, 1);
	assert_int_equal(efdev_state().exclusive_filters, efdev_state().filters - 1);
	close_ef_vi(port);
	port = open_ef_vi(
	    (struct mdfh_bypass_config){.flows = &flows[1], .flow_count = 1}, ",source_port=4000");
	assert_int_equal(efdev_state().full_filters, 1);
	assert_int_equal(arrive(1, (struct sending){0}), 0);
	assert_int_equal(arrive(1, (struct sending){.source = "10.0.0.9"}), 1);
	expect(port, 1, 1);
	close_ef_vi(port);
	for (int i = 0; i < 2; i++) {
		port = open_ef_vi((struct mdfh_bypass_config){0},
		    i ? ",block_kernel=unicast" : ",block_kernel=multicast");
		assert_int_equal(efdev_state().block_filters, 1);
		close_ef_vi(port);
	}
}

static void falls_back_to_coarser_filters(void **state)
{
	static const struct mdfh_flow flows[] = {
	    {.group = "239.1.1.1", .port = PORT, .vlan = 7},
	    {.group = "239.1.1.1", .port = PORT + 1, .vlan = 7},
	};
	const struct mdfh_bypass_config config = {.flows = flows, .flow_count = 2};
	struct mdfh_bypass *port;

	(void)state;
	efdev_config()->lacks = EFDEV_VLAN;
	port = open_ef_vi(config, ",vlan_filters=on");
	assert_non_null(strstr(mdfh_bypass_capabilities(port)->mode, "2 of them coarse"));
	assert_int_equal(mdfh_bypass_capabilities(port)->filters, MDFH_PLACE_SOFTWARE);
	arrive(1, (struct sending){.vlan = 7});
	arrive(9, (struct sending){.vlan = 8});
	expect(port, 1, 1);
	assert_int_equal(stats_of(port).rx_filtered, 1);
	close_ef_vi(port);

	efdev_config()->lacks = EFDEV_LOCAL;
	port = open_ef_vi(config, NULL);
	assert_int_equal(efdev_state().mac_filters, 1); /* one address for both */
	arrive(1, (struct sending){.vlan = 7});
	arrive(9, (struct sending){.port = PORT + 2, .vlan = 7});
	arrive(2, (struct sending){.port = PORT + 1, .vlan = 7});
	expect(port, 1, 2);
	close_ef_vi(port);
}

static void says_why_a_filter_is_refused(void **state)
{
	static const struct mdfh_flow unicast = {.group = "127.0.0.1", .port = PORT};
	static const struct mdfh_flow two[] = {
	    {.group = "239.1.1.1", .port = PORT}, {.group = "239.1.1.2", .port = PORT}};
	static const struct mdfh_flow sourced = {
	    .group = "239.1.1.1", .source = "10.0.0.9", .port = PORT};
	const struct mdfh_bypass_config config = {.flows = &unicast, .flow_count = 1};
	struct mdfh_bypass *port = open_ef_vi(config, NULL);

	(void)state;
	assert_int_equal(try_ef_vi(config, NULL), -EEXIST);
	assert_error("another program, or another port of this one, receives it");
	close_ef_vi(port);
	assert_ok(try_ef_vi(config, NULL)); /* all is as it was */

	efdev_config()->lacks = EFDEV_LOCAL;
	assert_int_equal(try_ef_vi(config, NULL), -ENOTSUP);
	assert_error("a filter for 127.0.0.1:26477 on lo");
	efdev_config()->lacks = EFDEV_REMOTE;
	assert_int_equal(try_ef_vi((struct mdfh_bypass_config){.flows = &sourced, .flow_count = 1},
			     ",source_port=4000"),
	    -ENOTSUP);
	assert_error("has no such filter");
	efdev_config()->lacks = EFDEV_BLOCK_MULTICAST;
	assert_int_equal(
	    try_ef_vi((struct mdfh_bypass_config){0}, ",block_kernel=multicast"), -EPERM);
	assert_error("CAP_NET_ADMIN");
	efdev_config()->lacks = 0;
	efdev_config()->filters_max = 1;
	assert_int_equal(
	    try_ef_vi((struct mdfh_bypass_config){.flows = two, .flow_count = 2}, NULL), -ENOSPC);
	assert_error("table of filters is full");
	assert_nothing_open();
}

static void refuses_other_libraries(void **state)
{
	struct mdfh_bypass_config config = filled((struct mdfh_bypass_config){0}, NULL);
	struct mdfh_bypass *port;

	(void)state;
	efdev_config()->version = "9.9.9";
	assert_int_equal(try_ef_vi((struct mdfh_bypass_config){0}, NULL), -ENOTSUP);
	assert_error("is of Onload 9.9.9, and the module was built for software device 1");
	efdev_config()->version = NULL;

	config.backend_options = "library=/nonexistent/libciul.so.1";
	assert_int_equal(mdfh_bypass_open(&config, &port), -ENOTSUP);
	assert_error("/nonexistent/libciul.so.1: cannot open shared object file");
	assert_error("install Onload software device 1");
	config.backend_options = "library=libciul.so.1";
	assert_int_equal(mdfh_bypass_open(&config, &port), -EINVAL);
	assert_error("it must be the absolute path");
	/* One that is something else. */
	config.backend_options = "library=/lib/x86_64-linux-gnu/libm.so.6";
	if (!access(config.backend_options + 8, F_OK)) {
		assert_int_equal(mdfh_bypass_open(&config, &port), -ENOTSUP);
		assert_error("has no function ef_vi_version_str");
	}
	assert_nothing_open();
}

static void refuses_what_it_cannot_do(void **state)
{
	static const struct mdfh_flow unicast = {.group = "127.0.0.1"};
	static const struct {
		struct mdfh_bypass_config config;
		const char *more, *sentence;
	} cases[] = {
	    {{.transport = MDFH_TRANSPORT_TCP, .host = "127.0.0.1", .port = 1}, NULL, ""},
	    {{.direction = MDFH_DIRECTION_SEND}, NULL, "only receives"},
	    {{.queue = 3}, NULL, "queue is 3"},
	    {{.busy_poll_us = 3}, NULL, "busy_poll_us is 3"},
	    {{.flows = &unicast, .flow_count = 1}, NULL, "flows[0] has port 0"},
	    {{.interface = "nothere0"}, NULL, "interface nothere0"},
	    {{.interface = "a-name-that-no-device-can-have"}, NULL, "no device has so long a name"},
	    {{0}, ",source_port=4000", "flows[0] has no source"},
	    {{0}, ",event_merge=perhaps", "event_merge is 'perhaps'; it must be one of off, on"},
	    {{0}, ",block_kernel=some", "one of off, unicast, multicast, all"},
	    {{0}, ",speed=9", "key 'speed'"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(try_ef_vi(cases[i].config, cases[i].more) < 0);
		assert_error(cases[i].sentence);
		assert_nothing_open();
	}
}

static void is_listed(void **state)
{
	struct mdfh_bypass_backend list[32];
	int n = mdfh_bypass_backends(list, 32);

	(void)state;
	for (int i = 0; i < n; i++)
		if (!strcmp(list[i].name, "ef_vi")) {
			assert_string_equal(list[i].reason, "");
			assert_int_equal(list[i].available, 1);
			return;
		}
	fail_msg("it is not listed");
}

static int set_up(void **state)
{
	(void)state;
	mdfh_bypass_close(left_open);
	left_open = NULL;
	efdev_configure(&(struct efdev_config){0});
	return 0;
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup(function, set_up)
	const struct CMUnitTest tests[] = {
	    TEST(hands_out_what_came),
	    TEST(counts_what_finds_no_buffer),
	    TEST(discards_for_every_reason),
	    TEST(looks_at_sums_called_wrong),
	    TEST(unbundles_merged_events),
	    TEST(takes_completions_in_any_order),
	    TEST(waits_for_the_event),
	    TEST(puts_long_frames_together),
	    TEST(dies_of_overflow_and_reset),
	    TEST(survives_senseless_events),
	    TEST(hands_out_no_frame_with_a_hole),
	    TEST(holds_and_copies_past_the_limit),
	    TEST(holds_and_releases_references),
	    TEST(takes_the_datapath_that_is_named),
	    TEST(says_how_good_its_times_are),
	    TEST(takes_the_time_of_a_tap),
	    TEST(steers_flows_by_filters),
	    TEST(falls_back_to_coarser_filters),
	    TEST(says_why_a_filter_is_refused),
	    TEST(refuses_other_libraries),
	    TEST(refuses_what_it_cannot_do),
	    TEST(is_listed),
	};
	const char *build = getenv("MDFH_BUILD");
	char folder[PATH_MAX];

	if (!build) {
		printf("skipped: MDFH_BUILD, the build folder, is not set\n");
		return TEST_SKIPPED;
	}
	snprintf(folder, sizeof(folder), "%s/tests/net/ef_vi_device", build);
	snprintf(library, sizeof(library), "%s/libciul.so.1", folder);
	if (test_enter_namespace()) {
		printf("skipped: no network namespace is to be had\n");
		return TEST_SKIPPED;
	}
	if (mdfh_bypass_set_modules_folder(folder))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
