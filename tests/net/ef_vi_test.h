/* ef_vi_test.h - what the tests of backend ef_vi on the software device share: ports on "lo" in a
 * network namespace of the test's own, and numbered frames. */
#ifndef MDFH_TESTS_EF_VI_TEST_H
#define MDFH_TESTS_EF_VI_TEST_H

#include <errno.h>

#include <etherfabric/ef_vi.h>

#include "ef_vi_device.h"
#include "mdfh/frame.h"
#include "net/udp_test.h"

enum { PORT = 26477, CUT = 64 };

static const struct mdfh_flow group = {.group = "239.1.1.1", .port = PORT};
static char library[PATH_MAX + 32];
static char options[PATH_MAX + 128];
static struct mdfh_bypass *left_open; /* by a test that failed */

/* A program ------------------------------------------------------------------------------------ */

/* 0, or what the program ends with. */
static inline int enter(void)
{
	const char *build = getenv("MDFH_BUILD");
	char folder[PATH_MAX];

	if (!build) {
		printf("skipped: MDFH_BUILD, the build folder, is not set\n");
		return TEST_SKIPPED;
	}
	snprintf(folder, sizeof(folder), "%s/tests/net/ef_vi_device", build);
	snprintf(library, sizeof(library), "%s/libciul.so.1", folder);
	if (test_enter_namespace()) {
		printf("skipped: no network namespace is to be had\n");
		return TEST_SKIPPED;
	}
	return mdfh_bypass_set_modules_folder(folder) ? 1 : 0;
}

static inline int set_up(void **state)
{
	(void)state;
	mdfh_bypass_close(left_open);
	left_open = NULL;
	efdev_set_strike(NULL);
	efdev_configure(&(struct efdev_config){0});
	return 0;
}

#define TEST(function) cmocka_unit_test_setup(function, set_up)

/* A port --------------------------------------------------------------------------------------- */

static inline struct mdfh_bypass_config filled(struct mdfh_bypass_config config, const char *more)
{
	snprintf(options, sizeof(options), "library=%s%s", library, more ? more : "");
	config.size = sizeof(config);
	config.backend = "ef_vi";
	config.backend_options = options;
	if (!config.interface)
		config.interface = "lo";
	if (!config.flows) {
		config.flows = &group;
		config.flow_count = 1;
	}
	if (!config.rx_ring_size)
		config.rx_ring_size = 512;
	return config;
}

static inline struct mdfh_bypass *open_ef_vi(struct mdfh_bypass_config config, const char *more)
{
	struct mdfh_bypass *port;

	config = filled(config, more);
	assert_ok(mdfh_bypass_open(&config, &port));
	left_open = port;
	return port;
}

static inline int try_ef_vi(struct mdfh_bypass_config config, const char *more)
{
	struct mdfh_bypass *port = NULL;
	int rc;

	config = filled(config, more);
	rc = mdfh_bypass_open(&config, &port);
	mdfh_bypass_close(port);
	return rc;
}

static inline void assert_nothing_open(void)
{
	struct efdev_state state = efdev_state();

	assert_string_equal(state.last_fault, "");
	assert_int_equal(state.drivers + state.domains + state.queues + state.regions +
			     state.filters + state.references,
	    0);
}

static inline void close_ef_vi(struct mdfh_bypass *port)
{
	left_open = NULL;
	mdfh_bypass_close(port);
	assert_nothing_open();
}

/* Frames --------------------------------------------------------------------------------------- */

struct sending {
	const char *group, *source;
	uint16_t port, vlan;
	uint32_t length;
	int discard;
	unsigned discard_flags;
	uint64_t time_ns;
	int is_damaged; /* its UDP checksum is wrong */
	int has_no_sum;
};

static uint8_t frame_bytes[20000];

/* The number stands in the payload's first and last four bytes. */
static inline struct efdev_frame make(uint32_t number, struct sending s)
{
	static uint8_t payload[16384];
	struct mdfh_frame_header header = {
	    .source_port = 4000, .destination_port = s.port ? s.port : PORT};
	uint32_t length = s.length ? s.length : CUT;
	int bytes;

	assert_ok(mdfh_frame_address(s.group ? s.group : "239.1.1.1", header.destination));
	assert_ok(mdfh_frame_address(
	    s.source ? s.source : (mdfh_frame_is_ipv4(header.destination) ? "10.0.0.1" : "fd00::1"),
	    header.source));
	header.vlan[0] = s.vlan;
	header.vlan_count = s.vlan != 0;
	memset(payload, (int)number, length);
	memcpy(payload, &number, 4);
	memcpy(payload + length - 4, &number, 4);
	bytes = mdfh_frame_build(&header, payload, length, frame_bytes, sizeof(frame_bytes));
	assert_true(bytes > 0);
	if (s.is_damaged)
		frame_bytes[bytes - 10] ^= 0x10;
	if (s.has_no_sum)
		memset(frame_bytes + bytes - length - 2, 0, 2);
	return (struct efdev_frame){.bytes = frame_bytes,
	    .length = (uint32_t)bytes,
	    .discard = s.discard,
	    .discard_flags = s.discard_flags,
	    .time_ns = s.time_ns};
}

static inline int arrive(uint32_t number, struct sending s)
{
	struct efdev_frame frame = make(number, s);

	return efdev_arrive(&frame);
}

static inline uint32_t number_of(const struct mdfh_packet *packet)
{
	uint32_t number, again;

	assert_true(packet->length >= 4);
	memcpy(&number, packet->data, 4);
	memcpy(&again, packet->data + packet->length - 4, 4);
	if (!(packet->flags & MDFH_PACKET_TRUNCATED))
		assert_int_equal(number, again);
	return number;
}

/* All that is there; they are held. */
static inline int take_all(struct mdfh_bypass *port, struct mdfh_packet *packets, int max)
{
	int got = 0, n;

	while (got < max && (n = mdfh_bypass_recv(port, packets + got, max - got)) != 0) {
		assert_ok(n);
		got += n;
	}
	return got;
}

/* Numbers first to first + n - 1 are there, in order, and nothing else; they are released. */
static inline void expect(struct mdfh_bypass *port, uint32_t first, int n)
{
	struct mdfh_packet packets[64];
	int total = 0, got;

	while ((got = mdfh_bypass_recv(port, packets, 64)) != 0) {
		assert_ok(got);
		for (int i = 0; i < got; i++)
			assert_int_equal(number_of(&packets[i]), first + (uint32_t)total++);
		mdfh_bypass_release(port, packets, got);
	}
	assert_int_equal(total, n);
}

#endif
