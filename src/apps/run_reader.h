/* run_reader.h - the thread of `mdfh run` that reads its own consumer, as a strategy would. */
#ifndef MDFH_APPS_RUN_READER_H
#define MDFH_APPS_RUN_READER_H

#include "apps/run_report.h"

struct run_reader;

/* Read consumer of handler until run_reader_end, which reads what is left: counts into consumed; print:
 * every event to standard output. 0, or a negative errno value with a sentence. */
int run_reader_begin(struct mdfh_handler *handler, struct mdfh_consumer *consumer,
    struct run_consumed *consumed, int print, struct run_reader **reader);
void run_reader_end(struct run_reader *reader); /* NULL is allowed */

#endif
