/* etherfabric/memreg.h - of the software device; see ef_vi.h. Addresses of neighbouring pages are not
 * neighbours. */
#ifndef EF_VI_DEVICE_MEMREG_H
#define EF_VI_DEVICE_MEMREG_H

#include <etherfabric/pd.h>

typedef struct ef_memreg {
	ef_addr first; /* of the last page */
	size_t pages;
} ef_memreg;

int ef_memreg_alloc(ef_memreg *region, ef_driver_handle handle, struct ef_pd *pd,
    ef_driver_handle pd_handle, void *memory, size_t bytes);
int ef_memreg_free(ef_memreg *region, ef_driver_handle handle);

static inline ef_addr ef_memreg_dma_addr(ef_memreg *region, size_t offset)
{
	size_t page = offset / EF_VI_NIC_PAGE_SIZE;

	return region->first + (region->pages - 1 - page) * EF_VI_NIC_PAGE_SIZE +
	       offset % EF_VI_NIC_PAGE_SIZE;
}

#endif
