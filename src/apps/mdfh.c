/* mdfh.c - the mdfh command: finds the subcommand and hands over. */
#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/commands.h"
#include "apps/std_streams.h"
#include "mdfh/bypass.h"
#include "mdfh/error.h"
#include "mdfh/version.h"
#include "mdfh_build.h"

struct command {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
    {"backends", "list the ways to get packets", mdfh_command_backends},
    {"bench", "measure what a message costs", mdfh_command_bench},
    {"book", "print the order books of a file at any point", mdfh_command_book},
    {"compare", "compare two book dumps, order by order", mdfh_command_compare},
    {"conformance", "hold a backend against the suite of all backends", mdfh_command_conformance},
    {"dump", "show the messages of a capture or a day file", mdfh_command_dump},
    {"replay", "send the packets of a capture again", mdfh_command_replay},
    {"run", "receive a feed, keep its books, feed a consumer", mdfh_command_run},
    {"sim", "be an exchange: ITCH 5.0 over MoldUDP64 on lines A and B, or over SoupBinTCP",
	mdfh_command_sim},
    {NULL, NULL, NULL},
};

static void usage(FILE *stream)
{
	fprintf(stream, "Usage: mdfh [--modules FOLDER] COMMAND [OPTION...] [ARGUMENT...]\n\n"
			"A market data feed handler: packets to order books and events.\n\n");
	for (const struct command *c = commands; c->name; c++)
		fprintf(stream, "  %-12s %s\n", c->name, c->summary);
	fprintf(stream, "\n  --modules FOLDER  look for backend modules there instead of in\n"
			"                    " MDFH_MODULES_DIR "\n"
			"\n`mdfh COMMAND --help` explains a command; `mdfh --version` prints the "
			"version.\n");
}

/* Take --modules FOLDER or --modules=FOLDER from the front. 0, or the exit status. */
static int take_modules(int *argc, char ***argv)
{
	static const char option[] = "--modules";
	const size_t length = sizeof(option) - 1;
	char real[PATH_MAX];
	const char *folder;
	int taken = 1;

	if (*argc < 2 || strncmp((*argv)[1], option, length) != 0)
		return 0;
	if ((*argv)[1][length] == '=') {
		folder = (*argv)[1] + length + 1;
	} else if ((*argv)[1][length]) {
		return 0;
	} else if (*argc < 3) {
		fprintf(stderr, "mdfh: --modules needs a folder\n");
		return 2;
	} else {
		folder = (*argv)[2];
		taken = 2;
	}
	/* The user's own folder may be relative to where they are. */
	if (!realpath(folder, real)) {
		fprintf(stderr, "mdfh: --modules %s: %s\n", folder, strerror(errno));
		return 2;
	}
	if (mdfh_bypass_set_modules_folder(real)) {
		fprintf(stderr, "mdfh: --modules %s: %s\n", folder, mdfh_error_text());
		return 2;
	}
	(*argv)[taken] = (*argv)[0];
	*argv += taken;
	*argc -= taken;
	return 0;
}

int main(int argc, char **argv)
{
	int status;

	std_streams_guard("mdfh");
	status = take_modules(&argc, &argv);
	if (status)
		return status;
	if (argc < 2) {
		usage(stderr);
		return 2;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-?") || !strcmp(argv[1], "help")) {
		usage(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("mdfh %s\n", mdfh_version());
		return 0;
	}
	argp_err_exit_status = 2; /* as all else that keeps a command from running */
	for (const struct command *c = commands; c->name; c++) {
		char name[64];

		if (strcmp(argv[1], c->name) != 0)
			continue;
		snprintf(name, sizeof(name), "mdfh %s", c->name);
		argv[1] = name;
		std_streams_guard(name);
		return c->run(argc - 1, argv + 1);
	}
	fprintf(stderr, "mdfh: there is no command '%s'; `mdfh --help` lists them\n", argv[1]);
	return 2;
}
