/* fuzz_soup.c - any bytes, cut anywhere, at any time, into both ends of SoupBinTCP.
 *
 * The first byte says which end. Then come steps: 2 bytes of length and 1 of time, and the bytes.
 * Whatever comes, an item lies inside what was fed or the object's own buffer, its packets are
 * whole, numbers follow one another, and output stays within its bound. */
#include "fuzz.h"

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

static unsigned look(const uint8_t *data, uint32_t length)
{
	unsigned sum = 0;

	for (uint32_t i = 0; i < length; i++)
		sum += data[i];
	return sum;
}

static void play_client(struct script s)
{
	struct mdfh_soup_client_config config = {
	    .size = sizeof(config), .sequence = 1, .run_max = 64, .output_bytes = 256};
	struct mdfh_soup_client *client;
	uint64_t next = 0;
	unsigned sum = 0;

	REQUIRE(mdfh_soup_client_create(&config, &client) == 0);
	mdfh_soup_client_connected(client, s.now);
	for (int i = 0; i < STEPS_MAX && step(&s); i++) {
		struct mdfh_soup_item item;
		struct mdfh_unit unit;
		const uint8_t *data;
		uint32_t length;

		mdfh_soup_client_feed(client, s.bytes, s.length, s.now);
		while (mdfh_soup_client_next(client, &item)) {
			sum += look(item.data, item.length);
			if (item.kind == MDFH_SOUP_ITEM_LOGIN)
				next = item.sequence;
			if (!mdfh_soup_client_unit(client, &item, &unit))
				continue;
			REQUIRE(item.sequence == next);
			if (item.kind != MDFH_SOUP_ITEM_DATA)
				continue;
			for (uint32_t k = 0, left = unit.body_length; k < unit.messages; k++) {
				const uint8_t *message;
				uint32_t size, used;

				used = mdfh_framing_next(MDFH_FRAMING_SOUPBIN,
				    unit.body + unit.body_length - left, left, &message, &size);
				REQUIRE(used && used <= left);
				left -= used;
				REQUIRE(k + 1 < unit.messages || left == 0);
			}
			next += unit.messages;
		}
		free(s.bytes);
		mdfh_soup_client_poll(client, s.now);
		(void)mdfh_soup_client_send(client, (const uint8_t *)"reply", 5);
		length = mdfh_soup_client_output(client, &data);
		REQUIRE(length <= 256);
		sum += look(data, length);
		mdfh_soup_client_sent(client, length - length / 3, s.now);
		if (mdfh_soup_client_reason(client)) {
			mdfh_soup_client_disconnected(client, s.now);
			mdfh_soup_client_connected(client, s.now);
		}
	}
	REQUIRE(sum || 1);
	mdfh_soup_client_destroy(client);
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
	unsigned sum = 0;

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
			sum += look(item.data, item.length);
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
		sum += look(data, length);
		mdfh_soup_server_sent(server, c, length - length / 3, s.now);
		if (mdfh_soup_server_reason(server, c))
			mdfh_soup_server_disconnected(server, c);
	}
	REQUIRE(sum || 1);
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
