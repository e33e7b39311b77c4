/* conformance_bytes.h - what the checks of streams share: bytes that say where they belong, a server that writes
 * them, and a port that must bring them.
 *
 * The server writes a pattern that is a function of the connection and of the place in it, so that
 * a byte that is lost, repeated, moved or of an earlier connection is where it does not belong,
 * whatever the packets' borders. */
#ifndef MDFH_NET_CONFORMANCE_BYTES_H
#define MDFH_NET_CONFORMANCE_BYTES_H

#include "net/conformance_trial.h"

enum {
	MARKS = MDFH_PACKET_CONNECTED | MDFH_PACKET_DISCONNECTED,
	SENT_BY_PORT = 1 << 16, /* the connection number of what goes the other way */
};

extern const struct mdfh_bypass_config mdfh_stream_small_ring;

void mdfh_stream_fill(uint8_t *data, uint64_t connection, uint64_t at, uint32_t length);
int mdfh_stream_is_pattern(const uint8_t *data, uint64_t connection, uint64_t at, uint32_t length);

/* Hold packet `index` against what was written, and remember where it begins. */
int mdfh_stream_verify(struct trial *t, int index);
/* One look for up to n packets, which are verified and held. The count, or -1 = decided. */
int mdfh_stream_look(struct trial *t, int n);
/* The same, and wait if nothing is there. */
int mdfh_stream_look_waiting(struct trial *t, int n);
/* All that was written has come; packets stay held, or are released as they come. */
int mdfh_stream_collect_held(struct trial *t);
int mdfh_stream_collect(struct trial *t);
/* The next packet is this mark. */
int mdfh_stream_expect_mark(struct trial *t, unsigned mark);
int mdfh_stream_expect_none(struct trial *t);

/* The server: it listens or ceases to, has the connection that the port begins, ends it. */
int mdfh_stream_serve(struct trial *t, int on);
int mdfh_stream_accept_connection(struct trial *t);
int mdfh_stream_hang_up(struct trial *t, int reset);
/* Write on, and receive where the way is full; what comes is not held. */
int mdfh_stream_write_bytes(struct trial *t, uint64_t length);
/* A port that is connected. */
int mdfh_stream_begin(struct trial *t, struct mdfh_bypass_config wanted);

/* Checks of connections and of sending (conformance_connections.c), for the profile. */
int mdfh_check_nothing_there(struct trial *t);
int mdfh_check_marks(struct trial *t);
int mdfh_check_absent(struct trial *t);
int mdfh_check_closes(struct trial *t);
int mdfh_check_resets(struct trial *t);
int mdfh_check_reconnect(struct trial *t);
int mdfh_check_pauses(struct trial *t);
int mdfh_check_wakes(struct trial *t);
int mdfh_check_lifecycle(struct trial *t);
int mdfh_check_send(struct trial *t);
int mdfh_check_send_rest(struct trial *t);
int mdfh_check_send_unconnected(struct trial *t);
int mdfh_check_send_after_end(struct trial *t);

#endif
