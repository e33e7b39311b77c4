/* fuzz_dispatch.c - any messages on their way into the rings of workers, read now and then.
 *
 * The input is a script: messages of a type, an instrument and a length are collected, go out as a
 * span, maybe many times over; sessions begin and end; workers read, or do not. Each worker has the
 * numbers in order and each of its messages once, byte for byte, or is told of a gap that holds it;
 * what was not handed over was counted as dropped. */
#include "fuzz.h"

#include <stdatomic.h>

#include "core/bytes.h"
#include "handler/dispatch.h"
#include "handler/shard_key.h"
#include "mdfh/event.h"
#include "mdfh/schema.h"

enum { WORKERS_MAX = 3, SPAN_BYTES = 4096 };

struct worker {
	uint64_t next; /* number behind the newest of data or gap */
	uint8_t epoch;
	int begun;
	uint64_t messages; /* read as data */
};

struct script {
	struct mdfh_dispatch *dispatch;
	unsigned workers;
	enum mdfh_shard shard;
	uint64_t next;
	uint8_t epoch;
	uint64_t given[WORKERS_MAX]; /* messages for this worker */
	struct worker worker[WORKERS_MAX];
	uint8_t bytes[SPAN_BYTES];
	uint32_t length, messages;
};

static atomic_bool never;

/* Who is to have a message: -1 = all. Read off the schema. */
static int owner_of(const struct script *s, const uint8_t *message, uint32_t length)
{
	const struct mdfh_schema *schema = mdfh_schema_find("itch50");
	uint16_t locate;

	if (s->shard == MDFH_SHARD_CHANNEL)
		return 0;
	if (length < 3 || !mdfh_schema_message(schema, message[0]))
		return -1;
	locate = mdfh_load_be16(message + 1);
	return locate ? (int)mdfh_shard_of(locate, s->workers) : -1;
}

/* The byte of a message at that place: of its number and its place. */
static uint8_t byte_at(uint64_t number, uint32_t at)
{
	return (uint8_t)(number * 31 + at * 7);
}

/* The receive thread --------------------------------------------------------------------- */

static void collect(struct script *s, const uint8_t *from)
{
	static const uint8_t types[8] = {'A', 'D', 'E', 'S', 'R', 0, 'z', 'P'};
	static const uint16_t lengths[8] = {19, 36, 0, 1, 2, 3, 62, 300};
	uint32_t length = from[1] & 8 ? from[2] * 3u : lengths[from[1] & 7];
	uint8_t *at = s->bytes + s->length;
	uint64_t number = s->next + s->messages;

	if (s->length + length + 2 > sizeof(s->bytes))
		return;
	mdfh_store_be16(at, (uint16_t)length);
	for (uint32_t i = 0; i < length; i++)
		at[2 + i] = byte_at(number, i);
	if (length > 0)
		at[2] = types[from[1] >> 4 & 7];
	if (length > 1)
		at[3] = 0;
	if (length > 2)
		at[4] = from[2] & 15;
	s->length += length + 2;
	s->messages++;
}

/* The span again, with the bytes of other numbers. */
static void renumber(struct script *s)
{
	uint8_t *at = s->bytes;

	for (uint32_t n = 0; n < s->messages; n++) {
		uint32_t length = mdfh_load_be16(at);

		for (uint32_t i = 3; i < length; i++)
			at[2 + i] = byte_at(s->next + n, i);
		at += length + 2;
	}
}

static void count_given(struct script *s)
{
	const uint8_t *at = s->bytes;

	for (uint32_t n = 0; n < s->messages; n++) {
		uint32_t length = mdfh_load_be16(at);
		int owner = owner_of(s, at + 2, length);

		for (unsigned w = 0; w < s->workers; w++)
			s->given[w] += owner < 0 || owner == (int)w;
		at += length + 2;
	}
}

static void give(struct script *s, uint8_t kind, uint64_t messages)
{
	const struct mdfh_span span = {.kind = kind,
	    .first = s->next,
	    .messages = messages,
	    .epoch = s->epoch,
	    .data = kind == MDFH_SPAN_DATA ? s->bytes : NULL,
	    .length = kind == MDFH_SPAN_DATA ? s->length : 0,
	    .cause = kind == MDFH_SPAN_GAP ? MDFH_CAUSE_UPSTREAM : MDFH_CAUSE_NONE};

	mdfh_dispatch_span(s->dispatch, 0, &span);
	mdfh_dispatch_commit(s->dispatch, 0);
	s->next += messages;
}

static void give_messages(struct script *s, unsigned times)
{
	for (; s->messages && times; times--) {
		renumber(s);
		count_given(s);
		give(s, MDFH_SPAN_DATA, s->messages);
	}
	s->length = s->messages = 0;
}

static void begin_session(struct script *s, uint64_t first)
{
	s->epoch++;
	s->next = first;
	give(s, MDFH_SPAN_SESSION_BEGIN, 0);
}

/* A worker ----------------------------------------------------------------------------------- */

static void take_marker(struct script *s, unsigned w, const struct mdfh_span *span)
{
	struct worker *worker = &s->worker[w];

	if (span->kind == MDFH_SPAN_SESSION_BEGIN) {
		REQUIRE(!worker->begun || (uint8_t)(span->epoch - worker->epoch) < 128);
		worker->begun = 1;
		worker->epoch = span->epoch;
		worker->next = span->first;
		return;
	}
	REQUIRE(worker->begun && span->epoch == worker->epoch);
	/* Who is alone has every number. */
	REQUIRE(s->workers == 1 ? span->first == worker->next : span->first >= worker->next);
	if (span->kind == MDFH_SPAN_SESSION_END)
		return;
	REQUIRE(span->kind == MDFH_SPAN_GAP && span->messages > 0);
	worker->next = span->first + span->messages;
}

static void take_data(struct script *s, unsigned w, const struct mdfh_record *record)
{
	struct worker *worker = &s->worker[w];
	const uint16_t *numbers = (const void *)(record + 1);
	const uint8_t *at = (const uint8_t *)record + record->data_at;
	uint32_t left = record->length;

	REQUIRE(record->data_at + record->length <= record->slots * (uint32_t)MDFH_RECORD_SLOT);
	REQUIRE(worker->begun && record->epoch == worker->epoch);
	for (uint64_t i = 0; i < record->messages; i++) {
		uint64_t number = record->first + (record->is_scattered ? numbers[i] : i);
		const uint8_t *message;
		uint32_t length, step;
		int owner;

		step = mdfh_framing_next(MDFH_FRAMING_LENGTH_BE16, at, left, &message, &length);
		REQUIRE(step);
		REQUIRE(s->workers == 1 ? number == worker->next : number >= worker->next);
		owner = owner_of(s, message, length);
		REQUIRE(owner < 0 || owner == (int)w);
		REQUIRE(owner >= 0 || record->is_copy == (w > 0));
		for (uint32_t k = 3; k < length; k++)
			REQUIRE(message[k] == byte_at(number, k));
		worker->next = number + 1;
		worker->messages++;
		at += step;
		left -= step;
	}
	REQUIRE(left == 0);
}

static void work(struct script *s, unsigned w, uint32_t most)
{
	struct mdfh_ring *ring = mdfh_dispatch_ring(s->dispatch, w);
	const struct mdfh_record *record;
	const void *slots;

	for (; most && mdfh_ring_peek(ring, 1, &slots); most--) {
		record = slots;
		REQUIRE(record->slots >= 1 && record->slots <= mdfh_ring_capacity(ring));
		REQUIRE(mdfh_ring_peek(ring, record->slots, &slots) == record->slots);
		if (record->kind == MDFH_SPAN_DATA) {
			take_data(s, w, record);
		} else if (record->kind != MDFH_RECORD_PAD) {
			const struct mdfh_span span = {.kind = record->kind,
			    .first = record->first,
			    .messages = record->messages,
			    .epoch = record->epoch};

			take_marker(s, w, &span);
		}
		mdfh_ring_release(ring, record->slots);
	}
}

static void finish(struct script *s)
{
	for (unsigned w = 0; w < s->workers; w++) {
		const struct mdfh_dispatch_counts *counts = mdfh_dispatch_counts(s->dispatch, w);
		struct mdfh_span spans[MDFH_DISPATCH_OWED];
		unsigned index;
		int n;

		work(s, w, UINT32_MAX);
		n = mdfh_dispatch_owed(s->dispatch, w, 0, spans, &index);
		REQUIRE(n >= 0 && n <= MDFH_DISPATCH_OWED && index == 0);
		for (int i = 0; i < n; i++)
			take_marker(s, w, &spans[i]);
		REQUIRE(!mdfh_dispatch_owed(s->dispatch, w, 0, spans, &index));
		REQUIRE(s->worker[w].epoch == s->epoch);
		REQUIRE(
		    s->workers == 1 ? s->worker[w].next == s->next : s->worker[w].next <= s->next);
		REQUIRE(counts->messages == s->worker[w].messages);
		REQUIRE(counts->messages + counts->dropped == s->given[w]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct mdfh_dispatch_channel channel = {
	    .protocol = "itch50", .framing = MDFH_FRAMING_LENGTH_BE16};
	struct mdfh_dispatch_config config = {.channels = &channel,
	    .channel_count = 1,
	    .ring_bytes = MDFH_DISPATCH_RING_LEAST,
	    .hugepages = MDFH_OFF,
	    .stop = &never};
	static struct script s;

	if (size < 1)
		return 0;
	memset(&s, 0, offsetof(struct script, bytes));
	s.length = s.messages = 0;
	s.shard = data[0] & 1 ? MDFH_SHARD_CHANNEL : MDFH_SHARD_INSTRUMENT;
	s.workers = s.shard == MDFH_SHARD_CHANNEL ? 1 : 1 + (data[0] >> 1) % WORKERS_MAX;
	config.workers = s.workers;
	config.shard = s.shard;
	REQUIRE(!mdfh_dispatch_create(&config, &s.dispatch));
	mdfh_dispatch_set_full(s.dispatch, MDFH_FULL_DROP);
	begin_session(&s, 1);
	for (data++, size--; size >= 3; data += 3, size -= 3) {
		switch (data[0] & 7) {
		case 0:
			give_messages(&s, 1 + data[1]);
			break;
		case 1:
			give_messages(&s, 1);
			break;
		case 2:
			work(&s, data[1] % s.workers, 1 + data[2]);
			break;
		case 3:
			give_messages(&s, 1);
			if (data[1] & 4)
				give(&s, MDFH_SPAN_GAP, 1 + data[2]);
			if (data[1] & 1)
				give(&s, MDFH_SPAN_SESSION_END, 0);
			if (data[1] & 3)
				begin_session(&s, 1 + data[2]);
			if (data[1] & 8) {
				mdfh_dispatch_tell(s.dispatch);
				mdfh_dispatch_commit(s.dispatch, 0);
			}
			break;
		default:
			collect(&s, data);
			break;
		}
	}
	give_messages(&s, 1);
	finish(&s);
	mdfh_dispatch_destroy(s.dispatch);
	return 0;
}
