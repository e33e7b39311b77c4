/* receiver.c - the receive thread. */
#include "handler/receiver.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>

#include "mdfh/cpu.h"
#include "mdfh/error.h"

struct start {
	struct mdfh_receiver *receiver;
	sem_t ready;
	int error;
	char text[512];
};

static void *receive(void *argument)
{
	struct start *start = argument;
	struct mdfh_receiver *r = start->receiver;
	uint32_t timeout_us = r->poll_timeout_us ? r->poll_timeout_us : 1000;
	int spin = r->idle == MDFH_IDLE_SPIN || (r->idle == MDFH_IDLE_DEFAULT && r->cpu_core != 0);
	const char *text;
	int n;

	if (r->cpu_core)
		start->error = mdfh_cpu_pin(r->cpu_core - 1);
	if (start->error) {
		snprintf(start->text, sizeof(start->text), "%s", mdfh_error_text());
		atomic_store_explicit(&r->running, false, memory_order_release);
		sem_post(&start->ready);
		return NULL;
	}
	sem_post(&start->ready); /* start is gone from here on */

	while (!atomic_load_explicit(&r->stop, memory_order_relaxed)) {
		n = mdfh_pipeline_poll(r->pipeline);
		if (n > 0)
			continue;
		if (n < 0)
			break;
		if (!spin)
			mdfh_pipeline_wait(r->pipeline, timeout_us);
	}
	mdfh_pipeline_finish(r->pipeline);
	r->error = mdfh_pipeline_error(r->pipeline, &text);
	snprintf(r->error_text, sizeof(r->error_text), "%s", text);
	atomic_store_explicit(&r->running, false, memory_order_release);
	return NULL;
}

int mdfh_receiver_start(struct mdfh_receiver *r)
{
	struct start start = {.receiver = r};
	int err;

	if (r->started)
		return mdfh_error(-EALREADY, "receive thread %s runs already", r->name);
	sem_init(&start.ready, 0, 0);
	atomic_store_explicit(&r->stop, false, memory_order_relaxed);
	atomic_store_explicit(&r->running, true, memory_order_relaxed);
	r->error = 0;
	err = -pthread_create(&r->thread, NULL, receive, &start);
	if (err) {
		atomic_store_explicit(&r->running, false, memory_order_relaxed);
		sem_destroy(&start.ready);
		return mdfh_error_errno(err, "receive thread %s", r->name);
	}
	pthread_setname_np(r->thread, r->name);
	while (sem_wait(&start.ready) && errno == EINTR)
		;
	sem_destroy(&start.ready);
	if (start.error) {
		pthread_join(r->thread, NULL);
		return mdfh_error(start.error, "receive thread %s: %s", r->name, start.text);
	}
	r->started = 1;
	return 0;
}

int mdfh_receiver_running(const struct mdfh_receiver *r)
{
	return atomic_load_explicit(&r->running, memory_order_acquire);
}

int mdfh_receiver_stop(struct mdfh_receiver *r)
{
	if (!r->started)
		return 0;
	atomic_store_explicit(&r->stop, true, memory_order_relaxed);
	pthread_join(r->thread, NULL);
	r->started = 0;
	mdfh_pipeline_refresh(r->pipeline);
	if (r->error)
		return mdfh_error(r->error, "receive thread %s: %s", r->name, r->error_text);
	return 0;
}
