/* simple_feed.c - a simulated exchange on a thread of its own. */
#include "tools/simple_feed.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/sim_output.h"
#include "mdfh/error.h"
#include "sim/day.h"
#include "sim/sender.h"

enum { PAYLOAD = 1400, SYMBOLS = 100, FLUSH_NS = 50000, LINGER_NS = 200000000, WAIT_MS = 1000 };

struct simple_feed {
	struct mdfh_stream *stream;
	struct mdfh_publisher *publisher;
	struct mdfh_sender *sender;
	struct sim_output *output;
	pthread_t thread;
	int has_thread;
	atomic_int done; /* the thread stores last, with release: its error and text are there */
	int error;
	char text[512];
};

static void *send_day(void *argument)
{
	struct simple_feed *feed = argument;

	feed->error = mdfh_sender_run(feed->sender);
	if (feed->error)
		snprintf(feed->text, sizeof(feed->text), "%s", mdfh_error_text());
	atomic_store_explicit(&feed->done, 1, memory_order_release);
	return NULL;
}

static int open_all(struct simple_feed *feed, const struct simple_feed_config *config)
{
	const struct mdfh_day_config day = {
	    .seed = config->seed, .messages = config->messages, .symbols = SYMBOLS};
	struct sim_endpoint endpoint = {.port = config->port};
	struct mdfh_publisher_config publisher = {.rate = config->rate,
	    .burst = 1,
	    .flush_ns = FLUSH_NS,
	    .payload_max = PAYLOAD,
	    .clock_start_ns = -1};
	struct mdfh_sender_config sender = {.payload_max = PAYLOAD,
	    .packets_per_s_max = config->rate,
	    .lines = 1,
	    .seed = config->seed,
	    .linger_ns = LINGER_NS};
	int err;

	memcpy(publisher.session, "SIMPLETEST", sizeof(publisher.session));
	snprintf(endpoint.group, sizeof(endpoint.group), "%s", config->address);
	err = mdfh_stream_start(&day, 0, &feed->stream);
	if (err)
		return err;
	publisher.stream = feed->stream;
	err = mdfh_publisher_create(&publisher, &feed->publisher);
	if (!err)
		err = sim_output_open_sockets(config->interface, &endpoint, 1, 1, &feed->output);
	if (err)
		return err;
	while (!mdfh_stream_wait_ready(feed->stream, WAIT_MS))
		;
	sender.publisher = feed->publisher;
	sender.transport = *sim_output_transport(feed->output);
	sender.start_ns = sender.transport.now_ns(sender.transport.context);
	return mdfh_sender_create(&sender, &feed->sender);
}

int simple_feed_start(const struct simple_feed_config *config, struct simple_feed **out)
{
	struct simple_feed *feed = calloc(1, sizeof(*feed));
	int err;

	*out = NULL;
	if (!feed)
		return mdfh_error(-ENOMEM, "feed: %zu bytes", sizeof(*feed));
	err = open_all(feed, config);
	if (!err) {
		err = -pthread_create(&feed->thread, NULL, send_day, feed);
		if (err)
			mdfh_error_errno(err, "feed: no thread");
	}
	if (err) {
		simple_feed_close(feed);
		return err;
	}
	feed->has_thread = 1;
	*out = feed;
	return 0;
}

int simple_feed_done(const struct simple_feed *feed)
{
	return atomic_load_explicit(&feed->done, memory_order_acquire);
}

int simple_feed_join(struct simple_feed *feed)
{
	if (feed->has_thread)
		pthread_join(feed->thread, NULL);
	feed->has_thread = 0;
	return feed->error ? mdfh_error(feed->error, "%s", feed->text) : 0;
}

uint64_t simple_feed_count(const struct simple_feed *feed, char type)
{
	return mdfh_day_count(mdfh_stream_day(feed->stream), (uint8_t)type);
}

void simple_feed_close(struct simple_feed *feed)
{
	if (!feed)
		return;
	if (feed->has_thread) {
		mdfh_sender_stop(feed->sender);
		simple_feed_join(feed);
	}
	mdfh_sender_destroy(feed->sender);
	mdfh_publisher_destroy(feed->publisher);
	sim_output_close(feed->output);
	mdfh_stream_stop(feed->stream);
	free(feed);
}
