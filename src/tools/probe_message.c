/* probe_message.c - making and checking the test tools' message. */
#include "tools/probe_message.h"

#include <string.h>

#include "core/bytes.h"

#define PROBE_MAGIC 0x6d646668u /* "mdfh" */
#define ODD         0x9E3779B97F4A7C15u

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
	x = (x ^ x >> 27) * 0x94D049BB133111EBu;
	return x ^ x >> 31;
}

/* Over the fields before the check, one after the other, so that none can stand in for another. */
static uint64_t check_of(const uint8_t *at)
{
	uint64_t sum = ODD;

	for (int field = 0; field < 40; field += 8)
		sum = mix(sum + mdfh_load_be64(at + field)) + ODD;
	return sum;
}

static uint64_t filling_of(const struct probe_message *message)
{
	return mix(message->run + message->sequence * ODD);
}

void probe_message_write(const struct probe_message *message, uint8_t *at)
{
	uint64_t filling = filling_of(message);
	uint32_t from = PROBE_HEADER;

	mdfh_store_be32(at, PROBE_MAGIC);
	mdfh_store_be16(at + 4, message->length);
	mdfh_store_be16(at + 6, message->flags);
	mdfh_store_be64(at + 8, message->run);
	mdfh_store_be64(at + 16, message->sequence);
	mdfh_store_be64(at + 24, message->due_ns);
	probe_message_stamp(at, message->sent_ns);
	for (; from + 8 <= message->length; from += 8, filling += ODD)
		mdfh_store_be64(at + from, filling);
	for (; from < message->length; from++)
		at[from] = (uint8_t)filling;
}

void probe_message_stamp(uint8_t *at, uint64_t sent_ns)
{
	mdfh_store_be64(at + 32, sent_ns);
	mdfh_store_be64(at + 40, check_of(at));
}

static int is_filled(const struct probe_message *message, const uint8_t *at)
{
	uint64_t filling = filling_of(message);
	uint64_t wrong = 0;
	uint32_t from = PROBE_HEADER;

	for (; from + 8 <= message->length; from += 8, filling += ODD)
		wrong |= mdfh_load_be64(at + from) ^ filling;
	for (; from < message->length; from++)
		wrong |= (uint64_t)(at[from] ^ (uint8_t)filling);
	return !wrong;
}

enum probe_verdict probe_message_read(
    const uint8_t *at, uint32_t size, struct probe_message *message)
{
	uint16_t length;

	memset(message, 0, sizeof(*message));
	if (size < PROBE_HEADER)
		return PROBE_SHORT;
	length = mdfh_load_be16(at + 4);
	if (mdfh_load_be32(at) != PROBE_MAGIC || length < PROBE_HEADER ||
	    length > PROBE_MESSAGE_MAX)
		return PROBE_FOREIGN;
	message->length = length;
	if (length > size)
		return PROBE_SHORT;
	message->flags = mdfh_load_be16(at + 6);
	message->run = mdfh_load_be64(at + 8);
	message->sequence = mdfh_load_be64(at + 16);
	message->due_ns = mdfh_load_be64(at + 24);
	message->sent_ns = mdfh_load_be64(at + 32);
	if (mdfh_load_be64(at + 40) != check_of(at) || !is_filled(message, at))
		return PROBE_DAMAGED;
	return PROBE_SOUND;
}

/* Bring the message that has begun nearer to its end. */
static enum probe_verdict complete(
    struct probe_stream *stream, const uint8_t **at, uint32_t *left, struct probe_message *message)
{
	uint32_t want = PROBE_HEADER;

	if (stream->partial_length >= PROBE_HEADER)
		want = mdfh_load_be16(stream->partial + 4);
	want -= stream->partial_length;
	if (want > *left)
		want = *left;
	memcpy(stream->partial + stream->partial_length, *at, want);
	stream->partial_length += want;
	*at += want;
	*left -= want;
	return probe_message_read(stream->partial, stream->partial_length, message);
}

int probe_stream_next(struct probe_stream *stream, const uint8_t **at, uint32_t *left,
    struct probe_message *message, enum probe_verdict *verdict)
{
	while (*left && !stream->is_out_of_step) {
		if (stream->partial_length) {
			*verdict = complete(stream, at, left, message);
			if (*verdict == PROBE_SHORT)
				continue;
			stream->partial_length = 0;
		} else {
			*verdict = probe_message_read(*at, *left, message);
			if (*verdict == PROBE_SHORT) { /* so there are fewer than a message has */
				memcpy(stream->partial, *at, *left);
				stream->partial_length = *left;
				*at += *left;
				*left = 0;
				return 0;
			}
			*at += message->length;
			*left -= message->length;
		}
		stream->is_out_of_step = *verdict == PROBE_FOREIGN;
		return 1;
	}
	return 0;
}
