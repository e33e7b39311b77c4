/* membership.c - see membership.h. A socket of its own for each group, because the kernel bounds the
 * groups of one socket (net.ipv4.igmp_max_memberships, 20). */
#include "net/membership.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "mdfh/error.h"

int mdfh_membership_join(
    int fd, unsigned interface, const struct mdfh_address *group, const struct mdfh_address *source)
{
	int level = group->any.sa_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
	struct group_source_req with_source = {.gsr_interface = interface};
	struct group_req any_source = {.gr_interface = interface};

	memcpy(&any_source.gr_group, &group->storage, sizeof(any_source.gr_group));
	memcpy(&with_source.gsr_group, &group->storage, sizeof(with_source.gsr_group));
	if (source)
		memcpy(&with_source.gsr_source, &source->storage, sizeof(with_source.gsr_source));
	if (source
		? setsockopt(fd, level, MCAST_JOIN_SOURCE_GROUP, &with_source, sizeof(with_source))
		: setsockopt(fd, level, MCAST_JOIN_GROUP, &any_source, sizeof(any_source)))
		return -errno;
	return 0;
}

/* Where a flow's group is joined: of a VLAN, on the kernel's device for it where there is one, so that
 * reports carry its tag and reach the routers of that VLAN. */
static unsigned interface_of(const struct mdfh_flow *flow, const char *interface)
{
	char device[IFNAMSIZ];

	if (!interface)
		return 0;
	return if_nametoindex(
	    flow->vlan && mdfh_vlan_device(interface, flow->vlan, device, sizeof(device))
		? device
		: interface);
}

int mdfh_membership_open(
    struct mdfh_membership *membership, const char *name, const struct mdfh_bypass_config *config)
{
	membership->count = 0;
	for (uint32_t i = 0; i < config->flow_count; i++) {
		const struct mdfh_flow *flow = &config->flows[i];
		struct mdfh_address group, source;
		int rc = 0;
		int fd;

		if (!flow->group || !mdfh_address_parse(flow->group, flow->port, &group) ||
		    !mdfh_address_is_multicast(&group))
			continue;
		fd = socket(group.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (fd < 0)
			rc = -errno;
		else
			membership->fd[membership->count++] = fd;
		if (!rc && flow->source && !mdfh_address_parse(flow->source, 0, &source))
			rc = -EINVAL;
		if (!rc)
			rc = mdfh_membership_join(fd, interface_of(flow, config->interface), &group,
			    flow->source ? &source : NULL);
		if (rc) {
			mdfh_membership_close(membership);
			return mdfh_error_errno(rc, "%s: join %s%s%s on %s", name, flow->group,
			    flow->source ? " from " : "", flow->source ? flow->source : "",
			    config->interface ? config->interface : "(no interface is set)");
		}
	}
	return 0;
}

void mdfh_membership_close(struct mdfh_membership *membership)
{
	for (int i = 0; i < membership->count; i++)
		close(membership->fd[i]);
	membership->count = 0;
}
