/* fuzz_dump.c - any bytes as a message of any schema, printed in one format.
 *
 * First byte: schema id, the rest the message, whose size chooses the format; seeds as for
 * fuzz_walk. What comes out must be one line of printable ASCII, whatever the wire holds. */
#include "fuzz.h"

#include "apps/dump_print.h"

static char text[1 << 20];

static const char printable[] =
    " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`"
    "abcdefghijklmnopqrstuvwxyz{|}~";

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
	if (!message.schema || !message.schema->type_field)
		return 0;
	message.bytes = data + 1;
	message.length = (uint32_t)size - 1;
	message.midnight_ns = size % 2 ? INT64_MIN : 1692662400000000000;
	error = mdfh_walk_check(message.schema, message.bytes, message.length, &found);
	format = DUMP_TEXT + (int)(size / 2 % (DUMP_WIRE - DUMP_TEXT + 1));
	stream = fmemopen(text, sizeof(text), "w");
	REQUIRE(stream);
	dump_print_message(stream, (enum dump_format)format, &message, error);
	REQUIRE(!fclose(stream));
	length = strlen(text);
	REQUIRE(length > 0 && text[length - 1] == '\n');
	REQUIRE(strspn(text, printable) == length - 1);
	return 0;
}
