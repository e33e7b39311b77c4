/* xdp_setup.c - how a port of backend xdp is opened, closed and counted: the socket, its memory and
 * rings, and what the kernel granted. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/sockios.h>

#include "core/lines.h"
#include "mdfh/error.h"
#include "mdfh/frame.h"
#include "modules/xdp.h"

#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69 /* Linux 5.11 */
#define SO_BUSY_POLL_BUDGET 70
#endif

enum {
	BUDGET_DEFAULT = 64,
	COMPLETIONS = 64, /* nothing is sent; the kernel wants the ring */
	BIND_TRIES = 1000,
	RING_MIN = 512, /* there is no queue behind the ring: a smaller one loses every burst */
};

/* Options ------------------------------------------------------------------------------------- */

struct options {
	struct xdp_attach_config attach;
	char pinned[200];
	uint64_t socket_fd; /* UINT64_MAX = none */
	uint64_t budget;
	uint64_t parts; /* ports that share the memory of packets */
};

static int read_choice(
    const char *text, const char *key, const char *first, const char *second, int *choice)
{
	char value[32];

	if (!mdfh_option_get(text, key, value, sizeof(value)))
		return 0;
	*choice = !strcmp(value, first) ? 1 : !strcmp(value, second) ? 2 : 0;
	return *choice ? 0
		       : mdfh_error(-EINVAL, "xdp: %s is '%s'; it must be %s or %s", key, value,
			     first, second);
}

static int read_options(const char *text, struct options *options)
{
	static const char *const known[] = {
	    "mode", "attach", "pinned", "socket_fd", "busy_poll_budget", "shared_umem", NULL};
	int mode = 0, way = 0;
	int rc = mdfh_option_known(text, "xdp", known);

	*options = (struct options){.socket_fd = UINT64_MAX, .budget = BUDGET_DEFAULT, .parts = 1};
	if (!rc)
		rc = read_choice(text, "mode", "native", "generic", &mode);
	if (!rc)
		rc = read_choice(text, "attach", "link", "dispatcher", &way);
	if (!rc)
		rc = mdfh_option_number(text, "socket_fd", 0, INT32_MAX, &options->socket_fd);
	if (!rc)
		rc = mdfh_option_number(text, "busy_poll_budget", 1, 65535, &options->budget);
	if (!rc)
		rc = mdfh_option_number(text, "shared_umem", 1, XDP_QUEUES_MAX, &options->parts);
	if (rc)
		return rc;
	if (mdfh_option_get(text, "pinned", options->pinned, sizeof(options->pinned))) {
		if (options->pinned[0] != '/')
			return mdfh_error(-EINVAL,
			    "xdp: pinned is '%s'; it must be the absolute path of a folder of a "
			    "BPF "
			    "file system",
			    options->pinned);
		if (mode || way)
			return mdfh_error(-EINVAL, "xdp: pinned is set, so the program is attached "
						   "already; leave mode and "
						   "attach out");
		options->attach.pinned = options->pinned;
	}
	options->attach.mode = mode == 1 ? XDP_NATIVE : mode == 2 ? XDP_GENERIC : XDP_ANY_MODE;
	options->attach.way = way == 1 ? XDP_LINK : way == 2 ? XDP_DISPATCHER : XDP_ANY_WAY;
	return 0;
}

/* Receive queues of the device, 0 = it does not say. */
static uint32_t count_queues(const char *device)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq request = {.ifr_data = (void *)&channels};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return 0;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
	rc = ioctl(fd, SIOCETHTOOL, &request);
	close(fd);
	return rc ? 0 : channels.rx_count + channels.combined_count;
}

static int check(const struct mdfh_bypass_config *config)
{
	const uint32_t longest = XDP_CHUNK - XDP_KERNEL_HEADROOM - XDP_HEADERS_MAX;
	uint32_t queues;

	if (!config->interface)
		return mdfh_error(
		    -EINVAL, "xdp: interface is not set; name the device that the packets come to");
	if (strlen(config->interface) >= IFNAMSIZ)
		return mdfh_error(-EINVAL,
		    "xdp: interface is '%.80s'; no device has so long a name", config->interface);
	if (config->transport == MDFH_TRANSPORT_TCP)
		return mdfh_error(-ENOTSUP, "xdp: transport is TCP; xdp has UDP only");
	if (config->direction == MDFH_DIRECTION_SEND)
		return mdfh_error(
		    -ENOTSUP, "xdp: direction is send; xdp only receives: send through socket");
	if (!config->flow_count)
		return mdfh_error(-EINVAL,
		    "xdp: there are no flows; name the groups (or addresses) and ports to receive");
	if (config->frame_size > longest)
		return mdfh_error(-EINVAL,
		    "xdp: frame_size is %u; a packet's buffer is a page, so it can be %u at most",
		    config->frame_size, longest);
	queues = count_queues(config->interface);
	if (config->queue >= XDP_QUEUES_MAX || (queues && config->queue >= queues))
		return mdfh_error(-EINVAL,
		    "xdp: queue is %u; %s has %u, counted from 0 (`ethtool -l %s`)", config->queue,
		    config->interface, queues ? queues : XDP_QUEUES_MAX, config->interface);
	return 0;
}

static int compile_filters(struct xdp_port *x, const struct mdfh_bypass_config *config)
{
	int rc = mdfh_flow_table_compile(&x->flows, config->flows, config->flow_count);

	for (uint32_t i = 0; i < config->flow_count && !rc; i++) {
		const struct mdfh_flow *flow = &config->flows[i];
		struct xdp_filter *filter = &x->filters[x->filter_count++];

		filter->queue = config->queue;
		if (flow->group) {
			filter->kind |= XDP_KIND_DESTINATION;
			rc = mdfh_frame_address(flow->group, filter->destination);
		}
		if (flow->source && !rc) {
			filter->kind |= XDP_KIND_SOURCE;
			rc = mdfh_frame_address(flow->source, filter->source);
		}
		if (flow->port) {
			filter->kind |= XDP_KIND_PORT;
			filter->port = htons(flow->port);
		}
		if (flow->vlan) {
			filter->kind |= XDP_KIND_VLAN;
			filter->vlan = flow->vlan;
		}
	}
	return rc;
}

/* Memory -------------------------------------------------------------------------------------- */

static int map_chunks(
    struct xdp_port *x, const struct mdfh_bypass_config *config, const struct options *options)
{
	x->hold_max = config->hold_max ? config->hold_max : config->rx_ring_size;
	x->ring_size = config->rx_ring_size < RING_MIN ? RING_MIN : config->rx_ring_size;
	x->reserve = x->hold_max + config->batch_size;
	return mdfh_xdp_memory_take(x, config, (uint32_t)options->parts);
}

/* Where packets stay in the NIC's buffers, there is room for copies of as many as may be held. */
static int map_copies(struct xdp_port *x, const struct mdfh_bypass_config *config)
{
	return mdfh_pool_map(
	    &x->copies, "xdp", x->hold_max + config->batch_size, x->frame_size, config);
}

/* The socket and its rings -------------------------------------------------------------------- */

static int socket_refused(int error)
{
	if (error == -EAFNOSUPPORT)
		return mdfh_error(-ENOTSUP, "xdp: this kernel has no AF_XDP sockets "
					    "(CONFIG_XDP_SOCKETS); Linux 5.4 or later "
					    "with it is needed");
	mdfh_error_errno(error, "xdp: a socket");
	if (error == -EPERM)
		return mdfh_error(error,
		    "%s; it needs CAP_NET_RAW, or one that was made for it (option socket_fd)",
		    mdfh_error_text());
	return error;
}

int mdfh_xdp_probe(void)
{
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return socket_refused(-errno);
	close(fd);
	return 0;
}

static int open_socket(struct xdp_port *x, const struct options *options)
{
	if (options->socket_fd != UINT64_MAX) {
		x->fd = fcntl((int)options->socket_fd, F_DUPFD_CLOEXEC, 0);
		return x->fd < 0
			   ? mdfh_error_errno(-errno, "xdp: socket_fd %d", (int)options->socket_fd)
			   : 0;
	}
	x->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	return x->fd < 0 ? socket_refused(-errno) : 0;
}

static int set_ring(const struct xdp_port *x, int option, const char *what, uint32_t entries)
{
	if (setsockopt(x->fd, SOL_XDP, option, &entries, sizeof(entries)))
		return mdfh_error_errno(-errno, "xdp: a %s ring of %u packets", what, entries);
	return 0;
}

static int map_ring(const struct xdp_port *x, const struct xdp_ring_offset *offset,
    uint32_t entries, size_t entry_bytes, off_t page, struct xdp_ring_map *map)
{
	void *base;

	map->bytes = offset->desc + entries * entry_bytes;
	base =
	    mmap(NULL, map->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, x->fd, page);
	if (base == MAP_FAILED)
		return mdfh_error_errno(-errno, "xdp: mapping a ring of %u packets", entries);
	map->base = base;
	return 0;
}

/* The memory becomes the kernel's, too, unless another port has given it already. */
static int register_memory(const struct xdp_port *x)
{
	const struct xdp_umem_reg umem = {.addr = (uintptr_t)x->chunks.base,
	    .len = x->chunks.region.bytes,
	    .chunk_size = XDP_CHUNK};
	int rc;

	if (!setsockopt(x->fd, SOL_XDP, XDP_UMEM_REG, &umem, sizeof(umem)))
		return 0;
	rc = mdfh_error_errno(
	    -errno, "xdp: giving the kernel %zu bytes of packet memory", x->chunks.region.bytes);
	return rc == -ENOBUFS ? mdfh_error(rc,
				    "%s; raise the limit of locked memory (`ulimit -l`), or "
				    "make rx_ring_size smaller",
				    mdfh_error_text())
			      : rc;
}

/* The fill ring has room for every chunk of the port, and one more. */
static int make_rings(struct xdp_port *x, uint32_t entries)
{
	uint32_t fill_entries = entries;
	struct xdp_mmap_offsets offsets;
	socklen_t length = sizeof(offsets);
	uint8_t *base;
	int rc;

	while (fill_entries <= x->ring_size + x->reserve)
		fill_entries *= 2;
	rc = set_ring(x, XDP_UMEM_FILL_RING, "fill", fill_entries);
	if (!rc)
		rc = set_ring(x, XDP_UMEM_COMPLETION_RING, "completion", COMPLETIONS);
	if (!rc)
		rc = set_ring(x, XDP_RX_RING, "receive", entries);
	if (rc)
		return rc;
	if (getsockopt(x->fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &length) ||
	    length != sizeof(offsets))
		return mdfh_error(-ENOTSUP, "xdp: this kernel lays rings out as none since Linux "
					    "5.4 does; use a later one");
	rc = map_ring(
	    x, &offsets.rx, entries, sizeof(struct xdp_desc), XDP_PGOFF_RX_RING, &x->rx_map);
	if (!rc)
		rc = map_ring(x, &offsets.fr, fill_entries, sizeof(uint64_t),
		    XDP_UMEM_PGOFF_FILL_RING, &x->fill_map);
	if (rc)
		return rc;
	base = x->rx_map.base;
	x->rx = (struct xsk_ring_cons){.mask = entries - 1,
	    .size = entries,
	    .producer = (void *)(base + offsets.rx.producer),
	    .consumer = (void *)(base + offsets.rx.consumer),
	    .flags = (void *)(base + offsets.rx.flags),
	    .ring = base + offsets.rx.desc};
	base = x->fill_map.base;
	x->fill = (struct xsk_ring_prod){.mask = fill_entries - 1,
	    .size = fill_entries,
	    .cached_cons = fill_entries,
	    .producer = (void *)(base + offsets.fr.producer),
	    .consumer = (void *)(base + offsets.fr.consumer),
	    .flags = (void *)(base + offsets.fr.flags),
	    .ring = base + offsets.fr.desc};
	return 0;
}

/* The kernel lets go of a queue some time after its socket has been closed: on a busy machine it takes
 * more than 100 ms. */
static int bind_patiently(int fd, const struct sockaddr_xdp *address)
{
	const struct timespec nap = {.tv_nsec = 2000000};

	for (int tries = 0; bind(fd, (const struct sockaddr *)address, sizeof(*address)); tries++) {
		if (errno != EBUSY || tries == BIND_TRIES)
			return -errno;
		nanosleep(&nap, NULL);
	}
	return 0;
}

static int bind_to_queue(struct xdp_port *x, const struct mdfh_bypass_config *config)
{
	struct sockaddr_xdp address = {.sxdp_family = AF_XDP,
	    .sxdp_flags = XDP_USE_NEED_WAKEUP,
	    .sxdp_ifindex = x->index,
	    .sxdp_queue_id = x->queue};
	struct xdp_options granted = {0};
	socklen_t length = sizeof(granted);
	int shared = mdfh_xdp_memory_socket(x);
	int rc;

	if (shared >= 0) { /* whose flags hold for all */
		address.sxdp_flags = XDP_SHARED_UMEM;
		address.sxdp_shared_umem_fd = (uint32_t)shared;
	} else if (config->require_zero_copy == MDFH_ON) {
		address.sxdp_flags |= XDP_ZEROCOPY;
	} else if (config->enable_zero_copy == MDFH_OFF) {
		address.sxdp_flags |= XDP_COPY;
	}
	rc = bind_patiently(x->fd, &address);
	if (rc) {
		if (config->require_zero_copy == MDFH_ON && (rc == -EOPNOTSUPP || rc == -EINVAL))
			return mdfh_error(-ENOTSUP,
			    "xdp: require_zero_copy is on, and the driver of %s has no AF_XDP "
			    "zero-copy in %s mode; leave it out to have packets copied by the "
			    "kernel",
			    x->device, mdfh_xdp_attached_as(x->interface));
		mdfh_error_errno(rc, "xdp: queue %u of %s", x->queue, x->device);
		return rc == -EBUSY ? mdfh_error(rc,
					  "%s; another AF_XDP socket has it: end that program, or "
					  "take another queue",
					  mdfh_error_text())
				    : rc;
	}
	if (!getsockopt(x->fd, SOL_XDP, XDP_OPTIONS, &granted, &length))
		x->zero_copy = (granted.flags & XDP_OPTIONS_ZEROCOPY) != 0;
	if (config->require_zero_copy == MDFH_ON && !x->zero_copy)
		return mdfh_error(-ENOTSUP,
		    "xdp: require_zero_copy is on, and the port of %s that shared_umem shares the "
		    "memory with is not zero-copy; give all of them the same switch",
		    x->device);
	x->is_bound = 1;
	return 0;
}

static int set_busy_poll(
    struct xdp_port *x, const struct mdfh_bypass_config *config, uint64_t budget)
{
	const int on = 1, us = (int)config->busy_poll_us, packets = (int)budget;

	if (!us)
		return 0;
	if (setsockopt(x->fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &on, sizeof(on)) ||
	    setsockopt(x->fd, SOL_SOCKET, SO_BUSY_POLL, &us, sizeof(us)) ||
	    setsockopt(x->fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, &packets, sizeof(packets)))
		return mdfh_error_errno(-errno,
		    "xdp: preferred busy polling of %d us and %d packets (it needs Linux "
		    "5.11 and CAP_NET_ADMIN)",
		    us, packets);
	x->is_polled = 1;
	return 0;
}

/* Open and close ------------------------------------------------------------------------------ */

static void unmap_ring(struct xdp_ring_map *map)
{
	if (map->base)
		munmap(map->base, map->bytes);
}

/* One at a time opens and closes: a port that shares memory needs a socket of another to be there. */
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

static void close_port(struct xdp_port *x)
{
	if (x->has_queue)
		mdfh_xdp_give_queue_back(x);
	mdfh_membership_close(&x->membership);
	unmap_ring(&x->rx_map);
	unmap_ring(&x->fill_map);
	if (x->fd >= 0)
		close(x->fd);
	mdfh_xdp_detach(x->interface);
	mdfh_xdp_memory_give_back(x);
	mdfh_pool_unmap(&x->copies);
	free(x);
}

void mdfh_xdp_close(struct mdfh_bypass *port)
{
	pthread_mutex_lock(&opening);
	close_port((struct xdp_port *)port);
	pthread_mutex_unlock(&opening);
}

static void report(struct xdp_port *x, const struct mdfh_bypass_config *config, uint64_t parts)
{
	uint32_t queues = count_queues(x->device);

	snprintf(x->mode, sizeof(x->mode), "%s, %s, queue %u%s%s",
	    mdfh_xdp_attached_as(x->interface), x->zero_copy ? "zero-copy" : "copy", x->queue,
	    x->is_polled ? ", busy polling" : "", parts > 1 ? ", shared memory" : "");
	x->base.capabilities = (struct mdfh_bypass_capabilities){
	    .size = sizeof(x->base.capabilities),
	    .zero_copy = x->zero_copy,
	    .copy_reason = x->zero_copy ? "" : "kernel",
	    .mode = x->mode,
	    .filters = MDFH_PLACE_KERNEL,
	    .timestamps = x->stamps       ? MDFH_PLACE_HARDWARE
			  : x->time_flags ? MDFH_PLACE_SOFTWARE
					  : MDFH_PLACE_NONE,
	    .queues = queues ? queues : 1,
	    .hold_max = x->hold_max,
	    .frame_size = config->frame_size,
	    .poll_fd = x->fd,
	    .numa_node = x->chunks.region.node,
	    .hugepages = x->chunks.region.reserved_hugepages,
	    .warning = "",
	};
}

/* The NIC's times: the NIC stamps every packet, and a program of our own, in the driver, asks for them. */
static int start_stamps(struct xdp_port *x, const struct xdp_attach_config *attach)
{
	int fd, rc;

	if (attach->pinned || attach->way == XDP_DISPATCHER || attach->mode == XDP_GENERIC)
		return mdfh_error(-EINVAL,
		    "xdp: timestamps are to be the NIC's, for which this process attaches a "
		    "program "
		    "to the driver; leave pinned, attach=dispatcher and mode=generic out");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return mdfh_error_errno(-errno, "xdp: a socket");
	rc = mdfh_hardware_stamps_start(fd, "xdp", x->device);
	close(fd);
	x->stamps = !rc;
	return rc;
}

/* The network namespace of the calling thread; 0 = not to be seen. */
static uint64_t network_here(void)
{
	struct stat at;

	return stat("/proc/thread-self/ns/net", &at) ? 0 : at.st_ino;
}

static int find_interface(struct xdp_port *x)
{
	x->network = network_here();
	x->index = if_nametoindex(x->device);
	return x->index ? 0
			: mdfh_error_errno(-errno,
			      "xdp: interface %s; `ip link` lists those that there are", x->device);
}

static int open_port(struct xdp_port *x, const struct mdfh_bypass_config *config)
{
	struct options options;
	int rc = read_options(config->backend_options, &options);

	if (!rc && config->timestamps == MDFH_TIMESTAMPS_HARDWARE)
		rc = start_stamps(x, &options.attach);
	if (!rc)
		rc = compile_filters(x, config);
	if (!rc)
		rc = find_interface(x);
	if (!rc)
		rc = map_chunks(x, config, &options);
	if (!rc)
		rc = open_socket(x, &options);
	if (!rc && mdfh_xdp_memory_socket(x) < 0)
		rc = register_memory(x);
	if (!rc)
		rc = make_rings(x, x->ring_size);
	if (rc)
		return rc;
	options.attach.device = x->device;
	options.attach.index = x->index;
	options.attach.network = x->network;
	options.attach.stamps = x->stamps;
	rc = mdfh_xdp_attach(&options.attach, &x->interface);
	if (!rc)
		rc = mdfh_xdp_take_queue(x);
	if (rc)
		return rc;
	while (x->chunks.free_count > x->reserve)
		mdfh_xdp_give(x, mdfh_pool_take(&x->chunks));
	mdfh_xdp_publish(x);
	rc = bind_to_queue(x, config);
	if (!rc)
		rc = set_busy_poll(x, config, options.budget);
	if (!rc && x->zero_copy)
		rc = map_copies(x, config);
	if (!rc)
		rc = mdfh_membership_open(&x->membership, "xdp", config);
	if (!rc)
		rc = mdfh_xdp_begin(x);
	if (!rc)
		report(x, config, options.parts);
	return rc;
}

int mdfh_xdp_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port)
{
	struct xdp_port *x;
	int rc = check(config);

	*port = NULL;
	if (rc)
		return rc;
	x = mdfh_lines_alloc(1, sizeof(*x));
	if (!x)
		return mdfh_error(-ENOMEM, "xdp: %zu bytes", sizeof(*x));
	x->fd = -1;
	x->queue = config->queue;
	x->batch_size = config->batch_size;
	x->frame_size = config->frame_size;
	x->threshold = config->zero_copy_threshold;
	x->trailer.kind = config->trailer;
	x->time_flags = config->timestamps != MDFH_TIMESTAMPS_OFF ? mdfh_app_time_flags() : 0;
	snprintf(x->device, sizeof(x->device), "%s", config->interface);
	pthread_mutex_lock(&opening);
	rc = open_port(x, config);
	if (rc)
		close_port(x);
	else
		*port = &x->base;
	pthread_mutex_unlock(&opening);
	return rc;
}

/* Counters ------------------------------------------------------------------------------------ */

/* The bytes of it that this kernel filled in: older ones have the first three counters only. */
static int read_statistics(const struct xdp_port *x, struct xdp_statistics *statistics)
{
	socklen_t length = sizeof(*statistics);

	memset(statistics, 0, sizeof(*statistics));
	if (getsockopt(x->fd, SOL_XDP, XDP_STATISTICS, statistics, &length))
		return mdfh_error_errno(
		    -errno, "xdp: counters of queue %u of %s", x->queue, x->device);
	return (int)length;
}

/* The socket is one of the device that there was at open, whatever that is called now, and whatever
 * has its name. */
static int look_for_trouble(struct xdp_port *x)
{
	char name[IFNAMSIZ];

	if (network_here() != x->network) /* this thread sees other interfaces */
		return 0;
	if (if_indextoname(x->index, name))
		return mdfh_interface_trouble(name, x->warning, sizeof(x->warning));
	if (errno != ENXIO)
		return 0;
	snprintf(x->warning, sizeof(x->warning),
	    "interface %s was removed: nothing arrives any more, even if there is one of that "
	    "name; open the port anew",
	    x->device);
	return 1;
}

int mdfh_xdp_stats(struct mdfh_bypass *port)
{
	struct xdp_port *x = (struct xdp_port *)port;
	struct xdp_statistics statistics;
	int length = read_statistics(x, &statistics);

	if (length < 0)
		return length;
	/* What found no chunk to go to or no room in the receive ring. A kernel that does not tell them
	 * apart counts both as the first. */
	port->stats.rx_dropped_socket = statistics.rx_dropped + statistics.rx_ring_full;
	port->stats.known_drops = 4;
	if (x->time_flags)
		x->time_flags = mdfh_app_time_flags();
	port->capabilities.warning = look_for_trouble(x) ? x->warning : "";
	return 0;
}

/* One more of those that there are, written down where there is room. */
static void count(
    struct mdfh_bypass_counter *counters, int max, int *n, const char *name, uint64_t value)
{
	if (*n < max) {
		snprintf(counters[*n].name, sizeof(counters[*n].name), "%s", name);
		counters[*n].value = value;
	}
	(*n)++;
}

int mdfh_xdp_counters(struct mdfh_bypass *port, struct mdfh_bypass_counter *counters, int max)
{
	static const char *const verdicts[XDP_VERDICTS] = {
	    [XDP_VERDICT_TAKEN] = "taken",
	    [XDP_VERDICT_NO_FLOW] = "passed: of no flow",
	    [XDP_VERDICT_NOT_UDP] = "passed: not UDP",
	    [XDP_VERDICT_FRAGMENT] = "passed: fragment",
	    [XDP_VERDICT_BROKEN] = "passed: broken header",
	    [XDP_VERDICT_NO_PORT] = "passed: no port on the queue",
	};
	struct xdp_port *x = (struct xdp_port *)port;
	struct xdp_statistics statistics;
	int length = read_statistics(x, &statistics);
	int n = 0;

	if (length < 0)
		return length;
	const struct {
		const char *name;
		const __u64 *value;
	} own[] = {
	    {"rx_dropped", &statistics.rx_dropped},
	    {"rx_invalid_descs", &statistics.rx_invalid_descs},
	    {"rx_ring_full", &statistics.rx_ring_full},
	    {"rx_fill_ring_empty_descs", &statistics.rx_fill_ring_empty_descs},
	};
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if ((const char *)(own[i].value + 1) - (const char *)&statistics <= length)
			count(counters, max, &n, own[i].name, *own[i].value);
	count(counters, max, &n, "bad descriptors", x->bad_descriptors);
	for (int i = 0; i < XDP_VERDICTS; i++)
		count(counters, max, &n, verdicts[i],
		    mdfh_xdp_verdicts(x->interface, (enum xdp_verdict)i));
	return n;
}
