/* io_uring_poll.c - mode=poll: io_uring says which sockets have something, and recvmmsg(2) takes it.
 *
 * A multishot poll request per flow stays in the kernel. When a datagram arrives, the kernel notes in
 * shared memory that it has something to tell, so where nothing has come recv makes no system call.
 * Where something has, it is received as by the backend socket, a call for a batch, which costs less
 * than a completion and a buffer chosen for each datagram.
 *
 * What the kernel has to tell, it tells when this thread asks (IORING_SETUP_DEFER_TASKRUN). Of several
 * flows that is which are ready, so they are asked for. Of one flow there is nothing to learn: the note
 * is enough to receive by, and the kernel is asked, which takes the note away, once nothing more is
 * found. So a busy flow costs what it costs the backend socket. */
#include "modules/io_uring.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

#include "mdfh/error.h"

enum { ROUNDS_MAX = 4 }; /* the kernel tells of 20 flows at a time */

int mdfh_uring_refused(int error)
{
	if (error == -EINTR || error == -EAGAIN || error == -EBUSY || error == -ETIME)
		return 0;
	if (error == -EEXIST)
		return mdfh_error(-EIO,
		    "io_uring: recv is called by another thread than the first time; one thread "
		    "receives from a port");
	return mdfh_error_errno(-EIO, "io_uring: io_uring_enter (%d)", error);
}

/* A request for every flow that lacks one; the submission queue has room for all. */
static void arm(struct uring_port *u)
{
	for (; u->unarmed; u->unarmed &= u->unarmed - 1) {
		uint32_t flow = (uint32_t)__builtin_ctzll(u->unarmed);
		struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

		if (!sqe)
			return;
		io_uring_prep_poll_multishot(sqe, u->sockets.flows[flow].fd, POLLIN);
		sqe->user_data = flow;
	}
}

/* Take up what the kernel has told. Some of it may be old: that a flow is ready is not certain. */
static int reap(struct uring_port *u)
{
	struct io_uring_cqe *cqe;
	unsigned head, seen = 0;
	int rc = 0;

	io_uring_for_each_cqe(&u->ring, head, cqe)
	{
		seen++;
		if (cqe->user_data >= u->sockets.flow_count)
			continue;
		if (!(cqe->flags & IORING_CQE_F_MORE))
			u->unarmed |= UINT64_C(1) << cqe->user_data;
		if (cqe->res < 0 && cqe->res != -ECANCELED)
			rc = mdfh_error_errno(-EIO, "io_uring: polling flows[%llu] (%d)",
			    (unsigned long long)cqe->user_data, cqe->res);
		u->ready |= UINT64_C(1) << cqe->user_data;
	}
	io_uring_cq_advance(&u->ring, seen);
	return rc;
}

/* Have the kernel tell what it has. */
static int ask(struct uring_port *u)
{
	int rc;

	arm(u);
	rc = io_uring_submit_and_get_events(&u->ring);
	return rc < 0 ? mdfh_uring_refused(rc) : reap(u);
}

/* Data path: no system call where nothing has arrived ------------------------------------------- */

/* The flows to receive from. is_again: this recv has found nothing so far. */
static int find_ready(struct uring_port *u, int is_again)
{
	int rc = 0;

	if (io_uring_cq_ready(&u->ring))
		rc = reap(u);
	if (!rc && mdfh_uring_has_work(u) && u->sockets.flow_count == 1 && !is_again)
		u->ready = 1;
	else if (!rc && (u->unarmed || mdfh_uring_has_work(u)))
		rc = ask(u);
	u->datagrams.turn = u->ready;
	return rc;
}

static int receive(struct uring_port *u, struct mdfh_packet *packets, int n)
{
	int got = 0;

	for (int round = 0; !got && round < ROUNDS_MAX; round++) {
		uint64_t empty;

		if (!u->datagrams.turn && !mdfh_datagrams_are_left(&u->datagrams)) {
			int rc;

			if (round && !mdfh_uring_has_work(u))
				break;
			rc = find_ready(u, round > 0);
			if (rc)
				return rc;
		}
		got = mdfh_datagrams_recv(&u->datagrams, packets, n, &empty);
		u->ready &= ~empty;
	}
	return got;
}

/* The kernel refuses another thread, too, but is not asked each time. */
static int check_thread(struct uring_port *u)
{
	int rc;

	if (u->is_enabled)
		return pthread_equal(u->thread, pthread_self()) ? 0 : mdfh_uring_refused(-EEXIST);
	rc = mdfh_uring_enable(u);
	u->thread = pthread_self();
	return rc;
}

static int poll_recv(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	struct uring_port *u = (struct uring_port *)port;
	int got = u->has_ring ? check_thread(u) : 0;

	if (u->has_ring && !got)
		got = receive(u, packets, n);
	if (got < 0)
		return got;
	port->stats.rx_packets += (uint64_t)got;
	if (got)
		port->stats.rx_batches++;
	else
		port->stats.rx_empty++;
	return got;
}

/* By poll_fd, which knows for certain, and costs no more than for a plain socket. */
static int poll_wait(struct mdfh_bypass *port, uint32_t timeout_us)
{
	struct uring_port *u = (struct uring_port *)port;
	const struct timespec limit = {
	    .tv_sec = timeout_us / 1000000, .tv_nsec = (long)(timeout_us % 1000000) * 1000};
	struct pollfd poll = {.fd = port->capabilities.poll_fd, .events = POLLIN};
	int rc = u->has_ring ? check_thread(u) : 0;

	if (rc)
		return rc;
	rc = ppoll(&poll, 1, &limit, NULL);
	if (rc < 0 && errno != EINTR)
		return mdfh_error_errno(-EIO, "io_uring: poll");
	return rc > 0;
}

static void poll_release(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	mdfh_datagrams_release(&((struct uring_port *)port)->datagrams, packets, n);
}

/* The port's alone: open and what else a backend has stand in io_uring.c. */
const struct mdfh_bypass_ops mdfh_uring_poll_ops = {
    .size = sizeof(mdfh_uring_poll_ops),
    .name = "io_uring",
    .description = "UDP through kernel sockets and io_uring",
    .probe = mdfh_uring_probe,
    .open = mdfh_uring_open,
    .recv = poll_recv,
    .wait = poll_wait,
    .release = poll_release,
    .send = mdfh_sockets_send,
    .close = mdfh_uring_close,
    .stats = mdfh_sockets_stats,
    .local_port = mdfh_sockets_local_port,
};
