/* ef_vi_report.c - what a port of backend ef_vi says of itself: capabilities, drops, counters. */
#include <stdio.h>
#include <string.h>

#include "modules/ef_vi.h"

enum {
	DROPS_KNOWN_NIC = 1,
	DROPS_KNOWN_BACKEND = 4,
	VI_STATS_BYTES_MAX = 1024,
};

static const char *const reasons[EFVI_REASONS] = {
    [EFVI_CHECKSUM] = "discarded: checksum",
    [EFVI_INNER_CHECKSUM] = "discarded: inner checksum",
    [EFVI_MULTICAST_MISMATCH] = "discarded: multicast mismatch",
    [EFVI_CRC] = "discarded: CRC",
    [EFVI_CUT] = "discarded: truncated",
    [EFVI_RIGHTS] = "discarded: no rights",
    [EFVI_EVENT_LOST] = "discarded: event overrun",
    [EFVI_OTHER] = "discarded: other",
    [EFVI_NO_BUFFERS] = "discarded: no buffers for its end",
    [EFVI_INCOMPLETE] = "discarded: incomplete",
    [EFVI_NOT_OURS] = "completions of unknown buffers",
};

static const char *const incidents[EFVI_INCIDENTS] = {
    [EFVI_NOT_STAMPED] = "no NIC time: not stamped",
    [EFVI_NOT_YET_SYNCED] = "no NIC time: not yet synchronised",
    [EFVI_NOT_SYNCED] = "no NIC time: not synchronised",
    [EFVI_STAMP_FAILED] = "no NIC time: refused",
    [EFVI_CLOCK_NOT_SET] = "no NIC time: clock never set",
    [EFVI_OVERFLOWS] = "event queue overflows",
    [EFVI_RESETS] = "NIC resets",
    [EFVI_SUMS_RIGHT] = "checksums right after all",
    [EFVI_UNEXPECTED] = "unexpected events",
};

/* The NIC's own counters of the queue, as many as there are; 0 if it has none or does not say now. */
static int read_vi_stats(struct efvi_port *p, uint8_t bytes[VI_STATS_BYTES_MAX])
{
	if (!p->vi_stats || p->api.stats_query(&p->vi, p->driver, bytes, 0) < 0)
		return 0;
	return p->vi_stats->evsl_fields_num;
}

static uint64_t vi_stat(const struct efvi_port *p, const uint8_t *bytes, int field)
{
	const ef_vi_stats_field_layout *at = &p->vi_stats->evsl_fields[field];
	uint32_t small;
	uint64_t value = 0;

	if (at->evsfl_offset < 0 || at->evsfl_size < 0 ||
	    at->evsfl_offset + at->evsfl_size > p->vi_stats->evsl_data_size)
		return 0;
	if (at->evsfl_size == sizeof(small)) {
		memcpy(&small, bytes + at->evsfl_offset, sizeof(small));
		value = small;
	} else if (at->evsfl_size == sizeof(value)) {
		memcpy(&value, bytes + at->evsfl_offset, sizeof(value));
	}
	return value;
}

/* Count on the frames that found no buffer: the one drop of which no event tells. */
static void count_starved(struct efvi_port *p)
{
	uint8_t bytes[VI_STATS_BYTES_MAX];
	int count = read_vi_stats(p, bytes);

	for (int i = 0; i < count; i++) {
		uint64_t now = vi_stat(p, bytes, i);

		if (!strstr(p->vi_stats->evsl_fields[i].evsfl_name, "no desc"))
			continue;
		if (p->has_starved_before) /* else that was before the port's time */
			p->starved += mdfh_counter_growth(p->starved_before, now);
		p->has_starved_before = 1;
		p->starved_before = now;
		break;
	}
}

void mdfh_efvi_report(struct efvi_port *p, const struct mdfh_bypass_config *config,
    const struct efvi_options *options)
{
	char filters[48] = "";
	int copies = config->enable_zero_copy == MDFH_OFF;

	if (p->api.stats_layout(&p->vi, &p->vi_stats) || !p->vi_stats ||
	    p->vi_stats->evsl_data_size > VI_STATS_BYTES_MAX)
		p->vi_stats = NULL;
	count_starved(p);
	p->base.stats.known_drops =
	    DROPS_KNOWN_BACKEND | (p->vi_stats ? (unsigned)DROPS_KNOWN_NIC : 0);
	if (p->coarse_filters)
		snprintf(filters, sizeof(filters), ", %u of them coarse", p->coarse_filters);
	snprintf(p->mode, sizeof(p->mode), "%s, ring %d, %s, %u filters%s",
	    p->by_reference ? "by reference" : "own buffers", ef_vi_receive_capacity(&p->vi) + 1,
	    options->event_merge ? "merged events" : "single events", p->filter_count, filters);
	p->base.capabilities = (struct mdfh_bypass_capabilities){
	    .size = sizeof(p->base.capabilities),
	    .zero_copy = !copies,
	    .copy_reason = copies ? "enable_zero_copy is off" : "",
	    .mode = p->mode,
	    .filters = p->coarse_filters ? MDFH_PLACE_SOFTWARE : MDFH_PLACE_HARDWARE,
	    .timestamps = p->has_stamps   ? MDFH_PLACE_HARDWARE
			  : p->time_flags ? MDFH_PLACE_SOFTWARE
					  : MDFH_PLACE_NONE,
	    .queues = 1,
	    .hold_max = p->hold_max,
	    .frame_size = config->frame_size,
	    .poll_fd = -1,
	    .numa_node = p->by_reference ? -1 : p->buffers.region.node,
	    .hugepages = p->by_reference || p->buffers.region.reserved_hugepages,
	    .warning = "",
	};
}

int mdfh_efvi_stats(struct mdfh_bypass *port)
{
	struct efvi_port *p = (struct efvi_port *)port;
	uint64_t dropped;

	count_starved(p);
	dropped = p->starved;
	for (int i = EFVI_SOUND + 1; i < EFVI_REASONS; i++)
		if (i != EFVI_MULTICAST_MISMATCH && i != EFVI_NOT_OURS)
			dropped += p->discards[i];
	port->stats.rx_dropped_nic = dropped;
	if (p->time_flags)
		p->time_flags = mdfh_app_time_flags();
	port->capabilities.warning =
	    mdfh_interface_trouble(p->device, p->warning, sizeof(p->warning)) ? p->warning : "";
	return 0;
}

static void put(
    struct mdfh_bypass_counter *counters, int max, int *n, const char *name, uint64_t value)
{
	if (*n < max) {
		snprintf(counters[*n].name, sizeof(counters[*n].name), "%s", name);
		counters[*n].value = value;
	}
	(*n)++;
}

int mdfh_efvi_counters(struct mdfh_bypass *port, struct mdfh_bypass_counter *counters, int max)
{
	struct efvi_port *p = (struct efvi_port *)port;
	uint8_t bytes[VI_STATS_BYTES_MAX];
	int count = read_vi_stats(p, bytes);
	int n = 0;

	for (int i = EFVI_SOUND + 1; i < EFVI_REASONS; i++)
		put(counters, max, &n, reasons[i], p->discards[i]);
	for (int i = 0; i < EFVI_INCIDENTS; i++)
		put(counters, max, &n, incidents[i], p->incidents[i]);
	for (int i = 0; i < count; i++)
		put(counters, max, &n, p->vi_stats->evsl_fields[i].evsfl_name,
		    vi_stat(p, bytes, i));
	return n;
}
