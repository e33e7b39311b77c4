/* test_workers_full.c - workers that do not keep up: full rings, and the end of a day or of a
 * receive thread.
 *
 * Without threads: a worker works when the test says so. */
#include "workers_test.h"

/* Give up waiting for workers that do not work: their rings fill, they lose, and are told. */
static void full_ring(enum mdfh_shard shard)
{
	static struct world w;
	struct mdfh_dispatch_counts counts = {0};
	struct mdfh_channel_report report;
	struct stream stream;
	uint64_t dropped = 0, handed = 0, given = 0, lost = 0, gaps = 0;

	make_stream(&stream, 51, 3000, 0, 0);
	make_world(&w, 2, shard);
	mdfh_dispatch_set_full(w.dispatch, MDFH_FULL_DROP);
	for (unsigned i = 0; i < stream.count; i += 64) {
		give(&w, &stream, i, stream.count - i < 64 ? stream.count - i : 64);
		/* A burst of work, now and then: rings run empty, and full again. The second worker
		 * sleeps longer. */
		if (i / 64 % 30 == 29)
			while (mdfh_worker_poll(&w.workers[0]))
				;
		if (i / 64 % 50 == 49)
			while (mdfh_worker_poll(&w.workers[1]))
				;
	}
	finish(&w);
	for (unsigned k = 0; k < 2; k++) {
		uint64_t told = 0;
		uint64_t newest[CHANNELS] = {0};

		mdfh_pipeline_lane_report(w.pipeline, k, &counts);
		/* Told at the end counts when it is told, which is after the thread's last report. */
		counts = *mdfh_dispatch_counts(w.dispatch, k);
		assert_true(counts.dropped > 100);
		assert_true(counts.gaps > 0);
		handed += counts.messages;
		dropped += counts.dropped;
		gaps += counts.gaps;
		for (unsigned i = 0; i < w.seen[k]->count; i++) {
			const struct mdfh_event *e = &w.seen[k]->events[i];
			uint64_t now = (uint64_t)e->epoch << 56 | e->sequence;

			assert_true(now >= newest[e->channel]);
			newest[e->channel] = now;
			if (e->kind != MDFH_EVENT_GAP || e->gap.cause != MDFH_CAUSE_WORKER)
				continue;
			told++;
			assert_false(e->flags & MDFH_EVENT_COPY);
			/* Nothing of the range came: the next event is behind it. */
			newest[e->channel] =
			    (uint64_t)e->epoch << 56 | (e->gap.first + e->gap.count);
		}
		assert_int_equal(told, counts.gaps);
	}
	for (unsigned c = 0; c < CHANNELS; c++) {
		memset(&report, 0, sizeof(report));
		mdfh_pipeline_channel_report(w.pipeline, c, &report);
		lost += report.session.lost_by_cause[MDFH_CAUSE_WORKER];
		given += report.session.delivered + report.session.lost;
		assert_int_equal(
		    report.session.lost, report.session.lost_by_cause[MDFH_CAUSE_WORKER]);
	}
	/* The ledger balances: every number was delivered or lost, and lost once. */
	assert_int_equal(given, stream.messages);
	assert_true(lost > 0 && lost <= dropped);
	if (shard == MDFH_SHARD_CHANNEL) {
		assert_int_equal(lost, dropped);
		assert_int_equal(handed + dropped, stream.messages);
	}
	assert_true(gaps > 1);
	destroy_world(&w);
	free_stream(&stream);
}

static void test_full_by_instrument(void **state)
{
	(void)state;
	full_ring(MDFH_SHARD_INSTRUMENT);
}

static void test_full_by_channel(void **state)
{
	(void)state;
	full_ring(MDFH_SHARD_CHANNEL);
}

/* The day is over for users when the workers have come to its end, not when the receive thread
 * has. */
static void test_session_end(void **state)
{
	static struct world w;
	struct stream stream = {.max = CHANNELS * LINES};

	(void)state;
	stream.packets = calloc(stream.max, sizeof(*stream.packets));
	assert_non_null(stream.packets);
	for (unsigned c = 0; c < CHANNELS; c++) {
		const struct venue venue = {.sequence = 1};
		struct feed feed;

		begin_packet(&feed, &venue);
		feed_end_of_session(&feed, venue.sequence);
		feed.data[9] = (uint8_t)('0' + venue.session);
		send(&stream, &feed, c, 0);
	}
	make_world(&w, 2, MDFH_SHARD_INSTRUMENT);
	assert_false(mdfh_pipeline_session_ended(w.pipeline));
	give(&w, &stream, 0, stream.count);
	assert_false(mdfh_pipeline_session_ended(w.pipeline));
	while (mdfh_worker_poll(&w.workers[0]))
		;
	assert_false(mdfh_pipeline_session_ended(w.pipeline));
	while (mdfh_worker_poll(&w.workers[1]))
		;
	assert_true(mdfh_pipeline_session_ended(w.pipeline));
	finish(&w);
	destroy_world(&w);
	free_stream(&stream);
}

/* A waiting receive thread is stopped: what it has in hand is lost, and told. */
static void test_stop_while_waiting(void **state)
{
	static struct world w;
	struct stream stream;

	(void)state;
	make_stream(&stream, 61, 3000, 0, 0);
	make_world(&w, 2, MDFH_SHARD_INSTRUMENT);
	atomic_store(&never, true);
	give(&w, &stream, 0, stream.count); /* returns, for all that nobody works */
	atomic_store(&never, false);
	/* The workers come when all is over, and are told at their end, both at once. */
	mdfh_pipeline_finish(w.pipeline);
	start_workers(&w);
	finish(&w);
	for (unsigned k = 0; k < 2; k++) {
		unsigned told = 0;

		assert_true(mdfh_dispatch_counts(w.dispatch, k)->dropped > 1000);
		for (unsigned i = 0; i < w.seen[k]->count; i++)
			told += w.seen[k]->events[i].kind == MDFH_EVENT_GAP;
		assert_true(told >= 1);
	}
	destroy_world(&w);
	free_stream(&stream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_full_by_instrument),
	    cmocka_unit_test(test_full_by_channel),
	    cmocka_unit_test(test_session_end),
	    cmocka_unit_test(test_stop_while_waiting),
	};

	return cmocka_run_group_tests_name("workers_full", tests, NULL, NULL);
}
