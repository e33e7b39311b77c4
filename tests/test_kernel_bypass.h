/* test_kernel_bypass.h - both ends of test_kernel_bypass.c: a port of a backend, and a plain kernel
 * socket that sends to it. */
#ifndef MDFH_TESTS_TEST_KERNEL_BYPASS_H
#define MDFH_TESTS_TEST_KERNEL_BYPASS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "mdfh/bypass.h"
#include "mdfh/error.h"

enum { BATCH = 64, PATIENCE_MS = 10000 };

struct target {
	const char *backend;
	enum mdfh_transport transport;
};

#define assert_ok(expression)                                                                      \
	do {                                                                                       \
		int assert_rc_ = (expression);                                                     \
		if (assert_rc_ < 0)                                                                \
			fail_msg("%s: %d, %s", #expression, assert_rc_, mdfh_error_text());        \
	} while (0)

#define assert_says(text)                                                                          \
	do {                                                                                       \
		if (!strstr(mdfh_error_text(), (text)))                                            \
			fail_msg("want '%s' in '%s'", (text), mdfh_error_text());                  \
	} while (0)

static inline uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The other end ----------------------------------------------------------------------- */

struct peer {
	int listener; /* TCP; -1 = none */
	int fd;       /* UDP: connected to the port; TCP: the accepted client, -1 = none */
	uint16_t port;
};

static inline struct sockaddr_in loopback(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static inline int bound_socket(int type, uint16_t *port)
{
	struct sockaddr_in address = loopback(*port);
	socklen_t length = sizeof(address);
	const int on = 1;
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	*port = ntohs(address.sin_port);
	return fd;
}

static inline struct mdfh_bypass_config config_of(const struct target *target, uint16_t port)
{
	return (struct mdfh_bypass_config){
	    .size = sizeof(struct mdfh_bypass_config),
	    .backend = target->backend,
	    .host = "127.0.0.1",
	    .port = port,
	    .transport = target->transport,
	    .poll_timeout_us = 10000,
	};
}

static inline void close_peer(struct peer *peer)
{
	if (peer->fd >= 0)
		close(peer->fd);
	if (peer->listener >= 0)
		close(peer->listener);
	peer->fd = peer->listener = -1;
}

/* Receive one batch of at least one packet, and copy out nothing: it is still held. */
static inline int recv_some(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	uint64_t end_ms = now_ms() + PATIENCE_MS;

	while (now_ms() < end_ms) {
		int got = mdfh_bypass_recv_wait(port, packets, n);

		assert_ok(got);
		if (got)
			return got;
	}
	fail_msg("nothing within %d ms", PATIENCE_MS);
	return 0;
}

/* The mark of a connection, which comes alone or before its data. */
static inline void recv_mark(struct mdfh_bypass *port, uint16_t flag)
{
	struct mdfh_packet packet;

	assert_int_equal(recv_some(port, &packet, 1), 1);
	assert_int_equal(packet.length, 0);
	assert_true(packet.flags & MDFH_PACKET_STREAM);
	assert_true(packet.flags & flag);
	mdfh_bypass_release(port, &packet, 1);
}

/* recv drives a connection, so accepting takes both ends. */
static inline void accept_client(struct mdfh_bypass *port, struct peer *peer)
{
	recv_mark(port, MDFH_PACKET_CONNECTED);
	peer->fd = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(peer->fd >= 0);
	assert_int_equal(setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)), 0);
}

static inline struct mdfh_bypass *open_with(
    const struct target *target, struct mdfh_bypass_config *config, struct peer *peer)
{
	struct mdfh_bypass *port = NULL;

	*peer = (struct peer){.listener = -1, .fd = -1};
	if (target->transport == MDFH_TRANSPORT_TCP) {
		peer->listener = bound_socket(SOCK_STREAM, &peer->port);
		assert_int_equal(listen(peer->listener, 1), 0);
		config->port = peer->port;
		assert_ok(mdfh_bypass_open(config, &port));
		accept_client(port, peer);
	} else {
		uint16_t own = 0;
		struct sockaddr_in to;

		assert_ok(mdfh_bypass_open(config, &port));
		peer->port = mdfh_bypass_local_port(port, 0);
		assert_true(peer->port != 0);
		to = loopback(peer->port);
		peer->fd = bound_socket(SOCK_DGRAM, &own);
		assert_int_equal(connect(peer->fd, (struct sockaddr *)&to, sizeof(to)), 0);
	}
	return port;
}

static inline struct mdfh_bypass *open_pair(const struct target *target, struct peer *peer)
{
	struct mdfh_bypass_config config = config_of(target, 0);

	return open_with(target, &config, peer);
}

static inline void send_bytes(const struct peer *peer, const void *data, size_t size)
{
	assert_int_equal(send(peer->fd, data, size, MSG_NOSIGNAL), (ssize_t)size);
}

#endif
