/* run_plan.c - the plan of threads, as text and as JSON. */
#include "apps/run_plan.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/text_out.h"
#include "handler/plan.h"
#include "mdfh/error.h"

static int make(const struct mdfh_handler_config *config, struct mdfh_plan **plan)
{
	int err;

	*plan = malloc(sizeof(**plan));
	if (!*plan)
		return mdfh_error(-ENOMEM, "plan: out of memory");
	err = mdfh_plan_make(config, *plan);
	if (err) {
		free(*plan);
		*plan = NULL;
	}
	return err;
}

static const char *name_of(const struct mdfh_handler_channel_config *channel)
{
	return channel->name ? channel->name : channel->protocol;
}

/* Text ---------------------------------------------------------------------------------------- */

static void print_share(FILE *out, uint64_t weight, uint64_t all)
{
	fprintf(out, "weight %s (%.0f %%)", text_grouped(weight),
	    all ? 100 * (double)weight / (double)all : 0.0);
}

static void print_channels(FILE *out, const char *before, const struct mdfh_handler_config *config,
    const struct mdfh_plan *plan, unsigned thread, int worker, uint64_t all)
{
	for (unsigned c = 0; c < plan->channels_count; c++) {
		const struct mdfh_plan_channel *channel = &plan->channels[c];

		if (channel->thread != thread || channel->worker != worker)
			continue;
		fprintf(out, "%schannel %u %s  ", before, c, name_of(&config->channels[c]));
		print_share(out, channel->weight, all);
		fprintf(out, "  %u line%s%s\n", config->channels[c].lines_count,
		    config->channels[c].lines_count == 1 ? "" : "s",
		    channel->is_auto ? "  assigned by weight" : "");
	}
}

static void print_workers(FILE *out, const struct mdfh_handler_config *config,
    const struct mdfh_plan *plan, unsigned thread, uint64_t all)
{
	const struct mdfh_handler_thread_config *from = &config->threads[thread];
	const struct mdfh_plan_thread *t = &plan->threads[thread];

	for (unsigned w = 0; w < t->workers; w++) {
		fprintf(out, "  worker %u", w);
		if (from->worker_cores_count)
			fprintf(out, " core %u", from->worker_cores[w]);
		fprintf(out, "  ");
		if (t->shard == MDFH_SHARD_CHANNEL)
			print_share(out, t->worker_weight[w], all);
		else
			fprintf(out, "about %.0f %%",
			    100 * (double)t->weight / t->workers / (double)all);
		fprintf(out, "\n");
		if (t->shard == MDFH_SHARD_CHANNEL)
			print_channels(out, "    ", config, plan, thread, (int)w, all);
	}
}

static void print_plan(
    FILE *out, const struct mdfh_handler_config *config, const struct mdfh_plan *plan)
{
	uint64_t all = 0;

	for (unsigned t = 0; t < plan->threads_count; t++)
		all += plan->threads[t].weight;
	for (unsigned i = 0; i < plan->threads_count; i++) {
		const struct mdfh_plan_thread *t = &plan->threads[i];
		const struct mdfh_handler_thread_config *from =
		    config->threads_count ? &config->threads[i] : NULL;

		fprintf(out, "thread %u", i);
		if (from && from->name)
			fprintf(out, " %s", from->name);
		if (from && from->core)
			fprintf(out, " core %u", *from->core);
		fprintf(out, "  ");
		print_share(out, t->weight, all);
		if (t->workers)
			fprintf(out, "  %u worker%s by %s", t->workers, t->workers == 1 ? "" : "s",
			    t->shard == MDFH_SHARD_CHANNEL ? "channel" : "instrument");
		fprintf(out, "\n");
		if (t->shard != MDFH_SHARD_CHANNEL)
			print_channels(out, "  ", config, plan, i, -1, all);
		if (t->workers)
			print_workers(out, config, plan, i, all);
	}
}

/* JSON ---------------------------------------------------------------------------------------- */

static json_t *integer(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static json_t *channels_json(
    const struct mdfh_handler_config *config, const struct mdfh_plan *plan, unsigned thread)
{
	json_t *list = json_array();

	for (unsigned c = 0; c < plan->channels_count; c++) {
		const struct mdfh_plan_channel *channel = &plan->channels[c];

		if (channel->thread != thread)
			continue;
		json_array_append_new(list,
		    json_pack("{s:i, s:s, s:o, s:o, s:b}", "channel", c, "name",
			name_of(&config->channels[c]), "weight", integer(channel->weight), "worker",
			channel->worker < 0 ? json_null() : json_integer(channel->worker), "auto",
			channel->is_auto));
	}
	return list;
}

static json_t *workers_json(
    const struct mdfh_handler_thread_config *from, const struct mdfh_plan_thread *t)
{
	json_t *list = json_array();

	for (unsigned w = 0; from && w < t->workers; w++)
		json_array_append_new(
		    list, json_pack("{s:o, s:i, s:f}", "core",
			      from->worker_cores_count ? json_integer(from->worker_cores[w])
						       : json_null(),
			      "channels", t->worker_channels[w], "weight",
			      t->shard == MDFH_SHARD_CHANNEL ? (double)t->worker_weight[w]
							     : (double)t->weight / t->workers));
	return list;
}

static void print_json(const struct mdfh_handler_config *config, const struct mdfh_plan *plan)
{
	json_t *threads = json_array();
	json_t *root;

	for (unsigned i = 0; i < plan->threads_count; i++) {
		const struct mdfh_plan_thread *t = &plan->threads[i];
		const struct mdfh_handler_thread_config *from =
		    config->threads_count ? &config->threads[i] : NULL;

		json_array_append_new(threads,
		    json_pack("{s:s?, s:o, s:o, s:s?, s:o, s:o}", "name", from ? from->name : NULL,
			"core", from && from->core ? json_integer(*from->core) : json_null(),
			"weight", integer(t->weight), "shard",
			t->shard == MDFH_SHARD_CHANNEL      ? "channel"
			: t->shard == MDFH_SHARD_INSTRUMENT ? "instrument"
							    : NULL,
			"channels", channels_json(config, plan, i), "workers",
			workers_json(from, t)));
	}
	root = json_pack("{s:o}", "threads", threads);
	json_dumpf(root, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(root);
}

/* Public -------------------------------------------------------------------------------------- */

int run_plan_print(const struct mdfh_handler_config *config, int json)
{
	struct mdfh_plan *plan;
	int err = make(config, &plan);

	if (err)
		return err;
	if (json)
		print_json(config, plan);
	else
		print_plan(stdout, config, plan);
	free(plan);
	return 0;
}

void run_plan_say(const struct mdfh_handler_config *config)
{
	struct mdfh_plan *plan;
	int found = 0;

	if (make(config, &plan)) /* the handler has been made of it: only memory can be short */
		return;
	for (unsigned c = 0; c < plan->channels_count; c++)
		found |= plan->channels[c].is_auto || plan->channels[c].worker >= 0;
	if (found)
		print_plan(stderr, config, plan);
	free(plan);
}
