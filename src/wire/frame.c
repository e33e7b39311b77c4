/* frame.c - link layer, VLAN tags, IPv4, IPv6, UDP and TCP headers: bytes to fields and back.
 *
 * Parsing walks forward with one position. Two lengths bound it: what the capture holds and what
 * was on the wire; a header that ends beyond the first but not the second was cut by the capture,
 * one that ends beyond both was never whole. Every length field is compared with what encloses it
 * before it is believed. IPv4: RFC 791, IPv6: RFC 8200, UDP: RFC 768, TCP: RFC 9293. */
#include "mdfh/frame.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/bytes.h"
#include "mdfh/error.h"
#include "wire/arista.h"
#include "wire/checksum.h"

enum {
	ETHER_IPV4 = 0x0800,
	ETHER_IPV6 = 0x86dd,
	ETHER_VLAN = 0x8100,     /* 802.1Q */
	ETHER_SERVICE = 0x88a8,  /* 802.1ad, the outer tag of QinQ */
	ETHER_OLD_QINQ = 0x9100, /* the same before 802.1ad */
	ETHER_ARISTA = 0xd28b,   /* a header of Arista's, which a time stands in (wire/trailer.h) */
	ETHERNET_HEADER = 14,
	ETHERNET_TAG = 4,
	IPV4_HEADER = 20,
	IPV6_HEADER = 40,
	UDP_HEADER = 8,
	TCP_HEADER = 20,
};

static const char *const error_names[MDFH_FRAME_ERRORS] = {
    [MDFH_FRAME_OK] = "sound",
    [MDFH_FRAME_SHORT] = "frame ends inside a header",
    [MDFH_FRAME_CUT] = "capture ends inside a header",
    [MDFH_FRAME_LINK_TYPE] = "unsupported link type",
    [MDFH_FRAME_VLAN_TAGS] = "too many VLAN tags",
    [MDFH_FRAME_NOT_IP] = "not IP",
    [MDFH_FRAME_IP_VERSION] = "wrong IP version",
    [MDFH_FRAME_IP_HEADER] = "wrong IPv4 header length",
    [MDFH_FRAME_IP_LENGTH] = "wrong IP length",
    [MDFH_FRAME_IP_EXTENSION] = "unsound IPv6 extension headers",
    [MDFH_FRAME_FRAGMENT] = "IP fragment",
    [MDFH_FRAME_NOT_UDP] = "not UDP",
    [MDFH_FRAME_UDP_SHORT] = "IP packet ends inside the UDP header",
    [MDFH_FRAME_UDP_LENGTH] = "wrong UDP length",
    [MDFH_FRAME_TCP_HEADER] = "wrong TCP header length",
    [MDFH_FRAME_CHECKSUM] = "wrong checksum",
};

const char *mdfh_frame_error_name(enum mdfh_frame_error error)
{
	return (unsigned)error < MDFH_FRAME_ERRORS ? error_names[error] : "unknown";
}

/* Parsing --------------------------------------------------------------- */

struct walk {
	const uint8_t *bytes;
	uint32_t captured;
	uint32_t wire; /* at least captured; cut to the IP packet once that is known */
	uint32_t at;
};

/* 0 if `bytes` more are present from the current position. */
static enum mdfh_frame_error need(const struct walk *walk, uint32_t bytes)
{
	if (walk->captured - walk->at >= bytes)
		return MDFH_FRAME_OK;
	return walk->wire - walk->at >= bytes ? MDFH_FRAME_CUT : MDFH_FRAME_SHORT;
}

/* Step over a header of Arista's with a time: the type that stands behind it. Another one of theirs is no packet
 * of a feed. */
static enum mdfh_frame_error parse_arista(struct walk *walk, uint16_t *type)
{
	enum mdfh_frame_error error = need(walk, MDFH_ARISTA_FIXED);
	uint32_t bytes;

	if (error)
		return error;
	bytes = mdfh_arista_time_bytes(walk->bytes + walk->at);
	if (!bytes)
		return MDFH_FRAME_NOT_IP;
	bytes += MDFH_ARISTA_FIXED;
	error = need(walk, bytes + 2);
	if (error)
		return error;
	*type = mdfh_load_be16(walk->bytes + walk->at + bytes);
	walk->at += bytes + 2;
	return MDFH_FRAME_OK;
}

static enum mdfh_frame_error parse_ethernet(
    struct walk *walk, struct mdfh_frame *frame, uint32_t type_offset, uint32_t header)
{
	enum mdfh_frame_error error = need(walk, header);
	uint16_t type;

	if (error)
		return error;
	type = mdfh_load_be16(walk->bytes + walk->at + type_offset);
	walk->at += header;
	if (type == ETHER_ARISTA) {
		error = parse_arista(walk, &type);
		if (error)
			return error;
	}
	while (type == ETHER_VLAN || type == ETHER_SERVICE || type == ETHER_OLD_QINQ) {
		if (frame->vlan_count == MDFH_FRAME_VLANS_MAX)
			return MDFH_FRAME_VLAN_TAGS;
		error = need(walk, ETHERNET_TAG);
		if (error)
			return error;
		/* The id is the low 12 bits, priority and drop eligibility stand above. */
		frame->vlan[frame->vlan_count++] = mdfh_load_be16(walk->bytes + walk->at) & 0x0fffU;
		type = mdfh_load_be16(walk->bytes + walk->at + 2);
		walk->at += ETHERNET_TAG;
	}
	frame->ether_type = type;
	return MDFH_FRAME_OK;
}

/* The address family of BSD loopback; IPv6 has another number on each system. */
static enum mdfh_frame_error parse_loopback(struct walk *walk, struct mdfh_frame *frame)
{
	enum mdfh_frame_error error = need(walk, 4);
	uint32_t family;

	if (error)
		return error;
	family = mdfh_load_be32(walk->bytes + walk->at);
	if (family > 0xffff)
		family = __builtin_bswap32(family);
	walk->at += 4;
	switch (family) {
	case 2:
		frame->ether_type = ETHER_IPV4;
		return MDFH_FRAME_OK;
	case 10: /* Linux */
	case 24: /* NetBSD, OpenBSD */
	case 28: /* FreeBSD */
	case 30: /* macOS */
		frame->ether_type = ETHER_IPV6;
		return MDFH_FRAME_OK;
	default:
		return MDFH_FRAME_NOT_IP;
	}
}

static enum mdfh_frame_error parse_link(
    uint32_t link_type, struct walk *walk, struct mdfh_frame *frame)
{
	enum mdfh_frame_error error;

	switch (link_type) {
	case MDFH_LINK_ETHERNET:
		return parse_ethernet(walk, frame, 12, ETHERNET_HEADER);
	case MDFH_LINK_LINUX_SLL: /* type, address type, address length, address[8], protocol */
		return parse_ethernet(walk, frame, 14, 16);
	case MDFH_LINK_LINUX_SLL2: /* protocol first, then 18 bytes about the interface */
		return parse_ethernet(walk, frame, 0, 20);
	case MDFH_LINK_NULL:
	case MDFH_LINK_LOOP:
		return parse_loopback(walk, frame);
	case MDFH_LINK_RAW_IP:
	case MDFH_LINK_IPV4:
	case MDFH_LINK_IPV6:
		error = need(walk, 1);
		if (error)
			return error;
		frame->ether_type = walk->bytes[walk->at] >> 4 == 6 ? ETHER_IPV6 : ETHER_IPV4;
		return MDFH_FRAME_OK;
	default:
		return MDFH_FRAME_LINK_TYPE;
	}
}

static void store_ipv4(uint8_t address[16], const uint8_t *from)
{
	memset(address, 0, 10);
	memset(address + 10, 0xff, 2);
	memcpy(address + 12, from, 4);
}

/* Cut the walk to an IP packet that ends at `end`, which lies within the wire length: what is
 * left over is padding. */
static void cut_to_packet(struct walk *walk, uint32_t end)
{
	walk->wire = end;
	if (walk->captured > end)
		walk->captured = end;
}

static enum mdfh_frame_error parse_ipv4(struct walk *walk, struct mdfh_frame *frame)
{
	const uint8_t *ip = walk->bytes + walk->at;
	enum mdfh_frame_error error = need(walk, IPV4_HEADER);
	uint32_t header;
	uint32_t total;

	if (error)
		return error;
	if (ip[0] >> 4 != 4)
		return MDFH_FRAME_IP_VERSION;
	frame->ip_version = 4;
	header = (ip[0] & 0x0fU) * 4;
	total = mdfh_load_be16(ip + 2);
	frame->protocol = ip[9];
	store_ipv4(frame->source, ip + 12);
	store_ipv4(frame->destination, ip + 16);
	if (header < IPV4_HEADER || header > total)
		return MDFH_FRAME_IP_HEADER;
	if (total > walk->wire - walk->at)
		return MDFH_FRAME_IP_LENGTH;
	cut_to_packet(walk, walk->at + total);
	error = need(walk, header);
	if (error)
		return error;
	walk->at += header;
	/* More fragments follow, or this one does not start the packet. */
	if (mdfh_load_be16(ip + 6) & 0x3fffU) {
		frame->fragment = 1;
		return MDFH_FRAME_FRAGMENT;
	}
	return MDFH_FRAME_OK;
}

static enum mdfh_frame_error parse_ipv6(struct walk *walk, struct mdfh_frame *frame)
{
	const uint8_t *ip = walk->bytes + walk->at;
	enum mdfh_frame_error error = need(walk, IPV6_HEADER);
	uint32_t payload;

	if (error)
		return error;
	if (ip[0] >> 4 != 6)
		return MDFH_FRAME_IP_VERSION;
	frame->ip_version = 6;
	payload = mdfh_load_be16(ip + 4);
	frame->protocol = ip[6];
	memcpy(frame->source, ip + 8, 16);
	memcpy(frame->destination, ip + 24, 16);
	walk->at += IPV6_HEADER;
	if (payload > walk->wire - walk->at)
		return MDFH_FRAME_IP_LENGTH;
	cut_to_packet(walk, walk->at + payload);

	for (int i = 0;; i++) {
		const uint8_t *extension = walk->bytes + walk->at;
		uint32_t length = 8;

		switch (frame->protocol) {
		case 0:  /* hop-by-hop options */
		case 43: /* routing */
		case 60: /* destination options */
		case 44: /* fragment: no length field, always 8 */
			break;
		default:
			return MDFH_FRAME_OK;
		}
		if (i == MDFH_FRAME_EXTENSIONS_MAX)
			return MDFH_FRAME_IP_EXTENSION;
		error = need(walk, 8);
		if (!error && frame->protocol != 44) {
			length = 8 + 8U * extension[1];
			error = need(walk, length);
		}
		if (error)
			return error == MDFH_FRAME_CUT ? error : MDFH_FRAME_IP_EXTENSION;
		if (frame->protocol == 44 && mdfh_load_be16(extension + 2) & 0xfff9U) {
			frame->fragment = 1;
			frame->protocol = extension[0];
			return MDFH_FRAME_FRAGMENT;
		}
		frame->protocol = extension[0];
		walk->at += length;
	}
}

/* Everything before `walk->at` is known; the payload runs to `end` on the wire. */
static void set_payload(const struct walk *walk, struct mdfh_frame *frame, uint32_t end)
{
	frame->payload_offset = walk->at;
	frame->payload_wire_length = end - walk->at;
	frame->payload_length = (walk->captured < end ? walk->captured : end) - walk->at;
	frame->truncated = frame->payload_length < frame->payload_wire_length;
}

static enum mdfh_frame_error parse_udp(struct walk *walk, struct mdfh_frame *frame)
{
	const uint8_t *udp = walk->bytes + walk->at;
	enum mdfh_frame_error error = need(walk, UDP_HEADER);
	uint32_t start = walk->at;
	uint32_t length;

	if (error)
		return error == MDFH_FRAME_CUT ? error : MDFH_FRAME_UDP_SHORT;
	frame->source_port = mdfh_load_be16(udp);
	frame->destination_port = mdfh_load_be16(udp + 2);
	length = mdfh_load_be16(udp + 4);
	if (length < UDP_HEADER || length > walk->wire - start)
		return MDFH_FRAME_UDP_LENGTH;
	walk->at += UDP_HEADER;
	set_payload(walk, frame, start + length);
	return MDFH_FRAME_OK;
}

static enum mdfh_frame_error parse_tcp(struct walk *walk, struct mdfh_frame *frame)
{
	const uint8_t *tcp = walk->bytes + walk->at;
	enum mdfh_frame_error error = need(walk, TCP_HEADER);
	uint32_t header;

	if (error)
		return error == MDFH_FRAME_CUT ? error : MDFH_FRAME_TCP_HEADER;
	frame->source_port = mdfh_load_be16(tcp);
	frame->destination_port = mdfh_load_be16(tcp + 2);
	header = (uint32_t)(tcp[12] >> 4) * 4;
	error = need(walk, header);
	if (header < TCP_HEADER || error == MDFH_FRAME_SHORT)
		return MDFH_FRAME_TCP_HEADER;
	if (error)
		return error;
	walk->at += header;
	set_payload(walk, frame, walk->wire);
	return MDFH_FRAME_OK;
}

enum mdfh_frame_error mdfh_frame_parse(uint32_t link_type, const uint8_t *bytes, uint32_t captured,
    uint32_t wire_length, struct mdfh_frame *frame)
{
	struct walk walk = {
	    .bytes = bytes,
	    .captured = captured,
	    .wire = wire_length < captured ? captured : wire_length,
	};
	enum mdfh_frame_error error;

	memset(frame, 0, sizeof(*frame));
	error = parse_link(link_type, &walk, frame);
	if (error)
		return error;
	frame->ip_offset = walk.at;
	if (frame->ether_type == ETHER_IPV4)
		error = parse_ipv4(&walk, frame);
	else if (frame->ether_type == ETHER_IPV6)
		error = parse_ipv6(&walk, frame);
	else
		error = MDFH_FRAME_NOT_IP;
	if (error)
		return error;
	frame->transport_offset = walk.at;
	if (frame->protocol == MDFH_PROTOCOL_UDP)
		return parse_udp(&walk, frame);
	if (frame->protocol == MDFH_PROTOCOL_TCP)
		return parse_tcp(&walk, frame);
	return MDFH_FRAME_NOT_UDP;
}

/* Checksums ------------------------------------------------------------- */

/* UDP header and payload with the pseudo header of IPv4 or IPv6. */
static uint16_t udp_sum(
    const uint8_t source[16], const uint8_t destination[16], const uint8_t *udp, uint32_t length)
{
	uint32_t skip = mdfh_frame_is_ipv4(source) ? 12 : 0;
	uint32_t sum = MDFH_PROTOCOL_UDP + length;

	sum = mdfh_sum_bytes(sum, source + skip, 16 - skip);
	sum = mdfh_sum_bytes(sum, destination + skip, 16 - skip);
	return mdfh_sum_fold(mdfh_sum_bytes(sum, udp, length));
}

enum mdfh_frame_error mdfh_frame_checksums(const uint8_t *bytes, const struct mdfh_frame *frame)
{
	const uint8_t *ip = bytes + frame->ip_offset;
	const uint8_t *udp = bytes + frame->transport_offset;

	if (frame->ip_version == 4 &&
	    mdfh_sum_fold(mdfh_sum_bytes(0, ip, (ip[0] & 0x0fU) * 4)) != 0xffff)
		return MDFH_FRAME_CHECKSUM;
	if (frame->protocol != MDFH_PROTOCOL_UDP || frame->truncated)
		return MDFH_FRAME_OK;
	if (mdfh_load_be16(udp + 6) == 0)
		return frame->ip_version == 4 ? MDFH_FRAME_OK : MDFH_FRAME_CHECKSUM;
	if (udp_sum(frame->source, frame->destination, udp, UDP_HEADER + frame->payload_length) !=
	    0xffff)
		return MDFH_FRAME_CHECKSUM;
	return MDFH_FRAME_OK;
}

/* Building -------------------------------------------------------------- */

static uint8_t *put_ethernet(const struct mdfh_frame_header *header, int ipv4, uint8_t *out)
{
	static const uint8_t zero[6];
	static const uint8_t source[6] = {2, 0, 0, 0, 0, 1};
	uint8_t destination[6] = {2, 0, 0, 0, 0, 2};
	const uint8_t *group = header->destination;

	/* RFC 1112 section 6.4: the low 23 bits; RFC 2464 section 7: the low 32 bits. */
	if (mdfh_frame_is_multicast(group) && ipv4)
		memcpy(destination,
		    (uint8_t[]){0x01, 0x00, 0x5e, group[13] & 0x7f, group[14], group[15]}, 6);
	else if (mdfh_frame_is_multicast(group))
		memcpy(destination,
		    (uint8_t[]){0x33, 0x33, group[12], group[13], group[14], group[15]}, 6);
	memcpy(out,
	    memcmp(header->destination_mac, zero, 6) ? header->destination_mac : destination, 6);
	memcpy(out + 6, memcmp(header->source_mac, zero, 6) ? header->source_mac : source, 6);
	out += 12;
	for (int i = 0; i < header->vlan_count; i++) {
		int outer_of_two = header->vlan_count == 2 && i == 0;

		mdfh_store_be16(out, outer_of_two ? ETHER_SERVICE : ETHER_VLAN);
		mdfh_store_be16(out + 2, header->vlan[i] & 0x0fffU);
		out += ETHERNET_TAG;
	}
	mdfh_store_be16(out, ipv4 ? ETHER_IPV4 : ETHER_IPV6);
	return out + 2;
}

static uint8_t *put_ip(
    const struct mdfh_frame_header *header, int ipv4, uint32_t udp_length, uint8_t *ip)
{
	uint8_t hops = header->hop_limit ? header->hop_limit : 1;

	if (!ipv4) {
		mdfh_store_be32(ip, 0x60000000U);
		mdfh_store_be16(ip + 4, (uint16_t)udp_length);
		ip[6] = MDFH_PROTOCOL_UDP;
		ip[7] = hops;
		memcpy(ip + 8, header->source, 16);
		memcpy(ip + 24, header->destination, 16);
		return ip + IPV6_HEADER;
	}
	mdfh_store_be16(ip, 0x4500);
	mdfh_store_be16(ip + 2, (uint16_t)(IPV4_HEADER + udp_length));
	mdfh_store_be16(ip + 4, header->identification);
	mdfh_store_be16(ip + 6, 0x4000); /* do not fragment */
	ip[8] = hops;
	ip[9] = MDFH_PROTOCOL_UDP;
	mdfh_store_be16(ip + 10, 0);
	memcpy(ip + 12, header->source + 12, 4);
	memcpy(ip + 16, header->destination + 12, 4);
	mdfh_store_be16(ip + 10, (uint16_t)~mdfh_sum_fold(mdfh_sum_bytes(0, ip, IPV4_HEADER)));
	return ip + IPV4_HEADER;
}

int mdfh_frame_build(const struct mdfh_frame_header *header, const void *payload, uint32_t length,
    uint8_t *out, uint32_t size)
{
	int ipv4 = mdfh_frame_is_ipv4(header->destination);
	uint32_t headers = ETHERNET_HEADER + (ipv4 ? IPV4_HEADER : IPV6_HEADER) + UDP_HEADER;
	uint32_t longest = UINT16_MAX - UDP_HEADER - (ipv4 ? IPV4_HEADER : 0);
	uint8_t *udp;
	uint16_t sum;

	if (mdfh_frame_is_ipv4(header->source) != ipv4)
		return mdfh_error(-EINVAL, "frame: one of source and destination address is IPv4, "
					   "the other IPv6; both must be of one kind");
	if (header->vlan_count > MDFH_FRAME_VLANS_MAX)
		return mdfh_error(-EINVAL, "frame: %u VLAN tags; at most %d", header->vlan_count,
		    MDFH_FRAME_VLANS_MAX);
	headers += header->vlan_count * (uint32_t)ETHERNET_TAG;
	if (length > longest)
		return mdfh_error(
		    -EMSGSIZE, "frame: payload of %u bytes; UDP takes at most %u", length, longest);
	if (size < headers || size - headers < length)
		return mdfh_error(-EMSGSIZE,
		    "frame: %u bytes of headers and %u of payload do not fit %u", headers, length,
		    size);

	udp = put_ip(header, ipv4, UDP_HEADER + length, put_ethernet(header, ipv4, out));
	mdfh_store_be16(udp, header->source_port);
	mdfh_store_be16(udp + 2, header->destination_port);
	mdfh_store_be16(udp + 4, (uint16_t)(UDP_HEADER + length));
	mdfh_store_be16(udp + 6, 0);
	if (length)
		memcpy(udp + UDP_HEADER, payload, length);
	/* A sum of 0 is sent as its other form, because 0 means "none". */
	sum = (uint16_t)~udp_sum(header->source, header->destination, udp, UDP_HEADER + length);
	mdfh_store_be16(udp + 6, sum ? sum : 0xffff);
	return (int)(headers + length);
}

/* Addresses as text ----------------------------------------------------- */

int mdfh_frame_address(const char *text, uint8_t address[16])
{
	size_t length = strcspn(text, "%");
	char plain[INET6_ADDRSTRLEN];
	uint8_t ipv4[4];

	if (length < sizeof(plain)) {
		memcpy(plain, text, length);
		plain[length] = '\0';
		if (!text[length] && inet_pton(AF_INET, plain, ipv4) == 1) {
			store_ipv4(address, ipv4);
			return 0;
		}
		if (inet_pton(AF_INET6, plain, address) == 1)
			return 0;
	}
	return mdfh_error(-EINVAL, "address: '%.64s' is no numeric IPv4 or IPv6 address", text);
}

const char *mdfh_endpoint_text(
    const uint8_t address[16], uint16_t port, char text[MDFH_ENDPOINT_TEXT_MAX])
{
	char plain[INET6_ADDRSTRLEN];

	if (mdfh_frame_is_ipv4(address))
		snprintf(text, MDFH_ENDPOINT_TEXT_MAX, "%u.%u.%u.%u:%u", address[12], address[13],
		    address[14], address[15], port);
	else
		snprintf(text, MDFH_ENDPOINT_TEXT_MAX, "[%s]:%u",
		    inet_ntop(AF_INET6, address, plain, sizeof(plain)), port);
	return text;
}
