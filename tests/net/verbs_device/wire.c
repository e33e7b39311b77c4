/* wire.c - see verbs_device.h: rules, and frames off a network interface of the kernel's that they pick. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "mdfh/frame.h"
#include "parts.h"

struct flow {
	struct ibv_flow base;
	struct vdev_rule *rule;
};

/* From where the socket's frames go: what a rule names. */
static int is_matched(const struct vdev_rule *rule, const uint8_t *bytes, uint32_t length)
{
	struct mdfh_frame frame;
	enum mdfh_frame_error error =
	    mdfh_frame_parse(MDFH_LINK_ETHERNET, bytes, length, length, &frame);

	for (int i = 0; i < 6; i++)
		if ((bytes[i] ^ rule->eth.val.dst_mac[i]) & rule->eth.mask.dst_mac[i])
			return 0;
	if (rule->eth.mask.vlan_tag &&
	    (!frame.vlan_count ||
		((htons(frame.vlan[0]) ^ rule->eth.val.vlan_tag) & rule->eth.mask.vlan_tag)))
		return 0;
	if (!rule->has_udp)
		return 1;
	if (error || frame.protocol != MDFH_PROTOCOL_UDP ||
	    frame.ip_version != (rule->has_ipv4 ? 4 : 6))
		return 0;
	for (int i = 0; i < 16; i++) {
		const int at = i - 12;
		const uint8_t *destination = rule->ipv6.val.dst_ip, *source = rule->ipv6.val.src_ip;
		const uint8_t *to_mask = rule->ipv6.mask.dst_ip,
			      *from_mask = rule->ipv6.mask.src_ip;

		if (rule->has_ipv4 && at < 0)
			continue;
		if (rule->has_ipv4) {
			destination = (const uint8_t *)&rule->ipv4.val.dst_ip - 12;
			source = (const uint8_t *)&rule->ipv4.val.src_ip - 12;
			to_mask = (const uint8_t *)&rule->ipv4.mask.dst_ip - 12;
			from_mask = (const uint8_t *)&rule->ipv4.mask.src_ip - 12;
		}
		if ((frame.destination[i] ^ destination[i]) & to_mask[i] ||
		    (frame.source[i] ^ source[i]) & from_mask[i])
			return 0;
	}
	return !(
	    (htons(frame.destination_port) ^ rule->udp.val.dst_port) & rule->udp.mask.dst_port);
}

/* The tag that the kernel took off goes back on. */
static uint32_t put_tag(struct msghdr *message, uint8_t *bytes, uint32_t length)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		struct tpacket_auxdata aux;
		uint16_t tag[2];

		if (c->cmsg_type != PACKET_AUXDATA)
			continue;
		memcpy(&aux, CMSG_DATA(c), sizeof(aux));
		if (!(aux.tp_status & TP_STATUS_VLAN_VALID))
			continue;
		tag[0] =
		    htons(aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid : 0x8100);
		tag[1] = htons(aux.tp_vlan_tci);
		memmove(bytes + 16, bytes + 12, length - 12);
		memcpy(bytes + 12, tag, 4);
		return length + 4;
	}
	return length;
}

void vdev_wire_receive(struct pair *pair)
{
	while (pair->tail != pair->head) {
		uint8_t *bytes = pair->orders[pair->head % ORDERS_MAX].bytes;
		uint32_t room = pair->orders[pair->head % ORDERS_MAX].length;
		char control[256];
		struct sockaddr_ll from;
		struct iovec vector = {bytes, room - 4};
		struct mmsghdr one = {.msg_hdr = {.msg_name = &from,
					  .msg_namelen = sizeof(from),
					  .msg_iov = &vector,
					  .msg_iovlen = 1,
					  .msg_control = control,
					  .msg_controllen = sizeof(control)}};
		uint32_t length;
		int is_ours = 0;

		/* Not recvmsg: under the sanitizers fault_wraps would reach it here. */
		if (recvmmsg(pair->socket, &one, 1, MSG_DONTWAIT, NULL) != 1)
			return;
		if (one.msg_len < 14)
			continue;
		length = put_tag(&one.msg_hdr, bytes, one.msg_len);
		for (uint32_t i = 0; i < vdev.rules_count && !is_ours; i++)
			is_ours = vdev.rules[i].qp == &pair->base &&
				  is_matched(&vdev.rules[i], bytes, length);
		if (from.sll_pkttype == PACKET_OUTGOING || !is_ours)
			continue;
		vdev.with_device--;
		vdev_complete(pair->receives,
		    (struct completion){.id = pair->orders[pair->head++ % ORDERS_MAX].id,
			.length = length,
			.stamp = vdev_ticks()});
	}
}

const char *vdev_wired_to(enum vdev_stamps *stamps)
{
	static char name[IFNAMSIZ];
	const char *text = getenv("VERBS_DEVICE");

	*stamps = VDEV_NO_STAMPS;
	if (!text)
		return NULL;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(text, ","), text);
	if (strstr(text, ",ticks"))
		*stamps = VDEV_TICKS;
	if (strstr(text, ",wallclock"))
		*stamps = VDEV_WALLCLOCK;
	return name;
}

int vdev_wire_open(void)
{
	enum vdev_stamps stamps;
	const char *interface = vdev_wired_to(&stamps);
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	const int on = 1, bytes = 16 << 20;
	int fd;

	if (!interface)
		return -1;
	address.sll_ifindex = (int)if_nametoindex(interface);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)))
		abort();
	return fd;
}

/* Rules ---------------------------------------------------------------------------------------- */

static struct ibv_flow *create_flow(struct ibv_qp *qp, struct ibv_flow_attr *attributes)
{
	struct vdev_rule *rule = &vdev.rules[vdev.rules_count];
	const uint8_t *at = (const uint8_t *)(attributes + 1);
	struct flow *flow;

	if (vdev.rule_error || (vdev.whole_rule_error && attributes->num_of_specs > 1) ||
	    vdev_struck("ibv_create_flow")) {
		errno = vdev.rule_error         ? vdev.rule_error
			: vdev.whole_rule_error ? vdev.whole_rule_error
						: ENOMEM;
		return NULL;
	}
	*rule = (struct vdev_rule){.qp = qp, .attributes = *attributes};
	for (int i = 0; i < attributes->num_of_specs; i++) {
		struct ibv_flow_spec_eth head; /* all begin like this */

		memcpy(&head, at, sizeof(head.type) + sizeof(head.size));
		if (head.type == IBV_FLOW_SPEC_ETH && head.size == sizeof(rule->eth)) {
			rule->has_eth = 1;
			memcpy(&rule->eth, at, sizeof(rule->eth));
		} else if (head.type == IBV_FLOW_SPEC_IPV4 && head.size == sizeof(rule->ipv4)) {
			rule->has_ipv4 = 1;
			memcpy(&rule->ipv4, at, sizeof(rule->ipv4));
		} else if (head.type == IBV_FLOW_SPEC_IPV6 && head.size == sizeof(rule->ipv6)) {
			rule->has_ipv6 = 1;
			memcpy(&rule->ipv6, at, sizeof(rule->ipv6));
		} else if (head.type == IBV_FLOW_SPEC_UDP && head.size == sizeof(rule->udp)) {
			rule->has_udp = 1;
			memcpy(&rule->udp, at, sizeof(rule->udp));
		} else {
			errno = EINVAL;
			return NULL;
		}
		at += head.size;
	}
	/* Its size is that of what it has. */
	if (at != (const uint8_t *)attributes + attributes->size) {
		errno = EINVAL;
		return NULL;
	}
	flow = vdev_made("ibv_create_flow", sizeof(*flow));
	if (!flow)
		return NULL;
	flow->base.context = qp->context;
	flow->rule = rule;
	vdev.rules_count++;
	return &flow->base;
}

static int destroy_flow(struct ibv_flow *base)
{
	((struct flow *)base)->rule->qp = NULL;
	while (vdev.rules_count && !vdev.rules[vdev.rules_count - 1].qp)
		vdev.rules_count--;
	return vdev_gone(base);
}

void vdev_rule_calls(struct verbs_context *to)
{
	to->ibv_create_flow = create_flow;
	to->ibv_destroy_flow = destroy_flow;
}
