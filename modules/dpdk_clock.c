/* dpdk_clock.c - the clock of a device that stamps packets: asked for its counter now and then, and
 * placed on the host's clock by it (core/device_clock.h). */
#include "modules/dpdk.h"

#include <errno.h>
#include <rte_cycles.h>

#include "core/host_clock.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"

enum { LOOK_NS = 1000000000 };

static void sample(struct dpdk_port *port)
{
	uint32_t error_ns;
	uint64_t before_ns = mdfh_clock_now_ns();
	uint64_t ticks;
	int rc = rte_eth_read_clock(port->device_id, &ticks);
	uint64_t after_ns = mdfh_clock_now_ns();

	port->clock_ns = after_ns;
	if (rc)
		mdfh_device_clock_check(&port->clock, after_ns);
	else
		(void)mdfh_device_clock_sample(
		    &port->clock, ticks, before_ns, after_ns, mdfh_host_clock_sync(&error_ns));
}

int dpdk_clock_open(struct dpdk_port *port, const struct mdfh_bypass_config *config)
{
	const struct mdfh_device_clock_config defaults = {0};
	int rc;

	port->time_flags = config->timestamps != MDFH_TIMESTAMPS_OFF ? mdfh_app_time_flags() : 0;
	port->has_device_stamps = port->receives && port->device->stamps >= 0;
	if (config->timestamps == MDFH_TIMESTAMPS_HARDWARE && !port->has_device_stamps)
		return mdfh_error(-ENOTSUP,
		    "dpdk: timestamps are asked of the hardware, and %s gives none; use software",
		    port->device->text);
	if (!port->has_device_stamps)
		return 0;
	port->stamp_offset = (size_t)port->device->stamps;
	port->stamp_flag = port->device->stamp_flag;
	rc = mdfh_device_clock_init(&port->clock, &defaults);
	if (rc)
		return rc;
	/* Two make a line; it becomes better with every look. */
	sample(port);
	(void)rte_delay_us_sleep(10000);
	sample(port);
	return 0;
}

void dpdk_clock_look(struct dpdk_port *port, uint64_t now_ns)
{
	/* Also when the host's clock has been set back. */
	if (now_ns - port->clock_ns < LOOK_NS)
		return;
	port->clock_ns = now_ns;
	if (port->time_flags)
		port->time_flags = mdfh_app_time_flags();
	if (port->has_device_stamps)
		sample(port);
}
