/* manager.c - see verbs_device.h: the RDMA connection manager. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "verbs_device.h"

enum { EVENTS_MAX = 256, GROUPS_MAX = 64 };

struct group {
	struct rdma_cm_id *id;
	struct sockaddr_storage address;
	void *context;
};

static struct rdma_cm_event events[EVENTS_MAX];
static uint32_t head, tail;
static struct rdma_event_channel *channel;
static struct group groups[GROUPS_MAX];
static int groups_count;

struct rdma_event_channel *rdma_create_event_channel(void)
{
	if (vdev_struck("rdma_create_event_channel")) {
		errno = ENODEV;
		return NULL;
	}
	channel = calloc(1, sizeof(*channel));
	if (!channel)
		abort();
	channel->fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE | EFD_NONBLOCK);
	head = tail = 0;
	groups_count = 0;
	vdev.live++;
	return channel;
}

void rdma_destroy_event_channel(struct rdma_event_channel *which)
{
	close(which->fd);
	free(which);
	channel = NULL;
	vdev.live--;
}

int rdma_create_id(
    struct rdma_event_channel *which, struct rdma_cm_id **id, void *own, enum rdma_port_space space)
{
	if (vdev_struck("rdma_create_id")) {
		errno = ENOMEM;
		return -1;
	}
	*id = calloc(1, sizeof(**id));
	if (!*id || space != RDMA_PS_UDP)
		abort();
	(*id)->channel = which;
	(*id)->context = own;
	vdev.live++;
	return 0;
}

int rdma_destroy_id(struct rdma_cm_id *id)
{
	free(id);
	vdev.live--;
	return 0;
}

int rdma_bind_addr(struct rdma_cm_id *id, struct sockaddr *address)
{
	if (vdev.open_error || vdev_struck("rdma_bind_addr")) {
		errno = vdev.open_error ? vdev.open_error : ENODEV;
		return -1;
	}
	memcpy(&id->route.addr.src_storage, address,
	    address->sa_family == AF_INET ? sizeof(struct sockaddr_in)
					  : sizeof(struct sockaddr_in6));
	id->verbs = vdev_context();
	id->port_num = 1;
	return 0;
}

int rdma_init_qp_attr(struct rdma_cm_id *id, struct ibv_qp_attr *attributes, int *mask)
{
	if (vdev_struck("rdma_init_qp_attr")) {
		errno = EINVAL;
		return -1;
	}
	attributes->port_num = id->port_num;
	attributes->pkey_index = 0;
	attributes->qkey = RDMA_UDP_QKEY;
	*mask = IBV_QP_STATE | IBV_QP_PORT | IBV_QP_PKEY_INDEX | IBV_QP_QKEY;
	return 0;
}

static void post(struct group *group, enum rdma_cm_event_type type, int status)
{
	struct rdma_cm_event *event = &events[tail++ % EVENTS_MAX];
	const uint64_t one = 1;

	*event = (struct rdma_cm_event){.event = type, .status = status};
	if (group) {
		event->id = group->id;
		event->param.ud = (struct rdma_ud_param){
		    .private_data = group->context,
		    .qp_num = 0xffffff,
		    .qkey = RDMA_UDP_QKEY,
		    .ah_attr = {.is_global = 1, .port_num = 1, .dlid = vdev.group_lid},
		};
	}
	if (write(channel->fd, &one, sizeof(one)) < 0)
		abort();
}

static struct group *find(const struct sockaddr *address)
{
	for (int i = 0; i < groups_count; i++)
		if (!memcmp(&groups[i].address, address, sizeof(struct sockaddr_in)))
			return &groups[i];
	return NULL;
}

int rdma_join_multicast_ex(
    struct rdma_cm_id *id, struct rdma_cm_join_mc_attr_ex *attributes, void *own)
{
	struct group *group;

	if (vdev_struck("rdma_join_multicast_ex") || find(attributes->addr)) {
		errno = EADDRINUSE;
		return -1;
	}
	group = &groups[groups_count++];
	*group = (struct group){.id = id, .context = own};
	memcpy(&group->address, attributes->addr, sizeof(struct sockaddr_in));
	vdev.joins++;
	vdev.join_flags = attributes->join_flags;
	if (vdev.is_join_silent)
		return 0;
	post(group, vdev.join_error ? RDMA_CM_EVENT_MULTICAST_ERROR : RDMA_CM_EVENT_MULTICAST_JOIN,
	    -vdev.join_error);
	return 0;
}

int rdma_leave_multicast(struct rdma_cm_id *id, struct sockaddr *address)
{
	struct group *group = find(address);

	(void)id;
	if (!group)
		abort();
	*group = groups[--groups_count];
	vdev.leaves++;
	return 0;
}

int rdma_get_cm_event(struct rdma_event_channel *which, struct rdma_cm_event **event)
{
	eventfd_t count;

	if (vdev_struck("rdma_get_cm_event") || eventfd_read(which->fd, &count)) {
		errno = EIO;
		return -1;
	}
	*event = &events[head++ % EVENTS_MAX];
	vdev.live++;
	return 0;
}

int rdma_ack_cm_event(struct rdma_cm_event *event)
{
	(void)event;
	vdev.live--;
	return 0;
}

void vdev_happens(enum rdma_cm_event_type type, int status)
{
	if (type == RDMA_CM_EVENT_DEVICE_REMOVAL)
		post(NULL, type, status);
	else
		for (int i = 0; i < groups_count; i++)
			post(&groups[i], type, status);
}
