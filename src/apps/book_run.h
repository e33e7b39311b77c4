/* book_run.h - what `mdfh book` consists of: shared by the files that implement it. */
#ifndef MDFH_APPS_BOOK_RUN_H
#define MDFH_APPS_BOOK_RUN_H

#include <signal.h>

#include "mdfh/book.h"
#include "mdfh/event.h"
#include "proto/decoder.h"

enum {
	BATCH = 256,
	EVENTS = BATCH * MDFH_BOOK_EVENTS_PER_OP,
	INSTRUMENTS = 65535,
	MIDNIGHT_NS = 1, /* exchange times count from here: only times of day are used */
};

struct book_options {
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
struct book_rules {
	uint64_t crossed; /* events that left a trading book crossed in market hours */
	uint64_t gaps;
	uint64_t missing;
	int market_open;
	uint8_t halted[INSTRUMENTS + 1];
};

struct book_run {
	const struct book_options *options;
	struct mdfh_instruments *instruments;
	struct mdfh_decoder *decoder;
	struct mdfh_books *books;
	struct mdfh_event *events; /* --check */
	struct book_rules *rules;
	enum mdfh_framing framing;
	uint64_t messages;
	uint64_t missing; /* messages that the capture lacks, up to there */
	uint64_t last_sequence;
	int64_t last_ns;
	uint64_t bytes; /* read of total */
	uint64_t total; /* 0 = unknown */
	uint64_t progress_ns;
	int show_progress;
	int stopped; /* at the point that was asked for */
	int cut;     /* the file ends too early */
	const volatile sig_atomic_t *interrupted;
};

/* Read the file up to the point where to stop. 0, or a negative error. */
int book_read_file(struct book_run *run);

void book_check_event(struct book_rules *rules, const struct mdfh_event *event);
/* Counts by kind, then the verdict. 0, or 1 when a rule was broken. */
int book_check_print(const struct book_run *run);

int book_print(const struct book_run *run);
void book_print_errors(const struct book_run *run);
/* How many of the symbols asked for were not met. */
unsigned book_print_unknown_symbols(const struct book_run *run);

#endif
