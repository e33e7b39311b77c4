/* simple_bypass_test.c - the library in a few seconds, without arguments: a server of this process
 * sends to a client of it over loopback, and what the public calls promise is checked.
 *
 *   data flow   mdfh_bypass_open, mdfh_push_*: every message, in order, every byte as it was sent
 *   reception   packets carry their flow and a time of arrival that lies within the run
 *   statistics  the port's counters against what the handler and the sender counted
 *   ingestion   mdfh_ingest_*: a simulated day of ITCH 5.0 in MoldUDP64, and mdfh_handler_* one over
 *               SoupBinTCP, become the events that the day's own counts call for
 *
 * over UDP, over multicast, and over TCP. Each check is a line; the exit status is 0 only if none
 * failed. */
#include <argp.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "apps/option_values.h"
#include "apps/std_streams.h"
#include "apps/text_out.h"
#include "mdfh/bypass.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "mdfh/handler.h"
#include "mdfh/ingest.h"
#include "mdfh/version.h"
#include "tools/build_modules.h"
#include "tools/own_namespace.h"
#include "tools/probe_message.h"
#include "tools/probe_server.h"
#include "tools/simple_feed.h"

#define GROUP     "239.255.1.1"
#define PORT      9002 /* of the multicast group; the others take any free one */
#define SECOND_NS UINT64_C(1000000000)

enum { PATIENCE_S = 10, MESSAGE_SIZE = 100, BATCH_SIZE = 7 };

struct options {
	const char *backend;
	const char *modules;
	uint64_t messages;
	double rate;
	unsigned transports; /* bit per enum probe_transport; 0 = all */
	int stay;            /* in the network namespace that this is */
};

static struct options options = {.backend = "asio", .messages = 20000, .rate = 20000};
static const char *no_namespace; /* why there is none; NULL = there is */

/* Results ----------------------------------------------------------------------------- */

static struct {
	unsigned passed;
	unsigned failed;
	unsigned skipped;
} totals;

static void print_result(const char *verdict, enum probe_transport transport, const char *step,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

static void print_result(
    const char *verdict, enum probe_transport transport, const char *step, const char *format, ...)
{
	va_list arguments;

	printf("%-4s  %-9s  %-10s  ", verdict, probe_transport_name(transport), step);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	puts("");
	fflush(stdout);
}

#define RESULT(is_passed, transport, step, ...)                                                    \
	do {                                                                                       \
		int result_is_ = (is_passed);                                                      \
		print_result(result_is_ ? "PASS" : "FAIL", transport, step, __VA_ARGS__);          \
		if (result_is_)                                                                    \
			totals.passed++;                                                           \
		else                                                                               \
			totals.failed++;                                                           \
	} while (0)

#define SKIP(transport, step, ...)                                                                 \
	do {                                                                                       \
		print_result("SKIP", transport, step, __VA_ARGS__);                                \
		totals.skipped++;                                                                  \
	} while (0)

/* Reception ------------------------------------------------------------------------------ */

/* Written by the push thread; read after mdfh_push_stop, but for what is atomic. */
struct reception {
	struct mdfh_bypass *port;
	uint64_t run;
	struct probe_stream stream; /* TCP */
	uint64_t next;              /* sequence number that is due */
	uint64_t disorder;
	uint64_t wrong; /* damaged, cut, or nothing of ours */
	uint64_t foreign;
	uint64_t messages;
	uint64_t ends;
	uint64_t calls;
	uint64_t packets;
	uint64_t bytes;
	uint64_t connects;
	uint64_t untimed;
	uint64_t first_ns;
	uint64_t last_ns;
	uint64_t backward; /* arrived before the packet before it */
	uint64_t wrong_flow;
	uint64_t truncated;
	struct mdfh_bypass_stats stats; /* at the newest end mark */
	atomic_int ended;               /* stored with release at an end mark */
};

static void take_message(
    struct reception *r, const struct probe_message *message, enum probe_verdict verdict)
{
	if (verdict != PROBE_SOUND) {
		r->wrong++;
	} else if (message->run != r->run) {
		r->foreign++;
	} else if (message->flags & PROBE_END) {
		r->ends++;
	} else {
		r->messages++;
		r->disorder += message->sequence != r->next;
		r->next = message->sequence + 1;
	}
}

static void take_payload(struct reception *r, const struct mdfh_packet *packet)
{
	const uint8_t *at = packet->data;
	uint32_t left = packet->length;
	struct probe_message message;
	enum probe_verdict verdict;

	if (packet->flags & MDFH_PACKET_STREAM) {
		while (probe_stream_next(&r->stream, &at, &left, &message, &verdict))
			take_message(r, &message, verdict);
		return;
	}
	while (left) {
		verdict = probe_message_read(at, left, &message);
		take_message(r, &message, verdict);
		if (verdict == PROBE_SHORT || verdict == PROBE_FOREIGN)
			return;
		at += message.length;
		left -= message.length;
	}
}

static void on_packets(void *context, const struct mdfh_packet *packets, int n)
{
	struct reception *r = context;
	uint64_t ends = r->ends;

	r->calls++;
	for (int i = 0; i < n; i++) {
		const struct mdfh_packet *packet = &packets[i];

		if (packet->flags & (MDFH_PACKET_CONNECTED | MDFH_PACKET_DISCONNECTED)) {
			r->connects += (packet->flags & MDFH_PACKET_CONNECTED) != 0;
			continue;
		}
		r->packets++;
		r->bytes += packet->length;
		r->wrong_flow += packet->flow != 0;
		r->truncated += (packet->flags & MDFH_PACKET_TRUNCATED) != 0;
		r->untimed += !packet->receive_ns || !(packet->flags & MDFH_PACKET_TIME_MASK);
		r->backward += packet->receive_ns < r->last_ns;
		if (!r->first_ns)
			r->first_ns = packet->receive_ns;
		r->last_ns = packet->receive_ns;
		take_payload(r, packet);
	}
	if (r->ends != ends) { /* the thread that may ask the port is this one */
		mdfh_bypass_stats(r->port, &r->stats);
		atomic_store_explicit(&r->ended, 1, memory_order_release);
	}
}

static const char *address_of(enum probe_transport transport)
{
	return transport == PROBE_MULTICAST ? GROUP : "127.0.0.1";
}

static int open_port(enum probe_transport transport, uint16_t number, struct mdfh_bypass **port)
{
	const struct mdfh_bypass_config config = {
	    .size = sizeof(config),
	    .backend = options.backend,
	    .interface = transport == PROBE_MULTICAST ? "lo" : NULL,
	    .host = address_of(transport),
	    .port = number,
	    .direction = MDFH_DIRECTION_RECEIVE,
	    .transport = transport == PROBE_TCP ? MDFH_TRANSPORT_TCP : MDFH_TRANSPORT_UDP,
	};

	return mdfh_bypass_open(&config, port);
}

static int open_server(
    enum probe_transport transport, uint16_t number, uint64_t run, struct probe_server **server)
{
	const struct probe_server_config config = {
	    .transport = transport,
	    .host = address_of(transport),
	    .interface = transport == PROBE_MULTICAST ? "lo" : NULL,
	    .port = number,
	    .rate = options.rate,
	    .burst = 1,
	    .messages = options.messages,
	    .batch_size = BATCH_SIZE,
	    .message_size = MESSAGE_SIZE,
	    .run = run,
	    .give_up_ns = PATIENCE_S * SECOND_NS,
	};

	return probe_server_open(&config, server);
}

/* A server and a port that know each other. */
static int open_both(
    enum probe_transport transport, struct reception *r, struct probe_server **server)
{
	uint16_t number = transport == PROBE_MULTICAST ? PORT : 0;
	int err;

	if (transport == PROBE_TCP) {
		err = open_server(transport, number, r->run, server);
		return err ? err : open_port(transport, probe_server_port(*server), &r->port);
	}
	err = open_port(transport, number, &r->port);
	return err ? err
		   : open_server(transport, mdfh_bypass_local_port(r->port, 0), r->run, server);
}

/* Until the flag is set, or nothing can set it any more. */
static void wait_for(const atomic_int *flag, unsigned seconds)
{
	uint64_t end_ns = mdfh_clock_now_ns() + seconds * SECOND_NS;

	while (!atomic_load_explicit(flag, memory_order_acquire) && mdfh_clock_now_ns() < end_ns)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void check_data_flow(enum probe_transport transport, const struct reception *r,
    const struct probe_server_stats *sent)
{
	RESULT(r->messages == options.messages && sent->messages == options.messages &&
		   !r->disorder && !r->wrong && r->ends,
	    transport, "data flow",
	    "%s of %s messages of %d bytes, %s out of order, %s not as sent, %s of others",
	    text_grouped(r->messages), text_grouped(sent->messages), MESSAGE_SIZE,
	    text_grouped(r->disorder), text_grouped(r->wrong), text_grouped(r->foreign));
}

static void check_reception(enum probe_transport transport, const struct reception *r,
    uint64_t start_ns, uint64_t end_ns, const char *copy)
{
	/* Two clocks that agree to within the error of ours. */
	uint64_t slack_ns = 1000 + 2 * (uint64_t)mdfh_clock_error_ns();

	RESULT(r->packets && !r->untimed && !r->backward && !r->wrong_flow && !r->truncated &&
		   r->first_ns + slack_ns >= start_ns && r->last_ns <= end_ns + slack_ns,
	    transport, "reception",
	    "%s packets in %s batches over %.3f s, %s without a time, %s before their "
	    "predecessor, %s of another flow, %s truncated; %s",
	    text_grouped(r->packets), text_grouped(r->calls),
	    (double)(r->last_ns - r->first_ns) / 1e9, text_grouped(r->untimed),
	    text_grouped(r->backward), text_grouped(r->wrong_flow), text_grouped(r->truncated),
	    copy);
}

/* The counters were read at an end mark: of UDP more of these may have come since. */
static void check_statistics(enum probe_transport transport, const struct reception *r,
    const struct probe_server_stats *sent)
{
	const struct mdfh_bypass_stats *s = &r->stats;
	uint64_t dropped = s->rx_dropped_nic + s->rx_dropped_kernel + s->rx_dropped_socket;
	uint64_t sent_bytes = sent->bytes + r->ends * PROBE_HEADER;
	uint64_t later = r->bytes - s->rx_bytes;
	int is_same_packets = transport == PROBE_TCP || r->packets == sent->packets + r->ends;

	RESULT(is_same_packets && r->bytes == sent_bytes && s->rx_bytes <= r->bytes &&
		   later % PROBE_HEADER == 0 && later / PROBE_HEADER < r->ends &&
		   s->rx_bytes + later == sent_bytes && s->rx_batches <= r->calls && !dropped &&
		   !s->rx_malformed && (transport != PROBE_TCP || s->connects == 1),
	    transport, "statistics",
	    "port %s bytes in %s batches, handler %s bytes, sender %s bytes with %s end marks; "
	    "dropped %s, malformed %s",
	    text_grouped(s->rx_bytes), text_grouped(s->rx_batches), text_grouped(r->bytes),
	    text_grouped(sent->bytes), text_grouped(r->ends), text_grouped(dropped),
	    text_grouped(s->rx_malformed));
}

/* 0 if there is no point in going on. */
static int test_flow(enum probe_transport transport)
{
	const struct probe_server_start start = {.core = -1, .wait_s = PATIENCE_S};
	struct reception *r = calloc(1, sizeof(*r));
	struct probe_server *server = NULL;
	struct mdfh_push *push = NULL;
	uint64_t start_ns = mdfh_clock_now_ns();
	char copy[80];
	int err;

	if (!r) {
		RESULT(0, transport, "data flow", "no memory");
		return 0;
	}
	r->next = 1;
	r->run = start_ns | 1;
	err = open_both(transport, r, &server);
	if (!err) {
		const struct mdfh_bypass_capabilities *c = mdfh_bypass_capabilities(r->port);

		snprintf(copy, sizeof(copy), "%s%s",
		    c->zero_copy ? "zero copy" : "copy: ", c->zero_copy ? "" : c->copy_reason);
		err = mdfh_push_start(r->port, on_packets, r, &push);
		if (err)
			mdfh_bypass_close(r->port);
	} else {
		mdfh_bypass_close(r->port);
	}
	if (!err)
		err = probe_server_serve_on_thread(server, &start);
	if (!err) {
		err = probe_server_join(server);
		wait_for(&r->ended, err ? 0 : PATIENCE_S);
	}
	if (mdfh_push_stop(push) && !err)
		err = -EIO;
	if (err == -ENOTSUP && transport == PROBE_TCP && !push) {
		SKIP(transport, "all", "%s", mdfh_error_text()); /* not every backend has it */
	} else if (err) {
		RESULT(0, transport, "data flow", "%s", mdfh_error_text());
	} else {
		uint64_t end_ns = mdfh_clock_now_ns();

		check_data_flow(transport, r, probe_server_stats(server));
		check_reception(transport, r, start_ns, end_ns, copy);
		check_statistics(transport, r, probe_server_stats(server));
	}
	probe_server_close(server);
	free(r);
	return !err;
}

/* Ingestion ---------------------------------------------------------------------------------- */

struct ingestion {
	uint64_t events;
	uint64_t by_kind[MDFH_EVENT_KINDS];
	uint64_t disorder; /* sequence numbers that fell */
	uint64_t sequence;
};

static void take_events(struct ingestion *in, const struct mdfh_event *events, int n)
{
	for (int i = 0; i < n; i++) {
		in->events++;
		if (events[i].kind < MDFH_EVENT_KINDS)
			in->by_kind[events[i].kind]++;
		in->disorder += events[i].sequence < in->sequence;
		in->sequence = events[i].sequence;
	}
}

/* Until everything that was sent has arrived, or nothing has for long after the end; then the
 * receiver is stopped, and what is left in the ring is taken. */
static int ingest_day(
    struct mdfh_ingest *ingest, const struct simple_feed *feed, struct ingestion *in)
{
	struct mdfh_event events[256];
	struct mdfh_ingest_stats stats;
	uint64_t newest_ns = mdfh_clock_now_ns();
	int n;

	do {
		n = mdfh_ingest_next(ingest, events, 256);
		if (n < 0)
			return n;
		take_events(in, events, n);
		if (n) {
			newest_ns = mdfh_clock_now_ns();
			continue;
		}
		nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
		mdfh_ingest_stats(ingest, &stats);
	} while (
	    n || (stats.messages + stats.messages_lost < options.messages &&
		     !(simple_feed_done(feed) && mdfh_clock_now_ns() > newest_ns + SECOND_NS)));
	n = mdfh_ingest_stop(ingest);
	if (n)
		return n;
	while ((n = mdfh_ingest_next(ingest, events, 256)) > 0)
		take_events(in, events, n);
	return n == -ENODATA ? 0 : n;
}

/* What is counted of either way in. */
struct ingested {
	uint64_t messages;
	uint64_t lost;
	uint64_t refused; /* packets, messages or events */
	uint64_t p50_ns;
	uint64_t p99_ns;
};

static void check_ingestion(enum probe_transport transport, const struct ingestion *in,
    const struct ingested *counts, const struct simple_feed *feed)
{
	uint64_t adds = simple_feed_count(feed, 'A') + simple_feed_count(feed, 'F') +
			simple_feed_count(feed, 'U');
	uint64_t executes = simple_feed_count(feed, 'E') + simple_feed_count(feed, 'C');
	uint64_t directories = simple_feed_count(feed, 'R');

	RESULT(counts->messages == options.messages && !counts->lost && !counts->refused &&
		   !in->disorder && in->by_kind[MDFH_EVENT_ORDER_ADD] == adds &&
		   in->by_kind[MDFH_EVENT_ORDER_EXECUTE] == executes &&
		   in->by_kind[MDFH_EVENT_INSTRUMENT] == directories &&
		   !in->by_kind[MDFH_EVENT_GAP] && !in->by_kind[MDFH_EVENT_ERROR],
	    transport, "ingestion",
	    "%s of %s messages, %s events: %s of %s orders, %s of %s executions, %s of %s "
	    "instruments; %s lost, %s out of order; p50 %s, p99 %s",
	    text_grouped(counts->messages), text_grouped(options.messages),
	    text_grouped(in->events), text_grouped(in->by_kind[MDFH_EVENT_ORDER_ADD]),
	    text_grouped(adds), text_grouped(in->by_kind[MDFH_EVENT_ORDER_EXECUTE]),
	    text_grouped(executes), text_grouped(in->by_kind[MDFH_EVENT_INSTRUMENT]),
	    text_grouped(directories), text_grouped(counts->lost), text_grouped(in->disorder),
	    text_duration(counts->p50_ns), text_duration(counts->p99_ns));
}

/* Any free UDP port: the one that a port of ours was given, which then goes. */
static int free_port(uint16_t *number)
{
	struct mdfh_bypass *port;
	int err = open_port(PROBE_UDP, 0, &port);

	if (err)
		return err;
	*number = mdfh_bypass_local_port(port, 0);
	mdfh_bypass_close(port);
	return 0;
}

static int run_ingestion(enum probe_transport transport, struct ingestion *in,
    struct mdfh_ingest **ingest, struct simple_feed **feed)
{
	struct simple_feed_config feed_config = {
	    .address = address_of(transport),
	    .interface = transport == PROBE_MULTICAST ? "lo" : NULL,
	    .port = PORT,
	    .messages = options.messages,
	    .rate = options.rate,
	    .seed = 1,
	};
	struct mdfh_ingest_config config = {
	    .size = sizeof(config),
	    .bypass = {.size = sizeof(config.bypass),
		.backend = options.backend,
		.interface = feed_config.interface,
		.host = feed_config.address},
	    .protocol = "itch50",
	    .orders_max = 65536,
	    .instruments_max = 1000,
	    .wait_when_full = MDFH_ON,
	};
	int err = transport == PROBE_UDP ? free_port(&feed_config.port) : 0;

	if (!err)
		err = simple_feed_open(&feed_config, feed);
	config.bypass.port = feed_config.port;
	if (!err)
		err = mdfh_ingest_open(&config, ingest);
	if (!err)
		err = mdfh_ingest_start(*ingest);
	if (!err)
		err = simple_feed_start(*feed);
	if (!err)
		err = ingest_day(*ingest, *feed, in);
	if (!err)
		err = simple_feed_join(*feed);
	return err;
}

static void test_ingestion(enum probe_transport transport)
{
	struct mdfh_ingest *ingest = NULL;
	struct simple_feed *feed = NULL;
	struct mdfh_ingest_stats stats;
	struct ingestion in = {0};
	int err = run_ingestion(transport, &in, &ingest, &feed);

	if (err) {
		RESULT(0, transport, "ingestion", "%s", mdfh_error_text());
	} else {
		mdfh_ingest_stats(ingest, &stats);
		check_ingestion(transport, &in,
		    &(struct ingested){.messages = stats.messages,
			.lost = stats.messages_lost,
			.refused = stats.packets_malformed + stats.events_dropped,
			.p50_ns = stats.latency_p50_ns,
			.p99_ns = stats.latency_p99_ns},
		    feed);
	}
	simple_feed_close(feed);
	mdfh_ingest_close(ingest);
}

/* SoupBinTCP: a server that is logged in to, which the handler does. */

static void take_consumer(struct mdfh_consumer *consumer, struct ingestion *in)
{
	const struct mdfh_event *events;
	uint32_t n;

	while ((n = mdfh_consumer_peek(consumer, 256, &events))) {
		take_events(in, events, (int)n);
		mdfh_consumer_done(consumer, n);
	}
}

static int run_stream_ingestion(
    struct ingestion *in, struct mdfh_handler **handler, struct simple_feed **feed)
{
	static char channel_name[] = "simple", consumer_name[] = "events", protocol[] = "itch50";
	char server[64];
	struct mdfh_line_config line = {.server = server, .backend = (char *)options.backend};
	struct mdfh_handler_channel_config channel = {
	    .name = channel_name, .protocol = protocol, .lines = &line, .lines_count = 1};
	struct mdfh_consumer_config consumer = {.name = consumer_name, .full = MDFH_FULL_WAIT};
	const struct mdfh_handler_config config = {
	    .size = sizeof(config),
	    .channels = &channel,
	    .channels_count = 1,
	    .consumers = &consumer,
	    .consumers_count = 1,
	    .instruments_max = 1000,
	    .orders_max = 65536,
	    .latency_sample = 1,
	};
	const struct simple_feed_config feed_config = {
	    .address = "127.0.0.1",
	    .is_soup = 1,
	    .messages = options.messages,
	    .rate = options.rate,
	    .seed = 1,
	};
	struct mdfh_consumer *events;
	uint64_t end_ns;
	int err = simple_feed_open(&feed_config, feed);

	if (err)
		return err;
	snprintf(server, sizeof(server), "127.0.0.1:%u", simple_feed_port(*feed));
	err = mdfh_handler_create(&config, handler);
	if (!err)
		err = mdfh_handler_start(*handler);
	if (!err)
		err = simple_feed_start(*feed);
	if (err)
		return err;
	events = mdfh_handler_consumer(*handler, consumer_name);
	end_ns = mdfh_clock_now_ns() + (uint64_t)((double)options.messages / options.rate * 1e9) +
		 PATIENCE_S * SECOND_NS;
	while (!mdfh_handler_session_ended(*handler) && mdfh_handler_running(*handler) &&
	       mdfh_clock_now_ns() < end_ns) {
		take_consumer(events, in);
		nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
	}
	/* What it has decoded may still wait for room in the ring. */
	take_consumer(events, in);
	nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	take_consumer(events, in);
	err = mdfh_handler_stop(*handler);
	take_consumer(events, in);
	return err ? err : simple_feed_join(*feed);
}

static void test_stream_ingestion(void)
{
	struct mdfh_handler *handler = NULL;
	struct simple_feed *feed = NULL;
	struct mdfh_channel_report report;
	struct ingestion in = {0};
	int err = run_stream_ingestion(&in, &handler, &feed);

	if (err) {
		RESULT(0, PROBE_TCP, "ingestion", "%s", mdfh_error_text());
	} else {
		const struct mdfh_histogram *whole =
		    mdfh_handler_latency(handler, 0, MDFH_STAGE_CONSUMER);

		mdfh_handler_channel_report(handler, 0, &report);
		check_ingestion(PROBE_TCP, &in,
		    &(struct ingested){.messages = report.messages,
			.lost = report.session.lost,
			.refused = report.messages_refused + report.messages_unknown,
			.p50_ns = mdfh_histogram_percentile(whole, 50),
			.p99_ns = mdfh_histogram_percentile(whole, 99)},
		    feed);
	}
	simple_feed_close(feed);
	mdfh_handler_destroy(handler);
}

/* The whole ------------------------------------------------------------------------------------ */

enum { KEY_MODULES = 256, KEY_STAY };

static const struct argp_option argp_options[] = {
    {"backend", 'b', "NAME", 0,
	"Backend, or the absolute path of its module; asio is another name of socket (asio)", 0},
    {"modules", KEY_MODULES, "FOLDER", 0,
	"Where modules are (modules/ beside the program, else the install folder)", 0},
    {"transport", 't', "tcp|udp|multicast", 0, "Only this one; may be repeated (all)", 0},
    {"messages", 'n', "N", 0, "Messages of each step, 5000 to 10000000 (20000)", 0},
    {"rate", 'r', "MSGS/S", 0, "How fast they are sent (20000)", 0},
    {"stay", KEY_STAY, 0, 0,
	"In the network namespace that this is, instead of a new one with nothing but lo; without "
	"multicast",
	0},
    {0},
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case 'b':
		options.backend = arg;
		return 0;
	case KEY_MODULES:
		options.modules = arg;
		return 0;
	case 't':
		for (enum probe_transport t = PROBE_UDP; t <= PROBE_TCP; t++)
			if (!strcmp(arg, probe_transport_name(t))) {
				options.transports |= 1u << t;
				return 0;
			}
		argp_error(state, "transport is '%s'; it must be tcp, udp or multicast", arg);
		return 0;
	case 'n':
		options.messages = (uint64_t)option_number(state, "messages", arg, 5000, 1e7);
		return 0;
	case 'r':
		options.rate = option_number(state, "rate", arg, 100, 1e7);
		return 0;
	case KEY_STAY:
		options.stay = 1;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is no option; there are options only", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void test_transport(enum probe_transport transport)
{
	if (transport == PROBE_MULTICAST && no_namespace) {
		SKIP(transport, "all", "%s", no_namespace);
		return;
	}
	if (!test_flow(transport))
		return;
	if (transport == PROBE_TCP)
		test_stream_ingestion();
	else
		test_ingestion(transport);
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
	    .options = argp_options,
	    .parser = parse_option,
	    .doc = "Hold the library's promises against a server and a client on loopback: data "
		   "flow, reception, statistics, ingestion.\v"
		   "Exit status: 0 every check passed, 1 one failed, 2 could not run.",
	};
	static char reason[256];

	std_streams_guard("simple_bypass_test");
	argp_err_exit_status = 2;
	argp_program_version = "simple_bypass_test " MDFH_VERSION;
	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	if (!options.transports)
		options.transports = 1u << PROBE_UDP | 1u << PROBE_MULTICAST | 1u << PROBE_TCP;
	if (options.stay)
		no_namespace = "asked to stay in this network namespace";
	else if (own_namespace_enter()) {
		snprintf(reason, sizeof(reason), "%s", mdfh_error_text());
		no_namespace = reason;
	}
	if (mdfh_clock_start() || build_modules_use(options.modules)) {
		fprintf(stderr, "simple_bypass_test: %s\n", mdfh_error_text());
		return 2;
	}
	printf("mdfh %s, backend %s, %s\n", mdfh_version(), options.backend,
	    no_namespace ? "in this network namespace" : "in a network namespace of its own");
	for (enum probe_transport t = PROBE_UDP; t <= PROBE_TCP; t++)
		if (options.transports & 1u << t)
			test_transport(t);
	printf("%u passed, %u failed, %u skipped\n", totals.passed, totals.failed, totals.skipped);
	return totals.failed ? 1 : 0;
}
