/* raw_tap.c - a raw tap: the bytes of every message, here counted by type with the schema's names.
 *
 *     raw_tap CONFIG.yaml      the configuration has a consumer named "tap" of kind raw */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include <mdfh/error.h>
#include <mdfh/handler.h>
#include <mdfh/schema.h>

int main(int argc, char **argv)
{
	const struct timespec nap = {.tv_nsec = 50000};
	const struct mdfh_schema *schema = NULL;
	struct mdfh_handler_config *config;
	struct mdfh_consumer *tap;
	struct mdfh_handler *handler;
	uint64_t by_type[256] = {0};
	uint64_t lost = 0;
	int running = 1;

	if (argc != 2)
		errx(2, "usage: raw_tap CONFIG.yaml");
	if (mdfh_handler_config_load(argv[1], &config) || mdfh_handler_create(config, &handler))
		errx(2, "%s", mdfh_error_text());
	mdfh_handler_config_free(config);
	tap = mdfh_handler_consumer(handler, "tap");
	if (!tap)
		errx(2, "%s has no consumer named tap", argv[1]);
	if (mdfh_handler_start(handler))
		errx(2, "%s", mdfh_error_text());
	for (;;) {
		const struct mdfh_raw *raw;

		if (mdfh_consumer_peek_raw(tap, &raw)) {
			schema = mdfh_schema_by_id(raw->schema);
			if (raw->kind == MDFH_SPAN_DATA && raw->stored)
				by_type[raw->data[0]]++; /* ITCH: the type comes first */
			else if (raw->kind == MDFH_SPAN_GAP)
				lost++;
			mdfh_consumer_done(tap, 1);
			continue;
		}
		if (!running)
			break;
		nanosleep(&nap, NULL);
		if (!mdfh_handler_running(handler) || mdfh_handler_session_ended(handler)) {
			if (mdfh_handler_stop(handler))
				warnx("%s", mdfh_error_text());
			running = 0;
		}
	}
	for (uint32_t type = 0; schema && type < 256; type++) {
		const struct mdfh_message *message = mdfh_schema_message(schema, type);

		if (by_type[type])
			printf("%10" PRIu64 " %s\n", by_type[type], message ? message->name : "?");
	}
	printf("%10" PRIu64 " gaps\n", lost);
	mdfh_handler_destroy(handler);
	return 0;
}
