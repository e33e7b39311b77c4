/* veth_test.h - a veth pair in a network namespace of the test's own, for backends that take packets off
 * a device. */
#ifndef MDFH_TESTS_VETH_TEST_H
#define MDFH_TESTS_VETH_TEST_H

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define VETH_INTERFACE "mdfh0"
#define VETH_PEER      "mdfh1"

/* mdfh1 sends through so many queues, 1 or 2, by a hash of what it sends; mdfh0 receives through as
 * many. 0, or -1. */
static inline int veth_set_queues(uint32_t n)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_SCHANNELS, .rx_count = 1, .tx_count = n};
	struct ifreq request = {.ifr_name = VETH_PEER, .ifr_data = (char *)&channels};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc = fd < 0 ? -1 : ioctl(fd, SIOCETHTOOL, &request);

	if (fd >= 0)
		close(fd);
	return rc;
}

/* mdfh0 has addresses of 10.77.0.0/24 and fd77::/64, from which what comes is said to be; mdfh1 has
 * none, and only carries what a test writes to it. 0, or the exit status. */
static inline int veth_enter(void)
{
	if (geteuid()) {
		printf("skipped: a veth pair needs root\n");
		return 77;
	}
	if (unshare(CLONE_NEWNET) ||
	    system("/bin/ip link add mdfh0 numrxqueues 2 numtxqueues 1 type veth peer name mdfh1 "
		   "numrxqueues 1 numtxqueues 2 && "
		   "/bin/ip addr add 10.77.0.2/24 dev mdfh0 && /bin/ip addr add fd77::2/64 dev "
		   "mdfh0 nodad && "
		   "sysctl -qw net.ipv6.conf.mdfh1.disable_ipv6=1 && "
		   "/bin/ip link set lo up && /bin/ip link set mdfh0 up && "
		   "/bin/ip link set mdfh1 up") ||
	    veth_set_queues(1)) {
		fprintf(stderr, "there is no veth pair to be had\n");
		return 1;
	}
	return 0;
}

#endif
