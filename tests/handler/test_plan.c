/* test_plan.c - channels dealt out to threads and workers by weight, and what cannot be. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "handler/plan.h"
#include "mdfh/bypass.h"
#include "mdfh/error.h"

static struct mdfh_plan plan;

/* A channel: "auto" or a thread, its weight (0 = none given), its line. */
#define CHANNEL(thread, weight, line)                                                              \
	"  - {protocol: itch50, thread: " #thread ", weight: " #weight ", lines: [{" line "}]}\n"
#define GROUP "group: '239.1.1.1:1000'"
/* A backend with room for one port in a queue: its lines meet. */
#define QUEUE(n) "group: '239.1.1.1:1000', backend: '" MODULE "', interface: dev0, queue: " #n

static int make(const char *threads, const char *channels, const char *more)
{
	struct mdfh_handler_config *config;
	char text[8192];
	int err;

	snprintf(text, sizeof(text), "%s%schannels:\n%s", more, threads, channels);
	if (mdfh_handler_config_parse(text, strlen(text), "test", &config))
		fail_msg("%s", mdfh_error_text());
	err = mdfh_plan_make(config, &plan);
	mdfh_handler_config_free(config);
	return err;
}

static void expect(const char *threads, const char *channels, const char *wanted)
{
	char is[256] = "";

	if (make(threads, channels, ""))
		fail_msg("%s", mdfh_error_text());
	for (unsigned c = 0; c < plan.channels_count; c++) {
		char one[32];

		if (plan.channels[c].worker < 0)
			snprintf(one, sizeof(one), "%s%u", c ? " " : "", plan.channels[c].thread);
		else
			snprintf(one, sizeof(one), "%s%u.%d", c ? " " : "", plan.channels[c].thread,
			    plan.channels[c].worker);
		strcat(is, one);
	}
	assert_string_equal(is, wanted);
}

static void refused(const char *threads, const char *channels, const char *sentence)
{
	assert_int_equal(make(threads, channels, ""), -EINVAL);
	if (!strstr(mdfh_error_text(), sentence))
		fail_msg("'%s' is not in '%s'", sentence, mdfh_error_text());
}

#define TWO   "threads: [{name: a}, {name: b}]\n"
#define THREE "threads: [{name: a}, {name: b}, {name: c}]\n"

static void test_by_weight(void **state)
{
	(void)state;
	/* Heaviest first, each to the lightest; equals in the order of the file. */
	expect(TWO,
	    CHANNEL(auto, 5, GROUP) CHANNEL(auto, 4, GROUP) CHANNEL(auto, 3, GROUP)
		CHANNEL(auto, 3, GROUP) CHANNEL(auto, 1, GROUP),
	    "0 1 1 0 1");
	assert_int_equal(plan.threads[0].weight, 8);
	assert_int_equal(plan.threads[1].weight, 8);
	expect(
	    TWO, CHANNEL(auto, 0, GROUP) CHANNEL(auto, 0, GROUP) CHANNEL(auto, 0, GROUP), "0 1 0");
	/* One that has a thread counts there, whatever stands behind it. */
	expect(TWO, CHANNEL(auto, 5, GROUP) CHANNEL(0, 9, GROUP) CHANNEL(auto, 3, GROUP), "1 0 1");
	expect("", CHANNEL(auto, 5, GROUP) CHANNEL(auto, 1, GROUP), "0 0");
}

/* Against the best there is, by trying all: never a third worse. */
static void test_bound(void **state)
{
	uint64_t random = 88172645463325252u;

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		enum { N = 7, THREADS = 3 };
		char channels[2048] = "";
		unsigned weights[N];
		uint64_t best = UINT64_MAX;
		uint64_t is = 0;

		for (unsigned i = 0; i < N; i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			weights[i] = 1 + (unsigned)(random % 100);
			snprintf(channels + strlen(channels), sizeof(channels) - strlen(channels),
			    "  - {protocol: itch50, thread: auto, weight: %u, lines: [{" GROUP
			    "}]}\n",
			    weights[i]);
		}
		for (unsigned code = 0; code < 2187; code++) { /* 3^7 */
			uint64_t loads[THREADS] = {0};
			uint64_t most = 0;

			for (unsigned i = 0, rest = code; i < N; i++, rest /= THREADS)
				loads[rest % THREADS] += weights[i];
			for (unsigned t = 0; t < THREADS; t++)
				most = loads[t] > most ? loads[t] : most;
			best = most < best ? most : best;
		}
		assert_int_equal(make(THREE, channels, ""), 0);
		for (unsigned t = 0; t < THREADS; t++)
			is = plan.threads[t].weight > is ? plan.threads[t].weight : is;
		assert_true(is >= best && 3 * is <= 4 * best);
	}
}

static void test_lines_of_one_port_stay_together(void **state)
{
	(void)state;
	expect(TWO,
	    CHANNEL(auto, 5, QUEUE(0)) CHANNEL(auto, 4, QUEUE(1)) CHANNEL(auto, 3, QUEUE(0))
		CHANNEL(auto, 1, QUEUE(1)),
	    "0 1 0 1");
	/* And go where one of them was put. */
	expect(TWO, CHANNEL(auto, 5, QUEUE(0)) CHANNEL(auto, 4, QUEUE(1)) CHANNEL(1, 3, QUEUE(0)),
	    "1 0 1");
	refused(TWO, CHANNEL(0, 5, QUEUE(0)) CHANNEL(1, 4, QUEUE(0)), "want queue 0 of dev0");
	/* Three of one unit, found over the third. */
	refused(TWO,
	    CHANNEL(auto, 5, QUEUE(0)) CHANNEL(auto, 4, QUEUE(0)) CHANNEL(auto, 1, QUEUE(0)),
	    "thread 1 has no channel (2 threads, and 1 channels");
}

static void test_workers(void **state)
{
	static const char four[] = CHANNEL(auto, 5, GROUP) CHANNEL(auto, 4, GROUP)
	    CHANNEL(auto, 3, GROUP) CHANNEL(auto, 2, GROUP);

	(void)state;
	expect("threads: [{workers: 2}]\n", four, "0.0 0.1 0.1 0.0");
	assert_int_equal(plan.threads[0].shard, MDFH_SHARD_CHANNEL);
	assert_int_equal(plan.threads[0].worker_weight[0], 7);
	assert_int_equal(plan.threads[0].worker_channels[1], 2);
	expect("threads: [{workers: 2, shard: instrument}]\n", four, "0 0 0 0");
	assert_int_equal(plan.threads[0].worker_weight[1], 7);
	assert_int_equal(plan.threads[0].worker_channels[1], 4);
	/* More workers than channels: by instrument, unless told otherwise. */
	expect("threads: [{workers: 5}]\n", four, "0 0 0 0");
	assert_int_equal(plan.threads[0].shard, MDFH_SHARD_INSTRUMENT);
	refused("threads: [{workers: 5, shard: channel}]\n", four, "make it `workers: 4`");
	/* A thread with workers takes more of what is dealt out. */
	expect("threads: [{workers: 3, shard: instrument}, {name: b}]\n", four, "0 1 0 0");
	assert_int_equal(plan.threads[0].weight, 10);
}

/* Two lines of one group lack the same, unless faults or backends are their own; how bursts are long
 * stands there at a loss rate of 0, too. */
static void test_one_group_twice(void **state)
{
	(void)state;
	refused("", CHANNEL(0, 0, GROUP "}, {" GROUP), "lines A and B are both 239.1.1.1:1000");
	refused("",
	    CHANNEL(
		0, 0, GROUP ", fault: {seed: 1}}, {" GROUP ", backend: socket, fault: {seed: 2}"),
	    "lines A and B are both 239.1.1.1:1000");
	refused("",
	    CHANNEL(0, 0, GROUP ", fault: {loss_ppm: 9}}, {" GROUP ", fault: {loss_ppm: 9}"),
	    "lines A and B are both 239.1.1.1:1000");
	refused("",
	    CHANNEL(0, 0,
		QUEUE(0) ", fault: {seed: 1, loss_ppm: 9}}, {" QUEUE(
		    0) ", fault: {seed: 2, loss_ppm: 9}"),
	    "lines A and B are both 239.1.1.1:1000");
	expect("", CHANNEL(0, 0, GROUP "}, {" GROUP ", fault: {loss_ppm: 9}"), "0");
	expect("",
	    CHANNEL(0, 0,
		GROUP ", fault: {seed: 1, loss_ppm: 9}}, {" GROUP
		      ", fault: {seed: 2, loss_ppm: 9}"),
	    "0");
	expect("", CHANNEL(0, 0, GROUP "}, {" GROUP ", backend: xdp"), "0");
	expect("", CHANNEL(0, 0, GROUP ", fault: {loss_ppm: 0, burst_length: 3}"), "0");
}

static void test_what_cannot_be(void **state)
{
	static const char one[] = CHANNEL(0, 0, GROUP);
	static const struct {
		const char *threads;
		const char *sentence;
	} cases[] = {
	    {"threads: [{workers: 33}]\n", "workers is 33; at most 32"},
	    {"threads: [{shard: channel}]\n", "it has none; give `workers: N`"},
	    {"threads: [{worker_ring: 1048576}]\n", "it has none; give `workers: N`"},
	    {"threads: [{workers: 2, worker_cores: [1]}]\n",
		"there are 1 worker_cores for 2 workers"},
	    {"threads: [{workers: 1, worker_ring: 1000000}]\n",
		"thread 0: worker_ring is 1000000; it must be a power of two"},
	    {"threads: [{workers: 1, worker_ring: 131072}]\n", "at least 262144 bytes"},
	    {"books: off\nthreads: [{workers: 1}]\n", "workers keep books, and books is off"},
	    {"threads: [{workers: 1}]\nconsumers: [{name: a, worker: 1}]\n",
		"consumer 0: worker is 1; its thread 0 has 1"},
	    {"consumers: [{name: a, worker: 0}]\n", "consumer 0: worker is 0; its thread 0 has 0"},
	    {"threads: [{workers: 1}]\nconsumers: [{name: a, kind: raw, worker: 0}]\n",
		"leave worker out"},
	    {"threads: [{core: 1, workers: 2, worker_cores: [2, 1]}]\n",
		"thread 0 and worker 1 of thread 0 both spin on core 1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refused(cases[i].threads, one, cases[i].sentence);
	refused("", CHANNEL(3, 0, GROUP), "thread is 3; there are 0 to 0");
	refused("", CHANNEL(0, 1000000000001, GROUP), "weight is 1000000000001");
	refused(TWO, one, "thread 1 has no channel");
	refused("threads: [{core: 1}, {core: 1}]\n", CHANNEL(0, 0, GROUP) CHANNEL(1, 0, GROUP),
	    "thread 0 and thread 1 both spin on core 1");
	/* Threads that wait may share one. */
	expect("threads: [{core: 1}, {core: 1, idle: wait}]\n",
	    CHANNEL(0, 0, GROUP) CHANNEL(1, 0, GROUP), "0 1");
}

/* A program can put into a configuration what a file cannot. */
static void test_values_of_no_enumeration(void **state)
{
	static const char text[] = "threads: [{workers: 1}]\nchannels:\n" CHANNEL(0, 0, GROUP);
	struct mdfh_handler_config *config;

	(void)state;
	assert_int_equal(mdfh_handler_config_parse(text, strlen(text), "test", &config), 0);
	config->threads[0].shard = (enum mdfh_shard)7;
	assert_int_equal(mdfh_plan_make(config, &plan), -EINVAL);
	assert_string_equal(mdfh_error_text(), "thread 0: shard is 7; it must be 0 to 2");
	config->threads[0].shard = MDFH_SHARD_DEFAULT;
	config->threads[0].worker_full = (enum mdfh_worker_full)3;
	assert_int_equal(mdfh_plan_make(config, &plan), -EINVAL);
	assert_string_equal(mdfh_error_text(), "thread 0: worker_full is 3; it must be 0 to 2");
	config->threads[0].worker_full = MDFH_WORKER_FULL_WAIT;
	assert_int_equal(mdfh_plan_make(config, &plan), 0);
	mdfh_handler_config_free(config);
}

/* What a handler with workers says of itself before it runs. */
static void test_handler_reports(void **state)
{
	static const char text[] =
	    "threads:\n"
	    "  - {name: one}\n"
	    "  - {name: two, workers: 2, shard: channel}\n"
	    "  - {name: three, workers: 2, shard: instrument}\n"
	    "orders_max: 1000\nlevels_max: 1000\ninstruments_max: 100\n"
	    "channels:\n"
	    "  - {name: a, protocol: itch50, thread: 0, lines: [{backend: 'null'}]}\n"
	    "  - {name: b, protocol: itch50, thread: 1, weight: 1, lines: [{backend: 'null'}]}\n"
	    "  - {name: c, protocol: itch50, thread: 1, weight: 2, lines: [{backend: 'null'}]}\n"
	    "  - {name: d, protocol: itch50, thread: 2, lines: [{backend: 'null'}, {backend: "
	    "'null'}]}\n"
	    "consumers:\n"
	    "  - {name: all, thread: 2}\n"
	    "  - {name: second, thread: 2, worker: 1}\n"
	    "  - {name: tap, thread: 2, kind: raw}\n";
	static const char *const threads[] = {
	    "one", "two", "two-w0", "two-w1", "three", "three-w0", "three-w1"};
	static const int shards[] = {0, -1, 1, 2, -1, 3, 4};
	static const int of_channels[] = {0, 2, 1, -1}; /* the heavier one is dealt out first */
	struct mdfh_handler_config *config;
	struct mdfh_handler *handler;
	struct mdfh_thread_report thread;
	struct mdfh_channel_report channel;
	struct mdfh_consumer_stats stats;

	(void)state;
	assert_int_equal(mdfh_handler_config_parse(text, strlen(text), "t", &config), 0);
	if (mdfh_handler_create(config, &handler))
		fail_msg("%s", mdfh_error_text());
	mdfh_handler_config_free(config);
	assert_int_equal(mdfh_handler_shards(handler), 5);
	assert_int_equal(mdfh_handler_threads(handler), 7);
	for (unsigned i = 0; i < 7; i++) {
		assert_int_equal(mdfh_handler_thread_report(handler, i, &thread), 0);
		assert_string_equal(thread.name, threads[i]);
		assert_int_equal(thread.shard, shards[i]);
		assert_int_equal(thread.worker < 0, i == 0 || i == 1 || i == 4);
		assert_int_equal(thread.run_ns, 0);
	}
	assert_int_equal(mdfh_handler_thread_report(handler, 7, &thread), -EINVAL);
	for (unsigned c = 0; c < 4; c++) {
		assert_int_equal(mdfh_handler_channel_report(handler, c, &channel), 0);
		assert_int_equal(channel.shard, of_channels[c]);
		/* The ports of a thread stand together, in the order of its lines. */
		assert_int_equal(channel.ports[0], c);
	}
	assert_int_equal(channel.ports[1], 4);
	/* A ring for each worker. */
	mdfh_consumer_stats(mdfh_handler_consumer(handler, "all"), &stats);
	assert_int_equal(stats.capacity, 2 * 65536);
	mdfh_consumer_stats(mdfh_handler_consumer(handler, "second"), &stats);
	assert_int_equal(stats.capacity, 65536);
	assert_int_equal(mdfh_consumer_shard(mdfh_handler_consumer(handler, "second")), 4);
	mdfh_consumer_stats(mdfh_handler_consumer(handler, "tap"), &stats);
	assert_int_equal(stats.capacity, 65536);
	assert_null(mdfh_handler_consumer(handler, "none"));
	assert_null(mdfh_handler_books(handler, 5));
	assert_int_equal(mdfh_handler_on_events(handler, 5, NULL, NULL), -EINVAL);
	/* It starts, stops and starts again. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mdfh_handler_start(handler), 0);
		assert_int_equal(mdfh_handler_running(handler), 1);
		assert_int_equal(mdfh_handler_stop(handler), 0);
		assert_int_equal(mdfh_handler_running(handler), 0);
	}
	mdfh_handler_thread_report(handler, 5, &thread);
	assert_true(thread.run_ns > 0);
	mdfh_handler_destroy(handler);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_by_weight),
	    cmocka_unit_test(test_bound),
	    cmocka_unit_test(test_lines_of_one_port_stay_together),
	    cmocka_unit_test(test_workers),
	    cmocka_unit_test(test_what_cannot_be),
	    cmocka_unit_test(test_one_group_twice),
	    cmocka_unit_test(test_values_of_no_enumeration),
	    cmocka_unit_test(test_handler_reports),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
