/* setup.c - a configuration to receive threads, their workers, consumers and ports. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "handler/handler_state.h"
#include "handler/ports.h"
#include "mdfh/error.h"

enum {
	WINDOW_FRAME = 2048, /* mdfh_channel_config.window_frame_size's default, and a frame's */
	FRAME_LEAST = 256,   /* mdfh_bypass_config.frame_size's range */
	FRAME_MOST = 65535,
	STREAM_RUN = 65536,
};

/* Channels and ports ------------------------------------------------------------------------- */

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
	if (strcmp(session, protocol->session) != 0 && !channel->session.session->is_stream)
		return mdfh_error(-EINVAL,
		    "channel %u: %s does not come in %s; leave session out, or make it %s, or "
		    "soupbintcp",
		    index, from->protocol, session, protocol->session);
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
	unsigned wrong;
	int err;

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
		if (err)
			return err;
	}
	err = mdfh_port_open(shared, port.flow_count, receiver->thread.cpu_core, config->hugepages,
	    receiver->poll_timeout_us, &port.port, &wrong);
	if (err) {
		mdfh_error(err, "%s line %c: %s",
		    h->channel_names[channel_index[port.flows[wrong].channel]],
		    (char)('A' + port.flows[wrong].line), mdfh_error_text());
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

/* Consumers ---------------------------------------------------------------------------------- */

/* Those of a thread that an engine fills: of kind, and of the worker (-1 = the thread has none). */
static unsigned choose_consumers(const struct mdfh_handler_config *config, unsigned thread,
    enum mdfh_consumer_kind kind, int worker, unsigned chosen[MDFH_HANDLER_CONSUMERS_MAX])
{
	unsigned n = 0;

	for (unsigned i = 0; i < config->consumers_count; i++) {
		const struct mdfh_consumer_config *c = &config->consumers[i];

		if (c->thread == thread && c->kind == kind &&
		    (worker < 0 || !c->worker || *c->worker == (unsigned)worker))
			chosen[n++] = i;
	}
	return n;
}

/* What users know by a name: the first ring of it, which the others join. */
static void add_consumer(
    struct mdfh_handler *h, unsigned index, struct mdfh_consumer *consumer, unsigned shard)
{
	consumer->shard = shard;
	if (h->consumers[index])
		mdfh_consumer_join(h->consumers[index], consumer);
	else
		h->consumers[index] = consumer;
}

/* Engines ------------------------------------------------------------------------------------ */

/* A shard's own name for what it shares; the name itself where there is one shard. */
static const char *shard_name(
    const struct mdfh_handler *h, const char *name, unsigned shard, char *text, size_t size)
{
	if (!name || h->shard_count == 1)
		return name;
	snprintf(text, size, "%s-%u", name, shard);
	return text;
}

/* What engines have in common, and the names of one shard's. */
struct engine_setup {
	struct mdfh_engine_config config;
	struct mdfh_consumer_config consumers[MDFH_HANDLER_CONSUMERS_MAX];
	const struct mdfh_consumer_config *pointers[MDFH_HANDLER_CONSUMERS_MAX];
	char consumer_names[MDFH_HANDLER_CONSUMERS_MAX][256];
	char instruments_name[256];
	char depth_name[256];
	unsigned chosen[MDFH_HANDLER_CONSUMERS_MAX];
	unsigned chosen_count;
};

static void setup_engine(const struct mdfh_handler *h, const struct mdfh_handler_config *config,
    unsigned shard, const atomic_bool *stop, struct engine_setup *s)
{
	s->config = (struct mdfh_engine_config){
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
	    .instruments_shared_name = shard_name(h, config->instruments_shared_name, shard,
		s->instruments_name, sizeof(s->instruments_name)),
	    .depth_shared_name = shard_name(
		h, config->depth_shared_name, shard, s->depth_name, sizeof(s->depth_name)),
	    .consumers = s->pointers,
	    .consumer_count = s->chosen_count,
	    .stop = stop,
	};
	for (unsigned i = 0; i < s->chosen_count; i++) {
		s->consumers[i] = config->consumers[s->chosen[i]];
		s->pointers[i] = &s->consumers[i];
	}
}

/* A consumer of several workers has a ring for each, so each has a name of its own. */
static void name_rings(
    const struct mdfh_handler_config *config, unsigned shard, struct engine_setup *s)
{
	for (unsigned i = 0; i < s->chosen_count; i++) {
		struct mdfh_consumer_config *c = &s->consumers[i];

		if (!c->shared_name || c->worker || config->threads[c->thread].workers < 2)
			continue;
		snprintf(s->consumer_names[i], sizeof(s->consumer_names[i]), "%s-%u",
		    c->shared_name, shard);
		c->shared_name = s->consumer_names[i];
	}
}

/* One worker with the channels that the plan gives to it. */
static int create_worker(struct mdfh_handler *h, const struct mdfh_handler_config *config,
    unsigned thread, unsigned index, const struct mdfh_engine_channel *channels,
    const unsigned *numbers, unsigned channel_count, struct mdfh_dispatch *dispatch)
{
	const struct mdfh_handler_thread_config *t = &config->threads[thread];
	struct mdfh_worker *worker = &h->workers[h->worker_count];
	struct shard *shard = NULL;
	unsigned number = 0;
	struct mdfh_engine_channel mine[MDFH_HANDLER_CHANNELS_MAX];
	struct mdfh_engine *engine;
	struct engine_setup *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return mdfh_error(-ENOMEM, "handler: out of memory");
	while (h->shards[number].engine)
		number++;
	shard = &h->shards[number];
	s->chosen_count =
	    choose_consumers(config, thread, MDFH_CONSUMER_EVENTS, (int)index, s->chosen);
	setup_engine(h, config, number, &worker->thread.stop, s);
	name_rings(config, number, s);
	s->config.channels = mine;
	for (unsigned i = 0; i < channel_count; i++)
		if (h->plan.channels[numbers[i]].worker < 0 ||
		    h->plan.channels[numbers[i]].worker == (int)index)
			mine[s->config.channel_count++] = channels[i];
	err = mdfh_engine_create(&s->config, &engine);
	if (err)
		goto out;
	h->worker_count++;
	*shard = (struct shard){.engine = engine, .thread = thread, .worker = worker};
	snprintf(worker->thread.name, sizeof(worker->thread.name), "%.10s-w%u",
	    t->name ? t->name : "mdfh", index % MDFH_HANDLER_WORKERS_MAX);
	worker->thread.cpu_core = t->worker_cores_count ? MDFH_CORE(t->worker_cores[index]) : 0;
	worker->thread.idle = t->idle;
	err = mdfh_worker_create(
	    worker, engine, dispatch, index, &h->receivers[thread].thread, config->latency_sample);
	for (unsigned i = 0; !err && i < s->chosen_count; i++)
		add_consumer(h, s->chosen[i], mdfh_engine_consumer(engine, i), number);
out:
	free(s);
	return err;
}

/* The rings to a thread's workers, and these. */
static int create_workers(struct mdfh_handler *h, const struct mdfh_handler_config *config,
    unsigned thread, const struct mdfh_pipeline_channel *channels, const unsigned *numbers,
    unsigned channel_count, struct mdfh_dispatch **dispatch)
{
	const struct mdfh_handler_thread_config *t = &config->threads[thread];
	const struct mdfh_plan_thread *plan = &h->plan.threads[thread];
	struct mdfh_dispatch_channel to[MDFH_HANDLER_CHANNELS_MAX];
	struct mdfh_engine_channel engines[MDFH_HANDLER_CHANNELS_MAX];
	unsigned next[MDFH_HANDLER_WORKERS_MAX] = {0};
	struct mdfh_dispatch_config d = {
	    .channels = to,
	    .channel_count = channel_count,
	    .workers = plan->workers,
	    .shard = plan->shard,
	    .ring_bytes = t->worker_ring_bytes,
	    .hugepages = config->hugepages,
	    .stop = &h->receivers[thread].thread.stop,
	};
	int err;

	for (unsigned i = 0; i < channel_count; i++) {
		int worker = h->plan.channels[numbers[i]].worker;

		engines[i] = mdfh_pipeline_engine_channel(&channels[i]);
		to[i] = (struct mdfh_dispatch_channel){
		    .protocol = channels[i].protocol,
		    .framing = engines[i].framing,
		    .number = engines[i].number,
		    .worker = worker < 0 ? 0 : (unsigned)worker,
		    .index = worker < 0 ? i : next[worker]++,
		};
	}
	err = mdfh_dispatch_create(&d, dispatch);
	for (unsigned w = 0; !err && w < plan->workers; w++)
		err =
		    create_worker(h, config, thread, w, engines, numbers, channel_count, *dispatch);
	return err;
}

/* Captures are waited for, so that nothing of them is lost. */
static void settle_full(struct mdfh_handler *h, const struct mdfh_handler_config *config,
    unsigned thread, struct mdfh_dispatch *dispatch)
{
	enum mdfh_worker_full full = config->threads[thread].worker_full;
	struct mdfh_pipeline *pipeline = h->receivers[thread].pipeline;
	int is_live = 0;

	for (unsigned i = 0; i < mdfh_pipeline_port_count(pipeline); i++) {
		struct mdfh_port_report port;

		mdfh_pipeline_port_report(pipeline, i, &port);
		is_live |= !port.capabilities->is_finite;
	}
	for (unsigned s = 0; !is_live && s < h->shard_count; s++)
		if (h->shards[s].engine && h->shards[s].thread == thread)
			mdfh_engine_set_recorded(h->shards[s].engine);
	mdfh_dispatch_set_full(
	    dispatch, full == MDFH_WORKER_FULL_DROP || (full == MDFH_WORKER_FULL_DEFAULT && is_live)
			  ? MDFH_FULL_DROP
			  : MDFH_FULL_WAIT);
}

static int create_pipeline(struct mdfh_handler *h, const struct mdfh_handler_config *config,
    unsigned thread, const struct mdfh_pipeline_channel *channels, const unsigned *numbers,
    unsigned channel_count)
{
	struct mdfh_receiver *receiver = &h->receivers[thread];
	struct mdfh_pipeline_config pipeline = {
	    .ports_max = channel_count * MDFH_LINES_MAX,
	    .channels = channels,
	    .channel_count = channel_count,
	    .latency_sample = config->latency_sample,
	};
	struct engine_setup *s = calloc(1, sizeof(*s));
	unsigned number = 0;
	int err = 0;

	if (!s)
		return mdfh_error(-ENOMEM, "handler: out of memory");
	while (number < h->shard_count && h->shards[number].engine)
		number++;
	if (h->plan.threads[thread].workers)
		err = create_workers(
		    h, config, thread, channels, numbers, channel_count, &pipeline.dispatch);
	s->chosen_count = choose_consumers(config, thread, MDFH_CONSUMER_RAW, -1, s->chosen);
	if (!pipeline.dispatch)
		s->chosen_count += choose_consumers(
		    config, thread, MDFH_CONSUMER_EVENTS, -1, s->chosen + s->chosen_count);
	setup_engine(h, config, number, &receiver->thread.stop, s);
	pipeline.engine = s->config;
	if (err)
		mdfh_dispatch_destroy(pipeline.dispatch);
	else
		err = mdfh_pipeline_create(&pipeline, &receiver->pipeline);
	if (err)
		goto out;
	if (!pipeline.dispatch)
		h->shards[number] = (struct shard){
		    .engine = mdfh_pipeline_engine(receiver->pipeline), .thread = thread};
	for (unsigned i = 0; i < s->chosen_count; i++)
		add_consumer(h, s->chosen[i],
		    pipeline.dispatch ? mdfh_pipeline_tap(receiver->pipeline, i)
				      : mdfh_engine_consumer(h->shards[number].engine, i),
		    number);
out:
	free(s);
	return err;
}

/* Now, and not when a thread is started that has its memory already. */
static int check_core(unsigned thread, const char *key, uint32_t core)
{
	long cores = sysconf(_SC_NPROCESSORS_CONF);

	if (cores < 1 || core < (uint32_t)cores)
		return 0;
	return mdfh_error(-EINVAL, "thread %u: %s is %u; this machine has the cores 0 to %ld",
	    thread, key, core, cores - 1);
}

static int check_cores(const struct mdfh_handler_thread_config *t, unsigned thread)
{
	int err = t->core ? check_core(thread, "core", *t->core) : 0;

	for (unsigned w = 0; !err && w < t->worker_cores_count; w++)
		err = check_core(thread, "one of worker_cores", t->worker_cores[w]);
	return err;
}

int mdfh_setup_thread(
    struct mdfh_handler *h, const struct mdfh_handler_config *config, unsigned thread)
{
	const struct mdfh_handler_thread_config *t =
	    config->threads_count ? &config->threads[thread] : NULL;
	struct mdfh_receiver *receiver = &h->receivers[thread];
	struct mdfh_pipeline_channel *channels;
	unsigned numbers[MDFH_HANDLER_CHANNELS_MAX];
	unsigned count = 0;
	int err = 0;

	for (unsigned c = 0; c < config->channels_count; c++) {
		if (h->plan.channels[c].thread != thread)
			continue;
		h->channels[c] = (struct place){.thread = thread, .index = count};
		numbers[count++] = c;
	}
	if (t && check_cores(t, thread))
		return -EINVAL;
	channels = calloc(count ? count : 1, sizeof(*channels));
	if (!channels)
		return mdfh_error(-ENOMEM, "handler: out of memory");
	snprintf(receiver->thread.name, sizeof(receiver->thread.name), "%s",
	    t && t->name ? t->name : "mdfh-receive");
	receiver->thread.cpu_core = t && t->core ? MDFH_CORE(*t->core) : 0;
	receiver->thread.idle = t ? t->idle : MDFH_IDLE_DEFAULT;
	receiver->poll_timeout_us = t ? t->poll_timeout_us : 0;
	for (unsigned i = 0; i < count && !err; i++)
		err = channel_setup(config, numbers[i], &channels[i]);
	if (!err)
		err = create_pipeline(h, config, thread, channels, numbers, count);
	free(channels);
	if (!err)
		err = open_ports(h, config, thread, numbers, count);
	if (!err && h->plan.threads[thread].workers)
		settle_full(h, config, thread, mdfh_pipeline_dispatch(receiver->pipeline));
	return err;
}
