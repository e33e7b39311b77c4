/* receiver.c - the receive thread. */
#include "handler/receiver.h"

#include <stdio.h>

#include "mdfh/error.h"

static const char what[] = "receive thread";

static void receive(void *context)
{
	struct mdfh_receiver *r = context;
	uint32_t timeout_us = r->poll_timeout_us ? r->poll_timeout_us : 1000;
	int spin = mdfh_thread_spins(&r->thread);
	const char *text;
	int n;

	mdfh_pipeline_begin(r->pipeline);
	while (!atomic_load_explicit(&r->thread.stop, memory_order_relaxed)) {
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
}

int mdfh_receiver_start(struct mdfh_receiver *r)
{
	if (!r->thread.started)
		r->error = 0;
	return mdfh_thread_start(&r->thread, what, receive, r);
}

int mdfh_receiver_stop(struct mdfh_receiver *r)
{
	if (!mdfh_thread_stop(&r->thread))
		return 0;
	/* Workers that have not ended yet still write to the counts of their rings. */
	if (!mdfh_pipeline_dispatch(r->pipeline))
		mdfh_pipeline_refresh(r->pipeline);
	if (r->error)
		return mdfh_error(r->error, "%s %s: %s", what, r->thread.name, r->error_text);
	return 0;
}
