/* fuzz_decoder.c - any bytes as a span of ITCH 5.0 messages.
 *
 * Sequence numbers must advance by the messages of the span, every op of a message must carry
 * its number, and no message makes more ops than a batch has room for. What the span gives, its
 * messages one by one must give as well: alone, none is read the short way of orders. */
#include "fuzz.h"

/* Its tables are half a megabyte: they are put back as they were instead of made anew. */
#include "proto/itch50_state.h"

enum { ROWS = 8, OPS_KEPT = 8192, REFERENCE = 4 };

/* By kind; and those that are given one message at a time. */
static struct mdfh_decoder *decoders[2 * REFERENCE];

/* A decoder that has seen nothing; kind: subscribed or not, times known or not. */
static struct mdfh_decoder *fresh(unsigned kind, struct mdfh_instruments **table)
{
	static uint8_t state[2 * REFERENCE][offsetof(struct itch50, orders)];
	static const char *const symbols[] = {"AAPL", "ZVZZT"};
	struct mdfh_decoder_config config = {
	    .size = sizeof(config),
	    .midnight_ns = kind & 2 ? 1772600400000000000 : 0,
	    .symbols = symbols,
	    .symbol_count = kind & 1 ? 2 : 0,
	};
	struct itch50 *d = (struct itch50 *)decoders[kind];

	REQUIRE(mdfh_instruments_create(ROWS, table) == 0);
	if (d) {
		memcpy(d, state[kind], sizeof(state[kind]));
		d->instruments = *table;
		return decoders[kind];
	}
	config.instruments = *table;
	REQUIRE(mdfh_decoder_create("itch50", &config, &decoders[kind]) == 0);
	memcpy(state[kind], decoders[kind], sizeof(state[kind]));
	return decoders[kind];
}

/* A message changes the entry of its own locate and no other. */
static void forget(
    struct mdfh_decoder *decoder, enum mdfh_framing framing, const uint8_t *data, uint32_t length)
{
	struct itch50 *d = (struct itch50 *)decoder;
	const uint8_t *message;
	uint32_t size, step;

	while ((step = mdfh_framing_next(framing, data, length, &message, &size)) > 0) {
		if (size >= 3)
			d->locate[mdfh_load_be16(message + 1)] = LOCATE_STRANGE;
		data += step;
		length -= step;
	}
	d->named = 0;
}

static void decode(enum mdfh_framing framing, const uint8_t *data, uint32_t size, uint64_t messages,
    unsigned kind, int rounds)
{
	struct mdfh_span span = {.first = 1000, .messages = messages, .length = size};
	const struct mdfh_span begin = {.kind = MDFH_SPAN_SESSION_BEGIN, .first = 1, .epoch = 2};
	const struct mdfh_decoder_stats *stats;
	struct mdfh_instruments *instruments;
	struct mdfh_decoder *decoder = fresh(kind, &instruments);
	uint8_t *exact = exact_copy(data, size);
	struct mdfh_op ops[20];
	uint64_t total = 0;
	int n;

	stats = mdfh_decoder_stats(decoder);
	span.data = exact;
	/* Once, or twice with another session between. */
	for (int round = 0; round < rounds; round++) {
		uint64_t next = span.first;

		mdfh_decoder_begin(decoder, &span, framing, 5);
		while ((n = mdfh_decoder_next(decoder, ops, 20)) > 0) {
			REQUIRE(n <= 20);
			total += (uint64_t)n;
			for (int i = 0; i < n; i++) {
				const struct mdfh_op *op = &ops[i];

				REQUIRE(op->kind < MDFH_OP_KINDS && op->origin == 5);
				REQUIRE(op->sequence == next && op->side <= 2);
				REQUIRE(op->instrument < mdfh_instruments_count(instruments));
				REQUIRE(op->price >= 0 || op->kind == MDFH_OP_STATISTIC);
				if (op->flags & MDFH_OP_MORE)
					REQUIRE(i + 1 < n);
				else if (op->kind == MDFH_OP_GAP)
					next += op->quantity64;
				else
					next++;
			}
		}
		REQUIRE(n == 0 && next == span.first + messages);
		if (rounds == 1)
			break;
		mdfh_decoder_begin(decoder, &begin, framing, 5);
		REQUIRE(mdfh_decoder_next(decoder, ops, 20) == 1);
		REQUIRE(mdfh_decoder_next(decoder, ops, 20) == 0);
	}
	REQUIRE(stats->messages == (uint64_t)rounds * messages);
	REQUIRE(stats->ops == total + (rounds == 1 ? 0 : 2));
	forget(decoder, framing, exact, size);
	mdfh_instruments_destroy(instruments);
	free(exact);
}

struct kept {
	struct mdfh_op ops[OPS_KEPT];
	int count;
};

static void keep(struct mdfh_decoder *decoder, const struct mdfh_span *span,
    enum mdfh_framing framing, struct kept *kept)
{
	int n;

	mdfh_decoder_begin(decoder, span, framing, 5);
	while ((n = mdfh_decoder_next(decoder, kept->ops + kept->count, 20)) > 0) {
		kept->count += n;
		REQUIRE(kept->count + 20 <= OPS_KEPT);
	}
}

/* One message of the framing at data, in a block of its own; its bytes, or 0 if there is none. */
static uint32_t keep_one(struct mdfh_decoder *decoder, uint64_t number, enum mdfh_framing framing,
    const uint8_t *data, uint32_t left, struct kept *kept)
{
	struct mdfh_span span = {.first = number, .messages = 1};
	const uint8_t *message;
	uint32_t length;
	uint8_t *alone;

	span.length = mdfh_framing_next(framing, data, left, &message, &length);
	if (!span.length)
		return 0;
	alone = exact_copy(data, span.length);
	span.data = alone;
	keep(decoder, &span, framing, kept);
	free(alone);
	return span.length;
}

/* Messages up to an end marker or to one that is not whole, as a file has them. */
static uint64_t count_whole(const uint8_t *data, uint32_t left, uint64_t *bytes)
{
	const uint8_t *message;
	uint32_t length, step;
	uint64_t n = 0;

	*bytes = 0;
	while ((step = mdfh_framing_next(MDFH_FRAMING_LENGTH_BE16, data, left, &message, &length)) >
		   0 &&
	       length) {
		data += step;
		left -= step;
		*bytes += step;
		n++;
	}
	return n;
}

static void compare(
    enum mdfh_framing framing, const uint8_t *data, uint32_t size, uint64_t messages, unsigned kind)
{
	static struct kept whole, single;
	struct mdfh_span span = {.first = 1000, .messages = messages, .length = size};
	struct mdfh_instruments *tables[2];
	struct mdfh_decoder *decoder = fresh(kind, &tables[0]);
	struct mdfh_decoder *reference = fresh(REFERENCE + kind, &tables[1]);
	uint8_t *exact = exact_copy(data, size);
	uint64_t bytes, done = 0;
	uint32_t at = 0, step;

	span.data = exact;
	whole.count = single.count = 0;
	if (messages == MDFH_SPAN_UNCOUNTED)
		messages = count_whole(exact, size, &bytes);
	keep(decoder, &span, framing, &whole);
	if (span.messages == MDFH_SPAN_UNCOUNTED) {
		uint64_t took;

		REQUIRE(mdfh_decoder_took(decoder, &took) == messages && took == bytes);
	}
	while (done < messages && (step = keep_one(reference, 1000 + done, framing, exact + at,
				       size - at, &single)) > 0) {
		at += step;
		done++;
	}
	if (done < messages) {
		span = (struct mdfh_span){.data = exact + at,
		    .first = 1000 + done,
		    .messages = messages - done,
		    .length = size - at};
		keep(reference, &span, framing, &single);
	}
	REQUIRE(whole.count == single.count);
	REQUIRE(!memcmp(whole.ops, single.ops, (size_t)whole.count * sizeof(whole.ops[0])));
	REQUIRE(!memcmp(mdfh_decoder_stats(decoder), mdfh_decoder_stats(reference),
	    sizeof(struct mdfh_decoder_stats)));
	forget(decoder, framing, exact, size);
	forget(reference, framing, exact, size);
	for (int i = 0; i < 2; i++)
		mdfh_instruments_destroy(tables[i]);
	free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Lengths that the fuzzer need not guess: every type at its own length. */
	static const struct {
		char type;
		uint8_t length;
	} types[] = {{'S', 12}, {'R', 39}, {'H', 25}, {'Y', 20}, {'L', 26}, {'V', 35}, {'W', 12},
	    {'K', 28}, {'J', 35}, {'h', 21}, {'A', 36}, {'F', 40}, {'E', 31}, {'C', 36}, {'X', 23},
	    {'D', 19}, {'U', 35}, {'P', 44}, {'Q', 40}, {'B', 19}, {'I', 50}, {'N', 20}, {'O', 48}};
	uint8_t framed[4096];
	enum mdfh_framing framing = MDFH_FRAMING_LENGTH_BE16;
	uint64_t messages = 0;
	uint32_t before; /* bytes between length and message */
	uint32_t at = 0;

	if (size < 2 || size > 4096)
		return 0;
	if (data[1] & 64)
		framing = MDFH_FRAMING_SOUPBIN;
	before = framing == MDFH_FRAMING_SOUPBIN;
	if (data[1] & 4) {
		decode(framing, data + 2, (uint32_t)size - 2, data[0], data[1] & 3, 1);
		if (data[1] & 32 && !before)
			compare(framing, data + 2, (uint32_t)size - 2, MDFH_SPAN_UNCOUNTED,
			    data[1] & 3);
		else
			compare(framing, data + 2, (uint32_t)size - 2, data[0], data[1] & 3);
		return 0;
	}

	for (size_t from = 2; from + 1 < size && at + 64 < sizeof(framed);) {
		unsigned type = data[from] % (sizeof(types) / sizeof(types[0]));
		uint32_t length = types[type].length;
		size_t left = size - from - 1;

		framed[at] = 0;
		framed[at + 1] = (uint8_t)(length + before);
		framed[at + 2] = 'S';
		at += before;
		memset(framed + at + 2, 0, length);
		memcpy(framed + at + 2, data + from, left < length ? left : length);
		framed[at + 2] = (uint8_t)types[type].type;
		framed[at + 3] = 0;
		framed[at + 4] &= 15;
		at += length + 2;
		from += left < length ? left : length;
		messages++;
	}
	decode(framing, framed, at, messages, data[1] & 3, (data[1] >> 3 & 7) == 1 ? 2 : 1);
	compare(framing, framed, at, messages, data[1] & 3);
	return 0;
}
