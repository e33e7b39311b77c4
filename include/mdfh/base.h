/* mdfh/base.h - what every public header needs: export mark, batch limit, constants.
 *
 * Conventions of the whole library:
 *   Errors   0 or a count on success, a negative errno value on failure. errno itself
 *            carries no meaning; mdfh_error_text() has the full sentence.
 *   Prices   int64, units of 1e-9 of the currency.
 *   Times    ns since the Unix epoch (UTC); 0 = unknown.
 *   Sizes    bytes.
 *   C++      some functions have the name of the struct that they fill, as stat(2) has: write
 *            `struct mdfh_bypass_stats stats;`. */
#ifndef MDFH_BASE_H
#define MDFH_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define MDFH_BEGIN_DECLS extern "C" {
#define MDFH_END_DECLS   }
#else
#define MDFH_BEGIN_DECLS
#define MDFH_END_DECLS
#endif

/* What the shared library exports. */
#define MDFH_API __attribute__((visibility("default")))

/* Bytes. */
#define MDFH_CACHE_LINE 64

/* Three-way switches of configurations, so that zero means "the default". */
enum mdfh_switch {
	MDFH_DEFAULT = 0,
	MDFH_ON = 1,
	MDFH_OFF = 2,
};

#endif
