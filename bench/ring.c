/* ring.c - mdfh_ring beside ck_ring and DPDK's rte_ring: throughput and round trip, in one run.
 *
 *     bench_ring [--cores A,B] [--items N] [--repeats N] [--json]
 *
 * Every ring gets the same work: the producer writes all words of an item, the consumer adds
 * them all up, and the sum is checked. So a ring that copies pays for its copy, and one that
 * gives out its slots ("in place") does not. The rings take turns within each of the repeats
 * and the median counts, because two cores of a virtual machine may be neighbours in one second
 * and not in the next: the time a cache line takes there and back is measured with every repeat
 * and printed beside. Figures of different runs compare only when these agree. */
#include <argp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mdfh/clock.h"
#include "mdfh/cpu.h"
#include "mdfh/error.h"
#include "mdfh/memory.h"
#include "mdfh/ring.h"

#if MDFH_BENCH_CK
#include <ck_ring.h>
#endif
#if MDFH_BENCH_RTE
#include <rte_ring.h>
#include <rte_ring_peek_zc.h>
#endif

#define INLINE static inline __attribute__((always_inline))

enum {
	SLOTS = 4096,
	BURST = 32,
	REPEATS_MAX = 101,
	ITEM_MAX = 64,
	/* Columns of the table. */
	SINGLE_32 = 0,
	BURST_32,
	SINGLE_64,
	BURST_64,
	TRIP_32,
	TRIP_64,
	COLUMNS,
};

/* Both directions; throughput uses the first. */
struct channel {
	struct mdfh_ring *mdfh;
	void *items; /* ck: the slots */
	struct mdfh_region region;
	void *peer; /* ck_ring, rte_ring */
};

struct work {
	struct channel channel[2];
	uint64_t items;
	uint64_t sum; /* of what the consumer has read */
	uint64_t start_ticks;
	uint64_t end_ticks;
	pthread_barrier_t barrier;
};

/* Of items first, first + 1 ...: put returns how many it took; get adds up what it read. size
 * and n are constants wherever these are called. */
typedef uint32_t (*put_fn)(struct channel *channel, uint64_t first, size_t size, uint32_t n);
typedef uint32_t (*get_fn)(struct channel *channel, size_t size, uint32_t n, uint64_t *sum);

INLINE void write_items(void *to, uint64_t first, size_t size, uint32_t n)
{
	uint64_t *words = to;

	for (uint32_t i = 0; i < n; i++) {
		for (size_t w = 0; w < size / 8; w++)
			words[i * (size / 8) + w] = first + i;
	}
}

INLINE uint64_t sum_items(const void *from, size_t size, uint32_t n)
{
	const uint64_t *words = from;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n * (size / 8); i++)
		sum += words[i];
	return sum;
}

/* mdfh_ring ------------------------------------------------------------ */

INLINE uint32_t mdfh_put(struct channel *channel, uint64_t first, size_t size, uint32_t n)
{
	uint64_t items[BURST * ITEM_MAX / 8];

	write_items(items, first, size, n);
	if (n == 1)
		return (uint32_t)mdfh_ring_push(channel->mdfh, items);
	return mdfh_ring_push_batch(channel->mdfh, items, n);
}

INLINE uint32_t mdfh_get(struct channel *channel, size_t size, uint32_t n, uint64_t *sum)
{
	uint64_t items[BURST * ITEM_MAX / 8];
	uint32_t got = n == 1 ? (uint32_t)mdfh_ring_pop(channel->mdfh, items)
			      : mdfh_ring_pop_batch(channel->mdfh, items, n);

	if (got)
		*sum += sum_items(items, size, got);
	return got;
}

INLINE uint32_t mdfh_put_in_place(struct channel *channel, uint64_t first, size_t size, uint32_t n)
{
	void *slots;
	uint32_t got = mdfh_ring_reserve(channel->mdfh, n, &slots);

	if (got) {
		write_items(slots, first, size, got);
		mdfh_ring_commit(channel->mdfh, got);
	}
	return got;
}

INLINE uint32_t mdfh_get_in_place(struct channel *channel, size_t size, uint32_t n, uint64_t *sum)
{
	const void *slots;
	uint32_t got = mdfh_ring_peek(channel->mdfh, n, &slots);

	if (got) {
		*sum += sum_items(slots, size, got);
		mdfh_ring_release(channel->mdfh, got);
	}
	return got;
}

static int mdfh_create(struct channel *channel, size_t size)
{
	struct mdfh_ring_config config = {
	    .size = sizeof(config), .slots = SLOTS, .slot_size = (uint32_t)size};

	return mdfh_ring_create(&config, &channel->mdfh);
}

/* ck_ring -------------------------------------------------------------- */

#if MDFH_BENCH_CK || MDFH_BENCH_RTE
static int take_memory(struct channel *channel, size_t bytes)
{
	struct mdfh_region_config config = {.size = sizeof(config), .bytes = bytes};

	return mdfh_region_map(&config, &channel->region);
}
#endif

#if MDFH_BENCH_CK
struct item_32 {
	uint64_t words[4];
};

struct item_64 {
	uint64_t words[8];
};

CK_RING_PROTOTYPE(item_32, item_32)
CK_RING_PROTOTYPE(item_64, item_64)

INLINE uint32_t ck_put(struct channel *channel, uint64_t first, size_t size, uint32_t n)
{
	uint64_t item[ITEM_MAX / 8];

	(void)n; /* has singles only */
	write_items(item, first, size, 1);
	if (size == 32)
		return ck_ring_enqueue_spsc_item_32(
		    channel->peer, channel->items, (struct item_32 *)item);
	return ck_ring_enqueue_spsc_item_64(channel->peer, channel->items, (struct item_64 *)item);
}

INLINE uint32_t ck_get(struct channel *channel, size_t size, uint32_t n, uint64_t *sum)
{
	uint64_t item[ITEM_MAX / 8];
	int got;

	(void)n;
	if (size == 32)
		got = ck_ring_dequeue_spsc_item_32(
		    channel->peer, channel->items, (struct item_32 *)item);
	else
		got = ck_ring_dequeue_spsc_item_64(
		    channel->peer, channel->items, (struct item_64 *)item);
	if (got)
		*sum += sum_items(item, size, 1);
	return (uint32_t)got;
}

static int ck_create(struct channel *channel, size_t size)
{
	size_t head = (sizeof(struct ck_ring) + 127) & ~(size_t)127;
	int err = take_memory(channel, head + SLOTS * size);

	if (err)
		return err;
	channel->peer = channel->region.base;
	channel->items = (uint8_t *)channel->region.base + head;
	ck_ring_init(channel->peer, SLOTS);
	return 0;
}
#endif

/* rte_ring -------------------------------------------------------------- */

#if MDFH_BENCH_RTE
INLINE uint32_t rte_put(struct channel *channel, uint64_t first, size_t size, uint32_t n)
{
	uint64_t items[BURST * ITEM_MAX / 8];

	write_items(items, first, size, n);
	if (n == 1)
		return !rte_ring_sp_enqueue_elem(channel->peer, items, (unsigned)size);
	return rte_ring_sp_enqueue_burst_elem(channel->peer, items, (unsigned)size, n, NULL);
}

INLINE uint32_t rte_get(struct channel *channel, size_t size, uint32_t n, uint64_t *sum)
{
	uint64_t items[BURST * ITEM_MAX / 8];
	uint32_t got;

	if (n == 1)
		got = !rte_ring_sc_dequeue_elem(channel->peer, items, (unsigned)size);
	else
		got = rte_ring_sc_dequeue_burst_elem(channel->peer, items, (unsigned)size, n, NULL);
	if (got)
		*sum += sum_items(items, size, got);
	return got;
}

INLINE uint32_t rte_put_in_place(struct channel *channel, uint64_t first, size_t size, uint32_t n)
{
	struct rte_ring_zc_data place;
	uint32_t got =
	    rte_ring_enqueue_zc_burst_elem_start(channel->peer, (unsigned)size, n, &place, NULL);

	if (got) {
		write_items(place.ptr1, first, size, place.n1);
		if (got > place.n1)
			write_items(place.ptr2, first + place.n1, size, got - place.n1);
		rte_ring_enqueue_zc_elem_finish(channel->peer, got);
	}
	return got;
}

INLINE uint32_t rte_get_in_place(struct channel *channel, size_t size, uint32_t n, uint64_t *sum)
{
	struct rte_ring_zc_data place;
	uint32_t got =
	    rte_ring_dequeue_zc_burst_elem_start(channel->peer, (unsigned)size, n, &place, NULL);

	if (got) {
		*sum += sum_items(place.ptr1, size, place.n1);
		if (got > place.n1)
			*sum += sum_items(place.ptr2, size, got - place.n1);
		rte_ring_dequeue_zc_elem_finish(channel->peer, got);
	}
	return got;
}

static int rte_create(struct channel *channel, size_t size)
{
	int err = take_memory(channel, (size_t)rte_ring_get_memsize_elem((unsigned)size, SLOTS));

	if (err)
		return err;
	channel->peer = channel->region.base;
	return rte_ring_init(channel->peer, "bench", SLOTS, RING_F_SP_ENQ | RING_F_SC_DEQ);
}
#endif

/* Work ------------------------------------------------------------------ */

INLINE void produce(struct work *work, put_fn put, size_t size, uint32_t n)
{
	uint64_t next = 0, items = work->items;

	pthread_barrier_wait(&work->barrier);
	work->start_ticks = mdfh_clock_ticks();
	/* A ring may take a part of a burst: then the last one is made of singles. */
	while (next < items)
		next += items - next >= n ? put(&work->channel[0], next, size, n)
					  : put(&work->channel[0], next, size, 1);
}

INLINE void consume(struct work *work, get_fn get, size_t size, uint32_t n)
{
	uint64_t seen = 0, items = work->items, sum = 0;

	pthread_barrier_wait(&work->barrier);
	while (seen < items)
		seen += get(&work->channel[0], size, n, &sum);
	work->end_ticks = mdfh_clock_ticks();
	work->sum = sum;
}

INLINE void ping(struct work *work, put_fn put, get_fn get, size_t size)
{
	uint64_t sum = 0;

	pthread_barrier_wait(&work->barrier);
	work->start_ticks = mdfh_clock_ticks();
	for (uint64_t i = 0; i < work->items; i++) {
		while (!put(&work->channel[0], i, size, 1))
			;
		while (!get(&work->channel[1], size, 1, &sum))
			;
	}
	work->end_ticks = mdfh_clock_ticks();
	work->sum = sum;
}

INLINE void pong(struct work *work, put_fn put, get_fn get, size_t size)
{
	uint64_t sum = 0;

	pthread_barrier_wait(&work->barrier);
	for (uint64_t i = 0; i < work->items; i++) {
		while (!get(&work->channel[0], size, 1, &sum))
			;
		while (!put(&work->channel[1], i, size, 1))
			;
	}
}

typedef void (*side_fn)(struct work *work);

struct subject {
	const char *name;
	int (*create)(struct channel *channel, size_t size);
	struct {
		side_fn producer; /* NULL: the ring has no such call */
		side_fn consumer;
	} columns[COLUMNS];
	double results[COLUMNS][REPEATS_MAX];
};

/* The loops with put, get, size and n known to the compiler, as they are in real code. */
#define SINGLE_SIDES(name, put, get)                                                               \
	static void name##_produce_32_1(struct work *work)                                         \
	{                                                                                          \
		produce(work, put, 32, 1);                                                         \
	}                                                                                          \
	static void name##_produce_64_1(struct work *work)                                         \
	{                                                                                          \
		produce(work, put, 64, 1);                                                         \
	}                                                                                          \
	static void name##_consume_32_1(struct work *work)                                         \
	{                                                                                          \
		consume(work, get, 32, 1);                                                         \
	}                                                                                          \
	static void name##_consume_64_1(struct work *work)                                         \
	{                                                                                          \
		consume(work, get, 64, 1);                                                         \
	}                                                                                          \
	static void name##_ping_32(struct work *work)                                              \
	{                                                                                          \
		ping(work, put, get, 32);                                                          \
	}                                                                                          \
	static void name##_pong_32(struct work *work)                                              \
	{                                                                                          \
		pong(work, put, get, 32);                                                          \
	}                                                                                          \
	static void name##_ping_64(struct work *work)                                              \
	{                                                                                          \
		ping(work, put, get, 64);                                                          \
	}                                                                                          \
	static void name##_pong_64(struct work *work)                                              \
	{                                                                                          \
		pong(work, put, get, 64);                                                          \
	}

#define BURST_SIDES(name, put, get)                                                                \
	static void name##_produce_32_n(struct work *work)                                         \
	{                                                                                          \
		produce(work, put, 32, BURST);                                                     \
	}                                                                                          \
	static void name##_produce_64_n(struct work *work)                                         \
	{                                                                                          \
		produce(work, put, 64, BURST);                                                     \
	}                                                                                          \
	static void name##_consume_32_n(struct work *work)                                         \
	{                                                                                          \
		consume(work, get, 32, BURST);                                                     \
	}                                                                                          \
	static void name##_consume_64_n(struct work *work)                                         \
	{                                                                                          \
		consume(work, get, 64, BURST);                                                     \
	}

#define SINGLES(name)                                                                              \
	[SINGLE_32] = {name##_produce_32_1, name##_consume_32_1},                                  \
	[SINGLE_64] = {name##_produce_64_1, name##_consume_64_1},                                  \
	[TRIP_32] = {name##_ping_32, name##_pong_32}, [TRIP_64] = {name##_ping_64, name##_pong_64}

#define BURSTS(name)                                                                               \
	[BURST_32] = {name##_produce_32_n, name##_consume_32_n}, [BURST_64] = {                    \
								     name##_produce_64_n,          \
								     name##_consume_64_n}

SINGLE_SIDES(mdfh, mdfh_put, mdfh_get)
BURST_SIDES(mdfh, mdfh_put, mdfh_get)
SINGLE_SIDES(mdfh_in_place, mdfh_put_in_place, mdfh_get_in_place)
BURST_SIDES(mdfh_in_place, mdfh_put_in_place, mdfh_get_in_place)
#if MDFH_BENCH_CK
SINGLE_SIDES(ck, ck_put, ck_get)
#endif
#if MDFH_BENCH_RTE
SINGLE_SIDES(rte, rte_put, rte_get)
BURST_SIDES(rte, rte_put, rte_get)
SINGLE_SIDES(rte_in_place, rte_put_in_place, rte_get_in_place)
BURST_SIDES(rte_in_place, rte_put_in_place, rte_get_in_place)
#endif

static struct subject subjects[] = {
    {"mdfh_ring", mdfh_create, {SINGLES(mdfh), BURSTS(mdfh)}, {{0}}},
    {"mdfh_ring in place", mdfh_create, {SINGLES(mdfh_in_place), BURSTS(mdfh_in_place)}, {{0}}},
#if MDFH_BENCH_CK
    {"ck_ring spsc", ck_create, {SINGLES(ck)}, {{0}}},
#endif
#if MDFH_BENCH_RTE
    {"rte_ring SP/SC", rte_create, {SINGLES(rte), BURSTS(rte)}, {{0}}},
    {"rte_ring SP/SC in place", rte_create, {SINGLES(rte_in_place), BURSTS(rte_in_place)}, {{0}}},
#endif
};

enum { SUBJECTS = sizeof(subjects) / sizeof(subjects[0]) };

/* One line of memory, there and back. */
static _Alignas(MDFH_RING_PAIR) _Atomic uint64_t line;

static void line_ping(struct work *work)
{
	pthread_barrier_wait(&work->barrier);
	work->start_ticks = mdfh_clock_ticks();
	for (uint64_t i = 0; i < work->items; i++) {
		/* Pairs with the acquire load of line_pong, and the other way round. */
		atomic_store_explicit(&line, 2 * i + 1, memory_order_release);
		while (atomic_load_explicit(&line, memory_order_acquire) != 2 * i + 2)
			;
	}
	work->end_ticks = mdfh_clock_ticks();
}

static void line_pong(struct work *work)
{
	pthread_barrier_wait(&work->barrier);
	for (uint64_t i = 0; i < work->items; i++) {
		while (atomic_load_explicit(&line, memory_order_acquire) != 2 * i + 1)
			;
		atomic_store_explicit(&line, 2 * i + 2, memory_order_release);
	}
}

/* Running --------------------------------------------------------------- */

static struct {
	unsigned cores[2];
	uint64_t items;
	unsigned repeats;
	int json;
} options = {.cores = {0, 1}, .items = 2000000, .repeats = 5};

struct thread {
	struct work *work;
	side_fn side;
	unsigned core;
};

static void *run_side(void *context)
{
	struct thread *thread = context;

	/* Checked in main before. */
	if (mdfh_cpu_pin(thread->core))
		abort();
	thread->side(thread->work);
	return NULL;
}

/* Nanoseconds that both sides took together. */
static double run_pair(struct work *work, side_fn one, side_fn two)
{
	struct thread sides[2] = {{work, one, options.cores[0]}, {work, two, options.cores[1]}};
	pthread_t threads[2];

	pthread_barrier_init(&work->barrier, NULL, 2);
	for (int i = 0; i < 2; i++) {
		if (pthread_create(&threads[i], NULL, run_side, &sides[i]))
			abort();
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&work->barrier);
	return (double)mdfh_clock_ticks_to_ns(work->end_ticks - work->start_ticks);
}

static double line_trip(void)
{
	struct work work = {.items = 20000};

	atomic_store(&line, 0);
	return run_pair(&work, line_ping, line_pong) / (double)work.items;
}

static void drop(struct channel *channel)
{
	mdfh_ring_destroy(channel->mdfh);
	mdfh_region_unmap(&channel->region);
}

/* Million items a second, or ns for a round trip; -1 when the sum is wrong. */
static double run_column(const struct subject *subject, int column)
{
	static struct work work; /* large alignment, and fresh memory each time is noise */
	size_t size = column == SINGLE_32 || column == BURST_32 || column == TRIP_32 ? 32 : 64;
	int trip = column == TRIP_32 || column == TRIP_64;
	uint64_t want;
	double ns = -1;

	memset(&work, 0, sizeof(work));
	work.items = trip ? options.items / 80 : options.items;
	want = work.items * (work.items - 1) / 2 * (size / 8);
	if (subject->create(&work.channel[0], size) || subject->create(&work.channel[1], size))
		fprintf(stderr, "%s: %s\n", subject->name, mdfh_error_text());
	else
		ns = run_pair(
		    &work, subject->columns[column].producer, subject->columns[column].consumer);
	drop(&work.channel[0]);
	drop(&work.channel[1]);
	if (ns < 0 || work.sum != want)
		return -1;
	return trip ? ns / (double)work.items : (double)work.items * 1000 / ns;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values)
{
	qsort(values, options.repeats, sizeof(values[0]), compare);
	return values[options.repeats / 2];
}

static void print_table(double *trips)
{
	double trip = median(trips);

	printf("capacity %d, cores %u and %u, medians of %u; a cache line there and back: %.0f ns "
	       "(%.0f to %.0f)\n\n",
	    SLOTS, options.cores[0], options.cores[1], options.repeats, trip, trips[0],
	    trips[options.repeats - 1]);
	printf("%-24s %39s %19s\n", "", "million items a second", "round trip, ns");
	printf("%-24s %9s %9s %9s %9s %9s %9s\n", "", "32 B", "32 B x32", "64 B", "64 B x32",
	    "32 B", "64 B");
	for (int s = 0; s < SUBJECTS; s++) {
		printf("%-24s", subjects[s].name);
		for (int c = 0; c < COLUMNS; c++) {
			if (subjects[s].columns[c].producer)
				printf(" %9.1f", median(subjects[s].results[c]));
			else
				printf(" %9s", "-");
		}
		printf("\n");
	}
}

static void print_json(double *trips)
{
	static const char *const names[COLUMNS] = {"single_32_mps", "burst_32_mps", "single_64_mps",
	    "burst_64_mps", "round_trip_32_ns", "round_trip_64_ns"};

	printf("{\"capacity\":%d,\"burst\":%d,\"cores\":[%u,%u],\"repeats\":%u,"
	       "\"line_round_trip_ns\":%.1f,\"rings\":[",
	    SLOTS, BURST, options.cores[0], options.cores[1], options.repeats, median(trips));
	for (int s = 0; s < SUBJECTS; s++) {
		printf("%s{\"name\":\"%s\"", s ? "," : "", subjects[s].name);
		for (int c = 0; c < COLUMNS; c++) {
			if (subjects[s].columns[c].producer)
				printf(",\"%s\":%.1f", names[c], median(subjects[s].results[c]));
		}
		printf("}");
	}
	printf("]}\n");
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	char *end;

	switch (key) {
	case 'c':
		options.cores[0] = (unsigned)strtoul(text, &end, 10);
		if (*end != ',' || !end[1])
			argp_error(state, "--cores takes two numbers, such as 0,1, not %s", text);
		options.cores[1] = (unsigned)strtoul(end + 1, &end, 10);
		if (*end)
			argp_error(state, "--cores takes two numbers, such as 0,1, not %s", text);
		return 0;
	case 'n':
		options.items = strtoull(text, &end, 10);
		if (*end || options.items < 1000 || options.items > 1000000000)
			argp_error(state, "--items takes 1000 to 1000000000, not %s", text);
		return 0;
	case 'r':
		options.repeats = (unsigned)strtoul(text, &end, 10);
		if (*end || !options.repeats || options.repeats > REPEATS_MAX)
			argp_error(state, "--repeats takes 1 to %d, not %s", REPEATS_MAX, text);
		return 0;
	case 'j':
		options.json = 1;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option known[] = {
	    {"cores", 'c', "A,B", 0, "cores of producer and consumer (0,1)", 0},
	    {"items", 'n', "N", 0, "items in each measurement (2000000)", 0},
	    {"repeats", 'r', "N", 0, "measurements, of which the median counts (5)", 0},
	    {"json", 'j', NULL, 0, "one JSON object instead of the table", 0},
	    {NULL, 0, NULL, 0, NULL, 0},
	};
	static const struct argp argp = {.options = known,
	    .parser = parse_option,
	    .doc = "Throughput and round trip of mdfh_ring and others between two cores."};
	double trips[REPEATS_MAX];
	int failed = 0;

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	if (mdfh_clock_start() || mdfh_cpu_pin(options.cores[1]) ||
	    mdfh_cpu_pin(options.cores[0])) {
		fprintf(stderr, "%s\n", mdfh_error_text());
		return 1;
	}
	if (options.cores[0] == options.cores[1]) {
		fprintf(stderr, "both threads spin: they need two cores\n");
		return 1;
	}
	for (unsigned r = 0; r < options.repeats; r++) {
		trips[r] = line_trip();
		for (int c = 0; c < COLUMNS; c++) {
			for (int s = 0; s < SUBJECTS; s++) {
				if (!subjects[s].columns[c].producer)
					continue;
				subjects[s].results[c][r] = run_column(&subjects[s], c);
				failed |= subjects[s].results[c][r] < 0;
			}
		}
	}
	if (options.json)
		print_json(trips);
	else
		print_table(trips);
	if (failed)
		fprintf(stderr, "a ring lost or changed items: see the negative figures\n");
	return failed;
}
