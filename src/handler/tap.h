/* tap.h - raw consumers: the bytes of every message, and every marker, in the channel's order. */
#ifndef MDFH_HANDLER_TAP_H
#define MDFH_HANDLER_TAP_H

#include "handler/consumer.h"

/* Write a span's messages, or its marker, to those of the consumers that are raw. schema: id. */
void mdfh_tap_span(struct mdfh_consumer *const *consumers, unsigned count,
    const struct mdfh_span *span, enum mdfh_framing framing, uint16_t schema);

#endif
