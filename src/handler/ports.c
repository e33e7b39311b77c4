/* ports.c - lines of a configuration to open ports; the session's midnight. */
#include "handler/ports.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mdfh/capture.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "net/net.h"

int mdfh_group_parse(const char *text, char *address, size_t size, uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	const char *end = colon;
	const char *start = text;
	char *rest;
	unsigned long number;

	if (text[0] == '[') {
		start = text + 1;
		end = strchr(text, ']');
		if (!end || end + 1 != colon)
			end = NULL;
	}
	if (!colon || !end || end == start || (size_t)(end - start) >= size)
		goto bad;
	if (text[0] != '[' && memchr(text, ':', (size_t)(colon - text)))
		goto bad; /* an IPv6 address needs its brackets */
	number = strtoul(colon + 1, &rest, 10);
	/* Digits alone: strtoul would take blanks and a sign, too. */
	if (colon[1] < '0' || colon[1] > '9' || *rest || number < 1 || number > 65535)
		goto bad;
	memcpy(address, start, (size_t)(end - start));
	address[end - start] = '\0';
	*port = (uint16_t)number;
	return 0;

bad:
	return mdfh_error(-EINVAL,
	    "group '%s' is not ADDRESS:PORT; write 239.1.1.1:26477 or [ff15::1]:26477", text);
}

/* Names are not looked up: an answer that takes long would hold up a start, and a wrong one is none. */
static int check_numeric(const char *what, const char *text, const char *address)
{
	struct mdfh_address parsed;

	if (mdfh_address_parse(address, 1, &parsed))
		return 0;
	return mdfh_error(-EINVAL,
	    "%s '%s': the address must be a numeric one; `getent hosts %s` finds that of a name",
	    what, text, address);
}

int mdfh_line_has_faults(const struct mdfh_line_config *line)
{
	const struct mdfh_fault_config *fault = &line->fault;

	return fault->loss_ppm || fault->duplicate_ppm || fault->reorder_ppm || fault->damage_ppm ||
	       fault->truncate_ppm || fault->delay_ppm;
}

static int is_same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/* One generator draws for a port, so seeds may differ. */
static int is_same_fault(struct mdfh_fault_config a, const struct mdfh_fault_config *b)
{
	a.seed = b->seed;
	return !memcmp(&a, b, sizeof(a));
}

int mdfh_lines_meet(const struct mdfh_line_config *a, const struct mdfh_line_config *b)
{
	return !a->file && !b->file && a->backend && is_same(a->backend, b->backend) &&
	       is_same(a->interface, b->interface) && a->queue == b->queue &&
	       mdfh_backend_is_exclusive(a->backend);
}

int mdfh_lines_share(const struct mdfh_line_config *a, const struct mdfh_line_config *b)
{
	return mdfh_lines_meet(a, b) && is_same(a->backend_options, b->backend_options) &&
	       a->rx_ring_size == b->rx_ring_size && a->batch_size == b->batch_size &&
	       a->frame_size == b->frame_size && a->busy_poll_us == b->busy_poll_us &&
	       a->hold_max == b->hold_max && a->zero_copy_threshold == b->zero_copy_threshold &&
	       a->zero_copy == b->zero_copy && a->require_zero_copy == b->require_zero_copy &&
	       a->receive_buffer_bytes == b->receive_buffer_bytes &&
	       a->timestamps == b->timestamps && a->trailer == b->trailer &&
	       is_same_fault(a->fault, &b->fault);
}

/* What a stream needs: few and large buffers, as every border between two costs a copy. */
enum { STREAM_FRAME = 65535, STREAM_FRAMES = 64 };

int mdfh_port_open(const struct mdfh_line_config *const *lines, unsigned count, uint32_t cpu_core,
    enum mdfh_switch hugepages, uint32_t poll_timeout_us, struct mdfh_bypass **port,
    unsigned *wrong)
{
	const struct mdfh_line_config *line = lines[0];
	struct mdfh_flow flows[MDFH_BYPASS_FLOWS_MAX] = {{0}};
	char addresses[MDFH_BYPASS_FLOWS_MAX][64];
	struct mdfh_bypass_config config = {
	    .size = sizeof(config),
	    .backend = !line->backend && line->file ? "pcap" : line->backend,
	    .interface = line->interface,
	    .backend_options = line->backend_options,
	    .file = line->file,
	    .speed = line->speed,
	    .queue = line->queue,
	    .rx_ring_size = line->rx_ring_size,
	    .batch_size = line->batch_size,
	    .frame_size = line->frame_size,
	    .busy_poll_us = line->busy_poll_us,
	    .hold_max = line->hold_max,
	    .zero_copy_threshold = line->zero_copy_threshold,
	    .enable_zero_copy = line->zero_copy,
	    .require_zero_copy = line->require_zero_copy,
	    .receive_buffer_bytes = line->receive_buffer_bytes,
	    .timestamps = line->timestamps,
	    .trailer = line->trailer,
	    .cpu_core = cpu_core,
	    .hugepages = hugepages,
	    .poll_timeout_us = poll_timeout_us,
	    .direction = MDFH_DIRECTION_RECEIVE,
	};
	struct mdfh_bypass_config fault = {
	    .size = sizeof(fault),
	    .backend = "fault",
	    .lower = &config,
	    .fault = line->fault,
	    .cpu_core = cpu_core,
	    .poll_timeout_us = poll_timeout_us,
	};

	for (unsigned i = 0; i < count; i++) {
		int err;

		*wrong = i;
		if (lines[i]->server) {
			if (mdfh_group_parse(lines[i]->server, addresses[i], sizeof(addresses[i]),
				&flows[i].port))
				return mdfh_error(-EINVAL,
				    "server '%s' is not ADDRESS:PORT; write 10.1.1.1:9000 or "
				    "[fd00::1]:9000",
				    lines[i]->server);
			err = check_numeric("server", lines[i]->server, addresses[i]);
			if (err)
				return err;
			flows[i].group = addresses[i];
			config.flow_count = 1;
			config.flows = flows;
			config.transport = MDFH_TRANSPORT_TCP;
			config.direction = MDFH_DIRECTION_DEFAULT;
			config.frame_size = line->frame_size ? line->frame_size : STREAM_FRAME;
			config.rx_ring_size =
			    line->rx_ring_size ? line->rx_ring_size : STREAM_FRAMES;
			continue;
		}
		if (!lines[i]->group) /* a capture read whole: everything in it is the line */
			continue;
		err = mdfh_group_parse(
		    lines[i]->group, addresses[i], sizeof(addresses[i]), &flows[i].port);
		if (!err)
			err = check_numeric("group", lines[i]->group, addresses[i]);
		if (err)
			return err;
		flows[i].group = addresses[i];
		flows[i].source = lines[i]->source;
		flows[i].vlan = lines[i]->vlan;
		config.flow_count = i + 1;
		config.flows = flows;
	}
	*wrong = 0;
	return mdfh_bypass_open(mdfh_line_has_faults(line) ? &fault : &config, port);
}

static int first_capture_ns(const char *file, int64_t *ns)
{
	struct mdfh_capture *capture;
	struct mdfh_capture_frame frame;
	int found = mdfh_capture_open(file, &capture);

	if (found < 0)
		return found;
	found = mdfh_capture_next(capture, &frame);
	mdfh_capture_close(capture);
	if (found <= 0)
		return mdfh_error(-ENODATA,
		    "%s holds no packet, so its day is not known; give the session date", file);
	*ns = (int64_t)frame.time_ns;
	return 0;
}

int mdfh_session_midnight(
    const char *zone, const char *date, const char *file, int64_t *midnight_ns)
{
	int64_t at_ns = (int64_t)mdfh_clock_now_ns();

	if (date)
		return mdfh_midnight_of_date(zone, date, midnight_ns);
	if (file) {
		int err = first_capture_ns(file, &at_ns);

		if (err)
			return err;
	}
	return mdfh_midnight_before(zone, at_ns, midnight_ns);
}
