/* fuzz_config.c - any bytes as a configuration in YAML, and the plan that is made of it.
 *
 * What is accepted keeps to the counts of the schema and can be freed; what is not gives -EINVAL
 * and a sentence that names the file. A plan leaves out no channel and weighs each once. */
#include "fuzz.h"

#include <errno.h>

#include "handler/plan.h"
#include "mdfh/error.h"
#include "mdfh/handler.h"

static void check_plan(const struct mdfh_handler_config *config)
{
	uint64_t weights = 0, of_threads = 0;
	unsigned channels = 0;
	struct mdfh_plan plan;

	if (mdfh_plan_make(config, &plan))
		return;
	REQUIRE(plan.channels_count == config->channels_count);
	REQUIRE(plan.threads_count >= 1 && plan.threads_count <= MDFH_HANDLER_THREADS_MAX);
	for (unsigned i = 0; i < plan.channels_count; i++) {
		const struct mdfh_plan_channel *channel = &plan.channels[i];

		REQUIRE(channel->thread < plan.threads_count);
		REQUIRE(channel->worker < (int)plan.threads[channel->thread].workers);
		weights += channel->weight;
	}
	for (unsigned i = 0; i < plan.threads_count; i++) {
		const struct mdfh_plan_thread *thread = &plan.threads[i];
		uint64_t of_workers = 0;
		unsigned theirs = 0;

		REQUIRE(thread->workers <= MDFH_HANDLER_WORKERS_MAX);
		for (unsigned k = 0; k < thread->workers; k++) {
			of_workers += thread->worker_weight[k];
			theirs += thread->worker_channels[k];
		}
		if (thread->shard == MDFH_SHARD_CHANNEL)
			REQUIRE(of_workers == thread->weight && theirs == thread->channels);
		of_threads += thread->weight;
		channels += thread->channels;
	}
	REQUIRE(channels == plan.channels_count && of_threads == weights);
}

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
	check_plan(config);
	mdfh_handler_config_free(config);
	return 0;
}
