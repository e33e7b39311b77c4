/* book_read.c - what `mdfh book` reads: a BinaryFILE or a capture, up to a point, into books. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apps/book_run.h"
#include "mdfh/bypass.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "mdfh/session.h"
#include "wire/inflate.h"

enum {
	CHUNK_BYTES = 4 << 20,
	PROGRESS_BYTES = 64 << 20, /* files smaller than this are read without a word */
};

static void apply(struct book_run *run, const struct mdfh_op *ops, int n)
{
	while (n > 0) {
		int done;
		int made = mdfh_book_apply(
		    run->books, ops, n, run->events, run->events ? EVENTS : 0, &done);

		for (int i = 0; i < made; i++)
			book_check_event(run->rules, &run->events[i]);
		ops += done;
		n -= done;
	}
}

/* How many ops belong before the point where to stop. */
static int before_stop(struct book_run *run, const struct mdfh_op *ops, int n)
{
	const struct book_options *options = run->options;

	if (options->at_ns < 0 && !options->seq)
		return n;
	for (int i = 0; i < n; i++) {
		if ((options->seq && ops[i].sequence > options->seq) ||
		    (options->at_ns >= 0 &&
			ops[i].exchange_ns > options->at_ns + (int64_t)MIDNIGHT_NS)) {
			run->stopped = 1;
			return i;
		}
	}
	return n;
}

static void take_span(struct book_run *run, const struct mdfh_span *span)
{
	static struct mdfh_op ops[BATCH];
	struct mdfh_origin origin = {
	    .receive_ns = span->receive_ns, .epoch = span->epoch, .line = span->line};
	int n;

	if (run->stopped)
		return;
	mdfh_books_origins(run->books, &origin);
	mdfh_decoder_begin(run->decoder, span, run->framing, 0);
	while (!run->stopped && (n = mdfh_decoder_next(run->decoder, ops, BATCH)) > 0) {
		n = before_stop(run, ops, n);
		apply(run, ops, n);
		/* A capture that begins in the middle of a session lacks nothing of what came. */
		if (n && span->kind == MDFH_SPAN_GAP && span->cause != MDFH_CAUSE_LATE_JOIN)
			run->missing += span->messages;
		if (n) {
			run->last_sequence = ops[n - 1].sequence;
			if (ops[n - 1].exchange_ns)
				run->last_ns = ops[n - 1].exchange_ns;
		}
	}
	mdfh_books_origins(run->books, NULL);
}

static void progress(struct book_run *run, int last)
{
	uint64_t now;

	if (!run->show_progress)
		return;
	now = mdfh_clock_now_ns();
	if (!last && now - run->progress_ns < 200000000)
		return;
	run->progress_ns = now;
	if (last)
		fprintf(stderr, "\r\033[K");
	else
		fprintf(stderr, "\r%3.0f%%  %" PRIu64 " messages",
		    run->total ? 100.0 * (double)run->bytes / (double)run->total : 0.0,
		    run->last_sequence);
}

static int read_binaryfile(struct book_run *run, FILE *stream, const struct mdfh_inflate *inflate)
{
	struct mdfh_binaryfile file;
	struct mdfh_span span;
	uint8_t *chunk = malloc(CHUNK_BYTES);
	uint64_t messages, bytes;
	size_t held = 0, got;
	enum mdfh_binaryfile_end end;
	int err = 0;

	if (!chunk)
		return mdfh_error(-ENOMEM, "book: %d bytes", CHUNK_BYTES);
	run->framing = MDFH_FRAMING_LENGTH_BE16;
	mdfh_binaryfile_open(&file, 0);
	while (!run->stopped && !*run->interrupted) {
		got = fread(chunk + held, 1, CHUNK_BYTES - held, stream);
		if (!got)
			break;
		held += got;
		run->bytes += got;
		mdfh_binaryfile_feed(&file, chunk, held);
		while (!run->stopped && !*run->interrupted && mdfh_binaryfile_rest(&file, &span)) {
			take_span(run, &span);
			messages = mdfh_decoder_took(run->decoder, &bytes);
			mdfh_binaryfile_took(&file, messages, bytes);
			progress(run, 0);
		}
		held = mdfh_binaryfile_left(&file);
		memmove(chunk, chunk + file.at, held);
	}
	if (mdfh_inflate_problem(inflate)) {
		err = mdfh_error(-EIO, "%s: %s after record %" PRIu64, run->options->path,
		    mdfh_inflate_problem(inflate), file.sequence - 1);
	} else if (!run->stopped && !*run->interrupted) {
		end = mdfh_binaryfile_end(&file);
		if (end == MDFH_BINARYFILE_CUT || end == MDFH_BINARYFILE_TRAILING) {
			fprintf(stderr, "mdfh book: %s: %s\n", run->options->path,
			    mdfh_binaryfile_end_text(end));
			run->cut = 1;
		}
	}
	free(chunk);
	return err;
}

static int read_capture(struct book_run *run)
{
	struct mdfh_bypass_config config = {
	    .size = sizeof(config), .backend = "pcap", .file = run->options->path};
	struct mdfh_channel_config channel_config = {.size = sizeof(channel_config)};
	struct mdfh_packet packets[64];
	struct mdfh_span spans[MDFH_SPANS_MAX];
	struct mdfh_channel *channel = NULL;
	struct mdfh_bypass *port = NULL;
	int64_t now_ns = 0;
	int err, n;

	channel_config.session = mdfh_session_find("moldudp64");
	run->framing = channel_config.session->framing;
	err = mdfh_channel_create(&channel_config, &channel);
	if (err)
		return err;
	err = mdfh_bypass_open(&config, &port);
	if (err)
		goto out;
	while (!run->stopped && !*run->interrupted) {
		int got = mdfh_bypass_recv(port, packets, 64);

		if (got < 0) {
			err = got == -ENODATA ? 0 : got;
			break;
		}
		for (int i = 0; i < got && !run->stopped; i++) {
			now_ns = (int64_t)packets[i].receive_ns;
			run->bytes += packets[i].length;
			n = mdfh_channel_push(
			    channel, &packets[i], 0, now_ns, spans, MDFH_SPANS_MAX);
			do {
				for (int k = 0; k < n; k++)
					take_span(run, &spans[k]);
				n = mdfh_channel_poll(channel, now_ns, spans, MDFH_SPANS_MAX);
			} while (n > 0);
		}
		mdfh_bypass_release(port, packets, got);
		progress(run, 0);
	}
	while (
	    !run->stopped && (n = mdfh_channel_flush(channel, now_ns, spans, MDFH_SPANS_MAX)) > 0)
		for (int k = 0; k < n; k++)
			take_span(run, &spans[k]);
	if (mdfh_bypass_capabilities(port)->warning[0]) {
		fprintf(stderr, "mdfh book: %s\n", mdfh_bypass_capabilities(port)->warning);
		run->cut = 1;
	}
out:
	mdfh_bypass_close(port);
	mdfh_channel_destroy(channel);
	return err;
}

static int is_capture(const uint8_t *head, size_t length)
{
	static const uint8_t magics[][4] = {{0xa1, 0xb2, 0xc3, 0xd4}, {0xd4, 0xc3, 0xb2, 0xa1},
	    {0xa1, 0xb2, 0x3c, 0x4d}, {0x4d, 0x3c, 0xb2, 0xa1}, {0x0a, 0x0d, 0x0d, 0x0a}};

	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
		if (length >= 4 && !memcmp(head, magics[i], 4))
			return 1;
	return 0;
}

static int open_stream(const char *path, struct mdfh_inflate **inflate, struct stat *info)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err;

	if (fd < 0)
		return mdfh_error_errno(-errno, "%s", path);
	if (fstat(fd, info)) {
		err = mdfh_error_errno(-errno, "%s", path);
		close(fd);
		return err;
	}
	return mdfh_inflate_open(fd, NULL, 0, path, inflate);
}

/* Other protocols come in MoldUDP64 and in files of records too. */
static int check_itch(const struct book_run *run)
{
	const struct mdfh_decoder_stats *stats = mdfh_decoder_stats(run->decoder);
	uint64_t strange = 0;

	for (unsigned i = MDFH_DECODE_OK + 1; i < MDFH_DECODE_ERRORS; i++)
		strange += stats->errors[i];
	if (run->stopped || *run->interrupted || stats->messages > strange)
		return 0;
	return mdfh_error(-EBADMSG, "%s: no message of ITCH 5.0 in it", run->options->path);
}

int book_read_file(struct book_run *run)
{
	const char *path = run->options->path;
	struct mdfh_inflate *inflate;
	struct stat info;
	uint8_t head[4];
	size_t length;
	FILE *stream;
	int err;

	err = open_stream(path, &inflate, &info);
	if (err)
		return err;
	length = fread(head, 1, sizeof(head), mdfh_inflate_file(inflate));
	mdfh_inflate_close(inflate);
	run->total = (uint64_t)info.st_size;
	run->show_progress = isatty(STDERR_FILENO) && info.st_size >= PROGRESS_BYTES;
	if (is_capture(head, length)) {
		err = read_capture(run);
	} else {
		err = open_stream(path, &inflate, &info);
		if (err)
			return err;
		stream = mdfh_inflate_file(inflate);
		err = read_binaryfile(run, stream, inflate);
		mdfh_inflate_close(inflate);
	}
	progress(run, 1);
	return err ? err : check_itch(run);
}
