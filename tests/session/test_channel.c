/* test_channel.c - lines A and B merged: what is new, repeated, early or lost.
 *
 * A case is a script of arrivals with the spans expected after each. Time is an argument, so a
 * 50 ms wait costs nothing and every run is the same. Spans are written as text:
 *   S5/1   session begin, first number 5, epoch 1     D5+2A  messages 5 and 6, from line A
 *   G5+2 upstream  numbers 5 and 6 are lost, why      E7     session end, 7 will not come */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mdfh/error.h"
#include "mdfh/event.h"
#include "mdfh/session.h"
#include "session/mold.h"

enum action {
	STOP = 0,
	DATA,
	HEARTBEAT,
	END,
	CUT,   /* count messages claimed, the last one cut */
	CLAIM, /* one more message claimed than there is */
	EXTRA, /* one message more than is claimed */
	RUNT,  /* 10 bytes */
	POLL,
	FLUSH,
	DROPS,   /* first = socket counter, count = kernel counter */
	READING, /* first = socket counter, which no packet brings, read for the count'th time */
	READ,    /* all lines have been read up to first, in ms */
};

struct step {
	int ms;
	char line;
	enum action action;
	uint64_t first;
	unsigned count;
	const char *want;
	const char *session; /* "S" if NULL */
};

struct script {
	const char *name;
	struct step steps[24];
	uint64_t lost, delivered;
	struct {
		uint64_t missing, duplicates;
	} line[2];
	/* Configuration; 0 = as the defaults of run() */
	uint64_t first_sequence;
	uint32_t frame_size;
	const char *session_id;
};

#define MS(n)          ((int64_t)(n)*1000000)
#define HUGE_NUMBER    (UINT64_MAX - 10)
#define HUGE_TEXT      "18446744073709551605"
#define HUGE_PLUS_TEXT "18446744073709551608"

static const struct script scripts[] = {
    {"in order",
	{{0, 'A', DATA, 1, 2, "S1/1 D1+2A"}, {1, 'A', DATA, 3, 1, "D3+1A"},
	    {2, 'A', DATA, 4, 3, "D4+3A"}},
	0, 6, {{0, 0}, {0, 0}}},
    {"B repeats A, either may lead",
	{{0, 'A', DATA, 1, 2, "S1/1 D1+2A"}, {0, 'B', DATA, 1, 2, ""},
	    {1, 'B', DATA, 3, 1, "D3+1B"}, {1, 'A', DATA, 3, 1, ""}},
	0, 3, {{0, 1}, {0, 2}}},
    {"partial overlap: other packet boundaries on B",
	{{0, 'A', DATA, 1, 3, "S1/1 D1+3A"}, {0, 'B', DATA, 2, 4, "D4+2B"},
	    {1, 'A', DATA, 4, 5, "D6+3A"}},
	0, 8, {{0, 2}, {1, 2}}},
    {"hole filled by B",
	{{0, 'A', DATA, 1, 2, "S1/1 D1+2A"}, {1, 'A', DATA, 5, 1, ""}, {2, 'B', DATA, 1, 2, ""},
	    {3, 'B', DATA, 3, 2, "D3+2B D5+1A"}},
	0, 5, {{2, 0}, {0, 2}}},
    {"hole filled by a late packet of the same line is nothing missing",
	{{0, 'A', DATA, 1, 2, "S1/1 D1+2A"}, {1, 'A', DATA, 5, 1, ""},
	    {2, 'A', DATA, 3, 2, "D3+2A D5+1A"}},
	0, 5, {{0, 0}, {0, 0}}},
    {"hole filled in two pieces, from its end",
	{{0, 'A', DATA, 1, 1, "S1/1 D1+1A"}, {1, 'A', DATA, 6, 1, ""}, {2, 'B', DATA, 4, 2, ""},
	    {3, 'B', DATA, 1, 3, "D2+2B D4+2B D6+1A"}},
	0, 6, {{4, 0}, {0, 1}}},
    {"given up at window_ns, not before",
	{{0, 'A', DATA, 1, 1, "S1/1 D1+1A"}, {1, 'A', DATA, 4, 1, ""}, {50, 0, POLL, 0, 0, ""},
	    {51, 0, POLL, 0, 0, "G2+2 unattributed D4+1A"}, {52, 'A', DATA, 5, 1, "D5+1A"}},
	2, 3, {{2, 0}, {0, 0}}},
    {"a packet notices the time too",
	{{0, 'A', DATA, 1, 1, "S1/1 D1+1A"}, {1, 'A', DATA, 4, 1, ""},
	    {51, 'A', DATA, 5, 1, "G2+2 unattributed D4+1A D5+1A"}},
	2, 3, {{2, 0}, {0, 0}}},
    {"not given up while what fills it may wait to be read",
	{{0, 'A', DATA, 1, 1, "S1/1 D1+1A"}, {1, 0, READ, 1, 0, ""}, {1, 'A', DATA, 4, 1, ""},
	    {90, 'A', DATA, 5, 1, ""}, {90, 0, READ, 50, 0, ""}, {91, 0, POLL, 0, 0, ""},
	    {92, 'B', DATA, 2, 1, "D2+1B"}, {92, 0, READ, 51, 0, ""},
	    {93, 0, POLL, 0, 0, "G3+1 unattributed D4+1A D5+1A"}},
	1, 4, {{2, 0}, {1, 0}}},
    {"given up at last while lines are not read",
	{{0, 'A', DATA, 1, 1, "S1/1 D1+1A"}, {1, 0, READ, 1, 0, ""}, {1, 'A', DATA, 4, 1, ""},
	    {450, 0, POLL, 0, 0, ""}, {451, 0, POLL, 0, 0, "G2+2 unattributed D4+1A"}},
	2, 2, {{2, 0}, {0, 0}}},
    {"upstream only if counters that no packet brings were read since",
	{{0, 'A', READING, 0, 1, ""}, {0, 'A', DATA, 1, 1, "S1/1 D1+1A"}, {1, 'A', DATA, 3, 1, ""},
	    {51, 0, POLL, 0, 0, "G2+1 unattributed D3+1A"}, {52, 'A', DATA, 5, 1, ""},
	    {53, 'A', READING, 0, 2, ""}, {102, 0, POLL, 0, 0, "G4+1 upstream D5+1A"},
	    {103, 'A', DATA, 7, 1, ""}, {104, 'A', READING, 1, 3, ""},
	    {153, 0, POLL, 0, 0, "G6+1 socket D7+1A"}},
	3, 4, {{3, 0}, {0, 0}}},
    {"two holes, each with its own time",
	{{0, 'A', DATA, 1, 1, "S1/1 D1+1A"}, {1, 'A', DATA, 3, 1, ""}, {20, 'A', DATA, 5, 1, ""},
	    {51, 0, POLL, 0, 0, "G2+1 unattributed D3+1A"}, {69, 0, POLL, 0, 0, ""},
	    {70, 0, POLL, 0, 0, "G4+1 unattributed D5+1A"}},
	2, 3, {{2, 0}, {0, 0}}},
    {"a packet inside an open hole does not renew its time",
	{{0, 'A', DATA, 1, 1, "S1/1 D1+1A"}, {1, 'A', DATA, 9, 1, ""}, {40, 'A', DATA, 5, 1, ""},
	    {51, 0, POLL, 0, 0, "G2+3 unattributed D5+1A G6+3 unattributed D9+1A"}},
	6, 3, {{6, 0}, {0, 0}}},
    {"the same early packet on both lines is kept once",
	{{0, 'A', DATA, 1, 1, "S1/1 D1+1A"}, {1, 'A', DATA, 3, 2, ""}, {1, 'B', DATA, 3, 2, ""},
	    {2, 'B', DATA, 2, 1, "D2+1B D3+2A"}},
	0, 4, {{1, 0}, {1, 2}}},
    {"heartbeat reveals a gap at the tail",
	{{0, 'A', DATA, 1, 2, "S1/1 D1+2A"}, {1, 'A', HEARTBEAT, 3, 0, ""},
	    {100, 'A', HEARTBEAT, 5, 0, ""}, {149, 0, POLL, 0, 0, ""},
	    {150, 0, POLL, 0, 0, "G3+2 unattributed"}, {151, 'A', DATA, 5, 1, "D5+1A"}},
	2, 3, {{2, 0}, {0, 0}}},
    {"join by a heartbeat", {{0, 'A', HEARTBEAT, 1, 0, "S1/1"}, {1, 'A', DATA, 1, 1, "D1+1A"}}, 0,
	1, {{0, 0}, {0, 0}}},
    {"join in the middle",
	{{0, 'A', DATA, 10, 2, "S10/1 G1+9 late-join D10+2A"}, {1, 'B', DATA, 8, 2, ""}}, 9, 2,
	{{0, 0}, {0, 2}}},
    {"first sequence configured: what stands before the first packet is a hole",
	{{0, 'A', DATA, 3, 1, "S1/1"}, {1, 'B', DATA, 1, 2, "D1+2B D3+1A"}}, 0, 3, {{2, 0}, {0, 0}},
	.first_sequence = 1},
    {"end of session",
	{{0, 'A', DATA, 1, 2, "S1/1 D1+2A"}, {1, 'A', END, 3, 0, "E3"}, {2, 'A', END, 3, 0, ""},
	    {3, 'B', END, 3, 0, ""}, {4, 'A', DATA, 3, 1, ""}},
	0, 2, {{0, 0}, {2, 0}}},
    {"end of session reveals a gap and waits for it",
	{{0, 'A', DATA, 1, 2, "S1/1 D1+2A"}, {1, 'A', END, 5, 0, ""}, {2, 'B', DATA, 1, 3, "D3+1B"},
	    {51, 0, POLL, 0, 0, "G4+1 unattributed E5"}},
	1, 3, {{2, 0}, {0, 2}}},
    {"session change after the end",
	{{0, 'A', DATA, 1, 2, "S1/1 D1+2A"}, {1, 'A', END, 3, 0, "E3"},
	    {2, 'A', DATA, 1, 1, "S1/2 D1+1A", "T"}, {3, 'B', DATA, 1, 2, ""},
	    {4, 'B', DATA, 1, 2, "D2+1B", "T"}},
	0, 4, {{0, 0}, {0, 1}}},
    {"session change with a hole open: it is given up first",
	{{0, 'A', DATA, 1, 2, "S1/1 D1+2A"}, {1, 'A', DATA, 4, 1, ""},
	    {2, 'A', DATA, 1, 1, "G3+1 unattributed D4+1A S1/2 D1+1A", "T"},
	    {3, 'A', DATA, 5, 1, ""}},
	1, 4, {{1, 0}, {0, 0}}},
    {"session change whose first packet is late: numbers begin at 1",
	{{0, 'A', DATA, 1, 2, "S1/1 D1+2A"}, {1, 'A', END, 3, 0, "E3"},
	    {2, 'A', DATA, 4, 1, "S1/2", "T"}, {3, 'B', DATA, 1, 3, "D1+3B D4+1A", "T"}},
	0, 6, {{3, 0}, {0, 0}}},
    {"one packet of another session in mid-stream changes nothing, a second does",
	{{0, 'A', DATA, 1, 2, "S1/1 D1+2A"}, {1, 'A', DATA, 7, 1, "", "T"},
	    {2, 'A', DATA, 3, 1, "D3+1A"}, {3, 'A', DATA, 8, 1, "S1/2", "T"},
	    {53, 0, POLL, 0, 0, "G1+7 unattributed D8+1A"}},
	7, 4, {{7, 0}, {0, 0}}},
    {"a session that was left is not gone back to",
	{{0, 'A', DATA, 1, 2, "S1/1 D1+2A"}, {1, 'A', DATA, 1, 1, "S1/2 D1+1A", "T"},
	    {2, 'A', DATA, 1, 1, ""}, {3, 'A', DATA, 2, 1, ""}, {4, 'A', DATA, 2, 1, "D2+1A", "T"}},
	0, 4, {{0, 0}, {0, 0}}},
    {"configured session: others are foreign",
	{{0, 'A', DATA, 1, 2, ""}, {1, 'A', DATA, 1, 1, "S1/1 D1+1A", "T"},
	    {2, 'A', DATA, 3, 1, ""}, {3, 'A', DATA, 2, 1, "D2+1A", "T"}},
	0, 2, {{0, 0}, {0, 0}}, .session_id = "T"},
    {"backward inside a session is only a repeat",
	{{0, 'A', DATA, 1, 9, "S1/1 D1+9A"}, {1, 'A', DATA, 1, 3, ""}, {2, 'A', DATA, 4, 3, ""},
	    {3, 'A', DATA, 10, 1, "D10+1A"}},
	0, 10, {{0, 6}, {0, 0}}},
    {"the last numbers do not wrap",
	{{0, 'A', DATA, HUGE_NUMBER, 3, "S" HUGE_TEXT "/1 D" HUGE_TEXT "+3A"},
	    {1, 'A', DATA, HUGE_NUMBER + 4, 1, ""}, {2, 'A', DATA, UINT64_MAX, 1, ""},
	    {3, 'A', DATA, 1, 3, ""},
	    {4, 'B', DATA, HUGE_NUMBER + 3, 1,
		"D" HUGE_PLUS_TEXT "+1B"
		" D18446744073709551609+1A"}},
	0, 5, {{1, 3}, {3, 0}}, .first_sequence = HUGE_NUMBER},
    {"a jump far ahead needs a second packet that agrees",
	{{0, 'A', DATA, 1, 1, "S1/1 D1+1A"}, {1, 'A', DATA, 1ull << 50, 1, ""},
	    {100, 'A', DATA, 2, 1, "D2+1A"}, {101, 'A', DATA, 1ull << 40, 1, ""},
	    {102, 'A', DATA, (1ull << 40) + 1, 1, ""},
	    {160, 0, POLL, 0, 0, "G3+1099511627774 malformed D1099511627777+1A"}},
	(1ull << 40) - 2, 3, {{(1ull << 40) - 2, 0}, {0, 0}}},
    {"cut packet: the sound part is delivered, the rest is a hole",
	{{0, 'A', CUT, 1, 3, "S1/1 D1+2A"}, {1, 'A', DATA, 4, 1, ""},
	    {51, 0, POLL, 0, 0, "G3+1 malformed D4+1A"}},
	1, 3, {{1, 0}, {0, 0}}},
    {"cut packet on A, sound on B",
	{{0, 'A', CUT, 1, 3, "S1/1 D1+2A"}, {1, 'B', DATA, 1, 3, "D3+1B"},
	    {2, 'A', DATA, 4, 1, "D4+1A"}},
	0, 4, {{1, 0}, {0, 2}}},
    {"a count that lies upwards is not believed",
	{{0, 'A', CLAIM, 1, 2, "S1/1 D1+2A"}, {1, 'A', DATA, 3, 1, "D3+1A"}}, 0, 3,
	{{0, 0}, {0, 0}}},
    {"a count that lies downwards: the hole is malformed",
	{{0, 'A', EXTRA, 1, 2, "S1/1 D1+2A"}, {1, 'A', DATA, 4, 1, ""},
	    {51, 0, POLL, 0, 0, "G3+1 malformed D4+1A"}},
	1, 3, {{1, 0}, {0, 0}}},
    {"a packet too short for a header, then a hole",
	{{0, 'A', DATA, 1, 1, "S1/1 D1+1A"}, {1, 'A', RUNT, 0, 0, ""}, {2, 'A', DATA, 3, 1, ""},
	    {52, 0, POLL, 0, 0, "G2+1 malformed D3+1A"}},
	1, 2, {{1, 0}, {0, 0}}},
    {"number 0 is refused", {{0, 'A', DATA, 0, 1, ""}, {1, 'A', DATA, 1, 1, "S1/1 D1+1A"}}, 0, 1,
	{{0, 0}, {0, 0}}},
    {"an early packet too long for the window gives the hole up",
	{{0, 'A', DATA, 1, 1, "S1/1 D1+1A"}, {1, 'A', DATA, 4, 30, "G2+2 unattributed D4+30A"}}, 2,
	31, {{2, 0}, {0, 0}}, .frame_size = 64},
    {"flush gives up every hole",
	{{0, 'A', DATA, 1, 1, "S1/1 D1+1A"}, {1, 'A', DATA, 3, 1, ""}, {2, 'A', DATA, 5, 1, ""},
	    {2, 0, FLUSH, 0, 0, "G2+1 unattributed D3+1A G4+1 unattributed D5+1A"}},
	2, 3, {{2, 0}, {0, 0}}},
    {"a clock that is set back: no hole waits for what it said before",
	{{5000, 'A', DATA, 1, 1, "S1/1 D1+1A"}, {5001, 'A', DATA, 4, 1, ""},
	    {10, 0, POLL, 0, 0, ""}, {59, 0, POLL, 0, 0, ""},
	    {60, 0, POLL, 0, 0, "G2+2 unattributed D4+1A"}},
	2, 2, {{2, 0}, {0, 0}}},
    {"a clock that is set back: nor does one at the tail",
	{{5000, 'A', DATA, 1, 1, "S1/1 D1+1A"}, {5001, 'A', HEARTBEAT, 3, 0, ""},
	    {10, 0, POLL, 0, 0, ""}, {60, 0, POLL, 0, 0, "G2+1 unattributed"}},
	1, 1, {{1, 0}, {0, 0}}},
    {"cause: no counter rose",
	{{0, 'A', DROPS, 5, 0, ""}, {0, 'A', DATA, 1, 1, "S1/1 D1+1A"}, {1, 'A', DROPS, 5, 0, ""},
	    {1, 'A', DATA, 3, 1, ""}, {51, 0, POLL, 0, 0, "G2+1 upstream D3+1A"}},
	1, 2, {{1, 0}, {0, 0}}},
    {"cause: the counter rose in the batch that shows the hole",
	{{0, 'A', DROPS, 0, 0, ""}, {0, 'A', DATA, 1, 1, "S1/1 D1+1A"}, {1, 'A', DROPS, 1, 0, ""},
	    {1, 'A', DATA, 2, 1, "D2+1A"}, {1, 'A', DATA, 4, 1, ""},
	    {51, 0, POLL, 0, 0, "G3+1 socket D4+1A"}},
	1, 3, {{1, 0}, {0, 0}}},
    {"cause: known at once when the end of the session shows the hole",
	{{0, 'A', DROPS, 0, 0, ""}, {0, 'A', DATA, 1, 1, "S1/1 D1+1A"}, {1, 'A', DROPS, 9, 0, ""},
	    {1, 'A', END, 5, 0, ""}, {51, 0, POLL, 0, 0, "G2+3 socket E5"}},
	3, 1, {{3, 0}, {0, 0}}},
    {"cause: what rises later is not its cause",
	{{0, 'A', DROPS, 5, 0, ""}, {0, 'A', DATA, 1, 1, "S1/1 D1+1A"}, {1, 'A', DROPS, 5, 0, ""},
	    {1, 'A', DATA, 3, 1, ""}, {2, 'A', DROPS, 6, 0, ""}, {2, 'A', DATA, 5, 1, ""},
	    {60, 0, POLL, 0, 0, "G2+1 upstream D3+1A G4+1 socket D5+1A"}},
	2, 3, {{2, 0}, {0, 0}}},
    {"cause: the kernel's counter is read late",
	{{0, 'A', DROPS, 5, 0, ""}, {0, 'A', DATA, 1, 1, "S1/1 D1+1A"}, {1, 'A', DROPS, 5, 0, ""},
	    {1, 'A', DATA, 3, 1, ""}, {2, 'A', DROPS, 5, 1, ""}, {2, 'A', DATA, 4, 1, ""},
	    {60, 0, POLL, 0, 0, "G2+1 kernel D3+1A D4+1A"}},
	1, 3, {{1, 0}, {0, 0}}},
    {"cause: two counters rose",
	{{0, 'A', DATA, 1, 1, "S1/1 D1+1A"}, {1, 'A', DROPS, 1, 1, ""}, {1, 'A', DATA, 3, 1, ""},
	    {51, 0, POLL, 0, 0, "G2+1 unattributed D3+1A"}},
	1, 2, {{1, 0}, {0, 0}}},
    {"cause: the lines agree",
	{{0, 'A', DATA, 1, 1, "S1/1 D1+1A"}, {0, 'B', DATA, 1, 1, ""}, {1, 'A', DROPS, 1, 0, ""},
	    {1, 'A', DATA, 3, 1, ""}, {1, 'B', DROPS, 1, 0, ""}, {1, 'B', DATA, 3, 1, ""},
	    {51, 0, POLL, 0, 0, "G2+1 socket D3+1A"}},
	1, 2, {{1, 0}, {1, 2}}},
    {"cause: the lines disagree",
	{{0, 'A', DATA, 1, 1, "S1/1 D1+1A"}, {0, 'B', DATA, 1, 1, ""}, {1, 'A', DROPS, 1, 0, ""},
	    {1, 'A', DATA, 3, 1, ""}, {1, 'B', DROPS, 0, 0, ""}, {1, 'B', DATA, 3, 1, ""},
	    {51, 0, POLL, 0, 0, "G2+1 unattributed D3+1A"}},
	1, 2, {{1, 0}, {1, 2}}},
};

static struct mdfh_channel *channel;
static char text[1024];
static size_t text_length;

static void render(const struct mdfh_span *span)
{
	size_t left = sizeof(text) - text_length;
	char *at = text + text_length;
	const char *gap = text_length ? " " : "";
	int n = 0;

	switch (span->kind) {
	case MDFH_SPAN_DATA:
		n = snprintf(at, left, "%sD%llu+%llu%c", gap, (unsigned long long)span->first,
		    (unsigned long long)span->messages, 'A' + span->line);
		break;
	case MDFH_SPAN_GAP:
		n = snprintf(at, left, "%sG%llu+%llu %s", gap, (unsigned long long)span->first,
		    (unsigned long long)span->messages,
		    span->cause == MDFH_CAUSE_UPSTREAM       ? "upstream"
		    : span->cause == MDFH_CAUSE_SOCKET       ? "socket"
		    : span->cause == MDFH_CAUSE_KERNEL       ? "kernel"
		    : span->cause == MDFH_CAUSE_MALFORMED    ? "malformed"
		    : span->cause == MDFH_CAUSE_LATE_JOIN    ? "late-join"
		    : span->cause == MDFH_CAUSE_UNATTRIBUTED ? "unattributed"
							     : "?");
		break;
	case MDFH_SPAN_SESSION_BEGIN:
		n = snprintf(
		    at, left, "%sS%llu/%u", gap, (unsigned long long)span->first, span->epoch);
		break;
	case MDFH_SPAN_SESSION_END:
		n = snprintf(at, left, "%sE%llu", gap, (unsigned long long)span->first);
		break;
	}
	assert_true(n > 0 && (size_t)n < left);
	text_length += (size_t)n;

	/* The bytes must be those of the numbers that the span names. */
	if (span->kind == MDFH_SPAN_DATA) {
		const uint8_t *at_message = span->data;

		for (uint64_t i = 0; i < span->messages; i++) {
			uint8_t want[32];
			uint32_t size = mold_message(want, span->first + i);

			assert_memory_equal(at_message, want, size);
			at_message += size;
		}
		assert_ptr_equal(at_message, span->data + span->length);
	}
}

static void play(const struct step *step)
{
	struct mdfh_span spans[MDFH_SPANS_MAX];
	uint8_t data[4096];
	struct mdfh_packet packet = {.data = data};
	const char *session = step->session ? step->session : "S";
	struct mdfh_line_drops drops = {.known = 7};
	unsigned line = (unsigned)(step->line - 'A');
	int n;

	text[0] = '\0';
	text_length = 0;
	switch (step->action) {
	case DATA:
		packet.length = mold_packet(data, session, step->first, step->count);
		break;
	case CUT:
		packet.length = mold_packet(data, session, step->first, step->count) - 1;
		break;
	case CLAIM:
		packet.length = mold_packet(data, session, step->first, step->count);
		mold_header(data, session, step->first, step->count + 1);
		break;
	case EXTRA:
		packet.length = mold_packet(data, session, step->first, step->count + 1);
		mold_header(data, session, step->first, step->count);
		break;
	case RUNT:
		packet.length = 10;
		memset(data, 0, 10);
		break;
	case HEARTBEAT:
	case END:
		mold_header(data, session, step->first, step->action == END ? 0xffff : 0);
		packet.length = 20;
		break;
	case DROPS:
		drops.socket = step->first;
		drops.kernel = step->count;
		mdfh_channel_drops(channel, line, &drops);
		return;
	case READING:
		drops.socket = step->first;
		drops.readings = step->count;
		mdfh_channel_drops(channel, line, &drops);
		return;
	case READ:
		mdfh_channel_read_to(channel, MS((int64_t)step->first));
		return;
	default:
		break;
	}
	if (step->action == POLL)
		n = mdfh_channel_poll(channel, MS(step->ms), spans, MDFH_SPANS_MAX);
	else if (step->action == FLUSH)
		n = mdfh_channel_flush(channel, MS(step->ms), spans, MDFH_SPANS_MAX);
	else
		n = mdfh_channel_push(channel, &packet, line, MS(step->ms), spans, MDFH_SPANS_MAX);
	for (;;) {
		assert_true(n >= 0);
		for (int i = 0; i < n; i++)
			render(&spans[i]);
		if (n < MDFH_SPANS_MAX)
			break;
		n = mdfh_channel_poll(channel, MS(step->ms), spans, MDFH_SPANS_MAX);
	}
}

static struct mdfh_channel_config config_of(const struct script *script)
{
	return (struct mdfh_channel_config){
	    .size = sizeof(struct mdfh_channel_config),
	    .session = mdfh_session_find("moldudp64"),
	    .channel = 3,
	    .lines = 2,
	    .window_packets = 16,
	    .window_frame_size = script->frame_size,
	    .first_sequence = script->first_sequence,
	    .session_id = script->session_id,
	};
}

static void run(const struct script *script)
{
	struct mdfh_channel_config config = config_of(script);
	const struct mdfh_channel_stats *stats;

	assert_int_equal(mdfh_channel_create(&config, &channel), 0);
	stats = mdfh_channel_stats(channel);
	for (const struct step *step = script->steps; step->action != STOP; step++) {
		play(step);
		if (strcmp(text, step->want) != 0)
			fail_msg("%s, at %d ms: got '%s', want '%s'", script->name, step->ms, text,
			    step->want);
	}
	assert_int_equal(stats->delivered, script->delivered);
	assert_int_equal(stats->lost, script->lost);
	for (unsigned i = 0; i < 2; i++) {
		if (stats->lines[i].missing != script->line[i].missing ||
		    stats->lines[i].duplicates != script->line[i].duplicates)
			fail_msg("%s: line %c: missing %llu, duplicates %llu", script->name,
			    'A' + i, (unsigned long long)stats->lines[i].missing,
			    (unsigned long long)stats->lines[i].duplicates);
	}
	mdfh_channel_destroy(channel);
}

static void all_scripts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++)
		run(&scripts[i]);
}

/* Line B is silent: down after 3 s, once, and up again with its next packet. */
static void line_down(void **state)
{
	struct mdfh_channel_config config = config_of(&scripts[0]);
	const struct step steps[] = {
	    {0, 'A', DATA, 1, 1, ""}, {0, 'B', DATA, 1, 1, ""}, {2999, 'A', DATA, 2, 1, ""}};
	const struct step back = {5000, 'B', DATA, 2, 1, ""};
	const struct mdfh_line_stats *b;
	struct mdfh_span spans[MDFH_SPANS_MAX];

	(void)state;
	assert_int_equal(mdfh_channel_create(&config, &channel), 0);
	b = &mdfh_channel_stats(channel)->lines[1];
	for (size_t i = 0; i < 3; i++)
		play(&steps[i]);
	assert_int_equal(mdfh_channel_poll(channel, MS(2999), spans, MDFH_SPANS_MAX), 0);
	assert_int_equal(b->is_down, 0);
	assert_int_equal(mdfh_channel_poll(channel, MS(3000), spans, MDFH_SPANS_MAX), 0);
	assert_int_equal(mdfh_channel_poll(channel, MS(3001), spans, MDFH_SPANS_MAX), 0);
	assert_int_equal(b->is_down, 1);
	assert_int_equal(b->downs, 1);
	assert_int_equal(mdfh_channel_stats(channel)->lines[0].is_down, 0);
	play(&back);
	assert_int_equal(b->is_down, 0);
	/* The clock is set back: silence counts from there. */
	assert_int_equal(mdfh_channel_poll(channel, MS(1000), spans, MDFH_SPANS_MAX), 0);
	assert_int_equal(mdfh_channel_poll(channel, MS(3999), spans, MDFH_SPANS_MAX), 0);
	assert_int_equal(b->is_down, 0);
	assert_int_equal(mdfh_channel_poll(channel, MS(4000), spans, MDFH_SPANS_MAX), 0);
	assert_int_equal(b->is_down, 1);
	play(&back);
	/* Nor is it down because nobody looked, but 8 windows later. */
	mdfh_channel_read_to(channel, MS(7999));
	assert_int_equal(mdfh_channel_poll(channel, MS(8399), spans, MDFH_SPANS_MAX), 0);
	assert_int_equal(b->is_down, 0);
	assert_int_equal(mdfh_channel_poll(channel, MS(8400), spans, MDFH_SPANS_MAX), 0);
	assert_int_equal(b->is_down, 1);
	mdfh_channel_destroy(channel);
}

/* Every second packet is early: the 17th does not fit into 16 slots. */
static void window_full(void **state)
{
	struct mdfh_channel_config config = config_of(&scripts[0]);
	struct step step = {0, 'A', DATA, 1, 1, ""};

	(void)state;
	assert_int_equal(mdfh_channel_create(&config, &channel), 0);
	play(&step);
	for (unsigned i = 0; i < 16; i++) {
		step.first = 3 + 2 * i;
		play(&step);
		assert_string_equal(text, "");
	}
	step.first = 35;
	play(&step);
	assert_string_equal(text, "G2+1 unattributed D3+1A");
	assert_int_equal(mdfh_channel_stats(channel)->window_full, 1);
	assert_int_equal(mdfh_channel_window_used(channel, MS(1)), 100); /* in packets */
	step.line = 'B';
	step.first = 2;
	step.count = 40;
	play(&step);
	assert_string_equal(text, "D4+38B");
	assert_int_equal(mdfh_channel_window_used(channel, MS(1)), 0);
	mdfh_channel_destroy(channel);
}

/* What does not fit into the caller's array follows from poll, and push insists on it. */
static void more_than_eight_spans(void **state)
{
	struct mdfh_channel_config config = config_of(&scripts[0]);
	struct mdfh_span spans[MDFH_SPANS_MAX];
	struct step step = {0, 'A', DATA, 1, 1, ""};
	struct mdfh_packet packet = {0};
	uint8_t data[64];

	(void)state;
	assert_int_equal(mdfh_channel_create(&config, &channel), 0);
	play(&step);
	for (unsigned i = 0; i < 12; i++) {
		step.first = 3 + i;
		play(&step);
	}
	packet.data = data;
	packet.length = mold_packet(data, "S", 2, 1);
	assert_int_equal(mdfh_channel_push(channel, &packet, 1, 0, spans, 8), 8);
	assert_int_equal(mdfh_channel_push(channel, &packet, 1, 0, spans, 8), -EBUSY);
	text_length = 0;
	assert_int_equal(mdfh_channel_poll(channel, 0, spans, 8), 5);
	for (int i = 0; i < 5; i++)
		render(&spans[i]);
	assert_string_equal(text, "D10+1A D11+1A D12+1A D13+1A D14+1A");
	mdfh_channel_destroy(channel);
}

/* A packet number that repeats or jumps; the span's count is of messages. */
static void mdp3_counts_packets(void **state)
{
	struct mdfh_channel_config config = config_of(&scripts[0]);
	uint8_t data[] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 'a', 'b', 3, 0, 'c'};
	struct mdfh_packet packet = {.data = data, .length = sizeof(data)};
	struct mdfh_span spans[MDFH_SPANS_MAX];

	(void)state;
	config.session = mdfh_session_find("mdp3");
	assert_int_equal(mdfh_channel_create(&config, &channel), 0);
	assert_int_equal(mdfh_channel_push(channel, &packet, 0, 0, spans, 8), 2);
	assert_int_equal(spans[1].first, 1);
	assert_int_equal(spans[1].messages, 2);
	data[0] = 3;
	assert_int_equal(mdfh_channel_push(channel, &packet, 0, 0, spans, 8), 0);
	data[0] = 2;
	assert_int_equal(mdfh_channel_push(channel, &packet, 1, 0, spans, 8), 2);
	assert_int_equal(spans[1].first, 3);
	assert_int_equal(spans[1].messages, 2);
	assert_int_equal(mdfh_channel_stats(channel)->delivered, 3);
	mdfh_channel_destroy(channel);
}

static void configuration_is_checked(void **state)
{
	static const struct {
		struct mdfh_channel_config config;
		const char *field;
	} cases[] = {
	    {{.size = 0}, "size"},
	    {{.size = sizeof(struct mdfh_channel_config)}, "session"},
	    {{.size = sizeof(struct mdfh_channel_config), .lines = 5}, "lines"},
	    {{.size = sizeof(struct mdfh_channel_config), .window_packets = 100}, "window_packets"},
	    {{.size = sizeof(struct mdfh_channel_config), .window_frame_size = 10},
		"window_frame_size"},
	    {{.size = sizeof(struct mdfh_channel_config),
		 .session_id = "a name that no protocol could carry"},
		"session_id"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mdfh_channel_config config = cases[i].config;

		if (i > 1)
			config.session = mdfh_session_find("moldudp64");
		assert_int_equal(mdfh_channel_create(&config, &channel), -EINVAL);
		assert_null(channel);
		assert_non_null(strstr(mdfh_error_text(), cases[i].field));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all_scripts),
	    cmocka_unit_test(line_down),
	    cmocka_unit_test(window_full),
	    cmocka_unit_test(more_than_eight_spans),
	    cmocka_unit_test(mdp3_counts_packets),
	    cmocka_unit_test(configuration_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
