/* verbs_send.c - sending: payloads are copied into memory that the device knows, a chain for each call,
 * of which the last is reported when it has left.
 *
 * A datagram port sends to the groups of its flows, with the flow's port as the immediate data; a raw one
 * sends frames. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "core/lines.h"
#include "mdfh/error.h"
#include "modules/verbs.h"

enum {
	SOURCE_PORT = 20000,
	IPV6_MORE = 20, /* bytes of header than IPv4 has */
};

/* Open ---------------------------------------------------------------------------------------- */

static int make_headers(struct verbs_port *v, const struct mdfh_bypass_config *config,
    const struct verbs_options *options)
{
	for (uint32_t i = 0; i < config->flow_count; i++) {
		const struct mdfh_flow *flow = &config->flows[i];
		struct mdfh_frame_header *header = &v->headers[i];
		struct mdfh_address own;
		char text[INET6_ADDRSTRLEN];
		int rc;

		if (!flow->group)
			continue; /* nowhere to send to; send counts it as failed */
		rc = mdfh_frame_address(flow->group, header->destination);
		if (rc)
			return rc;
		rc = verbs_interface_address(
		    v, options, mdfh_frame_is_ipv4(header->destination) ? AF_INET : AF_INET6, &own);
		if (rc)
			return rc;
		mdfh_address_text(&own, text, sizeof(text));
		rc = mdfh_frame_address(text, header->source);
		if (rc)
			return rc;
		header->source_port = SOURCE_PORT;
		header->destination_port = flow->port;
		header->vlan[0] = flow->vlan;
		header->vlan_count = flow->vlan != 0;
		header->hop_limit = (uint8_t)config->multicast_ttl;
		memcpy(header->source_mac, v->mac, 6);
	}
	return 0;
}

/* The groups have been joined, so the way to them is known. */
static int make_handles(struct verbs_port *v, const struct mdfh_bypass_config *config)
{
	for (uint32_t i = 0; i < v->group_count; i++) {
		struct verbs_group *group = &v->groups[i];

		group->route.grh.hop_limit = (uint8_t)config->multicast_ttl;
		group->ah = ibv_create_ah(v->pd, &group->route);
		if (!group->ah)
			return mdfh_error_errno(-errno, "verbs: the way to group %s", group->text);
	}
	return 0;
}

int verbs_send_open(struct verbs_port *v, const struct mdfh_bypass_config *config,
    const struct verbs_options *options)
{
	struct mdfh_region_config region = {
	    .size = sizeof(region), .hugepages = config->hugepages, .touch = MDFH_ON};
	uint32_t headers = v->is_raw ? MDFH_FRAME_BUILD_HEADERS_MAX : 0;
	int rc;

	v->send_stride =
	    (v->payload_max + headers + MDFH_CACHE_LINE - 1) & ~(uint32_t)(MDFH_CACHE_LINE - 1);
	region.bytes = (size_t)VERBS_SEND_SLOTS * v->send_stride;
	rc = mdfh_region_map(&region, &v->send_region);
	if (rc)
		return rc;
	v->send_mr = ibv_reg_mr(v->pd, v->send_region.base, v->send_region.bytes, 0);
	if (!v->send_mr)
		return mdfh_error_errno(
		    -errno, "verbs: registering %zu bytes to send from", v->send_region.bytes);
	v->send_orders = mdfh_lines_alloc(VERBS_SEND_SLOTS, sizeof(*v->send_orders));
	v->send_places = mdfh_lines_alloc(VERBS_SEND_SLOTS, sizeof(*v->send_places));
	if (!v->send_orders || !v->send_places)
		return mdfh_error(
		    -ENOMEM, "verbs: bookkeeping of %d packets to send", VERBS_SEND_SLOTS);
	for (uint32_t i = 0; i < VERBS_SEND_SLOTS; i++) {
		v->send_places[i] = (struct ibv_sge){
		    .addr = (uintptr_t)v->send_region.base + (size_t)i * v->send_stride,
		    .lkey = v->send_mr->lkey,
		};
		v->send_orders[i] = (struct ibv_send_wr){
		    .sg_list = &v->send_places[i],
		    .num_sge = 1,
		    .opcode = !v->is_raw && v->is_port_carried ? IBV_WR_SEND_WITH_IMM : IBV_WR_SEND,
		};
	}
	v->send_free = VERBS_SEND_SLOTS;
	return v->is_raw ? make_headers(v, config, options) : make_handles(v, config);
}

void verbs_send_close(struct verbs_port *v)
{
	for (uint32_t i = 0; i < v->group_count; i++) {
		if (v->groups[i].ah)
			ibv_destroy_ah(v->groups[i].ah);
		if (v->groups[i].left_ah)
			ibv_destroy_ah(v->groups[i].left_ah);
	}
	if (v->send_mr)
		ibv_dereg_mr(v->send_mr);
	if (v->send_region.base)
		mdfh_region_unmap(&v->send_region);
	free(v->send_orders);
	free(v->send_places);
}

/* Send ---------------------------------------------------------------------------------------- */

/* Slots of chains that have left are free again. */
static void reclaim(struct verbs_port *v)
{
	struct ibv_wc wc[16];
	int n;

	do {
		n = ibv_poll_cq(v->send_cq, 16, wc);
		for (int i = 0; i < n; i++) {
			v->send_free += (uint32_t)wc[i].wr_id;
			if (wc[i].status == IBV_WC_SUCCESS)
				continue;
			v->send_failures[verbs_status(wc[i].status)]++;
			v->is_dead = 1;
		}
	} while (n == 16);
	if (v->send_free > VERBS_SEND_SLOTS)
		v->send_free = VERBS_SEND_SLOTS;
}

/* A packet into the slot: its length there, negative if it cannot be sent. */
static int fill(struct verbs_port *v, const struct mdfh_packet *packet, uint32_t slot)
{
	uint8_t *to = (uint8_t *)v->send_region.base + (size_t)slot * v->send_stride;
	struct ibv_send_wr *order = &v->send_orders[slot];
	struct verbs_group *group;

	if (packet->flow >= v->flow_count || packet->length > v->payload_max)
		return -EINVAL;
	if (v->is_raw) {
		struct mdfh_frame_header *header = &v->headers[packet->flow];

		if (!mdfh_frame_is_ipv4(header->destination) &&
		    packet->length > v->payload_max - IPV6_MORE)
			return -EINVAL;

		header->identification++;
		return mdfh_frame_build(header, packet->data, packet->length, to, v->send_stride);
	}
	group = v->send_groups[packet->flow];
	order->wr.ud.ah = group->ah;
	order->wr.ud.remote_qpn = group->remote_qpn;
	order->wr.ud.remote_qkey = group->qkey;
	order->imm_data = htonl(v->ports[packet->flow]);
	memcpy(to, packet->data, packet->length);
	return (int)packet->length;
}

/* Give the device `count` slots from `first` on. How many it took. */
static int post(struct verbs_port *v, uint32_t first, int count)
{
	struct ibv_send_wr *refused = NULL;
	struct ibv_send_wr *last =
	    &v->send_orders[(first + (uint32_t)count - 1) % VERBS_SEND_SLOTS];
	int taken = 0;

	last->next = NULL;
	last->send_flags = IBV_SEND_SIGNALED;
	last->wr_id = v->send_silent + (uint32_t)count;
	if (!ibv_post_send(v->qp, &v->send_orders[first], &refused)) {
		v->send_silent = 0;
		return count;
	}
	/* Those before the refused one are on their way, and none of them reports: their slots come
	 * back with the next chain's. */
	while (taken < count &&
	       &v->send_orders[(first + (uint32_t)taken) % VERBS_SEND_SLOTS] != refused)
		taken++;
	v->post_failures++;
	if (!refused)
		return 0;
	v->send_silent += (uint32_t)taken;
	return taken;
}

int verbs_send(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	struct verbs_port *v = (struct verbs_port *)port;
	uint32_t first = v->send_at;
	uint64_t bytes = 0;
	int built = 0, sent = 0;

	reclaim(v);
	if (v->is_dead)
		return mdfh_error(
		    -EIO, "verbs: the queue pair on %s has failed; open the port anew", v->device);
	while (built < n && (uint32_t)built < v->send_free) {
		uint32_t slot = (first + (uint32_t)built) % VERBS_SEND_SLOTS;
		struct ibv_send_wr *order = &v->send_orders[slot];
		int length = fill(v, &packets[built], slot);

		if (length < 0)
			break;
		v->send_places[slot].length = (uint32_t)length;
		order->send_flags = 0;
		order->wr_id = 0;
		order->next = &v->send_orders[(slot + 1) % VERBS_SEND_SLOTS];
		built++;
	}
	if (!built && v->send_free) {
		port->stats.tx_failed += (uint64_t)n;
		return mdfh_error(-EINVAL,
		    "verbs: a packet of %u bytes to flow %u cannot be sent; the flow needs a "
		    "group, "
		    "and %u bytes are the most",
		    packets[0].length, packets[0].flow, v->payload_max);
	}
	if (built)
		sent = post(v, first, built);
	for (int i = 0; i < sent; i++)
		bytes += packets[i].length;
	v->send_at = (first + (uint32_t)sent) % VERBS_SEND_SLOTS;
	v->send_free -= (uint32_t)sent;
	port->stats.tx_packets += (uint64_t)sent;
	port->stats.tx_bytes += bytes;
	port->stats.tx_failed += (uint64_t)(n - sent);
	return sent;
}
