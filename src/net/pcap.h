/* pcap.h - what tests set in a pcap port. */
#ifndef MDFH_NET_PCAP_H
#define MDFH_NET_PCAP_H

#include "mdfh/backend.h"

/* Take the time from now(context), in ns from any start, instead of CLOCK_MONOTONIC. Before the
 * first recv. `wait` does not sleep then. */
void mdfh_pcap_set_clock(struct mdfh_bypass *port, uint64_t (*now)(void *context), void *context);

#endif
