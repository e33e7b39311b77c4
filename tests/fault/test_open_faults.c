/* test_open_faults.c - every open and create of the library, with each of its calls made to fail.
 *
 * Sockets and TCP stand in tests/net/test_socket_faults.c. mdfh_clock_start has no call that can
 * fail. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fault/faults.h"
#include "mdfh/book.h"
#include "mdfh/bypass.h"
#include "mdfh/capture.h"
#include "mdfh/clock.h"
#include "mdfh/conformance.h"
#include "mdfh/depth.h"
#include "mdfh/error.h"
#include "mdfh/fault.h"
#include "mdfh/handler.h"
#include "mdfh/histogram_log.h"
#include "mdfh/ingest.h"
#include "mdfh/instrument.h"
#include "mdfh/memory.h"
#include "mdfh/ring.h"
#include "mdfh/session.h"
#include "mdfh/soupbintcp.h"
#include "mdfh_build.h"
#include "proto/decoder.h"

#ifdef MDFH_HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef MDFH_HAVE_ZSTD
#include <zstd.h>
#endif

/* Reserved and transparent hugepages, the node of memory: what a region can do without. A name that
 * may have been taken meanwhile is tried again. */
#define REGION " mmap64 madvise fstat64 "

static char folder[] = "/tmp/mdfh-faults-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[8][256];
	static unsigned next;
	char *to = path[next++ % 8];

	snprintf(to, sizeof(path[0]), "%s/%s", folder, name);
	return to;
}

/* Ports --------------------------------------------------------------------------------------- */

static int open_port(void *context, void **opened)
{
	lseek(STDIN_FILENO, 0, SEEK_SET);
	return mdfh_bypass_open(context, (struct mdfh_bypass **)opened);
}

static void close_port(void *opened)
{
	mdfh_bypass_close(opened);
}

static void try_port(
    const char *name, const struct mdfh_bypass_config *config, const char *spared, int least)
{
	faults_each(&(const struct faults_case){.name = name,
	    .open = open_port,
	    .close = close_port,
	    .context = (void *)(uintptr_t)config,
	    .spared = spared,
	    .least = least});
}

static void test_null(void **state)
{
	(void)state;
	try_port("null",
	    &(const struct mdfh_bypass_config){
		.size = sizeof(struct mdfh_bypass_config), .backend = "null"},
	    "", 2);
}

static void try_capture(const char *name)
{
	struct mdfh_bypass_config config = {
	    .size = sizeof(config), .backend = "pcap", .file = name};

	try_port(name, &config, REGION, 5);
}

static void test_pcap(void **state)
{
	int kept = dup(STDIN_FILENO);
	int input = open(path_of("plain.pcapng"), O_RDONLY | O_CLOEXEC);

	(void)state;
	try_capture(path_of("plain.pcapng"));
#ifdef MDFH_HAVE_ZLIB
	try_capture(path_of("plain.pcapng.gz"));
#endif
#ifdef MDFH_HAVE_ZSTD
	try_capture(path_of("plain.pcapng.zst"));
#endif
	/* Read from the start each time: what a failed open has read of a pipe is gone. */
	assert_true(kept >= 0 && input >= 0 && dup2(input, STDIN_FILENO) == STDIN_FILENO);
	try_capture("-");
	dup2(kept, STDIN_FILENO);
	close(kept);
	close(input);
}

static void test_fault_backend(void **state)
{
	struct mdfh_bypass_config lower = {
	    .size = sizeof(lower), .backend = "socket", .host = "127.0.0.1"};
	struct mdfh_bypass_config config = {.size = sizeof(config),
	    .backend = "fault",
	    .lower = &lower,
	    .fault = {.loss_ppm = 10, .delay_ppm = 10, .duplicate_ppm = 10}};

	(void)state;
	try_port("fault", &config, REGION " setsockopt ", 15);
}

/* Loading is done for the first port only: each time anew, because close drops the module. */
static void test_module(void **state)
{
	char path[512];
	struct mdfh_bypass_config config = {.size = sizeof(config), .backend = path};

	(void)state;
	snprintf(path, sizeof(path), "%s/tests/net/mdfh_good.so", getenv("MDFH_BUILD"));
	try_port("module", &config, "", 2);
}

static void on_packets(void *context, const struct mdfh_packet *packets, int n)
{
	(void)context;
	(void)packets;
	(void)n;
}

static int open_push(void *context, void **opened)
{
	struct mdfh_bypass *port = NULL;
	int err = mdfh_bypass_open(context, &port);

	*opened = NULL;
	if (err)
		return err;
	err = mdfh_push_start(port, on_packets, NULL, (struct mdfh_push **)opened);
	if (err) /* it is still its opener's */
		mdfh_bypass_close(port);
	return err;
}

static void close_push(void *opened)
{
	mdfh_push_stop(opened);
}

static void test_push(void **state)
{
	struct mdfh_bypass_config config = {.size = sizeof(config), .backend = "null"};

	(void)state;
	faults_each(&(const struct faults_case){.name = "push",
	    .open = open_push,
	    .close = close_push,
	    .context = &config,
	    .least = 4});
}

static int open_feed(void *context, void **opened)
{
	return mdfh_conformance_feed_open(context, (struct mdfh_conformance_feed **)opened);
}

static void close_feed(void *opened)
{
	mdfh_conformance_feed_close(opened);
}

static void test_feeds(void **state)
{
	static const enum mdfh_conformance_medium media[] = {MDFH_CONFORMANCE_UDP4,
	    MDFH_CONFORMANCE_UDP6, MDFH_CONFORMANCE_TCP4, MDFH_CONFORMANCE_FILE,
	    MDFH_CONFORMANCE_NONE};

	(void)state;
	for (size_t i = 0; i < sizeof(media) / sizeof(media[0]); i++) {
		struct mdfh_conformance_config config = {.size = sizeof(config),
		    .backend = media[i] == MDFH_CONFORMANCE_FILE   ? "pcap"
			       : media[i] == MDFH_CONFORMANCE_NONE ? "null"
								   : "socket",
		    .medium = media[i]};

		faults_each(&(const struct faults_case){.name = "conformance feed",
		    .open = open_feed,
		    .close = close_feed,
		    .context = &config,
		    .spared = " setsockopt ",
		    .least = 1});
	}
}

/* Captures ------------------------------------------------------------------------------------ */

static int open_capture(void *context, void **opened)
{
	return mdfh_capture_open(context, (struct mdfh_capture **)opened);
}

static int open_capture_memory(void *context, void **opened)
{
	/* A nanosecond pcap without a packet. */
	static const uint32_t header[6] = {0xa1b23c4d, 2 | 4 << 16, 0, 0, 262144, 1};

	(void)context;
	return mdfh_capture_open_memory(header, sizeof(header), (struct mdfh_capture **)opened);
}

static void close_capture(void *opened)
{
	mdfh_capture_close(opened);
}

static int open_writer(void *context, void **opened)
{
	return mdfh_capture_writer_open(context, 1, (struct mdfh_capture_writer **)opened);
}

static void close_writer(void *opened)
{
	mdfh_capture_writer_close(opened);
}

static void test_captures(void **state)
{
	(void)state;
	faults_each(&(const struct faults_case){.name = "capture",
	    .open = open_capture,
	    .close = close_capture,
	    .context = (void *)(uintptr_t)path_of("plain.pcapng"),
	    .least = 5});
	faults_each(&(const struct faults_case){.name = "capture in memory",
	    .open = open_capture_memory,
	    .close = close_capture,
	    .least = 3});
	faults_each(&(const struct faults_case){.name = "pcapng writer",
	    .open = open_writer,
	    .close = close_writer,
	    .context = (void *)(uintptr_t)path_of("out.pcapng"),
	    .least = 3});
	faults_each(&(const struct faults_case){.name = "pcap writer",
	    .open = open_writer,
	    .close = close_writer,
	    .context = (void *)(uintptr_t)path_of("out.pcap"),
	    .least = 3});
}

/* Memory and what lies in it ------------------------------------------------------------------ */

static struct mdfh_region region;

static int open_region(void *context, void **opened)
{
	const struct mdfh_region_config config = {
	    .size = sizeof(config), .bytes = 100000, .shared_name = context};
	int err = mdfh_region_map(&config, &region);

	*opened = region.base;
	return err;
}

static int attach_region(void *context, void **opened)
{
	int err = mdfh_region_attach(context, &region);

	*opened = region.base;
	return err;
}

static void close_region(void *opened)
{
	(void)opened;
	mdfh_region_unmap(&region);
}

static int open_ring(void *context, void **opened)
{
	const struct mdfh_ring_config config = {
	    .size = sizeof(config), .slots = 64, .shared_name = context};

	return mdfh_ring_create(&config, (struct mdfh_ring **)opened);
}

static int attach_ring(void *context, void **opened)
{
	return mdfh_ring_attach(context, (struct mdfh_ring **)opened);
}

static void close_ring(void *opened)
{
	mdfh_ring_destroy(opened);
}

static int open_instruments(void *context, void **opened)
{
	return mdfh_instruments_create_shared(100, context, (struct mdfh_instruments **)opened);
}

static int attach_instruments(void *context, void **opened)
{
	return mdfh_instruments_attach(context, (struct mdfh_instruments **)opened);
}

static void close_instruments(void *opened)
{
	mdfh_instruments_destroy(opened);
}

static int open_depth(void *context, void **opened)
{
	const struct mdfh_depth_config config = {
	    .size = sizeof(config), .instruments = 100, .shared_name = context};

	return mdfh_depth_create(&config, (struct mdfh_depth **)opened);
}

static int attach_depth(void *context, void **opened)
{
	return mdfh_depth_attach(context, (struct mdfh_depth **)opened);
}

static void close_depth(void *opened)
{
	mdfh_depth_destroy(opened);
}

static const struct {
	const char *name;
	int (*open)(void *context, void **opened);
	int (*attach)(void *context, void **opened);
	void (*close)(void *opened);
} shareable[] = {
    {"region", open_region, attach_region, close_region},
    {"ring", open_ring, attach_ring, close_ring},
    {"instruments", open_instruments, attach_instruments, close_instruments},
    {"depth", open_depth, attach_depth, close_depth},
};

static void test_shareable(void **state)
{
	char shared[64];

	(void)state;
	snprintf(shared, sizeof(shared), "%s", faults_shared("shared"));
	for (size_t i = 0; i < sizeof(shareable) / sizeof(shareable[0]); i++) {
		struct faults_case c = {.name = shareable[i].name,
		    .open = shareable[i].open,
		    .close = shareable[i].close,
		    .spared = REGION,
		    .least = 1};
		struct mdfh_region made;
		void *kept = NULL;

		faults_each(&c);
		c.context = shared;
		c.least = 4;
		faults_each(&c);

		assert_int_equal(shareable[i].open(shared, &kept), 0);
		made = region;
		c.open = shareable[i].attach;
		c.least = 3;
		faults_each(&c);
		if (shareable[i].close == close_region)
			region = made;
		shareable[i].close(kept);
	}
}

/* Sessions, decoders, books ------------------------------------------------------------------- */

static int open_channel(void *context, void **opened)
{
	const struct mdfh_channel_config config = {
	    .size = sizeof(config), .session = mdfh_session_find("moldudp64"), .lines = 2};

	(void)context;
	return mdfh_channel_create(&config, (struct mdfh_channel **)opened);
}

static void close_channel(void *opened)
{
	mdfh_channel_destroy(opened);
}

static int open_decoder(void *context, void **opened)
{
	static const char *const symbols[] = {"A", "BB"};
	const struct mdfh_decoder_config config = {
	    .size = sizeof(config), .instruments = context, .symbols = symbols, .symbol_count = 2};

	return mdfh_decoder_create("itch50", &config, (struct mdfh_decoder **)opened);
}

static void close_decoder(void *opened)
{
	mdfh_decoder_destroy(opened);
}

static int open_books(void *context, void **opened)
{
	const struct mdfh_books_config config = {.size = sizeof(config),
	    .instruments = context,
	    .orders_max = 1000,
	    .levels_max = 100,
	    .trades_max = 100};

	return mdfh_books_create(&config, (struct mdfh_books **)opened);
}

static void close_books(void *opened)
{
	mdfh_books_destroy(opened);
}

static int open_soup_client(void *context, void **opened)
{
	const struct mdfh_soup_client_config config = {.size = sizeof(config)};

	(void)context;
	return mdfh_soup_client_create(&config, (struct mdfh_soup_client **)opened);
}

static void close_soup_client(void *opened)
{
	mdfh_soup_client_destroy(opened);
}

static int open_soup_server(void *context, void **opened)
{
	const struct mdfh_soup_server_config config = {
	    .size = sizeof(config), .session = "TEST", .clients_max = 2};

	(void)context;
	return mdfh_soup_server_create(&config, (struct mdfh_soup_server **)opened);
}

static void close_soup_server(void *opened)
{
	mdfh_soup_server_destroy(opened);
}

static void test_objects(void **state)
{
	struct mdfh_instruments *instruments;

	(void)state;
	assert_int_equal(mdfh_instruments_create(100, &instruments), 0);
	faults_each(&(const struct faults_case){
	    .name = "channel", .open = open_channel, .close = close_channel, .least = 5});
	faults_each(&(const struct faults_case){.name = "decoder",
	    .open = open_decoder,
	    .close = close_decoder,
	    .context = instruments,
	    .least = 2});
	faults_each(&(const struct faults_case){.name = "books",
	    .open = open_books,
	    .close = close_books,
	    .context = instruments,
	    .spared = REGION,
	    .least = 4});
	faults_each(&(const struct faults_case){.name = "SoupBinTCP client",
	    .open = open_soup_client,
	    .close = close_soup_client,
	    .least = 2});
	faults_each(&(const struct faults_case){.name = "SoupBinTCP server",
	    .open = open_soup_server,
	    .close = close_soup_server,
	    .least = 3});
	mdfh_instruments_destroy(instruments);
}

/* Histograms ---------------------------------------------------------------------------------- */

static int open_histogram(void *context, void **opened)
{
	(void)context;
	return mdfh_histogram_create(1000000, (struct mdfh_histogram **)opened);
}

static void close_histogram(void *opened)
{
	mdfh_histogram_destroy(opened);
}

static int encode(void *context, void **opened)
{
	return mdfh_histogram_encode(context, (char **)opened);
}

static void close_text(void *opened)
{
	free(opened);
}

static int decode(void *context, void **opened)
{
	return mdfh_histogram_decode(context, strlen(context), (struct mdfh_histogram **)opened);
}

static int open_log(void *context, void **opened)
{
	return mdfh_histogram_log_open(context, 1, (struct mdfh_histogram_log **)opened);
}

static void close_log(void *opened)
{
	mdfh_histogram_log_close(opened);
}

static void test_histograms(void **state)
{
	struct mdfh_histogram *h;
	char *text = NULL;

	(void)state;
	faults_each(&(const struct faults_case){
	    .name = "histogram", .open = open_histogram, .close = close_histogram, .least = 1});
	assert_int_equal(mdfh_histogram_create(1000, &h), 0);
	if (mdfh_histogram_encode(h, &text) != -ENOTSUP) {
		faults_each(&(const struct faults_case){.name = "histogram's text",
		    .open = encode,
		    .close = close_text,
		    .context = h,
		    .least = 3});
		faults_each(&(const struct faults_case){.name = "histogram of a text",
		    .open = decode,
		    .close = close_histogram,
		    .context = text,
		    .least = 3});
		faults_each(&(const struct faults_case){.name = "histogram log",
		    .open = open_log,
		    .close = close_log,
		    .context = (void *)(uintptr_t)path_of("log.hlog"),
		    .least = 3});
	}
	free(text);
	mdfh_histogram_destroy(h);
}

/* Handlers ------------------------------------------------------------------------------------ */

static char yaml[1024];
/* With the beginning of its names in shared memory. */
static const char yaml_format[] = "session_date: \"2026-11-25\"\n"
				  "depth_levels: 2\n"
				  "instruments_max: 100\n"
				  "orders_max: 1000\n"
				  "levels_max: 100\n"
				  "trades_max: 100\n"
				  "instruments_shared_name: %s-instruments\n"
				  "channels:\n"
				  "  - protocol: itch50\n"
				  "    lines:\n"
				  "      - backend: \"null\"\n"
				  "      - group: 127.0.0.1:39876\n"
				  "consumers:\n"
				  "  - name: one\n"
				  "    slots: 64\n"
				  "    symbols: [A, B]\n"
				  "  - name: two\n"
				  "    slots: 64\n"
				  "    kind: raw\n"
				  "    shared_name: %s-ring\n";

static int parse(void *context, void **opened)
{
	(void)context;
	return mdfh_handler_config_parse(
	    yaml, strlen(yaml), "text", (struct mdfh_handler_config **)opened);
}

static int load(void *context, void **opened)
{
	return mdfh_handler_config_load(context, (struct mdfh_handler_config **)opened);
}

static void close_config(void *opened)
{
	mdfh_handler_config_free(opened);
}

static int create_handler(void *context, void **opened)
{
	return mdfh_handler_create(context, (struct mdfh_handler **)opened);
}

static int start_handler(void *context, void **opened)
{
	struct mdfh_handler *handler = NULL;
	int err = mdfh_handler_create(context, &handler);

	*opened = NULL;
	if (!err)
		err = mdfh_handler_start(handler);
	if (err)
		mdfh_handler_destroy(handler);
	else
		*opened = handler;
	return err;
}

static void close_handler(void *opened)
{
	mdfh_handler_destroy(opened);
}

static void test_handler(void **state)
{
	const char *path = path_of("handler.yaml"), *names = faults_shared("handler");
	struct mdfh_handler_config *config;
	FILE *file = fopen(path, "w");

	(void)state;
	assert_non_null(file);
	snprintf(yaml, sizeof(yaml), yaml_format, names, names);
	assert_true(fputs(yaml, file) >= 0);
	assert_int_equal(fclose(file), 0);
	/* What libcyaml allocates is beyond the linker: its own calls are not made to fail. */
	faults_each(&(const struct faults_case){
	    .name = "configuration", .open = parse, .close = close_config, .least = 0});
	faults_each(&(const struct faults_case){.name = "configuration file",
	    .open = load,
	    .close = close_config,
	    .context = (void *)(uintptr_t)path,
	    .least = 2});
	assert_int_equal(mdfh_handler_config_load(path, &config), 0);
	faults_each(&(const struct faults_case){.name = "handler",
	    .open = create_handler,
	    .close = close_handler,
	    .context = config,
	    .spared = REGION " setsockopt ",
	    .least = 40});
	faults_each(&(const struct faults_case){.name = "running handler",
	    .open = start_handler,
	    .close = close_handler,
	    .context = config,
	    /* read, poll: the threads' own; the kernel's drop counter can be done without. */
	    .spared = REGION " setsockopt open64 read poll recvmsg ",
	    .least = 42});
	mdfh_handler_config_free(config);
}

/* A line that logs in, with its password in a file. Nobody listens: connecting goes on later. */
static void test_handler_of_stream(void **state)
{
	const char *path = path_of("password");
	struct mdfh_handler_config *config;
	char text[512];
	FILE *file = fopen(path, "w");
	int length;

	(void)state;
	assert_non_null(file);
	assert_true(fputs("secret\n", file) >= 0);
	assert_int_equal(fclose(file), 0);
	length = snprintf(text, sizeof(text),
	    "session_date: \"2026-11-25\"\n"
	    "instruments_max: 100\norders_max: 1000\nlevels_max: 100\ntrades_max: 100\n"
	    "channels: [{protocol: itch50, session: soupbintcp, lines: [{server: \"127.0.0.1:1\", "
	    "username: me, password_file: %s}]}]\n",
	    path);
	assert_int_equal(mdfh_handler_config_parse(text, (size_t)length, "text", &config), 0);
	faults_each(&(const struct faults_case){.name = "handler of a stream",
	    .open = create_handler,
	    .close = close_handler,
	    .context = config,
	    /* What ends the first attempt to connect is no failure of the port. */
	    .spared = REGION " setsockopt connect epoll_ctl timerfd_settime getsockopt socket ",
	    .least = 30});
	mdfh_handler_config_free(config);
}

static int start_ingest(void *context, void **opened)
{
	struct mdfh_ingest *ingest = NULL;
	int err = mdfh_ingest_open(context, &ingest);

	*opened = NULL;
	if (!err)
		err = mdfh_ingest_start(ingest);
	if (err)
		mdfh_ingest_close(ingest);
	else
		*opened = ingest;
	return err;
}

static void close_ingest(void *opened)
{
	mdfh_ingest_close(opened);
}

static void test_ingest(void **state)
{
	struct mdfh_ingest_config config = {.size = sizeof(config),
	    .bypass = {.size = sizeof(config.bypass), .backend = "null"},
	    .session_date = "2026-11-25",
	    .ring_slots = 64,
	    .orders_max = 1000,
	    .instruments_max = 100};

	(void)state;
	faults_each(&(const struct faults_case){.name = "ingest",
	    .open = start_ingest,
	    .close = close_ingest,
	    .context = &config,
	    .spared = REGION " poll ",
	    .least = 25});
}

/* The test itself ----------------------------------------------------------------------------- */

static void *leaked; /* freed by the test: to the harness it is one */

static int open_leaky(void *context, void **opened)
{
	void *first = leaked = malloc(10);
	void *second = malloc(10);

	(void)context;
	*opened = NULL;
	if (!first || !second)
		return mdfh_error(-ENOMEM, "one of two");
	*opened = first;
	free(second);
	return 0;
}

/* A leak on the way out must be seen. */
static void test_control(void **state)
{
	void *opened;

	(void)state;
	faults_mark();
	faults_arm(2);
	assert_int_equal(open_leaky(NULL, &opened), -ENOMEM);
	faults_arm(0);
	assert_string_equal(faults_fired(), "malloc");
	assert_string_equal(
	    faults_left(), "1 allocations, 0 bytes mapped, 0 descriptors, 0 threads, 0 names");
	free(leaked);
}

/* Set up -------------------------------------------------------------------------------------- */

static void compress_files(void)
{
	static uint8_t plain[65536];
	static uint8_t packed[65536];
	FILE *file = fopen(path_of("plain.pcapng"), "r");
	size_t length = file ? fread(plain, 1, sizeof(plain), file) : 0;

	assert_in_range(length, 1000, sizeof(plain) - 1);
	fclose(file);
#ifdef MDFH_HAVE_ZLIB
	gzFile gz = gzopen(path_of("plain.pcapng.gz"), "w");

	assert_true(gz && gzwrite(gz, plain, (unsigned)length) == (int)length);
	assert_int_equal(gzclose(gz), Z_OK);
#endif
#ifdef MDFH_HAVE_ZSTD
	length = ZSTD_compress(packed, sizeof(packed), plain, length, 1);
	assert_false(ZSTD_isError(length));
	file = fopen(path_of("plain.pcapng.zst"), "w");
	assert_true(file && fwrite(packed, 1, length, file) == length);
	assert_int_equal(fclose(file), 0);
#else
	(void)packed;
#endif
}

static int make_files(void **state)
{
	static const uint8_t frame[60] = {0};
	struct mdfh_capture_writer *writer;
	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(mdfh_capture_writer_open(path_of("plain.pcapng"), 1, &writer), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(
		    mdfh_capture_write(writer, 1000000000u, frame, sizeof(frame), 0), 0);
	assert_int_equal(mdfh_capture_writer_close(writer), 0);
	compress_files();
	return 0;
}

static int remove_files(void **state)
{
	static const char *const names[] = {"plain.pcapng", "plain.pcapng.gz", "plain.pcapng.zst",
	    "out.pcapng", "out.pcap", "log.hlog", "handler.yaml", "password"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(path_of(names[i]));
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_control),
	    cmocka_unit_test(test_null),
	    cmocka_unit_test(test_pcap),
	    cmocka_unit_test(test_fault_backend),
	    cmocka_unit_test(test_module),
	    cmocka_unit_test(test_push),
	    cmocka_unit_test(test_feeds),
	    cmocka_unit_test(test_captures),
	    cmocka_unit_test(test_shareable),
	    cmocka_unit_test(test_objects),
	    cmocka_unit_test(test_histograms),
	    cmocka_unit_test(test_handler),
	    cmocka_unit_test(test_handler_of_stream),
	    cmocka_unit_test(test_ingest),
	};

	return cmocka_run_group_tests_name("open_faults", tests, make_files, remove_files);
}
