/* conform.h - run the conformance suite from a test. */
#ifndef MDFH_TESTS_CONFORM_H
#define MDFH_TESTS_CONFORM_H

#include "mdfh/conformance.h"
#include "net/net_test.h"

/* Run the suite; returns how many checks passed, and fails if one failed. */
static inline int conform(const struct mdfh_conformance_config *config)
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

static inline int conform_medium(const char *backend, const char *options,
    enum mdfh_conformance_medium medium, const char *interface)
{
	return conform(&(struct mdfh_conformance_config){
	    .size = sizeof(struct mdfh_conformance_config),
	    .backend = backend,
	    .backend_options = options,
	    .medium = medium,
	    .interface = interface,
	});
}

#endif
