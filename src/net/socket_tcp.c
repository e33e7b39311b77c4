/* socket_tcp.c - the backend socket with transport TCP: a client's connection to one server, made
 * anew whenever it is gone.
 *
 * The port is in one of three states, and only recv (and open, once) moves it on:
 *   - waiting: there is no socket; the next attempt is due at a time;
 *   - connecting: the kernel is at it; the attempt is given up at a time;
 *   - up: bytes are read, one recvmsg(2) into the free frames of a batch.
 * An epoll descriptor that lives as long as the port holds the socket of the day and a timer that
 * runs to that time, so whoever polls it wakes for all that recv has to do, and for nothing else.
 *
 * Attempts are apart by a pause that doubles from reconnect_min_ms to reconnect_max_ms and is drawn
 * from its upper half, so that the clients of a server that was gone do not come back at once. It
 * starts afresh after a connection that brought bytes or stayed up for reconnect_max_ms: a server
 * that takes connections only to drop them is not hammered. */
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "core/lines.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "net/frames.h"
#include "net/socket.h"

enum {
	SEND_MAX = 65535,    /* bytes of a packet to send: what may have to be kept */
	KEEPALIVE_COUNT = 3, /* unanswered probes after which the server is gone */
};

enum state { WAITING, CONNECTING, UP };

struct tcp_port {
	struct mdfh_sockets sockets; /* first; flows[0] is the server, its fd the connection */
	struct mdfh_frames frames;
	enum state state;
	int announce;    /* the connection is up, and no mark has said so */
	int farewell;    /* it was ended by reconnect, and no mark has said so */
	int brought;     /* the connection has brought bytes */
	int send_error;  /* errno of a send that failed: recv will come to the end of the bytes */
	uint32_t events; /* that epoll watches the connection for */
	uint64_t
	    due_ns; /* CLOCK_MONOTONIC: next attempt; its end; time by which a connection counts
	                  * as lasting */
	int epoll_fd, timer_fd;

	uint8_t *rest; /* of a packet that the kernel took in part */
	uint32_t rest_at, rest_length;

	uint64_t random; /* state of the generator of pauses */
	uint64_t pause_ms;
	uint64_t min_ms, max_ms, connect_ms, keepalive_s;
	uint64_t failures;                /* attempts in a row */
	struct mdfh_bypass_config config; /* what sockets to come are made by */
};

static struct flow *server(struct tcp_port *p)
{
	return &p->sockets.flows[0];
}

/* Time ------------------------------------------------------------------ */

static uint64_t monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* When whoever polls is to wake; 0 = not by time. A timer that is valid cannot fail to be set. */
static void set_timer(struct tcp_port *p, uint64_t at_ns)
{
	const struct itimerspec at = {.it_value = {.tv_sec = (time_t)(at_ns / 1000000000u),
					  .tv_nsec = (long)(at_ns % 1000000000u)}};

	(void)timerfd_settime(p->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void set_due(struct tcp_port *p, uint64_t due_ns)
{
	p->due_ns = due_ns;
	set_timer(p, due_ns);
}

/* SplitMix64. */
static uint64_t draw(struct tcp_port *p)
{
	uint64_t x = p->random += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* From half of the pause to all of it; the next is twice as long. */
static void wait_for_next(struct tcp_port *p)
{
	uint64_t half_ns = p->pause_ms * 500000u;

	p->state = WAITING;
	set_due(p, monotonic_ns() + half_ns + draw(p) % (half_ns + 1));
	p->pause_ms = p->pause_ms * 2 < p->max_ms ? p->pause_ms * 2 : p->max_ms;
}

/* The connection -------------------------------------------------------- */

static void drop_socket(struct tcp_port *p)
{
	if (server(p)->fd >= 0)
		close(server(p)->fd); /* which takes it out of the epoll, too */
	server(p)->fd = -1;
	p->rest_length = 0;
	p->send_error = 0;
	p->announce = 0;
}

/* An attempt has failed: error is an errno. */
static void attempt_failed(struct tcp_port *p, int error)
{
	drop_socket(p);
	p->sockets.base.stats.connect_failures++;
	p->sockets.base.stats.last_error = error;
	p->failures++;
	wait_for_next(p);
}

/* A connection has ended: error is an errno, or 0 = the server closed it. */
static void connection_ended(struct tcp_port *p, int error)
{
	int lasted = p->brought || monotonic_ns() >= p->due_ns;

	drop_socket(p);
	p->sockets.base.stats.disconnects++;
	p->sockets.base.stats.last_error = error;
	if (lasted)
		p->pause_ms = p->min_ms;
	wait_for_next(p);
}

static int watch(struct tcp_port *p, int operation, uint32_t events)
{
	struct epoll_event event = {.events = events};

	if (epoll_ctl(p->epoll_fd, operation, server(p)->fd, &event))
		return mdfh_error_errno(-errno, "socket: epoll_ctl");
	p->events = events;
	return 0;
}

static int set_options(struct tcp_port *p, int fd)
{
	const struct mdfh_bypass_config *config = &p->config;
	int idle = (int)p->keepalive_s, interval = idle >= KEEPALIVE_COUNT ? idle / 3 : 1;
	int gone_ms = (idle + KEEPALIVE_COUNT * interval) * 1000;
	int rc = config->interface ? mdfh_socket_bind_to_device(fd, config->interface) : 0;

	if (rc)
		return rc;
	rc = mdfh_socket_set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (!rc)
		rc = mdfh_socket_set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	if (!rc)
		rc = mdfh_socket_set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle);
	if (!rc)
		rc = mdfh_socket_set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval);
	if (!rc)
		rc = mdfh_socket_set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
	/* Probes are not sent while bytes of ours are unanswered; this is, then. */
	if (!rc)
		rc = mdfh_socket_set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, gone_ms);
	if (rc)
		return mdfh_error_errno(rc, "socket: options of TCP");
	rc = mdfh_sockets_set_receive_buffer(&p->sockets, fd, config->receive_buffer_bytes);
	if (!rc)
		rc = mdfh_sockets_set_busy_poll(fd, config->busy_poll_us);
	if (!rc)
		rc = mdfh_sockets_set_timestamps(&p->sockets, fd, config, 0);
	return rc;
}

/* The kernel says that it is connected. A negative errno if it is not, or to itself: without a
 * listener, the kernel may choose the server's port as ours on a host's own address, and TCP lets
 * two simultaneous openings meet. */
static int established(struct tcp_port *p, int operation)
{
	struct mdfh_address local = {.length = sizeof(local.storage)};
	int rc;

	if (getsockname(server(p)->fd, &local.any, &local.length))
		return mdfh_error_errno(-errno, "socket: getsockname");
	/* The port stands at the same place in both families. */
	if (local.v4.sin_port == server(p)->to.v4.sin_port &&
	    mdfh_address_same_host(&local, &server(p)->to)) {
		const struct linger reset = {.l_onoff = 1};

		/* Closed in order, it would keep the server from its port for a minute. */
		(void)setsockopt(server(p)->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		return mdfh_error(-ECONNREFUSED, "socket: connected to itself");
	}
	rc = watch(p, operation, EPOLLIN);
	if (rc)
		return rc;
	server(p)->port = ntohs(local.v4.sin_port);
	p->state = UP;
	p->announce = 1;
	p->brought = 0;
	p->failures = 0;
	p->sockets.base.stats.connects++;
	p->due_ns = monotonic_ns() + p->max_ms * 1000000u;
	set_timer(p, 0);
	return 0;
}

/* Make a socket with all of its options. */
static int make_socket(struct tcp_port *p)
{
	struct flow *to = server(p);

	to->port = 0; /* until it is connected */
	to->fd = socket(to->to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (to->fd < 0)
		return mdfh_socket_error(-errno, "socket: socket for TCP");
	return set_options(p, to->fd);
}

/* Begin to connect the socket; the attempt's end is in the state. */
static int begin(struct tcp_port *p)
{
	struct flow *to = server(p);
	int rc;

	/* A link-local address is one of a device, which may be another one by now. */
	if (p->config.interface && to->to.any.sa_family == AF_INET6 &&
	    IN6_IS_ADDR_LINKLOCAL(&to->to.v6.sin6_addr))
		to->to.v6.sin6_scope_id = if_nametoindex(p->config.interface);
	if (!connect(to->fd, &to->to.any, to->to.length))
		return established(p, EPOLL_CTL_ADD);
	if (errno != EINPROGRESS)
		return -errno;
	rc = watch(p, EPOLL_CTL_ADD, EPOLLOUT);
	if (rc)
		return rc;
	p->state = CONNECTING;
	set_due(p, monotonic_ns() + p->connect_ms * 1000000u);
	return 0;
}

/* See whether the kernel has done with connecting. */
static void look(struct tcp_port *p)
{
	struct pollfd ready = {.fd = server(p)->fd, .events = POLLOUT};
	int error = 0;
	socklen_t size = sizeof(error);

	if (poll(&ready, 1, 0) <= 0) {
		if (monotonic_ns() >= p->due_ns)
			attempt_failed(p, ETIMEDOUT);
		return;
	}
	if (getsockopt(server(p)->fd, SOL_SOCKET, SO_ERROR, &error, &size))
		error = errno;
	if (!error)
		error = -established(p, EPOLL_CTL_MOD);
	if (error)
		attempt_failed(p, error);
}

/* Without a connection: one step on. */
static void drive(struct tcp_port *p)
{
	int rc;

	if (p->state == CONNECTING) {
		look(p);
		return;
	}
	if (monotonic_ns() < p->due_ns)
		return;
	rc = make_socket(p);
	if (!rc)
		rc = begin(p);
	if (rc)
		attempt_failed(p, -rc);
}

/* Setup ----------------------------------------------------------------- */

static int read_options(struct tcp_port *p, const char *options)
{
	static const char *const keys[] = {"reconnect_min_ms", "reconnect_max_ms",
	    "connect_timeout_ms", "keepalive_s", "reconnect_seed", NULL};
	int rc = mdfh_option_known(options, "socket", keys);

	p->min_ms = 100;
	p->max_ms = 5000;
	p->connect_ms = 5000;
	p->keepalive_s = 10;
	/* Of two clients of one host and of two hosts, other pauses. */
	p->random = mdfh_clock_now_ns() ^ (uint64_t)getpid() << 40;
	if (!rc)
		rc = mdfh_option_number(options, "reconnect_min_ms", 1, 600000, &p->min_ms);
	if (!rc)
		rc = mdfh_option_number(options, "reconnect_max_ms", 1, 600000, &p->max_ms);
	if (!rc)
		rc = mdfh_option_number(options, "connect_timeout_ms", 1, 600000, &p->connect_ms);
	if (!rc)
		rc = mdfh_option_number(options, "keepalive_s", 1, 7200, &p->keepalive_s);
	if (!rc)
		rc = mdfh_option_number(
		    options, "reconnect_seed", 0, UINT64_C(999999999999999999), &p->random);
	if (!rc && p->min_ms > p->max_ms)
		rc = mdfh_error(-EINVAL,
		    "socket: backend_options has reconnect_min_ms=%" PRIu64
		    " and reconnect_max_ms is %" PRIu64 "; the first pause must not be longer "
		    "than the last",
		    p->min_ms, p->max_ms);
	p->pause_ms = p->min_ms;
	return rc;
}

static int check(const struct mdfh_bypass_config *config)
{
	int rc = mdfh_sockets_check_any(config, "socket");

	if (!rc && config->direction == MDFH_DIRECTION_SEND)
		rc = mdfh_error(-ENOTSUP,
		    "socket: direction is send and transport is TCP; a connection is driven on by "
		    "recv, so leave direction at its default");
	return rc;
}

static void tcp_close(struct mdfh_bypass *port)
{
	struct tcp_port *p = (struct tcp_port *)port;

	mdfh_sockets_close(&p->sockets);
	if (p->timer_fd >= 0)
		close(p->timer_fd);
	if (p->epoll_fd >= 0)
		close(p->epoll_fd);
	free(p->rest);
	mdfh_frames_unmap(&p->frames);
	free(p);
}

static int make_poll(struct tcp_port *p)
{
	struct epoll_event event = {.events = EPOLLIN};

	p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (p->epoll_fd < 0)
		return mdfh_socket_error(-errno, "socket: epoll_create1");
	p->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (p->timer_fd < 0)
		return mdfh_socket_error(-errno, "socket: timerfd_create");
	if (epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, p->timer_fd, &event))
		return mdfh_error_errno(-errno, "socket: epoll_ctl");
	p->sockets.base.capabilities.poll_fd = p->epoll_fd;
	return 0;
}

static int make_sending(struct tcp_port *p)
{
	p->rest = malloc(SEND_MAX);
	p->sockets.tx_iov = calloc(MDFH_BYPASS_BATCH_MAX, sizeof(*p->sockets.tx_iov));
	if (!p->rest || !p->sockets.tx_iov)
		return mdfh_error(-ENOMEM, "socket: %d bytes to send", SEND_MAX);
	return 0;
}

/* The first attempt. A server that is not there, or not to be reached, may be there later; what
 * the host refuses or cannot do, it will not do later. */
static int first_attempt(struct tcp_port *p, const struct mdfh_flow *wanted)
{
	int rc = make_socket(p);

	if (rc)
		return rc;
	rc = begin(p);
	if (rc == -EINVAL || rc == -EACCES || rc == -EPERM || rc == -EAFNOSUPPORT)
		return mdfh_error_errno(rc, "socket: connect to %s port %u%s", wanted->group,
		    wanted->port,
		    rc == -EINVAL && !p->config.interface ? " (a link-local address needs "
							    "interface)"
							  : "");
	if (rc)
		attempt_failed(p, -rc);
	return 0;
}

static const struct mdfh_bypass_ops tcp_ops; /* at the end */

int mdfh_tcp_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port)
{
	struct tcp_port *p;
	int rc = check(config);

	if (rc)
		return rc;
	p = mdfh_lines_alloc(1, sizeof(*p));
	if (!p)
		return mdfh_error(-ENOMEM, "socket: %zu bytes", sizeof(*p));
	p->epoll_fd = p->timer_fd = -1;
	p->config = (struct mdfh_bypass_config){.size = sizeof(p->config),
	    .busy_poll_us = config->busy_poll_us,
	    .receive_buffer_bytes = config->receive_buffer_bytes,
	    .timestamps = config->timestamps};
	if (config->interface)
		p->config.interface = p->sockets.interface; /* filled by prepare */
	p->sockets.base.ops = &tcp_ops;
	p->sockets.base.capabilities.numa_node = -1;
	p->sockets.base.capabilities.is_stream = 1;
	p->sockets.receives = 1;
	rc = read_options(p, config->backend_options);
	if (!rc)
		rc = mdfh_frames_map(&p->frames, "socket", config, &p->sockets.base.capabilities);
	if (!rc)
		rc = mdfh_sockets_prepare(&p->sockets, "socket", config);
	if (!rc)
		rc = make_poll(p);
	if (!rc && config->direction != MDFH_DIRECTION_RECEIVE)
		rc = make_sending(p);
	if (!rc)
		rc = first_attempt(p, &config->flows[0]);
	if (!rc && p->sockets.base.capabilities.timestamps == MDFH_PLACE_KERNEL)
		rc = mdfh_kernel_stamps_wait();
	if (rc) {
		tcp_close(&p->sockets.base);
		return rc;
	}
	mdfh_sockets_update_clock(&p->sockets);
	mdfh_sockets_opened(&p->sockets);
	*port = &p->sockets.base;
	return 0;
}

/* Data path ------------------------------------------------------------- */

/* This thread's clock, for what the kernel does not stamp. */
static void stamp(const struct tcp_port *p, struct mdfh_packet *packet)
{
	if (!p->sockets.has_times)
		return;
	packet->receive_ns = mdfh_clock_now_ns();
	packet->flags |= p->sockets.app_flags;
}

static void put_mark(const struct tcp_port *p, struct mdfh_packet *packet, unsigned flag)
{
	*packet = (struct mdfh_packet){
	    .data = p->frames.pool.base,
	    .cookie = UINT64_MAX, /* of no frame: release has nothing to do */
	    .time_error_ns = UINT32_MAX,
	    .flags = (uint16_t)(MDFH_PACKET_STREAM | flag),
	};
	stamp(p, packet);
}

/* A send has failed for good. What the server sent before it is still there to be read, and after
 * that recv finds the end, by the error kept here. */
static void send_failed(struct tcp_port *p, int error)
{
	p->send_error = error;
	p->rest_length = 0;
	(void)shutdown(server(p)->fd, SHUT_RDWR);
}

/* Send on the rest of a packet. 1 if nothing is left of it. */
static int send_rest(struct tcp_port *p)
{
	ssize_t sent;

	if (!p->rest_length)
		return 1;
	sent = send(server(p)->fd, p->rest + p->rest_at, p->rest_length - p->rest_at,
	    MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS && errno != ENOMEM)
			send_failed(p, errno);
		return 0;
	}
	p->rest_at += (uint32_t)sent;
	if (p->rest_at < p->rest_length)
		return 0;
	p->rest_length = 0;
	(void)watch(p, EPOLL_CTL_MOD, EPOLLIN);
	return 1;
}

/* The next bytes in at most n packets, or the mark of the end. */
static int read_bytes(struct tcp_port *p, struct mdfh_packet *packets, unsigned n)
{
	struct mdfh_sockets *s = &p->sockets;
	union control control;
	struct msghdr header = {
	    .msg_iov = p->frames.iov,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control.room),
	};
	struct mdfh_packet first = {.flags = MDFH_PACKET_STREAM, .time_error_ns = s->time_error_ns};
	unsigned count = 0;
	ssize_t got;

	header.msg_iovlen = mdfh_frames_arm(&p->frames, n);
	if (!header.msg_iovlen) {
		s->base.stats.rx_starved++;
		return 0;
	}
	got = recvmsg(server(p)->fd, &header, MSG_DONTWAIT);
	if (got <= 0) {
		int error = got < 0 ? errno : p->send_error;

		if (got < 0 && (error == EAGAIN || error == EINTR || error == ENOMEM))
			return 0;
		connection_ended(p, error);
		put_mark(p, packets, MDFH_PACKET_DISCONNECTED);
		return 1;
	}
	p->brought = 1;
	s->base.stats.rx_bytes += (uint64_t)got;
	mdfh_sockets_read_control(s, server(p), &header, &first);
	for (uint32_t left = (uint32_t)got; left; count++) {
		struct mdfh_packet *packet = &packets[count];

		*packet = first;
		packet->data = p->frames.iov[count].iov_base;
		packet->cookie = mdfh_frames_take(&p->frames, count);
		packet->length = left < p->frames.size ? left : p->frames.size;
		left -= packet->length;
	}
	return (int)count;
}

static int tcp_recv(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	struct tcp_port *p = (struct tcp_port *)port;
	int got = 0;

	if (p->farewell) {
		put_mark(p, &packets[got++], MDFH_PACKET_DISCONNECTED);
		p->farewell = 0;
		set_timer(p, p->due_ns);
	}
	if (p->state != UP)
		drive(p);
	if (p->announce && got < n) {
		put_mark(p, &packets[got++], MDFH_PACKET_CONNECTED);
		p->announce = 0;
	}
	if (p->state == UP && !p->announce && got < n) {
		(void)send_rest(p);
		got += read_bytes(p, packets + got, (unsigned)(n - got));
	}
	port->stats.rx_packets += (uint64_t)got;
	if (got)
		port->stats.rx_batches++;
	else
		port->stats.rx_empty++;
	return got;
}

static void tcp_release(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	mdfh_frames_release(&((struct tcp_port *)port)->frames, packets, n);
}

/* Packets to send that are sound, from the front; for the first that is not, the error. */
static int gather(struct tcp_port *p, const struct mdfh_packet *packets, int n, int *error)
{
	for (int i = 0; i < n; i++) {
		const struct mdfh_packet *packet = &packets[i];

		if (packet->flow && packet->flow != MDFH_FLOW_NONE)
			*error = mdfh_error(-EDESTADDRREQ,
			    "socket: packet %d is for flow %u; a connection has only flow 0", i,
			    packet->flow);
		else if (packet->length > SEND_MAX)
			*error = mdfh_error(-EMSGSIZE,
			    "socket: send of %u bytes; a packet has at most %d", packet->length,
			    SEND_MAX);
		else
			p->sockets.tx_iov[i] = (struct iovec){(void *)packet->data, packet->length};
		if (*error)
			return i;
	}
	return n;
}

/* Count what the kernel took, and keep the rest of a packet that it took in part. */
static int take(struct tcp_port *p, const struct mdfh_packet *packets, int n, size_t bytes)
{
	struct mdfh_bypass_stats *stats = &p->sockets.base.stats;
	int taken = 0;

	for (; taken < n && bytes >= packets[taken].length; taken++) {
		bytes -= packets[taken].length;
		stats->tx_bytes += packets[taken].length;
	}
	if (bytes) {
		const struct mdfh_packet *packet = &packets[taken++];

		p->rest_at = 0;
		p->rest_length = packet->length - (uint32_t)bytes;
		memcpy(p->rest, packet->data + bytes, p->rest_length);
		stats->tx_bytes += packet->length;
		(void)watch(p, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
	}
	stats->tx_packets += (uint64_t)taken;
	return taken;
}

static int tcp_send(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	struct tcp_port *p = (struct tcp_port *)port;
	struct msghdr header = {.msg_iov = p->sockets.tx_iov};
	int sound, taken = 0, error = 0;

	sound = gather(p, packets, n, &error);
	if (sound && p->state == UP && !p->announce && !p->send_error && send_rest(p)) {
		ssize_t sent;

		header.msg_iovlen = (size_t)sound;
		sent = sendmsg(server(p)->fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent >= 0)
			taken = take(p, packets, sound, (size_t)sent);
		else if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS && errno != ENOMEM)
			send_failed(p, errno);
	}
	port->stats.tx_failed += (uint64_t)(n - taken);
	return sound ? taken : error;
}

static int tcp_reconnect(struct mdfh_bypass *port, uint64_t pause_ns)
{
	struct tcp_port *p = (struct tcp_port *)port;
	uint64_t now_ns = monotonic_ns();
	uint64_t due_ns = pause_ns < UINT64_MAX / 4 ? now_ns + pause_ns : UINT64_MAX / 2;

	if (p->state == UP) {
		p->farewell = !p->announce; /* of a beginning that nobody was told of, no end */
		connection_ended(p, ECONNABORTED);
	} else if (p->state == CONNECTING) {
		drop_socket(p);
		wait_for_next(p);
	}
	if (p->due_ns < due_ns)
		set_due(p, due_ns);
	if (p->farewell)
		set_timer(p, now_ns);
	return 0;
}

/* Control path ---------------------------------------------------------- */

static int tcp_stats(struct mdfh_bypass *port)
{
	struct tcp_port *p = (struct tcp_port *)port;
	char text[sizeof(p->sockets.warning)] = "";
	char host[INET6_ADDRSTRLEN], reason[128];

	mdfh_sockets_update_clock(&p->sockets);
	if (p->state != UP && port->stats.last_error) {
		mdfh_address_text(&server(p)->to, host, sizeof(host));
		snprintf(text, sizeof(text),
		    "no connection to %s port %u, attempts that failed since the last: %" PRIu64
		    "; newest reason: %s",
		    host, ntohs(server(p)->to.v4.sin_port), p->failures,
		    port->stats.last_error == ECONNABORTED
			? "it was ended from here"
			: strerror_r(port->stats.last_error, reason, sizeof(reason)));
	}
	mdfh_sockets_warn(&p->sockets, text);
	return 0;
}

static const struct mdfh_bypass_ops tcp_ops = {
    .size = sizeof(tcp_ops),
    .name = "socket",
    .description = "TCP through kernel sockets",
    .open = mdfh_tcp_open,
    .recv = tcp_recv,
    .release = tcp_release,
    .send = tcp_send,
    .close = tcp_close,
    .stats = tcp_stats,
    .local_port = mdfh_sockets_local_port,
    .reconnect = tcp_reconnect,
};
