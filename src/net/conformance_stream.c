/* conformance_stream.c - the profile of backends that carry a stream of bytes: what a port says, bytes, times and
 * holding. Connections and sending are in conformance_connections.c. */
#include <errno.h>
#include <string.h>

#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "net/conformance_bytes.h"

/* Checks: what a port says --------------------------------------------------- */

static int check_capabilities(struct trial *t)
{
	TRY(mdfh_check_capabilities(t));
	REQUIRE(can(t)->is_stream, "is_stream is 0");
	REQUIRE(
	    !can(t)->is_finite, "is_finite is %d; a connection is made anew", can(t)->is_finite);
	return 0;
}

/* Checks: bytes ---------------------------------------------------------------- */

static int check_bytes(struct trial *t)
{
	TRY(mdfh_stream_begin(t, (struct mdfh_bypass_config){.frame_size = 512}));
	for (uint64_t i = 0; i < 200; i++) {
		TRY(mdfh_stream_write_bytes(t, 1 + i * 37 % 1500));
		if (i % 3 == 0)
			TRY(mdfh_stream_collect(t));
	}
	TRY(mdfh_stream_collect(t));
	return mdfh_stream_expect_none(t);
}

static int check_small_writes(struct trial *t)
{
	TRY(mdfh_stream_begin(t, (struct mdfh_bypass_config){0}));
	for (int i = 0; i < 1000; i++)
		TRY(mdfh_stream_write_bytes(t, 1));
	TRY(mdfh_stream_collect(t));
	return mdfh_stream_expect_none(t);
}

static int check_large_writes(struct trial *t)
{
	TRY(mdfh_stream_begin(t, (struct mdfh_bypass_config){.receive_buffer_bytes = 65536}));
	TRY(mdfh_stream_write_bytes(t, 4 << 20));
	TRY(mdfh_stream_collect(t));
	return mdfh_stream_expect_none(t);
}

static int check_batches(struct trial *t)
{
	int got = 0;

	TRY(mdfh_stream_begin(t, (struct mdfh_bypass_config){.batch_size = 16, .frame_size = 256}));
	REQUIRE(mdfh_bypass_recv(t->port, t->packets, 0) == 0, "recv of 0 packets gave some");
	TRY(mdfh_stream_write_bytes(t, 16384));
	for (int patience = PATIENCE; patience && !got; patience--)
		got = mdfh_bypass_recv_wait(t->port, t->packets, 256);
	REQUIRE(got >= 1 && got <= 16, "recv of 256 gave %d; batch_size is 16", got);
	for (int i = 0; i < got; i++)
		TRY(mdfh_stream_verify(t, i));
	t->held = got;
	return mdfh_stream_collect(t);
}

static int check_counters(struct trial *t)
{
	struct mdfh_bypass_stats stats;
	uint64_t packets = 1; /* the mark of the beginning */

	TRY(mdfh_stream_begin(t, (struct mdfh_bypass_config){.batch_size = 16, .frame_size = 256}));
	for (int i = 0; i < 10; i++) {
		TRY(mdfh_stream_write_bytes(t, 1000));
		TRY(mdfh_stream_collect_held(t));
		packets += (uint64_t)t->held;
		mdfh_trial_release_all(t);
	}
	TRY(mdfh_stream_expect_none(t));
	TRY(mdfh_trial_stats(t, &stats));
	REQUIRE(stats.rx_packets == packets, "rx_packets is %llu; %llu came",
	    (unsigned long long)stats.rx_packets, (unsigned long long)packets);
	REQUIRE(stats.rx_bytes == 10000, "rx_bytes is %llu; 10000 came",
	    (unsigned long long)stats.rx_bytes);
	REQUIRE(stats.rx_batches == t->batches, "rx_batches is %llu; %llu calls gave packets",
	    (unsigned long long)stats.rx_batches, (unsigned long long)t->batches);
	REQUIRE(stats.rx_empty >= t->empty, "rx_empty is %llu; at least %llu calls gave none",
	    (unsigned long long)stats.rx_empty, (unsigned long long)t->empty);
	REQUIRE(!stats.rx_truncated && !stats.rx_malformed && !stats.rx_dropped_nic &&
		    !stats.rx_dropped_kernel && !stats.rx_dropped_socket,
	    "bytes were counted as damaged or dropped");
	REQUIRE(!stats.tx_packets && !stats.tx_bytes && !stats.tx_failed, "counts of sending");
	REQUIRE(stats.connects == 1 && !stats.connect_failures && !stats.disconnects &&
		    !stats.last_error,
	    "connects is %llu, connect_failures %llu, disconnects %llu, last_error %d",
	    (unsigned long long)stats.connects, (unsigned long long)stats.connect_failures,
	    (unsigned long long)stats.disconnects, stats.last_error);
	return 0;
}

/* Checks: time --------------------------------------------------------------------- */

static int check_stamps(struct trial *t)
{
	/* A minute only finds units and epochs. */
	const uint64_t slack = UINT64_C(60000000000);
	uint64_t before = mdfh_clock_now_ns(), last = 0;

	TRY(mdfh_stream_begin(t, (struct mdfh_bypass_config){0}));
	for (int i = 0; i < 50; i++) {
		TRY(mdfh_stream_write_bytes(t, 100));
		TRY(mdfh_stream_collect_held(t));
	}
	for (int i = 0; i < t->held; i++) {
		const struct mdfh_packet *p = &t->packets[i];
		unsigned source = p->flags & MDFH_PACKET_TIME_MASK;

		REQUIRE(p->receive_ns, "receive_ns is 0");
		REQUIRE(source && !(source & (source - 1)), "the time's source is 0x%x", source);
		REQUIRE(
		    p->receive_ns > before - slack && p->receive_ns < mdfh_clock_now_ns() + slack,
		    "receive_ns is %llu", (unsigned long long)p->receive_ns);
		REQUIRE(p->receive_ns >= last, "the time of the stream runs backwards");
		last = p->receive_ns;
	}
	return 0;
}

static int check_stamps_off(struct trial *t)
{
	TRY(mdfh_stream_begin(t, (struct mdfh_bypass_config){.timestamps = MDFH_TIMESTAMPS_OFF}));
	TRY(mdfh_stream_write_bytes(t, 1));
	TRY(mdfh_stream_collect_held(t));
	REQUIRE(!t->packets[0].receive_ns && !(t->packets[0].flags & MDFH_PACKET_TIME_MASK),
	    "receive_ns is %llu, flags 0x%x", (unsigned long long)t->packets[0].receive_ns,
	    t->packets[0].flags);
	return 0;
}

/* Checks: holding -------------------------------------------------------------------- */

/* The bytes of every held packet are still those that were written. */
static int verify_held(struct trial *t)
{
	for (int i = 0; i < t->held; i++)
		REQUIRE(!t->packets[i].data || /* given back */
			    mdfh_stream_is_pattern(t->packets[i].data, t->connection, t->at_of[i],
				t->packets[i].length),
		    "held packet %d has changed", i);
	return 0;
}

/* Hold at least n packets more, of up to a frame each. */
static int hold(struct trial *t, int n)
{
	for (int until = t->held + n; t->held < until;) {
		TRY(mdfh_stream_write_bytes(t, 256));
		TRY(mdfh_stream_collect_held(t));
	}
	return 0;
}

static int check_hold(struct trial *t)
{
	uint32_t limit;

	TRY(mdfh_stream_begin(t, mdfh_stream_small_ring));
	limit = can(t)->hold_max;
	REQUIRE(limit >= 16, "hold_max is %u with a ring of 64 and batches of 16", limit);
	TRY(hold(t, limit < 200 ? (int)limit : 200));
	/* At the limit recv still gives packets. */
	TRY(hold(t, 1));
	TRY(verify_held(t));
	/* Every third, from the end; then the rest from the front. */
	for (int i = t->held - 1; i >= 0; i -= 3) {
		mdfh_bypass_release(t->port, &t->packets[i], 1);
		t->packets[i].data = NULL;
	}
	TRY(verify_held(t));
	for (int i = 0; i < t->held; i++)
		if (t->packets[i].data)
			mdfh_bypass_release(t->port, &t->packets[i], 1);
	t->held = 0;
	TRY(mdfh_stream_write_bytes(t, 100000));
	TRY(mdfh_stream_collect(t));
	return mdfh_stream_expect_none(t);
}

static int check_hold_past_max(struct trial *t)
{
	struct mdfh_bypass_stats stats;

	TRY(mdfh_stream_begin(t, mdfh_stream_small_ring));
	if (can(t)->hold_max > 280)
		NOT_APPLICABLE("hold_max is %u, more than the suite sends", can(t)->hold_max);
	TRY(mdfh_stream_write_bytes(t, 16384)); /* fits on the way */
	TRY(mdfh_stream_write_bytes(t, 16384));
	/* Until nothing is handed out any more, or copies are. */
	for (int empty = 0; t->at < t->written && empty < 3;) {
		int got = mdfh_stream_look(t, 16);

		TRY(got < 0);
		empty = got ? 0 : empty + 1;
	}
	REQUIRE(t->held >= (int)can(t)->hold_max || t->at == t->written,
	    "only %d packets came; hold_max is %u", t->held, can(t)->hold_max);
	TRY(verify_held(t));
	TRY(mdfh_trial_stats(t, &stats));
	if (t->at == t->written && t->held > (int)can(t)->hold_max + 16)
		REQUIRE(stats.rx_copied, "all came, and rx_copied is 0");
	if (t->at < t->written)
		REQUIRE(stats.rx_starved, "bytes had to wait, and rx_starved is 0");
	mdfh_trial_release_all(t);
	TRY(mdfh_stream_collect(t));
	return mdfh_stream_expect_none(t);
}

static int check_release_twice(struct trial *t)
{
	TRY(mdfh_stream_begin(t, mdfh_stream_small_ring));
	for (int i = 0; i < 10; i++) {
		TRY(hold(t, 10));
		mdfh_bypass_release(t->port, t->packets, t->held);
		mdfh_trial_release_all(t);
	}
	/* Had a frame two places in the free list, two packets would now share it. */
	TRY(hold(t, can(t)->hold_max < 40 ? (int)can(t)->hold_max : 40));
	return verify_held(t);
}

/* The profile --------------------------------------------------------------------------- */

const struct conformance_check mdfh_conformance_stream_checks[] = {
    {"capabilities", "an open port says what it can do", check_capabilities},
    {"configuration", "a bad field is refused by its name", mdfh_check_configuration},
    {"zero-copy", "require_zero_copy is kept or refused", mdfh_check_zero_copy},
    {"bytes", "what is written arrives once, whole and in order", check_bytes},
    {"small-writes", "so it does byte by byte", check_small_writes},
    {"large-writes", "so it does when it is more than any buffer holds", check_large_writes},
    {"marks", "every connection begins and ends with its mark", mdfh_check_marks},
    {"counters", "packets, bytes, calls and connections are counted", check_counters},
    {"batches", "recv gives at most batch_size packets", check_batches},
    {"stamps", "receive times are there, named and sane", check_stamps},
    {"stamps-off", "without receive times there are none", check_stamps_off},
    {"hold", "hold_max packets can be held and come back in any order", check_hold},
    {"hold-past-max", "past hold_max nothing is lost or overwritten", check_hold_past_max},
    {"release-twice", "a packet released twice does no harm", check_release_twice},
    {"nothing-there", "recv and recv_wait return when nothing comes", mdfh_check_nothing_there},
    {"absent", "a server may be absent at open, and is found later", mdfh_check_absent},
    {"closes", "it connects again after the server closes", mdfh_check_closes},
    {"resets", "it connects again after a reset", mdfh_check_resets},
    {"reconnect", "it connects again when it is told to", mdfh_check_reconnect},
    {"pauses", "attempts come again, and not too soon", mdfh_check_pauses},
    {"wakes", "the descriptor wakes for all there is to do, and nothing else", mdfh_check_wakes},
    {"lifecycle", "ports open and close many times, packets held or not", mdfh_check_lifecycle},
    {"two-ports", "two ports are open at once", mdfh_check_two_ports},
    {"send", "what is sent is counted and arrives, or send is refused", mdfh_check_send},
    {"send-rest", "a packet is taken whole or not, and its rest is sent", mdfh_check_send_rest},
    {"send-unconnected", "without a connection send takes nothing", mdfh_check_send_unconnected},
    {"send-after-end", "what had not left is not sent on a new connection",
	mdfh_check_send_after_end},
    {"receive-only", "a port that only receives refuses to send", mdfh_check_receive_only},
};

const int mdfh_conformance_stream_count =
    sizeof(mdfh_conformance_stream_checks) / sizeof(mdfh_conformance_stream_checks[0]);

_Static_assert(sizeof(mdfh_conformance_stream_checks) / sizeof(mdfh_conformance_stream_checks[0]) <=
		   MDFH_CONFORMANCE_CHECKS,
    "header");
