/* app_time.c - what is known of times that a backend reads itself. Apart, so that modules get it
 * without the clock, which is their host's. */
#include "core/host_clock.h"
#include "net/net.h"

uint16_t mdfh_app_time_flags(void)
{
	uint32_t error_ns; /* of the clock; how late it was read is not known */

	return (uint16_t)(MDFH_PACKET_TIME_APP |
			  (mdfh_host_clock_sync(&error_ns) ? MDFH_PACKET_CLOCK_SYNC : 0));
}
