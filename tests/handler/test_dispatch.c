/* test_dispatch.c - what stands in a worker's ring: every number once, as data or in a gap, whatever
 * found the ring full.
 *
 * The worker is the test itself: it reads records as they stand there. Drops are made by not reading. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "handler/dispatch.h"
#include "mdfh/error.h"
#include "mdfh/event.h"

enum {
	RING_BYTES = 256 << 10,
	WORKERS = 2,
	MESSAGE = 2 + 19, /* an order delete: type, stock locate, ... */
	MESSAGES_MAX = 60,
	LOCATES = 20,
};

/* One channel: what was given, and what each worker has been told. */
struct feed {
	struct mdfh_dispatch *dispatch;
	uint64_t next;
	uint8_t epoch;
	uint64_t random;
	uint8_t data[MESSAGES_MAX * MESSAGE];
	struct {
		uint64_t next; /* number behind the newest data or gap */
		uint8_t epoch;
		unsigned begins, ends, gaps;
		uint64_t data, missed;
	} worker[WORKERS];
	int is_exact; /* one worker has all numbers */
};

static atomic_bool never;

static uint32_t draw(struct feed *feed, uint32_t below)
{
	feed->random ^= feed->random << 13;
	feed->random ^= feed->random >> 7;
	feed->random ^= feed->random << 17;
	return (uint32_t)((feed->random >> 32) * below >> 32);
}

static void make(struct feed *feed, unsigned workers, enum mdfh_shard shard)
{
	const struct mdfh_dispatch_channel channel = {
	    .protocol = "itch50", .framing = MDFH_FRAMING_LENGTH_BE16};
	struct mdfh_dispatch_config config = {
	    .channels = &channel,
	    .channel_count = 1,
	    .workers = workers,
	    .shard = shard,
	    .ring_bytes = RING_BYTES,
	    .stop = &never,
	};

	memset(feed, 0, sizeof(*feed));
	feed->random = 42;
	feed->is_exact = workers == 1;
	assert_int_equal(mdfh_dispatch_create(&config, &feed->dispatch), 0);
	mdfh_dispatch_set_full(feed->dispatch, MDFH_FULL_DROP);
}

/* The receive thread ------------------------------------------------------------------------ */

static void marker(struct feed *feed, uint8_t kind, uint64_t messages)
{
	const struct mdfh_span span = {
	    .kind = kind, .first = feed->next, .messages = messages, .epoch = feed->epoch};

	mdfh_dispatch_span(feed->dispatch, 0, &span);
	mdfh_dispatch_commit(feed->dispatch, 0);
	feed->next += messages;
}

static void begin_session(struct feed *feed, uint64_t first)
{
	feed->epoch++;
	feed->next = first;
	marker(feed, MDFH_SPAN_SESSION_BEGIN, 0);
}

static void messages(struct feed *feed, uint32_t n)
{
	const struct mdfh_span span = {
	    .data = feed->data,
	    .length = n * MESSAGE,
	    .first = feed->next,
	    .messages = n,
	    .epoch = feed->epoch,
	};

	for (uint32_t i = 0; i < n; i++) {
		uint8_t *at = feed->data + (size_t)i * MESSAGE;

		memset(at, 0, MESSAGE);
		at[1] = MESSAGE - 2;
		at[2] = 'D';
		at[4] = (uint8_t)(1 + (feed->next + i) % LOCATES);
	}
	mdfh_dispatch_span(feed->dispatch, 0, &span);
	mdfh_dispatch_commit(feed->dispatch, 0);
	feed->next += n;
}

/* Until the ring of the only worker is full. */
static void fill(struct feed *feed)
{
	while (!mdfh_dispatch_counts(feed->dispatch, 0)->dropped)
		messages(feed, MESSAGES_MAX);
}

/* The worker -------------------------------------------------------------------------------- */

static void told(struct feed *feed, unsigned w, const struct mdfh_span *span, uint64_t last)
{
	if (span->kind == MDFH_SPAN_SESSION_BEGIN) {
		assert_true(span->epoch > feed->worker[w].epoch);
		feed->worker[w].epoch = span->epoch;
		feed->worker[w].next = span->first;
		feed->worker[w].begins++;
		return;
	}
	assert_int_equal(span->epoch, feed->worker[w].epoch);
	if (feed->is_exact)
		assert_int_equal(span->first, feed->worker[w].next);
	assert_true(span->first >= feed->worker[w].next);
	if (span->kind == MDFH_SPAN_SESSION_END) {
		feed->worker[w].ends++;
		return;
	}
	if (span->kind == MDFH_SPAN_GAP) {
		feed->worker[w].gaps++;
		feed->worker[w].missed += span->messages;
	} else {
		feed->worker[w].data += span->messages;
	}
	feed->worker[w].next = last + 1;
}

static void take(struct feed *feed, unsigned w, const struct mdfh_record *record)
{
	const struct mdfh_span span = {
	    .kind = record->kind,
	    .first = record->first,
	    .messages = record->messages,
	    .epoch = record->epoch,
	    .cause = record->cause,
	};
	const uint16_t *numbers = (const void *)(record + 1);
	const uint8_t *data = (const uint8_t *)record + record->data_at;
	uint64_t last = record->first + record->messages - 1;

	if (record->kind == MDFH_RECORD_PAD)
		return;
	if (record->kind == MDFH_SPAN_DATA)
		assert_int_equal(record->length, record->messages * MESSAGE);
	for (uint64_t i = 0; record->kind == MDFH_SPAN_DATA && i < record->messages; i++) {
		uint64_t number = record->first + (record->is_scattered ? numbers[i] : i);

		/* The message is the one of its number. */
		assert_int_equal(data[i * MESSAGE + 4], 1 + number % LOCATES);
		last = number;
	}
	told(feed, w, &span, last);
}

static void work(struct feed *feed, unsigned w, uint32_t most)
{
	struct mdfh_ring *ring = mdfh_dispatch_ring(feed->dispatch, w);
	uint32_t done = 0;

	while (done < most) {
		const void *slots;
		const struct mdfh_record *record;

		if (!mdfh_ring_peek(ring, 1, &slots))
			return;
		record = slots;
		assert_in_range(record->slots, 1, mdfh_ring_capacity(ring));
		assert_int_equal(mdfh_ring_peek(ring, record->slots, &slots), record->slots);
		take(feed, w, record);
		mdfh_ring_release(ring, record->slots);
		done += record->slots;
	}
}

static void finish(struct feed *feed, unsigned workers)
{
	for (unsigned w = 0; w < workers; w++) {
		struct mdfh_span spans[MDFH_DISPATCH_OWED];
		unsigned index;
		int n;

		work(feed, w, UINT32_MAX);
		n = mdfh_dispatch_owed(feed->dispatch, w, 0, spans, &index);
		assert_in_range(n, 0, MDFH_DISPATCH_OWED);
		for (int i = 0; i < n; i++) {
			assert_int_equal(spans[i].cause, MDFH_CAUSE_WORKER);
			told(feed, w, &spans[i], spans[i].first + spans[i].messages - 1);
		}
		assert_int_equal(mdfh_dispatch_owed(feed->dispatch, w, 0, spans, &index), 0);
		assert_int_equal(feed->worker[w].epoch, feed->epoch);
	}
	mdfh_dispatch_destroy(feed->dispatch);
}

/* Tests ------------------------------------------------------------------------------------- */

/* A session that ends while its ring is full, and another one: what was missed of both is told, each in
 * its session, and the end as well. */
static void test_change_of_session(void **state)
{
	static struct feed feed;
	uint64_t dropped;

	(void)state;
	make(&feed, 1, MDFH_SHARD_CHANNEL);
	begin_session(&feed, 1);
	fill(&feed);
	messages(&feed, 7);
	marker(&feed, MDFH_SPAN_SESSION_END, 0);
	begin_session(&feed, 100);
	messages(&feed, 5);
	marker(&feed, MDFH_SPAN_GAP, 4);
	messages(&feed, 3);
	dropped = mdfh_dispatch_counts(feed.dispatch, 0)->dropped;
	work(&feed, 0, UINT32_MAX);
	messages(&feed, 2); /* there is room again */
	assert_int_equal(mdfh_dispatch_counts(feed.dispatch, 0)->dropped, dropped);
	finish(&feed, 1);
	assert_int_equal(feed.worker[0].begins, 2);
	assert_int_equal(feed.worker[0].ends, 1);
	assert_int_equal(feed.worker[0].gaps, 2);
	assert_int_equal(feed.worker[0].missed, dropped + 4);
	assert_int_equal(feed.worker[0].next, 114);
}

/* Of more than two sessions that were missed the first and the newest are told of. */
static void test_sessions_missed_whole(void **state)
{
	static struct feed feed;

	(void)state;
	make(&feed, 1, MDFH_SHARD_CHANNEL);
	begin_session(&feed, 1);
	fill(&feed);
	for (unsigned i = 0; i < 3; i++) {
		marker(&feed, MDFH_SPAN_SESSION_END, 0);
		begin_session(&feed, 1);
		messages(&feed, 10 + i);
	}
	finish(&feed, 1);
	assert_int_equal(feed.worker[0].begins, 2);
	assert_int_equal(feed.worker[0].ends, 1);
	assert_int_equal(feed.worker[0].gaps, 2);
	assert_int_equal(feed.worker[0].next, 13);
}

/* Nothing need come for a worker to learn what it missed: only room. */
static void test_silence(void **state)
{
	static struct feed feed;

	(void)state;
	make(&feed, 1, MDFH_SHARD_CHANNEL);
	begin_session(&feed, 1);
	fill(&feed);
	mdfh_dispatch_tell(feed.dispatch);
	assert_int_equal(mdfh_dispatch_counts(feed.dispatch, 0)->gaps, 0);
	work(&feed, 0, UINT32_MAX);
	assert_int_equal(feed.worker[0].gaps, 0);
	mdfh_dispatch_tell(feed.dispatch);
	mdfh_dispatch_tell(feed.dispatch);
	mdfh_dispatch_commit(feed.dispatch, 0);
	work(&feed, 0, UINT32_MAX);
	assert_int_equal(feed.worker[0].gaps, 1);
	assert_int_equal(feed.worker[0].next, feed.next);
	messages(&feed, 3);
	finish(&feed, 1);
	assert_int_equal(feed.worker[0].gaps, 1);
	assert_int_equal(feed.worker[0].next, feed.next);
}

static void any_order(unsigned workers, enum mdfh_shard shard)
{
	static struct feed feed;
	uint64_t given = 0, had = 0;

	make(&feed, workers, shard);
	begin_session(&feed, 1);
	for (unsigned turn = 0; turn < 40000; turn++) {
		uint32_t n = 1 + draw(&feed, MESSAGES_MAX);

		if (draw(&feed, 4000) == 0) {
			marker(&feed, MDFH_SPAN_SESSION_END, 0);
			begin_session(&feed, 1 + draw(&feed, 1000));
		} else if (draw(&feed, 50) == 0) {
			marker(&feed, MDFH_SPAN_GAP, n);
		} else {
			messages(&feed, n);
			given += n;
		}
		for (unsigned w = 0; w < workers; w++)
			if (draw(&feed, 400) == 0)
				work(&feed, w, draw(&feed, 6000));
	}
	for (unsigned w = 0; w < workers; w++) {
		const struct mdfh_dispatch_counts *counts = mdfh_dispatch_counts(feed.dispatch, w);

		assert_true(counts->dropped > 1000 && counts->gaps > 10);
		had += counts->messages + counts->dropped;
	}
	assert_int_equal(had, given); /* no message names no instrument */
	finish(&feed, workers);
	for (unsigned w = 0; w < workers; w++)
		assert_true(feed.worker[w].data > 1000);
	if (workers == 1)
		assert_int_equal(feed.worker[0].next, feed.next);
}

static void test_any_order(void **state)
{
	(void)state;
	any_order(1, MDFH_SHARD_CHANNEL);
	any_order(1, MDFH_SHARD_INSTRUMENT);
	any_order(WORKERS, MDFH_SHARD_INSTRUMENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_change_of_session),
	    cmocka_unit_test(test_sessions_missed_whole),
	    cmocka_unit_test(test_silence),
	    cmocka_unit_test(test_any_order),
	};

	return cmocka_run_group_tests_name("dispatch", tests, NULL, NULL);
}
