/* tap.c - spans to raw consumers. */
#include "handler/tap.h"

static void write_all(struct mdfh_consumer *const *consumers, unsigned count,
    const struct mdfh_raw *head, const uint8_t *data, uint32_t length)
{
	for (unsigned i = 0; i < count; i++)
		if (consumers[i]->kind == MDFH_CONSUMER_RAW)
			mdfh_consumer_write_raw(consumers[i], head, data, length);
}

void mdfh_tap_span(struct mdfh_consumer *const *consumers, unsigned count,
    const struct mdfh_span *span, enum mdfh_framing framing, uint16_t schema)
{
	struct mdfh_raw head = {
	    .sequence = span->first,
	    .receive_ns = span->receive_ns,
	    .channel = span->channel,
	    .schema = schema,
	    .epoch = span->epoch,
	    .kind = span->kind,
	    .line = span->line,
	};
	const uint8_t *data = span->data;
	uint32_t left = span->length;

	if (span->kind != MDFH_SPAN_DATA) {
		head.length = sizeof(span->messages);
		write_all(consumers, count, &head, (const uint8_t *)&span->messages,
		    sizeof(span->messages));
		return;
	}
	while (left) {
		const uint8_t *message;
		uint32_t length;
		uint32_t used = mdfh_framing_next(framing, data, left, &message, &length);

		if (!used)
			return;
		head.length = (uint16_t)length;
		write_all(consumers, count, &head, message, length);
		data += used;
		left -= used;
		head.sequence++;
	}
}
