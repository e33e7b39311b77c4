/* test_frame.c - frames to fields, and back.
 *
 * A case is a frame written out byte by byte, so that the parser is held against the formats and
 * not against mdfh_frame_build. Each sound frame is also cut at every length: a parser must notice
 * and never read past the end (the copy stands at the end of its own allocation). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "mdfh/error.h"
#include "mdfh/frame.h"

enum { BYTES_MAX = 256 };

/* Hex digits with blanks to bytes. */
static uint32_t bytes_of(const char *hex, uint8_t *bytes)
{
	uint32_t n = 0;

	for (unsigned value; *hex; hex += 2) {
		while (*hex == ' ')
			hex++;
		if (!*hex)
			break;
		assert_int_equal(sscanf(hex, "%2x", &value), 1);
		assert_true(n < BYTES_MAX);
		bytes[n++] = (uint8_t)value;
	}
	return n;
}

#define MACS    "01005e011f40 021122334455 "
#define IP      "cdd1d447 e0001f40 "   /* 205.209.212.71 > 224.0.31.64 */
#define UDP     "3bec 3804 000c 0000 " /* 15340 > 14340, 4 bytes */
#define DATA    "64617461"             /* "data" */
#define IP6     "20010db8000000000000000000000001 ff020000000000000000000000000123 "
#define TCP     "3bec 3804 00000001 00000002 5018 2000 0000 0000 "
#define PADDING "00000000 00000000 00000000 0000"

#define V4_UDP           "4500 0020 0001 4000 0111 0000 " IP UDP DATA
#define V6(next, length) "60000000" length next "01" IP6

struct expected {
	enum mdfh_frame_error error;
	uint32_t payload_offset, payload_length;
	uint8_t version, protocol, vlans;
	uint16_t vlan[2];
};

static const struct {
	const char *name;
	uint32_t link_type;
	const char *hex;
	struct expected want;
} cases[] = {
    {"Ethernet, IPv4, UDP", 1, MACS "0800" V4_UDP, {0, 42, 4, 4, 17, 0, {0}}},
    {"padded to the Ethernet minimum", 1, MACS "0800" V4_UDP PADDING, {0, 42, 4, 4, 17, 0, {0}}},
    {"802.1Q with priority bits", 1, MACS "8100 e08e 0800" V4_UDP, {0, 46, 4, 4, 17, 1, {142}}},
    {"802.1ad", 1, MACS "88a8 0389 8100 0001 0800" V4_UDP, {0, 50, 4, 4, 17, 2, {905, 1}}},
    {"old QinQ", 1, MACS "9100 0663 8100 0fff 0800" V4_UDP, {0, 50, 4, 4, 17, 2, {1635, 4095}}},
    {"three tags", 1, MACS "88a8 0001 8100 0002 8100 0003 0800" V4_UDP,
	{MDFH_FRAME_VLAN_TAGS, 0, 0, 0, 0, 2, {1, 2}}},
    {"IPv4 options", 1, MACS "0800 4600 0024 0001 4000 0111 0000" IP "94040000" UDP DATA,
	{0, 46, 4, 4, 17, 0, {0}}},
    {"no payload", 1, MACS "0800 4500 001c 0001 4000 0111 0000" IP "3bec 3804 0008 0000",
	{0, 42, 0, 4, 17, 0, {0}}},
    {"IP longer than UDP", 1, MACS "0800 4500 0024 0001 4000 0111 0000" IP UDP DATA "00000000",
	{0, 42, 4, 4, 17, 0, {0}}},
    {"raw IP", 101, V4_UDP, {0, 28, 4, 4, 17, 0, {0}}},
    {"IPv4 link type", 228, V4_UDP, {0, 28, 4, 4, 17, 0, {0}}},
    {"Linux cooked 1", 113, "0000 0001 0006 021122334455 0000 0800" V4_UDP,
	{0, 44, 4, 4, 17, 0, {0}}},
    {"Linux cooked 1 with a tag", 113, "0000 0001 0006 021122334455 0000 8100 0007 0800" V4_UDP,
	{0, 48, 4, 4, 17, 1, {7}}},
    {"Linux cooked 2", 276, "0800 0000 00000002 0001 00 06 0211223344550000" V4_UDP,
	{0, 48, 4, 4, 17, 0, {0}}},
    {"BSD loopback, little endian", 0, "02000000" V4_UDP, {0, 32, 4, 4, 17, 0, {0}}},
    {"BSD loopback, big endian", 0, "00000002" V4_UDP, {0, 32, 4, 4, 17, 0, {0}}},
    {"OpenBSD loopback", 108, "00000002" V4_UDP, {0, 32, 4, 4, 17, 0, {0}}},
    {"macOS loopback, IPv6", 0, "1e000000" V6("11", "000c") UDP DATA, {0, 52, 4, 6, 17, 0, {0}}},
    {"IPv6", 1, MACS "86dd" V6("11", "000c") UDP DATA, {0, 62, 4, 6, 17, 0, {0}}},
    {"IPv6 raw", 101, V6("11", "000c") UDP DATA, {0, 48, 4, 6, 17, 0, {0}}},
    {"IPv6 hop-by-hop, routing, destination options", 101,
	V6("00", "002c") "2b00 0502 0000 0100"
			 "3c01 0000 00000000 00000000 00000000"
			 "1100 0104 00000000" UDP DATA,
	{0, 80, 4, 6, 17, 0, {0}}},
    {"IPv6 atomic fragment", 101, V6("2c", "0014") "1100 0000 00000001" UDP DATA,
	{0, 56, 4, 6, 17, 0, {0}}},
    {"TCP", 1, MACS "0800 4500 002c 0001 4000 4006 0000" IP TCP DATA, {0, 54, 4, 4, 6, 0, {0}}},
    {"TCP options", 1,
	MACS "0800 4500 0030 0001 4000 4006 0000" IP
	     "3bec 3804 00000001 00000002 6018 2000 0000 0000 01010101" DATA,
	{0, 58, 4, 4, 6, 0, {0}}},

    {"ARP", 1, MACS "0806 0001 0800 0604 0001", {MDFH_FRAME_NOT_IP, 0, 0, 0, 0, 0, {0}}},
    {"802.3 length", 1, MACS "0026 4242 03", {MDFH_FRAME_NOT_IP, 0, 0, 0, 0, 0, {0}}},
    {"loopback of another family", 0, "07000000" V4_UDP, {MDFH_FRAME_NOT_IP, 0, 0, 0, 0, 0, {0}}},
    {"link type", 147, V4_UDP, {MDFH_FRAME_LINK_TYPE, 0, 0, 0, 0, 0, {0}}},
    {"version 6 under IPv4", 1, MACS "0800 6500 0020 0001 4000 0111 0000" IP UDP DATA,
	{MDFH_FRAME_IP_VERSION, 0, 0, 0, 0, 0, {0}}},
    {"version 4 under IPv6", 1, MACS "86dd 40000000 000c 1101" IP6 UDP DATA,
	{MDFH_FRAME_IP_VERSION, 0, 0, 0, 0, 0, {0}}},
    {"header of 16", 1, MACS "0800 4400 0020 0001 4000 0111 0000" IP UDP DATA,
	{MDFH_FRAME_IP_HEADER, 0, 0, 4, 17, 0, {0}}},
    {"header beyond the packet", 1, MACS "0800 4f00 0020 0001 4000 0111 0000" IP UDP DATA,
	{MDFH_FRAME_IP_HEADER, 0, 0, 4, 17, 0, {0}}},
    {"IP length beyond the frame", 1, MACS "0800 4500 0021 0001 4000 0111 0000" IP UDP DATA,
	{MDFH_FRAME_IP_LENGTH, 0, 0, 4, 17, 0, {0}}},
    {"IPv6 length beyond the frame", 101, V6("11", "000d") UDP DATA,
	{MDFH_FRAME_IP_LENGTH, 0, 0, 6, 17, 0, {0}}},
    {"first fragment", 1, MACS "0800 4500 0020 0001 2000 0111 0000" IP UDP DATA,
	{MDFH_FRAME_FRAGMENT, 0, 0, 4, 17, 0, {0}}},
    {"later fragment", 1, MACS "0800 4500 0020 0001 0001 0111 0000" IP UDP DATA,
	{MDFH_FRAME_FRAGMENT, 0, 0, 4, 17, 0, {0}}},
    {"IPv6 fragment", 101, V6("2c", "0014") "1100 0001 00000001" UDP DATA,
	{MDFH_FRAME_FRAGMENT, 0, 0, 6, 17, 0, {0}}},
    {"extension beyond the packet", 101, V6("00", "0014") "1102 0502 0000 0100" UDP DATA,
	{MDFH_FRAME_IP_EXTENSION, 0, 0, 6, 0, 0, {0}}},
    {"nine extensions", 101,
	V6("00", "0048") "0000 0104 00000000 0000 0104 00000000 0000 0104 00000000"
			 "0000 0104 00000000 0000 0104 00000000 0000 0104 00000000"
			 "0000 0104 00000000 0000 0104 00000000 1100 0104 00000000",
	{MDFH_FRAME_IP_EXTENSION, 0, 0, 6, 0, 0, {0}}},
    {"IGMP", 1, MACS "0800 4500 0020 0001 4000 0102 0000" IP UDP DATA,
	{MDFH_FRAME_NOT_UDP, 0, 0, 4, 2, 0, {0}}},
    {"packet ends inside UDP", 1, MACS "0800 4500 001b 0001 4000 0111 0000" IP UDP DATA,
	{MDFH_FRAME_UDP_SHORT, 0, 0, 4, 17, 0, {0}}},
    {"UDP length below 8", 1,
	MACS "0800 4500 0020 0001 4000 0111 0000" IP "3bec 3804 0007 0000" DATA,
	{MDFH_FRAME_UDP_LENGTH, 0, 0, 4, 17, 0, {0}}},
    {"UDP length beyond the packet", 1,
	MACS "0800 4500 0020 0001 4000 0111 0000" IP "3bec 3804 000d 0000" DATA,
	{MDFH_FRAME_UDP_LENGTH, 0, 0, 4, 17, 0, {0}}},
    {"TCP header beyond the packet", 1,
	MACS "0800 4500 002c 0001 4000 4006 0000" IP
	     "3bec 3804 00000001 00000002 7018 2000 0000 0000" DATA,
	{MDFH_FRAME_TCP_HEADER, 0, 0, 4, 6, 0, {0}}},
    {"TCP header of 16", 1,
	MACS "0800 4500 002c 0001 4000 4006 0000" IP
	     "3bec 3804 00000001 00000002 4018 2000 0000 0000" DATA,
	{MDFH_FRAME_TCP_HEADER, 0, 0, 4, 6, 0, {0}}},
};

#define CASES (sizeof(cases) / sizeof(cases[0]))

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < CASES; i++) {
		const struct expected *want = &cases[i].want;
		uint8_t bytes[BYTES_MAX];
		uint32_t length = bytes_of(cases[i].hex, bytes);
		struct mdfh_frame got;
		enum mdfh_frame_error error =
		    mdfh_frame_parse(cases[i].link_type, bytes, length, length, &got);

		if (error != want->error)
			fail_msg("%s: is '%s', expected '%s'", cases[i].name,
			    mdfh_frame_error_name(error), mdfh_frame_error_name(want->error));
		if (got.payload_offset != want->payload_offset ||
		    got.payload_length != want->payload_length ||
		    got.payload_wire_length != want->payload_length ||
		    got.ip_version != want->version || got.protocol != want->protocol ||
		    got.vlan_count != want->vlans || got.vlan[0] != want->vlan[0] ||
		    got.vlan[1] != want->vlan[1] || got.truncated)
			fail_msg("%s: payload %u+%u, version %u, protocol %u, %u tags %u %u",
			    cases[i].name, got.payload_offset, got.payload_length, got.ip_version,
			    got.protocol, got.vlan_count, got.vlan[0], got.vlan[1]);
		assert_int_equal(got.fragment, error == MDFH_FRAME_FRAGMENT);
		if (error)
			continue;
		assert_int_equal(got.source_port, 15340);
		assert_int_equal(got.destination_port, 14340);
		if (want->payload_length)
			assert_memory_equal(bytes + got.payload_offset, "data", 4);
	}
}

static void test_addresses(void **state)
{
	char text[MDFH_ENDPOINT_TEXT_MAX];
	uint8_t bytes[BYTES_MAX];
	uint32_t length = bytes_of(MACS "0800" V4_UDP, bytes);
	struct mdfh_frame frame;

	(void)state;
	assert_int_equal(mdfh_frame_parse(1, bytes, length, length, &frame), 0);
	assert_string_equal(
	    mdfh_endpoint_text(frame.source, frame.source_port, text), "205.209.212.71:15340");
	assert_string_equal(mdfh_endpoint_text(frame.destination, frame.destination_port, text),
	    "224.0.31.64:14340");
	assert_true(mdfh_frame_is_ipv4(frame.source));
	assert_true(mdfh_frame_is_multicast(frame.destination));
	assert_false(mdfh_frame_is_multicast(frame.source));

	length = bytes_of(V6("11", "000c") UDP DATA, bytes);
	assert_int_equal(mdfh_frame_parse(101, bytes, length, length, &frame), 0);
	assert_string_equal(
	    mdfh_endpoint_text(frame.source, frame.source_port, text), "[2001:db8::1]:15340");
	assert_string_equal(mdfh_endpoint_text(frame.destination, frame.destination_port, text),
	    "[ff02::123]:14340");
	assert_true(mdfh_frame_is_multicast(frame.destination));
}

/* What is missing was cut by the capture, and is reported as that and as nothing else. */
static void test_capture_cut_at_every_length(void **state)
{
	(void)state;
	for (size_t i = 0; i < CASES; i++) {
		uint8_t bytes[BYTES_MAX];
		uint32_t length = bytes_of(cases[i].hex, bytes);
		const struct expected *want = &cases[i].want;

		for (uint32_t captured = 0; captured < length; captured++) {
			uint8_t *copy = malloc(captured ? captured : 1);
			struct mdfh_frame got;
			enum mdfh_frame_error error;

			memcpy(copy, bytes, captured);
			error = mdfh_frame_parse(cases[i].link_type, copy, captured, length, &got);
			if (error != want->error && error != MDFH_FRAME_CUT)
				fail_msg("%s cut at %u: %s", cases[i].name, captured,
				    mdfh_frame_error_name(error));
			if (!want->error && captured >= want->payload_offset) {
				uint32_t present = captured - want->payload_offset;

				if (present > want->payload_length)
					present = want->payload_length;
				assert_int_equal(error, MDFH_FRAME_OK);
				assert_int_equal(got.payload_length, present);
				assert_int_equal(got.payload_wire_length, want->payload_length);
				assert_int_equal(got.truncated, present < want->payload_length);
			} else if (!want->error) {
				assert_int_equal(error, MDFH_FRAME_CUT);
			}
			free(copy);
		}
	}
}

/* A frame that was this short on the wire is malformed, not cut. */
static void test_frame_short_at_every_length(void **state)
{
	(void)state;
	for (size_t i = 0; i < CASES; i++) {
		uint8_t bytes[BYTES_MAX];
		uint32_t length = bytes_of(cases[i].hex, bytes);

		for (uint32_t wire = 0; wire < length; wire++) {
			uint8_t *copy = malloc(wire ? wire : 1);
			struct mdfh_frame got;
			enum mdfh_frame_error error;

			memcpy(copy, bytes, wire);
			error = mdfh_frame_parse(cases[i].link_type, copy, wire, wire, &got);
			assert_int_not_equal(error, MDFH_FRAME_CUT);
			if (!error)
				assert_true(got.payload_offset + got.payload_length <= wire);
			free(copy);
		}
	}
}

/* Sums computed by hand (and shown by tshark) for these bytes. */
static void test_checksums(void **state)
{
	uint8_t bytes[BYTES_MAX];
	uint32_t length = bytes_of(
	    "4500 0020 0001 4000 0111 d872 cdd1d447 e0001f40 3bec 3804 000c 0000" DATA, bytes);
	struct mdfh_frame frame;

	(void)state;
	assert_int_equal(mdfh_frame_parse(101, bytes, length, length, &frame), 0);
	/* A UDP sum of 0 is none. */
	assert_int_equal(mdfh_frame_checksums(bytes, &frame), MDFH_FRAME_OK);
	bytes[10] ^= 1;
	assert_int_equal(mdfh_frame_checksums(bytes, &frame), MDFH_FRAME_CHECKSUM);
	bytes[10] ^= 1;
	bytes[26] = 0x11;
	bytes[27] = 0xc9;
	assert_int_equal(mdfh_frame_checksums(bytes, &frame), MDFH_FRAME_OK);
	for (uint32_t at = 20; at < length; at++) {
		bytes[at] ^= 0x10;
		assert_int_equal(mdfh_frame_checksums(bytes, &frame), MDFH_FRAME_CHECKSUM);
		bytes[at] ^= 0x10;
	}
	/* Half a payload cannot be summed. */
	assert_int_equal(mdfh_frame_parse(101, bytes, length - 1, length, &frame), 0);
	assert_int_equal(mdfh_frame_checksums(bytes, &frame), MDFH_FRAME_OK);
}

static void test_build_writes_these_bytes(void **state)
{
	struct mdfh_frame_header header = {.source_port = 15340, .destination_port = 14340};
	uint8_t want[BYTES_MAX];
	uint8_t got[BYTES_MAX];
	uint32_t length = bytes_of("01005e001f40 020000000001 8100008e 0800"
				   "4500 0020 0001 4000 0111 d872 cdd1d447 e0001f40"
				   "3bec 3804 000c 11c9" DATA,
	    want);

	(void)state;
	header.identification = 1;
	header.vlan_count = 1;
	header.vlan[0] = 142;
	assert_int_equal(mdfh_frame_address("205.209.212.71", header.source), 0);
	assert_int_equal(mdfh_frame_address("224.0.31.64", header.destination), 0);
	assert_int_equal(mdfh_frame_build(&header, "data", 4, got, sizeof(got)), length);
	assert_memory_equal(got, want, length);
}

static void test_build_and_parse_agree(void **state)
{
	static const char *const pairs[][2] = {{"10.0.0.1", "239.1.2.3"}, {"10.0.0.1", "10.0.0.2"},
	    {"fe80::1%lo", "ff15::1234"}, {"2001:db8::1", "2001:db8::2"}};
	static uint8_t out[70000];
	static uint8_t payload[65536];

	(void)state;
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7);
	for (uint8_t tags = 0; tags <= 2; tags++)
		for (size_t pair = 0; pair < 4; pair++)
			for (uint32_t length = 0; length < 65507; length = length * 3 + 1) {
				struct mdfh_frame_header header = {.source_port = 1,
				    .destination_port = 65535,
				    .vlan = {100, 4095},
				    .vlan_count = tags};
				struct mdfh_frame frame;
				int total;

				assert_int_equal(
				    mdfh_frame_address(pairs[pair][0], header.source), 0);
				assert_int_equal(
				    mdfh_frame_address(pairs[pair][1], header.destination), 0);
				total =
				    mdfh_frame_build(&header, payload, length, out, sizeof(out));
				assert_true(total > 0);
				assert_int_equal(mdfh_frame_parse(MDFH_LINK_ETHERNET, out,
						     (uint32_t)total, (uint32_t)total, &frame),
				    MDFH_FRAME_OK);
				assert_int_equal(mdfh_frame_checksums(out, &frame), MDFH_FRAME_OK);
				assert_memory_equal(frame.source, header.source, 16);
				assert_memory_equal(frame.destination, header.destination, 16);
				assert_int_equal(frame.source_port, 1);
				assert_int_equal(frame.destination_port, 65535);
				assert_int_equal(frame.vlan_count, tags);
				assert_memory_equal(frame.vlan, header.vlan, tags * 2);
				assert_int_equal(frame.payload_length, length);
				assert_memory_equal(out + frame.payload_offset, payload, length);
			}
}

static void test_build_refuses(void **state)
{
	struct mdfh_frame_header header = {.destination_port = 1};
	static uint8_t out[70000];
	static uint8_t payload[65536];

	(void)state;
	assert_int_equal(mdfh_frame_address("10.0.0.1", header.source), 0);
	assert_int_equal(mdfh_frame_address("ff02::1", header.destination), 0);
	assert_int_equal(mdfh_frame_build(&header, "x", 1, out, sizeof(out)), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "IPv6"));
	assert_int_equal(mdfh_frame_address("10.0.0.2", header.destination), 0);
	assert_int_equal(mdfh_frame_build(&header, "x", 1, out, 42), -EMSGSIZE);
	assert_int_equal(mdfh_frame_build(&header, "x", 1, out, 43), 43);
	assert_int_equal(mdfh_frame_build(&header, payload, 65508, out, sizeof(out)), -EMSGSIZE);
	assert_int_equal(mdfh_frame_build(&header, payload, 65507, out, sizeof(out)), 65549);
	header.vlan_count = 3;
	assert_int_equal(mdfh_frame_build(&header, "x", 1, out, sizeof(out)), -EINVAL);
	assert_int_equal(mdfh_frame_address("localhost", header.source), -EINVAL);
	assert_int_equal(mdfh_frame_address("1.2.3.4%lo", header.source), -EINVAL);
	assert_int_equal(mdfh_frame_address("", header.source), -EINVAL);
}

static void test_every_error_has_a_name(void **state)
{
	(void)state;
	for (int i = 0; i < MDFH_FRAME_ERRORS; i++)
		assert_true(strlen(mdfh_frame_error_name((enum mdfh_frame_error)i)) > 3);
	assert_string_equal(mdfh_frame_error_name((enum mdfh_frame_error)99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cases),
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_capture_cut_at_every_length),
	    cmocka_unit_test(test_frame_short_at_every_length),
	    cmocka_unit_test(test_checksums),
	    cmocka_unit_test(test_build_writes_these_bytes),
	    cmocka_unit_test(test_build_and_parse_agree),
	    cmocka_unit_test(test_build_refuses),
	    cmocka_unit_test(test_every_error_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
