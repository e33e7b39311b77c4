/* probe_tally.h - which messages of a run came, exactly.
 *
 * A bit for each of the last PROBE_WINDOW sequence numbers says whether it came, so that a number is
 * counted once however often it comes, and in whatever order. Older numbers than that cannot be
 * told apart any more: they are counted as doubled, never as received.
 *
 * Threads: one. */
#ifndef MDFH_TOOLS_PROBE_TALLY_H
#define MDFH_TOOLS_PROBE_TALLY_H

#include <stdint.h>

enum { PROBE_WINDOW = 1 << 22 };

struct probe_tally {
	uint64_t unique;     /* sequence numbers that came */
	uint64_t duplicates; /* came again */
	uint64_t reordered;  /* came for the first time after a later one */
	uint64_t first;      /* lowest number that came; 0 = none has */
	uint64_t highest;
	uint64_t *bits;
};

int probe_tally_create(struct probe_tally *tally);
void probe_tally_destroy(struct probe_tally *tally);

/* 1 = new, 0 = it was there. Sequence 0 does not exist and counts as a duplicate. */
int probe_tally_add(struct probe_tally *tally, uint64_t sequence);

/* Numbers from 1 to last that did not come. */
uint64_t probe_tally_missing(const struct probe_tally *tally, uint64_t last);

#endif
