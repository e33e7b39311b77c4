/* fuzz_text.c - any text as what a person writes in a configuration or on a command line: groups,
 * options of backends, numbers, ranges, dates, packets to drop, and rows of a book dump.
 *
 * The first byte chooses which, the second what else there is to choose. What is accepted, written
 * anew, is accepted again and is the same; numbers are what a plain reader makes of them. */
#include "fuzz.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>

#include "apps/dump_options.h"
#include "apps/option_values.h"
#include "handler/ports.h"
#include "mdfh/frame.h"
#include "net/net.h"
#include "sim/sender.h"

#include "../../src/apps/cmd_compare.c"

/* In place of libc's: to be refused is no end. */
static int refused;

void argp_error(const struct argp_state *state, const char *format, ...)
{
	(void)state;
	(void)format;
	refused = 1;
}

/* A text that is nothing but digits, of at most 64 bits. */
static int plain_number(const char *text, uint64_t *number)
{
	*number = 0;
	if (!*text)
		return 0;
	for (; *text; text++) {
		unsigned digit = (unsigned)(uint8_t)*text - '0';

		if (digit > 9 || *number > (UINT64_MAX - digit) / 10)
			return 0;
		*number = *number * 10 + digit;
	}
	return 1;
}

/* Groups and addresses --------------------------------------------------------------------- */

static void read_group(const char *text, uint8_t choice)
{
	size_t room = choice & 63;
	char *address = malloc(room ? room : 1);
	char again[320], host[64];
	uint16_t port = 0, number;
	uint64_t plain;
	int err;

	REQUIRE(address);
	err = mdfh_group_parse(text, address, room, &port);
	if (err) {
		REQUIRE(err == -EINVAL);
	} else {
		REQUIRE(port > 0 && strlen(address) < room && address[0]);
		REQUIRE(plain_number(strrchr(text, ':') + 1, &plain) && plain == port);
		snprintf(again, sizeof(again), text[0] == '[' ? "[%s]:%u" : "%s:%u", address,
		    (unsigned)port);
		REQUIRE(!mdfh_group_parse(again, host, sizeof(host), &number));
		REQUIRE(!strcmp(host, address) && number == port);
	}
	free(address);
}

static void read_address(const char *text)
{
	char again[MDFH_ENDPOINT_TEXT_MAX];
	uint8_t address[16], same[16];
	size_t length;

	if (mdfh_frame_address(text, address))
		return;
	/* Without brackets, if it has any, and port. */
	mdfh_endpoint_text(address, 1, again);
	length = strlen(again);
	REQUIRE(!strcmp(again + length - 2, ":1"));
	again[length - 2 - (again[0] == '[')] = '\0';
	REQUIRE(!mdfh_frame_address(again + (again[0] == '['), same));
	REQUIRE(!memcmp(address, same, sizeof(address)));
}

/* Options of backends ------------------------------------------------------------------------ */

/* The first value of the key, by looking at one part after the other. */
static int plain_option(const char *options, const char *key, char *value)
{
	char *copy = strdup(options), *rest = copy, *part;
	int found = 0;

	REQUIRE(copy);
	while (!found && (part = strsep(&rest, ",")) != NULL) {
		char *equals = strchr(part, '=');

		if (!equals)
			continue;
		*equals = '\0';
		found = !strcmp(part, key);
		if (found)
			strcpy(value, equals + 1);
	}
	free(copy);
	return found;
}

static void read_options(const char *text)
{
	static const char *const keys[] = {"gro", "queue", "a", NULL};
	static const char *const words[] = {"on", "off", "auto", NULL};
	struct mdfh_bypass_config config = {
	    .size = sizeof(config), .backend = "null", .backend_options = text};
	char value[512], got[512];
	uint64_t number = 7, plain;
	int is_known = 1, word = -1, rc;

	if (mdfh_bypass_config_check(&config))
		return;
	for (int i = 0; keys[i]; i++) {
		int found = plain_option(text, keys[i], value);

		REQUIRE(mdfh_option_get(text, keys[i], got, sizeof(got)) == found);
		REQUIRE(!found || !strcmp(value, got));
		rc = mdfh_option_number(text, keys[i], 3, 500, &number);
		if (!found)
			REQUIRE(!rc && number == 7);
		else if (plain_number(value, &plain) && plain >= 3 && plain <= 500 &&
			 strlen(value) < 20)
			REQUIRE(!rc && number == plain);
		else
			REQUIRE(rc == -EINVAL && number == 7);
		number = 7;
	}
	if (plain_option(text, "gro", value)) {
		rc = mdfh_option_word(text, "fuzz", "gro", words, &word);
		REQUIRE(rc ? word < 0 : !strcmp(words[word], value));
	}
	/* Each part has a key that is known, or the first that has none is named. */
	for (const char *at = text; *at;) {
		size_t length = strcspn(at, "=");

		if (!((length == 3 && !strncmp(at, "gro", 3)) ||
			(length == 5 && !strncmp(at, "queue", 5)) || (length == 1 && *at == 'a')))
			is_known = 0;
		at += strcspn(at, ",");
		at += *at == ',';
	}
	REQUIRE((mdfh_option_known(text, "fuzz", keys) == 0) == is_known);
}

/* Numbers of options ----------------------------------------------------------------------- */

static void read_whole(const char *text, uint8_t choice)
{
	uint64_t min = choice & 1 ? 3 : 0, max = choice & 2 ? 500 : UINT64_MAX, plain, value;
	int is_good = plain_number(text, &plain) && plain >= min && plain <= max;

	refused = 0;
	value = option_whole(NULL, "fuzz", text, min, max);
	REQUIRE(refused == !is_good);
	REQUIRE(refused || value == plain);
}

static void read_number(const char *text, uint8_t choice)
{
	double min = choice & 1 ? 0.001 : 0, max = choice & 2 ? 86400 : 1e9, value;
	char again[64];

	refused = 0;
	value = option_number(NULL, "fuzz", text, min, max);
	if (refused)
		return;
	REQUIRE(isfinite(value) && value >= min && value <= max);
	snprintf(again, sizeof(again), "%.17g", value);
	REQUIRE(option_number(NULL, "fuzz", again, min, max) == value && !refused);
}

static void read_trailer(const char *text)
{
	enum mdfh_trailer trailer;

	refused = 0;
	trailer = option_trailer(NULL, text);
	REQUIRE(!refused || trailer == MDFH_TRAILER_NONE);
}

static void read_range(const char *text)
{
	uint64_t first, last, again[2];
	char anew[64];

	if (!dump_parse_range(text, &first, &last))
		return;
	REQUIRE(first <= last);
	snprintf(anew, sizeof(anew), "%" PRIu64 "-%" PRIu64, first, last);
	REQUIRE(dump_parse_range(anew, &again[0], &again[1]));
	REQUIRE(again[0] == first && again[1] == last);
}

static void read_date(const char *text)
{
	struct dump_date date, again;
	char anew[64];

	if (dump_date_of_name(text, &date))
		REQUIRE(date.year >= 1990 && date.month >= 1 && date.month <= 12 && date.day >= 1 &&
			date.day <= 31);
	if (!dump_parse_date(text, &date))
		return;
	snprintf(anew, sizeof(anew), "%04d-%02d-%02d", date.year, date.month, date.day);
	REQUIRE(dump_parse_date(anew, &again));
	REQUIRE(!memcmp(&date, &again, sizeof(date)));
}

static void read_drop(const char *text)
{
	static struct mdfh_drop drop, again;
	static char anew[MDFH_SENDER_RANGES_MAX * 44 + 32];
	size_t at = 0;

	if (mdfh_drop_parse(text, &drop))
		return;
	REQUIRE(drop.ppm <= 1000000 && drop.ranges_count <= MDFH_SENDER_RANGES_MAX);
	for (uint32_t i = 0; i < drop.ranges_count; i++) {
		REQUIRE(drop.ranges[i].first <= drop.ranges[i].last);
		at += (size_t)sprintf(anew + at, "%" PRIu64 "-%" PRIu64 ",", drop.ranges[i].first,
		    drop.ranges[i].last);
	}
	sprintf(anew + at, "%uppm", drop.ppm);
	REQUIRE(!mdfh_drop_parse(anew, &again));
	REQUIRE(!memcmp(&drop, &again, sizeof(drop)));
}

/* Rows of a book dump ------------------------------------------------------------------------ */

static void check_row(const struct row *row)
{
	char text[160];
	struct row again;

	REQUIRE(row->side == 'B' || row->side == 'S');
	snprintf(text, sizeof(text), "%s\t%c\t%lld\t%llu\t%llu\t%llu\n", row->symbol, row->side,
	    (long long)row->price, (unsigned long long)row->position,
	    (unsigned long long)row->order_id, (unsigned long long)row->shares);
	REQUIRE(parse_row(text, &again));
	REQUIRE(compare_places(row, &again) == 0);
	REQUIRE(again.order_id == row->order_id && again.shares == row->shares);
}

/* As getline gives them: each line ends in a newline, but for the last. */
static void read_rows(const uint8_t *data, size_t size)
{
	struct row rows[2];
	int known[2] = {0, 0};

	for (unsigned n = 0; size > 0 && n < 16; n++) {
		const uint8_t *newline = memchr(data, '\n', size);
		size_t length = newline ? (size_t)(newline - data) + 1 : size;
		char *line = malloc(length + 1);

		REQUIRE(line);
		memcpy(line, data, length);
		line[length] = '\0';
		known[n & 1] = parse_row(line, &rows[n & 1]);
		free(line);
		if (known[n & 1])
			check_row(&rows[n & 1]);
		if (known[0] && known[1]) {
			int there = compare_places(&rows[0], &rows[1]);
			int back = compare_places(&rows[1], &rows[0]);

			REQUIRE((there < 0) == (back > 0) && (there > 0) == (back < 0));
		}
		data += length;
		size -= length;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size < 2 || size > 300)
		return 0;
	text = malloc(size - 1);
	REQUIRE(text);
	memcpy(text, data + 2, size - 2);
	text[size - 2] = '\0';
	switch (data[0] % 10) {
	case 0:
		read_group(text, data[1]);
		break;
	case 1:
		read_address(text);
		break;
	case 2:
		read_options(text);
		break;
	case 3:
		read_whole(text, data[1]);
		break;
	case 4:
		read_number(text, data[1]);
		break;
	case 5:
		read_trailer(text);
		break;
	case 6:
		read_range(text);
		break;
	case 7:
		read_date(text);
		break;
	case 8:
		read_drop(text);
		break;
	default:
		read_rows(data + 2, size - 2);
		break;
	}
	free(text);
	return 0;
}
