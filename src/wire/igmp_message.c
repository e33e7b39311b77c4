/* igmp_message.c - IGMP and MLD messages. Section numbers are of RFC 3376 and RFC 3810. */
#include "wire/igmp_message.h"

#include <string.h>

#include "core/bytes.h"
#include "wire/checksum.h"

enum {
	PROTOCOL_HOP_BY_HOP = 0,
	PROTOCOL_IGMP = 2,
	PROTOCOL_ICMPV6 = 58,
	IGMP_QUERY = 0x11,
	IGMP_REPORT_V1 = 0x12,
	IGMP_REPORT_V2 = 0x16,
	IGMP_LEAVE = 0x17,
	IGMP_REPORT_V3 = 0x22,
	MLD_QUERY = 130,
	MLD_REPORT_V1 = 131,
	MLD_DONE = 132,
	MLD_REPORT_V2 = 143,
	IPV4_HEADER = 24, /* with the router alert */
	IPV6_HEADER = 48, /* the same */
	FRAME_MIN = 60,
	V1_ANSWER_NS = 1000000000, /* times 10: RFC 1112 fixes the time at ten seconds */
};

#define TENTH_NS 100000000ULL
#define MILLI_NS 1000000ULL

/* Reading --------------------------------------------------------------- */

/* Values from `bits` on are floating point: 3 bits of exponent, the rest below is mantissa with a
 * hidden leading one (sections 4.1.1 and 5.1.3). */
static uint64_t code_value(uint32_t code, unsigned mantissa_bits)
{
	uint32_t hidden = 1U << mantissa_bits;

	if (code < hidden << 3)
		return code;
	return (uint64_t)((code & (hidden - 1)) | hidden) << ((code >> mantissa_bits & 7) + 3);
}

/* The router alert among the hop-by-hop options, which mdfh_frame_parse has found to be whole. */
static int has_router_alert(const uint8_t *options)
{
	uint32_t length = 8 + 8U * options[1];
	uint32_t at = 2;

	while (at < length) {
		if (options[at] == 0) { /* one byte of padding */
			at++;
			continue;
		}
		if (length - at < 2 || length - at < 2U + options[at + 1])
			return 0;
		if (options[at] == 5 && options[at + 1] == 2)
			return 1;
		at += 2U + options[at + 1];
	}
	return 0;
}

static int is_zero(const uint8_t *bytes, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		if (bytes[i])
			return 0;
	return 1;
}

/* 4 or 16 bytes as an address of 16. */
static void store_address(uint8_t address[16], const uint8_t *from, uint32_t length)
{
	memset(address, 0, 10);
	memset(address + 10, 0xff, 2);
	memcpy(address + 16 - length, from, length);
}

/* MLD: from the link itself, with a router alert (RFC 3810 section 6.2). */
static int is_from_the_link(const uint8_t *ip)
{
	return ip[7] == 1 && ip[8] == 0xfe && (ip[9] & 0xc0) == 0x80 &&
	       ip[6] == PROTOCOL_HOP_BY_HOP && has_router_alert(ip + 40);
}

static uint32_t mld_sum(const struct mdfh_frame *frame, const uint8_t *body, uint32_t length)
{
	uint32_t sum = PROTOCOL_ICMPV6 + length;

	sum = mdfh_sum_bytes(sum, frame->source, 16);
	sum = mdfh_sum_bytes(sum, frame->destination, 16);
	return mdfh_sum_bytes(sum, body, length);
}

/* A query with `base` bytes up to what version 3 added. */
static enum mdfh_igmp_kind read_query(const uint8_t *body, uint32_t length, uint32_t base,
    uint32_t address_length, struct mdfh_igmp_message *message)
{
	const uint8_t *group = body + base - address_length;

	message->is_general = (uint8_t)is_zero(group, address_length);
	store_address(message->group, group, address_length);
	if (!message->is_general && !mdfh_frame_is_multicast(message->group))
		return MDFH_IGMP_UNSOUND;
	/* Section 7.1: the length tells the version; others are passed over. */
	if (length == base) {
		message->version = 2;
		if (message->is_ipv6) {
			message->answer_ns = mdfh_load_be16(body + 4) * MILLI_NS;
		} else {
			message->answer_ns = body[1] * TENTH_NS;
			if (!body[1]) {
				message->version = 1;
				message->answer_ns = 10ULL * V1_ANSWER_NS;
			}
		}
		return MDFH_IGMP_QUERY;
	}
	if (length < base + 4)
		return MDFH_IGMP_UNSOUND;
	message->version = 3;
	message->answer_ns = message->is_ipv6 ? code_value(mdfh_load_be16(body + 4), 12) * MILLI_NS
					      : code_value(body[1], 4) * TENTH_NS;
	message->robustness = body[base] & 7;
	message->interval_s = (uint32_t)code_value(body[base + 1], 4);
	message->source_count = mdfh_load_be16(body + base + 2);
	message->sources = body + base + 4;
	if (message->source_count > (length - base - 4) / address_length)
		return MDFH_IGMP_UNSOUND;
	return message->is_general && message->source_count ? MDFH_IGMP_UNSOUND : MDFH_IGMP_QUERY;
}

static enum mdfh_igmp_kind read_report(const uint8_t *body, uint32_t length, uint32_t base,
    uint32_t address_length, struct mdfh_igmp_message *message)
{
	if (length < base)
		return MDFH_IGMP_UNSOUND;
	store_address(message->group, body + base - address_length, address_length);
	return mdfh_frame_is_multicast(message->group) ? MDFH_IGMP_REPORT : MDFH_IGMP_UNSOUND;
}

static enum mdfh_igmp_kind read_igmp(
    const uint8_t *body, uint32_t length, struct mdfh_igmp_message *message)
{
	if (length < 8 || mdfh_sum_fold(mdfh_sum_bytes(0, body, length)) != 0xffff)
		return MDFH_IGMP_UNSOUND;
	if (body[0] == IGMP_QUERY)
		return read_query(body, length, 8, 4, message);
	if (body[0] == IGMP_REPORT_V1 || body[0] == IGMP_REPORT_V2)
		return read_report(body, length, 8, 4, message);
	return MDFH_IGMP_UNSOUND; /* to routers only */
}

static enum mdfh_igmp_kind read_mld(const uint8_t *ip, const uint8_t *body, uint32_t length,
    const struct mdfh_frame *frame, struct mdfh_igmp_message *message)
{
	if (length < 4 || body[0] < MLD_QUERY || (body[0] > MLD_DONE && body[0] != MLD_REPORT_V2))
		return MDFH_IGMP_NOTHING; /* neighbour discovery, echo ... */
	if (length < 24 || !is_from_the_link(ip) ||
	    mdfh_sum_fold(mld_sum(frame, body, length)) != 0xffff)
		return MDFH_IGMP_UNSOUND;
	if (body[0] == MLD_QUERY)
		return read_query(body, length, 24, 16, message);
	if (body[0] == MLD_REPORT_V1)
		return read_report(body, length, 24, 16, message);
	return MDFH_IGMP_UNSOUND;
}

void mdfh_igmp_message_read(const uint8_t *bytes, uint32_t captured, const struct mdfh_frame *frame,
    struct mdfh_igmp_message *message)
{
	const uint8_t *ip = bytes + frame->ip_offset;
	const uint8_t *body = bytes + frame->transport_offset;
	uint32_t end;

	memset(message, 0, sizeof(*message));
	message->is_ipv6 = frame->ip_version == 6;
	if (!frame->transport_offset)
		return;
	/* A length that reaches past what is there makes the message unsound. */
	if (frame->ip_version == 4 && frame->protocol == PROTOCOL_IGMP)
		end = frame->ip_offset + mdfh_load_be16(ip + 2);
	else if (frame->ip_version == 6 && frame->protocol == PROTOCOL_ICMPV6)
		end = frame->ip_offset + 40 + mdfh_load_be16(ip + 4);
	else
		return;
	if (end > captured || end < frame->transport_offset) {
		message->kind = message->is_ipv6 ? MDFH_IGMP_NOTHING : MDFH_IGMP_UNSOUND;
		return;
	}
	message->kind = message->is_ipv6
			    ? read_mld(ip, body, end - frame->transport_offset, frame, message)
			    : read_igmp(body, end - frame->transport_offset, message);
}

/* Writing --------------------------------------------------------------- */

static uint32_t header_length(const struct mdfh_igmp_link *link)
{
	return 14U + (link->vlan ? 4 : 0) + (link->is_ipv6 ? IPV6_HEADER : IPV4_HEADER);
}

static uint32_t address_length(const struct mdfh_igmp_link *link)
{
	return link->is_ipv6 ? 16 : 4;
}

static const uint8_t *wire_address(const struct mdfh_igmp_link *link, const uint8_t address[16])
{
	return address + 16 - address_length(link);
}

/* Time to live 1 and a router alert in every message; precedence as section 4 wants it. */
static void put_ipv4(
    const struct mdfh_igmp *igmp, uint8_t *ip, const uint8_t to[16], uint32_t body_length)
{
	static const uint8_t start[IPV4_HEADER] = {
	    0x46, 0xc0, 0, 0, 0, 0, 0x40, 0, 1, PROTOCOL_IGMP, [20] = 0x94, 4};
	uint8_t *body = ip + IPV4_HEADER;

	memcpy(ip, start, sizeof(start));
	mdfh_store_be16(ip + 2, (uint16_t)(IPV4_HEADER + body_length));
	memcpy(ip + 12, igmp->config.address, 4);
	memcpy(ip + 16, to + 12, 4);
	mdfh_store_be16(ip + 10, (uint16_t)~mdfh_sum_fold(mdfh_sum_bytes(0, ip, IPV4_HEADER)));
	mdfh_store_be16(body + 2, 0);
	mdfh_store_be16(body + 2, (uint16_t)~mdfh_sum_fold(mdfh_sum_bytes(0, body, body_length)));
}

static void put_ipv6(
    const struct mdfh_igmp *igmp, uint8_t *ip, const uint8_t to[16], uint32_t body_length)
{
	static const uint8_t options[8] = {PROTOCOL_ICMPV6, 0, 5, 2, 0, 0, 1, 0};
	uint8_t *body = ip + IPV6_HEADER;
	uint32_t sum = PROTOCOL_ICMPV6 + body_length;

	mdfh_store_be32(ip, 0x60000000U);
	mdfh_store_be16(ip + 4, (uint16_t)(sizeof(options) + body_length));
	ip[6] = PROTOCOL_HOP_BY_HOP;
	ip[7] = 1;
	memcpy(ip + 8, igmp->config.address6, 16);
	memcpy(ip + 24, to, 16);
	memcpy(ip + 40, options, sizeof(options));
	mdfh_store_be16(body + 2, 0);
	sum = mdfh_sum_bytes(sum, ip + 8, 32);
	mdfh_store_be16(body + 2, (uint16_t)~mdfh_sum_fold(mdfh_sum_bytes(sum, body, body_length)));
}

/* Headers before a body that has been written; the frame's length. */
static uint32_t put_headers(struct mdfh_igmp *igmp, const struct mdfh_igmp_link *link,
    const uint8_t to[16], uint32_t body_length)
{
	uint8_t *at = igmp->frame;
	uint32_t length = header_length(link) + body_length;

	/* RFC 1112 section 6.4: the low 23 bits; RFC 2464 section 7: the low 32 bits. */
	if (link->is_ipv6)
		memcpy(at, (uint8_t[]){0x33, 0x33, to[12], to[13], to[14], to[15]}, 6);
	else
		memcpy(at, (uint8_t[]){0x01, 0x00, 0x5e, to[13] & 0x7f, to[14], to[15]}, 6);
	memcpy(at + 6, igmp->config.mac, 6);
	at += 12;
	if (link->vlan) {
		mdfh_store_be16(at, 0x8100);
		mdfh_store_be16(at + 2, link->vlan);
		at += 4;
	}
	mdfh_store_be16(at, link->is_ipv6 ? 0x86dd : 0x0800);
	at += 2;
	if (link->is_ipv6)
		put_ipv6(igmp, at, to, body_length);
	else
		put_ipv4(igmp, at, to, body_length);
	if (length < FRAME_MIN) {
		memset(igmp->frame + length, 0, FRAME_MIN - length);
		length = FRAME_MIN;
	}
	return length;
}

void mdfh_igmp_report_begin(
    struct mdfh_igmp_writer *writer, struct mdfh_igmp *igmp, const struct mdfh_igmp_link *link)
{
	*writer = (struct mdfh_igmp_writer){
	    .igmp = igmp, .link = link, .body = igmp->frame + header_length(link), .length = 8};
}

int mdfh_igmp_report_add(struct mdfh_igmp_writer *writer, enum mdfh_igmp_record type,
    const uint8_t group[16], const uint8_t *const *sources, uint32_t count)
{
	const struct mdfh_igmp_link *link = writer->link;
	uint32_t size = address_length(link);
	uint32_t room =
	    MDFH_IGMP_MTU - (link->is_ipv6 ? IPV6_HEADER + 0U : IPV4_HEADER) - writer->length;
	uint8_t *at = writer->body + writer->length;

	if (4 + size * (1 + count) > room)
		return 0;
	at[0] = (uint8_t)type;
	at[1] = 0; /* no auxiliary data */
	mdfh_store_be16(at + 2, (uint16_t)count);
	memcpy(at + 4, wire_address(link, group), size);
	at += 4 + size;
	for (uint32_t i = 0; i < count; i++, at += size)
		memcpy(at, wire_address(link, sources[i]), size);
	writer->length = (uint32_t)(at - writer->body);
	writer->records++;
	return 1;
}

uint32_t mdfh_igmp_report_end(struct mdfh_igmp_writer *writer)
{
	static const uint8_t to4[16] = {[10] = 0xff, [11] = 0xff, 224, 0, 0, 22};
	static const uint8_t to6[16] = {0xff, 2, [15] = 0x16};
	int is_ipv6 = writer->link->is_ipv6;

	memset(writer->body, 0, 8);
	writer->body[0] = is_ipv6 ? MLD_REPORT_V2 : IGMP_REPORT_V3;
	mdfh_store_be16(writer->body + 6, (uint16_t)writer->records);
	return put_headers(writer->igmp, writer->link, is_ipv6 ? to6 : to4, writer->length);
}

static uint32_t put_old(struct mdfh_igmp *igmp, const struct mdfh_igmp_link *link, uint8_t type,
    const uint8_t group[16], const uint8_t to[16])
{
	uint32_t size = address_length(link);
	uint32_t length = link->is_ipv6 ? 24 : 8;
	uint8_t *body = igmp->frame + header_length(link);

	memset(body, 0, length);
	body[0] = type;
	memcpy(body + length - size, wire_address(link, group), size);
	return put_headers(igmp, link, to, length);
}

uint32_t mdfh_igmp_report_old(
    struct mdfh_igmp *igmp, const struct mdfh_igmp_link *link, const uint8_t group[16])
{
	uint8_t type = link->version == 1 ? IGMP_REPORT_V1 : IGMP_REPORT_V2;

	return put_old(igmp, link, link->is_ipv6 ? MLD_REPORT_V1 : type, group, group);
}

uint32_t mdfh_igmp_leave_old(
    struct mdfh_igmp *igmp, const struct mdfh_igmp_link *link, const uint8_t group[16])
{
	static const uint8_t to4[16] = {[10] = 0xff, [11] = 0xff, 224, 0, 0, 2};
	static const uint8_t to6[16] = {0xff, 2, [15] = 2};

	return put_old(
	    igmp, link, link->is_ipv6 ? MLD_DONE : IGMP_LEAVE, group, link->is_ipv6 ? to6 : to4);
}
