/* inflate.c - gzip and zstd streams read through a FILE.
 *
 * A stream that ends early or is damaged looks like an end of file to the reader above, after
 * every byte that could be recovered; mdfh_inflate_problem tells the difference. Several gzip
 * members or zstd frames in a row are one stream, as gzip(1) and zstd(1) have it. */
#include "wire/inflate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/bytes.h"
#include "mdfh/error.h"
#include "mdfh_build.h"

#ifdef MDFH_HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef MDFH_HAVE_ZSTD
#include <zstd.h>
#endif

enum { INPUT_BYTES = 256 * 1024, STREAM_BYTES = 256 * 1024, MAGIC_BYTES = 4 };

struct mdfh_inflate {
	FILE *file;
	int fd;
	const char *problem; /* static text, or reason[] */
	const uint8_t *next; /* bytes read and not yet used */
	size_t left;
	int ended;   /* no more bytes will be read */
	int between; /* at a border between members: an end here is a clean end */
	ssize_t (*fill)(struct mdfh_inflate *stream, char *out, size_t size);
#ifdef MDFH_HAVE_ZLIB
	z_stream zlib;
#endif
#ifdef MDFH_HAVE_ZSTD
	ZSTD_DStream *zstd;
	size_t wanted; /* bytes of input that it asks for next */
	int is_full;   /* it may still hold output */
#endif
	char reason[96];
	char *stream_buffer;
	size_t head_length; /* plain bytes looked at before the first read */
	size_t head_used;
	char head[MAGIC_BYTES];
	uint8_t *input; /* INPUT_BYTES; NULL when all bytes are in memory already */
};

/* Input ----------------------------------------------------------------- */

/* Append to the unread bytes, which stand at the start of input[] when there are any. */
static void read_more(struct mdfh_inflate *stream)
{
	ssize_t got;

	if (stream->ended)
		return;
	if (stream->fd < 0) {
		stream->ended = 1;
		return;
	}
	if (stream->left)
		memmove(stream->input, stream->next, stream->left);
	do {
		got = read(stream->fd, stream->input + stream->left, INPUT_BYTES - stream->left);
	} while (got < 0 && errno == EINTR);
	stream->next = stream->input;
	if (got > 0) {
		stream->left += (size_t)got;
		return;
	}
	stream->ended = 1;
	if (got < 0) /* GNU's, which need not use the buffer */
		stream->problem = strerror_r(errno, stream->reason, sizeof(stream->reason));
}

/* Formats --------------------------------------------------------------- */

static ssize_t fill_plain(struct mdfh_inflate *stream, char *out, size_t size)
{
	if (!stream->left)
		read_more(stream);
	if (size > stream->left)
		size = stream->left;
	if (size)
		memcpy(out, stream->next, size);
	stream->next += size;
	stream->left -= size;
	return (ssize_t)size;
}

#ifdef MDFH_HAVE_ZLIB
static ssize_t fill_gzip(struct mdfh_inflate *stream, char *out, size_t size)
{
	z_stream *zlib = &stream->zlib;

	zlib->next_out = (Bytef *)out;
	zlib->avail_out = (uInt)size;
	while (zlib->avail_out == size) {
		int status;

		if (!stream->left)
			read_more(stream);
		if (!stream->left && stream->between)
			break;
		if (stream->between) {
			/* gzip(1) ignores what follows the last member, often zero padding. */
			if (stream->next[0] != 0x1f)
				break;
			inflateReset(zlib);
			stream->between = 0;
		}
		zlib->next_in = (Bytef *)(uintptr_t)stream->next;
		zlib->avail_in = (uInt)(stream->left > INPUT_BYTES ? INPUT_BYTES : stream->left);
		status = inflate(zlib, Z_NO_FLUSH);
		stream->left -= (size_t)(zlib->next_in - stream->next);
		stream->next = zlib->next_in;
		/* With no input left zlib may still have held output. */
		if (!stream->left && stream->ended && zlib->avail_out == size &&
		    (status == Z_OK || status == Z_BUF_ERROR)) {
			if (!stream->problem)
				stream->problem = "the gzip stream ends too early";
			break;
		}
		if (status == Z_STREAM_END) {
			stream->between = 1;
		} else if (status != Z_OK && status != Z_BUF_ERROR) {
			stream->problem = "the gzip stream is damaged";
			stream->ended = 1;
			stream->left = 0;
			break;
		}
	}
	return (ssize_t)(size - zlib->avail_out);
}
#endif

#ifdef MDFH_HAVE_ZSTD
/* A call that meets damage gives nothing of what it had decoded before, so a call decodes one block:
 * it is given what the decoder asks for, without the header of the block behind, and only once all
 * of the block before has come out. */
static ssize_t fill_zstd(struct mdfh_inflate *stream, char *out, size_t size)
{
	enum { FRAME_START = 5, BLOCK_HEADER = 3 };
	ZSTD_outBuffer output = {.dst = out, .size = size, .pos = 0};

	while (output.pos == 0) {
		ZSTD_inBuffer input = {.src = stream->next, .size = 0, .pos = 0};
		size_t status;

		if (!stream->left && !stream->is_full)
			read_more(stream);
		if (!stream->left && stream->between)
			break;
		if (stream->between)
			stream->wanted = FRAME_START;
		if (!stream->is_full)
			input.size = stream->left < stream->wanted ? stream->left : stream->wanted;
		input.src = stream->next;
		status = ZSTD_decompressStream(stream->zstd, &output, &input);
		stream->next += input.pos;
		stream->left -= input.pos;
		if (ZSTD_isError(status)) {
			stream->problem = "the zstd stream is damaged";
			stream->ended = 1;
			stream->left = 0;
			stream->between = 1;
			break;
		}
		stream->between = status == 0;
		stream->wanted = status > BLOCK_HEADER ? status - BLOCK_HEADER : status;
		if (stream->is_full && output.pos == 0) {
			stream->is_full = 0;
			continue;
		}
		stream->is_full = output.pos == output.size;
		if (!stream->between && output.pos == 0 && !stream->left && stream->ended) {
			if (!stream->problem)
				stream->problem = "the zstd stream ends too early";
			break;
		}
	}
	return (ssize_t)output.pos;
}
#endif

/* Setup ----------------------------------------------------------------- */

static int is_gzip(const uint8_t *magic)
{
	return magic[0] == 0x1f && magic[1] == 0x8b;
}

/* A frame, or a skippable frame, with which parallel compressors start (RFC 8878 section 3.1). */
static int is_zstd(const uint8_t *magic)
{
	uint32_t number = mdfh_load_le32(magic);

	return number == 0xfd2fb528U || (number & 0xfffffff0U) == 0x184d2a50U;
}

static int choose(struct mdfh_inflate *stream, const char *name)
{
	while (stream->left < MAGIC_BYTES && !stream->ended)
		read_more(stream);
	stream->fill = fill_plain;
	if (stream->left < MAGIC_BYTES)
		return 0;
	if (is_gzip(stream->next)) {
#ifdef MDFH_HAVE_ZLIB
		/* 15 = the largest window, 16 = a gzip header and no other. */
		if (inflateInit2(&stream->zlib, 15 + 16) != Z_OK)
			return mdfh_error(-ENOMEM, "capture %s: no memory for zlib", name);
		stream->fill = fill_gzip;
#else
		return mdfh_error(
		    -EINVAL, "capture %s: is gzip, which this build cannot read (zlib)", name);
#endif
	}
	if (is_zstd(stream->next)) {
#ifdef MDFH_HAVE_ZSTD
		stream->zstd = ZSTD_createDStream();
		if (!stream->zstd)
			return mdfh_error(-ENOMEM, "capture %s: no memory for zstd", name);
		stream->fill = fill_zstd;
		stream->between = 1;
#else
		return mdfh_error(
		    -EINVAL, "capture %s: is zstd, which this build cannot read (libzstd)", name);
#endif
	}
	return 0;
}

static ssize_t cookie_read(void *cookie, char *out, size_t size)
{
	struct mdfh_inflate *stream = cookie;
	size_t left = stream->head_length - stream->head_used;

	if (left) {
		if (size > left)
			size = left;
		memcpy(out, stream->head + stream->head_used, size);
		stream->head_used += size;
		return (ssize_t)size;
	}
	return size ? stream->fill(stream, out, size) : 0;
}

static int cookie_close(void *cookie)
{
	struct mdfh_inflate *stream = cookie;

	stream->file = NULL;
	return 0;
}

int mdfh_inflate_open(
    int fd, const void *bytes, size_t length, const char *name, struct mdfh_inflate **inflate)
{
	struct mdfh_inflate *stream = calloc(1, sizeof(*stream));
	int error;

	*inflate = NULL;
	if (!stream) {
		if (fd >= 0)
			close(fd);
		return mdfh_error(-ENOMEM, "capture %s: %zu bytes", name, sizeof(*stream));
	}
	stream->fd = fd;
	if (fd < 0) {
		stream->next = bytes;
		stream->left = length;
	} else {
		stream->input = malloc(INPUT_BYTES);
		if (!stream->input) {
			error = mdfh_error(-ENOMEM, "capture %s: %d bytes", name, INPUT_BYTES);
			goto fail;
		}
	}
	error = choose(stream, name);
	if (error)
		goto fail;
	/* A stream of bytes in memory has no reads to save: its own small buffer will do. */
	if (fd >= 0)
		stream->stream_buffer = malloc(STREAM_BYTES);
	if (fd < 0 || stream->stream_buffer)
		stream->file = fopencookie(stream, "r",
		    (cookie_io_functions_t){.read = cookie_read, .close = cookie_close});
	if (!stream->file) {
		error = mdfh_error(-ENOMEM, "capture %s: no memory for a stream", name);
		goto fail;
	}
	if (stream->stream_buffer)
		setvbuf(stream->file, stream->stream_buffer, _IOFBF, STREAM_BYTES);
	*inflate = stream;
	return 0;

fail:
	mdfh_inflate_close(stream);
	return error;
}

int mdfh_inflate_open_path(const char *path, struct mdfh_inflate **inflate)
{
	int is_stdin = strcmp(path, "-") == 0;
	const char *name = is_stdin ? "standard input" : path;
	int fd =
	    is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(path, O_RDONLY | O_CLOEXEC);

	*inflate = NULL;
	if (fd < 0)
		return mdfh_error_errno(-errno, "capture %s", name);
	return mdfh_inflate_open(fd, NULL, 0, name, inflate);
}

/* Classic pcap in either byte order, micro- and nanoseconds and the old variants of Kuznetzov;
 * pcapng starts with a section header block. */
int mdfh_inflate_is_capture(struct mdfh_inflate *stream)
{
	static const uint32_t magics[] = {
	    0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1, 0xa1b2cd34, 0x34cdb2a1, 0x0a0d0d0a};
	uint32_t magic;

	while (stream->head_length < sizeof(stream->head)) {
		ssize_t got = stream->fill(stream, stream->head + stream->head_length,
		    sizeof(stream->head) - stream->head_length);

		if (got <= 0)
			return 0;
		stream->head_length += (size_t)got;
	}
	magic = mdfh_load_be32(stream->head);
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
		if (magic == magics[i])
			return 1;
	}
	return 0;
}

FILE *mdfh_inflate_file(struct mdfh_inflate *stream)
{
	return stream->file;
}

const char *mdfh_inflate_problem(const struct mdfh_inflate *stream)
{
	return stream->problem;
}

void mdfh_inflate_close(struct mdfh_inflate *stream)
{
	if (!stream)
		return;
	if (stream->file)
		fclose(stream->file);
	if (stream->fd >= 0)
		close(stream->fd);
#ifdef MDFH_HAVE_ZLIB
	if (stream->fill == fill_gzip)
		inflateEnd(&stream->zlib);
#endif
#ifdef MDFH_HAVE_ZSTD
	ZSTD_freeDStream(stream->zstd);
#endif
	free(stream->stream_buffer);
	free(stream->input);
	free(stream);
}
