/* flow.h - which configured flow a frame belongs to.
 *
 * The backends that see frames rather than a socket's datagrams share this, so that a flow means
 * the same on each: the first entry that matches counts.
 *
 * Cost: find compares a few words per entry, in order; ports have a handful of flows, and a hash
 * would have to probe once for every kind of wildcard. Nothing is allocated. */
#ifndef MDFH_WIRE_FLOW_H
#define MDFH_WIRE_FLOW_H

#include <string.h>

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

/* A flow that an untagged IPv4 frame can be of, compared with the header's own bytes. */
struct mdfh_flow_ipv4 {
	uint64_t addresses; /* source, destination */
	uint64_t addresses_mask;
	uint32_t ports; /* source, destination */
	uint32_t ports_mask;
	uint16_t flow;
	uint16_t is_unicast; /* of any address, but not of a group */
};

struct mdfh_flow_table {
	uint32_t count;
	uint32_t ipv4_count;
	/* In the order of entries; the one behind the last matches everything and is no flow. */
	struct mdfh_flow_ipv4 ipv4[MDFH_BYPASS_FLOWS_MAX + 1];
	struct mdfh_flow_entry entries[MDFH_BYPASS_FLOWS_MAX];
};

/* 0, or -EINVAL: too many flows, or an address that is none. */
int mdfh_flow_table_compile(
    struct mdfh_flow_table *table, const struct mdfh_flow *flows, uint32_t count);

/* Index of the first flow that the frame (UDP, parsed without error) matches; of an empty table
 * and of no match MDFH_FLOW_NONE. A flow's vlan matches either tag of a QinQ frame: the outer one
 * is often put on by the tap. */
uint16_t mdfh_flow_find(const struct mdfh_flow_table *table, const struct mdfh_frame *frame);

/* The same of an untagged frame, by its IPv4 header of 20 bytes and the UDP header behind it. */
static inline uint16_t mdfh_flow_find_ipv4(const struct mdfh_flow_table *table, const uint8_t *ip)
{
	uint64_t addresses;
	uint32_t ports;

	memcpy(&addresses, ip + 12, sizeof(addresses));
	memcpy(&ports, ip + 20, sizeof(ports));
	for (const struct mdfh_flow_ipv4 *entry = table->ipv4;; entry++) {
		if (((addresses ^ entry->addresses) & entry->addresses_mask) |
		    ((ports ^ entry->ports) & entry->ports_mask))
			continue;
		if (entry->is_unicast && (ip[16] & 0xf0) == 0xe0)
			continue;
		return entry->flow;
	}
}

#endif
