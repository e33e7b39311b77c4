/* soup_line.c - a stream port's bytes to units, logins and heartbeats to the port. */
#include "handler/soup_line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lines.h"
#include "mdfh/error.h"

enum { SEND_MAX = 65535 }; /* bytes that a port takes at once */

struct mdfh_soup_line {
	struct mdfh_soup_client *client;
	int is_told; /* the port knows how long to stay away after the connection that ended */
	char name[96];
	char server[128];
	char username[MDFH_SOUP_USERNAME + 1];
};

/* Setup ----------------------------------------------------------------------------------- */

/* The first line of the file. A password is in no sentence. */
static int read_password(const char *name, const char *path, char *password, size_t size)
{
	FILE *file = fopen(path, "re");
	size_t length;

	if (!file)
		return mdfh_error_errno(-errno, "%s: password_file %s", name, path);
	setvbuf(file, NULL, _IONBF, 0); /* no copy of it stays behind */
	if (!fgets(password, (int)size, file)) {
		int failed = ferror(file);

		fclose(file);
		return failed ? mdfh_error(-EIO, "%s: password_file %s: cannot be read", name, path)
			      : mdfh_error(-EINVAL,
				    "%s: password_file %s is empty; its first line must be the "
				    "password",
				    name, path);
	}
	fclose(file);
	length = strcspn(password, "\r\n");
	memset(password + length, 0, size - length);
	return 0;
}

int mdfh_soup_line_create(const struct mdfh_line_config *config,
    const struct mdfh_handler_channel_config *channel, const char *name, uint32_t run_max,
    struct mdfh_soup_line **line)
{
	struct mdfh_soup_client_config client = {
	    .size = sizeof(client),
	    .username = config->username,
	    .password = config->password,
	    .session = channel->session_id,
	    .sequence = channel->first_sequence,
	    .run_max = run_max,
	};
	char password[256] = "";
	struct mdfh_soup_line *l;
	int err = 0;

	*line = NULL;
	if (channel->join_newest == MDFH_ON)
		client.sequence = 0;
	else if (!client.sequence)
		client.sequence = 1;
	if (config->password && config->password_file)
		return mdfh_error(
		    -EINVAL, "%s: password and password_file are both given; leave one out", name);
	l = mdfh_lines_alloc(1, sizeof(*l));
	if (!l)
		return mdfh_error(-ENOMEM, "%s: out of memory", name);
	snprintf(l->name, sizeof(l->name), "%s", name);
	snprintf(l->server, sizeof(l->server), "%s", config->server);
	if (config->password_file) {
		err = read_password(name, config->password_file, password, sizeof(password));
		client.password = password;
	}
	if (!err) {
		err = mdfh_soup_client_create(&client, &l->client);
		if (err)
			mdfh_error(err, "%s: %s", name, mdfh_error_text());
	}
	explicit_bzero(password, sizeof(password));
	if (err) {
		mdfh_soup_line_destroy(l);
		return err;
	}
	snprintf(l->username, sizeof(l->username), "%s", config->username ? config->username : "");
	*line = l;
	return 0;
}

void mdfh_soup_line_destroy(struct mdfh_soup_line *l)
{
	if (!l)
		return;
	mdfh_soup_client_destroy(l->client);
	free(l);
}

/* Data path ------------------------------------------------------------------------------- */

void mdfh_soup_line_packet(struct mdfh_soup_line *l, const struct mdfh_packet *packet,
    uint64_t channel_next, int64_t now_ns)
{
	if (packet->length) {
		mdfh_soup_client_feed(l->client, packet->data, packet->length, now_ns);
	} else if (packet->flags & MDFH_PACKET_CONNECTED) {
		mdfh_soup_client_resume(l->client, channel_next);
		mdfh_soup_client_connected(l->client, now_ns);
		l->is_told = 0;
	} else if (packet->flags & MDFH_PACKET_DISCONNECTED) {
		mdfh_soup_client_disconnected(l->client, now_ns);
		l->is_told = 0;
	}
}

int mdfh_soup_line_next(struct mdfh_soup_line *l, struct mdfh_unit *unit)
{
	struct mdfh_soup_item item;

	while (mdfh_soup_client_next(l->client, &item))
		if (mdfh_soup_client_unit(l->client, &item, unit))
			return 1;
	return 0;
}

static void send_output(struct mdfh_soup_line *l, struct mdfh_bypass *port, int64_t now_ns)
{
	struct mdfh_packet packet = {0};
	uint32_t length = mdfh_soup_client_output(l->client, &packet.data);

	packet.length = length < SEND_MAX ? length : SEND_MAX;
	/* What is not taken now is offered again soon. */
	if (length && mdfh_bypass_send(port, &packet, 1) == 1)
		mdfh_soup_client_sent(l->client, packet.length, now_ns);
}

static __attribute__((noinline)) int give_up(const struct mdfh_soup_line *l)
{
	const struct mdfh_soup_client_stats *stats = mdfh_soup_client_stats(l->client);

	if (stats->last_reason == MDFH_SOUP_ENDED)
		return -ENODATA;
	return mdfh_error(-EACCES,
	    "%s: %s by server %s for user '%s'; check username and password, no other login is "
	    "tried",
	    l->name, mdfh_soup_reason_text((unsigned)stats->last_reason), l->server, l->username);
}

int mdfh_soup_line_poll(struct mdfh_soup_line *l, struct mdfh_bypass *port, int64_t now_ns)
{
	const struct mdfh_soup_client_stats *stats = mdfh_soup_client_stats(l->client);

	mdfh_soup_client_poll(l->client, now_ns);
	if (mdfh_soup_client_reason(l->client) && !l->is_told) {
		uint64_t pause_ns = mdfh_soup_client_pause(l->client);

		l->is_told = 1;
		(void)mdfh_bypass_reconnect(port, pause_ns);
	} else if (stats->state == MDFH_SOUP_DOWN && stats->connections && !l->is_told) {
		uint64_t pause_ns = mdfh_soup_client_pause(l->client);

		/* The port connects anew by itself, but may have to wait for longer. */
		l->is_told = 1;
		if (pause_ns)
			(void)mdfh_bypass_reconnect(port, pause_ns);
	}
	if (stats->given_up)
		return give_up(l);
	send_output(l, port, now_ns);
	return 0;
}

void mdfh_soup_line_logout(struct mdfh_soup_line *l, struct mdfh_bypass *port)
{
	if (mdfh_soup_client_logout(l->client) == 0)
		send_output(l, port, 0);
}

const struct mdfh_soup_client_stats *mdfh_soup_line_stats(const struct mdfh_soup_line *l)
{
	return mdfh_soup_client_stats(l->client);
}
