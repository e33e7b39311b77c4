/* conformance_bytes.c - see conformance_bytes.h. */
#include "net/conformance_bytes.h"

#include "mdfh/error.h"

const struct mdfh_bypass_config mdfh_stream_small_ring = {
    .rx_ring_size = 64, .batch_size = 16, .frame_size = 256};

static uint8_t pattern(uint64_t connection, uint64_t at)
{
	uint64_t x = (connection << 40 | at >> 3) * UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
	return (uint8_t)((x ^ x >> 32) >> 8 * (at & 7));
}

void mdfh_stream_fill(uint8_t *data, uint64_t connection, uint64_t at, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		data[i] = pattern(connection, at + i);
}

int mdfh_stream_is_pattern(const uint8_t *data, uint64_t connection, uint64_t at, uint32_t length)
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
int mdfh_stream_verify(struct trial *t, int index)
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
	REQUIRE(mdfh_stream_is_pattern(p->data, t->connection, t->at, p->length),
	    "the bytes from %llu on, %u of them, are others than were written",
	    (unsigned long long)t->at, p->length);
	t->at += p->length;
	return 0;
}

/* One look for up to n packets, which are verified and held. The count, or -1 = decided. */
int mdfh_stream_look(struct trial *t, int n)
{
	int got;

	if (t->held + n > DATAGRAMS_MAX)
		mdfh_trial_release_all(t);
	got = mdfh_trial_receive(t, n);
	REQUIRE(got >= 0, "recv: %s", mdfh_error_text());
	for (int i = 0; i < got; i++)
		TRY(mdfh_stream_verify(t, t->held + i));
	t->held += got;
	return got;
}

/* The same, and wait if nothing is there. */
int mdfh_stream_look_waiting(struct trial *t, int n)
{
	int got = mdfh_stream_look(t, n);

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
	TRY(mdfh_stream_verify(t, t->held));
	t->held++;
	return 1;
}

/* All that was written has come; packets stay held, or are released as they come. */
static int collect_all(struct trial *t, int held)
{
	for (int patience = PATIENCE; t->at < t->written && patience;) {
		int got = mdfh_stream_look_waiting(t, 16);

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

int mdfh_stream_collect_held(struct trial *t)
{
	return collect_all(t, 1);
}

int mdfh_stream_collect(struct trial *t)
{
	TRY(collect_all(t, 0));
	mdfh_trial_release_all(t);
	return 0;
}

/* The next packet is this mark. */
int mdfh_stream_expect_mark(struct trial *t, unsigned mark)
{
	int got = 0;

	for (int patience = PATIENCE; patience && !got; patience--) {
		got = mdfh_stream_look_waiting(t, 1);
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

int mdfh_stream_expect_none(struct trial *t)
{
	int got = mdfh_stream_look(t, 1);

	TRY(got < 0);
	REQUIRE(!got, "recv gave a packet where nothing was left");
	return 0;
}

/* The server ---------------------------------------------------------------- */

int mdfh_stream_serve(struct trial *t, int on)
{
	REQUIRE(!t->feed->server->listen(t->feed->server->context, on), "%s", mdfh_error_text());
	return 0;
}

/* The server has the connection that the port begins. */
int mdfh_stream_accept_connection(struct trial *t)
{
	REQUIRE(!t->feed->server->accept(t->feed->server->context), "%s", mdfh_error_text());
	t->connection++;
	t->written = 0;
	return 0;
}

int mdfh_stream_hang_up(struct trial *t, int reset)
{
	REQUIRE(
	    !t->feed->server->hang_up(t->feed->server->context, reset), "%s", mdfh_error_text());
	return 0;
}

/* Write on, and receive where the way is full; what comes is not held. */
int mdfh_stream_write_bytes(struct trial *t, uint64_t length)
{
	uint8_t *data = t->data[0];
	int patience = PATIENCE;

	while (length) {
		uint32_t piece = length < LENGTH_MAX ? (uint32_t)length : LENGTH_MAX;
		int n;

		mdfh_stream_fill(data, t->connection, t->written, piece);
		/* It may come before the call returns. */
		t->written += piece;
		n = t->feed->server->write(t->feed->server->context, data, piece);
		t->written -= piece - (uint32_t)(n > 0 ? n : 0);
		REQUIRE(n >= 0, "%s", mdfh_error_text());
		length -= (uint32_t)n;
		if (n)
			continue;
		n = mdfh_stream_look_waiting(t, 16);
		TRY(n < 0);
		mdfh_trial_release_all(t);
		patience = n ? PATIENCE : patience - 1;
		REQUIRE(patience, "the way to the port is full, and nothing comes");
	}
	return 0;
}

/* A port that is connected. */
int mdfh_stream_begin(struct trial *t, struct mdfh_bypass_config wanted)
{
	TRY(mdfh_stream_serve(t, 0));
	TRY(mdfh_stream_serve(t, 1));
	TRY(mdfh_trial_open(t, wanted, 0));
	TRY(mdfh_stream_accept_connection(t));
	return mdfh_stream_expect_mark(t, MDFH_PACKET_CONNECTED);
}
