/* error.c - the per-thread error sentence. */
#include "mdfh/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#undef mdfh_error /* defined for the static analyzer only */
#undef mdfh_error_errno

static _Thread_local char text[512];

const char *mdfh_error_text(void)
{
	return text;
}

int mdfh_error(int error, const char *format, ...)
{
	char sentence[sizeof(text)];
	va_list args;

	/* Through a buffer of its own, so that a caller may add to the last sentence. */
	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	memcpy(text, sentence, sizeof(text));
	return error;
}

/* What to do about it, where the reason alone leaves no choice. */
static const char *remedy(int error)
{
	return error == -ENOSPC || error == -EDQUOT ? "; make room there, or write elsewhere" : "";
}

int mdfh_error_errno(int error, const char *format, ...)
{
	char sentence[sizeof(text)];
	char reason[128];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	snprintf(text, sizeof(text), "%.340s: %s%s", sentence,
	    strerror_r(-error, reason, sizeof(reason)), remedy(error));
	return error;
}
