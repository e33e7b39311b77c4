/* option_values.c - the numbers of options. */
#include "apps/option_values.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

uint64_t option_whole(
    const struct argp_state *state, const char *name, const char *text, uint64_t min, uint64_t max)
{
	uint64_t value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || value < min || value > max)
		argp_error(state,
		    "--%s is '%s'; it must be a whole number from %" PRIu64 " to %" PRIu64, name,
		    text, min, max);
	return value;
}

double option_number(
    const struct argp_state *state, const char *name, const char *text, double min, double max)
{
	char *end;
	double value = strtod(text, &end);

	/* Written so that NaN is refused. */
	if (end == text || *end || !(value >= min && value <= max))
		argp_error(state, "--%s is '%s'; it must be a number from %.15g to %.15g", name,
		    text, min, max);
	return value;
}

enum mdfh_trailer option_trailer(const struct argp_state *state, const char *text)
{
	static const char *const names[] = {
	    [MDFH_TRAILER_NONE] = "none",
	    [MDFH_TRAILER_METAMAKO] = "metamako",
	    [MDFH_TRAILER_EXABLAZE] = "exablaze",
	    [MDFH_TRAILER_ARISTA_7280] = "arista7280",
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(text, names[i]))
			return (enum mdfh_trailer)i;
	argp_error(
	    state, "--trailer is '%s'; it must be none, metamako, exablaze or arista7280", text);
	return MDFH_TRAILER_NONE;
}
