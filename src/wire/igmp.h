/* igmp.h - the host's side of group membership: IGMPv3, v2 and v1 for IPv4, MLDv2 and v1 for IPv6.
 *
 * A backend that takes the NIC from the kernel has to tell the switches and routers itself which
 * groups it wants. This is the protocol alone: flows become memberships, frames go in, frames and
 * the time of the next one come out. Nothing here reads a clock or sends.
 *
 * Every VLAN and address family is a link of its own, with the version that its querier speaks. A
 * link starts with the newest version and falls back while an older querier is heard. A flow
 * without a VLAN is spoken for in untagged frames.
 *
 * Specifications: RFC 3376 (IGMPv3), RFC 2236 (v2), RFC 1112 (v1), RFC 3810 (MLDv2), RFC 2710
 * (MLDv1), RFC 2113 and RFC 2711 (router alert). Versions are counted as IGMP counts them: MLDv2
 * is 3, MLDv1 is 2.
 *
 * Times are ns of any clock. One that is set back takes what is due with it, as soon as poll or input
 * sees that; one that is set forward makes it due early, which does no harm.
 *
 * Threads: one at a time. Memory: all of it is struct mdfh_igmp, nothing is allocated.
 * Cost: poll is a comparison while nothing is due; else a walk of at most 64 groups. */
#ifndef MDFH_WIRE_IGMP_H
#define MDFH_WIRE_IGMP_H

#include "mdfh/bypass.h"
#include "mdfh/frame.h"

enum {
	MDFH_IGMP_GROUPS_MAX = MDFH_BYPASS_FLOWS_MAX,
	MDFH_IGMP_SOURCES_MAX = MDFH_BYPASS_FLOWS_MAX, /* of all groups together */
	MDFH_IGMP_LINKS_MAX = MDFH_BYPASS_FLOWS_MAX,
	/* Sources of one query that are kept until it is answered; one that asks for more is
	 * answered with the whole state of the group. */
	MDFH_IGMP_ASKED_MAX = 32,
	MDFH_IGMP_MTU = 1500,
	MDFH_IGMP_FRAME_MAX = 14 + 4 + MDFH_IGMP_MTU,
};

/* Zero means what the comment says. */
struct mdfh_igmp_config {
	uint64_t seed;        /* of the random delays: equal seeds, equal delays */
	uint8_t mac[6];       /* of the interface */
	uint8_t address[4];   /* its IPv4 address; 0.0.0.0 is allowed (RFC 3376 section 4.2.13) */
	uint8_t address6[16]; /* its link-local address; :: is allowed (RFC 3810 section 5.2.13) */
	uint8_t version;      /* newest version to speak, 1 to 3; 0 = 3 */
	uint8_t robustness;   /* reports of one change, 1 to 7; 0 = 2; a querier's word overrides */
};

struct mdfh_igmp_stats {
	uint64_t queries;         /* heard, sound and for this host */
	uint64_t others_reports;  /* of other hosts, while an older version is spoken */
	uint64_t suppressed;      /* reports not sent because another host had sent one */
	uint64_t ignored;         /* unsound, or not to be answered by a host */
	uint64_t reports_sent;    /* frames */
	uint64_t leaves_sent;     /* frames */
	uint64_t not_sent;        /* frames that emit could not take */
	uint64_t version_changes; /* of all links */
};

struct mdfh_igmp_source {
	uint8_t address[16];
	uint8_t group; /* index */
};

struct mdfh_igmp_group {
	uint8_t address[16];
	uint8_t link;          /* index */
	uint8_t any_source;    /* EXCLUDE {}; else INCLUDE of its sources */
	uint8_t last_reporter; /* older versions: it falls to us to say that we leave */
	uint8_t repeats;       /* older versions: unsolicited reports still to be sent */
	uint8_t asked_count;   /* 0 = the whole group was asked for */
	uint64_t answer_ns;    /* when, UINT64_MAX = nothing to answer */
	uint8_t asked[MDFH_IGMP_ASKED_MAX][16];
};

struct mdfh_igmp_link {
	uint16_t vlan;   /* 0 = untagged */
	uint8_t is_ipv6; /* MLD */
	uint8_t version; /* that is spoken now: 1 to 3 */
	uint8_t robustness;
	uint8_t changes;      /* state changes still to be reported, version 3 */
	uint32_t interval_s;  /* between general queries */
	uint64_t change_ns;   /* when the next is due, UINT64_MAX = none */
	uint64_t answer_ns;   /* to a general query, version 3 */
	uint64_t older_ns[3]; /* [v]: a querier of version v counts as present until then */
};

struct mdfh_igmp {
	struct mdfh_igmp_config config;
	struct mdfh_igmp_stats stats;
	uint64_t random;
	uint64_t now_ns; /* newest time that was passed in */
	uint64_t next_ns;
	uint32_t link_count;
	uint32_t group_count;
	uint32_t source_count;
	int leaving;
	struct mdfh_igmp_link links[MDFH_IGMP_LINKS_MAX];
	struct mdfh_igmp_group groups[MDFH_IGMP_GROUPS_MAX];
	struct mdfh_igmp_source sources[MDFH_IGMP_SOURCES_MAX];
	uint8_t frame[MDFH_IGMP_FRAME_MAX]; /* being built */
};

/* Called for each frame, complete from the MAC addresses on and without FCS, padded to 60 bytes; it
 * is valid during the call. 0, or negative if it cannot be sent now. */
typedef int (*mdfh_igmp_emit)(void *context, const uint8_t *frame, uint32_t length);

/* Take the multicast groups of the flows (unicast ones are passed over); the joins are due at
 * now_ns. A group that is wanted from any source by one flow is joined so for all. 0, or -EINVAL. */
int mdfh_igmp_init(struct mdfh_igmp *igmp, const struct mdfh_igmp_config *config,
    const struct mdfh_flow *flows, uint32_t count, uint64_t now_ns);

/* Look at a frame of an Ethernet port that mdfh_frame_parse called MDFH_FRAME_NOT_UDP. 1 if it is
 * IGMP or MLD (and was taken or counted as ignored), else 0. */
int mdfh_igmp_input(struct mdfh_igmp *igmp, const uint8_t *bytes, uint32_t captured,
    const struct mdfh_frame *frame, uint64_t now_ns);

/* When poll has something to do; UINT64_MAX = nothing. */
static inline uint64_t mdfh_igmp_next_ns(const struct mdfh_igmp *igmp)
{
	return igmp->next_ns;
}

/* Emit what is due. Returns the number of frames. To be called now and then also before next_ns, by
 * whoever goes by a clock that may be set back. */
int mdfh_igmp_poll(struct mdfh_igmp *igmp, uint64_t now_ns, mdfh_igmp_emit emit, void *context);

/* Say all that is wanted anew, as when it was joined but in the version that is spoken now: due at now_ns,
 * and repeated. For whoever cannot be sure to have heard every query. */
void mdfh_igmp_renew(struct mdfh_igmp *igmp, uint64_t now_ns);

/* Leave all groups: what there is to say is due at now_ns, and version 3 repeats it. Whoever cannot
 * wait polls once and stops: a router asks again before it believes that nobody is left. */
void mdfh_igmp_leave(struct mdfh_igmp *igmp, uint64_t now_ns);

#endif
