/* channel_window.c - the reorder window: packets that came early, sorted by their first number. */
#include <string.h>

#include "session/channel_state.h"

int mdfh_window_store(struct mdfh_channel *ch, int64_t now_ns)
{
	const struct arrival *a = &ch->arrival;
	uint32_t low = ch->head, high = ch->head + ch->early;
	int64_t since = now_ns;
	struct early *e;
	uint32_t slot;

	/* The first packet that begins after this one; most belong at the end. */
	if (low < high && ch->slot[ch->order[high - 1]].first <= a->first)
		low = high;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (ch->slot[ch->order[middle]].first <= a->first)
			low = middle + 1;
		else
			high = middle;
	}
	if (low > ch->head && ch->slot[ch->order[low - 1]].next >= a->next) {
		ch->stats.lines[a->line].duplicates +=
		    ch->session->counts_packets ? 1 : a->next - a->first;
		return 1;
	}
	if (ch->early == ch->window_packets || a->length > ch->frame_size)
		return 0;

	if (low < ch->head + ch->early)
		since = ch->slot[ch->order[low]].since;
	else if (ch->tail_since < now_ns)
		since = ch->tail_since;
	if (ch->head + ch->early == 2 * ch->window_packets) {
		memmove(ch->order, ch->order + ch->head, ch->early * sizeof(*ch->order));
		low -= ch->head;
		ch->head = 0;
	}
	memmove(ch->order + low + 1, ch->order + low,
	    (ch->head + ch->early - low) * sizeof(*ch->order));
	slot = ch->free_slots[--ch->free_count];
	ch->order[low] = slot;
	if (ch->early++ == 0 || ch->window_end < a->next)
		ch->window_end = a->next;
	e = &ch->slot[slot];
	*e = (struct early){
	    .first = a->first,
	    .next = a->next,
	    .since = since,
	    .receive_ns = a->receive_ns,
	    .length = a->length,
	    .messages = a->messages,
	    .flags = a->flags,
	    .line = a->line,
	};
	memcpy(ch->frames + (size_t)slot * ch->frame_size, a->data, a->length);
	ch->stats.lines[a->line].early++;
	return 1;
}

uint32_t mdfh_window_take(struct mdfh_channel *ch, struct arrival *held)
{
	uint32_t slot = ch->order[ch->head++];
	const struct early *e = &ch->slot[slot];

	*held = (struct arrival){
	    .data = ch->frames + (size_t)slot * ch->frame_size,
	    .first = e->first,
	    .next = e->next,
	    .receive_ns = e->receive_ns,
	    .length = e->length,
	    .messages = e->messages,
	    .flags = e->flags,
	    .line = e->line,
	};
	if (--ch->early == 0)
		ch->head = 0;
	return slot;
}
