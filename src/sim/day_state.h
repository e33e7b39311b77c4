/* day_state.h - what the files of the day generator share: its state, and who writes what.
 *
 * Functions named write_... write one message into out and return its length, 0 if it cannot be
 * now, or -ENOMEM; those of a phase return 0 when it has nothing left to say. */
#ifndef MDFH_SIM_DAY_STATE_H
#define MDFH_SIM_DAY_STATE_H

#include "core/random.h"
#include "sim/day.h"
#include "sim/scenario.h"

enum {
	BUY = MDFH_REFBOOK_BUY,
	SELL = MDFH_REFBOOK_SELL,
	HALTS_MAX = 8,          /* symbols halted at once */
	BREAKABLE = 64,         /* newest prints that a broken trade may name */
	PRICE_DEPTH = 2047,     /* ticks from the touch, at most */
	PRICE_MAX = 2000000000, /* 200,000.0000: the venue's highest price */
	AHEAD = 4,       /* symbols drawn before their turn, to have them in the cache by then */
	CROSS_STEPS = 3, /* most messages of one symbol's cross */
};

#define SECOND_NS 1000000000ull
#define HOUR_NS   (3600 * SECOND_NS)

enum phase {
	PHASE_START,
	PHASE_DIRECTORY,
	PHASE_TRADING_STATES,
	PHASE_REG_SHO,
	PHASE_PARTICIPANTS,
	PHASE_RETAIL,
	PHASE_NOTICES,
	PHASE_SYSTEM_HOURS,
	PHASE_MARKET_OPENS,
	PHASE_OPENING_CROSS,
	PHASE_TRADING, /* one of the scenario's: pre-market, market or after-market */
	PHASE_RESUME_ALL,
	PHASE_MARKET_CLOSES,
	PHASE_CLOSING_CROSS,
	PHASE_SYSTEM_ENDS,
	PHASE_LATE,
	PHASE_END,
	PHASE_OVER,
};

struct symbol {
	uint64_t *orders; /* ids, oldest first until deletes swap; dead ones are dropped when met */
	uint32_t count;
	uint32_t capacity;
	uint32_t live;   /* orders in the book */
	uint32_t target; /* live orders that adds and deletes steer to */
	int32_t fair;    /* ticks; buyers pay at most this, sellers ask more */
	int32_t fair_low;
	int32_t fair_high;
	uint32_t tick;        /* Price4 units: 100, or 1 below a dollar */
	uint16_t volatility;  /* of 2,048 messages so many move the fair price */
	uint16_t news;        /* index + 1 of the news that moves its price; 0 = none */
	uint32_t halts;       /* halts and pauses that hold now */
	uint32_t operational; /* operational halts that hold now */
	uint8_t is_closed;    /* not yet offered: no orders */
	char name[8];
};

enum act {
	ACT_TRADING_STATE,
	ACT_COLLAR,
	ACT_OPERATIONAL_HALT,
	ACT_IMBALANCE,
	ACT_CROSS,
	ACT_BREACH,
	ACT_IPO,
	ACT_LISTING,
	ACT_SHORT_SALE,
	ACT_BREAK,
	ACT_OFF_PRICE,
	ACT_LAST_MESSAGE = ACT_OFF_PRICE, /* those that follow write none */
	ACT_NEWS_BEGINS,
	ACT_NEWS_ENDS,
	ACT_BURST,
};

/* One step of the scenario's events: at most one message. */
struct action {
	uint64_t time_ns;
	uint32_t order; /* of equal times */
	uint16_t event; /* index in the scenario */
	uint16_t locate;
	uint8_t act;
	char code; /* trading state or the like */
	char reason[4];
};

struct plan {
	struct action *actions; /* by time */
	uint32_t count;
	uint32_t capacity;
	uint32_t next;
	uint64_t messages_left; /* that the actions to come may write */
	uint64_t messages_max;  /* of the whole day */
};

struct news { /* that goes on */
	const struct mdfh_scenario_event *event;
	uint16_t *locates;
	int32_t *fair_from; /* by place in locates */
	uint32_t percent;   /* of 10,000 messages */
	uint8_t is_open;
};

enum halt_kind {
	HALT_NEWS,        /* H(H) I H(Q) Q H(T) */
	HALT_VOLATILITY,  /* H(P) J I Q H(T) */
	HALT_OPERATIONAL, /* h(H) h(T) */
	HALT_KINDS,
};

struct halt {
	uint64_t due; /* message count at which the next step comes */
	uint16_t locate;
	uint8_t kind;
	uint8_t step;
};

struct print {
	uint64_t match; /* 0 = broken already */
	uint16_t locate;
};

struct alias { /* a symbol, or with a chance of threshold / 2^32 below it the other */
	uint32_t threshold;
	uint16_t other;
};

struct named {
	char name[8];
	uint16_t locate;
};

struct mix { /* of 1,000,000 messages so many at least, one kind upon the other */
	uint32_t executions;
	uint32_t off_price;
	uint32_t replaces;
	uint32_t cancels;
	uint32_t hidden_trades;
	uint32_t broken_trades;
};

struct mdfh_day {
	struct mdfh_day_config config;
	const struct mdfh_scenario *scenario;
	const struct mdfh_scenario_phase *phases;
	uint32_t phases_count;
	uint32_t trading; /* which of them */
	int is_entered;   /* the first trading phase was entered */
	struct plan plan;
	struct mix mix;
	struct news *news; /* by the number of the event */
	uint32_t news_open;
	uint64_t fault_change_ns; /* when the next fault of a line begins or ends */
	struct mdfh_day_mark mark;
	double pace_scale; /* makes the paces of the phases come out at the day's mean rate */
	double trading_pace;
	struct mdfh_refbook *book;
	struct symbol *symbols; /* by locate code, 0 is unused */
	struct alias *alias;    /* by locate code - 1 */
	uint16_t *by_rank;      /* locate codes, the most active first */
	struct named *by_name;  /* sorted, for the scenario's events */
	uint64_t random;
	uint64_t sent;
	uint64_t counts[256];

	enum phase phase;
	uint32_t cursor; /* of a spin: locate code */
	uint32_t step;   /* within the cursor's symbol */
	uint64_t cross_shares;

	uint64_t trading_total; /* messages of all trading phases that are drawn, not planned */
	uint64_t trading_given; /* of these, to the phases so far */
	double shares_total;
	double shares_given;
	uint64_t phase_left;  /* messages of the trading phase to be drawn */
	uint64_t time_ns;     /* since midnight */
	uint64_t time_end_ns; /* of the phase */
	uint64_t time_left;   /* messages until then */

	uint64_t burst_left; /* messages of a burst */
	const struct mdfh_scenario_event *burst;
	uint16_t *burst_locates; /* NULL = any */

	uint64_t last_order;
	uint64_t last_match;
	struct print breakable[BREAKABLE];
	uint32_t breakable_next;

	uint16_t run_locate; /* symbol of the current run of messages */
	uint8_t run_left;
	uint8_t ahead_at;
	uint16_t ahead[AHEAD]; /* the next symbols, a ring */

	uint32_t sweep_shares; /* an aggressor that is not yet filled */
	uint16_t sweep_locate;
	uint8_t sweep_side; /* of the resting orders */
	uint8_t sweep_left;
	uint32_t sweep_debt; /* executions of sweeps beyond the first, to be left out later */

	struct halt halts[HALTS_MAX];
	uint32_t halts_open;
	uint32_t halts_begun;
	uint64_t halt_next; /* message count */
	uint64_t halt_every;
	uint64_t halts_left;
};

static inline uint32_t below(struct mdfh_day *day, uint32_t n)
{
	return mdfh_random_below(&day->random, n);
}

static inline int one_in(struct mdfh_day *day, uint32_t n)
{
	return below(day, n) == 0;
}

/* No executions while any kind of halt holds. */
static inline int is_halted(const struct symbol *symbol)
{
	return symbol->halts || symbol->operational;
}

static inline uint16_t tracking(const struct mdfh_day *day)
{
	return (uint16_t)(day->sent * 2 & 0x0fff);
}

/* day_symbols.c */
void name_symbols(struct mdfh_day *day);
void move_fair(struct symbol *symbol, int32_t fair);
void price_at(struct symbol *symbol, double dollars);
int share_activity(struct mdfh_day *day);
void fill_ahead(struct mdfh_day *day);
uint16_t draw_symbol(struct mdfh_day *day);

/* day_plan.c */
int plan_events(struct mdfh_day *day);
int plan_paces(struct mdfh_day *day, uint64_t trading);
double plan_pace(const struct mdfh_day *day, uint32_t phase);
void plan_faults(struct mdfh_day *day);
/* The symbols of an event, to be freed; NULL after an error. */
uint16_t *event_locates(const struct mdfh_day *day, unsigned number);

/* day_events.c */
int write_due_action(struct mdfh_day *day, int is_end, uint8_t *out);
int32_t news_fair(const struct mdfh_day *day, const struct news *news, unsigned i);

/* day_orders.c */
uint32_t draw_shares(struct mdfh_day *day);
uint64_t match_number(struct mdfh_day *day);
int write_add(struct mdfh_day *day, uint16_t locate, uint8_t *out);
int write_delete(struct mdfh_day *day, uint16_t locate, uint8_t *out);
int execute_head(struct mdfh_day *day, uint16_t locate, unsigned side, uint32_t shares,
    uint32_t price, char printable, uint32_t *done, uint8_t *out);
int write_broken_trade(struct mdfh_day *day, uint8_t *out);
int write_newest_broken(struct mdfh_day *day, uint16_t locate, uint8_t *out);
int write_trading(struct mdfh_day *day, double imbalances, char cross, uint8_t *out);

/* day_auctions.c */
struct imbalance {
	uint64_t paired;
	uint64_t shares;
	uint32_t price; /* Price4 */
	char direction;
	char cross;
};
int write_imbalance(struct mdfh_day *day, uint16_t locate, char cross, uint8_t *out);
int write_imbalance_of(
    struct mdfh_day *day, uint16_t locate, const struct imbalance *imbalance, uint8_t *out);
int write_cross(struct mdfh_day *day, uint16_t locate, char cross, uint64_t shares, uint8_t *out);
int crosses(struct mdfh_day *day, char cross, uint8_t *out);

/* day_halts.c */
int write_trading_action(
    struct mdfh_day *day, uint16_t locate, char state, const char *reason, uint8_t *out);
int write_collar(struct mdfh_day *day, uint16_t locate, double percent, uint8_t *out);
int write_operational_halt(struct mdfh_day *day, uint16_t locate, char action, uint8_t *out);
int write_halt_step(struct mdfh_day *day, uint32_t which, uint8_t *out);
int write_due_halt(struct mdfh_day *day, uint8_t *out);

/* day_notices.c */
int directory(struct mdfh_day *day, uint8_t *out);
int trading_states(struct mdfh_day *day, uint8_t *out);
int reg_sho(struct mdfh_day *day, uint8_t *out);
int participants(struct mdfh_day *day, uint8_t *out);
int retail(struct mdfh_day *day, uint8_t *out);
int notices(struct mdfh_day *day, uint8_t *out);
int write_ipo(
    struct mdfh_day *day, uint16_t locate, char qualifier, uint64_t release_ns, uint8_t *out);
int write_listing(struct mdfh_day *day, uint16_t locate, double price, uint8_t *out);

#endif
