/* day_state.h - what the files of the day generator share: its state, and who writes what.
 *
 * Functions named write_... write one message into out and return its length, 0 if it cannot be
 * now, or -ENOMEM; those of a phase return 0 when it has nothing left to say. */
#ifndef MDFH_SIM_DAY_STATE_H
#define MDFH_SIM_DAY_STATE_H

#include "sim/day.h"
#include "sim/random.h"

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
	PHASE_PRE_MARKET,
	PHASE_MARKET_OPENS,
	PHASE_OPENING_CROSS,
	PHASE_MARKET,
	PHASE_RESUME_ALL,
	PHASE_MARKET_CLOSES,
	PHASE_CLOSING_CROSS,
	PHASE_AFTER_MARKET,
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
	uint32_t tick;    /* Price4 units: 100, or 1 below a dollar */
	uint8_t is_quiet; /* halted or paused: no executions */
	char name[8];
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

struct mdfh_day {
	struct mdfh_day_config config;
	struct mdfh_refbook *book;
	struct symbol *symbols; /* by locate code, 0 is unused */
	struct alias *alias;    /* by locate code - 1 */
	uint64_t random;
	uint64_t sent;
	uint64_t counts[256];

	enum phase phase;
	uint32_t cursor; /* of a spin: locate code */
	uint32_t step;   /* within the cursor's symbol */
	uint64_t cross_shares;

	uint64_t phase_ends;  /* message count at which a trading phase ends */
	uint64_t time_ns;     /* since midnight */
	uint64_t time_end_ns; /* of the phase */

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

	struct halt halts[HALTS_MAX];
	uint32_t halts_open;
	uint32_t halts_begun;
	uint64_t halt_next; /* message count */
	uint64_t halt_every;
};

static inline uint32_t below(struct mdfh_day *day, uint32_t n)
{
	return mdfh_random_below(&day->random, n);
}

static inline int one_in(struct mdfh_day *day, uint32_t n)
{
	return below(day, n) == 0;
}

static inline uint16_t tracking(const struct mdfh_day *day)
{
	return (uint16_t)(day->sent * 2 & 0x0fff);
}

/* day_symbols.c */
void name_symbol(struct symbol *symbol, uint32_t n);
int share_activity(struct mdfh_day *day);
void fill_ahead(struct mdfh_day *day);
uint16_t draw_symbol(struct mdfh_day *day);

/* day_orders.c */
uint32_t draw_shares(struct mdfh_day *day);
uint64_t match_number(struct mdfh_day *day);
int write_add(struct mdfh_day *day, uint16_t locate, uint8_t *out);
int write_delete(struct mdfh_day *day, uint16_t locate, uint8_t *out);
int execute_head(struct mdfh_day *day, uint16_t locate, unsigned side, uint32_t shares,
    uint32_t price, char printable, uint32_t *done, uint8_t *out);
int write_broken_trade(struct mdfh_day *day, uint8_t *out);
int write_trading(struct mdfh_day *day, uint32_t imbalances, char cross, uint8_t *out);

/* day_auctions.c */
int write_imbalance(struct mdfh_day *day, uint16_t locate, char cross, uint8_t *out);
int write_cross(struct mdfh_day *day, uint16_t locate, char cross, uint64_t shares, uint8_t *out);
int crosses(struct mdfh_day *day, char cross, uint8_t *out);

/* day_halts.c */
int write_trading_action(
    struct mdfh_day *day, uint16_t locate, char state, const char *reason, uint8_t *out);
int write_halt_step(struct mdfh_day *day, uint32_t which, uint8_t *out);
int write_due_halt(struct mdfh_day *day, uint8_t *out);

/* day_notices.c */
int directory(struct mdfh_day *day, uint8_t *out);
int trading_states(struct mdfh_day *day, uint8_t *out);
int reg_sho(struct mdfh_day *day, uint8_t *out);
int participants(struct mdfh_day *day, uint8_t *out);
int retail(struct mdfh_day *day, uint8_t *out);
int notices(struct mdfh_day *day, uint8_t *out);

/* day.c */
int write_system_event(struct mdfh_day *day, char code, uint8_t *out);

#endif
