/* hardware_stamps.c - have the NIC say when each packet came. */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "mdfh/error.h"
#include "net/net.h"

int mdfh_hardware_stamps_start(int fd, const char *backend, const char *interface)
{
	struct ethtool_ts_info info = {.cmd = ETHTOOL_GET_TS_INFO};
	struct hwtstamp_config stamps = {0};
	const unsigned need = SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE;
	struct ifreq request = {0};

	if (!interface)
		return mdfh_error(-EINVAL,
		    "%s: timestamps is hardware and interface is not set; name the NIC", backend);
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	request.ifr_data = (char *)&info;
	if (ioctl(fd, SIOCETHTOOL, &request) || (info.so_timestamping & need) != need)
		return mdfh_error(-ENOTSUP,
		    "%s: timestamps is hardware and %s has no hardware receive stamps; use "
		    "software",
		    backend, interface);
	request.ifr_data = (char *)&stamps;
	if (ioctl(fd, SIOCGHWTSTAMP, &request)) /* an older driver does not say */
		stamps = (struct hwtstamp_config){0};
	else if (stamps.rx_filter == HWTSTAMP_FILTER_ALL)
		return 0;
	/* Stamps of what is sent stay: whoever keeps the NIC's clock by PTP needs them. */
	stamps.rx_filter = HWTSTAMP_FILTER_ALL;
	if (ioctl(fd, SIOCSHWTSTAMP, &request))
		return mdfh_error_errno(-errno,
		    "%s: %s cannot be told to stamp every packet (SIOCSHWTSTAMP)", backend,
		    interface);
	return 0;
}
