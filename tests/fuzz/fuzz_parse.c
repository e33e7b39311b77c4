/* fuzz_parse.c - any bytes as a packet of each session protocol, and as a day file.
 *
 * What is accepted lies inside the packet, whole messages only, never more than were claimed. */
#include "fuzz.h"

#include "mdfh/session.h"

static const char *const names[] = {"moldudp64", "binaryfile", "iex-tp", "mdp3", "soupbintcp"};

static uint32_t walk(enum mdfh_framing framing, const uint8_t *data, uint32_t length)
{
	const uint8_t *message;
	uint32_t n = 0, size, step;

	while (length && (step = mdfh_framing_next(framing, data, length, &message, &size)) > 0) {
		REQUIRE(step <= length && message >= data && message + size <= data + step);
		data += step;
		length -= step;
		n++;
	}
	REQUIRE(length == 0);
	return n;
}

static void parse_each(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct mdfh_session_ops *ops = mdfh_session_find(names[i]);
		char text[MDFH_SESSION_TEXT];
		struct mdfh_unit unit;

		if (ops->parse(data, (uint32_t)size, &unit)) {
			REQUIRE(unit.messages == 0);
			REQUIRE(
			    unit.error == MDFH_SESSION_SHORT || unit.error == MDFH_SESSION_VERSION);
			continue;
		}
		REQUIRE(unit.error < MDFH_SESSION_ERRORS && unit.kind <= MDFH_UNIT_END);
		REQUIRE(unit.messages <= unit.claimed);
		REQUIRE(unit.messages == unit.claimed || unit.error);
		REQUIRE(unit.body >= data && unit.body + unit.body_length <= data + size);
		REQUIRE(walk(ops->framing, unit.body, unit.body_length) == unit.messages);
		ops->session_text(&unit, text);
		REQUIRE(memchr(text, '\0', sizeof(text)) != NULL);
	}
}

static void read_file(const uint8_t *data, size_t size)
{
	struct mdfh_binaryfile file;
	struct mdfh_span span;
	uint64_t next = 1;

	mdfh_binaryfile_open(&file, 0);
	mdfh_binaryfile_feed(&file, data, size);
	while (mdfh_binaryfile_next(&file, 3, &span)) {
		REQUIRE(span.first == next && span.messages >= 1 && span.messages <= 3);
		REQUIRE(walk(MDFH_FRAMING_LENGTH_BE16, span.data, span.length) == span.messages);
		next += span.messages;
	}
	REQUIRE(file.sequence == next && file.offset <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *packet;

	if (size > 65536)
		return 0;
	packet = exact_copy(data, size);
	parse_each(packet, size);
	read_file(packet, size);
	free(packet);
	return 0;
}
