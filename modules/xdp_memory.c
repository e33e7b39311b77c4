/* xdp_memory.c - the packet memory (UMEM) of ports: one for each, or one that several ports of an
 * interface share, each with a part of its own, so that their threads have nothing to agree on. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/lines.h"
#include "mdfh/error.h"
#include "modules/xdp.h"

struct xdp_memory {
	struct xdp_memory *next;
	struct mdfh_pool whole;
	uint32_t parts;
	uint32_t part_chunks;
	uint32_t users;
	unsigned interface;
	uint64_t network;
	const struct xdp_port *ports[XDP_QUEUES_MAX]; /* by part; NULL = free */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the list and what is in it */
static struct xdp_memory *memories;                      /* the shared ones */

/* Parts begin on lines of their own in what is kept for each chunk. */
static uint32_t round_to_line(uint32_t chunks)
{
	return (chunks + MDFH_CACHE_LINE - 1) / MDFH_CACHE_LINE * MDFH_CACHE_LINE;
}

static int create(struct xdp_port *x, const struct mdfh_bypass_config *config, uint32_t parts)
{
	struct xdp_memory *memory = calloc(1, sizeof(*memory));

	if (!memory)
		return mdfh_error(-ENOMEM, "xdp: %zu bytes", sizeof(*memory));
	x->memory = memory;
	memory->parts = parts;
	memory->part_chunks = x->ring_size + x->reserve;
	memory->interface = x->index;
	memory->network = x->network;
	memory->users = 1;
	if (parts == 1)
		return mdfh_pool_map(&memory->whole, "xdp", memory->part_chunks, XDP_CHUNK, config);
	memory->next = memories;
	memories = memory;
	return mdfh_pool_map(
	    &memory->whole, "xdp", round_to_line(memory->part_chunks) * parts, XDP_CHUNK, config);
}

static int join(struct xdp_port *x, struct xdp_memory *memory, uint32_t parts)
{
	if (parts != memory->parts || x->ring_size + x->reserve != memory->part_chunks)
		return mdfh_error(-EINVAL,
		    "xdp: the memory of %s is shared by %u ports of %u packets, and this port "
		    "wants "
		    "one of %u of %u; give all of them the same shared_umem, rx_ring_size, "
		    "hold_max "
		    "and batch_size",
		    x->device, memory->parts, memory->part_chunks, parts,
		    x->ring_size + x->reserve);
	memory->users++;
	x->memory = memory;
	return 0;
}

/* The port's own pool: its part of the whole, by the whole's numbers. */
static int take_part(struct xdp_port *x)
{
	struct xdp_memory *memory = x->memory;
	uint32_t part = 0, first;

	while (part < memory->parts && memory->ports[part])
		part++;
	if (part == memory->parts)
		return mdfh_error(-EBUSY,
		    "xdp: all %u parts of the memory of %s are taken; make shared_umem the number "
		    "of ports",
		    memory->parts, x->device);
	x->chunks = memory->whole;
	x->chunks.free = mdfh_lines_alloc(memory->part_chunks, sizeof(*x->chunks.free));
	if (!x->chunks.free)
		return mdfh_error(-ENOMEM, "xdp: bookkeeping of %u packets", memory->part_chunks);
	x->part = part;
	memory->ports[part] = x;
	first = part * round_to_line(memory->part_chunks);
	for (uint32_t i = 0; i < memory->part_chunks; i++)
		x->chunks.free[i] = first + memory->part_chunks - 1 - i;
	x->chunks.free_count = memory->part_chunks;
	return 0;
}

int mdfh_xdp_memory_take(
    struct xdp_port *x, const struct mdfh_bypass_config *config, uint32_t parts)
{
	struct xdp_memory *memory;
	int rc;

	pthread_mutex_lock(&lock);
	for (memory = parts > 1 ? memories : NULL; memory; memory = memory->next)
		if (memory->interface == x->index && memory->network == x->network)
			break;
	rc = memory ? join(x, memory, parts) : create(x, config, parts);
	if (!rc)
		rc = take_part(x);
	pthread_mutex_unlock(&lock);
	return rc;
}

int mdfh_xdp_memory_socket(const struct xdp_port *x)
{
	int fd = -1;

	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < x->memory->parts && fd < 0; i++)
		if (x->memory->ports[i] && x->memory->ports[i]->is_bound)
			fd = x->memory->ports[i]->fd;
	pthread_mutex_unlock(&lock);
	return fd;
}

void mdfh_xdp_memory_give_back(struct xdp_port *x)
{
	struct xdp_memory *memory = x->memory;

	free(x->chunks.free);
	if (!memory)
		return;
	pthread_mutex_lock(&lock);
	if (memory->ports[x->part] == x)
		memory->ports[x->part] = NULL;
	if (!--memory->users) {
		for (struct xdp_memory **at = &memories; *at; at = &(*at)->next)
			if (*at == memory) {
				*at = memory->next;
				break;
			}
		mdfh_pool_unmap(&memory->whole);
		free(memory);
	}
	pthread_mutex_unlock(&lock);
}
