/* bare_dpdk.h - a DPDK port with nothing on top: what mdfh is compared with. */
#ifndef MDFH_BENCH_BARE_DPDK_H
#define MDFH_BENCH_BARE_DPDK_H

/* One queue of a virtual device, EAL without hugepages or PCI. 0 or a negative error with its
 * sentence; -ENOTSUP where the build has no DPDK. */
int bare_dpdk_open(const char *device);
/* Receives up to n packets (at most 256), frees and counts them; read: and looks at their UDP headers,
 * which is when their bytes come from the core that wrote them. */
int bare_dpdk_receive(int n, int read);
void bare_dpdk_close(void);

#endif
