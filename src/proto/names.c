/* names.c - names of event kinds, sides, causes, statuses and statistics, for people. */
#include "mdfh/event.h"

#define NAME_OF(table, i)                                                                          \
	((i) < sizeof(table) / sizeof((table)[0]) && (table)[i] ? (table)[i] : "?")

static const char *const kinds[MDFH_EVENT_KINDS] = {
    [MDFH_EVENT_NONE] = "none",
    [MDFH_EVENT_ORDER_ADD] = "order-add",
    [MDFH_EVENT_ORDER_EXECUTE] = "order-execute",
    [MDFH_EVENT_ORDER_REDUCE] = "order-reduce",
    [MDFH_EVENT_ORDER_MODIFY] = "order-modify",
    [MDFH_EVENT_ORDER_DELETE] = "order-delete",
    [MDFH_EVENT_TRADE] = "trade",
    [MDFH_EVENT_TRADE_BREAK] = "trade-break",
    [MDFH_EVENT_CROSS] = "cross",
    [MDFH_EVENT_LEVEL] = "level",
    [MDFH_EVENT_QUOTE] = "quote",
    [MDFH_EVENT_INSTRUMENT] = "instrument",
    [MDFH_EVENT_STATUS] = "status",
    [MDFH_EVENT_STATISTIC] = "statistic",
    [MDFH_EVENT_SESSION_BEGIN] = "session-begin",
    [MDFH_EVENT_END_OF_DAY] = "end-of-day",
    [MDFH_EVENT_CLEAR] = "clear",
    [MDFH_EVENT_GAP] = "gap",
    [MDFH_EVENT_RECOVERED] = "recovered",
    [MDFH_EVENT_STALE] = "stale",
    [MDFH_EVENT_ERROR] = "error",
};

static const char *const sides[] = {
    [MDFH_SIDE_NONE] = "none",
    [MDFH_SIDE_BUY] = "buy",
    [MDFH_SIDE_SELL] = "sell",
};

static const char *const causes[MDFH_CAUSES] = {
    [MDFH_CAUSE_NONE] = "none",
    [MDFH_CAUSE_UPSTREAM] = "upstream",
    [MDFH_CAUSE_NIC] = "nic",
    [MDFH_CAUSE_KERNEL] = "kernel",
    [MDFH_CAUSE_SOCKET] = "socket",
    [MDFH_CAUSE_UNATTRIBUTED] = "unattributed",
    [MDFH_CAUSE_MALFORMED] = "malformed",
    [MDFH_CAUSE_CONSUMER] = "consumer",
    [MDFH_CAUSE_INJECTED] = "injected",
    [MDFH_CAUSE_LATE_JOIN] = "late-join",
    [MDFH_CAUSE_WORKER] = "worker",
    [MDFH_CAUSE_ORDERS_FULL] = "orders-full",
    [MDFH_CAUSE_LEVELS_FULL] = "levels-full",
    [MDFH_CAUSE_INSTRUMENTS_FULL] = "instruments-full",
};

static const char *const statuses[] = {
    [MDFH_STATUS_UNKNOWN] = "unknown",
    [MDFH_STATUS_TRADING] = "trading",
    [MDFH_STATUS_HALTED] = "halted",
    [MDFH_STATUS_PAUSED] = "paused",
    [MDFH_STATUS_QUOTATION] = "quotation",
    [MDFH_STATUS_PRE_OPEN] = "pre-open",
    [MDFH_STATUS_AUCTION] = "auction",
    [MDFH_STATUS_CLOSED] = "closed",
    [MDFH_STATUS_NOT_TRADING] = "not-trading",
    [MDFH_STATUS_SHORT_SALE_RESTRICTED] = "short-sale-restricted",
    [MDFH_STATUS_SHORT_SALE_FREE] = "short-sale-free",
    [MDFH_STATUS_START_OF_MESSAGES] = "start-of-messages",
    [MDFH_STATUS_START_OF_SYSTEM] = "start-of-system",
    [MDFH_STATUS_START_OF_MARKET] = "start-of-market",
    [MDFH_STATUS_END_OF_MARKET] = "end-of-market",
    [MDFH_STATUS_END_OF_SYSTEM] = "end-of-system",
    [MDFH_STATUS_CIRCUIT_BREAKER] = "circuit-breaker",
};

static const char *const statistics[] = {
    [MDFH_STATISTIC_NONE] = "none",
    [MDFH_STATISTIC_REFERENCE_PRICE] = "reference-price",
    [MDFH_STATISTIC_NEAR_PRICE] = "near-price",
    [MDFH_STATISTIC_FAR_PRICE] = "far-price",
    [MDFH_STATISTIC_PAIRED_QUANTITY] = "paired-quantity",
    [MDFH_STATISTIC_IMBALANCE_QUANTITY] = "imbalance-quantity",
    [MDFH_STATISTIC_UPPER_LIMIT] = "upper-limit",
    [MDFH_STATISTIC_LOWER_LIMIT] = "lower-limit",
    [MDFH_STATISTIC_IPO_PRICE] = "ipo-price",
    [MDFH_STATISTIC_IPO_RELEASE_TIME] = "ipo-release-time",
    [MDFH_STATISTIC_CIRCUIT_BREAKER_1] = "circuit-breaker-1",
    [MDFH_STATISTIC_CIRCUIT_BREAKER_2] = "circuit-breaker-2",
    [MDFH_STATISTIC_CIRCUIT_BREAKER_3] = "circuit-breaker-3",
    [MDFH_STATISTIC_RETAIL_INTEREST] = "retail-interest",
    [MDFH_STATISTIC_EXTENSIONS] = "extensions",
    [MDFH_STATISTIC_MINIMUM_PRICE] = "minimum-price",
    [MDFH_STATISTIC_MAXIMUM_PRICE] = "maximum-price",
    [MDFH_STATISTIC_OPEN] = "open",
    [MDFH_STATISTIC_HIGH] = "high",
    [MDFH_STATISTIC_LOW] = "low",
    [MDFH_STATISTIC_SETTLEMENT] = "settlement",
    [MDFH_STATISTIC_OPEN_INTEREST] = "open-interest",
    [MDFH_STATISTIC_VOLUME] = "volume",
    [MDFH_STATISTIC_MARKET_MAKER] = "market-maker",
};

const char *mdfh_event_kind_name(unsigned kind)
{
	return NAME_OF(kinds, kind);
}

const char *mdfh_side_name(unsigned side)
{
	return NAME_OF(sides, side);
}

const char *mdfh_cause_name(unsigned cause)
{
	return NAME_OF(causes, cause);
}

const char *mdfh_status_name(unsigned status)
{
	return NAME_OF(statuses, status);
}

const char *mdfh_statistic_name(unsigned statistic)
{
	return NAME_OF(statistics, statistic);
}
