/* mdfh/histogram_log.h - histograms as text: HdrHistogram's V2 encoding and its log format 1.3.
 *
 * A log is read by HdrHistogram's own tools and libraries. A line is an interval of one tag:
 *
 *     Tag=book,START,LENGTH,MAX,HISTOGRAM
 *
 * START in seconds since the log's StartTime, LENGTH in seconds, MAX in milliseconds, and the
 * histogram: counts as ZigZag LEB128, deflated, in base64. Its values are nanoseconds. Formats:
 * https://github.com/HdrHistogram/HdrHistogram, EncodableHistogram and HistogramLogWriter.
 *
 * Threads: a log has one user at a time. Its histograms may be written to meanwhile; what is
 * recorded then is in this line or in a later one.
 * Errors: -ENOTSUP = a build without zlib. */
#ifndef MDFH_HISTOGRAM_LOG_H
#define MDFH_HISTOGRAM_LOG_H

#include "mdfh/histogram.h"

MDFH_BEGIN_DECLS

/* To be freed by the caller with free(3). The format holds values below 2^63: larger ones are
 * counted in its last bucket. The exact least and largest value are not part of it: a reader sees
 * their bucket's. */
MDFH_API int mdfh_histogram_encode(const struct mdfh_histogram *histogram, char **text);

/* The reverse, of what any program wrote with lowest discernible value 1 and 3 significant digits.
 * Untrusted input: -EINVAL with what is wrong with it. */
MDFH_API int mdfh_histogram_decode(
    const char *text, size_t length, struct mdfh_histogram **histogram);

struct mdfh_histogram_log;

/* Create the file (an old one is replaced) and write its head. Times are ns since the epoch. */
MDFH_API int mdfh_histogram_log_open(
    const char *path, uint64_t start_ns, struct mdfh_histogram_log **log);

/* One line, on its way to the file when this returns. tag: printable, without a comma or a space. */
MDFH_API int mdfh_histogram_log_write(struct mdfh_histogram_log *log, const char *tag,
    uint64_t from_ns, uint64_t to_ns, const struct mdfh_histogram *histogram);

/* NULL is allowed. An error means that the end of the file may be missing; the log is gone. */
MDFH_API int mdfh_histogram_log_close(struct mdfh_histogram_log *log);

MDFH_END_DECLS
#endif
