/* test_run_watch.c - what `mdfh run` says of losses, of a handler whose counters the test sets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "apps/run_watch.h"

enum { LINES = 3, PORTS = 2 };

/* One channel: line A has port 0, lines B and C share port 1. */
static struct mdfh_channel_report channel;
static struct mdfh_bypass_capabilities capabilities[PORTS];
static struct mdfh_port_report ports[PORTS];
static struct run_watch *watch;

unsigned mdfh_handler_channels(const struct mdfh_handler *handler)
{
	(void)handler;
	return 1;
}

int mdfh_handler_channel_report(
    const struct mdfh_handler *handler, unsigned index, struct mdfh_channel_report *report)
{
	(void)handler;
	assert_int_equal(index, 0);
	*report = channel;
	return 0;
}

unsigned mdfh_handler_ports(const struct mdfh_handler *handler)
{
	(void)handler;
	return PORTS;
}

int mdfh_handler_port_report(
    struct mdfh_handler *handler, unsigned port, struct mdfh_port_report *report)
{
	(void)handler;
	assert_true(port < PORTS);
	*report = ports[port];
	return 0;
}

static int set_up(void **state)
{
	static const struct mdfh_handler_config config = {0};

	(void)state;
	channel = (struct mdfh_channel_report){.name = "feed", .lines = LINES, .ports = {0, 1, 1}};
	for (unsigned p = 0; p < PORTS; p++) {
		capabilities[p] = (struct mdfh_bypass_capabilities){.drops_in_recv = 1};
		ports[p] = (struct mdfh_port_report){
		    .capabilities = &capabilities[p], .stats = {.known_drops = 4}};
	}
	watch = run_watch_create((struct mdfh_handler *)1, &config);
	return watch ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	run_watch_destroy(watch);
	return 0;
}

/* All that a look says. */
static void expect(const char *wanted)
{
	char text[4096];
	FILE *file = tmpfile();
	int kept = dup(STDERR_FILENO);
	size_t length;

	assert_non_null(file);
	fflush(stderr);
	dup2(fileno(file), STDERR_FILENO);
	run_watch_look(watch, "");
	fflush(stderr);
	dup2(kept, STDERR_FILENO);
	close(kept);
	rewind(file);
	length = fread(text, 1, sizeof(text) - 1, file);
	text[length] = '\0';
	fclose(file);
	assert_string_equal(text, wanted);
}

static void test_one_port_one_sentence(void **state)
{
	(void)state;
	expect("");
	ports[0].stats.rx_dropped_nic = 7;
	expect("mdfh run: feed line A: 0 messages missing; packets dropped by this host: NIC 7, "
	       "kernel 0, socket 0\n");
	expect("");
	ports[1].stats.rx_dropped_socket = 2000;
	channel.session.lines[2].missing = 9;
	expect("mdfh run: the port of feed line B and 1 more: packets dropped by this host: NIC 0, "
	       "kernel 0, socket 2,000\n"
	       "mdfh run: feed line C: 9 messages missing; its port dropped packets\n");
	expect("");
}

static void test_what_is_not_known(void **state)
{
	(void)state;
	channel.session.lines[0].missing = 1;
	expect("mdfh run: feed line A: 1 messages missing; no counter of this host rose\n");
	capabilities[0].drops_in_recv = 0; /* as of xdp */
	channel.session.lines[0].missing = 3;
	expect(
	    "mdfh run: feed line A: 2 messages missing; whether this host dropped packets is not "
	    "known yet: the counters of its port are read now and then\n");
	ports[0].stats.rx_dropped_socket = 1;
	channel.session.lines[0].missing = 4;
	expect("mdfh run: feed line A: 1 messages missing; packets dropped by this host: NIC 0, "
	       "kernel 0, socket 1\n");
	ports[0].stats.known_drops = 0; /* as of verbs over soft RoCE */
	channel.session.lines[0].missing = 5;
	expect("mdfh run: feed line A: 1 messages missing; its port cannot tell what this host "
	       "drops\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_one_port_one_sentence, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_what_is_not_known, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("run watch", tests, NULL, NULL);
}
