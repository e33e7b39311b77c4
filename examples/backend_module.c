/* backend_module.c - a backend as a module: IPv4 UDP, a system call for each packet. It is small
 * instead of fast, and passes `mdfh conformance`.
 *
 *   cc -shared -fPIC -o mdfh_plain.so backend_module.c $(pkg-config --cflags mdfh)
 *   mdfh conformance "$PWD/mdfh_plain.so" */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mdfh/backend.h>

static const struct mdfh_backend_host *host;

struct plain_flow {
	int fd;
	uint16_t port;         /* bound to */
	struct in_addr source; /* 0 = any */
};

struct plain_port {
	struct mdfh_bypass base; /* first, so a port pointer is a plain_port pointer */
	struct mdfh_region frames;
	uint32_t frame_size, frame_count, free_count, flow_count;
	uint32_t next; /* flow whose turn it is */
	int with_times;
	uint32_t *free; /* stack of free frames */
	uint8_t *held;  /* by frame: handed out and not yet released */
	struct plain_flow flows[MDFH_BYPASS_FLOWS_MAX];
};

/* Setup --------------------------------------------------------------- */

/* What this backend cannot do it says before anything is opened. */
static int check(const struct mdfh_bypass_config *config)
{
	uint32_t hold_max = config->rx_ring_size - config->batch_size;

	if (config->transport == MDFH_TRANSPORT_TCP)
		return host->error(-ENOTSUP, "plain: transport is TCP; this backend has only UDP");
	if (config->direction == MDFH_DIRECTION_SEND)
		return host->error(-ENOTSUP, "plain: direction is send; this backend cannot send");
	if (config->require_zero_copy == MDFH_ON)
		return host->error(
		    -ENOTSUP, "plain: require_zero_copy is on, and the kernel copies");
	if (config->timestamps > MDFH_TIMESTAMPS_OFF)
		return host->error(
		    -ENOTSUP, "plain: timestamps is %u; use default or off", config->timestamps);
	if (config->hold_max > hold_max)
		return host->error(-EINVAL, "plain: hold_max is %u; at most %u of %u can be held",
		    config->hold_max, hold_max, config->rx_ring_size);
	if (config->backend_options && *config->backend_options)
		return host->error(-EINVAL, "plain: backend_options is '%.100s'; it has none",
		    config->backend_options);
	return 0;
}

static int open_flow(struct plain_flow *flow, const struct mdfh_flow *wanted, uint64_t buffer)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(wanted->port)};
	socklen_t length = sizeof(at);
	int bytes = (int)buffer; /* at most 1 GiB */

	if (wanted->group && inet_pton(AF_INET, wanted->group, &at.sin_addr) != 1)
		return host->error(-ENOTSUP, "plain: %s is not IPv4", wanted->group);
	if (IN_MULTICAST(ntohl(at.sin_addr.s_addr)))
		return host->error(-ENOTSUP, "plain: it joins no groups, as %s is", wanted->group);
	if (wanted->source)
		inet_pton(AF_INET, wanted->source, &flow->source);
	flow->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (flow->fd < 0)
		return host->error_errno(-errno, "plain: socket");
	if (setsockopt(flow->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) ||
	    bind(flow->fd, (struct sockaddr *)&at, sizeof(at)) ||
	    getsockname(flow->fd, (struct sockaddr *)&at, &length))
		return host->error_errno(-errno, "plain: bind to %s port %u",
		    wanted->group ? wanted->group : "any address", wanted->port);
	flow->port = ntohs(at.sin_port);
	return 0;
}

/* Memory on the node of the NIC, in hugepages where there are any. */
static int map_frames(struct plain_port *p, const struct mdfh_bypass_config *config)
{
	struct mdfh_region_config region = {.size = sizeof(region), .hugepages = config->hugepages};
	int rc;

	p->frame_size = config->frame_size;
	p->frame_count = config->rx_ring_size;
	region.bytes = (size_t)p->frame_size * p->frame_count;
	if (config->enable_numa_awareness == MDFH_ON && config->interface)
		region.numa_node = host->interface_node(config->interface) + 1;
	rc = host->region_map(&region, &p->frames);
	if (rc)
		return rc;
	p->free = calloc(p->frame_count, sizeof(*p->free));
	p->held = calloc(p->frame_count, sizeof(*p->held));
	if (!p->free || !p->held)
		return host->error(-ENOMEM, "plain: bookkeeping of %u packets", p->frame_count);
	while (p->free_count < p->frame_count) {
		p->free[p->free_count] = p->free_count;
		p->free_count++;
	}
	return 0;
}

/* Also of a port that was opened in part. */
static void plain_close(struct mdfh_bypass *port)
{
	struct plain_port *p = (struct plain_port *)port;

	for (uint32_t i = 0; i < p->flow_count; i++)
		if (p->flows[i].fd >= 0)
			close(p->flows[i].fd);
	if (p->frames.base)
		host->region_unmap(&p->frames);
	free(p->free);
	free(p->held);
	free(p);
}

static int plain_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port)
{
	struct plain_port *p;
	int rc = check(config);

	if (rc)
		return rc;
	p = calloc(1, sizeof(*p));
	if (!p)
		return host->error(-ENOMEM, "plain: %zu bytes", sizeof(*p));
	p->with_times = config->timestamps != MDFH_TIMESTAMPS_OFF;
	rc = map_frames(p, config);
	for (; !rc && p->flow_count < config->flow_count; p->flow_count++) {
		struct plain_flow *flow = &p->flows[p->flow_count];

		flow->fd = -1;
		rc = open_flow(flow, &config->flows[p->flow_count], config->receive_buffer_bytes);
	}
	if (rc) {
		plain_close(&p->base);
		return rc;
	}
	p->base.capabilities = (struct mdfh_bypass_capabilities){
	    .size = sizeof(p->base.capabilities),
	    .copy_reason = "kernel",
	    .filters = MDFH_PLACE_KERNEL,
	    .timestamps = p->with_times ? MDFH_PLACE_SOFTWARE : MDFH_PLACE_NONE,
	    .queues = 1,
	    .hold_max = config->rx_ring_size - config->batch_size,
	    .frame_size = p->frame_size,
	    .poll_fd = -1,
	    .numa_node = p->frames.node,
	    .hugepages = p->frames.page_bytes >= 2u << 20,
	    .warning = "",
	};
	*port = &p->base;
	return 0;
}

/* Data path: no allocation, no lock, no line of a log ------------------ */

/* One packet of a flow. 1, 0 = there is none, negative. */
static int receive(struct plain_port *p, uint32_t index, struct mdfh_packet *packet)
{
	uint32_t frame = p->free[p->free_count - 1];
	uint8_t *data = (uint8_t *)p->frames.base + (size_t)frame * p->frame_size;
	const struct plain_flow *flow = &p->flows[index];
	struct sockaddr_in from = {0};
	ssize_t n;

	do {
		socklen_t length = sizeof(from);

		/* MSG_TRUNC: the length that was sent, whatever fits. */
		n = recvfrom(
		    flow->fd, data, p->frame_size, MSG_TRUNC, (struct sockaddr *)&from, &length);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR
				   ? 0
				   : host->error_errno(-EIO, "plain: recvfrom of flows[%u]", index);
		if (!flow->source.s_addr || flow->source.s_addr == from.sin_addr.s_addr)
			break;
		p->base.stats.rx_filtered++;
	} while (1);
	*packet = (struct mdfh_packet){.data = data,
	    .length = (uint32_t)n,
	    .cookie = frame,
	    .flow = (uint16_t)index,
	    .time_error_ns = UINT32_MAX};
	if (packet->length > p->frame_size) {
		packet->length = p->frame_size;
		packet->flags = MDFH_PACKET_TRUNCATED;
	}
	p->free_count--;
	p->held[frame] = 1;
	return 1;
}

static int plain_recv(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	struct plain_port *p = (struct plain_port *)port;
	uint64_t now = p->with_times ? host->clock_ns() : 0;
	int got = 0;

	if (!p->free_count)
		port->stats.rx_starved++;
	/* Every flow has its turn, and the batch ends when none has anything. */
	for (uint32_t empty = 0; got < n && empty < p->flow_count && p->free_count;) {
		int rc = receive(p, p->next, &packets[got]);

		if (rc < 0)
			return got ? got : rc;
		p->next = (p->next + 1) % p->flow_count;
		empty = rc ? 0 : empty + 1;
		if (!rc)
			continue;
		packets[got].receive_ns = now;
		packets[got].flags |= now ? MDFH_PACKET_TIME_APP : 0;
		port->stats.rx_truncated += packets[got].flags & MDFH_PACKET_TRUNCATED;
		port->stats.rx_bytes += packets[got++].length;
	}
	port->stats.rx_packets += (uint64_t)got;
	if (got)
		port->stats.rx_batches++;
	else
		port->stats.rx_empty++;
	return got;
}

static void plain_release(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	struct plain_port *p = (struct plain_port *)port;

	for (int i = 0; i < n; i++) {
		uint64_t frame = packets[i].cookie;

		/* A packet that is not held is ignored. */
		if (frame >= p->frame_count || !p->held[frame])
			continue;
		p->held[frame] = 0;
		p->free[p->free_count++] = (uint32_t)frame;
	}
}

static uint16_t plain_local_port(const struct mdfh_bypass *port, uint16_t flow)
{
	const struct plain_port *p = (const struct plain_port *)port;

	return flow < p->flow_count ? p->flows[flow].port : 0;
}

/* What the module exports ---------------------------------------------- */

static int plain_load(const struct mdfh_backend_host *given)
{
	if (given->size < sizeof(*given))
		return given->error(-ENOEXEC, "plain: it needs a newer mdfh");
	host = given;
	return 0;
}

static const struct mdfh_bypass_ops ops = {
    .size = sizeof(ops),
    .name = "plain",
    .description = "UDP, a system call for each packet",
    .open = plain_open,
    .recv = plain_recv,
    .release = plain_release,
    .close = plain_close,
    .local_port = plain_local_port,
};

extern const struct mdfh_backend_module mdfh_backend_module;
MDFH_API const struct mdfh_backend_module mdfh_backend_module = {
    .abi = MDFH_BACKEND_ABI,
    .size = sizeof(mdfh_backend_module),
    .ops = &ops,
    .load = plain_load,
};
