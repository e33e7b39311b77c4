/* fuzz.h - what every fuzz target has in common.
 *
 * A target keeps nothing from one input to the next that an input could notice, so that a finding
 * comes again from its one file: fuzz_NAME FILE. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Freed memory is watched for a megabyte, not for 256: an input is over by then, and pages that
 * come back soon need not be cleared by the kernel. */
__attribute__((used, visibility("default"))) const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "quarantine_size_mb=1:malloc_context_size=4";
}

#define REQUIRE(condition)                                                                         \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* Bytes in a block of exactly their size: a byte too far is seen. To be freed. */
static inline uint8_t *exact_copy(const void *bytes, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	REQUIRE(copy);
	if (size)
		memcpy(copy, bytes, size);
	return copy;
}

#endif
