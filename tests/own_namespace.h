/* own_namespace.h - a network namespace of a test's own: what another test sends does not come here, and no
 * other takes a port number that was free a moment ago. */
#ifndef MDFH_TESTS_OWN_NAMESPACE_H
#define MDFH_TESTS_OWN_NAMESPACE_H

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* `ip -6 route add local ff00::/8 dev lo`: every device that does multicast gets a route for it from
 * the kernel, except lo. */
static inline int test_route_ipv6_multicast(uint32_t interface)
{
	struct {
		struct nlmsghdr header;
		struct rtmsg route;
		struct rtattr to_head;
		uint8_t to[16];
		struct rtattr device_head;
		uint32_t device;
	} request = {
	    .header = {.nlmsg_len = sizeof(request),
		.nlmsg_type = RTM_NEWROUTE,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK},
	    .route = {.rtm_family = AF_INET6,
		.rtm_dst_len = 8,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_BOOT,
		.rtm_type = RTN_LOCAL},
	    .to_head = {.rta_len = RTA_LENGTH(16), .rta_type = RTA_DST},
	    .to = {0xff},
	    .device_head = {.rta_len = RTA_LENGTH(4), .rta_type = RTA_OIF},
	    .device = interface,
	};
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
	} answer = {0};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int rc = -1;

	if (fd < 0)
		return -1;
	if (send(fd, &request, sizeof(request), 0) == (ssize_t)sizeof(request) &&
	    recv(fd, &answer, sizeof(answer), MSG_TRUNC) > 0)
		rc = answer.error.error;
	close(fd);
	return rc;
}

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
	return rc ? rc : test_route_ipv6_multicast(if_nametoindex("lo"));
}

#endif
