/* dispatch.h - from one receive thread to the rings of its workers.
 *
 * Spans are copied into the ring of the worker that has their channel, or message by message into
 * that of the worker that has their instrument: there they stand in the channel's order. What names no
 * instrument goes to every worker, flagged a copy for all but the first. Between the two threads there
 * is nothing but the ring.
 *
 * A full ring is waited for, or the worker loses messages: then it is told so by a gap span of cause
 * MDFH_CAUSE_WORKER when there is room again, before its next message. */
#ifndef MDFH_HANDLER_DISPATCH_H
#define MDFH_HANDLER_DISPATCH_H

#include <stdatomic.h>
#include <stdbool.h>

#include "mdfh/handler.h"
#include "mdfh/ring.h"

struct mdfh_dispatch_channel {
	const char *protocol;
	enum mdfh_framing framing;
	uint16_t number;
	/* Sharded by channel: the worker that has it, and the channel's index there. Sharded by
	 * instrument all workers have all channels, by the same indices as here. */
	unsigned worker;
	unsigned index;
};

/* Room for the longest message and for the longest story of what was missed. */
enum { MDFH_DISPATCH_RING_LEAST = 256 << 10 };

struct mdfh_dispatch_config {
	const struct mdfh_dispatch_channel *channels;
	unsigned channel_count;
	unsigned workers;
	enum mdfh_shard shard; /* CHANNEL or INSTRUMENT */
	uint32_t ring_bytes;   /* of each worker's ring, a power of two of at least
				* MDFH_DISPATCH_RING_LEAST; 0 = default */
	enum mdfh_switch hugepages;
	const atomic_bool *stop; /* ends a wait for room */
};

/* Of one worker's ring, since create; all are the receive thread's. */
struct mdfh_dispatch_counts {
	uint64_t messages; /* handed over */
	uint64_t dropped;  /* that found the ring full */
	uint64_t gaps;     /* told of them */
	uint64_t waits;    /* times that the receive thread waited for room */
};

/* What any worker lost of a channel. A message for all of them counts once. */
struct mdfh_dispatch_lost {
	uint64_t messages;
	uint64_t gaps;
};

enum {
	MDFH_RECORD_SLOT = 64,
	MDFH_RECORD_PAD = 255, /* kind: nothing, up to the end of the ring's memory */
};

/* What stands in a ring: a span and its bytes, on slots that lie together. */
struct mdfh_record {
	uint64_t first;
	uint64_t messages;
	int64_t receive_ns;
	uint64_t ticks; /* when it was handed over; 0 = not measured */
	uint32_t slots;
	uint32_t length;  /* bytes of messages ... */
	uint32_t data_at; /* ... which begin here. Scattered: behind a u16 per message, which comes
			   * after the record: its number - first */
	uint16_t number;  /* of the channel */
	uint16_t index;   /* of the channel in the worker's engine */
	uint16_t flags;
	uint8_t kind; /* enum mdfh_span_kind, or MDFH_RECORD_PAD */
	uint8_t epoch;
	uint8_t line;
	uint8_t cause;
	uint8_t is_copy;
	uint8_t is_scattered;
};

/* Most spans that a worker is told of what it missed of a channel: of each of two sessions its begin,
 * a gap and its end. */
enum { MDFH_DISPATCH_OWED = 6 };

struct mdfh_dispatch;

/* -EINVAL: with shard INSTRUMENT, a protocol whose messages do not each name their instrument. */
int mdfh_dispatch_create(
    const struct mdfh_dispatch_config *config, struct mdfh_dispatch **dispatch);
void mdfh_dispatch_destroy(struct mdfh_dispatch *dispatch); /* NULL is allowed */
/* What happens when a ring is full; WAIT at first. */
void mdfh_dispatch_set_full(struct mdfh_dispatch *dispatch, enum mdfh_full full);

/* The receive thread: one span of a channel; and the end of a batch, when at the latest the workers
 * see what came. sampling: let them measure how long it takes to reach them. */
void mdfh_dispatch_span(
    struct mdfh_dispatch *dispatch, unsigned channel, const struct mdfh_span *span);
void mdfh_dispatch_commit(struct mdfh_dispatch *dispatch, int sampling);

/* Now and then, from the receive thread: tell the workers what they missed where nothing comes that
 * would bring it to light. They see it with the next commit. */
void mdfh_dispatch_tell(struct mdfh_dispatch *dispatch);

/* What a worker is still to be told of a channel once the receive thread has ended. Returns how many
 * spans; index: of that channel at the worker. Each is told once. */
int mdfh_dispatch_owed(struct mdfh_dispatch *dispatch, unsigned worker, unsigned channel,
    struct mdfh_span spans[MDFH_DISPATCH_OWED], unsigned *index);
/* 1 if such a span, told to a worker, is told to the first one as well. */
int mdfh_dispatch_is_copy(const struct mdfh_dispatch *dispatch, unsigned worker, unsigned kind);

unsigned mdfh_dispatch_workers(const struct mdfh_dispatch *dispatch);
unsigned mdfh_dispatch_channels(const struct mdfh_dispatch *dispatch);
struct mdfh_ring *mdfh_dispatch_ring(struct mdfh_dispatch *dispatch, unsigned worker);
/* The receive thread's, as they are now; what a worker was told at its end counts once it has ended. */
const struct mdfh_dispatch_counts *mdfh_dispatch_counts(
    const struct mdfh_dispatch *dispatch, unsigned worker);
void mdfh_dispatch_lost(
    const struct mdfh_dispatch *dispatch, unsigned channel, struct mdfh_dispatch_lost *lost);

#endif
