/* stream.h - a day generated ahead of its use by a thread of its own.
 *
 * The sender must never wait for the generator, so the whole day, or as much of it as may lie
 * ready, is made before the first message goes out. Messages stand with their length before them
 * (u16 big-endian): the blocks of MoldUDP64 and the records of BinaryFILE.
 *
 * Threads: one thread calls these; the generator is inside. */
#ifndef MDFH_SIM_STREAM_H
#define MDFH_SIM_STREAM_H

#include "sim/day.h"

struct mdfh_stream;

/* ahead_bytes: how much may lie ready; 0 = 1 GiB, some 30 million messages. */
int mdfh_stream_start(
    const struct mdfh_day_config *config, uint64_t ahead_bytes, struct mdfh_stream **stream);

/* Ends the generator, whether it was done or not. NULL is allowed. */
void mdfh_stream_stop(struct mdfh_stream *stream);

/* Wait up to timeout_ms until as much as may lie ready does. 1 = it does, 0 = not yet. */
int mdfh_stream_wait_ready(struct mdfh_stream *stream, unsigned timeout_ms);

/* Messages made so far. */
uint64_t mdfh_stream_made(struct mdfh_stream *stream);

/* The next message with its length before it; valid until the next call. Waits if the generator
 * has fallen behind. Returns the length of both together, 0 at the end of the day, -ENOMEM. */
int mdfh_stream_next_wait(struct mdfh_stream *stream, const uint8_t **framed);

/* What holds for the message that was returned last. */
const struct mdfh_day_mark *mdfh_stream_mark(const struct mdfh_stream *stream);

/* The day itself, once next_wait has returned 0: its books are final. */
const struct mdfh_day *mdfh_stream_day(const struct mdfh_stream *stream);

#endif
