/* publisher.h - messages into MoldUDP64 packets, each with the time at which it is due.
 *
 * The schedule is absolute and known beforehand: message i is due at a time that depends on i, the
 * rate and the day's timetable alone. It is even but for a burst of 1 ms at `burst` times the rate
 * in the middle of every 100 ms, which the rest of the 100 ms makes up for. Where the timetable
 * changes the pace, the schedule goes on from there at the new rate. A packet is due when it is full (with
 * its last message), or when its first message has waited for flush_ns. Reads no clock.
 *
 * Threads: one. */
#ifndef MDFH_SIM_PUBLISHER_H
#define MDFH_SIM_PUBLISHER_H

#include "sim/stream.h"

enum {
	MDFH_PUBLISHER_SESSION_SIZE = 10,
	MDFH_PUBLISHER_PAYLOAD_MIN = 20 + 2 + MDFH_DAY_MESSAGE_MAX,
	MDFH_PUBLISHER_PAYLOAD_MAX = 8972,
};

struct mdfh_publisher_config {
	struct mdfh_stream *stream; /* borrowed */
	double rate;                /* messages/s */
	double burst;               /* 1 = none, at most 50 */
	uint64_t flush_ns;
	uint32_t payload_max;                      /* bytes, header included */
	char session[MDFH_PUBLISHER_SESSION_SIZE]; /* padded with spaces */
	/* Messages carry the time at which their packet is due, counted from this time of day
	 * (ns since midnight), instead of the simulated day's time. Negative: they do not. */
	int64_t clock_start_ns;
};

struct mdfh_publisher_packet {
	uint8_t *data; /* the caller's buffer of payload_max bytes */
	uint32_t length;
	uint32_t messages;
	uint64_t first;  /* sequence number */
	uint64_t due_ns; /* since the start */
	uint32_t faults; /* of its first message: bit per entry of the scenario's lines */
};

struct mdfh_publisher;

int mdfh_publisher_create(
    const struct mdfh_publisher_config *config, struct mdfh_publisher **publisher);
void mdfh_publisher_destroy(struct mdfh_publisher *publisher);

/* The time of day at which due_ns 0 is: for a start that is known only later. */
void mdfh_publisher_set_clock(struct mdfh_publisher *publisher, int64_t clock_start_ns);

/* Fill the next packet. 1, 0 = the day is over, or a negative error. */
int mdfh_publisher_next(struct mdfh_publisher *publisher, struct mdfh_publisher_packet *packet);

/* A packet without messages: a heartbeat, or the end of the session, with the next number. Returns
 * its length. */
uint32_t mdfh_publisher_notice(
    const struct mdfh_publisher *publisher, uint64_t next, int is_end, uint8_t *data);

/* When message i (from 0) is due, in ns since the start. */
uint64_t mdfh_publisher_due_ns(double rate, double burst, uint64_t i);

#endif
