/* fuzz_decoder.c - any bytes as a span of ITCH 5.0 messages.
 *
 * Sequence numbers must advance by the messages of the span, every op of a message must carry
 * its number, and no message makes more ops than a batch has room for. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/decoder.h"

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

/* A decoder is half a megabyte of tables, so one of each kind serves many inputs. It is made
 * anew now and then: a finding depends on a few inputs at most. */
enum { REUSE = 64 };

static struct mdfh_decoder *decoders[4];
static struct mdfh_instruments *tables[4];

static void renew(unsigned i)
{
	static const char *const symbols[] = {"AAPL", "ZVZZT"};
	struct mdfh_decoder_config config = {
	    .size = sizeof(config),
	    .midnight_ns = i & 2 ? 1772600400000000000 : 0,
	    .symbols = symbols,
	    .symbol_count = i & 1 ? 2 : 0,
	};

	mdfh_decoder_destroy(decoders[i]);
	mdfh_instruments_destroy(tables[i]);
	CHECK(mdfh_instruments_create(8, &tables[i]) == 0);
	config.instruments = tables[i];
	CHECK(mdfh_decoder_create("itch50", &config, &decoders[i]) == 0);
}

static void decode(const uint8_t *data, uint32_t size, uint64_t messages, unsigned kind, int rounds)
{
	static unsigned uses[4];
	struct mdfh_span span = {.first = 1000, .messages = messages, .length = size};
	const struct mdfh_span begin = {.kind = MDFH_SPAN_SESSION_BEGIN, .first = 1, .epoch = 2};
	const struct mdfh_instruments *instruments;
	const struct mdfh_decoder_stats *stats;
	struct mdfh_decoder_stats before;
	struct mdfh_decoder *decoder;
	uint8_t *exact = malloc(size ? size : 1);
	struct mdfh_op ops[20];
	uint64_t total = 0;
	int n;

	CHECK(exact != NULL);
	memcpy(exact, data, size);
	if (uses[kind]++ % REUSE == 0)
		renew(kind);
	decoder = decoders[kind];
	instruments = tables[kind];
	stats = mdfh_decoder_stats(decoder);
	before = *stats;
	span.data = exact;
	/* Twice, with another session between. */
	for (int round = 0; round < rounds; round++) {
		uint64_t next = span.first;

		mdfh_decoder_begin(decoder, &span, MDFH_FRAMING_LENGTH_BE16, 5);
		while ((n = mdfh_decoder_next(decoder, ops, 20)) > 0) {
			CHECK(n <= 20);
			total += (uint64_t)n;
			for (int i = 0; i < n; i++) {
				const struct mdfh_op *op = &ops[i];

				CHECK(op->kind < MDFH_OP_KINDS && op->origin == 5);
				CHECK(op->sequence == next && op->side <= 2);
				CHECK(op->instrument < mdfh_instruments_count(instruments));
				CHECK(op->price >= 0 || op->kind == MDFH_OP_STATISTIC);
				if (op->flags & MDFH_OP_MORE)
					CHECK(i + 1 < n);
				else if (op->kind == MDFH_OP_GAP)
					next += op->quantity64;
				else
					next++;
			}
		}
		CHECK(n == 0 && next == span.first + messages);
		mdfh_decoder_begin(decoder, &begin, MDFH_FRAMING_LENGTH_BE16, 5);
		CHECK(mdfh_decoder_next(decoder, ops, 20) == 1);
		CHECK(mdfh_decoder_next(decoder, ops, 20) == 0);
	}
	CHECK(stats->messages - before.messages == (uint64_t)rounds * messages);
	CHECK(stats->ops - before.ops == total + (uint64_t)rounds);
	free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
	uint64_t messages = 0;
	uint32_t at = 0;

	if (size < 2 || size > 4096)
		return 0;
	if (data[1] & 4) {
		decode(data + 2, (uint32_t)size - 2, data[0], data[1] & 3, 1);
		return 0;
	}

	for (size_t from = 2; from + 1 < size && at + 64 < sizeof(framed);) {
		unsigned type = data[from] % (sizeof(types) / sizeof(types[0]));
		uint32_t length = types[type].length;
		size_t left = size - from - 1;

		framed[at] = 0;
		framed[at + 1] = (uint8_t)length;
		memset(framed + at + 2, 0, length);
		memcpy(framed + at + 2, data + from, left < length ? left : length);
		framed[at + 2] = (uint8_t)types[type].type;
		framed[at + 3] = 0;
		framed[at + 4] &= 15;
		at += length + 2;
		from += left < length ? left : length;
		messages++;
	}
	decode(framed, at, messages, data[1] & 3, data[1] & 8 ? 2 : 1);
	return 0;
}
