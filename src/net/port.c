/* port.c - the public calls on an open port: a thin layer over the backend's operations. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "net/net.h"

enum { WAIT_SLICE_US = 50 }; /* between looks at a backend that can neither wait nor be polled */

/* Setup ---------------------------------------------------------------- */

/* A header before the IP packet hides it from whoever sorts packets but mdfh itself. */
static int check_header(const struct mdfh_bypass_config *config, const char *name)
{
	static const char *const reads[] = {"pcap", "dpdk", "fault", "null"};

	if (config->trailer != MDFH_TRAILER_ARISTA_7280)
		return 0;
	for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++)
		if (!strcmp(name, reads[i]))
			return 0;
	return mdfh_error(-ENOTSUP,
	    "%s: trailer is that of Arista's 7280, a header behind which this backend finds no "
	    "packets; "
	    "use dpdk",
	    name);
}

int mdfh_bypass_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port)
{
	struct mdfh_bypass_config filled;
	struct mdfh_flow flow;
	const struct mdfh_bypass_ops *ops;
	struct mdfh_bypass *opened = NULL;
	void *library;
	int rc;

	*port = NULL;
	rc = mdfh_bypass_config_defaults(config, &filled);
	if (rc)
		return rc;
	if (filled.host || filled.port) {
		flow = (struct mdfh_flow){.group = filled.host, .port = filled.port};
		filled.flows = &flow;
		filled.flow_count = 1;
	}
	rc = mdfh_clock_start();
	if (rc)
		return rc;
	rc = mdfh_registry_find(filled.backend, &ops, &library);
	if (rc)
		return rc;
	rc = check_header(&filled, ops->name);
	if (!rc)
		rc = ops->open(&filled, &opened);
	if (rc) {
		mdfh_registry_drop(library);
		return rc;
	}
	if (opened->ops)
		ops = opened->ops;
	opened->recv = ops->recv;
	opened->release = ops->release;
	opened->send = opened->capabilities.can_send ? ops->send : NULL;
	opened->batch_size = filled.batch_size;
	opened->poll_timeout_us = filled.poll_timeout_us;
	opened->cpu_core = filled.cpu_core;
	opened->ops = ops;
	opened->library = library;
	if (!opened->capabilities.mode)
		opened->capabilities.mode = "";
	*port = opened;
	return 0;
}

void mdfh_bypass_close(struct mdfh_bypass *port)
{
	void *library;

	if (!port)
		return;
	library = port->library;
	port->ops->close(port);
	mdfh_registry_drop(library);
}

/* Data path ------------------------------------------------------------ */

int mdfh_bypass_recv(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	if (n <= 0)
		return 0;
	if ((uint32_t)n > port->batch_size)
		n = (int)port->batch_size;
	return port->recv(port, packets, n);
}

void mdfh_bypass_release(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	if (n > 0)
		port->release(port, packets, n);
}

int mdfh_bypass_send(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	if (!port->send)
		return mdfh_error(-ENOTSUP, "%s: this port cannot send", port->ops->name);
	if (n <= 0)
		return 0;
	if (n > MDFH_BYPASS_BATCH_MAX)
		n = MDFH_BYPASS_BATCH_MAX;
	return port->send(port, packets, n);
}

int mdfh_bypass_reconnect(struct mdfh_bypass *port, uint64_t pause_ns)
{
	if (!port->ops->reconnect)
		return mdfh_error(
		    -ENOTSUP, "%s: this port has no connection to make anew", port->ops->name);
	return port->ops->reconnect(port, pause_ns);
}

/* Waiting -------------------------------------------------------------- */

static struct timespec timespec_of_us(uint32_t us)
{
	return (struct timespec){.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};
}

/* Look again and again, asleep in between. */
static int recv_sleeping(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	for (uint32_t left = port->poll_timeout_us; left;) {
		uint32_t slice = left < WAIT_SLICE_US ? left : WAIT_SLICE_US;
		struct timespec time = timespec_of_us(slice);
		int got;

		nanosleep(&time, NULL);
		got = mdfh_bypass_recv(port, packets, n);
		if (got)
			return got;
		left -= slice;
	}
	return 0;
}

int mdfh_bypass_recv_wait(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	int rc = mdfh_bypass_recv(port, packets, n);

	if (rc || n <= 0)
		return rc;
	if (port->ops->wait) {
		rc = port->ops->wait(port, port->poll_timeout_us);
	} else if (port->capabilities.poll_fd >= 0) {
		struct pollfd poll = {.fd = port->capabilities.poll_fd, .events = POLLIN};
		struct timespec time = timespec_of_us(port->poll_timeout_us);

		rc = ppoll(&poll, 1, &time, NULL);
		if (rc < 0)
			rc = errno == EINTR ? 0
					    : mdfh_error_errno(-EIO, "%s: poll", port->ops->name);
	} else {
		return recv_sleeping(port, packets, n);
	}
	return rc > 0 ? mdfh_bypass_recv(port, packets, n) : rc;
}

/* Control path --------------------------------------------------------- */

const struct mdfh_bypass_capabilities *mdfh_bypass_capabilities(const struct mdfh_bypass *port)
{
	return &port->capabilities;
}

int mdfh_bypass_stats(struct mdfh_bypass *port, struct mdfh_bypass_stats *stats)
{
	int rc = port->ops->stats ? port->ops->stats(port) : 0;

	*stats = port->stats;
	return rc;
}

int mdfh_bypass_counters(struct mdfh_bypass *port, struct mdfh_bypass_counter *counters, int max)
{
	return port->ops->counters ? port->ops->counters(port, counters, max < 0 ? 0 : max) : 0;
}

uint16_t mdfh_bypass_local_port(const struct mdfh_bypass *port, uint16_t flow)
{
	return port->ops->local_port ? port->ops->local_port(port, flow) : 0;
}

const char *mdfh_bypass_name(const struct mdfh_bypass *port)
{
	return port->ops->name;
}
