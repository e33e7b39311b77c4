/* test_handler.c - a handler made by a program: threads, channels, consumers, stop and start again.
 *
 * Real sockets, unicast on loopback. Waiting is for what must come, 10 s at most. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "feed.h"
#include "mdfh/depth.h"
#include "mdfh/error.h"
#include "mdfh/handler.h"
#include "own_namespace.h"

static int out; /* the socket that sends */
static char protocol[] = "itch50";
static char date[] = "2026-11-20";
static char names[4][8] = {"one", "two", "all", "tap"};
static char aapl[] = "AAPL";
static char *only_aapl[] = {aapl};

static int set_up(void **state)
{
	(void)state;
	out = socket(AF_INET, SOCK_DGRAM, 0);
	return out < 0;
}

static int tear_down(void **state)
{
	(void)state;
	return close(out);
}

static uint16_t free_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static void send_to(uint16_t port, const struct feed *feed)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(
	    sendto(out, feed->data, feed->length, 0, (struct sockaddr *)&to, sizeof(to)),
	    feed->length);
}

static struct mdfh_event next_event(struct mdfh_consumer *c)
{
	const struct timespec nap = {.tv_nsec = 200000};

	for (int tries = 0; tries < 50000; tries++) {
		const struct mdfh_event *events;
		struct mdfh_event e;

		if (mdfh_consumer_peek(c, 1, &events)) {
			e = *events;
			mdfh_consumer_done(c, 1);
			return e;
		}
		nanosleep(&nap, NULL);
	}
	fail_msg("no event within 10 s");
	return (struct mdfh_event){.kind = 0};
}

static struct mdfh_event next_of_kind(struct mdfh_consumer *c, unsigned kind)
{
	for (;;) {
		struct mdfh_event e = next_event(c);

		if (e.kind == kind)
			return e;
	}
}

/* Two threads, a channel each; on the second three consumers. Sizes for a test. */
struct setup {
	struct mdfh_handler_config config;
	struct mdfh_handler_thread_config threads[2];
	struct mdfh_handler_channel_config channels[2];
	struct mdfh_line_config lines[2];
	struct mdfh_consumer_config consumers[4];
	char groups[2][32];
	uint16_t ports[2];
};

static void make(struct setup *s)
{
	uint16_t port = free_port();

	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < 2; i++) {
		s->ports[i] = (uint16_t)(port + i);
		snprintf(s->groups[i], sizeof(s->groups[i]), "127.0.0.1:%u", s->ports[i]);
		s->lines[i].group = s->groups[i];
		s->channels[i] = (struct mdfh_handler_channel_config){.protocol = protocol,
		    .thread = i,
		    .window_us = 1000,
		    .lines = &s->lines[i],
		    .lines_count = 1};
	}
	for (unsigned i = 0; i < 4; i++)
		s->consumers[i] =
		    (struct mdfh_consumer_config){.name = names[i], .thread = i > 0, .slots = 1024};
	s->consumers[1].symbols = only_aapl;
	s->consumers[1].symbols_count = 1;
	s->consumers[3].kind = MDFH_CONSUMER_RAW;
	s->config = (struct mdfh_handler_config){
	    .size = sizeof(s->config),
	    .session_date = date,
	    .threads = s->threads,
	    .threads_count = 2,
	    .channels = s->channels,
	    .channels_count = 2,
	    .consumers = s->consumers,
	    .consumers_count = 4,
	    .instruments_max = 100,
	    .orders_max = 1024,
	    .levels_max = 1024,
	};
}

static struct mdfh_handler *create(const struct setup *s)
{
	struct mdfh_handler *handler = NULL;

	if (mdfh_handler_create(&s->config, &handler))
		fail_msg("%s", mdfh_error_text());
	return handler;
}

static void start_of_day(struct feed *feed, const char symbol[8])
{
	feed_begin(feed, 1);
	feed_system(feed, 'O');
	feed_directory(feed, 1, symbol);
	feed_directory(feed, 2, "MSFT    ");
	feed_add(feed, 2, "MSFT    ", 1, 'B', 100, 1500000);
	feed_add(feed, 1, symbol, 2, 'S', 200, 1500000);
}

static void test_threads_channels_consumers(void **state)
{
	struct setup s;
	struct mdfh_handler *handler;
	struct mdfh_consumer *one, *two, *all, *tap;
	struct mdfh_channel_report report;
	struct mdfh_port_report port;
	const struct mdfh_raw *raw;
	struct feed feed;
	struct mdfh_event e;
	int messages = 0;

	(void)state;
	make(&s);
	handler = create(&s);
	one = mdfh_handler_consumer(handler, "one");
	two = mdfh_handler_consumer(handler, "two");
	all = mdfh_handler_consumer(handler, "all");
	tap = mdfh_handler_consumer(handler, "tap");
	assert_null(mdfh_handler_consumer(handler, "three"));
	assert_int_equal(mdfh_handler_running(handler), 0);
	assert_int_equal(mdfh_handler_start(handler), 0);
	assert_int_equal(mdfh_handler_running(handler), 1);

	start_of_day(&feed, "SPY     ");
	send_to(s.ports[0], &feed);
	start_of_day(&feed, "AAPL    ");
	send_to(s.ports[1], &feed);
	e = next_of_kind(one, MDFH_EVENT_ORDER_ADD);
	assert_int_equal(e.channel, 0);
	e = next_of_kind(one, MDFH_EVENT_ORDER_ADD);
	assert_string_equal(
	    mdfh_instruments_get(mdfh_handler_instruments(handler, 0), e.instrument)->symbol,
	    "SPY");
	e = next_of_kind(all, MDFH_EVENT_ORDER_ADD);
	assert_int_equal(e.channel, 1);
	assert_int_equal(e.order.order_id, 1);
	e = next_of_kind(all, MDFH_EVENT_ORDER_ADD);
	assert_int_equal(e.order.order_id, 2);
	e = next_of_kind(two, MDFH_EVENT_ORDER_ADD); /* MSFT is not for it */
	assert_int_equal(e.order.order_id, 2);
	assert_string_equal(
	    mdfh_instruments_get(mdfh_handler_instruments(handler, 1), e.instrument)->symbol,
	    "AAPL");
	assert_int_equal(mdfh_handler_session_ended(handler), 0);
	feed_end_of_session(&feed, 6);
	send_to(s.ports[0], &feed);
	send_to(s.ports[1], &feed);
	for (int tries = 0; tries < 50000 && !mdfh_handler_session_ended(handler); tries++)
		nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
	assert_int_equal(mdfh_handler_session_ended(handler), 1);
	assert_int_equal(mdfh_handler_stop(handler), 0);
	assert_int_equal(mdfh_handler_stop(handler), 0);

	while (mdfh_consumer_peek_raw(tap, &raw)) {
		assert_int_equal(raw->channel, 1);
		messages += raw->kind == MDFH_SPAN_DATA;
		mdfh_consumer_done(tap, 1);
	}
	assert_int_equal(messages, 5);
	assert_int_equal(mdfh_handler_channels(handler), 2);
	assert_int_equal(mdfh_handler_ports(handler), 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(mdfh_handler_channel_report(handler, i, &report), 0);
		assert_int_equal(report.messages, 5);
		assert_int_equal(report.session.lost, 0);
		assert_int_equal(report.ports[0], i);
		assert_true(report.first_ns > 0 && report.last_ns >= report.first_ns);
		assert_int_equal(mdfh_handler_port_report(handler, i, &port), 0);
		assert_int_equal(port.stats.rx_packets, 2);
		assert_int_equal(port.error, 0);
	}
	assert_int_equal(mdfh_handler_channel_report(handler, 2, &report), -EINVAL);
	assert_int_equal(mdfh_handler_port_report(handler, 2, &port), -EINVAL);
	assert_null(mdfh_handler_books(handler, 2));
	mdfh_handler_destroy(handler);
}

static void start_again(unsigned workers)
{
	struct setup s;
	struct mdfh_handler *handler;
	struct mdfh_consumer *one;
	struct mdfh_channel_report report;
	struct feed feed;

	make(&s);
	s.threads[0].workers = workers;
	handler = create(&s);
	one = mdfh_handler_consumer(handler, "one");
	assert_int_equal(mdfh_handler_stop(handler), 0); /* of what never ran */
	assert_int_equal(mdfh_handler_start(handler), 0);
	assert_int_equal(mdfh_handler_start(handler), -EALREADY);
	assert_int_equal(mdfh_handler_running(handler), 1);
	start_of_day(&feed, "SPY     ");
	send_to(s.ports[0], &feed);
	next_of_kind(one, MDFH_EVENT_ORDER_ADD);
	assert_int_equal(mdfh_handler_stop(handler), 0);
	assert_int_equal(mdfh_handler_running(handler), 0);
	/* What comes meanwhile waits in the socket; books and sequence go on where they were. */
	feed_begin(&feed, 6);
	feed_delete(&feed, 2, 1);
	send_to(s.ports[0], &feed);
	assert_int_equal(mdfh_handler_start(handler), 0);
	assert_int_equal(next_of_kind(one, MDFH_EVENT_ORDER_DELETE).order.order_id, 1);
	assert_int_equal(mdfh_handler_stop(handler), 0);
	assert_int_equal(mdfh_handler_channel_report(handler, 0, &report), 0);
	assert_int_equal(report.session.delivered, 6);
	assert_int_equal(report.session.lost, 0);
	assert_int_equal(report.session.sessions, 1);
	mdfh_handler_destroy(handler);
}

static void test_start_again(void **state)
{
	(void)state;
	start_again(0);
	start_again(2);
}

/* Consumers that were too slow learn what they missed without another packet: room is enough. */
static void told_in_silence(unsigned workers)
{
	struct setup s;
	struct mdfh_handler *handler;
	struct mdfh_consumer *one, *tap;
	const struct mdfh_raw *raw;
	struct mdfh_event e;
	struct feed feed;
	uint64_t missing = 0;

	make(&s);
	s.consumers[0].slots = 16;
	s.consumers[3].slots = 16;
	s.threads[0].workers = workers;
	s.threads[1].workers = workers;
	handler = create(&s);
	one = mdfh_handler_consumer(handler, "one");
	tap = mdfh_handler_consumer(handler, "tap");
	assert_int_equal(mdfh_handler_start(handler), 0);
	feed_begin(&feed, 1);
	for (uint64_t ref = 1; ref <= 30; ref++)
		feed_add(&feed, 1, "SPY     ", ref, 'B', 1, 10000);
	send_to(s.ports[0], &feed);
	send_to(s.ports[1], &feed);
	for (int tries = 0; tries < 50000; tries++) {
		struct mdfh_consumer_stats events, bytes;

		mdfh_consumer_stats(one, &events);
		mdfh_consumer_stats(tap, &bytes);
		if (events.dropped + events.delivered >= 31 && bytes.dropped == 15)
			break;
		nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
	}
	e = next_of_kind(one, MDFH_EVENT_GAP);
	assert_int_equal(e.gap.cause, MDFH_CAUSE_CONSUMER);
	assert_int_equal(e.gap.first + e.gap.count, 31);
	assert_int_equal(next_of_kind(one, MDFH_EVENT_STALE).gap.cause, MDFH_CAUSE_CONSUMER);
	for (int tries = 0; tries < 50000 && !missing; tries++) {
		if (!mdfh_consumer_peek_raw(tap, &raw)) {
			nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
			continue;
		}
		if (raw->kind == MDFH_SPAN_GAP)
			memcpy(&missing, raw->data, sizeof(missing));
		mdfh_consumer_done(tap, 1);
	}
	assert_int_equal(missing, 15); /* of 31 records, begin of session included, 16 found room */
	assert_int_equal(mdfh_handler_stop(handler), 0);
	mdfh_handler_destroy(handler);
}

static void test_told_in_silence(void **state)
{
	(void)state;
	told_in_silence(0);
	told_in_silence(2);
}

/* However long a thread may wait, it is stopped at once. */
static void test_stop_while_nothing_comes(void **state)
{
	struct setup s;
	struct mdfh_handler *handler;
	struct timespec from, to;

	(void)state;
	make(&s);
	for (unsigned i = 0; i < 2; i++)
		s.threads[i].poll_timeout_us = 20000000;
	handler = create(&s);
	assert_int_equal(mdfh_handler_start(handler), 0);
	nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	clock_gettime(CLOCK_MONOTONIC, &from);
	assert_int_equal(mdfh_handler_stop(handler), 0);
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_true(to.tv_sec - from.tv_sec < 10);
	mdfh_handler_destroy(handler);
}

/* A receive thread that waits for a consumer that reads nothing can be stopped. */
static void test_stop_while_waiting(void **state)
{
	struct setup s;
	struct mdfh_handler *handler;
	struct mdfh_consumer_stats stats;
	struct feed feed;

	(void)state;
	make(&s);
	s.consumers[0].slots = 8;
	s.consumers[0].full = MDFH_FULL_WAIT;
	handler = create(&s);
	assert_int_equal(mdfh_handler_start(handler), 0);
	feed_begin(&feed, 1);
	feed_system(&feed, 'O');
	feed_directory(&feed, 1, "SPY     ");
	for (uint64_t ref = 1; ref <= 30; ref++)
		feed_add(&feed, 1, "SPY     ", ref, 'B', 1, 10000);
	send_to(s.ports[0], &feed);
	for (int tries = 0; tries < 50000; tries++) {
		mdfh_consumer_stats(mdfh_handler_consumer(handler, "one"), &stats);
		if (stats.used == 8)
			break;
		nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
	}
	assert_int_equal(stats.used, 8);
	assert_int_equal(mdfh_handler_stop(handler), 0);
	mdfh_consumer_stats(mdfh_handler_consumer(handler, "one"), &stats);
	assert_int_equal(stats.delivered, 8);
	assert_true(stats.dropped >= 25); /* all that was in hand: 33 messages made more than 8 */
	mdfh_handler_destroy(handler);
}

/* A consumer that reads nothing, a worker that waits for it, a receive thread that waits for the worker:
 * stopping ends all of it, and every message is accounted for. */
static void test_stop_while_all_wait(void **state)
{
	struct setup s;
	struct mdfh_handler *handler;
	struct mdfh_consumer_stats stats;
	struct mdfh_thread_report thread;
	struct mdfh_channel_report report;
	struct feed feed;
	uint64_t sequence = 1;

	(void)state;
	make(&s);
	s.consumers[0].slots = 8;
	s.consumers[0].full = MDFH_FULL_WAIT;
	s.threads[0].workers = 1;
	s.threads[0].worker_ring_bytes = 256 << 10;
	s.threads[0].worker_full = MDFH_WORKER_FULL_WAIT;
	handler = create(&s);
	assert_int_equal(mdfh_handler_start(handler), 0);
	/* Until the ring is full, and a little more, which the receive thread waits with. */
	for (unsigned i = 0, more = 20; i < 50000 && more > 0; i++) {
		feed_begin(&feed, sequence);
		for (uint64_t ref = sequence; ref < sequence + 30; ref++)
			feed_add(&feed, 1, "SPY     ", ref, 'B', 1, 10000);
		sequence += feed.count;
		send_to(s.ports[0], &feed);
		nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
		assert_int_equal(mdfh_handler_thread_report(handler, 1, &thread), 0);
		more -= thread.ring_high_water_bytes + 4096 > thread.ring_bytes;
	}
	nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	assert_int_equal(mdfh_handler_stop(handler), 0);
	assert_int_equal(mdfh_handler_thread_report(handler, 1, &thread), 0);
	assert_true(thread.waits > 0);
	assert_true(thread.dropped > 0 && thread.gaps > 0);
	assert_int_equal(mdfh_handler_channel_report(handler, 0, &report), 0);
	assert_int_equal(report.session.lost_by_cause[MDFH_CAUSE_WORKER], thread.dropped);
	assert_int_equal(report.session.delivered, thread.messages);
	assert_int_equal(report.messages, thread.messages);
	mdfh_consumer_stats(mdfh_handler_consumer(handler, "one"), &stats);
	assert_int_equal(stats.delivered, 8);
	assert_true(stats.dropped >= thread.messages - 8);
	mdfh_handler_destroy(handler);
}

static void test_depth_names(void **state)
{
	struct setup s;
	struct mdfh_handler *handler;
	struct mdfh_depth *depth;
	char name[64], each[80];

	(void)state;
	make(&s);
	snprintf(name, sizeof(name), "/mdfh-test-handler-%d", (int)getpid());
	s.config.depth_levels = 3;
	s.config.depth_shared_name = name;
	handler = create(&s);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(each, sizeof(each), "%s-%u", name, i);
		assert_int_equal(mdfh_depth_attach(each, &depth), 0);
		assert_int_equal(mdfh_depth_levels(depth), 3);
		mdfh_depth_destroy(depth);
	}
	mdfh_handler_destroy(handler);
	/* One thread: the name as it is. */
	s.config.threads_count = 1;
	s.channels[1].thread = 0;
	s.config.consumers_count = 1;
	handler = create(&s);
	assert_int_equal(mdfh_depth_attach(name, &depth), 0);
	mdfh_depth_destroy(depth);
	mdfh_handler_destroy(handler);
}

/* The second port cannot be opened: all that was taken is given back, the sentence says why. */
static void test_refused(void **state)
{
	struct setup s;
	struct mdfh_handler *handler;
	char nowhere[] = "no-such-device";

	(void)state;
	make(&s);
	s.lines[1].interface = nowhere;
	assert_true(mdfh_handler_create(&s.config, &handler) < 0);
	assert_null(handler);
	assert_non_null(strstr(mdfh_error_text(), nowhere));
	s.lines[1].interface = NULL;
	s.consumers[2].name = NULL;
	assert_int_equal(mdfh_handler_create(&s.config, &handler), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "consumer 2"));
	s.consumers[2].name = names[2];
	s.channels[0].protocol = NULL;
	assert_int_equal(mdfh_handler_create(&s.config, &handler), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "channel 0"));
	s.channels[0].protocol = protocol;
	s.config.depth_levels = MDFH_DEPTH_LEVELS_MAX + 1;
	assert_int_equal(mdfh_handler_create(&s.config, &handler), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "depth_levels"));
	s.config.depth_levels = 0;
	mdfh_handler_destroy(create(&s)); /* without a start */
	mdfh_handler_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_threads_channels_consumers),
	    cmocka_unit_test(test_start_again),
	    cmocka_unit_test(test_told_in_silence),
	    cmocka_unit_test(test_stop_while_nothing_comes),
	    cmocka_unit_test(test_stop_while_waiting),
	    cmocka_unit_test(test_stop_while_all_wait),
	    cmocka_unit_test(test_depth_names),
	    cmocka_unit_test(test_refused),
	};

	/* Where that is allowed: then no other test takes a number that was free. */
	(void)test_enter_namespace();
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
