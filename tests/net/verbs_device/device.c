/* device.c - see verbs_device.h: the device, its queues, and what arrives. */
#include "verbs_device.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "mdfh/frame.h"

#undef ibv_get_device_list
#undef ibv_query_port
#undef ibv_reg_mr

enum { ORDERS_MAX = 32768, SLOTS_MAX = 65536 };

struct vdev vdev;

struct completion {
	uint64_t id, stamp;
	enum ibv_wc_status status;
	uint32_t length, immediate;
	unsigned flags;
};

struct queue { /* of completions; the first member serves as either kind */
	struct ibv_cq_ex base;
	struct pair *pair; /* whose receptions it has */
	uint32_t head, tail;
	int is_armed;
	struct completion slots[SLOTS_MAX];
};

struct pair {
	struct ibv_qp base;
	struct queue *receives, *sends;
	int socket; /* that frames come from, -1 = none */
	enum ibv_qp_state state;
	uint32_t head, tail;
	struct {
		uint8_t *bytes;
		uint32_t length;
		uint64_t id;
	} orders[ORDERS_MAX];
};

struct channel {
	struct ibv_comp_channel base;
	int eventfd;
	struct queue *queue;
};

struct flow {
	struct ibv_flow base;
	struct vdev_rule *rule;
};

static struct ibv_device device = {.name = "soft0", .dev_name = "soft0", .node_type = IBV_NODE_CA};
static struct verbs_context context;
static int async_events[8], async_count, async_fd = -1;
static struct pair *receiver; /* made last */

int vdev_struck(const char *call)
{
	return vdev.strikes && vdev.strikes(call);
}

static void *made(const char *call, size_t bytes)
{
	void *object = vdev_struck(call) ? NULL : calloc(1, bytes);

	if (!object)
		errno = ENOMEM;
	else
		vdev.live++;
	return object;
}

static int gone(void *object)
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

/* Completions ---------------------------------------------------------------------------------- */

static void complete(struct queue *queue, struct completion completion)
{
	queue->slots[queue->tail++ % SLOTS_MAX] = completion;
	if (queue->is_armed && queue->base.channel) {
		struct channel *channel = (struct channel *)queue->base.channel;
		const uint64_t one = 1;

		queue->is_armed = 0;
		if (write(channel->eventfd, &one, sizeof(one)) < 0)
			abort();
	}
}

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

/* Frames of the interface that a rule matches, into buffers. */
static void receive(struct pair *pair)
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
		complete(pair->receives,
		    (struct completion){.id = pair->orders[pair->head++ % ORDERS_MAX].id,
			.length = length,
			.stamp = vdev_ticks()});
	}
}

static struct completion *next(struct queue *queue)
{
	struct pair *pair = queue->pair;

	if (queue->head == queue->tail && pair && pair->socket >= 0)
		receive(pair);
	return queue->head == queue->tail ? NULL : &queue->slots[queue->head++ % SLOTS_MAX];
}

static int poll_cq(struct ibv_cq *cq, int max, struct ibv_wc *wc)
{
	int n = 0;

	for (struct completion *c; n < max && (c = next((struct queue *)cq)); n++)
		wc[n] = (struct ibv_wc){.wr_id = c->id,
		    .status = c->status,
		    .byte_len = c->length,
		    .imm_data = c->immediate,
		    .wc_flags = c->flags};
	return n;
}

static struct completion *current(struct ibv_cq_ex *cq)
{
	struct queue *queue = (struct queue *)cq;

	return &queue->slots[(queue->head - 1) % SLOTS_MAX];
}

static int next_poll(struct ibv_cq_ex *cq)
{
	struct completion *c = next((struct queue *)cq);

	if (!c)
		return ENOENT;
	cq->wr_id = c->id;
	cq->status = c->status;
	return 0;
}

static int start_poll(struct ibv_cq_ex *cq, struct ibv_poll_cq_attr *attributes)
{
	(void)attributes;
	return next_poll(cq);
}

static void end_poll(struct ibv_cq_ex *cq)
{
	(void)cq;
}

static uint32_t read_byte_len(struct ibv_cq_ex *cq)
{
	return current(cq)->length;
}

static __be32 read_imm_data(struct ibv_cq_ex *cq)
{
	return current(cq)->immediate;
}

static unsigned read_wc_flags(struct ibv_cq_ex *cq)
{
	return current(cq)->flags;
}

static uint64_t read_stamp(struct ibv_cq_ex *cq)
{
	return current(cq)->stamp;
}

static struct queue *make_queue(struct ibv_comp_channel *channel, int size)
{
	struct queue *queue = made("ibv_create_cq", sizeof(*queue));

	if (!queue)
		return NULL;
	queue->base.context = &context.context;
	queue->base.channel = channel;
	queue->base.cqe = size;
	if (channel)
		((struct channel *)channel)->queue = queue;
	return queue;
}

struct ibv_cq *ibv_create_cq(
    struct ibv_context *c, int size, void *own, struct ibv_comp_channel *channel, int vector)
{
	(void)c;
	(void)own;
	(void)vector;
	return (struct ibv_cq *)make_queue(channel, size);
}

static struct ibv_cq_ex *create_cq_ex(struct ibv_context *c, struct ibv_cq_init_attr_ex *init)
{
	enum vdev_stamps kind =
	    init->wc_flags & IBV_WC_EX_WITH_COMPLETION_TIMESTAMP ? VDEV_TICKS : VDEV_WALLCLOCK;
	struct queue *queue;

	(void)c;
	if (vdev.stamps != kind) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	queue = make_queue(init->channel, (int)init->cqe);
	if (!queue)
		return NULL;
	queue->base.start_poll = start_poll;
	queue->base.next_poll = next_poll;
	queue->base.end_poll = end_poll;
	queue->base.read_byte_len = read_byte_len;
	queue->base.read_imm_data = read_imm_data;
	queue->base.read_wc_flags = read_wc_flags;
	queue->base.read_completion_ts = kind == VDEV_TICKS ? read_stamp : NULL;
	queue->base.read_completion_wallclock_ns = kind == VDEV_TICKS ? NULL : read_stamp;
	return &queue->base;
}

int ibv_destroy_cq(struct ibv_cq *cq)
{
	return gone(cq);
}

static int req_notify_cq(struct ibv_cq *cq, int solicited)
{
	struct queue *queue = (struct queue *)cq;
	struct channel *channel = (struct channel *)queue->base.channel;
	struct pair *pair = queue->pair;
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT};

	(void)solicited;
	queue->is_armed = 1;
	if (pair && pair->socket >= 0 &&
	    epoll_ctl(channel->base.fd, EPOLL_CTL_MOD, pair->socket, &event))
		return epoll_ctl(channel->base.fd, EPOLL_CTL_ADD, pair->socket, &event);
	return 0;
}

struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *c)
{
	struct channel *channel = made("ibv_create_comp_channel", sizeof(*channel));
	struct epoll_event event = {.events = EPOLLIN};

	if (!channel)
		return NULL;
	channel->base.context = c;
	channel->base.fd = epoll_create1(EPOLL_CLOEXEC);
	channel->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (channel->base.fd < 0 || channel->eventfd < 0 ||
	    epoll_ctl(channel->base.fd, EPOLL_CTL_ADD, channel->eventfd, &event)) {
		ibv_destroy_comp_channel(&channel->base);
		errno = EMFILE;
		return NULL;
	}
	return &channel->base;
}

int ibv_destroy_comp_channel(struct ibv_comp_channel *base)
{
	struct channel *channel = (struct channel *)base;

	if (channel->base.fd >= 0)
		close(channel->base.fd);
	if (channel->eventfd >= 0)
		close(channel->eventfd);
	return gone(channel);
}

int ibv_get_cq_event(struct ibv_comp_channel *base, struct ibv_cq **cq, void **own)
{
	struct channel *channel = (struct channel *)base;
	struct epoll_event event;
	eventfd_t count;

	if (epoll_wait(base->fd, &event, 1, 0) != 1)
		return -1;
	if (eventfd_read(channel->eventfd, &count) && errno != EAGAIN)
		return -1;
	*cq = (struct ibv_cq *)channel->queue;
	*own = NULL;
	return 0;
}

void ibv_ack_cq_events(struct ibv_cq *cq, unsigned n)
{
	(void)cq;
	(void)n;
}

/* Queue pairs ---------------------------------------------------------------------------------- */

static int post_recv(struct ibv_qp *qp, struct ibv_recv_wr *order, struct ibv_recv_wr **refused)
{
	struct pair *pair = (struct pair *)qp;
	uint32_t n = 0;

	vdev.chains++;
	if (pair->state < IBV_QPS_INIT)
		abort();
	for (; order; order = order->next, n++) {
		if (vdev.takes_at_most && n == vdev.takes_at_most) {
			*refused = order;
			return ENOMEM;
		}
		pair->orders[pair->tail % ORDERS_MAX].bytes =
		    (uint8_t *)(uintptr_t)order->sg_list->addr; /* NOLINT: as verbs has it */
		pair->orders[pair->tail % ORDERS_MAX].length = order->sg_list->length;
		pair->orders[pair->tail++ % ORDERS_MAX].id = order->wr_id;
		vdev.with_device++;
	}
	if (n > vdev.longest_chain)
		vdev.longest_chain = n;
	return 0;
}

static int post_send(struct ibv_qp *qp, struct ibv_send_wr *order, struct ibv_send_wr **refused)
{
	struct pair *pair = (struct pair *)qp;
	uint32_t n = 0;

	vdev.send_chains++;
	if (pair->state != IBV_QPS_RTS)
		abort();
	for (; order; order = order->next, n++) {
		struct vdev_send *send = &vdev.sends[vdev.sends_count % VDEV_SENDS];
		uint32_t length = order->sg_list->length;

		if (vdev.sends_at_most && n == vdev.sends_at_most) {
			*refused = order;
			return ENOMEM;
		}
		*send = (struct vdev_send){.length = length,
		    .opcode = order->opcode,
		    .remote_qpn = order->wr.ud.remote_qpn,
		    .qkey = order->wr.ud.remote_qkey,
		    .immediate = order->imm_data};
		memcpy(send->bytes, (void *)(uintptr_t)order->sg_list->addr, /* NOLINT */
		    length < sizeof(send->bytes) ? length : sizeof(send->bytes));
		vdev.sends_count++;
		if (order->send_flags & IBV_SEND_SIGNALED)
			complete(pair->sends,
			    (struct completion){.id = order->wr_id, .status = vdev.send_status});
	}
	return 0;
}

/* The environment's interface, NULL = none, and what kind of stamps it says. */
static const char *wired_to(enum vdev_stamps *stamps)
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

static int open_socket(void)
{
	enum vdev_stamps stamps;
	const char *interface = wired_to(&stamps);
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

static struct ibv_qp *create_qp_ex(struct ibv_context *c, struct ibv_qp_init_attr_ex *init)
{
	int is_raw = init->qp_type == IBV_QPT_RAW_PACKET;
	struct pair *pair;

	if ((is_raw && vdev.raw_error) || (init->create_flags && vdev.loop_error)) {
		errno = is_raw ? vdev.raw_error : vdev.loop_error;
		return NULL;
	}
	pair = made("ibv_create_qp", sizeof(*pair));
	if (!pair)
		return NULL;
	pair->base.context = c;
	pair->base.qp_type = init->qp_type;
	pair->base.qp_num = 17;
	pair->receives = (struct queue *)init->recv_cq;
	pair->sends = (struct queue *)init->send_cq;
	pair->socket = is_raw && pair->receives != pair->sends ? open_socket() : -1;
	vdev.create_flags = init->create_flags;
	vdev.with_device = 0;
	if (pair->receives != pair->sends) {
		receiver = pair;
		pair->receives->pair = pair;
	}
	return &pair->base;
}

/* What the extended call comes to, too, where it is asked for nothing more. */
struct ibv_qp *ibv_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *init)
{
	struct ibv_qp_init_attr_ex extended = {.send_cq = init->send_cq,
	    .recv_cq = init->recv_cq,
	    .cap = init->cap,
	    .qp_type = init->qp_type};

	return create_qp_ex(pd->context, &extended);
}

int ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attributes, int mask)
{
	struct pair *pair = (struct pair *)qp;

	if (vdev_struck("ibv_modify_qp"))
		return EIO;
	/* What each kind must be given on each step, and nothing else. */
	if (attributes->qp_state == IBV_QPS_INIT &&
	    mask != (qp->qp_type == IBV_QPT_UD
			    ? IBV_QP_STATE | IBV_QP_PORT | IBV_QP_PKEY_INDEX | IBV_QP_QKEY
			    : IBV_QP_STATE | IBV_QP_PORT))
		return EINVAL;
	if (attributes->qp_state == IBV_QPS_RTR && mask != IBV_QP_STATE)
		return EINVAL;
	if (attributes->qp_state == IBV_QPS_RTS &&
	    mask != (qp->qp_type == IBV_QPT_UD ? IBV_QP_STATE | IBV_QP_SQ_PSN : IBV_QP_STATE))
		return EINVAL;
	pair->state = attributes->qp_state;
	return 0;
}

int ibv_destroy_qp(struct ibv_qp *qp)
{
	struct pair *pair = (struct pair *)qp;

	if (pair->socket >= 0)
		close(pair->socket);
	if (receiver == pair)
		receiver = NULL;
	if (pair->receives->pair == pair)
		pair->receives->pair = NULL;
	return gone(pair);
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
	flow = made("ibv_create_flow", sizeof(*flow));
	if (!flow)
		return NULL;
	flow->base.context = &context.context;
	flow->rule = rule;
	vdev.rules_count++;
	return &flow->base;
}

static int destroy_flow(struct ibv_flow *base)
{
	((struct flow *)base)->rule->qp = NULL;
	while (vdev.rules_count && !vdev.rules[vdev.rules_count - 1].qp)
		vdev.rules_count--;
	return gone(base);
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
	gone((void *)list);
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
	    .create_cq_ex = create_cq_ex,
	    .create_qp_ex = create_qp_ex,
	    .ibv_create_flow = create_flow,
	    .ibv_destroy_flow = destroy_flow,
	    .sz = sizeof(context),
	    .context = {.device = &device,
		.ops = {.poll_cq = poll_cq,
		    .req_notify_cq = req_notify_cq,
		    .post_recv = post_recv,
		    .post_send = post_send},
		.async_fd = async_fd,
		.abi_compat = __VERBS_ABI_IS_EXTENDED},
	};
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
	struct ibv_pd *pd = made("ibv_alloc_pd", sizeof(*pd));

	if (pd)
		pd->context = c;
	return pd;
}

int ibv_dealloc_pd(struct ibv_pd *pd)
{
	return gone(pd);
}

struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *address, size_t length, int access)
{
	struct ibv_mr *mr = made("ibv_reg_mr", sizeof(*mr));

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
	return gone(mr);
}

struct ibv_ah *ibv_create_ah(struct ibv_pd *pd, struct ibv_ah_attr *attributes)
{
	struct ibv_ah *ah;

	(void)attributes;
	if (vdev.ah_error) {
		errno = vdev.ah_error;
		return NULL;
	}
	ah = made("ibv_create_ah", sizeof(*ah));
	if (ah)
		ah->pd = pd;
	return ah;
}

int ibv_destroy_ah(struct ibv_ah *ah)
{
	return gone(ah);
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
	const char *wired = wired_to(&stamps);

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

	if (receiver->head == receiver->tail) {
		vdev.dropped++;
		return 0;
	}
	room = receiver->orders[receiver->head % ORDERS_MAX].length;
	id = receiver->orders[receiver->head % ORDERS_MAX].id;
	memcpy(receiver->orders[receiver->head++ % ORDERS_MAX].bytes, bytes,
	    length < room ? length : room);
	vdev.with_device--;
	complete(
	    receiver->receives, (struct completion){.id = id,
				    .length = length,
				    .flags = flags,
				    .status = length > room ? IBV_WC_LOC_LEN_ERR : IBV_WC_SUCCESS,
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
	if (receiver->head == receiver->tail)
		abort();
	vdev.with_device--;
	complete(receiver->receives,
	    (struct completion){
		.id = receiver->orders[receiver->head++ % ORDERS_MAX].id, .status = status});
}
