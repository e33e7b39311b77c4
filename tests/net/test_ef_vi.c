/* test_ef_vi.c - backend ef_vi on the software device, without a wire: buffers and references, held
 * and released; which library and which options it takes. */
#include <sys/wait.h>

#include "mdfh/clock.h"
#include "net/ef_vi_test.h"

static void hands_out_what_came(void **state)
{
	struct mdfh_bypass *port = open_ef_vi((struct mdfh_bypass_config){0}, NULL);
	const struct mdfh_bypass_capabilities *can = mdfh_bypass_capabilities(port);
	struct mdfh_packet packet;
	struct mdfh_bypass_stats stats;

	(void)state;
	assert_string_equal(can->mode, "own buffers, ring 512, single events, 1 filters");
	assert_int_equal(can->zero_copy, 1);
	assert_int_equal(can->filters, MDFH_PLACE_HARDWARE);
	assert_int_equal(can->timestamps, MDFH_PLACE_HARDWARE);
	assert_int_equal(efdev_state().posted, 504);
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 0); /* nothing has come */

	assert_int_equal(arrive(1, (struct sending){.time_ns = 1700000000123456789}), 1);
	assert_int_equal(arrive(2, (struct sending){.port = PORT + 1}), 0);
	assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 1);
	assert_int_equal(number_of(&packet), 1);
	assert_int_equal(packet.length, CUT);
	assert_int_equal(packet.flow, 0);
	assert_int_equal(packet.header_length, 42);
	assert_int_equal(packet.receive_ns, 1700000000123456789);
	assert_int_equal(packet.flags, MDFH_PACKET_TIME_NIC | MDFH_PACKET_CLOCK_SYNC);
	mdfh_bypass_release(port, &packet, 1);
	mdfh_bypass_release(port, &packet, 1); /* twice does no harm */

	/* Many times the ring: every buffer comes round. */
	for (uint32_t round = 0; round < 50; round++) {
		for (uint32_t i = 0; i < 100; i++)
			assert_int_equal(arrive(round * 100 + i, (struct sending){0}), 1);
		expect(port, round * 100, 100);
	}
	stats = stats_of(port);
	assert_int_equal(stats.rx_packets, 5001);
	assert_int_equal(stats.rx_bytes, 5001 * CUT);
	assert_int_equal(stats.rx_dropped_nic, 0);
	assert_int_equal(stats.known_drops, 5);
	close_ef_vi(port);
}

static void counts_what_finds_no_buffer(void **state)
{
	struct mdfh_bypass *port =
	    open_ef_vi((struct mdfh_bypass_config){.hold_max = 64, .batch_size = 16}, NULL);
	int taken = 0;

	(void)state;
	for (uint32_t i = 0; i < 600; i++)
		taken += arrive(i, (struct sending){0});
	assert_int_equal(taken, 504);
	assert_int_equal(efdev_state().posted, 0);
	expect(port, 0, 504);
	assert_int_equal(stats_of(port).rx_dropped_nic, 96);
	assert_int_equal(counter_of(port, "RX no descriptor errors"), 96);
	/* It goes on from there. */
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(arrive(i, (struct sending){0}), 1);
	expect(port, 0, 100);
	close_ef_vi(port);
}

/* The NIC's counter has 32 bits, and stands where whoever had the queue before has left it. */
static void counts_from_where_the_nic_stands(void **state)
{
	struct mdfh_bypass *port;

	(void)state;
	efdev_config()->no_buffers = UINT32_MAX - 9;
	port = open_ef_vi((struct mdfh_bypass_config){0}, NULL);
	assert_int_equal(stats_of(port).rx_dropped_nic, 0);
	for (uint32_t i = 0; i < 600; i++)
		arrive(i, (struct sending){0});
	assert_int_equal(stats_of(port).rx_dropped_nic, 96);
	expect(port, 0, 504);
	for (uint32_t i = 0; i < 505; i++)
		arrive(i, (struct sending){0});
	assert_int_equal(stats_of(port).rx_dropped_nic, 97);
	/* A NIC that was reset counts anew. */
	efdev_config()->no_buffers = 0U - 97 + 5;
	assert_int_equal(stats_of(port).rx_dropped_nic, 102);
	close_ef_vi(port);
}

static int refuse_counters(const char *name)
{
	return !strcmp(name, "ef_vi_stats_query");
}

static void counts_from_the_first_look_that_the_nic_answers(void **state)
{
	struct mdfh_bypass *port;

	(void)state;
	efdev_config()->no_buffers = 1000;
	efdev_set_strike(refuse_counters);
	port = open_ef_vi((struct mdfh_bypass_config){0}, NULL);
	assert_int_equal(stats_of(port).rx_dropped_nic, 0);
	efdev_set_strike(NULL);
	assert_int_equal(stats_of(port).rx_dropped_nic, 0);
	for (uint32_t i = 0; i < 600; i++)
		arrive(i, (struct sending){0});
	assert_int_equal(stats_of(port).rx_dropped_nic, 96);
	expect(port, 0, 504);
	close_ef_vi(port);
}

/* Two that name what was not there: the first is the frames'. */
static void counts_one_of_two_counters(void **state)
{
	struct mdfh_bypass *port;

	(void)state;
	efdev_config()->no_buffers = 1000;
	efdev_config()->has_two_counters = 1;
	port = open_ef_vi((struct mdfh_bypass_config){0}, NULL);
	for (int i = 0; i < 3; i++)
		assert_int_equal(stats_of(port).rx_dropped_nic, 0);
	for (uint32_t i = 0; i < 600; i++)
		arrive(i, (struct sending){0});
	assert_int_equal(stats_of(port).rx_dropped_nic, 96);
	expect(port, 0, 504);
	close_ef_vi(port);
}

static void holds_and_copies_past_the_limit(void **state)
{
	struct mdfh_bypass *port =
	    open_ef_vi((struct mdfh_bypass_config){.hold_max = 20, .batch_size = 10}, NULL);
	struct mdfh_packet packets[64];
	int got;

	(void)state;
	for (uint32_t i = 0; i < 60; i++)
		arrive(i, (struct sending){0});
	got = take_all(port, packets, 64);
	assert_int_equal(got, 50); /* 20 in place, 30 copied; the others wait */
	for (int i = 0; i < got; i++) {
		assert_int_equal(number_of(&packets[i]), i);
		assert_int_equal(
		    packets[i].flags & MDFH_PACKET_COPIED, i < 20 ? 0 : MDFH_PACKET_COPIED);
	}
	assert_true(stats_of(port).rx_starved > 0);
	for (int i = got - 1; i >= 0; i -= 2) /* in another order than they came in */
		mdfh_bypass_release(port, &packets[i], 1);
	expect(port, 50, 10);
	for (int i = 0; i < got; i += 2)
		assert_int_equal(number_of(&packets[i]), i);
	for (int i = 0; i < got; i += 2)
		mdfh_bypass_release(port, &packets[i], 1);
	assert_int_equal(stats_of(port).rx_dropped_nic, 0);
	close_ef_vi(port);

	port = open_ef_vi((struct mdfh_bypass_config){.enable_zero_copy = MDFH_OFF}, NULL);
	assert_string_equal(mdfh_bypass_capabilities(port)->copy_reason, "enable_zero_copy is off");
	arrive(1, (struct sending){0});
	assert_int_equal(mdfh_bypass_recv(port, packets, 1), 1);
	assert_true(packets[0].flags & MDFH_PACKET_COPIED);
	mdfh_bypass_release(port, packets, 1);
	close_ef_vi(port);
}

static void holds_and_releases_references(void **state)
{
	struct mdfh_packet packets[512], first;
	struct mdfh_bypass *port;
	int got;

	(void)state;
	efdev_config()->is_efct = 1;
	efdev_config()->superbuffers = 4; /* of 16 packets each */
	port = open_ef_vi((struct mdfh_bypass_config){.batch_size = 8, .rx_ring_size = 64}, NULL);
	assert_string_equal(mdfh_bypass_capabilities(port)->mode,
	    "by reference, ring 512, single events, 1 filters");
	assert_int_equal(mdfh_bypass_capabilities(port)->hold_max, 8);
	assert_int_equal(efdev_state().regions, 0); /* the memory is the NIC's */

	for (uint32_t i = 0; i < 1000; i++) { /* many times round */
		assert_int_equal(arrive(i, (struct sending){.time_ns = 77 + i}), 1);
		assert_int_equal(mdfh_bypass_recv(port, packets, 1), 1);
		assert_int_equal(number_of(&packets[0]), i);
		assert_int_equal(packets[0].receive_ns, 77 + i);
		assert_int_equal(packets[0].flags & MDFH_PACKET_COPIED, 0);
		assert_int_equal(efdev_state().references, 1);
		mdfh_bypass_release(port, packets, 1);
		mdfh_bypass_release(port, packets, 1);
		assert_int_equal(efdev_state().references, 0);
	}
	/* Past the limit they are copied, and go back at once. */
	for (uint32_t i = 0; i < 40; i++)
		arrive(i, (struct sending){0});
	got = take_all(port, packets, 512);
	assert_int_equal(got, 40);
	assert_int_equal(efdev_state().references, 8);
	assert_int_equal(stats_of(port).rx_copied, 32);
	first = packets[0];
	mdfh_bypass_release(port, packets + 1, got - 1);
	/* One that is held keeps its large buffer busy and harms nothing else. */
	for (uint32_t round = 0; round < 20; round++) {
		for (uint32_t i = 0; i < 16; i++)
			assert_int_equal(arrive(i, (struct sending){0}), 1);
		expect(port, 0, 16);
	}
	assert_int_equal(number_of(&first), 0);
	mdfh_bypass_release(port, &first, 1);
	assert_int_equal(efdev_state().references, 0);
	/* Too many for the NIC's memory: counted by it, and it goes on. */
	for (uint32_t i = 0; i < 70; i++)
		arrive(i, (struct sending){0});
	expect(port, 0, 64);
	assert_int_equal(stats_of(port).rx_dropped_nic, 6);
	/* What is still held goes back with the port. */
	arrive(1, (struct sending){0});
	assert_int_equal(mdfh_bypass_recv(port, packets, 1), 1);
	close_ef_vi(port);
}

static void takes_the_datapath_that_is_named(void **state)
{
	static const struct {
		const char *option, *mode;
	} paths[] = {{",datapath=express", "by reference"}, {",datapath=default", "own buffers"}};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct mdfh_bypass *port =
		    open_ef_vi((struct mdfh_bypass_config){0}, paths[i].option);

		assert_non_null(strstr(mdfh_bypass_capabilities(port)->mode, paths[i].mode));
		arrive(1, (struct sending){0});
		expect(port, 1, 1);
		close_ef_vi(port);
	}
}

static void refuses_other_libraries(void **state)
{
	struct mdfh_bypass_config config = filled((struct mdfh_bypass_config){0}, NULL);
	struct mdfh_bypass *port;

	(void)state;
	efdev_config()->version = "9.9.9";
	assert_int_equal(try_ef_vi((struct mdfh_bypass_config){0}, NULL), -ENOTSUP);
	assert_error("is of Onload 9.9.9, and the module was built for software device 1");
	efdev_config()->version = NULL;

	config.backend_options = "library=/nonexistent/libciul.so.1";
	assert_int_equal(mdfh_bypass_open(&config, &port), -ENOTSUP);
	assert_error("/nonexistent/libciul.so.1: cannot open shared object file");
	assert_error("install Onload software device 1");
	config.backend_options = "library=libciul.so.1";
	assert_int_equal(mdfh_bypass_open(&config, &port), -EINVAL);
	assert_error("it must be the absolute path");
	/* One that is something else. */
	config.backend_options = "library=/lib/x86_64-linux-gnu/libm.so.6";
	if (!access(config.backend_options + 8, F_OK)) {
		assert_int_equal(mdfh_bypass_open(&config, &port), -ENOTSUP);
		assert_error("has no function ef_vi_version_str");
	}
	assert_nothing_open();
}

static void refuses_what_it_cannot_do(void **state)
{
	static const struct mdfh_flow unicast = {.group = "127.0.0.1"};
	static const struct {
		struct mdfh_bypass_config config;
		const char *more, *sentence;
	} cases[] = {
	    {{.transport = MDFH_TRANSPORT_TCP, .host = "127.0.0.1", .port = 1}, NULL, ""},
	    {{.direction = MDFH_DIRECTION_SEND}, NULL, "only receives"},
	    {{.queue = 3}, NULL, "queue is 3"},
	    {{.busy_poll_us = 3}, NULL, "busy_poll_us is 3"},
	    {{.flows = &unicast, .flow_count = 1}, NULL, "flows[0] has port 0"},
	    {{.interface = "nothere0"}, NULL, "interface nothere0"},
	    {{.interface = "a-name-that-no-device-can-have"}, NULL, "no device has so long a name"},
	    {{0}, ",source_port=4000", "flows[0] has no source"},
	    {{0}, ",event_merge=perhaps", "event_merge is 'perhaps'; it must be one of off, on"},
	    {{0}, ",block_kernel=some", "one of off, unicast, multicast, all"},
	    {{0}, ",speed=9", "key 'speed'"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(try_ef_vi(cases[i].config, cases[i].more) < 0);
		assert_error(cases[i].sentence);
		assert_nothing_open();
	}
}

/* A frame comes between the last look and the priming. */
static int come_late(const char *name)
{
	if (!strcmp(name, "ef_vi_prime"))
		arrive(7, (struct sending){0});
	return 0;
}

/* Within the time that it may sleep. */
static void wait_until_asleep(pid_t process)
{
	char path[32], line[512], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)process);
	for (int i = 0; i < 10000 && state != 'S'; i++) {
		usleep(1000);
		file = fopen(path, "re");
		if (!file)
			return;
		if (fgets(line, sizeof(line), file) && strrchr(line, ')'))
			sscanf(strrchr(line, ')'), ") %c", &state);
		fclose(file);
	}
}

static void sleeps_until_the_nic_wakes_it(void **state)
{
	enum { LONG_US = 20000000 };
	static const struct mdfh_flow unicast = {.group = "127.0.0.1", .port = PORT};
	struct mdfh_bypass *port =
	    open_ef_vi((struct mdfh_bypass_config){.poll_timeout_us = LONG_US}, NULL);
	struct mdfh_packet packet;
	pid_t sender, receiver = getpid();
	unsigned waits = 0;
	int got;

	(void)state;
	efdev_set_strike(come_late);
	assert_int_equal(mdfh_bypass_recv_wait(port, &packet, 1), 1);
	efdev_set_strike(NULL);
	assert_int_equal(number_of(&packet), 7);
	assert_int_equal(efdev_state().primes, 1);
	mdfh_bypass_release(port, &packet, 1);
	close_ef_vi(port);

	/* Or while it sleeps, off the wire. */
	efdev_config()->is_wired = 1;
	port = open_ef_vi(
	    (struct mdfh_bypass_config){
		.flows = &unicast, .flow_count = 1, .poll_timeout_us = LONG_US},
	    NULL);
	sender = fork();
	if (!sender) {
		wait_until_asleep(receiver);
		send_to(open_sender("127.0.0.1"), "127.0.0.1", PORT, "wake up!", 8);
		_exit(0);
	}
	/* The kernel's own reports of membership are on that wire, too: a frame of no flow wakes. */
	do
		got = mdfh_bypass_recv_wait(port, &packet, 1);
	while (got == 0 && ++waits < 100);
	assert_int_equal(got, 1);
	assert_memory_equal(packet.data, "wake up!", 8);
	assert_in_range(efdev_state().primes, 2, 2 + waits);
	assert_int_equal(waitpid(sender, NULL, 0), sender);
	mdfh_bypass_release(port, &packet, 1);
	close_ef_vi(port);
}

static void waits_no_longer_than_told(void **state)
{
	const struct mdfh_bypass_config config = {
	    .poll_timeout_us = 2000, .hold_max = 4, .batch_size = 4};
	struct mdfh_packet packets[16];
	struct mdfh_bypass *port = open_ef_vi(config, NULL);
	uint64_t begin_ns = mdfh_clock_now_ns();

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(mdfh_bypass_recv_wait(port, packets, 1), 0);
	assert_true(mdfh_clock_now_ns() - begin_ns >= 5000000);
	assert_int_equal(efdev_state().primes, 3);
	/* Where all is held there is nobody to wait for but the caller, though something is there. */
	for (uint32_t i = 0; i < 20; i++)
		arrive(i, (struct sending){0});
	assert_int_equal(take_all(port, packets, 16), 12);
	begin_ns = mdfh_clock_now_ns();
	assert_int_equal(mdfh_bypass_recv_wait(port, packets + 12, 1), 0);
	assert_true(mdfh_clock_now_ns() - begin_ns >= 1500000);
	assert_int_equal(efdev_state().primes, 3);
	mdfh_bypass_release(port, packets, 12);
	assert_int_equal(mdfh_bypass_recv_wait(port, packets, 1), 1);
	mdfh_bypass_release(port, packets, 1);
	close_ef_vi(port);

	/* References are looked for again and again. */
	efdev_config()->is_efct = 1;
	port = open_ef_vi(config, NULL);
	assert_int_equal(mdfh_bypass_recv_wait(port, packets, 1), 0);
	assert_int_equal(efdev_state().primes, 3);
	arrive(1, (struct sending){0});
	assert_int_equal(mdfh_bypass_recv_wait(port, packets, 1), 1);
	mdfh_bypass_release(port, packets, 1);
	close_ef_vi(port);
}

static void is_listed(void **state)
{
	struct mdfh_bypass_backend list[32];
	int n = mdfh_bypass_backends(list, 32);

	(void)state;
	for (int i = 0; i < n; i++)
		if (!strcmp(list[i].name, "ef_vi")) {
			assert_string_equal(list[i].reason, "");
			assert_int_equal(list[i].available, 1);
			return;
		}
	fail_msg("it is not listed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(hands_out_what_came),
	    TEST(counts_what_finds_no_buffer),
	    TEST(counts_from_where_the_nic_stands),
	    TEST(counts_from_the_first_look_that_the_nic_answers),
	    TEST(counts_one_of_two_counters),
	    TEST(holds_and_copies_past_the_limit),
	    TEST(holds_and_releases_references),
	    TEST(takes_the_datapath_that_is_named),
	    TEST(sleeps_until_the_nic_wakes_it),
	    TEST(waits_no_longer_than_told),
	    TEST(refuses_other_libraries),
	    TEST(refuses_what_it_cannot_do),
	    TEST(is_listed),
	};
	int rc = enter();

	return rc ? rc : cmocka_run_group_tests(tests, NULL, NULL);
}
