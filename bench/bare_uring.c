/* bare_uring.c - see bare_uring.h. */
#include "bare_uring.h"

#include <errno.h>
#include <stddef.h>

#include "mdfh/error.h"

#ifdef MDFH_BENCH_URING
#include <liburing.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFERS = 64, BUFFER_BYTES = 2304, COMPLETIONS = 4096 };

struct bare_uring {
	struct io_uring ring;
	struct io_uring_buf_ring *buffers;
	unsigned char *memory;
	struct msghdr header;
	int fd, is_armed;
};

int bare_uring_open(int fd, int stamps, struct bare_uring **opened)
{
	struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
						  IORING_SETUP_DEFER_TASKRUN |
						  IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE,
	    .cq_entries = COMPLETIONS};
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct bare_uring *u = calloc(1, sizeof(*u));
	struct io_uring_buf_reg request = {.ring_entries = BUFFERS};
	int rc;

	if (!u)
		return mdfh_error(-ENOMEM, "io_uring");
	rc = io_uring_queue_init_params(BUFFERS, &u->ring, &params);
	if (rc) {
		free(u);
		return mdfh_error_errno(rc, "io_uring_setup");
	}
	u->fd = fd;
	u->memory = calloc(BUFFERS, BUFFER_BYTES);
	u->buffers = aligned_alloc(page, page);
	if (!u->memory || !u->buffers) {
		bare_uring_close(u);
		return mdfh_error(-ENOMEM, "buffers of io_uring");
	}
	if (stamps)
		u->header.msg_controllen =
		    CMSG_SPACE(sizeof(struct timespec)) + CMSG_SPACE(sizeof(unsigned));
	request.ring_addr = (unsigned long)u->buffers;
	rc = io_uring_register_buf_ring(&u->ring, &request, 0);
	if (rc) {
		bare_uring_close(u);
		return mdfh_error_errno(rc, "a ring of buffers");
	}
	io_uring_buf_ring_init(u->buffers);
	for (int i = 0; i < BUFFERS; i++)
		io_uring_buf_ring_add(u->buffers, u->memory + (size_t)i * BUFFER_BYTES,
		    BUFFER_BYTES, (unsigned short)i, BUFFERS - 1, i);
	io_uring_buf_ring_advance(u->buffers, BUFFERS);
	*opened = u;
	return 0;
}

static void arm(struct bare_uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	io_uring_prep_recvmsg_multishot(sqe, u->fd, &u->header, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 0;
	u->is_armed = 1;
}

int bare_uring_receive(struct bare_uring *u)
{
	struct io_uring_cqe *cqe;
	unsigned head, seen = 0;
	int got = 0;

	if (!u->is_armed)
		arm(u);
	if (!(IO_URING_READ_ONCE(*u->ring.sq.kflags) & IORING_SQ_TASKRUN) &&
	    !io_uring_sq_ready(&u->ring))
		return 0;
	io_uring_submit_and_get_events(&u->ring);
	io_uring_for_each_cqe(&u->ring, head, cqe)
	{
		seen++;
		if (!(cqe->flags & IORING_CQE_F_MORE))
			u->is_armed = 0;
		if (cqe->flags & IORING_CQE_F_BUFFER) {
			unsigned short id = (unsigned short)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);

			io_uring_buf_ring_add(u->buffers, u->memory + (size_t)id * BUFFER_BYTES,
			    BUFFER_BYTES, id, BUFFERS - 1, got++);
		}
	}
	io_uring_cq_advance(&u->ring, seen);
	if (got)
		io_uring_buf_ring_advance(u->buffers, got);
	return got;
}

void bare_uring_close(struct bare_uring *u)
{
	if (!u)
		return;
	io_uring_queue_exit(&u->ring);
	free(u->buffers);
	free(u->memory);
	free(u);
}
#else
int bare_uring_open(int fd, int stamps, struct bare_uring **ring)
{
	(void)fd;
	(void)stamps;
	*ring = NULL;
	return mdfh_error(-ENOTSUP, "this build has no io_uring; install liburing-dev");
}

int bare_uring_receive(struct bare_uring *ring)
{
	(void)ring;
	return 0;
}

void bare_uring_close(struct bare_uring *ring)
{
	(void)ring;
}
#endif
