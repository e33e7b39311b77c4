/* socket.c - kernel UDP sockets, one recvmmsg(2) per batch: works on any Linux host, and is what
 * the bypass backends are compared with.
 *
 * One socket per flow, bound to the flow's group or address (never to INADDR_ANY unless any
 * address is what the flow says), so that the kernel does the filtering and the socket is the flow
 * number:
 *   - multicast: membership on the one interface with IP_MULTICAST_ALL off, so that what another
 *     process joined does not arrive here; sources by source-specific membership;
 *   - unicast: flows of one address that differ in their source are a SO_REUSEPORT group whose
 *     classic BPF program gives each source its socket, and everybody else's packets a socket
 *     that keeps nothing. A filter on the socket itself would do too, but the kernel counts what
 *     it refuses as drops, which then could not be told from a full buffer.
 *
 * When the caller holds all frames, datagrams wait in the socket buffer. A TCP connection is
 * another matter: socket_tcp.c. */
#include "net/socket.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/lines.h"
#include "mdfh/error.h"
#include "net/frames.h"

struct socket_port {
	struct mdfh_sockets sockets; /* first, so a port pointer is a socket_port pointer */

	uint64_t ready; /* bit f: flow f has not had its turn since the kernel called it ready */
	uint64_t all;   /* a bit for each flow */
	uint32_t next;  /* flow whose turn it is */
	int epoll_fd;   /* which of several flows are ready; -1 = there is only one */
	int ask_all;    /* ask every flow instead: one, or busy polling, which recvmmsg does */
	struct mmsghdr *rx;     /* batch_size messages, one for each place of frames ... */
	union control *control; /* ... and their control messages */
	struct mdfh_frames frames;
};

/* Setup ----------------------------------------------------------------- */

static int make_messages(struct socket_port *s, uint32_t n)
{
	s->rx = mdfh_lines_alloc(n, sizeof(*s->rx));
	s->control = mdfh_lines_alloc(n, sizeof(*s->control));
	if (!s->rx || !s->control)
		return mdfh_error(-ENOMEM, "socket: %u messages", n);
	for (uint32_t i = 0; i < n; i++)
		s->rx[i].msg_hdr = (struct msghdr){
		    .msg_iov = &s->frames.iov[i],
		    .msg_iovlen = 1,
		    .msg_control = &s->control[i],
		    .msg_controllen = sizeof(s->control[i].room),
		};
	return 0;
}

static void socket_close(struct mdfh_bypass *port)
{
	struct socket_port *s = (struct socket_port *)port;

	mdfh_sockets_close(&s->sockets);
	if (s->epoll_fd >= 0)
		close(s->epoll_fd);
	free(s->rx);
	free(s->control);
	mdfh_frames_unmap(&s->frames);
	free(s);
}

/* What says which flows have something: the one socket, or an epoll of several. */
static int watch(struct socket_port *s, const struct mdfh_bypass_config *config)
{
	uint32_t count = s->sockets.flow_count;

	for (uint32_t i = 0; i < count; i++)
		s->all |= UINT64_C(1) << i;
	s->ask_all = count == 1 || config->busy_poll_us;
	s->sockets.base.capabilities.poll_fd = s->sockets.flows[0].fd;
	if (count == 1)
		return 0;
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll_fd < 0)
		return mdfh_socket_error(-errno, "socket: epoll_create1");
	s->sockets.base.capabilities.poll_fd = s->epoll_fd;
	for (uint32_t i = 0; i < count; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};

		if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->sockets.flows[i].fd, &event))
			return mdfh_error_errno(-errno, "socket: epoll_ctl");
	}
	return 0;
}

static int socket_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port)
{
	struct socket_port *s;
	int rc;

	if (config->transport == MDFH_TRANSPORT_TCP)
		return mdfh_tcp_open(config, port);
	rc = mdfh_sockets_check(config, "socket");
	if (rc)
		return rc;
	if (config->backend_options && *config->backend_options)
		return mdfh_error(-EINVAL,
		    "socket: backend_options is '%.100s'; without transport TCP it has none",
		    config->backend_options);
	s = mdfh_lines_alloc(1, sizeof(*s));
	if (!s)
		return mdfh_error(-ENOMEM, "socket: %zu bytes", sizeof(*s));
	s->epoll_fd = -1;
	s->sockets.base.capabilities.numa_node = -1;
	if (config->direction != MDFH_DIRECTION_SEND)
		rc = mdfh_frames_map(&s->frames, "socket", config, &s->sockets.base.capabilities);
	if (!rc && config->direction != MDFH_DIRECTION_SEND)
		rc = make_messages(s, config->batch_size);
	if (!rc)
		rc = mdfh_sockets_open(&s->sockets, "socket", config);
	if (!rc && s->sockets.receives)
		rc = watch(s, config);
	if (rc) {
		socket_close(&s->sockets.base);
		return rc;
	}
	*port = &s->sockets.base;
	return 0;
}

/* Data path: one system call a batch, and one more to ask which of several flows is ready ------ */

static int receive_flow(
    struct socket_port *s, uint32_t index, struct mdfh_packet *packets, unsigned n)
{
	struct flow *flow = &s->sockets.flows[index];
	unsigned armed = mdfh_frames_arm(&s->frames, n);
	uint64_t bytes = 0;
	int got;

	if (!armed) {
		s->sockets.base.stats.rx_starved++;
		return 0;
	}
	got = recvmmsg(flow->fd, s->rx, armed, MSG_DONTWAIT, NULL);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR
			   ? 0
			   : mdfh_error_errno(-EIO, "socket: recvmmsg of flows[%u]", index);
	for (int i = 0; i < got; i++) {
		struct msghdr *header = &s->rx[i].msg_hdr;
		struct mdfh_packet *packet = &packets[i];

		*packet = (struct mdfh_packet){
		    .data = s->frames.iov[i].iov_base,
		    .cookie = mdfh_frames_take(&s->frames, (unsigned)i),
		    .length = s->rx[i].msg_len,
		    .time_error_ns = s->sockets.time_error_ns,
		    .flow = (uint16_t)index,
		};
		/* A cut datagram is reported only here. */
		if (header->msg_flags & MSG_TRUNC) {
			packet->flags = MDFH_PACKET_TRUNCATED;
			s->sockets.base.stats.rx_truncated++;
		}
		mdfh_sockets_read_control(&s->sockets, flow, header, packet);
		header->msg_controllen = sizeof(s->control[i].room);
		bytes += packet->length;
	}
	s->sockets.base.stats.rx_bytes += bytes;
	return got;
}

/* The flows to ask. */
static uint64_t find_ready(struct socket_port *s)
{
	struct epoll_event events[MDFH_BYPASS_FLOWS_MAX];
	uint64_t ready = 0;
	int n;

	if (s->ask_all)
		return s->all;
	n = epoll_wait(s->epoll_fd, events, MDFH_BYPASS_FLOWS_MAX, 0);
	for (int i = 0; i < n; i++)
		ready |= UINT64_C(1) << events[i].data.u32;
	return ready;
}

/* Flows that are ready have their turn one after the other, each at most once until all have had
 * it, so that a busy one cannot starve the rest. */
static int socket_recv(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	struct socket_port *s = (struct socket_port *)port;
	uint64_t ready = s->ready ? s->ready : find_ready(s);
	int got = 0;

	while (ready && got < n) {
		uint64_t ahead = ready & UINT64_MAX << s->next;
		uint32_t index = (uint32_t)__builtin_ctzll(ahead ? ahead : ready);
		int rc = receive_flow(s, index, packets + got, (unsigned)(n - got));

		if (rc < 0 && !got)
			return rc;
		if (rc < 0) /* the next call meets it again */
			break;
		got += rc;
		ready &= ~(UINT64_C(1) << index);
		s->next = (index + 1) & 63;
	}
	s->ready = ready;
	port->stats.rx_packets += (uint64_t)got;
	if (got)
		port->stats.rx_batches++;
	else
		port->stats.rx_empty++;
	return got;
}

static void socket_release(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	mdfh_frames_release(&((struct socket_port *)port)->frames, packets, n);
}

const struct mdfh_bypass_ops mdfh_socket_ops = {
    .size = sizeof(mdfh_socket_ops),
    .name = "socket",
    .description = "UDP and TCP through kernel sockets",
    .open = socket_open,
    .recv = socket_recv,
    .release = socket_release,
    .send = mdfh_sockets_send,
    .close = socket_close,
    .stats = mdfh_sockets_stats,
    .local_port = mdfh_sockets_local_port,
};
