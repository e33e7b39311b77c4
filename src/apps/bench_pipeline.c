/* bench_pipeline.c - mdfh bench pipeline: packets to a consumer in another thread.
 *
 * The file's messages are packed into MoldUDP64 packets as they go (that copy is part of the
 * figure), 64 packets a batch, and take the whole way of a receive thread: session, decoder, books,
 * events in the ring. A second thread reads every event; the clock stops when it has them all. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/bench.h"
#include "handler/pipeline.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"

enum {
	PACKETS = 64,
	PAYLOAD = 1400,
};

struct reader {
	struct mdfh_consumer *consumer;
	atomic_bool last; /* nothing more will be written */
	uint64_t events;
	uint64_t sum; /* of their sequence numbers: every event is really read */
};

static void *read_events(void *argument)
{
	struct reader *r = argument;

	for (;;) {
		int last = atomic_load_explicit(&r->last, memory_order_acquire);
		const struct mdfh_event *events;
		uint32_t n = mdfh_consumer_peek(r->consumer, 512, &events);

		for (uint32_t i = 0; i < n; i++)
			r->sum += events[i].sequence;
		r->events += n;
		if (n)
			mdfh_consumer_done(r->consumer, n);
		else if (last)
			return NULL;
		else
			sched_yield();
	}
}

/* Fill one packet with whole records from *data; returns how many messages it got. */
static uint32_t pack(const struct mdfh_session_ops *session, uint8_t *packet, uint32_t *length,
    const uint8_t **data, const uint8_t *end, uint64_t first)
{
	struct mdfh_unit unit = {.first = first};
	uint32_t room = PAYLOAD - session->header_size;
	const uint8_t *at = *data;

	while (end - at >= 2) {
		uint32_t size = 2 + ((uint32_t)at[0] << 8 | at[1]);

		if (size == 2 || size > (size_t)(end - at) || (size_t)(at - *data) + size > room)
			break;
		at += size;
		unit.messages++;
	}
	memcpy(unit.session, "BENCH     ", 10);
	session->write_header(packet, &unit);
	memcpy(packet + session->header_size, *data, (size_t)(at - *data));
	*length = session->header_size + (uint32_t)(at - *data);
	*data = at;
	return unit.messages;
}

static uint64_t run_file(struct mdfh_pipeline *pipeline, const struct bench_file *file)
{
	static uint8_t buffers[PACKETS][PAYLOAD];
	static struct mdfh_packet packets[PACKETS];
	const struct mdfh_session_ops *session = mdfh_session_find("moldudp64");
	const uint8_t *at = file->data;
	const uint8_t *end = file->data + file->size;
	uint64_t sequence = 1;
	int n;

	do {
		int64_t now_ns = (int64_t)mdfh_clock_now_ns();

		for (n = 0; n < PACKETS; n++) {
			uint32_t messages =
			    pack(session, buffers[n], &packets[n].length, &at, end, sequence);

			if (!messages)
				break;
			packets[n].data = buffers[n];
			packets[n].receive_ns = (uint64_t)now_ns;
			sequence += messages;
		}
		if (n)
			mdfh_pipeline_packets(pipeline, 0, packets, n, now_ns);
	} while (n == PACKETS);
	mdfh_pipeline_finish(pipeline);
	return sequence - 1;
}

int bench_pipeline(const char *path)
{
	static char name[] = "bench";
	const struct mdfh_consumer_config consumer = {
	    .name = name, .slots = 65536, .full = MDFH_FULL_WAIT};
	const struct mdfh_consumer_config *const consumers[] = {&consumer};
	const struct mdfh_pipeline_channel channel = {
	    .protocol = "itch50",
	    .session = {.size = sizeof(channel.session),
		.session = mdfh_session_find("moldudp64"),
		.lines = 1},
	    .midnight_ns = 1,
	};
	atomic_bool stop = false;
	const struct mdfh_pipeline_config config = {
	    .channels = &channel,
	    .channel_count = 1,
	    .engine.consumers = consumers,
	    .engine.consumer_count = 1,
	    .engine.keep_books = 1,
	    .engine.stop = &stop,
	};
	struct mdfh_pipeline *pipeline = NULL;
	struct reader reader = {.events = 0};
	struct bench_timer timer;
	struct bench_file file;
	pthread_t thread;
	uint64_t messages;
	char extra[128];
	int status = 2;

	if (mdfh_clock_start() || bench_file_open(&file, path))
		return 2;
	if (mdfh_pipeline_create(&config, &pipeline))
		goto out;
	reader.consumer = mdfh_engine_consumer(mdfh_pipeline_engine(pipeline), 0);
	if (pthread_create(&thread, NULL, read_events, &reader)) {
		mdfh_error(-1, "bench: no thread for the consumer");
		goto out;
	}
	bench_start(&timer);
	messages = run_file(pipeline, &file);
	atomic_store_explicit(&reader.last, true, memory_order_release);
	pthread_join(thread, NULL);
	bench_stop(&timer);
	snprintf(extra, sizeof(extra), ",\"events\":%llu,\"checksum\":\"%016llx\"",
	    (unsigned long long)reader.events,
	    (unsigned long long)mdfh_books_checksum(
		mdfh_engine_books(mdfh_pipeline_engine(pipeline))));
	bench_print("pipeline", &timer, messages, extra);
	status = 0;
out:
	mdfh_pipeline_destroy(pipeline);
	bench_file_close(&file);
	return status;
}
