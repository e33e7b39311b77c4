/* scenario_check.c - what a scenario may say: times, ranges, which keys belong to which event; and
 * the usual day. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mdfh/error.h"
#include "sim/scenario.h"

#define SECOND_NS 1000000000ull
#define HOUR_NS   (3600 * SECOND_NS)
#define DAY_NS    (24 * HOUR_NS)
/* Where a day begins that does not say so. */
#define FIRST_FROM_NS (4 * HOUR_NS)

struct source { /* of errors */
	const char *text;
	size_t length;
	const char *name;
	const char *list; /* the key of what is looked at, or of the list that it is in */
	unsigned index;
	int is_list;
};

/* Errors ----------------------------------------------------------------------------- */

static size_t indent_of(const char *line, const char *end)
{
	const char *at = line;

	while (at < end && *at == ' ')
		at++;
	return (size_t)(at - line);
}

/* The line on which a top-level key, or the entry of its list, stands; 0 = not found. */
static unsigned line_of(const struct source *source)
{
	const char *end = source->text + source->length;
	const char *line = source->text;
	size_t key_length = strlen(source->list);
	size_t indent = 0;
	unsigned entries = 0;
	unsigned key_at = 0;

	for (unsigned number = 1; line < end; number++) {
		const char *next = memchr(line, '\n', (size_t)(end - line));
		size_t spaces;

		if (!next)
			next = end;
		spaces = indent_of(line, next);
		if (!key_at) {
			const char *key = line + (line < next && (*line == '"' || *line == '\''));
			const char *after = key + key_length + (key - line);

			if (after < next && *after == ':' && !memcmp(key, source->list, key_length))
				key_at = number;
			if (key_at && !source->is_list)
				return key_at;
		} else if (line + spaces < next && line[spaces] == '-') {
			if (!entries)
				indent = spaces;
			if (spaces == indent && entries++ == source->index)
				return number;
		} else if (line < next && !spaces && *line != '#') {
			break; /* the next key */
		}
		line = next + 1;
	}
	return key_at;
}

static int refuse(const struct source *source, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int refuse(const struct source *source, const char *format, ...)
{
	char what[256];
	char entry[32] = "";
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	if (source->is_list)
		snprintf(entry, sizeof(entry), " %u", source->index + 1);
	return mdfh_error(-EINVAL, "%s:%u: %s%s: %s (mdfh.scenario(5) lists the keys)",
	    source->name, line_of(source), source->list, entry, what);
}

/* Values ------------------------------------------------------------------------------ */

/* Up to max digits at *text into *value; how many there were. */
static int read_digits(const char **text, int max, uint64_t *value)
{
	int n = 0;

	*value = 0;
	while (n < max && **text >= '0' && **text <= '9') {
		*value = *value * 10 + (uint64_t)(**text - '0');
		++*text;
		n++;
	}
	return n;
}

/* HH:MM, HH:MM:SS or HH:MM:SS.fraction, up to 24:00. */
static int parse_time(const char *text, uint64_t *time_ns)
{
	uint64_t hours;
	uint64_t minutes;
	uint64_t seconds = 0;
	uint64_t fraction = 0;

	if (!read_digits(&text, 2, &hours) || *text++ != ':' ||
	    read_digits(&text, 2, &minutes) != 2 || minutes > 59)
		return -1;
	if (*text == ':') {
		text++;
		if (read_digits(&text, 2, &seconds) != 2 || seconds > 59)
			return -1;
		if (*text == '.') {
			int n;

			text++;
			n = read_digits(&text, 9, &fraction);
			if (!n)
				return -1;
			for (; n < 9; n++)
				fraction *= 10;
		}
	}
	*time_ns = hours * HOUR_NS + minutes * 60 * SECOND_NS + seconds * SECOND_NS + fraction;
	return *text || *time_ns > DAY_NS ? -1 : 0;
}

static int check_time(
    const struct source *source, const char *key, const char *text, uint64_t *time_ns)
{
	if (parse_time(text, time_ns))
		return refuse(source,
		    "'%s' is '%s'; it must be a time of day like 09:30, 09:30:00 or 09:30:00.250",
		    key, text);
	return 0;
}

/* Written so that what is no number is refused too. */
static int check_number(
    const struct source *source, const char *key, double value, double min, double max)
{
	if (value >= min && value <= max)
		return 0;
	return refuse(
	    source, "'%s' is %g; it must be a number from %.10g to %.10g", key, value, min, max);
}

/* Parts ------------------------------------------------------------------------------- */

static int check_top(const struct source *text, const struct mdfh_scenario *s)
{
	const struct {
		const char *key;
		double value;
		double min;
		double max;
	} numbers[] = {
	    {"messages", (double)s->messages, 1, 1e11},
	    {"rate", s->rate, 100, 5e6},
	    {"seconds", s->seconds, 0.001, 86400},
	    {"burst", s->burst, 1, 50},
	    {"symbols", s->symbols, 1, 60000},
	    {"live_orders", s->live_orders, 1, 1e8},
	    {"skew_us", s->skew_us, 0, 1e6},
	    {"random_halts", s->random_halts ? *s->random_halts : 1, 0, 1e6},
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		struct source at = *text;

		at.list = numbers[i].key;
		if (numbers[i].value != 0 &&
		    check_number(&at, "value", numbers[i].value, numbers[i].min, numbers[i].max))
			return -EINVAL;
	}
	if (s->messages && s->rate > 0 && s->seconds > 0) {
		struct source at = *text;

		at.list = "seconds";
		return refuse(&at, "two of 'messages', 'rate' and 'seconds' make the third");
	}
	if (s->messages && s->seconds > 0 &&
	    !((double)s->messages / s->seconds >= 100 && (double)s->messages / s->seconds <= 5e6)) {
		struct source at = *text;

		at.list = "messages";
		return refuse(&at, "%llu in %g s; the rate must be 100 to 5000000 a second",
		    (unsigned long long)s->messages, s->seconds);
	}
	return 0;
}

static int check_mix(const struct source *text, const struct mdfh_scenario_mix *mix)
{
	const struct {
		const char *key;
		const double *percent;
	} parts[] = {
	    {"executions", mix->executions},
	    {"off_price", mix->off_price},
	    {"replaces", mix->replaces},
	    {"cancels", mix->cancels},
	    {"hidden_trades", mix->hidden_trades},
	    {"broken_trades", mix->broken_trades},
	};
	struct source at = *text;
	double sum = 0;

	at.list = "mix";
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		if (!parts[i].percent)
			continue;
		if (check_number(&at, parts[i].key, *parts[i].percent, 0, 90))
			return -EINVAL;
		sum += *parts[i].percent;
	}
	if (sum > 90)
		return refuse(&at,
		    "its parts are %g percent together; at most 90, the rest are adds and deletes",
		    sum);
	return 0;
}

static int check_phases(const struct source *text, struct mdfh_scenario *s)
{
	uint64_t last_ns = FIRST_FROM_NS;
	double shares = 0;

	for (unsigned i = 0; i < s->phases_count; i++) {
		struct mdfh_scenario_phase *phase = &s->phases[i];
		struct source at = *text;

		at.list = "phases";
		at.is_list = 1;
		at.index = i;
		phase->from_ns = last_ns;
		if ((phase->from && check_time(&at, "from", phase->from, &phase->from_ns)) ||
		    check_time(&at, "until", phase->until, &phase->until_ns) ||
		    check_number(&at, "share", phase->share, 0, 1e6) ||
		    check_number(&at, "pace", phase->pace != 0 ? phase->pace : 1, 0.001, 1000) ||
		    check_number(&at, "imbalances", phase->imbalances, 0, 90))
			return -EINVAL;
		if (i && phase->from_ns < last_ns)
			return refuse(
			    &at, "'from' is %s, before the end of the phase before", phase->from);
		if (phase->until_ns <= phase->from_ns)
			return refuse(
			    &at, "'until' is %s, which is not after its beginning", phase->until);
		if (i && phase->kind < s->phases[i - 1].kind)
			return refuse(&at, "a day goes from pre-market to market to after-market");
		last_ns = phase->until_ns;
		shares += phase->share;
	}
	if (s->phases_count && shares <= 0) {
		struct source at = *text;

		at.list = "phases";
		return refuse(&at, "every share is 0; at least one must be above");
	}
	return 0;
}

static int check_instruments(const struct source *text, const struct mdfh_scenario *s)
{
	double shares = 0;

	for (unsigned i = 0; i < s->instruments_count; i++) {
		const struct mdfh_scenario_instrument *instrument = &s->instruments[i];
		struct source at = *text;

		at.list = "instruments";
		at.is_list = 1;
		at.index = i;
		if (check_number(&at, "price", instrument->price, 0, 180000) ||
		    check_number(&at, "tick", instrument->tick, 0, 100) ||
		    check_number(&at, "share", instrument->share, 0, 100) ||
		    (instrument->volatility &&
			check_number(&at, "volatility", *instrument->volatility, 0, 8)) ||
		    check_number(&at, "orders", instrument->orders, 0, 1e7))
			return -EINVAL;
		if (*instrument->name == '#')
			return refuse(&at, "'name' begins with #, which names symbols by rank");
		for (const char *c = instrument->name; *c; c++) {
			if (*c <= ' ' || *c > '~')
				return refuse(&at, "'name' has a character that no symbol has");
		}
		for (unsigned j = 0; j < i; j++) {
			if (!strcmp(instrument->name, s->instruments[j].name))
				return refuse(&at, "'name' is %s, like that of instrument %u",
				    instrument->name, j + 1);
		}
		shares += instrument->share;
		if (shares > 100)
			return refuse(
			    &at, "'share' makes %g percent together; at most 100", shares);
	}
	if (s->instruments_count && s->symbols && s->instruments_count > s->symbols) {
		struct source at = *text;

		at.list = "instruments";
		return refuse(&at, "%u of %u symbols; ask for more symbols", s->instruments_count,
		    s->symbols);
	}
	return 0;
}

/* Keys that only some kinds of events have. */
enum {
	UNTIL = 1 << 0,
	SYMBOLS = 1 << 1,
	REASON = 1 << 2,
	CROSS = 1 << 3,
	SIDE = 1 << 4,
	SHARES = 1 << 5,
	PAIRED = 1 << 6,
	PRICE = 1 << 7,
	PERCENT = 1 << 8,
	MOVE = 1 << 9,
	FACTOR = 1 << 10,
	MS = 1 << 11,
	REPEAT = 1 << 12,
	LEVEL = 1 << 13,
	CANCELLED = 1 << 14,
	KEYS = 15,
};

static const char *const key_names[KEYS] = {"until", "symbols", "reason", "cross", "side", "shares",
    "paired", "price", "percent", "move", "factor", "ms", "count", "level", "cancelled"};

static const struct {
	unsigned required;
	unsigned allowed; /* besides */
} rules[MDFH_SCENARIO_KINDS] = {
    [MDFH_SCENARIO_HALT] = {SYMBOLS, UNTIL | REASON},
    [MDFH_SCENARIO_PAUSE] = {SYMBOLS, UNTIL | PERCENT},
    [MDFH_SCENARIO_OPERATIONAL_HALT] = {SYMBOLS, UNTIL},
    [MDFH_SCENARIO_CIRCUIT_BREAKER] = {LEVEL, UNTIL},
    [MDFH_SCENARIO_IPO] = {SYMBOLS | UNTIL, PRICE | CANCELLED},
    [MDFH_SCENARIO_DIRECT_LISTING] = {SYMBOLS, PRICE | REPEAT},
    [MDFH_SCENARIO_SHORT_SALE_RESTRICTION] = {SYMBOLS, 0},
    [MDFH_SCENARIO_IMBALANCE] = {SYMBOLS, CROSS | SIDE | SHARES | PAIRED | PRICE | REPEAT},
    [MDFH_SCENARIO_BROKEN_TRADE] = {0, SYMBOLS | REPEAT},
    [MDFH_SCENARIO_OFF_PRICE] = {SYMBOLS, PERCENT | REPEAT},
    [MDFH_SCENARIO_NEWS] = {SYMBOLS | UNTIL, PERCENT | MOVE},
    [MDFH_SCENARIO_BURST] = {FACTOR | MS, SYMBOLS},
};

static unsigned keys_of(const struct mdfh_scenario_event *event)
{
	return (event->until ? UNTIL : 0) | (event->symbols_count ? SYMBOLS : 0) |
	       (event->reason ? REASON : 0) | (event->cross ? CROSS : 0) |
	       (event->side ? SIDE : 0) | (event->shares ? SHARES : 0) |
	       (event->paired ? PAIRED : 0) | (event->price != 0 ? PRICE : 0) |
	       (event->percent != 0 ? PERCENT : 0) | (event->move != 0 ? MOVE : 0) |
	       (event->factor != 0 ? FACTOR : 0) | (event->ms ? MS : 0) |
	       (event->count ? REPEAT : 0) | (event->level ? LEVEL : 0) |
	       (event->is_cancelled ? CANCELLED : 0);
}

static int check_event(
    const struct source *at, struct mdfh_scenario_event *event, uint64_t first_ns, uint64_t last_ns)
{
	const char *kind = mdfh_scenario_kind_name(event->kind);
	unsigned keys = keys_of(event);
	unsigned missing = rules[event->kind].required & ~keys;
	unsigned odd = keys & ~(rules[event->kind].required | rules[event->kind].allowed);

	if (missing)
		return refuse(at, "a %s needs '%s'", kind, key_names[__builtin_ctz(missing)]);
	if (odd)
		return refuse(at, "a %s has no '%s'", kind, key_names[__builtin_ctz(odd)]);
	if (check_time(at, "at", event->at, &event->at_ns) ||
	    (event->until && check_time(at, "until", event->until, &event->until_ns)) ||
	    check_number(at, "price", event->price, 0, 180000) ||
	    check_number(at, "percent", event->percent, 0, 100) ||
	    check_number(at, "move", event->move, -40, 40) ||
	    check_number(at, "factor", event->factor != 0 ? event->factor : 1, 0.01, 1000) ||
	    check_number(at, "ms", event->ms, 0, 60000) ||
	    check_number(at, "count", event->count, 0, 10000) ||
	    check_number(at, "level", event->level, 0, 3))
		return -EINVAL;
	if (event->at_ns < first_ns || event->at_ns >= last_ns)
		return refuse(at, "'at' is %s, outside the day's phases", event->at);
	if (event->until && event->until_ns <= event->at_ns)
		return refuse(at, "'until' is %s, which is not after 'at'", event->until);
	/* Of the kinds that are repeated, these are so a second apart. */
	if (event->count &&
	    (event->kind == MDFH_SCENARIO_IMBALANCE ||
		event->kind == MDFH_SCENARIO_DIRECT_LISTING) &&
	    event->at_ns + (event->count - 1) * SECOND_NS >= last_ns)
		return refuse(at,
		    "'count' is %u: a second apart, they go on beyond the day's phases",
		    event->count);
	return 0;
}

static int check_fault(
    const struct source *at, struct mdfh_scenario_fault *fault, uint64_t start_ns, uint64_t last_ns)
{
	if (check_time(at, "from", fault->from, &fault->from_ns) ||
	    check_time(at, "until", fault->until, &fault->until_ns) ||
	    check_number(at, "drop_ppm", fault->drop_ppm, 0, 1e6) ||
	    check_number(at, "skew_us", fault->skew_us, 0, 1e6))
		return -EINVAL;
	if (fault->until_ns <= fault->from_ns)
		return refuse(at, "'until' is %s, which is not after 'from'", fault->until);
	if (fault->from_ns >= last_ns || fault->until_ns <= start_ns)
		return refuse(at, "from %s until %s there is no message of the day", fault->from,
		    fault->until);
	if (fault->skew_us && !fault->line)
		return refuse(at, "'skew_us' is that of line b behind line a");
	if (!fault->is_silent && !fault->drop_ppm && !fault->skew_us)
		return refuse(at, "it needs 'silent', 'drop_ppm' or 'skew_us'");
	return 0;
}

int mdfh_scenario_check(const char *text, size_t length, const char *name, struct mdfh_scenario *s)
{
	struct source source = {.text = text, .length = length, .name = name};
	const struct mdfh_scenario *day = s->phases_count ? s : mdfh_scenario_usual();
	uint64_t first_ns;
	uint64_t last_ns;
	int err = check_top(&source, s);

	if (!err)
		err = check_mix(&source, &s->mix);
	if (!err)
		err = check_phases(&source, s);
	if (!err)
		err = check_instruments(&source, s);
	if (err)
		return err;
	first_ns = day->phases[0].from_ns;
	last_ns = day->phases[day->phases_count - 1].until_ns;
	s->start_ns = first_ns > HOUR_NS ? first_ns - HOUR_NS : 0;
	source.list = "start";
	if (s->start && check_time(&source, "start", s->start, &s->start_ns))
		return -EINVAL;
	if (s->start_ns > first_ns)
		return refuse(
		    &source, "'start' is %s, after the first phase's beginning", s->start);
	source.is_list = 1;
	source.list = "events";
	for (unsigned i = 0; !err && i < s->events_count; i++) {
		source.index = i;
		err = check_event(&source, &s->events[i], first_ns, last_ns);
	}
	source.list = "lines";
	for (unsigned i = 0; !err && i < s->lines_count; i++) {
		source.index = i;
		err = check_fault(&source, &s->lines[i], s->start_ns, last_ns);
	}
	return err;
}

/* The usual day ------------------------------------------------------------------------ */

#define CLOCK(hours, minutes) ((hours)*HOUR_NS + (minutes) * (60 * SECOND_NS))

/* Busy at both ends of the market, quiet at noon; imbalances come before the crosses. */
static struct mdfh_scenario_phase usual_phases[] = {
    {.kind = MDFH_SCENARIO_PRE_MARKET,
	.share = 4,
	.from_ns = CLOCK(4, 0),
	.until_ns = CLOCK(9, 25)},
    {.kind = MDFH_SCENARIO_PRE_MARKET,
	.share = 4,
	.imbalances = 14,
	.from_ns = CLOCK(9, 25),
	.until_ns = CLOCK(9, 30)},
    {.kind = MDFH_SCENARIO_MARKET, .share = 19, .from_ns = CLOCK(9, 30), .until_ns = CLOCK(10, 0)},
    {.kind = MDFH_SCENARIO_MARKET, .share = 25, .from_ns = CLOCK(10, 0), .until_ns = CLOCK(11, 30)},
    {.kind = MDFH_SCENARIO_MARKET,
	.share = 16,
	.from_ns = CLOCK(11, 30),
	.until_ns = CLOCK(13, 30)},
    {.kind = MDFH_SCENARIO_MARKET,
	.share = 21,
	.from_ns = CLOCK(13, 30),
	.until_ns = CLOCK(15, 50)},
    {.kind = MDFH_SCENARIO_MARKET,
	.share = 8,
	.imbalances = 9,
	.from_ns = CLOCK(15, 50),
	.until_ns = CLOCK(16, 0)},
    {.kind = MDFH_SCENARIO_AFTER_MARKET,
	.share = 3,
	.from_ns = CLOCK(16, 0),
	.until_ns = CLOCK(20, 0)},
};

static const struct mdfh_scenario usual = {
    .phases = usual_phases,
    .phases_count = sizeof(usual_phases) / sizeof(*usual_phases),
    .start_ns = CLOCK(3, 0),
};

const struct mdfh_scenario *mdfh_scenario_usual(void)
{
	return &usual;
}
