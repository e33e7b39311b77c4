/* worker.h - a thread that makes events of what one receive thread hands to it.
 *
 * It runs until that thread has ended and its ring is empty; stop only ends its waiting for
 * consumers. */
#ifndef MDFH_HANDLER_WORKER_H
#define MDFH_HANDLER_WORKER_H

#include "handler/dispatch.h"
#include "handler/engine.h"
#include "handler/load.h"
#include "handler/published.h"
#include "handler/thread.h"

struct mdfh_worker {
	struct mdfh_engine *engine;
	struct mdfh_dispatch *dispatch; /* borrowed */
	struct mdfh_ring *ring;         /* of the dispatch */
	unsigned index;                 /* among the workers of its receive thread */
	const struct mdfh_thread *receiver;
	struct mdfh_histogram *handover_latency;
	uint32_t sample_mask;
	struct mdfh_thread thread;

	/* The thread's. */
	_Alignas(MDFH_CACHE_LINE) uint32_t batches;
	unsigned empty_polls;
	uint64_t published_ticks;
	struct mdfh_load load;
	struct mdfh_published published; /* struct mdfh_load_words */
};

/* Takes the engine over, also on failure. latency_sample: a power of two. */
int mdfh_worker_create(struct mdfh_worker *worker, struct mdfh_engine *engine,
    struct mdfh_dispatch *dispatch, unsigned index, const struct mdfh_thread *receiver,
    uint32_t latency_sample);
void mdfh_worker_destroy(struct mdfh_worker *worker);
int mdfh_worker_start(struct mdfh_worker *worker);
/* When its receive thread has ended: it works off what there is. 1, or 0 if it had not been started. */
int mdfh_worker_stop(struct mdfh_worker *worker);

/* What the thread does, for who runs it elsewhere: one turn. Returns slots worked off. finish: when
 * nothing more will come. */
uint32_t mdfh_worker_poll(struct mdfh_worker *worker);
void mdfh_worker_finish(struct mdfh_worker *worker);

void mdfh_worker_load(const struct mdfh_worker *worker, struct mdfh_load_words *load);

#endif
