/* run_reader.c - events counted, and printed if that is wanted.
 *
 * What several workers make of one message is counted and printed once. */
#include "apps/run_reader.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "mdfh/error.h"

struct run_reader {
	struct mdfh_handler *handler;
	struct mdfh_consumer *consumer;
	struct run_consumed *consumed;
	int print;
	atomic_bool stop; /* the handler has stopped: read what is left, then end */
	pthread_t thread;
};

static void print_event(const struct mdfh_event *e, const struct mdfh_instruments *instruments)
{
	const struct mdfh_instrument *row =
	    e->instrument ? mdfh_instruments_get(instruments, e->instrument) : NULL;

	printf("%llu.%u %s %s %s", (unsigned long long)e->sequence, e->part,
	    mdfh_event_kind_name(e->kind), row ? row->symbol : "-", mdfh_side_name(e->side));
	switch (e->kind) {
	case MDFH_EVENT_ORDER_ADD:
	case MDFH_EVENT_ORDER_EXECUTE:
	case MDFH_EVENT_ORDER_REDUCE:
	case MDFH_EVENT_ORDER_MODIFY:
	case MDFH_EVENT_ORDER_DELETE:
		printf(" %u @ %.9g order %llu left %u", e->order.quantity,
		    (double)e->order.price / 1e9, (unsigned long long)e->order.order_id,
		    e->order.remaining);
		break;
	case MDFH_EVENT_TRADE:
	case MDFH_EVENT_TRADE_BREAK:
	case MDFH_EVENT_CROSS:
		printf(" %llu @ %.9g match %llu", (unsigned long long)e->trade.quantity,
		    (double)e->trade.price / 1e9, (unsigned long long)e->trade.match_id);
		break;
	case MDFH_EVENT_GAP:
	case MDFH_EVENT_RECOVERED:
		printf(" %llu..%llu %s", (unsigned long long)e->gap.first,
		    (unsigned long long)(e->gap.first + e->gap.count - 1),
		    mdfh_cause_name(e->gap.cause));
		break;
	case MDFH_EVENT_STATUS:
		printf(" %s", mdfh_status_name(e->code));
		break;
	case MDFH_EVENT_STATISTIC:
		printf(" %s %.9g %llu", mdfh_statistic_name(e->code),
		    (double)e->statistic.value / 1e9, (unsigned long long)e->statistic.quantity);
		break;
	default:
		break;
	}
	putchar('\n');
}

static void count(struct run_reader *reader, const struct mdfh_event *events, uint32_t n)
{
	struct run_consumed *consumed = reader->consumed;
	unsigned shard = mdfh_consumer_shard(reader->consumer);
	const struct mdfh_instruments *instruments =
	    reader->print ? mdfh_handler_instruments(reader->handler, shard) : NULL;

	for (uint32_t i = 0; i < n; i++) {
		if (events[i].flags & MDFH_EVENT_COPY)
			continue;
		consumed->events++;
		consumed->by_kind[events[i].kind % MDFH_EVENT_KINDS]++;
		if (events[i].instrument < consumed->instrument_count)
			consumed->by_instrument[(size_t)shard * consumed->instrument_count +
						events[i].instrument]++;
		if (reader->print)
			print_event(&events[i], instruments);
	}
}

static void *consume(void *argument)
{
	struct run_reader *reader = argument;
	const struct timespec nap = {.tv_nsec = 50000};

	for (;;) {
		/* Asked before the ring is looked at: what was written before is then seen. */
		int last = atomic_load_explicit(&reader->stop, memory_order_acquire);
		const struct mdfh_event *events;
		uint32_t n = mdfh_consumer_peek(reader->consumer, 512, &events);

		if (n) {
			count(reader, events, n);
			mdfh_consumer_done(reader->consumer, n);
		} else if (last) {
			return NULL;
		} else {
			nanosleep(&nap, NULL);
		}
	}
}

int run_reader_begin(struct mdfh_handler *handler, struct mdfh_consumer *consumer,
    struct run_consumed *consumed, int print, struct run_reader **reader)
{
	struct run_reader *r = calloc(1, sizeof(*r));
	int err;

	*reader = NULL;
	if (!r)
		return mdfh_error(-ENOMEM, "consumer thread: out of memory");
	r->handler = handler;
	r->consumer = consumer;
	r->consumed = consumed;
	r->print = print;
	err = -pthread_create(&r->thread, NULL, consume, r);
	if (err) {
		free(r);
		return mdfh_error_errno(err, "consumer thread");
	}
	*reader = r;
	return 0;
}

void run_reader_end(struct run_reader *r)
{
	if (!r)
		return;
	atomic_store_explicit(&r->stop, true, memory_order_release);
	pthread_join(r->thread, NULL);
	free(r);
}
