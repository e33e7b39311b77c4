/* fuzz_flow.c - any frame on its way to a flow, the short way of plain frames and the way of all.
 *
 * First the port's flows, then a frame: made of known addresses and changed here and there, or any
 * bytes. Whichever way it goes, it is a packet of the same flow or counted as the same thing; the
 * flow is the one that a plain reading of the configuration gives; and a trailer is read alike. Of
 * flows that a port may be given each is some packet's. */
#include "fuzz.h"

#include "net/frame_path.h"

enum { FLOWS_MAX = 8, FRAME_MAX = 2048 };

static const char *const groups[8] = {"239.1.1.1", "239.1.1.2", "198.18.0.1", "ff05::1", "fd00::1",
    "224.0.0.255", "::ffff:239.1.1.1", NULL};
static const char *const sources[4] = {"198.18.0.2", "198.18.0.3", "fd00::2", NULL};

static uint32_t make_flows(const uint8_t *data, struct mdfh_flow *flows)
{
	uint32_t count = data[0] % (FLOWS_MAX + 1);

	for (uint32_t i = 0; i < count; i++, data += 2)
		flows[i] = (struct mdfh_flow){.group = groups[data[1] & 7],
		    .source = sources[data[1] >> 3 & 3],
		    .port = (uint16_t)(data[1] & 32 ? 5000 + (data[2] & 1) : 0),
		    .vlan = (uint16_t)(data[1] & 64 ? 7 + (data[2] >> 1 & 1) : 0)};
	return count;
}

/* Ethernet, of addresses that the flows may have; then bytes of it are changed. */
static uint32_t make_frame(const uint8_t *data, size_t size, uint8_t *frame)
{
	struct mdfh_frame_header header = {.source_port = 4000,
	    .destination_port = (uint16_t)(5000 + (data[1] & 1)),
	    .vlan = {7, 8},
	    .vlan_count = data[1] >> 1 & 3};
	static uint8_t payload[64];
	int length;

	if (header.vlan_count > 2)
		header.vlan_count = 0;
	REQUIRE(!mdfh_frame_address(
	    groups[data[0] & 7] ? groups[data[0] & 7] : "198.18.0.9", header.destination));
	REQUIRE(!mdfh_frame_address(
	    mdfh_frame_is_ipv4(header.destination) ? sources[data[0] >> 3 & 1] : sources[2],
	    header.source));
	length = mdfh_frame_build(&header, payload, data[2] & 63, frame, FRAME_MAX);
	REQUIRE(length > 0);
	for (data += 3, size -= 3; size >= 3; data += 3, size -= 3) {
		uint32_t at = mdfh_load_be16(data);

		if (at & 0x8000) /* behind its end */
			length += length + 1 < FRAME_MAX;
		frame[at & 0x8000 ? (uint32_t)length - 1 : at % (uint32_t)length] = data[2];
	}
	return (uint32_t)length;
}

static int is_address(const char *text, const uint8_t address[16])
{
	uint8_t wanted[16];

	REQUIRE(!mdfh_frame_address(text, wanted));
	return !memcmp(wanted, address, 16);
}

/* The first flow whose every word is true of the frame. */
static uint16_t plain_flow(
    const struct mdfh_flow *flows, uint32_t count, const struct mdfh_frame *frame)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct mdfh_flow *flow = &flows[i];

		if (flow->group ? !is_address(flow->group, frame->destination)
				: mdfh_frame_is_multicast(frame->destination))
			continue;
		if (flow->source && !is_address(flow->source, frame->source))
			continue;
		if (flow->port && flow->port != frame->destination_port)
			continue;
		if (flow->vlan && !(frame->vlan_count > 0 && frame->vlan[0] == flow->vlan) &&
		    !(frame->vlan_count > 1 && frame->vlan[1] == flow->vlan))
			continue;
		return (uint16_t)i;
	}
	return MDFH_FLOW_NONE;
}

/* What a flow leaves open is what no flow names. */
static void check_reachable(
    const struct mdfh_flow_table *table, const struct mdfh_flow *flows, uint32_t count)
{
	const struct mdfh_bypass_config config = {.size = sizeof(config),
	    .backend = "null",
	    .flows = count ? flows : NULL,
	    .flow_count = count};

	if (mdfh_bypass_config_check(&config))
		return;
	for (uint32_t i = 0; i < count; i++) {
		struct mdfh_frame frame = {.destination_port = flows[i].port ? flows[i].port : 9,
		    .vlan = {flows[i].vlan},
		    .vlan_count = flows[i].vlan != 0};

		REQUIRE(!mdfh_frame_address(
		    flows[i].group ? flows[i].group : "198.18.0.9", frame.destination));
		REQUIRE(!mdfh_frame_address(
		    flows[i].source ? flows[i].source : "198.18.0.8", frame.source));
		REQUIRE(mdfh_flow_find(table, &frame) == i);
	}
}

struct fate {
	struct mdfh_bypass_stats stats;
	struct mdfh_frame frame;
	struct mdfh_packet packet;
	struct mdfh_trailer_reader trailer;
	uint16_t flow;
	int is_packet;
};

static void read_trailer(struct fate *fate, const uint8_t *bytes, uint32_t captured, uint32_t wire)
{
	fate->packet.receive_ns = UINT64_C(1700000000) * 1000000000;
	fate->packet.flags = MDFH_PACKET_TIME_CAPTURE;
	mdfh_frame_trailer(
	    &fate->stats, &fate->trailer, bytes, captured, wire, &fate->frame, &fate->packet);
}

static void go_in_full(struct fate *fate, const struct mdfh_flow *flows, uint32_t count,
    const uint8_t *bytes, uint32_t captured, uint32_t wire)
{
	enum mdfh_frame_error error =
	    mdfh_frame_parse(MDFH_LINK_ETHERNET, bytes, captured, wire, &fate->frame);

	if (!error && fate->frame.protocol != MDFH_PROTOCOL_UDP)
		error = MDFH_FRAME_NOT_UDP;
	if (error) {
		fate->stats.rx_malformed = fate->stats.malformed[error] = 1;
		return;
	}
	fate->flow = plain_flow(flows, count, &fate->frame);
	fate->is_packet = fate->flow != MDFH_FLOW_NONE || !count;
	fate->stats.rx_filtered = !fate->is_packet;
}

static void compare(const struct fate *a, const struct fate *b, uint32_t captured)
{
	REQUIRE(a->is_packet == b->is_packet);
	REQUIRE(!memcmp(&a->stats, &b->stats, sizeof(a->stats)));
	if (!a->is_packet)
		return;
	REQUIRE(a->flow == b->flow);
	REQUIRE(a->frame.protocol == b->frame.protocol);
	REQUIRE(a->frame.ip_version == b->frame.ip_version);
	REQUIRE(a->frame.ip_offset == b->frame.ip_offset);
	REQUIRE(a->frame.payload_offset == b->frame.payload_offset);
	REQUIRE(a->frame.payload_length == b->frame.payload_length);
	REQUIRE(a->frame.truncated == b->frame.truncated);
	REQUIRE(a->frame.payload_offset + a->frame.payload_length <= captured);
	REQUIRE(!memcmp(&a->packet, &b->packet, sizeof(a->packet)));
	REQUIRE(a->trailer.fcs == b->trailer.fcs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum mdfh_trailer trailers[4] = {MDFH_TRAILER_NONE, MDFH_TRAILER_METAMAKO,
	    MDFH_TRAILER_EXABLAZE, MDFH_TRAILER_ARISTA_7280};
	static uint8_t frame[FRAME_MAX];
	static struct mdfh_flow_table table;
	struct mdfh_flow flows[FLOWS_MAX];
	struct fate fates[2];
	uint32_t count, captured, wire;
	uint8_t *copy;

	if (size < 2 * FLOWS_MAX + 5 || size > FRAME_MAX)
		return 0;
	memset(fates, 0, sizeof(fates)); /* whole: they are compared so */
	count = make_flows(data + 1, flows);
	fates[0].trailer.kind = fates[1].trailer.kind = trailers[data[0] & 3];
	fates[0].trailer.fcs = fates[1].trailer.fcs = data[0] & 4;
	REQUIRE(!mdfh_flow_table_compile(&table, flows, count));
	check_reachable(&table, flows, count);
	if (data[0] & 8) {
		captured = (uint32_t)(size - (2 * FLOWS_MAX + 2));
		memcpy(frame, data + 2 * FLOWS_MAX + 2, captured);
	} else {
		captured = make_frame(data + 2 * FLOWS_MAX + 2, size - (2 * FLOWS_MAX + 2), frame);
	}
	wire = captured;
	if (data[0] & 16)
		captured -= captured * (data[0] >> 5) / 8;
	copy = exact_copy(frame, captured);
	fates[0].is_packet = mdfh_frame_path(&fates[0].stats, &table, MDFH_LINK_ETHERNET, copy,
	    captured, wire, &fates[0].frame, &fates[0].flow);
	go_in_full(&fates[1], flows, count, copy, captured, wire);
	for (int i = 0; i < 2 && fates[i].is_packet; i++)
		read_trailer(&fates[i], copy, captured, wire);
	compare(&fates[0], &fates[1], captured);
	free(copy);
	return 0;
}
