/* json_out.h - JSON to a stream, a piece at a time.
 *
 * A dump prints millions of small objects and keeps none, so they are written as they come
 * instead of being built as a tree first. The caller nests objects and arrays properly; commas
 * are looked after here. One way for all output: strings are escaped byte by byte as Latin-1, so
 * that any bytes at all come out as valid JSON and go back to the same bytes.
 *
 * Errors are the stream's: look at ferror. Threads: one at a time. */
#ifndef MDFH_APPS_JSON_OUT_H
#define MDFH_APPS_JSON_OUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json_out {
	FILE *stream;
	int need_comma;
};

void json_open(struct json_out *json, char bracket); /* '{' or '[' */
void json_close(struct json_out *json, char bracket);
void json_line(struct json_out *json); /* ends a top-level value */

/* In an object: the name of the next value. Not escaped. */
void json_key(struct json_out *json, const char *name);

void json_text(struct json_out *json, const void *bytes, size_t length);
void json_quoted(struct json_out *json, const char *text);
void json_uint(struct json_out *json, uint64_t value);
void json_int(struct json_out *json, int64_t value);
void json_raw(struct json_out *json, const char *token); /* a number, null, true */

#endif
