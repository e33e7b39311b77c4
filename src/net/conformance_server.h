/* conformance_server.h - the kernel TCP server of the conformance suite. */
#ifndef MDFH_NET_CONFORMANCE_SERVER_H
#define MDFH_NET_CONFORMANCE_SERVER_H

#include "mdfh/conformance.h"

struct conformance_server {
	struct mdfh_conformance_server base;
	const char *address;
	uint16_t port; /* host order, the same for as long as the server lives */
	int listener;  /* -1 = takes no connections */
	int peer;      /* the connection, -1 = none */
};

void mdfh_server_init(struct conformance_server *server);
/* Listen on any free port of a loopback address, a text that lives as long. */
int mdfh_server_open(struct conformance_server *server, const char *address);
void mdfh_server_close(struct conformance_server *server); /* from init on */

#endif
