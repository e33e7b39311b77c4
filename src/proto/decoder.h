/* decoder.h - spans of framed messages in, ops out. One decoder per channel.
 *
 * A decoder owns what a protocol's messages need to be understood (ITCH: stock locate -> row of
 * the instrument table, midnight of the session date) and a position in the current span. The
 * mapping of messages to ops is each protocol's own (itch50_map.c ...). Internal: not ABI.
 *
 *     mdfh_decoder_begin(d, &span, origin);
 *     while ((n = mdfh_decoder_next(d, ops, max)) > 0)
 *             apply them;
 *
 * Gap, session begin and session end spans become ops too. A message that is refused (too short,
 * impossible field) becomes a GAP op of one number with cause MALFORMED; an unknown type becomes
 * a counted MDFH_OP_NONE. Threads: one. Cost: no allocation, lock or system call. */
#ifndef MDFH_PROTO_DECODER_H
#define MDFH_PROTO_DECODER_H

#include "mdfh/instrument.h"
#include "mdfh/session.h"
#include "proto/op.h"

enum mdfh_decode_error {
	MDFH_DECODE_OK = 0,
	MDFH_DECODE_SHORT,   /* shorter than its type needs */
	MDFH_DECODE_UNKNOWN, /* type not in the schema: skipped */
	MDFH_DECODE_FIELD,   /* a field has an impossible value */
	MDFH_DECODE_FRAMING, /* the span ended inside a message */
	MDFH_DECODE_ERRORS,
};

struct mdfh_decoder_stats {
	uint64_t messages;
	uint64_t ops;
	uint64_t by_type[256]; /* ITCH, IEX: type byte; SBE: template id modulo 256 */
	uint64_t errors[MDFH_DECODE_ERRORS];
};

struct mdfh_decoder_config {
	size_t size;
	struct mdfh_instruments *instruments; /* borrowed */
	uint16_t channel;
	int64_t midnight_ns;        /* session date's midnight, venue time, as ns since the epoch;
	                        * 0 = exchange times are unknown (protocols that need a date) */
	const char *const *symbols; /* subscription: ops of other instruments become NONE */
	uint32_t symbol_count;      /* 0 = everything */
};

struct mdfh_decoder; /* each protocol's own; begins with struct mdfh_decoder_base */

struct mdfh_protocol {              /* const table, one per mapped protocol */
	const char *name;           /* "itch50" */
	const char *session;        /* its usual session protocol on UDP: "moldudp64" */
	const char *venue_timezone; /* "America/New_York" */
	int (*create)(const struct mdfh_decoder_config *config, struct mdfh_decoder **decoder);
	void (*destroy)(struct mdfh_decoder *decoder);
	/* The next ops of a data span, as mdfh_decoder_next. */
	int (*next)(struct mdfh_decoder *decoder, struct mdfh_op *ops, int max);
	/* A session begins: what the last one defined holds no longer. */
	void (*session_begin)(struct mdfh_decoder *decoder);
};

const struct mdfh_protocol *mdfh_protocol_find(const char *name); /* NULL if not mapped */

struct mdfh_decoder_base {
	const struct mdfh_protocol *protocol;
	struct mdfh_span span; /* current; data and length move on, messages is set when an
	                        * uncounted one is through */
	const uint8_t *begin;  /* of its data */
	uint64_t sequence;     /* of the next message */
	enum mdfh_framing framing;
	uint16_t origin;
	uint16_t channel;
	struct mdfh_decoder_stats stats;
};

int mdfh_decoder_create(
    const char *protocol, const struct mdfh_decoder_config *config, struct mdfh_decoder **decoder);
void mdfh_decoder_destroy(struct mdfh_decoder *decoder);

/* Take a span. framing is the session's. The span's bytes must stay until next returns 0. */
void mdfh_decoder_begin(struct mdfh_decoder *decoder, const struct mdfh_span *span,
    enum mdfh_framing framing, uint16_t origin);

/* Up to max ops (max >= 16); 0 = the span is done. All ops of one message come together. */
int mdfh_decoder_next(struct mdfh_decoder *decoder, struct mdfh_op *ops, int max);

/* What the span held, once next has returned 0: messages (a refused one counts), and the bytes of
 * them. Of an uncounted span they end before an end marker or a record that is not whole. */
uint64_t mdfh_decoder_took(const struct mdfh_decoder *decoder, uint64_t *bytes);

const struct mdfh_decoder_stats *mdfh_decoder_stats(const struct mdfh_decoder *decoder);
const char *mdfh_decode_error_name(unsigned error);

/* Midnight of a date (year, month 1..12, day) in a time zone, as ns since the epoch: the instant
 * to which a venue's time of day is added. Where the clocks change at night it is noon minus 12
 * hours, so that 09:30 on the venue's clock comes out right on such a day too. From the system's
 * zone data (/usr/share/zoneinfo, or $TZDIR). 0, or -EINVAL (no such date, zone data that cannot
 * be read), -ENOENT (no such zone). Any thread. Slow: reads a file. */
int mdfh_midnight_ns(const char *zone_name, int year, int month, int day, int64_t *midnight_ns);

/* The same of a date written YYYY-MM-DD, and of the day there in which at_ns lies. */
int mdfh_midnight_of_date(const char *zone_name, const char *date, int64_t *midnight_ns);
int mdfh_midnight_before(const char *zone_name, int64_t at_ns, int64_t *midnight_ns);

#endif
