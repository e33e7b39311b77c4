/* channel_setup.c - a channel made and taken down. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/lines.h"
#include "mdfh/error.h"
#include "session/channel_state.h"

static int check(const struct mdfh_channel_config *c)
{
	if (!c->session)
		return mdfh_error(-EINVAL,
		    "channel %u: session is not set; "
		    "mdfh_session_find() gives one",
		    c->channel);
	if (c->lines > MDFH_LINES_MAX)
		return mdfh_error(-EINVAL, "channel %u: lines is %u; it must be 1 to %d",
		    c->channel, c->lines, MDFH_LINES_MAX);
	if (c->window_packets < 16 || c->window_packets > 65536 ||
	    (c->window_packets & (c->window_packets - 1)))
		return mdfh_error(-EINVAL,
		    "channel %u: window_packets is %u; it must be a power "
		    "of two from 16 to 65536",
		    c->channel, c->window_packets);
	if (c->window_frame_size < 64 || c->window_frame_size > 65536)
		return mdfh_error(-EINVAL,
		    "channel %u: window_frame_size is %u; it must be 64 to "
		    "65536",
		    c->channel, c->window_frame_size);
	if (c->window_ns > INT64_MAX / 4 || c->line_down_ns > INT64_MAX / 4)
		return mdfh_error(-EINVAL,
		    "channel %u: window_ns and line_down_ns must be below "
		    "2^61",
		    c->channel);
	if (c->session_id && strlen(c->session_id) >= MDFH_SESSION_TEXT)
		return mdfh_error(-EINVAL,
		    "channel %u: session_id '%s' is longer than %d "
		    "characters",
		    c->channel, c->session_id, MDFH_SESSION_TEXT - 1);
	return 0;
}

int mdfh_channel_create(const struct mdfh_channel_config *config, struct mdfh_channel **channel)
{
	struct mdfh_channel_config c = {0};
	struct mdfh_channel *ch;
	uint32_t slots;
	int err;

	*channel = NULL;
	if (config->size == 0 || config->size > sizeof(c))
		return mdfh_error(-EINVAL,
		    "channel: config.size is %zu; it must be "
		    "sizeof(struct mdfh_channel_config), %zu",
		    config->size, sizeof(c));
	memcpy(&c, config, config->size);
	c.lines = c.lines ? c.lines : 1;
	c.window_packets = c.window_packets ? c.window_packets : 1024;
	c.window_frame_size = c.window_frame_size ? c.window_frame_size : 2048;
	c.window_ns = c.window_ns ? c.window_ns : 50000000;
	c.line_down_ns = c.line_down_ns ? c.line_down_ns : 3000000000;
	err = check(&c);
	if (err)
		return err;

	ch = mdfh_lines_alloc(1, sizeof(*ch));
	if (!ch)
		return mdfh_error(-ENOMEM, "channel %u: %zu bytes", c.channel, sizeof(*ch));
	slots = c.window_packets + SLOTS_SPARE;
	ch->order = mdfh_lines_alloc(2 * (size_t)c.window_packets, sizeof(*ch->order));
	ch->free_slots = mdfh_lines_alloc(slots, sizeof(*ch->free_slots));
	ch->slot = mdfh_lines_alloc(slots, sizeof(*ch->slot));
	ch->frames = mdfh_lines_alloc(slots, c.window_frame_size);
	if (!ch->order || !ch->free_slots || !ch->slot || !ch->frames) {
		mdfh_channel_destroy(ch);
		return mdfh_error(-ENOMEM, "channel %u: a window of %u packets of %u bytes",
		    c.channel, c.window_packets, c.window_frame_size);
	}
	for (uint32_t i = 0; i < slots; i++)
		ch->free_slots[i] = i;
	ch->free_count = slots;

	for (unsigned i = 0; i < MDFH_LINES_MAX; i++)
		ch->line[i].heard_ns = INT64_MIN;
	ch->session = c.session;
	ch->number = c.channel;
	ch->lines = c.lines;
	ch->window_packets = c.window_packets;
	ch->frame_size = c.window_frame_size;
	ch->window_ns = (int64_t)c.window_ns;
	ch->line_down_ns = (int64_t)c.line_down_ns;
	ch->read_ns = INT64_MAX;
	ch->first_sequence = c.first_sequence;
	if (c.session_id)
		memcpy(ch->session_id, c.session_id, strlen(c.session_id) + 1);
	*channel = ch;
	return 0;
}

void mdfh_channel_destroy(struct mdfh_channel *ch)
{
	if (!ch)
		return;
	free(ch->frames);
	free(ch->slot);
	free(ch->free_slots);
	free(ch->order);
	free(ch);
}
