/* mdfh/clock.h - time: the TSC calibrated against CLOCK_REALTIME, with a known error.
 *
 * Threads: any. Reading takes a few loads under a version count and one counter read; it never
 *          locks or waits, and makes no system call where the counter is invariant (x86-64 with
 *          an invariant TSC that the kernel trusts too, AArch64). Elsewhere, and before
 *          mdfh_clock_start, all calls fall back to clock_gettime.
 * Order:   a thread never sees now_ns fall, with two exceptions. If CLOCK_REALTIME was set by
 *          more than 10 ms, the next recalibration follows at once, in either direction;
 *          smaller corrections are slewed in, by 500 ppm at most. And if the thread that
 *          recalibrates is preempted just then, time may fall by 500 ppm of that while at most
 *          (half a microsecond for a millisecond). Differences that must not be slewed are
 *          taken in ticks.
 * Error:   mdfh_clock_error_ns covers what the comparisons with CLOCK_REALTIME could not
 *          resolve, what is still being slewed, and a drift of 20 ppm since the last
 *          recalibration. It does not know of a CLOCK_REALTIME that was set, or is steered
 *          harder than that, until the next one; nor how wrong CLOCK_REALTIME itself is. */
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
