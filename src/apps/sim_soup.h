/* sim_soup.h - mdfh sim's day over SoupBinTCP, alone or beside the multicast lines. */
#ifndef MDFH_APPS_SIM_SOUP_H
#define MDFH_APPS_SIM_SOUP_H

#include <jansson.h>

#include "apps/sim_options.h"
#include "sim/soup_feed.h"

/* NULL in *feed when the options ask for none. Listens at once; says where on standard error. */
int sim_soup_open(const struct sim_options *options, struct mdfh_soup_feed **feed);

/* Hand the sender's packets to the feed. */
void sim_soup_attach(struct mdfh_soup_feed *feed, struct mdfh_sender_config *config);

void sim_soup_print(const struct mdfh_soup_feed_stats *stats);
json_t *sim_soup_json(const struct mdfh_soup_feed_stats *stats);

#endif
