/* dpdk_test.h - what the tests of backend dpdk share: packets that hold their number. */
#ifndef MDFH_TESTS_DPDK_TEST_H
#define MDFH_TESTS_DPDK_TEST_H

#include "mdfh/frame.h"
#include "net/udp_test.h"

/* The number stands in the first and in the last four bytes. */
static inline void number_write(uint8_t *data, uint32_t length, uint32_t number)
{
	memcpy(data, &number, 4);
	memcpy(data + length - 4, &number, 4);
}

static inline uint32_t number_of(const struct mdfh_packet *packet)
{
	uint32_t number, again;

	assert_true(packet->length >= 4);
	memcpy(&number, packet->data, 4);
	memcpy(&again, packet->data + packet->length - 4, 4);
	assert_int_equal(number, again);
	return number;
}

static inline int test_run_dpdk(const char *options, int (*run)(void))
{
	static char *arguments[] = {"test", "dpdk", NULL, NULL};
	int skipped;

	arguments[2] = (char *)(uintptr_t)options;
	skipped = test_take_backend(options ? 3 : 2, arguments);
	return skipped ? skipped : run();
}

#endif
