/* etherfabric/efct_vi.h - of the software device; see ef_vi.h. */
#ifndef EF_VI_DEVICE_EFCT_VI_H
#define EF_VI_DEVICE_EFCT_VI_H

#include <etherfabric/ef_vi.h>

const void *efct_vi_rxpkt_get(struct ef_vi *vi, uint32_t packet);
int efct_vi_rxpkt_get_timestamp(
    struct ef_vi *vi, uint32_t packet, ef_timespec *time, unsigned *flags);
void efct_vi_rxpkt_release(struct ef_vi *vi, uint32_t packet);

#endif
