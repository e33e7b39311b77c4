/* io_uring_setup.c - how a port of backend io_uring is opened and closed: the ring, its buffers, and
 * what tells that the kernel has let go of them. */
#include "modules/io_uring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/lines.h"
#include "mdfh/error.h"

enum {
	RING_MAX = 32768,    /* buffers that a ring of buffers can have */
	SUBMISSIONS = 128,   /* more than a request per flow and one to cancel them */
	LENT_PER_FLOW = 64,  /* the kernel takes up to 32 datagrams of a flow at a time */
	POLL_IDLE_MS = 1000, /* without work the kernel's thread goes to sleep */
	CLOSE_ROUNDS = 64,
	CLOSE_WAIT_MS = 2000,
};

/* Options ------------------------------------------------------------------------------------- */

enum mode { POLL, DEFER, COOP, SQPOLL };

struct options {
	enum mode mode;
	uint64_t core; /* + 1; 0 = any */
	int is_gro;
};

static int read_options(const char *text, struct options *options)
{
	static const char *const known[] = {"mode", "sqpoll_core", "gro", NULL};
	static const char *const modes[] = {"poll", "defer", "coop", "sqpoll"};
	uint64_t core = UINT64_MAX;
	char mode[32];
	int rc = mdfh_option_known(text, "io_uring", known);

	*options = (struct options){0};
	if (rc)
		return rc;
	if (mdfh_option_get(text, "mode", mode, sizeof(mode))) {
		size_t i = 0;

		while (i < 4 && strcmp(mode, modes[i]) != 0)
			i++;
		if (i == 4)
			return mdfh_error(-EINVAL,
			    "io_uring: mode is '%s'; it must be poll, defer, coop or sqpoll", mode);
		options->mode = (enum mode)i;
	}
	rc = mdfh_option_number(text, "sqpoll_core", 0, 65535, &core);
	if (rc)
		return rc;
	if (core != UINT64_MAX && options->mode != SQPOLL)
		return mdfh_error(
		    -EINVAL, "io_uring: sqpoll_core is set; it is for mode=sqpoll only");
	options->core = core + 1;
	rc = mdfh_datagrams_read_gro(text, "io_uring");
	if (rc < 0)
		return rc;
	options->is_gro = rc;
	if (rc && options->mode != POLL)
		return mdfh_error(-ENOTSUP,
		    "io_uring: gro is on and mode is %s; datagrams that come together are taken "
		    "apart in mode=poll only",
		    modes[options->mode]);
	return 0;
}

/* The ring ------------------------------------------------------------------------------------ */

/* A sentence for a ring that the kernel does not give. */
static int ring_refused(int error)
{
	char text[16] = "";
	FILE *file;

	if (error == -ENOSYS)
		return mdfh_error(-ENOTSUP,
		    "io_uring: this kernel has no io_uring; Linux 6.0 or later is needed");
	if (error != -EPERM)
		return mdfh_error_errno(error, "io_uring: io_uring_setup");
	file = fopen("/proc/sys/kernel/io_uring_disabled", "re");
	if (file) {
		if (!fgets(text, sizeof(text), file))
			text[0] = '\0';
		text[strcspn(text, "\n")] = '\0';
		fclose(file);
	}
	if (text[0] && strcmp(text, "0") != 0)
		return mdfh_error(-EPERM,
		    "io_uring: it is disabled here: kernel.io_uring_disabled is %s; run `sysctl -w "
		    "kernel.io_uring_disabled=0`",
		    text);
	return mdfh_error(-EPERM,
	    "io_uring: it is forbidden to this process, most likely by the seccomp filter of a "
	    "container; allow io_uring_setup, io_uring_enter and io_uring_register there");
}

/* A ring that is not enabled yet: the thread that enables it is the one that may use it. The best
 * flags that the kernel knows, from the mode on. */
static int make_ring(struct io_uring *ring, unsigned completions, const struct options *options)
{
	static const unsigned flags[] = {
	    [DEFER] = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
		      IORING_SETUP_TASKRUN_FLAG, /* Linux 6.1 */
	    [COOP] =
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	    [SQPOLL] = IORING_SETUP_SQPOLL,
	};
	enum mode mode = options->mode == POLL ? DEFER : options->mode;
	int rc;

	do {
		struct io_uring_params params = {
		    .flags = flags[mode] | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE |
			     (options->core ? IORING_SETUP_SQ_AFF : 0),
		    .cq_entries = completions,
		    .sq_thread_cpu = options->core ? (unsigned)options->core - 1 : 0,
		    .sq_thread_idle = POLL_IDLE_MS,
		};

		rc = io_uring_queue_init_params(SUBMISSIONS, ring, &params);
	} while (rc == -EINVAL && mode++ == DEFER);
	if (!rc)
		return 0;
	if (rc != -EINVAL)
		return ring_refused(rc);
	if (options->core)
		return mdfh_error(-EINVAL,
		    "io_uring: sqpoll_core is %llu; this process may not use that core",
		    (unsigned long long)options->core - 1);
	return mdfh_error(
	    -ENOTSUP, "io_uring: this kernel's io_uring is too old; Linux 6.0 or later is needed");
}

static int register_buffers(struct io_uring *ring, void *memory, unsigned entries)
{
	struct io_uring_buf_reg request = {
	    .ring_addr = (unsigned long)memory, .ring_entries = entries, .bgid = URING_GROUP};
	int rc = io_uring_register_buf_ring(ring, &request, 0);

	return rc ? mdfh_error_errno(rc, "io_uring: a ring of %u buffers", entries) : 0;
}

static int enable(struct io_uring *ring)
{
	int rc = io_uring_register((unsigned)ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);

	return rc < 0 ? mdfh_error_errno(rc, "io_uring: IORING_REGISTER_ENABLE_RINGS") : 0;
}

int mdfh_uring_enable(struct uring_port *u)
{
	int rc = enable(&u->ring);

	u->is_enabled = !rc;
	return rc;
}

/* Probe --------------------------------------------------------------------------------------- */

/* Receive one datagram by a multishot request into a ring of buffers. */
static int try_receive(struct io_uring *ring, const int *pair, void *memory)
{
	struct io_uring_buf_ring *buffers = memory;
	struct msghdr header = {0};
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	int rc = register_buffers(ring, buffers, 1);

	if (rc)
		return rc;
	io_uring_buf_ring_init(buffers);
	io_uring_buf_ring_add(buffers, (uint8_t *)memory + 1024, 256, 0, 0, 0);
	io_uring_buf_ring_advance(buffers, 1);
	rc = enable(ring);
	if (rc)
		return rc;
	sqe = io_uring_get_sqe(ring);
	io_uring_prep_recvmsg_multishot(sqe, pair[0], &header, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = URING_GROUP;
	rc = io_uring_submit_and_get_events(ring);
	if (rc < 0)
		return mdfh_error_errno(rc, "io_uring: io_uring_enter");
	/* An answer is here already: the datagram was sent before. */
	if (io_uring_peek_cqe(ring, &cqe))
		return mdfh_error(-ENOTSUP, "io_uring: a request was not answered");
	return cqe->res > 0 && cqe->flags & IORING_CQE_F_BUFFER
		   ? 0
		   : mdfh_error(-ENOTSUP,
			 "io_uring: this kernel has no multishot receive (%s); Linux 6.0 or later "
			 "is needed",
			 strerror(-cqe->res));
}

int mdfh_uring_probe(void)
{
	struct io_uring ring;
	void *memory = NULL;
	int pair[2];
	int rc = make_ring(&ring, 2 * SUBMISSIONS, &(const struct options){0});

	if (rc)
		return rc;
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair)) {
		rc = mdfh_error_errno(-errno, "io_uring: socketpair");
		goto out_ring;
	}
	memory = aligned_alloc((size_t)sysconf(_SC_PAGESIZE), (size_t)sysconf(_SC_PAGESIZE));
	if (!memory || send(pair[1], "x", 1, 0) != 1)
		rc = mdfh_error_errno(memory ? -errno : -ENOMEM, "io_uring: probe");
	else
		rc = try_receive(&ring, pair, memory);
	close(pair[0]);
	close(pair[1]);
out_ring:
	io_uring_queue_exit(&ring);
	free(memory);
	return rc;
}

/* Open ---------------------------------------------------------------------------------------- */

static uint32_t power_of_two(uint32_t at_least)
{
	uint32_t n = 1;

	while (n < at_least)
		n *= 2;
	return n;
}

static int check(const struct mdfh_bypass_config *config, const struct options *options)
{
	int rc = mdfh_sockets_check(config, "io_uring");

	if (rc)
		return rc;
	if (config->rx_ring_size > RING_MAX && options->mode != POLL)
		return mdfh_error(-EINVAL,
		    "io_uring: rx_ring_size is %u; a ring of buffers has at most %d",
		    config->rx_ring_size, RING_MAX);
	if (config->busy_poll_us)
		return mdfh_error(-ENOTSUP,
		    "io_uring: busy_poll_us is %u; io_uring reads a socket only once something has "
		    "arrived on it, so there is nothing to poll: set it to 0, or use backend "
		    "socket",
		    config->busy_poll_us);
	return 0;
}

static int map_frames(struct uring_port *u, const struct mdfh_bypass_config *config)
{
	struct mdfh_bypass_config larger = *config;
	struct mdfh_region_config region = {
	    .size = sizeof(region), .hugepages = MDFH_OFF, .touch = MDFH_ON};
	size_t control = CMSG_SPACE(sizeof(uint32_t));
	int rc;

	if (config->timestamps == MDFH_TIMESTAMPS_HARDWARE)
		control += CMSG_SPACE(sizeof(struct scm_timestamping));
	else if (config->timestamps != MDFH_TIMESTAMPS_OFF)
		control += CMSG_SPACE(sizeof(struct timespec));
	u->header.msg_controllen = control;
	u->payload_at = (uint32_t)(sizeof(struct io_uring_recvmsg_out) + control);
	larger.frame_size += u->payload_at;
	rc = mdfh_frames_map(&u->frames, "io_uring", &larger, &u->sockets.base.capabilities);
	if (rc)
		return rc;
	/* For one flow no more than recv takes, so that nothing stays behind in the queue. */
	u->lent_max = config->flow_count * LENT_PER_FLOW;
	if (u->lent_max > u->frames.pool.count || u->is_polled)
		u->lent_max = u->frames.pool.count;
	region.bytes = u->frames.pool.count * sizeof(struct io_uring_buf);
	rc = mdfh_region_map(&region, &u->lent_region);
	if (rc)
		return rc;
	u->lent_ring = u->lent_region.base;
	rc = register_buffers(&u->ring, u->lent_ring, u->frames.pool.count);
	if (!rc)
		io_uring_buf_ring_init(u->lent_ring);
	return rc;
}

/* A pipe that the ring has the writing end of, and nobody else: it hangs up when the ring is really
 * gone, which is some time after its descriptor has been closed. */
static int watch_end(struct uring_port *u)
{
	int ends[2];
	int rc;

	if (pipe2(ends, O_CLOEXEC))
		return mdfh_error_errno(-errno, "io_uring: pipe2");
	u->gone_fd = ends[0];
	rc = io_uring_register_files(&u->ring, &ends[1], 1);
	close(ends[1]);
	return rc ? mdfh_error_errno(rc, "io_uring: IORING_REGISTER_FILES") : 0;
}

int mdfh_uring_watch_ring(struct uring_port *u)
{
	struct epoll_event event = {.events = EPOLLIN};

	if (epoll_ctl(u->poll_fd, EPOLL_CTL_ADD, u->ring.ring_fd, &event))
		return mdfh_error_errno(-errno, "io_uring: epoll_ctl");
	u->is_ring_watched = 1;
	return 0;
}

/* The sockets say what recv would receive: the work is done there, so that the ring alone would never
 * wake anybody; with mode=poll they say all but what is left of trains. The ring says what has been received and was not taken, which costs a wake-up for
 * each batch: it is watched only where that can be. Without DEFER_TASKRUN the kernel does the work
 * whenever this thread returns from it, be it from an interrupt. */
static int watch_all(struct uring_port *u, const struct mdfh_bypass_config *config)
{
	struct epoll_event event = {.events = EPOLLIN};

	u->sockets.base.capabilities.poll_fd = u->sockets.flows[0].fd;
	if (u->polls && u->sockets.flow_count == 1 && !u->datagrams.is_gro)
		return 0;
	u->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (u->poll_fd < 0)
		return mdfh_error_errno(-errno, "io_uring: epoll_create1");
	u->sockets.base.capabilities.poll_fd = u->poll_fd;
	for (uint32_t i = 0; i < u->sockets.flow_count; i++)
		if (epoll_ctl(u->poll_fd, EPOLL_CTL_ADD, u->sockets.flows[i].fd, &event))
			return mdfh_error_errno(-errno, "io_uring: epoll_ctl");
	if (u->datagrams.is_gro &&
	    epoll_ctl(u->poll_fd, EPOLL_CTL_ADD, u->datagrams.left_fd, &event))
		return mdfh_error_errno(-errno, "io_uring: epoll_ctl");
	if (u->polls)
		return 0;
	return u->lent_max > config->batch_size || !(u->ring.flags & IORING_SETUP_DEFER_TASKRUN)
		   ? mdfh_uring_watch_ring(u)
		   : 0;
}

static int open_receiving(
    struct uring_port *u, const struct mdfh_bypass_config *config, const struct options *options)
{
	/* A completion per buffer, or per flow, and the end of every request. */
	uint32_t buffers = u->polls ? 0 : config->rx_ring_size;
	int rc = make_ring(&u->ring, power_of_two(buffers + 2 * SUBMISSIONS), options);

	if (rc)
		return rc;
	u->has_ring = 1;
	u->is_polled = options->mode == SQPOLL;
	if (!u->polls)
		rc = map_frames(u, config);
	if (!rc)
		rc = watch_end(u);
	if (!rc)
		rc = watch_all(u, config);
	for (uint32_t i = 0; i < u->sockets.flow_count; i++)
		u->unarmed |= UINT64_C(1) << i;
	return rc;
}

/* What the kernel granted: defer becomes coop on one before Linux 6.1. */
static const char *mode_of(const struct uring_port *u, const struct options *options)
{
	if (u->polls)
		return options->is_gro ? "poll, GRO" : "poll";
	if (u->is_polled)
		return "sqpoll";
	return u->ring.flags & IORING_SETUP_DEFER_TASKRUN ? "defer" : "coop";
}

int mdfh_uring_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port)
{
	struct options options;
	struct uring_port *u;
	int rc = read_options(config->backend_options, &options);

	if (!rc)
		rc = check(config, &options);
	if (rc)
		return rc;
	u = mdfh_lines_alloc(1, sizeof(*u));
	if (!u)
		return mdfh_error(-ENOMEM, "io_uring: %zu bytes", sizeof(*u));
	u->poll_fd = u->gone_fd = -1;
	u->sockets.base.capabilities.numa_node = -1;
	u->polls = options.mode == POLL;
	if (u->polls)
		u->sockets.base.ops = &mdfh_uring_poll_ops;
	if (u->polls && config->direction != MDFH_DIRECTION_SEND)
		rc = mdfh_datagrams_open(
		    &u->datagrams, &u->sockets, "io_uring", config, options.is_gro);
	if (!rc)
		rc = mdfh_sockets_open(&u->sockets, "io_uring", config);
	if (!rc && u->sockets.receives)
		rc = open_receiving(u, config, &options);
	if (rc) {
		mdfh_uring_close(&u->sockets.base);
		return rc;
	}
	if (u->has_ring)
		u->sockets.base.capabilities.mode = mode_of(u, &options);
	*port = &u->sockets.base;
	return 0;
}

/* Close --------------------------------------------------------------------------------------- */

/* End all requests. 1 if they have ended, 0 if this is not the thread that may do that. */
static int cancel_all(struct uring_port *u)
{
	uint64_t armed = 0;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	for (uint32_t i = 0; i < u->sockets.flow_count; i++)
		armed |= UINT64_C(1) << i;
	armed &= ~u->unarmed;
	if (!sqe)
		return 0;
	io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
	sqe->user_data = URING_CANCEL;
	for (int i = 0; armed && i < CLOSE_ROUNDS; i++) {
		struct io_uring_cqe *cqe;
		unsigned head, seen = 0;

		if (io_uring_submit_and_get_events(&u->ring) < 0)
			return 0;
		io_uring_for_each_cqe(&u->ring, head, cqe)
		{
			seen++;
			if (cqe->user_data != URING_CANCEL && !(cqe->flags & IORING_CQE_F_MORE))
				armed &= ~(UINT64_C(1) << cqe->user_data);
		}
		io_uring_cq_advance(&u->ring, seen);
	}
	return !armed;
}

/* Works on a port in any state of being opened. The kernel ends a ring's requests some time after
 * its descriptor has been closed, unless they are ended first; until then it has the sockets, and
 * with them their ports. */
void mdfh_uring_close(struct mdfh_bypass *port)
{
	struct uring_port *u = (struct uring_port *)port;

	if (u->has_ring) {
		int has_ended = !u->is_enabled || cancel_all(u);
		struct pollfd gone = {.fd = u->gone_fd};

		io_uring_queue_exit(&u->ring);
		if (!has_ended)
			(void)poll(&gone, 1, CLOSE_WAIT_MS);
	}
	if (u->poll_fd >= 0)
		close(u->poll_fd);
	if (u->gone_fd >= 0)
		close(u->gone_fd);
	mdfh_sockets_close(&u->sockets);
	mdfh_datagrams_close(&u->datagrams);
	mdfh_frames_unmap(&u->frames);
	if (u->lent_region.base)
		mdfh_region_unmap(&u->lent_region);
	free(u);
}
