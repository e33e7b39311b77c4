/* verbs_group.c - multicast groups of a datagram port, joined through the RDMA connection manager: of
 * InfiniBand it asks the subnet's manager for them, of RoCE it has the kernel speak IGMP.
 *
 * An identifier of the connection manager belongs to an address, so there is one for IPv4 groups and one
 * for those of IPv6, over one queue pair. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "modules/verbs.h"

/* Identifiers --------------------------------------------------------------------------------- */

/* The next event within the time: 0, or -ETIMEDOUT, or what is wrong. To be acknowledged. */
static int next_event(const struct verbs_port *v, int timeout_ms, struct rdma_cm_event **event)
{
	struct pollfd channel = {.fd = v->events->fd, .events = POLLIN};
	int rc;

	do
		rc = poll(&channel, 1, timeout_ms);
	while (rc < 0 && errno == EINTR);
	if (rc <= 0)
		return rc ? -errno : -ETIMEDOUT;
	return rdma_get_cm_event(v->events, event) ? -errno : 0;
}

static int bind_id(
    struct verbs_port *v, const struct verbs_options *options, int family, struct rdma_cm_id **id)
{
	struct mdfh_address own;
	char text[INET6_ADDRSTRLEN];
	int rc = verbs_interface_address(v, options, family, &own);

	if (rc || *id)
		return rc;
	if (rdma_create_id(v->events, id, NULL, RDMA_PS_UDP))
		return mdfh_error_errno(-errno, "verbs: an identifier of the connection manager");
	mdfh_address_text(&own, text, sizeof(text));
	if (rdma_bind_addr(*id, &own.any)) {
		rc = mdfh_error_errno(-errno, "verbs: %s of interface %s", text, v->device);
		return rc == -ENODEV ? mdfh_error(rc,
					   "%s; no RDMA device has this address, `rdma link` names "
					   "the interfaces that have one",
					   mdfh_error_text())
				     : rc;
	}
	if (!(*id)->verbs)
		return mdfh_error(-ENODEV,
		    "verbs: %s of interface %s is of no RDMA device; `rdma link` names the "
		    "interfaces that have one",
		    text, v->device);
	if (v->context && v->context != (*id)->verbs)
		return mdfh_error(
		    -EINVAL, "verbs: addresses of %s belong to different RDMA devices", v->device);
	v->context = (*id)->verbs;
	v->link_number = (*id)->port_num;
	return 0;
}

static struct verbs_group *find_group(struct verbs_port *v, const struct mdfh_address *address)
{
	for (uint32_t i = 0; i < v->group_count; i++)
		if (mdfh_address_same_host(&v->groups[i].address, address))
			return &v->groups[i];
	return NULL;
}

/* The flow's group, which other flows may share. */
static int add_group(struct verbs_port *v, const struct mdfh_bypass_config *config, uint32_t flow,
    const struct verbs_options *options)
{
	const char *text = config->flows[flow].group;
	struct mdfh_address address;
	struct verbs_group *group;
	int is_ipv4;

	if (!text || !mdfh_address_parse(text, 0, &address) || !mdfh_address_is_multicast(&address))
		return mdfh_error(-ENOTSUP,
		    "verbs: flows[%u] has %s; a datagram queue pair receives groups only: name "
		    "one, "
		    "or use mode=raw",
		    flow, text ? text : "no group");
	group = find_group(v, &address);
	if (!group) {
		group = &v->groups[v->group_count++];
		group->address = address;
		mdfh_address_text(&address, group->text, sizeof(group->text));
	}
	v->send_groups[flow] = group;
	is_ipv4 = address.any.sa_family == AF_INET;
	return bind_id(v, options, is_ipv4 ? AF_INET : AF_INET6, &v->ids[!is_ipv4]);
}

int verbs_group_bind(struct verbs_port *v, const struct mdfh_bypass_config *config,
    const struct verbs_options *options)
{
	int rc = 0;

	v->events = rdma_create_event_channel();
	if (!v->events) {
		rc = mdfh_error_errno(-errno, "verbs: the RDMA connection manager");
		return mdfh_error(rc,
		    "%s; it needs the module rdma_ucm, and the user /dev/infiniband/rdma_cm",
		    mdfh_error_text());
	}
	for (uint32_t i = 0; i < config->flow_count && !rc; i++)
		rc = add_group(v, config, i, options);
	for (uint32_t i = 0; i < v->group_count; i++)
		v->groups[i].id = v->ids[v->groups[i].address.any.sa_family != AF_INET];
	return rc;
}

/* Joining ------------------------------------------------------------------------------------- */

static void detach(struct verbs_port *v, struct verbs_group *group)
{
	if (group->is_attached)
		(void)ibv_detach_mcast(v->qp, &group->gid, group->lid);
	group->is_attached = 0;
}

/* The way to it, for sending, may be another one than it was. That one is kept until the next: the
 * device may still be at what was sent by it. */
static int renew_handle(struct verbs_port *v, struct verbs_group *group)
{
	struct ibv_ah *ah = ibv_create_ah(v->pd, &group->route);

	if (!ah)
		return mdfh_error_errno(-errno, "verbs: the way to group %s", group->text);
	if (group->left_ah)
		(void)ibv_destroy_ah(group->left_ah);
	group->left_ah = group->ah;
	group->ah = ah;
	return 0;
}

/* It is joined: its datagrams are to come to the queue pair. */
static int joined(
    struct verbs_port *v, struct verbs_group *group, const struct rdma_ud_param *result)
{
	const uint8_t hop_limit = group->route.grh.hop_limit;
	int rc;

	group->gid = result->ah_attr.grh.dgid;
	group->lid = result->ah_attr.dlid;
	group->route = result->ah_attr;
	if (group->ah) { /* joined again */
		group->route.grh.hop_limit = hop_limit;
		rc = renew_handle(v, group);
		if (rc)
			return rc;
	}
	group->remote_qpn = result->qp_num;
	group->qkey = result->qkey;
	group->is_joined = 1;
	if (!v->receives)
		return 0;
	rc = ibv_attach_mcast(v->qp, &group->gid, group->lid);
	if (rc)
		return mdfh_error_errno(
		    -rc, "verbs: attach group %s to the queue pair", group->text);
	group->is_attached = 1;
	return 0;
}

/* Over Ethernet the connection manager joins groups of IPv4 only. For one of IPv6 there is nobody to be
 * asked either: sockets join it (join_ipv6), and its address is the group's. */
static int join_without_manager(struct verbs_port *v, struct verbs_group *group)
{
	const struct sockaddr *own = rdma_get_local_addr(group->id);
	struct rdma_ud_param result = {
	    .ah_attr = {.is_global = 1, .port_num = v->link_number},
	    .qp_num = VERBS_MULTICAST_QPN,
	    .qkey = RDMA_UDP_QKEY,
	};
	int index = verbs_device_gid(
	    v, ((const struct sockaddr_in6 *)(const void *)own)->sin6_addr.s6_addr);

	if (index < 0)
		return mdfh_error(-ENOTSUP,
		    "verbs: group %s needs RoCE v2, and %s has it not with its address",
		    group->text, v->device);
	result.ah_attr.grh.sgid_index = (uint8_t)index;
	memcpy(result.ah_attr.grh.dgid.raw, &group->address.v6.sin6_addr, 16);
	return joined(v, group, &result);
}

static int ask(struct verbs_port *v, struct verbs_group *group)
{
	struct rdma_cm_join_mc_attr_ex attributes = {
	    .comp_mask = RDMA_CM_JOIN_MC_ATTR_ADDRESS | RDMA_CM_JOIN_MC_ATTR_JOIN_FLAGS,
	    .join_flags =
		v->receives ? RDMA_MC_JOIN_FLAG_FULLMEMBER : RDMA_MC_JOIN_FLAG_SENDONLY_FULLMEMBER,
	    .addr = &group->address.any,
	};

	if (v->link.link_layer == IBV_LINK_LAYER_ETHERNET &&
	    group->address.any.sa_family == AF_INET6)
		return join_without_manager(v, group);
	if (rdma_join_multicast_ex(group->id, &attributes, group))
		return mdfh_error_errno(-errno, "verbs: join group %s", group->text);
	group->is_asked = 1;
	return 0;
}

/* 0, or the error of the group that could not be joined. */
static int handle(struct verbs_port *v, const struct rdma_cm_event *event)
{
	/* The context is the group's. */
	struct verbs_group *group = (void *)(uintptr_t)event->param.ud.private_data;
	int rc;

	switch (event->event) {
	case RDMA_CM_EVENT_MULTICAST_JOIN:
		rc = joined(v, group, &event->param.ud);
		group->is_joined = !rc;
		group->is_lost = rc != 0;
		return rc;
	case RDMA_CM_EVENT_MULTICAST_ERROR:
		detach(v, group);
		group->is_joined = 0;
		group->is_lost = 1;
		return mdfh_error_errno(event->status < 0 ? event->status : -EIO,
		    "verbs: group %s on %s", group->text, v->device);
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
		v->is_dead = 1;
		return mdfh_error(-ENODEV, "verbs: the RDMA device of %s was removed", v->device);
	default:
		return 0;
	}
}

static uint32_t count_joined(const struct verbs_port *v)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < v->group_count; i++)
		n += (uint32_t)v->groups[i].is_joined;
	return n;
}

static int wait_for_all(struct verbs_port *v, uint64_t timeout_ms)
{
	uint64_t until_ns = mdfh_clock_now_ns() + timeout_ms * 1000000;
	int rc = 0;

	while (!rc && count_joined(v) < v->group_count) {
		struct rdma_cm_event *event = NULL;
		uint64_t now_ns = mdfh_clock_now_ns();
		uint64_t left_ms = until_ns > now_ns ? (until_ns - now_ns) / 1000000 : 0;

		rc = next_event(v, left_ms < INT32_MAX ? (int)left_ms : INT32_MAX, &event);
		if (rc || !event)
			return mdfh_error_errno(rc,
			    "verbs: %u of %u groups were joined on %s in %llu ms", count_joined(v),
			    v->group_count, v->device, (unsigned long long)timeout_ms);
		rc = handle(v, event);
		rdma_ack_cm_event(event);
	}
	return rc;
}

static int join_ipv6(struct verbs_port *v, const struct mdfh_bypass_config *config)
{
	struct mdfh_flow flows[MDFH_BYPASS_FLOWS_MAX];
	struct mdfh_bypass_config others = *config;

	others.flows = flows;
	others.flow_count = 0;
	for (uint32_t i = 0; i < config->flow_count; i++)
		if (v->send_groups[i]->address.any.sa_family == AF_INET6)
			flows[others.flow_count++] = config->flows[i];
	if (!v->receives || v->link.link_layer != IBV_LINK_LAYER_ETHERNET)
		return 0;
	return mdfh_membership_open(&v->membership, "verbs", &others);
}

int verbs_group_join(struct verbs_port *v, const struct mdfh_bypass_config *config,
    const struct verbs_options *options)
{
	int rc = 0;

	for (uint32_t i = 0; i < v->group_count && !rc; i++)
		rc = ask(v, &v->groups[i]);
	if (!rc)
		rc = wait_for_all(v, options->timeout_ms);
	for (uint32_t i = 0; i < v->group_count && !rc; i++)
		if (v->groups[i].qkey != RDMA_UDP_QKEY)
			rc = mdfh_error(-ENOTSUP,
			    "verbs: group %s has the key 0x%x, which is not the connection "
			    "manager's "
			    "0x%x",
			    v->groups[i].text, v->groups[i].qkey, RDMA_UDP_QKEY);
	return rc ? rc : join_ipv6(v, config);
}

/* Later ----------------------------------------------------------------------------------------- */

void verbs_group_look(struct verbs_port *v)
{
	struct rdma_cm_event *event = NULL;

	if (!v->events)
		return;
	while (!next_event(v, 0, &event) && event) {
		(void)handle(v, event);
		rdma_ack_cm_event(event);
	}
	for (uint32_t i = 0; i < v->group_count && !v->is_dead; i++) {
		struct verbs_group *group = &v->groups[i];

		if (!group->is_lost) /* or asked for, which is answered some time */
			continue;
		if (group->is_asked)
			(void)rdma_leave_multicast(group->id, &group->address.any);
		group->is_asked = 0;
		group->is_lost = ask(v, group) != 0;
	}
}

void verbs_group_detach(struct verbs_port *v)
{
	for (uint32_t i = 0; i < v->group_count; i++)
		detach(v, &v->groups[i]);
}

void verbs_group_close(struct verbs_port *v)
{
	mdfh_membership_close(&v->membership);
	for (uint32_t i = 0; i < v->group_count; i++)
		if (v->groups[i].is_asked)
			(void)rdma_leave_multicast(v->groups[i].id, &v->groups[i].address.any);
	for (int i = 0; i < 2; i++)
		if (v->ids[i])
			rdma_destroy_id(v->ids[i]);
	if (v->events)
		rdma_destroy_event_channel(v->events);
}
