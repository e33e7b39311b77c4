/* verbs_rules.c - flow steering of a raw port: rules in the NIC that bring the flows' frames to the queue
 * pair, past the kernel.
 *
 * A rule for each flow names its group, source and port. Where the NIC refuses such rules there is one for
 * the group's hardware address, and the rest is told apart in software. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "mdfh/error.h"
#include "modules/verbs.h"

/* As the interface wants it: the attributes, and behind them the specifications. */
struct rule {
	struct ibv_flow_attr attributes;
	struct ibv_flow_spec_eth eth;
	union {
		struct {
			struct ibv_flow_spec_ipv4 ip;
			struct ibv_flow_spec_tcp_udp udp;
		} ipv4;
		struct {
			struct ibv_flow_spec_ipv6 ip;
			struct ibv_flow_spec_tcp_udp udp;
		} ipv6;
	};
} __attribute__((packed, aligned(4)));

/* The hardware address that frames to a group have (RFC 1112, RFC 2464), or the interface's own. */
static void set_mac(
    const struct verbs_port *v, const uint8_t destination[16], struct ibv_flow_eth_filter *to)
{
	const uint8_t ipv4[6] = {
	    0x01, 0x00, 0x5e, destination[13] & 0x7f, destination[14], destination[15]};
	const uint8_t ipv6[6] = {
	    0x33, 0x33, destination[12], destination[13], destination[14], destination[15]};

	if (!mdfh_frame_is_multicast(destination))
		memcpy(to->dst_mac, v->mac, 6);
	else
		memcpy(to->dst_mac, mdfh_frame_is_ipv4(destination) ? ipv4 : ipv6, 6);
}

static struct ibv_flow_spec_tcp_udp udp_of(uint16_t port)
{
	return (struct ibv_flow_spec_tcp_udp){
	    .type = IBV_FLOW_SPEC_UDP,
	    .size = sizeof(struct ibv_flow_spec_tcp_udp),
	    .val = {.dst_port = htons(port)},
	    .mask = {.dst_port = port ? 0xffff : 0},
	};
}

static void add_addresses(struct rule *rule, const struct mdfh_flow *flow,
    const uint8_t destination[16], const uint8_t source[16])
{
	rule->attributes.num_of_specs = 3;
	if (mdfh_frame_is_ipv4(destination)) {
		rule->ipv4.ip = (struct ibv_flow_spec_ipv4){
		    .type = IBV_FLOW_SPEC_IPV4,
		    .size = sizeof(rule->ipv4.ip),
		    .mask = {.dst_ip = UINT32_MAX, .src_ip = flow->source ? UINT32_MAX : 0},
		};
		memcpy(&rule->ipv4.ip.val.dst_ip, destination + 12, 4);
		if (flow->source)
			memcpy(&rule->ipv4.ip.val.src_ip, source + 12, 4);
		rule->ipv4.udp = udp_of(flow->port);
		rule->attributes.size =
		    (uint16_t)(offsetof(struct rule, ipv4) + sizeof(rule->ipv4));
		return;
	}
	rule->ipv6.ip = (struct ibv_flow_spec_ipv6){
	    .type = IBV_FLOW_SPEC_IPV6,
	    .size = sizeof(rule->ipv6.ip),
	};
	memcpy(rule->ipv6.ip.val.dst_ip, destination, 16);
	memset(rule->ipv6.ip.mask.dst_ip, 0xff, 16);
	if (flow->source) {
		memcpy(rule->ipv6.ip.val.src_ip, source, 16);
		memset(rule->ipv6.ip.mask.src_ip, 0xff, 16);
	}
	rule->ipv6.udp = udp_of(flow->port);
	rule->attributes.size = (uint16_t)(offsetof(struct rule, ipv6) + sizeof(rule->ipv6));
}

/* What a rule names: the hardware address alone; all of the flow but its VLAN, which a NIC sees in the
 * outer tag only, where a flow may mean either; or all. */
enum extent { BY_HARDWARE_ADDRESS, BY_ADDRESS_AND_PORT, BY_ALL };

static int make(struct verbs_port *v, const struct mdfh_flow *flow, enum extent extent)
{
	uint16_t vlan = extent == BY_ALL ? flow->vlan : 0;
	uint8_t destination[16], source[16] = {0};
	struct ibv_flow *made;
	struct rule rule = {
	    .attributes = {.type = IBV_FLOW_ATTR_NORMAL,
		.num_of_specs = 1,
		.port = v->link_number,
		.size = offsetof(struct rule, ipv4)},
	    .eth = {.type = IBV_FLOW_SPEC_ETH,
		.size = sizeof(rule.eth),
		.val = {.vlan_tag = htons(vlan)},
		.mask = {.vlan_tag = htons(vlan ? 0x0fff : 0)}},
	};
	int rc = mdfh_frame_address(flow->group, destination);

	if (!rc && flow->source)
		rc = mdfh_frame_address(flow->source, source);
	if (rc)
		return rc;
	set_mac(v, destination, &rule.eth.val);
	memset(rule.eth.mask.dst_mac, 0xff, 6);
	if (extent != BY_HARDWARE_ADDRESS)
		add_addresses(&rule, flow, destination, source);
	errno = 0;
	made = ibv_create_flow(v->qp, &rule.attributes);
	if (made) {
		v->rules[v->rules_count++] = made;
		return 0;
	}
	rc = errno ? -errno : -EIO;
	mdfh_error_errno(rc, "verbs: a rule for %s in the NIC of %s", flow->group, v->device);
	return rc == -EPERM ? mdfh_error(rc, "%s; it needs CAP_NET_RAW", mdfh_error_text()) : rc;
}

void verbs_rules_remove(struct verbs_port *v)
{
	while (v->rules_count)
		(void)ibv_destroy_flow(v->rules[--v->rules_count]);
}

static int is_same(const struct verbs_port *v, const struct mdfh_flow *flow,
    const struct mdfh_flow *other, enum extent extent)
{
	uint8_t destinations[2][16], sources[2][16] = {{0}};
	struct ibv_flow_eth_filter own, others;

	if (mdfh_frame_address(flow->group, destinations[0]) ||
	    mdfh_frame_address(other->group, destinations[1]) ||
	    (flow->source && mdfh_frame_address(flow->source, sources[0])) ||
	    (other->source && mdfh_frame_address(other->source, sources[1])))
		return 0;
	if (extent == BY_HARDWARE_ADDRESS) {
		set_mac(v, destinations[0], &own);
		set_mac(v, destinations[1], &others);
		return !memcmp(own.dst_mac, others.dst_mac, 6);
	}
	return !memcmp(destinations[0], destinations[1], 16) &&
	       !memcmp(sources[0], sources[1], 16) && flow->port == other->port &&
	       (extent != BY_ALL || flow->vlan == other->vlan);
}

/* An earlier flow has the same rule: two equal ones would bring every frame twice. */
static int is_made(const struct verbs_port *v, const struct mdfh_bypass_config *config,
    uint32_t flow, enum extent extent)
{
	for (uint32_t i = 0; i < flow; i++)
		if (is_same(v, &config->flows[flow], &config->flows[i], extent))
			return 1;
	return 0;
}

static int make_all(
    struct verbs_port *v, const struct mdfh_bypass_config *config, enum extent extent)
{
	int rc = 0;

	for (uint32_t i = 0; i < config->flow_count && !rc; i++)
		if (!is_made(v, config, i, extent))
			rc = make(v, &config->flows[i], extent);
	if (rc)
		verbs_rules_remove(v);
	return rc;
}

int verbs_rules_make(struct verbs_port *v, const struct mdfh_bypass_config *config,
    const struct verbs_options *options)
{
	int rc = -ENOTSUP;

	for (uint32_t i = 0; i < config->flow_count; i++) {
		struct mdfh_address address;

		if (!config->flows[i].group)
			return mdfh_error(-ENOTSUP,
			    "verbs: flows[%u] has no group; a rule in the NIC needs an address: "
			    "name "
			    "the interface's own",
			    i);
		/* By its hardware address alone everything for this host would be taken. */
		if (options->filters == VERBS_FILTERS_SOFTWARE &&
		    mdfh_address_parse(config->flows[i].group, 0, &address) &&
		    !mdfh_address_is_multicast(&address))
			return mdfh_error(-ENOTSUP,
			    "verbs: flows[%u] is %s, and filters are to be software's; the kernel "
			    "would receive nothing any more: use filters=hardware",
			    i, config->flows[i].group);
	}
	if (options->filters != VERBS_FILTERS_SOFTWARE) {
		rc = make_all(v, config,
		    options->filters == VERBS_FILTERS_HARDWARE ? BY_ALL : BY_ADDRESS_AND_PORT);
		v->is_steered = !rc;
		if (!rc || options->filters == VERBS_FILTERS_HARDWARE || rc == -EPERM)
			return rc;
	}
	for (uint32_t i = 0; i < config->flow_count; i++) {
		struct mdfh_address address;

		if (mdfh_address_parse(config->flows[i].group, 0, &address) &&
		    !mdfh_address_is_multicast(&address))
			return rc;
	}
	return make_all(v, config, BY_HARDWARE_ADDRESS);
}
