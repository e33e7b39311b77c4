/* test_config.c - YAML to configuration: every key arrives, every mistake is named. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "handler/ports.h"
#include "mdfh/error.h"
#include "mdfh/handler.h"

static const char everything[] = "name: nasdaq\n"
				 "session_date: 2026-11-20\n"
				 "instruments_max: 10000\n"
				 "orders_max: 2000000\n"
				 "levels_max: 300000\n"
				 "trades_max: 4000\n"
				 "hugepages: off\n"
				 "sound_at_start: on\n"
				 "depth_levels: 5\n"
				 "depth_shared_name: /mdfh-depth\n"
				 "instruments_shared_name: /mdfh-instruments\n"
				 "latency_sample: 16\n"
				 "symbols: [AAPL, MSFT]\n"
				 "threads:\n"
				 "  - name: rx0\n"
				 "    core: 0\n"
				 "    idle: spin\n"
				 "    poll_timeout_us: 500\n"
				 "  - name: rx1\n"
				 "channels:\n"
				 "  - name: itch\n"
				 "    protocol: itch50\n"
				 "    session: moldudp64\n"
				 "    session_id: TESTSESS01\n"
				 "    first_sequence: 7\n"
				 "    thread: 1\n"
				 "    window_us: 2500\n"
				 "    window_packets: 256\n"
				 "    lines:\n"
				 "      - group: 239.1.1.1:26477\n"
				 "        source: 10.0.0.1\n"
				 "        interface: lo\n"
				 "        backend: socket\n"
				 "        vlan: 12\n"
				 "        rx_ring_size: 1024\n"
				 "        batch_size: 32\n"
				 "        frame_size: 9000\n"
				 "        busy_poll_us: 50\n"
				 "        receive_buffer: 1048576\n"
				 "        timestamps: software\n"
				 "      - file: b.pcap\n"
				 "        backend: pcap\n"
				 "        speed: 2.5\n"
				 "        trailer: metamako\n"
				 "        fault: {seed: 9, loss_ppm: 100, burst_length: 3}\n"
				 "consumers:\n"
				 "  - name: strategy\n"
				 "    full: wait\n"
				 "    slots: 4096\n"
				 "    symbols: [AAPL]\n"
				 "  - name: tap\n"
				 "    kind: raw\n"
				 "    slot_size: 256\n"
				 "    shared_name: /mdfh-tap\n"
				 "    thread: 1\n";

static void test_every_key(void **state)
{
	struct mdfh_handler_config *config;
	const struct mdfh_line_config *line;

	(void)state;
	assert_int_equal(
	    mdfh_handler_config_parse(everything, strlen(everything), "all.yaml", &config), 0);
	assert_string_equal(config->name, "nasdaq");
	assert_string_equal(config->session_date, "2026-11-20");
	assert_int_equal(config->instruments_max, 10000);
	assert_int_equal(config->orders_max, 2000000);
	assert_int_equal(config->levels_max, 300000);
	assert_int_equal(config->trades_max, 4000);
	assert_int_equal(config->hugepages, MDFH_OFF);
	assert_int_equal(config->sound_at_start, MDFH_ON);
	assert_int_equal(config->depth_levels, 5);
	assert_string_equal(config->depth_shared_name, "/mdfh-depth");
	assert_string_equal(config->instruments_shared_name, "/mdfh-instruments");
	assert_int_equal(config->latency_sample, 16);
	assert_int_equal(config->symbols_count, 2);
	assert_string_equal(config->symbols[1], "MSFT");
	assert_int_equal(config->threads_count, 2);
	assert_string_equal(config->threads[0].name, "rx0");
	assert_non_null(config->threads[0].core);
	assert_int_equal(*config->threads[0].core, 0);
	assert_int_equal(config->threads[0].idle, MDFH_IDLE_SPIN);
	assert_int_equal(config->threads[0].poll_timeout_us, 500);
	assert_null(config->threads[1].core);
	assert_int_equal(config->channels_count, 1);
	assert_string_equal(config->channels[0].protocol, "itch50");
	assert_string_equal(config->channels[0].session, "moldudp64");
	assert_string_equal(config->channels[0].session_id, "TESTSESS01");
	assert_int_equal(config->channels[0].first_sequence, 7);
	assert_int_equal(config->channels[0].thread, 1);
	assert_int_equal(config->channels[0].window_us, 2500);
	assert_int_equal(config->channels[0].window_packets, 256);
	assert_int_equal(config->channels[0].lines_count, 2);
	line = &config->channels[0].lines[0];
	assert_string_equal(line->group, "239.1.1.1:26477");
	assert_string_equal(line->source, "10.0.0.1");
	assert_string_equal(line->interface, "lo");
	assert_string_equal(line->backend, "socket");
	assert_int_equal(line->vlan, 12);
	assert_int_equal(line->rx_ring_size, 1024);
	assert_int_equal(line->batch_size, 32);
	assert_int_equal(line->frame_size, 9000);
	assert_int_equal(line->busy_poll_us, 50);
	assert_int_equal(line->receive_buffer_bytes, 1048576);
	assert_int_equal(line->timestamps, MDFH_TIMESTAMPS_SOFTWARE);
	line = &config->channels[0].lines[1];
	assert_string_equal(line->file, "b.pcap");
	assert_true(line->speed > 2.49 && line->speed < 2.51);
	assert_int_equal(line->trailer, MDFH_TRAILER_METAMAKO);
	assert_int_equal(line->fault.seed, 9);
	assert_int_equal(line->fault.loss_ppm, 100);
	assert_int_equal(line->fault.burst_length, 3);
	assert_int_equal(config->consumers_count, 2);
	assert_int_equal(config->consumers[0].full, MDFH_FULL_WAIT);
	assert_int_equal(config->consumers[0].slots, 4096);
	assert_string_equal(config->consumers[0].symbols[0], "AAPL");
	assert_int_equal(config->consumers[1].kind, MDFH_CONSUMER_RAW);
	assert_int_equal(config->consumers[1].slot_size, 256);
	assert_string_equal(config->consumers[1].shared_name, "/mdfh-tap");
	assert_int_equal(config->consumers[1].thread, 1);
	mdfh_handler_config_free(config);
}

/* What is wrong, and what the sentence must say: the file and line, and the key. */
static const struct {
	const char *text;
	const char *where;
	const char *key;
} mistakes[] = {
    {"channels:\n  - protocol: itch50\n    lines:\n      - group: a:1\n        speeed: 1\n",
	"bad.yaml:5:", "speeed"},
    {"channels:\n  - protocol: itch50\n    lines:\n      - group: a:1\n        username: b\n       "
     " "
     "name: c\n",
	"bad.yaml:6:", "name"},
    {"channels:\n  - protocol: itch50\n    thread: many\n    lines:\n      - group: a:1\n",
	"bad.yaml:3:", "thread"},
    {"channels:\n  - protocol: itch50\n    lines:\n      - group: a:1\n        vlan: 70000\n",
	"bad.yaml:5:", "vlan"},
    {"channels:\n  - lines:\n      - group: a:1\n", "bad.yaml:", "protocol"},
    {"name: x\n", "bad.yaml:", "channels"},
    {"channels: []\n", "bad.yaml:", "channels"},
    {"hugepages: maybe\nchannels:\n  - protocol: itch50\n    lines:\n      - group: a:1\n",
	"bad.yaml:1:", "hugepages"},
    {"channels:\n  - protocol: [\n", "bad.yaml:", ""},
    {"", "bad.yaml:", ""},
};

static void test_mistakes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		struct mdfh_handler_config *config = (void *)1;
		int err = mdfh_handler_config_parse(
		    mistakes[i].text, strlen(mistakes[i].text), "bad.yaml", &config);

		print_message("%s\n", mdfh_error_text());
		assert_int_equal(err, -EINVAL);
		assert_null(config);
		assert_ptr_equal(strstr(mdfh_error_text(), mistakes[i].where), mdfh_error_text());
		assert_non_null(strstr(mdfh_error_text(), mistakes[i].key));
	}
}

static void test_missing_file(void **state)
{
	struct mdfh_handler_config *config;

	(void)state;
	assert_int_equal(mdfh_handler_config_load("/nonexistent/x.yaml", &config), -ENOENT);
	assert_non_null(strstr(mdfh_error_text(), "/nonexistent/x.yaml"));
}

/* What YAML allows and the handler must refuse: in each the sentence names the thing. */
static const struct {
	const char *text;
	const char *says;
} refused[] = {
    {"channels:\n  - protocol: itch99\n    lines:\n      - group: 127.0.0.1:9\n", "itch99"},
    {"channels:\n  - protocol: itch50\n    session: tcp9\n    lines:\n      - group: 127.0.0.1:9\n",
	"tcp9"},
    {"channels:\n  - protocol: itch50\n    thread: 3\n    lines:\n      - group: 127.0.0.1:9\n",
	"thread is 3"},
    {"channels:\n  - protocol: itch50\n    lines:\n      - group: 127.0.0.1\n", "127.0.0.1"},
    {"channels:\n  - protocol: itch50\n    lines:\n      - interface: lo\n", "line 0"},
    {"channels:\n  - protocol: itch50\n    lines:\n      - group: exchange.example:9\n",
	"group 'exchange.example:9': the address must be a numeric one"},
    {"channels:\n  - protocol: itch50\n    lines:\n      - server: exchange.example:9\n",
	"server 'exchange.example:9': the address must be a numeric one"},
    {"channels:\n  - protocol: itch50\n    lines:\n      - server: 127.0.0.1:9\n        password: "
     "0123456789012345678901234567890123456789012345678901234567890123456789\n",
	"the password has 70 characters; at most 10"},
    {"session_date: 2026-13-01\nchannels:\n  - protocol: itch50\n    lines:\n      - group: "
     "127.0.0.1:9\n",
	"2026"},
    {"books: off\nconsumers:\n  - name: a\nchannels:\n  - protocol: itch50\n    lines:\n      - "
     "group: 127.0.0.1:9\n",
	"books"},
    {"consumers:\n  - name: a\n  - name: a\nchannels:\n  - protocol: itch50\n    lines:\n      - "
     "group: 127.0.0.1:9\n",
	"'a'"},
    {"latency_sample: 3\nchannels:\n  - protocol: itch50\n    lines:\n      - backend: \"null\"\n",
	"latency_sample is 3"},
    {"depth_shared_name: /d\nchannels:\n  - protocol: itch50\n    lines:\n      - backend: "
     "\"null\"\n",
	"depth_shared_name is '/d' and depth_levels is 0"},
    {"books: off\ndepth_levels: 5\nchannels:\n  - protocol: itch50\n    lines:\n      - backend: "
     "\"null\"\n",
	"depth_levels is 5"},
    {"consumers:\n  - {name: a, slot_size: 256}\nchannels:\n  - protocol: itch50\n    lines:\n     "
     " - "
     "backend: \"null\"\n",
	"consumer 0: slot_size is 256"},
    {"consumers:\n  - {name: a, slots: 1000}\nchannels:\n  - protocol: itch50\n    lines:\n      - "
     "backend: \"null\"\n",
	"consumer a: ring: slots is 1000"},
    {"channels:\n  - protocol: itch50\n    lines:\n      - backend: \"null\"\n      - {backend: "
     "\"null\", batch_size: 300}\n",
	"itch50 line B: config: batch_size is 300"},
    {"channels:\n  - protocol: itch50\n    session: binaryfile\n    lines:\n      - backend: "
     "\"null\"\n",
	"channel 0: itch50 does not come in binaryfile"},
    {"channels:\n  - protocol: itch50\n    first_sequence: -1\n    lines:\n      - backend: "
     "\"null\"\n",
	"channel 0: first_sequence is 18446744073709551615"},
    {"channels:\n  - protocol: itch50\n    lines:\n      - {backend: \"null\", speed: 2}\n",
	"channel 0, line 0: speed is 2"},
    {"channels:\n  - protocol: itch50\n    lines:\n      - {group: 239.1.1.1:9, interface: lo}\n   "
     "   - "
     "{group: 239.1.1.1:9, interface: lo}\n",
	"channel 0: lines A and B are both 239.1.1.1:9 on lo"},
    {"session_date: 2026-11-20\nchannels:\n  - protocol: itch50\n    lines:\n      - {file: "
     "/x.pcap, group: 239.1.1.1:9}\n      - {file: /x.pcap, group: 239.1.1.2}\n",
	"itch50 line B: group '239.1.1.2' is not"},
    {"channels:\n  - protocol: itch50\n    lines:\n      - {server: 127.0.0.1:9, username: a, "
     "password_file: /nonexistent/x}\n",
	"itch50 line A: password_file /nonexistent/x"},
    {"consumers:\n  - {name: a, shared_name: /x}\n  - {name: b, shared_name: /x}\nchannels:\n  - "
     "protocol: itch50\n    lines:\n      - backend: \"null\"\n",
	"consumers 'a' and 'b' have the shared_name /x"},
    {"threads:\n  - core: 99999\nchannels:\n  - protocol: itch50\n    lines:\n      - backend: "
     "\"null\"\n",
	"thread 0: core is 99999"},
    {"threads:\n  - {workers: 2, worker_cores: [0, 99999]}\nchannels:\n  - protocol: itch50\n    "
     "lines:\n      - backend: \"null\"\n",
	"thread 0: one of worker_cores is 99999"},
    {"threads:\n  - name: a\n  - name: b\nchannels:\n  - protocol: itch50\n    lines:\n      - "
     "backend: \"null\"\n",
	"thread 1"},
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct mdfh_handler_config *config;
		struct mdfh_handler *handler = (void *)1;

		assert_int_equal(mdfh_handler_config_parse(
				     refused[i].text, strlen(refused[i].text), "x.yaml", &config),
		    0);
		config->orders_max = 1024;
		config->levels_max = 1024;
		assert_true(mdfh_handler_create(config, &handler) < 0);
		print_message("%s\n", mdfh_error_text());
		assert_null(handler);
		if (!strncmp(refused[i].says, "itch50 line", 11)) /* once */
			assert_ptr_equal(
			    strstr(mdfh_error_text(), refused[i].says), mdfh_error_text());
		assert_non_null(strstr(mdfh_error_text(), refused[i].says));
		mdfh_handler_config_free(config);
	}
}

static void test_groups(void **state)
{
	static const char *const bad[] = {"", ":", "239.1.1.1", "239.1.1.1:", "239.1.1.1:0",
	    "239.1.1.1:65536", "239.1.1.1:1x", "ff15::1:26477", "[ff15::1]", "[]:1",
	    "239.1.1.1: 80", "239.1.1.1:+80", "239.1.1.1:-18446744073709551536"};
	char address[64];
	uint16_t port;

	(void)state;
	assert_int_equal(mdfh_group_parse("239.1.1.1:26477", address, sizeof(address), &port), 0);
	assert_string_equal(address, "239.1.1.1");
	assert_int_equal(port, 26477);
	assert_int_equal(mdfh_group_parse("[ff15::1]:1", address, sizeof(address), &port), 0);
	assert_string_equal(address, "ff15::1");
	assert_int_equal(port, 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
		    mdfh_group_parse(bad[i], address, sizeof(address), &port), -EINVAL);
}

static void test_dates(void **state)
{
	int64_t midnight;

	(void)state;
	/* New York is five hours behind in winter, four in summer. */
	assert_int_equal(
	    mdfh_session_midnight("America/New_York", "2026-11-20", NULL, &midnight), 0);
	assert_int_equal(midnight, 1795150800000000000);
	assert_int_equal(
	    mdfh_session_midnight("America/New_York", "2026-07-01", NULL, &midnight), 0);
	assert_int_equal(midnight, 1782878400000000000);
	assert_int_equal(
	    mdfh_session_midnight("America/New_York", "today", NULL, &midnight), -EINVAL);
	assert_int_equal(
	    mdfh_session_midnight("America/New_York", "2026-11-20x", NULL, &midnight), -EINVAL);
	/* Today's midnight there is in the past, by less than a day and an hour. */
	assert_int_equal(mdfh_session_midnight("America/New_York", NULL, NULL, &midnight), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_key),
	    cmocka_unit_test(test_mistakes),
	    cmocka_unit_test(test_missing_file),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_groups),
	    cmocka_unit_test(test_dates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
