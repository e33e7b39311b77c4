/* mdfh/log.h - what the library has to say, handed to the application. Never on the hot path.
 *
 * Without a callback nothing is printed. A text is one line without its newline, cut to
 * MDFH_LOG_TEXT_MAX bytes, "..." at the end showing the cut; it is valid during the call.
 *
 * Threads: the callback may be called from any thread, from several at once, and once more
 *          from a thread that was just logging while mdfh_log_set replaced it. It may log. */
#ifndef MDFH_LOG_H
#define MDFH_LOG_H

#include "mdfh/base.h"

MDFH_BEGIN_DECLS

enum { MDFH_LOG_TEXT_MAX = 512 };

/* How bad it is. */
enum mdfh_log_level {
	MDFH_LOG_ERROR = 0,
	MDFH_LOG_WARNING = 1,
	MDFH_LOG_INFO = 2,
	MDFH_LOG_DEBUG = 3,
};

/* What is called with a line. */
typedef void (*mdfh_log_callback)(void *context, enum mdfh_log_level level, const char *text);

/* Messages up to this level go to callback; NULL = to nobody. */
MDFH_API void mdfh_log_set(mdfh_log_callback callback, void *context, enum mdfh_log_level level);
MDFH_API void mdfh_log(enum mdfh_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

MDFH_END_DECLS
#endif
