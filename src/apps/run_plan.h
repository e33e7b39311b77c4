/* run_plan.h - which thread and worker each channel of a configuration gets, as `mdfh run` says it. */
#ifndef MDFH_APPS_RUN_PLAN_H
#define MDFH_APPS_RUN_PLAN_H

#include "mdfh/handler.h"

/* On standard output. 0, or a negative errno value with a sentence: the configuration has no plan. */
int run_plan_print(const struct mdfh_handler_config *config, int json);

/* At a start, on standard error, if something of it does not stand in the configuration as it is. */
void run_plan_say(const struct mdfh_handler_config *config);

#endif
