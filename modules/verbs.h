/* verbs.h - a port of backend verbs, shared by its files: the data path (verbs.c), sending
 * (verbs_send.c), opening and closing (verbs_setup.c), the device with its counters and clock
 * (verbs_device.c), groups joined through the RDMA connection manager (verbs_group.c), flow steering
 * (verbs_rules.c).
 *
 * A port has one queue pair of one of two kinds. A datagram queue pair (UD) receives what RDMA senders
 * send to the groups that it joined, with a header of 40 bytes before the payload that says from where to
 * where. A raw one receives Ethernet frames that flow steering brings to it, past the kernel. */
#ifndef MDFH_MODULES_VERBS_H
#define MDFH_MODULES_VERBS_H

#include <infiniband/verbs.h>
#include <net/if.h>
#include <rdma/rdma_cma.h>

#include "core/device_clock.h"
#include "mdfh/frame.h"
#include "net/membership.h"
#include "net/net.h"
#include "net/pool.h"
#include "wire/flow.h"
#include "wire/trailer.h"

enum {
	VERBS_GRH = 40,          /* bytes before a datagram's payload */
	VERBS_HEADERS_MAX = 128, /* Ethernet to UDP */
	VERBS_CHAIN = 32,        /* buffers that are given to the device at once, at least */
	VERBS_STATUSES = 32,     /* of completions: enum ibv_wc_status */
	VERBS_SEND_SLOTS = 512,
	VERBS_MULTICAST_QPN = 0xffffff,
};

/* Options ------------------------------------------------------------------------------------- */

enum verbs_mode { VERBS_AUTO, VERBS_DATAGRAM, VERBS_RAW };
enum verbs_filters { VERBS_FILTERS_AUTO, VERBS_FILTERS_SOFTWARE, VERBS_FILTERS_HARDWARE };

struct verbs_options {
	enum verbs_mode mode;
	enum verbs_filters filters;
	int is_port_carried; /* datagrams have the flow's port as their immediate data */
	struct mdfh_address address;
	int has_address;
	uint64_t timeout_ms; /* of joining a group */
};

/* A completion as the data path keeps it, whichever way the device gave it. */
struct verbs_arrival {
	uint32_t piece;
	uint32_t length; /* with what stands before the payload */
	uint32_t immediate;
	uint32_t flags; /* enum ibv_wc_flags */
	uint64_t stamp; /* ticks of the device's clock, or ns; 0 = none */
};

/* A group of a datagram port, whose flows may be several. */
struct verbs_group {
	char text[INET6_ADDRSTRLEN];
	struct mdfh_address address;
	struct rdma_cm_id *id; /* that joined it */
	union ibv_gid gid;
	uint16_t lid;
	int is_asked, is_joined, is_attached;
	int is_lost;              /* to be asked for again */
	struct ibv_ah_attr route; /* to it, for sending */
	struct ibv_ah *ah;
	struct ibv_ah *left_ah; /* the one before: what is on its way may need it */
	uint32_t remote_qpn, qkey;
};

enum verbs_stamps { VERBS_STAMPS_NONE, VERBS_STAMPS_TICKS, VERBS_STAMPS_WALLCLOCK };

struct verbs_port {
	struct mdfh_bypass base; /* first, so a port pointer is a verbs_port pointer */

	/* The receiving thread's. */
	struct mdfh_flow_table flows;
	struct mdfh_flow_table portless; /* the same without ports, for datagrams that carry none */
	struct mdfh_trailer_reader trailer;
	struct mdfh_pool pieces;    /* free are those that neither the device nor the caller has */
	struct mdfh_pool copies;    /* of packets that must not stay where the device wrote them */
	struct ibv_recv_wr *orders; /* by piece */
	struct ibv_sge *places;
	struct ibv_qp *qp;
	struct ibv_cq *cq;
	struct ibv_cq_ex *cq_ex; /* the same, where completions have stamps; else NULL */
	struct ibv_wc *completions;
	struct verbs_arrival *arrivals; /* taken off the queue and not handed out yet */
	uint32_t arrival_at, arrival_count;
	uint32_t arrivals_max;
	uint32_t ring_size, posted;
	uint32_t hold_max, held_count;
	uint32_t batch_size;
	uint32_t piece_bytes;
	uint32_t frame_size; /* longest payload handed out */
	uint32_t threshold;
	int is_raw, receives, is_in_place, is_port_carried;
	int is_dead;         /* the queue pair is in its error state: only close is useful */
	uint16_t time_flags; /* of times by our clock; 0 = receive_ns is to be 0 */
	enum verbs_stamps stamps;
	uint64_t now_ns;
	struct mdfh_device_line clock_line;
	uint64_t failures[VERBS_STATUSES]; /* completions by status; success is not counted */

	/* The sending thread's. */
	struct ibv_cq *send_cq;
	struct ibv_send_wr *send_orders;
	struct ibv_sge *send_places;
	struct mdfh_region send_region;
	struct ibv_mr *send_mr;
	uint32_t send_stride, send_at, send_free;
	uint32_t send_silent; /* slots on their way that the next chain's end reports */
	uint32_t payload_max;
	uint64_t send_failures[VERBS_STATUSES];
	uint64_t post_failures; /* of both threads, which are one */
	struct mdfh_frame_header headers[MDFH_BYPASS_FLOWS_MAX];
	struct verbs_group *send_groups[MDFH_BYPASS_FLOWS_MAX]; /* by flow */
	uint16_t ports[MDFH_BYPASS_FLOWS_MAX];
	uint32_t flow_count;

	/* The device. */
	struct ibv_context *context; /* of a raw port its own, else librdmacm's */
	struct ibv_device_attr_ex attributes;
	struct ibv_port_attr link;
	int owns_context, is_infiniband;
	uint8_t link_number;
	struct ibv_pd *pd;
	struct ibv_mr *mr;
	struct ibv_comp_channel *channel;
	uint64_t out_of_buffer; /* the device's counter as it was seen last */
	uint64_t unbuffered;    /* what it has grown by */
	int has_out_of_buffer;
	struct mdfh_device_clock clock;
	uint64_t clock_ns; /* when it was looked at last */
	uint16_t polls;    /* of an empty queue */

	/* Membership. */
	struct rdma_event_channel *events;
	struct rdma_cm_id *ids[2]; /* IPv4, IPv6 */
	struct verbs_group groups[MDFH_BYPASS_FLOWS_MAX];
	uint32_t group_count;
	struct mdfh_membership membership; /* what the connection manager does not speak for */
	struct ibv_flow *rules[MDFH_BYPASS_FLOWS_MAX];
	uint32_t rules_count;
	int is_steered; /* rules name group, source and port, not the group's hardware address alone */

	char device[IFNAMSIZ];
	uint8_t mac[6];
	char mode[128];
	char copy_reason[64];
	char warning[256];
	char setup_warning[256];
};

/* Where a status is counted: one that is not known is the last. */
static inline uint32_t verbs_status(enum ibv_wc_status status)
{
	return (uint32_t)status < VERBS_STATUSES ? (uint32_t)status : VERBS_STATUSES - 1;
}

/* verbs_setup.c ------------------------------------------------------------------------------- */

int verbs_probe(void);
int verbs_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port);
void verbs_close(struct mdfh_bypass *port);

/* verbs.c: give the device free buffers. 0, or -EIO: it has none and takes none. */
int verbs_refill(struct verbs_port *v);

/* verbs_send.c -------------------------------------------------------------------------------- */

int verbs_send_open(struct verbs_port *v, const struct mdfh_bypass_config *config,
    const struct verbs_options *options);
void verbs_send_close(struct verbs_port *v);
int verbs_send(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n);

/* verbs_device.c ------------------------------------------------------------------------------ */

/* Is there any RDMA device? 0, or a negative errno and a sentence with what is missing. */
int verbs_devices(void);
/* The device behind the interface, opened, for a raw port. */
int verbs_device_open(struct verbs_port *v);
/* Index of the device's RoCE v2 address that is this IPv6 one, or negative. */
int verbs_device_gid(const struct verbs_port *v, const uint8_t address[16]);
/* What the device of v->context can do. */
int verbs_device_ask(struct verbs_port *v);
/* 1 where frames can be steered to a raw queue pair. */
int verbs_device_steers(const struct verbs_port *v);
/* The interface's address of a family: the one of the options, else the first. */
int verbs_interface_address(const struct verbs_port *v, const struct verbs_options *options,
    int family, struct mdfh_address *address);
int verbs_stats(struct mdfh_bypass *port);
int verbs_counters(struct mdfh_bypass *port, struct mdfh_bypass_counter *counters, int max);
/* Of the device since it started. 1 and the value, or 0. */
int verbs_device_counter(const struct verbs_port *v, const char *name, uint64_t *value);
int verbs_clock_open(struct verbs_port *v, const struct mdfh_bypass_config *config);
void verbs_clock_look(struct verbs_port *v, uint64_t now_ns);

/* verbs_group.c ------------------------------------------------------------------------------- */

/* The connection manager's identifiers, bound to the interface: v->context is then known. */
int verbs_group_bind(struct verbs_port *v, const struct mdfh_bypass_config *config,
    const struct verbs_options *options);
/* Join the groups of all flows, and wait until that is done. */
int verbs_group_join(struct verbs_port *v, const struct mdfh_bypass_config *config,
    const struct verbs_options *options);
/* What has happened since: groups lost are joined again. */
void verbs_group_look(struct verbs_port *v);
void verbs_group_detach(struct verbs_port *v); /* before the queue pair goes */
void verbs_group_close(struct verbs_port *v);

/* verbs_rules.c ------------------------------------------------------------------------------- */

/* Have the device bring the flows' frames to the queue pair. */
int verbs_rules_make(struct verbs_port *v, const struct mdfh_bypass_config *config,
    const struct verbs_options *options);
void verbs_rules_remove(struct verbs_port *v);

#endif
