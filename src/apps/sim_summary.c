/* sim_summary.c - what mdfh sim says at the end: text for people, JSON for programs. */
#include "apps/sim_summary.h"

#include "apps/sim_soup.h"
#include "apps/std_streams.h"

#include <jansson.h>
#include <stdio.h>

static double microseconds(uint64_t ns)
{
	return (double)ns / 1000;
}

static json_t *line_json(const struct mdfh_sender_line *line)
{
	const struct mdfh_histogram *lateness = line->lateness_ns;

	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:{s:f,s:f,s:f,s:f}}", "packets",
	    (json_int_t)line->packets, "messages", (json_int_t)line->messages, "bytes",
	    (json_int_t)line->bytes, "heartbeats", (json_int_t)line->heartbeats, "ends_of_session",
	    (json_int_t)line->ends, "dropped_packets", (json_int_t)line->dropped_packets,
	    "dropped_messages", (json_int_t)line->dropped_messages, "late_messages",
	    (json_int_t)line->late_messages, "refused_calls", (json_int_t)line->refused_calls,
	    "lateness_us", "p50", microseconds(mdfh_histogram_percentile(lateness, 50)), "p99",
	    microseconds(mdfh_histogram_percentile(lateness, 99)), "p999",
	    microseconds(mdfh_histogram_percentile(lateness, 99.9)), "max",
	    microseconds(mdfh_histogram_max(lateness)));
}

static double sent_seconds(const struct mdfh_sender_stats *sent)
{
	return sent->last_ns > sent->first_ns ? (double)(sent->last_ns - sent->first_ns) / 1e9 : 0;
}

/* Of the messages of all lines, those that were late. */
static double late_part(const struct sim_run *run)
{
	uint64_t late = 0;
	uint64_t messages = 0;

	for (uint32_t i = 0; i < run->options->lines; i++) {
		late += run->sent->lines[i].late_messages;
		messages += run->sent->lines[i].messages;
	}
	return messages ? (double)late / (double)messages : 0;
}

/* A second late in the end, or one in a hundred messages late: the rate was too high for here. */
static int schedule_held(const struct sim_run *run)
{
	return late_part(run) <= 0.01 && run->sent->last_ns < run->sent->last_due_ns + 1000000000u;
}

static double due_seconds(const struct mdfh_sender_stats *sent)
{
	return sent->last_due_ns > sent->first_ns
		   ? (double)(sent->last_due_ns - sent->first_ns) / 1e9
		   : 0;
}

static int print_json(const struct sim_run *run)
{
	char checksum[20];
	json_t *root;
	int rc;

	snprintf(checksum, sizeof(checksum), "%016llx",
	    (unsigned long long)mdfh_refbook_checksum(run->book));
	root = json_pack("{s:I,s:I,s:I,s:s,s:I}", "messages", (json_int_t)run->messages, "orders",
	    (json_int_t)mdfh_refbook_orders(run->book), "symbols",
	    (json_int_t)mdfh_refbook_symbols(run->book), "checksum", checksum, "seed",
	    (json_int_t)run->options->day.seed);
	if (run->sent) {
		json_t *lines = json_array();
		double seconds = sent_seconds(run->sent);

		for (uint32_t i = 0; i < run->options->lines; i++)
			json_array_append_new(lines, line_json(&run->sent->lines[i]));
		json_object_set_new(root, "seconds", json_real(seconds));
		json_object_set_new(
		    root, "rate", json_real(seconds > 0 ? (double)run->messages / seconds : 0));
		json_object_set_new(root, "due_seconds", json_real(due_seconds(run->sent)));
		json_object_set_new(root, "due_rate",
		    json_real(due_seconds(run->sent) > 0
				  ? (double)run->messages / due_seconds(run->sent)
				  : 0));
		json_object_set_new(root, "schedule_held", json_boolean(schedule_held(run)));
		json_object_set_new(
		    root, "lost_on_both", json_integer((json_int_t)run->sent->lost_on_both));
		json_object_set_new(root, "interrupted", json_boolean(run->sent->is_interrupted));
		json_object_set_new(root, "lines", lines);
		if (run->soup)
			json_object_set_new(root, "soupbintcp", sim_soup_json(run->soup));
	}
	rc = json_dumpf(root, stdout, JSON_COMPACT);
	json_decref(root);
	puts("");
	return rc;
}

static void print_text(const struct sim_run *run)
{
	if (run->sent) {
		double seconds = sent_seconds(run->sent);

		printf("%llu messages in %llu packets, %.3f s, %.0f messages/s (due: %.3f s)%s\n",
		    (unsigned long long)run->messages, (unsigned long long)run->sent->packets,
		    seconds, seconds > 0 ? (double)run->messages / seconds : 0,
		    due_seconds(run->sent), run->sent->is_interrupted ? " (interrupted)" : "");
		for (uint32_t i = 0; i < run->options->lines; i++) {
			const struct mdfh_sender_line *line = &run->sent->lines[i];

			if (!run->options->is_multicast)
				printf("schedule of ");
			printf("line %c: %llu packets, %llu left out with %llu messages; lateness "
			       "p50 %.1f us, p99 %.1f us, max %.1f us; %llu messages late by more "
			       "than %d us\n",
			    'A' + (int)i, (unsigned long long)line->packets,
			    (unsigned long long)line->dropped_packets,
			    (unsigned long long)line->dropped_messages,
			    microseconds(mdfh_histogram_percentile(line->lateness_ns, 50)),
			    microseconds(mdfh_histogram_percentile(line->lateness_ns, 99)),
			    microseconds(mdfh_histogram_max(line->lateness_ns)),
			    (unsigned long long)line->late_messages, MDFH_SENDER_LATE_NS / 1000);
		}
		if (!schedule_held(run))
			printf(
			    "the schedule was not held: %.1f %% of the messages were late by more "
			    "than %d us, and the last packet by %.3f ms: this rate is too high "
			    "for this machine as it is now\n",
			    100 * late_part(run), MDFH_SENDER_LATE_NS / 1000,
			    (double)(run->sent->last_ns - run->sent->last_due_ns) / 1e6);
		if (run->soup)
			sim_soup_print(run->soup);
		if (run->sent->lost_on_both)
			printf("left out of every line: %llu messages\n",
			    (unsigned long long)run->sent->lost_on_both);
	} else {
		printf("%llu messages, %llu bytes\n", (unsigned long long)run->messages,
		    (unsigned long long)run->bytes);
	}
	printf("books: %llu orders in %llu symbols, checksum %016llx\n",
	    (unsigned long long)mdfh_refbook_orders(run->book),
	    (unsigned long long)mdfh_refbook_symbols(run->book),
	    (unsigned long long)mdfh_refbook_checksum(run->book));
}

int sim_summary_is_late(const struct sim_run *run)
{
	uint64_t allowed_ns = run->options->max_late_us * 1000;

	for (uint32_t i = 0; run->options->max_late_us < UINT64_MAX && i < run->options->lines;
	     i++) {
		uint64_t worst = mdfh_histogram_max(run->sent->lines[i].lateness_ns);

		if (worst > allowed_ns) {
			fprintf(stderr,
			    "mdfh sim: line %c: a message went out %.1f us after its time; "
			    "--max-late allows %llu us\n",
			    'A' + (int)i, microseconds(worst),
			    (unsigned long long)run->options->max_late_us);
			return 1;
		}
	}
	return 0;
}

int sim_summary_print(const struct sim_run *run)
{
	int err = 0;

	if (!run->options->json)
		print_text(run);
	else
		err = print_json(run);
	/* What standard output could not take is said at the end of the program. */
	fflush(stdout);
	return err && !std_streams_closed() ? -1 : 0;
}
