/* probe_message.h - the message that the test tools send and look for.
 *
 * It says which run it belongs to, its number in it, when it was due and when it was handed over,
 * and every byte after that follows from run and number: a receiver can tell what is missing,
 * doubled, late or damaged without asking the sender. Messages stand one behind the other, in a
 * packet or in a stream.
 *
 *    0  magic     u32      24  due_ns    u64   when the schedule wanted it sent
 *    4  length    u16      32  sent_ns   u64   just before the send call
 *    6  flags     u16      40  check     u64   over all before
 *    8  run       u64      48  filling   to the message's length
 *   16  sequence  u64      all big-endian */
#ifndef MDFH_TOOLS_PROBE_MESSAGE_H
#define MDFH_TOOLS_PROBE_MESSAGE_H

#include <stdint.h>

enum {
	PROBE_HEADER = 48, /* also the shortest message */
	PROBE_MESSAGE_MAX = 8972,
	PROBE_PAYLOAD = 1472, /* of a packet, unless one message is longer */
};

enum probe_flag {
	PROBE_END = 1 << 0, /* no message, but the end of the run; sequence = that after the last */
};

struct probe_message {
	uint64_t run;
	uint64_t sequence; /* from 1 */
	uint64_t due_ns;
	uint64_t sent_ns;
	uint16_t length;
	uint16_t flags;
};

enum probe_verdict {
	PROBE_SOUND = 0,
	PROBE_SHORT = 1,   /* the bytes end before the message does */
	PROBE_FOREIGN = 2, /* no such message: nothing is known of what follows */
	PROBE_DAMAGED =
	    3, /* length is sound as far as can be told, the rest is not to be trusted */
};

/* Write message->length bytes. */
void probe_message_write(const struct probe_message *message, uint8_t *at);

/* Stamp what was written, just before it is sent. */
void probe_message_stamp(uint8_t *at, uint64_t sent_ns);

/* Read the message at the start of size bytes. message->length is set unless SHORT or FOREIGN; of a
 * DAMAGED one it is from PROBE_HEADER to size. SHORT with message->length 0: not even a header. */
enum probe_verdict probe_message_read(
    const uint8_t *at, uint32_t size, struct probe_message *message);

/* Messages of a stream, whose borders are anywhere. */
struct probe_stream {
	uint32_t partial_length; /* of a message that has begun; 0 = between two */
	int is_out_of_step;      /* nothing shows any more where a message begins */
	uint8_t partial[PROBE_MESSAGE_MAX];
};

/* The next message of *left bytes at *at, which are used up on the way. 1 and a message with its
 * verdict (FOREIGN once, when the stream gets out of step), or 0 when more bytes are needed. */
int probe_stream_next(struct probe_stream *stream, const uint8_t **at, uint32_t *left,
    struct probe_message *message, enum probe_verdict *verdict);

#endif
