/* conformance_frames.c - see conformance_frames.h. Ethernet II with tags of 802.1Q and 802.1ad, IPv4
 * (RFC 791), IPv6 (RFC 8200), UDP (RFC 768). */
#include "net/conformance_frames.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>

#include "mdfh/error.h"
#include "net/net.h"

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* The one's complement sum (RFC 1071), on top of another. */
static unsigned sum16(const uint8_t *bytes, uint32_t length, unsigned sum)
{
	for (uint32_t i = 0; i < length; i++)
		sum += i % 2 ? bytes[i] : (unsigned)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* The group's address (RFC 1112, RFC 2464); for a host everyone's, since the suite knows no host's. */
static void put_mac(uint8_t *at, const uint8_t *destination, int is_v6)
{
	memset(at, 0xff, 6);
	if (is_v6 && destination[0] == 0xff) {
		at[0] = at[1] = 0x33;
		memcpy(at + 2, destination + 12, 4);
	} else if (!is_v6 && (destination[0] & 0xf0) == 0xe0) {
		at[0] = 0x01;
		at[1] = 0x00;
		at[2] = 0x5e;
		at[3] = destination[1] & 0x7f;
		memcpy(at + 4, destination + 2, 2);
	}
}

static uint8_t protocol_of(enum conformance_oddity oddity)
{
	return oddity == ODD_TCP ? 6 : oddity == ODD_IGMP ? 2 : 17;
}

/* UDP header and payload behind addresses of `bytes` bytes each; the checksum covers them. */
static uint32_t put_udp(uint8_t *at, const struct conformance_frame *f, const uint8_t *source,
    const uint8_t *destination, uint32_t bytes)
{
	uint32_t length = 8 + f->length;
	unsigned sum;

	put16(at, 40000);
	put16(at + 2, f->port);
	put16(at + 4, f->oddity == ODD_UDP_LENGTH ? length + 100 : length);
	put16(at + 6, 0);
	memcpy(at + 8, f->payload, f->length);
	sum = sum16(source, bytes, 17 + length);
	sum = sum16(destination, bytes, sum);
	sum = ~sum16(at, length, sum) & 0xffff;
	put16(at + 6, sum ? sum : 0xffff);
	return length;
}

/* A TCP segment (RFC 9293) from and to the same ports. */
static uint32_t put_tcp(uint8_t *at, const struct conformance_frame *f, const uint8_t *source,
    const uint8_t *destination, uint32_t bytes)
{
	uint32_t length = 20 + f->length;
	unsigned sum;

	memset(at, 0, 20);
	put16(at, 40000);
	put16(at + 2, f->port);
	at[12] = 5 << 4; /* words of header */
	at[13] = 0x10;   /* ACK */
	memcpy(at + 20, f->payload, f->length);
	sum = sum16(source, bytes, 6 + length);
	sum = sum16(destination, bytes, sum);
	put16(at + 16, ~sum16(at, length, sum) & 0xffff);
	return length;
}

static uint32_t put_transport(uint8_t *at, const struct conformance_frame *f, const uint8_t *source,
    const uint8_t *destination, uint32_t bytes)
{
	return f->oddity == ODD_TCP ? put_tcp(at, f, source, destination, bytes)
				    : put_udp(at, f, source, destination, bytes);
}

static uint32_t put_ipv4(uint8_t *ip, const struct conformance_frame *f)
{
	uint32_t header = f->oddity == ODD_OPTIONS ? 24 : 20, length;

	memset(ip, 0, 24);
	inet_pton(AF_INET, f->source, ip + 12);
	inet_pton(AF_INET, f->destination, ip + 16);
	if (header == 24)
		memset(ip + 20, 1, 4); /* four times "no operation" */
	length = header + put_transport(ip + header, f, ip + 12, ip + 16, 4);
	ip[0] = (uint8_t)(0x40 | (f->oddity == ODD_IP_HEADER ? 4 : header / 4));
	put16(ip + 2, length);
	put16(ip + 4, 4711);
	put16(ip + 6, f->oddity == ODD_FRAGMENT ? 0x2000 : 0);
	ip[8] = 1;
	ip[9] = protocol_of(f->oddity);
	put16(ip + 10, ~sum16(ip, header, 0) & 0xffff);
	return length;
}

static uint32_t put_ipv6(uint8_t *ip, const struct conformance_frame *f)
{
	static const uint8_t extension[] = {17, 0, 1, 4, 0, 0, 0, 0}; /* PadN */
	static const uint8_t fragment[] = {17, 0, 0, 1, 0, 0, 0, 7};  /* first, more to come */
	uint32_t header = 40, length;

	memset(ip, 0, 40);
	ip[0] = f->oddity == ODD_IP_HEADER ? 0x50 : 0x60;
	ip[6] = protocol_of(f->oddity);
	ip[7] = 1;
	inet_pton(AF_INET6, f->source, ip + 8);
	inet_pton(AF_INET6, f->destination, ip + 24);
	if (f->oddity == ODD_OPTIONS || f->oddity == ODD_FRAGMENT) {
		ip[6] = f->oddity == ODD_OPTIONS ? 60 : 44;
		memcpy(ip + 40, f->oddity == ODD_OPTIONS ? extension : fragment, 8);
		header += 8;
	}
	length = header + put_transport(ip + header, f, ip + 8, ip + 24, 16);
	put16(ip + 4, length - 40);
	return length;
}

uint32_t mdfh_conformance_frame_put(uint8_t *at, const struct conformance_frame *f)
{
	int is_v6 = strchr(f->destination, ':') != NULL;
	uint8_t destination[16];
	uint8_t *type = at + 12;
	uint32_t length, headers;

	inet_pton(is_v6 ? AF_INET6 : AF_INET, f->destination, destination);
	if (f->mac)
		memcpy(at, f->mac, 6);
	else
		put_mac(at, destination, is_v6);
	memcpy(at + 6, (const uint8_t[]){0x02, 0, 0, 0, 0, 0x01}, 6);
	for (int i = 0; i < 2 && f->vlan[i]; i++, type += 4) {
		put16(type, i == 0 && f->vlan[1] ? 0x88a8 : 0x8100);
		put16(type + 2, f->vlan[i]);
	}
	put16(type, f->oddity == ODD_ARP ? 0x0806 : is_v6 ? 0x86dd : 0x0800);
	length = is_v6 ? put_ipv6(type + 2, f) : put_ipv4(type + 2, f);
	headers = (uint32_t)(type + 2 - at);
	length += headers;
	if (f->oddity == ODD_SHORT)
		length = headers + (is_v6 ? 40 : 20) + 4;
	if (f->oddity == ODD_PADDED && length < 60) {
		memset(at + length, 0xee, 60 - length);
		length = 60;
	}
	return length;
}

/* The wire ------------------------------------------------------------------------------------- */

/* A device of the kernel's that nothing leaves the machine through. */
static int is_virtual_device(const char *name, size_t length)
{
	static const char *const drivers[] = {"veth", "tun", "dummy"};
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq request = {.ifr_data = (void *)&info};
	int fd, rc;

	if (!length || length >= IFNAMSIZ)
		return 0;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	memcpy(request.ifr_name, name, length);
	rc = ioctl(fd, SIOCETHTOOL, &request);
	close(fd);
	for (size_t i = 0; !rc && i < sizeof(drivers) / sizeof(drivers[0]); i++)
		if (!strcmp(info.driver, drivers[i]))
			return 1;
	return 0;
}

/* What a device of DPDK's stands on; a device of the kernel's is its own. Empty = none. */
static void kernel_device(const char *interface, char name[IFNAMSIZ])
{
	const char *device = strstr(interface, ",iface=");

	device = device ? device + strlen(",iface=") : interface;
	snprintf(name, IFNAMSIZ, "%.*s", (int)strcspn(device, ","), device);
}

int mdfh_conformance_host(
    const char *interface, int is_v6, char *address, size_t size, uint8_t mac[6])
{
	struct ifreq request = {0};
	struct ifaddrs *all = NULL;
	int fd, found = 0;

	kernel_device(interface, request.ifr_name);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	if (ioctl(fd, SIOCGIFHWADDR, &request) || getifaddrs(&all)) {
		close(fd);
		return 0;
	}
	close(fd);
	memcpy(mac, request.ifr_hwaddr.sa_data, 6);
	for (const struct ifaddrs *one = all; one && !found; one = one->ifa_next) {
		struct mdfh_address own = {.length = sizeof(own.storage)};

		if (!one->ifa_addr || one->ifa_addr->sa_family != (is_v6 ? AF_INET6 : AF_INET) ||
		    strcmp(one->ifa_name, request.ifr_name) != 0)
			continue;
		memcpy(&own.storage, one->ifa_addr, is_v6 ? sizeof(own.v6) : sizeof(own.v4));
		if (is_v6 && IN6_IS_ADDR_LINKLOCAL(&own.v6.sin6_addr))
			continue;
		mdfh_address_text(&own, address, size);
		found = 1;
	}
	freeifaddrs(all);
	return found;
}

int mdfh_conformance_is_virtual(const char *interface)
{
	static const char *const within[] = {"net_memif", "net_ring", "net_null"};
	static const char *const onto[] = {"net_af_packet", "net_af_xdp"};

	for (size_t i = 0; i < sizeof(within) / sizeof(within[0]); i++)
		if (!strncmp(interface, within[i], strlen(within[i])))
			return 1;
	/* One of DPDK's on top of a device of the kernel's. */
	for (size_t i = 0; i < sizeof(onto) / sizeof(onto[0]); i++)
		if (!strncmp(interface, onto[i], strlen(onto[i]))) {
			const char *device = strstr(interface, ",iface=");

			if (!device || strstr(device + 1, ",iface="))
				return 0;
			device += strlen(",iface=");
			return is_virtual_device(device, strcspn(device, ","));
		}
	return is_virtual_device(interface, strlen(interface));
}

int mdfh_conformance_frames_open(const char *interface)
{
	struct sockaddr_ll to = {
	    .sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(interface)};
	int fd, rc;

	if (!to.sll_ifindex)
		return mdfh_error_errno(-errno, "conformance: peer %s", interface);
	/* Of no protocol: it only writes. */
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return mdfh_error_errno(
		    -errno, "conformance: a socket that writes frames; it needs CAP_NET_RAW");
	if (bind(fd, (struct sockaddr *)&to, sizeof(to))) {
		rc = mdfh_error_errno(-errno, "conformance: bind to %s", interface);
		close(fd);
		return rc;
	}
	return fd;
}
