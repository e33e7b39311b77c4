/* udp_test.h - what the tests of backends over kernel UDP sockets share. They run for each of these
 * backends, which is the program's argument: NAME [OPTIONS]. */
#ifndef MDFH_TESTS_UDP_TEST_H
#define MDFH_TESTS_UDP_TEST_H

#include <arpa/inet.h>
#include <dirent.h>
#include <limits.h>

#include "net/net_test.h"

static const char *test_backend = "socket";
static const char *test_options;

/* Take the arguments. 0, or the exit status. */
static inline int test_take_backend(int argc, char **argv)
{
	const char *build = getenv("MDFH_BUILD");
	char folder[PATH_MAX];

	if (argc > 1)
		test_backend = argv[1];
	if (argc > 2)
		test_options = argv[2];
	if (!build && argc > 1) {
		fprintf(stderr, "skipped: MDFH_BUILD, the build folder, is not set\n");
		return TEST_SKIPPED;
	}
	snprintf(folder, sizeof(folder), "%s/modules", build ? build : "");
	return build && mdfh_bypass_set_modules_folder(folder) ? 1 : 0;
}

static inline int test_is_socket(void)
{
	return !strcmp(test_backend, "socket");
}

enum { WAIT_US = 20000000 }; /* long enough for any machine; no test waits it out on success */

static inline struct mdfh_bypass *open_port(struct mdfh_bypass_config config)
{
	struct mdfh_bypass *port;

	config.size = sizeof(config);
	if (!config.backend)
		config.backend = test_backend;
	if (!config.backend_options)
		config.backend_options = test_options;
	if (!config.poll_timeout_us)
		config.poll_timeout_us = WAIT_US;
	assert_ok(mdfh_bypass_open(&config, &port));
	return port;
}

/* A plain socket to send from, bound to address. */
static inline int open_sender(const char *address)
{
	int v6 = strchr(address, ':') != NULL;
	struct sockaddr_in a4 = {.sin_family = AF_INET};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(inet_pton(v6 ? AF_INET6 : AF_INET, address,
			     v6 ? (void *)&a6.sin6_addr : (void *)&a4.sin_addr),
	    1);
	assert_int_equal(v6 ? bind(fd, (struct sockaddr *)&a6, sizeof(a6))
			    : bind(fd, (struct sockaddr *)&a4, sizeof(a4)),
	    0);
	return fd;
}

static inline void send_to(
    int fd, const char *address, uint16_t port, const void *data, size_t length)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int v6 = strchr(address, ':') != NULL;

	inet_pton(
	    v6 ? AF_INET6 : AF_INET, address, v6 ? (void *)&a6.sin6_addr : (void *)&a4.sin_addr);
	assert_int_equal(
	    sendto(fd, data, length, 0, v6 ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4,
		v6 ? sizeof(a6) : sizeof(a4)),
	    (ssize_t)length);
}

/* Receive until there are want packets; they are held. */
static inline void receive(struct mdfh_bypass *port, struct mdfh_packet *packets, int want)
{
	for (int got = 0; got < want;) {
		int n = mdfh_bypass_recv_wait(port, packets + got, want - got);

		if (n <= 0)
			fail_msg("%d of %d packets, then %d %s", got, want, n, mdfh_error_text());
		got += n;
	}
}

/* A port number that was free a moment ago. */
static inline uint16_t free_port(void)
{
	struct mdfh_bypass *port = open_port((struct mdfh_bypass_config){.host = "127.0.0.1"});
	uint16_t number = mdfh_bypass_local_port(port, 0);

	mdfh_bypass_close(port);
	return number;
}

static inline struct mdfh_bypass_stats stats_of(struct mdfh_bypass *port)
{
	struct mdfh_bypass_stats stats;

	assert_ok(mdfh_bypass_stats(port, &stats));
	return stats;
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

#endif
