/* tcp_test.h - what the tests of the socket backend's TCP connection share. */
#ifndef MDFH_TESTS_TCP_TEST_H
#define MDFH_TESTS_TCP_TEST_H

#include <dirent.h>

#include "net/socket.h"
#include "net/tcp_server.h"

/* For tests that wait for attempts. */
#define QUICK "reconnect_min_ms=1,reconnect_max_ms=4,reconnect_seed=1"

static inline struct mdfh_bypass *open_port(struct mdfh_bypass_config config)
{
	struct mdfh_bypass *port;

	config.size = sizeof(config);
	config.transport = MDFH_TRANSPORT_TCP;
	if (!config.host)
		config.host = "127.0.0.1";
	if (!config.poll_timeout_us)
		config.poll_timeout_us = SERVER_WAIT_US;
	assert_ok(mdfh_bypass_open(&config, &port));
	return port;
}

static inline struct mdfh_bypass_stats stats_of(struct mdfh_bypass *port)
{
	struct mdfh_bypass_stats stats;

	assert_ok(mdfh_bypass_stats(port, &stats));
	return stats;
}

static inline int descriptor_of(struct mdfh_bypass *port)
{
	return ((struct mdfh_sockets *)port)->flows[0].fd;
}

static inline int count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(folder);
	while (readdir(folder))
		n++;
	closedir(folder);
	return n;
}

/* Listen, open, accept, and see the mark. */
static inline struct mdfh_bypass *open_connected(
    struct mdfh_bypass_config config, int *listener, int *peer)
{
	struct mdfh_bypass *port;

	config.port = 0;
	*listener = server_listen(config.host ? config.host : "127.0.0.1", &config.port, 8);
	port = open_port(config);
	*peer = server_accept(*listener);
	server_expect_mark(port, MDFH_PACKET_CONNECTED);
	return port;
}

/* Look until the counter has reached want. */
static inline void wait_for_failures(struct mdfh_bypass *port, uint64_t want)
{
	struct mdfh_packet packet;

	for (int i = 0; i < SERVER_LOOKS; i++) {
		if (stats_of(port).connect_failures >= want)
			return;
		assert_int_equal(mdfh_bypass_recv_wait(port, &packet, 1), 0);
	}
	fail_msg("%llu attempts failed; %llu were to", (long long)stats_of(port).connect_failures,
	    (long long)want);
}

#endif
