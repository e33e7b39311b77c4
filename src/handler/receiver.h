/* receiver.h - a receive thread around a pipeline: spinning or waiting, stopped. */
#ifndef MDFH_HANDLER_RECEIVER_H
#define MDFH_HANDLER_RECEIVER_H

#include "handler/pipeline.h"
#include "handler/thread.h"

struct mdfh_receiver {
	struct mdfh_pipeline *pipeline;
	uint32_t poll_timeout_us;
	struct mdfh_thread thread;
	/* The thread's, valid once joined: of a port that died; 0 = none did. */
	_Alignas(MDFH_CACHE_LINE) int error;
	char error_text[512];
};

/* Returns when the thread has been pinned, or with the reason why it could not be. */
int mdfh_receiver_start(struct mdfh_receiver *receiver);
/* Stop and join. 0, or what a port died of, with its sentence. With workers the pipeline is still to be
 * refreshed, once they have ended. */
int mdfh_receiver_stop(struct mdfh_receiver *receiver);

#endif
