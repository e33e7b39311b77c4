/* xdp_program.bpf.c - the XDP program of backend xdp: UDP packets of a configured flow go to the
 * AF_XDP socket of the queue that they came in on, everything else to the kernel as if the program
 * were not there. Where a queue has no socket (its process is gone) its packets go to the kernel, too. */
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include "xdp_filter.h"

enum { TAGS_MAX = 2, EXTENSIONS_MAX = 8, FRAGMENT_BITS = 0x3fff };
enum { OLD_QINQ = 0x9100 }; /* an outer tag before 802.1ad */

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, XDP_QUEUES_MAX);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct xdp_filter);
	__type(value, __u32);
	__uint(max_entries, XDP_FILTERS_MAX);
} filters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, XDP_QUEUES_MAX);
} kinds SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, XDP_VERDICTS);
} verdicts SEC(".maps");

struct packet {
	struct xdp_filter full; /* every part as the packet has it */
	__u16 tags[TAGS_MAX];
};

static __always_inline int verdict(enum xdp_verdict which, int action)
{
	__u32 key = which;
	__u64 *count = bpf_map_lookup_elem(&verdicts, &key);

	if (count)
		(*count)++;
	return action;
}

static __always_inline int is_multicast(const __u8 *address)
{
	static const __u8 mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	for (int i = 0; i < 12; i++)
		if (address[i] != mapped[i])
			return address[0] == 0xff;
	return (address[12] & 0xf0) == 0xe0;
}

static __always_inline int is_wanted(const struct packet *packet, __u32 kind, __u16 tag)
{
	struct xdp_filter key = {.queue = packet->full.queue, .kind = kind};

	if (kind & XDP_KIND_DESTINATION)
		__builtin_memcpy(key.destination, packet->full.destination, 16);
	else if (is_multicast(packet->full.destination))
		return 0;
	if (kind & XDP_KIND_SOURCE)
		__builtin_memcpy(key.source, packet->full.source, 16);
	if (kind & XDP_KIND_PORT)
		key.port = packet->full.port;
	if (kind & XDP_KIND_VLAN)
		key.vlan = tag;
	return bpf_map_lookup_elem(&filters, &key) != 0;
}

static __always_inline int has_flow(const struct packet *packet, __u32 in_use)
{
	for (__u32 kind = 0; kind < XDP_KINDS; kind++) {
		if (!(in_use & 1u << kind))
			continue;
		if (!(kind & XDP_KIND_VLAN)) {
			if (is_wanted(packet, kind, 0))
				return 1;
			continue;
		}
		for (int i = 0; i < TAGS_MAX; i++)
			if (packet->tags[i] && is_wanted(packet, kind, packet->tags[i]))
				return 1;
	}
	return 0;
}

static __always_inline void map_address(__u8 *to, __be32 address)
{
	to[10] = to[11] = 0xff;
	__builtin_memcpy(to + 12, &address, 4);
}

/* Where the UDP header is, 0 = there is none, and *why says so. */
static __always_inline void *find_udp(
    void *data, void *end, struct packet *packet, enum xdp_verdict *why)
{
	struct ethhdr *ethernet = data;
	void *at = ethernet + 1;
	__u16 type;

	*why = XDP_VERDICT_BROKEN;
	if (at > end)
		return 0;
	type = ethernet->h_proto;
#pragma unroll
	for (int i = 0; i < TAGS_MAX; i++) {
		__u16 *tag = at; /* control information, and the type of what follows */

		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD) &&
		    type != bpf_htons(OLD_QINQ))
			break;
		if ((void *)(tag + 2) > end)
			return 0;
		packet->tags[i] = bpf_ntohs(tag[0]) & 0xfff;
		type = tag[1];
		at = tag + 2;
	}
	if (type == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = at;

		if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
			return 0;
		*why = XDP_VERDICT_NOT_UDP;
		if (ip->protocol != IPPROTO_UDP)
			return 0;
		*why = XDP_VERDICT_FRAGMENT;
		if (ip->frag_off & bpf_htons(FRAGMENT_BITS))
			return 0;
		map_address(packet->full.destination, ip->daddr);
		map_address(packet->full.source, ip->saddr);
		*why = XDP_VERDICT_BROKEN;
		return at + ip->ihl * 4;
	}
	*why = XDP_VERDICT_NOT_UDP;
	if (type == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = at;
		__u8 next;

		*why = XDP_VERDICT_BROKEN;
		if ((void *)(ip + 1) > end || ip->version != 6)
			return 0;
		__builtin_memcpy(packet->full.destination, &ip->daddr, 16);
		__builtin_memcpy(packet->full.source, &ip->saddr, 16);
		next = ip->nexthdr;
		at = ip + 1;
#pragma unroll
		for (int i = 0; i < EXTENSIONS_MAX; i++) {
			__u8 *header = at;

			if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING &&
			    next != IPPROTO_DSTOPTS && next != IPPROTO_FRAGMENT)
				break;
			if ((void *)(header + 8) > end)
				return 0;
			at = header + 8;
			/* A whole packet may have that header, too (RFC 6946). */
			if (next != IPPROTO_FRAGMENT) {
				at += header[1] * 8;
			} else if (header[2] || header[3] & 0xf9) {
				*why = XDP_VERDICT_FRAGMENT;
				return 0;
			}
			next = header[0];
		}
		*why = XDP_VERDICT_NOT_UDP;
		if (next != IPPROTO_UDP)
			return 0;
		*why = XDP_VERDICT_BROKEN;
		return at;
	}
	return 0;
}

#ifdef XDP_STAMPS
/* Linux 6.3; a program that calls it is bound to one device, whose driver answers. */
extern int bpf_xdp_metadata_rx_timestamp(const struct xdp_md *context, __u64 *ns) __ksym;

/* Put the NIC's time in front of the frame. Without room or a time the packet goes without one. */
static __always_inline void stamp(struct xdp_md *context)
{
	struct xdp_stamp *stamp;
	__u64 ns = 0;

	if (bpf_xdp_adjust_meta(context, -(int)sizeof(*stamp)))
		return;
	stamp = (void *)(long)context->data_meta;
	if ((void *)(stamp + 1) > (void *)(long)context->data)
		return;
	if (bpf_xdp_metadata_rx_timestamp(context, &ns))
		ns = 0;
	stamp->marker = XDP_STAMP_MARKER;
	stamp->ns = ns;
}
#else
static __always_inline void stamp(struct xdp_md *context)
{
	(void)context;
}
#endif

SEC("xdp")
int mdfh_xdp(struct xdp_md *context)
{
	void *data = (void *)(long)context->data;
	void *end = (void *)(long)context->data_end;
	struct packet packet = {.full.queue = context->rx_queue_index};
	__u32 queue = context->rx_queue_index;
	__u32 *in_use = bpf_map_lookup_elem(&kinds, &queue);
	enum xdp_verdict why;
	struct udphdr *udp;
	long action;

	if (!in_use || !*in_use)
		return verdict(XDP_VERDICT_NO_PORT, XDP_PASS);
	udp = find_udp(data, end, &packet, &why);
	if (!udp)
		return verdict(why, XDP_PASS);
	if ((void *)(udp + 1) > end)
		return verdict(XDP_VERDICT_BROKEN, XDP_PASS);
	packet.full.port = udp->dest;
	if (!has_flow(&packet, *in_use))
		return verdict(XDP_VERDICT_NO_FLOW, XDP_PASS);
	stamp(context);
	action = bpf_redirect_map(&sockets, queue, XDP_PASS);
	return verdict(action == XDP_REDIRECT ? XDP_VERDICT_TAKEN : XDP_VERDICT_NO_PORT, action);
}

/* Some helpers of the kernel are for programs under its own licence only; this one may use them. */
char _license[] SEC("license") = "Dual MIT/GPL";
