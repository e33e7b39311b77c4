/* op.h - what a decoder makes of a message and a book applies. Internal: not ABI.
 *
 * An op carries what the wire says and nothing else: a delete has no price, an execution no
 * side. The book adds that and writes struct mdfh_event. 64 bytes, one cache line. */
#ifndef MDFH_PROTO_OP_H
#define MDFH_PROTO_OP_H

#include <assert.h>
#include <stdint.h>

enum mdfh_op_kind {
	MDFH_OP_NONE = 0, /* nothing for a book or an event: skipped, sequence is counted */
	/* Orders: order_id. */
	MDFH_OP_ADD,     /* side, price, quantity */
	MDFH_OP_EXECUTE, /* quantity; match_id; PRICED flag: trade price in price */
	MDFH_OP_REDUCE,  /* quantity taken away; keeps priority */
	MDFH_OP_DELETE,
	MDFH_OP_REPLACE, /* order_id -> new_order_id, price, quantity; side from the old order */
	MDFH_OP_MODIFY,  /* price, quantity (new total); KEEP_PRIORITY flag */
	/* Prints that touch no order. */
	MDFH_OP_TRADE, /* price, quantity64, match_id, side */
	MDFH_OP_CROSS, /* price, quantity64, match_id, code */
	MDFH_OP_BREAK, /* match_id */
	/* Price levels and quotes. */
	MDFH_OP_LEVEL, /* side, price, quantity64, orders; 0 = gone */
	MDFH_OP_QUOTE, /* price/quantity = bid, price2/quantity2 = ask */
	/* About instruments and the day. */
	MDFH_OP_INSTRUMENT,
	MDFH_OP_STATUS,    /* code */
	MDFH_OP_STATISTIC, /* code, price (PRICE flag: scaled as a price) or value, quantity64 */
	MDFH_OP_CLEAR,
	MDFH_OP_DAY_BEGIN, /* the day's start was seen: books are sound from here */
	MDFH_OP_END_OF_DAY,
	/* Markers that the session layer puts into the stream. */
	MDFH_OP_SESSION_BEGIN, /* epoch */
	MDFH_OP_GAP,           /* order_id = first, quantity64 = count, code = cause */
	MDFH_OP_RECOVERED,
	MDFH_OP_KINDS,
};

enum mdfh_op_flag {
	MDFH_OP_PRICED = 1 << 0,      /* execution: price is the trade's, not the order's */
	MDFH_OP_NOT_PRINTED = 1 << 1, /* execution is not part of the volume */
	MDFH_OP_KEEP_PRIORITY = 1 << 2,
	MDFH_OP_HIDDEN = 1 << 3,
	MDFH_OP_IS_PRICE = 1 << 4,   /* statistic: price is a venue price, to be scaled */
	MDFH_OP_MORE = 1 << 5,       /* another op of the same message follows */
	MDFH_OP_EVENT_OPEN = 1 << 6, /* the venue's event goes on after this message */
};

/* Where the ops of one span come from; an op names its entry by index. */
struct mdfh_origin {
	int64_t receive_ns;
	uint16_t channel;
	uint8_t epoch;
	uint8_t line;
	uint32_t reserved;
};

struct mdfh_op {
	uint64_t order_id;
	union {
		uint64_t new_order_id; /* replace */
		uint64_t match_id;     /* execute, trade, cross, break */
		int64_t price2;        /* quote: ask */
	};
	int64_t price;       /* the venue's integer */
	uint64_t quantity64; /* every kind; orders use the low 32 bits */
	uint64_t sequence;
	int64_t exchange_ns;
	uint32_t instrument; /* row; 0 = none */
	uint32_t quantity2;  /* quote: ask quantity; level: orders */
	uint8_t kind;        /* enum mdfh_op_kind */
	uint8_t side;        /* enum mdfh_side */
	uint16_t code;
	uint16_t flags;  /* enum mdfh_op_flag */
	uint16_t origin; /* index into the batch's struct mdfh_origin array */
};

static_assert(sizeof(struct mdfh_op) == 64, "one op, one cache line");

#endif
