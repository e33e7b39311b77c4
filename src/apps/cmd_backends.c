/* cmd_backends.c - mdfh backends: which ways to get packets there are here, what each can do, and
 * why a missing one is missing. Capabilities are those of a port that is opened for the purpose, on
 * a loopback address or an empty capture, or on the interface that was named: they are reported, never
 * assumed. */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "apps/backends_probe.h"
#include "apps/commands.h"
#include "mdfh/conformance.h"
#include "mdfh/error.h"

enum { BACKENDS_MAX = 64 };

struct options {
	int json;
	const char *interface; /* NULL = none was named */
};

static const struct argp_option argp_options[] = {
    {"interface", 'i', "DEVICE", 0, "Open each backend there, and say what is missing", 0},
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
	case 'i':
		if (!*arg)
			argp_error(state, "--interface is empty; it must name a device");
		options->interface = arg;
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

/* On one device of an interface; how many ports can be opened is counted. */
static void print_probe(const char *backend, const char *device, int *opened)
{
	struct probe probe;
	int rc = mdfh_probe(backend, device, &probe);

	if (rc) {
		printf("%-10s %-13s %s: %s\n", backend, "unknown", device, strerror(-rc));
		return;
	}
	printf(
	    "%-10s %-13s %s\n", backend, probe.port.opened ? "available" : "not available", device);
	if (!probe.port.opened) {
		printf("    %s\n", probe.port.error);
		return;
	}
	++*opened;
	print_port(&probe.port.can);
	for (int i = 0; i < probe.missing_count; i++)
		printf("    no %s: %s\n", probe.missing[i].what, probe.missing[i].why);
}

static void print_on(const struct mdfh_bypass_backend *backend, const char *interface, int *opened)
{
	char devices[PROBE_DEVICES_MAX][PROBE_DEVICE_MAX];
	char hint[1024];
	int n = mdfh_probe_devices(backend->name, interface, devices);

	if (n && !backend->available) {
		printf(
		    "%-10s not available %s\n    %s\n", backend->name, interface, backend->reason);
		return;
	}
	for (int i = 0; i < n; i++)
		print_probe(backend->name, devices[i], opened);
	if (n && mdfh_probe_hint(backend->name, interface, hint, sizeof(hint)))
		printf("    %s\n", hint);
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

static json_t *json_of_probe(const char *name, const char *device, int *opened)
{
	json_t *object = json_pack("{s:s, s:s}", "name", name, "interface", device);
	json_t *missing = json_array();
	struct probe probe;
	int rc = mdfh_probe(name, device, &probe);

	if (rc)
		snprintf(
		    probe.port.error, sizeof(probe.port.error), "a process: %s", strerror(-rc));
	*opened += probe.port.opened;
	json_object_set_new(object, "available", json_boolean(probe.port.opened));
	json_object_set_new(object, "reason", json_string(probe.port.error));
	if (probe.port.opened)
		json_object_set_new(object, "capabilities", json_of_port(&probe.port.can));
	for (int i = 0; i < probe.missing_count; i++)
		json_array_append_new(
		    missing, json_pack("{s:s, s:s}", "what", probe.missing[i].what, "reason",
				 probe.missing[i].why));
	json_object_set_new(object, "missing", missing);
	return object;
}

static json_t *json_on(
    const struct mdfh_bypass_backend *backends, int count, const char *interface, int *opened)
{
	json_t *array = json_array();

	for (int i = 0; i < count; i++) {
		char devices[PROBE_DEVICES_MAX][PROBE_DEVICE_MAX], hint[1024];
		const struct mdfh_bypass_backend *backend = &backends[i];
		int n = mdfh_probe_devices(backend->name, interface, devices);

		if (n && !backend->available) {
			json_array_append_new(
			    array, json_pack("{s:s, s:s, s:b, s:s, s:[]}", "name", backend->name,
				       "interface", interface, "available", 0, "reason",
				       backend->reason, "missing"));
			continue;
		}
		(void)mdfh_probe_hint(backend->name, interface, hint, sizeof(hint));
		for (int d = 0; d < n; d++) {
			json_t *object = json_of_probe(backend->name, devices[d], opened);

			if (*hint)
				json_object_set_new(object, "hint", json_string(hint));
			json_array_append_new(array, object);
		}
	}
	return array;
}

static int print_array(json_t *array)
{
	int rc = array ? json_dumpf(array, stdout, JSON_INDENT(2)) : -1;

	putchar('\n');
	json_decref(array);
	return rc;
}

static int print_json(const struct mdfh_bypass_backend *backends, int n)
{
	json_t *array = json_array();
	int rc = 0;

	for (int i = 0; i < n && !rc; i++)
		rc = json_array_append_new(array, json_of(&backends[i]));
	if (!rc)
		return print_array(array);
	json_decref(array);
	return rc;
}

/* Every backend that receives from interfaces, on this one. The exit status. */
static int list_on(const struct mdfh_bypass_backend *backends, int n, const struct options *options)
{
	int opened = 0;

	if (!options->json)
		for (int i = 0; i < n; i++)
			print_on(&backends[i], options->interface, &opened);
	else if (print_array(json_on(backends, n, options->interface, &opened))) {
		fprintf(stderr, "mdfh backends: the list cannot be made\n");
		return 2;
	}
	return opened ? 0 : 1;
}

int mdfh_command_backends(int argc, char **argv)
{
	static const struct argp argp = {
	    .options = argp_options,
	    .parser = parse_option,
	    .doc =
		"List the backends: those built in, the modules of the install folder, and those "
		"that this build lacks.\vA backend that works is opened on a loopback address "
		"or an empty capture and says what it can do. With --interface, those that receive "
		"from interfaces are opened on that one instead, and say what they lack there: an "
		"interface of the kernel's, or for dpdk a PCI address or a device of software.\n\n"
		"Exit status: 0; 1 if no backend can be opened on the interface; 2 if the list "
		"cannot be made.",
	};
	static struct mdfh_bypass_backend backends[BACKENDS_MAX];
	struct options options = {0};
	int n;

	if (argp_parse(&argp, argc, argv, 0, NULL, &options))
		return 2;
	n = mdfh_bypass_backends(backends, BACKENDS_MAX);
	if (n > BACKENDS_MAX)
		n = BACKENDS_MAX;
	if (options.interface)
		return list_on(backends, n, &options);
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
