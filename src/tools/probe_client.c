/* probe_client.c - a receive thread, a ring, and a consumer that accounts. */
#include "tools/probe_client.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "mdfh/clock.h"
#include "mdfh/cpu.h"
#include "mdfh/error.h"
#include "mdfh/ring.h"
#include "net/net.h"
#include "tools/probe_message.h"

enum {
	SNAPSHOT_NS = 200000000, /* between two looks at the port's counters */
	LINGER_NS = 300000000,   /* for stragglers, once nothing more is sent */
	LIVE_NS = 1000000000,
	PUSH_WAIT_NS = 1000000,
	POP_WAIT_NS = 1000000,
	TAKE_MAX = 256,
};

enum kind { MESSAGE, END, DAMAGED, MALFORMED, FOREIGN, INCOMPLETE, CONNECTED, DISCONNECTED };

struct record {
	uint64_t sequence;
	uint64_t due_ns;
	uint64_t sent_ns;
	uint64_t receive_ns; /* 0 = the backend does not say */
	uint64_t app_ns;
	uint32_t length;
	uint32_t kind;
	uint64_t reserved[2];
};

static_assert(sizeof(struct record) == MDFH_CACHE_LINE, "one slot, one line");

/* What the receive thread knows of the port: copied under the lock, a few times a second. */
struct snapshot {
	pthread_mutex_t lock;
	struct mdfh_bypass_stats port;
	struct mdfh_fault_counts fault;
};

struct probe_client {
	struct probe_client_config config;
	struct probe_client_result result; /* the consumer's */
	struct mdfh_bypass *port;          /* the receive thread's, once it runs */
	struct mdfh_bypass_capabilities capabilities;
	uint16_t local_port;
	char backend[64];
	char copy_reason[128];
	char warning[512];
	struct mdfh_ring *ring;
	struct snapshot snapshot;
	int kernel_drops_fd;
	uint64_t kernel_drops_before;
	uint64_t warm_ns; /* due times from here on count for latency */
	pthread_t thread;
	int has_thread;
	atomic_int stop;  /* the consumer stores: a flag and no more, relaxed */
	atomic_int ended; /* the thread stores last, with release: its error and text are there */
	/* Receive calls that brought nothing; what was before is in the ring once it is seen. */
	atomic_uint_fast64_t empty;
	int error;
	char text[512];
	sem_t started; /* posted once, after start_error */
	int start_error;

	/* The receive thread's own. */
	uint64_t run;
	uint64_t ring_waits;
	uint64_t cpu_ns;
	uint64_t snapshot_ns;
	struct probe_stream stream;
};

const char *probe_stage_name(enum probe_stage stage)
{
	static const char *const names[] = {"total", "send", "wire", "receive", "ring"};

	return names[stage];
}

/* Receive thread ----------------------------------------------------------------- */

static void hand_over(struct probe_client *client, const struct record *record)
{
	if (mdfh_ring_push(client->ring, record))
		return;
	client->ring_waits++;
	while (!mdfh_ring_push_wait(client->ring, record, PUSH_WAIT_NS))
		if (atomic_load_explicit(&client->stop, memory_order_relaxed))
			return;
}

static void hand_over_kind(struct probe_client *client, enum kind kind, uint64_t app_ns)
{
	const struct record record = {.kind = kind, .app_ns = app_ns};

	hand_over(client, &record);
}

static void take_message(struct probe_client *client, const struct probe_message *message,
    enum probe_verdict verdict, const struct mdfh_packet *packet, uint64_t app_ns)
{
	struct record record = {.sequence = message->sequence,
	    .due_ns = message->due_ns,
	    .sent_ns = message->sent_ns,
	    .receive_ns = packet->receive_ns,
	    .app_ns = app_ns,
	    .length = message->length};

	if (verdict == PROBE_DAMAGED) {
		record.kind = DAMAGED;
	} else {
		if (!client->run)
			client->run = message->run;
		if (message->run != client->run)
			record.kind = FOREIGN;
		else
			record.kind = message->flags & PROBE_END ? END : MESSAGE;
	}
	hand_over(client, &record);
}

static void take_datagram(
    struct probe_client *client, const struct mdfh_packet *packet, uint64_t app_ns)
{
	const uint8_t *at = packet->data;
	uint32_t left = packet->length;

	while (left) {
		struct probe_message message;
		enum probe_verdict verdict = probe_message_read(at, left, &message);

		if (verdict == PROBE_SHORT || verdict == PROBE_FOREIGN) {
			hand_over_kind(client, MALFORMED, app_ns);
			return;
		}
		take_message(client, &message, verdict, packet, app_ns);
		at += message.length;
		left -= message.length;
	}
}

static void take_stream(
    struct probe_client *client, const struct mdfh_packet *packet, uint64_t app_ns)
{
	const uint8_t *at = packet->data;
	uint32_t left = packet->length;
	struct probe_message message;
	enum probe_verdict verdict;

	while (probe_stream_next(&client->stream, &at, &left, &message, &verdict)) {
		if (verdict == PROBE_FOREIGN)
			hand_over_kind(client, MALFORMED, app_ns);
		else
			take_message(client, &message, verdict, packet, app_ns);
	}
}

static void take_connection(struct probe_client *client, int is_new, uint64_t app_ns)
{
	if (client->stream.partial_length)
		hand_over_kind(client, INCOMPLETE, app_ns);
	client->stream.partial_length = 0;
	client->stream.is_out_of_step = 0;
	hand_over_kind(client, is_new ? CONNECTED : DISCONNECTED, app_ns);
}

static void take_packets(
    struct probe_client *client, const struct mdfh_packet *packets, int n, uint64_t app_ns)
{
	for (int i = 0; i < n; i++) {
		const struct mdfh_packet *packet = &packets[i];

		if (packet->flags & (MDFH_PACKET_CONNECTED | MDFH_PACKET_DISCONNECTED))
			take_connection(client, packet->flags & MDFH_PACKET_CONNECTED, app_ns);
		else if (packet->flags & MDFH_PACKET_STREAM)
			take_stream(client, packet, app_ns);
		else
			take_datagram(client, packet, app_ns);
	}
}

static void take_snapshot(struct probe_client *client, uint64_t now_ns)
{
	client->snapshot_ns = now_ns + SNAPSHOT_NS;
	pthread_mutex_lock(&client->snapshot.lock);
	mdfh_bypass_stats(client->port, &client->snapshot.port);
	if (!strcmp(mdfh_bypass_name(client->port), "fault"))
		mdfh_fault_counts(client->port, &client->snapshot.fault);
	pthread_mutex_unlock(&client->snapshot.lock);
}

static int receive(struct probe_client *client)
{
	int (*recv)(struct mdfh_bypass *, struct mdfh_packet *, int) =
	    client->config.spin ? mdfh_bypass_recv : mdfh_bypass_recv_wait;
	struct mdfh_packet packets[MDFH_BYPASS_BATCH_MAX];

	while (!atomic_load_explicit(&client->stop, memory_order_relaxed)) {
		int n = recv(client->port, packets, MDFH_BYPASS_BATCH_MAX);
		uint64_t now_ns = mdfh_clock_now_ns();

		if (n < 0)
			return n == -ENODATA ? 0 : n;
		if (n) {
			take_packets(client, packets, n, now_ns);
			mdfh_bypass_release(client->port, packets, n);
		} else {
			atomic_fetch_add_explicit(&client->empty, 1, memory_order_release);
		}
		if (now_ns >= client->snapshot_ns)
			take_snapshot(client, now_ns);
	}
	return 0;
}

static void *run_thread(void *argument)
{
	struct probe_client *client = argument;
	uint32_t core = client->config.bypass.cpu_core;
	struct timespec cpu;
	int error = core ? mdfh_cpu_pin(core - 1) : 0;

	if (error)
		snprintf(client->text, sizeof(client->text), "%s", mdfh_error_text());
	client->start_error = error;
	sem_post(&client->started);
	if (!error) {
		error = receive(client);
		if (error)
			snprintf(client->text, sizeof(client->text), "%s", mdfh_error_text());
		client->error = error;
		take_snapshot(client, 0);
	}
	if (!clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu))
		client->cpu_ns = (uint64_t)cpu.tv_sec * 1000000000 + (uint64_t)cpu.tv_nsec;
	atomic_store_explicit(&client->ended, 1, memory_order_release);
	return NULL;
}

/* Open and close -------------------------------------------------------------------- */

/* What is shown after the port has gone. */
static void keep_texts(struct probe_client *client)
{
	const struct mdfh_bypass_capabilities *c = mdfh_bypass_capabilities(client->port);
	const char *name = mdfh_bypass_name(client->port);

	client->capabilities = *c;
	snprintf(client->copy_reason, sizeof(client->copy_reason), "%s", c->copy_reason);
	snprintf(client->warning, sizeof(client->warning), "%s", c->warning ? c->warning : "");
	client->capabilities.copy_reason = client->copy_reason;
	client->capabilities.warning = client->warning;
	if (!strcmp(name, "fault"))
		name = client->config.bypass.lower->backend;
	if (!strcmp(name, "asio"))
		name = "socket";
	snprintf(client->backend, sizeof(client->backend), "%s", name);
}

static int start_thread(struct probe_client *client)
{
	int rc = -pthread_create(&client->thread, NULL, run_thread, client);

	if (rc)
		return mdfh_error_errno(rc, "client: no thread");
	client->has_thread = 1;
	while (sem_wait(&client->started) && errno == EINTR)
		;
	/* A thread that could not be pinned ends at once. */
	return client->start_error ? mdfh_error(client->start_error, "%s", client->text) : 0;
}

int probe_client_open(const struct probe_client_config *config, struct probe_client **out)
{
	const struct mdfh_ring_config ring = {
	    .size = sizeof(ring), .slots = config->ring_slots, .slot_size = sizeof(struct record)};
	struct probe_client *client = calloc(1, sizeof(*client));
	int err;

	*out = NULL;
	if (!client)
		return mdfh_error(-ENOMEM, "client: %zu bytes", sizeof(*client));
	client->config = *config;
	client->run = config->run;
	client->kernel_drops_fd = mdfh_kernel_drops_open();
	pthread_mutex_init(&client->snapshot.lock, NULL);
	sem_init(&client->started, 0, 0);
	err = probe_tally_create(&client->result.tally);
	for (unsigned s = 0; !err && s < PROBE_STAGES; s++)
		err = mdfh_histogram_create(60000000000, &client->result.latency_ns[s]);
	if (!err)
		err = mdfh_ring_create(&ring, &client->ring);
	if (!err)
		err = mdfh_bypass_open(&config->bypass, &client->port);
	if (!err) {
		client->local_port = mdfh_bypass_local_port(client->port, 0);
		keep_texts(client);
		mdfh_kernel_drops_read(client->kernel_drops_fd, &client->kernel_drops_before);
		err = start_thread(client);
	}
	if (err) {
		probe_client_close(client);
		return err;
	}
	*out = client;
	return 0;
}

static void stop_thread(struct probe_client *client)
{
	atomic_store_explicit(&client->stop, 1, memory_order_relaxed);
	if (client->has_thread)
		pthread_join(client->thread, NULL);
	client->has_thread = 0;
	mdfh_bypass_close(client->port);
	client->port = NULL;
}

void probe_client_close(struct probe_client *client)
{
	if (!client)
		return;
	stop_thread(client);
	mdfh_ring_destroy(client->ring);
	for (unsigned s = 0; s < PROBE_STAGES; s++)
		mdfh_histogram_destroy(client->result.latency_ns[s]);
	probe_tally_destroy(&client->result.tally);
	if (client->kernel_drops_fd >= 0)
		close(client->kernel_drops_fd);
	pthread_mutex_destroy(&client->snapshot.lock);
	sem_destroy(&client->started);
	free(client);
}

uint16_t probe_client_port(const struct probe_client *client)
{
	return client->local_port;
}

const char *probe_client_backend(const struct probe_client *client)
{
	return client->backend;
}

const struct mdfh_bypass_capabilities *probe_client_capabilities(const struct probe_client *client)
{
	return &client->capabilities;
}

const struct probe_client_result *probe_client_result(const struct probe_client *client)
{
	return &client->result;
}

/* Consumer ----------------------------------------------------------------------------- */

static void record_stage(
    struct probe_client_result *result, enum probe_stage stage, uint64_t from_ns, uint64_t to_ns)
{
	if (to_ns < from_ns) {
		result->negative++;
		to_ns = from_ns;
	}
	mdfh_histogram_record(result->latency_ns[stage], to_ns - from_ns);
}

static void take_latency(struct probe_client *client, const struct record *r, uint64_t now_ns)
{
	struct probe_client_result *result = &client->result;
	uint64_t arrived_ns = r->app_ns;

	if (r->due_ns < client->warm_ns)
		return;
	record_stage(result, PROBE_STAGE_TOTAL, r->due_ns, now_ns);
	record_stage(result, PROBE_STAGE_SEND, r->due_ns, r->sent_ns);
	if (r->receive_ns) {
		arrived_ns = r->receive_ns;
		record_stage(result, PROBE_STAGE_RECEIVE, arrived_ns, r->app_ns);
	}
	record_stage(result, PROBE_STAGE_WIRE, r->sent_ns, arrived_ns);
	record_stage(result, PROBE_STAGE_RING, r->app_ns, now_ns);
}

static void take_record(struct probe_client *client, const struct record *r, uint64_t now_ns)
{
	struct probe_client_result *result = &client->result;

	switch ((enum kind)r->kind) {
	case MESSAGE:
		if (!result->first_ns) {
			result->first_ns = now_ns;
			client->warm_ns =
			    client->config.warmup_ns ? r->due_ns + client->config.warmup_ns : 0;
		}
		result->last_ns = now_ns;
		if (!probe_tally_add(&result->tally, r->sequence))
			break;
		result->message_bytes += r->length;
		take_latency(client, r, now_ns);
		break;
	case END:
		result->end_sequence = r->sequence;
		break;
	case DAMAGED:
		result->damaged++;
		break;
	case MALFORMED:
		result->malformed++;
		break;
	case FOREIGN:
		result->foreign++;
		break;
	case INCOMPLETE:
		result->incomplete++;
		break;
	case CONNECTED:
		result->connects++;
		break;
	case DISCONNECTED:
		result->disconnects++;
		break;
	}
}

/* Whatever is there. Returns how many records it took. */
static uint32_t take_records(struct probe_client *client)
{
	const void *slots;
	uint32_t n = mdfh_ring_peek(client->ring, TAKE_MAX, &slots);
	const struct record *records = slots;
	struct record single;
	uint64_t now_ns;

	if (!n && !client->config.spin) {
		if (!mdfh_ring_pop_wait(client->ring, &single, POP_WAIT_NS))
			return 0;
		take_record(client, &single, mdfh_clock_now_ns());
		return 1;
	}
	now_ns = mdfh_clock_now_ns();
	for (uint32_t i = 0; i < n; i++)
		take_record(client, &records[i], now_ns);
	mdfh_ring_release(client->ring, n);
	return n;
}

static void read_snapshot(struct probe_client *client)
{
	pthread_mutex_lock(&client->snapshot.lock);
	client->result.port = client->snapshot.port;
	client->result.fault = client->snapshot.fault;
	pthread_mutex_unlock(&client->snapshot.lock);
}

static int is_set(const atomic_int *flag)
{
	return flag && atomic_load_explicit(flag, memory_order_acquire);
}

/* Since when nothing has come. */
struct quiet {
	uint64_t since_ns;
	uint64_t empty; /* the receive thread's count by then */
	int is_sender_done;
};

static void reset_quiet(const struct probe_client *client, struct quiet *quiet, uint64_t now_ns)
{
	quiet->since_ns = now_ns;
	quiet->empty = atomic_load_explicit(&client->empty, memory_order_acquire);
}

/* Nothing has come for so long, and nothing was there: on a busy machine the receive thread may not
 * have run. Of two empty calls the second has begun in that time. */
static int is_quiet(
    const struct probe_client *client, const struct quiet *quiet, uint64_t now_ns, uint64_t for_ns)
{
	return now_ns >= quiet->since_ns + for_ns &&
	       atomic_load_explicit(&client->empty, memory_order_acquire) >= quiet->empty + 2;
}

/* 1 = go on, 0 = the run is complete or over, -ETIMEDOUT = it never began. */
static int look_at_time(const struct probe_client *client, const struct probe_client_limits *limits,
    const struct quiet *quiet, uint64_t start_ns, uint64_t now_ns)
{
	const struct probe_client_result *result = &client->result;

	if (result->end_sequence &&
	    (!probe_tally_missing(&result->tally, result->end_sequence - 1) ||
		is_quiet(client, quiet, now_ns, LINGER_NS)))
		return 0;
	if (quiet->is_sender_done && is_quiet(client, quiet, now_ns, LINGER_NS))
		return 0;
	if (!result->first_ns)
		return now_ns < start_ns + limits->first_wait_ns ? 1 : -ETIMEDOUT;
	if (is_quiet(client, quiet, now_ns, limits->silence_ns))
		return 0;
	return !limits->duration_ns || now_ns < result->first_ns + limits->duration_ns;
}

static int consume(struct probe_client *client, const struct probe_client_limits *limits)
{
	uint64_t start_ns = mdfh_clock_now_ns();
	uint64_t live_ns = start_ns + LIVE_NS;
	struct quiet quiet = {0};

	reset_quiet(client, &quiet, start_ns);
	for (;;) {
		/* Asked before the ring is looked at: what the thread wrote before is seen. */
		int ended = atomic_load_explicit(&client->ended, memory_order_acquire);
		uint32_t n = take_records(client);
		uint64_t now_ns = mdfh_clock_now_ns();
		int sender_done;
		int rc;

		if (now_ns >= live_ns) {
			live_ns = now_ns + LIVE_NS;
			mdfh_clock_recalibrate();
			read_snapshot(client);
			if (limits->live)
				limits->live(limits->live_context);
		}
		if (is_set(limits->stop))
			return -EINTR;
		if (!n && ended)
			return client->error ? mdfh_error(client->error, "%s", client->text) : 0;
		sender_done = is_set(limits->sender_done);
		if (n || sender_done != quiet.is_sender_done)
			reset_quiet(client, &quiet, now_ns);
		quiet.is_sender_done = sender_done;
		rc = look_at_time(client, limits, &quiet, start_ns, now_ns);
		if (rc <= 0)
			return rc;
	}
}

int probe_client_run(struct probe_client *client, const struct probe_client_limits *limits)
{
	struct probe_client_result *result = &client->result;
	uint64_t drops = client->kernel_drops_before;
	struct timespec cpu;
	int rc;

	/* Sleeps end when they should. */
	prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul);
	rc = consume(client, limits);
	stop_thread(client);
	while (take_records(client))
		;
	read_snapshot(client);
	mdfh_kernel_drops_read(client->kernel_drops_fd, &drops);
	result->kernel_drops = drops - client->kernel_drops_before;
	result->ring_waits = client->ring_waits;
	result->ring_high_water = mdfh_ring_high_water(client->ring);
	result->receiver_cpu_ns = client->cpu_ns;
	if (!clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu))
		result->consumer_cpu_ns = (uint64_t)cpu.tv_sec * 1000000000 + (uint64_t)cpu.tv_nsec;
	return rc;
}
