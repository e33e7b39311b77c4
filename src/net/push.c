/* push.c - a thread that receives for its owner, once for all backends.
 *
 * The thread pins itself before it receives, so that the core is that of the receiving and not that
 * of whoever called. It waits with mdfh_bypass_recv_wait, in slices short enough for a prompt stop. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/lines.h"
#include "mdfh/cpu.h"
#include "mdfh/error.h"
#include "net/net.h"

enum { WAIT_MAX_US = 10000 }; /* between two looks at stop */

struct mdfh_push {
	struct mdfh_bypass *port;
	mdfh_push_handler handler;
	void *context;
	pthread_t thread;
	pthread_mutex_t lock; /* with started: the thread's report about its start */
	pthread_cond_t started;
	int is_started;   /* 1 = pinned and receiving, -1 = the thread has given up */
	int error;        /* that ended the thread; read after the join */
	atomic_int stop;  /* mdfh_push_stop stores, the thread loads: no data goes with it */
	atomic_int alive; /* the thread stores 0 with release at its end; running loads */
	char text[512];   /* the sentence of error, which belongs to another thread */
};

static void fail(struct mdfh_push *push, int error)
{
	push->error = error;
	snprintf(push->text, sizeof(push->text), "%s", mdfh_error_text());
}

static void receive(struct mdfh_push *push)
{
	struct mdfh_packet packets[MDFH_BYPASS_BATCH_MAX];

	while (!atomic_load_explicit(&push->stop, memory_order_relaxed)) {
		int n = mdfh_bypass_recv_wait(push->port, packets, MDFH_BYPASS_BATCH_MAX);

		if (n > 0) {
			push->handler(push->context, packets, n);
			mdfh_bypass_release(push->port, packets, n);
		} else if (n < 0) {
			if (n != -ENODATA)
				fail(push, n);
			break;
		}
	}
}

static void *run(void *argument)
{
	struct mdfh_push *push = argument;
	int error = push->port->cpu_core ? mdfh_cpu_pin(push->port->cpu_core - 1) : 0;

	pthread_mutex_lock(&push->lock);
	if (error)
		fail(push, error);
	push->is_started = error ? -1 : 1;
	pthread_cond_signal(&push->started);
	pthread_mutex_unlock(&push->lock);
	if (!error)
		receive(push);
	atomic_store_explicit(&push->alive, 0, memory_order_release);
	return NULL;
}

int mdfh_push_start(
    struct mdfh_bypass *port, mdfh_push_handler handler, void *context, struct mdfh_push **result)
{
	struct mdfh_push *push;
	int rc, failed;

	*result = NULL;
	push = mdfh_lines_alloc(1, sizeof(*push));
	if (!push)
		return mdfh_error(-ENOMEM, "push: %zu bytes", sizeof(*push));
	push->port = port;
	push->handler = handler;
	push->context = context;
	atomic_init(&push->alive, 1);
	pthread_mutex_init(&push->lock, NULL);
	pthread_cond_init(&push->started, NULL);
	if (port->poll_timeout_us > WAIT_MAX_US)
		port->poll_timeout_us = WAIT_MAX_US;

	rc = -pthread_create(&push->thread, NULL, run, push);
	if (rc) {
		mdfh_error_errno(rc, "push: no thread");
		goto fail_free;
	}
	pthread_mutex_lock(&push->lock);
	while (!push->is_started)
		pthread_cond_wait(&push->started, &push->lock);
	failed = push->is_started < 0;
	pthread_mutex_unlock(&push->lock);
	if (failed) {
		pthread_join(push->thread, NULL);
		rc = mdfh_error(push->error, "%s", push->text);
		goto fail_free;
	}
	*result = push;
	return 0;

fail_free:
	pthread_cond_destroy(&push->started);
	pthread_mutex_destroy(&push->lock);
	free(push);
	return rc;
}

int mdfh_push_running(const struct mdfh_push *push)
{
	return atomic_load_explicit(&push->alive, memory_order_acquire);
}

int mdfh_push_stop(struct mdfh_push *push)
{
	int rc;

	if (!push)
		return 0;
	atomic_store_explicit(&push->stop, 1, memory_order_relaxed);
	pthread_join(push->thread, NULL);
	rc = push->error;
	if (rc)
		mdfh_error(rc, "%s", push->text);
	mdfh_bypass_close(push->port);
	pthread_cond_destroy(&push->started);
	pthread_mutex_destroy(&push->lock);
	free(push);
	return rc;
}
