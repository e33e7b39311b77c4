/* dpdk_rules.c - the flows of a port as rules in its device (rte_flow): a packet of a flow goes
 * to the port's queue, and, where the device is isolated, no other packet comes at all. */
#include "modules/dpdk.h"

#include <errno.h>
#include <rte_byteorder.h>
#include <rte_flow.h>
#include <stdio.h>
#include <string.h>

#include "mdfh/error.h"

/* A pattern and what it points to. */
struct pattern {
	struct rte_flow_item items[6];
	struct rte_flow_item_vlan vlan, vlan_mask;
	struct rte_flow_item_ipv4 v4, v4_mask;
	struct rte_flow_item_ipv6 v6, v6_mask;
	struct rte_flow_item_udp udp, udp_mask;
	int count;
};

static void add(struct pattern *p, enum rte_flow_item_type type, const void *spec, const void *mask)
{
	p->items[p->count++] = (struct rte_flow_item){.type = type, .spec = spec, .mask = mask};
}

static void add_v4(struct pattern *p, const uint8_t *destination, const uint8_t *source)
{
	if (destination) {
		memcpy(&p->v4.hdr.dst_addr, destination + 12, 4);
		p->v4_mask.hdr.dst_addr = UINT32_MAX;
	}
	if (source) {
		memcpy(&p->v4.hdr.src_addr, source + 12, 4);
		p->v4_mask.hdr.src_addr = UINT32_MAX;
	}
	add(p, RTE_FLOW_ITEM_TYPE_IPV4, &p->v4, &p->v4_mask);
}

static void add_v6(struct pattern *p, const uint8_t *destination, const uint8_t *source)
{
	memcpy(p->v6.hdr.dst_addr, destination, 16);
	memset(p->v6_mask.hdr.dst_addr, 0xff, 16);
	if (source) {
		memcpy(p->v6.hdr.src_addr, source, 16);
		memset(p->v6_mask.hdr.src_addr, 0xff, 16);
	}
	add(p, RTE_FLOW_ITEM_TYPE_IPV6, &p->v6, &p->v6_mask);
}

/* is_inner: the flow's VLAN is that of a second tag. */
static int make_pattern(const struct mdfh_flow *flow, int is_inner, struct pattern *p)
{
	uint8_t group[16], source[16];
	const uint8_t *from = flow->source ? source : NULL;
	int rc = flow->group ? mdfh_frame_address(flow->group, group) : 0;

	if (!rc && flow->source)
		rc = mdfh_frame_address(flow->source, source);
	if (rc)
		return rc;
	memset(p, 0, sizeof(*p));
	add(p, RTE_FLOW_ITEM_TYPE_ETH, NULL, NULL);
	if (is_inner)
		add(p, RTE_FLOW_ITEM_TYPE_VLAN, NULL, NULL);
	if (flow->vlan) {
		p->vlan.tci = rte_cpu_to_be_16(flow->vlan);
		p->vlan_mask.tci = rte_cpu_to_be_16(0x0fff);
		add(p, RTE_FLOW_ITEM_TYPE_VLAN, &p->vlan, &p->vlan_mask);
	}
	if (!flow->group || mdfh_frame_is_ipv4(group))
		add_v4(p, flow->group ? group : NULL, from);
	else
		add_v6(p, group, from);
	p->udp.hdr.dst_port = rte_cpu_to_be_16(flow->port);
	p->udp_mask.hdr.dst_port = flow->port ? UINT16_MAX : 0;
	add(p, RTE_FLOW_ITEM_TYPE_UDP, &p->udp, &p->udp_mask);
	add(p, RTE_FLOW_ITEM_TYPE_END, NULL, NULL);
	return 0;
}

/* Routers' questions have to come through, too: IGMP is a protocol of IP like UDP. */
static void make_igmp_pattern(struct pattern *p)
{
	memset(p, 0, sizeof(*p));
	add(p, RTE_FLOW_ITEM_TYPE_ETH, NULL, NULL);
	p->v4.hdr.next_proto_id = IPPROTO_IGMP;
	p->v4_mask.hdr.next_proto_id = UINT8_MAX;
	add(p, RTE_FLOW_ITEM_TYPE_IPV4, &p->v4, &p->v4_mask);
	add(p, RTE_FLOW_ITEM_TYPE_END, NULL, NULL);
}

/* MLD stands behind a header of hop-by-hop options (RFC 3810, 5). */
static void make_mld_pattern(struct pattern *p)
{
	memset(p, 0, sizeof(*p));
	add(p, RTE_FLOW_ITEM_TYPE_ETH, NULL, NULL);
	p->v6.hdr.proto = IPPROTO_HOPOPTS;
	p->v6_mask.hdr.proto = UINT8_MAX;
	add(p, RTE_FLOW_ITEM_TYPE_IPV6, &p->v6, &p->v6_mask);
	add(p, RTE_FLOW_ITEM_TYPE_END, NULL, NULL);
}

static int make_rule(const struct dpdk_device *device, uint16_t queue,
    const struct pattern *pattern, struct rte_flow **rule)
{
	const struct rte_flow_attr attributes = {.ingress = 1};
	const struct rte_flow_action_queue to = {.index = queue};
	const struct rte_flow_action actions[] = {
	    {.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &to},
	    {.type = RTE_FLOW_ACTION_TYPE_END},
	};
	struct rte_flow_error why = {0};

	*rule = rte_flow_create(device->id, &attributes, pattern->items, actions, &why);
	if (!*rule)
		return mdfh_error(-ENOTSUP, "dpdk: %s refuses a rule (%s)", device->text,
		    why.message ? why.message : "rte_flow_create");
	return 0;
}

static int make_flow_rule(struct dpdk_port *port, const struct pattern *pattern)
{
	int rc = make_rule(port->device, port->queue, pattern, &port->rules[port->rules_count]);

	port->rules_count += !rc;
	return rc;
}

/* Questions come to a port that has flows of the family, which passes them on to the others. */
static int let_questions_in(struct dpdk_device *device, int is_ipv6)
{
	struct dpdk_questions *questions = &device->questions[is_ipv6];
	struct pattern pattern;

	if (questions->rule || !questions->wanted)
		return 0;
	if (is_ipv6)
		make_mld_pattern(&pattern);
	else
		make_igmp_pattern(&pattern);
	questions->queue = (uint16_t)__builtin_ctzll(questions->wanted);
	return make_rule(device, questions->queue, &pattern, &questions->rule);
}

static void want_no_questions(struct dpdk_port *port, int is_ipv6)
{
	struct dpdk_questions *questions = &port->device->questions[is_ipv6];

	questions->wanted &= ~(UINT64_C(1) << port->queue);
	if (!questions->rule || questions->queue != port->queue)
		return;
	(void)rte_flow_destroy(port->device_id, questions->rule, NULL);
	questions->rule = NULL;
	(void)let_questions_in(port->device, is_ipv6);
}

/* A flow's VLAN may be either tag's. A device that looks at the first tag only does less than
 * what the flow says: taken where nothing but the device is to do it, and said. */
static int make_inner_rule(struct dpdk_port *port, const struct mdfh_flow *flow)
{
	struct pattern pattern;
	int rc = make_pattern(flow, 1, &pattern);

	if (!rc)
		rc = make_flow_rule(port, &pattern);
	if (rc != -ENOTSUP || port->device->shape.filters != DPDK_FILTERS_HARDWARE)
		return rc;
	snprintf(port->setup_warning, sizeof(port->setup_warning),
	    "%s takes no rule for a second tag: VLAN %u is not received inside another VLAN; use "
	    "filters=software if it has to be",
	    port->device->info.driver_name, (unsigned)flow->vlan);
	return 0;
}

static int is_ipv6(const struct mdfh_flow *flow)
{
	uint8_t group[16];

	return !mdfh_frame_address(flow->group, group) && !mdfh_frame_is_ipv4(group);
}

int dpdk_rules_make(struct dpdk_port *port, const struct mdfh_bypass_config *config)
{
	struct pattern pattern;
	struct dpdk_device *device = port->device;
	int rc = 0;

	if (!config->flow_count && device->is_isolated)
		return mdfh_error(-ENOTSUP,
		    "dpdk: there are no flows, and %s keeps away what no flow of its other ports "
		    "wants; name flows, or use filters=software for every port",
		    device->text);
	for (uint32_t i = 0; !rc && i < config->flow_count; i++) {
		/* Any unicast address, of either family, at any port: no pattern says that. */
		if (!config->flows[i].group)
			rc = mdfh_error(-ENOTSUP,
			    "dpdk: flows[%u] has no group: no rule of a device says \"any unicast "
			    "address\"",
			    i);
		if (!rc)
			rc = make_pattern(&config->flows[i], 0, &pattern);
		if (!rc)
			rc = make_flow_rule(port, &pattern);
		if (!rc && config->flows[i].vlan)
			rc = make_inner_rule(port, &config->flows[i]);
		if (!rc && device->is_isolated)
			device->questions[is_ipv6(&config->flows[i])].wanted |= UINT64_C(1)
										<< port->queue;
	}
	for (int family = 0; !rc && family < 2; family++)
		rc = let_questions_in(device, family);
	if (rc)
		dpdk_rules_remove(port);
	return rc;
}

void dpdk_rules_remove(struct dpdk_port *port)
{
	for (uint32_t i = 0; i < port->rules_count; i++)
		(void)rte_flow_destroy(port->device_id, port->rules[i], NULL);
	port->rules_count = 0;
	for (int family = 0; family < 2; family++)
		want_no_questions(port, family);
}
