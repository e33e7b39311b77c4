/* ef_vi.h - a port of backend ef_vi, shared by its files: the data path (ef_vi.c), what events say
 * (ef_vi_events.c), opening and closing (ef_vi_setup.c), filters of the NIC (ef_vi_filter.c), the
 * library (ef_vi_library.c), counters (ef_vi_report.c).
 *
 * Functions of Onload's library are called through struct efvi_api: the library is loaded when a port is
 * opened. What its headers define as macros and inline functions is used as it is, and is the reason
 * why only the version that the module was built for will do. */
#ifndef MDFH_MODULES_EF_VI_H
#define MDFH_MODULES_EF_VI_H

#include <net/if.h>

#include <etherfabric/capabilities.h>
#include <etherfabric/efct_vi.h>
#include <etherfabric/memreg.h>
#include <etherfabric/pd.h>
#include <etherfabric/vi.h>

#include "net/membership.h"
#include "net/net.h"
#include "net/pool.h"
#include "wire/flow.h"
#include "wire/trailer.h"

enum {
	EFVI_EVENTS = 64,       /* of one poll */
	EFVI_HEADERS_MAX = 128, /* Ethernet to UDP */
	EFVI_FILTERS_MAX = 4 * MDFH_BYPASS_FLOWS_MAX,
	EFVI_REFILL = 8, /* descriptors that the NIC takes at a time */
};

struct efvi_api {
	void *handle;
	__typeof__(ef_vi_version_str) *version_str;
	__typeof__(ef_driver_open) *driver_open;
	__typeof__(ef_driver_close) *driver_close;
	__typeof__(ef_pd_alloc) *pd_alloc;
	__typeof__(ef_pd_free) *pd_free;
	__typeof__(ef_vi_alloc_from_pd) *vi_alloc;
	__typeof__(ef_vi_free) *vi_free;
	__typeof__(ef_vi_prime) *prime;
	__typeof__(ef_memreg_alloc) *memreg_alloc;
	__typeof__(ef_memreg_free) *memreg_free;
	__typeof__(ef_vi_receive_unbundle) *unbundle;
	__typeof__(ef_vi_receive_get_bytes) *get_bytes;
	__typeof__(ef_vi_rxq_next_desc_id) *next_id;
	__typeof__(efct_vi_rxpkt_get) *reference_get;
	__typeof__(efct_vi_rxpkt_release) *reference_release;
	/* Newer headers call these deprecated, in favour of a macro that older ones have not. */
	int (*get_discard_flags)(ef_vi *vi, const void *packet, unsigned *flags);
	int (*get_time)(ef_vi *vi, const void *packet, ef_timespec *time, unsigned *flags);
	int (*reference_get_time)(/* NULL: get_time is for references, too */
	    struct ef_vi *vi, uint32_t reference, ef_timespec *time, unsigned *flags);
	__typeof__(ef_filter_spec_init) *filter_init;
	__typeof__(ef_filter_spec_set_ip4_local) *filter_ip4_local;
	__typeof__(ef_filter_spec_set_ip4_full) *filter_ip4_full;
	__typeof__(ef_filter_spec_set_ip6_local) *filter_ip6_local;
	__typeof__(ef_filter_spec_set_ip6_full) *filter_ip6_full;
	__typeof__(ef_filter_spec_set_vlan) *filter_vlan;
	__typeof__(ef_filter_spec_set_eth_local) *filter_mac;
	__typeof__(ef_filter_spec_set_block_kernel) *filter_block;
	__typeof__(ef_filter_spec_set_block_kernel_unicast) *filter_block_unicast;
	__typeof__(ef_filter_spec_set_block_kernel_multicast) *filter_block_multicast;
	__typeof__(ef_vi_filter_add) *filter_add;
	__typeof__(ef_vi_filter_del) *filter_delete;
	__typeof__(ef_vi_stats_query_layout) *stats_layout;
	__typeof__(ef_vi_stats_query) *stats_query;
	__typeof__(ef_vi_capabilities_get) *capabilities_get;
};

enum efvi_block { EFVI_BLOCK_NONE, EFVI_BLOCK_UNICAST, EFVI_BLOCK_MULTICAST, EFVI_BLOCK_ALL };

struct efvi_options {
	char library[200]; /* "" = the linker's own choice */
	int event_merge;
	enum ef_pd_flags datapath;
	int exclusive_queue;
	int vlan_filters;
	enum efvi_block block_kernel;
	uint64_t source_port; /* 0 = any */
};

/* Why a packet that came was not handed out; the names stand in ef_vi_report.c. */
enum efvi_reason {
	EFVI_SOUND, /* no reason */
	EFVI_CHECKSUM,
	EFVI_INNER_CHECKSUM,
	EFVI_MULTICAST_MISMATCH,
	EFVI_CRC,
	EFVI_CUT,        /* on the wire */
	EFVI_RIGHTS,     /* memory that is not the port's */
	EFVI_EVENT_LOST, /* an event before this one was overrun */
	EFVI_OTHER,      /* the NIC does not say */
	EFVI_NO_BUFFERS, /* ran out of them in the middle of a frame */
	EFVI_INCOMPLETE, /* a frame of several buffers of which some never came */
	EFVI_NOT_OURS,   /* completions of buffers that the NIC does not have */
	EFVI_REASONS,
};

/* Other things that happen. */
enum efvi_incident {
	EFVI_NOT_STAMPED,    /* ENODATA */
	EFVI_NOT_YET_SYNCED, /* ENOMSG, of old firmware */
	EFVI_NOT_SYNCED,     /* EL2NSYNC: lost, or not there yet */
	EFVI_STAMP_FAILED,   /* anything else */
	EFVI_CLOCK_NOT_SET,  /* the adapter's clock has never been set, so it is not Unix time */
	EFVI_OVERFLOWS,      /* of the event queue */
	EFVI_RESETS,
	EFVI_SUMS_RIGHT, /* the NIC said that they are wrong */
	EFVI_UNEXPECTED, /* events that a receive queue does not have */
	EFVI_INCIDENTS,
};

/* A whole frame that the NIC has completed. */
struct efvi_frame {
	const uint8_t *bytes;
	const void *stamped; /* where the library looks for the NIC's time */
	uint32_t captured, wire_length;
	enum { EFVI_IN_BUFFER, EFVI_BY_REFERENCE, EFVI_ASSEMBLED } kind;
	uint32_t buffer;    /* in the pool */
	uint32_t reference; /* packet of an EFCT NIC's */
};

struct efvi_port {
	struct mdfh_bypass base; /* first, so a port pointer is an efvi_port pointer */
	struct mdfh_flow_table flows;
	struct mdfh_trailer_reader trailer;

	/* The receiving thread's. */
	struct efvi_api api;
	ef_vi vi;
	ef_event events[EFVI_EVENTS];
	int event_at, event_count;
	ef_request_id ids[EF_VI_RECEIVE_BATCH]; /* of the merged event at event_at */
	int id_at, id_count;
	int has_ids;
	int dead; /* EFVI_OVERFLOWS or EFVI_RESETS happened */
	int by_reference;
	struct mdfh_pool buffers; /* free are those that the NIC does not have and nobody holds */
	uint8_t *posted;          /* by buffer: the NIC has it */
	uint32_t posted_count, posted_max;
	uint32_t buffer_size;
	uint32_t prefix; /* bytes before the frame in its first buffer */
	ef_memreg memreg;
	uint64_t now_ns;     /* of the host's clock in this recv, 0 = not looked at */
	uint16_t time_flags; /* of the host's clock; 0 = receive_ns is to be 0 */
	int has_stamps;
	uint32_t hold_max, held_count; /* in place */
	uint32_t frame_size;           /* longest payload handed out */
	uint32_t threshold;            /* shorter packets are copied */
	struct mdfh_pool copies;
	struct { /* packets of an EFCT NIC's that are held */
		uint32_t *packets;
		uint32_t *free;
		uint8_t *held;
		uint32_t count, free_count;
	} references;
	struct { /* a frame of several buffers, so far */
		uint8_t *bytes;
		uint32_t size;   /* of the memory */
		uint32_t length; /* of the frame, prefix included */
		uint32_t total;  /* of merged events: what it will be */
		enum efvi_reason reason;
		int is_open;
	} assembly;
	uint64_t discards[EFVI_REASONS];
	uint64_t incidents[EFVI_INCIDENTS];

	/* Control path. */
	ef_driver_handle driver;
	ef_pd pd;
	int has_driver, has_pd, has_vi, has_memreg;
	ef_filter_cookie filters[EFVI_FILTERS_MAX];
	uint32_t filter_count;
	uint32_t coarse_filters; /* let through what software has to keep away */
	struct mdfh_membership membership;
	const ef_vi_stats_layout *vi_stats; /* NULL = the NIC counts nothing for the port */
	uint64_t starved_before;            /* frames that found no buffer, by the NIC's counter */
	int has_starved_before;             /* it was read once */
	uint64_t starved;                   /* ... since open */
	char device[IFNAMSIZ];
	char mode[128];
	char warning[256];
};

/* ef_vi_library.c ---------------------------------------------------------------------------- */

/* path "" = libciul.so.1, where the linker looks for it. */
int mdfh_efvi_library_open(struct efvi_api *api, const char *path);
void mdfh_efvi_library_close(struct efvi_api *api); /* a zeroed one, too */
/* The sentence for what ef_driver_open() said. */
int mdfh_efvi_driver_refused(int error);

/* ef_vi_events.c ----------------------------------------------------------------------------- */

/* Give the NIC as many free buffers as its ring has room for. -errno if it takes none. */
int mdfh_efvi_refill(struct efvi_port *p);
/* The next frame of the events at hand: 1, or 0 if they are used up. What is no frame is counted. */
int mdfh_efvi_next(struct efvi_port *p, struct efvi_frame *frame);
/* One that is not handed out, or was copied. */
void mdfh_efvi_give_back(struct efvi_port *p, const struct efvi_frame *frame);
/* The NIC's time of a frame: 1, or 0 and an incident. */
int mdfh_efvi_time(struct efvi_port *p, const struct efvi_frame *frame, struct mdfh_packet *packet);

/* ef_vi.c ------------------------------------------------------------------------------------ */

/* The operations of a port whose NIC interrupts. */
extern const struct mdfh_bypass_ops mdfh_efvi_waking_ops;

/* ef_vi_setup.c ------------------------------------------------------------------------------ */

int mdfh_efvi_probe(void);
int mdfh_efvi_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port);
void mdfh_efvi_close(struct mdfh_bypass *port);

/* ef_vi_filter.c ----------------------------------------------------------------------------- */

/* Steer the packets of all flows to the port's queue. */
int mdfh_efvi_filters_add(struct efvi_port *p, const struct mdfh_bypass_config *config,
    const struct efvi_options *options);
void mdfh_efvi_filters_delete(struct efvi_port *p);

/* ef_vi_report.c ----------------------------------------------------------------------------- */

void mdfh_efvi_report(struct efvi_port *p, const struct mdfh_bypass_config *config,
    const struct efvi_options *options);
int mdfh_efvi_stats(struct mdfh_bypass *port);
int mdfh_efvi_counters(struct mdfh_bypass *port, struct mdfh_bypass_counter *counters, int max);

#endif
