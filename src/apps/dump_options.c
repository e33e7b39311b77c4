/* dump_options.c - ranges of sequence numbers and types of messages. */
#include "apps/dump_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse_number(const char *text, uint64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
}

int dump_parse_range(const char *text, uint64_t *first, uint64_t *last)
{
	const char *dash = strchr(text, '-');
	char from[32];

	if (!dash) {
		*last = 0;
		return parse_number(text, first) && (*last = *first, 1);
	}
	if ((size_t)(dash - text) >= sizeof(from))
		return 0;
	memcpy(from, text, (size_t)(dash - text));
	from[dash - text] = '\0';
	*first = 0;
	*last = UINT64_MAX;
	return (!*from || parse_number(from, first)) &&
	       (!dash[1] || parse_number(dash + 1, last)) && *first <= *last;
}

int dump_is_type(
    const struct mdfh_schema *schema, const struct mdfh_message *message, const char *text)
{
	char type[16];

	snprintf(type, sizeof(type), schema->type_is_text ? "%c" : "%u", message->type);
	return !strcmp(text, type) || !strcmp(text, message->name);
}

static int is_known(const char *text, const struct mdfh_schema *wanted)
{
	const struct mdfh_schema *schema;

	for (unsigned i = 0; (schema = mdfh_schema_at(i)); i++) {
		if (wanted && schema != wanted)
			continue;
		for (uint32_t m = 0; m < schema->message_count; m++)
			if (dump_is_type(schema, &schema->messages[m], text))
				return 1;
	}
	return 0;
}

void dump_check_types(const char *const *types, int count, const struct mdfh_schema *wanted,
    const struct argp_state *state)
{
	const struct mdfh_schema *shown = wanted ? wanted : mdfh_schema_at(0);
	char names[1024] = "";

	for (uint32_t m = 0; m < shown->message_count; m++) {
		size_t used = strlen(names);

		snprintf(names + used, sizeof(names) - used, "%s%s", m ? ", " : "",
		    shown->messages[m].name);
	}
	for (int t = 0; t < count; t++)
		if (!is_known(types[t], wanted))
			argp_error(state, "--type is '%s', which %s; of %s there are %s", types[t],
			    wanted ? "the protocol does not have" : "no protocol has", shown->name,
			    names);
}

int dump_parse_date(const char *text, struct dump_date *date)
{
	int used = 0;

	return sscanf(text, "%4d-%2d-%2d%n", &date->year, &date->month, &date->day, &used) == 3 &&
	       text[used] == '\0' && date->year > 1970 && date->month >= 1 && date->month <= 12 &&
	       date->day >= 1 && date->day <= 31;
}

int dump_date_of_name(const char *path, struct dump_date *date)
{
	const char *name = strrchr(path, '/');

	for (const char *at = name ? name + 1 : path; *at; at++) {
		int a, b, c, d;

		if (strspn(at, "0123456789") != 8 ||
		    sscanf(at, "%2d%2d%2d%2d", &a, &b, &c, &d) != 4) {
			at += strspn(at, "0123456789");
			if (!*at)
				break;
			continue;
		}
		if (a * 100 + b >= 1990 && a * 100 + b < 2100 && c >= 1 && c <= 12) {
			date->year = a * 100 + b;
			date->month = c;
			date->day = d;
			return d >= 1 && d <= 31;
		}
		date->month = a;
		date->day = b;
		date->year = c * 100 + d;
		return a >= 1 && a <= 12 && b >= 1 && b <= 31 && date->year >= 1990;
	}
	return 0;
}
