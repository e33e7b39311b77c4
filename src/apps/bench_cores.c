/* bench_cores.c - mdfh bench cores: what a receive thread with workers makes of two cores.
 *
 * The file's messages are packed into MoldUDP64 packets beforehand, 64 of them a batch. Each arrangement
 * takes all of them to the books and to a callback that counts the events: once per round, one behind the
 * other, so that what else the machine does meets them alike. Said of each is the median of the rounds.
 *
 *   hand-over        messages divided among two workers that throw them away: the receive thread alone
 *   one thread       everything
 *   1 worker         receive thread and one worker
 *   2 workers        receive thread and two, by instrument
 *   two queues       two receive threads, each with half of the instruments as a channel of its own
 *
 * receive_ns and worker_ns are processor time of a thread per message of its own; a receive thread that
 * waits for room takes that, too, so what one costs is said by the first arrangement. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "apps/bench.h"
#include "core/bytes.h"
#include "core/lines.h"
#include "handler/pipeline.h"
#include "handler/worker.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"

enum {
	BATCH = 64,
	PAYLOAD = 1400,
	ROUNDS = 5,
	WORKERS_MAX = 2,
};

/* Packets of one channel. */
struct feed {
	uint8_t *bytes;
	size_t used;
	struct mdfh_packet *packets;
	size_t count;
	size_t max;
	uint64_t messages;
};

struct arrangement {
	const char *name;
	unsigned queues;  /* receive threads, each with a feed of its own */
	unsigned workers; /* of one receive thread */
	int throws_away;
};

static const struct arrangement arrangements[] = {
    {"hand-over", 1, 2, 1},
    {"one thread", 1, 0, 0},
    {"1 worker", 1, 1, 0},
    {"2 workers", 1, 2, 0},
    {"two queues", 2, 0, 0},
};

enum { ARRANGEMENTS = sizeof(arrangements) / sizeof(arrangements[0]) };

struct result {
	double ns; /* per message, as it took */
	double receive_ns;
	double worker_ns;
	uint64_t checksum;
	uint64_t events;
};

/* The feed ------------------------------------------------------------------------------------ */

static void begin_packet(struct feed *feed, uint64_t sequence)
{
	const struct mdfh_session_ops *session = mdfh_session_find("moldudp64");
	struct mdfh_unit unit = {.first = sequence};

	memcpy(unit.session, "BENCH     ", 10);
	session->write_header(feed->bytes + feed->used, &unit);
	feed->packets[feed->count++] =
	    (struct mdfh_packet){.data = feed->bytes + feed->used, .length = session->header_size};
	feed->used += session->header_size;
}

static void put_message(struct feed *feed, const uint8_t *framed, uint32_t size)
{
	struct mdfh_packet *packet = feed->count ? &feed->packets[feed->count - 1] : NULL;
	uint8_t *count;

	if (!packet || packet->length + size > PAYLOAD) {
		begin_packet(feed, feed->messages + 1);
		packet = &feed->packets[feed->count - 1];
	}
	memcpy(feed->bytes + feed->used, framed, size);
	feed->used += size;
	packet->length += size;
	/* The last two bytes of the header say how many there are. */
	count = feed->bytes + (feed->used - packet->length) + 18;
	mdfh_store_be16(count, (uint16_t)(mdfh_load_be16(count) + 1));
	feed->messages++;
}

/* Those messages of a file whose stock locate is of part among parts; what has none is of all. */
static int make_feed(
    const struct bench_file *file, unsigned part, unsigned parts, struct feed *feed)
{
	const uint8_t *at = file->data;
	const uint8_t *end = at + file->size;

	*feed = (struct feed){.max = file->size / (PAYLOAD - 100) + 2};
	feed->bytes = malloc(file->size + feed->max * 32);
	feed->packets = calloc(feed->max, sizeof(*feed->packets));
	if (!feed->bytes || !feed->packets)
		return mdfh_error(-ENOMEM, "bench: no memory for the packets");
	while (end - at >= 2) {
		uint32_t size = 2 + (uint32_t)mdfh_load_be16(at);
		uint32_t locate;

		if (size < 5 || size > (size_t)(end - at) || feed->count + 1 >= feed->max)
			break;
		locate = mdfh_load_be16(at + 3);
		if (!locate || locate % parts == part)
			put_message(feed, at, size);
		at += size;
	}
	return 0;
}

static void free_feed(struct feed *feed)
{
	free(feed->packets);
	free(feed->bytes);
}

/* One run ------------------------------------------------------------------------------------- */

struct queue {
	struct mdfh_pipeline *pipeline;
	struct mdfh_dispatch *dispatch;
	const struct feed *feed;
	pthread_t thread;
	int started;
	uint64_t cpu_ns;
	_Atomic uint64_t events;
	struct mdfh_thread receiver; /* whose life the workers go by */
	struct mdfh_worker workers[WORKERS_MAX];
	unsigned worker_count;
	pthread_t worker_threads[WORKERS_MAX];
	unsigned worker_threads_count;
	uint64_t worker_cpu_ns[WORKERS_MAX];
};

struct helper {
	struct queue *queue;
	unsigned index;
	int throws_away;
};

static atomic_bool never;

static uint64_t thread_cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void on_events(
    void *context, const struct mdfh_event *events, int n, const struct mdfh_books *books)
{
	struct queue *queue = context;
	uint64_t count = 0;

	(void)books;
	for (int i = 0; i < n; i++)
		count += !(events[i].flags & MDFH_EVENT_COPY);
	atomic_fetch_add_explicit(&queue->events, count, memory_order_relaxed);
}

static void *receive(void *argument)
{
	struct queue *queue = argument;
	const struct feed *feed = queue->feed;
	uint64_t before = thread_cpu_ns();

	for (size_t i = 0; i < feed->count; i += BATCH) {
		size_t n = feed->count - i < BATCH ? feed->count - i : BATCH;

		mdfh_pipeline_packets(
		    queue->pipeline, 0, &feed->packets[i], (int)n, (int64_t)mdfh_clock_now_ns());
	}
	mdfh_pipeline_finish(queue->pipeline);
	queue->cpu_ns = thread_cpu_ns() - before;
	atomic_store_explicit(&queue->receiver.running, false, memory_order_release);
	return NULL;
}

/* A worker that is not told to spin, so that it takes no time without work. */
static void *help(void *argument)
{
	struct helper *helper = argument;
	struct mdfh_worker *worker = &helper->queue->workers[helper->index];
	const struct timespec nap = {.tv_nsec = 20000};
	uint64_t before = thread_cpu_ns();

	for (;;) {
		int more = mdfh_thread_running(worker->receiver);
		const void *slots;
		uint32_t n;

		if (!helper->throws_away) {
			n = mdfh_worker_poll(worker);
		} else {
			n = mdfh_ring_peek(worker->ring, 4096, &slots);
			mdfh_ring_release(worker->ring, n);
		}
		if (!n && !more)
			break;
		if (!n)
			nanosleep(&nap, NULL);
	}
	mdfh_worker_finish(worker);
	helper->queue->worker_cpu_ns[helper->index] = thread_cpu_ns() - before;
	return NULL;
}

static int create_worker(struct queue *queue, const struct mdfh_engine_config *config,
    const struct mdfh_engine_channel *channel)
{
	struct mdfh_engine_config mine = *config;
	struct mdfh_engine *engine;
	unsigned index = queue->worker_count;
	int err;

	mine.channels = channel;
	mine.channel_count = 1;
	err = mdfh_engine_create(&mine, &engine);
	if (err)
		return err;
	queue->worker_count++;
	return mdfh_worker_create(
	    &queue->workers[index], engine, queue->dispatch, index, &queue->receiver, 64);
}

static int create(struct queue *queue, const struct arrangement *a, const struct feed *feed)
{
	const struct mdfh_pipeline_channel channel = {
	    .protocol = "itch50",
	    .session = {.size = sizeof(channel.session),
		.session = mdfh_session_find("moldudp64"),
		.lines = 1},
	    .midnight_ns = 1,
	};
	const struct mdfh_engine_channel of_workers = mdfh_pipeline_engine_channel(&channel);
	const struct mdfh_dispatch_channel to = {
	    .protocol = channel.protocol, .framing = of_workers.framing};
	const struct mdfh_dispatch_config dispatch = {
	    .channels = &to,
	    .channel_count = 1,
	    .workers = a->workers,
	    .shard = a->workers > 1 ? MDFH_SHARD_INSTRUMENT : MDFH_SHARD_CHANNEL,
	    .stop = &never,
	};
	struct mdfh_pipeline_config config = {
	    .channels = &channel,
	    .channel_count = 1,
	    .engine = {.keep_books = 1, .stop = &never},
	};
	int err = 0;

	queue->feed = feed;
	atomic_store(&queue->receiver.running, true);
	config.engine.on_events = on_events;
	config.engine.context = queue;
	if (a->workers)
		err = mdfh_dispatch_create(&dispatch, &queue->dispatch);
	for (unsigned i = 0; !err && i < a->workers; i++)
		err = create_worker(queue, &config.engine, &of_workers);
	config.dispatch = queue->dispatch;
	if (err)
		mdfh_dispatch_destroy(queue->dispatch);
	else
		err = mdfh_pipeline_create(&config, &queue->pipeline);
	return err;
}

static int start(struct queue *queue, const struct arrangement *a, struct helper *helpers)
{
	for (unsigned i = 0; i < queue->worker_count; i++) {
		helpers[i] = (struct helper){queue, i, a->throws_away};
		if (pthread_create(&queue->worker_threads[i], NULL, help, &helpers[i]))
			return mdfh_error(-EAGAIN, "bench: no thread for a worker");
		queue->worker_threads_count++;
	}
	if (pthread_create(&queue->thread, NULL, receive, queue))
		return mdfh_error(-EAGAIN, "bench: no receive thread");
	queue->started = 1;
	return 0;
}

static void join(struct queue *queue)
{
	if (queue->started)
		pthread_join(queue->thread, NULL);
	atomic_store(&queue->receiver.running, false);
	for (unsigned i = 0; i < queue->worker_threads_count; i++)
		pthread_join(queue->worker_threads[i], NULL);
}

static void add_up(const struct queue *queue, struct result *result)
{
	result->events += atomic_load(&queue->events);
	result->receive_ns += (double)queue->cpu_ns;
	for (unsigned i = 0; i < queue->worker_count; i++) {
		result->worker_ns += (double)queue->worker_cpu_ns[i];
		result->checksum +=
		    mdfh_books_checksum(mdfh_engine_books(queue->workers[i].engine));
	}
	if (!queue->worker_count)
		result->checksum +=
		    mdfh_books_checksum(mdfh_engine_books(mdfh_pipeline_engine(queue->pipeline)));
}

static void destroy(struct queue *queue)
{
	for (unsigned i = 0; i < queue->worker_count; i++)
		mdfh_worker_destroy(&queue->workers[i]);
	mdfh_pipeline_destroy(queue->pipeline);
}

static int run(const struct arrangement *a, const struct feed *feeds, struct result *result)
{
	struct queue *queues = mdfh_lines_alloc(a->queues, sizeof(*queues));
	struct helper helpers[2][WORKERS_MAX];
	uint64_t messages = 0;
	struct bench_timer timer;
	int err = queues ? 0 : mdfh_error(-ENOMEM, "bench: out of memory");

	*result = (struct result){.ns = 0};
	for (unsigned q = 0; !err && q < a->queues; q++) {
		err = create(&queues[q], a, &feeds[q]);
		messages += feeds[q].messages;
	}
	bench_start(&timer);
	for (unsigned q = 0; !err && q < a->queues; q++)
		err = start(&queues[q], a, helpers[q]);
	for (unsigned q = 0; queues && q < a->queues; q++)
		join(&queues[q]);
	bench_stop(&timer);
	for (unsigned q = 0; !err && q < a->queues; q++)
		add_up(&queues[q], result);
	for (unsigned q = 0; queues && q < a->queues; q++)
		destroy(&queues[q]);
	free(queues);
	result->ns = (double)timer.ns / (double)messages;
	result->receive_ns /= (double)messages;
	result->worker_ns /= (double)messages;
	return err;
}

/* All of them --------------------------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const struct result *results, size_t offset)
{
	double values[ROUNDS];

	for (unsigned i = 0; i < ROUNDS; i++)
		memcpy(&values[i], (const uint8_t *)&results[i] + offset, sizeof(values[i]));
	qsort(values, ROUNDS, sizeof(values[0]), compare_doubles);
	return values[ROUNDS / 2];
}

static void print(
    const struct arrangement *a, const struct result *results, uint64_t messages, double one_ns)
{
	double ns = median(results, offsetof(struct result, ns));

	printf("{\"bench\":\"cores\",\"arrangement\":\"%s\",\"messages\":%" PRIu64
	       ",\"ns_per_message\":%.1f,\"messages_per_second\":%.0f,\"ratio\":%.2f,"
	       "\"receive_ns\":%.1f,\"worker_ns\":%.1f,\"checksum\":\"%016" PRIx64 "\"}\n",
	    a->name, messages, ns, 1e9 / ns, one_ns / ns,
	    median(results, offsetof(struct result, receive_ns)),
	    median(results, offsetof(struct result, worker_ns)), results[0].checksum);
}

int bench_cores(const char *path)
{
	static struct result results[ARRANGEMENTS][ROUNDS];
	struct feed whole[1] = {{.bytes = NULL}};
	struct feed halves[2] = {{.bytes = NULL}};
	struct bench_file file;
	double one_ns;
	int status = 2;
	int err;

	if (mdfh_clock_start() || bench_file_open(&file, path))
		return 2;
	err = make_feed(&file, 0, 1, whole);
	for (unsigned i = 0; !err && i < 2; i++)
		err = make_feed(&file, i, 2, &halves[i]);
	for (unsigned r = 0; !err && r < ROUNDS; r++)
		for (unsigned a = 0; !err && a < ARRANGEMENTS; a++)
			err = run(&arrangements[a], arrangements[a].queues == 2 ? halves : whole,
			    &results[a][r]);
	if (err)
		goto out;
	status = 0;
	for (unsigned a = 1; a < ARRANGEMENTS; a++)
		for (unsigned r = 0; r < ROUNDS; r++)
			if (results[a][r].checksum != results[1][0].checksum) {
				fprintf(stderr, "mdfh bench: the books of '%s' differ\n",
				    arrangements[a].name);
				status = 1;
			}
	one_ns = median(results[1], offsetof(struct result, ns));
	for (unsigned a = 0; a < ARRANGEMENTS; a++)
		print(&arrangements[a], results[a], whole[0].messages, one_ns);
out:
	free_feed(&halves[1]);
	free_feed(&halves[0]);
	free_feed(&whole[0]);
	bench_file_close(&file);
	return status;
}
