/* conformance_server.c - the other end of a stream under test: a kernel TCP server on loopback, one
 * connection at a time. */
#include "net/conformance_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mdfh/error.h"
#include "net/net.h"

enum {
	BACKLOG = 16,
	ACCEPT_MS = 5000,
	/* Small, so that what the port sends soon fills the way. */
	RECEIVE_BYTES = 16384,
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int server_listen(void *context, int on)
{
	struct conformance_server *server = context;
	struct mdfh_address local;
	int one = 1, bytes = RECEIVE_BYTES, rc = 0;

	close_fd(&server->listener);
	if (!on)
		return 0;
	mdfh_address_parse(server->address, server->port, &local);
	server->listener =
	    socket(local.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (server->listener < 0)
		return mdfh_error_errno(-errno, "conformance: socket");
	if (setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    setsockopt(server->listener, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) ||
	    bind(server->listener, &local.any, local.length) || listen(server->listener, BACKLOG) ||
	    getsockname(server->listener, &local.any, &local.length)) {
		rc = mdfh_error_errno(
		    -errno, "conformance: a server on %s port %u", server->address, server->port);
		close_fd(&server->listener);
		return rc;
	}
	server->port = ntohs(local.v4.sin_port);
	return 0;
}

static int server_accept(void *context)
{
	struct conformance_server *server = context;
	struct pollfd ready = {.fd = server->listener, .events = POLLIN};

	close_fd(&server->peer);
	if (poll(&ready, 1, ACCEPT_MS) <= 0)
		return mdfh_error(
		    -ETIMEDOUT, "conformance: no connection came in %d ms", ACCEPT_MS);
	server->peer = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	return server->peer < 0 ? mdfh_error_errno(-errno, "conformance: accept") : 0;
}

static int server_write(void *context, const uint8_t *data, uint32_t length)
{
	struct conformance_server *server = context;
	ssize_t n = send(server->peer, data, length, MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
		return 0;
	return n < 0 ? mdfh_error_errno(-errno, "conformance: write to the port") : (int)n;
}

static int server_read(void *context, uint8_t *data, uint32_t length)
{
	struct conformance_server *server = context;
	ssize_t n = recv(server->peer, data, length, 0);

	if (!n || (n < 0 && errno == ECONNRESET))
		return -ENODATA;
	if (n < 0 && errno == EAGAIN)
		return 0;
	return n < 0 ? mdfh_error_errno(-errno, "conformance: read from the port") : (int)n;
}

static int server_hang_up(void *context, int reset)
{
	struct conformance_server *server = context;
	const struct linger now = {.l_onoff = 1};

	if (reset && setsockopt(server->peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now)))
		return mdfh_error_errno(-errno, "conformance: SO_LINGER");
	close_fd(&server->peer);
	return 0;
}

void mdfh_server_init(struct conformance_server *server)
{
	server->listener = server->peer = -1;
}

int mdfh_server_open(struct conformance_server *server, const char *address)
{
	server->address = address;
	server->base = (struct mdfh_conformance_server){
	    .context = server,
	    .listen = server_listen,
	    .accept = server_accept,
	    .write = server_write,
	    .read = server_read,
	    .hang_up = server_hang_up,
	};
	return server_listen(server, 1);
}

void mdfh_server_close(struct conformance_server *server)
{
	close_fd(&server->listener);
	close_fd(&server->peer);
}
