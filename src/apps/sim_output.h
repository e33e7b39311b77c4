/* sim_output.h - where mdfh sim sends its packets: through a backend, or to a capture file.
 *
 * Sending is for loopback and for namespaces of one's own: a made-up market on a firm's network, or
 * yesterday's, is an accident, so everything else is refused unless the user says that it is
 * meant. */
#ifndef MDFH_APPS_SIM_OUTPUT_H
#define MDFH_APPS_SIM_OUTPUT_H

#include "sim/sender.h"

struct sim_endpoint {
	char group[48];
	uint16_t port;
};

struct sim_output;

/* A file that gets its name when it is complete; until then it has .part before its suffix. */
struct sim_file {
	const char *path; /* with a suffix; borrowed */
	char *temporary;
};

int sim_file_name(struct sim_file *file, const char *path);

/* Rename it, or, after a failure, remove it. 0, or the failure, or why there is no renaming. A file
 * without a name is allowed. */
int sim_file_finish(struct sim_file *file, int failed);

/* "239.1.1.1:26477" or "[ff15::1]:26477" into its parts. 0, or -EINVAL. */
int sim_endpoint_parse(const char *text, struct sim_endpoint *endpoint);

/* 0 if sending there can do no harm, else -EPERM and the reason. */
int sim_output_check(
    const char *backend, const char *interface, const struct sim_endpoint *endpoint, uint32_t ttl);

/* Whether an interface of this backend is one of the kernel's, with its groups and routes. */
int sim_output_is_of_kernel(const char *backend);

/* 0 if the interface has a route for the group, as IPv4 always has: IPv6 on loopback may have none. */
int sim_output_check_route(const char *interface, const struct sim_endpoint *endpoint);

/* Wait until somebody in this network namespace has joined the group. 0, or -ETIMEDOUT. */
int sim_output_wait_for_listener(const struct sim_endpoint *endpoint, unsigned seconds);

/* Wait until the other end of the device is there. 0, or -ETIMEDOUT. */
int sim_output_wait_for_link(struct sim_output *output, unsigned seconds);

/* One port with a flow per line, which is the flow of the line's packets. */
int sim_output_open_port(const char *backend, const char *options, const char *interface,
    const struct sim_endpoint *endpoints, uint32_t lines, uint32_t ttl, struct sim_output **output);

/* The same through kernel sockets. */
int sim_output_open_sockets(const char *interface, const struct sim_endpoint *endpoints,
    uint32_t lines, uint32_t ttl, struct sim_output **output);

/* Packets go nowhere, in real time: for a day that others carry. */
int sim_output_open_nowhere(struct sim_output **output);

/* Frames are written with the times at which they are due, from start_ns on. */
int sim_output_open_capture(const char *path, const struct sim_endpoint *endpoints, uint32_t lines,
    uint64_t start_ns, struct sim_output **output);

/* Borrowed; what the sender is given. */
const struct mdfh_sender_output *sim_output_transport(const struct sim_output *output);

/* Reports what could not be written, and removes the capture then. NULL is allowed. */
int sim_output_close(struct sim_output *output);

/* After a failure: the capture is removed. NULL is allowed. */
void sim_output_discard(struct sim_output *output);

#endif
