/* fake_nic.h - a NIC of software under DPDK's calls: it takes rules (rte_flow), spreads packets by RSS, judges
 * checksums, stamps packets by a clock of its own, and keeps groups that nobody joined away.
 *
 * Debian's DPDK has no headers for drivers, so it is no driver: net_ring is what EAL knows, and the calls of the
 * control path are wrapped at link time (fake_nic_wraps in meson.build). Its bursts take the place of net_ring's
 * when the device is started. */
#ifndef MDFH_TESTS_FAKE_NIC_H
#define MDFH_TESTS_FAKE_NIC_H

#include <stdint.h>

#define FAKE_NIC "net_ring0"

enum { FAKE_NIC_QUEUES = 4, FAKE_NIC_RULES = 64 };

/* What it can do, set before it is opened. Zero: all of it. */
struct fake_nic {
	int refuses_isolation;
	int rules_max;       /* it has no room for more; 0 = FAKE_NIC_RULES, -1 = it takes none */
	int refuses_sources; /* rules with a source address */
	int refuses_inner;   /* rules with a second VLAN tag */
	int has_no_rss, has_no_checksums, has_no_stamps, has_no_list;
	int strips_tags;          /* as many NICs do */
	int flags_missing_sum;    /* UDP packets without a checksum are called bad */
	struct rte_mempool *pool; /* that its packets are of; NULL = the queue's */
	int stamps_every;         /* it stamps one packet in so many; 0 = all */
	/* Called with what is sent. NULL = nobody looks. */
	void (*on_send)(int queue, const uint8_t *bytes, uint32_t length);
	/* Called while its counters are read. */
	void (*on_stats)(void);
	uint64_t missed; /* packets that it had no room for */

	/* What it was told, and what it counts. */
	int is_isolated;
	int rules;
	int queues;
	uint64_t offloads, rss;
	uint32_t mtu; /* 0 = its own */
	int groups;
	uint64_t received[FAKE_NIC_QUEUES]; /* put into a queue */
	uint64_t kept_away;                 /* by rules or the list of groups */
	uint64_t sent;
};

extern struct fake_nic fake_nic;

/* A cleared one: nothing was told to it. */
void fake_nic_reset(void);

/* A frame arrives now. The queue that it went to, or -1. */
int fake_nic_receive(const uint8_t *bytes, uint32_t length);

/* Its counter, which runs at 156.25 MHz and 20 ppm fast. */
uint64_t fake_nic_ticks(void);

#endif
