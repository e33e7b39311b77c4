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
#include "sim/soup_feed.h"

enum {
	PAYLOAD = 1400,
	SYMBOLS = 100,
	FLUSH_NS = 50000,
	LINGER_NS = 200000000,
	WAIT_MS = 1000,
	CLIENT_S = 10
};

struct simple_feed {
	struct mdfh_stream *stream;
	struct mdfh_publisher *publisher;
	struct mdfh_sender_config config;
	struct mdfh_sender *sender;
	struct sim_output *output;
	struct mdfh_soup_feed *soup; /* NULL: UDP */
	uint16_t port;
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
	if (feed->soup) /* whoever is logged in gets the end of the session */
		mdfh_soup_feed_finish_wait(feed->soup, 0);
	if (feed->error)
		snprintf(feed->text, sizeof(feed->text), "%s", mdfh_error_text());
	atomic_store_explicit(&feed->done, 1, memory_order_release);
	return NULL;
}

static void publish(void *context, const struct mdfh_publisher_packet *packet)
{
	const struct mdfh_session_ops *mold = mdfh_session_find("moldudp64");

	mdfh_soup_feed_publish(
	    context, packet->data + mold->header_size, packet->length - mold->header_size);
}

/* The line of a feed that only goes out over SoupBinTCP. */
static int send_nowhere(void *context, unsigned line, const struct mdfh_packet *packets, int n)
{
	(void)context;
	(void)line;
	(void)packets;
	return n;
}

static int open_soup(struct simple_feed *feed, const struct simple_feed_config *config)
{
	const struct mdfh_soup_feed_config soup = {.address = config->address,
	    .port = config->port,
	    .session = "SIMPLETEST",
	    .messages = config->messages,
	    .message_max = MDFH_DAY_MESSAGE_MAX};
	int err = mdfh_soup_feed_create(&soup, &feed->soup);

	if (err)
		return err;
	feed->port = mdfh_soup_feed_port(feed->soup);
	feed->config.publish = publish;
	feed->config.publish_context = feed->soup;
	feed->config.transport.send = send_nowhere;
	feed->config.linger_ns = 0;
	return 0;
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
	int err;

	memcpy(publisher.session, "SIMPLETEST", sizeof(publisher.session));
	snprintf(endpoint.group, sizeof(endpoint.group), "%s", config->address);
	err = mdfh_stream_start(&day, 0, &feed->stream);
	if (err)
		return err;
	publisher.stream = feed->stream;
	err = mdfh_publisher_create(&publisher, &feed->publisher);
	if (!err)
		err = sim_output_open_sockets(
		    config->interface, &endpoint, !config->is_soup, 1, &feed->output);
	if (err)
		return err;
	while (!mdfh_stream_wait_ready(feed->stream, WAIT_MS))
		;
	feed->config = (struct mdfh_sender_config){.transport = *sim_output_transport(feed->output),
	    .publisher = feed->publisher,
	    .payload_max = PAYLOAD,
	    .packets_per_s_max = config->rate,
	    .lines = 1,
	    .seed = config->seed,
	    .linger_ns = LINGER_NS};
	feed->port = config->port;
	return config->is_soup ? open_soup(feed, config) : 0;
}

int simple_feed_open(const struct simple_feed_config *config, struct simple_feed **out)
{
	struct simple_feed *feed = calloc(1, sizeof(*feed));
	int err;

	*out = NULL;
	if (!feed)
		return mdfh_error(-ENOMEM, "feed: %zu bytes", sizeof(*feed));
	err = open_all(feed, config);
	if (err) {
		simple_feed_close(feed);
		return err;
	}
	*out = feed;
	return 0;
}

int simple_feed_start(struct simple_feed *feed)
{
	int err = feed->soup ? mdfh_soup_feed_wait_for_client(feed->soup, CLIENT_S) : 0;

	feed->config.start_ns = feed->config.transport.now_ns(feed->config.transport.context);
	if (!err)
		err = mdfh_sender_create(&feed->config, &feed->sender);
	if (err)
		return err;
	err = -pthread_create(&feed->thread, NULL, send_day, feed);
	if (err)
		return mdfh_error_errno(err, "feed: no thread");
	feed->has_thread = 1;
	return 0;
}

uint16_t simple_feed_port(const struct simple_feed *feed)
{
	return feed->port;
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
	mdfh_soup_feed_destroy(feed->soup);
	mdfh_sender_destroy(feed->sender);
	mdfh_publisher_destroy(feed->publisher);
	sim_output_close(feed->output);
	mdfh_stream_stop(feed->stream);
	free(feed);
}
