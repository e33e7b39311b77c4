/* simulation_report.c - what kernel_bypass_simulation_test shows. */
#include "tools/simulation_report.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "apps/text_out.h"
#include "mdfh/clock.h"
#include "mdfh/version.h"
#include "sim/sender.h"

static const struct {
	const char *name; /* in JSON */
	double percentile;
} percentiles[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99_9", 99.9}, {"p99_99", 99.99}};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What follows from the counts ------------------------------------------------------- */

uint64_t simulation_expected(const struct simulation_report *report)
{
	if (report->sent)
		return report->sent->messages;
	if (report->received->end_sequence)
		return report->received->end_sequence - 1;
	return report->received->tally.highest;
}

uint64_t simulation_lost(const struct simulation_report *report)
{
	return report->received
		   ? probe_tally_missing(&report->received->tally, simulation_expected(report))
		   : 0;
}

int simulation_is_open_ended(const struct simulation_report *report)
{
	return report->received && !report->sent && !report->received->end_sequence;
}

int simulation_is_ok(const struct simulation_report *report)
{
	return !simulation_lost(report) &&
	       (!simulation_is_open_ended(report) || report->is_interrupted) &&
	       !(report->sent && report->sent->is_given_up);
}

static double seconds_between(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? (double)(to_ns - from_ns) / 1e9 : 0;
}

static double sent_seconds(const struct probe_server_stats *sent)
{
	return seconds_between(sent->first_ns, sent->last_ns);
}

static double received_seconds(const struct probe_client_result *received)
{
	return seconds_between(received->first_ns, received->last_ns);
}

static double per_second(uint64_t count, double seconds)
{
	return seconds > 0 ? (double)count / seconds : 0;
}

/* Of a core, in percent. */
static double load(uint64_t cpu_ns, double seconds)
{
	return per_second(cpu_ns, seconds) / 1e7;
}

static uint64_t late_join(const struct probe_client_result *received)
{
	return received->tally.first > 1 ? received->tally.first - 1 : 0;
}

/* Live ------------------------------------------------------------------------------------ */

void simulation_print_live(const struct probe_server *server,
    const struct probe_client_result *received, double seconds, uint64_t new_messages, int in_place)
{
	const struct mdfh_histogram *total = received->latency_ns[PROBE_STAGE_TOTAL];

	fprintf(stderr, "%s%5.0f s", in_place ? "\r\033[K" : "", seconds);
	if (server)
		fprintf(stderr, "  %s sent", text_grouped(probe_server_sent(server)));
	fprintf(stderr,
	    "  %s received  %s messages/s  %s missing  %s duplicates  latency p50 %s, p99 %s%s",
	    text_grouped(received->tally.unique), text_grouped(new_messages),
	    text_grouped(probe_tally_missing(&received->tally, received->tally.highest)),
	    text_grouped(received->tally.duplicates),
	    text_duration(mdfh_histogram_percentile(total, 50)),
	    text_duration(mdfh_histogram_percentile(total, 99)), in_place ? "" : "\n");
	fflush(stderr);
}

/* Text -------------------------------------------------------------------------------------- */

static void print_heading(const struct simulation_report *report)
{
	const struct simulation_options *o = report->options;

	if (report->received)
		printf("%s over %s, ", report->backend, probe_transport_name(o->transport));
	else
		printf("%s, ", probe_transport_name(o->transport));
	printf("%s port %u", simulation_address(o), report->port);
	if (report->sent)
		printf(": %s messages of %u bytes at %s/s, %u due together",
		    text_grouped(report->sent->scheduled), o->message_size,
		    text_grouped((uint64_t)o->rate), o->batch_size);
	puts(report->is_interrupted ? " (interrupted)" : "");
}

static void print_sent(const struct probe_server_stats *sent)
{
	double seconds = sent_seconds(sent);

	printf("sent      %s messages in %s packets, %s bytes, %.3f s, %s messages/s\n",
	    text_grouped(sent->messages), text_grouped(sent->packets), text_grouped(sent->bytes),
	    seconds, text_grouped((uint64_t)per_second(sent->messages, seconds)));
	printf("          late p50 %s, p99 %s, max %s; %s messages by more than %d us\n",
	    text_duration(mdfh_histogram_percentile(sent->lateness_ns, 50)),
	    text_duration(mdfh_histogram_percentile(sent->lateness_ns, 99)),
	    text_duration(mdfh_histogram_max(sent->lateness_ns)), text_grouped(sent->late_messages),
	    MDFH_SENDER_LATE_NS / 1000);
	if (sent->messages < sent->scheduled)
		printf("          %s messages of the schedule were never sent: %s\n",
		    text_grouped(sent->scheduled - sent->messages),
		    sent->is_interrupted ? "interrupted" : "the rate is too high for this host");
	if (sent->full)
		printf("          the kernel had no room %s times\n", text_grouped(sent->full));
}

static void print_received(const struct simulation_report *report)
{
	const struct probe_client_result *r = report->received;
	double seconds = received_seconds(r);

	printf(
	    "received  %s messages in %s packets, %s bytes, %.3f s, %s messages/s, %.1f Mbit/s\n",
	    text_grouped(r->tally.unique), text_grouped(r->port.rx_packets),
	    text_grouped(r->port.rx_bytes), seconds,
	    text_grouped((uint64_t)per_second(r->tally.unique, seconds)),
	    per_second(r->message_bytes, seconds) * 8 / 1e6);
	printf("          %s lost, %s duplicates, %s reordered, %s damaged, %s malformed, %s "
	       "foreign\n",
	    text_grouped(simulation_lost(report)), text_grouped(r->tally.duplicates),
	    text_grouped(r->tally.reordered), text_grouped(r->damaged), text_grouped(r->malformed),
	    text_grouped(r->foreign));
	if (late_join(r))
		printf("          %s of the lost were sent before the first that came\n",
		    text_grouped(late_join(r)));
	if (report->options->transport == PROBE_TCP)
		printf("          %s connections, %s failed, %s ended, %s messages cut by that\n",
		    text_grouped(r->connects), text_grouped(r->port.connect_failures),
		    text_grouped(r->disconnects), text_grouped(r->incomplete));
}

/* "socket 12", or "nic unknown". */
static const char *drop_text(const struct mdfh_bypass_stats *port, unsigned bit, uint64_t count)
{
	return port->known_drops & bit ? text_grouped(count) : "unknown";
}

static void print_drops(const struct probe_client_result *r)
{
	printf("dropped   nic %s, kernel %s, socket %s packets; machine's receive queues %s; "
	       "injected %s\n",
	    drop_text(&r->port, 1, r->port.rx_dropped_nic),
	    drop_text(&r->port, 2, r->port.rx_dropped_kernel),
	    drop_text(&r->port, 4, r->port.rx_dropped_socket), text_grouped(r->kernel_drops),
	    text_grouped(r->fault.lost));
}

static const char *place_name(enum mdfh_place place)
{
	static const char *const names[] = {"none", "software", "kernel", "hardware"};

	return names[place];
}

static void print_port(const struct simulation_report *report)
{
	const struct mdfh_bypass_capabilities *c = report->capabilities;
	const struct mdfh_bypass_stats *p = &report->received->port;

	printf("port      %s%s, time stamps: %s, filters: %s, buffer %s bytes, hold %u, hugepages "
	       "%s, node %d\n",
	    c->zero_copy ? "zero copy" : "copy: ", c->zero_copy ? "" : c->copy_reason,
	    place_name(c->timestamps), place_name(c->filters),
	    text_grouped(c->receive_buffer_bytes), c->hold_max, c->hugepages ? "yes" : "no",
	    c->numa_node);
	printf("          %s calls with packets (%.1f each), %s without; truncated %s, copied %s, "
	       "filtered %s, malformed %s\n",
	    text_grouped(p->rx_batches),
	    p->rx_batches ? (double)p->rx_packets / (double)p->rx_batches : 0,
	    text_grouped(p->rx_empty), text_grouped(p->rx_truncated), text_grouped(p->rx_copied),
	    text_grouped(p->rx_filtered), text_grouped(p->rx_malformed));
	printf("clock     %s, within %u ns of the kernel's; %s stages below zero by that\n",
	    mdfh_clock_is_tsc() ? "time stamp counter" : "clock_gettime", mdfh_clock_error_ns(),
	    text_grouped(report->received->negative));
}

static void print_work(const struct simulation_report *report)
{
	const struct probe_client_result *r = report->received;

	printf("cpu      ");
	if (report->sent)
		printf(" server %.0f %%,", load(report->sent->cpu_ns, sent_seconds(report->sent)));
	printf(" receiver %.0f %%, consumer %.0f %%; ring: at most %s in use, full %s times\n",
	    load(r->receiver_cpu_ns, received_seconds(r)),
	    load(r->consumer_cpu_ns, received_seconds(r)), text_grouped(r->ring_high_water),
	    text_grouped(r->ring_waits));
}

static void print_latency(const struct probe_client_result *r)
{
	printf("%-9s %12s %10s %10s %10s %10s %10s %10s\n", "latency", "samples", "p50", "p90",
	    "p99", "p99.9", "p99.99", "max");
	for (unsigned s = 0; s < PROBE_STAGES; s++) {
		const struct mdfh_histogram *h = r->latency_ns[s];

		if (!mdfh_histogram_count(h))
			continue;
		printf("%-9s %12s", probe_stage_name(s), text_grouped(mdfh_histogram_count(h)));
		for (unsigned p = 0; p < COUNT(percentiles); p++)
			printf(" %10s",
			    text_duration(mdfh_histogram_percentile(h, percentiles[p].percentile)));
		printf(" %10s\n", text_duration(mdfh_histogram_max(h)));
	}
}

static void print_causes(const struct probe_client_result *r)
{
	const struct {
		const char *name;
		uint64_t count;
	} causes[] = {
	    {"packets dropped by the NIC", r->port.rx_dropped_nic},
	    {"packets dropped by the kernel", r->port.rx_dropped_kernel},
	    {"packets dropped by the full socket buffer", r->port.rx_dropped_socket},
	    {"packets dropped by the machine's receive queues", r->kernel_drops},
	    {"packets left out by --inject-loss-ppm", r->fault.lost},
	    {"messages damaged", r->damaged},
	    {"packets malformed", r->malformed},
	    {"messages before the first that came", late_join(r)},
	    {"messages cut by the end of a connection", r->incomplete},
	};
	const char *before = "";

	for (unsigned i = 0; i < COUNT(causes); i++) {
		if (!causes[i].count)
			continue;
		printf("%s%s %s", before, text_grouped(causes[i].count), causes[i].name);
		before = ", ";
	}
	puts(*before ? "" : "no counter of this host rose");
}

static void print_verdict(const struct simulation_report *report)
{
	uint64_t lost = simulation_lost(report);

	if (!report->received) {
		puts("the client says whether anything was lost");
		return;
	}
	if (lost) {
		printf("LOST %s of %s messages: ", text_grouped(lost),
		    text_grouped(simulation_expected(report)));
		print_causes(report->received);
	} else {
		printf("nothing was lost: %s of %s messages came\n",
		    text_grouped(report->received->tally.unique),
		    text_grouped(simulation_expected(report)));
	}
	if (report->sent && report->sent->is_given_up)
		printf("NEVER SENT: %s messages of the schedule\n",
		    text_grouped(report->sent->scheduled - report->sent->messages));
	if (simulation_is_open_ended(report))
		puts("no end mark came: what the server sent after the last message is not known");
}

int simulation_print_text(const struct simulation_report *report)
{
	print_heading(report);
	if (report->sent)
		print_sent(report->sent);
	if (report->received) {
		print_received(report);
		print_drops(report->received);
		if (report->options->verbose)
			print_port(report);
		if (*report->capabilities->warning)
			printf("warning   %s\n", report->capabilities->warning);
		print_work(report);
		print_latency(report->received);
	}
	print_verdict(report);
	return fflush(stdout) ? -EIO : 0;
}

/* JSON -------------------------------------------------------------------------------------- */

static void set_count(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

static json_t *histogram_json(const struct mdfh_histogram *h)
{
	json_t *object = json_object();

	set_count(object, "samples", mdfh_histogram_count(h));
	for (unsigned p = 0; p < COUNT(percentiles); p++)
		set_count(object, percentiles[p].name,
		    mdfh_histogram_percentile(h, percentiles[p].percentile));
	set_count(object, "max", mdfh_histogram_max(h));
	set_count(object, "min", mdfh_histogram_min(h));
	json_object_set_new(object, "mean", json_real(mdfh_histogram_mean(h)));
	return object;
}

static json_t *sent_json(const struct probe_server_stats *sent)
{
	double seconds = sent_seconds(sent);
	json_t *object = json_object();

	set_count(object, "scheduled", sent->scheduled);
	set_count(object, "messages", sent->messages);
	set_count(object, "never_sent", sent->scheduled - sent->messages);
	set_count(object, "packets", sent->packets);
	set_count(object, "bytes", sent->bytes);
	set_count(object, "late_messages", sent->late_messages);
	set_count(object, "late_after_us", MDFH_SENDER_LATE_NS / 1000);
	set_count(object, "kernel_full", sent->full);
	json_object_set_new(object, "seconds", json_real(seconds));
	json_object_set_new(
	    object, "messages_per_second", json_real(per_second(sent->messages, seconds)));
	json_object_set_new(object, "cpu_percent", json_real(load(sent->cpu_ns, seconds)));
	json_object_set_new(object, "lateness_ns", histogram_json(sent->lateness_ns));
	return object;
}

static json_t *known_drop_json(const struct mdfh_bypass_stats *port, unsigned bit, uint64_t count)
{
	return port->known_drops & bit ? json_integer((json_int_t)count) : json_null();
}

static json_t *dropped_json(const struct probe_client_result *r)
{
	json_t *object = json_object();

	json_object_set_new(object, "nic", known_drop_json(&r->port, 1, r->port.rx_dropped_nic));
	json_object_set_new(
	    object, "kernel", known_drop_json(&r->port, 2, r->port.rx_dropped_kernel));
	json_object_set_new(
	    object, "socket", known_drop_json(&r->port, 4, r->port.rx_dropped_socket));
	set_count(object, "machine", r->kernel_drops);
	set_count(object, "injected", r->fault.lost);
	return object;
}

static json_t *received_json(const struct simulation_report *report)
{
	const struct probe_client_result *r = report->received;
	double seconds = received_seconds(r);
	json_t *object = json_object();
	json_t *latency = json_object();

	set_count(object, "expected", simulation_expected(report));
	set_count(object, "messages", r->tally.unique);
	set_count(object, "lost", simulation_lost(report));
	set_count(object, "lost_before_first", late_join(r));
	set_count(object, "duplicates", r->tally.duplicates);
	set_count(object, "reordered", r->tally.reordered);
	set_count(object, "damaged", r->damaged);
	set_count(object, "malformed", r->malformed);
	set_count(object, "foreign", r->foreign);
	set_count(object, "incomplete", r->incomplete);
	set_count(object, "connects", r->connects);
	set_count(object, "disconnects", r->disconnects);
	set_count(object, "message_bytes", r->message_bytes);
	json_object_set_new(object, "end_mark", json_boolean(r->end_sequence != 0));
	json_object_set_new(object, "seconds", json_real(seconds));
	json_object_set_new(
	    object, "messages_per_second", json_real(per_second(r->tally.unique, seconds)));
	json_object_set_new(
	    object, "bits_per_second", json_real(per_second(r->message_bytes, seconds) * 8));
	json_object_set_new(object, "dropped_packets", dropped_json(r));
	for (unsigned s = 0; s < PROBE_STAGES; s++)
		if (mdfh_histogram_count(r->latency_ns[s]))
			json_object_set_new(
			    latency, probe_stage_name(s), histogram_json(r->latency_ns[s]));
	json_object_set_new(object, "latency_ns", latency);
	set_count(object, "ring_high_water", r->ring_high_water);
	set_count(object, "ring_full", r->ring_waits);
	json_object_set_new(
	    object, "receiver_cpu_percent", json_real(load(r->receiver_cpu_ns, seconds)));
	json_object_set_new(
	    object, "consumer_cpu_percent", json_real(load(r->consumer_cpu_ns, seconds)));
	set_count(object, "clock_error_ns", mdfh_clock_error_ns());
	return object;
}

static json_t *port_json(const struct simulation_report *report)
{
	const struct mdfh_bypass_capabilities *c = report->capabilities;
	const struct mdfh_bypass_stats *p = &report->received->port;
	json_t *object = json_object();

	json_object_set_new(object, "zero_copy", json_boolean(c->zero_copy));
	json_object_set_new(object, "copy_reason", json_string(c->copy_reason));
	json_object_set_new(object, "timestamps", json_string(place_name(c->timestamps)));
	json_object_set_new(object, "filters", json_string(place_name(c->filters)));
	json_object_set_new(object, "hugepages", json_boolean(c->hugepages));
	json_object_set_new(object, "numa_node", json_integer(c->numa_node));
	json_object_set_new(object, "warning", json_string(c->warning));
	set_count(object, "receive_buffer_bytes", c->receive_buffer_bytes);
	set_count(object, "hold_max", c->hold_max);
	set_count(object, "rx_packets", p->rx_packets);
	set_count(object, "rx_bytes", p->rx_bytes);
	set_count(object, "rx_batches", p->rx_batches);
	set_count(object, "rx_empty", p->rx_empty);
	set_count(object, "rx_truncated", p->rx_truncated);
	set_count(object, "rx_copied", p->rx_copied);
	set_count(object, "rx_filtered", p->rx_filtered);
	set_count(object, "rx_malformed", p->rx_malformed);
	return object;
}

int simulation_print_json(const struct simulation_report *report)
{
	static const char *const modes[] = {"both", "server", "client"};
	const struct simulation_options *o = report->options;
	json_t *root = json_object();
	int rc;

	json_object_set_new(root, "program", json_string("kernel_bypass_simulation_test"));
	json_object_set_new(root, "version", json_string(MDFH_VERSION));
	json_object_set_new(root, "mode", json_string(modes[o->mode]));
	json_object_set_new(
	    root, "backend", report->backend ? json_string(report->backend) : json_null());
	json_object_set_new(root, "transport", json_string(probe_transport_name(o->transport)));
	json_object_set_new(root, "address", json_string(simulation_address(o)));
	set_count(root, "port_number", report->port);
	json_object_set_new(root, "interrupted", json_boolean(report->is_interrupted));
	if (report->sent) {
		json_object_set_new(root, "rate", json_real(o->rate));
		set_count(root, "batch_size", o->batch_size);
		set_count(root, "message_size", o->message_size);
		set_count(root, "seed", o->seed);
		json_object_set_new(root, "sent", sent_json(report->sent));
	}
	if (report->received) {
		json_object_set_new(root, "received", received_json(report));
		json_object_set_new(root, "port", port_json(report));
		json_object_set_new(root, "ok", json_boolean(simulation_is_ok(report)));
	}
	rc = json_dumpf(root, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
	json_decref(root);
	puts("");
	return rc || fflush(stdout) ? -EIO : 0;
}
