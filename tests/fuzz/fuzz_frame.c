/* fuzz_frame.c - any bytes as a frame: whatever is found lies inside, and what is built is found.
 *
 * The first four bytes choose the link type and how much of the frame the capture holds. */
#include "fuzz.h"

#include "mdfh/frame.h"

static const uint32_t link_types[] = {MDFH_LINK_ETHERNET, MDFH_LINK_RAW_IP, MDFH_LINK_LINUX_SLL,
    MDFH_LINK_LINUX_SLL2, MDFH_LINK_NULL, MDFH_LINK_LOOP, MDFH_LINK_IPV4, 147};

static void check_parsed(
    enum mdfh_frame_error error, const struct mdfh_frame *frame, uint32_t captured, uint32_t wire)
{
	REQUIRE((unsigned)error < MDFH_FRAME_ERRORS && error != MDFH_FRAME_CHECKSUM);
	REQUIRE(frame->vlan_count <= MDFH_FRAME_VLANS_MAX);
	REQUIRE(frame->ip_version == 0 || frame->ip_version == 4 || frame->ip_version == 6);
	REQUIRE(frame->fragment == (error == MDFH_FRAME_FRAGMENT));
	REQUIRE(error != MDFH_FRAME_CUT || captured < wire);
	if (error) {
		REQUIRE(!frame->payload_offset && !frame->payload_length);
		return;
	}
	REQUIRE(frame->protocol == MDFH_PROTOCOL_UDP || frame->protocol == MDFH_PROTOCOL_TCP);
	REQUIRE(frame->ip_offset < frame->transport_offset);
	REQUIRE(frame->transport_offset < frame->payload_offset);
	REQUIRE(frame->payload_offset <= captured);
	REQUIRE(frame->payload_length <= captured - frame->payload_offset);
	REQUIRE(frame->payload_wire_length <= wire - frame->payload_offset);
	REQUIRE(frame->truncated == (frame->payload_length < frame->payload_wire_length));
}

/* What was parsed, built anew as Ethernet, gives the same fields. */
static void check_round_trip(const uint8_t *bytes, const struct mdfh_frame *frame)
{
	static uint8_t out[MDFH_FRAME_BUILD_HEADERS_MAX + 65536];
	struct mdfh_frame_header header = {
	    .source_port = frame->source_port,
	    .destination_port = frame->destination_port,
	    .vlan = {frame->vlan[0], frame->vlan[1]},
	    .vlan_count = frame->vlan_count,
	};
	struct mdfh_frame again;
	int length;

	memcpy(header.source, frame->source, 16);
	memcpy(header.destination, frame->destination, 16);
	length = mdfh_frame_build(
	    &header, bytes + frame->payload_offset, frame->payload_length, out, sizeof(out));
	if (length < 0) /* an IPv6 header may hold one IPv4-mapped address, which is refused */
		return;
	REQUIRE(mdfh_frame_parse(MDFH_LINK_ETHERNET, out, (uint32_t)length, (uint32_t)length,
		    &again) == MDFH_FRAME_OK);
	REQUIRE(mdfh_frame_checksums(out, &again) == MDFH_FRAME_OK);
	REQUIRE(!memcmp(again.source, frame->source, 16));
	REQUIRE(!memcmp(again.destination, frame->destination, 16));
	REQUIRE(again.source_port == frame->source_port);
	REQUIRE(again.destination_port == frame->destination_port);
	REQUIRE(again.vlan_count == frame->vlan_count);
	REQUIRE(!memcmp(again.vlan, frame->vlan, sizeof(again.vlan)));
	REQUIRE(again.payload_length == frame->payload_length && !again.truncated);
	REQUIRE(!memcmp(
	    out + again.payload_offset, bytes + frame->payload_offset, frame->payload_length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t captured, wire, link_type;
	struct mdfh_frame frame;
	enum mdfh_frame_error error;
	uint8_t *copy;

	if (size < 4 || size > 65536)
		return 0;
	link_type = link_types[data[0] & 7];
	captured = wire = (uint32_t)size - 4;
	if (data[1] & 1)
		wire += (uint32_t)data[2] << 8 | data[3];
	copy = exact_copy(data + 4, captured);
	error = mdfh_frame_parse(link_type, copy, captured, wire, &frame);
	check_parsed(error, &frame, captured, wire);
	if (!error) {
		mdfh_frame_checksums(copy, &frame);
		if (frame.protocol == MDFH_PROTOCOL_UDP)
			check_round_trip(copy, &frame);
	}
	free(copy);
	return 0;
}
