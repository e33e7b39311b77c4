/* igmp_test.h - what the tests of the host's side of IGMP and MLD share: a station under test, a querier, and a
 * look at what was sent. */
#ifndef MDFH_TESTS_IGMP_TEST_H
#define MDFH_TESTS_IGMP_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/bytes.h"
#include "mdfh/capture.h"
#include "mdfh/error.h"
#include "wire/igmp.h"

#define S     1000000000ULL
#define MS    1000000ULL
#define START (1700000000 * S)

enum { LOG_MAX = 256 };

static const uint8_t our_mac[6] = {2, 0xaa, 0xbb, 0xcc, 0xdd, 0xee};
static const uint8_t querier_mac[6] = {2, 1, 1, 1, 1, 1};
static const uint8_t our_link_local[16] = {0xfe, 0x80, [15] = 9};

static const struct mdfh_igmp_config config = {
    .seed = 7,
    .mac = {2, 0xaa, 0xbb, 0xcc, 0xdd, 0xee},
    .address = {10, 0, 0, 9},
    .address6 = {0xfe, 0x80, [15] = 9},
};

/* One port and what it has sent. */
struct station {
	struct mdfh_igmp igmp;
	uint64_t now_ns;
	uint32_t count;
	int refuse;
	struct {
		uint64_t time_ns;
		uint32_t length;
		uint8_t bytes[MDFH_IGMP_FRAME_MAX];
	} sent[LOG_MAX];
};

static struct station station;

static inline int record(void *context, const uint8_t *frame, uint32_t length)
{
	struct station *to = context;

	if (to->refuse)
		return -EAGAIN;
	assert_true(to->count < LOG_MAX && length >= 60 && length <= MDFH_IGMP_FRAME_MAX);
	to->sent[to->count].time_ns = to->now_ns;
	to->sent[to->count].length = length;
	memcpy(to->sent[to->count++].bytes, frame, length);
	return 0;
}

/* Every event until then at its own time, as a poller that never sleeps would. */
static inline void run_until(struct station *to, uint64_t until_ns)
{
	while (mdfh_igmp_next_ns(&to->igmp) <= until_ns) {
		uint64_t next_ns = mdfh_igmp_next_ns(&to->igmp);

		assert_true(next_ns >= to->now_ns || to->now_ns == START);
		if (next_ns > to->now_ns) {
			to->now_ns = next_ns - 1;
			assert_int_equal(mdfh_igmp_poll(&to->igmp, to->now_ns, record, to), 0);
		}
		to->now_ns = next_ns;
		mdfh_igmp_poll(&to->igmp, to->now_ns, record, to);
		assert_true(mdfh_igmp_next_ns(&to->igmp) > to->now_ns);
	}
	to->now_ns = until_ns;
}

static inline struct station *open_version(
    const struct mdfh_flow *flows, uint32_t count, uint8_t version)
{
	struct mdfh_igmp_config with = config;

	with.version = version;
	memset(&station, 0, sizeof(station));
	station.now_ns = START;
	assert_int_equal(mdfh_igmp_init(&station.igmp, &with, flows, count, START), 0);
	return &station;
}

/* Joined, and everything that the join has to say is said. */
static inline struct station *settled(
    const struct mdfh_flow *flows, uint32_t count, uint8_t version)
{
	struct station *to = open_version(flows, count, version);

	run_until(to, START + 60 * S);
	to->count = 0;
	return to;
}

/* Checksums by another way than the code's: words into 64 bits, end-around at the end. */
static inline uint16_t checksum(uint64_t sum, const uint8_t *bytes, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		sum += (uint64_t)bytes[i] << (i & 1 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)(sum ^ 0xffff);
}

/* Addresses, length and protocol of ICMPv6. */
static inline uint64_t pseudo_header(const uint8_t *ip, uint32_t length)
{
	uint64_t sum = 58 + length;

	for (uint32_t i = 8; i < 40; i += 2)
		sum += mdfh_load_be16(ip + i);
	return sum;
}

/* The querier ------------------------------------------------------------ */

struct query {
	uint16_t vlan;
	uint8_t version;
	uint8_t code;      /* IGMP */
	uint16_t code6;    /* MLD */
	const char *group; /* NULL = general */
	uint8_t robustness, interval_code;
	const char *sources[40];
	uint32_t source_count; /* as said, if not 0; else as there are */
	uint8_t type;          /* 0 = a query */
	const char *to;        /* NULL = as the protocol says */
	int damage, no_alert, hops;
};

static inline uint32_t put_link(uint8_t *at, const uint8_t to[16], int is_ipv6, uint16_t vlan)
{
	uint32_t length = 12;

	if (is_ipv6)
		memcpy(at, (uint8_t[]){0x33, 0x33, to[12], to[13], to[14], to[15]}, 6);
	else
		memcpy(at, (uint8_t[]){1, 0, 0x5e, to[13] & 0x7f, to[14], to[15]}, 6);
	memcpy(at + 6, querier_mac, 6);
	if (vlan) {
		mdfh_store_be16(at + 12, 0x8100);
		mdfh_store_be16(at + 14, vlan);
		length = 16;
	}
	mdfh_store_be16(at + length, is_ipv6 ? 0x86dd : 0x0800);
	return length + 2;
}

static inline uint32_t put_body(uint8_t *body, const struct query *query, int is_ipv6, uint8_t type)
{
	uint32_t size = is_ipv6 ? 16 : 4;
	uint32_t base = is_ipv6 ? 24 : 8;
	uint32_t length = base;
	uint8_t address[16];
	uint32_t count = 0;

	memset(body, 0, base + 4);
	body[0] = type;
	if (is_ipv6)
		mdfh_store_be16(body + 4, query->code6);
	else
		body[1] = query->code;
	if (query->group) {
		assert_int_equal(mdfh_frame_address(query->group, address), 0);
		memcpy(body + base - size, address + 16 - size, size);
	}
	if (query->version == 3) {
		body[base] = query->robustness;
		body[base + 1] = query->interval_code;
		length += 4;
		for (; count < 40 && query->sources[count]; count++, length += size) {
			assert_int_equal(mdfh_frame_address(query->sources[count], address), 0);
			memcpy(body + length, address + 16 - size, size);
		}
		mdfh_store_be16(
		    body + base + 2, (uint16_t)(query->source_count ? query->source_count : count));
	}
	return length;
}

static inline uint32_t pack_query(uint8_t *frame, const struct query *query, int is_ipv6)
{
	const char *all = is_ipv6 ? "ff02::1" : "224.0.0.1";
	uint8_t type = query->type ? query->type : is_ipv6 ? 130 : 0x11;
	uint8_t to[16];
	uint8_t *ip, *body;
	uint32_t length, header;

	if (!query->to)
		assert_int_equal(mdfh_frame_address(query->group ? query->group : all, to), 0);
	else
		assert_int_equal(mdfh_frame_address(query->to, to), 0);
	header = put_link(frame, to, is_ipv6, query->vlan);
	ip = frame + header;
	memset(ip, 0, 48);
	body = ip + (is_ipv6 ? 48 : 24);
	length = put_body(body, query, is_ipv6, type);
	if (is_ipv6) {
		ip[0] = 0x60;
		mdfh_store_be16(ip + 4, (uint16_t)(8 + length));
		ip[7] = (uint8_t)(query->hops ? query->hops : 1);
		memcpy(ip + 8, (uint8_t[16]){0xfe, 0x80, [15] = 1}, 16);
		memcpy(ip + 24, to, 16);
		memcpy(ip + 40, (uint8_t[]){58, 0, 5, 2, 0, 0, 1, 0}, 8);
		if (query->no_alert)
			memcpy(ip + 40, (uint8_t[]){58, 0, 1, 4, 0, 0, 0, 0}, 8);
		mdfh_store_be16(body + 2, checksum(pseudo_header(ip, length), body, length));
		length += header + 48;
	} else {
		memcpy(ip, (uint8_t[]){0x46, 0xc0, 0, 0, 0, 1, 0, 0, 1, 2, 0, 0, 10, 0, 0, 1}, 16);
		mdfh_store_be16(ip + 2, (uint16_t)(24 + length));
		memcpy(ip + 16, to + 12, 4);
		ip[20] = 0x94;
		ip[21] = 4;
		mdfh_store_be16(ip + 10, checksum(0, ip, 24));
		mdfh_store_be16(body + 2, checksum(0, body, length));
		length += header + 24;
	}
	if (query->damage)
		body[3] ^= 1;
	return length;
}

static inline int input(struct station *to, const uint8_t *frame, uint32_t length)
{
	struct mdfh_frame parsed;

	assert_int_equal(mdfh_frame_parse(MDFH_LINK_ETHERNET, frame, length, length, &parsed),
	    MDFH_FRAME_NOT_UDP);
	return mdfh_igmp_input(&to->igmp, frame, length, &parsed, to->now_ns);
}

static inline void ask(struct station *to, const struct query *query, int is_ipv6)
{
	static uint8_t frame[MDFH_IGMP_FRAME_MAX];

	assert_int_equal(input(to, frame, pack_query(frame, query, is_ipv6)), 1);
}

/* What was sent ---------------------------------------------------------- */

static inline void expect_bytes(const struct station *from, uint32_t index, const char *text)
{
	const uint8_t *bytes = from->sent[index].bytes;
	char got[2 * MDFH_IGMP_FRAME_MAX + 1] = "";
	char want[2 * MDFH_IGMP_FRAME_MAX + 1] = "";
	size_t n = 0;

	assert_true(index < from->count);
	for (uint32_t i = 0; i < from->sent[index].length; i++)
		snprintf(got + (size_t)2 * i, 3, "%02x", bytes[i]);
	for (; *text; text++)
		if (*text != ' ')
			want[n++] = *text;
	while (n < 120)
		want[n++] = '0';
	want[n] = '\0';
	assert_string_equal(got, want);
}

/* Headers of what was sent are right whatever the body is; the body and its length. */
static inline const uint8_t *body_of(const struct station *from, uint32_t index, uint32_t *length)
{
	const uint8_t *frame = from->sent[index].bytes;
	uint32_t at = mdfh_load_be16(frame + 12) == 0x8100 ? 18 : 14;
	const uint8_t *ip = frame + at;
	struct mdfh_frame parsed;

	assert_true(index < from->count);
	assert_memory_equal(frame + 6, our_mac, 6);
	assert_int_equal(mdfh_frame_parse(MDFH_LINK_ETHERNET, frame, from->sent[index].length,
			     from->sent[index].length, &parsed),
	    MDFH_FRAME_NOT_UDP);
	if (parsed.ip_version == 4) {
		assert_int_equal(checksum(0, ip, 24), 0);
		assert_int_equal(ip[8], 1);
		assert_memory_equal(ip + 12, config.address, 4);
		assert_memory_equal(ip + 20, "\x94\x04\x00\x00", 4);
		assert_memory_equal(frame, "\x01\x00\x5e", 3);
		*length = mdfh_load_be16(ip + 2) - 24U;
		assert_int_equal(checksum(0, ip + 24, *length), 0);
		return ip + 24;
	}
	*length = mdfh_load_be16(ip + 4) - 8U;
	assert_int_equal(ip[7], 1);
	assert_memory_equal(ip + 8, our_link_local, 16);
	assert_memory_equal(ip + 40, "\x3a\x00\x05\x02\x00\x00\x01\x00", 8);
	assert_memory_equal(frame, "\x33\x33", 2);
	assert_int_equal(checksum(pseudo_header(ip, *length), ip + 48, *length), 0);
	return ip + 48;
}

#endif
