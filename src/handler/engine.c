/* engine.c - spans to events.
 *
 * Each span goes through its channel's decoder, which gives ops; when the batch is over, or the op
 * buffer full, all ops go through the books at once, so that their misses overlap, and the events
 * come out in the consumer's ring. */
#include "handler/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/lines.h"
#include "handler/published.h"
#include "handler/tap.h"
#include "mdfh/clock.h"
#include "mdfh/depth.h"
#include "mdfh/error.h"
#include "mdfh/schema.h"

enum {
	OPS_MAX = 512,
	OPS_LEAST = 16, /* room that a decoder needs to go on */
	EVENTS_MAX = 512,
	ORIGINS_MAX = 256,
	TRADES_KEPT = 1 << 20, /* a break can be of any trade of the day */
};

struct engine_channel {
	struct mdfh_decoder *decoder;
	enum mdfh_framing framing;
	uint16_t schema;
	uint16_t number;
	struct mdfh_engine_counts copied; /* of spans that another engine counts */
};

/* An instrument of the events that are handed out, and its last event among them. */
struct touched {
	uint32_t row;
	int event;
};

struct mdfh_engine {
	struct engine_channel *channels;
	unsigned channel_count;
	struct mdfh_instruments *instruments;
	struct mdfh_books *books;
	struct mdfh_depth *depth;
	struct mdfh_consumer **consumers;
	unsigned consumer_count;
	struct mdfh_consumer *direct; /* the one consumer whose ring events are made in */
	unsigned event_consumers;
	unsigned raw_consumers;
	const char **symbols;
	mdfh_events_handler on_events;
	void *context;

	/* Work in progress. */
	int op_count;
	unsigned origin_count;
	uint16_t copy_flag;   /* of the events that are made: MDFH_EVENT_COPY or 0 */
	uint16_t *touched_at; /* by instrument row: 1 + its place in touched, 0 = not in it */
	uint64_t instruments_refused; /* of which consumers know */
	struct mdfh_origin newest;    /* of the newest span, and its last sequence number */
	uint64_t newest_sequence;

	/* Latency. */
	int sampling;
	uint64_t decode_ticks;
	uint64_t book_ticks;
	struct mdfh_histogram *latency[MDFH_STAGES];

	struct mdfh_published published; /* struct mdfh_books_stats, then counts per channel */
	struct mdfh_origin origins[ORIGINS_MAX];
	struct mdfh_op ops[OPS_MAX];
	struct mdfh_event events[EVENTS_MAX];
	struct touched touched[EVENTS_MAX];
};

static const enum mdfh_stage stages[] = {
    MDFH_STAGE_WIRE,
    MDFH_STAGE_DECODE,
    MDFH_STAGE_BOOK,
};

/* Setup ----------------------------------------------------------------------------------- */

static int create_channel(
    struct mdfh_engine *e, const struct mdfh_engine_config *config, unsigned index)
{
	const struct mdfh_engine_channel *from = &config->channels[index];
	struct engine_channel *channel = &e->channels[index];
	struct mdfh_decoder_config decoder = {
	    .size = sizeof(decoder),
	    .instruments = e->instruments,
	    .channel = from->number,
	    .midnight_ns = from->midnight_ns,
	    .symbols = e->symbols,
	    .symbol_count = config->symbols_count,
	};
	const struct mdfh_schema *schema = mdfh_schema_find(from->protocol);

	channel->framing = from->framing;
	channel->number = from->number;
	channel->schema = schema ? schema->id : 0;
	return mdfh_decoder_create(from->protocol, &decoder, &channel->decoder);
}

static int create_consumers(struct mdfh_engine *e, const struct mdfh_engine_config *config)
{
	int err;

	for (unsigned i = 0; i < config->consumer_count; i++) {
		err = mdfh_consumer_create(config->consumers[i], e->instruments,
		    config->channel_count, config->stop, &e->consumers[i]);
		if (err)
			return err;
		e->consumer_count++;
		if (e->consumers[i]->kind == MDFH_CONSUMER_RAW) {
			e->raw_consumers++;
			continue;
		}
		e->event_consumers++;
		e->direct = e->consumers[i];
	}
	if (e->event_consumers != 1)
		e->direct = NULL;
	return 0;
}

static int create_books(
    struct mdfh_engine *e, const struct mdfh_engine_config *config, uint32_t rows)
{
	struct mdfh_books_config books = config->books;
	struct mdfh_depth_config depth = {
	    .size = sizeof(depth),
	    .instruments = rows + 1,
	    .levels = config->depth_levels,
	    .shared_name = config->depth_shared_name,
	};
	int err;

	books.size = sizeof(books);
	books.instruments = e->instruments;
	if (!books.trades_max)
		books.trades_max = TRADES_KEPT;
	err = mdfh_books_create(&books, &e->books);
	if (!err && config->depth_levels)
		err = mdfh_depth_create(&depth, &e->depth);
	return err;
}

int mdfh_engine_create(const struct mdfh_engine_config *config, struct mdfh_engine **engine)
{
	uint32_t rows = config->instruments_max ? config->instruments_max : 65536;
	struct mdfh_engine *e;
	int err;

	*engine = NULL;
	e = mdfh_lines_alloc(1, sizeof(*e));
	if (!e)
		return mdfh_error(-ENOMEM, "engine: %zu bytes", sizeof(*e));
	e->channels = mdfh_lines_alloc(config->channel_count, sizeof(*e->channels));
	e->consumers = calloc(config->consumer_count + 1, sizeof(struct mdfh_consumer *));
	e->symbols = calloc(config->symbols_count + 1, sizeof(*e->symbols));
	e->touched_at = mdfh_lines_alloc((size_t)rows + 1, sizeof(*e->touched_at));
	e->channel_count = config->channel_count;
	if (!e->channels || !e->consumers || !e->symbols || !e->touched_at ||
	    mdfh_published_create(
		&e->published, sizeof(struct mdfh_books_stats) +
				   config->channel_count * sizeof(struct mdfh_engine_counts))) {
		err = mdfh_error(-ENOMEM, "engine: out of memory");
		goto fail;
	}
	for (unsigned i = 0; i < config->symbols_count; i++)
		e->symbols[i] = config->symbols[i];
	e->on_events = config->on_events;
	e->context = config->context;
	err =
	    mdfh_instruments_create_shared(rows, config->instruments_shared_name, &e->instruments);
	for (unsigned i = 0; !err && i < config->channel_count; i++)
		err = create_channel(e, config, i);
	if (!err && config->keep_books)
		err = create_books(e, config, rows);
	if (!err)
		err = create_consumers(e, config);
	for (size_t i = 0; !err && i < sizeof(stages) / sizeof(stages[0]); i++)
		err = mdfh_histogram_create(MDFH_STAGE_MAX_NS, &e->latency[stages[i]]);
	if (err)
		goto fail;
	*engine = e;
	return 0;

fail:
	mdfh_engine_destroy(e);
	return err;
}

void mdfh_engine_destroy(struct mdfh_engine *e)
{
	if (!e)
		return;
	for (unsigned i = 0; e->consumers && i < e->consumer_count; i++)
		mdfh_consumer_destroy(e->consumers[i]);
	for (int i = 0; i < MDFH_STAGES; i++)
		mdfh_histogram_destroy(e->latency[i]);
	mdfh_depth_destroy(e->depth);
	mdfh_books_destroy(e->books);
	for (unsigned i = 0; e->channels && i < e->channel_count; i++)
		mdfh_decoder_destroy(e->channels[i].decoder);
	mdfh_instruments_destroy(e->instruments);
	mdfh_published_destroy(&e->published);
	free(e->touched_at);
	free(e->symbols);
	free(e->consumers);
	free(e->channels);
	free(e);
}

void mdfh_engine_on_events(struct mdfh_engine *e, mdfh_events_handler function, void *context)
{
	e->on_events = function;
	e->context = context;
}

void mdfh_engine_set_recorded(struct mdfh_engine *e)
{
	for (unsigned i = 0; i < e->consumer_count; i++)
		e->consumers[i]->is_recorded = 1;
}

/* Data path: ops to events ------------------------------------------------------------------ */

/* 1 if this event emptied all books of its channel. */
static int empties_channel(const struct mdfh_event *event)
{
	return !event->instrument &&
	       (event->kind == MDFH_EVENT_SESSION_BEGIN || event->kind == MDFH_EVENT_CLEAR);
}

/* With the number of the event's message. A session begins with the number of a message that is yet
 * to come. */
static void publish_row(struct mdfh_engine *e, uint32_t row, const struct mdfh_event *event)
{
	uint64_t sequence = event->sequence;

	if (event->kind == MDFH_EVENT_SESSION_BEGIN && sequence)
		sequence--;
	(void)mdfh_depth_publish(e->depth, e->books, row, sequence, event->receive_ns);
}

/* The books of channels have been emptied: so are the snapshots that there are of them, but those
 * that are published anyway. As seldom, and as much work, as that was. */
static __attribute__((noinline)) void publish_emptied(
    struct mdfh_engine *e, const struct mdfh_event *events, int n)
{
	uint32_t count = mdfh_instruments_count(e->instruments);
	struct mdfh_depth_view view;

	for (int i = 0; i < n; i++)
		for (uint32_t row = 1; empties_channel(&events[i]) && row < count; row++)
			if (!e->touched_at[row] &&
			    mdfh_instruments_get(e->instruments, row)->channel ==
				events[i].channel &&
			    mdfh_depth_read(e->depth, row, &view) == 1)
				publish_row(e, row, &events[i]);
}

/* What was touched before its channel was emptied was touched last by that. */
static __attribute__((noinline)) void touch_emptied(
    struct mdfh_engine *e, const struct mdfh_event *events, int emptied, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (mdfh_instruments_get(e->instruments, e->touched[i].row)->channel ==
		    events[emptied].channel)
			e->touched[i].event = emptied;
}

/* Publish each instrument once, with its last event of these. n is at most EVENTS_MAX. */
static void publish_depth(struct mdfh_engine *e, const struct mdfh_event *events, int n)
{
	unsigned count = 0;
	int emptied = 0;

	for (int i = 0; i < n; i++) {
		uint32_t row = events[i].instrument;

		if (!row) {
			if (empties_channel(&events[i])) {
				touch_emptied(e, events, i, count);
				emptied = 1;
			}
			continue;
		}
		if (!e->touched_at[row]) {
			e->touched[count++].row = row;
			e->touched_at[row] = (uint16_t)count;
		}
		e->touched[e->touched_at[row] - 1].event = i;
	}
	if (emptied)
		publish_emptied(e, events, n);
	for (unsigned i = 0; i < count; i++) {
		publish_row(e, e->touched[i].row, &events[e->touched[i].event]);
		e->touched_at[e->touched[i].row] = 0;
	}
}

/* Events made by one apply: to the callback, the depth snapshots and the rings. in_place: they
 * already stand in the direct consumer's ring. */
static void hand_out(struct mdfh_engine *e, const struct mdfh_event *events, int n, int in_place)
{
	if (e->on_events)
		e->on_events(e->context, events, n, e->books);
	if (e->depth)
		publish_depth(e, events, n);
	if (in_place) {
		mdfh_consumer_commit(e->direct, (uint32_t)n);
		return;
	}
	for (unsigned i = 0; i < e->consumer_count; i++)
		if (e->consumers[i]->kind == MDFH_CONSUMER_EVENTS)
			mdfh_consumer_write(e->consumers[i], events, n);
}

/* Work off the collected ops. The span whose ops came last may go on: its origin becomes the
 * first of the next batch. */
static void apply(struct mdfh_engine *e)
{
	const struct mdfh_op *ops = e->ops;
	int left = e->op_count;
	int wanted = e->on_events || e->depth || e->event_consumers;
	uint64_t start = e->sampling ? mdfh_clock_ticks() : 0;

	if (e->books)
		mdfh_books_origins(e->books, e->origins);
	while (e->books && left > 0) {
		struct mdfh_event *out = e->events;
		int max = EVENTS_MAX;
		int in_place = 0;
		int done;
		int n;

		if (e->direct) {
			struct mdfh_event *slots;
			uint32_t room = mdfh_consumer_reserve(e->direct, EVENTS_MAX, &slots);

			if (room >= MDFH_BOOK_EVENTS_PER_OP) {
				out = slots;
				max = (int)room;
				in_place = 1;
			}
		}
		n = mdfh_book_apply(e->books, ops, left, wanted ? out : NULL, max, &done);
		/* An instrument has a row with one worker, which alone makes an event of it. */
		for (int i = 0; e->copy_flag && wanted && i < n; i++)
			if (!out[i].instrument)
				out[i].flags |= e->copy_flag;
		if (n > 0)
			hand_out(e, out, n, in_place);
		ops += done;
		left -= done;
	}
	if (e->sampling)
		e->book_ticks += mdfh_clock_ticks() - start;
	e->op_count = 0;
	if (e->origin_count) {
		e->origins[0] = e->origins[e->origin_count - 1];
		e->origin_count = 0;
	}
}

/* Data path: spans to ops ------------------------------------------------------------------- */

/* The decoder counted on from the span's first number; the messages have others. */
static void renumber(
    struct mdfh_op *ops, int n, const struct mdfh_span *span, const uint16_t *numbers)
{
	for (int i = 0; i < n; i++) {
		uint64_t sequence = span->first + numbers[ops[i].sequence - span->first];

		if (ops[i].kind == MDFH_OP_GAP)
			ops[i].order_id = sequence;
		ops[i].sequence = sequence;
	}
}

static void decode(struct mdfh_engine *e, struct engine_channel *channel,
    const struct mdfh_span *span, const uint16_t *numbers)
{
	struct mdfh_decoder_base *base = (struct mdfh_decoder_base *)channel->decoder;
	int n;

	if (e->origin_count == ORIGINS_MAX)
		apply(e);
	e->newest = (struct mdfh_origin){
	    .receive_ns = span->receive_ns,
	    .channel = span->channel,
	    .epoch = span->epoch,
	    .line = span->line,
	};
	e->newest_sequence = span->first - 1 +
			     (numbers ? numbers[span->messages - 1] + UINT64_C(1) : span->messages);
	e->origins[e->origin_count] = e->newest;
	mdfh_decoder_begin(channel->decoder, span, channel->framing, (uint16_t)e->origin_count++);
	for (;;) {
		if (OPS_MAX - e->op_count < OPS_LEAST) {
			apply(e);
			base->origin = 0;
			e->origin_count = 1;
		}
		n = mdfh_decoder_next(
		    channel->decoder, e->ops + e->op_count, OPS_MAX - e->op_count);
		if (n <= 0)
			return;
		if (numbers)
			renumber(e->ops + e->op_count, n, span, numbers);
		e->op_count += n;
	}
}

static void take(
    struct mdfh_engine *e, unsigned index, const struct mdfh_span *span, const uint16_t *numbers)
{
	struct engine_channel *channel = &e->channels[index];
	uint64_t start = e->sampling ? mdfh_clock_ticks() : 0;
	uint64_t book_ticks = e->book_ticks;

	if (e->raw_consumers)
		mdfh_tap_span(
		    e->consumers, e->consumer_count, span, channel->framing, channel->schema);
	decode(e, channel, span, numbers);
	/* Where the op buffer became full on the way, books were at work meanwhile. */
	if (e->sampling)
		e->decode_ticks += mdfh_clock_ticks() - start - (e->book_ticks - book_ticks);
}

void mdfh_engine_span(struct mdfh_engine *e, unsigned channel, const struct mdfh_span *span)
{
	take(e, channel, span, NULL);
}

void mdfh_engine_scattered(
    struct mdfh_engine *e, unsigned channel, const struct mdfh_span *span, const uint16_t *numbers)
{
	take(e, channel, span, numbers);
}

/* What the decoder of a channel has counted. */
static struct mdfh_engine_counts decoded(const struct engine_channel *channel)
{
	const struct mdfh_decoder_stats *stats = mdfh_decoder_stats(channel->decoder);

	return (struct mdfh_engine_counts){
	    .messages = stats->messages,
	    .refused = stats->errors[MDFH_DECODE_SHORT] + stats->errors[MDFH_DECODE_FIELD] +
		       stats->errors[MDFH_DECODE_FRAMING],
	    .unknown = stats->errors[MDFH_DECODE_UNKNOWN],
	};
}

void mdfh_engine_copy(struct mdfh_engine *e, unsigned index, const struct mdfh_span *span)
{
	struct engine_channel *channel = &e->channels[index];
	struct mdfh_engine_counts before = decoded(channel);
	struct mdfh_engine_counts after;

	/* Alone in its batch: the flag is of all events that are made. */
	if (e->op_count)
		apply(e);
	e->origin_count = 0;
	e->copy_flag = MDFH_EVENT_COPY;
	take(e, index, span, NULL);
	apply(e);
	e->origin_count = 0;
	e->copy_flag = 0;
	after = decoded(channel);
	channel->copied.messages += after.messages - before.messages;
	channel->copied.refused += after.refused - before.refused;
	channel->copied.unknown += after.unknown - before.unknown;
}

/* Batches ----------------------------------------------------------------------------------- */

void mdfh_engine_begin(struct mdfh_engine *e, int sampling)
{
	e->sampling = sampling;
	e->decode_ticks = 0;
	e->book_ticks = 0;
}

/* The table of instruments was full for some message of the batch: one event, however many. */
static __attribute__((noinline)) void tell_refused(struct mdfh_engine *e, uint64_t refused)
{
	struct mdfh_event event = {
	    .sequence = e->newest_sequence,
	    .receive_ns = e->newest.receive_ns,
	    .channel = e->newest.channel,
	    .flags = MDFH_EVENT_LAST_PART | MDFH_EVENT_LAST,
	    .kind = MDFH_EVENT_ERROR,
	    .epoch = e->newest.epoch,
	};

	event.gap.first = event.sequence;
	event.gap.count = refused - e->instruments_refused;
	event.gap.cause = MDFH_CAUSE_INSTRUMENTS_FULL;
	e->instruments_refused = refused;
	hand_out(e, &event, 1, 0);
}

static void record(struct mdfh_engine *e, int64_t exchange_ns, int64_t receive_ns)
{
	mdfh_histogram_record(
	    e->latency[MDFH_STAGE_DECODE], mdfh_clock_ticks_to_ns(e->decode_ticks));
	mdfh_histogram_record(e->latency[MDFH_STAGE_BOOK], mdfh_clock_ticks_to_ns(e->book_ticks));
	if (exchange_ns && receive_ns > exchange_ns)
		mdfh_histogram_record(
		    e->latency[MDFH_STAGE_WIRE], (uint64_t)(receive_ns - exchange_ns));
	for (unsigned i = 0; i < e->consumer_count; i++)
		mdfh_consumer_sample(e->consumers[i], mdfh_clock_ticks());
}

void mdfh_engine_end(struct mdfh_engine *e)
{
	uint64_t refused = mdfh_instruments_refused(e->instruments);
	int64_t exchange_ns = 0;
	int64_t receive_ns = 0;

	if (e->sampling && e->op_count) {
		const struct mdfh_op *last = &e->ops[e->op_count - 1];

		exchange_ns = last->exchange_ns;
		receive_ns = e->origins[last->origin].receive_ns;
	}
	if (e->op_count)
		apply(e);
	e->origin_count = 0;
	if (e->sampling)
		record(e, exchange_ns, receive_ns);
	e->sampling = 0;
	if (refused != e->instruments_refused)
		tell_refused(e, refused);
}

void mdfh_engine_tell(struct mdfh_engine *e)
{
	for (unsigned i = 0; i < e->consumer_count; i++)
		mdfh_consumer_tell(e->consumers[i]);
}

/* Reports ----------------------------------------------------------------------------------- */

void mdfh_engine_publish(struct mdfh_engine *e)
{
	uint8_t *at = (uint8_t *)e->published.scratch;

	if (e->books)
		memcpy(at, mdfh_books_stats(e->books), sizeof(struct mdfh_books_stats));
	at += sizeof(struct mdfh_books_stats);
	for (unsigned i = 0; i < e->channel_count; i++) {
		struct mdfh_engine_counts counts = decoded(&e->channels[i]);

		counts.messages -= e->channels[i].copied.messages;
		counts.refused -= e->channels[i].copied.refused;
		counts.unknown -= e->channels[i].copied.unknown;
		memcpy(at + i * sizeof(counts), &counts, sizeof(counts));
	}
	mdfh_published_write(&e->published);
}

void mdfh_engine_counts(
    const struct mdfh_engine *e, unsigned channel, struct mdfh_engine_counts *counts)
{
	mdfh_published_read(&e->published,
	    sizeof(struct mdfh_books_stats) + channel * sizeof(*counts), counts, sizeof(*counts));
}

void mdfh_engine_books_stats(const struct mdfh_engine *e, struct mdfh_books_stats *stats)
{
	mdfh_published_read(&e->published, 0, stats, sizeof(*stats));
}

const struct mdfh_histogram *mdfh_engine_latency(const struct mdfh_engine *e, enum mdfh_stage stage)
{
	return (unsigned)stage < MDFH_STAGES ? e->latency[stage] : NULL;
}

struct mdfh_consumer *mdfh_engine_consumer(struct mdfh_engine *e, unsigned index)
{
	return index < e->consumer_count ? e->consumers[index] : NULL;
}

const struct mdfh_books *mdfh_engine_books(const struct mdfh_engine *e)
{
	return e->books;
}

const struct mdfh_instruments *mdfh_engine_instruments(const struct mdfh_engine *e)
{
	return e->instruments;
}

const struct mdfh_depth *mdfh_engine_depth(const struct mdfh_engine *e)
{
	return e->depth;
}
