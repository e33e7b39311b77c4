/* published.c - counters for other threads, under a sequence lock. */
#include "handler/published.h"

#include <errno.h>
#include <stdlib.h>

#include "core/lines.h"

int mdfh_published_create(struct mdfh_published *p, size_t bytes)
{
	p->word_count = bytes / sizeof(uint64_t);
	p->words = mdfh_lines_alloc(p->word_count, sizeof(*p->words));
	p->scratch = mdfh_lines_alloc(p->word_count, sizeof(*p->scratch));
	return p->words && p->scratch ? 0 : -ENOMEM;
}

void mdfh_published_destroy(struct mdfh_published *p)
{
	free(p->scratch);
	free((void *)p->words);
}

void mdfh_published_write(struct mdfh_published *p)
{
	uint32_t count = atomic_load_explicit(&p->count, memory_order_relaxed);

	atomic_store_explicit(&p->count, count + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	for (size_t i = 0; i < p->word_count; i++)
		atomic_store_explicit(&p->words[i], p->scratch[i], memory_order_relaxed);
	atomic_store_explicit(&p->count, count + 2, memory_order_release);
}

void mdfh_published_read(const struct mdfh_published *p, size_t offset, void *out, size_t bytes)
{
	uint64_t *to = out;
	size_t first = offset / sizeof(uint64_t);
	uint32_t before;
	uint32_t after;

	do {
		before = atomic_load_explicit(&p->count, memory_order_acquire);
		for (size_t i = 0; i < bytes / sizeof(uint64_t); i++)
			to[i] = atomic_load_explicit(&p->words[first + i], memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(&p->count, memory_order_relaxed);
	} while (before != after || (before & 1));
}
