/* text_out.c - numbers as people read them. */
#include "apps/text_out.h"

#include <inttypes.h>
#include <stdio.h>

const char *text_grouped(uint64_t value)
{
	static _Thread_local char places[16][32];
	static _Thread_local unsigned next;
	char digits[24];
	char *out = places[next++ % 16];
	int n = snprintf(digits, sizeof(digits), "%" PRIu64, value);
	int at = 0;

	for (int i = 0; i < n; i++) {
		if (i && (n - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
	return out;
}

const char *text_duration(uint64_t ns)
{
	static _Thread_local char places[16][24];
	static _Thread_local unsigned next;
	char *out = places[next++ % 16];

	if (ns < 10000)
		snprintf(out, 24, "%" PRIu64 " ns", ns);
	else if (ns < 10000000)
		snprintf(out, 24, "%.1f us", (double)ns / 1e3);
	else
		snprintf(out, 24, "%.1f ms", (double)ns / 1e6);
	return out;
}
