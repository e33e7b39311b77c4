/* test_registry.c - backends by name and by path: what is loaded, what is refused and in which
 * words, and that the list says the same. The modules are built beside this test from module.c. */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>

#include "net/net.h"
#include "net/net_test.h"

static char folder[PATH_MAX - 64];

static int open_backend(const char *backend, struct mdfh_bypass **port)
{
	const struct mdfh_bypass_config config = {.size = sizeof(config), .backend = backend};

	return mdfh_bypass_open(&config, port);
}

static const char *path_of(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/mdfh_%s.so", folder, name);
	return path;
}

static int is_loaded(const char *name)
{
	void *handle = dlopen(path_of(name), RTLD_NOW | RTLD_NOLOAD);

	if (handle)
		dlclose(handle);
	return handle != NULL;
}

static void receive_one(struct mdfh_bypass *port)
{
	struct mdfh_packet packets[8];

	assert_int_equal(mdfh_bypass_recv(port, packets, 8), 1);
	assert_int_equal(packets[0].length, 5);
	assert_memory_equal(packets[0].data, "hello", 5);
	/* The module reads mdfh's clock: after 2020. */
	assert_true(packets[0].receive_ns > UINT64_C(1577836800000000000));
	mdfh_bypass_release(port, packets, 1);
}

/* Good ------------------------------------------------------------------- */

static void loads_by_name(void **state)
{
	struct mdfh_bypass *port;

	(void)state;
	assert_ok(open_backend("good", &port));
	assert_string_equal(mdfh_bypass_name(port), "test module");
	assert_int_equal(mdfh_bypass_local_port(port, 0), 0);
	receive_one(port);
	mdfh_bypass_close(port);
}

static void loads_by_path_and_unloads_with_the_last_port(void **state)
{
	struct mdfh_bypass *first, *second;

	(void)state;
	assert_false(is_loaded("good"));
	assert_ok(open_backend(path_of("good"), &first));
	assert_ok(open_backend("good", &second));
	mdfh_bypass_close(first);
	assert_true(is_loaded("good"));
	receive_one(second);
	mdfh_bypass_close(second);
	assert_false(is_loaded("good"));
}

static void tells_its_counters(void **state)
{
	struct mdfh_bypass_counter counter = {.name = "untouched"};
	struct mdfh_bypass *port;

	(void)state;
	assert_ok(open_backend("good", &port));
	receive_one(port);
	assert_int_equal(mdfh_bypass_counters(port, &counter, 0), 1);
	assert_string_equal(counter.name, "untouched");
	assert_int_equal(mdfh_bypass_counters(port, &counter, 1), 1);
	assert_string_equal(counter.name, "packets made");
	assert_int_equal(counter.value, 1);
	mdfh_bypass_close(port);

	assert_ok(open_backend("null", &port));
	assert_int_equal(mdfh_bypass_counters(port, &counter, 1), 0);
	assert_string_equal(mdfh_bypass_capabilities(port)->mode, "");
	mdfh_bypass_close(port);
}

static void says_what_is_exclusive(void **state)
{
	(void)state;
	assert_int_equal(mdfh_backend_is_exclusive("good"), 1);
	assert_int_equal(mdfh_backend_is_exclusive("socket"), 0);
	assert_int_equal(mdfh_backend_is_exclusive("nowhere"), 0);
	assert_false(is_loaded("good"));
}

static void cannot_send_without_the_operation(void **state)
{
	struct mdfh_packet packet = {.data = (const uint8_t *)"", .length = 0};
	struct mdfh_bypass *port;

	(void)state;
	assert_ok(open_backend("good", &port));
	assert_int_equal(mdfh_bypass_send(port, &packet, 1), -ENOTSUP);
	assert_error("cannot send");
	mdfh_bypass_close(port);
}

static void passes_on_the_modules_sentence(void **state)
{
	const struct mdfh_bypass_config config = {
	    .size = sizeof(config), .backend = "good", .backend_options = "a=b"};
	struct mdfh_bypass *port;

	(void)state;
	assert_int_equal(mdfh_bypass_open(&config, &port), -EINVAL);
	assert_string_equal(mdfh_error_text(), "module: it has no options");
	assert_null(port);
	assert_false(is_loaded("good"));
}

static void knows_the_alias(void **state)
{
	const struct mdfh_bypass_config config = {
	    .size = sizeof(config), .backend = "asio", .host = "127.0.0.1"};
	struct mdfh_bypass *port;

	(void)state;
	assert_ok(mdfh_bypass_open(&config, &port));
	assert_string_equal(mdfh_bypass_name(port), "socket");
	mdfh_bypass_close(port);
}

/* Refused ---------------------------------------------------------------- */

static void refuses_bad_modules(void **state)
{
	static const struct {
		const char *name, *want;
		int error;
	} cases[] = {
	    {"wrong_abi", "built for ABI version 42, this mdfh has version 1", -ENOEXEC},
	    {"no_symbol", "it has no symbol mdfh_backend_module", -ENOEXEC},
	    {"short_ops", "its operations table has ", -ENOEXEC},
	    {"no_recv", "its operations table lacks recv", -ENOEXEC},
	    {"lies", "its symbol mdfh_backend_module has ", -ENOEXEC},
	    {"stub", "its symbol mdfh_backend_module has 4 bytes", -ENOEXEC},
	    {"refuses", "module: there is no device 7", -ENODEV},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mdfh_bypass *port;
		int rc = open_backend(cases[i].name, &port);

		if (rc != cases[i].error)
			fail_msg("%s: %d, %s", cases[i].name, rc, mdfh_error_text());
		assert_error(cases[i].want);
		assert_null(port);
		assert_false(is_loaded(cases[i].name));
		rc = open_backend(path_of(cases[i].name), &port);
		assert_int_equal(rc, cases[i].error);
	}
}

static void refuses_what_is_no_module(void **state)
{
	struct mdfh_bypass *port;

	(void)state;
	assert_int_equal(open_backend("/etc/passwd", &port), -ENOEXEC);
	assert_error("module /etc/passwd: cannot be loaded");
	assert_int_equal(open_backend("/nowhere/mdfh_x.so", &port), -ENOENT);
	assert_error("module /nowhere/mdfh_x.so");
}

static void refuses_names_that_are_paths(void **state)
{
	static const char *const names[] = {"./mdfh_good.so", "mdfh_good.so", "../net/mdfh_good",
	    "good.so", "Good", "a b", "abcdefghijklmnopqrstuvwxyz012345"};
	struct mdfh_bypass *port;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(open_backend(names[i], &port), -EINVAL);
		assert_error("or the absolute path of a module");
	}
}

static void says_what_is_not_there(void **state)
{
	static const char *const modules[] = {"io_uring", "xdp", "dpdk", "ef_vi", "verbs"};
	struct mdfh_bypass *port;

	(void)state;
	for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
		assert_int_equal(open_backend(modules[i], &port), -ENOTSUP);
		assert_error("is not in this build: it needs ");
		if (strcmp(modules[i], "ef_vi") != 0)
			assert_error("(Debian package mdfh-");
	}
	assert_int_equal(open_backend("nonesuch", &port), -ENOENT);
	assert_error("there is no backend 'nonesuch'");
}

/* The list ---------------------------------------------------------------- */

static const struct mdfh_bypass_backend *entry_of(
    const struct mdfh_bypass_backend *list, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(list[i].name, name))
			return &list[i];
	fail_msg("%s is not listed", name);
	return NULL;
}

static void lists_all_with_the_reason(void **state)
{
	struct mdfh_bypass_backend list[64];
	const struct mdfh_bypass_backend *entry;
	int n = mdfh_bypass_backends(list, 64);

	(void)state;
	assert_in_range(n, 1, 64);
	entry = entry_of(list, n, "socket");
	assert_true(entry->available && !entry->is_module);
	assert_string_equal(entry->reason, "");
	assert_true(entry->description[0]);
	assert_true(entry_of(list, n, "null")->available);
	entry = entry_of(list, n, "good");
	assert_true(entry->available && entry->is_module);
	assert_string_equal(entry->description, "one packet a call");
	entry = entry_of(list, n, "wrong_abi");
	assert_true(!entry->available && entry->is_module);
	assert_non_null(strstr(entry->reason, "ABI version 42, this mdfh has version 1"));
	entry = entry_of(list, n, "unavailable");
	assert_false(entry->available);
	assert_string_equal(entry->reason, "module: no device here");
	entry = entry_of(list, n, "dpdk");
	assert_false(entry->available);
	assert_non_null(strstr(entry->reason, "not in this build"));
	/* Nothing stays loaded. */
	assert_false(is_loaded("good"));

	/* A short list gets the first entries, and the whole count. */
	assert_int_equal(mdfh_bypass_backends(NULL, 0), n);
	memset(list, 0x55, sizeof(list));
	assert_int_equal(mdfh_bypass_backends(list, 1), n);
	assert_string_equal(list[0].name, "socket");
	assert_int_equal(list[1].name[0], 0x55);
}

static void lists_without_a_folder(void **state)
{
	struct mdfh_bypass_backend list[64];
	int n;

	(void)state;
	assert_ok(mdfh_bypass_set_modules_folder("/nonexistent"));
	n = mdfh_bypass_backends(list, 64);
	assert_true(entry_of(list, n, "socket")->available);
	assert_ok(mdfh_bypass_set_modules_folder(folder));
}

static void takes_only_an_absolute_folder(void **state)
{
	struct mdfh_bypass *port;
	char path[PATH_MAX + 2];

	(void)state;
	assert_int_equal(mdfh_bypass_set_modules_folder("build/modules"), -EINVAL);
	assert_error("the modules folder is 'build/modules'; it must be an absolute path");
	assert_int_equal(mdfh_bypass_set_modules_folder(""), -EINVAL);
	memset(path, '/', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(mdfh_bypass_set_modules_folder(path), -ENAMETOOLONG);
	/* What was refused changed nothing. */
	assert_ok(open_backend("good", &port));
	mdfh_bypass_close(port);
	/* NULL is the install folder, which has no module of this name. */
	assert_ok(mdfh_bypass_set_modules_folder(NULL));
	assert_int_equal(open_backend("good", &port), -ENOENT);
	assert_error("/mdfh/mdfh_good.so");
	assert_ok(mdfh_bypass_set_modules_folder(folder));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(loads_by_name),
	    cmocka_unit_test(loads_by_path_and_unloads_with_the_last_port),
	    cmocka_unit_test(tells_its_counters),
	    cmocka_unit_test(says_what_is_exclusive),
	    cmocka_unit_test(cannot_send_without_the_operation),
	    cmocka_unit_test(passes_on_the_modules_sentence),
	    cmocka_unit_test(knows_the_alias),
	    cmocka_unit_test(refuses_bad_modules),
	    cmocka_unit_test(refuses_what_is_no_module),
	    cmocka_unit_test(refuses_names_that_are_paths),
	    cmocka_unit_test(says_what_is_not_there),
	    cmocka_unit_test(lists_all_with_the_reason),
	    cmocka_unit_test(lists_without_a_folder),
	    cmocka_unit_test(takes_only_an_absolute_folder),
	};
	const char *build = getenv("MDFH_BUILD");

	if (!build) {
		fprintf(stderr, "skipped: MDFH_BUILD, the build folder, is not set\n");
		return TEST_SKIPPED;
	}
	snprintf(folder, sizeof(folder), "%s/tests/net", build);
	if (mdfh_bypass_set_modules_folder(folder)) {
		fprintf(stderr, "%s\n", mdfh_error_text());
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
