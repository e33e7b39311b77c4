/* io_uring.c - kernel UDP sockets, received from by io_uring itself: one multishot request per flow,
 * into buffers that the kernel takes from a ring and that are handed out in place. These are the modes
 * defer, coop and sqpoll; in mode=poll, which costs less where one flow is busy, recvmmsg receives
 * (io_uring_poll.c).
 *
 * A request stays in the kernel and posts one completion per datagram. The work is done when this
 * thread asks for it (IORING_SETUP_DEFER_TASKRUN), so recv makes one system call for a batch. A flag
 * in shared memory says whether there is anything to do: where nothing has arrived, recv makes none.
 *
 * A frame holds, one after the other, struct io_uring_recvmsg_out, the control messages and the
 * datagram. Frames are lent to the kernel a few at a time from the stack of free ones, so that those
 * used are still in cache: the kernel takes them in turn, and all of them would be as many as the
 * caller may hold. A request that finds no frame ends; it is made anew as soon as there is one, and
 * what has arrived meanwhile waits in the socket's buffer. */
#include "modules/io_uring.h"

#include <errno.h>
#include <time.h>

#include "mdfh/error.h"
#include "modules/module.h"

/* The kernel's side -------------------------------------------------------------------------- */

static void lend(struct uring_port *u)
{
	struct mdfh_pool *pool = &u->frames.pool;
	int mask = io_uring_buf_ring_mask(pool->count);
	int n = 0;

	for (; u->lent < u->lent_max && pool->free_count; u->lent++) {
		uint32_t frame = mdfh_pool_take(pool);

		io_uring_buf_ring_add(u->lent_ring, mdfh_pool_at(pool, frame), u->frames.size,
		    (unsigned short)frame, mask, n++);
	}
	if (n)
		io_uring_buf_ring_advance(u->lent_ring, n);
}

static void arm(struct uring_port *u)
{
	lend(u);
	if (!u->unarmed)
		return;
	if (!u->lent) { /* it would end at once */
		u->sockets.base.stats.rx_starved++;
		return;
	}
	/* The submission queue has room for every flow. */
	for (uint64_t left = u->unarmed; left; left &= left - 1) {
		uint32_t flow = (uint32_t)__builtin_ctzll(left);
		struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

		if (!sqe)
			return;
		io_uring_prep_recvmsg_multishot(sqe, u->sockets.flows[flow].fd, &u->header, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = URING_GROUP;
		sqe->user_data = flow;
		u->unarmed &= ~(UINT64_C(1) << flow);
	}
}

/* Errors that end a request and say nothing about the socket. */
static int is_passing(int error)
{
	return error == -ENOBUFS || error == -ECANCELED || error == -EINTR || error == -EAGAIN;
}

/* Data path: one system call a batch, none where nothing has arrived -------------------------- */

/* The datagram of a completion. 0 if it is none. */
static int take(struct uring_port *u, const struct io_uring_cqe *cqe, struct mdfh_packet *packet)
{
	uint32_t frame = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
	uint8_t *data = mdfh_pool_at(&u->frames.pool, frame);
	const struct io_uring_recvmsg_out *out = (const struct io_uring_recvmsg_out *)data;
	struct msghdr control;

	u->lent--;
	if (cqe->res < (int)u->payload_at) { /* an error, too, may come with a frame */
		mdfh_pool_put(&u->frames.pool, frame);
		return 0;
	}
	*packet = (struct mdfh_packet){
	    .data = data + u->payload_at,
	    .cookie = frame,
	    .length = (uint32_t)cqe->res - u->payload_at,
	    .time_error_ns = u->sockets.time_error_ns,
	    .flow = (uint16_t)cqe->user_data,
	};
	if (out->flags & MSG_TRUNC) {
		packet->flags = MDFH_PACKET_TRUNCATED;
		u->sockets.base.stats.rx_truncated++;
	}
	control =
	    (struct msghdr){.msg_control = data + sizeof(*out), .msg_controllen = out->controllen};
	mdfh_sockets_read_control(&u->sockets, &u->sockets.flows[cqe->user_data], &control, packet);
	u->frames.pool.held[frame] = 1;
	return 1;
}

/* Take up to n packets from the completion queue. */
static int reap(struct uring_port *u, struct mdfh_packet *packets, int n)
{
	struct io_uring_cqe *cqe;
	uint64_t bytes = 0;
	unsigned head, seen = 0;
	int got = 0, rc = 0;

	io_uring_for_each_cqe(&u->ring, head, cqe)
	{
		if (got == n || rc)
			break;
		seen++;
		if (cqe->user_data >= u->sockets.flow_count)
			continue;
		if (!(cqe->flags & IORING_CQE_F_MORE))
			u->unarmed |= UINT64_C(1) << cqe->user_data;
		if (cqe->flags & IORING_CQE_F_BUFFER && take(u, cqe, &packets[got]))
			bytes += packets[got++].length;
		if (cqe->res < 0 && !is_passing(cqe->res))
			rc = mdfh_error_errno(-EIO, "io_uring: receiving from flows[%llu] (%d)",
			    (unsigned long long)cqe->user_data, cqe->res);
	}
	io_uring_cq_advance(&u->ring, seen);
	u->sockets.base.stats.rx_bytes += bytes;
	return got ? got : rc; /* after an error the next call meets it again */
}

static int enter(struct uring_port *u)
{
	/* The kernel's thread has to be told only if it sleeps, which submit finds out. */
	int rc = u->is_polled && !mdfh_uring_has_work(u) ? io_uring_submit(&u->ring)
							 : io_uring_submit_and_get_events(&u->ring);

	return rc < 0 ? mdfh_uring_refused(rc) : 0;
}

/* The first call of all, and the first that asks for less than may have come. */
static int prepare(struct uring_port *u, int n)
{
	int rc = u->is_enabled ? 0 : mdfh_uring_enable(u);

	return rc || u->is_ring_watched || (uint32_t)n >= u->lent_max ? rc
								      : mdfh_uring_watch_ring(u);
}

static int receive(struct uring_port *u, struct mdfh_packet *packets, int n)
{
	int got, rc;

	if (!u->is_enabled || (!u->is_ring_watched && (uint32_t)n < u->lent_max)) {
		rc = prepare(u, n);
		if (rc)
			return rc;
	}
	got = reap(u, packets, n);
	if (got)
		return got;
	arm(u);
	if (!mdfh_uring_has_work(u) && !io_uring_sq_ready(&u->ring))
		return 0;
	rc = enter(u);
	return rc ? rc : reap(u, packets, n);
}

static int uring_recv(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	struct uring_port *u = (struct uring_port *)port;
	int got = u->has_ring ? receive(u, packets, n) : 0;

	if (got > 0) {
		port->stats.rx_packets += (uint64_t)got;
		port->stats.rx_batches++;
	} else {
		port->stats.rx_empty++;
	}
	return got;
}

static int uring_wait(struct mdfh_bypass *port, uint32_t timeout_us)
{
	struct uring_port *u = (struct uring_port *)port;
	struct __kernel_timespec limit = {
	    .tv_sec = timeout_us / 1000000, .tv_nsec = (long long)(timeout_us % 1000000) * 1000};
	const struct timespec nap = {.tv_sec = limit.tv_sec, .tv_nsec = (long)limit.tv_nsec};
	struct io_uring_cqe *cqe;
	int rc;

	if (!u->has_ring || (!u->lent && !u->frames.pool.free_count)) { /* nothing can come */
		nanosleep(&nap, NULL);
		return 0;
	}
	rc = prepare(u, (int)port->batch_size);
	if (rc)
		return rc;
	arm(u);
	rc = io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &limit, NULL);
	return rc < 0 ? mdfh_uring_refused(rc) : 1;
}

static void uring_release(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	mdfh_frames_release(&((struct uring_port *)port)->frames, packets, n);
}

/* --------------------------------------------------------------------------------------------- */

static const struct mdfh_bypass_ops ops = {
    .size = sizeof(ops),
    .name = "io_uring",
    .description = "UDP through kernel sockets and io_uring",
    .probe = mdfh_uring_probe,
    .open = mdfh_uring_open,
    .recv = uring_recv,
    .wait = uring_wait,
    .release = uring_release,
    .send = mdfh_sockets_send,
    .close = mdfh_uring_close,
    .stats = mdfh_sockets_stats,
    .local_port = mdfh_sockets_local_port,
};

extern const struct mdfh_backend_module mdfh_backend_module;
MDFH_API const struct mdfh_backend_module mdfh_backend_module = {
    .abi = MDFH_BACKEND_ABI,
    .size = sizeof(mdfh_backend_module),
    .ops = &ops,
    .load = mdfh_module_load,
};
