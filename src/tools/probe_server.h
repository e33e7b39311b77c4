/* probe_server.h - sends a run of probe messages at the times of a schedule that waits for nobody.
 *
 * UDP and multicast go out through the socket backend, TCP through a plain kernel socket whose
 * client is whoever connects first. Messages are sent in batches that are due together; what
 * went out late is counted and measured, what did not go out at all is the difference between
 * scheduled and messages.
 *
 * Threads: one, but for probe_server_stop and probe_server_sent, which any thread may call (and a
 * signal handler the first); probe_server_stats is for after serve or join. */
#ifndef MDFH_TOOLS_PROBE_SERVER_H
#define MDFH_TOOLS_PROBE_SERVER_H

#include <stdatomic.h>
#include <stdint.h>

#include "mdfh/histogram.h"

enum probe_transport { PROBE_UDP, PROBE_MULTICAST, PROBE_TCP };

struct probe_server_config {
	enum probe_transport transport;
	const char *host;      /* UDP: where to; TCP: the address to listen on; numeric */
	const char *interface; /* NULL = the kernel's choice */
	uint16_t port;         /* TCP: 0 = any free one */
	int may_transmit;      /* multicast past loopback and closed namespaces is meant */
	double rate;           /* messages/s */
	double burst;          /* as in sim/publisher.h; 1 = even */
	uint64_t messages;
	uint32_t batch_size;   /* messages due together */
	uint32_t message_size; /* PROBE_HEADER..PROBE_MESSAGE_MAX */
	uint64_t run;
	uint64_t give_up_ns; /* no message is sent so long after the last one was due */
};

struct probe_server_stats {
	uint64_t scheduled;
	uint64_t messages; /* handed to the kernel */
	uint64_t packets;  /* TCP: send calls' pieces, which the stream does not keep */
	uint64_t bytes;
	uint64_t late_messages; /* by more than MDFH_SENDER_LATE_NS */
	uint64_t full;          /* times that the kernel took nothing */
	uint64_t first_ns;      /* when the first was due */
	uint64_t last_ns;       /* when the last was handed over */
	uint64_t cpu_ns;
	int is_interrupted;
	int is_given_up;
	struct mdfh_histogram *lateness_ns; /* of messages, due to handed over */
};

struct probe_server;

/* Slow; on failure *server is NULL and mdfh_error_text() says why. */
int probe_server_open(const struct probe_server_config *config, struct probe_server **server);
void probe_server_close(struct probe_server *server);

uint16_t probe_server_port(const struct probe_server *server);

struct probe_server_start {
	int core;        /* to pin the sending thread to; -1 = none */
	unsigned wait_s; /* for the client: that it connects (TCP), or that somebody in this network
	                  * namespace has joined (multicast); UDP waits for nobody */
	uint64_t delay_ns; /* after that */
};

/* Wait for the client, send everything and then the end mark. 0, also when it was stopped while
 * sending or gave up; -ETIMEDOUT: no client; -EINTR: stopped before there was one; -EPIPE: the
 * client has gone; or another error of the sending. */
int probe_server_serve(struct probe_server *server, const struct probe_server_start *start);

/* The same on a thread of its own. join returns what serve did. */
int probe_server_serve_on_thread(
    struct probe_server *server, const struct probe_server_start *start);
int probe_server_join(struct probe_server *server);

/* Loaded with acquire, it is 1 once that thread sends nothing any more. */
const atomic_int *probe_server_done(const struct probe_server *server);

/* No more messages; the end mark is still sent. */
void probe_server_stop(struct probe_server *server);

uint64_t probe_server_sent(const struct probe_server *server); /* messages so far */
const struct probe_server_stats *probe_server_stats(const struct probe_server *server);

const char *probe_transport_name(enum probe_transport transport); /* "udp" ... */

#endif
