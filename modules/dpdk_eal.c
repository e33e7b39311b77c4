/* dpdk_eal.c - DPDK's environment: started once, by a thread of its own, and what it has to say
 * kept for the sentence of an error.
 *
 * EAL changes the thread that starts it (its cores, its number), and the threads that it makes
 * inherit the signal mask of that one: so the thread is made for the purpose, with every signal
 * blocked, and ends when EAL runs. */
#include "modules/dpdk.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mdfh/error.h"

enum { MEMORY_MB = 512, ARGUMENTS_MAX = 96, LINE_MAX_ = 240, CORES_TEXT_MAX = 1024 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char log_line[LINE_MAX_]; /* being written */
static char log_kept[LINE_MAX_];
static int is_kept; /* it is an error, the first of those that one thing brings about */
static size_t log_length;

static struct {
	int has_started;
	int has_failed;
	int is_foreign; /* the program had started it */
	char eal[DPDK_EAL_TEXT_MAX];
	uint64_t memory_mb; /* without hugepages; 0 = the program decided */
	char failure[512];
} state;

void dpdk_lock(void)
{
	pthread_mutex_lock(&lock);
}

void dpdk_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

/* Its log ------------------------------------------------------------------------------------- */

static ssize_t log_write(void *cookie, const char *bytes, size_t count)
{
	(void)cookie;
	pthread_mutex_lock(&log_lock);
	for (size_t i = 0; i < count; i++) {
		if (bytes[i] != '\n') {
			if (log_length < sizeof(log_line) - 1)
				log_line[log_length++] = bytes[i];
			continue;
		}
		log_line[log_length] = '\0';
		if (log_length && !is_kept) {
			memcpy(log_kept, log_line, log_length + 1);
			is_kept = rte_log_cur_msg_loglevel() <= (int)RTE_LOG_ERR;
		}
		log_length = 0;
	}
	pthread_mutex_unlock(&log_lock);
	return (ssize_t)count;
}

static int log_open(void)
{
	FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = log_write});

	if (!stream)
		return mdfh_error(-ENOMEM, "dpdk: a stream for EAL's log");
	setvbuf(stream, NULL, _IOLBF, 0);
	return rte_openlog_stream(stream) ? mdfh_error(-ENOMEM, "dpdk: EAL's log") : 0;
}

void dpdk_log_clear(void)
{
	pthread_mutex_lock(&log_lock);
	log_kept[0] = '\0';
	is_kept = 0;
	pthread_mutex_unlock(&log_lock);
}

int dpdk_error(int error, const char *format, ...)
{
	char sentence[384];
	char words[LINE_MAX_];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	if (!error)
		error = rte_errno > 0 && rte_errno < 4096 ? -rte_errno : -EIO;
	pthread_mutex_lock(&log_lock);
	memcpy(words, log_kept, sizeof(words));
	pthread_mutex_unlock(&log_lock);
	if (*words)
		return mdfh_error(error, "%s (DPDK: %s)", sentence, words);
	return mdfh_error_errno(error, "%s", sentence);
}

/* net_af_xdp's libraries write to standard error. They are DPDK's own, loaded with it, so they are
 * asked by name, and get what they had back: the program may use them, too. */
typedef void *(*set_print)(void *print);

static struct {
	const char *library;
	const char *setter;
	void *before;
} talkers[] = {
    {"libbpf.so.1", "libbpf_set_print", NULL}, {"libxdp.so.1", "libxdp_set_print", NULL}};

void dpdk_quiet(int on)
{
	for (size_t i = 0; i < RTE_DIM(talkers); i++) {
		void *library = dlopen(talkers[i].library, RTLD_LAZY | RTLD_NOLOAD);
		set_print set = NULL;

		if (!library)
			continue;
		*(void **)&set = dlsym(library, talkers[i].setter);
		if (set && on)
			talkers[i].before = set(NULL);
		else if (set)
			(void)set(talkers[i].before);
		dlclose(library);
	}
}

/* Its arguments ------------------------------------------------------------------------------- */

struct arguments {
	char *all[ARGUMENTS_MAX];
	int count;
	int is_given; /* some are the user's */
	int rc;
	int error;
};

static int add(struct arguments *arguments, const char *text)
{
	char *copy;

	if (arguments->count == ARGUMENTS_MAX - 1)
		return mdfh_error(-EINVAL,
		    "dpdk: backend_options has an eal with too many arguments; at most %d",
		    ARGUMENTS_MAX / 2);
	copy = strdup(text);
	if (!copy)
		return mdfh_error(-ENOMEM, "dpdk: EAL's arguments");
	arguments->all[arguments->count++] = copy;
	return 0;
}

/* One logical core that is every core that this thread may use: EAL makes no workers then, and
 * binds nobody. */
static void cores_text(char *text, size_t size)
{
	cpu_set_t cores;
	size_t at = (size_t)snprintf(text, size, "--lcores=0@(");
	const char *comma = "";

	CPU_ZERO(&cores);
	if (sched_getaffinity(0, sizeof(cores), &cores) || !CPU_COUNT(&cores))
		CPU_SET(0, &cores);
	for (size_t i = 0; i < CPU_SETSIZE && at + 16 < size; i++) {
		if (!CPU_ISSET(i, &cores))
			continue;
		at += (size_t)snprintf(text + at, size - at, "%s%zu", comma, i);
		comma = ",";
	}
	snprintf(text + at, size - at, ")");
}

/* The user's, which come last and so override ours. */
static int add_given(struct arguments *arguments, const char *text)
{
	char copy[DPDK_EAL_TEXT_MAX];
	char *rest = copy;
	char *one;

	snprintf(copy, sizeof(copy), "%s", text);
	while ((one = strsep(&rest, "+"))) {
		int rc = *one ? add(arguments, one) : 0;

		if (rc)
			return rc;
		arguments->is_given = 1;
	}
	return 0;
}

static uint64_t memory_mb(const struct dpdk_options *options)
{
	return options->memory_mb ? options->memory_mb : MEMORY_MB;
}

static int make_arguments(
    struct arguments *arguments, const struct dpdk_options *options, int hugepages)
{
	/* No file is shared with other processes, so none is left behind. Devices are taken when
	 * a port asks for them: the list of those that EAL may take by itself has only one, which
	 * no driver wants. */
	static const char *const own[] = {"mdfh", "--no-telemetry", "-a", "0000:00:00.0"};
	char text[CORES_TEXT_MAX];
	int rc = 0;

	for (size_t i = 0; !rc && i < RTE_DIM(own); i++)
		rc = add(arguments, own[i]);
	cores_text(text, sizeof(text));
	if (!rc)
		rc = add(arguments, text);
	if (!rc)
		rc = add(arguments, hugepages ? "--in-memory" : "--no-shconf");
	if (!rc && !hugepages) {
		snprintf(text, sizeof(text), "%llu", (unsigned long long)memory_mb(options));
		rc = add(arguments, "--no-huge");
		if (!rc)
			rc = add(arguments, "--iova-mode=va");
		if (!rc)
			rc = add(arguments, "-m");
		if (!rc)
			rc = add(arguments, text);
	}
	return rc ? rc : add_given(arguments, options->eal);
}

static void free_arguments(struct arguments *arguments)
{
	for (int i = 0; i < arguments->count; i++)
		free(arguments->all[i]);
}

/* Start --------------------------------------------------------------------------------------- */

/* Bytes in hugepages that nobody uses. */
static uint64_t free_hugepages(void)
{
	static const unsigned sizes_kb[] = {2048, 1048576};
	uint64_t bytes = 0;

	for (size_t i = 0; i < RTE_DIM(sizes_kb); i++) {
		char path[96];
		char text[32] = "";
		FILE *file;

		snprintf(path, sizeof(path),
		    "/sys/kernel/mm/hugepages/hugepages-%ukB/free_hugepages", sizes_kb[i]);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fgets(text, sizeof(text), file))
			bytes += strtoull(text, NULL, 10) * sizes_kb[i] * 1024;
		fclose(file);
	}
	return bytes;
}

/* EAL explains a wrong argument on standard output, which is the program's: for the time of the
 * call it is sent nowhere, and only if there are arguments that are not ours. */
static void *start_thread(void *context)
{
	struct arguments *arguments = context;
	FILE *nowhere = arguments->is_given ? fopen("/dev/null", "we") : NULL;
	char *given[ARGUMENTS_MAX]; /* EAL changes their order, and puts its name among them */
	FILE *out = stdout;
	FILE *err = stderr;

	if (nowhere) {
		stdout = nowhere;
		stderr = nowhere;
	}
	memcpy(given, arguments->all, sizeof(given));
	arguments->rc = rte_eal_init(arguments->count, given);
	arguments->error = rte_errno;
	if (nowhere) {
		stdout = out;
		stderr = err;
		fclose(nowhere);
	}
	return NULL;
}

static int run_thread(struct arguments *arguments)
{
	sigset_t all, before;
	pthread_t thread;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&thread, NULL, start_thread, arguments);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc)
		return mdfh_error_errno(-rc, "dpdk: a thread to start EAL");
	pthread_join(thread, NULL);
	return 0;
}

/* The folder that EAL makes even if it has nothing to put there. */
static void remove_folder(void)
{
	char path[256];
	const char *folder = rte_eal_get_runtime_dir();
	char *slash;

	if (!folder || !*folder)
		return;
	snprintf(path, sizeof(path), "%s", folder);
	slash = strrchr(path, '/');
	if (!rmdir(path) && slash) {
		*slash = '\0';
		(void)rmdir(path);
	}
}

static int start(const struct dpdk_options *options, int hugepages)
{
	struct arguments arguments = {0};
	int rc = log_open();

	if (!rc)
		rc = make_arguments(&arguments, options, hugepages);
	if (!rc)
		rc = run_thread(&arguments);
	if (rc)
		goto out;
	if (arguments.rc < 0 && arguments.error == EALREADY) {
		state.is_foreign = 1;
		arguments.rc = 0;
	}
	if (arguments.rc < 0) {
		rc = dpdk_error(arguments.error > 0 ? -arguments.error : -EIO,
		    "dpdk: EAL does not start with the arguments '%s' and %s", options->eal,
		    hugepages ? "hugepages" : "without hugepages");
		state.has_failed = 1;
		snprintf(state.failure, sizeof(state.failure), "%s", mdfh_error_text());
		goto out;
	}
	state.has_started = 1;
	snprintf(state.eal, sizeof(state.eal), "%s", options->eal);
	state.memory_mb = state.is_foreign ? 0 : memory_mb(options);
	remove_folder();
out:
	free_arguments(&arguments);
	return rc;
}

/* Whether what runs is what this port asks for. */
static int fits(const struct dpdk_options *options, enum mdfh_switch hugepages)
{
	if (*options->eal && strcmp(options->eal, state.eal) != 0)
		return mdfh_error(-EBUSY,
		    "dpdk: eal is '%s', and EAL runs in this process %s'%s'; give every port the "
		    "same, or only the first",
		    options->eal, state.is_foreign ? "as the program started it, not by " : "with ",
		    state.eal);
	if (hugepages == MDFH_ON && !rte_eal_has_hugepages())
		return mdfh_error(-EBUSY,
		    "dpdk: hugepages is on, and EAL runs in this process without them; open the "
		    "port that wants them first");
	if (hugepages == MDFH_OFF && rte_eal_has_hugepages())
		return mdfh_error(-EBUSY,
		    "dpdk: hugepages is off, and EAL runs in this process with them; say the same "
		    "for every port");
	if (options->memory_mb && state.memory_mb && !rte_eal_has_hugepages() &&
	    options->memory_mb != state.memory_mb)
		return mdfh_error(-EBUSY,
		    "dpdk: memory_mb is %llu, and EAL runs in this process with %llu; give every "
		    "port the same, or only the first",
		    (unsigned long long)options->memory_mb, (unsigned long long)state.memory_mb);
	return 0;
}

int dpdk_eal_start(
    const struct dpdk_options *options, enum mdfh_switch hugepages, uint64_t memory_bytes)
{
	uint64_t there = free_hugepages();

	dpdk_log_clear();
	if (state.has_failed) /* not even a wrong argument is forgotten */
		return mdfh_error(-EALREADY,
		    "dpdk: EAL can be started once in a process, and that has failed: %s",
		    state.failure);
	if (state.has_started)
		return fits(options, hugepages);
	if (hugepages == MDFH_ON && there < memory_bytes)
		return mdfh_error(-ENOMEM,
		    "dpdk: hugepages is on, the port needs %llu MiB and %llu MiB are free; run "
		    "`sysctl vm.nr_hugepages=%llu`, or make rx_ring_size and hold_max smaller",
		    (unsigned long long)(memory_bytes >> 20), (unsigned long long)(there >> 20),
		    (unsigned long long)(memory_bytes >> 20) / 2 + 32);
	return start(options, hugepages != MDFH_OFF && there >= memory_bytes);
}
