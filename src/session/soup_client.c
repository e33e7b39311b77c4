/* soup_client.c - the client's end of SoupBinTCP.
 *
 * States: down -> connected: login sent -> accepted: in -> end of session: over. What ends a
 * connection sets a reason; from then on nothing is read until the owner has closed it. */
#include <errno.h>
#include <stdlib.h>

#include "core/bytes.h"
#include "core/lines.h"
#include "mdfh/error.h"
#include "session/soup.h"

struct mdfh_soup_client {
	/* Read for each item. */
	enum mdfh_soup_state state;
	enum mdfh_soup_reason reason;
	uint64_t next; /* number of the next sequenced message */
	uint32_t run_max;
	int is_fresh; /* nothing has come since the login was accepted */
	int is_anew;  /* the next login asks for the beginning of another session */
	struct soup_output output;

	int64_t heard_ns;
	int64_t sent_ns;
	int64_t now_ns;   /* of the newest feed */
	int64_t since_ns; /* the login was sent, or the session ended */
	int64_t heartbeat_ns;
	int64_t silence_ns;
	int64_t login_ns;
	uint64_t pause_ns;
	uint64_t pause_max_ns;
	uint32_t failures; /* connections in a row that brought nothing */

	char username[MDFH_SOUP_USERNAME + 1];
	char password[MDFH_SOUP_PASSWORD + 1];
	char wanted[MDFH_SOUP_SESSION + 1]; /* session by configuration, "" = the current one */
	char asked[MDFH_SOUP_SESSION + 1];  /* by the next login */
	char ended[MDFH_SOUP_SESSION + 1];  /* cannot be joined again */
	char session[16];                   /* that we are in, zero-padded */
	uint64_t sequence;                  /* asked for by the next login */

	struct mdfh_soup_client_stats stats;
	struct soup_input input;
};

/* Setup --------------------------------------------------------------------- */

static int copy_text(char *to, const char *text, uint32_t size, const char *what)
{
	if (!text)
		return 0;
	if (strlen(text) > size)
		return mdfh_error(-EINVAL, "SoupBinTCP client: %s has %zu characters; at most %u",
		    what, strlen(text), size);
	memcpy(to, text, strlen(text) + 1);
	return 0;
}

static int check(const struct mdfh_soup_client_config *c)
{
	if (c->run_max < 64 || c->run_max > 1u << 30)
		return mdfh_error(
		    -EINVAL, "SoupBinTCP client: run_max is %u; it must be 64 to 2^30", c->run_max);
	if (c->output_bytes < 256 || c->output_bytes > MDFH_SOUP_OUTPUT_MAX)
		return mdfh_error(-EINVAL,
		    "SoupBinTCP client: output_bytes is %u; it must be 256 to %d", c->output_bytes,
		    MDFH_SOUP_OUTPUT_MAX);
	if (c->heartbeat_ns > INT64_MAX / 4 || c->silence_ns > INT64_MAX / 4 ||
	    c->login_ns > INT64_MAX / 4 || c->pause_max_ns > INT64_MAX / 4 ||
	    c->pause_ns > c->pause_max_ns)
		return mdfh_error(-EINVAL, "SoupBinTCP client: times must be below 2^61 ns, and "
					   "pause_ns not above pause_max_ns");
	return 0;
}

int mdfh_soup_client_create(
    const struct mdfh_soup_client_config *config, struct mdfh_soup_client **client)
{
	struct mdfh_soup_client_config c = {0};
	struct mdfh_soup_client *s;
	int err;

	*client = NULL;
	if (config->size == 0 || config->size > sizeof(c))
		return mdfh_error(-EINVAL,
		    "SoupBinTCP client: config.size is %zu; it must be "
		    "sizeof(struct mdfh_soup_client_config), %zu",
		    config->size, sizeof(c));
	memcpy(&c, config, config->size);
	c.run_max = c.run_max ? c.run_max : 65536;
	c.output_bytes = c.output_bytes ? c.output_bytes : MDFH_SOUP_PACKET_MAX;
	c.heartbeat_ns = c.heartbeat_ns ? c.heartbeat_ns : 1000000000;
	c.silence_ns = c.silence_ns ? c.silence_ns : 15000000000;
	c.login_ns = c.login_ns ? c.login_ns : 15000000000;
	c.pause_max_ns = c.pause_max_ns ? c.pause_max_ns : 60000000000;
	c.pause_ns = c.pause_ns ? c.pause_ns : 1000000000;
	err = check(&c);
	if (err)
		return err;
	s = mdfh_lines_alloc(1, sizeof(*s));
	if (!s)
		return mdfh_error(-ENOMEM, "SoupBinTCP client: %zu bytes", sizeof(*s));
	err = copy_text(s->username, c.username, MDFH_SOUP_USERNAME, "the user name");
	if (!err)
		err = copy_text(s->password, c.password, MDFH_SOUP_PASSWORD, "the password");
	if (!err)
		err = copy_text(s->wanted, c.session, MDFH_SOUP_SESSION, "the session");
	if (!err)
		err = mdfh_soup_output_create(&s->output, c.output_bytes);
	if (err) {
		mdfh_soup_client_destroy(s);
		return err;
	}
	memcpy(s->asked, s->wanted, sizeof(s->asked));
	s->sequence = c.sequence;
	s->run_max = c.run_max;
	s->heartbeat_ns = (int64_t)c.heartbeat_ns;
	s->silence_ns = (int64_t)c.silence_ns;
	s->login_ns = (int64_t)c.login_ns;
	s->pause_ns = c.pause_ns;
	s->pause_max_ns = c.pause_max_ns;
	*client = s;
	return 0;
}

void mdfh_soup_client_destroy(struct mdfh_soup_client *s)
{
	if (!s)
		return;
	mdfh_soup_output_destroy(&s->output);
	explicit_bzero(s->password, sizeof(s->password));
	free(s);
}

void mdfh_soup_client_resume(struct mdfh_soup_client *s, uint64_t sequence)
{
	if (sequence && !s->is_anew)
		s->sequence = sequence;
}

/* Connections ------------------------------------------------------------------- */

static void set_state(struct mdfh_soup_client *s, enum mdfh_soup_state state)
{
	s->state = state;
	s->stats.state = state;
}

/* What the next login asks for, after a connection that ended for this reason. */
static void plan(struct mdfh_soup_client *s, enum mdfh_soup_reason reason)
{
	int is_gone = reason == MDFH_SOUP_NO_SESSION && !s->wanted[0] && s->asked[0];

	if (reason == MDFH_SOUP_ENDED)
		memcpy(s->ended, s->session, sizeof(s->ended));
	if (reason == MDFH_SOUP_ENDED || is_gone) {
		memcpy(s->asked, s->wanted, sizeof(s->asked));
		s->sequence = 1;
		s->is_anew = 1;
	}
	if (reason == MDFH_SOUP_NOT_AUTHORIZED || reason == MDFH_SOUP_REFUSED ||
	    (reason == MDFH_SOUP_ENDED && s->wanted[0]))
		s->stats.given_up = 1;
	if (s->failures < 32)
		s->failures++;
}

static void end(struct mdfh_soup_client *s, enum mdfh_soup_reason reason)
{
	s->reason = reason;
	s->stats.last_reason = reason;
	s->stats.reasons[reason]++;
	plan(s, reason);
	soup_input_clear(&s->input);
	set_state(s, MDFH_SOUP_CLOSING);
}

static void put_login(struct mdfh_soup_client *s)
{
	uint8_t login[SOUP_LOGIN_SIZE - SOUP_HEADER];
	char number[SOUP_NUMBER_TEXT + 1];
	uint64_t rest = s->sequence;
	int at = SOUP_NUMBER_TEXT;

	number[at] = '\0';
	do
		number[--at] = (char)('0' + rest % 10);
	while ((rest /= 10) > 0);
	mdfh_soup_pad_right(login, MDFH_SOUP_USERNAME, s->username);
	mdfh_soup_pad_right(login + 6, MDFH_SOUP_PASSWORD, s->password);
	mdfh_soup_pad_left(login + 16, MDFH_SOUP_SESSION, s->asked);
	mdfh_soup_pad_left(login + 26, SOUP_NUMBER_TEXT, number + at);
	mdfh_soup_output_put(&s->output, SOUP_LOGIN, login, sizeof(login));
	s->stats.logins++;
}

void mdfh_soup_client_connected(struct mdfh_soup_client *s, int64_t now_ns)
{
	if (s->state != MDFH_SOUP_DOWN)
		mdfh_soup_client_disconnected(s, now_ns);
	s->stats.connections++;
	s->since_ns = now_ns;
	s->heard_ns = now_ns;
	s->sent_ns = now_ns;
	s->now_ns = now_ns;
	s->reason = MDFH_SOUP_NONE;
	if (s->stats.given_up)
		return;
	set_state(s, MDFH_SOUP_LOGIN);
	put_login(s);
}

void mdfh_soup_client_disconnected(struct mdfh_soup_client *s, int64_t now_ns)
{
	(void)now_ns;
	if (s->state == MDFH_SOUP_DOWN)
		return;
	/* After the end the server is meant to close. */
	if (s->state != MDFH_SOUP_CLOSING)
		end(s, s->state == MDFH_SOUP_OVER ? MDFH_SOUP_ENDED : MDFH_SOUP_LOST);
	s->output.from = s->output.to = 0;
	s->reason = MDFH_SOUP_NONE;
	set_state(s, MDFH_SOUP_DOWN);
}

/* Reading --------------------------------------------------------------------- */

void mdfh_soup_client_feed(
    struct mdfh_soup_client *s, const uint8_t *data, uint32_t length, int64_t now_ns)
{
	if (s->state == MDFH_SOUP_DOWN || s->state == MDFH_SOUP_CLOSING || !length)
		return;
	s->heard_ns = now_ns;
	s->now_ns = now_ns;
	soup_input_feed(&s->input, data, length);
}

/* Whether a server may send this type now. */
static int is_allowed(const struct mdfh_soup_client *s, uint8_t type)
{
	if (type == SOUP_DEBUG)
		return 1;
	switch (s->state) {
	case MDFH_SOUP_LOGIN:
		return type == SOUP_ACCEPTED || type == SOUP_REJECTED;
	case MDFH_SOUP_IN:
		return type == SOUP_SEQUENCED || type == SOUP_UNSEQUENCED ||
		       type == SOUP_SERVER_HEARTBEAT || type == SOUP_END;
	case MDFH_SOUP_OVER:
		return type == SOUP_SERVER_HEARTBEAT;
	default:
		return 0;
	}
}

/* Reports print it: what is no printable ASCII is none there. */
static void show_session(struct mdfh_soup_client *s)
{
	char text[sizeof(s->session)];

	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = !s->session[i] || (s->session[i] >= ' ' && s->session[i] <= '~')
			      ? s->session[i]
			      : '?';
	memcpy(s->stats.session, text, sizeof(s->stats.session));
}

/* 1 if we are in. */
static int take_accepted(struct mdfh_soup_client *s, const uint8_t *packet)
{
	char session[MDFH_SOUP_SESSION + 1];
	uint64_t number;

	mdfh_soup_text(packet + 3, MDFH_SOUP_SESSION, session);
	if (mdfh_soup_number(packet + 13, &number) || !number) {
		end(s, MDFH_SOUP_NUMBER);
		return 0;
	}
	if ((s->asked[0] && strcmp(session, s->asked) != 0) ||
	    (s->ended[0] && !strcmp(session, s->ended))) {
		end(s, MDFH_SOUP_SESSION_OTHER);
		return 0;
	}
	s->stats.accepted++;
	if (s->sequence && number > s->sequence)
		s->stats.ahead++;
	else if (number < s->sequence)
		s->stats.behind++;
	memset(s->session, 0, sizeof(s->session));
	memcpy(s->session, session, sizeof(session));
	show_session(s);
	memcpy(s->asked, session, sizeof(s->asked));
	s->ended[0] = '\0';
	s->is_anew = 0;
	s->next = number;
	s->sequence = number;
	s->is_fresh = 1;
	s->stats.next_sequence = number;
	set_state(s, MDFH_SOUP_IN);
	return 1;
}

static void take_rejected(struct mdfh_soup_client *s, const uint8_t *packet)
{
	s->stats.refused++;
	if (packet[3] == 'A')
		end(s, MDFH_SOUP_NOT_AUTHORIZED);
	else if (packet[3] == 'S')
		end(s, MDFH_SOUP_NO_SESSION);
	else
		end(s, MDFH_SOUP_REFUSED);
}

/* One packet. 1 when it is an item. */
static int take(struct mdfh_soup_client *s, const uint8_t *packet, uint32_t size, int straddled,
    struct mdfh_soup_item *item)
{
	*item = (struct mdfh_soup_item){
	    .data = packet + SOUP_HEADER,
	    .length = size - SOUP_HEADER,
	    .sequence = s->next,
	    .messages = 1,
	};
	switch (packet[2]) {
	case SOUP_SEQUENCED:
		item->kind = MDFH_SOUP_ITEM_DATA;
		item->data = packet;
		if (!straddled) /* else what follows lies elsewhere */
			item->messages = mdfh_soup_input_run(&s->input, &size, s->run_max);
		item->length = size;
		/* No server counts that far: 2^64 messages do not exist. */
		if (s->next > UINT64_MAX - item->messages) {
			end(s, MDFH_SOUP_NUMBER);
			return 0;
		}
		s->next += item->messages;
		s->sequence = s->next;
		s->stats.sequenced += item->messages;
		s->stats.next_sequence = s->next;
		break;
	case SOUP_UNSEQUENCED:
		item->kind = MDFH_SOUP_ITEM_UNSEQUENCED;
		s->stats.unsequenced++;
		break;
	case SOUP_SERVER_HEARTBEAT:
		item->kind = MDFH_SOUP_ITEM_HEARTBEAT;
		s->stats.heartbeats_received++;
		break;
	case SOUP_DEBUG:
		item->kind = MDFH_SOUP_ITEM_DEBUG;
		s->stats.debugs++;
		return 1;
	case SOUP_ACCEPTED:
		item->kind = MDFH_SOUP_ITEM_LOGIN;
		if (!take_accepted(s, packet))
			return 0;
		item->sequence = s->next;
		return 1;
	case SOUP_REJECTED:
		take_rejected(s, packet);
		return 0;
	default: /* SOUP_END */
		item->kind = MDFH_SOUP_ITEM_END;
		set_state(s, MDFH_SOUP_OVER);
		s->since_ns = s->now_ns;
		break;
	}
	if (s->is_fresh) {
		s->is_fresh = 0;
		s->failures = 0;
	}
	return 1;
}

int mdfh_soup_client_next(struct mdfh_soup_client *s, struct mdfh_soup_item *item)
{
	const uint8_t *packet;
	uint32_t size;
	int straddled;

	while (s->state != MDFH_SOUP_DOWN && s->state != MDFH_SOUP_CLOSING) {
		int is_whole = mdfh_soup_input_next(&s->input, &packet, &size, &straddled);
		enum mdfh_soup_reason reason = mdfh_soup_check(packet, size);

		if (!reason && size >= SOUP_HEADER && !is_allowed(s, packet[2]))
			reason = MDFH_SOUP_STATE;
		if (reason) {
			end(s, reason);
			break;
		}
		if (!is_whole)
			break;
		s->stats.straddled += (uint64_t)straddled;
		if (take(s, packet, size, straddled, item))
			return 1;
	}
	return 0;
}

int mdfh_soup_client_unit(
    const struct mdfh_soup_client *s, const struct mdfh_soup_item *item, struct mdfh_unit *unit)
{
	*unit = (struct mdfh_unit){.first = item->sequence};
	memcpy(unit->session, s->session, sizeof(unit->session));
	switch (item->kind) {
	case MDFH_SOUP_ITEM_DATA:
		unit->body = item->data;
		unit->body_length = item->length;
		unit->messages = item->messages;
		unit->claimed = item->messages;
		return 1;
	case MDFH_SOUP_ITEM_LOGIN:
	case MDFH_SOUP_ITEM_HEARTBEAT:
		unit->kind = MDFH_UNIT_HEARTBEAT;
		return 1;
	case MDFH_SOUP_ITEM_END:
		unit->kind = MDFH_UNIT_END;
		return 1;
	default:
		return 0;
	}
}

/* Time ------------------------------------------------------------------------------ */

void mdfh_soup_client_poll(struct mdfh_soup_client *s, int64_t now_ns)
{
	soup_not_ahead(&s->since_ns, now_ns);
	soup_not_ahead(&s->heard_ns, now_ns);
	soup_not_ahead(&s->sent_ns, now_ns);
	switch (s->state) {
	case MDFH_SOUP_LOGIN:
		if (now_ns - s->since_ns >= s->login_ns)
			end(s, MDFH_SOUP_LOGIN_TIMEOUT);
		break;
	case MDFH_SOUP_OVER: /* the server closes soon, or we do */
		if (now_ns - s->since_ns >= s->heartbeat_ns)
			end(s, MDFH_SOUP_ENDED);
		break;
	case MDFH_SOUP_IN:
		if (now_ns - s->heard_ns >= s->silence_ns) {
			end(s, MDFH_SOUP_SILENT);
		} else if (now_ns - s->sent_ns >= s->heartbeat_ns && !s->output.to) {
			mdfh_soup_output_put(&s->output, SOUP_CLIENT_HEARTBEAT, NULL, 0);
			s->stats.heartbeats_sent++;
			s->sent_ns = now_ns;
		}
		break;
	default:
		break;
	}
}

/* Writing ---------------------------------------------------------------------------- */

uint32_t mdfh_soup_client_output(const struct mdfh_soup_client *s, const uint8_t **data)
{
	if (s->state == MDFH_SOUP_DOWN || s->state == MDFH_SOUP_CLOSING)
		return 0;
	*data = s->output.bytes + s->output.from;
	return s->output.to - s->output.from;
}

void mdfh_soup_client_sent(struct mdfh_soup_client *s, uint32_t bytes, int64_t now_ns)
{
	mdfh_soup_output_sent(&s->output, bytes);
	if (bytes)
		s->sent_ns = now_ns;
}

int mdfh_soup_client_send(struct mdfh_soup_client *s, const uint8_t *message, uint32_t length)
{
	if (s->state != MDFH_SOUP_IN)
		return -ENOTCONN;
	if (length > MDFH_SOUP_MESSAGE_MAX || SOUP_HEADER + length > s->output.size)
		return -EMSGSIZE;
	if (soup_output_room(&s->output) < SOUP_HEADER + length)
		return -EAGAIN;
	mdfh_soup_output_put(&s->output, SOUP_UNSEQUENCED, message, length);
	return 0;
}

int mdfh_soup_client_logout(struct mdfh_soup_client *s)
{
	if (s->state != MDFH_SOUP_IN)
		return -ENOTCONN;
	if (soup_output_room(&s->output) < SOUP_HEADER)
		return -EAGAIN;
	mdfh_soup_output_put(&s->output, SOUP_LOGOUT, NULL, 0);
	return 0;
}

/* State ------------------------------------------------------------------------------- */

enum mdfh_soup_reason mdfh_soup_client_reason(const struct mdfh_soup_client *s)
{
	return s->reason;
}

uint64_t mdfh_soup_client_pause(const struct mdfh_soup_client *s)
{
	uint64_t pause = s->pause_ns;

	if (s->stats.given_up)
		return UINT64_MAX;
	/* A good connection that ends counts as one failure: it is made again at once. */
	if (s->failures <= 1 &&
	    (s->stats.last_reason == MDFH_SOUP_LOST || s->stats.last_reason == MDFH_SOUP_SILENT))
		return 0;
	for (uint32_t i = 1; i < s->failures && pause < s->pause_max_ns; i++)
		pause *= 2;
	return pause < s->pause_max_ns ? pause : s->pause_max_ns;
}

const struct mdfh_soup_client_stats *mdfh_soup_client_stats(const struct mdfh_soup_client *s)
{
	return &s->stats;
}
