/* log.c - bounded text to the application's callback. */
#include "mdfh/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static struct {
	pthread_mutex_t lock;
	mdfh_log_callback callback;
	void *context;
	/* What mdfh_log looks at first, so that a silent level costs one load. -1 = nothing. */
	_Atomic int level;
} sink = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = -1};

void mdfh_log_set(mdfh_log_callback callback, void *context, enum mdfh_log_level level)
{
	pthread_mutex_lock(&sink.lock);
	sink.callback = callback;
	sink.context = context;
	/* Only a hint: mdfh_log reads the callback under the lock. */
	atomic_store_explicit(&sink.level, callback ? (int)level : -1, memory_order_relaxed);
	pthread_mutex_unlock(&sink.lock);
}

void mdfh_log(enum mdfh_log_level level, const char *format, ...)
{
	char text[MDFH_LOG_TEXT_MAX];
	mdfh_log_callback callback;
	void *context;
	va_list args;
	int length;

	if ((int)level > atomic_load_explicit(&sink.level, memory_order_relaxed))
		return;
	/* Not held during the call, so that a callback may log or set another callback. */
	pthread_mutex_lock(&sink.lock);
	callback = sink.callback;
	context = sink.context;
	pthread_mutex_unlock(&sink.lock);
	if (!callback)
		return;

	va_start(args, format);
	length = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (length < 0)
		return;
	if ((size_t)length >= sizeof(text))
		memcpy(text + sizeof(text) - 4, "...", 4);
	callback(context, level, text);
}
