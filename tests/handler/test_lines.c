/* test_lines.c - what different threads write stands on different cache lines: the addresses of
 * everything that the threads of a live pipeline own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "handler/pipeline.h"
#include "handler/receiver.h"
#include "mdfh/backend.h"
#include "mdfh/error.h"

/* Who writes to a line. */
enum writer { RECEIVE, CONSUME, CONTROL, MAIN, WRITERS };

struct owned {
	uintptr_t line;
	enum writer writer;
	const char *what;
};

static struct owned owned[4096];
static unsigned owned_count;

/* Every line that the bytes touch is the writer's and nobody else's. */
static void own(enum writer writer, const char *what, const volatile void *memory, size_t bytes)
{
	uintptr_t first = (uintptr_t)memory / MDFH_CACHE_LINE;
	uintptr_t last = ((uintptr_t)memory + bytes - 1) / MDFH_CACHE_LINE;

	for (uintptr_t line = first; line <= last; line++) {
		for (unsigned i = 0; i < owned_count; i++)
			if (owned[i].line == line && owned[i].writer != writer)
				fail_msg("%s (writer %d) shares a line with %s (writer %d)", what,
				    writer, owned[i].what, owned[i].writer);
		assert_true(owned_count < sizeof(owned) / sizeof(owned[0]));
		owned[owned_count++] = (struct owned){.line = line, .writer = writer, .what = what};
	}
}

/* It begins on a line, so whatever malloc put before it is on another. */
static void begins(const char *what, const volatile void *memory)
{
	if (!memory || (uintptr_t)memory % MDFH_CACHE_LINE)
		fail_msg("%s begins in the middle of a line: %p", what, (const void *)memory);
}

static void own_consumer(struct mdfh_consumer *c)
{
	begins("consumer", c);
	own(RECEIVE, "written", &c->written, sizeof(c->written));
	own(RECEIVE, "delivered", &c->delivered, sizeof(c->delivered));
	own(RECEIVE, "dropped", &c->dropped, sizeof(c->dropped));
	own(RECEIVE, "gaps", &c->gaps, sizeof(c->gaps));
	own(RECEIVE, "touched", c->touched, sizeof(c->touched));
	own(RECEIVE, "lost_ns", &c->lost_ns, sizeof(c->lost_ns));
	own(RECEIVE, "sample", &c->sample_ticks, sizeof(c->sample_ticks));
	own(RECEIVE, "sample_position", &c->sample_position, sizeof(c->sample_position));
	own(CONSUME, "read", &c->read, sizeof(c->read));
	own(CONSUME, "sample_seen", &c->sample_seen, sizeof(c->sample_seen));
	own(CONSUME, "measured", &c->measured, sizeof(c->measured));
	begins("losses", c->losses);
	begins("ring latency", c->ring_latency);
	begins("whole latency", c->whole_latency);
	begins("intended latency", c->intended_latency);
	own(CONSUME, "ring latency", c->ring_latency, 4096);
	own(CONSUME, "whole latency", c->whole_latency, 4096);
	own(CONSUME, "intended latency", c->intended_latency, 4096);
	own(RECEIVE, "ring's producer", c->ring->producer, sizeof(*c->ring->producer));
	own(CONSUME, "ring's consumer", c->ring->consumer, sizeof(*c->ring->consumer));
	/* Read by both sides at every turn, written by neither. */
	for (unsigned i = 0; i < owned_count; i++)
		if (owned[i].line == (uintptr_t)&c->ring / MDFH_CACHE_LINE)
			fail_msg("the consumer's constants share a line with %s", owned[i].what);
}

static void test_live_objects(void **state)
{
	static char names[2][8] = {"first", "second"};
	struct mdfh_consumer_config consumers[2] = {{.name = names[0]}, {.name = names[1]}};
	const struct mdfh_consumer_config *const wanted[] = {&consumers[0], &consumers[1]};
	struct mdfh_pipeline_channel channel = {.protocol = "itch50",
	    .session = {.size = sizeof(channel.session),
		.session = mdfh_session_find("moldudp64"),
		.lines = 2}};
	atomic_bool stop = false;
	struct mdfh_pipeline_config config = {
	    .ports_max = 2,
	    .channels = &channel,
	    .channel_count = 1,
	    .engine.consumers = wanted,
	    .engine.consumer_count = 2,
	    .engine.instruments_max = 100,
	    .engine.books = {.orders_max = 1000, .levels_max = 100},
	    .engine.keep_books = 1,
	    .engine.stop = &stop,
	};
	struct mdfh_pipeline *pipeline;

	(void)state;
	assert_int_equal(mdfh_pipeline_create(&config, &pipeline), 0);
	begins("pipeline", pipeline);
	for (unsigned i = 0; i < MDFH_STAGE_RING; i++) {
		const struct mdfh_histogram *h = mdfh_pipeline_latency(pipeline, i);

		if (!h)
			h = mdfh_engine_latency(mdfh_pipeline_engine(pipeline), i);
		begins("stage latency", h);
		own(RECEIVE, "stage latency", h, 4096);
	}
	begins("books", mdfh_engine_books(mdfh_pipeline_engine(pipeline)));
	own_consumer(mdfh_engine_consumer(mdfh_pipeline_engine(pipeline), 0));
	own_consumer(mdfh_engine_consumer(mdfh_pipeline_engine(pipeline), 1));
	mdfh_pipeline_destroy(pipeline);
	owned_count = 0;
}

static void test_ports(void **state)
{
	static const char *const backends[] = {"socket", "null"};

	(void)state;
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
		struct mdfh_bypass_config config = {
		    .size = sizeof(config), .backend = backends[i], .host = "127.0.0.1"};
		struct mdfh_bypass *port;

		assert_int_equal(mdfh_bypass_open(&config, &port), 0);
		begins(backends[i], port);
		mdfh_bypass_close(port);
	}
}

static void test_receivers(void **state)
{
	static struct mdfh_receiver two[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		/* The thread only reads what was set up; main stores stop, the thread its end. */
		own(MAIN, "stop", &two[i].thread.stop, sizeof(two[i].thread.stop));
		own(RECEIVE, "running", &two[i].thread.running, sizeof(two[i].thread.running));
		own(RECEIVE, "error", two[i].error_text, sizeof(two[i].error_text));
	}
	own(MAIN, "second's setup", &two[1].pipeline, sizeof(two[1].pipeline));
	own(MAIN, "first's setup", &two[0].pipeline, sizeof(two[0].pipeline));
	owned_count = 0;
}

/* The test itself: what shares must be found. */
static void test_control(void **state)
{
	static _Alignas(MDFH_CACHE_LINE) char pair[2];
	uintptr_t first = (uintptr_t)&pair[0] / MDFH_CACHE_LINE;

	(void)state;
	own(CONTROL, "first", &pair[0], 1);
	assert_int_equal(owned_count, 1);
	assert_true(owned[0].line == first && first == (uintptr_t)&pair[1] / MDFH_CACHE_LINE);
	owned_count = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_live_objects),
	    cmocka_unit_test(test_ports),
	    cmocka_unit_test(test_receivers),
	    cmocka_unit_test(test_control),
	};

	return cmocka_run_group_tests_name("lines", tests, NULL, NULL);
}
