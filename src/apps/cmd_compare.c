/* cmd_compare.c - mdfh compare: two dumps of books, order by order.
 *
 * Both files are sorted the same way, so one pass over the two is enough, whatever their size:
 * symbol, B before S, best price first, place in the queue. */
#include <argp.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/commands.h"

enum { SYMBOL_SIZE = 24, SHOWN_MAX = 20 };

struct row {
	char symbol[SYMBOL_SIZE];
	char side;
	int64_t price;
	uint64_t position;
	uint64_t order_id;
	uint64_t shares;
};

struct dump {
	const char *path;
	FILE *stream;
	char *text; /* of getline */
	size_t text_size;
	uint64_t line;
	int has_row; /* row is the next one; 0 = the file has ended */
	struct row row;
};

struct options {
	const char *paths[2];
	const char *names[2];
};

/* Reading --------------------------------------------------------------------- */

/* Less than, equal to or greater than 0, as a dump is sorted. */
static int compare_places(const struct row *a, const struct row *b)
{
	int order = strcmp(a->symbol, b->symbol);

	if (order)
		return order;
	if (a->side != b->side)
		return a->side < b->side ? -1 : 1;
	if (a->price != b->price)
		return (a->price > b->price) == (a->side == 'B') ? -1 : 1;
	return (a->position > b->position) - (a->position < b->position);
}

static int parse_unsigned(const char *text, char **end, uint64_t *value)
{
	if (*text < '0' || *text > '9')
		return 0;
	errno = 0;
	*value = strtoull(text, end, 10);
	return errno == 0;
}

/* 1 if the line is a row and nothing else. */
static int parse_row(const char *text, struct row *row)
{
	const char *tab = strchr(text, '\t');
	size_t length = tab ? (size_t)(tab - text) : 0;
	char *end;

	if (!length || length >= SYMBOL_SIZE)
		return 0;
	memcpy(row->symbol, text, length);
	row->symbol[length] = 0;
	row->side = tab[1];
	if ((row->side != 'B' && row->side != 'S') || tab[2] != '\t')
		return 0;
	errno = 0;
	row->price = strtoll(tab + 3, &end, 10);
	if (errno || end == tab + 3 || *end != '\t')
		return 0;
	if (!parse_unsigned(end + 1, &end, &row->position) || *end != '\t')
		return 0;
	if (!parse_unsigned(end + 1, &end, &row->order_id) || *end != '\t')
		return 0;
	if (!parse_unsigned(end + 1, &end, &row->shares))
		return 0;
	return *end == '\n' && end[1] == 0;
}

/* Go to the next row. 0, or -1 when the file is no sound dump: said so. */
static int advance(struct dump *dump)
{
	struct row before = dump->row;
	int had_row = dump->has_row;

	dump->has_row = 0;
	if (getline(&dump->text, &dump->text_size, dump->stream) < 0) {
		if (!ferror(dump->stream))
			return 0;
		fprintf(stderr, "mdfh compare: %s: %s\n", dump->path, strerror(errno));
		return -1;
	}
	dump->line++;
	if (!parse_row(dump->text, &dump->row)) {
		fprintf(stderr,
		    "mdfh compare: %s:%llu: not a line of a book dump (symbol, B or S, price, "
		    "position, order id, shares, separated by tabs)\n",
		    dump->path, (unsigned long long)dump->line);
		return -1;
	}
	if (had_row && compare_places(&before, &dump->row) >= 0) {
		fprintf(stderr,
		    "mdfh compare: %s:%llu: out of order; a dump is sorted by symbol, side, best "
		    "price first, position\n",
		    dump->path, (unsigned long long)dump->line);
		return -1;
	}
	dump->has_row = 1;
	return 0;
}

static int dump_open(struct dump *dump, const char *path)
{
	*dump = (struct dump){.path = path, .stream = fopen(path, "re")};
	if (!dump->stream) {
		fprintf(stderr, "mdfh compare: %s: %s\n", path, strerror(errno));
		return -1;
	}
	return advance(dump);
}

static void dump_close(struct dump *dump)
{
	if (dump->stream)
		fclose(dump->stream);
	free(dump->text);
}

/* Comparing -------------------------------------------------------------------- */

static void show_place(const struct row *row)
{
	printf("%s %s price %lld position %llu: ", row->symbol, row->side == 'B' ? "buy" : "sell",
	    (long long)row->price, (unsigned long long)row->position);
}

static void show_one(const char *name, const struct row *row)
{
	show_place(row);
	printf("only %s has order %llu with %llu shares\n", name, (unsigned long long)row->order_id,
	    (unsigned long long)row->shares);
}

static void show_both(const struct options *options, const struct row *a, const struct row *b)
{
	show_place(a);
	printf("%s has order %llu with %llu shares, %s has order %llu with %llu shares\n",
	    options->names[0], (unsigned long long)a->order_id, (unsigned long long)a->shares,
	    options->names[1], (unsigned long long)b->order_id, (unsigned long long)b->shares);
}

/* The whole comparison; returns the exit status. */
static int compare(const struct options *options, struct dump *a, struct dump *b)
{
	char symbol[SYMBOL_SIZE] = "";
	uint64_t symbols = 0;
	uint64_t differences = 0;

	while (a->has_row || b->has_row) {
		int order = !a->has_row ? 1 : !b->has_row ? -1 : compare_places(&a->row, &b->row);
		const struct row *first = order <= 0 ? &a->row : &b->row;
		int is_same =
		    !order && a->row.order_id == b->row.order_id && a->row.shares == b->row.shares;

		if (strcmp(symbol, first->symbol) != 0) {
			symbols++;
			memcpy(symbol, first->symbol, sizeof(symbol));
		}
		if (!is_same && differences++ < SHOWN_MAX) {
			if (order)
				show_one(options->names[order > 0], first);
			else
				show_both(options, &a->row, &b->row);
		}
		if ((order <= 0 && advance(a)) || (order >= 0 && advance(b)))
			return 2;
	}
	if (differences > SHOWN_MAX)
		printf("... and %llu more\n", (unsigned long long)(differences - SHOWN_MAX));
	printf("%s and %s %s: %llu symbols, %llu differences\n", options->names[0],
	    options->names[1], differences ? "differ" : "agree", (unsigned long long)symbols,
	    (unsigned long long)differences);
	return differences != 0;
}

/* Options ---------------------------------------------------------------------- */

static const struct argp_option argp_options[] = {
    {"left", 'l', "NAME", 0, "What EXPECTED is called in the output (simulator)", 0},
    {"right", 'r', "NAME", 0, "What ACTUAL is called in the output (handler)", 0},
    {0},
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'l':
		options->names[0] = arg;
		return 0;
	case 'r':
		options->names[1] = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num >= 2)
			argp_error(state, "two dumps are compared, %s is one too many", arg);
		options->paths[state->arg_num] = arg;
		return 0;
	case ARGP_KEY_END:
		if (state->arg_num < 2)
			argp_error(state, "two dumps are needed: EXPECTED and ACTUAL");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int mdfh_command_compare(int argc, char **argv)
{
	static const struct argp argp = {
	    .options = argp_options,
	    .parser = parse_option,
	    .args_doc = "EXPECTED ACTUAL",
	    .doc = "Compare two book dumps, order by order, places in the queues included.\v"
		   "Dumps come from `mdfh sim --books-out` and `mdfh run --books-out`. Up to 20 "
		   "differences are printed; the last line says whether the dumps agree. Exit "
		   "status: 0 they agree, 1 they differ, 2 a dump cannot be read.",
	};
	struct options options = {.names = {"simulator", "handler"}};
	struct dump a = {0};
	struct dump b = {0};
	int status = 2;

	if (argp_parse(&argp, argc, argv, 0, NULL, &options))
		return 2;
	if (!dump_open(&a, options.paths[0]) && !dump_open(&b, options.paths[1]))
		status = compare(&options, &a, &b);
	dump_close(&a);
	dump_close(&b);
	return status;
}
