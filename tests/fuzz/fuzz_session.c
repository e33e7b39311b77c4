/* fuzz_session.c - any order of packets, any drop counters, into a channel.
 *
 * The input is a script: packets made from it arrive on four lines, time passes, counters change.
 * Whatever comes, spans must follow one another without hole or overlap and hold what they say:
 * each message has its number and its session in it. What was taken is given out, never a gap, and
 * each line's account of its numbers closes. A script has a bounded number of steps, enough to fill
 * the window and then some. */
#include "spans.h"

#include <sanitizer/asan_interface.h>

enum { STEPS_MAX = 32, LINES = 4, ROW = 48, TAKEN_MAX = STEPS_MAX * ROW };

/* Numbers of a packet that was taken. */
struct taken {
	uint64_t first, next;
};

struct script {
	struct span_check check;
	struct mdfh_channel *channel;
	int is_raw;  /* bytes of the input came as a packet: messages may hold anything */
	int session; /* of the epoch, as its messages say it; -1 = none has come */
	struct taken taken[TAKEN_MAX];
	unsigned taken_count;
	uint64_t numbers[LINES]; /* taken of each line */
	uint64_t packets[LINES];
	uint64_t claimed[LINES];
};

static const struct mdfh_session_ops *ops_of(const struct script *s)
{
	return s->check.ops;
}

/* The byte that a message of this number and session has. */
static uint8_t mark(uint64_t number, int session)
{
	return (uint8_t)((number & 0x7f) | (session ? 0x80 : 0));
}

static void look_at_data(struct script *s, const struct mdfh_span *span)
{
	const uint8_t *at = span->data, *message;
	uint32_t left = span->length, size, step;
	uint64_t number = span->first;

	while ((step = mdfh_framing_next(ops_of(s)->framing, at, left, &message, &size)) > 0) {
		uint8_t byte = message[size - 1];

		if (s->session < 0)
			s->session = byte >> 7;
		REQUIRE(byte == mark(number, s->session));
		number += !ops_of(s)->counts_packets;
		at += step;
		left -= step;
		if (!left)
			break;
	}
}

static void look(void *context, const struct mdfh_span *span)
{
	struct script *s = context;

	if (span->kind == MDFH_SPAN_SESSION_BEGIN) {
		s->session = -1;
		s->taken_count = 0;
	} else if (span->kind == MDFH_SPAN_DATA && !s->is_raw) {
		look_at_data(s, span);
	} else if (span->kind == MDFH_SPAN_GAP) {
		for (unsigned i = 0; i < s->taken_count; i++)
			REQUIRE(s->taken[i].next <= span->first ||
				s->taken[i].first >= span->first + span->messages);
	}
}

static uint64_t refusals(const struct script *s, unsigned line)
{
	const uint64_t *errors = mdfh_channel_stats(s->channel)->lines[line].errors;

	return errors[MDFH_SESSION_SHORT] + errors[MDFH_SESSION_VERSION] +
	       errors[MDFH_SESSION_SEQUENCE] + errors[MDFH_SESSION_FOREIGN];
}

/* A packet of 4 bytes of the script, so many numbers on. */
static uint32_t build(
    uint8_t *packet, const struct mdfh_session_ops *ops, const uint8_t *from, unsigned on)
{
	static const uint64_t bases[4] = {0, 0, 1ull << 40, UINT64_MAX - 300};
	uint64_t first = bases[from[0] >> 6 & 3] + from[1] + on;
	unsigned count = from[2] & 15, at;
	int session = from[2] >> 6 == 3;

	memset(packet, 0, 64);
	if (ops->counts_packets) {
		first = ((unsigned)from[0] >> 6 << 8) + from[1] + on;
		packet[0] = (uint8_t)first;
		packet[1] = (uint8_t)(first >> 8);
		at = 12;
		for (unsigned i = 0; i < count; i++) {
			packet[at] = 3;
			packet[at + 2] = mark(first, 0);
			at += 3;
		}
		return at;
	}
	if (ops->framing == MDFH_FRAMING_LENGTH_LE16) {
		packet[0] = 1;
		packet[2] = 4;
		packet[3] = 0x80;
		packet[8] = session ? 'T' : 'S';
		packet[12] = (uint8_t)(count * 3);
		packet[14] = (uint8_t)count;
		for (int i = 0; i < 8; i++)
			packet[24 + i] = (uint8_t)(first >> (8 * i));
		at = 40;
	} else {
		packet[0] = session ? 'T' : 'S';
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
		packet[at + 2] = mark(first + i, session);
		at += 3;
	}
	return at;
}

/* Push a packet that lies in bytes, and take note of what has become of it. */
static void arrive(struct script *s, struct mdfh_packet *packet, unsigned line, int64_t now)
{
	struct mdfh_span spans[MDFH_SPANS_MAX];
	uint64_t before = refusals(s, line), numbers;
	struct mdfh_unit unit;
	int n, is_sound;

	is_sound = !ops_of(s)->parse(packet->data, packet->length, &unit);
	n = mdfh_channel_push(s->channel, packet, line, now, spans, MDFH_SPANS_MAX);
	check_spans(&s->check, spans, n);
	while (n == MDFH_SPANS_MAX) {
		n = mdfh_channel_poll(s->channel, now, spans, MDFH_SPANS_MAX);
		check_spans(&s->check, spans, n);
	}
	s->packets[line]++;
	if (is_sound)
		s->claimed[line] += unit.claimed;
	if (refusals(s, line) != before) {
		REQUIRE(refusals(s, line) == before + 1);
		return;
	}
	REQUIRE(is_sound);
	numbers = ops_of(s)->counts_packets ? 1 : unit.messages;
	if (unit.kind != MDFH_UNIT_DATA || !numbers)
		return;
	s->numbers[line] += numbers;
	s->taken[s->taken_count++] = (struct taken){unit.first, unit.first + numbers};
}

static void finish(struct script *s, int64_t now)
{
	const struct mdfh_channel_stats *stats = mdfh_channel_stats(s->channel);
	struct mdfh_span spans[MDFH_SPANS_MAX];
	int n;

	do {
		n = mdfh_channel_flush(s->channel, now, spans, MDFH_SPANS_MAX);
		check_spans(&s->check, spans, n);
	} while (n);
	REQUIRE(!mdfh_channel_window_used(s->channel, INT64_MAX));
	check_counts(&s->check, stats);
	for (int i = 0; i < LINES; i++) {
		const struct mdfh_line_stats *line = &stats->lines[i];

		REQUIRE(line->packets == s->packets[i] && line->messages == s->claimed[i]);
		REQUIRE(line->delivered + line->duplicates == s->numbers[i]);
	}
	mdfh_channel_destroy(s->channel);
}

/* A packet whose bytes are open for exactly their length and for this call: reads beyond or later
 * are seen. */
static void arrive_alone(
    struct script *s, const uint8_t *packet, uint32_t length, unsigned line, int64_t now)
{
	static _Alignas(8) uint8_t bytes[128];
	struct mdfh_packet p = {.data = bytes, .length = length};

	__asan_unpoison_memory_region(bytes, length);
	__asan_poison_memory_region(bytes + length, sizeof(bytes) - length);
	memcpy(bytes, packet, length);
	arrive(s, &p, line, now);
	__asan_poison_memory_region(bytes, sizeof(bytes));
}

/* The counters of a line's path rise; lines may have one in common. */
static void drop(struct mdfh_line_drops *drops, const uint8_t *from)
{
	drops->socket += from[1] & 15;
	drops->nic += from[1] >> 4;
	drops->kernel += from[2] & 1;
	drops->injected += from[2] >> 1 & 1;
	drops->known = 7 | (from[2] & 2 ? 8 : 0);
	drops->shared = from[2] >> 2 & 3;
}

/* Packets with a number left out between each two: more than window and a line's memory hold. */
static void arrive_in_a_row(struct script *s, const uint8_t *from, unsigned line, int64_t now)
{
	unsigned step = 1 + (ops_of(s)->counts_packets ? 1 : from[2] & 15);
	uint8_t packet[128];

	for (unsigned i = 0; i < ROW; i++)
		arrive_alone(s, packet, build(packet, ops_of(s), from, i * step), line, now);
}

static void play(const uint8_t *data, size_t size)
{
	static const char *const protocols[] = {"moldudp64", "iex-tp", "mdp3", "moldudp64"};
	static struct script s;
	struct mdfh_channel_config config = {
	    .size = sizeof(config),
	    .session = mdfh_session_find(protocols[data[0] & 3]),
	    .lines = LINES,
	    .window_packets = 16,
	    .window_frame_size = 64,
	    .first_sequence = data[0] & 4 ? 1 : 0,
	};
	struct mdfh_line_drops drops[LINES] = {{0}};
	int64_t now = 1;

	if (data[0] & 8 && config.session->framing == MDFH_FRAMING_LENGTH_BE16)
		config.session_id = "S";
	memset(&s, 0, sizeof(s));
	s.check = (struct span_check){.ops = config.session, .look = look, .context = &s};
	s.session = -1;
	REQUIRE(mdfh_channel_create(&config, &s.channel) == 0);
	for (size_t at = 1; at + 4 <= size; at += 4) {
		const uint8_t *from = data + at;
		unsigned line = from[0] & 3, action = from[0] >> 2 & 15;
		uint8_t packet[128];
		uint32_t length;

		now += (int64_t)from[3] * 1000000;
		if (action == 0) {
			drop(&drops[line], from);
			mdfh_channel_drops(s.channel, line, &drops[line]);
			continue;
		}
		if (action == 4) {
			arrive_in_a_row(&s, from, line, now);
			continue;
		}
		if (action == 1) { /* raw bytes of the input as a packet */
			length = (uint32_t)(size - at < 60 ? size - at : 60);
			memcpy(packet, from, length);
			s.is_raw = 1;
		} else {
			length = build(packet, config.session, from, 0);
			if (action == 2 && length > 0)
				length -= from[3] % length;
			else if (action == 3)
				packet[19] ^= from[3];
		}
		arrive_alone(&s, packet, length, line, now);
	}
	finish(&s, now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	play(data, size < 1 + 4 * STEPS_MAX ? size : 1 + 4 * STEPS_MAX);
	return 0;
}
