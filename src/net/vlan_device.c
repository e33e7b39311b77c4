/* vlan_device.c - the kernel's device of a VLAN on an interface, which is where its sockets receive what
 * backends that see frames tell by the tag. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_vlan.h>
#include <linux/sockios.h>

#include "net/net.h"

static int ask(int fd, int what, const char *device, struct vlan_ioctl_args *answer)
{
	*answer = (struct vlan_ioctl_args){.cmd = what};
	snprintf(answer->device1, sizeof(answer->device1), "%s", device);
	return ioctl(fd, SIOCGIFVLAN, answer);
}

static int has_id(int fd, const char *device, uint16_t vlan)
{
	struct vlan_ioctl_args answer;

	return !ask(fd, GET_VLAN_VID_CMD, device, &answer) && answer.u.VID == vlan;
}

static int is_on(int fd, const char *device, const char *interface)
{
	struct vlan_ioctl_args answer;

	return !ask(fd, GET_VLAN_REALDEV_NAME_CMD, device, &answer) &&
	       !strncmp(answer.u.device2, interface, sizeof(answer.u.device2));
}

int mdfh_vlan_device(const char *interface, uint16_t vlan, char *device, size_t size)
{
	struct if_nameindex *all = NULL;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const char *found = NULL;

	if (fd < 0)
		return 0;
	if (has_id(fd, interface, vlan)) {
		found = interface;
	} else {
		all = if_nameindex();
		for (const struct if_nameindex *one = all; one && one->if_name && !found; one++)
			if (has_id(fd, one->if_name, vlan) && is_on(fd, one->if_name, interface))
				found = one->if_name;
	}
	close(fd);
	if (found)
		snprintf(device, size, "%s", found);
	if (all)
		if_freenameindex(all);
	return found != NULL;
}
