/* cmd_book.c - mdfh book: read a file of ITCH 5.0 up to a point and print the books as they stand.
 *
 * The file is a BinaryFILE (plain, gzip or zstd) or a capture of MoldUDP64; which, its first bytes
 * say. In a capture all packets count as one line: what lines A and B both brought is taken once,
 * by its sequence number. */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apps/books_out.h"
#include "apps/commands.h"
#include "apps/option_values.h"
#include "mdfh/bypass.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "mdfh/session.h"
#include "proto/decoder.h"
#include "wire/inflate.h"

enum {
	BATCH = 256,
	EVENTS = BATCH * MDFH_BOOK_EVENTS_PER_OP,
	INSTRUMENTS = 65535,
	TRADES_KEPT = 1 << 20,
	CHUNK_BYTES = 4 << 20,
	SYMBOLS_MAX = 65535,
	PROGRESS_BYTES = 64 << 20, /* files smaller than this are read without a word */
	MIDNIGHT_NS = 1,           /* exchange times count from here: only times of day are used */
};

enum {
	OPTION_AT = 256,
	OPTION_SEQ,
	OPTION_DEPTH,
	OPTION_ORDERS,
	OPTION_ALL,
	OPTION_TSV,
	OPTION_CHECK,
	OPTION_JSON,
	OPTION_BOOKS_OUT,
};

struct options {
	const char *path;
	const char *books_out;
	const char **symbols;
	uint32_t symbol_count;
	int depth; /* 0 = not said */
	int orders, all, tsv, check, json;
	int64_t at_ns; /* -1 = to the end */
	uint64_t seq;  /* 0 = to the end */
};

/* What --check finds beside the books' own counters. */
struct rules {
	uint64_t crossed; /* events that left a trading book crossed in market hours */
	uint64_t gaps;
	uint64_t missing;
	int market_open;
	uint8_t halted[INSTRUMENTS + 1];
};

struct run {
	const struct options *options;
	struct mdfh_instruments *instruments;
	struct mdfh_decoder *decoder;
	struct mdfh_books *books;
	struct mdfh_event *events; /* --check */
	struct rules *rules;
	enum mdfh_framing framing;
	uint64_t messages;
	uint64_t last_sequence;
	int64_t last_ns;
	uint64_t bytes; /* read of total */
	uint64_t total; /* 0 = unknown */
	uint64_t progress_ns;
	int show_progress;
	int stopped; /* at the point that was asked for */
	int cut;     /* the file ends too early */
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
	(void)signal;
	interrupted = 1;
}

/* Rules of the day ---------------------------------------------------------------------------- */

static void check_event(struct rules *rules, const struct mdfh_event *event)
{
	switch (event->kind) {
	case MDFH_EVENT_STATUS:
		switch (event->code) {
		case MDFH_STATUS_START_OF_MARKET:
			rules->market_open = 1;
			break;
		case MDFH_STATUS_END_OF_MARKET:
			rules->market_open = 0;
			break;
		case MDFH_STATUS_HALTED:
		case MDFH_STATUS_PAUSED:
		case MDFH_STATUS_QUOTATION:
			rules->halted[event->instrument] = 1;
			break;
		case MDFH_STATUS_TRADING:
			rules->halted[event->instrument] = 0;
			break;
		default:
			break;
		}
		break;
	case MDFH_EVENT_GAP:
		rules->gaps++;
		rules->missing += event->gap.count;
		break;
	default:
		if (event->flags & MDFH_EVENT_CROSSED && rules->market_open &&
		    !rules->halted[event->instrument])
			rules->crossed++;
		break;
	}
}

/* Reading ------------------------------------------------------------------------------------- */

static void apply(struct run *run, const struct mdfh_op *ops, int n)
{
	while (n > 0) {
		int done;
		int made = mdfh_book_apply(
		    run->books, ops, n, run->events, run->events ? EVENTS : 0, &done);

		for (int i = 0; i < made; i++)
			check_event(run->rules, &run->events[i]);
		ops += done;
		n -= done;
	}
}

/* How many ops belong before the point where to stop. */
static int before_stop(struct run *run, const struct mdfh_op *ops, int n)
{
	const struct options *options = run->options;

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

static void take_span(struct run *run, const struct mdfh_span *span)
{
	static struct mdfh_op ops[BATCH];
	struct mdfh_origin origin = {
	    .receive_ns = span->receive_ns, .epoch = span->epoch, .line = span->line};
	int n;

	mdfh_books_origins(run->books, &origin);
	mdfh_decoder_begin(run->decoder, span, run->framing, 0);
	while (!run->stopped && (n = mdfh_decoder_next(run->decoder, ops, BATCH)) > 0) {
		n = before_stop(run, ops, n);
		apply(run, ops, n);
		if (n) {
			run->last_sequence = ops[n - 1].sequence;
			if (ops[n - 1].exchange_ns)
				run->last_ns = ops[n - 1].exchange_ns;
		}
	}
	mdfh_books_origins(run->books, NULL);
}

static void progress(struct run *run, int last)
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

static int read_binaryfile(struct run *run, FILE *stream, const struct mdfh_inflate *inflate)
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
	while (!run->stopped && !interrupted) {
		got = fread(chunk + held, 1, CHUNK_BYTES - held, stream);
		if (!got)
			break;
		held += got;
		run->bytes += got;
		mdfh_binaryfile_feed(&file, chunk, held);
		while (!run->stopped && !interrupted && mdfh_binaryfile_rest(&file, &span)) {
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
	} else if (!run->stopped && !interrupted) {
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

static int read_capture(struct run *run)
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
	while (!run->stopped && !interrupted) {
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
static int check_itch(const struct run *run)
{
	const struct mdfh_decoder_stats *stats = mdfh_decoder_stats(run->decoder);
	uint64_t strange = 0;

	for (unsigned i = MDFH_DECODE_OK + 1; i < MDFH_DECODE_ERRORS; i++)
		strange += stats->errors[i];
	if (run->stopped || interrupted || stats->messages > strange)
		return 0;
	return mdfh_error(-EBADMSG, "%s: no message of ITCH 5.0 in it", run->options->path);
}

static int read_file(struct run *run)
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

/* Printing ------------------------------------------------------------------------------------ */

static const char *price_text(int64_t price, char *buffer, size_t size)
{
	uint64_t value = price < 0 ? 0 - (uint64_t)price : (uint64_t)price;
	int length = snprintf(buffer, size, "%s%" PRIu64 ".%09" PRIu64, price < 0 ? "-" : "",
	    value / 1000000000, value % 1000000000);

	/* Two decimals at least. */
	for (int keep = length - 7; length > keep && buffer[length - 1] == '0'; length--)
		buffer[length - 1] = '\0';
	return buffer;
}

static void print_symbol_json(const char *symbol)
{
	putchar('"');
	for (; *symbol; symbol++) {
		unsigned char c = (unsigned char)*symbol;

		if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

/* Levels of one side, best first; to be freed. */
static struct mdfh_level *levels_of(
    const struct run *run, uint32_t row, unsigned side, int max, int *count)
{
	int n = mdfh_book_level_count(run->books, row, side);
	struct mdfh_level *levels;

	if (n > max)
		n = max;
	levels = malloc(((size_t)n + 1) * sizeof(*levels));
	*count = levels ? mdfh_book_levels(run->books, row, side, levels, n) : 0;
	return levels;
}

static void print_tsv(const struct run *run, uint32_t row)
{
	const struct mdfh_instrument *i = mdfh_instruments_get(run->instruments, row);
	uint64_t total[2] = {0}, live = 0;
	int counts[2] = {0};

	printf("%" PRIu64 "\t%-8s", i->venue_id & 0xffff, i->symbol);
	for (unsigned side = 1; side <= 2; side++) {
		struct mdfh_level *levels = levels_of(run, row, side, INT32_MAX, &counts[side - 1]);
		struct mdfh_level none = {0};
		const struct mdfh_level *best = counts[side - 1] ? levels : &none;

		for (int k = 0; k < counts[side - 1]; k++) {
			total[side - 1] += levels[k].quantity;
			live += levels[k].orders;
		}
		printf("\t%" PRId64 "\t%" PRIu64 "\t%" PRIu32, best->venue_price, best->quantity,
		    best->orders);
		free(levels);
	}
	printf("\t%d\t%d\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n", counts[0], counts[1], total[0],
	    total[1], live);
}

static void print_queue(
    const struct run *run, uint32_t row, unsigned side, const struct mdfh_level *level)
{
	struct mdfh_order *orders = malloc(((size_t)level->orders + 1) * sizeof(*orders));
	int n = orders ? mdfh_book_orders(
			     run->books, row, side, level->venue_price, orders, (int)level->orders)
		       : 0;

	for (int i = 0; i < n; i++) {
		if (run->options->json)
			printf("%s[%" PRIu64 ",%" PRIu32 "]", i ? "," : "", orders[i].order_id,
			    orders[i].quantity);
		else
			printf("      %4d  order %-14" PRIu64 " %10" PRIu32 "\n", i,
			    orders[i].order_id, orders[i].quantity);
	}
	free(orders);
}

static void print_side_json(const struct run *run, uint32_t row, unsigned side, int depth)
{
	int count;
	struct mdfh_level *levels = levels_of(run, row, side, depth, &count);

	for (int k = 0; k < count; k++) {
		char price[32];

		printf("%s{\"price\":%s,\"quantity\":%" PRIu64 ",\"orders\":%" PRIu32, k ? "," : "",
		    price_text(levels[k].price, price, sizeof(price)), levels[k].quantity,
		    levels[k].orders);
		if (run->options->orders) {
			printf(",\"queue\":[");
			print_queue(run, row, side, &levels[k]);
			putchar(']');
		}
		putchar('}');
	}
	free(levels);
}

static void print_json(const struct run *run, uint32_t row, int depth)
{
	const struct mdfh_instrument *i = mdfh_instruments_get(run->instruments, row);
	struct mdfh_totals totals = {0};
	char symbol[32], price[32];

	mdfh_book_totals(run->books, row, &totals);
	printf("{\"symbol\":");
	print_symbol_json(books_out_symbol(run->instruments, row, symbol, sizeof(symbol)));
	printf(",\"locate\":%" PRIu64 ",\"sound\":%s,\"volume\":%" PRIu64 ",\"trades\":%" PRIu64
	       ",\"broken\":%" PRIu64 ",\"last\":%s,\"bid_levels\":%d,\"ask_levels\":%d,\"bids\":[",
	    i->venue_id & 0xffff, mdfh_book_is_sound(run->books, row) ? "true" : "false",
	    totals.volume, totals.trades, totals.broken,
	    price_text(totals.last_price, price, sizeof(price)),
	    mdfh_book_level_count(run->books, row, MDFH_SIDE_BUY),
	    mdfh_book_level_count(run->books, row, MDFH_SIDE_SELL));
	print_side_json(run, row, MDFH_SIDE_BUY, depth);
	printf("],\"asks\":[");
	print_side_json(run, row, MDFH_SIDE_SELL, depth);
	printf("]}\n");
}

static void print_text(const struct run *run, uint32_t row, int depth)
{
	struct mdfh_totals totals = {0};
	char symbol[32], price[32];

	mdfh_book_totals(run->books, row, &totals);
	printf("%s  volume %" PRIu64 "  trades %" PRIu64 "  last %s%s\n",
	    books_out_symbol(run->instruments, row, symbol, sizeof(symbol)), totals.volume,
	    totals.trades, price_text(totals.last_price, price, sizeof(price)),
	    mdfh_book_is_sound(run->books, row) ? "" : "  UNSOUND");
	for (unsigned side = 2; side >= 1; side--) {
		int count;
		struct mdfh_level *levels = levels_of(run, row, side, depth, &count);

		/* As on a ladder: the best ask stands just above the best bid. */
		for (int k = 0; k < count; k++) {
			const struct mdfh_level *l =
			    &levels[side == MDFH_SIDE_SELL ? count - 1 - k : k];

			printf("  %-4s %16s %10" PRIu64 "  %" PRIu32 " order%s\n",
			    side == MDFH_SIDE_BUY ? "bid" : "ask",
			    price_text(l->price, price, sizeof(price)), l->quantity, l->orders,
			    l->orders == 1 ? "" : "s");
			if (run->options->orders)
				print_queue(run, row, side, l);
		}
		free(levels);
	}
}

static int compare_venue_ids(const void *a, const void *b, void *instruments)
{
	uint64_t x = mdfh_instruments_get(instruments, *(const uint32_t *)a)->venue_id;
	uint64_t y = mdfh_instruments_get(instruments, *(const uint32_t *)b)->venue_id;

	return (x > y) - (x < y);
}

static int print_books(const struct run *run)
{
	const struct options *options = run->options;
	uint32_t count, *rows = books_out_rows(run->instruments, &count);
	int depth = options->depth ? options->depth : options->symbol_count ? 5 : 1;

	if (!rows)
		return mdfh_error(-ENOMEM, "book: no memory for %u instruments", count);
	if (options->tsv) {
		qsort_r(rows, count, sizeof(*rows), compare_venue_ids, run->instruments);
		puts("locate\tsymbol\tbid_px\tbid_qty\tbid_n\task_px\task_qty\task_n\tbid_levels\t"
		     "ask_levels\tbid_total\task_total\tlive");
	}
	for (uint32_t i = 0; i < count; i++) {
		int empty = !mdfh_book_level_count(run->books, rows[i], MDFH_SIDE_BUY) &&
			    !mdfh_book_level_count(run->books, rows[i], MDFH_SIDE_SELL);

		if (options->tsv)
			print_tsv(run, rows[i]);
		else if (empty && !options->all && !options->symbol_count)
			continue;
		else if (options->json)
			print_json(run, rows[i], depth);
		else
			print_text(run, rows[i], depth);
	}
	free(rows);
	return 0;
}

/* How many of the symbols asked for were not met. */
static unsigned print_unknown_symbols(const struct run *run)
{
	unsigned unknown = 0;

	for (uint32_t i = 0; i < run->options->symbol_count; i++) {
		if (mdfh_instruments_find_symbol(run->instruments, run->options->symbols[i]))
			continue;
		fprintf(stderr, "mdfh book: %s: no instrument '%s' up to there\n",
		    run->options->path, run->options->symbols[i]);
		unknown++;
	}
	return unknown;
}

/* Counts by kind, then the verdict. 0, or 1 when a rule was broken. */
static int print_check(const struct run *run)
{
	const struct mdfh_books_stats *stats = mdfh_books_stats(run->books);
	const struct mdfh_decoder_stats *decoded = mdfh_decoder_stats(run->decoder);
	uint64_t broken = run->rules->crossed + run->rules->missing;
	uint64_t not_at_head = stats->errors[MDFH_BOOK_NOT_AT_HEAD];
	const char *separator = run->options->json ? "," : "\n";

	if (run->options->json)
		printf("{\"messages\":%" PRIu64 ",\"executions\":%" PRIu64
		       ",\"crossed-in-market-hours\":%" PRIu64 ",\"missing-messages\":%" PRIu64,
		    decoded->messages, stats->executions, run->rules->crossed, run->rules->missing);
	else
		printf("messages %" PRIu64 "\ncrossed-in-market-hours %" PRIu64
		       "\nmissing-messages %" PRIu64,
		    decoded->messages, run->rules->crossed, run->rules->missing);
	for (unsigned i = 0; i < MDFH_BOOK_ERRORS; i++) {
		printf(run->options->json ? "%s\"%s\":%" PRIu64 : "%s%s %" PRIu64, separator,
		    mdfh_book_error_name(i), stats->errors[i]);
		/* A book may be crossed before the open and in a halt. */
		if (i != MDFH_BOOK_CROSSED)
			broken += stats->errors[i];
	}
	for (unsigned i = MDFH_DECODE_OK + 1; i < MDFH_DECODE_ERRORS; i++) {
		printf(run->options->json ? "%s\"decode-%s\":%" PRIu64 : "%sdecode-%s %" PRIu64,
		    separator, mdfh_decode_error_name(i), decoded->errors[i]);
		if (i != MDFH_DECODE_UNKNOWN)
			broken += decoded->errors[i];
	}
	puts(run->options->json ? "}" : "");
	printf("%" PRIu64 " executions, %" PRIu64 " not at the head of the queue\n",
	    stats->executions, not_at_head);
	return broken != 0;
}

/* Command ------------------------------------------------------------------------------------- */

static const struct argp_option argp_options[] = {
    {"at", OPTION_AT, "TIME", 0, "Stop after the last message of TIME (HH:MM:SS[.ns], venue time)",
	0},
    {"seq", OPTION_SEQ, "N", 0, "Stop after sequence number N", 0},
    {"symbol", 's', "SYMBOL", 0, "Only this symbol; may be repeated", 0},
    {"depth", OPTION_DEPTH, "N", 0, "Print N levels a side (default 1; 5 with --symbol)", 0},
    {"orders", OPTION_ORDERS, 0, 0, "Print the queue of each level", 0},
    {"all", OPTION_ALL, 0, 0, "Print empty books too", 0},
    {"tsv", OPTION_TSV, 0, 0, "One line a symbol, by stock locate, prices as the venue's integers",
	0},
    {"check", OPTION_CHECK, 0, 0,
	"Check the rules of the day while reading, and print what was found instead of the books",
	0},
    {"json", OPTION_JSON, 0, 0, "One JSON object a symbol", 0},
    {"books-out", OPTION_BOOKS_OUT, "FILE", 0, "Write every live order to FILE (mdfh compare)", 0},
    {0},
};

/* HH:MM:SS with up to nine decimals. */
static int parse_time(const char *text, int64_t *ns)
{
	unsigned h, m, s;
	int used = 0;
	int64_t fraction = 0, unit = 100000000;

	if (sscanf(text, "%2u:%2u:%2u%n", &h, &m, &s, &used) != 3 || h > 23 || m > 59 || s > 59)
		return 0;
	if (text[used] == '.')
		for (used++; text[used] >= '0' && text[used] <= '9' && unit; used++, unit /= 10)
			fraction += (text[used] - '0') * unit;
	*ns = (int64_t)(h * 3600 + m * 60 + s) * 1000000000 + fraction;
	return !text[used];
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *o = state->input;
	const char **symbols;

	switch (key) {
	case OPTION_AT:
		if (!parse_time(argument, &o->at_ns))
			argp_error(
			    state, "--at is '%s'; it must be HH:MM:SS[.nnnnnnnnn]", argument);
		return 0;
	case OPTION_SEQ:
		o->seq = option_whole(state, "seq", argument, 1, UINT64_MAX);
		return 0;
	case 's':
		if (o->symbol_count == SYMBOLS_MAX)
			argp_error(state, "more than %d symbols", SYMBOLS_MAX);
		symbols = realloc(o->symbols, (o->symbol_count + 1) * sizeof(*symbols));
		if (!symbols)
			return ENOMEM;
		o->symbols = symbols;
		o->symbols[o->symbol_count++] = argument;
		return 0;
	case OPTION_DEPTH:
		o->depth = (int)option_whole(state, "depth", argument, 1, 1000000);
		return 0;
	case OPTION_ORDERS:
		o->orders = 1;
		return 0;
	case OPTION_ALL:
		o->all = 1;
		return 0;
	case OPTION_TSV:
		o->tsv = 1;
		return 0;
	case OPTION_CHECK:
		o->check = 1;
		return 0;
	case OPTION_JSON:
		o->json = 1;
		return 0;
	case OPTION_BOOKS_OUT:
		o->books_out = argument;
		return 0;
	case ARGP_KEY_ARG:
		if (o->path)
			argp_usage(state);
		o->path = argument;
		return 0;
	case ARGP_KEY_END:
		if (!o->path)
			argp_usage(state);
		if (o->tsv && o->json)
			argp_error(state, "--tsv and --json exclude each other");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int set_up(struct run *run)
{
	struct mdfh_decoder_config decoder = {.size = sizeof(decoder),
	    .midnight_ns = MIDNIGHT_NS,
	    .symbols = run->options->symbols,
	    .symbol_count = run->options->symbol_count};
	struct mdfh_books_config books = {
	    .size = sizeof(books), .trades_max = TRADES_KEPT, .sound_at_start = MDFH_ON};
	int err;

	err = mdfh_clock_start();
	if (!err)
		err = mdfh_instruments_create(INSTRUMENTS, &run->instruments);
	if (err)
		return err;
	decoder.instruments = run->instruments;
	books.instruments = run->instruments;
	err = mdfh_decoder_create("itch50", &decoder, &run->decoder);
	if (!err)
		err = mdfh_books_create(&books, &run->books);
	if (err || !run->options->check)
		return err;
	run->events = malloc(EVENTS * sizeof(*run->events));
	run->rules = calloc(1, sizeof(*run->rules));
	return run->events && run->rules ? 0 : mdfh_error(-ENOMEM, "book: no memory for the rules");
}

static void print_errors(const struct run *run)
{
	const struct mdfh_books_stats *stats = mdfh_books_stats(run->books);

	for (unsigned i = 0; i < MDFH_BOOK_ERRORS; i++)
		if (stats->errors[i])
			fprintf(stderr, "mdfh book: %s: %" PRIu64 "\n", mdfh_book_error_name(i),
			    stats->errors[i]);
}

int mdfh_command_book(int argc, char **argv)
{
	static const struct argp argp = {
	    .options = argp_options,
	    .parser = parse,
	    .args_doc = "FILE",
	    .doc = "Read FILE (ITCH 5.0: a BinaryFILE or a MoldUDP64 capture, plain, gzip or "
		   "zstd) and print the order books at its end, or at a point before.\v"
		   "Exit status: 0; 1 if the file is cut, a symbol is not in it or --check found "
		   "something; 2 if it could not be read.",
	};
	struct options options = {.at_ns = -1};
	struct run run = {.options = &options};
	struct sigaction action = {.sa_handler = on_interrupt};
	struct books_out_part part;
	int err, status = 0;

	if (argp_parse(&argp, argc, argv, 0, NULL, &options))
		return 2;
	sigaction(SIGINT, &action, NULL);
	err = set_up(&run);
	if (!err)
		err = read_file(&run);
	if (err) {
		fprintf(stderr, "mdfh book: %s\n", mdfh_error_text());
		status = 2;
		if (!run.last_sequence)
			goto out;
	}
	if (interrupted) {
		fprintf(stderr, "mdfh book: interrupted after message %" PRIu64 "\n",
		    run.last_sequence);
		status = 1;
	}
	if (run.cut && !status)
		status = 1;
	if (print_unknown_symbols(&run) && !status)
		status = 1;
	part = (struct books_out_part){.books = run.books, .instruments = run.instruments};
	if (options.books_out && books_out_write(&part, 1, options.books_out)) {
		fprintf(stderr, "mdfh book: %s\n", mdfh_error_text());
		status = 2;
	}
	if (options.check) {
		if (print_check(&run) && !status)
			status = 1;
	} else {
		print_errors(&run);
		if (!options.books_out && print_books(&run)) {
			fprintf(stderr, "mdfh book: %s\n", mdfh_error_text());
			status = 2;
		}
	}
out:
	free(run.rules);
	free(run.events);
	mdfh_books_destroy(run.books);
	mdfh_decoder_destroy(run.decoder);
	mdfh_instruments_destroy(run.instruments);
	free(options.symbols);
	return status;
}
