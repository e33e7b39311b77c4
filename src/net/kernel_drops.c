/* kernel_drops.c - packets that the kernel threw away before any socket saw them.
 *
 * Each core has a queue of net.core.netdev_max_backlog packets between the driver (or loopback)
 * and the protocols; the second column of /proc/net/softnet_stat counts what did not fit. It
 * names neither interface nor group: a rise says that this host may be to blame. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/net.h"

uint64_t mdfh_kernel_drops_parse(const char *text)
{
	uint64_t total = 0;

	for (const char *line = text; line; line = strchr(line, '\n')) {
		unsigned processed, dropped;

		line += *line == '\n';
		if (sscanf(line, "%x %x", &processed, &dropped) == 2)
			total += dropped;
	}
	return total;
}

int mdfh_kernel_drops_open(void)
{
	return open("/proc/net/softnet_stat", O_RDONLY | O_CLOEXEC);
}

int mdfh_kernel_drops_read(int fd, uint64_t *total)
{
	static _Thread_local char text[65536]; /* a line of about 140 bytes per core */
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	*total = mdfh_kernel_drops_parse(text);
	return 1;
}
