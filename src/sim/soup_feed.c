/* soup_feed.c - the day's messages in memory, and the thread that serves them.
 *
 * The publishing thread appends packets and then raises the count of messages; the serving thread
 * reads only below the count it has seen. That is all the two share. */
#include "sim/soup_feed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/bytes.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "net/socket.h"

enum {
	INDEX_EVERY = 256, /* messages between two known places */
	HEADER = 3,        /* of a packet: length and type */
	READ_BYTES = 65536,
	EVENTS_MAX = 32,
	TICK_MS = 50,
	LISTENER = MDFH_SOUP_FEED_CLIENTS, /* numbers of events that are no client's */
	WAKE,
};

#define FINISH_MAX_NS 60000000000ll
/* How long a client may take to close a connection that has been ended. */
#define CLOSE_NS 1000000000ll

struct client {
	int fd;
	uint32_t watched; /* epoll events */
	uint64_t number;  /* of the message at offset */
	uint64_t offset;
	uint64_t written; /* sequenced messages of this connection */
	int is_doomed;    /* it will be dropped inside its last packet */
	int64_t shut_ns;  /* when its end was sent; 0 = not yet */
};

struct mdfh_soup_feed {
	/* Written by the publishing thread. */
	uint8_t *bytes;
	uint64_t bytes_size;
	uint64_t bytes_used;
	uint64_t *index; /* where each INDEX_EVERY'th message is */
	uint64_t messages_max;
	/* The release store after a message's bytes pairs with the acquire load in serve. */
	_Atomic uint64_t published;
	_Atomic uint64_t linger_ns;
	atomic_bool is_ending;
	atomic_bool is_stopped;
	_Atomic uint64_t logins;

	pthread_t thread;
	int has_thread;
	int listener;
	int wake; /* eventfd */
	int epoll;
	uint16_t port;

	/* The serving thread's. */
	struct mdfh_soup_server *server;
	struct client clients[MDFH_SOUP_FEED_CLIENTS];
	unsigned connected;
	uint64_t disconnect_every;
	struct mdfh_soup_feed_stats stats;
	uint8_t buffer[READ_BYTES];
};

/* Setup ------------------------------------------------------------------------ */

static int make_store(struct mdfh_soup_feed *f, const struct mdfh_soup_feed_config *config)
{
	uint64_t packet = config->message_max + HEADER;

	if (config->messages > MDFH_SOUP_FEED_BYTES_MAX / packet)
		return mdfh_error(-EFBIG,
		    "SoupBinTCP: %llu messages may take more than 4 GiB of memory; serve at most "
		    "%llu",
		    (unsigned long long)config->messages,
		    (unsigned long long)(MDFH_SOUP_FEED_BYTES_MAX / packet));
	f->messages_max = config->messages;
	f->bytes_size = config->messages * packet + 1;
	f->index = calloc(config->messages / INDEX_EVERY + 1, sizeof(*f->index));
	/* Only what is written becomes memory. */
	f->bytes = mmap(NULL, f->bytes_size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (f->bytes == MAP_FAILED)
		f->bytes = NULL;
	if (!f->bytes || !f->index)
		return mdfh_error(-ENOMEM, "SoupBinTCP: %llu bytes for %llu messages",
		    (unsigned long long)f->bytes_size, (unsigned long long)config->messages);
	return 0;
}

static int listen_on(struct mdfh_soup_feed *f, const struct mdfh_soup_feed_config *config)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address = {.v4 = {.sin_family = AF_INET}};
	socklen_t length = sizeof(address.v4);
	const int on = 1;

	if (inet_pton(AF_INET, config->address, &address.v4.sin_addr) != 1) {
		address.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
		length = sizeof(address.v6);
		if (inet_pton(AF_INET6, config->address, &address.v6.sin6_addr) != 1)
			return mdfh_error(-EINVAL,
			    "SoupBinTCP: '%s' is no address; give a numeric IPv4 or IPv6 one",
			    config->address);
	}
	/* The port stands at the same place in both families. */
	address.v4.sin_port = htons(config->port);
	f->listener = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (f->listener < 0)
		return mdfh_error_errno(-errno, "SoupBinTCP: socket");
	(void)setsockopt(f->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(f->listener, &address.any, length) || listen(f->listener, 64))
		return mdfh_socket_listen_error(
		    -errno, "SoupBinTCP", config->address, config->port);
	if (getsockname(f->listener, &address.any, &length))
		return mdfh_error_errno(-errno, "SoupBinTCP: getsockname");
	f->port = ntohs(address.v4.sin_port);
	return 0;
}

static int watch(struct mdfh_soup_feed *f, int operation, int fd, uint32_t events, uint32_t number)
{
	struct epoll_event event = {.events = events, .data.u32 = number};

	if (epoll_ctl(f->epoll, operation, fd, &event))
		return mdfh_error_errno(-errno, "SoupBinTCP: epoll_ctl");
	return 0;
}

static void *serve(void *argument);

int mdfh_soup_feed_create(const struct mdfh_soup_feed_config *config, struct mdfh_soup_feed **feed)
{
	struct mdfh_soup_server_config server = {
	    .size = sizeof(server),
	    .session = config->session,
	    .username = config->username,
	    .password = config->password,
	    .clients_max = MDFH_SOUP_FEED_CLIENTS,
	    .heartbeat_ns = config->heartbeat_ns,
	};
	struct mdfh_soup_feed *f = calloc(1, sizeof(*f));
	int err;

	*feed = NULL;
	if (!f)
		return mdfh_error(-ENOMEM, "SoupBinTCP: %zu bytes", sizeof(*f));
	f->listener = f->wake = f->epoll = -1;
	for (unsigned i = 0; i < MDFH_SOUP_FEED_CLIENTS; i++)
		f->clients[i].fd = -1;
	f->disconnect_every = config->disconnect_every;
	err = mdfh_clock_start();
	if (!err && config->disconnect_every == 1)
		err = mdfh_error(-EINVAL,
		    "SoupBinTCP: a client that is dropped inside every message gets none; "
		    "disconnect_every must be 2 or more");
	if (!err)
		err = make_store(f, config);
	if (!err)
		err = mdfh_soup_server_create(&server, &f->server);
	if (!err)
		err = listen_on(f, config);
	if (!err && (f->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0)
		err = mdfh_error_errno(-errno, "SoupBinTCP: epoll");
	if (!err && (f->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0)
		err = mdfh_error_errno(-errno, "SoupBinTCP: eventfd");
	if (!err)
		err = watch(f, EPOLL_CTL_ADD, f->listener, EPOLLIN, LISTENER);
	if (!err)
		err = watch(f, EPOLL_CTL_ADD, f->wake, EPOLLIN, WAKE);
	if (!err) {
		err = -pthread_create(&f->thread, NULL, serve, f);
		if (err)
			err = mdfh_error_errno(err, "SoupBinTCP: thread");
		else
			f->has_thread = 1;
	}
	if (err) {
		mdfh_soup_feed_destroy(f);
		return err;
	}
	*feed = f;
	return 0;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void wake(struct mdfh_soup_feed *f)
{
	const uint64_t one = 1;

	/* It is full only when the thread has not woken for 2^64 calls. */
	(void)!write(f->wake, &one, sizeof(one));
}

static void join(struct mdfh_soup_feed *f)
{
	if (!f->has_thread)
		return;
	wake(f);
	pthread_join(f->thread, NULL);
	f->has_thread = 0;
	f->stats.server = *mdfh_soup_server_stats(f->server);
	f->stats.stored = atomic_load(&f->published);
	f->stats.stored_bytes = f->bytes_used;
}

void mdfh_soup_feed_destroy(struct mdfh_soup_feed *f)
{
	if (!f)
		return;
	atomic_store(&f->is_stopped, true);
	join(f);
	for (unsigned i = 0; i < MDFH_SOUP_FEED_CLIENTS; i++)
		close_fd(f->clients[i].fd);
	close_fd(f->listener);
	close_fd(f->wake);
	close_fd(f->epoll);
	mdfh_soup_server_destroy(f->server);
	if (f->bytes)
		munmap(f->bytes, f->bytes_size);
	free(f->index);
	free(f);
}

uint16_t mdfh_soup_feed_port(const struct mdfh_soup_feed *f)
{
	return f->port;
}

/* Publishing -------------------------------------------------------------------------- */

void mdfh_soup_feed_publish(struct mdfh_soup_feed *f, const uint8_t *framed, uint32_t length)
{
	uint64_t count = atomic_load_explicit(&f->published, memory_order_relaxed);

	while (length >= 2 && count < f->messages_max) {
		uint32_t size = mdfh_load_be16(framed);
		uint8_t *at = f->bytes + f->bytes_used;

		if (size > length - 2 || size + HEADER > f->bytes_size - f->bytes_used)
			break;
		if (count % INDEX_EVERY == 0)
			f->index[count / INDEX_EVERY] = f->bytes_used;
		mdfh_store_be16(at, (uint16_t)(size + 1));
		at[2] = 'S';
		memcpy(at + HEADER, framed + 2, size);
		f->bytes_used += HEADER + size;
		count++;
		framed += 2 + size;
		length -= 2 + size;
	}
	atomic_store_explicit(&f->published, count, memory_order_release);
	wake(f);
}

int mdfh_soup_feed_wait_for_client(struct mdfh_soup_feed *f, unsigned seconds)
{
	const struct timespec nap = {.tv_nsec = 10000000};

	for (unsigned i = 0; i < seconds * 100; i++) {
		if (atomic_load(&f->logins))
			return 0;
		nanosleep(&nap, NULL);
	}
	return mdfh_error(-ETIMEDOUT, "SoupBinTCP: no client has logged in on port %u for %u s",
	    f->port, seconds);
}

void mdfh_soup_feed_finish_wait(struct mdfh_soup_feed *f, uint64_t linger_ns)
{
	atomic_store(&f->linger_ns, linger_ns);
	atomic_store(&f->is_ending, true);
	join(f);
}

const struct mdfh_soup_feed_stats *mdfh_soup_feed_stats(const struct mdfh_soup_feed *f)
{
	return &f->stats;
}

/* Serving ---------------------------------------------------------------------------------- */

static void drop(struct mdfh_soup_feed *f, unsigned number)
{
	struct client *c = &f->clients[number];

	close_fd(c->fd);
	c->fd = -1;
	f->connected--;
	mdfh_soup_server_disconnected(f->server, number);
}

static void accept_clients(struct mdfh_soup_feed *f, int64_t now_ns)
{
	const int on = 1;
	int fd;

	while ((fd = accept4(f->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		int number = mdfh_soup_server_connected(f->server, now_ns);

		if (number < 0) {
			close(fd);
			continue;
		}
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		f->clients[number] = (struct client){.fd = fd, .watched = EPOLLIN};
		f->connected++;
		if (watch(f, EPOLL_CTL_ADD, fd, EPOLLIN, (uint32_t)number))
			drop(f, (unsigned)number);
	}
}

/* 0, or -1 when the client has gone. */
static int read_client(struct mdfh_soup_feed *f, unsigned number, int64_t now_ns)
{
	ssize_t got = recv(f->clients[number].fd, f->buffer, sizeof(f->buffer), 0);
	struct mdfh_soup_item item;

	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (got == 0)
		return -1;
	mdfh_soup_server_feed(f->server, number, f->buffer, (uint32_t)got, now_ns);
	while (mdfh_soup_server_next(f->server, number, &item))
		if (item.kind == MDFH_SOUP_ITEM_LOGIN)
			atomic_fetch_add(&f->logins, 1);
	return 0;
}

/* The message of a number below those published: its packet. */
static const uint8_t *find(struct mdfh_soup_feed *f, struct client *c, uint64_t number)
{
	if (c->number != number) {
		c->number = (number - 1) / INDEX_EVERY * INDEX_EVERY + 1;
		c->offset = f->index[(number - 1) / INDEX_EVERY];
		for (; c->number < number; c->number++)
			c->offset += 2u + mdfh_load_be16(f->bytes + c->offset);
	}
	return f->bytes + c->offset;
}

/* As much as there is room for. */
static void write_messages(struct mdfh_soup_feed *f, unsigned number)
{
	struct client *c = &f->clients[number];
	uint64_t wanted;

	while (!c->is_doomed && (wanted = mdfh_soup_server_wanted(f->server, number))) {
		const uint8_t *packet = find(f, c, wanted);
		uint32_t size = mdfh_load_be16(packet) - 1u;

		if (mdfh_soup_server_write(f->server, number, packet + HEADER, size))
			return;
		c->number++;
		c->offset += HEADER + size;
		c->is_doomed = ++c->written == f->disconnect_every;
	}
}

/* 0, or -1 when the client is to be dropped: gone, or at the place where it was to be. */
static int send_output(struct mdfh_soup_feed *f, unsigned number, int64_t now_ns)
{
	struct client *c = &f->clients[number];
	const uint8_t *data;
	uint32_t length;

	while ((length = mdfh_soup_server_output(f->server, number, &data)) > 0) {
		ssize_t sent;

		if (c->is_doomed && --length == 0) {
			f->stats.dropped++;
			return -1;
		}
		sent = send(c->fd, data, length, MSG_NOSIGNAL);
		if (sent < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		mdfh_soup_server_sent(f->server, number, (uint32_t)sent, now_ns);
		write_messages(f, number);
	}
	return 0;
}

static void tend(struct mdfh_soup_feed *f, unsigned number, int64_t now_ns)
{
	struct client *c = &f->clients[number];
	const uint8_t *data;
	uint32_t watched;

	write_messages(f, number);
	if (!c->is_doomed)
		mdfh_soup_server_poll(f->server, number, now_ns);
	if (send_output(f, number, now_ns)) {
		drop(f, number);
		return;
	}
	/* A socket that is closed with something unread in it takes back what was sent last: the
	 * end is sent first, and the client closes. */
	if (mdfh_soup_server_reason(f->server, number) &&
	    !mdfh_soup_server_output(f->server, number, &data)) {
		if (!c->shut_ns) {
			(void)shutdown(c->fd, SHUT_WR);
			c->shut_ns = now_ns;
		} else if (now_ns - c->shut_ns >= CLOSE_NS) {
			drop(f, number);
			return;
		}
	}
	watched =
	    EPOLLIN | (mdfh_soup_server_output(f->server, number, &data) ? (uint32_t)EPOLLOUT : 0u);
	if (watched != c->watched && !watch(f, EPOLL_CTL_MOD, c->fd, watched, number))
		c->watched = watched;
}

static void take_event(struct mdfh_soup_feed *f, const struct epoll_event *event, int64_t now_ns)
{
	uint32_t number = event->data.u32;
	uint64_t count;

	if (number == LISTENER)
		accept_clients(f, now_ns);
	else if (number == WAKE)
		(void)!read(f->wake, &count, sizeof(count));
	else if (f->clients[number].fd >= 0 && (event->events & ~(uint32_t)EPOLLOUT) &&
		 read_client(f, number, now_ns))
		drop(f, number);
}

static void *serve(void *argument)
{
	struct mdfh_soup_feed *f = argument;
	int64_t end_ns = INT64_MAX;
	int64_t left_ns = 0; /* when the last client was seen, once it is ending */

	while (!atomic_load_explicit(&f->is_stopped, memory_order_relaxed)) {
		struct epoll_event events[EVENTS_MAX];
		int n = epoll_wait(f->epoll, events, EVENTS_MAX, TICK_MS);
		int64_t now_ns = (int64_t)mdfh_clock_now_ns();
		/* Asked before the count: what was published before is then seen. */
		int is_ending = atomic_load_explicit(&f->is_ending, memory_order_acquire);

		mdfh_soup_server_publish(
		    f->server, atomic_load_explicit(&f->published, memory_order_acquire) + 1);
		if (is_ending && end_ns == INT64_MAX) {
			mdfh_soup_server_end(f->server);
			end_ns = now_ns + FINISH_MAX_NS;
			left_ns = now_ns;
		}
		for (int i = 0; i < n; i++)
			take_event(f, &events[i], now_ns);
		for (unsigned i = 0; i < MDFH_SOUP_FEED_CLIENTS; i++)
			if (f->clients[i].fd >= 0)
				tend(f, i, now_ns);
		if (!is_ending)
			continue;
		if (f->connected)
			left_ns = now_ns;
		if (now_ns >= end_ns || now_ns - left_ns >= (int64_t)atomic_load(&f->linger_ns))
			break;
	}
	return NULL;
}
