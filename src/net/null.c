/* null.c - packets without I/O: measures everything but the receiving.
 *
 * recv hands out the same read-only bytes again and again and send swallows, so that what a bench
 * sees is the cost of the layers above. Options: length (bytes, default 64), count (packets until
 * the source ends, default 0 = endless). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/lines.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "net/net.h"

struct null_port {
	struct mdfh_bypass base; /* first, so a port pointer is a null_port pointer */
	uint64_t left;           /* packets until the end */
	uint32_t length;
	uint32_t flow_count;
	uint32_t flow;       /* of the next packet: flows take turns */
	uint16_t time_flags; /* 0 = no times */
	uint8_t *data;
};

/* Setup ---------------------------------------------------------------- */

static int null_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port)
{
	static const char *const keys[] = {"length", "count", NULL};
	uint64_t length = 64, count = 0;
	struct null_port *null;
	int rc;

	rc = mdfh_option_known(config->backend_options, "null", keys);
	if (!rc)
		rc = mdfh_option_number(
		    config->backend_options, "length", 0, config->frame_size, &length);
	if (!rc)
		rc = mdfh_option_number(config->backend_options, "count", 0, INT64_MAX, &count);
	if (rc)
		return rc;
	if (config->transport == MDFH_TRANSPORT_TCP)
		return mdfh_error(
		    -ENOTSUP, "null: transport is TCP; it makes packets, and no stream of bytes");
	if (config->timestamps > MDFH_TIMESTAMPS_OFF)
		return mdfh_error(-ENOTSUP,
		    "null: timestamps must be default or off; nothing stamps these packets");

	if (config->trailer)
		return mdfh_error(-ENOTSUP, "null: trailer is set; its packets have no frames");

	null = mdfh_lines_alloc(1, sizeof(*null));
	if (!null)
		return mdfh_error(-ENOMEM, "null: %zu bytes", sizeof(*null));
	null->data = calloc(1, config->frame_size);
	if (!null->data) {
		free(null);
		return mdfh_error(-ENOMEM, "null: %u bytes", config->frame_size);
	}
	null->left = config->direction == MDFH_DIRECTION_SEND ? 0 : count ? count : UINT64_MAX;
	null->length = (uint32_t)length;
	null->flow_count = config->flow_count;
	null->time_flags = config->timestamps != MDFH_TIMESTAMPS_OFF ? mdfh_app_time_flags() : 0;
	null->base.stats.known_drops = 7;
	null->base.capabilities = (struct mdfh_bypass_capabilities){
	    .size = sizeof(null->base.capabilities),
	    .zero_copy = 1,
	    .copy_reason = "",
	    .timestamps = null->time_flags ? MDFH_PLACE_SOFTWARE : MDFH_PLACE_NONE,
	    .can_send = config->direction != MDFH_DIRECTION_RECEIVE,
	    .is_finite = count && config->direction != MDFH_DIRECTION_SEND,
	    .queues = 1,
	    .hold_max = UINT32_MAX, /* nothing is used up */
	    .frame_size = config->frame_size,
	    .poll_fd = -1,
	    .drops_in_recv = 1,
	    .numa_node = -1,
	    .warning = "",
	};
	*port = &null->base;
	return 0;
}

static void null_close(struct mdfh_bypass *port)
{
	struct null_port *null = (struct null_port *)port;

	free(null->data);
	free(null);
}

/* Data path ------------------------------------------------------------ */

static int null_recv(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	struct null_port *null = (struct null_port *)port;
	uint64_t now = null->time_flags ? mdfh_clock_now_ns() : 0;
	struct mdfh_packet packet = {
	    .data = null->data,
	    .receive_ns = now,
	    .length = null->length,
	    .time_error_ns = UINT32_MAX,
	    .flow = MDFH_FLOW_NONE,
	    .flags = null->time_flags,
	};

	if ((uint64_t)n > null->left)
		n = (int)null->left;
	if (!n) {
		port->stats.rx_empty++;
		return port->capabilities.is_finite ? -ENODATA : 0;
	}
	for (int i = 0; i < n; i++) {
		if (null->flow_count) {
			packet.flow = (uint16_t)null->flow++;
			if (null->flow == null->flow_count)
				null->flow = 0;
		}
		packets[i] = packet;
	}
	if (null->left != UINT64_MAX)
		null->left -= (uint64_t)n;
	port->stats.rx_packets += (uint64_t)n;
	port->stats.rx_bytes += (uint64_t)n * null->length;
	port->stats.rx_batches++;
	return n;
}

static void null_release(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	(void)port;
	(void)packets;
	(void)n;
}

static int null_send(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	for (int i = 0; i < n; i++)
		port->stats.tx_bytes += packets[i].length;
	port->stats.tx_packets += (uint64_t)n;
	return n;
}

const struct mdfh_bypass_ops mdfh_null_ops = {
    .size = sizeof(mdfh_null_ops),
    .name = "null",
    .description = "packets from nowhere, for benches",
    .open = null_open,
    .recv = null_recv,
    .release = null_release,
    .send = null_send,
    .close = null_close,
};
