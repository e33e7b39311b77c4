/* cmd_backends.c - mdfh backends: which ways to get packets there are here, what each can do, and
 * why a missing one is missing. Capabilities are those of a port that is opened for the purpose, on
 * a loopback address or an empty capture: they are reported, never assumed. */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "apps/commands.h"
#include "mdfh/conformance.h"
#include "mdfh/error.h"

enum { BACKENDS_MAX = 64 };

struct options {
	int json;
};

static const struct argp_option argp_options[] = {
    {"json", 'j', NULL, 0, "Print a JSON array", 0},
    {0},
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'j':
		options->json = 1;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is one argument too many", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const char *place_name(enum mdfh_place place)
{
	static const char *const names[] = {"none", "software", "kernel", "hardware"};

	return names[place <= MDFH_PLACE_HARDWARE ? place : MDFH_PLACE_NONE];
}

/* A port of the backend, to be asked; the caller closes it. */
static int open_port(const char *backend, struct mdfh_bypass **port)
{
	const struct mdfh_conformance_config config = {.size = sizeof(config), .backend = backend};
	const struct mdfh_bypass_config wanted = {.size = sizeof(wanted)};
	struct mdfh_conformance_feed *feed;
	int rc;

	*port = NULL;
	rc = mdfh_conformance_feed_open(&config, &feed);
	if (rc)
		return rc;
	rc = feed->open(feed->context, &wanted, 0, NULL, 0, port);
	mdfh_conformance_feed_close(feed);
	return rc;
}

/* Text -------------------------------------------------------------------- */

static void print_port(const struct mdfh_bypass_capabilities *can)
{
	printf("    %s%s%s, filters: %s, times: %s, %s%s, %u queue%s, hold %u, frames of %u%s\n",
	    can->zero_copy ? "zero-copy" : "copy: ", can->zero_copy ? "" : can->copy_reason,
	    can->hugepages ? ", hugepages" : "", place_name(can->filters),
	    place_name(can->timestamps), can->can_send ? "sends" : "cannot send",
	    can->is_finite ? ", ends" : "", can->queues, can->queues == 1 ? "" : "s", can->hold_max,
	    can->frame_size, can->is_stream ? ", stream" : "");
	if (can->mode[0])
		printf("    mode: %s\n", can->mode);
	if (can->receive_buffer_bytes)
		printf("    receive buffer: %llu bytes\n",
		    (unsigned long long)can->receive_buffer_bytes);
	if (can->warning[0])
		printf("    %s\n", can->warning);
}

static void print_text(const struct mdfh_bypass_backend *backend)
{
	struct mdfh_bypass *port = NULL;

	printf("%-10s %-13s %s\n", backend->name,
	    backend->available ? "available" : "not available", backend->description);
	if (!backend->available)
		printf("    %s\n", backend->reason);
	else if (open_port(backend->name, &port))
		printf("    cannot be opened: %s\n", mdfh_error_text());
	else
		print_port(mdfh_bypass_capabilities(port));
	mdfh_bypass_close(port);
}

/* JSON -------------------------------------------------------------------- */

static json_t *json_of_port(const struct mdfh_bypass_capabilities *can)
{
	return json_pack(
	    "{s:b, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:i, s:I, s:I, s:I, s:i, s:b, s:s}",
	    "zero_copy", can->zero_copy, "copy_reason", can->copy_reason, "mode", can->mode,
	    "filters", place_name(can->filters), "timestamps", place_name(can->timestamps),
	    "can_send", can->can_send, "is_stream", can->is_stream, "is_finite", can->is_finite,
	    "queues", (int)can->queues, "hold_max", (json_int_t)can->hold_max, "frame_size",
	    (json_int_t)can->frame_size, "receive_buffer_bytes",
	    (json_int_t)can->receive_buffer_bytes, "numa_node", can->numa_node, "hugepages",
	    can->hugepages, "warning", can->warning);
}

static json_t *json_of(const struct mdfh_bypass_backend *backend)
{
	json_t *object = json_pack("{s:s, s:s, s:b, s:s, s:b}", "name", backend->name,
	    "description", backend->description, "available", backend->available, "reason",
	    backend->reason, "is_module", backend->is_module);
	struct mdfh_bypass *port = NULL;

	if (!object || !backend->available)
		return object;
	if (open_port(backend->name, &port)) {
		json_object_set_new(object, "open_error", json_string(mdfh_error_text()));
		return object;
	}
	json_object_set_new(object, "capabilities", json_of_port(mdfh_bypass_capabilities(port)));
	mdfh_bypass_close(port);
	return object;
}

static int print_json(const struct mdfh_bypass_backend *backends, int n)
{
	json_t *array = json_array();
	int rc = 0;

	for (int i = 0; i < n && !rc; i++)
		rc = json_array_append_new(array, json_of(&backends[i]));
	if (!rc)
		rc = json_dumpf(array, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(array);
	return rc;
}

int mdfh_command_backends(int argc, char **argv)
{
	static const struct argp argp = {
	    .options = argp_options,
	    .parser = parse_option,
	    .doc =
		"List the backends: those built in, the modules of the install folder, and those "
		"that this build lacks.\vA backend that works is opened on a loopback address "
		"or an empty capture and says what it can do.",
	};
	static struct mdfh_bypass_backend backends[BACKENDS_MAX];
	struct options options = {0};
	int n;

	if (argp_parse(&argp, argc, argv, 0, NULL, &options))
		return 2;
	n = mdfh_bypass_backends(backends, BACKENDS_MAX);
	if (n > BACKENDS_MAX)
		n = BACKENDS_MAX;
	if (options.json) {
		if (print_json(backends, n)) {
			fprintf(stderr, "mdfh backends: the list cannot be made\n");
			return 2;
		}
	} else {
		for (int i = 0; i < n; i++)
			print_text(&backends[i]);
	}
	return 0;
}
