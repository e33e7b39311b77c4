/* fuzz_config.c - any bytes as a configuration in YAML.
 *
 * What is accepted keeps to the counts of the schema and can be freed; what is not gives -EINVAL
 * and a sentence that names the file. */
#include "fuzz.h"

#include <errno.h>

#include "mdfh/error.h"
#include "mdfh/handler.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mdfh_handler_config *config;
	uint8_t *text;
	int err;

	if (size > 4096)
		return 0;
	text = exact_copy(data, size);
	err = mdfh_handler_config_parse((const char *)text, size, "f.yaml", &config);
	free(text); /* nothing of it is referred to */
	if (err) {
		REQUIRE(err == -EINVAL && !config);
		REQUIRE(!strncmp(mdfh_error_text(), "f.yaml:", 7));
		return 0;
	}
	REQUIRE(config && config->size == sizeof(*config));
	REQUIRE(config->channels_count >= 1 && config->channels_count <= MDFH_HANDLER_CHANNELS_MAX);
	REQUIRE(config->threads_count <= MDFH_HANDLER_THREADS_MAX);
	REQUIRE(config->consumers_count <= MDFH_HANDLER_CONSUMERS_MAX);
	for (unsigned i = 0; i < config->channels_count; i++) {
		REQUIRE(config->channels[i].protocol);
		REQUIRE(config->channels[i].lines_count >= 1);
		REQUIRE(config->channels[i].lines_count <= MDFH_LINES_MAX);
		for (unsigned k = 0; k < config->channels[i].lines_count; k++) {
			const char *group = config->channels[i].lines[k].group;

			REQUIRE(!group || strlen(group) <= 128);
		}
	}
	for (unsigned i = 0; i < config->consumers_count; i++)
		REQUIRE(config->consumers[i].name);
	mdfh_handler_config_free(config);
	return 0;
}
