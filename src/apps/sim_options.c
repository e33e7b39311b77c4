/* sim_options.c - the command line of mdfh sim. */
#include "apps/sim_options.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "apps/option_values.h"
#include "mdfh/error.h"

/* Options ------------------------------------------------------------------------- */

enum {
	KEY_GROUP_B = 256,
	KEY_MESSAGES,
	KEY_SEED,
	KEY_SYMBOLS,
	KEY_LIVE_ORDERS,
	KEY_DATE,
	KEY_SESSION,
	KEY_SKEW,
	KEY_PAYLOAD,
	KEY_FLUSH,
	KEY_BURST,
	KEY_DROP_A,
	KEY_DROP_B,
	KEY_HEARTBEAT,
	KEY_BOOKS_OUT,
	KEY_LINGER,
	KEY_START_DELAY,
	KEY_WAIT,
	KEY_JSON,
	KEY_CLOCK,
	KEY_TRANSMIT,
	KEY_TTL,
	KEY_STATUS,
	KEY_MAX_LATE,
	KEY_AHEAD,
	KEY_SOUP,
	KEY_SOUP_USER,
	KEY_SOUP_PASSWORD,
	KEY_DISCONNECT_EVERY,
	KEY_BACKEND,
	KEY_BACKEND_OPTIONS,
};

static const struct argp_option argp_options[] = {
    {0, 0, 0, 0, "Where to:", 1},
    {"group", 'g', "GROUP:PORT", 0, "Line A (239.1.1.1:26477); IPv6: [ff15::1]:26477", 1},
    {"group-b", KEY_GROUP_B, "GROUP:PORT", 0, "Line B: the same packets again (none)", 1},
    {"interface", 'i', "NAME", 0, "Network interface (lo), or the backend's device", 1},
    {"backend", KEY_BACKEND, "NAME", 0, "Backend to send through (socket)", 1},
    {"backend-options", KEY_BACKEND_OPTIONS, "TEXT", 0, "key=value,... for the backend", 1},
    {"out", 'o', "FILE", 0,
	"Write the day to a file instead of sending it: .itch (BinaryFILE), .pcap or .pcapng", 1},
    {"soupbintcp", KEY_SOUP, "ADDRESS:PORT", 0,
	"Serve the day over SoupBinTCP there, and on no line unless a group is named", 1},
    {"soup-user", KEY_SOUP_USER, "NAME", 0, "The only user that may log in (anybody)", 1},
    {"soup-password", KEY_SOUP_PASSWORD, "TEXT", 0, "The password that a login must have (any)", 1},
    {"disconnect-every", KEY_DISCONNECT_EVERY, "N", 0,
	"Drop a SoupBinTCP client after N messages, inside the last of them (never)", 1},
    {"transmit", KEY_TRANSMIT, 0, 0,
	"Send to any interface, group and ttl, listen on any address: others may take the data "
	"for real",
	1},
    {"ttl", KEY_TTL, "N", 0, "Time to live of the packets (1)", 1},
    {0, 0, 0, 0, "How much and how fast:", 2},
    {"rate", 'r', "MSGS/S", 0, "Messages a second, 100 to 5000000 (100000)", 2},
    {"seconds", 's', "S", 0, "For so long (10)", 2},
    {"messages", KEY_MESSAGES, "N", 0, "So many messages, instead of --seconds", 2},
    {"burst", KEY_BURST, "FACTOR", 0,
	"Rate of a burst of 1 ms in every 100 ms, as a multiple of the mean; 1 = even (10)", 2},
    {"flush-us", KEY_FLUSH, "US", 0, "Longest wait of a message for its packet to fill (50)", 2},
    {"mtu-payload", KEY_PAYLOAD, "BYTES", 0, "Largest UDP payload, 72 to 8972 (1400)", 2},
    {"skew-us", KEY_SKEW, "US", 0, "Line B behind line A (0)", 2},
    {"ahead", KEY_AHEAD, "MIB", 0,
	"Make so much of the day before the first message goes out; 1 GiB is some 30 million "
	"messages "
	"(1024)",
	2},
    {"start-delay", KEY_START_DELAY, "S", 0, "Only heartbeats for so long at the start (0)", 2},
    {"wait-for-listener", KEY_WAIT, "S", 0,
	"Start when the groups have been joined in this network namespace and a SoupBinTCP client "
	"has logged in, or give up after S",
	2},
    {"heartbeat", KEY_HEARTBEAT, "MS", 0, "Silence before a heartbeat (1000)", 2},
    {"linger", KEY_LINGER, "S", 0,
	"Repeat the end of session, and let SoupBinTCP clients come back, for so long (1)", 2},
    {0, 0, 0, 0, "What:", 3},
    {"scenario", 'S', "FILE", 0,
	"The day's timetable, YAML: phases, halts, bursts, faults of lines and so on; other "
	"options "
	"override it",
	3},
    {"seed", KEY_SEED, "N", 0, "Equal seeds give equal days (1)", 3},
    {"symbols", KEY_SYMBOLS, "N", 0, "Symbols (8000, fewer on a short day)", 3},
    {"live-orders", KEY_LIVE_ORDERS, "N", 0,
	"Most orders in the books at once (500000, fewer on a short day)", 3},
    {"session", KEY_SESSION, "NAME", 0, "Session, up to 10 characters (MDFHSIM)", 3},
    {"date", KEY_DATE, "YYYY-MM-DD", 0, "Session date of a capture file (today)", 3},
    {"clock", KEY_CLOCK, "live|day", 0,
	"What messages carry as their time: live = when their packet is due, day = a simulated "
	"03:00 to 20:00 (live; day in .itch files)",
	3},
    {"drop-a", KEY_DROP_A, "SPEC", 0,
	"Leave packets out of line A: 1000ppm, or sequence numbers: 5000-5010,7000", 3},
    {"drop-b", KEY_DROP_B, "SPEC", 0, "The same on line B", 3},
    {0, 0, 0, 0, "What comes of it:", 4},
    {"books-out", KEY_BOOKS_OUT, "FILE", 0,
	"Write the books at the end, for `mdfh compare`; the file appears when it is complete", 4},
    {"json", KEY_JSON, 0, 0, "Summary as JSON", 4},
    {"status", KEY_STATUS, 0, 0,
	"A line of progress each second, to standard error (only on a terminal)", 4},
    {"max-late", KEY_MAX_LATE, "US", 0,
	"Exit with 1 if a message went out more than so much after its time", 4},
    {0},
};

static int ends_with(const char *text, const char *end)
{
	size_t text_length = strlen(text);
	size_t end_length = strlen(end);

	return text_length > end_length && !strcmp(text + text_length - end_length, end);
}

static void read_session(
    const struct argp_state *state, char session[MDFH_PUBLISHER_SESSION_SIZE + 1], const char *text)
{
	size_t length = strlen(text);

	if (!length || length > MDFH_PUBLISHER_SESSION_SIZE)
		argp_error(state, "session is '%s'; it must be 1 to 10 characters", text);
	snprintf(
	    session, MDFH_PUBLISHER_SESSION_SIZE + 1, "%-*s", MDFH_PUBLISHER_SESSION_SIZE, text);
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct sim_options *o = state->input;

	switch (key) {
	case 'g':
		if (sim_endpoint_parse(arg, &o->endpoints[0]))
			argp_error(state, "%s", mdfh_error_text());
		o->is_multicast = 1;
		return 0;
	case KEY_SOUP:
		if (sim_endpoint_parse(arg, &o->soup))
			argp_error(state,
			    "soupbintcp is '%s'; it must be a numeric address and a port, like "
			    "127.0.0.1:9000",
			    arg);
		return 0;
	case KEY_SOUP_USER:
		o->soup_user = arg;
		return 0;
	case KEY_SOUP_PASSWORD:
		o->soup_password = arg;
		return 0;
	case KEY_DISCONNECT_EVERY:
		o->disconnect_every = option_whole(state, "disconnect-every", arg, 2, UINT64_MAX);
		return 0;
	case KEY_GROUP_B:
		o->is_multicast = 1;
		if (sim_endpoint_parse(arg, &o->endpoints[1]))
			argp_error(state, "%s", mdfh_error_text());
		o->lines = 2;
		return 0;
	case 'i':
		o->interface = arg;
		return 0;
	case KEY_BACKEND:
		o->backend = arg;
		return 0;
	case KEY_BACKEND_OPTIONS:
		o->backend_options = arg;
		return 0;
	case 'o':
		if (!ends_with(arg, ".itch") && !ends_with(arg, ".pcap") &&
		    !ends_with(arg, ".pcapng"))
			argp_error(
			    state, "out is '%s'; it must end in .itch, .pcap or .pcapng", arg);
		o->out = arg;
		return 0;
	case KEY_TRANSMIT:
		o->transmit = 1;
		return 0;
	case KEY_TTL:
		o->ttl = (uint32_t)option_whole(state, "ttl", arg, 1, 255);
		return 0;
	case 'r':
		o->rate = option_number(state, "rate", arg, 100, 5000000);
		return 0;
	case 's':
		o->seconds = option_number(state, "seconds", arg, 0.001, 86400);
		o->day.messages = 0; /* those of a scenario */
		return 0;
	case KEY_MESSAGES:
		o->day.messages = option_whole(state, "messages", arg, 1, 100000000000ull);
		return 0;
	case KEY_BURST:
		o->burst = option_number(state, "burst", arg, 1, 50);
		return 0;
	case KEY_FLUSH:
		o->flush_us = option_whole(state, "flush-us", arg, 0, 1000000);
		return 0;
	case KEY_PAYLOAD:
		o->payload = (uint32_t)option_whole(state, "mtu-payload", arg,
		    MDFH_PUBLISHER_PAYLOAD_MIN, MDFH_PUBLISHER_PAYLOAD_MAX);
		return 0;
	case KEY_SKEW:
		o->skew_us = option_whole(state, "skew-us", arg, 0, 1000000);
		return 0;
	case KEY_START_DELAY:
		o->start_delay_s = option_number(state, "start-delay", arg, 0, 3600);
		return 0;
	case KEY_WAIT:
		o->wait_s = (unsigned)option_whole(state, "wait-for-listener", arg, 1, 3600);
		return 0;
	case KEY_HEARTBEAT:
		o->heartbeat_ms = option_whole(state, "heartbeat", arg, 1, 60000);
		return 0;
	case KEY_LINGER:
		o->linger_s = option_number(state, "linger", arg, 0, 3600);
		return 0;
	case KEY_SEED:
		o->day.seed = option_whole(state, "seed", arg, 0, UINT64_MAX);
		return 0;
	case KEY_SYMBOLS:
		o->day.symbols =
		    (uint32_t)option_whole(state, "symbols", arg, 1, MDFH_DAY_SYMBOLS_MAX);
		return 0;
	case KEY_LIVE_ORDERS:
		o->day.live_orders =
		    (uint32_t)option_whole(state, "live-orders", arg, 1, 100000000);
		return 0;
	case KEY_SESSION:
		read_session(state, o->session, arg);
		return 0;
	case KEY_DATE:
		o->date = arg;
		return 0;
	case KEY_CLOCK:
		if (strcmp(arg, "live") != 0 && strcmp(arg, "day") != 0)
			argp_error(state, "clock is '%s'; it must be live or day", arg);
		o->clock = *arg == 'l' ? SIM_CLOCK_LIVE : SIM_CLOCK_DAY;
		return 0;
	case KEY_DROP_A:
	case KEY_DROP_B:
		if (mdfh_drop_parse(arg, &o->drop[key == KEY_DROP_B]))
			argp_error(state, "%s", mdfh_error_text());
		return 0;
	case KEY_BOOKS_OUT:
		o->books_out = arg;
		return 0;
	case KEY_JSON:
		o->json = 1;
		return 0;
	case 'S':
		o->scenario_path = arg;
		return 0;
	case KEY_STATUS:
		o->status = 1;
		return 0;
	case KEY_AHEAD:
		o->ahead_mib = option_whole(state, "ahead", arg, 1, 1048576);
		return 0;
	case KEY_MAX_LATE:
		o->max_late_us = option_whole(state, "max-late", arg, 0, 3600000000u);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is no option; mdfh sim takes options only", arg);
		return 0;
	case ARGP_KEY_END:
		if (!o->soup.port) {
			o->is_multicast = 1;
			if (o->soup_user || o->soup_password || o->disconnect_every)
				argp_error(state, "soup-user, soup-password and disconnect-every "
						  "are for --soupbintcp ADDRESS:PORT");
		} else if (o->out) {
			argp_error(state, "a day is served, or written to a file: leave out "
					  "soupbintcp or out");
		}
		if (o->date && (!o->out || sim_options_is_binaryfile(o)))
			argp_error(state, "date is for capture files: what is sent is sent today, "
					  "and .itch files hold no date");
		if (o->clock == SIM_CLOCK_LIVE && sim_options_is_binaryfile(o))
			argp_error(state, "clock is live; .itch files have no packets that could "
					  "be due");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int sim_options_is_binaryfile(const struct sim_options *options)
{
	return options->out && ends_with(options->out, ".itch");
}

/* The scenario's values where it has any, as if they were the defaults. */
static int apply_scenario(struct sim_options *o)
{
	const struct mdfh_scenario *s = o->scenario;

	if (s->seed)
		o->day.seed = *s->seed;
	if (s->rate > 0)
		o->rate = s->rate;
	if (s->seconds > 0)
		o->seconds = s->seconds;
	if (s->messages && s->seconds > 0)
		o->rate = (double)s->messages / s->seconds;
	if (s->burst > 0)
		o->burst = s->burst;
	o->day.messages = s->messages;
	o->day.symbols = s->symbols;
	o->day.live_orders = s->live_orders;
	o->day.scenario = s;
	o->skew_us = s->skew_us;
	if (s->drop_a && mdfh_drop_parse(s->drop_a, &o->drop[0]))
		return -1;
	return s->drop_b ? mdfh_drop_parse(s->drop_b, &o->drop[1]) : 0;
}

static const struct sim_options defaults = {
    .endpoints = {{.group = "239.1.1.1", .port = 26477}},
    .lines = 1,
    .interface = "lo",
    .backend = "socket",
    .session = "MDFHSIM   ",
    .rate = 100000,
    .seconds = 10,
    .burst = 10,
    .linger_s = 1,
    .heartbeat_ms = 1000,
    .flush_us = 50,
    .payload = 1400,
    .ttl = 1,
    .max_late_us = UINT64_MAX,
    .ahead_mib = 1024,
    .day = {.seed = 1},
};

/* Twice when there is a scenario: for its name, and again over what it says. */
int sim_options_parse(int argc, char **argv, struct sim_options *options)
{
	static const struct argp argp = {
	    .options = argp_options,
	    .parser = parse_option,
	    .doc =
		"Be an exchange: ITCH 5.0 over MoldUDP64 on one or two multicast lines, or over "
		"SoupBinTCP.\v"
		"Messages go out at the times of a schedule that waits for nobody; what went "
		"out late is in the summary. Sending is refused on any interface but loopback "
		"or a veth pair in a network namespace without a default route, to groups outside "
		"239.0.0.0/8 and ff11::/16 to ff15::/16 and with a ttl above 1, unless --transmit "
		"says that it is meant.\n\nExit status: 0 done, 1 later than --max-late, 2 could "
		"not be done.",
	};
	struct mdfh_scenario *scenario;

	*options = defaults;
	if (argp_parse(&argp, argc, argv, 0, NULL, options))
		return 2;
	if (options->scenario_path) {
		if (mdfh_scenario_load(options->scenario_path, &scenario)) {
			fprintf(stderr, "mdfh sim: %s\n", mdfh_error_text());
			return 2;
		}
		*options = defaults;
		options->scenario = scenario;
		if (apply_scenario(options)) {
			fprintf(stderr, "mdfh sim: %s: %s\n",
			    options->scenario->name ? options->scenario->name : "scenario",
			    mdfh_error_text());
			return 2;
		}
		if (argp_parse(&argp, argc, argv, 0, NULL, options))
			return 2;
	}
	if (!options->day.messages)
		options->day.messages = (uint64_t)(options->rate * options->seconds);
	options->day.rate = options->rate;
	return 0;
}

void sim_options_free(struct sim_options *options)
{
	mdfh_scenario_free(options->scenario);
}
