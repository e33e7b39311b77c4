/* device.h - what the files of the software device share: its parts (device.c), queues and their events
 * (queue.c), memory of its own for references (references.c), filters (filter.c), the wire (wire.c). */
#ifndef EF_VI_DEVICE_DEVICE_H
#define EF_VI_DEVICE_DEVICE_H

#include <etherfabric/capabilities.h>
#include <etherfabric/efct_vi.h>
#include <etherfabric/memreg.h>
#include <etherfabric/pd.h>
#include <etherfabric/vi.h>

#include "ef_vi_device.h"

enum {
	EFDEV_SLOTS_MAX = 4096,
	EFDEV_FRAME_MAX = 16384,
	EFDEV_FILTERS_MAX = 512,
	EFDEV_SUPERBUFFERS_MAX = 64,
	EFDEV_PER_SUPERBUFFER = 16,
	EFDEV_SLOT_BYTES = 2048,
};

/* Before a frame in its first buffer, where the queue has stamps or merges events. */
struct efdev_prefix {
	uint64_t time_ns;
	uint32_t discard_flags;
	uint16_t length;
};

struct efdev_filter {
	uint64_t number;
	ef_filter_spec spec;
};

struct efdev_superbuffer {
	uint8_t bytes[EFDEV_PER_SUPERBUFFER][EFDEV_SLOT_BYTES];
	uint64_t time_ns[EFDEV_PER_SUPERBUFFER];
	uint8_t held[EFDEV_PER_SUPERBUFFER];
	uint32_t used, references;
};

struct efdev_wire {
	int fd;
	uint8_t *ring;
	uint32_t at;
};

struct efdev_queue {
	struct efdev_queue *next;
	ef_vi *vi;
	int interface;
	ef_driver_handle handle;
	int is_primed; /* the next event makes the handle readable */
	unsigned flags;
	int is_by_reference;
	struct {
		ef_addr address;
		ef_request_id id;
	} slots[EFDEV_SLOTS_MAX];
	uint32_t slot_count;
	uint32_t added, pushed, used;        /* by the program, with the NIC, filled */
	ef_request_id done[EFDEV_SLOTS_MAX]; /* of merged events, in the order of completion */
	uint32_t done_head, done_tail;
	ef_event events[2 * EFDEV_SLOTS_MAX];
	uint32_t event_head, event_tail, events_max;
	int has_overflowed;
	uint64_t no_buffers;
	struct efdev_filter filters[EFDEV_FILTERS_MAX];
	uint32_t filter_count;
	struct efdev_superbuffer *superbuffers;
	uint32_t superbuffer_count, current;
	struct efdev_wire wire;
};

extern struct efdev_config efdev_settings;
extern struct efdev_queue *efdev_queues; /* the newest first */

int efdev_strike(const char *name);
/* The queue's handle becomes readable. */
void efdev_wake(const struct efdev_queue *q);
void efdev_fault(const char *what);
/* Memory that the program has registered, length bytes of one page; NULL and a fault if it has not. */
uint8_t *efdev_memory(ef_addr address, uint32_t length);

/* queue.c */
void efdev_queue_calls(ef_vi *vi);
int efdev_queue_take(struct efdev_queue *q, const struct efdev_frame *frame);
ef_event *efdev_queue_event(struct efdev_queue *q); /* NULL = it overflows */
int efdev_time(uint64_t time_ns, ef_timespec *time, unsigned *flags);

/* references.c */
int efdev_references_open(struct efdev_queue *q);
int efdev_references_take(struct efdev_queue *q, const struct efdev_frame *frame);
void efdev_references_close(struct efdev_queue *q);

/* filter.c */
int efdev_filters_match(const struct efdev_queue *q, const uint8_t *bytes, uint32_t length);

/* wire.c: frames go to efdev_queue_take where a filter matches. */
int efdev_wire_open(struct efdev_wire *wire, int interface);
void efdev_wire_poll(struct efdev_queue *q);
void efdev_wire_close(struct efdev_wire *wire);

#endif
