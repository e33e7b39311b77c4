/* test_itch50_map.c - every ITCH 5.0 message, packed by hand, and the exact ops that it makes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mdfh/error.h"
#include "mdfh/event.h"
#include "proto/decoder.h"

#define MIDNIGHT  1772600400000000000 /* 2026-03-04 in New York */
#define TIMESTAMP 34199999894278      /* 0x1f1aced85306 */

struct fixture {
	struct mdfh_instruments *instruments;
	struct mdfh_decoder *decoder;
	struct mdfh_instruments *soup_instruments; /* the same again, framed as SoupBinTCP does */
	struct mdfh_decoder *soup_decoder;
	uint64_t next;
	uint8_t bytes[65536];
	uint32_t length;
	uint64_t messages;
	struct mdfh_op ops[1024];
	int n;
};

static struct fixture t;

static void start(const char *const *symbols, uint32_t count, int64_t midnight)
{
	struct mdfh_decoder_config config = {
	    .size = sizeof(config),
	    .channel = 3,
	    .midnight_ns = midnight,
	    .symbols = symbols,
	    .symbol_count = count,
	};

	memset(&t, 0, sizeof(t));
	t.next = 1;
	assert_int_equal(mdfh_instruments_create(16, &t.instruments), 0);
	config.instruments = t.instruments;
	assert_int_equal(mdfh_decoder_create("itch50", &config, &t.decoder), 0);
	assert_int_equal(mdfh_instruments_create(16, &t.soup_instruments), 0);
	config.instruments = t.soup_instruments;
	assert_int_equal(mdfh_decoder_create("itch50", &config, &t.soup_decoder), 0);
}

static void stop(void)
{
	mdfh_decoder_destroy(t.decoder);
	mdfh_decoder_destroy(t.soup_decoder);
	mdfh_instruments_destroy(t.instruments);
	mdfh_instruments_destroy(t.soup_instruments);
}

/* A message: hexadecimal digits, 'text' as it stands, spaces for the reader. "HEAD" stands for
 * locate 7, tracking 2 and the timestamp. */
static void add(const char *text)
{
	uint8_t *record = t.bytes + t.length, *out = record + 2;

	while (*text) {
		if (*text == ' ') {
			text++;
		} else if (*text == '\'') {
			for (text++; *text != '\''; text++)
				*out++ = (uint8_t)*text;
			text++;
		} else if (!strncmp(text, "HEAD", 4)) {
			memcpy(out, "\0\7\0\2\x1f\x1a\xce\xd8\x53\x06", 10);
			out += 10;
			text += 4;
		} else {
			char digits[3] = {text[0], text[1], 0};

			*out++ = (uint8_t)strtoul(digits, NULL, 16);
			text += 2;
		}
	}
	record[0] = (uint8_t)((out - record - 2) >> 8);
	record[1] = (uint8_t)(out - record - 2);
	t.length = (uint32_t)(out - t.bytes);
	t.messages++;
}

/* The same messages, each behind the type of a sequenced packet, make the same ops. */
static void decode_as_soup(void)
{
	uint8_t *exact = malloc(t.length + t.messages + 1), *out = exact;
	struct mdfh_span span = {
	    .data = exact, .first = t.next, .messages = t.messages, .channel = 3};
	struct mdfh_op ops[16];
	int n, at = 0;

	assert_non_null(exact);
	for (uint32_t from = 0; from < t.length;) {
		uint32_t length = (uint32_t)(t.bytes[from] << 8 | t.bytes[from + 1]);

		/* A length that promises what is not there does so here, too. */
		*out++ = (uint8_t)((length + 1) >> 8);
		*out++ = (uint8_t)(length + 1);
		*out++ = 'S';
		length = length < t.length - from - 2 ? length : t.length - from - 2;
		memcpy(out, t.bytes + from + 2, length);
		out += length;
		from += length + 2;
	}
	span.length = (uint32_t)(out - exact);
	out = realloc(exact, span.length ? span.length : 1);
	assert_non_null(out);
	span.data = out;
	mdfh_decoder_begin(t.soup_decoder, &span, MDFH_FRAMING_SOUPBIN, 9);
	while ((n = mdfh_decoder_next(t.soup_decoder, ops, 16)) > 0) {
		assert_true(at + n <= t.n);
		assert_memory_equal(ops, t.ops + at, (size_t)n * sizeof(ops[0]));
		at += n;
	}
	assert_int_equal(at, t.n);
	free(out);
}

/* Decode what was added. The span ends where its buffer does, so that a sanitizer sees any byte
 * read behind it. */
static void decode(void)
{
	uint8_t *exact = malloc(t.length ? t.length : 1);
	struct mdfh_span span = {.data = exact,
	    .length = t.length,
	    .first = t.next,
	    .messages = t.messages,
	    .channel = 3};
	int n;

	assert_non_null(exact);
	memcpy(exact, t.bytes, t.length);
	t.n = 0;
	mdfh_decoder_begin(t.decoder, &span, MDFH_FRAMING_LENGTH_BE16, 9);
	while ((n = mdfh_decoder_next(t.decoder, t.ops + t.n, 16)) > 0) {
		t.n += n;
		assert_true(t.n <= 1000);
	}
	for (int i = 0; i < t.n; i++)
		assert_int_equal(t.ops[i].origin, t.ops[i].kind == MDFH_OP_SESSION_BEGIN ? 0 : 9);
	decode_as_soup();
	t.next += t.messages;
	t.length = 0;
	t.messages = 0;
	free(exact);
}

/* The ops of one message; fields left out are 0, instrument and time as given. */
static void expect(const char *message, int n, const struct mdfh_op *want)
{
	uint64_t sequence = t.next;

	add(message);
	decode();
	assert_int_equal(t.n, n);
	for (int i = 0; i < n; i++) {
		struct mdfh_op op = want[i];

		op.sequence = sequence;
		op.origin = 9;
		op.flags = (uint16_t)(op.flags | (i < n - 1 ? MDFH_OP_MORE : 0));
		if (memcmp(&t.ops[i], &op, sizeof(op)) != 0)
			fail_msg("op %d of %c: kind %u/%u flags %x/%x code %u/%u price %lld/%lld "
				 "quantity %llu/%llu id2 %llu/%llu side %u/%u instrument %u/%u",
			    i, message[1], t.ops[i].kind, op.kind, t.ops[i].flags, op.flags,
			    t.ops[i].code, op.code, (long long)t.ops[i].price, (long long)op.price,
			    (unsigned long long)t.ops[i].quantity64,
			    (unsigned long long)op.quantity64,
			    (unsigned long long)t.ops[i].match_id, (unsigned long long)op.match_id,
			    t.ops[i].side, op.side, t.ops[i].instrument, op.instrument);
	}
}

#define AT  .instrument = 1, .exchange_ns = MIDNIGHT + TIMESTAMP
#define DAY .exchange_ns = MIDNIGHT + TIMESTAMP
#define OPS(...)                                                                                   \
	(int)(sizeof((struct mdfh_op[]){__VA_ARGS__}) / sizeof(struct mdfh_op)),                   \
	    (struct mdfh_op[])                                                                     \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

#define DIRECTORY "'R' HEAD 'AAPL    QN' 00000064 'NCZ PNN1N' 00000000 'N'"
#define ADD       "'A' HEAD 0000000001670cfe 'B' 00000640 'AAPL    ' 000d55bc"
#define PRICE(n)  .kind = MDFH_OP_STATISTIC, .flags = MDFH_OP_IS_PRICE, .price = (n)
#define STATUS(n) .kind = MDFH_OP_STATUS, .code = MDFH_STATUS_##n
#define STAT(n)   .code = MDFH_STATISTIC_##n

static void every_message(void **state)
{
	(void)state;
	start(NULL, 0, MIDNIGHT);
	expect("'S' 0000 0002 1f1aced85306 'O'",
	    OPS({DAY, .kind = MDFH_OP_DAY_BEGIN}, {DAY, STATUS(START_OF_MESSAGES)}));
	expect(DIRECTORY, OPS({AT, .kind = MDFH_OP_INSTRUMENT}));
	assert_string_equal(mdfh_instruments_get(t.instruments, 1)->symbol, "AAPL");
	assert_int_equal(mdfh_instruments_get(t.instruments, 1)->price_scale, 100000);
	assert_int_equal(mdfh_instruments_get(t.instruments, 1)->lot, 100);
	assert_int_equal(mdfh_instruments_get(t.instruments, 1)->venue_id, 7);
	assert_int_equal(mdfh_instruments_get(t.instruments, 1)->channel, 3);

	expect("'S' 0000 0002 1f1aced85306 'S'", OPS({DAY, STATUS(START_OF_SYSTEM)}));
	expect("'S' 0000 0002 1f1aced85306 'Q'", OPS({DAY, STATUS(START_OF_MARKET)}));
	expect("'S' 0000 0002 1f1aced85306 'M'", OPS({DAY, STATUS(END_OF_MARKET)}));
	expect("'S' 0000 0002 1f1aced85306 'E'", OPS({DAY, STATUS(END_OF_SYSTEM)}));
	expect("'S' 0000 0002 1f1aced85306 'C'", OPS({DAY, .kind = MDFH_OP_END_OF_DAY}));

	expect("'H' HEAD 'AAPL    T ' '    '", OPS({AT, STATUS(TRADING)}));
	expect("'H' HEAD 'AAPL    H ' 'T1  '", OPS({AT, STATUS(HALTED)}));
	expect("'H' HEAD 'AAPL    P ' 'LUDP'", OPS({AT, STATUS(PAUSED)}));
	expect("'H' HEAD 'AAPL    Q ' '    '", OPS({AT, STATUS(QUOTATION)}));
	expect("'Y' HEAD 'AAPL    0'", OPS({AT, STATUS(SHORT_SALE_FREE)}));
	expect("'Y' HEAD 'AAPL    1'", OPS({AT, STATUS(SHORT_SALE_RESTRICTED)}));
	expect("'Y' HEAD 'AAPL    2'", OPS({AT, STATUS(SHORT_SALE_RESTRICTED)}));
	expect("'h' HEAD 'AAPL    QH'", OPS({AT, STATUS(NOT_TRADING), .quantity64 = 'Q'}));
	expect("'h' HEAD 'AAPL    XT'", OPS({AT, STATUS(TRADING), .quantity64 = 'X'}));
	expect("'L' HEAD 'GSCOAAPL    YNA'",
	    OPS({AT, .kind = MDFH_OP_STATISTIC, STAT(MARKET_MAKER), .price = 0x4753434f,
		.quantity64 = 'Y' << 16 | 'N' << 8 | 'A'}));

	/* 4000, 3800.5 and 3500 with eight decimals. */
	expect("'V' 0000 0002 1f1aced85306 0000005d21dba000 000000587cbec880 000000517da02c00",
	    OPS({DAY, .kind = MDFH_OP_STATISTIC, STAT(CIRCUIT_BREAKER_1), .price = 4000000000000},
		{DAY, .kind = MDFH_OP_STATISTIC, STAT(CIRCUIT_BREAKER_2), .price = 3800500000000},
		{DAY, .kind = MDFH_OP_STATISTIC, STAT(CIRCUIT_BREAKER_3), .price = 3500000000000}));
	expect("'W' 0000 0002 1f1aced85306 '2'",
	    OPS({DAY, .kind = MDFH_OP_STATISTIC, STAT(CIRCUIT_BREAKER_2), .price = 3800500000000,
		    .quantity64 = 1},
		{DAY, STATUS(CIRCUIT_BREAKER)}));
	/* Locate 0, as documented: found by its symbol. 34200 s = 09:30. */
	expect("'K' 0000 0002 1f1aced85306 'AAPL    ' 00008598 'A' 000d55bc",
	    OPS({AT, PRICE(873916), STAT(IPO_PRICE)},
		{AT, .kind = MDFH_OP_STATISTIC, STAT(IPO_RELEASE_TIME),
		    .price = MIDNIGHT + 34200000000000}));
	expect("'K' HEAD 'AAPL    ' 00000000 'C' 000d55bc",
	    OPS({AT, PRICE(873916), STAT(IPO_PRICE)},
		{AT, .kind = MDFH_OP_STATISTIC, STAT(IPO_RELEASE_TIME)}));
	expect("'J' HEAD 'AAPL    ' 00000001 00000002 00000003 00000004",
	    OPS({AT, PRICE(1), STAT(REFERENCE_PRICE)}, {AT, PRICE(2), STAT(UPPER_LIMIT)},
		{AT, PRICE(3), STAT(LOWER_LIMIT)},
		{AT, .kind = MDFH_OP_STATISTIC, STAT(EXTENSIONS), .price = 4}));

	expect(ADD, OPS({AT, .kind = MDFH_OP_ADD, .order_id = 23530750, .side = MDFH_SIDE_BUY,
			.quantity64 = 1600, .price = 873916}));
	expect("'F' HEAD 0000000000000005 'S' 00000001 'AAPL    ' 77359400 'GSCO'",
	    OPS({AT, .kind = MDFH_OP_ADD, .order_id = 5, .side = MDFH_SIDE_SELL, .quantity64 = 1,
		.price = 2000000000}));
	expect("'E' HEAD 0102030405060708 00000064 1112131415161718",
	    OPS({AT, .kind = MDFH_OP_EXECUTE, .order_id = 0x0102030405060708, .quantity64 = 100,
		.match_id = 0x1112131415161718}));
	expect("'C' HEAD 0000000000000005 00000064 0000000000000009 'Y' 00000010",
	    OPS({AT, .kind = MDFH_OP_EXECUTE, .flags = MDFH_OP_PRICED, .order_id = 5,
		.quantity64 = 100, .match_id = 9, .price = 16}));
	expect("'C' HEAD 0000000000000005 00000064 0000000000000009 'N' 00000010",
	    OPS({AT, .kind = MDFH_OP_EXECUTE, .flags = MDFH_OP_PRICED | MDFH_OP_NOT_PRINTED,
		.order_id = 5, .quantity64 = 100, .match_id = 9, .price = 16}));
	expect("'X' HEAD 0000000000000005 00000003",
	    OPS({AT, .kind = MDFH_OP_REDUCE, .order_id = 5, .quantity64 = 3}));
	expect("'D' HEAD 0000000000000005", OPS({AT, .kind = MDFH_OP_DELETE, .order_id = 5}));
	expect("'U' HEAD 0000000000000005 0000000000000006 00000007 00000008",
	    OPS({AT, .kind = MDFH_OP_REPLACE, .order_id = 5, .new_order_id = 6, .quantity64 = 7,
		.price = 8}));

	expect("'P' HEAD 0000000000000000 'B' 00000007 'AAPL    ' 00000010 0000000000000009",
	    OPS({AT, .kind = MDFH_OP_TRADE, .flags = MDFH_OP_HIDDEN, .quantity64 = 7, .price = 16,
		.match_id = 9}));
	expect("'Q' HEAD 0000000100000000 'AAPL    ' 00000010 0000000000000009 'O'",
	    OPS({AT, .kind = MDFH_OP_CROSS, .quantity64 = 0x100000000, .price = 16, .match_id = 9,
		.code = 'O'}));
	expect("'B' HEAD 0000000000000009", OPS({AT, .kind = MDFH_OP_BREAK, .match_id = 9}));
	expect("'I' HEAD 0000000000000001 0000000000000002 'S' 'AAPL    ' 00000003 00000004 "
	       "00000005 'OL'",
	    OPS({AT, .kind = MDFH_OP_STATISTIC, STAT(PAIRED_QUANTITY), .quantity64 = 1},
		{AT, .kind = MDFH_OP_STATISTIC, STAT(IMBALANCE_QUANTITY), .quantity64 = 2,
		    .side = MDFH_SIDE_SELL},
		{AT, PRICE(3), STAT(FAR_PRICE)}, {AT, PRICE(4), STAT(NEAR_PRICE)},
		{AT, PRICE(5), STAT(REFERENCE_PRICE)}));
	expect("'N' HEAD 'AAPL    B'", OPS({AT, .kind = MDFH_OP_STATISTIC, STAT(RETAIL_INTEREST),
					   .side = MDFH_SIDE_BUY, .quantity64 = 1}));
	expect("'N' HEAD 'AAPL    A'",
	    OPS({AT, .kind = MDFH_OP_STATISTIC, STAT(RETAIL_INTEREST), .quantity64 = 1}));
	expect("'N' HEAD 'AAPL    N'", OPS({AT, .kind = MDFH_OP_STATISTIC, STAT(RETAIL_INTEREST)}));
	expect("'O' HEAD 'AAPL    Y' 00000001 00000002 00000003 0000000000000004 00000005 00000006",
	    OPS({AT, PRICE(1), STAT(MINIMUM_PRICE)}, {AT, PRICE(2), STAT(MAXIMUM_PRICE)},
		{AT, PRICE(3), STAT(NEAR_PRICE)}, {AT, PRICE(5), STAT(LOWER_LIMIT)},
		{AT, PRICE(6), STAT(UPPER_LIMIT)}));

	for (unsigned i = 0; i < MDFH_DECODE_ERRORS; i++)
		assert_int_equal(mdfh_decoder_stats(t.decoder)->errors[i], 0);
	assert_int_equal(mdfh_decoder_stats(t.decoder)->messages, t.next - 1);
	stop();
}

/* One sound message before and after: the refused one is a gap of its own number. */
static void refused(void **state)
{
	static const struct {
		const char *message;
		unsigned error;
	} cases[] = {
	    {"'A' HEAD 0000000001670cfe 'B' 00000640 'AAPL    ' 000d55", MDFH_DECODE_SHORT},
	    {"'S' 0000 0002 1f1aced85306", MDFH_DECODE_SHORT},
	    {"'D'", MDFH_DECODE_SHORT},
	    {"'A' HEAD 0000000001670cfe 'C' 00000640 'AAPL    ' 000d55bc", MDFH_DECODE_FIELD},
	    {"'A' HEAD 0000000001670cfe 'B' 00000000 'AAPL    ' 000d55bc", MDFH_DECODE_FIELD},
	    {"'A' HEAD 0000000001670cfe 'B' 00000640 'AAPL    ' 77359401", MDFH_DECODE_FIELD},
	    {"'A' HEAD 0000000001670cfe 'B' 00000640 'AAPL    ' ffffffff", MDFH_DECODE_FIELD},
	    {"'A' 0000 0002 1f1aced85306 0000000001670cfe 'B' 00000640 'AAPL    ' 000d55bc",
		MDFH_DECODE_FIELD},
	    {"'C' HEAD 0000000000000005 00000064 0000000000000009 'y' 00000010", MDFH_DECODE_FIELD},
	    {"'U' HEAD 0000000000000005 0000000000000006 00000000 00000008", MDFH_DECODE_FIELD},
	    {"'P' HEAD 0000000000000000 'B' 00000007 'AAPL    ' 80000000 0000000000000009",
		MDFH_DECODE_FIELD},
	    {"'V' 0000 0002 1f1aced85306 ffffffffffffffff 000000587cbec880 000000517da02c00",
		MDFH_DECODE_FIELD},
	};

	(void)state;
	/* In the middle of a span, where messages are read the fast way, and at its end. */
	for (int behind = 0; behind < 4; behind += 3) {
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			start(NULL, 0, MIDNIGHT);
			add(DIRECTORY);
			add(cases[i].message);
			for (int k = 0; k < behind; k++)
				add(ADD);
			decode();
			assert_int_equal(t.n, 2 + behind);
			assert_int_equal(t.ops[1].kind, MDFH_OP_GAP);
			assert_int_equal(t.ops[1].order_id, 2);
			assert_int_equal(t.ops[1].quantity64, 1);
			assert_int_equal(t.ops[1].code, MDFH_CAUSE_MALFORMED);
			assert_int_equal(t.ops[1].sequence, 2);
			if (behind) {
				assert_int_equal(t.ops[2].kind, MDFH_OP_ADD);
				assert_int_equal(t.ops[2].sequence, 3);
			}
			assert_int_equal(mdfh_decoder_stats(t.decoder)->errors[cases[i].error], 1);
			stop();
		}
	}
}

static void unknown_and_longer(void **state)
{
	(void)state;
	start(NULL, 0, MIDNIGHT);
	add(DIRECTORY);
	add("'z' HEAD 00");
	add("");
	add("'A' HEAD 0000000001670cfe 'B' 00000640 'AAPL    ' 000d55bc 010203");
	add("'H' HEAD 'AAPL    ? ' 'T1  '");
	add(ADD);
	decode();
	assert_int_equal(t.n, 6);
	assert_int_equal(t.ops[1].kind, MDFH_OP_NONE);
	assert_int_equal(t.ops[1].sequence, 2);
	assert_int_equal(t.ops[2].kind, MDFH_OP_NONE);
	/* New trailing fields are no fault. */
	assert_int_equal(t.ops[3].kind, MDFH_OP_ADD);
	assert_int_equal(t.ops[3].price, 873916);
	/* A state that is only reported: counted, passed on as unknown. */
	assert_int_equal(t.ops[4].kind, MDFH_OP_STATUS);
	assert_int_equal(t.ops[4].code, MDFH_STATUS_UNKNOWN);
	assert_int_equal(t.ops[5].sequence, 6);
	assert_int_equal(mdfh_decoder_stats(t.decoder)->errors[MDFH_DECODE_UNKNOWN], 2);
	assert_int_equal(mdfh_decoder_stats(t.decoder)->errors[MDFH_DECODE_FIELD], 1);
	assert_int_equal(mdfh_decoder_stats(t.decoder)->by_type['A'], 2);
	assert_int_equal(mdfh_decoder_stats(t.decoder)->by_type['z'], 1);
	stop();
}

/* A span that promises more than it holds. */
static void framing(void **state)
{
	(void)state;
	start(NULL, 0, MIDNIGHT);
	add(DIRECTORY);
	add(ADD);
	t.length -= 5;
	t.messages = 4;
	decode();
	assert_int_equal(t.n, 2);
	assert_int_equal(t.ops[1].kind, MDFH_OP_GAP);
	assert_int_equal(t.ops[1].order_id, 2);
	assert_int_equal(t.ops[1].quantity64, 3);
	assert_int_equal(mdfh_decoder_stats(t.decoder)->errors[MDFH_DECODE_FRAMING], 1);
	assert_int_equal(mdfh_decoder_stats(t.decoder)->messages, 4);
	stop();
}

/* A span that nobody counted ends where its buffer does, inside a record, or at an end marker. */
static void uncounted(void **state)
{
	static const struct {
		uint32_t cut;
		const char *more;
	} cases[] = {{0, ""}, {5, ""}, {0, "0000 0005"}, {0, "00"}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t whole = cases[i].cut ? 39 : 40, length;
		uint64_t bytes, records;
		uint8_t *exact;
		int n = 0, got;

		start(NULL, 0, MIDNIGHT);
		add(DIRECTORY);
		for (int k = 1; k < 40; k++)
			add(ADD);
		records = t.length - (cases[i].cut ? 38 : 0);
		length = t.length - cases[i].cut;
		for (const char *c = cases[i].more; *c; c += 1 + (*c != ' '))
			if (*c != ' ')
				t.bytes[length++] = (uint8_t)(c[1] - '0');
		exact = malloc(length);
		assert_non_null(exact);
		memcpy(exact, t.bytes, length);
		mdfh_decoder_begin(t.decoder,
		    &(struct mdfh_span){.data = exact,
			.length = length,
			.first = 1000,
			.messages = MDFH_SPAN_UNCOUNTED},
		    MDFH_FRAMING_LENGTH_BE16, 9);
		while ((got = mdfh_decoder_next(t.decoder, t.ops, 16)) > 0) {
			for (int k = 0; k < got; k++, n++) {
				assert_int_equal(t.ops[k].sequence, 1000 + n);
				assert_int_equal(
				    t.ops[k].kind, n ? MDFH_OP_ADD : MDFH_OP_INSTRUMENT);
			}
		}
		assert_int_equal(n, whole);
		assert_int_equal(mdfh_decoder_took(t.decoder, &bytes), whole);
		assert_int_equal(bytes, records);
		assert_int_equal(mdfh_decoder_stats(t.decoder)->messages, whole);
		assert_int_equal(mdfh_decoder_stats(t.decoder)->errors[MDFH_DECODE_FRAMING], 0);
		free(exact);
		stop();
	}
}

/* A join in mid-day: orders come before the stock is known. */
static void unseen_locate(void **state)
{
	(void)state;
	start(NULL, 0, 0);
	add("'D' HEAD 0000000000000005");
	for (int i = 0; i < 4; i++)
		add(ADD);
	decode();
	assert_int_equal(t.n, 5);
	assert_int_equal(t.ops[0].kind, MDFH_OP_DELETE);
	assert_int_equal(t.ops[0].instrument, 1);
	assert_int_equal(t.ops[1].instrument, 1);
	/* No session date: no time. */
	assert_int_equal(t.ops[1].exchange_ns, 0);
	assert_string_equal(mdfh_instruments_get(t.instruments, 1)->symbol, "AAPL");
	assert_int_equal(mdfh_instruments_count(t.instruments), 2);
	stop();
}

static void subscription(void **state)
{
	static const char *const symbols[] = {"MSFT", "AAPL"};
	static const char *const too_long[] = {"ABCDEFGHI"};
	struct mdfh_decoder_config config = {.size = sizeof(config)};

	(void)state;
	start(symbols, 2, MIDNIGHT);
	add(DIRECTORY);
	add("'R' 0008 0002 1f1aced85306 'IBM     QN' 00000064 'NCZ PNN1N' 00000000 'N'");
	add("'A' 0008 0002 1f1aced85306 0000000000000005 'B' 00000640 'IBM     ' 000d55bc");
	add(ADD);
	add("'P' 0008 0002 1f1aced85306 0000000000000000 'B' 00000007 'IBM     ' 00000010 "
	    "0000000000000009");
	add("'I' 0008 0002 1f1aced85306 0000000000000001 0000000000000002 'S' 'IBM     ' 00000003 "
	    "00000004 00000005 'OL'");
	add("'D' 0009 0002 1f1aced85306 0000000000000005");
	add("'S' 0000 0002 1f1aced85306 'Q'");
	decode();
	assert_int_equal(t.n, 8);
	assert_int_equal(t.ops[0].kind, MDFH_OP_INSTRUMENT);
	for (int i = 1; i < 7; i++) {
		assert_int_equal(t.ops[i].kind, i == 3 ? MDFH_OP_ADD : MDFH_OP_NONE);
		assert_int_equal(t.ops[i].flags & MDFH_OP_MORE, 0);
		assert_int_equal(t.ops[i].sequence, i + 1);
	}
	assert_int_equal(t.ops[7].kind, MDFH_OP_STATUS);
	assert_int_equal(mdfh_instruments_count(t.instruments), 2);

	/* Of a stock that is not subscribed nothing else is looked at, wherever in a packet: the
	 * last messages of it are too near to its end for the short way. */
	for (int i = 0; i < 5; i++)
		add("'A' 0008 0002 1f1aced85306 0000000000000005 'Z' 00000000 'IBM     ' ffffffff");
	add("'Q' 0008 0002 1f1aced85306 0000000000000001 'IBM     ' ffffffff 0000000000000002 'O'");
	decode();
	assert_int_equal(t.n, 6);
	for (int i = 0; i < 6; i++)
		assert_int_equal(t.ops[i].kind, MDFH_OP_NONE);
	assert_int_equal(mdfh_decoder_stats(t.decoder)->errors[MDFH_DECODE_FIELD], 0);

	config.instruments = t.instruments;
	config.symbols = too_long;
	config.symbol_count = 1;
	stop();
	assert_int_equal(mdfh_instruments_create(4, &t.instruments), 0);
	config.instruments = t.instruments;
	assert_int_equal(mdfh_decoder_create("itch50", &config, &t.decoder), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "ABCDEFGHI"));
	mdfh_instruments_destroy(t.instruments);
}

/* Locates are dealt out anew: the stock keeps its row. */
static void another_session(void **state)
{
	const struct mdfh_span begin = {.kind = MDFH_SPAN_SESSION_BEGIN, .first = 1, .epoch = 2};

	(void)state;
	start(NULL, 0, MIDNIGHT);
	add(DIRECTORY);
	decode();
	mdfh_decoder_begin(t.soup_decoder, &begin, MDFH_FRAMING_SOUPBIN, 0);
	assert_int_equal(mdfh_decoder_next(t.soup_decoder, t.ops, 16), 1);
	mdfh_decoder_begin(t.decoder, &begin, MDFH_FRAMING_LENGTH_BE16, 0);
	assert_int_equal(mdfh_decoder_next(t.decoder, t.ops, 16), 1);
	assert_int_equal(t.ops[0].kind, MDFH_OP_SESSION_BEGIN);
	assert_int_equal(t.ops[0].code, 2);
	assert_int_equal(mdfh_decoder_next(t.decoder, t.ops, 16), 0);
	t.next = 1;
	add("'R' 0007 0002 1f1aced85306 'IBM     QN' 00000064 'NCZ PNN1N' 00000000 'N'");
	add("'R' 0008 0002 1f1aced85306 'AAPL    QN' 00000064 'NCZ PNN1N' 00000000 'N'");
	decode();
	assert_int_equal(t.ops[0].instrument, 2);
	assert_int_equal(t.ops[1].instrument, 1);
	assert_string_equal(mdfh_instruments_get(t.instruments, 2)->symbol, "IBM");
	stop();
}

static void markers(void **state)
{
	const struct mdfh_span gap = {
	    .kind = MDFH_SPAN_GAP, .first = 100, .messages = 7, .cause = MDFH_CAUSE_SOCKET};
	const struct mdfh_span end = {.kind = MDFH_SPAN_SESSION_END, .first = 107};

	(void)state;
	start(NULL, 0, MIDNIGHT);
	mdfh_decoder_begin(t.decoder, &gap, MDFH_FRAMING_LENGTH_BE16, 4);
	assert_int_equal(mdfh_decoder_next(t.decoder, t.ops, 16), 1);
	assert_int_equal(t.ops[0].kind, MDFH_OP_GAP);
	assert_int_equal(t.ops[0].order_id, 100);
	assert_int_equal(t.ops[0].quantity64, 7);
	assert_int_equal(t.ops[0].code, MDFH_CAUSE_SOCKET);
	assert_int_equal(t.ops[0].origin, 4);
	assert_int_equal(mdfh_decoder_next(t.decoder, t.ops, 16), 0);
	mdfh_decoder_begin(t.decoder, &end, MDFH_FRAMING_LENGTH_BE16, 4);
	assert_int_equal(mdfh_decoder_next(t.decoder, t.ops, 16), 1);
	assert_int_equal(t.ops[0].kind, MDFH_OP_END_OF_DAY);
	stop();
}

/* A full table of instruments: messages of what has no row are skipped, nothing else is. */
static void table_full(void **state)
{
	char message[128];

	(void)state;
	start(NULL, 0, MIDNIGHT);
	for (unsigned locate = 1; locate <= 17; locate++) {
		snprintf(message, sizeof(message),
		    "'R' %04x 0002 1f1aced85306 'S%02u     QN' 00000064 'NCZ PNN1N' 00000000 'N'",
		    locate, locate);
		add(message);
	}
	add("'D' 0011 0002 1f1aced85306 0000000000000005");
	add("'D' 0010 0002 1f1aced85306 0000000000000005");
	decode();
	assert_int_equal(t.n, 19);
	assert_int_equal(t.ops[15].kind, MDFH_OP_INSTRUMENT);
	assert_int_equal(t.ops[16].kind, MDFH_OP_NONE);
	assert_int_equal(t.ops[17].kind, MDFH_OP_NONE);
	assert_int_equal(t.ops[18].kind, MDFH_OP_DELETE);
	assert_true(mdfh_instruments_refused(t.instruments) > 0);
	stop();
}

/* Real and synthetic day files: counts by type as the independent decoding has them. */
static void day_files(void **state)
{
	static const struct {
		const char *name;
		struct {
			char type;
			unsigned count;
		} want[12];
	} cases[] = {
	    {"nasdaq-day-head-real-0001-0600", {{'S', 1}, {'R', 593}, {'H', 3}, {'Y', 3}}},
	    {"ritch-artificial-0001-7000",
		{{'A', 3009}, {'D', 1069}, {'E', 123}, {'F', 2}, {'H', 3}, {'P', 2736}, {'R', 3},
		    {'S', 3}, {'U', 8}, {'X', 44}}},
	};
	const char *folder = getenv("MDFH_DATA");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct mdfh_decoder_stats *stats;
		struct mdfh_decoder_config config = {.size = sizeof(config)};
		struct mdfh_instruments *instruments;
		struct mdfh_binaryfile file;
		struct mdfh_decoder *decoder;
		struct mdfh_span span;
		char path[512];
		uint8_t *data;
		uint64_t total = 0;
		FILE *f;

		snprintf(path, sizeof(path), "%s/itch50-binaryfile/%s.itch", folder ? folder : "",
		    cases[i].name);
		f = fopen(path, "rb");
		if (!f) {
			print_message("skipped: %s is not there\n", path);
			skip();
		}
		data = malloc(1 << 20);
		assert_non_null(data);
		mdfh_binaryfile_open(&file, 0);
		mdfh_binaryfile_feed(&file, data, fread(data, 1, 1 << 20, f));
		fclose(f);
		assert_int_equal(mdfh_instruments_create(1000, &instruments), 0);
		config.instruments = instruments;
		assert_int_equal(mdfh_decoder_create("itch50", &config, &decoder), 0);
		while (mdfh_binaryfile_next(&file, 64, &span)) {
			uint64_t next = span.first;
			int n;

			mdfh_decoder_begin(decoder, &span, MDFH_FRAMING_LENGTH_BE16, 0);
			while ((n = mdfh_decoder_next(decoder, t.ops, 256)) > 0) {
				for (int k = 0; k < n; k++) {
					assert_int_equal(t.ops[k].sequence, next);
					assert_int_not_equal(t.ops[k].kind, MDFH_OP_GAP);
					next += !(t.ops[k].flags & MDFH_OP_MORE);
				}
			}
			assert_int_equal(next, span.first + span.messages);
		}
		stats = mdfh_decoder_stats(decoder);
		for (size_t k = 0; cases[i].want[k].type; k++) {
			assert_int_equal(
			    stats->by_type[(uint8_t)cases[i].want[k].type], cases[i].want[k].count);
			total += cases[i].want[k].count;
		}
		assert_int_equal(stats->messages, total);
		mdfh_decoder_destroy(decoder);
		mdfh_instruments_destroy(instruments);
		free(data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_message),
	    cmocka_unit_test(refused),
	    cmocka_unit_test(unknown_and_longer),
	    cmocka_unit_test(framing),
	    cmocka_unit_test(uncounted),
	    cmocka_unit_test(unseen_locate),
	    cmocka_unit_test(subscription),
	    cmocka_unit_test(another_session),
	    cmocka_unit_test(markers),
	    cmocka_unit_test(table_full),
	    cmocka_unit_test(day_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
