/* mdfh/conformance.h - one suite over every backend: same packets in, same packets out, same
 * counters, flows, lifecycle and errors. A backend is done when it passes.
 *
 * A feed opens ports of the backend under test and makes known datagrams arrive on them, or is the
 * server that they connect to; the checks only see the port. What a backend says it cannot do (its
 * capabilities) makes a check "not applicable", with the reason. Packets and streams have a profile
 * of checks each.
 *
 * Threads: one at a time; the suite counts the process's descriptors.
 * Traffic: none that leaves the machine. */
#ifndef MDFH_CONFORMANCE_H
#define MDFH_CONFORMANCE_H

#include "mdfh/bypass.h"

MDFH_BEGIN_DECLS

enum {
	MDFH_CONFORMANCE_FLOWS = 3,   /* flows of a port under test */
	MDFH_CONFORMANCE_CHECKS = 32, /* no more checks than this */
};

/* What is odd about a datagram: no port may hand it out. */
enum mdfh_conformance_flag {
	MDFH_CONFORMANCE_STRAY = 1 << 0,   /* to an address or port of no flow */
	MDFH_CONFORMANCE_FOREIGN = 1 << 1, /* from another source than the flows name */
};

/* What a feed is asked to make arrive. */
struct mdfh_conformance_datagram {
	const uint8_t *data;
	uint32_t length;
	uint16_t flow;  /* below MDFH_CONFORMANCE_FLOWS */
	uint16_t flags; /* enum mdfh_conformance_flag */
	/* A whole Ethernet frame, to be put on the wire as it is; NULL = the feed makes one. Only for
	 * feeds that have flows. */
	const uint8_t *frame;
	uint32_t frame_length;
};

/* What a stream connects to. No call waits but accept; results are 0, a count, or a negative errno
 * with its sentence. */
struct mdfh_conformance_server {
	void *context;
	/* Begin anew to take connections (on), or cease to: those not accepted are lost. */
	int (*listen)(void *context, int on);
	/* Wait for a connection; it takes the place of the one before, which is closed. */
	int (*accept)(void *context);
	/* As many bytes as fit now, 0 = none do. */
	int (*write)(void *context, const uint8_t *data, uint32_t length);
	/* What has come, 0 = nothing now, -ENODATA = the port has ended the connection. */
	int (*read)(void *context, uint8_t *data, uint32_t length);
	int (*hang_up)(void *context, int reset); /* close, by a reset or in order */
};

/* What flows are opened with besides group and port. */
enum mdfh_conformance_with {
	MDFH_CONFORMANCE_WITH_SOURCES = 1, /* every flow names its source */
	MDFH_CONFORMANCE_WITH_VLANS = 2,   /* flow 0 MDFH_CONFORMANCE_VLAN, flow 2 that and 2 */
	MDFH_CONFORMANCE_WITH_HOST = 4, /* every flow is to the feed's host, at a port of its own */
};

enum { MDFH_CONFORMANCE_VLAN = 100 };

/* Opens ports of the backend under test and makes datagrams arrive on them. */
struct mdfh_conformance_feed {
	size_t size;
	const char *name; /* for people: "udp4" */
	void *context;
	int feeds;   /* 0 = the backend makes packets of its own: open has no datagrams */
	int sources; /* 1 = knows how to send from a foreign source */
	int loops;   /* 1 = what a port sends arrives on it again */
	const struct mdfh_conformance_server *server; /* streams only; open has no datagrams */

	/* Of a feed that carries frames: what its ports are opened with, each flow with its source. */
	const struct mdfh_flow *flows;
	const char *foreign; /* ... an address that is no flow's source */
	const char *alias;   /* ... a group of no flow that has the hardware address of one */

	/* Open a port with the sizes and switches of wanted and the feed's own backend, flows and
	 * files, and see to it that the datagrams arrive on it, in this order. with is a set of
	 * enum mdfh_conformance_with. */
	int (*open)(void *context, const struct mdfh_bypass_config *wanted, int with,
	    const struct mdfh_conformance_datagram *datagrams, int n, struct mdfh_bypass **port);

	/* Of a feed that carries frames: the address of this host on their wire and the hardware
	 * address that it goes with; NULL = none, so that nothing is sent to a host. Its flow i has
	 * the port of flow 0 and i. */
	const char *host;
	uint8_t host_mac[6];
};

/* Ways to make packets arrive. */
enum mdfh_conformance_medium {
	MDFH_CONFORMANCE_DEFAULT = 0, /* file for pcap, none for null, else udp4 */
	MDFH_CONFORMANCE_UDP4 = 1,    /* kernel sockets to loopback addresses */
	MDFH_CONFORMANCE_UDP6 = 2,
	MDFH_CONFORMANCE_MULTICAST4 = 3, /* kernel sockets to groups on an interface */
	MDFH_CONFORMANCE_MULTICAST6 = 4,
	MDFH_CONFORMANCE_FILE = 5, /* a capture file */
	MDFH_CONFORMANCE_NONE = 6, /* the backend's own packets */
	MDFH_CONFORMANCE_TCP4 = 7, /* a kernel TCP server on a loopback address */
	MDFH_CONFORMANCE_TCP6 = 8,
	MDFH_CONFORMANCE_FRAMES4 = 9, /* Ethernet frames written to the peer of a veth pair */
	MDFH_CONFORMANCE_FRAMES6 = 10,
};

/* A feed of a medium that the library knows. */
struct mdfh_conformance_config {
	size_t size;           /* sizeof(struct mdfh_conformance_config) */
	const char *backend;   /* as in struct mdfh_bypass_config; "fault" is put on "socket" */
	const char *interface; /* a loopback device; needed for multicast. For frames: what the
	                        * port is opened on, a device of kind veth, tap or dummy or a
	                        * virtual one of DPDK ("net_...") */
	const char *peer; /* for frames: the device that they are written to, of the same kinds */
	const char *backend_options;
	enum mdfh_conformance_medium medium;
};

/* -EINVAL where backend and medium do not go together. */
MDFH_API int mdfh_conformance_feed_open(
    const struct mdfh_conformance_config *config, struct mdfh_conformance_feed **feed);
MDFH_API void mdfh_conformance_feed_close(struct mdfh_conformance_feed *feed); /* NULL is allowed */

/* Of one check. */
enum mdfh_conformance_verdict {
	MDFH_CONFORMANCE_PASSED = 0,
	MDFH_CONFORMANCE_FAILED = 1,
	MDFH_CONFORMANCE_NOT_APPLICABLE = 2,
};

/* What one check found. */
struct mdfh_conformance_result {
	const char *name; /* "hold-max" */
	const char *what; /* the rule, in one line */
	enum mdfh_conformance_verdict verdict;
	char detail[240]; /* what was seen instead, or why the check does not apply */
};

/* Run every check; up to max results are filled. Returns the number of checks. */
MDFH_API int mdfh_conformance_run(
    const struct mdfh_conformance_feed *feed, struct mdfh_conformance_result *results, int max);

MDFH_END_DECLS
#endif
