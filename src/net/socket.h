/* socket.h - the kernel sockets of a port: made, sent through and counted here once, for every
 * backend that receives from them in its own way. */
#ifndef MDFH_NET_SOCKET_H
#define MDFH_NET_SOCKET_H

#include <net/if.h>
#include <string.h>
#include <time.h>

#include <linux/errqueue.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "mdfh/clock.h"
#include "net/net.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/* Room for every control message that is asked for: three timestamps, a drop count, and how long the
 * datagrams of a train are. */
union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(sizeof(struct scm_timestamping)) + CMSG_SPACE(sizeof(uint32_t)) +
		  CMSG_SPACE(sizeof(int))];
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

struct mdfh_sockets {
	struct mdfh_bypass base; /* first, so a port pointer is one to its sockets */
	const char *name;        /* of the backend, for its sentences */
	int receives;
	int is_gro; /* the receiving sockets take trains of datagrams: set before they are opened */
	uint32_t flow_count;
	unsigned interface_index; /* 0 = the kernel's choice */

	int has_times;
	int cmsg_type; /* of the timestamp */
	uint16_t time_flags;
	uint16_t app_flags; /* of a packet that came without a stamp, 0 = times are off */
	uint32_t time_error_ns;

	int tx_fd[2]; /* IPv4, IPv6; -1 = no flow of that family */
	struct mmsghdr *tx;
	struct iovec *tx_iov;

	char interface[IFNAMSIZ]; /* "" = the kernel's choice */
	char warning[256];        /* now */
	char setup_warning[256];  /* as open left it */
	struct flow flows[MDFH_BYPASS_FLOWS_MAX];
};

/* socket_setup.c ------------------------------------------------------- */

/* What no backend over kernel UDP sockets can do, as sentences that begin with name; the first,
 * what none over any kernel socket can. */
int mdfh_sockets_check_any(const struct mdfh_bypass_config *config, const char *name);
int mdfh_sockets_check(const struct mdfh_bypass_config *config, const char *name);

/* Fill what every such backend has, and make no socket. */
int mdfh_sockets_prepare(
    struct mdfh_sockets *s, const char *name, const struct mdfh_bypass_config *config);

/* Fill what every such backend has, and open what config.direction asks for: a socket for each
 * flow, complete with memberships and filters, and nothing received before; sockets to send from.
 * On failure what was made so far stays for mdfh_sockets_close. */
int mdfh_sockets_open(
    struct mdfh_sockets *s, const char *name, const struct mdfh_bypass_config *config);

/* Works on sockets in any state of being opened, and on a zeroed structure. */
void mdfh_sockets_close(struct mdfh_sockets *s);

/* Operations that a backend can put into its table as they are. */
int mdfh_sockets_send(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n);
int mdfh_sockets_stats(struct mdfh_bypass *port);
uint16_t mdfh_sockets_local_port(const struct mdfh_bypass *port, uint16_t flow);

/* Options of one socket, with sentences. flow 0 also sets up the device's stamps. */
int mdfh_socket_set_int(int fd, int level, int option, int value); /* -errno, no sentence */
int mdfh_socket_bind_to_device(int fd, const char *interface);
int mdfh_sockets_set_receive_buffer(struct mdfh_sockets *s, int fd, uint64_t wanted);
int mdfh_sockets_set_busy_poll(int fd, uint32_t us);
int mdfh_sockets_set_timestamps(
    struct mdfh_sockets *s, int fd, const struct mdfh_bypass_config *config, uint32_t flow);
/* How far the clock of the stamps may be off. */
void mdfh_sockets_update_clock(struct mdfh_sockets *s);

/* socket_report.c ------------------------------------------------------ */

/* As mdfh_error_errno, with what to do about it where that is known. */
int mdfh_socket_error(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));
int mdfh_socket_interface_error(int error, const char *name, const char *interface);
int mdfh_socket_device_error(int error, const char *interface);
int mdfh_socket_bind_error(int error, const struct mdfh_flow *flow);
int mdfh_socket_listen_error(int error, const char *what, const char *address, uint16_t port);
int mdfh_socket_send_error(
    int error, const struct mdfh_sockets *s, const struct flow *flow, uint32_t length);
int mdfh_socket_join_error(int error, const struct mdfh_sockets *s, const struct flow *flow);
/* What open could not get is the port's warning from now on ... */
void mdfh_sockets_opened(struct mdfh_sockets *s);
/* ... unless there is something else to say ("" = nothing), or the interface is in trouble. */
void mdfh_sockets_warn(struct mdfh_sockets *s, const char *other);

/* socket_tcp.c --------------------------------------------------------- */

/* The backend socket with transport TCP: a port with operations of its own. */
int mdfh_tcp_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port);

/* Data path ------------------------------------------------------------ */

/* Add what the kernel's wrapping counter has grown by. The value that comes with a packet is that
 * of its arrival, so it may be older than the one seen last. */
static inline void mdfh_sockets_count_drops(uint32_t *seen, uint32_t now, uint64_t *total)
{
	int32_t grown = (int32_t)(now - *seen);

	if (grown <= 0)
		return;
	*seen = now;
	*total += (uint32_t)grown;
}

/* The time and the drop count that came with a packet of flow. Returns how long each datagram of a train
 * is (UDP_GRO), 0 = it is one datagram. */
static inline uint32_t mdfh_sockets_read_control(
    struct mdfh_sockets *s, struct flow *flow, struct msghdr *header, struct mdfh_packet *packet)
{
	int size = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO)
			memcpy(&size, CMSG_DATA(c), sizeof(size));
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SO_RXQ_OVFL) {
			uint32_t drops;

			memcpy(&drops, CMSG_DATA(c), sizeof(drops));
			mdfh_sockets_count_drops(
			    &flow->drops, drops, &s->base.stats.rx_dropped_socket);
		} else if (c->cmsg_type == s->cmsg_type) {
			/* The hardware's stamp is the last of three. */
			size_t at =
			    c->cmsg_type == SCM_TIMESTAMPING ? 2 * sizeof(struct timespec) : 0;
			struct timespec t;

			memcpy(&t, CMSG_DATA(c) + at, sizeof(t));
			packet->receive_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
		}
	}
	if (packet->receive_ns) {
		packet->flags |= s->time_flags;
	} else if (s->app_flags) {
		/* A NIC does not stamp everything. Then it is now. */
		packet->receive_ns = mdfh_clock_now_ns();
		packet->time_error_ns = UINT32_MAX;
		packet->flags |= s->app_flags;
	}
	return size > 0 ? (uint32_t)size : 0;
}

#endif
