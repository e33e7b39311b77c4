/* channel.c - the lines of one stream merged by sequence number.
 *
 * Each number is given out exactly once, in order, in a data span or in a gap span. What comes
 * in order is handed through in place. What comes early is copied into the reorder window, a
 * fixed set of slots kept sorted by sequence, until another line or a late packet fills the hole
 * before it, or the hole is given up: after window_ns in which every line was read, when the window
 * is full, when the session changes, or on flush.
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
#include <string.h>

#include "mdfh/error.h"
#include "mdfh/event.h"
#include "session/channel_state.h"

#define JUMP_MAX (1ull << 24)

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
		mdfh_line_skipped(ch, l, l->next, unit->first, l->refused);
	} else if (unit->first < l->next) {
		stats->missing -= mdfh_line_filled(l, unit->first, next);
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

/* How far time has gone for what a line did not bring. */
static int64_t silent_to(const struct mdfh_channel *ch, int64_t now_ns)
{
	if (ch->read_ns >= now_ns)
		return now_ns;
	if ((now_ns - ch->read_ns) / STALL_WINDOWS <= ch->window_ns)
		return ch->read_ns;
	return now_ns - STALL_WINDOWS * ch->window_ns;
}

/* Is it too early to give the oldest hole up? The clock may have been set back: what would lie
 * ahead is now, so that no hole waits for it. */
static int is_young(struct mdfh_channel *ch, int64_t now_ns)
{
	int64_t *since = ch->early ? &ch->slot[ch->order[ch->head]].since : &ch->tail_since;

	if (*since > now_ns)
		*since = now_ns;
	return silent_to(ch, now_ns) - *since < ch->window_ns;
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
			struct arrival held;
			uint32_t slot = mdfh_window_take(ch, &held);

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
		if (a->first < a->next && mdfh_window_store(ch, now_ns)) {
			a->next = a->first;
			continue;
		}
		lowest = ch->early ? ch->slot[ch->order[ch->head]].first : ch->known_end;
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
		} else if (!ch->flush && !ch->change && is_young(ch, now_ns)) {
			break;
		}
		span_gap(ch, &spans[n++], ch->expected, lowest,
		    mdfh_gap_cause(ch, ch->expected, lowest), now_ns);
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
	ch->line[line].has_come = 1;
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

		/* A line that was never heard counts from the first poll; one that was heard at a
		 * time that is yet to come, from now. */
		if (ch->line[i].heard_ns == INT64_MIN || ch->line[i].heard_ns > now_ns)
			ch->line[i].heard_ns = now_ns;
		if (!stats->is_down &&
		    silent_to(ch, now_ns) - ch->line[i].heard_ns >= ch->line_down_ns) {
			stats->is_down = 1;
			stats->downs++;
		}
	}
	if (!ch->more && ch->expected == ch->known_end)
		return 0;
	return advance(ch, now_ns, spans, max);
}

void mdfh_channel_read_to(struct mdfh_channel *ch, int64_t read_ns)
{
	ch->read_ns = read_ns;
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

unsigned mdfh_channel_window_used(const struct mdfh_channel *ch, int64_t now_ns)
{
	int64_t since, of_time, of_packets, percent;

	if (ch->expected == ch->known_end)
		return 0;
	since = ch->early ? ch->slot[ch->order[ch->head]].since : ch->tail_since;
	of_time = now_ns > since ? (now_ns - since) / (ch->window_ns / 100 + 1) : 0;
	of_packets = 100 * (int64_t)ch->early / ch->window_packets;
	percent = of_time > of_packets ? of_time : of_packets;
	return percent < 1 ? 1 : percent < 100 ? (unsigned)percent : 100;
}

const struct mdfh_channel_stats *mdfh_channel_stats(const struct mdfh_channel *ch)
{
	return &ch->stats;
}
