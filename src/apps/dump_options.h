/* dump_options.h - what the values of mdfh dump's options mean. */
#ifndef MDFH_APPS_DUMP_OPTIONS_H
#define MDFH_APPS_DUMP_OPTIONS_H

#include <argp.h>

#include "mdfh/schema.h"

/* Sequence numbers: A, A-, -B or A-B. 1, or 0 = text is none of these. */
int dump_parse_range(const char *text, uint64_t *first, uint64_t *last);

/* Whether text, a --type, is the message's type or its name. */
int dump_is_type(
    const struct mdfh_schema *schema, const struct mdfh_message *message, const char *text);

/* Each type must be one of wanted, or, where the protocol is to be recognised (NULL), of some
 * protocol; else it complains, says which there are, and ends the program. */
void dump_check_types(const char *const *types, int count, const struct mdfh_schema *wanted,
    const struct argp_state *state);

struct dump_date {
	int year, month, day;
};

/* YYYY-MM-DD. 1, or 0: it is no date. */
int dump_parse_date(const char *text, struct dump_date *date);

/* MMDDYYYY, as Nasdaq names day files, or YYYYMMDD: the first run of 8 digits in a file's name that is one. 1, or
 * 0: there is none. */
int dump_date_of_name(const char *path, struct dump_date *date);

#endif
