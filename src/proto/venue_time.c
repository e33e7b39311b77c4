/* venue_time.c - midnight of a session date on a venue's clock, from the system's zone data.
 *
 * localtime() knows one zone per process, and changing it is not safe among threads, so the zone
 * file is read here: TZif (RFC 8536), its 64-bit transitions, and the rule in its footer for
 * times after the last of them (files may hold only transitions of the past). Every length comes
 * from the file and is checked against its size. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/bytes.h"
#include "mdfh/error.h"
#include "proto/decoder.h"

enum {
	FILE_MAX = 65536, /* the largest of the system's files has about 4 KB */
	HEADER = 44,
	DAY_S = 86400,
	/* Seconds east of UTC that a zone can have (RFC 8536 section 3.2, utoff). */
	OFFSET_MIN = -89999,
	OFFSET_MAX = 93599,
};

struct zone {
	const char *name;
	const uint8_t *times; /* transitions, 8 bytes each */
	const uint8_t *indices;
	const uint8_t *types; /* 6 bytes each: offset, is dst, name */
	uint32_t time_count;
	uint32_t type_count;
	char rule[128]; /* footer */
	uint8_t file[FILE_MAX];
};

/* Calendar ----------------------------------------------------------------- */

static int is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_in_month(int year, int month)
{
	static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days since 1970-01-01 of a date from 1970 on. */
static int64_t days_of(int year, int month, int day)
{
	int64_t y = year - 1;
	int64_t days = 365 * y + y / 4 - y / 100 + y / 400 - 719162;

	for (int m = 1; m < month; m++)
		days += days_in_month(year, m);
	return days + day - 1;
}

/* Zone file ---------------------------------------------------------------- */

static int zone_read(struct zone *zone)
{
	const char *folder = getenv("TZDIR");
	const char *name = zone->name;
	char path[512];
	size_t size;
	FILE *f;

	if (!*name || *name == '/' || strstr(name, "..") || strlen(name) > 64)
		return mdfh_error(
		    -ENOENT, "time zone '%s': names look like America/New_York", name);
	snprintf(path, sizeof(path), "%s/%s", folder ? folder : "/usr/share/zoneinfo", name);
	f = fopen(path, "re");
	if (!f)
		return mdfh_error(-ENOENT,
		    "time zone '%s': there is no %s (zone data is in the package tzdata)", name,
		    path);
	size = fread(zone->file, 1, FILE_MAX, f);
	fclose(f);
	if (size < HEADER || size == FILE_MAX || memcmp(zone->file, "TZif", 4) != 0)
		return mdfh_error(-EINVAL, "time zone '%s': %s is no zone file", name, path);
	return (int)size;
}

/* Counts in a header, in file order. */
struct counts {
	uint32_t isut, isstd, leap, time, type, chars;
};

static int counts_read(const uint8_t *header, struct counts *c)
{
	*c = (struct counts){
	    .isut = mdfh_load_be32(header + 20),
	    .isstd = mdfh_load_be32(header + 24),
	    .leap = mdfh_load_be32(header + 28),
	    .time = mdfh_load_be32(header + 32),
	    .type = mdfh_load_be32(header + 36),
	    .chars = mdfh_load_be32(header + 40),
	};
	return c->isut <= FILE_MAX && c->isstd <= FILE_MAX && c->leap <= FILE_MAX &&
	       c->time <= FILE_MAX && c->type <= FILE_MAX && c->chars <= FILE_MAX;
}

static uint32_t block_size(const struct counts *c, uint32_t time_size)
{
	return c->time * (time_size + 1) + c->type * 6 + c->chars + c->leap * (time_size + 4) +
	       c->isstd + c->isut;
}

/* size: of what stands in zone->file, at least HEADER. */
static int zone_parse(struct zone *zone, int size)
{
	struct counts c;
	uint32_t at, length;

	/* The first block has 32-bit times and is there for old readers. */
	if (!counts_read(zone->file, &c) || zone->file[4] < '2')
		goto bad;
	at = HEADER + block_size(&c, 4);
	if (at > (uint32_t)size || (uint32_t)size - at < HEADER ||
	    memcmp(zone->file + at, "TZif", 4) != 0 || !counts_read(zone->file + at, &c))
		goto bad;
	at += HEADER;
	length = block_size(&c, 8);
	if (length > (uint32_t)size - at || c.type == 0)
		goto bad;
	zone->times = zone->file + at;
	zone->indices = zone->times + 8 * (size_t)c.time;
	zone->types = zone->indices + c.time;
	zone->time_count = c.time;
	zone->type_count = c.type;

	at += length;
	zone->rule[0] = '\0';
	if (at < (uint32_t)size && zone->file[at] == '\n') {
		const char *rule = (const char *)zone->file + at + 1;
		const char *end = memchr(rule, '\n', (uint32_t)size - at - 1);

		if (end && (size_t)(end - rule) < sizeof(zone->rule)) {
			memcpy(zone->rule, rule, (size_t)(end - rule));
			zone->rule[end - rule] = '\0';
		}
	}
	return 0;
bad:
	return mdfh_error(
	    -EINVAL, "time zone '%s': its zone file is damaged or too old", zone->name);
}

/* Footer rule, as in EST5EDT,M3.2.0,M11.1.0 ----------------------------------- */

static int rule_name(const char **at)
{
	const char *p = *at;

	if (*p == '<') {
		p = strchr(p, '>');
		if (!p)
			return 0;
		p++;
	} else {
		while ((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z'))
			p++;
	}
	if (p == *at)
		return 0;
	*at = p;
	return 1;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static int rule_time(const char **at, int *seconds)
{
	int sign = **at == '-' ? -1 : 1, unit = 3600, total = 0;
	const char *p = *at;

	if (*p == '-' || *p == '+')
		p++;
	do {
		int value = 0, digits = 0;

		if (unit != 3600)
			p++;
		while (*p >= '0' && *p <= '9' && digits++ < 3)
			value = 10 * value + *p++ - '0';
		if (digits == 0)
			return 0;
		total += value * unit;
		unit /= 60;
	} while (*p == ':' && unit > 0);
	*seconds = sign * total;
	*at = p;
	return 1;
}

/* ,Mm.w.d[/time]: when the change happens in year, on the clock that is valid before it. */
static int rule_change(const char **at, int year, int64_t *local)
{
	int month, week, day, length, first, date, seconds = 7200;

	if (sscanf(*at, ",M%2d.%1d.%1d%n", &month, &week, &day, &length) != 3 || month < 1 ||
	    month > 12 || week < 1 || week > 5 || day < 0 || day > 6)
		return 0;
	*at += length;
	if (**at == '/') {
		(*at)++;
		if (!rule_time(at, &seconds))
			return 0;
	}
	/* 1970-01-01 was a Thursday. */
	first = (int)((days_of(year, month, 1) + 4) % 7);
	date = 1 + (day - first + 7) % 7 + 7 * (week - 1);
	while (date > days_in_month(year, month))
		date -= 7;
	*local = days_of(year, month, date) * DAY_S + seconds;
	return 1;
}

/* Seconds east of UTC by the rule at local wall-clock time. */
static int rule_offset(const char *rule, int year, int64_t local, int *offset)
{
	int standard, summer;
	int64_t begin, end;

	if (!rule_name(&rule) || !rule_time(&rule, &standard))
		return 0;
	*offset = -standard;
	if (!*rule)
		return 1;
	if (!rule_name(&rule))
		return 0;
	summer = -standard + 3600;
	if (*rule != ',') {
		if (!rule_time(&rule, &summer))
			return 0;
		summer = -summer;
	}
	if (!rule_change(&rule, year, &begin) || !rule_change(&rule, year, &end))
		return 0;
	if (begin < end ? local >= begin && local < end : local >= begin || local < end)
		*offset = summer;
	return 1;
}

/* ---------------------------------------------------------------------------- */

/* Seconds east of UTC when the zone's clock shows local. */
static int zone_offset(const struct zone *zone, int year, int64_t local, int *offset)
{
	uint32_t type = 0;

	for (uint32_t i = 0; i < zone->time_count; i++) {
		int64_t at = (int64_t)mdfh_load_be64(zone->times + 8 * (size_t)i);
		int32_t after;

		if (zone->indices[i] >= zone->type_count)
			return 0;
		after = (int32_t)mdfh_load_be32(zone->types + 6 * (size_t)zone->indices[i]);
		/* local is noon and clocks change at night: which side counts does not matter. */
		if (local - after < at)
			break;
		type = zone->indices[i];
		if (i + 1 == zone->time_count && zone->rule[0])
			return rule_offset(zone->rule, year, local, offset);
	}
	if (zone->time_count == 0 && zone->rule[0])
		return rule_offset(zone->rule, year, local, offset);
	*offset = (int32_t)mdfh_load_be32(zone->types + 6 * (size_t)type);
	return 1;
}

static int zone_midnight(
    const struct zone *zone, int year, int month, int day, int64_t *midnight_ns)
{
	int64_t local = days_of(year, month, day) * DAY_S;
	int offset;

	if (!zone_offset(zone, year, local + DAY_S / 2, &offset))
		return mdfh_error(-EINVAL, "time zone '%s': its rule '%s' is of an unknown form",
		    zone->name, zone->rule);
	if (offset < OFFSET_MIN || offset > OFFSET_MAX)
		return mdfh_error(-EINVAL,
		    "time zone '%s': its zone file is damaged: it says %d seconds east of UTC",
		    zone->name, offset);
	*midnight_ns = (local - offset) * 1000000000;
	return 0;
}

int mdfh_midnight_ns(const char *zone_name, int year, int month, int day, int64_t *midnight_ns)
{
	struct zone *zone;
	int err;

	if (year < 1970 || year > 2200 || month < 1 || month > 12 || day < 1 ||
	    day > days_in_month(year, month))
		return mdfh_error(-EINVAL,
		    "date %04d-%02d-%02d does not exist or is not from 1970 to 2200", year, month,
		    day);
	zone = calloc(1, sizeof(*zone));
	if (!zone)
		return mdfh_error(-ENOMEM, "time zone '%s': %zu bytes", zone_name, sizeof(*zone));
	zone->name = zone_name;
	err = zone_read(zone);
	if (err >= 0)
		err = zone_parse(zone, err);
	if (!err)
		err = zone_midnight(zone, year, month, day, midnight_ns);
	free(zone);
	return err;
}

int mdfh_midnight_of_date(const char *zone_name, const char *date, int64_t *midnight_ns)
{
	int year, month, day, used = 0;

	if (sscanf(date, "%4d-%2d-%2d%n", &year, &month, &day, &used) != 3 || date[used])
		return mdfh_error(
		    -EINVAL, "session date '%s' is not a date; write YYYY-MM-DD", date);
	return mdfh_midnight_ns(zone_name, year, month, day, midnight_ns);
}

int mdfh_midnight_before(const char *zone_name, int64_t at_ns, int64_t *midnight_ns)
{
	/* The newest date whose midnight there has passed; at most a day away from that of UTC. */
	for (int ahead = 1; ahead >= -1; ahead--) {
		time_t then = (time_t)(at_ns / 1000000000) + (time_t)ahead * DAY_S;
		struct tm utc;
		int err;

		gmtime_r(&then, &utc);
		err = mdfh_midnight_ns(
		    zone_name, utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, midnight_ns);
		if (err || *midnight_ns <= at_ns)
			return err;
	}
	return mdfh_error(
	    -EINVAL, "time zone '%s': no midnight before %lld ns", zone_name, (long long)at_ns);
}
