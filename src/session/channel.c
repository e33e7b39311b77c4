/* channel.c - the lines of one stream merged by sequence number.
 *
 * Each number is given out exactly once, in order, in a data span or in a gap span. What comes
 * in order is handed through in place. What comes early is copied into the reorder window, a
 * fixed set of slots kept sorted by sequence, until another line or a late packet fills the hole
 * before it, or the hole is given up: after window_ns, when the window is full, when the session
 * changes, or on flush.
 *
 * Two kinds of packet would do great harm if one damaged header were believed, so each needs a
 * second packet that agrees: another session (unless the active one has ended, or the new one
 * stands at its number 1), and a jump of more than JUMP_MAX numbers ahead. A session that has
 * been left is not gone back to.
 *
 * Cost: a packet in order on a line that skipped nothing passes push in about a dozen compares
 * and one span of stores, besides the parse that counts its messages. All else is the slow path:
 * at most a few spans, one memcpy of a packet and one memmove of slot numbers per call. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/lines.h"
#include "mdfh/error.h"
#include "mdfh/event.h"
#include "session/protocols.h"

#define JUMP_MAX (1ull << 24)

enum {
	SESSIONS_LEFT = 8, /* remembered, newest first to go last */
	LINE_HOLES = 256,  /* newest holes remembered of each line */
	SLOTS_SPARE = MDFH_SPANS_MAX,
};

/* Numbers that one line skipped, with what its drop counters said around them. */
struct line_hole {
	uint64_t first;
	uint64_t next;
	struct mdfh_line_drops before; /* read before the batch of the packet that showed it */
	struct mdfh_line_drops after;
	uint8_t cause; /* refused packets stood there: MALFORMED or UNATTRIBUTED; else NONE */
};

struct line {
	uint64_t next; /* after the newest packet */
	int64_t heard_ns;
	struct mdfh_line_drops drops;  /* newest reading */
	struct mdfh_line_drops before; /* the reading before that */
	uint32_t holes;
	uint8_t refused; /* cause that refused packets give to the next hole, or NONE */
	struct line_hole hole[LINE_HOLES];
};

/* An early packet. */
struct early {
	uint64_t first;
	uint64_t next;
	int64_t since; /* when the hole before it became known */
	int64_t receive_ns;
	uint32_t length;
	uint32_t messages;
	uint16_t flags;
	uint8_t line;
};

/* The packet that is being dealt with: its sound part. */
struct arrival {
	const uint8_t *data;
	uint64_t first;
	uint64_t next; /* first == next: none */
	int64_t receive_ns;
	uint32_t length;
	uint32_t messages;
	uint16_t flags;
	uint8_t line;
};

struct mdfh_channel {
	/* Read for each packet. */
	const struct mdfh_session_ops *session;
	uint64_t expected;  /* next number to give out */
	uint64_t known_end; /* numbers below it exist; > expected: something is open */
	uint64_t id[2];     /* of the active session */
	uint16_t number;
	uint16_t lines;
	uint8_t epoch;
	uint8_t joined; /* a session is active */
	uint8_t more;   /* the last call ran out of spans */
	uint8_t ending; /* end of session announced: end is the number that will not come */
	uint8_t ended;  /* and given out */
	uint8_t begin;  /* SESSION_BEGIN is to be given out */
	uint8_t change; /* next_unit begins another session once this one is dealt with */
	uint8_t flush;
	uint32_t retired; /* slots whose spans the last call gave out */
	uint64_t end;
	uint64_t late_join; /* numbers 1 .. late_join - 1 are to be given out as a gap */
	int64_t tail_since; /* when known_end was found to lie past the window's packets */
	struct arrival arrival;

	/* What waits for a second packet that agrees. */
	uint64_t rival[2];
	uint64_t far;
	uint8_t has_rival;
	uint8_t has_far;

	struct mdfh_unit next_unit;
	struct mdfh_packet next_packet;
	uint8_t next_line;

	struct line line[MDFH_LINES_MAX];

	/* Window: order[head .. head + early) are slots sorted by first. */
	uint32_t *order;
	uint32_t *free_slots;
	struct early *slot;
	uint8_t *frames;
	uint32_t head;
	uint32_t early;
	uint32_t free_count;
	uint32_t window_packets;
	uint32_t frame_size;
	uint64_t window_end; /* largest next in the window */
	uint32_t retired_slots[MDFH_SPANS_MAX];

	int64_t window_ns;
	int64_t line_down_ns;
	uint64_t first_sequence;
	char session_id[MDFH_SESSION_TEXT];
	uint64_t left[SESSIONS_LEFT][2];
	uint32_t left_count;

	struct mdfh_channel_stats stats;
};

/* Setup ------------------------------------------------------------------ */

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

/* Causes: what the counters of a line said around a hole ------------------------ */

static void line_skipped(
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
static uint64_t line_filled(struct line *l, uint64_t first, uint64_t next)
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

/* NIC and kernel counters are read by another thread, some time after they rose: what they say
 * when the hole is given up counts. The socket's come with the packets. */
static unsigned hole_cause(const struct line *l, const struct line_hole *h, uint64_t *rise)
{
	const struct mdfh_line_drops *after = &h->after;
	unsigned cause = MDFH_CAUSE_NONE, rose = 0;

	*rise = UINT64_MAX;
	if (h->cause)
		return h->cause;
	if (l->drops.nic > h->before.nic)
		rose++, cause = MDFH_CAUSE_NIC, *rise = l->drops.nic - h->before.nic;
	if (l->drops.kernel > h->before.kernel)
		rose++, cause = MDFH_CAUSE_KERNEL;
	if (after->socket > h->before.socket)
		rose++, cause = MDFH_CAUSE_SOCKET, *rise = after->socket - h->before.socket;
	if (after->injected > h->before.injected)
		rose++, cause = MDFH_CAUSE_INJECTED;
	if (rose == 1)
		return cause;
	return rose == 0 && after->known ? MDFH_CAUSE_UPSTREAM : MDFH_CAUSE_UNATTRIBUTED;
}

/* Each line that lacks a gap lacks a packet of its own: a port that dropped fewer than it has such lines
 * has not dropped all of them. */
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
static uint8_t gap_cause(const struct mdfh_channel *ch, uint64_t first, uint64_t next)
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
	l->before = l->drops;
	l->drops = *drops;
}

/* Window ----------------------------------------------------------------- */

static void window_retire(struct mdfh_channel *ch)
{
	while (ch->retired)
		ch->free_slots[ch->free_count++] = ch->retired_slots[--ch->retired];
}

/* Note that numbers below next exist, as of now. */
static void know(struct mdfh_channel *ch, uint64_t next, int64_t now_ns)
{
	uint64_t held = ch->early && ch->window_end > ch->expected ? ch->window_end : ch->expected;

	if (next <= ch->known_end)
		return;
	if (ch->known_end <= held)
		ch->tail_since = now_ns;
	ch->known_end = next;
}

/* Copy the arrival into the window. 1, or 0 when there is no room for it. */
static int window_store(struct mdfh_channel *ch, int64_t now_ns)
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

/* Spans ------------------------------------------------------------------ */

static void span_marker(struct mdfh_channel *ch, struct mdfh_span *span, unsigned kind,
    uint64_t first, uint64_t messages, int64_t now_ns)
{
	*span = (struct mdfh_span){
	    .first = first,
	    .messages = messages,
	    .receive_ns = now_ns,
	    .channel = ch->number,
	    .epoch = ch->epoch,
	    .kind = (uint8_t)kind,
	};
}

/* Give numbers up to next out as lost. */
static void span_gap(struct mdfh_channel *ch, struct mdfh_span *span, uint64_t first, uint64_t next,
    uint8_t cause, int64_t now_ns)
{
	span_marker(ch, span, MDFH_SPAN_GAP, first, next - first, now_ns);
	span->cause = cause;
	ch->stats.gaps++;
	ch->stats.lost += next - first;
	ch->stats.lost_by_cause[cause] += next - first;
}

/* Give out what is new in a packet that begins at or before the expected number. 1, or 0 when
 * all of it is old. */
static int span_data(struct mdfh_channel *ch, struct mdfh_span *span, const struct arrival *a)
{
	struct mdfh_line_stats *stats = &ch->stats.lines[a->line];
	const uint8_t *data = a->data, *message;
	uint32_t length = a->length, size, step;
	uint64_t fresh;

	if (a->next <= ch->expected) {
		stats->duplicates += a->next - a->first;
		return 0;
	}
	for (uint64_t at = a->first; at < ch->expected; at++) {
		step = mdfh_framing_next(ch->session->framing, data, length, &message, &size);
		data += step;
		length -= step;
	}
	fresh = a->next - ch->expected;
	stats->duplicates += ch->expected - a->first;
	stats->delivered += fresh;
	ch->stats.delivered += fresh;
	*span = (struct mdfh_span){
	    .data = data,
	    .first = ch->expected,
	    .messages = ch->session->counts_packets ? a->messages : fresh,
	    .receive_ns = a->receive_ns,
	    .length = length,
	    .channel = ch->number,
	    .epoch = ch->epoch,
	    .line = a->line,
	    .kind = MDFH_SPAN_DATA,
	    .flags = a->flags,
	};
	ch->expected = a->next;
	return 1;
}

/* Sessions --------------------------------------------------------------- */

static void session_enter(struct mdfh_channel *ch, const struct mdfh_unit *unit)
{
	uint64_t expected = ch->first_sequence;

	/* A new session begins at 1 and this channel was listening; only the first one met may
	 * have begun earlier. */
	if (ch->joined)
		expected = 1;
	else if (expected == 0)
		expected = ch->late_join = unit->first;
	memcpy(ch->id, unit->session, sizeof(ch->id));
	ch->joined = 1;
	ch->begin = 1;
	ch->epoch++;
	ch->ending = 0;
	ch->ended = 0;
	ch->has_rival = 0;
	ch->has_far = 0;
	ch->expected = expected;
	ch->known_end = expected;
	for (unsigned i = 0; i < ch->lines; i++) {
		ch->line[i].next = expected;
		ch->line[i].holes = 0;
		ch->line[i].refused = MDFH_CAUSE_NONE;
	}
	ch->stats.sessions++;
}

/* May a packet of a session that is not the active one begin it? */
static int session_accept(struct mdfh_channel *ch, const struct mdfh_unit *unit)
{
	char text[MDFH_SESSION_TEXT];

	if (ch->session_id[0]) {
		ch->session->session_text(unit, text);
		if (strcmp(text, ch->session_id) != 0)
			return 0;
	}
	if (!ch->joined)
		return 1;
	for (uint32_t i = 0; i < ch->left_count && i < SESSIONS_LEFT; i++) {
		if (!memcmp(ch->left[i], unit->session, sizeof(ch->left[i])))
			return 0;
	}
	if (ch->ending || unit->first == 1)
		return 1;
	if (ch->has_rival && !memcmp(ch->rival, unit->session, sizeof(ch->rival)))
		return 1;
	memcpy(ch->rival, unit->session, sizeof(ch->rival));
	ch->has_rival = 1;
	return 0;
}

static void session_leave(struct mdfh_channel *ch)
{
	memcpy(ch->left[ch->left_count++ % SESSIONS_LEFT], ch->id, sizeof(ch->id));
}

/* Slow path -------------------------------------------------------------- */

static void refuse(struct mdfh_channel *ch, unsigned line, unsigned error, unsigned cause)
{
	ch->stats.lines[line].errors[error]++;
	ch->line[line].refused = (uint8_t)cause;
}

/* Take a sound unit of the active session: line accounts, then the arrival. */
static void take(struct mdfh_channel *ch, const struct mdfh_unit *unit,
    const struct mdfh_packet *packet, unsigned line, int64_t now_ns)
{
	struct mdfh_line_stats *stats = &ch->stats.lines[line];
	struct line *l = &ch->line[line];
	uint64_t next = unit->first;

	/* The count of a damaged packet may be a lie: only what is there is believed, and the next
	 * packet shows what is missing. */
	if (unit->kind == MDFH_UNIT_DATA)
		next += ch->session->counts_packets ? 1 : unit->messages;

	/* After the end nothing can come, and the end cannot lie behind what came. */
	if ((ch->ending && next > ch->end) ||
	    (unit->kind == MDFH_UNIT_END && !ch->ending && unit->first < ch->known_end)) {
		refuse(ch, line, MDFH_SESSION_SEQUENCE, MDFH_CAUSE_MALFORMED);
		return;
	}
	if (unit->first > ch->known_end && unit->first - ch->known_end > JUMP_MAX &&
	    !(ch->has_far && unit->first >= ch->far && unit->first - ch->far <= JUMP_MAX)) {
		ch->far = unit->first;
		ch->has_far = 1;
		refuse(ch, line, MDFH_SESSION_SEQUENCE, MDFH_CAUSE_MALFORMED);
		return;
	}
	ch->has_far = 0;

	if (unit->first > l->next) {
		stats->missing += unit->first - l->next;
		line_skipped(ch, l, l->next, unit->first, l->refused);
	} else if (unit->first < l->next) {
		stats->missing -= line_filled(l, unit->first, next);
	}
	if (next >= l->next) {
		l->next = next;
		l->refused = unit->error ? MDFH_CAUSE_MALFORMED : MDFH_CAUSE_NONE;
	}
	stats->last_sequence = l->next;

	know(ch, next, now_ns);
	if (unit->kind == MDFH_UNIT_END) {
		ch->ending = 1;
		ch->end = unit->first;
	}
	ch->arrival = (struct arrival){
	    .data = unit->body,
	    .first = unit->first,
	    .next = next,
	    .receive_ns = (int64_t)packet->receive_ns,
	    .length = unit->body_length,
	    .messages = unit->messages,
	    .flags = packet->flags,
	    .line = (uint8_t)line,
	};
}

/* Give out what can be given out, at most max spans. Every step either makes a span or uses up
 * the arrival, an early packet or the change of session, so it ends. */
static int advance(struct mdfh_channel *ch, int64_t now_ns, struct mdfh_span *spans, int max)
{
	struct arrival *a = &ch->arrival;
	int n = 0;

	if (max > MDFH_SPANS_MAX)
		max = MDFH_SPANS_MAX;
	ch->more = 0;
	for (;;) {
		uint64_t lowest;
		int64_t since;

		if (n == max) {
			ch->more = 1;
			break;
		}
		if (ch->begin) {
			ch->begin = 0;
			span_marker(
			    ch, &spans[n++], MDFH_SPAN_SESSION_BEGIN, ch->expected, 0, now_ns);
			continue;
		}
		if (ch->late_join) {
			if (ch->late_join > 1)
				span_gap(ch, &spans[n++], 1, ch->late_join, MDFH_CAUSE_LATE_JOIN,
				    now_ns);
			ch->late_join = 0;
			continue;
		}
		if (ch->early && ch->slot[ch->order[ch->head]].first <= ch->expected) {
			uint32_t slot = ch->order[ch->head++];
			const struct early *e = &ch->slot[slot];
			struct arrival held = {
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
			/* A slot whose bytes were given out must stay until the next call. */
			if (span_data(ch, &spans[n], &held)) {
				ch->retired_slots[ch->retired++] = slot;
				n++;
			} else {
				ch->free_slots[ch->free_count++] = slot;
			}
			continue;
		}
		if (a->first < a->next && a->first <= ch->expected) {
			n += span_data(ch, &spans[n], a);
			a->next = a->first;
			continue;
		}
		if (a->first < a->next && window_store(ch, now_ns)) {
			a->next = a->first;
			continue;
		}
		lowest = ch->known_end;
		since = ch->tail_since;
		if (ch->early) {
			lowest = ch->slot[ch->order[ch->head]].first;
			since = ch->slot[ch->order[ch->head]].since;
		}
		if (a->first < a->next) {
			/* No room for it: the oldest hole has had its time. */
			if (a->first < lowest)
				lowest = a->first;
			ch->stats.window_full++;
		} else if (ch->expected == ch->known_end) {
			if (ch->ending && !ch->ended) {
				ch->ended = 1;
				span_marker(ch, &spans[n++], MDFH_SPAN_SESSION_END, ch->expected, 0,
				    now_ns);
				continue;
			}
			if (!ch->change)
				break;
			ch->change = 0;
			session_leave(ch);
			session_enter(ch, &ch->next_unit);
			take(ch, &ch->next_unit, &ch->next_packet, ch->next_line, now_ns);
			continue;
		} else if (!ch->flush && !ch->change && now_ns - since < ch->window_ns) {
			break;
		}
		span_gap(ch, &spans[n++], ch->expected, lowest, gap_cause(ch, ch->expected, lowest),
		    now_ns);
		ch->expected = lowest;
	}
	ch->stats.next_sequence = ch->expected;
	return n;
}

static int push_slow(struct mdfh_channel *ch, const struct mdfh_unit *unit,
    const struct mdfh_packet *packet, unsigned line, int64_t now_ns, struct mdfh_span *spans,
    int max)
{
	struct mdfh_line_stats *stats = &ch->stats.lines[line];

	if (unit->error == MDFH_SESSION_SEQUENCE) {
		refuse(ch, line, MDFH_SESSION_SEQUENCE, MDFH_CAUSE_MALFORMED);
		return advance(ch, now_ns, spans, max);
	}
	if (unit->error)
		stats->errors[unit->error]++;
	if (unit->kind != MDFH_UNIT_DATA)
		stats->heartbeats++;

	if (!ch->joined || memcmp(unit->session, ch->id, sizeof(ch->id)) != 0) {
		/* Refused for its session, or for damage to it: a hole may be due to either. */
		if (!session_accept(ch, unit)) {
			refuse(ch, line, MDFH_SESSION_FOREIGN, MDFH_CAUSE_UNATTRIBUTED);
			return advance(ch, now_ns, spans, max);
		}
		if (!ch->joined) {
			session_enter(ch, unit);
			take(ch, unit, packet, line, now_ns);
		} else {
			ch->change = 1;
			ch->next_unit = *unit;
			ch->next_packet = *packet;
			ch->next_line = (uint8_t)line;
		}
		return advance(ch, now_ns, spans, max);
	}
	take(ch, unit, packet, line, now_ns);
	return advance(ch, now_ns, spans, max);
}

/* Data path -------------------------------------------------------------- */

/* What every arrival begins with: 0, or why it cannot be taken. */
static inline int begin_push(struct mdfh_channel *ch, unsigned line, int64_t now_ns)
{
	struct mdfh_line_stats *stats;

	if (line >= ch->lines)
		return mdfh_error(
		    -EINVAL, "channel %u: line %u of %u", ch->number, line, ch->lines);
	if (ch->more)
		return mdfh_error(-EBUSY,
		    "channel %u: spans of the last packet wait; call "
		    "mdfh_channel_poll() until it returns 0",
		    ch->number);
	if (ch->retired)
		window_retire(ch);
	stats = &ch->stats.lines[line];
	stats->packets++;
	stats->last_ns = now_ns;
	stats->is_down = 0;
	ch->line[line].heard_ns = now_ns;
	return 0;
}

static inline int push_unit(struct mdfh_channel *ch, const struct mdfh_unit *unit,
    const struct mdfh_packet *packet, unsigned line, int64_t now_ns, struct mdfh_span *spans,
    int max)
{
	struct mdfh_line_stats *stats = &ch->stats.lines[line];
	struct line *l = &ch->line[line];
	uint64_t next;

	stats->messages += unit->claimed;

	/* In order, nothing open, nothing skipped by this line; or the other line's copy of what
	 * this one expects next. Budget: 10 ns. */
	if (unit->kind == MDFH_UNIT_DATA && unit->error == MDFH_SESSION_OK &&
	    unit->first == l->next && ch->expected == ch->known_end &&
	    unit->session[0] == ch->id[0] && unit->session[1] == ch->id[1] && ch->joined &&
	    !ch->ending && !l->refused && unit->messages) {
		next = unit->first + (ch->session->counts_packets ? 1 : unit->messages);
		if (unit->first == ch->expected) {
			*spans = (struct mdfh_span){
			    .data = unit->body,
			    .first = unit->first,
			    .messages = unit->messages,
			    .receive_ns = (int64_t)packet->receive_ns,
			    .length = unit->body_length,
			    .channel = ch->number,
			    .epoch = ch->epoch,
			    .line = (uint8_t)line,
			    .kind = MDFH_SPAN_DATA,
			    .flags = packet->flags,
			};
			l->next = next;
			stats->last_sequence = next;
			stats->delivered += next - unit->first;
			ch->stats.delivered += next - unit->first;
			ch->stats.next_sequence = next;
			ch->expected = next;
			ch->known_end = next;
			return 1;
		}
		if (next <= ch->expected) {
			l->next = next;
			stats->last_sequence = next;
			stats->duplicates += next - unit->first;
			return 0;
		}
	}
	return push_slow(ch, unit, packet, line, now_ns, spans, max);
}

int mdfh_channel_push(struct mdfh_channel *ch, const struct mdfh_packet *packet, unsigned line,
    int64_t now_ns, struct mdfh_span *spans, int max)
{
	struct mdfh_unit unit;
	int err = begin_push(ch, line, now_ns);

	if (err)
		return err;
	if (ch->session->parse(packet->data, packet->length, &unit)) {
		refuse(ch, line, unit.error, MDFH_CAUSE_MALFORMED);
		return advance(ch, now_ns, spans, max);
	}
	return push_unit(ch, &unit, packet, line, now_ns, spans, max);
}

int mdfh_channel_push_unit(struct mdfh_channel *ch, const struct mdfh_unit *unit,
    const struct mdfh_packet *packet, unsigned line, int64_t now_ns, struct mdfh_span *spans,
    int max)
{
	int err = begin_push(ch, line, now_ns);

	return err ? err : push_unit(ch, unit, packet, line, now_ns, spans, max);
}

int mdfh_channel_poll(struct mdfh_channel *ch, int64_t now_ns, struct mdfh_span *spans, int max)
{
	if (ch->retired)
		window_retire(ch);
	for (unsigned i = 0; i < ch->lines; i++) {
		struct mdfh_line_stats *stats = &ch->stats.lines[i];

		/* A line that was never heard counts from the first poll. */
		if (ch->line[i].heard_ns == INT64_MIN)
			ch->line[i].heard_ns = now_ns;
		if (!stats->is_down && now_ns - ch->line[i].heard_ns >= ch->line_down_ns) {
			stats->is_down = 1;
			stats->downs++;
		}
	}
	if (!ch->more && ch->expected == ch->known_end)
		return 0;
	return advance(ch, now_ns, spans, max);
}

int mdfh_channel_flush(struct mdfh_channel *ch, int64_t now_ns, struct mdfh_span *spans, int max)
{
	int n;

	window_retire(ch);
	ch->flush = 1;
	n = advance(ch, now_ns, spans, max);
	ch->flush = 0;
	return n;
}

int mdfh_channel_waiting(const struct mdfh_channel *ch)
{
	return ch->expected != ch->known_end;
}

const struct mdfh_channel_stats *mdfh_channel_stats(const struct mdfh_channel *ch)
{
	return &ch->stats;
}
