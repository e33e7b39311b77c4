/* test_workers.c - a receive thread with workers makes of a feed what one without makes.
 *
 * Random feeds go through a pipeline with an engine of its own and through one with workers in
 * other threads. Of every instrument the events must be the same in the same order, of what names
 * no instrument each must come once without the flag COPY, and the books must be equal. */
#include "workers_test.h"

static const struct mdfh_engine *engine_of(const struct world *w, unsigned index)
{
	return w->worker_count ? w->workers[index].engine : mdfh_pipeline_engine(w->pipeline);
}

static uint64_t checksum(const struct world *w)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < w->seen_count; i++)
		sum += mdfh_books_checksum(mdfh_engine_books(engine_of(w, i)));
	return sum;
}

/* What all decoders have counted; sharded by instrument all of them have all channels. */
static struct mdfh_engine_counts total(const struct world *w)
{
	struct mdfh_engine_counts sum = {0};

	for (unsigned i = 0; i < w->seen_count; i++) {
		for (unsigned c = 0; c < CHANNELS; c++) {
			struct mdfh_engine_counts counts;

			mdfh_engine_counts(engine_of(w, i), c, &counts);
			sum.messages += counts.messages;
			sum.refused += counts.refused;
			sum.unknown += counts.unknown;
		}
	}
	return sum;
}

/* Comparison -------------------------------------------------------------------------------- */

struct indexed {
	unsigned key;
	unsigned at;
};

static int compare_indexed(const void *a, const void *b)
{
	const struct indexed *x = a;
	const struct indexed *y = b;

	return x->key != y->key ? (x->key > y->key) - (x->key < y->key)
				: (x->at > y->at) - (x->at < y->at);
}

/* Events by instrument, in their order; those of none by channel behind 0. Copies are left out. */
static struct indexed *sorted(const struct seen *seen, unsigned *count)
{
	struct indexed *list = calloc(seen->count + 1, sizeof(*list));

	assert_non_null(list);
	*count = 0;
	for (unsigned i = 0; i < seen->count; i++)
		if (!(seen->events[i].flags & MDFH_EVENT_COPY))
			list[(*count)++] = (struct indexed){
			    .key = seen->instruments[i] ? seen->instruments[i] | 1u << 31
							: seen->events[i].channel,
			    .at = i};
	qsort(list, *count, sizeof(*list), compare_indexed);
	return list;
}

static void expect_equal_event(const struct mdfh_event *is, const struct mdfh_event *wanted)
{
	if (memcmp(is, wanted, sizeof(*is)) != 0)
		fail_msg("event %llu.%u %s flags %x is not %llu.%u %s flags %x",
		    (unsigned long long)is->sequence, is->part, mdfh_event_kind_name(is->kind),
		    is->flags, (unsigned long long)wanted->sequence, wanted->part,
		    mdfh_event_kind_name(wanted->kind), wanted->flags);
}

/* Whole: the events of every instrument, and each other event once. */
static void expect_equal_events(const struct world *w, const struct world *one)
{
	struct indexed *lists[WORKERS_MAX];
	unsigned counts[WORKERS_MAX];
	unsigned at[WORKERS_MAX] = {0};
	unsigned count;
	struct indexed *wanted = sorted(one->seen[0], &count);
	unsigned all = 0;

	assert_true(one->seen[0]->count < EVENTS_MAX);
	for (unsigned k = 0; k < w->seen_count; k++) {
		lists[k] = sorted(w->seen[k], &counts[k]);
		all += counts[k];
	}
	for (unsigned i = 0; i < count;) {
		unsigned key = wanted[i].key;
		unsigned owners = 0;

		for (unsigned k = 0; k < w->seen_count; k++) {
			if (at[k] == counts[k] || lists[k][at[k]].key != key)
				continue;
			owners++;
			for (; i < count && wanted[i].key == key; i++, at[k]++) {
				if (at[k] == counts[k] || lists[k][at[k]].key != key)
					fail_msg("worker %u has too few events of %x", k, key);
				expect_equal_event(&w->seen[k]->events[lists[k][at[k]].at],
				    &one->seen[0]->events[wanted[i].at]);
			}
		}
		if (owners != 1)
			fail_msg("%u workers have events of %x", owners, key);
	}
	assert_int_equal(all, count);
	for (unsigned k = 0; k < w->seen_count; k++)
		free(lists[k]);
	free(wanted);
}

/* Inside a worker the numbers of a channel never go back, and every marker stands there in its
 * place. */
static void expect_order(const struct world *w, const struct world *one)
{
	for (unsigned k = 0; k < w->seen_count; k++) {
		uint64_t newest[CHANNELS] = {0};
		unsigned markers[CHANNELS] = {0};

		for (unsigned i = 0; i < w->seen[k]->count; i++) {
			const struct mdfh_event *e = &w->seen[k]->events[i];
			uint64_t now = (uint64_t)e->epoch << 56 | e->sequence;

			if (now < newest[e->channel])
				fail_msg("worker %u: %llu behind %llu", k,
				    (unsigned long long)e->sequence,
				    (unsigned long long)newest[e->channel]);
			newest[e->channel] = now;
			markers[e->channel] += !w->seen[k]->instruments[i];
		}
		for (unsigned i = 0; i < one->seen[0]->count; i++)
			markers[one->seen[0]->events[i].channel] -= !one->seen[0]->instruments[i];
		for (unsigned c = 0; c < CHANNELS; c++)
			assert_int_equal(markers[c], 0);
	}
}

/* Tests ------------------------------------------------------------------------------------- */

static void compare(uint64_t seed, unsigned workers, enum mdfh_shard shard, uint32_t loss)
{
	static struct world one;
	static struct world many;
	struct stream stream;

	make_stream(&stream, seed, 3000, loss, 0);
	make_world(&one, 0, MDFH_SHARD_DEFAULT);
	give(&one, &stream, 0, stream.count);
	finish(&one);
	make_world(&many, workers, shard);
	start_workers(&many);
	give(&many, &stream, 0, stream.count);
	finish(&many);
	expect_equal_events(&many, &one);
	if (shard == MDFH_SHARD_INSTRUMENT)
		expect_order(&many, &one);
	assert_int_equal(checksum(&many), checksum(&one));
	assert_true(mdfh_books_stats(mdfh_engine_books(engine_of(&one, 0)))->orders > 100);
	for (unsigned c = 0; c < CHANNELS; c++) {
		struct mdfh_channel_report a, b;

		memset(&a, 0, sizeof(a));
		memset(&b, 0, sizeof(b));
		mdfh_pipeline_channel_report(one.pipeline, c, &a);
		mdfh_pipeline_channel_report(many.pipeline, c, &b);
		assert_memory_equal(&a, &b, sizeof(a));
		assert_true(loss == 0 ? !a.session.lost : a.session.gaps > 10);
	}
	if (shard == MDFH_SHARD_INSTRUMENT)
		assert_int_equal(total(&many).messages, total(&one).messages);
	destroy_world(&many);
	destroy_world(&one);
	free_stream(&stream);
}

static void test_by_instrument(void **state)
{
	static const unsigned workers[] = {1, 2, 3, WORKERS_MAX};

	(void)state;
	for (unsigned i = 0; i < sizeof(workers) / sizeof(workers[0]); i++) {
		compare(1 + i, workers[i], MDFH_SHARD_INSTRUMENT, 0);
		compare(11 + i, workers[i], MDFH_SHARD_INSTRUMENT, 150);
	}
}

static void test_by_channel(void **state)
{
	(void)state;
	for (unsigned workers = 1; workers <= CHANNELS; workers++) {
		compare(21 + workers, workers, MDFH_SHARD_CHANNEL, 0);
		compare(31 + workers, workers, MDFH_SHARD_CHANNEL, 150);
	}
}

/* What a decoder refuses is a gap of its shard, and of no other: so the books of one thread are
 * unsound, which is all that differs. Everything is counted once. */
static void test_refused_messages(void **state)
{
	static struct world one;
	static struct world many;
	struct mdfh_engine_counts wanted;
	struct mdfh_engine_counts is;
	struct stream stream;

	(void)state;
	make_stream(&stream, 41, 1000, 0, 1);
	make_world(&one, 0, MDFH_SHARD_DEFAULT);
	give(&one, &stream, 0, stream.count);
	finish(&one);
	make_world(&many, 3, MDFH_SHARD_INSTRUMENT);
	start_workers(&many);
	give(&many, &stream, 0, stream.count);
	finish(&many);
	wanted = total(&one);
	is = total(&many);
	assert_true(wanted.refused > 10 && wanted.unknown > 10);
	assert_memory_equal(&is, &wanted, sizeof(is));
	assert_int_equal(checksum(&many), checksum(&one));
	destroy_world(&many);
	destroy_world(&one);
	free_stream(&stream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_by_instrument),
	    cmocka_unit_test(test_by_channel),
	    cmocka_unit_test(test_refused_messages),
	};

	return cmocka_run_group_tests_name("workers", tests, NULL, NULL);
}
