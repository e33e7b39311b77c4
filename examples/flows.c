/* flows.c - what a capture holds: packets and bytes of each destination, and the time between packets.
 *
 *     flows CAPTURE */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <mdfh/capture.h>
#include <mdfh/error.h>
#include <mdfh/frame.h>
#include <mdfh/histogram.h>

enum { FLOWS_MAX = 256 };

struct flow {
	uint8_t address[16];
	uint16_t port;
	uint64_t packets;
	uint64_t bytes;
};

static struct flow flows[FLOWS_MAX];
static int flow_count;

static struct flow *find_flow(const struct mdfh_frame *parsed)
{
	for (int i = 0; i < flow_count; i++)
		if (flows[i].port == parsed->destination_port &&
		    !memcmp(flows[i].address, parsed->destination, 16))
			return &flows[i];
	if (flow_count == FLOWS_MAX)
		errx(1, "more than %d flows", FLOWS_MAX);
	memcpy(flows[flow_count].address, parsed->destination, 16);
	flows[flow_count].port = parsed->destination_port;
	return &flows[flow_count++];
}

int main(int argc, char **argv)
{
	struct mdfh_histogram *between;
	struct mdfh_capture *capture;
	struct mdfh_capture_frame frame;
	char text[MDFH_ENDPOINT_TEXT_MAX];
	uint64_t last_ns = 0;
	int rc;

	if (argc != 2)
		errx(2, "usage: flows CAPTURE");
	if (mdfh_capture_open(argv[1], &capture) ||
	    mdfh_histogram_create(1000000000000, &between)) /* up to 1000 s */
		errx(2, "%s", mdfh_error_text());
	while ((rc = mdfh_capture_next(capture, &frame)) == 1) {
		struct mdfh_frame parsed;
		struct flow *flow;

		if (last_ns && frame.time_ns >= last_ns)
			mdfh_histogram_record(between, frame.time_ns - last_ns);
		last_ns = frame.time_ns;
		if (mdfh_frame_parse(frame.link_type, frame.data, frame.captured, frame.wire_length,
			&parsed) != MDFH_FRAME_OK)
			continue;
		flow = find_flow(&parsed);
		flow->packets++;
		flow->bytes += parsed.payload_wire_length;
	}
	if (rc < 0)
		warnx("%s", mdfh_error_text()); /* what came before it counts */
	for (int i = 0; i < flow_count; i++)
		printf("%-24s %10" PRIu64 " packets %12" PRIu64 " bytes\n",
		    mdfh_endpoint_text(flows[i].address, flows[i].port, text), flows[i].packets,
		    flows[i].bytes);
	printf("between packets: median %" PRIu64 " ns, 99 %% within %" PRIu64
	       " ns, at most %" PRIu64 " ns\n",
	    mdfh_histogram_percentile(between, 50), mdfh_histogram_percentile(between, 99),
	    mdfh_histogram_max(between));
	mdfh_histogram_destroy(between);
	mdfh_capture_close(capture);
	return rc < 0 ? 1 : 0;
}
