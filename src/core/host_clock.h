/* host_clock.h - whether the host's clock is in step with UTC, by the kernel's own account. */
#ifndef MDFH_CORE_HOST_CLOCK_H
#define MDFH_CORE_HOST_CLOCK_H

#include <stdint.h>

/* 1 if a daemon (NTP, PTP) keeps CLOCK_REALTIME in step, and how far off it may be; 0 and UINT32_MAX
 * if none does, or the kernel cannot be asked. One system call. */
int mdfh_host_clock_sync(uint32_t *error_ns);

/* The same of what adjtimex(2) gave, for tests: its result, status and maxerror (us). */
int mdfh_host_clock_judge(int result, int status, long maxerror_us, uint32_t *error_ns);

#endif
