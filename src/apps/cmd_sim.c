/* cmd_sim.c - mdfh sim: a made-up exchange on one or two multicast lines, or into a file.
 *
 * The day is generated before it is sent and its books are kept by the reference book, so at the
 * end there is something to hold a receiver's books against. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "apps/commands.h"
#include "apps/sim_options.h"
#include "apps/sim_output.h"
#include "apps/sim_soup.h"
#include "apps/sim_summary.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "proto/decoder.h"

#define VENUE_TIMEZONE "America/New_York"
/* When a capture begins: the opening of the market. */
#define CAPTURE_START_NS (34200ll * 1000000000)

/* The sender that a signal stops, NULL while there is none; read by the signal handler, which
 * runs in whichever thread the signal hits. */
static _Atomic(struct mdfh_sender *) interrupted_sender;
static volatile sig_atomic_t interrupted;

static int fail(void)
{
	fprintf(stderr, "mdfh sim: %s\n", mdfh_error_text());
	return 2;
}

/* Times of day ---------------------------------------------------------------------- */

/* Midnight of the venue's day: of a date, or of today. */
static int venue_midnight(const char *date, int64_t *midnight_ns)
{
	if (date)
		return mdfh_midnight_of_date(VENUE_TIMEZONE, date, midnight_ns);
	return mdfh_midnight_before(VENUE_TIMEZONE, (int64_t)mdfh_clock_now_ns(), midnight_ns);
}

/* The books first, so that whoever waits for the file does not wait for a terminal. */
static int finish(const struct sim_run *run)
{
	if (run->options->books_out && mdfh_refbook_write_file(run->book, run->options->books_out))
		return fail();
	return sim_summary_print(run) ? 2 : 0;
}

/* Progress ------------------------------------------------------------------------------ */

/* At most once a second, by a clock of its own: a capture's goes as fast as it is written. A
 * terminal has one line that changes, everything else a line each time. */
static void show_progress(const struct sim_options *options, const char *done, uint64_t messages)
{
	static time_t shown;
	struct timespec now;

	if (!options->status && !isatty(STDERR_FILENO))
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec == shown)
		return;
	shown = now.tv_sec;
	fprintf(stderr, "%smdfh sim: %3.0f %% %s%s", options->status ? "" : "\r",
	    100 * (double)messages / (double)options->day.messages, done,
	    options->status ? "\n" : " ");
}

static void show_sent(void *context, uint64_t messages)
{
	const struct sim_options *options = context;

	show_progress(options, options->out ? "written" : "sent", messages);
}

static int wait_for_listeners(
    const struct sim_options *options, struct sim_output *output, struct mdfh_soup_feed *soup)
{
	int is_waiting = options->wait_s && !options->out;
	int is_of_kernel = sim_output_is_of_kernel(options->backend);
	int err = 0;

	if (is_waiting && options->is_multicast && !is_of_kernel)
		err = sim_output_wait_for_link(output, options->wait_s);
	for (uint32_t i = 0;
	     !err && is_waiting && options->is_multicast && is_of_kernel && i < options->lines; i++)
		err = sim_output_wait_for_listener(&options->endpoints[i], options->wait_s);
	if (!err && is_waiting && soup)
		err = mdfh_soup_feed_wait_for_client(soup, options->wait_s);
	return err;
}

/* Wait until the day lies ready. 0, or 1 when the user had enough. */
static int wait_for_day(struct mdfh_stream *stream, const struct sim_options *options)
{
	while (!interrupted && !mdfh_stream_wait_ready(stream, 500)) {
		show_progress(options, "generated", mdfh_stream_made(stream));
	}
	return interrupted != 0;
}

/* A file of messages ---------------------------------------------------------------------- */

/* All messages, each with its length before it, then a record of no bytes, which ends the session.
 * An error of the day, or -EIO and the reason. */
static int write_records(struct mdfh_day *day, FILE *stream, struct sim_run *run)
{
	uint8_t record[MDFH_DAY_MESSAGE_MAX + 2] = {0};
	int length = 0;

	while (!interrupted && (length = mdfh_day_next(day, record + 2)) > 0) {
		record[1] = (uint8_t)length;
		if (fwrite(record, 1, (size_t)length + 2, stream) != (size_t)length + 2)
			return mdfh_error_errno(-errno, "%s", run->options->out);
		run->messages++;
		run->bytes += (uint64_t)length + 2;
		if (!(run->messages & 0xffff))
			show_sent((void *)run->options, run->messages);
	}
	if (length < 0)
		return length;
	run->bytes += 2;
	if (fwrite((const uint8_t[2]){0, 0}, 1, 2, stream) != 2 || fflush(stream))
		return mdfh_error_errno(-errno, "%s", run->options->out);
	return 0;
}

static int write_binaryfile(const struct sim_options *options)
{
	struct sim_run run = {.options = options};
	struct sim_file file = {0};
	struct mdfh_day *day = NULL;
	FILE *stream = NULL;
	int err = mdfh_day_create(&options->day, &day);

	if (!err)
		err = sim_file_name(&file, options->out);
	if (!err) {
		stream = fopen(file.temporary, "we");
		if (!stream)
			err = mdfh_error_errno(-errno, "%s", file.temporary);
	}
	if (!err)
		err = write_records(day, stream, &run);
	if (stream && fclose(stream) && !err)
		err = mdfh_error_errno(-errno, "%s", file.temporary);
	err = sim_file_finish(&file, err);
	if (!err)
		run.book = mdfh_day_book(day);
	err = err ? fail() : finish(&run);
	mdfh_day_destroy(day);
	return err;
}

/* Packets ---------------------------------------------------------------------------------- */

/* The first signal ends the day early, with its books; a second one ends the program. */
static void on_signal(int number)
{
	struct mdfh_sender *sender = atomic_load(&interrupted_sender);

	(void)number;
	interrupted = 1;
	if (sender)
		mdfh_sender_stop(sender);
}

static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* What was sent of an interrupted day: the same day again, up to there. */
static int repeat_day(const struct sim_options *options, uint64_t messages, struct mdfh_day **day)
{
	uint8_t message[MDFH_DAY_MESSAGE_MAX];
	int err = mdfh_day_create(&options->day, day);

	for (uint64_t i = 0; !err && i < messages; i++) {
		int length = mdfh_day_next(*day, message);

		if (length < 0)
			err = length;
	}
	return err;
}

static int open_output(
    const struct sim_options *options, struct sim_output **output, int64_t *midnight)
{
	if (venue_midnight(options->date, midnight))
		return -1;
	if (options->out)
		return sim_output_open_capture(options->out, options->endpoints, options->lines,
		    (uint64_t)(*midnight + CAPTURE_START_NS), output);
	if (!options->is_multicast)
		return sim_output_open_nowhere(output);
	for (uint32_t i = 0; !options->transmit && i < options->lines; i++) {
		if (sim_output_check(
			options->backend, options->interface, &options->endpoints[i], options->ttl))
			return -1;
	}
	for (uint32_t i = 0; sim_output_is_of_kernel(options->backend) && i < options->lines; i++) {
		if (sim_output_check_route(options->interface, &options->endpoints[i]))
			return -1;
	}
	return sim_output_open_port(options->backend, options->backend_options, options->interface,
	    options->endpoints, options->lines, options->ttl, output);
}

static int create_publisher(const struct sim_options *options, struct mdfh_stream *stream,
    struct mdfh_publisher **publisher)
{
	struct mdfh_publisher_config config = {
	    .stream = stream,
	    .rate = options->rate,
	    .burst = options->burst,
	    .flush_ns = options->flush_us * 1000,
	    .payload_max = options->payload,
	    .clock_start_ns = -1,
	};

	memcpy(config.session, options->session, sizeof(config.session));
	return mdfh_publisher_create(&config, publisher);
}

/* The most packets a second: one for each message, or full ones and those that --flush-us closes;
 * in the highest burst or the busiest phase. */
static double packets_per_s_max(const struct sim_options *options, const struct mdfh_day *day)
{
	double rate = options->rate * options->burst * mdfh_day_pace_max(day);

	for (unsigned i = 0; options->scenario && i < options->scenario->events_count; i++)
		rate = fmax(rate, options->rate * options->scenario->events[i].factor);
	return fmin(rate, rate * MDFH_DAY_MESSAGE_MAX / (options->payload - 72 + 1) +
			      1e6 / fmax((double)options->flush_us, 1));
}

static void add_faults(const struct sim_options *options, struct mdfh_sender_config *config)
{
	const struct mdfh_scenario *scenario = options->scenario;

	for (unsigned i = 0; scenario && i < scenario->lines_count; i++) {
		const struct mdfh_scenario_fault *fault = &scenario->lines[i];

		config->faults[config->faults_count++] = (struct mdfh_line_fault){
		    .line = fault->line,
		    .is_silent = fault->is_silent,
		    .drop_ppm = fault->drop_ppm,
		    .skew_ns = fault->skew_us * 1000ull,
		};
	}
}

static int send_day(const struct sim_options *options, struct mdfh_stream *stream,
    struct sim_output *output, struct mdfh_soup_feed *soup, int64_t midnight_ns)
{
	struct sim_run run = {.options = options};
	struct mdfh_publisher *publisher = NULL;
	struct mdfh_sender *sender = NULL;
	struct mdfh_day *repeated = NULL;
	struct mdfh_sender_config config = {
	    .transport = *sim_output_transport(output),
	    .payload_max = options->payload,
	    .packets_per_s_max = packets_per_s_max(options, mdfh_stream_day(stream)),
	    .lines = options->lines,
	    .seed = options->day.seed,
	    .skew_ns = options->skew_us * 1000,
	    .heartbeat_ns = options->heartbeat_ms * 1000000,
	    .linger_ns = (uint64_t)(options->linger_s * 1e9),
	    .drop = {options->drop[0], options->drop[1]},
	    .progress = show_sent,
	    .progress_context = (void *)options,
	};
	int status = 2;

	add_faults(options, &config);
	sim_soup_attach(soup, &config);
	if (!options->is_multicast) /* nobody hears the end repeated */
		config.linger_ns = 0;
	if (create_publisher(options, stream, &publisher))
		goto out_error;
	config.publisher = publisher;
	config.start_ns = config.transport.now_ns(config.transport.context) +
			  (uint64_t)(options->start_delay_s * 1e9);
	if (options->clock != SIM_CLOCK_DAY)
		mdfh_publisher_set_clock(publisher, (int64_t)config.start_ns - midnight_ns);
	if (mdfh_sender_create(&config, &sender))
		goto out_error;
	atomic_store(&interrupted_sender, sender);
	if (interrupted) /* between the last look and the line before */
		mdfh_sender_stop(sender);
	if (mdfh_sender_run(sender))
		goto out_error;
	if (isatty(STDERR_FILENO) && !options->status)
		fputc('\n', stderr);

	if (soup) {
		mdfh_soup_feed_finish_wait(soup, (uint64_t)(options->linger_s * 1e9));
		run.soup = mdfh_soup_feed_stats(soup);
	}
	run.sent = mdfh_sender_stats(sender);
	run.messages = run.sent->messages;
	run.book = mdfh_day_book(mdfh_stream_day(stream));
	if (run.sent->is_interrupted) {
		if (repeat_day(options, run.messages, &repeated))
			goto out_error;
		run.book = mdfh_day_book(repeated);
	}
	status = finish(&run);
	if (!status && sim_summary_is_late(&run))
		status = 1;
	goto out;

out_error:
	status = fail();
out:
	atomic_store(&interrupted_sender, NULL);
	mdfh_sender_destroy(sender);
	mdfh_publisher_destroy(publisher);
	mdfh_day_destroy(repeated);
	return status;
}

int mdfh_command_sim(int argc, char **argv)
{
	struct sim_options options;
	struct mdfh_stream *stream = NULL;
	struct sim_output *output = NULL;
	struct mdfh_soup_feed *soup = NULL;
	int64_t midnight_ns = 0;
	int status = 2;

	if (sim_options_parse(argc, argv, &options))
		return 2;
	catch_signals();
	if (sim_options_is_binaryfile(&options)) {
		status = write_binaryfile(&options);
		sim_options_free(&options);
		return status;
	}

	if (open_output(&options, &output, &midnight_ns) || sim_soup_open(&options, &soup) ||
	    mdfh_stream_start(&options.day, options.ahead_mib << 20, &stream) ||
	    wait_for_listeners(&options, output, soup))
		status = fail();
	else if (wait_for_day(stream, &options))
		fprintf(stderr, "mdfh sim: interrupted before the first message\n");
	else
		status = send_day(&options, stream, output, soup, midnight_ns);
	if (status == 2)
		sim_output_discard(output);
	else if (sim_output_close(output))
		status = fail();
	mdfh_soup_feed_destroy(soup);
	mdfh_stream_stop(stream);
	sim_options_free(&options);
	return status;
}
