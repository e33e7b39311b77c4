/* decoder.c - what every decoder has in common: spans taken, markers turned into ops, counts. */
#include "proto/decoder.h"

#include <errno.h>
#include <string.h>

#include "mdfh/error.h"
#include "mdfh/event.h"
#include "proto/protocols.h"

static const struct mdfh_protocol *const protocols[] = {
    &mdfh_protocol_itch50,
};

/* Setup ------------------------------------------------------------------ */

const struct mdfh_protocol *mdfh_protocol_find(const char *name)
{
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		if (!strcmp(protocols[i]->name, name))
			return protocols[i];
	}
	return NULL;
}

int mdfh_decoder_create(
    const char *protocol, const struct mdfh_decoder_config *config, struct mdfh_decoder **decoder)
{
	const struct mdfh_protocol *p = mdfh_protocol_find(protocol);
	struct mdfh_decoder_config c = {0};
	int err;

	*decoder = NULL;
	if (!p)
		return mdfh_error(-ENOENT,
		    "decoder: no protocol '%s' is mapped to books; there is 'itch50'", protocol);
	if (config->size == 0 || config->size > sizeof(c))
		return mdfh_error(-EINVAL,
		    "decoder: config.size is %zu; it must be "
		    "sizeof(struct mdfh_decoder_config), %zu",
		    config->size, sizeof(c));
	memcpy(&c, config, config->size);
	if (!c.instruments)
		return mdfh_error(-EINVAL, "decoder: instruments is not set; "
					   "mdfh_instruments_create() makes a table");
	err = p->create(&c, decoder);
	if (err)
		return err;
	((struct mdfh_decoder_base *)*decoder)->protocol = p;
	((struct mdfh_decoder_base *)*decoder)->channel = c.channel;
	return 0;
}

void mdfh_decoder_destroy(struct mdfh_decoder *decoder)
{
	if (decoder)
		((struct mdfh_decoder_base *)decoder)->protocol->destroy(decoder);
}

const struct mdfh_decoder_stats *mdfh_decoder_stats(const struct mdfh_decoder *decoder)
{
	return &((const struct mdfh_decoder_base *)decoder)->stats;
}

const char *mdfh_decode_error_name(unsigned error)
{
	static const char *const names[] = {
	    [MDFH_DECODE_OK] = "ok",
	    [MDFH_DECODE_SHORT] = "short",
	    [MDFH_DECODE_UNKNOWN] = "unknown",
	    [MDFH_DECODE_FIELD] = "field",
	    [MDFH_DECODE_FRAMING] = "framing",
	};

	return error < MDFH_DECODE_ERRORS ? names[error] : "?";
}

/* Data path -------------------------------------------------------------- */

void mdfh_decoder_begin(struct mdfh_decoder *decoder, const struct mdfh_span *span,
    enum mdfh_framing framing, uint16_t origin)
{
	struct mdfh_decoder_base *base = (struct mdfh_decoder_base *)decoder;

	base->span = *span;
	base->begin = span->data;
	base->sequence = span->first;
	base->framing = framing;
	base->origin = origin;
}

/* The op of a span that holds no messages. */
static int marker(struct mdfh_decoder *decoder, struct mdfh_op *op)
{
	struct mdfh_decoder_base *base = (struct mdfh_decoder_base *)decoder;
	const struct mdfh_span *span = &base->span;

	*op = (struct mdfh_op){.sequence = span->first, .origin = base->origin};
	switch (span->kind) {
	case MDFH_SPAN_GAP:
		op->kind = MDFH_OP_GAP;
		op->order_id = span->first;
		op->quantity64 = span->messages;
		op->code = span->cause;
		break;
	case MDFH_SPAN_SESSION_BEGIN:
		op->kind = MDFH_OP_SESSION_BEGIN;
		op->code = span->epoch;
		base->protocol->session_begin(decoder);
		break;
	default:
		op->kind = MDFH_OP_END_OF_DAY;
		break;
	}
	/* An empty data span: done. */
	base->span.kind = MDFH_SPAN_DATA;
	base->span.length = 0;
	base->span.messages = 0;
	base->stats.ops++;
	return 1;
}

uint64_t mdfh_decoder_took(const struct mdfh_decoder *decoder, uint64_t *bytes)
{
	const struct mdfh_decoder_base *base = (const struct mdfh_decoder_base *)decoder;

	*bytes = (uint64_t)(base->span.data - base->begin);
	return base->sequence - base->span.first;
}

int mdfh_decoder_next(struct mdfh_decoder *decoder, struct mdfh_op *ops, int max)
{
	struct mdfh_decoder_base *base = (struct mdfh_decoder_base *)decoder;

	if (base->span.kind != MDFH_SPAN_DATA)
		return marker(decoder, ops);
	if (base->span.messages == 0)
		return 0;
	return base->protocol->next(decoder, ops, max);
}
