/* dpdk.h - a port of backend dpdk, the device that it has a queue of, and the EAL under both.
 *
 * DPDK's environment (EAL) is started once per process and never taken down: the library does not
 * allow it to be started again. A device belongs to the ports on its queues, and is given back when
 * the last of them is closed. */
#ifndef MDFH_MODULES_DPDK_H
#define MDFH_MODULES_DPDK_H

#ifndef ALLOW_EXPERIMENTAL_API
#define ALLOW_EXPERIMENTAL_API /* rte_eth_read_clock, rte_eal_get_runtime_dir */
#endif
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "core/device_clock.h"
#include "net/net.h"
#include "wire/flow.h"
#include "wire/igmp.h"
#include "wire/trailer.h"

enum {
	DPDK_QUEUES_MAX = 16,
	DPDK_DEVICE_TEXT_MAX = 256,
	DPDK_EAL_TEXT_MAX = 1024,
	DPDK_HEADERS_MAX = 128, /* frame bytes that may stand before a payload */
	DPDK_BURST_MAX = 256,
	DPDK_HEARD_MAX = 8, /* questions of routers that wait for a queue */
	DPDK_RULES_MAX = 2 * MDFH_BYPASS_FLOWS_MAX,
	DPDK_SLOT_PLAIN =
	    1, /* added to an mbuf: it is in one piece, nobody else's, and of rx_pool */
};

/* Options ------------------------------------------------------------------------------------- */

enum dpdk_filters { DPDK_FILTERS_AUTO, DPDK_FILTERS_SOFTWARE, DPDK_FILTERS_HARDWARE };

struct dpdk_options {
	char eal[DPDK_EAL_TEXT_MAX]; /* more arguments of EAL, '+' between them */
	uint64_t memory_mb;          /* without hugepages; 0 = not said */
	uint64_t queues; /* of the device; 0 = as many as config.queue makes necessary */
	enum dpdk_filters filters;
	uint8_t address[16]; /* of this host, IPv4 */
	uint8_t address6[16];
	int has_address, has_address6;
	struct rte_ether_addr next_hop;
	int has_next_hop;
	int membership; /* 1 = speak IGMP and MLD */
};

int dpdk_options_read(const char *text, struct dpdk_options *options);

/* EAL ----------------------------------------------------------------------------------------- */

/* Start it, or see whether what runs already is what is asked for. memory_bytes is what the port is
 * going to need of it. */
int dpdk_eal_start(
    const struct dpdk_options *options, enum mdfh_switch hugepages, uint64_t memory_bytes);

/* Both serialise all that DPDK does not: devices coming and going. */
void dpdk_lock(void);
void dpdk_unlock(void);

/* Forget what DPDK has logged: something new begins. Under the lock. */
void dpdk_log_clear(void);

/* mdfh_error with DPDK's own words in parentheses: the first error that it has logged since
 * dpdk_log_clear, else the newest line. error is negative, or 0 for rte_errno. */
int dpdk_error(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Keep libraries of DPDK's drivers from writing to standard error, or no longer. Under the lock. */
void dpdk_quiet(int on);

/* Devices ------------------------------------------------------------------------------------- */

struct dpdk_shape { /* what the ports of a device have to agree on */
	uint32_t rx_ring_size, frame_size, hold_max, batch_size;
	enum dpdk_filters filters;
	enum mdfh_timestamps timestamps;
	int isolates; /* try to have only packets of rules come */
};

/* Routers' questions of one family, which come to one queue. */
struct dpdk_questions {
	uint64_t wanted;       /* bit per queue whose port has flows of the family */
	struct rte_flow *rule; /* NULL = there is none */
	uint16_t queue;        /* that it leads to */
};

struct dpdk_device {
	struct dpdk_device *next;
	char text[DPDK_DEVICE_TEXT_MAX]; /* as configured */
	struct dpdk_shape shape;
	struct rte_eth_dev_info info;
	struct rte_ether_addr mac;
	uint16_t id;
	uint16_t queues;
	uint64_t taken; /* bit per queue */
	uint16_t rx_descriptors, tx_descriptors;
	int is_foreign;  /* it was there before: of the program, or made by eal= */
	int is_virtual;  /* a device of software: what it hands out has been copied */
	int is_pointers; /* ... but net_ring passes packets as they are */
	int is_one_pool; /* net_af_xdp sends from the memory that it receives to */
	int is_caller; /* the client of a net_memif: it finds its server at start, or not at all */
	int is_started;
	int is_isolated; /* nothing but what rte_flow rules name comes to us */
	int stamps;      /* offset of the time in a packet, -1 = the device gives none */
	uint64_t stamp_flag;
	int is_allmulticast, is_promiscuous; /* by us */
	const char *multicast;               /* how groups are let in */
	struct rte_mempool *rx_pool[DPDK_QUEUES_MAX];
	struct rte_mempool *tx_pool[DPDK_QUEUES_MAX];
	/* Of several queues each: what routers ask and came to another. */
	struct rte_ring *heard[DPDK_QUEUES_MAX];
	struct rte_mempool *heard_pool;     /* of the copies in these */
	struct dpdk_questions questions[2]; /* by IGMP, by MLD; where the device is isolated */
	uint32_t is_asked;                  /* somebody reads its counters; atomic */
	uint32_t leaves;                    /* ports that have left their groups; atomic */
	/* Link-layer groups, of all ports. */
	struct rte_ether_addr groups[DPDK_QUEUES_MAX * MDFH_BYPASS_FLOWS_MAX];
	uint32_t groups_count;
};

struct dpdk_port {
	struct mdfh_bypass base; /* first, so a port pointer is a dpdk_port pointer */

	/* Receiving. */
	uint16_t device_id, queue;
	uint32_t frame_size;
	uint32_t hold_max;
	uint32_t threshold;
	int is_in_place; /* packets lie where the device wrote them */
	int is_registered;
	int receives;
	uint16_t burst;
	uint16_t pending_at, pending_count;
	uint16_t time_flags;   /* of times by our clock; 0 = receive_ns is to be 0 */
	int has_device_stamps; /* the device's own, at stamp_offset where stamp_flag is set */
	size_t stamp_offset;
	uint64_t stamp_flag;
	uint64_t now_ns;                    /* when the pending packets had come */
	struct mdfh_device_line clock_line; /* then */
	struct mdfh_trailer_reader trailer;
	struct mdfh_flow_table flows;
	struct rte_mempool *rx_pool;
	uint32_t slot_count;
	uint32_t free_count;
	uint32_t *free; /* stack of free slots */
	char **slots;   /* by slot: the mbuf held by the caller, NULL = free; DPDK_SLOT_PLAIN */
	struct rte_mbuf *pending[DPDK_BURST_MAX]; /* received and not handed out yet */

	/* The device's clock. */
	uint64_t clock_ns; /* when it was looked at last */
	struct mdfh_device_clock clock;

	/* Membership of groups. */
	int speaks; /* there are groups to speak for */
	int looks;  /* ... or somebody to be called */
	int is_linked;
	uint64_t called_ns; /* when the other end was called, or found to have gone */
	uint64_t joined_ns; /* when the groups were joined */
	uint32_t leaves;    /* of the device, as this port has seen it */
	uint16_t polls;     /* of an empty queue since the clock was read */
	uint64_t looked_ns; /* when dpdk_membership_poll was called last */
	uint64_t look_every_ns;
	struct mdfh_igmp igmp;
	struct mdfh_igmp_config igmp_config;
	char groups[MDFH_BYPASS_FLOWS_MAX][INET6_ADDRSTRLEN];
	char sources[MDFH_BYPASS_FLOWS_MAX][INET6_ADDRSTRLEN];

	/* Sending. */
	struct rte_mempool *tx_pool;
	struct mdfh_frame_header headers[MDFH_BYPASS_FLOWS_MAX];
	uint32_t headers_count;
	uint32_t payload_max;

	/* The control path. */
	struct dpdk_device *device;
	struct rte_flow *rules[DPDK_RULES_MAX];
	uint32_t rules_count;
	char mode[192];
	char copy_reason[64];
	char warning[256];
	char setup_warning[256];
};

/* A queue of a device, made ready and started. Under the lock; on failure the caller gives back
 * what there is with dpdk_device_leave. */
int dpdk_device_join(struct dpdk_port *port, const struct mdfh_bypass_config *config,
    const struct dpdk_options *options, const struct dpdk_shape *shape);
void dpdk_device_leave(struct dpdk_port *port);

/* Call again where nobody was there or the other end has gone. */
void dpdk_device_call(struct dpdk_device *device);

/* Let the link-layer groups of the port's flows in. */
int dpdk_groups_join(struct dpdk_port *port, const struct mdfh_bypass_config *config);

/* Bytes of memory that a queue's packets take, for dpdk_eal_start. */
uint64_t dpdk_memory_bytes(const struct dpdk_shape *shape);

/* Rules in the device for the port's flows: 0, or the error of the first that it refused, with none
 * left behind. */
int dpdk_rules_make(struct dpdk_port *port, const struct mdfh_bypass_config *config);
void dpdk_rules_remove(struct dpdk_port *port);

/* Times: recv, while nothing comes, and stats look at the device's clock. */
int dpdk_clock_open(struct dpdk_port *port, const struct mdfh_bypass_config *config);
void dpdk_clock_look(struct dpdk_port *port, uint64_t now_ns);

/* Membership: recv, stats and close drive it. */
int dpdk_membership_open(struct dpdk_port *port, const struct mdfh_bypass_config *config,
    const struct dpdk_options *options);
/* A frame that may be a router's question or another host's report. */
void dpdk_membership_hear(
    struct dpdk_port *port, const struct rte_mbuf *mbuf, const struct mdfh_frame *frame);
void dpdk_membership_poll(struct dpdk_port *port, uint64_t now_ns);
void dpdk_membership_look(struct dpdk_port *port);
void dpdk_membership_leave(struct dpdk_port *port);
int dpdk_is_link_up(const struct dpdk_port *port);

/* dpdk_setup.c */
/* The address of this host that packets carry: what the options say, else none of IPv4, and of IPv6
 * the one that the hardware address makes (RFC 4291, appendix A). */
void dpdk_own_address(const struct dpdk_port *port, const struct dpdk_options *options, int is_ipv4,
    uint8_t address[16]);
int dpdk_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port);
void dpdk_close(struct mdfh_bypass *port);

#endif
