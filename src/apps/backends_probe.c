/* backends_probe.c - see backends_probe.h.
 *
 * Every open is made by a child that ends with it: DPDK starts once in a process and holds some devices until
 * it ends, and a driver that crashes or waits takes nobody with it. */
#include "apps/backends_probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mdfh/error.h"

enum { SECONDS_MAX = 20, RING = 512 };

/* Devices ------------------------------------------------------------------ */

int mdfh_probe_devices(
    const char *backend, const char *interface, char devices[PROBE_DEVICES_MAX][PROBE_DEVICE_MAX])
{
	static const char *const without[] = {"pcap", "null", "fault"};

	for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++)
		if (!strcmp(backend, without[i]))
			return 0;
	if (strcmp(backend, "dpdk") != 0 || !if_nametoindex(interface)) {
		snprintf(devices[0], PROBE_DEVICE_MAX, "%s", interface);
		return 1;
	}
	/* A device of the kernel's is reached through one of DPDK's. */
	snprintf(devices[0], PROBE_DEVICE_MAX, "net_af_xdp0,iface=%s", interface);
	snprintf(devices[1], PROBE_DEVICE_MAX, "net_af_packet0,iface=%s", interface);
	return 2;
}

/* The last part of where a link of sysfs points, "" = there is none. */
static void read_link(const char *interface, const char *path, char *text, size_t size)
{
	char link[2 * PROBE_DEVICE_MAX], target[PROBE_DEVICE_MAX];
	const char *last;
	ssize_t length;

	*text = '\0';
	snprintf(link, sizeof(link), "/sys/class/net/%s/%s", interface, path);
	length = readlink(link, target, sizeof(target) - 1);
	if (length <= 0)
		return;
	target[length] = '\0';
	last = strrchr(target, '/');
	snprintf(text, size, "%s", last ? last + 1 : target);
}

int mdfh_probe_hint(const char *backend, const char *interface, char *text, size_t size)
{
	char bus[PROBE_DEVICE_MAX], device[PROBE_DEVICE_MAX], driver[PROBE_DEVICE_MAX];

	*text = '\0';
	if (strcmp(backend, "dpdk") != 0 || !if_nametoindex(interface))
		return 0;
	read_link(interface, "device/subsystem", bus, sizeof(bus));
	read_link(interface, "device", device, sizeof(device));
	read_link(interface, "device/driver", driver, sizeof(driver));
	if (strcmp(bus, "pci") != 0)
		return 0;
	snprintf(text, size,
	    "the NIC itself: %s is %s, and the kernel's driver %s has it; run `dpdk-devbind.py "
	    "--bind=vfio-pci %s`, which takes the interface from the kernel, and name %s",
	    interface, device, driver, device, device);
	return 1;
}

/* One open ----------------------------------------------------------------- */

/* An address of the interface, so that no group is joined and nobody else's packets are asked for. */
static int own_address(const char *interface, char *text, socklen_t size)
{
	struct ifaddrs *all = NULL;
	int found = 0;

	if (getifaddrs(&all))
		return 0;
	for (const struct ifaddrs *one = all; one && !found; one = one->ifa_next)
		if (one->ifa_addr && one->ifa_addr->sa_family == AF_INET &&
		    !strcmp(one->ifa_name, interface))
			found = inet_ntop(AF_INET,
				    &((const struct sockaddr_in *)one->ifa_addr)->sin_addr, text,
				    size) != NULL;
	freeifaddrs(all);
	return found;
}

/* A UDP port that nobody receives on. */
static uint16_t free_port(void)
{
	struct sockaddr_in local = {.sin_family = AF_INET};
	socklen_t size = sizeof(local);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return 0;
	if (bind(fd, (struct sockaddr *)&local, sizeof(local)) ||
	    getsockname(fd, (struct sockaddr *)&local, &size))
		local.sin_port = 0;
	close(fd);
	return ntohs(local.sin_port);
}

static void ask(const char *backend, const char *device, struct mdfh_bypass_config config,
    struct probe_port *answer)
{
	char address[INET_ADDRSTRLEN];
	struct mdfh_flow flow = {.port = free_port()};
	struct mdfh_bypass *port;

	config.size = sizeof(config);
	config.backend = backend;
	config.interface = device;
	config.flows = &flow;
	config.flow_count = 1;
	if (own_address(device, address, sizeof(address)))
		flow.group = address;
	if (!strcmp(backend, "dpdk")) {
		/* A rule of a NIC wants a group; with membership off nothing is said of it. */
		flow.group = "239.255.77.1";
		config.backend_options = "membership=off";
	}
	if (mdfh_bypass_open(&config, &port)) {
		snprintf(answer->error, sizeof(answer->error), "%s", mdfh_error_text());
		return;
	}
	answer->opened = 1;
	answer->can = *mdfh_bypass_capabilities(port);
	snprintf(answer->copy_reason, sizeof(answer->copy_reason), "%s", answer->can.copy_reason);
	snprintf(answer->mode, sizeof(answer->mode), "%s", answer->can.mode);
	snprintf(answer->warning, sizeof(answer->warning), "%s", answer->can.warning);
	mdfh_bypass_close(port);
}

static int open_in_child(const char *backend, const char *device,
    const struct mdfh_bypass_config *config, struct probe_port *answer)
{
	int pipes[2], status = 0;
	ssize_t got;
	pid_t child;

	memset(answer, 0, sizeof(*answer));
	fflush(NULL);
	if (pipe(pipes))
		return -errno;
	child = fork();
	if (child < 0) {
		int rc = -errno;

		close(pipes[0]);
		close(pipes[1]);
		return rc;
	}
	if (!child) {
		alarm(SECONDS_MAX);
		ask(backend, device, *config, answer);
		got = write(pipes[1], answer, sizeof(*answer)); /* at once: it fits into a pipe */
		_exit(got != sizeof(*answer));
	}
	close(pipes[1]);
	got = read(pipes[0], answer, sizeof(*answer));
	close(pipes[0]);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (got == sizeof(*answer)) {
		answer->can.copy_reason = answer->copy_reason;
		answer->can.mode = answer->mode;
		answer->can.warning = answer->warning;
		return 0;
	}
	memset(answer, 0, sizeof(*answer));
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		snprintf(answer->error, sizeof(answer->error),
		    "%s: opening %s was not done after %d s", backend, device, SECONDS_MAX);
	else
		snprintf(answer->error, sizeof(answer->error),
		    "%s: opening %s ended its process (%s)", backend, device,
		    WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "exit");
	return 0;
}

/* The whole ---------------------------------------------------------------- */

int mdfh_probe(const char *backend, const char *device, struct probe *probe)
{
	const struct mdfh_bypass_config plain = {.rx_ring_size = RING};
	const struct {
		const char *what;
		struct mdfh_bypass_config config;
	} better[PROBE_MISSING_MAX] = {
	    {"zero-copy", {.rx_ring_size = RING, .require_zero_copy = MDFH_ON}},
	    {"hugepages", {.rx_ring_size = RING, .hugepages = MDFH_ON}},
	    {"hardware times", {.rx_ring_size = RING, .timestamps = MDFH_TIMESTAMPS_HARDWARE}},
	};
	int rc;

	memset(probe, 0, sizeof(*probe));
	rc = open_in_child(backend, device, &plain, &probe->port);
	if (rc || !probe->port.opened)
		return rc;
	for (size_t i = 0; i < sizeof(better) / sizeof(better[0]); i++) {
		const struct mdfh_bypass_capabilities *can = &probe->port.can;
		const int has[] = {
		    can->zero_copy, can->hugepages, can->timestamps == MDFH_PLACE_HARDWARE};
		struct probe_missing *missing = &probe->missing[probe->missing_count];
		struct probe_port again;

		if (has[i])
			continue;
		rc = open_in_child(backend, device, &better[i].config, &again);
		if (rc)
			return rc;
		/* One that opens all the same has it when it is asked for. */
		missing->what = better[i].what;
		snprintf(missing->why, sizeof(missing->why), "%s",
		    again.opened ? "there when it is asked for" : again.error);
		probe->missing_count++;
	}
	return 0;
}
