/* mdfh/ingest.h - the simple case: one port, one decoder, one ring, one block of statistics.
 *
 * For a program that wants events from one feed and nothing else: configure a port as in
 * mdfh/bypass.h (one flow per line: flow 0 is line A), name the protocol, read the ring.
 *
 * Threads: open, start, stop and close from one thread; next from one thread. */
#ifndef MDFH_INGEST_H
#define MDFH_INGEST_H

#include "mdfh/bypass.h"
#include "mdfh/event.h"
#include "mdfh/instrument.h"

MDFH_BEGIN_DECLS

/* Zero means "default" everywhere but in size and bypass.size. */
struct mdfh_ingest_config {
	size_t size;
	struct mdfh_bypass_config bypass;
	const char *protocol;     /* default "itch50" */
	const char *session;      /* NULL = the protocol's usual one */
	const char *session_date; /* "2026-11-22"; NULL as in mdfh/handler.h */
	uint32_t ring_slots;      /* power of two; default 65536 */
	uint32_t orders_max;
	uint32_t instruments_max;
	uint32_t window_us;              /* how long line B may be behind; default 50,000 */
	enum mdfh_switch wait_when_full; /* on: nothing is dropped, the receiver waits */
};

/* Since start. */
struct mdfh_ingest_stats {
	uint64_t packets;
	uint64_t bytes;
	uint64_t messages;
	uint64_t events;
	uint64_t duplicates; /* messages of the other line */
	uint64_t gaps;
	uint64_t messages_lost;
	uint64_t packets_malformed;
	uint64_t packets_dropped; /* by NIC, kernel or socket, as far as they say */
	uint64_t events_dropped;  /* the ring was full */
	uint64_t ring_high_water;
	uint64_t latency_p50_ns; /* arrival to the consumer */
	uint64_t latency_p99_ns;
	uint64_t latency_max_ns;
};

struct mdfh_ingest;

/* Opens the port and takes all memory; start makes the receive thread. */
MDFH_API int mdfh_ingest_open(const struct mdfh_ingest_config *config, struct mdfh_ingest **ingest);
MDFH_API int mdfh_ingest_start(struct mdfh_ingest *ingest);
/* Up to n events, copied out; 0 = nothing now, -ENODATA = ended and empty. */
MDFH_API int mdfh_ingest_next(struct mdfh_ingest *ingest, struct mdfh_event *events, int n);
MDFH_API int mdfh_ingest_stats(struct mdfh_ingest *ingest, struct mdfh_ingest_stats *stats);
MDFH_API const struct mdfh_instruments *mdfh_ingest_instruments(const struct mdfh_ingest *ingest);
MDFH_API int mdfh_ingest_stop(struct mdfh_ingest *ingest);
MDFH_API void mdfh_ingest_close(struct mdfh_ingest *ingest);

MDFH_END_DECLS
#endif
