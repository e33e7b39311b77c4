/* dpdk_setup.c - how a port of backend dpdk is opened and closed. */
#include "modules/dpdk.h"

#include <errno.h>
#include <rte_eal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lines.h"
#include "mdfh/error.h"

enum {
	FRAME_SIZE_MAX = UINT16_MAX - RTE_PKTMBUF_HEADROOM - DPDK_HEADERS_MAX,
	SOURCE_PORT = 20000,
};

/* Options ------------------------------------------------------------------------------------- */

static int read_address(
    const char *text, const char *key, int is_ipv4, uint8_t address[16], int *has)
{
	char word[64];

	*has = mdfh_option_get(text, key, word, sizeof(word));
	if (!*has ||
	    (!mdfh_frame_address(word, address) && mdfh_frame_is_ipv4(address) == is_ipv4 &&
		!mdfh_frame_is_multicast(address)))
		return 0;
	return mdfh_error(-EINVAL,
	    "dpdk: %s is '%s'; it must be a numeric IPv%d address of this host", key, word,
	    is_ipv4 ? 4 : 6);
}

int dpdk_options_read(const char *text, struct dpdk_options *options)
{
	static const char *const keys[] = {"eal", "memory_mb", "queues", "filters", "address",
	    "address6", "next_hop_mac", "membership", NULL};
	static const char *const filters[] = {"auto", "software", "hardware", NULL};
	static const char *const switches[] = {"off", "on", NULL};
	int where = DPDK_FILTERS_AUTO;
	char word[32];
	int rc = mdfh_option_known(text, "dpdk", keys);

	*options = (struct dpdk_options){.membership = 1};
	if (!rc)
		rc = mdfh_option_number(text, "memory_mb", 16, 1 << 20, &options->memory_mb);
	if (!rc)
		rc = mdfh_option_number(text, "queues", 1, DPDK_QUEUES_MAX, &options->queues);
	if (!rc)
		rc = mdfh_option_word(text, "dpdk", "filters", filters, &where);
	if (!rc)
		rc = mdfh_option_word(text, "dpdk", "membership", switches, &options->membership);
	if (!rc)
		rc = read_address(text, "address", 1, options->address, &options->has_address);
	if (!rc)
		rc = read_address(text, "address6", 0, options->address6, &options->has_address6);
	if (rc)
		return rc;
	options->filters = (enum dpdk_filters)where;
	(void)mdfh_option_get(text, "eal", options->eal, sizeof(options->eal));
	options->has_next_hop = mdfh_option_get(text, "next_hop_mac", word, sizeof(word));
	if (options->has_next_hop && rte_ether_unformat_addr(word, &options->next_hop))
		return mdfh_error(
		    -EINVAL, "dpdk: next_hop_mac is '%s'; it must be like 02:00:00:00:00:02", word);
	return 0;
}

/* Open ---------------------------------------------------------------------------------------- */

static int check(const struct mdfh_bypass_config *config)
{
	if (!config->interface)
		return mdfh_error(-EINVAL,
		    "dpdk: interface is not set; give a PCI address like 0000:01:00.0, or a device "
		    "of software like net_memif0,role=client");
	if (config->transport == MDFH_TRANSPORT_TCP)
		return mdfh_error(
		    -ENOTSUP, "dpdk: transport is TCP; DPDK has no TCP, so use backend socket");
	if (config->queue >= DPDK_QUEUES_MAX)
		return mdfh_error(-EINVAL, "dpdk: queue is %u; it must be from 0 to %d",
		    (unsigned)config->queue, DPDK_QUEUES_MAX - 1);
	if (config->frame_size > FRAME_SIZE_MAX)
		return mdfh_error(-EINVAL,
		    "dpdk: frame_size is %u; a packet of DPDK's has room for at most %d",
		    config->frame_size, FRAME_SIZE_MAX);
	if (config->busy_poll_us)
		return mdfh_error(-ENOTSUP,
		    "dpdk: busy_poll_us is %u; there is no socket to poll: set it to 0",
		    config->busy_poll_us);
	/* One unicast flow may leave its port to the kernel, elsewhere. */
	if (config->flow_count && !config->flows[0].port)
		return mdfh_error(-EINVAL,
		    "dpdk: flows[0] has port 0; there is no kernel that would choose a free one");
	return 0;
}

void dpdk_own_address(const struct dpdk_port *port, const struct dpdk_options *options, int is_ipv4,
    uint8_t address[16])
{
	static const uint8_t none[16] = {[10] = 0xff, [11] = 0xff};
	const uint8_t *mac = port->device->mac.addr_bytes;
	const uint8_t local[16] = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff,
	    0xfe, mac[3], mac[4], mac[5]};

	if (is_ipv4)
		memcpy(address, options->has_address ? options->address : none, 16);
	else
		memcpy(address, options->has_address6 ? options->address6 : local, 16);
}

/* What goes before the payload of a packet to a flow. */
static int make_headers(struct dpdk_port *port, const struct mdfh_bypass_config *config,
    const struct dpdk_options *options)
{
	for (uint32_t i = 0; i < config->flow_count; i++) {
		const struct mdfh_flow *flow = &config->flows[i];
		struct mdfh_frame_header *header = &port->headers[i];
		int rc;

		if (!flow->group)
			continue; /* nowhere to send to; send counts it as failed */
		rc = mdfh_frame_address(flow->group, header->destination);
		if (rc)
			return rc;
		dpdk_own_address(
		    port, options, mdfh_frame_is_ipv4(header->destination), header->source);
		header->source_port = SOURCE_PORT;
		header->destination_port = flow->port;
		header->vlan[0] = flow->vlan;
		header->vlan_count = flow->vlan != 0;
		header->hop_limit = (uint8_t)config->multicast_ttl;
		memcpy(header->source_mac, port->device->mac.addr_bytes, 6);
		if (options->has_next_hop && !mdfh_frame_is_multicast(header->destination))
			memcpy(header->destination_mac, options->next_hop.addr_bytes, 6);
	}
	port->headers_count = config->flow_count;
	port->payload_max = port->frame_size;
	return 0;
}

static int take_slots(struct dpdk_port *port, const struct mdfh_bypass_config *config)
{
	/* A batch more than may be held, for copies: a caller at the limit still receives. */
	port->slot_count = port->hold_max + config->batch_size;
	port->free = mdfh_lines_alloc(port->slot_count, sizeof(*port->free));
	port->slots = mdfh_lines_alloc(port->slot_count, sizeof(char *));
	if (!port->free || !port->slots)
		return mdfh_error(-ENOMEM, "dpdk: bookkeeping of %u packets", port->slot_count);
	for (uint32_t i = 0; i < port->slot_count; i++)
		port->free[i] = port->slot_count - 1 - i;
	port->free_count = port->slot_count;
	return 0;
}

/* Whether packets can be handed out where the device put them, or why not. */
static int settle_copying(struct dpdk_port *port, const struct mdfh_bypass_config *config)
{
	const struct dpdk_device *device = port->device;

	if (device->is_virtual && !device->is_pointers)
		snprintf(port->copy_reason, sizeof(port->copy_reason), "driver %s",
		    device->info.driver_name);
	else if (config->enable_zero_copy == MDFH_OFF)
		snprintf(port->copy_reason, sizeof(port->copy_reason), "enable_zero_copy is off");
	port->is_in_place = !*port->copy_reason;
	port->threshold = port->is_in_place ? config->zero_copy_threshold : 0;
	/* Switched off where the device could: every packet is copied, so its buffer goes back. */
	if (!port->is_in_place && (!device->is_virtual || device->is_pointers))
		port->threshold = UINT32_MAX;
	if (config->require_zero_copy == MDFH_ON && !port->is_in_place)
		return mdfh_error(-ENOTSUP, "dpdk: require_zero_copy is on, and %s copies (%s)",
		    device->text, port->copy_reason);
	return 0;
}

static void settle_filters_warning(struct dpdk_port *port, int rc)
{
	if (port->device->queues > 1 && rc)
		snprintf(port->setup_warning, sizeof(port->setup_warning),
		    "%s refuses rules, so its packets are spread over %u queues by the device "
		    "alone: give the port of every queue all flows",
		    port->device->info.driver_name, (unsigned)port->device->queues);
}

/* Rules where they make a difference: the device keeps others away, or has several queues. */
static int settle_filters(struct dpdk_port *port, const struct mdfh_bypass_config *config,
    const struct dpdk_options *options)
{
	struct dpdk_device *device = port->device;
	int rc;

	if (options->filters == DPDK_FILTERS_SOFTWARE ||
	    (!device->is_isolated && device->queues == 1))
		return 0;
	rc = dpdk_rules_make(port, config);
	if (rc && options->filters != DPDK_FILTERS_HARDWARE && !device->is_isolated) {
		settle_filters_warning(port, rc);
		return 0;
	}
	return rc;
}

static void fill_capabilities(struct dpdk_port *port, const struct mdfh_bypass_config *config)
{
	const struct dpdk_device *device = port->device;

	snprintf(port->mode, sizeof(port->mode), "%s, %s, queue %u of %u, ring %u, %s%s",
	    device->info.driver_name, rte_eal_has_hugepages() ? "hugepages" : "no hugepages",
	    (unsigned)port->queue, (unsigned)device->queues, (unsigned)device->rx_descriptors,
	    port->receives ? device->multicast : "sending",
	    port->rules_count ? ", rte_flow rules" : "");
	snprintf(port->warning, sizeof(port->warning), "%s", port->setup_warning);
	port->base.capabilities = (struct mdfh_bypass_capabilities){
	    .size = sizeof(port->base.capabilities),
	    .zero_copy = port->is_in_place,
	    .copy_reason = port->copy_reason,
	    .mode = port->mode,
	    .filters = device->is_isolated && port->rules_count ? MDFH_PLACE_HARDWARE
								: MDFH_PLACE_SOFTWARE,
	    .timestamps = port->has_device_stamps ? MDFH_PLACE_HARDWARE
			  : port->time_flags      ? MDFH_PLACE_SOFTWARE
						  : MDFH_PLACE_NONE,
	    .can_send = config->direction != MDFH_DIRECTION_RECEIVE,
	    .queues = device->queues,
	    .hold_max = port->hold_max,
	    .frame_size = config->frame_size,
	    .poll_fd = -1,
	    .numa_node = rte_eal_has_hugepages() ? rte_eth_dev_socket_id(device->id) : -1,
	    .hugepages = rte_eal_has_hugepages(),
	    .warning = port->warning,
	};
	/* What a device of software drops is dropped by its other side, which alone knows. */
	if (!device->is_virtual || !strcmp(device->info.driver_name, "net_af_xdp"))
		port->base.stats.known_drops = 1;
}

/* A device that isolates itself and then refuses the rules is taken anew, with all its packets. */
static int join(struct dpdk_port *port, const struct mdfh_bypass_config *config,
    const struct dpdk_options *options, struct dpdk_shape *shape)
{
	int rc = dpdk_device_join(port, config, options, shape);

	if (rc || !port->receives)
		return rc;
	rc = settle_filters(port, config, options);
	if (!rc || options->filters == DPDK_FILTERS_HARDWARE || !port->device->is_isolated)
		return rc;
	if (port->device->taken & (port->device->taken - 1))
		return rc; /* other ports rely on it as it is */
	dpdk_device_leave(port);
	shape->isolates = 0;
	return dpdk_device_join(port, config, options, shape);
}

static int open_locked(struct dpdk_port *port, const struct mdfh_bypass_config *config,
    const struct dpdk_options *options)
{
	struct dpdk_shape shape = {
	    .rx_ring_size = config->rx_ring_size,
	    .frame_size = config->frame_size,
	    .hold_max = port->hold_max,
	    .batch_size = config->batch_size,
	    .filters = options->filters,
	    .timestamps = config->timestamps,
	    /* Without flows everything is wanted. */
	    .isolates =
		port->receives && options->filters != DPDK_FILTERS_SOFTWARE && config->flow_count,
	};
	uint64_t queues = options->queues ? options->queues : config->queue + 1u;
	uint64_t memory = dpdk_memory_bytes(&shape) * queues;
	int rc = dpdk_eal_start(options, config->hugepages, memory);

	dpdk_quiet(1);
	if (!rc)
		rc = join(port, config, options, &shape);
	if (!rc)
		rc = settle_copying(port, config);
	if (!rc)
		rc = dpdk_clock_open(port, config);
	if (!rc && port->receives)
		rc = dpdk_groups_join(port, config);
	if (!rc)
		rc = dpdk_membership_open(port, config, options);
	if (!rc)
		port->looks = port->speaks || port->device->is_caller || port->has_device_stamps;
	if (!rc)
		rc = make_headers(port, config, options);
	if (!rc)
		fill_capabilities(port, config);
	return rc;
}

/* What rules cannot say: everything, and packets behind the header that a switch has put the time
 * into. */
static int settle_place(const struct mdfh_bypass_config *config, struct dpdk_options *options)
{
	const int is_hardware = options->filters == DPDK_FILTERS_HARDWARE;

	if (is_hardware && !config->flow_count && config->direction != MDFH_DIRECTION_SEND)
		return mdfh_error(-EINVAL,
		    "dpdk: filters is hardware, and there are no flows that a device could tell "
		    "from others; name them, or use filters=auto");
	if (config->trailer != MDFH_TRAILER_ARISTA_7280)
		return 0;
	if (is_hardware)
		return mdfh_error(-ENOTSUP, "dpdk: filters is hardware and trailer is that of "
					    "Arista's 7280, behind which a "
					    "device's rules find no packets; use filters=auto");
	options->filters = DPDK_FILTERS_SOFTWARE;
	return 0;
}

int dpdk_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port)
{
	struct dpdk_options options;
	struct dpdk_port *p;
	int rc = check(config);

	if (!rc)
		rc = dpdk_options_read(config->backend_options, &options);
	if (!rc)
		rc = settle_place(config, &options);
	if (rc)
		return rc;
	p = mdfh_lines_alloc(1, sizeof(*p));
	if (!p)
		return mdfh_error(-ENOMEM, "dpdk: %zu bytes", sizeof(*p));
	p->receives = config->direction != MDFH_DIRECTION_SEND;
	p->frame_size = config->frame_size;
	p->hold_max = config->hold_max ? config->hold_max : config->rx_ring_size;
	/* Drivers with vector code take packets by fours and eights. */
	p->burst = (uint16_t)((config->batch_size + 31) & ~31u);
	p->trailer.kind = config->trailer;
	rc = mdfh_flow_table_compile(&p->flows, config->flows, config->flow_count);
	if (!rc)
		rc = take_slots(p, config);
	if (!rc) {
		dpdk_lock();
		rc = open_locked(p, config, &options);
		dpdk_quiet(0);
		dpdk_unlock();
	}
	if (rc) {
		dpdk_close(&p->base);
		return rc;
	}
	*port = &p->base;
	return 0;
}

/* Works on a port in any state of being opened. */
void dpdk_close(struct mdfh_bypass *port)
{
	struct dpdk_port *p = (struct dpdk_port *)port;

	for (uint32_t i = 0; p->slots && i < p->slot_count; i++)
		if (p->slots[i])
			rte_pktmbuf_free(
			    (struct rte_mbuf *)(void *)(p->slots[i] - ((uintptr_t)p->slots[i] &
									  DPDK_SLOT_PLAIN)));
	while (p->pending_at < p->pending_count)
		rte_pktmbuf_free(p->pending[p->pending_at++]);
	dpdk_lock();
	if (p->device) {
		dpdk_membership_leave(p);
		dpdk_rules_remove(p);
	}
	dpdk_quiet(1);
	dpdk_device_leave(p);
	dpdk_quiet(0);
	dpdk_unlock();
	free(p->free);
	free((void *)p->slots);
	free(p);
}
