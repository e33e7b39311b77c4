/* mdfh/frame.h - a captured frame: where its UDP payload is, or why it has none; and back.
 *
 * IPv4 addresses stand as IPv4-mapped IPv6 addresses ("::ffff:a.b.c.d"), so that one comparison of
 * 16 bytes serves both. Ports and VLAN ids are in host order, offsets count from the frame's
 * first byte.
 *
 * Threads: no state, any thread. Memory: nothing is allocated; a parsed frame refers to the
 * bytes that it was parsed from by offsets only.
 * Cost: one pass over the headers; checksums are looked at on request only. */
#ifndef MDFH_FRAME_H
#define MDFH_FRAME_H

#include "mdfh/base.h"

MDFH_BEGIN_DECLS

/* Why a frame holds no UDP payload to hand out. Indexes mdfh_bypass_stats.malformed. */
enum mdfh_frame_error {
	MDFH_FRAME_OK = 0,
	MDFH_FRAME_SHORT = 1,        /* the frame ends inside a header */
	MDFH_FRAME_CUT = 2,          /* the capture ends inside a header (snap length, cut file) */
	MDFH_FRAME_LINK_TYPE = 3,    /* the capture's link type is not supported */
	MDFH_FRAME_VLAN_TAGS = 4,    /* more than MDFH_FRAME_VLANS_MAX tags */
	MDFH_FRAME_NOT_IP = 5,       /* another protocol: ARP, LLDP, PTP ... */
	MDFH_FRAME_IP_VERSION = 6,   /* contradicts the EtherType */
	MDFH_FRAME_IP_HEADER = 7,    /* IPv4 header length below 20 or beyond the packet */
	MDFH_FRAME_IP_LENGTH = 8,    /* IP length beyond the frame */
	MDFH_FRAME_IP_EXTENSION = 9, /* IPv6 extension headers too many or too long */
	MDFH_FRAME_FRAGMENT = 10,    /* fragments are not put together */
	MDFH_FRAME_NOT_UDP = 11,     /* another protocol: IGMP, ICMP, PIM ...; for UDP ports: TCP */
	MDFH_FRAME_UDP_SHORT = 12,   /* the IP packet ends inside the UDP header */
	MDFH_FRAME_UDP_LENGTH = 13,  /* UDP length below 8 or beyond the IP packet */
	MDFH_FRAME_TCP_HEADER = 14,  /* TCP header length below 20 or beyond the IP packet */
	MDFH_FRAME_CHECKSUM = 15,    /* IPv4 header or UDP checksum is wrong */
	MDFH_FRAME_ERRORS = 16,
};

/* "IP fragment", ... for people; never NULL. */
MDFH_API const char *mdfh_frame_error_name(enum mdfh_frame_error error);

/* Link types as the pcap formats number them (tcpdump.org, "link-layer header types"). */
enum mdfh_link_type {
	MDFH_LINK_NULL = 0, /* BSD loopback: address family in the writer's byte order */
	MDFH_LINK_ETHERNET = 1,
	MDFH_LINK_RAW_IP = 101,
	MDFH_LINK_LOOP = 108,      /* OpenBSD loopback: address family in network order */
	MDFH_LINK_LINUX_SLL = 113, /* tcpdump -i any */
	MDFH_LINK_IPV4 = 228,
	MDFH_LINK_IPV6 = 229,
	MDFH_LINK_LINUX_SLL2 = 276,
};

enum {
	MDFH_FRAME_VLANS_MAX = 2,
	MDFH_FRAME_EXTENSIONS_MAX = 8, /* IPv6 extension headers */
	/* Ethernet, two tags, IPv6, UDP: the most that mdfh_frame_build writes before data. */
	MDFH_FRAME_BUILD_HEADERS_MAX = 14 + 2 * 4 + 40 + 8,
};

enum { MDFH_PROTOCOL_TCP = 6, MDFH_PROTOCOL_UDP = 17 };

/* What mdfh_frame_parse found. */
struct mdfh_frame {
	uint8_t source[16];
	uint8_t destination[16];
	uint16_t source_port;
	uint16_t destination_port;
	uint16_t vlan[MDFH_FRAME_VLANS_MAX]; /* ids, outermost first */
	uint16_t ether_type;                 /* after the tags; 0 where the link has none */
	uint8_t vlan_count;
	uint8_t ip_version; /* 4, 6, or 0: no IP header was reached */
	uint8_t protocol;   /* MDFH_PROTOCOL_*, or any other IP protocol number */
	uint8_t fragment;   /* 1 = a fragment, first or later */
	uint8_t truncated;  /* 1 = the capture holds less payload than the wire carried */
	uint32_t ip_offset;
	uint32_t transport_offset;
	uint32_t payload_offset; /* of UDP or TCP */
	uint32_t payload_length; /* bytes present: payload_offset + payload_length <= captured */
	uint32_t payload_wire_length; /* as the headers say */
};

/* Parse one frame of `captured` bytes, `wire_length` on the wire. Returns MDFH_FRAME_OK with a
 * UDP or TCP payload (see protocol), else why not; fields up to the one at fault are filled then
 * and the others are 0. Frames padded to the Ethernet minimum are cut to the IP length, a UDP
 * length shorter than the IP packet holds (RFC 768). */
MDFH_API enum mdfh_frame_error mdfh_frame_parse(uint32_t link_type, const uint8_t *bytes,
    uint32_t captured, uint32_t wire_length, struct mdfh_frame *frame);

/* Check the IPv4 header checksum and the UDP checksum of a frame that mdfh_frame_parse found
 * sound: MDFH_FRAME_OK or MDFH_FRAME_CHECKSUM. What is not there is not checked: a UDP checksum
 * of 0 on IPv4, or one over a payload that the capture has cut. Captures made on the sending
 * host often hold wrong sums, because the NIC fills them in. */
MDFH_API enum mdfh_frame_error mdfh_frame_checksums(
    const uint8_t *bytes, const struct mdfh_frame *frame);

/* What mdfh_frame_build writes before a payload. Zero means what the comment says. */
struct mdfh_frame_header {
	uint8_t source[16];
	uint8_t destination[16]; /* both IPv4-mapped, or neither */
	uint16_t source_port;
	uint16_t destination_port;
	uint16_t vlan[MDFH_FRAME_VLANS_MAX]; /* outermost first; two tags: 0x88a8, then 0x8100 */
	uint16_t identification;             /* IPv4 */
	uint8_t vlan_count;
	uint8_t hop_limit;          /* TTL; 0 = 1 */
	uint8_t source_mac[6];      /* 0 = 02:00:00:00:00:01, a locally administered address */
	uint8_t destination_mac[6]; /* 0 = the group's address, or 02:00:00:00:00:02 */
};

/* Write Ethernet, tags, IP and UDP headers with checksums, then the payload, to at most `size`
 * bytes of `out`. Returns the frame's length, -EMSGSIZE (payload too long for UDP or `size`) or
 * -EINVAL (mixed address families, too many tags). */
MDFH_API int mdfh_frame_build(const struct mdfh_frame_header *header, const void *payload,
    uint32_t length, uint8_t *out, uint32_t size);

/* Numeric IPv4 or IPv6 text to 16 bytes ("fe80::1%eth0": the zone is not looked at). 0, or
 * -EINVAL. */
MDFH_API int mdfh_frame_address(const char *text, uint8_t address[16]);

/* "224.0.31.64:14340" or "[ff02::1]:14340"; the longest takes MDFH_ENDPOINT_TEXT_MAX bytes with
 * the terminator. Returns text. */
enum { MDFH_ENDPOINT_TEXT_MAX = 56 };
MDFH_API const char *mdfh_endpoint_text(
    const uint8_t address[16], uint16_t port, char text[MDFH_ENDPOINT_TEXT_MAX]);

/* 1 for an IPv4-mapped address. */
static inline int mdfh_frame_is_ipv4(const uint8_t address[16])
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	return __builtin_memcmp(address, mapped, sizeof(mapped)) == 0;
}

/* 1 for a group of IPv4 or IPv6. */
static inline int mdfh_frame_is_multicast(const uint8_t address[16])
{
	return mdfh_frame_is_ipv4(address) ? (address[12] & 0xf0) == 0xe0 : address[0] == 0xff;
}

MDFH_END_DECLS
#endif
