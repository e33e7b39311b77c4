/* tcp_server.h - the other end of a port's connection, driven by the test's own thread. */
#ifndef MDFH_TESTS_TCP_SERVER_H
#define MDFH_TESTS_TCP_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <time.h>

#include "net/net_test.h"

enum {
	SERVER_WAIT_US = 20000, /* of one look */
	SERVER_LOOKS = 500,     /* before a test gives up: 10 s, never reached on success */
};

static inline socklen_t server_address(
    const char *text, uint16_t port, struct sockaddr_storage *address)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;

	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return sizeof(*v4);
	}
	assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	return sizeof(*v6);
}

/* Listen on address; *port 0 = any, which is then filled in. */
static inline int server_listen(const char *text, uint16_t *port, int backlog)
{
	struct sockaddr_storage address;
	socklen_t size = server_address(text, *port, &address);
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*port = ntohs(((struct sockaddr_in *)&address)->sin_port);
	return fd;
}

/* A port number on loopback where nobody listens. */
static inline uint16_t server_unused_port(void)
{
	uint16_t number = 0;

	close(server_listen("127.0.0.1", &number, 1));
	return number;
}

/* The newest connection of listener, while the port is given the chance to make it. */
static inline int server_accept(int listener)
{
	struct pollfd ready = {.fd = listener, .events = POLLIN};

	assert_int_equal(poll(&ready, 1, SERVER_WAIT_US / 1000 * SERVER_LOOKS), 1);
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

/* Close with a reset instead of an orderly end. */
static inline void server_reset(int fd)
{
	const struct linger now = {.l_onoff = 1};

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	close(fd);
}

static inline uint64_t server_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The port's descriptor wakes within the time. */
static inline int is_ready(struct mdfh_bypass *port, int timeout_ms)
{
	struct pollfd ready = {.fd = mdfh_bypass_capabilities(port)->poll_fd, .events = POLLIN};
	int rc = poll(&ready, 1, timeout_ms);

	assert_true(rc >= 0);
	return rc;
}

/* One packet of the port, or a failed test. */
static inline struct mdfh_packet server_next(struct mdfh_bypass *port)
{
	struct mdfh_packet packet;

	for (int i = 0; i < SERVER_LOOKS; i++) {
		int n = mdfh_bypass_recv_wait(port, &packet, 1);

		assert_ok(n);
		if (n)
			return packet;
	}
	fail_msg("nothing comes");
	return packet;
}

/* The next packet is the mark. */
static inline void server_expect_mark(struct mdfh_bypass *port, unsigned mark)
{
	struct mdfh_packet packet = server_next(port);
	unsigned marks = MDFH_PACKET_CONNECTED | MDFH_PACKET_DISCONNECTED;

	if ((packet.flags & marks) != mark)
		fail_msg("flags 0x%x, length %u; the mark 0x%x was to come", packet.flags,
		    packet.length, mark);
	assert_int_equal(packet.length, 0);
	assert_non_null(packet.data);
	assert_int_equal(packet.flow, 0);
	assert_true(packet.flags & MDFH_PACKET_STREAM);
	mdfh_bypass_release(port, &packet, 1);
}

/* The next bytes are these, whatever their borders. */
static inline void server_expect_bytes(
    struct mdfh_bypass *port, const void *expected, size_t length)
{
	for (size_t at = 0; at < length;) {
		struct mdfh_packet packet = server_next(port);

		if (packet.flags & (MDFH_PACKET_CONNECTED | MDFH_PACKET_DISCONNECTED))
			fail_msg("a mark (0x%x) after %zu of %zu bytes", packet.flags, at, length);
		assert_in_range(packet.length, 1, length - at);
		assert_memory_equal(packet.data, (const uint8_t *)expected + at, packet.length);
		assert_true(packet.flags & MDFH_PACKET_STREAM);
		at += packet.length;
		mdfh_bypass_release(port, &packet, 1);
	}
}

static inline void server_write(int fd, const void *data, size_t length)
{
	assert_int_equal(send(fd, data, length, MSG_NOSIGNAL), (ssize_t)length);
}

#endif
