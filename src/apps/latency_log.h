/* latency_log.h - where time goes, interval by interval: mdfh run --latency-log. */
#ifndef MDFH_APPS_LATENCY_LOG_H
#define MDFH_APPS_LATENCY_LOG_H

#include "mdfh/handler.h"

struct latency_log;

/* Before the handler starts. interval_ms 0: 1000. */
int latency_log_open(
    const char *path, uint32_t interval_ms, struct mdfh_handler *handler, struct latency_log **log);

/* Writes a line per stage, of all receive threads together, when an interval is over. After an error
 * nothing more is written. */
int latency_log_tick(struct latency_log *log);

/* The interval that is not over yet, and the end. NULL is allowed. */
int latency_log_close(struct latency_log *log);

/* Whether any thread has workers: without them that stage does not exist. */
int latency_log_has_handover(const struct mdfh_handler *handler);

#endif
