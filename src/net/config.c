/* config.c - what a port's configuration may be, and what its zeros mean.
 *
 * Numbers stand in one table with their range and default, so that check and defaults cannot
 * disagree. A structure of another size is brought to the size of this build first: an older
 * caller's missing fields read as zeros, a newer caller's further fields must be zeros, because
 * this build would not do what they ask. */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mdfh/error.h"
#include "net/net.h"

enum {
	CONFIG_SIZE_MIN = offsetof(struct mdfh_bypass_config, interface),
	CONFIG_SIZE_MAX = 4096, /* more is not a size but garbage */
	LOWER_MAX = 4,          /* ports stacked on each other; ends a loop of them, too */
};

struct number {
	const char *name;
	size_t offset;
	uint32_t min, max, fallback;
};

#define NUMBER(field, min, max, fallback)                                                          \
	{                                                                                          \
#field, offsetof(struct mdfh_bypass_config, field), min, max, fallback             \
	}
/* Fields of 32 bits. Zero is always allowed and becomes the last column. */
static const struct number numbers[] = {
    NUMBER(rx_ring_size, 64, 1048576, 4096),
    NUMBER(batch_size, 1, MDFH_BYPASS_BATCH_MAX, 64),
    NUMBER(frame_size, 256, 65535, 2048),
    NUMBER(hold_max, 1, 1048576, 0),
    NUMBER(zero_copy_threshold, 1, 65535, 0),
    NUMBER(busy_poll_us, 1, 100000, 0),
    NUMBER(poll_timeout_us, 1, 60000000, 1000),
    NUMBER(multicast_ttl, 1, 255, 1),
    NUMBER(fault.loss_ppm, 1, 1000000, 0),
    NUMBER(fault.duplicate_ppm, 1, 1000000, 0),
    NUMBER(fault.reorder_ppm, 1, 1000000, 0),
    NUMBER(fault.damage_ppm, 1, 1000000, 0),
    NUMBER(fault.truncate_ppm, 1, 1000000, 0),
    NUMBER(fault.delay_ppm, 1, 1000000, 0),
    NUMBER(fault.burst_length, 1, 1000000, 1),
    NUMBER(fault.reorder_distance, 1, 4096, 3),
};

/* Three-way switches. MDFH_DEFAULT in the last column leaves the choice to the backend. */
static const struct {
	const char *name;
	size_t offset;
	enum mdfh_switch fallback;
} switches[] = {
    {"enable_numa_awareness", offsetof(struct mdfh_bypass_config, enable_numa_awareness), MDFH_ON},
    {"enable_zero_copy", offsetof(struct mdfh_bypass_config, enable_zero_copy), MDFH_ON},
    {"require_zero_copy", offsetof(struct mdfh_bypass_config, require_zero_copy), MDFH_OFF},
    {"hugepages", offsetof(struct mdfh_bypass_config, hugepages), MDFH_DEFAULT},
    {"multicast_loop", offsetof(struct mdfh_bypass_config, multicast_loop), MDFH_ON},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Addresses ------------------------------------------------------------ */

int mdfh_address_parse(const char *text, uint16_t port, struct mdfh_address *address)
{
	struct in_addr v4;
	struct in6_addr v6;
	int is_v6 = inet_pton(AF_INET6, text, &v6) == 1;

	memset(address, 0, sizeof(*address));
	if (is_v6 && !IN6_IS_ADDR_V4MAPPED(&v6)) {
		address->v6.sin6_family = AF_INET6;
		address->v6.sin6_port = htons(port);
		address->v6.sin6_addr = v6;
		address->length = sizeof(address->v6);
		return 1;
	}
	/* One host has one form: ::ffff:10.0.0.1 is 10.0.0.1, as in frames. */
	if (is_v6)
		memcpy(&v4, &v6.s6_addr[12], sizeof(v4));
	else if (inet_pton(AF_INET, text, &v4) != 1)
		return 0;
	address->v4.sin_family = AF_INET;
	address->v4.sin_port = htons(port);
	address->v4.sin_addr = v4;
	address->length = sizeof(address->v4);
	return 1;
}

void mdfh_address_text(const struct mdfh_address *address, char *text, size_t size)
{
	const void *host = address->any.sa_family == AF_INET ? (const void *)&address->v4.sin_addr
							     : (const void *)&address->v6.sin6_addr;

	if (!inet_ntop(address->any.sa_family, host, text, (socklen_t)size) && size)
		text[0] = '\0';
}

int mdfh_address_is_multicast(const struct mdfh_address *address)
{
	if (address->any.sa_family == AF_INET)
		return IN_MULTICAST(ntohl(address->v4.sin_addr.s_addr));
	return IN6_IS_ADDR_MULTICAST(&address->v6.sin6_addr) ? 1 : 0;
}

int mdfh_address_is_unspecified(const struct mdfh_address *address)
{
	if (address->any.sa_family == AF_INET)
		return address->v4.sin_addr.s_addr == htonl(INADDR_ANY);
	return IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr) ? 1 : 0;
}

int mdfh_address_same_host(const struct mdfh_address *a, const struct mdfh_address *b)
{
	if (a->any.sa_family != b->any.sa_family)
		return 0;
	if (a->any.sa_family == AF_INET)
		return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
	return IN6_ARE_ADDR_EQUAL(&a->v6.sin6_addr, &b->v6.sin6_addr) ? 1 : 0;
}

/* Flows ---------------------------------------------------------------- */

/* 1 if every packet of flow b is one of flow a. NULL and 0 stand for "any"; a NULL group is any
 * unicast address. The texts are numeric. */
static int flow_covers(const struct mdfh_flow *a, const struct mdfh_flow *b)
{
	struct mdfh_address x, y;

	if (a->port != b->port || (a->vlan && a->vlan != b->vlan))
		return 0;
	if (b->group && mdfh_address_parse(b->group, 0, &y)) {
		if (!a->group && mdfh_address_is_multicast(&y))
			return 0;
		if (a->group && mdfh_address_parse(a->group, 0, &x) &&
		    !mdfh_address_same_host(&x, &y))
			return 0;
	} else if (a->group) {
		return 0;
	}
	if (!a->source)
		return 1;
	return b->source && mdfh_address_parse(a->source, 0, &x) &&
	       mdfh_address_parse(b->source, 0, &y) && mdfh_address_same_host(&x, &y);
}

/* prefix and suffix make the field's name: "flows[3]." + "group", or "" + "host". */
static int check_flow(
    const struct mdfh_bypass_config *config, const struct mdfh_flow *flow, const char *name)
{
	const char *dot = *name ? "." : "";
	const char *group_name = *name ? "group" : "host";
	struct mdfh_address group = {0}, source;
	int multicast = 0;

	if (flow->group) {
		if (!mdfh_address_parse(flow->group, flow->port, &group))
			return mdfh_error(-EINVAL,
			    "config: %s%s%s is '%.64s'; it must be a numeric IPv4 or IPv6 address",
			    name, dot, group_name, flow->group);
		if (mdfh_address_is_unspecified(&group))
			return mdfh_error(-EINVAL,
			    "config: %s%s%s is %s; give a group or an address, or NULL for any "
			    "unicast address",
			    name, dot, group_name, flow->group);
		multicast = mdfh_address_is_multicast(&group);
	} else if (config->direction == MDFH_DIRECTION_SEND) {
		return mdfh_error(-EINVAL,
		    "config: %s%s%s is not set; a port that only sends needs a destination", name,
		    dot, group_name);
	}
	if (!flow->port &&
	    (multicast || config->direction == MDFH_DIRECTION_SEND || config->flow_count > 1))
		return mdfh_error(-EINVAL,
		    "config: %s%sport is 0; it must be from 1 to 65535 (0 = any free port is for "
		    "one unicast flow that receives)",
		    name, dot);
	if (flow->source) {
		if (!mdfh_address_parse(flow->source, 0, &source))
			return mdfh_error(-EINVAL,
			    "config: %s%ssource is '%.64s'; it must be a numeric IPv4 or IPv6 "
			    "address",
			    name, dot, flow->source);
		if (!flow->group)
			return mdfh_error(-EINVAL,
			    "config: %s%ssource is %s and group is not set; a source needs a group "
			    "or an address",
			    name, dot, flow->source);
		if (source.any.sa_family != group.any.sa_family)
			return mdfh_error(-EINVAL,
			    "config: %s%ssource is %s and group is %s; both must be IPv4 or both "
			    "IPv6",
			    name, dot, flow->source, flow->group);
		if (mdfh_address_is_multicast(&source) || mdfh_address_is_unspecified(&source))
			return mdfh_error(-EINVAL,
			    "config: %s%ssource is %s; it must be a unicast address", name, dot,
			    flow->source);
	}
	if (flow->vlan > 4094)
		return mdfh_error(-EINVAL,
		    "config: %s%svlan is %u; it must be from 1 to 4094 (0 = any)", name, dot,
		    flow->vlan);
	return 0;
}

/* A stream is one connection to one server. */
static int check_stream(const struct mdfh_bypass_config *config)
{
	const struct mdfh_flow named = {.group = config->host, .port = config->port};
	const struct mdfh_flow *server = config->flow_count ? config->flows : &named;
	const char *group_name = config->flow_count ? "flows[0].group" : "host";
	struct mdfh_address address;

	if (!config->flow_count && !config->host && !config->port)
		return 0; /* for the backend to say */
	if (config->flow_count > 1)
		return mdfh_error(-EINVAL,
		    "config: flow_count is %u and transport is TCP; a connection is one flow: open "
		    "a port for each",
		    config->flow_count);
	if (!server->group)
		return mdfh_error(-EINVAL,
		    "config: %s is not set and transport is TCP; give the server's address",
		    group_name);
	if (mdfh_address_parse(server->group, 0, &address) && mdfh_address_is_multicast(&address))
		return mdfh_error(-EINVAL,
		    "config: %s is %s, a multicast group, and transport is TCP; give the server's "
		    "address",
		    group_name, server->group);
	if (!server->port)
		return mdfh_error(-EINVAL,
		    "config: %s is 0 and transport is TCP; give the server's port, from 1 to 65535",
		    config->flow_count ? "flows[0].port" : "port");
	if (server->source)
		return mdfh_error(-EINVAL,
		    "config: flows[0].source is %s and transport is TCP, where the server is the "
		    "source; leave it out",
		    server->source);
	return 0;
}

static int check_flows(const struct mdfh_bypass_config *config)
{
	if (config->flow_count > MDFH_BYPASS_FLOWS_MAX)
		return mdfh_error(-EINVAL, "config: flow_count is %u; it must be from 0 to %d",
		    config->flow_count, MDFH_BYPASS_FLOWS_MAX);
	if (config->flow_count && !config->flows)
		return mdfh_error(-EINVAL,
		    "config: flow_count is %u and flows is not set; set both", config->flow_count);
	if (config->flows && !config->flow_count)
		return mdfh_error(-EINVAL,
		    "config: flows is set and flow_count is 0; it must be from 1 to %d",
		    MDFH_BYPASS_FLOWS_MAX);
	if (config->flow_count && (config->host || config->port))
		return mdfh_error(-EINVAL,
		    "config: %s is set beside flows; host and port are for one flow without a "
		    "flows array",
		    config->host ? "host" : "port");
	if (config->host || config->port) {
		const struct mdfh_flow flow = {.group = config->host, .port = config->port};

		return check_flow(config, &flow, "");
	}

	for (uint32_t i = 0; i < config->flow_count; i++) {
		char name[16] = "flows[";
		size_t at = strlen(name);
		int rc;

		if (i > 9)
			name[at++] = (char)('0' + i / 10);
		name[at++] = (char)('0' + i % 10);
		name[at] = ']';
		rc = check_flow(config, &config->flows[i], name);
		if (rc)
			return rc;
		/* A flow may be sent to through several entries; nothing is matched then. */
		if (config->direction == MDFH_DIRECTION_SEND)
			continue;
		for (uint32_t k = 0; k < i; k++)
			if (flow_covers(&config->flows[k], &config->flows[i]))
				return mdfh_error(-EINVAL,
				    "config: flows[%u] (%s port %u) can never match: flows[%u] "
				    "takes all of its packets; remove it or put it first",
				    i, config->flows[i].group ? config->flows[i].group : "any",
				    config->flows[i].port, k);
	}
	return 0;
}

/* Options of a backend ------------------------------------------------- */

/* key=value{,key=value}; keys of letters, digits and '_'. */
static int check_options(const char *options)
{
	const char *at = options;

	if (strlen(options) > 4095)
		return mdfh_error(-EINVAL,
		    "config: backend_options has %zu characters; at most 4095 are allowed",
		    strlen(options));
	while (*at || at != options) {
		size_t key = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					"0123456789_");
		size_t value;

		if (!key || at[key] != '=')
			return mdfh_error(-EINVAL,
			    "config: backend_options is '%.200s'; it must be key=value{,key=value}",
			    options);
		value = strcspn(at + key + 1, ",");
		at += key + 1 + value;
		if (!*at)
			break;
		at++;
	}
	return 0;
}

static const char *option_find(const char *options, const char *key, size_t *length)
{
	size_t want = strlen(key);

	while (options && *options) {
		const char *end = strchrnul(options, ',');
		const char *equals = strchr(options, '=');

		if (equals && equals < end && (size_t)(equals - options) == want &&
		    !memcmp(options, key, want)) {
			*length = (size_t)(end - equals - 1);
			return equals + 1;
		}
		options = *end ? end + 1 : end;
	}
	return NULL;
}

int mdfh_option_get(const char *options, const char *key, char *text, size_t size)
{
	size_t length;
	const char *value = option_find(options, key, &length);

	if (!value)
		return 0;
	if (length > size - 1)
		length = size - 1;
	memcpy(text, value, length);
	text[length] = '\0';
	return 1;
}

int mdfh_option_number(
    const char *options, const char *key, uint64_t min, uint64_t max, uint64_t *value)
{
	char text[24] = "";
	size_t length;
	const char *at = option_find(options, key, &length);
	uint64_t number = 0;
	int bad = 0;

	if (!at)
		return 0;
	mdfh_option_get(options, key, text, sizeof(text));
	bad = !length || length > 19; /* 19 digits fit into 64 bits */
	for (const char *c = text; *c && !bad; c++) {
		bad = *c < '0' || *c > '9';
		number = number * 10 + (uint64_t)(*c - '0');
	}
	if (bad || number < min || number > max)
		return mdfh_error(-EINVAL,
		    "config: backend_options has %s=%s; it must be from %llu to %llu", key, text,
		    (unsigned long long)min, (unsigned long long)max);
	*value = number;
	return 0;
}

int mdfh_option_word(
    const char *options, const char *backend, const char *key, const char *const *words, int *value)
{
	char word[32];
	char known[96] = "";

	if (!mdfh_option_get(options, key, word, sizeof(word)))
		return 0;
	for (int i = 0; words[i]; i++) {
		size_t length = strlen(known);

		if (!strcmp(words[i], word)) {
			*value = i;
			return 0;
		}
		snprintf(known + length, sizeof(known) - length, "%s%s", i ? ", " : "", words[i]);
	}
	return mdfh_error(
	    -EINVAL, "%s: %s is '%s'; it must be one of %s", backend, key, word, known);
}

int mdfh_option_known(const char *options, const char *backend, const char *const *keys)
{
	while (options && *options) {
		const char *equals = strchrnul(options, '=');
		size_t length = (size_t)(equals - options);
		int known = 0;

		for (const char *const *key = keys; *key && !known; key++)
			known = strlen(*key) == length && !memcmp(*key, options, length);
		if (!known)
			return mdfh_error(-EINVAL,
			    "config: backend_options has the key '%.*s', which the backend %s does "
			    "not know",
			    (int)(length > 64 ? 64 : length), options, backend);
		options = strchrnul(equals, ',');
		options += *options == ',';
	}
	return 0;
}

/* The whole ------------------------------------------------------------ */

/* Bring a structure of the caller's size to ours. */
static int take(const struct mdfh_bypass_config *config, struct mdfh_bypass_config *own)
{
	size_t size;

	if (!config)
		return mdfh_error(-EINVAL, "config: NULL; give a struct mdfh_bypass_config");
	size = config->size;
	if (size < CONFIG_SIZE_MIN || size > CONFIG_SIZE_MAX || size % _Alignof(uint32_t))
		return mdfh_error(-EINVAL,
		    "config: size is %zu; it must be sizeof(struct mdfh_bypass_config), %zu here",
		    size, sizeof(*own));
	memset(own, 0, sizeof(*own));
	memcpy(own, config, size < sizeof(*own) ? size : sizeof(*own));
	own->size = sizeof(*own);
	for (size_t i = sizeof(*own); i < size; i++)
		if (((const unsigned char *)config)[i])
			return mdfh_error(-ENOTSUP,
			    "config: size is %zu and byte %zu is set; this build knows %zu bytes, "
			    "so a newer mdfh is needed for that field",
			    size, i, sizeof(*own));
	return 0;
}

static int check_enum(const char *name, unsigned value, unsigned max, const char *meaning)
{
	if (value <= max)
		return 0;
	return mdfh_error(
	    -EINVAL, "config: %s is %u; it must be from 0 to %u (%s)", name, value, max, meaning);
}

static int check_numbers(const struct mdfh_bypass_config *config)
{
	for (size_t i = 0; i < COUNT(numbers); i++) {
		const struct number *n = &numbers[i];
		uint32_t value;

		memcpy(&value, (const char *)config + n->offset, sizeof(value));
		if (value && (value < n->min || value > n->max))
			return mdfh_error(-EINVAL,
			    "config: %s is %u; it must be from %u to %u (0 = default)", n->name,
			    value, n->min, n->max);
	}
	for (size_t i = 0; i < COUNT(switches); i++) {
		unsigned value;

		memcpy(&value, (const char *)config + switches[i].offset, sizeof(value));
		if (check_enum(switches[i].name, value, MDFH_OFF, "default, on, off"))
			return -EINVAL;
	}
	return 0;
}

static int check_text(const char *name, const char *text, size_t max)
{
	if (!text || (*text && strlen(text) <= max))
		return 0;
	return mdfh_error(-EINVAL, "config: %s has %zu characters; it must have from 1 to %zu",
	    name, strlen(text), max);
}

static int check_own(const struct mdfh_bypass_config *config);

static int check(const struct mdfh_bypass_config *config, struct mdfh_bypass_config *own, int depth)
{
	struct mdfh_bypass_config lower;
	int rc;

	if (depth > LOWER_MAX)
		return mdfh_error(-EINVAL,
		    "config: lower is nested more than %d deep; does it point to itself?",
		    LOWER_MAX);
	rc = take(config, own);
	if (rc)
		return rc;
	rc = check_own(own);
	if (rc || !own->lower)
		return rc;
	rc = check(own->lower, &lower, depth + 1);
	if (rc)
		return rc;
	if (lower.flow_count && lower.flow_count < MDFH_BYPASS_FLOWS_MAX &&
	    own->fault.flow_mask >> lower.flow_count)
		return mdfh_error(-EINVAL,
		    "config: fault.flow_mask is 0x%llx; the lower port has the flows 0 to %u",
		    (unsigned long long)own->fault.flow_mask, lower.flow_count - 1);
	return 0;
}

static int check_own(const struct mdfh_bypass_config *config)
{
	long cores = sysconf(_SC_NPROCESSORS_CONF);
	uint32_t ring, batch;
	int rc;

	rc = check_text("backend", config->backend, 4095);
	if (!rc)
		rc = check_text("interface", config->interface, 255);
	if (!rc)
		rc = check_text("file", config->file, 4095);
	if (!rc)
		rc = check_numbers(config);
	if (!rc)
		rc = check_enum(
		    "direction", config->direction, MDFH_DIRECTION_SEND, "default, receive, send");
	if (!rc)
		rc = check_enum(
		    "transport", config->transport, MDFH_TRANSPORT_TCP, "default, UDP, TCP");
	if (!rc)
		rc = check_enum("timestamps", config->timestamps, MDFH_TIMESTAMPS_HARDWARE,
		    "default, off, software, hardware");
	if (!rc)
		rc = check_enum("trailer", config->trailer, MDFH_TRAILER_ARISTA_7280,
		    "none, Metamako, Exablaze, Arista 7280");
	if (!rc && config->trailer && config->timestamps == MDFH_TIMESTAMPS_OFF)
		rc = mdfh_error(-EINVAL,
		    "config: trailer is set and timestamps are off; leave one of them out");
	if (!rc)
		rc = check_flows(config);
	if (!rc && config->transport == MDFH_TRANSPORT_TCP)
		rc = check_stream(config);
	if (!rc && config->backend_options)
		rc = check_options(config->backend_options);
	if (rc)
		return rc;

	ring = config->rx_ring_size ? config->rx_ring_size : 4096;
	batch = config->batch_size ? config->batch_size : 64;
	if (ring & (ring - 1))
		return mdfh_error(-EINVAL,
		    "config: rx_ring_size is %u; it must be a power of two from 64 to 1048576",
		    ring);
	if (batch > ring)
		return mdfh_error(-EINVAL,
		    "config: batch_size is %u; it must be from 1 to rx_ring_size, %u", batch, ring);
	if (config->cpu_core && cores > 0 && config->cpu_core > (uint32_t)cores)
		return mdfh_error(-EINVAL,
		    "config: cpu_core is MDFH_CORE(%u); this machine has the cores 0 to %ld",
		    config->cpu_core - 1, cores - 1);
	if (config->require_zero_copy == MDFH_ON && config->enable_zero_copy == MDFH_OFF)
		return mdfh_error(
		    -EINVAL, "config: require_zero_copy is on and enable_zero_copy is off");
	if (config->receive_buffer_bytes && (config->receive_buffer_bytes < 4096 ||
						config->receive_buffer_bytes > UINT32_C(1) << 30))
		return mdfh_error(-EINVAL,
		    "config: receive_buffer_bytes is %llu; it must be from 4096 to 1073741824 "
		    "(0 = default)",
		    (unsigned long long)config->receive_buffer_bytes);
	if (!isfinite(config->speed) || config->speed < 0 || config->speed > 1e6)
		return mdfh_error(-EINVAL,
		    "config: speed is %g; it must be from 0 (flat out) to 1000000 times as "
		    "recorded",
		    config->speed);
	if (config->fault.delay_ns > UINT64_C(60000000000))
		return mdfh_error(-EINVAL,
		    "config: fault.delay_ns is %llu; it must be from 1 to 60000000000 (0 = "
		    "default)",
		    (unsigned long long)config->fault.delay_ns);
	return 0;
}

int mdfh_bypass_config_check(const struct mdfh_bypass_config *config)
{
	struct mdfh_bypass_config own;

	return check(config, &own, 0);
}

int mdfh_bypass_config_defaults(
    const struct mdfh_bypass_config *config, struct mdfh_bypass_config *filled)
{
	struct mdfh_bypass_config own;
	int rc = check(config, &own, 0);

	if (rc)
		return rc;
	for (size_t i = 0; i < COUNT(numbers); i++) {
		char *at = (char *)&own + numbers[i].offset;
		uint32_t value;

		memcpy(&value, at, sizeof(value));
		if (!value)
			memcpy(at, &numbers[i].fallback, sizeof(value));
	}
	for (size_t i = 0; i < COUNT(switches); i++) {
		char *at = (char *)&own + switches[i].offset;
		enum mdfh_switch value;

		memcpy(&value, at, sizeof(value));
		if (value == MDFH_DEFAULT)
			memcpy(at, &switches[i].fallback, sizeof(value));
	}
	if (!own.backend)
		own.backend = "socket";
	if (!own.transport)
		own.transport = MDFH_TRANSPORT_UDP;
	if (!own.receive_buffer_bytes)
		own.receive_buffer_bytes = UINT64_C(16) << 20;
	if (!own.fault.delay_ns)
		own.fault.delay_ns = 1000000;
	*filled = own;
	return 0;
}
