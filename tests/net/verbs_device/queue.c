/* queue.c - see verbs_device.h: queues of completions, and queue pairs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "parts.h"

struct pair *vdev_receiver;

/* Completions ---------------------------------------------------------------------------------- */

void vdev_complete(struct queue *queue, struct completion completion)
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

static struct completion *next(struct queue *queue)
{
	struct pair *pair = queue->pair;

	if (queue->head == queue->tail && pair && pair->socket >= 0)
		vdev_wire_receive(pair);
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

static struct queue *make_queue(struct ibv_context *c, struct ibv_comp_channel *channel, int size)
{
	struct queue *queue = vdev_made("ibv_create_cq", sizeof(*queue));

	if (!queue)
		return NULL;
	queue->base.context = c;
	queue->base.channel = channel;
	queue->base.cqe = size;
	if (channel)
		((struct channel *)channel)->queue = queue;
	return queue;
}

struct ibv_cq *ibv_create_cq(
    struct ibv_context *c, int size, void *own, struct ibv_comp_channel *channel, int vector)
{
	(void)own;
	(void)vector;
	return (struct ibv_cq *)make_queue(c, channel, size);
}

static struct ibv_cq_ex *create_cq_ex(struct ibv_context *c, struct ibv_cq_init_attr_ex *init)
{
	enum vdev_stamps kind =
	    init->wc_flags & IBV_WC_EX_WITH_COMPLETION_TIMESTAMP ? VDEV_TICKS : VDEV_WALLCLOCK;
	struct queue *queue;

	if (vdev.stamps != kind) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	queue = make_queue(c, init->channel, (int)init->cqe);
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
	return vdev_gone(cq);
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
	struct channel *channel = vdev_made("ibv_create_comp_channel", sizeof(*channel));
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
	return vdev_gone(channel);
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

/* What is sent and has not left ----------------------------------------------------------------- */

static struct {
	struct way *way;      /* NULL = a frame's */
	struct queue *report; /* NULL = it does not report */
	uint64_t id;
} slow[VDEV_SENDS];
static uint32_t slow_count;

static void depart(struct pair *pair, const struct ibv_send_wr *order)
{
	struct queue *report = order->send_flags & IBV_SEND_SIGNALED ? pair->sends : NULL;
	struct way *way = pair->base.qp_type == IBV_QPT_UD ? (struct way *)order->wr.ud.ah : NULL;

	if (slow_count == VDEV_SENDS)
		abort();
	slow[slow_count].way = way;
	slow[slow_count].report = report;
	slow[slow_count++].id = order->wr_id;
	if (way)
		way->users++;
	if (!vdev.is_sending_slow)
		vdev_leave();
}

void vdev_leave(void)
{
	for (uint32_t i = 0; i < slow_count; i++) {
		if (slow[i].way)
			slow[i].way->users--;
		if (slow[i].report)
			vdev_complete(slow[i].report,
			    (struct completion){.id = slow[i].id, .status = vdev.send_status});
	}
	slow_count = 0;
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
		if (order->wr.ud.ah) {
			send->lid = ((const struct way *)order->wr.ud.ah)->lid;
			send->hop_limit = ((const struct way *)order->wr.ud.ah)->hop_limit;
		}
		memcpy(send->bytes, (void *)(uintptr_t)order->sg_list->addr, /* NOLINT */
		    length < sizeof(send->bytes) ? length : sizeof(send->bytes));
		vdev.sends_count++;
		depart(pair, order);
	}
	return 0;
}

static struct ibv_qp *create_qp_ex(struct ibv_context *c, struct ibv_qp_init_attr_ex *init)
{
	int is_raw = init->qp_type == IBV_QPT_RAW_PACKET;
	struct pair *pair;

	if ((is_raw && vdev.raw_error) || (init->create_flags && vdev.loop_error)) {
		errno = is_raw ? vdev.raw_error : vdev.loop_error;
		return NULL;
	}
	pair = vdev_made("ibv_create_qp", sizeof(*pair));
	if (!pair)
		return NULL;
	pair->base.context = c;
	pair->base.qp_type = init->qp_type;
	pair->base.qp_num = 17;
	pair->receives = (struct queue *)init->recv_cq;
	pair->sends = (struct queue *)init->send_cq;
	pair->socket = is_raw && pair->receives != pair->sends ? vdev_wire_open() : -1;
	vdev.create_flags = init->create_flags;
	vdev.with_device = 0;
	if (pair->receives != pair->sends) {
		vdev_receiver = pair;
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
	if (vdev_receiver == pair)
		vdev_receiver = NULL;
	if (pair->receives->pair == pair)
		pair->receives->pair = NULL;
	return vdev_gone(pair);
}

void vdev_queue_calls(struct verbs_context *to)
{
	to->create_cq_ex = create_cq_ex;
	to->create_qp_ex = create_qp_ex;
	to->context.ops.poll_cq = poll_cq;
	to->context.ops.req_notify_cq = req_notify_cq;
	to->context.ops.post_recv = post_recv;
	to->context.ops.post_send = post_send;
}
