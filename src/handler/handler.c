/* handler.c - a handler's life; the control thread. */
#include "mdfh/handler.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/lines.h"
#include "handler/handler_state.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "net/net.h"

/* Setup ----------------------------------------------------------------------------------- */

int mdfh_handler_create(const struct mdfh_handler_config *config, struct mdfh_handler **handler)
{
	struct mdfh_handler *h;
	pthread_condattr_t monotonic;
	unsigned workers = 0;
	int err;

	*handler = NULL;
	err = mdfh_clock_start();
	if (err)
		return err;
	h = calloc(1, sizeof(*h));
	if (!h)
		return mdfh_error(-ENOMEM, "handler: out of memory");
	err = mdfh_plan_make(config, &h->plan);
	if (err) {
		free(h);
		return err;
	}
	pthread_mutex_init(&h->control_lock, NULL);
	/* Not the default clock: one that is set back would keep the thread waiting. */
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&h->control_wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	h->receiver_count = config->threads_count ? config->threads_count : 1;
	h->channel_count = config->channels_count;
	h->consumer_count = config->consumers_count;
	for (unsigned i = 0; i < h->receiver_count; i++) {
		unsigned n = h->plan.threads[i].workers;

		workers += n;
		h->shard_count += n ? n : 1;
	}
	h->receivers = mdfh_lines_alloc(h->receiver_count, sizeof(*h->receivers));
	h->workers = mdfh_lines_alloc(workers, sizeof(*h->workers));
	h->shards = calloc(h->shard_count, sizeof(*h->shards));
	h->channels = calloc(h->channel_count, sizeof(*h->channels));
	h->channel_names = calloc(h->channel_count, sizeof(*h->channel_names));
	h->ports = calloc((size_t)h->channel_count * MDFH_LINES_MAX, sizeof(*h->ports));
	h->consumers = calloc(h->consumer_count + 1, sizeof(struct mdfh_consumer *));
	h->consumer_names = calloc(h->consumer_count + 1, sizeof(*h->consumer_names));
	if (!h->receivers || !h->workers || !h->shards || !h->channels || !h->channel_names ||
	    !h->ports || !h->consumers || !h->consumer_names) {
		err = mdfh_error(-ENOMEM, "handler: out of memory");
		goto fail;
	}
	for (unsigned i = 0; i < h->channel_count; i++) {
		const char *name = config->channels[i].name;

		snprintf(h->channel_names[i], sizeof(h->channel_names[i]), "%s",
		    name ? name : config->channels[i].protocol);
	}
	for (unsigned i = 0; i < h->consumer_count; i++)
		snprintf(h->consumer_names[i], sizeof(h->consumer_names[i]), "%s",
		    config->consumers[i].name);
	for (int i = 0; i < MDFH_STAGES; i++) {
		err = mdfh_histogram_create(MDFH_STAGE_MAX_NS, &h->merged[i]);
		if (err)
			goto fail;
	}
	for (unsigned i = 0; i < h->receiver_count; i++) {
		err = mdfh_setup_thread(h, config, i);
		if (err)
			goto fail;
	}
	err = mdfh_interfaces_create(config, &h->interfaces);
	if (err)
		goto fail;
	*handler = h;
	return 0;

fail:
	mdfh_handler_destroy(h);
	return err;
}

/* Control thread ---------------------------------------------------------------------------- */

/* What may make system calls: the kernel's drop counter a hundred times a second, well within the
 * time that a hole stays open; the clock and the lines' interfaces once a second. */
static void *control(void *argument)
{
	struct mdfh_handler *h = argument;
	int fd = mdfh_kernel_drops_open();

	pthread_mutex_lock(&h->control_lock);
	for (unsigned turn = 1; !h->control_stop; turn++) {
		struct timespec until;
		uint64_t drops;

		if (fd >= 0 && mdfh_kernel_drops_read(fd, &drops))
			for (unsigned i = 0; i < h->receiver_count; i++)
				mdfh_pipeline_kernel_drops(h->receivers[i].pipeline, drops);
		if (turn % 100 == 0) {
			mdfh_clock_recalibrate();
			mdfh_interfaces_look(h->interfaces);
		}
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += 10000000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_nsec -= 1000000000;
			until.tv_sec++;
		}
		pthread_cond_timedwait(&h->control_wake, &h->control_lock, &until);
	}
	pthread_mutex_unlock(&h->control_lock);
	if (fd >= 0)
		close(fd);
	return NULL;
}

static void stop_control(struct mdfh_handler *h)
{
	if (!h->control_started)
		return;
	pthread_mutex_lock(&h->control_lock);
	h->control_stop = 1;
	pthread_cond_signal(&h->control_wake);
	pthread_mutex_unlock(&h->control_lock);
	pthread_join(h->control, NULL);
	h->control_started = 0;
}

int mdfh_handler_start(struct mdfh_handler *h)
{
	int err;

	if (h->control_started)
		return mdfh_error(-EALREADY, "handler: it runs already; stop it first");
	h->control_stop = 0;
	err = -pthread_create(&h->control, NULL, control, h);
	if (err)
		return mdfh_error_errno(err, "control thread");
	h->control_started = 1;
	for (unsigned i = 0; i < h->receiver_count; i++) {
		err = mdfh_receiver_start(&h->receivers[i]);
		/* After it, since they run for as long as it does. */
		for (unsigned w = 0; !err && w < h->worker_count; w++)
			if (h->workers[w].receiver == &h->receivers[i].thread)
				err = mdfh_worker_start(&h->workers[w]);
		if (err) {
			char text[512];

			/* Stopping the others must not hide why. */
			snprintf(text, sizeof(text), "%s", mdfh_error_text());
			mdfh_handler_stop(h);
			return mdfh_error(err, "%s", text);
		}
	}
	return 0;
}

int mdfh_handler_running(const struct mdfh_handler *h)
{
	for (unsigned i = 0; i < h->receiver_count; i++)
		if (mdfh_thread_running(&h->receivers[i].thread))
			return 1;
	for (unsigned i = 0; i < h->worker_count; i++)
		if (mdfh_thread_running(&h->workers[i].thread))
			return 1;
	return 0;
}

int mdfh_handler_session_ended(const struct mdfh_handler *h)
{
	for (unsigned i = 0; i < h->receiver_count; i++)
		if (!mdfh_pipeline_session_ended(h->receivers[i].pipeline))
			return 0;
	return 1;
}

int mdfh_handler_stop(struct mdfh_handler *h)
{
	char text[512] = "";
	int first = 0;
	int ended = 0;

	for (unsigned i = 0; i < h->receiver_count; i++) {
		int err = mdfh_receiver_stop(&h->receivers[i]);

		if (err && !first) {
			first = err;
			snprintf(text, sizeof(text), "%s", mdfh_error_text());
		}
	}
	for (unsigned i = 0; i < h->worker_count; i++)
		ended |= mdfh_worker_stop(&h->workers[i]);
	/* What workers were told at their end is in the counts of their receive threads. */
	for (unsigned i = 0; ended && i < h->receiver_count; i++)
		mdfh_pipeline_refresh(h->receivers[i].pipeline);
	stop_control(h);
	return first ? mdfh_error(first, "%s", text) : 0;
}

void mdfh_handler_destroy(struct mdfh_handler *h)
{
	if (!h)
		return;
	if (h->receivers && h->workers) {
		mdfh_handler_stop(h);
		for (unsigned i = 0; i < h->worker_count; i++)
			mdfh_worker_destroy(&h->workers[i]);
		for (unsigned i = 0; i < h->receiver_count; i++)
			mdfh_pipeline_destroy(h->receivers[i].pipeline);
	}
	for (int i = 0; i < MDFH_STAGES; i++)
		mdfh_histogram_destroy(h->merged[i]);
	mdfh_interfaces_destroy(h->interfaces);
	pthread_cond_destroy(&h->control_wake);
	pthread_mutex_destroy(&h->control_lock);
	free(h->consumer_names);
	free(h->consumers);
	free(h->ports);
	free(h->channel_names);
	free(h->channels);
	free(h->shards);
	free(h->workers);
	free(h->receivers);
	free(h);
}
