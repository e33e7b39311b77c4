/* conformance_connections.c - checks of streams: connections that begin, end and begin again, and what is sent. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "net/conformance_bytes.h"

/* Checks: connections ------------------------------------------------------------------ */

int mdfh_check_nothing_there(struct trial *t)
{
	struct mdfh_bypass_stats stats;
	int got;

	TRY(mdfh_stream_begin(t, (struct mdfh_bypass_config){.poll_timeout_us = 1000}));
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

int mdfh_check_marks(struct trial *t)
{
	TRY(mdfh_stream_begin(t, (struct mdfh_bypass_config){0}));
	/* Without bytes between, and with the last bytes before the end. */
	TRY(mdfh_stream_hang_up(t, 0));
	TRY(mdfh_stream_expect_mark(t, MDFH_PACKET_DISCONNECTED));
	TRY(mdfh_stream_expect_mark(t, MDFH_PACKET_CONNECTED));
	TRY(mdfh_stream_accept_connection(t));
	TRY(mdfh_stream_write_bytes(t, 5000));
	TRY(mdfh_stream_hang_up(t, 0));
	TRY(mdfh_stream_collect(t));
	TRY(mdfh_stream_expect_mark(t, MDFH_PACKET_DISCONNECTED));
	/* And one that begins, brings bytes and ends before anybody looks. */
	TRY(mdfh_stream_expect_mark(t, MDFH_PACKET_CONNECTED));
	TRY(mdfh_stream_accept_connection(t));
	TRY(mdfh_stream_write_bytes(t, 10));
	TRY(mdfh_stream_hang_up(t, 0));
	TRY(mdfh_stream_collect(t));
	TRY(mdfh_stream_expect_mark(t, MDFH_PACKET_DISCONNECTED));
	REQUIRE(t->marks == 6, "%llu marks came of 6", (unsigned long long)t->marks);
	return 0;
}

/* Attempts that failed so far are at least want, after some patience. */
static int wait_for_failures(
    struct trial *t, uint64_t want, int patience, struct mdfh_bypass_stats *stats)
{
	for (; patience; patience--) {
		int got = mdfh_stream_look_waiting(t, 1);

		TRY(got < 0);
		REQUIRE(!got, "a packet came from a server that is not there");
		TRY(mdfh_trial_stats(t, stats));
		if (stats->connect_failures >= want)
			return 0;
	}
	FAIL("connect_failures is %llu; %llu were to come",
	    (unsigned long long)stats->connect_failures, (unsigned long long)want);
}

int mdfh_check_absent(struct trial *t)
{
	struct mdfh_bypass_stats stats = {0};

	TRY(mdfh_stream_serve(t, 0));
	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){0}, 0));
	TRY(wait_for_failures(t, 1, PATIENCE, &stats));
	REQUIRE(!stats.connects && stats.last_error, "connects is %llu, last_error %d",
	    (unsigned long long)stats.connects, stats.last_error);
	TRY(mdfh_stream_serve(t, 1));
	TRY(mdfh_stream_expect_mark(t, MDFH_PACKET_CONNECTED));
	TRY(mdfh_stream_accept_connection(t));
	TRY(mdfh_stream_write_bytes(t, 100));
	return mdfh_stream_collect(t);
}

static int come_back(struct trial *t, int reset)
{
	struct mdfh_bypass_stats stats;

	TRY(mdfh_stream_begin(t, (struct mdfh_bypass_config){0}));
	for (uint64_t round = 1; round <= 3; round++) {
		TRY(mdfh_stream_write_bytes(t, 3000));
		TRY(mdfh_stream_collect(t));
		TRY(mdfh_stream_hang_up(t, reset));
		TRY(mdfh_stream_expect_mark(t, MDFH_PACKET_DISCONNECTED));
		TRY(mdfh_trial_stats(t, &stats));
		REQUIRE(stats.disconnects == round && stats.connects == round,
		    "connects is %llu and disconnects %llu; both must be %llu",
		    (unsigned long long)stats.connects, (unsigned long long)stats.disconnects,
		    (unsigned long long)round);
		REQUIRE(!stats.last_error == !reset, "last_error is %d", stats.last_error);
		TRY(mdfh_stream_expect_mark(t, MDFH_PACKET_CONNECTED));
		TRY(mdfh_stream_accept_connection(t));
	}
	TRY(mdfh_stream_write_bytes(t, 3000));
	return mdfh_stream_collect(t);
}

int mdfh_check_closes(struct trial *t)
{
	return come_back(t, 0);
}

int mdfh_check_resets(struct trial *t)
{
	return come_back(t, 1);
}

int mdfh_check_reconnect(struct trial *t)
{
	struct mdfh_bypass_stats stats;
	int rc;

	TRY(mdfh_stream_begin(t, (struct mdfh_bypass_config){0}));
	rc = mdfh_bypass_reconnect(t->port, 1000000);
	REQUIRE(!rc, "reconnect gave %d: %s", rc, mdfh_error_text());
	TRY(mdfh_stream_expect_mark(t, MDFH_PACKET_DISCONNECTED));
	TRY(mdfh_stream_expect_mark(t, MDFH_PACKET_CONNECTED));
	TRY(mdfh_stream_accept_connection(t));
	TRY(mdfh_stream_write_bytes(t, 100));
	TRY(mdfh_stream_collect(t));
	TRY(mdfh_trial_stats(t, &stats));
	REQUIRE(stats.connects == 2 && stats.disconnects == 1,
	    "connects is %llu and disconnects %llu", (unsigned long long)stats.connects,
	    (unsigned long long)stats.disconnects);
	return 0;
}

/* Bounds that hold whatever the configured pauses are, within reason: an attempt every 10 ms is a
 * hammer, and less than one in 10 s does not come back. */
int mdfh_check_pauses(struct trial *t)
{
	struct mdfh_bypass_stats stats = {0};
	uint64_t before, took;

	TRY(mdfh_stream_serve(t, 0));
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
int mdfh_check_wakes(struct trial *t)
{
	enum { LONG_MS = 2000 };
	int got, wakes = 0;

	TRY(mdfh_stream_serve(t, 0));
	TRY(mdfh_stream_serve(t, 1));
	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){0}, 0));
	if (can(t)->poll_fd < 0)
		NOT_APPLICABLE("it has no descriptor to poll");
	for (int round = 0; round < 2; round++) {
		while (!t->connected) {
			REQUIRE(is_ready(t, LONG_MS), "it does not wake for a connection");
			REQUIRE(++wakes < 100, "it wakes, and there is no connection");
			TRY(mdfh_stream_look(t, 1) < 0);
		}
		TRY(mdfh_stream_accept_connection(t));
		got = mdfh_stream_look(t, 1);
		TRY(got < 0);
		REQUIRE(!got && !is_ready(t, 20), "it wakes, and nothing has come");
		TRY(mdfh_stream_write_bytes(t, 10));
		REQUIRE(is_ready(t, LONG_MS), "it does not wake for bytes");
		TRY(mdfh_stream_collect(t));
		TRY(mdfh_stream_look(t, 1) < 0);
		REQUIRE(!is_ready(t, 0), "it wakes, and all has been taken");
		TRY(mdfh_stream_hang_up(t, 0));
		REQUIRE(is_ready(t, LONG_MS), "it does not wake for the end");
		TRY(mdfh_stream_expect_mark(t, MDFH_PACKET_DISCONNECTED));
	}
	return 0;
}

int mdfh_check_lifecycle(struct trial *t)
{
	int before = 0;

	for (int i = 0; i < 20; i++) {
		/* The first time things may be set up for good. */
		if (i == 1)
			before = mdfh_trial_descriptors();
		t->held = 0;
		t->connected = 0;
		TRY(mdfh_stream_begin(t, mdfh_stream_small_ring));
		TRY(mdfh_stream_write_bytes(t, 1000));
		TRY(mdfh_stream_collect_held(t));
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
		REQUIRE(mdfh_stream_is_pattern(data, SENT_BY_PORT, *at, (uint32_t)n),
		    "the bytes from %llu on arrived as others than were sent",
		    (unsigned long long)*at);
		*at += (uint64_t)n;
		if (n)
			continue;
		TRY(mdfh_stream_look_waiting(t, 1) < 0);
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

int mdfh_check_send(struct trial *t)
{
	struct mdfh_packet out[60];
	struct mdfh_bypass_stats stats;
	uint64_t bytes = 0, at = 0;
	int rc;

	TRY(mdfh_stream_begin(t, (struct mdfh_bypass_config){0}));
	TRY(require_sending(t));
	for (uint32_t i = 0; i < 60; i++) {
		mdfh_stream_fill(t->data[i + 1], SENT_BY_PORT, bytes, 40 + i);
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

		mdfh_stream_fill(data, SENT_BY_PORT, *bytes, LONG_PACKET);
		rc = mdfh_bypass_send(t->port, &packet, 1);
		REQUIRE(rc == 0 || rc == 1, "send of one packet gave %d: %s", rc,
		    rc < 0 ? mdfh_error_text() : "");
		*bytes += rc ? LONG_PACKET : 0;
		refused = rc ? 0 : refused + 1;
	}
	REQUIRE(refused, "send took %llu bytes that nobody reads", (unsigned long long)*bytes);
	return 0;
}

int mdfh_check_send_rest(struct trial *t)
{
	struct mdfh_bypass_stats stats;
	uint64_t bytes, at = 0;

	TRY(mdfh_stream_begin(t, (struct mdfh_bypass_config){0}));
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
	TRY(mdfh_stream_look_waiting(t, 1) < 0);
	REQUIRE(t->feed->server->read(t->feed->server->context, t->data[0], 1) == 0,
	    "more bytes arrived than send took");
	return 0;
}

int mdfh_check_send_unconnected(struct trial *t)
{
	struct mdfh_packet packet = {.data = t->data[1], .length = 100};
	struct mdfh_bypass_stats stats = {0};
	uint64_t at = 0;
	int rc;

	TRY(mdfh_stream_serve(t, 0));
	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){0}, 0));
	TRY(require_sending(t));
	mdfh_stream_fill(t->data[1], SENT_BY_PORT, 0, 100);
	TRY(wait_for_failures(t, 1, PATIENCE, &stats));
	rc = mdfh_bypass_send(t->port, &packet, 1);
	REQUIRE(!rc, "send gave %d without a connection; it must be 0", rc);
	TRY(mdfh_trial_stats(t, &stats));
	REQUIRE(stats.tx_failed == 1 && !stats.tx_packets, "tx_failed is %llu, tx_packets %llu",
	    (unsigned long long)stats.tx_failed, (unsigned long long)stats.tx_packets);
	TRY(mdfh_stream_serve(t, 1));
	TRY(mdfh_stream_expect_mark(t, MDFH_PACKET_CONNECTED));
	TRY(mdfh_stream_accept_connection(t));
	REQUIRE(t->feed->server->read(t->feed->server->context, t->data[0], 1) == 0,
	    "bytes arrived that send had not taken");
	rc = mdfh_bypass_send(t->port, &packet, 1);
	REQUIRE(rc == 1, "send took %d of 1", rc);
	return read_sent(t, &at, 100);
}

int mdfh_check_send_after_end(struct trial *t)
{
	struct mdfh_packet packet = {.data = t->data[1], .length = 100};
	uint64_t bytes, at = 0;
	int rc;

	TRY(mdfh_stream_begin(t, (struct mdfh_bypass_config){0}));
	TRY(require_sending(t));
	for (int reset = 0; reset < 2; reset++) {
		TRY(fill_the_way(t, &bytes));
		TRY(mdfh_stream_hang_up(t, reset));
		TRY(mdfh_stream_expect_mark(t, MDFH_PACKET_DISCONNECTED));
		TRY(mdfh_stream_expect_mark(t, MDFH_PACKET_CONNECTED));
		TRY(mdfh_stream_accept_connection(t));
		mdfh_stream_fill(t->data[1], SENT_BY_PORT, 0, 100);
		rc = mdfh_bypass_send(t->port, &packet, 1);
		REQUIRE(rc == 1, "send took %d of 1 on a new connection", rc);
		at = 0;
		TRY(read_sent(t, &at, 100));
	}
	return 0;
}
