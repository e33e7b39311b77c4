/* dpdk_membership.c - where the kernel does not have the NIC nobody tells switches and routers
 * which groups are wanted: mdfh does, in frames of its own.
 *
 * recv drives it, at most once a millisecond, so that the first report says that somebody
 * receives; stats does, too, for a port that is not polled for a while. Reports wait for the
 * link, which a NIC takes seconds to bring up, and are made anew when it comes back: the switch
 * has forgotten them.
 *
 * A question comes to one queue of the device. Its port hands a copy to the others, so that they
 * answer, too, and in the version that the router speaks. */
#include "modules/dpdk.h"

#include <errno.h>
#include <string.h>

#include "mdfh/clock.h"
#include "mdfh/error.h"

enum { POLL_NS = 1000000, LINK_NS = 50000000 };
/* The driver of net_memif makes and ends connections on a thread of its own, and does not bear a
 * restart meanwhile; nothing says when it is done. */
#define SETTLED_NS 2000000000u
#define REJOIN_NS  60000000000u /* routers forget after 260 s (RFC 3376, 8.4) */

int dpdk_is_link_up(const struct dpdk_port *port)
{
	struct rte_eth_link link = {0};

	return port->device->is_started && (rte_eth_link_get_nowait(port->device_id, &link) ||
					       link.link_status == RTE_ETH_LINK_UP);
}

/* Routers believe only reports that come from an address of the link (RFC 3810, 5.2.13). */
static void choose_address6(struct dpdk_port *port, const struct dpdk_options *options)
{
	static const struct dpdk_options none;
	const uint8_t *address = options->address6;
	int is_local = options->has_address6 && address[0] == 0xfe && (address[1] & 0xc0) == 0x80;

	dpdk_own_address(port, is_local ? options : &none, 0, port->igmp_config.address6);
}

/* Of a queue without a port, or with one that is not polled, the ring keeps the oldest. */
static void forget_heard(struct dpdk_port *port)
{
	struct rte_ring *ring = port->device->heard[port->queue];
	void *mbuf;

	for (int i = 0; ring && i < DPDK_HEARD_MAX && !rte_ring_dequeue(ring, &mbuf); i++)
		rte_pktmbuf_free(mbuf);
}

static int begin(struct dpdk_port *port, uint64_t now_ns)
{
	struct mdfh_flow flows[MDFH_BYPASS_FLOWS_MAX];

	forget_heard(port);
	for (uint32_t i = 0; i < port->flows.count; i++)
		flows[i] = (struct mdfh_flow){.group = *port->groups[i] ? port->groups[i] : NULL,
		    .source = *port->sources[i] ? port->sources[i] : NULL,
		    .port = port->flows.entries[i].port,
		    .vlan = port->flows.entries[i].vlan};
	port->igmp_config.seed = now_ns;
	return mdfh_igmp_init(&port->igmp, &port->igmp_config, flows, port->flows.count, now_ns);
}

int dpdk_membership_open(struct dpdk_port *port, const struct mdfh_bypass_config *config,
    const struct dpdk_options *options)
{
	int rc;

	port->called_ns = mdfh_clock_now_ns();
	if (!port->receives || !options->membership)
		return 0;
	for (uint32_t i = 0; i < config->flow_count; i++) {
		const struct mdfh_flow *flow = &config->flows[i];

		snprintf(
		    port->groups[i], sizeof(port->groups[i]), "%s", flow->group ? flow->group : "");
		snprintf(port->sources[i], sizeof(port->sources[i]), "%s",
		    flow->source ? flow->source : "");
	}
	memcpy(port->igmp_config.mac, port->device->mac.addr_bytes, 6);
	memcpy(port->igmp_config.address, options->address + 12, 4);
	choose_address6(port, options);
	rc = begin(port, mdfh_clock_now_ns());
	port->speaks = !rc && port->igmp.group_count != 0;
	port->leaves = __atomic_load_n(&port->device->leaves, __ATOMIC_RELAXED);
	return rc;
}

void dpdk_membership_hear(
    struct dpdk_port *port, const struct rte_mbuf *mbuf, const struct mdfh_frame *frame)
{
	struct dpdk_device *device = port->device;

	if (!mdfh_igmp_input(&port->igmp, rte_pktmbuf_mtod(mbuf, const uint8_t *), mbuf->data_len,
		frame, port->now_ns))
		return;
	for (uint16_t queue = 0; device->queues > 1 && queue < device->queues; queue++) {
		struct rte_mbuf *copy = NULL;

		if (queue != port->queue && !rte_ring_full(device->heard[queue]))
			copy = rte_pktmbuf_copy(mbuf, device->heard_pool, 0, UINT32_MAX);
		if (copy && rte_ring_enqueue(device->heard[queue], copy))
			rte_pktmbuf_free(copy);
	}
}

/* What the ports of other queues have heard and done. */
static void listen_to_others(struct dpdk_port *port, uint64_t now_ns)
{
	struct dpdk_device *device = port->device;
	uint32_t leaves = __atomic_load_n(&device->leaves, __ATOMIC_ACQUIRE);
	void *heard;

	for (int i = 0; i < DPDK_HEARD_MAX && !rte_ring_dequeue(device->heard[port->queue], &heard);
	     i++) {
		struct rte_mbuf *mbuf = heard;
		const uint8_t *bytes = rte_pktmbuf_mtod(mbuf, const uint8_t *);
		struct mdfh_frame frame;

		(void)mdfh_frame_parse(
		    MDFH_LINK_ETHERNET, bytes, mbuf->data_len, mbuf->pkt_len, &frame);
		(void)mdfh_igmp_input(&port->igmp, bytes, mbuf->data_len, &frame, now_ns);
		rte_pktmbuf_free(mbuf);
	}
	/* One that has left may have had the same groups. Routers ask who else there is, perhaps
	 * where nobody listens any more; and what nobody has heard is said anew before they
	 * forget it. */
	if (leaves == port->leaves && now_ns - port->joined_ns <= REJOIN_NS)
		return;
	port->leaves = leaves;
	port->joined_ns = now_ns;
	mdfh_igmp_renew(&port->igmp, now_ns);
}

static int emit(void *context, const uint8_t *frame, uint32_t length)
{
	struct dpdk_port *port = context;
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(port->tx_pool);

	if (!mbuf)
		return -ENOBUFS;
	memcpy(rte_pktmbuf_mtod(mbuf, uint8_t *), frame, length);
	mbuf->data_len = (uint16_t)length;
	mbuf->pkt_len = length;
	if (rte_eth_tx_burst(port->device_id, port->queue, &mbuf, 1))
		return 0;
	rte_pktmbuf_free(mbuf);
	return -EAGAIN;
}

/* Where the other end did not answer, or has gone. */
static void call(struct dpdk_port *port, uint64_t now_ns)
{
	/* Also over when the clock was set back. */
	if (port->device->is_started && now_ns - port->called_ns < SETTLED_NS)
		return;
	dpdk_device_call(port->device);
	port->called_ns = now_ns;
}

void dpdk_membership_poll(struct dpdk_port *port, uint64_t now_ns)
{
	port->looked_ns = now_ns;
	port->look_every_ns = POLL_NS;
	if (!port->is_linked) {
		port->look_every_ns = LINK_NS;
		if (!dpdk_is_link_up(port))
			call(port, now_ns);
		if (!dpdk_is_link_up(port) || (port->speaks && begin(port, now_ns)))
			return;
		port->is_linked = 1;
		port->joined_ns = now_ns;
	}
	if (!port->speaks)
		return;
	if (port->device->queues > 1)
		listen_to_others(port, now_ns);
	(void)mdfh_igmp_poll(&port->igmp, now_ns, emit, port);
}

void dpdk_membership_look(struct dpdk_port *port)
{
	uint64_t now_ns = mdfh_clock_now_ns();

	if (port->is_linked && !dpdk_is_link_up(port)) {
		port->is_linked = 0;
		port->called_ns = now_ns;
	}
	dpdk_membership_poll(port, now_ns);
}

void dpdk_membership_leave(struct dpdk_port *port)
{
	uint64_t now_ns;

	if (!port->speaks || !port->is_linked)
		return;
	now_ns = mdfh_clock_now_ns();
	mdfh_igmp_leave(&port->igmp, now_ns);
	(void)mdfh_igmp_poll(&port->igmp, now_ns, emit, port);
	__atomic_add_fetch(&port->device->leaves, 1, __ATOMIC_RELEASE);
}
