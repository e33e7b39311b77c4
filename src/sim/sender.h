/* sender.h - packets of a publisher to one or two lines, each at its time.
 *
 * Open loop: the schedule does not wait for anyone. What goes out after its time is counted and
 * measured, never left out. Before the first message and in silence each line carries heartbeats,
 * and the end of session is repeated at the end. Where packets go and what time it is come from
 * outside, so that the same loop feeds sockets, capture files and tests.
 *
 * Threads: one; mdfh_sender_stop may be called from any thread or signal handler. */
#ifndef MDFH_SIM_SENDER_H
#define MDFH_SIM_SENDER_H

#include <stdatomic.h>

#include "mdfh/histogram.h"
#include "mdfh/packet.h"
#include "sim/publisher.h"

enum {
	MDFH_SENDER_LINES_MAX = 2,
	MDFH_SENDER_RANGES_MAX = 64,
	MDFH_SENDER_BATCH = 16, /* most packets handed over at a time */
	MDFH_SENDER_FAULTS_MAX = 32,
	MDFH_SENDER_LATE_NS = 100000 /* a message this much after its time counts as late */
};

/* Where packets go. Times are ns since the Unix epoch. */
struct mdfh_sender_output {
	void *context;
	uint64_t (*now_ns)(void *context);
	void (*wait_until)(void *context, uint64_t time_ns); /* may return early */
	/* How many were taken; the rest is offered again. Negative: the line is dead. The packets'
	 * flow is the line, too. */
	int (*send)(void *context, unsigned line, const struct mdfh_packet *packets, int n);
};

/* Packets that a line does not carry, for tests. */
struct mdfh_drop {
	uint32_t ppm; /* of packets, drawn by the seed */
	uint32_t ranges_count;
	struct {
		uint64_t first; /* sequence numbers: packets that hold any of them */
		uint64_t last;
	} ranges[MDFH_SENDER_RANGES_MAX];
};

/* "1000ppm", "5000-5010,7000", or both with a comma between. 0, or -EINVAL. */
int mdfh_drop_parse(const char *text, struct mdfh_drop *drop);

/* What a line suffers while the bit of this entry is set in a packet's faults. */
struct mdfh_line_fault {
	unsigned line;
	int is_silent; /* no packets, no heartbeats, and no end of session if it lasts till then */
	uint32_t drop_ppm; /* besides the line's own */
	uint64_t skew_ns;  /* of line B, instead of its own; 0 = its own */
};

struct mdfh_sender_config {
	struct mdfh_sender_output transport;
	struct mdfh_publisher *publisher; /* borrowed */
	uint32_t payload_max;             /* the publisher's */
	double packets_per_s_max;         /* bound, for the memory that a late line B needs */
	uint32_t lines;                   /* 1 or 2 */
	uint64_t seed;
	uint64_t start_ns;     /* when due_ns 0 is */
	uint64_t skew_ns;      /* line B behind line A, at most 1 s */
	uint64_t heartbeat_ns; /* silence before one; 0 = none */
	uint64_t linger_ns;    /* how long the end of session is repeated */
	struct mdfh_drop drop[MDFH_SENDER_LINES_MAX];
	struct mdfh_line_fault faults[MDFH_SENDER_FAULTS_MAX];
	uint32_t faults_count;
	/* NULL, or called about once a second; waits for nothing. */
	void (*progress)(void *context, uint64_t messages);
	void *progress_context;
	/* NULL, or called for each packet when it is line A's time, carried by a line or not; waits
	 * for nothing. */
	void (*publish)(void *context, const struct mdfh_publisher_packet *packet);
	void *publish_context;
};

struct mdfh_sender_line {
	uint64_t packets; /* with messages */
	uint64_t messages;
	uint64_t bytes;
	uint64_t heartbeats;
	uint64_t ends;
	uint64_t dropped_packets;
	uint64_t dropped_messages;
	uint64_t late_messages;             /* more than MDFH_SENDER_LATE_NS after their time */
	uint64_t refused_calls;             /* the socket took nothing, or not all */
	struct mdfh_histogram *lateness_ns; /* of messages */
};

struct mdfh_sender_stats {
	uint64_t messages;     /* published: sent or dropped on purpose */
	uint64_t packets;      /* of these, a line */
	uint64_t lost_on_both; /* messages that no line carried */
	uint64_t first_ns;
	uint64_t last_ns;     /* when the last packet had been sent */
	uint64_t last_due_ns; /* when it should have been */
	int is_interrupted;
	struct mdfh_sender_line lines[MDFH_SENDER_LINES_MAX];
};

struct mdfh_sender;

int mdfh_sender_create(const struct mdfh_sender_config *config, struct mdfh_sender **sender);
void mdfh_sender_destroy(struct mdfh_sender *sender);

/* Send everything. 0 when it is done or was stopped, or the error of a line. */
int mdfh_sender_run(struct mdfh_sender *sender);

/* No more messages: line B catches up with line A, then the end of session is sent. */
void mdfh_sender_stop(struct mdfh_sender *sender);

const struct mdfh_sender_stats *mdfh_sender_stats(const struct mdfh_sender *sender);

#endif
