/* backends_probe.h - what a backend would be on one interface: a port is opened there and asked, in a process
 * of its own. */
#ifndef MDFH_APPS_BACKENDS_PROBE_H
#define MDFH_APPS_BACKENDS_PROBE_H

#include "mdfh/bypass.h"

enum { PROBE_DEVICES_MAX = 2, PROBE_MISSING_MAX = 3, PROBE_DEVICE_MAX = 256 };

/* What the best port would have and this one has not. */
struct probe_missing {
	const char *what; /* "zero-copy" */
	char why[512];
};

/* The answer of an open port, without pointers into it. */
struct probe_port {
	int opened;
	char error[512]; /* why not */
	struct mdfh_bypass_capabilities can;
	char copy_reason[128], mode[256], warning[512];
};

struct probe {
	struct probe_port port;
	int missing_count;
	struct probe_missing missing[PROBE_MISSING_MAX];
};

/* What a backend calls an interface: the devices to be tried, in order of speed. The count; 0 = the backend
 * receives from no interface. */
int mdfh_probe_devices(
    const char *backend, const char *interface, char devices[PROBE_DEVICES_MAX][PROBE_DEVICE_MAX]);

/* Why a kernel's interface cannot be had as a NIC by a backend that takes one away, and how it could. 1, or 0
 * with "": there is nothing to say. */
int mdfh_probe_hint(const char *backend, const char *interface, char *text, size_t size);

/* Open a port of the backend on the device, then again for each thing it lacks, to be told why. Joins no group
 * and reads no packet. 0, or -errno where no process can be made. */
int mdfh_probe(const char *backend, const char *device, struct probe *probe);

#endif
