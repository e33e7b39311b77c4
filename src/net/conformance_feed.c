/* conformance_feed.c - how packets reach a port under test: kernel sockets, a capture file, or the
 * backend itself; for streams, conformance_server.c. Frames are made by conformance_frames.c. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "mdfh/conformance.h"
#include "mdfh/error.h"
#include "net/conformance_frames.h"
#include "net/conformance_server.h"
#include "net/conformance_trial.h"
#include "net/net.h"

struct feed {
	struct mdfh_conformance_feed base; /* first, so a feed pointer is the public one */
	enum mdfh_conformance_medium medium;
	char *backend, *interface, *options;
	int file; /* memory file of the capture, -1 = none yet */
	int wire; /* what frames are written to, -1 = nothing */
	struct mdfh_flow flows[MDFH_CONFORMANCE_FLOWS]; /* of a medium of frames */
	char host[INET6_ADDRSTRLEN];
	struct conformance_server server;
};

/* Where the flows of a medium are, and from where they are sent. */
static const struct place {
	const char *name;
	const char *flows[MDFH_CONFORMANCE_FLOWS];
	const char *source, *foreign; /* foreign NULL = there is only one source here */
	const char *stray;            /* NULL = none, so that a stray datagram is not sent */
	const char *alias;            /* a group with the hardware address of the first flow's */
} places[] = {
    [MDFH_CONFORMANCE_UDP4] = {"udp4", {"127.0.0.1", "127.0.0.1", "127.0.0.2"}, "127.0.0.1",
	"127.0.0.9", "127.0.0.77", NULL},
    [MDFH_CONFORMANCE_UDP6] = {"udp6", {"::1", "::1", "::1"}, "::1", NULL, NULL, NULL},
    [MDFH_CONFORMANCE_MULTICAST4] = {"multicast4", {"239.255.77.1", "239.255.77.1", "239.255.77.2"},
	"127.0.0.1", "127.0.0.9", "239.255.77.77", NULL},
    [MDFH_CONFORMANCE_MULTICAST6] = {"multicast6", {"ff15::77:1", "ff15::77:1", "ff15::77:2"},
	"::1", NULL, "ff15::77:77", NULL},
    [MDFH_CONFORMANCE_FILE] = {"file", {"239.255.77.1", "239.255.77.1", "239.255.77.2"},
	"10.77.0.1", "10.77.0.9", "239.255.77.77", "239.127.77.1"},
    [MDFH_CONFORMANCE_FRAMES4] = {"frames4", {"239.255.77.1", "239.255.77.1", "239.255.77.2"},
	"10.77.0.1", "10.77.0.9", "239.255.77.77", "239.127.77.1"},
    [MDFH_CONFORMANCE_FRAMES6] = {"frames6", {"ff15::77:1", "ff15::77:1", "ff15::77:2"}, "fd77::1",
	"fd77::9", "ff15::77:77", "ff15::1:77:1"},
    [MDFH_CONFORMANCE_NONE] = {"none", {NULL, NULL, NULL}, NULL, NULL, NULL, NULL},
    [MDFH_CONFORMANCE_TCP4] = {"tcp4", {"127.0.0.1", NULL, NULL}, NULL, NULL, NULL, NULL},
    [MDFH_CONFORMANCE_TCP6] = {"tcp6", {"::1", NULL, NULL}, NULL, NULL, NULL, NULL},
};

/* Kernel sockets ------------------------------------------------------- */

enum { PORTS = 3 }; /* two for flows, one for nobody */

/* Port numbers that are free on address, all different. */
static int find_ports(const char *address, uint16_t *ports)
{
	int fd[PORTS], n, rc = 0;

	for (n = 0; n < PORTS; n++) {
		struct mdfh_address local;

		mdfh_address_parse(address, 0, &local);
		fd[n] = socket(local.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (fd[n] < 0) {
			rc = mdfh_error_errno(-errno, "conformance: socket");
			break;
		}
		if (bind(fd[n], &local.any, local.length) ||
		    getsockname(fd[n], &local.any, &local.length)) {
			rc = mdfh_error_errno(-errno, "conformance: bind to %s", address);
			n++;
			break;
		}
		ports[n] = ntohs(local.v4.sin_port);
	}
	for (int i = 0; i < n; i++)
		close(fd[i]);
	return rc;
}

static int open_sender(const struct feed *feed, const char *source)
{
	struct mdfh_address from;
	int index = feed->interface ? (int)if_nametoindex(feed->interface) : 0;
	struct ip_mreqn interface = {.imr_ifindex = index};
	int fd, rc = 0;

	mdfh_address_parse(source, 0, &from);
	fd = socket(from.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return mdfh_error_errno(-errno, "conformance: socket");
	if (feed->medium == MDFH_CONFORMANCE_MULTICAST4)
		rc = setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &interface, sizeof(interface));
	else if (feed->medium == MDFH_CONFORMANCE_MULTICAST6)
		rc = setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof(index));
	if (!rc)
		rc = bind(fd, &from.any, from.length);
	if (rc) {
		rc = mdfh_error_errno(-errno, "conformance: a socket that sends from %s", source);
		close(fd);
		return rc;
	}
	return fd;
}

static int send_all(const struct feed *feed, const struct mdfh_flow *flows, uint16_t stray_port,
    const struct mdfh_conformance_datagram *datagrams, int n)
{
	const struct place *place = &places[feed->medium];
	int fd[2] = {-1, -1}, rc = 0;

	fd[0] = open_sender(feed, place->source);
	if (fd[0] < 0)
		return fd[0];
	fd[1] = place->foreign ? open_sender(feed, place->foreign) : -1;
	if (place->foreign && fd[1] < 0) {
		rc = fd[1];
		goto out;
	}
	for (int i = 0; i < n; i++) {
		const struct mdfh_conformance_datagram *d = &datagrams[i];
		const struct mdfh_flow *flow = &flows[d->flow];
		int stray = d->flags & MDFH_CONFORMANCE_STRAY;
		struct mdfh_address to;

		if (stray && !place->stray)
			continue;
		mdfh_address_parse(
		    stray ? place->stray : flow->group, stray ? stray_port : flow->port, &to);
		if (sendto(fd[d->flags & MDFH_CONFORMANCE_FOREIGN ? 1 : 0], d->data, d->length, 0,
			&to.any, to.length) < 0 &&
		    errno != ECONNREFUSED) {
			rc = mdfh_error_errno(-errno, "conformance: send of %u bytes", d->length);
			break;
		}
	}
out:
	close(fd[0]);
	if (fd[1] >= 0)
		close(fd[1]);
	return rc;
}

static int open_live(void *context, const struct mdfh_bypass_config *wanted, int with,
    const struct mdfh_conformance_datagram *datagrams, int n, struct mdfh_bypass **port)
{
	struct feed *feed = context;
	const struct place *place = &places[feed->medium];
	struct mdfh_flow flows[MDFH_CONFORMANCE_FLOWS];
	struct mdfh_bypass_config config = *wanted, upper;
	uint16_t numbers[PORTS];
	int rc;

	*port = NULL;
	rc = find_ports(place->source, numbers);
	if (rc)
		return rc;
	for (int i = 0; i < MDFH_CONFORMANCE_FLOWS; i++)
		flows[i] = (struct mdfh_flow){.group = place->flows[i],
		    .source = with & MDFH_CONFORMANCE_WITH_SOURCES ? place->source : NULL,
		    /* The second has the address of the first, and the third its port. */
		    .port = numbers[i == 1]};
	if (feed->medium == MDFH_CONFORMANCE_UDP6) /* only one address, so a third port */
		flows[2].port = numbers[2];
	config.backend = feed->backend;
	config.interface = feed->interface;
	config.backend_options = feed->options;
	config.flows = flows;
	config.flow_count = MDFH_CONFORMANCE_FLOWS;
	if (!strcmp(feed->backend, "fault")) {
		upper = *wanted;
		upper.backend = "fault";
		upper.lower = &config;
		config.backend = "socket";
		rc = mdfh_bypass_open(&upper, port);
	} else {
		rc = mdfh_bypass_open(&config, port);
	}
	if (rc || !n)
		return rc;
	rc = send_all(feed, flows, numbers[2], datagrams, n);
	if (rc) {
		mdfh_bypass_close(*port);
		*port = NULL;
	}
	return rc;
}

/* A capture file ------------------------------------------------------- */

enum { FIXED_PORT = 26477 };

/* The flows of a medium whose port numbers are ours to choose. */
static void fixed_flows(const struct feed *feed, int with, struct mdfh_flow *flows)
{
	const struct place *place = &places[feed->medium];

	for (int i = 0; i < MDFH_CONFORMANCE_FLOWS; i++)
		flows[i] = (struct mdfh_flow){.group = place->flows[i],
		    .source = with & MDFH_CONFORMANCE_WITH_SOURCES ? place->source : NULL,
		    .port = (uint16_t)(FIXED_PORT + (i == 1))};
	if (with & MDFH_CONFORMANCE_WITH_VLANS) {
		flows[0].vlan = MDFH_CONFORMANCE_VLAN;
		flows[2].vlan = MDFH_CONFORMANCE_VLAN + 2;
	}
	for (int i = 0; i < MDFH_CONFORMANCE_FLOWS && with & MDFH_CONFORMANCE_WITH_HOST; i++) {
		flows[i].group = feed->host;
		flows[i].port = (uint16_t)(FIXED_PORT + i);
	}
}

/* The frame of a datagram: its own, or one made in room. */
static const uint8_t *frame_of(const struct place *place, const struct mdfh_flow *flows,
    const struct mdfh_conformance_datagram *d, uint8_t *room, uint32_t *length)
{
	int stray = d->flags & MDFH_CONFORMANCE_STRAY;
	const struct conformance_frame frame = {
	    .source = d->flags & MDFH_CONFORMANCE_FOREIGN ? place->foreign : place->source,
	    .destination = stray ? place->stray : flows[d->flow].group,
	    .port = flows[d->flow].port,
	    .vlan = {flows[d->flow].vlan},
	    .payload = d->data,
	    .length = d->length,
	};

	if (d->frame) {
		*length = d->frame_length;
		return d->frame;
	}
	*length = mdfh_conformance_frame_put(room, &frame);
	return room;
}

static int write_capture(const struct feed *feed, const struct mdfh_flow *flows,
    const struct mdfh_conformance_datagram *datagrams, int n)
{
	/* Nanosecond pcap, version 2.4, snap length 262144, Ethernet; in this machine's order, which
	 * a reader must find out. */
	const uint32_t head[6] = {0xa1b23c4d, 2 | 4u << 16, 0, 0, 262144, 1};
	const struct place *place = &places[feed->medium];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (ftruncate(feed->file, 0) || lseek(feed->file, 0, SEEK_SET) ||
	    write(feed->file, head, sizeof(head)) != (ssize_t)sizeof(head))
		return mdfh_error_errno(-errno, "conformance: writing a capture");
	for (int i = 0; i < n; i++) {
		const struct mdfh_conformance_datagram *d = &datagrams[i];
		uint8_t room[CONFORMANCE_HEADERS_MAX + 65535];
		uint32_t size;
		const uint8_t *frame = frame_of(place, flows, d, room, &size);
		/* A nanosecond apart; not through the second's end. */
		uint32_t record[4] = {(uint32_t)now.tv_sec, (uint32_t)i, size, size};

		if (write(feed->file, record, sizeof(record)) != (ssize_t)sizeof(record) ||
		    write(feed->file, frame, size) != (ssize_t)size)
			return mdfh_error_errno(-errno, "conformance: writing a capture");
	}
	return 0;
}

static int open_file(void *context, const struct mdfh_bypass_config *wanted, int with,
    const struct mdfh_conformance_datagram *datagrams, int n, struct mdfh_bypass **port)
{
	struct feed *feed = context;
	struct mdfh_flow flows[MDFH_CONFORMANCE_FLOWS];
	struct mdfh_bypass_config config = *wanted;
	char path[64];
	int rc;

	*port = NULL;
	fixed_flows(feed, with, flows);
	rc = write_capture(feed, flows, datagrams, n);
	if (rc)
		return rc;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", feed->file);
	config.backend = feed->backend;
	config.backend_options = feed->options;
	config.file = path;
	config.flows = flows;
	config.flow_count = MDFH_CONFORMANCE_FLOWS;
	return mdfh_bypass_open(&config, port);
}

/* Frames on a wire ----------------------------------------------------- */

static int open_frames(void *context, const struct mdfh_bypass_config *wanted, int with,
    const struct mdfh_conformance_datagram *datagrams, int n, struct mdfh_bypass **port)
{
	struct feed *feed = context;
	const struct place *place = &places[feed->medium];
	struct mdfh_flow flows[MDFH_CONFORMANCE_FLOWS];
	struct mdfh_bypass_config config = *wanted;
	int rc;

	*port = NULL;
	fixed_flows(feed, with, flows);
	config.backend = feed->backend;
	config.backend_options = feed->options;
	config.interface = feed->interface;
	config.flows = flows;
	config.flow_count = MDFH_CONFORMANCE_FLOWS;
	rc = mdfh_bypass_open(&config, port);
	for (int i = 0; i < n && !rc; i++) {
		uint8_t room[CONFORMANCE_HEADERS_MAX + LENGTH_MAX];
		uint32_t size;
		const uint8_t *frame = frame_of(place, flows, &datagrams[i], room, &size);

		if (send(feed->wire, frame, size, 0) < 0)
			rc = mdfh_error_errno(-errno, "conformance: a frame of %u bytes", size);
	}
	if (rc) {
		mdfh_bypass_close(*port);
		*port = NULL;
	}
	return rc;
}

/* The backend's own packets --------------------------------------------- */

static int open_none(void *context, const struct mdfh_bypass_config *wanted, int with,
    const struct mdfh_conformance_datagram *datagrams, int n, struct mdfh_bypass **port)
{
	struct feed *feed = context;
	struct mdfh_bypass_config config = *wanted;

	(void)with;
	(void)datagrams;
	(void)n;
	config.backend = feed->backend;
	config.backend_options = feed->options;
	return mdfh_bypass_open(&config, port);
}

/* A stream --------------------------------------------------------------- */

static int open_stream(void *context, const struct mdfh_bypass_config *wanted, int with,
    const struct mdfh_conformance_datagram *datagrams, int n, struct mdfh_bypass **port)
{
	struct feed *feed = context;
	struct mdfh_bypass_config config = *wanted, upper;

	(void)with;
	(void)datagrams;
	(void)n;
	config.backend = feed->backend;
	config.interface = feed->interface;
	config.backend_options = feed->options;
	config.transport = MDFH_TRANSPORT_TCP;
	config.host = feed->server.address;
	config.port = feed->server.port;
	if (strcmp(feed->backend, "fault") != 0)
		return mdfh_bypass_open(&config, port);
	upper = *wanted;
	upper.backend = "fault";
	upper.lower = &config;
	config.backend = "socket";
	return mdfh_bypass_open(&upper, port);
}

/* The feed -------------------------------------------------------------- */

static enum mdfh_conformance_medium default_medium(const char *backend)
{
	if (!strcmp(backend, "pcap"))
		return MDFH_CONFORMANCE_FILE;
	return strcmp(backend, "null") != 0 ? MDFH_CONFORMANCE_UDP4 : MDFH_CONFORMANCE_NONE;
}

static int is_loopback(const char *interface)
{
	struct ifreq request = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	rc = fd >= 0 && !ioctl(fd, SIOCGIFFLAGS, &request) && request.ifr_flags & IFF_LOOPBACK;
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Whom frames to a host are sent to. A wire without a device of the kernel's has any host that one likes. */
static void find_host(struct feed *feed)
{
	int is_v6 = feed->medium == MDFH_CONFORMANCE_FRAMES6;
	const char *on = feed->interface;

	if (on && (if_nametoindex(on) || strstr(on, ",iface="))) {
		if (!mdfh_conformance_host(
			on, is_v6, feed->host, sizeof(feed->host), feed->base.host_mac))
			return;
	} else {
		snprintf(feed->host, sizeof(feed->host), "%s", is_v6 ? "fd77::2" : "10.77.0.2");
		memset(feed->base.host_mac, 0xff, sizeof(feed->base.host_mac));
	}
	feed->base.host = feed->host;
}

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

void mdfh_conformance_feed_close(struct mdfh_conformance_feed *base)
{
	struct feed *feed = (struct feed *)base;

	if (!feed)
		return;
	if (feed->file >= 0)
		close(feed->file);
	if (feed->wire >= 0)
		close(feed->wire);
	mdfh_server_close(&feed->server);
	free(feed->backend);
	free(feed->interface);
	free(feed->options);
	free(feed);
}

int mdfh_conformance_feed_open(
    const struct mdfh_conformance_config *config, struct mdfh_conformance_feed **result)
{
	enum mdfh_conformance_medium medium;
	const char *backend;
	struct feed *feed;
	int rc, is_stream, is_frames;

	*result = NULL;
	if (!config || config->size != sizeof(*config))
		return mdfh_error(-EINVAL, "conformance: size is %zu; it must be %zu",
		    config ? config->size : 0, sizeof(*config));
	backend = config->backend ? config->backend : "socket";
	medium = config->medium ? config->medium : default_medium(backend);
	is_stream = medium == MDFH_CONFORMANCE_TCP4 || medium == MDFH_CONFORMANCE_TCP6;
	is_frames = medium == MDFH_CONFORMANCE_FRAMES4 || medium == MDFH_CONFORMANCE_FRAMES6;
	if (medium > MDFH_CONFORMANCE_FRAMES6)
		return mdfh_error(-EINVAL, "conformance: medium is %u; it must be from 0 to %d",
		    (unsigned)medium, MDFH_CONFORMANCE_FRAMES6);
	if ((medium == MDFH_CONFORMANCE_MULTICAST4 || medium == MDFH_CONFORMANCE_MULTICAST6) &&
	    !config->interface)
		return mdfh_error(
		    -EINVAL, "conformance: multicast needs an interface to send on; name one");

	if (is_frames && (!config->interface || !config->peer))
		return mdfh_error(-EINVAL,
		    "conformance: frames need two devices, one that they are written to (peer) and "
		    "one that they come to (interface): `ip link add mdfh0 type veth peer name "
		    "mdfh1`");
	if (is_frames && (!mdfh_conformance_is_virtual(config->interface) ||
			     !mdfh_conformance_is_virtual(config->peer)))
		return mdfh_error(-EINVAL,
		    "conformance: interface is %s and peer %s; they must be veth, tap or dummy "
		    "devices "
		    "(or a virtual one of DPDK), because the suite's packets must not leave this "
		    "machine",
		    config->interface, config->peer);
	if (!is_frames && config->interface && !is_loopback(config->interface))
		return mdfh_error(-EINVAL,
		    "conformance: interface is %s; it must be a loopback device, because the "
		    "suite's "
		    "packets must not leave this machine",
		    config->interface);

	feed = calloc(1, sizeof(*feed));
	if (!feed)
		return mdfh_error(-ENOMEM, "conformance: %zu bytes", sizeof(*feed));
	feed->medium = medium;
	feed->file = feed->wire = -1;
	mdfh_server_init(&feed->server);
	feed->backend = copy(backend);
	feed->interface = copy(config->interface);
	feed->options = copy(config->backend_options);
	if (!feed->backend || (config->interface && !feed->interface) ||
	    (config->backend_options && !feed->options)) {
		rc = mdfh_error(-ENOMEM, "conformance: names");
		goto fail;
	}
	feed->base = (struct mdfh_conformance_feed){
	    .size = sizeof(feed->base),
	    .name = places[medium].name,
	    .context = feed,
	    .feeds = !is_stream && medium != MDFH_CONFORMANCE_NONE,
	    .sources = places[medium].foreign != NULL,
	    .loops = !is_stream && medium < MDFH_CONFORMANCE_FILE,
	    .server = is_stream ? &feed->server.base : NULL,
	    .foreign = places[medium].foreign,
	    .alias = places[medium].alias,
	    .open = is_frames                         ? open_frames
		    : is_stream                       ? open_stream
		    : medium == MDFH_CONFORMANCE_NONE ? open_none
		    : medium == MDFH_CONFORMANCE_FILE ? open_file
						      : open_live,
	};
	if (is_frames || medium == MDFH_CONFORMANCE_FILE) {
		fixed_flows(feed, MDFH_CONFORMANCE_WITH_SOURCES, feed->flows);
		feed->base.flows = feed->flows;
		find_host(feed);
	}
	if (is_frames) {
		feed->wire = mdfh_conformance_frames_open(config->peer);
		if (feed->wire < 0) {
			rc = feed->wire;
			goto fail;
		}
	}
	if (is_stream) {
		rc = mdfh_server_open(&feed->server, places[medium].flows[0]);
		if (rc)
			goto fail;
	}
	if (medium == MDFH_CONFORMANCE_FILE) {
		feed->file = memfd_create("mdfh-conformance", MFD_CLOEXEC);
		if (feed->file < 0) {
			rc = mdfh_error_errno(-errno, "conformance: memfd_create");
			goto fail;
		}
	}
	*result = &feed->base;
	return 0;

fail:
	mdfh_conformance_feed_close(&feed->base);
	return rc;
}
