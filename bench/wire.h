/* wire.h - a wire for benchmarks: a veth pair between two network namespaces, and a thread that sends
 * datagrams to a multicast group through one end of it at a fixed rate.
 *
 * The process's own namespace, new, has the end "rx0"; the sender's has "tx0". Both vanish with the
 * process, and neither has a way out. The sender is on core 0, the calling thread goes to core 1. */
#ifndef MDFH_BENCH_WIRE_H
#define MDFH_BENCH_WIRE_H

#include <stdint.h>

#include "mdfh/bypass.h"

#define WIRE_GROUP     "239.77.0.1"
#define WIRE_INTERFACE "rx0"
#define WIRE_MEMIF     "net_memif" /* in place of the veth pair, through DPDK at both ends */

enum { WIRE_PORT = 26477, WIRE_BYTES = 128 };

struct wire_stamps { /* what a datagram begins with */
	uint64_t run, due_ns, sent_ns;
};

/* As root, before there is a second thread. 0 or a negative error with its sentence. */
int wire_open(void);
void wire_close(void);

/* Send count datagrams, the first at first_ns, then rate a second: open loop, each has its time
 * whatever became of those before. wire_wait returns when all have been sent. */
void wire_start(uint64_t run, uint64_t first_ns, uint64_t rate, uint64_t count);
void wire_wait(void);

/* What a benchmark's argument BACKEND[/OPTIONS[/INTERFACE]] names; INTERFACE is WIRE_INTERFACE where it
 * is left out. The text is cut up, and must stay. */
struct wire_way {
	const char *backend, *options, *interface;
};

struct wire_way wire_parse_way(char *text);
/* A port that receives what is sent, in batches of up to batch packets. */
int wire_open_port(const struct wire_way *way, uint32_t batch, struct mdfh_bypass **port);
void wire_close_port(struct mdfh_bypass *port); /* NULL is allowed */

#endif
