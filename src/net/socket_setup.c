/* socket_setup.c - how the sockets of a port are made: options, memberships, sources; and what can
 * be asked of them later.
 *
 * A socket is shut by a filter from its making until its memberships and sources are complete, so
 * that nothing of another group or source is ever queued on it. */
#include "net/membership.h"
#include "net/socket.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/net_tstamp.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/host_clock.h"
#include "core/lines.h"
#include "mdfh/error.h"

#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif

enum { DROPS_KNOWN_SOCKET = 4 }; /* bit of known_drops */

/* Options ------------------------------------------------------- */

int mdfh_socket_set_int(int fd, int level, int option, int value)
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
	int rc = mdfh_socket_set_int(fd, SOL_SOCKET, SO_DETACH_FILTER, 0);

	return rc ? mdfh_error_errno(rc, "socket: SO_DETACH_FILTER") : 0;
}

/* The kernel's count of what it could not queue (and of what a filter refused). */
static int read_drops(int fd, uint32_t *drops)
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
int mdfh_sockets_set_receive_buffer(struct mdfh_sockets *s, int fd, uint64_t wanted)
{
	struct mdfh_bypass_capabilities *can = &s->base.capabilities;
	int most = INT32_MAX / 2;
	int value = wanted > (uint64_t)most ? most : (int)wanted;
	socklen_t size = sizeof(int);
	int granted = 0;

	if (mdfh_socket_set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, value) &&
	    mdfh_socket_set_int(fd, SOL_SOCKET, SO_RCVBUF, value))
		return mdfh_error_errno(-errno, "socket: SO_RCVBUF %d", value);
	if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &size))
		return mdfh_error_errno(-errno, "socket: SO_RCVBUF");
	granted /= 2;
	if (!can->receive_buffer_bytes || (uint64_t)granted < can->receive_buffer_bytes)
		can->receive_buffer_bytes = (uint64_t)granted;
	if (granted < value)
		snprintf(s->warning, sizeof(s->warning),
		    "receive_buffer_bytes is %d and the kernel granted %d: %s; run `sysctl -w "
		    "net.core.rmem_max=%d`, or give the process "
		    "CAP_NET_ADMIN",
		    value, granted,
		    can->is_stream ? "the sender will be held up sooner"
				   : "bursts will be lost sooner",
		    value);
	return 0;
}

int mdfh_sockets_set_busy_poll(int fd, uint32_t us)
{
	int rc;

	if (!us)
		return 0;
	rc = mdfh_socket_set_int(fd, SOL_SOCKET, SO_BUSY_POLL, (int)us);
	if (rc)
		return mdfh_error_errno(rc,
		    "socket: busy_poll_us is %u and SO_BUSY_POLL was refused; give the process "
		    "CAP_NET_ADMIN, or set busy_poll_us to 0 and run `sysctl -w "
		    "net.core.busy_read=%u`",
		    us, us);
	/* Keeps the NIC's interrupts off while somebody polls; only an improvement, so a kernel
	 * before 5.11 may refuse. */
	(void)mdfh_socket_set_int(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, 1);
	return 0;
}

int mdfh_sockets_set_timestamps(
    struct mdfh_sockets *s, int fd, const struct mdfh_bypass_config *config, uint32_t flow)
{
	int rc;

	if (config->timestamps == MDFH_TIMESTAMPS_OFF)
		return 0;
	if (config->timestamps == MDFH_TIMESTAMPS_HARDWARE) {
		rc = flow ? 0
			  : mdfh_hardware_stamps_start(
				fd, "socket", *s->interface ? s->interface : NULL);
		if (rc)
			return rc;
		rc = mdfh_socket_set_int(fd, SOL_SOCKET, SO_TIMESTAMPING,
		    SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE);
		s->cmsg_type = SCM_TIMESTAMPING;
		s->time_flags = MDFH_PACKET_TIME_NIC;
		s->base.capabilities.timestamps = MDFH_PLACE_HARDWARE;
		return rc ? mdfh_error_errno(rc, "socket: SO_TIMESTAMPING") : 0;
	}
	rc = mdfh_socket_set_int(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
	s->cmsg_type = SCM_TIMESTAMPNS;
	s->time_flags = MDFH_PACKET_TIME_KERNEL;
	s->base.capabilities.timestamps = MDFH_PLACE_KERNEL;
	return rc ? mdfh_error_errno(rc, "socket: SO_TIMESTAMPNS") : 0;
}

/* Membership and filters ---------------------------------------- */

static int join(const struct mdfh_sockets *s, const struct flow *flow)
{
	int v4 = flow->to.any.sa_family == AF_INET;
	int rc;

	if (mdfh_socket_set_int(flow->fd, v4 ? IPPROTO_IP : IPPROTO_IPV6,
		v4 ? IP_MULTICAST_ALL : IPV6_MULTICAST_ALL, 0))
		return mdfh_error_errno(-errno, "socket: IP_MULTICAST_ALL");
	rc = mdfh_membership_join(
	    flow->fd, s->interface_index, &flow->to, flow->source.length ? &flow->source : NULL);
	return rc ? mdfh_socket_join_error(rc, s, flow) : 0;
}

/* A packet belongs to the first flow that it matches: block in this any-source flow the sources
 * that flows of the same group before it take. */
static int block_earlier_sources(const struct mdfh_sockets *s, uint32_t index)
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

static uint32_t first_of_address(const struct mdfh_sockets *s, uint32_t index)
{
	uint32_t first = 0;

	while (!shares_address(&s->flows[first], &s->flows[index]) && first < index)
		first++;
	return first;
}

/* The program of a SO_REUSEPORT group: the source's socket by the order of binding. Offsets are
 * those of the source address in the IPv4 and IPv6 headers (RFC 791, RFC 8200). */
static int attach_sources(struct mdfh_sockets *s, uint32_t first)
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

				memcpy(&value, &flow->source.v6.sin6_addr.s6_addr[(size_t)word * 4],
				    4);
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

/* Sockets ------------------------------------------------------- */

/* 1 if a flow of index's address names a source, so that the address needs a group. */
static int has_sources(const struct mdfh_sockets *s, uint32_t index)
{
	for (uint32_t i = 0; i < s->flow_count; i++)
		if (s->flows[i].source.length && shares_address(&s->flows[i], &s->flows[index]))
			return 1;
	return 0;
}

static int bind_socket(int fd, const struct flow *flow, const struct mdfh_flow *wanted)
{
	return bind(fd, &flow->to.any, flow->to.length) ? mdfh_socket_bind_error(-errno, wanted)
							: 0;
}

int mdfh_socket_bind_to_device(int fd, const char *interface)
{
	return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface))
		   ? mdfh_socket_device_error(-errno, interface)
		   : 0;
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

/* A socket for "any address" takes IPv4 and IPv6 where the host has both. */
static int make_any_socket(struct flow *flow)
{
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd >= 0) {
		flow->to.v6 =
		    (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(flow->port)};
		flow->to.length = sizeof(flow->to.v6);
		if (!mdfh_socket_set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0) &&
		    !mdfh_socket_set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0))
			return fd;
		close(fd);
	}
	flow->to.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(flow->port)};
	flow->to.length = sizeof(flow->to.v4);
	return socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Datagrams may come put together, where otherwise the kernel would take them apart again. */
static int take_trains(int fd)
{
	int rc = mdfh_socket_set_int(fd, SOL_UDP, UDP_GRO, 1);

	if (rc == -ENOPROTOOPT)
		return mdfh_error(-ENOTSUP,
		    "socket: gro is on, and this kernel has no UDP_GRO; Linux 5.0 or later is "
		    "needed");
	return rc ? mdfh_error_errno(rc, "socket: UDP_GRO") : 0;
}

static int open_flow(
    struct mdfh_sockets *s, uint32_t index, const struct mdfh_bypass_config *config)
{
	const struct mdfh_flow *wanted = &config->flows[index];
	struct flow *flow = &s->flows[index];
	int sources = has_sources(s, index);
	int rc;

	flow->fd = flow->any ? make_any_socket(flow)
			     : socket(flow->to.any.sa_family,
				   SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (flow->fd < 0)
		return mdfh_socket_error(-errno, "socket: socket for flows[%u]", index);
	rc = shut(flow->fd);
	if (rc)
		return rc;
	/* Several processes may listen to a group. A unicast packet goes to one socket only, so
	 * sharing its address would be a theft, except within this port. */
	if (flow->multicast && mdfh_socket_set_int(flow->fd, SOL_SOCKET, SO_REUSEADDR, 1))
		return mdfh_error_errno(-errno, "socket: SO_REUSEADDR");
	if (sources && mdfh_socket_set_int(flow->fd, SOL_SOCKET, SO_REUSEPORT, 1))
		return mdfh_error_errno(-errno, "socket: SO_REUSEPORT");
	if (flow->any && mdfh_socket_set_int(flow->fd, IPPROTO_IP, IP_MULTICAST_ALL, 0))
		return mdfh_error_errno(-errno, "socket: IP_MULTICAST_ALL");
	if (flow->any && *s->interface) {
		rc = mdfh_socket_bind_to_device(flow->fd, s->interface);
		if (rc)
			return rc;
	}
	rc = mdfh_socket_set_int(flow->fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
	if (rc)
		return mdfh_error_errno(rc, "socket: SO_RXQ_OVFL");
	rc = s->is_gro ? take_trains(flow->fd) : 0;
	if (!rc)
		rc = mdfh_sockets_set_receive_buffer(s, flow->fd, config->receive_buffer_bytes);
	if (!rc)
		rc = mdfh_sockets_set_busy_poll(flow->fd, config->busy_poll_us);
	if (!rc)
		rc = mdfh_sockets_set_timestamps(s, flow->fd, config, index);
	if (!rc)
		rc = bind_socket(flow->fd, flow, wanted);
	if (!rc)
		rc = read_port(flow);
	if (!rc && flow->multicast)
		rc = join(s, flow);
	if (!rc && flow->multicast)
		rc = block_earlier_sources(s, index);
	return rc;
}

/* Where a source is named and no flow takes the rest, a socket that refuses and counts it. */
static int open_trash(
    struct mdfh_sockets *s, uint32_t index, const struct mdfh_bypass_config *config)
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
		return mdfh_socket_error(-errno, "socket: socket for flows[%u]", index);
	rc = shut(flow->trash_fd);
	if (rc)
		return rc;
	if (mdfh_socket_set_int(flow->trash_fd, SOL_SOCKET, SO_REUSEPORT, 1))
		return mdfh_error_errno(-errno, "socket: SO_REUSEPORT");
	rc = bind_socket(flow->trash_fd, flow, &config->flows[index]);
	return rc ? rc : attach_sources(s, index);
}

static int open_receiving(struct mdfh_sockets *s, const struct mdfh_bypass_config *config)
{
	int rc = 0;

	for (uint32_t i = 0; i < s->flow_count && !rc; i++)
		rc = open_flow(s, i, config);
	for (uint32_t i = 0; i < s->flow_count && !rc; i++)
		rc = open_trash(s, i, config);
	if (!rc && s->base.capabilities.timestamps == MDFH_PLACE_KERNEL)
		rc = mdfh_kernel_stamps_wait();
	for (uint32_t i = 0; i < s->flow_count && !rc; i++) {
		struct flow *flow = &s->flows[i];

		/* What was refused up to here was before the port's time. */
		rc = unshut(flow->fd);
		if (!rc)
			rc = read_drops(flow->fd, &flow->drops);
		if (!rc && flow->trash_fd >= 0)
			rc = read_drops(flow->trash_fd, &flow->trash_drops);
	}
	return rc;
}

/* Send groups through the named interface. */
static int send_through(int fd, int v6, int index)
{
	const struct ip_mreqn from = {.imr_ifindex = index};

	if (v6)
		return mdfh_socket_set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, index);
	return setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &from, sizeof(from)) ? -errno : 0;
}

static int set_multicast(int fd, int v6, int index, const struct mdfh_bypass_config *config)
{
	int loop = config->multicast_loop != MDFH_OFF;
	int ttl = (int)config->multicast_ttl;
	int rc;

	if (v6) {
		rc = mdfh_socket_set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, ttl);
		if (!rc)
			rc = mdfh_socket_set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, loop);
	} else {
		rc = mdfh_socket_set_int(fd, IPPROTO_IP, IP_MULTICAST_TTL, ttl);
		if (!rc)
			rc = mdfh_socket_set_int(fd, IPPROTO_IP, IP_MULTICAST_LOOP, loop);
	}
	if (!rc && index)
		rc = send_through(fd, v6, index);
	return rc ? mdfh_error_errno(rc, "socket: multicast options of the sending socket") : 0;
}

/* One socket per family sends to every flow: unbound, because a receiving socket bound to a group
 * has no address of its own to send from. */
static int open_sending(struct mdfh_sockets *s, const struct mdfh_bypass_config *config)
{
	s->tx = mdfh_lines_alloc(MDFH_BYPASS_BATCH_MAX, sizeof(*s->tx));
	s->tx_iov = mdfh_lines_alloc(MDFH_BYPASS_BATCH_MAX, sizeof(*s->tx_iov));
	if (!s->tx || !s->tx_iov)
		return mdfh_error(-ENOMEM, "%s: %d messages", s->name, MDFH_BYPASS_BATCH_MAX);
	for (int i = 0; i < MDFH_BYPASS_BATCH_MAX; i++)
		s->tx[i].msg_hdr = (struct msghdr){.msg_iov = &s->tx_iov[i], .msg_iovlen = 1};
	for (uint32_t i = 0; i < s->flow_count; i++) {
		int v6 = s->flows[i].to.any.sa_family == AF_INET6;
		int fd, rc;

		if (s->flows[i].any || s->tx_fd[v6] >= 0)
			continue;
		fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd < 0)
			return mdfh_socket_error(-errno, "socket: socket for sending");
		s->tx_fd[v6] = fd;
		rc = set_multicast(fd, v6, (int)s->interface_index, config);
		/* Nothing is ever read from it. */
		if (!rc)
			rc = shut(fd);
		if (rc)
			return rc;
	}
	return 0;
}

/* The whole ----------------------------------------------------- */

/* The rest of an address of which a flow takes one source belongs to an "any address" flow of that
 * port, but the kernel gives it to the sockets of the address alone. */
static int check_rest(const struct mdfh_bypass_config *config, const char *name)
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
				    "%s: flows[%u] takes one source of %s and flows[%u] any "
				    "address of port %u; give flows[%u] the address",
				    name, k, one->group, i, any->port, i);
		}
	return 0;
}

int mdfh_sockets_check_any(const struct mdfh_bypass_config *config, const char *name)
{
	if (!config->flow_count)
		return mdfh_error(
		    -EINVAL, "%s: there is no flow; set host and port, or flows", name);
	if (config->require_zero_copy == MDFH_ON)
		return mdfh_error(-ENOTSUP,
		    "%s: require_zero_copy is on, and the kernel copies every packet of a socket",
		    name);
	if (config->trailer)
		return mdfh_error(-ENOTSUP,
		    "%s: trailer is set; a socket does not see what stands behind a packet: use a "
		    "backend that sees frames",
		    name);
	if (config->queue)
		return mdfh_error(
		    -ENOTSUP, "%s: queue is %u; a socket has no queues", name, config->queue);
	for (uint32_t i = 1; i < config->flow_count; i++)
		if (config->flows[i].vlan != config->flows[0].vlan)
			return mdfh_error(-ENOTSUP,
			    "%s: flows[0].vlan is %u and flows[%u].vlan is %u; the sockets of a "
			    "port receive from one VLAN: open a port for each",
			    name, config->flows[0].vlan, i, config->flows[i].vlan);
	if (config->hold_max > config->rx_ring_size - config->batch_size)
		return mdfh_error(-EINVAL,
		    "%s: hold_max is %u; with rx_ring_size %u and batch_size %u at most %u "
		    "packets can be held",
		    name, config->hold_max, config->rx_ring_size, config->batch_size,
		    config->rx_ring_size - config->batch_size);
	return 0;
}

int mdfh_sockets_check(const struct mdfh_bypass_config *config, const char *name)
{
	int rc;

	if (config->transport == MDFH_TRANSPORT_TCP)
		return mdfh_error(-ENOTSUP,
		    "%s: transport is TCP; this backend has only UDP: use the backend socket",
		    name);
	rc = mdfh_sockets_check_any(config, name);
	return rc ? rc : check_rest(config, name);
}

/* How far the clock of the kernel's stamps may be from UTC, by its own account. What disciplines a
 * NIC's clock is not known here. */
void mdfh_sockets_update_clock(struct mdfh_sockets *s)
{
	s->app_flags = s->has_times ? mdfh_app_time_flags() : 0;
	s->time_flags &= (uint16_t)~MDFH_PACKET_CLOCK_SYNC;
	s->time_error_ns = UINT32_MAX;
	if (s->time_flags & MDFH_PACKET_TIME_KERNEL && mdfh_host_clock_sync(&s->time_error_ns))
		s->time_flags |= MDFH_PACKET_CLOCK_SYNC;
}

/* The interface that sockets join on: of a VLAN, the kernel's device for it, since a socket sees no tag. */
static int choose_interface(struct mdfh_sockets *s, const struct mdfh_bypass_config *config)
{
	unsigned vlan = config->flow_count ? config->flows[0].vlan : 0;
	const char *on = config->interface;

	if (vlan && !on)
		return mdfh_error(-EINVAL,
		    "%s: flows[0].vlan is %u and interface is not set; name the interface that the "
		    "VLAN is on",
		    s->name, vlan);
	if (!on)
		return 0;
	s->interface_index = if_nametoindex(on);
	if (!s->interface_index)
		return mdfh_socket_interface_error(-errno, s->name, on);
	snprintf(s->interface, sizeof(s->interface), "%s", on);
	if (!vlan)
		return 0;
	if (!mdfh_vlan_device(on, (uint16_t)vlan, s->interface, sizeof(s->interface)))
		return mdfh_error(-ENODEV,
		    "%s: flows[0].vlan is %u and %s has no device for that VLAN, which a socket "
		    "needs: run "
		    "`ip link add link %s name %.8s.%u type vlan id %u && ip link set %.8s.%u up`, "
		    "or use "
		    "a backend that sees frames",
		    s->name, vlan, on, on, on, vlan, vlan, on, vlan);
	s->interface_index = if_nametoindex(s->interface);
	return 0;
}

int mdfh_sockets_prepare(
    struct mdfh_sockets *s, const char *name, const struct mdfh_bypass_config *config)
{
	int rc;

	s->name = name;
	s->tx_fd[0] = s->tx_fd[1] = -1;
	s->has_times = config->timestamps != MDFH_TIMESTAMPS_OFF;
	s->base.capabilities.size = sizeof(s->base.capabilities);
	s->base.capabilities.copy_reason = "kernel";
	s->base.capabilities.filters = MDFH_PLACE_KERNEL;
	s->base.capabilities.can_send = config->direction != MDFH_DIRECTION_RECEIVE;
	s->base.capabilities.queues = 1;
	s->base.capabilities.frame_size = config->frame_size;
	s->base.capabilities.poll_fd = -1;
	s->base.capabilities.drops_in_recv = 1;
	s->base.capabilities.warning = s->warning;
	s->base.stats.known_drops = DROPS_KNOWN_SOCKET;
	rc = choose_interface(s, config);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < config->flow_count; i++)
		fill_flow(&s->flows[i], &config->flows[i], s->interface_index);
	s->flow_count = config->flow_count;
	return 0;
}

int mdfh_sockets_open(
    struct mdfh_sockets *s, const char *name, const struct mdfh_bypass_config *config)
{
	int rc = mdfh_sockets_prepare(s, name, config);

	if (rc)
		return rc;
	if (config->direction != MDFH_DIRECTION_SEND) {
		s->receives = 1;
		rc = open_receiving(s, config);
		mdfh_sockets_update_clock(s);
	}
	if (!rc && config->direction != MDFH_DIRECTION_RECEIVE)
		rc = open_sending(s, config);
	mdfh_sockets_opened(s);
	return rc;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void mdfh_sockets_close(struct mdfh_sockets *s)
{
	if (!s->name)
		return;
	for (uint32_t i = 0; i < s->flow_count; i++) {
		close_fd(s->flows[i].fd);
		close_fd(s->flows[i].trash_fd);
	}
	close_fd(s->tx_fd[0]);
	close_fd(s->tx_fd[1]);
	free(s->tx);
	free(s->tx_iov);
}

/* Addresses of a link are bound to its device, as "any address" is. */
static int is_bound_to_device(const struct flow *flow)
{
	return flow->any || (flow->to.any.sa_family == AF_INET6 && flow->to.v6.sin6_scope_id != 0);
}

/* An interface that was made anew has another index: memberships and bindings are still those of
 * the one that is gone. */
static int follow_interface(struct mdfh_sockets *s)
{
	unsigned before = s->interface_index,
		 now = *s->interface ? if_nametoindex(s->interface) : 0;
	int rc = 0;

	if (!now || now == before)
		return 0;
	for (uint32_t i = 0; i < s->flow_count && !rc; i++) {
		struct flow *flow = &s->flows[i];
		int level = flow->to.any.sa_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
		struct group_req old = {.gr_interface = before}, again = {.gr_interface = now};

		if (is_bound_to_device(flow)) {
			rc = mdfh_socket_bind_to_device(flow->fd, s->interface);
			if (!rc && flow->trash_fd >= 0)
				rc = mdfh_socket_bind_to_device(flow->trash_fd, s->interface);
			if (!rc && !flow->any)
				flow->to.v6.sin6_scope_id = now; /* for sending, too */
		}
		if (rc || !flow->multicast)
			continue;
		memcpy(&old.gr_group, &flow->to.storage, sizeof(old.gr_group));
		memcpy(&again.gr_group, &flow->to.storage, sizeof(again.gr_group));
		(void)setsockopt(flow->fd, level, MCAST_LEAVE_GROUP, &old, sizeof(old));
		/* Where an earlier try has come half the way. */
		(void)setsockopt(flow->fd, level, MCAST_LEAVE_GROUP, &again, sizeof(again));
		s->interface_index = now;
		rc = join(s, flow);
		if (!rc)
			rc = block_earlier_sources(s, i);
		s->interface_index = before;
	}
	for (int v6 = 0; v6 < 2 && !rc; v6++)
		if (s->tx_fd[v6] >= 0)
			rc = send_through(s->tx_fd[v6], v6, (int)now);
	if (!rc)
		s->interface_index = now;
	return rc;
}

/* Asked later --------------------------------------------------- */

int mdfh_sockets_stats(struct mdfh_bypass *port)
{
	struct mdfh_sockets *s = (struct mdfh_sockets *)port;
	char text[sizeof(s->warning)] = "";

	if (!s->receives)
		return 0;
	mdfh_sockets_update_clock(s);
	if (follow_interface(s))
		snprintf(text, sizeof(text),
		    "interface %s was made anew, and nothing arrives through it: %.180s",
		    s->interface, mdfh_error_text());
	mdfh_sockets_warn(s, text);
	for (uint32_t i = 0; i < s->flow_count; i++) {
		struct flow *flow = &s->flows[i];
		uint32_t now;
		int rc = read_drops(flow->fd, &now);

		if (rc)
			return rc;
		mdfh_sockets_count_drops(&flow->drops, now, &port->stats.rx_dropped_socket);
		if (flow->trash_fd < 0)
			continue;
		rc = read_drops(flow->trash_fd, &now);
		if (rc)
			return rc;
		mdfh_sockets_count_drops(&flow->trash_drops, now, &port->stats.rx_filtered);
	}
	return 0;
}

uint16_t mdfh_sockets_local_port(const struct mdfh_bypass *port, uint16_t flow)
{
	const struct mdfh_sockets *s = (const struct mdfh_sockets *)port;

	return flow < s->flow_count && s->flows[flow].fd >= 0 ? s->flows[flow].port : 0;
}
