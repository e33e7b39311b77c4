/* xdp.h - a port of backend xdp, shared by its files: the data path (xdp.c), opening and the rings
 * (xdp_setup.c), the memory of packets (xdp_memory.c), the XDP program on the interface
 * (xdp_attach.c). */
#ifndef MDFH_MODULES_XDP_H
#define MDFH_MODULES_XDP_H

#include <net/if.h>

#include <xdp/xsk.h>

#include "modules/xdp_filter.h"
#include "net/membership.h"
#include "net/net.h"
#include "net/pool.h"
#include "wire/flow.h"
#include "wire/trailer.h"

enum {
	XDP_CHUNK = 4096, /* bytes of UMEM that a packet gets: the most that the kernel allows */
	XDP_KERNEL_HEADROOM = 256, /* of these the kernel's own, before the frame */
	XDP_HEADERS_MAX = 128,     /* Ethernet to UDP */
};

/* The XDP program on an interface, shared by this process's ports there. */
struct xdp_interface;
/* Packet memory that the kernel was given, of one port or of several. */
struct xdp_memory;

struct xdp_ring_map { /* to be unmapped */
	void *base;
	size_t bytes;
};

struct xdp_port {
	struct mdfh_bypass base; /* first, so a port pointer is an xdp_port pointer */
	struct mdfh_flow_table flows;
	struct mdfh_trailer_reader trailer;

	/* The receiving thread's. */
	struct xsk_ring_cons rx;
	struct xsk_ring_prod fill;
	struct mdfh_pool chunks; /* of the memory; free are those of this port not yet needed */
	uint32_t ring_size;
	uint32_t reserve; /* chunks beyond those that the fill ring is to have */
	uint32_t hold_max;
	uint32_t held_count;
	uint32_t batch_size;
	uint32_t frame_size; /* longest payload handed out */
	uint32_t threshold;  /* zero-copy: shorter packets are copied */
	int fd;
	uint64_t bad_descriptors; /* not of the memory that the kernel was given */
	int is_polled;            /* every empty recv enters the kernel (preferred busy polling) */
	int stamps;               /* the NIC's time stands in front of frames that have one */
	uint16_t time_flags;      /* of every other packet; 0 = receive_ns is to be 0 */
	int zero_copy;
	/* Copies of packets that must not stay in the NIC's buffers. */
	struct mdfh_pool copies;

	/* Control path. */
	struct xdp_interface *interface;
	struct xdp_memory *memory;
	uint32_t part; /* of the memory */
	struct xdp_filter filters[MDFH_BYPASS_FLOWS_MAX];
	uint32_t filter_count;
	struct mdfh_membership membership;
	struct xdp_ring_map rx_map, fill_map;
	uint32_t queue;
	int is_bound;
	int has_queue; /* among this process's ports */
	int has_begun; /* the program's maps have entries of this port */
	char device[IFNAMSIZ];
	unsigned index;   /* of the device */
	uint64_t network; /* the namespace: interfaces are numbered in each by itself */
	char mode[96];
	char warning[256];
};

/* Put a chunk into the fill ring, which has room for all that there are; the kernel sees it after
 * mdfh_xdp_publish. */
static inline void mdfh_xdp_give(struct xdp_port *x, uint64_t chunk)
{
	*xsk_ring_prod__fill_addr(&x->fill, x->fill.cached_prod++) = chunk * XDP_CHUNK;
}

static inline void mdfh_xdp_publish(struct xdp_port *x)
{
	__atomic_store_n(x->fill.producer, x->fill.cached_prod, __ATOMIC_RELEASE);
}

/* xdp_setup.c ------------------------------------------------------------------------------- */

int mdfh_xdp_probe(void);
int mdfh_xdp_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port);
void mdfh_xdp_close(struct mdfh_bypass *port);
int mdfh_xdp_stats(struct mdfh_bypass *port);
int mdfh_xdp_counters(struct mdfh_bypass *port, struct mdfh_bypass_counter *counters, int max);

/* xdp_memory.c ------------------------------------------------------------------------------- */

/* The port's chunks: memory of its own (parts is 1), or one of so many parts of the interface's. */
int mdfh_xdp_memory_take(
    struct xdp_port *port, const struct mdfh_bypass_config *config, uint32_t parts);
/* The socket of another port that has this memory already; -1 = there is none. */
int mdfh_xdp_memory_socket(const struct xdp_port *port);
void mdfh_xdp_memory_give_back(struct xdp_port *port); /* once its socket is closed */

/* xdp_attach.c ------------------------------------------------------------------------------- */

struct xdp_attach_config {
	const char *device;
	unsigned index; /* of the device, in this network namespace */
	uint64_t network;
	enum { XDP_ANY_MODE, XDP_NATIVE, XDP_GENERIC } mode;
	enum { XDP_ANY_WAY, XDP_LINK, XDP_DISPATCHER } way;
	int stamps;         /* the program is to ask the NIC for each packet's time */
	const char *pinned; /* folder with the maps of a program that somebody else attached */
};

/* The program on a device: attached, or one more user of it. */
int mdfh_xdp_attach(const struct xdp_attach_config *config, struct xdp_interface **interface);
/* One user less; the last one detaches it. */
void mdfh_xdp_detach(struct xdp_interface *interface);
/* "native", "generic"; "pinned" */
const char *mdfh_xdp_attached_as(const struct xdp_interface *interface);
/* -EBUSY: a port of this process has the queue. */
int mdfh_xdp_take_queue(struct xdp_port *port);
/* The filters of the port's flows become effective: packets begin to come. */
int mdfh_xdp_begin(struct xdp_port *port);
void mdfh_xdp_give_queue_back(struct xdp_port *port);
/* The sum over all processors, since the program was attached; 0 on failure. */
uint64_t mdfh_xdp_verdicts(const struct xdp_interface *interface, enum xdp_verdict verdict);

#endif
