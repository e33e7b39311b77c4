/* socket.h - the socket backend's port, shared by its setup and its data path. */
#ifndef MDFH_NET_SOCKET_H
#define MDFH_NET_SOCKET_H

#include <time.h>

#include <linux/errqueue.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "mdfh/memory.h"
#include "net/net.h"

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
	int epoll_fd;   /* which of several flows are ready; -1 = there is only one */
	int ask_all;    /* ask every flow instead: one, or busy polling, which recvmmsg does */
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

/* socket_setup.c. On failure the descriptors made so far stay in the port, which is closed then. */

void mdfh_socket_fill_flow(
    struct flow *flow, const struct mdfh_flow *wanted, unsigned interface_index);
/* A socket for each flow, complete with memberships and filters, and nothing received before. */
int mdfh_socket_open_receiving(struct socket_port *s, const struct mdfh_bypass_config *config);
int mdfh_socket_open_sending(struct socket_port *s, const struct mdfh_bypass_config *config);
/* The kernel's count of what it could not queue (and of what a filter refused). */
int mdfh_socket_drops(int fd, uint32_t *drops);

#endif
