/* verbs_device.h - an RDMA device of software for tests of backend verbs: libibverbs and librdmacm, as far
 * as the backend calls them, over plain memory. Linked in their place, never installed.
 *
 * A test makes datagrams and frames arrive, has calls refused, and looks at what was given to the device.
 * Where the environment has VERBS_DEVICE=INTERFACE, its raw queue pairs receive from that network interface,
 * whose frames go through the rules as they would in a NIC; with ",ticks" or ",wallclock" behind it,
 * completions have such stamps. */
#ifndef MDFH_TESTS_VERBS_DEVICE_H
#define MDFH_TESTS_VERBS_DEVICE_H

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

enum { VDEV_SENDS = 4096, VDEV_RULES = 128, VDEV_TICKS_HZ = 156250000 };

enum vdev_stamps { VDEV_NO_STAMPS, VDEV_TICKS, VDEV_WALLCLOCK };

struct vdev_rule {         /* as it was asked for */
	struct ibv_qp *qp; /* NULL = it is gone */
	struct ibv_flow_attr attributes;
	int has_eth, has_ipv4, has_ipv6, has_udp;
	struct ibv_flow_spec_eth eth;
	struct ibv_flow_spec_ipv4 ipv4;
	struct ibv_flow_spec_ipv6 ipv6;
	struct ibv_flow_spec_tcp_udp udp;
};

struct vdev_send {
	uint32_t length, remote_qpn, qkey, immediate;
	uint16_t lid; /* of a datagram, and so is the next */
	uint8_t hop_limit;
	enum ibv_wr_opcode opcode;
	uint8_t bytes[256]; /* the first */
};

struct vdev {
	/* What it is like. */
	int devices;           /* 0 = none, negative = the kernel has none for programs */
	const char *interface; /* that it belongs to */
	const char *folder;    /* in place of /sys/class/infiniband/DEVICE; NULL = there is none */
	int link_layer, steers, is_of_software, has_no_clock;
	enum vdev_stamps stamps;
	enum ibv_port_state state;
	int max_wr;
	/* What it refuses, and how: errno values. */
	int open_error, raw_error, rule_error, whole_rule_error, ah_error, join_error, loop_error;
	int is_boasting;        /* what no buffer had room for was written whole, it says */
	uint16_t group_lid;     /* that groups have from now on */
	int is_join_silent;     /* nobody answers */
	uint32_t takes_at_most; /* receive orders in one call; 0 = all */
	uint32_t sends_at_most;
	enum ibv_wc_status send_status;
	int is_sending_slow;              /* what is sent leaves with vdev_leave */
	int (*strikes)(const char *call); /* 1 = that call fails now */

	/* What it saw. */
	uint32_t chains, with_device; /* calls that gave buffers; buffers that it has now */
	uint32_t longest_chain;
	uint32_t send_chains, sends_count;
	struct vdev_send sends[VDEV_SENDS];
	uint32_t rules_count;
	struct vdev_rule rules[VDEV_RULES];
	uint32_t joins, leaves, attached, detached;
	uint32_t join_flags; /* of the last */
	uint32_t create_flags;
	int live;         /* objects that were made and not destroyed */
	int ways_missed;  /* that were destroyed before what is sent by them has left */
	uint64_t dropped; /* found no buffer */
};

extern struct vdev vdev;

/* As it is from the factory, before each test: a NIC on "lo". */
void vdev_reset(void);
/* The next buffer is filled, and its completion queued. 0 = there was none. */
int vdev_arrive(const void *bytes, uint32_t length, unsigned flags, uint32_t immediate);
/* The same with a global header before it, made as RoCE v2 over IPv4 or IPv6 has it. */
int vdev_datagram(const char *source, const char *destination, const void *payload, uint32_t length,
    unsigned flags, uint32_t immediate);
/* The next buffer's completion fails. */
void vdev_fail(enum ibv_wc_status status);
/* All that was sent leaves. */
void vdev_leave(void);
/* The counter that stamps are of, now; of wall clock stamps, ns. */
uint64_t vdev_ticks(void);
/* Of the connection manager: for every group joined, or for the device. */
void vdev_happens(enum rdma_cm_event_type type, int status);
void vdev_async(enum ibv_event_type type);

/* Its parts share these (and parts.h). */
int vdev_struck(const char *call);
struct ibv_context *vdev_context(void);

#endif
