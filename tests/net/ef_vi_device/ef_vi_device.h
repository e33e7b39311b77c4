/* ef_vi_device.h - what a test does with the software device: say what kind of NIC it is, let frames
 * arrive, let things go wrong, look at what is left.
 *
 * The device is the library that the module loads, so a test that links it acts on the same one. Without a
 * test it is configured by the environment: EF_VI_DEVICE is a list of words, wired, efct, counted,
 * no_stamps. Wired, frames come off the interface that a queue is opened for, by a packet socket whose
 * ring is shared with the kernel, so that receiving makes no system call. */
#ifndef EF_VI_DEVICE_H
#define EF_VI_DEVICE_H

#include <stddef.h>
#include <stdint.h>

/* What a filter looks at, and which of that the NIC can. */
enum {
	EFDEV_LOCAL = 1 << 0, /* address and port */
	EFDEV_REMOTE = 1 << 1,
	EFDEV_IPV6 = 1 << 2,
	EFDEV_VLAN = 1 << 3,
	EFDEV_MAC = 1 << 4,
	EFDEV_BLOCK_UNICAST = 1 << 5,
	EFDEV_BLOCK_MULTICAST = 1 << 6,
	EFDEV_ALL = (1 << 7) - 1,
};

struct efdev_config {
	const char *version; /* NULL = the one that the module is built for */
	int is_efct;
	int is_counted; /* RX_MULTI_PKTS instead of RX_MULTI */
	int is_wired;
	int has_no_stamps;
	int has_no_stats;
	int is_out_of_order;   /* pairs of buffers complete in the wrong order */
	unsigned lacks;        /* fields that filters cannot have */
	uint32_t filters_max;  /* 0 = many */
	uint32_t events_max;   /* 0 = as many as a full ring may need */
	uint32_t superbuffers; /* 0 = 64, of 16 packets each */
	uint32_t no_buffers;   /* where the counter of frames that found none stands at first */
	int has_two_counters;  /* of frames that found none: a second one, which stands still */
	int time_result;       /* 0, or what asking for a time gives from now on */
	unsigned sync_flags;   /* of times; EFDEV_NO_FLAGS = none, 0 = set and in sync */
	int tells_no_sync; /* firmware that is too old to: times are then called set and in sync */
};
#define EFDEV_NO_FLAGS (1u << 31)

/* Where nothing is open. */
void efdev_configure(const struct efdev_config *config);
struct efdev_config *efdev_config(void); /* to change while something is open */

struct efdev_frame {
	const void *bytes;
	uint32_t length;
	int discard;            /* EF_EVENT_RX_DISCARD_*, 0 = it is sound */
	unsigned discard_flags; /* EF_VI_DISCARD_RX_*, for is_efct and is_counted */
	uint64_t time_ns;
};

/* A frame comes to all queues whose filters match: how many took it. Those that have no buffer for it
 * drop it and count it. */
int efdev_arrive(const struct efdev_frame *frame);
/* Its bytes are written, but no event says so yet: to the queue opened last, whatever its filters. */
void efdev_begin(const struct efdev_frame *frame);
void efdev_end(int discard);
/* An event of the queue opened last. */
void efdev_event_plain(unsigned type);
void efdev_event_rx(uint32_t id, uint16_t length, uint16_t flags);

struct efdev_state {
	uint32_t drivers, domains, queues, regions, filters; /* open */
	uint32_t posted, unused_posts; /* buffers with the NIC; given and not yet pushed */
	uint32_t references;           /* held packets */
	uint64_t no_buffers;           /* frames that found none */
	uint32_t primes;               /* times that a queue was told to wake its handle */
	uint64_t faults;               /* things that a program must not do */
	char last_fault[96];
	uint32_t exclusive_filters, block_filters, full_filters, vlan_filters, mac_filters;
};
struct efdev_state efdev_state(void);

/* Called by every function of the device that may fail: 1 = it does. */
void efdev_set_strike(int (*strike)(const char *name));

#endif
