/* mdfh/error.h - the sentence behind the last failure.
 *
 * Every mdfh function that fails returns a negative errno value and leaves a sentence
 * that names the thing, the value and the remedy, for example
 *   "config: rx_ring_size is 12; it must be a power of two from 64 to 1048576"
 *
 * Threads: the sentence belongs to the calling thread. */
#ifndef MDFH_ERROR_H
#define MDFH_ERROR_H

#include "mdfh/base.h"

MDFH_BEGIN_DECLS

/* The sentence of this thread's last failure, "" if there was none. Owned by the library,
 * valid until this thread's next failing call. Never NULL. */
MDFH_API const char *mdfh_error_text(void);

/* Record a sentence and return error, a negative errno value; for backends and other
 * extensions: return mdfh_error(-EINVAL, "xdp: queue %u does not exist", queue). */
MDFH_API int mdfh_error(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same with ": " and strerror(-error) appended: for failed system calls. */
MDFH_API int mdfh_error_errno(int error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__
/* The static analyzer cannot see into them; with this it knows that a failure is never 0. */
#define mdfh_error(error, ...)       (mdfh_error(error, __VA_ARGS__) < 0 ? -1 : -2)
#define mdfh_error_errno(error, ...) (mdfh_error_errno(error, __VA_ARGS__) < 0 ? -1 : -2)
#endif

MDFH_END_DECLS
#endif
