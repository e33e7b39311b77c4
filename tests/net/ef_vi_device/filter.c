/* filter.c - which frames come to which queue. */
#include "device.h"

#include <string.h>

static uint64_t numbers;

/* Saying what to match ------------------------------------------------------------------------ */

void ef_filter_spec_init(ef_filter_spec *spec, enum ef_filter_flags flags)
{
	*spec = (ef_filter_spec){.flags = (unsigned)flags, .vlan = EF_FILTER_VLAN_ID_ANY};
}

static int set_hosts(ef_filter_spec *spec, int protocol, size_t bytes, const void *host, int port,
    const void *remote, int remote_port)
{
	if (protocol != IPPROTO_UDP || spec->fields & ~(unsigned)EFDEV_VLAN)
		return -EPROTONOSUPPORT;
	spec->fields |= EFDEV_LOCAL | (bytes == 16 ? (unsigned)EFDEV_IPV6 : 0) |
			(remote ? (unsigned)EFDEV_REMOTE : 0);
	memcpy(spec->host, host, bytes);
	spec->port = (uint16_t)port;
	if (remote)
		memcpy(spec->remote, remote, bytes);
	spec->remote_port = (uint16_t)remote_port;
	return 0;
}

int ef_filter_spec_set_ip4_local(ef_filter_spec *spec, int protocol, unsigned host, int port)
{
	return set_hosts(spec, protocol, 4, &host, port, NULL, 0);
}

int ef_filter_spec_set_ip4_full(
    ef_filter_spec *spec, int protocol, unsigned host, int port, unsigned remote, int remote_port)
{
	return set_hosts(spec, protocol, 4, &host, port, &remote, remote_port);
}

int ef_filter_spec_set_ip6_local(
    ef_filter_spec *spec, int protocol, const struct in6_addr *host, int port)
{
	return set_hosts(spec, protocol, 16, host, port, NULL, 0);
}

int ef_filter_spec_set_ip6_full(ef_filter_spec *spec, int protocol, const struct in6_addr *host,
    int port, const struct in6_addr *remote, int remote_port)
{
	return set_hosts(spec, protocol, 16, host, port, remote, remote_port);
}

int ef_filter_spec_set_vlan(ef_filter_spec *spec, int vlan)
{
	spec->fields |= EFDEV_VLAN;
	spec->vlan = vlan;
	return 0;
}

int ef_filter_spec_set_eth_local(ef_filter_spec *spec, int vlan, const void *mac)
{
	if (spec->fields)
		return -EPROTONOSUPPORT;
	spec->fields = EFDEV_MAC | (vlan == EF_FILTER_VLAN_ID_ANY ? 0 : (unsigned)EFDEV_VLAN);
	spec->vlan = vlan;
	memcpy(spec->mac, mac, 6);
	return 0;
}

static int set_block(ef_filter_spec *spec, unsigned fields)
{
	if (spec->fields)
		return -EPROTONOSUPPORT;
	spec->fields = fields;
	return 0;
}

int ef_filter_spec_set_block_kernel(ef_filter_spec *spec)
{
	return set_block(spec, EFDEV_BLOCK_UNICAST | EFDEV_BLOCK_MULTICAST);
}

int ef_filter_spec_set_block_kernel_unicast(ef_filter_spec *spec)
{
	return set_block(spec, EFDEV_BLOCK_UNICAST);
}

int ef_filter_spec_set_block_kernel_multicast(ef_filter_spec *spec)
{
	return set_block(spec, EFDEV_BLOCK_MULTICAST);
}

/* Adding and removing ------------------------------------------------------------------------- */

static int is_group(const ef_filter_spec *spec)
{
	if (spec->fields & EFDEV_MAC)
		return spec->mac[0] & 1;
	return spec->fields & EFDEV_IPV6 ? spec->host[0] == 0xff : (spec->host[0] & 0xf0) == 0xe0;
}

static int is_same(const ef_filter_spec *a, const ef_filter_spec *b)
{
	return a->fields == b->fields && a->vlan == b->vlan && a->port == b->port &&
	       a->remote_port == b->remote_port && !memcmp(a->mac, b->mac, 6) &&
	       !memcmp(a->host, b->host, 16) && !memcmp(a->remote, b->remote, 16);
}

/* A group may go to many queues, a host's port to one. */
static int is_taken(const ef_vi *vi, const ef_filter_spec *spec)
{
	for (const struct efdev_queue *q = efdev_queues; q; q = q->next)
		for (uint32_t i = 0; i < q->filter_count; i++)
			if (q->interface == vi->queue->interface &&
			    (q == vi->queue || !is_group(spec)) &&
			    is_same(&q->filters[i].spec, spec))
				return 1;
	return 0;
}

int ef_vi_filter_add(
    ef_vi *vi, ef_driver_handle handle, const ef_filter_spec *spec, ef_filter_cookie *cookie)
{
	struct efdev_queue *q = vi->queue;
	struct efdev_filter *filter = &q->filters[q->filter_count];
	uint32_t most = efdev_settings.filters_max ? efdev_settings.filters_max : EFDEV_FILTERS_MAX;

	(void)handle;
	if (spec->fields & (EFDEV_BLOCK_UNICAST | EFDEV_BLOCK_MULTICAST) & efdev_settings.lacks)
		return -EPERM;
	if (!spec->fields || spec->fields & efdev_settings.lacks)
		return -EPROTONOSUPPORT;
	if (efdev_strike("ef_vi_filter_add"))
		return -ENOMEM;
	if (is_taken(vi, spec))
		return -EEXIST;
	if (q->filter_count == most)
		return -ENOSPC;
	*filter = (struct efdev_filter){.number = ++numbers, .spec = *spec};
	q->filter_count++;
	cookie->number = filter->number;
	return 0;
}

int ef_vi_filter_del(ef_vi *vi, ef_driver_handle handle, ef_filter_cookie *cookie)
{
	struct efdev_queue *q = vi->queue;

	(void)handle;
	for (uint32_t i = 0; i < q->filter_count; i++)
		if (q->filters[i].number == cookie->number) {
			q->filters[i] = q->filters[--q->filter_count];
			return 0;
		}
	efdev_fault("a filter that is not there was deleted");
	return -ENOENT;
}

/* Matching ------------------------------------------------------------------------------------ */

/* What a NIC sees of a frame: the addresses of the outermost headers it knows. */
struct seen {
	const uint8_t *mac, *host, *remote, *ports; /* NULL: it does not get as far */
	size_t address_bytes;
	int vlan;
};

static struct seen look_at(const uint8_t *bytes, uint32_t length)
{
	struct seen seen = {.vlan = EF_FILTER_VLAN_ID_ANY};
	uint32_t at = 12, header;
	unsigned type;

	if (length < 14)
		return seen;
	seen.mac = bytes;
	type = (unsigned)bytes[at] << 8 | bytes[at + 1];
	while ((type == 0x8100 || type == 0x88a8) && at + 6 <= length) {
		seen.vlan = (bytes[at + 2] & 0x0f) << 8 | bytes[at + 3]; /* the innermost stays */
		at += 4;
		type = (unsigned)bytes[at] << 8 | bytes[at + 1];
	}
	at += 2;
	if (type == 0x0800 && at + 20 <= length && bytes[at + 9] == IPPROTO_UDP) {
		header = (bytes[at] & 0x0f) * 4u;
		seen.remote = bytes + at + 12;
		seen.host = bytes + at + 16;
		seen.address_bytes = 4;
		if (!(bytes[at + 6] & 0x3f) && !bytes[at + 7] && at + header + 8 <= length)
			seen.ports = bytes + at + header;
	} else if (type == 0x86dd && at + 40 <= length) {
		unsigned next = bytes[at + 6];

		seen.remote = bytes + at + 8;
		seen.host = bytes + at + 24;
		seen.address_bytes = 16;
		at += 40;
		while ((next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING ||
			   next == IPPROTO_DSTOPTS) &&
		       at + 8 <= length) {
			next = bytes[at];
			at += (bytes[at + 1] + 1u) * 8;
		}
		if (next == IPPROTO_UDP && at + 8 <= length)
			seen.ports = bytes + at;
	}
	return seen;
}

static int matches(const ef_filter_spec *spec, const struct seen *seen)
{
	size_t bytes = spec->fields & EFDEV_IPV6 ? 16 : 4;

	if (spec->fields & (EFDEV_BLOCK_UNICAST | EFDEV_BLOCK_MULTICAST))
		return 0;
	if (spec->fields & EFDEV_VLAN && spec->vlan != seen->vlan)
		return 0;
	if (spec->fields & EFDEV_MAC)
		return seen->mac && !memcmp(spec->mac, seen->mac, 6);
	if (!seen->ports || seen->address_bytes != bytes || memcmp(spec->host, seen->host, bytes) ||
	    memcmp(&spec->port, seen->ports + 2, 2))
		return 0;
	return !(spec->fields & EFDEV_REMOTE) || (!memcmp(spec->remote, seen->remote, bytes) &&
						     !memcmp(&spec->remote_port, seen->ports, 2));
}

int efdev_filters_match(const struct efdev_queue *q, const uint8_t *bytes, uint32_t length)
{
	struct seen seen = look_at(bytes, length);

	for (uint32_t i = 0; i < q->filter_count; i++)
		if (matches(&q->filters[i].spec, &seen))
			return 1;
	return 0;
}
