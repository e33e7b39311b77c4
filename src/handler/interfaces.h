/* interfaces.h - the network devices that a handler's lines come in on, watched by the control
 * thread: one that goes down, loses its carrier or is gone is told through mdfh_log, and so is its
 * return. */
#ifndef MDFH_HANDLER_INTERFACES_H
#define MDFH_HANDLER_INTERFACES_H

#include "mdfh/handler.h"

struct mdfh_interfaces;

/* Those that the lines of config name. */
int mdfh_interfaces_create(
    const struct mdfh_handler_config *config, struct mdfh_interfaces **interfaces);
void mdfh_interfaces_destroy(struct mdfh_interfaces *interfaces); /* NULL is allowed */

/* Look at each and say what has changed since the last time. Makes system calls. */
void mdfh_interfaces_look(struct mdfh_interfaces *interfaces);

#endif
