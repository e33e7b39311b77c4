/* simple_feed.h - a simulated exchange on a thread of its own, for the ingestion of
 * simple_bypass_test: a day of ITCH 5.0 in MoldUDP64, or over SoupBinTCP. */
#ifndef MDFH_TOOLS_SIMPLE_FEED_H
#define MDFH_TOOLS_SIMPLE_FEED_H

#include <stdint.h>

struct simple_feed;

struct simple_feed_config {
	const char *address;
	const char *interface; /* NULL = the kernel's choice */
	uint16_t port;         /* SoupBinTCP: 0 = any free one */
	int is_soup;           /* a server that anybody may log in to, at address */
	uint64_t messages;
	double rate;
	uint64_t seed;
};

/* Make the day. A server listens from here on. */
int simple_feed_open(const struct simple_feed_config *config, struct simple_feed **feed);

/* Begin to send it; a server waits for its client first. */
int simple_feed_start(struct simple_feed *feed);

uint16_t simple_feed_port(const struct simple_feed *feed);

/* 1 once everything has been sent. */
int simple_feed_done(const struct simple_feed *feed);

/* Wait for the end. 0, or the error of the sending. */
int simple_feed_join(struct simple_feed *feed);

/* Messages of a type that the day had, once it has been joined. */
uint64_t simple_feed_count(const struct simple_feed *feed, char type);

void simple_feed_close(struct simple_feed *feed); /* NULL is allowed */

#endif
