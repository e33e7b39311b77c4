/* test_capture.c - captures written out byte by byte, and what reads of them give. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

#include "capture_files.h"
#include "mdfh/capture.h"
#include "mdfh/error.h"
#include "mdfh_build.h"
#include "wire/inflate.h"

#ifdef MDFH_HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef MDFH_HAVE_ZSTD
#include <zstd.h>
#endif

static uint8_t frame[9100];

/* Classic pcap ---------------------------------------------------------- */

static void reads(struct bytes *file, const uint64_t *times, int count)
{
	struct mdfh_capture *capture;
	struct mdfh_capture_frame got;

	assert_int_equal(mdfh_capture_open_memory(file->at, file->length, &capture), 0);
	for (int i = 0; i < count; i++) {
		assert_int_equal(mdfh_capture_next(capture, &got), 1);
		assert_int_equal(got.number, i + 1);
		if (got.time_ns != times[i])
			fail_msg("frame %d: %" PRIu64 ", expected %" PRIu64, i + 1, got.time_ns,
			    times[i]);
		assert_int_equal(got.link_type, MDFH_LINK_ETHERNET);
	}
	assert_int_equal(mdfh_capture_next(capture, &got), 0);
	assert_int_equal(mdfh_capture_next(capture, &got), 0);
	mdfh_capture_close(capture);
}

static void test_times_of_classic_files(void **state)
{
	static const uint64_t ns[] = {1700000000123456789U, UINT64_C(4000000000) * 1000000000 + 1};
	static const uint64_t us[] = {
	    1700000000123456000U, UINT64_C(4000000000) * 1000000000 + 1000};
	uint32_t length = test_frame(1, 5000, 0, 'a', 20, frame, sizeof(frame));
	struct bytes file = {.length = 0};

	(void)state;
	classic_header(&file, 0xa1b23c4dU, 1);
	classic_record(&file, 1700000000, 123456789, frame, length, length);
	classic_record(&file, 4000000000U, 1, frame, length, length);
	reads(&file, ns, 2);

	file.length = 0;
	classic_header(&file, 0xa1b2c3d4U, 1);
	classic_record(&file, 1700000000, 123456, frame, length, length);
	classic_record(&file, 4000000000U, 1, frame, length, length);
	reads(&file, us, 2);

	/* Written on a machine of the other byte order. */
	for (size_t at = 0; at < file.length;) {
		uint32_t word;

		memcpy(&word, file.at + at, 4);
		word = __builtin_bswap32(word);
		if (at == 4)
			word = word >> 16 | word << 16; /* two fields of 16 bits */
		memcpy(file.at + at, &word, 4);
		at += at == 24 + 12 || at == 24 + 16 + length + 12 ? 4 + length : 4;
	}
	reads(&file, us, 2);
}

static void test_lengths(void **state)
{
	uint32_t length = test_frame(1, 5000, 0, 'a', 20, frame, sizeof(frame));
	struct mdfh_capture_frame got;
	struct mdfh_capture *capture;
	struct bytes file = {.length = 0};

	(void)state;
	classic_header(&file, 0xa1b2c3d4U, 1);
	classic_record(&file, 1, 0, frame, length - 5, length);
	classic_record(
	    &file, 1, 0, frame, length, 1); /* shorter on the wire than captured: a lie */
	assert_int_equal(mdfh_capture_open_memory(file.at, file.length, &capture), 0);
	assert_int_equal(mdfh_capture_next(capture, &got), 1);
	assert_int_equal(got.captured, length - 5);
	assert_int_equal(got.wire_length, length);
	assert_memory_equal(got.data, frame, length - 5);
	assert_int_equal(mdfh_capture_next(capture, &got), 1);
	assert_int_equal(got.captured, length);
	assert_int_equal(got.wire_length, length);
	mdfh_capture_close(capture);
}

/* pcapng ---------------------------------------------------------------- */

static void section(struct bytes *file)
{
	add32(file, 0x0a0d0d0aU);
	add32(file, 28);
	add32(file, 0x1a2b3c4dU);
	add16(file, 1);
	add16(file, 0);
	add32(file, UINT32_MAX);
	add32(file, UINT32_MAX);
	add32(file, 28);
}

static void interface(struct bytes *file, uint8_t resolution)
{
	uint8_t value[4] = {resolution, 0, 0, 0};

	add32(file, 1);
	add32(file, 32);
	add16(file, 1);
	add16(file, 0);
	add32(file, 65535);
	add16(file, 9);
	add16(file, 1);
	add(file, value, 4);
	add32(file, 0);
	add32(file, 32);
}

static void packet(struct bytes *file, uint32_t interface_number, uint64_t time,
    const uint8_t *bytes, uint32_t length)
{
	uint32_t padded = (length + 3) & ~3U;
	uint8_t zeros[4] = {0};

	add32(file, 6);
	add32(file, 32 + padded);
	add32(file, interface_number);
	add32(file, (uint32_t)(time >> 32));
	add32(file, (uint32_t)time);
	add32(file, length);
	add32(file, length);
	add(file, bytes, length);
	add(file, zeros, padded - length);
	add32(file, 32 + padded);
}

static void test_pcapng_interfaces_and_resolutions(void **state)
{
	static const uint64_t times[] = {1700000000123456789U, 1700000000123456000U,
	    1700000000123000000U, 1700000000500000000U, 1700000000123456789U};
	uint32_t length = test_frame(1, 5000, 0, 'a', 21, frame, sizeof(frame));
	struct bytes file = {.length = 0};

	(void)state;
	section(&file);
	interface(&file, 9);
	interface(&file, 6);
	interface(&file, 3);
	interface(&file, 0x80 | 1); /* halves of a second */
	packet(&file, 0, 1700000000123456789U, frame, length);
	packet(&file, 1, 1700000000123456U, frame, length);
	packet(&file, 2, 1700000000123U, frame, length);
	packet(&file, 3, UINT64_C(1700000000) * 2 + 1, frame, length);
	section(&file); /* a second section starts over with its interfaces */
	interface(&file, 9);
	packet(&file, 0, 1700000000123456789U, frame, length);
	reads(&file, times, 5);
}

/* Cut and damaged files ------------------------------------------------- */

/* Every frame that is whole comes out; the end is clean at borders only. */
static void cut_everywhere(const struct bytes *file, const size_t *ends, int count)
{
	for (size_t cut = ends[0]; cut <= file->length; cut++) {
		uint8_t *copy = malloc(cut);
		struct mdfh_capture *capture;
		struct mdfh_capture_frame got;
		int whole = 0, read = 0, status, at_border = 0;

		memcpy(copy, file->at, cut);
		for (int i = 1; i <= count; i++)
			whole += ends[i] <= cut;
		for (int i = 0; i <= count; i++)
			at_border |= ends[i] == cut;
		assert_int_equal(mdfh_capture_open_memory(copy, cut, &capture), 0);
		while ((status = mdfh_capture_next(capture, &got)) == 1)
			read++;
		assert_int_equal(read, whole);
		assert_int_equal(status, at_border ? 0 : -EBADMSG);
		if (!at_border)
			assert_non_null(strstr(mdfh_error_text(), "cut or damaged"));
		assert_int_equal(mdfh_capture_next(capture, &got), status);
		mdfh_capture_close(capture);
		free(copy);
	}
	for (size_t cut = 0; cut < ends[0]; cut++) {
		struct mdfh_capture *capture;

		assert_int_equal(mdfh_capture_open_memory(file->at, cut, &capture), -EINVAL);
		assert_null(capture);
		assert_non_null(strstr(mdfh_error_text(), "no pcap or pcapng file"));
	}
}

static void test_cut_classic(void **state)
{
	uint32_t length = test_frame(1, 5000, 0, 'a', 3, frame, sizeof(frame));
	struct bytes file = {.length = 0};
	size_t ends[4];

	(void)state;
	classic_header(&file, 0xa1b23c4dU, 1);
	ends[0] = file.length;
	for (int i = 1; i <= 3; i++) {
		classic_record(&file, 1, 2, frame, length, length);
		ends[i] = file.length;
	}
	cut_everywhere(&file, ends, 3);
}

static void test_cut_pcapng(void **state)
{
	uint32_t length = test_frame(1, 5000, 0, 'a', 3, frame, sizeof(frame));
	struct bytes file = {.length = 0};
	size_t ends[4];

	(void)state;
	section(&file);
	interface(&file, 9);
	ends[0] = file.length;
	for (int i = 1; i <= 3; i++) {
		packet(&file, 0, 1, frame, length);
		ends[i] = file.length;
	}
	cut_everywhere(&file, ends, 3);
}

static void test_no_capture(void **state)
{
	struct mdfh_capture *capture;

	(void)state;
	assert_int_equal(
	    mdfh_capture_open_memory("GIF89a and so on, 24 bytes", 26, &capture), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "no pcap or pcapng file"));
	assert_int_equal(mdfh_capture_open("/nonexistent/file", &capture), -ENOENT);
	assert_non_null(strstr(mdfh_error_text(), "/nonexistent/file"));
	mdfh_capture_close(NULL);
}

/* Compression ----------------------------------------------------------- */

#if defined(MDFH_HAVE_ZLIB) || defined(MDFH_HAVE_ZSTD)
static void make_plain(struct bytes *file)
{
	uint32_t length = test_frame(1, 5000, 0, 'a', 1000, frame, sizeof(frame));

	file->length = 0;
	classic_header(file, 0xa1b23c4dU, 1);
	for (uint32_t i = 0; i < 50; i++) {
		frame[length - 1] = (uint8_t)i;
		classic_record(file, 1, i, frame, length, length);
	}
}

/* Frames that come out, and the status at the end. */
static int count_frames(const void *bytes, size_t length, int *status)
{
	struct mdfh_capture *capture;
	struct mdfh_capture_frame got;
	int count = 0;

	*status = mdfh_capture_open_memory(bytes, length, &capture);
	if (*status)
		return 0;
	while ((*status = mdfh_capture_next(capture, &got)) == 1) {
		assert_int_equal(got.time_ns, 1000000000U + (unsigned)count);
		assert_int_equal(got.data[got.captured - 1], count);
		count++;
	}
	mdfh_capture_close(capture);
	return count;
}

/* Cut anywhere, a compressed file is never taken for a whole one; and it never yields frames
 * that are not there. */
static void cut_compressed(const uint8_t *packed, size_t length)
{
	int status;
	int before = 0;

	assert_int_equal(count_frames(packed, length, &status), 50);
	assert_int_equal(status, 0);
	for (size_t cut = 0; cut < length; cut++) {
		int count = count_frames(packed, cut, &status);

		assert_true(status == -EBADMSG || status == -EINVAL);
		assert_true(count >= before && count <= 50);
		before = count;
	}
	for (size_t at = 8; at < length; at += 7) {
		uint8_t *copy = malloc(length);
		struct mdfh_capture *capture;
		struct mdfh_capture_frame got;
		int limit = 0;

		memcpy(copy, packed, length);
		copy[at] ^= 0x55;
		if (mdfh_capture_open_memory(copy, length, &capture) == 0)
			while (mdfh_capture_next(capture, &got) == 1)
				assert_true(limit++ < 100000);
		mdfh_capture_close(capture);
		free(copy);
	}
}
#endif

#ifdef MDFH_HAVE_ZLIB
static size_t gzip(const void *bytes, size_t length, uint8_t *out, size_t size)
{
	z_stream zlib = {.next_in = (Bytef *)(uintptr_t)bytes,
	    .avail_in = (uInt)length,
	    .next_out = out,
	    .avail_out = (uInt)size};

	assert_int_equal(deflateInit2(&zlib, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&zlib, Z_FINISH), Z_STREAM_END);
	deflateEnd(&zlib);
	return size - zlib.avail_out;
}

static void test_gzip(void **state)
{
	static struct bytes plain;
	static uint8_t packed[1 << 16];
	size_t length, half;
	int status;

	(void)state;
	make_plain(&plain);
	length = gzip(plain.at, plain.length, packed, sizeof(packed));
	cut_compressed(packed, length);

	/* Two members in a row, and padding after the last, as tapes have it. */
	half = gzip(plain.at, 10000, packed, sizeof(packed));
	length = half +
		 gzip(plain.at + 10000, plain.length - 10000, packed + half, sizeof(packed) - half);
	memset(packed + length, 0, 100);
	assert_int_equal(count_frames(packed, length + 100, &status), 50);
	assert_int_equal(status, 0);
}

/* zlib takes input in before its output is out: what it holds at a cut is had, too. */
static void test_gzip_cut_in_a_run(void **state)
{
	static uint8_t plain[100000], packed[1 << 12], got[sizeof(plain) + 1];
	struct mdfh_inflate *inflated;
	size_t length;

	(void)state;
	memset(plain, 'x', sizeof(plain));
	length = gzip(plain, sizeof(plain), packed, sizeof(packed));
	for (size_t cut = length - 1; cut > length - 60; cut--) {
		z_stream zlib = {.next_in = packed,
		    .avail_in = (uInt)cut,
		    .next_out = got,
		    .avail_out = sizeof(got)};

		assert_int_equal(inflateInit2(&zlib, 15 + 16), Z_OK);
		inflate(&zlib, Z_NO_FLUSH);
		assert_int_equal(inflateEnd(&zlib), Z_OK);
		assert_int_equal(mdfh_inflate_open(-1, packed, cut, "cut", &inflated), 0);
		assert_int_equal(fread(got, 1, sizeof(got), mdfh_inflate_file(inflated)),
		    sizeof(got) - zlib.avail_out);
		assert_non_null(mdfh_inflate_problem(inflated));
		mdfh_inflate_close(inflated);
	}
}
#endif

#ifdef MDFH_HAVE_ZSTD
static void test_zstd(void **state)
{
	static struct bytes plain;
	static uint8_t packed[1 << 16];
	static const uint8_t skippable[12] = {0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4};
	ZSTD_CCtx *cctx;
	size_t length, half;
	int status;

	(void)state;
	make_plain(&plain);
	length = ZSTD_compress(packed, sizeof(packed), plain.at, plain.length, 3);
	assert_false(ZSTD_isError(length));
	cut_compressed(packed, length);

	/* All that stands before the damage is had: here it is the checksum, at the very end. */
	cctx = ZSTD_createCCtx();
	assert_non_null(cctx);
	ZSTD_CCtx_setParameter(cctx, ZSTD_c_checksumFlag, 1);
	length = ZSTD_compress2(cctx, packed, sizeof(packed), plain.at, plain.length);
	assert_false(ZSTD_isError(length));
	ZSTD_freeCCtx(cctx);
	packed[length - 1] ^= 1;
	assert_int_equal(count_frames(packed, length, &status), 50);
	assert_int_equal(status, -EBADMSG);

	memcpy(packed, skippable, sizeof(skippable));
	half = sizeof(skippable);
	half += ZSTD_compress(packed + half, sizeof(packed) - half, plain.at, 10000, 3);
	length = half + ZSTD_compress(packed + half, sizeof(packed) - half, plain.at + 10000,
			    plain.length - 10000, 3);
	assert_int_equal(count_frames(packed, length, &status), 50);
	assert_int_equal(status, 0);
}
#endif

/* Files and standard input ---------------------------------------------- */

static void test_standard_input(void **state)
{
	uint32_t length = test_frame(1, 5000, 0, 'a', 20, frame, sizeof(frame));
	int saved = dup(STDIN_FILENO);
	struct mdfh_capture_frame got;
	struct mdfh_capture *capture;
	struct bytes file = {.length = 0};
	int ends[2];

	(void)state;
	classic_header(&file, 0xa1b23c4dU, 1);
	classic_record(&file, 1, 2, frame, length, length);
	assert_int_equal(pipe(ends), 0);
	/* In pieces, as a pipe delivers them: the first is shorter than any magic number. */
	assert_int_equal(write(ends[1], file.at, 3), 3);
	dup2(ends[0], STDIN_FILENO);
	close(ends[0]);
	if (fork() == 0) {
		_exit(write(ends[1], file.at + 3, file.length - 3) < 0);
	}
	close(ends[1]);
	assert_int_equal(mdfh_capture_open("-", &capture), 0);
	assert_int_equal(mdfh_capture_next(capture, &got), 1);
	assert_int_equal(got.time_ns, 1000000002);
	assert_int_equal(got.captured, length);
	assert_int_equal(mdfh_capture_next(capture, &got), 0);
	mdfh_capture_close(capture);
	dup2(saved, STDIN_FILENO);
	close(saved);
}

static void write_and_read(const char *name, uint32_t magic)
{
	static const uint64_t times[] = {0, 1, 1700000000123456789U, UINT64_C(4294967295999999999)};
	struct mdfh_capture_writer *writer;
	struct mdfh_capture_frame got;
	struct mdfh_capture *capture;
	char path[128];
	uint32_t first;
	FILE *file;

	test_path(name, path);
	assert_int_equal(mdfh_capture_writer_open(path, MDFH_LINK_ETHERNET, &writer), 0);
	for (uint32_t i = 0; i < 4; i++) {
		uint32_t length = test_frame(1, 5000, 0, 'a', i, frame, sizeof(frame));

		assert_int_equal(
		    mdfh_capture_write(writer, times[i], frame, length - (i == 2), length), 0);
	}
	assert_int_equal(mdfh_capture_write(writer, 0, frame, 5, 4), -EINVAL);
	assert_int_equal(mdfh_capture_writer_close(writer), 0);

	file = fopen(path, "rb");
	assert_non_null(file);
	assert_int_equal(fread(&first, 4, 1, file), 1);
	assert_int_equal(first, magic);
	fclose(file);

	assert_int_equal(mdfh_capture_open(path, &capture), 0);
	for (uint32_t i = 0; i < 4; i++) {
		uint32_t length = test_frame(1, 5000, 0, 'a', i, frame, sizeof(frame));

		assert_int_equal(mdfh_capture_next(capture, &got), 1);
		assert_true(got.time_ns == times[i]);
		assert_int_equal(got.captured, length - (i == 2));
		assert_int_equal(got.wire_length, length);
		assert_int_equal(got.link_type, MDFH_LINK_ETHERNET);
		assert_memory_equal(got.data, frame, got.captured);
	}
	assert_int_equal(mdfh_capture_next(capture, &got), 0);
	mdfh_capture_close(capture);
	unlink(path);
}

static void test_writer(void **state)
{
	struct mdfh_capture_writer *writer;
	char path[128];

	(void)state;
	write_and_read("a.pcap", 0xa1b23c4dU);
	write_and_read("a.pcapng", 0x0a0d0d0aU);
	assert_int_equal(mdfh_capture_writer_open("/nonexistent/a.pcap", 1, &writer), -ENOENT);
	assert_null(writer);
	assert_int_equal(mdfh_capture_writer_open(test_path("b.pcap", path), 1, &writer), 0);
	assert_int_equal(mdfh_capture_write(writer, UINT64_MAX, "x", 1, 1), -EINVAL);
	assert_int_equal(mdfh_capture_writer_close(writer), 0);
	unlink(path);
	/* A full disk is reported at the latest by close. */
	assert_int_equal(mdfh_capture_writer_open("/dev/full", 1, &writer), 0);
	assert_int_equal(mdfh_capture_writer_close(writer), -ENOSPC);
	assert_int_equal(mdfh_capture_writer_close(NULL), 0);
}

static int remove_folder(void **state)
{
	(void)state;
	return test_folder[0] ? rmdir(test_folder) : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_times_of_classic_files),
	    cmocka_unit_test(test_lengths),
	    cmocka_unit_test(test_pcapng_interfaces_and_resolutions),
	    cmocka_unit_test(test_cut_classic),
	    cmocka_unit_test(test_cut_pcapng),
	    cmocka_unit_test(test_no_capture),
#ifdef MDFH_HAVE_ZLIB
	    cmocka_unit_test(test_gzip),
	    cmocka_unit_test(test_gzip_cut_in_a_run),
#endif
#ifdef MDFH_HAVE_ZSTD
	    cmocka_unit_test(test_zstd),
#endif
	    cmocka_unit_test(test_standard_input),
	    cmocka_unit_test(test_writer),
	};

	return cmocka_run_group_tests(tests, NULL, remove_folder);
}
