/* conformance.c - the conformance suite: its runner, and what the checks of packets and of streams
 * share. A check opens its own port, which the runner closes whatever the check found. No check
 * depends on time: what has to come is waited for, generously; what must not come is looked for
 * after everything else has come. */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mdfh/error.h"
#include "net/conformance_trial.h"

void mdfh_trial_decide(
    struct trial *t, enum mdfh_conformance_verdict verdict, const char *format, ...)
{
	va_list args;

	t->result->verdict = verdict;
	va_start(args, format);
	vsnprintf(t->result->detail, sizeof(t->result->detail), format, args);
	va_end(args);
}

/* Opening and receiving ------------------------------------------------- */

int mdfh_trial_open(struct trial *t, struct mdfh_bypass_config wanted, int with)
{
	int rc;

	if (t->sent && !t->feed->feeds)
		NOT_APPLICABLE("the backend makes packets of its own");
	wanted.size = sizeof(wanted);
	if (!wanted.poll_timeout_us)
		wanted.poll_timeout_us = WAIT_US;
	for (int i = 0; i < MDFH_CONFORMANCE_FLOWS; i++)
		t->last_serial[i] = -1;
	rc = t->feed->open(t->feed->context, &wanted, with, t->datagrams, t->sent, &t->port);
	REQUIRE(!rc, "open: %s", mdfh_error_text());
	return 0;
}

/* One receive call of up to n packets behind those that are held. */
int mdfh_trial_receive(struct trial *t, int n)
{
	int got = mdfh_bypass_recv(t->port, t->packets + t->held, n);

	if (got > 0) {
		t->batches++;
		for (int i = 0; i < got; i++)
			t->bytes += t->packets[t->held + i].length;
	} else {
		t->empty++;
	}
	return got;
}

void mdfh_trial_release_all(struct trial *t)
{
	for (int at = 0; at < t->held; at += MDFH_BYPASS_BATCH_MAX) {
		int n = t->held - at;

		mdfh_bypass_release(t->port, t->packets + at,
		    n < MDFH_BYPASS_BATCH_MAX ? n : MDFH_BYPASS_BATCH_MAX);
	}
	t->held = 0;
}

int mdfh_trial_stats(struct trial *t, struct mdfh_bypass_stats *stats)
{
	int rc = mdfh_bypass_stats(t->port, stats);

	REQUIRE(!rc, "stats: %s", mdfh_error_text());
	return 0;
}

int mdfh_trial_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int n = 0;

	while (folder && readdir(folder))
		n++;
	if (folder)
		closedir(folder);
	return n;
}

/* Checks ---------------------------------------------------------------- */

int mdfh_check_capabilities(struct trial *t)
{
	const struct mdfh_bypass_capabilities *c;

	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){0}, 0));
	c = can(t);
	REQUIRE(mdfh_bypass_name(t->port) && mdfh_bypass_name(t->port)[0], "it has no name");
	REQUIRE(c->size >= sizeof(*c), "capabilities.size is %zu", c->size);
	REQUIRE(c->copy_reason, "copy_reason is NULL");
	REQUIRE(c->zero_copy == (c->copy_reason[0] == '\0'),
	    "zero_copy is %d and copy_reason is '%s'", c->zero_copy, c->copy_reason);
	REQUIRE(c->warning, "warning is NULL");
	REQUIRE(c->frame_size, "frame_size is 0");
	REQUIRE(c->queues, "queues is 0");
	REQUIRE(c->timestamps <= MDFH_PLACE_HARDWARE && c->filters <= MDFH_PLACE_HARDWARE,
	    "timestamps or filters are nowhere known");
	REQUIRE(c->poll_fd >= -1, "poll_fd is %d", c->poll_fd);
	return 0;
}

int mdfh_check_configuration(struct trial *t)
{
	static const struct {
		struct mdfh_bypass_config config;
		const char *name;
	} cases[] = {
	    {{.frame_size = 1}, "frame_size"},
	    {{.rx_ring_size = 100}, "rx_ring_size"},
	    {{.batch_size = 257}, "batch_size"},
	    {{.timestamps = 9}, "timestamps"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mdfh_bypass_config config = cases[i].config;
		int rc;

		config.size = sizeof(config);
		rc = t->feed->open(t->feed->context, &config, 0, NULL, 0, &t->port);
		REQUIRE(rc == -EINVAL && !t->port, "a bad %s gave %d", cases[i].name, rc);
		REQUIRE(strstr(mdfh_error_text(), cases[i].name), "a bad %s said '%s'",
		    cases[i].name, mdfh_error_text());
	}
	return 0;
}

int mdfh_check_zero_copy(struct trial *t)
{
	struct mdfh_bypass_config config = {
	    .size = sizeof(config), .require_zero_copy = MDFH_ON, .poll_timeout_us = WAIT_US};
	int rc = t->feed->open(t->feed->context, &config, 0, NULL, 0, &t->port);

	if (rc) {
		REQUIRE(rc == -ENOTSUP, "refused with %d; it must be -ENOTSUP", rc);
		REQUIRE(mdfh_error_text()[0], "refused without a sentence");
		return 0;
	}
	REQUIRE(can(t)->zero_copy, "opened, and copies (%s)", can(t)->copy_reason);
	return 0;
}

int mdfh_check_two_ports(struct trial *t)
{
	struct mdfh_bypass *first;
	int rc;

	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){0}, 0));
	first = t->port;
	t->port = NULL;
	rc = t->feed->open(t->feed->context,
	    &(struct mdfh_bypass_config){.size = sizeof(struct mdfh_bypass_config)}, 0, NULL, 0,
	    &t->port);
	mdfh_bypass_close(first);
	if (rc == -EBUSY)
		NOT_APPLICABLE("%.200s", mdfh_error_text());
	REQUIRE(!rc, "open: %s", mdfh_error_text());
	return 0;
}

int mdfh_check_receive_only(struct trial *t)
{
	const struct mdfh_packet packet = {.data = t->data[0], .length = 10};
	int rc;

	TRY(mdfh_trial_open(
	    t, (struct mdfh_bypass_config){.direction = MDFH_DIRECTION_RECEIVE}, 0));
	REQUIRE(!can(t)->can_send, "it says that it can send");
	rc = mdfh_bypass_send(t->port, &packet, 1);
	REQUIRE(rc == -ENOTSUP, "send gave %d; it must be -ENOTSUP", rc);
	return 0;
}

/* The suite ------------------------------------------------------------ */

int mdfh_conformance_check(const struct mdfh_conformance_feed *feed,
    const struct conformance_check *check, struct mdfh_conformance_result *result)
{
	struct trial *t = malloc(sizeof(*t));

	if (!t)
		return mdfh_error(-ENOMEM, "conformance: %zu bytes", sizeof(*t));
	memset(t, 0, offsetof(struct trial, data));
	t->feed = feed;
	t->result = result;
	*result = (struct mdfh_conformance_result){.name = check->name, .what = check->what};
	check->check(t);
	mdfh_bypass_close(t->port);
	free(t);
	return 0;
}

int mdfh_conformance_run(
    const struct mdfh_conformance_feed *feed, struct mdfh_conformance_result *results, int max)
{
	const struct conformance_check *checks =
	    feed->server ? mdfh_conformance_stream_checks : mdfh_conformance_packet_checks;
	int count = feed->server ? mdfh_conformance_stream_count : mdfh_conformance_packet_count;

	for (int i = 0; i < count && i < max; i++) {
		int rc = mdfh_conformance_check(feed, &checks[i], &results[i]);

		if (rc)
			return rc;
	}
	return count;
}
