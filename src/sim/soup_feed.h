/* soup_feed.h - a day served over SoupBinTCP to any number of clients, each from where it likes.
 *
 * What is published is kept until the end, so that a client can begin anywhere: at most 53 bytes of
 * memory a message, of which only what is written is ever used. A thread of its own serves the
 * clients through kernel sockets; a client that does not read holds up nobody.
 *
 * Threads: create, publish, finish and destroy from one thread. publish waits for nothing. */
#ifndef MDFH_SIM_SOUP_FEED_H
#define MDFH_SIM_SOUP_FEED_H

#include "mdfh/soupbintcp.h"

enum { MDFH_SOUP_FEED_CLIENTS = 64 };

/* Most bytes that a day may take: some 80 million messages of the longest kind. */
#define MDFH_SOUP_FEED_BYTES_MAX (4ull << 30)

struct mdfh_soup_feed_config {
	const char *address; /* numeric */
	uint16_t port;       /* 0 = any free one */
	const char *session;
	const char *username; /* NULL = any */
	const char *password;
	uint64_t messages;         /* most that will be published */
	uint32_t message_max;      /* bytes of the longest */
	uint64_t disconnect_every; /* drop a client after so many messages, inside the last of them;
	                            * 0 = never, else at least 2 */
	uint64_t heartbeat_ns;     /* 0 = 1 s */
};

struct mdfh_soup_feed;

int mdfh_soup_feed_create(const struct mdfh_soup_feed_config *config, struct mdfh_soup_feed **feed);
/* NULL is allowed. Clients are cut off. */
void mdfh_soup_feed_destroy(struct mdfh_soup_feed *feed);

uint16_t mdfh_soup_feed_port(const struct mdfh_soup_feed *feed);

/* Messages that follow those before, each behind its u16 big-endian length. */
void mdfh_soup_feed_publish(struct mdfh_soup_feed *feed, const uint8_t *framed, uint32_t length);

/* Wait until a client has logged in. 0, or -ETIMEDOUT. */
int mdfh_soup_feed_wait_for_client(struct mdfh_soup_feed *feed, unsigned seconds);

/* No more messages: the end of session goes out behind the last one. Returns when every client has
 * it and has left, and none has come back for linger_ns; after a minute in any case. */
void mdfh_soup_feed_finish_wait(struct mdfh_soup_feed *feed, uint64_t linger_ns);

struct mdfh_soup_feed_stats {
	struct mdfh_soup_server_stats server;
	uint64_t dropped; /* clients, by disconnect_every */
	uint64_t stored;  /* messages */
	uint64_t stored_bytes;
};

/* Once finish has returned. */
const struct mdfh_soup_feed_stats *mdfh_soup_feed_stats(const struct mdfh_soup_feed *feed);

#endif
