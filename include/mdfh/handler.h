/* mdfh/handler.h - the feed handler: configuration to threads, ports, sessions, books, consumers.
 *
 *     wire -> port -> channel (lines merged) -> decoder -> books -> consumers
 *
 * Each receive thread runs to completion: it polls its ports, merges lines, decodes, keeps the
 * books and writes events straight into the rings of its consumers. A control thread does what
 * is slow: clock calibration, drop counters that need a system call.
 *
 * A receive thread may have workers (docs/many-cores.md): then it polls, merges lines and hands messages
 * over, and each worker decodes and keeps books of its own share, by channel or by instrument. Who
 * keeps books is a shard: a receive thread without workers, or a worker. Shards are numbered in the
 * order of the threads, a thread's workers in theirs, so without workers a shard's number is that of its
 * thread. Each has an instrument table of its own: its rows are numbers of that shard only.
 *
 * Inside a shard nothing is reordered; between shards there is no order. What concerns no instrument
 * (markers, system events) goes to every worker of a thread that shards by instrument, each of which
 * makes events of it in their place; those of all but the first carry MDFH_EVENT_COPY.
 *
 * Consumers, three kinds:
 *   (a) same thread: mdfh_handler_on_events, with const access to the books;
 *   (b) another thread or process: events from a ring (mdfh_consumer_*, or mdfh_ring_attach by
 *       shared name), plus the depth snapshots of mdfh/depth.h;
 *   (c) raw tap: bytes of every message with its schema, from a ring of struct mdfh_raw.
 * When a ring is full: MDFH_FULL_DROP (default) loses events for that consumer only: as soon as
 * there is room, and before its next event, a gap event comes with the range of sequence numbers
 * and the cause "consumer", then a stale event for each instrument it missed something of (or one
 * with instrument 0 for the channel, when they were too many or a marker was among what it missed;
 * who missed only the begin or the end of a session has no gap, as these have no number). Such an
 * instrument's book can be had again from its depth snapshot. MDFH_FULL_WAIT makes the shard's
 * thread wait: for files and tests; what it has in hand when it is stopped while it waits is lost,
 * and told as such when it runs again.
 *
 * A depth snapshot is made when its instrument changes, and when a session or day begins that
 * empties its book: of one that has not changed since a gap, is_sound still says what was so before
 * the gap.
 *
 * Threads: create, start, stop, destroy from one thread. A consumer belongs to one thread.
 * Errors:  as everywhere: 0 or negative errno, mdfh_error_text(). */
#ifndef MDFH_HANDLER_H
#define MDFH_HANDLER_H

#include "mdfh/book.h"
#include "mdfh/bypass.h"
#include "mdfh/event.h"
#include "mdfh/histogram.h"
#include "mdfh/session.h"
#include "mdfh/soupbintcp.h"

MDFH_BEGIN_DECLS

enum {
	MDFH_HANDLER_THREADS_MAX = 64,
	MDFH_HANDLER_CHANNELS_MAX = 256,
	MDFH_HANDLER_CONSUMERS_MAX = 32,
	MDFH_HANDLER_WORKERS_MAX = 32, /* of one thread */
};

/* In a channel's thread: assigned by weight. */
#define MDFH_THREAD_AUTO UINT32_MAX

enum mdfh_idle {               /* what a receive thread does when nothing has arrived */
	MDFH_IDLE_DEFAULT = 0, /* spin when the thread is pinned, else wait */
	MDFH_IDLE_SPIN = 1,
	MDFH_IDLE_WAIT = 2, /* in the kernel, at most poll_timeout_us */
};

/* What a shard's thread does when a consumer's ring is full. */
enum mdfh_full {
	MDFH_FULL_DROP = 0,
	MDFH_FULL_WAIT = 1,
};

/* How a receive thread divides its messages among its workers. */
enum mdfh_shard {
	MDFH_SHARD_DEFAULT =
	    0, /* by channel where there is one for each worker, else by instrument */
	MDFH_SHARD_CHANNEL = 1,
	MDFH_SHARD_INSTRUMENT = 2,
};

/* What a receive thread does when a worker's ring is full. DROP: a gap of cause "worker". */
enum mdfh_worker_full {
	MDFH_WORKER_FULL_DEFAULT =
	    0, /* wait when all that the thread reads are captures, else drop */
	MDFH_WORKER_FULL_DROP = 1,
	MDFH_WORKER_FULL_WAIT = 2,
};

/* What a consumer reads. */
enum mdfh_consumer_kind {
	MDFH_CONSUMER_EVENTS = 0,
	MDFH_CONSUMER_RAW = 1,
};

/* One line of a channel. */
struct mdfh_line_config {
	char *group;         /* "239.1.1.1:26477", "[ff15::1]:26477", or unicast address and port */
	char *server;        /* of a stream session, instead of group: "10.1.1.1:9000" */
	char *username;      /* stream session: up to 6 characters */
	char *password;      /* ... up to 10 */
	char *password_file; /* ... whose first line is the password */
	char *source;        /* numeric; NULL = any */
	char *interface;     /* device, as the backend names it; NULL = the kernel's choice */
	char *backend;       /* NULL = "socket", or "pcap" where there is a file */
	char *backend_options;
	char *file;   /* pcap */
	double speed; /* pcap: 1 = as recorded, 0 = flat out */
	uint16_t vlan;
	uint16_t queue; /* receive queue of the NIC. Where a queue has room for one port only, the
	                 * lines of a thread that name it share that port */
	uint32_t rx_ring_size;
	uint32_t batch_size;
	uint32_t frame_size; /* bytes of a packet buffer: longer packets are cut; default 2048 */
	uint32_t busy_poll_us;
	uint32_t hold_max;
	uint32_t zero_copy_threshold;
	enum mdfh_switch zero_copy;
	enum mdfh_switch require_zero_copy;
	uint64_t receive_buffer_bytes;
	enum mdfh_timestamps timestamps;
	enum mdfh_trailer trailer;      /* of a tap or switch; backends that see frames */
	struct mdfh_fault_config fault; /* any rate set: the fault backend is put on top */
};

/* Zero means "default" everywhere; see mdfh/session.h and mdfh/book.h for what they are. */
struct mdfh_handler_channel_config {
	char *name;
	char *protocol; /* "itch50" */
	char *
	    session; /* NULL = the protocol's usual one; with lines that have a server, soupbintcp */
	char *session_id;
	uint64_t first_sequence;      /* stream session: what the first login asks for, default 1 */
	enum mdfh_switch join_newest; /* stream session: ask for the newest message instead */
	uint32_t thread;              /* index into threads, or MDFH_THREAD_AUTO */
	uint64_t weight;              /* expected messages a second, for that; default 1 */
	uint32_t window_us;
	uint32_t window_packets;
	struct mdfh_line_config *lines;
	unsigned lines_count;
};

/* One receive thread. */
struct mdfh_handler_thread_config {
	char *name;
	uint32_t *core;      /* the core to pin it to; NULL = not pinned */
	enum mdfh_idle idle; /* its workers' as well */
	uint32_t poll_timeout_us;
	uint32_t workers; /* 0 = none: it keeps books itself */
	enum mdfh_shard shard;
	uint32_t *worker_cores; /* the cores to pin them to, in order; none = not pinned */
	unsigned worker_cores_count;
	uint32_t worker_ring_bytes; /* of each worker's ring, a power of two; default 4 MiB */
	enum mdfh_worker_full worker_full;
};

/* One consumer. */
struct mdfh_consumer_config {
	char *name;
	enum mdfh_consumer_kind kind;
	enum mdfh_full full;
	uint32_t thread;    /* receive thread it reads from */
	uint32_t *worker;   /* events: only this worker's; NULL = all workers', a ring for each */
	uint32_t slots;     /* power of two; default 65536 */
	uint32_t slot_size; /* raw: bytes per slot; default 128 */
	char *shared_name;  /* readable by other processes under this name; NULL = private. Several
			     * rings: that of shard N is this name with "-N" */
	char **symbols;     /* only these instruments (and all markers); none = all */
	unsigned symbols_count;
};

/* The whole; mdfh.yaml(5) has the same keys. */
struct mdfh_handler_config {
	size_t size;
	char *name;
	char *session_date; /* "2026-11-22" in venue time; NULL = today there (live) or the first
	                     * capture time (file) */
	struct mdfh_handler_thread_config *threads; /* none = one, not pinned */
	unsigned threads_count;
	struct mdfh_handler_channel_config *channels; /* at least one */
	unsigned channels_count;
	struct mdfh_consumer_config *consumers;
	unsigned consumers_count;
	char **symbols; /* subscription: other instruments are skipped; none = all */
	unsigned symbols_count;
	uint32_t instruments_max; /* default 65536 */
	uint32_t orders_max;
	uint32_t levels_max;
	uint32_t trades_max;
	enum mdfh_switch hugepages;
	enum mdfh_switch books; /* off: events without books are not possible, so only raw taps */
	enum mdfh_switch sound_at_start;
	uint32_t depth_levels;         /* 0 = no depth snapshots; 1..MDFH_DEPTH_LEVELS_MAX */
	char *instruments_shared_name; /* as depth_shared_name; NULL = private */
	char *depth_shared_name;       /* several shards: shard N's is this name with "-N" */
	uint32_t latency_sample; /* stages are timed in every nth batch, a power of two; default 64;
	                          * 1 = all */
};

struct mdfh_handler;
struct mdfh_consumer;
struct mdfh_depth;

/* Read a configuration. Errors name file, line and key. Free with mdfh_handler_config_free. */
MDFH_API int mdfh_handler_config_load(const char *path, struct mdfh_handler_config **config);
MDFH_API int mdfh_handler_config_parse(
    const char *text, size_t length, const char *name, struct mdfh_handler_config **config);
MDFH_API void mdfh_handler_config_free(struct mdfh_handler_config *config);

/* Takes all memory, opens all ports. config may be freed afterwards. */
MDFH_API int mdfh_handler_create(
    const struct mdfh_handler_config *config, struct mdfh_handler **handler);

/* How many shards there are. */
MDFH_API unsigned mdfh_handler_shards(const struct mdfh_handler *handler);

/* Consumer (a): called on the thread of the shard, for each batch of events, before the rings see
 * them. books is valid during the call. Before mdfh_handler_start. */
typedef void (*mdfh_events_handler)(
    void *context, const struct mdfh_event *events, int n, const struct mdfh_books *books);
MDFH_API int mdfh_handler_on_events(
    struct mdfh_handler *handler, unsigned shard, mdfh_events_handler function, void *context);

/* -EALREADY: it runs. */
MDFH_API int mdfh_handler_start(struct mdfh_handler *handler);
/* 1 until every source has ended or died. A port that dies does not stop the others: its report says
 * so, and mdfh_handler_stop returns the error. */
MDFH_API int mdfh_handler_running(const struct mdfh_handler *handler);
/* 1 when every channel has seen the end of its session, and workers have done what they were handed. */
MDFH_API int mdfh_handler_session_ended(const struct mdfh_handler *handler);
/* Stop and join the threads; holes that are open are given up. Books and statistics stay readable,
 * and the handler may be started again: what came meanwhile and found no room is a gap. Returns what
 * the first port that died died of. Of a handler that does not run: 0. */
MDFH_API int mdfh_handler_stop(struct mdfh_handler *handler);
MDFH_API void mdfh_handler_destroy(struct mdfh_handler *handler);

/* For reading before start and after stop (while running they belong to the shard's thread). */
MDFH_API const struct mdfh_books *mdfh_handler_books(
    const struct mdfh_handler *handler, unsigned shard);
/* Readable at any time. */
MDFH_API const struct mdfh_instruments *mdfh_handler_instruments(
    const struct mdfh_handler *handler, unsigned shard);
MDFH_API const struct mdfh_depth *mdfh_handler_depth(
    const struct mdfh_handler *handler, unsigned shard);

/* Consumer (b) in this process. */
MDFH_API struct mdfh_consumer *mdfh_handler_consumer(
    struct mdfh_handler *handler, const char *name);
/* Up to max events that lie together; valid until mdfh_consumer_done gives n of them back. Of several
 * workers: those of one, whose turn it is; the next are another's when all of them were given back. */
MDFH_API uint32_t mdfh_consumer_peek(
    struct mdfh_consumer *consumer, uint32_t max, const struct mdfh_event **events);
MDFH_API void mdfh_consumer_done(struct mdfh_consumer *consumer, uint32_t n);
/* The shard that the events of the last peek come from, whose instruments they name. */
MDFH_API unsigned mdfh_consumer_shard(const struct mdfh_consumer *consumer);

/* ISO C++ has no flexible arrays; its compilers do. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"

/* Consumer (c): slots of a raw tap. */
struct mdfh_raw {
	uint64_t sequence;
	int64_t receive_ns;
	uint16_t channel;
	uint16_t schema; /* id of the protocol's schema, mdfh/schema.h */
	uint16_t length; /* of the message */
	uint16_t stored; /* bytes in data: less than length where the slot is smaller */
	uint8_t epoch;
	uint8_t kind; /* enum mdfh_span_kind: a gap has length 8: its count, host byte order; 0 =
		       * the tap missed only the begin or the end of a session */
	uint8_t line;
	uint8_t reserved[5];
	uint8_t data[];
};

#pragma GCC diagnostic pop

/* 1 and the oldest slot, or 0; mdfh_consumer_done gives it back. */
MDFH_API uint32_t mdfh_consumer_peek_raw(
    struct mdfh_consumer *consumer, const struct mdfh_raw **raw);

/* Of one consumer since start; of several rings, their sum. */
struct mdfh_consumer_stats {
	uint64_t delivered; /* events written to the ring */
	uint64_t dropped;   /* events lost because it was full */
	uint64_t gaps;      /* gap events of cause "consumer" */
	uint32_t capacity;
	uint32_t used;
	uint32_t high_water;
	uint32_t reserved;
};
/* Any thread; the figures are a little old. */
MDFH_API void mdfh_consumer_stats(
    const struct mdfh_consumer *consumer, struct mdfh_consumer_stats *stats);

/* No stage is timed beyond an hour: longer than any event sits in a ring. */
#define MDFH_STAGE_MAX_NS 3600000000000

/* Where time goes. Every latency_sample'th batch is timed; a batch is what one recv brought, 1 to 256
 * packets, and no stage is timed per message. */
enum mdfh_stage {
	MDFH_STAGE_WIRE, /* exchange time of the batch's last message to its arrival: only as good
			      * as the two clocks */
	MDFH_STAGE_RECEIVE,  /* arrival of the batch's first packet to the return of recv; not of
			      * captures */
	MDFH_STAGE_SESSION,  /* whole batch: headers, merging; with workers, handing over too */
	MDFH_STAGE_DECODE,   /* whole batch: decoding, raw taps */
	MDFH_STAGE_BOOK,     /* whole batch: books, callback, depth, events into the rings */
	MDFH_STAGE_RING,     /* end of the batch to the peek that shows its last event */
	MDFH_STAGE_CONSUMER, /* the whole way: arrival to peek, of the newest event of every peek;
			      * what took more than an hour is an old capture and left out */
	MDFH_STAGE_INTENDED, /* open loop, of every event and not of batches: the exchange's time in
			      * the message to the peek that shows it. The simulator puts in when a
			      * message was due, so a sender that stalled counts as late as it made
			      * each message; a real exchange its own time, so this is as good as
			      * the two clocks. Not of captures, nor of more than an hour */
	MDFH_STAGE_HANDOVER, /* with workers: a batch's hand-over to the worker that has taken its last
			      * message up */
	MDFH_STAGES,
};
MDFH_API const char *mdfh_stage_name(unsigned stage);

/* Of one port. */
struct mdfh_port_report {
	const char *backend;
	const struct mdfh_bypass_capabilities *capabilities;
	struct mdfh_bypass_stats stats;
	int error;     /* 0 = it receives; -ENODATA = its source has ended; else what it died of */
	int has_login; /* its line logs in: what became of that */
	struct mdfh_soup_client_stats login;
};

/* Whose clock said when a line's packets arrived: packets by what their flags say (mdfh/packet.h). */
struct mdfh_line_times {
	uint64_t nic;
	uint64_t kernel;
	uint64_t app;
	uint64_t capture;
	uint64_t tap;
	uint64_t none;   /* without a time */
	uint64_t synced; /* of all these: that clock said that it was in sync */
};

/* Of one channel. */
struct mdfh_channel_report {
	const char *name;
	unsigned lines;
	unsigned thread; /* receive thread */
	int shard;       /* that keeps its books; -1 = all workers of its thread, by instrument */
	uint64_t weight; /* as configured */
	struct mdfh_channel_stats session; /* cause "worker": found a worker's ring full */
	uint64_t messages;                 /* decoded */
	uint64_t messages_refused;         /* by the decoder */
	uint64_t messages_unknown;         /* types that the schema does not have */
	int64_t first_ns;                  /* this host's clock at its first batch of packets ... */
	int64_t last_ns;                   /* ... and at its newest; 0 = none came */
	unsigned ports[MDFH_LINES_MAX];    /* index of each line's port */
	/* Packets of each line that were longer than frame_size, and cut. */
	uint64_t truncated[MDFH_LINES_MAX];
	struct mdfh_line_times times[MDFH_LINES_MAX];
};

/* Of one thread: a receive thread, and behind it each of its workers. */
struct mdfh_thread_report {
	const char *name;
	uint32_t cpu_core; /* MDFH_CORE(n); 0 = not pinned */
	unsigned thread;   /* index of the receive thread that it is, or works for */
	int worker;        /* index among that one's workers; -1 = the receive thread itself */
	int shard;         /* -1 = it keeps no books: it has workers */
	unsigned workers;  /* of a receive thread */
	enum mdfh_shard sharded; /* how its messages are divided; DEFAULT = it has no workers */
	unsigned channels;       /* that it polls, or has books of */
	uint64_t weight;   /* sum of these channels'; of a worker by instrument, an even share */
	uint64_t run_ns;   /* since start, as far as the figures go */
	uint64_t busy_ns;  /* of these at work */
	uint64_t peak_ppm; /* share of work in the busiest tenth of a second, in millionths */
	/* Of a worker: its ring. */
	uint64_t messages; /* handed over */
	uint64_t dropped;  /* that found it full; told as gaps so many times */
	uint64_t gaps;
	uint64_t waits; /* times that the receive thread waited for room */
	uint64_t ring_bytes;
	uint64_t ring_high_water_bytes;
};

/* Statistics; while running they are a little old and not of one instant. */
MDFH_API unsigned mdfh_handler_ports(const struct mdfh_handler *handler);
MDFH_API int mdfh_handler_port_report(
    struct mdfh_handler *handler, unsigned port, struct mdfh_port_report *report);
MDFH_API unsigned mdfh_handler_channels(const struct mdfh_handler *handler);
MDFH_API int mdfh_handler_channel_report(
    const struct mdfh_handler *handler, unsigned channel, struct mdfh_channel_report *report);
MDFH_API unsigned mdfh_handler_threads(const struct mdfh_handler *handler); /* of all kinds */
MDFH_API int mdfh_handler_thread_report(
    const struct mdfh_handler *handler, unsigned index, struct mdfh_thread_report *report);
MDFH_API int mdfh_handler_books_stats(
    const struct mdfh_handler *handler, unsigned shard, struct mdfh_books_stats *stats);
/* A stage's histogram of one shard (stages RING, CONSUMER and INTENDED: of all its consumers, as they
 * are now; RECEIVE and SESSION of a thread with workers: with its first shard). It may be read while the
 * handler runs, by one thread at a time; what is recorded meanwhile shows in the next look at it. */
MDFH_API const struct mdfh_histogram *mdfh_handler_latency(
    const struct mdfh_handler *handler, unsigned shard, enum mdfh_stage stage);

MDFH_END_DECLS
#endif
