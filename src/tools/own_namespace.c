/* own_namespace.c - a network namespace of this process's own, with nothing but loopback. */
#include "tools/own_namespace.h"

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mdfh/error.h"

int own_namespace_enter(void)
{
	struct ifreq request = {.ifr_name = "lo"};
	int rc;
	int fd;

	/* An ordinary user may have one within a user namespace, where that is allowed. */
	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return mdfh_error_errno(-errno, "a network namespace of its own");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return mdfh_error_errno(-errno, "lo of the new namespace");
	rc = ioctl(fd, SIOCGIFFLAGS, &request);
	request.ifr_flags |= IFF_UP | IFF_MULTICAST;
	if (!rc)
		rc = ioctl(fd, SIOCSIFFLAGS, &request);
	if (rc)
		rc = mdfh_error_errno(-errno, "lo of the new namespace");
	close(fd);
	return rc;
}
