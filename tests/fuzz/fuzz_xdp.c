/* fuzz_xdp.c - any frames, and any bytes before them, in the memory of an AF_XDP port; rings in
 * plain memory, and this program for the kernel.
 *
 * First the shape of the port, then steps: a frame arrives, packets are received or released. Each
 * frame becomes the packet that it is, or is counted; what is held stays; and a chunk is always in
 * one place. */
#include "held.h"

#include <errno.h>
#include <sanitizer/asan_interface.h>

#include "modules/module.h"
#include "modules/xdp.h"

enum { RING = 16, HOLD = 8, PER_BATCH = 4, RESERVE = HOLD + PER_BATCH, CHUNKS = RING + RESERVE };

/* In place of what is not tested. ----------------------------------------------------------- */

int mdfh_xdp_probe(void)
{
	return 0;
}

int mdfh_xdp_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port)
{
	(void)config;
	*port = NULL;
	return -ENODEV;
}

void mdfh_xdp_close(struct mdfh_bypass *port)
{
	(void)port;
}

int mdfh_xdp_stats(struct mdfh_bypass *port)
{
	(void)port;
	return 0;
}

int mdfh_xdp_counters(struct mdfh_bypass *port, struct mdfh_bypass_counter *counters, int max)
{
	(void)port;
	(void)counters;
	return max * 0;
}

int mdfh_module_load(const struct mdfh_backend_host *host)
{
	(void)host;
	return 0;
}

/* The kernel ---------------------------------------------------------------------------------- */

static struct xdp_port port;
static uint64_t fill_ring[2 * CHUNKS];
static struct xdp_desc rx_ring[RING];
static uint32_t fill_producer, fill_consumer, fill_flags, rx_producer, rx_consumer, rx_flags;
static uint64_t bad;

static void open_rings(uint8_t shape)
{
	static const struct mdfh_flow flows[2] = {{.group = "239.1.1.1"}, {.port = 81}};
	static const struct mdfh_bypass_config config = {
	    .size = sizeof(config), .hugepages = MDFH_OFF};

	memset(&port, 0, sizeof(port));
	fill_producer = fill_consumer = rx_producer = rx_consumer = 0;
	bad = 0;
	port.fd = -1;
	port.ring_size = RING;
	port.hold_max = HOLD;
	port.batch_size = PER_BATCH;
	port.reserve = RESERVE;
	port.frame_size = shape & 1 ? 20 : 2048;
	port.zero_copy = shape >> 1 & 1;
	port.threshold = port.zero_copy && shape & 4 ? 8 : 0;
	port.stamps = shape >> 3 & 1;
	port.trailer.kind = shape & 16 ? MDFH_TRAILER_METAMAKO : MDFH_TRAILER_NONE;
	REQUIRE(!mdfh_flow_table_compile(&port.flows, flows, 2));
	REQUIRE(!mdfh_pool_map(&port.chunks, "xdp", CHUNKS, XDP_CHUNK, &config));
	memset(port.chunks.base, 0, (size_t)CHUNKS * XDP_CHUNK);
	if (port.zero_copy)
		REQUIRE(!mdfh_pool_map(&port.copies, "xdp", RESERVE, port.frame_size, &config));
	port.fill = (struct xsk_ring_prod){.mask = 31,
	    .size = 32,
	    .cached_cons = 32,
	    .producer = &fill_producer,
	    .consumer = &fill_consumer,
	    .flags = &fill_flags,
	    .ring = fill_ring};
	port.rx = (struct xsk_ring_cons){.mask = RING - 1,
	    .size = RING,
	    .producer = &rx_producer,
	    .consumer = &rx_consumer,
	    .flags = &rx_flags,
	    .ring = rx_ring};
	static_assert(CHUNKS <= 32, "the fill ring holds all chunks");
	while (port.chunks.free_count > RESERVE)
		mdfh_xdp_give(&port, mdfh_pool_take(&port.chunks));
	mdfh_xdp_publish(&port);
}

static void describe(uint64_t addr, uint32_t length)
{
	rx_ring[rx_producer++ % RING] = (struct xdp_desc){.addr = addr, .len = length};
}

/* A descriptor that is none. */
static void describe_badly(uint8_t choice)
{
	static const struct xdp_desc descriptors[4] = {
	    {.addr = (uint64_t)CHUNKS * XDP_CHUNK, .len = 60}, {.addr = UINT64_MAX - 10, .len = 60},
	    {.addr = 256, .len = XDP_CHUNK - 255}, {.addr = 0, .len = UINT32_MAX}};

	if (rx_producer - rx_consumer == RING)
		return;
	describe(descriptors[choice & 3].addr, descriptors[choice & 3].len);
	bad++;
}

/* A frame of length bytes, the last of the chunk or not, behind a stamp or whatever else. */
static void deliver(const uint8_t *bytes, uint32_t length, uint8_t choice)
{
	struct arrival *arrival = &arrivals[arrived];
	struct xdp_stamp stamp = {.marker = XDP_STAMP_MARKER, .ns = choice & 4 ? 12345 : 0};
	uint64_t addr;

	if (fill_consumer == fill_producer || rx_producer - rx_consumer == RING ||
	    arrived == ARRIVALS_MAX)
		return;
	addr = fill_ring[fill_consumer++ % 32];
	REQUIRE(addr % XDP_CHUNK == 0 && addr / XDP_CHUNK < CHUNKS);
	__asan_unpoison_memory_region(port.chunks.base + addr, XDP_CHUNK);
	addr += choice & 1 && length ? XDP_CHUNK - length : choice & 2 ? choice / 32 : 256;
	memset(arrival, 0, sizeof(*arrival));
	memcpy(arrival->bytes, bytes, length);
	arrival->length = length;
	expect_frame(arrival, &port.flows, port.frame_size);
	if (choice & 8 && addr % XDP_CHUNK >= sizeof(stamp)) {
		memcpy(port.chunks.base + addr - sizeof(stamp), &stamp, sizeof(stamp));
		if (port.stamps && arrival->is_packet && !port.trailer.kind)
			arrival->ns = stamp.ns;
	}
	memcpy(port.chunks.base + addr, bytes, length);
	__asan_poison_memory_region(
	    port.chunks.base + addr + length, XDP_CHUNK - addr % XDP_CHUNK - length);
	describe(addr, length);
	arrived++;
}

/* The caller -------------------------------------------------------------------------- */

/* Every chunk is in the fill ring or the receive ring, held or in reserve: once. */
static void check_chunks(void)
{
	uint8_t places[CHUNKS] = {0};

	for (uint32_t i = fill_consumer; i != fill_producer; i++)
		places[fill_ring[i % 32] / XDP_CHUNK]++;
	for (uint32_t i = rx_consumer; i != rx_producer; i++)
		if (rx_ring[i % RING].addr / XDP_CHUNK < CHUNKS &&
		    rx_ring[i % RING].len <= XDP_CHUNK - rx_ring[i % RING].addr % XDP_CHUNK)
			places[rx_ring[i % RING].addr / XDP_CHUNK]++;
	for (uint32_t i = 0; i < port.chunks.free_count; i++)
		places[port.chunks.free[i]]++;
	for (uint32_t i = 0; i < CHUNKS; i++)
		REQUIRE(places[i] + port.chunks.held[i] == 1);
}

static int receive(int n)
{
	struct mdfh_packet packets[PER_BATCH];
	int got = receive_held(&port.base, packets, n);

	check_chunks();
	return got;
}

static void release(unsigned i)
{
	release_held(&port.base, i);
	check_chunks();
}

static void finish(void)
{
	const struct mdfh_bypass_stats *stats = &port.base.stats;

	do
		while (held_count)
			release(held_count - 1);
	while (receive(PER_BATCH) > 0 || rx_consumer != rx_producer);
	REQUIRE(port.held_count == 0 && port.copies.free_count == (port.zero_copy ? RESERVE : 0));
	REQUIRE(stats->rx_packets == count_packets() && port.bad_descriptors == bad);
	REQUIRE(stats->rx_packets + stats->rx_malformed + stats->rx_filtered == arrived);
	if (port.trailer.kind)
		REQUIRE(stats->rx_trailers + stats->rx_trailers_absent +
			    stats->rx_trailers_implausible ==
			stats->rx_packets);
	__asan_unpoison_memory_region(port.chunks.base, (size_t)CHUNKS * XDP_CHUNK);
	mdfh_pool_unmap(&port.chunks);
	mdfh_pool_unmap(&port.copies);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	forget_arrivals();
	open_rings(data[0]);
	for (data++, size--; size >= 2; data += 2, size -= 2) {
		uint32_t length = data[1];

		switch (data[0] >> 4 & 3) {
		case 0:
			if (length > size - 2)
				length = (uint32_t)size - 2;
			deliver(data + 2, length, data[0]);
			data += length;
			size -= length;
			break;
		case 1:
			receive(1 + data[1] % PER_BATCH);
			break;
		case 2:
			if (held_count)
				release(data[1] % held_count);
			break;
		default:
			describe_badly(data[1]);
			break;
		}
	}
	finish();
	return 0;
}
