/* clock_shared.h - a line of a clock, published by one thread and read by any.
 *
 * There are two copies and a version: readers use copy[version & 1] while the writer fills the other
 * one, so a reader repeats only when a whole publication fell inside its read, and never waits for a
 * writer that was preempted. */
#ifndef MDFH_CORE_CLOCK_SHARED_H
#define MDFH_CORE_CLOCK_SHARED_H

#include <stdatomic.h>

#include "core/clock_line.h"
#include "mdfh/base.h"

/* struct mdfh_clock_line, field by field. Stored with release and loaded with acquire, so that
 * the check of the version that follows a torn read always sees the version that caused it. */
struct mdfh_clock_copy {
	_Atomic uint64_t ticks;
	_Atomic uint64_t ns;
	_Atomic uint64_t error_ns;
	_Atomic uint64_t slope;
	_Atomic uint64_t rate;
	_Atomic uint64_t drift_rate;
};

struct mdfh_clock_shared {
	_Alignas(MDFH_CACHE_LINE) _Atomic uint32_t version;
	struct mdfh_clock_copy copy[2];
};

/* The line now in force, whole. */
static inline struct mdfh_clock_line mdfh_clock_shared_read(const struct mdfh_clock_shared *shared)
{
	struct mdfh_clock_line line;
	uint32_t version;

	do {
		/* Pairs with the last store of publish; the loads below with its other ones. */
		version = atomic_load_explicit(&shared->version, memory_order_acquire);
		const struct mdfh_clock_copy *from = &shared->copy[version & 1];

		line.ticks = atomic_load_explicit(&from->ticks, memory_order_acquire);
		line.ns = atomic_load_explicit(&from->ns, memory_order_acquire);
		line.error_ns = atomic_load_explicit(&from->error_ns, memory_order_acquire);
		line.slope = atomic_load_explicit(&from->slope, memory_order_acquire);
		line.rate = atomic_load_explicit(&from->rate, memory_order_acquire);
		line.drift_rate = atomic_load_explicit(&from->drift_rate, memory_order_acquire);
	} while (atomic_load_explicit(&shared->version, memory_order_relaxed) != version);
	return line;
}

/* One writer at a time. */
static inline void mdfh_clock_shared_publish(
    struct mdfh_clock_shared *shared, const struct mdfh_clock_line *line)
{
	uint32_t version = atomic_load_explicit(&shared->version, memory_order_relaxed);
	struct mdfh_clock_copy *to = &shared->copy[(version + 1) & 1];

	/* Pair with the acquire loads of read. */
	atomic_store_explicit(&to->ticks, line->ticks, memory_order_release);
	atomic_store_explicit(&to->ns, line->ns, memory_order_release);
	atomic_store_explicit(&to->error_ns, line->error_ns, memory_order_release);
	atomic_store_explicit(&to->slope, line->slope, memory_order_release);
	atomic_store_explicit(&to->rate, line->rate, memory_order_release);
	atomic_store_explicit(&to->drift_rate, line->drift_rate, memory_order_release);
	atomic_store_explicit(&shared->version, version + 1, memory_order_release);
}

#endif
