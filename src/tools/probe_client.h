/* probe_client.h - receives a run of probe messages and accounts for every one of them.
 *
 * A receive thread of its own takes packets from any backend, finds the messages in them (those
 * of a stream across reads) and hands a record of each through an mdfh_ring to the consumer, the
 * caller's thread in probe_client_run, which keeps the tally and the latencies. The receive
 * thread waits when the ring is full, so that nothing is lost between the two; what that costs
 * is in ring_waits.
 *
 * Latency is counted from when the schedule wanted a message sent, so a sender or receiver that
 * falls behind shows it. Its stages add up to it:
 *   send     due to handed over to the sender's kernel
 *   wire     from there to the arrival that the backend stamped (where it stamps)
 *   receive  from there to the receive thread, all of its batch at once
 *   ring     from there to the consumer */
#ifndef MDFH_TOOLS_PROBE_CLIENT_H
#define MDFH_TOOLS_PROBE_CLIENT_H

#include <stdatomic.h>

#include "mdfh/bypass.h"
#include "mdfh/fault.h"
#include "mdfh/histogram.h"
#include "tools/probe_tally.h"

enum probe_stage {
	PROBE_STAGE_TOTAL,
	PROBE_STAGE_SEND,
	PROBE_STAGE_WIRE,
	PROBE_STAGE_RECEIVE,
	PROBE_STAGE_RING,
	PROBE_STAGES,
};

struct probe_client_config {
	struct mdfh_bypass_config bypass;
	uint64_t run;        /* messages of other runs are foreign; 0 = that of the first message */
	uint32_t ring_slots; /* power of two */
	int spin;            /* neither thread sleeps */
	uint64_t warmup_ns;  /* latencies of messages due so long after the first are left out */
};

struct probe_client_limits {
	uint64_t first_wait_ns; /* how long the first message may take */
	uint64_t silence_ns;    /* between two */
	uint64_t duration_ns;   /* after the first; 0 = no limit */
	/* NULL, or stored once nothing more will be sent. */
	const atomic_int *sender_done;
	const atomic_int *stop; /* NULL, or stored to end now */
	void (*live)(void *context);
	void *live_context; /* about once a second, on the consumer's thread */
};

struct probe_client_result {
	struct probe_tally tally;
	uint64_t message_bytes;
	uint64_t damaged;    /* messages of which any byte was wrong; not in the tally */
	uint64_t malformed;  /* packets, or stretches of a stream, with something else in them */
	uint64_t foreign;    /* messages of another run */
	uint64_t incomplete; /* messages that a connection ended in the middle of */
	uint64_t connects;
	uint64_t disconnects;
	uint64_t ring_waits;
	uint64_t ring_high_water;
	uint64_t end_sequence; /* of the end mark; 0 = none came */
	uint64_t first_ns; /* arrival of the first message, and of the newest, at the consumer */
	uint64_t last_ns;
	uint64_t negative; /* stages that two clocks' errors made less than nothing; counted as 0 */
	uint64_t receiver_cpu_ns;
	uint64_t consumer_cpu_ns;
	uint64_t kernel_drops; /* of the machine's receive queues, all traffic, during the run */
	struct mdfh_bypass_stats port;
	struct mdfh_fault_counts fault; /* zeros unless the backend is "fault" */
	struct mdfh_histogram *latency_ns[PROBE_STAGES];
};

struct probe_client;

/* Open the port, which then receives into its buffers, and start the receive thread. */
int probe_client_open(const struct probe_client_config *config, struct probe_client **client);
void probe_client_close(struct probe_client *client);

uint16_t probe_client_port(const struct probe_client *client); /* as bound */
/* The name of the backend, or of the one under the faults. */
const char *probe_client_backend(const struct probe_client *client);
const struct mdfh_bypass_capabilities *probe_client_capabilities(const struct probe_client *client);

/* Account until the end mark has come and nothing is missing, or it is clear that no more will
 * come. 0, -EINTR (stopped), -ETIMEDOUT (no message came at all), or what the port died of. The
 * port is closed; the result stays until close. */
int probe_client_run(struct probe_client *client, const struct probe_client_limits *limits);

/* While it runs: on the consumer's thread. Port counters are those of up to 0.2 s ago. */
const struct probe_client_result *probe_client_result(const struct probe_client *client);

const char *probe_stage_name(enum probe_stage stage);

#endif
