/* test_backends.c - mdfh backends and mdfh conformance as a user runs them. argv[1] is the program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *program;

/* Exit status; what it printed in text. */
static int run(const char *arguments, char *text, size_t size)
{
	char command[4096];
	size_t length;
	FILE *pipe;
	int status;

	snprintf(command, sizeof(command), "'%s' %s 2>&1", program, arguments);
	pipe = popen(command, "r"); /* NOLINT(cert-env33-c): the test's own words */
	assert_non_null(pipe);
	length = fread(text, 1, size - 1, pipe);
	text[length] = '\0';
	status = pclose(pipe);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static json_t *run_json(const char *arguments, int want)
{
	static char text[65536];
	json_error_t error;
	json_t *json;

	assert_int_equal(run(arguments, text, sizeof(text)), want);
	json = json_loads(text, 0, &error);
	if (!json)
		fail_msg("%s: line %d: %s", arguments, error.line, error.text);
	return json;
}

static json_t *find(json_t *array, const char *name)
{
	json_t *object;
	size_t i;

	json_array_foreach(array, i, object)
	{
		if (!strcmp(json_string_value(json_object_get(object, "name")), name))
			return object;
	}
	fail_msg("there is no %s", name);
	return NULL;
}

static void lists_backends(void **state)
{
	json_t *list = run_json("backends --json", 0), *socket = find(list, "socket");
	json_t *can = json_object_get(socket, "capabilities");

	(void)state;
	assert_true(json_is_true(json_object_get(socket, "available")));
	assert_string_equal(json_string_value(json_object_get(can, "copy_reason")), "kernel");
	assert_int_equal(json_integer_value(json_object_get(can, "hold_max")), 4096 - 64);
	assert_true(json_is_true(json_object_get(can, "can_send")));
	assert_true(json_is_false(json_object_get(can, "zero_copy")));
	assert_non_null(json_object_get(find(list, "pcap"), "capabilities"));
	assert_non_null(json_object_get(find(list, "null"), "capabilities"));
	assert_true(json_is_false(json_object_get(find(list, "dpdk"), "available")));
	assert_non_null(strstr(
	    json_string_value(json_object_get(find(list, "dpdk"), "reason")), "not in this build"));
	json_decref(list);
}

static void prints_backends(void **state)
{
	char text[8192];

	(void)state;
	assert_int_equal(run("backends", text, sizeof(text)), 0);
	assert_non_null(strstr(text, "socket     available"));
	assert_non_null(strstr(text, "copy: kernel"));
	assert_int_equal(run("backends superfluous", text, sizeof(text)), 2);
}

/* The modules that tests/net builds, one of them sound. */
static void looks_for_modules_in_a_folder(void **state)
{
	const char *build = getenv("MDFH_BUILD");
	char text[8192], arguments[2048];
	json_t *list, *good;

	(void)state;
	assert_non_null(build);
	snprintf(arguments, sizeof(arguments), "--modules '%s/tests/net' backends --json", build);
	list = run_json(arguments, 0);
	good = find(list, "good");
	assert_true(json_is_true(json_object_get(good, "available")));
	assert_true(json_is_true(json_object_get(good, "is_module")));
	assert_non_null(
	    strstr(json_string_value(json_object_get(find(list, "wrong_abi"), "reason")),
		"ABI version 42"));
	json_decref(list);
	/* Relative to where the user is. */
	assert_int_equal(chdir(build), 0);
	assert_int_equal(run("--modules=tests/net backends", text, sizeof(text)), 0);
	assert_non_null(strstr(text, "good       available"));
	assert_int_equal(run("--modules tests/nowhere backends", text, sizeof(text)), 2);
	assert_string_equal(text, "mdfh: --modules tests/nowhere: No such file or directory\n");
	assert_int_equal(run("--modules", text, sizeof(text)), 2);
	assert_int_equal(run("--modules tests/net", text, sizeof(text)), 2);
	assert_int_equal(run("--modulesque backends", text, sizeof(text)), 2);
	assert_non_null(strstr(text, "there is no command '--modulesque'"));
}

static void runs_the_suite(void **state)
{
	json_t *list = run_json("conformance --json pcap", 0);
	char text[8192];

	(void)state;
	assert_string_equal(
	    json_string_value(json_object_get(find(list, "packets"), "verdict")), "passed");
	assert_string_equal(
	    json_string_value(json_object_get(find(list, "drops"), "verdict")), "not applicable");
	json_decref(list);
	assert_int_equal(run("conformance null", text, sizeof(text)), 0);
	assert_non_null(strstr(text, "null over none: 9 passed, 0 failed, "));

	/* A stream has checks of its own. */
	list = run_json("conformance --json --medium tcp4 socket", 0);
	assert_int_equal(json_array_size(list), 28);
	assert_string_equal(
	    json_string_value(json_object_get(find(list, "small-writes"), "verdict")), "passed");
	json_decref(list);
	assert_int_equal(run("conformance --medium tcp6 socket", text, sizeof(text)), 0);
	assert_non_null(strstr(text, "socket over tcp6: 28 passed, 0 failed, 0 not applicable"));
}

static void says_why_it_cannot(void **state)
{
	char text[8192];

	(void)state;
	assert_int_equal(run("conformance nonesuch", text, sizeof(text)), 2);
	assert_non_null(strstr(text, "mdfh conformance: there is no backend 'nonesuch'"));
	assert_int_equal(run("conformance", text, sizeof(text)), 2);
	assert_int_equal(run("conformance a b", text, sizeof(text)), 2);
	assert_int_equal(run("conformance --medium air socket", text, sizeof(text)), 2);
	assert_non_null(strstr(text, "medium is 'air'"));
	assert_int_equal(run("conformance -m multicast4 socket", text, sizeof(text)), 2);
	assert_non_null(strstr(text, "multicast needs an interface"));
	assert_int_equal(run("conformance -m tcp4 fault", text, sizeof(text)), 2);
	assert_non_null(strstr(text, "fault: transport of the lower port is TCP"));
	assert_int_equal(run("conformance -m tcp4 pcap", text, sizeof(text)), 2);
	assert_non_null(strstr(text, "pcap: "));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lists_backends),
	    cmocka_unit_test(prints_backends),
	    cmocka_unit_test(looks_for_modules_in_a_folder),
	    cmocka_unit_test(runs_the_suite),
	    cmocka_unit_test(says_why_it_cannot),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: test_backends /path/of/mdfh\n");
		return 2;
	}
	program = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
