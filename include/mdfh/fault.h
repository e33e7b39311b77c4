/* mdfh/fault.h - what the "fault" backend has done to the packets that passed it.
 *
 * The faults are configured in struct mdfh_bypass_config: lower is the port under them, fault
 * their rates. Which packets they hit depends on the seed and on the order of the packets alone:
 * not on batch sizes, time or what the caller holds. */
#ifndef MDFH_FAULT_H
#define MDFH_FAULT_H

#include "mdfh/bypass.h"

MDFH_BEGIN_DECLS

/* After the end of a finite source:
 *   packets handed out = received - lost + duplicated
 * and before it the same less those still held back. */
struct mdfh_fault_counts {
	uint64_t received; /* from the lower port */
	uint64_t lost;
	uint64_t duplicated; /* packets added */
	uint64_t reordered;  /* held back behind reorder_distance packets */
	uint64_t delayed; /* held back for delay_ns; a packet is reordered or delayed, not both */
	uint64_t damaged;
	uint64_t truncated;
	uint64_t held_back; /* now */
	uint64_t flow_lost[MDFH_BYPASS_FLOWS_MAX];
	/* What was lost before the newest packet handed out: of all, and of each flow. */
	uint64_t lost_before;
	uint64_t flow_lost_before[MDFH_BYPASS_FLOWS_MAX];
};

/* A copy of the counts, for the thread that receives. -EINVAL: no port of backend "fault". */
MDFH_API int mdfh_fault_counts(const struct mdfh_bypass *port, struct mdfh_fault_counts *counts);

MDFH_END_DECLS
#endif
