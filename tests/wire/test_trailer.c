/* test_trailer.c - the times that taps write behind frames: read where they are whole and near, passed
 * over where anything about them is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/bytes.h"
#include "wire/trailer.h"

#define S    1000000000ULL
#define NEAR (1700000000 * S + 5)
#define MANY 1500

struct made {
	uint8_t bytes[MANY + 256];
	uint32_t length;
	struct mdfh_frame frame;
};

/* A UDP frame as it came to the tap: padded to 60 bytes. */
static struct made original(uint32_t payload_length)
{
	static const uint8_t payload[MANY];
	struct made made = {.length = 0};
	struct mdfh_frame_header header = {.source_port = 1, .destination_port = 2};
	int length;

	assert_int_equal(mdfh_frame_address("10.0.0.1", header.source), 0);
	assert_int_equal(mdfh_frame_address("239.1.1.1", header.destination), 0);
	length = mdfh_frame_build(&header, payload, payload_length, made.bytes, MANY + 128);
	assert_true(length > 0);
	made.length = length < 60 ? 60 : (uint32_t)length;
	return made;
}

static void add(struct made *made, const void *bytes, uint32_t count)
{
	memcpy(made->bytes + made->length, bytes, count);
	made->length += count;
}

static void add_metamako(struct made *made, uint64_t time_ns, uint8_t flags)
{
	uint8_t at[12];

	mdfh_store_be32(at, (uint32_t)(time_ns / S));
	mdfh_store_be32(at + 4, (uint32_t)(time_ns % S));
	at[8] = flags;
	mdfh_store_be16(at + 9, 0x0102);
	at[11] = 17;
	add(made, at, sizeof(at));
}

static void add_exablaze(struct made *made, uint32_t seconds, uint64_t fraction)
{
	uint8_t at[16] = "\x11\x22\x33\x44";

	at[4] = 9;
	at[5] = 21;
	mdfh_store_be32(at + 6, seconds);
	mdfh_store_be32(at + 10, (uint32_t)(fraction >> 8));
	at[14] = (uint8_t)fraction;
	add(made, at, sizeof(at));
}

static enum mdfh_trailer_verdict read_cut(struct mdfh_trailer_reader *reader, struct made *made,
    uint32_t captured, uint64_t near_ns, struct mdfh_trailer_stamp *stamp)
{
	assert_int_equal(
	    mdfh_frame_parse(MDFH_LINK_ETHERNET, made->bytes, captured, made->length, &made->frame),
	    MDFH_FRAME_OK);
	return mdfh_trailer_read(
	    reader, made->bytes, captured, made->length, &made->frame, near_ns, stamp);
}

static enum mdfh_trailer_verdict read_whole(struct mdfh_trailer_reader *reader, struct made *made,
    uint64_t near_ns, struct mdfh_trailer_stamp *stamp)
{
	return read_cut(reader, made, made->length, near_ns, stamp);
}

/* By hand: a frame of 4 bytes of payload, as MetaWatch sends it on. */
static void test_metamako_bytes(void **state)
{
	static const uint8_t bytes[] = {
	    /* Ethernet, IPv4, UDP, 4 bytes of payload, 14 of padding */
	    0x01, 0x00, 0x5e, 0x01, 0x01, 0x01, 0x02, 0, 0, 0, 0, 1, 0x08, 0x00,   /**/
	    0x45, 0, 0, 32, 0, 0, 0x40, 0, 1, 17, 0, 0, 10, 0, 0, 1, 239, 1, 1, 1, /**/
	    0, 1, 0, 2, 0, 12, 0, 0, 'd', 'a', 't', 'a',                           /**/
	    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,                              /**/
	    0xde, 0xad, 0xbe, 0xef, /* FCS of the original */
	    0x65, 0x53, 0xf1, 0x02, /* 1700000002 */
	    0x07, 0x5b, 0xcd, 0x15, /* 123456789 */
	    0x01, 0x00, 0x2a, 0x05, /* FCS was valid; device 42, port 5 */
	};
	struct mdfh_trailer_reader reader = {.kind = MDFH_TRAILER_METAMAKO};
	struct mdfh_trailer_stamp stamp;
	struct made made = {.length = 0};

	(void)state;
	add(&made, bytes, sizeof(bytes));
	assert_int_equal(read_whole(&reader, &made, NEAR, &stamp), MDFH_TRAILER_SOUND);
	assert_true(stamp.time_ns == 1700000002123456789ULL);
	assert_int_equal(stamp.device, 42);
	assert_int_equal(stamp.port, 5);
	assert_int_equal(stamp.is_synced, 1);
	assert_int_equal(stamp.is_duplicate, 0);
	assert_int_equal(made.frame.payload_length, 4); /* the payload ends where it did */
}

static void test_metamako_variants(void **state)
{
	static const uint32_t lengths[] = {0, 1, 17, 18, 19, 60, 1400};
	struct mdfh_trailer_reader reader = {.kind = MDFH_TRAILER_METAMAKO};
	struct mdfh_trailer_stamp stamp;

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		for (unsigned kind = 0; kind < 16; kind++) {
			struct made made = original(lengths[i]);
			uint8_t flags = (uint8_t)((kind & 1 ? 0x10 : 0) | (kind & 2 ? 0x04 : 0) |
						  (kind & 4 ? 0x02 : 0));

			add(&made, "\xfc\x5f\xc5\xfc", 4);
			if (kind & 4) {
				/* First in the frame and last in the walk: a hash of two words. */
				add(&made, "\1\2\3\4\5\6\7\x08\0\0\0\xa2", 12);
				/* Then a tag of an extended length of one word. */
				add(&made, "tag!\0\0\0\x1f", 8);
				/* And one word with a fraction. */
				add(&made, "\0\0\0\0\0\0\0\x41", 8);
			}
			add_metamako(&made, NEAR + i, flags);
			if (kind & 8)
				add(&made, "\x65\x53\xf1\x02", 4); /* its own FCS, also captured */
			assert_int_equal(
			    read_whole(&reader, &made, NEAR, &stamp), MDFH_TRAILER_SOUND);
			assert_true(stamp.time_ns == NEAR + i);
			assert_int_equal(stamp.device, 0x0102);
			assert_int_equal(stamp.port, 17);
			assert_int_equal(stamp.is_synced, !(kind & 1));
			assert_int_equal(stamp.is_duplicate, (kind & 2) != 0);
			assert_int_equal(reader.fcs, kind & 8 ? 4 : 0);
		}
	}
}

/* Extensions that say that they are longer than the frame, or that never end. */
static void test_metamako_extensions(void **state)
{
	static const uint8_t words[][4] = {
	    {0, 0, 0xff, 0xff}, /* 1024 words */
	    {0, 0, 0, 0xe0},    /* 3 words, where there is room for 2 */
	    {0, 0, 0, 0x00},    /* not the last, and nothing before it */
	    {0, 0, 0, 0x40},
	};
	struct mdfh_trailer_reader reader = {.kind = MDFH_TRAILER_METAMAKO};
	struct mdfh_trailer_stamp stamp;

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct made made = original(100);

		add(&made, "\xff\xff\xff\xff", 4); /* FCS */
		add(&made, "\0\0\0\0\0\0\0\0", i == 1 ? 8 : i == 3 ? 4 : 0);
		add(&made, words[i], 4);
		add_metamako(&made, NEAR, 0x02);
		assert_int_equal(
		    read_whole(&reader, &made, NEAR, &stamp), MDFH_TRAILER_IMPLAUSIBLE);
	}
}

static void test_exablaze(void **state)
{
	static const struct {
		uint64_t fraction;
		uint32_t ns;
	} cases[] = {
	    {0, 0},
	    {1ULL << 39, 500000000},
	    {(1ULL << 40) - 1, 999999999},
	    {0x1fffffff, 488281}, /* 2^29 - 1 over 2^40, in ns: cut */
	    {1100, 1},
	    {1099, 0},
	};
	struct mdfh_trailer_reader reader = {.kind = MDFH_TRAILER_EXABLAZE};
	struct mdfh_trailer_stamp stamp;

	(void)state;
	for (unsigned fcs = 0; fcs <= 4; fcs += 4) {
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			struct made made = original((uint32_t)i * 40);

			add_exablaze(&made, 1700000001, cases[i].fraction);
			add(&made, "\xab\xcd\xef\x12", fcs);
			assert_int_equal(
			    read_whole(&reader, &made, NEAR, &stamp), MDFH_TRAILER_SOUND);
			assert_true(stamp.time_ns == 1700000001 * S + cases[i].ns);
			assert_int_equal(stamp.device, 9);
			assert_int_equal(stamp.port, 21);
			assert_int_equal(stamp.is_synced, 0); /* it does not say */
			assert_int_equal(reader.fcs, fcs);
		}
	}
}

/* An FCS that has been seen is looked for first: bytes in front of it that look like a time as well do
 * not mislead. */
static void test_place_is_remembered(void **state)
{
	struct mdfh_trailer_reader reader = {.kind = MDFH_TRAILER_EXABLAZE};
	struct mdfh_trailer_stamp stamp;
	struct made first = original(80), second = original(80);

	(void)state;
	add_exablaze(&first, 1700000000, 0);
	add(&first, "abcd", 4);
	assert_int_equal(read_whole(&reader, &first, NEAR, &stamp), MDFH_TRAILER_SOUND);
	/* Read four bytes further on, the fraction is a time as near. */
	add_exablaze(&second, 1700000000, (uint64_t)1700000003 << 8);
	add(&second, "abcd", 4);
	assert_int_equal(read_whole(&reader, &second, NEAR, &stamp), MDFH_TRAILER_SOUND);
	assert_int_equal(stamp.port, 21);
	assert_true(stamp.time_ns / S == 1700000000);
}

static void test_window(void **state)
{
	static const struct {
		int64_t off_ns;
		enum mdfh_trailer_verdict verdict;
	} cases[] = {
	    {30 * (int64_t)S, MDFH_TRAILER_SOUND},
	    {30 * (int64_t)S + 1, MDFH_TRAILER_IMPLAUSIBLE},
	    {-30 * (int64_t)S, MDFH_TRAILER_SOUND},
	    {-30 * (int64_t)S - 1, MDFH_TRAILER_IMPLAUSIBLE},
	    {37 * (int64_t)S, MDFH_TRAILER_IMPLAUSIBLE}, /* TAI */
	    {-1000000 * (int64_t)S, MDFH_TRAILER_IMPLAUSIBLE},
	};
	struct mdfh_trailer_stamp stamp;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mdfh_trailer_reader reader = {.kind = MDFH_TRAILER_METAMAKO};
		struct made made = original(100);

		add(&made, "fcs.", 4);
		add_metamako(&made, NEAR + (uint64_t)cases[i].off_ns, 0);
		assert_int_equal(read_whole(&reader, &made, NEAR, &stamp), cases[i].verdict);
		if (cases[i].verdict != MDFH_TRAILER_SOUND)
			assert_true(stamp.time_ns == 0);
		/* Nothing to compare with: nothing to believe. */
		assert_int_equal(read_whole(&reader, &made, 0, &stamp), MDFH_TRAILER_IMPLAUSIBLE);
	}
}

static void test_damaged(void **state)
{
	struct mdfh_trailer_reader reader = {.kind = MDFH_TRAILER_METAMAKO};
	struct mdfh_trailer_stamp stamp;
	struct made made = original(100), plain = original(100), padded = original(1);
	uint8_t bad_ns[12] = {0x65, 0x53, 0xf1, 0x00, 0x3b, 0x9a, 0xca, 0x00}; /* 10^9 ns */

	(void)state;
	assert_int_equal(read_whole(&reader, &plain, NEAR, &stamp), MDFH_TRAILER_ABSENT);
	/* Padding is no trailer, even where there is room for one in it. */
	assert_int_equal(read_whole(&reader, &padded, NEAR, &stamp), MDFH_TRAILER_IMPLAUSIBLE);
	add(&plain, "0123456789abcde", 15);
	assert_int_equal(read_whole(&reader, &plain, NEAR, &stamp), MDFH_TRAILER_ABSENT);
	add(&made, "fcs.", 4);
	add(&made, bad_ns, sizeof(bad_ns));
	assert_int_equal(read_whole(&reader, &made, NEAR, &stamp), MDFH_TRAILER_IMPLAUSIBLE);
	/* Cut by the capture anywhere. */
	made = original(100);
	add(&made, "fcs.", 4);
	add_metamako(&made, NEAR, 0);
	for (uint32_t cut = 42; cut < made.length; cut++)
		assert_int_equal(read_cut(&reader, &made, cut, NEAR, &stamp), MDFH_TRAILER_ABSENT);
}

static void test_ipv6(void **state)
{
	struct mdfh_trailer_reader reader = {.kind = MDFH_TRAILER_METAMAKO};
	struct mdfh_trailer_stamp stamp;
	struct mdfh_frame_header header = {.vlan = {142}, .vlan_count = 1};
	struct made made = {.length = 0};
	int length;

	(void)state;
	assert_int_equal(mdfh_frame_address("2001:db8::1", header.source), 0);
	assert_int_equal(mdfh_frame_address("ff15::1", header.destination), 0);
	length = mdfh_frame_build(&header, "data", 4, made.bytes, 128);
	assert_int_equal(length, 14 + 4 + 40 + 8 + 4);
	made.length = (uint32_t)length;
	add(&made, "fcs.", 4);
	add_metamako(&made, NEAR + 1, 0);
	assert_int_equal(read_whole(&reader, &made, NEAR, &stamp), MDFH_TRAILER_SOUND);
	assert_true(stamp.time_ns == NEAR + 1);
}

/* A header of Arista's between the addresses and the type. */
static struct made with_header(unsigned version, uint32_t seconds, uint32_t ns)
{
	struct made made = original(20), with = {.length = 0};
	uint8_t header[14] = {0xd2, 0x8b, 0, 1};
	uint32_t bytes = (version & 0xff) == 0x10 ? 8 : 6;

	mdfh_store_be16(header + 4, (uint16_t)version);
	if (bytes == 8)
		mdfh_store_be32(header + 6, seconds);
	else
		mdfh_store_be16(header + 6, (uint16_t)seconds);
	mdfh_store_be32(header + 6 + bytes - 4, ns);
	add(&with, made.bytes, 12);
	add(&with, header, 6 + bytes);
	add(&with, made.bytes + 12, made.length - 12);
	return with;
}

static void test_arista_header(void **state)
{
	enum { SECONDS = 1700000000 };
	static const struct {
		unsigned version;
		uint32_t seconds, ns;
		uint64_t near_ns, want_ns;
		enum mdfh_trailer_verdict verdict;
	} cases[] = {
	    {0x110, SECONDS, 7, NEAR, SECONDS * S + 7, MDFH_TRAILER_SOUND},
	    {0x10, SECONDS + 37, 7, NEAR, SECONDS * S + 7, MDFH_TRAILER_SOUND},
	    {0x120, SECONDS, 7, NEAR, SECONDS * S + 7, MDFH_TRAILER_SOUND},
	    {0x20, SECONDS + 37, 7, NEAR, SECONDS * S + 7, MDFH_TRAILER_SOUND},
	    /* TAI was 35 s ahead in 2013. */
	    {0x10, 1370000035, 7, 1370000000 * S, 1370000000 * S + 7, MDFH_TRAILER_SOUND},
	    /* The low 16 bits of the seconds wrap between the two clocks. */
	    {0x120, 0x65530001, 7, 0x6552fff0 * S, 0x65530001 * S + 7, MDFH_TRAILER_SOUND},
	    {0x120, 0x6552fff0, 7, 0x65530001 * S, 0x6552fff0 * S + 7, MDFH_TRAILER_SOUND},
	    /* The one scale taken for the other, too far off, no ns, no other time. */
	    {0x110, SECONDS + 37, 7, NEAR, 0, MDFH_TRAILER_IMPLAUSIBLE},
	    {0x10, SECONDS, 7, NEAR, 0, MDFH_TRAILER_IMPLAUSIBLE},
	    {0x110, SECONDS + 31, 7, NEAR, 0, MDFH_TRAILER_IMPLAUSIBLE},
	    {0x110, SECONDS, S, NEAR, 0, MDFH_TRAILER_IMPLAUSIBLE},
	    {0x110, SECONDS, 7, 0, 0, MDFH_TRAILER_IMPLAUSIBLE},
	};
	struct mdfh_trailer_reader reader = {.kind = MDFH_TRAILER_ARISTA_7280};
	struct mdfh_trailer_stamp stamp;
	struct made plain = original(20);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct made made = with_header(cases[i].version, cases[i].seconds, cases[i].ns);

		assert_int_equal(
		    read_whole(&reader, &made, cases[i].near_ns, &stamp), cases[i].verdict);
		assert_true(stamp.time_ns == cases[i].want_ns);
		assert_int_equal(stamp.is_synced, 0);
		assert_int_equal(made.frame.payload_length, 20);
		assert_int_equal(made.frame.destination_port, 2);
	}
	assert_int_equal(read_whole(&reader, &plain, NEAR, &stamp), MDFH_TRAILER_ABSENT);
}

/* A header of another kind is no packet; one that is cut is not read on. */
static void test_arista_unsound(void **state)
{
	struct made made = with_header(0x110, 1700000000, 7);
	struct mdfh_frame frame;

	(void)state;
	for (uint32_t cut = 14; cut < 28; cut++) {
		assert_int_equal(mdfh_frame_parse(MDFH_LINK_ETHERNET, made.bytes, cut, cut, &frame),
		    MDFH_FRAME_SHORT);
		assert_int_equal(
		    mdfh_frame_parse(MDFH_LINK_ETHERNET, made.bytes, cut, made.length, &frame),
		    MDFH_FRAME_CUT);
	}
	made.bytes[17] = 0x30; /* version */
	assert_int_equal(
	    mdfh_frame_parse(MDFH_LINK_ETHERNET, made.bytes, made.length, made.length, &frame),
	    MDFH_FRAME_NOT_IP);
	made.bytes[17] = 0x10;
	made.bytes[15] = 3; /* subtype */
	assert_int_equal(
	    mdfh_frame_parse(MDFH_LINK_ETHERNET, made.bytes, made.length, made.length, &frame),
	    MDFH_FRAME_NOT_IP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_metamako_bytes),
	    cmocka_unit_test(test_metamako_variants),
	    cmocka_unit_test(test_metamako_extensions),
	    cmocka_unit_test(test_exablaze),
	    cmocka_unit_test(test_place_is_remembered),
	    cmocka_unit_test(test_window),
	    cmocka_unit_test(test_damaged),
	    cmocka_unit_test(test_ipv6),
	    cmocka_unit_test(test_arista_header),
	    cmocka_unit_test(test_arista_unsound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
