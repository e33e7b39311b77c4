/* std_streams.c - one check for all commands: was everything printed?
 *
 * A FILE remembers that a write failed, not why. So standard output is put on top of a function
 * that does. */
#include "apps/std_streams.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mdfh/error.h"

static char program[64];
static int failed; /* errno of the first write that failed */

static ssize_t write_out(void *cookie, const char *bytes, size_t size)
{
	size_t done = 0;

	(void)cookie;
	while (done < size && !failed) {
		ssize_t n = write(STDOUT_FILENO, bytes + done, size - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			failed = n == 0 ? EIO : errno;
	}
	return (ssize_t)done;
}

int std_streams_closed(void)
{
	return failed != 0;
}

static void at_end(void)
{
	fflush(stdout);
	if (!failed || failed == EPIPE)
		return;
	mdfh_error_errno(-failed, "standard output is not complete");
	fprintf(stderr, "%s: %s\n", program, mdfh_error_text());
	_exit(2);
}

void std_streams_guard(const char *name)
{
	static FILE *out;

	snprintf(program, sizeof(program), "%s", name);
	if (out)
		return;
	/* Of a stream that is closed the next file opened would take the place, and be written to.
	 * Open for reading, so that writing is still an error. */
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0)
			_exit(2);
	signal(SIGPIPE, SIG_IGN);
	out = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_out});
	if (!out)
		return; /* no memory for a buffer: then there will be none for the work either */
	setvbuf(out, NULL, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF, 1 << 16);
	stdout = out;
	atexit(at_end);
}
