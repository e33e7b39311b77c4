/* fuzz_verbs.c - any completions and any bytes, datagrams behind 40 bytes of header or raw frames,
 * in the memory of a port of RDMA verbs; this program for the device.
 *
 * First the shape of the port, then steps: a completion, packets received or released. Each
 * completion makes the packet that it is, or is counted; what is held stays; and a piece is always
 * in one place. */
#include "held.h"

#include <arpa/inet.h>
#include <errno.h>

#include "modules/module.h"
#include "modules/verbs.h"

enum { RING = 16, HOLD = 8, PER_BATCH = 4, PIECES = RING + HOLD + PER_BATCH, PIECE_BYTES = 256 };

/* In place of what is not tested. ----------------------------------------------------------- */

int verbs_probe(void)
{
	return 0;
}

int verbs_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port)
{
	(void)config;
	*port = NULL;
	return -ENODEV;
}

void verbs_close(struct mdfh_bypass *port)
{
	(void)port;
}

int verbs_send(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	(void)port;
	(void)packets;
	return n * 0;
}

int verbs_stats(struct mdfh_bypass *port)
{
	(void)port;
	return 0;
}

int verbs_counters(struct mdfh_bypass *port, struct mdfh_bypass_counter *counters, int max)
{
	(void)port;
	(void)counters;
	return max * 0;
}

void verbs_clock_look(struct verbs_port *v, uint64_t now_ns)
{
	(void)v;
	(void)now_ns;
}

int mdfh_module_load(const struct mdfh_backend_host *host)
{
	(void)host;
	return 0;
}

/* The device ---------------------------------------------------------------------------------- */

static struct verbs_port port;
static struct ibv_context context;
static struct ibv_cq cq = {.context = &context};
static struct ibv_qp qp = {.context = &context};
static struct ibv_recv_wr orders[PIECES];
static struct ibv_wc completions[RING], waiting[RING];
static struct verbs_arrival taken_off[RING];
static uint32_t given[PIECES]; /* pieces that the device has, in order */
static unsigned given_count, waiting_count;
static uint64_t failed;

static int post_recv(struct ibv_qp *to, struct ibv_recv_wr *order, struct ibv_recv_wr **bad)
{
	(void)to;
	(void)bad;
	for (; order; order = order->next) {
		REQUIRE(order->wr_id < PIECES && given_count < RING);
		given[given_count++] = (uint32_t)order->wr_id;
	}
	return 0;
}

static int poll_cq(struct ibv_cq *from, int n, struct ibv_wc *to)
{
	unsigned got = waiting_count < (unsigned)n ? waiting_count : (unsigned)n;

	(void)from;
	memcpy(to, waiting, got * sizeof(*to));
	waiting_count -= got;
	memmove(waiting, waiting + got, waiting_count * sizeof(*waiting));
	return (int)got;
}

static void open_device(uint8_t shape)
{
	static const struct mdfh_flow flows[3] = {
	    {.group = "239.1.1.1", .port = 14340}, {.group = "ff02::1"}, {.group = "239.1.1.2"}};
	struct mdfh_flow portless[3];
	static const struct mdfh_bypass_config config = {
	    .size = sizeof(config), .hugepages = MDFH_OFF};

	memset(&port, 0, sizeof(port));
	given_count = waiting_count = 0;
	failed = 0;
	context.ops.poll_cq = poll_cq;
	context.ops.post_recv = post_recv;
	port.cq = &cq;
	port.qp = &qp;
	port.completions = completions;
	port.arrivals = taken_off;
	port.arrivals_max = RING;
	port.orders = orders;
	port.ring_size = RING;
	port.hold_max = HOLD;
	port.batch_size = PER_BATCH;
	port.piece_bytes = PIECE_BYTES;
	port.frame_size = shape & 1 ? 20 : PIECE_BYTES;
	port.receives = 1;
	port.is_raw = shape >> 1 & 1;
	port.is_in_place = shape >> 2 & 1;
	port.threshold = shape & 8 ? 8 : 0;
	port.is_port_carried = shape >> 4 & 1;
	port.trailer.kind = port.is_raw && shape & 32 ? MDFH_TRAILER_METAMAKO : MDFH_TRAILER_NONE;
	memcpy(portless, flows, sizeof(flows));
	for (int i = 0; i < 3; i++)
		portless[i].port = 0;
	REQUIRE(!mdfh_flow_table_compile(&port.flows, flows, 3));
	REQUIRE(!mdfh_flow_table_compile(&port.portless, portless, 3));
	REQUIRE(!mdfh_pool_map(&port.pieces, "verbs", PIECES, PIECE_BYTES, &config));
	if (port.is_in_place)
		REQUIRE(!mdfh_pool_map(
		    &port.copies, "verbs", HOLD + PER_BATCH, port.frame_size, &config));
	for (uint32_t i = 0; i < PIECES; i++)
		orders[i] = (struct ibv_recv_wr){.wr_id = i};
	REQUIRE(!verbs_refill(&port));
}

static int is_group(const uint8_t *address, const char *text)
{
	uint8_t wanted[16];

	REQUIRE(!mdfh_frame_address(text, wanted));
	return !memcmp(address, wanted, 16);
}

/* The destination in the 40 bytes: of an IPv4 header of 20 whose sum is right, or a global one. */
static void expect_datagram(struct arrival *arrival, uint32_t flags, uint32_t immediate)
{
	const uint8_t *ipv4 = arrival->bytes + 20;
	uint8_t destination[16] = {[10] = 0xff, [11] = 0xff};
	int has_port = port.is_port_carried && flags & IBV_WC_WITH_IMM;
	uint32_t sum = 0;

	if (arrival->length < VERBS_GRH || !(flags & IBV_WC_GRH) ||
	    (has_port && immediate > UINT16_MAX))
		return;
	for (int i = 0; i < 20; i += 2)
		sum += mdfh_load_be16(ipv4 + i);
	if (ipv4[0] == 0x45 && ipv4[9] == 17 && sum % 0xffff == 0)
		memcpy(destination + 12, ipv4 + 16, 4);
	else
		memcpy(destination, arrival->bytes + 24, 16);
	if (is_group(destination, "239.1.1.1") && (!has_port || immediate == 14340))
		arrival->flow = 0;
	else if (is_group(destination, "ff02::1"))
		arrival->flow = 1;
	else if (is_group(destination, "239.1.1.2"))
		arrival->flow = 2;
	else
		return;
	arrival->is_packet = 1;
	arrival->offset = VERBS_GRH;
	arrival->payload = arrival->length - VERBS_GRH;
	arrival->is_cut = arrival->payload > port.frame_size;
	if (arrival->is_cut)
		arrival->payload = port.frame_size;
}

/* Flags, and of what came its bytes; choice: also what else may be said of it. */
static void complete(const uint8_t *bytes, uint32_t length, uint8_t choice)
{
	static const uint32_t immediates[4] = {14340, 14341, 65536 + 14340, 0};
	static const enum ibv_wc_status statuses[4] = {
	    IBV_WC_LOC_LEN_ERR, IBV_WC_GENERAL_ERR, IBV_WC_LOC_PROT_ERR, (enum ibv_wc_status)99};
	struct arrival *arrival = &arrivals[arrived];
	struct ibv_wc wc = {.status = IBV_WC_SUCCESS, .byte_len = length};
	uint32_t immediate = immediates[choice >> 2 & 3];

	if (!given_count || waiting_count == RING || arrived == ARRIVALS_MAX)
		return;
	wc.wr_id = given[0];
	memmove(given, given + 1, --given_count * sizeof(given[0]));
	if (choice & 1)
		wc.wc_flags |= IBV_WC_GRH;
	if (choice & 2)
		wc.wc_flags |= IBV_WC_WITH_IMM;
	wc.imm_data = htonl(immediate);
	if (choice & 0x80) { /* a failure, or more bytes than a piece has */
		if (choice & 0x40)
			wc.byte_len = PIECE_BYTES + 1 + choice;
		else
			wc.status = statuses[choice & 3];
		failed++;
		waiting[waiting_count++] = wc;
		return;
	}
	memset(arrival, 0, sizeof(*arrival));
	memcpy(arrival->bytes, bytes, length);
	memcpy(mdfh_pool_at(&port.pieces, (uint32_t)wc.wr_id), bytes, length);
	arrival->length = length;
	if (port.is_raw)
		expect_frame(arrival, &port.flows, port.frame_size);
	else
		expect_datagram(arrival, wc.wc_flags, immediate);
	waiting[waiting_count++] = wc;
	arrived++;
}

/* The caller -------------------------------------------------------------------------- */

/* Every piece is free, with the device, told of, taken off its queue, or held: once. */
static void check_pieces(void)
{
	uint8_t places[PIECES] = {0};

	for (uint32_t i = 0; i < port.pieces.free_count; i++)
		places[port.pieces.free[i]]++;
	for (unsigned i = 0; i < given_count; i++)
		places[given[i]]++;
	for (unsigned i = 0; i < waiting_count; i++)
		places[waiting[i].wr_id]++;
	for (uint32_t i = port.arrival_at; i < port.arrival_count; i++)
		places[taken_off[i].piece]++;
	for (uint32_t i = 0; i < PIECES; i++)
		REQUIRE(places[i] + port.pieces.held[i] == 1);
	REQUIRE(port.posted == given_count + waiting_count);
}

static int receive(int n)
{
	struct mdfh_packet packets[PER_BATCH];
	int got = receive_held(&port.base, packets, n);

	check_pieces();
	return got;
}

static void release(unsigned i)
{
	release_held(&port.base, i);
	check_pieces();
}

static void finish(void)
{
	const struct mdfh_bypass_stats *stats = &port.base.stats;
	uint64_t failures = 0;

	do
		while (held_count)
			release(held_count - 1);
	while (receive(PER_BATCH) > 0 || waiting_count || port.arrival_at < port.arrival_count);
	for (int i = 0; i < VERBS_STATUSES; i++)
		failures += port.failures[i];
	REQUIRE(port.held_count == 0 && failures == failed && !port.is_dead);
	REQUIRE(port.copies.free_count == port.copies.count);
	REQUIRE(stats->rx_packets == count_packets());
	REQUIRE(stats->rx_packets + stats->rx_malformed + stats->rx_filtered == arrived);
	mdfh_pool_unmap(&port.pieces);
	mdfh_pool_unmap(&port.copies);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	forget_arrivals();
	open_device(data[0]);
	for (data++, size--; size >= 2; data += 2, size -= 2) {
		uint32_t length = data[1];

		if ((data[0] & 0x30) == 0x10) {
			receive(1 + data[1] % PER_BATCH);
		} else if ((data[0] & 0x30) == 0x20) {
			if (held_count)
				release(data[1] % held_count);
		} else {
			if (length > size - 2)
				length = (uint32_t)size - 2;
			complete(data + 2, length, data[0]);
			data += length;
			size -= length;
		}
	}
	finish();
	return 0;
}
