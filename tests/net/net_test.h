/* net_test.h - what the tests of this layer share: cmocka with its includes, the error sentence, a
 * network namespace of the test's own. */
#ifndef MDFH_TESTS_NET_TEST_H
#define MDFH_TESTS_NET_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mdfh/bypass.h"
#include "mdfh/error.h"

#define TEST_SKIPPED 77

/* The last sentence contains text. */
#define assert_error(text)                                                                         \
	do {                                                                                       \
		if (!strstr(mdfh_error_text(), (text)))                                            \
			fail_msg("want '%s' in '%s'", (text), mdfh_error_text());                  \
	} while (0)

/* 0 or more, else the sentence. */
#define assert_ok(expression)                                                                      \
	do {                                                                                       \
		int assert_rc_ = (expression);                                                     \
		if (assert_rc_ < 0)                                                                \
			fail_msg("%s: %d, %s", #expression, assert_rc_, mdfh_error_text());        \
	} while (0)

/* Go into a network namespace with nothing but lo, which is up and does multicast. 0, or -1 where
 * neither root nor a user namespace may have one. */
static inline int test_enter_namespace(void)
{
	struct ifreq request = {.ifr_name = "lo"};
	int fd, rc = -1;

	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return -1;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0)
		return -1;
	if (!ioctl(fd, SIOCGIFFLAGS, &request)) {
		request.ifr_flags |= IFF_UP | IFF_MULTICAST;
		rc = ioctl(fd, SIOCSIFFLAGS, &request);
	}
	close(fd);
	return rc;
}

#endif
