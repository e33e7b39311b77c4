/* mdfh/clock.h - time: the TSC calibrated against CLOCK_REALTIME, with a known error.
 *
 * Threads: any. mdfh_clock_now_ns reads two shared words under a sequence count; it never
 * locks and makes no system call where the TSC is invariant. */
#ifndef MDFH_CLOCK_H
#define MDFH_CLOCK_H

#include "mdfh/base.h"

MDFH_BEGIN_DECLS

/* Calibrate (about 10 ms the first time, later calls return at once). Every open does this. */
MDFH_API int mdfh_clock_start(void);

/* Correct the calibration by what CLOCK_REALTIME says now; for the control thread, about once
 * a second. */
MDFH_API void mdfh_clock_recalibrate(void);

MDFH_API uint64_t mdfh_clock_now_ns(void);                /* ns since the Unix epoch */
MDFH_API uint64_t mdfh_clock_ticks(void);                 /* raw counter, for differences */
MDFH_API uint64_t mdfh_clock_ticks_to_ns(uint64_t ticks); /* a difference of ticks */
MDFH_API uint32_t mdfh_clock_error_ns(void); /* now_ns is CLOCK_REALTIME to within this */
MDFH_API int mdfh_clock_is_tsc(void);        /* 0 = falls back to clock_gettime */

MDFH_END_DECLS
#endif
