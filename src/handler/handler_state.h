/* handler_state.h - what a handler consists of: shared by the files that implement it. */
#ifndef MDFH_HANDLER_HANDLER_STATE_H
#define MDFH_HANDLER_HANDLER_STATE_H

#include <pthread.h>

#include "handler/interfaces.h"
#include "handler/plan.h"
#include "handler/receiver.h"
#include "handler/worker.h"

/* Where a channel or a port of the handler is: which receive thread, and its number there. */
struct place {
	unsigned thread;
	unsigned index;
};

/* Who keeps books: a receive thread, or a worker of one. */
struct shard {
	struct mdfh_engine *engine;
	unsigned thread;
	struct mdfh_worker *worker; /* NULL = the receive thread itself */
};

struct mdfh_handler {
	struct mdfh_plan plan;
	struct mdfh_receiver *receivers;
	unsigned receiver_count;
	struct mdfh_worker *workers; /* of all receive threads, in their order */
	unsigned worker_count;
	struct shard *shards;
	unsigned shard_count;
	struct place *channels;
	char (*channel_names)[64];
	unsigned channel_count;
	struct place *ports;
	unsigned port_count;
	struct mdfh_consumer **consumers;
	char (*consumer_names)[64];
	unsigned consumer_count;
	struct mdfh_histogram *merged[MDFH_STAGES]; /* of all consumers, made when asked for */

	struct mdfh_interfaces *interfaces; /* of the control thread */
	pthread_t control;
	int control_started;
	pthread_mutex_t control_lock;
	pthread_cond_t control_wake;
	int control_stop;
};

/* A receive thread with its workers and consumers: memory first, then its ports. */
int mdfh_setup_thread(
    struct mdfh_handler *handler, const struct mdfh_handler_config *config, unsigned thread);

#endif
