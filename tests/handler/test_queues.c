/* test_queues.c - which lines share a port where a queue has room for one port only, and who is
 * refused. The backend is the module of tests/net, which says that it is of that kind. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mdfh/error.h"
#include "mdfh/handler.h"

static char backend[] = MODULE, device[] = "dev0", other[] = "dev1";
static char protocol[] = "itch50";
static char groups[4][32] = {"239.1.1.1:1", "239.1.1.2:1", "239.1.1.3:1", "239.1.1.4:1"};

/* Two channels of two lines, all on one queue and one thread. */
struct setup {
	struct mdfh_handler_config config;
	struct mdfh_handler_thread_config threads[2];
	struct mdfh_handler_channel_config channels[2];
	struct mdfh_line_config lines[4];
};

static void make(struct setup *s)
{
	*s = (struct setup){
	    .config = {.size = sizeof(s->config),
		.threads = s->threads,
		.threads_count = 1,
		.channels = s->channels,
		.channels_count = 2,
		.instruments_max = 64,
		.orders_max = 1024,
		.levels_max = 1024,
		.trades_max = 1024},
	};
	for (size_t c = 0; c < 2; c++)
		s->channels[c] = (struct mdfh_handler_channel_config){
		    .protocol = protocol, .lines = &s->lines[2 * c], .lines_count = 2};
	for (int l = 0; l < 4; l++)
		s->lines[l] = (struct mdfh_line_config){
		    .group = groups[l], .backend = backend, .interface = device};
}

static void assert_ports(const struct setup *s, unsigned ports)
{
	struct mdfh_handler *handler;

	if (mdfh_handler_create(&s->config, &handler))
		fail_msg("%s", mdfh_error_text());
	assert_int_equal(mdfh_handler_ports(handler), ports);
	mdfh_handler_destroy(handler);
}

static void assert_refused(const struct setup *s, const char *sentence)
{
	struct mdfh_handler *handler;

	assert_int_equal(mdfh_handler_create(&s->config, &handler), -EINVAL);
	assert_null(handler);
	if (!strstr(mdfh_error_text(), sentence))
		fail_msg("'%s' is not in '%s'", sentence, mdfh_error_text());
}

static void all_lines_of_a_queue_share_a_port(void **state)
{
	struct mdfh_channel_report report;
	struct mdfh_handler *handler;
	struct setup s;

	(void)state;
	make(&s);
	s.lines[1].fault.seed = 7; /* says nothing without a rate */
	assert_int_equal(mdfh_handler_create(&s.config, &handler), 0);
	assert_int_equal(mdfh_handler_ports(handler), 1);
	for (unsigned c = 0; c < 2; c++) {
		assert_int_equal(mdfh_handler_channel_report(handler, c, &report), 0);
		assert_int_equal(report.ports[0], 0);
		assert_int_equal(report.ports[1], 0);
	}
	mdfh_handler_destroy(handler);
}

static void another_queue_or_device_is_another_port(void **state)
{
	struct setup s;

	(void)state;
	make(&s);
	s.lines[3].queue = 1;
	assert_ports(&s, 2);
	s.lines[1].interface = other;
	assert_ports(&s, 3);
	s.lines[0].interface = NULL; /* the backend's choice */
	assert_ports(&s, 4);
}

static void a_queue_is_of_one_thread(void **state)
{
	struct setup s;

	(void)state;
	make(&s);
	s.config.threads_count = 2;
	s.channels[1].thread = 1;
	assert_refused(&s, "channel 0 line A and channel 1 line A want queue 0 of dev0");
	s.lines[2].queue = s.lines[3].queue = 1;
	assert_ports(&s, 2);
}

static void lines_of_a_port_have_equal_settings(void **state)
{
	struct setup s;

	(void)state;
	make(&s);
	s.lines[1].frame_size = 4096;
	assert_refused(&s, "channel 0 line A and channel 0 line B want queue 0 of dev0");
	make(&s);
	s.lines[1].receive_buffer_bytes = 65536;
	assert_refused(&s, "channel 0 line A and channel 0 line B");
	make(&s);
	s.lines[2].fault.loss_ppm = 10;
	assert_refused(&s, "channel 0 line A and channel 1 line A");
}

static void other_backends_have_a_port_for_each_line(void **state)
{
	static char name[] = "null";
	struct setup s;

	(void)state;
	make(&s);
	for (int l = 0; l < 4; l++) {
		s.lines[l].backend = name;
		s.lines[l].interface = NULL;
	}
	s.config.threads_count = 2;
	s.channels[1].thread = 1;
	assert_ports(&s, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all_lines_of_a_queue_share_a_port),
	    cmocka_unit_test(another_queue_or_device_is_another_port),
	    cmocka_unit_test(a_queue_is_of_one_thread),
	    cmocka_unit_test(lines_of_a_port_have_equal_settings),
	    cmocka_unit_test(other_backends_have_a_port_for_each_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
