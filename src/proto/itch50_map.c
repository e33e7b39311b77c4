/* itch50_map.c - Nasdaq TotalView-ITCH 5.0 messages to ops.
 *
 * Two ways through. The seven order messages and the hidden trade (A F E C X D U P, called orders
 * below; 98 of 100 in a day) differ only in where their fields stand, so a table says that and one
 * straight piece of code reads them all (itch50_orders.c): a switch on the type would be
 * mispredicted on every third message. Whatever is not plain about a message leads to the second
 * way, a mapping function a type (itch50_reference.c, itch50_trades.c).
 *
 * Impossible fields: an order's side that is not B or S, a printable that is not Y or N, an order
 * or a replacement of 0 shares, a price above 200000.0000 (the specification's maximum), stock
 * locate 0 on an order or trade. Such a message cannot be applied and becomes a gap of one number.
 * Codes that are only reported (states, flags) are counted and passed on as unknown. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/lines.h"
#include "mdfh/error.h"
#include "mdfh/event.h"
#include "proto/itch50_state.h"

#define NS_MASK 0x0000ffffffffffffu

/* Every type but the orders: where its stock stands, and who maps it. */
static const struct mapping {
	map_function *map; /* NULL = not in the specification, or an order message */
	uint8_t length;    /* shortest */
	uint8_t stock_at;  /* 0 = carries no stock */
} mappings[256] = {
    [ITCH50_SYSTEM_EVENT] = {mdfh_itch50_system_event, ITCH50_SYSTEM_EVENT_LENGTH, 0},
    [ITCH50_STOCK_DIRECTORY] = {mdfh_itch50_directory, ITCH50_STOCK_DIRECTORY_LENGTH, 11},
    [ITCH50_STOCK_TRADING_ACTION] = {mdfh_itch50_trading_action, ITCH50_STOCK_TRADING_ACTION_LENGTH,
	11},
    [ITCH50_REG_SHO_RESTRICTION] = {mdfh_itch50_reg_sho, ITCH50_REG_SHO_RESTRICTION_LENGTH, 11},
    [ITCH50_MARKET_PARTICIPANT_POSITION] = {mdfh_itch50_participant,
	ITCH50_MARKET_PARTICIPANT_POSITION_LENGTH, 15},
    [ITCH50_MWCB_DECLINE_LEVEL] = {mdfh_itch50_decline_level, ITCH50_MWCB_DECLINE_LEVEL_LENGTH, 0},
    [ITCH50_MWCB_STATUS] = {mdfh_itch50_decline_status, ITCH50_MWCB_STATUS_LENGTH, 0},
    [ITCH50_IPO_QUOTING_PERIOD] = {mdfh_itch50_ipo, ITCH50_IPO_QUOTING_PERIOD_LENGTH, 11},
    [ITCH50_LULD_AUCTION_COLLAR] = {mdfh_itch50_luld_collar, ITCH50_LULD_AUCTION_COLLAR_LENGTH, 11},
    [ITCH50_OPERATIONAL_HALT] = {mdfh_itch50_operational_halt, ITCH50_OPERATIONAL_HALT_LENGTH, 11},
    [ITCH50_CROSS_TRADE] = {mdfh_itch50_cross, ITCH50_CROSS_TRADE_LENGTH, 19},
    [ITCH50_BROKEN_TRADE] = {mdfh_itch50_broken_trade, ITCH50_BROKEN_TRADE_LENGTH, 0},
    [ITCH50_NOII] = {mdfh_itch50_imbalance, ITCH50_NOII_LENGTH, 28},
    [ITCH50_RPII] = {mdfh_itch50_retail_interest, ITCH50_RPII_LENGTH, 11},
    [ITCH50_DIRECT_LISTING] = {mdfh_itch50_direct_listing, ITCH50_DIRECT_LISTING_LENGTH, 11},
    /* Orders: only the stock is asked for here. */
    [ITCH50_ADD_ORDER] = {NULL, ITCH50_ADD_ORDER_LENGTH, 24},
    [ITCH50_ADD_ORDER_MPID] = {NULL, ITCH50_ADD_ORDER_MPID_LENGTH, 24},
    [ITCH50_TRADE] = {NULL, ITCH50_TRADE_LENGTH, 24},
};

/* One message the careful way; up to OPS_MAX ops. Returns how many. */
static __attribute__((noinline)) int map_message(
    struct itch50 *d, const uint8_t *m, uint32_t length, struct mdfh_op *op)
{
	const struct mapping *mapping;
	const struct order_layout *o;
	unsigned error;
	int n;

	if (length == 0) {
		error = MDFH_DECODE_UNKNOWN;
		goto none;
	}
	mapping = &mappings[m[0]];
	o = &d->orders[m[0]];
	d->base.stats.by_type[m[0]]++;
	if (o->length == UINT32_MAX && !mapping->map) {
		error = MDFH_DECODE_UNKNOWN;
		goto none;
	}
	if (length < (mapping->map ? mapping->length : o->length)) {
		error = MDFH_DECODE_SHORT;
		goto refuse;
	}
	if (itch50_locate(m)) {
		const uint8_t *stock = mapping->stock_at ? m + mapping->stock_at : NULL;
		uint32_t state = d->locate[itch50_locate(m)];

		if (state == LOCATE_STRANGE || (state & LOCATE_STRANGE && stock) ||
		    m[0] == ITCH50_STOCK_DIRECTORY)
			mdfh_itch50_meet(d, itch50_locate(m), stock);
		/* Not looked at any further, as on the short way of orders. */
		if (d->locate[itch50_locate(m)] & LOCATE_SKIPPED) {
			*op = (struct mdfh_op){
			    .sequence = d->base.sequence, .origin = d->base.origin};
			return 1;
		}
	}
	n = mapping->map ? mapping->map(d, m, op) : mdfh_itch50_order(d, m, length, op);
	if (n < 0) {
		error = (unsigned)-n;
		goto refuse;
	}
	/* Everything about a stock that is not subscribed or has no row. */
	if (op->instrument == 0 && (mapping->stock_at || itch50_locate(m))) {
		op->flags = 0;
		op->kind = MDFH_OP_NONE;
		return 1;
	}
	return n;

none:
	d->base.stats.errors[error]++;
	*op = (struct mdfh_op){.sequence = d->base.sequence, .origin = d->base.origin};
	return 1;
refuse:
	d->base.stats.errors[error]++;
	*op = (struct mdfh_op){
	    .kind = MDFH_OP_GAP,
	    .order_id = d->base.sequence,
	    .quantity64 = 1,
	    .code = MDFH_CAUSE_MALFORMED,
	    .sequence = d->base.sequence,
	    .origin = d->base.origin,
	};
	return 1;
}

/* Data path ---------------------------------------------------------------- */

/* Budget: 5 ns an order message. */
static int itch50_next(struct mdfh_decoder *decoder, struct mdfh_op *ops, int max)
{
	struct itch50 *d = (struct itch50 *)decoder;
	struct mdfh_decoder_base *base = &d->base;
	const uint8_t *at = base->span.data;
	const uint8_t *end = at + base->span.length;
	uint64_t begun = base->sequence;
	uint64_t left = base->span.messages - (begun - base->span.first);
	uint32_t n = 0, most = (uint32_t)(max - OPS_MAX) + 1;
	uint32_t before = base->framing == MDFH_FRAMING_SOUPBIN; /* a packet type */

	while (left > 0 && n < most) {
		uint32_t count = left < most - n ? (uint32_t)left : most - n;
		uint32_t length;

		if (end - at < 3 + READ_MAX)
			count = 0;
		else if (before)
			count = mdfh_itch50_soup_orders(d, &at, end, count, ops + n);
		else
			count = mdfh_itch50_plain_orders(d, &at, end, count, ops + n);
		base->sequence += count;
		left -= count;
		n += count;
		if (left == 0 || n >= most)
			break;

		length = end - at < 2 ? UINT32_MAX : mdfh_load_be16(at);
		if (base->span.messages == MDFH_SPAN_UNCOUNTED &&
		    (length == 0 || length > end - at - 2)) {
			base->span.messages = base->sequence - base->span.first;
			break;
		}
		if (length > end - at - 2 || length < before) {
			/* The rest of what was promised is not there. */
			base->stats.errors[MDFH_DECODE_FRAMING]++;
			ops[n++] = (struct mdfh_op){
			    .kind = MDFH_OP_GAP,
			    .order_id = base->sequence,
			    .quantity64 = left,
			    .code = MDFH_CAUSE_MALFORMED,
			    .sequence = base->sequence,
			    .origin = base->origin,
			};
			base->sequence += left;
			at = end;
			break;
		}
		n += (uint32_t)map_message(d, at + 2 + before, length - before, &ops[n]);
		at += length + 2;
		base->sequence++;
		left--;
	}
	base->span.length = (uint32_t)(end - at);
	base->span.data = at;
	base->stats.messages += base->sequence - begun;
	base->stats.ops += n;
	return (int)n;
}

static void forget_locates(struct itch50 *d)
{
	for (size_t i = 0; i < sizeof(d->locate) / sizeof(d->locate[0]); i++)
		d->locate[i] = LOCATE_STRANGE;
}

static void itch50_session_begin(struct mdfh_decoder *decoder)
{
	struct itch50 *d = (struct itch50 *)decoder;

	if (!d->named)
		return;
	forget_locates(d);
	memset(d->decline_level, 0, sizeof(d->decline_level));
	d->generation++;
	d->named = 0;
}

/* Setup -------------------------------------------------------------------- */

static void itch50_destroy(struct mdfh_decoder *decoder)
{
	struct itch50 *d = (struct itch50 *)decoder;

	free(d->symbols);
	free(d);
}

static int itch50_create(const struct mdfh_decoder_config *config, struct mdfh_decoder **decoder)
{
	struct itch50 *d = mdfh_lines_alloc(1, sizeof(*d));
	int err;

	if (!d)
		return mdfh_error(-ENOMEM, "itch50: %zu bytes", sizeof(*d));
	d->instruments = config->instruments;
	d->midnight_ns = config->midnight_ns;
	d->time_mask = config->midnight_ns ? NS_MASK : 0;
	forget_locates(d);
	mdfh_itch50_orders_init(d);
	err = mdfh_itch50_subscribe(d, config);
	if (err) {
		itch50_destroy((struct mdfh_decoder *)d);
		return err;
	}
	*decoder = (struct mdfh_decoder *)d;
	return 0;
}

const struct mdfh_protocol mdfh_protocol_itch50 = {
    .name = "itch50",
    .session = "moldudp64",
    .venue_timezone = "America/New_York",
    .create = itch50_create,
    .destroy = itch50_destroy,
    .next = itch50_next,
    .session_begin = itch50_session_begin,
};
