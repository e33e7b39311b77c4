/* soup_server.c - the server's end of SoupBinTCP: one session, many clients.
 *
 * Messages are copied into each client's output buffer, so that a packet that a socket takes in
 * part is always followed by its rest, whatever else there is to say. The buffer is the bound for
 * a slow reader: when it is full, write says so, and a client that takes nothing of it for
 * stall_ns is given up. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/lines.h"
#include "mdfh/error.h"
#include "session/soup.h"

struct client {
	enum mdfh_soup_state state;
	enum mdfh_soup_reason reason;
	uint64_t next; /* number that it is given next */
	struct soup_output output;
	int64_t since_ns;
	int64_t heard_ns;
	int64_t sent_ns;  /* something was put into its output: silence is counted from here */
	int64_t taken_ns; /* it took something, or there was nothing to take */
	int64_t now_ns;
	struct soup_input *input;
};

struct mdfh_soup_server {
	uint64_t next; /* to be published */
	int is_ended;
	uint32_t clients_max;
	struct client *clients;
	struct soup_input *inputs;
	int has_username;
	int has_password;
	char session[MDFH_SOUP_SESSION + 1];
	char username[MDFH_SOUP_USERNAME + 1];
	char password[MDFH_SOUP_PASSWORD + 1];
	int64_t heartbeat_ns;
	int64_t silence_ns;
	int64_t login_ns;
	int64_t stall_ns;
	struct mdfh_soup_server_stats stats;
};

/* Setup --------------------------------------------------------------------- */

static int copy_text(char *to, const char *text, uint32_t size, const char *what)
{
	if (strlen(text) > size)
		return mdfh_error(-EINVAL, "SoupBinTCP server: %s has %zu characters; at most %u",
		    what, strlen(text), size);
	memcpy(to, text, strlen(text) + 1);
	return 0;
}

static int check(const struct mdfh_soup_server_config *c)
{
	size_t length = c->session ? strlen(c->session) : 0;

	if (!length || length > MDFH_SOUP_SESSION || c->session[0] == ' ' ||
	    c->session[length - 1] == ' ')
		return mdfh_error(-EINVAL,
		    "SoupBinTCP server: session is '%s'; it must be 1 to %d characters without "
		    "spaces at its ends",
		    c->session ? c->session : "", MDFH_SOUP_SESSION);
	if (c->clients_max > MDFH_SOUP_CLIENTS_MAX)
		return mdfh_error(-EINVAL,
		    "SoupBinTCP server: clients_max is %u; it must be 1 to %d", c->clients_max,
		    MDFH_SOUP_CLIENTS_MAX);
	if (c->output_bytes < 256 || c->output_bytes > MDFH_SOUP_OUTPUT_MAX)
		return mdfh_error(-EINVAL,
		    "SoupBinTCP server: output_bytes is %u; it must be 256 to %d", c->output_bytes,
		    MDFH_SOUP_OUTPUT_MAX);
	if (c->heartbeat_ns > INT64_MAX / 4 || c->silence_ns > INT64_MAX / 4 ||
	    c->login_ns > INT64_MAX / 4 || c->stall_ns > INT64_MAX / 4)
		return mdfh_error(-EINVAL, "SoupBinTCP server: times must be below 2^61 ns");
	return 0;
}

int mdfh_soup_server_create(
    const struct mdfh_soup_server_config *config, struct mdfh_soup_server **server)
{
	struct mdfh_soup_server_config c = {0};
	struct mdfh_soup_server *s;
	int err;

	*server = NULL;
	if (config->size == 0 || config->size > sizeof(c))
		return mdfh_error(-EINVAL,
		    "SoupBinTCP server: config.size is %zu; it must be "
		    "sizeof(struct mdfh_soup_server_config), %zu",
		    config->size, sizeof(c));
	memcpy(&c, config, config->size);
	c.clients_max = c.clients_max ? c.clients_max : 16;
	c.output_bytes = c.output_bytes ? c.output_bytes : 256 * 1024;
	c.heartbeat_ns = c.heartbeat_ns ? c.heartbeat_ns : 1000000000;
	c.silence_ns = c.silence_ns ? c.silence_ns : 15000000000;
	c.login_ns = c.login_ns ? c.login_ns : 30000000000;
	c.stall_ns = c.stall_ns ? c.stall_ns : 15000000000;
	err = check(&c);
	if (err)
		return err;
	s = mdfh_lines_alloc(1, sizeof(*s));
	if (!s)
		return mdfh_error(-ENOMEM, "SoupBinTCP server: %zu bytes", sizeof(*s));
	memcpy(s->session, c.session, strlen(c.session) + 1);
	s->has_username = c.username != NULL;
	s->has_password = c.password != NULL;
	if (c.username)
		err = copy_text(s->username, c.username, MDFH_SOUP_USERNAME, "the user name");
	if (!err && c.password)
		err = copy_text(s->password, c.password, MDFH_SOUP_PASSWORD, "the password");
	if (err)
		goto fail;
	s->clients = calloc(c.clients_max, sizeof(*s->clients));
	s->inputs = calloc(c.clients_max, sizeof(*s->inputs));
	if (!s->clients || !s->inputs) {
		err = mdfh_error(-ENOMEM, "SoupBinTCP server: %u clients", c.clients_max);
		goto fail;
	}
	s->clients_max = c.clients_max;
	for (uint32_t i = 0; !err && i < c.clients_max; i++) {
		s->clients[i].input = &s->inputs[i];
		err = mdfh_soup_output_create(&s->clients[i].output, c.output_bytes);
	}
	if (err)
		goto fail;
	s->next = 1;
	s->heartbeat_ns = (int64_t)c.heartbeat_ns;
	s->silence_ns = (int64_t)c.silence_ns;
	s->login_ns = (int64_t)c.login_ns;
	s->stall_ns = (int64_t)c.stall_ns;
	*server = s;
	return 0;

fail:
	mdfh_soup_server_destroy(s);
	return err;
}

void mdfh_soup_server_destroy(struct mdfh_soup_server *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; s->clients && i < s->clients_max; i++)
		mdfh_soup_output_destroy(&s->clients[i].output);
	free(s->clients);
	if (s->inputs) /* logins came through them */
		explicit_bzero(s->inputs, s->clients_max * sizeof(*s->inputs));
	free(s->inputs);
	explicit_bzero(s->password, sizeof(s->password));
	free(s);
}

/* Messages ----------------------------------------------------------------------- */

void mdfh_soup_server_publish(struct mdfh_soup_server *s, uint64_t next)
{
	if (next > s->next && !s->is_ended)
		s->next = next;
}

void mdfh_soup_server_end(struct mdfh_soup_server *s)
{
	s->is_ended = 1;
}

/* Connections ------------------------------------------------------------------------ */

static struct client *find(const struct mdfh_soup_server *s, unsigned client)
{
	return client < s->clients_max && s->clients[client].state != MDFH_SOUP_DOWN
		   ? &s->clients[client]
		   : NULL;
}

int mdfh_soup_server_connected(struct mdfh_soup_server *s, int64_t now_ns)
{
	for (uint32_t i = 0; i < s->clients_max; i++) {
		struct client *c = &s->clients[i];

		if (c->state != MDFH_SOUP_DOWN)
			continue;
		c->state = MDFH_SOUP_LOGIN;
		c->reason = MDFH_SOUP_NONE;
		c->next = 0;
		c->since_ns = c->heard_ns = c->sent_ns = c->taken_ns = c->now_ns = now_ns;
		c->output.from = c->output.to = 0;
		soup_input_clear(c->input);
		s->stats.connections++;
		return (int)i;
	}
	s->stats.rejected++;
	return -EBUSY;
}

static void end(struct mdfh_soup_server *s, struct client *c, enum mdfh_soup_reason reason)
{
	c->reason = reason;
	c->state = MDFH_SOUP_CLOSING;
	s->stats.reasons[reason]++;
	soup_input_clear(c->input);
}

void mdfh_soup_server_disconnected(struct mdfh_soup_server *s, unsigned client)
{
	struct client *c = find(s, client);

	if (!c)
		return;
	if (c->state != MDFH_SOUP_CLOSING)
		s->stats.reasons[MDFH_SOUP_LOST]++;
	c->state = MDFH_SOUP_DOWN;
}

/* Reading ------------------------------------------------------------------------------ */

void mdfh_soup_server_feed(struct mdfh_soup_server *s, unsigned client, const uint8_t *data,
    uint32_t length, int64_t now_ns)
{
	struct client *c = find(s, client);

	if (!c || c->state == MDFH_SOUP_CLOSING || !length)
		return;
	c->heard_ns = now_ns;
	c->now_ns = now_ns;
	soup_input_feed(c->input, data, length);
}

static int is_allowed(const struct client *c, uint8_t type)
{
	if (type == SOUP_DEBUG)
		return 1;
	if (c->state == MDFH_SOUP_LOGIN)
		return type == SOUP_LOGIN;
	return type == SOUP_UNSEQUENCED || type == SOUP_CLIENT_HEARTBEAT || type == SOUP_LOGOUT;
}

static void put(struct client *c, uint8_t type, const uint8_t *payload, uint32_t length)
{
	if (!c->output.to)
		c->taken_ns = c->now_ns;
	mdfh_soup_output_put(&c->output, type, payload, length);
	c->sent_ns = c->now_ns;
}

static void refuse(
    struct mdfh_soup_server *s, struct client *c, uint8_t code, enum mdfh_soup_reason reason)
{
	put(c, SOUP_REJECTED, &code, 1);
	s->stats.refused++;
	end(s, c, reason);
}

/* 1 if the client is in. */
static int take_login(struct mdfh_soup_server *s, struct client *c, const uint8_t *packet)
{
	uint8_t answer[SOUP_ACCEPTED_SIZE - SOUP_HEADER];
	char username[MDFH_SOUP_USERNAME + 1];
	char password[MDFH_SOUP_PASSWORD + 1];
	char session[MDFH_SOUP_SESSION + 1];
	char text[SOUP_NUMBER_TEXT + 1];
	int at = SOUP_NUMBER_TEXT;
	uint64_t number;
	int is_known;

	mdfh_soup_text(packet + 3, MDFH_SOUP_USERNAME, username);
	mdfh_soup_text(packet + 9, MDFH_SOUP_PASSWORD, password);
	mdfh_soup_text(packet + 19, MDFH_SOUP_SESSION, session);
	is_known = (!s->has_username || !strcasecmp(username, s->username)) &&
		   (!s->has_password || !strcasecmp(password, s->password));
	explicit_bzero(password, sizeof(password));
	if (mdfh_soup_number(packet + 29, &number)) {
		end(s, c, MDFH_SOUP_NUMBER);
		return 0;
	}
	if (!is_known) {
		refuse(s, c, 'A', MDFH_SOUP_NOT_AUTHORIZED);
		return 0;
	}
	if (session[0] && strcmp(session, s->session) != 0) {
		refuse(s, c, 'S', MDFH_SOUP_NO_SESSION);
		return 0;
	}
	if (number > s->next)
		number = s->next;
	if (number == 0)
		number = s->next > 1 ? s->next - 1 : 1;
	c->next = number;
	text[at] = '\0';
	do
		text[--at] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	mdfh_soup_pad_left(answer, MDFH_SOUP_SESSION, s->session);
	mdfh_soup_pad_left(answer + MDFH_SOUP_SESSION, SOUP_NUMBER_TEXT, text + at);
	put(c, SOUP_ACCEPTED, answer, sizeof(answer));
	c->state = MDFH_SOUP_IN;
	s->stats.accepted++;
	return 1;
}

static int take(struct mdfh_soup_server *s, struct client *c, const uint8_t *packet, uint32_t size,
    struct mdfh_soup_item *item)
{
	*item = (struct mdfh_soup_item){
	    .data = packet + SOUP_HEADER,
	    .length = size - SOUP_HEADER,
	    .messages = 1,
	};
	switch (packet[2]) {
	case SOUP_LOGIN:
		item->kind = MDFH_SOUP_ITEM_LOGIN;
		if (!take_login(s, c, packet))
			return 0;
		break;
	case SOUP_UNSEQUENCED:
		item->kind = MDFH_SOUP_ITEM_UNSEQUENCED;
		s->stats.unsequenced_received++;
		break;
	case SOUP_CLIENT_HEARTBEAT:
		item->kind = MDFH_SOUP_ITEM_HEARTBEAT;
		s->stats.heartbeats_received++;
		break;
	case SOUP_DEBUG:
		item->kind = MDFH_SOUP_ITEM_DEBUG;
		break;
	default: /* SOUP_LOGOUT: the connection is closed at once, whatever waits */
		item->kind = MDFH_SOUP_ITEM_LOGOUT;
		c->output.from = c->output.to = 0;
		end(s, c, MDFH_SOUP_LOGOUT);
		break;
	}
	item->sequence = c->next;
	return 1;
}

int mdfh_soup_server_next(struct mdfh_soup_server *s, unsigned client, struct mdfh_soup_item *item)
{
	struct client *c = find(s, client);
	const uint8_t *packet;
	uint32_t size;
	int straddled;

	while (c && c->state != MDFH_SOUP_CLOSING) {
		int is_whole = mdfh_soup_input_next(c->input, &packet, &size, &straddled);
		enum mdfh_soup_reason reason = mdfh_soup_check(packet, size);

		if (!reason && size >= SOUP_HEADER && !is_allowed(c, packet[2]))
			reason = MDFH_SOUP_STATE;
		if (reason)
			end(s, c, reason);
		else if (!is_whole)
			break;
		else if (take(s, c, packet, size, item))
			return 1;
	}
	return 0;
}

/* Writing -------------------------------------------------------------------------------- */

uint64_t mdfh_soup_server_wanted(const struct mdfh_soup_server *s, unsigned client)
{
	const struct client *c = find(s, client);

	return c && c->state == MDFH_SOUP_IN && c->next < s->next ? c->next : 0;
}

/* A heartbeat and the end of session always find their place. */
static uint32_t message_room(const struct client *c)
{
	uint32_t room = soup_output_room(&c->output);

	return room > 3 * SOUP_HEADER ? room - 3 * SOUP_HEADER : 0;
}

uint32_t mdfh_soup_server_room(const struct mdfh_soup_server *s, unsigned client)
{
	const struct client *c = find(s, client);
	uint32_t room = c && c->state == MDFH_SOUP_IN ? message_room(c) : 0;

	return room < MDFH_SOUP_MESSAGE_MAX ? room : MDFH_SOUP_MESSAGE_MAX;
}

int mdfh_soup_server_write(
    struct mdfh_soup_server *s, unsigned client, const uint8_t *message, uint32_t length)
{
	struct client *c = find(s, client);

	if (!c || !mdfh_soup_server_wanted(s, client))
		return -EAGAIN;
	if (length > MDFH_SOUP_MESSAGE_MAX || length + 4 * SOUP_HEADER > c->output.size)
		return -EMSGSIZE;
	if (length > message_room(c) || !message_room(c))
		return -EAGAIN;
	put(c, SOUP_SEQUENCED, message, length);
	c->next++;
	s->stats.sequenced++;
	return 0;
}

int mdfh_soup_server_send(
    struct mdfh_soup_server *s, unsigned client, const uint8_t *message, uint32_t length)
{
	struct client *c = find(s, client);

	if (!c || c->state != MDFH_SOUP_IN)
		return -ENOTCONN;
	if (length > MDFH_SOUP_MESSAGE_MAX || length + 4 * SOUP_HEADER > c->output.size)
		return -EMSGSIZE;
	if (length > message_room(c) || !message_room(c))
		return -EAGAIN;
	put(c, SOUP_UNSEQUENCED, message, length);
	s->stats.unsequenced_sent++;
	return 0;
}

uint32_t mdfh_soup_server_output(
    const struct mdfh_soup_server *s, unsigned client, const uint8_t **data)
{
	const struct client *c = find(s, client);

	if (!c)
		return 0;
	*data = c->output.bytes + c->output.from;
	return c->output.to - c->output.from;
}

void mdfh_soup_server_sent(
    struct mdfh_soup_server *s, unsigned client, uint32_t bytes, int64_t now_ns)
{
	struct client *c = find(s, client);

	if (!c || !bytes)
		return;
	mdfh_soup_output_sent(&c->output, bytes);
	c->taken_ns = now_ns;
	c->sent_ns = now_ns;
}

/* Time ------------------------------------------------------------------------------------- */

void mdfh_soup_server_poll(struct mdfh_soup_server *s, unsigned client, int64_t now_ns)
{
	struct client *c = find(s, client);

	if (!c)
		return;
	c->now_ns = now_ns;
	soup_not_ahead(&c->since_ns, now_ns);
	soup_not_ahead(&c->heard_ns, now_ns);
	soup_not_ahead(&c->sent_ns, now_ns);
	soup_not_ahead(&c->taken_ns, now_ns);
	if (c->output.to && now_ns - c->taken_ns >= s->stall_ns) {
		if (c->state != MDFH_SOUP_CLOSING)
			end(s, c, MDFH_SOUP_SLOW);
		c->output.from = c->output.to = 0; /* nobody takes it */
		return;
	}
	switch (c->state) {
	case MDFH_SOUP_LOGIN:
		if (now_ns - c->since_ns >= s->login_ns)
			end(s, c, MDFH_SOUP_LOGIN_TIMEOUT);
		break;
	case MDFH_SOUP_IN:
		if (s->is_ended && c->next == s->next &&
		    soup_output_room(&c->output) >= SOUP_HEADER) {
			put(c, SOUP_END, NULL, 0);
			s->stats.ends++;
			end(s, c, MDFH_SOUP_ENDED);
		} else if (now_ns - c->heard_ns >= s->silence_ns) {
			end(s, c, MDFH_SOUP_SILENT);
			c->output.from = c->output.to = 0;
		} else if (!c->output.to && now_ns - c->sent_ns >= s->heartbeat_ns) {
			put(c, SOUP_SERVER_HEARTBEAT, NULL, 0);
			s->stats.heartbeats_sent++;
		}
		break;
	default:
		break;
	}
}

/* State --------------------------------------------------------------------------------------- */

enum mdfh_soup_reason mdfh_soup_server_reason(const struct mdfh_soup_server *s, unsigned client)
{
	const struct client *c = find(s, client);

	return c ? c->reason : MDFH_SOUP_NONE;
}

enum mdfh_soup_state mdfh_soup_server_state(const struct mdfh_soup_server *s, unsigned client)
{
	const struct client *c = find(s, client);

	return c ? c->state : MDFH_SOUP_DOWN;
}

const struct mdfh_soup_server_stats *mdfh_soup_server_stats(const struct mdfh_soup_server *s)
{
	return &s->stats;
}
