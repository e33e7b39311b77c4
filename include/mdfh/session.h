/* mdfh/session.h - what carries sequence numbers, and lines A and B merged into one stream.
 *
 * A session protocol (MoldUDP64, BinaryFILE, IEX-TP, MDP 3.0 packets) reads the header of a
 * packet; that of a stream (SoupBinTCP, mdfh/soupbintcp.h) makes units of its bytes. A channel merges the lines of one stream by sequence number and gives out ordered
 * spans: runs of whole messages, gap markers, session begin and end, in one sequence. It knows
 * nothing of message bodies, reads no clock (time is an argument) and never looks outside the
 * bytes it is given.
 *
 *     lines A, B -> mdfh_channel_push -> spans -> decoder
 *
 * Threads: a channel belongs to one thread. Memory: taken by mdfh_channel_create.
 * Cost: no allocation, lock or system call in push and poll. A packet that is ahead of a hole
 * is copied into the reorder window; a packet in order is never copied. */
#ifndef MDFH_SESSION_H
#define MDFH_SESSION_H

#include "mdfh/packet.h"

MDFH_BEGIN_DECLS

/* How messages stand in a span. */
enum mdfh_framing {
	MDFH_FRAMING_NONE = 0,    /* the span is one message */
	MDFH_FRAMING_LENGTH_BE16, /* u16 big-endian length (without itself) + message */
	MDFH_FRAMING_LENGTH_LE16, /* the same, little-endian (IEX-TP) */
	MDFH_FRAMING_SIZE_LE16, /* message starts with its u16 LE size, itself included (MDP 3.0) */
	MDFH_FRAMING_SOUPBIN,   /* u16 big-endian length (without itself), 'S', message */
};

/* What a packet is. */
enum mdfh_unit_kind {
	MDFH_UNIT_DATA = 0,
	MDFH_UNIT_HEARTBEAT = 1, /* no message; first is the next number to come */
	MDFH_UNIT_END = 2,       /* end of session; first is the next number, which will not come */
};

/* Why a packet was refused as a whole or in part. Counted per line. */
enum mdfh_session_error {
	MDFH_SESSION_OK = 0,
	MDFH_SESSION_SHORT,    /* shorter than the header */
	MDFH_SESSION_VERSION,  /* version or protocol id is not this one */
	MDFH_SESSION_OVERRUN,  /* a block runs past the payload: rest dropped, is a hole */
	MDFH_SESSION_COUNT,    /* fewer blocks than the header says */
	MDFH_SESSION_TRAILING, /* bytes after the last block: ignored */
	MDFH_SESSION_SEQUENCE, /* sequence number 0 or past the end of numbers */
	MDFH_SESSION_FOREIGN,  /* another session while one is active */
	MDFH_SESSION_ERRORS,
};

/* What one packet says. */
struct mdfh_unit {
	const uint8_t *body;  /* first framed message */
	uint32_t body_length; /* bytes of the whole messages that are really there */
	uint32_t messages;    /* whole messages in body, never more than claimed */
	uint32_t claimed;     /* messages the header claims */
	uint8_t kind;         /* enum mdfh_unit_kind */
	uint8_t error;        /* enum mdfh_session_error; the sound part stands above */
	uint16_t reserved;
	uint64_t first;      /* sequence number of the first message */
	uint64_t session[2]; /* session id, compared as 16 bytes, zero-padded */
};

enum { MDFH_SESSION_TEXT = 24 }; /* bytes of a session id as text, with its NUL */

/* One session protocol: a const table. */
struct mdfh_session_ops {
	const char *name; /* "moldudp64", "binaryfile", "iex-tp", "mdp3", "soupbintcp" */
	enum mdfh_framing framing;
	/* Sequence numbers count packets instead of messages (MDP 3.0). */
	int counts_packets;
	/* Packets are bytes of a stream, and numbers follow from the login: parse sees messages, but
	 * no numbers (SEQUENCE), and a channel takes units instead of packets. */
	int is_stream;
	/* Parse one payload. 0, or -EBADMSG with unit->error SHORT or VERSION and no messages.
	 * With 0, error may still be set: OVERRUN and COUNT leave the sound messages, TRAILING all
	 * of them, SEQUENCE messages that can be shown and belong to no stream. */
	int (*parse)(const uint8_t *data, uint32_t length, struct mdfh_unit *unit);
	/* The session id as people write it, padding removed; "" where there is none. */
	void (*session_text)(const struct mdfh_unit *unit, char text[MDFH_SESSION_TEXT]);
	uint32_t header_size;
	/* Write kind, session, first and messages into out (header_size bytes); NULL where mdfh
	 * does not send the protocol. */
	void (*write_header)(uint8_t *out, const struct mdfh_unit *unit);
};

/* NULL = there is none; "?" for an error that does not exist. */
MDFH_API const struct mdfh_session_ops *mdfh_session_find(const char *name);
MDFH_API const char *mdfh_session_error_name(unsigned error);

/* Step through framed messages: sets *message and *length, returns the bytes consumed, or 0 when
 * fewer bytes are left than the frame claims. */
static inline uint32_t mdfh_framing_next(enum mdfh_framing framing, const uint8_t *data,
    uint32_t left, const uint8_t **message, uint32_t *length)
{
	uint32_t size;

	if (framing == MDFH_FRAMING_NONE) {
		*message = data;
		*length = left;
		return left;
	}
	if (left < 2)
		return 0;
	if (framing == MDFH_FRAMING_LENGTH_BE16 || framing == MDFH_FRAMING_SOUPBIN)
		size = (uint32_t)data[0] << 8 | data[1];
	else
		size = (uint32_t)data[1] << 8 | data[0];
	if (framing == MDFH_FRAMING_SOUPBIN) {
		if (size < 1 || size > left - 2)
			return 0;
		*message = data + 3;
		*length = size - 1;
		return size + 2;
	}
	if (framing == MDFH_FRAMING_SIZE_LE16) {
		if (size < 2 || size > left)
			return 0;
		*message = data;
		*length = size;
		return size;
	}
	if (size > left - 2)
		return 0;
	*message = data + 2;
	*length = size;
	return size + 2;
}

/* What a span is. */
enum mdfh_span_kind {
	MDFH_SPAN_DATA = 0,
	MDFH_SPAN_GAP = 1,           /* first .. first + messages - 1 are lost */
	MDFH_SPAN_SESSION_BEGIN = 2, /* epoch has risen; first = first number that will come */
	MDFH_SPAN_SESSION_END = 3,   /* nothing more will come in this epoch */
};

/* As many messages as there are: up to the end marker, or to a record that is not whole. */
#define MDFH_SPAN_UNCOUNTED UINT64_MAX

/* Whole messages in order, or a marker between them. */
struct mdfh_span {
	const uint8_t *data; /* framed messages; valid until the next push or poll, or until the
	                      * packet is released */
	uint64_t first;      /* sequence number of the first message (packet number where the
	                      * protocol counts packets) */
	uint64_t messages;   /* messages in data; sequence numbers in a gap. A channel's spans and
	                      * those of mdfh_binaryfile_next are counted; MDFH_SPAN_UNCOUNTED
	                      * comes from mdfh_binaryfile_rest only */
	int64_t receive_ns;
	uint32_t length; /* bytes in data */
	uint16_t channel;
	uint8_t epoch;
	uint8_t line;   /* that delivered it, 0 = A */
	uint8_t kind;   /* enum mdfh_span_kind */
	uint8_t cause;  /* gap: enum mdfh_cause (mdfh/event.h) */
	uint16_t flags; /* MDFH_PACKET_* of the packet */
	uint32_t reserved;
};

enum {
	MDFH_LINES_MAX = 4,
	MDFH_SPANS_MAX = 8, /* most spans that one push or poll can return at a time */
};

/* Zero means "default" everywhere but in size and session. */
struct mdfh_channel_config {
	size_t size;
	const struct mdfh_session_ops *session;
	uint16_t channel;           /* number that spans and events carry */
	uint16_t lines;             /* 1..MDFH_LINES_MAX; default 1 */
	uint32_t window_packets;    /* early packets kept, power of two, 16..65536; default 1024 */
	uint32_t window_frame_size; /* bytes kept of each; default 2048 */
	uint64_t window_ns;         /* how long a hole may stay open; default 50 ms */
	uint64_t first_sequence;    /* expected first; 0 = join at the first packet seen */
	const char *session_id;     /* expected session; NULL = the first one seen */
	uint64_t line_down_ns;      /* silence after which a line counts as down; default 3 s */
};

/* Of one line since create. */
struct mdfh_line_stats {
	uint64_t packets;
	uint64_t messages;   /* claimed by these packets */
	uint64_t delivered;  /* messages that this line brought first */
	uint64_t duplicates; /* messages already delivered */
	uint64_t heartbeats;
	uint64_t early;   /* packets that went into the window */
	uint64_t missing; /* sequence numbers that this line skipped, filled by another or not */
	uint64_t errors[MDFH_SESSION_ERRORS];
	uint64_t last_sequence; /* next number after the line's newest packet */
	int64_t last_ns;        /* when it came */
	uint64_t downs;         /* times the line fell silent for line_down_ns */
	uint32_t is_down;
	uint32_t reserved;
};

/* Of one channel since create. */
struct mdfh_channel_stats {
	uint64_t delivered;         /* sequence numbers given out */
	uint64_t lost;              /* sequence numbers given out as gaps */
	uint64_t gaps;              /* gap spans */
	uint64_t sessions;          /* epochs begun */
	uint64_t window_full;       /* holes given up because the window was full */
	uint64_t next_sequence;     /* expected */
	uint64_t lost_by_cause[20]; /* by enum mdfh_cause */
	struct mdfh_line_stats lines[MDFH_LINES_MAX];
};

/* Drop counters of the path of each line, read by the caller around holes, so that a gap's cause
 * can be named (DESIGN: the counter rose between the last packet before and the first after). */
struct mdfh_line_drops {
	uint64_t nic;
	uint64_t kernel;
	uint64_t socket;
	uint64_t injected;
	uint32_t known; /* bits as mdfh_bypass_stats.known_drops; 8 = injected */
	/* Lines with the same number here have one port, whose nic and socket these are: they rise by
	 * the packets of all of them. 0 = the line has a port of its own. */
	uint32_t shared;
	/* Of a path whose nic and socket no packet brings: how often they have been read. 0 = packets
	 * bring socket. */
	uint32_t readings;
	uint32_t reserved;
};

struct mdfh_channel;

/* Takes all memory. destroy: NULL is allowed. */
MDFH_API int mdfh_channel_create(
    const struct mdfh_channel_config *config, struct mdfh_channel **channel);
MDFH_API void mdfh_channel_destroy(struct mdfh_channel *channel);

/* One packet of one line. Writes up to MDFH_SPANS_MAX spans (max >= MDFH_SPANS_MAX) and returns
 * how many. When it returned MDFH_SPANS_MAX there may be more: mdfh_channel_poll must then be
 * called until it returns less before the next push (-EBUSY) and before the packet is released. */
MDFH_API int mdfh_channel_push(struct mdfh_channel *channel, const struct mdfh_packet *packet,
    unsigned line, int64_t now_ns, struct mdfh_span *spans, int max);

/* The same for a unit that was read elsewhere: of a stream. Of the packet only receive_ns and flags
 * are used. An early unit longer than window_frame_size does not fit into the window. */
MDFH_API int mdfh_channel_push_unit(struct mdfh_channel *channel, const struct mdfh_unit *unit,
    const struct mdfh_packet *packet, unsigned line, int64_t now_ns, struct mdfh_span *spans,
    int max);

/* Let time pass: give up holes older than the window, drain what stands behind them. Cheap when
 * there is no hole. Call it at least every window_ns / 4. */
MDFH_API int mdfh_channel_poll(
    struct mdfh_channel *channel, int64_t now_ns, struct mdfh_span *spans, int max);

/* All that had arrived on any line by read_ns has been pushed. Holes are given up, and lines called
 * down, only as far as that, or 8 windows later: what fills a hole may wait in the host's queues
 * while the caller's thread does not run. INT64_MAX, as at first: as far as now_ns of push and poll
 * goes. */
MDFH_API void mdfh_channel_read_to(struct mdfh_channel *channel, int64_t read_ns);

/* How much of the window open holes have used up, in time or in packets: 0 = none is open, else
 * 1 to 100 percent. */
MDFH_API unsigned mdfh_channel_window_used(const struct mdfh_channel *channel, int64_t now_ns);

/* The drop counters of a line's path, for the causes of gaps. Call it once per recv, before the
 * packets of that recv are pushed, with counters read after recv returned: a hole that one of
 * these packets shows is held against the reading before. nic and kernel may be read late: what
 * they rise by until the hole is given up counts as well, so call it again for them while a hole is
 * open: one that is given up unread has no known cause. Without a packet in between, a reading takes
 * the place of the one before. */
MDFH_API void mdfh_channel_drops(
    struct mdfh_channel *channel, unsigned line, const struct mdfh_line_drops *drops);

/* Owned by the channel; for its own thread. */
MDFH_API const struct mdfh_channel_stats *mdfh_channel_stats(const struct mdfh_channel *channel);

/* Give up every hole and drain the window: at the end of a file. Call until it returns 0. */
MDFH_API int mdfh_channel_flush(
    struct mdfh_channel *channel, int64_t now_ns, struct mdfh_span *spans, int max);

/* BinaryFILE -------------------------------------------------------------
 *
 * A file is one line that loses nothing: no channel is needed. Map it and feed it whole, or feed
 * chunks: what mdfh_binaryfile_left() counts must stand at the start of the next chunk.
 *
 *     mdfh_binaryfile_open(&file, channel);
 *     mdfh_binaryfile_feed(&file, data, size);
 *     while (mdfh_binaryfile_next(&file, 256, &span))
 *             decode it;
 *     report mdfh_binaryfile_end(&file); */

/* How a file ended. */
enum mdfh_binaryfile_end {
	MDFH_BINARYFILE_MARKED = 0,   /* the zero-length record was found, nothing follows */
	MDFH_BINARYFILE_UNMARKED = 1, /* whole records, no end marker: cut there, or growing */
	MDFH_BINARYFILE_CUT = 2,      /* ends inside a record, which was not delivered */
	MDFH_BINARYFILE_TRAILING = 3, /* bytes after the end marker, not read */
};

enum { MDFH_BINARYFILE_SPAN_MAX = 1 << 30 }; /* most bytes of one span */

/* A reader; plain data. */
struct mdfh_binaryfile {
	const uint8_t *data; /* the chunk */
	uint64_t size;
	uint64_t at;       /* of the next record in the chunk */
	uint64_t offset;   /* of the next record in the file */
	uint64_t sequence; /* of the next record; the first is 1 */
	uint16_t channel;
	uint16_t marked; /* the end marker was met: nothing more is delivered */
	uint32_t reserved;
};

/* Start a file; and give it the next chunk, which must stay until it is used up. */
MDFH_API void mdfh_binaryfile_open(struct mdfh_binaryfile *file, uint16_t channel);
MDFH_API void mdfh_binaryfile_feed(
    struct mdfh_binaryfile *file, const uint8_t *data, uint64_t size);

/* The next up to max records as one span (epoch 0, no receive time). 1, or 0 when no whole record
 * is left. Reads the two length bytes of each record. */
MDFH_API int mdfh_binaryfile_next(
    struct mdfh_binaryfile *file, uint32_t max, struct mdfh_span *span);

/* The same without looking at any record but the first: all that is left of the chunk (at most
 * MDFH_BINARYFILE_SPAN_MAX bytes) as one span whose messages are MDFH_SPAN_UNCOUNTED. Who walks
 * through it tells mdfh_binaryfile_took how many records he took and how many bytes they have,
 * length bytes included. */
MDFH_API int mdfh_binaryfile_rest(struct mdfh_binaryfile *file, struct mdfh_span *span);
MDFH_API void mdfh_binaryfile_took(struct mdfh_binaryfile *file, uint64_t messages, uint64_t bytes);

/* Bytes of the chunk that are not used up. */
MDFH_API uint64_t mdfh_binaryfile_left(const struct mdfh_binaryfile *file);

/* How the file ended, once next has returned 0 and there is nothing more to feed. */
MDFH_API enum mdfh_binaryfile_end mdfh_binaryfile_end(const struct mdfh_binaryfile *file);
MDFH_API const char *mdfh_binaryfile_end_text(enum mdfh_binaryfile_end end);

MDFH_END_DECLS
#endif
