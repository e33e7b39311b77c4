/* cmd_bench.c - mdfh bench: what decoding, keeping books and the whole pipeline cost a message.
 *
 * A measurement reads a BinaryFILE of ITCH 5.0 that was mapped beforehand, once, and prints one
 * line of JSON. Nothing looks at the file's contents before the timed part. */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apps/bench.h"
#include "apps/commands.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "mdfh/session.h"
#include "proto/decoder.h"

static const struct {
	const char *name;
	const char *summary;
	int (*run)(const char *path);
} benches[] = {
    {"decode", "messages to ops, no book", bench_decode},
    {"book", "messages to every symbol's book with its queues, no events", bench_book},
    {"pipeline", "packets to events in another thread", bench_pipeline},
    {"cores", "one thread, workers, two queues: a line for each", bench_cores},
};

/* Shared by the measurements ------------------------------------------------ */

int bench_file_open(struct bench_file *file, const char *path)
{
	struct stat info;
	uint8_t head[3] = {0};
	void *data;
	int fd, err = 0;

	*file = (struct bench_file){0};
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return mdfh_error_errno(-errno, "%s", path);
	if (fstat(fd, &info) < 0) {
		err = mdfh_error_errno(-errno, "%s", path);
		goto out;
	}
	if (!S_ISREG(info.st_mode) || info.st_size == 0) {
		err = mdfh_error(-EINVAL, "%s is empty or no regular file", path);
		goto out;
	}
	/* No record of ITCH 5.0 is longer than 50 bytes: what begins otherwise is no BinaryFILE. */
	if (pread(fd, head, sizeof(head), 0) < 3 || head[0] || head[1] < 12 || head[1] > 50) {
		err = mdfh_error(-EINVAL,
		    "%s is no BinaryFILE of ITCH 5.0; `mdfh sim --out FILE.itch` writes one", path);
		goto out;
	}
	data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (data == MAP_FAILED) {
		err = mdfh_error_errno(-errno, "mapping %s", path);
		goto out;
	}
	file->data = data;
	file->size = (size_t)info.st_size;
out:
	close(fd);
	return err;
}

void bench_file_close(struct bench_file *file)
{
	if (file->data)
		munmap((void *)(uintptr_t)file->data, file->size);
	*file = (struct bench_file){0};
}

static uint64_t page_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
}

void bench_start(struct bench_timer *timer)
{
	timer->start_faults = page_faults();
	timer->start_ns = mdfh_clock_now_ns();
}

void bench_stop(struct bench_timer *timer)
{
	timer->ns = mdfh_clock_now_ns() - timer->start_ns;
	timer->faults = page_faults() - timer->start_faults;
}

/* RssAnon + RssShmem + HugetlbPages: what the process holds besides the mapped input. */
static uint64_t memory_bytes(void)
{
	static const char *const names[] = {"RssAnon:", "RssShmem:", "HugetlbPages:"};
	uint64_t total = 0;
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			size_t length = strlen(names[i]);

			if (!strncmp(line, names[i], length))
				total += strtoull(line + length, NULL, 10) * 1024;
		}
	}
	fclose(f);
	return total;
}

void bench_print(
    const char *name, const struct bench_timer *timer, uint64_t messages, const char *extra)
{
	printf("{\"bench\":\"%s\",\"messages\":%" PRIu64 ",\"ns_per_message\":%.3f,"
	       "\"memory_bytes\":%" PRIu64 ",\"page_faults\":%" PRIu64 "%s}\n",
	    name, messages, messages ? (double)timer->ns / (double)messages : 0.0, memory_bytes(),
	    timer->faults, extra);
}

/* Decode ------------------------------------------------------------------- */

int bench_decode(const char *path)
{
	enum { BATCH = 256 };
	static struct mdfh_op ops[BATCH];
	struct mdfh_decoder_config config = {.size = sizeof(config), .midnight_ns = 1};
	struct mdfh_instruments *instruments = NULL;
	struct mdfh_decoder *decoder = NULL;
	struct mdfh_binaryfile reader;
	struct bench_timer timer;
	struct bench_file file;
	struct mdfh_span span;
	uint64_t total = 0;
	char extra[64];
	int status = 2;

	if (mdfh_clock_start() || bench_file_open(&file, path))
		return 2;
	if (mdfh_instruments_create(65535, &instruments))
		goto out;
	config.instruments = instruments;
	if (mdfh_decoder_create("itch50", &config, &decoder))
		goto out;
	/* The batch array is static: touch it, as a handler's would be. */
	memset(ops, 0xff, sizeof(ops));
	mdfh_binaryfile_open(&reader, 0);
	mdfh_binaryfile_feed(&reader, file.data, file.size);

	bench_start(&timer);
	while (mdfh_binaryfile_rest(&reader, &span)) {
		uint64_t messages, bytes;
		int n;

		mdfh_decoder_begin(decoder, &span, MDFH_FRAMING_LENGTH_BE16, 0);
		while ((n = mdfh_decoder_next(decoder, ops, BATCH)) > 0)
			total += (uint64_t)n;
		messages = mdfh_decoder_took(decoder, &bytes);
		mdfh_binaryfile_took(&reader, messages, bytes);
	}
	bench_stop(&timer);
	snprintf(extra, sizeof(extra), ",\"ops\":%" PRIu64, total);
	bench_print("decode", &timer, reader.sequence - 1, extra);
	status = 0;
out:
	mdfh_decoder_destroy(decoder);
	mdfh_instruments_destroy(instruments);
	bench_file_close(&file);
	return status;
}

/* Command ------------------------------------------------------------------ */

/* What is timed is not to look whether it should stop. */
static void on_signal(int number)
{
	static const char text[] = "mdfh bench: interrupted, nothing was measured\n";

	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(2);
	signal(number, SIG_DFL);
	raise(number);
}

struct arguments {
	const char *name;
	const char *path;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (state->arg_num == 0)
			a->name = argument;
		else if (state->arg_num == 1)
			a->path = argument;
		else
			argp_usage(state);
		return 0;
	case ARGP_KEY_END:
		if (state->arg_num < 2)
			argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The measurements, in the text of --help. */
static char *filter(int key, const char *text, void *input)
{
	char *list = NULL;
	size_t size;
	FILE *f;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)(uintptr_t)text;
	f = open_memstream(&list, &size);
	if (!f)
		return NULL;
	fprintf(f, "Measurements:\n");
	for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++)
		fprintf(f, "  %-10s %s\n", benches[i].name, benches[i].summary);
	fclose(f);
	return list;
}

int mdfh_command_bench(int argc, char **argv)
{
	static const struct argp argp = {
	    .parser = parse,
	    .args_doc = "MEASUREMENT FILE",
	    .doc = "Measure what a message of FILE (ITCH 5.0 in a BinaryFILE) costs, and print one "
		   "line of JSON.\v",
	    .help_filter = filter,
	};
	const struct sigaction action = {.sa_handler = on_signal};
	struct arguments a = {0};

	if (argp_parse(&argp, argc, argv, 0, NULL, &a))
		return 2;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++) {
		int status;

		if (strcmp(benches[i].name, a.name) != 0)
			continue;
		status = benches[i].run(a.path);
		if (status == 2)
			fprintf(stderr, "mdfh bench: %s\n", mdfh_error_text());
		return status;
	}
	fprintf(stderr,
	    "mdfh bench: there is no measurement '%s'; `mdfh bench --help` lists them\n", a.name);
	return 2;
}
