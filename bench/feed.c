/* feed.c - a day of ITCH 5.0 over MoldUDP64 through a device of DPDK's, as fast as the receiver takes it:
 * what a message costs to decode and to keep books of, and what receiving alone costs. The sender is a
 * process of its own (memif.py starts it) and waits while the ring between the two is full, so that
 * nothing is lost and the receiver alone sets the pace.
 *
 * Usage: bench_feed send FILE INTERFACE GROUP PORT     the payloads of a capture, and then 2 s of nothing
 *        bench_feed count INTERFACE GROUP PORT MESSAGES       receive and release
 *        bench_feed books INTERFACE GROUP PORT MESSAGES DATE  the whole way, to events in a callback
 *
 * Receiving ends with the message that is the MESSAGES-th. Prints a line of JSON. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mdfh/bypass.h"
#include "mdfh/capture.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "mdfh/handler.h"

enum { BATCH = 64, MOLD_COUNT_AT = 18, MOLD_HEADER = 20, LINGER_S = 2 };
#define PATIENCE_NS UINT64_C(60000000000)

static int open_port(char **argument, enum mdfh_direction direction, struct mdfh_bypass **port)
{
	const struct mdfh_bypass_config config = {.size = sizeof(config),
	    .backend = "dpdk",
	    .interface = argument[0],
	    .host = argument[1],
	    .port = (uint16_t)strtoul(argument[2], NULL, 10),
	    .rx_ring_size = 1024,
	    .direction = direction,
	    .backend_options = "membership=off"};

	return mdfh_bypass_open(&config, port);
}

/* Send ------------------------------------------------------------------------------------- */

/* The whole batch, however long the receiver takes. */
static int send_batch(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	uint64_t end_ns = mdfh_clock_now_ns() + PATIENCE_NS;

	while (n) {
		int sent = mdfh_bypass_send(port, packets, n);

		if (sent < 0)
			return sent;
		packets += sent;
		n -= sent;
		if (!sent && mdfh_clock_now_ns() > end_ns)
			return mdfh_error(-ETIMEDOUT, "nobody receives");
	}
	return 0;
}

static int send_capture(struct mdfh_capture *capture, struct mdfh_bypass *port)
{
	static uint8_t bytes[BATCH][2048];
	struct mdfh_packet packets[BATCH];
	struct mdfh_capture_frame captured;
	int n = 0, rc;

	while ((rc = mdfh_capture_next(capture, &captured)) > 0) {
		struct mdfh_frame frame;

		if (mdfh_frame_parse(captured.link_type, captured.data, captured.captured,
			captured.wire_length, &frame) ||
		    frame.payload_length > sizeof(bytes[0]))
			continue;
		memcpy(bytes[n], captured.data + frame.payload_offset, frame.payload_length);
		packets[n] = (struct mdfh_packet){.data = bytes[n], .length = frame.payload_length};
		if (++n < BATCH)
			continue;
		rc = send_batch(port, packets, n);
		if (rc)
			return rc;
		n = 0;
	}
	return rc ? rc : send_batch(port, packets, n);
}

static int run_send(char **argument)
{
	struct mdfh_capture *capture;
	struct mdfh_bypass *port;
	int rc = mdfh_capture_open(argument[0], &capture);

	if (rc)
		return rc;
	rc = open_port(argument + 1, MDFH_DIRECTION_SEND, &port);
	if (!rc) {
		rc = send_capture(capture, port);
		sleep(LINGER_S); /* what is in the ring goes with the port */
		mdfh_bypass_close(port);
	}
	mdfh_capture_close(capture);
	return rc;
}

/* Count ------------------------------------------------------------------------------------ */

struct result {
	uint64_t packets, messages;
	double ns; /* in calls that brought packets, or of the whole run */
};

static uint64_t messages_of(const struct mdfh_packet *packet)
{
	uint32_t count;

	if (packet->length < MOLD_HEADER)
		return 0;
	count = (uint32_t)packet->data[MOLD_COUNT_AT] << 8 | packet->data[MOLD_COUNT_AT + 1];
	return count == UINT16_MAX ? 0 : count; /* the end of the session */
}

static int run_count(char **argument, uint64_t want, struct result *result)
{
	struct mdfh_packet packets[BATCH];
	uint64_t end_ns = mdfh_clock_now_ns() + PATIENCE_NS, ticks = 0;
	struct mdfh_bypass *port;
	int rc = open_port(argument, MDFH_DIRECTION_RECEIVE, &port);

	while (!rc && result->messages < want) {
		uint64_t start = mdfh_clock_ticks();
		int n = mdfh_bypass_recv(port, packets, BATCH);

		if (n <= 0) {
			rc = n;
			if (!rc && mdfh_clock_now_ns() > end_ns)
				rc = mdfh_error(-ETIMEDOUT, "%llu of %llu messages came",
				    (unsigned long long)result->messages, (unsigned long long)want);
			continue;
		}
		for (int i = 0; i < n; i++)
			result->messages += messages_of(&packets[i]);
		mdfh_bypass_release(port, packets, n);
		ticks += mdfh_clock_ticks() - start;
		result->packets += (uint64_t)n;
	}
	result->ns = (double)mdfh_clock_ticks_to_ns(ticks);
	if (!rc || result->packets)
		mdfh_bypass_close(port);
	return rc;
}

/* Books ------------------------------------------------------------------------------------ */

static uint64_t events; /* the receive thread's until it has been joined */

static void on_events(
    void *context, const struct mdfh_event *batch, int n, const struct mdfh_books *books)
{
	(void)context;
	(void)batch;
	(void)books;
	events += (uint64_t)n;
}

static int make_handler(char **argument, struct mdfh_handler **handler)
{
	struct mdfh_handler_config *config;
	char text[1024];
	int rc;

	snprintf(text, sizeof(text),
	    "session_date: %s\nsound_at_start: on\n"
	    "threads:\n  - {core: 1, idle: spin}\n"
	    "channels:\n  - protocol: itch50\n    lines:\n"
	    "      - {group: '%s:%s', backend: dpdk, interface: '%s', rx_ring_size: 1024,\n"
	    "         backend_options: 'membership=off'}\n",
	    argument[4], argument[1], argument[2], argument[0]);
	rc = mdfh_handler_config_parse(text, strlen(text), "bench_feed", &config);
	if (rc)
		return rc;
	rc = mdfh_handler_create(config, handler);
	mdfh_handler_config_free(config);
	return rc ? rc : mdfh_handler_on_events(*handler, 0, on_events, NULL);
}

static int run_books(char **argument, uint64_t want, struct result *result, uint64_t *checksum)
{
	const struct timespec nap = {.tv_nsec = 1000000};
	uint64_t end_ns = mdfh_clock_now_ns() + PATIENCE_NS;
	struct mdfh_channel_report report = {0};
	struct mdfh_port_report port;
	struct mdfh_handler *handler = NULL;
	int rc = make_handler(argument, &handler);

	if (!rc)
		rc = mdfh_handler_start(handler);
	while (!rc && mdfh_handler_running(handler) && !mdfh_handler_session_ended(handler) &&
	       mdfh_clock_now_ns() < end_ns)
		nanosleep(&nap, NULL);
	if (!rc)
		rc = mdfh_handler_stop(handler);
	if (!rc)
		rc = mdfh_handler_channel_report(handler, 0, &report);
	if (!rc)
		rc = mdfh_handler_port_report(handler, 0, &port);
	if (!rc && report.messages != want)
		rc = mdfh_error(-EIO, "%llu messages of %llu came",
		    (unsigned long long)report.messages, (unsigned long long)want);
	if (!rc) {
		result->packets = port.stats.rx_packets;
		result->messages = report.messages;
		result->ns = (double)(report.last_ns - report.first_ns);
		*checksum = mdfh_books_checksum(mdfh_handler_books(handler, 0));
	}
	mdfh_handler_destroy(handler);
	return rc;
}

/* ------------------------------------------------------------------------------------------ */

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int is_books = !strcmp(what, "books");
	struct result result = {0};
	uint64_t checksum = 0;
	int rc = mdfh_clock_start();

	if (!rc)
		rc = mdfh_bypass_set_modules_folder(MDFH_MODULES);
	if (!strcmp(what, "send") && argc == 6) {
		rc = rc ? rc : run_send(argv + 2);
	} else if (!strcmp(what, "count") && argc == 6) {
		rc = rc ? rc : run_count(argv + 2, strtoull(argv[5], NULL, 10), &result);
	} else if (is_books && argc == 7) {
		rc = rc ? rc : run_books(argv + 2, strtoull(argv[5], NULL, 10), &result, &checksum);
	} else {
		fprintf(stderr, "usage: bench_feed send FILE INTERFACE GROUP PORT\n"
				"       bench_feed count INTERFACE GROUP PORT MESSAGES\n"
				"       bench_feed books INTERFACE GROUP PORT MESSAGES DATE\n");
		return 2;
	}
	if (rc)
		fprintf(stderr, "bench_feed: %s\n", mdfh_error_text());
	else if (result.messages)
		printf("{\"bench\": \"feed\", \"what\": \"%s\", \"packets\": %llu, "
		       "\"messages\": %llu, \"ns_per_message\": %.2f, \"events\": %llu, "
		       "\"checksum\": \"%016llx\"}\n",
		    what, (unsigned long long)result.packets, (unsigned long long)result.messages,
		    result.ns / (double)result.messages, (unsigned long long)events,
		    (unsigned long long)checksum);
	return rc ? 2 : 0;
}
