/* mdfh/event.h - a normalised market data event: what consumers read.
 *
 * 64 bytes, one cache line, plain data without pointers: the same in this process and in
 * another. One message of the exchange makes 1..n events with equal sequence and rising part;
 * the last one carries MDFH_EVENT_LAST_PART. MDFH_EVENT_LAST marks the end of the venue's own
 * event (where a venue marks none, every message is its own event).
 *
 * A replace is delete + add, both flagged REPLACE. An execution is execute (at the price where
 * the order rests) + trade (at the price and with the aggressor of the trade). A level event
 * says "this (side, price) now has this quantity, 0 = gone". A gap is an event like the rest:
 * from it to the matching recovered event, the books of its channel are stale. */
#ifndef MDFH_EVENT_H
#define MDFH_EVENT_H

#include <assert.h>

#include "mdfh/base.h"

MDFH_BEGIN_DECLS

/* What happened. */
enum mdfh_event_kind {
	MDFH_EVENT_NONE = 0,
	MDFH_EVENT_ORDER_ADD = 1,
	MDFH_EVENT_ORDER_EXECUTE = 2, /* order.quantity executed at order.price, remaining left */
	MDFH_EVENT_ORDER_REDUCE = 3, /* order.quantity cancelled, remaining left; keeps its place */
	MDFH_EVENT_ORDER_MODIFY = 4, /* order.quantity is new; flag PRIORITY_LOST says the place */
	MDFH_EVENT_ORDER_DELETE = 5, /* order.quantity is what left the book */
	MDFH_EVENT_TRADE = 6,
	MDFH_EVENT_TRADE_BREAK = 7,
	MDFH_EVENT_CROSS = 8, /* trade member: an auction's bulk print; code = venue's cross type */
	MDFH_EVENT_LEVEL = 9,
	MDFH_EVENT_QUOTE = 10,
	MDFH_EVENT_INSTRUMENT = 11,    /* definition: look the row up */
	MDFH_EVENT_STATUS = 12,        /* code = enum mdfh_trading_status */
	MDFH_EVENT_STATISTIC = 13,     /* code = enum mdfh_statistic */
	MDFH_EVENT_SESSION_BEGIN = 14, /* the channel's epoch rises; books are empty */
	MDFH_EVENT_END_OF_DAY = 15,    /* books stay as they are until a day or session begins */
	MDFH_EVENT_CLEAR = 16,         /* this instrument's book (0 = the channel's) is empty now */
	MDFH_EVENT_GAP = 17,       /* gap.first .. gap.first + gap.count - 1 were not delivered */
	MDFH_EVENT_RECOVERED = 18, /* that range was filled, or a snapshot replaced it */
	MDFH_EVENT_STALE = 19,     /* this instrument's book (0 = the channel's) is unsound */
	MDFH_EVENT_ERROR = 20,     /* gap.cause = enum mdfh_cause: a counted error of the library */
	MDFH_EVENT_KINDS = 21,
};

/* Of an order, a level or a trade. */
enum mdfh_side {
	MDFH_SIDE_NONE = 0,
	MDFH_SIDE_BUY = 1,
	MDFH_SIDE_SELL = 2,
};

/* What else there is to say. */
enum mdfh_event_flag {
	MDFH_EVENT_LAST_PART = 1 << 0,   /* last event of its message */
	MDFH_EVENT_LAST = 1 << 1,        /* last event of the venue's event */
	MDFH_EVENT_REPLACE = 1 << 2,     /* delete and add of one replace */
	MDFH_EVENT_NO_PRICE = 1 << 3,    /* price has no scale, or does not fit in 1e-9 units */
	MDFH_EVENT_HIDDEN = 1 << 4,      /* trade against an order that was never displayed */
	MDFH_EVENT_NOT_PRINTED = 1 << 5, /* not part of volume: a later bulk print holds it */
	MDFH_EVENT_UNSOUND = 1 << 6,     /* the book was unsound (gap, no start seen) */
	MDFH_EVENT_TOP = 1 << 7,         /* the event changed the best price or its quantity */
	MDFH_EVENT_PRIORITY_LOST = 1 << 8,
	MDFH_EVENT_CROSSED = 1 << 9,      /* the book is crossed or locked after this event */
	MDFH_EVENT_OTHER_PRICE = 1 << 10, /* executed at another price than the order rests at */
	MDFH_EVENT_COPY =
	    1 << 11, /* another worker of its thread makes this event as well and counts it */
};

/* Why sequence numbers are missing, or what an ERROR event counts. */
enum mdfh_cause {
	MDFH_CAUSE_NONE = 0,
	MDFH_CAUSE_UPSTREAM = 1, /* no counter of this host rose around the hole */
	MDFH_CAUSE_NIC = 2,
	MDFH_CAUSE_KERNEL = 3,
	MDFH_CAUSE_SOCKET = 4,       /* socket buffer or backend ring was full */
	MDFH_CAUSE_UNATTRIBUTED = 5, /* more than one line or counter may be to blame */
	MDFH_CAUSE_MALFORMED = 6,    /* it arrived, but its packet or message was refused */
	MDFH_CAUSE_CONSUMER = 7,     /* this consumer's ring was full */
	MDFH_CAUSE_INJECTED = 8,     /* the fault backend */
	MDFH_CAUSE_LATE_JOIN = 9,    /* before the first packet seen */
	MDFH_CAUSE_WORKER = 10,      /* a worker's ring was full: of its shard, some of the range */
	MDFH_CAUSE_ORDERS_FULL = 16, /* ERROR: no room for an order */
	MDFH_CAUSE_LEVELS_FULL = 17,
	MDFH_CAUSE_INSTRUMENTS_FULL = 18,
	MDFH_CAUSES = 19,
};

/* The code of a STATUS event. */
enum mdfh_trading_status {
	MDFH_STATUS_UNKNOWN = 0,
	MDFH_STATUS_TRADING = 1,
	MDFH_STATUS_HALTED = 2,
	MDFH_STATUS_PAUSED = 3,    /* volatility pause */
	MDFH_STATUS_QUOTATION = 4, /* quotes, no trades */
	MDFH_STATUS_PRE_OPEN = 5,
	MDFH_STATUS_AUCTION = 6,
	MDFH_STATUS_CLOSED = 7,
	MDFH_STATUS_NOT_TRADING = 8, /* operational halt: not on this venue */
	MDFH_STATUS_SHORT_SALE_RESTRICTED = 9,
	MDFH_STATUS_SHORT_SALE_FREE = 10,
	/* Of the whole market, instrument 0. */
	MDFH_STATUS_START_OF_MESSAGES = 32,
	MDFH_STATUS_START_OF_SYSTEM = 33,
	MDFH_STATUS_START_OF_MARKET = 34,
	MDFH_STATUS_END_OF_MARKET = 35,
	MDFH_STATUS_END_OF_SYSTEM = 36,
	MDFH_STATUS_CIRCUIT_BREAKER = 37, /* statistic of the level precedes it */
};

/* The code of a STATISTIC event; prices are in 1e-9 units. */
enum mdfh_statistic {
	MDFH_STATISTIC_NONE = 0,
	MDFH_STATISTIC_REFERENCE_PRICE = 1,
	MDFH_STATISTIC_NEAR_PRICE = 2,
	MDFH_STATISTIC_FAR_PRICE = 3,
	MDFH_STATISTIC_PAIRED_QUANTITY = 4,
	MDFH_STATISTIC_IMBALANCE_QUANTITY = 5, /* side says which side is in excess */
	MDFH_STATISTIC_UPPER_LIMIT = 6,
	MDFH_STATISTIC_LOWER_LIMIT = 7,
	MDFH_STATISTIC_IPO_PRICE = 8,
	MDFH_STATISTIC_IPO_RELEASE_TIME = 9, /* value = ns since the epoch */
	MDFH_STATISTIC_CIRCUIT_BREAKER_1 = 10,
	MDFH_STATISTIC_CIRCUIT_BREAKER_2 = 11,
	MDFH_STATISTIC_CIRCUIT_BREAKER_3 = 12,
	MDFH_STATISTIC_RETAIL_INTEREST = 13, /* side; NONE with quantity 1 = both sides */
	MDFH_STATISTIC_EXTENSIONS = 14,
	MDFH_STATISTIC_MINIMUM_PRICE = 15,
	MDFH_STATISTIC_MAXIMUM_PRICE = 16,
	MDFH_STATISTIC_OPEN = 17,
	MDFH_STATISTIC_HIGH = 18,
	MDFH_STATISTIC_LOW = 19,
	MDFH_STATISTIC_SETTLEMENT = 20,
	MDFH_STATISTIC_OPEN_INTEREST = 21,
	MDFH_STATISTIC_VOLUME = 22,
	MDFH_STATISTIC_MARKET_MAKER = 23, /* participant position: value = 4 ASCII bytes of MPID */
};

/* What an event says by its kind. Layout is ABI, here and below. */
struct mdfh_event_order {
	int64_t price;
	uint64_t order_id;
	uint32_t quantity;
	uint32_t remaining;
};

/* Of TRADE, TRADE_BREAK and CROSS. */
struct mdfh_event_trade {
	int64_t price;
	uint64_t match_id;
	uint64_t quantity;
};

/* Of LEVEL. */
struct mdfh_event_level {
	int64_t price;
	uint64_t quantity;
	uint32_t orders;
	uint32_t reserved;
};

/* Of QUOTE. */
struct mdfh_event_quote {
	int64_t bid;
	int64_t ask;
	uint32_t bid_quantity;
	uint32_t ask_quantity;
};

/* Of GAP, RECOVERED and ERROR. */
struct mdfh_event_gap {
	uint64_t first;
	uint64_t count;
	uint32_t cause; /* enum mdfh_cause */
	uint32_t reserved;
};

/* Of STATISTIC. */
struct mdfh_event_statistic {
	int64_t value;
	uint64_t quantity;
	uint64_t reserved;
};

/* The event itself. */
struct mdfh_event {
	uint64_t sequence;   /* of the message, in (channel, epoch) */
	int64_t exchange_ns; /* 0 = the message carries none */
	int64_t receive_ns;
	uint32_t instrument; /* row of the instrument table; 0 = none */
	uint16_t channel;
	uint16_t flags; /* enum mdfh_event_flag */
	uint8_t kind;   /* enum mdfh_event_kind */
	uint8_t side;   /* enum mdfh_side; of a trade: the aggressor, NONE = unknown */
	uint16_t part;  /* 0, 1, ... within the message */
	uint8_t epoch;
	uint8_t level; /* price level it touched, 1 = best; 0 = unknown or past 255 */
	uint16_t code; /* by kind */
	union {
		struct mdfh_event_order order;
		struct mdfh_event_trade trade;
		struct mdfh_event_level level_update;
		struct mdfh_event_quote quote;
		struct mdfh_event_gap gap;
		struct mdfh_event_statistic statistic;
	};
};

static_assert(sizeof(struct mdfh_event) == 64, "struct mdfh_event is one cache line");

/* Names for people: "order-add", "buy", "upstream"; "?" for what does not exist. */
MDFH_API const char *mdfh_event_kind_name(unsigned kind);
MDFH_API const char *mdfh_side_name(unsigned side);
MDFH_API const char *mdfh_cause_name(unsigned cause);
MDFH_API const char *mdfh_status_name(unsigned status);
MDFH_API const char *mdfh_statistic_name(unsigned statistic);

MDFH_END_DECLS
#endif
