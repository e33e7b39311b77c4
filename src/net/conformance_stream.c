/* conformance_stream.c - the profile of backends that carry a stream of bytes.
 *
 * The server writes a pattern that is a function of the connection and of the place in it, so that
 * a byte that is lost, repeated, moved or of an earlier connection is where it does not belong,
 * whatever the packets' borders. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "net/conformance_trial.h"

enum {
	MARKS = MDFH_PACKET_CONNECTED | MDFH_PACKET_DISCONNECTED,
	SENT_BY_PORT = 1 << 16, /* the connection number of what goes the other way */
};

static uint8_t pattern(uint64_t connection, uint64_t at)
{
	uint64_t x = (connection << 40 | at >> 3) * UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
	return (uint8_t)((x ^ x >> 32) >> 8 * (at & 7));
}

static void fill(uint8_t *data, uint64_t connection, uint64_t at, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		data[i] = pattern(connection, at + i);
}

static int is_pattern(const uint8_t *data, uint64_t connection, uint64_t at, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		if (data[i] != pattern(connection, at + i))
			return 0;
	return 1;
}

/* Receiving --------------------------------------------------------------- */

static int verify_mark(struct trial *t, const struct mdfh_packet *p)
{
	REQUIRE((p->flags & MARKS) != MARKS, "a packet is both marks at once");
	REQUIRE(!p->length, "a mark has %u bytes", p->length);
	if (p->flags & MDFH_PACKET_CONNECTED) {
		REQUIRE(!t->connected, "a connection begins twice, without an end");
		t->connected = 1;
		t->at = 0;
	} else {
		REQUIRE(t->connected, "a connection ends that has not begun");
		t->connected = 0;
	}
	t->marks++;
	return 0;
}

/* Hold packet against what was written, and remember where it begins. */
static int verify(struct trial *t, int index)
{
	const struct mdfh_packet *p = &t->packets[index];

	REQUIRE(p->flags & MDFH_PACKET_STREAM, "a packet is not flagged as bytes of a stream");
	REQUIRE(p->data && !p->flow, "a packet has no data, or the flow %u", p->flow);
	t->at_of[index] = t->at;
	if (p->flags & MARKS)
		return verify_mark(t, p);
	REQUIRE(t->connected, "%u bytes came outside of a connection", p->length);
	REQUIRE(p->length, "an empty packet came that is no mark");
	REQUIRE(p->length <= can(t)->frame_size, "a packet has %u bytes; a frame %u", p->length,
	    can(t)->frame_size);
	REQUIRE(t->at + p->length <= t->written, "%llu bytes came of %llu",
	    (unsigned long long)(t->at + p->length), (unsigned long long)t->written);
	REQUIRE(is_pattern(p->data, t->connection, t->at, p->length),
	    "the bytes from %llu on, %u of them, are others than were written",
	    (unsigned long long)t->at, p->length);
	t->at += p->length;
	return 0;
}

/* One look for up to n packets, which are verified and held. The count, or -1 = decided. */
static int look(struct trial *t, int n)
{
	int got;

	if (t->held + n > DATAGRAMS_MAX)
		mdfh_trial_release_all(t);
	got = mdfh_trial_receive(t, n);
	REQUIRE(got >= 0, "recv: %s", mdfh_error_text());
	for (int i = 0; i < got; i++)
		TRY(verify(t, t->held + i));
	t->held += got;
	return got;
}

/* The same, and wait if nothing is there. */
static int look_waiting(struct trial *t, int n)
{
	int got = look(t, n);

	if (got)
		return got;
	/* Waits for one packet, which counts as a batch of its own. */
	got = mdfh_bypass_recv_wait(t->port, t->packets + t->held, 1);
	REQUIRE(got >= 0, "recv_wait: %s", mdfh_error_text());
	if (!got) {
		t->empty++; /* its first look; a second one only after a wake-up */
		return 0;
	}
	t->batches++;
	t->bytes += t->packets[t->held].length;
	TRY(verify(t, t->held));
	t->held++;
	return 1;
}

/* All that was written has come; packets stay held, or are released as they come. */
static int collect_all(struct trial *t, int held)
{
	for (int patience = PATIENCE; t->at < t->written && patience;) {
		int got = look_waiting(t, 16);

		TRY(got < 0);
		REQUIRE(t->connected, "the connection ended after %llu of %llu bytes",
		    (unsigned long long)t->at, (unsigned long long)t->written);
		patience = got ? PATIENCE : patience - 1;
		if (!held)
			mdfh_trial_release_all(t);
	}
	REQUIRE(t->at == t->written, "%llu of %llu bytes came", (unsigned long long)t->at,
	    (unsigned long long)t->written);
	return 0;
}

static int collect_held(struct trial *t)
{
	return collect_all(t, 1);
}

static int collect(struct trial *t)
{
	TRY(collect_all(t, 0));
	mdfh_trial_release_all(t);
	return 0;
}

/* The next packet is this mark. */
static int expect_mark(struct trial *t, unsigned mark)
{
	int got = 0;

	for (int patience = PATIENCE; patience && !got; patience--) {
		got = look_waiting(t, 1);
		TRY(got < 0);
	}
	REQUIRE(got == 1, "the mark of a connection's %s did not come",
	    mark == MDFH_PACKET_CONNECTED ? "beginning" : "end");
	REQUIRE(t->packets[t->held - 1].flags & mark,
	    "flags are 0x%x, where the mark of a connection's %s was to come",
	    t->packets[t->held - 1].flags, mark == MDFH_PACKET_CONNECTED ? "beginning" : "end");
	mdfh_trial_release_all(t);
	return 0;
}

static int expect_none(struct trial *t)
{
	int got = look(t, 1);

	TRY(got < 0);
	REQUIRE(!got, "recv gave a packet where nothing was left");
	return 0;
}

/* The server ---------------------------------------------------------------- */

static int serve(struct trial *t, int on)
{
	REQUIRE(!t->feed->server->listen(t->feed->server->context, on), "%s", mdfh_error_text());
	return 0;
}

/* The server has the connection that the port begins. */
static int accept_connection(struct trial *t)
{
	REQUIRE(!t->feed->server->accept(t->feed->server->context), "%s", mdfh_error_text());
	t->connection++;
	t->written = 0;
	return 0;
}

static int hang_up(struct trial *t, int reset)
{
	REQUIRE(
	    !t->feed->server->hang_up(t->feed->server->context, reset), "%s", mdfh_error_text());
	return 0;
}

/* Write on, and receive where the way is full; what comes is not held. */
static int write_bytes(struct trial *t, uint64_t length)
{
	uint8_t *data = t->data[0];
	int patience = PATIENCE;

	while (length) {
		uint32_t piece = length < LENGTH_MAX ? (uint32_t)length : LENGTH_MAX;
		int n;

		fill(data, t->connection, t->written, piece);
		/* It may come before the call returns. */
		t->written += piece;
		n = t->feed->server->write(t->feed->server->context, data, piece);
		t->written -= piece - (uint32_t)(n > 0 ? n : 0);
		REQUIRE(n >= 0, "%s", mdfh_error_text());
		length -= (uint32_t)n;
		if (n)
			continue;
		n = look_waiting(t, 16);
		TRY(n < 0);
		mdfh_trial_release_all(t);
		patience = n ? PATIENCE : patience - 1;
		REQUIRE(patience, "the way to the port is full, and nothing comes");
	}
	return 0;
}

/* A port that is connected. */
static int begin(struct trial *t, struct mdfh_bypass_config wanted)
{
	TRY(serve(t, 0));
	TRY(serve(t, 1));
	TRY(mdfh_trial_open(t, wanted, 0));
	TRY(accept_connection(t));
	return expect_mark(t, MDFH_PACKET_CONNECTED);
}

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
	TRY(begin(t, (struct mdfh_bypass_config){.frame_size = 512}));
	for (uint64_t i = 0; i < 200; i++) {
		TRY(write_bytes(t, 1 + i * 37 % 1500));
		if (i % 3 == 0)
			TRY(collect(t));
	}
	TRY(collect(t));
	return expect_none(t);
}

static int check_small_writes(struct trial *t)
{
	TRY(begin(t, (struct mdfh_bypass_config){0}));
	for (int i = 0; i < 1000; i++)
		TRY(write_bytes(t, 1));
	TRY(collect(t));
	return expect_none(t);
}

static int check_large_writes(struct trial *t)
{
	TRY(begin(t, (struct mdfh_bypass_config){.receive_buffer_bytes = 65536}));
	TRY(write_bytes(t, 4 << 20));
	TRY(collect(t));
	return expect_none(t);
}

static int check_batches(struct trial *t)
{
	int got = 0;

	TRY(begin(t, (struct mdfh_bypass_config){.batch_size = 16, .frame_size = 256}));
	REQUIRE(mdfh_bypass_recv(t->port, t->packets, 0) == 0, "recv of 0 packets gave some");
	TRY(write_bytes(t, 16384));
	for (int patience = PATIENCE; patience && !got; patience--)
		got = mdfh_bypass_recv_wait(t->port, t->packets, 256);
	REQUIRE(got >= 1 && got <= 16, "recv of 256 gave %d; batch_size is 16", got);
	for (int i = 0; i < got; i++)
		TRY(verify(t, i));
	t->held = got;
	return collect(t);
}

static int check_counters(struct trial *t)
{
	struct mdfh_bypass_stats stats;
	uint64_t packets = 1; /* the mark of the beginning */

	TRY(begin(t, (struct mdfh_bypass_config){.batch_size = 16, .frame_size = 256}));
	for (int i = 0; i < 10; i++) {
		TRY(write_bytes(t, 1000));
		TRY(collect_held(t));
		packets += (uint64_t)t->held;
		mdfh_trial_release_all(t);
	}
	TRY(expect_none(t));
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

	TRY(begin(t, (struct mdfh_bypass_config){0}));
	for (int i = 0; i < 50; i++) {
		TRY(write_bytes(t, 100));
		TRY(collect_held(t));
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
	TRY(begin(t, (struct mdfh_bypass_config){.timestamps = MDFH_TIMESTAMPS_OFF}));
	TRY(write_bytes(t, 1));
	TRY(collect_held(t));
	REQUIRE(!t->packets[0].receive_ns && !(t->packets[0].flags & MDFH_PACKET_TIME_MASK),
	    "receive_ns is %llu, flags 0x%x", (unsigned long long)t->packets[0].receive_ns,
	    t->packets[0].flags);
	return 0;
}

/* Checks: holding -------------------------------------------------------------------- */

static const struct mdfh_bypass_config small_ring = {
    .rx_ring_size = 64, .batch_size = 16, .frame_size = 256};

/* The bytes of every held packet are still those that were written. */
static int verify_held(struct trial *t)
{
	for (int i = 0; i < t->held; i++)
		REQUIRE(!t->packets[i].data || /* given back */
			    is_pattern(t->packets[i].data, t->connection, t->at_of[i],
				t->packets[i].length),
		    "held packet %d has changed", i);
	return 0;
}

/* Hold at least n packets more, of up to a frame each. */
static int hold(struct trial *t, int n)
{
	for (int until = t->held + n; t->held < until;) {
		TRY(write_bytes(t, 256));
		TRY(collect_held(t));
	}
	return 0;
}

static int check_hold(struct trial *t)
{
	uint32_t limit;

	TRY(begin(t, small_ring));
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
	TRY(write_bytes(t, 100000));
	TRY(collect(t));
	return expect_none(t);
}

static int check_hold_past_max(struct trial *t)
{
	struct mdfh_bypass_stats stats;

	TRY(begin(t, small_ring));
	if (can(t)->hold_max > 280)
		NOT_APPLICABLE("hold_max is %u, more than the suite sends", can(t)->hold_max);
	TRY(write_bytes(t, 16384)); /* fits on the way */
	TRY(write_bytes(t, 16384));
	/* Until nothing is handed out any more, or copies are. */
	for (int empty = 0; t->at < t->written && empty < 3;) {
		int got = look(t, 16);

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
	TRY(collect(t));
	return expect_none(t);
}

static int check_release_twice(struct trial *t)
{
	TRY(begin(t, small_ring));
	for (int i = 0; i < 10; i++) {
		TRY(hold(t, 10));
		mdfh_bypass_release(t->port, t->packets, t->held);
		mdfh_trial_release_all(t);
	}
	/* Had a frame two places in the free list, two packets would now share it. */
	TRY(hold(t, can(t)->hold_max < 40 ? (int)can(t)->hold_max : 40));
	return verify_held(t);
}

/* Checks: connections ------------------------------------------------------------------ */

static int check_nothing_there(struct trial *t)
{
	struct mdfh_bypass_stats stats;
	int got;

	TRY(begin(t, (struct mdfh_bypass_config){.poll_timeout_us = 1000}));
	got = mdfh_bypass_recv(t->port, t->packets, 16);
	REQUIRE(!got, "recv gave %d; it must be 0", got);
	got = mdfh_bypass_recv_wait(t->port, t->packets, 16);
	REQUIRE(!got, "recv_wait gave %d; it must be 0", got);
	TRY(mdfh_trial_stats(t, &stats));
	REQUIRE(stats.rx_packets == 1 && stats.rx_batches == 1 && stats.rx_empty >= 2,
	    "rx_packets is %llu, rx_batches %llu, rx_empty %llu; only a mark came",
	    (unsigned long long)stats.rx_packets, (unsigned long long)stats.rx_batches,
	    (unsigned long long)stats.rx_empty);
	return 0;
}

static int check_marks(struct trial *t)
{
	TRY(begin(t, (struct mdfh_bypass_config){0}));
	/* Without bytes between, and with the last bytes before the end. */
	TRY(hang_up(t, 0));
	TRY(expect_mark(t, MDFH_PACKET_DISCONNECTED));
	TRY(expect_mark(t, MDFH_PACKET_CONNECTED));
	TRY(accept_connection(t));
	TRY(write_bytes(t, 5000));
	TRY(hang_up(t, 0));
	TRY(collect(t));
	TRY(expect_mark(t, MDFH_PACKET_DISCONNECTED));
	/* And one that begins, brings bytes and ends before anybody looks. */
	TRY(expect_mark(t, MDFH_PACKET_CONNECTED));
	TRY(accept_connection(t));
	TRY(write_bytes(t, 10));
	TRY(hang_up(t, 0));
	TRY(collect(t));
	TRY(expect_mark(t, MDFH_PACKET_DISCONNECTED));
	REQUIRE(t->marks == 6, "%llu marks came of 6", (unsigned long long)t->marks);
	return 0;
}

/* Attempts that failed so far are at least want, after some patience. */
static int wait_for_failures(
    struct trial *t, uint64_t want, int patience, struct mdfh_bypass_stats *stats)
{
	for (; patience; patience--) {
		int got = look_waiting(t, 1);

		TRY(got < 0);
		REQUIRE(!got, "a packet came from a server that is not there");
		TRY(mdfh_trial_stats(t, stats));
		if (stats->connect_failures >= want)
			return 0;
	}
	FAIL("connect_failures is %llu; %llu were to come",
	    (unsigned long long)stats->connect_failures, (unsigned long long)want);
}

static int check_absent(struct trial *t)
{
	struct mdfh_bypass_stats stats = {0};

	TRY(serve(t, 0));
	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){0}, 0));
	TRY(wait_for_failures(t, 1, PATIENCE, &stats));
	REQUIRE(!stats.connects && stats.last_error, "connects is %llu, last_error %d",
	    (unsigned long long)stats.connects, stats.last_error);
	TRY(serve(t, 1));
	TRY(expect_mark(t, MDFH_PACKET_CONNECTED));
	TRY(accept_connection(t));
	TRY(write_bytes(t, 100));
	return collect(t);
}

static int come_back(struct trial *t, int reset)
{
	struct mdfh_bypass_stats stats;

	TRY(begin(t, (struct mdfh_bypass_config){0}));
	for (uint64_t round = 1; round <= 3; round++) {
		TRY(write_bytes(t, 3000));
		TRY(collect(t));
		TRY(hang_up(t, reset));
		TRY(expect_mark(t, MDFH_PACKET_DISCONNECTED));
		TRY(mdfh_trial_stats(t, &stats));
		REQUIRE(stats.disconnects == round && stats.connects == round,
		    "connects is %llu and disconnects %llu; both must be %llu",
		    (unsigned long long)stats.connects, (unsigned long long)stats.disconnects,
		    (unsigned long long)round);
		REQUIRE(!stats.last_error == !reset, "last_error is %d", stats.last_error);
		TRY(expect_mark(t, MDFH_PACKET_CONNECTED));
		TRY(accept_connection(t));
	}
	TRY(write_bytes(t, 3000));
	return collect(t);
}

static int check_closes(struct trial *t)
{
	return come_back(t, 0);
}

static int check_resets(struct trial *t)
{
	return come_back(t, 1);
}

static int check_reconnect(struct trial *t)
{
	struct mdfh_bypass_stats stats;
	int rc;

	TRY(begin(t, (struct mdfh_bypass_config){0}));
	rc = mdfh_bypass_reconnect(t->port, 1000000);
	REQUIRE(!rc, "reconnect gave %d: %s", rc, mdfh_error_text());
	TRY(expect_mark(t, MDFH_PACKET_DISCONNECTED));
	TRY(expect_mark(t, MDFH_PACKET_CONNECTED));
	TRY(accept_connection(t));
	TRY(write_bytes(t, 100));
	TRY(collect(t));
	TRY(mdfh_trial_stats(t, &stats));
	REQUIRE(stats.connects == 2 && stats.disconnects == 1,
	    "connects is %llu and disconnects %llu", (unsigned long long)stats.connects,
	    (unsigned long long)stats.disconnects);
	return 0;
}

/* Bounds that hold whatever the configured pauses are, within reason: an attempt every 10 ms is a
 * hammer, and less than one in 10 s does not come back. */
static int check_pauses(struct trial *t)
{
	struct mdfh_bypass_stats stats = {0};
	uint64_t before, took;

	TRY(serve(t, 0));
	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){0}, 0));
	TRY(wait_for_failures(t, 1, 5 * PATIENCE, &stats));
	before = mdfh_clock_now_ns();
	TRY(wait_for_failures(t, 4, 15 * PATIENCE, &stats));
	took = mdfh_clock_now_ns() - before;
	REQUIRE(took >= UINT64_C(30000000), "three attempts more came within %llu us",
	    (unsigned long long)took / 1000);
	return 0;
}

static int is_ready(const struct trial *t, int timeout_ms)
{
	struct pollfd ready = {.fd = can(t)->poll_fd, .events = POLLIN};

	return poll(&ready, 1, timeout_ms) == 1;
}

/* recv is called only when the descriptor wakes, and it wakes only where there is something. */
static int check_wakes(struct trial *t)
{
	enum { LONG_MS = 2000 };
	int got, wakes = 0;

	TRY(serve(t, 0));
	TRY(serve(t, 1));
	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){0}, 0));
	if (can(t)->poll_fd < 0)
		NOT_APPLICABLE("it has no descriptor to poll");
	for (int round = 0; round < 2; round++) {
		while (!t->connected) {
			REQUIRE(is_ready(t, LONG_MS), "it does not wake for a connection");
			REQUIRE(++wakes < 100, "it wakes, and there is no connection");
			TRY(look(t, 1) < 0);
		}
		TRY(accept_connection(t));
		got = look(t, 1);
		TRY(got < 0);
		REQUIRE(!got && !is_ready(t, 20), "it wakes, and nothing has come");
		TRY(write_bytes(t, 10));
		REQUIRE(is_ready(t, LONG_MS), "it does not wake for bytes");
		TRY(collect(t));
		TRY(look(t, 1) < 0);
		REQUIRE(!is_ready(t, 0), "it wakes, and all has been taken");
		TRY(hang_up(t, 0));
		REQUIRE(is_ready(t, LONG_MS), "it does not wake for the end");
		TRY(expect_mark(t, MDFH_PACKET_DISCONNECTED));
	}
	return 0;
}

static int check_lifecycle(struct trial *t)
{
	int before = 0;

	for (int i = 0; i < 20; i++) {
		/* The first time things may be set up for good. */
		if (i == 1)
			before = mdfh_trial_descriptors();
		t->held = 0;
		t->connected = 0;
		TRY(begin(t, small_ring));
		TRY(write_bytes(t, 1000));
		TRY(collect_held(t));
		/* With packets held, every other time. */
		if (i % 2)
			mdfh_trial_release_all(t);
		mdfh_bypass_close(t->port);
		t->port = NULL;
	}
	REQUIRE(mdfh_trial_descriptors() == before, "%d descriptors stay open",
	    mdfh_trial_descriptors() - before);
	return 0;
}

/* Checks: sending ------------------------------------------------------------------------ */

/* The server reads on, to until, while recv has its chance to send. at is where it is. */
static int read_sent(struct trial *t, uint64_t *at, uint64_t until)
{
	uint8_t *data = t->data[0];

	for (int patience = PATIENCE; *at < until;) {
		int n = t->feed->server->read(t->feed->server->context, data, LENGTH_MAX);

		REQUIRE(n >= 0, "the server's read gave %d after %llu of %llu bytes", n,
		    (unsigned long long)*at, (unsigned long long)until);
		REQUIRE(*at + (uint64_t)n <= until, "more bytes arrived than send took");
		REQUIRE(is_pattern(data, SENT_BY_PORT, *at, (uint32_t)n),
		    "the bytes from %llu on arrived as others than were sent",
		    (unsigned long long)*at);
		*at += (uint64_t)n;
		if (n)
			continue;
		TRY(look_waiting(t, 1) < 0);
		REQUIRE(--patience, "%llu of %llu bytes that send took arrived",
		    (unsigned long long)*at, (unsigned long long)until);
	}
	return 0;
}

static int require_sending(struct trial *t)
{
	struct mdfh_packet packet = {.data = t->data[0], .length = 10};

	if (can(t)->can_send)
		return 0;
	REQUIRE(mdfh_bypass_send(t->port, &packet, 1) == -ENOTSUP, "it cannot send, and does");
	NOT_APPLICABLE("it cannot send");
}

static int check_send(struct trial *t)
{
	struct mdfh_packet out[60];
	struct mdfh_bypass_stats stats;
	uint64_t bytes = 0, at = 0;
	int rc;

	TRY(begin(t, (struct mdfh_bypass_config){0}));
	TRY(require_sending(t));
	for (uint32_t i = 0; i < 60; i++) {
		fill(t->data[i + 1], SENT_BY_PORT, bytes, 40 + i);
		out[i] = (struct mdfh_packet){.data = t->data[i + 1], .length = 40 + i};
		bytes += 40 + i;
	}
	rc = mdfh_bypass_send(t->port, out, 60);
	REQUIRE(rc == 60, "send took %d of 60: %s", rc, rc < 0 ? mdfh_error_text() : "");
	TRY(mdfh_trial_stats(t, &stats));
	REQUIRE(stats.tx_packets == 60 && stats.tx_bytes == bytes && !stats.tx_failed,
	    "tx_packets is %llu, tx_bytes %llu, tx_failed %llu",
	    (unsigned long long)stats.tx_packets, (unsigned long long)stats.tx_bytes,
	    (unsigned long long)stats.tx_failed);
	return read_sent(t, &at, bytes);
}

enum { LONG_PACKET = 60000, LONG_PACKETS_MAX = 2000 };

/* Send long packets until none is taken any more. */
static int fill_the_way(struct trial *t, uint64_t *bytes)
{
	uint8_t *data = t->data[16]; /* behind what the server reads to */
	struct mdfh_packet packet = {.data = data, .length = LONG_PACKET};
	int refused = 0;

	*bytes = 0;
	for (int i = 0; i < LONG_PACKETS_MAX && refused < 2; i++) {
		int rc;

		fill(data, SENT_BY_PORT, *bytes, LONG_PACKET);
		rc = mdfh_bypass_send(t->port, &packet, 1);
		REQUIRE(rc == 0 || rc == 1, "send of one packet gave %d: %s", rc,
		    rc < 0 ? mdfh_error_text() : "");
		*bytes += rc ? LONG_PACKET : 0;
		refused = rc ? 0 : refused + 1;
	}
	REQUIRE(refused, "send took %llu bytes that nobody reads", (unsigned long long)*bytes);
	return 0;
}

static int check_send_rest(struct trial *t)
{
	struct mdfh_bypass_stats stats;
	uint64_t bytes, at = 0;

	TRY(begin(t, (struct mdfh_bypass_config){0}));
	TRY(require_sending(t));
	TRY(fill_the_way(t, &bytes));
	TRY(mdfh_trial_stats(t, &stats));
	REQUIRE(stats.tx_bytes == bytes && stats.tx_packets == bytes / LONG_PACKET &&
		    stats.tx_failed >= 1,
	    "tx_packets is %llu, tx_bytes %llu, tx_failed %llu; %llu bytes were taken",
	    (unsigned long long)stats.tx_packets, (unsigned long long)stats.tx_bytes,
	    (unsigned long long)stats.tx_failed, (unsigned long long)bytes);
	TRY(read_sent(t, &at, bytes));
	/* And nothing more. */
	TRY(look_waiting(t, 1) < 0);
	REQUIRE(t->feed->server->read(t->feed->server->context, t->data[0], 1) == 0,
	    "more bytes arrived than send took");
	return 0;
}

static int check_send_unconnected(struct trial *t)
{
	struct mdfh_packet packet = {.data = t->data[1], .length = 100};
	struct mdfh_bypass_stats stats = {0};
	uint64_t at = 0;
	int rc;

	TRY(serve(t, 0));
	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){0}, 0));
	TRY(require_sending(t));
	fill(t->data[1], SENT_BY_PORT, 0, 100);
	TRY(wait_for_failures(t, 1, PATIENCE, &stats));
	rc = mdfh_bypass_send(t->port, &packet, 1);
	REQUIRE(!rc, "send gave %d without a connection; it must be 0", rc);
	TRY(mdfh_trial_stats(t, &stats));
	REQUIRE(stats.tx_failed == 1 && !stats.tx_packets, "tx_failed is %llu, tx_packets %llu",
	    (unsigned long long)stats.tx_failed, (unsigned long long)stats.tx_packets);
	TRY(serve(t, 1));
	TRY(expect_mark(t, MDFH_PACKET_CONNECTED));
	TRY(accept_connection(t));
	REQUIRE(t->feed->server->read(t->feed->server->context, t->data[0], 1) == 0,
	    "bytes arrived that send had not taken");
	rc = mdfh_bypass_send(t->port, &packet, 1);
	REQUIRE(rc == 1, "send took %d of 1", rc);
	return read_sent(t, &at, 100);
}

static int check_send_after_end(struct trial *t)
{
	struct mdfh_packet packet = {.data = t->data[1], .length = 100};
	uint64_t bytes, at = 0;
	int rc;

	TRY(begin(t, (struct mdfh_bypass_config){0}));
	TRY(require_sending(t));
	for (int reset = 0; reset < 2; reset++) {
		TRY(fill_the_way(t, &bytes));
		TRY(hang_up(t, reset));
		TRY(expect_mark(t, MDFH_PACKET_DISCONNECTED));
		TRY(expect_mark(t, MDFH_PACKET_CONNECTED));
		TRY(accept_connection(t));
		fill(t->data[1], SENT_BY_PORT, 0, 100);
		rc = mdfh_bypass_send(t->port, &packet, 1);
		REQUIRE(rc == 1, "send took %d of 1 on a new connection", rc);
		at = 0;
		TRY(read_sent(t, &at, 100));
	}
	return 0;
}

/* The profile --------------------------------------------------------------------------- */

const struct conformance_check mdfh_conformance_stream_checks[] = {
    {"capabilities", "an open port says what it can do", check_capabilities},
    {"configuration", "a bad field is refused by its name", mdfh_check_configuration},
    {"zero-copy", "require_zero_copy is kept or refused", mdfh_check_zero_copy},
    {"bytes", "what is written arrives once, whole and in order", check_bytes},
    {"small-writes", "so it does byte by byte", check_small_writes},
    {"large-writes", "so it does when it is more than any buffer holds", check_large_writes},
    {"marks", "every connection begins and ends with its mark", check_marks},
    {"counters", "packets, bytes, calls and connections are counted", check_counters},
    {"batches", "recv gives at most batch_size packets", check_batches},
    {"stamps", "receive times are there, named and sane", check_stamps},
    {"stamps-off", "without receive times there are none", check_stamps_off},
    {"hold", "hold_max packets can be held and come back in any order", check_hold},
    {"hold-past-max", "past hold_max nothing is lost or overwritten", check_hold_past_max},
    {"release-twice", "a packet released twice does no harm", check_release_twice},
    {"nothing-there", "recv and recv_wait return when nothing comes", check_nothing_there},
    {"absent", "a server may be absent at open, and is found later", check_absent},
    {"closes", "it connects again after the server closes", check_closes},
    {"resets", "it connects again after a reset", check_resets},
    {"reconnect", "it connects again when it is told to", check_reconnect},
    {"pauses", "attempts come again, and not too soon", check_pauses},
    {"wakes", "the descriptor wakes for all there is to do, and nothing else", check_wakes},
    {"lifecycle", "ports open and close many times, packets held or not", check_lifecycle},
    {"two-ports", "two ports are open at once", mdfh_check_two_ports},
    {"send", "what is sent is counted and arrives, or send is refused", check_send},
    {"send-rest", "a packet is taken whole or not, and its rest is sent", check_send_rest},
    {"send-unconnected", "without a connection send takes nothing", check_send_unconnected},
    {"send-after-end", "what had not left is not sent on a new connection", check_send_after_end},
    {"receive-only", "a port that only receives refuses to send", mdfh_check_receive_only},
};

const int mdfh_conformance_stream_count =
    sizeof(mdfh_conformance_stream_checks) / sizeof(mdfh_conformance_stream_checks[0]);

_Static_assert(sizeof(mdfh_conformance_stream_checks) / sizeof(mdfh_conformance_stream_checks[0]) <=
		   MDFH_CONFORMANCE_CHECKS,
    "header");
