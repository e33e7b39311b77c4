/* mdfh/backend.h - for authors of backends: the operations table and the module ABI.
 *
 * A backend embeds struct mdfh_bypass as the first member of its own port structure and
 * provides one const struct mdfh_bypass_ops. Built-in backends stand in the table of
 * src/net/registry.c. A module is a shared object that defines one symbol,
 *
 *     const struct mdfh_backend_module mdfh_backend_module = { ... };
 *
 * and links to nothing of mdfh: what it needs it gets from struct mdfh_backend_host.
 *
 * Threads: open, close and stats may be called from any thread, never at the same time as
 * recv on the same port; recv, release and send come from one thread.
 * A backend is done when `mdfh conformance MODULE.so` passes. */
#ifndef MDFH_BACKEND_H
#define MDFH_BACKEND_H

#include "mdfh/bypass.h"
#include "mdfh/memory.h"

MDFH_BEGIN_DECLS

/* Raised when struct mdfh_bypass_ops, struct mdfh_bypass or struct mdfh_backend_host change
 * so that an old module would misbehave. A module of another version is refused by name. */
#define MDFH_BACKEND_ABI 1

/* What a backend can do. */
struct mdfh_bypass_ops {
	size_t size; /* sizeof(struct mdfh_bypass_ops) */
	const char *name;
	const char *description; /* one line for `mdfh backends` */

	/* 0 if the backend can work here, else a negative errno and a sentence. May be NULL. */
	int (*probe)(void);

	/* config has been checked and has its defaults; host and port have become flows[0]. It and
	 * all that it points to live only for the call. On failure: nothing left open. A backend
	 * whose ports differ may set port->ops to another table of its own for this one. */
	int (*open)(const struct mdfh_bypass_config *config, struct mdfh_bypass **port);

	/* n is at least 1 and at most the port's batch_size. See mdfh_bypass_recv. */
	int (*recv)(struct mdfh_bypass *port, struct mdfh_packet *packets, int n);
	/* Wait until packets are there or timeout_us has passed: 1, 0 or negative. NULL: the
	 * caller polls capabilities.poll_fd, or sleeps when there is none. */
	int (*wait)(struct mdfh_bypass *port, uint32_t timeout_us);
	void (*release)(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n);
	/* NULL: the backend cannot send. */
	int (*send)(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n);
	void (*close)(struct mdfh_bypass *port);

	/* Bring port->stats up to date. NULL: recv keeps them so. */
	int (*stats)(struct mdfh_bypass *port);
	uint16_t (*local_port)(const struct mdfh_bypass *port, uint16_t flow);

	/* See mdfh_bypass_reconnect. NULL: the backend has no connections. */
	int (*reconnect)(struct mdfh_bypass *port, uint64_t pause_ns);

	/* See mdfh_bypass_counters. NULL: there are none. */
	int (*counters)(struct mdfh_bypass *port, struct mdfh_bypass_counter *counters, int max);

	/* 1 = a queue of an interface has room for one port, so all flows that come through it
	 * must be flows of that port. */
	int is_exclusive;
};

/* The part of a port that every backend has, first in its own structure, zeroed. open fills
 * capabilities; the library fills the rest after open. The hot function pointers stand here
 * so that a call costs one load. */
struct mdfh_bypass {
	int (*recv)(struct mdfh_bypass *port, struct mdfh_packet *packets, int n);
	void (*release)(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n);
	int (*send)(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n);
	uint32_t batch_size;
	uint32_t poll_timeout_us;
	uint32_t cpu_core; /* as configured: MDFH_CORE(n) or 0 */
	uint32_t reserved;
	const struct mdfh_bypass_ops *ops;
	void *library; /* belongs to the registry: the module that must stay loaded */
	struct mdfh_bypass_capabilities capabilities;
	struct mdfh_bypass_stats stats; /* written by the receiving thread only */
};

/* What a module may call. Later versions add fields at the end: check size. error, error_errno,
 * error_text and clock_ns are mdfh_error() and so on and may be called anywhere; the
 * rest is for open, close and probe: memory in hugepages and on a node (mdfh/memory.h), and the node
 * of a network device, -1 = unknown (mdfh/cpu.h). */
struct mdfh_backend_host {
	size_t size;
	int (*error)(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));
	int (*error_errno)(int error, const char *format, ...)
	    __attribute__((format(printf, 2, 3)));
	const char *(*error_text)(void);
	uint64_t (*clock_ns)(void);
	int (*region_map)(const struct mdfh_region_config *config, struct mdfh_region *region);
	void (*region_unmap)(struct mdfh_region *region);
	int (*interface_node)(const char *interface);
};

/* What the one symbol of a module is. */
struct mdfh_backend_module {
	uint32_t abi;  /* MDFH_BACKEND_ABI */
	uint32_t size; /* sizeof(struct mdfh_backend_module) */
	const struct mdfh_bypass_ops *ops;
	/* Called once after loading; 0, or a negative errno to refuse. May be NULL. */
	int (*load)(const struct mdfh_backend_host *host);
};

/* The symbol's name. */
#define MDFH_BACKEND_MODULE_SYMBOL "mdfh_backend_module"

MDFH_END_DECLS
#endif
