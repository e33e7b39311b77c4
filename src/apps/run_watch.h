/* run_watch.h - what a person at `mdfh run` should hear of at once: lines that fell silent or lost
 * their login, and those that came back; what a line did not bring, and what was lost for which cause.
 * Interfaces that go down are the handler's to tell (mdfh/log.h). */
#ifndef MDFH_APPS_RUN_WATCH_H
#define MDFH_APPS_RUN_WATCH_H

#include "mdfh/handler.h"

struct run_watch;

/* NULL: no memory. handler and config stay the caller's. */
struct run_watch *run_watch_create(
    struct mdfh_handler *handler, const struct mdfh_handler_config *config);
void run_watch_destroy(struct run_watch *watch); /* NULL is allowed */

/* Once a second, say. What is new since the last look goes to standard error, a line each. before
 * stands in front of each, such as the end of a status line. */
void run_watch_look(struct run_watch *watch, const char *before);

#endif
