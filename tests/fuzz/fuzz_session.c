/* fuzz_session.c - any order of packets, any drop counters, into a channel.
 *
 * The input is a script: packets made from it arrive on four lines, time passes, counters change.
 * Whatever comes, spans must follow one another without hole or overlap and hold what they say.
 * A script has a bounded number of steps, enough to fill the window and then some. */
#include "fuzz.h"

#include <sanitizer/asan_interface.h>

#include "mdfh/event.h"
#include "mdfh/session.h"

enum { STEPS_MAX = 32 };

static uint32_t walk(enum mdfh_framing framing, const uint8_t *data, uint32_t length)
{
	const uint8_t *message;
	uint32_t n = 0, size, step;

	while (length && (step = mdfh_framing_next(framing, data, length, &message, &size)) > 0) {
		REQUIRE(step <= length && message >= data && message + size <= data + step);
		data += step;
		length -= step;
		n++;
	}
	REQUIRE(length == 0);
	return n;
}

struct script {
	const struct mdfh_session_ops *ops;
	struct mdfh_channel *channel;
	uint64_t next;
	uint64_t delivered, lost;
	uint8_t epoch;
	int begun, fresh; /* fresh: a session has just begun */
};

static void take(struct script *s, const struct mdfh_span *spans, int n)
{
	REQUIRE(n >= 0 && n <= MDFH_SPANS_MAX);
	for (int i = 0; i < n; i++) {
		const struct mdfh_span *span = &spans[i];

		if (span->kind == MDFH_SPAN_SESSION_BEGIN) {
			s->begun = 1;
			s->fresh = 1;
			REQUIRE(span->epoch == (uint8_t)(s->epoch + 1));
			s->epoch = span->epoch;
			s->next = span->first;
			continue;
		}
		REQUIRE(s->begun && span->epoch == s->epoch);
		if (s->fresh && span->kind == MDFH_SPAN_GAP &&
		    span->cause == MDFH_CAUSE_LATE_JOIN) {
			REQUIRE(span->first == 1 && span->messages == s->next - 1);
			s->lost += span->messages;
			s->fresh = 0;
			continue;
		}
		s->fresh = 0;
		REQUIRE(span->first == s->next);
		if (span->kind == MDFH_SPAN_SESSION_END)
			continue;
		if (span->kind == MDFH_SPAN_GAP) {
			REQUIRE(span->messages > 0 && span->messages <= UINT64_MAX - s->next);
			REQUIRE(span->cause != MDFH_CAUSE_NONE);
			s->next += span->messages;
			s->lost += span->messages;
			continue;
		}
		REQUIRE(walk(s->ops->framing, span->data, span->length) == span->messages);
		s->next += s->ops->counts_packets ? 1 : span->messages;
		s->delivered += s->ops->counts_packets ? 1 : span->messages;
	}
}

static uint32_t build(uint8_t *packet, const struct mdfh_session_ops *ops, const uint8_t *from)
{
	static const uint64_t bases[4] = {0, 0, 1ull << 40, UINT64_MAX - 300};
	uint64_t first = bases[from[0] >> 6 & 3] + from[1];
	unsigned count = from[2] & 15, at;

	memset(packet, 0, 64);
	if (ops->counts_packets) {
		packet[0] = from[1];
		packet[1] = from[0] >> 6;
		at = 12;
		for (unsigned i = 0; i < count; i++) {
			packet[at] = 3;
			packet[at + 1] = 0;
			at += 3;
		}
		return at;
	}
	if (ops->framing == MDFH_FRAMING_LENGTH_LE16) {
		packet[0] = 1;
		packet[2] = 4;
		packet[3] = 0x80;
		packet[8] = from[2] >> 6 == 3 ? 'T' : 'S';
		packet[12] = (uint8_t)(count * 3);
		packet[14] = (uint8_t)count;
		for (int i = 0; i < 8; i++)
			packet[24 + i] = (uint8_t)(first >> (8 * i));
		at = 40;
	} else {
		packet[0] = from[2] >> 6 == 3 ? 'T' : 'S';
		for (int i = 0; i < 8; i++)
			packet[10 + i] = (uint8_t)(first >> (56 - 8 * i));
		packet[19] = (uint8_t)count;
		if ((from[2] & 0x30) == 0x30)
			packet[18] = packet[19] = 0xff;
		at = 20;
	}
	for (unsigned i = 0; i < count; i++) {
		packet[at] = ops->framing == MDFH_FRAMING_LENGTH_LE16;
		packet[at + 1] = !packet[at];
		at += 3;
	}
	return at;
}

static void play(const uint8_t *data, size_t size)
{
	static const char *const protocols[] = {"moldudp64", "iex-tp", "mdp3", "moldudp64"};
	struct script s = {.ops = mdfh_session_find(protocols[data[0] & 3])};
	struct mdfh_channel_config config = {
	    .size = sizeof(config),
	    .session = s.ops,
	    .lines = 4,
	    .window_packets = 16,
	    .window_frame_size = 64,
	    .first_sequence = data[0] & 4 ? 1 : 0,
	    .session_id = data[0] & 8 && s.ops->framing == MDFH_FRAMING_LENGTH_BE16 ? "S" : NULL,
	};
	const struct mdfh_channel_stats *stats;
	static _Alignas(8) uint8_t bytes[128]; /* packet; closed when the call is over */
	struct mdfh_span spans[MDFH_SPANS_MAX];
	struct mdfh_line_drops drops[4] = {{0}};
	int64_t now = 1;
	int n;

	REQUIRE(mdfh_channel_create(&config, &s.channel) == 0);
	for (size_t at = 1; at + 4 <= size; at += 4) {
		uint8_t packet[128];
		struct mdfh_packet p = {0};
		unsigned line = data[at] & 3, action = data[at] >> 2 & 15;

		now += (int64_t)data[at + 3] * 1000000;
		if (action == 0) {
			drops[line].socket += data[at + 1];
			drops[line].nic += data[at + 2];
			drops[line].known = 7;
			mdfh_channel_drops(s.channel, line, &drops[line]);
			continue;
		}
		if (action == 1) {
			/* Raw bytes of the input as a packet. */
			p.length = (uint32_t)(size - at < 60 ? size - at : 60);
			memcpy(packet, data + at, p.length);
		} else {
			p.length = build(packet, s.ops, data + at);
			if (action == 2 && p.length > 0)
				p.length -= data[at + 3] % p.length;
			else if (action == 3)
				packet[19] ^= data[at + 3];
		}
		/* Open for exactly its length and for this call: reads beyond or later are seen. */
		__asan_unpoison_memory_region(bytes, p.length);
		__asan_poison_memory_region(bytes + p.length, sizeof(bytes) - p.length);
		memcpy(bytes, packet, p.length);
		p.data = bytes;
		n = mdfh_channel_push(s.channel, &p, line, now, spans, MDFH_SPANS_MAX);
		take(&s, spans, n);
		while (n == MDFH_SPANS_MAX) {
			n = mdfh_channel_poll(s.channel, now, spans, MDFH_SPANS_MAX);
			take(&s, spans, n);
		}
		__asan_poison_memory_region(bytes, sizeof(bytes));
	}
	do {
		n = mdfh_channel_flush(s.channel, now, spans, MDFH_SPANS_MAX);
		take(&s, spans, n);
	} while (n);
	REQUIRE(!mdfh_channel_waiting(s.channel));
	stats = mdfh_channel_stats(s.channel);
	REQUIRE(stats->delivered == s.delivered && stats->lost == s.lost);
	REQUIRE(!s.begun || stats->next_sequence == s.next);
	mdfh_channel_destroy(s.channel);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	play(data, size < 1 + 4 * STEPS_MAX ? size : 1 + 4 * STEPS_MAX);
	return 0;
}
