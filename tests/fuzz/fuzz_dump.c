/* fuzz_dump.c - any bytes as what `mdfh dump` reads, printed in one format.
 *
 * First byte: schema id, the rest a message, whose size chooses the format; seeds as for fuzz_walk.
 * What comes out must be one line of printable ASCII, whatever the wire holds. Of an id that there
 * is not: the payload of a packet, a segment of SoupBinTCP, whose passwords nobody sees, or the
 * first records of a file. */
#include "fuzz.h"

#include "apps/dump_print.h"
#include "apps/dump_recognise.h"
#include "apps/dump_soup.h"
#include "core/bytes.h"
#include "mdfh/session.h"

static char text[1 << 20];

static const char printable[] =
    " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`"
    "abcdefghijklmnopqrstuvwxyz{|}~";

/* Lines, each of printable ASCII; how many there are. */
static uint32_t check_lines(const char *at)
{
	uint32_t lines = 0;

	for (; *at; at++, lines++) {
		at += strspn(at, printable);
		REQUIRE(*at == '\n');
	}
	return lines;
}

static uint32_t print_soup(
    const uint8_t *payload, uint32_t length, enum dump_format format, uint64_t max, char *to)
{
	struct mdfh_frame frame = {
	    .protocol = MDFH_PROTOCOL_TCP, .payload_length = length, .payload_wire_length = length};
	struct dump_packet packet = {.number = 1, .frame = &frame, .payload = payload};
	FILE *stream = fmemopen(to, sizeof(text), "w");
	uint32_t count;

	REQUIRE(stream);
	to[0] = '\0'; /* where nothing is printed, too */
	count = dump_soup_print(stream, format, &packet, max);
	REQUIRE(!fclose(stream));
	return count;
}

/* Of a row of whole packets all are printed, and of a login all but its password. */
static void check_soup(uint8_t *payload, uint32_t length, enum dump_format format)
{
	static char again[sizeof(text)];
	uint32_t count = dump_soup_count(payload, length), printed;
	uint64_t max = format == DUMP_WIRE ? UINT64_MAX : length % 5;

	if (!count)
		return;
	printed = print_soup(payload, length, format, max, text);
	REQUIRE(printed == (count < max ? count : max));
	REQUIRE(check_lines(text) == (format == DUMP_WIRE ? 1 : printed));
	if (format == DUMP_WIRE)
		return;
	for (uint32_t at = 0; at < length; at += 2u + mdfh_load_be16(payload + at))
		if (payload[at + 2] == 'L')
			memset(payload + at + 9, '#', 10);
	REQUIRE(print_soup(payload, length, format, max, again) == printed);
	REQUIRE(!strcmp(text, again));
}

/* A packet whose protocol is recognised: its header and its messages, a line each. */
static void print_packet(const struct mdfh_schema *schema, const struct mdfh_session_ops *session,
    const uint8_t *payload, uint32_t length, enum dump_format format)
{
	struct mdfh_frame frame = {.protocol = MDFH_PROTOCOL_UDP,
	    .payload_length = length,
	    .payload_wire_length = length,
	    .vlan_count = length & 1};
	struct mdfh_unit unit;
	struct dump_packet packet = {.number = 1,
	    .frame = &frame,
	    .payload = payload,
	    .unit = &unit,
	    .header = mdfh_schema_find(schema->session)};
	struct dump_message message = {.schema = schema,
	    .packet = &packet,
	    .symbol = length & 2 ? "AAPL" : "",
	    .midnight_ns = INT64_MIN,
	    .time_ns = length & 4 ? 1692662400000000000 : INT64_MIN,
	    .has_time = 1};
	const struct mdfh_message *found;
	FILE *stream = fmemopen(text, sizeof(text), "w");
	uint32_t at = 0, n;

	REQUIRE(stream && !session->parse(payload, length, &unit));
	text[0] = '\0'; /* where nothing is printed, too */
	dump_print_packet(stream, format, &packet);
	for (n = 0; n < unit.messages && n < 64; n++) {
		at += mdfh_framing_next(session->framing, unit.body + at, unit.body_length - at,
		    &message.bytes, &message.length);
		dump_print_message(stream, format, &message,
		    mdfh_walk_check(schema, message.bytes, message.length, &found));
	}
	REQUIRE(!fclose(stream));
	REQUIRE(check_lines(text) == n + (format == DUMP_WIRE));
}

/* Who is recognised can be read: its session's parser takes the packet. */
static void check_recognised(const uint8_t *payload, uint32_t length, enum dump_format format)
{
	const struct mdfh_schema *schema = dump_recognise(payload, length);

	if (schema)
		print_packet(schema, mdfh_session_find(schema->session), payload, length, format);
	(void)dump_recognise_file(payload, length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dump_message message = {
	    .symbol = "", .midnight_ns = INT64_MIN, .time_ns = INT64_MIN};
	const struct mdfh_message *found;
	enum mdfh_walk_error error;
	FILE *stream;
	size_t length;
	int format;

	if (size < 1 || size > 4096)
		return 0;
	message.schema = mdfh_schema_by_id(data[0]);
	format = DUMP_TEXT + (int)(size / 2 % (DUMP_WIRE - DUMP_TEXT + 1));
	if (!message.schema || !message.schema->type_field) {
		uint8_t *payload = exact_copy(data + 1, size - 1);

		check_recognised(payload, (uint32_t)size - 1, (enum dump_format)format);
		check_soup(payload, (uint32_t)size - 1, (enum dump_format)format);
		free(payload);
		return 0;
	}
	message.bytes = data + 1;
	message.length = (uint32_t)size - 1;
	message.midnight_ns = size % 2 ? INT64_MIN : 1692662400000000000;
	error = mdfh_walk_check(message.schema, message.bytes, message.length, &found);
	stream = fmemopen(text, sizeof(text), "w");
	REQUIRE(stream);
	dump_print_message(stream, (enum dump_format)format, &message, error);
	REQUIRE(!fclose(stream));
	length = strlen(text);
	REQUIRE(length > 0 && text[length - 1] == '\n');
	REQUIRE(strspn(text, printable) == length - 1);
	return 0;
}
