/* histogram_log.c - HdrHistogram's V2 encoding and its log format 1.3.
 *
 * Encoded, big-endian: cookie, length of the counts, normalizing offset (0), significant digits,
 * lowest discernible value, highest trackable value, ratio to doubles (1.0), then the counts from
 * bucket 0 to that of the largest value as ZigZag LEB128 of 64 bits in 9 bytes at most; a negative
 * one stands for so many empty buckets. Deflated behind a cookie and its length, in base64. */
#include "mdfh/histogram_log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/bytes.h"
#include "core/histogram_buckets.h"
#include "mdfh/error.h"
#include "mdfh_build.h"

#ifdef MDFH_HAVE_ZLIB
#include <zlib.h>
#endif

struct mdfh_histogram_log {
	FILE *file;
	char *name;
	uint64_t start_ns;
};

#ifdef MDFH_HAVE_ZLIB

enum {
	COOKIE = 0x1c849303 | 0x10, /* 0x10: counts are LEB128 */
	COOKIE_COMPRESSED = 0x1c849304 | 0x10,
	HEADER = 40,
	COMPRESSED_HEADER = 8,
	LEB_MAX = 9,
	DIGITS = 3,
	/* Of values below 2^63: what is signed in Java. */
	BUCKETS_MAX = (64 - HISTOGRAM_HALF_BITS) << HISTOGRAM_HALF_BITS,
	PLAIN_MAX = HEADER + BUCKETS_MAX * LEB_MAX,
};

/* Counts ---------------------------------------------------------------------------------- */

static size_t put_leb(uint8_t *to, int64_t value)
{
	uint64_t rest = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
	size_t n = 0;

	while (rest > 0x7f && n < LEB_MAX - 1) {
		to[n++] = (uint8_t)(rest | 0x80);
		rest >>= 7;
	}
	to[n++] = (uint8_t)rest; /* the ninth byte has all its 8 bits */
	return n;
}

/* Bytes used; 0 = it is cut off. */
static size_t take_leb(const uint8_t *from, size_t length, int64_t *value)
{
	uint64_t raw = 0;
	size_t n = 0;

	for (;;) {
		uint8_t byte;

		if (n == length)
			return 0;
		byte = from[n];
		if (n == LEB_MAX - 1) {
			raw |= (uint64_t)byte << 56;
			n++;
			break;
		}
		raw |= (uint64_t)(byte & 0x7f) << (7 * n++);
		if (!(byte & 0x80))
			break;
	}
	*value = (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
	return n;
}

/* What larger values than the format can hold are counted in is its last bucket. */
static uint64_t count_at(const struct mdfh_histogram *h, uint32_t bucket)
{
	uint64_t count = histogram_get(&h->counts[bucket]);

	if (bucket == BUCKETS_MAX - 1)
		for (uint32_t i = BUCKETS_MAX; i <= h->last; i++)
			count += histogram_get(&h->counts[i]);
	return count > INT64_MAX ? INT64_MAX : count;
}

static size_t put_counts(const struct mdfh_histogram *h, uint8_t *to)
{
	uint32_t end = h->last < BUCKETS_MAX ? h->last + 1 : BUCKETS_MAX;
	size_t used = 0;
	int64_t empty = 0;

	for (uint32_t i = 0; i < end; i++) {
		uint64_t count = count_at(h, i);

		if (!count) {
			empty++;
			continue;
		}
		if (empty)
			used += put_leb(to + used, empty == 1 ? 0 : -empty);
		empty = 0;
		used += put_leb(to + used, (int64_t)count);
	}
	/* Empty buckets above the largest value are left out, but never all. */
	return used ? used : put_leb(to, 0);
}

static int take_counts(struct mdfh_histogram *h, const uint8_t *from, size_t length)
{
	uint64_t total = 0;
	uint64_t at = 0; /* bucket */

	while (length) {
		int64_t value;
		size_t used = take_leb(from, length, &value);

		if (!used)
			return mdfh_error(-EINVAL, "histogram: its last count is cut off");
		from += used;
		length -= used;
		if (value < 0) {
			uint64_t empty = (uint64_t) - (value + 1) + 1;

			if (empty > h->last + 1 - at)
				return mdfh_error(-EINVAL,
				    "histogram: bucket %" PRIu64 " and %" PRIu64
				    " empty ones are more than its highest value allows",
				    at, empty);
			at += empty;
			continue;
		}
		if (at > h->last)
			return mdfh_error(
			    -EINVAL, "histogram: more counts than its highest value allows");
		total += (uint64_t)value;
		if (total > INT64_MAX)
			return mdfh_error(-EINVAL, "histogram: its counts overflow");
		if (value) {
			uint64_t width;
			uint64_t low = histogram_low((uint32_t)at, &width);

			histogram_set(&h->counts[at], (uint64_t)value);
			histogram_set(&h->max, low + (width - 1));
			if (histogram_get(&h->min) == UINT64_MAX)
				histogram_set(&h->min, low);
		}
		at++;
	}
	return 0;
}

/* base64, RFC 4648 ------------------------------------------------------------------------- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void to_base64(const uint8_t *bytes, size_t length, char *text)
{
	for (size_t i = 0; i < length; i += 3) {
		size_t left = length - i;
		uint32_t word = (uint32_t)bytes[i] << 16;

		if (left > 1)
			word |= (uint32_t)bytes[i + 1] << 8;
		if (left > 2)
			word |= bytes[i + 2];
		*text++ = alphabet[word >> 18];
		*text++ = alphabet[(word >> 12) & 63];
		*text++ = left > 1 ? alphabet[(word >> 6) & 63] : '=';
		*text++ = left > 2 ? alphabet[word & 63] : '=';
	}
	*text = '\0';
}

/* Room for length / 4 * 3 bytes. Returns bytes, or -EINVAL. */
static ptrdiff_t from_base64(const char *text, size_t length, uint8_t *bytes)
{
	uint8_t *at = bytes;

	if (length % 4)
		return -EINVAL;
	for (size_t i = 0; i < length; i += 4) {
		uint32_t word = 0;
		unsigned padding = 0;

		for (size_t k = 0; k < 4; k++) {
			const char *found = text[i + k] ? strchr(alphabet, text[i + k]) : NULL;

			if (!found && text[i + k] == '=' && i + 4 == length && k >= 2)
				padding++;
			else if (!found || padding)
				return -EINVAL;
			word = word << 6 | (uint32_t)(found ? found - alphabet : 0);
		}
		*at++ = (uint8_t)(word >> 16);
		if (padding < 2)
			*at++ = (uint8_t)(word >> 8);
		if (!padding)
			*at++ = (uint8_t)word;
	}
	return at - bytes;
}

/* Encoding ---------------------------------------------------------------------------------- */

static size_t put_plain(const struct mdfh_histogram *h, uint8_t *to)
{
	uint64_t highest =
	    h->last >= BUCKETS_MAX - 1 ? (uint64_t)INT64_MAX : histogram_high(h->last);
	size_t counts = put_counts(h, to + HEADER);

	mdfh_store_be32(to, COOKIE);
	mdfh_store_be32(to + 4, (uint32_t)counts);
	mdfh_store_be32(to + 8, 0);
	mdfh_store_be32(to + 12, DIGITS);
	mdfh_store_be64(to + 16, 1);
	mdfh_store_be64(to + 24, highest < 2 ? 2 : highest); /* the least that the format takes */
	mdfh_store_be64(to + 32, 0x3ff0000000000000);        /* 1.0 */
	return HEADER + counts;
}

int mdfh_histogram_encode(const struct mdfh_histogram *histogram, char **text)
{
	size_t buckets = histogram->last < BUCKETS_MAX ? histogram->last + 1 : BUCKETS_MAX;
	size_t plain_max = HEADER + buckets * LEB_MAX;
	uLongf deflated = compressBound((uLong)plain_max);
	uint8_t *plain = malloc(plain_max);
	uint8_t *packed = malloc(COMPRESSED_HEADER + deflated);
	int err = -ENOMEM;

	*text = NULL;
	if (plain && packed &&
	    compress(packed + COMPRESSED_HEADER, &deflated, plain,
		(uLong)put_plain(histogram, plain)) == Z_OK) {
		mdfh_store_be32(packed, COOKIE_COMPRESSED);
		mdfh_store_be32(packed + 4, (uint32_t)deflated);
		deflated += COMPRESSED_HEADER;
		*text = malloc((deflated + 2) / 3 * 4 + 1);
	}
	if (*text) {
		to_base64(packed, deflated, *text);
		err = 0;
	}
	free(packed);
	free(plain);
	return err ? mdfh_error(err, "histogram: no memory to encode %zu buckets", buckets) : 0;
}

/* Decoding ---------------------------------------------------------------------------------- */

static int take_plain(const uint8_t *plain, size_t length, struct mdfh_histogram **histogram)
{
	struct mdfh_histogram *h;
	uint32_t counts;
	uint64_t highest;
	int err;

	if (length < HEADER || mdfh_load_be32(plain) != COOKIE)
		return mdfh_error(
		    -EINVAL, "histogram: it is not one in HdrHistogram's V2 encoding");
	counts = mdfh_load_be32(plain + 4);
	highest = mdfh_load_be64(plain + 24);
	if (mdfh_load_be32(plain + 8) != 0 || mdfh_load_be32(plain + 12) != DIGITS ||
	    mdfh_load_be64(plain + 16) != 1)
		return mdfh_error(-EINVAL,
		    "histogram: %u significant digits from %" PRIu64
		    " on, offset %d; only 3 digits from 1 on without one can be read",
		    mdfh_load_be32(plain + 12), mdfh_load_be64(plain + 16),
		    (int)mdfh_load_be32(plain + 8));
	if (highest < 2 || highest > INT64_MAX)
		return mdfh_error(
		    -EINVAL, "histogram: its highest value is %" PRIu64 "; 2 or more", highest);
	if (counts > length - HEADER)
		return mdfh_error(-EINVAL, "histogram: %u bytes of counts are announced, %zu there",
		    counts, length - HEADER);
	err = mdfh_histogram_create(highest, &h);
	if (err)
		return err;
	err = take_counts(h, plain + HEADER, counts);
	if (err) {
		mdfh_histogram_destroy(h);
		return err;
	}
	*histogram = h;
	return 0;
}

int mdfh_histogram_decode(const char *text, size_t length, struct mdfh_histogram **histogram)
{
	uint8_t *packed = malloc(length / 4 * 3 + 1);
	uint8_t *plain = malloc(PLAIN_MAX);
	uLongf plain_length = PLAIN_MAX;
	ptrdiff_t got;
	int err;

	*histogram = NULL;
	if (!packed || !plain) {
		err = mdfh_error(-ENOMEM, "histogram: no memory to decode %zu bytes", length);
		goto out;
	}
	got = from_base64(text, length, packed);
	if (got < COMPRESSED_HEADER || mdfh_load_be32(packed) != COOKIE_COMPRESSED ||
	    mdfh_load_be32(packed + 4) > (size_t)got - COMPRESSED_HEADER) {
		err = mdfh_error(-EINVAL,
		    "histogram: it is not one in HdrHistogram's compressed V2 encoding, in base64");
		goto out;
	}
	if (uncompress(plain, &plain_length, packed + COMPRESSED_HEADER,
		mdfh_load_be32(packed + 4)) != Z_OK) {
		err = mdfh_error(-EINVAL, "histogram: its compressed bytes are damaged");
		goto out;
	}
	err = take_plain(plain, plain_length, histogram);
out:
	free(plain);
	free(packed);
	return err;
}

#else

static int no_zlib(void)
{
	return mdfh_error(-ENOTSUP, "histogram: this build has no zlib, which its encoding needs; "
				    "build with -Dzlib=enabled");
}

int mdfh_histogram_encode(const struct mdfh_histogram *histogram, char **text)
{
	(void)histogram;
	*text = NULL;
	return no_zlib();
}

int mdfh_histogram_decode(const char *text, size_t length, struct mdfh_histogram **histogram)
{
	(void)text;
	(void)length;
	*histogram = NULL;
	return no_zlib();
}

#endif

/* Log --------------------------------------------------------------------------------------- */

/* Whatever was written since the last flush. */
static int flush(struct mdfh_histogram_log *log)
{
	errno = 0;
	if (fflush(log->file) == 0 && !ferror(log->file))
		return 0;
	return mdfh_error_errno(errno ? -errno : -EIO, "histogram log %s", log->name);
}

int mdfh_histogram_log_open(const char *path, uint64_t start_ns, struct mdfh_histogram_log **log)
{
	struct mdfh_histogram_log *l;
	time_t start_s = (time_t)(start_ns / 1000000000);
	char date[64];
	struct tm utc;
	int err;

	*log = NULL;
#ifndef MDFH_HAVE_ZLIB
	return no_zlib();
#endif
	l = calloc(1, sizeof(*l));
	if (l)
		l->name = strdup(path);
	if (!l || !l->name) {
		err = mdfh_error(-ENOMEM, "histogram log %s: no memory", path);
		goto fail;
	}
	/* Lines count from the start as they say it: in whole milliseconds. */
	l->start_ns = start_ns - start_ns % 1000000;
	l->file = fopen(path, "we");
	if (!l->file) {
		err = mdfh_error_errno(-errno, "histogram log %s", path);
		goto fail;
	}
	if (!gmtime_r(&start_s, &utc) ||
	    !strftime(date, sizeof(date), "%a %b %d %H:%M:%S UTC %Y", &utc))
		date[0] = '\0';
	fprintf(l->file,
	    "#[Histogram log format version 1.3]\n"
	    "#[StartTime: %" PRIu64 ".%03u (seconds since epoch), %s]\n"
	    "#[BaseTime: %" PRIu64 ".%03u (seconds since epoch)]\n"
	    "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\","
	    "\"Interval_Compressed_Histogram\"\n",
	    start_ns / 1000000000, (unsigned)(start_ns / 1000000 % 1000), date,
	    start_ns / 1000000000, (unsigned)(start_ns / 1000000 % 1000));
	err = flush(l);
	if (err)
		goto fail;
	*log = l;
	return 0;

fail:
	if (l && l->file)
		fclose(l->file);
	if (l)
		free(l->name);
	free(l);
	return err;
}

int mdfh_histogram_log_write(struct mdfh_histogram_log *log, const char *tag, uint64_t from_ns,
    uint64_t to_ns, const struct mdfh_histogram *histogram)
{
	uint64_t from_ms = (from_ns > log->start_ns ? from_ns - log->start_ns : 0) / 1000000;
	uint64_t to_ms = (to_ns > log->start_ns ? to_ns - log->start_ns : 0) / 1000000;
	uint64_t length_ms = to_ms > from_ms ? to_ms - from_ms : 0;
	uint64_t max_us = mdfh_histogram_max(histogram) / 1000;
	char *text;
	int err;

	if (!tag[0])
		return mdfh_error(-EINVAL, "histogram log %s: the tag is empty", log->name);
	for (const char *c = tag; *c; c++)
		if (*c <= ' ' || *c > '~' || *c == ',')
			return mdfh_error(-EINVAL,
			    "histogram log %s: tag '%s' has a character that ends it; leave out "
			    "commas and spaces",
			    log->name, tag);
	err = mdfh_histogram_encode(histogram, &text);
	if (err)
		return err;
	fprintf(log->file, "Tag=%s,%" PRIu64 ".%03u,%" PRIu64 ".%03u,%" PRIu64 ".%03u,%s\n", tag,
	    from_ms / 1000, (unsigned)(from_ms % 1000), length_ms / 1000,
	    (unsigned)(length_ms % 1000), max_us / 1000, (unsigned)(max_us % 1000), text);
	free(text);
	return flush(log);
}

int mdfh_histogram_log_close(struct mdfh_histogram_log *log)
{
	int err;

	if (!log)
		return 0;
	err = flush(log);
	errno = 0;
	if (fclose(log->file) && !err)
		err = mdfh_error_errno(errno ? -errno : -EIO, "histogram log %s", log->name);
	free(log->name);
	free(log);
	return err;
}
