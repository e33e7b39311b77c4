/* mdfh/log.h - what the library has to say, handed to the application. Never on the hot path.
 * Without a callback nothing is printed. Threads: the callback may be called from any thread. */
#ifndef MDFH_LOG_H
#define MDFH_LOG_H

#include "mdfh/base.h"

MDFH_BEGIN_DECLS

enum mdfh_log_level {
	MDFH_LOG_ERROR = 0,
	MDFH_LOG_WARNING = 1,
	MDFH_LOG_INFO = 2,
	MDFH_LOG_DEBUG = 3,
};

typedef void (*mdfh_log_callback)(void *context, enum mdfh_log_level level, const char *text);

MDFH_API void mdfh_log_set(mdfh_log_callback callback, void *context, enum mdfh_log_level level);
MDFH_API void mdfh_log(enum mdfh_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

MDFH_END_DECLS
#endif
