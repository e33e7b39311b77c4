/* pipeline.h - the work of one receive thread: ports in, consumers out, run to completion; or, with
 * workers, as far as the rings to these.
 *
 * Knows nothing of threads: whoever calls mdfh_pipeline_poll is the receive thread. Everything a
 * poll needs is taken by mdfh_pipeline_create. */
#ifndef MDFH_HANDLER_PIPELINE_H
#define MDFH_HANDLER_PIPELINE_H

#include <stdatomic.h>

#include "handler/consumer.h"
#include "handler/dispatch.h"
#include "handler/engine.h"
#include "handler/load.h"
#include "handler/soup_line.h"
#include "mdfh/handler.h"
#include "proto/decoder.h"

/* One port: which channel and line each of its flows is. */
struct mdfh_pipeline_port {
	struct mdfh_bypass *port; /* owned by the pipeline from create on */
	struct mdfh_soup_line
	    *soup; /* of a stream, whose one flow it is; owned likewise; NULL = packets */
	uint32_t flow_count;
	struct {
		uint16_t channel; /* index into the pipeline's channels */
		uint16_t line;
	} flows[MDFH_BYPASS_FLOWS_MAX];
};

struct mdfh_pipeline_channel {
	const char *protocol;
	struct mdfh_channel_config session;
	int64_t midnight_ns;
};

struct mdfh_pipeline_config {
	unsigned ports_max; /* 0: packets will be handed in by mdfh_pipeline_packets */
	const struct mdfh_pipeline_channel *channels;
	unsigned channel_count;
	uint32_t latency_sample;
	/* Where spans go: to workers, then it is owned by the pipeline from create on and the
	 * engine's consumers are raw taps; or NULL, and the pipeline makes an engine of its own. */
	struct mdfh_dispatch *dispatch;
	struct mdfh_engine_config engine; /* its channels are filled in here */
};

struct mdfh_pipeline;

int mdfh_pipeline_create(
    const struct mdfh_pipeline_config *config, struct mdfh_pipeline **pipeline);

/* Takes the port over. Ports come last: memory takes its time to be made ready, and packets
 * arrive from the moment that a port is open. */
void mdfh_pipeline_add_port(struct mdfh_pipeline *pipeline, const struct mdfh_pipeline_port *port);
void mdfh_pipeline_destroy(struct mdfh_pipeline *pipeline);
struct mdfh_engine_channel mdfh_pipeline_engine_channel(
    const struct mdfh_pipeline_channel *channel);

/* On the receive thread, before its first poll. */
void mdfh_pipeline_begin(struct mdfh_pipeline *pipeline);

/* Receive from every port and work off what came. Returns packets, 0 = nothing there, -ENODATA =
 * every source has ended or died. A port that dies does not stop the others. */
int mdfh_pipeline_poll(struct mdfh_pipeline *pipeline);

/* Bring the ports' counters up to date with system calls, and publish: what a socket dropped after
 * its last packet shows nowhere else. Only when no thread is in the pipeline. */
void mdfh_pipeline_refresh(struct mdfh_pipeline *pipeline);

/* What the first port that died died of, with its sentence; 0 = none did. On the receive thread, or
 * after it has ended. */
int mdfh_pipeline_error(const struct mdfh_pipeline *pipeline, const char **text);

/* Wait in the kernel until something is there, or timeout_us. */
void mdfh_pipeline_wait(struct mdfh_pipeline *pipeline, uint32_t timeout_us);

/* The same work for packets that come from elsewhere than a port: flow n is line n of channel 0
 * when there are no ports. */
void mdfh_pipeline_packets(struct mdfh_pipeline *pipeline, unsigned port,
    const struct mdfh_packet *packets, int n, int64_t now_ns);

/* Nothing more will come: give up holes, drain windows, publish. */
void mdfh_pipeline_finish(struct mdfh_pipeline *pipeline);

int mdfh_pipeline_session_ended(const struct mdfh_pipeline *pipeline);

/* What the kernel dropped ahead of all sockets, as the control thread has just read it. */
void mdfh_pipeline_kernel_drops(struct mdfh_pipeline *pipeline, uint64_t total);

/* Reports. What the receive thread writes is copied out of a snapshot that it makes about ten
 * times a second and at the end. */
void mdfh_pipeline_port_report(
    struct mdfh_pipeline *pipeline, unsigned port, struct mdfh_port_report *report);
void mdfh_pipeline_channel_report(
    const struct mdfh_pipeline *pipeline, unsigned channel, struct mdfh_channel_report *report);
void mdfh_pipeline_lane_report(
    const struct mdfh_pipeline *pipeline, unsigned lane, struct mdfh_dispatch_counts *counts);
void mdfh_pipeline_load(const struct mdfh_pipeline *pipeline, struct mdfh_load_words *load);
/* Stages RECEIVE and SESSION; NULL for the others. */
const struct mdfh_histogram *mdfh_pipeline_latency(
    const struct mdfh_pipeline *pipeline, enum mdfh_stage stage);
unsigned mdfh_pipeline_port_count(const struct mdfh_pipeline *pipeline);
struct mdfh_engine *mdfh_pipeline_engine(struct mdfh_pipeline *pipeline); /* NULL with workers */
struct mdfh_dispatch *mdfh_pipeline_dispatch(struct mdfh_pipeline *pipeline); /* NULL without */
struct mdfh_consumer *mdfh_pipeline_tap(struct mdfh_pipeline *pipeline, unsigned index);

#endif
