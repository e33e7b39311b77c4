/* handler.c - configuration to receive threads; the control thread; reports. */
#include "mdfh/handler.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/lines.h"
#include "handler/interfaces.h"
#include "handler/pipeline.h"
#include "handler/ports.h"
#include "handler/receiver.h"
#include "mdfh/clock.h"
#include "mdfh/depth.h"
#include "mdfh/error.h"
#include "net/net.h"

/* Where a channel or a port of the handler is: which thread, and its number there. */
struct place {
	unsigned thread;
	unsigned index;
};

struct mdfh_handler {
	struct mdfh_receiver *receivers;
	unsigned receiver_count;
	struct place *channels;
	char (*channel_names)[64];
	unsigned channel_count;
	struct place *ports;
	unsigned port_count;
	struct mdfh_consumer **consumers;
	unsigned consumer_count;
	struct mdfh_histogram *merged[MDFH_STAGES]; /* of all consumers, made when asked for */

	struct mdfh_interfaces *interfaces; /* of the control thread */
	pthread_t control;
	int control_started;
	pthread_mutex_t control_lock;
	pthread_cond_t control_wake;
	int control_stop;
};

enum {
	WINDOW_FRAME = 2048, /* mdfh_channel_config.window_frame_size's default, and a frame's */
	FRAME_LEAST = 256,   /* mdfh_bypass_config.frame_size's range */
	FRAME_MOST = 65535,
	STREAM_RUN = 65536,
};

/* Setup ----------------------------------------------------------------------------------- */

/* A stream comes from a server and is logged in to; packets come from anywhere else. */
static int check_lines(const struct mdfh_handler_config *config, unsigned index,
    const struct mdfh_session_ops *session)
{
	const struct mdfh_handler_channel_config *channel = &config->channels[index];

	if (!session->is_stream && channel->join_newest)
		return mdfh_error(-EINVAL,
		    "channel %u: join_newest is for streams; %s has no logins", index,
		    session->name);
	if (channel->join_newest == MDFH_ON && channel->first_sequence)
		return mdfh_error(-EINVAL,
		    "channel %u: join_newest and first_sequence are both given; leave one out",
		    index);
	for (unsigned l = 0; l < channel->lines_count; l++) {
		const struct mdfh_line_config *line = &channel->lines[l];

		if (line->frame_size &&
		    (line->frame_size < FRAME_LEAST || line->frame_size > FRAME_MOST))
			return mdfh_error(-EINVAL,
			    "channel %u, line %u: frame_size is %u; it must be from %d to %d",
			    index, l, line->frame_size, FRAME_LEAST, FRAME_MOST);
		if (session->is_stream && !line->server)
			return mdfh_error(-EINVAL,
			    "channel %u, line %u: %s needs a server (ADDRESS:PORT)", index, l,
			    session->name);
		if (session->is_stream && (line->group || line->source || line->file))
			return mdfh_error(-EINVAL,
			    "channel %u, line %u: a server is all that a stream comes from; leave "
			    "group, source and file out",
			    index, l);
		if (session->is_stream && mdfh_line_has_faults(line))
			return mdfh_error(-EINVAL,
			    "channel %u, line %u: fault is for packets; a stream without some of "
			    "its bytes is none",
			    index, l);
		if (!session->is_stream &&
		    (line->server || line->username || line->password || line->password_file))
			return mdfh_error(-EINVAL,
			    "channel %u, line %u: server, username and password are for streams; "
			    "%s comes in packets: give a group, or `session: soupbintcp`",
			    index, l, session->name);
	}
	return 0;
}

/* What the reorder window keeps of a packet: whatever a frame of any line holds. */
static uint32_t window_frame(const struct mdfh_handler_channel_config *channel)
{
	uint32_t most = 0;

	for (unsigned l = 0; l < channel->lines_count; l++) {
		uint32_t size = channel->lines[l].frame_size;

		if (channel->lines[l].server || !size)
			size = WINDOW_FRAME;
		most = size > most ? size : most;
	}
	return most;
}

static int channel_setup(
    const struct mdfh_handler_config *config, unsigned index, struct mdfh_pipeline_channel *channel)
{
	const struct mdfh_handler_channel_config *from = &config->channels[index];
	const struct mdfh_protocol *protocol = mdfh_protocol_find(from->protocol);
	const char *session;
	int err;

	if (!protocol)
		return mdfh_error(-EINVAL,
		    "channel %u: protocol '%s' is not mapped to books; 'itch50' is", index,
		    from->protocol);
	session = from->session ? from->session : protocol->session;
	if (!from->session && from->lines[0].server)
		session = "soupbintcp";
	*channel = (struct mdfh_pipeline_channel){
	    .protocol = from->protocol,
	    .session =
		{
		    .size = sizeof(channel->session),
		    .session = mdfh_session_find(session),
		    .channel = (uint16_t)index,
		    .lines = (uint16_t)from->lines_count,
		    .window_packets = from->window_packets,
		    .window_frame_size = window_frame(from),
		    .window_ns = (uint64_t)from->window_us * 1000,
		    .first_sequence = from->first_sequence,
		    .session_id = from->session_id,
		},
	};
	if (!channel->session.session)
		return mdfh_error(
		    -EINVAL, "channel %u: there is no session protocol '%s'", index, session);
	err = check_lines(config, index, channel->session.session);
	if (err)
		return err;
	if (channel->session.session->is_stream && from->join_newest != MDFH_ON &&
	    !from->first_sequence)
		channel->session.first_sequence = 1;
	return mdfh_session_midnight(protocol->venue_timezone, config->session_date,
	    from->lines[0].file, &channel->midnight_ns);
}

static int create_soup_line(const struct mdfh_handler *h,
    const struct mdfh_handler_channel_config *channel, unsigned number, unsigned line,
    struct mdfh_soup_line **soup)
{
	/* With several lines a run may have to go into the reorder window. */
	uint32_t run_max = channel->lines_count > 1 ? WINDOW_FRAME : STREAM_RUN;
	char name[96];

	snprintf(name, sizeof(name), "%s line %c", h->channel_names[number], (char)('A' + line));
	return mdfh_soup_line_create(&channel->lines[line], channel, name, run_max, soup);
}

/* A line of a thread. */
struct thread_line {
	const struct mdfh_line_config *config;
	uint16_t channel; /* among the thread's */
	uint16_t line;
	int taken; /* it has its port */
};

/* 1 if two lines become flows of one port. */
static int one_port(const struct thread_line *a, const struct thread_line *b)
{
	if (a->channel == b->channel && a->config->file && b->config->file)
		return !strcmp(a->config->file, b->config->file);
	return mdfh_lines_share(a->config, b->config);
}

/* The port of the first of n lines, and of all that share it. */
static int open_port(struct mdfh_handler *h, const struct mdfh_handler_config *config,
    unsigned thread, const unsigned *channel_index, struct thread_line *lines, unsigned n)
{
	const struct mdfh_line_config *shared[MDFH_BYPASS_FLOWS_MAX];
	struct mdfh_receiver *receiver = &h->receivers[thread];
	struct mdfh_pipeline_port port = {.flow_count = 0};
	int err = 0;

	for (unsigned i = 0; i < n; i++) {
		if (lines[i].taken || (i && !one_port(&lines[0], &lines[i])))
			continue;
		if (port.flow_count == MDFH_BYPASS_FLOWS_MAX)
			return mdfh_error(-EINVAL,
			    "more than %d lines come through one port, queue %u of %s; spread "
			    "them over several queues",
			    MDFH_BYPASS_FLOWS_MAX, lines[i].config->queue,
			    lines[i].config->interface ? lines[i].config->interface : "?");
		lines[i].taken = 1;
		shared[port.flow_count] = lines[i].config;
		port.flows[port.flow_count].channel = lines[i].channel;
		port.flows[port.flow_count].line = lines[i].line;
		port.flow_count++;
	}
	if (lines[0].config->server) {
		unsigned number = channel_index[lines[0].channel];

		err = create_soup_line(
		    h, &config->channels[number], number, lines[0].line, &port.soup);
	}
	if (!err)
		err = mdfh_port_open(shared, port.flow_count, receiver->cpu_core, config->hugepages,
		    receiver->poll_timeout_us, &port.port);
	if (err) {
		mdfh_soup_line_destroy(port.soup);
		return err;
	}
	mdfh_pipeline_add_port(receiver->pipeline, &port);
	return 0;
}

/* Lines that read one capture become flows of one port, and those that come through a queue with
 * room for one; every other line is a port. */
static int open_ports(struct mdfh_handler *h, const struct mdfh_handler_config *config,
    unsigned thread, const unsigned *channel_index, unsigned channel_count)
{
	struct thread_line *lines;
	unsigned n = 0, ports = 0;
	int err = 0;

	for (unsigned c = 0; c < channel_count; c++)
		n += config->channels[channel_index[c]].lines_count;
	lines = calloc(n ? n : 1, sizeof(*lines));
	if (!lines)
		return mdfh_error(-ENOMEM, "handler: %u lines", n);
	n = 0;
	for (unsigned c = 0; c < channel_count; c++)
		for (unsigned l = 0; l < config->channels[channel_index[c]].lines_count; l++)
			lines[n++] = (struct thread_line){
			    .config = &config->channels[channel_index[c]].lines[l],
			    .channel = (uint16_t)c,
			    .line = (uint16_t)l};
	for (unsigned i = 0; i < n && !err; i++) {
		if (lines[i].taken)
			continue;
		err = open_port(h, config, thread, channel_index, &lines[i], n - i);
		if (!err)
			h->ports[h->port_count++] =
			    (struct place){.thread = thread, .index = ports++};
	}
	free(lines);
	return err;
}

/* A queue with room for one port cannot be had by two. */
static int check_queues(const struct mdfh_handler_config *config)
{
	for (unsigned i = 0; i < config->channels_count; i++) {
		const struct mdfh_handler_channel_config *a = &config->channels[i];

		for (unsigned k = i; k < config->channels_count; k++) {
			const struct mdfh_handler_channel_config *b = &config->channels[k];

			for (unsigned l = 0; l < a->lines_count; l++)
				for (unsigned m = k == i ? l + 1 : 0; m < b->lines_count; m++) {
					const struct mdfh_line_config *x = &a->lines[l];
					const struct mdfh_line_config *y = &b->lines[m];

					if (!mdfh_lines_meet(x, y) ||
					    (a->thread == b->thread && mdfh_lines_share(x, y)))
						continue;
					return mdfh_error(-EINVAL,
					    "channel %u line %c and channel %u line %c want queue "
					    "%u "
					    "of %s through %s, which one port can have: give them "
					    "one "
					    "thread and equal settings, or another queue",
					    i, (char)('A' + l), k, (char)('A' + m), x->queue,
					    x->interface ? x->interface : "?", x->backend);
				}
		}
	}
	return 0;
}

static int create_receiver(
    struct mdfh_handler *h, const struct mdfh_handler_config *config, unsigned thread)
{
	const struct mdfh_handler_thread_config *t =
	    config->threads_count ? &config->threads[thread] : NULL;
	struct mdfh_receiver *receiver = &h->receivers[thread];
	struct mdfh_pipeline_channel *channels = NULL;
	const struct mdfh_consumer_config *consumers[MDFH_HANDLER_CONSUMERS_MAX];
	unsigned indices[MDFH_HANDLER_CHANNELS_MAX] = {0};
	struct mdfh_pipeline_config pipeline = {
	    .symbols = config->symbols,
	    .symbols_count = config->symbols_count,
	    .instruments_max = config->instruments_max,
	    .books =
		{
		    .orders_max = config->orders_max,
		    .levels_max = config->levels_max,
		    .trades_max = config->trades_max,
		    .hugepages = config->hugepages,
		    .sound_at_start = config->sound_at_start,
		},
	    .keep_books = config->books != MDFH_OFF,
	    .depth_levels = config->depth_levels,
	    .instruments_shared_name = config->instruments_shared_name,
	    .depth_shared_name = config->depth_shared_name,
	    .latency_sample = config->latency_sample,
	    .consumers = consumers,
	    .stop = &receiver->stop,
	};
	char instruments_name[256];
	char depth_name[256];
	int err = 0;

	/* Each thread has instruments, and so snapshots, of its own. */
	if (config->depth_shared_name && config->threads_count > 1) {
		snprintf(
		    depth_name, sizeof(depth_name), "%s-%u", config->depth_shared_name, thread);
		pipeline.depth_shared_name = depth_name;
	}
	if (config->instruments_shared_name && config->threads_count > 1) {
		snprintf(instruments_name, sizeof(instruments_name), "%s-%u",
		    config->instruments_shared_name, thread);
		pipeline.instruments_shared_name = instruments_name;
	}
	for (unsigned c = 0; c < config->channels_count; c++) {
		if (config->channels[c].thread != thread)
			continue;
		h->channels[c] = (struct place){.thread = thread, .index = pipeline.channel_count};
		indices[pipeline.channel_count++] = c;
	}
	if (!pipeline.channel_count)
		return mdfh_error(-EINVAL,
		    "thread %u has no channel; give one `thread: %u` or leave the thread out",
		    thread, thread);
	for (unsigned i = 0; i < config->consumers_count; i++)
		if (config->consumers[i].thread == thread)
			consumers[pipeline.consumer_count++] = &config->consumers[i];

	channels = calloc(pipeline.channel_count, sizeof(*channels));
	if (!channels) {
		err = mdfh_error(-ENOMEM, "handler: out of memory");
		goto out;
	}
	for (unsigned i = 0; i < pipeline.channel_count && !err; i++)
		err = channel_setup(config, indices[i], &channels[i]);
	if (err)
		goto out;
	snprintf(
	    receiver->name, sizeof(receiver->name), "%s", t && t->name ? t->name : "mdfh-receive");
	receiver->cpu_core = t && t->core ? MDFH_CORE(*t->core) : 0;
	receiver->idle = t ? t->idle : MDFH_IDLE_DEFAULT;
	receiver->poll_timeout_us = t ? t->poll_timeout_us : 0;
	pipeline.channels = channels;
	pipeline.ports_max = pipeline.channel_count * MDFH_LINES_MAX;
	err = mdfh_pipeline_create(&pipeline, &receiver->pipeline);
	if (err)
		goto out;
	for (unsigned i = 0; i < pipeline.consumer_count; i++)
		h->consumers[h->consumer_count++] = mdfh_pipeline_consumer(receiver->pipeline, i);
	err = open_ports(h, config, thread, indices, pipeline.channel_count);
out:
	free(channels);
	return err;
}

static int check_config(const struct mdfh_handler_config *config)
{
	unsigned threads = config->threads_count ? config->threads_count : 1;

	if (config->size != sizeof(*config))
		return mdfh_error(-EINVAL,
		    "handler configuration: size is %zu; it must be %zu (set it with sizeof)",
		    config->size, sizeof(*config));
	if (config->channels_count < 1 || config->channels_count > MDFH_HANDLER_CHANNELS_MAX)
		return mdfh_error(-EINVAL, "channels: there are %u; there must be 1 to %d",
		    config->channels_count, MDFH_HANDLER_CHANNELS_MAX);
	if (threads > MDFH_HANDLER_THREADS_MAX)
		return mdfh_error(-EINVAL, "threads: there are %u; at most %d", threads,
		    MDFH_HANDLER_THREADS_MAX);
	if (config->consumers_count > MDFH_HANDLER_CONSUMERS_MAX)
		return mdfh_error(-EINVAL, "consumers: there are %u; at most %d",
		    config->consumers_count, MDFH_HANDLER_CONSUMERS_MAX);
	for (unsigned i = 0; i < config->channels_count; i++) {
		const struct mdfh_handler_channel_config *channel = &config->channels[i];

		if (channel->thread >= threads)
			return mdfh_error(-EINVAL, "channel %u: thread is %u; there are 0 to %u", i,
			    channel->thread, threads - 1);
		if (!channel->protocol)
			return mdfh_error(
			    -EINVAL, "channel %u: it needs a protocol, such as itch50", i);
		if (channel->lines_count < 1 || channel->lines_count > MDFH_LINES_MAX)
			return mdfh_error(-EINVAL, "channel %u: there are %u lines; 1 to %d", i,
			    channel->lines_count, MDFH_LINES_MAX);
		for (unsigned l = 0; l < channel->lines_count; l++)
			if (!channel->lines[l].group && !channel->lines[l].file &&
			    !channel->lines[l].server && !channel->lines[l].backend)
				return mdfh_error(-EINVAL,
				    "channel %u, line %u: it needs a group (ADDRESS:PORT), a "
				    "server or a file",
				    i, l);
	}
	for (unsigned i = 0; i < config->consumers_count; i++) {
		if (config->consumers[i].thread >= threads)
			return mdfh_error(-EINVAL, "consumer %u: thread is %u; there are 0 to %u",
			    i, config->consumers[i].thread, threads - 1);
		if (!config->consumers[i].name)
			return mdfh_error(
			    -EINVAL, "consumer %u: it needs a name, to be asked for by it", i);
		for (unsigned k = 0; k < i; k++)
			if (!strcmp(config->consumers[i].name, config->consumers[k].name))
				return mdfh_error(-EINVAL, "consumers: two are named '%s'",
				    config->consumers[i].name);
		if (config->books == MDFH_OFF && config->consumers[i].kind == MDFH_CONSUMER_EVENTS)
			return mdfh_error(-EINVAL,
			    "consumer %u: events come out of books, and books is off; make it "
			    "`kind: raw` or turn books on",
			    i);
	}
	if (config->depth_levels > MDFH_DEPTH_LEVELS_MAX)
		return mdfh_error(-EINVAL, "depth_levels is %u; it must be 0 to %d",
		    config->depth_levels, MDFH_DEPTH_LEVELS_MAX);
	return 0;
}

int mdfh_handler_create(const struct mdfh_handler_config *config, struct mdfh_handler **handler)
{
	struct mdfh_handler *h;
	pthread_condattr_t monotonic;
	int err;

	*handler = NULL;
	err = check_config(config);
	if (!err)
		err = check_queues(config);
	if (!err)
		err = mdfh_clock_start();
	if (err)
		return err;
	h = calloc(1, sizeof(*h));
	if (!h)
		return mdfh_error(-ENOMEM, "handler: out of memory");
	pthread_mutex_init(&h->control_lock, NULL);
	/* Not the default clock: one that is set back would keep the thread waiting. */
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&h->control_wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	h->receiver_count = config->threads_count ? config->threads_count : 1;
	h->channel_count = config->channels_count;
	h->receivers = mdfh_lines_alloc(h->receiver_count, sizeof(*h->receivers));
	h->channels = calloc(h->channel_count, sizeof(*h->channels));
	h->channel_names = calloc(h->channel_count, sizeof(*h->channel_names));
	h->ports = calloc((size_t)h->channel_count * MDFH_LINES_MAX, sizeof(*h->ports));
	h->consumers = calloc(config->consumers_count + 1, sizeof(struct mdfh_consumer *));
	if (!h->receivers || !h->channels || !h->channel_names || !h->ports || !h->consumers) {
		err = mdfh_error(-ENOMEM, "handler: out of memory");
		goto fail;
	}
	for (unsigned i = 0; i < h->channel_count; i++) {
		const char *name = config->channels[i].name;

		snprintf(h->channel_names[i], sizeof(h->channel_names[i]), "%s",
		    name ? name : config->channels[i].protocol);
	}
	for (int i = 0; i < MDFH_STAGES; i++) {
		err = mdfh_histogram_create(MDFH_STAGE_MAX_NS, &h->merged[i]);
		if (err)
			goto fail;
	}
	for (unsigned i = 0; i < h->receiver_count; i++) {
		err = create_receiver(h, config, i);
		if (err)
			goto fail;
	}
	err = mdfh_interfaces_create(config, &h->interfaces);
	if (err)
		goto fail;
	*handler = h;
	return 0;

fail:
	mdfh_handler_destroy(h);
	return err;
}

int mdfh_handler_on_events(
    struct mdfh_handler *h, unsigned thread, mdfh_events_handler function, void *context)
{
	if (thread >= h->receiver_count)
		return mdfh_error(-EINVAL, "handler: thread is %u; there are 0 to %u", thread,
		    h->receiver_count - 1);
	mdfh_pipeline_on_events(h->receivers[thread].pipeline, function, context);
	return 0;
}

/* Control thread ---------------------------------------------------------------------------- */

/* What may make system calls: the kernel's drop counter a hundred times a second, well within the
 * time that a hole stays open; the clock and the lines' interfaces once a second. */
static void *control(void *argument)
{
	struct mdfh_handler *h = argument;
	int fd = mdfh_kernel_drops_open();

	pthread_mutex_lock(&h->control_lock);
	for (unsigned turn = 1; !h->control_stop; turn++) {
		struct timespec until;
		uint64_t drops;

		if (fd >= 0 && mdfh_kernel_drops_read(fd, &drops))
			for (unsigned i = 0; i < h->receiver_count; i++)
				mdfh_pipeline_kernel_drops(h->receivers[i].pipeline, drops);
		if (turn % 100 == 0) {
			mdfh_clock_recalibrate();
			mdfh_interfaces_look(h->interfaces);
		}
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += 10000000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_nsec -= 1000000000;
			until.tv_sec++;
		}
		pthread_cond_timedwait(&h->control_wake, &h->control_lock, &until);
	}
	pthread_mutex_unlock(&h->control_lock);
	if (fd >= 0)
		close(fd);
	return NULL;
}

static void stop_control(struct mdfh_handler *h)
{
	if (!h->control_started)
		return;
	pthread_mutex_lock(&h->control_lock);
	h->control_stop = 1;
	pthread_cond_signal(&h->control_wake);
	pthread_mutex_unlock(&h->control_lock);
	pthread_join(h->control, NULL);
	h->control_started = 0;
}

int mdfh_handler_start(struct mdfh_handler *h)
{
	int err;

	if (h->control_started)
		return mdfh_error(-EALREADY, "handler: it runs already; stop it first");
	h->control_stop = 0;
	err = -pthread_create(&h->control, NULL, control, h);
	if (err)
		return mdfh_error_errno(err, "control thread");
	h->control_started = 1;
	for (unsigned i = 0; i < h->receiver_count; i++) {
		err = mdfh_receiver_start(&h->receivers[i]);
		if (err) {
			char text[512];

			/* Stopping the others must not hide why. */
			snprintf(text, sizeof(text), "%s", mdfh_error_text());
			mdfh_handler_stop(h);
			return mdfh_error(err, "%s", text);
		}
	}
	return 0;
}

int mdfh_handler_running(const struct mdfh_handler *h)
{
	for (unsigned i = 0; i < h->receiver_count; i++)
		if (mdfh_receiver_running(&h->receivers[i]))
			return 1;
	return 0;
}

int mdfh_handler_session_ended(const struct mdfh_handler *h)
{
	for (unsigned i = 0; i < h->receiver_count; i++)
		if (!mdfh_pipeline_session_ended(h->receivers[i].pipeline))
			return 0;
	return 1;
}

int mdfh_handler_stop(struct mdfh_handler *h)
{
	char text[512] = "";
	int first = 0;

	for (unsigned i = 0; i < h->receiver_count; i++) {
		int err = mdfh_receiver_stop(&h->receivers[i]);

		if (err && !first) {
			first = err;
			snprintf(text, sizeof(text), "%s", mdfh_error_text());
		}
	}
	stop_control(h);
	return first ? mdfh_error(first, "%s", text) : 0;
}

void mdfh_handler_destroy(struct mdfh_handler *h)
{
	if (!h)
		return;
	if (h->receivers) {
		mdfh_handler_stop(h);
		for (unsigned i = 0; i < h->receiver_count; i++)
			mdfh_pipeline_destroy(h->receivers[i].pipeline);
	}
	for (int i = 0; i < MDFH_STAGES; i++)
		mdfh_histogram_destroy(h->merged[i]);
	mdfh_interfaces_destroy(h->interfaces);
	pthread_cond_destroy(&h->control_wake);
	pthread_mutex_destroy(&h->control_lock);
	free(h->consumers);
	free(h->ports);
	free(h->channel_names);
	free(h->channels);
	free(h->receivers);
	free(h);
}

/* Reports ----------------------------------------------------------------------------------- */

const struct mdfh_books *mdfh_handler_books(const struct mdfh_handler *h, unsigned thread)
{
	return thread < h->receiver_count ? mdfh_pipeline_books(h->receivers[thread].pipeline)
					  : NULL;
}

const struct mdfh_instruments *mdfh_handler_instruments(
    const struct mdfh_handler *h, unsigned thread)
{
	return thread < h->receiver_count ? mdfh_pipeline_instruments(h->receivers[thread].pipeline)
					  : NULL;
}

const struct mdfh_depth *mdfh_handler_depth(const struct mdfh_handler *h, unsigned thread)
{
	return thread < h->receiver_count ? mdfh_pipeline_depth(h->receivers[thread].pipeline)
					  : NULL;
}

struct mdfh_consumer *mdfh_handler_consumer(struct mdfh_handler *h, const char *name)
{
	for (unsigned i = 0; i < h->consumer_count; i++)
		if (!strcmp(h->consumers[i]->name, name))
			return h->consumers[i];
	return NULL;
}

unsigned mdfh_handler_ports(const struct mdfh_handler *h)
{
	return h->port_count;
}

int mdfh_handler_port_report(struct mdfh_handler *h, unsigned port, struct mdfh_port_report *report)
{
	if (port >= h->port_count)
		return mdfh_error(
		    -EINVAL, "handler: port is %u; there are %u", port, h->port_count);
	mdfh_pipeline_port_report(
	    h->receivers[h->ports[port].thread].pipeline, h->ports[port].index, report);
	return 0;
}

unsigned mdfh_handler_channels(const struct mdfh_handler *h)
{
	return h->channel_count;
}

int mdfh_handler_channel_report(
    const struct mdfh_handler *h, unsigned channel, struct mdfh_channel_report *report)
{
	unsigned first_port = 0;

	if (channel >= h->channel_count)
		return mdfh_error(
		    -EINVAL, "handler: channel is %u; there are %u", channel, h->channel_count);
	mdfh_pipeline_channel_report(
	    h->receivers[h->channels[channel].thread].pipeline, h->channels[channel].index, report);
	report->name = h->channel_names[channel];
	/* The pipeline numbers its own ports: those of its thread stand together here. */
	while (h->ports[first_port].thread != h->channels[channel].thread)
		first_port++;
	for (unsigned i = 0; i < MDFH_LINES_MAX; i++)
		report->ports[i] += first_port;
	return 0;
}

int mdfh_handler_books_stats(
    const struct mdfh_handler *h, unsigned thread, struct mdfh_books_stats *stats)
{
	if (thread >= h->receiver_count)
		return mdfh_error(
		    -EINVAL, "handler: thread is %u; there are %u", thread, h->receiver_count);
	mdfh_pipeline_books_stats(h->receivers[thread].pipeline, stats);
	return 0;
}

const struct mdfh_histogram *mdfh_handler_latency(
    const struct mdfh_handler *h, unsigned thread, enum mdfh_stage stage)
{
	struct mdfh_histogram *merged;

	if (thread >= h->receiver_count || (unsigned)stage >= MDFH_STAGES)
		return NULL;
	if (stage < MDFH_STAGE_RING)
		return mdfh_pipeline_latency(h->receivers[thread].pipeline, stage);
	merged = h->merged[stage];
	mdfh_histogram_reset(merged);
	for (unsigned i = 0;; i++) {
		const struct mdfh_consumer *c =
		    mdfh_pipeline_consumer(h->receivers[thread].pipeline, i);

		if (!c)
			return merged;
		mdfh_histogram_add(merged, stage == MDFH_STAGE_RING       ? c->ring_latency
					   : stage == MDFH_STAGE_CONSUMER ? c->whole_latency
									  : c->intended_latency);
	}
}

const char *mdfh_stage_name(unsigned stage)
{
	static const char *const names[MDFH_STAGES] = {
	    [MDFH_STAGE_WIRE] = "wire",
	    [MDFH_STAGE_RECEIVE] = "receive",
	    [MDFH_STAGE_SESSION] = "session",
	    [MDFH_STAGE_DECODE] = "decode",
	    [MDFH_STAGE_BOOK] = "book",
	    [MDFH_STAGE_RING] = "ring",
	    [MDFH_STAGE_CONSUMER] = "consumer",
	    [MDFH_STAGE_INTENDED] = "intended",
	};

	return stage < MDFH_STAGES ? names[stage] : "?";
}
