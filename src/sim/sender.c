/* sender.c - the open loop.
 *
 * Packets are made just before they are due, into a ring of slots. Line A sends the newest of
 * them, line B the same bytes skew_ns later; a slot is free again when every line is past it. */
#include "sim/sender.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "mdfh/error.h"

#define END_EVERY_NS 100000000u
#define PROGRESS_NS  1000000000u
#define MEMORY_MAX   (1ull << 30)

struct slot {
	struct mdfh_publisher_packet packet;
	uint64_t due_ns[MDFH_SENDER_LINES_MAX];
	uint8_t dropped; /* bit per line */
	uint8_t silent;  /* likewise: dropped, and no heartbeats either */
};

struct line {
	uint64_t sent; /* packets, counted from the first */
	uint64_t skew_ns;
	uint64_t last_ns; /* anything at all */
	uint64_t next;    /* sequence number after its last packet */
	uint64_t due_ns;  /* of the newest packet made */
	uint64_t random;
	int is_silent; /* since the packet before sent */
};

struct mdfh_sender {
	struct mdfh_sender_config config;
	struct mdfh_sender_stats stats;
	struct line lines[MDFH_SENDER_LINES_MAX];
	struct slot *slots;
	uint8_t *bytes;
	uint64_t slots_count; /* power of two */
	uint64_t made;        /* packets */
	int is_complete;      /* the publisher has no more */
	uint64_t progress_ns;
	atomic_int is_stopped; /* set by mdfh_sender_stop, read by the loop: a flag and no more, so
	                        * relaxed is enough */
};

/* Setup --------------------------------------------------------------------- */

static int parse_number(const char **text, uint64_t *value)
{
	char *end;

	if (**text < '0' || **text > '9')
		return 0;
	errno = 0;
	*value = strtoull(*text, &end, 10);
	*text = end;
	return errno == 0;
}

int mdfh_drop_parse(const char *text, struct mdfh_drop *drop)
{
	const char *at = text;

	memset(drop, 0, sizeof(*drop));
	for (;;) {
		uint64_t first;
		uint64_t last;

		if (!parse_number(&at, &first))
			goto bad;
		last = first;
		if (!strncmp(at, "ppm", 3)) {
			if (first > 1000000)
				goto bad;
			drop->ppm = (uint32_t)first;
			at += 3;
		} else {
			if (*at == '-') {
				at++;
				if (!parse_number(&at, &last))
					goto bad;
			}
			if (last < first || drop->ranges_count == MDFH_SENDER_RANGES_MAX)
				goto bad;
			drop->ranges[drop->ranges_count].first = first;
			drop->ranges[drop->ranges_count++].last = last;
		}
		if (!*at)
			return 0;
		if (*at != ',')
			goto bad;
		at++;
	}
bad:
	return mdfh_error(-EINVAL,
	    "drop: '%s' is wrong near '%s'; it must be like 1000ppm (0 to 1000000), or sequence "
	    "numbers like 5000-5010,7000 (at most %d), or both with a comma between",
	    text, at, MDFH_SENDER_RANGES_MAX);
}

static uint64_t longest_skew_ns(const struct mdfh_sender_config *config)
{
	uint64_t longest = config->skew_ns;

	for (uint32_t i = 0; i < config->faults_count; i++) {
		if (config->faults[i].skew_ns > longest)
			longest = config->faults[i].skew_ns;
	}
	return longest;
}

/* Slots for what line B may still have to send, and a batch more. */
static int take_slots(struct mdfh_sender *sender)
{
	uint64_t skew_ns = longest_skew_ns(&sender->config);
	double waiting = (double)skew_ns / 1e9 * sender->config.packets_per_s_max + 1;
	uint64_t wanted = waiting > 1e9 ? 1000000000u : (uint64_t)waiting;

	sender->slots_count = 64;
	while (sender->slots_count < wanted + 2ull * MDFH_SENDER_BATCH)
		sender->slots_count *= 2;
	if (sender->slots_count * sender->config.payload_max > MEMORY_MAX)
		return mdfh_error(-EINVAL,
		    "sender: line B %llu us behind line A needs %llu packet buffers at this rate; "
		    "ask for less skew or a lower rate",
		    (unsigned long long)skew_ns / 1000, (unsigned long long)sender->slots_count);
	sender->slots = calloc(sender->slots_count, sizeof(*sender->slots));
	sender->bytes = malloc(sender->slots_count * sender->config.payload_max);
	if (!sender->slots || !sender->bytes)
		return mdfh_error(-ENOMEM, "sender: %llu packet buffers",
		    (unsigned long long)sender->slots_count);
	memset(sender->bytes, 0, sender->slots_count * sender->config.payload_max);
	for (uint64_t i = 0; i < sender->slots_count; i++)
		sender->slots[i].packet.data = sender->bytes + i * sender->config.payload_max;
	return 0;
}

int mdfh_sender_create(const struct mdfh_sender_config *config, struct mdfh_sender **out)
{
	struct mdfh_sender *sender;
	int err;

	*out = NULL;
	if (config->lines < 1 || config->lines > MDFH_SENDER_LINES_MAX)
		return mdfh_error(-EINVAL, "sender: lines is %u; it must be 1 or 2", config->lines);
	if (longest_skew_ns(config) > 1000000000)
		return mdfh_error(-EINVAL, "sender: line B is %llu us behind; at most 1000000 us",
		    (unsigned long long)longest_skew_ns(config) / 1000);
	if (config->faults_count > MDFH_SENDER_FAULTS_MAX)
		return mdfh_error(-EINVAL, "sender: %u faults of lines; at most %d",
		    config->faults_count, MDFH_SENDER_FAULTS_MAX);
	sender = calloc(1, sizeof(*sender));
	if (!sender)
		return mdfh_error(-ENOMEM, "sender: %zu bytes", sizeof(*sender));
	sender->config = *config;
	atomic_init(&sender->is_stopped, 0);
	for (unsigned i = 0; i < config->lines; i++) {
		/* Silence before the start is broken by a heartbeat at once. */
		sender->lines[i] = (struct line){
		    .skew_ns = i ? config->skew_ns : 0, .next = 1, .random = config->seed + i};
		err = mdfh_histogram_create(
		    3600ull * 1000000000, &sender->stats.lines[i].lateness_ns);
		if (err)
			goto fail;
	}
	err = take_slots(sender);
	if (err)
		goto fail;
	*out = sender;
	return 0;

fail:
	mdfh_sender_destroy(sender);
	return err;
}

void mdfh_sender_destroy(struct mdfh_sender *sender)
{
	if (!sender)
		return;
	for (unsigned i = 0; i < MDFH_SENDER_LINES_MAX; i++)
		mdfh_histogram_destroy(sender->stats.lines[i].lateness_ns);
	free(sender->slots);
	free(sender->bytes);
	free(sender);
}

void mdfh_sender_stop(struct mdfh_sender *sender)
{
	atomic_store_explicit(&sender->is_stopped, 1, memory_order_relaxed);
}

const struct mdfh_sender_stats *mdfh_sender_stats(const struct mdfh_sender *sender)
{
	return &sender->stats;
}

/* Data path ------------------------------------------------------------------ */

static struct slot *slot_at(const struct mdfh_sender *sender, uint64_t packet)
{
	return &sender->slots[packet & (sender->slots_count - 1)];
}

static uint64_t due_at(const struct mdfh_sender *sender, unsigned line, uint64_t packet)
{
	return slot_at(sender, packet)->due_ns[line];
}

static int is_dropped(
    struct line *line, const struct mdfh_drop *drop, const struct mdfh_publisher_packet *packet)
{
	if (drop->ppm && mdfh_random_below(&line->random, 1000000) < drop->ppm)
		return 1;
	for (uint32_t i = 0; i < drop->ranges_count; i++) {
		if (packet->first <= drop->ranges[i].last &&
		    packet->first + packet->messages > drop->ranges[i].first)
			return 1;
	}
	return 0;
}

/* When a line sends a new packet, and whether it does. */
static void place_on_line(struct mdfh_sender *sender, struct slot *slot, unsigned number)
{
	struct line *line = &sender->lines[number];
	uint64_t skew_ns = line->skew_ns;
	uint8_t bit = (uint8_t)(1u << number);

	if (is_dropped(line, &sender->config.drop[number], &slot->packet))
		slot->dropped |= bit;
	for (uint32_t i = 0; slot->packet.faults >> i && i < sender->config.faults_count; i++) {
		const struct mdfh_line_fault *fault = &sender->config.faults[i];

		if (fault->line != number || !(slot->packet.faults >> i & 1))
			continue;
		if (fault->drop_ppm && mdfh_random_below(&line->random, 1000000) < fault->drop_ppm)
			slot->dropped |= bit;
		if (fault->is_silent)
			slot->silent |= bit;
		if (fault->skew_ns)
			skew_ns = fault->skew_ns;
	}
	slot->dropped |= slot->silent;
	/* Where a skew shrinks, nothing overtakes. */
	if (line->due_ns < sender->config.start_ns + slot->packet.due_ns + skew_ns)
		line->due_ns = sender->config.start_ns + slot->packet.due_ns + skew_ns;
	slot->due_ns[number] = line->due_ns;
}

/* Make packets until one is not due yet, so that the loop knows what it waits for. */
static int make_packets(struct mdfh_sender *sender, uint64_t now_ns)
{
	const struct line *last = &sender->lines[sender->config.lines - 1];

	while (!sender->is_complete && sender->made - last->sent < sender->slots_count &&
	       (sender->made == sender->lines[0].sent ||
		   due_at(sender, 0, sender->made - 1) <= now_ns)) {
		struct slot *slot = slot_at(sender, sender->made);
		uint8_t every_line = (uint8_t)((1u << sender->config.lines) - 1);
		int rc = mdfh_publisher_next(sender->config.publisher, &slot->packet);

		if (rc < 0)
			return rc;
		if (!rc) {
			sender->is_complete = 1;
			break;
		}
		slot->dropped = 0;
		slot->silent = 0;
		for (unsigned i = 0; i < sender->config.lines; i++)
			place_on_line(sender, slot, i);
		if (slot->dropped == every_line)
			sender->stats.lost_on_both += slot->packet.messages;
		sender->made++;
	}
	return 0;
}

static void count_packet(
    struct mdfh_sender *sender, unsigned number, const struct slot *slot, uint64_t late_ns)
{
	struct mdfh_sender_line *stats = &sender->stats.lines[number];
	const struct mdfh_publisher_packet *packet = &slot->packet;

	if (slot->dropped & 1u << number) {
		stats->dropped_packets++;
		stats->dropped_messages += packet->messages;
	} else {
		stats->packets++;
		stats->messages += packet->messages;
		stats->bytes += packet->length;
		if (late_ns > MDFH_SENDER_LATE_NS)
			stats->late_messages += packet->messages;
		mdfh_histogram_record_n(stats->lateness_ns, late_ns, packet->messages);
	}
	if (sender->stats.last_due_ns < slot->due_ns[number])
		sender->stats.last_due_ns = slot->due_ns[number];
	if (!number) {
		sender->stats.messages += packet->messages;
		sender->stats.packets++;
		if (sender->config.publish)
			sender->config.publish(sender->config.publish_context, packet);
	}
}

/* Send what is due on a line, at most a batch. Lateness is taken after the call, when the last
 * packet was handed over. */
static int send_due(struct mdfh_sender *sender, unsigned number, uint64_t end, uint64_t now_ns)
{
	const struct mdfh_sender_output *transport = &sender->config.transport;
	struct line *line = &sender->lines[number];
	struct mdfh_packet packets[MDFH_SENDER_BATCH];
	uint64_t to = line->sent;
	int n = 0;
	int taken = 0;

	while (to < end && n < MDFH_SENDER_BATCH && due_at(sender, number, to) <= now_ns) {
		const struct slot *slot = slot_at(sender, to++);

		if (slot->dropped & 1u << number)
			continue;
		packets[n++] = (struct mdfh_packet){.data = slot->packet.data,
		    .length = slot->packet.length,
		    .flow = (uint16_t)number};
	}
	if (to == line->sent)
		return 0;
	if (n) {
		taken = transport->send(transport->context, number, packets, n);
		if (taken < 0)
			return taken;
		sender->stats.lines[number].refused_calls += taken < n;
		now_ns = transport->now_ns(transport->context);
	}
	for (; line->sent < to; line->sent++) {
		const struct slot *slot = slot_at(sender, line->sent);
		int is_left_out = slot->dropped & 1u << number;

		if (!is_left_out && !taken--)
			break;
		count_packet(sender, number, slot, now_ns - due_at(sender, number, line->sent));
		line->next = slot->packet.first + slot->packet.messages;
		line->is_silent = slot->silent >> number & 1;
		if (!is_left_out)
			line->last_ns = now_ns;
	}
	return 0;
}

static int send_notice(struct mdfh_sender *sender, unsigned number, int is_end, uint64_t now_ns)
{
	const struct mdfh_sender_output *transport = &sender->config.transport;
	struct line *line = &sender->lines[number];
	uint8_t bytes[64];
	struct mdfh_packet packet = {.data = bytes, .flow = (uint16_t)number};
	int rc;

	packet.length = mdfh_publisher_notice(sender->config.publisher, line->next, is_end, bytes);
	rc = transport->send(transport->context, number, &packet, 1);
	if (rc < 0)
		return rc;
	line->last_ns = now_ns;
	if (rc && is_end)
		sender->stats.lines[number].ends++;
	else if (rc)
		sender->stats.lines[number].heartbeats++;
	return 0;
}

static int send_heartbeats(struct mdfh_sender *sender, uint64_t now_ns)
{
	for (unsigned i = 0; sender->config.heartbeat_ns && i < sender->config.lines; i++) {
		int rc;

		if (sender->lines[i].is_silent ||
		    now_ns < sender->lines[i].last_ns + sender->config.heartbeat_ns)
			continue;
		rc = send_notice(sender, i, 0, now_ns);
		if (rc)
			return rc;
	}
	return 0;
}

/* The earliest time at which anything has to be done; 0 = now. */
static uint64_t next_time(const struct mdfh_sender *sender)
{
	const struct line *last = &sender->lines[sender->config.lines - 1];
	uint64_t next = UINT64_MAX;

	/* A packet has to be made before its time is known; where line B holds every slot, its time
	 * is the next. */
	if (sender->made == sender->lines[0].sent && !sender->is_complete &&
	    sender->made - last->sent < sender->slots_count)
		return 0;
	if (sender->is_complete && last->sent == sender->made)
		return 0;
	for (unsigned i = 0; i < sender->config.lines; i++) {
		const struct line *line = &sender->lines[i];
		uint64_t end = i ? sender->lines[0].sent : sender->made;

		if (line->sent < end && due_at(sender, i, line->sent) < next)
			next = due_at(sender, i, line->sent);
		if (sender->config.heartbeat_ns && !line->is_silent &&
		    line->last_ns + sender->config.heartbeat_ns < next)
			next = line->last_ns + sender->config.heartbeat_ns;
	}
	return next;
}

static void report_progress(struct mdfh_sender *sender, uint64_t now_ns)
{
	if (!sender->config.progress || now_ns < sender->progress_ns)
		return;
	sender->progress_ns = now_ns + PROGRESS_NS;
	sender->config.progress(sender->config.progress_context, sender->stats.messages);
}

static int send_messages(struct mdfh_sender *sender)
{
	const struct mdfh_sender_output *transport = &sender->config.transport;
	const struct line *last = &sender->lines[sender->config.lines - 1];

	for (;;) {
		uint64_t now_ns = transport->now_ns(transport->context);
		uint64_t next_ns;
		int rc = 0;

		if (atomic_load_explicit(&sender->is_stopped, memory_order_relaxed) &&
		    !sender->stats.is_interrupted) {
			sender->stats.is_interrupted =
			    !sender->is_complete || sender->lines[0].sent < sender->made;
			sender->is_complete = 1;
			sender->made = sender->lines[0].sent;
		}
		rc = make_packets(sender, now_ns);
		if (!rc && sender->is_complete && last->sent == sender->made)
			return 0;
		for (unsigned i = 0; !rc && i < sender->config.lines; i++)
			rc = send_due(sender, i, i ? sender->lines[0].sent : sender->made, now_ns);
		if (!rc)
			rc = send_heartbeats(sender, now_ns);
		if (rc)
			return rc;
		report_progress(sender, now_ns);
		next_ns = next_time(sender);
		if (next_ns > now_ns)
			transport->wait_until(transport->context, next_ns);
	}
}

int mdfh_sender_run(struct mdfh_sender *sender)
{
	const struct mdfh_sender_output *transport = &sender->config.transport;
	uint64_t now_ns;
	uint64_t end_ns;
	int rc = 0;

	sender->stats.first_ns = sender->config.start_ns;
	rc = send_messages(sender);
	now_ns = transport->now_ns(transport->context);
	sender->stats.last_ns = now_ns;
	end_ns = now_ns + sender->config.linger_ns;
	while (!rc) { /* a stop ends this too, unless it is what led here */
		for (unsigned i = 0; !rc && i < sender->config.lines; i++)
			rc = sender->lines[i].is_silent ? 0 : send_notice(sender, i, 1, now_ns);
		if (rc || now_ns + END_EVERY_NS > end_ns)
			break;
		if (!sender->stats.is_interrupted &&
		    atomic_load_explicit(&sender->is_stopped, memory_order_relaxed))
			break;
		transport->wait_until(transport->context, now_ns + END_EVERY_NS);
		now_ns = transport->now_ns(transport->context);
	}
	return rc;
}
