/* lines.h - memory on cache lines of its own, for what one thread writes while others run.
 *
 * Two threads that write to one line take it from each other at every write, however private their
 * words are. malloc gives neighbours to whoever asks next, so what a thread owns begins on a line and
 * fills its last one. */
#ifndef MDFH_CORE_LINES_H
#define MDFH_CORE_LINES_H

#include <stdlib.h>
#include <string.h>

#include "mdfh/base.h"

/* Like calloc(3), and to be freed with free(3); every page is there when it returns. */
static inline void *mdfh_lines_alloc(size_t count, size_t size)
{
	size_t bytes;
	void *memory;

	if (__builtin_mul_overflow(count, size, &bytes) ||
	    __builtin_add_overflow(bytes, MDFH_CACHE_LINE - 1, &bytes))
		return NULL;
	bytes = bytes / MDFH_CACHE_LINE * MDFH_CACHE_LINE;
	memory = aligned_alloc(MDFH_CACHE_LINE, bytes ? bytes : MDFH_CACHE_LINE);
	if (memory)
		memset(memory, 0, bytes);
	return memory;
}

#endif
