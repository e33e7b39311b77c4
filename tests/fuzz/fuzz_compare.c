/* fuzz_compare.c - any bytes as lines of a book dump, as `mdfh compare` reads them.
 *
 * A row that is accepted, printed again, is the same row; the order of rows is an order. */
#include "fuzz.h"

#include "../../src/apps/cmd_compare.c"

static void check_row(const struct row *row)
{
	char text[160];
	struct row again;

	REQUIRE(row->side == 'B' || row->side == 'S');
	snprintf(text, sizeof(text), "%s\t%c\t%lld\t%llu\t%llu\t%llu\n", row->symbol, row->side,
	    (long long)row->price, (unsigned long long)row->position,
	    (unsigned long long)row->order_id, (unsigned long long)row->shares);
	REQUIRE(parse_row(text, &again));
	REQUIRE(compare_places(row, &again) == 0);
	REQUIRE(again.order_id == row->order_id && again.shares == row->shares);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct row rows[2];
	int known[2] = {0, 0};

	/* As getline gives them: each line ends in a newline, but for the last. */
	for (unsigned n = 0; size > 0 && n < 16; n++) {
		const uint8_t *newline = memchr(data, '\n', size);
		size_t length = newline ? (size_t)(newline - data) + 1 : size;
		char *line = malloc(length + 1);

		REQUIRE(line);
		memcpy(line, data, length);
		line[length] = '\0';
		known[n & 1] = parse_row(line, &rows[n & 1]);
		free(line);
		if (known[n & 1])
			check_row(&rows[n & 1]);
		if (known[0] && known[1]) {
			int there = compare_places(&rows[0], &rows[1]);
			int back = compare_places(&rows[1], &rows[0]);

			REQUIRE((there < 0) == (back > 0) && (there > 0) == (back < 0));
		}
		data += length;
		size -= length;
	}
	return 0;
}
