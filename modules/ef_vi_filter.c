/* ef_vi_filter.c - filters of the NIC that steer the packets of the configured flows to the port's queue.
 *
 * A filter names an address and a port, and of the sender either address and port or nothing. What the
 * NIC cannot tell apart it lets through, and the flow table, which every frame goes through anyway, keeps
 * it away. That goes for VLANs, too, unless the user wants it otherwise: a NIC looks at the outer one of
 * two tags, while a flow means either. */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>

#include "mdfh/error.h"
#include "mdfh/frame.h"
#include "modules/ef_vi.h"

/* What a filter matches; no two of a port's are the same. */
struct match {
	uint8_t host[16], source[16];
	uint16_t port, source_port; /* source_port 0 = any source */
	uint16_t vlan;
};

struct adding {
	struct efvi_port *p;
	enum ef_filter_flags flags;
	struct match matches[EFVI_FILTERS_MAX];
	uint32_t count;
};

/* How closely a filter looks, from the best that a NIC may have to the least. */
enum closeness { WITH_VLAN, WITHOUT_VLAN, BY_MAC };

static uint32_t ipv4_of(const uint8_t address[16])
{
	uint32_t ipv4;

	memcpy(&ipv4, address + 12, sizeof(ipv4));
	return ipv4;
}

static int set_addresses(
    const struct efvi_api *api, const struct match *match, ef_filter_spec *spec)
{
	uint16_t port = htons(match->port), source_port = htons(match->source_port);
	struct in6_addr host, source;

	if (mdfh_frame_is_ipv4(match->host))
		return source_port
			   ? api->filter_ip4_full(spec, IPPROTO_UDP, ipv4_of(match->host), port,
				 ipv4_of(match->source), source_port)
			   : api->filter_ip4_local(spec, IPPROTO_UDP, ipv4_of(match->host), port);
	memcpy(&host, match->host, sizeof(host));
	memcpy(&source, match->source, sizeof(source));
	return source_port
		   ? api->filter_ip6_full(spec, IPPROTO_UDP, &host, port, &source, source_port)
		   : api->filter_ip6_local(spec, IPPROTO_UDP, &host, port);
}

/* The group's MAC address (RFC 1112, RFC 2464). */
static void group_mac(const uint8_t group[16], uint8_t mac[6])
{
	static const uint8_t ipv4[] = {0x01, 0x00, 0x5e};

	if (mdfh_frame_is_ipv4(group)) {
		memcpy(mac, ipv4, 3);
		mac[3] = group[13] & 0x7f;
		memcpy(mac + 4, group + 14, 2);
	} else {
		mac[0] = mac[1] = 0x33;
		memcpy(mac + 2, group + 12, 4);
	}
}

static int add_spec(struct efvi_port *p, const ef_filter_spec *spec)
{
	int rc = p->api.filter_add(&p->vi, p->driver, spec, &p->filters[p->filter_count]);

	if (rc >= 0)
		p->filter_count++;
	return rc < 0 ? rc : 0;
}

static int add_as(struct adding *a, const struct match *match, enum closeness closeness)
{
	struct efvi_port *p = a->p;
	ef_filter_spec spec;
	uint8_t mac[6];
	int rc = 0;

	p->api.filter_init(&spec, a->flags);
	if (closeness == BY_MAC) {
		group_mac(match->host, mac);
		rc = p->api.filter_mac(
		    &spec, match->vlan ? match->vlan : EF_FILTER_VLAN_ID_ANY, mac);
	} else {
		rc = set_addresses(&p->api, match, &spec);
		if (!rc && closeness == WITH_VLAN && match->vlan)
			rc = p->api.filter_vlan(&spec, match->vlan);
	}
	return rc ? rc : add_spec(p, &spec);
}

static int is_unknown(int rc)
{
	return rc == -EPROTONOSUPPORT || rc == -EOPNOTSUPP || rc == -EINVAL || rc == -ENOSYS;
}

static int refused(const struct efvi_port *p, const struct match *match, int rc)
{
	char text[MDFH_ENDPOINT_TEXT_MAX];

	mdfh_error_errno(rc, "ef_vi: a filter for %s on %s",
	    mdfh_endpoint_text(match->host, match->port, text), p->device);
	switch (rc) {
	case -EEXIST:
	case -EBUSY:
		return mdfh_error(rc,
		    "%s; another program, or another port of this one, receives it, and the NIC "
		    "gives it to one queue only",
		    mdfh_error_text());
	case -ENOSPC:
	case -ENOBUFS:
		return mdfh_error(rc, "%s; the NIC's table of filters is full", mdfh_error_text());
	case -EPERM:
	case -EACCES:
		return mdfh_error(
		    rc, "%s; the driver does not let this user have it", mdfh_error_text());
	default:
		return is_unknown(rc) ? mdfh_error(-ENOTSUP,
					    "%s; the NIC, or its firmware, has no such filter",
					    mdfh_error_text())
				      : rc;
	}
}

/* The closest filter that the NIC has. One by MAC address is for groups only: that of a host is the
 * kernel's, too. Nothing but a full filter looks at the source's port. */
static int add(struct adding *a, const struct match *match)
{
	int rc, first;

	for (uint32_t i = 0; i < a->count; i++)
		if (!memcmp(&a->matches[i], match, sizeof(*match)))
			return 0;
	if (a->count == EFVI_FILTERS_MAX || a->p->filter_count == EFVI_FILTERS_MAX)
		return mdfh_error(
		    -ENOSPC, "ef_vi: the flows need more than %d filters", EFVI_FILTERS_MAX);
	rc = first = add_as(a, match, WITH_VLAN);
	if (is_unknown(rc) && match->vlan) {
		rc = add_as(a, match, WITHOUT_VLAN);
		a->p->coarse_filters += !rc;
	}
	if (is_unknown(rc) && !match->source_port && mdfh_frame_is_multicast(match->host)) {
		rc = add_as(a, match, BY_MAC);
		/* Groups share MAC addresses, and flows share groups. */
		if (rc == -EEXIST && a->p->coarse_filters)
			rc = 0;
		a->p->coarse_filters += !rc;
	}
	if (rc)
		return refused(a->p, match, is_unknown(rc) ? first : rc);
	a->matches[a->count++] = *match;
	return 0;
}

/* One for each address that the interface has. */
static int add_own_addresses(struct adding *a, struct match match)
{
	struct ifaddrs *all, *at;
	uint32_t found = 0;
	int rc = 0;

	if (getifaddrs(&all))
		return mdfh_error_errno(-errno, "ef_vi: the addresses of %s", a->p->device);
	for (at = all; at && !rc; at = at->ifa_next) {
		char text[INET6_ADDRSTRLEN];
		const void *address;

		if (!at->ifa_addr || strcmp(at->ifa_name, a->p->device) != 0)
			continue;
		if (at->ifa_addr->sa_family == AF_INET)
			address =
			    &((const struct sockaddr_in *)(const void *)at->ifa_addr)->sin_addr;
		else if (at->ifa_addr->sa_family == AF_INET6)
			address =
			    &((const struct sockaddr_in6 *)(const void *)at->ifa_addr)->sin6_addr;
		else
			continue;
		inet_ntop(at->ifa_addr->sa_family, address, text, sizeof(text));
		rc = mdfh_frame_address(text, match.host);
		if (!rc)
			rc = add(a, &match);
		found++;
	}
	freeifaddrs(all);
	if (!rc && !found)
		return mdfh_error(-EADDRNOTAVAIL,
		    "ef_vi: a flow has no group and %s no address; give one of them", a->p->device);
	return rc;
}

static int add_flow(
    struct adding *a, const struct mdfh_flow *flow, const struct efvi_options *options)
{
	struct match match;
	int rc;

	memset(&match, 0, sizeof(match)); /* they are compared, padding included */
	match.port = flow->port;
	match.vlan = options->vlan_filters ? flow->vlan : 0;
	if (!flow->group)
		return add_own_addresses(a, match);
	rc = mdfh_frame_address(flow->group, match.host);
	if (!rc && flow->source && options->source_port) {
		match.source_port = (uint16_t)options->source_port;
		rc = mdfh_frame_address(flow->source, match.source);
	}
	return rc ? rc : add(a, &match);
}

static int block_kernel(struct efvi_port *p, enum efvi_block block)
{
	ef_filter_spec spec;
	int rc;

	p->api.filter_init(&spec, EF_FILTER_FLAG_NONE);
	rc = block == EFVI_BLOCK_ALL       ? p->api.filter_block(&spec)
	     : block == EFVI_BLOCK_UNICAST ? p->api.filter_block_unicast(&spec)
					   : p->api.filter_block_multicast(&spec);
	if (!rc)
		rc = add_spec(p, &spec);
	if (!rc)
		return 0;
	mdfh_error_errno(rc, "ef_vi: keeping packets of %s from the kernel", p->device);
	return mdfh_error(
	    rc, "%s; it needs CAP_NET_ADMIN: leave block_kernel out", mdfh_error_text());
}

int mdfh_efvi_filters_add(struct efvi_port *p, const struct mdfh_bypass_config *config,
    const struct efvi_options *options)
{
	struct adding a = {.p = p,
	    .flags = options->exclusive_queue ? EF_FILTER_FLAG_EXCLUSIVE_RXQ : EF_FILTER_FLAG_NONE};
	int rc = 0;

	for (uint32_t i = 0; i < config->flow_count && !rc; i++)
		rc = add_flow(&a, &config->flows[i], options);
	if (!rc && options->block_kernel != EFVI_BLOCK_NONE)
		rc = block_kernel(p, options->block_kernel);
	return rc;
}

void mdfh_efvi_filters_delete(struct efvi_port *p)
{
	while (p->filter_count)
		(void)p->api.filter_delete(&p->vi, p->driver, &p->filters[--p->filter_count]);
}
