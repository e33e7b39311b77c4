/* conformance_frames.h - frames of the conformance suite: written out by hand, so that the suite shares
 * nothing with the code that reads them, sound ones and odd ones. */
#ifndef MDFH_NET_CONFORMANCE_FRAMES_H
#define MDFH_NET_CONFORMANCE_FRAMES_H

#include <stddef.h>
#include <stdint.h>

enum { CONFORMANCE_HEADERS_MAX = 14 + 2 * 4 + 40 + 8 + 20 };

/* What is odd about a frame. Sound in spite of it: up to PADDED. */
enum conformance_oddity {
	ODD_NOTHING,
	ODD_OPTIONS, /* IPv4 options, an IPv6 extension header */
	ODD_PADDED,  /* to the 60 bytes that Ethernet wants at least */
	ODD_FRAGMENT,
	ODD_IP_HEADER,  /* IPv4 header length 16; IP version 5 in an IPv6 frame */
	ODD_UDP_LENGTH, /* beyond the IP packet */
	ODD_TCP,
	ODD_IGMP,
	ODD_SHORT, /* ends in the UDP header */
	ODD_ARP,
	ODDITIES,
};

struct conformance_frame {
	const char *source, *destination; /* numeric, of one family */
	const uint8_t *mac;               /* to whom; NULL = to the group, or to everyone */
	uint16_t port;
	uint16_t vlan[2]; /* outermost first, 0 = no further tag */
	const uint8_t *payload;
	uint32_t length;
	enum conformance_oddity oddity;
};

/* Writes at most CONFORMANCE_HEADERS_MAX bytes more than the payload, or 60, and returns how many. */
uint32_t mdfh_conformance_frame_put(uint8_t *at, const struct conformance_frame *frame);

/* 1 if nothing leaves the machine through it: a device of the kernel, or one of DPDK of memory or on top of
 * such a device. */
int mdfh_conformance_is_virtual(const char *interface);

/* The address that a device of the kernel's, or one of DPDK's on top of it, has for a family: numeric, and its
 * hardware address. 1, or 0: it is none, or has no address. */
int mdfh_conformance_host(
    const char *interface, int is_v6, char *address, size_t size, uint8_t mac[6]);

/* A socket that frames are written to as they are; -errno with a sentence. */
int mdfh_conformance_frames_open(const char *interface);

#endif
