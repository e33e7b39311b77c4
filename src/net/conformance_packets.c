/* conformance_packets.c - the profile of backends that receive packets.
 *
 * Every datagram carries its serial number and a pattern made from it, so that a packet can be held
 * against what was sent whatever came between. */
#include <errno.h>
#include <string.h>

#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "mdfh/frame.h"
#include "net/conformance_trial.h"

enum { SERIAL_BYTES = 4 };

/* Feeding and receiving ------------------------------------------------- */

void mdfh_trial_fill(uint8_t *data, uint32_t serial, uint32_t length)
{
	for (uint32_t i = 0; i < SERIAL_BYTES && i < length; i++)
		data[i] = (uint8_t)(serial >> 8 * i);
	for (uint32_t i = SERIAL_BYTES; i < length; i++)
		data[i] = (uint8_t)(serial * 31 + i);
}

/* One more datagram to send. */
static void add(struct trial *t, uint16_t flow, uint32_t length, uint16_t flags)
{
	mdfh_trial_fill(t->data[t->sent], (uint32_t)t->sent, length);
	t->datagrams[t->sent] = (struct mdfh_conformance_datagram){
	    .data = t->data[t->sent], .length = length, .flow = flow, .flags = flags};
	t->sent++;
}

/* Hold packet against the datagram that it says it is. */
static int verify(struct trial *t, const struct mdfh_packet *p)
{
	const struct mdfh_conformance_datagram *d;
	uint32_t serial = 0;

	REQUIRE(p->length >= SERIAL_BYTES, "a packet of %u bytes, which nobody sent", p->length);
	for (uint32_t i = 0; i < SERIAL_BYTES; i++)
		serial |= (uint32_t)p->data[i] << 8 * i;
	REQUIRE(serial < (uint32_t)t->sent, "a packet with the number %u, of %d", serial, t->sent);
	d = &t->datagrams[serial];
	REQUIRE(!(d->flags & MDFH_CONFORMANCE_STRAY), "packet %u is of no flow", serial);
	REQUIRE(p->length == d->length, "packet %u has %u bytes; %u were sent", serial, p->length,
	    d->length);
	REQUIRE(!memcmp(p->data, d->data, d->length), "packet %u has other bytes", serial);
	REQUIRE(p->flow == d->flow, "packet %u is on flow %u; it was sent to %u", serial, p->flow,
	    d->flow);
	REQUIRE(!t->seen[serial], "packet %u came twice", serial);
	REQUIRE((int64_t)serial > t->last_serial[p->flow],
	    "packet %u came after packet %lld of the same flow", serial,
	    (long long)t->last_serial[p->flow]);
	t->seen[serial] = 1;
	t->last_serial[p->flow] = serial;
	return 0;
}

/* Receive, verify and hold until want packets more are there. */
int mdfh_trial_collect(struct trial *t, int want)
{
	int until = t->held + want;

	for (int patience = PATIENCE; t->held < until && patience;) {
		int got = mdfh_trial_receive(t, until - t->held);

		if (got == -ENODATA)
			break;
		REQUIRE(got >= 0, "recv: %s", mdfh_error_text());
		for (int i = 0; i < got; i++)
			TRY(verify(t, &t->packets[t->held + i]));
		t->held += got;
		if (got)
			continue;
		patience--;
		/* Waits without receiving: asks for none. */
		got = mdfh_bypass_recv_wait(t->port, t->packets + t->held, 1);
		if (got == 1) {
			t->batches++;
			t->bytes += t->packets[t->held].length;
			TRY(verify(t, &t->packets[t->held]));
			t->held++;
		} else {
			t->empty++; /* its first look; a second one only after a wake-up */
		}
	}
	REQUIRE(t->held == until, "%d of %d packets came", t->held, until);
	return 0;
}

/* Nothing more has come. */
int mdfh_trial_expect_none(struct trial *t)
{
	int got = mdfh_trial_receive(t, 1);

	REQUIRE(got == 0 || got == -ENODATA, "recv gave %d where nothing was left", got);
	return 0;
}

/* Checks: packets ---------------------------------------------------------- */

static int check_packets(struct trial *t)
{
	for (uint32_t i = 0; i < 200; i++)
		add(t, 0, SERIAL_BYTES + i * 7, 0);
	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){0}, 0));
	TRY(mdfh_trial_collect(t, 200));
	TRY(mdfh_trial_expect_none(t));
	return 0;
}

static int check_own_packets(struct trial *t)
{
	struct mdfh_bypass_stats stats;
	int got;

	if (t->feed->feeds)
		NOT_APPLICABLE("the backend is fed");
	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){.batch_size = 16}, 0));
	for (int i = 0; i < 10; i++) {
		got = mdfh_trial_receive(t, 16);
		REQUIRE(got == 16, "recv gave %d of 16", got);
		for (int k = 0; k < got; k++)
			REQUIRE(t->packets[k].data && t->packets[k].length <= can(t)->frame_size,
			    "packet %d has %u bytes", k, t->packets[k].length);
		mdfh_bypass_release(t->port, t->packets, got);
	}
	TRY(mdfh_trial_stats(t, &stats));
	REQUIRE(stats.rx_packets == 160 && stats.rx_bytes == t->bytes,
	    "rx_packets is %llu and rx_bytes %llu; 160 and %llu came",
	    (unsigned long long)stats.rx_packets, (unsigned long long)stats.rx_bytes,
	    (unsigned long long)t->bytes);
	return 0;
}

static int check_counters(struct trial *t)
{
	struct mdfh_bypass_stats stats;

	for (uint32_t i = 0; i < 150; i++)
		add(t, (uint16_t)(i % MDFH_CONFORMANCE_FLOWS), 10 + i, 0);
	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){.batch_size = 16}, 0));
	TRY(mdfh_trial_collect(t, 150));
	TRY(mdfh_trial_expect_none(t));
	TRY(mdfh_trial_stats(t, &stats));
	REQUIRE(stats.rx_packets == 150, "rx_packets is %llu; 150 came",
	    (unsigned long long)stats.rx_packets);
	REQUIRE(stats.rx_bytes == t->bytes, "rx_bytes is %llu; %llu came",
	    (unsigned long long)stats.rx_bytes, (unsigned long long)t->bytes);
	REQUIRE(stats.rx_batches == t->batches, "rx_batches is %llu; %llu calls gave packets",
	    (unsigned long long)stats.rx_batches, (unsigned long long)t->batches);
	/* A wait may look more than once. */
	REQUIRE(stats.rx_empty >= t->empty, "rx_empty is %llu; at least %llu calls gave none",
	    (unsigned long long)stats.rx_empty, (unsigned long long)t->empty);
	/* On a wire there is more than is sent here: neighbours are looked for, groups reported. */
	REQUIRE(!stats.rx_truncated &&
		    stats.rx_malformed ==
			stats.malformed[MDFH_FRAME_NOT_IP] + stats.malformed[MDFH_FRAME_NOT_UDP] &&
		    !stats.rx_dropped_nic && !stats.rx_dropped_kernel && !stats.rx_dropped_socket,
	    "sound packets were counted as damaged or dropped");
	REQUIRE(!stats.tx_packets && !stats.tx_bytes && !stats.tx_failed, "counts of sending");
	return 0;
}

static int check_flows(struct trial *t)
{
	for (uint32_t i = 0; i < 90; i++)
		add(t, (uint16_t)(i * i % MDFH_CONFORMANCE_FLOWS), 20, 0);
	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){0}, 0));
	TRY(mdfh_trial_collect(t, 90));
	TRY(mdfh_trial_expect_none(t));
	return 0;
}

static int check_filters(struct trial *t)
{
	for (uint32_t i = 0; i < 60; i++)
		add(t, (uint16_t)(i % MDFH_CONFORMANCE_FLOWS), 20,
		    i % 2 ? MDFH_CONFORMANCE_STRAY : 0);
	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){0}, 0));
	TRY(mdfh_trial_collect(t, 30));
	TRY(mdfh_trial_expect_none(t));
	return 0;
}

static int check_sources(struct trial *t)
{
	struct mdfh_bypass_stats stats;

	if (!t->feed->sources)
		NOT_APPLICABLE("the feed has only one source address");
	for (uint32_t i = 0; i < 60; i++) {
		add(t, (uint16_t)(i % MDFH_CONFORMANCE_FLOWS), 20,
		    i % 2 ? MDFH_CONFORMANCE_FOREIGN : 0);
		/* Whatever comes of the other source is of no flow. */
		if (i % 2)
			t->datagrams[i].flags |= MDFH_CONFORMANCE_FOREIGN;
	}
	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){0}, MDFH_CONFORMANCE_WITH_SOURCES));
	for (int i = 1; i < t->sent; i += 2)
		t->datagrams[i].flags |= MDFH_CONFORMANCE_STRAY;
	TRY(mdfh_trial_collect(t, 30));
	TRY(mdfh_trial_expect_none(t));
	TRY(mdfh_trial_stats(t, &stats));
	REQUIRE(!stats.rx_dropped_nic && !stats.rx_dropped_kernel && !stats.rx_dropped_socket,
	    "what was filtered was counted as dropped");
	return 0;
}

static int check_batches(struct trial *t)
{
	int got = 0;

	for (uint32_t i = 0; i < 100; i++)
		add(t, 0, 30, 0);
	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){.batch_size = 16}, 0));
	TRY(mdfh_trial_collect(t, 1));
	REQUIRE(mdfh_bypass_recv(t->port, t->packets, 0) == 0, "recv of 0 packets gave some");
	for (int patience = PATIENCE; patience && !got; patience--)
		got = mdfh_bypass_recv_wait(t->port, t->packets + t->held, 256);
	REQUIRE(got >= 1 && got <= 16, "recv of 256 gave %d; batch_size is 16", got);
	for (int i = 0; i < got; i++)
		TRY(verify(t, &t->packets[t->held + i]));
	t->held += got;
	return mdfh_trial_collect(t, 100 - t->held);
}

static int check_truncation(struct trial *t)
{
	struct mdfh_bypass_config small = {.frame_size = 256};
	struct mdfh_bypass_stats stats;
	uint32_t limit;
	int got = 0;

	TRY(mdfh_trial_open(t, small, 0));
	limit = can(t)->frame_size;
	mdfh_bypass_close(t->port);
	t->port = NULL;
	if (limit >= LENGTH_MAX)
		NOT_APPLICABLE("its frames hold %u bytes, more than the suite sends", limit);
	add(t, 0, limit, 0);
	add(t, 0, limit + 1, 0);
	TRY(mdfh_trial_open(t, small, 0));
	TRY(mdfh_trial_collect(t, 1));
	REQUIRE(!(t->packets[0].flags & MDFH_PACKET_TRUNCATED), "a full frame is flagged");
	for (int patience = PATIENCE; patience && !got; patience--)
		got = mdfh_bypass_recv_wait(t->port, t->packets + 1, 1);
	REQUIRE(got == 1, "the longer packet did not come");
	t->held = 2;
	REQUIRE(t->packets[1].flags & MDFH_PACKET_TRUNCATED, "it is not flagged as truncated");
	REQUIRE(t->packets[1].length == limit, "it has %u bytes; the frame has %u",
	    t->packets[1].length, limit);
	REQUIRE(!memcmp(t->packets[1].data, t->data[1], limit), "it has other bytes");
	TRY(mdfh_trial_stats(t, &stats));
	REQUIRE(stats.rx_truncated == 1, "rx_truncated is %llu",
	    (unsigned long long)stats.rx_truncated);
	return 0;
}

/* Checks: time --------------------------------------------------------------- */

/* 1 if the times of a flow run backwards, -1 = decided. */
static int judge_stamps(struct trial *t, uint64_t before_ns)
{
	uint64_t last[MDFH_CONFORMANCE_FLOWS] = {0}, after_ns = mdfh_clock_now_ns();
	/* Clocks of a NIC or a capture are not ours; a minute only finds units and epochs. */
	const uint64_t slack = UINT64_C(60000000000);

	for (int i = 0; i < t->held; i++) {
		const struct mdfh_packet *p = &t->packets[i];
		unsigned source = p->flags & MDFH_PACKET_TIME_MASK;

		REQUIRE(p->receive_ns, "receive_ns is 0");
		REQUIRE(source && !(source & (source - 1)), "the time's source is 0x%x", source);
		REQUIRE(p->receive_ns > before_ns - slack && p->receive_ns < after_ns + slack,
		    "receive_ns is %llu, and now is %llu", (unsigned long long)p->receive_ns,
		    (unsigned long long)after_ns);
		if (p->receive_ns < last[p->flow])
			return 1;
		last[p->flow] = p->receive_ns;
	}
	return 0;
}

/* The kernel begins to stamp a moment after the first socket of the host has asked for it, and until
 * then gives packets the time at which they are read. So there are further tries, the port of the
 * one before still open. */
static int check_stamps(struct trial *t)
{
	int rc = 1;

	for (uint32_t i = 0; i < 50; i++)
		add(t, (uint16_t)(i % MDFH_CONFORMANCE_FLOWS), 30, 0);
	for (int tries = 10; rc == 1 && tries; tries--) {
		struct mdfh_bypass *earlier = t->port;
		uint64_t before_ns = mdfh_clock_now_ns();

		t->port = NULL;
		t->held = 0;
		memset(t->seen, 0, sizeof(t->seen));
		rc = mdfh_trial_open(t, (struct mdfh_bypass_config){0}, 0);
		mdfh_bypass_close(earlier);
		TRY(rc);
		TRY(mdfh_trial_collect(t, 50));
		rc = judge_stamps(t, before_ns);
	}
	REQUIRE(rc != 1, "the times of a flow run backwards");
	return rc;
}

static int check_stamps_off(struct trial *t)
{
	add(t, 0, 30, 0);
	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){.timestamps = MDFH_TIMESTAMPS_OFF}, 0));
	TRY(mdfh_trial_collect(t, 1));
	REQUIRE(!t->packets[0].receive_ns && !(t->packets[0].flags & MDFH_PACKET_TIME_MASK),
	    "receive_ns is %llu, flags 0x%x", (unsigned long long)t->packets[0].receive_ns,
	    t->packets[0].flags);
	return 0;
}

/* Checks: holding ------------------------------------------------------------- */

static const struct mdfh_bypass_config small_ring = {.rx_ring_size = 64, .batch_size = 16};

/* The bytes of every held packet are still those that were sent. */
static int verify_held(struct trial *t)
{
	for (int i = 0; i < t->held; i++) {
		uint32_t serial = 0;

		if (!t->packets[i].data) /* given back */
			continue;
		for (uint32_t k = 0; k < SERIAL_BYTES; k++)
			serial |= (uint32_t)t->packets[i].data[k] << 8 * k;
		REQUIRE(serial < (uint32_t)t->sent &&
			    !memcmp(t->packets[i].data, t->data[serial], t->packets[i].length),
		    "held packet %d has changed", i);
	}
	return 0;
}

static int check_hold(struct trial *t)
{
	uint32_t limit;

	for (uint32_t i = 0; i < 300; i++)
		add(t, (uint16_t)(i % MDFH_CONFORMANCE_FLOWS), 100, 0);
	TRY(mdfh_trial_open(t, small_ring, 0));
	limit = can(t)->hold_max;
	REQUIRE(limit >= 16, "hold_max is %u with a ring of 64 and batches of 16", limit);
	if (limit > 200)
		limit = 200;
	TRY(mdfh_trial_collect(t, (int)limit));
	/* At the limit recv still gives packets. */
	TRY(mdfh_trial_collect(t, 16));
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
	limit += 16;
	t->held = 0;
	while (limit < 300) {
		uint32_t n = 300 - limit < 16 ? 300 - limit : 16;

		TRY(mdfh_trial_collect(t, (int)n));
		mdfh_trial_release_all(t);
		limit += n;
	}
	return mdfh_trial_expect_none(t);
}

static int check_hold_past_max(struct trial *t)
{
	struct mdfh_bypass_stats stats;
	int rest;

	for (uint32_t i = 0; i < 300; i++)
		add(t, 0, 100, 0);
	TRY(mdfh_trial_open(t, small_ring, 0));
	if (can(t)->hold_max > 280)
		NOT_APPLICABLE("hold_max is %u, more than the suite sends", can(t)->hold_max);
	/* Until nothing is handed out any more, or copies are. */
	for (int patience = PATIENCE; t->held < 300 && patience;) {
		/* Waits, because they may still be on their way. */
		int got = mdfh_bypass_recv_wait(t->port, t->packets + t->held, 16);

		REQUIRE(got >= 0 || got == -ENODATA, "recv: %s", mdfh_error_text());
		for (int i = 0; i < got; i++)
			TRY(verify(t, &t->packets[t->held + i]));
		t->held += got > 0 ? got : 0;
		patience = got > 0 ? PATIENCE : patience - 1;
		TRY(mdfh_trial_stats(t, &stats));
		if (t->held >= (int)can(t)->hold_max && got <= 0 && stats.rx_starved)
			break;
	}
	REQUIRE(t->held >= (int)can(t)->hold_max, "only %d packets came; hold_max is %u", t->held,
	    can(t)->hold_max);
	TRY(verify_held(t));
	if (t->held == 300)
		REQUIRE(stats.rx_copied, "all 300 came, and rx_copied is 0");
	else
		REQUIRE(stats.rx_starved, "packets had to wait, and rx_starved is 0");
	rest = 300 - t->held;
	mdfh_trial_release_all(t);
	while (rest) {
		int n = rest < 16 ? rest : 16;

		TRY(mdfh_trial_collect(t, n));
		mdfh_trial_release_all(t);
		rest -= n;
	}
	return mdfh_trial_expect_none(t);
}

static int check_release_twice(struct trial *t)
{
	for (uint32_t i = 0; i < 200; i++)
		add(t, 0, 50, 0);
	TRY(mdfh_trial_open(t, small_ring, 0));
	for (int i = 0; i < 10; i++) {
		TRY(mdfh_trial_collect(t, 16));
		mdfh_bypass_release(t->port, t->packets, 16);
		mdfh_bypass_release(t->port, t->packets, 16);
		t->held = 0;
	}
	/* Had a frame two places in the free list, two packets would now share it. */
	TRY(mdfh_trial_collect(t, 40));
	return verify_held(t);
}

/* Checks: waiting, end and lifecycle ----------------------------------------------- */

static int check_nothing_there(struct trial *t)
{
	struct mdfh_bypass_stats stats;
	int want, got;

	if (!t->feed->feeds)
		NOT_APPLICABLE("the backend makes packets of its own");
	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){.poll_timeout_us = 1000}, 0));
	want = can(t)->is_finite ? -ENODATA : 0;
	got = mdfh_bypass_recv(t->port, t->packets, 16);
	REQUIRE(got == want, "recv gave %d; it must be %d", got, want);
	got = mdfh_bypass_recv_wait(t->port, t->packets, 16);
	REQUIRE(got == want, "recv_wait gave %d; it must be %d", got, want);
	TRY(mdfh_trial_stats(t, &stats));
	REQUIRE(!stats.rx_packets && !stats.rx_batches && stats.rx_empty >= 2,
	    "rx_packets is %llu, rx_batches %llu, rx_empty %llu",
	    (unsigned long long)stats.rx_packets, (unsigned long long)stats.rx_batches,
	    (unsigned long long)stats.rx_empty);
	return 0;
}

static int check_end(struct trial *t)
{
	for (uint32_t i = 0; i < 20; i++)
		add(t, 0, 50, 0);
	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){0}, 0));
	if (!can(t)->is_finite)
		NOT_APPLICABLE("the source does not end");
	TRY(mdfh_trial_collect(t, 20));
	for (int i = 0; i < 3; i++) {
		int got = mdfh_bypass_recv(t->port, t->packets + t->held, 1);

		REQUIRE(got == -ENODATA, "recv gave %d after the end", got);
	}
	TRY(verify_held(t)); /* the end takes nothing back */
	return 0;
}

static int check_lifecycle(struct trial *t)
{
	int before = 0;

	if (t->feed->feeds)
		for (uint32_t i = 0; i < 10; i++)
			add(t, 0, 50, 0);
	for (int i = 0; i < 20; i++) {
		/* The first time things may be set up for good. */
		if (i == 1)
			before = mdfh_trial_descriptors();
		memset(t->seen, 0, sizeof(t->seen));
		t->held = 0;
		TRY(mdfh_trial_open(t, small_ring, 0));
		if (t->feed->feeds)
			TRY(mdfh_trial_collect(t, 10));
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

/* Checks: loss -------------------------------------------------------------------- */

static int check_drops(struct trial *t)
{
	struct mdfh_bypass_stats stats;
	uint64_t dropped = 0, came = 0;

	for (uint32_t i = 0; i < 400; i++)
		add(t, 0, 1000, 0);
	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){.receive_buffer_bytes = 4096}, 0));
	if (can(t)->is_finite)
		NOT_APPLICABLE("a source that waits loses nothing");
	for (int patience = PATIENCE; came + dropped < 400 && patience;) {
		int got = mdfh_bypass_recv_wait(t->port, t->packets, 64);

		REQUIRE(got >= 0, "recv: %s", mdfh_error_text());
		for (int i = 0; i < got; i++)
			TRY(verify(t, &t->packets[i]));
		mdfh_bypass_release(t->port, t->packets, got);
		came += (uint64_t)got;
		patience = got ? PATIENCE : patience - 1;
		TRY(mdfh_trial_stats(t, &stats));
		dropped = stats.rx_dropped_nic + stats.rx_dropped_kernel + stats.rx_dropped_socket;
	}
	if (came == 400)
		REQUIRE(!dropped, "all came, and %llu are counted as dropped",
		    (unsigned long long)dropped);
	else if (!stats.known_drops)
		NOT_APPLICABLE(
		    "it knows no drops, and %llu were lost", (unsigned long long)(400 - came));
	REQUIRE(came + dropped == 400, "400 were sent, %llu came and %llu are counted as dropped",
	    (unsigned long long)came, (unsigned long long)dropped);
	return mdfh_trial_expect_none(t);
}

/* Checks: sending ----------------------------------------------------------------- */

static int check_send(struct trial *t)
{
	struct mdfh_packet out[60];
	struct mdfh_bypass_stats stats;
	uint64_t bytes = 0;
	int rc;

	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){0}, 0));
	for (uint16_t i = 0; i < 60; i++) {
		add(t, i % MDFH_CONFORMANCE_FLOWS, 40u + i, 0);
		out[i] = (struct mdfh_packet){
		    .data = t->data[i], .length = 40u + i, .flow = i % MDFH_CONFORMANCE_FLOWS};
		bytes += 40u + i;
	}
	rc = mdfh_bypass_send(t->port, out, 60);
	if (!can(t)->can_send) {
		REQUIRE(rc == -ENOTSUP, "it cannot send, and send gave %d", rc);
		return 0;
	}
	REQUIRE(rc == 60, "send took %d of 60: %s", rc, rc < 0 ? mdfh_error_text() : "");
	TRY(mdfh_trial_stats(t, &stats));
	REQUIRE(stats.tx_packets == 60 && stats.tx_bytes == bytes && !stats.tx_failed,
	    "tx_packets is %llu, tx_bytes %llu, tx_failed %llu",
	    (unsigned long long)stats.tx_packets, (unsigned long long)stats.tx_bytes,
	    (unsigned long long)stats.tx_failed);
	if (t->feed->loops) {
		TRY(mdfh_trial_collect(t, 60));
		TRY(mdfh_trial_expect_none(t));
	}
	return 0;
}

static int check_send_only(struct trial *t)
{
	struct mdfh_bypass_config config = {
	    .size = sizeof(config), .direction = MDFH_DIRECTION_SEND, .poll_timeout_us = 1000};
	struct mdfh_packet packet = {.data = t->data[0], .length = 10};
	int rc = t->feed->open(t->feed->context, &config, 0, NULL, 0, &t->port);

	if (rc == -ENOTSUP)
		NOT_APPLICABLE("%.200s", mdfh_error_text());
	REQUIRE(!rc, "open: %s", mdfh_error_text());
	rc = mdfh_bypass_recv(t->port, t->packets, 1);
	REQUIRE(rc == 0, "recv on a port that only sends gave %d", rc);
	rc = mdfh_bypass_send(t->port, &packet, 1);
	REQUIRE(rc == 1, "send gave %d: %s", rc, rc < 0 ? mdfh_error_text() : "");
	return 0;
}

/* The profile ------------------------------------------------------------------- */

const struct conformance_check mdfh_conformance_packet_checks[] = {
    {"capabilities", "an open port says what it can do", mdfh_check_capabilities},
    {"configuration", "a bad field is refused by its name", mdfh_check_configuration},
    {"zero-copy", "require_zero_copy is kept or refused", mdfh_check_zero_copy},
    {"packets", "what is sent arrives once, whole and in order", check_packets},
    {"own-packets", "packets of its own are sound and counted", check_own_packets},
    {"counters", "packets, bytes and calls are counted", check_counters},
    {"flows", "every packet has the number of its flow", check_flows},
    {"filters", "packets of no flow are not handed out", check_filters},
    {"sources", "packets of another source are not handed out", check_sources},
    {"mixed", "of a mixed stream of frames exactly those of a flow come", mdfh_check_mixed},
    {"unicast", "the same of frames to this host among those to others", mdfh_check_unicast},
    {"vlans", "a flow's VLAN matches either tag of a frame", mdfh_check_vlans},
    {"batches", "recv gives at most batch_size packets", check_batches},
    {"truncation", "a packet longer than a frame is cut, flagged and counted", check_truncation},
    {"stamps", "receive times are there, named and sane", check_stamps},
    {"stamps-off", "without receive times there are none", check_stamps_off},
    {"hold", "hold_max packets can be held and come back in any order", check_hold},
    {"hold-past-max", "past hold_max nothing is lost or overwritten", check_hold_past_max},
    {"release-twice", "a packet released twice does no harm", check_release_twice},
    {"nothing-there", "recv and recv_wait return when nothing comes", check_nothing_there},
    {"end", "a finite source ends with -ENODATA, again and again", check_end},
    {"lifecycle", "ports open and close many times, packets held or not", check_lifecycle},
    {"two-ports", "two ports are open at once", mdfh_check_two_ports},
    {"drops", "sent = received + counted as dropped", check_drops},
    {"send", "what is sent is counted and arrives, or send is refused", check_send},
    {"receive-only", "a port that only receives refuses to send", mdfh_check_receive_only},
    {"send-only", "a port that only sends receives nothing", check_send_only},
};

const int mdfh_conformance_packet_count =
    sizeof(mdfh_conformance_packet_checks) / sizeof(mdfh_conformance_packet_checks[0]);

_Static_assert(sizeof(mdfh_conformance_packet_checks) / sizeof(mdfh_conformance_packet_checks[0]) <=
		   MDFH_CONFORMANCE_CHECKS,
    "header");
