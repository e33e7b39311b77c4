/* publisher.c - the schedule, and the packing of messages by it. */
#include "sim/publisher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "mdfh/error.h"
#include "mdfh/session.h"

struct mdfh_publisher {
	struct mdfh_publisher_config config;
	const struct mdfh_session_ops *mold;
	struct mdfh_unit unit;
	const uint8_t *held; /* the message that did not go into the last packet */
	uint32_t held_length;
	uint64_t held_due_ns;
	uint32_t held_faults;
	uint64_t taken; /* messages taken from the stream */

	/* Since the pace last changed. */
	double rate;
	double burst;
	uint64_t segment_first; /* message, from 0 */
	uint64_t segment_ns;    /* when it is due */
};

/* Setup --------------------------------------------------------------------- */

int mdfh_publisher_create(const struct mdfh_publisher_config *config, struct mdfh_publisher **out)
{
	struct mdfh_publisher *publisher;

	*out = NULL;
	if (!(config->rate > 0))
		return mdfh_error(
		    -EINVAL, "publisher: rate is %g; it must be above 0", config->rate);
	if (!(config->burst >= 1 && config->burst <= 50))
		return mdfh_error(
		    -EINVAL, "publisher: burst is %g; it must be 1 to 50", config->burst);
	if (config->payload_max < MDFH_PUBLISHER_PAYLOAD_MIN ||
	    config->payload_max > MDFH_PUBLISHER_PAYLOAD_MAX)
		return mdfh_error(-EINVAL, "publisher: payload is %u bytes; it must be %d to %d",
		    config->payload_max, MDFH_PUBLISHER_PAYLOAD_MIN, MDFH_PUBLISHER_PAYLOAD_MAX);
	publisher = calloc(1, sizeof(*publisher));
	if (!publisher)
		return mdfh_error(-ENOMEM, "publisher: %zu bytes", sizeof(*publisher));
	publisher->config = *config;
	publisher->mold = mdfh_session_find("moldudp64");
	memcpy(publisher->unit.session, config->session, MDFH_PUBLISHER_SESSION_SIZE);
	*out = publisher;
	return 0;
}

void mdfh_publisher_destroy(struct mdfh_publisher *publisher)
{
	free(publisher);
}

void mdfh_publisher_set_clock(struct mdfh_publisher *publisher, int64_t clock_start_ns)
{
	publisher->config.clock_start_ns = clock_start_ns;
}

/* Schedule ------------------------------------------------------------------ */

uint64_t mdfh_publisher_due_ns(double rate, double burst, uint64_t i)
{
	const double period_s = 0.1;
	const double burst_s = 0.001;
	double in_period = rate * period_s;
	double in_burst = rate * burst * burst_s;
	double calm = (in_period - in_burst) / (period_s - burst_s);
	double before = (in_period - in_burst) / 2;
	uint64_t period = (uint64_t)((double)i / in_period);
	double rest = (double)i - (double)period * in_period;
	double at_s;

	if (rest < before)
		at_s = rest / calm;
	else if (rest < before + in_burst)
		at_s = (period_s - burst_s) / 2 + (rest - before) / (rate * burst);
	else
		at_s = (period_s + burst_s) / 2 + (rest - before - in_burst) / calm;
	return period * 100000000u + (uint64_t)(at_s * 1e9);
}

/* Packets ------------------------------------------------------------------- */

/* When the message that was taken last is due, at the pace that holds for it. */
static uint64_t held_due(struct mdfh_publisher *p, const struct mdfh_day_mark *mark)
{
	uint64_t i = p->taken++;
	double rate = p->config.rate * mark->pace;
	double burst = mark->is_burst ? 1 : p->config.burst;

	if (rate < p->rate || rate > p->rate || burst < p->burst || burst > p->burst) {
		if (i)
			p->segment_ns +=
			    mdfh_publisher_due_ns(p->rate, p->burst, i - p->segment_first);
		p->segment_first = i;
		p->rate = rate;
		p->burst = burst;
	}
	return p->segment_ns + mdfh_publisher_due_ns(rate, burst, i - p->segment_first);
}

static int hold_next(struct mdfh_publisher *p)
{
	const struct mdfh_day_mark *mark;
	int length;

	if (p->held)
		return 1;
	length = mdfh_stream_next_wait(p->config.stream, &p->held);
	if (length <= 0) {
		p->held = NULL;
		return length;
	}
	p->held_length = (uint32_t)length;
	mark = mdfh_stream_mark(p->config.stream);
	p->held_due_ns = held_due(p, mark);
	p->held_faults = mark->faults;
	return 1;
}

/* Every ITCH message has its time at the same place: after type, locate and tracking. */
static void stamp(const struct mdfh_publisher_packet *packet, uint32_t header, uint64_t time_ns)
{
	uint32_t at = header;

	for (uint32_t i = 0; i < packet->messages; i++) {
		mdfh_store_be48(packet->data + at + 2 + 5, time_ns);
		at += 2 + (uint32_t)mdfh_load_be16(packet->data + at);
	}
}

int mdfh_publisher_next(struct mdfh_publisher *p, struct mdfh_publisher_packet *packet)
{
	uint32_t header = p->mold->header_size;
	uint64_t opened_ns = 0;
	int is_full = 0;
	int rc;

	packet->length = header;
	packet->messages = 0;
	while ((rc = hold_next(p)) > 0) {
		if (!packet->messages) {
			packet->first = p->taken;
			opened_ns = p->held_due_ns;
			packet->faults = p->held_faults;
		} else if (p->held_due_ns > opened_ns + p->config.flush_ns) {
			break;
		} else if (p->held_faults != packet->faults ||
			   packet->length + p->held_length > p->config.payload_max) {
			is_full = 1; /* or closed: a line's fault holds for whole packets */
			break;
		}
		memcpy(packet->data + packet->length, p->held, p->held_length);
		packet->length += p->held_length;
		packet->messages++;
		packet->due_ns = p->held_due_ns;
		p->held = NULL;
	}
	if (rc < 0)
		return rc;
	if (!packet->messages)
		return 0;
	if (!is_full)
		packet->due_ns = opened_ns + p->config.flush_ns;

	p->unit.kind = MDFH_UNIT_DATA;
	p->unit.first = packet->first;
	p->unit.messages = packet->messages;
	p->unit.claimed = packet->messages;
	p->mold->write_header(packet->data, &p->unit);
	if (p->config.clock_start_ns >= 0)
		stamp(packet, header, (uint64_t)p->config.clock_start_ns + packet->due_ns);
	return 1;
}

uint32_t mdfh_publisher_notice(
    const struct mdfh_publisher *p, uint64_t next, int is_end, uint8_t *data)
{
	struct mdfh_unit unit = p->unit;

	unit.kind = is_end ? MDFH_UNIT_END : MDFH_UNIT_HEARTBEAT;
	unit.first = next;
	unit.messages = 0;
	unit.claimed = 0;
	p->mold->write_header(data, &unit);
	return p->mold->header_size;
}
