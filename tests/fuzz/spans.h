/* spans.h - what a channel gives out, held against the promise: one run of numbers without hole or
 * overlap in each session, whole messages, and a gap never of no number. */
#ifndef TESTS_FUZZ_SPANS_H
#define TESTS_FUZZ_SPANS_H

#include "fuzz.h"
#include "mdfh/event.h"
#include "mdfh/session.h"

/* Whole messages in length bytes. */
static inline uint32_t count_messages(
    enum mdfh_framing framing, const uint8_t *data, uint32_t length)
{
	const uint8_t *message;
	uint32_t n = 0, size, step;

	while (length && (step = mdfh_framing_next(framing, data, length, &message, &size)) > 0) {
		REQUIRE(step <= length && message >= data && message + size <= data + step);
		data += step;
		length -= step;
		n++;
	}
	REQUIRE(length == 0);
	return n;
}

struct span_check {
	const struct mdfh_session_ops *ops;
	uint64_t next;
	uint64_t delivered, lost;
	uint8_t epoch;
	int begun, fresh; /* fresh: a session has just begun */
	/* More to be looked at of a span that is sound; may be NULL. */
	void (*look)(void *context, const struct mdfh_span *span);
	void *context;
};

static inline void check_span(struct span_check *s, const struct mdfh_span *span)
{
	uint64_t numbers = s->ops->counts_packets ? 1 : span->messages;

	if (span->kind == MDFH_SPAN_SESSION_BEGIN) {
		REQUIRE(span->epoch == (uint8_t)(s->epoch + 1));
		s->begun = s->fresh = 1;
		s->epoch = span->epoch;
		s->next = span->first;
		return;
	}
	REQUIRE(s->begun && span->epoch == s->epoch);
	if (s->fresh && span->kind == MDFH_SPAN_GAP && span->cause == MDFH_CAUSE_LATE_JOIN) {
		REQUIRE(span->first == 1 && span->messages == s->next - 1);
		s->lost += span->messages;
		s->fresh = 0;
		return;
	}
	s->fresh = 0;
	REQUIRE(span->first == s->next);
	if (span->kind == MDFH_SPAN_SESSION_END)
		return;
	if (span->kind == MDFH_SPAN_GAP) {
		REQUIRE(span->messages > 0 && span->messages <= UINT64_MAX - s->next);
		REQUIRE(span->cause != MDFH_CAUSE_NONE && span->cause != MDFH_CAUSE_LATE_JOIN);
		s->next += span->messages;
		s->lost += span->messages;
		return;
	}
	REQUIRE(span->kind == MDFH_SPAN_DATA);
	REQUIRE(count_messages(s->ops->framing, span->data, span->length) == span->messages);
	s->next += numbers;
	s->delivered += numbers;
}

static inline void check_spans(struct span_check *s, const struct mdfh_span *spans, int n)
{
	REQUIRE(n >= 0 && n <= MDFH_SPANS_MAX);
	for (int i = 0; i < n; i++) {
		check_span(s, &spans[i]);
		if (s->look)
			s->look(s->context, &spans[i]);
	}
}

/* What the channel counted is what was seen of it, and its own sums add up. */
static inline void check_counts(const struct span_check *s, const struct mdfh_channel_stats *stats)
{
	uint64_t by_line = 0, by_cause = 0;

	for (int i = 0; i < MDFH_LINES_MAX; i++)
		by_line += stats->lines[i].delivered;
	for (size_t i = 0; i < sizeof(stats->lost_by_cause) / sizeof(stats->lost_by_cause[0]); i++)
		by_cause += stats->lost_by_cause[i];
	REQUIRE(stats->delivered == s->delivered && by_line == s->delivered);
	REQUIRE(stats->lost == s->lost && by_cause == s->lost);
	REQUIRE(!s->begun || stats->next_sequence == s->next);
}

#endif
