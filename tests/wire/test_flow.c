/* test_flow.c - which flow a frame belongs to: the first that matches, any for what is not said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "mdfh/error.h"
#include "wire/flow.h"

static uint16_t find(const struct mdfh_flow_table *table, const char *source,
    const char *destination, uint16_t port, uint16_t outer, uint16_t inner)
{
	struct mdfh_frame frame = {
	    .destination_port = port,
	    .vlan = {outer, inner},
	    .vlan_count = (uint8_t)((outer != 0) + (inner != 0)),
	};

	assert_int_equal(mdfh_frame_address(source, frame.source), 0);
	assert_int_equal(mdfh_frame_address(destination, frame.destination), 0);
	return mdfh_flow_find(table, &frame);
}

static void test_find(void **state)
{
	static const struct mdfh_flow flows[] = {
	    {.group = "239.1.1.1", .port = 5000, .source = "10.0.0.1"},
	    {.group = "239.1.1.1", .port = 5000},
	    {.group = "239.1.1.1", .port = 5001, .vlan = 142},
	    {.group = "ff15::1", .port = 5000},
	    {.port = 7000},
	    {.group = "10.0.0.9"},
	};
	struct mdfh_flow_table table;

	(void)state;
	assert_int_equal(mdfh_flow_table_compile(&table, flows, 6), 0);
	assert_int_equal(find(&table, "10.0.0.1", "239.1.1.1", 5000, 0, 0), 0);
	assert_int_equal(find(&table, "10.0.0.2", "239.1.1.1", 5000, 0, 0), 1);
	assert_int_equal(find(&table, "10.0.0.2", "239.1.1.1", 5000, 3, 4), 1);
	assert_int_equal(find(&table, "10.0.0.2", "239.1.1.1", 5001, 142, 0), 2);
	assert_int_equal(find(&table, "10.0.0.2", "239.1.1.1", 5001, 3, 142), 2);
	assert_int_equal(find(&table, "10.0.0.2", "239.1.1.1", 5001, 142, 3), 2);
	assert_int_equal(find(&table, "10.0.0.2", "239.1.1.1", 5001, 143, 0), MDFH_FLOW_NONE);
	assert_int_equal(find(&table, "10.0.0.2", "239.1.1.1", 5001, 0, 0), MDFH_FLOW_NONE);
	assert_int_equal(find(&table, "fe80::1", "ff15::1", 5000, 0, 0), 3);
	assert_int_equal(find(&table, "fe80::1", "ff15::2", 5000, 0, 0), MDFH_FLOW_NONE);
	assert_int_equal(find(&table, "10.0.0.2", "10.0.0.3", 7000, 0, 0), 4);
	assert_int_equal(find(&table, "fe80::1", "fe80::2", 7000, 0, 0), 4);
	assert_int_equal(find(&table, "10.0.0.2", "239.1.1.1", 7000, 0, 0), MDFH_FLOW_NONE);
	assert_int_equal(find(&table, "10.0.0.2", "10.0.0.9", 1, 0, 0), 5);
	assert_int_equal(find(&table, "10.0.0.2", "239.1.1.2", 5000, 0, 0), MDFH_FLOW_NONE);
}

static void test_compile(void **state)
{
	struct mdfh_flow flows[MDFH_BYPASS_FLOWS_MAX + 1] = {{0}};
	struct mdfh_flow_table table;

	(void)state;
	for (uint16_t i = 0; i <= MDFH_BYPASS_FLOWS_MAX; i++)
		flows[i] = (struct mdfh_flow){.group = "239.1.1.1", .port = (uint16_t)(i + 1)};
	assert_int_equal(mdfh_flow_table_compile(&table, flows, 65), -EINVAL);
	assert_int_equal(mdfh_flow_table_compile(&table, flows, 64), 0);
	assert_int_equal(find(&table, "10.0.0.1", "239.1.1.1", 64, 0, 0), 63);
	assert_int_equal(find(&table, "10.0.0.1", "239.1.1.1", 65, 0, 0), MDFH_FLOW_NONE);
	flows[3].group = "example.com";
	assert_int_equal(mdfh_flow_table_compile(&table, flows, 64), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "flows[3].group is 'example.com'"));
	flows[3].group = NULL;
	flows[4].source = "x";
	assert_int_equal(mdfh_flow_table_compile(&table, flows, 64), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "flows[4].source"));
	assert_int_equal(mdfh_flow_table_compile(&table, NULL, 0), 0);
	assert_int_equal(find(&table, "10.0.0.1", "239.1.1.1", 64, 0, 0), MDFH_FLOW_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_compile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
