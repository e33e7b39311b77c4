/* mdfh/histogram.h - a log-linear histogram of durations, 3 significant digits, fixed size.
 *
 * Its buckets are those of an HdrHistogram with lowest discernible value 1 and 3 significant
 * digits; mdfh/histogram_log.h writes its format.
 *
 * Threads: one writer; a reader in another thread may see a sample late, never a torn count. */
#ifndef MDFH_HISTOGRAM_H
#define MDFH_HISTOGRAM_H

#include "mdfh/base.h"

MDFH_BEGIN_DECLS

struct mdfh_histogram;

/* Values 0..max_value; larger ones are counted in the last bucket, and max is kept exactly. */
MDFH_API int mdfh_histogram_create(uint64_t max_value, struct mdfh_histogram **histogram);
MDFH_API void mdfh_histogram_destroy(struct mdfh_histogram *histogram);
MDFH_API void mdfh_histogram_record(struct mdfh_histogram *histogram, uint64_t value);
MDFH_API void mdfh_histogram_record_n(
    struct mdfh_histogram *histogram, uint64_t value, uint64_t count);
/* percentile 0..100; highest value equivalent to it, as HdrHistogram has it, but never beyond the
 * largest recorded; 0: the least, 100: the largest; 0 when empty. */
MDFH_API uint64_t mdfh_histogram_percentile(
    const struct mdfh_histogram *histogram, double percentile);
MDFH_API uint64_t mdfh_histogram_count(const struct mdfh_histogram *histogram);
MDFH_API uint64_t mdfh_histogram_max(const struct mdfh_histogram *histogram);
MDFH_API uint64_t mdfh_histogram_min(const struct mdfh_histogram *histogram);
MDFH_API double mdfh_histogram_mean(const struct mdfh_histogram *histogram);
MDFH_API void mdfh_histogram_add(
    struct mdfh_histogram *histogram, const struct mdfh_histogram *other);
/* Take an earlier state of the same histogram away: what was recorded since. Its least and largest
 * are known to a bucket only. */
MDFH_API void mdfh_histogram_subtract(
    struct mdfh_histogram *histogram, const struct mdfh_histogram *earlier);
MDFH_API void mdfh_histogram_reset(struct mdfh_histogram *histogram);

MDFH_END_DECLS
#endif
