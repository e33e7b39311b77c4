/* test_conformance.c - the suite over every built-in backend and way to feed it; and over a backend
 * that is wrong on purpose, which the suite must say. */
#include <errno.h>

#include "mdfh/backend.h"
#include "mdfh/conformance.h"
#include "net/net.h"
#include "net/net_test.h"

/* Run the suite; returns how many checks passed, and fails if one failed. */
static int run(const struct mdfh_conformance_config *config)
{
	struct mdfh_conformance_result results[MDFH_CONFORMANCE_CHECKS];
	struct mdfh_conformance_feed *feed;
	int n, passed = 0, failed = 0;

	assert_ok(mdfh_conformance_feed_open(config, &feed));
	n = mdfh_conformance_run(feed, results, MDFH_CONFORMANCE_CHECKS);
	mdfh_conformance_feed_close(feed);
	assert_in_range(n, 1, MDFH_CONFORMANCE_CHECKS);
	for (int i = 0; i < n; i++) {
		passed += results[i].verdict == MDFH_CONFORMANCE_PASSED;
		failed += results[i].verdict == MDFH_CONFORMANCE_FAILED;
		if (results[i].verdict)
			print_message("%s %s: %s\n",
			    results[i].verdict == MDFH_CONFORMANCE_FAILED ? "FAILED" : "n/a",
			    results[i].name, results[i].detail);
	}
	assert_int_equal(failed, 0);
	return passed;
}

static int run_medium(
    const char *backend, enum mdfh_conformance_medium medium, const char *interface)
{
	return run(&(struct mdfh_conformance_config){
	    .size = sizeof(struct mdfh_conformance_config),
	    .backend = backend,
	    .medium = medium,
	    .interface = interface,
	});
}

static void socket_conforms(void **state)
{
	(void)state;
	assert_int_equal(run_medium("socket", MDFH_CONFORMANCE_UDP4, NULL), 22);
	assert_int_equal(run_medium("socket", MDFH_CONFORMANCE_UDP6, NULL), 21);
	assert_int_equal(run_medium("socket", MDFH_CONFORMANCE_MULTICAST4, "lo"), 22);
	assert_int_equal(run_medium("socket", MDFH_CONFORMANCE_MULTICAST6, "lo"), 21);
}

static void pcap_conforms(void **state)
{
	(void)state;
	assert_int_equal(run_medium("pcap", MDFH_CONFORMANCE_DEFAULT, NULL), 21);
}

static void null_conforms(void **state)
{
	(void)state;
	assert_int_equal(run_medium("null", MDFH_CONFORMANCE_DEFAULT, NULL), 9);
}

static void fault_without_faults_conforms(void **state)
{
	const struct mdfh_bypass_ops *ops;
	void *library;

	(void)state;
	if (mdfh_registry_find("fault", &ops, &library))
		skip();
	assert_int_equal(run_medium("fault", MDFH_CONFORMANCE_DEFAULT, NULL), 22);
}

static void refuses_bad_feeds(void **state)
{
	struct mdfh_conformance_config config = {.size = 1};
	struct mdfh_conformance_feed *feed;

	(void)state;
	assert_int_equal(mdfh_conformance_feed_open(&config, &feed), -EINVAL);
	config.size = sizeof(config);
	config.medium = MDFH_CONFORMANCE_NONE + 1;
	assert_int_equal(mdfh_conformance_feed_open(&config, &feed), -EINVAL);
	assert_error("conformance: medium is 7");
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

enum { LOSES, REPEATS, DAMAGES, MISNUMBERS, SHORTENS, NO_TIME, MISCOUNTS, FAULTS };

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
		default:
			port->stats.rx_packets++;
		}
	}
	return got;
}

static int wrong_open(void *context, const struct mdfh_bypass_config *wanted, int with_sources,
    const struct mdfh_conformance_datagram *datagrams, int n, struct mdfh_bypass **port)
{
	int rc = wrong.good->open(wrong.good->context, wanted, with_sources, datagrams, n, port);

	(void)context;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(socket_conforms),
	    cmocka_unit_test(pcap_conforms),
	    cmocka_unit_test(null_conforms),
	    cmocka_unit_test(fault_without_faults_conforms),
	    cmocka_unit_test(refuses_bad_feeds),
	    cmocka_unit_test(finds_what_is_wrong),
	};

	if (test_enter_namespace()) {
		fprintf(stderr, "skipped: no network namespace without privilege here\n");
		return TEST_SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
