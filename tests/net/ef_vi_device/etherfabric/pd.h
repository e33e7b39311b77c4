/* etherfabric/pd.h - of the software device; see ef_vi.h. */
#ifndef EF_VI_DEVICE_PD_H
#define EF_VI_DEVICE_PD_H

#include <etherfabric/base.h>

enum ef_pd_flags { EF_PD_DEFAULT = 0, EF_PD_EXPRESS = 0x4 };

typedef struct ef_pd {
	int interface;
	int number;
	unsigned flags;
} ef_pd;

int ef_pd_alloc(ef_pd *pd, ef_driver_handle handle, int interface, enum ef_pd_flags flags);
int ef_pd_free(ef_pd *pd, ef_driver_handle handle);

#endif
