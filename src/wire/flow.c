/* flow.c - flows compiled to masks and values, then compared in order. */
#include "wire/flow.h"

#include <arpa/inet.h>
#include <errno.h>

#include "mdfh/error.h"

static int compile_address(
    const char *text, uint32_t index, const char *name, uint64_t value[2], uint64_t mask[2])
{
	uint8_t address[16];

	if (!text)
		return 0;
	if (mdfh_frame_address(text, address))
		return mdfh_error(-EINVAL,
		    "config: flows[%u].%s is '%.64s'; it must be a numeric IPv4 or IPv6 address",
		    index, name, text);
	memcpy(value, address, sizeof(address));
	mask[0] = mask[1] = UINT64_MAX;
	return 0;
}

/* Of an address that is set: its half of struct mdfh_flow_ipv4, at 0 or 4. 0 if it is IPv6. */
static int set_ipv4(struct mdfh_flow_ipv4 *to, const uint64_t value[2], size_t half)
{
	uint8_t address[16];

	memcpy(address, value, sizeof(address));
	if (!mdfh_frame_is_ipv4(address))
		return 0;
	memcpy((uint8_t *)&to->addresses + half, address + 12, 4);
	memset((uint8_t *)&to->addresses_mask + half, 0xff, 4);
	return 1;
}

static void add_ipv4(struct mdfh_flow_table *table, uint32_t index)
{
	const struct mdfh_flow_entry *entry = &table->entries[index];
	struct mdfh_flow_ipv4 flow = {
	    .flow = (uint16_t)index, .is_unicast = !entry->destination_mask[0]};

	if (entry->vlan || (entry->source_mask[0] && !set_ipv4(&flow, entry->source, 0)) ||
	    (entry->destination_mask[0] && !set_ipv4(&flow, entry->destination, 4)))
		return;
	if (entry->port) {
		flow.ports = htonl(entry->port);
		flow.ports_mask = htonl(UINT16_MAX);
	}
	table->ipv4[table->ipv4_count++] = flow;
}

int mdfh_flow_table_compile(
    struct mdfh_flow_table *table, const struct mdfh_flow *flows, uint32_t count)
{
	memset(table, 0, sizeof(*table));
	if (count > MDFH_BYPASS_FLOWS_MAX)
		return mdfh_error(-EINVAL, "config: flow_count is %u; it must be from 0 to %d",
		    count, MDFH_BYPASS_FLOWS_MAX);
	for (uint32_t i = 0; i < count; i++) {
		struct mdfh_flow_entry *entry = &table->entries[i];
		int error = compile_address(
		    flows[i].group, i, "group", entry->destination, entry->destination_mask);

		if (!error)
			error = compile_address(
			    flows[i].source, i, "source", entry->source, entry->source_mask);
		if (error)
			return error;
		entry->port = flows[i].port;
		entry->vlan = flows[i].vlan;
		add_ipv4(table, i);
	}
	table->ipv4[table->ipv4_count].flow = MDFH_FLOW_NONE;
	table->count = count;
	return 0;
}

static int has_vlan(const struct mdfh_frame *frame, uint16_t vlan)
{
	for (int i = 0; i < frame->vlan_count; i++)
		if (frame->vlan[i] == vlan)
			return 1;
	return 0;
}

uint16_t mdfh_flow_find(const struct mdfh_flow_table *table, const struct mdfh_frame *frame)
{
	uint64_t destination[2];
	uint64_t source[2];

	memcpy(destination, frame->destination, sizeof(destination));
	memcpy(source, frame->source, sizeof(source));
	for (uint32_t i = 0; i < table->count; i++) {
		const struct mdfh_flow_entry *entry = &table->entries[i];
		uint64_t differ =
		    ((destination[0] ^ entry->destination[0]) & entry->destination_mask[0]) |
		    ((destination[1] ^ entry->destination[1]) & entry->destination_mask[1]) |
		    ((source[0] ^ entry->source[0]) & entry->source_mask[0]) |
		    ((source[1] ^ entry->source[1]) & entry->source_mask[1]);

		if (differ || (entry->port && entry->port != frame->destination_port))
			continue;
		if (!entry->destination_mask[0] && mdfh_frame_is_multicast(frame->destination))
			continue;
		if (entry->vlan && !has_vlan(frame, entry->vlan))
			continue;
		return (uint16_t)i;
	}
	return MDFH_FLOW_NONE;
}
