/* fuzz_soup.c - any bytes, cut anywhere, at any time, into both ends of SoupBinTCP.
 *
 * The first byte says which end. Then come steps: 2 bytes of length and 1 of time, and the bytes.
 * Whatever comes, an item lies inside what was fed or the object's own buffer, its packets are
 * whole, numbers follow one another, and output stays within its bound. A second client is given
 * the same a byte at a time: both read the same, and a channel that has them for its lines gives
 * each number out once. */
#include "spans.h"

#include <sanitizer/asan_interface.h>

#include "mdfh/soupbintcp.h"

enum { STEPS_MAX = 64 };

struct script {
	const uint8_t *at;
	const uint8_t *end;
	int64_t now;
	uint8_t *bytes; /* of the step, in a block of their size */
	uint32_t length;
};

static int step(struct script *s)
{
	uint32_t length;

	if (s->end - s->at < 3)
		return 0;
	length = (uint32_t)(s->at[0] << 8 | s->at[1]) % 600;
	s->now += (int64_t)s->at[2] * s->at[2] * 1000000;
	s->at += 3;
	if (length > s->end - s->at)
		length = (uint32_t)(s->end - s->at);
	s->bytes = exact_copy(s->at, length);
	s->length = length;
	s->at += length;
	return 1;
}

/* Each byte is there. */
static void look(const uint8_t *data, uint32_t length)
{
	REQUIRE(!length || !__asan_region_is_poisoned((void *)(uintptr_t)data, length));
}

/* A client, and what it has read. */
struct reader {
	struct mdfh_soup_client *client;
	uint64_t next;
	uint64_t hash; /* of all messages, each with its kind and length */
};

struct line_up {
	struct reader readers[2]; /* fed as the steps are cut; fed byte by byte */
	struct mdfh_channel *channel;
	struct span_check check;
	int64_t now;
};

static void note(struct reader *reader, unsigned kind, const uint8_t *message, uint32_t length)
{
	reader->hash = (reader->hash ^ kind << 16 ^ length) * 1099511628211u;
	for (uint32_t i = 0; i < length; i++)
		reader->hash = (reader->hash ^ message[i]) * 1099511628211u;
}

static void read_run(struct reader *reader, const struct mdfh_unit *unit)
{
	const uint8_t *at = unit->body;
	uint32_t left = unit->body_length;

	for (uint32_t k = 0; k < unit->messages; k++) {
		const uint8_t *message;
		uint32_t size, used;

		used = mdfh_framing_next(MDFH_FRAMING_SOUPBIN, at, left, &message, &size);
		REQUIRE(used && used <= left);
		note(reader, MDFH_SOUP_ITEM_DATA, message, size);
		at += used;
		left -= used;
	}
	REQUIRE(left == 0);
	reader->next += unit->messages;
}

static void push(struct line_up *l, unsigned line, const struct mdfh_unit *unit)
{
	const struct mdfh_packet packet = {.receive_ns = (uint64_t)l->now};
	struct mdfh_span spans[MDFH_SPANS_MAX];
	int n =
	    mdfh_channel_push_unit(l->channel, unit, &packet, line, l->now, spans, MDFH_SPANS_MAX);

	check_spans(&l->check, spans, n);
	while (n == MDFH_SPANS_MAX) {
		n = mdfh_channel_poll(l->channel, l->now, spans, MDFH_SPANS_MAX);
		check_spans(&l->check, spans, n);
	}
}

static void feed(struct line_up *l, unsigned line, const uint8_t *bytes, uint32_t length)
{
	struct reader *reader = &l->readers[line];
	struct mdfh_soup_item item;
	struct mdfh_unit unit;

	mdfh_soup_client_feed(reader->client, bytes, length, l->now);
	while (mdfh_soup_client_next(reader->client, &item)) {
		if (item.kind == MDFH_SOUP_ITEM_LOGIN)
			reader->next = item.sequence;
		if (!mdfh_soup_client_unit(reader->client, &item, &unit)) {
			note(reader, item.kind, item.data, item.length);
			continue;
		}
		REQUIRE(item.sequence == reader->next);
		if (item.kind == MDFH_SOUP_ITEM_DATA)
			read_run(reader, &unit);
		push(l, line, &unit);
	}
}

static void talk(struct mdfh_soup_client *client, int64_t now)
{
	const uint8_t *data;
	uint32_t length;

	mdfh_soup_client_poll(client, now);
	(void)mdfh_soup_client_send(client, (const uint8_t *)"reply", 5);
	length = mdfh_soup_client_output(client, &data);
	REQUIRE(length <= 256);
	look(data, length);
	mdfh_soup_client_sent(client, length - length / 3, now);
	if (mdfh_soup_client_reason(client)) {
		mdfh_soup_client_disconnected(client, now);
		mdfh_soup_client_connected(client, now);
	}
}

/* How a stream is cut tells nothing; but of a run that goes past the end of all numbers. */
static void compare(const struct line_up *l)
{
	struct mdfh_soup_client_stats a = *mdfh_soup_client_stats(l->readers[0].client);
	struct mdfh_soup_client_stats b = *mdfh_soup_client_stats(l->readers[1].client);

	if (a.reasons[MDFH_SOUP_NUMBER])
		return;
	REQUIRE(l->readers[0].hash == l->readers[1].hash);
	a.straddled = b.straddled = 0;
	REQUIRE(!memcmp(&a, &b, sizeof(a)));
}

static void play_client(struct script s)
{
	struct mdfh_soup_client_config config = {
	    .size = sizeof(config), .sequence = 1, .run_max = 64, .output_bytes = 256};
	struct mdfh_channel_config channel = {.size = sizeof(channel),
	    .session = mdfh_session_find("soupbintcp"),
	    .lines = 2,
	    .window_packets = 16,
	    .window_frame_size = 64};
	struct line_up l = {.check = {.ops = channel.session}};
	struct mdfh_span spans[MDFH_SPANS_MAX];
	int n;

	REQUIRE(mdfh_channel_create(&channel, &l.channel) == 0);
	for (int i = 0; i < 2; i++) {
		REQUIRE(mdfh_soup_client_create(&config, &l.readers[i].client) == 0);
		mdfh_soup_client_connected(l.readers[i].client, s.now);
	}
	for (int i = 0; i < STEPS_MAX && step(&s); i++) {
		l.now = s.now;
		feed(&l, 0, s.bytes, s.length);
		for (uint32_t k = 0; k < s.length; k++)
			feed(&l, 1, s.bytes + k, 1);
		free(s.bytes);
		compare(&l);
		for (int k = 0; k < 2; k++)
			talk(l.readers[k].client, s.now);
	}
	do {
		n = mdfh_channel_flush(l.channel, l.now, spans, MDFH_SPANS_MAX);
		check_spans(&l.check, spans, n);
	} while (n);
	check_counts(&l.check, mdfh_channel_stats(l.channel));
	for (int i = 0; i < 2; i++)
		mdfh_soup_client_destroy(l.readers[i].client);
	mdfh_channel_destroy(l.channel);
}

static void play_server(struct script s)
{
	struct mdfh_soup_server_config config = {.size = sizeof(config),
	    .session = "FUZZ",
	    .username = "user",
	    .password = "secret",
	    .clients_max = 2,
	    .output_bytes = 256};
	struct mdfh_soup_server *server;
	uint64_t published = 1;

	REQUIRE(mdfh_soup_server_create(&config, &server) == 0);
	for (int i = 0; i < STEPS_MAX && step(&s); i++) {
		unsigned c = s.length & 1;
		struct mdfh_soup_item item;
		const uint8_t *data;
		uint32_t length;
		uint64_t wanted;

		if (mdfh_soup_server_state(server, c) == MDFH_SOUP_DOWN)
			(void)mdfh_soup_server_connected(server, s.now);
		published += s.length & 7;
		mdfh_soup_server_publish(server, published);
		if (i == STEPS_MAX / 2)
			mdfh_soup_server_end(server);
		mdfh_soup_server_feed(server, c, s.bytes, s.length, s.now);
		while (mdfh_soup_server_next(server, c, &item))
			look(item.data, item.length);
		while ((wanted = mdfh_soup_server_wanted(server, c))) {
			REQUIRE(wanted < published);
			if (mdfh_soup_server_write(server, c, (const uint8_t *)"message", 7))
				break;
			REQUIRE(mdfh_soup_server_wanted(server, c) != wanted);
		}
		free(s.bytes);
		mdfh_soup_server_poll(server, c, s.now);
		length = mdfh_soup_server_output(server, c, &data);
		REQUIRE(length <= 256);
		look(data, length);
		mdfh_soup_server_sent(server, c, length - length / 3, s.now);
		if (mdfh_soup_server_reason(server, c))
			mdfh_soup_server_disconnected(server, c);
	}
	mdfh_soup_server_destroy(server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = {.at = data + 1, .end = data + size};

	if (size == 0)
		return 0;
	if (data[0] & 1)
		play_server(s);
	else
		play_client(s);
	return 0;
}
