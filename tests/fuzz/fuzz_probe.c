/* fuzz_probe.c - what the test tools hear: messages of a run, whole or damaged, in a stream cut
 * anywhere; and which of their numbers came.
 *
 * The input is a row of messages, 12 bytes each: length, number and what is done to it. A stream is
 * read as it is cut and as a whole, and both find the same; the tally says what a list of all
 * numbers says. */
#include "fuzz.h"

#include "core/bytes.h"
#include "tools/probe_message.h"
#include "tools/probe_tally.h"

enum { MESSAGES_MAX = 48, BYTES_MAX = MESSAGES_MAX * 700 };

struct found {
	struct probe_message message;
	enum probe_verdict verdict;
};

struct finding {
	struct found found[2 * BYTES_MAX / PROBE_HEADER];
	unsigned count;
};

static uint8_t bytes[BYTES_MAX];

static uint64_t number_of(const uint8_t *from)
{
	static const uint64_t bases[8] = {0, 1, 64, PROBE_WINDOW - 4, PROBE_WINDOW + 60,
	    UINT64_C(5) * PROBE_WINDOW, UINT64_C(1) << 63, UINT64_MAX - 70};

	return bases[from[0] & 7] + (from[1] & 63);
}

/* The messages of the input, one behind the other; how many bytes they have. */
static uint32_t make(const uint8_t *data, size_t size)
{
	uint32_t at = 0;

	for (unsigned n = 0; n < MESSAGES_MAX && size >= 12; n++, data += 12, size -= 12) {
		const struct probe_message message = {.run = data[5],
		    .sequence = number_of(data + 2),
		    .due_ns = data[6],
		    .sent_ns = data[7],
		    .length = (uint16_t)(PROBE_HEADER + mdfh_load_be16(data) % 600),
		    .flags = data[8] & 1};
		uint8_t *to = bytes + at;

		probe_message_write(&message, to);
		if (data[8] & 2) /* somewhere in it, the length included */
			to[mdfh_load_be16(data + 9) % message.length] ^= data[11];
		if (data[8] & 4)
			memcpy(to, data, 12);
		at += message.length;
	}
	return at;
}

static void note(
    struct finding *finding, const struct probe_message *message, enum probe_verdict verdict)
{
	struct found *found = &finding->found[finding->count++];

	REQUIRE(finding->count <= sizeof(finding->found) / sizeof(finding->found[0]));
	memset(found, 0, sizeof(*found));
	found->verdict = verdict;
	if (verdict != PROBE_FOREIGN)
		found->message = *message;
}

/* One message after the other out of all bytes; how many of these no message can be made of yet. */
static uint32_t read_whole(const uint8_t *at, uint32_t left, struct finding *finding)
{
	finding->count = 0;
	while (left) {
		struct probe_message message;
		enum probe_verdict verdict = probe_message_read(at, left, &message);

		if (verdict == PROBE_SHORT)
			return left;
		note(finding, &message, verdict);
		if (verdict == PROBE_FOREIGN)
			return 0;
		REQUIRE(message.length >= PROBE_HEADER && message.length <= left);
		at += message.length;
		left -= message.length;
	}
	return 0;
}

/* Cut by the input's bytes, over and over. */
static void read_cut(const uint8_t *from, uint32_t length, const uint8_t *cuts, size_t cut_count,
    struct probe_stream *stream, struct finding *finding)
{
	finding->count = 0;
	for (size_t i = 0; length; i++) {
		uint32_t step = 1 + cuts[i % cut_count] * (1 + i % 3);
		const uint8_t *at;
		uint8_t *piece;

		if (step > length)
			step = length;
		piece = exact_copy(from, step);
		at = piece;
		from += step;
		length -= step;
		for (uint32_t left = step;;) {
			struct probe_message message;
			enum probe_verdict verdict;

			if (!probe_stream_next(stream, &at, &left, &message, &verdict))
				break;
			note(finding, &message, verdict);
		}
		free(piece);
	}
}

/* The plain list of numbers that came: the tally must agree with it. A number older than the window
 * is no new one. */
static void count(const struct finding *finding)
{
	static struct probe_tally tally; /* 512 KiB: what was set in it is taken back */
	uint64_t came[sizeof(finding->found) / sizeof(finding->found[0])];
	uint64_t unique = 0, duplicates = 0, reordered = 0, first = 0, highest = 0;

	if (!tally.bits)
		REQUIRE(!probe_tally_create(&tally));
	for (unsigned i = 0; i < finding->count; i++) {
		uint64_t number = finding->found[i].message.sequence;
		int is_new = number && highest - number < PROBE_WINDOW;

		if (finding->found[i].verdict != PROBE_SOUND)
			continue;
		is_new |= number > highest;
		for (uint64_t k = 0; k < unique && is_new; k++)
			is_new = came[k] != number;
		REQUIRE(probe_tally_add(&tally, number) == is_new);
		if (!is_new) {
			duplicates++;
			continue;
		}
		came[unique++] = number;
		reordered += number < highest;
		highest = number > highest ? number : highest;
		first = !first || number < first ? number : first;
	}
	REQUIRE(tally.unique == unique && tally.duplicates == duplicates);
	REQUIRE(tally.reordered == reordered && tally.first == first && tally.highest == highest);
	REQUIRE(probe_tally_missing(&tally, highest) == highest - unique);
	for (uint64_t k = 0; k < unique; k++)
		tally.bits[came[k] % PROBE_WINDOW / 64] = 0;
	tally = (struct probe_tally){.bits = tally.bits};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct finding whole, cut;
	static struct probe_stream stream;
	uint32_t length, rest;
	uint8_t *exact;

	if (size < 12)
		return 0;
	length = make(data, size);
	if (size % 12) /* the last one is not whole */
		length -= (uint32_t)(size % 12) * 11 % length;
	exact = exact_copy(bytes, length);
	rest = read_whole(exact, length, &whole);
	stream.partial_length = 0;
	stream.is_out_of_step = 0;
	read_cut(exact, length, data, size, &stream, &cut);
	REQUIRE(whole.count == cut.count);
	REQUIRE(!memcmp(whole.found, cut.found, whole.count * sizeof(whole.found[0])));
	REQUIRE(stream.partial_length == rest);
	free(exact);
	count(&whole);
	return 0;
}
