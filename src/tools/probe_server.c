/* probe_server.c - the open loop of probe messages. */
#include "tools/probe_server.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "apps/sim_output.h"
#include "mdfh/clock.h"
#include "mdfh/cpu.h"
#include "mdfh/error.h"
#include "net/socket.h"
#include "tools/probe_message.h"

enum {
	PACKETS_MAX = 64, /* handed over at a time */
	START_NS = 2000000,
	ENDS = 10, /* an end mark may be lost like any packet */
	END_EVERY_NS = 20000000,
	CLIENT_CLOSE_MS = 2000,
	STOP_LOOK_MS = 50,
};

struct probe_server {
	struct probe_server_config config;
	struct probe_server_stats stats;
	struct sim_output *output; /* clock, waiting, and the sockets of UDP */
	const struct mdfh_sender_output *transport;
	int listener;
	int client;
	uint16_t port;
	size_t partly; /* bytes of the next packet that the TCP client already has */
	uint32_t per_packet;
	uint32_t payload_max;
	uint64_t made;  /* messages put into packets */
	uint8_t *bytes; /* PACKETS_MAX payloads */
	struct mdfh_packet packets[PACKETS_MAX];
	struct {
		uint64_t due_ns;
		uint32_t messages;
	} contents[PACKETS_MAX];
	/* A flag and a count that nothing else depends on: relaxed. */
	atomic_int is_stopped;
	atomic_uint_fast64_t sent;
	/* probe_server_serve_on_thread */
	struct probe_server_start start;
	pthread_t thread;
	int has_thread;
	atomic_int done; /* the thread stores last, with release: its error and text are there */
	int error;
	char text[512];
};

const char *probe_transport_name(enum probe_transport transport)
{
	static const char *const names[] = {"udp", "multicast", "tcp"};

	return names[transport];
}

/* Setup ------------------------------------------------------------------------ */

static int listen_tcp(struct probe_server *server)
{
	const struct probe_server_config *config = &server->config;
	struct mdfh_address address = {0};
	struct sockaddr_in6 bound = {0};
	socklen_t length = sizeof(bound);
	const int on = 1;

	if (!mdfh_address_parse(config->host, config->port, &address))
		return mdfh_error(-EINVAL,
		    "server: host is '%s'; it must be a numeric IPv4 or IPv6 address",
		    config->host);
	server->listener =
	    socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (server->listener < 0)
		return mdfh_error_errno(-errno, "server: socket");
	if (setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(server->listener, &address.any, address.length) || listen(server->listener, 1))
		return mdfh_socket_listen_error(-errno, "server", config->host, config->port);
	if (getsockname(server->listener, (struct sockaddr *)&bound, &length))
		return mdfh_error_errno(-errno, "server: getsockname");
	server->port = ntohs(bound.sin6_port); /* where an IPv4 address has it, too */
	return sim_output_open_sockets(NULL, NULL, 0, 1, &server->output);
}

static int open_udp(struct probe_server *server)
{
	const struct probe_server_config *config = &server->config;
	struct sim_endpoint endpoint = {.port = config->port};
	int err;

	snprintf(endpoint.group, sizeof(endpoint.group), "%s", config->host);
	if (config->transport == PROBE_MULTICAST && !config->may_transmit) {
		err = sim_output_check(
		    "socket", config->interface ? config->interface : "lo", &endpoint, 1);
		if (err)
			return err;
	}
	server->port = config->port;
	return sim_output_open_sockets(config->interface, &endpoint, 1, 1, &server->output);
}

int probe_server_open(const struct probe_server_config *config, struct probe_server **out)
{
	struct probe_server *server = calloc(1, sizeof(*server));
	int err;

	*out = NULL;
	if (!server)
		return mdfh_error(-ENOMEM, "server: %zu bytes", sizeof(*server));
	server->config = *config;
	server->listener = server->client = -1;
	server->stats.scheduled = config->messages;
	server->payload_max =
	    config->message_size > PROBE_PAYLOAD ? config->message_size : PROBE_PAYLOAD;
	server->per_packet = server->payload_max / config->message_size;
	server->bytes = calloc(PACKETS_MAX, server->payload_max);
	err = server->bytes ? mdfh_histogram_create(60000000000, &server->stats.lateness_ns)
			    : mdfh_error(-ENOMEM, "server: packet buffers");
	if (!err)
		err = config->transport == PROBE_TCP ? listen_tcp(server) : open_udp(server);
	if (err) {
		probe_server_close(server);
		return err;
	}
	server->transport = sim_output_transport(server->output);
	*out = server;
	return 0;
}

void probe_server_close(struct probe_server *server)
{
	if (!server)
		return;
	if (server->listener >= 0)
		close(server->listener);
	if (server->client >= 0)
		close(server->client);
	sim_output_close(server->output);
	mdfh_histogram_destroy(server->stats.lateness_ns);
	free(server->bytes);
	free(server);
}

uint16_t probe_server_port(const struct probe_server *server)
{
	return server->port;
}

static int is_stopped(const struct probe_server *server)
{
	return atomic_load_explicit(&server->is_stopped, memory_order_relaxed);
}

static int accept_client(struct probe_server *server, unsigned seconds)
{
	struct pollfd poller = {.fd = server->listener, .events = POLLIN};
	const int on = 1;

	for (unsigned waited_ms = 0; server->client < 0; waited_ms += STOP_LOOK_MS) {
		if (is_stopped(server))
			return mdfh_error(-EINTR, "server: stopped before a client connected");
		if (waited_ms >= seconds * 1000)
			return mdfh_error(-ETIMEDOUT,
			    "server: nobody connected to %s port %u within %u s; start the client, "
			    "or allow more time with --wait",
			    server->config.host, server->port, seconds);
		if (poll(&poller, 1, STOP_LOOK_MS) > 0)
			server->client =
			    accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	}
	/* One client: who comes later is refused rather than left waiting. */
	close(server->listener);
	server->listener = -1;
	if (setsockopt(server->client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		return mdfh_error_errno(-errno, "server: TCP_NODELAY");
	return 0;
}

static int wait_client(struct probe_server *server, unsigned seconds)
{
	struct sim_endpoint endpoint = {.port = server->config.port};

	if (server->config.transport == PROBE_TCP)
		return accept_client(server, seconds);
	if (server->config.transport == PROBE_UDP)
		return 0;
	snprintf(endpoint.group, sizeof(endpoint.group), "%s", server->config.host);
	for (unsigned waited = 0; waited < seconds; waited++) {
		if (is_stopped(server))
			return mdfh_error(-EINTR, "server: stopped before a client joined");
		if (!sim_output_wait_for_listener(&endpoint, 1))
			return 0;
	}
	return mdfh_error(-ETIMEDOUT,
	    "server: nobody in this network namespace joined %s within %u s; start the client, or "
	    "allow more time with --wait",
	    server->config.host, seconds);
}

/* Data path --------------------------------------------------------------------- */

/* How many packets the client has taken whole. */
static int send_tcp(struct probe_server *server, const struct mdfh_packet *packets, int n)
{
	struct iovec pieces[PACKETS_MAX];
	struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)n};
	ssize_t sent;
	int whole = 0;

	for (int i = 0; i < n; i++) {
		size_t had = i ? 0 : server->partly;

		pieces[i] =
		    (struct iovec){(uint8_t *)packets[i].data + had, packets[i].length - had};
	}
	sent = sendmsg(server->client, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS))
		return 0;
	if (sent < 0)
		return mdfh_error_errno(
		    errno == ECONNRESET ? -EPIPE : -errno, "server: the client has gone");
	while (whole < n && (size_t)sent >= pieces[whole].iov_len) {
		sent -= (ssize_t)pieces[whole++].iov_len;
		server->partly = 0;
	}
	server->partly += (size_t)sent;
	return whole;
}

static int offer(struct probe_server *server, const struct mdfh_packet *packets, int n)
{
	if (server->config.transport == PROBE_TCP)
		return send_tcp(server, packets, n);
	return server->transport->send(server->transport->context, 0, packets, n);
}

/* The kernel took nothing: until it may take something, for a moment at most. */
static void wait_room(const struct probe_server *server)
{
	struct pollfd poller = {.fd = server->client, .events = POLLOUT};

	if (server->config.transport == PROBE_TCP)
		poll(&poller, 1, 1);
	else
		nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
}

static uint64_t due_at(const struct probe_server *server, uint64_t message)
{
	uint64_t first = message - message % server->config.batch_size;

	return server->stats.first_ns +
	       mdfh_publisher_due_ns(server->config.rate, server->config.burst, first);
}

/* Fill packets with what is due. Returns their number. */
static int make_due(struct probe_server *server, uint64_t now_ns)
{
	const struct probe_server_config *config = &server->config;
	int n = 0;

	while (n < PACKETS_MAX && server->made < config->messages) {
		uint64_t due_ns = due_at(server, server->made);
		uint64_t left = config->batch_size - server->made % config->batch_size;
		uint8_t *data = server->bytes + (size_t)n * server->payload_max;
		uint32_t messages = server->per_packet;

		if (due_ns > now_ns)
			break;
		if (messages > left)
			messages = (uint32_t)left;
		if (messages > config->messages - server->made)
			messages = (uint32_t)(config->messages - server->made);
		for (uint32_t i = 0; i < messages; i++) {
			const struct probe_message message = {.run = config->run,
			    .sequence = ++server->made,
			    .due_ns = due_ns,
			    .sent_ns = now_ns,
			    .length = (uint16_t)config->message_size};

			probe_message_write(&message, data + (size_t)i * config->message_size);
		}
		server->packets[n] =
		    (struct mdfh_packet){.data = data, .length = messages * config->message_size};
		server->contents[n].due_ns = due_ns;
		server->contents[n++].messages = messages;
	}
	return n;
}

static void count_sent(struct probe_server *server, int from, int to, uint64_t now_ns)
{
	struct probe_server_stats *stats = &server->stats;

	for (int i = from; i < to; i++) {
		uint64_t late_ns = now_ns - server->contents[i].due_ns;

		stats->packets++;
		stats->bytes += server->packets[i].length;
		stats->messages += server->contents[i].messages;
		if (late_ns > MDFH_SENDER_LATE_NS)
			stats->late_messages += server->contents[i].messages;
		mdfh_histogram_record_n(stats->lateness_ns, late_ns, server->contents[i].messages);
	}
	stats->last_ns = now_ns;
	atomic_store_explicit(&server->sent, stats->messages, memory_order_relaxed);
}

/* Hand over n packets, until the time to give up. */
static int send_packets(struct probe_server *server, int n, uint64_t end_ns)
{
	int done = 0;

	for (int i = 0; i < n; i++) {
		uint64_t now_ns = mdfh_clock_now_ns();
		uint8_t *data = server->bytes + (size_t)i * server->payload_max;

		for (uint32_t m = 0; m < server->contents[i].messages; m++)
			probe_message_stamp(data + (size_t)m * server->config.message_size, now_ns);
	}
	while (done < n) {
		int taken = offer(server, server->packets + done, n - done);
		uint64_t now_ns = mdfh_clock_now_ns();

		if (taken < 0)
			return taken;
		count_sent(server, done, done + taken, now_ns);
		done += taken;
		if (taken)
			continue;
		server->stats.full++;
		if (now_ns > end_ns || is_stopped(server))
			break;
		wait_room(server);
	}
	return done < n ? -EAGAIN : 0;
}

static int send_messages(struct probe_server *server)
{
	const struct probe_server_config *config = &server->config;
	uint64_t end_ns = due_at(server, config->messages - 1) + config->give_up_ns;

	while (server->made < config->messages && !is_stopped(server)) {
		uint64_t now_ns = mdfh_clock_now_ns();
		uint64_t due_ns = due_at(server, server->made);
		int rc;

		if (due_ns > now_ns) {
			server->transport->wait_until(server->transport->context, due_ns);
			continue;
		}
		rc = now_ns > end_ns ? -EAGAIN
				     : send_packets(server, make_due(server, now_ns), end_ns);
		if (rc == -EAGAIN) {
			server->stats.is_given_up = !is_stopped(server);
			break;
		}
		if (rc)
			return rc;
	}
	server->stats.is_interrupted =
	    server->stats.messages < config->messages && !server->stats.is_given_up;
	return 0;
}

/* The end mark. A TCP client gets it once, and is waited for until it has closed. */
static int send_end(struct probe_server *server)
{
	const int is_tcp = server->config.transport == PROBE_TCP;
	struct pollfd poller = {.fd = server->client, .events = POLLIN};
	uint8_t data[PROBE_HEADER];
	struct mdfh_packet packet = {.data = data, .length = PROBE_HEADER};

	if (server->partly) /* a message was cut; the client sees the stream end without a mark */
		return 0;
	for (int i = 0; i < (is_tcp ? 1 : ENDS); i++) {
		uint64_t now_ns = mdfh_clock_now_ns();
		const struct probe_message end = {.run = server->config.run,
		    .sequence = server->stats.messages + 1,
		    .due_ns = now_ns,
		    .sent_ns = now_ns,
		    .length = PROBE_HEADER,
		    .flags = PROBE_END};
		int rc = 0;

		if (i)
			server->transport->wait_until(
			    server->transport->context, now_ns + END_EVERY_NS);
		probe_message_write(&end, data);
		for (int tries = 0; tries < 1000 && !rc; tries++) {
			rc = offer(server, &packet, 1);
			if (!rc)
				wait_room(server);
		}
		if (rc < 0)
			return rc;
	}
	if (is_tcp) {
		shutdown(server->client, SHUT_WR);
		poll(&poller, 1, CLIENT_CLOSE_MS);
	}
	return 0;
}

static int send_run(struct probe_server *server)
{
	struct timespec cpu;
	int rc;

	server->stats.first_ns = mdfh_clock_now_ns() + START_NS;
	server->stats.last_ns = server->stats.first_ns;
	rc = send_messages(server);
	if (!rc)
		rc = send_end(server);
	if (!clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu))
		server->stats.cpu_ns = (uint64_t)cpu.tv_sec * 1000000000 + (uint64_t)cpu.tv_nsec;
	return rc;
}

int probe_server_serve(struct probe_server *server, const struct probe_server_start *start)
{
	int err = start->core < 0 ? 0 : mdfh_cpu_pin((unsigned)start->core);
	uint64_t go_ns;

	if (!err)
		err = wait_client(server, start->wait_s);
	if (err)
		return err;
	go_ns = mdfh_clock_now_ns() + start->delay_ns;
	while (!is_stopped(server) && mdfh_clock_now_ns() < go_ns) {
		uint64_t slice_ns = mdfh_clock_now_ns() + STOP_LOOK_MS * UINT64_C(1000000);

		server->transport->wait_until(
		    server->transport->context, slice_ns < go_ns ? slice_ns : go_ns);
	}
	return send_run(server);
}

static void *run_thread(void *argument)
{
	struct probe_server *server = argument;

	server->error = probe_server_serve(server, &server->start);
	if (server->error)
		snprintf(server->text, sizeof(server->text), "%s", mdfh_error_text());
	atomic_store_explicit(&server->done, 1, memory_order_release);
	return NULL;
}

int probe_server_serve_on_thread(
    struct probe_server *server, const struct probe_server_start *start)
{
	int rc;

	server->start = *start;
	rc = -pthread_create(&server->thread, NULL, run_thread, server);
	if (rc)
		return mdfh_error_errno(rc, "server: no thread");
	server->has_thread = 1;
	return 0;
}

int probe_server_join(struct probe_server *server)
{
	if (server->has_thread)
		pthread_join(server->thread, NULL);
	server->has_thread = 0;
	return server->error ? mdfh_error(server->error, "%s", server->text) : 0;
}

const atomic_int *probe_server_done(const struct probe_server *server)
{
	return &server->done;
}

void probe_server_stop(struct probe_server *server)
{
	atomic_store_explicit(&server->is_stopped, 1, memory_order_relaxed);
}

uint64_t probe_server_sent(const struct probe_server *server)
{
	return atomic_load_explicit(&server->sent, memory_order_relaxed);
}

const struct probe_server_stats *probe_server_stats(const struct probe_server *server)
{
	return &server->stats;
}
