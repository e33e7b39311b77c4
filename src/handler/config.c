/* config.c - YAML to struct mdfh_handler_config. The schema below is the list of keys. */
#include <stdlib.h>

#include "core/yaml.h"
#include "mdfh/handler.h"

/* What the keys are ------------------------------------------------------------------------- */

#define OPT    CYAML_FLAG_OPTIONAL
#define PTR    (CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER)
#define STRICT (CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT)

static const cyaml_strval_t switch_names[] = {
    {"default", MDFH_DEFAULT},
    {"on", MDFH_ON},
    {"off", MDFH_OFF},
};

static const cyaml_strval_t idle_names[] = {
    {"default", MDFH_IDLE_DEFAULT},
    {"spin", MDFH_IDLE_SPIN},
    {"wait", MDFH_IDLE_WAIT},
};

static const cyaml_strval_t full_names[] = {
    {"drop", MDFH_FULL_DROP},
    {"wait", MDFH_FULL_WAIT},
};

static const cyaml_strval_t shard_names[] = {
    {"default", MDFH_SHARD_DEFAULT},
    {"channel", MDFH_SHARD_CHANNEL},
    {"instrument", MDFH_SHARD_INSTRUMENT},
};

static const cyaml_strval_t worker_full_names[] = {
    {"default", MDFH_WORKER_FULL_DEFAULT},
    {"drop", MDFH_WORKER_FULL_DROP},
    {"wait", MDFH_WORKER_FULL_WAIT},
};

/* Any number, or this. */
static const cyaml_strval_t thread_names[] = {
    {"auto", MDFH_THREAD_AUTO},
};

static const cyaml_strval_t kind_names[] = {
    {"events", MDFH_CONSUMER_EVENTS},
    {"raw", MDFH_CONSUMER_RAW},
};

static const cyaml_strval_t timestamp_names[] = {
    {"default", MDFH_TIMESTAMPS_DEFAULT},
    {"off", MDFH_TIMESTAMPS_OFF},
    {"software", MDFH_TIMESTAMPS_SOFTWARE},
    {"hardware", MDFH_TIMESTAMPS_HARDWARE},
};

static const cyaml_strval_t trailer_names[] = {
    {"none", MDFH_TRAILER_NONE},
    {"metamako", MDFH_TRAILER_METAMAKO},
    {"exablaze", MDFH_TRAILER_EXABLAZE},
    {"arista7280", MDFH_TRAILER_ARISTA_7280},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SWITCH(key, type, member)                                                                  \
	CYAML_FIELD_ENUM(key, STRICT, type, member, switch_names, COUNT(switch_names))

static const cyaml_schema_value_t string_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 255),
};

static const cyaml_schema_field_t fault_fields[] = {
    CYAML_FIELD_UINT("seed", OPT, struct mdfh_fault_config, seed),
    CYAML_FIELD_UINT("loss_ppm", OPT, struct mdfh_fault_config, loss_ppm),
    CYAML_FIELD_UINT("duplicate_ppm", OPT, struct mdfh_fault_config, duplicate_ppm),
    CYAML_FIELD_UINT("reorder_ppm", OPT, struct mdfh_fault_config, reorder_ppm),
    CYAML_FIELD_UINT("damage_ppm", OPT, struct mdfh_fault_config, damage_ppm),
    CYAML_FIELD_UINT("truncate_ppm", OPT, struct mdfh_fault_config, truncate_ppm),
    CYAML_FIELD_UINT("delay_ppm", OPT, struct mdfh_fault_config, delay_ppm),
    CYAML_FIELD_UINT("burst_length", OPT, struct mdfh_fault_config, burst_length),
    CYAML_FIELD_UINT("reorder_distance", OPT, struct mdfh_fault_config, reorder_distance),
    CYAML_FIELD_UINT("delay_ns", OPT, struct mdfh_fault_config, delay_ns),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t line_fields[] = {
    CYAML_FIELD_STRING_PTR("group", PTR, struct mdfh_line_config, group, 1, 128),
    CYAML_FIELD_STRING_PTR("server", PTR, struct mdfh_line_config, server, 1, 128),
    CYAML_FIELD_STRING_PTR("username", PTR, struct mdfh_line_config, username, 0, 64),
    /* Too long is for who logs in to say: what libcyaml refuses it shows. */
    CYAML_FIELD_STRING_PTR("password", PTR, struct mdfh_line_config, password, 0, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("password_file", PTR, struct mdfh_line_config, password_file, 1, 4096),
    CYAML_FIELD_STRING_PTR("source", PTR, struct mdfh_line_config, source, 1, 64),
    CYAML_FIELD_STRING_PTR("interface", PTR, struct mdfh_line_config, interface, 1, 255),
    CYAML_FIELD_STRING_PTR("backend", PTR, struct mdfh_line_config, backend, 1, 4096),
    CYAML_FIELD_STRING_PTR(
	"backend_options", PTR, struct mdfh_line_config, backend_options, 1, 4096),
    CYAML_FIELD_STRING_PTR("file", PTR, struct mdfh_line_config, file, 1, 4096),
    CYAML_FIELD_FLOAT("speed", OPT, struct mdfh_line_config, speed),
    CYAML_FIELD_UINT("vlan", OPT, struct mdfh_line_config, vlan),
    CYAML_FIELD_UINT("queue", OPT, struct mdfh_line_config, queue),
    CYAML_FIELD_UINT("rx_ring_size", OPT, struct mdfh_line_config, rx_ring_size),
    CYAML_FIELD_UINT("batch_size", OPT, struct mdfh_line_config, batch_size),
    CYAML_FIELD_UINT("frame_size", OPT, struct mdfh_line_config, frame_size),
    CYAML_FIELD_UINT("busy_poll_us", OPT, struct mdfh_line_config, busy_poll_us),
    CYAML_FIELD_UINT("hold_max", OPT, struct mdfh_line_config, hold_max),
    CYAML_FIELD_UINT("zero_copy_threshold", OPT, struct mdfh_line_config, zero_copy_threshold),
    SWITCH("zero_copy", struct mdfh_line_config, zero_copy),
    SWITCH("require_zero_copy", struct mdfh_line_config, require_zero_copy),
    CYAML_FIELD_UINT("receive_buffer", OPT, struct mdfh_line_config, receive_buffer_bytes),
    CYAML_FIELD_ENUM("timestamps", STRICT, struct mdfh_line_config, timestamps, timestamp_names,
	COUNT(timestamp_names)),
    CYAML_FIELD_ENUM(
	"trailer", STRICT, struct mdfh_line_config, trailer, trailer_names, COUNT(trailer_names)),
    CYAML_FIELD_MAPPING("fault", OPT, struct mdfh_line_config, fault, fault_fields),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t line_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct mdfh_line_config, line_fields),
};

static const cyaml_schema_field_t channel_fields[] = {
    CYAML_FIELD_STRING_PTR("name", PTR, struct mdfh_handler_channel_config, name, 1, 63),
    CYAML_FIELD_STRING_PTR(
	"protocol", CYAML_FLAG_POINTER, struct mdfh_handler_channel_config, protocol, 1, 63),
    CYAML_FIELD_STRING_PTR("session", PTR, struct mdfh_handler_channel_config, session, 1, 63),
    CYAML_FIELD_STRING_PTR(
	"session_id", PTR, struct mdfh_handler_channel_config, session_id, 1, 16),
    CYAML_FIELD_UINT("first_sequence", OPT, struct mdfh_handler_channel_config, first_sequence),
    SWITCH("join_newest", struct mdfh_handler_channel_config, join_newest),
    CYAML_FIELD_ENUM("thread", OPT, struct mdfh_handler_channel_config, thread, thread_names,
	COUNT(thread_names)),
    CYAML_FIELD_UINT("weight", OPT, struct mdfh_handler_channel_config, weight),
    CYAML_FIELD_UINT("window_us", OPT, struct mdfh_handler_channel_config, window_us),
    CYAML_FIELD_UINT("window_packets", OPT, struct mdfh_handler_channel_config, window_packets),
    CYAML_FIELD_SEQUENCE("lines", CYAML_FLAG_POINTER, struct mdfh_handler_channel_config, lines,
	&line_schema, 1, MDFH_LINES_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t channel_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct mdfh_handler_channel_config, channel_fields),
};

static const cyaml_schema_value_t core_schema = {
    CYAML_VALUE_UINT(CYAML_FLAG_DEFAULT, uint32_t),
};

static const cyaml_schema_field_t thread_fields[] = {
    CYAML_FIELD_STRING_PTR("name", PTR, struct mdfh_handler_thread_config, name, 1, 15),
    CYAML_FIELD_UINT_PTR("core", PTR, struct mdfh_handler_thread_config, core),
    CYAML_FIELD_ENUM(
	"idle", STRICT, struct mdfh_handler_thread_config, idle, idle_names, COUNT(idle_names)),
    CYAML_FIELD_UINT("poll_timeout_us", OPT, struct mdfh_handler_thread_config, poll_timeout_us),
    CYAML_FIELD_UINT("workers", OPT, struct mdfh_handler_thread_config, workers),
    CYAML_FIELD_ENUM(
	"shard", STRICT, struct mdfh_handler_thread_config, shard, shard_names, COUNT(shard_names)),
    CYAML_FIELD_SEQUENCE("worker_cores", PTR, struct mdfh_handler_thread_config, worker_cores,
	&core_schema, 0, MDFH_HANDLER_WORKERS_MAX),
    CYAML_FIELD_UINT("worker_ring", OPT, struct mdfh_handler_thread_config, worker_ring_bytes),
    CYAML_FIELD_ENUM("worker_full", STRICT, struct mdfh_handler_thread_config, worker_full,
	worker_full_names, COUNT(worker_full_names)),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t thread_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct mdfh_handler_thread_config, thread_fields),
};

static const cyaml_schema_field_t consumer_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct mdfh_consumer_config, name, 1, 63),
    CYAML_FIELD_ENUM(
	"kind", STRICT, struct mdfh_consumer_config, kind, kind_names, COUNT(kind_names)),
    CYAML_FIELD_ENUM(
	"full", STRICT, struct mdfh_consumer_config, full, full_names, COUNT(full_names)),
    CYAML_FIELD_UINT("thread", OPT, struct mdfh_consumer_config, thread),
    CYAML_FIELD_UINT_PTR("worker", PTR, struct mdfh_consumer_config, worker),
    CYAML_FIELD_UINT("slots", OPT, struct mdfh_consumer_config, slots),
    CYAML_FIELD_UINT("slot_size", OPT, struct mdfh_consumer_config, slot_size),
    CYAML_FIELD_STRING_PTR("shared_name", PTR, struct mdfh_consumer_config, shared_name, 1, 63),
    CYAML_FIELD_SEQUENCE(
	"symbols", PTR, struct mdfh_consumer_config, symbols, &string_schema, 0, 65536),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t consumer_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct mdfh_consumer_config, consumer_fields),
};

static const cyaml_schema_field_t handler_fields[] = {
    CYAML_FIELD_STRING_PTR("name", PTR, struct mdfh_handler_config, name, 1, 63),
    CYAML_FIELD_STRING_PTR("session_date", PTR, struct mdfh_handler_config, session_date, 1, 16),
    CYAML_FIELD_SEQUENCE("threads", PTR, struct mdfh_handler_config, threads, &thread_schema, 0,
	MDFH_HANDLER_THREADS_MAX),
    CYAML_FIELD_SEQUENCE("channels", CYAML_FLAG_POINTER, struct mdfh_handler_config, channels,
	&channel_schema, 1, MDFH_HANDLER_CHANNELS_MAX),
    CYAML_FIELD_SEQUENCE("consumers", PTR, struct mdfh_handler_config, consumers, &consumer_schema,
	0, MDFH_HANDLER_CONSUMERS_MAX),
    CYAML_FIELD_SEQUENCE(
	"symbols", PTR, struct mdfh_handler_config, symbols, &string_schema, 0, 65536),
    CYAML_FIELD_UINT("instruments_max", OPT, struct mdfh_handler_config, instruments_max),
    CYAML_FIELD_UINT("orders_max", OPT, struct mdfh_handler_config, orders_max),
    CYAML_FIELD_UINT("levels_max", OPT, struct mdfh_handler_config, levels_max),
    CYAML_FIELD_UINT("trades_max", OPT, struct mdfh_handler_config, trades_max),
    SWITCH("hugepages", struct mdfh_handler_config, hugepages),
    SWITCH("books", struct mdfh_handler_config, books),
    SWITCH("sound_at_start", struct mdfh_handler_config, sound_at_start),
    CYAML_FIELD_UINT("depth_levels", OPT, struct mdfh_handler_config, depth_levels),
    CYAML_FIELD_STRING_PTR(
	"instruments_shared_name", PTR, struct mdfh_handler_config, instruments_shared_name, 1, 63),
    CYAML_FIELD_STRING_PTR(
	"depth_shared_name", PTR, struct mdfh_handler_config, depth_shared_name, 1, 63),
    CYAML_FIELD_UINT("latency_sample", OPT, struct mdfh_handler_config, latency_sample),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t handler_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct mdfh_handler_config, handler_fields),
};

/* Public ------------------------------------------------------------------------------------ */

int mdfh_handler_config_parse(
    const char *text, size_t length, const char *name, struct mdfh_handler_config **config)
{
	void *loaded;
	int err = mdfh_yaml_parse(
	    text, length, name, "mdfh.yaml(5) lists the keys", &handler_schema, &loaded);

	*config = loaded;
	if (!err)
		(*config)->size = sizeof(**config);
	return err;
}

int mdfh_handler_config_load(const char *path, struct mdfh_handler_config **config)
{
	char *text;
	size_t length;
	int err;

	*config = NULL;
	err = mdfh_yaml_read(path, "configuration", &text, &length);
	if (err)
		return err;
	err = mdfh_handler_config_parse(text, length, path, config);
	free(text);
	return err;
}

void mdfh_handler_config_free(struct mdfh_handler_config *config)
{
	mdfh_yaml_free(&handler_schema, config);
}
