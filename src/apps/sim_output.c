/* sim_output.c - the sender's packets through a backend, in real time, or in a capture, in its own. */
#include "apps/sim_output.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "handler/ports.h"
#include "mdfh/bypass.h"
#include "mdfh/capture.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"

enum {
	SPIN_NS = 50000, /* wakes from a sleep come this late at worst on an idle machine */
	SOURCE_PORT = 20000,
};

struct sim_output {
	struct mdfh_sender_output transport;
	struct mdfh_bypass *port; /* a flow per line */
	struct mdfh_capture_writer *writer;
	struct mdfh_frame_header headers[MDFH_SENDER_LINES_MAX];
	struct sim_file file;
	uint64_t time_ns; /* a capture's clock: goes where it is told to */
};

/* Endpoints and safety ---------------------------------------------------------- */

int sim_endpoint_parse(const char *text, struct sim_endpoint *endpoint)
{
	uint8_t address[16];

	memset(endpoint, 0, sizeof(*endpoint));
	if (mdfh_group_parse(text, endpoint->group, sizeof(endpoint->group), &endpoint->port) ||
	    inet_pton(*text == '[' ? AF_INET6 : AF_INET, endpoint->group, address) != 1)
		return mdfh_error(-EINVAL,
		    "group is '%s'; it must be a group and a port, like 239.1.1.1:26477 or "
		    "[ff15::1]:26477",
		    text);
	return 0;
}

/* IPv6 lists its routes without a header; that of loopback is no way out. */
static int has_default_route6(void)
{
	FILE *routes = fopen("/proc/net/ipv6_route", "re");
	char line[256];
	int is_found = 0;

	while (routes && !is_found && fgets(line, sizeof(line), routes)) {
		char destination[33];
		char device[32];
		unsigned length;

		/* Destination Length Source Length Gateway Metric RefCnt Use Flags Device */
		if (sscanf(line, "%32s %x %*s %*s %*s %*s %*s %*s %*s %31s", destination, &length,
			device) == 3)
			is_found = !length && strcmp(device, "lo") != 0;
	}
	if (routes)
		fclose(routes);
	return is_found;
}

/* Whether this network namespace leads nowhere: it has no default route, as a namespace made for a
 * demo or a test has none, while a host or a container has one. */
static int is_closed_namespace(void)
{
	FILE *routes = fopen("/proc/net/route", "re");
	char line[256];
	int is_closed = !has_default_route6();

	if (!routes)
		return 0;
	while (is_closed && fgets(line, sizeof(line), routes)) {
		unsigned long destination;
		unsigned long mask;

		/* Interface Destination Gateway Flags RefCnt Use Metric Mask ... */
		if (sscanf(line, "%*s %lx %*x %*x %*d %*d %*d %lx", &destination, &mask) == 2 &&
		    !destination && !mask)
			is_closed = 0;
	}
	fclose(routes);
	return is_closed;
}

static int check_interface(const char *name)
{
	struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq request = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int is_loopback;
	int is_veth;

	if (fd < 0)
		return mdfh_error_errno(-errno, "a socket to look at interface %s", name);
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFFLAGS, &request)) {
		int err = mdfh_error_errno(-errno, "interface %s", name);

		close(fd);
		return err;
	}
	is_loopback = (request.ifr_flags & IFF_LOOPBACK) != 0;
	request.ifr_data = (char *)&driver;
	is_veth = !ioctl(fd, SIOCETHTOOL, &request) && !strcmp(driver.driver, "veth");
	close(fd);
	if (is_loopback || (is_veth && is_closed_namespace()))
		return 0;
	return mdfh_error(-EPERM,
	    "interface %s is neither loopback nor a veth pair in a network namespace "
	    "without a default route: "
	    "the packets could reach others who take them for real; --transmit says that this is "
	    "meant",
	    name);
}

/* Groups that stay within one site: 239.0.0.0/8, and of IPv6 those that nobody has registered
 * (ff1x) with a scope up to the site's (5). */
static int stays_within_site(const char *group)
{
	struct in_addr v4;
	uint8_t v6[16];

	if (inet_pton(AF_INET, group, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 239;
	return inet_pton(AF_INET6, group, v6) == 1 && v6[0] == 0xff && v6[1] >= 0x11 &&
	       v6[1] <= 0x15;
}

/* Devices of DPDK's that lead to nobody but a process of this machine. */
static int check_device(const char *device)
{
	static const char *const inside[] = {"net_memif", "net_ring", "net_null"};

	for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++)
		if (!strncmp(device, inside[i], strlen(inside[i])))
			return 0;
	return mdfh_error(-EPERM,
	    "interface %s may lead out of this machine, as only net_memif, net_ring and net_null "
	    "do "
	    "not: the packets could reach others who take them for real; --transmit says that this "
	    "is meant",
	    device);
}

int sim_output_is_of_kernel(const char *backend)
{
	return strcmp(backend, "dpdk") != 0;
}

int sim_output_check(
    const char *backend, const char *interface, const struct sim_endpoint *endpoint, uint32_t ttl)
{
	if (!stays_within_site(endpoint->group))
		return mdfh_error(-EPERM,
		    "group %s is outside 239.0.0.0/8 and ff11::/16 to ff15::/16, the groups that "
		    "stay within one site: "
		    "the packets could reach others who take them for real; --transmit says that "
		    "this is meant",
		    endpoint->group);
	if (ttl > 1)
		return mdfh_error(-EPERM,
		    "ttl is %u: packets with more than 1 pass routers; --transmit says that this "
		    "is meant",
		    ttl);
	return sim_output_is_of_kernel(backend) ? check_interface(interface)
						: check_device(interface);
}

int sim_output_check_route(const char *interface, const struct sim_endpoint *endpoint)
{
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(endpoint->port)};
	int fd;
	int err = 0;

	if (inet_pton(AF_INET6, endpoint->group, &to.sin6_addr) != 1 ||
	    !IN6_IS_ADDR_MULTICAST(&to.sin6_addr))
		return 0;
	to.sin6_scope_id = if_nametoindex(interface);
	fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return mdfh_error_errno(
		    -errno, "a socket to look for a route to %s", endpoint->group);
	setsockopt(
	    fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &to.sin6_scope_id, sizeof(to.sin6_scope_id));
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)))
		err = mdfh_error_errno(-errno,
		    "interface %s has no route to group %s (for loopback: ip -6 route add local "
		    "ff00::/8 "
		    "dev lo)",
		    interface, endpoint->group);
	close(fd);
	return err;
}

/* Whether somebody has joined: the kernel lists IPv4 groups as a number in memory order, those of
 * IPv6 as 32 digits in the third column. 1, 0, or an error. */
static int is_joined(const char *group)
{
	uint8_t address[16];
	int is_v6 = inet_pton(AF_INET6, group, address) == 1;
	const char *path = is_v6 ? "/proc/net/igmp6" : "/proc/net/igmp";
	FILE *groups = fopen(path, "re");
	char wanted[40] = "";
	char line[256];
	int is_found = 0;

	if (!groups)
		return mdfh_error_errno(-errno, "%s", path);
	for (size_t i = 0; is_v6 && i < 16; i++)
		snprintf(wanted + 2 * i, 3, "%02x", address[i]);
	if (!is_v6) {
		struct in_addr v4 = {0};

		inet_pton(AF_INET, group, &v4);
		snprintf(wanted, sizeof(wanted), "\t\t\t\t%08X", v4.s_addr);
	}
	while (!is_found && fgets(line, sizeof(line), groups))
		is_found =
		    is_v6 ? strstr(line, wanted) != NULL : !strncmp(line, wanted, strlen(wanted));
	fclose(groups);
	return is_found;
}

int sim_output_wait_for_listener(const struct sim_endpoint *endpoint, unsigned seconds)
{
	for (unsigned i = 0; i <= seconds * 20; i++) {
		int is_found = is_joined(endpoint->group);

		if (is_found)
			return is_found < 0 ? is_found : 0;
		nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	}
	return mdfh_error(-ETIMEDOUT,
	    "nobody in this network namespace joined %s within %u s; start the receiver, or do not "
	    "ask to wait for it",
	    endpoint->group, seconds);
}

int sim_output_wait_for_link(struct sim_output *output, unsigned seconds)
{
	const struct mdfh_bypass_capabilities *can = mdfh_bypass_capabilities(output->port);

	for (unsigned i = 0; i <= seconds * 20; i++) {
		struct mdfh_bypass_stats stats;
		int err = mdfh_bypass_stats(output->port, &stats);

		if (err || !*can->warning)
			return err;
		nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	}
	return mdfh_error(-ETIMEDOUT,
	    "nobody was there within %u s: %.300s; start the receiver, or do not ask to wait for "
	    "it",
	    seconds, can->warning);
}

/* In real time -------------------------------------------------------------------- */

static uint64_t real_now(void *context)
{
	(void)context;
	return mdfh_clock_now_ns();
}

/* Sleep through most of the time and watch the clock for the rest. */
static void real_wait_until(void *context, uint64_t time_ns)
{
	uint64_t now_ns = mdfh_clock_now_ns();

	(void)context;
	if (time_ns > now_ns + 2ull * SPIN_NS) {
		uint64_t sleep_ns = time_ns - now_ns - SPIN_NS;
		struct timespec span = {
		    .tv_sec = (time_t)(sleep_ns / 1000000000),
		    .tv_nsec = (long)(sleep_ns % 1000000000),
		};

		if (nanosleep(&span, NULL)) /* a signal: let the caller see what it meant */
			return;
	}
	while (mdfh_clock_now_ns() < time_ns)
		;
}

static int real_send(void *context, unsigned line, const struct mdfh_packet *packets, int n)
{
	struct sim_output *output = context;

	(void)line; /* it is the packets' flow */
	return mdfh_bypass_send(output->port, packets, n);
}

int sim_output_open_sockets(const char *interface, const struct sim_endpoint *endpoints,
    uint32_t lines, uint32_t ttl, struct sim_output **out)
{
	return sim_output_open_port("socket", NULL, interface, endpoints, lines, ttl, out);
}

int sim_output_open_port(const char *backend, const char *options, const char *interface,
    const struct sim_endpoint *endpoints, uint32_t lines, uint32_t ttl, struct sim_output **out)
{
	struct mdfh_flow flows[MDFH_SENDER_LINES_MAX] = {{0}};
	struct mdfh_bypass_config config = {
	    .size = sizeof(config),
	    .backend = backend,
	    .backend_options = options,
	    .interface = interface,
	    .flows = flows,
	    .flow_count = lines,
	    .direction = MDFH_DIRECTION_SEND,
	    .multicast_ttl = ttl,
	};
	struct sim_output *output = calloc(1, sizeof(*output));
	int err;

	*out = NULL;
	if (!output)
		return mdfh_error(-ENOMEM, "output: %zu bytes", sizeof(*output));
	output->transport = (struct mdfh_sender_output){.context = output,
	    .now_ns = real_now,
	    .wait_until = real_wait_until,
	    .send = real_send};
	err = mdfh_clock_start();
	for (uint32_t i = 0; i < lines; i++)
		flows[i] =
		    (struct mdfh_flow){.group = endpoints[i].group, .port = endpoints[i].port};
	if (!err && lines)
		err = mdfh_bypass_open(&config, &output->port);
	if (err) {
		sim_output_discard(output);
		return err;
	}
	/* Sleeps end when they should, not up to 50 us later. */
	prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul);
	*out = output;
	return 0;
}

static int nowhere_send(void *context, unsigned line, const struct mdfh_packet *packets, int n)
{
	(void)context;
	(void)line;
	(void)packets;
	return n;
}

int sim_output_open_nowhere(struct sim_output **out)
{
	int err = sim_output_open_sockets(NULL, NULL, 0, 0, out);

	if (!err)
		(*out)->transport.send = nowhere_send;
	return err;
}

/* Capture -------------------------------------------------------------------------- */

static uint64_t capture_now(void *context)
{
	const struct sim_output *output = context;

	return output->time_ns;
}

static void capture_wait_until(void *context, uint64_t time_ns)
{
	struct sim_output *output = context;

	if (time_ns > output->time_ns)
		output->time_ns = time_ns;
}

static int capture_send(void *context, unsigned line, const struct mdfh_packet *packets, int n)
{
	struct sim_output *output = context;
	uint8_t frame[MDFH_FRAME_BUILD_HEADERS_MAX + MDFH_PUBLISHER_PAYLOAD_MAX];

	for (int i = 0; i < n; i++) {
		int length = mdfh_frame_build(&output->headers[line], packets[i].data,
		    packets[i].length, frame, sizeof(frame));
		int err = length;

		if (length > 0)
			err = mdfh_capture_write(
			    output->writer, output->time_ns, frame, (uint32_t)length, 0);
		if (err < 0)
			return err;
		output->headers[line].identification++;
	}
	return n;
}

int sim_output_open_capture(const char *path, const struct sim_endpoint *endpoints, uint32_t lines,
    uint64_t start_ns, struct sim_output **out)
{
	struct sim_output *output = calloc(1, sizeof(*output));
	int err = 0;

	*out = NULL;
	if (!output)
		return mdfh_error(-ENOMEM, "output: %zu bytes", sizeof(*output));
	output->transport = (struct mdfh_sender_output){.context = output,
	    .now_ns = capture_now,
	    .wait_until = capture_wait_until,
	    .send = capture_send};
	output->time_ns = start_ns;
	for (uint32_t i = 0; !err && i < lines; i++) {
		struct mdfh_frame_header *header = &output->headers[i];

		header->source_port = SOURCE_PORT;
		header->destination_port = endpoints[i].port;
		err = mdfh_frame_address(
		    strchr(endpoints[i].group, ':') ? "::1" : "127.0.0.1", header->source);
		if (!err)
			err = mdfh_frame_address(endpoints[i].group, header->destination);
	}
	if (!err)
		err = sim_file_name(&output->file, path);
	if (!err)
		err = mdfh_capture_writer_open(
		    output->file.temporary, MDFH_LINK_ETHERNET, &output->writer);
	if (err) {
		sim_file_finish(&output->file, err);
		free(output);
		return err;
	}
	*out = output;
	return 0;
}

const struct mdfh_sender_output *sim_output_transport(const struct sim_output *output)
{
	return &output->transport;
}

static int close_output(struct sim_output *output, int failed)
{
	int err;

	mdfh_bypass_close(output->port);
	err = mdfh_capture_writer_close(output->writer);
	err = sim_file_finish(&output->file, err ? err : failed);
	free(output);
	return err;
}

int sim_output_close(struct sim_output *output)
{
	return output ? close_output(output, 0) : 0;
}

void sim_output_discard(struct sim_output *output)
{
	if (output)
		close_output(output, -ECANCELED);
}

/* Files that appear whole -------------------------------------------------------------- */

int sim_file_name(struct sim_file *file, const char *path)
{
	const char *dot = strrchr(path, '.');

	file->path = path;
	if (asprintf(&file->temporary, "%.*s.part%s", (int)(dot - path), path, dot) < 0) {
		file->temporary = NULL;
		return mdfh_error(-ENOMEM, "output: a name for %s", path);
	}
	return 0;
}

int sim_file_finish(struct sim_file *file, int failed)
{
	int err = failed;

	if (!file->temporary)
		return failed;
	if (!failed && rename(file->temporary, file->path))
		err = mdfh_error_errno(-errno, "rename %s to %s", file->temporary, file->path);
	if (err)
		unlink(file->temporary);
	free(file->temporary);
	file->temporary = NULL;
	return err;
}
