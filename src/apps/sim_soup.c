/* sim_soup.c - options, messages and summary of the day over SoupBinTCP. */
#include "apps/sim_soup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mdfh/error.h"

/* Only this machine's own programs, unless it is meant for others. */
static int check_address(const char *address)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, address, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127)
		return 0;
	if (inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6))
		return 0;
	return mdfh_error(-EPERM,
	    "soupbintcp is %s, which is not loopback: others could take the data for real; "
	    "--transmit says that it is meant",
	    address);
}

int sim_soup_open(const struct sim_options *options, struct mdfh_soup_feed **feed)
{
	struct mdfh_soup_feed_config config = {
	    .address = options->soup.group,
	    .port = options->soup.port,
	    .username = options->soup_user,
	    .password = options->soup_password,
	    .messages = options->day.messages,
	    .message_max = MDFH_DAY_MESSAGE_MAX,
	    .disconnect_every = options->disconnect_every,
	    .heartbeat_ns = options->heartbeat_ms * 1000000,
	};
	char session[MDFH_PUBLISHER_SESSION_SIZE + 1];
	size_t length = strlen(options->session);
	int err = 0;

	*feed = NULL;
	if (!options->soup.port)
		return 0;
	while (length > 0 && options->session[length - 1] == ' ')
		length--;
	memcpy(session, options->session, length);
	session[length] = '\0';
	config.session = session;
	if (!options->transmit)
		err = check_address(config.address);
	return err ? err : mdfh_soup_feed_create(&config, feed);
}

static void publish(void *context, const struct mdfh_publisher_packet *packet)
{
	const struct mdfh_session_ops *mold = mdfh_session_find("moldudp64");

	mdfh_soup_feed_publish(
	    context, packet->data + mold->header_size, packet->length - mold->header_size);
}

void sim_soup_attach(struct mdfh_soup_feed *feed, struct mdfh_sender_config *config)
{
	config->publish = feed ? publish : NULL;
	config->publish_context = feed;
}

void sim_soup_print(const struct mdfh_soup_feed_stats *s)
{
	const uint64_t *reasons = s->server.reasons;
	unsigned long long errors = reasons[MDFH_SOUP_LENGTH];

	errors += reasons[MDFH_SOUP_TYPE];
	errors += reasons[MDFH_SOUP_STATE];
	errors += reasons[MDFH_SOUP_NUMBER];
	printf("SoupBinTCP: %llu connections, %llu logins, %llu refused; %llu messages sent, of "
	       "%llu; clients dropped %llu, slow %llu, silent %llu, in error %llu, given the end "
	       "%llu\n",
	    (unsigned long long)s->server.connections, (unsigned long long)s->server.accepted,
	    (unsigned long long)s->server.refused, (unsigned long long)s->server.sequenced,
	    (unsigned long long)s->stored, (unsigned long long)s->dropped,
	    (unsigned long long)reasons[MDFH_SOUP_SLOW],
	    (unsigned long long)reasons[MDFH_SOUP_SILENT], errors,
	    (unsigned long long)s->server.ends);
}

static json_t *integer(uint64_t value)
{
	return json_integer((json_int_t)value);
}

json_t *sim_soup_json(const struct mdfh_soup_feed_stats *s)
{
	json_t *reasons = json_object();

	for (unsigned r = 1; r < MDFH_SOUP_REASONS; r++)
		json_object_set_new(
		    reasons, mdfh_soup_reason_name(r), integer(s->server.reasons[r]));
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "connections",
	    integer(s->server.connections), "rejected", integer(s->server.rejected), "logins",
	    integer(s->server.accepted), "refused", integer(s->server.refused), "sequenced",
	    integer(s->server.sequenced), "stored", integer(s->stored), "dropped",
	    integer(s->dropped), "heartbeats_sent", integer(s->server.heartbeats_sent),
	    "heartbeats_received", integer(s->server.heartbeats_received), "ends_of_session",
	    integer(s->server.ends), "reasons", reasons);
}
