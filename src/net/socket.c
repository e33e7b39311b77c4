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
#include "net/datagrams.h"

struct socket_port {
	struct mdfh_sockets sockets; /* first, so a port pointer is a socket_port pointer */

	uint64_t all; /* a bit for each flow */
	int epoll_fd; /* which of several flows are ready, or trains left; -1 = there is only one flow */
	int ask_all; /* ask every flow instead: one, or busy polling, which recvmmsg does */
	struct mdfh_datagrams datagrams;
};

/* Setup ----------------------------------------------------------------- */

static void socket_close(struct mdfh_bypass *port)
{
	struct socket_port *s = (struct socket_port *)port;

	mdfh_sockets_close(&s->sockets);
	if (s->epoll_fd >= 0)
		close(s->epoll_fd);
	mdfh_datagrams_close(&s->datagrams);
	free(s);
}

static int watch_one(const struct socket_port *s, int fd, uint32_t number)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};

	return epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event)
		   ? mdfh_error_errno(-errno, "socket: epoll_ctl")
		   : 0;
}

/* What says which flows have something: the one socket, or an epoll of several. */
static int watch(struct socket_port *s, const struct mdfh_bypass_config *config)
{
	uint32_t count = s->sockets.flow_count;
	int rc = 0;

	for (uint32_t i = 0; i < count; i++)
		s->all |= UINT64_C(1) << i;
	s->ask_all = count == 1 || config->busy_poll_us;
	s->sockets.base.capabilities.poll_fd = s->sockets.flows[0].fd;
	if (count == 1 && !s->datagrams.is_gro)
		return 0;
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll_fd < 0)
		return mdfh_socket_error(-errno, "socket: epoll_create1");
	s->sockets.base.capabilities.poll_fd = s->epoll_fd;
	if (s->datagrams.is_gro)
		rc = watch_one(s, s->datagrams.left_fd, MDFH_BYPASS_FLOWS_MAX);
	for (uint32_t i = 0; i < count && !rc; i++)
		rc = watch_one(s, s->sockets.flows[i].fd, i);
	return rc;
}

static int read_options(const struct mdfh_bypass_config *config)
{
	static const char *const known[] = {"gro", NULL};
	int rc =
	    mdfh_option_known(config->backend_options, "socket (without transport TCP)", known);

	return rc ? rc : mdfh_datagrams_read_gro(config->backend_options, "socket");
}

static int socket_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port)
{
	struct socket_port *s;
	int rc, is_gro;

	if (config->transport == MDFH_TRANSPORT_TCP)
		return mdfh_tcp_open(config, port);
	rc = mdfh_sockets_check(config, "socket");
	is_gro = rc ? rc : read_options(config);
	if (is_gro < 0)
		return is_gro;
	s = mdfh_lines_alloc(1, sizeof(*s));
	if (!s)
		return mdfh_error(-ENOMEM, "socket: %zu bytes", sizeof(*s));
	s->epoll_fd = -1;
	s->sockets.base.capabilities.numa_node = -1;
	if (config->direction != MDFH_DIRECTION_SEND)
		rc = mdfh_datagrams_open(&s->datagrams, &s->sockets, "socket", config, is_gro);
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
		if (events[i].data.u32 < MDFH_BYPASS_FLOWS_MAX)
			ready |= UINT64_C(1) << events[i].data.u32;
	return ready;
}

static int socket_recv(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	struct socket_port *s = (struct socket_port *)port;
	uint64_t empty;
	int got;

	if (!s->datagrams.turn && !mdfh_datagrams_are_left(&s->datagrams))
		s->datagrams.turn = find_ready(s);
	got = mdfh_datagrams_recv(&s->datagrams, packets, n, &empty);
	if (got < 0)
		return got;
	port->stats.rx_packets += (uint64_t)got;
	if (got)
		port->stats.rx_batches++;
	else
		port->stats.rx_empty++;
	return got;
}

static void socket_release(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	mdfh_datagrams_release(&((struct socket_port *)port)->datagrams, packets, n);
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
