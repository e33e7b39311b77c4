/* dpdk_device.c - devices: found or made from their text, configured once for all of their
 * queues, and given back with the last port.
 *
 * All under the lock: DPDK serialises neither devices coming and going nor their
 * configuration. */
#include "modules/dpdk.h"

#include <errno.h>
#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf_dyn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mdfh/error.h"

enum {
	POOL_CACHE = 256,
	FILL_RING = 2048,
	TX_DESCRIPTORS = 1024,
	TX_PACKETS = 4096,          /* some drivers keep sent ones until the ring comes round */
	MTU_DEFAULT_PAYLOAD = 2048, /* frame_size up to this: the device keeps its MTU */
	MBUF_OVERHEAD = 192,
};

static struct dpdk_device *devices;
/* Those of others that were given back. Their queues have packets of our pools until they are set
 * up anew. */
static struct dpdk_device *given_back;

/* Sizes --------------------------------------------------------------------------------------- */

static uint32_t data_room(uint32_t frame_size)
{
	uint32_t room = RTE_PKTMBUF_HEADROOM + DPDK_HEADERS_MAX + frame_size;

	/* Some drivers have packets of a fixed size. */
	return room < RTE_MBUF_DEFAULT_BUF_SIZE ? RTE_MBUF_DEFAULT_BUF_SIZE : room;
}

/* What the ring holds (net_af_xdp fills one of its own size), what the caller may hold, what recv
 * has in hand, and what the cache of a thread may keep from others. */
static uint32_t rx_packets(const struct dpdk_shape *shape, uint32_t ring)
{
	return (ring > FILL_RING ? ring : FILL_RING) + shape->hold_max + shape->batch_size +
	       DPDK_BURST_MAX + 2 * POOL_CACHE;
}

uint64_t dpdk_memory_bytes(const struct dpdk_shape *shape)
{
	uint64_t packets = (uint64_t)rx_packets(shape, shape->rx_ring_size) + TX_PACKETS;

	/* A tenth for the pools' rings and for what the driver takes. */
	return packets * (data_room(shape->frame_size) + MBUF_OVERHEAD) * 11 / 10 + (16u << 20);
}

/* Finding ------------------------------------------------------------------------------------- */

static struct dpdk_device *find(const char *text)
{
	struct dpdk_device *device = devices;

	while (device && strcmp(device->text, text) != 0)
		device = device->next;
	return device;
}

/* The name of a device's text, which ends at its first comma. */
static void name_of(const char *text, char *name, size_t size)
{
	snprintf(name, size, "%.*s", (int)strcspn(text, ","), text);
}

static int probe(struct dpdk_device *device)
{
	char name[DPDK_DEVICE_TEXT_MAX];
	int rc;

	name_of(device->text, name, sizeof(name));
	for (const struct dpdk_device *other = devices; other; other = other->next) {
		char taken[DPDK_DEVICE_TEXT_MAX];

		name_of(other->text, taken, sizeof(taken));
		if (!strcmp(name, taken))
			return mdfh_error(-EBUSY,
			    "dpdk: interface '%s' is open in this process as '%s'; give every port "
			    "on it the same text",
			    device->text, other->text);
	}
	dpdk_log_clear();
	device->is_foreign = !rte_eth_dev_get_port_by_name(name, &device->id);
	if (device->is_foreign)
		return 0;
	rc = rte_dev_probe(device->text);
	if (rc)
		return dpdk_error(rc == -ENOMEM || rc == -EACCES ? rc : -ENODEV,
		    "dpdk: interface '%s' is no device that DPDK can take; it must be a PCI "
		    "address "
		    "whose device is bound to vfio-pci (dpdk-devbind.py --status), or a device of "
		    "software like net_memif0,role=client",
		    device->text);
	if (!rte_eth_dev_get_port_by_name(name, &device->id))
		return 0;
	/* Drivers of several ports per device name them as they like: the first of them. */
	{
		struct rte_dev_iterator iterator;
		uint16_t id = RTE_MAX_ETHPORTS;

		RTE_ETH_FOREACH_MATCHING_DEV(id, device->text, &iterator)
		{
			device->id = id;
			rte_eth_iterator_cleanup(&iterator);
			return 0;
		}
	}
	return dpdk_error(
	    -ENODEV, "dpdk: interface '%s' is a device without a network port", device->text);
}

static void free_pools(struct dpdk_device *device, int queue)
{
	if (!device->is_one_pool)
		rte_mempool_free(device->tx_pool[queue]);
	rte_mempool_free(device->rx_pool[queue]);
	device->rx_pool[queue] = device->tx_pool[queue] = NULL;
}

static void free_device(struct dpdk_device *device)
{
	for (int i = 0; i < DPDK_QUEUES_MAX; i++)
		free_pools(device, i);
	free(device);
}

static void forget_given_back(uint16_t id)
{
	for (struct dpdk_device **at = &given_back; *at;) {
		struct dpdk_device *device = *at;

		if (device->id == id) {
			*at = device->next;
			free_device(device);
		} else {
			at = &device->next;
		}
	}
}

/* Configuring --------------------------------------------------------------------------------- */

static void flush(struct rte_mempool *pool)
{
	for (unsigned lcore = 0; lcore < RTE_MAX_LCORE; lcore++) {
		struct rte_mempool_cache *cache = rte_mempool_default_cache(pool, lcore);

		if (cache)
			rte_mempool_cache_flush(cache, pool);
	}
}

/* The pools of one that was given back, if they are what is wanted: memory may not hold them
 * twice. What the device still has of them comes back when its queue is set up. */
static int take_over(
    struct dpdk_device *device, uint16_t queue, uint32_t packets, uint16_t room, int node)
{
	for (struct dpdk_device *old = given_back; old; old = old->next) {
		struct rte_mempool *rx = old->rx_pool[queue], *tx = old->tx_pool[queue];

		if (old->id != device->id || old->is_one_pool != device->is_one_pool || !rx ||
		    !tx || rx->size != packets || rte_pktmbuf_data_room_size(rx) != room ||
		    rx->socket_id != node)
			continue;
		flush(rx);
		flush(tx);
		device->rx_pool[queue] = rx;
		device->tx_pool[queue] = tx;
		old->rx_pool[queue] = old->tx_pool[queue] = NULL;
		return 1;
	}
	return 0;
}

static int make_pools(struct dpdk_device *device)
{
	static unsigned made; /* names are of one pool */
	uint64_t ours = 0;    /* bit per queue */
	int node = rte_eal_has_hugepages() ? rte_eth_dev_socket_id(device->id) : SOCKET_ID_ANY;
	uint16_t room = (uint16_t)data_room(device->shape.frame_size);

	for (uint16_t i = 0; i < device->queues; i++) {
		char name[RTE_MEMPOOL_NAMESIZE];
		uint32_t packets = rx_packets(&device->shape, device->rx_descriptors) +
				   (device->is_one_pool ? TX_PACKETS : 0);

		if (take_over(device, i, packets, room, node))
			continue;
		ours |= UINT64_C(1) << i;
		snprintf(name, sizeof(name), "mdfh_rx_%u", made);
		device->rx_pool[i] =
		    rte_pktmbuf_pool_create(name, packets, POOL_CACHE, 0, room, node);
		snprintf(name, sizeof(name), "mdfh_tx_%u", made++);
		if (device->rx_pool[i] && device->is_one_pool)
			device->tx_pool[i] = device->rx_pool[i];
		else if (device->rx_pool[i])
			device->tx_pool[i] =
			    rte_pktmbuf_pool_create(name, TX_PACKETS, POOL_CACHE, 0, room, node);
		if (!device->rx_pool[i] || !device->tx_pool[i]) {
			int rc = dpdk_error(-rte_errno,
			    "dpdk: memory for %u and %u packets of %u bytes; %s, or make "
			    "rx_ring_size, hold_max or frame_size smaller",
			    packets, TX_PACKETS, room,
			    rte_eal_has_hugepages()
				? "reserve more hugepages (sysctl vm.nr_hugepages)"
				: "give more with backend_options memory_mb");

			/* Nothing of these is in the device yet. */
			for (int k = 0; k <= i; k++)
				if (ours >> k & 1)
					free_pools(device, k);
			return rc;
		}
	}
	return 0;
}

/* The copies are made by one thread and freed by another: without a cache, which keeps them. */
static int prepare_hearing(struct dpdk_device *device)
{
	char name[RTE_RING_NAMESIZE];

	if (device->queues == 1)
		return 0;
	snprintf(name, sizeof(name), "mdfh_heard_%u", device->id);
	device->heard_pool = rte_pktmbuf_pool_create(
	    name, DPDK_HEARD_MAX * device->queues, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (!device->heard_pool)
		return dpdk_error(-rte_errno, "dpdk: %s: a pool", device->text);
	for (uint16_t i = 0; i < device->queues; i++) {
		snprintf(name, sizeof(name), "mdfh_heard_%u_%u", device->id, i);
		device->heard[i] = rte_ring_create(
		    name, DPDK_HEARD_MAX, SOCKET_ID_ANY, RING_F_SC_DEQ | RING_F_EXACT_SZ);
		if (!device->heard[i])
			return dpdk_error(-rte_errno, "dpdk: %s: a ring", device->text);
	}
	return 0;
}

static uint64_t wanted_offloads(const struct dpdk_device *device)
{
	uint64_t wanted = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;

	if (device->shape.timestamps == MDFH_TIMESTAMPS_DEFAULT ||
	    device->shape.timestamps == MDFH_TIMESTAMPS_HARDWARE)
		wanted |= RTE_ETH_RX_OFFLOAD_TIMESTAMP;
	return wanted & device->info.rx_offload_capa;
}

static void fill_conf(const struct dpdk_device *device, struct rte_eth_conf *conf)
{
	*conf = (struct rte_eth_conf){
	    .rxmode = {.mq_mode = RTE_ETH_MQ_RX_NONE, .offloads = wanted_offloads(device)},
	};
	if (device->queues > 1 && device->info.flow_type_rss_offloads) {
		conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf->rx_adv_conf.rss_conf.rss_hf =
		    (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP) & device->info.flow_type_rss_offloads;
	}
	if (device->shape.frame_size > MTU_DEFAULT_PAYLOAD) {
		uint32_t mtu = device->shape.frame_size + 40 + 8; /* IPv6 and UDP */

		conf->rxmode.mtu = mtu > device->info.max_mtu ? device->info.max_mtu : mtu;
	}
}

static int configure(struct dpdk_device *device)
{
	struct rte_eth_conf conf;
	int rc;

	fill_conf(device, &conf);
	rc = rte_eth_dev_configure(device->id, device->queues, device->queues, &conf);
	if (rc)
		return dpdk_error(
		    rc, "dpdk: %s does not take %u queues", device->text, (unsigned)device->queues);
	rc = rte_eth_dev_adjust_nb_rx_tx_desc(
	    device->id, &device->rx_descriptors, &device->tx_descriptors);
	if (rc)
		return dpdk_error(rc, "dpdk: %s: descriptors", device->text);
	rc = make_pools(device);
	if (!rc)
		rc = prepare_hearing(device);
	for (uint16_t i = 0; !rc && i < device->queues; i++) {
		unsigned node = (unsigned)rte_eth_dev_socket_id(device->id);

		rc = rte_eth_rx_queue_setup(
		    device->id, i, device->rx_descriptors, node, NULL, device->rx_pool[i]);
		if (rc)
			return dpdk_error(
			    rc, "dpdk: %s: receive queue %u", device->text, (unsigned)i);
		rc = rte_eth_tx_queue_setup(device->id, i, device->tx_descriptors, node, NULL);
		if (rc)
			return dpdk_error(rc, "dpdk: %s: send queue %u", device->text, (unsigned)i);
	}
	if (!rc)
		forget_given_back(device->id);
	return rc;
}

/* Where the driver puts times, if it was asked to. */
static void find_stamps(struct dpdk_device *device)
{
	uint64_t ticks;
	int offset;

	device->stamps = -1;
	if (!(wanted_offloads(device) & RTE_ETH_RX_OFFLOAD_TIMESTAMP) ||
	    rte_eth_read_clock(device->id, &ticks))
		return;
	if (!rte_mbuf_dyn_rx_timestamp_register(&offset, &device->stamp_flag))
		device->stamps = offset;
}

/* Isolation has to be asked for before the device is configured. What the user did not ask for is
 * tried, and what the device refuses is done without. */
static int isolate(struct dpdk_device *device)
{
	struct rte_flow_error why = {0};

	if (!device->shape.isolates)
		return 0;
	device->is_isolated = !rte_flow_isolate(device->id, 1, &why);
	if (!device->is_isolated && device->shape.filters == DPDK_FILTERS_HARDWARE)
		return mdfh_error(-ENOTSUP,
		    "dpdk: filters is hardware, and %s cannot keep other packets away (%s); use "
		    "filters=auto",
		    device->text, why.message ? why.message : "rte_flow_isolate");
	return 0;
}

static int start(struct dpdk_device *device)
{
	int rc = rte_eth_dev_start(device->id);

	if (rc && device->is_caller)
		return 0;
	if (rc)
		return dpdk_error(rc, "dpdk: %s does not start", device->text);
	device->is_started = 1;
	return 0;
}

static void look_at(struct dpdk_device *device)
{
	const struct rte_bus *bus = rte_bus_find_by_device(device->info.device);

	device->is_virtual = bus && !strcmp(rte_bus_name(bus), "vdev");
	device->is_pointers = !strcmp(device->info.driver_name, "net_ring");
	device->is_one_pool = !strcmp(device->info.driver_name, "net_af_xdp");
	/* With one queue nobody else uses the device while it is stopped and started. */
	device->is_caller = !strcmp(device->info.driver_name, "net_memif") &&
			    !strstr(device->text, "role=server") && device->queues == 1;
}

void dpdk_device_call(struct dpdk_device *device)
{
	if (!device->is_caller)
		return;
	if (device->is_started)
		(void)rte_eth_dev_stop(device->id);
	device->is_started = 0;
	(void)start(device);
}

static int bring_up(struct dpdk_device *device)
{
	int rc;

	dpdk_log_clear();
	rc = rte_eth_dev_info_get(device->id, &device->info);

	if (rc)
		return dpdk_error(rc, "dpdk: %s", device->text);
	look_at(device);
	if (device->queues > device->info.max_rx_queues ||
	    device->queues > device->info.max_tx_queues)
		return mdfh_error(-EINVAL,
		    "dpdk: queues is %u; %s has %u to receive and %u to send",
		    (unsigned)device->queues, device->text, (unsigned)device->info.max_rx_queues,
		    (unsigned)device->info.max_tx_queues);
	(void)rte_eth_macaddr_get(device->id, &device->mac);
	rc = isolate(device);
	if (!rc)
		rc = configure(device);
	if (!rc)
		find_stamps(device);
	return rc ? rc : start(device);
}

/* Joining and leaving ------------------------------------------------------------------------- */

/* net_ring keeps its rings, and what is in them, for the next device of its name: packets of pools
 * that are about to go. */
static void drain(const struct dpdk_device *device)
{
	struct rte_mbuf *mbufs[DPDK_BURST_MAX];

	for (uint16_t queue = 0; queue < device->queues; queue++) {
		uint16_t n;

		while ((n = rte_eth_rx_burst(device->id, queue, mbufs, DPDK_BURST_MAX)))
			rte_pktmbuf_free_bulk(mbufs, n);
	}
}

static void free_heard(struct dpdk_device *device)
{
	for (uint16_t i = 0; i < DPDK_QUEUES_MAX && device->heard[i]; i++) {
		void *mbuf;

		while (!rte_ring_dequeue(device->heard[i], &mbuf))
			rte_pktmbuf_free(mbuf);
		rte_ring_free(device->heard[i]);
	}
	rte_mempool_free(device->heard_pool);
	device->heard_pool = NULL;
}

static void destroy(struct dpdk_device *device, int is_known)
{
	struct dpdk_device **at = &devices;

	if (is_known) {
		if (device->is_started && device->is_pointers)
			drain(device);
		/* Of a device of the kernel's these would stay. */
		if (device->is_promiscuous)
			(void)rte_eth_promiscuous_disable(device->id);
		if (device->is_allmulticast)
			(void)rte_eth_allmulticast_disable(device->id);
		if (device->is_started)
			(void)rte_eth_dev_stop(device->id);
		if (device->is_foreign && device->is_isolated)
			(void)rte_flow_isolate(device->id, 0, NULL);
		if (!device->is_foreign && rte_eth_dev_is_valid_port(device->id)) {
			struct rte_device *of;

			if (!device->info.device)
				(void)rte_eth_dev_info_get(device->id, &device->info);
			of = device->info.device;
			(void)rte_eth_dev_close(device->id);
			if (of)
				(void)rte_dev_remove(of);
		}
	}
	free_heard(device);
	while (*at && *at != device)
		at = &(*at)->next;
	if (*at)
		*at = device->next;
	if (is_known && device->is_foreign) {
		device->next = given_back;
		given_back = device;
	} else {
		free_device(device);
	}
}

static int create(
    const char *text, const struct dpdk_shape *shape, uint16_t queues, struct dpdk_device **created)
{
	struct dpdk_device *device = calloc(1, sizeof(*device));
	int rc;

	if (!device)
		return mdfh_error(-ENOMEM, "dpdk: %zu bytes", sizeof(*device));
	snprintf(device->text, sizeof(device->text), "%s", text);
	device->shape = *shape;
	device->queues = queues;
	device->rx_descriptors =
	    (uint16_t)(shape->rx_ring_size > UINT16_MAX ? 32768 : shape->rx_ring_size);
	device->tx_descriptors = TX_DESCRIPTORS;
	device->stamps = -1;
	rc = probe(device);
	if (rc) {
		destroy(device, 0);
		return rc;
	}
	device->next = devices;
	devices = device;
	rc = bring_up(device);
	if (rc) {
		destroy(device, 1);
		return rc;
	}
	*created = device;
	return 0;
}

/* Every port of a device wants of it what the first one got. */
static int agree(const struct dpdk_device *device, const struct dpdk_shape *shape)
{
	const struct dpdk_shape *first = &device->shape;

	if (shape->rx_ring_size == first->rx_ring_size && shape->frame_size == first->frame_size &&
	    shape->hold_max == first->hold_max && shape->batch_size == first->batch_size &&
	    shape->filters == first->filters && shape->timestamps == first->timestamps)
		return 0;
	return mdfh_error(-EBUSY,
	    "dpdk: '%s' is open with rx_ring_size %u, batch_size %u, frame_size %u, hold_max %u; "
	    "ports on other queues of it must have the same, and the same filters and timestamps",
	    device->text, first->rx_ring_size, first->batch_size, first->frame_size,
	    first->hold_max);
}

int dpdk_device_join(struct dpdk_port *port, const struct mdfh_bypass_config *config,
    const struct dpdk_options *options, const struct dpdk_shape *shape)
{
	struct dpdk_device *device = find(config->interface);
	int rc = 0;

	if (device)
		rc = agree(device, shape);
	else
		rc = create(config->interface, shape,
		    (uint16_t)(options->queues ? options->queues : config->queue + 1u), &device);
	if (rc)
		return rc;
	if (config->queue >= device->queues)
		return mdfh_error(-EINVAL,
		    "dpdk: queue is %u, and '%s' was opened with %u; say how many with "
		    "backend_options queues=N on every port",
		    (unsigned)config->queue, device->text, (unsigned)device->queues);
	if (device->taken >> config->queue & 1)
		return mdfh_error(-EBUSY,
		    "dpdk: queue %u of '%s' has a port already; give that one the flows of both",
		    (unsigned)config->queue, device->text);
	device->taken |= UINT64_C(1) << config->queue;
	port->device = device;
	port->device_id = device->id;
	port->queue = config->queue;
	port->rx_pool = device->rx_pool[config->queue];
	port->tx_pool = device->tx_pool[config->queue];
	return 0;
}

void dpdk_device_leave(struct dpdk_port *port)
{
	struct dpdk_device *device = port->device;

	if (!device)
		return;
	port->device = NULL;
	device->taken &= ~(UINT64_C(1) << port->queue);
	if (!device->taken)
		destroy(device, 1);
}

/* Groups -------------------------------------------------------------------------------------- */

/* RFC 1112, 6.4, and RFC 2464, 7. */
static void group_mac(const uint8_t group[16], struct rte_ether_addr *mac)
{
	if (mdfh_frame_is_ipv4(group))
		*mac = (struct rte_ether_addr){
		    {0x01, 0x00, 0x5e, group[13] & 0x7f, group[14], group[15]}};
	else
		*mac = (struct rte_ether_addr){
		    {0x33, 0x33, group[12], group[13], group[14], group[15]}};
}

static void add_group(struct dpdk_device *device, const uint8_t group[16])
{
	struct rte_ether_addr mac;

	group_mac(group, &mac);
	for (uint32_t i = 0; i < device->groups_count; i++)
		if (rte_is_same_ether_addr(&device->groups[i], &mac))
			return;
	if (device->groups_count < RTE_DIM(device->groups))
		device->groups[device->groups_count++] = mac;
}

int dpdk_groups_join(struct dpdk_port *port, const struct mdfh_bypass_config *config)
{
	/* Where routers ask who is there. */
	static const char *const everybody[] = {"224.0.0.1", "ff02::1"};
	struct dpdk_device *device = port->device;
	uint8_t address[16];

	for (uint32_t i = 0; i < config->flow_count; i++) {
		int rc = config->flows[i].group
			     ? mdfh_frame_address(config->flows[i].group, address)
			     : 0;

		if (rc)
			return rc;
		if (config->flows[i].group && mdfh_frame_is_multicast(address))
			add_group(device, address);
	}
	for (size_t i = 0; i < RTE_DIM(everybody); i++)
		if (!mdfh_frame_address(everybody[i], address))
			add_group(device, address);
	device->multicast = "multicast list";
	if (!rte_eth_dev_set_mc_addr_list(device->id, device->groups, device->groups_count))
		return 0;
	device->is_allmulticast = !rte_eth_allmulticast_enable(device->id);
	if (!device->is_allmulticast)
		device->is_promiscuous = !rte_eth_promiscuous_enable(device->id);
	device->multicast = device->is_allmulticast  ? "all multicast"
			    : device->is_promiscuous ? "promiscuous"
						     : "no address filter";
	return 0;
}
