/* socket_send.c - packets out through kernel sockets: one sendmmsg(2) for a run of packets of one
 * address family. */
#include <errno.h>

#include "mdfh/error.h"
#include "net/socket.h"

/* The flow that a packet goes to. */
static const struct flow *destination(
    const struct mdfh_sockets *s, const struct mdfh_packet *packet)
{
	uint32_t index = packet->flow == MDFH_FLOW_NONE ? 0 : packet->flow;

	return index < s->flow_count && !s->flows[index].any ? &s->flows[index] : NULL;
}

int mdfh_sockets_send(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	struct mdfh_sockets *s = (struct mdfh_sockets *)port;
	int sent = 0, rc = 0;

	while (sent < n) {
		int family = AF_UNSPEC, run = 0;

		/* As many as go through one socket. */
		for (; sent + run < n; run++) {
			const struct mdfh_packet *packet = &packets[sent + run];
			const struct flow *flow = destination(s, packet);

			if (!flow || (run && flow->to.any.sa_family != family))
				break;
			family = flow->to.any.sa_family;
			s->tx_iov[run] = (struct iovec){(void *)packet->data, packet->length};
			s->tx[run].msg_hdr.msg_name = (void *)&flow->to.storage;
			s->tx[run].msg_hdr.msg_namelen = flow->to.length;
		}
		if (!run) {
			rc = mdfh_error(-EDESTADDRREQ,
			    "%s: packet %d is for flow %u, which has no address to send to",
			    s->name, sent, packets[sent].flow);
			break;
		}
		rc = sendmmsg(s->tx_fd[family == AF_INET6], s->tx, (unsigned)run, MSG_DONTWAIT);
		if (rc < 0) {
			/* No room now is no error: the rest may be offered again. */
			rc = errno == EAGAIN || errno == ENOBUFS || errno == EINTR
				 ? 0
				 : mdfh_socket_send_error(-errno, s, destination(s, &packets[sent]),
				       packets[sent].length);
			break;
		}
		for (int i = sent; i < sent + rc; i++)
			port->stats.tx_bytes += packets[i].length;
		sent += rc;
		if (rc < run)
			break;
	}
	port->stats.tx_packets += (uint64_t)sent;
	port->stats.tx_failed += (uint64_t)(n - sent);
	return sent || rc >= 0 ? sent : rc;
}
