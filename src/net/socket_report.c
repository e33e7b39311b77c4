/* socket_report.c - what is said of kernel sockets: why one could not be had and what to do about
 * it, and what has become of the interface since. Control path only. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "mdfh/error.h"
#include "net/socket.h"

/* Sentences ------------------------------------------------------ */

int mdfh_socket_error(int error, const char *format, ...)
{
	struct rlimit limit = {0};
	char what[256];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	if (error == -EMFILE) {
		getrlimit(RLIMIT_NOFILE, &limit);
		return mdfh_error(error,
		    "%s: too many open files: this process may have %llu; raise that with `ulimit "
		    "-n`, or LimitNOFILE of its service",
		    what, (unsigned long long)limit.rlim_cur);
	}
	if (error == -ENFILE)
		return mdfh_error(error,
		    "%s: too many open files on this host; raise that with `sysctl -w fs.file-max`",
		    what);
	if (error == -EAFNOSUPPORT)
		return mdfh_error(error,
		    "%s: this host has no IPv6; use IPv4, or start the kernel without "
		    "ipv6.disable=1",
		    what);
	return mdfh_error_errno(error, "%s", what);
}

int mdfh_socket_interface_error(int error, const char *name, const char *interface)
{
	mdfh_error_errno(error, "%s: interface '%s'", name, interface);
	return mdfh_error(error, "%s; `ip link` lists those that there are", mdfh_error_text());
}

/* What to do about an address and a port that were not to be had, added to the sentence. */
static int cannot_bind(int error, char kind, uint16_t port)
{
	switch (error) {
	case -EADDRINUSE:
		return mdfh_error(error,
		    "%s; another socket has it, and `ss -%clnp sport = :%u` says whose: end that "
		    "program, or take another port",
		    mdfh_error_text(), kind, port);
	case -EADDRNOTAVAIL:
		return mdfh_error(error,
		    "%s; it is no address of this host: `ip address` lists those that are, and "
		    "`ip address add` makes it one",
		    mdfh_error_text());
	case -EACCES:
		return mdfh_error(error,
		    "%s; low port numbers need CAP_NET_BIND_SERVICE, or `sysctl -w "
		    "net.ipv4.ip_unprivileged_port_start=%u`",
		    mdfh_error_text(), port);
	case -EINVAL:
		return mdfh_error(
		    error, "%s; a link-local address needs interface", mdfh_error_text());
	default:
		return error;
	}
}

int mdfh_socket_bind_error(int error, const struct mdfh_flow *flow)
{
	const char *address = flow->group ? flow->group : "any address";

	mdfh_error_errno(error, "socket: bind to %s port %u", address, flow->port);
	return cannot_bind(error, 'u', flow->port);
}

int mdfh_socket_listen_error(int error, const char *what, const char *address, uint16_t port)
{
	mdfh_error_errno(error, "%s: listen on %s port %u", what, address, port);
	return cannot_bind(error, 't', port);
}

int mdfh_socket_send_error(
    int error, const struct mdfh_sockets *s, const struct flow *flow, uint32_t length)
{
	char address[INET6_ADDRSTRLEN] = "";

	mdfh_address_text(&flow->to, address, sizeof(address));
	mdfh_error_errno(error, "%s: send of %u bytes to %s port %u%s%s", s->name, length, address,
	    flow->port, *s->interface ? " on " : "", s->interface);
	if (error != -ENETUNREACH && error != -EHOSTUNREACH && error != -ENETDOWN)
		return error;
	return mdfh_error(error,
	    "%s; there is no way there: `ip link` says whether the interface is up, `ip route get "
	    "%s` which one it is",
	    mdfh_error_text(), address);
}

int mdfh_socket_join_error(int error, const struct mdfh_sockets *s, const struct flow *flow)
{
	char group[INET6_ADDRSTRLEN] = "", source[INET6_ADDRSTRLEN] = "";

	mdfh_address_text(&flow->to, group, sizeof(group));
	if (flow->source.length)
		mdfh_address_text(&flow->source, source, sizeof(source));
	mdfh_error_errno(error, "socket: join %s%s%s%s%s", group, *source ? " from " : "", source,
	    s->interface_index ? " on " : " (no interface is set)", s->interface);
	if (error == -ENOBUFS)
		return mdfh_error(error,
		    "%s; memberships are used up: `sysctl -w net.ipv4.igmp_max_memberships=%d`",
		    mdfh_error_text(), MDFH_BYPASS_FLOWS_MAX);
	if (error == -ENODEV && !s->interface_index)
		return mdfh_error(error,
		    "%s; no route leads there: set interface to the device that the group comes in "
		    "on",
		    mdfh_error_text());
	return error;
}

int mdfh_socket_device_error(int error, const char *interface)
{
	mdfh_error_errno(error, "socket: SO_BINDTODEVICE %s", interface);
	if (error == -EPERM)
		return mdfh_error(error,
		    "%s; give the process CAP_NET_RAW, or leave interface out and have a route "
		    "through it",
		    mdfh_error_text());
	return error;
}

/* The interface ---------------------------------------------------- */

/* Its flags (IFF_UP ...), or a negative errno: there is none of that name. */
static int read_flags(const char *interface)
{
	struct ifreq request = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	rc = ioctl(fd, SIOCGIFFLAGS, &request) ? -errno : (unsigned short)request.ifr_flags;
	close(fd);
	return rc;
}

int mdfh_interface_trouble(const char *interface, char *text, size_t size)
{
	int flags = read_flags(interface);

	if (flags == -ENODEV)
		snprintf(text, size,
		    "interface %s is gone: nothing arrives until there is one of that name again",
		    interface);
	else if (flags >= 0 && !(flags & IFF_UP))
		snprintf(text, size,
		    "interface %s is down: nothing arrives until `ip link set %s up`", interface,
		    interface);
	else if (flags >= 0 && !(flags & IFF_RUNNING))
		snprintf(text, size,
		    "interface %s has no carrier: nothing arrives; look at the cable, or at the "
		    "other end",
		    interface);
	else
		return 0;
	return 1;
}

void mdfh_sockets_warn(struct mdfh_sockets *s, const char *other)
{
	char text[sizeof(s->warning)] = "";

	if (!*s->interface || !mdfh_interface_trouble(s->interface, text, sizeof(text)))
		snprintf(text, sizeof(text), "%s", *other ? other : s->setup_warning);
	/* Written only where it changes, for whoever reads it just then. */
	if (strcmp(text, s->warning) != 0)
		memcpy(s->warning, text, sizeof(text));
}

void mdfh_sockets_opened(struct mdfh_sockets *s)
{
	memcpy(s->setup_warning, s->warning, sizeof(s->setup_warning));
	mdfh_sockets_warn(s, "");
}
