/* worker.c - from a dispatch's ring through an engine. */
#include "handler/worker.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "mdfh/clock.h"
#include "mdfh/error.h"

enum {
	BATCH_SLOTS = 512, /* 32 KiB of records go through the books at once, at most */
	EMPTY_POLLS = 64,  /* empty turns between two looks at the time, and before it sleeps */
	NAP_NS = 50000,
	PUBLISH_NS = 100000000,
};

static const char what[] = "worker";

/* Setup ----------------------------------------------------------------------------------- */

int mdfh_worker_create(struct mdfh_worker *w, struct mdfh_engine *engine,
    struct mdfh_dispatch *dispatch, unsigned index, const struct mdfh_thread *receiver,
    uint32_t latency_sample)
{
	w->engine = engine;
	w->dispatch = dispatch;
	w->ring = mdfh_dispatch_ring(dispatch, index);
	w->index = index;
	w->receiver = receiver;
	w->sample_mask = (latency_sample ? latency_sample : 64) - 1;
	if (mdfh_published_create(&w->published, sizeof(struct mdfh_load_words)))
		return mdfh_error(-ENOMEM, "worker: out of memory");
	return mdfh_histogram_create(MDFH_STAGE_MAX_NS, &w->handover_latency);
}

void mdfh_worker_destroy(struct mdfh_worker *w)
{
	mdfh_histogram_destroy(w->handover_latency);
	mdfh_published_destroy(&w->published);
	mdfh_engine_destroy(w->engine);
}

/* Data path -------------------------------------------------------------------------------- */

static void publish(struct mdfh_worker *w, uint64_t ticks)
{
	struct mdfh_load_words load = mdfh_load_publish(&w->load);

	w->published_ticks = ticks;
	memcpy(w->published.scratch, &load, sizeof(load));
	mdfh_published_write(&w->published);
	mdfh_engine_publish(w->engine);
}

static void publish_in_time(struct mdfh_worker *w, uint64_t ticks)
{
	if (mdfh_clock_ticks_to_ns(ticks - w->published_ticks) >= PUBLISH_NS)
		publish(w, ticks);
}

static void take(struct mdfh_worker *w, const struct mdfh_record *record)
{
	const struct mdfh_span span = {
	    .data = (const uint8_t *)record + record->data_at,
	    .first = record->first,
	    .messages = record->messages,
	    .receive_ns = record->receive_ns,
	    .length = record->length,
	    .channel = record->number,
	    .epoch = record->epoch,
	    .line = record->line,
	    .kind = record->kind,
	    .cause = record->cause,
	    .flags = record->flags,
	};

	if (record->is_copy)
		mdfh_engine_copy(w->engine, record->index, &span);
	else if (record->is_scattered)
		mdfh_engine_scattered(
		    w->engine, record->index, &span, (const uint16_t *)(const void *)(record + 1));
	else
		mdfh_engine_span(w->engine, record->index, &span);
	if (record->ticks) {
		uint64_t now = mdfh_clock_ticks();

		if (now > record->ticks)
			mdfh_histogram_record(
			    w->handover_latency, mdfh_clock_ticks_to_ns(now - record->ticks));
	}
}

uint32_t mdfh_worker_poll(struct mdfh_worker *w)
{
	const void *slots;
	const uint8_t *at;
	uint32_t n = mdfh_ring_peek(w->ring, BATCH_SLOTS, &slots);
	uint32_t done = 0;

	if (!n) {
		mdfh_load_idle(&w->load);
		return 0;
	}
	mdfh_load_work(&w->load);
	/* A record is published whole, and may be longer than a batch. */
	if (((const struct mdfh_record *)slots)->slots > n)
		n = mdfh_ring_peek(w->ring, ((const struct mdfh_record *)slots)->slots, &slots);
	at = slots;
	mdfh_engine_begin(w->engine, (w->batches++ & w->sample_mask) == 0);
	while (done < n) {
		const struct mdfh_record *record =
		    (const void *)(at + (size_t)done * MDFH_RECORD_SLOT);

		if (record->slots > n - done)
			break; /* the rest of it is in the next batch's sight */
		if (record->kind != MDFH_RECORD_PAD)
			take(w, record);
		done += record->slots;
	}
	mdfh_engine_end(w->engine);
	mdfh_ring_release(w->ring, done);
	mdfh_load_worked(&w->load);
	publish_in_time(w, w->load.mark);
	return done;
}

void mdfh_worker_finish(struct mdfh_worker *w)
{
	while (mdfh_worker_poll(w))
		;
	for (unsigned c = 0; c < mdfh_dispatch_channels(w->dispatch); c++) {
		struct mdfh_span spans[MDFH_DISPATCH_OWED];
		unsigned index;
		int n = mdfh_dispatch_owed(w->dispatch, w->index, c, spans, &index);

		for (int i = 0; i < n; i++) {
			if (mdfh_dispatch_is_copy(w->dispatch, w->index, spans[i].kind))
				mdfh_engine_copy(w->engine, index, &spans[i]);
			else
				mdfh_engine_span(w->engine, index, &spans[i]);
		}
	}
	mdfh_engine_end(w->engine);
	mdfh_engine_tell(w->engine);
	mdfh_load_stop(&w->load);
	publish(w, mdfh_clock_ticks());
}

/* The thread ------------------------------------------------------------------------------- */

static void work(void *context)
{
	struct mdfh_worker *w = context;
	int spin = mdfh_thread_spins(&w->thread);
	const struct timespec nap = {.tv_nsec = NAP_NS};

	mdfh_load_start(&w->load);
	for (;;) {
		/* Asked before the ring is looked at: what was put into it before is then seen. */
		int more = mdfh_thread_running(w->receiver);

		if (mdfh_worker_poll(w)) {
			w->empty_polls = 0;
			continue;
		}
		if (!more)
			break;
		if (++w->empty_polls < EMPTY_POLLS)
			continue;
		w->empty_polls = 0;
		mdfh_engine_tell(w->engine);
		publish_in_time(w, mdfh_clock_ticks());
		if (!spin)
			nanosleep(&nap, NULL);
	}
	mdfh_worker_finish(w);
}

int mdfh_worker_start(struct mdfh_worker *w)
{
	return mdfh_thread_start(&w->thread, what, work, w);
}

int mdfh_worker_stop(struct mdfh_worker *w)
{
	return mdfh_thread_stop(&w->thread);
}

/* Reports ---------------------------------------------------------------------------------- */

void mdfh_worker_load(const struct mdfh_worker *w, struct mdfh_load_words *load)
{
	mdfh_published_read(&w->published, 0, load, sizeof(*load));
}
