/* etherfabric/ef_vi.h - of the software device: the names that a program uses of the header of this name,
 * laid out in the device's own way. Numbers and structures are none of any NIC's: a program that goes by
 * the names works with either, after it has been compiled for it. */
#ifndef EF_VI_DEVICE_EF_VI_H
#define EF_VI_DEVICE_EF_VI_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

typedef int ef_driver_handle;
typedef uint64_t ef_addr;
typedef int ef_request_id;
#define ef_timespec struct timespec

#define EF_REQUEST_ID_MASK       0xffffffff
#define EF_VI_RECEIVE_BATCH      15
#define EF_VI_EVENT_POLL_MIN_EVS 2

enum {
	EF_EVENT_TYPE_TX = 100,
	EF_EVENT_TYPE_SW,
	EF_EVENT_TYPE_RX,
	EF_EVENT_TYPE_RX_DISCARD,
	EF_EVENT_TYPE_RX_MULTI,
	EF_EVENT_TYPE_RX_MULTI_DISCARD,
	EF_EVENT_TYPE_RX_MULTI_PKTS,
	EF_EVENT_TYPE_RX_REF,
	EF_EVENT_TYPE_RX_REF_DISCARD,
	EF_EVENT_TYPE_RX_NO_DESC_TRUNC,
	EF_EVENT_TYPE_OFLOW,
	EF_EVENT_TYPE_RESET,
};

#define EF_EVENT_FLAG_CONT 0x10
#define EF_EVENT_FLAG_SOP  0x20

enum {
	EF_EVENT_RX_DISCARD_OTHER = 7,
	EF_EVENT_RX_DISCARD_INNER_CSUM_BAD,
	EF_EVENT_RX_DISCARD_EV_ERROR,
	EF_EVENT_RX_DISCARD_RIGHTS,
	EF_EVENT_RX_DISCARD_TRUNC,
	EF_EVENT_RX_DISCARD_CRC_BAD,
	EF_EVENT_RX_DISCARD_MCAST_MISMATCH,
	EF_EVENT_RX_DISCARD_CSUM_BAD,
};

typedef union {
	struct {
		unsigned type;
	} generic;
	struct {
		unsigned type;
		uint32_t rq_id;
		uint16_t len;
		uint16_t flags;
	} rx;
	struct {
		unsigned type;
		uint32_t rq_id;
		uint16_t len;
		uint16_t flags;
		uint16_t subtype;
	} rx_discard;
	struct {
		unsigned type;
		uint16_t n_descs;
		uint16_t flags;
		uint16_t subtype;
	} rx_multi, rx_multi_discard;
	struct {
		unsigned type;
		uint16_t n_pkts;
	} rx_multi_pkts;
	struct {
		unsigned type;
		uint32_t pkt_id;
		uint16_t len;
	} rx_ref;
	struct {
		unsigned type;
		uint32_t pkt_id;
		uint16_t len;
		uint16_t flags;
	} rx_ref_discard;
} ef_event;

#define EF_EVENT_TYPE(e)                  ((e).generic.type)
#define EF_EVENT_RX_RQ_ID(e)              ((e).rx.rq_id)
#define EF_EVENT_RX_BYTES(e)              ((e).rx.len)
#define EF_EVENT_RX_DISCARD_RQ_ID(e)      ((e).rx_discard.rq_id)
#define EF_EVENT_RX_DISCARD_BYTES(e)      ((e).rx_discard.len)
#define EF_EVENT_RX_DISCARD_TYPE(e)       ((e).rx_discard.subtype)
#define EF_EVENT_RX_MULTI_DISCARD_TYPE(e) ((e).rx_multi_discard.subtype)

#define EF_VI_SYNC_FLAG_CLOCK_SET     0x4
#define EF_VI_SYNC_FLAG_CLOCK_IN_SYNC 0x8

enum ef_vi_flags {
	EF_VI_FLAGS_DEFAULT = 0,
	EF_VI_RX_EVENT_MERGE = 0x10,
	EF_VI_RX_TIMESTAMPS = 0x20,
};

enum ef_vi_out_flags { EF_VI_OUT_CLOCK_SYNC_STATUS = 0x40 };

enum ef_vi_rx_discard_err_flags {
	EF_VI_DISCARD_RX_ETH_LEN_ERR = 0x1,
	EF_VI_DISCARD_RX_ETH_FCS_ERR = 0x2,
	EF_VI_DISCARD_RX_INNER_L3_CSUM_ERR = 0x4,
	EF_VI_DISCARD_RX_INNER_L4_CSUM_ERR = 0x8,
	EF_VI_DISCARD_RX_L3_CSUM_ERR = 0x10,
	EF_VI_DISCARD_RX_L4_CSUM_ERR = 0x20,
	EF_VI_DISCARD_RX_L4_CLASS_OTHER = 0x40,
};

struct efdev_queue;

typedef struct ef_vi {
	struct efdev_queue *queue;
	unsigned prefix, buffer, slots;
	enum ef_vi_out_flags vi_out_flags;
	struct {
		int (*receive_init)(struct ef_vi *vi, ef_addr address, ef_request_id id);
		void (*receive_push)(struct ef_vi *vi);
		int (*eventq_poll)(struct ef_vi *vi, ef_event *events, int max);
		unsigned (*eventq_current)(const struct ef_vi *vi);
	} calls;
} ef_vi;

static inline int ef_vi_receive_prefix_len(const ef_vi *vi)
{
	return (int)vi->prefix;
}

static inline int ef_vi_receive_capacity(const ef_vi *vi)
{
	return (int)vi->slots - 1;
}

static inline void ef_vi_receive_set_buffer_len(ef_vi *vi, unsigned bytes)
{
	vi->buffer = bytes;
}

static inline unsigned ef_eventq_current(ef_vi *vi)
{
	return vi->calls.eventq_current(vi);
}

#define ef_vi_receive_init(vi, address, id) ((vi)->calls.receive_init((vi), (address), (id)))
#define ef_vi_receive_push(vi)              ((vi)->calls.receive_push((vi)))
#define ef_eventq_poll(vi, events, max)     ((vi)->calls.eventq_poll((vi), (events), (max)))

const char *ef_vi_version_str(void);
int ef_vi_receive_unbundle(ef_vi *vi, const ef_event *event, ef_request_id *ids);
int ef_vi_receive_get_bytes(ef_vi *vi, const void *packet, uint16_t *bytes);
ef_request_id ef_vi_rxq_next_desc_id(ef_vi *vi);
int ef_vi_receive_get_discard_flags(ef_vi *vi, const void *packet, unsigned *flags);
int ef_vi_receive_get_timestamp_with_sync_flags(
    ef_vi *vi, const void *packet, ef_timespec *time, unsigned *flags);

#endif
