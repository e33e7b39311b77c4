/* mdfh/memory.h - large memory, taken at start: hugepages where there are any, on a given node,
 * touched so that no page fault is left for the hot path; optionally shared by name. */
#ifndef MDFH_MEMORY_H
#define MDFH_MEMORY_H

#include "mdfh/base.h"

MDFH_BEGIN_DECLS

/* Zero means "default" everywhere but in size and bytes. */
struct mdfh_region_config {
	size_t size;
	size_t bytes;
	enum mdfh_switch hugepages; /* on: fail without; default: reserved hugepages, else
	                             * transparent ones, else ordinary pages; off: ordinary */
	int numa_node;              /* node + 1; 0 = no preference */
	const char *shared_name;    /* POSIX shared memory name; NULL = private. Created anew. */
	enum mdfh_switch touch;     /* default on */
};

/* What was mapped. */
struct mdfh_region {
	void *base;   /* page-aligned, zeroed */
	size_t bytes; /* mapped: config bytes rounded up to the page size in use */
	size_t page_bytes;
	int node;               /* where the first page is, -1 = unknown */
	int reserved_hugepages; /* 1 = from the hugetlb pool */
	int shared;
	char shared_name[64];
};

/* -ENOMEM, or what the kernel refused, with the remedy. */
MDFH_API int mdfh_region_map(const struct mdfh_region_config *config, struct mdfh_region *region);
/* Map an existing shared region for reading and writing (a consumer in another process). -ENOENT:
 * there is none; -EPROTO: its maker has not finished it, or it is damaged. */
MDFH_API int mdfh_region_attach(const char *shared_name, struct mdfh_region *region);
MDFH_API void mdfh_region_unmap(struct mdfh_region *region); /* removes its name if it made it */

MDFH_END_DECLS
#endif
