/* fuzz_dump.c - any bytes as a message of any schema, printed in every format.
 *
 * First byte: schema id, the rest the message; seeds as for fuzz_walk. What comes out must be one
 * line of printable ASCII, whatever the wire holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/dump_print.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char text[1 << 20];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dump_message message = {
	    .symbol = "", .midnight_ns = INT64_MIN, .time_ns = INT64_MIN};
	const struct mdfh_message *found;
	enum mdfh_walk_error error;

	if (size < 1 || size > 4096)
		return 0;
	message.schema = mdfh_schema_by_id(data[0]);
	if (!message.schema || !message.schema->type_field)
		return 0;
	message.bytes = data + 1;
	message.length = (uint32_t)size - 1;
	message.midnight_ns = size % 2 ? INT64_MIN : 1692662400000000000;
	error = mdfh_walk_check(message.schema, message.bytes, message.length, &found);
	for (int format = DUMP_TEXT; format <= DUMP_WIRE; format++) {
		FILE *stream = fmemopen(text, sizeof(text), "w");
		size_t length;

		if (!stream)
			abort();
		dump_print_message(stream, (enum dump_format)format, &message, error);
		if (fclose(stream))
			abort();
		length = strlen(text);
		if (length == 0 || text[length - 1] != '\n')
			abort();
		for (size_t i = 0; i < length - 1; i++) {
			if (text[i] < ' ' || text[i] > '~')
				abort();
		}
	}
	return 0;
}
