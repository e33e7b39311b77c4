/* cmd_book.c - mdfh book: read a file of ITCH 5.0 up to a point and print the books as they stand.
 *
 * The file is a BinaryFILE (plain, gzip or zstd) or a capture of MoldUDP64; which, its first bytes
 * say. In a capture all packets count as one line: what lines A and B both brought is taken once,
 * by its sequence number. */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "apps/book_run.h"
#include "apps/books_out.h"
#include "apps/commands.h"
#include "apps/option_values.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"

enum {
	TRADES_KEPT = 1 << 20,
	SYMBOLS_MAX = 65535,
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

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
	(void)signal;
	interrupted = 1;
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
	struct book_options *o = state->input;
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

static int set_up(struct book_run *run)
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

int mdfh_command_book(int argc, char **argv)
{
	static const struct argp argp = {
	    .options = argp_options,
	    .parser = parse,
	    .args_doc = "FILE",
	    .doc = "Read FILE (ITCH 5.0: a BinaryFILE or a MoldUDP64 capture, plain, gzip or "
		   "zstd) and print the order books at its end, or at a point before.\v"
		   "Exit status: 0; 1 if the file is cut, messages are missing, a symbol is not in "
		   "it or --check found something; 2 if it could not be read.",
	};
	struct book_options options = {.at_ns = -1};
	struct book_run run = {.options = &options, .interrupted = &interrupted};
	struct sigaction action = {.sa_handler = on_interrupt};
	struct books_out_part part;
	int err, status = 0;

	if (argp_parse(&argp, argc, argv, 0, NULL, &options))
		return 2;
	sigaction(SIGINT, &action, NULL);
	err = set_up(&run);
	if (!err)
		err = book_read_file(&run);
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
	if (run.missing)
		fprintf(stderr,
		    "mdfh book: %s: %" PRIu64
		    " messages are missing; books may be wrong from there "
		    "on\n",
		    options.path, run.missing);
	if ((run.cut || run.missing) && !status)
		status = 1;
	if (book_print_unknown_symbols(&run) && !status)
		status = 1;
	part = (struct books_out_part){.books = run.books, .instruments = run.instruments};
	if (options.books_out && books_out_write(&part, 1, options.books_out)) {
		fprintf(stderr, "mdfh book: %s\n", mdfh_error_text());
		status = 2;
	}
	if (options.check) {
		if (book_check_print(&run) && !status)
			status = 1;
	} else {
		book_print_errors(&run);
		if (!options.books_out && book_print(&run)) {
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
