/* membership.h - group memberships on an interface whose packets come another way than through a
 * socket: the kernel, which still owns the NIC, then speaks IGMP and MLD and sets the NIC's filters.
 *
 * The sockets are bound to nothing, so nothing is ever queued on them. */
#ifndef MDFH_NET_MEMBERSHIP_H
#define MDFH_NET_MEMBERSHIP_H

#include "net/net.h"

struct mdfh_membership {
	int count;
	int fd[MDFH_BYPASS_FLOWS_MAX];
};

/* Join the group of every multicast flow on config.interface, source-specific where the flow names
 * its source. name is the backend's. On failure nothing stays joined. */
int mdfh_membership_open(
    struct mdfh_membership *membership, const char *name, const struct mdfh_bypass_config *config);
void mdfh_membership_close(struct mdfh_membership *membership); /* a zeroed one, too */

/* Have a socket join a group, from one source or any (NULL), on an interface (0 = the kernel's choice). 0
 * or -errno without a sentence. */
int mdfh_membership_join(int fd, unsigned interface, const struct mdfh_address *group,
    const struct mdfh_address *source);

#endif
