/* channel_lines.c - what each line of a channel skipped, and the causes of gaps.
 *
 * A line remembers its holes with the drop counters of its path before and after them; a gap's
 * cause is what the lines that passed it agree on. */
#include <string.h>

#include "mdfh/event.h"
#include "session/channel_state.h"

void mdfh_line_skipped(
    const struct mdfh_channel *ch, struct line *l, uint64_t first, uint64_t next, uint8_t cause)
{
	struct line_hole *h;

	if (l->holes == LINE_HOLES) {
		/* Those that another line filled long ago make room, else the oldest. */
		uint32_t kept = 0;

		for (uint32_t i = 0; i < LINE_HOLES; i++)
			if (l->hole[i].next > ch->expected)
				l->hole[kept++] = l->hole[i];
		if (kept == LINE_HOLES)
			memmove(l->hole, l->hole + 1, --kept * sizeof(l->hole[0]));
		l->holes = kept;
	}
	h = &l->hole[l->holes++];
	*h = (struct line_hole){
	    .first = first,
	    .next = next,
	    .before = l->before,
	    .after = l->drops,
	    .cause = cause,
	};
}

/* A packet behind the line's newest one: reordered on that line, or a repeat. Returns how many
 * numbers it brings that the line had skipped. */
uint64_t mdfh_line_filled(struct line *l, uint64_t first, uint64_t next)
{
	uint64_t filled = 0;

	for (uint32_t i = 0; i < l->holes; i++) {
		struct line_hole *h = &l->hole[i];
		uint64_t from = first > h->first ? first : h->first;
		uint64_t to = next < h->next ? next : h->next;

		if (from >= to)
			continue;
		filled += to - from;
		if (from > h->first && to < h->next && l->holes < LINE_HOLES) {
			memmove(h + 1, h, (l->holes - i) * sizeof(*h));
			l->holes++;
			h[0].next = from;
			h[1].first = to;
			i++;
		} else if (from > h->first) {
			h->next = from;
		} else if (to < h->next) {
			h->first = to;
		} else {
			memmove(h, h + 1, (l->holes - i - 1) * sizeof(*h));
			l->holes--;
			i--;
		}
	}
	return filled;
}

/* NIC and kernel counters are read some time after they rose: what they say when the hole is
 * given up counts. Those of the kernel's sockets come with the packets. */
static unsigned hole_cause(const struct line *l, const struct line_hole *h, uint64_t *rise)
{
	const struct mdfh_line_drops *after = &h->after;
	uint64_t socket = l->drops.readings ? l->drops.socket : after->socket;
	int is_read = !l->drops.readings || l->drops.readings != after->readings;
	unsigned cause = MDFH_CAUSE_NONE, rose = 0;

	*rise = UINT64_MAX;
	if (h->cause)
		return h->cause;
	if (l->drops.nic > h->before.nic)
		rose++, cause = MDFH_CAUSE_NIC, *rise = l->drops.nic - h->before.nic;
	if (l->drops.kernel > h->before.kernel)
		rose++, cause = MDFH_CAUSE_KERNEL;
	if (socket > h->before.socket)
		rose++, cause = MDFH_CAUSE_SOCKET, *rise = socket - h->before.socket;
	if (after->injected > h->before.injected)
		rose++, cause = MDFH_CAUSE_INJECTED;
	if (rose == 1)
		return cause;
	return rose == 0 && l->drops.known && is_read ? MDFH_CAUSE_UPSTREAM
						      : MDFH_CAUSE_UNATTRIBUTED;
}

/* Each line that lacks a gap lacks a packet of its own: a port that dropped fewer than it has such
 * lines has not dropped all of them. */
static int is_enough(const struct mdfh_channel *ch, const uint64_t rises[MDFH_LINES_MAX])
{
	for (unsigned i = 0; i < ch->lines; i++) {
		uint64_t lines = 0;

		if (!ch->line[i].drops.shared || !rises[i])
			continue;
		for (unsigned k = 0; k < ch->lines; k++)
			lines += rises[k] && ch->line[k].drops.shared == ch->line[i].drops.shared;
		if (rises[i] < lines)
			return 0;
	}
	return 1;
}

/* One name for a gap: what every line that passed it says. A message that arrived and was refused
 * would have filled it, so that outweighs the rest. */
uint8_t mdfh_gap_cause(const struct mdfh_channel *ch, uint64_t first, uint64_t next)
{
	unsigned agreed = MDFH_CAUSE_NONE;
	uint64_t rises[MDFH_LINES_MAX] = {0};

	for (unsigned i = 0; i < ch->lines; i++) {
		const struct line *l = &ch->line[i];

		for (uint32_t k = 0; k < l->holes; k++) {
			unsigned cause;

			if (l->hole[k].first >= next || l->hole[k].next <= first)
				continue;
			cause = hole_cause(l, &l->hole[k], &rises[i]);
			if (cause == MDFH_CAUSE_MALFORMED)
				return MDFH_CAUSE_MALFORMED;
			if (agreed == MDFH_CAUSE_NONE)
				agreed = cause;
			else if (agreed != cause)
				agreed = MDFH_CAUSE_UNATTRIBUTED;
		}
	}
	return (uint8_t)(agreed && is_enough(ch, rises) ? agreed : MDFH_CAUSE_UNATTRIBUTED);
}

void mdfh_channel_drops(struct mdfh_channel *ch, unsigned line, const struct mdfh_line_drops *drops)
{
	struct line *l;

	if (line >= ch->lines)
		return;
	l = &ch->line[line];
	/* Without a packet in between it is a newer reading of the same moment: a hole that the next
	 * packet shows may be what this one has risen by. The first is what the next is held against. */
	if (l->has_come)
		l->before = l->drops;
	l->drops = *drops;
	l->has_come = !l->is_read;
	l->is_read = 1;
}
