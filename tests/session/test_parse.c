/* test_parse.c - the headers of the four session protocols: what is read, what is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mdfh/session.h"
#include "session/mold.h"

#define OPS(name) const struct mdfh_session_ops *ops = mdfh_session_find(name)

static void find_knows_four_protocols(void **state)
{
	(void)state;
	assert_non_null(mdfh_session_find("moldudp64"));
	assert_non_null(mdfh_session_find("binaryfile"));
	assert_non_null(mdfh_session_find("iex-tp"));
	assert_non_null(mdfh_session_find("mdp3"));
	assert_null(mdfh_session_find("mold"));
	assert_string_equal(mdfh_session_error_name(MDFH_SESSION_OVERRUN), "overrun");
	assert_string_equal(mdfh_session_error_name(MDFH_SESSION_ERRORS), "?");
}

static void moldudp64_data(void **state)
{
	/* A delete of the first Nasdaq capture's shape: session 000010059B, number 14757721. */
	static const uint8_t packet[] = {'0', '0', '0', '0', '1', '0', '0', '5', '9', 'B', 0, 0, 0,
	    0, 0, 0xe1, 0x2f, 0x59, 0, 2, 0, 3, 'a', 'b', 'c', 0, 0};
	struct mdfh_unit unit;
	char text[MDFH_SESSION_TEXT];
	OPS("moldudp64");

	(void)state;
	assert_int_equal(ops->parse(packet, sizeof(packet), &unit), 0);
	assert_int_equal(unit.error, MDFH_SESSION_OK);
	assert_int_equal(unit.kind, MDFH_UNIT_DATA);
	assert_int_equal(unit.first, 14757721);
	assert_int_equal(unit.claimed, 2);
	assert_int_equal(unit.messages, 2);
	assert_ptr_equal(unit.body, packet + 20);
	assert_int_equal(unit.body_length, 7);
	ops->session_text(&unit, text);
	assert_string_equal(text, "000010059B");
}

static void moldudp64_kinds_and_lies(void **state)
{
	static const struct {
		const char *name;
		unsigned count;
		uint64_t first;
		uint32_t length; /* of a packet with 3 messages, 20 + 11 + 12 + 13 */
		uint8_t kind, error;
		uint32_t messages;
	} cases[] = {
	    {"whole", 3, 1, 56, MDFH_UNIT_DATA, MDFH_SESSION_OK, 3},
	    {"fewer blocks than claimed", 4, 1, 56, MDFH_UNIT_DATA, MDFH_SESSION_COUNT, 3},
	    {"cut inside a block", 3, 1, 55, MDFH_UNIT_DATA, MDFH_SESSION_OVERRUN, 2},
	    {"cut inside a length", 3, 1, 44, MDFH_UNIT_DATA, MDFH_SESSION_OVERRUN, 2},
	    {"cut after the header", 3, 1, 20, MDFH_UNIT_DATA, MDFH_SESSION_COUNT, 0},
	    {"more blocks than claimed", 2, 1, 56, MDFH_UNIT_DATA, MDFH_SESSION_TRAILING, 2},
	    {"heartbeat", 0, 9, 20, MDFH_UNIT_HEARTBEAT, MDFH_SESSION_OK, 0},
	    {"end of session", 0xffff, 9, 20, MDFH_UNIT_END, MDFH_SESSION_OK, 0},
	    {"number 0", 3, 0, 56, MDFH_UNIT_DATA, MDFH_SESSION_SEQUENCE, 3},
	    {"the last numbers", 3, UINT64_MAX - 3, 56, MDFH_UNIT_DATA, MDFH_SESSION_OK, 3},
	    {"past the last number", 3, UINT64_MAX - 2, 56, MDFH_UNIT_DATA, MDFH_SESSION_SEQUENCE,
		3},
	};
	struct mdfh_unit unit;
	uint8_t packet[256];
	OPS("moldudp64");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mold_packet(packet, "S", 1, 3);
		mold_header(packet, "S", cases[i].first, cases[i].count);
		print_message("  %s\n", cases[i].name);
		assert_int_equal(ops->parse(packet, cases[i].length, &unit), 0);
		assert_int_equal(unit.kind, cases[i].kind);
		assert_int_equal(unit.error, cases[i].error);
		assert_int_equal(unit.messages, cases[i].messages);
		assert_int_equal(unit.first, cases[i].first);
		assert_true(unit.body_length <= cases[i].length - 20);
	}
	assert_int_equal(ops->parse(packet, 19, &unit), -EBADMSG);
	assert_int_equal(unit.error, MDFH_SESSION_SHORT);
	assert_int_equal(unit.messages, 0);
}

static void moldudp64_writes_what_it_reads(void **state)
{
	struct mdfh_unit unit = {.first = 77, .messages = 3, .kind = MDFH_UNIT_DATA}, back;
	uint8_t packet[64], want[64];
	OPS("moldudp64");

	(void)state;
	memcpy(unit.session, "S         ", 10);
	ops->write_header(packet, &unit);
	mold_header(want, "S", 77, 3);
	assert_memory_equal(packet, want, ops->header_size);
	unit.kind = MDFH_UNIT_END;
	ops->write_header(packet, &unit);
	assert_int_equal(ops->parse(packet, 20, &back), 0);
	assert_int_equal(back.kind, MDFH_UNIT_END);
	assert_int_equal(back.first, 77);
	unit.kind = MDFH_UNIT_HEARTBEAT;
	ops->write_header(packet, &unit);
	assert_int_equal(ops->parse(packet, 20, &back), 0);
	assert_int_equal(back.kind, MDFH_UNIT_HEARTBEAT);
}

/* version 1, protocol 0x8003, channel 1, session 1150681088, payload 7, 2 messages, offset 0x0102,
 * first 0x1122, send time 0. */
static const uint8_t iex[] = {1, 0, 0x03, 0x80, 1, 0, 0, 0, 0x00, 0x00, 0x96, 0x44, 7, 0, 2, 0, 2,
    1, 0, 0, 0, 0, 0, 0, 0x22, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 'a', 'b', 'c',
    0, 0};

static void iex_tp(void **state)
{
	uint8_t packet[sizeof(iex) + 4] = {0};
	struct mdfh_unit unit, other;
	char text[MDFH_SESSION_TEXT];
	OPS("iex-tp");

	(void)state;
	assert_int_equal(ops->parse(iex, sizeof(iex), &unit), 0);
	assert_int_equal(unit.error, MDFH_SESSION_OK);
	assert_int_equal(unit.first, 0x1122);
	assert_int_equal(unit.messages, 2);
	assert_int_equal(unit.body_length, 7);
	ops->session_text(&unit, text);
	assert_string_equal(text, "1150681088");

	/* Bytes behind the payload length are not its messages. */
	memcpy(packet, iex, sizeof(iex));
	packet[14] = 3;
	assert_int_equal(ops->parse(packet, sizeof(packet), &unit), 0);
	assert_int_equal(unit.messages, 2);
	assert_int_equal(unit.error, MDFH_SESSION_COUNT);
	packet[14] = 2;
	assert_int_equal(ops->parse(packet, sizeof(packet), &unit), 0);
	assert_int_equal(unit.error, MDFH_SESSION_TRAILING);
	assert_int_equal(ops->parse(packet, 44, &unit), 0);
	assert_int_equal(unit.error, MDFH_SESSION_OVERRUN);
	assert_int_equal(unit.messages, 0);

	/* Another channel number is another stream. */
	packet[4] = 2;
	assert_int_equal(ops->parse(packet, sizeof(iex), &other), 0);
	assert_memory_not_equal(unit.session, other.session, sizeof(unit.session));

	packet[2] = 0x06;
	assert_int_equal(ops->parse(packet, sizeof(iex), &unit), -EBADMSG);
	assert_int_equal(unit.error, MDFH_SESSION_VERSION);
	assert_int_equal(ops->parse(iex, 39, &unit), -EBADMSG);
	assert_int_equal(unit.error, MDFH_SESSION_SHORT);

	memcpy(packet, iex, sizeof(iex));
	memset(packet + 12, 0, 4);
	assert_int_equal(ops->parse(packet, 40, &unit), 0);
	assert_int_equal(unit.kind, MDFH_UNIT_HEARTBEAT);
	assert_int_equal(unit.first, 0x1122);
	packet[31] = 0x80;
	assert_int_equal(ops->parse(packet, 40, &unit), 0);
	assert_int_equal(unit.error, MDFH_SESSION_SEQUENCE);
}

static void mdp3(void **state)
{
	static const uint8_t packet[] = {
	    5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 'a', 'b', 3, 0, 'c'};
	struct mdfh_unit unit;
	OPS("mdp3");

	(void)state;
	assert_true(ops->counts_packets);
	assert_int_equal(ops->parse(packet, sizeof(packet), &unit), 0);
	assert_int_equal(unit.error, MDFH_SESSION_OK);
	assert_int_equal(unit.first, 5);
	assert_int_equal(unit.messages, 2);
	assert_int_equal(unit.claimed, 2);
	assert_int_equal(unit.body_length, 7);
	assert_int_equal(ops->parse(packet, sizeof(packet) - 1, &unit), 0);
	assert_int_equal(unit.error, MDFH_SESSION_OVERRUN);
	assert_int_equal(unit.messages, 1);
	assert_int_equal(unit.claimed, 2);
	assert_int_equal(ops->parse(packet, 11, &unit), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(find_knows_four_protocols),
	    cmocka_unit_test(moldudp64_data),
	    cmocka_unit_test(moldudp64_kinds_and_lies),
	    cmocka_unit_test(moldudp64_writes_what_it_reads),
	    cmocka_unit_test(iex_tp),
	    cmocka_unit_test(mdp3),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
