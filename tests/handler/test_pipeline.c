/* test_pipeline.c - packets written by hand through sessions, decoder, books and consumers.
 *
 * No sockets or threads. Packets are handed in with their time, or come from ports made here. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "feed.h"
#include "handler/pipeline.h"
#include "mdfh/backend.h"
#include "mdfh/depth.h"
#include "mdfh/error.h"

#define MIDNIGHT_NS 1795150800000000000 /* 2026-11-20 in New York */

static atomic_bool stop;

static uint32_t instruments_max = 1000;

static struct mdfh_pipeline *make(const struct mdfh_consumer_config *const *consumers,
    unsigned count, uint32_t depth_levels, char *const *symbols, unsigned symbols_count)
{
	struct mdfh_pipeline_channel channel = {
	    .protocol = "itch50",
	    .session = {.size = sizeof(channel.session),
		.session = mdfh_session_find("moldudp64"),
		.channel = 9,
		.lines = 2,
		.window_ns = 1000000},
	    .midnight_ns = MIDNIGHT_NS,
	};
	struct mdfh_pipeline_config config = {
	    .channels = &channel,
	    .channel_count = 1,
	    .engine.consumers = consumers,
	    .engine.consumer_count = count,
	    .engine.symbols = symbols,
	    .engine.symbols_count = symbols_count,
	    .engine.instruments_max = instruments_max,
	    .engine.books = {.orders_max = 4096, .levels_max = 4096},
	    .engine.keep_books = 1,
	    .engine.depth_levels = depth_levels,
	    .latency_sample = 1,
	    .engine.stop = &stop,
	};
	struct mdfh_pipeline *p = NULL;
	int err = mdfh_pipeline_create(&config, &p);

	if (err)
		print_message("%s\n", mdfh_error_text());
	assert_int_equal(err, 0);
	return p;
}

/* A packet of line A or B, arriving at now_ns. */
static struct mdfh_packet packet_of(const struct feed *feed, uint16_t line, int64_t now_ns)
{
	return (struct mdfh_packet){
	    .data = feed->data,
	    .length = feed->length,
	    .receive_ns = (uint64_t)now_ns,
	    .flow = line,
	    .flags = MDFH_PACKET_TIME_KERNEL,
	};
}

static void give(struct mdfh_pipeline *p, const struct feed *feed, uint16_t line, int64_t now_ns)
{
	struct mdfh_packet packet = packet_of(feed, line, now_ns);

	mdfh_pipeline_packets(p, 0, &packet, 1, now_ns);
}

static struct mdfh_event take(struct mdfh_consumer *c)
{
	const struct mdfh_event *events;
	struct mdfh_event e;

	assert_int_equal(mdfh_consumer_peek(c, 1, &events), 1);
	e = *events;
	mdfh_consumer_done(c, 1);
	return e;
}

/* Skip to the next event of a kind. */
static struct mdfh_event take_kind(struct mdfh_consumer *c, unsigned kind)
{
	for (;;) {
		struct mdfh_event e = take(c);

		if (e.kind == kind)
			return e;
	}
}

static void start_of_day(struct feed *feed)
{
	feed_begin(feed, 1);
	feed_system(feed, 'O');
	feed_directory(feed, 1, "AAPL    ");
	feed_directory(feed, 2, "MSFT    ");
}

static char name[] = "c";
static char tap_name[] = "tap";
static const struct mdfh_consumer_config plain = {.name = name, .slots = 256};
static const struct mdfh_consumer_config tap = {
    .name = tap_name, .kind = MDFH_CONSUMER_RAW, .slots = 256};

static uint64_t messages(struct mdfh_pipeline *p, unsigned channel)
{
	struct mdfh_engine_counts counts;

	mdfh_engine_counts(mdfh_pipeline_engine(p), channel, &counts);
	return counts.messages;
}

static void test_two_lines_become_one_book(void **state)
{
	const struct mdfh_consumer_config *consumers[] = {&plain};
	struct mdfh_pipeline *p = make(consumers, 1, 0, NULL, 0);
	struct mdfh_consumer *c = mdfh_engine_consumer(mdfh_pipeline_engine(p), 0);
	const struct mdfh_books *books = mdfh_engine_books(mdfh_pipeline_engine(p));
	struct mdfh_channel_report report;
	struct mdfh_event e;
	struct mdfh_level level;
	struct mdfh_order order;
	struct feed feed;
	uint32_t row;

	(void)state;
	start_of_day(&feed);
	give(p, &feed, 0, 1000);
	give(p, &feed, 1, 1001);
	feed_begin(&feed, 4);
	feed_add(&feed, 1, "AAPL    ", 500, 'B', 100, 1500000);
	feed_add(&feed, 1, "AAPL    ", 501, 'B', 200, 1500000);
	feed_add(&feed, 1, "AAPL    ", 502, 'S', 300, 1500100);
	give(p, &feed, 1, 2000); /* B is first this time */
	give(p, &feed, 0, 2001);
	feed_begin(&feed, 7);
	feed_execute(&feed, 1, 500, 100, 77);
	feed_delete(&feed, 1, 502);
	give(p, &feed, 0, 3000);
	give(p, &feed, 1, 3001);
	mdfh_pipeline_finish(p);

	e = take(c);
	assert_int_equal(e.kind, MDFH_EVENT_SESSION_BEGIN);
	e = take_kind(c, MDFH_EVENT_ORDER_ADD);
	assert_int_equal(e.sequence, 4);
	assert_int_equal(e.channel, 9);
	assert_int_equal(e.order.order_id, 500);
	assert_int_equal(e.order.price, 150000000000); /* 150.0000 */
	assert_int_equal(e.order.quantity, 100);
	assert_int_equal(e.side, MDFH_SIDE_BUY);
	assert_int_equal(e.receive_ns, 2000);
	assert_int_equal(e.exchange_ns, MIDNIGHT_NS + 3000);
	assert_int_equal(e.flags & MDFH_EVENT_UNSOUND, 0);
	row = e.instrument;
	assert_string_equal(
	    mdfh_instruments_get(mdfh_engine_instruments(mdfh_pipeline_engine(p)), row)->symbol,
	    "AAPL");
	e = take_kind(c, MDFH_EVENT_ORDER_EXECUTE);
	assert_int_equal(e.sequence, 7);
	assert_int_equal(e.order.price, 150000000000);
	assert_int_equal(e.order.remaining, 0);
	e = take(c);
	assert_int_equal(e.kind, MDFH_EVENT_TRADE);
	assert_int_equal(e.side, MDFH_SIDE_SELL); /* the aggressor sold to the resting buyer */
	assert_int_equal(e.trade.match_id, 77);
	e = take(c);
	assert_int_equal(e.kind, MDFH_EVENT_ORDER_DELETE);
	assert_int_equal(e.order.price, 150010000000);
	assert_int_equal(e.side, MDFH_SIDE_SELL);

	assert_int_equal(mdfh_book_best(books, row, MDFH_SIDE_BUY, &level), 1);
	assert_int_equal(level.quantity, 200);
	assert_int_equal(level.orders, 1);
	assert_int_equal(mdfh_book_best(books, row, MDFH_SIDE_SELL, &level), 0);
	assert_int_equal(mdfh_book_order(books, 9, 501, &order), 1);
	assert_int_equal(order.position, 0);
	mdfh_pipeline_channel_report(p, 0, &report);
	assert_int_equal(messages(p, 0), 8);
	assert_int_equal(report.session.delivered, 8);
	assert_int_equal(report.session.lost, 0);
	assert_int_equal(report.session.lines[0].delivered, 5);
	assert_int_equal(report.session.lines[1].delivered, 3);
	assert_int_equal(report.session.lines[0].duplicates, 3);
	assert_int_equal(report.session.lines[1].duplicates, 5);
	mdfh_pipeline_destroy(p);
}

static void test_gap_reaches_everyone(void **state)
{
	const struct mdfh_consumer_config *consumers[] = {&plain, &tap};
	struct mdfh_pipeline *p = make(consumers, 2, 3, NULL, 0);
	struct mdfh_consumer *c = mdfh_engine_consumer(mdfh_pipeline_engine(p), 0);
	struct mdfh_consumer *t = mdfh_engine_consumer(mdfh_pipeline_engine(p), 1);
	struct mdfh_channel_report report;
	const struct mdfh_raw *raw;
	struct mdfh_event e;
	struct feed feed;
	uint64_t count;
	uint64_t raw_messages = 0;
	int raw_gaps = 0;

	(void)state;
	start_of_day(&feed);
	give(p, &feed, 0, 1000);
	feed_begin(&feed, 4);
	feed_add(&feed, 2, "MSFT    ", 600, 'S', 50, 4000000);
	give(p, &feed, 0, 2000);
	feed_begin(&feed, 10); /* 5 to 9 are on neither line */
	feed_add(&feed, 2, "MSFT    ", 610, 'S', 60, 4000100);
	give(p, &feed, 0, 3000);
	give(p, &feed, 1, 3500);
	mdfh_pipeline_finish(p);

	e = take_kind(c, MDFH_EVENT_ORDER_ADD);
	assert_int_equal(e.sequence, 4);
	assert_int_equal(
	    mdfh_book_is_sound(mdfh_engine_books(mdfh_pipeline_engine(p)), e.instrument), 0);
	e = take_kind(c, MDFH_EVENT_GAP);
	assert_int_equal(e.gap.first, 5);
	assert_int_equal(e.gap.count, 5);
	e = take_kind(c, MDFH_EVENT_ORDER_ADD);
	assert_int_equal(e.sequence, 10);
	assert_true(e.flags & MDFH_EVENT_UNSOUND);
	mdfh_pipeline_channel_report(p, 0, &report);
	assert_int_equal(report.session.lost, 5);
	assert_int_equal(report.session.gaps, 1);
	assert_int_equal(report.session.delivered, 5);

	while (mdfh_consumer_peek_raw(t, &raw)) {
		if (raw->kind == MDFH_SPAN_GAP) {
			memcpy(&count, raw->data, sizeof(count));
			assert_int_equal(raw->sequence, 5);
			assert_int_equal(count, 5);
			raw_gaps++;
		} else if (raw->kind == MDFH_SPAN_DATA) {
			raw_messages++;
			assert_true(
			    raw->data[0] == 'S' || raw->data[0] == 'R' || raw->data[0] == 'A');
		}
		mdfh_consumer_done(t, 1);
	}
	assert_int_equal(raw_gaps, 1);
	assert_int_equal(raw_messages, 5);
	mdfh_pipeline_destroy(p);
}

static int callbacks;

static void on_events(
    void *context, const struct mdfh_event *events, int n, const struct mdfh_books *books)
{
	struct mdfh_level level;

	assert_ptr_equal(context, &callbacks);
	for (int i = 0; i < n; i++) {
		callbacks++;
		if (events[i].kind == MDFH_EVENT_ORDER_ADD)
			assert_int_equal(
			    mdfh_book_best(books, events[i].instrument, events[i].side, &level), 1);
	}
}

static void test_same_thread_and_depth(void **state)
{
	struct mdfh_pipeline *p = make(NULL, 0, 3, NULL, 0);
	struct mdfh_depth_view view;
	struct feed feed;
	uint32_t row;

	(void)state;
	callbacks = 0;
	mdfh_engine_on_events(mdfh_pipeline_engine(p), on_events, &callbacks);
	start_of_day(&feed);
	give(p, &feed, 0, 1000);
	/* The very first batch is published too. */
	row =
	    mdfh_instruments_find_symbol(mdfh_engine_instruments(mdfh_pipeline_engine(p)), "MSFT");
	assert_int_equal(
	    mdfh_depth_read(mdfh_engine_depth(mdfh_pipeline_engine(p)), row, &view), 1);
	assert_int_equal(view.sequence, 3);
	feed_begin(&feed, 4);
	for (uint32_t i = 0; i < 5; i++)
		feed_add(&feed, 1, "AAPL    ", 700 + i, 'B', 10 + i, 1000000 - 100 * i);
	give(p, &feed, 0, 2000);
	assert_true(callbacks >= 8);
	row =
	    mdfh_instruments_find_symbol(mdfh_engine_instruments(mdfh_pipeline_engine(p)), "AAPL");
	assert_int_equal(
	    mdfh_depth_read(mdfh_engine_depth(mdfh_pipeline_engine(p)), row, &view), 1);
	assert_int_equal(view.bids, 3);
	assert_int_equal(view.asks, 0);
	assert_int_equal(view.bid[0].price, 100000000000);
	assert_int_equal(view.bid[2].price, 99980000000);
	assert_int_equal(view.bid[2].quantity, 12);
	assert_int_equal(view.sequence, 8);
	assert_true(view.is_sound);
	mdfh_pipeline_destroy(p);
}

/* A new session empties the books, and so their snapshots: nothing of the last day's remains, nor a
 * number of it, by which a reader would take the new session's events for known. */
static void test_depth_of_a_new_session(void **state)
{
	struct mdfh_pipeline *p = make(NULL, 0, 3, NULL, 0);
	const struct mdfh_instruments *table = mdfh_engine_instruments(mdfh_pipeline_engine(p));
	const struct mdfh_depth *depth = mdfh_engine_depth(mdfh_pipeline_engine(p));
	struct mdfh_packet packets[2];
	struct mdfh_depth_view view;
	struct feed feed, next;
	uint32_t row;

	(void)state;
	start_of_day(&feed);
	feed_add(&feed, 1, "AAPL    ", 700, 'B', 10, 1000000);
	give(p, &feed, 0, 1000);
	row = mdfh_instruments_find_symbol(table, "AAPL");
	assert_int_equal(mdfh_depth_read(depth, row, &view), 1);
	assert_int_equal(view.bids, 1);
	assert_true(view.is_sound);
	feed_begin(&feed, 1);
	feed.data[9] = '2';
	feed_system(&feed, 'Q');
	give(p, &feed, 0, 2000);
	assert_int_equal(mdfh_depth_read(depth, row, &view), 1);
	assert_int_equal(view.bids, 0);
	assert_false(view.is_sound);
	assert_int_equal(view.receive_ns, 2000);
	assert_int_equal(view.sequence, 0);
	/* The same in one batch with the old session's last messages, and the new one's first. */
	feed_begin(&feed, 2);
	feed.data[9] = '2';
	feed_directory(&feed, 1, "AAPL    ");
	feed_directory(&feed, 2, "MSFT    ");
	feed_add(&feed, 1, "AAPL    ", 700, 'B', 10, 1000000);
	feed_add(&feed, 2, "MSFT    ", 701, 'B', 10, 1000000);
	next = feed;
	feed_begin(&next, 1);
	next.data[9] = '3';
	feed_system(&next, 'Q');
	feed_add(&next, 2, "MSFT    ", 702, 'B', 10, 1000000);
	packets[0] = packet_of(&feed, 0, 3000);
	packets[1] = packet_of(&next, 0, 3000);
	mdfh_pipeline_packets(p, 0, packets, 2, 3000);
	assert_int_equal(mdfh_depth_read(depth, row, &view), 1);
	assert_int_equal(view.bids, 0);
	assert_int_equal(view.sequence, 0);
	row = mdfh_instruments_find_symbol(table, "MSFT");
	assert_int_equal(mdfh_depth_read(depth, row, &view), 1);
	assert_int_equal(view.bids, 1);
	assert_int_equal(view.sequence, 2);
	/* What was never published is not now. */
	assert_int_equal(mdfh_depth_read(depth, mdfh_instruments_count(table), &view), 0);
	mdfh_pipeline_destroy(p);
}

static void test_subscription(void **state)
{
	char msft[] = "MSFT";
	char *symbols[] = {msft};
	const struct mdfh_consumer_config *consumers[] = {&plain};
	struct mdfh_pipeline *p = make(consumers, 1, 0, symbols, 1);
	struct mdfh_consumer *c = mdfh_engine_consumer(mdfh_pipeline_engine(p), 0);
	const struct mdfh_event *events;
	struct mdfh_event e;
	struct feed feed;

	(void)state;
	start_of_day(&feed);
	give(p, &feed, 0, 1000);
	feed_begin(&feed, 4);
	feed_add(&feed, 1, "AAPL    ", 800, 'B', 10, 1000000);
	feed_add(&feed, 2, "MSFT    ", 801, 'B', 20, 2000000);
	give(p, &feed, 0, 2000);
	e = take_kind(c, MDFH_EVENT_ORDER_ADD);
	assert_int_equal(e.order.order_id, 801);
	assert_int_equal(e.sequence, 5);
	assert_int_equal(mdfh_consumer_peek(c, 1, &events), 0);
	mdfh_pipeline_destroy(p);
}

/* A full table of instruments is an event, once for all messages of a batch that it concerns. */
static void test_instruments_full(void **state)
{
	const struct mdfh_consumer_config *consumers[] = {&plain};
	struct mdfh_consumer *c;
	struct mdfh_pipeline *p;
	const struct mdfh_event *events;
	struct mdfh_event e;
	struct feed feed;

	(void)state;
	instruments_max = 1;
	p = make(consumers, 1, 0, NULL, 0);
	instruments_max = 1000;
	c = mdfh_engine_consumer(mdfh_pipeline_engine(p), 0);
	start_of_day(&feed); /* two instruments */
	give(p, &feed, 0, 1000);
	e = take_kind(c, MDFH_EVENT_ERROR);
	assert_int_equal(e.gap.cause, MDFH_CAUSE_INSTRUMENTS_FULL);
	assert_int_equal(e.gap.count, 1);
	assert_int_equal(e.sequence, 3);
	assert_int_equal(e.channel, 9);
	assert_int_equal(e.epoch, 1);
	assert_int_equal(e.receive_ns, 1000);
	assert_int_equal(mdfh_consumer_peek(c, 1, &events), 0);

	feed_begin(&feed, 4);
	feed_add(&feed, 1, "AAPL    ", 900, 'B', 10, 1000000);
	give(p, &feed, 0, 2000);
	assert_int_equal(take(c).kind, MDFH_EVENT_ORDER_ADD);
	assert_int_equal(mdfh_consumer_peek(c, 1, &events), 0);
	feed_begin(&feed, 5);
	feed_add(&feed, 2, "MSFT    ", 901, 'B', 10, 1000000);
	feed_add(&feed, 2, "MSFT    ", 902, 'B', 10, 1000000);
	give(p, &feed, 0, 3000);
	e = take(c);
	assert_int_equal(e.kind, MDFH_EVENT_ERROR);
	assert_int_equal(e.gap.count, 2);
	assert_int_equal(e.sequence, 6);
	assert_int_equal(
	    mdfh_instruments_refused(mdfh_engine_instruments(mdfh_pipeline_engine(p))), 3);
	mdfh_pipeline_destroy(p);
}

static void test_end_of_session(void **state)
{
	struct mdfh_pipeline *p = make(NULL, 0, 0, NULL, 0);
	struct feed feed;

	(void)state;
	start_of_day(&feed);
	give(p, &feed, 0, 1000);
	assert_int_equal(mdfh_pipeline_session_ended(p), 0);
	feed_end_of_session(&feed, 4);
	give(p, &feed, 0, 2000);
	assert_int_equal(mdfh_pipeline_session_ended(p), 1);
	mdfh_pipeline_destroy(p);
}

/* More messages than every buffer of the pipeline holds, in packets given as one batch. */
static void test_large_batches(void **state)
{
	enum { PACKETS = 200, EACH = 30 };
	const struct mdfh_consumer_config big = {.name = name, .slots = 65536};
	const struct mdfh_consumer_config *consumers[] = {&big};
	static struct feed feeds[PACKETS];
	static struct mdfh_packet packets[PACKETS];
	struct mdfh_pipeline *p = make(consumers, 1, 0, NULL, 0);
	struct mdfh_consumer *c = mdfh_engine_consumer(mdfh_pipeline_engine(p), 0);
	uint64_t sequence = 4;
	uint64_t ref = 0;
	struct feed feed;

	(void)state;
	start_of_day(&feed);
	give(p, &feed, 0, 1000);
	for (unsigned k = 0; k < PACKETS; k++) {
		feed_begin(&feeds[k], sequence);
		for (unsigned i = 0; i < EACH; i++) {
			if (i % 2 == 0)
				feed_add(&feeds[k], 1, "AAPL    ", ++ref, 'S', 5, 1000000);
			else
				feed_delete(&feeds[k], 1, ref);
		}
		sequence += EACH;
		packets[k] = (struct mdfh_packet){.data = feeds[k].data,
		    .length = feeds[k].length,
		    .receive_ns = 5000 + k,
		    .flow = (uint16_t)(k % 2)};
	}
	mdfh_pipeline_packets(p, 0, packets, PACKETS, 9000);
	mdfh_pipeline_finish(p);
	take_kind(c, MDFH_EVENT_INSTRUMENT);
	take_kind(c, MDFH_EVENT_INSTRUMENT);
	for (uint64_t s = 4; s < sequence; s++) {
		struct mdfh_event e = take(c);
		uint64_t index = s - 4;

		assert_int_equal(e.sequence, s);
		assert_int_equal(
		    e.kind, index % 2 ? MDFH_EVENT_ORDER_DELETE : MDFH_EVENT_ORDER_ADD);
		assert_int_equal(e.order.order_id, index / 2 + 1);
		assert_int_equal(e.receive_ns, (int64_t)(5000 + index / EACH));
	}
	mdfh_pipeline_destroy(p);
}

/* A port whose packets, end and death the test decides. */
struct fake_port {
	struct mdfh_bypass base;
	const struct feed *feed; /* the next packet; NULL = nothing there */
	int error;
	uint16_t flags;
	uint16_t flow;
	int64_t receive_ns;
	int *closed;
	struct mdfh_bypass_stats late; /* drops that are known only where somebody asks */
	unsigned asked;
};

static int fake_recv(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	struct fake_port *fake = (struct fake_port *)port;

	assert_true(n > 0);
	if (!fake->feed)
		return fake->error == -ENODATA ? -ENODATA
		       : fake->error           ? mdfh_error(fake->error, "the cable is cut")
					       : 0;
	packets[0] = (struct mdfh_packet){.data = fake->feed->data,
	    .length = fake->feed->length,
	    .receive_ns = (uint64_t)fake->receive_ns,
	    .flow = fake->flow,
	    .flags = fake->flags};
	fake->feed = NULL;
	return 1;
}

static void fake_release(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	(void)port;
	(void)packets;
	(void)n;
}

static void fake_close(struct mdfh_bypass *port)
{
	++*((struct fake_port *)port)->closed;
}

static const struct mdfh_bypass_ops fake_ops = {
    .size = sizeof(fake_ops), .name = "fake", .close = fake_close};

/* Two lines, a port for each: of two channels, or of one. */
static struct mdfh_pipeline *make_two(
    struct fake_port fakes[2], uint16_t channel_count, unsigned window_ms, int *closed)
{
	static const struct mdfh_consumer_config *const consumers[] = {&plain};
	struct mdfh_pipeline_channel channels[2];
	struct mdfh_pipeline_config config = {
	    .ports_max = 2,
	    .channels = channels,
	    .channel_count = channel_count,
	    .engine.consumers = consumers,
	    .engine.consumer_count = 1,
	    .engine.instruments_max = 1000,
	    .engine.books = {.orders_max = 4096, .levels_max = 4096},
	    .engine.keep_books = 1,
	    .latency_sample = 1,
	    .engine.stop = &stop,
	};
	struct mdfh_pipeline *p = NULL;

	for (uint16_t c = 0; c < channel_count; c++)
		channels[c] = (struct mdfh_pipeline_channel){
		    .protocol = "itch50",
		    .session = {.size = sizeof(channels[c].session),
			.session = mdfh_session_find("moldudp64"),
			.channel = c,
			.lines = 2 / channel_count,
			.window_ns = window_ms * UINT64_C(1000000)},
		    .midnight_ns = MIDNIGHT_NS,
		};
	assert_int_equal(mdfh_pipeline_create(&config, &p), 0);
	*closed = 0;
	for (uint16_t c = 0; c < 2; c++) {
		struct mdfh_pipeline_port port = {.port = &fakes[c].base, .flow_count = 1};

		port.flows[0].channel = c % channel_count;
		port.flows[0].line = c / channel_count;
		fakes[c] = (struct fake_port){
		    .base = {.recv = fake_recv,
			.release = fake_release,
			.batch_size = 64,
			.ops = &fake_ops,
			.capabilities = {.size = sizeof(fakes[c].base.capabilities),
			    .copy_reason = "",
			    .poll_fd = -1,
			    .warning = ""}},
		    .closed = closed,
		};
		mdfh_pipeline_add_port(p, &port);
	}
	return p;
}

/* A dead port is told of and stops nobody, whichever it is. */
static void test_a_port_dies(void **state)
{
	(void)state;
	for (unsigned dead = 0; dead < 2; dead++) {
		struct fake_port fakes[2];
		int closed;
		struct mdfh_pipeline *p = make_two(fakes, 2, 1, &closed);
		struct mdfh_port_report port;
		struct mdfh_channel_report channel;
		struct feed feed;
		const char *text;

		start_of_day(&feed);
		fakes[dead].error = -EIO;
		assert_int_equal(mdfh_pipeline_poll(p), 0);
		assert_int_equal(mdfh_pipeline_poll(p), 0);
		fakes[!dead].feed = &feed;
		assert_int_equal(mdfh_pipeline_poll(p), 1);
		assert_int_equal(mdfh_pipeline_poll(p), 0);
		mdfh_pipeline_port_report(p, dead, &port);
		assert_int_equal(port.error, -EIO);
		mdfh_pipeline_port_report(p, !dead, &port);
		assert_int_equal(port.error, 0);
		fakes[!dead].error = -ENODATA;
		assert_int_equal(mdfh_pipeline_poll(p), -ENODATA);
		mdfh_pipeline_finish(p);
		assert_int_equal(mdfh_pipeline_error(p, &text), -EIO);
		assert_string_equal(text, "the cable is cut");
		mdfh_pipeline_channel_report(p, !dead, &channel);
		assert_int_equal(messages(p, !dead), 3);
		assert_true(channel.first_ns > 0 && channel.first_ns == channel.last_ns);
		mdfh_pipeline_channel_report(p, dead, &channel);
		assert_int_equal(channel.first_ns, 0);
		mdfh_pipeline_destroy(p);
		assert_int_equal(closed, 2);
	}
}

/* What fills a hole waits unread while the thread does not run for longer than a hole may stay open. */
static void test_a_thread_that_did_not_run(void **state)
{
	static const struct timespec longer_than_window = {.tv_nsec = 120000000};
	struct fake_port fakes[2];
	int closed;
	struct mdfh_pipeline *p = make_two(fakes, 1, 100, &closed);
	struct mdfh_channel_report report;
	struct feed first, hole, early, newest;

	(void)state;
	start_of_day(&first);
	feed_begin(&hole, 4);
	feed_system(&hole, 'S');
	feed_begin(&early, 5);
	feed_system(&early, 'Q');
	feed_begin(&newest, 6);
	feed_system(&newest, 'M');
	fakes[0].feed = &first;
	assert_int_equal(mdfh_pipeline_poll(p), 1);
	fakes[0].feed = &early;
	assert_int_equal(mdfh_pipeline_poll(p), 1);
	for (int i = 0; i < 2; i++) {
		nanosleep(&longer_than_window, NULL);
		fakes[0].feed = &newest;
		if (i == 1)
			fakes[1].feed = &hole;
		/* Asleep after it has read: what comes then has had no time yet. */
		else
			mdfh_pipeline_wait(p, 1);
		assert_int_equal(mdfh_pipeline_poll(p), 1 + i);
	}
	mdfh_pipeline_refresh(p);
	mdfh_pipeline_channel_report(p, 0, &report);
	assert_int_equal(report.session.lost, 0);
	assert_int_equal(report.session.delivered, 6);
	/* A hole that nothing fills is given up once both have been looked at and were empty. */
	feed_begin(&newest, 8);
	feed_system(&newest, 'E');
	fakes[1].feed = &newest;
	assert_int_equal(mdfh_pipeline_poll(p), 1);
	for (int i = 0; i < 1000 && !report.session.lost; i++) {
		mdfh_pipeline_wait(p, 1000);
		assert_int_equal(mdfh_pipeline_poll(p), 0);
		mdfh_pipeline_refresh(p);
		mdfh_pipeline_channel_report(p, 0, &report);
	}
	assert_int_equal(report.session.lost, 1);
	mdfh_pipeline_destroy(p);
}

/* With nothing there, for as long as a hole may stay open. */
static void wait_for_window(struct mdfh_pipeline *p)
{
	static const struct timespec pause = {.tv_nsec = 1000000};

	for (int i = 0; i < 100; i++) {
		nanosleep(&pause, NULL);
		mdfh_pipeline_wait(p, 2000);
		assert_int_equal(mdfh_pipeline_poll(p), 0);
	}
}

/* Beside a live port, whichever stands first, a capture goes by its own time; when it ends, its
 * holes are given up at once. */
static void test_capture_beside_live(void **state)
{
	(void)state;
	for (unsigned capture = 0; capture < 2; capture++) {
		struct fake_port fakes[2];
		int closed;
		struct mdfh_pipeline *p = make_two(fakes, 2, 1, &closed);
		struct mdfh_consumer *c = mdfh_engine_consumer(mdfh_pipeline_engine(p), 0);
		struct mdfh_event e;
		struct feed feed;

		start_of_day(&feed);
		fakes[capture].flags = MDFH_PACKET_TIME_CAPTURE | MDFH_PACKET_RECORDED;
		fakes[capture].receive_ns = 1000;
		fakes[capture].feed = &feed;
		assert_int_equal(mdfh_pipeline_poll(p), 1);
		fakes[!capture].feed = &feed;
		assert_int_equal(mdfh_pipeline_poll(p), 1);
		take_kind(c, MDFH_EVENT_SESSION_BEGIN);
		take_kind(c, MDFH_EVENT_SESSION_BEGIN);
		/* A hole in both; time passes for the live channel only. */
		feed_begin(&feed, 6);
		feed_system(&feed, 'Q');
		fakes[capture].receive_ns = 2000;
		fakes[capture].feed = &feed;
		assert_int_equal(mdfh_pipeline_poll(p), 1);
		fakes[!capture].feed = &feed;
		assert_int_equal(mdfh_pipeline_poll(p), 1);
		wait_for_window(p);
		e = take_kind(c, MDFH_EVENT_GAP);
		assert_int_equal(e.channel, !capture);
		assert_int_equal(e.gap.first, 4);
		assert_int_equal(e.gap.count, 2);
		while (mdfh_consumer_peek(c, 1, &(const struct mdfh_event *){NULL}))
			assert_int_equal(take(c).channel, !capture);
		fakes[capture].error = -ENODATA;
		assert_int_equal(mdfh_pipeline_poll(p), 0);
		e = take_kind(c, MDFH_EVENT_GAP);
		assert_int_equal(e.channel, capture);
		assert_int_equal(e.gap.count, 2);
		mdfh_pipeline_destroy(p);
	}
}

/* One packet of a flow, behind which the port's NIC has dropped so many. */
static void receive(struct mdfh_pipeline *p, struct fake_port *fake, uint16_t flow,
    uint64_t sequence, uint64_t nic_drops)
{
	struct feed feed;

	feed_begin(&feed, sequence);
	feed_system(&feed, 'Q');
	fake->base.stats.rx_dropped_nic = nic_drops;
	fake->flow = flow;
	fake->feed = &feed;
	assert_int_equal(mdfh_pipeline_poll(p), 1);
}

/* Three flows of one port: lines A and B of the first channel, line A of the second. */
static struct mdfh_pipeline *make_shared(struct fake_port *fake, int *closed)
{
	struct mdfh_pipeline_channel channels[2];
	struct mdfh_pipeline_config config = {.ports_max = 1,
	    .channels = channels,
	    .channel_count = 2,
	    .engine.instruments_max = 1000,
	    .engine.books = {.orders_max = 4096, .levels_max = 4096},
	    .engine.keep_books = 1,
	    .engine.stop = &stop};
	struct mdfh_pipeline_port port = {.port = &fake->base, .flow_count = 3};
	struct mdfh_pipeline *p = NULL;

	for (uint16_t c = 0; c < 2; c++)
		channels[c] = (struct mdfh_pipeline_channel){.protocol = "itch50",
		    .session = {.size = sizeof(channels[c].session),
			.session = mdfh_session_find("moldudp64"),
			.channel = c,
			.lines = c ? 1 : 2,
			.window_ns = 1000000},
		    .midnight_ns = MIDNIGHT_NS};
	*closed = 0;
	*fake = (struct fake_port){.base = {.recv = fake_recv,
				       .release = fake_release,
				       .batch_size = 64,
				       .ops = &fake_ops,
				       .capabilities = {.size = sizeof(fake->base.capabilities),
					   .copy_reason = "",
					   .poll_fd = -1,
					   .warning = ""},
				       .stats = {.known_drops = 1}},
	    .closed = closed};
	port.flows[1].line = 1;
	port.flows[2].channel = 1;
	assert_int_equal(mdfh_pipeline_create(&config, &p), 0);
	mdfh_pipeline_add_port(p, &port);
	return p;
}

/* What a NIC dropped of a queue that several lines share explains the hole of a channel if there are as
 * many packets as lines that lack it. Which channel's they were no counter says: all whose hole it
 * stands beside are given that cause, and no other is. */
static void test_drops_of_a_shared_port(void **state)
{
	static const struct {
		uint64_t dropped;
		unsigned first; /* cause of the hole of the first channel, of the second */
		unsigned second;
	} cases[] = {
	    {0, MDFH_CAUSE_UPSTREAM, MDFH_CAUSE_UPSTREAM},
	    {1, MDFH_CAUSE_UNATTRIBUTED, MDFH_CAUSE_NIC},
	    {2, MDFH_CAUSE_NIC, MDFH_CAUSE_NIC},
	    {9, MDFH_CAUSE_NIC, MDFH_CAUSE_NIC},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mdfh_channel_report report;
		struct fake_port fake;
		int closed;
		struct mdfh_pipeline *p = make_shared(&fake, &closed);

		for (uint16_t flow = 0; flow < 3; flow++)
			receive(p, &fake, flow, 1, 3);
		for (uint16_t flow = 0; flow < 3; flow++)
			receive(p, &fake, flow, 2, 3);
		/* Number 3 is missing everywhere. */
		for (uint16_t flow = 0; flow < 3; flow++)
			receive(p, &fake, flow, 4, 3 + cases[i].dropped);
		fake.error = -ENODATA;
		assert_int_equal(mdfh_pipeline_poll(p), -ENODATA);
		mdfh_pipeline_finish(p);
		for (unsigned c = 0; c < 2; c++) {
			mdfh_pipeline_channel_report(p, c, &report);
			assert_int_equal(report.session.lost, 1);
			assert_int_equal(
			    report.session.lost_by_cause[c ? cases[i].second : cases[i].first], 1);
		}
		mdfh_pipeline_destroy(p);
	}
}

static int late_stats(struct mdfh_bypass *port)
{
	const struct mdfh_bypass_stats *late = &((struct fake_port *)port)->late;

	((struct fake_port *)port)->asked++;
	port->stats.rx_dropped_nic = late->rx_dropped_nic;
	port->stats.rx_dropped_socket = late->rx_dropped_socket;
	port->stats.known_drops = late->known_drops;
	return 0;
}

static const struct mdfh_bypass_ops late_ops = {
    .size = sizeof(late_ops), .name = "late", .close = fake_close, .stats = late_stats};

static void receive_late(struct mdfh_pipeline *p, struct fake_port *fake, uint64_t sequence)
{
	struct feed feed;

	feed_begin(&feed, sequence);
	feed_system(&feed, 'Q');
	fake->feed = &feed;
	assert_int_equal(mdfh_pipeline_poll(p), 1);
}

static uint64_t lost_by(struct mdfh_pipeline *p, unsigned channel, unsigned cause)
{
	struct mdfh_channel_report report;

	mdfh_pipeline_refresh(p);
	mdfh_pipeline_channel_report(p, channel, &report);
	return report.session.lost_by_cause[cause];
}

/* What a NIC or a ring of the kernel's has dropped no packet says. It is asked before a hole is given up,
 * and what it had dropped before the handler began is none of the handler's. */
static void test_drops_that_no_packet_brings(void **state)
{
	(void)state;
	for (int of_socket = 0; of_socket < 2; of_socket++) {
		unsigned cause = of_socket ? MDFH_CAUSE_SOCKET : MDFH_CAUSE_NIC;
		struct fake_port fakes[2];
		int closed;
		struct mdfh_pipeline *p = make_two(fakes, 2, 30, &closed);
		uint64_t *dropped[2];
		struct feed feed;

		for (int i = 0; i < 2; i++) {
			fakes[i].base.ops = &late_ops;
			fakes[i].late.known_drops = of_socket ? 4 : 1;
			dropped[i] = of_socket ? &fakes[i].late.rx_dropped_socket
					       : &fakes[i].late.rx_dropped_nic;
			*dropped[i] = 100;
		}
		mdfh_pipeline_begin(p);
		start_of_day(&feed); /* numbers 1 to 3 */
		for (int i = 0; i < 2; i++) {
			fakes[i].feed = &feed;
			assert_int_equal(mdfh_pipeline_poll(p), 1);
		}
		*dropped[0] += 2;
		receive_late(p, &fakes[0], 6);
		wait_for_window(p);
		assert_int_equal(lost_by(p, 0, cause), 2);
		/* Asking for the sake of one hole hides nothing of another that has not shown yet. */
		*dropped[0] += 1;
		*dropped[1] += 1;
		receive_late(p, &fakes[0], 8);
		wait_for_window(p);
		receive_late(p, &fakes[1], 5);
		wait_for_window(p);
		assert_int_equal(lost_by(p, 0, cause), 3);
		assert_int_equal(lost_by(p, 1, cause), 1);
		/* Nobody dropped it here: the reading is from before a packet that came. */
		receive_late(p, &fakes[1], 6);
		receive_late(p, &fakes[1], 8);
		wait_for_window(p);
		assert_int_equal(lost_by(p, 1, cause), 1);
		assert_int_equal(lost_by(p, 1, MDFH_CAUSE_UPSTREAM), 1);
		mdfh_pipeline_destroy(p);
	}
}

/* A port looks after its path when it is asked how it is: also where the thread never waits, as long as
 * nothing comes. */
static void test_silence_is_looked_into(void **state)
{
	struct fake_port fakes[2];
	int closed;
	struct mdfh_pipeline *p = make_two(fakes, 1, 100, &closed);
	struct feed feed;
	unsigned before;

	(void)state;
	fakes[0].base.ops = fakes[1].base.ops = &late_ops;
	mdfh_pipeline_begin(p);
	start_of_day(&feed);
	before = fakes[1].asked;
	for (int i = 0; i < 1500; i++) { /* line A is heard */
		if (i % 100 == 0) {
			feed_begin(&feed, 1);
			fakes[0].feed = &feed;
		}
		assert_true(mdfh_pipeline_poll(p) >= 0);
		usleep(1000);
	}
	assert_int_equal(fakes[1].asked, before);
	for (int i = 0; i < 5000 && fakes[1].asked == before; i++) {
		assert_int_equal(mdfh_pipeline_poll(p), 0);
		usleep(1000);
	}
	assert_int_equal(fakes[1].asked, before + 1);
	mdfh_pipeline_destroy(p);
}

/* Packets by whose clock stamped them, and of how many it was in sync. */
static void test_times_of_lines(void **state)
{
	static const uint16_t flags[] = {MDFH_PACKET_TIME_NIC, MDFH_PACKET_TIME_KERNEL,
	    MDFH_PACKET_TIME_APP, MDFH_PACKET_TIME_CAPTURE, MDFH_PACKET_TIME_TAP, 0,
	    MDFH_PACKET_TIME_TAP | MDFH_PACKET_CLOCK_SYNC};
	struct mdfh_channel_report channel;
	struct fake_port fakes[2];
	int closed;
	struct mdfh_pipeline *p = make_two(fakes, 2, 1, &closed);
	const struct mdfh_line_times *times;
	struct feed feed;

	(void)state;
	start_of_day(&feed);
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		fakes[1].flags = flags[i];
		fakes[1].feed = &feed;
		assert_int_equal(mdfh_pipeline_poll(p), 1);
	}
	fakes[1].error = -ENODATA;
	fakes[0].error = -ENODATA;
	assert_int_equal(mdfh_pipeline_poll(p), -ENODATA);
	mdfh_pipeline_finish(p);
	mdfh_pipeline_channel_report(p, 1, &channel);
	times = &channel.times[0];
	assert_int_equal(times->nic, 1);
	assert_int_equal(times->kernel, 1);
	assert_int_equal(times->app, 1);
	assert_int_equal(times->capture, 1);
	assert_int_equal(times->tap, 2);
	assert_int_equal(times->none, 1);
	assert_int_equal(times->synced, 1);
	mdfh_pipeline_channel_report(p, 0, &channel);
	assert_int_equal(channel.times[0].tap + channel.times[0].none, 0);
	mdfh_pipeline_destroy(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_two_lines_become_one_book),
	    cmocka_unit_test(test_gap_reaches_everyone),
	    cmocka_unit_test(test_same_thread_and_depth),
	    cmocka_unit_test(test_depth_of_a_new_session),
	    cmocka_unit_test(test_subscription),
	    cmocka_unit_test(test_instruments_full),
	    cmocka_unit_test(test_end_of_session),
	    cmocka_unit_test(test_large_batches),
	    cmocka_unit_test(test_a_port_dies),
	    cmocka_unit_test(test_a_thread_that_did_not_run),
	    cmocka_unit_test(test_capture_beside_live),
	    cmocka_unit_test(test_drops_of_a_shared_port),
	    cmocka_unit_test(test_drops_that_no_packet_brings),
	    cmocka_unit_test(test_silence_is_looked_into),
	    cmocka_unit_test(test_times_of_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
