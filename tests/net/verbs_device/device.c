/* device.c - see verbs_device.h: the device itself, and what arrives. */
#include "parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#undef ibv_get_device_list
#undef ibv_query_port
#undef ibv_reg_mr

struct vdev vdev;

static struct ibv_device device = {.name = "soft0", .dev_name = "soft0", .node_type = IBV_NODE_CA};
static struct verbs_context context;
static int async_events[8], async_count, async_fd = -1;

int vdev_struck(const char *call)
{
	return vdev.strikes && vdev.strikes(call);
}

void *vdev_made(const char *call, size_t bytes)
{
	void *object = vdev_struck(call) ? NULL : calloc(1, bytes);

	if (!object)
		errno = ENOMEM;
	else
		vdev.live++;
	return object;
}

int vdev_gone(void *object)
{
	vdev.live--;
	free(object);
	return 0;
}

uint64_t vdev_ticks(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (vdev.stamps == VDEV_WALLCLOCK)
		return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	return (uint64_t)now.tv_sec * VDEV_TICKS_HZ +
	       (uint64_t)now.tv_nsec * VDEV_TICKS_HZ / 1000000000;
}

/* The device ----------------------------------------------------------------------------------- */

struct ibv_device **ibv_get_device_list(int *count)
{
	struct ibv_device **list;

	if (vdev.devices < 0 || vdev_struck("ibv_get_device_list")) {
		errno = vdev.devices < 0 ? ENOSYS : ENOMEM;
		return NULL;
	}
	list = calloc(2, sizeof(struct ibv_device *));
	if (!list)
		abort();
	vdev.live++;
	list[0] = vdev.devices ? &device : NULL;
	*count = vdev.devices;
	return list;
}

void ibv_free_device_list(struct ibv_device **list)
{
	vdev_gone((void *)list);
}

static int query_port(
    struct ibv_context *c, uint8_t number, struct ibv_port_attr *port, size_t bytes)
{
	(void)c;
	(void)bytes;
	if (number != 1 || vdev_struck("ibv_query_port"))
		return EINVAL;
	*port = (struct ibv_port_attr){.state = vdev.state,
	    .max_mtu = IBV_MTU_4096,
	    .active_mtu = IBV_MTU_1024,
	    .link_layer = (uint8_t)vdev.link_layer};
	return 0;
}

int ibv_query_port(struct ibv_context *c, uint8_t number, struct _compat_ibv_port_attr *port)
{
	(void)c;
	(void)number;
	(void)port;
	return ENOSYS; /* the extended call is there */
}

int ibv_query_device(struct ibv_context *c, struct ibv_device_attr *attributes)
{
	(void)c;
	(void)attributes;
	return ENOSYS; /* the extended call is there */
}

static int query_device_ex(struct ibv_context *c, const struct ibv_query_device_ex_input *input,
    struct ibv_device_attr_ex *attributes, size_t bytes)
{
	(void)c;
	(void)input;
	(void)bytes;
	if (vdev_struck("ibv_query_device_ex"))
		return EIO;
	*attributes = (struct ibv_device_attr_ex){
	    .orig_attr = {.vendor_id = vdev.is_of_software ? 0xffffff : 0x2c9,
		.device_cap_flags = vdev.steers ? IBV_DEVICE_MANAGED_FLOW_STEERING : 0,
		.max_qp_wr = vdev.max_wr},
	    .completion_timestamp_mask = vdev.stamps ? UINT64_C(0x0000ffffffffffff) : 0,
	    .hca_core_clock = vdev.stamps ? VDEV_TICKS_HZ / 1000 : 0,
	};
	return 0;
}

static int query_rt_values(struct ibv_context *c, struct ibv_values_ex *values)
{
	(void)c;
	if (vdev.has_no_clock || vdev.stamps != VDEV_TICKS)
		return ENOTSUP;
	values->comp_mask = IBV_VALUES_MASK_RAW_CLOCK;
	values->raw_clock =
	    (struct timespec){.tv_nsec = (long)(vdev_ticks() & UINT64_C(0x0000ffffffffffff))};
	return 0;
}

ssize_t _ibv_query_gid_table(struct ibv_context *c, struct ibv_gid_entry *entries, size_t max,
    uint32_t flags, size_t entry_size)
{
	(void)c;
	(void)flags;
	if (max < 2 || entry_size != sizeof(*entries) || vdev_struck("ibv_query_gid_table"))
		return -EINVAL;
	entries[0] = (struct ibv_gid_entry){.port_num = 1,
	    .gid_type = IBV_GID_TYPE_ROCE_V1,
	    .ndev_ifindex = if_nametoindex(vdev.interface)};
	entries[1] = entries[0];
	entries[1].gid_index = 1;
	entries[1].gid_type = IBV_GID_TYPE_ROCE_V2;
	entries[1].gid.raw[15] = 1; /* ::1 */
	return 2;
}

struct ibv_context *vdev_context(void)
{
	device =
	    (struct ibv_device){.name = "soft0", .dev_name = "soft0", .node_type = IBV_NODE_CA};
	snprintf(device.ibdev_path, sizeof(device.ibdev_path), "%s",
	    vdev.folder ? vdev.folder : "/nonexistent");
	context = (struct verbs_context){
	    .query_port = query_port,
	    .query_device_ex = query_device_ex,
	    .query_rt_values = query_rt_values,
	    .sz = sizeof(context),
	    .context = {.device = &device,
		.async_fd = async_fd,
		.abi_compat = __VERBS_ABI_IS_EXTENDED},
	};
	vdev_queue_calls(&context);
	vdev_rule_calls(&context);
	return &context.context;
}

struct ibv_context *ibv_open_device(struct ibv_device *which)
{
	(void)which;
	if (vdev.open_error || vdev_struck("ibv_open_device")) {
		errno = vdev.open_error ? vdev.open_error : ENOMEM;
		return NULL;
	}
	vdev.live++;
	async_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return vdev_context();
}

int ibv_close_device(struct ibv_context *c)
{
	(void)c;
	vdev.live--;
	if (async_fd >= 0)
		close(async_fd);
	async_fd = -1;
	return 0;
}

int ibv_get_async_event(struct ibv_context *c, struct ibv_async_event *event)
{
	(void)c;
	if (!async_count)
		return -1;
	*event = (struct ibv_async_event){
	    .event_type = (enum ibv_event_type)async_events[--async_count]};
	return 0;
}

void ibv_ack_async_event(struct ibv_async_event *event)
{
	eventfd_t count;

	(void)event;
	if (!async_count && eventfd_read(async_fd, &count))
		abort();
}

void vdev_async(enum ibv_event_type type)
{
	const uint64_t one = 1;

	async_events[async_count++] = (int)type;
	if (write(async_fd, &one, sizeof(one)) < 0)
		abort();
}

struct ibv_pd *ibv_alloc_pd(struct ibv_context *c)
{
	struct ibv_pd *pd = vdev_made("ibv_alloc_pd", sizeof(*pd));

	if (pd)
		pd->context = c;
	return pd;
}

int ibv_dealloc_pd(struct ibv_pd *pd)
{
	return vdev_gone(pd);
}

struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *address, size_t length, int access)
{
	struct ibv_mr *mr = vdev_made("ibv_reg_mr", sizeof(*mr));

	(void)access;
	if (mr)
		*mr = (struct ibv_mr){
		    .context = pd->context, .pd = pd, .addr = address, .length = length, .lkey = 5};
	return mr;
}

struct ibv_mr *ibv_reg_mr_iova2(
    struct ibv_pd *pd, void *address, size_t length, uint64_t iova, unsigned access)
{
	(void)iova;
	return ibv_reg_mr(pd, address, length, (int)access);
}

int ibv_dereg_mr(struct ibv_mr *mr)
{
	return vdev_gone(mr);
}

struct ibv_ah *ibv_create_ah(struct ibv_pd *pd, struct ibv_ah_attr *attributes)
{
	struct way *way;

	if (vdev.ah_error) {
		errno = vdev.ah_error;
		return NULL;
	}
	way = vdev_made("ibv_create_ah", sizeof(*way));
	if (!way)
		return NULL;
	way->base.pd = pd;
	way->lid = attributes->dlid;
	way->hop_limit = attributes->grh.hop_limit;
	return &way->base;
}

int ibv_destroy_ah(struct ibv_ah *ah)
{
	vdev.ways_missed += ((struct way *)ah)->users != 0;
	return vdev_gone(ah);
}

int ibv_attach_mcast(struct ibv_qp *qp, const union ibv_gid *gid, uint16_t lid)
{
	(void)qp;
	(void)gid;
	(void)lid;
	if (vdev_struck("ibv_attach_mcast"))
		return ENOMEM;
	vdev.attached++;
	return 0;
}

int ibv_detach_mcast(struct ibv_qp *qp, const union ibv_gid *gid, uint16_t lid)
{
	(void)qp;
	(void)gid;
	(void)lid;
	vdev.detached++;
	return 0;
}

const char *ibv_wc_status_str(enum ibv_wc_status status)
{
	return status == IBV_WC_LOC_LEN_ERR    ? "local length error"
	       : status == IBV_WC_WR_FLUSH_ERR ? "Work Request Flushed Error"
					       : "another error";
}

const char *ibv_port_state_str(enum ibv_port_state state)
{
	return state == IBV_PORT_DOWN ? "PORT_DOWN" : "PORT_ACTIVE";
}

/* Arrivals ------------------------------------------------------------------------------------- */

void vdev_reset(void)
{
	enum vdev_stamps stamps;
	const char *wired = vdev_wired_to(&stamps);

	vdev = (struct vdev){.devices = 1,
	    .interface = wired ? wired : "lo",
	    .link_layer = IBV_LINK_LAYER_ETHERNET,
	    .steers = 1,
	    .stamps = stamps,
	    .state = IBV_PORT_ACTIVE,
	    .max_wr = 16384};
	async_count = 0;
}

/* For programs that do not set it up: the module that a test loads. */
__attribute__((constructor)) static void set_up(void)
{
	vdev_reset();
}

int vdev_arrive(const void *bytes, uint32_t length, unsigned flags, uint32_t immediate)
{
	uint32_t room;
	uint64_t id;

	if (vdev_receiver->head == vdev_receiver->tail) {
		vdev.dropped++;
		return 0;
	}
	room = vdev_receiver->orders[vdev_receiver->head % ORDERS_MAX].length;
	id = vdev_receiver->orders[vdev_receiver->head % ORDERS_MAX].id;
	memcpy(vdev_receiver->orders[vdev_receiver->head++ % ORDERS_MAX].bytes, bytes,
	    length < room ? length : room);
	vdev.with_device--;
	vdev_complete(vdev_receiver->receives,
	    (struct completion){.id = id,
		.length = length,
		.flags = flags,
		.status = length > room && !vdev.is_boasting ? IBV_WC_LOC_LEN_ERR : IBV_WC_SUCCESS,
		.immediate = immediate,
		.stamp = vdev.stamps ? vdev_ticks() : 0});
	return 1;
}

static uint16_t sum_of(const uint8_t *header)
{
	uint32_t sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)header[i] << 8 | header[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t) ~((sum & 0xffff) + (sum >> 16)));
}

int vdev_datagram(const char *source, const char *destination, const void *payload, uint32_t length,
    unsigned flags, uint32_t immediate)
{
	uint8_t bytes[40 + 8192];
	uint8_t *ipv4 = bytes + 20;
	uint16_t sum;

	/* What stood there before stays before an IPv4 header. */
	memset(bytes, 0x5a, 40);
	if (inet_pton(AF_INET, source, ipv4 + 12) == 1) {
		const uint8_t head[12] = {0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 1, 17, 0, 0};

		memcpy(ipv4, head, sizeof(head));
		if (inet_pton(AF_INET, destination, ipv4 + 16) != 1)
			abort();
		sum = sum_of(ipv4);
		memcpy(ipv4 + 10, &sum, 2);
	} else {
		const uint8_t head[8] = {0x60, 0, 0, 0, 0, 0, 0x1b, 1};

		memcpy(bytes, head, sizeof(head));
		if (inet_pton(AF_INET6, source, bytes + 8) != 1 ||
		    inet_pton(AF_INET6, destination, bytes + 24) != 1)
			abort();
	}
	memcpy(bytes + 40, payload, length);
	return vdev_arrive(bytes, 40 + length, flags | IBV_WC_GRH, htonl(immediate));
}

void vdev_fail(enum ibv_wc_status status)
{
	if (vdev_receiver->head == vdev_receiver->tail)
		abort();
	vdev.with_device--;
	vdev_complete(vdev_receiver->receives,
	    (struct completion){.id = vdev_receiver->orders[vdev_receiver->head++ % ORDERS_MAX].id,
		.status = status});
}
