/* flow.h - which configured flow a frame belongs to.
 *
 * The backends that see frames rather than a socket's datagrams share this, so that a flow means
 * the same on each: the first entry that matches counts.
 *
 * Cost: find compares a few words per entry, in order; ports have a handful of flows, and a hash
 * would have to probe once for every kind of wildcard. Nothing is allocated. */
#ifndef MDFH_WIRE_FLOW_H
#define MDFH_WIRE_FLOW_H

#include "mdfh/bypass.h"
#include "mdfh/frame.h"

struct mdfh_flow_entry {
	uint64_t destination[2];
	uint64_t destination_mask[2]; /* zero: any unicast address */
	uint64_t source[2];
	uint64_t source_mask[2]; /* zero: any */
	uint16_t port;           /* 0 = any */
	uint16_t vlan;           /* 0 = any */
};

struct mdfh_flow_table {
	uint32_t count;
	struct mdfh_flow_entry entries[MDFH_BYPASS_FLOWS_MAX];
};

/* 0, or -EINVAL: too many flows, or an address that is none. */
int mdfh_flow_table_compile(
    struct mdfh_flow_table *table, const struct mdfh_flow *flows, uint32_t count);

/* Index of the first flow that the frame (UDP, parsed without error) matches; of an empty table
 * and of no match MDFH_FLOW_NONE. A flow's vlan matches either tag of a QinQ frame: the outer one
 * is often put on by the tap. */
uint16_t mdfh_flow_find(const struct mdfh_flow_table *table, const struct mdfh_frame *frame);

#endif
