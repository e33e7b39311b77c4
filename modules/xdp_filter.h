/* xdp_filter.h - what the XDP program and the module that fills its maps agree on.
 *
 * A flow becomes an entry of the map "filters" whose parts that match anything are zero. Which parts an
 * entry fixes is its kind; for each queue the map "kinds" has the set of kinds among its entries, so
 * that a packet is looked up once for each kind in use: once, as a rule. */
#ifndef MDFH_MODULES_XDP_FILTER_H
#define MDFH_MODULES_XDP_FILTER_H

#include <linux/types.h>

enum { XDP_QUEUES_MAX = 256, XDP_FILTERS_MAX = 4096, XDP_KINDS = 16 };

/* Kinds are sums of these. */
enum {
	XDP_KIND_DESTINATION = 1, /* else any unicast address */
	XDP_KIND_PORT = 2,
	XDP_KIND_SOURCE = 4,
	XDP_KIND_VLAN = 8,
};

struct xdp_filter {
	__u8 destination[16]; /* IPv4 as ::ffff:a.b.c.d */
	__u8 source[16];
	__u16 port; /* network order */
	__u16 vlan; /* host order */
	__u32 queue;
	__u32 kind;
};

/* What became of a packet: index into the map "verdicts". */
enum xdp_verdict {
	XDP_VERDICT_TAKEN,    /* redirected to the socket of its queue */
	XDP_VERDICT_NO_FLOW,  /* UDP that no filter wants: to the kernel */
	XDP_VERDICT_NOT_UDP,  /* ARP, TCP, IGMP ...: to the kernel */
	XDP_VERDICT_FRAGMENT, /* of UDP over IP: to the kernel */
	XDP_VERDICT_BROKEN,   /* ends within a header: to the kernel */
	XDP_VERDICT_NO_PORT,  /* no port is open on this queue: to the kernel */
	XDP_VERDICTS,
};

/* What stands in front of a frame where the NIC's time is asked for. Memory keeps what an earlier packet
 * had there, so the reader takes the marker away. */
#define XDP_STAMP_MARKER 0x6d6466685f6e6963u

struct xdp_stamp {
	__u64 marker;
	__u64 ns; /* by the NIC's clock; 0 = it has no time of this packet */
};

#endif
