/* io_uring.h - the port of backend io_uring, shared by its setup and its two data paths: mode=poll
 * (io_uring_poll.c), and the modes in which the kernel receives (io_uring.c). */
#ifndef MDFH_MODULES_IO_URING_H
#define MDFH_MODULES_IO_URING_H

#include <liburing.h>
#include <pthread.h>

#include "net/datagrams.h"
#include "net/frames.h"
#include "net/socket.h"

struct uring_port {
	struct mdfh_sockets sockets; /* first, so a port pointer is a uring_port pointer */

	struct io_uring ring;
	int has_ring;
	int is_enabled;   /* the receiving thread has made itself known to the kernel */
	int is_polled;    /* a kernel thread does the work: mode=sqpoll */
	uint64_t unarmed; /* bit f: flow f has no request in the kernel */

	/* mode=poll */
	int polls;
	pthread_t thread; /* that receives */
	uint64_t ready;   /* bit f: flow f may have something */
	struct mdfh_datagrams datagrams;

	/* The other modes. */
	struct msghdr header; /* what every request asks for: room for control messages */
	uint32_t payload_at;  /* where a datagram begins in its frame */

	/* A frame is free, lent to the kernel, or held by the caller. */
	struct mdfh_frames frames;
	struct io_uring_buf_ring *lent_ring; /* where the kernel finds those lent to it */
	uint32_t lent, lent_max;
	struct mdfh_region lent_region;

	int poll_fd;         /* epoll of every socket ... */
	int is_ring_watched; /* ... and of the ring */
	int gone_fd; /* hangs up once the kernel has let go of everything, -1 = no such thing */
};

enum {
	URING_GROUP = 0,         /* id of the only group of buffers */
	URING_CANCEL = UINT8_MAX /* user_data of the request that ends the others; flows are less */
};

/* io_uring_setup.c */
int mdfh_uring_probe(void);
int mdfh_uring_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port);
void mdfh_uring_close(struct mdfh_bypass *port);
/* From here on the calling thread receives. */
int mdfh_uring_enable(struct uring_port *u);
/* Have poll_fd wake for completions that were left in the queue, too. */
int mdfh_uring_watch_ring(struct uring_port *u);

/* 1 if the kernel waits for us to let it work, or for room in the completion queue. */
static inline int mdfh_uring_has_work(const struct uring_port *u)
{
	return (IO_URING_READ_ONCE(*u->ring.sq.kflags) &
		   (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

/* What io_uring_enter refused, as an answer of recv or wait. */
int mdfh_uring_refused(int error);

/* io_uring_poll.c: the operations of mode=poll. */
extern const struct mdfh_bypass_ops mdfh_uring_poll_ops;

#endif
