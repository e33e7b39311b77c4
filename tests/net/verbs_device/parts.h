/* parts.h - what the parts of the device of software know of one another: device.c, queue.c, wire.c. */
#ifndef MDFH_TESTS_VERBS_DEVICE_PARTS_H
#define MDFH_TESTS_VERBS_DEVICE_PARTS_H

#include "verbs_device.h"

enum { ORDERS_MAX = 32768, SLOTS_MAX = 65536 };

struct completion {
	uint64_t id, stamp;
	enum ibv_wc_status status;
	uint32_t length, immediate;
	unsigned flags;
};

struct queue { /* of completions; the first member serves as either kind */
	struct ibv_cq_ex base;
	struct pair *pair; /* whose receptions it has */
	uint32_t head, tail;
	int is_armed;
	struct completion slots[SLOTS_MAX];
};

struct pair {
	struct ibv_qp base;
	struct queue *receives, *sends;
	int socket; /* that frames come from, -1 = none */
	enum ibv_qp_state state;
	uint32_t head, tail;
	struct {
		uint8_t *bytes;
		uint32_t length;
		uint64_t id;
	} orders[ORDERS_MAX];
};

struct way { /* of what is sent */
	struct ibv_ah base;
	uint16_t lid;
	uint8_t hop_limit;
	int users; /* sends that have not left */
};

struct channel {
	struct ibv_comp_channel base;
	int eventfd;
	struct queue *queue;
};

extern struct pair *vdev_receiver; /* the queue pair made last that receives */

/* Objects that are counted. NULL: the call is to fail. */
void *vdev_made(const char *call, size_t bytes);
int vdev_gone(void *object);

/* queue.c: one more completion. */
void vdev_complete(struct queue *queue, struct completion completion);
void vdev_queue_calls(struct verbs_context *to);

/* wire.c: the environment's interface, NULL = none, and what kind of stamps it says. */
const char *vdev_wired_to(enum vdev_stamps *stamps);
int vdev_wire_open(void); /* a socket, -1 = there is no interface */
/* Frames of the interface that a rule matches, into buffers. */
void vdev_wire_receive(struct pair *pair);
void vdev_rule_calls(struct verbs_context *to);

#endif
