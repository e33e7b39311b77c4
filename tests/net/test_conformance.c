/* test_conformance.c - the suite over every built-in backend and way to feed it; and over a backend
 * that is wrong on purpose, which the suite must say. */
#include <errno.h>

#include <sys/eventfd.h>

#include "mdfh/backend.h"
#include "mdfh/frame.h"
#include "net/conform.h"
#include "net/conformance_trial.h"
#include "net/net.h"

static void socket_conforms(void **state)
{
	(void)state;
	assert_int_equal(conform_medium("socket", NULL, MDFH_CONFORMANCE_UDP4, NULL), 22);
	assert_int_equal(conform_medium("socket", NULL, MDFH_CONFORMANCE_UDP6, NULL), 21);
	assert_int_equal(conform_medium("socket", NULL, MDFH_CONFORMANCE_MULTICAST4, "lo"), 22);
	assert_int_equal(conform_medium("socket", NULL, MDFH_CONFORMANCE_MULTICAST6, "lo"), 21);
	assert_int_equal(conform_medium("socket", "gro=on", MDFH_CONFORMANCE_UDP4, NULL), 22);
	assert_int_equal(conform_medium("socket", "gro=on", MDFH_CONFORMANCE_UDP6, NULL), 21);
	assert_int_equal(conform_medium("socket", "gro=on", MDFH_CONFORMANCE_MULTICAST4, "lo"), 22);
}

static void streams_conform(void **state)
{
	(void)state;
	assert_int_equal(conform_medium("socket", NULL, MDFH_CONFORMANCE_TCP4, NULL), 28);
	assert_int_equal(conform_medium("socket", NULL, MDFH_CONFORMANCE_TCP6, "lo"), 28);
}

static void pcap_conforms(void **state)
{
	(void)state;
	assert_int_equal(conform_medium("pcap", NULL, MDFH_CONFORMANCE_DEFAULT, NULL), 24);
}

static void null_conforms(void **state)
{
	(void)state;
	assert_int_equal(conform_medium("null", NULL, MDFH_CONFORMANCE_DEFAULT, NULL), 9);
}

static void fault_without_faults_conforms(void **state)
{
	const struct mdfh_bypass_ops *ops;
	void *library;

	(void)state;
	if (mdfh_registry_find("fault", &ops, &library))
		skip();
	assert_int_equal(conform_medium("fault", NULL, MDFH_CONFORMANCE_DEFAULT, NULL), 22);
}

static void refuses_bad_feeds(void **state)
{
	struct mdfh_conformance_config config = {.size = 1};
	struct mdfh_conformance_feed *feed;

	(void)state;
	assert_int_equal(mdfh_conformance_feed_open(&config, &feed), -EINVAL);
	config.size = sizeof(config);
	config.medium = MDFH_CONFORMANCE_FRAMES6 + 1;
	assert_int_equal(mdfh_conformance_feed_open(&config, &feed), -EINVAL);
	assert_error("conformance: medium is 11");
	config.medium = MDFH_CONFORMANCE_MULTICAST4;
	assert_int_equal(mdfh_conformance_feed_open(&config, &feed), -EINVAL);
	assert_error("name one");
	config.interface = "nosuch0";
	assert_int_equal(mdfh_conformance_feed_open(&config, &feed), -EINVAL);
	assert_error("must be a loopback device");
	mdfh_conformance_feed_close(NULL);
}

/* Wrong backends ------------------------------------------------------------- */

static struct {
	struct mdfh_conformance_feed *good;
	int (*recv)(
	    struct mdfh_bypass *port, struct mdfh_packet *packets, int n); /* the real one */
	int fault;
	int count;
} wrong;

enum {
	LOSES,
	REPEATS,
	DAMAGES,
	MISNUMBERS,
	SHORTENS,
	NO_TIME,
	MISCOUNTS,
	NO_SOURCES,
	NO_SOURCES_OF_FRAMES,
	NO_VLANS,
	MISCOUNTS_FILTERED,
	MISCOUNTS_A_REASON,
	FAULTS
};

static int wrong_recv(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	int got = wrong.recv(port, packets, n);

	/* The 3rd packet of the port, and with it this batch. */
	for (int i = 0; i < got; i++) {
		if (wrong.count++ != 3)
			continue;
		switch (wrong.fault) {
		case LOSES:
			port->release(port, &packets[i], 1);
			memmove(&packets[i], &packets[i + 1],
			    (size_t)(got - i - 1) * sizeof(packets[0]));
			got--;
			break;
		case REPEATS:
			if (i)
				packets[i] = packets[i - 1];
			break;
		case DAMAGES:
			((uint8_t *)(uintptr_t)packets[i].data)[packets[i].length - 1] ^= 1;
			break;
		case MISNUMBERS:
			packets[i].flow ^= 1;
			break;
		case SHORTENS:
			packets[i].length--;
			break;
		case NO_TIME:
			packets[i].receive_ns = 0;
			break;
		case MISCOUNTS_FILTERED:
			port->stats.rx_filtered++;
			break;
		case MISCOUNTS_A_REASON:
			port->stats.malformed[MDFH_FRAME_NOT_UDP]--;
			port->stats.malformed[MDFH_FRAME_CUT]++;
			break;
		default:
			port->stats.rx_packets++;
		}
	}
	return got;
}

static int wrong_open(void *context, const struct mdfh_bypass_config *wanted, int with,
    const struct mdfh_conformance_datagram *datagrams, int n, struct mdfh_bypass **port)
{
	int rc;

	(void)context;
	if (wrong.fault == NO_SOURCES ||
	    (wrong.fault == NO_SOURCES_OF_FRAMES && n && datagrams[0].frame))
		with &= ~MDFH_CONFORMANCE_WITH_SOURCES;
	if (wrong.fault == NO_VLANS)
		with &= ~MDFH_CONFORMANCE_WITH_VLANS;
	rc = wrong.good->open(wrong.good->context, wanted, with, datagrams, n, port);
	wrong.count = 0;
	if (!rc) {
		wrong.recv = (*port)->recv;
		(*port)->recv = wrong_recv;
	}
	return rc;
}

static void finds_what_is_wrong(void **state)
{
	static const char *const found_by[FAULTS] = {
	    [LOSES] = "packets",
	    [REPEATS] = "packets",
	    [DAMAGES] = "packets",
	    [MISNUMBERS] = "flows",
	    [SHORTENS] = "packets",
	    [NO_TIME] = "stamps",
	    [MISCOUNTS] = "counters",
	    [NO_SOURCES] = "sources",
	    [NO_SOURCES_OF_FRAMES] = "mixed",
	    [NO_VLANS] = "vlans",
	    [MISCOUNTS_FILTERED] = "mixed",
	    [MISCOUNTS_A_REASON] = "unicast",
	};
	const struct mdfh_conformance_config config = {.size = sizeof(config), .backend = "pcap"};
	struct mdfh_conformance_result results[MDFH_CONFORMANCE_CHECKS];
	struct mdfh_conformance_feed feed;

	(void)state;
	assert_ok(mdfh_conformance_feed_open(&config, &wrong.good));
	feed = *wrong.good;
	feed.open = wrong_open;
	for (wrong.fault = 0; wrong.fault < FAULTS; wrong.fault++) {
		int n = mdfh_conformance_run(&feed, results, MDFH_CONFORMANCE_CHECKS);
		int found = 0;

		for (int i = 0; i < n; i++)
			found |= results[i].verdict == MDFH_CONFORMANCE_FAILED &&
				 !strcmp(results[i].name, found_by[wrong.fault]);
		if (!found)
			fail_msg("fault %d is not found by %s", wrong.fault, found_by[wrong.fault]);
	}
	mdfh_conformance_feed_close(wrong.good);
}

/* Wrong streams --------------------------------------------------------------- */

enum stream_fault {
	NO_FAULT,
	BYTE_LOST,
	BYTE_REPEATED,
	BYTES_SWAPPED,
	BYTE_DAMAGED,
	PACKET_LOST,
	PACKETS_SWAPPED,
	NOT_FLAGGED,
	EMPTY_PACKET,
	NO_BEGINNING,
	NO_END,
	END_TWICE,
	END_TOO_SOON,
	TIME_MISSING,
	PACKETS_MISCOUNTED,
	BYTES_MISCOUNTED,
	CONNECTS_MISCOUNTED,
	RELEASED_TOO_SOON,
	ALWAYS_AWAKE,
	NEVER_AWAKE,
	SENT_TWICE,
	NOT_SENT,
	SENT_IN_PART,
	SENT_LATER,
	DEAF,
};

static struct {
	struct mdfh_conformance_feed *good;
	int (*recv)(struct mdfh_bypass *port, struct mdfh_packet *packets, int n);
	int (*send)(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n);
	enum stream_fault fault;
	int packets; /* of bytes, so far */
	int marks;
	int descriptor; /* instead of the port's */
	uint8_t kept[65536];
	uint32_t kept_length;
} stream;

static void drop(struct mdfh_bypass *port, struct mdfh_packet *packets, int i, int *got)
{
	port->release(port, &packets[i], 1);
	memmove(&packets[i], &packets[i + 1], (size_t)(*got - i - 1) * sizeof(packets[0]));
	--*got;
}

/* What is done to the 2nd packet of bytes and those after it. */
static void spoil_bytes(struct mdfh_bypass *port, struct mdfh_packet *packets, int i, int *got)
{
	struct mdfh_packet *p = &packets[i];
	uint8_t *data = (uint8_t *)(uintptr_t)p->data;

	switch (stream.fault) {
	case BYTE_LOST:
		p->length--;
		return;
	case BYTE_REPEATED:
		memmove(data + 1, data, p->length - 1);
		return;
	case BYTES_SWAPPED:
		if (p->length > 1) {
			uint8_t first = data[0];

			data[0] = data[p->length - 1];
			data[p->length - 1] = first;
		}
		return;
	case BYTE_DAMAGED:
		data[p->length / 2] ^= 1;
		return;
	case PACKET_LOST:
		drop(port, packets, i, got);
		return;
	case PACKETS_SWAPPED:
		if (i && packets[i - 1].length) {
			struct mdfh_packet first = packets[i - 1];

			packets[i - 1] = *p;
			*p = first;
		}
		return;
	case EMPTY_PACKET:
		p->length = 0;
		return;
	case TIME_MISSING:
		p->receive_ns = 0;
		return;
	case BYTES_MISCOUNTED:
		port->stats.rx_bytes++;
		return;
	case RELEASED_TOO_SOON:
		port->release(port, p, 1);
		return;
	default:
		return;
	}
}

static void spoil_mark(struct mdfh_bypass *port, struct mdfh_packet *packets, int i, int *got)
{
	int begins = packets[i].flags & MDFH_PACKET_CONNECTED;

	stream.marks++;
	if ((stream.fault == NO_BEGINNING && begins) || (stream.fault == NO_END && !begins)) {
		drop(port, packets, i, got);
	} else if (stream.fault == END_TWICE && stream.marks == 3) {
		packets[i].flags ^= MDFH_PACKET_CONNECTED | MDFH_PACKET_DISCONNECTED;
	} else if (stream.fault == CONNECTS_MISCOUNTED && !begins) {
		port->stats.connects++;
	}
}

static int spoilt_recv(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	int got = stream.recv(port, packets, n);

	if (stream.fault == DEAF && stream.marks > 1)
		return 0;
	for (int i = 0; i < got; i++) {
		unsigned flags = packets[i].flags;

		if (stream.fault == PACKETS_MISCOUNTED)
			port->stats.rx_packets++;
		if (stream.fault == NOT_FLAGGED)
			packets[i].flags &= (uint16_t)~MDFH_PACKET_STREAM;
		if (flags & (MDFH_PACKET_CONNECTED | MDFH_PACKET_DISCONNECTED))
			spoil_mark(port, packets, i, &got);
		else if (++stream.packets > 1)
			spoil_bytes(port, packets, i, &got);
	}
	/* The end comes before the last bytes. */
	if (stream.fault == END_TOO_SOON && got && stream.marks == 3 && packets[0].length)
		packets[0] = (struct mdfh_packet){.data = packets[0].data,
		    .cookie = packets[0].cookie,
		    .flags = MDFH_PACKET_STREAM | MDFH_PACKET_DISCONNECTED};
	return got;
}

static int spoilt_send(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	struct mdfh_packet part = packets[0];
	int taken;

	switch (stream.fault) {
	case SENT_TWICE:
		(void)stream.send(port, packets, n);
		return stream.send(port, packets, n);
	case NOT_SENT:
		return n;
	case SENT_IN_PART:
		part.length -= 1;
		taken = stream.send(port, &part, 1);
		port->stats.tx_bytes += (uint64_t)taken;
		return taken;
	case SENT_LATER:
		/* Kept for the next connection, and then sent ahead of its own. */
		part = (struct mdfh_packet){.data = stream.kept, .length = stream.kept_length};
		if (stream.kept_length && stream.send(port, &part, 1) == 1)
			stream.kept_length = 0;
		taken = stream.send(port, packets, n);
		if (!taken && !stream.kept_length) {
			memcpy(stream.kept, packets[0].data, packets[0].length);
			stream.kept_length = packets[0].length;
		}
		return taken;
	default:
		return stream.send(port, packets, n);
	}
}

static int spoilt_open(void *context, const struct mdfh_bypass_config *wanted, int with,
    const struct mdfh_conformance_datagram *datagrams, int n, struct mdfh_bypass **port)
{
	int rc = stream.good->open(stream.good->context, wanted, with, datagrams, n, port);

	(void)context;
	stream.packets = stream.marks = 0;
	stream.kept_length = 0;
	if (rc)
		return rc;
	stream.recv = (*port)->recv;
	(*port)->recv = spoilt_recv;
	stream.send = (*port)->send;
	if (stream.send)
		(*port)->send = spoilt_send;
	if (stream.fault == ALWAYS_AWAKE || stream.fault == NEVER_AWAKE)
		(*port)->capabilities.poll_fd = stream.descriptor;
	return 0;
}

static void finds_what_is_wrong_with_streams(void **state)
{
	static const struct {
		enum stream_fault fault;
		const char *check;
	} cases[] = {
	    {BYTE_LOST, "bytes"},
	    {BYTE_LOST, "large-writes"},
	    {BYTE_REPEATED, "bytes"},
	    {BYTES_SWAPPED, "bytes"},
	    {BYTE_DAMAGED, "small-writes"},
	    {PACKET_LOST, "bytes"},
	    {PACKETS_SWAPPED, "bytes"},
	    {NOT_FLAGGED, "bytes"},
	    {EMPTY_PACKET, "bytes"},
	    {NO_BEGINNING, "marks"},
	    {NO_END, "marks"},
	    {END_TWICE, "marks"},
	    {END_TOO_SOON, "marks"},
	    {TIME_MISSING, "stamps"},
	    {PACKETS_MISCOUNTED, "counters"},
	    {BYTES_MISCOUNTED, "counters"},
	    {CONNECTS_MISCOUNTED, "closes"},
	    {RELEASED_TOO_SOON, "hold"},
	    {ALWAYS_AWAKE, "wakes"},
	    {NEVER_AWAKE, "wakes"},
	    {SENT_TWICE, "send"},
	    {NOT_SENT, "send"},
	    {SENT_IN_PART, "send-rest"},
	    {SENT_LATER, "send-after-end"},
	    {DEAF, "resets"},
	};
	const struct mdfh_conformance_config config = {
	    .size = sizeof(config), .medium = MDFH_CONFORMANCE_TCP4};
	struct mdfh_conformance_feed feed;

	(void)state;
	assert_ok(mdfh_conformance_feed_open(&config, &stream.good));
	feed = *stream.good;
	feed.open = spoilt_open;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mdfh_conformance_result result = {0};
		const struct conformance_check *check = mdfh_conformance_stream_checks;

		while (strcmp(check->name, cases[i].check) != 0)
			assert_true(++check <
				    mdfh_conformance_stream_checks + mdfh_conformance_stream_count);
		stream.descriptor = eventfd(cases[i].fault == ALWAYS_AWAKE, EFD_CLOEXEC);
		/* It is the fault that is found. */
		stream.fault = NO_FAULT;
		assert_ok(mdfh_conformance_check(&feed, check, &result));
		if (result.verdict != MDFH_CONFORMANCE_PASSED)
			fail_msg("without a fault, %s: %s", check->name, result.detail);
		stream.fault = cases[i].fault;
		assert_ok(mdfh_conformance_check(&feed, check, &result));
		if (result.verdict != MDFH_CONFORMANCE_FAILED)
			fail_msg("fault %d is not found by %s", cases[i].fault, check->name);
		close(stream.descriptor);
	}
	mdfh_conformance_feed_close(stream.good);
}

/* A port that hammers a server that is not there. */
static void finds_pauses_that_are_too_short(void **state)
{
	const struct mdfh_conformance_config config = {.size = sizeof(config),
	    .medium = MDFH_CONFORMANCE_TCP4,
	    .backend_options = "reconnect_min_ms=1,reconnect_max_ms=1"};
	struct mdfh_conformance_result results[MDFH_CONFORMANCE_CHECKS];
	struct mdfh_conformance_feed *feed;
	int n, found = 0;

	(void)state;
	assert_ok(mdfh_conformance_feed_open(&config, &feed));
	n = mdfh_conformance_run(feed, results, MDFH_CONFORMANCE_CHECKS);
	for (int i = 0; i < n; i++)
		if (results[i].verdict == MDFH_CONFORMANCE_FAILED) {
			assert_string_equal(results[i].name, "pauses");
			found = 1;
		}
	assert_true(found);
	mdfh_conformance_feed_close(feed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(socket_conforms),
	    cmocka_unit_test(streams_conform),
	    cmocka_unit_test(pcap_conforms),
	    cmocka_unit_test(null_conforms),
	    cmocka_unit_test(fault_without_faults_conforms),
	    cmocka_unit_test(refuses_bad_feeds),
	    cmocka_unit_test(finds_what_is_wrong),
	    cmocka_unit_test(finds_what_is_wrong_with_streams),
	    cmocka_unit_test(finds_pauses_that_are_too_short),
	};

	if (test_enter_namespace()) {
		fprintf(stderr, "skipped: no network namespace without privilege here\n");
		return TEST_SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
