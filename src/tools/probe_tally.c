/* probe_tally.c - which messages of a run came, exactly. */
#include "tools/probe_tally.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mdfh/error.h"

#define WORDS (PROBE_WINDOW / 64)

int probe_tally_create(struct probe_tally *tally)
{
	memset(tally, 0, sizeof(*tally));
	tally->bits = calloc(WORDS, sizeof(*tally->bits));
	if (!tally->bits)
		return mdfh_error(-ENOMEM, "tally: %d words", WORDS);
	return 0;
}

void probe_tally_destroy(struct probe_tally *tally)
{
	free(tally->bits);
	tally->bits = NULL;
}

/* The window ends at a new highest number: what falls out of it makes room, word by word. */
static void advance(struct probe_tally *tally, uint64_t to)
{
	uint64_t count = to - tally->highest;

	if (count >= PROBE_WINDOW) {
		memset(tally->bits, 0, WORDS * sizeof(*tally->bits));
		count = 0;
	}
	for (uint64_t s = tally->highest + 1; count;) {
		uint64_t n = 64 - s % 64 < count ? 64 - s % 64 : count;

		tally->bits[s / 64 % WORDS] &= ~(UINT64_MAX >> (64 - n) << s % 64);
		s += n;
		count -= n;
	}
	tally->highest = to;
}

int probe_tally_add(struct probe_tally *tally, uint64_t sequence)
{
	uint64_t bit = UINT64_C(1) << sequence % 64;
	uint64_t *word = &tally->bits[sequence / 64 % WORDS];
	int is_late = sequence < tally->highest;

	if (sequence > tally->highest)
		advance(tally, sequence);
	if (!sequence || tally->highest - sequence >= PROBE_WINDOW || *word & bit) {
		tally->duplicates++;
		return 0;
	}
	*word |= bit;
	tally->unique++;
	tally->reordered += (uint64_t)is_late;
	if (!tally->first || sequence < tally->first)
		tally->first = sequence;
	return 1;
}

uint64_t probe_tally_missing(const struct probe_tally *tally, uint64_t last)
{
	return last > tally->unique ? last - tally->unique : 0;
}
