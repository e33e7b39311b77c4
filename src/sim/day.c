/* day.c - the generator of a trading day.
 *
 * A day is a fixed sequence of phases, each a function that writes one message a call. The
 * phases that spin over all symbols are loops turned inside out (day->cursor); the trading phases
 * draw a symbol and an action. Whatever a phase writes is applied to the reference book in the
 * same place, so the two cannot part. */
#include "sim/day.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "itch50.h"
#include "mdfh/error.h"
#include "sim/random.h"

enum {
	BUY = MDFH_REFBOOK_BUY,
	SELL = MDFH_REFBOOK_SELL,
	HALTS_MAX = 8,          /* symbols halted at once */
	BREAKABLE = 64,         /* newest prints that a broken trade may name */
	SWEEP_MAX = 8,          /* executions of one aggressor */
	RUN_MAX = 40,           /* messages in a row about one symbol */
	PRICE_DEPTH = 2047,     /* ticks from the touch, at most */
	PRICE_MAX = 2000000000, /* 200,000.0000: the venue's highest price */
	LATE_MESSAGES = 16,     /* deletes and breaks after the end of system hours */
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

/* Setup ------------------------------------------------------------------ */

uint64_t mdfh_day_messages_min(uint32_t symbols)
{
	/* Directory, state, Reg SHO, a third and a 16th, two crosses; halts and single notices. */
	return symbols * (3 + 2 * (uint64_t)CROSS_STEPS) + symbols / 3 + symbols / 16 +
	       LATE_MESSAGES + 64;
}

/* One letter for the first 26, two for the next 676, then four (26^4 = 456976) in scrambled order, some of them
 * with a suffix: every length that padding has to cope with, and not in the order of locates. */
static void name_symbol(struct symbol *symbol, uint32_t n)
{
	uint32_t scrambled = (uint32_t)(n * 104729ull % 456976ull);
	char *name = symbol->name;
	static const char preferred[4] = {'.', 'P', 'R', 'A'};

	memset(name, ' ', sizeof(symbol->name));
	if (n < 26) {
		name[0] = (char)('A' + n);
	} else if (n < 26 + 676) {
		name[0] = (char)('A' + (n - 26) / 26);
		name[1] = (char)('A' + (n - 26) % 26);
	} else {
		for (int i = 0; i < 4; i++) {
			name[i] = (char)('A' + scrambled % 26);
			scrambled /= 26;
		}
		if (n % 9 == 4)
			name[4] = 'W';
		else if (n % 31 == 7)
			memcpy(name + 4, preferred, sizeof(preferred));
	}
}

static void price_symbol(struct mdfh_day *day, struct symbol *symbol, uint32_t rank)
{
	/* As many symbols between 5 and 10 dollars as between 160 and 320. */
	uint32_t octave = mdfh_random_below(&day->random, 6);
	int32_t fair =
	    (int32_t)(500u << octave) + (int32_t)mdfh_random_below(&day->random, 500u << octave);

	symbol->tick = 100;
	if (rank % 97 == 5) { /* below a dollar: in hundredths of a cent */
		symbol->tick = 1;
		fair = 1000 + (int32_t)mdfh_random_below(&day->random, 8000);
	} else if (rank == 40) { /* near the highest price there is */
		fair = 19500000;
	}
	symbol->fair = fair;
	symbol->fair_low = fair / 2;
	symbol->fair_high = fair + fair / 2;
	if (symbol->fair_high > PRICE_MAX / 100 - 2 * PRICE_DEPTH)
		symbol->fair_high = PRICE_MAX / 100 - 2 * PRICE_DEPTH;
}

/* Activity falls with the rank as 1 / (rank + 8); which symbol has which rank is drawn. The table
 * makes a draw two reads: each entry is a symbol and the one that fills up its share. */
static int share_activity(struct mdfh_day *day)
{
	uint32_t n = day->config.symbols;
	uint32_t *by_rank = calloc(n, sizeof(*by_rank));
	double *share = calloc(n, sizeof(*share));
	uint32_t *small = calloc(n, sizeof(*small));
	uint32_t *large = calloc(n, sizeof(*large));
	uint32_t smalls = 0;
	uint32_t larges = 0;
	double sum = 0;
	double orders = day->config.live_orders * 0.85;
	int err = 0;

	if (!by_rank || !share || !small || !large) {
		err = mdfh_error(-ENOMEM, "day: activity of %u symbols", n);
		goto out;
	}
	for (uint32_t i = 0; i < n; i++)
		by_rank[i] = i;
	for (uint32_t i = n - 1; i > 0; i--) {
		uint32_t j = mdfh_random_below(&day->random, i + 1);
		uint32_t moved = by_rank[i];

		by_rank[i] = by_rank[j];
		by_rank[j] = moved;
	}
	for (uint32_t rank = 0; rank < n; rank++)
		sum += 1.0 / (rank + 8);
	for (uint32_t rank = 0; rank < n; rank++) {
		struct symbol *symbol = &day->symbols[by_rank[rank] + 1];
		double part = 1.0 / (rank + 8) / sum;

		price_symbol(day, symbol, rank);
		symbol->target = (uint32_t)(orders * (part / 2 + 0.5 / n));
		share[by_rank[rank]] = part * n;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (share[i] < 1)
			small[smalls++] = i;
		else
			large[larges++] = i;
		day->alias[i] = (struct alias){.threshold = UINT32_MAX, .other = (uint16_t)i};
	}
	while (smalls && larges) {
		uint32_t less = small[--smalls];
		uint32_t more = large[larges - 1];

		day->alias[less].threshold = (uint32_t)(share[less] * 4294967295.0);
		day->alias[less].other = (uint16_t)more;
		share[more] -= 1 - share[less];
		if (share[more] < 1) {
			larges--;
			small[smalls++] = more;
		}
	}
out:
	free(by_rank);
	free(share);
	free(small);
	free(large);
	return err;
}

static int config_complete(struct mdfh_day_config *config)
{
	if (!config->symbols) {
		config->symbols = MDFH_DAY_SYMBOLS_DEFAULT;
		if (config->messages / 40 < config->symbols)
			config->symbols = (uint32_t)(config->messages / 40);
		if (!config->symbols)
			config->symbols = 1;
	}
	if (config->symbols > MDFH_DAY_SYMBOLS_MAX)
		return mdfh_error(-EINVAL, "day: symbols is %u; it must be 1 to %d",
		    config->symbols, MDFH_DAY_SYMBOLS_MAX);
	if (config->messages < mdfh_day_messages_min(config->symbols))
		return mdfh_error(-EINVAL,
		    "day: messages is %llu; a day of %u symbols needs at least %llu: ask for more "
		    "messages or fewer symbols",
		    (unsigned long long)config->messages, config->symbols,
		    (unsigned long long)mdfh_day_messages_min(config->symbols));
	if (!config->live_orders) {
		config->live_orders = MDFH_DAY_LIVE_ORDERS_DEFAULT;
		if (config->messages / 16 < config->live_orders)
			config->live_orders = (uint32_t)(config->messages / 16);
	}
	return 0;
}

static void fill_ahead(struct mdfh_day *day);

int mdfh_day_create(const struct mdfh_day_config *config, struct mdfh_day **out)
{
	struct mdfh_day *day = calloc(1, sizeof(*day));
	int err;

	*out = NULL;
	if (!day)
		return mdfh_error(-ENOMEM, "day: %zu bytes", sizeof(*day));
	day->config = *config;
	err = config_complete(&day->config);
	if (err)
		goto fail;
	err = mdfh_refbook_create(&day->book);
	if (err)
		goto fail;
	day->symbols = calloc(day->config.symbols + 1, sizeof(*day->symbols));
	day->alias = calloc(day->config.symbols, sizeof(*day->alias));
	if (!day->symbols || !day->alias) {
		err = mdfh_error(-ENOMEM, "day: %u symbols", day->config.symbols);
		goto fail;
	}
	day->random = config->seed;
	day->time_ns = 3 * HOUR_NS;
	day->time_end_ns = 4 * HOUR_NS;
	for (uint32_t i = 0; i < day->config.symbols; i++)
		name_symbol(&day->symbols[i + 1], i);
	err = share_activity(day);
	if (err)
		goto fail;
	fill_ahead(day);
	*out = day;
	return 0;

fail:
	mdfh_day_destroy(day);
	return err;
}

void mdfh_day_destroy(struct mdfh_day *day)
{
	if (!day)
		return;
	for (uint32_t i = 0; day->symbols && i <= day->config.symbols; i++)
		free(day->symbols[i].orders);
	free(day->symbols);
	free(day->alias);
	mdfh_refbook_destroy(day->book);
	free(day);
}

const struct mdfh_refbook *mdfh_day_book(const struct mdfh_day *day)
{
	return day->book;
}

uint64_t mdfh_day_count(const struct mdfh_day *day, uint8_t type)
{
	return day->counts[type];
}

uint32_t mdfh_day_symbols(const struct mdfh_day *day)
{
	return day->config.symbols;
}

/* Chance ------------------------------------------------------------------ */

static uint32_t below(struct mdfh_day *day, uint32_t n)
{
	return mdfh_random_below(&day->random, n);
}

static int one_in(struct mdfh_day *day, uint32_t n)
{
	return below(day, n) == 0;
}

/* Mostly round lots, some odd ones, a few large. */
static uint32_t draw_shares(struct mdfh_day *day)
{
	uint32_t kind = below(day, 16);

	if (kind < 9)
		return 100;
	if (kind < 12)
		return 100 * (2 + below(day, 4));
	if (kind < 15)
		return 1 + below(day, 99);
	return 100 * (1 + below(day, 50));
}

/* A whole number whose chance falls with its square, up to PRICE_DEPTH. */
static int32_t draw_distance(struct mdfh_day *day)
{
	uint64_t bits = mdfh_random_next(&day->random);
	int octave = __builtin_ctzll(bits | 1ull << 11);

	return (int32_t)(bits >> 32 & ((1u << octave) - 1));
}

/* How many places from the newest: as likely 1 as 2 to 3, 4 to 7 ... */
static uint32_t draw_age(struct mdfh_day *day, uint32_t count)
{
	uint64_t bits = mdfh_random_next(&day->random);
	uint32_t octaves = 33 - (uint32_t)__builtin_clz(count);
	uint32_t octave = (uint32_t)((bits & UINT32_MAX) * octaves >> 32);
	uint32_t age = (uint32_t)(bits >> 32) & ((1u << octave) - 1);

	return age < count ? age : age - count;
}

static uint16_t draw_ahead(struct mdfh_day *day)
{
	uint64_t bits = mdfh_random_next(&day->random);
	uint32_t place;

	if (day->run_left && bits & 1) {
		day->run_left--;
		return day->run_locate;
	}
	place = (uint32_t)((bits >> 32) * day->config.symbols >> 32);
	if ((uint32_t)mdfh_random_next(&day->random) > day->alias[place].threshold)
		place = day->alias[place].other;
	day->run_locate = (uint16_t)(place + 1);
	day->run_left = RUN_MAX;
	return day->run_locate;
}

static void fill_ahead(struct mdfh_day *day)
{
	for (int i = 0; i < AHEAD; i++)
		day->ahead[i] = draw_ahead(day);
}

/* The next symbol. Most of a message's time would go into waiting for memory, so a symbol is
 * asked for when it is drawn and its newest orders and best levels half way to its turn. */
static uint16_t draw_symbol(struct mdfh_day *day)
{
	uint16_t locate = day->ahead[day->ahead_at];
	uint16_t last = draw_ahead(day);
	uint16_t middle = day->ahead[(day->ahead_at + AHEAD / 2) % AHEAD];
	const struct symbol *symbol = &day->symbols[middle];

	day->ahead[day->ahead_at] = last;
	day->ahead_at = (uint8_t)((day->ahead_at + 1) % AHEAD);
	__builtin_prefetch(&day->symbols[last]);
	mdfh_refbook_prefetch_symbol(day->book, last);
	if (symbol->count)
		__builtin_prefetch(&symbol->orders[symbol->count - 1]);
	mdfh_refbook_prefetch_best(day->book, middle);
	return locate;
}

/* Time advances so that the phase fills its hours: half of the messages follow their
 * predecessor within microseconds, the others take what is left in equal parts on average. */
static void pass_time(struct mdfh_day *day)
{
	uint64_t left = day->phase_ends > day->sent ? day->phase_ends - day->sent : 1;
	uint64_t mean = (day->time_end_ns - day->time_ns) / left;
	uint64_t bits = mdfh_random_next(&day->random);
	uint64_t gap = mean * 2;

	if (bits & 1 && mean > 4096)
		gap = 200 + (bits >> 52);
	else
		gap = (gap >> 16) * (bits >> 48) + (gap & 0xffff);
	day->time_ns += gap < day->time_end_ns - day->time_ns ? gap : 0;
}

static uint16_t tracking(const struct mdfh_day *day)
{
	return (uint16_t)(day->sent * 2 & 0x0fff);
}

/* Orders ------------------------------------------------------------------- */

/* Make room in the list of a symbol: drop ids that executions took away, else grow. */
static int orders_make_room(struct mdfh_day *day, struct symbol *symbol)
{
	struct mdfh_refbook_order order;
	uint32_t kept = 0;

	if (symbol->count < symbol->capacity)
		return 0;
	for (uint32_t i = 0; i < symbol->count; i++) {
		if (mdfh_refbook_find(day->book, symbol->orders[i], &order))
			symbol->orders[kept++] = symbol->orders[i];
	}
	symbol->count = kept;
	if (kept > symbol->capacity / 2 || !kept) {
		uint32_t capacity = symbol->capacity ? symbol->capacity * 2 : 32;
		uint64_t *orders = realloc(symbol->orders, capacity * sizeof(*orders));

		if (!orders)
			return mdfh_error(-ENOMEM, "day: %u orders of a symbol", capacity);
		symbol->orders = orders;
		symbol->capacity = capacity;
	}
	return 0;
}

/* A live order of the symbol, likely a young one. index is its place in the list. */
static int order_pick(
    struct mdfh_day *day, struct symbol *symbol, uint32_t *index, struct mdfh_refbook_order *order)
{
	while (symbol->count) {
		*index = symbol->count - 1 - draw_age(day, symbol->count);
		if (mdfh_refbook_find(day->book, symbol->orders[*index], order))
			return 1;
		symbol->orders[*index] = symbol->orders[--symbol->count];
	}
	return 0;
}

static void order_forget(struct symbol *symbol, uint32_t index)
{
	symbol->orders[index] = symbol->orders[--symbol->count];
	symbol->live--;
}

/* Ids rise and leave out some, as on a venue whose other orders are not displayed. */
static uint64_t order_id(struct mdfh_day *day)
{
	day->last_order += 1 + (one_in(day, 2) ? below(day, 4) : 0);
	return day->last_order;
}

static uint64_t match_number(struct mdfh_day *day)
{
	return ++day->last_match;
}

static void remember_print(struct mdfh_day *day, uint16_t locate, uint64_t match)
{
	day->breakable[day->breakable_next++ % BREAKABLE] =
	    (struct print){.match = match, .locate = locate};
}

/* The price of a new order, on its own side of the other side's best; 0 = there is no room. */
static uint32_t order_price(struct mdfh_day *day, uint16_t locate, unsigned side)
{
	const struct symbol *symbol = &day->symbols[locate];
	int32_t distance = draw_distance(day);
	int32_t limit = (int32_t)(PRICE_MAX / symbol->tick);
	struct mdfh_refbook_level best;
	int32_t price;

	if (distance > symbol->fair / 4)
		distance = symbol->fair / 4;
	if (side == BUY) {
		price = symbol->fair - distance;
		if (mdfh_refbook_level(day->book, locate, SELL, 0, &best)) {
			int32_t ask = (int32_t)(best.price / symbol->tick);

			if (price >= ask)
				price = ask - 1 - distance % 4;
		}
		if (price < 1)
			return 0;
	} else {
		price = symbol->fair + 1 + distance;
		if (mdfh_refbook_level(day->book, locate, BUY, 0, &best)) {
			int32_t bid = (int32_t)(best.price / symbol->tick);

			if (price <= bid)
				price = bid + 1 + distance % 4;
		}
		if (price > limit)
			return 0;
	}
	return (uint32_t)price * symbol->tick;
}

/* Messages of the market. Each writes one message and returns its length, 0 if it cannot be now,
 * or -ENOMEM. */

static int write_add(struct mdfh_day *day, uint16_t locate, uint8_t *out)
{
	static const char participants[4][4] = {
	    {'M', 'M', 'K', 'A'}, {'D', 'E', 'S', 'K'}, {'N', 'O', 'R', 'D'}, {'Q', 'T', ' ', ' '}};
	struct symbol *symbol = &day->symbols[locate];
	unsigned side = one_in(day, 2) ? BUY : SELL;
	uint32_t price = order_price(day, locate, side);
	uint32_t shares = draw_shares(day);
	uint64_t id;

	if (!price) {
		side = BUY + SELL - side;
		price = order_price(day, locate, side);
	}
	if (!price || orders_make_room(day, symbol))
		return price ? -ENOMEM : 0;
	id = order_id(day);
	if (mdfh_refbook_add(day->book, locate, id, side, shares, price) < 0)
		return -ENOMEM;
	symbol->orders[symbol->count++] = id;
	symbol->live++;
	if (one_in(day, 50)) {
		struct itch50_add_order_mpid message = {
		    .locate = locate,
		    .tracking = tracking(day),
		    .timestamp = day->time_ns,
		    .order_ref = id,
		    .side = side == BUY ? 'B' : 'S',
		    .shares = shares,
		    .price = price,
		};

		memcpy(message.stock, symbol->name, sizeof(message.stock));
		memcpy(
		    message.attribution, participants[below(day, 4)], sizeof(message.attribution));
		return (int)itch50_encode_add_order_mpid(out, &message);
	}
	{
		struct itch50_add_order message = {
		    .locate = locate,
		    .tracking = tracking(day),
		    .timestamp = day->time_ns,
		    .order_ref = id,
		    .side = side == BUY ? 'B' : 'S',
		    .shares = shares,
		    .price = price,
		};

		memcpy(message.stock, symbol->name, sizeof(message.stock));
		return (int)itch50_encode_add_order(out, &message);
	}
}

static int write_delete(struct mdfh_day *day, uint16_t locate, uint8_t *out)
{
	struct mdfh_refbook_order order;
	uint32_t index;

	if (!order_pick(day, &day->symbols[locate], &index, &order))
		return 0;
	mdfh_refbook_delete(day->book, order.order_id);
	order_forget(&day->symbols[locate], index);
	return (int)itch50_encode_order_delete(out, &(struct itch50_order_delete){
							.locate = locate,
							.tracking = tracking(day),
							.timestamp = day->time_ns,
							.order_ref = order.order_id,
						    });
}

static int write_replace(struct mdfh_day *day, uint16_t locate, uint8_t *out)
{
	struct symbol *symbol = &day->symbols[locate];
	struct mdfh_refbook_order order;
	uint32_t index;
	uint32_t price;
	uint32_t shares;
	uint64_t id;

	if (!order_pick(day, symbol, &index, &order))
		return 0;
	price = order_price(day, locate, order.side);
	if (!price)
		return 0;
	if (one_in(day, 8)) /* only the size changes: the place in the queue is lost all the same */
		price = (uint32_t)order.price;
	shares = one_in(day, 3) ? draw_shares(day) : order.shares;
	id = order_id(day);
	if (mdfh_refbook_replace(day->book, order.order_id, id, shares, price) < 0)
		return -ENOMEM;
	/* The list has room: the old id's place is taken, and it becomes the newest. */
	symbol->orders[index] = symbol->orders[symbol->count - 1];
	symbol->orders[symbol->count - 1] = id;
	return (int)itch50_encode_order_replace(out, &(struct itch50_order_replace){
							 .locate = locate,
							 .tracking = tracking(day),
							 .timestamp = day->time_ns,
							 .original_order_ref = order.order_id,
							 .new_order_ref = id,
							 .shares = shares,
							 .price = price,
						     });
}

static int write_cancel(struct mdfh_day *day, uint16_t locate, uint8_t *out)
{
	struct symbol *symbol = &day->symbols[locate];
	struct mdfh_refbook_order order;
	uint32_t index;
	uint32_t shares;

	if (!order_pick(day, symbol, &index, &order))
		return 0;
	shares = 1 + below(day, order.shares);
	if (shares == order.shares && shares > 1 && !one_in(day, 16))
		shares--;
	mdfh_refbook_reduce(day->book, order.order_id, shares);
	if (shares == order.shares)
		order_forget(symbol, index);
	return (int)itch50_encode_order_cancel(out, &(struct itch50_order_cancel){
							.locate = locate,
							.tracking = tracking(day),
							.timestamp = day->time_ns,
							.order_ref = order.order_id,
							.canceled_shares = shares,
						    });
}

/* Execute at the head of the best level; price 0 = at the order's own price. Returns the length,
 * and the shares that were executed in *done. */
static int execute_head(struct mdfh_day *day, uint16_t locate, unsigned side, uint32_t shares,
    uint32_t price, char printable, uint32_t *done, uint8_t *out)
{
	struct mdfh_refbook_order head;
	uint64_t match;

	if (!mdfh_refbook_head(day->book, locate, side, &head))
		return 0;
	if (shares > head.shares)
		shares = head.shares;
	match = match_number(day);
	if (mdfh_refbook_execute(day->book, head.order_id, shares, match, printable == 'Y') < 0)
		return -ENOMEM;
	if (shares == head.shares)
		day->symbols[locate].live--; /* its id is dropped from the list when met */
	if (printable == 'Y')
		remember_print(day, locate, match);
	*done = shares;
	if (!price)
		return (int)itch50_encode_order_executed(out, &(struct itch50_order_executed){
								  .locate = locate,
								  .tracking = tracking(day),
								  .timestamp = day->time_ns,
								  .order_ref = head.order_id,
								  .executed_shares = shares,
								  .match_number = match,
							      });
	return (int)itch50_encode_order_executed_price(out, &(struct itch50_order_executed_price){
								.locate = locate,
								.tracking = tracking(day),
								.timestamp = day->time_ns,
								.order_ref = head.order_id,
								.executed_shares = shares,
								.match_number = match,
								.printable = printable,
								.execution_price = price,
							    });
}

/* The side that an aggressor hits: the one that stands on the wrong side of the fair price. */
static unsigned stale_side(struct mdfh_day *day, uint16_t locate)
{
	const struct symbol *symbol = &day->symbols[locate];
	struct mdfh_refbook_level bid;
	struct mdfh_refbook_level ask;
	int64_t fair = (int64_t)symbol->fair * symbol->tick;

	if (!mdfh_refbook_level(day->book, locate, BUY, 0, &bid))
		return SELL;
	if (!mdfh_refbook_level(day->book, locate, SELL, 0, &ask))
		return BUY;
	if (bid.price > fair)
		return BUY;
	if (ask.price <= fair)
		return SELL;
	return one_in(day, 2) ? BUY : SELL;
}

/* The next execution of an aggressor, who may go through several orders and levels. */
static int write_sweep(struct mdfh_day *day, uint8_t *out)
{
	uint32_t done = 0;
	int length = execute_head(
	    day, day->sweep_locate, day->sweep_side, day->sweep_shares, 0, 'Y', &done, out);

	day->sweep_shares -= done;
	day->sweep_left--;
	if (length <= 0 || !day->sweep_left)
		day->sweep_shares = 0;
	return length;
}

static int write_execution(struct mdfh_day *day, uint16_t locate, uint8_t *out)
{
	if (day->symbols[locate].is_quiet)
		return 0;
	day->sweep_locate = locate;
	day->sweep_side = (uint8_t)stale_side(day, locate);
	day->sweep_shares = draw_shares(day);
	day->sweep_left = SWEEP_MAX;
	return write_sweep(day, out);
}

/* Price improvement: a tick better for the aggressor than the order's own price. */
static int write_execution_at_price(struct mdfh_day *day, uint16_t locate, uint8_t *out)
{
	unsigned side = stale_side(day, locate);
	struct mdfh_refbook_order head;
	int64_t price;
	uint32_t done;

	if (day->symbols[locate].is_quiet || !mdfh_refbook_head(day->book, locate, side, &head))
		return 0;
	price = head.price + (side == BUY ? 1 : -1) * (int64_t)day->symbols[locate].tick;
	if (price < 1 || price > PRICE_MAX)
		return 0;
	return execute_head(day, locate, side, draw_shares(day), (uint32_t)price, 'Y', &done, out);
}

static int write_hidden_trade(struct mdfh_day *day, uint16_t locate, uint8_t *out)
{
	const struct symbol *symbol = &day->symbols[locate];
	struct itch50_trade message = {
	    .locate = locate,
	    .tracking = tracking(day),
	    .timestamp = day->time_ns,
	    .side = 'B',
	    .shares = draw_shares(day),
	    .price = (uint32_t)symbol->fair * symbol->tick,
	};

	if (symbol->is_quiet)
		return 0;
	message.match_number = match_number(day);
	if (mdfh_refbook_trade(day->book, locate, message.shares, message.match_number) < 0)
		return -ENOMEM;
	remember_print(day, locate, message.match_number);
	memcpy(message.stock, symbol->name, sizeof(message.stock));
	return (int)itch50_encode_trade(out, &message);
}

static int write_broken_trade(struct mdfh_day *day, uint8_t *out)
{
	struct print *print = &day->breakable[below(day, BREAKABLE)];
	struct itch50_broken_trade message = {
	    .locate = print->locate,
	    .tracking = tracking(day),
	    .timestamp = day->time_ns,
	    .match_number = print->match,
	};

	if (!print->match)
		return 0;
	mdfh_refbook_break(day->book, print->match);
	print->match = 0;
	return (int)itch50_encode_broken_trade(out, &message);
}

static int write_imbalance(struct mdfh_day *day, uint16_t locate, char cross, uint8_t *out)
{
	static const char directions[] = "BSNO";
	static const char variations[] = "L123";
	const struct symbol *symbol = &day->symbols[locate];
	uint32_t price = (uint32_t)symbol->fair * symbol->tick;
	struct itch50_noii message = {
	    .locate = locate,
	    .tracking = tracking(day),
	    .timestamp = day->time_ns,
	    .paired_shares = below(day, 500000),
	    .imbalance_shares = below(day, 60000),
	    .imbalance_direction = directions[below(day, 4)],
	    .far_price = price - symbol->tick,
	    .near_price = price,
	    .reference_price = price + symbol->tick,
	    .cross_type = cross,
	    .price_variation = variations[below(day, 4)],
	};

	if (message.imbalance_direction == 'N')
		message.imbalance_shares = 0;
	memcpy(message.stock, symbol->name, sizeof(message.stock));
	return (int)itch50_encode_noii(out, &message);
}

static int write_cross(
    struct mdfh_day *day, uint16_t locate, char cross, uint64_t shares, uint8_t *out)
{
	const struct symbol *symbol = &day->symbols[locate];
	struct itch50_cross_trade message = {
	    .locate = locate,
	    .tracking = tracking(day),
	    .timestamp = day->time_ns,
	    .shares = shares,
	    .cross_price = shares ? (uint32_t)symbol->fair * symbol->tick : 0,
	    .match_number = match_number(day),
	    .cross_type = cross,
	};

	if (mdfh_refbook_trade(day->book, locate, shares, message.match_number) < 0)
		return -ENOMEM;
	memcpy(message.stock, symbol->name, sizeof(message.stock));
	return (int)itch50_encode_cross_trade(out, &message);
}

static int write_trading_action(
    struct mdfh_day *day, uint16_t locate, char state, const char *reason, uint8_t *out)
{
	struct itch50_stock_trading_action message = {
	    .locate = locate,
	    .tracking = tracking(day),
	    .timestamp = day->time_ns,
	    .trading_state = state,
	    .reserved = ' ',
	};

	memcpy(message.stock, day->symbols[locate].name, sizeof(message.stock));
	memcpy(message.reason, reason, sizeof(message.reason));
	return (int)itch50_encode_stock_trading_action(out, &message);
}

static int write_collar(struct mdfh_day *day, uint16_t locate, uint8_t *out)
{
	const struct symbol *symbol = &day->symbols[locate];
	uint32_t price = (uint32_t)symbol->fair * symbol->tick;
	struct itch50_luld_auction_collar message = {
	    .locate = locate,
	    .tracking = tracking(day),
	    .timestamp = day->time_ns,
	    .collar_reference_price = price,
	    .upper_collar_price = price + price / 20,
	    .lower_collar_price = price - price / 20,
	    .collar_extension = below(day, 3),
	};

	memcpy(message.stock, symbol->name, sizeof(message.stock));
	return (int)itch50_encode_luld_auction_collar(out, &message);
}

static int write_operational_halt(struct mdfh_day *day, uint16_t locate, char action, uint8_t *out)
{
	struct itch50_operational_halt message = {
	    .locate = locate,
	    .tracking = tracking(day),
	    .timestamp = day->time_ns,
	    .market_code = 'Q',
	    .halt_action = action,
	};

	memcpy(message.stock, day->symbols[locate].name, sizeof(message.stock));
	return (int)itch50_encode_operational_halt(out, &message);
}

static int write_system_event(struct mdfh_day *day, char code, uint8_t *out)
{
	return (int)itch50_encode_system_event(
	    out, &(struct itch50_system_event){
		     .tracking = tracking(day), .timestamp = day->time_ns, .event_code = code});
}

/* Halts --------------------------------------------------------------------- */

/* The next message of a halted symbol; after its last one the halt is taken off the list. */
static int write_halt_step(struct mdfh_day *day, uint32_t which, uint8_t *out)
{
	struct halt *halt = &day->halts[which];
	uint16_t locate = halt->locate;
	struct symbol *symbol = &day->symbols[locate];
	const char *reason = halt->kind == HALT_NEWS ? "T1  " : "LUDP";
	unsigned step = halt->step++;

	halt->due = day->sent + 20 + below(day, 200);
	if (halt->kind == HALT_OPERATIONAL) {
		if (step == 0) {
			symbol->is_quiet = 1;
			return write_operational_halt(day, locate, 'H', out);
		}
		symbol->is_quiet = 0;
		*halt = day->halts[--day->halts_open];
		return write_operational_halt(day, locate, 'T', out);
	}
	switch (step) {
	case 0:
		symbol->is_quiet = 1;
		return write_trading_action(
		    day, locate, halt->kind == HALT_NEWS ? 'H' : 'P', reason, out);
	case 1:
		if (halt->kind == HALT_VOLATILITY)
			return write_collar(day, locate, out);
		return write_trading_action(day, locate, 'Q', "T3  ", out);
	case 2:
		return write_imbalance(day, locate, 'H', out);
	case 3:
		return write_cross(day, locate, 'H', 100ull * below(day, 200), out);
	default:
		symbol->is_quiet = 0;
		*halt = day->halts[--day->halts_open];
		return write_trading_action(day, locate, 'T', reason, out);
	}
}

/* A step of a halt that is due, or a new halt; 0 = neither. */
static int write_due_halt(struct mdfh_day *day, uint8_t *out)
{
	if (day->sweep_shares) /* the aggressor trades first, then the halt */
		return 0;
	for (uint32_t i = 0; i < day->halts_open; i++) {
		if (day->halts[i].due <= day->sent)
			return write_halt_step(day, i, out);
	}
	if (day->sent < day->halt_next || day->halts_open == HALTS_MAX)
		return 0;
	day->halt_next += day->halt_every;
	{
		uint16_t locate = draw_symbol(day);

		if (day->symbols[locate].is_quiet)
			return 0;
		day->halts[day->halts_open] = (struct halt){
		    .locate = locate, .kind = (uint8_t)(day->halts_begun++ % HALT_KINDS)};
		return write_halt_step(day, day->halts_open++, out);
	}
}

/* Trading ------------------------------------------------------------------- */

static void drift(struct mdfh_day *day, struct symbol *symbol)
{
	uint64_t bits = mdfh_random_next(&day->random);

	if (bits & 7)
		return;
	if (bits & 8 && symbol->fair < symbol->fair_high)
		symbol->fair++;
	else if (!(bits & 8) && symbol->fair > symbol->fair_low)
		symbol->fair--;
}

/* Add or delete, whichever brings the symbol nearer to its number of live orders. */
static int write_add_or_delete(struct mdfh_day *day, uint16_t locate, uint8_t *out)
{
	const struct symbol *symbol = &day->symbols[locate];
	int64_t excess = (int64_t)symbol->live - symbol->target;
	int64_t chance = 493 + excess * 256 / ((int64_t)symbol->target + 4);
	int is_full = mdfh_refbook_orders(day->book) >= day->config.live_orders;
	int length = 0;

	if (chance < 320)
		chance = 320;
	if (chance > 680)
		chance = 680;
	if (is_full || below(day, 1024) < (uint32_t)chance)
		length = write_delete(day, locate, out);
	if (!length && !is_full)
		length = write_add(day, locate, out);
	return length;
}

/* One message of the continuous market. imbalances: chance in 10,000 of an imbalance message of
 * that cross. 0 only when nothing can be done with the drawn symbol. */
static int write_trading(struct mdfh_day *day, uint32_t imbalances, char cross, uint8_t *out)
{
	uint32_t draw = below(day, 10000);
	uint16_t locate;
	int length = 0;

	if (day->sweep_shares)
		length = write_sweep(day, out);
	if (length)
		return length;
	locate = draw_symbol(day);
	drift(day, &day->symbols[locate]);
	if (draw < 230) /* and what sweeps add to it */
		length = write_execution(day, locate, out);
	else if (draw < 242)
		length = write_execution_at_price(day, locate, out);
	else if (draw < 842)
		length = write_replace(day, locate, out);
	else if (draw < 942)
		length = write_cancel(day, locate, out);
	else if (draw < 1042)
		length = write_hidden_trade(day, locate, out);
	else if (draw < 1043)
		length = write_broken_trade(day, out);
	else if (draw < 1043 + imbalances)
		length = write_imbalance(day, locate, cross, out);
	return length ? length : write_add_or_delete(day, locate, out);
}

/* Phases ---------------------------------------------------------------------
 *
 * Each returns the length of one message, 0 when the phase is over (or, while it is not over,
 * when this draw led to nothing), -ENOMEM. */

/* Over all symbols, every stride-th: is there one more? */
static int spin(struct mdfh_day *day, uint32_t stride, uint16_t *locate)
{
	if (!day->cursor)
		day->cursor = 1;
	if (day->cursor > day->config.symbols)
		return 0;
	*locate = (uint16_t)day->cursor;
	day->cursor += stride;
	return 1;
}

static int directory(struct mdfh_day *day, uint8_t *out)
{
	static const char categories[] = "QGSNAPZV";
	uint16_t locate;
	struct itch50_stock_directory message;

	if (!spin(day, 1, &locate))
		return 0;
	message = (struct itch50_stock_directory){
	    .locate = locate,
	    .timestamp = day->time_ns,
	    .market_category = categories[below(day, 8)],
	    .financial_status = 'N',
	    .round_lot_size = 100,
	    .round_lots_only = 'N',
	    .issue_classification = 'C',
	    .issue_sub_type = {'Z', ' '},
	    .authenticity = locate % 1000 == 999 ? 'T' : 'P',
	    .short_sale_threshold = 'N',
	    .ipo_flag = 'N',
	    .luld_tier = locate % 8 ? '2' : '1',
	    .etp_flag = 'N',
	    .inverse_indicator = 'N',
	};
	memcpy(message.stock, day->symbols[locate].name, sizeof(message.stock));
	mdfh_refbook_symbol(
	    day->book, locate, day->symbols[locate].name, sizeof(day->symbols[locate].name));
	return (int)itch50_encode_stock_directory(out, &message);
}

static int trading_states(struct mdfh_day *day, uint8_t *out)
{
	uint16_t locate;

	return spin(day, 1, &locate) ? write_trading_action(day, locate, 'T', "    ", out) : 0;
}

static int reg_sho(struct mdfh_day *day, uint8_t *out)
{
	uint16_t locate;
	struct itch50_reg_sho_restriction message;

	if (!spin(day, 1, &locate))
		return 0;
	message = (struct itch50_reg_sho_restriction){
	    .locate = locate,
	    .timestamp = day->time_ns,
	    .reg_sho_action = one_in(day, 50) ? '2' : '0',
	};
	memcpy(message.stock, day->symbols[locate].name, sizeof(message.stock));
	return (int)itch50_encode_reg_sho_restriction(out, &message);
}

static int participants(struct mdfh_day *day, uint8_t *out)
{
	uint16_t locate;
	struct itch50_market_participant_position message;

	if (!spin(day, 3, &locate))
		return 0;
	message = (struct itch50_market_participant_position){
	    .locate = locate,
	    .timestamp = day->time_ns,
	    .mpid = {'M', 'M', 'K', 'A'},
	    .primary_market_maker = 'Y',
	    .market_maker_mode = 'N',
	    .participant_state = 'A',
	};
	memcpy(message.stock, day->symbols[locate].name, sizeof(message.stock));
	return (int)itch50_encode_market_participant_position(out, &message);
}

static int retail(struct mdfh_day *day, uint8_t *out)
{
	static const char flags[] = "BSAN";
	uint16_t locate;
	struct itch50_rpii message;

	if (!spin(day, 16, &locate))
		return 0;
	message = (struct itch50_rpii){
	    .locate = locate,
	    .timestamp = day->time_ns,
	    .interest_flag = flags[below(day, 4)],
	};
	memcpy(message.stock, day->symbols[locate].name, sizeof(message.stock));
	return (int)itch50_encode_rpii(out, &message);
}

/* The market-wide circuit breaker levels, and a new listing by offering and one by itself. */
static int notices(struct mdfh_day *day, uint8_t *out)
{
	uint16_t locate = (uint16_t)(1 + day->config.symbols / 2);
	const struct symbol *symbol = &day->symbols[locate];
	uint32_t price = (uint32_t)symbol->fair * symbol->tick;

	switch (day->step++) {
	case 0:
		return (int)itch50_encode_mwcb_decline_level(
		    out, &(struct itch50_mwcb_decline_level){
			     .timestamp = day->time_ns,
			     .level_1 = 418500000000u,
			     .level_2 = 391500000000u,
			     .level_3 = 360000000000u,
			 });
	case 1: {
		struct itch50_ipo_quoting_period message = {
		    .timestamp = day->time_ns,
		    .quotation_release_time = 10 * 3600,
		    .release_qualifier = 'A',
		    .ipo_price = price,
		};

		memcpy(message.stock, symbol->name, sizeof(message.stock));
		return (int)itch50_encode_ipo_quoting_period(out, &message);
	}
	case 2: {
		struct itch50_direct_listing message = {
		    .locate = locate,
		    .timestamp = day->time_ns,
		    .open_eligibility = 'N',
		    .minimum_price = price - price / 5,
		    .maximum_price = price + price / 5,
		    .near_execution_price = price,
		    .near_execution_time = 9 * HOUR_NS + HOUR_NS / 2,
		    .lower_collar = price - price / 10,
		    .upper_collar = price + price / 10,
		};

		memcpy(message.stock, symbol->name, sizeof(message.stock));
		return (int)itch50_encode_direct_listing(out, &message);
	}
	default:
		return 0;
	}
}

/* A symbol's cross: for half of the best orders on each side an execution that is not printed,
 * then the bulk print, which holds their shares and those of orders that were never displayed. */
static int crosses(struct mdfh_day *day, char cross, uint8_t *out)
{
	while (day->step || day->cursor < day->config.symbols) {
		uint16_t locate;
		uint32_t done = 0;
		int length = 0;

		if (!day->step) {
			day->cursor++;
			day->cross_shares = 0;
		}
		locate = (uint16_t)day->cursor;
		if (day->step < 2) {
			unsigned side = day->step++ ? SELL : BUY;
			const struct symbol *symbol = &day->symbols[locate];

			if (one_in(day, 2))
				length = execute_head(day, locate, side, draw_shares(day),
				    (uint32_t)symbol->fair * symbol->tick, 'N', &done, out);
			day->cross_shares += done;
		} else {
			uint64_t hidden = one_in(day, 4) ? 0 : 100ull * below(day, 1000);

			day->step = 0;
			length = write_cross(day, locate, cross, day->cross_shares + hidden, out);
		}
		if (length)
			return length;
	}
	return 0;
}

static int resume_all(struct mdfh_day *day, uint8_t *out)
{
	return day->halts_open ? write_halt_step(day, 0, out) : 0;
}

/* After the end of system hours: orders go and trades are broken, nothing else. */
static int late(struct mdfh_day *day, uint8_t *out)
{
	int length = one_in(day, 4) ? write_broken_trade(day, out) : 0;

	if (!length)
		length = write_delete(day, draw_symbol(day), out);
	/* A day so thin that nothing is left to delete ends with an order instead. */
	if (!length && !mdfh_refbook_orders(day->book))
		length = write_add(day, draw_symbol(day), out);
	return length;
}

/* Trading phases end by count, the others when they have nothing left to say. */
static int is_trading(enum phase phase)
{
	return phase == PHASE_PRE_MARKET || phase == PHASE_MARKET || phase == PHASE_AFTER_MARKET ||
	       phase == PHASE_LATE;
}

static int write_phase(struct mdfh_day *day, uint8_t *out)
{
	static const char system_events[PHASE_OVER] = {
	    [PHASE_START] = 'O',
	    [PHASE_SYSTEM_HOURS] = 'S',
	    [PHASE_MARKET_OPENS] = 'Q',
	    [PHASE_MARKET_CLOSES] = 'M',
	    [PHASE_SYSTEM_ENDS] = 'E',
	    [PHASE_END] = 'C',
	};
	int length;

	switch (day->phase) {
	case PHASE_DIRECTORY:
		return directory(day, out);
	case PHASE_TRADING_STATES:
		return trading_states(day, out);
	case PHASE_REG_SHO:
		return reg_sho(day, out);
	case PHASE_PARTICIPANTS:
		return participants(day, out);
	case PHASE_RETAIL:
		return retail(day, out);
	case PHASE_NOTICES:
		return notices(day, out);
	case PHASE_PRE_MARKET:
		return write_trading(day, 100, 'O', out);
	case PHASE_OPENING_CROSS:
		return crosses(day, 'O', out);
	case PHASE_MARKET:
		length = write_due_halt(day, out);
		return length ? length : write_trading(day, 5, 'C', out);
	case PHASE_RESUME_ALL:
		return resume_all(day, out);
	case PHASE_CLOSING_CROSS:
		return crosses(day, 'C', out);
	case PHASE_AFTER_MARKET:
		return write_trading(day, 0, 'C', out);
	case PHASE_LATE:
		return late(day, out);
	default:
		return day->step++ ? 0 : write_system_event(day, system_events[day->phase], out);
	}
}

/* Enter the next phase: where it ends, by count and by the clock. */
static void next_phase(struct mdfh_day *day)
{
	uint64_t n = day->config.messages;
	/* What trading may use: all but the crosses, the late messages and three events. */
	uint64_t reserved = (uint64_t)day->config.symbols * CROSS_STEPS;
	uint64_t tail = LATE_MESSAGES + 2;
	uint64_t left = n - day->sent;

	day->phase++;
	day->cursor = 0;
	day->step = 0;
	day->phase_ends = n;
	switch (day->phase) {
	case PHASE_SYSTEM_HOURS:
		day->time_ns = 4 * HOUR_NS;
		break;
	case PHASE_PRE_MARKET:
		/* 8 % before the opening, 3 % after the close. */
		left -= 2 * reserved + tail;
		day->phase_ends = day->sent + left * 8 / 100;
		day->time_end_ns = 9 * HOUR_NS + HOUR_NS / 2;
		break;
	case PHASE_MARKET_OPENS:
		day->time_ns = 9 * HOUR_NS + HOUR_NS / 2;
		day->time_end_ns = 16 * HOUR_NS;
		break;
	case PHASE_MARKET:
		/* Open halts take up to four messages each before the market closes. */
		left -= reserved + tail + 1 + HALTS_MAX * 5ull;
		day->phase_ends = day->sent + left - left * 3 / 100;
		day->halt_every = 1 + left / (6 + left / 20000);
		day->halt_next = day->sent + day->halt_every / 2;
		break;
	case PHASE_RESUME_ALL:
		day->sweep_shares = 0;
		break;
	case PHASE_MARKET_CLOSES:
		day->time_ns = 16 * HOUR_NS;
		day->time_end_ns = 20 * HOUR_NS;
		break;
	case PHASE_AFTER_MARKET:
		day->phase_ends = n - tail;
		break;
	case PHASE_SYSTEM_ENDS:
		day->sweep_shares = 0;
		day->time_ns = 20 * HOUR_NS;
		day->time_end_ns = 20 * HOUR_NS + HOUR_NS / 12;
		break;
	case PHASE_LATE:
		day->phase_ends = n - 1;
		break;
	default:
		break;
	}
}

int mdfh_day_next(struct mdfh_day *day, uint8_t *out)
{
	while (day->phase != PHASE_OVER) {
		int length = 0;

		if (!is_trading(day->phase) || day->sent < day->phase_ends) {
			length = write_phase(day, out);
			if (length < 0)
				return length;
		}
		if (length) {
			day->sent++;
			day->counts[out[0]]++;
			pass_time(day);
			return length;
		}
		if (!is_trading(day->phase) || day->sent >= day->phase_ends)
			next_phase(day);
	}
	return 0;
}
