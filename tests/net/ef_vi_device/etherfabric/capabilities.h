/* etherfabric/capabilities.h - of the software device; see ef_vi.h. */
#ifndef EF_VI_DEVICE_CAPABILITIES_H
#define EF_VI_DEVICE_CAPABILITIES_H

#include <etherfabric/pd.h>

enum ef_vi_capability { EF_VI_CAP_HW_RX_TIMESTAMPING = 3 };

int ef_vi_capabilities_get(
    ef_driver_handle handle, int interface, enum ef_vi_capability capability, unsigned long *value);

#endif
