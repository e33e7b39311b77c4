/* held.h - packets of a backend that a caller holds: what each must hold for as long as that. */
#ifndef TESTS_FUZZ_HELD_H
#define TESTS_FUZZ_HELD_H

#include "fuzz.h"
#include "mdfh/backend.h"
#include "net/frame_path.h"

extern const struct mdfh_backend_module mdfh_backend_module;

enum { ARRIVAL_BYTES = 256, ARRIVALS_MAX = 128, HELD_MAX = 128 };

/* What came, and what a caller is to see of it. */
struct arrival {
	uint8_t bytes[ARRIVAL_BYTES];
	uint32_t length;
	int is_packet;
	uint32_t offset, payload; /* of what is handed out, where it is a packet */
	int is_cut;
	uint16_t flow;
	uint64_t ns; /* 0 = not looked at */
};

static struct arrival arrivals[ARRIVALS_MAX];
static unsigned arrived, seen; /* in order */

static struct {
	struct mdfh_packet packet;
	const struct arrival *arrival;
} held[HELD_MAX];
static unsigned held_count;

static inline void forget_arrivals(void)
{
	arrived = seen = held_count = 0;
}

static inline void check_held(unsigned i)
{
	const struct arrival *arrival = held[i].arrival;

	REQUIRE(
	    !memcmp(held[i].packet.data, arrival->bytes + arrival->offset, held[i].packet.length));
}

/* The next packet: it must be the next arrival that is one. */
static inline void take_packet(const struct mdfh_packet *packet)
{
	const struct arrival *arrival;

	while (seen < arrived && !arrivals[seen].is_packet)
		seen++;
	REQUIRE(seen < arrived && held_count < HELD_MAX);
	arrival = &arrivals[seen++];
	REQUIRE(packet->length == arrival->payload && packet->flow == arrival->flow);
	REQUIRE(!(packet->flags & MDFH_PACKET_TRUNCATED) == !arrival->is_cut);
	REQUIRE(!packet->header_length || packet->header_length == arrival->offset);
	REQUIRE(!arrival->ns || packet->receive_ns == arrival->ns);
	held[held_count].packet = *packet;
	held[held_count].arrival = arrival;
	check_held(held_count++);
}

/* The packet to be released; it is the caller's no longer. */
static inline struct mdfh_packet give_packet(unsigned i)
{
	struct mdfh_packet packet = held[i].packet;

	check_held(i);
	held[i] = held[--held_count];
	return packet;
}

/* A frame of Ethernet as a packet of at most longest bytes, by the way of all frames. */
static inline void expect_frame(
    struct arrival *arrival, const struct mdfh_flow_table *flows, uint32_t longest)
{
	struct mdfh_bypass_stats stats = {0};
	struct mdfh_frame frame;

	arrival->is_packet = mdfh_frame_path(&stats, flows, MDFH_LINK_ETHERNET, arrival->bytes,
	    arrival->length, arrival->length, &frame, &arrival->flow);
	if (!arrival->is_packet)
		return;
	arrival->offset = frame.payload_offset;
	arrival->is_cut = frame.payload_length > longest;
	arrival->payload = arrival->is_cut ? longest : frame.payload_length;
}

static inline int receive_held(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	int got = mdfh_backend_module.ops->recv(port, packets, n);

	REQUIRE(got >= 0 && got <= n);
	for (int i = 0; i < got; i++)
		take_packet(&packets[i]);
	return got;
}

static inline void release_held(struct mdfh_bypass *port, unsigned i)
{
	struct mdfh_packet packet = give_packet(i), twice[2] = {packet, packet};

	mdfh_backend_module.ops->release(port, twice, 2); /* the second time it is ignored */
}

static inline unsigned count_packets(void)
{
	unsigned packets = 0;

	for (unsigned i = 0; i < arrived; i++)
		packets += (unsigned)arrivals[i].is_packet;
	return packets;
}

#endif
