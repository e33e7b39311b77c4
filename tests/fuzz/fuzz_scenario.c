/* fuzz_scenario.c - any bytes as a scenario of mdfh sim, and the day that is made from it.
 *
 * What is accepted either makes a day of exactly as many messages as were asked for, in the order of
 * time, or is refused with a sentence; what is not gives -EINVAL and names the file. */
#include "fuzz.h"

#include <errno.h>

#include "core/bytes.h"
#include "mdfh/error.h"
#include "sim/day.h"

enum { MESSAGES = 4000, SYMBOLS = 60 };

static void run(const struct mdfh_scenario *scenario)
{
	const struct mdfh_day_config config = {
	    .seed = 1,
	    .messages = MESSAGES,
	    .symbols = SYMBOLS,
	    .rate = 10000,
	    .scenario = scenario,
	};
	uint8_t message[MDFH_DAY_MESSAGE_MAX];
	uint64_t time = 0;
	uint64_t n = 0;
	struct mdfh_day *day;
	int length;

	if (mdfh_day_create(&config, &day)) {
		REQUIRE(!day);
		return;
	}
	while ((length = mdfh_day_next(day, message)) > 0) {
		uint64_t now = mdfh_load_be48(message + 5);

		REQUIRE(length <= MDFH_DAY_MESSAGE_MAX);
		REQUIRE(now >= time);
		time = now;
		n++;
		REQUIRE(mdfh_day_mark(day)->pace > 0);
	}
	REQUIRE(!length && n == MESSAGES);
	for (int kind = 0; kind < MDFH_REFBOOK_ERRORS; kind++)
		REQUIRE(!mdfh_refbook_errors(mdfh_day_book(day), (enum mdfh_refbook_error)kind));
	mdfh_day_destroy(day);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mdfh_scenario *scenario;
	uint8_t *text;
	int err;

	if (size > 4096)
		return 0;
	text = exact_copy(data, size);
	err = mdfh_scenario_parse((const char *)text, size, "f.yaml", &scenario);
	free(text); /* nothing of it is referred to */
	if (err) {
		REQUIRE(err == -EINVAL && !scenario);
		REQUIRE(!strncmp(mdfh_error_text(), "f.yaml:", 7));
		return 0;
	}
	run(scenario);
	mdfh_scenario_free(scenario);
	return 0;
}
