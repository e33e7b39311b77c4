/* bare_dpdk.h - a DPDK port with nothing on top: what mdfh is compared with. */
#ifndef MDFH_BENCH_BARE_DPDK_H
#define MDFH_BENCH_BARE_DPDK_H

/* One queue of a virtual device, EAL without hugepages or PCI. 0 or a negative error with its
 * sentence; -ENOTSUP where the build has no DPDK. */
int bare_dpdk_open(const char *device);
int bare_dpdk_receive(int n); /* receives up to n packets (at most 256), frees and counts them */
void bare_dpdk_close(void);

#endif
