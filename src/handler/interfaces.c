/* interfaces.c - what has become of the network devices of the lines. */
#include "handler/interfaces.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mdfh/error.h"
#include "mdfh/log.h"
#include "net/net.h"

enum { TROUBLE_MAX = 256 };

struct watched {
	char name[64];
	char lines[160];           /* "nasdaq line A, nasdaq line B", for people */
	char trouble[TROUBLE_MAX]; /* what was said last, "" = it works */
};

struct mdfh_interfaces {
	unsigned count;
	struct watched watched[];
};

static struct watched *find(struct mdfh_interfaces *w, const char *name)
{
	for (unsigned i = 0; i < w->count; i++)
		if (!strcmp(w->watched[i].name, name))
			return &w->watched[i];
	return NULL;
}

/* A device that the kernel has given away, or never had: the port's own warning says how it is. */
static int is_of_dpdk(const char *backend)
{
	return backend && !strcmp(backend, "dpdk");
}

static void add(
    struct mdfh_interfaces *w, const struct mdfh_handler_channel_config *channel, unsigned line)
{
	const char *interface = channel->lines[line].interface;
	struct watched *watched;
	size_t at;

	if (!interface || channel->lines[line].file || is_of_dpdk(channel->lines[line].backend))
		return;
	watched = find(w, interface);
	if (!watched) {
		watched = &w->watched[w->count++];
		snprintf(watched->name, sizeof(watched->name), "%s", interface);
	}
	at = strlen(watched->lines);
	snprintf(watched->lines + at, sizeof(watched->lines) - at, "%s%s line %c", at ? ", " : "",
	    channel->name ? channel->name : channel->protocol, (char)('A' + line));
}

int mdfh_interfaces_create(
    const struct mdfh_handler_config *config, struct mdfh_interfaces **interfaces)
{
	struct mdfh_interfaces *w;
	size_t lines = 0;

	for (unsigned i = 0; i < config->channels_count; i++)
		lines += config->channels[i].lines_count;
	w = calloc(1, sizeof(*w) + lines * sizeof(w->watched[0]));
	if (!w)
		return mdfh_error(-ENOMEM, "handler: out of memory");
	for (unsigned i = 0; i < config->channels_count; i++)
		for (unsigned l = 0; l < config->channels[i].lines_count; l++)
			add(w, &config->channels[i], l);
	*interfaces = w;
	return 0;
}

void mdfh_interfaces_destroy(struct mdfh_interfaces *w)
{
	free(w);
}

void mdfh_interfaces_look(struct mdfh_interfaces *w)
{
	for (unsigned i = 0; i < w->count; i++) {
		struct watched *watched = &w->watched[i];
		char trouble[TROUBLE_MAX] = "";

		(void)mdfh_interface_trouble(watched->name, trouble, sizeof(trouble));
		if (!strcmp(trouble, watched->trouble))
			continue;
		memcpy(watched->trouble, trouble, sizeof(trouble));
		if (*trouble)
			mdfh_log(MDFH_LOG_WARNING, "%s (%s)", trouble, watched->lines);
		else
			mdfh_log(MDFH_LOG_WARNING, "interface %s works again (%s)", watched->name,
			    watched->lines);
	}
}
