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
 * Packets are read into frames of one region. A frame is given to the kernel only while it is
 * free, so packets may be held for as long as frames last; after that datagrams wait in the
 * socket buffer. The free list is a stack: the frame released last is the one still in cache. */
#include "net/socket.h"

#include <errno.h>
#include <linux/net_tstamp.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timex.h>
#include <unistd.h>

#include "mdfh/cpu.h"
#include "mdfh/error.h"

enum {
	FRAME_NONE = -1,
	DROPS_KNOWN_SOCKET = 4, /* bit of known_drops */
};

/* Setup: memory -------------------------------------------------------- */

static int map_frames(struct socket_port *s, const struct mdfh_bypass_config *config)
{
	struct mdfh_region_config region = {
	    .size = sizeof(region), .hugepages = config->hugepages, .touch = MDFH_ON};
	int rc;

	s->frame_size = config->frame_size;
	s->frame_stride =
	    (config->frame_size + MDFH_CACHE_LINE - 1) & ~(uint32_t)(MDFH_CACHE_LINE - 1);
	s->frame_count = config->rx_ring_size;
	region.bytes = (size_t)s->frame_stride * s->frame_count;
	if (config->enable_numa_awareness == MDFH_ON && config->interface)
		region.numa_node = mdfh_interface_node(config->interface) + 1;
	rc = mdfh_region_map(&region, &s->region);
	if (rc)
		return rc;
	s->frames = s->region.base;
	s->free = calloc(s->frame_count, sizeof(*s->free));
	s->held = calloc(s->frame_count, sizeof(*s->held));
	s->rx = calloc(config->batch_size, sizeof(*s->rx));
	s->rx_iov = calloc(config->batch_size, sizeof(*s->rx_iov));
	s->rx_frame = calloc(config->batch_size, sizeof(*s->rx_frame));
	s->control = calloc(config->batch_size, sizeof(*s->control));
	if (!s->free || !s->held || !s->rx || !s->rx_iov || !s->rx_frame || !s->control)
		return mdfh_error(
		    -ENOMEM, "socket: bookkeeping of %u packets", config->rx_ring_size);
	for (uint32_t i = 0; i < s->frame_count; i++)
		s->free[i] = s->frame_count - 1 - i;
	s->free_count = s->frame_count;
	for (uint32_t i = 0; i < config->batch_size; i++) {
		s->rx_frame[i] = FRAME_NONE;
		s->rx_iov[i].iov_len = s->frame_size;
		s->rx[i].msg_hdr = (struct msghdr){
		    .msg_iov = &s->rx_iov[i],
		    .msg_iovlen = 1,
		    .msg_control = &s->control[i],
		    .msg_controllen = sizeof(s->control[i].room),
		};
	}
	s->base.capabilities.numa_node = s->region.node;
	s->base.capabilities.hugepages = s->region.page_bytes >= 2u << 20;
	s->base.capabilities.hold_max = config->rx_ring_size - config->batch_size;
	return 0;
}

static int make_tx(struct socket_port *s)
{
	s->tx = calloc(MDFH_BYPASS_BATCH_MAX, sizeof(*s->tx));
	s->tx_iov = calloc(MDFH_BYPASS_BATCH_MAX, sizeof(*s->tx_iov));
	if (!s->tx || !s->tx_iov)
		return mdfh_error(-ENOMEM, "socket: %d messages", MDFH_BYPASS_BATCH_MAX);
	for (int i = 0; i < MDFH_BYPASS_BATCH_MAX; i++)
		s->tx[i].msg_hdr = (struct msghdr){.msg_iov = &s->tx_iov[i], .msg_iovlen = 1};
	return 0;
}

/* How far the clock of the kernel's stamps may be from UTC, by its own account. What disciplines a
 * NIC's clock is not known here. */
static void update_clock_quality(struct socket_port *s)
{
	struct timex t = {0};

	s->time_flags &= (uint16_t)~MDFH_PACKET_CLOCK_SYNC;
	s->time_error_ns = UINT32_MAX;
	if (!(s->time_flags & MDFH_PACKET_TIME_KERNEL))
		return;
	if (adjtimex(&t) < 0 || t.status & STA_UNSYNC || t.maxerror < 0 ||
	    t.maxerror >= UINT32_MAX / 1000)
		return;
	s->time_flags |= MDFH_PACKET_CLOCK_SYNC;
	s->time_error_ns = (uint32_t)t.maxerror * 1000;
}

/* Setup: the whole ----------------------------------------------------- */

/* The rest of an address of which a flow takes one source belongs to an "any address" flow of that
 * port, but the kernel gives it to the sockets of the address alone. */
static int check_rest(const struct mdfh_bypass_config *config)
{
	for (uint32_t i = 0; i < config->flow_count; i++)
		for (uint32_t k = 0; k < config->flow_count; k++) {
			const struct mdfh_flow *any = &config->flows[i], *one = &config->flows[k];
			struct mdfh_address address;

			if (any->group || !one->source || any->port != one->port)
				continue;
			if (mdfh_address_parse(one->group, 0, &address) &&
			    !mdfh_address_is_multicast(&address))
				return mdfh_error(-ENOTSUP,
				    "socket: flows[%u] takes one source of %s and flows[%u] any "
				    "address "
				    "of port %u; give flows[%u] the address",
				    k, one->group, i, any->port, i);
		}
	return 0;
}

static int check(const struct mdfh_bypass_config *config)
{
	if (config->transport == MDFH_TRANSPORT_TCP)
		return mdfh_error(-ENOTSUP, "socket: transport is TCP; this backend has only UDP");
	if (!config->flow_count)
		return mdfh_error(-EINVAL, "socket: there is no flow; set host and port, or flows");
	if (config->require_zero_copy == MDFH_ON)
		return mdfh_error(-ENOTSUP,
		    "socket: require_zero_copy is on, and the kernel copies every packet of a "
		    "socket");
	if (config->queue)
		return mdfh_error(
		    -ENOTSUP, "socket: queue is %u; a socket has no queues", config->queue);
	if (config->backend_options && *config->backend_options)
		return mdfh_error(-EINVAL, "socket: backend_options is '%.100s'; it has none",
		    config->backend_options);
	for (uint32_t i = 0; i < config->flow_count; i++)
		if (config->flows[i].vlan)
			return mdfh_error(-ENOTSUP,
			    "socket: flows[%u].vlan is %u; a socket does not see VLANs: set "
			    "interface to the VLAN's device instead",
			    i, config->flows[i].vlan);
	if (config->hold_max > config->rx_ring_size - config->batch_size)
		return mdfh_error(-EINVAL,
		    "socket: hold_max is %u; with rx_ring_size %u and batch_size %u at most %u "
		    "packets can be held",
		    config->hold_max, config->rx_ring_size, config->batch_size,
		    config->rx_ring_size - config->batch_size);
	return check_rest(config);
}
static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* Works on a port in any state of being opened. */
static void socket_close(struct mdfh_bypass *port)
{
	struct socket_port *s = (struct socket_port *)port;

	for (uint32_t i = 0; i < s->flow_count; i++) {
		close_fd(s->flows[i].fd);
		close_fd(s->flows[i].trash_fd);
	}
	close_fd(s->epoll_fd);
	close_fd(s->tx_fd[0]);
	close_fd(s->tx_fd[1]);
	free(s->free);
	free(s->held);
	free(s->rx);
	free(s->rx_iov);
	free(s->rx_frame);
	free(s->control);
	free(s->tx);
	free(s->tx_iov);
	if (s->region.base)
		mdfh_region_unmap(&s->region);
	free(s);
}

static int socket_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port)
{
	struct socket_port *s;
	int rc = check(config);

	if (rc)
		return rc;
	s = calloc(1, sizeof(*s));
	if (!s)
		return mdfh_error(-ENOMEM, "socket: %zu bytes", sizeof(*s));
	s->epoll_fd = s->tx_fd[0] = s->tx_fd[1] = -1;
	s->flow_count = config->flow_count;
	s->base.capabilities = (struct mdfh_bypass_capabilities){
	    .size = sizeof(s->base.capabilities),
	    .copy_reason = "kernel",
	    .filters = MDFH_PLACE_KERNEL,
	    .can_send = config->direction != MDFH_DIRECTION_RECEIVE,
	    .queues = 1,
	    .frame_size = config->frame_size,
	    .poll_fd = -1,
	    .numa_node = -1,
	    .warning = s->warning,
	};
	s->base.stats.known_drops = DROPS_KNOWN_SOCKET;
	if (config->interface) {
		s->interface_index = if_nametoindex(config->interface);
		if (!s->interface_index)
			rc = mdfh_error_errno(-errno, "socket: interface '%s'", config->interface);
	}
	for (uint32_t i = 0; i < s->flow_count; i++)
		mdfh_socket_fill_flow(&s->flows[i], &config->flows[i], s->interface_index);
	if (!rc && config->direction != MDFH_DIRECTION_SEND) {
		rc = map_frames(s, config);
		if (!rc)
			rc = mdfh_socket_open_receiving(s, config);
		update_clock_quality(s);
	}
	if (!rc && config->direction != MDFH_DIRECTION_RECEIVE) {
		rc = make_tx(s);
		if (!rc)
			rc = mdfh_socket_open_sending(s, config);
	}
	if (rc) {
		socket_close(&s->base);
		return rc;
	}
	*port = &s->base;
	return 0;
}

/* Data path: one system call a batch, and one more to ask which of several flows is ready ------ */

/* Add what the kernel's wrapping counter has grown by. The value that comes with a packet is that
 * of its arrival, so it may be older than the one seen last. */
static void count_drops(uint32_t *seen, uint32_t now, uint64_t *total)
{
	int32_t grown = (int32_t)(now - *seen);

	if (grown <= 0)
		return;
	*seen = now;
	*total += (uint32_t)grown;
}

static uint64_t ns_of(const void *data)
{
	struct timespec t;

	memcpy(&t, data, sizeof(t));
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void read_control(
    struct socket_port *s, struct flow *flow, struct msghdr *header, struct mdfh_packet *packet)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SO_RXQ_OVFL) {
			uint32_t drops;

			memcpy(&drops, CMSG_DATA(c), sizeof(drops));
			count_drops(&flow->drops, drops, &s->base.stats.rx_dropped_socket);
		} else if (c->cmsg_type == s->cmsg_type) {
			/* The hardware's stamp is the last of three. */
			size_t at =
			    c->cmsg_type == SCM_TIMESTAMPING ? 2 * sizeof(struct timespec) : 0;

			packet->receive_ns = ns_of(CMSG_DATA(c) + at);
		}
	}
	if (packet->receive_ns)
		packet->flags |= s->time_flags;
}

/* Give the first n messages frames. Returns how many have one. */
static unsigned arm(struct socket_port *s, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		uint32_t frame;

		if (s->rx_frame[i] != FRAME_NONE)
			continue;
		if (!s->free_count)
			break;
		frame = s->free[--s->free_count];
		s->rx_frame[i] = (int32_t)frame;
		s->rx_iov[i].iov_base = s->frames + (size_t)frame * s->frame_stride;
	}
	return i;
}

static int receive_flow(
    struct socket_port *s, uint32_t index, struct mdfh_packet *packets, unsigned n)
{
	struct flow *flow = &s->flows[index];
	unsigned armed = arm(s, n);
	uint64_t bytes = 0;
	int got;

	if (!armed)
		return 0;
	got = recvmmsg(flow->fd, s->rx, armed, MSG_DONTWAIT, NULL);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR
			   ? 0
			   : mdfh_error_errno(-EIO, "socket: recvmmsg of flows[%u]", index);
	for (int i = 0; i < got; i++) {
		struct msghdr *header = &s->rx[i].msg_hdr;
		struct mdfh_packet *packet = &packets[i];

		*packet = (struct mdfh_packet){
		    .data = s->rx_iov[i].iov_base,
		    .cookie = (uint64_t)s->rx_frame[i],
		    .length = s->rx[i].msg_len,
		    .time_error_ns = s->time_error_ns,
		    .flow = (uint16_t)index,
		};
		/* A cut datagram is reported only here. */
		if (header->msg_flags & MSG_TRUNC) {
			packet->flags = MDFH_PACKET_TRUNCATED;
			s->base.stats.rx_truncated++;
		}
		read_control(s, flow, header, packet);
		header->msg_controllen = sizeof(s->control[i].room);
		s->held[s->rx_frame[i]] = 1;
		s->rx_frame[i] = FRAME_NONE;
		bytes += packet->length;
	}
	s->base.stats.rx_bytes += bytes;
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
	struct socket_port *s = (struct socket_port *)port;

	for (int i = 0; i < n; i++) {
		uint64_t frame = packets[i].cookie;

		if (frame >= s->frame_count || !s->held[frame])
			continue;
		s->held[frame] = 0;
		s->free[s->free_count++] = (uint32_t)frame;
	}
}

/* Sending -------------------------------------------------------------- */

/* The flow that a packet goes to. */
static const struct flow *destination(const struct socket_port *s, const struct mdfh_packet *packet)
{
	uint32_t index = packet->flow == MDFH_FLOW_NONE ? 0 : packet->flow;

	return index < s->flow_count && !s->flows[index].any ? &s->flows[index] : NULL;
}

static int socket_send(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	struct socket_port *s = (struct socket_port *)port;
	int sent = 0, rc = 0;

	while (sent < n) {
		int family = AF_UNSPEC, run = 0;

		/* As many as go through one socket. */
		for (; sent + run < n; run++) {
			const struct mdfh_packet *packet = &packets[sent + run];
			const struct flow *flow = destination(s, packet);

			if (!flow || (run && flow->to.any.sa_family != family))
				break;
			family = flow->to.any.sa_family;
			s->tx_iov[run] = (struct iovec){(void *)packet->data, packet->length};
			s->tx[run].msg_hdr.msg_name = (void *)&flow->to.storage;
			s->tx[run].msg_hdr.msg_namelen = flow->to.length;
		}
		if (!run) {
			rc = mdfh_error(-EDESTADDRREQ,
			    "socket: packet %d is for flow %u, which has no address to send to",
			    sent, packets[sent].flow);
			break;
		}
		rc = sendmmsg(s->tx_fd[family == AF_INET6], s->tx, (unsigned)run, MSG_DONTWAIT);
		if (rc < 0) {
			/* No room now is no error: the rest may be offered again. */
			rc = errno == EAGAIN || errno == ENOBUFS || errno == EINTR
				 ? 0
				 : mdfh_error_errno(-errno, "socket: send of %u bytes to flow %u",
				       packets[sent].length, packets[sent].flow);
			break;
		}
		for (int i = sent; i < sent + rc; i++)
			port->stats.tx_bytes += packets[i].length;
		sent += rc;
		if (rc < run)
			break;
	}
	port->stats.tx_packets += (uint64_t)sent;
	port->stats.tx_failed += (uint64_t)(n - sent);
	return sent || rc >= 0 ? sent : rc;
}

/* Control path --------------------------------------------------------- */

static int socket_stats(struct mdfh_bypass *port)
{
	struct socket_port *s = (struct socket_port *)port;

	if (port->capabilities.poll_fd < 0) /* only sends */
		return 0;
	update_clock_quality(s);
	for (uint32_t i = 0; i < s->flow_count; i++) {
		struct flow *flow = &s->flows[i];
		uint32_t now;
		int rc = mdfh_socket_drops(flow->fd, &now);

		if (rc)
			return rc;
		count_drops(&flow->drops, now, &port->stats.rx_dropped_socket);
		if (flow->trash_fd < 0)
			continue;
		rc = mdfh_socket_drops(flow->trash_fd, &now);
		if (rc)
			return rc;
		count_drops(&flow->trash_drops, now, &port->stats.rx_filtered);
	}
	return 0;
}

static uint16_t socket_local_port(const struct mdfh_bypass *port, uint16_t flow)
{
	const struct socket_port *s = (const struct socket_port *)port;

	return flow < s->flow_count && s->flows[flow].fd >= 0 ? s->flows[flow].port : 0;
}

const struct mdfh_bypass_ops mdfh_socket_ops = {
    .size = sizeof(mdfh_socket_ops),
    .name = "socket",
    .description = "UDP through kernel sockets",
    .open = socket_open,
    .recv = socket_recv,
    .release = socket_release,
    .send = socket_send,
    .close = socket_close,
    .stats = socket_stats,
    .local_port = socket_local_port,
};
