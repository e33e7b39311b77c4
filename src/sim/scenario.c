/* scenario.c - YAML to struct mdfh_scenario. The schema below is the list of keys. */
#include "sim/scenario.h"

#include <errno.h>
#include <stdlib.h>

#include "core/yaml.h"

/* What the keys are --------------------------------------------------------------- */

#define OPT    CYAML_FLAG_OPTIONAL
#define PTR    (CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER)
#define STRICT (CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const cyaml_strval_t phase_names[] = {
    {"pre-market", MDFH_SCENARIO_PRE_MARKET},
    {"market", MDFH_SCENARIO_MARKET},
    {"after-market", MDFH_SCENARIO_AFTER_MARKET},
};

static const cyaml_strval_t event_names[] = {
    {"halt", MDFH_SCENARIO_HALT},
    {"pause", MDFH_SCENARIO_PAUSE},
    {"operational-halt", MDFH_SCENARIO_OPERATIONAL_HALT},
    {"circuit-breaker", MDFH_SCENARIO_CIRCUIT_BREAKER},
    {"ipo", MDFH_SCENARIO_IPO},
    {"direct-listing", MDFH_SCENARIO_DIRECT_LISTING},
    {"short-sale-restriction", MDFH_SCENARIO_SHORT_SALE_RESTRICTION},
    {"imbalance", MDFH_SCENARIO_IMBALANCE},
    {"broken-trade", MDFH_SCENARIO_BROKEN_TRADE},
    {"off-price", MDFH_SCENARIO_OFF_PRICE},
    {"news", MDFH_SCENARIO_NEWS},
    {"burst", MDFH_SCENARIO_BURST},
};

static const cyaml_strval_t cross_names[] = {
    {"opening", MDFH_SCENARIO_CROSS_OPENING},
    {"closing", MDFH_SCENARIO_CROSS_CLOSING},
    {"halt", MDFH_SCENARIO_CROSS_HALT},
};

static const cyaml_strval_t side_names[] = {
    {"buy", MDFH_SCENARIO_SIDE_BUY},
    {"sell", MDFH_SCENARIO_SIDE_SELL},
    {"none", MDFH_SCENARIO_SIDE_NONE},
};

static const cyaml_strval_t line_names[] = {{"a", 0}, {"b", 1}};

static const cyaml_schema_value_t string_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 8),
};

#define STRING(key, type, member, longest)                                                         \
	CYAML_FIELD_STRING_PTR(key, PTR, type, member, 1, longest)

static const cyaml_schema_field_t phase_fields[] = {
    STRING("name", struct mdfh_scenario_phase, name, 63),
    CYAML_FIELD_ENUM("kind", CYAML_FLAG_STRICT, struct mdfh_scenario_phase, kind, phase_names,
	COUNT(phase_names)),
    STRING("from", struct mdfh_scenario_phase, from, 31),
    CYAML_FIELD_STRING_PTR("until", CYAML_FLAG_POINTER, struct mdfh_scenario_phase, until, 1, 31),
    CYAML_FIELD_FLOAT("share", CYAML_FLAG_DEFAULT, struct mdfh_scenario_phase, share),
    CYAML_FIELD_FLOAT("pace", OPT, struct mdfh_scenario_phase, pace),
    CYAML_FIELD_FLOAT("imbalances", OPT, struct mdfh_scenario_phase, imbalances),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t phase_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct mdfh_scenario_phase, phase_fields),
};

static const cyaml_schema_field_t instrument_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct mdfh_scenario_instrument, name, 1, 8),
    CYAML_FIELD_FLOAT("price", OPT, struct mdfh_scenario_instrument, price),
    CYAML_FIELD_FLOAT("tick", OPT, struct mdfh_scenario_instrument, tick),
    CYAML_FIELD_FLOAT("share", OPT, struct mdfh_scenario_instrument, share),
    CYAML_FIELD_FLOAT_PTR("volatility", PTR, struct mdfh_scenario_instrument, volatility),
    CYAML_FIELD_UINT("orders", OPT, struct mdfh_scenario_instrument, orders),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t instrument_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct mdfh_scenario_instrument, instrument_fields),
};

static const cyaml_schema_field_t event_fields[] = {
    CYAML_FIELD_STRING_PTR("at", CYAML_FLAG_POINTER, struct mdfh_scenario_event, at, 1, 31),
    STRING("until", struct mdfh_scenario_event, until, 31),
    CYAML_FIELD_ENUM("kind", CYAML_FLAG_STRICT, struct mdfh_scenario_event, kind, event_names,
	COUNT(event_names)),
    CYAML_FIELD_SEQUENCE(
	"symbols", PTR, struct mdfh_scenario_event, symbols, &string_schema, 1, 10000),
    STRING("reason", struct mdfh_scenario_event, reason, 4),
    CYAML_FIELD_ENUM(
	"cross", STRICT, struct mdfh_scenario_event, cross, cross_names, COUNT(cross_names)),
    CYAML_FIELD_ENUM(
	"side", STRICT, struct mdfh_scenario_event, side, side_names, COUNT(side_names)),
    CYAML_FIELD_UINT("shares", OPT, struct mdfh_scenario_event, shares),
    CYAML_FIELD_UINT("paired", OPT, struct mdfh_scenario_event, paired),
    CYAML_FIELD_FLOAT("price", OPT, struct mdfh_scenario_event, price),
    CYAML_FIELD_FLOAT("percent", OPT, struct mdfh_scenario_event, percent),
    CYAML_FIELD_FLOAT("move", OPT, struct mdfh_scenario_event, move),
    CYAML_FIELD_FLOAT("factor", OPT, struct mdfh_scenario_event, factor),
    CYAML_FIELD_UINT("ms", OPT, struct mdfh_scenario_event, ms),
    CYAML_FIELD_UINT("count", OPT, struct mdfh_scenario_event, count),
    CYAML_FIELD_UINT("level", OPT, struct mdfh_scenario_event, level),
    CYAML_FIELD_BOOL("cancelled", OPT, struct mdfh_scenario_event, is_cancelled),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t event_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct mdfh_scenario_event, event_fields),
};

static const cyaml_schema_field_t fault_fields[] = {
    CYAML_FIELD_ENUM(
	"line", CYAML_FLAG_STRICT, struct mdfh_scenario_fault, line, line_names, COUNT(line_names)),
    CYAML_FIELD_STRING_PTR("from", CYAML_FLAG_POINTER, struct mdfh_scenario_fault, from, 1, 31),
    CYAML_FIELD_STRING_PTR("until", CYAML_FLAG_POINTER, struct mdfh_scenario_fault, until, 1, 31),
    CYAML_FIELD_BOOL("silent", OPT, struct mdfh_scenario_fault, is_silent),
    CYAML_FIELD_UINT("drop_ppm", OPT, struct mdfh_scenario_fault, drop_ppm),
    CYAML_FIELD_UINT("skew_us", OPT, struct mdfh_scenario_fault, skew_us),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t fault_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct mdfh_scenario_fault, fault_fields),
};

#define PERCENT(key) CYAML_FIELD_FLOAT_PTR(#key, PTR, struct mdfh_scenario_mix, key)

static const cyaml_schema_field_t mix_fields[] = {
    PERCENT(executions),
    PERCENT(off_price),
    PERCENT(replaces),
    PERCENT(cancels),
    PERCENT(hidden_trades),
    PERCENT(broken_trades),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t scenario_fields[] = {
    STRING("name", struct mdfh_scenario, name, 127),
    CYAML_FIELD_UINT_PTR("seed", PTR, struct mdfh_scenario, seed),
    CYAML_FIELD_UINT("messages", OPT, struct mdfh_scenario, messages),
    CYAML_FIELD_FLOAT("rate", OPT, struct mdfh_scenario, rate),
    CYAML_FIELD_FLOAT("seconds", OPT, struct mdfh_scenario, seconds),
    CYAML_FIELD_FLOAT("burst", OPT, struct mdfh_scenario, burst),
    CYAML_FIELD_UINT("symbols", OPT, struct mdfh_scenario, symbols),
    CYAML_FIELD_UINT("live_orders", OPT, struct mdfh_scenario, live_orders),
    CYAML_FIELD_UINT("skew_us", OPT, struct mdfh_scenario, skew_us),
    STRING("drop_a", struct mdfh_scenario, drop_a, 1023),
    STRING("drop_b", struct mdfh_scenario, drop_b, 1023),
    STRING("start", struct mdfh_scenario, start, 31),
    CYAML_FIELD_BOOL("follow_clock", OPT, struct mdfh_scenario, follow_clock),
    CYAML_FIELD_UINT_PTR("random_halts", PTR, struct mdfh_scenario, random_halts),
    CYAML_FIELD_MAPPING("mix", OPT, struct mdfh_scenario, mix, mix_fields),
    CYAML_FIELD_SEQUENCE(
	"phases", PTR, struct mdfh_scenario, phases, &phase_schema, 1, MDFH_SCENARIO_PHASES_MAX),
    CYAML_FIELD_SEQUENCE("instruments", PTR, struct mdfh_scenario, instruments, &instrument_schema,
	0, MDFH_SCENARIO_INSTRUMENTS_MAX),
    CYAML_FIELD_SEQUENCE(
	"events", PTR, struct mdfh_scenario, events, &event_schema, 0, MDFH_SCENARIO_EVENTS_MAX),
    CYAML_FIELD_SEQUENCE(
	"lines", PTR, struct mdfh_scenario, lines, &fault_schema, 0, MDFH_SCENARIO_FAULTS_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t scenario_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct mdfh_scenario, scenario_fields),
};

const char *mdfh_scenario_kind_name(enum mdfh_scenario_kind kind)
{
	for (size_t i = 0; i < COUNT(event_names); i++) {
		if (event_names[i].val == (int64_t)kind)
			return event_names[i].str;
	}
	return "event";
}

/* Use ------------------------------------------------------------------------------ */

int mdfh_scenario_parse(
    const char *text, size_t length, const char *name, struct mdfh_scenario **scenario)
{
	void *loaded;
	int err = mdfh_yaml_parse(
	    text, length, name, "mdfh.scenario(5) lists the keys", &scenario_schema, &loaded);

	*scenario = NULL;
	if (err)
		return err;
	err = mdfh_scenario_check(text, length, name, loaded);
	if (err)
		mdfh_scenario_free(loaded);
	else
		*scenario = loaded;
	return err;
}

int mdfh_scenario_load(const char *path, struct mdfh_scenario **scenario)
{
	char *text;
	size_t length;
	int err;

	*scenario = NULL;
	err = mdfh_yaml_read(path, "scenario", &text, &length);
	if (err)
		return err;
	err = mdfh_scenario_parse(text, length, path, scenario);
	free(text);
	return err;
}

void mdfh_scenario_free(struct mdfh_scenario *scenario)
{
	mdfh_yaml_free(&scenario_schema, scenario);
}
