/* pipeline_report.c - what other threads may read of a pipeline.
 *
 * The receive thread copies its counters into words under a sequence lock about ten times a second;
 * reports are made of these. */
#include <string.h>

#include "handler/pipeline_state.h"

static size_t channel_offset(unsigned channel)
{
	return sizeof(struct mdfh_books_stats) + channel * sizeof(struct channel_words);
}

static size_t port_offset(const struct mdfh_pipeline *p, unsigned port)
{
	return channel_offset(p->channel_count) + port * sizeof(struct port_words);
}

size_t mdfh_pipeline_words(const struct mdfh_pipeline *p, unsigned ports)
{
	return port_offset(p, ports) / sizeof(uint64_t);
}

/* Publication ------------------------------------------------------------------------------- */

void mdfh_pipeline_publish(struct mdfh_pipeline *p)
{
	uint8_t *at = (uint8_t *)p->scratch_words;
	uint32_t count = atomic_load_explicit(&p->publish_count, memory_order_relaxed);

	if (p->books)
		memcpy(at, mdfh_books_stats(p->books), sizeof(struct mdfh_books_stats));
	for (unsigned i = 0; i < p->channel_count; i++) {
		const struct mdfh_decoder_stats *decoder =
		    mdfh_decoder_stats(p->channels[i].decoder);
		struct channel_words words = {
		    .session = *mdfh_channel_stats(p->channels[i].session),
		    .messages = decoder->messages,
		    .refused = decoder->errors[MDFH_DECODE_SHORT] +
			       decoder->errors[MDFH_DECODE_FIELD] +
			       decoder->errors[MDFH_DECODE_FRAMING],
		    .unknown = decoder->errors[MDFH_DECODE_UNKNOWN],
		    .first_ns = p->channels[i].first_ns,
		    .last_ns = p->channels[i].last_ns,
		};

		memcpy(words.truncated, p->channels[i].truncated, sizeof(words.truncated));
		memcpy(words.times, p->channels[i].times, sizeof(words.times));
		memcpy(at + channel_offset(i), &words, sizeof(words));
	}
	for (unsigned i = 0; i < p->port_count; i++) {
		struct port_words words = {.port = *p->ports[i].stats};

		if (p->ports[i].config.soup)
			words.login = *mdfh_soup_line_stats(p->ports[i].config.soup);
		memcpy(at + port_offset(p, i), &words, sizeof(words));
	}

	atomic_store_explicit(&p->publish_count, count + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	for (size_t i = 0; i < p->word_count; i++)
		atomic_store_explicit(&p->words[i], p->scratch_words[i], memory_order_relaxed);
	atomic_store_explicit(&p->publish_count, count + 2, memory_order_release);
}

/* Copies bytes at offset out of a whole snapshot; tries again while one is being written. */
static void read_words(const struct mdfh_pipeline *p, size_t offset, void *out, size_t bytes)
{
	uint64_t *to = out;
	size_t first = offset / sizeof(uint64_t);
	uint32_t before;
	uint32_t after;

	do {
		before = atomic_load_explicit(&p->publish_count, memory_order_acquire);
		for (size_t i = 0; i < bytes / sizeof(uint64_t); i++)
			to[i] = atomic_load_explicit(&p->words[first + i], memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(&p->publish_count, memory_order_relaxed);
	} while (before != after || (before & 1));
}

/* Reports ----------------------------------------------------------------------------------- */

int mdfh_pipeline_session_ended(const struct mdfh_pipeline *p)
{
	for (unsigned i = 0; i < p->channel_count; i++)
		if (!atomic_load_explicit(&p->channels[i].ended, memory_order_relaxed))
			return 0;
	return 1;
}

void mdfh_pipeline_port_report(
    struct mdfh_pipeline *p, unsigned port, struct mdfh_port_report *report)
{
	struct port_words words;

	report->backend = mdfh_bypass_name(p->ports[port].config.port);
	report->capabilities = mdfh_bypass_capabilities(p->ports[port].config.port);
	report->error = atomic_load_explicit(&p->ports[port].error, memory_order_relaxed);
	read_words(p, port_offset(p, port), &words, sizeof(words));
	report->stats = words.port;
	report->login = words.login;
	report->has_login = p->ports[port].config.soup != NULL;
}

void mdfh_pipeline_channel_report(
    const struct mdfh_pipeline *p, unsigned channel, struct mdfh_channel_report *report)
{
	struct channel_words words;

	read_words(p, channel_offset(channel), &words, sizeof(words));
	report->lines = p->channels[channel].lines;
	report->session = words.session;
	report->messages = words.messages;
	report->messages_refused = words.refused;
	report->messages_unknown = words.unknown;
	report->first_ns = words.first_ns;
	report->last_ns = words.last_ns;
	memcpy(report->truncated, words.truncated, sizeof(report->truncated));
	memcpy(report->times, words.times, sizeof(report->times));
	for (unsigned i = 0; i < MDFH_LINES_MAX; i++)
		report->ports[i] = p->channels[channel].ports[i];
}

void mdfh_pipeline_books_stats(const struct mdfh_pipeline *p, struct mdfh_books_stats *stats)
{
	read_words(p, 0, stats, sizeof(*stats));
}

const struct mdfh_histogram *mdfh_pipeline_latency(
    const struct mdfh_pipeline *p, enum mdfh_stage stage)
{
	return stage < MDFH_STAGE_RING ? p->latency[stage] : NULL;
}

unsigned mdfh_pipeline_port_count(const struct mdfh_pipeline *p)
{
	return p->port_count;
}

unsigned mdfh_pipeline_channel_count(const struct mdfh_pipeline *p)
{
	return p->channel_count;
}

struct mdfh_consumer *mdfh_pipeline_consumer(struct mdfh_pipeline *p, unsigned index)
{
	return index < p->consumer_count ? p->consumers[index] : NULL;
}

const struct mdfh_books *mdfh_pipeline_books(const struct mdfh_pipeline *p)
{
	return p->books;
}

const struct mdfh_instruments *mdfh_pipeline_instruments(const struct mdfh_pipeline *p)
{
	return p->instruments;
}

const struct mdfh_depth *mdfh_pipeline_depth(const struct mdfh_pipeline *p)
{
	return p->depth;
}
