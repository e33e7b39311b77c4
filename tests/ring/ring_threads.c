/* ring_threads.c - two threads, every item once and in order: ring_threads [ITEMS].
 *
 * The calls are mixed by a counter, so that singles, batches and reserve/peek meet each other at
 * every offset; a small ring makes both sides run full and empty all the time. */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "mdfh/error.h"
#include "mdfh/ring.h"

enum { BATCH = 64 };

struct item {
	uint64_t number;
	uint64_t check; /* ~number */
};

struct run {
	struct mdfh_ring *ring;
	uint64_t items;
	int mixed; /* else batches alone */
	_Atomic int failed;
};

/* Which call comes next: mixed runs give a third of the items to each kind. */
static unsigned kind_of(uint64_t number)
{
	return (unsigned)(number / 4096 % 3);
}

static void *produce(void *context)
{
	struct run *run = context;
	struct item batch[BATCH];
	uint64_t next = 0;

	while (next < run->items && !atomic_load_explicit(&run->failed, memory_order_relaxed)) {
		uint32_t n = run->items - next < BATCH ? (uint32_t)(run->items - next) : BATCH;
		unsigned kind = run->mixed ? kind_of(next) : 1;
		struct item *items = batch;
		void *slots;

		if (kind == 0)
			n = 1;
		if (kind == 2) {
			n = mdfh_ring_reserve(run->ring, n, &slots);
			items = slots;
		}
		for (uint32_t i = 0; i < n; i++)
			items[i] = (struct item){next + i, ~(next + i)};
		if (kind == 0)
			n = (uint32_t)mdfh_ring_push(run->ring, items);
		else if (kind == 1)
			n = mdfh_ring_push_batch(run->ring, items, n);
		else
			mdfh_ring_commit(run->ring, n);
		next += n;
		/* The two may share a core. */
		if (!n)
			sched_yield();
	}
	return NULL;
}

static int consume(struct run *run)
{
	struct item batch[BATCH];
	uint64_t next = 0;

	while (next < run->items) {
		/* Out of step with the producer's choice. */
		unsigned kind = run->mixed ? kind_of(next + 6000) : 1;
		const struct item *items = batch;
		const void *slots;
		uint32_t n;

		if (kind == 0) {
			n = (uint32_t)mdfh_ring_pop(run->ring, batch);
		} else if (kind == 1) {
			n = mdfh_ring_pop_batch(run->ring, batch, BATCH);
		} else {
			n = mdfh_ring_peek(run->ring, BATCH, &slots);
			items = slots;
		}
		for (uint32_t i = 0; i < n; i++) {
			if (items[i].number == next + i && items[i].check == ~(next + i))
				continue;
			fprintf(stderr, "item %" PRIu64 " is %" PRIu64 " (check %" PRIu64 ")\n",
			    next + i, items[i].number, ~items[i].check);
			atomic_store_explicit(&run->failed, 1, memory_order_relaxed);
			return 1;
		}
		if (kind == 2)
			mdfh_ring_release(run->ring, n);
		next += n;
		if (!n)
			sched_yield();
	}
	return 0;
}

static int check(uint32_t slots, uint64_t items, int mixed)
{
	struct mdfh_ring_config config = {
	    .size = sizeof(config), .slots = slots, .slot_size = sizeof(struct item)};
	struct run run = {.items = items, .mixed = mixed};
	pthread_t producer;
	int failed;

	if (mdfh_ring_create(&config, &run.ring)) {
		fprintf(stderr, "%s\n", mdfh_error_text());
		return 1;
	}
	if (pthread_create(&producer, NULL, produce, &run)) {
		fprintf(stderr, "no thread\n");
		mdfh_ring_destroy(run.ring);
		return 1;
	}
	failed = consume(&run);
	pthread_join(producer, NULL);
	if (!failed && mdfh_ring_used(run.ring)) {
		fprintf(stderr, "%u items are left over\n", mdfh_ring_used(run.ring));
		failed = 1;
	}
	mdfh_ring_destroy(run.ring);
	return failed;
}

int main(int argc, char **argv)
{
	uint64_t items = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;

	/* Half in batches, a quarter mixed, a quarter mixed in a ring that is always full. */
	if (check(4096, items / 2, 0) || check(4096, items / 4, 1) ||
	    check(128, items - items / 2 - items / 4, 1))
		return 1;
	printf("%" PRIu64 " items, all in order\n", items);
	return 0;
}
