/* xdp_test.h - a port of backend xdp on a veth pair, and frames for it. */
#ifndef MDFH_TESTS_XDP_TEST_H
#define MDFH_TESTS_XDP_TEST_H

#include "mdfh/frame.h"
#include "net/conformance_frames.h"
#include "net/udp_test.h"
#include "net/veth_test.h"

static const struct mdfh_flow group = {.group = "239.1.1.1", .port = 26477};
static int wire;

static inline struct mdfh_bypass *open_xdp(struct mdfh_bypass_config config)
{
	config.interface = VETH_INTERFACE;
	config.poll_timeout_us = 50000;
	if (!config.flows) {
		config.flows = &group;
		config.flow_count = 1;
	}
	return open_port(config);
}

static inline int try_xdp(struct mdfh_bypass_config config)
{
	struct mdfh_bypass *port = NULL;
	int rc;

	config.size = sizeof(config);
	config.backend = "xdp";
	if (!config.interface)
		config.interface = VETH_INTERFACE;
	if (!config.flows) {
		config.flows = &group;
		config.flow_count = 1;
	}
	rc = mdfh_bypass_open(&config, &port);
	mdfh_bypass_close(port);
	return rc;
}

static inline void send_frames(const char *destination, uint16_t port, uint32_t n, uint32_t length)
{
	static uint8_t payload[2048];
	uint8_t bytes[CONFORMANCE_HEADERS_MAX + sizeof(payload)];
	const struct conformance_frame frame = {.source = "10.77.0.1",
	    .destination = destination,
	    .port = port,
	    .payload = payload,
	    .length = length};

	for (uint32_t i = 0; i < n; i++) {
		memcpy(payload, &i, sizeof(i));
		assert_true(send(wire, bytes, mdfh_conformance_frame_put(bytes, &frame), 0) > 0);
	}
}

static inline uint32_t receive_all(struct mdfh_bypass *port)
{
	struct mdfh_packet packets[64];
	uint32_t total = 0;
	int got;

	for (int empty = 0; empty < 3; empty = got ? 0 : empty + 1) {
		got = mdfh_bypass_recv_wait(port, packets, 64);
		assert_ok(got);
		mdfh_bypass_release(port, packets, got);
		total += (uint32_t)got;
	}
	return total;
}

#endif
