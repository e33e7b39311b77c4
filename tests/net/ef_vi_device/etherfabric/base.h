/* etherfabric/base.h - of the software device; see ef_vi.h. */
#ifndef EF_VI_DEVICE_BASE_H
#define EF_VI_DEVICE_BASE_H

#include <etherfabric/ef_vi.h>

#define EF_VI_NIC_PAGE_SIZE 4096

int ef_driver_open(ef_driver_handle *handle);
int ef_driver_close(ef_driver_handle handle);

#endif
