/* json_out.c - JSON to a stream, a piece at a time. */
#include "apps/json_out.h"

#include <string.h>

static void begin_value(struct json_out *json)
{
	if (json->need_comma)
		putc_unlocked(',', json->stream);
	json->need_comma = 1;
}

void json_open(struct json_out *json, char bracket)
{
	begin_value(json);
	putc_unlocked(bracket, json->stream);
	json->need_comma = 0;
}

void json_close(struct json_out *json, char bracket)
{
	putc_unlocked(bracket, json->stream);
	json->need_comma = 1;
}

void json_line(struct json_out *json)
{
	putc_unlocked('\n', json->stream);
	json->need_comma = 0;
}

void json_key(struct json_out *json, const char *name)
{
	begin_value(json);
	putc_unlocked('"', json->stream);
	fputs_unlocked(name, json->stream);
	fputs_unlocked("\":", json->stream);
	json->need_comma = 0;
}

void json_text(struct json_out *json, const void *bytes, size_t length)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *at = bytes;

	begin_value(json);
	putc_unlocked('"', json->stream);
	for (size_t i = 0; i < length; i++) {
		if (at[i] == '"' || at[i] == '\\') {
			putc_unlocked('\\', json->stream);
			putc_unlocked(at[i], json->stream);
		} else if (at[i] < ' ' || at[i] > '~') {
			fputs_unlocked("\\u00", json->stream);
			putc_unlocked(digits[at[i] >> 4], json->stream);
			putc_unlocked(digits[at[i] & 15], json->stream);
		} else {
			putc_unlocked(at[i], json->stream);
		}
	}
	putc_unlocked('"', json->stream);
}

void json_quoted(struct json_out *json, const char *text)
{
	json_text(json, text, strlen(text));
}

void json_raw(struct json_out *json, const char *token)
{
	begin_value(json);
	fputs_unlocked(token, json->stream);
}

void json_uint(struct json_out *json, uint64_t value)
{
	char digits[24];
	char *at = digits + sizeof(digits) - 1;

	*at = '\0';
	do {
		*--at = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	json_raw(json, at);
}

void json_int(struct json_out *json, int64_t value)
{
	char digits[24];

	if (value >= 0) {
		json_uint(json, (uint64_t)value);
		return;
	}
	snprintf(digits, sizeof(digits), "%lld", (long long)value);
	json_raw(json, digits);
}
