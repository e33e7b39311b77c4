/* cmd_conformance.c - mdfh conformance: hold a backend against the suite that all backends pass. */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "apps/commands.h"
#include "mdfh/conformance.h"
#include "mdfh/error.h"

struct options {
	struct mdfh_conformance_config config;
	int json;
};

static const struct {
	const char *name;
	enum mdfh_conformance_medium medium;
} media[] = {
    {"udp4", MDFH_CONFORMANCE_UDP4},
    {"udp6", MDFH_CONFORMANCE_UDP6},
    {"multicast4", MDFH_CONFORMANCE_MULTICAST4},
    {"multicast6", MDFH_CONFORMANCE_MULTICAST6},
    {"file", MDFH_CONFORMANCE_FILE},
    {"none", MDFH_CONFORMANCE_NONE},
    {"tcp4", MDFH_CONFORMANCE_TCP4},
    {"tcp6", MDFH_CONFORMANCE_TCP6},
    {"frames4", MDFH_CONFORMANCE_FRAMES4},
    {"frames6", MDFH_CONFORMANCE_FRAMES6},
};

static const struct argp_option argp_options[] = {
    {"medium", 'm', "MEDIUM", 0,
	"How packets reach the backend: udp4, udp6, multicast4, multicast6, file, none (it makes "
	"its own), frames4, frames6 (written to --peer); or what a stream of bytes connects to: "
	"tcp4, "
	"tcp6. Default: file for pcap, none for null, else udp4",
	0},
    {"interface", 'i', "NAME", 0,
	"Loopback device to use, multicast needs one; for frames what the port is opened on", 0},
    {"peer", 'p', "NAME", 0, "For frames: the other end of the veth pair", 0},
    {"options", 'o', "KEY=VALUE,...", 0, "The backend's own options", 0},
    {"json", 'j', NULL, 0, "Print a JSON array", 0},
    {0},
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'm':
		for (size_t i = 0; i < sizeof(media) / sizeof(media[0]); i++)
			if (!strcmp(arg, media[i].name))
				options->config.medium = media[i].medium;
		if (!options->config.medium)
			argp_error(state,
			    "medium is '%s'; it must be udp4, udp6, multicast4, multicast6, file, "
			    "none, frames4, frames6, tcp4 or tcp6",
			    arg);
		return 0;
	case 'i':
		options->config.interface = arg;
		return 0;
	case 'p':
		options->config.peer = arg;
		return 0;
	case 'o':
		options->config.backend_options = arg;
		return 0;
	case 'j':
		options->json = 1;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num)
			argp_error(state, "one backend at a time; '%s' is one too many", arg);
		options->config.backend = arg;
		return 0;
	case ARGP_KEY_END:
		if (!state->arg_num)
			argp_error(state, "a backend's name or a module's absolute path is needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* A backend that cannot be opened at all is no matter for the suite. */
static int try_open(const struct mdfh_conformance_feed *feed)
{
	const struct mdfh_bypass_config wanted = {.size = sizeof(wanted)};
	struct mdfh_bypass *port;
	int rc = feed->open(feed->context, &wanted, 0, NULL, 0, &port);

	if (!rc)
		mdfh_bypass_close(port);
	return rc;
}

static const char *verdict_name(enum mdfh_conformance_verdict verdict)
{
	static const char *const names[] = {"passed", "FAILED", "not applicable"};

	return names[verdict];
}

static int print_json(const struct mdfh_conformance_result *results, int n)
{
	json_t *array = json_array();
	int rc = 0;

	for (int i = 0; i < n && !rc; i++)
		rc = json_array_append_new(
		    array, json_pack("{s:s, s:s, s:s, s:s}", "name", results[i].name, "what",
			       results[i].what, "verdict",
			       results[i].verdict == MDFH_CONFORMANCE_FAILED
				   ? "failed"
				   : verdict_name(results[i].verdict),
			       "detail", results[i].detail));
	if (!rc)
		rc = json_dumpf(array, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(array);
	return rc;
}

static void print_text(const struct mdfh_conformance_result *result)
{
	printf("%-16s %-14s %s\n", result->name, verdict_name(result->verdict), result->what);
	if (result->verdict)
		printf("%-16s %-14s %s\n", "", "", result->detail);
}

int mdfh_command_conformance(int argc, char **argv)
{
	static const struct argp argp = {
	    .options = argp_options,
	    .parser = parse_option,
	    .args_doc = "BACKEND|/PATH/MODULE.so",
	    .doc =
		"Hold a backend against the conformance suite: same packets in, same packets out, "
		"same counters, flows, lifecycle and errors as every other.\vOnly loopback "
		"addresses and devices, and those of veth pairs, are used. Exit status: 0 every "
		"check that applies passed, "
		"1 one failed, 2 the suite could not be run.",
	};
	struct mdfh_conformance_result results[MDFH_CONFORMANCE_CHECKS] = {0};
	struct options options = {.config = {.size = sizeof(options.config)}};
	struct mdfh_conformance_feed *feed;
	int n, counts[3] = {0}, status;

	if (argp_parse(&argp, argc, argv, 0, NULL, &options))
		return 2;
	if (mdfh_conformance_feed_open(&options.config, &feed)) {
		fprintf(stderr, "mdfh conformance: %s\n", mdfh_error_text());
		return 2;
	}
	n = try_open(feed);
	if (!n)
		n = mdfh_conformance_run(feed, results, MDFH_CONFORMANCE_CHECKS);
	if (n < 0) {
		fprintf(stderr, "mdfh conformance: %s\n", mdfh_error_text());
		mdfh_conformance_feed_close(feed);
		return 2;
	}
	for (int i = 0; i < n; i++)
		counts[results[i].verdict]++;
	status = counts[MDFH_CONFORMANCE_FAILED] ? 1 : 0;
	if (options.json) {
		if (print_json(results, n))
			status = 2;
	} else {
		for (int i = 0; i < n; i++)
			print_text(&results[i]);
		printf("%s over %s: %d passed, %d failed, %d not applicable\n",
		    options.config.backend, feed->name, counts[MDFH_CONFORMANCE_PASSED],
		    counts[MDFH_CONFORMANCE_FAILED], counts[MDFH_CONFORMANCE_NOT_APPLICABLE]);
	}
	mdfh_conformance_feed_close(feed);
	return status;
}
