/* engine.h - what makes events of spans: decoders, books, depth snapshots, consumers.
 *
 * One thread is in an engine at a time: the receive thread that the spans come from, or one of its
 * workers. Everything that it needs is taken by create; nothing else allocates, locks or logs. It
 * reads no clock but the cycle counter, and that in sampled batches only. */
#ifndef MDFH_HANDLER_ENGINE_H
#define MDFH_HANDLER_ENGINE_H

#include <stdatomic.h>

#include "handler/consumer.h"
#include "mdfh/handler.h"
#include "proto/decoder.h"

struct mdfh_engine_channel {
	const char *protocol;
	enum mdfh_framing framing;
	uint16_t number; /* that spans and events carry */
	int64_t midnight_ns;
};

struct mdfh_engine_config {
	const struct mdfh_engine_channel *channels;
	unsigned channel_count;
	const struct mdfh_consumer_config *const *consumers;
	unsigned consumer_count;
	char *const *symbols;
	unsigned symbols_count;
	uint32_t instruments_max;
	struct mdfh_books_config books; /* instruments is filled in here */
	int keep_books;
	uint32_t depth_levels;
	const char *instruments_shared_name;
	const char *depth_shared_name;
	const atomic_bool *stop; /* ends a wait for room in a consumer's ring */
	mdfh_events_handler on_events;
	void *context;
};

struct mdfh_engine;

int mdfh_engine_create(const struct mdfh_engine_config *config, struct mdfh_engine **engine);
void mdfh_engine_destroy(struct mdfh_engine *engine); /* NULL is allowed */
void mdfh_engine_on_events(struct mdfh_engine *engine, mdfh_events_handler function, void *context);
/* Times of arrival are those of a capture. */
void mdfh_engine_set_recorded(struct mdfh_engine *engine);

/* A batch: begin, spans, end. sampling: time its stages. channel: index into the configuration's. */
void mdfh_engine_begin(struct mdfh_engine *engine, int sampling);
void mdfh_engine_span(struct mdfh_engine *engine, unsigned channel, const struct mdfh_span *span);
/* A span whose n-th message has the number first + numbers[n]. */
void mdfh_engine_scattered(struct mdfh_engine *engine, unsigned channel,
    const struct mdfh_span *span, const uint16_t *numbers);
/* A span that another engine has as well and counts: its events that name no instrument are flagged
 * MDFH_EVENT_COPY. */
void mdfh_engine_copy(struct mdfh_engine *engine, unsigned channel, const struct mdfh_span *span);
/* All of it becomes events. Between batches spans may come alone, with an end behind them. */
void mdfh_engine_end(struct mdfh_engine *engine);

/* Now and then: tell consumers what they missed, where nothing comes that would. */
void mdfh_engine_tell(struct mdfh_engine *engine);

/* Reports. publish is for the engine's own thread, what reads it for any. */
struct mdfh_engine_counts {
	uint64_t messages;
	uint64_t refused;
	uint64_t unknown;
};
void mdfh_engine_publish(struct mdfh_engine *engine);
void mdfh_engine_counts(
    const struct mdfh_engine *engine, unsigned channel, struct mdfh_engine_counts *counts);
void mdfh_engine_books_stats(const struct mdfh_engine *engine, struct mdfh_books_stats *stats);
/* Stages WIRE, DECODE, BOOK; NULL for the others. */
const struct mdfh_histogram *mdfh_engine_latency(
    const struct mdfh_engine *engine, enum mdfh_stage stage);
struct mdfh_consumer *mdfh_engine_consumer(struct mdfh_engine *engine, unsigned index);
const struct mdfh_books *mdfh_engine_books(const struct mdfh_engine *engine);
const struct mdfh_instruments *mdfh_engine_instruments(const struct mdfh_engine *engine);
const struct mdfh_depth *mdfh_engine_depth(const struct mdfh_engine *engine);

#endif
