/* test_xdp_rings.c - the data path of backend xdp over rings in plain memory, with a kernel of the test's
 * own: what no device here can show, above all zero-copy. */
#include <errno.h>

#include "core/random.h"
#include "modules/xdp.h"
#include "net/module_test.h"

enum { RING = 64, HOLD = 16, PER_BATCH = 8, HEADROOM = 256, COPY_BELOW = 20, RECEIVED_MAX = 128 };

static struct xdp_port port;
static struct mdfh_bypass_config config;

/* The kernel's side. */
static uint64_t fill_ring[2 * RING];
static struct xdp_desc rx_ring[RING];
static uint32_t fill_producer, fill_consumer, fill_flags, rx_producer, rx_consumer, rx_flags;
static int wakeups;
static int is_old_kernel; /* before Linux 5.11: recvfrom does not know these sockets, poll does */

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names */
ssize_t __wrap_recvfrom(int fd, void *to, size_t bytes, int flags, void *from, void *length);
ssize_t __wrap_recvfrom(int fd, void *to, size_t bytes, int flags, void *from, void *length)
{
	(void)fd;
	(void)to;
	(void)bytes;
	(void)flags;
	(void)from;
	(void)length;
	if (!is_old_kernel)
		wakeups++;
	errno = is_old_kernel ? EOPNOTSUPP : EAGAIN;
	return -1;
}

int __wrap_poll(void *fds, unsigned long count, int timeout);
int __wrap_poll(void *fds, unsigned long count, int timeout)
{
	(void)fds;
	assert_int_equal(count, 1);
	assert_int_equal(timeout, 0);
	wakeups++;
	return 0;
}
/* NOLINTEND(bugprone-reserved-identifier) */

static void push_descriptor(uint64_t addr, uint32_t length)
{
	assert_true(rx_producer - rx_consumer < RING);
	rx_ring[rx_producer++ % RING] = (struct xdp_desc){.addr = addr, .len = length};
}

/* A datagram whose every byte is its number. 0 = no chunk in the fill ring, or no room to tell. */
static int deliver(uint8_t number, uint32_t length)
{
	struct mdfh_frame_header header = {.source_port = 4000, .destination_port = 5000};
	uint8_t payload[200];
	uint64_t addr;
	int bytes;

	if (fill_consumer == fill_producer || rx_producer - rx_consumer == RING)
		return 0;
	addr = fill_ring[fill_consumer++ % (2 * RING)] + HEADROOM;
	assert_true(addr < (uint64_t)port.chunks.count * XDP_CHUNK);
	assert_ok(mdfh_frame_address("198.18.0.1", header.source));
	assert_ok(mdfh_frame_address("239.1.1.1", header.destination));
	memset(payload, number, sizeof(payload));
	bytes = mdfh_frame_build(
	    &header, payload, length, port.chunks.base + addr, XDP_CHUNK - HEADROOM);
	assert_ok(bytes);
	push_descriptor(addr, (uint32_t)bytes);
	return 1;
}

static int receive(struct mdfh_packet *packets, int n)
{
	return mdfh_backend_module.ops->recv(&port.base, packets, n);
}

static void release(const struct mdfh_packet *packets, int n)
{
	mdfh_backend_module.ops->release(&port.base, packets, n);
}

static void assert_holds(const struct mdfh_packet *packet, uint8_t number, uint32_t length)
{
	assert_int_equal(packet->length, length);
	for (uint32_t i = 0; i < length; i++)
		assert_int_equal(packet->data[i], number);
}

/* The rings as xdp_setup.c makes them, over the memory above. */
static void open_rings(int zero_copy)
{
	static const struct mdfh_flow flow = {.group = "239.1.1.1", .port = 5000};

	memset(&port, 0, sizeof(port));
	fill_producer = fill_consumer = fill_flags = rx_producer = rx_consumer = rx_flags = 0;
	wakeups = 0;
	config = (struct mdfh_bypass_config){.size = sizeof(config)};
	port.ring_size = RING;
	port.hold_max = HOLD;
	port.batch_size = PER_BATCH;
	port.reserve = HOLD + PER_BATCH;
	port.frame_size = 2048;
	port.zero_copy = zero_copy;
	port.threshold = zero_copy ? COPY_BELOW : 0;
	port.time_flags = mdfh_app_time_flags();
	assert_ok(mdfh_flow_table_compile(&port.flows, &flow, 1));
	assert_ok(mdfh_pool_map(&port.chunks, "xdp", RING + port.reserve, XDP_CHUNK, &config));
	if (zero_copy)
		assert_ok(
		    mdfh_pool_map(&port.copies, "xdp", port.reserve, port.frame_size, &config));
	assert_true(port.chunks.count < 2 * RING);
	port.fill = (struct xsk_ring_prod){.mask = 2 * RING - 1,
	    .size = 2 * RING,
	    .cached_cons = 2 * RING,
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
	while (port.chunks.free_count > port.reserve)
		mdfh_xdp_give(&port, mdfh_pool_take(&port.chunks));
	mdfh_xdp_publish(&port);
}

static void close_rings(void)
{
	mdfh_pool_unmap(&port.chunks);
	mdfh_pool_unmap(&port.copies);
}

static void zero_copy_hands_out_in_place_then_copies_then_starves(void **state)
{
	struct mdfh_packet held[RECEIVED_MAX], more[PER_BATCH];
	const uint32_t most = HOLD + HOLD + PER_BATCH;
	uint32_t count = 0;

	(void)state;
	open_rings(1);
	while (count < most) {
		assert_int_equal(deliver((uint8_t)count, 100), 1);
		assert_int_equal(receive(&held[count], 1), 1);
		assert_int_equal(
		    held[count].flags & MDFH_PACKET_COPIED, count < HOLD ? 0 : MDFH_PACKET_COPIED);
		count++;
	}
	assert_int_equal(port.base.stats.rx_copied, HOLD + PER_BATCH);
	assert_int_equal(port.base.stats.rx_starved, 0);
	/* The NIC has not lost a buffer to what is held. */
	assert_int_equal(fill_producer - fill_consumer, RING);
	assert_int_equal(deliver(200, 100), 1);
	assert_int_equal(receive(more, PER_BATCH), 0);
	assert_int_equal(receive(more, PER_BATCH), 0);
	assert_int_equal(port.base.stats.rx_starved, 2);
	for (uint32_t i = 0; i < count; i++)
		assert_holds(&held[i], (uint8_t)i, 100);
	release(&held[3], 1); /* in place */
	assert_int_equal(receive(more, PER_BATCH), 1);
	assert_holds(more, 200, 100);
	assert_false(more->flags & MDFH_PACKET_COPIED);
	release(more, 1);
	release(held, (int)count); /* the fourth for the second time */
	assert_int_equal(port.held_count, 0);
	close_rings();
}

static void zero_copy_copies_the_short(void **state)
{
	struct mdfh_packet packets[2];

	(void)state;
	open_rings(1);
	assert_int_equal(deliver(1, COPY_BELOW - 1), 1);
	assert_int_equal(deliver(2, COPY_BELOW), 1);
	assert_int_equal(receive(packets, 2), 2);
	assert_true(packets[0].flags & MDFH_PACKET_COPIED);
	assert_int_equal(packets[0].header_length, 0);
	assert_false(packets[1].flags & MDFH_PACKET_COPIED);
	assert_int_equal(packets[1].header_length, 42);
	/* The first chunk is the NIC's again, and one of the reserve stands for the second. */
	assert_int_equal(fill_producer - fill_consumer, RING);
	assert_holds(&packets[0], 1, COPY_BELOW - 1);
	release(packets, 2);
	close_rings();
}

static void copy_mode_starves_past_what_may_be_held(void **state)
{
	struct mdfh_packet held[RECEIVED_MAX];
	int count = 0, n;

	(void)state;
	open_rings(0);
	for (int i = 0; i < RING; i++)
		assert_int_equal(deliver((uint8_t)i, 50), 1);
	while ((n = receive(&held[count], PER_BATCH)) > 0)
		count += n;
	assert_int_equal(count, HOLD + PER_BATCH);
	assert_int_equal(port.base.stats.rx_starved, 1);
	for (int i = 0; i < count; i++)
		assert_holds(&held[i], (uint8_t)i, 50);
	release(held, count);
	assert_int_equal(receive(held, 1), 1);
	assert_holds(held, (uint8_t)count, 50);
	release(held, 1);
	close_rings();
}

/* The driver finds no buffer while nobody receives; nothing is lost of what it has told. */
static void the_fill_ring_runs_dry_and_fills_again(void **state)
{
	struct mdfh_packet packets[PER_BATCH];
	uint8_t next = 0, told = 0;

	(void)state;
	open_rings(1);
	for (int turn = 0; turn < 5; turn++) {
		while (deliver(told, 60))
			told++;
		assert_true(fill_consumer == fill_producer || rx_producer - rx_consumer == RING);
		for (int n; (n = receive(packets, PER_BATCH)) > 0;) {
			for (int i = 0; i < n; i++)
				assert_holds(&packets[i], next++, 60);
			release(packets, n);
		}
		assert_int_equal(next, told);
		assert_int_equal(
		    fill_producer - fill_consumer + port.chunks.free_count, port.chunks.count);
	}
	close_rings();
}

static void descriptors_outside_of_the_memory_are_counted(void **state)
{
	const uint64_t end = (uint64_t)(RING + HOLD + PER_BATCH) * XDP_CHUNK;
	struct mdfh_packet packets[PER_BATCH];

	(void)state;
	for (int zero_copy = 0; zero_copy < 2; zero_copy++) {
		open_rings(zero_copy);
		push_descriptor(end, 60);
		push_descriptor(UINT64_MAX - 10, 60);
		push_descriptor(HEADROOM, XDP_CHUNK - HEADROOM + 1);
		push_descriptor(end - 1, 2);
		push_descriptor(0, UINT32_MAX);
		assert_int_equal(deliver(9, 30), 1);
		assert_int_equal(receive(packets, PER_BATCH), 1);
		assert_holds(packets, 9, 30);
		assert_int_equal(port.bad_descriptors, 5);
		release(packets, 1);
		close_rings();
	}
}

static void what_is_no_packet_gives_its_chunk_back(void **state)
{
	struct mdfh_packet packets[PER_BATCH];

	(void)state;
	open_rings(0);
	assert_int_equal(deliver(1, 30), 1);
	port.chunks.base[rx_ring[0].addr + 23] = 6; /* TCP */
	assert_int_equal(deliver(2, 30), 1);
	port.chunks.base[rx_ring[1].addr + 37] ^= 1; /* another port */
	assert_int_equal(deliver(3, 30), 1);
	rx_ring[2].len = 20;
	assert_int_equal(receive(packets, PER_BATCH), 0);
	assert_int_equal(port.base.stats.rx_filtered, 1);
	assert_int_equal(port.base.stats.rx_malformed, 2);
	assert_int_equal(fill_producer - fill_consumer, RING);
	close_rings();
}

static void wakes_the_driver_only_when_it_asks(void **state)
{
	struct mdfh_packet packets[PER_BATCH];

	(void)state;
	open_rings(1);
	assert_int_equal(receive(packets, PER_BATCH), 0);
	assert_int_equal(wakeups, 0);
	fill_flags = XDP_RING_NEED_WAKEUP;
	assert_int_equal(deliver(1, 30), 1);
	assert_int_equal(receive(packets, PER_BATCH), 1);
	assert_int_equal(wakeups, 0);
	release(packets, 1);
	assert_int_equal(receive(packets, PER_BATCH), 0);
	assert_int_equal(wakeups, 1);
	fill_flags = 0;
	assert_int_equal(receive(packets, PER_BATCH), 0);
	assert_int_equal(wakeups, 1);
	port.is_polled = 1;
	assert_int_equal(receive(packets, PER_BATCH), 0);
	assert_int_equal(wakeups, 2);
	port.is_polled = 0;
	fill_flags = XDP_RING_NEED_WAKEUP;
	is_old_kernel = 1;
	assert_int_equal(receive(packets, PER_BATCH), 0);
	is_old_kernel = 0;
	assert_int_equal(wakeups, 3);
	close_rings();
}

/* The NIC's time as the program puts it in front of a frame, which is so once. */
static void takes_the_nics_time_where_there_is_one(void **state)
{
	const struct xdp_stamp sound = {XDP_STAMP_MARKER, 1764400000123456789u},
			       without = {XDP_STAMP_MARKER, 0};
	struct mdfh_packet packets[4];

	(void)state;
	for (int zero_copy = 0; zero_copy < 2; zero_copy++) {
		open_rings(zero_copy);
		port.stamps = 1;
		for (uint8_t i = 0; i < 4; i++) /* the last is copied in zero-copy */
			assert_int_equal(deliver(i, i == 3 ? 10 : 50), 1);
		memcpy(port.chunks.base + rx_ring[0].addr - sizeof(sound), &sound, sizeof(sound));
		memcpy(port.chunks.base + rx_ring[1].addr - sizeof(sound), &without, sizeof(sound));
		memcpy(port.chunks.base + rx_ring[3].addr - sizeof(sound), &sound, sizeof(sound));
		assert_int_equal(receive(packets, 4), 4);
		for (int i = 0; i < 4; i++) {
			if (i == 0 || i == 3) {
				assert_int_equal(packets[i].receive_ns, sound.ns);
				assert_int_equal(
				    packets[i].flags & ~MDFH_PACKET_COPIED, MDFH_PACKET_TIME_NIC);
			} else {
				assert_int_equal(
				    packets[i].flags & MDFH_PACKET_TIME_MASK, MDFH_PACKET_TIME_APP);
				assert_int_not_equal(packets[i].receive_ns, 0);
			}
		}
		/* The same buffer without a new stamp. */
		push_descriptor(rx_ring[0].addr, rx_ring[0].len);
		release(packets, 4);
		assert_int_equal(receive(packets, 4), 1);
		assert_int_equal(packets[0].flags & MDFH_PACKET_TIME_MASK, MDFH_PACKET_TIME_APP);
		/* A frame so near to the start of its chunk that nothing can stand in front of it. */
		memmove(port.chunks.base, port.chunks.base + rx_ring[0].addr, rx_ring[0].len);
		push_descriptor(0, rx_ring[0].len);
		assert_int_equal(receive(packets, 4), 1);
		assert_int_equal(packets[0].flags & MDFH_PACKET_TIME_MASK, MDFH_PACKET_TIME_APP);
		close_rings();
	}
}

/* Each chunk is in one place: in the fill ring, told, held, or in reserve. */
static void assert_each_chunk_once(void)
{
	uint8_t seen[RING + HOLD + PER_BATCH] = {0};

	for (uint32_t i = fill_consumer; i != fill_producer; i++)
		seen[fill_ring[i % (2 * RING)] / XDP_CHUNK]++;
	for (uint32_t i = rx_consumer; i != rx_producer; i++)
		seen[rx_ring[i % RING].addr / XDP_CHUNK]++;
	for (uint32_t i = 0; i < port.chunks.free_count; i++)
		seen[port.chunks.free[i]]++;
	for (uint32_t i = 0; i < port.chunks.count; i++) {
		seen[i] = (uint8_t)(seen[i] + port.chunks.held[i]);
		assert_int_equal(seen[i], 1);
	}
}

/* Any order of deliveries, receptions and releases. */
static void keeps_every_packet_until_it_is_released(void **state)
{
	struct mdfh_packet held[RECEIVED_MAX];
	uint8_t numbers[RECEIVED_MAX];

	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		uint64_t random = seed;
		uint32_t count = 0, received = 0;
		uint8_t told = 0, next = 0;

		open_rings(seed % 2 != 0);
		for (int step = 0; step < 2000; step++) {
			switch (mdfh_random_below(&random, 4)) {
			case 0:
			case 1:
				told = (uint8_t)(told + deliver(told, 1 + told % 90));
				break;
			case 2: {
				int most = 1 + (int)mdfh_random_below(&random, PER_BATCH);
				int n = receive(&held[count], most);

				assert_in_range(n, 0, most);
				received += (uint32_t)n;
				for (; n > 0; n--) {
					numbers[count++] = next;
					next++;
				}
				break;
			}
			default:
				for (uint32_t n = mdfh_random_below(&random, 12); n && count; n--) {
					uint32_t which = mdfh_random_below(&random, count);

					assert_holds(
					    &held[which], numbers[which], 1 + numbers[which] % 90);
					release(&held[which], 1);
					held[which] = held[--count];
					numbers[which] = numbers[count];
				}
			}
			assert_each_chunk_once();
		}
		for (uint32_t i = 0; i < count; i++)
			assert_holds(&held[i], numbers[i], 1 + numbers[i] % 90);
		release(held, (int)count);
		assert_int_equal(port.held_count, 0);
		assert_true(received > 500);
		close_rings();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(zero_copy_hands_out_in_place_then_copies_then_starves),
	    cmocka_unit_test(zero_copy_copies_the_short),
	    cmocka_unit_test(copy_mode_starves_past_what_may_be_held),
	    cmocka_unit_test(the_fill_ring_runs_dry_and_fills_again),
	    cmocka_unit_test(descriptors_outside_of_the_memory_are_counted),
	    cmocka_unit_test(what_is_no_packet_gives_its_chunk_back),
	    cmocka_unit_test(wakes_the_driver_only_when_it_asks),
	    cmocka_unit_test(takes_the_nics_time_where_there_is_one),
	    cmocka_unit_test(keeps_every_packet_until_it_is_released),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
