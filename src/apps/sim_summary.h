/* sim_summary.h - what mdfh sim says at the end. */
#ifndef MDFH_APPS_SIM_SUMMARY_H
#define MDFH_APPS_SIM_SUMMARY_H

#include "apps/sim_options.h"
#include "sim/soup_feed.h"

struct sim_run { /* what a summary needs */
	const struct sim_options *options;
	const struct mdfh_refbook *book;
	const struct mdfh_sender_stats *sent;    /* NULL: a file of messages was written */
	const struct mdfh_soup_feed_stats *soup; /* NULL: not served over SoupBinTCP */
	uint64_t messages;
	uint64_t bytes;
};

/* Whether a message went out later than --max-late allows. */
int sim_summary_is_late(const struct sim_run *run);

/* 0, or a negative error of the output. */
int sim_summary_print(const struct sim_run *run);

#endif
