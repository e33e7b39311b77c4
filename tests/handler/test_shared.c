/* test_shared.c - a consumer in another program: it knows nothing but the names of the ring, the
 * depth array and the instrument table, and reads them while the handler runs. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "feed.h"
#include "mdfh/depth.h"
#include "mdfh/error.h"
#include "mdfh/handler.h"
#include "mdfh/ring.h"
#include "own_namespace.h"

enum {
	ADDS = 40,
	FIRST_ADD = 3,
	WAIT_S = 30,
};

static const char *program;
static char ring_name[64];
static char depth_name[64];
static char table_name[64];

/* The other program: status 0 when all was as it should be, else which line it was not. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "reader: line %d: %s\n", __LINE__, #condition);            \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

static int reader(const char *ring_is, const char *depth_is, const char *table_is)
{
	struct mdfh_instruments *table;
	struct mdfh_depth_view view;
	struct mdfh_depth *depth;
	struct mdfh_ring *ring;
	struct mdfh_event e;
	int adds = 0;

	CHECK(mdfh_ring_attach(ring_is, &ring) == 0);
	CHECK(mdfh_depth_attach(depth_is, &depth) == 0);
	CHECK(mdfh_instruments_attach(table_is, &table) == 0);
	if (write(STDOUT_FILENO, "", 1) != 1) /* attached: the packets may come */
		return 1;
	while (adds < ADDS) {
		CHECK(mdfh_ring_pop_wait(ring, &e, WAIT_S * 1000000000ull));
		CHECK(e.kind != MDFH_EVENT_GAP);
		if (e.kind != MDFH_EVENT_ORDER_ADD)
			continue;
		CHECK(e.sequence == (uint64_t)(FIRST_ADD + adds));
		CHECK(e.order.quantity == (uint32_t)(100 + adds));
		adds++;
	}
	/* The snapshot is published before the events of its batch can be read. */
	CHECK(mdfh_depth_read(depth, e.instrument, &view) == 1);
	CHECK(view.sequence == FIRST_ADD + ADDS - 1);
	CHECK(view.bids == 3 && view.asks == 0);
	CHECK(view.bid[0].price == 150 * 1000000000ll);
	CHECK(view.bid[0].quantity == 100 && view.bid[0].orders == 1);
	CHECK(view.bid[2].quantity == 102);
	CHECK(view.is_sound);
	CHECK(mdfh_instruments_count(table) == 2);
	CHECK(!strcmp(mdfh_instruments_get(table, e.instrument)->symbol, "AAPL"));
	CHECK(mdfh_instruments_find_symbol(table, "AAPL") == e.instrument);
	CHECK(mdfh_instruments_find(table, 0, 1) == e.instrument);
	mdfh_instruments_destroy(table);
	mdfh_depth_destroy(depth);
	mdfh_ring_destroy(ring);
	return 0;
}

static int bound_socket(struct sockaddr_in *address)
{
	socklen_t length = sizeof(*address);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	*address = (struct sockaddr_in){.sin_family = AF_INET};
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)address, sizeof(*address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)address, &length), 0);
	return fd;
}

static void send_day(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct feed feed;

	for (int i = -1; i < ADDS; i++) {
		feed_begin(&feed, i < 0 ? 1 : (uint64_t)(FIRST_ADD + i));
		if (i < 0) {
			feed_system(&feed, 'O');
			feed_directory(&feed, 1, "AAPL    ");
		} else {
			feed_add(&feed, 1, "AAPL    ", 500 + (uint64_t)i, 'B', (uint32_t)(100 + i),
			    (uint32_t)(1500000 - 100 * i));
		}
		assert_int_equal(
		    sendto(fd, feed.data, feed.length, 0, (const struct sockaddr *)to, sizeof(*to)),
		    feed.length);
	}
	close(fd);
}

static void test_other_program(void **state)
{
	struct sockaddr_in address;
	char group[32];
	char date[] = "2026-11-20";
	char protocol[] = "itch50";
	char consumer_name[] = "other";
	struct mdfh_line_config line = {.group = group};
	struct mdfh_handler_channel_config channel = {
	    .protocol = protocol, .lines = &line, .lines_count = 1};
	struct mdfh_consumer_config consumer = {
	    .name = consumer_name, .slots = 256, .shared_name = ring_name};
	struct mdfh_handler_config config = {
	    .size = sizeof(config),
	    .session_date = date,
	    .channels = &channel,
	    .channels_count = 1,
	    .consumers = &consumer,
	    .consumers_count = 1,
	    .instruments_max = 100,
	    .orders_max = 4096,
	    .levels_max = 4096,
	    .depth_levels = 3,
	    .depth_shared_name = depth_name,
	    .instruments_shared_name = table_name,
	};
	struct mdfh_handler *handler;
	struct mdfh_ring *ring;
	int attached[2];
	char byte;
	int status;
	pid_t child;

	(void)state;
	/* A port that was free a moment ago. */
	close(bound_socket(&address));
	snprintf(group, sizeof(group), "127.0.0.1:%u", ntohs(address.sin_port));
	snprintf(ring_name, sizeof(ring_name), "/mdfh-test-ring-%d", getpid());
	snprintf(depth_name, sizeof(depth_name), "/mdfh-test-depth-%d", getpid());
	snprintf(table_name, sizeof(table_name), "/mdfh-test-table-%d", getpid());
	if (mdfh_handler_create(&config, &handler))
		fail_msg("%s", mdfh_error_text());
	assert_int_equal(mdfh_handler_start(handler), 0);

	assert_int_equal(pipe(attached), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		dup2(attached[1], STDOUT_FILENO);
		execl(program, program, ring_name, depth_name, table_name, (char *)NULL);
		_exit(127);
	}
	close(attached[1]);
	assert_int_equal(read(attached[0], &byte, 1), 1);
	send_day(&address);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(attached[0]);

	assert_int_equal(mdfh_handler_stop(handler), 0);
	mdfh_handler_destroy(handler);
	assert_int_equal(mdfh_ring_attach(ring_name, &ring), -ENOENT);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_other_program),
	};

	if (argc == 4)
		return reader(argv[1], argv[2], argv[3]);
	program = argv[0];
	/* Where that is allowed: then no other test takes a number that was free. */
	(void)test_enter_namespace();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
