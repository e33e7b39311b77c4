/* fuzz_zone.c - any bytes as a zone file (TZif), asked for the midnight of dates.
 *
 * The first four bytes choose two dates. The file's size is that of the rest: what lies behind it
 * in the buffer may not be read. */
#include "fuzz.h"

#include <sanitizer/asan_interface.h>

#include "../../src/proto/venue_time.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct zone *zone;
	int length = (int)size - 4;

	if (size < 4 + HEADER || size > 4096)
		return 0;
	if (!zone) {
		zone = calloc(1, sizeof(*zone));
		REQUIRE(zone);
		zone->name = "Fuzz";
	}
	memcpy(zone->file, data + 4, (size_t)length);
	__asan_poison_memory_region(zone->file + length, sizeof(zone->file) - (size_t)length);
	if (!zone_parse(zone, length)) {
		REQUIRE(strlen(zone->rule) < sizeof(zone->rule));
		for (int i = 0; i < 4; i += 2) {
			int year = 1970 + data[i] % 231, month = 1 + data[i + 1] % 12;
			int day = 1 + data[i + 1] / 12;
			int64_t ns;

			if (!zone_midnight(zone, year, month, day, &ns)) {
				int64_t utc = days_of(year, month, day) * DAY_S;

				REQUIRE(ns % 1000000000 == 0);
				REQUIRE(llabs(ns / 1000000000 - utc) <= OFFSET_MAX);
			}
		}
	}
	__asan_unpoison_memory_region(zone->file, sizeof(zone->file));
	return 0;
}
