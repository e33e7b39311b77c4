/* channel_state.h - what a channel consists of: shared by the files that implement it. */
#ifndef MDFH_SESSION_CHANNEL_STATE_H
#define MDFH_SESSION_CHANNEL_STATE_H

#include "mdfh/session.h"

enum {
	SESSIONS_LEFT = 8, /* remembered, newest first to go last */
	LINE_HOLES = 256,  /* newest holes remembered of each line */
	SLOTS_SPARE = MDFH_SPANS_MAX,
	STALL_WINDOWS = 8, /* that a hole waits at most for lines that have yet to be read */
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
	uint8_t is_read;               /* there was a reading */
	uint8_t has_come;              /* packets have come since the newest one */
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
	int64_t read_ns; /* all that had arrived by then has been pushed */
	uint64_t first_sequence;
	char session_id[MDFH_SESSION_TEXT];
	uint64_t left[SESSIONS_LEFT][2];
	uint32_t left_count;

	struct mdfh_channel_stats stats;
};

/* channel_lines.c: what each line skipped, and why ------------------------------- */

/* What stood there was refused for this cause, or is not known to have come: NONE. */
void mdfh_line_skipped(
    const struct mdfh_channel *ch, struct line *l, uint64_t first, uint64_t next, uint8_t cause);
uint64_t mdfh_line_filled(struct line *l, uint64_t first, uint64_t next);
uint8_t mdfh_gap_cause(const struct mdfh_channel *ch, uint64_t first, uint64_t next);

/* channel_window.c: packets that came early -------------------------------------- */

/* Copy the arrival into the window. 1, or 0 when there is no room for it. */
int mdfh_window_store(struct mdfh_channel *ch, int64_t now_ns);
/* Take the first packet out. Returns its slot, which is the caller's to give back. */
uint32_t mdfh_window_take(struct mdfh_channel *ch, struct arrival *held);

/* Give back the slots whose spans the last call gave out. */
static inline void window_retire(struct mdfh_channel *ch)
{
	while (ch->retired)
		ch->free_slots[ch->free_count++] = ch->retired_slots[--ch->retired];
}

#endif
