/* veth_test.h - a veth pair in a network namespace of the test's own, for backends that take packets off
 * a device. */
#ifndef MDFH_TESTS_VETH_TEST_H
#define MDFH_TESTS_VETH_TEST_H

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define VETH_INTERFACE "mdfh0"
#define VETH_PEER      "mdfh1"

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
		   "numrxqueues 1 numtxqueues 1 && "
		   "/bin/ip addr add 10.77.0.2/24 dev mdfh0 && /bin/ip addr add fd77::2/64 dev "
		   "mdfh0 nodad && "
		   "sysctl -qw net.ipv6.conf.mdfh1.disable_ipv6=1 && "
		   "/bin/ip link set lo up && /bin/ip link set mdfh0 up && "
		   "/bin/ip link set mdfh1 up")) {
		fprintf(stderr, "there is no veth pair to be had\n");
		return 1;
	}
	return 0;
}

#endif
