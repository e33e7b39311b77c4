/* consumer.h - one consumer's ring as the receive thread sees it: writing, dropping, saying so. */
#ifndef MDFH_HANDLER_CONSUMER_H
#define MDFH_HANDLER_CONSUMER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "mdfh/handler.h"
#include "mdfh/ring.h"

enum {
	CONSUMER_TOUCHED_MAX = 64, /* instruments named one by one after a drop */
	CONSUMER_EPOCHS_MAX = 2,   /* of a channel, told of after a drop */
};

/* What was dropped of one channel and epoch since the ring became full. */
struct consumer_loss {
	uint64_t first;
	uint64_t last; /* less than first: markers only, which have no number */
	uint16_t channel;
	uint8_t epoch;
};

struct mdfh_consumer {
	/* Set up once, read by both sides. */
	struct mdfh_ring *ring;
	char name[64];
	enum mdfh_consumer_kind kind;
	enum mdfh_full full;
	uint32_t slot_size;
	uint32_t capacity;
	const struct mdfh_instruments *instruments;
	char **symbols; /* sorted; NULL = every instrument */
	unsigned symbols_count;
	int is_recorded; /* arrival times are those of a capture: no latency to measure */
	uint8_t *wanted; /* by instrument row: 0 = not known yet, 1 = wanted, 2 = not wanted */
	/* The rings of a consumer of several workers stand in a circle; users know the first. */
	struct mdfh_consumer *sibling;
	unsigned shard;

	/* The receive thread's. */
	_Alignas(MDFH_CACHE_LINE) uint64_t written;
	_Atomic uint64_t delivered; /* written by one thread, read by any: relaxed */
	_Atomic uint64_t dropped;
	_Atomic uint64_t gaps;
	const atomic_bool *stop; /* ends a wait for room */
	int dropping;
	unsigned losses_count;
	struct consumer_loss *losses; /* CONSUMER_EPOCHS_MAX per channel of the thread, in order */
	unsigned losses_max;
	unsigned touched_count; /* CONSUMER_TOUCHED_MAX + 1 = too many to name */
	uint32_t touched[CONSUMER_TOUCHED_MAX];
	int64_t lost_ns; /* arrival of the newest event that was dropped */

	/* A sampled slot: "position was committed at ticks". The release store of sample_position
	 * pairs with the acquire load in mdfh_consumer_peek. */
	_Alignas(MDFH_CACHE_LINE) _Atomic uint64_t sample_ticks;
	_Atomic uint64_t sample_position; /* 0 = none */

	/* The consuming thread's. */
	_Alignas(MDFH_CACHE_LINE) uint64_t read;
	struct mdfh_consumer *reading; /* the first one's: whose turn it is ... */
	uint32_t held;                 /* ... and events peeked at that were not given back */
	uint64_t sample_seen;
	struct mdfh_histogram *ring_latency;
	struct mdfh_histogram *whole_latency;
	struct mdfh_histogram *intended_latency;
	uint64_t measured; /* events whose intended_latency is known */
};

int mdfh_consumer_create(const struct mdfh_consumer_config *config,
    const struct mdfh_instruments *instruments, unsigned channels, const atomic_bool *stop,
    struct mdfh_consumer **consumer);
void mdfh_consumer_destroy(struct mdfh_consumer *consumer);

/* Read next, a consumer by itself or of such a circle, as part of first, which is what is asked. */
void mdfh_consumer_join(struct mdfh_consumer *first, struct mdfh_consumer *next);

/* Room for a batch that may be written in place: returns slots that lie together, 0 = write
 * elsewhere and call mdfh_consumer_write. Only for consumers of every instrument. */
uint32_t mdfh_consumer_reserve(
    struct mdfh_consumer *consumer, uint32_t want, struct mdfh_event **slots);
void mdfh_consumer_commit(struct mdfh_consumer *consumer, uint32_t n);

/* Copy a batch in; what does not fit is dropped (or waited for), as configured. */
void mdfh_consumer_write(struct mdfh_consumer *consumer, const struct mdfh_event *events, int n);
void mdfh_consumer_write_raw(struct mdfh_consumer *consumer, const struct mdfh_raw *head,
    const uint8_t *data, uint32_t length);

/* Now and then: tell what was missed as soon as there is room, where nothing comes that would. */
void mdfh_consumer_tell(struct mdfh_consumer *consumer);

/* Remember when the newest slot was committed. */
void mdfh_consumer_sample(struct mdfh_consumer *consumer, uint64_t ticks);

#endif
