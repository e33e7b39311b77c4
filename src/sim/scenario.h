/* scenario.h - the timetable of a made-up day: its phases, symbols, mix of messages, events, and
 * what its lines suffer. mdfh.scenario(5) explains every key of the file.
 *
 * Times are times of the venue's day, in ns since midnight. Threads: a scenario is only read once
 * it has been made. */
#ifndef MDFH_SIM_SCENARIO_H
#define MDFH_SIM_SCENARIO_H

#include <stddef.h>
#include <stdint.h>

enum {
	MDFH_SCENARIO_PHASES_MAX = 32,
	MDFH_SCENARIO_EVENTS_MAX = 1000,
	MDFH_SCENARIO_FAULTS_MAX = 32,
	MDFH_SCENARIO_INSTRUMENTS_MAX = 10000,
};

/* In this order in a day, each any number of times. */
enum mdfh_scenario_phase_kind {
	MDFH_SCENARIO_PRE_MARKET,
	MDFH_SCENARIO_MARKET,
	MDFH_SCENARIO_AFTER_MARKET,
};

struct mdfh_scenario_phase {
	char *name;
	char *from; /* NULL = where the phase before ended; of the first 04:00 */
	char *until;
	enum mdfh_scenario_phase_kind kind;
	double share;      /* of the day's trading messages, as a part of all shares */
	double pace;       /* messages a second on the wire, as a multiple of the mean; 0 = 1 */
	double imbalances; /* percent of its messages */
	uint64_t from_ns;
	uint64_t until_ns;
};

struct mdfh_scenario_instrument {
	char *name;
	double price;       /* dollars; 0 = drawn */
	double tick;        /* dollars; 0 = 0.01, below a dollar 0.0001 */
	double share;       /* percent of all messages; 0 = by rank, like an unnamed one */
	double *volatility; /* steps of the fair price, as a multiple of the usual; NULL = 1 */
	uint32_t orders;    /* live orders that its book tends to; 0 = by its share */
};

enum mdfh_scenario_kind {
	MDFH_SCENARIO_HALT,
	MDFH_SCENARIO_PAUSE,
	MDFH_SCENARIO_OPERATIONAL_HALT,
	MDFH_SCENARIO_CIRCUIT_BREAKER,
	MDFH_SCENARIO_IPO,
	MDFH_SCENARIO_DIRECT_LISTING,
	MDFH_SCENARIO_SHORT_SALE_RESTRICTION,
	MDFH_SCENARIO_IMBALANCE,
	MDFH_SCENARIO_BROKEN_TRADE,
	MDFH_SCENARIO_OFF_PRICE,
	MDFH_SCENARIO_NEWS,
	MDFH_SCENARIO_BURST,
	MDFH_SCENARIO_KINDS,
};

enum mdfh_scenario_cross {
	MDFH_SCENARIO_CROSS_DEFAULT,
	MDFH_SCENARIO_CROSS_OPENING,
	MDFH_SCENARIO_CROSS_CLOSING,
	MDFH_SCENARIO_CROSS_HALT
};
enum mdfh_scenario_side {
	MDFH_SCENARIO_SIDE_DEFAULT,
	MDFH_SCENARIO_SIDE_BUY,
	MDFH_SCENARIO_SIDE_SELL,
	MDFH_SCENARIO_SIDE_NONE
};

/* Zero and NULL = left out. Which member belongs to which kind stands in scenario_check.c. */
struct mdfh_scenario_event {
	char *at;
	char *until;
	char **symbols;
	unsigned symbols_count;
	enum mdfh_scenario_kind kind;
	char *reason;
	enum mdfh_scenario_cross cross;
	enum mdfh_scenario_side side;
	uint64_t shares;
	uint64_t paired;
	double price;   /* dollars */
	double percent; /* of the price, or of all messages, by kind */
	double move;    /* percent of the price */
	double factor;
	uint32_t ms;
	uint32_t count;
	uint32_t level;
	int is_cancelled;
	uint64_t at_ns;
	uint64_t until_ns; /* 0 = none */
};

struct mdfh_scenario_fault {
	unsigned line; /* 0 = A */
	char *from;
	char *until;
	int is_silent;
	uint32_t drop_ppm;
	uint32_t skew_us; /* line B only; 0 = as ever */
	uint64_t from_ns;
	uint64_t until_ns;
};

/* Percent of the messages of a trading phase; NULL = the usual. Adds and deletes are the rest. */
struct mdfh_scenario_mix {
	double *executions;
	double *off_price;
	double *replaces;
	double *cancels;
	double *hidden_trades;
	double *broken_trades;
};

struct mdfh_scenario {
	char *name;
	uint64_t *seed;
	uint64_t messages;
	double rate;
	double seconds;
	double burst;
	uint32_t symbols;
	uint32_t live_orders;
	uint32_t skew_us;
	char *drop_a;
	char *drop_b;
	char *start; /* of messages; NULL = an hour before the first phase */
	int follow_clock;
	uint32_t *random_halts; /* NULL = 6 and one for 20,000 messages */
	struct mdfh_scenario_mix mix;
	struct mdfh_scenario_phase *phases;
	unsigned phases_count;
	struct mdfh_scenario_instrument *instruments;
	unsigned instruments_count;
	struct mdfh_scenario_event *events;
	unsigned events_count;
	struct mdfh_scenario_fault *lines;
	unsigned lines_count;
	uint64_t start_ns;
};

/* The day that is made when there is no file. */
const struct mdfh_scenario *mdfh_scenario_usual(void);

/* -EINVAL says file, line and key. name stands for the text in errors. */
int mdfh_scenario_parse(
    const char *text, size_t length, const char *name, struct mdfh_scenario **scenario);
int mdfh_scenario_load(const char *path, struct mdfh_scenario **scenario);
void mdfh_scenario_free(struct mdfh_scenario *scenario); /* NULL is allowed */

/* As it stands in a file. */
const char *mdfh_scenario_kind_name(enum mdfh_scenario_kind kind);

/* Fill in the times in ns and refuse what cannot be; for scenario.c. */
int mdfh_scenario_check(
    const char *text, size_t length, const char *name, struct mdfh_scenario *scenario);

#endif
