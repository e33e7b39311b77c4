/* test_io_uring.c - what is io_uring's own: the conformance suite through the module, frames that run
 * out while requests are in the kernel, threads, waiting, and letting go of everything at close. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "net/conform.h"
#include "net/udp_test.h"

/* Conformance -------------------------------------------------------------------------------- */

static void conforms(const char *options)
{
	assert_int_equal(conform_medium("io_uring", options, MDFH_CONFORMANCE_UDP4, NULL), 22);
	assert_int_equal(conform_medium("io_uring", options, MDFH_CONFORMANCE_UDP6, NULL), 21);
	assert_int_equal(
	    conform_medium("io_uring", options, MDFH_CONFORMANCE_MULTICAST4, "lo"), 22);
	assert_int_equal(
	    conform_medium("io_uring", options, MDFH_CONFORMANCE_MULTICAST6, "lo"), 21);
}

static void conforms_as_it_is(void **state)
{
	(void)state;
	conforms(test_options);
}

static void conforms_with_gro(void **state)
{
	(void)state;
	conforms("gro=on");
}

/* What a kernel without DEFER_TASKRUN gets. */
static void conforms_in_mode_coop(void **state)
{
	(void)state;
	conforms("mode=coop");
}

static void conforms_in_mode_sqpoll(void **state)
{
	(void)state;
	/* One medium: where cores are few, every packet waits for the kernel's thread. */
	assert_int_equal(
	    conform_medium("io_uring", "mode=sqpoll", MDFH_CONFORMANCE_UDP4, NULL), 22);
}

/* Frames ------------------------------------------------------------------------------------- */

static void put_number(uint8_t *data, uint32_t number)
{
	for (uint32_t i = 0; i < 40; i++)
		data[i] = (uint8_t)(number >> 8 * (i % 4));
}

static uint32_t number_of(const struct mdfh_packet *packet)
{
	const uint8_t *d = packet->data;

	assert_int_equal(packet->length, 40);
	for (int i = 4; i < 40; i++)
		assert_int_equal(d[i], d[i - 4]);
	return d[0] | (uint32_t)d[1] << 8 | (uint32_t)d[2] << 16 | (uint32_t)d[3] << 24;
}

static void send_numbers(int fd, uint16_t port, uint32_t from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint8_t data[40];

		put_number(data, from + i);
		send_to(fd, "127.0.0.1", port, data, sizeof(data));
	}
}

/* Every request ends for want of frames, again and again; nothing is lost and nothing changes its
 * place. */
static void starves_and_recovers(void **state)
{
	struct mdfh_bypass *port = open_port(
	    (struct mdfh_bypass_config){.host = "127.0.0.1", .rx_ring_size = 64, .batch_size = 16});
	uint16_t number = mdfh_bypass_local_port(port, 0);
	struct mdfh_packet held[64], none;
	int fd = open_sender("127.0.0.1");

	(void)state;
	send_numbers(fd, number, 0, 10 * 128);
	for (uint32_t at = 0; at < 10 * 128; at += 128) {
		uint64_t before = stats_of(port).rx_starved;

		receive(port, held, 64);
		for (uint32_t i = 0; i < 64; i++)
			assert_int_equal(number_of(&held[i]), at + i);
		/* Twice, because the first may only find out that the request has ended. */
		assert_int_equal(mdfh_bypass_recv(port, &none, 1), 0);
		assert_int_equal(mdfh_bypass_recv(port, &none, 1), 0);
		assert_true(stats_of(port).rx_starved > before);
		/* One frame is enough to go on. */
		mdfh_bypass_release(port, &held[7], 1);
		receive(port, &held[7], 1);
		assert_int_equal(number_of(&held[7]), at + 64);
		mdfh_bypass_release(port, held, 64);
		receive(port, held, 63);
		for (uint32_t i = 0; i < 63; i++)
			assert_int_equal(number_of(&held[i]), at + 65 + i);
		mdfh_bypass_release(port, held, 63);
	}
	assert_int_equal(mdfh_bypass_recv(port, &none, 1), 0);
	assert_int_equal(stats_of(port).rx_packets, 10 * 128);
	assert_int_equal(stats_of(port).rx_dropped_socket, 0);
	close(fd);
	mdfh_bypass_close(port);
}

static uint64_t draw(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Held packets are released in an order drawn by lot while others come; each is what it was until it
 * is given back. */
static void releases_in_any_order(void **state)
{
	struct mdfh_bypass *port = open_port((struct mdfh_bypass_config){
	    .host = "127.0.0.1", .rx_ring_size = 256, .batch_size = 32, .hold_max = 200});
	uint16_t number = mdfh_bypass_local_port(port, 0);
	struct mdfh_packet held[256];
	uint32_t numbers[256], held_count = 0, sent = 0, next = 0;
	uint64_t seed = 12345;
	int fd = open_sender("127.0.0.1");

	(void)state;
	while (next < 40000) {
		uint32_t burst = (uint32_t)(draw(&seed) % 100);
		uint32_t room = 200 - held_count;
		int n;

		if (sent < 40000 && sent - next < 1000) {
			if (burst > 40000 - sent)
				burst = 40000 - sent;
			send_numbers(fd, number, sent, burst);
			sent += burst;
		}
		n = mdfh_bypass_recv(port, held + held_count, (int)(room < 32 ? room : 32));
		assert_true(n >= 0);
		for (int i = 0; i < n; i++) {
			numbers[held_count] = next++;
			assert_int_equal(number_of(&held[held_count]), numbers[held_count]);
			held_count++;
		}
		for (uint32_t k = (uint32_t)(draw(&seed) % 64); k && held_count; k--) {
			uint32_t at = (uint32_t)(draw(&seed) % held_count);

			assert_int_equal(number_of(&held[at]), numbers[at]);
			mdfh_bypass_release(port, &held[at], 1);
			held[at] = held[--held_count];
			numbers[at] = numbers[held_count];
		}
	}
	assert_int_equal(stats_of(port).rx_dropped_socket, 0);
	close(fd);
	mdfh_bypass_close(port);
}

/* 64 requests, more packets than frames are lent, every flow in order. */
static void receives_many_flows(void **state)
{
	struct mdfh_flow flows[MDFH_BYPASS_FLOWS_MAX];
	char names[MDFH_BYPASS_FLOWS_MAX][20];
	uint32_t next[MDFH_BYPASS_FLOWS_MAX] = {0};
	struct mdfh_packet packets[64];
	uint16_t number = free_port();
	struct mdfh_bypass *port;
	int fd = open_sender("127.0.0.1");

	(void)state;
	for (int i = 0; i < MDFH_BYPASS_FLOWS_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "127.0.1.%d", i + 1);
		flows[i] = (struct mdfh_flow){.group = names[i], .port = number};
	}
	port = open_port((struct mdfh_bypass_config){
	    .flows = flows, .flow_count = MDFH_BYPASS_FLOWS_MAX, .rx_ring_size = 128});
	for (uint32_t k = 0; k < 100; k++)
		for (int i = 0; i < MDFH_BYPASS_FLOWS_MAX; i++) {
			uint8_t data[40];

			put_number(data, k);
			send_to(fd, names[i], number, data, sizeof(data));
		}
	for (int got = 0; got < 100 * MDFH_BYPASS_FLOWS_MAX;) {
		int n = mdfh_bypass_recv_wait(port, packets, 64);

		if (n <= 0)
			fail_msg("%d packets, then %d %s", got, n, mdfh_error_text());
		for (int i = 0; i < n; i++)
			assert_int_equal(number_of(&packets[i]), next[packets[i].flow]++);
		mdfh_bypass_release(port, packets, n);
		got += n;
	}
	for (int i = 0; i < MDFH_BYPASS_FLOWS_MAX; i++)
		assert_int_equal(next[i], 100);
	close(fd);
	mdfh_bypass_close(port);
}

/* Threads ------------------------------------------------------------------------------------- */

struct receiver {
	struct mdfh_bypass *port;
	uint32_t want, got;
	int rc;
};

static void *receive_on_thread(void *argument)
{
	struct receiver *r = argument;
	struct mdfh_packet packets[64];

	for (int patience = 200; r->got < r->want && patience; patience--) {
		int n = mdfh_bypass_recv_wait(r->port, packets, 64);

		if (n < 0) {
			r->rc = n;
			break;
		}
		if (n)
			patience = 200;
		mdfh_bypass_release(r->port, packets, n);
		r->got += (uint32_t)n;
	}
	return NULL;
}

/* Open here, receive on a thread, close here once that thread has gone; the number is free at once.
 * The kernel would keep it for a while. */
static void moves_to_the_receiving_thread(const char *options)
{
	uint16_t number = free_port();
	int fd = open_sender("127.0.0.1");

	for (int i = 0; i < 10; i++) {
		struct receiver r = {.want = 100};
		pthread_t thread;

		r.port = open_port((struct mdfh_bypass_config){.host = "127.0.0.1",
		    .port = number,
		    .backend_options = options,
		    .poll_timeout_us = 50000});
		send_numbers(fd, number, 0, 50); /* before the first recv */
		assert_int_equal(pthread_create(&thread, NULL, receive_on_thread, &r), 0);
		send_numbers(fd, number, 50, 50);
		pthread_join(thread, NULL);
		assert_int_equal(r.rc, 0);
		assert_int_equal(r.got, 100);
		assert_int_equal(stats_of(r.port).rx_packets, 100);
		mdfh_bypass_close(r.port);
	}
	close(fd);
}

static void is_closed_by_another_thread(void **state)
{
	(void)state;
	moves_to_the_receiving_thread(NULL);
	moves_to_the_receiving_thread("mode=defer");
	moves_to_the_receiving_thread("mode=coop");
	moves_to_the_receiving_thread("mode=sqpoll");
}

static void *close_on_thread(void *port)
{
	mdfh_bypass_close(port);
	return NULL;
}

/* The same while that thread lives on. */
static void is_closed_while_its_thread_lives(void **state)
{
	uint16_t number = free_port();

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct mdfh_bypass *port =
		    open_port((struct mdfh_bypass_config){.host = "127.0.0.1", .port = number});
		struct mdfh_packet packet;
		pthread_t thread;

		assert_int_equal(mdfh_bypass_recv(port, &packet, 1), 0);
		assert_int_equal(pthread_create(&thread, NULL, close_on_thread, port), 0);
		pthread_join(thread, NULL);
	}
}

static void refuses_a_second_thread(void **state)
{
	struct receiver r = {.want = 1};
	struct mdfh_packet packet;
	pthread_t thread;

	(void)state;
	r.port = open_port((struct mdfh_bypass_config){.host = "127.0.0.1"});
	assert_int_equal(mdfh_bypass_recv(r.port, &packet, 1), 0);
	assert_int_equal(pthread_create(&thread, NULL, receive_on_thread, &r), 0);
	pthread_join(thread, NULL);
	assert_int_equal(r.rc, -EIO);
	mdfh_bypass_close(r.port);
}

static void closes_with_packets_held(void **state)
{
	uint16_t number = free_port();
	struct mdfh_packet packets[64];
	int fd = open_sender("127.0.0.1");
	int before;

	(void)state;
	mdfh_bypass_close(open_port((struct mdfh_bypass_config){.host = "127.0.0.1"}));
	before = count_descriptors();
	for (int i = 0; i < 30; i++) {
		struct mdfh_bypass *port =
		    open_port((struct mdfh_bypass_config){.host = "127.0.0.1", .port = number});

		send_numbers(fd, number, 0, 64); /* half of them stay in the kernel */
		receive(port, packets, 20);
		mdfh_bypass_close(port);
	}
	assert_int_equal(count_descriptors(), before);
	close(fd);
}

/* Waiting ------------------------------------------------------------------------------------- */

static int is_readable(const struct mdfh_bypass *port, int timeout_ms)
{
	struct pollfd p = {.fd = mdfh_bypass_capabilities(port)->poll_fd, .events = POLLIN};

	return poll(&p, 1, timeout_ms);
}

static void wakes_pollers(void **state)
{
	const char *const *mode = *state;
	struct mdfh_bypass *port =
	    open_port((struct mdfh_bypass_config){.host = "127.0.0.1", .backend_options = *mode});
	uint16_t number = mdfh_bypass_local_port(port, 0);
	struct mdfh_packet packets[64];
	int fd = open_sender("127.0.0.1");

	/* Before the first recv, which is what the poller waits for to call. */
	assert_int_equal(is_readable(port, 0), 0);
	send_numbers(fd, number, 0, 1);
	assert_int_equal(is_readable(port, WAIT_US / 1000), 1);
	receive(port, packets, 1);
	mdfh_bypass_release(port, packets, 1);
	assert_int_equal(mdfh_bypass_recv(port, packets, 64), 0);
	assert_int_equal(is_readable(port, 0), 0);
	/* Afterwards. */
	for (uint32_t i = 0; i < 3; i++) {
		send_numbers(fd, number, i, 1);
		/* By now the kernel may have taken it from the socket, unasked. */
		(void)getppid();
		assert_int_equal(is_readable(port, WAIT_US / 1000), 1);
		assert_int_equal(mdfh_bypass_recv(port, packets, 64), 1);
		mdfh_bypass_release(port, packets, 1);
	}
	/* What has been received and was not taken. */
	send_numbers(fd, number, 0, 10);
	for (uint32_t i = 0; i < 10; i++) {
		assert_int_equal(is_readable(port, WAIT_US / 1000), 1);
		assert_int_equal(mdfh_bypass_recv(port, packets, 1), 1);
		assert_int_equal(number_of(packets), i);
		mdfh_bypass_release(port, packets, 1);
	}
	assert_int_equal(mdfh_bypass_recv(port, packets, 1), 0);
	assert_int_equal(is_readable(port, 0), 0);
	close(fd);
	mdfh_bypass_close(port);
}

static void *send_later(void *argument)
{
	const struct timespec nap = {.tv_nsec = 20000000};
	int fd = open_sender("127.0.0.1");

	nanosleep(&nap, NULL);
	send_numbers(fd, *(const uint16_t *)argument, 7, 1);
	close(fd);
	return NULL;
}

static void wakes_a_waiting_recv(void **state)
{
	static const char *const modes[] = {
	    "mode=poll", "gro=on", "mode=defer", "mode=coop", "mode=sqpoll"};

	(void)state;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		struct mdfh_bypass *port = open_port(
		    (struct mdfh_bypass_config){.host = "127.0.0.1", .backend_options = modes[i]});
		uint16_t number = mdfh_bypass_local_port(port, 0);
		struct mdfh_packet packet;
		pthread_t thread;

		for (int k = 0; k < 2; k++) {
			assert_int_equal(pthread_create(&thread, NULL, send_later, &number), 0);
			receive(port, &packet, 1);
			assert_int_equal(number_of(&packet), 7);
			mdfh_bypass_release(port, &packet, 1);
			pthread_join(thread, NULL);
		}
		mdfh_bypass_close(port);
	}
}

/* Datagrams without a byte end a multishot request, and are packets all the same. */
static void receives_empty_datagrams(void **state)
{
	struct mdfh_bypass *port = open_port((struct mdfh_bypass_config){.host = "127.0.0.1"});
	uint16_t number = mdfh_bypass_local_port(port, 0);
	struct mdfh_packet packets[100];
	int fd = open_sender("127.0.0.1");

	(void)state;
	for (size_t i = 0; i < 100; i++)
		send_to(fd, "127.0.0.1", number, "abc", i % 4);
	receive(port, packets, 100);
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(packets[i].length, i % 4);
	close(fd);
	mdfh_bypass_close(port);
}

/* Refusals ------------------------------------------------------------------------------------ */

static void says_its_mode(void **state)
{
	static const char *const options[] = {
	    "mode=poll", "gro=on", "mode=defer", "mode=coop", "mode=sqpoll"};
	static const char *const modes[] = {"poll", "poll, GRO", "defer", "coop", "sqpoll"};

	(void)state;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		struct mdfh_bypass *port = open_port((struct mdfh_bypass_config){
		    .host = "127.0.0.1", .backend_options = options[i]});

		assert_string_equal(mdfh_bypass_capabilities(port)->mode, modes[i]);
		mdfh_bypass_close(port);
	}
}

static void refuses_what_it_cannot(void **state)
{
	static const struct {
		struct mdfh_bypass_config config;
		int error;
		const char *want;
	} cases[] = {
	    {{.transport = MDFH_TRANSPORT_TCP, .port = 5}, -ENOTSUP,
		"io_uring: transport is TCP; this backend has only UDP"},
	    {{.rx_ring_size = 65536, .backend_options = "mode=defer"}, -EINVAL,
		"io_uring: rx_ring_size is 65536"},
	    {{.backend_options = "mode=fast"}, -EINVAL,
		"io_uring: mode is 'fast'; it must be poll, defer, coop or sqpoll"},
	    {{.backend_options = "gro=yes"}, -EINVAL,
		"io_uring: gro is 'yes'; it must be on or off"},
	    {{.backend_options = "mode=defer,gro=on"}, -ENOTSUP,
		"io_uring: gro is on and mode is defer"},
	    {{.backend_options = "speed=9"}, -EINVAL, "speed"},
	    {{.backend_options = "sqpoll_core=0"}, -EINVAL, "it is for mode=sqpoll only"},
	    {{.backend_options = "mode=sqpoll,sqpoll_core=65535"}, -EINVAL,
		"io_uring: sqpoll_core is 65535"},
	};
	int before = count_descriptors();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mdfh_bypass_config config = cases[i].config;
		struct mdfh_bypass *port;
		int rc;

		config.size = sizeof(config);
		config.backend = "io_uring";
		config.host = "127.0.0.1";
		rc = mdfh_bypass_open(&config, &port);
		if (rc != cases[i].error)
			fail_msg("case %zu: %d, %s", i, rc, mdfh_error_text());
		assert_error(cases[i].want);
		assert_null(port);
	}
	assert_int_equal(count_descriptors(), before);
}

/* A process that may not have io_uring, as in many containers, is told so. */
static void says_that_it_is_forbidden(void **state)
{
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
	int status;
	pid_t child = fork();

	(void)state;
	if (!child) {
		struct mdfh_bypass_backend list[32];
		int n;

		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
			_exit(1);
		n = mdfh_bypass_backends(list, 32);
		for (int i = 0; i < n; i++)
			if (!strcmp(list[i].name, "io_uring"))
				_exit(!list[i].available &&
					      strstr(list[i].reason,
						  "io_uring: it is forbidden to this process")
					  ? 0
					  : 2);
		_exit(3);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* --------------------------------------------------------------------------------------------- */

/* 0 if the backend can work here, else the exit status. */
static int look_for_io_uring(void)
{
	struct mdfh_bypass_backend list[32];
	int n = mdfh_bypass_backends(list, 32);

	for (int i = 0; i < n; i++) {
		if (strcmp(list[i].name, "io_uring") != 0)
			continue;
		if (list[i].available)
			return 0;
		fprintf(stderr, "skipped: %s\n", list[i].reason);
		return TEST_SKIPPED;
	}
	return 1;
}

/* The argument is options of the backend, for all tests that name none themselves. */
int main(int argc, char **argv)
{
	static const char *modes[] = {NULL, "mode=coop", "gro=on"};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(conforms_as_it_is),
	    cmocka_unit_test(conforms_with_gro),
	    cmocka_unit_test(conforms_in_mode_coop),
	    cmocka_unit_test(conforms_in_mode_sqpoll),
	    cmocka_unit_test(starves_and_recovers),
	    cmocka_unit_test(releases_in_any_order),
	    cmocka_unit_test(receives_many_flows),
	    cmocka_unit_test(is_closed_by_another_thread),
	    cmocka_unit_test(is_closed_while_its_thread_lives),
	    cmocka_unit_test(refuses_a_second_thread),
	    cmocka_unit_test(closes_with_packets_held),
	    {"wakes_pollers as it is", wakes_pollers, NULL, NULL, &modes[0]},
	    {"wakes_pollers in mode coop", wakes_pollers, NULL, NULL, &modes[1]},
	    {"wakes_pollers with gro", wakes_pollers, NULL, NULL, &modes[2]},
	    cmocka_unit_test(wakes_a_waiting_recv),
	    cmocka_unit_test(receives_empty_datagrams),
	    cmocka_unit_test(says_its_mode),
	    cmocka_unit_test(refuses_what_it_cannot),
	    cmocka_unit_test(says_that_it_is_forbidden),
	};
	char *arguments[] = {"test_io_uring", "io_uring", argc > 1 ? argv[1] : NULL};
	int rc = test_take_backend(argc > 1 ? 3 : 2, arguments);

	if (!rc)
		rc = look_for_io_uring();
	if (rc)
		return rc;
	if (test_enter_namespace()) {
		fprintf(stderr, "skipped: no network namespace without privilege here\n");
		return TEST_SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
