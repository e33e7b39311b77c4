/* receiver.h - a receive thread around a pipeline: pinned, spinning or waiting, stopped. */
#ifndef MDFH_HANDLER_RECEIVER_H
#define MDFH_HANDLER_RECEIVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "handler/pipeline.h"

struct mdfh_receiver {
	struct mdfh_pipeline *pipeline;
	uint32_t cpu_core; /* MDFH_CORE(n) or 0 */
	enum mdfh_idle idle;
	uint32_t poll_timeout_us;
	char name[16];

	pthread_t thread;
	int started;
	_Alignas(MDFH_CACHE_LINE) atomic_bool stop; /* looked at by the thread at every turn */
	/* The thread's, at its end. The release store at the thread's end pairs with the acquire load of
	 * mdfh_receiver_running: a reader that sees 0 sees the books as they ended. */
	_Alignas(MDFH_CACHE_LINE) atomic_bool running;
	int error; /* of a port that died, valid once joined; 0 = none did */
	char error_text[512];
};

/* Returns when the thread has been pinned, or with the reason why it could not be. */
int mdfh_receiver_start(struct mdfh_receiver *receiver);
int mdfh_receiver_running(const struct mdfh_receiver *receiver);
/* Stop and join. 0, or what a port died of, with its sentence. */
int mdfh_receiver_stop(struct mdfh_receiver *receiver);

#endif
