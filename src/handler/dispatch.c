/* dispatch.c - spans into the rings of workers.
 *
 * A lane is a worker's ring as the receive thread sees it: room that was asked for at once, records
 * filled in one behind the other, published together. No record is cut by the end of the ring's
 * memory: what is left there is padded.
 *
 * Budget for a message that goes by instrument: 10 ns. Of a span that goes by channel: its copy. */
#include "handler/dispatch.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "core/lines.h"
#include "handler/shard_key.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"

enum {
	RING_BYTES = 4 << 20,
	ROOM_SLOTS = 256,   /* asked for at once */
	PUBLISH_SLOTS = 64, /* a worker need not wait for the end of the batch for so much */
	RECORD_MESSAGES = 1024,
	RECORD_BYTES = 16384,
	COPY = 64,    /* bytes that are copied at once where there are so many */
	SESSIONS = 2, /* of a channel, whose losses are told */
};

/* What a worker missed of a session of a channel since its ring became full. */
struct loss {
	uint64_t first;
	uint64_t last; /* less than first: no number */
	int64_t receive_ns;
	uint64_t begin; /* first number of the session that has begun */
	uint64_t end;   /* next number of the one that has ended */
	uint8_t epoch;
	uint8_t begun; /* a session has begun */
	uint8_t ended; /* ... has ended */
	uint8_t any;
};

struct lane {
	struct mdfh_ring *ring;
	uint8_t *at;     /* next slot */
	uint32_t room;   /* slots from there on */
	uint32_t filled; /* slots before it that are not yet published */
	struct mdfh_record *newest;

	/* The record of the span in hand. */
	struct mdfh_record *open;
	uint8_t *data;
	uint8_t *data_end; /* of the room for it, COPY bytes left out */
	uint16_t *numbers;
	uint32_t refused; /* the newest span that there was no room for */

	int dropping;
	struct loss *losses; /* by channel SESSIONS: the newest, and the first before it */
	uint64_t *told;      /* gaps, by channel */
	struct mdfh_dispatch_counts counts;
};

struct channel {
	enum mdfh_framing framing;
	uint16_t number;
	unsigned worker;
	uint16_t index;
	struct mdfh_shard_key key;
	uint64_t lost; /* messages that some worker has not got */
};

struct mdfh_dispatch {
	struct lane *lanes;
	unsigned workers;
	struct channel *channels;
	unsigned channel_count;
	enum mdfh_shard shard;
	enum mdfh_full full;
	const atomic_bool *stop;
	uint32_t span; /* number of the span in hand */
};

/* Setup ----------------------------------------------------------------------------------- */

int mdfh_dispatch_create(const struct mdfh_dispatch_config *config, struct mdfh_dispatch **dispatch)
{
	struct mdfh_ring_config ring = {
	    .size = sizeof(ring),
	    .slots = (config->ring_bytes ? config->ring_bytes : RING_BYTES) / MDFH_RECORD_SLOT,
	    .slot_size = MDFH_RECORD_SLOT,
	    .hugepages = config->hugepages,
	};
	struct mdfh_dispatch *d;
	int err = 0;

	*dispatch = NULL;
	d = mdfh_lines_alloc(1, sizeof(*d));
	if (!d)
		return mdfh_error(-ENOMEM, "dispatch: out of memory");
	d->workers = config->workers;
	d->channel_count = config->channel_count;
	d->shard = config->shard;
	d->full = MDFH_FULL_WAIT;
	d->stop = config->stop;
	d->lanes = mdfh_lines_alloc(d->workers, sizeof(*d->lanes));
	d->channels = mdfh_lines_alloc(d->channel_count, sizeof(*d->channels));
	if (!d->lanes || !d->channels)
		err = mdfh_error(-ENOMEM, "dispatch: out of memory");
	for (unsigned i = 0; !err && i < d->channel_count; i++) {
		const struct mdfh_dispatch_channel *from = &config->channels[i];

		d->channels[i].framing = from->framing;
		d->channels[i].number = from->number;
		d->channels[i].worker = from->worker;
		d->channels[i].index = (uint16_t)from->index;
		if (d->shard == MDFH_SHARD_INSTRUMENT)
			err = mdfh_shard_key_create(from->protocol, &d->channels[i].key);
	}
	for (unsigned i = 0; !err && i < d->workers; i++) {
		d->lanes[i].losses =
		    mdfh_lines_alloc((size_t)d->channel_count * SESSIONS, sizeof(struct loss));
		d->lanes[i].told = mdfh_lines_alloc(d->channel_count, sizeof(uint64_t));
		if (!d->lanes[i].losses || !d->lanes[i].told)
			err = mdfh_error(-ENOMEM, "dispatch: out of memory");
		else
			err = mdfh_ring_create(&ring, &d->lanes[i].ring);
	}
	if (err) {
		mdfh_dispatch_destroy(d);
		return err;
	}
	*dispatch = d;
	return 0;
}

void mdfh_dispatch_destroy(struct mdfh_dispatch *d)
{
	if (!d)
		return;
	for (unsigned i = 0; d->lanes && i < d->workers; i++) {
		mdfh_ring_destroy(d->lanes[i].ring);
		free(d->lanes[i].losses);
		free(d->lanes[i].told);
	}
	for (unsigned i = 0; d->channels && i < d->channel_count; i++)
		mdfh_shard_key_destroy(&d->channels[i].key);
	free(d->channels);
	free(d->lanes);
	free(d);
}

void mdfh_dispatch_set_full(struct mdfh_dispatch *d, enum mdfh_full full)
{
	d->full = full;
}

/* Room ------------------------------------------------------------------------------------- */

static uint32_t slots_of(size_t bytes)
{
	return (uint32_t)((bytes + MDFH_RECORD_SLOT - 1) / MDFH_RECORD_SLOT);
}

static void publish(struct lane *lane)
{
	if (!lane->filled)
		return;
	mdfh_ring_commit(lane->ring, lane->filled);
	lane->filled = 0;
}

static uint32_t reserve(struct lane *lane, uint32_t need)
{
	void *slots;

	lane->room = mdfh_ring_reserve(lane->ring, need > ROOM_SLOTS ? need : ROOM_SLOTS, &slots);
	lane->at = slots;
	return lane->room;
}

/* 1 = need slots lie together from lane->at on. */
static int has_room(struct lane *lane, uint32_t need)
{
	const struct mdfh_ring *ring = lane->ring;
	uint32_t to_end;

	if (lane->room >= need)
		return 1;
	publish(lane);
	if (reserve(lane, need) >= need)
		return 1;
	to_end = ring->mask + 1 - ((uint32_t)mdfh_ring_own(&ring->producer->index) & ring->mask);
	if (to_end >= need || lane->room < to_end)
		return 0;
	*(struct mdfh_record *)(void *)lane->at =
	    (struct mdfh_record){.kind = MDFH_RECORD_PAD, .slots = to_end};
	mdfh_ring_commit(lane->ring, to_end);
	return reserve(lane, need) >= need;
}

/* The next record, which may become as long as need says, or NULL: the worker loses what was to stand
 * there. Waiting is for captures; the processor is given away. */
static struct mdfh_record *get(struct mdfh_dispatch *d, struct lane *lane, uint32_t need)
{
	int waited = 0;

	/* No record is longer than half a ring, or it might never find room. */
	if (need > (lane->ring->mask + 1) / 2)
		return NULL;
	while (!has_room(lane, need)) {
		if (d->full == MDFH_FULL_DROP ||
		    atomic_load_explicit(d->stop, memory_order_relaxed))
			return NULL;
		lane->counts.waits += !waited;
		waited = 1;
		sched_yield();
	}
	return (struct mdfh_record *)(void *)lane->at;
}

static void put(struct lane *lane, uint32_t slots)
{
	lane->newest = (struct mdfh_record *)(void *)lane->at;
	lane->newest->slots = slots;
	lane->at += (size_t)slots * MDFH_RECORD_SLOT;
	lane->room -= slots;
	lane->filled += slots;
}

static void describe(struct mdfh_record *record, const struct channel *channel,
    const struct mdfh_span *span, uint64_t first, uint64_t messages)
{
	*record = (struct mdfh_record){
	    .first = first,
	    .messages = messages,
	    .receive_ns = span->receive_ns,
	    .data_at = sizeof(*record),
	    .number = channel->number,
	    .index = channel->index,
	    .flags = span->flags,
	    .kind = span->kind,
	    .epoch = span->epoch,
	    .line = span->line,
	    .cause = span->cause,
	};
}

/* Losses ----------------------------------------------------------------------------------- */

/* A worker misses messages, or a marker, of a span. */
static void lose(struct mdfh_dispatch *d, struct lane *lane, struct channel *channel,
    const struct mdfh_span *span, uint64_t first, uint64_t messages)
{
	struct loss *loss = &lane->losses[(channel - d->channels) * SESSIONS];

	lane->dropping = 1;
	lane->refused = d->span;
	loss->receive_ns = span->receive_ns;
	if (span->kind == MDFH_SPAN_SESSION_BEGIN) {
		/* Of more sessions than there is room for, those in the middle are left out. */
		if (loss->any && !loss[1].any)
			loss[1] = *loss;
		*loss = (struct loss){.first = 1,
		    .receive_ns = span->receive_ns,
		    .begin = span->first,
		    .epoch = span->epoch,
		    .begun = 1,
		    .any = 1};
		return;
	}
	if (!loss->any)
		*loss = (struct loss){.first = 1, .receive_ns = span->receive_ns, .any = 1};
	loss->epoch = span->epoch;
	if (span->kind == MDFH_SPAN_SESSION_END) {
		loss->ended = 1;
		loss->end = span->first;
		return;
	}
	if (loss->last < loss->first)
		loss->first = first;
	loss->last = first + messages - 1;
	/* A gap's numbers were lost before they came here. */
	if (span->kind == MDFH_SPAN_DATA)
		lane->counts.dropped += messages;
}

/* The spans that tell of a loss, which is told thereby: 3 at most. */
static int tell(struct lane *lane, const struct mdfh_dispatch *d, unsigned channel,
    struct loss *loss, struct mdfh_span *spans)
{
	struct mdfh_span base = {
	    .receive_ns = loss->receive_ns,
	    .channel = d->channels[channel].number,
	    .epoch = loss->epoch,
	    .cause = MDFH_CAUSE_WORKER,
	};
	int n = 0;

	if (loss->begun) {
		spans[n] = base;
		spans[n].kind = MDFH_SPAN_SESSION_BEGIN;
		spans[n++].first = loss->begin;
	}
	if (loss->any && loss->last >= loss->first) {
		spans[n] = base;
		spans[n].kind = MDFH_SPAN_GAP;
		spans[n].first = loss->first;
		spans[n++].messages = loss->last - loss->first + 1;
		lane->counts.gaps++;
		lane->told[channel]++;
	}
	if (loss->ended) {
		spans[n] = base;
		spans[n].kind = MDFH_SPAN_SESSION_END;
		spans[n++].first = loss->end;
	}
	*loss = (struct loss){.first = 1};
	return n;
}

/* All that a lane owes of a channel, the older session first. */
static int owed(struct lane *lane, const struct mdfh_dispatch *d, unsigned channel,
    struct mdfh_span spans[MDFH_DISPATCH_OWED])
{
	struct loss *loss = &lane->losses[(size_t)channel * SESSIONS];
	int n;

	if (!loss->any)
		return 0;
	n = tell(lane, d, channel, &loss[1], spans);
	return n + tell(lane, d, channel, &loss[0], spans + n);
}

int mdfh_dispatch_owed(struct mdfh_dispatch *d, unsigned worker, unsigned channel,
    struct mdfh_span spans[MDFH_DISPATCH_OWED], unsigned *index)
{
	*index = d->channels[channel].index;
	return owed(&d->lanes[worker], d, channel, spans);
}

int mdfh_dispatch_is_copy(const struct mdfh_dispatch *d, unsigned worker, unsigned kind)
{
	return d->shard == MDFH_SHARD_INSTRUMENT && worker && kind != MDFH_SPAN_GAP;
}

/* Once there is room again, and enough to be worth going on, tell what was missed. 1 = go on. */
static __attribute__((noinline)) int resume(struct mdfh_dispatch *d, struct lane *lane)
{
	uint32_t capacity = lane->ring->mask + 1;
	uint32_t told = d->channel_count * MDFH_DISPATCH_OWED;
	uint32_t used = mdfh_ring_used(lane->ring) + lane->filled;

	static_assert(2 * MDFH_HANDLER_CHANNELS_MAX * MDFH_DISPATCH_OWED <=
			  MDFH_DISPATCH_RING_LEAST / MDFH_RECORD_SLOT,
	    "an empty ring is room enough");
	/* One number of a span is refused once, however many messages it has. */
	if (lane->refused == d->span && d->full == MDFH_FULL_DROP)
		return 0;
	lane->refused = d->span;
	if (capacity - used < capacity / 8 || capacity - used < 2 * told)
		return 0;
	for (unsigned c = 0; c < d->channel_count; c++) {
		struct mdfh_span spans[MDFH_DISPATCH_OWED];
		int n = owed(lane, d, c, spans);

		for (int i = 0; i < n; i++) {
			struct mdfh_record *record = get(d, lane, 1);

			if (!record) /* cannot be: there was room for all of them */
				return 0;
			describe(
			    record, &d->channels[c], &spans[i], spans[i].first, spans[i].messages);
			record->is_copy = (uint8_t)mdfh_dispatch_is_copy(
			    d, (unsigned)(lane - d->lanes), spans[i].kind);
			put(lane, 1);
		}
	}
	lane->dropping = 0;
	return 1;
}

/* Data path -------------------------------------------------------------------------------- */

/* Whole: a span of a channel that one worker has, or what is for all of them. 0 = lost. */
static int put_whole(struct mdfh_dispatch *d, struct lane *lane, struct channel *channel,
    const struct mdfh_span *span, const uint8_t *data, uint32_t length, uint64_t first,
    uint64_t messages, int copy)
{
	struct mdfh_record *record = NULL;
	uint32_t slots = slots_of(sizeof(*record) + length);

	if (!lane->dropping || resume(d, lane))
		record = get(d, lane, slots);
	if (!record) {
		lose(d, lane, channel, span, first, messages);
		return 0;
	}
	describe(record, channel, span, first, messages);
	record->is_copy = (uint8_t)copy;
	record->length = length;
	if (length)
		memcpy((uint8_t *)record + sizeof(*record), data, length);
	put(lane, slots);
	if (span->kind == MDFH_SPAN_DATA)
		lane->counts.messages += messages;
	return 1;
}

static void close_record(struct lane *lane)
{
	struct mdfh_record *record = lane->open;

	if (!record)
		return;
	record->length = (uint32_t)(lane->data - ((uint8_t *)record + record->data_at));
	lane->counts.messages += record->messages;
	put(lane, slots_of(record->data_at + record->length));
	lane->open = NULL;
	if (lane->filled >= PUBLISH_SLOTS)
		publish(lane);
}

/* A record for messages of a span from number index on, of which left bytes are left. */
static __attribute__((noinline)) int open_record(struct mdfh_dispatch *d, struct lane *lane,
    const struct channel *channel, const struct mdfh_span *span, uint64_t index, uint32_t left,
    uint32_t used)
{
	uint64_t messages = span->messages - index;
	uint32_t bytes = left < RECORD_BYTES ? left : RECORD_BYTES;
	struct mdfh_record *record;
	size_t data_at;

	close_record(lane);
	if (lane->dropping && !resume(d, lane))
		return 0;
	if (messages > RECORD_MESSAGES)
		messages = RECORD_MESSAGES;
	if (bytes < used)
		bytes = used;
	data_at = sizeof(*record) + messages * sizeof(*lane->numbers);
	record = get(d, lane, slots_of(data_at + bytes + COPY));
	if (!record)
		return 0;
	describe(record, channel, span, span->first + index, 0);
	record->is_scattered = 1;
	record->data_at = (uint32_t)data_at;
	lane->open = record;
	lane->numbers = (uint16_t *)(void *)(record + 1);
	lane->data = (uint8_t *)record + data_at;
	lane->data_end = lane->data + bytes;
	return 1;
}

/* What names no instrument: to all, in its place. */
static __attribute__((noinline)) void broadcast(struct mdfh_dispatch *d, struct channel *channel,
    const struct mdfh_span *span, const uint8_t *data, uint32_t length, uint64_t first,
    uint64_t messages)
{
	int lost = 0;

	for (unsigned i = 0; i < d->workers; i++) {
		close_record(&d->lanes[i]);
		lost |= !put_whole(
		    d, &d->lanes[i], channel, span, data, length, first, messages, i > 0);
	}
	if (lost && span->kind == MDFH_SPAN_DATA)
		channel->lost += messages;
}

/* Message by message. framing is a constant in each place that calls this. */
static inline __attribute__((always_inline)) void scatter(struct mdfh_dispatch *d,
    struct channel *channel, const struct mdfh_span *span, enum mdfh_framing framing)
{
	const uint8_t *at = span->data;
	uint32_t left = span->length;
	uint64_t index = 0;

	for (; index < span->messages; index++) {
		const uint8_t *message;
		uint32_t length;
		uint32_t used = mdfh_framing_next(framing, at, left, &message, &length);
		struct lane *lane;
		uint64_t key;

		if (!used)
			break;
		key = mdfh_shard_key_of(&channel->key, message, length);
		lane = &d->lanes[mdfh_shard_of(key, d->workers)];
		if (__builtin_expect(!key, 0)) {
			broadcast(d, channel, span, at, used, span->first + index, 1);
		} else if (__builtin_expect(
			       !lane->open || lane->data + used > lane->data_end ||
				   lane->open->messages == RECORD_MESSAGES ||
				   index - (lane->open->first - span->first) > UINT16_MAX,
			       0) &&
			   !open_record(d, lane, channel, span, index, left, used)) {
			lose(d, lane, channel, span, span->first + index, 1);
			channel->lost++;
		} else {
			lane->numbers[lane->open->messages++] =
			    (uint16_t)(span->first + index - lane->open->first);
			/* The room has COPY bytes more, so that short messages are a few moves. */
			if (used <= COPY && left >= COPY)
				memcpy(lane->data, at, COPY);
			else
				memcpy(lane->data, at, used);
			lane->data += used;
		}
		at += used;
		left -= used;
	}
	for (unsigned i = 0; i < d->workers; i++)
		close_record(&d->lanes[i]);
	if (__builtin_expect(index < span->messages, 0)) {
		/* Fewer than the span says, which a channel sees to that it cannot be. */
		struct mdfh_span rest = *span;

		rest.kind = MDFH_SPAN_GAP;
		rest.cause = MDFH_CAUSE_MALFORMED;
		broadcast(d, channel, &rest, NULL, 0, span->first + index, span->messages - index);
	}
}

void mdfh_dispatch_span(struct mdfh_dispatch *d, unsigned index, const struct mdfh_span *span)
{
	struct channel *channel = &d->channels[index];

	d->span++;
	if (d->shard == MDFH_SHARD_CHANNEL) {
		struct lane *lane = &d->lanes[channel->worker];

		if (!put_whole(d, lane, channel, span, span->data,
			span->kind == MDFH_SPAN_DATA ? span->length : 0, span->first,
			span->messages, 0) &&
		    span->kind == MDFH_SPAN_DATA)
			channel->lost += span->messages;
		else if (lane->filled >= PUBLISH_SLOTS)
			publish(lane);
	} else if (span->kind != MDFH_SPAN_DATA) {
		broadcast(d, channel, span, NULL, 0, span->first, span->messages);
	} else if (channel->framing == MDFH_FRAMING_LENGTH_BE16) {
		scatter(d, channel, span, MDFH_FRAMING_LENGTH_BE16);
	} else {
		scatter(d, channel, span, channel->framing);
	}
}

void mdfh_dispatch_commit(struct mdfh_dispatch *d, int sampling)
{
	uint64_t ticks = sampling ? mdfh_clock_ticks() : 0;

	for (unsigned i = 0; i < d->workers; i++) {
		if (sampling && d->lanes[i].filled)
			d->lanes[i].newest->ticks = ticks;
		publish(&d->lanes[i]);
	}
}

void mdfh_dispatch_tell(struct mdfh_dispatch *d)
{
	d->span++; /* what refused the newest span may be gone */
	for (unsigned i = 0; i < d->workers; i++)
		if (d->lanes[i].dropping)
			(void)resume(d, &d->lanes[i]);
}

/* Reports ---------------------------------------------------------------------------------- */

unsigned mdfh_dispatch_workers(const struct mdfh_dispatch *d)
{
	return d->workers;
}

unsigned mdfh_dispatch_channels(const struct mdfh_dispatch *d)
{
	return d->channel_count;
}

struct mdfh_ring *mdfh_dispatch_ring(struct mdfh_dispatch *d, unsigned worker)
{
	return d->lanes[worker].ring;
}

const struct mdfh_dispatch_counts *mdfh_dispatch_counts(
    const struct mdfh_dispatch *d, unsigned worker)
{
	return &d->lanes[worker].counts;
}

void mdfh_dispatch_lost(
    const struct mdfh_dispatch *d, unsigned channel, struct mdfh_dispatch_lost *lost)
{
	*lost = (struct mdfh_dispatch_lost){.messages = d->channels[channel].lost};
	for (unsigned i = 0; i < d->workers; i++)
		lost->gaps += d->lanes[i].told[channel];
}
