/* fuzz_parse.c - any bytes as a packet of each session protocol, and as a day file.
 *
 * What is accepted lies inside the packet, whole messages only, never more than were claimed; a
 * header that can be written is written as it was. A file read whole, in chunks or by who walks
 * through it himself has the same messages and the same end. */
#include "spans.h"

static const char *const names[] = {"moldudp64", "binaryfile", "iex-tp", "mdp3", "soupbintcp"};

static void check_header(
    const struct mdfh_session_ops *ops, const uint8_t *data, struct mdfh_unit unit)
{
	uint8_t header[64];

	if (!ops->write_header)
		return;
	REQUIRE(ops->header_size <= sizeof(header));
	unit.messages = unit.claimed;
	ops->write_header(header, &unit);
	REQUIRE(!memcmp(header, data, ops->header_size));
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
		REQUIRE(count_messages(ops->framing, unit.body, unit.body_length) == unit.messages);
		check_header(ops, data, unit);
		ops->session_text(&unit, text);
		REQUIRE(memchr(text, '\0', sizeof(text)) != NULL);
	}
}

/* A file as it was read: where it ended, how, and all of its messages. */
struct reading {
	uint64_t next;
	uint64_t offset;
	uint64_t hash;
	enum mdfh_binaryfile_end end;
};

static void note(struct reading *reading, const struct mdfh_span *span)
{
	REQUIRE(span->first == reading->next && span->messages >= 1);
	REQUIRE(
	    count_messages(MDFH_FRAMING_LENGTH_BE16, span->data, span->length) == span->messages);
	for (uint32_t i = 0; i < span->length; i++)
		reading->hash = (reading->hash ^ span->data[i]) * 1099511628211u;
	reading->next += span->messages;
}

static void end(struct reading *reading, const struct mdfh_binaryfile *file)
{
	REQUIRE(file->sequence == reading->next);
	reading->offset = file->offset;
	reading->end = mdfh_binaryfile_end(file);
}

static struct reading read_whole(const uint8_t *data, size_t size)
{
	struct reading reading = {.next = 1};
	struct mdfh_binaryfile file;
	struct mdfh_span span;

	mdfh_binaryfile_open(&file, 0);
	mdfh_binaryfile_feed(&file, data, size);
	while (mdfh_binaryfile_next(&file, 3, &span)) {
		REQUIRE(span.messages <= 3);
		note(&reading, &span);
	}
	end(&reading, &file);
	return reading;
}

/* A buffer of so many bytes, what is left moved to its front; as who reads a pipe does. */
static struct reading read_chunks(const uint8_t *data, size_t size, size_t chunk)
{
	struct reading reading = {.next = 1};
	struct mdfh_binaryfile file;
	struct mdfh_span span;
	size_t held = 0, at = 0;

	mdfh_binaryfile_open(&file, 0);
	while (at < size) {
		size_t more = size - at < chunk ? size - at : chunk;
		uint8_t *exact = exact_copy(data + at - held, held + more);

		at += more;
		mdfh_binaryfile_feed(&file, exact, held + more);
		while (mdfh_binaryfile_next(&file, UINT32_MAX, &span))
			note(&reading, &span);
		held = mdfh_binaryfile_left(&file);
		free(exact);
		if (file.marked) { /* what follows is not looked at; but that it is there counts */
			file.size += size - at;
			break;
		}
	}
	end(&reading, &file);
	return reading;
}

static struct reading read_walked(const uint8_t *data, size_t size)
{
	struct reading reading = {.next = 1};
	struct mdfh_binaryfile file;
	struct mdfh_span span;

	mdfh_binaryfile_open(&file, 0);
	mdfh_binaryfile_feed(&file, data, size);
	while (mdfh_binaryfile_rest(&file, &span)) {
		const uint8_t *message;
		uint32_t length, step;

		REQUIRE(span.messages == MDFH_SPAN_UNCOUNTED);
		/* A message or two at a time. */
		step = mdfh_framing_next(
		    MDFH_FRAMING_LENGTH_BE16, span.data, span.length, &message, &length);
		REQUIRE(step && length);
		span.length = step;
		span.messages = 1;
		note(&reading, &span);
		mdfh_binaryfile_took(&file, 1, step);
	}
	end(&reading, &file);
	return reading;
}

static void read_file(const uint8_t *data, size_t size)
{
	const struct reading whole = read_whole(data, size);
	const struct reading others[] = {read_chunks(data, size, 7 + size / 3),
	    read_chunks(data, size, 1 + size / 11), read_walked(data, size)};

	REQUIRE(whole.offset <= size);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		REQUIRE(others[i].next == whole.next && others[i].offset == whole.offset);
		REQUIRE(others[i].hash == whole.hash && others[i].end == whole.end);
	}
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
