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
#include <errno.h>
#include <time.h>

#include <linux/errqueue.h>
#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/net_tstamp.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/timex.h>
#include <unistd.h>

#include "mdfh/cpu.h"
#include "mdfh/error.h"
#include "mdfh/memory.h"
#include "net/net.h"

#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif

enum {
	FRAME_NONE = -1,
	DROPS_KNOWN_SOCKET = 4, /* bit of known_drops */
};

/* Room for every control message that is asked for: three timestamps and a drop count. */
union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(sizeof(struct scm_timestamping)) + CMSG_SPACE(sizeof(uint32_t))];
};

struct flow {
	int fd;
	int trash_fd;         /* gets what no source of this address takes, -1 = none */
	uint32_t drops;       /* the kernel's counter when last seen; it wraps */
	uint32_t trash_drops; /* the same of trash_fd: what it refused */
	uint16_t port;        /* bound to */
	int multicast;
	int any; /* no group given: to is only what to bind to */
	struct mdfh_address to;
	struct mdfh_address source; /* length 0 = any */
};

struct socket_port {
	struct mdfh_bypass base; /* first, so a port pointer is a socket_port pointer */

	/* receiving */
	uint64_t ready; /* bit f: flow f has not had its turn since the kernel called it ready */
	uint64_t all;   /* a bit for each flow */
	uint32_t next;  /* flow whose turn it is */
	int epoll_fd;   /* which flows are ready; -1 = every flow is asked */
	int cmsg_type;  /* of the timestamp */
	uint16_t time_flags;
	uint32_t time_error_ns;
	uint32_t free_count;
	uint32_t *free;         /* stack of free frames */
	uint8_t *held;          /* by frame: handed out and not yet released */
	struct mmsghdr *rx;     /* batch_size messages ... */
	struct iovec *rx_iov;   /* ... each with its frame ... */
	int32_t *rx_frame;      /* ... by number, FRAME_NONE = to be given one */
	union control *control; /* ... and its control messages */
	uint8_t *frames;
	uint32_t frame_size, frame_stride, frame_count;

	/* sending */
	int tx_fd[2]; /* IPv4, IPv6; -1 = no flow of that family */
	struct mmsghdr *tx;
	struct iovec *tx_iov;

	uint32_t flow_count;
	unsigned interface_index; /* 0 = the kernel's choice */
	struct mdfh_region region;
	char warning[256];
	struct flow flows[MDFH_BYPASS_FLOWS_MAX];
};

/* Setup: options ------------------------------------------------------- */

static int set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) ? -errno : 0;
}

/* A filter that takes nothing (shut), or none: a socket must not queue before its memberships and
 * filters are complete, and a trash socket never. */
static int shut(int fd)
{
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = {.len = 1, .filter = &nothing};

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)))
		return mdfh_error_errno(-errno, "socket: SO_ATTACH_FILTER");
	return 0;
}

static int unshut(int fd)
{
	int rc = set_int(fd, SOL_SOCKET, SO_DETACH_FILTER, 0);

	return rc ? mdfh_error_errno(rc, "socket: SO_DETACH_FILTER") : 0;
}

/* The kernel's count of what it could not queue (and of what a filter refused). */
static int socket_drops(int fd, uint32_t *drops)
{
	uint32_t info[SK_MEMINFO_VARS] = {0};
	socklen_t size = sizeof(info);

	*drops = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size))
		return mdfh_error_errno(-errno, "socket: SO_MEMINFO");
	*drops = info[SK_MEMINFO_DROPS];
	return 0;
}

/* Ask for the wanted buffer with privilege, then without, and read back what was granted: the
 * kernel doubles the value for its own bookkeeping. */
static int set_receive_buffer(struct socket_port *s, int fd, uint64_t wanted)
{
	struct mdfh_bypass_capabilities *can = &s->base.capabilities;
	int most = INT32_MAX / 2;
	int value = wanted > (uint64_t)most ? most : (int)wanted;
	socklen_t size = sizeof(int);
	int granted = 0;

	if (set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, value) &&
	    set_int(fd, SOL_SOCKET, SO_RCVBUF, value))
		return mdfh_error_errno(-errno, "socket: SO_RCVBUF %d", value);
	if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &size))
		return mdfh_error_errno(-errno, "socket: SO_RCVBUF");
	granted /= 2;
	if (!can->receive_buffer_bytes || (uint64_t)granted < can->receive_buffer_bytes)
		can->receive_buffer_bytes = (uint64_t)granted;
	if (granted < value)
		snprintf(s->warning, sizeof(s->warning),
		    "receive_buffer_bytes is %d and the kernel granted %d: bursts will be lost "
		    "sooner; run `sysctl -w net.core.rmem_max=%d`, or give the process "
		    "CAP_NET_ADMIN",
		    value, granted, value);
	return 0;
}

static int set_busy_poll(int fd, uint32_t us)
{
	int rc;

	if (!us)
		return 0;
	rc = set_int(fd, SOL_SOCKET, SO_BUSY_POLL, (int)us);
	if (rc)
		return mdfh_error_errno(rc,
		    "socket: busy_poll_us is %u and SO_BUSY_POLL was refused; give the process "
		    "CAP_NET_ADMIN, or set busy_poll_us to 0 and run `sysctl -w "
		    "net.core.busy_read=%u`",
		    us, us);
	/* Keeps the NIC's interrupts off while somebody polls; only an improvement, so a kernel
	 * before 5.11 may refuse. */
	(void)set_int(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, 1);
	return 0;
}

/* Have the NIC stamp every packet. fd is any socket of the port. */
static int start_hardware_stamps(int fd, const char *interface)
{
	struct ethtool_ts_info info = {.cmd = ETHTOOL_GET_TS_INFO};
	struct hwtstamp_config stamps = {0};
	const unsigned need = SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE;
	struct ifreq request = {0};

	if (!interface)
		return mdfh_error(-EINVAL,
		    "socket: timestamps is hardware and interface is not set; name the NIC");
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	request.ifr_data = (char *)&info;
	if (ioctl(fd, SIOCETHTOOL, &request) || (info.so_timestamping & need) != need)
		return mdfh_error(-ENOTSUP,
		    "socket: timestamps is hardware and %s has no hardware receive stamps; use "
		    "software",
		    interface);
	request.ifr_data = (char *)&stamps;
	if (!ioctl(fd, SIOCGHWTSTAMP, &request) && stamps.rx_filter == HWTSTAMP_FILTER_ALL)
		return 0;
	stamps = (struct hwtstamp_config){.rx_filter = HWTSTAMP_FILTER_ALL};
	if (ioctl(fd, SIOCSHWTSTAMP, &request))
		return mdfh_error_errno(-errno,
		    "socket: %s cannot be told to stamp every packet (SIOCSHWTSTAMP)", interface);
	return 0;
}

static int set_timestamps(
    struct socket_port *s, int fd, const struct mdfh_bypass_config *config, uint32_t flow)
{
	int rc;

	if (config->timestamps == MDFH_TIMESTAMPS_OFF)
		return 0;
	if (config->timestamps == MDFH_TIMESTAMPS_HARDWARE) {
		rc = flow ? 0 : start_hardware_stamps(fd, config->interface);
		if (rc)
			return rc;
		rc = set_int(fd, SOL_SOCKET, SO_TIMESTAMPING,
		    SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE);
		s->cmsg_type = SCM_TIMESTAMPING;
		s->time_flags = MDFH_PACKET_TIME_NIC;
		s->base.capabilities.timestamps = MDFH_PLACE_HARDWARE;
		return rc ? mdfh_error_errno(rc, "socket: SO_TIMESTAMPING") : 0;
	}
	rc = set_int(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
	s->cmsg_type = SCM_TIMESTAMPNS;
	s->time_flags = MDFH_PACKET_TIME_KERNEL;
	s->base.capabilities.timestamps = MDFH_PLACE_KERNEL;
	return rc ? mdfh_error_errno(rc, "socket: SO_TIMESTAMPNS") : 0;
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

/* Setup: membership and filters ---------------------------------------- */

/* The text of a flow for sentences: "group 239.1.1.1 port 5000". */
static const char *flow_text(const struct mdfh_flow *flow, char *text, size_t size)
{
	snprintf(text, size, "%s port %u", flow->group ? flow->group : "any address", flow->port);
	return text;
}

static int join(
    const struct socket_port *s, const struct flow *flow, const struct mdfh_flow *wanted)
{
	int v4 = flow->to.any.sa_family == AF_INET;
	int level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
	struct group_source_req with_source = {.gsr_interface = s->interface_index};
	struct group_req any_source = {.gr_interface = s->interface_index};
	int failed;

	if (set_int(flow->fd, level, v4 ? IP_MULTICAST_ALL : IPV6_MULTICAST_ALL, 0))
		return mdfh_error_errno(-errno, "socket: IP_MULTICAST_ALL");
	memcpy(&any_source.gr_group, &flow->to.storage, sizeof(any_source.gr_group));
	memcpy(&with_source.gsr_group, &flow->to.storage, sizeof(with_source.gsr_group));
	memcpy(&with_source.gsr_source, &flow->source.storage, sizeof(with_source.gsr_source));
	failed = flow->source.length ? setsockopt(flow->fd, level, MCAST_JOIN_SOURCE_GROUP,
					   &with_source, sizeof(with_source))
				     : setsockopt(flow->fd, level, MCAST_JOIN_GROUP, &any_source,
					   sizeof(any_source));
	if (failed)
		return mdfh_error_errno(-errno, "socket: join %s%s%s%s%s", wanted->group,
		    wanted->source ? " from " : "", wanted->source ? wanted->source : "",
		    s->interface_index ? "" : " (no interface is set)",
		    errno == ENOBUFS ? " (net.ipv4.igmp_max_memberships reached?)" : "");
	return 0;
}

/* A packet belongs to the first flow that it matches: block in this any-source flow the sources
 * that flows of the same group before it take. */
static int block_earlier_sources(const struct socket_port *s, uint32_t index)
{
	const struct flow *flow = &s->flows[index];
	int level = flow->to.any.sa_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;

	if (flow->source.length)
		return 0;
	for (uint32_t i = 0; i < index; i++) {
		const struct flow *before = &s->flows[i];
		struct group_source_req block = {.gsr_interface = s->interface_index};

		if (!before->source.length || before->port != flow->port ||
		    !mdfh_address_same_host(&before->to, &flow->to))
			continue;
		memcpy(&block.gsr_group, &flow->to.storage, sizeof(block.gsr_group));
		memcpy(&block.gsr_source, &before->source.storage, sizeof(block.gsr_source));
		if (setsockopt(flow->fd, level, MCAST_BLOCK_SOURCE, &block, sizeof(block)))
			return mdfh_error_errno(-errno,
			    "socket: flows[%u] cannot leave out the source of flows[%u]", index, i);
	}
	return 0;
}

/* 1 if both are unicast flows of one address and port, where only the source tells them apart. */
static int shares_address(const struct flow *a, const struct flow *b)
{
	return !a->multicast && !b->multicast && !a->any && !b->any && a->port == b->port &&
	       mdfh_address_same_host(&a->to, &b->to);
}

static uint32_t first_of_address(const struct socket_port *s, uint32_t index)
{
	uint32_t first = 0;

	while (!shares_address(&s->flows[first], &s->flows[index]) && first < index)
		first++;
	return first;
}

/* The program of a SO_REUSEPORT group: the source's socket by the order of binding. Offsets are
 * those of the source address in the IPv4 and IPv6 headers (RFC 791, RFC 8200). */
static int attach_sources(struct socket_port *s, uint32_t first)
{
	struct sock_filter code[MDFH_BYPASS_FLOWS_MAX * 9 + 1];
	struct sock_fprog program = {.filter = code};
	unsigned short at = 0;
	uint32_t order = 0, any = UINT32_MAX;

	for (uint32_t i = first; i < s->flow_count; i++) {
		const struct flow *flow = &s->flows[i];

		if (!shares_address(&s->flows[first], flow))
			continue;
		if (!flow->source.length) {
			any = order++; /* the last of its address: earlier ones could not match */
			continue;
		}
		if (flow->source.any.sa_family == AF_INET) {
			code[at++] = (struct sock_filter)BPF_STMT(
			    BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_NET_OFF + 12);
			code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			    ntohl(flow->source.v4.sin_addr.s_addr), 0, 1);
		} else {
			for (unsigned word = 0; word < 4; word++) {
				uint32_t value;

				memcpy(&value, &flow->source.v6.sin6_addr.s6_addr[word * 4], 4);
				code[at++] = (struct sock_filter)BPF_STMT(
				    BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_NET_OFF + 8 + word * 4);
				/* not equal: past the words that follow and the return */
				code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
				    ntohl(value), 0, (uint8_t)((3 - word) * 2 + 1));
			}
		}
		code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, order++);
	}
	/* Without an any-source flow, the trash socket is bound last. */
	code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, any == UINT32_MAX ? order : any);
	program.len = at;
	if (setsockopt(s->flows[first].fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
		sizeof(program)))
		return mdfh_error_errno(-errno, "socket: SO_ATTACH_REUSEPORT_CBPF");
	return 0;
}

/* Setup: sockets ------------------------------------------------------- */

/* 1 if a flow of index's address names a source, so that the address needs a group. */
static int has_sources(const struct socket_port *s, uint32_t index)
{
	for (uint32_t i = 0; i < s->flow_count; i++)
		if (s->flows[i].source.length && shares_address(&s->flows[i], &s->flows[index]))
			return 1;
	return 0;
}

static int bind_socket(int fd, const struct flow *flow, const struct mdfh_flow *wanted)
{
	char text[96];

	if (bind(fd, &flow->to.any, flow->to.length))
		return mdfh_error_errno(
		    -errno, "socket: bind to %s", flow_text(wanted, text, sizeof(text)));
	return 0;
}

static int read_port(struct flow *flow)
{
	struct mdfh_address local = {.length = sizeof(local.storage)};

	if (getsockname(flow->fd, &local.any, &local.length))
		return mdfh_error_errno(-errno, "socket: getsockname");
	/* The port stands at the same place in both families. */
	flow->to.v4.sin_port = local.v4.sin_port;
	flow->port = ntohs(local.v4.sin_port);
	return 0;
}

/* A socket for "any address" takes IPv4 and IPv6 where the host has both. */
static int make_any_socket(struct flow *flow)
{
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd >= 0) {
		flow->to.v6 =
		    (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(flow->port)};
		flow->to.length = sizeof(flow->to.v6);
		if (!set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0) &&
		    !set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0))
			return fd;
		close(fd);
	}
	flow->to.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(flow->port)};
	flow->to.length = sizeof(flow->to.v4);
	return socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static int open_flow(struct socket_port *s, uint32_t index, const struct mdfh_bypass_config *config)
{
	const struct mdfh_flow *wanted = &config->flows[index];
	struct flow *flow = &s->flows[index];
	int sources = has_sources(s, index);
	int rc;

	flow->fd = flow->any ? make_any_socket(flow)
			     : socket(flow->to.any.sa_family,
				   SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (flow->fd < 0)
		return mdfh_error_errno(-errno, "socket: socket for flows[%u]", index);
	rc = shut(flow->fd);
	if (rc)
		return rc;
	/* Several processes may listen to a group. A unicast packet goes to one socket only, so
	 * sharing its address would be a theft, except within this port. */
	if (flow->multicast && set_int(flow->fd, SOL_SOCKET, SO_REUSEADDR, 1))
		return mdfh_error_errno(-errno, "socket: SO_REUSEADDR");
	if (sources && set_int(flow->fd, SOL_SOCKET, SO_REUSEPORT, 1))
		return mdfh_error_errno(-errno, "socket: SO_REUSEPORT");
	if (flow->any && set_int(flow->fd, IPPROTO_IP, IP_MULTICAST_ALL, 0))
		return mdfh_error_errno(-errno, "socket: IP_MULTICAST_ALL");
	if (flow->any && config->interface &&
	    setsockopt(flow->fd, SOL_SOCKET, SO_BINDTODEVICE, config->interface,
		(socklen_t)strlen(config->interface)))
		return mdfh_error_errno(-errno, "socket: SO_BINDTODEVICE %s", config->interface);
	rc = set_int(flow->fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
	if (rc)
		return mdfh_error_errno(rc, "socket: SO_RXQ_OVFL");
	rc = set_receive_buffer(s, flow->fd, config->receive_buffer_bytes);
	if (!rc)
		rc = set_busy_poll(flow->fd, config->busy_poll_us);
	if (!rc)
		rc = set_timestamps(s, flow->fd, config, index);
	if (!rc)
		rc = bind_socket(flow->fd, flow, wanted);
	if (!rc)
		rc = read_port(flow);
	if (!rc && flow->multicast)
		rc = join(s, flow, wanted);
	if (!rc && flow->multicast)
		rc = block_earlier_sources(s, index);
	return rc;
}

/* Where a source is named and no flow takes the rest, a socket that refuses and counts it. */
static int open_trash(
    struct socket_port *s, uint32_t index, const struct mdfh_bypass_config *config)
{
	struct flow *flow = &s->flows[index];
	int rc;

	if (!has_sources(s, index) || first_of_address(s, index) != index)
		return 0;
	for (uint32_t i = index; i < s->flow_count; i++)
		if (!s->flows[i].source.length && shares_address(&s->flows[i], flow))
			return attach_sources(s, index);
	flow->trash_fd =
	    socket(flow->to.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (flow->trash_fd < 0)
		return mdfh_error_errno(-errno, "socket: socket for flows[%u]", index);
	rc = shut(flow->trash_fd);
	if (rc)
		return rc;
	if (set_int(flow->trash_fd, SOL_SOCKET, SO_REUSEPORT, 1))
		return mdfh_error_errno(-errno, "socket: SO_REUSEPORT");
	rc = bind_socket(flow->trash_fd, flow, &config->flows[index]);
	return rc ? rc : attach_sources(s, index);
}

static int open_receiving(struct socket_port *s, const struct mdfh_bypass_config *config)
{
	int rc = 0;

	for (uint32_t i = 0; i < s->flow_count && !rc; i++)
		rc = open_flow(s, i, config);
	for (uint32_t i = 0; i < s->flow_count && !rc; i++)
		rc = open_trash(s, i, config);
	if (rc)
		return rc;
	s->all = UINT64_MAX >> (64 - s->flow_count);
	s->base.capabilities.poll_fd = s->flows[0].fd;
	if (s->flow_count > 1) {
		int fd = epoll_create1(EPOLL_CLOEXEC);

		if (fd < 0)
			return mdfh_error_errno(-errno, "socket: epoll_create1");
		s->base.capabilities.poll_fd = fd;
		/* Busy polling happens in the socket's own receive call. */
		s->epoll_fd = fd;
	}
	for (uint32_t i = 0; i < s->flow_count; i++) {
		struct flow *flow = &s->flows[i];
		struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};

		if (s->epoll_fd >= 0 && epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, flow->fd, &event))
			return mdfh_error_errno(-errno, "socket: epoll_ctl");
		/* What was refused up to here was before the port's time. */
		rc = unshut(flow->fd);
		if (!rc)
			rc = socket_drops(flow->fd, &flow->drops);
		if (!rc && flow->trash_fd >= 0)
			rc = socket_drops(flow->trash_fd, &flow->trash_drops);
		if (rc)
			return rc;
	}
	return 0;
}

/* One socket per family sends to every flow: unbound, because a receiving socket bound to a group
 * has no address of its own to send from. */
static int open_sending(struct socket_port *s, const struct mdfh_bypass_config *config)
{
	int loop = config->multicast_loop != MDFH_OFF;
	int ttl = (int)config->multicast_ttl;

	for (uint32_t i = 0; i < s->flow_count; i++) {
		int v6 = s->flows[i].to.any.sa_family == AF_INET6;
		int index = (int)s->interface_index;
		struct ip_mreqn from = {.imr_ifindex = index};
		int fd, failed;

		if (s->flows[i].any || s->tx_fd[v6] >= 0)
			continue;
		fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd < 0)
			return mdfh_error_errno(-errno, "socket: socket for sending");
		s->tx_fd[v6] = fd;
		if (v6)
			failed = set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, ttl) ||
				 set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, loop) ||
				 (index && set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, index));
		else
			failed = set_int(fd, IPPROTO_IP, IP_MULTICAST_TTL, ttl) ||
				 set_int(fd, IPPROTO_IP, IP_MULTICAST_LOOP, loop) ||
				 (index && setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &from,
					       sizeof(from)));
		if (failed)
			return mdfh_error_errno(
			    -errno, "socket: multicast options of the sending socket");
		/* Nothing is ever read from it. */
		if (shut(fd))
			return -errno;
	}
	return 0;
}

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

/* Setup: the whole ----------------------------------------------------- */

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
	return 0;
}

static void fill_flow(struct flow *flow, const struct mdfh_flow *wanted, unsigned interface_index)
{
	flow->fd = flow->trash_fd = -1;
	flow->port = wanted->port;
	flow->any = !wanted->group;
	if (flow->any)
		return;
	mdfh_address_parse(wanted->group, wanted->port, &flow->to);
	flow->multicast = mdfh_address_is_multicast(&flow->to);
	if (wanted->source)
		mdfh_address_parse(wanted->source, 0, &flow->source);
	if (flow->to.any.sa_family == AF_INET6 &&
	    (IN6_IS_ADDR_LINKLOCAL(&flow->to.v6.sin6_addr) ||
		IN6_IS_ADDR_MC_LINKLOCAL(&flow->to.v6.sin6_addr)))
		flow->to.v6.sin6_scope_id = interface_index;
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
		fill_flow(&s->flows[i], &config->flows[i], s->interface_index);
	if (!rc && config->direction != MDFH_DIRECTION_SEND) {
		rc = map_frames(s, config);
		if (!rc)
			rc = open_receiving(s, config);
		update_clock_quality(s);
	}
	if (!rc && config->direction != MDFH_DIRECTION_RECEIVE) {
		rc = make_tx(s);
		if (!rc)
			rc = open_sending(s, config);
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

/* The flows to ask. A busy-polled socket is asked itself, because that is what polls the NIC. */
static uint64_t find_ready(struct socket_port *s)
{
	struct epoll_event events[MDFH_BYPASS_FLOWS_MAX];
	uint64_t ready = 0;
	int n;

	if (s->epoll_fd < 0)
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
		int rc = socket_drops(flow->fd, &now);

		if (rc)
			return rc;
		count_drops(&flow->drops, now, &port->stats.rx_dropped_socket);
		if (flow->trash_fd < 0)
			continue;
		rc = socket_drops(flow->trash_fd, &now);
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
