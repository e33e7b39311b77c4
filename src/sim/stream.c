/* stream.c - chunks of messages passed from the generator thread to the caller.
 *
 * The two meet once in 256 KiB, so a lock and two conditions are cheap enough. Chunks that were
 * read go back to the generator: memory is neither taken nor given back while messages go out. */
#include "sim/stream.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "mdfh/error.h"

enum { CHUNK_BYTES = 256 * 1024, FRAMED_MAX = MDFH_DAY_MESSAGE_MAX + 2, CHUNK_MARKS = 16 };

struct chunk {
	struct chunk *next;
	uint32_t length;
	uint32_t marks_count;
	struct {
		uint32_t offset; /* from here on */
		struct mdfh_day_mark mark;
	} marks[CHUNK_MARKS];
	uint8_t bytes[CHUNK_BYTES];
};

struct mdfh_stream {
	struct mdfh_day *day;
	pthread_t thread;
	uint64_t chunks_max;

	/* The caller's. */
	struct chunk *current;
	uint32_t offset;
	uint32_t mark_at; /* which of the current chunk's holds */

	/* Both sides', under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t filled; /* a chunk more, or the end */
	pthread_cond_t freed;  /* a chunk less, or a request to stop */
	struct chunk *first;
	struct chunk *last;
	struct chunk *spare;
	uint64_t chunks;
	uint64_t made;
	int result; /* 1 = going on, 0 = the day is complete, negative: error */
	int is_stopped;
	char reason[256]; /* of a negative result: the sentence belongs to the other thread */
};

/* Generator thread --------------------------------------------------------- */

/* Note what holds from here on, if it is something new. */
static void note_mark(struct chunk *chunk, const struct mdfh_day_mark *mark)
{
	const struct mdfh_day_mark *last;

	if (chunk->marks_count) {
		last = &chunk->marks[chunk->marks_count - 1].mark;
		if (last->faults == mark->faults && last->is_burst == mark->is_burst &&
		    last->pace == mark->pace)
			return;
	}
	chunk->marks[chunk->marks_count].offset = chunk->length;
	chunk->marks[chunk->marks_count++].mark = *mark;
}

/* Fill a chunk; returns what the day returned last: its length, 0 or an error. */
static int fill(struct mdfh_stream *stream, struct chunk *chunk, uint64_t *messages)
{
	int length = 1;

	chunk->next = NULL;
	chunk->length = 0;
	chunk->marks_count = 0;
	*messages = 0;
	while (length > 0 && chunk->length + FRAMED_MAX <= CHUNK_BYTES &&
	       chunk->marks_count < CHUNK_MARKS) {
		uint8_t *at = chunk->bytes + chunk->length;

		length = mdfh_day_next(stream->day, at + 2);
		if (length <= 0)
			break;
		at[0] = 0;
		at[1] = (uint8_t)length;
		note_mark(chunk, mdfh_day_mark(stream->day));
		chunk->length += (uint32_t)length + 2;
		++*messages;
	}
	return length;
}

/* A chunk to fill, once there may be one more. NULL: stopped, or no memory. */
static struct chunk *take_spare(struct mdfh_stream *stream)
{
	struct chunk *chunk;

	while (stream->chunks >= stream->chunks_max && !stream->is_stopped)
		pthread_cond_wait(&stream->freed, &stream->lock);
	if (stream->is_stopped)
		return NULL;
	chunk = stream->spare;
	if (chunk)
		stream->spare = chunk->next;
	else
		chunk = malloc(sizeof(*chunk));
	if (!chunk) {
		stream->result = -ENOMEM;
		snprintf(stream->reason, sizeof(stream->reason), "stream: %zu bytes more",
		    sizeof(*chunk));
	}
	return chunk;
}

static void *generate(void *context)
{
	struct mdfh_stream *stream = context;
	int result = 1;

	pthread_mutex_lock(&stream->lock);
	while (result > 0) {
		struct chunk *chunk = take_spare(stream);
		uint64_t messages;

		if (!chunk)
			break;
		pthread_mutex_unlock(&stream->lock);
		result = fill(stream, chunk, &messages);
		pthread_mutex_lock(&stream->lock);

		if (stream->last)
			stream->last->next = chunk;
		else
			stream->first = chunk;
		stream->last = chunk;
		stream->chunks++;
		stream->made += messages;
		stream->result = result > 0 ? 1 : result;
		if (result < 0)
			snprintf(stream->reason, sizeof(stream->reason), "%s", mdfh_error_text());
		pthread_cond_signal(&stream->filled);
	}
	pthread_cond_signal(&stream->filled);
	pthread_mutex_unlock(&stream->lock);
	return NULL;
}

/* Caller -------------------------------------------------------------------- */

int mdfh_stream_start(
    const struct mdfh_day_config *config, uint64_t ahead_bytes, struct mdfh_stream **out)
{
	struct mdfh_stream *stream = calloc(1, sizeof(*stream));
	int err;

	*out = NULL;
	if (!stream)
		return mdfh_error(-ENOMEM, "stream: %zu bytes", sizeof(*stream));
	err = mdfh_day_create(config, &stream->day);
	if (err)
		goto fail_free;
	if (!ahead_bytes)
		ahead_bytes = 1ull << 30;
	stream->chunks_max = ahead_bytes / CHUNK_BYTES + 1;
	stream->result = 1;
	pthread_mutex_init(&stream->lock, NULL);
	pthread_cond_init(&stream->filled, NULL);
	pthread_cond_init(&stream->freed, NULL);
	err = pthread_create(&stream->thread, NULL, generate, stream);
	if (err) {
		err = mdfh_error_errno(-err, "stream: thread");
		goto fail_day;
	}
	*out = stream;
	return 0;

fail_day:
	mdfh_day_destroy(stream->day);
fail_free:
	free(stream);
	return err;
}

static void free_chunks(struct chunk *chunk)
{
	while (chunk) {
		struct chunk *next = chunk->next;

		free(chunk);
		chunk = next;
	}
}

void mdfh_stream_stop(struct mdfh_stream *stream)
{
	if (!stream)
		return;
	pthread_mutex_lock(&stream->lock);
	stream->is_stopped = 1;
	pthread_cond_signal(&stream->freed);
	pthread_mutex_unlock(&stream->lock);
	pthread_join(stream->thread, NULL);
	pthread_cond_destroy(&stream->freed);
	pthread_cond_destroy(&stream->filled);
	pthread_mutex_destroy(&stream->lock);
	free_chunks(stream->first);
	free_chunks(stream->spare);
	free(stream->current);
	mdfh_day_destroy(stream->day);
	free(stream);
}

int mdfh_stream_wait_ready(struct mdfh_stream *stream, unsigned timeout_ms)
{
	struct timespec until;
	int is_ready;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&stream->lock);
	do {
		is_ready = stream->result <= 0 || stream->chunks >= stream->chunks_max;
	} while (!is_ready &&
		 pthread_cond_timedwait(&stream->filled, &stream->lock, &until) != ETIMEDOUT);
	pthread_mutex_unlock(&stream->lock);
	return is_ready;
}

uint64_t mdfh_stream_made(struct mdfh_stream *stream)
{
	uint64_t made;

	pthread_mutex_lock(&stream->lock);
	made = stream->made;
	pthread_mutex_unlock(&stream->lock);
	return made;
}

/* Give back the chunk that was read and take the next. 1, or 0 at the end, or an error. */
static int next_chunk(struct mdfh_stream *stream)
{
	int result = 1;

	pthread_mutex_lock(&stream->lock);
	if (stream->current) {
		stream->current->next = stream->spare;
		stream->spare = stream->current;
		stream->current = NULL;
	}
	while (!stream->first && stream->result > 0)
		pthread_cond_wait(&stream->filled, &stream->lock);
	if (stream->first) {
		stream->current = stream->first;
		stream->first = stream->first->next;
		if (!stream->first)
			stream->last = NULL;
		stream->chunks--;
		stream->offset = 0;
		stream->mark_at = 0;
		pthread_cond_signal(&stream->freed);
	} else if (stream->result < 0) {
		result = mdfh_error(stream->result, "%s", stream->reason);
	} else {
		result = 0;
	}
	pthread_mutex_unlock(&stream->lock);
	return result;
}

int mdfh_stream_next_wait(struct mdfh_stream *stream, const uint8_t **framed)
{
	uint32_t length;

	while (!stream->current || stream->offset == stream->current->length) {
		int result = next_chunk(stream);

		if (result <= 0)
			return result;
	}
	while (stream->mark_at + 1 < stream->current->marks_count &&
	       stream->current->marks[stream->mark_at + 1].offset <= stream->offset)
		stream->mark_at++;
	*framed = stream->current->bytes + stream->offset;
	length = (*framed)[1] + 2u; /* no message is longer than 255 bytes */
	stream->offset += length;
	return (int)length;
}

const struct mdfh_day_mark *mdfh_stream_mark(const struct mdfh_stream *stream)
{
	return &stream->current->marks[stream->mark_at].mark;
}

const struct mdfh_day *mdfh_stream_day(const struct mdfh_stream *stream)
{
	return stream->day;
}
