/* published.h - counters that one thread writes and others read: copied about ten times a second into
 * words under a sequence lock, so that no counter of the hot path need be atomic. */
#ifndef MDFH_HANDLER_PUBLISHED_H
#define MDFH_HANDLER_PUBLISHED_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "mdfh/base.h"

struct mdfh_published {
	/* An odd count means that words are being written. The release store after the words pairs
	 * with the acquire load in mdfh_published_read. */
	_Alignas(MDFH_CACHE_LINE) _Atomic uint32_t count;
	size_t word_count;
	_Atomic uint64_t *words;
	uint64_t *scratch; /* the writer's: what the next mdfh_published_write shows */
};

/* bytes: a multiple of 8. 0 or -ENOMEM without a sentence. */
int mdfh_published_create(struct mdfh_published *published, size_t bytes);
void mdfh_published_destroy(struct mdfh_published *published);

/* The writer: let others see what stands in scratch. */
void mdfh_published_write(struct mdfh_published *published);

/* Anyone: bytes at offset out of a whole state; tries again while one is being written. */
void mdfh_published_read(
    const struct mdfh_published *published, size_t offset, void *out, size_t bytes);

#endif
