/* mdfh/bypass.h - receive (and send) packets through any backend.
 *
 * A backend is a way to get packets: "socket" (alias "asio"), "pcap", "null", "fault" (seeded
 * faults on top of another backend) are built in; others are modules, loaded by name from
 * the install folder (or that of mdfh_bypass_set_modules_folder) or from an absolute path
 * (backend = "/path/to/module.so").
 *
 * Threads: one thread uses a port from open to close; ports are independent. mdfh_push_*
 *          owns the port it was given until mdfh_push_stop() returns.
 * Errors:  0 or a count, or a negative errno value (mdfh_error_text() has the sentence).
 *          -EIO from recv or send: the port is dead, only close is useful.
 *          -ENODATA from recv: the source has ended (a file was read to its end).
 * Cost:    open allocates everything. recv, release and send never allocate, lock or log,
 *          and make no system call but the backend's own. Only functions with "wait" in
 *          their name wait. */
#ifndef MDFH_BYPASS_H
#define MDFH_BYPASS_H

#include "mdfh/packet.h"

MDFH_BEGIN_DECLS

enum {
	MDFH_BYPASS_BATCH_MAX = 256, /* packets per recv, release or send */
	MDFH_BYPASS_FLOWS_MAX = 64,  /* groups per port */
};

/* How bytes travel. */
enum mdfh_transport {
	MDFH_TRANSPORT_DEFAULT = 0, /* UDP */
	MDFH_TRANSPORT_UDP = 1,
	/* A client's connection: exactly one flow, group = the server's numeric address, port = its
	 * port. open begins to connect and never waits for the server, which may be absent; recv
	 * drives the connection on and connects again after a pause whenever it is gone. */
	MDFH_TRANSPORT_TCP = 2,
};

/* Where receive_ns of packets comes from. */
enum mdfh_timestamps {
	MDFH_TIMESTAMPS_DEFAULT = 0, /* the best that the backend has at no cost */
	MDFH_TIMESTAMPS_OFF = 1,     /* receive_ns is 0 */
	MDFH_TIMESTAMPS_SOFTWARE = 2,
	MDFH_TIMESTAMPS_HARDWARE = 3, /* fails at open where there are none */
};

/* The time that a switch or tap on the way has written behind each frame; for backends that see frames.
 * A packet whose trailer is sound has that as receive_ns, with MDFH_PACKET_TIME_TAP. Others keep the
 * time that they have without, and are counted: a trailer counts as sound if it is within half a
 * minute of that. */
enum mdfh_trailer {
	MDFH_TRAILER_NONE = 0,
	MDFH_TRAILER_METAMAKO = 1, /* MetaWatch, Arista 7130 */
	MDFH_TRAILER_EXABLAZE = 2, /* ExaLINK Fusion HPT, Cisco Nexus 3550 */
	/* Arista 7280R, 7500R and later: a header before the frame's own type. NICs, kernels and XDP
	 * programs see no IP packet behind it; "pcap" does, and "dpdk", which then sorts packets itself. */
	MDFH_TRAILER_ARISTA_7280 = 3,
};

/* What the port is opened for. A port that only sends joins nothing and binds nothing: recv on it
 * returns 0. */
enum mdfh_direction {
	MDFH_DIRECTION_DEFAULT = 0, /* receive, and send where the backend can */
	MDFH_DIRECTION_RECEIVE = 1,
	MDFH_DIRECTION_SEND = 2,
};

/* What to receive: one flow per multicast group or unicast address. A packet's flow number
 * is the index of the first flow that it matches, the same on every backend. */
struct mdfh_flow {
	const char *group; /* destination, numeric IPv4 or IPv6; multicast is joined; NULL = any
	                     * unicast address of the interface */
	const char
	    *source;   /* numeric, needs group; NULL = any source. On a multicast group it makes
	                     * the membership source-specific, else it is a filter */
	uint16_t port; /* UDP port, host order; 0 = any free port (unicast, one flow) */
	/* VLAN id 1..4094, 0 = any. Sockets receive from the device that interface has for it, all
	 * flows of a port from one. */
	uint16_t vlan;
};

/* Faults per million packets, drawn from one seeded generator: equal seeds, equal faults. */
struct mdfh_fault_config {
	uint64_t seed;
	uint32_t loss_ppm;
	uint32_t duplicate_ppm;
	uint32_t reorder_ppm;      /* held back behind reorder_distance packets */
	uint32_t damage_ppm;       /* one random bit flipped */
	uint32_t truncate_ppm;     /* cut at a random length */
	uint32_t delay_ppm;        /* held back for delay_ns by the packet clock */
	uint32_t burst_length;     /* packets lost in a row when loss strikes; 0 = 1 */
	uint32_t reorder_distance; /* 0 = 3 */
	uint64_t delay_ns;         /* 0 = 1 ms */
	uint64_t flow_mask;        /* bit f: faults hit flow f; 0 = every flow */
};

/* Zero means "default" in every field but size, so old callers keep working. */
struct mdfh_bypass_config {
	size_t size;         /* sizeof(struct mdfh_bypass_config) */
	const char *backend; /* NULL = "socket" */
	const char
	    *interface;   /* device name; NULL = the kernel's choice. Of "dpdk": a PCI address, or
	                        * a device of software with its options */
	const char *host; /* one flow without a flows array: its group or address */
	uint16_t port;    /* ... and its port, host order */
	uint16_t queue;   /* receive queue of the NIC (bypass backends) */
	uint32_t rx_ring_size; /* packets, power of two, 64..1048576; default 4096 */
	uint32_t batch_size;   /* most packets a recv asks the backend for, 1..256; default 64 */
	uint32_t frame_size;   /* bytes per packet buffer, 256..65535; default 2048 */
	uint32_t hold_max;     /* packets that must be holdable across recv calls without a copy;
	                        * open fails if the backend cannot; default: what it has */

	/* MDFH_CORE(n) pins the thread that calls recv (mdfh_push, mdfh_handler, mdfh_ingest do
	 * the pinning, on that thread) to core n; 0 = not pinned. */
	uint32_t cpu_core;
	enum mdfh_switch enable_numa_awareness; /* memory on the NIC's node; default on */
	enum mdfh_switch enable_zero_copy;      /* default on where the backend can */
	enum mdfh_switch require_zero_copy;     /* fail at open rather than copy; default off */
	uint32_t zero_copy_threshold;           /* bytes; smaller packets are copied; default 0 */
	enum mdfh_switch hugepages;             /* default: use them where there are any */

	enum mdfh_direction direction;
	enum mdfh_transport transport;
	enum mdfh_timestamps timestamps;
	enum mdfh_trailer trailer;
	uint32_t busy_poll_us;         /* SO_BUSY_POLL, 0..100000; 0 = off */
	uint32_t poll_timeout_us;      /* how long mdfh_bypass_recv_wait waits; default 1000 */
	uint64_t receive_buffer_bytes; /* socket buffer, 4096..1 GiB; default 16 MiB */

	const struct mdfh_flow *flows; /* copied by open */
	uint32_t flow_count;           /* 0..MDFH_BYPASS_FLOWS_MAX */

	/* Sending: destination is flow 0 unless the packet's flow says another. */
	enum mdfh_switch multicast_loop; /* default on */
	uint32_t multicast_ttl;          /* 1..255; default 1 */

	/* pcap */
	const char *file; /* capture, "-" = standard input */
	double speed;     /* 1 = as recorded, 10 = ten times as fast; 0 = flat out */

	/* fault */
	const struct mdfh_bypass_config *lower; /* the port under the faults */
	struct mdfh_fault_config fault;

	/* "key=value,key=value", read by the backend. Of "socket" with UDP: gro (off), take datagrams
	 * that the kernel delivers together. Of "socket" with TCP: reconnect_min_ms (100)
	 * and reconnect_max_ms (5000), the pauses between attempts, which double and are drawn from
	 * their upper half by reconnect_seed; connect_timeout_ms (5000); keepalive_s (10). */
	const char *backend_options;
};

/* Core n, as cpu_core wants it. */
#define MDFH_CORE(n) ((uint32_t)(n) + 1)

/* 0, or -EINVAL with a sentence that names the field, its value and its range. Checks what
 * holds for every backend; open also checks what holds for its own. */
MDFH_API int mdfh_bypass_config_check(const struct mdfh_bypass_config *config);

/* Checks the configuration and copies it with every default filled in; what only the backend
 * can decide (hold_max, hugepages, timestamps, direction) stays "default". Pointers are copied
 * as they are. The result is what open uses, where host and port have become flow 0. */
MDFH_API int mdfh_bypass_config_defaults(
    const struct mdfh_bypass_config *config, struct mdfh_bypass_config *filled);

/* Capabilities are reported by an open port, not assumed. */
enum mdfh_place { /* where a piece of work is done */
	MDFH_PLACE_NONE = 0,
	MDFH_PLACE_SOFTWARE = 1, /* in this process */
	MDFH_PLACE_KERNEL = 2,
	MDFH_PLACE_HARDWARE = 3,
};

/* What an open port can do. */
struct mdfh_bypass_capabilities {
	size_t size;
	int zero_copy;              /* 1 = packets are handed out where the NIC wrote them */
	const char *copy_reason;    /* why not, e.g. "kernel"; "" when zero_copy */
	const char *mode;           /* the path in use, in the backend's own words: "native,
	                             * zero-copy, queue 0"; "" = there is only one */
	enum mdfh_place filters;    /* where packets of no flow are discarded */
	enum mdfh_place timestamps; /* best source of receive_ns */
	int can_send;
	int is_stream; /* TCP: bytes, not packets, with marks between connections (packet.h) */
	int is_finite; /* recv will end with -ENODATA */
	uint32_t queues;
	uint32_t hold_max;             /* packets that may be held while recv goes on */
	uint32_t frame_size;           /* longest payload that is not truncated */
	uint64_t receive_buffer_bytes; /* as granted by the kernel */
	int poll_fd;                   /* for poll(2) until close, -1 = none. It also wakes for what
	                                * recv has to do for a connection */
	int numa_node;                 /* node of the packet memory, -1 = unknown */
	int hugepages;                 /* 1 = packet memory is in hugepages */
	int drops_in_recv;   /* 1 = recv brings the counters of drops up to date, else only
	                                * mdfh_bypass_stats does */
	const char *warning; /* what was not granted and how to get it, and since the last
	                                * mdfh_bypass_stats what is wrong with the interface or the
	                                * connection; "" = nothing */
};

/* Counters since open. "dropped" counters belong to the path of this port and name the
 * place; what a backend cannot know stays 0 and is absent from known_drops. */
struct mdfh_bypass_stats {
	uint64_t rx_packets; /* handed out by recv */
	uint64_t rx_bytes;   /* payload bytes of these */
	uint64_t rx_batches; /* recv calls that returned packets */
	uint64_t rx_empty;   /* recv calls that returned none */
	uint64_t rx_truncated;
	uint64_t rx_copied;         /* held past hold_max, or below the zero-copy threshold */
	uint64_t rx_starved;        /* times that no buffer was free: packets waited, held ones must
	                             * be released */
	uint64_t rx_filtered;       /* seen and of no flow */
	uint64_t rx_malformed;      /* frames that are no sound UDP packet; see malformed[] */
	uint64_t rx_dropped_nic;    /* by the NIC or its ring */
	uint64_t rx_dropped_kernel; /* by the kernel's own queues */
	uint64_t rx_dropped_socket; /* socket buffer or backend ring full */
	uint64_t rx_trailers;       /* packets whose time is the trailer's */
	uint64_t rx_trailers_absent;      /* packets without one, though it is configured */
	uint64_t rx_trailers_implausible; /* ... or with one that gives no time near their own */
	uint64_t tx_packets;
	uint64_t tx_bytes;
	uint64_t tx_failed;   /* send could not take them now */
	uint32_t known_drops; /* bits: 1 nic, 2 kernel, 4 socket */
	int32_t last_error; /* streams: errno that ended the newest attempt or connection; 0 = none
	                       * has ended, or the server closed it in order */
	uint64_t connects;  /* streams: connections made */
	uint64_t connect_failures;
	uint64_t disconnects;   /* connections that ended, in order or not */
	uint64_t malformed[16]; /* by enum mdfh_frame_error (mdfh/frame.h) */
};

struct mdfh_bypass; /* opaque: an open port; layout for backends in mdfh/backend.h */

/* Open a port. Slow: allocates and makes system calls. On failure *port is NULL, nothing
 * stays open, and the result is -EINVAL (configuration), -ENOENT (no such backend), -ENOTSUP
 * (not in this build, or not by this backend), -ENOMEM, or what the backend met (-ENODEV,
 * -EPERM, -EADDRINUSE ...). */
MDFH_API int mdfh_bypass_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port);

/* Receive up to n packets (at most batch_size of them). Never waits. Returns the count, 0 =
 * nothing has arrived, -ENODATA at the end of a finite source, -EIO. A lost connection of a stream
 * is no error: a mark says so, and the counters why.
 *
 * Once more than hold_max packets are held, a backend whose packets lie in the NIC's buffers
 * copies (rx_copied); one that copies anyway (capabilities.zero_copy is 0) hands out what its
 * free buffers allow, then nothing until some are released, and packets wait in the queue
 * behind it. */
MDFH_API int mdfh_bypass_recv(struct mdfh_bypass *port, struct mdfh_packet *packets, int n);

/* The same, but waits up to poll_timeout_us for the first packet. */
MDFH_API int mdfh_bypass_recv_wait(struct mdfh_bypass *port, struct mdfh_packet *packets, int n);

/* Give packets back, in any order. A packet that is not held (released twice) is ignored. */
MDFH_API void mdfh_bypass_release(
    struct mdfh_bypass *port, const struct mdfh_packet *packets, int n);

/* Send up to n packets (data, length and flow are read). Returns how many were taken; the
 * rest may be offered again. -ENOTSUP where the backend cannot send.
 *
 * Streams: a packet is taken whole or not at all; the rest of one that the kernel took in part is
 * kept and sent before anything else, by recv or send. While there is no connection none is taken.
 * What was taken and had not left when a connection ended is lost with it. */
MDFH_API int mdfh_bypass_send(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n);

/* Streams: end the connection and make a new one, no sooner than pause_ns from now: the protocol
 * above has found its peer silent, or was refused by it. recv marks the end as it does any other;
 * bytes that had arrived may still come before the mark, or be discarded. Without a connection only
 * the pause counts. -ENOTSUP where the port carries packets. */
MDFH_API int mdfh_bypass_reconnect(struct mdfh_bypass *port, uint64_t pause_ns);

/* Close. Packets still held become invalid. NULL is allowed. */
MDFH_API void mdfh_bypass_close(struct mdfh_bypass *port);

/* Owned by the port, valid until close. */
MDFH_API const struct mdfh_bypass_capabilities *mdfh_bypass_capabilities(
    const struct mdfh_bypass *port);

/* A copy of the counters; cheap, but may make system calls: for the control path. Also brings the
 * warning of the capabilities up to date, and joins groups anew where their interface was made
 * anew. */
MDFH_API int mdfh_bypass_stats(struct mdfh_bypass *port, struct mdfh_bypass_stats *stats);

/* A counter by the name that the device, its driver or the backend gives it. What mdfh makes of the
 * drops among them stands in struct mdfh_bypass_stats. */
struct mdfh_bypass_counter {
	char name[64];
	uint64_t
	    value; /* since open where the source can be told apart, else as the source has it */
};

/* Fills up to max counters and returns how many there are; 0 = the backend has none of its own.
 * May make system calls: for the control path. */
MDFH_API int mdfh_bypass_counters(
    struct mdfh_bypass *port, struct mdfh_bypass_counter *counters, int max);

/* The local UDP or TCP port number that flow was bound to (0 when the backend has none). */
MDFH_API uint16_t mdfh_bypass_local_port(const struct mdfh_bypass *port, uint16_t flow);

/* The backend's name. */
MDFH_API const char *mdfh_bypass_name(const struct mdfh_bypass *port);

/* What there is. Fills up to max entries and returns how many backends are known: those built
 * in, and the modules of the modules folder. A missing one says why. */
struct mdfh_bypass_backend {
	char name[32];
	char description[96];
	char reason[160]; /* why it is not available, "" if it is */
	int available;
	int is_module;
};
MDFH_API int mdfh_bypass_backends(struct mdfh_bypass_backend *backends, int max);

/* Where modules are looked for by name, as mdfh_NAME.so; NULL = the install folder, which is the
 * default. Threads: any; ports that are open keep their module. -EINVAL if the path is not
 * absolute. A module is code: name only a folder that nobody else may write to. */
MDFH_API int mdfh_bypass_set_modules_folder(const char *absolute_folder);

/* Push helper: a thread of its own that receives, calls handler for each batch and releases
 * it afterwards. The thread is pinned as the port's configuration says. */
struct mdfh_push;
/* Called on the receiving thread; packets are released when it returns. */
typedef void (*mdfh_push_handler)(void *context, const struct mdfh_packet *packets, int n);

/* Takes the port over: mdfh_push_stop closes it. */
MDFH_API int mdfh_push_start(
    struct mdfh_bypass *port, mdfh_push_handler handler, void *context, struct mdfh_push **push);

/* 1 while the thread receives, 0 after the source has ended or failed. */
MDFH_API int mdfh_push_running(const struct mdfh_push *push);

/* Ask the thread to stop, join it, close the port. Returns 0, or the error that ended the
 * thread (not -ENODATA, which is a clean end). NULL is allowed. */
MDFH_API int mdfh_push_stop(struct mdfh_push *push);

MDFH_END_DECLS
#endif
