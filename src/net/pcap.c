/* pcap.c - a capture file as a source of packets.
 *
 * Pace: every packet is due at start + (its capture time - the first one's) / speed, counted from
 * one start: an error made at one packet is not carried to the next, however long the file is.
 * Speed 0 has no clock at all.
 *
 * Frames are copied out of the reader, whose buffer lasts for one frame only, into slots on a free
 * list, so packets can be held and given back in any order. With all slots held recv returns 0
 * and the file waits: nothing is lost here that was recorded. */
#include "net/pcap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/lines.h"
#include "mdfh/capture.h"
#include "mdfh/error.h"
#include "net/frame_path.h"
#include "net/net.h"
#include "net/pool.h"

enum {
	HEADER_ROOM = 128, /* frame bytes kept before the payload; a longer header is left out */
	FRAMES_PER_RECV = 1024, /* looked at in one call, so that it ends even if none matches */
};

struct pcap_port {
	struct mdfh_bypass base; /* first, so a port pointer is a pcap_port pointer */
	struct mdfh_capture *capture;
	struct mdfh_flow_table flows;
	struct mdfh_trailer_reader trailer;
	uint64_t (*now)(void *context);
	void *clock_context;
	int stamps;        /* 1 = receive_ns is the capture time; 0 = timestamps are off */
	int own_clock;     /* 1 = now is not CLOCK_MONOTONIC */
	double inverse;    /* 1 / speed; 0 = flat out */
	uint64_t start;    /* clock, when the first packet was due */
	uint64_t first_ns; /* its capture time */
	int started;       /* start and first_ns are set */
	int pending;       /* frame, parsed and flow hold a packet that is not due yet */
	int ended;
	uint16_t flow;
	struct mdfh_capture_frame frame;
	struct mdfh_frame parsed;
	struct mdfh_pool slots;
	uint32_t frame_size;
	char warning[256];
};

static uint64_t monotonic(void *context)
{
	struct timespec now;

	(void)context;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* Setup ----------------------------------------------------------------- */

static int check(const struct mdfh_bypass_config *config)
{
	if (!config->file || !config->file[0])
		return mdfh_error(-EINVAL,
		    "pcap: file is not set; give a capture file, or \"-\" for standard input");
	if (config->direction == MDFH_DIRECTION_SEND)
		return mdfh_error(-ENOTSUP, "pcap: direction is send; a capture can only be read");
	if (config->transport == MDFH_TRANSPORT_TCP)
		return mdfh_error(
		    -ENOTSUP, "pcap: transport is TCP; packets of captures are UDP only");
	if (config->require_zero_copy == MDFH_ON)
		return mdfh_error(
		    -ENOTSUP, "pcap: require_zero_copy is on; frames of a file are always copied");
	if (config->timestamps == MDFH_TIMESTAMPS_HARDWARE ||
	    config->timestamps == MDFH_TIMESTAMPS_SOFTWARE)
		return mdfh_error(-ENOTSUP,
		    "pcap: timestamps of a source are asked for; a capture has its own, so use "
		    "default or off");
	return 0;
}

static int take_slots(struct pcap_port *pcap, const struct mdfh_bypass_config *config)
{
	uint32_t hold = config->hold_max ? config->hold_max : config->rx_ring_size;
	/* A batch more than may be held, so that a caller at the limit still receives. */
	int error = mdfh_pool_map(&pcap->slots, "pcap", hold + config->batch_size,
	    HEADER_ROOM + config->frame_size, config);

	if (error)
		return error;
	pcap->base.capabilities.hold_max = hold;
	return 0;
}

static void pcap_close_port(struct mdfh_bypass *port)
{
	struct pcap_port *pcap = (struct pcap_port *)port;

	mdfh_capture_close(pcap->capture);
	mdfh_pool_unmap(&pcap->slots);
	free(pcap);
}

static int pcap_open_port(const struct mdfh_bypass_config *config, struct mdfh_bypass **port)
{
	struct pcap_port *pcap;
	int error = check(config);

	*port = NULL;
	if (error)
		return error;
	pcap = mdfh_lines_alloc(1, sizeof(*pcap));
	if (!pcap)
		return mdfh_error(-ENOMEM, "pcap: %zu bytes", sizeof(*pcap));
	error = mdfh_flow_table_compile(&pcap->flows, config->flows, config->flow_count);
	if (error)
		goto fail;
	error = mdfh_capture_open(config->file, &pcap->capture);
	if (error)
		goto fail;
	pcap->base.capabilities = (struct mdfh_bypass_capabilities){
	    .size = sizeof(pcap->base.capabilities),
	    .copy_reason = "file",
	    .filters = MDFH_PLACE_SOFTWARE,
	    .is_finite = 1,
	    .queues = 1,
	    .frame_size = config->frame_size,
	    .poll_fd = -1,
	    .drops_in_recv = 1,
	    .numa_node = -1,
	    .warning = "",
	};
	error = take_slots(pcap, config);
	if (error)
		goto fail;
	pcap->base.capabilities.hugepages = pcap->slots.region.reserved_hugepages;
	pcap->base.capabilities.numa_node = pcap->slots.region.node;
	pcap->frame_size = config->frame_size;
	pcap->trailer.kind = config->trailer;
	pcap->stamps = config->timestamps != MDFH_TIMESTAMPS_OFF;
	pcap->now = monotonic;
	pcap->inverse = config->speed > 0 ? 1 / config->speed : 0;
	*port = &pcap->base;
	return 0;

fail:
	pcap_close_port(&pcap->base);
	return error;
}

void mdfh_pcap_set_clock(struct mdfh_bypass *port, uint64_t (*now)(void *context), void *context)
{
	struct pcap_port *pcap = (struct pcap_port *)port;

	pcap->now = now;
	pcap->clock_context = context;
	pcap->own_clock = 1;
}

/* Data path: no allocation, no logging, the reader's read(2) per 256 KiB --- */

/* The file's end, once. A file that ends in the middle of a record has lost at least that one
 * frame: it is counted, and capabilities.warning tells which. */
static void at_end(struct pcap_port *pcap, int status)
{
	pcap->ended = 1;
	if (status == 0)
		return;
	pcap->base.stats.rx_malformed++;
	pcap->base.stats.malformed[MDFH_FRAME_CUT]++;
	snprintf(pcap->warning, sizeof(pcap->warning), "%s", mdfh_error_text());
	pcap->base.capabilities.warning = pcap->warning;
}

/* Bring the next packet that some flow wants into frame, parsed and flow. 1; 0 = the file has
 * ended, or *budget frames have been looked at. */
static int next_packet(struct pcap_port *pcap, int *budget)
{
	while (!pcap->ended && *budget > 0) {
		int status = mdfh_capture_next(pcap->capture, &pcap->frame);

		(*budget)--;
		if (status != 1) {
			at_end(pcap, status);
			break;
		}
		if (!mdfh_frame_path(&pcap->base.stats, &pcap->flows, pcap->frame.link_type,
			pcap->frame.data, pcap->frame.captured, pcap->frame.wire_length,
			&pcap->parsed, &pcap->flow))
			continue;
		pcap->pending = 1;
		return 1;
	}
	return 0;
}

/* When the pending packet is due by the port's clock. A capture time before the first one's (the
 * recorder's clock was set back) is due at once. */
static uint64_t due(const struct pcap_port *pcap)
{
	uint64_t offset =
	    pcap->frame.time_ns > pcap->first_ns ? pcap->frame.time_ns - pcap->first_ns : 0;
	double scaled = (double)offset * pcap->inverse;

	/* Far beyond any life of this process; keeps the sum in 64 bits. */
	return scaled < 0x1p62 ? pcap->start + (uint64_t)scaled : UINT64_MAX;
}

/* Copy the pending frame to a slot: the headers stand before the payload as they were. */
static void hand_out(struct pcap_port *pcap, struct mdfh_packet *packet)
{
	const struct mdfh_frame *parsed = &pcap->parsed;
	struct mdfh_bypass_stats *stats = &pcap->base.stats;
	uint32_t slot = mdfh_pool_take(&pcap->slots);
	uint8_t *data = mdfh_pool_at(&pcap->slots, slot) + HEADER_ROOM;
	uint32_t header = parsed->payload_offset <= HEADER_ROOM ? parsed->payload_offset : 0;
	uint32_t length = parsed->payload_length;
	int truncated = parsed->truncated;
	int held_over =
	    pcap->slots.count - pcap->slots.free_count > pcap->base.capabilities.hold_max;

	if (length > pcap->frame_size) {
		length = pcap->frame_size;
		truncated = 1;
	}
	memcpy(data - header, pcap->frame.data + parsed->payload_offset - header, header + length);
	*packet = (struct mdfh_packet){
	    .data = data,
	    .receive_ns = pcap->stamps ? pcap->frame.time_ns : 0,
	    .cookie = slot,
	    .length = length,
	    .time_error_ns = UINT32_MAX, /* a capture does not say */
	    .flow = pcap->flow,
	    .flags = (uint16_t)((pcap->stamps && pcap->frame.time_ns
					? MDFH_PACKET_TIME_CAPTURE | MDFH_PACKET_RECORDED
					: 0) |
				(truncated ? MDFH_PACKET_TRUNCATED : 0) |
				(held_over ? MDFH_PACKET_COPIED : 0)),
	    .header_length = (uint16_t)header,
	};
	mdfh_frame_trailer(stats, &pcap->trailer, pcap->frame.data, pcap->frame.captured,
	    pcap->frame.wire_length, parsed, packet);
	pcap->slots.held[slot] = 1;
	stats->rx_bytes += length;
	stats->rx_truncated += (unsigned)truncated;
	stats->rx_copied += (unsigned)held_over;
	pcap->pending = 0;
}

static int pcap_recv(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	struct pcap_port *pcap = (struct pcap_port *)port;
	int budget = FRAMES_PER_RECV;
	uint64_t now = 0;
	int got = 0;

	if (pcap->inverse > 0)
		now = pcap->now(pcap->clock_context);
	while (got < n && pcap->slots.free_count) {
		if (!pcap->pending && !next_packet(pcap, &budget))
			break;
		if (!pcap->started) {
			pcap->start = now;
			pcap->first_ns = pcap->frame.time_ns;
			pcap->started = 1;
		}
		if (pcap->inverse > 0 && due(pcap) > now)
			break;
		hand_out(pcap, &packets[got++]);
	}
	if (!got) {
		int over = pcap->ended && !pcap->pending;

		port->stats.rx_empty++;
		port->stats.rx_starved += !pcap->slots.free_count && !over;
		return over ? -ENODATA : 0;
	}
	port->stats.rx_packets += (uint64_t)got;
	port->stats.rx_batches++;
	return got;
}

/* Sleeps until the next packet's own time, not for a time: waking up late once makes nothing
 * after it late. */
static int pcap_wait(struct mdfh_bypass *port, uint32_t timeout_us)
{
	struct pcap_port *pcap = (struct pcap_port *)port;
	uint64_t now = pcap->now(pcap->clock_context);
	uint64_t until = now + (uint64_t)timeout_us * 1000;
	struct timespec time;
	int ready = 1;

	if (!pcap->pending || pcap->inverse <= 0)
		return 1; /* the file always has an answer */
	if (due(pcap) > until)
		ready = 0;
	else
		until = due(pcap);
	if (until > now && !pcap->own_clock) {
		time.tv_sec = (time_t)(until / 1000000000U);
		time.tv_nsec = (long)(until % 1000000000U);
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
	}
	return ready;
}

static void pcap_release(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	struct pcap_port *pcap = (struct pcap_port *)port;

	for (int i = 0; i < n; i++)
		mdfh_pool_release(&pcap->slots, packets[i].cookie);
}

const struct mdfh_bypass_ops mdfh_pcap_ops = {
    .size = sizeof(mdfh_pcap_ops),
    .name = "pcap",
    .description = "pcap and pcapng captures, at recorded timing or flat out",
    .open = pcap_open_port,
    .recv = pcap_recv,
    .wait = pcap_wait,
    .release = pcap_release,
    .close = pcap_close_port,
};
