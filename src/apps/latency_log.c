/* latency_log.c - what the handler's histograms gained in an interval, a line per stage.
 *
 * The handler's threads go on recording meanwhile and know nothing of it: what they have recorded so
 * far, less what was there at the end of the last interval, is this one. */
#include "apps/latency_log.h"

#include <errno.h>
#include <stdlib.h>

#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "mdfh/histogram_log.h"

struct latency_log {
	struct mdfh_handler *handler;
	struct mdfh_histogram_log *file;
	uint64_t interval_ns;
	uint64_t from_ns; /* where the current interval began */
	int error;
	struct mdfh_histogram *before[MDFH_STAGES]; /* as they were then */
	struct mdfh_histogram *now;
	struct mdfh_histogram *since;
};

int latency_log_has_handover(const struct mdfh_handler *handler)
{
	/* A receive thread without workers is a shard. */
	return mdfh_handler_threads(handler) != mdfh_handler_shards(handler);
}

static void destroy(struct latency_log *log)
{
	for (unsigned s = 0; s < MDFH_STAGES; s++)
		mdfh_histogram_destroy(log->before[s]);
	mdfh_histogram_destroy(log->now);
	mdfh_histogram_destroy(log->since);
	free(log);
}

int latency_log_open(
    const char *path, uint32_t interval_ms, struct mdfh_handler *handler, struct latency_log **log)
{
	struct latency_log *l = calloc(1, sizeof(*l));
	int err = 0;

	*log = NULL;
	if (!l)
		return mdfh_error(-ENOMEM, "latency log: out of memory");
	l->handler = handler;
	l->interval_ns = (interval_ms ? interval_ms : 1000u) * 1000000ull;
	for (unsigned s = 0; !err && s < MDFH_STAGES; s++)
		err = mdfh_histogram_create(MDFH_STAGE_MAX_NS, &l->before[s]);
	if (!err)
		err = mdfh_histogram_create(MDFH_STAGE_MAX_NS, &l->now);
	if (!err)
		err = mdfh_histogram_create(MDFH_STAGE_MAX_NS, &l->since);
	l->from_ns = mdfh_clock_now_ns();
	if (!err)
		err = mdfh_histogram_log_open(path, l->from_ns, &l->file);
	if (err) {
		destroy(l);
		return err;
	}
	*log = l;
	return 0;
}

static int write_interval(struct latency_log *log, uint64_t to_ns)
{
	int err = 0;

	for (unsigned s = 0; !err && s < MDFH_STAGES; s++) {
		const struct mdfh_histogram *part;

		if (s == MDFH_STAGE_HANDOVER && !latency_log_has_handover(log->handler))
			continue;
		mdfh_histogram_reset(log->now);
		mdfh_histogram_reset(log->since);
		for (unsigned t = 0; (part = mdfh_handler_latency(log->handler, t, s)); t++)
			mdfh_histogram_add(log->now, part);
		mdfh_histogram_add(log->since, log->now);
		mdfh_histogram_subtract(log->since, log->before[s]);
		err = mdfh_histogram_log_write(
		    log->file, mdfh_stage_name(s), log->from_ns, to_ns, log->since);
		mdfh_histogram_reset(log->before[s]);
		mdfh_histogram_add(log->before[s], log->now);
	}
	log->from_ns = to_ns;
	log->error = err;
	return err;
}

int latency_log_tick(struct latency_log *log)
{
	uint64_t now_ns = mdfh_clock_now_ns();

	/* A moment early, rather than a whole turn of the caller late. A clock that was set back ends
	 * the interval. */
	if (log->error ||
	    (now_ns >= log->from_ns && now_ns + 20000000 < log->from_ns + log->interval_ns))
		return log->error;
	return write_interval(log, now_ns);
}

int latency_log_close(struct latency_log *log)
{
	int err;
	int close_err;

	if (!log)
		return 0;
	err = log->error ? log->error : write_interval(log, mdfh_clock_now_ns());
	close_err = mdfh_histogram_log_close(log->file);
	destroy(log);
	return err ? err : close_err;
}
