/* kernel_stamps.c - see to it that the kernel stamps what it receives.
 *
 * It does so while any socket of the host has asked for it, and starts a moment after the first one
 * asked (a work item of its own). What comes before that is stamped when it is read, later than
 * packets behind it: times would run backwards. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "mdfh/error.h"
#include "net/net.h"

enum { ATTEMPTS = 5000, PAUSE_NS = 200000 }; /* a busy machine comes to it late */

/* Send fd a datagram of its own. 1 if it was stamped before it was read, 0 if not, or if it has not
 * come yet, -ENODATA if there is no way to see, or another negative errno value. */
static int is_stamped(int fd, const struct sockaddr_in *to)
{
	union {
		char bytes[CMSG_SPACE(sizeof(struct timespec))];
		struct cmsghdr align;
	} control;
	struct msghdr header = {.msg_control = &control, .msg_controllen = sizeof(control)};
	const struct cmsghdr *found;
	struct timespec stamp, before;

	if (sendto(fd, NULL, 0, MSG_DONTWAIT, (const struct sockaddr *)to, sizeof(*to)) < 0)
		return errno == EAGAIN || errno == ENOBUFS ? 0 : -ENODATA;
	clock_gettime(CLOCK_REALTIME, &before);
	if (recvmsg(fd, &header, MSG_DONTWAIT) < 0)
		return errno == EAGAIN ? 0 : -errno;
	found = CMSG_FIRSTHDR(&header);
	if (!found || found->cmsg_level != SOL_SOCKET || found->cmsg_type != SCM_TIMESTAMPNS)
		return -ENODATA;
	memcpy(&stamp, CMSG_DATA(found), sizeof(stamp));
	return stamp.tv_sec < before.tv_sec ||
	       (stamp.tv_sec == before.tv_sec && stamp.tv_nsec <= before.tv_nsec);
}

static int wait_for_stamps(int fd)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	socklen_t length = sizeof(to);
	int rc, on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)))
		return -errno;
	if (bind(fd, (struct sockaddr *)&to, sizeof(to)))
		return errno == EADDRNOTAVAIL ? 0 : -errno; /* no loopback in this namespace */
	if (getsockname(fd, (struct sockaddr *)&to, &length))
		return -errno;
	for (unsigned i = 0; i < ATTEMPTS; i++) {
		rc = is_stamped(fd, &to);
		if (rc)
			return rc == 1 || rc == -ENODATA ? 0 : rc;
		nanosleep(&pause, NULL);
	}
	return 0;
}

int mdfh_kernel_stamps_wait(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return errno == EAFNOSUPPORT ? 0 : mdfh_error_errno(-errno, "socket: socket");
	rc = wait_for_stamps(fd);
	close(fd);
	return rc ? mdfh_error_errno(rc, "socket: a datagram over loopback, to see whether the "
					 "kernel stamps what it receives")
		  : 0;
}
