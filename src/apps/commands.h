/* commands.h - the subcommands of mdfh: one function and one file each.
 *
 * A command parses its own options with argp, prints data to standard output and everything else
 * to standard error, and returns the exit status: 0 = done, 1 = done and something is wrong
 * (loss, differences), 2 = could not be done. */
#ifndef MDFH_APPS_COMMANDS_H
#define MDFH_APPS_COMMANDS_H

int mdfh_command_backends(int argc, char **argv);
int mdfh_command_bench(int argc, char **argv);
int mdfh_command_book(int argc, char **argv);
int mdfh_command_compare(int argc, char **argv);
int mdfh_command_conformance(int argc, char **argv);
int mdfh_command_dump(int argc, char **argv);
int mdfh_command_replay(int argc, char **argv);
int mdfh_command_run(int argc, char **argv);
int mdfh_command_sim(int argc, char **argv);

#endif
