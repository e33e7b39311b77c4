/* ingest.c - the simple case: one port, one pipeline, one ring. */
#include "mdfh/ingest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/lines.h"
#include "handler/pipeline.h"
#include "handler/ports.h"
#include "handler/receiver.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"

struct mdfh_ingest {
	struct mdfh_receiver receiver;
	struct mdfh_consumer *consumer;
};

int mdfh_ingest_open(const struct mdfh_ingest_config *config, struct mdfh_ingest **ingest)
{
	static char name[] = "ingest";
	const char *protocol_name = config->protocol ? config->protocol : "itch50";
	const struct mdfh_protocol *protocol = mdfh_protocol_find(protocol_name);
	struct mdfh_bypass_config bypass = config->bypass;
	const struct mdfh_bypass_config *packets = &bypass; /* the port that packets come from */
	struct mdfh_consumer_config consumer = {
	    .name = name,
	    .slots = config->ring_slots,
	    .full = config->wait_when_full == MDFH_ON ? MDFH_FULL_WAIT : MDFH_FULL_DROP,
	};
	const struct mdfh_consumer_config *consumers[] = {&consumer};
	struct mdfh_pipeline_channel channel = {.protocol = protocol_name};
	struct mdfh_pipeline_port port = {.flow_count = 1};
	struct mdfh_pipeline_config pipeline = {
	    .ports_max = 1,
	    .channels = &channel,
	    .channel_count = 1,
	    .engine =
		{
		    .consumers = consumers,
		    .consumer_count = 1,
		    .instruments_max = config->instruments_max,
		    .books = {.orders_max = config->orders_max},
		    .keep_books = 1,
		},
	};
	const char *session;
	struct mdfh_ingest *in;
	int err;

	*ingest = NULL;
	if (config->size != sizeof(*config))
		return mdfh_error(-EINVAL,
		    "ingest: size is %zu; it must be %zu (set it with sizeof)", config->size,
		    sizeof(*config));
	if (!protocol)
		return mdfh_error(-EINVAL,
		    "ingest: protocol '%s' is not mapped to books; 'itch50' is", protocol_name);
	session = config->session ? config->session : protocol->session;
	err = mdfh_bypass_config_check(&bypass);
	if (err)
		return err;
	while (packets->lower)
		packets = packets->lower;
	if (packets->flow_count > MDFH_LINES_MAX)
		return mdfh_error(-EINVAL, "ingest: there are %u flows; one per line, at most %d",
		    packets->flow_count, MDFH_LINES_MAX);
	if (packets->flow_count)
		port.flow_count = packets->flow_count;
	for (uint32_t i = 0; i < port.flow_count; i++)
		port.flows[i].line = (uint16_t)i;
	channel.session = (struct mdfh_channel_config){
	    .size = sizeof(channel.session),
	    .session = mdfh_session_find(session),
	    .lines = (uint16_t)port.flow_count,
	    .window_ns = (uint64_t)config->window_us * 1000,
	    .window_frame_size = packets->frame_size,
	};
	if (!channel.session.session)
		return mdfh_error(-EINVAL, "ingest: there is no session protocol '%s'", session);
	if (channel.session.session->is_stream)
		return mdfh_error(-ENOTSUP,
		    "ingest: %s comes from a server that is logged in to; mdfh_handler_create() "
		    "does that",
		    session);
	err = mdfh_clock_start();
	if (!err)
		err = mdfh_session_midnight(protocol->venue_timezone, config->session_date,
		    packets->file, &channel.midnight_ns);
	if (err)
		return err;
	in = mdfh_lines_alloc(1, sizeof(*in));
	if (!in)
		return mdfh_error(-ENOMEM, "ingest: out of memory");
	pipeline.engine.stop = &in->receiver.thread.stop;
	err = mdfh_pipeline_create(&pipeline, &in->receiver.pipeline);
	if (err)
		goto fail;
	err = mdfh_bypass_open(&bypass, &port.port);
	if (err)
		goto fail;
	mdfh_pipeline_add_port(in->receiver.pipeline, &port);
	in->receiver.thread.cpu_core = bypass.cpu_core;
	in->receiver.poll_timeout_us = bypass.poll_timeout_us;
	strcpy(in->receiver.thread.name, "mdfh-ingest");
	in->consumer = mdfh_engine_consumer(mdfh_pipeline_engine(in->receiver.pipeline), 0);
	*ingest = in;
	return 0;

fail:
	mdfh_pipeline_destroy(in->receiver.pipeline);
	free(in);
	return err;
}

int mdfh_ingest_start(struct mdfh_ingest *in)
{
	return mdfh_receiver_start(&in->receiver);
}

int mdfh_ingest_next(struct mdfh_ingest *in, struct mdfh_event *events, int n)
{
	/* Asked before the ring is looked at: what the thread wrote before it ended is seen. */
	int running = mdfh_thread_running(&in->receiver.thread);
	int copied = 0;

	while (copied < n) {
		const struct mdfh_event *first;
		uint32_t got = mdfh_consumer_peek(in->consumer, (uint32_t)(n - copied), &first);

		if (!got)
			break;
		memcpy(&events[copied], first, got * sizeof(*events));
		mdfh_consumer_done(in->consumer, got);
		copied += (int)got;
	}
	return copied || running ? copied : -ENODATA;
}

int mdfh_ingest_stats(struct mdfh_ingest *in, struct mdfh_ingest_stats *stats)
{
	struct mdfh_channel_report channel;
	struct mdfh_port_report port;
	struct mdfh_books_stats books;
	struct mdfh_consumer_stats consumer;
	struct mdfh_engine *engine = mdfh_pipeline_engine(in->receiver.pipeline);
	struct mdfh_engine_counts counts;

	mdfh_engine_counts(engine, 0, &counts);
	mdfh_pipeline_channel_report(in->receiver.pipeline, 0, &channel);
	mdfh_pipeline_port_report(in->receiver.pipeline, 0, &port);
	mdfh_engine_books_stats(engine, &books);
	mdfh_consumer_stats(in->consumer, &consumer);
	*stats = (struct mdfh_ingest_stats){
	    .packets = port.stats.rx_packets,
	    .bytes = port.stats.rx_bytes,
	    .messages = counts.messages,
	    .events = books.events,
	    .gaps = channel.session.gaps,
	    .messages_lost = channel.session.lost,
	    .packets_dropped = port.stats.rx_dropped_nic + port.stats.rx_dropped_kernel +
			       port.stats.rx_dropped_socket,
	    .events_dropped = consumer.dropped,
	    .ring_high_water = consumer.high_water,
	    .packets_malformed = port.stats.rx_malformed,
	    .latency_p50_ns = mdfh_histogram_percentile(in->consumer->whole_latency, 50),
	    .latency_p99_ns = mdfh_histogram_percentile(in->consumer->whole_latency, 99),
	    .latency_max_ns = mdfh_histogram_max(in->consumer->whole_latency),
	};
	for (unsigned l = 0; l < channel.lines; l++) {
		const struct mdfh_line_stats *line = &channel.session.lines[l];

		stats->duplicates += line->duplicates;
		for (unsigned e = 1; e < MDFH_SESSION_ERRORS; e++)
			if (e != MDFH_SESSION_FOREIGN && e != MDFH_SESSION_TRAILING)
				stats->packets_malformed += line->errors[e];
	}
	return 0;
}

const struct mdfh_instruments *mdfh_ingest_instruments(const struct mdfh_ingest *in)
{
	return mdfh_engine_instruments(mdfh_pipeline_engine(in->receiver.pipeline));
}

int mdfh_ingest_stop(struct mdfh_ingest *in)
{
	return mdfh_receiver_stop(&in->receiver);
}

void mdfh_ingest_close(struct mdfh_ingest *in)
{
	if (!in)
		return;
	mdfh_receiver_stop(&in->receiver);
	mdfh_pipeline_destroy(in->receiver.pipeline);
	free(in);
}
