/* fake_nic.c - see fake_nic.h. What a rule matches is said by DPDK's description of rte_flow: ETH without a
 * type means tagged and untagged packets, a VLAN item means the next tag, what is not masked means anything. */
#include "net/fake_nic.h"

#include <errno.h>
#include <string.h>

#define ALLOW_EXPERIMENTAL_API
#include <rte_bus.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>

#include "mdfh/clock.h"

enum { DEPTH = 512, PATTERN = 8 };

struct fake_nic fake_nic;

static struct rule {
	int is_used;
	int queue;
	struct rte_flow_item items[PATTERN];
	union {
		struct rte_flow_item_vlan vlan;
		struct rte_flow_item_ipv4 v4;
		struct rte_flow_item_ipv6 v6;
		struct rte_flow_item_udp udp;
	} spec[PATTERN], mask[PATTERN];
} rules[FAKE_NIC_RULES];

static struct {
	struct rte_mempool *pool;
	struct rte_mbuf *packets[DEPTH];
	int count;
} queues[FAKE_NIC_QUEUES];

static void *queue_pointers[FAKE_NIC_QUEUES];
static struct rte_ether_addr groups[64];
static int has_group_list;
static uint64_t arrived;

void fake_nic_reset(void)
{
	memset(&fake_nic, 0, sizeof(fake_nic));
	memset(rules, 0, sizeof(rules));
	has_group_list = 0;
	arrived = 0;
}

uint64_t fake_nic_ticks(void)
{
	static uint64_t began;

	if (!began)
		began = mdfh_clock_now_ns();
	/* 0.15625 ticks a ns, and 20 ppm: 0.156253125. */
	return 5000000 + (mdfh_clock_now_ns() - began) * 156253 / 1000000;
}

/* A frame's parts ---------------------------------------------------------------------------------- */

struct parts {
	uint16_t tags[2];
	int tag_count;
	int is_v4, is_v6;
	const uint8_t *ip, *udp; /* NULL = there is none */
	uint32_t header;         /* bytes of IP */
};

static unsigned get16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

/* The tests' own frames: whole, at most two tags, no extension headers but those of MLD. */
static struct parts take_apart(const uint8_t *bytes)
{
	struct parts p = {0};
	const uint8_t *at = bytes + 12;

	while ((get16(at) == 0x8100 || get16(at) == 0x88a8) && p.tag_count < 2) {
		p.tags[p.tag_count++] = get16(at + 2) & 0xfff;
		at += 4;
	}
	p.is_v4 = get16(at) == 0x0800;
	p.is_v6 = get16(at) == 0x86dd;
	p.ip = at + 2;
	p.header = p.is_v4 ? (p.ip[0] & 15u) * 4 : 40;
	if ((p.is_v4 && p.ip[9] == IPPROTO_UDP) || (p.is_v6 && p.ip[6] == IPPROTO_UDP))
		p.udp = p.ip + p.header;
	return p;
}

static unsigned sum(const uint8_t *bytes, uint32_t length, unsigned total)
{
	for (uint32_t i = 0; i < length; i++)
		total += i % 2 ? bytes[i] : (unsigned)bytes[i] << 8;
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return total;
}

/* What checksum offload says, as flags of a packet. */
static uint64_t judge(const struct parts *p)
{
	uint64_t flags = 0;

	if (p->is_v4 && fake_nic.offloads & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM)
		flags |= sum(p->ip, p->header, 0) == 0xffff ? RTE_MBUF_F_RX_IP_CKSUM_GOOD
							    : RTE_MBUF_F_RX_IP_CKSUM_BAD;
	if (p->udp && fake_nic.offloads & RTE_ETH_RX_OFFLOAD_UDP_CKSUM) {
		uint32_t length = get16(p->udp + 4), bytes = p->is_v4 ? 8 : 32;
		unsigned total = sum(p->ip + (p->is_v4 ? 12 : 8), bytes, IPPROTO_UDP + length);

		if (!get16(p->udp + 6) && !fake_nic.flags_missing_sum)
			return flags;
		flags |= sum(p->udp, length, total) == 0xffff ? RTE_MBUF_F_RX_L4_CKSUM_GOOD
							      : RTE_MBUF_F_RX_L4_CKSUM_BAD;
	}
	return flags;
}

/* Rules ------------------------------------------------------------------------------------------- */

static int differs(const void *value, const void *spec, const void *mask, size_t size)
{
	const uint8_t *v = value, *s = spec, *m = mask;

	for (size_t i = 0; i < size; i++)
		if ((v[i] ^ s[i]) & m[i])
			return 1;
	return 0;
}

static int matches(const struct rule *rule, const struct parts *p)
{
	int tag = 0;

	for (int i = 0; rule->items[i].type != RTE_FLOW_ITEM_TYPE_END; i++) {
		const void *spec = &rule->spec[i], *mask = &rule->mask[i];
		struct rte_flow_item_vlan vlan = {0};

		switch (rule->items[i].type) {
		case RTE_FLOW_ITEM_TYPE_VLAN:
			if (tag == p->tag_count)
				return 0;
			vlan.hdr.vlan_tci = rte_cpu_to_be_16(p->tags[tag]);
			tag++;
			if (differs(&vlan.hdr.vlan_tci, spec, mask, 2))
				return 0;
			break;
		case RTE_FLOW_ITEM_TYPE_IPV4:
			if (!p->is_v4 || differs(p->ip, spec, mask, 20))
				return 0;
			break;
		case RTE_FLOW_ITEM_TYPE_IPV6:
			if (!p->is_v6 || differs(p->ip, spec, mask, 40))
				return 0;
			break;
		case RTE_FLOW_ITEM_TYPE_UDP:
			if (!p->udp || differs(p->udp, spec, mask, 8))
				return 0;
			break;
		default:
			break;
		}
	}
	return 1;
}

static struct rte_flow *refuse(struct rte_flow_error *error, const char *why)
{
	*error = (struct rte_flow_error){.type = RTE_FLOW_ERROR_TYPE_ITEM, .message = why};
	rte_errno = ENOTSUP;
	return NULL;
}

static size_t size_of(enum rte_flow_item_type type)
{
	return type == RTE_FLOW_ITEM_TYPE_VLAN   ? sizeof(struct rte_flow_item_vlan)
	       : type == RTE_FLOW_ITEM_TYPE_IPV4 ? sizeof(struct rte_flow_item_ipv4)
	       : type == RTE_FLOW_ITEM_TYPE_IPV6 ? sizeof(struct rte_flow_item_ipv6)
	       : type == RTE_FLOW_ITEM_TYPE_UDP  ? sizeof(struct rte_flow_item_udp)
						 : 0;
}

/* The names and parameters are DPDK's and the linker's (--wrap). */
#define WRAPPED(type, name, ...)                                                                   \
	type __real_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__)

WRAPPED(struct rte_flow *, rte_flow_create, uint16_t id, const struct rte_flow_attr *attributes,
    const struct rte_flow_item pattern[], const struct rte_flow_action actions[],
    struct rte_flow_error *error)
{
	struct rule *rule = NULL;
	int most = fake_nic.rules_max ? fake_nic.rules_max : FAKE_NIC_RULES, tags = 0;

	(void)id;
	for (int i = 0; i < FAKE_NIC_RULES && !rule; i++)
		if (!rules[i].is_used)
			rule = &rules[i];
	if (!rule || fake_nic.rules >= most)
		return refuse(error, "the table is full");
	if (!attributes->ingress || actions[0].type != RTE_FLOW_ACTION_TYPE_QUEUE ||
	    actions[1].type != RTE_FLOW_ACTION_TYPE_END)
		return refuse(error, "another action than a queue");
	memset(rule, 0, sizeof(*rule));
	for (int i = 0; i < PATTERN; i++) {
		size_t size = size_of(pattern[i].type);

		rule->items[i].type = pattern[i].type;
		if (pattern[i].type == RTE_FLOW_ITEM_TYPE_END)
			break;
		if (size && pattern[i].spec) {
			memcpy(&rule->spec[i], pattern[i].spec, size);
			memcpy(&rule->mask[i], pattern[i].mask, size);
		}
		tags += pattern[i].type == RTE_FLOW_ITEM_TYPE_VLAN;
		if (fake_nic.refuses_sources && ((pattern[i].type == RTE_FLOW_ITEM_TYPE_IPV4 &&
						     rule->mask[i].v4.hdr.src_addr) ||
						    (pattern[i].type == RTE_FLOW_ITEM_TYPE_IPV6 &&
							rule->mask[i].v6.hdr.src_addr[0])))
			return refuse(error, "no source addresses");
	}
	if (fake_nic.refuses_inner && tags > 1)
		return refuse(error, "one tag at most");
	rule->queue = ((const struct rte_flow_action_queue *)actions[0].conf)->index;
	if (rule->queue >= fake_nic.queues)
		return refuse(error, "no such queue");
	rule->is_used = 1;
	fake_nic.rules++;
	return (struct rte_flow *)(void *)rule;
}

WRAPPED(int, rte_flow_destroy, uint16_t id, struct rte_flow *flow, struct rte_flow_error *error)
{
	struct rule *rule = (void *)flow;

	(void)id;
	(void)error;
	if (!rule->is_used)
		return -EINVAL;
	rule->is_used = 0;
	fake_nic.rules--;
	return 0;
}

WRAPPED(int, rte_flow_isolate, uint16_t id, int set, struct rte_flow_error *error)
{
	(void)id;
	if (fake_nic.refuses_isolation) {
		*error = (struct rte_flow_error){.message = "no isolated mode"};
		return -ENOTSUP;
	}
	fake_nic.is_isolated = set;
	return 0;
}

/* The control path ---------------------------------------------------------------------------------- */

/* Not a device of software, as far as the module can see. */
WRAPPED(struct rte_bus *, rte_bus_find_by_device, const struct rte_device *device)
{
	(void)device;
	return NULL;
}

WRAPPED(int, rte_eth_dev_info_get, uint16_t id, struct rte_eth_dev_info *info)
{
	int rc = __real_rte_eth_dev_info_get(id, info);

	info->driver_name = "net_fake_nic";
	info->max_rx_queues = info->max_tx_queues = FAKE_NIC_QUEUES;
	if (!fake_nic.has_no_rss)
		info->flow_type_rss_offloads = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_UDP;
	if (!fake_nic.has_no_checksums)
		info->rx_offload_capa |=
		    RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
	if (!fake_nic.has_no_stamps)
		info->rx_offload_capa |= RTE_ETH_RX_OFFLOAD_TIMESTAMP;
	return rc;
}

WRAPPED(int, rte_eth_dev_configure, uint16_t id, uint16_t rx, uint16_t tx,
    const struct rte_eth_conf *wanted)
{
	struct rte_eth_conf conf = *wanted;

	fake_nic.offloads = wanted->rxmode.offloads;
	fake_nic.rss = wanted->rx_adv_conf.rss_conf.rss_hf;
	fake_nic.queues = rx;
	fake_nic.mtu = wanted->rxmode.mtu;
	conf.rxmode.offloads = 0;
	conf.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE;
	conf.rx_adv_conf.rss_conf.rss_hf = 0;
	return __real_rte_eth_dev_configure(id, rx, tx, &conf);
}

WRAPPED(int, rte_eth_rx_queue_setup, uint16_t id, uint16_t queue, uint16_t n, unsigned node,
    const struct rte_eth_rxconf *conf, struct rte_mempool *pool)
{
	queues[queue].pool = pool;
	return __real_rte_eth_rx_queue_setup(id, queue, n, node, conf, pool);
}

WRAPPED(int, rte_eth_dev_set_mc_addr_list, uint16_t id, struct rte_ether_addr *list, uint32_t n)
{
	(void)id;
	if (fake_nic.has_no_list || n > RTE_DIM(groups))
		return -ENOTSUP;
	memcpy(groups, list, n * sizeof(*list));
	fake_nic.groups = (int)n;
	has_group_list = 1;
	return 0;
}

WRAPPED(int, rte_eth_read_clock, uint16_t id, uint64_t *ticks)
{
	(void)id;
	if (fake_nic.has_no_stamps)
		return -ENOTSUP;
	*ticks = fake_nic_ticks();
	return 0;
}

WRAPPED(int, rte_eth_stats_get, uint16_t id, struct rte_eth_stats *stats)
{
	int rc = __real_rte_eth_stats_get(id, stats);

	stats->imissed = fake_nic.missed;
	if (fake_nic.on_stats)
		fake_nic.on_stats();
	return rc;
}

/* The data path --------------------------------------------------------------------------------------- */

static uint16_t take_burst(void *queue, struct rte_mbuf **packets, uint16_t most)
{
	size_t index = (size_t)((void **)queue - queue_pointers);
	int n = queues[index].count < most ? queues[index].count : most;

	memcpy((void *)packets, (void *)queues[index].packets, (size_t)n * sizeof(*packets));
	queues[index].count -= n;
	memmove((void *)queues[index].packets, (void *)(queues[index].packets + n),
	    (size_t)queues[index].count * sizeof(*packets));
	return (uint16_t)n;
}

static uint16_t send_burst(void *queue, struct rte_mbuf **packets, uint16_t n)
{
	int index = (int)((void **)queue - queue_pointers);

	for (uint16_t i = 0; fake_nic.on_send && i < n; i++)
		fake_nic.on_send(
		    index, rte_pktmbuf_mtod(packets[i], const uint8_t *), packets[i]->data_len);
	rte_pktmbuf_free_bulk(packets, n);
	fake_nic.sent += n;
	return n;
}

WRAPPED(int, rte_eth_dev_start, uint16_t id)
{
	int rc = __real_rte_eth_dev_start(id);

	if (rc)
		return rc;
	for (int i = 0; i < FAKE_NIC_QUEUES; i++)
		queue_pointers[i] = &queue_pointers[i];
	rte_eth_fp_ops[id].rx_pkt_burst = take_burst;
	rte_eth_fp_ops[id].rxq.data = queue_pointers;
	rte_eth_fp_ops[id].tx_pkt_burst = send_burst;
	rte_eth_fp_ops[id].txq.data = queue_pointers;
	return 0;
}

WRAPPED(int, rte_eth_dev_stop, uint16_t id)
{
	for (int i = 0; i < FAKE_NIC_QUEUES; i++) {
		rte_pktmbuf_free_bulk(queues[i].packets, (unsigned)queues[i].count);
		queues[i].count = 0;
	}
	return __real_rte_eth_dev_stop(id);
}

WRAPPED(int, rte_eth_dev_close, uint16_t id)
{
	fake_nic.is_isolated = 0;
	has_group_list = 0;
	return __real_rte_eth_dev_close(id);
}

static int is_let_in(const uint8_t *mac)
{
	if (!(mac[0] & 1) || !has_group_list)
		return 1;
	for (int i = 0; i < fake_nic.groups; i++)
		if (!memcmp(groups[i].addr_bytes, mac, 6))
			return 1;
	return 0;
}

/* By rules, else by a hash of addresses and ports; -1 = it is kept away. */
static int queue_of(const struct parts *p)
{
	unsigned hash = 0;

	for (int i = 0; i < FAKE_NIC_RULES; i++)
		if (rules[i].is_used && matches(&rules[i], p))
			return rules[i].queue;
	if (fake_nic.is_isolated)
		return -1;
	if (fake_nic.queues > 1 && fake_nic.rss && p->udp && p->is_v4)
		hash = sum(p->ip + 12, 8, sum(p->udp, 4, 0));
	return (int)(hash % (unsigned)fake_nic.queues);
}

static void strip_tag(struct rte_mbuf *mbuf, const struct parts *p)
{
	uint8_t *bytes = rte_pktmbuf_mtod(mbuf, uint8_t *);

	if (!fake_nic.strips_tags || !p->tag_count)
		return;
	mbuf->vlan_tci = p->tags[0];
	mbuf->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	memmove(bytes + 4, bytes, 12);
	rte_pktmbuf_adj(mbuf, 4);
}

int fake_nic_receive(const uint8_t *bytes, uint32_t length)
{
	const struct parts p = take_apart(bytes);
	int queue = is_let_in(bytes) ? queue_of(&p) : -1;
	int every = fake_nic.stamps_every ? fake_nic.stamps_every : 1;
	struct rte_mempool *pool;
	struct rte_mbuf *mbuf;

	if (queue < 0) {
		fake_nic.kept_away++;
		return -1;
	}
	pool = fake_nic.pool ? fake_nic.pool : queues[queue].pool;
	mbuf = queues[queue].count < DEPTH ? rte_pktmbuf_alloc(pool) : NULL;
	if (!mbuf)
		return -1;
	memcpy(rte_pktmbuf_append(mbuf, (uint16_t)length), bytes, length);
	mbuf->ol_flags |= judge(&p);
	if (fake_nic.offloads & RTE_ETH_RX_OFFLOAD_TIMESTAMP && arrived++ % (unsigned)every == 0) {
		int field = rte_mbuf_dynfield_lookup(RTE_MBUF_DYNFIELD_TIMESTAMP_NAME, NULL);
		int flag = rte_mbuf_dynflag_lookup(RTE_MBUF_DYNFLAG_RX_TIMESTAMP_NAME, NULL);

		*RTE_MBUF_DYNFIELD(mbuf, (size_t)field, rte_mbuf_timestamp_t *) = fake_nic_ticks();
		mbuf->ol_flags |= UINT64_C(1) << flag;
	}
	strip_tag(mbuf, &p);
	queues[queue].packets[queues[queue].count++] = mbuf;
	fake_nic.received[queue]++;
	return queue;
}
