/* option_values.h - the numbers of options, read and held to their limits in one way. */
#ifndef MDFH_APPS_OPTION_VALUES_H
#define MDFH_APPS_OPTION_VALUES_H

#include <argp.h>
#include <stdint.h>

#include "mdfh/bypass.h"

/* Each complains with the option's name (without dashes), the value and the limits, and ends the
 * program with argp_err_exit_status, when text is not such a number. */
uint64_t option_whole(
    const struct argp_state *state, const char *name, const char *text, uint64_t min, uint64_t max);
double option_number(
    const struct argp_state *state, const char *name, const char *text, double min, double max);

/* The same of --trailer: none, metamako, exablaze or arista7280. */
enum mdfh_trailer option_trailer(const struct argp_state *state, const char *text);

#endif
