/* flow.c - flows compiled to masks and values, then compared in order. */
#include "wire/flow.h"

#include <errno.h>
#include <string.h>

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
	}
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
